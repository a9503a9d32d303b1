//! The logarithm of the expected improvement, without loss where the improvement is tiny.
//!
//! ```text
//! EI = σ h(z),  h(z) = φ(z) + z Φ(z),  z = (best - μ) / σ        d log h / dz = Φ(z) / h(z)
//! ```
//!
//! Source: Ament et al. 2023, Unexpected improvements to expected improvement (arXiv 2310.20708). Far to the left,
//! where φ and z Φ cancel, the asymptotic series of the normal tail (Abramowitz and Stegun 1964, 26.2.12) takes over.

/// Below it the series is used; both agree there to 1e-5.
const TAIL: f64 = -12.0;

/// log h(z) and its derivative.
pub(super) fn log_h(z: f64) -> (f64, f64) {
    let log_phi = -0.5 * z * z - 0.5 * std::f64::consts::TAU.ln();
    if z > TAIL {
        let tail = 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2);
        let h = log_phi.exp() + z * tail;
        return (h.ln(), tail / h);
    }
    // Φ(z) = φ(z) / |z| · (1 - 1/z² + 3/z⁴ - 15/z⁶ + ...), so h(z) = φ(z) / z² · (1 - 3/z² + 15/z⁴ - ...).
    let s = 1.0 / (z * z);
    let tail = 1.0 - s * (1.0 - s * (3.0 - s * (15.0 - s * 105.0)));
    let h = 1.0 - s * (3.0 - s * (15.0 - s * (105.0 - s * 945.0)));
    (log_phi + s.ln() + h.ln(), -z * tail / h)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// h(z) = ∫ (z + u) φ(u) du over u > -z, by the midpoint rule.
    fn slow_log_h(z: f64) -> f64 {
        let (n, width) = (400_000, 12.0 / 400_000.0);
        let term = |i: i32| {
            let t = (f64::from(i) + 0.5) * width;
            t * (-0.5 * (t - z) * (t - z) + 0.5 * z * z).exp() * width
        };
        let sum: f64 = (0..n).map(term).sum();
        sum.ln() - 0.5 * z * z - 0.5 * std::f64::consts::TAU.ln()
    }

    #[test]
    fn it_is_the_integral() {
        for z in [-60.0, -20.0, -12.1, -11.9, -5.0, -1.0, 0.0, 1.0, 4.0] {
            let (fast, slow) = (log_h(z).0, slow_log_h(z));
            assert!((fast - slow).abs() < 2e-5 * (1.0 + slow.abs()), "{z}: {fast}, {slow}");
        }
    }

    #[test]
    fn the_derivative_is_the_slope() {
        for z in [-1e4, -30.0, -13.0, -11.0, -3.0, 0.0, 2.0, 30.0] {
            let step = 1e-4 * (1.0 + f64::abs(z) * 1e-3);
            let slope = (log_h(z + step).0 - log_h(z - step).0) / (2.0 * step);
            assert!((log_h(z).1 - slope).abs() < 1e-3 * slope.abs(), "{z}: {} {slope}", log_h(z).1);
        }
    }
}
