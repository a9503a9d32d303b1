//! The few statistics that tables of results need, and how losses are compared.
//!
//! ```
//! use qgd::statistics::{median, paired_t_test};
//! assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
//! let test = paired_t_test(&[-0.3, -0.2, -0.25, -0.31, -0.22]).expect("five differences");
//! assert!(test.mean < 0.0 && test.p_value < 0.05);
//! ```

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Mean; NaN of no values.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (n, sum) = values.into_iter().fold((0u32, 0.0), |(n, sum), value| (n + 1, sum + value));
    sum / f64::from(n)
}

/// Geometric mean of numbers above 0; NaN of no values.
pub fn geometric_mean(values: impl IntoIterator<Item = f64>) -> f64 {
    mean(values.into_iter().map(f64::ln)).exp()
}

/// Median, which is halfway between the two middle values if their number is even; NaN of no values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n => f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]),
    }
}

/// Loss below which a task counts as solved. It is added to both losses before their ratio is taken, so that two solved
/// tasks are about as good as each other.
pub const SOLVED_LOSS: f64 = 1e-2;
/// Share of the loss of the untrained net below which a problem counts as solved, whatever the unit of its loss.
pub const SOLVED_SHARE: f64 = 1e-2;
/// Loss that a diverged run counts as; a run that ended at an even larger loss counts as this too.
pub const DIVERGED_LOSS: f64 = 1e3;

/// What a loss counts as in comparisons: [`DIVERGED_LOSS`] at most, and where it is not finite.
///
/// ```
/// use qgd::statistics::counted_loss;
/// assert_eq!([0.5, 1e9, f64::NAN].map(counted_loss), [0.5, 1e3, 1e3]);
/// ```
pub fn counted_loss(loss: f64) -> f64 {
    if loss.is_finite() { loss.min(DIVERGED_LOSS) } else { DIVERGED_LOSS }
}

/// Ratio of a loss to that of a rival, `floor` added to both: two losses far below the floor are about as good as each
/// other.
///
/// ```
/// use qgd::statistics::floored_ratio;
/// assert!((floored_ratio(0.03, 0.01, 0.01) - 2.0).abs() < 1e-12);
/// ```
pub fn floored_ratio(loss: f64, rival: f64, floor: f64) -> f64 {
    (loss + floor) / (rival + floor)
}

/// Ratio of a loss to that of a rival, [`SOLVED_LOSS`] added to both.
pub fn loss_ratio(loss: f64, rival: f64) -> f64 {
    floored_ratio(loss, rival, SOLVED_LOSS)
}

/// Logarithm of a loss with [`SOLVED_LOSS`] added: the difference of two is the logarithm of their [`loss_ratio`], to
/// rounding.
pub fn log_loss(loss: f64) -> f64 {
    (loss + SOLVED_LOSS).ln()
}

/// Result of [`paired_t_test`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TTest {
    /// Mean of the differences.
    pub mean: f64,
    /// Mean of the differences over its standard error; infinite if all differences are equal and not 0.
    pub t: f64,
    /// Two-sided p-value: the probability of a |t| at least as large if the true mean is 0.
    pub p_value: f64,
}

/// Student's t-test on the differences of pairs (Student 1908, 10.1093/biomet/6.1.1): is their mean 0?
///
/// `None` for fewer than two differences.
pub fn paired_t_test(differences: &[f64]) -> Option<TTest> {
    let n = differences.len();
    if n < 2 {
        return None;
    }
    let center = mean(differences.iter().copied());
    let squares = differences.iter().map(|d| (d - center).powi(2)).sum::<f64>();
    let standard_error = (squares / (n - 1) as f64 / n as f64).sqrt();
    // If all pairs are equal, the quotient would be 0 / 0.
    let t = if center.abs() > 0.0 { center / standard_error } else { 0.0 };
    Some(TTest { mean: center, t, p_value: two_sided_p(t, n - 1) })
}

/// Probability of |T| ≥ |t| for Student's t with a whole number of degrees of freedom, by the finite sums of
/// Abramowitz and Stegun 1964, 26.7.3 and 26.7.4.
fn two_sided_p(t: f64, degrees: usize) -> f64 {
    let theta = (t.abs() / (degrees as f64).sqrt()).atan();
    let (sin, cos) = theta.sin_cos();
    let odd = degrees % 2 == 1;
    // odd: cos + 2/3 cos^3 + 2·4/(3·5) cos^5 + ...; even: 1 + 1/2 cos^2 + 1·3/(2·4) cos^4 + ...
    let (mut term, mut sum) = (if odd { cos } else { 1.0 }, 0.0);
    let first = if odd { 1 } else { 0 };
    for power in (first..degrees.saturating_sub(1)).step_by(2) {
        sum += term;
        term *= cos * cos * (power + 1) as f64 / (power + 2) as f64;
    }
    let within = if odd { (theta + sin * sum) * std::f64::consts::FRAC_2_PI } else { sin * sum };
    (1.0 - within).clamp(0.0, 1.0)
}

/// Interval that holds the mean with probability `level`, by the percentiles of the bootstrap (Efron and Tibshirani
/// 1993, chapter 13): the range of the means of `n_resamples` draws with replacement, without the outer ones. `None`
/// for no values or no draws.
pub fn bootstrap_mean(values: &[f64], level: f64, n_resamples: usize, rng: &mut ChaCha8Rng) -> Option<[f64; 2]> {
    if values.is_empty() || n_resamples == 0 {
        return None;
    }
    let n = values.len();
    let mut means: Vec<f64> = (0..n_resamples).map(|_| mean((0..n).map(|_| values[rng.random_range(0..n)]))).collect();
    means.sort_by(f64::total_cmp);
    let outside = 0.5 * (1.0 - level.clamp(0.0, 1.0));
    let at = |part: f64| means[((n_resamples - 1) as f64 * part).round() as usize];
    Some([at(outside), at(1.0 - outside)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert!((median(&[4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-12);
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_geometric_mean_of_a_ratio_and_its_inverse_is_one() {
        assert!((geometric_mean([4.0, 0.25]) - 1.0).abs() < 1e-12);
        assert!((geometric_mean([1.0, 10.0, 100.0]) - 10.0).abs() < 1e-9);
    }

    /// Table 26.10 of Abramowitz and Stegun: quantiles of |t|.
    #[test]
    fn the_t_distribution_is_that_of_the_table() {
        let table = [
            (1, 12.706, 0.05),
            (2, 4.303, 0.05),
            (3, 3.182, 0.05),
            (4, 2.776, 0.05),
            (5, 2.571, 0.05),
            (9, 2.262, 0.05),
            (10, 2.228, 0.05),
            (29, 2.045, 0.05),
            (30, 2.042, 0.05),
            (4, 4.604, 0.01),
            (7, 1.415, 0.2),
        ];
        for (degrees, t, p) in table {
            let found = two_sided_p(t, degrees);
            assert!((found - p).abs() < 1e-3 * p.max(0.05), "{degrees} degrees, t = {t}: {found}, the table has {p}");
        }
        assert!((two_sided_p(0.0, 3) - 1.0).abs() < 1e-12);
        assert!(two_sided_p(f64::INFINITY, 4) < 1e-12);
    }

    #[test]
    fn a_paired_test_by_hand() {
        // Differences 1, 2, 3: mean 2, standard deviation 1, t = 2 √3.
        let test = paired_t_test(&[1.0, 2.0, 3.0]).unwrap();
        assert!((test.mean - 2.0).abs() < 1e-12 && (test.t - 12f64.sqrt()).abs() < 1e-12);
        // Two degrees of freedom: P(|T| > t) = 1 - t / sqrt(2 + t^2).
        assert!((test.p_value - (1.0 - (12f64 / 14.0).sqrt())).abs() < 1e-12);
        assert_eq!(paired_t_test(&[1.0]), None);
    }

    #[test]
    fn pairs_that_are_equal_do_not_differ_and_pairs_that_always_differ_do() {
        assert!((paired_t_test(&[0.0; 4]).unwrap().p_value - 1.0).abs() < 1e-12);
        assert!(paired_t_test(&[0.5; 4]).unwrap().p_value < 1e-12);
    }

    #[test]
    fn the_bootstrap_agrees_with_the_normal_interval_of_many_values() {
        // 0, 1, ..., 99: mean 49.5, standard error 28.87 / 10.
        let values: Vec<f64> = (0..100u32).map(f64::from).collect();
        let [low, high] = bootstrap_mean(&values, 0.95, 4000, &mut stream(1, "test")).unwrap();
        assert!(
            (low - (49.5 - 1.96 * 2.887)).abs() < 0.4 && (high - (49.5 + 1.96 * 2.887)).abs() < 0.4,
            "{low} {high}"
        );
        assert_eq!(bootstrap_mean(&[], 0.95, 100, &mut stream(1, "test")), None);
        assert_eq!(bootstrap_mean(&[2.0; 3], 0.95, 100, &mut stream(1, "test")), Some([2.0, 2.0]));
    }

    #[test]
    fn the_bootstrap_is_the_same_for_the_same_seed() {
        let draw = || bootstrap_mean(&[1.0, 5.0, 2.0], 0.9, 50, &mut stream(3, "test"));
        assert_eq!(draw(), draw());
    }
}
