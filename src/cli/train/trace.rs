//! The file of decisions, one line of JSON each. A resumed run cuts it back to the length noted in its checkpoint and
//! goes on from there.

use crate::cli::failure::Failure;
use anyhow::{Context, anyhow};
use qgd::driver::DecisionCallback;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A trace that is being written.
pub struct TraceFile {
    path: PathBuf,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    out: BufWriter<File>,
    bytes: u64,
    /// First error of a write, kept here because a callback cannot return it.
    error: Option<io::Error>,
}

impl TraceFile {
    /// Opens a trace whose first `keep_bytes` belong to the run already; the rest is cut off.
    pub fn open(path: &Path, keep_bytes: u64) -> Result<Self, Failure> {
        let context = || format!("cannot write the trace {}", path.display());
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path).with_context(context)?;
        let found_bytes = file.metadata().with_context(context)?.len();
        if found_bytes < keep_bytes {
            return Err(Failure::BadInput(anyhow!(
                "the trace {} has {found_bytes} bytes, but {keep_bytes} when the checkpoint was written; restore it, or start anew with another --resume folder",
                path.display()
            )));
        }
        file.set_len(keep_bytes).with_context(context)?;
        file.seek(SeekFrom::End(0)).with_context(context)?;
        let shared = Shared { out: BufWriter::new(file), bytes: keep_bytes, error: None };
        Ok(Self { path: path.to_owned(), shared: Arc::new(Mutex::new(shared)) })
    }

    /// A callback that writes every decision.
    pub fn callback(&self) -> DecisionCallback {
        let shared = Arc::clone(&self.shared);
        let mut line = Vec::new();
        Box::new(move |record| {
            line.clear();
            let shared = &mut *shared.lock().unwrap_or_else(PoisonError::into_inner);
            let written = record.write_json_line(&mut line).and_then(|()| shared.out.write_all(&line));
            shared.bytes += line.len() as u64;
            if let Err(error) = written {
                shared.error.get_or_insert(error);
            }
        })
    }

    /// Writes everything to the disk and returns the length of the file.
    pub fn sync(&self) -> Result<u64, Failure> {
        let shared = &mut *self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let flushed = shared.error.take().map_or(Ok(()), Err).and_then(|()| shared.out.flush());
        let synced = flushed.and_then(|()| shared.out.get_ref().sync_data());
        synced.with_context(|| format!("cannot write the trace {}", self.path.display()))?;
        Ok(shared.bytes)
    }
}
