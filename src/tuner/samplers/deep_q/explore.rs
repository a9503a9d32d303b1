//! How the agent tries what it does not think best.
//!
//! In a continuous space no configuration is tried twice, so what the literature counts per action is counted in its neighborhood: n(a) is
//! the sum over the trials of a Gaussian kernel of their distance to a.

use super::super::learning::softmax;
use super::view::State;
use crate::rng::standard_normal;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// An exploration policy with its strength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Explore {
    /// With rate ε a random configuration; ε falls linearly from `first` to `last` over so many trials.
    Epsilon { first: f64, last: f64, over: f64 },
    /// Better candidates more often: ∝ exp(Q / T).
    Softmax { temperature: f64 },
    /// Q + c √(ln(1 + N) / (1 + n(a))), N the trials so far (Auer et al. 2002, 10.1023/A:1013689704352).
    Ucb { bonus: f64 },
    /// A draw from N(Q, (σ / (1 + n(a)))²) (Russo et al. 2018, arXiv 1707.02038).
    Thompson { std: f64 },
}

impl Explore {
    /// Whether trial `number` is a random one.
    pub fn is_random(&self, number: usize, rng: &mut ChaCha8Rng) -> bool {
        let Self::Epsilon { first, last, over } = *self else { return false };
        let epsilon = first + (last - first) * (number as f64 / over).min(1.0);
        rng.random::<f64>() < epsilon
    }

    /// What a candidate counts.
    pub fn score(&self, q: f64, state: &State<'_>, n_trials: usize, code: &[f64], rng: &mut ChaCha8Rng) -> f64 {
        match *self {
            Self::Epsilon { .. } | Self::Softmax { .. } => q,
            Self::Ucb { bonus } => q + bonus * ((1.0 + n_trials as f64).ln() / (1.0 + state.n_near(code))).sqrt(),
            Self::Thompson { std } => q + std / (1.0 + state.n_near(code)) * standard_normal(rng),
        }
    }

    /// The index of the candidate to take, by their scores.
    pub fn choose(&self, scores: &[f64], rng: &mut ChaCha8Rng) -> usize {
        let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a))).unwrap_or(0);
        let Self::Softmax { temperature } = *self else { return best };
        let scaled: Vec<f64> = scores.iter().map(|score| score / temperature).collect();
        let mut u: f64 = rng.random();
        for (i, p) in softmax(&scaled).into_iter().enumerate() {
            if u < p {
                return i;
            }
            u -= p;
        }
        best
    }

    /// Whether the best candidate may be refined: not where a draw has decided.
    pub fn is_greedy(&self) -> bool {
        matches!(self, Self::Epsilon { .. } | Self::Ucb { .. })
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
        let epsilon = Explore::Epsilon { first: 1.0, last: 0.2, over: 10.0 };
        let mut share = |number| (0..4000).filter(|_| epsilon.is_random(number, &mut rng)).count() as f64 / 4000.0;
        assert!((share(5) - 0.6).abs() < 0.03 && (share(99) - 0.2).abs() < 0.03);
    }
}
