//! What a controller does where: its actions on a few fixed tasks from a low, a middling and a high start of the value it moves (of the
//! learning rate, where it moves both).

use super::optimizer::Algorithm;
use super::recipe::{TaskConfig, TrainingRecipe};
use super::rollout::rollout;
use super::tasks::Task;
use crate::controller::{Controller, RecipeError};
use crate::driver::{Driver, TraceRecord};
use crate::policy::{Controls, Move};
use crate::rng::stream;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};

/// The steps of every run.
const HORIZON: u64 = 800;
/// Seed of the tasks: fixed, so that portraits can be compared.
const SEED: u64 = 0;

/// Shares of the actions in one phase of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Phase {
    /// Halve, accept, grow; the guard's decisions included.
    pub shares: [f64; 3],
    /// The value at the end of the phase over the one the run started with.
    pub ratio: f64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PortraitRow {
    /// Family and optimizer.
    pub run: String,
    /// What the value was at the start.
    pub start: f64,
    /// What the recipe's rewards are made of (most often the loss on the evaluation batch), at the start and at the end.
    pub losses: [f64; 2],
    /// Steps 0 to 63, up to half time, the second half.
    pub phases: [Phase; 3],
}

/// A controller's behaviour on fixed MLP tasks of 800 steps, one an optimizer. Empty for a line search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Portrait {
    /// The value: `lr`, or `λ`.
    pub value: &'static str,
    /// All runs.
    pub rows: Vec<PortraitRow>,
}

impl Portrait {
    /// Runs the controller.
    ///
    /// # Errors
    /// When the table `training` of its recipe cannot be read.
    pub fn of(controller: &Controller) -> Result<Self, RecipeError> {
        let recipe = TrainingRecipe::of(controller.recipe())?;
        let decays = controller.recipe().controls == Controls::WeightDecay;
        let algorithms = [Algorithm::Sgd, Algorithm::Momentum, Algorithm::Adam];
        let runs = algorithms.into_iter().flat_map(|algorithm| {
            let [low, high] = if decays { tasks(&recipe).weight_decay_range() } else { algorithm.start_range() };
            [low, (low * high).sqrt(), high].map(|start| (algorithm, start))
        });
        let rows = runs.filter_map(|(algorithm, start)| row(controller, &recipe, algorithm, start)).collect();
        Ok(Self { value: if decays { "λ" } else { "lr" }, rows })
    }
}

/// For controllers of the learning rate always the same tasks; where the weight decay matters, those of the recipe.
fn tasks(recipe: &TrainingRecipe) -> TaskConfig {
    if recipe.controller.watches_validation() { recipe.training.tasks.clone() } else { TaskConfig::default() }
}

fn row(controller: &Controller, recipe: &TrainingRecipe, algorithm: Algorithm, start: f64) -> Option<PortraitRow> {
    let optimizers = Algorithm::ALL.map(|other| if other == algorithm { 1.0 } else { 0.0 });
    let config = TaskConfig { families: vec![0.0, 0.0, 1.0, 0.0], optimizers, ..tasks(recipe) };
    let mut task = Task::draw(&config, &mut stream(SEED, "portrait")).of_recipe(recipe);
    task.horizon = HORIZON;
    let decays = controller.recipe().controls == Controls::WeightDecay;
    let (lr, weight_decay) = if decays { (task.lr, start) } else { (start, task.weight_decay) };
    let x = task.start.clone();
    let first_loss = task.evaluate(&x);
    let driver_config = controller.driver_config(Some(HORIZON));
    let mut driver = Driver::new(controller.clone(), lr, weight_decay, driver_config).ok()?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    driver.on_decision(Box::new(move |record: &TraceRecord<'_>| {
        let moved = record.action.map(|a| if decays { a.weight_decay } else { a.lr });
        let value = if decays { record.weight_decay } else { record.lr };
        log.lock().unwrap_or_else(PoisonError::into_inner).push((record.step, moved, value));
    }));
    let last_loss = rollout(&mut task, &mut driver, false).final_loss();
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let phase = |from: u64, to: u64| {
        let within: Vec<_> = seen.iter().filter(|(step, ..)| (from..to).contains(step)).collect();
        let share =
            |m: Move| within.iter().filter(|(_, a, _)| *a == Some(m)).count() as f64 / within.len().max(1) as f64;
        let last = seen.iter().rev().find(|(step, ..)| *step < to);
        Phase { shares: Move::ALL.map(share), ratio: last.map_or(1.0, |(_, _, value)| value / start) }
    };
    let phases = [phase(0, 64), phase(64, HORIZON / 2), phase(HORIZON / 2, HORIZON)];
    let run = format!("{} {}", task.family.name(), task.algorithm.name());
    Some(PortraitRow { run, start, losses: [first_loss, last_loss], phases })
}
