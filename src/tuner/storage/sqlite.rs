//! Studies in an SQLite file: for one machine, any number of processes.

mod source;

use super::sql::{self, Access, Cell, Connection, Dialect, Sql};
use super::{Purpose, Storage, StorageError};
use rusqlite::types::{ToSqlOutput, Value as SqlValue};
use rusqlite::{ErrorCode, ToSql, params_from_iter};
use source::Source;
use std::path::Path;

const TABLES: &str = include_str!("optuna_sqlite.sql");

const DIALECT: Dialect = Dialect {
    begin_read: "BEGIN",
    // With the lock from the beginning, so that nothing is read that another process is about to change.
    begin_write: "BEGIN IMMEDIATE",
    for_update: "",
    // Optuna reads the digits behind the point as microseconds, so there must be six.
    now: "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    heartbeat: "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    silent_s: "(julianday('now') - julianday(heartbeat)) * 86400.0",
    has_turns: false,
    unique: "lower(hex(randomblob(16)))",
};

/// Opens the file, or makes it. After a power cut the last trials may be lost, never the file; a killed process loses
/// nothing.
///
/// # Errors
/// When it cannot be read or written, is no SQLite database, or holds the tables of another version of Optuna, or those
/// of something else.
pub fn open(file: &Path) -> Result<impl Storage + use<>, StorageError> {
    open_for(file, Purpose::Make)
}

/// Refuses what SQLAlchemy or SQLite itself would not take for the name of a file.
pub(super) fn check_name(url: &str, file: &str) -> Result<(), StorageError> {
    let refused =
        |part: &str, supported| Err(StorageError::UrlPart { url: url.to_owned(), part: part.to_owned(), supported });
    if let Some(at) = file.find('?') {
        let supported = "a URL of SQLite has here: there are no settings behind a question mark, and \
                         `study list`, `show`, `best`, `importance` and `export` open the file read-only by themselves; \
                         give sqlite:///FILE";
        return refused(&file[at..], supported);
    }
    match file {
        ":memory:" => refused(file, "keeps a study here: give memory: for one that is gone in the end"),
        _ if file.starts_with("file:") => refused("file:", "a URL of SQLite begins with here: give sqlite:///FILE"),
        _ => Ok(()),
    }
}

/// Why a path cannot be the file of a database, as far as the file system knows. SQLite would say no more than that it
/// cannot open it, or wait for ever.
fn obstacle(file: &Path) -> Option<&'static str> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    match file.metadata() {
        Ok(there) if there.is_dir() => Some("it is a folder; give the file of a database in it"),
        Ok(there) if !there.is_file() => Some("it is a device or a pipe, but must be a file"),
        Err(_) if folder.is_some_and(|folder| !folder.is_dir()) => Some("its folder does not exist"),
        _ => None,
    }
}

pub(super) fn open_for(file: &Path, purpose: Purpose) -> Result<impl Storage + use<>, StorageError> {
    let place = file.display().to_string();
    if let Some(obstacle) = obstacle(file) {
        return Err(StorageError::Open { place, source: obstacle.into() });
    }
    let failed = |source: rusqlite::Error| StorageError::Open { place: place.clone(), source: source.into() };
    let source = if purpose == Purpose::Look { Source::look(file) } else { Source::use_it(file) };
    let source = source.map_err(failed)?;
    let mut file = File { place: place.clone(), source };
    let has_revisions = file.prepare(purpose).map_err(StorageError::opening)?;
    sql::transaction(&mut file, Access::Read, |connection| sql::check_version(connection, has_revisions))
        .map_err(StorageError::opening)?;
    if purpose != Purpose::Look {
        file.source.write_ahead().map_err(failed)?;
    }
    Ok(Sql::new(file))
}

struct File {
    place: String,
    source: Source,
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
    /// Makes the tables where there are none and they are to be made. Answers whether there is the table of Optuna's
    /// migration tool.
    fn prepare(&mut self, purpose: Purpose) -> Result<bool, StorageError> {
        let tables = sql::transaction(self, Access::Read, tables)?;
        let has = |name: &str| tables.iter().any(|table| table == name);
        if has("studies") && has("trials") {
            return Ok(has("alembic_version"));
        }
        let place = self.place.clone();
        match tables.first() {
            _ if purpose != Purpose::Make => return Err(StorageError::Empty { place }),
            Some(table) => return Err(StorageError::Foreign { place, table: table.clone() }),
            None => {}
        }
        let failed = |source: rusqlite::Error| StorageError::Open { place: self.place.clone(), source: source.into() };
        self.source.write_ahead().map_err(failed)?;
        sql::transaction(self, Access::Write, make_tables)?;
        Ok(true)
    }
}

/// Names of all tables.
fn tables(connection: &mut dyn Connection) -> Result<Vec<String>, StorageError> {
    let rows = connection.query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name", &[])?;
    let names = rows.into_iter().flatten().filter_map(|cell| match cell {
        Cell::Text(name) => Some(name),
        _ => None,
    });
    Ok(names.collect())
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

    fn has_read(&mut self) -> Result<(), StorageError> {
        if self.source.is_stale() {
            let source = "it was changed while it was read".into();
            return Err(StorageError::Database { place: self.place.clone(), source });
        }
        Ok(())
    }

    fn heal(&mut self, error: StorageError) -> Result<(), StorageError> {
        if !self.source.is_stale() {
            return Err(error);
        }
        let failed = |source: rusqlite::Error| StorageError::Open { place: self.place.clone(), source: source.into() };
        self.source.look_again().map_err(failed)
    }

    fn query(&mut self, sql: &str, cells: &[Cell]) -> Result<Vec<Vec<Cell>>, StorageError> {
        let place = || self.place.clone();
        let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::ReadOnly) => StorageError::ReadOnly { place: place() },
            _ => StorageError::Database { place: place(), source: source.into() },
        };
        if !self.source.is_in_place() {
            return Err(StorageError::Replaced { place: place() });
        }
        let mut statement = self.source.connection.prepare_cached(sql).map_err(failed)?;
        let n_columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..n_columns).map(|i| row.get::<_, SqlValue>(i).map(Cell::from)).collect();
        let rows = statement.query_map(params_from_iter(cells), row).map_err(failed)?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed)
    }
}
