//! The result of a run: for people, and as JSON.

use super::TrainArgs;
use crate::cli::decider::Decider;
use crate::cli::failure::Failure;
use crate::cli::run::{Run, Scores};
use qgd::data::Dataset;
use qgd::driver::DecisionCounts;
use qgd::report::number;
use qgd::task::TaskSpec;
use serde::Serialize;
use std::fmt;

/// The result of `qgd train`. In JSON a number that is not finite is null, and `diverged` is true.
#[derive(Debug, Serialize)]
pub struct Outcome {
    task: String,
    controller: String,
    schedule: Option<String>,
    optimizer: String,
    seed: u64,
    version: &'static str,
    steps: u64,
    gradient_evaluations: u64,
    batch_size: usize,
    n_parameters: usize,
    device: String,
    threads: u16,
    /// Mean over the whole training split after the last step, without any penalty.
    train_loss: f64,
    /// Null where the split has no examples.
    validation_loss: Option<f64>,
    /// Null in regression, and where the split has no examples.
    validation_accuracy: Option<f64>,
    /// Null where the split has no examples.
    test_loss: Option<f64>,
    /// Null in regression, and where the split has no examples.
    test_accuracy: Option<f64>,
    diverged: bool,
    lr_first: f64,
    lr_last: f64,
    weight_decay_last: f64,
    decisions: DecisionCounts,
    rollbacks: u64,
    wall_s: f64,
}

impl Outcome {
    /// Evaluates a finished run.
    pub fn of(
        task: &TaskSpec,
        decider: &Decider,
        args: &TrainArgs,
        run: &Run,
        data: &Dataset,
        wall_s: f64,
    ) -> Result<Self, Failure> {
        let Scores { train, validation, test } = run.evaluate(data)?;
        let optimizer = &run.optimizer;
        let validation_loss = (!data.validation.is_empty()).then_some(validation.loss);
        let test_loss = (!data.test.is_empty()).then_some(test.loss);
        let losses = [Some(train.loss), validation_loss, test_loss];
        Ok(Self {
            task: task.name(),
            controller: decider.controller_name().to_owned(),
            schedule: decider.schedule().map(|schedule| schedule.to_string()),
            optimizer: task.train.optimizer.name().to_owned(),
            seed: args.seed,
            version: env!("CARGO_PKG_VERSION"),
            steps: task.train.steps,
            // One at each step: a step that was rolled back needed its gradient too.
            gradient_evaluations: task.train.steps,
            batch_size: task.train.batch_size,
            n_parameters: run.n_parameters(),
            device: args.machine.device.clone(),
            threads: args.threads,
            train_loss: train.loss,
            validation_loss,
            validation_accuracy: validation.accuracy,
            test_loss,
            test_accuracy: test.accuracy,
            diverged: !losses.into_iter().flatten().all(f64::is_finite),
            lr_first: task.train.lr,
            lr_last: optimizer.lr(),
            weight_decay_last: optimizer.weight_decay(),
            decisions: optimizer.counts(),
            rollbacks: optimizer.rollbacks(),
            wall_s,
        })
    }

    /// One JSON object with a line end.
    pub fn to_json(&self) -> Result<Vec<u8>, Failure> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match &self.schedule {
            Some(schedule) => format!("schedule {schedule}"),
            None => format!("controller {}", self.controller),
        };
        writeln!(
            f,
            "{}: {} parameters, {}, {} steps, {by}, seed {}",
            self.task, self.n_parameters, self.optimizer, self.steps, self.seed
        )?;
        writeln!(f, "  train loss       {}", number(self.train_loss))?;
        let loss = |loss: Option<f64>| loss.map_or_else(|| "none: the split has no examples".to_owned(), number);
        writeln!(f, "  validation loss  {}", loss(self.validation_loss))?;
        write!(f, "  test loss        {}", loss(self.test_loss))?;
        match self.test_accuracy {
            Some(accuracy) => writeln!(f, "   accuracy {:.1} %", 100.0 * accuracy)?,
            None => writeln!(f)?,
        }
        writeln!(f, "  learning rate    {} → {}", number(self.lr_first), number(self.lr_last))?;
        if self.schedule.is_none() {
            let DecisionCounts { halve, accept, grow } = self.decisions;
            writeln!(
                f,
                "  decisions        {halve} halve, {accept} accept, {grow} grow; {} rollbacks",
                self.rollbacks
            )?;
        }
        write!(f, "  took             {:.1} s", self.wall_s)
    }
}
