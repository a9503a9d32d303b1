//! Studies in PostgreSQL, for any number of machines.
//!
//! A connection that is lost (the server was restarted, the network failed) is opened again: attempts go on for a
//! minute, with pauses that grow from 50 ms to a second. A transaction that was open then is done again, unless it was
//! committed: every transaction that writes asks for its number before it commits, and `txid_status` tells afterwards
//! whether it was. So nothing is lost and nothing is done twice. The time that a server was down does not count as
//! silence of a worker: silence begins with the start of the server at the earliest.

mod tls;

use super::sql::{self, Access, Cell, Connection, Dialect, Sql};
use super::{Storage, StorageError, without_password};
use postgres::error::{Severity, SqlState};
use postgres::types::{ToSql, Type};
use postgres::{Client, Config, Row};
use std::error::Error;
use std::time::{Duration, Instant};
use tls::Tls;

const TABLES: &str = include_str!("optuna_postgres.sql");

/// How long to wait for a server that was there before.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait for a server at the first connection: it may be restarting, but the address may also be wrong.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);

/// First and longest pause between two attempts to connect.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

const DIALECT: Dialect = Dialect {
    begin_read: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    begin_write: "BEGIN",
    for_update: " FOR UPDATE",
    now: "(clock_timestamp() AT TIME ZONE 'UTC')",
    // As Optuna notes and compares heartbeats: in the time zone of the server.
    heartbeat: "CAST(clock_timestamp() AS TIMESTAMP)",
    silent_s: "EXTRACT(EPOCH FROM LEAST(CAST(clock_timestamp() AS TIMESTAMP) - heartbeat, clock_timestamp() - pg_postmaster_start_time()))",
    has_turns: true,
    unique: "md5(CAST(random() AS VARCHAR) || CAST(clock_timestamp() AS VARCHAR) || CAST(pg_backend_pid() AS VARCHAR))",
};

/// Form of a URL.
const FORM: &str = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %XX for special characters";

/// Connects to a database, and makes the tables where there are none. A password that is not in the URL is taken from
/// the environment variable `PGPASSWORD`, which other users of the machine do not see. Optuna's URLs with a driver,
/// `postgresql+psycopg2://...`, mean the same.
///
/// TLS is configured as in libpq: by `sslmode`, `sslrootcert`, `sslcert` and `sslkey` behind the question mark, else by
/// `PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT` and `PGSSLKEY`, else by the files in `~/.postgresql`. Modes are `disable`,
/// `allow`, `prefer` (the default: TLS where the server has it, whoever it is), `require`, `verify-ca` and
/// `verify-full`. `sslrootcert=system` stands for the authorities that the machine trusts.
///
/// # Errors
/// When there is no such database, it cannot be written, or it holds the tables of another version of Optuna; when the
/// settings of TLS contradict each other, a file of them cannot be read, or the server does not show the certificate
/// that they ask for. No message holds the password.
pub fn open_postgres(url: &str) -> Result<impl Storage + use<>, StorageError> {
    open(url, true)
}

/// `make` says whether tables are made where there are none.
pub(super) fn open(url: &str, make: bool) -> Result<impl Storage + use<>, StorageError> {
    let place = without_password(url);
    let wrong = || StorageError::Url { url: place.clone(), allowed: FORM };
    let (address, tls) = tls::split(url).ok_or_else(wrong)?;
    let config = config(&address).ok_or_else(wrong)?;
    let tls = Tls::new(&tls).map_err(|source| StorageError::Open { place: place.clone(), source: source.into() })?;
    let client = connect(&config, &tls, FIRST_PATIENCE);
    let client = client.map_err(|error| StorageError::Open { place: place.clone(), source: said(&error) })?;
    let mut server = Server { place, config, tls, client, trouble: None };
    server.prepare(make).map_err(StorageError::opening)?;
    Ok(Sql::new(server))
}

fn config(url: &str) -> Option<Config> {
    let (_, address) = url.split_once("://")?;
    let mut config: Config = format!("postgresql://{address}").parse().ok()?;
    if config.get_password().is_none()
        && let Ok(password) = std::env::var("PGPASSWORD")
    {
        config.password(password);
    }
    if config.get_application_name().is_none() {
        config.application_name("qgd");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(10));
    }
    // So a machine that has disappeared is noticed within a minute.
    config.tcp_user_timeout(Duration::from_secs(30)).keepalives_idle(Duration::from_secs(30));
    config.keepalives_interval(Duration::from_secs(10)).keepalives_retries(3);
    Some(config)
}

/// Connects; tries again for as long as `patience`, where the error is one that may pass.
fn connect(config: &Config, tls: &Tls, patience: Duration) -> Result<Client, postgres::Error> {
    let (start, mut pause) = (Instant::now(), PAUSES[0]);
    loop {
        match tls.connect(config) {
            Err(error) if may_pass(&error) && start.elapsed() < patience => {
                std::thread::sleep(pause);
                pause = (2 * pause).min(PAUSES[1]);
            }
            done => return done,
        }
    }
}

/// Whether the server is only down, or accepts no connections at the moment.
fn may_pass(error: &postgres::Error) -> bool {
    let codes = [
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
    ];
    match error.code() {
        Some(code) => codes.contains(code),
        // A host name that does not exist is no such error.
        None => error.is_closed() || io_error(error).is_some_and(is_of_network),
    }
}

fn io_error(error: &postgres::Error) -> Option<&std::io::Error> {
    error.source()?.downcast_ref()
}

fn is_of_network(error: &std::io::Error) -> bool {
    error.raw_os_error().is_some() || error.kind() == std::io::ErrorKind::TimedOut
}

/// Text of an error and its causes, on one line.
fn said(error: &postgres::Error) -> Box<dyn Error + Send + Sync> {
    if let Some(said) = error.as_db_error() {
        return said.message().into();
    }
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}")).into()
}

/// Kind of an error after which it may help to try again.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
    /// The connection is lost.
    Lost,
    /// Two transactions waited for each other, and this one was rolled back.
    Conflict,
}

impl Trouble {
    fn of(error: &postgres::Error) -> Option<Self> {
        let said = error.as_db_error();
        let conflicts = [&SqlState::T_R_DEADLOCK_DETECTED, &SqlState::T_R_SERIALIZATION_FAILURE];
        let is_fatal = |severity| matches!(severity, Some(Severity::Fatal | Severity::Panic));
        match said {
            Some(said) if conflicts.contains(&said.code()) => Some(Self::Conflict),
            Some(said) => is_fatal(said.parsed_severity()).then_some(Self::Lost),
            None => (error.is_closed() || io_error(error).is_some()).then_some(Self::Lost),
        }
    }
}

struct Server {
    place: String,
    config: Config,
    tls: Tls,
    client: Client,
    trouble: Option<Trouble>,
}

impl Server {
    fn prepare(&mut self, make: bool) -> Result<(), StorageError> {
        if !self.has_table("studies")? {
            if !make {
                return Err(StorageError::Empty { place: self.place.clone() });
            }
            sql::transaction(self, Access::Write, make_tables)?;
        }
        let has_revisions = self.has_table("alembic_version")?;
        sql::transaction(self, Access::Read, |connection| sql::check_version(connection, has_revisions))
    }

    fn has_table(&mut self, name: &str) -> Result<bool, StorageError> {
        sql::transaction(self, Access::Read, |connection| Ok(!connection.query(HAS_TABLE, &[name.into()])?.is_empty()))
    }

    fn ask(&mut self, sql: &str, cells: &[Cell]) -> Result<Vec<Vec<Cell>>, postgres::Error> {
        let typed: Vec<_> = cells.iter().map(parameter).collect();
        // One round trip, without a prepared statement.
        let rows = self.client.query_typed(sql, &typed)?;
        rows.iter().map(|row| (0..row.len()).map(|i| cell(row, i)).collect()).collect()
    }

    fn blamed(&mut self, error: &postgres::Error) -> StorageError {
        self.trouble = Trouble::of(error).or(self.trouble);
        self.failed(error)
    }

    fn failed(&self, error: &postgres::Error) -> StorageError {
        if error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) {
            return StorageError::ReadOnly { place: self.place.clone() };
        }
        StorageError::Database { place: self.place.clone(), source: said(error) }
    }
}

/// Whether there is a table. Not by `to_regclass`, which may answer as it was before the transaction waited for a lock.
const HAS_TABLE: &str = "SELECT CAST(tablename AS VARCHAR) FROM pg_tables WHERE schemaname = ANY(current_schemas(false)) AND tablename = $1";

/// Lets one process at a time make tables. The number has no other meaning.
const LOCK_TABLES: &str = "SELECT CAST(pg_advisory_xact_lock(7236110432) AS VARCHAR)";

fn make_tables(connection: &mut dyn Connection) -> Result<(), StorageError> {
    connection.query(LOCK_TABLES, &[])?;
    if connection.query(HAS_TABLE, &["studies".into()])?.is_empty() {
        for statement in TABLES.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            connection.query(statement, &[])?;
        }
        sql::version_rows(connection)?;
    }
    Ok(())
}

impl Connection for Server {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn query(&mut self, sql: &str, cells: &[Cell]) -> Result<Vec<Vec<Cell>>, StorageError> {
        self.ask(sql, cells).map_err(|error| self.blamed(&error))
    }

    fn stamp(&mut self) -> Result<Cell, StorageError> {
        Ok(self.query("SELECT txid_current()", &[])?.concat().pop().unwrap_or(Cell::Null))
    }

    fn heal(&mut self, error: StorageError) -> Result<(), StorageError> {
        let trouble = self.trouble.take();
        if trouble == Some(Trouble::Conflict) {
            return Ok(());
        }
        if trouble.is_none() && !self.client.is_closed() {
            return Err(error);
        }
        tracing::warn!("{error}; connecting again");
        self.client = connect(&self.config, &self.tls, PATIENCE).map_err(|error| self.failed(&error))?;
        Ok(())
    }

    fn was_committed(&mut self, stamp: &Cell) -> Result<bool, StorageError> {
        loop {
            let status = self.ask("SELECT txid_status($1)", std::slice::from_ref(stamp));
            match status.map(|rows| rows.concat()) {
                // The server has never given out this number as far as it knows: it forgot the transaction in a crash.
                Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => return Ok(false),
                // The server has not noticed yet that the old connection is lost.
                Ok(status) if status == [Cell::from("in progress")] => std::thread::sleep(PAUSES[0]),
                Ok(status) => return Ok(status == [Cell::from("committed")]),
                Err(error) => {
                    let error = self.blamed(&error);
                    self.heal(error)?;
                }
            }
        }
    }
}

fn parameter(cell: &Cell) -> (&(dyn ToSql + Sync), Type) {
    match cell {
        // Only columns of numbers are set to NULL here.
        Cell::Null => (&None::<f64>, Type::FLOAT8),
        Cell::Int(whole) => (whole, Type::INT8),
        Cell::Real(number) => (number, Type::FLOAT8),
        Cell::Text(text) => (text, Type::TEXT),
    }
}

fn cell(row: &Row, i: usize) -> Result<Cell, postgres::Error> {
    let cell = match *row.columns()[i].type_() {
        Type::INT4 => row.try_get::<_, Option<i32>>(i)?.map(|whole| Cell::Int(whole.into())),
        Type::INT8 => row.try_get::<_, Option<i64>>(i)?.map(Cell::Int),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(i)?.map(Cell::Real),
        _ => row.try_get::<_, Option<String>>(i)?.map(Cell::Text),
    };
    Ok(cell.unwrap_or(Cell::Null))
}
