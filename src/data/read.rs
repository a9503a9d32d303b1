//! Finding a file and reading it, gzipped or not, into bounded memory.

use super::DataError;
use crate::shipped;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest number of bytes of one file, after decompression. Chosen by us: five times the largest file of MNIST,
/// CIFAR-10 and IMDB.
const MAX_BYTES: u64 = 1 << 30;

/// The place of `path`: in `task_dir`, else in `data_dir`.
pub(super) fn locate(path: &Path, task_dir: &Path, data_dir: Option<&Path>) -> Result<PathBuf, DataError> {
    let tried: Vec<PathBuf> = std::iter::once(task_dir).chain(data_dir).map(|folder| folder.join(path)).collect();
    match tried.iter().find(|place| place.exists() || shipped::bytes(place).is_some()) {
        Some(place) => Ok(place.clone()),
        None => Err(DataError::NotFound { path: path.into(), tried }),
    }
}

/// The whole file, decompressed if its name ends in `.gz`.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    let found = at_most(path, MAX_BYTES)?;
    if found.len() as u64 > MAX_BYTES {
        return Err(DataError::TooLarge { path: path.into(), allowed_bytes: MAX_BYTES });
    }
    Ok(found)
}

/// The first `limit` bytes of a file and one more, so that the caller sees whether it is longer.
pub(super) fn at_most(path: &Path, limit: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| DataError::Read { path: path.into(), source })?;
    Ok(bytes)
}

/// Opens a file, and decompresses it if its name ends in `.gz`.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let file: Box<dyn Read> = match shipped::bytes(path) {
        Some(bytes) => Box::new(bytes),
        None => Box::new(File::open(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => DataError::NotFound { path: path.into(), tried: vec![path.into()] },
            _ => DataError::Read { path: path.into(), source },
        })?),
    };
    let gzip = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    Ok(if gzip { Box::new(MultiGzDecoder::new(file)) } else { file })
}

/// The whole file as text, with `\n` line ends.
pub(super) fn text(path: &Path) -> Result<String, DataError> {
    let text = String::from_utf8(bytes(path)?)
        .map_err(|error| DataError::NotText { path: path.into(), position: error.utf8_error().valid_up_to() })?;
    Ok(if text.contains('\r') { text.replace("\r\n", "\n") } else { text })
}
