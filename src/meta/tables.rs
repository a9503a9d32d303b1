//! Measured tables, of which tasks are cut: random rows, columns and targets.

use crate::rng::log_uniform;
use rand::RngExt;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Tables of numbers. Copies share them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tables(Arc<Vec<Table>>);

#[derive(Debug, PartialEq)]
struct Table {
    n_columns: usize,
    /// `[n_rows, n_columns]`
    values: Vec<f32>,
}

/// Error: a text is no table of numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A cell is not a finite number.
    #[error("{name}, line {line}: {cell:?} is no finite number")]
    Cell {
        /// Name of the table.
        name: String,
        /// Line, from 1.
        line: usize,
        /// The cell.
        cell: String,
    },
    /// A row is longer or shorter than the header.
    #[error("{name}, line {line}: {found} cells, but the header has {expected}")]
    Row {
        /// Name of the table.
        name: String,
        /// Line, from 1.
        line: usize,
        /// Number of cells.
        found: usize,
        /// Number of cells of the header.
        expected: usize,
    },
    /// Too little to cut a task of.
    #[error(
        "{name} has {rows} rows of {columns} columns, but a task is cut of at least {FEWEST_ROWS} rows of 2 columns"
    )]
    TooSmall {
        /// Name of the table.
        name: String,
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
    },
}

/// Smallest number of rows that a task is cut of.
const FEWEST_ROWS: usize = 64;
/// Largest number of columns that a net sees.
const MOST_COLUMNS: usize = 48;
/// Largest number of classes.
const MOST_CLASSES: usize = 27;

/// A part of a table: inputs, `[n, n_in]`, and one target for each row.
pub(super) struct Cut {
    pub inputs: Vec<f32>,
    pub n_in: usize,
    pub targets: Vec<f32>,
}

impl Tables {
    /// Reads tables, each with its name: CSV of numbers with a header.
    ///
    /// # Errors
    /// Names the first cell that is no finite number, the first row of another length, and a table that is too small.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, TableError> {
        let tables = files.into_iter().map(|(name, text)| Table::parse(name, text));
        Ok(Self(Arc::new(tables.collect::<Result<_, _>>()?)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Cuts a task: from 64 rows to all of them, some or all of the columns, one column as the target, the last one in half of
    /// the tasks. `None` where there is no table.
    pub(super) fn cut(&self, rng: &mut ChaCha8Rng) -> Option<Cut> {
        let table = self.0.get(rng.random_range(0..self.0.len().max(1)))?;
        let (n_columns, n_rows) = (table.n_columns, table.values.len() / table.n_columns);
        let target = if rng.random_bool(0.5) { n_columns - 1 } else { rng.random_range(0..n_columns) };
        let kept = if rng.random_bool(0.5) { 1.0 } else { rng.random_range(0.3..1.0) };
        let mut columns: Vec<usize> = (0..n_columns).filter(|&c| c != target && rng.random_bool(kept)).collect();
        columns.truncate(MOST_COLUMNS);
        if columns.is_empty() {
            columns.push(if target == 0 { 1 } else { 0 });
        }
        let n = log_uniform(FEWEST_ROWS as f64, n_rows as f64, rng).round() as usize;
        let rows = index::sample(rng, n_rows, n.min(n_rows));
        let row = |i: usize| &table.values[i * n_columns..][..n_columns];
        Some(Cut {
            n_in: columns.len(),
            targets: rows.iter().map(|i| row(i)[target]).collect(),
            inputs: rows.iter().flat_map(|i| columns.iter().map(move |&c| row(i)[c])).collect(),
        })
    }
}

impl Table {
    fn parse(name: &str, text: &str) -> Result<Self, TableError> {
        let name = || name.to_owned();
        let n_columns = text.lines().next().map_or(0, |header| header.split(',').count());
        let mut values = Vec::new();
        for (i, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.is_empty()) {
            let before = values.len();
            for cell in line.split(',') {
                let value = cell.trim().parse().ok().filter(|v: &f32| v.is_finite());
                values.push(value.ok_or_else(|| TableError::Cell {
                    name: name(),
                    line: i + 1,
                    cell: cell.to_owned(),
                })?);
            }
            let found = values.len() - before;
            if found != n_columns {
                return Err(TableError::Row { name: name(), line: i + 1, found, expected: n_columns });
            }
        }
        let rows = values.len() / n_columns.max(1);
        if rows < FEWEST_ROWS || n_columns < 2 {
            return Err(TableError::TooSmall { name: name(), rows, columns: n_columns });
        }
        Ok(Self { n_columns, values })
    }
}

impl Cut {
    /// The targets as classes, and how many there are: its values where there are few, else parts of equal size by rank.
    pub fn classes(&self, rng: &mut ChaCha8Rng) -> (Vec<u16>, usize) {
        let mut values = self.targets.clone();
        values.sort_by(f32::total_cmp);
        let sorted = values.clone();
        values.dedup();
        let as_they_are = (2..=MOST_CLASSES).contains(&values.len()) && rng.random_bool(0.7);
        let bounds = if as_they_are {
            values
        } else {
            let n = rng.random_range(2..=8usize);
            let mut bounds: Vec<f32> = (0..n).map(|k| sorted[k * sorted.len() / n]).collect();
            bounds.dedup();
            bounds
        };
        // Number of the last bound that is not above the value.
        let class = |&v: &f32| (bounds.partition_point(|&bound| bound <= v).max(1) - 1) as u16;
        (self.targets.iter().map(class).collect(), bounds.len().max(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    fn text(n: usize) -> String {
        let rows = (0..n).map(|i| format!("{i},{},{}\n", i % 5, 0.5 * i as f64));
        format!("a,b,y\n{}", rows.collect::<String>())
    }

    #[test]
    fn a_cut_has_rows_of_the_table_and_never_its_target_among_its_inputs() {
        let tables = Tables::parse([("t", text(200).as_str())]).unwrap();
        for seed in 0..50 {
            let mut rng = stream(seed, "cut");
            let cut = tables.cut(&mut rng).unwrap();
            let n = cut.targets.len();
            assert!((64..=200).contains(&n) && cut.inputs.len() == n * cut.n_in && (1..=2).contains(&cut.n_in));
            let (classes, n_classes) = cut.classes(&mut rng);
            assert!(classes.iter().all(|&class| usize::from(class) < n_classes) && n_classes >= 2, "seed {seed}");
            // A class has its own values: sorted by class, the targets are sorted.
            let mut pairs: Vec<(u16, f32)> = classes.iter().copied().zip(cut.targets.iter().copied()).collect();
            pairs.sort_by_key(|pair| pair.0);
            let largest = |class| pairs.iter().filter(|p| p.0 == class).map(|p| p.1).fold(f32::NEG_INFINITY, f32::max);
            assert!(pairs.iter().all(|&(class, v)| class == 0 || v > largest(class - 1)));
        }
        assert!(Tables::default().cut(&mut stream(0, "cut")).is_none());
    }

    #[test]
    fn what_is_no_table_is_refused_by_name_and_line() {
        for (text, message) in [
            ("a,b\n1,x\n", "t, line 2: \"x\" is no finite number"),
            ("a,b\n1,NaN\n", "\"NaN\""),
            ("a,b\n1,2\n1,2,3\n", "t, line 3: 3 cells, but the header has 2"),
            ("a,b\n1,2\n", "t has 1 rows of 2 columns"),
            ("", "t has 0 rows"),
        ] {
            let error = Tables::parse([("t", text)]).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
