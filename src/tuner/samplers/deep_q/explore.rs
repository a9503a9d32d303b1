//! How the agent tries what it does not think best: the formulas of [`crate::dqn`], with other counts.
//!
//! In a continuous space no configuration is tried twice, so the trials in the neighborhood of a configuration a are
//! counted: n(a) is the sum over the trials of a Gaussian kernel of their distance to a.

use super::view::State;
use crate::dqn::EpsilonSchedule;
use crate::dqn::formulas::{argmax, softmax, thompson, upper_bound};
use crate::rng::standard_normal;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// An exploration policy with its strength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Explore {
    /// With rate ε a random configuration. Its schedule counts trials.
    Epsilon(EpsilonSchedule),
    /// Better candidates more often: ∝ exp(Q / T).
    Softmax { temperature: f64 },
    /// Q + c √(ln(1 + N) / (1 + n(a))), N the trials so far: every neighborhood counts as tried once more than it was.
    Ucb { bonus: f64 },
    /// A draw from N(Q, (σ / (1 + n(a)))²).
    Thompson { std: f64 },
}

impl Explore {
    /// Whether trial `number` is a random one.
    pub fn is_random(&self, number: usize, rng: &mut ChaCha8Rng) -> bool {
        let Self::Epsilon(schedule) = self else { return false };
        rng.random::<f64>() < schedule.epsilon(number as f64, &[])
    }

    /// Score of a candidate.
    pub fn score(&self, q: f64, state: &State<'_>, n_trials: usize, code: &[f64], rng: &mut ChaCha8Rng) -> f64 {
        match *self {
            Self::Epsilon(_) | Self::Softmax { .. } => q,
            Self::Ucb { bonus } => upper_bound(q, bonus, 1.0 + n_trials as f64, 1.0 + state.n_near(code)),
            Self::Thompson { std } => thompson(q, std, state.n_near(code), standard_normal(rng)),
        }
    }

    /// The index of the candidate to take, by their scores.
    pub fn choose(&self, scores: &[f64], rng: &mut ChaCha8Rng) -> usize {
        match *self {
            Self::Softmax { temperature } => softmax(scores.iter().copied(), temperature, rng.random()),
            _ => argmax(scores.iter().copied()),
        }
    }

    /// Whether the best candidate may be refined: not where a draw has decided.
    pub fn is_greedy(&self) -> bool {
        matches!(self, Self::Epsilon(_) | Self::Ucb { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::{Outcome, Seen};
    use super::*;
    use crate::rng::stream;

    #[test]
    fn each_policy_follows_its_formula() {
        let trials = vec![Seen { code: vec![0.0], outcome: Outcome::Cost(1.0) }; 3];
        let state = State::new([0.0; 5], &trials);
        let mut rng = stream(1, "explore");
        // At the trials themselves n = 3, far away 0.
        let ucb = Explore::Ucb { bonus: 2.0 };
        let near = ucb.score(0.5, &state, 3, &[0.0], &mut rng);
        assert!((near - (0.5 + 2.0 * (4f64.ln() / 4.0).sqrt())).abs() < 1e-12);
        assert!((ucb.score(0.5, &state, 3, &[2.0], &mut rng) - (0.5 + 2.0 * 4f64.ln().sqrt())).abs() < 1e-3);
        let thompson = Explore::Thompson { std: 2.0 };
        let mut draws = |code: f64| {
            let all: Vec<f64> = (0..4000).map(|_| thompson.score(0.0, &state, 3, &[code], &mut rng)).collect();
            (all.iter().map(|draw| draw * draw).sum::<f64>() / 4000.0).sqrt()
        };
        assert!((draws(0.0) - 0.5).abs() < 0.03 && (draws(2.0) - 2.0).abs() < 0.1);
        let softmax = Explore::Softmax { temperature: 0.5 };
        let share = (0..4000).filter(|_| softmax.choose(&[0.0, 0.5 * 3f64.ln()], &mut rng) == 1).count() as f64;
        assert!((share / 4000.0 - 0.75).abs() < 0.03);
        let epsilon = Explore::Epsilon(EpsilonSchedule::Linear { first: 1.0, last: 0.2, over: 10.0 });
        let mut share = |number| (0..4000).filter(|_| epsilon.is_random(number, &mut rng)).count() as f64 / 4000.0;
        assert!((share(5) - 0.6).abs() < 0.03 && (share(99) - 0.2).abs() < 0.03);
    }
}
