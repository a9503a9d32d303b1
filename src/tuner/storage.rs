//! Storages of studies: in memory, or in a database. Every change is one call, and each call happens as a whole or not
//! at all, also while others use the same storage.

mod error;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use error::StorageError;
pub use memory::Memory;
#[cfg(feature = "postgres")]
pub use postgres::open_postgres;
#[cfg(feature = "sqlite")]
pub use sqlite::open as open_sqlite;

use super::direction::Direction;
pub use super::trial::TrialKey;

use super::trial::{Assigned, Trial, TrialState};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A study as a storage keeps it, without its trials. It is also the key of the study in all later calls.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyRecord {
    /// Number of the study in its storage. A database may give it again when the study is deleted.
    pub id: i64,
    /// Name of the study.
    pub name: String,
    /// Mark that no other study has, not even a later one of the same name. None where nobody has set one yet.
    pub mark: Option<String>,
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
    /// Seconds between the heartbeats of its worker. None for a trial that waits for one.
    pub heartbeat_s: Option<f64>,
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

/// Makes the next trial of a study, with its number, from the trials that are new.
pub type Prepare<'a> = dyn FnMut(Vec<Trial>) -> Option<(usize, Draft)> + 'a;

/// How long the worker of a trial has been silent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Silence {
    /// Seconds since its last heartbeat.
    pub silent_s: f64,
    /// Seconds between its heartbeats. After twice as many the trial is given up.
    pub heartbeat_s: f64,
}

impl Silence {
    /// Whether a heartbeat is missing: late ones are not meant.
    pub(super) fn is_overdue(self) -> bool {
        self.silent_s > 1.2 * self.heartbeat_s + 0.1
    }
}

/// [`Storage::begin_in_turn`] where nobody waits for the others.
fn begin_without_turns(
    storage: &(impl Storage + ?Sized),
    study: &StudyRecord,
    seen: &Seen,
    limit: usize,
    prepare: &mut Prepare<'_>,
) -> Result<Option<TrialKey>, StorageError> {
    match prepare(storage.trials(study, seen)?) {
        Some((number, draft)) => storage.begin(study, number, &draft, limit),
        None => Ok(None),
    }
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
    /// [`StorageError::NoStudy`] when the study is gone, also where there is another one of its name or its id; the
    /// same holds for all methods that take a study. When the storage does not answer.
    fn note(&self, study: &StudyRecord, notes: &BTreeMap<String, Json>) -> Result<(), StorageError>;

    /// Adds notes of the user to a study; one replaces an older one of the same name.
    ///
    /// # Errors
    /// As [`Storage::note`].
    fn note_user(&self, study: &StudyRecord, notes: &BTreeMap<String, Json>) -> Result<(), StorageError>;

    /// Removes a study with all its trials. One whose workers are alive is removed by `force` only.
    ///
    /// # Errors
    /// [`StorageError::Busy`], or as [`Storage::note`].
    fn delete(&self, study: &StudyRecord, force: bool) -> Result<(), StorageError>;

    /// The trials that are new to `seen`, and those that it names as unfinished, by number.
    ///
    /// # Errors
    /// As [`Storage::note`].
    fn trials(&self, study: &StudyRecord, seen: &Seen) -> Result<Vec<Trial>, StorageError>;

    /// Begins trial `number`, which is running from then on, and answers its key. None where the study does not have
    /// exactly `number` trials (somebody else was faster), or where `limit` of them are complete, pruned, waiting or
    /// running; of the running ones those count that somebody will end ([`Trial::is_watched`]).
    ///
    /// # Errors
    /// As [`Storage::note`].
    fn begin(
        &self,
        study: &StudyRecord,
        number: usize,
        draft: &Draft,
        limit: usize,
    ) -> Result<Option<TrialKey>, StorageError>;

    /// Begins a trial as [`Storage::begin`] does. `prepare` gets the trials that are new to `seen`, as
    /// [`Storage::trials`] answers them, and says which number the trial has and what it is; None where there is none to
    /// be begun. It may be called a second time.
    ///
    /// A storage may see to it that between the reading and the begin nobody else adds a trial to the study: workers
    /// that get their trials one after the other lose no proposal to each other. As long as `prepare` takes, the others
    /// wait.
    ///
    /// # Errors
    /// As [`Storage::note`].
    fn begin_in_turn(
        &self,
        study: &StudyRecord,
        seen: &Seen,
        limit: usize,
        prepare: &mut Prepare<'_>,
    ) -> Result<Option<TrialKey>, StorageError> {
        begin_without_turns(self, study, seen, limit, prepare)
    }

    /// Adds a trial that waits for somebody to claim it.
    ///
    /// # Errors
    /// As [`Storage::note`].
    fn enqueue(&self, study: &StudyRecord, draft: &Draft) -> Result<(), StorageError>;

    /// Takes the first waiting trial, which is running from then on, with `heartbeat_s` seconds between the heartbeats
    /// of its worker, and answers its key. None where there is none, or where `limit` trials are complete, pruned or
    /// running.
    ///
    /// # Errors
    /// As [`Storage::note`].
    fn claim(&self, study: &StudyRecord, limit: usize, heartbeat_s: f64) -> Result<Option<TrialKey>, StorageError>;

    /// Changes a running trial. False where it is not running, where there is no such trial in the study, or where it
    /// was begun another time than the key says: then nothing has changed.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn change(&self, study: &StudyRecord, trial: &TrialKey, change: &Change) -> Result<bool, StorageError>;

    /// Whether the storage goes on when a worker dies: then trials need heartbeats.
    fn outlives_workers(&self) -> bool;

    /// Notes that the workers of these trials are alive. Answers the keys of those that [`Storage::change`] would not
    /// change any more.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn beat(&self, study: &StudyRecord, trials: &[TrialKey]) -> Result<Vec<TrialKey>, StorageError>;

    /// How long the worker of a running trial has been silent. None where nobody knows.
    ///
    /// # Errors
    /// When the storage does not answer.
    fn silence(&self, _study: &StudyRecord, _number: usize) -> Result<Option<Silence>, StorageError> {
        Ok(None)
    }

    /// Fails running trials whose worker has been silent for more than twice the time between its heartbeats, and adds
    /// a waiting trial for each that has not been tried `retries` times more. Of Optuna's trials that time is not
    /// known, so they are for Optuna to fail. Answers the numbers of those that failed.
    ///
    /// # Errors
    /// As [`Storage::note`].
    fn reap(&self, study: &StudyRecord, retries: usize) -> Result<Vec<usize>, StorageError>;
}

/// Forms of the URLs that [`open`] knows.
const KINDS: &str = match (cfg!(feature = "sqlite"), cfg!(feature = "postgres")) {
    (true, true) => "sqlite:///FILE, postgresql://USER@HOST/DATABASE, memory:",
    (true, false) => "sqlite:///FILE, memory:",
    (false, true) => "postgresql://USER@HOST/DATABASE, memory:",
    (false, false) => "memory:",
};

/// What is to be done with a storage that is opened.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Purpose {
    /// To read and to write, and to make it where there is none.
    Make,
    /// To read and to write.
    Use,
    /// To read.
    Look,
}

/// Opens the storage that a URL names, and makes it where there is none: `memory:`, `sqlite:///FILE` (`sqlite:////FILE`
/// for a path from the root), or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.
///
/// # Errors
/// When it names none, or one that cannot be opened.
pub fn open(url: &str) -> Result<Arc<dyn Storage>, StorageError> {
    open_for(url, Purpose::Make)
}

/// Opens a storage that is there already, perhaps made by Optuna, to go on with its studies.
///
/// # Errors
/// As [`open`], and [`StorageError::Empty`] where there is none.
pub fn open_existing(url: &str) -> Result<Arc<dyn Storage>, StorageError> {
    open_for(url, Purpose::Use)
}

/// Opens a storage that is there already, to look at it: nothing is written, not even by the database itself, so a file
/// may lie where nothing can be written. Methods that change something are not for such a storage; a file refuses them.
///
/// # Errors
/// As [`open_existing`].
pub fn look(url: &str) -> Result<Arc<dyn Storage>, StorageError> {
    open_for(url, Purpose::Look)
}

fn open_for(url: &str, purpose: Purpose) -> Result<Arc<dyn Storage>, StorageError> {
    if url == "memory:" {
        return Ok(Arc::new(Memory::new()));
    }
    #[cfg(feature = "sqlite")]
    if let Some(file) = url.strip_prefix("sqlite:///").filter(|file| !file.is_empty()) {
        sqlite::check_name(url, file)?;
        let file = std::path::Path::new(file);
        if purpose != Purpose::Make && !file.exists() {
            return Err(StorageError::Empty { place: file.display().to_string() });
        }
        return Ok(Arc::new(sqlite::open_for(file, purpose)?));
    }
    #[cfg(feature = "postgres")]
    if ["postgresql://", "postgresql+", "postgres://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(Arc::new(postgres::open(url, purpose == Purpose::Make)?));
    }
    let _ = purpose;
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
