//! tanh without a branch, so that the compiler computes several at once: calls of libm took half of the time of a small
//! net.
//!
//! ```text
//! tanh x = 1 - 2 / (expm1(2x) + 2)                  x ≥ 1
//!          -expm1(-2x) / (expm1(-2x) + 2)           0 ≤ x < 1;     tanh(-x) = -tanh x
//! expm1(a) with a = k ln 2 + r, |r| ≤ ½ ln 2:       every case of fdlibm's s_expm1f.c is computed, one is chosen
//! ```
//!
//! The operations are those of fdlibm (Sun Microsystems 1993, Ian Lance Taylor), in its order. So the results are those
//! of its `tanhf`, bit for bit (compared over all floats from 0 to infinity with the one of glibc 2.36), and on every
//! machine the same, which libm's are not.
//!
//! Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved. Permission to use, copy, modify, and distribute
//! this software is freely granted, provided that this notice is preserved.

use crate::simd::vectorized;

/// ln 2 in two parts, its inverse, and the polynomial of fdlibm.
const LN2_HI: f32 = f32::from_bits(0x3f31_7180);
const LN2_LO: f32 = f32::from_bits(0x3717_f7d1);
const INVERSE_LN2: f32 = f32::from_bits(0x3fb8_aa3b);
const Q: [f32; 5] = [
    f32::from_bits(0xbd08_8889),
    f32::from_bits(0x3ad0_0d01),
    f32::from_bits(0xb8a6_70cd),
    f32::from_bits(0x3686_7e54),
    f32::from_bits(0xb457_edbb),
];
const HALF_LN2: f32 = f32::from_bits(0x3eb1_7218);
const THREE_HALVES_LN2: f32 = f32::from_bits(0x3f85_1592);
/// Beyond it tanh rounds to 1.
const LARGEST: f32 = 10.0;
/// 2^23: a float of this size has no fraction, and its last bits are its value.
const WHOLE: f32 = 8_388_608.0;

/// tanh of every value.
pub(super) fn tanh_in_place(values: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for v in values {
                *v = tanh(*v);
            }
        },
    );
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    // A comparison with NaN is false, so it stays.
    let size = if x.abs() > LARGEST { LARGEST } else { x.abs() };
    let is_large = size >= 1.0;
    let e = expm1(2.0 * size, is_large);
    let quotient = (if is_large { 2.0 } else { -e }) / (e + 2.0);
    (if is_large { 1.0 - quotient } else { quotient }).copysign(x)
}

/// expm1(`size`) or expm1(-`size`), where k is at least 3 if positive and `size` below 2 if negative.
#[inline(always)]
fn expm1(size: f32, is_positive: bool) -> f32 {
    let k = exponent(size);
    let (up, down) = (power_of_two(k), power_of_two(-k));
    let signed = if is_positive { k } else { -k };
    let high = (if is_positive { size } else { -size }) - signed * LN2_HI;
    let low = signed * LN2_LO;
    let x = high - low;
    let lost = (high - x) - low;
    let half = 0.5 * x;
    let square = x * half;
    let r1 = 1.0 + square * (Q[0] + square * (Q[1] + square * (Q[2] + square * (Q[3] + square * Q[4]))));
    let t = 3.0 - r1 * half;
    let e = square * ((r1 - t) / (6.0 - x * t));
    let e = (x * (e - lost) - lost) - square;

    let rest = x - e;
    let positive = if k < 23.0 { ((1.0 - down) - (e - x)) * up } else { ((x - (e + down)) + 1.0) * up };
    let below = (1.0 - (e - x)) * down - 1.0;
    let negative = if k > 1.0 { below } else { 0.5 * rest - 0.5 };
    let negative = if k > 0.0 { negative } else { rest };
    if is_positive { positive } else { negative }
}

/// Number of ln 2 in `a` ≥ 0, rounded to a whole number.
#[inline(always)]
fn exponent(a: f32) -> f32 {
    let shifted = INVERSE_LN2 * a + 0.5;
    let nearest = (shifted + WHOLE) - WHOLE;
    let floor = if nearest > shifted { nearest - 1.0 } else { nearest };
    let k = if a < THREE_HALVES_LN2 { 1.0 } else { floor };
    if a > HALF_LN2 { k } else { 0.0 }
}

/// 2^k for a whole k. (Of k + 1.5 · 2^23 the last bits are k, and the rest is shifted out.)
#[inline(always)]
pub(super) fn power_of_two(k: f32) -> f32 {
    f32::from_bits(1f32.to_bits().wrapping_add((k + 1.5 * WHOLE).to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_within_two_roundings_of_tanh_everywhere() {
        // Every 1,009th float of [0, infinity], and some beside the borders of the cases.
        let borders = [1.0f32, 0.5 * HALF_LN2, 0.5 * THREE_HALVES_LN2, 7.8, LARGEST, 22.0].map(f32::to_bits);
        let beside = borders.iter().flat_map(|b| b - 50..b + 50);
        for bits in (0..=f32::INFINITY.to_bits()).step_by(1009).chain(beside) {
            let x = f32::from_bits(bits);
            let exact = f64::from(x).tanh();
            let mut values = [x, -x];
            tanh_in_place(&mut values);
            let ulp = f64::from(f32::EPSILON) * exact.abs().max(f64::from(f32::MIN_POSITIVE));
            assert!((f64::from(values[0]) - exact).abs() <= 2.0 * ulp, "tanh {x} is {} and not {exact}", values[0]);
            assert_eq!(values[0].to_bits() ^ 1 << 31, values[1].to_bits(), "odd at {x}");
        }
    }

    #[test]
    fn it_is_one_far_out_and_keeps_what_is_no_number() {
        let mut values = [f32::INFINITY, f32::NEG_INFINITY, 30.0, f32::NAN, -0.0, 1e-40];
        tanh_in_place(&mut values);
        assert!(values[3].is_nan());
        values[3] = 0.0;
        assert_eq!(values.map(f32::to_bits), [1.0f32, -1.0, 1.0, 0.0, -0.0, 1e-40].map(f32::to_bits));
    }
}
