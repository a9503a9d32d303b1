//! Task files: one training problem each, `[data]`, `[net]` and `[train]` in TOML.
//!
//! ```text
//! [data]   format = "csv" | "idx" | "cifar" | "tsv" | "chars", path, kind, standardize, limit, split, classes
//!          csv: delimiter, header, target      idx: images, labels      cifar: files
//!          tsv: vocabulary, length             chars: context
//! [net]    kind = "mlp" | "cnn" | "gru" | "lstm", hidden, dropout, l1
//!          mlp: activation      cnn: channels, batch_norm, activation      gru, lstm: embedding, head
//! [train]  optimizer, lr, weight_decay, batch_size, steps
//! ```
//!
//! A key that is unknown, or that belongs to another format or kind of net, is refused: a setting without effect misleads.
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
mod read;
mod section;
mod suite;

pub use suite::{SuiteSpec, SuiteTask};

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use crate::data::TargetKind;

/// One training problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// The file it was read from.
    pub file: PathBuf,
    /// Where the examples come from.
    pub data: DataSpec,
    /// What is trained.
    pub net: NetSpec,
    /// How it is trained.
    pub train: TrainSpec,
}

impl TaskSpec {
    /// Reads and checks a task file.
    ///
    /// # Errors
    /// When the file cannot be read, is no TOML, or has a key or value that is not allowed.
    pub fn load(file: &Path) -> Result<Self, TaskError> {
        let text = std::fs::read_to_string(file).map_err(|source| TaskError::Read { file: file.into(), source })?;
        Self::parse(&text, file)
    }

    /// Reads and checks the text of a task file; `file` names it in errors and is where relative paths start.
    ///
    /// # Errors
    /// When the text is no TOML, or has a key or value that is not allowed.
    pub fn parse(text: &str, file: &Path) -> Result<Self, TaskError> {
        let spec = read::task(text, file)?;
        spec.check()?;
        Ok(spec)
    }

    /// The name of the task: that of its file, without folder and ending.
    pub fn name(&self) -> String {
        self.file.file_stem().map_or_else(|| "task".to_owned(), |stem| stem.to_string_lossy().into_owned())
    }

    /// The folder of the task file, where relative data paths start.
    pub fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// Checks the range of every value: for a task whose values were set by hand or by flags.
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

/// Where the examples come from, and how they are prepared.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `path` | required | file, or folder for `idx` and `cifar`; relative to the task file or the data folder | |
/// | `kind` | classification | what the target is; regression for `csv` only | |
/// | `standardize` | true | mean 0 and deviation 1 over the training split (inputs; in regression the target too) | |
/// | `limit` | none | use this many examples, after the shuffle | ≥ 1 |
/// | `split` | [0.8, 0.1, 0.1] | train, validation, test | each in [0, 1], sum 1, train > 0 |
/// | `classes` | 10 for `cifar`, else found in the data | labels must be below | ≥ 1 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSpec {
    /// The kind of file, with what only that kind needs.
    pub format: Format,
    /// See the table.
    pub path: PathBuf,
    /// See the table.
    pub kind: TargetKind,
    /// See the table.
    pub standardize: bool,
    /// See the table.
    pub limit: Option<usize>,
    /// See the table.
    pub split: [f64; 3],
    /// See the table.
    pub classes: Option<usize>,
}

/// A file format. A name that ends in `.gz` means gzip, in all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// A table of numbers with one target column.
    Csv {
        /// Between cells, default `,`; a space stands for any run of white space.
        delimiter: char,
        /// Whether the first line names the columns; default false.
        header: bool,
        /// The target column.
        target: Column,
    },
    /// The format of MNIST: unsigned bytes, one file of pictures and one of labels.
    Idx {
        /// File name of the pictures, `[n, height, width]`.
        images: String,
        /// File name of the labels, `[n]`.
        labels: String,
    },
    /// The binary format of CIFAR-10: a label byte and 3 × 32 × 32 bytes.
    Cifar {
        /// File names, read one after the other.
        files: Vec<String>,
    },
    /// Lines of `label <tab> ... <tab> text`; the text becomes word numbers.
    Tsv {
        /// Word numbers in use, with 0 = padding and 1 = unknown; default 10,000, at least 3.
        vocabulary: usize,
        /// Words per text, cut or padded; default 200, 1 to 100,000.
        length: usize,
    },
    /// A plain text: predict the next character at every position.
    Chars {
        /// Characters per example, at least 1.
        context: usize,
    },
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Column {
    /// By its name in the header.
    Name(String),
    /// By its place, from 0; negative from the end.
    Index(i64),
}

/// What is trained.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `hidden` | [] (one size for gru and lstm, required) | hidden layers after the input, the convolutions or the embedding | each 1 to 65,536 |
/// | `activation` | relu | of hidden layers and convolutions | |
/// | `dropout` | 0 | part of the learned features dropped before each linear layer that reads them | [0, 1) |
/// | `l1` | 0 | adds l1 · Σ\|w\| to the training loss | ≥ 0 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetSpec {
    /// The architecture, with what only it needs.
    pub kind: NetKind,
    /// See the table.
    pub hidden: Vec<usize>,
    /// See the table.
    pub activation: Activation,
    /// See the table.
    pub dropout: f64,
    /// See the table.
    pub l1: f64,
}

/// An architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetKind {
    /// Linear layers with an activation between them.
    Mlp,
    /// Blocks of 3×3 convolution, optional batch norm, activation and 2×2 max-pooling, then as an mlp.
    Cnn {
        /// Channels of each block, 1 to 65,536.
        channels: Vec<usize>,
        /// Batch norm after each convolution; default false.
        batch_norm: bool,
    },
    /// Embedding, gated recurrent unit, linear head.
    Gru {
        /// Size of the embedding, default 32.
        embedding: usize,
        /// Where the head reads, default each.
        head: Head,
    },
    /// Embedding, long short-term memory, linear head.
    Lstm {
        /// Size of the embedding, default 32.
        embedding: usize,
        /// Where the head reads, default each.
        head: Head,
    },
}

/// Where the head of a recurrent net reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Head {
    /// At every position: one output each.
    Each,
    /// At the last position: one output for the whole sequence.
    Last,
}

/// What stands between the layers.
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
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `optimizer` | adam | | sgd, momentum (0.9), adam, adamw, rmsprop |
/// | `lr` | 1e-3 | learning rate at the start | finite, > 0 |
/// | `weight_decay` | 0 | as PyTorch's | finite, ≥ 0 |
/// | `batch_size` | 64 | examples per step, drawn with replacement; 0 = the whole training split | ≥ 0 |
/// | `steps` | required | optimizer steps | ≥ 1 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSpec {
    /// See the table.
    pub optimizer: OptimizerKind,
    /// See the table.
    pub lr: f64,
    /// See the table.
    pub weight_decay: f64,
    /// See the table.
    pub batch_size: usize,
    /// See the table.
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
}

impl OptimizerKind {
    /// Every optimizer with its name in task files and on the command line.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("sgd", Self::Sgd),
        ("momentum", Self::Momentum),
        ("adam", Self::Adam),
        ("adamw", Self::AdamW),
        ("rmsprop", Self::RmsProp),
    ];

    /// Its name in task files and on the command line.
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
    /// What was found.
    pub value: String,
    /// What is possible.
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
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{} is not valid TOML", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A key that does not exist here.
    #[error("{}: unknown key `{key}`; known here: {allowed}", file.display())]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// Section and key.
        key: String,
        /// The keys that exist.
        allowed: String,
    },
    /// A key that must be there.
    #[error("{}: `{key}` is missing; it must be {allowed}", file.display())]
    MissingKey {
        /// The file.
        file: PathBuf,
        /// Section and key.
        key: String,
        /// What it may be.
        allowed: String,
    },
    /// A value of the wrong type or outside its range.
    #[error("{}: {source}", file.display())]
    OutOfRange {
        /// The file.
        file: PathBuf,
        /// Which value, and what it may be.
        source: ValueError,
    },
}

#[cfg(test)]
mod tests;
