//! What a controller does where: its actions on a few fixed tasks from a low, a middling and a high start.

use super::config::TaskConfig;
use super::optimizer::Algorithm;
use super::rollout::rollout;
use super::tasks::Task;
use crate::controller::{Controller, Driver, Move};
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
    /// The learning rate at the end of the phase over the one the run started with.
    pub lr_ratio: f64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PortraitRow {
    /// Family and optimizer.
    pub run: String,
    /// The learning rate it started with.
    pub start: f64,
    /// Loss at the start and at the end, on the evaluation batch.
    pub losses: [f64; 2],
    /// Steps 0 to 63, up to half time, the second half.
    pub phases: [Phase; 3],
}

/// A controller's behaviour on fixed MLP tasks of 800 steps, one an optimizer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Portrait {
    /// All runs.
    pub rows: Vec<PortraitRow>,
}

impl Portrait {
    /// Runs the controller.
    pub fn of(controller: &Controller) -> Self {
        let algorithms = [Algorithm::Sgd, Algorithm::Momentum, Algorithm::Adam];
        let runs = algorithms.into_iter().enumerate().flat_map(|(i, algorithm)| {
            let [low, high] = algorithm.start_range();
            [low, (low * high).sqrt(), high].map(|start| (i, start))
        });
        Self { rows: runs.filter_map(|(i, start)| row(controller, i, start)).collect() }
    }
}

fn row(controller: &Controller, algorithm: usize, start: f64) -> Option<PortraitRow> {
    let mut optimizers = [0.0; 4];
    optimizers[algorithm] = 1.0;
    let config = TaskConfig { families: [0.0, 0.0, 1.0, 0.0], optimizers, ..TaskConfig::default() };
    let mut task = Task::draw(&config, &mut stream(SEED, "portrait"));
    task.horizon = HORIZON;
    let first_loss = task.problem.evaluate(&task.start);
    let driver_config = controller.driver_config(Some(HORIZON));
    let mut driver = Driver::new(controller.clone(), start, task.weight_decay, driver_config).ok()?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    driver.on_decision(Box::new(move |record| {
        log.lock().unwrap_or_else(PoisonError::into_inner).push((record.step, record.action.map(|a| a.lr), record.lr));
    }));
    let last_loss = rollout(&mut task, &mut driver, false).final_loss();
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let phase = |from: u64, to: u64| {
        let within: Vec<_> = seen.iter().filter(|(step, ..)| (from..to).contains(step)).collect();
        let share =
            |m: Move| within.iter().filter(|(_, a, _)| *a == Some(m)).count() as f64 / within.len().max(1) as f64;
        let last = seen.iter().rev().find(|(step, ..)| *step < to);
        Phase { shares: Move::ALL.map(share), lr_ratio: last.map_or(1.0, |(_, _, lr)| lr / start) }
    };
    let phases = [phase(0, 64), phase(64, HORIZON / 2), phase(HORIZON / 2, HORIZON)];
    let run = format!("{} {}", task.family.name(), task.algorithm.name());
    Some(PortraitRow { run, start, losses: [first_loss, last_loss], phases })
}
