//! Studies in a database with Optuna's tables: the part that all databases have in common.
//!
//! The tables are those of Optuna from 3.2 on, byte for byte, so its own workers, its dashboard and its drawings read
//! and continue what is written here, and this crate reads and continues theirs. How values are encoded:
//!
//! - parameters by their inner value and their distribution as JSON; choices by index;
//! - infinite values as NULL with a type beside it; NaN may be an intermediate value, but not the value of an
//!   objective;
//! - times in UTC, heartbeats by the clock of the database;
//! - the number of a trial as the number of trials that the study had before it; one writer at a time ensures that.
//!
//! SQLite gives an id again when its row was deleted. So a study has a mark that no other one has, among its attributes
//! ("qgd:mark"), and whoever works on a study names it with its mark. A trial is known by its study, its number and
//! the time of its begin. How often its worker sends heartbeats is an attribute of it ("qgd:heartbeat_s:NUMBER").
//!
//! Every call is one transaction.

mod read;
mod write;

use super::{Change, Draft, Prepare, Seen, Silence, Storage, StorageError, StudyRecord, TrialKey, begin_without_turns};
use crate::tuner::direction::Direction;
use crate::tuner::trial::Trial;
use serde_json::Value as Json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Version of the tables, as Optuna's migration tool names it.
pub(super) const REVISION: &str = "v3.2.0.a";

/// Version of the tables, as Optuna itself counts.
pub(super) const SCHEMA_VERSION: i64 = 12;

/// Name of the study attribute that holds the mark of a study.
const MARK: &str = "qgd:mark";

/// Name of the trial attribute that holds the seconds between the heartbeats of its worker; behind a colon follows the
/// number of the trial, for Optuna copies attributes where it tries a trial again.
const HEARTBEAT: &str = "qgd:heartbeat_s";

/// One cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => write!(f, "NULL"),
            Self::Int(whole) => write!(f, "{whole}"),
            Self::Real(number) => write!(f, "{number:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::Null, Self::Real)
    }
}

/// SQL that differs from one database to the other.
pub(super) struct Dialect {
    /// Begins a transaction that only reads, and sees one unchanging state of the database.
    pub begin_read: &'static str,
    /// Begins a transaction that writes.
    pub begin_write: &'static str,
    /// End of a SELECT whose rows nobody else may change before the end of the transaction.
    pub for_update: &'static str,
    /// The time now, in UTC, as Optuna notes times.
    pub now: &'static str,
    /// The time now, as heartbeats are noted.
    pub heartbeat: &'static str,
    /// Number of seconds since the column `heartbeat` was set.
    pub silent_s: &'static str,
    /// Whether one who adds a trial keeps out only others who do: workers may get their trials in turn then. Where all
    /// who write are kept out they should not wait for a proposal.
    pub has_turns: bool,
    /// A text of letters and digits that was never there before.
    pub unique: &'static str,
}

/// A connection to a database. Parameters are `$1`, `$2`, ... in the order of their first use.
pub(super) trait Connection: Send {
    /// SQL of this kind of database.
    fn dialect(&self) -> &'static Dialect;

    /// Place of the database, for messages.
    fn place(&self) -> &str;

    /// Executes a statement and answers its rows.
    fn query(&mut self, sql: &str, cells: &[Cell]) -> Result<Vec<Vec<Cell>>, StorageError>;

    /// Called at the end of the work of a transaction that only reads. An error where what was read may not hold
    /// together: then [`Connection::heal`] is asked whether to read again.
    fn has_read(&mut self) -> Done<()> {
        Ok(())
    }

    /// Identifies the transaction that is open, for [`Connection::was_committed`].
    fn stamp(&mut self) -> Done<Cell> {
        Ok(Cell::Null)
    }

    /// Called after a transaction has failed with `error`: connects again where the connection was lost. Ok where the
    /// transaction is to be tried again; else the error to report.
    fn heal(&mut self, error: StorageError) -> Done<()> {
        Err(error)
    }

    /// Whether a transaction was committed, of whose end no answer has come.
    fn was_committed(&mut self, _stamp: &Cell) -> Done<bool> {
        Ok(false)
    }
}

/// Kind of a transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Access {
    /// It reads only.
    Read,
    /// It changes something.
    Write,
}

/// Studies in a database.
pub(super) struct Sql<C> {
    connection: Mutex<C>,
}

type Done<T> = Result<T, StorageError>;

impl<C: Connection> Sql<C> {
    pub fn new(connection: C) -> Self {
        Self { connection: Mutex::new(connection) }
    }

    fn connection(&self) -> MutexGuard<'_, C> {
        // A panic may have left a transaction open: the next one cannot begin, fails, and rolls it back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading<T>(&self, work: impl Fn(&mut dyn Connection) -> Done<T>) -> Done<T> {
        transaction(&mut *self.connection(), Access::Read, work)
    }

    fn writing<T>(&self, work: impl Fn(&mut dyn Connection) -> Done<T>) -> Done<T> {
        transaction(&mut *self.connection(), Access::Write, work)
    }
}

/// Does all of `work` or nothing of it. Where the connection is lost on the way, `work` is done again unless it was
/// committed.
pub(super) fn transaction<T>(
    connection: &mut dyn Connection,
    access: Access,
    work: impl Fn(&mut dyn Connection) -> Done<T>,
) -> Done<T> {
    loop {
        let mut ready = None;
        let done = prepared(connection, access, &work).and_then(|answer| {
            ready = Some(answer);
            connection.query("COMMIT", &[])
        });
        match (done, ready) {
            (Ok(_), Some((answer, _))) => return Ok(answer),
            (Ok(_), None) => {}
            (Err(error), ready) => {
                // The error to report is the first one. Without a commit nothing has changed.
                let _ = connection.query("ROLLBACK", &[]);
                connection.heal(error)?;
                if let Some((answer, stamp)) = ready
                    && (access == Access::Read || connection.was_committed(&stamp)?)
                {
                    return Ok(answer);
                }
            }
        }
    }
}

/// Begins a transaction and does the work. Answers its result, and what identifies the transaction.
fn prepared<T>(
    connection: &mut dyn Connection,
    access: Access,
    work: impl Fn(&mut dyn Connection) -> Done<T>,
) -> Done<(T, Cell)> {
    let Dialect { begin_read, begin_write, .. } = connection.dialect();
    connection.query(if access == Access::Read { begin_read } else { begin_write }, &[])?;
    let answer = work(connection)?;
    let stamp = match access {
        Access::Read => connection.has_read().map(|()| Cell::Null)?,
        Access::Write => connection.stamp()?,
    };
    Ok((answer, stamp))
}

/// Refuses tables of a version that is not known. `has_revisions` says whether there is the table of Optuna's migration
/// tool.
pub(super) fn check_version(connection: &mut dyn Connection, has_revisions: bool) -> Done<()> {
    let place = connection.place().to_owned();
    let versions = connection.query("SELECT schema_version FROM version_info", &[])?;
    let revisions =
        if has_revisions { connection.query("SELECT version_num FROM alembic_version", &[])? } else { vec![] };
    let foreign = |found: String, expected| StorageError::ForeignSchema { place: place.clone(), found, expected };
    for row in revisions {
        if row[0] != Cell::from(REVISION) {
            return Err(foreign(row[0].to_string(), REVISION));
        }
    }
    for row in versions {
        if row[0] != Cell::Int(SCHEMA_VERSION) {
            return Err(foreign(row[0].to_string(), "12"));
        }
    }
    Ok(())
}

/// Notes the version in new tables.
pub(super) fn version_rows(connection: &mut dyn Connection) -> Done<()> {
    let sql = format!(
        "INSERT INTO version_info (version_info_id, schema_version, library_version) VALUES (1, {SCHEMA_VERSION}, $1)"
    );
    connection.query(&sql, &[concat!("qgd ", env!("CARGO_PKG_VERSION")).into()])?;
    connection.query("INSERT INTO alembic_version (version_num) VALUES ($1)", &[REVISION.into()]).map(|_| ())
}

impl<C: Connection> Storage for Sql<C> {
    fn studies(&self) -> Done<Vec<StudyRecord>> {
        self.reading(read::studies)
    }

    fn create(&self, name: &str, directions: &[Direction], notes: &BTreeMap<String, Json>) -> Done<()> {
        self.writing(|connection| write::create(connection, name, directions, notes))
    }

    fn note(&self, study: &StudyRecord, notes: &BTreeMap<String, Json>) -> Done<()> {
        self.writing(|connection| write::note(connection, study, notes))
    }

    fn note_user(&self, study: &StudyRecord, notes: &BTreeMap<String, Json>) -> Done<()> {
        self.writing(|connection| write::note_user(connection, study, notes))
    }

    fn delete(&self, study: &StudyRecord, force: bool) -> Done<()> {
        self.writing(|connection| write::delete(connection, study, force))
    }

    fn trials(&self, study: &StudyRecord, seen: &Seen) -> Done<Vec<Trial>> {
        self.reading(|connection| read::trials(connection, study, seen))
    }

    fn begin(&self, study: &StudyRecord, number: usize, draft: &Draft, limit: usize) -> Done<Option<TrialKey>> {
        self.writing(|connection| write::begin(connection, study, number, draft, limit))
    }

    fn begin_in_turn(
        &self,
        study: &StudyRecord,
        seen: &Seen,
        limit: usize,
        prepare: &mut Prepare<'_>,
    ) -> Done<Option<TrialKey>> {
        if !self.connection().dialect().has_turns {
            return begin_without_turns(self, study, seen, limit, prepare);
        }
        let prepare = RefCell::new(prepare);
        self.writing(|connection| {
            // From here on others who want to add a trial wait.
            write::check(connection, study)?;
            let read = read::trials(connection, study, seen)?;
            match prepare.borrow_mut()(read) {
                Some((number, draft)) => write::begin(connection, study, number, &draft, limit),
                None => Ok(None),
            }
        })
    }

    fn enqueue(&self, study: &StudyRecord, draft: &Draft) -> Done<()> {
        self.writing(|connection| write::enqueue(connection, study, draft))
    }

    fn claim(&self, study: &StudyRecord, limit: usize, heartbeat_s: f64) -> Done<Option<TrialKey>> {
        self.writing(|connection| write::claim(connection, study, limit, heartbeat_s))
    }

    fn change(&self, study: &StudyRecord, trial: &TrialKey, change: &Change) -> Done<bool> {
        self.writing(|connection| write::change(connection, study, trial, change))
    }

    fn outlives_workers(&self) -> bool {
        true
    }

    fn beat(&self, study: &StudyRecord, trials: &[TrialKey]) -> Done<Vec<TrialKey>> {
        self.writing(|connection| write::beat(connection, study, trials))
    }

    fn silence(&self, study: &StudyRecord, number: usize) -> Done<Option<Silence>> {
        self.reading(|connection| read::silence(connection, study.id, number))
    }

    fn reap(&self, study: &StudyRecord, retries: usize) -> Done<Vec<usize>> {
        // First a look without a lock, since nearly always there is nothing to do.
        let stale = self.reading(|connection| read::stale(connection, study, ""))?;
        if stale.is_empty() {
            return Ok(Vec::new());
        }
        self.writing(|connection| write::reap(connection, study, retries))
    }
}
