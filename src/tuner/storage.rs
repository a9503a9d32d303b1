//! Storages of studies: in memory, or in a database. Every change is one call, and each call happens as a whole or not
//! at all, also while others use the same storage.

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

use super::direction::Direction;
use super::trial::{Assigned, Trial, TrialState};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A study as a storage keeps it, without its trials.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyRecord {
    /// Number that identifies the study in its storage.
    pub id: i64,
    /// Name of the study.
    pub name: String,
    /// Directions, one for each objective.
    pub directions: Vec<Direction>,
    /// Notes of the user.
    pub user_attrs: BTreeMap<String, Json>,
    /// Notes of programs.
    pub system_attrs: BTreeMap<String, Json>,
}

/// A trial that is to be made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// Parameters of the trial.
    pub params: BTreeMap<String, Assigned>,
    /// Notes of the user about it.
    pub user_attrs: BTreeMap<String, Json>,
    /// Notes of programs about it.
    pub system_attrs: BTreeMap<String, Json>,
}

/// A change to a running trial.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The parameters of a trial that was enqueued with only some of them, or with none.
    Params(BTreeMap<String, Assigned>),
    /// An intermediate value; a second one for the same step replaces the first.
    Report {
        /// Step of the objective: epochs, optimizer steps or anything else that it counts.
        step: i64,
        /// Any number, also NaN and infinities.
        value: f64,
    },
    /// Notes of the user.
    UserAttrs(BTreeMap<String, Json>),
    /// Notes of programs.
    SystemAttrs(BTreeMap<String, Json>),
    /// The end of the trial.
    Finish {
        /// How it ends.
        end: End,
        /// Notes of programs, made together with it.
        system_attrs: BTreeMap<String, Json>,
    },
}

/// How a trial ends.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// With these values, one for each objective.
    Complete(Vec<f64>),
    /// Stopped early: its value is the last that was reported, or none where that is NaN or nothing was reported.
    Pruned,
    /// Without a result.
    Failed,
    /// Not at all: it waits again, as if nobody had begun it. What it reported is forgotten.
    GivenBack,
}

impl Change {
    /// Makes the change to a running trial in memory.
    pub(super) fn apply(&self, trial: &mut Trial) {
        match self {
            Self::Params(params) => trial.params.clone_from(params),
            Self::Report { step, value } => _ = trial.intermediate.insert(*step, *value),
            Self::UserAttrs(notes) => trial.user_attrs.extend(notes.clone()),
            Self::SystemAttrs(notes) => trial.system_attrs.extend(notes.clone()),
            Self::Finish { end, system_attrs } => {
                trial.system_attrs.extend(system_attrs.clone());
                (trial.state, trial.values) = match end {
                    End::Complete(values) => (TrialState::Complete, values.clone()),
                    End::Pruned => (TrialState::Pruned, pruned_values(trial.last_report().map(|report| report.1))),
                    End::Failed => (TrialState::Fail, Vec::new()),
                    End::GivenBack => {
                        trial.intermediate.clear();
                        trial.system_attrs.retain(|name, _| !name.starts_with(RUNG));
                        (TrialState::Waiting, Vec::new())
                    }
                };
            }
        }
    }
}

/// Begin of the names under which pruners note what a trial had at their rungs.
const RUNG: &str = "completed_rung_";

/// The values of a pruned trial, by the last value that was reported.
fn pruned_values(last_report: Option<f64>) -> Vec<f64> {
    last_report.filter(|value| !value.is_nan()).into_iter().collect()
}

/// Trials that a reader has seen: [`Storage::trials`] answers the rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Largest id of a trial that was seen.
    pub up_to: i64,
    /// Ids of trials that were seen before they were finished, and are asked for again.
    pub unfinished: Vec<i64>,
}

/// Rules for trials whose worker has fallen silent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reaping {
    /// Time of silence after which a trial is failed.
    pub grace: Duration,
    /// Largest number of times that it is tried again with the same parameters.
    pub retries: usize,
}

/// Keeps studies and their trials.
///
/// Calls are atomic: several threads, and with a database several processes, may use one storage at the same time.
pub trait Storage: Send + Sync {
    /// All studies, by id.
    ///
    /// # Errors
    /// When the storage does not answer; the same holds for the other methods.
    fn studies(&self) -> Result<Vec<StudyRecord>, StorageError>;

    /// The study of that name; None where there is none.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn study(&self, name: &str) -> Result<Option<StudyRecord>, StorageError> {
        Ok(self.studies()?.into_iter().find(|study| study.name == name))
    }

    /// Makes a study, unless there is one of that name.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn create(&self, name: &str, directions: &[Direction], notes: &BTreeMap<String, Json>) -> Result<(), StorageError>;

    /// Adds notes of programs to a study; one replaces an older one of the same name.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn note(&self, study: i64, notes: &BTreeMap<String, Json>) -> Result<(), StorageError>;

    /// Removes a study with all its trials.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn delete(&self, study: i64) -> Result<(), StorageError>;

    /// The trials that are new to `seen`, and those that it names as unfinished, by number.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn trials(&self, study: i64, seen: &Seen) -> Result<Vec<Trial>, StorageError>;

    /// Begins trial `number`, which is running from then on, and answers its id. None where the study does not have
    /// exactly `number` trials (somebody else was faster), or where `limit` of them are complete, pruned, running or
    /// waiting.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn begin(&self, study: i64, number: usize, draft: &Draft, limit: usize) -> Result<Option<i64>, StorageError>;

    /// Adds a trial that waits for somebody to claim it.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn enqueue(&self, study: i64, draft: &Draft) -> Result<(), StorageError>;

    /// Takes the first waiting trial, which is running from then on, and answers its id. None where there is none, or
    /// where `limit` trials are complete, pruned or running.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn claim(&self, study: i64, limit: usize) -> Result<Option<i64>, StorageError>;

    /// Changes a running trial. False where it is not running, or there is no such trial: then nothing has changed.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn change(&self, trial: i64, change: &Change) -> Result<bool, StorageError>;

    /// Whether the storage goes on when a worker dies: then trials need heartbeats.
    fn outlives_workers(&self) -> bool;

    /// Notes that the workers of these trials are alive.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn beat(&self, trials: &[i64]) -> Result<(), StorageError>;

    /// Fails running trials whose worker has fallen silent, and adds a waiting trial for each that is to be tried
    /// again. Answers the numbers of those that failed.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn reap(&self, study: i64, reaping: Reaping) -> Result<Vec<usize>, StorageError>;
}

/// Why a storage did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// There is no such study, or not any more.
    #[error("there is no study with id {id} any more")]
    NoStudy {
        /// Id that was asked for.
        id: i64,
    },
    /// The URL names no storage.
    #[error("`{url}` is no storage; there are: {allowed}")]
    Url {
        /// The URL.
        url: String,
        /// Forms of URLs that are possible.
        allowed: &'static str,
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
    fn opening(self) -> Self {
        match self {
            Self::Database { place, source } => Self::Open { place, source },
            other => other,
        }
    }
}

/// Forms of the URLs that [`open`] knows.
const KINDS: &str = match (cfg!(feature = "sqlite"), cfg!(feature = "postgres")) {
    (true, true) => "sqlite:///FILE, postgresql://USER@HOST/DATABASE, memory:",
    (true, false) => "sqlite:///FILE, memory:",
    (false, true) => "postgresql://USER@HOST/DATABASE, memory:",
    (false, false) => "memory:",
};

/// Opens the storage that a URL names, and makes it where there is none: `memory:`, `sqlite:///FILE` (`sqlite:////FILE`
/// for a path from the root), or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.
///
/// # Errors
/// When it names none, or one that cannot be opened.
pub fn open(url: &str) -> Result<Arc<dyn Storage>, StorageError> {
    open_or_make(url, true)
}

/// Opens a storage that is there already, perhaps made by Optuna: nothing is written.
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

/// The URL without its password.
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
