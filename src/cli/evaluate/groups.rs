//! Means over problems: by optimizer and horizon, by regime, by rival.

use super::regime::Regime;
use super::runs::ProblemRuns;
use super::verdict::{Against, Outcome, Verdict};
use qgd::rng::stream;
use qgd::statistics::{bootstrap_mean, geometric_mean, mean};
use serde::Serialize;
use std::collections::BTreeMap;

/// Level of the confidence intervals.
pub const LEVEL: f64 = 0.95;
const N_RESAMPLES: usize = 10_000;

/// Geometric means over some problems.
#[derive(Debug, Serialize)]
pub struct Group {
    pub name: String,
    pub n_problems: usize,
    pub tuned_ratio: Option<f64>,
    pub largest_tuned_ratio: Option<f64>,
    /// The first by the former definition, with a floor of 0.01.
    pub old_tuned_ratio: Option<f64>,
    pub rivals_ratio: f64,
    pub worst_ratio: f64,
    pub largest_worst_ratio: f64,
    /// Points of test accuracy below best-tuned cosine, mean over the problems with classes.
    pub accuracy_deficit: Option<f64>,
    /// Test loss over that of best-tuned cosine, in regression.
    pub regression_loss_ratio: Option<f64>,
    /// Test loss over that of best-tuned cosine, over all problems.
    pub test_loss_ratio: Option<f64>,
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

/// Optimizers in the order in which they occur, and then all together, as `None`.
fn optimizers(runs: &[ProblemRuns]) -> Vec<Option<&'static str>> {
    let mut optimizers = Vec::new();
    for problem in runs {
        if !optimizers.contains(&Some(problem.optimizer)) {
            optimizers.push(Some(problem.optimizer));
        }
    }
    optimizers.push(None);
    optimizers
}

/// Geometric means by regime and by optimizer.
pub fn regimes(runs: &[ProblemRuns], verdicts: &[Verdict]) -> Vec<Group> {
    let mut groups = Vec::new();
    for regime in Regime::ALL {
        for optimizer in optimizers(runs) {
            let belongs = |problem: &ProblemRuns| {
                problem.regime == regime && optimizer.is_none_or(|name| name == problem.optimizer)
            };
            groups.extend(Group::of(format!("{regime}, {}", optimizer.unwrap_or("all")), runs, verdicts, belongs));
        }
    }
    groups
}

/// Geometric means by optimizer, by horizon, and over all.
pub fn groups(runs: &[ProblemRuns], verdicts: &[Verdict]) -> Vec<Group> {
    let mut horizons: Vec<Option<u64>> = runs.iter().map(|problem| Some(problem.horizon)).collect();
    horizons.sort_unstable();
    horizons.dedup();
    if horizons.len() > 1 {
        horizons.push(None);
    }
    let mut groups = Vec::new();
    for &horizon in &horizons {
        for optimizer in optimizers(runs) {
            let belongs = |problem: &ProblemRuns| {
                horizon.is_none_or(|h| h == problem.horizon) && optimizer.is_none_or(|o| o == problem.optimizer)
            };
            let horizon = match horizon {
                Some(1) => "own horizon".to_owned(),
                Some(multiple) => format!("{multiple}× horizon"),
                None => "all horizons".to_owned(),
            };
            groups.extend(Group::of(format!("{}, {horizon}", optimizer.unwrap_or("all")), runs, verdicts, belongs));
        }
    }
    groups
}

impl Group {
    /// The problems that belong to it; `None` where none does.
    fn of(
        name: String,
        runs: &[ProblemRuns],
        verdicts: &[Verdict],
        belongs: impl Fn(&ProblemRuns) -> bool,
    ) -> Option<Self> {
        let of_group = runs.iter().zip(verdicts).filter(|(problem, _)| belongs(problem));
        let members: Vec<&Verdict> = of_group.map(|(_, verdict)| verdict).collect();
        if members.is_empty() {
            return None;
        }
        let largest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let geometric = |values: &[f64]| (!values.is_empty()).then(|| geometric_mean(values.iter().copied()));
        let all = |of: &dyn Fn(&Verdict) -> Option<f64>| members.iter().filter_map(|v| of(v)).collect::<Vec<f64>>();
        let tuned = all(&|verdict| verdict.tuned_ratio);
        let worst = all(&|verdict| Some(verdict.worst_ratio));
        let deficits = all(&|verdict| Some(mean(verdict.test.as_ref()?.accuracy_deficits()?)));
        let loss_ratio = |verdict: &Verdict| Some(mean(verdict.test.as_ref()?.log_loss_ratios()?).exp());
        let is_regression = |verdict: &Verdict| verdict.test.as_ref().is_some_and(|test| test.accuracy.is_none());
        Some(Self {
            name,
            n_problems: members.len(),
            tuned_ratio: geometric(&tuned),
            largest_tuned_ratio: (!tuned.is_empty()).then(|| largest(&tuned)),
            old_tuned_ratio: geometric(&all(&|verdict| verdict.old.tuned_ratio)),
            rivals_ratio: geometric_mean(members.iter().map(|verdict| verdict.rivals_ratio)),
            worst_ratio: geometric_mean(worst.iter().copied()),
            largest_worst_ratio: largest(&worst),
            accuracy_deficit: (!deficits.is_empty()).then(|| mean(deficits)),
            regression_loss_ratio: geometric(&all(&|verdict| loss_ratio(verdict).filter(|_| is_regression(verdict)))),
            test_loss_ratio: geometric(&all(&loss_ratio)),
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

/// Points of test accuracy below best-tuned cosine at the median start. Pooled over (task, seed) pairs.
pub fn accuracy_deficit(runs: &[ProblemRuns], verdicts: &[Verdict]) -> Option<Pooled> {
    pooled(runs, verdicts, |verdict| verdict.test.as_ref()?.accuracy_deficits())
}

/// ln of the test loss over that of best-tuned cosine at the median start, in regression. Pooled over (task, seed)
/// pairs.
pub fn log_test_loss_ratio(runs: &[ProblemRuns], verdicts: &[Verdict]) -> Option<Pooled> {
    pooled(runs, verdicts, |verdict| verdict.test.as_ref().filter(|test| test.accuracy.is_none())?.log_loss_ratios())
}

/// Mean deficit against best-tuned cosine. A pair of task and seed is the mean over its optimizers and horizons, which
/// share their split. The interval is a bootstrap over the pairs.
fn pooled(
    runs: &[ProblemRuns],
    verdicts: &[Verdict],
    deficits: impl Fn(&Verdict) -> Option<Vec<f64>>,
) -> Option<Pooled> {
    let mut pairs: BTreeMap<(&str, u64), Vec<f64>> = BTreeMap::new();
    for (problem, verdict) in runs.iter().zip(verdicts) {
        for (seed, deficit) in problem.seeds.iter().zip(deficits(verdict).unwrap_or_default()) {
            pairs.entry((&problem.task, *seed)).or_default().push(deficit);
        }
    }
    let deficits: Vec<f64> = pairs.into_values().map(mean).collect();
    let interval = bootstrap_mean(&deficits, LEVEL, N_RESAMPLES, &mut stream(0, "bootstrap"))?;
    Some(Pooled { n_pairs: deficits.len(), mean: mean(deficits), interval })
}
