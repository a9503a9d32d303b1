//! Problems on the caller's own data, for benches and comparisons: they run in the same kernel as meta-training.

use super::NetProblem;
use crate::meta::architecture::Net;
use crate::meta::mlp::{InnerActivation, Mlp, Target};
use rand_chacha::ChaCha8Rng;

/// Error: a net, its data and its batch do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{what}: {found} (expected {expected})")]
pub struct ProblemError {
    /// Name of what does not fit.
    pub what: &'static str,
    /// Number that was found.
    pub found: usize,
    /// Number that would fit.
    pub expected: String,
}

impl NetProblem {
    /// Multi-layer perceptron with layers of these widths (inputs first, outputs last) on the examples `inputs`, `[n,
    /// n_in]`.
    ///
    /// Minibatches of `batch_size` are drawn with replacement from all examples; all of them are the evaluation batch,
    /// see [`NetProblem::with_evaluation_batch`].
    ///
    /// # Errors
    /// When there are fewer than two widths; when a width is 0, or the batch or the data are empty; when inputs,
    /// targets and widths do not fit each other.
    ///
    /// ```
    /// use qgd::meta::{InnerActivation, NetProblem, Problem, Target};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let inputs = vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
    /// let xor = NetProblem::new(&[2, 8, 2], InnerActivation::Tanh, inputs, Target::Classes(vec![0, 1, 1, 0]), 4)?;
    /// let x = xor.init(1.0, &mut qgd::rng::stream(0, "init"));
    /// let mut problem = Problem::Net(Box::new(xor));
    /// let mut grad = vec![0.0; problem.n_params()];
    /// assert!(problem.full_batch(&x, &mut grad) > 0.0);
    /// # Ok(()) }
    /// ```
    pub fn new(
        sizes: &[usize],
        activation: InnerActivation,
        inputs: Vec<f32>,
        target: Target,
        batch_size: usize,
    ) -> Result<Self, ProblemError> {
        let wrong =
            |what, found, expected: &dyn ToString| Err(ProblemError { what, found, expected: expected.to_string() });
        let (&[n_in, .., n_out], false) = (sizes, sizes.contains(&0)) else {
            return wrong("layer widths above 0", sizes.iter().filter(|&&width| width > 0).count(), &"all, at least 2");
        };
        let (n_targets, n_classes) = match &target {
            Target::Classes(classes) => (classes.len(), classes.iter().map(|&c| usize::from(c) + 1).max().unwrap_or(0)),
            Target::Values(values) => (values.len() / n_out, n_out),
        };
        if inputs.is_empty() || !inputs.len().is_multiple_of(n_in) {
            return wrong("inputs", inputs.len(), &format!("a multiple of {n_in} above 0"));
        }
        let n = inputs.len() / n_in;
        if n_targets != n || matches!(&target, Target::Values(values) if values.len() != n * n_out) {
            return wrong("targets", n_targets, &n);
        }
        if n_classes > n_out {
            return wrong("classes", n_classes, &format!("at most {n_out}, one an output"));
        }
        if batch_size == 0 {
            return wrong("examples a batch", 0, &"at least 1");
        }
        let net = Net::Mlp(Mlp::new(sizes.to_vec(), activation));
        let (batch, rows) = (Vec::new(), Vec::new());
        Ok(Self {
            net,
            n_in,
            inputs,
            target,
            n_train: n,
            n_evaluation: n,
            n_held_out: n / 4,
            floor: 0.0,
            batch_size,
            batch,
            rows,
        })
    }

    /// The same problem with the first `n` training examples as its evaluation batch and full batch: at least one, and
    /// all if there are fewer.
    #[must_use]
    pub fn with_evaluation_batch(mut self, n: usize) -> Self {
        self.n_evaluation = n.max(1);
        self
    }

    /// Initial parameters: PyTorch's default, U(±1/√n_in) for weights and biases, times `gain`.
    pub fn init(&self, gain: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
        self.net.init(gain, rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Problem;
    use crate::rng::stream;

    fn problem(sizes: &[usize], inputs: usize, target: Target, batch: usize) -> Result<NetProblem, ProblemError> {
        NetProblem::new(sizes, InnerActivation::Tanh, vec![0.5; inputs], target, batch)
    }

    #[test]
    fn whatever_does_not_fit_is_refused_by_name() {
        let classes = |n| Target::Classes(vec![1; n]);
        let values = |n| Target::Values(vec![0.0; n]);
        for (sizes, inputs, target, batch, name) in [
            (&[][..], 4, classes(2), 1, "layer widths"),
            (&[2], 4, classes(2), 1, "layer widths"),
            (&[2, 0, 2], 4, classes(2), 1, "layer widths"),
            (&[2, 2], 0, classes(0), 1, "inputs"),
            (&[2, 2], 5, classes(2), 1, "inputs"),
            (&[2, 2], 4, classes(3), 1, "targets"),
            (&[2, 2], 4, values(5), 1, "targets"),
            (&[2, 1], 4, classes(2), 1, "classes"),
            (&[2, 2], 4, classes(2), 0, "examples a batch"),
        ] {
            let error = problem(sizes, inputs, target, batch).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        assert!(problem(&[2, 2], 4, classes(2), 1).is_ok() && problem(&[2, 2], 4, values(4), 9).is_ok());
    }

    #[test]
    fn the_evaluation_batch_is_the_whole_data_or_what_was_asked_for() {
        let mut rng = stream(1, "given");
        let inputs: Vec<f32> = (0..6).map(|i| i as f32).collect();
        let target = Target::Values(vec![0.0, 0.0, 100.0]);
        let own = NetProblem::new(&[2, 1], InnerActivation::Relu, inputs, target, 2).unwrap();
        let x = own.init(1.0, &mut rng);
        let of = |own: NetProblem| Problem::Net(Box::new(own)).evaluate(&x);
        assert!(of(own.clone()) > 1000.0);
        assert!(of(own.with_evaluation_batch(2)) < 100.0);
    }
}
