//! What can be wrong with a data set.

use super::published::hint;
use std::path::PathBuf;

/// A data set that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No such file or folder.
    #[error("no file {}; looked at: {}{}", path.display(), tried.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", "), hint(path))]
    NotFound {
        /// Path as the task file gives it.
        path: PathBuf,
        /// Places where it was looked for.
        tried: Vec<PathBuf>,
    },
    /// The file exists but cannot be read, or is not a gzip file although its name says so.
    #[error("cannot read {}", path.display())]
    Read {
        /// Name of the file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is larger than what is held in memory.
    #[error("{} has more than {allowed_bytes} bytes", path.display())]
    TooLarge {
        /// Name of the file.
        path: PathBuf,
        /// Largest number of bytes that is read.
        allowed_bytes: u64,
    },
    /// The file is not UTF-8 text.
    #[error("{} is not UTF-8 text (first wrong byte at {position})", path.display())]
    NotText {
        /// Name of the file.
        path: PathBuf,
        /// Place of the first byte that is not UTF-8.
        position: usize,
    },
    /// A table cannot be cut into cells.
    #[error("{}: not a table", path.display())]
    Table {
        /// Name of the file.
        path: PathBuf,
        /// Place and cause.
        source: ::csv::Error,
    },
    /// The target column does not exist.
    #[error("{}: no column {column}; there are {allowed}", path.display())]
    NoColumn {
        /// Name of the file.
        path: PathBuf,
        /// Column that was asked for.
        column: String,
        /// Columns that exist.
        allowed: String,
    },
    /// A line with too few or too many cells.
    #[error("{}, line {line}: {found} columns, but the table has {expected}", path.display())]
    ColumnCount {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// Number of columns on this line.
        found: usize,
        /// Number of columns on the first line, or the smallest possible number.
        expected: usize,
    },
    /// A cell that is not a finite number.
    #[error("{}, line {line}, column {column}: `{cell}` is not a finite number", path.display())]
    NotANumber {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// Number of the column, from 1 as in a spreadsheet.
        column: usize,
        /// Text of the cell.
        cell: String,
    },
    /// A label that is not a class number.
    #[error("{}, line {line}: the label `{label}` is not a class number from 0 to {max}", path.display())]
    NotALabel {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// Text of the label.
        label: String,
        /// Largest label that a data set may have.
        max: i64,
    },
    /// A label beyond the number of classes.
    #[error("{}, example {example}: the label {label} is out of range; it must be from 0 to {max}", path.display())]
    LabelOutOfRange {
        /// Name of the file or folder.
        path: PathBuf,
        /// Number of the example, from 0.
        example: usize,
        /// Label that was found.
        label: i64,
        /// Largest label that is allowed.
        max: i64,
    },
    /// A binary file whose first bytes are not those of its format.
    #[error("{}: not an IDX file of unsigned bytes with {expected} dimensions (first bytes {found:?})", path.display())]
    NotIdx {
        /// Name of the file.
        path: PathBuf,
        /// First bytes, at most four.
        found: Vec<u8>,
        /// Number of dimensions that this file must have.
        expected: u8,
    },
    /// A binary file that ends too early, or goes on too long.
    #[error("{}: truncated or damaged: its header announces {expected} bytes, but there are {found}", path.display())]
    WrongLength {
        /// Name of the file.
        path: PathBuf,
        /// Number of bytes that the header announces.
        expected: u128,
        /// Number of bytes in the file.
        found: u64,
    },
    /// Pictures and labels do not belong together.
    #[error("{}: {labels} labels for {images} pictures", path.display())]
    CountMismatch {
        /// Name of the file of labels.
        path: PathBuf,
        /// Number of pictures.
        images: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A CIFAR file whose length is not a whole number of records.
    #[error("{}: {found} bytes are not a whole number of {record}-byte records", path.display())]
    NotCifar {
        /// Name of the file.
        path: PathBuf,
        /// Number of bytes.
        found: usize,
        /// Number of bytes of a record.
        record: usize,
    },
    /// Too few examples to work with.
    #[error("{}: {found} examples, but at least {needed} are needed", path.display())]
    TooFew {
        /// Name of the file or folder.
        path: PathBuf,
        /// Number of examples that were found.
        found: usize,
        /// Smallest number that is allowed.
        needed: usize,
    },
    /// A split that should have examples has none.
    #[error("the {split} split is empty: {fraction} of {examples} examples")]
    EmptySplit {
        /// Name of the split.
        split: &'static str,
        /// Its share of the examples, by the task file.
        fraction: f64,
        /// Number of all examples.
        examples: usize,
    },
    /// A batch is larger than the number of examples.
    #[error("a batch of {batch_size} is larger than the training split of {examples} examples (0 = the whole split)")]
    BatchTooLarge {
        /// Batch size that was asked for.
        batch_size: usize,
        /// Number of examples: the largest possible batch.
        examples: usize,
    },
}
