//! exp of numbers that are not positive, as a softmax needs it: without a branch and without libm, so that the compiler
//! computes several at once.
//!
//! ```text
//! exp x = 2^k exp r      with x = k ln 2 + r, |r| ≤ ½ ln 2
//! exp r = 1 + r + r² p(r)
//! ```
//!
//! The polynomial p and the two parts of ln 2 are those of `expf` in Cephes (Moshier 1992, netlib.org/cephes). Every
//! operation is rounded as it stands here, so that the results are the same bits on every processor.

use super::tanh::power_of_two;
use crate::simd::vectorized;

const LN2_HI: f32 = 355.0 / 512.0;
const LN2_LO: f32 = -2.121_944_4e-4;
const P: [f32; 6] = [0.5, 1.666_666_5e-1, 4.166_579_6e-2, 8.333_452e-3, 1.398_2e-3, 1.987_569_1e-4];
/// Below it 2^k is no longer a normal number, and exp is taken as 0.
const LOWEST: f32 = -87.0;
/// 1.5 · 2^23: a float to which it is added and subtracted again is rounded to a whole number.
const WHOLE: f32 = 12_582_912.0;

/// exp of every value; none may be positive.
pub(super) fn exp_in_place(values: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for v in values {
                *v = exp(*v);
            }
        },
    );
}

/// exp x, of an x that is not positive.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let k = (x * std::f32::consts::LOG2_E + WHOLE) - WHOLE;
    let r = (x - k * LN2_HI) - k * LN2_LO;
    let p = P[0] + r * (P[1] + r * (P[2] + r * (P[3] + r * (P[4] + r * P[5]))));
    let result = (p * (r * r) + r + 1.0) * power_of_two(k);
    // A comparison with NaN is false, so it stays.
    if x < LOWEST { 0.0 } else { result }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_within_two_roundings_of_exp() {
        for i in 0..870_000 {
            let x = -1e-4 * i as f32;
            let mut value = [x];
            exp_in_place(&mut value);
            let exact = f64::from(x).exp();
            let off = (f64::from(value[0]) - exact).abs() / exact;
            assert!(off <= 2.0 * f64::from(f32::EPSILON), "exp {x} is {} and not {exact}", value[0]);
        }
    }

    #[test]
    fn it_is_one_at_zero_nothing_far_out_and_keeps_what_is_no_number() {
        let mut values = [0.0, -0.0, -88.0, -1e30, f32::NEG_INFINITY, f32::NAN];
        exp_in_place(&mut values);
        assert!(values[5].is_nan());
        assert_eq!(values[..5], [1.0, 1.0, 0.0, 0.0, 0.0]);
    }
}
