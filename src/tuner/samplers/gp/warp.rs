//! Values brought into the shape that a Gaussian process expects: without outliers, mean 0, variance 1, in the same order.
//!
//! ```text
//! ψ(y) = ((1 + y)^λ - 1) / λ           y ≥ 0;  ln(1 + y) for λ = 0
//!        -((1 - y)^(2-λ) - 1) / (2-λ)  y < 0;  -ln(1 - y) for λ = 2
//! log L(λ) = -n/2 log var ψ(y) + (λ - 1) Σ sign(y) ln(1 + |y|)
//! ```
//!
//! Source: Yeo and Johnson 2000, 10.1093/biomet/87.4.954, (2.1) and (3.1); Cowen-Rivers et al. 2022 (HEBO, arXiv 2012.03826) show what it is worth.
//! λ is the best of 41 values from -1 to 3.

/// Costs as such values. Infinite ones become the worst finite one on their side.
pub(super) fn warped(costs: &[f64]) -> Vec<f64> {
    let finite = || costs.iter().copied().filter(|cost| cost.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    if high <= low || !low.is_finite() {
        return costs.iter().map(|cost| if cost.is_infinite() { cost.signum() } else { 0.0 }).collect();
    }
    let y = standardized(&costs.iter().map(|cost| cost.clamp(low, high)).collect::<Vec<_>>());
    let lambdas = (0..41).map(|i| -1.0 + 0.1 * f64::from(i));
    let best = lambdas.max_by(|a, b| log_likelihood(&y, *a).total_cmp(&log_likelihood(&y, *b))).unwrap_or(1.0);
    standardized(&y.iter().map(|&y| psi(y, best)).collect::<Vec<_>>())
}

fn standardized(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    // Scaled first: squares of large values overflow.
    let size = values.iter().fold(0.0, |size: f64, v| size.max(v.abs())).max(f64::MIN_POSITIVE);
    let mean = values.iter().map(|v| v / size).sum::<f64>() / n;
    let variance = values.iter().map(|v| (v / size - mean).powi(2)).sum::<f64>() / n;
    let deviation = variance.sqrt().max(1e-15);
    values.iter().map(|v| (v / size - mean) / deviation).collect()
}

fn psi(y: f64, lambda: f64) -> f64 {
    let power = |base: f64, exponent: f64| if exponent.abs() < 1e-9 { base.ln() } else { (base.powf(exponent) - 1.0) / exponent };
    if y >= 0.0 { power(1.0 + y, lambda) } else { -power(1.0 - y, 2.0 - lambda) }
}

fn log_likelihood(y: &[f64], lambda: f64) -> f64 {
    let n = y.len() as f64;
    let mean = y.iter().map(|&y| psi(y, lambda)).sum::<f64>() / n;
    let variance = y.iter().map(|&y| (psi(y, lambda) - mean).powi(2)).sum::<f64>() / n;
    let jacobian: f64 = y.iter().map(|y| y.signum() * y.abs().ln_1p()).sum();
    -0.5 * n * variance.max(1e-300).ln() + (lambda - 1.0) * jacobian
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept_and_outliers_are_drawn_in() {
        let costs: Vec<f64> = (0..50).map(|i| (0.3 * f64::from(i)).exp()).collect();
        let found = warped(&costs);
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
        let largest = found.last().unwrap();
        assert!(*largest < 3.0, "{largest} deviations, before it was above 4");
        let (mean, square) = (found.iter().sum::<f64>() / 50.0, found.iter().map(|v| v * v).sum::<f64>() / 50.0);
        assert!(mean.abs() < 1e-9 && (square - 1.0).abs() < 1e-9);
    }

    #[test]
    fn values_that_are_all_the_same_or_infinite_stay_finite() {
        assert_eq!(warped(&[3.0; 4]), [0.0; 4]);
        assert_eq!(warped(&[f64::INFINITY, 3.0]), [1.0, 0.0]);
        for costs in [vec![1e308, -1e308, f64::INFINITY, 0.0], vec![f64::NEG_INFINITY, 1.0, 2.0]] {
            assert!(warped(&costs).iter().all(|v| v.is_finite()), "{:?}", warped(&costs));
        }
    }
}
