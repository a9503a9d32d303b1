//! What a data set is read from, and how it is prepared: the `[data]` table of a task file.

use super::TargetKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where the examples come from, and how they are prepared.
///
/// | Name | Default | Range |
/// |---|---|---|
/// | `path` | required | |
/// | `kind` | classification | regression for `csv` only |
/// | `standardize` | true | |
/// | `limit` | none | ≥ 1 |
/// | `split` | [0.8, 0.1, 0.1] | each in [0, 1], sum 1, train > 0 |
/// | `classes` | found in the data; the labels of `cifar` must be below 10 | 1 to 10,000,000 |
/// | `class_weights` | none | "balanced", or a weight for each class: 1e-6 to 1e6 |
/// | `max_memory_gb` | half of the machine's memory | 1e-6 to 1e6 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSpec {
    /// Format of the files, with the keys that only this format has.
    pub format: Format,
    /// File, or folder for `idx` and `cifar`; relative to the task file or to the data folder.
    pub path: PathBuf,
    /// Kind of the targets. `None` stands for classification, but then a target that looks like regression is refused.
    pub kind: Option<TargetKind>,
    /// Whether inputs, and targets in regression, get mean 0 and deviation 1 over the training split. Columns that
    /// `categorical` and `missing` make stay 0 and 1.
    pub standardize: bool,
    /// Number of examples that are used, chosen at random; `None` for all.
    pub limit: Option<usize>,
    /// Shares of the training, validation and test split. A share of 0 leaves the split out: its loss is null then.
    pub split: [f64; 3],
    /// Number of classes: every label must be below it.
    pub classes: Option<usize>,
    /// How much the loss of an example counts in training, by its class. Losses that are shown are without weights.
    pub class_weights: Option<ClassWeights>,
    /// Largest memory in GB that the data, and then one training step, may take. No result depends on it.
    #[serde(skip)]
    pub max_memory_gb: Option<f64>,
}

/// Weights of the classes in the training loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ClassWeights {
    /// Rare classes count more: n / (n_classes · n_c), with n_c of the n training examples in the class.
    Balanced,
    /// A weight for each class by its name: the label of a table, or the number of the class. No class may be left out.
    Named(BTreeMap<String, f64>),
}

/// A file format. In all of them a file that is gzip is unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// A table with one target column.
    Csv(TableSpec),
    /// The format of MNIST: unsigned bytes, one file of pictures and one of labels.
    Idx {
        /// File name of the pictures, `[n, height, width]`.
        images: String,
        /// File name of the labels, `[n]`.
        labels: String,
    },
    /// The binary format of CIFAR-10: records of one label byte and 3 × 32 × 32 bytes.
    Cifar {
        /// File names, at least one, read one after the other.
        files: Vec<String>,
    },
    /// Lines of `label <tab> ... <tab> text`; the text is turned into word numbers.
    Tsv {
        /// Number of word numbers in use, of which 0 is padding and 1 an unknown word; default 10,000, 3 to 10,000,000.
        vocabulary: usize,
        /// Number of words of an example: texts are cut or padded to it; default 200, 1 to 100,000.
        length: usize,
    },
    /// A plain text: the next character is to be predicted at every position.
    Chars {
        /// Number of characters of an example, 1 to 100,000.
        context: usize,
    },
}

/// How a table is read. Columns are named by their header, or by their number from 0; a negative number counts from the
/// end.
///
/// | Name | Default |
/// |---|---|
/// | `delimiter` | `,` |
/// | `header` | false; a first line that looks like names is then refused |
/// | `decimal` | `.` |
/// | `target` | required |
/// | `features` | all columns but the target |
/// | `ignore` | \[\] |
/// | `categorical` | \[\] |
/// | `missing` | refuse |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSpec {
    /// Character between cells, one ASCII character. A space stands for any run of white space.
    pub delimiter: char,
    /// Whether the first line names the columns.
    pub header: bool,
    /// Whether the task says so or not. Where it does not, a first line that can only be names is refused.
    #[serde(skip)]
    pub says_header: bool,
    /// Character between the whole and the broken part of a number: `.` or `,`.
    pub decimal: char,
    /// Target column; by its name only if there is a header.
    pub target: Column,
    /// Columns that are inputs; `None` for all but the target and those to ignore.
    pub features: Option<Vec<Column>>,
    /// Columns that are not read at all.
    pub ignore: Vec<Column>,
    /// Input columns whose cells are names: each name of the training split gets a column of 0 and 1. A name that the
    /// training split does not have is 0 in all of them, and a warning tells it.
    pub categorical: Vec<Column>,
    /// What is done about cells without a value. A row without a target is always refused.
    pub missing: Missing,
}

impl Default for TableSpec {
    fn default() -> Self {
        Self {
            delimiter: ',',
            header: false,
            says_header: false,
            decimal: '.',
            target: Column::Index(-1),
            features: None,
            ignore: Vec::new(),
            categorical: Vec::new(),
            missing: Missing::Refuse,
        }
    }
}

/// What is done about input cells without a value: empty ones, `?`, and the words that pandas takes for none (`NA`, `N/A`,
/// `NaN`, `null`, `None`, `<NA>`, `#N/A`, ...), in any case but for `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The table is refused, with the line.
    Refuse,
    /// The cell gets the mean of its column over the training split; in a categorical column, the share of each name.
    Mean,
    /// As `mean`, and a further column says 1 where a cell had no value, 0 elsewhere, for each column that lacks one in
    /// the training split. In a categorical column no value counts as a name.
    Indicator,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Column {
    /// Its name in the header.
    Name(String),
    /// Its place, from 0; a negative one counts from the end.
    Index(i64),
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "`{name}`"),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}
