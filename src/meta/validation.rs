//! Validation: tasks that meta-training never draws, each from five starts, against the best-tuned cosine on the same batches.

use super::config::TaskConfig;
use super::line_search::line_search_rollout;
use super::rollout::rollout;
use super::tasks::Task;
use crate::controller::{
    Controller, Driver, DriverConfig, EvaluationRow, LineSearch, LineSearchError, Pretrained, Recipe,
};
use crate::parallel::parallel;
use crate::policy::Policy;
use crate::rng::stream;
use crate::schedule::{Cosine, Schedule};
use crate::statistics::median;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many starts, spread log-evenly over the optimizer's five decades.
const N_STARTS: usize = 5;
/// Starts a decade over which cosine is tuned.
const TUNED_PER_DECADE: usize = 2;
/// Added to every loss before ratios are taken: below it a task is solved.
const SOLVED: f64 = 1e-2;
/// What a diverged run counts as.
const DIVERGED: f64 = 1e3;

/// Fixed validation tasks with the figures of the tuned rival.
#[derive(Debug, Clone)]
pub struct ValidationSet {
    config: TaskConfig,
    tasks: Vec<Task>,
    cosine_best: Vec<f64>,
    cosine_median: Vec<f64>,
}

/// How a controller does on a [`ValidationSet`].
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Mean over tasks and starts of ln((final + 1e-2) / (best cosine + 1e-2)): lower is better.
    pub mean_log_ratio: f64,
    /// Geometric mean over tasks of median start / best cosine.
    pub tuned_ratio: f64,
    /// Geometric mean over tasks of worst start / best cosine.
    pub worst_ratio: f64,
    /// The same by family and optimizer.
    pub rows: Vec<EvaluationRow>,
}

impl ValidationSet {
    /// Draws the tasks (streams of their own, never used in training) and tunes cosine on each. They come from the default
    /// distribution whatever the recipe trains on, so that the scores of different recipes can be compared. Those of line searches are
    /// not: they train by SGD on the full batch, with the horizons and the starts of the recipe, and so does the cosine beside them.
    pub fn draw(recipe: &Recipe, seed: u64, n_threads: usize) -> Self {
        let n = recipe.meta.validation_tasks as usize;
        let own = &recipe.meta.tasks;
        let config = match recipe.line_search {
            None => TaskConfig::default(),
            Some(_) => TaskConfig {
                horizon: own.horizon,
                start: own.start,
                optimizers: own.optimizers,
                ..TaskConfig::default()
            },
        };
        let tasks: Vec<Task> = (0..n)
            .map(|i| {
                let mut task = Task::draw(&config, &mut stream(seed, &format!("validation {i}")));
                task = task.judged_by(recipe.meta.reward.of);
                task.known_budget = true;
                task.full_batch = recipe.line_search.is_some();
                task
            })
            .collect();
        let mut tuned = parallel(n, n_threads, |i| {
            let [low, high] = tasks[i].algorithm.start_range();
            let n_tuned = 5 * TUNED_PER_DECADE + 1;
            let config = Schedule::driver_config(Some(tasks[i].horizon));
            let cosine = || Cosine { total_steps: tasks[i].horizon };
            let losses: Vec<f64> =
                log_spaced(low, high, n_tuned).map(|lr| final_loss(&tasks[i], lr, cosine(), config.clone())).collect();
            let best = losses.iter().copied().fold(DIVERGED, f64::min);
            (best, median(&losses))
        });
        let (cosine_best, cosine_median) = tuned.drain(..).unzip();
        Self { config, tasks, cosine_best, cosine_median }
    }

    /// Runs the controller, greedily, on every task from every start.
    pub fn score(&self, pretrained: &Arc<Pretrained>, n_threads: usize) -> Score {
        let n = self.tasks.len();
        let finals = parallel(n * N_STARTS, n_threads, |k| {
            let task = &self.tasks[k / N_STARTS];
            let [low, high] = self.config.start_range(task.algorithm);
            let lr = log_spaced(low, high, N_STARTS).nth(k % N_STARTS).unwrap_or(low);
            let controller = Controller::new(pretrained.clone());
            let config = controller.driver_config(Some(task.horizon));
            match controller.recipe().line_search {
                None => final_loss(task, lr, controller, config),
                Some(line_search) => {
                    let search = LineSearch::new(lr, task.weight_decay, line_search, config);
                    searched_loss(task, search, controller)
                }
            }
        });
        self.summarise(&finals)
    }

    fn summarise(&self, finals: &[f64]) -> Score {
        let mut families: BTreeMap<_, Vec<[f64; 3]>> = BTreeMap::new();
        let mut sum = 0.0;
        for (i, task) in self.tasks.iter().enumerate() {
            let own = &finals[i * N_STARTS..(i + 1) * N_STARTS];
            let log_ratio = |f: f64| ((f + SOLVED) / (self.cosine_best[i] + SOLVED)).ln();
            sum += own.iter().map(|&f| log_ratio(f)).sum::<f64>() / N_STARTS as f64;
            let worst = own.iter().copied().fold(0.0, f64::max);
            let logs = [log_ratio(median(own)), log_ratio(worst), log_ratio(self.cosine_median[i])];
            families.entry((task.family, task.algorithm)).or_default().push(logs);
        }
        let geometric =
            |logs: &[[f64; 3]], k: usize| (logs.iter().map(|l| l[k]).sum::<f64>() / logs.len() as f64).exp();
        let all: Vec<[f64; 3]> = families.values().flatten().copied().collect();
        let rows = families.iter().map(|((family, algorithm), logs)| EvaluationRow {
            family: format!("{} {}", family.name(), algorithm.name()),
            n_tasks: logs.len() as u32,
            tuned_ratio: geometric(logs, 0),
            worst_ratio: geometric(logs, 1),
            cosine_median_ratio: geometric(logs, 2),
        });
        Score {
            mean_log_ratio: sum / self.tasks.len() as f64,
            tuned_ratio: geometric(&all, 0),
            worst_ratio: geometric(&all, 1),
            rows: rows.collect(),
        }
    }
}

/// The loss after a whole run from `lr`; [`DIVERGED`] at most.
fn final_loss<P: Policy>(task: &Task, lr: f64, policy: P, config: DriverConfig) -> f64 {
    let mut task = task.clone();
    let Ok(mut driver) = Driver::new(policy, lr, task.weight_decay, config) else { return DIVERGED };
    counted(rollout(&mut task, &mut driver, false).final_loss())
}

/// The same for a line search.
fn searched_loss(task: &Task, search: Result<LineSearch, LineSearchError>, mut controller: Controller) -> f64 {
    let run = search.and_then(|search| line_search_rollout(&mut task.clone(), search, &mut controller, false));
    run.map_or(DIVERGED, |run| counted(run.final_loss()))
}

fn counted(loss: f64) -> f64 {
    if loss.is_finite() { loss.min(DIVERGED) } else { DIVERGED }
}

fn log_spaced(low: f64, high: f64, n: usize) -> impl Iterator<Item = f64> {
    (0..n).map(move |i| low * (high / low).powf(i as f64 / (n - 1) as f64))
}
