//! Event files, as TensorBoard reads them: what `--tensorboard DIR` writes.
//!
//! Below DIR every run has a folder of its own, and in it every process that has worked at the run has one file. A file
//! is a sequence of events, each written as a whole when it happens, so that a killed run leaves a file that can be
//! read. A run that goes on at an earlier step begins its next file with a start (`SessionLog`), which voids all that
//! earlier files say of this step and later ones.
//!
//! Each command maps what happens in it to events itself, where it hears of it: `train/events.rs`,
//! `meta_train/events.rs`, `evaluate/events.rs`, `tune/events.rs`.
//!
//! No crate writes these files without another code generator, an older `protobuf` or a library for images; so the few
//! messages are written here.

mod message;
mod record;
mod summary;

pub use summary::{Hparam, Status, Summary};

use super::failure::Failure;
use super::outputs::Files;
use anyhow::{Context, Result};
use message::Message;
use qgd::{Action, Controls, Move};
use record::framed;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The flag that asks for event files.
const FLAG: &str = "--tensorboard";

/// By these words in a name TensorBoard knows an event file. The seconds of the begin follow.
const PREFIX: &str = "events.out.tfevents.";

/// What readers look for in the first event.
const VERSION: &str = "brain.Event:2";

/// Longest name of a folder, in bytes: file systems take 255.
const LONGEST_NAME: usize = 200;

/// Notes that event files go to this folder; refuses one that cannot be written.
pub fn check(files: &mut Files, dir: Option<&Path>) -> Result<(), Failure> {
    files.writes_folder(FLAG, dir, &[])
}

/// A file to which the events of a run are appended.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    /// Length of all whole events.
    bytes: u64,
    /// First error of a write. The run then goes on without events.
    error: Option<io::Error>,
}

impl EventFile {
    /// Begins a new file in the folder of a run, which is made where it is missing. What the folder says of `step` and of
    /// later steps is void from now on.
    pub fn begin(folder: &Path, step: i64) -> Result<Self> {
        let context = || format!("cannot write event files to {}", folder.display());
        fs::create_dir_all(folder).with_context(context)?;
        let (file, path) = newest(folder).with_context(context)?;
        let events = Self { path, inner: Mutex::new(Inner { file, bytes: 0, error: None }) };
        let writer = Message::new().bytes(1, concat!("qgd ", env!("CARGO_PKG_VERSION")));
        events.append(&event(0).bytes(3, VERSION).message(10, &writer));
        events.append(&event(step).message(7, &Message::new().whole(1, 1)));
        events.failure().map_or(Ok(events), Err)
    }

    /// Appends what is said of a step. After a failure, which is told, nothing more is written.
    pub fn write(&self, step: i64, summary: &Summary) {
        self.append(&event(step).message(5, summary.message()));
    }

    /// Why not all events are in the file, if they are not.
    pub fn failure(&self) -> Option<anyhow::Error> {
        let error = self.inner().error.take()?;
        Some(anyhow::Error::from(error).context(format!("cannot write the event file {}", self.path.display())))
    }

    fn append(&self, event: &Message) {
        let mut inner = self.inner();
        if inner.error.is_some() {
            return;
        }
        let record = framed(event.encoded());
        match inner.file.write_all(&record) {
            Ok(()) => inner.bytes += record.len() as u64,
            Err(error) => {
                note!("cannot write the event file {}: {error}; the run goes on without it", self.path.display());
                // Part of an event is worse than none; a reader stops at it anyway.
                let _ = inner.file.set_len(inner.bytes);
                inner.error = Some(error);
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event of now.
fn event(step: i64) -> Message {
    Message::new().double(1, now_s()).whole(2, step)
}

/// Seconds since 1970.
fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// A new file in a folder, whose name comes after those of all event files there: TensorBoard reads them in this order.
fn newest(folder: &Path) -> io::Result<(File, PathBuf)> {
    let mut second = now_s() as u64;
    for entry in fs::read_dir(folder)? {
        if let Some(earlier) = second_of(&entry?.file_name().to_string_lossy()) {
            second = second.max(earlier.saturating_add(1));
        }
    }
    loop {
        let path = folder.join(format!("{PREFIX}{second:010}.qgd"));
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            // Another process has begun one in the same second.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => second += 1,
            opened => return Ok((opened?, path)),
        }
    }
}

/// The second in the name of an event file, be it ours or another program's.
fn second_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok()
}

/// Makes a folder for a run of its own: NAME, or NAME-2 where there is one already, and so on.
#[cfg(feature = "torch")]
pub fn new_folder(dir: &Path, name: &str) -> Result<PathBuf> {
    let context = || format!("cannot make a folder for event files in {}", dir.display());
    fs::create_dir_all(dir).with_context(context)?;
    let mut folder = dir.join(name);
    for number in 2u64.. {
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => folder = dir.join(format!("{name}-{number}")),
            made => {
                made.with_context(context)?;
                break;
            }
        }
    }
    Ok(folder)
}

/// The same words as the name of a folder.
pub fn folder_name(words: &str) -> String {
    let is_odd = |c: char| c == '/' || c.is_control() || c.is_whitespace();
    let name = words.trim_start_matches('.').replace(is_odd, "_");
    match name.len() {
        0 => "_".to_owned(),
        1..=LONGEST_NAME => name,
        // A checksum tells long names apart.
        _ => {
            let end = (0..=LONGEST_NAME).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
            format!("{}-{:08x}", &name[..end], crc32fast::hash(name.as_bytes()))
        }
    }
}

/// Name of the session of a run that has this folder.
pub fn session(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A number of steps, as events count them.
pub fn step_of(steps: u64) -> i64 {
    i64::try_from(steps).unwrap_or(i64::MAX)
}

/// Name of an action of a controller that moves these values.
pub fn action_name(controls: Controls, Action { lr, weight_decay }: Action) -> String {
    let name = |one| match one {
        Move::Halve => "halve",
        Move::Accept => "accept",
        Move::Grow => "grow",
    };
    match controls {
        Controls::Lr => name(lr).to_owned(),
        Controls::WeightDecay => name(weight_decay).to_owned(),
        Controls::Both => format!("lr-{}-weight-decay-{}", name(lr), name(weight_decay)),
    }
}

/// Says where the events of a run go, and how they are looked at.
pub fn tell(dir: &Path, folder: &Path) {
    note!("events go to {}; `tensorboard --logdir {}` shows them", folder.display(), dir.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_folder_have_names_in_the_order_of_their_begin() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("a/run");
        let files: Vec<EventFile> = (0..4).map(|step| EventFile::begin(&run, step).unwrap()).collect();
        assert!(files.windows(2).all(|pair| pair[0].path < pair[1].path), "{files:?}");
        let late = format!("{PREFIX}9999999990.host.1.0");
        fs::write(run.join(&late), "").unwrap();
        let after = EventFile::begin(&run, 0).unwrap().path;
        assert!(after > run.join(late), "{}", after.display());
    }

    #[test]
    fn an_event_that_cannot_be_written_is_told_once_and_nothing_follows_it() {
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let inner = Mutex::new(Inner { file: full, bytes: 0, error: None });
        let events = EventFile { path: "run/file".into(), inner };
        events.write(1, &Summary::new().scalar("loss", 0.5));
        events.write(2, &Summary::new().scalar("loss", 0.25));
        let failure = format!("{:#}", events.failure().unwrap());
        assert!(failure.contains("cannot write the event file run/file: No space left on device"), "{failure}");
        assert!(events.failure().is_none());
    }

    #[test]
    fn every_name_is_a_folder_of_its_own_in_the_folder() {
        let long = "x".repeat(300);
        let longer = format!("{long}y");
        let names = ["a/b", "../../etc", "..", "", "two words\n", "net.qgd", &long, &longer].map(folder_name);
        assert_eq!(names[..6], ["a_b", "_.._etc", "_", "_", "two_words_", "net.qgd"]);
        assert_ne!(names[6], names[7]);
        assert!(names.iter().all(|name| name.len() < 220));
    }

    #[cfg(feature = "torch")]
    #[test]
    fn a_run_of_a_name_that_is_taken_gets_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        let made = [(); 3].map(|()| new_folder(&dir, "run").unwrap());
        assert_eq!(made, ["run", "run-2", "run-3"].map(|name| dir.join(name)));
    }
}
