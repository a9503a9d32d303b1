//! exp without a branch, so that the compiler computes several at once: most of the time of an ask goes into
//! exponentials.

/// ln 2 in two parts: k·`LN2_HI` is exact for every k that can occur.
const LN2_HI: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN2_LO: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
/// A float of this size, 1.5 · 2^52, has no fraction, and its last bits are its value.
const WHOLE: f64 = 6_755_399_441_055_744.0;
/// Smallest argument whose result is a normal number.
const SMALLEST: f64 = -708.0;

/// Number of values that are computed side by side: always the same, so that sums have the same bits with and without
/// vector instructions.
const LANES: usize = 8;

/// ln Σ exp(v) over values that come in parts: `largest` is the largest of them, `sum` is Σ exp(v - `largest`).
#[derive(Debug, Clone, Copy)]
pub(super) struct LogSum {
    largest: f64,
    sum: f64,
}

impl LogSum {
    pub const EMPTY: Self = Self { largest: f64::NEG_INFINITY, sum: 0.0 };

    #[inline(always)]
    pub fn add(&mut self, values: &[f64]) {
        let largest = larger(self.largest, largest(values));
        self.sum = self.sum * exp(self.largest - largest) + sum_of_exp(values, largest);
        self.largest = largest;
    }

    pub fn ln(self) -> f64 {
        self.largest + self.sum.ln()
    }
}

/// Sum of exp(v - `shift`) over all values; `shift` must be at least the largest of them.
#[inline(always)]
fn sum_of_exp(values: &[f64], shift: f64) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, v) in sums.iter_mut().zip(chunk) {
            *sum += exp(v - shift);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|v| exp(v - shift)).sum::<f64>()
}

/// The largest value.
#[inline(always)]
fn largest(values: &[f64]) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut largest = [f64::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (a, b) in largest.iter_mut().zip(chunk) {
            *a = larger(*a, *b);
        }
    }
    largest.iter().chain(rest).copied().fold(f64::NEG_INFINITY, larger)
}

#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// exp `x` for `x` ≤ 0: x = k ln 2 + r with |r| ≤ ½ ln 2, and the Taylor series of exp r up to r^12, whose remainder is
/// below 2e-16. Below x = -708 the result stays at exp(-708), 3e-308: with a branch for a true 0 the compiler would
/// compute one value at a time.
#[inline(always)]
fn exp(x: f64) -> f64 {
    let bounded = larger(x, SMALLEST);
    let shifted = bounded * std::f64::consts::LOG2_E + WHOLE;
    let k = shifted - WHOLE;
    let r = (bounded - k * LN2_HI) - k * LN2_LO;
    let mut series = 1.0 / 479_001_600.0;
    for inverse in INVERSE_FACTORIALS {
        series = series * r + inverse;
    }
    // The bits of k, moved to the place of the exponent.
    let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    series * power
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
        assert!(exp(-1e5) < 1e-307 && exp(f64::NEG_INFINITY) < 1e-307);
    }

    #[test]
    fn a_sum_is_the_sum_whatever_the_parts_it_comes_in() {
        let values: Vec<f64> = (0..103).map(|i| -0.37 * f64::from(i * 37 % 103)).collect();
        let plain: f64 = values.iter().map(|v| v.exp()).sum();
        for size in [1, 7, 8, 50, 103] {
            let mut sum = LogSum::EMPTY;
            values.chunks(size).for_each(|part| sum.add(part));
            assert!((sum.ln() - plain.ln()).abs() < 1e-14, "in parts of {size}: {} not {}", sum.ln(), plain.ln());
        }
        let mut far = LogSum::EMPTY;
        far.add(&[-5000.0, -5001.0]);
        far.add(&[-3000.0]);
        assert!((far.ln() + 3000.0).abs() < 1e-12 && (largest(&[-3.0, -2.0]) + 2.0).abs() <= 0.0);
        far.add(&[]);
        assert!((far.ln() + 3000.0).abs() < 1e-12 && LogSum::EMPTY.ln().is_infinite());
    }
}
