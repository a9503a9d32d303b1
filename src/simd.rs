//! Vector instructions of the processor at hand, without `unsafe`.

/// Runs `work` compiled for AVX-512 or AVX2, where the processor has them (and the feature `simd` is on). `work` itself and whatever it calls must be `#[inline(always)]`,
/// or it is compiled plainly.
///
/// The compiler neither reorders a sum nor fuses a product with it, so that the results are the same bits on every processor.
#[inline]
pub(crate) fn vectorized<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(feature = "simd")]
    return pulp::Arch::new().dispatch(work);
    #[cfg(not(feature = "simd"))]
    work()
}

/// Looks at all of them, several at once: stopping at the first one that is not finite would take them one by one.
#[cfg(feature = "meta")]
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

/// Turns the gradient by the outputs `y` of ReLUs into the one by what they are of.
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

/// Adds all rows to `sums`, which is as wide as one.
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
