//! GELU (Hendrycks and Gimpel 2016, arXiv 1606.08415), without a branch and without libm.
//!
//! ```text
//! gelu x = x Φ(x)        gelu' x = Φ(x) + x φ(x)        φ(x) = exp(-x²/2) / √(2π)
//! Φ(-|x|) = ½ (a_1 t + ... + a_5 t^5) exp(-x²/2)        t = 1 / (1 + p |x| / √2)
//! ```
//!
//! The polynomial is number 7.1.26 of Abramowitz and Stegun (1964): Φ is within 1e-7 of the exact one, which PyTorch's
//! GELU uses.

use crate::meta::exp::exp;
use crate::simd::vectorized;
use std::f32::consts::{FRAC_1_SQRT_2, TAU};

const P: f32 = 0.327_591_1;
const A: [f32; 5] = [0.254_829_6, -0.284_496_75, 1.421_413_8, -1.453_152_1, 1.061_405_4];

/// GELU of every value; `slopes`, as many, become its derivatives there.
pub(super) fn gelu(values: &mut [f32], slopes: &mut [f32]) {
    let density_at_0 = TAU.sqrt().recip();
    vectorized(
        #[inline(always)]
        || {
            for (value, slope) in values.iter_mut().zip(slopes) {
                let x = *value;
                let bell = exp(-0.5 * x * x);
                let t = 1.0 / (1.0 + P * FRAC_1_SQRT_2 * x.abs());
                let tail = 0.5 * bell * (t * (A[0] + t * (A[1] + t * (A[2] + t * (A[3] + t * A[4])))));
                let below = if x < 0.0 { tail } else { 1.0 - tail };
                *value = x * below;
                *slope = below + x * (density_at_0 * bell);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_slope_is_the_difference_of_its_values_and_far_out_it_is_the_identity_or_nothing() {
        for i in -600..=600 {
            let x = 0.01 * i as f32;
            let at = |x: f32| {
                let (mut value, mut slope) = ([x], [0.0]);
                gelu(&mut value, &mut slope);
                (f64::from(value[0]), f64::from(slope[0]))
            };
            let ((above, _), (below, _), (_, slope)) = (at(x + 0.01), at(x - 0.01), at(x));
            assert!(((above - below) / 0.02 - slope).abs() < 2e-4, "{x}: {slope}");
        }
        let (mut values, mut slopes) = ([-30.0, 0.0, 1.0, 30.0, f32::NAN], [0.0; 5]);
        gelu(&mut values, &mut slopes);
        assert!(values[4].is_nan() && slopes[4].is_nan());
        // Φ(1) = 0.841 344 746...
        for (found, exact) in values.iter().zip([0.0, 0.0, 0.841_344_8, 30.0]) {
            assert!((found - exact).abs() < 2e-7, "{found} and not {exact}");
        }
    }
}
