//! Why a file or a piece of saved state cannot be read or written.

use super::{Kind, MAGIC};
use bincode::error::{DecodeError, EncodeError};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a file or a piece of saved state cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The magic is missing.
    #[error("not a qgd file: it starts with {found:02x?} instead of {MAGIC:02x?} (\"QGDF\")")]
    NotQgd {
        /// Its first bytes, four at most.
        found: Vec<u8>,
    },
    /// Written by another version of the format.
    #[error("format version {found}, but {supported} is needed; use the version of qgd that wrote it, or make it anew")]
    WrongVersion {
        /// The version of the file.
        found: u16,
        /// The version read here.
        supported: u16,
    },
    /// A valid file of another kind.
    #[error("this is {found}, but {expected} is needed")]
    WrongKind {
        /// What the file holds.
        found: Kind,
        /// What was asked for.
        expected: Kind,
    },
    /// A kind that this version does not know.
    #[error("unknown kind {tag} (known are 1 to 4)")]
    UnknownKind {
        /// The number in the header.
        tag: u16,
    },
    /// Bytes are missing.
    #[error("truncated: {expected} bytes expected, {found} found")]
    Truncated {
        /// Whole length of the frame.
        expected: u64,
        /// How much of it is there.
        found: u64,
    },
    /// Bytes follow the end.
    #[error("{extra} bytes too many after the expected {expected}")]
    TrailingBytes {
        /// Whole length of what was asked for.
        expected: u64,
        /// How many bytes follow (at least).
        extra: u64,
    },
    /// The bytes are not those that were written.
    #[error("checksum {found:08x} does not match the stored {stored:08x}: the file is damaged")]
    ChecksumMismatch {
        /// CRC-32 in the header.
        stored: u32,
        /// CRC-32 of the bytes.
        found: u32,
    },
    /// The payload is not a value of the type asked for.
    #[error("malformed payload")]
    Malformed(#[source] PayloadError),
    /// The value has no representation in the format.
    #[error("the value cannot be written in this format")]
    Unencodable(#[source] PayloadError),
    /// Longer than any payload may be.
    #[error("payload of {bytes} bytes is above the limit of {limit}")]
    TooLarge {
        /// Its length.
        bytes: u64,
        /// [`MAX_PAYLOAD_BYTES`](super::MAX_PAYLOAD_BYTES).
        limit: u64,
    },
    /// The content of a file was refused.
    #[error("{} is not usable", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: Box<ArtifactError>,
    },
    /// Reading or writing failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ArtifactError {
    /// Whether a file could not be written. All other errors are about what was read.
    pub fn is_failed_write(&self) -> bool {
        match self {
            Self::Io { action, .. } => *action != READ,
            Self::InFile { error, .. } => error.is_failed_write(),
            _ => false,
        }
    }
}

/// The action of [`ArtifactError::Io`] where a file was read.
pub(super) const READ: &str = "read";

/// What the decoder or the encoder said.
#[derive(Debug)]
pub struct PayloadError(pub(super) Codec);

#[derive(Debug)]
pub(super) enum Codec {
    Decode(DecodeError),
    Encode(EncodeError),
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Codec::Decode(DecodeError::UnexpectedEnd { .. } | DecodeError::LimitExceeded) => {
                f.write_str("it claims more content than there are bytes")
            }
            Codec::Decode(DecodeError::OtherString(reason)) => f.write_str(reason),
            Codec::Decode(error) => error.fmt(f),
            Codec::Encode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PayloadError {}
