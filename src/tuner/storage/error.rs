//! Errors of storages.

use crate::words::counted;

/// Why a storage did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The study was there, and is not any more; there may be another one of its name.
    #[error("the study {name} is gone: somebody has deleted it, and nothing more can be noted in it")]
    NoStudy {
        /// Name of the study.
        name: String,
    },
    /// The study is not deleted while workers are at it.
    #[error(
        "{name} has {} of workers that are alive: stop them first, or take the study away from them (`--force`)",
        counted(*n_running, "running trial")
    )]
    Busy {
        /// Name of the study.
        name: String,
        /// Number of its trials that are evaluated at this moment.
        n_running: usize,
    },
    /// A database of something else: no tables of studies are put into it.
    #[error("{place} holds the table `{table}` and no studies: it belongs to something else; choose another file")]
    Foreign {
        /// Place of the database.
        place: String,
        /// A table that is there.
        table: String,
    },
    /// The file was removed or replaced while it was in use.
    #[error("{place} was removed or replaced while it was in use, and nothing more can be noted in it")]
    Replaced {
        /// Place of the database.
        place: String,
    },
    /// The URL names no storage.
    #[error("`{url}` is no storage; there are: {allowed}")]
    Url {
        /// The URL.
        url: String,
        /// Forms of URLs that are possible.
        allowed: &'static str,
    },
    /// The URL has a part that is not for such a storage.
    #[error("`{url}`: `{part}` is nothing that {supported}")]
    UrlPart {
        /// The URL.
        url: String,
        /// The part.
        part: String,
        /// What is possible, and what to do instead.
        supported: &'static str,
    },
    /// The database cannot be used at all.
    #[error("cannot open {place}: {source}")]
    Open {
        /// Place of the database.
        place: String,
        /// Error of the database.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There are no tables yet, and none were to be made.
    #[error("there are no studies in {place}")]
    Empty {
        /// Place of the database, or where it would be.
        place: String,
    },
    /// The database failed.
    #[error("{place} failed: {source}")]
    Database {
        /// Place of the database.
        place: String,
        /// Error of the database.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database can be read, and no more.
    #[error("{place} is read-only")]
    ReadOnly {
        /// Place of the database.
        place: String,
    },
    /// The tables are those of another version of Optuna.
    #[error(
        "the tables of {place} have version {found}, but must have {expected}, that of Optuna 3.2 and later; see `optuna storage upgrade`"
    )]
    ForeignSchema {
        /// Place of the database.
        place: String,
        /// Version of its tables.
        found: String,
        /// The version that can be read.
        expected: &'static str,
    },
    /// A table holds something that has no meaning.
    #[error("{place} is damaged: {what} is {value}")]
    Damaged {
        /// Place of the database.
        place: String,
        /// Column of the table.
        what: &'static str,
        /// Content that was found.
        value: String,
    },
}

impl StorageError {
    /// The same error, where it occurred while the database was opened.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn opening(self) -> Self {
        match self {
            Self::Database { place, source } => Self::Open { place, source },
            other => other,
        }
    }
}
