//! Output of a program that is an objective: lines of JSON among other lines.

use qgd::tuner::Outcome;
use serde_json::Value as Json;

/// Meaning of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// `{"step": 3, "value": 0.5}`: an intermediate value.
    Step(i64, f64),
    /// `{"value": 0.5}` or `{"values": [0.5, 2]}`, perhaps with `"constraints": [...]`: the result, if no other result
    /// follows.
    Result(Outcome),
}

/// Meaning of a line; None for any other line.
pub fn read(line: &str) -> Option<Said> {
    let line = line.trim();
    let json: Json = serde_json::from_str(line).or_else(|_| serde_json::from_str(&quoted(line))).ok()?;
    let value = json.get("value").and_then(number);
    if let Some(step) = json.get("step") {
        return Some(Said::Step(step.as_i64()?, value?));
    }
    let list = |key: &str| json.get(key)?.as_array()?.iter().map(number).collect::<Option<Vec<f64>>>();
    let values = list("values").or(value.map(|value| vec![value]))?;
    Some(Said::Result(Outcome::complete(values).with_constraints(list("constraints").unwrap_or_default())))
}

/// A number, or one of the words that Python's `json` and others write for NaN and infinities.
pub fn number(json: &Json) -> Option<f64> {
    match json.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
        None => json.as_f64(),
    }
}

/// Puts the bare words NaN, Infinity and -Infinity in quotes, for a line that is no JSON otherwise.
fn quoted(line: &str) -> String {
    if !line.starts_with('{') {
        return String::new();
    }
    let line = line.replace("NaN", "\"NaN\"").replace("Infinity", "\"Infinity\"");
    line.replace("-\"Infinity\"", "\"-Infinity\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_values_are_read_and_others_are_not() {
        assert_eq!(read(r#"{"step": 3, "value": 0.5, "lr": 1}"#), Some(Said::Step(3, 0.5)));
        assert_eq!(read(r#" {"value": 2} "#), Some(Said::Result(2.0.into())));
        assert_eq!(read(r#"{"values": [1, -Infinity]}"#), Some(Said::Result(vec![1.0, f64::NEG_INFINITY].into())));
        let constrained = Outcome::complete(vec![1.0]).with_constraints(vec![-1.0, 2.0]);
        assert_eq!(read(r#"{"value": 1, "constraints": [-1, 2]}"#), Some(Said::Result(constrained)));
        assert!(matches!(read(r#"{"step": 1, "value": NaN}"#), Some(Said::Step(1, value)) if value.is_nan()));
        for other in ["", "loss 0.5", "0.5", "[1]", "{", r#"{"value": "good"}"#, r#"{"loss": 1}"#, r#"{"step": 1}"#] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
