//! The file of decisions, one line of JSON each, written as they are taken. A resumed run cuts it back to what its
//! checkpoint knows of it and goes on from there. A pipe or a device is written into as it is.

use crate::cli::failure::Failure;
use crate::cli::lock;
use anyhow::{Context, anyhow};
use crc32fast::Hasher;
use qgd::artifact::Place;
use qgd::driver::DecisionCallback;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How much of its trace a run has written into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Written {
    /// Steps of the run up to its end.
    steps: u64,
    bytes: u64,
    /// CRC-32 of so many bytes.
    checksum: u32,
}

impl Written {
    /// Number of steps of the run up to its end.
    pub fn n_steps(&self) -> u64 {
        self.steps
    }
}

/// A trace that is being written.
pub struct TraceFile {
    path: PathBuf,
    /// Whether it is written on a terminal.
    is_on_terminal: bool,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    out: Out,
    /// Length and checksum of all that was written.
    bytes: u64,
    hasher: Hasher,
    /// What the last checkpoint knows of the file.
    synced: Written,
    /// First error of a write. The run then goes on without a trace.
    error: Option<io::Error>,
}

enum Out {
    File(File),
    /// A device or a pipe.
    Stream(Box<dyn Write + Send>),
}

impl TraceFile {
    /// Opens the trace of a run that has done `steps` steps and knows `before` of its file. What follows in the file is of
    /// steps after the checkpoint, and is cut off.
    pub fn open(path: &Path, steps: u64, before: Written) -> Result<Self, Failure> {
        let context = || format!("cannot write the trace {}", path.display());
        let (mut hasher, mut bytes, mut is_on_terminal) = (Hasher::new(), 0, false);
        let out = match Place::of(path).with_context(context)? {
            Place::File(file) => {
                let file = open_file(&file, path, steps, before, &mut hasher)?;
                bytes = before.bytes;
                Out::File(file)
            }
            Place::Stdout => stream(io::stdout(), &mut is_on_terminal),
            Place::Stderr => stream(io::stderr(), &mut is_on_terminal),
            Place::Stream(name) => {
                stream(OpenOptions::new().append(true).open(name).with_context(context)?, &mut is_on_terminal)
            }
        };
        if before.steps < steps && matches!(out, Out::File(_)) {
            let (path, first) = (path.display(), before.steps + 1);
            note!("the trace {path} has no decisions of the steps {first} to {steps}: they were done without it");
        }
        let shared = Shared { out, bytes, hasher, synced: before, error: None };
        Ok(Self { path: path.to_owned(), is_on_terminal, shared: Arc::new(Mutex::new(shared)) })
    }

    /// Whether every decision is written on a terminal.
    pub fn is_on_terminal(&self) -> bool {
        self.is_on_terminal
    }

    /// A callback that writes every decision.
    pub fn callback(&self) -> DecisionCallback {
        let (shared, path) = (Arc::clone(&self.shared), self.path.clone());
        let mut line = Vec::new();
        Box::new(move |record| {
            let shared = &mut *shared.lock().unwrap_or_else(PoisonError::into_inner);
            if shared.error.is_some() {
                return;
            }
            line.clear();
            let written = record.write_json_line(&mut line).and_then(|()| shared.write(&line));
            if let Err(error) = written {
                note!("cannot write the trace {}: {error}; the run goes on without it", path.display());
                shared.give_up(error);
            }
        })
    }

    /// Brings everything to the disk, after so many steps of the run. Answers what a checkpoint must know of the file.
    pub fn sync(&self, steps: u64) -> Written {
        let shared = &mut *self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Out::File(file), None) = (&shared.out, &shared.error) {
            match file.sync_data() {
                Ok(()) => {
                    let checksum = shared.hasher.clone().finalize();
                    shared.synced = Written { steps, bytes: shared.bytes, checksum };
                }
                Err(error) => shared.error = Some(error),
            }
        }
        shared.synced
    }

    /// Why the trace is not whole, if it is not. A reader of a pipe that has seen enough is no failure.
    pub fn failure(&self) -> Option<Failure> {
        let error = self.shared.lock().unwrap_or_else(PoisonError::into_inner).error.take()?;
        let failure = anyhow::Error::from(error).context(format!("cannot write the trace {}", self.path.display()));
        let is_closed = failure.downcast_ref().is_some_and(|error: &io::Error| error.kind() == ErrorKind::BrokenPipe);
        (!is_closed).then_some(Failure::Failed(failure))
    }
}

impl Shared {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match &mut self.out {
            Out::File(file) => file.write_all(line)?,
            Out::Stream(stream) => stream.write_all(line).and_then(|()| stream.flush())?,
        }
        self.bytes += line.len() as u64;
        self.hasher.update(line);
        Ok(())
    }

    fn give_up(&mut self, error: io::Error) {
        if let Out::File(file) = &self.out {
            // Part of a line is worse than none; that it stays is told anyway.
            let _ = file.set_len(self.bytes);
        }
        self.error = Some(error);
    }
}

/// A stream, and whether it is a terminal.
fn stream(stream: impl Write + IsTerminal + Send + 'static, is_terminal: &mut bool) -> Out {
    *is_terminal = stream.is_terminal();
    Out::Stream(Box::new(stream))
}

/// Opens and locks the file, refuses it if it does not begin with what the run has written, and cuts off the rest.
fn open_file(file: &Path, path: &Path, steps: u64, before: Written, hasher: &mut Hasher) -> Result<File, Failure> {
    let context = || format!("cannot write the trace {}", path.display());
    let refuse = |why: String| {
        let advice = "restore it, or start anew with another --resume folder";
        Err(Failure::BadInput(anyhow!("the trace {} {why}; {advice}", path.display())))
    };
    let found = file.metadata().map_or(0, |there| there.len());
    if found < before.bytes {
        return refuse(format!("has {found} bytes, but {} when the checkpoint was written", before.bytes));
    }
    let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(file);
    let mut opened = opened.with_context(context)?;
    lock::hold_file(&opened, &format!("the trace {}", path.display()))?;
    if steps > 0 && before.bytes == 0 && found > 0 {
        return refuse(format!("has {found} bytes, and none of them are of this run, which has done {steps} steps"));
    }
    let mut rest = (&mut opened).take(before.bytes);
    let mut buffer = [0; 1 << 16];
    loop {
        match rest.read(&mut buffer).with_context(context)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    if hasher.clone().finalize() != before.checksum {
        return refuse("does not begin with what this run has written".to_owned());
    }
    opened.set_len(before.bytes).with_context(context)?;
    opened.seek(SeekFrom::End(0)).with_context(context)?;
    Ok(opened)
}
