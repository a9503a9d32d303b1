//! Tables: every column holds numbers, except the target in classification, which may be any text.
//!
//! Classes are numbered in the order of their names as text, so "10" comes before "2".

use super::{Column, DataError, Names, Raw, RawInputs, TargetKind, Targets, read};
use ::csv::{ReaderBuilder, StringRecord, Trim};
use std::collections::BTreeSet;
use std::path::Path;

pub(super) fn load(
    path: &Path,
    delimiter: char,
    header: bool,
    target: &Column,
    kind: TargetKind,
) -> Result<Raw, DataError> {
    let mut rows = rows(path, delimiter)?;
    let names = if header && !rows.is_empty() { Some(rows.remove(0).1) } else { None };
    let n_columns = names.as_ref().or(rows.first().map(|(_, row)| row)).map_or(0, StringRecord::len);
    let target = target_column(path, target, names.as_ref(), n_columns)?;
    let mut values = Vec::with_capacity(rows.len() * n_columns);
    let mut answers = Vec::with_capacity(rows.len());
    for (line, row) in &rows {
        if row.len() != n_columns || n_columns < 2 {
            let expected = n_columns.max(2);
            return Err(DataError::ColumnCount { path: path.into(), line: *line, found: row.len(), expected });
        }
        for (column, cell) in row.iter().enumerate() {
            if column == target {
                answers.push((*line, cell));
            } else {
                values.push(number(path, *line, column, cell)?);
            }
        }
    }
    let inputs = RawInputs::Float { shape: vec![n_columns.saturating_sub(1)], values };
    let names = Names {
        columns: names.iter().flatten().map(str::to_owned).collect(),
        target,
        classes: if kind == TargetKind::Classes { classes(&answers) } else { Vec::new() },
        words: Vec::new(),
    };
    Ok(Raw { inputs, targets: targets(path, kind, target, &answers, &names.classes)?, names })
}

/// Cells of every line that is not blank, with the number of the line.
pub(super) fn rows(path: &Path, delimiter: char) -> Result<Vec<Row>, DataError> {
    if delimiter == ' ' { by_white_space(path) } else { by_delimiter(path, delimiter) }
}

pub(super) type Row = (u64, StringRecord);

fn by_delimiter(path: &Path, delimiter: char) -> Result<Vec<Row>, DataError> {
    let text = read::text(path)?;
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter as u8)
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let rows = reader.records().map(|record| record.map(|row| (row.position().map_or(0, ::csv::Position::line), row)));
    let blank = |row: &StringRecord| row.iter().all(str::is_empty);
    let rows = rows.filter(|row| !row.as_ref().is_ok_and(|(_, row)| blank(row)));
    rows.collect::<Result<_, _>>().map_err(|source| DataError::Table { path: path.into(), source })
}

fn by_white_space(path: &Path) -> Result<Vec<Row>, DataError> {
    let text = read::text(path)?;
    let cells = |line: &str| line.split_whitespace().map(|cell| cell.trim_matches('"')).collect::<StringRecord>();
    let rows = (1..).zip(text.lines()).map(|(number, line)| (number, cells(line)));
    Ok(rows.filter(|(_, row)| !row.is_empty()).collect())
}

fn target_column(
    path: &Path,
    target: &Column,
    names: Option<&StringRecord>,
    n_columns: usize,
) -> Result<usize, DataError> {
    let missing = |column: String, allowed: String| DataError::NoColumn { path: path.into(), column, allowed };
    match target {
        Column::Name(name) => {
            let known = || names.map_or_else(String::new, |names| names.iter().collect::<Vec<_>>().join(", "));
            let place = names.and_then(|names| names.iter().position(|found| found == name));
            place.ok_or_else(|| missing(format!("`{name}`"), known()))
        }
        Column::Index(index) => {
            let n = n_columns as i64;
            let place = if *index < 0 { index.saturating_add(n) } else { *index };
            let found = usize::try_from(place).ok().filter(|place| *place < n_columns);
            found.ok_or_else(|| missing(index.to_string(), format!("{n_columns} columns, numbered 0 to {}", n - 1)))
        }
    }
}

pub(super) fn number(path: &Path, line: u64, column: usize, cell: &str) -> Result<f32, DataError> {
    let wrong = || DataError::NotANumber { path: path.into(), line, column: column + 1, cell: cell.to_owned() };
    cell.parse().ok().filter(|number: &f32| number.is_finite()).ok_or_else(wrong)
}

/// Names of the classes, in the order of their numbers.
fn classes(answers: &[(u64, &str)]) -> Vec<String> {
    let names: BTreeSet<&str> = answers.iter().map(|(_, cell)| *cell).collect();
    names.into_iter().map(str::to_owned).collect()
}

fn targets(
    path: &Path,
    kind: TargetKind,
    column: usize,
    answers: &[(u64, &str)],
    classes: &[String],
) -> Result<Targets, DataError> {
    match kind {
        TargetKind::Values => {
            let values =
                answers.iter().map(|(line, cell)| number(path, *line, column, cell)).collect::<Result<_, _>>()?;
            Ok(Targets::Values { per_example: 1, values })
        }
        TargetKind::Classes => {
            let id = |cell: &str| classes.partition_point(|known| known.as_str() < cell) as i64;
            Ok(Targets::Classes { per_example: 1, ids: answers.iter().map(|(_, cell)| id(cell)).collect() })
        }
    }
}
