//! Text that names a sampler or a pruner: `NAME`, or `NAME:option=value,option=value`. One that reads a file takes it
//! as an option without a name: `NAME:FILE`.

use crate::words::meant;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Names of a table of names and sentences.
pub(super) const fn first_of_each<const N: usize>(table: [(&'static str, &'static str); N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut i = 0;
    while i < N {
        names[i] = table[i].0;
        i += 1;
    }
    names
}

/// Name and options of a sampler or a pruner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Name: the text before the colon.
    pub name: String,
    /// Option without a name.
    plain: Option<String>,
    options: BTreeMap<String, String>,
    asked: Vec<&'static str>,
}

impl Spec {
    /// Reads a text.
    ///
    /// # Errors
    /// When an option is given twice.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let mut spec = Self { name: name.into(), plain: None, options: BTreeMap::new(), asked: Vec::new() };
        for piece in rest.split(',').filter(|piece| !piece.is_empty()) {
            let before = match piece.split_once('=') {
                Some((key, value)) => spec.options.insert(key.trim().into(), value.trim().into()),
                None => spec.plain.replace(piece.into()),
            };
            if before.is_some() {
                return Err(SpecError::Twice { name: spec.name, option: piece.into() });
            }
        }
        Ok(spec)
    }

    /// The option without a name.
    pub fn plain(&mut self) -> Option<String> {
        self.plain.take()
    }

    /// The option `key`, or `default` where it is not given. `holds` says which values are `allowed`.
    ///
    /// # Errors
    /// When it cannot be read as a `T`, or `holds` refuses it.
    pub fn option<T: FromStr>(
        &mut self,
        key: &'static str,
        default: T,
        allowed: &str,
        holds: impl Fn(&T) -> bool,
    ) -> Result<T, SpecError> {
        self.asked.push(key);
        let Some(text) = self.options.remove(key) else { return Ok(default) };
        let wrong = || self.wrong(key, &text, allowed);
        text.parse().ok().filter(holds).ok_or_else(wrong)
    }

    /// The option `key`, a whole number in `range`.
    ///
    /// # Errors
    /// When it is none.
    pub fn whole<T: FromStr + Display + PartialOrd>(
        &mut self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
    ) -> Result<T, SpecError> {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        self.option(key, default, &allowed, |n| range.contains(n))
    }

    /// The error for an option whose value is not allowed.
    pub fn wrong(&self, key: &str, value: impl Display, allowed: impl Into<String>) -> SpecError {
        let (name, key, value) = (self.name.clone(), key.to_owned(), value.to_string());
        SpecError::OutOfRange { name, key, value, allowed: allowed.into() }
    }

    /// Called when all options have been read.
    ///
    /// # Errors
    /// When one is left that was not asked for.
    pub fn finish(self) -> Result<(), SpecError> {
        let Some(option) = self.options.into_keys().next().or(self.plain) else { return Ok(()) };
        let known = if self.asked.is_empty() { "none".into() } else { self.asked.join(", ") };
        Err(SpecError::UnknownOption { name: self.name, option, known })
    }
}

/// Why a sampler or a pruner cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// There is no sampler or pruner of this name.
    #[error("there is no {what} `{name}`{}; there are {known}", meant(name, known.split(", ")))]
    UnknownName {
        /// "sampler" or "pruner".
        what: &'static str,
        /// Name that was given.
        name: String,
        /// All names.
        known: String,
    },
    /// There is no such option.
    #[error("`{name}` has no option `{option}`{}; its options: {known}", meant(option, known.split(", ")))]
    UnknownOption {
        /// Name of the sampler or pruner.
        name: String,
        /// Name of the option.
        option: String,
        /// Names of all its options.
        known: String,
    },
    /// An option is given more than once.
    #[error("`{name}` is given `{option}` after another of that name, but each option may be there once")]
    Twice {
        /// Name of the sampler or pruner.
        name: String,
        /// Text of the second one.
        option: String,
    },
    /// An option has a value that is not allowed.
    #[error("`{key}` of `{name}` is {value}, but must be {allowed}")]
    OutOfRange {
        /// Name of the sampler or pruner.
        name: String,
        /// Name of the option.
        key: String,
        /// Value of the option.
        value: String,
        /// Values that are allowed.
        allowed: String,
    },
    /// The sampler or pruner is not made for such a study.
    #[error("`{name}` needs {needs}; this study has {found}")]
    Unsuitable {
        /// Name of the sampler or pruner.
        name: String,
        /// What the study would need.
        needs: String,
        /// What the study has.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_what_is_left_is_refused() {
        let mut spec = Spec::parse("tpe:n=5,file.qgd,gamma=0.5").unwrap();
        assert_eq!(spec.name, "tpe");
        assert_eq!(spec.option("n", 10, "at least 1", |&n: &usize| n >= 1), Ok(5));
        assert_eq!(spec.option("m", 10, "at least 1", |&n: &usize| n >= 1), Ok(10));
        assert_eq!(spec.plain(), Some("file.qgd".into()));
        let error = spec.finish().unwrap_err().to_string();
        assert!(error.contains("gamma") && error.contains("n, m"), "{error}");
    }

    #[test]
    fn a_value_that_is_not_allowed_is_named() {
        let mut spec = Spec::parse("tpe:n=0").unwrap();
        let error = spec.option("n", 10, "at least 1", |&n: &usize| n >= 1).unwrap_err().to_string();
        assert!(["tpe", "n", "0", "at least 1"].iter().all(|needle| error.contains(needle)), "{error}");
        assert!(Spec::parse("tpe:n=1,n=2").is_err());
    }
}
