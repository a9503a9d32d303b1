//! Where studies live. Every change is one call, and each call happens as a whole or not at all, whoever else is at work.

mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use memory::Memory;
#[cfg(feature = "postgres")]
pub use postgres::open_postgres;
#[cfg(feature = "sqlite")]
pub use sqlite::open as open_sqlite;

use super::trial::{Assigned, Direction, Trial, TrialState};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A study as a storage keeps it, without its trials.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyRecord {
    /// Identifies it in its storage.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// One an objective.
    pub directions: Vec<Direction>,
    /// Whatever the user has noted.
    pub user_attrs: BTreeMap<String, Json>,
    /// What programs have noted.
    pub system_attrs: BTreeMap<String, Json>,
}

/// A trial to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// Its parameters.
    pub params: BTreeMap<String, Assigned>,
    /// What the user notes about it.
    pub user_attrs: BTreeMap<String, Json>,
    /// What programs note about it.
    pub system_attrs: BTreeMap<String, Json>,
}

/// What may change about a running trial.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It gets its parameters: one that was enqueued with a few of them fixed, or with none.
    Params(BTreeMap<String, Assigned>),
    /// An intermediate value; a second one of the same step replaces the first.
    Report {
        /// Whatever the objective counts.
        step: i64,
        /// Any number, NaN and infinities too.
        value: f64,
    },
    /// Notes of the user.
    UserAttrs(BTreeMap<String, Json>),
    /// Notes of programs.
    SystemAttrs(BTreeMap<String, Json>),
    /// It is over.
    Finish {
        /// A finished state.
        state: TrialState,
        /// See [`Trial::values`].
        values: Vec<f64>,
        /// Notes of programs, made together with it.
        system_attrs: BTreeMap<String, Json>,
    },
}

/// What a reader has seen already: it is told of the rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// All trials up to this id.
    pub up_to: i64,
    /// But for these, which were not finished.
    pub unfinished: Vec<i64>,
}

/// How a stale trial is dealt with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reaping {
    /// A trial whose worker has been silent for so long is failed.
    pub grace: Duration,
    /// And tried again with the same parameters, so many times at most.
    pub retries: usize,
}

/// Keeps studies and their trials.
///
/// Calls are atomic; several threads, and with a database several processes, use one storage at a time.
pub trait Storage: Send + Sync {
    /// All studies, by id.
    ///
    /// # Errors
    /// When the storage does not answer; the same for all the others.
    fn studies(&self) -> Result<Vec<StudyRecord>, StorageError>;

    /// The study of that name. None if there is none.
    ///
    /// # Errors
    /// See above.
    fn study(&self, name: &str) -> Result<Option<StudyRecord>, StorageError> {
        Ok(self.studies()?.into_iter().find(|study| study.name == name))
    }

    /// Makes a study, unless there is one of that name.
    ///
    /// # Errors
    /// See above.
    fn create(&self, name: &str, directions: &[Direction], notes: &BTreeMap<String, Json>) -> Result<(), StorageError>;

    /// Notes of programs about a study, each in the place of one of the same name.
    ///
    /// # Errors
    /// See above.
    fn note(&self, study: i64, notes: &BTreeMap<String, Json>) -> Result<(), StorageError>;

    /// Removes a study with all its trials.
    ///
    /// # Errors
    /// See above.
    fn delete(&self, study: i64) -> Result<(), StorageError>;

    /// The trials that `seen` does not know to be finished, by number.
    ///
    /// # Errors
    /// See above.
    fn trials(&self, study: i64, seen: &Seen) -> Result<Vec<Trial>, StorageError>;

    /// Begins trial `number`, running. False where there is one already, or where `limit` trials are complete, pruned, running or waiting.
    ///
    /// # Errors
    /// See above.
    fn begin(&self, study: i64, number: usize, draft: &Draft, limit: usize) -> Result<Option<i64>, StorageError>;

    /// Adds a trial that waits for somebody to claim it.
    ///
    /// # Errors
    /// See above.
    fn enqueue(&self, study: i64, draft: &Draft) -> Result<(), StorageError>;

    /// Takes the first waiting trial, which is running from then on. None where there is none, or where `limit` trials are complete,
    /// pruned or running.
    ///
    /// # Errors
    /// See above.
    fn claim(&self, study: i64, limit: usize) -> Result<Option<i64>, StorageError>;

    /// Changes a running trial. False where it is not running any more: then nothing has changed.
    ///
    /// # Errors
    /// See above.
    fn change(&self, trial: i64, change: &Change) -> Result<bool, StorageError>;

    /// Whether workers may die without the storage dying with them: then trials need heartbeats.
    fn outlives_workers(&self) -> bool;

    /// Says that the workers of these trials are alive.
    ///
    /// # Errors
    /// See above.
    fn beat(&self, trials: &[i64]) -> Result<(), StorageError>;

    /// Fails running trials whose workers fell silent, and has them tried again. Answers their numbers.
    ///
    /// # Errors
    /// See above.
    fn reap(&self, study: i64, reaping: Reaping) -> Result<Vec<usize>, StorageError>;
}

/// Why a storage did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A study is gone.
    #[error("there is no study with id {id} any more")]
    NoStudy {
        /// What was asked for.
        id: i64,
    },
    /// A URL that means nothing.
    #[error("`{url}` is no storage; there are: {allowed}")]
    Url {
        /// The URL.
        url: String,
        /// What there is.
        allowed: &'static str,
    },
    /// The database cannot be used at all.
    #[error("cannot open {place}: {source}")]
    Open {
        /// Where it is.
        place: String,
        /// What the database says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There are no tables, and none were to be made.
    #[error("there are no studies in {place}")]
    Empty {
        /// Where the database is, or would be.
        place: String,
    },
    /// The database did not do what it was asked.
    #[error("{place} failed: {source}")]
    Database {
        /// Where it is.
        place: String,
        /// What the database says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database can be read, and no more.
    #[error("{place} is read-only")]
    ReadOnly {
        /// Where it is.
        place: String,
    },
    /// The tables are those of another version of Optuna.
    #[error(
        "the tables of {place} have version {found}, but must have {expected}, that of Optuna 3.2 and later; see `optuna storage upgrade`"
    )]
    ForeignSchema {
        /// Where the database is.
        place: String,
        /// Version of its tables.
        found: String,
        /// The version that can be read.
        expected: &'static str,
    },
    /// Something in a table means nothing.
    #[error("{place} is damaged: {what} is {value}")]
    Damaged {
        /// Where the database is.
        place: String,
        /// Which column.
        what: &'static str,
        /// What was found in it.
        value: String,
    },
}

impl StorageError {
    /// An error before there was anything to lose.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    fn opening(self) -> Self {
        match self {
            Self::Database { place, source } => Self::Open { place, source },
            other => other,
        }
    }
}

/// The storages that [`open`] knows.
const KINDS: &str = match (cfg!(feature = "sqlite"), cfg!(feature = "postgres")) {
    (true, true) => "sqlite:///FILE, postgresql://USER@HOST/DATABASE, memory:",
    (true, false) => "sqlite:///FILE, memory:",
    (false, true) => "postgresql://USER@HOST/DATABASE, memory:",
    (false, false) => "memory:",
};

/// The storage that a URL names, made where there is none: `memory:`, `sqlite:///FILE` (`sqlite:////FILE` for a path from the root), or
/// `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.
///
/// # Errors
/// When it names none, or one that cannot be opened.
pub fn open(url: &str) -> Result<Arc<dyn Storage>, StorageError> {
    open_or_make(url, true)
}

/// The same for one that is there already, perhaps made by Optuna: nothing is written.
///
/// # Errors
/// As [`open`], and [`StorageError::Empty`] where there is none.
pub fn open_existing(url: &str) -> Result<Arc<dyn Storage>, StorageError> {
    open_or_make(url, false)
}

fn open_or_make(url: &str, make: bool) -> Result<Arc<dyn Storage>, StorageError> {
    if url == "memory:" {
        return Ok(Arc::new(Memory::new()));
    }
    #[cfg(feature = "sqlite")]
    if let Some(file) = url.strip_prefix("sqlite:///").filter(|file| !file.is_empty()) {
        let file = std::path::Path::new(file);
        if !make && !file.exists() {
            return Err(StorageError::Empty { place: file.display().to_string() });
        }
        return Ok(Arc::new(open_sqlite(file)?));
    }
    #[cfg(feature = "postgres")]
    if ["postgresql://", "postgresql+", "postgres://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(Arc::new(postgres::open(url, make)?));
    }
    let _ = make;
    Err(StorageError::Url { url: without_password(url), allowed: KINDS })
}

/// A URL as it may be shown.
fn without_password(url: &str) -> String {
    let Some((scheme, address)) = url.split_once("://") else { return url.into() };
    // A password may hold anything, and may stand behind the question mark too.
    let (user, host) = address.rsplit_once('@').map_or(("", address), |(user, host)| (user, host));
    let until = |text: &str, ends: &[char]| text.split(ends).next().unwrap_or_default().to_owned();
    let user = Some(until(user, &[':', '/', '?'])).filter(|user| !user.is_empty());
    format!("{scheme}://{}{}", user.map_or(String::new(), |user| user + "@"), until(host, &['?']))
}

#[cfg(test)]
mod tests;
