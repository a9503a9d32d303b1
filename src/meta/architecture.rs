//! What nets compute, widths aside.

/// The extents of one weight or bias, `[outer, n_in, n_out]`, row-major; unused ones are 1.
pub(super) type Block = [usize; 3];

/// Nets of the same architecture differ in nothing but widths and activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Architecture {
    /// A multi-layer perceptron with so many hidden layers.
    Mlp {
        /// How many.
        n_hidden: usize,
    },
}
