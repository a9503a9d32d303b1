//! What can be wrong with the columns that a task names.

/// What is wrong with the columns that a task names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnsProblem {
    /// A column that is named twice, by the same key or by two.
    #[error("column {column} stands in `{first}` and in `{second}`; leave it in one of them")]
    Twice {
        /// The column, as the task writes it.
        column: String,
        /// Key that names it first.
        first: &'static str,
        /// Key that names it again.
        second: &'static str,
    },
    /// A categorical column that is no input.
    #[error("column {column} stands in `categorical`, but not in `features`; add it there")]
    NoFeature {
        /// The column, as the task writes it.
        column: String,
    },
    /// No column is left as an input.
    #[error("no column is left as an input: of {columns}, one is the target and {ignored} are ignored")]
    NoInputs {
        /// Number of columns.
        columns: usize,
        /// Number of columns to ignore.
        ignored: usize,
    },
}
