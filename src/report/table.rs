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
}

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
        Self { columns: columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect(), rows: Vec::new() }
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
        rows.iter().map(|row| self.line(row, &widths)).collect()
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
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
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
