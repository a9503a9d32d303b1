//! One study on a table.

use crate::Result;
use crate::data::DataSet;
use crate::table::{self, Cell, Losses, PARAMETERS};
use qgd::tuner::{Ask, Direction, Distribution, Parameter, Past, Point, Setting, Space, TrialState, samplers};
use std::collections::BTreeMap;
use std::path::Path;

/// A tabulated data set as something to tune.
pub struct Problem {
    pub set: DataSet,
    /// Training examples, inputs, classes.
    pub facts: [u64; 3],
    pub space: Space,
    table: BTreeMap<Cell, Losses>,
}

/// The four places, whole, or only those that letter has.
pub fn space(is_letter: bool) -> Result<Space> {
    let parameter = |(i, name): (usize, &str)| {
        let distribution = match i {
            0 => Distribution::int(0, 9),
            _ if !is_letter => Distribution::int(0, 9),
            3 => Distribution::stepped_int(1, 9, 2),
            _ => Distribution::stepped_int(0, 8, 2),
        };
        Parameter::new(name, distribution)
    };
    Ok(Space::new(PARAMETERS.into_iter().enumerate().map(parameter))?)
}

impl Problem {
    pub fn load(set: DataSet, folder: &Path, path: &Path) -> Result<Self> {
        let split = set.load(folder)?;
        let facts = [split.parts[0].n as u64, split.n_in as u64, split.n_classes as u64];
        let table = table::read(path);
        let n_missing = table::cells(&set).into_iter().filter(|cell| !table.contains_key(cell)).count();
        if n_missing > 0 {
            return Err(format!("{} lacks {n_missing} nets: run the step `tables`", path.display()).into());
        }
        Ok(Self { set, facts, space: space(set == DataSet::Letter)?, table })
    }

    /// Every combination with its validation loss.
    pub fn results(&self) -> Vec<(Point, Option<f64>)> {
        let point = |cell: &Cell| cell.iter().map(|&place| Some(place as f64)).collect();
        let finite = |loss: f64| loss.is_finite().then_some(loss);
        self.table.iter().map(|(cell, losses)| (point(cell), finite(losses.validation))).collect()
    }

    /// The lowest and the mean validation loss.
    pub fn lowest_and_mean(&self) -> [f64; 2] {
        let losses = || self.table.values().map(|losses| losses.validation);
        [losses().fold(f64::INFINITY, f64::min), losses().sum::<f64>() / self.table.len() as f64]
    }

    /// What `n` proposals of a sampler came to, in order.
    pub fn study(&self, sampler: &str, seed: u64, n: usize) -> Result<Vec<Losses>> {
        let directions = [Direction::Minimize];
        let mut sampler = samplers::build(sampler, &Setting { space: &self.space, directions: &directions })?;
        let (mut settled, mut found): (Vec<Past>, Vec<Losses>) = (Vec::new(), Vec::new());
        for number in 0..n {
            let (space, directions) = (&self.space, &directions[..]);
            let ask = Ask { seed, number, space, directions, settled: &settled, pending: &[] };
            let Some(point) = sampler.propose(&ask) else { break };
            let place = |i: usize| point[i].unwrap_or_default() as usize;
            let cell = [0, 1, 2, 3].map(place);
            let losses = *self.table.get(&cell).ok_or_else(|| format!("no net for {cell:?}"))?;
            let state = if losses.validation.is_finite() { TrialState::Complete } else { TrialState::Fail };
            let values = if losses.validation.is_finite() { vec![losses.validation] } else { vec![] };
            settled.push(Past { number, state, point, values, intermediate: BTreeMap::new(), constraints: vec![] });
            found.push(losses);
        }
        Ok(found)
    }
}
