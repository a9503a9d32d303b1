//! Files of our own: pretrained controllers, training checkpoints, meta-training checkpoints, taught samplers.
//!
//! All of them are one frame around one value in the bincode wire format (fixed-size little-endian integers):
//!
//! ```text
//! offset  bytes  what
//!  0      4      magic "QGDF"
//!  4      2      format version of the kind, see Kind::version
//!  6      2      kind: 1 controller, 2 checkpoint, 3 meta-training, 4 sampler
//!  8      8      length of the payload in bytes
//! 16      4      CRC-32 (IEEE) of the first 16 bytes and the payload
//! 20      ...    payload
//! ```
//!
//! A checksum finds damage, not malice: decoding trusts no length that a file claims. Nothing is allocated that the bytes really there
//! could not fill, so a hostile file gives an [`ArtifactError`] and costs little.
//!
//! This module alone names `bincode`. Its development has ended, so it is pinned; `wincode` reads the same bytes.
//! The format has no field names: types that are written must not use serde's `skip`, `skip_serializing_if`,
//! `flatten`, `untagged` or `tag` attributes.

mod durable;
mod error;
pub(crate) mod exact;
mod place;

pub use durable::{check_writable, sweep, write_bytes};
pub use error::{ArtifactError, PayloadError};
pub use place::Place;

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::de::{Decode, Decoder, DecoderImpl, read::Reader};
use bincode::error::DecodeError;
use bincode::serde::Compat;
use error::Codec;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The first four bytes of every file.
pub const MAGIC: [u8; 4] = *b"QGDF";
/// Longest payload that is written or read: a checkpoint of a net with some 60 million parameters under Adam. Chosen by us.
pub const MAX_PAYLOAD_BYTES: u64 = MAX_PAYLOAD as u64;

const MAX_PAYLOAD: usize = 1 << 30;
const HEADER_BYTES: usize = 20;
/// The part of the header that the checksum covers: everything before it.
const CHECKED_BYTES: usize = 16;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Kind {
    /// A pretrained controller with its recipe and its card.
    Controller = 1,
    /// A training run, to be resumed.
    Checkpoint = 2,
    /// A meta-training run, to be resumed.
    MetaTraining = 3,
    /// A sampler that has learned from other studies.
    Sampler = 4,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Controller, Self::Checkpoint, Self::MetaTraining, Self::Sampler];

    /// The format version that this version of the crate writes. 1: as in version 0.1. 2: controllers name their features and their parents;
    /// runs keep the state of the rebuilt driver. 3: runs know their data and their trace, which batches were broken, and the
    /// learning rate that was found.
    pub fn version(self) -> u16 {
        match self {
            Self::Checkpoint => 3,
            Self::Controller | Self::MetaTraining => 2,
            Self::Sampler => 1,
        }
    }

    fn from_tag(tag: u16) -> Result<Self, ArtifactError> {
        Self::ALL.into_iter().find(|&kind| kind as u16 == tag).ok_or(ArtifactError::UnknownKind { tag })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Controller => "a controller",
            Self::Checkpoint => "a training checkpoint",
            Self::MetaTraining => "a meta-training checkpoint",
            Self::Sampler => "a taught sampler",
        })
    }
}

/// Puts `value` into a frame: the bytes of a file.
///
/// ```
/// use qgd::artifact::{self, Kind};
/// let bytes = artifact::encode(Kind::Controller, &vec![1.0f32, 2.0])?;
/// assert_eq!(artifact::decode::<Vec<f32>>(Kind::Controller, &bytes)?, [1.0, 2.0]);
/// assert!(artifact::decode::<Vec<f32>>(Kind::Checkpoint, &bytes).is_err());
/// # Ok::<(), artifact::ArtifactError>(())
/// ```
///
/// # Errors
/// When the value is too large, or serde cannot express it (derived types can always be).
pub fn encode<T: Serialize>(kind: Kind, value: &T) -> Result<Vec<u8>, ArtifactError> {
    let payload = payload_of(value)?;
    check_size(payload.len() as u64)?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend(MAGIC);
    bytes.extend(kind.version().to_le_bytes());
    bytes.extend((kind as u16).to_le_bytes());
    bytes.extend((payload.len() as u64).to_le_bytes());
    bytes.extend(checksum(&bytes, &payload).to_le_bytes());
    bytes.extend(payload);
    Ok(bytes)
}

/// Takes a value out of a frame. The opposite of [`encode`].
///
/// # Errors
/// When `bytes` are anything but one whole undamaged frame of this kind, its format version and this type.
pub fn decode<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, ArtifactError> {
    decode_version(kind, kind.version(), bytes)
}

/// The format version of a frame of this kind.
///
/// # Errors
/// When `bytes` do not start with the header of one.
pub fn version(kind: Kind, bytes: &[u8]) -> Result<u16, ArtifactError> {
    Ok(Header::parse(kind, bytes)?.version)
}

/// [`decode`] for an older format version of the kind.
///
/// # Errors
/// When `bytes` are anything but one whole undamaged frame of this kind, format version and type.
pub fn decode_version<T: DeserializeOwned>(kind: Kind, version: u16, bytes: &[u8]) -> Result<T, ArtifactError> {
    let header = Header::parse(kind, bytes)?;
    if header.version != version {
        return Err(ArtifactError::WrongVersion { found: header.version, supported: version });
    }
    let payload = &bytes[HEADER_BYTES..];
    let (expected, found) = (header.frame_bytes(), bytes.len() as u64);
    if found < expected {
        return Err(ArtifactError::Truncated { expected, found });
    }
    if found > expected {
        return Err(ArtifactError::TrailingBytes { expected, extra: found - expected });
    }
    let found = checksum(&bytes[..CHECKED_BYTES], payload);
    if found != header.checksum {
        return Err(ArtifactError::ChecksumMismatch { stored: header.checksum, found });
    }
    from_bytes(payload)
}

/// Writes `value` to `path` so that a crash at any moment leaves either the old file or the new one.
///
/// # Errors
/// As [`encode`], or when the file cannot be written.
pub fn write<T: Serialize>(path: &Path, kind: Kind, value: &T) -> Result<(), ArtifactError> {
    write_bytes(path, &encode(kind, value)?)
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// As [`decode`], or when the file cannot be read.
pub fn read<T: DeserializeOwned>(path: &Path, kind: Kind) -> Result<T, ArtifactError> {
    let in_file = |error| ArtifactError::InFile { path: path.to_path_buf(), error: Box::new(error) };
    decode(kind, &read_bytes(path, kind)?).map_err(in_file)
}

/// The bytes of a file that starts with the header of this kind; at most one more than its frame has.
///
/// # Errors
/// When the file cannot be read, or starts otherwise.
pub fn read_bytes(path: &Path, kind: Kind) -> Result<Vec<u8>, ArtifactError> {
    let in_file = |error| ArtifactError::InFile { path: path.to_path_buf(), error: Box::new(error) };
    let io_error = |source| ArtifactError::Io { action: error::READ, path: path.to_path_buf(), source };
    let file = File::open(path).map_err(io_error)?;
    let mut bytes = Vec::new();
    (&file).take(HEADER_BYTES as u64).read_to_end(&mut bytes).map_err(io_error)?;
    // The header is judged first: a large file of another kind is never read whole.
    let header = Header::parse(kind, &bytes).map_err(in_file)?;
    file.take(header.payload_bytes + 1).read_to_end(&mut bytes).map_err(io_error)?;
    Ok(bytes)
}

/// `value` in the wire format without a frame, for state inside other state.
///
/// # Panics
/// When `value` has a hand-written `Serialize` that fails. A derived one never does.
#[expect(clippy::expect_used, reason = "writing a derived type into memory cannot fail")]
pub fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    payload_of(value).expect("a derived Serialize never fails")
}

fn payload_of<T: Serialize>(value: &T) -> Result<Vec<u8>, ArtifactError> {
    bincode::serde::encode_to_vec(value, WIRE)
        .map_err(|error| ArtifactError::Unencodable(PayloadError(Codec::Encode(error))))
}

/// The opposite of [`to_bytes`].
///
/// # Errors
/// When `bytes` are not exactly one value of this type.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ArtifactError> {
    check_size(bytes.len() as u64)?;
    let malformed = |error| ArtifactError::Malformed(PayloadError(Codec::Decode(error)));
    let mut decoder = DecoderImpl::new(Remaining(bytes), WIRE, ());
    // The limit is a constant of the type. Claiming the rest of it beforehand brings it down to the bytes that are there,
    // so that no length in them makes the decoder allocate more.
    decoder.claim_bytes_read(MAX_PAYLOAD - bytes.len()).map_err(malformed)?;
    let Compat(value) = Compat::<T>::decode(&mut decoder).map_err(malformed)?;
    let extra = decoder.reader().0.len() as u64;
    if extra > 0 {
        return Err(ArtifactError::TrailingBytes { expected: bytes.len() as u64 - extra, extra });
    }
    Ok(value)
}

const WIRE: Configuration<LittleEndian, Fixint, Limit<MAX_PAYLOAD>> = bincode::config::legacy().with_limit();

/// What a frame says of itself, checked as far as possible without the payload.
struct Header {
    version: u16,
    payload_bytes: u64,
    checksum: u32,
}

impl Header {
    fn parse(expected_kind: Kind, bytes: &[u8]) -> Result<Self, ArtifactError> {
        let n = bytes.len().min(MAGIC.len());
        if bytes.is_empty() || bytes[..n] != MAGIC[..n] {
            return Err(ArtifactError::NotQgd { found: bytes[..n].to_vec() });
        }
        let mut fields = Remaining(&bytes[n..]);
        let truncated = ArtifactError::Truncated { expected: HEADER_BYTES as u64, found: bytes.len() as u64 };
        let (Some(version), Some(kind), Some(length), Some(checksum)) =
            (fields.array::<2>(), fields.array::<2>(), fields.array::<8>(), fields.array::<4>())
        else {
            return Err(truncated);
        };
        let version = u16::from_le_bytes(version);
        let kind = Kind::from_tag(u16::from_le_bytes(kind))?;
        if kind != expected_kind {
            return Err(ArtifactError::WrongKind { found: kind, expected: expected_kind });
        }
        if !(1..=kind.version()).contains(&version) {
            return Err(ArtifactError::WrongVersion { found: version, supported: kind.version() });
        }
        let payload_bytes = u64::from_le_bytes(length);
        check_size(payload_bytes)?;
        Ok(Self { version, payload_bytes, checksum: u32::from_le_bytes(checksum) })
    }

    fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + self.payload_bytes
    }
}

/// The bytes not yet read. Unlike bincode's own reader it tells how many are left.
struct Remaining<'a>(&'a [u8]);

impl Remaining<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (&array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(array)
    }
}

impl Reader for Remaining<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<(), DecodeError> {
        let Some((read, rest)) = self.0.split_at_checked(out.len()) else {
            return Err(DecodeError::UnexpectedEnd { additional: out.len() - self.0.len() });
        };
        out.copy_from_slice(read);
        self.0 = rest;
        Ok(())
    }
}

fn check_size(bytes: u64) -> Result<(), ArtifactError> {
    if bytes > MAX_PAYLOAD_BYTES {
        return Err(ArtifactError::TooLarge { bytes, limit: MAX_PAYLOAD_BYTES });
    }
    Ok(())
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..CHECKED_BYTES]);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests;
