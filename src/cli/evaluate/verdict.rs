//! The verdict on the runs: ratios, wins and losses, and differences in test accuracy.
//!
//! ```text
//! tuned ratio   (median over the starts of the controller + 1e-2) / (best over the starts of best-tuned cosine + 1e-2)
//! worst ratio   (worst start + 1e-2) / (median + 1e-2), both of the controller
//! ```
//!
//! A loss is the training loss over the whole split after the last step, the geometric mean of the seeds. "At the
//! median" means at the middle start, or the mean of the middle two. A two-sided paired t-test (level 0.05) over the
//! seeds decides wins and losses: it compares ln(loss + 1e-2) at the controller's median with that at the rival's best
//! start. If it finds no difference, the outcome is a tie.

use super::YARDSTICK;
use super::runs::{MethodRuns, ProblemRuns, Start};
use crate::cli::grid::counted;
use qgd::rng::stream;
use qgd::statistics::{bootstrap_mean, geometric_mean, log_loss, loss_ratio, mean, paired_t_test};
use serde::Serialize;
use std::collections::BTreeMap;

/// Level of the paired test.
const ALPHA: f64 = 0.05;
/// Level of the confidence intervals.
pub const LEVEL: f64 = 0.95;
const N_RESAMPLES: usize = 10_000;

/// The verdict on one problem.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub best: f64,
    pub median: f64,
    pub worst: f64,
    pub worst_ratio: f64,
    /// Ratio to best-tuned cosine; `None` if cosine is not among the rivals.
    pub tuned_ratio: Option<f64>,
    /// Ratio to the best of all rivals.
    pub rivals_ratio: f64,
    pub best_rival: String,
    pub rivals: Vec<Against>,
    /// Test results at the median beside those of best-tuned cosine.
    pub test: Option<TestPair>,
}

/// Comparison of the controller at its median with one rival.
#[derive(Debug, Serialize)]
pub struct Against {
    pub name: String,
    /// The rival's best loss.
    pub best: f64,
    /// Start of the run with this loss.
    pub best_start: f64,
    /// The rival's median over the shared starts.
    pub median: f64,
    /// The controller's median over the rival's best.
    pub ratio: f64,
    /// The controller's median over the rival's median.
    pub untuned_ratio: f64,
    /// `None` with a single seed.
    pub p_value: Option<f64>,
    pub outcome: Outcome,
}

/// Outcome of a paired test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Win,
    Tie,
    Loss,
}

/// Test accuracy, or test loss in regression, along the seeds.
#[derive(Debug, Serialize)]
pub struct TestPair {
    pub is_accuracy: bool,
    pub own: Vec<f64>,
    pub cosine: Vec<f64>,
}

/// Geometric means over some problems.
#[derive(Debug, Serialize)]
pub struct Group {
    pub name: String,
    pub n_problems: usize,
    pub tuned_ratio: Option<f64>,
    pub largest_tuned_ratio: Option<f64>,
    pub rivals_ratio: f64,
    pub worst_ratio: f64,
    pub largest_worst_ratio: f64,
}

/// A rival over all problems in which it takes part.
#[derive(Debug, Serialize)]
pub struct Record {
    pub name: String,
    pub n_problems: usize,
    /// Geometric mean of the ratios.
    pub ratio: f64,
    pub untuned_ratio: f64,
    pub wins: usize,
    pub ties: usize,
    pub losses: usize,
}

/// A mean over (task, seed) pairs, with its confidence interval.
#[derive(Debug, Serialize)]
pub struct Pooled {
    pub n_pairs: usize,
    pub mean: f64,
    pub interval: [f64; 2],
}

impl Verdict {
    /// The verdict on the runs of a problem; `None` without a rival.
    pub fn of(runs: &ProblemRuns) -> Option<Self> {
        let (own, rivals) = runs.methods.split_first()?;
        let (median, worst) = (own.median_loss(), own.worst_loss());
        let best_rival = rivals.iter().min_by(|a, b| a.best().train_loss.total_cmp(&b.best().train_loss))?;
        let cosine = rivals.iter().find(|rival| rival.name == YARDSTICK);
        Some(Self {
            best: own.best().train_loss,
            median,
            worst,
            worst_ratio: loss_ratio(worst, median),
            tuned_ratio: cosine.map(|cosine| loss_ratio(median, cosine.best().train_loss)),
            rivals_ratio: loss_ratio(median, best_rival.best().train_loss),
            best_rival: best_rival.name.clone(),
            rivals: rivals.iter().map(|rival| Against::of(own, rival)).collect(),
            test: cosine.map(|cosine| TestPair::of(own, cosine)),
        })
    }

    pub fn against(&self, name: &str) -> Option<&Against> {
        self.rivals.iter().find(|rival| rival.name == name)
    }

    pub fn against_cosine(&self) -> Option<&Against> {
        self.against(YARDSTICK)
    }
}

impl Against {
    fn of(own: &MethodRuns, rival: &MethodRuns) -> Self {
        let (middle, best) = (own.middle(), rival.best());
        let own_log = |seed: usize| log_loss(mean(middle.iter().map(|start| counted(start.cells[seed].train()))));
        let differences: Vec<f64> =
            best.cells.iter().enumerate().map(|(seed, cell)| own_log(seed) - log_loss(counted(cell.train()))).collect();
        let test = paired_t_test(&differences);
        let outcome = match test {
            Some(test) if test.p_value < ALPHA => {
                if test.mean < 0.0 {
                    Outcome::Win
                } else {
                    Outcome::Loss
                }
            }
            _ => Outcome::Tie,
        };
        Self {
            name: rival.name.clone(),
            best: best.train_loss,
            best_start: best.lr,
            median: rival.median_loss(),
            ratio: loss_ratio(own.median_loss(), best.train_loss),
            untuned_ratio: loss_ratio(own.median_loss(), rival.median_loss()),
            p_value: test.map(|test| test.p_value),
            outcome,
        }
    }
}

impl TestPair {
    fn of(own: &MethodRuns, cosine: &MethodRuns) -> Self {
        let (middle, best) = (own.middle(), cosine.best());
        let is_accuracy = best.cells.iter().all(|cell| cell.test_accuracy.is_some());
        let value = |start: &Start, seed: usize| {
            let cell = &start.cells[seed];
            if is_accuracy { cell.test_accuracy.unwrap_or(0.0) } else { counted(cell.test()) }
        };
        let seeds = 0..best.cells.len();
        Self {
            is_accuracy,
            own: seeds.clone().map(|seed| mean(middle.iter().map(|start| value(start, seed)))).collect(),
            cosine: seeds.map(|seed| value(best, seed)).collect(),
        }
    }

    /// Deficits along the seeds: points of accuracy below cosine, or the logarithm of the loss over cosine's.
    fn deficits(&self) -> Vec<f64> {
        let pairs = self.own.iter().zip(&self.cosine);
        pairs.map(|(own, cosine)| if self.is_accuracy { 100.0 * (cosine - own) } else { (own / cosine).ln() }).collect()
    }
}

/// Geometric means by optimizer, by horizon, and over all.
pub fn groups(runs: &[ProblemRuns], verdicts: &[Verdict]) -> Vec<Group> {
    let all: Vec<(&ProblemRuns, &Verdict)> = runs.iter().zip(verdicts).collect();
    let mut horizons: Vec<Option<u64>> = runs.iter().map(|problem| Some(problem.horizon)).collect();
    horizons.sort_unstable();
    horizons.dedup();
    if horizons.len() > 1 {
        horizons.push(None);
    }
    let mut optimizers: Vec<Option<&str>> = Vec::new();
    for problem in runs {
        if !optimizers.contains(&Some(problem.optimizer)) {
            optimizers.push(Some(problem.optimizer));
        }
    }
    optimizers.push(None);
    let mut groups = Vec::new();
    for &horizon in &horizons {
        for &optimizer in &optimizers {
            let belongs = |(problem, _): &&(&ProblemRuns, &Verdict)| {
                horizon.is_none_or(|h| h == problem.horizon) && optimizer.is_none_or(|o| o == problem.optimizer)
            };
            let members: Vec<&Verdict> = all.iter().filter(belongs).map(|(_, verdict)| *verdict).collect();
            let horizon = match horizon {
                Some(1) => "own horizon".to_owned(),
                Some(multiple) => format!("{multiple}× horizon"),
                None => "all horizons".to_owned(),
            };
            groups.extend(Group::of(format!("{}, {horizon}", optimizer.unwrap_or("all")), &members));
        }
    }
    groups
}

impl Group {
    fn of(name: String, members: &[&Verdict]) -> Option<Self> {
        if members.is_empty() {
            return None;
        }
        let largest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let tuned: Vec<f64> = members.iter().filter_map(|verdict| verdict.tuned_ratio).collect();
        let worst: Vec<f64> = members.iter().map(|verdict| verdict.worst_ratio).collect();
        Some(Self {
            name,
            n_problems: members.len(),
            tuned_ratio: (!tuned.is_empty()).then(|| geometric_mean(tuned.iter().copied())),
            largest_tuned_ratio: (!tuned.is_empty()).then(|| largest(&tuned)),
            rivals_ratio: geometric_mean(members.iter().map(|verdict| verdict.rivals_ratio)),
            worst_ratio: geometric_mean(worst.iter().copied()),
            largest_worst_ratio: largest(&worst),
        })
    }
}

/// Every rival over all problems in which it takes part.
pub fn records(names: &[String], verdicts: &[Verdict]) -> Vec<Record> {
    let record = |name: &String| {
        let all: Vec<&Against> = verdicts.iter().filter_map(|verdict| verdict.against(name)).collect();
        let count = |outcome| all.iter().filter(|against| against.outcome == outcome).count();
        Record {
            name: name.clone(),
            n_problems: all.len(),
            ratio: geometric_mean(all.iter().map(|against| against.ratio)),
            untuned_ratio: geometric_mean(all.iter().map(|against| against.untuned_ratio)),
            wins: count(Outcome::Win),
            ties: count(Outcome::Tie),
            losses: count(Outcome::Loss),
        }
    };
    names.iter().map(record).collect()
}

/// Mean deficit against best-tuned cosine at the median start: points of test accuracy, or ln of the test loss over
/// cosine's.
///
/// Pooled over (task, seed) pairs; a pair is the mean over its optimizers and horizons, which share their split. The
/// interval is a bootstrap over the pairs.
pub fn pooled_deficit(runs: &[ProblemRuns], verdicts: &[Verdict], is_accuracy: bool) -> Option<Pooled> {
    let mut pairs: BTreeMap<(&str, u64), Vec<f64>> = BTreeMap::new();
    for (problem, verdict) in runs.iter().zip(verdicts) {
        let Some(test) = verdict.test.as_ref().filter(|test| test.is_accuracy == is_accuracy) else { continue };
        for (seed, deficit) in problem.seeds.iter().zip(test.deficits()) {
            pairs.entry((&problem.task, *seed)).or_default().push(deficit);
        }
    }
    let deficits: Vec<f64> = pairs.into_values().map(mean).collect();
    let interval = bootstrap_mean(&deficits, LEVEL, N_RESAMPLES, &mut stream(0, "bootstrap"))?;
    Some(Pooled { n_pairs: deficits.len(), mean: mean(deficits), interval })
}

#[cfg(test)]
mod tests;
