//! Task files: one training problem each, `[data]`, `[net]` and `[train]` in TOML.
//!
//! ```text
//! [data]   format = "csv" | "idx" | "cifar" | "tsv" | "chars", path, kind, standardize, limit, split, classes,
//!          class_weights, max_memory_gb
//!          csv: delimiter, header, decimal, target, features, ignore, categorical, missing
//!          idx: images, labels      cifar: files      tsv: vocabulary, length      chars: context
//! [net]    kind = "mlp" | "cnn" | "gru" | "lstm" | "transformer" | "resnet", dropout, l1
//!          mlp: hidden, activation      cnn: hidden, channels, batch_norm, activation      resnet: channels, blocks
//!          gru, lstm: hidden, embedding, head      transformer: embedding, layers, heads, head
//! [train]  optimizer, conditioning, lr, weight_decay, batch_size, steps
//! ```
//!
//! A key that is unknown, or that belongs to another format or kind of net, is refused, because a setting without
//! effect misleads.
//!
//! ```
//! # fn main() -> Result<(), qgd::task::TaskError> {
//! let text = r#"
//!     [data]
//!     format = "csv"
//!     path = "iris.csv"
//!     target = -1
//!     [net]
//!     kind = "mlp"
//!     hidden = [16]
//!     [train]
//!     lr = 1e-2
//!     steps = 100
//! "#;
//! let task = qgd::task::TaskSpec::parse(text, "iris.toml".as_ref())?;
//! assert_eq!(task.name(), "iris");
//! # Ok(()) }
//! ```

mod check;
mod names;
mod read;
mod section;
mod settings;
mod suite;

pub use check::MAX_STEPS;
pub use settings::{Settings, first_difference};
pub use suite::{SuiteSpec, SuiteTask};

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use crate::data::DataSpec;
use crate::shipped::{self, Kind, NoSuchFile};
use crate::torch::Conditioning;

/// One training problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// File that the task was read from.
    pub file: PathBuf,
    /// Data set.
    pub data: DataSpec,
    /// Net that is trained.
    pub net: NetSpec,
    /// Optimizer and length of the training.
    pub train: TrainSpec,
}

impl TaskSpec {
    /// Reads and checks a task file, or a task that comes with qgd, by its name.
    ///
    /// # Errors
    /// When there is no such file and no such name, or the file cannot be read, is not TOML, or has a key or value that is
    /// not allowed.
    pub fn load(name_or_file: &Path) -> Result<Self, TaskError> {
        let file = shipped::find(Kind::Task, name_or_file)?;
        Self::parse(&read_text(&file)?, &file)
    }

    /// Reads and checks the text of a task file. `file` is named in errors, and relative paths start in its folder.
    ///
    /// # Errors
    /// When the text is not TOML, or has a key or value that is not allowed.
    pub fn parse(text: &str, file: &Path) -> Result<Self, TaskError> {
        let spec = read::task(text, file)?;
        spec.check()?;
        Ok(spec)
    }

    /// Name of the task: the name of its file, without folder and ending.
    pub fn name(&self) -> String {
        self.file.file_stem().map_or_else(|| "task".to_owned(), |stem| stem.to_string_lossy().into_owned())
    }

    /// Folder of the task file, where relative data paths start.
    pub fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// Checks the range of every value, for a task whose values were set by hand or by flags.
    ///
    /// # Errors
    /// Names the first value outside its range, and the range.
    pub fn check(&self) -> Result<(), TaskError> {
        let checks = [self.data.check(), self.net.check(), self.train.check()];
        checks
            .into_iter()
            .find_map(Result::err)
            .map_or(Ok(()), |source| Err(TaskError::OutOfRange { file: self.file.clone(), source }))
    }
}

/// The text of a file, shipped or not.
fn read_text(file: &Path) -> Result<String, TaskError> {
    shipped::text(file).map_err(|source| TaskError::Read { file: file.into(), source })
}

/// What is trained.
///
/// | Name | Default | Range |
/// |---|---|---|
/// | `hidden` | [] (gru and lstm: required, one size); transformer and resnet have none | at most 1000, each 1 to 65,536 |
/// | `activation` | relu; mlp and cnn alone have one | |
/// | `dropout` | 0 | [0, 1) |
/// | `l1` | 0 | 0, or 1e-30 to 1e30 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetSpec {
    /// Architecture, with the keys that only this architecture has.
    pub kind: NetKind,
    /// Sizes of the hidden layers after the input, the convolutions or the embedding.
    pub hidden: Vec<usize>,
    /// Activation of hidden layers and convolutions, of mlp and cnn.
    pub activation: Activation,
    /// Share of the learned features that is dropped before each linear layer that reads them; in a transformer, of the
    /// embeddings and of what each attention and each mlp adds.
    pub dropout: f64,
    /// Factor on Σ|w|, which is added to the training loss.
    pub l1: f64,
}

/// An architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetKind {
    /// Linear layers with an activation between them.
    Mlp,
    /// Blocks of 3×3 convolution, optional batch norm, activation and 2×2 max-pooling, then the layers of an mlp.
    Cnn {
        /// Number of channels of each block, 1 to 65,536; at least one block.
        channels: Vec<usize>,
        /// Whether batch norm follows each convolution; default false.
        batch_norm: bool,
    },
    /// Embedding, gated recurrent unit, linear head.
    Gru {
        /// Size of the embedding, 1 to 65,536; default 32.
        embedding: usize,
        /// Where the head reads; default each.
        head: Head,
    },
    /// Embedding, long short-term memory, linear head.
    Lstm {
        /// Size of the embedding, 1 to 65,536; default 32.
        embedding: usize,
        /// Where the head reads; default each.
        head: Head,
    },
    /// Embeddings of tokens and of their positions, blocks of self-attention and mlp, linear head.
    Transformer {
        /// Width, which is the size of the embeddings, 1 to 65,536; default 32.
        embedding: usize,
        /// Number of blocks, 1 to 1000; default 2.
        layers: usize,
        /// Number of heads of each attention, which divides the width; default 4.
        heads: usize,
        /// Where the head reads; default each. With each and last the attention is causal, as in GPT: a position sees
        /// itself and those before it. With mean every position sees all words, as in BERT.
        head: Head,
    },
    /// Stages of residual blocks of 3×3 convolutions with batch norm, average over the pixels, linear head.
    Resnet {
        /// Number of channels of each stage, 1 to 65,536; at least one stage. Each but the first halves height and width.
        channels: Vec<usize>,
        /// Number of blocks of each stage, 1 to 1000; default 2.
        blocks: usize,
    },
}

impl NetKind {
    /// Whether `hidden` means anything.
    fn has_hidden(&self) -> bool {
        !matches!(self, Self::Transformer { .. } | Self::Resnet { .. })
    }

    /// Whether `activation` means anything.
    fn has_activation(&self) -> bool {
        matches!(self, Self::Mlp | Self::Cnn { .. })
    }
}

/// Where the head of a net over texts reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Head {
    /// At every position: one output each.
    Each,
    /// At the end, one output for the whole text: a recurrent net at the last position, be it padding; a transformer at
    /// the last word.
    Last,
    /// The mean over all words, without padding: one output for the whole text.
    Mean,
}

impl Head {
    /// Its name in task files.
    pub fn name(self) -> &'static str {
        names::name_of(&names::HEADS, self)
    }
}

/// Activation between the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// tanh(x).
    Tanh,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// x Φ(x), the exact form.
    Gelu,
}

/// How it is trained.
///
/// | Name | Default | Range |
/// |---|---|---|
/// | `optimizer` | adam | sgd, momentum (0.9), nesterov (0.9), adam, adamw, rmsprop, nadam, lion, muon, schedulefree-sgd, schedulefree-adamw |
/// | `conditioning` | none | none, orthogonal, orthogonal:degree=0.5 (see [`Conditioning`]); none with muon and schedulefree |
/// | `lr` | 1e-3 | 1e-30 to 1e30 |
/// | `weight_decay` | 0 | 0, or 1e-30 to 1e30 |
/// | `batch_size` | 64 | ≥ 0 |
/// | `steps` | required | 1 to 10^12 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSpec {
    /// Optimizer.
    pub optimizer: OptimizerKind,
    /// What becomes of the changes that it proposes for weight matrices.
    pub conditioning: Conditioning,
    /// Learning rate at the start.
    pub lr: f64,
    /// Weight decay, as PyTorch defines it.
    pub weight_decay: f64,
    /// Number of examples per step, drawn with replacement; 0 for the whole training split.
    pub batch_size: usize,
    /// Number of optimizer steps.
    pub steps: u64,
}

/// An optimizer by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Plain gradient descent.
    Sgd,
    /// Gradient descent with momentum 0.9.
    Momentum,
    /// Adam.
    Adam,
    /// Adam with decoupled weight decay.
    AdamW,
    /// RMSprop.
    RmsProp,
    /// Gradient descent with momentum 0.9 in Nesterov's form.
    Nesterov,
    /// Adam with Nesterov's momentum.
    NAdam,
    /// The sign of a mean of the gradient, with decoupled weight decay.
    Lion,
    /// Muon for weight matrices, AdamW for the rest.
    Muon,
    /// Schedule-Free SGD.
    #[serde(rename = "schedulefree-sgd")]
    ScheduleFreeSgd,
    /// Schedule-Free AdamW.
    #[serde(rename = "schedulefree-adamw")]
    ScheduleFreeAdamW,
}

impl OptimizerKind {
    /// All optimizers, each with its name in task files and on the command line.
    pub const NAMES: [(&'static str, Self); 11] = [
        ("sgd", Self::Sgd),
        ("momentum", Self::Momentum),
        ("adam", Self::Adam),
        ("adamw", Self::AdamW),
        ("rmsprop", Self::RmsProp),
        ("nesterov", Self::Nesterov),
        ("nadam", Self::NAdam),
        ("lion", Self::Lion),
        ("muon", Self::Muon),
        ("schedulefree-sgd", Self::ScheduleFreeSgd),
        ("schedulefree-adamw", Self::ScheduleFreeAdamW),
    ];

    /// Name of the optimizer in task files and on the command line.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl std::str::FromStr for OptimizerKind {
    type Err = ValueError;

    fn from_str(name: &str) -> Result<Self, ValueError> {
        let allowed = || Self::NAMES.map(|(name, _)| name).join(", ");
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| *kind)
            .ok_or_else(|| ValueError::new("train.optimizer", format!("\"{name}\""), format!("one of {}", allowed())))
    }
}

/// A value outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is {value}, but must be {allowed}")]
pub struct ValueError {
    /// Section and key, as `train.lr`.
    pub key: String,
    /// Value that was found.
    pub value: String,
    /// Values that are allowed.
    pub allowed: String,
}

impl ValueError {
    pub(crate) fn new(key: &str, value: impl ToString, allowed: impl ToString) -> Self {
        Self { key: key.to_owned(), value: value.to_string(), allowed: allowed.to_string() }
    }
}

/// A task file or suite file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// No file, and no name of one that comes with qgd.
    #[error(transparent)]
    NoSuchFile(#[from] NoSuchFile),
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// Name of the file.
        file: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML", file.display())]
    Syntax {
        /// Name of the file.
        file: PathBuf,
        /// Place and cause.
        source: Box<toml::de::Error>,
    },
    /// A key that this section does not have.
    #[error("{}: unknown key `{key}`; known here: {allowed}", file.display())]
    UnknownKey {
        /// Name of the file.
        file: PathBuf,
        /// Section and key.
        key: String,
        /// Keys that the section has.
        allowed: String,
    },
    /// A required key is missing.
    #[error("{}: `{key}` is missing; it must be {allowed}", file.display())]
    MissingKey {
        /// Name of the file.
        file: PathBuf,
        /// Section and key.
        key: String,
        /// Values that are allowed.
        allowed: String,
    },
    /// A value of the wrong type or outside its range.
    #[error("{}: {source}", file.display())]
    OutOfRange {
        /// Name of the file.
        file: PathBuf,
        /// The value, and what is allowed.
        source: ValueError,
    },
}

#[cfg(test)]
mod tests;
