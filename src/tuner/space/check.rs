//! What a space must be: checks of its parameters, and the order and the conditions of them.

use super::{Condition, Parameter, SpaceError};
use crate::tuner::distribution::{Distribution, Value};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Largest whole number up to which all are exact in the 64-bit floats that storages keep.
const MAX_WHOLE: i64 = 1 << 53;

/// Largest number of parameters. SQLite takes three times as many values in one statement, and PostgreSQL six times.
pub(super) const MAX_PARAMETERS: usize = 10_000;

/// Largest number of choices of a parameter: each trial notes all of them.
const MAX_CHOICES: usize = 10_000;

/// Largest number of values of a stepped parameter: they are counted in a 64-bit float.
const MAX_VALUES: f64 = 1e15;

/// Refuses a parameter that cannot be drawn, spelled or kept.
pub(super) fn parameter(parameter: &Parameter) -> Result<(), SpaceError> {
    let name = parameter.name.as_str();
    // Names that `{name}` on a command line and QGD_PARAM_NAME in the environment can spell; Optuna's column holds 512
    // characters.
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    if name.is_empty() || name.chars().count() > 512 || !name.chars().all(plain) {
        let allowed = "1 to 512 letters, digits, `_`, `-`, `.` and `/`";
        return Err(SpaceError::OutOfRange {
            key: "params".into(),
            value: format!("{name:?}"),
            allowed: allowed.into(),
        });
    }
    let need = |holds: bool, key: &str, value: &dyn ToString, allowed: String| {
        if holds { Ok(()) } else { Err(SpaceError::key(name, key, value.to_string(), allowed)) }
    };
    match &parameter.distribution {
        Distribution::Float { low, high, log, step } => {
            // As values are shown everywhere: with an exponent where they are far from 1.
            let (shown_low, shown_high) = (Value::Float(*low), Value::Float(*high));
            need(low.is_finite(), "low", &shown_low, "a finite number".into())?;
            need(high.is_finite() && low < high, "high", &shown_high, format!("finite and above low = {shown_low}"))?;
            let allowed = format!("so near to low = {low:?} that high - low is a finite number");
            need((high - low).is_finite(), "high", &shown_high, allowed)?;
            need(!log || *low > 0.0, "low", &shown_low, "above 0 where log = true".into())?;
            let Some(step) = step else { return Ok(()) };
            let shown = Value::Float(*step);
            need(!log, "step", &shown, "absent where log = true".into())?;
            let fits = *step > 0.0 && *step <= high - low;
            need(fits, "step", &shown, format!("above 0 and at most high - low = {:?}", high - low))?;
            // So long that neighboring values are different numbers.
            let shortest = (low.abs().max(high.abs()) * f64::EPSILON).max((high - low) / MAX_VALUES);
            need(*step >= shortest, "step", &shown, format!("at least {shortest:?} in a range of such numbers"))
        }
        Distribution::Int { low, high, log, step } => {
            let exact = |value: &i64| (-MAX_WHOLE..=MAX_WHOLE).contains(value);
            need(exact(low), "low", low, format!("from -{MAX_WHOLE} to {MAX_WHOLE}"))?;
            need(exact(high) && low < high, "high", high, format!("above low = {low} and at most {MAX_WHOLE}"))?;
            need(!log || *low > 0, "low", low, "at least 1 where log = true".into())?;
            need(!log || *step == 1, "step", step, "absent where log = true".into())?;
            need((1..=high - low).contains(step), "step", step, format!("from 1 to high - low = {}", high - low))
        }
        Distribution::Categorical { choices } => {
            need(!choices.is_empty(), "choices", &"[]", "at least one choice".into())?;
            let few = choices.len() <= MAX_CHOICES;
            need(few, "choices", &format!("a list of {}", choices.len()), format!("a list of at most {MAX_CHOICES}"))?;
            let finite = |choice: &Value| !matches!(choice, Value::Float(number) if !number.is_finite());
            let repeated = |(i, c): (usize, &Value)| {
                !finite(c) || choices[..i].iter().any(|other| other.means(c) || other.is_same_in_python(c))
            };
            let wrong = choices.iter().enumerate().find(|&pair| repeated(pair));
            wrong.map_or(Ok(()), |(_, c)| {
                need(false, "choices", c, "finite values, each of them once (Python takes True for 1)".into())
            })
        }
    }
}

/// Refuses two of the same name, and two of the same variable.
pub(super) fn different(given: &[Parameter]) -> Result<(), SpaceError> {
    let (mut names, mut variables) = (BTreeSet::new(), BTreeMap::new());
    for parameter in given {
        let name = &parameter.name;
        if !names.insert(name) {
            return Err(SpaceError::Twice { name: name.clone() });
        }
        if let Some(other) = variables.insert(parameter.variable(), name) {
            let (variable, other) = (parameter.variable(), other.clone());
            return Err(SpaceError::SameVariable { name: name.clone(), other, variable });
        }
    }
    Ok(())
}

/// Sorts so that every parent stands before its children; otherwise the order stays.
pub(super) fn parents_first(given: Vec<Parameter>) -> Result<Vec<Parameter>, SpaceError> {
    let known = given.iter().map(|parameter| parameter.name.clone()).collect::<Vec<_>>();
    for parameter in &given {
        for Condition { parent, .. } in &parameter.when {
            if !known.contains(parent) {
                let key = format!("params.{}.when.{parent}", parameter.name);
                return Err(SpaceError::UnknownKey { key, allowed: known.join(", ") });
            }
        }
    }
    let mut given = VecDeque::from(given);
    let mut sorted: Vec<Parameter> = Vec::with_capacity(given.len());
    while !given.is_empty() {
        let is_ready = |p: &Parameter| p.when.iter().all(|c| sorted.iter().any(|parent| parent.name == c.parent));
        let Some(next) = given.iter().position(is_ready) else {
            let names = given.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(SpaceError::Cycle { name: given[0].name.clone(), names });
        };
        sorted.extend(given.remove(next));
    }
    Ok(sorted)
}

/// Conditions of a parameter as indices and inner values.
pub(super) fn resolve(parameter: &Parameter, all: &[Parameter]) -> Result<Vec<(usize, Vec<f64>)>, SpaceError> {
    let resolved = parameter.when.iter().map(|Condition { parent, values }| {
        let key = format!("when.{parent}");
        let i = all.iter().position(|other| other.name == *parent).unwrap_or_default();
        let distribution = &all[i].distribution;
        if values.is_empty() {
            return Err(SpaceError::key(&parameter.name, &key, "[]", "at least one value"));
        }
        let inner = values.iter().map(|value| {
            distribution
                .inner(value)
                .ok_or_else(|| SpaceError::key(&parameter.name, &key, value, distribution.allowed()))
        });
        Ok((i, inner.collect::<Result<_, _>>()?))
    });
    resolved.collect()
}
