//! exp without a branch, so that the compiler computes several at once: most of an ask goes into exponentials.

use crate::meta::simd::vectorized;

/// ln 2 in two parts: k·`LN2_HI` is exact for every k that can occur.
const LN2_HI: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN2_LO: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
/// A float of this size, 1.5 · 2^52, has no fraction, and its last bits are its value.
const WHOLE: f64 = 6_755_399_441_055_744.0;
/// Below it the result would not be a normal number any more: it is taken as 0.
const SMALLEST: f64 = -708.0;

/// The sum of exp(v - `shift`) of all values; `shift` is to be at least the largest of them.
pub(super) fn sum_of_exp(values: &[f64], shift: f64) -> f64 {
    vectorized(
        #[inline(always)]
        || {
            // Four sums side by side, always added in the same order: the same bits with vector instructions and without.
            let mut sums = [0.0; 4];
            let chunks = values.chunks_exact(4);
            let rest: f64 = chunks.remainder().iter().map(|v| exp(v - shift)).sum();
            for chunk in chunks {
                for (sum, v) in sums.iter_mut().zip(chunk) {
                    *sum += exp(v - shift);
                }
            }
            (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
        },
    )
}

/// The largest value.
pub(super) fn largest(values: &[f64]) -> f64 {
    vectorized(
        #[inline(always)]
        || {
            let larger = |a: f64, b: f64| if a > b { a } else { b };
            let mut largest = [f64::NEG_INFINITY; 8];
            let chunks = values.chunks_exact(8);
            let rest = chunks.remainder().iter().copied().fold(f64::NEG_INFINITY, larger);
            for chunk in chunks {
                for (a, b) in largest.iter_mut().zip(chunk) {
                    *a = larger(*a, *b);
                }
            }
            largest.into_iter().fold(rest, larger)
        },
    )
}

/// exp `x` for `x` ≤ 0: x = k ln 2 + r with |r| ≤ ½ ln 2, and the Taylor series of exp r up to r^12, whose rest is below 2e-16.
#[inline(always)]
fn exp(x: f64) -> f64 {
    let bounded = if x > SMALLEST { x } else { SMALLEST };
    let shifted = bounded * std::f64::consts::LOG2_E + WHOLE;
    let k = shifted - WHOLE;
    let r = (bounded - k * LN2_HI) - k * LN2_LO;
    let mut series = 1.0 / 479_001_600.0;
    for inverse in INVERSE_FACTORIALS {
        series = series * r + inverse;
    }
    // The bits of k, moved to where the exponent stands.
    let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    if x > SMALLEST { series * power } else { 0.0 }
}

/// 1/11!, 1/10!, ..., 1/0!.
const INVERSE_FACTORIALS: [f64; 12] = [
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_exp_to_the_last_bits() {
        for i in 0..200_000 {
            let x = -f64::from(i) * 0.0035;
            assert!((exp(x) - x.exp()).abs() <= 1e-15 * x.exp(), "{x}: {} {}", exp(x), x.exp());
        }
        assert!(exp(-1e5).abs() <= 0.0 && exp(f64::NEG_INFINITY).abs() <= 0.0);
    }

    #[test]
    fn a_sum_is_the_sum() {
        let values: Vec<f64> = (0..103).map(|i| -0.37 * f64::from(i)).collect();
        let plain: f64 = values.iter().map(|v| v.exp()).sum();
        assert!((sum_of_exp(&values, 0.0) - plain).abs() < 1e-14);
        assert!(sum_of_exp(&[], 0.0).abs() <= 0.0);
        let shuffled: Vec<f64> = (0..103).map(|i| f64::from(i * 37 % 103)).collect();
        assert!((largest(&shuffled) - 102.0).abs() <= 0.0 && (largest(&[-3.0, -2.0]) + 2.0).abs() <= 0.0);
    }
}
