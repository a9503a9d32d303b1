//! What a person may have meant with a table that cannot be read as the task says.

use super::TableSpec;
use super::cell::{is_missing, number};
use super::records::{Record, Records, excel_note};
use std::path::Path;

/// Delimiters that are tried, the most frequent first.
const DELIMITERS: [char; 5] = [',', ';', '\t', '|', ' '];
/// Size of the beginning of a table that is looked at.
const SAMPLE_BYTES: usize = 1 << 16;
const SAMPLE_ROWS: usize = 50;

/// The delimiter that cuts the beginning of `text` into equal rows of at least two cells, with the number of cells;
/// where several do, the one with which the largest share of the cells are numbers.
pub(super) fn delimiter(text: &str) -> Option<(char, usize)> {
    let mut best: Option<(f64, char, usize)> = None;
    let said = excel_note(text);
    for delimiter in DELIMITERS.into_iter().filter(|delimiter| said.is_none_or(|(said, _)| said == *delimiter)) {
        let rows = sample(text, delimiter);
        let n_columns = rows.first().map_or(0, Record::len);
        if n_columns < 2 || rows.iter().any(|row| row.len() != n_columns) {
            continue;
        }
        let is_number = |cell: &&str| number(cell, '.').or(number(cell, ',')).is_some();
        let n_numbers = rows.iter().flat_map(Record::cells).filter(is_number).count();
        let share = n_numbers as f64 / (rows.len() * n_columns) as f64;
        if best.is_none_or(|(best, ..)| share > best) {
            best = Some((share, delimiter, n_columns));
        }
    }
    best.map(|(_, delimiter, n_columns)| (delimiter, n_columns))
}

/// The first rows of `text`, as far as they can be cut.
pub(super) fn sample(text: &str, delimiter: char) -> Vec<Record> {
    let cut = text.as_bytes().iter().take(SAMPLE_BYTES).rposition(|byte| *byte == b'\n');
    // A text that is longer than the sample ends with a whole line.
    let text = if text.len() > SAMPLE_BYTES { &text[..cut.unwrap_or(0)] } else { text };
    let (mut rows, mut row, mut found) = (Records::new(Path::new(""), text, delimiter), Record::default(), Vec::new());
    while found.len() < SAMPLE_ROWS && rows.read(&mut row).is_ok_and(|is_row| is_row) {
        found.push(row.clone());
    }
    found
}

/// What to do about a cell that should hold a number.
pub(super) fn for_cell(
    text: &str,
    spec: &TableSpec,
    names: Option<&[String]>,
    row: &Record,
    (place, is_target): (usize, bool),
) -> String {
    let cell = row.cell(place);
    let is_first = sample(text, spec.delimiter).first().is_some_and(|first| first.line == row.line);
    let is_name = |cell: &str| number(cell, '.').or(number(cell, ',')).is_none() && !is_missing(cell);
    if is_first && !spec.header && row.cells().all(is_name) {
        return "if this line names the columns, say `header = true`".to_owned();
    }
    let other = if spec.decimal == '.' { ',' } else { '.' };
    if number(cell, other).is_some() && !(other == ',' && spec.delimiter == ',') {
        return format!("if this is a decimal mark, say `decimal = {:?}`", other.to_string());
    }
    match delimiter(text).filter(|(better, _)| *better != spec.delimiter) {
        Some((better, n)) if cell.contains(better) => {
            format!("with `delimiter = {:?}` there are {n} columns", better.to_string())
        }
        _ if is_target => "if the target is a class, say `kind = \"classification\"`, else mend the cell".to_owned(),
        _ => {
            let column = in_a_list(names, place);
            format!(
                "if the column holds names, say `categorical = [{column}]`, else mend the cell or `ignore` the column"
            )
        }
    }
}

/// What to do about a whole number that double precision cannot hold.
pub(super) fn for_ids(names: Option<&[String]>, (place, is_target): (usize, bool)) -> String {
    if is_target {
        return "if the target is a class, say `kind = \"classification\"`".to_owned();
    }
    let column = in_a_list(names, place);
    format!("if the column holds ids, say `ignore = [{column}]`, or `categorical = [{column}]`")
}

/// A column as a list of the task file has it.
fn in_a_list(names: Option<&[String]>, place: usize) -> String {
    names.map_or_else(|| place.to_string(), |names| format!("{:?}", names[place]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_that_makes_numbers() {
        assert_eq!(delimiter("1;2;a\n3;4;b\n"), Some((';', 3)));
        assert_eq!(delimiter("1,5;2,5\n3,5;4,0\n"), Some((';', 2)));
        assert_eq!(delimiter("1, 2, 3\n4, 5, 6\n"), Some((',', 3)));
        assert_eq!(delimiter("x y\n1  2\n"), Some((' ', 2)));
        assert_eq!(delimiter("a\tb c\n1\tb\n"), Some(('\t', 2)));
        assert_eq!(delimiter("sep=;\n1,5;2,5\n3,5;4,5\n"), Some((';', 2)));
        assert_eq!(delimiter("one\ntwo\n"), None);
        assert_eq!(delimiter(""), None);
    }

    #[test]
    fn a_long_text_is_looked_at_in_its_beginning_only() {
        let text = "1;2\n".repeat(100_000) + "\"open";
        assert_eq!(delimiter(&text), Some((';', 2)));
        assert_eq!(delimiter(&"é".repeat(100_000)), None);
    }
}
