//! Validation: tasks that meta-training never draws, each from five starts, against a tuned rival on the same batches.

mod rival;

use super::engine::{Engine, EngineError};
use super::line_search::line_search_rollout;
use super::recipe::{TaskConfig, TrainingRecipe};
use super::tasks::Task;
use crate::controller::{Controller, EvaluationRow, Pretrained};
use crate::driver::{Driver, DriverConfig, LineSearch, LineSearchError};
use crate::parallel::parallel;
use crate::policy::Policy;
use crate::rng::stream;
use crate::statistics::{DIVERGED_LOSS, counted_loss, log_loss, loss_ratio, median};
pub(super) use rival::{Start, grid, n_rivals};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Number of starts, spread log-evenly over the range of the controlled value.
pub(super) const N_STARTS: usize = 5;

/// What is called whenever a net of the rival begins, on the thread that trains it.
pub(super) type OnNet<'a> = dyn Fn() + Sync + 'a;

/// Fixed validation tasks, with the losses of the tuned rival.
#[derive(Debug, Clone)]
pub struct ValidationSet {
    tasks: Vec<Task>,
    /// For each task, where the controller starts.
    starts: Vec<[Start; N_STARTS]>,
    rival_best: Vec<f64>,
    rival_median: Vec<f64>,
}

/// How good a controller is on a [`ValidationSet`].
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Mean over tasks and starts of ln((final loss + 1e-2) / (loss of the tuned rival + 1e-2)): lower is better.
    pub mean_log_ratio: f64,
    /// Geometric mean over tasks of (median over the starts + 1e-2) / (tuned rival + 1e-2).
    pub tuned_ratio: f64,
    /// Geometric mean over tasks of (worst start + 1e-2) / (tuned rival + 1e-2).
    pub worst_ratio: f64,
    /// Both ratios by family and optimizer.
    pub rows: Vec<EvaluationRow>,
}

impl ValidationSet {
    /// Draws the tasks (from random streams that training never uses) and tunes the rival on each:
    ///
    /// | controls | starts | rival |
    /// |---|---|---|
    /// | lr | five learning rates | the best of cosine from 11 learning rates |
    /// | weight-decay | five weight decays, at the task's learning rate | the best of 9 fixed weight decays there |
    /// | both | five pairs | the best of cosine from 11 learning rates, then from the best one with 9 weight decays |
    ///
    /// Starts and grids are log-even over the range of the optimizer (of the recipe, for the weight decay), and runs
    /// are judged as the recipe's rewards are. The tasks come from the recipe's own distribution. For line searches
    /// they come from the default families, so that the scores of different recipes can be compared; with the recipe's
    /// horizons, starts and optimizers, on the full batch. The rival then trains on the full batch too.
    ///
    /// # Errors
    /// When the engine cannot run the tasks.
    pub fn draw(recipe: &TrainingRecipe, seed: u64, engine: impl Into<Engine>) -> Result<Self, EngineError> {
        Self::draw_telling(recipe, seed, engine.into(), &|| ())
    }

    /// [`ValidationSet::draw`], which calls `on_net` whenever a net of the rival begins.
    pub(super) fn draw_telling(
        recipe: &TrainingRecipe,
        seed: u64,
        engine: Engine,
        on_net: &OnNet<'_>,
    ) -> Result<Self, EngineError> {
        engine.check(recipe)?;
        let n = recipe.training.validation_tasks as usize;
        let (own, controller) = (&recipe.training.tasks, &recipe.controller);
        let config = match controller.line_search {
            None => own.clone(),
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
                task = task.of_recipe(recipe);
                task.known_budget = true;
                task.full_batch = controller.line_search.is_some();
                task
            })
            .collect();
        let starts = tasks.iter().map(|task| rival::starts(controller.controls, &config, task)).collect();
        let rivals = rival::tune(engine, controller.controls, &config, &tasks, on_net)?;
        let (rival_best, rival_median) = rivals.into_iter().unzip();
        Ok(Self { tasks, starts, rival_best, rival_median })
    }

    /// Runs the controller, without exploration, on every task from every start.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn score(&self, pretrained: &Arc<Pretrained>, engine: impl Into<Engine>) -> Result<Score, EngineError> {
        let from_starts = |(task, starts): (_, &[Start; N_STARTS])| starts.map(|start| (task, start, pretrained));
        let runs: Vec<Controlled<'_>> = self.tasks.iter().zip(&self.starts).flat_map(from_starts).collect();
        Ok(self.summarize(&controlled_losses(engine.into(), &runs)?))
    }

    fn summarize(&self, finals: &[f64]) -> Score {
        let mut families: BTreeMap<_, Vec<[f64; 3]>> = BTreeMap::new();
        let mut sum = 0.0;
        for (i, task) in self.tasks.iter().enumerate() {
            let own = &finals[i * N_STARTS..(i + 1) * N_STARTS];
            let log_ratio = |f: f64| loss_ratio(f, self.rival_best[i]).ln();
            sum += own.iter().map(|&f| log_ratio(f)).sum::<f64>() / N_STARTS as f64;
            let worst = own.iter().copied().fold(0.0, f64::max);
            let logs = [log_ratio(median(own)), log_ratio(worst), log_ratio(self.rival_median[i])];
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
            rival_median_ratio: geometric(logs, 2),
        });
        Score {
            mean_log_ratio: sum / self.tasks.len() as f64,
            tuned_ratio: geometric(&all, 0),
            worst_ratio: geometric(&all, 1),
            rows: rows.collect(),
        }
    }
}

/// A task, where it starts, and what controls it.
type Controlled<'a> = (&'a Task, Start, &'a Arc<Pretrained>);

/// Logarithms ([`log_loss`]) of what tasks end at under controllers, each from the task's own start.
pub(super) fn log_losses(engine: Engine, runs: &[(&Task, &Arc<Pretrained>)]) -> Result<Vec<f64>, EngineError> {
    let own_start = |task: &Task| Start { lr: task.lr, weight_decay: task.weight_decay };
    let runs: Vec<Controlled<'_>> =
        runs.iter().map(|&(task, pretrained)| (task, own_start(task), pretrained)).collect();
    Ok(controlled_losses(engine, &runs)?.into_iter().map(log_loss).collect())
}

/// The losses that tasks are judged by after whole runs under controllers that neither explore nor learn, all of one
/// recipe.
fn controlled_losses(engine: Engine, runs: &[Controlled<'_>]) -> Result<Vec<f64>, EngineError> {
    let controller = |k: usize| {
        let (task, _, pretrained): Controlled<'_> = runs[k];
        let controller = Controller::new(pretrained.clone());
        let config = task.told(controller.driver_config(None));
        (controller, config)
    };
    match runs.first().and_then(|(_, _, pretrained)| pretrained.recipe().line_search) {
        None => {
            let starts: Vec<(&Task, Start)> = runs.iter().map(|&(task, start, _)| (task, start)).collect();
            final_losses(engine, &starts, controller)
        }
        Some(line_search) => Ok(parallel(runs.len(), engine.n_threads(), |k| {
            let (task, start, _) = runs[k];
            let (controller, config) = controller(k);
            searched_loss(task, LineSearch::new(start.lr, start.weight_decay, line_search, config), controller)
        })),
    }
}

/// The loss that every task is judged by after a whole run from its start, under the policy that `with` returns for it;
/// [`DIVERGED_LOSS`] at most.
fn final_losses<P: Policy>(
    engine: Engine,
    runs: &[(&Task, Start)],
    with: impl Fn(usize) -> (P, DriverConfig) + Sync,
) -> Result<Vec<f64>, EngineError> {
    let start = |k: usize| {
        let (task, start) = runs[k];
        let (policy, config) = with(k);
        Ok((task.clone(), Driver::new(policy, start.lr, start.weight_decay, config)?))
    };
    let done = engine.rollouts(runs.len(), start, false)?;
    Ok(done.into_iter().map(|(_, run)| counted_loss(run.final_loss())).collect())
}

/// The same for one line search.
fn searched_loss(task: &Task, search: Result<LineSearch, LineSearchError>, mut controller: Controller) -> f64 {
    let run = search.and_then(|search| line_search_rollout(&mut task.clone(), search, &mut controller, false));
    run.map_or(DIVERGED_LOSS, |run| counted_loss(run.final_loss()))
}

pub(super) fn log_spaced(low: f64, high: f64, n: usize) -> impl Iterator<Item = f64> {
    (0..n).map(move |i| low * (high / low).powf(i as f64 / (n - 1) as f64))
}
