//! Data sets: from files to three splits of examples, without libtorch.
//!
//! [`load`] reads the format that a [`DataSpec`] names, shuffles with the stream "split" of the seed, keeps the first
//! `limit` examples, cuts them into train, validation and test, and standardizes with the mean and the deviation of the
//! training split. [`Batches`] then draws mini-batches with replacement.
//!
//! An example is a picture `[channels, height, width]` with values in [0, 1] (before it is standardized), a row of a
//! table `[columns]`, or a text as word or character numbers `[length]`. What was learned from the training split on
//! the way is a [`Preparation`], which prepares other rows alike.
//!
//! A hostile file gives an error: the sizes in a header allocate nothing. All that is large is counted before it is
//! allocated, against `max_memory_gb`. At the highest a table takes its file, then 4 or 8 bytes for each number in it
//! (8 where single precision would round) and 4 bytes more for each input of the net; pictures 5 bytes for each of
//! their bytes; texts 12 bytes for each word of their examples; plain text 20 bytes for each character.

mod advice;
mod batches;
mod cell;
mod chars;
mod cifar;
mod columns;
mod doubts;
mod error;
mod fitted;
mod idx;
mod memory;
mod preparation;
mod prepare;
pub mod published;
mod read;
mod records;
mod spec;
pub mod survey;
mod table;
mod tsv;
mod unseen;
mod words;

pub use batches::Batches;
pub use error::{ClassesProblem, ColumnsProblem, DataError};
pub use fitted::Fitted;
pub use preparation::{Code, ColumnPreparation, InputPreparation, Preparation, Scale, TargetPreparation};
pub use spec::{ClassWeights, Column, DataSpec, Format, Missing, TableSpec};
pub use unseen::{RowTargets, Rows};

use crate::rng::fnv1a;
use memory::Memory;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Three splits of one data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Examples that the net is trained on.
    pub train: Split,
    /// Examples that a controller or a schedule may look at during training.
    pub validation: Split,
    /// Examples that nothing looks at before the end.
    pub test: Split,
    /// Number of outputs of the net: of classes, or of target columns.
    pub n_outputs: usize,
    /// Number of word or character numbers of texts: the largest one plus 1. 0 for other data.
    pub n_tokens: usize,
    /// Kind of the targets.
    pub kind: TargetKind,
    /// Weight of each class in the training loss, if there are any.
    pub class_weights: Option<Vec<f32>>,
    /// How the examples of the file became inputs and targets.
    pub preparation: Preparation,
}

impl Dataset {
    /// Number of the words that only fill up a text, at its end; `None` for data that have none.
    pub fn padding(&self) -> Option<i64> {
        matches!(self.preparation.inputs, InputPreparation::Words { .. }).then_some(tsv::PADDING.into())
    }
}

/// Kind of the targets, which decides the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// Class numbers: cross entropy.
    #[default]
    Classes,
    /// Real numbers: mean squared error.
    Values,
}

/// Examples with their targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Inputs of the net.
    pub inputs: Inputs,
    /// Outputs that the net should give.
    pub targets: Targets,
}

impl Split {
    /// Number of examples.
    pub fn len(&self) -> usize {
        match &self.targets {
            Targets::Classes { per_example, ids } => ids.len() / (*per_example).max(1),
            Targets::Values { per_example, values } => values.len() / (*per_example).max(1),
        }
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Inputs of all examples, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// Tables and pictures.
    Float {
        /// Shape of one example: `[columns]` or `[channels, height, width]`.
        shape: Vec<usize>,
        /// All values, `[n_examples, shape...]`, row-major.
        values: Vec<f32>,
    },
    /// Texts.
    Tokens {
        /// Length of one example.
        length: usize,
        /// Word or character numbers, `[n_examples, length]`.
        ids: Vec<i64>,
    },
}

/// Targets of all examples, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Class numbers.
    Classes {
        /// Number of targets of an example: 1, or the length of a text if every position has its target.
        per_example: usize,
        /// Class numbers, `[n_examples, per_example]`.
        ids: Vec<i64>,
    },
    /// Real numbers.
    Values {
        /// Number of target columns.
        per_example: usize,
        /// Target values, `[n_examples, per_example]`.
        values: Vec<f32>,
    },
}

/// Reads, shuffles, splits and standardizes a data set.
///
/// Looks for a relative path in `task_dir` (the folder of the task file), then in `data_dir`.
///
/// # Errors
/// When a file is missing or damaged or does not hold what the spec says, or when a split would have no examples.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let task = qgd::task::TaskSpec::load("examples/tasks/digits.toml".as_ref())?;
/// let data = qgd::data::load(&task.data, task.directory(), None, 0)?;
/// assert_eq!((data.train.len(), data.n_outputs), (1437, 10));
/// # Ok(()) }
/// ```
pub fn load(spec: &DataSpec, task_dir: &Path, data_dir: Option<&Path>, seed: u64) -> Result<Dataset, DataError> {
    let path = read::locate(&spec.path, task_dir, data_dir)?;
    let mut memory = Memory::new(&path, spec.max_memory_gb);
    let raw = match &spec.format {
        Format::Csv(format) => {
            let (table, target) = table::load(&path, format, spec.kind, &mut memory)?;
            doubts::check(&path, format, spec.kind, (&table, &target))?;
            let inputs = RawInputs::Table { table, target: target.place, target_name: target.name };
            Raw { inputs, targets: RawTargets::of_table(target.cells) }
        }
        Format::Idx { images, labels } => idx::load(&path.join(images), &path.join(labels), &mut memory)?,
        Format::Cifar { files } => cifar::load(&path, files, &mut memory)?,
        Format::Tsv { vocabulary, length } => tsv::load(&path, *vocabulary, *length, &mut memory)?,
        Format::Chars { context } => chars::load(&path, *context, &mut memory)?,
    };
    prepare::dataset(raw, spec, &path, &mut memory, seed)
}

/// The files of a data set, as [`load`] would read them.
///
/// # Errors
/// When there is nothing at the path of the spec.
pub fn files(spec: &DataSpec, task_dir: &Path, data_dir: Option<&Path>) -> Result<Vec<PathBuf>, DataError> {
    let path = read::locate(&spec.path, task_dir, data_dir)?;
    Ok(published::files(&DataSpec { path, ..spec.clone() }))
}

/// A number that tells data sets apart: a hash of the bytes of the files, wherever they lie.
///
/// # Errors
/// When a file is missing or cannot be read.
pub fn fingerprint(spec: &DataSpec, task_dir: &Path, data_dir: Option<&Path>) -> Result<u64, DataError> {
    let mut hashes = Vec::new();
    for path in files(spec, task_dir, data_dir)? {
        hashes.extend(read::hash(&path)?.to_le_bytes());
    }
    Ok(fnv1a(&hashes))
}

/// Bytes that the data of a task, and then one step of its training, may take: what the task file says, or half of the
/// memory of this machine.
pub fn memory_limit_bytes(spec: &DataSpec) -> u64 {
    memory::allowed_bytes(spec.max_memory_gb)
}

/// A number of bytes for people: "3.4 GB".
pub(crate) fn in_words(bytes: u128) -> String {
    let bytes = bytes as f64;
    let (unit, name) =
        [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")].into_iter().find(|(unit, _)| bytes >= *unit).unwrap_or((1.0, "bytes"));
    let number = bytes / unit;
    if number >= 100.0 || unit < 2.0 { format!("{number:.0} {name}") } else { format!("{number:.1} {name}") }
}

/// A data set as it stands in its files.
struct Raw {
    inputs: RawInputs,
    targets: RawTargets,
}

/// Inputs before shuffle and split. They become floats only when the examples are chosen, to save memory.
enum RawInputs {
    Table { table: table::Table, target: usize, target_name: Option<String> },
    Pictures { shape: Vec<usize>, values: Vec<u8> },
    Words { length: usize, ids: Vec<u32>, preparation: InputPreparation },
    Characters { context: usize, numbers: Vec<u32>, preparation: InputPreparation },
}

/// Targets before shuffle and split.
enum RawTargets {
    /// Class numbers; names where they are more than the numbers.
    Classes { ids: Vec<u32>, names: Option<Vec<String>> },
    /// Real numbers.
    Values(table::Numbers),
    /// The next character at every position; names of all characters.
    Next { names: Vec<String> },
}

#[cfg(test)]
mod tests;
