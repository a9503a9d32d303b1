//! Everything that can be wrong with a net.

use crate::data::Inputs;
use crate::task::NetKind;

/// A net that cannot be built or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// This kind of net does not read this kind of data.
    #[error("a {net} net reads {allowed}, but the data set holds {found}")]
    Misfit {
        /// The kind of net.
        net: &'static str,
        /// What it reads.
        allowed: &'static str,
        /// What is there.
        found: String,
    },
    /// Pictures too small for the pooling.
    #[error("pictures of {height}x{width} are too small for {n_blocks} blocks with 2x2 pooling")]
    TooSmall {
        /// Of the pictures.
        height: usize,
        /// Of the pictures.
        width: usize,
        /// Convolution blocks.
        n_blocks: usize,
    },
    /// A head at every position for a target per text, or the other way round.
    #[error(
        "net.head = \"{head}\" gives {outputs} outputs per example, but the data has {targets} targets per example"
    )]
    HeadMisfit {
        /// The head by the task.
        head: &'static str,
        /// Outputs per example.
        outputs: usize,
        /// Targets per example.
        targets: usize,
    },
    /// A recurrent net needs exactly one hidden size.
    #[error("a recurrent net has one hidden size, but `net.hidden` is {found:?}")]
    HiddenSizes {
        /// What was given.
        found: Vec<usize>,
    },
    /// More parameters than we want to hold in memory.
    #[error("the net has more than {allowed} parameters")]
    TooManyParameters {
        /// The largest number.
        allowed: usize,
    },
    /// The loss over no examples.
    #[error("there are no examples to evaluate on")]
    NoExamples,
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

impl NetError {
    pub(super) fn misfit(kind: &NetKind, inputs: &Inputs) -> Self {
        let (net, allowed) = match kind {
            NetKind::Mlp => ("mlp", "columns or pictures"),
            NetKind::Cnn { .. } => ("cnn", "pictures"),
            NetKind::Gru { .. } => ("gru", "words or characters"),
            NetKind::Lstm { .. } => ("lstm", "words or characters"),
        };
        let found = match inputs {
            Inputs::Float { shape, .. } => format!("numbers of shape {shape:?}"),
            Inputs::Tokens { length, .. } => format!("texts of length {length}"),
        };
        Self::Misfit { net, allowed, found }
    }
}
