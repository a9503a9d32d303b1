//! A look at a table before anybody has said what it holds: what stands between its cells, whether it has a header, what is in
//! its columns. `qgd init` writes a task file from it.

use super::{DataError, read};
use ::csv::{ReaderBuilder, StringRecord, Trim};
use std::collections::BTreeSet;
use std::path::Path;

/// What can stand between cells. The earlier one wins where two fit equally well.
const DELIMITERS: [char; 5] = [',', ';', '\t', '|', ' '];
/// Number of first lines by which the delimiter is found.
const FIRST_LINES: usize = 200;
/// What stands in a cell whose value is missing, in small letters.
const MISSING: [&str; 6] = ["", "na", "nan", "n/a", "null", "?"];

/// What a table seems to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// Character between cells.
    pub delimiter: char,
    /// Whether the first line names the columns.
    pub header: bool,
    /// Whether numbers are written with a comma: `1,5`.
    pub decimal_comma: bool,
    /// Number of rows, without the header.
    pub n_rows: usize,
    /// Columns from left to right; at least two.
    pub columns: Vec<Column>,
}

/// What a column seems to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Name in the header.
    pub name: Option<String>,
    /// Values, of which there may be none.
    pub values: Values,
    /// Number of cells without a value.
    pub n_missing: usize,
    /// Line of the first cell without a value, from 1.
    pub first_missing: Option<u64>,
    /// Different values, as they are written.
    pub different: BTreeSet<String>,
}

/// Kind of the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Whole numbers.
    Whole,
    /// Numbers.
    Numbers,
    /// Words, or numbers and words.
    Words,
}

/// What is known of a table already; the rest is found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints {
    /// Character between cells.
    pub delimiter: Option<char>,
    /// Whether the first line names the columns.
    pub header: Option<bool>,
}

type Row = (u64, Vec<String>);

impl Survey {
    /// Reads a table and looks at all of it.
    ///
    /// # Errors
    /// When it cannot be read, has no rows, or has a row of another length than the first.
    pub fn of(path: &Path, hints: Hints) -> Result<Self, DataError> {
        let text = read::text(path)?;
        let delimiter = hints.delimiter.unwrap_or_else(|| delimiter(&text));
        let mut rows =
            rows(&text, delimiter, usize::MAX).map_err(|source| DataError::Table { path: path.into(), source })?;
        let n_columns = rows.first().map_or(0, |(_, row)| row.len());
        if let Some((line, row)) = rows.iter().find(|(_, row)| row.len() != n_columns || n_columns < 2) {
            let (line, found, expected) = (*line, row.len(), n_columns.max(2));
            return Err(DataError::ColumnCount { path: path.into(), line, found, expected });
        }
        let decimal_comma = delimiter != ',' && writes_commas(&rows);
        let header = hints.header.unwrap_or_else(|| has_header(&rows, decimal_comma));
        let names = if header && !rows.is_empty() { Some(rows.remove(0).1) } else { None };
        if rows.is_empty() {
            return Err(DataError::TooFew { path: path.into(), found: 0, needed: 1 });
        }
        let name = |place: usize| names.as_ref().map(|names| names[place].clone());
        let columns = (0..n_columns).map(|place| column(&rows, place, name(place), decimal_comma)).collect();
        Ok(Self { delimiter, header, decimal_comma, n_rows: rows.len(), columns })
    }
}

/// The rows of a table that are not blank, at most `limit`.
fn rows(text: &str, delimiter: char, limit: usize) -> Result<Vec<Row>, ::csv::Error> {
    let blank = |row: &Row| row.1.iter().all(String::is_empty);
    if delimiter == ' ' {
        let cells = |line: &str| line.split_whitespace().map(|cell| cell.trim_matches('"').to_owned()).collect();
        let rows = (1..).zip(text.lines()).map(|(number, line)| (number, cells(line)));
        return Ok(rows.filter(|row| !blank(row)).take(limit).collect());
    }
    let mut builder = ReaderBuilder::new();
    builder.delimiter(u8::try_from(delimiter).unwrap_or(b',')).has_headers(false).flexible(true).trim(Trim::All);
    let mut reader = builder.from_reader(text.as_bytes());
    let row = |record: StringRecord| {
        (record.position().map_or(0, ::csv::Position::line), record.iter().map(str::to_owned).collect())
    };
    let rows = reader.records().map(|record| record.map(row));
    rows.filter(|row| !row.as_ref().is_ok_and(blank)).take(limit).collect()
}

/// The character that cuts the first lines into the same number of cells, at least two, and into the most numbers.
fn delimiter(text: &str) -> char {
    let mut best = (DELIMITERS[0], [0.0, 0.0]);
    for candidate in DELIMITERS {
        let Ok(rows) = rows(text, candidate, FIRST_LINES) else { continue };
        let n_columns = rows.first().map_or(0, |(_, row)| row.len());
        if n_columns < 2 {
            continue;
        }
        let comma = candidate != ',' && writes_commas(&rows);
        let equal = rows.iter().filter(|(_, row)| row.len() == n_columns).count() as f64 / rows.len() as f64;
        let cells = || rows.iter().flat_map(|(_, row)| row);
        let n_numbers = cells().filter(|cell| number(cell, comma).is_some() || is_missing(cell)).count();
        let score = [equal, n_numbers as f64 / cells().count() as f64];
        if score > best.1 {
            best = (candidate, score);
        }
    }
    best.0
}

/// Whether numbers are written with a comma: some cells are numbers only then.
fn writes_commas(rows: &[Row]) -> bool {
    let count = |comma| rows.iter().flat_map(|(_, row)| row).filter(|cell| number(cell, comma).is_some()).count();
    count(true) > count(false)
}

/// Whether the first row names the columns: it has no number and no name twice, and is not like the rows below.
fn has_header(rows: &[Row], decimal_comma: bool) -> bool {
    let Some(((_, first), rest)) = rows.split_first() else { return false };
    let names: BTreeSet<&String> = first.iter().collect();
    let words = first.iter().all(|cell| number(cell, decimal_comma).is_none());
    let differs = |place: usize| {
        let below = || rest.iter().map(|(_, row)| &row[place]).filter(|cell| !is_missing(cell));
        below().all(|cell| number(cell, decimal_comma).is_some()) || below().all(|cell| *cell != first[place])
    };
    !rest.is_empty() && words && names.len() == first.len() && (0..first.len()).all(differs)
}

fn column(rows: &[Row], place: usize, name: Option<String>, decimal_comma: bool) -> Column {
    let missing = || rows.iter().filter(|(_, row)| is_missing(&row[place]));
    let there = || rows.iter().map(|(_, row)| &row[place]).filter(|cell| !is_missing(cell));
    let number = |cell: &String| number(cell, decimal_comma);
    let values = if there().any(|cell| number(cell).is_none()) {
        Values::Words
    } else if there().filter_map(number).all(|value| value.fract() == 0.0) {
        Values::Whole
    } else {
        Values::Numbers
    };
    let first_missing = missing().next().map(|(line, _)| *line);
    Column { name, values, n_missing: missing().count(), first_missing, different: there().cloned().collect() }
}

fn is_missing(cell: &str) -> bool {
    MISSING.iter().any(|missing| cell.eq_ignore_ascii_case(missing))
}

/// The finite number that a cell holds.
fn number(cell: &str, decimal_comma: bool) -> Option<f64> {
    let text = if decimal_comma { cell.replace(',', ".") } else { cell.to_owned() };
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(text: &str) -> Survey {
        with(text, Hints::default()).unwrap()
    }

    fn with(text: &str, hints: Hints) -> Result<Survey, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        Survey::of(&path, hints)
    }

    #[test]
    fn the_delimiter_is_the_one_that_cuts_all_lines_alike() {
        for (text, delimiter, n_columns) in [
            ("a,b\n1,2\n3,4\n", ',', 2),
            ("a;b;c\n1;2;3\n", ';', 3),
            ("1\t2\n3\t4\n", '\t', 2),
            ("1|2\n3|4\n", '|', 2),
            ("  1   2\n 10  20\n", ' ', 2),
            ("\"x, y\";2\n\"z, w, v\";3\n", ';', 2),
            ("note;n\n\"a;b\";1\n\"c\";2\n", ';', 2),
            // Decimal commas: a comma would cut all lines alike too, but not into numbers.
            ("1,5;2,5\n3,5;4,5\n", ';', 2),
            ("red apple,1\ngreen pear,2\n", ',', 2),
        ] {
            let found = survey(text);
            assert_eq!((found.delimiter, found.columns.len()), (delimiter, n_columns), "{text}");
        }
        assert_eq!(with("1;2\n3;4\n", Hints { delimiter: Some(';'), header: None }).unwrap().columns.len(), 2);
        assert!(survey("1,5;2,5\n3,5;4,5\n").decimal_comma && !survey("1;2\n3;4\n").decimal_comma);
    }

    #[test]
    fn a_header_has_no_numbers_and_is_not_like_the_rows_below() {
        for (text, header) in [
            ("a,b\n1,2\n", true),
            ("1,2\n3,4\n", false),
            ("5.1,setosa\n4.9,setosa\n", false),
            ("length,species\n5.1,setosa\n4.9,setosa\n", true),
            ("x,yes\ny,no\nx,no\n", false),
            ("color,answer\nred,no\nblue,yes\n", true),
            ("a,a\n1,2\n", false),
            ("a,2019\n1,2\n", false),
            ("a,b\n", false),
        ] {
            assert_eq!(survey(text).header, header, "{text}");
        }
        assert!(with("1,2\n3,4\n", Hints { delimiter: None, header: Some(true) }).unwrap().header);
    }

    #[test]
    fn columns_are_told_apart_and_missing_cells_are_counted_with_their_line() {
        let found = survey("id,size,color,class\n1,1.5,red,a\n2,,blue,b\n\n3,NA,red,a\n4,2.5,?,b\n");
        assert_eq!(found.n_rows, 4);
        let kinds: Vec<Values> = found.columns.iter().map(|column| column.values).collect();
        assert_eq!(kinds, [Values::Whole, Values::Numbers, Values::Words, Values::Words]);
        let missing: Vec<_> = found.columns.iter().map(|column| (column.n_missing, column.first_missing)).collect();
        assert_eq!(missing, [(0, None), (2, Some(3)), (1, Some(6)), (0, None)]);
        assert_eq!(found.columns[3].different.len(), 2);
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_place() {
        for (text, says) in
            [("", "0 examples"), ("a,b\n1,2\n3\n", "line 3: 1 columns"), ("one\ntwo\n", "line 1: 1 columns")]
        {
            let error = with(text, Hints::default()).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let only_header = with("a,b\n", Hints { delimiter: None, header: Some(true) });
        assert!(matches!(only_header, Err(DataError::TooFew { .. })));
    }
}
