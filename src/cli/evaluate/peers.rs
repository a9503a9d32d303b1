//! Results of rivals that were run by another program: best and median over their starts, beside ours.

use super::plan::Plan;
use super::runs::ProblemRuns;
use super::verdict::Verdict;
use crate::cli::failure::Failure;
use anyhow::Context;
use qgd::statistics::{geometric_mean, loss_ratio, median};
use qgd::task::OptimizerKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
    pub name: String,
    pub best: f64,
    pub best_start: f64,
    pub median: f64,
    pub own_median: f64,
    /// The controller's median over the rival's best.
    pub ratio: f64,
    /// The controller's median over the rival's median.
    pub untuned_ratio: f64,
}

/// A merged rival over all tasks for which it has results. The ratios are geometric means.
#[derive(Debug, Serialize)]
pub struct PeerRecord {
    pub name: String,
    pub optimizer: String,
    pub n_tasks: usize,
    pub ratio: f64,
    pub largest_ratio: f64,
    pub untuned_ratio: f64,
}

impl Peers {
    /// Reads a file of results.
    pub fn load(file: &Path, plan: &Plan) -> Result<Self, Failure> {
        let context = || format!("--merge {}", file.display());
        let text = qgd::text::read(file).with_context(context).map_err(Failure::BadInput)?;
        let found: PeerFile = serde_json::from_str(&text).with_context(context).map_err(Failure::BadInput)?;
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
        let mut rows = Vec::new();
        for (problem, verdict) in runs.iter().zip(verdicts).filter(|(problem, _)| self.fits(problem)) {
            let rivals = self.rivals.iter().filter(|(name, _)| optimizer_of(name) == problem.optimizer);
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
        let losses = self.starts.iter().copied().zip(self.train_loss.iter().copied());
        let (best_start, best) = losses.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((f64::NAN, f64::NAN));
        let middle = median(&self.train_loss);
        PeerRow {
            task: problem.task.clone(),
            steps: problem.steps,
            optimizer: problem.optimizer.to_owned(),
            name: name.to_owned(),
            best,
            best_start,
            median: middle,
            own_median: verdict.median,
            ratio: loss_ratio(verdict.median, best),
            untuned_ratio: loss_ratio(verdict.median, middle),
        }
    }
}

/// Records of all merged rivals, by optimizer and name.
pub fn records(rows: &[PeerRow]) -> Vec<PeerRecord> {
    let mut by_name: BTreeMap<(&str, &str), Vec<&PeerRow>> = BTreeMap::new();
    for row in rows {
        by_name.entry((&row.optimizer, &row.name)).or_default().push(row);
    }
    let record = |((optimizer, name), rows): ((&str, &str), Vec<&PeerRow>)| PeerRecord {
        name: name.to_owned(),
        optimizer: optimizer.to_owned(),
        n_tasks: rows.len(),
        ratio: geometric_mean(rows.iter().map(|row| row.ratio)),
        largest_ratio: rows.iter().map(|row| row.ratio).fold(0.0, f64::max),
        untuned_ratio: geometric_mean(rows.iter().map(|row| row.untuned_ratio)),
    };
    by_name.into_iter().map(record).collect()
}

/// Optimizer that a rival is compared with, by the first part of its name: `momentum-cosine` belongs to momentum. A
/// name that starts with none of our optimizers (`schedulefree`, `prodigy`) belongs to Adam.
fn optimizer_of(name: &str) -> &str {
    let first = name.split('-').next().unwrap_or(name);
    if OptimizerKind::NAMES.iter().any(|(known, _)| *known == first) { first } else { OptimizerKind::Adam.name() }
}
