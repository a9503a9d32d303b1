//! The verdict on the runs of a problem: ratios, wins and losses, and what the test split says.
//!
//! ```text
//! floor         1 % of the training loss of the untrained net
//! tuned ratio   (median over the controller's starts + floor) / (best over the starts of best-tuned cosine + floor)
//! worst ratio   (worst start + floor) / (median + floor), both of the controller
//! ```
//!
//! A loss is the training loss over the whole split after the last step, the geometric mean of the seeds. "At the
//! median" means at the middle start, or the mean of the middle two. A two-sided paired t-test (level 0.05) over the
//! seeds decides wins and losses: it compares ln(loss + floor) at the controller's median with that at the rival's best
//! start. If it finds no difference, the outcome is a tie.
//!
//! Ratios by the former definition stand beside these: their floor is 0.01, whatever the unit of the loss.

use super::YARDSTICK;
use super::cache::Score;
use super::runs::{MethodRuns, ProblemRuns};
use crate::cli::grid::counted;
use qgd::statistics::{SOLVED_SHARE, floored_ratio, loss_ratio, mean, paired_t_test};
use serde::Serialize;

/// Level of the paired test.
const ALPHA: f64 = 0.05;

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
    pub test: Option<Test>,
    /// The ratios by the former definition.
    pub old: OldRatios,
}

/// Ratios by the former definition: 0.01 is added to both losses, whatever their unit.
#[derive(Debug, Serialize)]
pub struct OldRatios {
    pub tuned_ratio: Option<f64>,
    pub rivals_ratio: f64,
    pub worst_ratio: f64,
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
    /// The first of the ratios by the former definition.
    pub old_ratio: f64,
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

/// Results on the test split.
#[derive(Debug, Serialize)]
pub struct Test {
    /// `None` without test examples.
    pub loss: Option<Pair>,
    /// `None` in regression.
    pub accuracy: Option<Pair>,
}

/// A result along the seeds, of the controller and of best-tuned cosine.
#[derive(Debug, Serialize)]
pub struct Pair {
    pub own: Vec<f64>,
    pub cosine: Vec<f64>,
}

impl Verdict {
    /// The verdict on the runs of a problem; `None` without a rival.
    pub fn of(runs: &ProblemRuns) -> Option<Self> {
        let (own, rivals) = runs.methods.split_first()?;
        let (median, worst) = (own.median_loss(), own.worst_loss());
        let floor = SOLVED_SHARE * runs.first_loss;
        let best_rival = rivals.iter().min_by(|a, b| a.best().train_loss.total_cmp(&b.best().train_loss))?;
        let cosine = rivals.iter().find(|rival| rival.name == YARDSTICK);
        let (tuned, best_of_all) = (cosine.map(|cosine| cosine.best().train_loss), best_rival.best().train_loss);
        Some(Self {
            best: own.best().train_loss,
            median,
            worst,
            worst_ratio: floored_ratio(worst, median, floor),
            tuned_ratio: tuned.map(|tuned| floored_ratio(median, tuned, floor)),
            rivals_ratio: floored_ratio(median, best_of_all, floor),
            best_rival: best_rival.name.clone(),
            rivals: rivals.iter().map(|rival| Against::of(own, rival, floor)).collect(),
            test: cosine.map(|cosine| Test::of(own, cosine)),
            old: OldRatios {
                tuned_ratio: tuned.map(|tuned| loss_ratio(median, tuned)),
                rivals_ratio: loss_ratio(median, best_of_all),
                worst_ratio: loss_ratio(worst, median),
            },
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
    fn of(own: &MethodRuns, rival: &MethodRuns, floor: f64) -> Self {
        let (middle, best) = (own.middle(), rival.best());
        let own_loss = |seed: usize| mean(middle.iter().map(|start| counted(start.cells[seed].train())));
        let log_ratio =
            |(seed, cell): (usize, &Score)| floored_ratio(own_loss(seed), counted(cell.train()), floor).ln();
        let differences: Vec<f64> = best.cells.iter().enumerate().map(log_ratio).collect();
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
            ratio: floored_ratio(own.median_loss(), best.train_loss, floor),
            untuned_ratio: floored_ratio(own.median_loss(), rival.median_loss(), floor),
            old_ratio: loss_ratio(own.median_loss(), best.train_loss),
            p_value: test.map(|test| test.p_value),
            outcome,
        }
    }
}

impl Test {
    fn of(own: &MethodRuns, cosine: &MethodRuns) -> Self {
        let best = &cosine.best().cells;
        let has_loss = best.iter().any(|cell| cell.test_loss.is_some());
        let has_accuracy = best.iter().all(|cell| cell.test_accuracy.is_some());
        Self {
            loss: has_loss.then(|| Pair::of(own, cosine, |cell| counted(cell.test()))),
            accuracy: has_accuracy.then(|| Pair::of(own, cosine, |cell| cell.test_accuracy.unwrap_or(0.0))),
        }
    }

    /// Points of accuracy below cosine, along the seeds.
    pub fn accuracy_deficits(&self) -> Option<Vec<f64>> {
        let pairs = self.accuracy.as_ref()?.pairs();
        Some(pairs.map(|(own, cosine)| 100.0 * (cosine - own)).collect())
    }

    /// Logarithm of the loss over cosine's, along the seeds.
    pub fn log_loss_ratios(&self) -> Option<Vec<f64>> {
        Some(self.loss.as_ref()?.pairs().map(|(own, cosine)| (own / cosine).ln()).collect())
    }
}

impl Pair {
    fn of(own: &MethodRuns, cosine: &MethodRuns, value: impl Fn(&Score) -> f64) -> Self {
        let (middle, best) = (own.middle(), cosine.best());
        let own = |seed: usize| mean(middle.iter().map(|start| value(&start.cells[seed])));
        Self { own: (0..best.cells.len()).map(own).collect(), cosine: best.cells.iter().map(&value).collect() }
    }

    fn pairs(&self) -> impl Iterator<Item = (f64, f64)> {
        self.own.iter().copied().zip(self.cosine.iter().copied())
    }
}

#[cfg(test)]
mod tests;
