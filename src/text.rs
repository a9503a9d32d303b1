//! Text that people and their programs wrote: tables, task files, recipes, spaces.
//!
//! There is one way to decode all of it. UTF-8 may begin with a byte order mark; UTF-16 must. The mark is no part of
//! the text. A line ends with `\n`, `\r\n` or, as old Macs wrote it, `\r`: in the text it is always `\n`.

use std::io;
use std::path::Path;

/// Bytes that are no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotText {
    /// A file of another kind, known by its first bytes.
    #[error("it is {what}, but must be plain text; {advice}")]
    Foreign {
        /// Kind of the file.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A byte that cannot stand there.
    #[error("line {line} is not UTF-8 text (wrong byte {byte:#04x} at {position}); save the file as UTF-8")]
    Utf8 {
        /// Place of the byte, from 0.
        position: usize,
        /// Number of its line, from 1.
        line: usize,
        /// The byte.
        byte: u8,
    },
    /// A zero byte, which no text has.
    #[error("byte {position} is zero: it is no text, or UTF-16 without a byte order mark; save the file as UTF-8")]
    Zero {
        /// Place of the byte, from 0.
        position: usize,
    },
    /// Half a character of UTF-16.
    #[error("line {line} is damaged: it is UTF-16 with half a character; save the file as UTF-8")]
    Utf16 {
        /// Number of the line, from 1.
        line: usize,
    },
}

const AS_CSV: &str = "save the sheet as CSV with UTF-8";
const UNPACK: &str = "unpack it first (gzip is unpacked by itself)";
const EXPORT: &str = "export it as CSV";

/// First bytes of files that are often taken for tables.
const FOREIGN: [(&[u8], &str, &str); 12] = [
    (b"\xff\xfe\0\0", "UTF-32", "save the file as UTF-8"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", AS_CSV),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a spreadsheet of an old Excel", AS_CSV),
    (b"\x1f\x8b", "a gzip file", "unpack it first"),
    (b"BZh", "a bzip2 file", UNPACK),
    (b"\xfd7zXZ\0", "an xz file", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd file", UNPACK),
    (b"PAR1", "a Parquet file", EXPORT),
    (b"\x89HDF", "an HDF5 file", EXPORT),
    (b"\x93NUMPY", "an array of NumPy", EXPORT),
    (b"SQLite format 3\0", "an SQLite database", EXPORT),
    (b"%PDF-", "a PDF", EXPORT),
];

/// The text that these bytes are.
///
/// # Errors
/// When they are no text, or text in an encoding that is not known here.
///
/// ```
/// assert_eq!(qgd::text::decode(b"\xef\xbb\xbfa,b\r\n1,2\r".to_vec()).as_deref(), Ok("a,b\n1,2\n"));
/// assert_eq!(qgd::text::decode(b"\xff\xfea\0\n\0".to_vec()).as_deref(), Ok("a\n"));
/// assert!(qgd::text::decode(b"caf\xe9".to_vec()).is_err());
/// ```
pub fn decode(bytes: Vec<u8>) -> Result<String, NotText> {
    if let Some((_, what, advice)) = FOREIGN.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return Err(NotText::Foreign { what, advice });
    }
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => utf8(bytes),
    }
}

/// The text of a file. One that is no text is an error of the kind `InvalidData`.
///
/// # Errors
/// When the file cannot be read, or is no text.
pub fn read(path: &Path) -> io::Result<String> {
    decode(std::fs::read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn utf8(mut bytes: Vec<u8>) -> Result<String, NotText> {
    let line = |position: usize| 1 + bytes[..position].iter().filter(|byte| **byte == b'\n').count();
    if let Err(error) = std::str::from_utf8(&bytes) {
        let position = error.valid_up_to();
        return Err(match bytes[..position].iter().position(|byte| *byte == 0) {
            Some(position) => NotText::Zero { position },
            None => NotText::Utf8 { position, line: line(position), byte: bytes[position] },
        });
    }
    if let Some(position) = bytes.iter().position(|byte| *byte == 0) {
        return Err(NotText::Zero { position });
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    if bytes.contains(&b'\r') {
        plain_line_ends(&mut bytes);
    }
    // It was valid before line ends, which are characters of their own, were replaced.
    String::from_utf8(bytes).map_err(|error| NotText::Utf8 {
        position: error.utf8_error().valid_up_to(),
        line: 1,
        byte: 0,
    })
}

/// Makes `\n` of `\r\n` and `\r`, in place.
fn plain_line_ends(bytes: &mut Vec<u8>) {
    let (mut n_kept, mut before) = (0, 0);
    for i in 0..bytes.len() {
        let byte = bytes[i];
        if byte != b'\n' || before != b'\r' {
            bytes[n_kept] = if byte == b'\r' { b'\n' } else { byte };
            n_kept += 1;
        }
        before = byte;
    }
    bytes.truncate(n_kept);
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, NotText> {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let mut text = String::with_capacity(bytes.len() / 2);
    let (mut before, mut line) = ('\0', 1);
    for found in char::decode_utf16(units) {
        let found = found.map_err(|_| NotText::Utf16 { line })?;
        if found != '\n' || before != '\r' {
            text.push(if found == '\r' { '\n' } else { found });
            line += usize::from(matches!(found, '\r' | '\n'));
        }
        before = found;
    }
    match (bytes.len() % 2, text.find('\0')) {
        (0, None) => Ok(text),
        (0, Some(position)) => Err(NotText::Zero { position }),
        _ => Err(NotText::Utf16 { line }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Result<String, NotText> {
        decode(bytes.to_vec())
    }

    fn utf16_of(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect()
    }

    #[test]
    fn line_ends_of_all_systems_are_one() {
        for written in ["a\nb\n\nc", "a\r\nb\r\n\r\nc", "a\rb\r\rc", "a\rb\n\r\nc"] {
            assert_eq!(text(written.as_bytes()).unwrap(), "a\nb\n\nc", "{written:?}");
            assert_eq!(text(&utf16_of(written, u16::to_le_bytes)).unwrap(), "a\nb\n\nc", "{written:?}");
        }
        assert_eq!(text(b"").unwrap(), "");
        assert_eq!(text(b"\r").unwrap(), "\n");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let words = "naïve,東京\n1,😀\n";
        assert_eq!(text(&[b"\xef\xbb\xbf", words.as_bytes()].concat()).unwrap(), words);
        assert_eq!(text(&utf16_of(words, u16::to_le_bytes)).unwrap(), words);
        assert_eq!(text(&utf16_of(words, u16::to_be_bytes)).unwrap(), words);
        for mark in [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"] {
            assert_eq!(text(mark).unwrap(), "");
        }
    }

    #[test]
    fn what_is_no_text_is_refused_with_what_it_is() {
        let refusals = [
            (&b"PK\x03\x04..."[..], "spreadsheet"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
            (b"1,2\n3,caf\xe9\n", "line 2 is not UTF-8 text (wrong byte 0xe9 at 9)"),
            (b"a\0,\0b\0\n\0", "byte 1 is zero"),
            (b"a\0,\0\xe9\0\n\0", "byte 1 is zero"),
            (b"\xff\xfea\0\n\0b", "line 2 is damaged"),
            (b"\xff\xfe\x00\xd8a\0", "line 1 is damaged"),
            (b"\xff\xfea\0\0\0", "byte 1 is zero"),
        ];
        for (bytes, says) in refusals {
            let error = text(bytes).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
