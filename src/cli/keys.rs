//! Parameters that replace the keys of a task file.
//!
//! A parameter has the name of the key that it replaces: any key of `[train]`, and of `[net]` `activation`, `dropout`,
//! `l1`, `batch_norm`, `embedding`, `heads`, `layers` of a transformer and `blocks` of a resnet. A list of sizes is made of
//! several parameters: `layers` times `units` is `hidden`, `blocks` times `filters` is `channels` (of a resnet there are as
//! many as in the file), and `units_2` or `filters_2` is the second entry alone. Everything else is as in the file.

use super::failure::Failure;
use super::setting;
use anyhow::{Context, Result, anyhow, bail};
use qgd::rng::fnv1a;
use qgd::shipped;
use qgd::task::TaskSpec;
use qgd::tuner::{Distribution, Parameter, Space, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value as Toml};

const TRAIN: [&str; 6] = ["optimizer", "conditioning", "lr", "weight_decay", "batch_size", "steps"];
const NET: [&str; 6] = ["activation", "dropout", "l1", "batch_norm", "embedding", "heads"];
/// Kinds of nets of which a number of layers or blocks is a key itself, and makes no list of sizes.
const OWN_COUNTS: [(&str, &str); 2] = [("transformer", "layers"), ("resnet", "blocks")];

/// Lists of sizes in `[net]`: the key, the parameter that is the number of entries, and the one that is their size.
const LISTS: [(&str, &str, &str); 2] = [("hidden", "layers", "units"), ("channels", "blocks", "filters")];

/// Largest number of layers, far beyond those of nets that train.
const MAX_LAYERS: i64 = 1000;

/// A task file whose keys parameters may replace.
pub struct Keys {
    table: Table,
    file: PathBuf,
}

impl Keys {
    /// Reads a task file, which must be a good one as it is.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let file = setting::task(file)?.file;
        let text = shipped::text(&file).with_context(|| file.display().to_string())?;
        Ok(Self { table: text.parse().map_err(Failure::bad_input)?, file })
    }

    /// Text that identifies the task: the name of the file, and a hash of its content.
    pub fn name(&self) -> String {
        let stem = self.file.file_stem().unwrap_or_default().to_string_lossy();
        format!("task {stem} {:016x}", fnv1a(self.table.to_string().as_bytes()))
    }

    /// Checks that every parameter is a key, and its choices or bounds are values that the key may have with any values
    /// of the others.
    pub fn check(&self, space: &Space) -> Result<(), Failure> {
        let ends = |distribution: &Distribution| match distribution {
            Distribution::Categorical { choices } => choices.clone(),
            numbers => [1.0, 0.0].map(|unit| numbers.value(numbers.from_unit(unit))).to_vec(),
        };
        let wrong = |name: &str, error: anyhow::Error| Failure::BadInput(error.context(format!("`params.{name}`")));
        // Only a list of sizes is made of several parameters.
        let mut of_lists = BTreeMap::new();
        for Parameter { name, distribution, .. } in space.parameters() {
            if self.section_of(name).map_err(|error| wrong(name, error))?.is_none() {
                of_lists.extend(ends(distribution).into_iter().next().map(|end| (name.clone(), end)));
            }
        }
        for Parameter { name, distribution, .. } in space.parameters() {
            for end in ends(distribution) {
                let mut params = if of_lists.contains_key(name) { of_lists.clone() } else { BTreeMap::new() };
                params.insert(name.clone(), end);
                self.task(&params).map_err(|error| wrong(name, error))?;
            }
        }
        Ok(())
    }

    /// The task with these parameters.
    pub fn task(&self, params: &BTreeMap<String, Value>) -> Result<TaskSpec> {
        let mut table = self.table.clone();
        for (name, value) in params {
            if let Some(section) = self.section_of(name)? {
                table_of(&mut table, section)?.insert(name.clone(), toml_of(value));
            }
        }
        let net = table_of(&mut table, "net")?;
        for (key, count, size) in LISTS {
            let count = Some(count).filter(|count| !self.is_own_count(count));
            if let Some(list) = sizes(net.get(key), params, count, size)? {
                net.insert(key.into(), list);
            }
        }
        Ok(TaskSpec::parse(&table.to_string(), &self.file)?)
    }

    /// Whether a number of layers or blocks is a key of this kind of net.
    fn is_own_count(&self, name: &str) -> bool {
        let kind = self.table.get("net").and_then(|net| net.get("kind")).and_then(Toml::as_str);
        OWN_COUNTS.iter().any(|(of, count)| kind == Some(*of) && name == *count)
    }

    /// Table of the key that a parameter replaces; None where the parameter belongs to a list of sizes.
    fn section_of(&self, name: &str) -> Result<Option<&'static str>> {
        let about_list =
            LISTS.iter().any(|(_, count, size)| [*count, *size].contains(&name) || is_numbered(name, size));
        match name {
            _ if TRAIN.contains(&name) => Ok(Some("train")),
            _ if NET.contains(&name) || self.is_own_count(name) => Ok(Some("net")),
            _ if about_list => Ok(None),
            _ => {
                let lists =
                    ["layers", "units", "units_1, units_2, ...", "blocks", "filters", "filters_1, filters_2, ..."];
                bail!("a task has no such key; there are {}", [&TRAIN[..], &NET, &lists].concat().join(", "))
            }
        }
    }
}

/// Whether a parameter is the size of one layer, as `units_2`, counted from 1.
fn is_numbered(name: &str, size: &str) -> bool {
    let number = name.strip_prefix(size).and_then(|rest| rest.strip_prefix('_'));
    number.is_some_and(|number| !number.starts_with('0') && number.parse::<usize>().is_ok())
}

fn table_of<'t>(table: &'t mut Table, name: &str) -> Result<&'t mut Table> {
    table.get_mut(name).and_then(Toml::as_table_mut).ok_or_else(|| anyhow!("there is no table [{name}]"))
}

fn toml_of(value: &Value) -> Toml {
    match value {
        Value::Bool(truth) => Toml::Boolean(*truth),
        Value::Int(whole) => Toml::Integer(*whole),
        Value::Float(number) => Toml::Float(*number),
        Value::Text(text) => Toml::String(text.clone()),
        // No key has such values: they are refused by name.
        Value::Null | Value::Other(_) => Toml::String(value.to_string()),
    }
}

/// A list of sizes; None where no parameter belongs to it. An entry without a parameter is as in the file, and beyond
/// its end as the last there. Where no parameter is the `count`, it is that of the file.
fn sizes(
    file: Option<&Toml>,
    params: &BTreeMap<String, Value>,
    count: Option<&str>,
    size: &str,
) -> Result<Option<Toml>> {
    if !params.keys().any(|name| Some(name.as_str()) == count || name == size || is_numbered(name, size)) {
        return Ok(None);
    }
    let of_file: Vec<i64> = file.and_then(Toml::as_array).into_iter().flatten().filter_map(Toml::as_integer).collect();
    let n = count.map(|count| whole(params, count)).transpose()?.flatten().unwrap_or(of_file.len() as i64);
    if !(0..=MAX_LAYERS).contains(&n) {
        bail!("`{}` is {n}, but must be from 0 to {MAX_LAYERS}", count.unwrap_or(size));
    }
    let one = |i: usize| {
        let own = whole(params, &format!("{size}_{}", i + 1))?.or(whole(params, size)?);
        let known = own.or(of_file.get(i).or(of_file.last()).copied());
        known.map(Toml::Integer).with_context(|| format!("nothing says how large layer {} is: give `{size}`", i + 1))
    };
    Ok(Some(Toml::Array((0..n as usize).map(one).collect::<Result<_>>()?)))
}

fn whole(params: &BTreeMap<String, Value>, name: &str) -> Result<Option<i64>> {
    match params.get(name) {
        None => Ok(None),
        Some(Value::Int(whole)) => Ok(Some(*whole)),
        Some(other) => bail!("`{name}` is {other}, but must be a whole number"),
    }
}
