//! Tables in plain text.

/// A table whose columns are as wide as they need to be.
///
/// ```
/// use qgd::report::{Align, Table};
///
/// let mut table = Table::new(&[("rival", Align::Left), ("loss", Align::Right)]);
/// table.row(["cosine".into(), "0.122".into()]);
/// assert_eq!(table.to_string(), "rival    loss\ncosine  0.122\n");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
    max_width: usize,
}

/// Width of a page: what the commands print is at most so many characters wide.
pub const PAGE_WIDTH: usize = 100;
/// Words are not shortened below this many characters.
const SHORTEST: usize = 8;

/// Side to which the text of a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Left, for words.
    Left,
    /// Right, for numbers.
    Right,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect();
        Self { columns, rows: Vec::new(), max_width: usize::MAX }
    }

    /// The same table, at most `max_width` characters wide as far as that is possible: the longest words lose their
    /// middle.
    ///
    /// ```
    /// use qgd::report::{Align, Table};
    ///
    /// let mut table = Table::new(&[("file", Align::Left), ("loss", Align::Right)]).with_max_width(20);
    /// table.row(["controllers/of-mine/first.qgd".into(), "0.122".into()]);
    /// assert_eq!(table.to_string(), "file            loss\ncontro…st.qgd  0.122\n");
    /// ```
    pub fn with_max_width(mut self, max_width: usize) -> Self {
        self.max_width = max_width;
        self
    }

    /// Adds a row. Missing cells are empty; cells beyond the last column are not shown.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Lines of the table, the heading first, without line ends.
    pub fn lines(&self) -> Vec<String> {
        let heading: Vec<String> = self.columns.iter().map(|column| column.0.clone()).collect();
        let rows: Vec<&Vec<String>> = std::iter::once(&heading).chain(&self.rows).collect();
        let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..self.columns.len()).map(|i| width(i).unwrap_or(0)).collect();
        let widths = self.fitted(widths);
        rows.iter().map(|row| self.line(row, &widths)).collect()
    }

    /// The widths, with the widest columns of words narrowed until the table fits.
    fn fitted(&self, mut widths: Vec<usize>) -> Vec<usize> {
        while widths.iter().map(|width| width + 2).sum::<usize>() > self.max_width.saturating_add(2) {
            let words = self.columns.iter().zip(&mut widths).filter(|(column, _)| column.1 == Align::Left);
            match words.map(|(_, width)| width).max() {
                Some(widest) if *widest > SHORTEST => *widest -= 1,
                _ => break,
            }
        }
        widths
    }

    /// The table as Markdown.
    ///
    /// ```
    /// use qgd::report::{Align, Table};
    ///
    /// let mut table = Table::new(&[("rival", Align::Left), ("loss", Align::Right)]);
    /// table.row(["a | b".into(), "0.122".into()]);
    /// assert_eq!(table.to_markdown(), "| rival | loss |\n|---|--:|\n| a \\| b | 0.122 |\n");
    /// ```
    pub fn to_markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let escaped = |text: &str| text.replace('|', "\\|");
        let rule: String =
            self.columns.iter().map(|(_, align)| if *align == Align::Left { "|---" } else { "|--:" }).collect();
        let heading = line(self.columns.iter().map(|(name, _)| escaped(name)).collect());
        let cell = |row: &[String], i: usize| escaped(row.get(i).map_or("", String::as_str));
        let rows = self.rows.iter().map(|row| line((0..self.columns.len()).map(|i| cell(row, i)).collect()));
        format!("{heading}{rule}|\n{}", rows.collect::<String>())
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells = self.columns.iter().zip(widths).enumerate().map(|(i, (column, &width))| {
            let cell = row.get(i).map_or("", String::as_str);
            match column.1 {
                Align::Left => format!("{:<width$}", shortened(cell, width)),
                Align::Right => format!("{cell:>width$}"),
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

/// `text` without its middle, if it is longer than `width`.
fn shortened(text: &str, width: usize) -> String {
    let n = text.chars().count();
    if n <= width {
        return text.to_owned();
    }
    let tail = width / 2;
    let head: String = text.chars().take(width.saturating_sub(tail + 1)).collect();
    head + "…" + &text.chars().skip(n - tail).collect::<String>()
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A number for people: three significant digits, and an exponent only if the number is far from 1.
///
/// ```
/// use qgd::report::number;
/// assert_eq!([0.0, 1.0, 0.12345, 1234.0, 1e-5, 3.456e7].map(number), ["0", "1", "0.123", "1234", "1e-5", "3.46e7"]);
/// assert_eq!(number(f64::NAN), "diverged");
/// ```
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "diverged".to_owned();
    }
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if !(1e-4 * (1.0 - 1e-9)..1e5).contains(&size) {
        let text = format!("{value:.2e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        format!("{}e{exponent}", trimmed(digits))
    } else {
        let decimals = (2 - size.log10().floor() as i32).clamp(0, 6) as usize;
        trimmed(&format!("{value:.decimals$}")).to_owned()
    }
}

/// A length of time for people.
///
/// ```
/// use qgd::report::duration;
/// assert_eq!([0.4, 59.0, 600.0, 4000.0, 7300.0].map(duration), ["1 s", "59 s", "10 min", "1 h 6 min", "2 h 1 min"]);
/// ```
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).ceil() as u64;
    match whole {
        0..=99 => format!("{whole} s"),
        100..=3599 => format!("{} min", (whole + 30) / 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A text in lines of at most `width` characters, as far as its words allow; each line but the first begins with
/// `indent`. White space at the beginning of the text stays.
///
/// ```
/// use qgd::report::wrapped;
/// assert_eq!(wrapped("decides  at each step", "         ", 17), "decides  at each\n         step");
/// ```
pub fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_inclusive(' ') {
        let n_chars = line.chars().count() + word.trim_end().chars().count();
        if n_chars > width && !line.trim().is_empty() {
            lines.push(line.trim_end().to_owned());
            line = indent.to_owned();
        }
        line += word;
    }
    lines.push(line.trim_end().to_owned());
    lines.join("\n")
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_and_their_sign() {
        let shown = [-0.5, 99999.0, 100000.0, 0.0001, 0.000099, 9.999, 12.35, 100.0].map(number);
        assert_eq!(shown, ["-0.5", "99999", "1e5", "0.0001", "9.9e-5", "10", "12.3", "100"]);
    }

    #[test]
    fn a_row_that_is_too_short_or_too_long_does_no_harm() {
        let mut table = Table::new(&[("a", Align::Left), ("b", Align::Right)]);
        table.row(["1".into()]);
        table.row(["1".into(), "2".into(), "3".into()]);
        assert_eq!(table.lines(), ["a  b", "1", "1  2"]);
    }
}
