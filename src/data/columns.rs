//! Which columns of a table are inputs, and which is the target.

use super::{Column, ColumnsProblem, DataError, TableSpec};
use std::path::Path;

/// Columns that are read.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    /// Place of the target.
    pub(super) target: usize,
    /// Inputs, in the order of the file.
    pub(super) inputs: Vec<Input>,
}

/// An input column.
#[derive(Debug, Clone)]
pub(super) struct Input {
    /// Its place in the file, from 0.
    pub(super) place: usize,
    /// Its name in the header.
    pub(super) name: Option<String>,
    /// Whether its cells are names.
    pub(super) is_categorical: bool,
}

/// The columns that the task wants, in a table with this header or this number of columns.
pub(super) fn choose(
    path: &Path,
    spec: &TableSpec,
    names: Option<&[String]>,
    n_columns: usize,
) -> Result<Chosen, DataError> {
    // Key of the task file that names each column.
    let mut keys: Vec<Option<&'static str>> = vec![None; n_columns];
    let mut name = |key: &'static str, column: &Column| {
        let place = place(path, column, names, n_columns)?;
        match keys[place].replace(key) {
            None => Ok(place),
            Some(first) => problem(path, ColumnsProblem::Twice { column: column.to_string(), first, second: key }),
        }
    };
    let target = name("target", &spec.target)?;
    for column in &spec.ignore {
        _ = name("ignore", column)?;
    }
    for column in spec.features.iter().flatten() {
        _ = name("features", column)?;
    }
    let is_input = |place: usize| match spec.features {
        Some(_) => keys[place] == Some("features"),
        None => keys[place].is_none(),
    };
    let mut is_categorical = vec![false; n_columns];
    for column in &spec.categorical {
        let place = place(path, column, names, n_columns)?;
        let column = column.to_string();
        match keys[place] {
            Some(first @ ("target" | "ignore")) => {
                return problem(path, ColumnsProblem::Twice { column, first, second: "categorical" });
            }
            _ if !is_input(place) => return problem(path, ColumnsProblem::NoFeature { column }),
            _ if std::mem::replace(&mut is_categorical[place], true) => {
                let (first, second) = ("categorical", "categorical");
                return problem(path, ColumnsProblem::Twice { column, first, second });
            }
            _ => (),
        }
    }
    let input = |place: usize| Input {
        place,
        name: names.map(|names| names[place].clone()),
        is_categorical: is_categorical[place],
    };
    let inputs: Vec<Input> = (0..n_columns).filter(|place| is_input(*place)).map(input).collect();
    if inputs.is_empty() {
        return problem(path, ColumnsProblem::NoInputs { columns: n_columns, ignored: spec.ignore.len() });
    }
    Ok(Chosen { target, inputs })
}

fn problem<T>(path: &Path, what: ColumnsProblem) -> Result<T, DataError> {
    Err(DataError::Columns { path: path.into(), what })
}

/// Place of a column, from 0.
fn place(path: &Path, column: &Column, names: Option<&[String]>, n_columns: usize) -> Result<usize, DataError> {
    let (found, allowed) = match column {
        Column::Name(name) => (
            names.and_then(|names| names.iter().position(|known| known == name)),
            names.map_or_else(String::new, |names| names.join(", ")),
        ),
        Column::Index(index) => {
            let place = if *index < 0 { index.saturating_add(n_columns as i64) } else { *index };
            (
                usize::try_from(place).ok().filter(|place| *place < n_columns),
                format!("{n_columns} columns, numbered 0 to {}", n_columns.saturating_sub(1)),
            )
        }
    };
    found.ok_or_else(|| DataError::NoColumn { path: path.into(), column: column.to_string(), allowed })
}

/// The names in a header: each but the empty one stands once.
pub(super) fn check_names(path: &Path, line: u64, names: &[String]) -> Result<(), DataError> {
    let mut seen = std::collections::BTreeMap::new();
    for (place, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        if let Some(first) = seen.insert(name, place) {
            let (name, first, second) = (name.clone(), first + 1, place + 1);
            return Err(DataError::TwinNames { path: path.into(), line, name, first, second });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(list: &[&str]) -> Vec<Column> {
        list.iter().map(|text| text.parse().map_or_else(|_| Column::Name((*text).to_owned()), Column::Index)).collect()
    }

    fn chosen(
        target: &str,
        features: Option<&[&str]>,
        ignore: &[&str],
        categorical: &[&str],
    ) -> Result<Vec<usize>, String> {
        let names = ["id", "x", "color", "y"].map(str::to_owned);
        let spec = TableSpec {
            header: true,
            target: columns(&[target]).remove(0),
            features: features.map(columns),
            ignore: columns(ignore),
            categorical: columns(categorical),
            ..TableSpec::default()
        };
        let found = choose(Path::new("t.csv"), &spec, Some(&names), 4).map_err(|error| error.to_string())?;
        let named = found.inputs.iter().filter(|input| input.is_categorical).count();
        assert_eq!(named, categorical.len());
        Ok(found.inputs.iter().map(|input| input.place).collect())
    }

    #[test]
    fn inputs_are_all_columns_but_the_target_unless_a_key_says_otherwise() {
        assert_eq!(chosen("y", None, &[], &[]), Ok(vec![0, 1, 2]));
        assert_eq!(chosen("-1", None, &["id", "-2"], &[]), Ok(vec![1]));
        assert_eq!(chosen("0", Some(&["y", "1"]), &[], &[]), Ok(vec![1, 3]));
        assert_eq!(chosen("y", None, &["id"], &["color"]), Ok(vec![1, 2]));
        assert_eq!(chosen("y", Some(&["x", "color"]), &["id"], &["2"]), Ok(vec![1, 2]));
    }

    #[test]
    fn a_column_that_two_keys_want_is_refused_with_both() {
        let cases = [
            (chosen("y", None, &["y"], &[]), "`y` stands in `target` and in `ignore`"),
            (chosen("y", Some(&["x", "3"]), &[], &[]), "3 stands in `target` and in `features`"),
            (chosen("y", Some(&["x"]), &["x"], &[]), "`x` stands in `ignore` and in `features`"),
            (chosen("y", Some(&["x", "1"]), &[], &[]), "1 stands in `features` and in `features`"),
            (chosen("y", None, &["color"], &["color"]), "`color` stands in `ignore` and in `categorical`"),
            (chosen("y", None, &[], &["y"]), "`y` stands in `target` and in `categorical`"),
            (chosen("y", None, &[], &["color", "2"]), "2 stands in `categorical` and in `categorical`"),
            (chosen("y", Some(&["x"]), &[], &["color"]), "`color` stands in `categorical`, but not in `features`"),
            (chosen("y", None, &["0", "1", "2"], &[]), "no column is left"),
            (chosen("y", Some(&[]), &[], &[]), "no column is left"),
            (chosen("y", None, &["colour"], &[]), "no column `colour`; there are id, x, color, y"),
        ];
        for (found, says) in cases {
            let error = found.expect_err(says);
            assert!(error.contains(says), "{error}");
        }
    }
}
