//! Output of a program that is an objective: lines of JSON among other lines.

use qgd::tuner::{LineError, Outcome, read_line};
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
///
/// A line that is meant as a result and cannot be read fails the trial, if no other result follows: what an earlier line
/// said is not the result then.
pub fn read(line: &str) -> Option<Said> {
    let line = line.trim().trim_start_matches('\u{feff}');
    let is_meant = line.contains("{\"value") || line.starts_with('{') && line.contains("\"value");
    let failed = |what: &str| {
        let shown: String = line.chars().take(120).collect();
        Said::Result(Outcome::failed(format!("its line `{shown}` {what}")))
    };
    let json = match read_line(line) {
        Ok(json) => json,
        // Also where it was to be an intermediate value: which of the two counts is for nobody to guess.
        Err(twice @ LineError::Twice { .. }) => return is_meant.then(|| failed(&format!("cannot be read: {twice}"))),
        Err(_) => Json::Null,
    };
    understood(&json).or_else(|| {
        let is_result = is_meant && !line.contains("\"step\"");
        is_result.then(|| failed("has a value that is no number"))
    })
}

fn understood(json: &Json) -> Option<Said> {
    if let Some(step) = json.get("step").filter(|_| !Outcome::says_both(json)) {
        return Some(Said::Step(step.as_i64()?, json.get("value").and_then(Outcome::number)?));
    }
    let outcome = Outcome::read(json).unwrap_or_else(|error| Some(Outcome::failed(error.to_string())));
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
        for other in
            ["", "loss 0.5", "0.5", "[1]", "{", r#"{"loss": 1}"#, r#"{"step": 1}"#, r#"{"step": 1, "value": null}"#]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_line_that_says_two_things_is_a_failure_and_not_one_of_them() {
        let both = "`value` and `values` are both there";
        for (line, why) in [
            (r#"{"value": 1, "values": [2]}"#, both),
            (r#"{"value": 1, "values": [1]}"#, both),
            (r#"{"value": 1, "values": "two"}"#, both),
            (r#"{"step": 1, "value": 1, "values": [2]}"#, both),
            (r#"{"value": 1, "value": 2}"#, "key \"value\" is there twice"),
            (r#"{"value": 1, "lr": 1, "lr": 2}"#, "key \"lr\" is there twice"),
            (r#"{"step": 1, "step": 2, "value": 3}"#, "key \"step\" is there twice"),
            (r#"{"value": NaN, "constraints": [1], "constraints": [2]}"#, "key \"constraints\" is there twice"),
        ] {
            let Some(Said::Result(outcome)) = read(line) else { panic!("{line}") };
            assert!(format!("{outcome:?}").replace('\\', "").contains(why), "{outcome:?}");
        }
        assert_eq!(read(r#"{"loss": 1, "loss": 2}"#), None, "no result at all");
        assert_eq!(read(r#"{"step": 1, "values": [1, 2]}"#), None, "no intermediate value of one objective");
    }

    #[test]
    fn a_result_that_cannot_be_read_is_a_failure_and_not_nothing() {
        for broken in [
            r#"{"value": "good"}"#,
            r#"{"value": null}"#,
            r#"{"value": nan}"#,
            r#"{"value": 0.7"#,
            r#"{"value": 0.7}{"value": 0.9}"#,
            "100%|###| {\"value\": 0.9}",
        ] {
            let Some(Said::Result(outcome)) = read(broken) else { panic!("{broken}") };
            assert!(format!("{outcome:?}").contains("has a value that is no number"), "{outcome:?}");
        }
    }
}
