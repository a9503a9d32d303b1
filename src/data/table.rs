//! A table as it stands in its file: column by column, before anything is fitted.
//!
//! Numbers are kept in single precision as long as that is exact, else in double precision, so that what is
//! standardized is what the file says. Classes are numbered in the order of their names as text, so "10" comes before
//! "2".

use super::columns::{self, Input};
use super::memory::Memory;
use super::records::{Record, Records, excel_note};
use super::{Column, DataError, Missing, TableSpec, TargetKind, advice, cell, read};
use std::collections::HashMap;
use std::path::Path;

/// The input columns.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) inputs: Vec<(Input, Cells)>,
    /// Number of all columns in the file.
    pub(super) n_columns: usize,
    /// Number of the line of each row, from 1.
    pub(super) lines: Vec<u64>,
}

/// The target column.
#[derive(Debug)]
pub(super) struct Target {
    /// Its place in the file, from 0.
    pub(super) place: usize,
    /// Its name in the header.
    pub(super) name: Option<String>,
    pub(super) cells: Cells,
}

/// The cells of one column.
#[derive(Debug)]
pub(super) enum Cells {
    Numbers(Numbers),
    Names(Names),
}

/// Numbers, of which a NaN stands for no value.
#[derive(Debug)]
pub(super) enum Numbers {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

/// Names by their numbers, in the order in which they come.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) codes: Vec<u32>,
    pub(super) names: Vec<String>,
    numbers: HashMap<String, u32>,
}

/// The number of no name.
pub(super) const NO_NAME: u32 = u32::MAX;

/// Reads a table with its target.
pub(super) fn load(
    path: &Path,
    spec: &TableSpec,
    kind: Option<TargetKind>,
    memory: &mut Memory,
) -> Result<(Table, Target), DataError> {
    let text = read::text(path, memory)?;
    let mut start = Start::of(path, &text, spec)?;
    if start.n_columns < 2 {
        return Err(DataError::OneColumn { path: path.into(), line: start.header_line, delimiter: spec.delimiter });
    }
    let chosen = columns::choose(path, spec, start.names.as_deref(), start.n_columns)?;
    let place = chosen.target;
    let mut target = Cells::empty(kind != Some(TargetKind::Values));
    let table = start.read(chosen.inputs, Some((place, &mut target)), memory)?;
    memory.give_back(text.len(), 1);
    if let Cells::Names(labels) = &target {
        let header = start.names.as_ref().filter(|_| matches!(spec.target, Column::Index(_)));
        if header.is_some_and(|names| labels.numbers.contains_key(&names[place])) {
            return Err(DataError::NoHeader { path: path.into(), line: start.header_line });
        }
    }
    let name = start.names.map(|mut names| names.swap_remove(place));
    Ok((table, Target { place, name, cells: target }))
}

/// Reads the inputs that `choose` finds by the names in the header, or by the number of columns, and the cells of the
/// target as names with its place, where there is one. They may be empty.
pub(super) fn load_rows(
    path: &Path,
    spec: &TableSpec,
    memory: &mut Memory,
    choose: impl FnOnce(Option<&[String]>, usize) -> Result<(Vec<Input>, Option<usize>), DataError>,
) -> Result<(Table, Option<(usize, Names)>), DataError> {
    let text = read::text(path, memory)?;
    let mut start = Start::of(path, &text, spec)?;
    let (inputs, target) = choose(start.names.as_deref(), start.n_columns)?;
    start.needs_targets = false;
    let mut cells = Cells::empty(true);
    let table = start.read(inputs, target.map(|place| (place, &mut cells)), memory)?;
    memory.give_back(text.len(), 1);
    match cells {
        Cells::Names(names) => Ok((table, target.map(|place| (place, names)))),
        Cells::Numbers(_) => Ok((table, None)),
    }
}

/// A table whose header and first row are read.
struct Start<'a> {
    path: &'a Path,
    text: &'a str,
    spec: &'a TableSpec,
    rows: Records<'a>,
    row: Record,
    names: Option<Vec<String>>,
    header_line: u64,
    n_columns: usize,
    /// Whether a row without a target is refused.
    needs_targets: bool,
    /// Columns of which was told that they hold numbers that are too long.
    told: Vec<usize>,
}

impl<'a> Start<'a> {
    fn of(path: &'a Path, text: &'a str, spec: &'a TableSpec) -> Result<Self, DataError> {
        let mut rows = Records::new(path, text, spec.delimiter);
        let mut row = Record::default();
        if !rows.read(&mut row)? {
            return Err(DataError::NoRows { path: path.into(), header: false });
        }
        let (line, n_columns) = (row.line, row.len());
        let is_doubtful = n_columns < 2 || excel_note(text).is_some();
        let better = advice::delimiter(text).filter(|(better, _)| is_doubtful && *better != spec.delimiter);
        if let Some((better, columns)) = better {
            return Err(DataError::Delimiter { path: path.into(), line, delimiter: spec.delimiter, better, columns });
        }
        let (names, header_line, needs_targets, told) = (None, line, true, Vec::new());
        let mut start = Self { path, text, spec, rows, row, names, header_line, n_columns, needs_targets, told };
        if spec.header {
            start.read_header()?;
        }
        Ok(start)
    }

    fn read_header(&mut self) -> Result<(), DataError> {
        let (path, line) = (self.path, self.header_line);
        let names: Vec<String> = self.row.cells().map(str::to_owned).collect();
        if !self.rows.read(&mut self.row)? {
            return Err(DataError::NoRows { path: path.into(), header: true });
        }
        if self.looks_like_a_row(&names) {
            return Err(DataError::NoHeader { path: path.into(), line });
        }
        columns::check_names(path, line, &names)?;
        self.names = Some(names);
        Ok(())
    }

    /// Whether names are numbers wherever the first row has numbers, and no row of whole numbers that are all
    /// different, as programs write that number the columns.
    fn looks_like_a_row(&self, names: &[String]) -> bool {
        let decimal = self.spec.decimal;
        let numbers: Option<Vec<f64>> = names
            .iter()
            .zip(self.row.cells())
            .filter(|(_, cell)| cell::number(cell, decimal).is_some())
            .map(|(name, _)| cell::number(name, decimal))
            .collect();
        let Some(mut numbers) = numbers.filter(|numbers| !numbers.is_empty()) else { return false };
        let n = numbers.len();
        numbers.sort_by(f64::total_cmp);
        numbers.dedup();
        numbers.len() < n || numbers.iter().any(|number| number.fract().abs() > 0.0)
    }

    /// Reads all rows, and the cells of the target where there is one.
    fn read(
        &mut self,
        inputs: Vec<Input>,
        mut target: Option<(usize, &mut Cells)>,
        memory: &mut Memory,
    ) -> Result<Table, DataError> {
        let with_cells = |input: Input| {
            let cells = Cells::empty(input.is_categorical);
            (input, cells)
        };
        let inputs = inputs.into_iter().map(with_cells).collect();
        let mut table = Table { inputs, n_columns: self.n_columns, lines: Vec::new() };
        loop {
            let (found, expected) = (self.row.len(), self.n_columns);
            if found != expected {
                let (path, line) = (self.path.into(), self.row.line);
                return Err(DataError::ColumnCount { path, line, found, expected });
            }
            if self.names.as_ref().is_some_and(|names| self.row.cells().eq(names.iter().map(String::as_str))) {
                return Err(DataError::HeaderAgain { path: self.path.into(), line: self.row.line });
            }
            for (input, cells) in &mut table.inputs {
                self.push_input(cells, input.place, memory)?;
            }
            if let Some((place, cells)) = &mut target {
                self.push_target(cells, *place, memory)?;
            }
            push(&mut table.lines, self.row.line, memory)?;
            if !self.rows.read(&mut self.row)? {
                return Ok(table);
            }
        }
    }

    fn push_input(&mut self, cells: &mut Cells, place: usize, memory: &mut Memory) -> Result<(), DataError> {
        let text = self.row.cell(place);
        let is_missing = cell::is_missing(text);
        if is_missing && self.spec.missing == Missing::Refuse {
            let advice = "say `missing = \"mean\"` or \"indicator\", or remove the row";
            return Err(self.no_value(place, advice));
        }
        match cells {
            Cells::Names(names) if is_missing => names.push(None, memory),
            Cells::Names(names) => names.push(Some(text), memory),
            Cells::Numbers(numbers) if is_missing => numbers.push(f64::NAN, memory),
            Cells::Numbers(numbers) => numbers.push(self.number(place, false)?, memory),
        }
    }

    fn push_target(&mut self, cells: &mut Cells, place: usize, memory: &mut Memory) -> Result<(), DataError> {
        let text = self.row.cell(place);
        let is_missing = cell::is_missing(text);
        if is_missing && self.needs_targets {
            return Err(self.no_value(place, "a row needs its target: give it one, or remove the row"));
        }
        match cells {
            Cells::Names(names) => names.push((!is_missing).then_some(text), memory),
            Cells::Numbers(numbers) => numbers.push(self.number(place, true)?, memory),
        }
    }

    fn number(&mut self, place: usize, is_target: bool) -> Result<f64, DataError> {
        let text = self.row.cell(place);
        let number = cell::number(text, self.spec.decimal).ok_or_else(|| DataError::NotANumber {
            path: self.path.into(),
            line: self.row.line,
            column: place + 1,
            cell: text.to_owned(),
            advice: advice::for_cell(self.text, self.spec, self.names.as_deref(), &self.row, (place, is_target)),
        })?;
        if cell::is_rounded(text, number) && !self.told.contains(&place) {
            let (path, line, column) = (self.path.display(), self.row.line, place + 1);
            let advice = advice::for_ids(self.names.as_deref(), (place, is_target));
            tracing::warn!(
                "{path}, line {line}, column {column}: `{text}` has too many digits and is read as {number:.0}; {advice}"
            );
            self.told.push(place);
        }
        Ok(number)
    }

    fn no_value(&self, place: usize, advice: &'static str) -> DataError {
        let (path, line, cell) = (self.path.into(), self.row.line, self.row.cell(place).to_owned());
        DataError::NoValue { path, line, column: place + 1, cell, advice }
    }
}

impl Cells {
    fn empty(is_names: bool) -> Self {
        if is_names { Self::Names(Names::default()) } else { Self::Numbers(Numbers::Single(Vec::new())) }
    }
}

impl Numbers {
    fn push(&mut self, number: f64, memory: &mut Memory) -> Result<(), DataError> {
        if let Self::Single(numbers) = self
            && !cell::is_single(number)
        {
            let mut double = memory.vec(numbers.len())?;
            double.extend(numbers.iter().map(|number| f64::from(*number)));
            memory.give_back(numbers.len(), size_of::<f32>());
            *self = Self::Double(double);
        }
        match self {
            Self::Single(numbers) => push(numbers, number as f32, memory),
            Self::Double(numbers) => push(numbers, number, memory),
        }
    }

    pub(super) fn get(&self, row: usize) -> f64 {
        match self {
            Self::Single(numbers) => f64::from(numbers[row]),
            Self::Double(numbers) => numbers[row],
        }
    }
}

impl Names {
    fn push(&mut self, name: Option<&str>, memory: &mut Memory) -> Result<(), DataError> {
        let code = match name.map(|name| (name, self.numbers.get(name))) {
            None => NO_NAME,
            Some((_, Some(code))) => *code,
            Some((name, None)) => {
                // The name stands in the list and in the map.
                memory.take(2, name.len() + 2 * size_of::<String>())?;
                let code = self.names.len() as u32;
                self.names.push(name.to_owned());
                self.numbers.insert(name.to_owned(), code);
                code
            }
        };
        push(&mut self.codes, code, memory)
    }

    /// The first two names that are one number, written in two ways.
    pub(super) fn of_one_number(&self, decimal: char) -> Option<(usize, usize)> {
        let mut known = HashMap::new();
        self.names.iter().enumerate().find_map(|(code, name)| {
            let first = *known.entry(cell::number_bits(name, decimal)?).or_insert(code);
            (first != code).then_some((first, code))
        })
    }

    /// The first row that has the name of this number.
    pub(super) fn first_row(&self, code: usize) -> usize {
        self.codes.iter().position(|found| *found as usize == code).unwrap_or_default()
    }

    /// The name in the first row, where it is no number and stands in no other row.
    pub(super) fn only_in_first_row(&self, decimal: char) -> Option<&str> {
        let (first, rest) = self.codes.split_first()?;
        let name = self.names.get(*first as usize)?;
        (!rest.contains(first) && cell::number(name, decimal).is_none()).then_some(name)
    }

    /// The numbers of the names in the order of their text, and the names in this order.
    pub(super) fn sorted(&self) -> (Vec<u32>, Vec<String>) {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by(|a, b| self.names[*a].cmp(&self.names[*b]));
        let mut ranks = vec![0; order.len()];
        for (rank, place) in order.iter().enumerate() {
            ranks[*place] = rank as u32;
        }
        (ranks, order.iter().map(|place| self.names[*place].clone()).collect())
    }
}

fn push<T>(items: &mut Vec<T>, item: T, memory: &mut Memory) -> Result<(), DataError> {
    memory.take(1, size_of::<T>())?;
    items.try_reserve(1).map_err(|_| memory.too_large())?;
    items.push(item);
    Ok(())
}
