//! Vector instructions of the processor at hand, without `unsafe`.

/// Runs `work` compiled for AVX-512 or AVX2, where the processor has them. `work` itself and whatever it calls must be `#[inline(always)]`,
/// or it is compiled plainly.
///
/// The compiler neither reorders a sum nor fuses a product with it, so that the results are the same bits on every processor.
#[inline]
pub(crate) fn vectorized<T>(work: impl FnOnce() -> T) -> T {
    pulp::Arch::new().dispatch(work)
}
