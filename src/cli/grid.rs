//! Many runs of one task side by side: each on its own thread, on which libtorch uses no further threads.

use super::decider::Decider;
use super::ending;
use super::failure::Failure;
use super::pool::side_by_side;
use super::progress::Progress;
use super::run::{Run, Scores};
use super::setting::Machine;
use anyhow::Context;
use qgd::data::Dataset;
use qgd::nets;
use qgd::report::number;
use qgd::statistics::{DIVERGED_LOSS, counted_loss, geometric_mean};
use qgd::task::{OptimizerKind, TaskSpec};
use qgd::torch::Conditioning;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tch::Device;

/// No loss counts as less than this: a geometric mean over a loss of 0 would be 0.
const BEST_LOSS: f64 = 1e-8;

/// A task, with its data split by each of the seeds.
#[derive(Clone)]
pub struct Grid {
    task: TaskSpec,
    device: Device,
    datasets: Arc<BTreeMap<u64, Dataset>>,
    /// Bytes of the data.
    bytes: u128,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    pub decider: &'a Decider,
    pub lr: f64,
    pub weight_decay: f64,
    pub seed: u64,
}

/// Result of one run.
pub struct Finished {
    pub scores: Scores,
    /// Loss of every batch.
    pub losses: Vec<f64>,
    /// Learning rate of every step.
    pub lrs: Vec<f64>,
    pub rollbacks: u64,
}

impl Grid {
    /// Reads the data once for each seed, for `n_jobs` runs at a time. Refuses more than may be in memory, beside
    /// `beside_bytes`: each seed splits the data in its own way, and each run has a copy of its training split.
    pub fn new(
        task: &TaskSpec,
        machine: &Machine,
        seeds: &[u64],
        n_jobs: usize,
        beside_bytes: u128,
    ) -> Result<Self, Failure> {
        let n_seeds = seeds.len();
        let (mut datasets, mut bytes) = (BTreeMap::new(), 0);
        for &seed in seeds {
            let data = machine.dataset(task, seed)?;
            if datasets.is_empty() {
                let checked = nets::check_memory_of_runs(task, &data, n_seeds, n_jobs, beside_bytes);
                bytes = checked.context("--jobs and --seeds").map_err(Failure::BadInput)?;
            }
            datasets.insert(seed, data);
        }
        Ok(Self { task: task.clone(), device: machine.device()?, datasets: Arc::new(datasets), bytes })
    }

    /// Bytes of the data.
    pub fn bytes(&self) -> u128 {
        self.bytes
    }

    /// Whether there are validation examples, with every seed.
    pub fn has_validation(&self) -> bool {
        self.datasets.values().all(|data| !data.validation.is_empty())
    }

    /// The same data and net, trained in another way and for another number of steps.
    pub fn trained_by(&self, optimizer: OptimizerKind, conditioning: Conditioning, steps: u64) -> Self {
        let mut grid = self.clone();
        let train = &mut grid.task.train;
        (train.optimizer, train.conditioning, train.steps) = (optimizer, conditioning, steps);
        grid
    }

    /// Starts every kind of run once, so that bad input is found before hours of work.
    pub fn check(&self, cells: &[Cell<'_>]) -> Result<(), Failure> {
        let mut seen: Vec<(&str, [u64; 2])> = Vec::new();
        for cell in cells {
            let key = (cell.decider.name(), [cell.lr, cell.weight_decay].map(f64::to_bits));
            if !seen.contains(&key) {
                seen.push(key);
                self.start(cell)?;
            }
        }
        Ok(())
    }

    /// Runs all cells, `n_jobs` at a time. The results are in the order of the cells and do not depend on `n_jobs`.
    pub fn run(&self, cells: &[Cell<'_>], n_jobs: usize) -> Result<Vec<Finished>, Failure> {
        let progress = Progress::new("runs", cells.len() as u64, 1);
        let n_done = AtomicU64::new(0);
        let run = |i: usize| {
            let finished = self.train(&cells[i])?;
            let done = n_done.fetch_add(1, Ordering::Relaxed) + 1;
            if progress.wants(done) {
                progress.show(done, || cells[i].in_words(&finished.scores));
            }
            Ok(finished)
        };
        let kept = || {
            let done = n_done.load(Ordering::Relaxed);
            format!(
                "nothing is kept of {done} of {} runs: results are written in the end; the same line begins anew",
                cells.len()
            )
        };
        let results = ending::by_signal(kept, || side_by_side(cells.len(), n_jobs, run));
        progress.finish();
        results?
    }

    /// The run of a cell before its first step, and its data.
    pub fn start(&self, cell: &Cell<'_>) -> Result<(Run, &Dataset), Failure> {
        let mut task = self.task.clone();
        (task.train.lr, task.train.weight_decay) = (cell.lr, cell.weight_decay);
        task.check().map_err(Failure::bad_input)?;
        let data = self.datasets.get(&cell.seed).ok_or_else(|| anyhow::anyhow!("no data for seed {}", cell.seed))?;
        Ok((Run::new(&task, data, cell.decider, cell.seed, self.device)?, data))
    }

    /// Runs one cell on this thread.
    pub fn train(&self, cell: &Cell<'_>) -> Result<Finished, Failure> {
        let (mut run, data) = self.start(cell)?;
        let (mut losses, mut lrs) = (Vec::new(), Vec::new());
        for _ in 0..self.task.train.steps {
            losses.push(run.step()?.f_double_value(&[])?);
            lrs.push(run.optimizer.lr());
        }
        Ok(Finished { scores: run.evaluate(data)?, losses, lrs, rollbacks: run.optimizer.rollbacks() })
    }
}

impl Cell<'_> {
    fn in_words(&self, scores: &Scores) -> String {
        format!("{} from lr {}: loss {}", self.decider.name(), number(self.lr), number(scores.train.loss))
    }
}

/// Where a loss stands in a picture: above all others where it counts as that of a diverged run.
pub fn drawn(loss: f64) -> f64 {
    if loss < DIVERGED_LOSS { loss.max(BEST_LOSS) } else { f64::INFINITY }
}

/// What a loss counts as in means over seeds: [`BEST_LOSS`] at least, [`DIVERGED_LOSS`](qgd::statistics::DIVERGED_LOSS)
/// at most and where the run diverged.
pub fn counted(loss: f64) -> f64 {
    counted_loss(loss).max(BEST_LOSS)
}

/// Geometric mean of losses, each as it is [`counted`].
pub fn mean_loss(losses: impl Iterator<Item = f64>) -> f64 {
    geometric_mean(losses.map(counted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diverged_run_counts_as_the_worst_loss() {
        assert!((mean_loss([f64::NAN, 1e-3].into_iter()) - 1.0).abs() < 1e-12);
        assert!((mean_loss([f64::INFINITY, 1e9].into_iter()) - 1e3).abs() < 1e-6);
        assert!((drawn(0.5) - 0.5).abs() < 1e-12 && [1e9, f64::NAN].map(drawn).iter().all(|loss| loss.is_infinite()));
    }
}
