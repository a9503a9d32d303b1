//! Writing a file so that a crash at any moment leaves either the old one or the new one.

use super::ArtifactError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a whole file under a temporary name in the same directory, syncs it, gives it its name and syncs the directory.
///
/// # Errors
/// When any of that fails; then `path` is as it was, and the temporary file is removed.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    let io_error = |action| move |source| ArtifactError::Io { action, path: path.to_path_buf(), source };
    let name = path.file_name().ok_or_else(|| io_error("write")(io::ErrorKind::InvalidFilename.into()))?;
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        // A directory, a device, a pipe: renaming a file over it would destroy it.
        let error = io::Error::new(io::ErrorKind::InvalidInput, "it is there already, and no regular file");
        return Err(io_error("write")(error));
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = directory.join(temporary_name(&name.to_string_lossy()));
    let written = write_synced(&temporary, bytes)
        .map_err(io_error("write"))
        .and_then(|()| fs::rename(&temporary, path).map_err(io_error("rename a temporary file to")));
    if written.is_err() {
        // The first error is the one to report; a temporary file that cannot be removed either does no harm.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    sync_directory(directory).map_err(io_error("sync the directory of"))
}

/// Hidden, and different for every write: two writers of one file never share a temporary one.
fn temporary_name(name: &str) -> String {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    format!(".{name}.{}-{}.tmp", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a rename durable. Only Unix can (and must) sync a directory.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}
