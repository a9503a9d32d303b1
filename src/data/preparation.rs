//! What is learned from the training split before the net is: means and deviations, names and classes.
//!
//! ```text
//! number     (x - mean) / deviation    mean and deviation (divided by n) over the training split, in double precision
//! name       0, ..., 1, ..., 0         one column for each name of the training split, in the order of the text
//! no value   the mean of the column, or the shares of its names; with `indicator` also a column of its own
//! ```
//!
//! A column counts as constant where its variance is no more than rounding makes of it; its deviation is 1 then. That
//! is the rule of scikit-learn (`_is_constant_feature`): var <= n eps var + (n mean eps)^2.

use super::columns::Input;
use super::memory::Memory;
use super::table::{Cells, NO_NAME, Names, Numbers, Table};
use super::{DataError, Inputs, Missing};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How examples become inputs of a net, and what its outputs mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    /// How examples become inputs.
    pub inputs: InputPreparation,
    /// What the outputs are.
    pub targets: TargetPreparation,
}

impl Default for Preparation {
    /// No columns and no classes: for data that no file holds.
    fn default() -> Self {
        let inputs = InputPreparation::Columns { n_columns: 0, target: 0, target_name: None, columns: Vec::new() };
        Self { inputs, targets: TargetPreparation::Classes(Vec::new()) }
    }
}

/// How examples become inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum InputPreparation {
    /// Tables: the input columns in the order of the file.
    Columns {
        /// Number of columns of the table, with the target and those that are not used.
        n_columns: usize,
        /// Place of the target in the file, from 0.
        target: usize,
        /// Name of the target in the header.
        target_name: Option<String>,
        /// Input columns.
        columns: Vec<ColumnPreparation>,
    },
    /// Pictures: a scale for each channel. Bytes are divided by 255 first.
    Pictures {
        /// Channels, height, width.
        shape: Vec<usize>,
        /// Scale of each channel.
        channels: Vec<Scale>,
    },
    /// Texts: the words from number 2 on.
    Words {
        /// Words by their numbers, less 2.
        words: Vec<String>,
        /// Number of words of an example.
        length: usize,
    },
    /// Characters.
    Characters {
        /// Characters by their numbers.
        alphabet: Vec<char>,
        /// Number of characters of an example.
        context: usize,
    },
}

/// What the outputs of the net are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TargetPreparation {
    /// Classes by their numbers: labels of a table, numbers elsewhere.
    Classes(Vec<String>),
    /// Numbers: an output is the target on this scale.
    Values(Scale),
}

/// How a column of a table becomes columns of the inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnPreparation {
    /// Name of the column in the header.
    pub name: Option<String>,
    /// Place of the column in the file, from 0.
    pub place: usize,
    /// How its cells are coded.
    pub code: Code,
}

/// How the cells of a column are coded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Code {
    /// A number.
    Number {
        /// Its scale.
        scale: Scale,
        /// Number in the place of no value: the mean of the training split.
        fill: f64,
        /// Whether a further column says where there was no value.
        has_indicator: bool,
    },
    /// A name.
    Name {
        /// Names of the training split, in the order of their text. Each is a column.
        names: Vec<String>,
        /// What these columns are where there is no value: the shares of the names.
        fill: Vec<f32>,
        /// Whether a further column says where there was no value; then `fill` is all 0.
        has_indicator: bool,
    },
}

/// A shift and a factor: a number becomes (number - mean) / deviation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Mean over the training split.
    pub mean: f64,
    /// Deviation over the training split, 1 where all numbers are the same.
    pub deviation: f64,
}

/// Added to a deviation above [`FLOOR_ABOVE`], as it always was: what was measured stays the same to the last bit.
const DEVIATION_FLOOR: f64 = 1e-8;
/// Below this deviation 1e-8 could be felt.
const FLOOR_ABOVE: f64 = 1e-3;

impl Scale {
    /// Leaves a number as it is.
    pub const NONE: Self = Self { mean: 0.0, deviation: 1.0 };

    /// Mean and deviation of these numbers.
    pub(super) fn of(numbers: impl Iterator<Item = f64> + Clone) -> Self {
        let n = numbers.clone().count().max(1) as f64;
        let mean = numbers.clone().sum::<f64>() / n;
        let variance = numbers.map(|number| (number - mean).powi(2)).sum::<f64>() / n;
        let rounding = n * f64::EPSILON * variance + (n * mean * f64::EPSILON).powi(2);
        let deviation = match variance.sqrt() {
            _ if variance <= rounding => 1.0,
            deviation if deviation > FLOOR_ABOVE => deviation + DEVIATION_FLOOR,
            deviation => deviation,
        };
        Self { mean, deviation }
    }

    /// The number on this scale.
    pub fn apply(self, number: f64) -> f32 {
        ((number - self.mean) / self.deviation) as f32
    }

    /// The number that is `scaled` on this scale.
    pub fn undo(self, scaled: f32) -> f64 {
        f64::from(scaled) * self.deviation + self.mean
    }
}

impl ColumnPreparation {
    /// Learns from the rows `train`.
    pub(super) fn fit(
        path: &Path,
        (input, cells): &(Input, Cells),
        train: &[usize],
        (standardize, missing): (bool, Missing),
    ) -> Result<Self, DataError> {
        let code = match cells {
            Cells::Numbers(numbers) => Code::of_numbers(numbers, train, standardize, missing),
            Cells::Names(names) => Code::of_names(names, train, missing),
        };
        let column = || input.name.as_ref().map_or(input.place.to_string(), |name| format!("{name:?}"));
        let code = code.ok_or_else(|| DataError::NoValues { path: path.into(), column: column() })?;
        Ok(Self { name: input.name.clone(), place: input.place, code })
    }

    /// Number of columns of the inputs that it becomes.
    pub fn width(&self) -> usize {
        match &self.code {
            Code::Number { has_indicator, .. } => 1 + usize::from(*has_indicator),
            Code::Name { names, has_indicator, .. } => names.len() + usize::from(*has_indicator),
        }
    }
}

impl Code {
    fn of_numbers(numbers: &Numbers, train: &[usize], standardize: bool, missing: Missing) -> Option<Self> {
        let present = train.iter().map(|row| numbers.get(*row)).filter(|number| !number.is_nan());
        let n_present = present.clone().count();
        let found = Scale::of(present);
        let scale = if standardize { found } else { Scale::NONE };
        let has_indicator = missing == Missing::Indicator && n_present < train.len();
        (n_present > 0).then_some(Self::Number { scale, fill: found.mean, has_indicator })
    }

    fn of_names(column: &Names, train: &[usize], missing: Missing) -> Option<Self> {
        let mut counts = BTreeMap::new();
        for code in train.iter().map(|row| column.codes[*row]).filter(|code| *code != NO_NAME) {
            *counts.entry(column.names[code as usize].as_str()).or_insert(0_usize) += 1;
        }
        let n_present: usize = counts.values().sum();
        let has_indicator = missing == Missing::Indicator && n_present < train.len();
        let share = |count: &usize| if has_indicator { 0.0 } else { (*count as f64 / n_present as f64) as f32 };
        let fill = counts.values().map(share).collect();
        let names = counts.keys().map(|name| (*name).to_owned()).collect();
        (n_present > 0).then_some(Self::Name { names, fill, has_indicator })
    }

    /// What the cell in this row becomes. `known` are the places among the names of each name of the column.
    fn push(&self, cells: &Cells, row: usize, known: &[Option<usize>], values: &mut Vec<f32>) {
        match (self, cells) {
            (Self::Number { scale, fill, has_indicator }, Cells::Numbers(numbers)) => {
                let number = numbers.get(row);
                values.push(scale.apply(if number.is_nan() { *fill } else { number }));
                if *has_indicator {
                    values.push(f32::from(number.is_nan()));
                }
            }
            (Self::Name { names, fill, has_indicator }, Cells::Names(column)) => {
                let code = column.codes[row];
                if code == NO_NAME {
                    values.extend(fill);
                } else {
                    let place = known[code as usize];
                    values.extend((0..names.len()).map(|i| f32::from(place == Some(i))));
                }
                if *has_indicator {
                    values.push(f32::from(code == NO_NAME));
                }
            }
            // The columns are read as this very code says.
            _ => (),
        }
    }

    /// The place among the names of the training split of each name of the column.
    fn known(&self, cells: &Cells) -> Vec<Option<usize>> {
        match (self, cells) {
            (Self::Name { names, .. }, Cells::Names(column)) => {
                column.names.iter().map(|name| names.binary_search(name).ok()).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The inputs of these rows, row-major.
pub(super) fn apply(
    columns: &[ColumnPreparation],
    table: &Table,
    rows: &[usize],
    memory: &mut Memory,
) -> Result<Inputs, DataError> {
    let width: usize = columns.iter().map(ColumnPreparation::width).sum();
    let mut values = memory.vec(width.saturating_mul(rows.len()))?;
    let known: Vec<_> =
        columns.iter().zip(&table.inputs).map(|(column, (_, cells))| column.code.known(cells)).collect();
    for row in rows {
        for ((column, (_, cells)), known) in columns.iter().zip(&table.inputs).zip(&known) {
            column.code.push(cells, *row, known, &mut values);
        }
    }
    Ok(Inputs::Float { shape: vec![width], values })
}

/// Tells the names in these rows that the training split does not have.
pub(super) fn warn_of_new_names(path: &Path, columns: &[ColumnPreparation], table: &Table, rows: &[usize]) {
    for (column, (_, cells)) in columns.iter().zip(&table.inputs) {
        let Cells::Names(found) = cells else { continue };
        let known = column.code.known(cells);
        let codes: BTreeSet<u32> = rows.iter().map(|row| found.codes[*row]).filter(|code| *code != NO_NAME).collect();
        let new: Vec<&str> = codes
            .into_iter()
            .filter(|code| known[*code as usize].is_none())
            .map(|code| found.names[code as usize].as_str())
            .collect();
        if !new.is_empty() {
            let name = column.name.clone().unwrap_or_else(|| column.place.to_string());
            tracing::warn!(
                "{}: column `{name}` has names that the training split does not have, and that are 0 in all its columns: {}",
                path.display(),
                some_of(&new)
            );
        }
    }
}

/// The first few names, and how many there are besides.
fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

/// Scales groups of values that take turns, with `run` values each time.
pub(super) fn scale_groups(values: &mut [f32], scales: &[Scale], run: usize) {
    for (part, scale) in values.chunks_exact_mut(run.max(1)).zip(scales.iter().cycle()) {
        part.iter_mut().for_each(|value| *value = scale.apply(f64::from(*value)));
    }
}

/// The scale of each group. The groups take turns in `values`, with `run` values each time.
pub(super) fn scales_of(values: &[f32], n_groups: usize, run: usize) -> Vec<Scale> {
    let group =
        |k: usize| values.chunks_exact(run.max(1)).skip(k).step_by(n_groups).flatten().map(|value| f64::from(*value));
    (0..n_groups).map(|k| Scale::of(group(k))).collect()
}
