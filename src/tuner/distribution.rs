//! Distributions: the values that a parameter may have.
//!
//! Internally every value is one number, its inner value, as in Optuna's schema: floats and whole numbers as they are
//! (never their logarithm), a choice as its index. Samplers use these numbers, or places in [0, 1] by
//! [`Distribution::from_unit`] and [`Distribution::to_unit`].

use super::python_json;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value as Json, json};
use std::fmt;

/// One value of a parameter, as a user writes and reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Python's `None`, which only studies of Optuna can hold.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(#[serde(serialize_with = "any_number")] f64),
    /// A word.
    Text(String),
    /// Anything else that a choice of Optuna's may be: a list, as Python's tuples are, or a table.
    Other(Json),
}

/// A number, or a word where JSON has no such number.
fn any_number<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    python_json::word(*number).serialize(serializer)
}

impl Value {
    /// Whether both are the same value: 2 is the same as 2.0, but not as "2".
    pub fn means(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(whole), Self::Float(number)) | (Self::Float(number), Self::Int(whole)) => {
                (*whole as f64 - number).abs() <= 0.0
            }
            _ => self == other,
        }
    }

    /// Whether Python, and so Optuna, takes both for the same: `True` is 1 there, `False` is 0.
    pub(super) fn is_same_in_python(&self, other: &Self) -> bool {
        let number = |value: &Self| match value {
            Self::Bool(truth) => Some(f64::from(u8::from(*truth))),
            Self::Int(whole) => Some(*whole as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        };
        number(self).zip(number(other)).is_some_and(|(a, b)| (a - b).abs() <= 0.0)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => write!(f, "null"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Int(whole) => write!(f, "{whole}"),
            // The shortest text that is read as the same number, with an exponent where it is far from 1.
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Text(text) => write!(f, "{text}"),
            Self::Other(json) => write!(f, "{json}"),
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),*) => { $(
        impl From<$from> for Value {
            fn from(value: $from) -> Self { Self::$variant(value.into()) }
        }
    )* };
}
value_from!(bool => Bool, i64 => Int, i32 => Int, f64 => Float, &str => Text, String => Text);

/// The values that a parameter may have. Bounds are inclusive.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// A number from `low` to `high`.
    Float {
        /// Smallest value; above 0 where `log`.
        low: f64,
        /// Largest value.
        high: f64,
        /// Whether the scale is logarithmic, so that each decade counts as much as any other.
        log: bool,
        /// Distance of the values `low`, `low + step`, ...; not together with `log`.
        step: Option<f64>,
    },
    /// A whole number from `low` to `high`.
    Int {
        /// Smallest value; at least 1 where `log`.
        low: i64,
        /// Largest value.
        high: i64,
        /// Whether the scale is logarithmic, so that each decade counts as much as any other.
        log: bool,
        /// Distance of the values `low`, `low + step`, ...; 1 where `log`.
        step: i64,
    },
    /// One of several values without an order.
    Categorical {
        /// The values, at least one, all different.
        choices: Vec<Value>,
    },
}

impl Distribution {
    /// Any number from `low` to `high`.
    pub fn float(low: f64, high: f64) -> Self {
        Self::Float { low, high, log: false, step: None }
    }

    /// Any number from `low` > 0 to `high`, on a logarithmic scale.
    pub fn log_float(low: f64, high: f64) -> Self {
        Self::Float { low, high, log: true, step: None }
    }

    /// `low`, `low + step`, ... up to `high`.
    pub fn stepped_float(low: f64, high: f64, step: f64) -> Self {
        Self::Float { low, high, log: false, step: Some(step) }
    }

    /// Any whole number from `low` to `high`.
    pub fn int(low: i64, high: i64) -> Self {
        Self::Int { low, high, log: false, step: 1 }
    }

    /// Any whole number from `low` ≥ 1 to `high`, on a logarithmic scale.
    pub fn log_int(low: i64, high: i64) -> Self {
        Self::Int { low, high, log: true, step: 1 }
    }

    /// `low`, `low + step`, ... up to `high`.
    pub fn stepped_int(low: i64, high: i64, step: i64) -> Self {
        Self::Int { low, high, log: false, step }
    }

    /// One of `choices`.
    pub fn categorical<V: Into<Value>>(choices: impl IntoIterator<Item = V>) -> Self {
        Self::Categorical { choices: choices.into_iter().map(Into::into).collect() }
    }

    /// Number of values; None for a float without a step.
    pub fn n_values(&self) -> Option<u64> {
        match self {
            Self::Float { step: None, .. } => None,
            Self::Float { low, high, step: Some(step), .. } => Some(whole_steps(high - low, *step).saturating_add(1)),
            Self::Int { low, high, step, .. } => {
                Some((low.abs_diff(*high) / step.unsigned_abs().max(1)).saturating_add(1))
            }
            Self::Categorical { choices } => Some(choices.len() as u64),
        }
    }

    /// The value with number `index` below [`Distribution::n_values`]; the last one beyond. `low` for a float without a
    /// step.
    pub fn nth(&self, index: u64) -> f64 {
        let index = index.min(self.n_values().unwrap_or(1).saturating_sub(1));
        match self {
            Self::Float { low, high, step: Some(step), .. } if index + 1 == self.n_values().unwrap_or(1) => {
                last_step(*low, *high, *step, index)
            }
            Self::Float { low, high, step, .. } => (low + index as f64 * step.unwrap_or(0.0)).min(*high),
            Self::Int { low, step, .. } => (i128::from(*low) + i128::from(index) * i128::from(*step)) as f64,
            Self::Categorical { .. } => index as f64,
        }
    }

    /// Whether there is only one value.
    pub fn is_single(&self) -> bool {
        match self {
            Self::Float { low, high, step: None, .. } => high <= low,
            _ => self.n_values().is_some_and(|n| n <= 1),
        }
    }

    /// The value at the place `unit` in [0, 1] of the scale. Where the number of values is finite, each has a part of
    /// [0, 1]: the parts are equally long unless `log`.
    pub fn from_unit(&self, unit: f64) -> f64 {
        let unit = unit.clamp(0.0, 1.0);
        match self {
            Self::Float { low, high, log: true, .. } => {
                (low.ln() + unit * (high.ln() - low.ln())).exp().clamp(*low, *high)
            }
            // In this form a range that is wider than the largest number does not overflow.
            Self::Float { low, high, step: None, .. } => (low * (1.0 - unit) + high * unit).clamp(*low, *high),
            Self::Int { low, high, log: true, .. } => {
                let (first, last) = log_edges(*low, *high);
                (first + unit * (last - first)).exp().round().clamp(*low as f64, *high as f64)
            }
            _ => {
                let n = self.n_values().unwrap_or(1);
                self.nth((unit * n as f64) as u64)
            }
        }
    }

    /// The place of a value: the inverse of [`Distribution::from_unit`]. Where the number of values is finite, it is
    /// the middle of its part.
    pub fn to_unit(&self, value: f64) -> f64 {
        let place = |low: f64, high: f64, value: f64| if high > low { (value - low) / (high - low) } else { 0.5 };
        let unit = match self {
            Self::Float { low, high, log: true, .. } => place(low.ln(), high.ln(), value.ln()),
            Self::Float { low, high, step: None, .. } => place(*low, *high, value),
            Self::Int { low, high, log: true, .. } => {
                let (first, last) = log_edges(*low, *high);
                place(first, last, value.ln())
            }
            _ => (self.index(value) as f64 + 0.5) / self.n_values().unwrap_or(1) as f64,
        };
        unit.clamp(0.0, 1.0)
    }

    /// The number of the value nearest to `value`, counted from 0; 0 for a float without a step.
    pub fn index(&self, value: f64) -> u64 {
        let last = self.n_values().unwrap_or(1).saturating_sub(1);
        let steps = match self {
            Self::Float { low, step, .. } => step.map_or(0.0, |step| (value - low) / step),
            Self::Int { .. } if value.is_nan() => 0.0,
            Self::Int { low, high, step, .. } => {
                // In whole numbers: the difference may have more digits than a float.
                let step = i128::from(*step).max(1);
                let above = value.round().clamp(*low as f64, (*high).max(*low) as f64) as i128 - i128::from(*low);
                return u64::try_from((above + step / 2) / step).unwrap_or(0).min(last);
            }
            Self::Categorical { .. } => value,
        };
        (steps.round().max(0.0) as u64).min(last)
    }

    /// The value of this distribution that is nearest to `value`; the lowest one for NaN.
    pub fn nearest(&self, value: f64) -> f64 {
        match self {
            Self::Float { low, high, step: None, .. } => value.max(*low).min(*high),
            _ => self.nth(self.index(value)),
        }
    }

    /// Whether `value` is one of this distribution, by Optuna's rule: a number within the bounds, and at a step up to
    /// 1e-8 of its length. With very many steps rounding errors are longer than that, so what [`Distribution::nearest`]
    /// answers always is one.
    pub fn contains(&self, value: f64) -> bool {
        match self {
            Self::Float { low, high, step, .. } => {
                let is_at = |step: f64| {
                    let steps = (value - low) / step;
                    (steps - steps.round()).abs() < 1e-8 || (self.nearest(value) - value).abs() <= 0.0
                };
                (*low..=*high).contains(&value) && step.is_none_or(is_at)
            }
            _ => {
                let within = match self {
                    Self::Int { low, high, .. } => (*low as f64..=*high as f64).contains(&value),
                    _ => true,
                };
                within && (self.nearest(value) - value).abs() <= 0.0
            }
        }
    }

    /// An inner value as a user reads it.
    pub fn value(&self, inner: f64) -> Value {
        match self {
            Self::Float { .. } => Value::Float(inner),
            Self::Int { .. } => Value::Int(inner.round() as i64),
            Self::Categorical { choices } => choices.get(inner.max(0.0) as usize).cloned().unwrap_or(Value::Null),
        }
    }

    /// The inner value of a user's value; None where the distribution does not have it.
    pub fn inner(&self, value: &Value) -> Option<f64> {
        let number = match (self, value) {
            (Self::Categorical { choices }, _) => return choices.iter().position(|c| c.means(value)).map(|i| i as f64),
            // A float does not hold it.
            (_, Value::Int(whole)) if i128::from(*whole) != *whole as f64 as i128 => return None,
            (_, Value::Int(whole)) => *whole as f64,
            (_, Value::Float(number)) => *number,
            _ => return None,
        };
        self.contains(number).then_some(number)
    }

    /// The values that a user may give, for messages.
    pub fn allowed(&self) -> String {
        let steps = |step: &dyn fmt::Display| format!(" in steps of {step}");
        match self {
            Self::Float { low, high, step, .. } => {
                format!("a number from {low:?} to {high:?}{}", step.as_ref().map_or(String::new(), |s| steps(s)))
            }
            Self::Int { low, high, step, .. } => {
                let step = if *step == 1 { String::new() } else { steps(step) };
                format!("a whole number from {low} to {high}{step}")
            }
            Self::Categorical { choices } => {
                let choices: Vec<String> = choices.iter().map(|c| json!(c).to_string()).collect();
                format!("one of {}", choices.join(", "))
            }
        }
    }

    /// The keys and values with which a space file states it.
    pub(super) fn in_words(&self) -> String {
        let step = |step: &dyn fmt::Display| format!(", step = {step}");
        let (kind, low, high, rest) = match self {
            Self::Float { low, high, log, step: length } => {
                let rest = length.as_ref().map_or(String::new(), |length| step(&Value::Float(*length)));
                ("float", format!("{low:?}"), format!("{high:?}"), if *log { ", log = true".into() } else { rest })
            }
            Self::Int { low, high, log, step: length } => {
                let rest = if *length == 1 { String::new() } else { step(length) };
                ("int", low.to_string(), high.to_string(), if *log { ", log = true".into() } else { rest })
            }
            Self::Categorical { choices } => return format!("type = \"categorical\", choices = {}", json!(choices)),
        };
        format!("type = \"{kind}\", low = {low}, high = {high}{rest}")
    }

    /// Whether one study may hold values of `self` and of `other` under one name, by Optuna's rule: kind, scale and
    /// choices must be the same, bounds may differ.
    pub fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float { log, .. }, Self::Float { log: other, .. })
            | (Self::Int { log, .. }, Self::Int { log: other, .. }) => log == other,
            (Self::Categorical { choices }, Self::Categorical { choices: other }) => {
                choices.len() == other.len() && choices.iter().zip(other).all(|(a, b)| a.means(b))
            }
            _ => false,
        }
    }

    /// The distribution as Optuna stores it.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Float { low, high, log, step } => {
                json!({"name": "FloatDistribution", "attributes": {"step": step, "low": low, "high": high, "log": log}})
            }
            Self::Int { low, high, log, step } => {
                json!({"name": "IntDistribution", "attributes": {"log": log, "step": step, "low": low, "high": high}})
            }
            Self::Categorical { choices } => {
                json!({"name": "CategoricalDistribution", "attributes": {"choices": choices}})
            }
        }
    }

    /// The distribution that Optuna stored, the inverse of [`Distribution::to_json`]; None where it is none.
    pub fn from_json(json: &Json) -> Option<Self> {
        let attributes = json.get("attributes").unwrap_or(json);
        let any = |json: &Json| json.as_f64().or_else(|| python_json::marked_number(json));
        let number = |key: &str| attributes.get(key).and_then(any);
        let whole = |key: &str| attributes.get(key).and_then(Json::as_i64);
        let log = attributes.get("log").and_then(Json::as_bool).unwrap_or(false);
        match json.get("name").or(json.get("type"))?.as_str()? {
            "FloatDistribution" | "float" => {
                Some(Self::Float { low: number("low")?, high: number("high")?, log, step: number("step") })
            }
            "IntDistribution" | "int" => {
                Some(Self::Int { low: whole("low")?, high: whole("high")?, log, step: whole("step").unwrap_or(1) })
            }
            "CategoricalDistribution" | "categorical" => {
                let choices = attributes.get("choices")?.as_array()?;
                let choice = |json: &Json| match python_json::marked_number(json) {
                    Some(number) => Some(Value::Float(number)),
                    None => serde_json::from_value(json.clone()).ok(),
                };
                Some(Self::Categorical { choices: choices.iter().map(choice).collect::<Option<_>>()? })
            }
            _ => None,
        }
    }
}

/// Number of whole steps in a range; one that misses the end by no more than rounding errors counts.
fn whole_steps(range: f64, step: f64) -> u64 {
    (range / step + 1e-8).floor() as u64
}

/// The value `n` steps above `low`, where the range ends: `high` where that is meant, else without the rounding error that
/// its decimals show. Optuna moves the end of a range there, so a value beyond would be outside.
fn last_step(low: f64, high: f64, step: f64, n: u64) -> f64 {
    let value = low + n as f64 * step;
    let n_decimals = |number: f64| number.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let n_decimals = n_decimals(low).max(n_decimals(step));
    let written = format!("{value:.n_decimals$}").parse().unwrap_or(value);
    if value > high || written > high { high } else { written }
}

/// Logarithms of the outer edges of the parts of `low` and `high`, half a number away from each, as in Optuna.
fn log_edges(low: i64, high: i64) -> (f64, f64) {
    ((low as f64 - 0.5).ln(), (high as f64 + 0.5).ln())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_distribution() -> impl Strategy<Value = Distribution> {
        let bounds = (-1e6f64..1e6, 1e-6f64..1e6);
        prop_oneof![
            bounds.clone().prop_map(|(low, width)| Distribution::float(low, low + width)),
            (1e-9f64..1e3, 1.001f64..1e6).prop_map(|(low, factor)| Distribution::log_float(low, low * factor)),
            (bounds, 0.01f64..0.9)
                .prop_map(|((low, width), part)| { Distribution::stepped_float(low, low + width, width * part) }),
            (-1000i64..1000, 1i64..5000).prop_map(|(low, width)| Distribution::int(low, low + width)),
            (1i64..1000, 1i64..5000).prop_map(|(low, width)| Distribution::log_int(low, low + width)),
            (-1000i64..1000, 1i64..5000, 1i64..50)
                .prop_map(|(low, width, step)| { Distribution::stepped_int(low, low + width, step) }),
            (1usize..9).prop_map(|n| Distribution::categorical((0..n).map(|i| format!("c{i}")))),
        ]
    }

    proptest! {
        #[test]
        fn every_place_holds_a_value_and_every_value_finds_its_place(
            distribution in any_distribution(), unit in 0.0f64..=1.0
        ) {
            let value = distribution.from_unit(unit);
            prop_assert!(distribution.contains(value), "{value} of {distribution:?}");
            let again = distribution.from_unit(distribution.to_unit(value));
            prop_assert!((again - value).abs() <= 1e-9 * value.abs().max(1.0), "{value} became {again}");
            prop_assert_eq!(distribution.inner(&distribution.value(value)), Some(value));
            prop_assert!(distribution.contains(distribution.nearest(value + 1e3)));
        }

        #[test]
        fn what_is_written_for_optuna_is_read_back(distribution in any_distribution()) {
            prop_assert_eq!(Distribution::from_json(&distribution.to_json()), Some(distribution));
        }
    }

    #[test]
    fn the_texts_of_optuna_are_read() {
        let read = |text: &str| Distribution::from_json(&serde_json::from_str(text).unwrap());
        let float =
            r#"{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.1, "log": true}}"#;
        assert_eq!(read(float), Some(Distribution::log_float(1e-5, 0.1)));
        let choices = r#"{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", null, 3, 2.5, true]}}"#;
        let expected = vec![Value::from("relu"), Value::Null, Value::Int(3), Value::Float(2.5), Value::Bool(true)];
        assert_eq!(read(choices), Some(Distribution::Categorical { choices: expected }));
        assert_eq!(read(r#"{"type": "int", "low": 1, "high": 8}"#), Some(Distribution::int(1, 8)));
        assert_eq!(read(r#"{"name": "DirichletDistribution", "attributes": {}}"#), None);
    }

    #[test]
    fn any_choice_of_optunas_is_read_and_shown_as_it_was() {
        let text = r#"{"name": "CategoricalDistribution", "attributes": {"choices": [[3, 4], {"a": null}, "NaN", NaN, -Infinity, null]}}"#;
        let read = Distribution::from_json(&python_json::read_marked(text).unwrap()).unwrap();
        let shown: Vec<String> = (0..6).map(|i| json!(read.value(f64::from(i))).to_string()).collect();
        assert_eq!(shown, ["[3,4]", r#"{"a":null}"#, "\"NaN\"", "\"NaN\"", "\"-Infinity\"", "null"]);
        assert_eq!(read.value(0.0).to_string(), "[3,4]");
        assert_eq!((read.inner(&Value::Other(json!([3, 4]))), read.inner(&"NaN".into())), (Some(0.0), Some(2.0)));
        // A study with NaN as a choice is not one with the word.
        assert!(
            !Distribution::categorical(["NaN"])
                .agrees_with(&Distribution::Categorical { choices: vec![Value::Float(f64::NAN)] })
        );
    }

    #[test]
    fn ranges_that_only_optuna_makes_are_looked_at_without_a_panic() {
        let odd = [
            Distribution::int(i64::MIN, i64::MAX),
            Distribution::stepped_int(i64::MIN, i64::MAX, i64::MAX),
            Distribution::log_int(1, i64::MAX),
            Distribution::stepped_int(0, 5, 0),
            Distribution::int(5, 0),
            Distribution::stepped_float(0.0, 1.0, 0.0),
            Distribution::stepped_float(0.0, f64::MAX, 5e-324),
            Distribution::float(f64::NEG_INFINITY, f64::INFINITY),
            Distribution::float(f64::NAN, 1.0),
            Distribution::float(1.0, 1.0),
            Distribution::Categorical { choices: vec![] },
        ];
        for distribution in odd {
            for value in [f64::NAN, f64::NEG_INFINITY, f64::INFINITY, 0.0, -1e300, 7.5] {
                let _ = (distribution.contains(value), distribution.value(value), distribution.to_unit(value));
                let _ = (distribution.nth(value as u64), distribution.index(value), distribution.allowed());
            }
            let _ = (distribution.n_values(), distribution.is_single(), distribution.to_json());
        }
        assert!(Distribution::float(1.0, 1.0).is_single() && Distribution::int(3, 3).is_single());
        assert!(
            Distribution::stepped_float(0.0, 0.5, 1.0).is_single() && !Distribution::float(0.0, 5e-324).is_single()
        );
    }

    #[test]
    fn every_whole_number_of_the_widest_range_is_there() {
        let (end, one) = (1i64 << 53, Distribution::int(-(1 << 53), 1 << 53));
        for whole in [-end, -end + 1, -1, 0, 1, 2, end - 1, end] {
            let inner = one.inner(&whole.into()).unwrap();
            assert_eq!(one.value(one.nth(one.index(inner))), whole.into());
        }
        // A float would hold another number.
        assert_eq!(Distribution::int(0, i64::MAX).inner(&(end + 1).into()), None);
    }

    #[test]
    fn a_step_that_fits_but_for_rounding_is_the_last_value() {
        let distribution = Distribution::stepped_float(0.0, 0.3, 0.1);
        assert_eq!(distribution.n_values(), Some(4));
        // Three times 0.1 is more than 0.3.
        assert_eq!([distribution.nth(3), distribution.from_unit(1.0)].map(|v| v.to_string()), ["0.3", "0.3"]);
        // Also where the range goes on.
        assert_eq!(Distribution::stepped_float(0.0, 0.35, 0.1).nth(9).to_string(), "0.3");
        assert!(distribution.inner(&Value::Float(0.2)).is_some() && distribution.inner(&Value::Float(0.25)).is_none());
    }

    #[test]
    fn whole_numbers_on_a_log_scale_are_as_even_as_optunas() {
        // 1 takes the stretch from ln 0.5 to ln 1.5 of ln 0.5 to ln 8.5.
        let share = 3f64.ln() / 17f64.ln();
        let distribution = Distribution::log_int(1, 8);
        let at = |unit| distribution.value(distribution.from_unit(unit));
        assert_eq!([at(share - 0.01), at(share + 0.01)], [1, 2].map(Value::from));
    }
}
