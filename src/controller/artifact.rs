//! Files of our own: pretrained controllers, training checkpoints, meta-training checkpoints.
//!
//! All of them are one frame around one value in the bincode wire format (fixed-size little-endian integers):
//!
//! ```text
//! offset  bytes  what
//!  0      4      magic "QGDF"
//!  4      2      format version, now 1
//!  6      2      kind: 1 controller, 2 checkpoint, 3 meta-training
//!  8      8      length of the payload in bytes
//! 16      4      CRC-32 (IEEE) of the first 16 bytes and the payload
//! 20      ...    payload
//! ```
//!
//! A checksum finds damage, not malice: decoding trusts no length that a file claims. Nothing is allocated that the bytes really there
//! could not fill, so a hostile file gives an [`ArtifactError`] and costs little.
//!
//! This is the only file that names `bincode`. Its development has ended, so it is pinned; `wincode` reads the same bytes.
//! The format has no field names: types that are written must not use serde's `skip`, `flatten`, `untagged` or `tag` attributes.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::de::{Decode, Decoder, DecoderImpl, read::Reader};
use bincode::error::{DecodeError, EncodeError};
use bincode::serde::Compat;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The first four bytes of every file.
pub const MAGIC: [u8; 4] = *b"QGDF";
/// The format that this version of the crate writes, and the only one that it reads.
pub const FORMAT_VERSION: u16 = 1;
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
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Controller, Self::Checkpoint, Self::MetaTraining];

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
        })
    }
}

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
    #[error("format version {found}, but this version of qgd reads only {supported}")]
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
    #[error("unknown kind {tag} (known are 1 to 3)")]
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
        /// [`MAX_PAYLOAD_BYTES`].
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

/// What the decoder or the encoder said.
#[derive(Debug)]
pub struct PayloadError(Codec);

#[derive(Debug)]
enum Codec {
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

/// Puts `value` into a frame: the bytes of a file.
///
/// ```
/// use qgd::controller::artifact::{self, Kind};
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
    bytes.extend(FORMAT_VERSION.to_le_bytes());
    bytes.extend((kind as u16).to_le_bytes());
    bytes.extend((payload.len() as u64).to_le_bytes());
    bytes.extend(checksum(&bytes, &payload).to_le_bytes());
    bytes.extend(payload);
    Ok(bytes)
}

/// Takes a value out of a frame. The opposite of [`encode`].
///
/// # Errors
/// When `bytes` are anything but one whole undamaged frame of this kind, format version and type.
pub fn decode<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, ArtifactError> {
    let header = Header::parse(kind, bytes)?;
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

/// Reads what [`write`] wrote.
///
/// # Errors
/// As [`decode`], or when the file cannot be read.
pub fn read<T: DeserializeOwned>(path: &Path, kind: Kind) -> Result<T, ArtifactError> {
    let in_file = |error| ArtifactError::InFile { path: path.to_path_buf(), error: Box::new(error) };
    let io_error = |source| ArtifactError::Io { action: "read", path: path.to_path_buf(), source };
    let file = File::open(path).map_err(io_error)?;
    let mut bytes = Vec::new();
    (&file).take(HEADER_BYTES as u64).read_to_end(&mut bytes).map_err(io_error)?;
    // The header is judged first: a large file of another kind is never read whole.
    let header = Header::parse(kind, &bytes).map_err(in_file)?;
    file.take(header.payload_bytes + 1).read_to_end(&mut bytes).map_err(io_error)?;
    decode(kind, &bytes).map_err(in_file)
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

/// Writes a whole file under a temporary name in the same directory, syncs it, gives it its name and syncs the directory.
///
/// # Errors
/// When any of that fails; then `path` is as it was, and the temporary file is removed.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    let io_error = |action| move |source| ArtifactError::Io { action, path: path.to_path_buf(), source };
    let name = path.file_name().ok_or_else(|| io_error("write")(io::ErrorKind::InvalidFilename.into()))?;
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

const WIRE: Configuration<LittleEndian, Fixint, Limit<MAX_PAYLOAD>> = bincode::config::legacy().with_limit();

/// What a frame says of itself, checked as far as possible without the payload.
struct Header {
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
        if version != FORMAT_VERSION {
            return Err(ArtifactError::WrongVersion { found: version, supported: FORMAT_VERSION });
        }
        let kind = Kind::from_tag(u16::from_le_bytes(kind))?;
        if kind != expected_kind {
            return Err(ArtifactError::WrongKind { found: kind, expected: expected_kind });
        }
        let payload_bytes = u64::from_le_bytes(length);
        check_size(payload_bytes)?;
        Ok(Self { payload_bytes, checksum: u32::from_le_bytes(checksum) })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Sample {
        name: String,
        weights: Vec<f32>,
        nested: Option<Box<Sample>>,
        moments: Vec<(u64, f64)>,
        state: Vec<u8>,
        choice: Choice,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Choice {
        Nothing,
        Scale { by: f64 },
    }

    fn sample() -> Sample {
        let inner = Sample {
            name: "inner".into(),
            weights: vec![],
            nested: None,
            moments: vec![],
            state: vec![],
            choice: Choice::Nothing,
        };
        Sample {
            name: "größe".into(),
            weights: vec![1.5, -0.0, f32::MIN_POSITIVE],
            nested: Some(Box::new(inner)),
            moments: vec![(u64::MAX, 1e-300)],
            state: vec![0, 255],
            choice: Choice::Scale { by: 0.5 },
        }
    }

    fn frame() -> Vec<u8> {
        encode(Kind::Controller, &sample()).unwrap()
    }

    fn decoded(bytes: &[u8]) -> Result<Sample, ArtifactError> {
        decode(Kind::Controller, bytes)
    }

    /// A frame with a correct checksum around any payload, as an attacker would make it.
    fn hostile(payload: &[u8]) -> Vec<u8> {
        let mut bytes = frame()[..8].to_vec();
        bytes.extend((payload.len() as u64).to_le_bytes());
        bytes.extend(checksum(&bytes, payload).to_le_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn what_goes_in_comes_out() {
        assert_eq!(decoded(&frame()).unwrap(), sample());
        assert_eq!(from_bytes::<Sample>(&to_bytes(&sample())).unwrap(), sample());
    }

    #[test]
    fn the_bytes_of_a_frame_never_change() {
        let bytes = encode(Kind::Checkpoint, &(7u16, vec![1.0f32])).unwrap();
        assert_eq!(bytes[..16], *b"QGDF\x01\0\x02\0\x0e\0\0\0\0\0\0\0");
        assert_eq!(bytes[16..20], crc32fast::hash(&[&bytes[..16], &bytes[20..]].concat()).to_le_bytes());
        assert_eq!(bytes[20..], [7, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3f]);
    }

    #[test]
    fn floats_keep_every_bit() {
        let bits = [0x7fc0_1234u32, 0xff80_0001, 0x7f80_0000, 0x8000_0000, 0x0000_0001];
        let values: Vec<f32> = bits.iter().map(|&b| f32::from_bits(b)).collect();
        let back: Vec<f32> = from_bytes(&to_bytes(&values)).unwrap();
        assert_eq!(back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), bits);
        let nan = f64::from_bits(0xfff8_0000_dead_beef);
        assert_eq!(from_bytes::<f64>(&to_bytes(&nan)).unwrap().to_bits(), nan.to_bits());
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_an_error() {
        let good = frame();
        for at in 0..good.len() {
            assert!(decoded(&good[..at]).is_err(), "cut at {at}");
            for flip in [1u8, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                assert!(decoded(&bad).is_err(), "byte {at} ^ {flip}");
            }
        }
        assert!(matches!(decoded(&good[..good.len() - 1]), Err(ArtifactError::Truncated { .. })));
        let longer = [&good[..], &[0]].concat();
        assert!(matches!(decoded(&longer), Err(ArtifactError::TrailingBytes { extra: 1, .. })));
    }

    #[test]
    fn each_damage_has_its_own_error() {
        let with = |at: usize, value: u8| {
            let mut bytes = frame();
            bytes[at] = value;
            decoded(&bytes).unwrap_err()
        };
        assert!(matches!(with(0, b'X'), ArtifactError::NotQgd { found } if found == b"XGDF"));
        assert!(matches!(with(4, 9), ArtifactError::WrongVersion { found: 9, supported: 1 }));
        assert!(matches!(with(6, 2), ArtifactError::WrongKind { found: Kind::Checkpoint, expected: Kind::Controller }));
        assert!(matches!(with(6, 77), ArtifactError::UnknownKind { tag: 77 }));
        assert!(matches!(with(17, 0), ArtifactError::ChecksumMismatch { .. }));
        assert!(matches!(with(30, 0xee), ArtifactError::ChecksumMismatch { .. }));
        assert!(
            matches!(with(15, 1), ArtifactError::TooLarge { bytes, limit } if bytes > limit && limit == MAX_PAYLOAD_BYTES)
        );
        assert!(matches!(decoded(b""), Err(ArtifactError::NotQgd { .. })));
        assert!(matches!(decoded(b"QGDF\x01"), Err(ArtifactError::Truncated { expected: 20, found: 5 })));
    }

    #[test]
    fn a_claimed_length_allocates_nothing_that_is_not_there() {
        for claimed in [u64::MAX, u64::from(u32::MAX), MAX_PAYLOAD_BYTES, 100] {
            // The length of the name, then two bytes of it.
            let payload = [&claimed.to_le_bytes()[..], b"ab"].concat();
            let error = decoded(&hostile(&payload)).unwrap_err();
            assert!(matches!(&error, ArtifactError::Malformed(_)), "{error:?}");
        }
        let empty_name_many_weights = [0u64.to_le_bytes(), u64::MAX.to_le_bytes()].concat();
        assert!(decoded(&hostile(&empty_name_many_weights)).is_err());
    }

    #[test]
    fn a_string_that_claims_more_than_is_there_is_refused_before_its_memory_is_taken() {
        // With the limit of the type alone this would pass the check and reserve a gigabyte.
        let payload = (MAX_PAYLOAD_BYTES - 64).to_le_bytes();
        let error = from_bytes::<String>(&payload).unwrap_err();
        assert!(
            matches!(&error, ArtifactError::Malformed(PayloadError(Codec::Decode(DecodeError::LimitExceeded)))),
            "{error:?}"
        );
    }

    #[test]
    fn a_payload_of_another_type_is_malformed_and_leftovers_are_noticed() {
        assert!(matches!(from_bytes::<bool>(&[2]), Err(ArtifactError::Malformed(_))));
        assert!(matches!(from_bytes::<String>(&hostile_utf8()), Err(ArtifactError::Malformed(_))));
        assert!(matches!(from_bytes::<u16>(&[1, 0, 9]), Err(ArtifactError::TrailingBytes { expected: 2, extra: 1 })));
    }

    fn hostile_utf8() -> Vec<u8> {
        [&1u64.to_le_bytes()[..], &[0xff]].concat()
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_no_temporary_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("net.qgd");
        write(&path, Kind::Checkpoint, &1u32).unwrap();
        write(&path, Kind::Checkpoint, &2u32).unwrap();
        assert_eq!(read::<u32>(&path, Kind::Checkpoint).unwrap(), 2);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_directory_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let occupied = dir.path().join("a-directory");
        fs::create_dir(&occupied).unwrap();
        fs::write(occupied.join("content"), b"x").unwrap();
        let error = write(&occupied, Kind::Checkpoint, &1u32).unwrap_err();
        assert!(matches!(&error, ArtifactError::Io { path, .. } if *path == occupied), "{error:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(matches!(write_bytes(Path::new("/"), b""), Err(ArtifactError::Io { .. })));
    }

    #[test]
    fn errors_of_files_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.qgd");
        assert!(read::<u32>(&path, Kind::Controller).unwrap_err().to_string().contains("x.qgd"));
        for content in [&b""[..], b"QGDF", b"something else entirely", &frame()[..40]] {
            fs::write(&path, content).unwrap();
            let error = read::<Sample>(&path, Kind::Controller).unwrap_err();
            assert!(matches!(&error, ArtifactError::InFile { path: named, .. } if *named == path), "{error:?}");
        }
        fs::write(&path, [&frame()[..], b"tail"].concat()).unwrap();
        assert!(read::<Sample>(&path, Kind::Controller).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_are_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(decoded(&bytes).is_err());
            // With a valid frame around them they may by chance be a value; what counts is that nothing panics.
            if let Ok(value) = decoded(&hostile(&bytes)) {
                prop_assert_eq!(to_bytes(&value), bytes);
            }
        }

        #[test]
        fn damaged_payloads_with_a_matching_checksum_never_panic(
            at in 0usize..1000, byte in any::<u8>(), cut in 0usize..1000,
        ) {
            let mut payload = to_bytes(&sample());
            let n = payload.len();
            payload[at % n] = byte;
            payload.truncate(n - cut % n);
            if let Ok(value) = decoded(&hostile(&payload)) {
                prop_assert_eq!(to_bytes(&value), payload);
            }
        }

        #[test]
        fn any_state_survives_a_round_trip(
            weights in proptest::collection::vec(any::<u32>(), 0..50), name in ".*", bytes in any::<Vec<u8>>(),
        ) {
            let floats: Vec<f32> = weights.iter().map(|&b| f32::from_bits(b)).collect();
            let frame = encode(Kind::MetaTraining, &(floats, &name, &bytes)).unwrap();
            let (back, name_back, bytes_back): (Vec<f32>, String, Vec<u8>) = decode(Kind::MetaTraining, &frame).unwrap();
            prop_assert_eq!(back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), weights);
            prop_assert_eq!((name_back, bytes_back), (name, bytes));
        }
    }
}
