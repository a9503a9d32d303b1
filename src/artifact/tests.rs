use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use std::fs;

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
    assert_eq!(bytes[..16], *b"QGDF\x03\0\x02\0\x0e\0\0\0\0\0\0\0");
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
    assert!(matches!(with(4, 9), ArtifactError::WrongVersion { found: 9, supported: 2 }));
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

#[cfg(unix)]
mod on_unix {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    #[test]
    fn a_pipe_is_written_into_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        check_writable(&pipe).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write(&pipe, Kind::Sampler, &1u8).unwrap();
        assert_eq!(decode::<u8>(Kind::Sampler, &reader.join().unwrap()).unwrap(), 1);
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        assert!(write(folder.path(), Kind::Sampler, &1u8).is_err(), "a folder");
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        symlink("file", &link).unwrap();
        write_bytes(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_a_killed_process_of_the_same_number_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.qgd");
        for number in 0..1000 {
            fs::write(folder.path().join(format!(".net.qgd.{}-{number}.tmp", std::process::id())), "").unwrap();
        }
        check_writable(&path).unwrap();
        write_bytes(&path, b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1001);
    }

    #[test]
    fn what_a_killed_writer_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let long = "y".repeat(255);
        write_bytes(&at(&long), b"a long name").unwrap();
        for name in [".net.qgd.12-3.tmp", ".net.qgd.12-x.tmp", ".net.qgd.bak.12-3.tmp", "net.qgd.12-3.tmp"] {
            fs::write(at(name), "").unwrap();
        }
        sweep(&at("net.qgd"), std::time::Duration::from_secs(60));
        assert!(at(".net.qgd.12-3.tmp").exists(), "it is young");
        sweep(&at("net.qgd"), std::time::Duration::ZERO);
        assert!(!at(".net.qgd.12-3.tmp").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    }
}
