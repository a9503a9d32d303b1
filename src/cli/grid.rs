//! Many runs of one task side by side: each on a thread of its own, with libtorch on a single one.

use super::decider::Decider;
use super::failure::Failure;
use super::progress::Progress;
use super::run::{Run, Scores};
use super::setting::Machine;
use qgd::data::Dataset;
use qgd::report::number;
use qgd::task::TaskSpec;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tch::Device;

/// A loss that diverged, or is worse, counts as this; as in the PyTorch reference.
pub const WORST_LOSS: f64 = 1e3;
const BEST_LOSS: f64 = 1e-8;

/// A task with its data, split by each of the seeds.
pub struct Grid<'a> {
    task: &'a TaskSpec,
    device: Device,
    datasets: BTreeMap<u64, Dataset>,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    pub decider: &'a Decider,
    pub lr: f64,
    pub seed: u64,
}

/// What came out of it.
pub struct Finished {
    pub scores: Scores,
    /// The loss of every batch.
    pub losses: Vec<f64>,
    /// The learning rate of every step.
    pub lrs: Vec<f64>,
    pub rollbacks: u64,
}

impl<'a> Grid<'a> {
    /// Reads the data once for each seed.
    pub fn new(task: &'a TaskSpec, machine: &Machine, seeds: impl Iterator<Item = u64>) -> Result<Self, Failure> {
        let datasets = seeds.map(|seed| Ok((seed, machine.dataset(task, seed)?))).collect::<Result<_, Failure>>()?;
        Ok(Self { task, device: machine.device()?, datasets })
    }

    /// Tries whether every run can start, so that bad input is found before hours of work.
    pub fn check(&self, cells: &[Cell<'_>]) -> Result<(), Failure> {
        let mut seen: Vec<(&str, f64)> = Vec::new();
        for cell in cells {
            let key = (cell.decider.name(), cell.lr);
            if !seen.iter().any(|(name, lr)| *name == key.0 && lr.to_bits() == key.1.to_bits()) {
                seen.push(key);
                self.start(cell)?;
            }
        }
        Ok(())
    }

    /// Runs all cells, `n_jobs` at a time. The results are in the order of the cells, and do not depend on `n_jobs`.
    pub fn run(&self, cells: &[Cell<'_>], n_jobs: usize) -> Result<Vec<Finished>, Failure> {
        let progress = Progress::new("runs", cells.len() as u64, 1);
        let results: Mutex<BTreeMap<usize, Result<Finished, Failure>>> = Mutex::default();
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || {
            tch::set_num_threads(1);
            while let Some((i, cell)) =
                Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, cells.get(i)?)))
            {
                if failed.load(Ordering::Relaxed) {
                    break;
                }
                let result = self.train(cell);
                failed.fetch_or(result.is_err(), Ordering::Relaxed);
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                let loss = result.as_ref().map_or(f64::NAN, |finished| finished.scores.train.loss);
                results.insert(i, result);
                let done = results.len() as u64;
                if progress.wants(done) {
                    progress.show(done, || {
                        format!("{} from lr {}: loss {}", cell.decider.name(), number(cell.lr), number(loss))
                    });
                }
            }
        };
        std::thread::scope(|scope| (0..n_jobs.clamp(1, cells.len().max(1))).for_each(|_| _ = scope.spawn(work)));
        progress.finish();
        results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    }

    fn start(&self, cell: &Cell<'_>) -> Result<(Run, &Dataset), Failure> {
        let mut task = self.task.clone();
        task.train.lr = cell.lr;
        task.check().map_err(Failure::bad_input)?;
        let data = self.datasets.get(&cell.seed).ok_or_else(|| anyhow::anyhow!("no data for seed {}", cell.seed))?;
        Ok((Run::new(&task, data, cell.decider, cell.seed, self.device)?, data))
    }

    fn train(&self, cell: &Cell<'_>) -> Result<Finished, Failure> {
        let (mut run, data) = self.start(cell)?;
        let (mut losses, mut lrs) = (Vec::new(), Vec::new());
        for _ in 0..self.task.train.steps {
            losses.push(run.step()?.f_double_value(&[])?);
            lrs.push(run.optimizer.lr());
        }
        Ok(Finished { scores: run.evaluate(data)?, losses, lrs, rollbacks: run.optimizer.rollbacks() })
    }
}

/// The geometric mean of losses; one that is not finite counts as [`WORST_LOSS`].
pub fn geometric_mean(losses: impl Iterator<Item = f64>) -> f64 {
    let logs: Vec<f64> = losses
        .map(|loss| if loss.is_finite() { loss.clamp(BEST_LOSS, WORST_LOSS) } else { WORST_LOSS })
        .map(f64::ln)
        .collect();
    mean(logs.iter().copied()).exp()
}

/// The mean.
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// The median; between the two middle values where their number is even.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diverged_run_counts_as_the_worst_loss() {
        assert!((geometric_mean([f64::NAN, 1e-3].into_iter()) - 1.0).abs() < 1e-12);
        assert!((geometric_mean([f64::INFINITY, 1e9].into_iter()) - WORST_LOSS).abs() < 1e-6);
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert!((median(&[4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-12);
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!(median(&[]).is_nan());
    }
}
