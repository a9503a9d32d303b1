//! What can be wrong with the classes of a data set.

/// What is wrong with classes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassesProblem {
    /// A target that looks like regression where the task does not say a kind.
    #[error(
        "the target, column {column}, looks like regression ({classes} different numbers in {examples} rows, as `{example}`); \
         say `kind = \"regression\"`, or `kind = \"classification\"` if each number is a class"
    )]
    Regression {
        /// Number of the target column, from 1 as in a spreadsheet.
        column: usize,
        /// Number of different targets.
        classes: usize,
        /// Number of rows.
        examples: usize,
        /// One of the targets.
        example: String,
    },
    /// Two labels that are one number, written in two ways.
    #[error(
        "the labels `{first}` (line {first_line}) and `{second}` (line {second_line}) are one number, but would be two \
         classes; write them alike"
    )]
    OneNumber {
        /// Label that comes first.
        first: String,
        /// Number of its first line, from 1.
        first_line: u64,
        /// The other label.
        second: String,
        /// Number of its first line, from 1.
        second_line: u64,
    },
    /// All examples are of one class, so there is nothing to learn.
    #[error(
        "all {examples} examples are of one class, `{class}`; there must be at least two (is it the right target?)"
    )]
    OneClass {
        /// Number of examples.
        examples: usize,
        /// Name or number of the class.
        class: String,
    },
    /// A weight for a class that the data do not have.
    #[error("`data.class_weights` names class `{class}`, but there are {allowed}")]
    NoClass {
        /// Class that was named.
        class: String,
        /// Classes that exist.
        allowed: String,
    },
    /// A class without a weight, where others have one.
    #[error("`data.class_weights` has no weight for class `{class}`; give one to each of {classes}")]
    NoWeight {
        /// Class that is left out.
        class: String,
        /// All classes.
        classes: String,
    },
}
