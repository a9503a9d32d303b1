//! What a controller does: its actions on a few fixed tasks, from a low, a middle and a high start of the value that it
//! moves (of the learning rate, if it moves both).

use super::optimizer::InnerAlgorithm;
use super::recipe::{TaskConfig, TrainingRecipe};
use super::rollout::rollout;
use super::tasks::Task;
use crate::controller::{Controller, RecipeError};
use crate::driver::{Driver, TraceRecord};
use crate::policy::{Controls, Move};
use crate::rng::stream;
use crate::statistics::median;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};

/// Number of steps of every run.
const HORIZON: u64 = 800;
/// Seed of the tasks: fixed, so that portraits can be compared.
const SEED: u64 = 0;

/// What happened in one phase of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Phase {
    /// Shares of halve, accept and grow among the decisions, those of the guard included.
    pub shares: [f64; 3],
    /// Value at the end of the phase, divided by the value at the start of the run.
    pub ratio: f64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PortraitRow {
    /// Family of the task and its optimizer.
    pub run: String,
    /// Value at the start.
    pub start: f64,
    /// What the recipe's rewards are made of (usually the loss on the evaluation batch), at the start and at the end.
    pub losses: [f64; 2],
    /// Steps 0 to 63, from there to half of the run, and the second half.
    pub phases: [Phase; 3],
}

/// Behavior of a controller on fixed MLP tasks of 800 steps: three optimizers, three starts each. No rows for a line
/// search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Portrait {
    /// Name of the value that is moved: `lr` or `λ`.
    pub value: &'static str,
    /// One row for each run.
    pub rows: Vec<PortraitRow>,
    /// Median of each feature over all decisions of the networks in these runs: a state as they often meet it. Empty
    /// where there are no rows.
    pub medians: Vec<f64>,
}

impl Portrait {
    /// Runs the controller.
    ///
    /// # Errors
    /// When the table `training` of its recipe cannot be read.
    pub fn of(controller: &Controller) -> Result<Self, RecipeError> {
        let recipe = TrainingRecipe::of(controller.recipe())?;
        let decays = controller.recipe().controls == Controls::WeightDecay;
        let algorithms = [InnerAlgorithm::Sgd, InnerAlgorithm::Momentum, InnerAlgorithm::Adam];
        let runs = algorithms.into_iter().flat_map(|algorithm| {
            let [low, high] = if decays { tasks(&recipe).weight_decay_range() } else { algorithm.start_range() };
            [low, (low * high).sqrt(), high].map(|start| (algorithm, start))
        });
        let rows = runs.filter_map(|(algorithm, start)| row(controller, &recipe, algorithm, start));
        let (rows, seen): (Vec<_>, Vec<_>) = rows.unzip();
        Ok(Self { value: if decays { "λ" } else { "lr" }, rows, medians: medians(&seen.concat()) })
    }
}

/// The tasks: always the same for controllers of the learning rate, those of the recipe for controllers of the weight
/// decay.
fn tasks(recipe: &TrainingRecipe) -> TaskConfig {
    if recipe.controller.watches_validation() { recipe.training.tasks.clone() } else { TaskConfig::default() }
}

/// The median of each column.
fn medians(rows: &[Vec<f32>]) -> Vec<f64> {
    let n_columns = rows.first().map_or(0, Vec::len);
    let column = |i: usize| rows.iter().map(|row| f64::from(row[i])).collect::<Vec<_>>();
    (0..n_columns).map(|i| median(&column(i))).collect()
}

/// What a controller does in one run, and the features that its networks saw.
fn row(
    controller: &Controller,
    recipe: &TrainingRecipe,
    algorithm: InnerAlgorithm,
    start: f64,
) -> Option<(PortraitRow, Vec<Vec<f32>>)> {
    let optimizers = InnerAlgorithm::ALL.map(|other| if other == algorithm { 1.0 } else { 0.0 });
    let config = TaskConfig { families: vec![0.0, 0.0, 1.0, 0.0], optimizers, ..tasks(recipe) };
    let mut task = Task::draw(&config, &mut stream(SEED, "portrait")).of_recipe(recipe);
    task.horizon = HORIZON;
    let decays = controller.recipe().controls == Controls::WeightDecay;
    let (lr, weight_decay) = if decays { (task.lr, start) } else { (start, task.weight_decay) };
    let x = task.start.clone();
    let first_loss = task.evaluate(&x);
    let driver_config = controller.driver_config(Some(HORIZON));
    let mut driver = Driver::new(controller.clone(), lr, weight_decay, driver_config).ok()?;
    let seen = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let log = seen.clone();
    driver.on_decision(Box::new(move |record: &TraceRecord<'_>| {
        let moved = record.action.map(|a| if decays { a.weight_decay } else { a.lr });
        let value = if decays { record.weight_decay } else { record.lr };
        let log = &mut *log.lock().unwrap_or_else(PoisonError::into_inner);
        log.0.push((record.step, moved, value));
        log.1.extend(Some(record.features.to_vec()).filter(|features| !features.is_empty()));
    }));
    let last_loss = rollout(&mut task, &mut driver, false).final_loss();
    let (seen, features) = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    let phase = |from: u64, to: u64| {
        let within: Vec<_> = seen.iter().filter(|(step, ..)| (from..to).contains(step)).collect();
        let share =
            |m: Move| within.iter().filter(|(_, a, _)| *a == Some(m)).count() as f64 / within.len().max(1) as f64;
        let last = seen.iter().rev().find(|(step, ..)| *step < to);
        Phase { shares: Move::ALL.map(share), ratio: last.map_or(1.0, |(_, _, value)| value / start) }
    };
    let phases = [phase(0, 64), phase(64, HORIZON / 2), phase(HORIZON / 2, HORIZON)];
    let run = format!("{} {}", task.family.name(), task.algorithm.name());
    Some((PortraitRow { run, start, losses: [first_loss, last_loss], phases }, features))
}
