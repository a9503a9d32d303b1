//! Space files: a space as TOML.

use super::{Condition, Parameter, Space, SpaceError};
use crate::tuner::direction::Direction;
use crate::tuner::distribution::{Distribution, Value};
use serde_json::Value as Json;
use toml::{Table, Value as Toml};

/// A space with the directions of its study, as a `space.toml` has them.
///
/// ```
/// use qgd::tuner::{Direction, SpaceFile};
///
/// let file = SpaceFile::parse(r#"
///     direction = "minimize"           # or directions = ["minimize", "maximize"]
///
///     [params.lr]
///     type = "float"
///     low = 1e-5
///     high = 1e-1
///     log = true
///
///     [params.layers]
///     type = "int"
///     low = 1
///     high = 3
///
///     [params.skip]                    # only there with two layers or more
///     type = "categorical"
///     choices = ["none", "add"]
///     when = { layers = [2, 3] }
/// "#)?;
/// assert_eq!(file.directions, [Direction::Minimize]);
/// assert_eq!(file.space.names(), "layers, lr, skip");
/// # Ok::<(), qgd::tuner::SpaceError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SpaceFile {
    /// The space, its parameters by name.
    pub space: Space,
    /// Direction of each objective.
    pub directions: Vec<Direction>,
}

impl SpaceFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// When it is no TOML, a key is missing, unknown or has a value that is not allowed; see [`Space::new`] too.
    pub fn parse(text: &str) -> Result<Self, SpaceError> {
        let table =
            text.parse::<Table>().map_err(|error| SpaceError::NotToml { message: one_line(&error.to_string()) })?;
        let mut keys = Keys { path: String::new(), table };
        keys.only(&["direction", "directions", "params"])?;
        let directions = directions(&mut keys)?;
        let params = keys.required("params", "a table [params.NAME] for each parameter", |v| v.as_table().cloned())?;
        let parameters =
            params.into_iter().map(|(name, value)| parameter(name, value)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { space: Space::new(parameters)?, directions })
    }
}

/// The message of the TOML parser on one line, without the marks below the text that it quotes.
fn one_line(message: &str) -> String {
    message.split_whitespace().filter(|word| !matches!(*word, "|" | "^")).collect::<Vec<_>>().join(" ")
}

fn directions(keys: &mut Keys) -> Result<Vec<Direction>, SpaceError> {
    let names = "\"minimize\" or \"maximize\"";
    let one = keys.optional("direction", names, direction)?;
    let list = |value: &Toml| {
        value.as_array()?.iter().map(direction).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
    };
    let several = keys.optional("directions", &format!("a list of {names}"), list)?;
    match (one, several) {
        (Some(_), Some(_)) => Err(keys.wrong("directions", "there with `direction`", "absent: give one of the two")),
        (one, several) => Ok(several.unwrap_or(vec![one.unwrap_or(Direction::Minimize)])),
    }
}

fn direction(value: &Toml) -> Option<Direction> {
    match value.as_str()? {
        "minimize" => Some(Direction::Minimize),
        "maximize" => Some(Direction::Maximize),
        _ => None,
    }
}

fn parameter(name: String, value: Toml) -> Result<Parameter, SpaceError> {
    let Toml::Table(table) = value else {
        return Err(SpaceError::key(&name, "", value, "a table with `type` and what belongs to it"));
    };
    let mut keys = Keys { path: format!("params.{name}."), table };
    keys.only(match keys.table.get("type").and_then(Toml::as_str) {
        Some("float" | "int") => &["type", "low", "high", "log", "step", "when"],
        Some("categorical") => &["type", "choices", "when"],
        _ => &["type", "low", "high", "log", "step", "choices", "when"],
    })?;
    let types = "one of \"float\", \"int\", \"categorical\"";
    let kind = keys.required("type", types, |value| value.as_str().map(str::to_owned))?;
    let distribution = match kind.as_str() {
        "float" => Distribution::Float {
            low: keys.required("low", "a number", number)?,
            high: keys.required("high", "a number", number)?,
            log: keys.optional("log", "true or false", Toml::as_bool)?.unwrap_or(false),
            step: keys.optional("step", "a number", number)?,
        },
        "int" => Distribution::Int {
            low: keys.required("low", "a whole number", Toml::as_integer)?,
            high: keys.required("high", "a whole number", Toml::as_integer)?,
            log: keys.optional("log", "true or false", Toml::as_bool)?.unwrap_or(false),
            step: keys.optional("step", "a whole number", Toml::as_integer)?.unwrap_or(1),
        },
        "categorical" => {
            let choices = |value: &Toml| value.as_array()?.iter().map(choice).collect::<Option<Vec<_>>>();
            let allowed = "a list of words, numbers, true or false, or of lists and tables of these";
            Distribution::Categorical { choices: keys.required("choices", allowed, choices)? }
        }
        other => return Err(keys.wrong("type", format!("{other:?}"), types)),
    };
    let conditions = keys.optional("when", "a table: { PARENT = [VALUES] }", |value| value.as_table().cloned())?;
    let when = conditions.unwrap_or_default().into_iter().map(|(parent, values)| condition(&name, parent, &values));
    Ok(Parameter { when: when.collect::<Result<_, _>>()?, name, distribution })
}

fn condition(name: &str, parent: String, values: &Toml) -> Result<Condition, SpaceError> {
    let list = values.as_array().map_or(std::slice::from_ref(values), Vec::as_slice);
    let read = list.iter().map(choice).collect::<Option<Vec<_>>>();
    let wrong =
        || SpaceError::key(name, &format!("when.{parent}"), values, "a value of that parameter, or a list of them");
    Ok(Condition { values: read.ok_or_else(wrong)?, parent })
}

fn number(value: &Toml) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

fn choice(value: &Toml) -> Option<Value> {
    match value {
        Toml::String(text) => Some(Value::Text(text.clone())),
        Toml::Integer(whole) => Some(Value::Int(*whole)),
        Toml::Float(number) => Some(Value::Float(*number)),
        Toml::Boolean(truth) => Some(Value::Bool(*truth)),
        Toml::Array(_) | Toml::Table(_) => json(value).map(Value::Other),
        Toml::Datetime(_) => None,
    }
}

/// A list or a table as JSON; None where it holds what JSON does not have.
fn json(value: &Toml) -> Option<Json> {
    Some(match value {
        Toml::String(text) => text.as_str().into(),
        Toml::Integer(whole) => (*whole).into(),
        Toml::Float(number) => Json::Number(serde_json::Number::from_f64(*number)?),
        Toml::Boolean(truth) => (*truth).into(),
        Toml::Array(list) => Json::Array(list.iter().map(json).collect::<Option<_>>()?),
        Toml::Table(table) => {
            let pair = |(key, value): (&String, &Toml)| Some((key.clone(), json(value)?));
            Json::Object(table.iter().map(pair).collect::<Option<_>>()?)
        }
        Toml::Datetime(_) => return None,
    })
}

/// A table that is read key by key, so that every error names the path of its key.
struct Keys {
    /// Path of the table; it ends with a dot unless it is empty.
    path: String,
    table: Table,
}

impl Keys {
    fn wrong(&self, key: &str, value: impl ToString, allowed: &str) -> SpaceError {
        SpaceError::OutOfRange { key: format!("{}{key}", self.path), value: value.to_string(), allowed: allowed.into() }
    }

    fn optional<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        read: impl Fn(&Toml) -> Option<T>,
    ) -> Result<Option<T>, SpaceError> {
        let Some(value) = self.table.remove(key) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| self.wrong(key, &value, allowed))
    }

    fn required<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        read: impl Fn(&Toml) -> Option<T>,
    ) -> Result<T, SpaceError> {
        let missing = SpaceError::MissingKey { key: format!("{}{key}", self.path), allowed: allowed.into() };
        self.optional(key, allowed, read)?.ok_or(missing)
    }

    /// Refuses a key that is none of `known`. Before the first is read: a key may be missing because it is misspelt.
    fn only(&self, known: &[&str]) -> Result<(), SpaceError> {
        let unknown = self.table.keys().find(|key| !known.contains(&key.as_str()));
        unknown.map_or(Ok(()), |key| {
            Err(SpaceError::UnknownKey { key: format!("{}{key}", self.path), allowed: known.join(", ") })
        })
    }
}
