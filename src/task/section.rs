//! One table of a task file, read key by key, so that every error names its key.

use super::{TaskError, ValueError};
use std::path::Path;
use toml::{Table, Value};

pub(super) struct Section<'a> {
    file: &'a Path,
    name: String,
    table: Table,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// A section; `name` is the name of its table, empty for the file itself.
    pub(super) fn new(file: &'a Path, name: impl Into<String>, table: Table) -> Self {
        Self { file, name: name.into(), table, known: Vec::new() }
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Takes out the value of `key`, which is a known key from now on.
    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key)
    }

    pub(super) fn wrong(&self, key: &str, value: &Value, allowed: &str) -> TaskError {
        let source = ValueError::new(&self.path_of(key), value, allowed);
        TaskError::OutOfRange { file: self.file.into(), source }
    }

    pub(super) fn missing(&self, key: &str, allowed: &str) -> TaskError {
        TaskError::MissingKey { file: self.file.into(), key: self.path_of(key), allowed: allowed.to_owned() }
    }

    /// Reads `key` with `convert`, which returns `None` for a value that is not `allowed`.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, TaskError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        convert(&value).map(Some).ok_or_else(|| self.wrong(key, &value, allowed))
    }

    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, TaskError> {
        self.optional(key, allowed, convert)?.ok_or_else(|| self.missing(key, allowed))
    }

    /// Reads `key`, whose value must be one of a few names. `None` if the key is missing.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, names: &[(&str, T)]) -> Result<Option<T>, TaskError> {
        let allowed = names.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        self.optional(key, &format!("one of {allowed}"), |value| {
            let found = value.as_str()?;
            names.iter().find(|(name, _)| *name == found).map(|(_, choice)| *choice)
        })
    }

    /// Refuses a key that nothing has read.
    pub(super) fn finish(self) -> Result<(), TaskError> {
        let Some(key) = self.table.keys().next() else { return Ok(()) };
        Err(TaskError::UnknownKey { file: self.file.into(), key: self.path_of(key), allowed: self.known.join(", ") })
    }
}

pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

pub(super) fn float(value: &Value) -> Option<f64> {
    // Whole numbers up to 2^53 are exact, and nobody asks for a larger lr.
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

pub(super) fn count(value: &Value) -> Option<usize> {
    value.as_integer().and_then(|whole| usize::try_from(whole).ok())
}

pub(super) fn list<T>(value: &Value, item: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(item).collect()
}
