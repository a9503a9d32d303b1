//! The file of an SQLite database, opened to use it or only to look at it.
//!
//! Whoever only looks leaves no trace, and can look where nothing can be written. SQLite itself would leave two files
//! beside a database with a write-ahead log, and would not open it in a folder that is read-only. So there are three
//! ways to look:
//!
//! - Without such a log, and with one that others have open at this moment: read-only, as SQLite offers it.
//! - With a log that is empty: as a file that nobody changes. Whether somebody has changed it nevertheless is looked at
//!   after each reading; then it is opened again, the first way.
//! - With a log that a copy or a broken machine has left behind: a copy of both files is looked at.

use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How long a process waits while others use the file.
const PATIENCE: Duration = Duration::from_secs(60);

/// An open database.
pub(super) struct Source {
    pub connection: Connection,
    path: PathBuf,
    /// The file as it was when it was opened: its state must stay that where nobody is to change it.
    opened: Option<Stamp>,
    is_unchanging: bool,
    /// Folder of a copy, which goes with this.
    copy: Option<PathBuf>,
}

/// What tells whether a file is the same one, and unchanged.
#[derive(Debug, Clone, PartialEq)]
struct Stamp {
    identity: (u64, u64),
    length: u64,
    modified: Option<SystemTime>,
    has_log: bool,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok()?;
        let has_log = length(&beside(path, "-wal")) > 0;
        Some(Self { identity: identity(&data), length: data.len(), modified: data.modified().ok(), has_log })
    }
}

#[cfg(unix)]
fn identity(data: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (data.dev(), data.ino())
}

#[cfg(not(unix))]
fn identity(_data: &fs::Metadata) -> (u64, u64) {
    (0, 0)
}

/// The file that SQLite keeps beside the database.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Length of a file; 0 where there is none.
fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}

/// Whether the database has a write-ahead log. SQLite's file format notes it in the bytes 18 and 19.
fn has_write_ahead_log(path: &Path) -> bool {
    let mut head = [0; 20];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head.starts_with(b"SQLite format 3\0") && head[18..] == [2, 2]
}

impl Source {
    fn new(connection: Connection, path: &Path, is_unchanging: bool) -> rusqlite::Result<Self> {
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(64);
        // A path that stays the same where the program changes its folder.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let opened = Stamp::of(&path);
        Ok(Self { connection, path, opened, is_unchanging, copy: None })
    }

    /// Opens the file to read and to write, and makes it where there is none.
    pub fn use_it(path: &Path) -> rusqlite::Result<Self> {
        let source = Self::new(Connection::open(path)?, path, false)?;
        source.connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(source)
    }

    /// Opens the file to read.
    pub fn look(path: &Path) -> rusqlite::Result<Self> {
        let is_in_use = beside(path, "-shm").exists();
        if !has_write_ahead_log(path) || is_in_use {
            return Self::new(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?, path, false);
        }
        if length(&beside(path, "-wal")) > 0 {
            return Self::copied(path);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        Self::new(Connection::open_with_flags(uri(path) + "?immutable=1", flags)?, path, true)
    }

    /// Opens a copy of the file and its log.
    fn copied(path: &Path) -> rusqlite::Result<Self> {
        let failed = |error: std::io::Error| rusqlite::Error::ToSqlConversionFailure(error.into());
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let folder = std::env::temp_dir().join(format!("qgd-look-{}-{nanos}", std::process::id()));
        fs::create_dir(&folder).map_err(failed)?;
        let copy = folder.join("copy.db");
        let opened = fs::copy(path, &copy)
            .and_then(|_| fs::copy(beside(path, "-wal"), beside(&copy, "-wal")))
            .map_err(failed)
            .and_then(|_| Connection::open(&copy))
            .and_then(|connection| Self::new(connection, path, false));
        match opened {
            Ok(mut source) => {
                source.copy = Some(folder);
                Ok(source)
            }
            Err(error) => {
                let _ = fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }

    /// Opens a file again that was not to change, and did.
    pub fn look_again(&mut self) -> rusqlite::Result<()> {
        let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        *self = Self::new(connection, &self.path.clone(), false)?;
        Ok(())
    }

    /// Whether a file has changed that was not to change.
    pub fn is_stale(&self) -> bool {
        self.is_unchanging && Stamp::of(&self.path) != self.opened
    }

    /// Whether the file is still the one that its path names. What is written into one that was removed is lost.
    pub fn is_in_place(&self) -> bool {
        let now = fs::metadata(&self.path).map(|data| identity(&data)).ok();
        now == self.opened.as_ref().map(|stamp| stamp.identity)
    }

    /// Switches on the write-ahead log, with which readers and a writer do not wait for each other. SQLite does not
    /// wait for other processes when it switches, so it is tried again.
    pub fn write_ahead(&self) -> rusqlite::Result<()> {
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

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(folder) = &self.copy {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// The path as SQLite reads it in a URI.
fn uri(path: &Path) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-~".contains(byte);
    let piece = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    format!("file:{}", path.as_os_str().as_encoded_bytes().iter().copied().map(piece).collect::<String>())
}
