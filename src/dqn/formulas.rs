//! Formulas that choose one of several actions by their values Q(s, a).
//!
//! ```text
//! greedy       argmax over a of Q(s, a)
//! softmax      a with probability ∝ exp(Q(s, a) / T)                Sutton and Barto 2018, section 2.8
//! UCB          argmax over a of Q(s, a) + c √(ln N / n(a))          Auer et al. 2002, doi 10.1023/A:1013689704352
//! Thompson     argmax over a of a draw from N(Q(s, a), σ(a)²),      Thompson 1933; Russo et al. 2018, arXiv 1707.02038
//!              σ(a) = σ0 / (1 + n(a))
//! ```
//!
//! n(a) is how often `a` was tried, N the sum of these counts. They are real numbers: where actions are points of a
//! space in which none is tried twice, n(a) is how often the neighborhood of `a` was. Random numbers are given, not
//! drawn.

use crate::rng::pick;

/// The position of the highest value, the first of equals. NaN never wins; where all are NaN, it is the last position.
pub(crate) fn argmax<T: Into<f64>>(values: impl IntoIterator<Item = T>) -> usize {
    let mut best = (0, f64::NAN);
    for (i, v) in values.into_iter().map(Into::into).enumerate() {
        if v > best.1 || best.1.is_nan() {
            best = (i, v);
        }
    }
    best.0
}

/// Index of the action whose share of the probabilities `u` falls into; `u` is uniform in [0, 1). Values that are NaN
/// have no share.
pub(crate) fn softmax(q_values: impl Iterator<Item = f64> + Clone, temperature: f64, u: f64) -> usize {
    let best = argmax(q_values.clone());
    let highest = q_values.clone().nth(best).unwrap_or(0.0);
    let weight = |q: f64| match q {
        q if q.is_nan() => 0.0,
        // Also where both are infinite, whose difference is NaN.
        q if q >= highest => 1.0,
        q => ((q - highest) / temperature).exp(),
    };
    let weights = q_values.map(weight);
    let total: f64 = weights.clone().sum();
    if total > 0.0 { pick(weights, u * total) } else { best }
}

/// Upper confidence bound of a value, c the bonus. Infinite where n is 0: what was never tried comes first.
pub(crate) fn upper_bound(q: f64, bonus: f64, n_total: f64, n: f64) -> f64 {
    if n == 0.0 { f64::INFINITY } else { q + bonus * (n_total.ln() / n).sqrt() }
}

/// A draw from N(q, (std / (1 + n))²), where `z` is one from N(0, 1).
pub(crate) fn thompson(q: f64, std: f64, n: f64, z: f64) -> f64 {
    q + std / (1.0 + n) * z
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{standard_normal, stream};

    #[test]
    fn the_first_of_the_highest_wins_and_nan_never_does() {
        assert_eq!(argmax([1.0f32, 3.0, 3.0, -1.0]), 1);
        assert_eq!(argmax([f32::NAN, f32::NEG_INFINITY, f32::NAN]), 1);
        assert_eq!(argmax([2.0, f64::NAN, 1.0]), 0);
        assert_eq!((argmax([f64::NAN; 3]), argmax([0f64; 0])), (2, 0));
    }

    #[test]
    fn softmax_divides_the_unit_interval_in_the_order_of_the_actions() {
        // Weights 1 : 3 : 0.
        let q = [0.0, 0.5 * 3f64.ln(), f64::NAN];
        let chosen = [0.0, 0.2499, 0.2501, 0.9999].map(|u| softmax(q.iter().copied(), 0.5, u));
        assert_eq!(chosen, [0, 0, 1, 1]);
        assert_eq!(softmax([f64::NAN; 2].into_iter(), 0.5, 0.9), 1);
        assert_eq!(softmax(std::iter::empty(), 0.5, 0.9), 0);
    }

    #[test]
    fn a_bonus_and_a_spread_fall_with_the_count() {
        assert!((upper_bound(0.5, 2.0, 9.0, 4.0) - (0.5 + 2.0 * (9f64.ln() / 4.0).sqrt())).abs() < 1e-12);
        assert!(upper_bound(0.5, 0.0, 9.0, 0.0) > 1e300);
        let mut rng = stream(1, "thompson");
        for (n, std) in [(0.0, 2.0), (3.0, 0.5), (3.5, 2.0 / 4.5)] {
            let squares = (0..40_000).map(|_| (thompson(1.0, 2.0, n, standard_normal(&mut rng)) - 1.0).powi(2));
            let found = (squares.sum::<f64>() / 40_000.0).sqrt();
            assert!((found / std - 1.0).abs() < 0.02, "{found} instead of {std}");
        }
    }
}
