//! What a data set is read from, and how it is prepared: the `[data]` table of a task file.

use super::TargetKind;
use serde::{Deserialize, Serialize};
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
/// | `classes` | found in the data; the labels of `cifar` must be below 10 | ≥ 1 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSpec {
    /// Format of the files, with the keys that only this format has.
    pub format: Format,
    /// File, or folder for `idx` and `cifar`; relative to the task file or to the data folder.
    pub path: PathBuf,
    /// Kind of the targets.
    pub kind: TargetKind,
    /// Whether inputs, and targets in regression, get mean 0 and deviation 1 over the training split.
    pub standardize: bool,
    /// Number of examples that are used, chosen at random; `None` for all.
    pub limit: Option<usize>,
    /// Shares of the training, validation and test split.
    pub split: [f64; 3],
    /// Number of classes: every label must be below it.
    pub classes: Option<usize>,
}

/// A file format. In all of them a file whose name ends in `.gz` is decompressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// A table of numbers with one target column.
    Csv {
        /// Character between cells, one ASCII character; default `,`. A space stands for any run of white space.
        delimiter: char,
        /// Whether the first line names the columns; default false.
        header: bool,
        /// Target column; by its name only if there is a header.
        target: Column,
    },
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

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Column {
    /// Its name in the header.
    Name(String),
    /// Its place, from 0; a negative one counts from the end.
    Index(i64),
}
