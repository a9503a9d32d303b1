//! Output of a program that is an objective: lines of JSON among other lines.

use qgd::tuner::{Outcome, read_python_json};

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
    let json = read_python_json(line.trim())?;
    if let Some(step) = json.get("step") {
        return Some(Said::Step(step.as_i64()?, json.get("value").and_then(Outcome::number)?));
    }
    let outcome = Outcome::read(&json).unwrap_or_else(|error| Some(Outcome::failed(error.to_string())));
    outcome.map(Said::Result)
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
