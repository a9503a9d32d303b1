//! JSON as Python's `json` writes it: also with the bare words NaN, Infinity and -Infinity, which JSON does not have.
//! In memory such a word is a string in the place of the number.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Value as Json, json};
use std::fmt;

const WORDS: [(&str, f64); 3] = [("-Infinity", f64::NEG_INFINITY), ("Infinity", f64::INFINITY), ("NaN", f64::NAN)];

/// Begin of a string that stands for a bare word in [`read_marked`], as JSON spells it.
#[cfg(any(feature = "sqlite", feature = "postgres", test))]
const MARK: &str = "\\u0000";

/// Reads JSON as Python's `json` writes it, also with the bare words NaN, Infinity and -Infinity: they become strings.
/// None where it is no JSON of Python's either.
#[cfg(any(feature = "sqlite", feature = "postgres", test))]
pub(super) fn read(text: &str) -> Option<Json> {
    serde_json::from_str(text).ok().or_else(|| serde_json::from_str(&quoted(text, "")).ok())
}

/// Why a line is not taken as JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// It is no JSON, also not of Python's kind.
    #[error("this is no JSON: {message}")]
    NoJson {
        /// Message of the parser, with the place.
        message: String,
    },
    /// An object has a key twice, and nobody can say which of the two counts.
    #[error("the key {key:?} is there twice, but every key may be used once")]
    Twice {
        /// The key.
        key: String,
    },
}

/// Reads a line of a program, JSON or what Python writes as such, and refuses objects that have a key twice.
///
/// # Errors
/// When it is no JSON, or a key is there twice.
pub fn read_line(line: &str) -> Result<Json, LineError> {
    let parse = |text: &str| serde_json::from_str::<Once>(text);
    let parsed = parse(line).or_else(|error| parse(&quoted(line, "")).map_err(|of_python| (error, of_python)));
    match parsed {
        Ok(Once(json)) => Ok(json),
        Err((error, of_python)) => {
            let twice = [&error, &of_python].into_iter().find_map(|error| twin(&error.to_string()));
            Err(twice.map_or_else(|| LineError::NoJson { message: error.to_string() }, |key| LineError::Twice { key }))
        }
    }
}

/// Begin of the message about a key that is there twice; the key follows as JSON.
const TWIN: &str = "twin key ";

/// The key that a message of the parser says to be there twice.
fn twin(message: &str) -> Option<String> {
    let behind = message.strip_prefix(TWIN)?;
    serde_json::Deserializer::from_str(behind).into_iter::<String>().next()?.ok()
}

/// JSON in which no object has a key twice.
struct Once(Json);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OnceVisitor).map(Self)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json, E> {
        Ok(truth.into())
    }

    fn visit_i64<E>(self, whole: i64) -> Result<Json, E> {
        Ok(whole.into())
    }

    fn visit_u64<E>(self, whole: u64) -> Result<Json, E> {
        Ok(whole.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(text.into())
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object = serde_json::Map::new();
        while let Some((key, Once(value))) = entries.next_entry::<String, Once>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("{TWIN}{}", Json::from(key))));
            }
            object.insert(key, value);
        }
        Ok(Json::Object(object))
    }
}

/// Reads a text, so that [`marked_number`] tells bare words from strings that spell the same.
#[cfg(any(feature = "sqlite", feature = "postgres", test))]
pub(super) fn read_marked(text: &str) -> Option<Json> {
    serde_json::from_str(text).ok().or_else(|| serde_json::from_str(&quoted(text, MARK)).ok())
}

/// The number that a bare word stands for, in what [`read_marked`] has read.
pub(super) fn marked_number(json: &Json) -> Option<f64> {
    let word = json.as_str()?.strip_prefix('\0')?;
    WORDS.iter().find(|(name, _)| *name == word).map(|(_, number)| *number)
}

/// The text with its bare words in quotes, `mark` before each.
fn quoted(text: &str, mark: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len() + 16), text);
    while let Some(first) = rest.chars().next() {
        let word = WORDS.iter().find(|(word, _)| rest.starts_with(word)).map(|(word, _)| *word);
        let n_bytes = match word {
            Some(word) => {
                out += &format!("\"{mark}{word}\"");
                word.len()
            }
            None => {
                let n_bytes = if first == '"' { length_of_string(rest) } else { first.len_utf8() };
                out += &rest[..n_bytes];
                n_bytes
            }
        };
        rest = &rest[n_bytes..];
    }
    out
}

/// Number of bytes of the string at the beginning of `text`, with its quotes.
fn length_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().enumerate().skip(1).find(|&(_, byte)| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |(i, _)| i + 1)
}

/// A number, or the string that stands for NaN or an infinity. None for anything else.
pub(super) fn number(json: &Json) -> Option<f64> {
    match json.as_str() {
        Some(text) => WORDS.iter().find(|(word, _)| *word == text).map(|(_, number)| *number),
        None => json.as_f64(),
    }
}

/// Any number as JSON: a string where JSON has no such number.
pub(super) fn word(number: f64) -> Json {
    match number {
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        _ if number.is_nan() => json!("NaN"),
        _ => json!(number),
    }
}

/// A list of numbers as Python writes it, with bare words.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) fn list_of_numbers(json: &Json) -> Option<String> {
    let numbers: Vec<f64> = json.as_array()?.iter().map(number).collect::<Option<_>>()?;
    let text = |json: &Json| json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    Some(format!("[{}]", numbers.iter().map(|&n| text(&word(n))).collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_are_read_and_what_strings_hold_is_left_alone() {
        let text = r#"{"a": NaN, "b": [1, -Infinity, Infinity], "NaN": "say \"NaN\" Infinity"}"#;
        let expected = json!({"a": "NaN", "b": [1, "-Infinity", "Infinity"], "NaN": "say \"NaN\" Infinity"});
        assert_eq!(read(text), Some(expected));
        assert_eq!((read("{"), read("[nan]"), read("NaNNaN")), (None, None, None));
    }

    #[test]
    fn a_line_says_everything_once() {
        let text = r#"{"a": [NaN, -1, 2.5, true, null, "t"], "b": {"a": 18446744073709551615}}"#;
        assert_eq!(read_line(text).ok(), read(text));
        for (line, key) in [
            (r#"{"value": 1, "value": 2}"#, "value"),
            (r#"{"value": NaN, "value": NaN}"#, "value"),
            (r#"{"tell": {"trial": 0, "say \"x\"": 1, "say \"x\"": 2}}"#, "say \"x\""),
            (r#"[{"\u0061": 1, "a": 2}]"#, "a"),
        ] {
            assert_eq!(read_line(line), Err(LineError::Twice { key: key.into() }), "{line}");
        }
        for line in ["", "nonsense", "{", "1 2"] {
            assert!(matches!(read_line(line), Err(LineError::NoJson { .. })), "{line}");
        }
    }

    #[test]
    fn a_number_is_read_back_whatever_it_is() {
        for value in [0.1, -3.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let read = number(&word(value)).unwrap();
            assert!(read.total_cmp(&value).is_eq() || read.is_nan() && value.is_nan(), "{value}");
        }
        assert_eq!([json!("inf"), json!([1]), json!(null), json!(true)].map(|json| number(&json)), [None; 4]);
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn constraints_are_written_as_python_reads_them() {
        assert_eq!(list_of_numbers(&json!([-0.5, "Infinity", 2])).unwrap(), "[-0.5, Infinity, 2.0]");
        assert_eq!(list_of_numbers(&json!([-0.5, "much"])), None);
        let marked = read_marked(r#"[NaN, "NaN"]"#).unwrap();
        assert!(marked_number(&marked[0]).is_some_and(f64::is_nan) && marked_number(&marked[1]).is_none());
    }
}
