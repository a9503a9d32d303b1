//! The trials of a study as coordinates in [0, 1], with a column for each parameter, whose values are kept in order of
//! size, too.

use crate::tuner::distribution::Distribution;
use crate::tuner::space::Space;

/// Kind of a parameter, for the kernels.
#[derive(Debug, Clone)]
pub(super) enum Axis {
    /// Any number of this distribution.
    Line(Distribution),
    /// Finitely many numbers, each with a part of [0, 1] around it.
    Steps(Distribution),
    /// Number of choices; coordinates are their indices.
    Choices(usize),
}

impl Axis {
    fn of(distribution: &Distribution) -> Self {
        match distribution {
            Distribution::Float { step: None, .. } => Self::Line(distribution.clone()),
            Distribution::Categorical { choices } => Self::Choices(choices.len()),
            _ => Self::Steps(distribution.clone()),
        }
    }

    /// The coordinate of an inner value.
    pub fn coordinate(&self, inner: f64) -> f64 {
        match self {
            Self::Choices(_) => inner,
            Self::Line(distribution) | Self::Steps(distribution) => distribution.to_unit(inner),
        }
    }

    /// The inner value at a coordinate.
    pub fn inner(&self, coordinate: f64) -> f64 {
        match self {
            Self::Choices(_) => coordinate,
            Self::Line(distribution) | Self::Steps(distribution) => distribution.from_unit(coordinate),
        }
    }

    /// Length of the part of [0, 1] that belongs to the value at a coordinate; 0 for a parameter without such parts.
    pub fn width(&self, coordinate: f64) -> f64 {
        let Self::Steps(distribution) = self else { return 0.0 };
        let (low, high) = stretch(distribution, distribution.index(distribution.from_unit(coordinate)));
        high - low
    }

    /// Coordinate of the value that is tried when `coordinate` is proposed.
    pub fn settled(&self, coordinate: f64) -> f64 {
        self.coordinate(self.inner(coordinate))
    }
}

/// Coordinates of trials, a row for each; NaN where a parameter was not active.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// One a parameter.
    pub axes: Vec<Axis>,
    /// One a parameter.
    pub columns: Vec<Vec<f64>>,
    /// Widths of the parts of [0, 1] that belong to these.
    pub widths: Vec<Vec<f64>>,
    /// Rows of each parameter in order of their coordinate, without those that have none; empty for choices.
    pub sorted: Vec<Vec<u32>>,
    /// σ of the last kernel of each row and the density in its middle, which change seldom; NaN before the first.
    pub peaks: Vec<Vec<(f64, f64)>>,
    n_rows: usize,
}

impl Table {
    pub fn new(space: &Space) -> Self {
        let axes: Vec<Axis> = space.parameters().iter().map(|p| Axis::of(&p.distribution)).collect();
        let d = axes.len();
        let (columns, sorted, peaks) = (vec![Vec::new(); d], vec![Vec::new(); d], vec![Vec::new(); d]);
        Self { axes, widths: columns.clone(), columns, sorted, peaks, n_rows: 0 }
    }

    pub fn len(&self) -> usize {
        self.n_rows
    }

    pub fn coordinates(&self, point: &[Option<f64>]) -> Vec<f64> {
        self.axes
            .iter()
            .zip(point)
            .map(|(axis, inner)| inner.map_or(f64::NAN, |inner| axis.coordinate(inner)))
            .collect()
    }

    pub fn push(&mut self, point: &[Option<f64>]) {
        let row = self.n_rows as u32;
        for (j, x) in self.coordinates(point).into_iter().enumerate() {
            let column = &mut self.columns[j];
            column.push(x);
            self.peaks[j].push((f64::NAN, f64::NAN));
            self.widths[j].push(if x.is_nan() { 0.0 } else { self.axes[j].width(x) });
            if !x.is_nan() && !matches!(self.axes[j], Axis::Choices(_)) {
                let place = self.sorted[j].partition_point(|&other| column[other as usize] <= x);
                self.sorted[j].insert(place, row);
            }
        }
        self.n_rows += 1;
    }

    /// Forgets all rows from number `n_rows` on.
    pub fn truncate(&mut self, n_rows: usize) {
        if n_rows < self.n_rows {
            self.columns.iter_mut().chain(&mut self.widths).for_each(|column| column.truncate(n_rows));
            self.peaks.iter_mut().for_each(|peaks| peaks.truncate(n_rows));
            self.sorted.iter_mut().for_each(|sorted| sorted.retain(|&row| (row as usize) < n_rows));
            self.n_rows = n_rows;
        }
    }
}

/// Both ends of the part of [0, 1] that belongs to the value with this index.
pub(super) fn stretch(distribution: &Distribution, index: u64) -> (f64, f64) {
    let n = distribution.n_values().unwrap_or(1) as f64;
    match distribution {
        Distribution::Int { low, high, log: true, .. } => {
            let (first, last) = ((*low as f64 - 0.5).ln(), (*high as f64 + 0.5).ln());
            let edge = |value: f64| (value.ln() - first) / (last - first);
            let value = distribution.nth(index);
            (edge(value - 0.5), edge(value + 0.5))
        }
        _ => (index as f64 / n, (index as f64 + 1.0) / n),
    }
}
