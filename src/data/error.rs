//! What can be wrong with a data set.

mod classes;
mod columns;

pub use classes::ClassesProblem;
pub use columns::ColumnsProblem;

use super::in_words;
use super::published::hint;
use crate::text::NotText;
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
    /// The file exists but cannot be read, or its gzip data are damaged.
    #[error("cannot read {}", path.display())]
    Read {
        /// Name of the file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The data would take more memory than is allowed.
    #[error(
        "{} needs at least {} of memory, but {} are allowed; raise `data.max_memory_gb` where the machine has more, \
         or use less of the data",
        path.display(), in_words(*needed_bytes), in_words((*allowed_bytes).into())
    )]
    TooLarge {
        /// Name of the file or folder.
        path: PathBuf,
        /// Number of bytes that are needed, as far as it is known.
        needed_bytes: u128,
        /// Largest number of bytes that is allowed.
        allowed_bytes: u64,
    },
    /// The file is no text.
    #[error("{}: {source}", path.display())]
    NotText {
        /// Name of the file.
        path: PathBuf,
        /// Place and cause.
        source: NotText,
    },
    /// The file has no content.
    #[error("{} is empty; give a file with examples", path.display())]
    Empty {
        /// Name of the file.
        path: PathBuf,
    },
    /// A table without rows.
    #[error("{} has no rows{}; give a file with examples", path.display(), if *header { " below its header" } else { ": it is empty" })]
    NoRows {
        /// Name of the file.
        path: PathBuf,
        /// Whether it has a header.
        header: bool,
    },
    /// A quoted cell that nothing closes.
    #[error("{}, line {line}: the quote that opens here is never closed; close it, or remove it", path.display())]
    OpenQuote {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line where the quote opens, from 1.
        line: u64,
    },
    /// A quoted cell that goes on after its closing quote.
    #[error(
        "{}, line {line}: a quoted cell goes on after its closing quote; a quote inside a quoted cell is written twice",
        path.display()
    )]
    AfterQuote {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line where the quote closes, from 1.
        line: u64,
    },
    /// A table whose cells are separated by something else than the task says.
    #[error(
        "{}, line {line}: {delimiter:?} does not look like the delimiter, for with {better:?} there are {columns} columns; \
         say `delimiter = {better:?}`",
        path.display()
    )]
    Delimiter {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// Character that the task gives.
        delimiter: char,
        /// Character that fits.
        better: char,
        /// Number of columns with it.
        columns: usize,
    },
    /// A table with a single column.
    #[error(
        "{}, line {line}: there is only one column with the delimiter {delimiter:?}, but there must be at least two, inputs \
         and a target; look for what stands between the cells",
        path.display()
    )]
    OneColumn {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// Character between cells.
        delimiter: char,
    },
    /// Two columns with one name.
    #[error("{}, line {line}: two columns are called `{name}` ({first} and {second}); give each a name of its own", path.display())]
    TwinNames {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line of the header, from 1.
        line: u64,
        /// The name.
        name: String,
        /// Number of the first column of that name, from 1 as in a spreadsheet.
        first: usize,
        /// Number of the second one.
        second: usize,
    },
    /// A first line that should name the columns, but looks like a row.
    #[error(
        "{}, line {line}: `header = true`, but this line holds numbers, not names; say `header = false`, or name the columns",
        path.display()
    )]
    NoHeader {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
    },
    /// A first line that looks like names, where the task does not say whether there is a header.
    #[error(
        "{}, line {line}: these cells look like the names of the columns, for none of them stands in its column again; \
         say `header = true`, or `header = false` if they are a row",
        path.display()
    )]
    StrayHeader {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
    },
    /// A row that is the header again, as where files were put one behind the other.
    #[error("{}, line {line}: the line repeats the header: remove it", path.display())]
    HeaderAgain {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
    },
    /// A column that does not exist.
    #[error("{}: no column {column}; there are {allowed}", path.display())]
    NoColumn {
        /// Name of the file.
        path: PathBuf,
        /// Column that was asked for.
        column: String,
        /// Columns that exist.
        allowed: String,
    },
    /// A column that two keys want for different things, or none wants at all.
    #[error("{}: {what}", path.display())]
    Columns {
        /// Name of the file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: ColumnsProblem,
    },
    /// A line with too few or too many cells.
    #[error("{}, line {line}: {found} columns, but the table has {expected}; mend the line, or remove it", path.display())]
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
    #[error("{}, line {line}, column {column}: `{cell}` is not a finite number; {advice}", path.display())]
    NotANumber {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// Number of the column, from 1 as in a spreadsheet.
        column: usize,
        /// Text of the cell.
        cell: String,
        /// What to do.
        advice: String,
    },
    /// A cell without a value.
    #[error("{}, line {line}, column {column}: {} is no value; {advice}", path.display(), shown(cell))]
    NoValue {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// Number of the column, from 1 as in a spreadsheet.
        column: usize,
        /// Text of the cell.
        cell: String,
        /// What to do.
        advice: &'static str,
    },
    /// A column without any value in the training split, so that it has no mean.
    #[error("{}: column {column} has no value in the training split; say `ignore = [{column}]`", path.display())]
    NoValues {
        /// Name of the file.
        path: PathBuf,
        /// Name or number of the column, as the task file writes it.
        column: String,
    },
    /// Classes that nobody can learn, or that the task names wrongly.
    #[error("{}: {what}", path.display())]
    Classes {
        /// Name of the file or folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: ClassesProblem,
    },
    /// Texts without words.
    #[error("{}: no text has a word; a word is a run of letters of any script, in the last column", path.display())]
    NoWords {
        /// Name of the file.
        path: PathBuf,
    },
    /// A label that is not a class number.
    #[error(
        "{}, line {line}: the label `{label}` is not a class number from 0 to {max}; number the classes, from 0, and \
         remove a header",
        path.display()
    )]
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
    #[error(
        "the {split} split is empty: {fraction} of {examples} examples; give it a larger part of `data.split`, or 0 to \
         do without it"
    )]
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
    /// A target that is none of the classes of the training.
    #[error("{}, line {line}: class `{class}` did not occur in the training; the net knows {known}", path.display())]
    NewClass {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line, from 1, or of the picture, from 0.
        line: u64,
        /// Name that was found.
        class: String,
        /// Names of the classes.
        known: String,
    },
    /// Rows that do not have the form of those that the preparation was fitted on.
    #[error("{}: these data are {found}, but the net was trained on {expected}", path.display())]
    OtherData {
        /// Name of the file.
        path: PathBuf,
        /// Data that were found.
        found: String,
        /// Data that the net reads.
        expected: String,
    },
}

/// A cell for people.
fn shown(cell: &str) -> String {
    if cell.is_empty() { "an empty cell".to_owned() } else { format!("`{cell}`") }
}
