//! Where studies are kept, for all commands that need one that is there.

use super::failure::Failure;
use qgd::tuner::storage::{self, Storage};
use std::path::PathBuf;
use std::sync::Arc;

/// URL of the studies of a user who names none.
pub const DEFAULT: &str = "sqlite:///qgd.db";

/// The files of an SQLite storage: the database, and those that SQLite keeps beside it. None for other storages.
pub fn files(url: &str) -> Vec<PathBuf> {
    let database = url.strip_prefix("sqlite:///").filter(|file| !file.is_empty());
    database
        .map_or(Vec::new(), |file| ["", "-wal", "-shm", "-journal"].map(|end| format!("{file}{end}").into()).to_vec())
}

/// Opens a storage that must be there, to go on with its studies.
pub fn open_existing(url: &str) -> Result<Arc<dyn Storage>, Failure> {
    storage::open_existing(url).map_err(|error| Failure::of_tuner(error.into()))
}

/// Opens a storage that must be there, to look at it: nothing is written.
pub fn look(url: &str) -> Result<Arc<dyn Storage>, Failure> {
    storage::look(url).map_err(|error| Failure::of_tuner(error.into()))
}

/// Says what shows a study that is kept. The URL of a server may hold a password and is not repeated.
pub fn say_what_shows(name: &str, url: &str) {
    let storage = match url.split_once(':') {
        Some(("memory", _)) => return,
        _ if url == DEFAULT => String::new(),
        Some(("sqlite", _)) => format!(" --storage {url}"),
        _ => " --storage URL".into(),
    };
    note!("the study is kept: `qgd report {name}{storage}` draws it, `qgd study --help` has more");
}
