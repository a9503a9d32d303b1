//! Everything that can be wrong with a data set.

use std::path::PathBuf;

/// A data set that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No such file or folder.
    #[error("no file {}; looked at: {}", path.display(), tried.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", "))]
    NotFound {
        /// The path as the task gives it.
        path: PathBuf,
        /// The places where it could have been.
        tried: Vec<PathBuf>,
    },
    /// The file is there but cannot be read, or is no gzip file in spite of its name.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than we want to hold in memory.
    #[error("{} has more than {allowed_bytes} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        allowed_bytes: u64,
    },
    /// The file is no UTF-8 text.
    #[error("{} is not UTF-8 text (first wrong byte at {position})", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Of the first byte that is not UTF-8.
        position: usize,
    },
    /// A table cannot be cut into cells.
    #[error("{}: not a table", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: ::csv::Error,
    },
    /// The target column does not exist.
    #[error("{}: no column {column}; there are {allowed}", path.display())]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// The columns that exist.
        allowed: String,
    },
    /// A line with too few or too many cells.
    #[error("{}, line {line}: {found} columns, but the table has {expected}", path.display())]
    ColumnCount {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// On this line.
        found: usize,
        /// On the first line, or the least possible.
        expected: usize,
    },
    /// A cell that is no finite number.
    #[error("{}, line {line}, column {column}: `{cell}` is not a finite number", path.display())]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// From 1, as a spreadsheet counts.
        column: usize,
        /// What stands there.
        cell: String,
    },
    /// A label that is not a class number.
    #[error("{}, line {line}: the label `{label}` is not a class number from 0 to {max}", path.display())]
    NotALabel {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What stands there.
        label: String,
        /// The largest label that any data set may have.
        max: i64,
    },
    /// A label beyond the number of classes.
    #[error("{}, example {example}: the label {label} is out of range; it must be from 0 to {max}", path.display())]
    LabelOutOfRange {
        /// The file or folder.
        path: PathBuf,
        /// From 0.
        example: usize,
        /// What was found.
        label: i64,
        /// The largest possible one.
        max: i64,
    },
    /// A binary file whose first bytes are not those of its format.
    #[error("{}: not an IDX file of unsigned bytes with {expected} dimensions (first bytes {found:?})", path.display())]
    NotIdx {
        /// The file.
        path: PathBuf,
        /// The first bytes, at most four.
        found: Vec<u8>,
        /// Dimensions that this file must have.
        expected: u8,
    },
    /// A binary file that ends too early, or goes on too long.
    #[error("{}: truncated or damaged: its header announces {expected} bytes, but there are {found}", path.display())]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// By the header.
        expected: u128,
        /// What is there; one more than expected stands for any longer file.
        found: u64,
    },
    /// Pictures and labels do not belong together.
    #[error("{}: {labels} labels for {images} pictures", path.display())]
    CountMismatch {
        /// The file of labels.
        path: PathBuf,
        /// Pictures.
        images: usize,
        /// Labels.
        labels: usize,
    },
    /// A CIFAR file that is no whole number of records.
    #[error("{}: {found} bytes are not a whole number of {record}-byte records", path.display())]
    NotCifar {
        /// The file.
        path: PathBuf,
        /// Bytes.
        found: usize,
        /// Bytes of a record.
        record: usize,
    },
    /// Too few examples to work with.
    #[error("{}: {found} examples, but at least {needed} are needed", path.display())]
    TooFew {
        /// The file or folder.
        path: PathBuf,
        /// Examples there.
        found: usize,
        /// The least number.
        needed: usize,
    },
    /// A split that should have examples has none.
    #[error("the {split} split is empty: {fraction} of {examples} examples")]
    EmptySplit {
        /// Which split.
        split: &'static str,
        /// Its part by the task.
        fraction: f64,
        /// All examples.
        examples: usize,
    },
    /// More examples in a batch than there are.
    #[error("a batch of {batch_size} is larger than the training split of {examples} examples (0 = the whole split)")]
    BatchTooLarge {
        /// What was asked for.
        batch_size: usize,
        /// The most that is possible.
        examples: usize,
    },
}
