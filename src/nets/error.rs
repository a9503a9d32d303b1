//! What can be wrong with a net.

use crate::data::{Inputs, in_words};
use crate::task::NetKind;

/// A net that cannot be built or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// This kind of net does not read this kind of data.
    #[error("a {net} net reads {allowed}, but the data set holds {found}")]
    Misfit {
        /// Kind of net.
        net: &'static str,
        /// Data that it reads.
        allowed: &'static str,
        /// Data that it was given.
        found: String,
    },
    /// The pictures are too small for the pooling.
    #[error("pictures of {height}x{width} are too small for {n_blocks} blocks with 2x2 pooling")]
    TooSmall {
        /// Height of the pictures.
        height: usize,
        /// Width of the pictures.
        width: usize,
        /// Number of blocks of convolution and pooling.
        n_blocks: usize,
    },
    /// The stages halve the pictures to less than batch norm can work with.
    #[error(
        "pictures of {height}x{width} are too small for {n_stages} stages, of which each but the first halves them"
    )]
    TooManyStages {
        /// Height of the pictures.
        height: usize,
        /// Width of the pictures.
        width: usize,
        /// Number of stages of residual blocks.
        n_stages: usize,
    },
    /// The heads of an attention share its width evenly.
    #[error("a transformer of width {embedding} cannot have {heads} heads: they must divide it")]
    Heads {
        /// Width of the net.
        embedding: usize,
        /// Number of heads.
        heads: usize,
    },
    /// The head reads at every position but a text has one target, or the other way round.
    #[error(
        "net.head = \"{head}\" gives {outputs} outputs per example, but the data has {targets} targets per example"
    )]
    HeadMisfit {
        /// Head, as the task file says.
        head: &'static str,
        /// Number of outputs per example.
        outputs: usize,
        /// Number of targets per example.
        targets: usize,
    },
    /// A recurrent net needs exactly one hidden size.
    #[error("a recurrent net has one hidden size, but `net.hidden` is {found:?}")]
    HiddenSizes {
        /// Sizes that were given.
        found: Vec<usize>,
    },
    /// Runs side by side take more memory than is allowed.
    #[error(
        "{n_runs} runs at a time, with the data of {n_seeds} seeds, take {}, more than the {} that they may take; take fewer of \
         either, or raise `data.max_memory_gb`",
        in_words(*needed_bytes), in_words((*allowed_bytes).into())
    )]
    TooManyRuns {
        /// Number of runs at a time.
        n_runs: usize,
        /// Number of seeds.
        n_seeds: usize,
        /// Number of bytes that are needed.
        needed_bytes: u128,
        /// Largest number of bytes that is allowed.
        allowed_bytes: u64,
    },
    /// The net has more parameters than are held in memory.
    #[error("the net has more than {allowed} parameters")]
    TooManyParameters {
        /// Largest number that is allowed.
        allowed: usize,
    },
    /// A file of a trained net has other tensors than this net.
    #[error("tensor `{name}` {what}")]
    Saved {
        /// Name of the tensor.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// A training step would take more memory than is allowed.
    #[error(
        "a step of {batch_size} examples needs about {} of memory, but {} are allowed; make `train.batch_size` or the net \
         smaller, or raise `data.max_memory_gb` where the machine has more",
        in_words(*needed_bytes), in_words((*allowed_bytes).into())
    )]
    TooMuchMemory {
        /// Number of examples of a step.
        batch_size: usize,
        /// Number of bytes that are needed, roughly.
        needed_bytes: u128,
        /// Largest number of bytes that is allowed.
        allowed_bytes: u64,
    },
    /// There are no examples to compute a loss of.
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
            NetKind::Transformer { .. } => ("transformer", "words or characters"),
            NetKind::Resnet { .. } => ("resnet", "pictures"),
        };
        let found = match inputs {
            Inputs::Float { shape, .. } => format!("numbers of shape {shape:?}"),
            Inputs::Tokens { length, .. } => format!("texts of length {length}"),
        };
        Self::Misfit { net, allowed, found }
    }
}
