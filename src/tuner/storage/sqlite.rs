//! Studies in an SQLite file: for one machine, any number of processes.

use super::sql::{self, Access, Cell, Connection, Dialect, Sql};
use super::{Storage, StorageError};
use rusqlite::types::{ToSqlOutput, Value as SqlValue};
use rusqlite::{ErrorCode, ToSql, params_from_iter};
use std::path::Path;
use std::time::{Duration, Instant};

const TABLES: &str = include_str!("optuna_sqlite.sql");

/// How long a process waits while others use the file.
const PATIENCE: Duration = Duration::from_secs(60);

const DIALECT: Dialect = Dialect {
    begin_read: "BEGIN",
    // With the lock from the beginning, so that nothing is read that another process is about to change.
    begin_write: "BEGIN IMMEDIATE",
    for_update: "",
    // Optuna reads the digits behind the point as microseconds, so there must be six.
    now: "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    heartbeat: "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    silent_s: "(julianday('now') - julianday(heartbeat)) * 86400.0",
};

/// Opens the file, or makes it. After a power cut the last trials may be lost, never the file; a killed process loses
/// nothing.
///
/// # Errors
/// When it cannot be read or written, is no SQLite database, or holds the tables of another version of Optuna.
pub fn open(file: &Path) -> Result<impl Storage + use<>, StorageError> {
    let place = file.display().to_string();
    let failed = |source: rusqlite::Error| StorageError::Open { place: place.clone(), source: source.into() };
    let connection = rusqlite::Connection::open(file).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    let mut file = File { place: place.clone(), connection };
    if !file.has_table("studies").map_err(StorageError::opening)? {
        file.write_ahead().map_err(failed)?;
        sql::transaction(&mut file, Access::Write, make_tables).map_err(StorageError::opening)?;
    }
    let has_revisions = file.has_table("alembic_version").map_err(StorageError::opening)?;
    sql::check_version(&mut file, has_revisions).map_err(StorageError::opening)?;
    file.write_ahead().map_err(failed)?;
    file.connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    Ok(Sql::new(file))
}

struct File {
    place: String,
    connection: rusqlite::Connection,
}

fn make_tables(connection: &mut dyn Connection) -> Result<(), StorageError> {
    let there = connection.query("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'studies'", &[])?;
    // Two processes may have found no tables; the second sees those of the first here.
    if !there.is_empty() {
        return Ok(());
    }
    for statement in TABLES.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        connection.query(statement, &[])?;
    }
    sql::version_rows(connection)
}

impl File {
    fn has_table(&mut self, name: &str) -> Result<bool, StorageError> {
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = $1";
        Ok(!self.query(sql, &[name.into()])?.is_empty())
    }

    /// Switches on the write-ahead log, with which readers and a writer do not wait for each other. SQLite does not
    /// wait for other processes when it switches, so it is tried again.
    fn write_ahead(&self) -> rusqlite::Result<()> {
        let start = Instant::now();
        loop {
            match self.connection.pragma_update(None, "journal_mode", "WAL") {
                Err(error) if is_busy(&error) && start.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                // A file that is read-only can be read without the switch.
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => return Ok(()),
                done => return done,
            }
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(SqlValue::Null),
            Self::Int(whole) => (*whole).into(),
            Self::Real(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
        })
    }
}

impl From<SqlValue> for Cell {
    fn from(value: SqlValue) -> Self {
        match value {
            SqlValue::Null => Self::Null,
            SqlValue::Integer(whole) => Self::Int(whole),
            SqlValue::Real(number) => Self::Real(number),
            SqlValue::Text(text) => Self::Text(text),
            SqlValue::Blob(bytes) => Self::Text(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}

impl Connection for File {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn query(&mut self, sql: &str, cells: &[Cell]) -> Result<Vec<Vec<Cell>>, StorageError> {
        let place = || self.place.clone();
        let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::ReadOnly) => StorageError::ReadOnly { place: place() },
            _ => StorageError::Database { place: place(), source: source.into() },
        };
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let n_columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..n_columns).map(|i| row.get::<_, SqlValue>(i).map(Cell::from)).collect();
        let rows = statement.query_map(params_from_iter(cells), row).map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }
}
