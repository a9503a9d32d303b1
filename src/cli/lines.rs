//! A file of JSON lines that outlives a kill: a line is written whole, and a last one that is torn counts as not written.

use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// The whole lines of a file, with their numbers from 1; none where there is no file. Empty lines are left out.
pub fn read(path: &Path) -> io::Result<Vec<(usize, Vec<u8>)>> {
    let bytes = match fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err(io::Error::other("it is no regular file")),
        Ok(_) => fs::read(path)?,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Vec::new(),
        Err(error) => return Err(error),
    };
    let lines = bytes[..whole(&bytes)].split(|&byte| byte == b'\n').enumerate();
    Ok(lines.filter(|(_, line)| !line.is_empty()).map(|(i, line)| (i + 1, line.to_owned())).collect())
}

/// The end of such a file.
pub struct Lines(File);

impl Lines {
    /// Opens a file to append to, without a last line that is torn. Folder and file are made where they are missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = fs::read(path)?;
        if whole(&bytes) < bytes.len() {
            file.set_len(whole(&bytes) as u64)?;
        }
        Ok(Self(file))
    }

    /// The file, to lock it.
    pub fn file(&self) -> &File {
        &self.0
    }

    /// Appends a line, which is in the file when this returns. In one write, so that lines of two programs do not mix.
    pub fn append(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.0.write_all(&bytes)
    }
}

/// Length of `bytes` up to and with their last line end.
fn whole(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1)
}
