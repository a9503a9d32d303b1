//! The most probable parameters of a process.
//!
//! ```text
//! maximize  log p(y | θ) + log p(θ),   θ = (log w_j, log s, log v)
//! log p(θ) = Σ_j -(a / w_j + a w_j)  +  log s - s  +  0.1 log v - 30 v,   a = 0.1
//! ```
//!
//! The priors are those of Optuna's GPSampler: weights between 0.1 and 10, that is lengths from a third to three
//! ranges, are about as likely; s has a Gamma(2, 1), the variance of the noise a Gamma(1.1, 30). Two starts: the mode
//! of the prior, and lengths of a quarter.

use super::lbfgs::minimize;
use super::model::{Data, Model, Theta};

/// Strength of the prior against very long and very short lengths, a above.
const PULL: f64 = 0.1;
/// Power and rate of the prior of the noise.
const NOISE: (f64, f64) = (0.1, 30.0);

/// Number of steps of L-BFGS from each start.
const N_STEPS: usize = 30;

/// Value where no process exists; it is so large that the step is halved there.
const IMPOSSIBLE: f64 = f64::INFINITY;

pub(super) fn most_probable(data: &Data) -> Theta {
    let d = data.kinds.len();
    // The mode of the prior.
    let usual: Theta = std::iter::repeat_n(0.0, d).chain([0.0, (NOISE.0 / NOISE.1).ln()]).collect();
    let mut short = usual.clone();
    short[..d].fill(2.0 * 4f64.ln());
    let lengths = std::iter::repeat_n((-9.0, 9.0), d);
    let bounds: Vec<(f64, f64)> = lengths.chain([(-4.0, 4.0), (-16.0, 0.0)]).collect();
    let value = |theta: &[f64]| -> (f64, Vec<f64>) {
        let Some(model) = Model::new(data, theta) else { return (IMPOSSIBLE, vec![0.0; d + 2]) };
        let (evidence, by_evidence) = model.evidence();
        let (prior, by_prior) = log_prior(theta);
        (-evidence - prior, by_evidence.iter().zip(&by_prior).map(|(a, b)| -a - b).collect())
    };
    let found = [usual, short].map(|start| minimize(&start, &bounds, N_STEPS, value));
    let [first, second] = found;
    if second.1 < first.1 { second.0 } else { first.0 }
}

/// log p(θ), without what does not depend on θ, and its gradient.
fn log_prior(theta: &[f64]) -> (f64, Theta) {
    let d = theta.len() - 2;
    let (scale, noise) = (theta[d].exp(), theta[d + 1].exp());
    let lengths = |by: f64| theta[..d].iter().map(move |t| PULL * ((-t).exp() - by * t.exp()));
    let value = -lengths(-1.0).sum::<f64>() + theta[d] - scale + NOISE.0 * theta[d + 1] - NOISE.1 * noise;
    (value, lengths(1.0).chain([1.0 - scale, NOISE.0 - NOISE.1 * noise]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;
    use crate::tuner::samplers::gp::model::Kind;
    use nalgebra::DVector;
    use rand::RngExt;

    #[test]
    fn a_coordinate_that_changes_much_gets_a_short_length() {
        let mut rng = stream(1, "test");
        let x: Vec<Vec<f64>> = (0..40).map(|_| (0..3).map(|_| rng.random()).collect()).collect();
        let y = DVector::from_iterator(40, x.iter().map(|x| (6.0 * x[0]).sin() + 0.5 * x[1]));
        let theta = most_probable(&Data { kinds: vec![Kind::Number; 3], x, y });
        assert!(theta[0] > theta[1].max(theta[2]) + 1.0, "{theta:?}");
        assert!(theta[4] < -7.0, "there is no noise: {theta:?}");
    }

    #[test]
    fn the_gradient_of_the_prior_is_its_slope() {
        let theta = [0.4, -1.2, 0.3, -4.0];
        for i in 0..4 {
            let at = |step: f64| {
                let mut theta = theta;
                theta[i] += step;
                log_prior(&theta).0
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((log_prior(&theta).1[i] - slope).abs() < 1e-6, "{i}: {slope}");
        }
    }
}
