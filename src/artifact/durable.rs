//! Writing a file so that a crash at any moment leaves either the old one or the new one.
//!
//! A name may lead elsewhere (see [`Place`]): symbolic links are followed and stay; devices and pipes are written into. A
//! file that is replaced keeps its mode and, where the system allows it, its owner. A hard link is parted: its other names
//! keep the old content, as copies by `cp -l` should. Only a file that the system does not let be replaced is overwritten
//! where it is.

use super::ArtifactError;
use super::place::{Place, folder_of};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longest name that a temporary file repeats: with process and number it stays below what file systems allow.
const LONGEST_NAME: usize = 100;

/// Writes a whole file under a temporary name in the same directory, syncs it, gives it its name and syncs the directory.
/// What is no regular file (a device, a pipe) is written into.
///
/// # Errors
/// When any of that fails; then a file at `path` is as it was, and the temporary file is removed.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    let io_error = |action| move |source| ArtifactError::Io { action, path: path.to_path_buf(), source };
    match Place::of(path).map_err(io_error("write"))? {
        Place::Stdout => write_into(io::stdout().lock(), bytes).map_err(io_error("write")),
        Place::Stderr => write_into(io::stderr().lock(), bytes).map_err(io_error("write")),
        Place::Stream(stream) => {
            let opened = OpenOptions::new().append(true).open(stream);
            opened.and_then(|file| write_into(file, bytes)).map_err(io_error("write"))
        }
        Place::File(file) => replace(&file, bytes).map_err(|(action, source)| io_error(action)(source)),
    }
}

/// Finds out whether [`write_bytes`] could write `path` now, and changes nothing. A pipe is not opened, because that would
/// wait for its reader.
///
/// # Errors
/// When it could not.
pub fn check_writable(path: &Path) -> Result<(), ArtifactError> {
    let io_error = |source| ArtifactError::Io { action: "write", path: path.to_path_buf(), source };
    let Place::File(file) = Place::of(path).map_err(io_error)? else { return Ok(()) };
    let try_out = || -> io::Result<()> {
        let old = existing(&file)?;
        match create_temporary(&file) {
            Err(error) if old.is_some() && is_fixed(&error) => Ok(()),
            created => created.and_then(|(temporary, _)| fs::remove_file(temporary)),
        }
    };
    try_out().map_err(io_error)
}

/// Removes the temporary files of writes of `path` that were killed, as far as they are older than `age`. What cannot be
/// removed does no harm.
pub fn sweep(path: &Path, age: Duration) {
    let Ok(Place::File(file)) = Place::of(path) else { return };
    let Ok(prefix) = temporary_prefix(&file) else { return };
    let is_stale = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.strip_suffix(".tmp")) else {
            return false;
        };
        let is_ours =
            rest.split('-').filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())).count() == 2;
        let modified = entry.metadata().and_then(|there| there.modified());
        is_ours && modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed >= age))
    };
    let Ok(entries) = fs::read_dir(folder_of(&file)) else { return };
    for entry in entries.flatten().filter(is_stale) {
        let _ = fs::remove_file(entry.path());
    }
}

fn write_into(mut out: impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    out.flush()
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), (&'static str, io::Error)> {
    let write = |error| ("write", error);
    let old = existing(path).map_err(write)?;
    match renamed(path, bytes, old.as_ref()) {
        Ok(()) => sync_directory(folder_of(path)).map_err(|error| ("sync the directory of", error)),
        Err((_, error)) if old.is_some() && is_fixed(&error) => overwrite(path, bytes).map_err(write),
        failed => failed,
    }
}

/// Writes the temporary file and gives it its name. Where that fails, it is removed.
fn renamed(path: &Path, bytes: &[u8], old: Option<&Metadata>) -> Result<(), (&'static str, io::Error)> {
    let write = |error| ("write", error);
    let (temporary, file) = create_temporary(path).map_err(write)?;
    let written = write_synced(file, bytes, old).map_err(write);
    let named =
        written.and_then(|()| fs::rename(&temporary, path).map_err(|error| ("rename a temporary file to", error)));
    if named.is_err() {
        // The first error is the one to report; a temporary file that cannot be removed either does no harm.
        let _ = fs::remove_file(&temporary);
    }
    named
}

/// Whether the system refuses to replace a file, which says nothing of its content: its folder may not be written, or the
/// file is mounted as such into a container.
fn is_fixed(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | ResourceBusy)
}

/// Writes a file that cannot be replaced. A crash may leave part of the new content.
fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// What is known of the file that will be replaced, if there is one. One that may not be written is not replaced either.
fn existing(path: &Path) -> io::Result<Option<Metadata>> {
    match OpenOptions::new().write(true).open(path) {
        Ok(file) => file.metadata().map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a file that is hidden, and another one for every write: two writers of one file never share a temporary one.
fn create_temporary(path: &Path) -> io::Result<(PathBuf, File)> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let (prefix, process) = (temporary_prefix(path)?, std::process::id());
    loop {
        let number = WRITES.fetch_add(1, Ordering::Relaxed);
        let temporary = folder_of(path).join(format!("{prefix}{process}-{number}.tmp"));
        match File::create_new(&temporary) {
            // A killed process of the same number has left it: in a container, that is number 1 each time.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(|file| (temporary, file)),
        }
    }
}

fn temporary_prefix(path: &Path) -> io::Result<String> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
    let short = name.len() <= LONGEST_NAME;
    Ok(if short { format!(".{name}.") } else { format!(".{:08x}.", crc32fast::hash(name.as_bytes())) })
}

fn write_synced(mut file: File, bytes: &[u8], old: Option<&Metadata>) -> io::Result<()> {
    if let Some(old) = old {
        keep_owner_and_mode(&file, old)?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

fn keep_owner_and_mode(file: &File, old: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            // Only root may give files away; others get what they replace.
            let _ = fchown(file, Some(old.uid()), Some(old.gid()));
        }
    }
    file.set_permissions(old.permissions())
}

/// Makes a rename durable. Only Unix can (and must) sync a directory. A directory that may be written but not read, or a
/// file system that syncs no directories, is no reason to call a file unwritten that is there.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(directory).and_then(|opened| opened.sync_all()) {
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => Ok(()),
        done => done,
    }
}
