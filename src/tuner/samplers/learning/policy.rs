//! Stochastic policies: a probability for each value of each parameter, and the gradient of the probability of a
//! choice.
//!
//! ```text
//! mlp    s [d] -> 64 -> relu -> 16 -> relu -> one softmax a parameter
//! rnn    h_i = tanh(W [onehot(s_i); h_{i-1}]), z_i = relu(V [h_i; h_d]) [8], one softmax a parameter on z_i
//! lstm   two layers; x_i = [onehot(a_{i-1}); onehot(i)], on the upper h_i one softmax a parameter, which draws a_i
//! ```
//!
//! s is the state, one value index a parameter; a the choices themselves, so that the last one is autoregressive.
//! Parameters that are not active are left out: they have no choice and no gradient.

use super::tape::{Layout, Linear, Map, Tape, Var, softmax};
use rand_chacha::ChaCha8Rng;
use std::str::FromStr;

/// Kind of the net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// The multi-head perceptron of Mohamed et al.
    Mlp,
    /// Their recurrent net over the state.
    Rnn,
    /// The controller of Zoph and Le.
    Lstm {
        /// Number of units of each of the two layers.
        width: usize,
    },
}

impl FromStr for PolicyKind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "mlp" => Ok(Self::Mlp),
            "rnn" => Ok(Self::Rnn),
            _ => Err(()),
        }
    }
}

/// Hidden units of the multi-head perceptron.
const MLP: [usize; 2] = [64, 16];
/// Hidden units of the recurrent net, and of the linear layer after it.
const RNN: [usize; 2] = [16, 8];

/// A policy with its parameters.
#[derive(Debug, Clone)]
pub struct Policy {
    kind: PolicyKind,
    n_values: Vec<usize>,
    body: Vec<Linear>,
    heads: Vec<Linear>,
    /// All weights.
    pub params: Vec<f64>,
}

/// One choice, as it was made.
struct Step {
    logits: Var,
    probabilities: Vec<f64>,
    choice: usize,
}

impl Policy {
    /// A policy for parameters with these numbers of values. Weights are drawn from U(±`bound`), or as by PyTorch's
    /// default.
    pub fn new(kind: PolicyKind, n_values: Vec<usize>, bound: Option<f64>, rng: &mut ChaCha8Rng) -> Self {
        let mut layout = Layout::default();
        let (n, widest) = (n_values.len(), n_values.iter().copied().max().unwrap_or(1));
        let (body, top) = match kind {
            PolicyKind::Mlp => (vec![layout.linear(n, MLP[0]), layout.linear(MLP[0], MLP[1])], MLP[1]),
            PolicyKind::Rnn => {
                (vec![layout.linear(widest + RNN[0], RNN[0]), layout.linear(2 * RNN[0], RNN[1])], RNN[1])
            }
            PolicyKind::Lstm { width } => {
                (vec![layout.linear(widest + n + width, 4 * width), layout.linear(2 * width, 4 * width)], width)
            }
        };
        let heads: Vec<Linear> = n_values.iter().map(|&n| layout.linear(top, n)).collect();
        let mut params = vec![0.0; layout.n_params];
        body.iter().chain(&heads).for_each(|layer| layer.init(bound, &mut params, rng));
        Self { kind, n_values, body, heads, params }
    }

    /// Chooses parameter by parameter: `choose` gets the probabilities of the values and answers the index of one; None
    /// where the parameter is not active.
    pub fn choose(&self, state: &[Option<usize>], choose: impl FnMut(usize, &[f64]) -> Option<usize>) {
        self.run(state, choose);
    }

    /// Adds to `grad` the gradient of `weight` times the log-probability of these choices.
    pub fn add_gradient(&self, state: &[Option<usize>], choices: &[Option<usize>], weight: f64, grad: &mut [f64]) {
        let (tape, steps) = self.run(state, |i, _| choices[i]);
        // d ln softmax(z)[a] / dz = onehot(a) - softmax(z)
        let d_logits = |step: Step| {
            let mut d: Vec<f64> = step.probabilities.iter().map(|p| -weight * p).collect();
            d[step.choice] += weight;
            (step.logits, d)
        };
        let outputs: Vec<_> = steps.into_iter().map(d_logits).collect();
        tape.backward(&outputs, grad);
    }

    fn run(
        &self,
        state: &[Option<usize>],
        mut choose: impl FnMut(usize, &[f64]) -> Option<usize>,
    ) -> (Tape<'_>, Vec<Step>) {
        let mut tape = Tape::new(&self.params);
        let mut steps = Vec::with_capacity(self.heads.len());
        let mut head = |tape: &mut Tape<'_>, i: usize, x: Var| {
            let logits = tape.linear(self.heads[i], x);
            let probabilities = softmax(tape.value(logits));
            let choice = choose(i, &probabilities)?;
            steps.push(Step { logits, probabilities, choice });
            Some(choice)
        };
        match self.kind {
            PolicyKind::Mlp => {
                let top = self.perceptron(&mut tape, state);
                (0..self.heads.len()).for_each(|i| _ = head(&mut tape, i, top));
            }
            PolicyKind::Rnn => {
                let tops = self.recurrent(&mut tape, state);
                tops.into_iter().enumerate().for_each(|(i, top)| _ = head(&mut tape, i, top));
            }
            PolicyKind::Lstm { width } => self.autoregressive(&mut tape, width, head),
        }
        (tape, steps)
    }

    fn perceptron(&self, tape: &mut Tape<'_>, state: &[Option<usize>]) -> Var {
        let indices: Vec<f64> = state.iter().map(|index| index.map_or(-1.0, |index| index as f64)).collect();
        let mut x = tape.input(&indices);
        for &layer in &self.body {
            x = tape.linear(layer, x);
            x = tape.map(Map::Relu, x);
        }
        x
    }

    fn recurrent(&self, tape: &mut Tape<'_>, state: &[Option<usize>]) -> Vec<Var> {
        let mut h = tape.input(&[0.0; RNN[0]]);
        let mut seen = Vec::with_capacity(state.len());
        for &index in state {
            let x = tape.input(&one_hot(index, self.widest()));
            h = tape.join(x, h);
            h = tape.linear(self.body[0], h);
            h = tape.map(Map::Tanh, h);
            seen.push(h);
        }
        let mut top = |own: Var| {
            let both = tape.join(own, h);
            let z = tape.linear(self.body[1], both);
            tape.map(Map::Relu, z)
        };
        seen.into_iter().map(&mut top).collect()
    }

    fn autoregressive<'p>(
        &'p self,
        tape: &mut Tape<'p>,
        width: usize,
        mut head: impl FnMut(&mut Tape<'p>, usize, Var) -> Option<usize>,
    ) {
        let zeros = tape.input(&vec![0.0; width]);
        let (mut lower, mut upper) = ((zeros, zeros), (zeros, zeros));
        let mut before = None;
        for i in 0..self.heads.len() {
            let x = [one_hot(before, self.widest()), one_hot(Some(i), self.heads.len())].concat();
            let mark = tape.mark();
            let x = tape.input(&x);
            let next_lower = tape.lstm(self.body[0], x, lower);
            let next_upper = tape.lstm(self.body[1], next_lower.0, upper);
            match head(tape, i, next_upper.0) {
                Some(choice) => (lower, upper, before) = (next_lower, next_upper, Some(choice)),
                None => tape.rewind(mark),
            }
        }
    }

    fn widest(&self) -> usize {
        self.n_values.iter().copied().max().unwrap_or(1)
    }
}

/// All zeros for None.
fn one_hot(index: Option<usize>, n: usize) -> Vec<f64> {
    (0..n).map(|i| f64::from(u8::from(Some(i) == index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn the_gradient_of_the_log_probability_agrees_with_finite_differences() {
        let state = [Some(2), Some(0), None, Some(1)];
        // The third parameter is not active, the last has a single value.
        let choices = [Some(1), Some(3), None, Some(0)];
        for kind in [PolicyKind::Mlp, PolicyKind::Rnn, PolicyKind::Lstm { width: 5 }] {
            let mut policy = Policy::new(kind, vec![3, 4, 2, 1], Some(0.5), &mut stream(2, "policy"));
            let mut grad = vec![0.0; policy.params.len()];
            policy.add_gradient(&state, &choices, -1.5, &mut grad);
            let mut at = |i: usize, h: f64| {
                policy.params[i] += h;
                let mut sum = 0.0;
                policy.choose(&state, |i, p| {
                    sum += choices[i].map_or(0.0, |choice| p[choice].ln());
                    choices[i]
                });
                policy.params[i] -= h;
                -1.5 * sum
            };
            for (i, analytic) in grad.iter().enumerate() {
                let numeric = (at(i, 1e-6) - at(i, -1e-6)) / 2e-6;
                assert!((numeric - analytic).abs() < 1e-6, "{kind:?} {i}: {numeric} against {analytic}");
            }
            assert!(grad.iter().filter(|g| g.abs() > 1e-6).count() > 30, "{kind:?}");
        }
    }
}
