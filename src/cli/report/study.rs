//! A study with its trials, as far as the page shows it.

use super::kind;
use crate::cli::failure::Failure;
use crate::cli::storage;
use crate::cli::thinning::{extremes, short, spread};
use crate::cli::trials::number_json;
use qgd::tuner::storage::{Seen, Storage, StorageError, StudyRecord};
use qgd::tuner::{Direction, Distribution, FEW_TRIALS, StudyConfig, Trial, TrialState, best_trials, importance};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// Largest number of trials that are drawn: the best ones, and others evenly spread.
const MAX_TRIALS: usize = 2000;
/// Number of best trials that are drawn in any case.
const N_BEST: usize = 500;
/// Largest number of curves of intermediate values, and the stretches of each.
const MAX_CURVES: usize = 150;
const N_STRETCHES: usize = 60;

/// What the page knows of a study.
#[derive(Debug, Serialize)]
pub struct Study {
    name: String,
    directions: Vec<&'static str>,
    settings: Option<Settings>,
    n_trials: usize,
    /// Number of trials in each state that occurs.
    counts: BTreeMap<String, usize>,
    /// Numbers of the best trials.
    best: Vec<usize>,
    /// For each objective the number of every complete trial that was better than all before, with its value.
    records: Vec<Vec<(usize, f64)>>,
    /// For each objective the parameters and their shares, the largest first.
    importance: Vec<Vec<(String, f64)>>,
    /// Number of complete trials below which it is a guess.
    few_trials: usize,
    params: Vec<Param>,
    /// Trials that are drawn.
    trials: Vec<Row>,
    n_curves: usize,
}

#[derive(Debug, Serialize)]
struct Settings {
    sampler: String,
    pruner: String,
    seed: u64,
    lag: usize,
}

/// A parameter with all values that it could have.
#[derive(Debug, PartialEq, Serialize)]
struct Param {
    name: String,
    low: f64,
    high: f64,
    log: bool,
    /// Choices of a categorical parameter; its values are their places.
    choices: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Row {
    number: usize,
    state: String,
    /// Numbers, or words where JSON has no such number.
    values: Vec<Json>,
    /// Values of the parameters; null where one is not active.
    params: Vec<Option<f64>>,
    /// Intermediate values, where they are drawn.
    curve: Option<Vec<(i64, Option<f64>)>>,
    feasible: bool,
    /// Why it failed.
    reason: Option<String>,
}

/// The study of this name.
pub fn named(name: &str, url: &str) -> Result<Study, Failure> {
    let storage = storage::look(url).map_err(|failure| kind::no_study(name, failure))?;
    match storage.study(name)? {
        Some(record) => read(&*storage, record),
        None => {
            let names: Vec<String> = storage.studies()?.into_iter().map(|study| study.name).collect();
            Err(kind::unknown(name, url, &names))
        }
    }
}

/// All studies of a storage.
pub fn all(url: &str) -> Result<Vec<Study>, Failure> {
    let storage = storage::look(url)?;
    let studies = storage.studies()?;
    if studies.is_empty() {
        return Err(Failure::of_tuner(StorageError::Empty { place: url.to_owned() }.into()));
    }
    studies.into_iter().map(|record| read(&*storage, record)).collect()
}

fn read(storage: &dyn Storage, record: StudyRecord) -> Result<Study, Failure> {
    let trials = storage.trials(&record, &Seen::default())?;
    let settings = StudyConfig::stored(storage, &record.name).ok().flatten();
    let settings = settings.map(|c| Settings { sampler: c.sampler, pruner: c.pruner, seed: c.seed, lag: c.lag });
    Ok(Study::of(record.name, &record.directions, settings, &trials))
}

impl Study {
    fn of(name: String, directions: &[Direction], settings: Option<Settings>, trials: &[Trial]) -> Self {
        let params = params(trials);
        let drawn = drawn(trials, directions);
        let curves = curves(&drawn, directions);
        let row = |trial: &&Trial| Row::of(trial, &params, curves.contains(&trial.number));
        let mut counts = BTreeMap::new();
        trials.iter().for_each(|trial| *counts.entry(trial.state.to_string()).or_default() += 1);
        let objectives = || directions.iter().copied().enumerate();
        Self {
            name,
            directions: directions.iter().map(|direction| direction.name()).collect(),
            settings,
            n_trials: trials.len(),
            counts,
            best: best_trials(trials, directions).iter().map(|trial| trial.number).collect(),
            records: objectives().map(|(i, direction)| records(trials, i, direction)).collect(),
            importance: objectives().map(|(i, direction)| importance(trials, i, direction)).collect(),
            few_trials: FEW_TRIALS,
            trials: drawn.iter().map(row).collect(),
            params,
            n_curves: trials.iter().filter(|trial| trial.intermediate.len() > 1).count(),
        }
    }

    /// Name of the study.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Cost of a trial by its first value; infinite without one.
fn cost(trial: &Trial, directions: &[Direction]) -> f64 {
    let first = trial.values.first().zip(directions.first()).filter(|_| trial.state == TrialState::Complete);
    first.map_or(f64::INFINITY, |(&value, direction)| direction.cost(value))
}

/// Of many trials the best ones, those of the front, and others evenly spread, by number.
fn drawn<'t>(trials: &'t [Trial], directions: &[Direction]) -> Vec<&'t Trial> {
    if trials.len() <= MAX_TRIALS {
        return trials.iter().collect();
    }
    let mut by_cost: Vec<usize> = (0..trials.len()).collect();
    by_cost.sort_by(|&a, &b| cost(&trials[a], directions).total_cmp(&cost(&trials[b], directions)));
    let best = by_cost.into_iter().take(N_BEST);
    let kept: BTreeSet<usize> = best.chain(spread(trials.len(), MAX_TRIALS - N_BEST)).collect();
    kept.into_iter().map(|i| &trials[i]).collect()
}

/// Numbers of the trials whose intermediate values are drawn: the best half, and others evenly spread.
fn curves(trials: &[&Trial], directions: &[Direction]) -> BTreeSet<usize> {
    let mut with_curve: Vec<&&Trial> = trials.iter().filter(|trial| trial.intermediate.len() > 1).collect();
    let spread = spread(with_curve.len(), MAX_CURVES / 2).into_iter().map(|i| with_curve[i].number);
    let mut kept: BTreeSet<usize> = spread.collect();
    with_curve.sort_by(|a, b| cost(a, directions).total_cmp(&cost(b, directions)));
    kept.extend(with_curve.iter().take(MAX_CURVES / 2).map(|trial| trial.number));
    kept
}

/// Every complete and feasible trial that was better than all before it.
fn records(trials: &[Trial], objective: usize, direction: Direction) -> Vec<(usize, f64)> {
    let mut best = f64::INFINITY;
    let counts = |trial: &&Trial| trial.state == TrialState::Complete && trial.is_feasible();
    let value = |trial: &Trial| Some((trial.number, *trial.values.get(objective)?));
    let is_better = |&(_, value): &(usize, f64)| {
        let cost = direction.cost(value);
        let better = cost < best;
        best = best.min(cost);
        better && value.is_finite()
    };
    trials.iter().filter(counts).filter_map(value).filter(is_better).collect()
}

/// All parameters by name. Bounds may differ between trials; the widest are shown.
fn params(trials: &[Trial]) -> Vec<Param> {
    let mut params: BTreeMap<&str, Param> = BTreeMap::new();
    for (name, assigned) in trials.iter().flat_map(|trial| &trial.params) {
        let found = Param::of(name, &assigned.distribution);
        params
            .entry(name)
            .and_modify(|known| {
                known.low = known.low.min(found.low);
                known.high = known.high.max(found.high);
            })
            .or_insert(found);
    }
    params.into_values().collect()
}

impl Param {
    fn of(name: &str, distribution: &Distribution) -> Self {
        let (low, high, log, choices) = match distribution {
            Distribution::Float { low, high, log, .. } => (*low, *high, *log, None),
            Distribution::Int { low, high, log, .. } => (*low as f64, *high as f64, *log, None),
            Distribution::Categorical { choices } => {
                let words: Vec<String> = choices.iter().map(ToString::to_string).collect();
                (0.0, choices.len().saturating_sub(1) as f64, false, Some(words))
            }
        };
        Self { name: name.to_owned(), low, high, log, choices }
    }
}

impl Row {
    fn of(trial: &Trial, params: &[Param], with_curve: bool) -> Self {
        let steps: Vec<(i64, f64)> = trial.intermediate.iter().map(|(&step, &value)| (step, value)).collect();
        let kept = extremes(steps.len(), N_STRETCHES, &[&|i| steps[i].1]);
        let point = |i: usize| (steps[i].0, Some(short(steps[i].1)).filter(|value| value.is_finite()));
        Self {
            number: trial.number,
            state: trial.state.to_string(),
            values: trial.values.iter().map(|&value| number_json(value)).collect(),
            params: params.iter().map(|param| trial.params.get(&param.name).map(|found| found.inner)).collect(),
            curve: with_curve.then(|| kept.into_iter().map(point).collect()),
            feasible: trial.is_feasible(),
            reason: (trial.state == TrialState::Fail).then(|| trial.reason()),
        }
    }
}
