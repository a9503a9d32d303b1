//! Small nets with their gradients, for agents whose nets are a few thousand weights.
//!
//! A forward pass is written down operation by operation ([`Tape`]); [`Tape::backward`] goes through it from the end
//! and adds up d(output)/d(weight) by the chain rule. It uses 64-bit floats and plain loops, so that every machine
//! computes the same numbers: the workers of a study must propose the same next trial.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A linear layer `y = W x + b` in a flat vector of parameters: W `[n_out, n_in]` row-major, then b `[n_out]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    at: usize,
    n_in: usize,
    n_out: usize,
}

impl Linear {
    /// Draws its parameters from U(±`bound`); without one from U(±1/√n_in), PyTorch's default.
    pub fn init(&self, bound: Option<f64>, params: &mut [f64], rng: &mut ChaCha8Rng) {
        let bound = bound.unwrap_or(1.0 / (self.n_in as f64).sqrt());
        params[self.at..][..self.n_params()].iter_mut().for_each(|p| *p = rng.random_range(-bound..bound));
    }

    fn n_params(&self) -> usize {
        (self.n_in + 1) * self.n_out
    }
}

/// Places layers one after the other.
#[derive(Debug, Default)]
pub struct Layout {
    /// Number of parameters of all layers together.
    pub n_params: usize,
}

impl Layout {
    /// The next layer.
    pub fn linear(&mut self, n_in: usize, n_out: usize) -> Linear {
        let layer = Linear { at: self.n_params, n_in, n_out };
        self.n_params += layer.n_params();
        layer
    }
}

/// A vector on a tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Var(usize);

/// A function of each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// max(0, x)
    Relu,
    /// tanh x
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Input,
    Linear(Linear, Var),
    Map(Map, Var),
    Add(Var, Var),
    Mul(Var, Var),
    Join(Var, Var),
    /// From this element on.
    Part(Var, usize),
}

#[derive(Debug, Clone, Copy)]
struct Node {
    start: usize,
    len: usize,
    op: Op,
}

/// A forward pass, as it was computed.
#[derive(Debug)]
pub struct Tape<'p> {
    params: &'p [f64],
    values: Vec<f64>,
    nodes: Vec<Node>,
}

impl<'p> Tape<'p> {
    /// An empty one for a net with these parameters.
    pub fn new(params: &'p [f64]) -> Self {
        Self { params, values: Vec::with_capacity(512), nodes: Vec::with_capacity(32) }
    }

    /// A constant.
    pub fn input(&mut self, values: &[f64]) -> Var {
        self.push(Op::Input, values.len(), |_, _, out| out.copy_from_slice(values))
    }

    /// `W x + b`
    pub fn linear(&mut self, layer: Linear, x: Var) -> Var {
        self.push(Op::Linear(layer, x), layer.n_out, |tape, before, out| {
            let (weights, biases) = tape.weights(layer);
            let x = tape.slice(before, x);
            for ((y, row), bias) in out.iter_mut().zip(weights.chunks_exact(layer.n_in)).zip(biases) {
                *y = bias + row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
            }
        })
    }

    /// A function of each element.
    pub fn map(&mut self, map: Map, x: Var) -> Var {
        self.push(Op::Map(map, x), self.nodes[x.0].len, |tape, before, out| {
            let apply = |x: f64| match map {
                Map::Relu => x.max(0.0),
                Map::Tanh => x.tanh(),
                Map::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            };
            out.iter_mut().zip(tape.slice(before, x)).for_each(|(y, &x)| *y = apply(x));
        })
    }

    /// Element by element.
    pub fn add(&mut self, a: Var, b: Var) -> Var {
        self.push(Op::Add(a, b), self.nodes[a.0].len, |tape, before, out| {
            let pairs = tape.slice(before, a).iter().zip(tape.slice(before, b));
            out.iter_mut().zip(pairs).for_each(|(y, (a, b))| *y = a + b);
        })
    }

    /// Element by element.
    pub fn mul(&mut self, a: Var, b: Var) -> Var {
        self.push(Op::Mul(a, b), self.nodes[a.0].len, |tape, before, out| {
            let pairs = tape.slice(before, a).iter().zip(tape.slice(before, b));
            out.iter_mut().zip(pairs).for_each(|(y, (a, b))| *y = a * b);
        })
    }

    /// One behind the other.
    pub fn join(&mut self, a: Var, b: Var) -> Var {
        let n = self.nodes[a.0].len;
        self.push(Op::Join(a, b), n + self.nodes[b.0].len, |tape, before, out| {
            out[..n].copy_from_slice(tape.slice(before, a));
            out[n..].copy_from_slice(tape.slice(before, b));
        })
    }

    /// `len` elements from `from` on.
    pub fn part(&mut self, x: Var, from: usize, len: usize) -> Var {
        self.push(Op::Part(x, from), len, |tape, before, out| {
            out.copy_from_slice(&tape.slice(before, x)[from..from + len]);
        })
    }

    /// One step of a long short-term memory (Hochreiter and Schmidhuber 1997) from (h, c) to the next: `gates` makes,
    /// of x and h, the input, forget and output gates and the candidate, one behind the other.
    pub fn lstm(&mut self, gates: Linear, x: Var, (h, c): (Var, Var)) -> (Var, Var) {
        let n = gates.n_out / 4;
        let seen = self.join(x, h);
        let all = self.linear(gates, seen);
        let [input, forget, output] = [0, 1, 2].map(|gate| {
            let gate = self.part(all, gate * n, n);
            self.map(Map::Sigmoid, gate)
        });
        let candidate = self.part(all, 3 * n, n);
        let candidate = self.map(Map::Tanh, candidate);
        let (kept, new) = (self.mul(forget, c), self.mul(input, candidate));
        let c = self.add(kept, new);
        let shown = self.map(Map::Tanh, c);
        (self.mul(output, shown), c)
    }

    /// The elements.
    pub fn value(&self, var: Var) -> &[f64] {
        self.slice(&self.values, var)
    }

    /// Current end of the tape, for [`Tape::rewind`].
    pub fn mark(&self) -> usize {
        self.nodes.len()
    }

    /// Forgets what was computed after `mark`.
    pub fn rewind(&mut self, mark: usize) {
        self.values.truncate(self.nodes.get(mark).map_or(self.values.len(), |node| node.start));
        self.nodes.truncate(mark);
    }

    /// Adds to `grad` the gradient of the sum of `weights · var` over `outputs` by every parameter.
    pub fn backward(&self, outputs: &[(Var, Vec<f64>)], grad: &mut [f64]) {
        let mut d = vec![0.0; self.values.len()];
        for (var, weights) in outputs {
            let start = self.nodes[var.0].start;
            d[start..].iter_mut().zip(weights).for_each(|(d, w)| *d += w);
        }
        for node in self.nodes.iter().rev() {
            let (before, after) = d.split_at_mut(node.start);
            self.back(node, &after[..node.len], before, grad);
        }
    }

    /// One operation backward: `d_out` is known, what it depends on is in `d`.
    fn back(&self, node: &Node, d_out: &[f64], d: &mut [f64], grad: &mut [f64]) {
        let start = |var: Var| self.nodes[var.0].start;
        let own = &self.values[node.start..][..node.len];
        match node.op {
            Op::Input => {}
            Op::Linear(layer, x) => {
                let (weights, _) = self.weights(layer);
                let (input, at) = (self.value(x), start(x));
                let (d_weights, d_biases) = grad[layer.at..][..layer.n_params()].split_at_mut(layer.n_in * layer.n_out);
                for (j, &dy) in d_out.iter().enumerate() {
                    d_biases[j] += dy;
                    let row = j * layer.n_in..(j + 1) * layer.n_in;
                    d_weights[row.clone()].iter_mut().zip(input).for_each(|(dw, x)| *dw += dy * x);
                    d[at..].iter_mut().zip(&weights[row]).for_each(|(dx, w)| *dx += dy * w);
                }
            }
            Op::Map(map, x) => {
                let slope = |y: f64| match map {
                    Map::Relu => f64::from(u8::from(y > 0.0)),
                    Map::Tanh => 1.0 - y * y,
                    Map::Sigmoid => y * (1.0 - y),
                };
                let pairs = d_out.iter().zip(own);
                d[start(x)..].iter_mut().zip(pairs).for_each(|(dx, (dy, &y))| *dx += dy * slope(y));
            }
            Op::Add(a, b) => {
                for var in [a, b] {
                    d[start(var)..].iter_mut().zip(d_out).for_each(|(dx, dy)| *dx += dy);
                }
            }
            Op::Mul(a, b) => {
                for (var, other) in [(a, b), (b, a)] {
                    let pairs = d_out.iter().zip(self.value(other));
                    d[start(var)..].iter_mut().zip(pairs).for_each(|(dx, (dy, other))| *dx += dy * other);
                }
            }
            Op::Join(a, b) => {
                let (first, second) = d_out.split_at(self.nodes[a.0].len);
                d[start(a)..].iter_mut().zip(first).for_each(|(dx, dy)| *dx += dy);
                d[start(b)..].iter_mut().zip(second).for_each(|(dx, dy)| *dx += dy);
            }
            Op::Part(x, from) => d[start(x) + from..].iter_mut().zip(d_out).for_each(|(dx, dy)| *dx += dy),
        }
    }

    fn weights(&self, layer: Linear) -> (&[f64], &[f64]) {
        self.params[layer.at..][..layer.n_params()].split_at(layer.n_in * layer.n_out)
    }

    fn slice<'v>(&self, values: &'v [f64], var: Var) -> &'v [f64] {
        let Node { start, len, .. } = self.nodes[var.0];
        &values[start..start + len]
    }

    /// `compute` is given this tape, the values before the new ones, and room for those.
    fn push(&mut self, op: Op, len: usize, compute: impl FnOnce(&Self, &[f64], &mut [f64])) -> Var {
        let start = self.values.len();
        let mut values = std::mem::take(&mut self.values);
        values.resize(start + len, 0.0);
        let (before, out) = values.split_at_mut(start);
        compute(self, before, out);
        self.values = values;
        self.nodes.push(Node { start, len, op });
        Var(self.nodes.len() - 1)
    }
}

/// The probabilities that go with these logits.
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|logit| (logit - highest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Adam (Kingma and Ba 2015, arXiv 1412.6980, Algorithm 1), downhill.
#[derive(Debug, Clone)]
pub struct Adam {
    lr: f64,
    first: Vec<f64>,
    second: Vec<f64>,
    t: i32,
}

impl Adam {
    const BETA1: f64 = 0.9;
    const BETA2: f64 = 0.999;
    const EPS: f64 = 1e-8;

    /// At the start.
    pub fn new(lr: f64, n_params: usize) -> Self {
        Self { lr, first: vec![0.0; n_params], second: vec![0.0; n_params], t: 0 }
    }

    /// One step. A gradient that is not finite is not used.
    pub fn step(&mut self, params: &mut [f64], grad: &[f64]) {
        if !grad.iter().all(|g| g.is_finite()) {
            return;
        }
        self.t += 1;
        let [bias1, bias2] = [Self::BETA1, Self::BETA2].map(|beta| 1.0 - beta.powi(self.t));
        for (((p, &g), m), v) in params.iter_mut().zip(grad).zip(&mut self.first).zip(&mut self.second) {
            *m = Self::BETA1 * *m + (1.0 - Self::BETA1) * g;
            *v = Self::BETA2 * *v + (1.0 - Self::BETA2) * g * g;
            *p -= self.lr * (*m / bias1) / ((*v / bias2).sqrt() + Self::EPS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    /// Every operation at least once: three steps of an LSTM, then a layer y and y + max(0, y).
    fn outputs(tape: &mut Tape<'_>, gates: Linear, head: Linear, inputs: &[[f64; 2]]) -> Vec<Var> {
        let zeros = [0.0; 3];
        let mut state = (tape.input(&zeros), tape.input(&zeros));
        let mut heads = Vec::new();
        for input in inputs {
            let x = tape.input(input);
            state = tape.lstm(gates, x, state);
            let y = tape.linear(head, state.0);
            let positive = tape.map(Map::Relu, y);
            heads.push(tape.add(y, positive));
        }
        heads
    }

    #[test]
    fn the_backward_pass_agrees_with_finite_differences() {
        let mut layout = Layout::default();
        let (gates, head) = (layout.linear(5, 12), layout.linear(3, 2));
        let (mut params, mut rng) = (vec![0.0; layout.n_params], stream(1, "tape"));
        gates.init(Some(1.0), &mut params, &mut rng);
        head.init(Some(1.0), &mut params, &mut rng);
        let (inputs, weights) = ([[0.5, -1.0], [1.5, 0.3], [-0.7, 0.2]], [0.4, -1.3]);
        let loss = |params: &[f64]| {
            let mut tape = Tape::new(params);
            let heads = outputs(&mut tape, gates, head, &inputs);
            heads.iter().flat_map(|&y| tape.value(y).iter().zip(&weights).map(|(y, w)| y * w)).sum::<f64>()
        };
        let mut grad = vec![0.0; params.len()];
        let mut tape = Tape::new(&params);
        let heads = outputs(&mut tape, gates, head, &inputs);
        let seeds: Vec<_> = heads.into_iter().map(|y| (y, weights.to_vec())).collect();
        tape.backward(&seeds, &mut grad);
        assert!(grad.iter().filter(|g| g.abs() > 1e-3).count() > 60);
        for i in 0..params.len() {
            let at = |h: f64| {
                let mut moved = params.clone();
                moved[i] += h;
                loss(&moved)
            };
            let numeric = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((numeric - grad[i]).abs() < 1e-7, "{i}: {numeric} against {}", grad[i]);
        }
    }

    #[test]
    fn what_is_rewound_is_computed_again_the_same() {
        let mut layout = Layout::default();
        let layer = layout.linear(2, 2);
        let params = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut tape = Tape::new(&params);
        let x = tape.input(&[1.0, -1.0]);
        let mark = tape.mark();
        let first = tape.linear(layer, x);
        assert_eq!(tape.value(first), [4.0, 5.0]);
        tape.rewind(mark);
        let again = tape.linear(layer, x);
        assert_eq!((again, tape.value(again)), (first, &[4.0, 5.0][..]));
        assert_eq!(tape.value(x), [1.0, -1.0]);
    }

    #[test]
    fn the_first_step_of_adam_has_the_size_of_the_learning_rate_and_nonsense_is_left_out() {
        let (mut params, mut adam) = ([1.0, 1.0], Adam::new(0.1, 2));
        adam.step(&mut params, &[5.0, -0.01]);
        assert!((params[0] - 0.9).abs() < 1e-6 && (params[1] - 1.1).abs() < 1e-6);
        let before = params;
        adam.step(&mut params, &[f64::NAN, 0.0]);
        assert_eq!(params.map(f64::to_bits), before.map(f64::to_bits));
    }

    #[test]
    fn probabilities_add_up_and_large_logits_do_not_overflow() {
        let p = softmax(&[1000.0, 1000.0 - 3f64.ln(), -1000.0]);
        assert!((p[0] - 0.75).abs() < 1e-12 && (p[1] - 0.25).abs() < 1e-12 && p[2].abs() < 1e-12);
    }
}
