//! Figures of the studies: each a number for every data set and seed, so that studies are compared on the same net.

use super::clock::makespan;
use super::problem::{Course, Size};
use super::{Finished, RANDOM, Taught, WORKERS, Way, lag};
use crate::cli::reproduce::small_net::SmallNet;
use crate::cli::reproduce::studies::{Told, Tried, best, win};
use qgd::statistics::{counted_loss, loss_ratio, mean, median};

/// Number of trials after which a technique has hardly begun.
pub const FEW: usize = 5;
pub const MOST_WORKERS: Way = Way::Workers(WORKERS[WORKERS.len() - 1]);
pub const PRUNED: Way = Way::Pruned(0);

/// Everything that was measured.
pub struct Results {
    pub nets: Vec<SmallNet>,
    pub n_trials: usize,
    pub n_lessons: usize,
    /// `[size][data set]`.
    pub agents: Vec<Vec<Taught>>,
    pub studies: Vec<Finished>,
}

/// Loss of the best of these trials.
pub fn best_loss(trials: &[Tried<Course>]) -> f64 {
    best(trials).map_or(f64::INFINITY, |trial| trial.outcome.told())
}

impl Finished {
    /// Loss of the best of the first `n` trials.
    pub fn after(&self, n: usize) -> f64 {
        best_loss(&self.trials[..n.min(self.trials.len())])
    }

    /// Training steps that were made in each trial.
    pub fn steps(&self) -> impl Iterator<Item = u64> {
        self.trials.iter().map(|trial| trial.outcome.steps(trial.stopped))
    }

    /// Share of the training steps of its trials that the pruner saved.
    pub fn saved(&self) -> f64 {
        let whole: u64 = self.trials.iter().map(|trial| trial.outcome.steps(None)).sum();
        1.0 - self.steps().sum::<u64>() as f64 / whole.max(1) as f64
    }

    /// How many times sooner these trials end with their workers than with one.
    pub fn speed_up(&self) -> f64 {
        let workers = if let Way::Workers(workers) = self.way { workers } else { 1 };
        let steps: Vec<u64> = self.steps().collect();
        let lag = lag(self.technique, self.way, self.trials.len());
        steps.iter().sum::<u64>() as f64 / makespan(&steps, workers, lag).max(1) as f64
    }

    /// Numbers of trials and of training steps after which the loss is `target` or less; infinite where it never is.
    fn until(&self, target: f64) -> [f64; 2] {
        let mut steps = 0;
        for (n, trial) in self.trials.iter().enumerate() {
            steps += trial.outcome.steps(trial.stopped);
            if trial.outcome.told() <= target {
                return [(n + 1) as f64, steps as f64];
            }
        }
        [f64::INFINITY; 2]
    }
}

impl Results {
    /// The studies of a technique, made in one way: one for each data set and seed, always in the same order.
    pub fn of(&self, size: Size, technique: usize, way: Way) -> impl Iterator<Item = &Finished> {
        self.studies.iter().filter(move |it| (it.size, it.technique, it.way) == (size, technique, way))
    }

    /// A figure of each study of a technique, in spaces of these sizes.
    pub fn figures(&self, sizes: &[Size], technique: usize, way: Way, figure: fn(&Finished) -> f64) -> Vec<f64> {
        sizes.iter().flat_map(|&size| self.of(size, technique, way).map(figure)).collect()
    }

    /// Best losses through those of random search, after `n` trials each.
    pub fn through_random(&self, size: Size, technique: usize, n: usize) -> Vec<f64> {
        let pairs = self.of(size, technique, Way::Alone).zip(self.of(size, RANDOM, Way::Alone));
        pairs.map(|(own, random)| ratio(own.after(n), random.after(n))).collect()
    }

    /// Best losses through those of the same technique where it is alone.
    pub fn through_alone(&self, sizes: &[Size], technique: usize, way: Way) -> Vec<f64> {
        let pairs =
            |&size: &Size| self.of(size, technique, way).zip(self.of(size, technique, Way::Alone)).collect::<Vec<_>>();
        sizes.iter().flat_map(pairs).map(|(own, alone)| ratio(own.after(usize::MAX), alone.after(usize::MAX))).collect()
    }

    /// Trials and training steps until a technique is as good as random search at its end; medians.
    pub fn until_random(&self, size: Size, technique: usize) -> [f64; 2] {
        let pairs = self.of(size, technique, Way::Alone).zip(self.of(size, RANDOM, Way::Alone));
        let all: Vec<[f64; 2]> = pairs.map(|(own, random)| own.until(random.after(usize::MAX))).collect();
        [0, 1].map(|i| median(&all.iter().map(|it| it[i]).collect::<Vec<_>>()))
    }

    /// Share of the training steps that a pruner saved, median.
    pub fn saved(&self, sizes: &[Size], technique: usize, way: Way) -> f64 {
        median(&self.figures(sizes, technique, way, Finished::saved))
    }

    pub fn trials_in_words(&self, trials: f64) -> String {
        if trials.is_finite() { format!("{trials}") } else { format!("> {}", self.n_trials) }
    }

    /// Share of the studies that end better than random search, ties counted half.
    pub fn wins(&self, size: Size, technique: usize, n: usize) -> f64 {
        wins(&self.through_random(size, technique, n))
    }
}

/// Share of these ratios that are below 1, those that are 1 counted half.
pub fn wins(ratios: &[f64]) -> f64 {
    mean(ratios.iter().map(|&ratio| win(ratio, 1.0)))
}

pub fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

pub fn times(ratio: f64) -> String {
    format!("{ratio:.2}")
}

fn ratio(loss: f64, rival: f64) -> f64 {
    loss_ratio(counted_loss(loss), counted_loss(rival))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_counts_half() {
        assert_eq!([&[0.9][..], &[1.1], &[1.0], &[0.5, 2.0, 1.0, 0.9]].map(|it| (8.0 * wins(it)) as u8), [8, 0, 4, 5]);
    }

    #[test]
    fn a_study_in_which_nothing_converged_is_never_better() {
        assert!(ratio(f64::INFINITY, 0.5) > 1.0 && ratio(0.5, f64::INFINITY) < 1.0);
        assert!((ratio(f64::INFINITY, f64::INFINITY) - 1.0).abs() < 1e-12);
    }
}
