//! The result of a run: for people, and as JSON.

use super::TrainArgs;
use super::checkpoint::Progress;
use crate::cli::decider::{Decider, rates_in_words};
use crate::cli::failure::Failure;
use crate::cli::run::{Run, Scores};
use crate::cli::setting::in_words;
use qgd::data::{Dataset, TargetPreparation};
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
    /// What became of the changes of weight matrices.
    conditioning: String,
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
    /// Root mean squared error in the units of the target. Null for classes, and where the split has no examples.
    test_rmse: Option<f64>,
    diverged: bool,
    lr_first: f64,
    /// Learning rate when the cooldown began: what the controller had found. Null without a cooldown.
    lr_found: Option<f64>,
    lr_last: f64,
    weight_decay_last: f64,
    decisions: DecisionCounts,
    rollbacks: u64,
    /// Whether the parameters are to the bit what they were at the start.
    is_as_at_start: bool,
    wall_s: f64,
}

impl Outcome {
    /// Evaluates a finished run.
    pub fn of(
        task: &TaskSpec,
        decider: &Decider,
        args: &TrainArgs,
        run: &mut Run,
        data: &Dataset,
        progress: Progress,
        is_as_at_start: bool,
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
            conditioning: task.train.conditioning.to_string(),
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
            test_rmse: test_loss.zip(unit(data)).map(|(loss, unit)| loss.sqrt() * unit),
            diverged: !losses.into_iter().flatten().all(f64::is_finite),
            lr_first: task.train.lr,
            lr_found: progress.lr_found,
            lr_last: optimizer.lr(),
            weight_decay_last: optimizer.weight_decay(),
            decisions: optimizer.counts(),
            rollbacks: optimizer.rollbacks(),
            is_as_at_start,
            wall_s: progress.wall_s,
        })
    }

    /// The losses and accuracies that there are, with their names in JSON.
    pub fn scores(&self) -> Vec<(&'static str, f64)> {
        let scores = [
            ("train_loss", Some(self.train_loss)),
            ("validation_loss", self.validation_loss),
            ("validation_accuracy", self.validation_accuracy),
            ("test_loss", self.test_loss),
            ("test_accuracy", self.test_accuracy),
        ];
        scores.into_iter().filter_map(|(name, score)| Some((name, score?))).collect()
    }

    /// What to look at after a run that has led nowhere.
    fn advice(&self) -> &'static str {
        if self.rollbacks > 0 && self.lr_last < self.lr_first {
            "give a lower --lr; if that is no better, look for wrong numbers in the data"
        } else if self.rollbacks > 0 {
            "look for wrong numbers in the data"
        } else {
            "give a higher --lr"
        }
    }

    /// One JSON object with a line end.
    pub fn to_json(&self) -> Result<Vec<u8>, Failure> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

/// What 1 in the scale of the outputs is in the units of the target, in regression.
fn unit(data: &Dataset) -> Option<f64> {
    match &data.preparation.targets {
        TargetPreparation::Values(scale) => Some(scale.deviation),
        TargetPreparation::Classes(_) => None,
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match &self.schedule {
            Some(schedule) => format!("schedule {schedule}"),
            None => format!("controller {}", self.controller),
        };
        let conditioning = in_words(&self.conditioning);
        writeln!(
            f,
            "{}: {} parameters, {}{conditioning}, {} steps, {by}, seed {}",
            self.task, self.n_parameters, self.optimizer, self.steps, self.seed
        )?;
        writeln!(f, "  train loss       {}", number(self.train_loss))?;
        let loss = |loss: Option<f64>| loss.map_or_else(|| "none: the split has no examples".to_owned(), number);
        writeln!(f, "  validation loss  {}", loss(self.validation_loss))?;
        writeln!(f, "  test loss        {}", loss(self.test_loss))?;
        if let Some(accuracy) = self.test_accuracy {
            writeln!(f, "  test accuracy    {:.1} %", 100.0 * accuracy)?;
        }
        if let Some(error) = self.test_rmse {
            writeln!(f, "  test RMSE        {} in units of the target", number(error))?;
        }
        writeln!(f, "  learning rate    {}", rates_in_words(self.lr_first, self.lr_found, self.lr_last))?;
        if self.schedule.is_none() {
            let DecisionCounts { halve, accept, grow } = self.decisions;
            writeln!(
                f,
                "  decisions        {halve} halve, {accept} accept, {grow} grow; {} rollbacks",
                self.rollbacks
            )?;
        }
        if self.is_as_at_start {
            let why = if self.rollbacks > 0 { "every step was undone" } else { "no step was large enough to move it" };
            writeln!(f, "  nothing learned  {why}: the net is as it was at the start;")?;
            writeln!(f, "                   {}", self.advice())?;
        }
        write!(f, "  took             {:.1} s", self.wall_s)
    }
}
