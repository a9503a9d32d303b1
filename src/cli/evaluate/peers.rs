//! Results of rivals that were run by another program: best and median over their starts, beside ours.

use super::plan::Plan;
use super::regime::Regime;
use super::runs::ProblemRuns;
use super::verdict::Verdict;
use crate::cli::failure::Failure;
use anyhow::Context;
use qgd::statistics::{SOLVED_SHARE, floored_ratio, geometric_mean, loss_ratio, median};
use qgd::task::OptimizerKind;
use qgd::tuner::read_line;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Contents of a file to merge.
#[derive(Debug, Deserialize)]
struct PeerFile {
    /// Task file; its name without folder and ending is the name of the task.
    task: String,
    /// Number of steps; without it, that of the task's own horizon.
    steps: Option<u64>,
    rivals: BTreeMap<String, PeerRuns>,
}

#[derive(Debug, Deserialize)]
struct PeerRuns {
    starts: Vec<f64>,
    train_loss: Vec<f64>,
    /// What is no number did not come to an end, or is not there: an accuracy in regression.
    #[serde(default)]
    test_loss: Vec<Json>,
    #[serde(default)]
    test_accuracy: Vec<Json>,
}

/// Results of one task.
pub struct Peers {
    task: String,
    steps: Option<u64>,
    rivals: BTreeMap<String, PeerRuns>,
}

/// A merged rival beside the controller.
#[derive(Debug, Serialize)]
pub struct PeerRow {
    pub task: String,
    pub steps: u64,
    pub optimizer: String,
    pub regime: Regime,
    pub name: String,
    pub best: f64,
    pub best_start: f64,
    pub median: f64,
    pub own_median: f64,
    /// The controller's median over the rival's best.
    pub ratio: f64,
    /// The controller's median over the rival's median.
    pub untuned_ratio: f64,
    /// The first of the ratios by the former definition, with a floor of 0.01.
    pub old_ratio: f64,
    /// The rival's results on the test split from its best start, where the file has them.
    pub test_loss: Option<f64>,
    pub test_accuracy: Option<f64>,
}

/// A merged rival over the tasks of a regime for which it has results. The ratios are geometric means.
#[derive(Debug, Serialize)]
pub struct PeerRecord {
    pub name: String,
    pub optimizer: String,
    /// `None` for all regimes.
    pub regime: Option<Regime>,
    pub n_tasks: usize,
    pub ratio: f64,
    pub largest_ratio: f64,
    pub untuned_ratio: f64,
    pub old_ratio: f64,
}

impl Peers {
    /// Reads a file of results.
    pub fn load(file: &Path, plan: &Plan) -> Result<Self, Failure> {
        let context = || format!("--merge {}", file.display());
        let text = qgd::text::read(file).with_context(context).map_err(Failure::BadInput)?;
        // Python writes NaN where a run came to no end.
        let json = read_line(&text).with_context(context).map_err(Failure::BadInput)?;
        let found: PeerFile = serde_json::from_value(json).with_context(context).map_err(Failure::BadInput)?;
        let task =
            PathBuf::from(&found.task).file_stem().map_or(found.task.clone(), |s| s.to_string_lossy().into_owned());
        if !plan.tasks.iter().any(|planned| planned.spec.name() == task) {
            let known = plan.tasks.iter().map(|task| task.spec.name()).collect::<Vec<_>>().join(", ");
            let error = anyhow::anyhow!("--merge {}: `task` is {task}, but must be one of {known}", file.display());
            return Err(Failure::BadInput(error));
        }
        for (name, runs) in &found.rivals {
            if runs.starts.is_empty() || runs.starts.len() != runs.train_loss.len() {
                let (starts, losses) = (runs.starts.len(), runs.train_loss.len());
                let error = anyhow::anyhow!(
                    "--merge {}: `rivals.{name}` has {starts} starts and {losses} losses, but must have as many of both, at least one",
                    file.display()
                );
                return Err(Failure::BadInput(error));
            }
        }
        Ok(Self { task, steps: found.steps, rivals: found.rivals })
    }

    /// One row for each rival and problem that belong together.
    pub fn rows(&self, runs: &[ProblemRuns], verdicts: &[Verdict]) -> Vec<PeerRow> {
        let optimizers: BTreeSet<&str> = runs.iter().map(|problem| problem.optimizer).collect();
        let mut rows = Vec::new();
        for (problem, verdict) in runs.iter().zip(verdicts).filter(|(problem, _)| self.fits(problem)) {
            let rivals = self.rivals.iter().filter(|(name, _)| belongs(name, problem.optimizer, &optimizers));
            rows.extend(rivals.map(|(name, runs)| runs.row(name, problem, verdict)));
        }
        rows
    }

    fn fits(&self, problem: &ProblemRuns) -> bool {
        problem.task == self.task && self.steps.map_or(problem.horizon == 1, |steps| steps == problem.steps)
    }
}

impl PeerRuns {
    fn row(&self, name: &str, problem: &ProblemRuns, verdict: &Verdict) -> PeerRow {
        let losses = self.train_loss.iter().copied().enumerate();
        let (place, best) = losses.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, f64::NAN));
        let (middle, floor) = (median(&self.train_loss), SOLVED_SHARE * problem.first_loss);
        let at_best = |values: &[Json]| values.get(place).and_then(Json::as_f64);
        PeerRow {
            task: problem.task.clone(),
            steps: problem.steps,
            optimizer: problem.optimizer.to_owned(),
            regime: problem.regime,
            name: name.to_owned(),
            best,
            best_start: self.starts.get(place).copied().unwrap_or(f64::NAN),
            median: middle,
            own_median: verdict.median,
            ratio: floored_ratio(verdict.median, best, floor),
            untuned_ratio: floored_ratio(verdict.median, middle, floor),
            old_ratio: loss_ratio(verdict.median, best),
            test_loss: at_best(&self.test_loss),
            test_accuracy: at_best(&self.test_accuracy),
        }
    }
}

/// Records of all merged rivals, by optimizer and name: one for each regime, and one for all where there are several.
pub fn records(rows: &[PeerRow]) -> Vec<PeerRecord> {
    let mut by_name: BTreeMap<(&str, &str), Vec<&PeerRow>> = BTreeMap::new();
    for row in rows {
        by_name.entry((&row.optimizer, &row.name)).or_default().push(row);
    }
    by_name.values().flat_map(|rows| PeerRecord::by_regime(rows)).collect()
}

impl PeerRecord {
    fn by_regime(rows: &[&PeerRow]) -> Vec<Self> {
        let of = |regime: Regime| rows.iter().copied().filter(|row| row.regime == regime).collect::<Vec<_>>();
        let by_regime = Regime::ALL.into_iter().filter_map(|regime| Self::of(Some(regime), &of(regime)));
        let mut records: Vec<Self> = by_regime.collect();
        if records.len() > 1 {
            records.extend(Self::of(None, rows));
        }
        records
    }

    /// The record of some rows of one rival; `None` without any.
    fn of(regime: Option<Regime>, rows: &[&PeerRow]) -> Option<Self> {
        let first = rows.first()?;
        Some(Self {
            name: first.name.clone(),
            optimizer: first.optimizer.clone(),
            regime,
            n_tasks: rows.len(),
            ratio: geometric_mean(rows.iter().map(|row| row.ratio)),
            largest_ratio: rows.iter().map(|row| row.ratio).fold(0.0, f64::max),
            untuned_ratio: geometric_mean(rows.iter().map(|row| row.untuned_ratio)),
            old_ratio: geometric_mean(rows.iter().map(|row| row.old_ratio)),
        })
    }
}

/// Whether a rival is compared with a controller of this optimizer, one of those of the evaluation. The first part of
/// the rival's name says so: `momentum-cosine` belongs to momentum. One of no optimizer
/// of ours (`schedulefree`, `prodigy`), and Muon's where it is not evaluated itself, belongs to Adam and AdamW.
fn belongs(name: &str, optimizer: &str, evaluated: &BTreeSet<&str>) -> bool {
    let first = name.split('-').next().unwrap_or(name);
    let is_ours = OptimizerKind::NAMES.iter().any(|(known, _)| *known == first);
    if evaluated.contains(first) {
        return optimizer == first;
    }
    let is_adaptive = [OptimizerKind::Adam, OptimizerKind::AdamW].iter().any(|kind| kind.name() == optimizer);
    // One of a simpler optimizer that is not evaluated is no rival of Adam's.
    is_adaptive && (!is_ours || first == OptimizerKind::Muon.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rival_belongs_to_its_own_optimizer_or_else_to_the_adaptive_ones() {
        let all = BTreeSet::from(["sgd", "momentum", "adam", "adamw"]);
        let with = |name: &str| all.iter().copied().filter(|of| belongs(name, of, &all)).collect::<Vec<_>>();
        assert_eq!(with("momentum-cosine"), ["momentum"]);
        assert_eq!(with("adam"), ["adam"]);
        for name in ["schedulefree", "prodigy", "muon", "muon-cosine"] {
            assert_eq!(with(name), ["adam", "adamw"], "{name}");
        }
        assert!(with("lion-cosine").is_empty());
        let muon = BTreeSet::from(["adam", "muon"]);
        assert!(belongs("muon-cosine", "muon", &muon) && !belongs("muon-cosine", "adam", &muon));
    }
}
