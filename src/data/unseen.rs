//! Rows that the net has not seen: they become inputs as those of the training data did.

use super::columns::Input;
use super::memory::Memory;
use super::preparation::{self, Code, ColumnPreparation, InputPreparation, Preparation, Scale, TargetPreparation};
use super::table::{NO_NAME, Names};
use super::{DataError, DataSpec, Format, Inputs, TableSpec, cell, cifar, idx, table, tsv};
use std::path::Path;

/// Rows to predict.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Inputs, prepared as those of the training were.
    pub inputs: Inputs,
    /// Targets that stand beside them, where they do: class numbers, or values in the units of the table.
    pub targets: Option<RowTargets>,
    /// Where each row stands: the number of its line, from 1, or that of the picture, from 0.
    pub places: Vec<u64>,
}

/// Targets of rows, as they stand in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum RowTargets {
    /// Class numbers.
    Classes(Vec<i64>),
    /// Values in the units of the table.
    Values(Vec<f64>),
}

impl Preparation {
    /// Reads the rows of a file, and prepares them as the training data were.
    ///
    /// A table may have the target column or lack it; with a header, its columns are found by name, in any order.
    /// `idx` is one file of pictures, `cifar` one of records, `tsv` lines of text, with labels or without. `spec` is
    /// that of the task; only its format and its memory limit are used.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold what the net was trained on.
    pub fn rows(&self, spec: &DataSpec, path: &Path) -> Result<Rows, DataError> {
        let mut memory = Memory::new(path, spec.max_memory_gb);
        match (&self.inputs, &spec.format) {
            (InputPreparation::Columns { columns, .. }, Format::Csv(table)) => {
                self.table(path, table, columns, &mut memory)
            }
            (InputPreparation::Words { words, length }, Format::Tsv { .. }) => {
                let tsv::Texts { ids, places, labels } = tsv::read_rows(path, words, *length, &mut memory)?;
                let targets = labels.map(|labels| self.classes(path, &labels, &places)).transpose()?;
                Ok(Rows { inputs: Inputs::Tokens { length: *length, ids }, targets, places })
            }
            (InputPreparation::Pictures { shape, channels }, Format::Idx { .. }) => {
                let (found, bytes) = idx::pictures(path, &mut memory)?;
                self.pictures(path, (shape, channels), (found, bytes, None), &mut memory)
            }
            (InputPreparation::Pictures { shape, channels }, Format::Cifar { .. }) => {
                let (bytes, labels) = cifar::pictures(path, &mut memory)?;
                self.pictures(path, (shape, channels), (cifar::SHAPE.to_vec(), bytes, Some(labels)), &mut memory)
            }
            (InputPreparation::Characters { .. }, _) => {
                Err(other_data(path, "rows".into(), "a text character by character, which has no rows".into()))
            }
            _ => Err(other_data(path, "of another format".into(), "data as the task file of the training says".into())),
        }
    }

    fn table(
        &self,
        path: &Path,
        spec: &TableSpec,
        columns: &[ColumnPreparation],
        memory: &mut Memory,
    ) -> Result<Rows, DataError> {
        let choose = |names: Option<&[String]>, n| columns_of(path, &self.inputs, names, n);
        let (table, labels) = table::load_rows(path, spec, memory, choose)?;
        let all: Vec<usize> = (0..table.lines.len()).collect();
        preparation::warn_of_new_names(path, columns, &table, &all);
        let inputs = preparation::apply(columns, &table, &all, memory)?;
        // A target column that is empty from the first row to the last holds no targets.
        let labels = labels.filter(|(_, labels)| labels.codes.iter().any(|code| *code != NO_NAME));
        let targets = labels.map(|labels| self.targets_of(path, spec, &labels, &table.lines)).transpose()?;
        Ok(Rows { inputs, targets, places: table.lines })
    }

    fn targets_of(
        &self,
        path: &Path,
        spec: &TableSpec,
        (place, labels): &(usize, Names),
        lines: &[u64],
    ) -> Result<RowTargets, DataError> {
        let column = place + 1;
        if let Some(row) = labels.codes.iter().position(|code| *code == NO_NAME) {
            let advice = "other rows have a target: give this one its own too, or empty the whole column";
            let (path, line, cell) = (path.into(), lines[row], String::new());
            return Err(DataError::NoValue { path, line, column, cell, advice });
        }
        let cells = labels.codes.iter().map(|code| labels.names[*code as usize].as_str()).zip(lines);
        if let TargetPreparation::Classes(_) = self.targets {
            let ids = cells.map(|(cell, line)| self.class_number(path, *line, cell)).collect::<Result<_, _>>()?;
            return Ok(RowTargets::Classes(ids));
        }
        let value = |(text, line): (&str, &u64)| {
            cell::number(text, spec.decimal).ok_or_else(|| DataError::NotANumber {
                path: path.into(),
                line: *line,
                column,
                cell: text.to_owned(),
                advice: "give every row a target, or none".to_owned(),
            })
        };
        Ok(RowTargets::Values(cells.map(value).collect::<Result<_, _>>()?))
    }

    fn classes(&self, path: &Path, labels: &[u32], places: &[u64]) -> Result<RowTargets, DataError> {
        let ids = labels.iter().zip(places).map(|(label, line)| self.class_number(path, *line, &label.to_string()));
        Ok(RowTargets::Classes(ids.collect::<Result<_, _>>()?))
    }

    fn class_number(&self, path: &Path, line: u64, class: &str) -> Result<i64, DataError> {
        /// Largest number of classes that an error names.
        const N_LISTED: usize = 20;
        let names = match &self.targets {
            TargetPreparation::Classes(names) => &names[..],
            TargetPreparation::Values(_) => &[],
        };
        names.iter().position(|name| name == class).map(|place| place as i64).ok_or_else(|| {
            let mut known = names.iter().take(N_LISTED).cloned().collect::<Vec<_>>().join(", ");
            if names.len() > N_LISTED {
                known += &format!(" and {} more", names.len() - N_LISTED);
            }
            DataError::NewClass { path: path.into(), line, class: class.to_owned(), known }
        })
    }

    fn pictures(
        &self,
        path: &Path,
        (shape, channels): (&[usize], &[Scale]),
        (found, bytes, labels): (Vec<usize>, Vec<u8>, Option<Vec<u32>>),
        memory: &mut Memory,
    ) -> Result<Rows, DataError> {
        if found != shape {
            return Err(other_data(path, format!("pictures of {found:?}"), format!("pictures of {shape:?}")));
        }
        let n = bytes.len() / shape.iter().product::<usize>().max(1);
        if n == 0 {
            return Err(DataError::Empty { path: path.into() });
        }
        let mut values = memory.vec(bytes.len())?;
        values.extend(bytes.into_iter().map(|byte| f32::from(byte) / 255.0));
        preparation::scale_groups(&mut values, channels, shape.iter().skip(1).product());
        let places: Vec<u64> = (0..n as u64).collect();
        let targets = labels.map(|labels| self.classes(path, &labels, &places)).transpose()?;
        Ok(Rows { inputs: Inputs::Float { shape: found, values }, targets, places })
    }
}

/// The input columns and the target of another file: by their names, or by their places, with or without the target.
fn columns_of(
    path: &Path,
    trained: &InputPreparation,
    names: Option<&[String]>,
    n_columns: usize,
) -> Result<(Vec<Input>, Option<usize>), DataError> {
    let InputPreparation::Columns { n_columns: n_trained, target, target_name, columns } = trained else {
        return Ok((Vec::new(), None));
    };
    // Several columns may have no name: then their places count.
    let is_unique = |names: &[String], name: &String| names.iter().filter(|found| *found == name).count() < 2;
    let place_of = |names: &[String], name: &String| names.iter().position(|found| found == name);
    let place = |column: &ColumnPreparation| match (names, &column.name) {
        (Some(names), Some(name)) if is_unique(names, name) => place_of(names, name).ok_or_else(|| {
            DataError::NoColumn { path: path.into(), column: format!("`{name}`"), allowed: names.join(", ") }
        }),
        _ if n_columns == *n_trained => Ok(column.place),
        _ if n_columns + 1 == *n_trained => Ok(column.place - usize::from(column.place > *target)),
        _ => Err(other_data(
            path,
            format!("rows of {n_columns} columns"),
            format!("rows of {n_trained} columns ({} without the target)", n_trained.saturating_sub(1)),
        )),
    };
    let input = |column: &ColumnPreparation| {
        let is_categorical = matches!(column.code, Code::Name { .. });
        Ok(Input { place: place(column)?, name: column.name.clone(), is_categorical })
    };
    let inputs = columns.iter().map(input).collect::<Result<_, DataError>>()?;
    let target = match (names, target_name) {
        (Some(names), Some(name)) if is_unique(names, name) => place_of(names, name),
        _ => (n_columns == *n_trained).then_some(*target),
    };
    Ok((inputs, target))
}

fn other_data(path: &Path, found: String, expected: String) -> DataError {
    DataError::OtherData { path: path.into(), found, expected }
}
