//! Costs scaled for a Gaussian process: mean 0, variance 1.

/// Costs with mean 0 and variance 1. Infinite ones become the worst or the best finite one first. All are 0 where all
/// are the same.
pub(super) fn standardized(costs: &[f64]) -> Vec<f64> {
    let finite = || costs.iter().copied().filter(|cost| cost.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    if high <= low || !low.is_finite() {
        return costs.iter().map(|cost| if cost.is_infinite() { cost.signum() } else { 0.0 }).collect();
    }
    let n = costs.len() as f64;
    // Scaled first: squares of large values overflow.
    let size = low.abs().max(high.abs());
    let scaled: Vec<f64> = costs.iter().map(|cost| cost.clamp(low, high) / size).collect();
    let mean = scaled.iter().sum::<f64>() / n;
    let deviation = (scaled.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    scaled.iter().map(|v| (v - mean) / deviation.max(1e-15)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_variance_are_those_of_the_standard_normal() {
        let found = standardized(&[3.0, 5.0, f64::INFINITY, -1.0]);
        let (mean, square) = (found.iter().sum::<f64>() / 4.0, found.iter().map(|v| v * v).sum::<f64>() / 4.0);
        assert!(mean.abs() < 1e-12 && (square - 1.0).abs() < 1e-12);
        assert!((found[1] - found[2]).abs() < 1e-12 && found[3] < found[0] && found[0] < found[1]);
    }

    #[test]
    fn values_that_are_all_the_same_or_infinite_stay_finite() {
        assert_eq!(standardized(&[3.0; 4]), [0.0; 4]);
        assert_eq!(standardized(&[f64::INFINITY, 3.0]), [1.0, 0.0]);
        for costs in [vec![1e308, -1e308, f64::INFINITY, 0.0], vec![f64::NEG_INFINITY, 1.0, 2.0]] {
            assert!(standardized(&costs).iter().all(|v| v.is_finite()), "{:?}", standardized(&costs));
        }
    }
}
