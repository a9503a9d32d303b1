//! The Q-network: a multi-layer perceptron with ReLU and dueling heads, forward and backward by hand.
//!
//! Shapes: features `[batch, n_features]`, Q-values `[batch, n_actions]`; weights `[n_in, n_out]`, row-major.
//!
//! A batch passes through the layers in chunks of rows, whose activations stay in cache. The gradient is summed chunk
//! by chunk, in their order: the same bits on every processor.

mod layer;
mod pass;

use crate::gemm::Panels;
use crate::simd::vectorized;
use layer::{Linear, contiguous, contiguous_2d};
use ndarray::{Array2, ArrayView2};
use pass::{CHUNK, Pass, chunks, matrix};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The Q-network. Also used as the container of its own gradients and of Adam's moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QNetwork {
    hidden: Vec<Linear>,
    /// With dueling heads one value, then the advantages: `[n_last, 1 + n_actions]`. Without: the Q-values, `[n_last,
    /// n_actions]`.
    head: Linear,
    dueling: bool,
}

/// Room for the activations of one row on its way through a network. Made by [`QNetwork::scratch`].
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    layers: Vec<Vec<f32>>,
}

impl QNetwork {
    /// A network with He-uniform weights (He et al. 2015, arXiv 1502.01852) and a head near zero, so that no action is
    /// favored at the start.
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

    /// Number of features that it reads.
    pub fn n_features(&self) -> usize {
        self.hidden.first().unwrap_or(&self.head).w.nrows()
    }

    /// Number of actions that it values.
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

    /// Whether all shapes fit each other and every weight is finite. A network that is read from a file must be sound.
    pub fn is_sound(&self) -> bool {
        let fits = self.layers().zip(self.layers().skip(1)).all(|(a, b)| a.w.ncols() == b.w.nrows());
        let whole = self.layers().all(|l| {
            l.b.len() == l.w.ncols() && l.w.as_slice().is_some() && l.b.as_slice().is_some() && !l.w.is_empty()
        });
        fits && whole
            && self.head.w.ncols() > usize::from(self.dueling)
            && self.params().iter().all(|p| p.iter().all(|v| v.is_finite()))
    }

    /// Whether it is sound, and has the shape of `other`.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.is_sound() && self.shape() == other.shape() && self.dueling == other.dueling
    }

    /// Room for [`QNetwork::forward_row`].
    pub fn scratch(&self) -> Scratch {
        let widths = self.layers().map(|l| vec![0.0; l.b.len()]);
        Scratch { layers: widths.collect() }
    }

    /// Q-values of one state, without an allocation. `scratch` comes from [`QNetwork::scratch`] of a network of this
    /// shape.
    pub fn forward_row(&self, features: &[f32], scratch: &mut Scratch, q_values: &mut [f32]) {
        let mut done: &[f32] = features;
        for (layer, out) in self.layers().zip(&mut scratch.layers) {
            layer.forward_row(done, out);
            if !std::ptr::eq(layer, &self.head) {
                out.iter_mut().for_each(|v| *v = v.max(0.0));
            }
            done = out;
        }
        self.q_values(done, q_values);
    }

    /// Q-values `[batch, n_actions]` of the states `features` `[batch, n_features]`.
    pub fn forward(&self, features: ArrayView2<f32>) -> Array2<f32> {
        let n_actions = self.n_actions();
        let mut pass = Pass::new(self);
        let mut q_values = vec![0.0; features.nrows() * n_actions];
        let features = features.as_standard_layout();
        let chunks = chunks(&features).zip(q_values.chunks_mut(CHUNK * n_actions));
        chunks.for_each(|(chunk, q_values)| self.q_values(pass.forward(chunk), q_values));
        matrix(q_values, n_actions)
    }

    /// What the head reads: the activations of the last hidden layer `[batch, width]`, or the features where there is
    /// none.
    #[cfg(feature = "meta")]
    pub(crate) fn last_hidden(&self, features: ArrayView2<f32>) -> Array2<f32> {
        let Some(last) = self.hidden.len().checked_sub(1) else { return features.to_owned() };
        let mut pass = Pass::new(self);
        let mut activations = Vec::new();
        for chunk in chunks(&features.as_standard_layout()) {
            pass.forward(chunk);
            activations.extend_from_slice(&pass.outputs[last]);
        }
        matrix(activations, self.hidden[last].b.len())
    }

    /// The same network for other inputs and outputs. Feature `i` takes the place of the old feature `features[i]`, or
    /// is ignored where that is `None`. The advantage of action `a` is that of the old action `actions[a]`. With
    /// dueling heads the Q-values stay the same if every old action occurs equally often in `actions`.
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
        let head = &embedded.head;
        embedded.head = Linear {
            w: Array2::from_shape_fn((head.w.nrows(), columns.len()), |(i, j)| head.w[[i, columns[j]]]),
            b: columns.iter().map(|&column| head.b[column]).collect(),
        };
        embedded
    }

    /// Adds `weights · last hidden layer + bias` to the value of one action. With dueling heads the mean over the
    /// actions is taken off again, from all of them alike.
    #[cfg(feature = "meta")]
    pub(crate) fn add_to_action(&mut self, action: usize, weights: &[f64], bias: f64) {
        let column = action + usize::from(self.dueling);
        self.head.w.column_mut(column).iter_mut().zip(weights).for_each(|(w, &v)| *w += v as f32);
        self.head.b[column] += bias as f32;
    }

    /// The Q-values `[n, n_actions]` that the outputs `head` of the last layer stand for.
    fn q_values(&self, head: &[f32], q_values: &mut [f32]) {
        if !self.dueling {
            return q_values.copy_from_slice(head);
        }
        let n_actions = self.n_actions();
        for (head, q_values) in head.chunks_exact(1 + n_actions).zip(q_values.chunks_exact_mut(n_actions)) {
            let (value, advantages) = (head[0], &head[1..]);
            let mean = advantages.iter().sum::<f32>() / n_actions as f32;
            q_values.iter_mut().zip(advantages).for_each(|(q, a)| *q = value + a - mean);
        }
    }

    /// Gradient of `sum over b of loss_b(Q(s_b, a_b))`, where `d_loss` maps `(Q(s_b, a_b), b)` to `d loss_b / d Q(s_b,
    /// a_b)`.
    pub fn gradient(
        &self,
        features: ArrayView2<f32>,
        actions: &[usize],
        mut d_loss: impl FnMut(f32, usize) -> f32,
    ) -> Self {
        let mut gradient = self.zeros_like();
        let mut pass = Pass::new(self);
        let turned: Vec<Panels> = self.layers().skip(1).map(Linear::packed_transpose).collect();
        let mut q_values = vec![0.0; CHUNK * self.n_actions()];
        let features = features.as_standard_layout();
        for (i, (chunk, actions)) in chunks(&features).zip(actions.chunks(CHUNK)).enumerate() {
            let q_values = &mut q_values[..actions.len() * self.n_actions()];
            self.q_values(pass.forward(chunk), q_values);
            let chosen = q_values.chunks_exact(self.n_actions()).zip(actions).map(|(q, &action)| q[action]);
            let d_chosen = chosen.enumerate().map(|(b, q)| d_loss(q, i * CHUNK + b));
            pass.d_out.clear();
            d_chosen.zip(actions).for_each(|(d, &action)| self.push_d_head(d, action, &mut pass.d_out));
            pass.backward(chunk, &turned, &mut gradient);
        }
        gradient
    }

    /// Adds a row to `d_head`, the gradient with respect to the outputs of the last layer; `d` is the one with respect
    /// to the Q-value of `action`.
    fn push_d_head(&self, d: f32, action: usize, d_head: &mut Vec<f32>) {
        let own = d_head.len() + usize::from(self.dueling) + action;
        let others = if self.dueling { -d / self.n_actions() as f32 } else { 0.0 };
        d_head.extend(self.dueling.then_some(d));
        d_head.resize(d_head.len() + self.n_actions(), others);
        d_head[own] += d;
    }

    /// The hidden layers, then the head.
    fn layers(&self) -> impl Iterator<Item = &Linear> {
        self.hidden.iter().chain([&self.head])
    }

    /// All parameters, as flat slices in a fixed order.
    pub fn params(&self) -> Vec<&[f32]> {
        self.layers().flat_map(|l| [contiguous_2d(&l.w), contiguous(&l.b)]).collect()
    }

    /// All parameters, mutable, in the order of [`QNetwork::params`].
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
            vectorized(
                #[inline(always)]
                || own.iter_mut().zip(theirs).for_each(|(a, &b)| *a += rate * (b - *a)),
            );
        }
    }
}

/// Mean Q-values of an ensemble for one state, without an allocation. `q_row` is room for the Q-values of one network.
pub(crate) fn mean_q_values<'a>(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;
    use rand::RngExt;

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
        let mut pass = Pass::new(&network);
        let head = pass.forward(x.as_slice().unwrap());
        let q = network.forward(x.view());
        for b in 0..2 {
            assert!((q.row(b).mean().unwrap() - head[4 * b]).abs() < 1e-5);
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
