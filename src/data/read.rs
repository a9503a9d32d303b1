//! Finding, opening, unpacking and decoding a file: the one way for all formats.

use super::DataError;
use super::memory::Memory;
use crate::rng::Fnv1a;
use crate::{shipped, text};
use flate2::bufread::GzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The place of `path`: in `task_dir`, else in `data_dir`.
pub(super) fn locate(path: &Path, task_dir: &Path, data_dir: Option<&Path>) -> Result<PathBuf, DataError> {
    let tried: Vec<PathBuf> = std::iter::once(task_dir).chain(data_dir).map(|folder| folder.join(path)).collect();
    match tried.iter().find(|place| place.exists() || shipped::bytes(place).is_some()) {
        Some(place) => Ok(place.clone()),
        None => Err(DataError::NotFound { path: path.into(), tried }),
    }
}

/// The whole file, unpacked if it is gzip. Its memory stays taken.
pub(super) fn bytes(path: &Path, memory: &mut Memory) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    let limit = memory.left_bytes().saturating_add(1);
    open(path)?.take(limit).read_to_end(&mut bytes).map_err(|source| match source.kind() {
        io::ErrorKind::OutOfMemory => memory.too_large(),
        _ => DataError::Read { path: path.into(), source },
    })?;
    memory.take(bytes.len(), 1)?;
    Ok(bytes)
}

/// The whole file as text. Its memory stays taken.
pub(super) fn text(path: &Path, memory: &mut Memory) -> Result<String, DataError> {
    let text = text::decode(bytes(path, memory)?).map_err(|source| DataError::NotText { path: path.into(), source })?;
    if text.is_empty() { Err(DataError::Empty { path: path.into() }) } else { Ok(text) }
}

/// A hash of the bytes of a file as it lies on the disk.
pub(super) fn hash(path: &Path) -> Result<u64, DataError> {
    let failed = |source| DataError::Read { path: path.into(), source };
    let mut file = BufReader::with_capacity(1 << 16, source(path).map_err(failed)?);
    let mut hash = Fnv1a::new();
    loop {
        let chunk = file.fill_buf().map_err(failed)?;
        if chunk.is_empty() {
            return Ok(hash.value());
        }
        hash.add(chunk);
        let n = chunk.len();
        file.consume(n);
    }
}

/// The bytes of a file as they lie on the disk, or in the program where the file is part of it.
fn source(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(match shipped::bytes(path) {
        Some(bytes) => Box::new(bytes),
        None => Box::new(File::open(path)?),
    })
}

fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => DataError::NotFound { path: path.into(), tried: vec![path.into()] },
        _ => DataError::Read { path: path.into(), source },
    };
    let mut file = BufReader::with_capacity(1 << 16, source(path).map_err(failed)?);
    // The first bytes decide, and not the name: browsers unpack and leave the name as it was.
    let first = file.fill_buf().map_err(failed)?;
    let says_gzip = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    if first.starts_with(&GZIP) {
        Ok(Box::new(Members { member: Some(GzDecoder::new(file)) }))
    } else if says_gzip && !first.is_empty() {
        let what = "its name says gzip, but it is not; if it is unpacked already, take .gz off its name";
        Err(failed(io::Error::new(io::ErrorKind::InvalidData, what)))
    } else {
        Ok(Box::new(file))
    }
}

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The members of a gzip file, one after the other. Zeros may follow the last one, as they do on tapes and after some
/// copies.
struct Members<R> {
    /// The member that is read; none after the last.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let n = member.read(buffer).map_err(damaged)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            self.member = self.member.take().map(|member| next_member(member.into_inner())).transpose()?.flatten();
        }
        Ok(0)
    }
}

/// What follows a member: another one, or nothing but zeros to the end.
fn next_member<R: BufRead>(mut file: R) -> io::Result<Option<GzDecoder<R>>> {
    let mut only_zeros = false;
    loop {
        let rest = file.fill_buf()?;
        if rest.is_empty() {
            return Ok(None);
        }
        if !only_zeros && rest[0] == GZIP[0] {
            return Ok(Some(GzDecoder::new(file)));
        }
        if rest.iter().any(|byte| *byte != 0) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "something else follows the gzip data; pack the file again",
            ));
        }
        only_zeros = true;
        let n = rest.len();
        file.consume(n);
    }
}

/// The same error in words that say what to do.
fn damaged(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            io::Error::new(error.kind(), "the gzip data end too early: the file is truncated; copy it again")
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            io::Error::new(error.kind(), format!("the gzip data are damaged ({error}); copy the file again"))
        }
        _ => error,
    }
}
