//! A small multi-layer perceptron in plain Rust: one net, one thread, its whole state in cache.
//!
//! Parameters are one flat slice: for each layer the weights `[n_in, n_out]` row-major, then the biases `[n_out]`.

use super::exp::exp_in_place;
use super::layers::Linear;
use super::tanh::tanh_in_place;
use crate::gemm::Panels;
use crate::simd::{relu, relu_backward, vectorized};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Activation between the layers of a small net: one that the kernel can compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InnerActivation {
    /// max(0, z)
    Relu,
    /// tanh z
    Tanh,
}

impl InnerActivation {
    fn forward(self, y: &mut [f32]) {
        match self {
            Self::Tanh => tanh_in_place(y),
            Self::Relu => relu(y),
        }
    }

    /// Turns `d`, the gradient with respect to the outputs `y`, into the one with respect to the inputs.
    fn backward(self, y: &[f32], d: &mut [f32]) {
        match self {
            Self::Relu => relu_backward(y, d),
            Self::Tanh => vectorized(
                #[inline(always)]
                || {
                    for (d, &y) in d.iter_mut().zip(y) {
                        *d *= 1.0 - y * y;
                    }
                },
            ),
        }
    }
}

/// What the outputs are compared with, one row for each example.
#[derive(Debug, Clone)]
pub enum Target {
    /// Classes, `[n]`: the loss is the cross-entropy.
    Classes(Vec<u16>),
    /// Values, `[n, n_out]`: the loss is the mean squared error.
    Values(Vec<f32>),
}

/// Shape of a net, and its working memory.
#[derive(Debug, Clone)]
pub struct Mlp {
    sizes: Vec<usize>,
    activation: InnerActivation,
    /// Outputs of every layer, `[n, width]`; those of the last one are turned into the gradient of the loss.
    outputs: Vec<Vec<f32>>,
    d_out: Vec<f32>,
    d_in: Vec<f32>,
    panels: Panels,
}

/// Adds `n` initial weights of units with `n_inputs` inputs: U(±1/√n_inputs), times `gain`.
pub(super) fn push_initial(params: &mut Vec<f32>, n: usize, n_inputs: usize, gain: f32, rng: &mut ChaCha8Rng) {
    let bound = gain / (n_inputs as f32).sqrt();
    params.extend((0..n).map(|_| rng.random_range(-bound..bound)));
}

impl Mlp {
    /// A net with layers of these widths, inputs first, outputs last.
    pub fn new(sizes: Vec<usize>, activation: InnerActivation) -> Self {
        let outputs = vec![Vec::new(); sizes.len() - 1];
        Self { sizes, activation, outputs, d_out: Vec::new(), d_in: Vec::new(), panels: Panels::default() }
    }

    /// Number of parameters.
    pub fn n_params(&self) -> usize {
        self.layers().map(|(n_in, n_out)| (n_in + 1) * n_out).sum()
    }

    /// Number of hidden layers.
    #[cfg(feature = "torch")]
    pub(super) fn n_hidden(&self) -> usize {
        self.sizes.len() - 2
    }

    /// Activation between its layers.
    #[cfg(feature = "torch")]
    pub(super) fn activation(&self) -> InnerActivation {
        self.activation
    }

    /// Inputs and outputs of each linear layer.
    pub(super) fn layers(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + '_ {
        self.sizes.windows(2).map(|w| (w[0], w[1]))
    }

    /// Number of outputs.
    pub(super) fn n_out(&self) -> usize {
        self.sizes[self.sizes.len() - 1]
    }

    /// PyTorch's default initial weights, U(±1/√n_in) for weights and biases, times `gain`.
    pub fn init(&self, gain: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let mut params = Vec::with_capacity(self.n_params());
        for (n_in, n_out) in self.layers() {
            push_initial(&mut params, (n_in + 1) * n_out, n_in, gain, rng);
        }
        params
    }

    /// Outputs `[n, n_out]` for the inputs `[n, n_in]`.
    pub fn forward(&mut self, params: &[f32], inputs: &[f32]) -> &[f32] {
        let (mut at, n_layers) = (0, self.outputs.len());
        for l in 0..n_layers {
            let layer = Linear { at, n_in: self.sizes[l], n_out: self.sizes[l + 1] };
            at = layer.end();
            let (before, after) = self.outputs.split_at_mut(l);
            let x: &[f32] = if l == 0 { inputs } else { &before[l - 1] };
            layer.forward(params, x, &mut self.panels, &mut after[0]);
            if l + 1 < n_layers {
                self.activation.forward(&mut after[0]);
            }
        }
        &self.outputs[n_layers - 1]
    }

    /// Mean loss over the examples `rows` of `target`, or over all in order if `rows` is empty. `inputs` are those of
    /// these examples alone.
    pub fn loss(&mut self, params: &[f32], inputs: &[f32], target: &Target, rows: &[usize]) -> f32 {
        self.forward(params, inputs);
        self.loss_and_d_out(target, rows)
    }

    /// Mean loss; its gradient with respect to the parameters goes into `grad`.
    pub fn loss_and_grad(
        &mut self,
        params: &[f32],
        inputs: &[f32],
        target: &Target,
        rows: &[usize],
        grad: &mut [f32],
    ) -> f32 {
        let loss = self.loss(params, inputs, target, rows);
        let last = self.outputs.len() - 1;
        self.d_out.clone_from(&self.outputs[last]);
        let mut end = params.len();
        for l in (0..=last).rev() {
            let (n_in, n_out) = (self.sizes[l], self.sizes[l + 1]);
            let layer = Linear { at: end - (n_in + 1) * n_out, n_in, n_out };
            end = layer.at;
            let x: &[f32] = if l == 0 { inputs } else { &self.outputs[l - 1] };
            layer.backward(x, &self.d_out, &mut self.panels, grad);
            if l > 0 {
                layer.d_inputs(params, &self.d_out, &mut self.panels, &mut self.d_in);
                self.activation.backward(x, &mut self.d_in);
                std::mem::swap(&mut self.d_out, &mut self.d_in);
            }
        }
        loss
    }

    /// Mean loss of the outputs of the last forward pass, which are overwritten by its gradient.
    fn loss_and_d_out(&mut self, target: &Target, rows: &[usize]) -> f32 {
        let n_out = self.n_out();
        let last = self.outputs.len() - 1;
        let out = &mut self.outputs[last];
        let scale = n_out as f32 / out.len() as f32;
        let example = |i: usize| rows.get(i).copied().unwrap_or(i);
        let sum = match target {
            Target::Classes(classes) => cross_entropy(out, n_out, |i| usize::from(classes[example(i)]), scale),
            Target::Values(values) => {
                let targets = |i| &values[example(i) * n_out..(example(i) + 1) * n_out];
                out.chunks_exact_mut(n_out).enumerate().map(|(i, row)| squared_error(row, targets(i), scale)).sum()
            }
        };
        sum * scale
    }
}

/// Sum over the rows of -ln softmax(z)[class]; `z`, `[n, n_classes]`, becomes `scale` times its gradient.
pub(super) fn cross_entropy(z: &mut [f32], n_classes: usize, class: impl Fn(usize) -> usize, scale: f32) -> f32 {
    let mut loss = 0.0;
    for (i, row) in z.chunks_exact_mut(n_classes).enumerate() {
        let max = row.iter().fold(f32::NEG_INFINITY, |m, &v| m.max(v));
        row.iter_mut().for_each(|v| *v -= max);
        loss -= row[class(i)];
    }
    exp_in_place(z);
    for (i, row) in z.chunks_exact_mut(n_classes).enumerate() {
        let sum = row.iter().sum::<f32>();
        row.iter_mut().for_each(|v| *v *= scale / sum);
        row[class(i)] -= scale;
        loss += sum.ln();
    }
    loss
}

/// Mean over the row of (y - target)²; `y` becomes `scale` times its gradient.
fn squared_error(y: &mut [f32], target: &[f32], scale: f32) -> f32 {
    let width = y.len() as f32;
    let mut sum = 0.0;
    for (y, t) in y.iter_mut().zip(target) {
        let d = *y - t;
        sum += d * d;
        *y = 2.0 * scale * d / width;
    }
    sum / width
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::layers::numeric_gradient;
    use crate::rng::stream;

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        for (activation, target) in [
            (InnerActivation::Tanh, Target::Classes(vec![0, 2, 1, 1, 0])),
            (InnerActivation::Relu, Target::Classes(vec![2, 2, 1, 0, 0])),
            (InnerActivation::Tanh, Target::Values((0..15).map(|v| 0.1 * v as f32).collect())),
        ] {
            let mut rng = stream(3, "mlp");
            let mut net = Mlp::new(vec![4, 6, 5, 3], activation);
            let params = net.init(1.0, &mut rng);
            let inputs: Vec<f32> = (0..12).map(|_| rng.random_range(-1.0..1.0)).collect();
            let rows = [4, 0, 2];
            let mut grad = vec![0.0; params.len()];
            net.loss_and_grad(&params, &inputs, &target, &rows, &mut grad);
            let numeric = numeric_gradient(&params, |moved| net.loss(moved, &inputs, &target, &rows));
            for (i, (numeric, grad)) in numeric.into_iter().zip(grad).enumerate() {
                assert!((numeric - f64::from(grad)).abs() < 2e-3, "{i}: {numeric} against {grad}");
            }
        }
    }

    #[test]
    fn equal_outputs_cost_the_logarithm_of_the_number_of_classes() {
        let mut net = Mlp::new(vec![2, 5], InnerActivation::Relu);
        let loss = net.loss(&[0.0; 15], &[1.0, 2.0], &Target::Classes(vec![3]), &[]);
        assert!((loss - 5f32.ln()).abs() < 1e-6);
    }
}
