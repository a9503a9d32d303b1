//! For `#[serde(with = "exact")]`: a value that comes back as the same bits from whatever format it was saved in.
//!
//! Formats of text may change a number: `serde_json` without its feature `float_roundtrip` gives other last bits, and
//! JSON has neither NaN nor infinity. So in those (serde calls them human-readable) the value is one text: its bytes in
//! the wire format of [`artifact`](super), as hexadecimal digits. In formats of bytes it is as derived.

use super::{from_bytes, to_bytes};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub fn serialize<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    if !serializer.is_human_readable() {
        return value.serialize(serializer);
    }
    serializer.serialize_str(&to_bytes(value).iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

pub fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    if !deserializer.is_human_readable() {
        return T::deserialize(deserializer);
    }
    let text = String::deserialize(deserializer)?;
    let bytes =
        bytes(&text).ok_or_else(|| D::Error::custom("a saved state is a text of pairs of hexadecimal digits"))?;
    from_bytes(&bytes).map_err(D::Error::custom)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let pair = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    if rest.is_empty() { pairs.iter().map(pair).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Exact(#[serde(with = "super")] Vec<f64>);

    #[test]
    fn numbers_survive_json_that_json_cannot_say() {
        let value = Exact(vec![0.1 + 0.2, -0.0, f64::INFINITY, f64::MIN_POSITIVE / 3.0]);
        let text = serde_json::to_string(&value).unwrap();
        assert!(text.starts_with("\"04000000"), "{text}");
        let back: Exact = serde_json::from_str(&text).unwrap();
        assert!(value.0.iter().zip(&back.0).all(|(a, b)| a.to_bits() == b.to_bits()), "{back:?}");
        let nan: Exact = serde_json::from_str(&serde_json::to_string(&Exact(vec![f64::NAN])).unwrap()).unwrap();
        assert!(nan.0[0].is_nan());
    }

    #[test]
    fn bytes_are_as_derived() {
        assert_eq!(to_bytes(&Exact(vec![1.5])), to_bytes(&vec![1.5]));
    }

    #[test]
    fn a_text_that_is_no_state_is_refused() {
        for text in ["", "0", "zz", "\u{e9}", "ff", "+1", "0400000000000000"] {
            assert!(serde_json::from_value::<Exact>(text.into()).is_err(), "{text}");
        }
    }
}
