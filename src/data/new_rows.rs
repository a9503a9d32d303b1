//! New rows for a trained net: in the format that it was trained on, with targets or without.

use super::csv::{self, Row};
use super::{DataError, DataSpec, Fitted, Format, Inputs, TargetKind, Targets, cifar, idx, read, tsv};
use std::path::{Path, PathBuf};

/// Largest number of classes that an error names.
const N_LISTED: usize = 20;
/// Largest number of words of all texts together, those for padding included: 2 GiB. Chosen by us.
const MAX_WORDS: usize = 1 << 28;

/// Rows to predict.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Inputs, prepared as those of the training were.
    pub inputs: Inputs,
    /// Targets that stand beside them, where they do: class numbers, or values in the units of the table.
    pub targets: Option<Targets>,
    /// Where each row stands: the number of its line, from 1, or that of the picture, from 0.
    pub places: Vec<u64>,
}

/// Rows that a net cannot be asked about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowsError {
    /// The file cannot be read, or a cell is not what it must be.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A line with too few or too many cells.
    #[error(
        "{}, line {line}: {found} columns, but the net was trained on {inputs} (or {with_target}, with the target among them)",
        path.display()
    )]
    Width {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// Number of cells on it.
        found: usize,
        /// Number of columns that the net reads.
        inputs: usize,
        /// The same with the target.
        with_target: usize,
    },
    /// A line that is shorter or longer than the first.
    #[error("{}, line {line}: {found} columns, but the first line has {expected}", path.display())]
    Uneven {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// Number of cells on it.
        found: usize,
        /// Number of cells on the first line.
        expected: usize,
    },
    /// A column that the net reads is missing, or one is there twice, or one that it does not know.
    #[error("{}, line {line}: column `{column}` {what}; the net was trained on {known}", path.display())]
    Column {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line of the header, from 1.
        line: u64,
        /// Name of the column.
        column: String,
        /// What is wrong with it.
        what: &'static str,
        /// Columns of the training, the target among them.
        known: String,
    },
    /// A target that is none of the classes of the training.
    #[error("{}, line {line}: class `{class}` did not occur in the training; the net knows {known}", path.display())]
    Class {
        /// Name of the file.
        path: PathBuf,
        /// Number of the line or the picture.
        line: u64,
        /// Name that was found.
        class: String,
        /// Names of the classes.
        known: String,
    },
    /// Pictures of another size.
    #[error("{}: pictures of {found:?}, but the net was trained on {expected:?}", path.display())]
    Pictures {
        /// Name of the file.
        path: PathBuf,
        /// Channels, height and width.
        found: Vec<usize>,
        /// Channels, height and width of the training.
        expected: Vec<usize>,
    },
    /// More texts than are held in memory.
    #[error("{}: {texts} texts of {length} words are too many at once: ask about at most {allowed} texts at a time", path.display())]
    TooMany {
        /// Name of the file.
        path: PathBuf,
        /// Number of texts.
        texts: usize,
        /// Number of words of each.
        length: usize,
        /// Largest number of texts of that length.
        allowed: usize,
    },
    /// A format without rows.
    #[error(
        "`data.format` is \"chars\": a text that is predicted character by character has no rows; \
         prediction is for csv, idx, cifar and tsv"
    )]
    NoRows,
}

/// Reads rows for a net that was trained on data of this kind, and prepares them as the training's were.
///
/// A table may have the target column or lack it. With a header the columns are found by their names, in any order.
/// `idx` is one file of pictures, `cifar` one of records, `tsv` lines of text, with a label in front or without.
///
/// # Errors
/// When the file cannot be read or holds other rows than the net was trained on.
pub fn rows(path: &Path, spec: &DataSpec, fitted: &Fitted) -> Result<Rows, RowsError> {
    let mut rows = match &spec.format {
        Format::Csv { delimiter, header, .. } => table(path, *delimiter, *header, fitted)?,
        Format::Idx { .. } => pictures(path, idx::pictures(path)?, None, fitted)?,
        Format::Cifar { .. } => {
            let (values, ids) = cifar::records(path)?;
            pictures(path, (vec![3, 32, 32], values), Some(ids), fitted)?
        }
        Format::Tsv { .. } => texts(path, fitted)?,
        Format::Chars { .. } => return Err(RowsError::NoRows),
    };
    if rows.places.is_empty() {
        return Err(DataError::TooFew { path: path.into(), found: 0, needed: 1 }.into());
    }
    if let Inputs::Float { values, .. } = &mut rows.inputs {
        fitted.standardize(values);
    }
    Ok(rows)
}

/// Where the columns of the training stand in these rows.
struct Places {
    inputs: Vec<usize>,
    target: Option<usize>,
}

fn table(path: &Path, delimiter: char, header: bool, fitted: &Fitted) -> Result<Rows, RowsError> {
    let mut lines = csv::rows(path, delimiter)?;
    let names = if header && !lines.is_empty() { Some(lines.remove(0)) } else { None };
    let places = match (&names, lines.first()) {
        (Some(names), _) => by_name(path, names, fitted)?,
        (None, Some(first)) => by_count(path, first, fitted)?,
        (None, None) => Places { inputs: Vec::new(), target: None },
    };
    let width = places.inputs.len() + usize::from(places.target.is_some());
    let mut values = Vec::with_capacity(lines.len() * places.inputs.len());
    let mut answers = Vec::new();
    for (line, row) in &lines {
        if row.len() != width {
            let (path, line, found) = (path.into(), *line, row.len());
            return Err(RowsError::Uneven { path, line, found, expected: width });
        }
        for column in &places.inputs {
            values.push(csv::number(path, *line, *column, row.get(*column).unwrap_or_default())?);
        }
        answers.extend(places.target.map(|column| (*line, column, row.get(column).unwrap_or_default())));
    }
    Ok(Rows {
        inputs: Inputs::Float { shape: fitted.shape.clone(), values },
        targets: targets(path, &answers, fitted)?,
        places: lines.iter().map(|(line, _)| *line).collect(),
    })
}

fn by_count(path: &Path, (line, row): &Row, fitted: &Fitted) -> Result<Places, RowsError> {
    let (inputs, found) = (fitted.shape[0], row.len());
    let target = fitted.preparation.names.target;
    if found == inputs + 1 && target <= inputs {
        return Ok(Places { inputs: (0..found).filter(|column| *column != target).collect(), target: Some(target) });
    }
    if found == inputs {
        return Ok(Places { inputs: (0..found).collect(), target: None });
    }
    Err(RowsError::Width { path: path.into(), line: *line, found, inputs, with_target: inputs + 1 })
}

fn by_name(path: &Path, (line, names): &Row, fitted: &Fitted) -> Result<Places, RowsError> {
    let wrong = |column: &str, what| RowsError::Column {
        path: path.into(),
        line: *line,
        column: column.to_owned(),
        what,
        known: fitted.preparation.names.columns.join(", "),
    };
    for (place, name) in names.iter().enumerate() {
        if !fitted.preparation.names.columns.iter().any(|known| known == name) {
            return Err(wrong(name, "is none of the training"));
        }
        if names.iter().take(place).any(|former| former == name) {
            return Err(wrong(name, "stands in the header twice"));
        }
    }
    let place = |name: &str| names.iter().position(|found| found == name);
    let mut places = Places { inputs: Vec::new(), target: None };
    for (column, name) in fitted.preparation.names.columns.iter().enumerate() {
        match place(name) {
            found if column == fitted.preparation.names.target => places.target = found,
            Some(found) => places.inputs.push(found),
            None => return Err(wrong(name, "is missing")),
        }
    }
    Ok(places)
}

/// Targets of a table. A target column that is empty from the first row to the last holds none.
fn targets(path: &Path, answers: &[(u64, usize, &str)], fitted: &Fitted) -> Result<Option<Targets>, RowsError> {
    if answers.iter().all(|(_, _, cell)| cell.is_empty()) {
        return Ok(None);
    }
    Ok(Some(match fitted.kind {
        TargetKind::Values => {
            let values = answers.iter().map(|(line, column, cell)| csv::number(path, *line, *column, cell));
            Targets::Values { per_example: 1, values: values.collect::<Result<_, _>>()? }
        }
        TargetKind::Classes => {
            let ids = answers.iter().map(|(line, _, cell)| class(path, *line, cell, fitted));
            Targets::Classes { per_example: 1, ids: ids.collect::<Result<_, _>>()? }
        }
    }))
}

fn class(path: &Path, line: u64, name: &str, fitted: &Fitted) -> Result<i64, RowsError> {
    let known = || {
        let names =
            (0..fitted.n_outputs.min(N_LISTED)).map(|number| fitted.class(number)).collect::<Vec<_>>().join(", ");
        if fitted.n_outputs > N_LISTED { format!("{} classes: {names}, ...", fitted.n_outputs) } else { names }
    };
    let number = fitted.class_number(name).map(|number| number as i64);
    number.ok_or_else(|| RowsError::Class { path: path.into(), line, class: name.to_owned(), known: known() })
}

fn pictures(
    path: &Path,
    (shape, values): (Vec<usize>, Vec<u8>),
    ids: Option<Vec<i64>>,
    fitted: &Fitted,
) -> Result<Rows, RowsError> {
    if shape != fitted.shape {
        return Err(RowsError::Pictures { path: path.into(), found: shape, expected: fitted.shape.clone() });
    }
    let n = values.len() / shape.iter().product::<usize>().max(1);
    let values = values.into_iter().map(|byte| f32::from(byte) / 255.0).collect();
    for (picture, id) in (0..).zip(ids.iter().flatten()) {
        class(path, picture, &id.to_string(), fitted)?;
    }
    Ok(Rows {
        inputs: Inputs::Float { shape, values },
        targets: ids.map(|ids| Targets::Classes { per_example: 1, ids }),
        places: (0..n as u64).collect(),
    })
}

fn texts(path: &Path, fitted: &Fitted) -> Result<Rows, RowsError> {
    let length = fitted.shape[0];
    let text = read::text(path)?;
    let lines: Vec<(u64, &str)> = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty()).collect();
    let labeled = lines.first().is_some_and(|(_, line)| line.contains('\t'));
    let allowed = MAX_WORDS / length;
    if lines.len() > allowed {
        return Err(RowsError::TooMany { path: path.into(), texts: lines.len(), length, allowed });
    }
    // A word that stood in the training's texts only behind their cut has no place in the embedding.
    let n_words = fitted.n_tokens.saturating_sub(tsv::N_SPECIAL).min(fitted.preparation.names.words.len());
    let (numbers, last) = (tsv::numbers(&fitted.preparation.names.words[..n_words]), fitted.n_tokens as i64 - 1);
    let (mut ids, mut labels) = (Vec::with_capacity(lines.len() * length), Vec::new());
    for &(line, row) in &lines {
        let text = if labeled {
            let (label, text) = tsv::cells(path, line, row)?;
            labels.push(class(path, line, &label.to_string(), fitted)?);
            text
        } else if row.contains('\t') {
            let found = row.matches('\t').count() + 1;
            return Err(RowsError::Uneven { path: path.into(), line, found, expected: 1 });
        } else {
            row
        };
        ids.extend(tsv::encode(&text.to_lowercase(), &numbers, length).map(|id| id.min(last)));
    }
    Ok(Rows {
        inputs: Inputs::Tokens { length, ids },
        targets: labeled.then_some(Targets::Classes { per_example: 1, ids: labels }),
        places: lines.iter().map(|(line, _)| *line).collect(),
    })
}
