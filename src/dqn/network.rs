//! The Q-network: a multi-layer perceptron with ReLU and dueling heads, forward and backward by hand.
//!
//! Shapes: features `[batch, n_features]`, Q-values `[batch, n_actions]`; weights `[n_in, n_out]`, row-major.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Slice, Zip};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// One linear layer: `y = x w + b`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// `[n_in, n_out]`
    pub w: Array2<f32>,
    /// `[n_out]`
    pub b: Array1<f32>,
}

impl Linear {
    fn new(n_in: usize, n_out: usize, gain: f32, rng: &mut ChaCha8Rng) -> Self {
        let bound = gain * (3.0 / n_in as f32).sqrt();
        Self {
            w: Array2::from_shape_simple_fn((n_in, n_out), || rng.random_range(-bound..bound)),
            b: Array1::zeros(n_out),
        }
    }

    fn zeros_like(other: &Self) -> Self {
        Self { w: Array2::zeros(other.w.raw_dim()), b: Array1::zeros(other.b.raw_dim()) }
    }

    fn forward(&self, x: &ArrayView2<f32>) -> Array2<f32> {
        x.dot(&self.w) + &self.b
    }

    /// `y = x w + b` for one row, without allocating.
    fn forward_row(&self, x: &[f32], y: &mut [f32]) {
        y.copy_from_slice(contiguous(&self.b));
        let weights = contiguous_2d(&self.w);
        for (row, &xi) in weights.chunks_exact(y.len()).zip(x) {
            for (yj, &wij) in y.iter_mut().zip(row) {
                *yj += xi * wij;
            }
        }
    }
}

/// Our arrays are built by `zeros` and `from_shape_fn`, which are standard-layout, so there always is a slice.
fn contiguous(a: &Array1<f32>) -> &[f32] {
    a.as_slice().unwrap_or(&[])
}
fn contiguous_2d(a: &Array2<f32>) -> &[f32] {
    a.as_slice().unwrap_or(&[])
}

/// The Q-network. Also used as the container of its own gradients and of Adam's moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QNetwork {
    hidden: Vec<Linear>,
    /// With dueling heads one value, then the advantages: `[n_last, 1 + n_actions]`. Without: the Q-values, `[n_last, n_actions]`.
    head: Linear,
    dueling: bool,
}

/// Room for the activations of one forward pass of one row.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    layers: Vec<Vec<f32>>,
}

impl QNetwork {
    /// A network with He-uniform weights (He et al. 2015, arXiv 1502.01852) and a head near zero, so that no action starts out favoured.
    pub fn new(n_features: usize, hidden: &[usize], n_actions: usize, dueling: bool, rng: &mut ChaCha8Rng) -> Self {
        let mut n_in = n_features;
        let mut layers = Vec::with_capacity(hidden.len());
        for &n_out in hidden {
            layers.push(Linear::new(n_in, n_out, std::f32::consts::SQRT_2, rng));
            n_in = n_out;
        }
        let head = Linear::new(n_in, n_actions + usize::from(dueling), 0.1, rng);
        Self { hidden: layers, head, dueling }
    }

    /// A network of the same shape, all zero.
    pub fn zeros_like(&self) -> Self {
        Self {
            hidden: self.hidden.iter().map(Linear::zeros_like).collect(),
            head: Linear::zeros_like(&self.head),
            dueling: self.dueling,
        }
    }

    /// How many features it reads.
    pub fn n_features(&self) -> usize {
        self.hidden.first().unwrap_or(&self.head).w.nrows()
    }

    /// How many actions it values.
    pub fn n_actions(&self) -> usize {
        self.head.w.ncols() - usize::from(self.dueling)
    }

    /// Whether value and advantages have heads of their own.
    pub fn is_dueling(&self) -> bool {
        self.dueling
    }

    /// `[n_features, hidden widths..., n_actions]`.
    pub fn shape(&self) -> Vec<usize> {
        let widths = self.hidden.iter().map(|l| l.b.len());
        [self.n_features()].into_iter().chain(widths).chain([self.n_actions()]).collect()
    }

    /// Whether all shapes fit each other and every weight is finite: what a file that was read must satisfy.
    pub fn is_sound(&self) -> bool {
        let layers = || self.hidden.iter().chain([&self.head]);
        let fits = layers().zip(layers().skip(1)).all(|(a, b)| a.w.ncols() == b.w.nrows());
        let whole = layers().all(|l| {
            l.b.len() == l.w.ncols() && l.w.as_slice().is_some() && l.b.as_slice().is_some() && !l.w.is_empty()
        });
        fits && whole
            && self.head.w.ncols() > usize::from(self.dueling)
            && self.params().iter().all(|p| p.iter().all(|v| v.is_finite()))
    }

    /// Room for [`QNetwork::forward_row`].
    pub fn scratch(&self) -> Scratch {
        let widths = self.hidden.iter().chain([&self.head]).map(|l| vec![0.0; l.b.len()]);
        Scratch { layers: widths.collect() }
    }

    /// Q-values of one state, without allocating. `scratch` comes from [`QNetwork::scratch`] of a network of this shape.
    pub fn forward_row(&self, features: &[f32], scratch: &mut Scratch, q_values: &mut [f32]) {
        let mut done: &[f32] = features;
        for (layer, out) in self.hidden.iter().chain([&self.head]).zip(&mut scratch.layers) {
            layer.forward_row(done, out);
            if !std::ptr::eq(layer, &self.head) {
                out.iter_mut().for_each(|v| *v = v.max(0.0));
            }
            done = out;
        }
        if self.dueling {
            let (value, advantages) = (done[0], &done[1..]);
            let mean = advantages.iter().sum::<f32>() / advantages.len() as f32;
            q_values.iter_mut().zip(advantages).for_each(|(q, a)| *q = value + a - mean);
        } else {
            q_values.copy_from_slice(done);
        }
    }

    /// Q-values `[batch, n_actions]` of the states `features` `[batch, n_features]`.
    pub fn forward(&self, features: ArrayView2<f32>) -> Array2<f32> {
        self.q_values(&self.activations(&features)[self.hidden.len()])
    }

    /// Post-activation output of every hidden layer, then the raw head.
    fn activations(&self, features: &ArrayView2<f32>) -> Vec<Array2<f32>> {
        let mut outputs: Vec<Array2<f32>> = Vec::with_capacity(self.hidden.len() + 1);
        for layer in &self.hidden {
            let mut z = layer.forward(&outputs.last().map_or(features.view(), Array2::view));
            z.mapv_inplace(|v| v.max(0.0));
            outputs.push(z);
        }
        let head = self.head.forward(&outputs.last().map_or(features.view(), Array2::view));
        outputs.push(head);
        outputs
    }

    /// What the head reads: the activations of the last hidden layer `[batch, width]`, or the features where there is none.
    pub(crate) fn last_hidden(&self, features: ArrayView2<f32>) -> Array2<f32> {
        let mut outputs = self.activations(&features);
        outputs.truncate(self.hidden.len());
        outputs.pop().unwrap_or_else(|| features.to_owned())
    }

    /// The same network for other inputs and outputs: feature `i` is what was feature `features[i]`, or one that it does not heed, and action
    /// `a` is worth what `actions[a]` was. With dueling heads the values stay the same where every old action is as often a new one.
    pub(crate) fn embedded(&self, features: &[Option<usize>], actions: &[usize]) -> Self {
        let mut embedded = self.clone();
        let first = self.hidden.first().unwrap_or(&self.head);
        let mut w = Array2::zeros((features.len(), first.b.len()));
        for (mut row, from) in w.rows_mut().into_iter().zip(features) {
            if let Some(from) = from {
                row.assign(&first.w.row(*from));
            }
        }
        embedded.hidden.first_mut().unwrap_or(&mut embedded.head).w = w;
        let n_values = usize::from(self.dueling);
        let columns: Vec<usize> = (0..n_values).chain(actions.iter().map(|&action| n_values + action)).collect();
        embedded.head.w = as_standard(embedded.head.w.select(Axis(1), &columns));
        embedded.head.b = self.head.b.select(Axis(0), &columns);
        embedded
    }

    /// Adds `weights · last hidden layer + bias` to the value of one action, up to what dueling heads take off all actions alike.
    pub(crate) fn add_to_action(&mut self, action: usize, weights: &[f64], bias: f64) {
        let column = action + usize::from(self.dueling);
        self.head.w.column_mut(column).iter_mut().zip(weights).for_each(|(w, &v)| *w += v as f32);
        self.head.b[column] += bias as f32;
    }

    fn q_values(&self, head: &Array2<f32>) -> Array2<f32> {
        if !self.dueling {
            return head.clone();
        }
        let advantages = head.slice_axis(Axis(1), Slice::from(1..));
        let n_actions = advantages.ncols() as f32;
        let shift = &head.column(0) - &(advantages.sum_axis(Axis(1)) / n_actions);
        &advantages + &shift.insert_axis(Axis(1))
    }

    /// Gradient of `sum over b of loss_b(Q(s_b, a_b))`, where `d_loss` gives `(Q(s_b, a_b), b) -> d loss_b / d Q(s_b, a_b)`.
    pub fn gradient(
        &self,
        features: ArrayView2<f32>,
        actions: &[usize],
        mut d_loss: impl FnMut(f32, usize) -> f32,
    ) -> Self {
        let outputs = self.activations(&features);
        let q_values = self.q_values(&outputs[self.hidden.len()]);
        let mut d_out = Array2::<f32>::zeros(outputs[self.hidden.len()].raw_dim());
        let n_actions = self.n_actions() as f32;
        for (b, &action) in actions.iter().enumerate() {
            let d = d_loss(q_values[[b, action]], b);
            if self.dueling {
                d_out[[b, 0]] = d;
                (0..self.n_actions()).for_each(|a| d_out[[b, 1 + a]] = -d / n_actions);
                d_out[[b, 1 + action]] += d;
            } else {
                d_out[[b, action]] = d;
            }
        }
        let mut gradient = self.zeros_like();
        let n_layers = self.hidden.len();
        for i in (0..=n_layers).rev() {
            let input = if i == 0 { features.view() } else { outputs[i - 1].view() };
            let layer = if i == n_layers { &self.head } else { &self.hidden[i] };
            let target = if i == n_layers { &mut gradient.head } else { &mut gradient.hidden[i] };
            target.w = as_standard(input.t().dot(&d_out));
            target.b = d_out.sum_axis(Axis(0));
            if i > 0 {
                let mut d_in = d_out.dot(&layer.w.t());
                Zip::from(&mut d_in).and(&outputs[i - 1]).for_each(|d, &a| {
                    if a <= 0.0 {
                        *d = 0.0;
                    }
                });
                d_out = as_standard(d_in);
            }
        }
        gradient
    }

    /// All parameters, as flat slices in a fixed order.
    pub fn params(&self) -> Vec<&[f32]> {
        self.hidden.iter().chain([&self.head]).flat_map(|l| [contiguous_2d(&l.w), contiguous(&l.b)]).collect()
    }

    /// All parameters, to be changed, in the same order.
    pub fn params_mut(&mut self) -> Vec<&mut [f32]> {
        self.hidden
            .iter_mut()
            .chain([&mut self.head])
            .flat_map(|l| [l.w.as_slice_mut().unwrap_or(&mut []), l.b.as_slice_mut().unwrap_or(&mut [])])
            .collect()
    }

    /// Moves every parameter towards `other`'s: `θ ← θ + rate (θ_other - θ)`.
    pub fn move_towards(&mut self, other: &Self, rate: f32) {
        for (own, theirs) in self.params_mut().into_iter().zip(other.params()) {
            own.iter_mut().zip(theirs).for_each(|(a, &b)| *a += rate * (b - *a));
        }
    }
}

/// Matrix products of transposed views come out column-major; everything else here is row-major.
fn as_standard(a: Array2<f32>) -> Array2<f32> {
    if a.is_standard_layout() { a } else { a.as_standard_layout().into_owned() }
}

/// The mean Q-values of an ensemble for one state, without allocating; `q_row` is room for one network's.
pub fn mean_q_values<'a>(
    networks: impl ExactSizeIterator<Item = &'a QNetwork>,
    features: &[f32],
    scratch: &mut Scratch,
    q_row: &mut [f32],
    q_values: &mut [f32],
) {
    q_values.fill(0.0);
    let n = networks.len() as f32;
    for network in networks {
        network.forward_row(features, scratch, q_row);
        q_values.iter_mut().zip(&*q_row).for_each(|(sum, q)| *sum += q / n);
    }
}

/// The position of the largest value; the first of equals. NaN never wins.
pub fn argmax(values: ArrayView1<f32>) -> usize {
    let mut best = 0;
    for (i, &v) in values.iter().enumerate() {
        if v > values[best] || values[best].is_nan() {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    fn batch(n: usize, n_features: usize, seed: u64) -> Array2<f32> {
        let mut rng = stream(seed, "batch");
        Array2::from_shape_simple_fn((n, n_features), || rng.random_range(-1.0..1.0))
    }

    #[test]
    fn the_backward_pass_agrees_with_finite_differences() {
        for dueling in [false, true] {
            let mut rng = stream(1, "network");
            let mut network = QNetwork::new(5, &[7, 6], 3, dueling, &mut rng);
            // Biases start at zero, where a ReLU whose inputs are all off sits exactly on its kink.
            network.params_mut().into_iter().flatten().for_each(|p| *p += rng.random_range(-0.1..0.1));
            let (x, actions, targets) = (batch(4, 5, 2), [0, 2, 1, 2], [0.3, -1.0, 0.7, 0.1]);
            let loss = |network: &QNetwork| {
                let q = network.forward(x.view());
                (0..4).map(|b| 0.5 * f64::from(q[[b, actions[b]]] - targets[b]).powi(2)).sum::<f64>()
            };
            let gradient = network.gradient(x.view(), &actions, |q, b| q - targets[b]);
            for (block, analytic) in gradient.params().into_iter().enumerate() {
                for (i, &analytic) in analytic.iter().enumerate() {
                    let h = 1e-3;
                    let moved = |by: f32| {
                        let mut n = network.clone();
                        n.params_mut()[block][i] += by;
                        loss(&n)
                    };
                    let numeric = (moved(h) - moved(-h)) / f64::from(2.0 * h);
                    assert!((numeric - f64::from(analytic)).abs() < 2e-3, "{block}/{i}: {numeric} against {analytic}");
                }
            }
        }
    }

    #[test]
    fn one_row_and_a_batch_give_the_same_q_values() {
        let network = QNetwork::new(6, &[16, 8], 3, true, &mut stream(3, "network"));
        let x = batch(5, 6, 4);
        let all = network.forward(x.view());
        let (mut scratch, mut q) = (network.scratch(), [0.0; 3]);
        for (row, expected) in x.rows().into_iter().zip(all.rows()) {
            network.forward_row(row.as_slice().unwrap(), &mut scratch, &mut q);
            assert!(q.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }

    #[test]
    fn dueling_q_values_average_to_the_state_value() {
        let network = QNetwork::new(4, &[8], 3, true, &mut stream(5, "network"));
        let x = batch(2, 4, 6);
        let head = network.activations(&x.view()).pop().unwrap();
        let q = network.forward(x.view());
        for b in 0..2 {
            assert!((q.row(b).mean().unwrap() - head[[b, 0]]).abs() < 1e-5);
        }
    }

    #[test]
    fn moving_all_the_way_is_a_copy() {
        let target = QNetwork::new(4, &[8], 3, true, &mut stream(7, "a"));
        let mut network = QNetwork::new(4, &[8], 3, true, &mut stream(8, "b"));
        network.move_towards(&target, 1.0);
        for (a, b) in network.params().into_iter().zip(target.params()) {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }

    #[test]
    fn a_network_with_a_nan_or_a_wrong_shape_is_not_sound() {
        let network = QNetwork::new(4, &[8], 3, true, &mut stream(9, "a"));
        assert!(network.is_sound());
        let mut nan = network.clone();
        nan.params_mut()[0][0] = f32::NAN;
        assert!(!nan.is_sound());
        let mut shape = network;
        shape.head = Linear::new(9, 4, 1.0, &mut stream(9, "c"));
        assert!(!shape.is_sound());
    }
}
