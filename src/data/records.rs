//! A table as text, cut into rows and cells (RFC 4180, or runs of white space).
//!
//! A cell may be quoted; a quote inside of it is written twice, and line ends inside of it belong to the cell. White
//! space around cells is cut off. Rows without any content are left out, but counted, and so is a first line `sep=;`, by which
//! Excel notes the delimiter.

use super::DataError;
use std::path::Path;

/// The rows of a table, one after the other.
pub(super) struct Records<'a> {
    path: &'a Path,
    delimiter: char,
    rest: &'a str,
    /// Number of the line where `rest` begins, from 1.
    line: u64,
}

/// One row.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    /// Number of the line where it begins, from 1.
    pub(super) line: u64,
    /// All cells, one after the other.
    text: String,
    /// Places of the cells in `text`.
    cells: Vec<std::ops::Range<usize>>,
}

impl Record {
    /// Number of cells.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// The cell at this place, empty beyond the end.
    pub(super) fn cell(&self, place: usize) -> &str {
        self.cells.get(place).map_or("", |range| &self.text[range.clone()])
    }

    /// All cells.
    pub(super) fn cells(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(|range| &self.text[range.clone()])
    }

    /// Ends the cell that began at `start` of the text.
    fn end_cell(&mut self, start: usize) {
        let cell = &self.text[start..];
        let begin = start + cell.len() - cell.trim_start().len();
        self.cells.push(begin..begin + cell.trim().len());
    }
}

impl<'a> Records<'a> {
    /// The rows of `text`. A space as delimiter stands for any run of white space.
    pub(super) fn new(path: &'a Path, text: &'a str, delimiter: char) -> Self {
        let (rest, line) = excel_note(text).map_or((text, 1), |(_, rest)| (rest, 2));
        Self { path, delimiter, rest, line }
    }

    /// Reads the next row with content into `row`; false at the end.
    pub(super) fn read(&mut self, row: &mut Record) -> Result<bool, DataError> {
        while !self.rest.is_empty() {
            row.line = self.line;
            row.text.clear();
            row.cells.clear();
            if self.delimiter == ' ' {
                self.read_words(row)?
            } else {
                self.read_cells(row)?
            }
            if row.cells().any(|cell| !cell.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read_cells(&mut self, row: &mut Record) -> Result<(), DataError> {
        let delimiter = self.delimiter;
        let is_blank = |c: char| c.is_whitespace() && c != delimiter && c != '\n';
        loop {
            let start = row.text.len();
            self.rest = self.rest.trim_start_matches(is_blank);
            let is_quoted = self.rest.starts_with('"');
            if is_quoted {
                self.read_quoted(row)?;
            }
            let ends = |byte: u8| byte == delimiter as u8 || byte == b'\n';
            let end = self.rest.bytes().position(ends).unwrap_or(self.rest.len());
            let (cell, rest) = self.rest.split_at(end);
            if is_quoted && !cell.trim().is_empty() {
                return Err(DataError::AfterQuote { path: self.path.into(), line: self.line });
            }
            row.text.push_str(cell);
            row.end_cell(start);
            let at_end_of_line = rest.starts_with('\n');
            self.rest = rest.get(1..).unwrap_or("");
            if at_end_of_line {
                self.line += 1;
            }
            if at_end_of_line || rest.is_empty() {
                return Ok(());
            }
        }
    }

    fn read_words(&mut self, row: &mut Record) -> Result<(), DataError> {
        loop {
            let start = row.text.len();
            self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() && c != '\n');
            if let Some(rest) = self.rest.strip_prefix('\n') {
                (self.rest, self.line) = (rest, self.line + 1);
                return Ok(());
            }
            if self.rest.is_empty() {
                return Ok(());
            }
            let is_quoted = self.rest.starts_with('"');
            if is_quoted {
                self.read_quoted(row)?;
            }
            let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
            if is_quoted && end > 0 {
                return Err(DataError::AfterQuote { path: self.path.into(), line: self.line });
            }
            row.text.push_str(&self.rest[..end]);
            self.rest = &self.rest[end..];
            row.end_cell(start);
        }
    }

    /// Reads a quoted cell, from its opening to its closing quote.
    fn read_quoted(&mut self, row: &mut Record) -> Result<(), DataError> {
        let opened = self.line;
        let mut rest = &self.rest[1..];
        loop {
            let Some(end) = rest.find('"') else {
                return Err(DataError::OpenQuote { path: self.path.into(), line: opened });
            };
            row.text.push_str(&rest[..end]);
            self.line += rest[..end].bytes().filter(|byte| *byte == b'\n').count() as u64;
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(after) => {
                    row.text.push('"');
                    rest = after;
                }
                None => break,
            }
        }
        self.rest = rest;
        Ok(())
    }
}

/// The delimiter that a first line `sep=;` notes, and the text below it.
pub(super) fn excel_note(text: &str) -> Option<(char, &str)> {
    let (note, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (word, said) = note.split_at_checked(4)?;
    let mut said = said.chars();
    let (delimiter, end) = (said.next()?, said.next());
    (word.eq_ignore_ascii_case("sep=") && end.is_none()).then_some((delimiter, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line and cells of each row.
    fn rows(text: &str, delimiter: char) -> Result<Vec<(u64, Vec<String>)>, DataError> {
        let (mut rows, mut row, mut found) =
            (Records::new(Path::new("t.csv"), text, delimiter), Record::default(), Vec::new());
        while rows.read(&mut row)? {
            found.push((row.line, row.cells().map(str::to_owned).collect()));
        }
        Ok(found)
    }

    fn cells(text: &str, delimiter: char) -> Vec<Vec<String>> {
        rows(text, delimiter).unwrap().into_iter().map(|(_, cells)| cells).collect()
    }

    #[test]
    fn cells_may_be_quoted_and_spaces_around_them_do_not_count() {
        assert_eq!(
            cells("a, \"b, c\" ,\"d \"\"e\"\"\"\n 1 ,5\" disk,\n", ','),
            [["a", "b, c", "d \"e\""], ["1", "5\" disk", ""]]
        );
        assert_eq!(cells("x\t\ty z\n", '\t'), [["x", "", "y z"]]);
        assert_eq!(cells("  1 \t \"two words\"   3\n\n4 5 6", ' '), [["1", "two words", "3"], ["4", "5", "6"]]);
        assert_eq!(cells("\"\" 1\n", ' '), [["", "1"]]);
    }

    #[test]
    fn a_first_line_of_excel_that_notes_the_delimiter_is_no_row() {
        assert_eq!(rows("sep=;\n1;2\n", ';').unwrap(), [(2, vec!["1".to_owned(), "2".to_owned()])]);
        assert_eq!(cells("SEP=\t\n1\t2\n", '\t'), [["1", "2"]]);
        assert_eq!(cells("1;2\nsep=;\n", ';'), [["1", "2"], ["sep=", ""]]);
        assert!(rows("sep=;", ';').unwrap().is_empty());
    }

    #[test]
    fn rows_know_the_line_where_they_begin() {
        let found = rows("1,2\n\n , \n\"a\nb\",3\n4,5", ',').unwrap();
        let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!((lines, found[1].1[0].as_str()), (vec![1, 4, 6], "a\nb"));
        let lines: Vec<u64> =
            rows("1 2\n\n  \n3 \"x\ny\"\n4 5\n", ' ').unwrap().iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 4, 6]);
    }

    #[test]
    fn a_quote_that_is_open_or_not_doubled_is_refused_with_its_line() {
        for delimiter in [',', ' '] {
            let refusal = |text: &str| rows(&text.replace(',', &delimiter.to_string()), delimiter).unwrap_err();
            assert!(matches!(refusal("1,2\n3,\"x\n4,5\n6,7\n"), DataError::OpenQuote { line: 2, .. }));
            assert!(matches!(refusal("1,2\n\"say \"hi\" now\",3\n"), DataError::AfterQuote { line: 2, .. }));
            // The next quote, lines later, closes what was left open.
            assert!(matches!(refusal("1,\"a\n2,\"b\"\n"), DataError::AfterQuote { line: 2, .. }));
        }
    }

    #[test]
    fn any_text_is_cut_without_a_panic_and_every_byte_is_looked_at() {
        let pieces = ["\"", ",", "\n", " ", "é", "\u{a0}", "1"];
        for n in 0..7_usize.pow(5) {
            let text: String = (0..5).map(|i| pieces[n / 7_usize.pow(i) % 7]).collect();
            for delimiter in [',', ' '] {
                if let Ok(found) = rows(&text, delimiter) {
                    assert!(found.iter().all(|(line, _)| *line <= 6), "{text:?}");
                }
            }
        }
    }
}
