//! The space that is searched: named parameters, some of which are active only where others have certain values.

mod check;
mod read;

pub use read::SpaceFile;

use super::distribution::{Distribution, Value};
use crate::words::meant;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;

/// One parameter of a [`Space`].
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name, unique in the space.
    pub name: String,
    /// Values that it may have.
    pub distribution: Distribution,
    /// Conditions: the parameter is active where all of them hold. Without any it is always active.
    pub when: Vec<Condition>,
}

/// A condition: the parent is active and has one of these values.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Name of the parent.
    pub parent: String,
    /// Values of the parent, at least one.
    pub values: Vec<Value>,
}

/// The parameter as a space file has it: `params.lr = { type = "float", low = 0.1, high = 1.0, log = true }`.
impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "params.{} = {{ {}", self.name, self.distribution.in_words())?;
        let conditions = self.when.iter().map(|Condition { parent, values }| format!("{parent} = {}", json!(values)));
        let conditions: Vec<String> = conditions.collect();
        if !conditions.is_empty() {
            write!(f, ", when = {{ {} }}", conditions.join(", "))?;
        }
        write!(f, " }}")
    }
}

impl Parameter {
    /// A parameter that is always active.
    pub fn new(name: impl Into<String>, distribution: Distribution) -> Self {
        Self { name: name.into(), distribution, when: Vec::new() }
    }

    /// Name of the variable that holds the value in the environment of a program.
    pub fn variable(&self) -> String {
        let letter = |c: char| if c.is_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        format!("QGD_PARAM_{}", self.name.chars().map(letter).collect::<String>())
    }

    /// The same parameter with one more condition: it is active only where `parent` is active with one of `values`.
    #[must_use]
    pub fn when<V: Into<Value>>(mut self, parent: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.when.push(Condition { parent: parent.into(), values });
        self
    }
}

/// Inner values of all parameters, in the order of [`Space::parameters`]; None for one that is not active.
pub type Point = Vec<Option<f64>>;

/// The parameters of a study: parents before their children, otherwise in the order in which they were given.
///
/// ```
/// use qgd::tuner::{Distribution, Parameter, Space};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let space = Space::new([
///     Parameter::new("lr", Distribution::log_float(1e-5, 1e-1)),
///     Parameter::new("layers", Distribution::int(1, 3)),
///     Parameter::new("units_2", Distribution::log_int(8, 256)).when("layers", [2, 3]),
/// ])?;
/// let one_layer = space.fill(|_, parameter| parameter.distribution.from_unit(0.0));
/// assert_eq!(one_layer, [Some(1e-5), Some(1.0), None]);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    parameters: Vec<Parameter>,
    /// Conditions of each parameter: the index of a parent, and the values of it that make this one active.
    conditions: Vec<Vec<(usize, Vec<f64>)>>,
}

impl Space {
    /// Checks the parameters and puts parents first.
    ///
    /// # Errors
    /// When a name is empty or used twice, a range is empty or does not fit its scale, or a condition names a parameter
    /// that is not there, or that depends on this one.
    pub fn new(parameters: impl IntoIterator<Item = Parameter>) -> Result<Self, SpaceError> {
        let given: Vec<Parameter> = parameters.into_iter().collect();
        if given.is_empty() {
            return Err(SpaceError::NoParameters);
        }
        if given.len() > check::MAX_PARAMETERS {
            let (value, allowed) =
                (format!("{} tables", given.len()), format!("at most {} of them", check::MAX_PARAMETERS));
            return Err(SpaceError::OutOfRange { key: "params".into(), value, allowed });
        }
        given.iter().try_for_each(check::parameter)?;
        check::different(&given)?;
        let parameters = check::parents_first(given)?;
        let conditions = parameters.iter().map(|p| check::resolve(p, &parameters)).collect::<Result<_, _>>()?;
        Ok(Self { parameters, conditions })
    }

    /// The parameters, parents before their children.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Number of parameters, active or not.
    pub fn len(&self) -> usize {
        self.parameters.len()
    }

    /// False: a space has at least one parameter.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// Index of the parameter of that name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.parameters.iter().position(|parameter| parameter.name == name)
    }

    /// Whether any parameter has a condition.
    pub fn is_conditional(&self) -> bool {
        self.conditions.iter().any(|conditions| !conditions.is_empty())
    }

    /// Whether parameter `i` is active where the parameters before it are as in `point`.
    pub fn is_active(&self, i: usize, point: &[Option<f64>]) -> bool {
        self.conditions[i].iter().all(|(parent, values)| {
            let found = point.get(*parent).copied().flatten();
            found.is_some_and(|found| values.iter().any(|value| (value - found).abs() <= 0.0))
        })
    }

    /// A point that is made parameter by parameter: `choose` is asked for each active one, and its answer is moved to
    /// the nearest value that is allowed.
    pub fn fill(&self, mut choose: impl FnMut(usize, &Parameter) -> f64) -> Point {
        let mut point = Point::with_capacity(self.len());
        for (i, parameter) in self.parameters.iter().enumerate() {
            let active = self.is_active(i, &point);
            point.push(active.then(|| parameter.distribution.nearest(choose(i, parameter))));
        }
        point
    }

    /// A random point: every active parameter is drawn evenly on its own scale.
    pub(super) fn random_point(&self, rng: &mut ChaCha8Rng) -> Point {
        self.fill(|_, parameter| parameter.distribution.from_unit(rng.random()))
    }

    /// Whether `point` is a point of this space: exactly the active parameters have values, and all of these are
    /// allowed.
    pub fn contains(&self, point: &[Option<f64>]) -> bool {
        point.len() == self.len()
            && self.parameters.iter().enumerate().all(|(i, parameter)| match point[i] {
                Some(value) => self.is_active(i, point) && parameter.distribution.contains(value),
                None => !self.is_active(i, point),
            })
    }

    /// Values of the active parameters by name, as a user reads them.
    pub fn values(&self, point: &[Option<f64>]) -> BTreeMap<String, Value> {
        let active = self.parameters.iter().zip(point).filter_map(|(p, value)| Some((p, (*value)?)));
        active.map(|(p, value)| (p.name.clone(), p.distribution.value(value))).collect()
    }

    /// Inner values of the parameters that a user has fixed, in the order of the space; None for the others.
    ///
    /// # Errors
    /// When a name is not in the space, or its value is not allowed.
    pub fn partial(&self, fixed: &BTreeMap<String, Value>) -> Result<Point, SpaceError> {
        let mut point = vec![None; self.len()];
        for (name, value) in fixed {
            let unknown = || SpaceError::UnknownParameter { name: name.clone(), known: self.names() };
            let i = self.position(name).ok_or_else(unknown)?;
            let distribution = &self.parameters[i].distribution;
            let wrong = || SpaceError::key(name, "", value, distribution.allowed());
            point[i] = Some(distribution.inner(value).ok_or_else(wrong)?);
        }
        Ok(point)
    }

    /// Names of all parameters, for messages.
    pub fn names(&self) -> String {
        self.parameters.iter().map(|parameter| parameter.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Why a space cannot be made, or a value is not in it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// The text is not TOML.
    #[error("the space is no valid TOML: {message}")]
    NotToml {
        /// Message of the parser, with the line.
        message: String,
    },
    /// There is no parameter.
    #[error("`params` is empty, but must hold at least one [params.NAME]")]
    NoParameters,
    /// Two parameters have the same name.
    #[error("`params.{name}` is there twice, but every name may be used once")]
    Twice {
        /// Name of the parameter.
        name: String,
    },
    /// Two parameters have the same variable in the environment of a program.
    #[error(
        "`params.{name}` and `params.{other}` are both {variable} in the environment of a program: rename one of them"
    )]
    SameVariable {
        /// Name of a parameter.
        name: String,
        /// Name of the other one.
        other: String,
        /// Name of the variable.
        variable: String,
    },
    /// A value is out of its range.
    #[error("`{key}` is {value}, but must be {allowed}")]
    OutOfRange {
        /// Path of the key.
        key: String,
        /// Value that was found.
        value: String,
        /// Values that are allowed.
        allowed: String,
    },
    /// A key is missing.
    #[error("`{key}` is missing; it must be {allowed}")]
    MissingKey {
        /// Path of the key.
        key: String,
        /// Values that are allowed.
        allowed: String,
    },
    /// There is no such key.
    #[error("`{key}` is not a key here{}; known are {allowed}", meant(last_of(key), allowed.split(", ")))]
    UnknownKey {
        /// Path of the key.
        key: String,
        /// Keys that are possible.
        allowed: String,
    },
    /// A parameter is not in the space.
    #[error("there is no parameter `{name}`{}; the space has {known}", meant(name, known.split(", ")))]
    UnknownParameter {
        /// Name of the parameter.
        name: String,
        /// Names of all parameters of the space.
        known: String,
    },
    /// Parameters depend on each other in a circle.
    #[error("`params.{name}.when` goes round in a circle: {names}")]
    Cycle {
        /// Name of one of them.
        name: String,
        /// Names of all that could not be put in order.
        names: String,
    },
}

/// Last word of the path of a key.
fn last_of(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

impl SpaceError {
    pub(super) fn key(name: &str, key: &str, value: impl ToString, allowed: impl Into<String>) -> Self {
        let key = if key.is_empty() { format!("params.{name}") } else { format!("params.{name}.{key}") };
        Self::OutOfRange { key, value: value.to_string(), allowed: allowed.into() }
    }
}

#[cfg(test)]
mod tests;
