//! Where the name of an output leads: through links, to a file that is replaced as a whole, or to a device or a pipe that
//! is written into.

use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

/// Longest chain of symbolic links that is followed, as in Linux.
const MAX_LINKS: usize = 40;

/// Where the name of an output leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A regular file by its own name, behind all links; it may not be there yet. It is replaced as a whole.
    File(PathBuf),
    /// A device or a pipe: it is written into, and never replaced.
    Stream(PathBuf),
    /// The standard output of this process.
    Stdout,
    /// The standard error of this process.
    Stderr,
}

impl Place {
    /// Follows `path`. It changes nothing and waits for nobody.
    ///
    /// ```
    /// use qgd::artifact::Place;
    /// assert_eq!(Place::of("results.json".as_ref())?, Place::File("results.json".into()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// When it leads to a folder, a disk or a socket, when links go round in a circle, or when the system refuses to look.
    pub fn of(path: &Path) -> io::Result<Self> {
        let path = follow(path)?;
        match own_descriptor(&path) {
            Some(1) => return Ok(Self::Stdout),
            Some(2) => return Ok(Self::Stderr),
            _ => {}
        }
        match fs::metadata(&path) {
            Ok(there) if there.is_dir() => Err(invalid("that is a folder")),
            // An open file of this process has a name of its own elsewhere, perhaps none: it is written into.
            Ok(there) if there.is_file() && own_descriptor(&path).is_none() => Ok(Self::File(path)),
            Ok(there) if cannot_be_written_into(there.file_type()) => Err(invalid("that is a disk or a socket")),
            Ok(_) => Ok(Self::Stream(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::File(path)),
            Err(error) => Err(error),
        }
    }
}

/// The path behind all symbolic links at its end, whether there is something or not.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let is_link = match fs::symlink_metadata(&path) {
            Ok(there) => there.file_type().is_symlink(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        // What a process has open looks like a link, but need not lead to a name.
        if !is_link || own_descriptor(&path).is_some() {
            return Ok(path);
        }
        path = folder_of(&path).join(fs::read_link(&path)?);
    }
    Err(invalid("its links go round in a circle"))
}

/// The number of an open file of this process, for names like `/dev/fd/3` and what `/dev/stdout` leads to.
fn own_descriptor(path: &Path) -> Option<u32> {
    let number = path.file_name()?.to_str()?.parse().ok()?;
    let folder = path.parent()?;
    let own = [Path::new("/dev/fd"), Path::new("/proc/self/fd")];
    let is_own =
        own.contains(&folder) || fs::canonicalize(folder).is_ok_and(|it| Some(it) == fs::canonicalize(own[1]).ok());
    is_own.then_some(number)
}

/// The folder in which a path ends.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn cannot_be_written_into(kind: FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind.is_block_device() || kind.is_socket()
}

#[cfg(not(unix))]
fn cannot_be_written_into(_: FileType) -> bool {
    false
}

pub(super) fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
