//! A look at a table before anybody has said what it holds: what stands between its cells, whether it has a header, what is in
//! its columns. `qgd init` writes a task file from it.

mod oddity;

pub use oddity::Oddity;

use super::cell::{self, is_missing};
use super::memory::Memory;
use super::records::{Record, Records};
use super::{DataError, advice, columns, read};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

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
    /// Different values, as they are written, with the number of cells of each.
    pub different: BTreeMap<String, usize>,
    /// What keeps a column of words, or some of its cells, from being numbers, with a cell that shows it.
    pub oddity: Option<(Oddity, String)>,
    /// Two values that are one number, written in two ways.
    pub one_number: Option<(String, String)>,
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
        let text = read::text(path, &mut Memory::new(path, None))?;
        let found = || advice::delimiter(&text).map_or(',', |(delimiter, _)| delimiter);
        let delimiter = hints.delimiter.unwrap_or_else(found);
        let mut rows = rows(path, &text, delimiter)?;
        let Some((line, first)) = rows.first() else {
            return Err(DataError::NoRows { path: path.into(), header: false });
        };
        let (line, n_columns) = (*line, first.len());
        if n_columns < 2 {
            return Err(DataError::OneColumn { path: path.into(), line, delimiter });
        }
        if let Some((line, row)) = rows.iter().find(|(_, row)| row.len() != n_columns) {
            let (line, found) = (*line, row.len());
            return Err(DataError::ColumnCount { path: path.into(), line, found, expected: n_columns });
        }
        let decimal_comma = delimiter != ',' && writes_commas(&rows);
        let header = hints.header.unwrap_or_else(|| has_header(&rows, decimal_comma));
        let names = if header { Some(rows.remove(0).1) } else { None };
        if rows.is_empty() {
            return Err(DataError::NoRows { path: path.into(), header: true });
        }
        names.iter().try_for_each(|names| columns::check_names(path, line, names))?;
        let name = |place: usize| names.as_ref().map(|names| names[place].clone());
        let columns = (0..n_columns).map(|place| column(&rows, place, name(place), decimal_comma)).collect();
        Ok(Self { delimiter, header, decimal_comma, n_rows: rows.len(), columns })
    }
}

/// The rows of a table that are not blank.
fn rows(path: &Path, text: &str, delimiter: char) -> Result<Vec<Row>, DataError> {
    let (mut records, mut record, mut rows) = (Records::new(path, text, delimiter), Record::default(), Vec::new());
    while records.read(&mut record)? {
        rows.push((record.line, record.cells().map(str::to_owned).collect()));
    }
    Ok(rows)
}

/// Whether numbers are written with a comma: some cells are numbers only then.
fn writes_commas(rows: &[Row]) -> bool {
    let count = |comma| rows.iter().flat_map(|(_, row)| row).filter(|cell| number(cell, comma).is_some()).count();
    count(true) > count(false)
}

/// Whether the first row names the columns: it has no number, and is not like the rows below. A name that stands twice is
/// one only where there are numbers below.
fn has_header(rows: &[Row], decimal_comma: bool) -> bool {
    let Some(((_, first), rest)) = rows.split_first() else { return false };
    let names: BTreeSet<&String> = first.iter().collect();
    let words = first.iter().all(|cell| number(cell, decimal_comma).is_none());
    let below = |place: usize| rest.iter().map(move |(_, row)| &row[place]).filter(|cell| !is_missing(cell));
    let is_numbers = |place: usize| below(place).all(|cell| number(cell, decimal_comma).is_some());
    let differs = |place: usize| is_numbers(place) || below(place).all(|cell| *cell != first[place]);
    words && (names.len() == first.len() || (0..first.len()).any(is_numbers)) && (0..first.len()).all(differs)
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
    let mut different = BTreeMap::new();
    for cell in there() {
        *different.entry(cell.clone()).or_insert(0) += 1;
    }
    let decimal = if decimal_comma { ',' } else { '.' };
    let (oddity, one_number) = (oddity(&different, decimal), one_number(&different, decimal));
    Column { name, values, n_missing: missing().count(), first_missing, different, oddity, one_number }
}

/// What the odd cells are in a column that has nothing but numbers besides.
fn oddity(different: &BTreeMap<String, usize>, decimal: char) -> Option<(Oddity, String)> {
    let mut found = None;
    for cell in different.keys() {
        match Oddity::of(cell, decimal) {
            Some(oddity) => found = found.or(Some((oddity, cell.clone()))),
            None => _ = cell::number(cell, decimal)?,
        }
    }
    found
}

fn one_number(different: &BTreeMap<String, usize>, decimal: char) -> Option<(String, String)> {
    let mut known = BTreeMap::new();
    let numbers = different.keys().filter_map(|cell| Some((cell::number_bits(cell, decimal)?, cell)));
    let twins = numbers.filter_map(|(number, cell)| Some((known.insert(number, cell)?, cell)));
    twins.map(|(first, second)| (first.clone(), second.clone())).next()
}

/// The number that a cell holds.
fn number(cell: &str, decimal_comma: bool) -> Option<f64> {
    cell::number(cell, if decimal_comma { ',' } else { '.' })
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
            ("a,2019\n1,2\n", false),
            ("x,x\ny,z\nx,y\n", false),
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
        assert_eq!(
            found.columns[3].different.iter().map(|(name, n)| (name.as_str(), *n)).collect::<Vec<_>>(),
            [("a", 2), ("b", 2)]
        );
    }

    #[test]
    fn odd_cells_count_where_there_are_only_numbers_besides() {
        let found = survey("share,note,n,day,id\n5%,x,1,2024-01-31,9007199254740993\n6,7%,1.0,2024-02-01,5\n");
        let odd: Vec<_> =
            found.columns.iter().map(|column| column.oddity.as_ref().map(|(oddity, _)| *oddity)).collect();
        assert_eq!(odd, [Some(Oddity::Percents), None, None, Some(Oddity::Times), Some(Oddity::TooLong)]);
        assert_eq!(found.columns[2].one_number, Some(("1".to_owned(), "1.0".to_owned())));
        assert!(found.columns[0].one_number.is_none());
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_place() {
        for (text, says) in [
            ("", "is empty"),
            ("\n \n", "no rows"),
            ("a,b\n1,2\n3\n", "line 3: 1 columns"),
            ("one\ntwo\n", "line 1: there is only one column"),
            ("a,b\n", "no rows below its header"),
            ("sep=;\na;a;b\n1;2;3\n", "line 2: two columns are called `a` (1 and 2)"),
        ] {
            let error = with(text, Hints::default()).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let only_header = with("a,b\n", Hints { delimiter: None, header: Some(true) });
        assert!(matches!(only_header, Err(DataError::NoRows { header: true, .. })));
    }
}
