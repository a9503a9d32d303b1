//! What a table says that its owner can hardly mean: refused where it would be learned wrongly, told where it may be meant.

use super::table::{Cells, Names, Table, Target};
use super::{ClassesProblem, DataError, TableSpec, TargetKind, cell};
use std::path::Path;

/// Looks at a table that was read as the task says.
pub(super) fn check(
    path: &Path,
    spec: &TableSpec,
    kind: Option<TargetKind>,
    (table, target): (&Table, &Target),
) -> Result<(), DataError> {
    tell_names_of_one_number(path, spec, table);
    let Cells::Names(labels) = &target.cells else { return Ok(()) };
    check_first_row(path, spec, table, labels)?;
    if kind.is_none() {
        check_regression(path, target.place, labels)?;
    }
    check_writing(path, spec, table, labels)?;
    if labels.names.len() == labels.codes.len() && labels.names.len() > 2 {
        tracing::warn!("{}: every row has a class of its own, as ids have; is it the right target?", path.display());
    }
    Ok(())
}

/// Refuses a first row that names the columns: of names alone, each of which stands in its column once. Where the inputs are
/// numbers, it is only told that the class of the first row has no other.
fn check_first_row(path: &Path, spec: &TableSpec, table: &Table, labels: &Names) -> Result<(), DataError> {
    let repeats = labels.names.len() < labels.codes.len();
    let class = labels.only_in_first_row(spec.decimal).filter(|_| repeats && !spec.header && !spec.says_header);
    let Some(class) = class else { return Ok(()) };
    let line = table.lines.first().copied().unwrap_or(1);
    let is_name = |cells: &Cells| match cells {
        Cells::Names(names) => names.only_in_first_row(spec.decimal).is_some(),
        Cells::Numbers(_) => false,
    };
    if table.inputs.iter().all(|(_, cells)| is_name(cells)) {
        return Err(DataError::StrayHeader { path: path.into(), line });
    }
    tracing::warn!(
        "{}, line {line}: no other row has the class `{class}`; if this line names the columns, say `header = true`",
        path.display()
    );
    Ok(())
}

/// Refuses labels that look like the targets of a regression.
fn check_regression(path: &Path, place: usize, labels: &Names) -> Result<(), DataError> {
    let numbers: Option<Vec<f64>> =
        labels.names.iter().map(|name| cell::number(name, '.').or(cell::number(name, ','))).collect();
    let Some(numbers) = numbers else { return Ok(()) };
    let (classes, examples) = (numbers.len(), labels.codes.len());
    let broken = numbers.iter().position(|number| number.fract().abs() > 0.0);
    // Whole numbers too, where they are many and few rows share one.
    let many = (classes > 20 && examples < 5 * classes).then_some(0);
    match broken.or(many) {
        None => Ok(()),
        Some(example) => {
            let (column, example) = (place + 1, labels.names[example].clone());
            let what = ClassesProblem::Regression { column, classes, examples, example };
            Err(DataError::Classes { path: path.into(), what })
        }
    }
}

/// Refuses labels that are one number and would be two classes.
fn check_writing(path: &Path, spec: &TableSpec, table: &Table, labels: &Names) -> Result<(), DataError> {
    let Some(codes) = labels.of_one_number(spec.decimal) else { return Ok(()) };
    let name = |code: usize| (labels.names[code].clone(), table.lines[labels.first_row(code)]);
    let ((first, first_line), (second, second_line)) = (name(codes.0), name(codes.1));
    let what = ClassesProblem::OneNumber { first, first_line, second, second_line };
    Err(DataError::Classes { path: path.into(), what })
}

/// Tells the same of categorical columns, where `1` and `01` may be two codes.
fn tell_names_of_one_number(path: &Path, spec: &TableSpec, table: &Table) {
    for (input, cells) in &table.inputs {
        let Cells::Names(names) = cells else { continue };
        let Some((first, second)) = names.of_one_number(spec.decimal) else { continue };
        let line = |code| table.lines[names.first_row(code)];
        tracing::warn!(
            "{}, column {}: `{}` (line {}) and `{}` (line {}) are one number, but count as two names; write them alike \
             where they are not meant to differ",
            path.display(),
            input.place + 1,
            names.names[first],
            line(first),
            names.names[second],
            line(second)
        );
    }
}
