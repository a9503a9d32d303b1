//! Vector instructions of the processor at hand, without `unsafe`.

/// Runs `work`, compiled for AVX-512 or AVX2 if the processor has them and the feature `simd` is on. `work` itself and
/// everything that it calls must be `#[inline(always)]`; anything else is compiled without these instructions.
///
/// The compiler neither reorders sums nor fuses products with them, so the results are the same bits on every
/// processor.
#[inline]
pub(crate) fn vectorized<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(feature = "simd")]
    return pulp::Arch::new().dispatch(work);
    #[cfg(not(feature = "simd"))]
    work()
}

/// Whether all values are finite. It looks at all of them, several at once, which is faster than to look at one after
/// the other and stop.
#[cfg(any(feature = "meta", feature = "torch"))]
pub(crate) fn all_finite(values: &[f32]) -> bool {
    vectorized(
        #[inline(always)]
        || values.iter().fold(true, |all, v| all & v.is_finite()),
    )
}

/// max(0, y) of every value.
pub(crate) fn relu(y: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for y in y {
                *y = y.max(0.0);
            }
        },
    );
}

/// Turns `d`, the gradient with respect to the outputs `y` of ReLUs, into the one with respect to their inputs.
pub(crate) fn relu_backward(y: &[f32], d: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (d, &y) in d.iter_mut().zip(y) {
                *d = if y > 0.0 { *d } else { 0.0 };
            }
        },
    );
}

/// Adds all rows to `sums`, which is as wide as one row.
pub(crate) fn add_rows(rows: &[f32], sums: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(sums.len()) {
                for (sum, v) in sums.iter_mut().zip(row) {
                    *sum += v;
                }
            }
        },
    );
}
