//! One trial as a training run in this process: the net of a task file, with the parameters of the trial in place of
//! its keys. The tuner chooses what is fixed during a run, a controller moves the rest.

pub mod keys;

use super::events::StudyEvents;
use crate::cli::decider::Decider;
use crate::cli::failure::Failure;
use crate::cli::interrupt;
use crate::cli::run::{Run, Scores};
use crate::cli::setting::{DATA_FOLDER, Machine};
use crate::cli::trials::number_json;
use anyhow::anyhow;
use clap::Args;
use keys::Keys;
use qgd::data::{Dataset, TargetKind};
use qgd::nets::{Evaluation, TensorSplit};
use qgd::tuner::{ActiveTrial, Direction, Outcome, Space, Study};
use qgd::words::counted;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tch::Device;

/// Number of times that the validation loss is reported in a run.
const N_REPORTS: u64 = 10;

/// Flags of trials that train a net instead of running a program.
#[derive(Debug, Args)]
#[command(next_help_heading = "A net instead of a program")]
pub struct TaskArgs {
    /// Train the net of this task in each trial: a file, or one that comes with qgd, by name
    #[arg(long, value_name = "TASK", conflicts_with_all = ["command", "logs"])]
    pub task: Option<PathBuf>,
    /// Controller of the learning rate or the weight decay: `none`, a pretrained controller by name, or a file
    #[arg(long, value_name = "NAME|FILE", default_value = "none", conflicts_with = "command")]
    controller: String,
    /// Device that computes
    #[arg(long, default_value = "cpu", value_parser = ["cpu", "cuda"], conflicts_with = "command")]
    device: String,
    /// Folder of the data files, if they are not beside the task file (see `qgd data`)
    #[arg(long, value_name = "DIR", default_value = DATA_FOLDER, conflicts_with = "command")]
    data_dir: Option<PathBuf>,
}

/// Trains a net in each trial.
pub struct TaskObjective {
    keys: Keys,
    machine: Machine,
    device: Device,
    decider: Decider,
    direction: Direction,
    timeout: Option<Duration>,
    data: Dataset,
    /// Seed of the split, the initial weights and the batches: the same in every trial.
    seed: u64,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl TaskObjective {
    /// Refuses parameters that are no keys, and values that their keys cannot have.
    pub fn new(args: &TaskArgs, file: &Path, space: &Space, directions: &[Direction]) -> Result<Self, Failure> {
        let &[direction] = directions else {
            return Err(Failure::BadInput(anyhow!(
                "--task has one objective, but the space has {}",
                counted(directions.len(), "objective")
            )));
        };
        let keys = Keys::read(file)?;
        keys.check(space)?;
        let decider = Decider::controller(&args.controller)?;
        let machine = Machine { device: args.device.clone(), data_dir: args.data_dir.clone() };
        let (device, seed) = (machine.device()?, 0);
        let data = machine.dataset(&keys.task(&BTreeMap::new())?, seed)?;
        if data.validation.is_empty() {
            return Err(Failure::BadInput(anyhow!("`data.split` leaves no validation examples to compare trials by")));
        }
        if direction == Direction::Maximize && data.kind != TargetKind::Classes {
            return Err(Failure::BadInput(anyhow!(
                "`direction` is \"maximize\", but must be \"minimize\" in regression: there is a loss, and no accuracy"
            )));
        }
        Ok(Self { keys, machine, device, decider, direction, timeout: None, data, seed })
    }

    /// The objective of this study: with its seed, and noted in it, so that no worker trains something else.
    pub fn of_study(mut self, study: &Study, timeout: Option<Duration>) -> Result<Self, Failure> {
        let (name, decider) = (self.keys.name(), &self.decider);
        let data = self.machine.fingerprint(&self.keys.task(&BTreeMap::new())?)?;
        let controller = format!("{} {}", decider.controller_name(), decider.fingerprint());
        study
            .bind_objective(&format!("{name}, data {data:016x}, controller {}", controller.trim_end()))
            .map_err(Failure::of_tuner)?;
        let seed = study.config().seed;
        if seed != self.seed {
            (self.data, self.seed) = (self.machine.dataset(&self.keys.task(&BTreeMap::new())?, seed)?, seed);
        }
        self.timeout = timeout;
        Ok(self)
    }

    /// Trains a net to its end, or until the pruner stops it. Answers the validation loss, or the accuracy where that
    /// is to be maximized.
    pub fn run(&self, trial: &ActiveTrial<'_>, events: &StudyEvents) -> Result<Outcome, Error> {
        self.trained(trial, events).map_err(|failure| failure.to_string().into())
    }

    fn trained(&self, trial: &ActiveTrial<'_>, events: &StudyEvents) -> Result<Outcome, Failure> {
        // Trials side by side use the cores better than the small products of one trial can.
        tch::set_num_threads(1);
        let task = self.keys.task(trial.params())?;
        let mut run = Run::new(&task, &self.data, &self.decider, self.seed, self.device)?;
        let validation = TensorSplit::new(&self.data.validation, self.device)?;
        let (start, n_steps) = (Instant::now(), task.train.steps);
        let interval = n_steps.div_ceil(N_REPORTS);
        for done in 1..=n_steps {
            if interrupt::signal().is_some() {
                return Ok(Outcome::given_back());
            }
            _ = run.step()?;
            if done % interval == 0 && done < n_steps {
                self.report(trial, events, done, run.score(&validation)?)?;
                if trial.should_prune()? {
                    return Ok(Outcome::pruned());
                }
            }
            if let Some(limit) = self.timeout.filter(|limit| start.elapsed() >= *limit) {
                return Ok(Outcome::failed(format!("it did not end within {} s", limit.as_secs_f64())));
            }
        }
        let scores = run.evaluate(&self.data)?;
        self.note(trial, &run, &scores)?;
        self.report(trial, events, n_steps, scores.validation)?;
        Ok(self.value(scores.validation).into())
    }

    fn report(
        &self,
        trial: &ActiveTrial<'_>,
        events: &StudyEvents,
        done: u64,
        evaluation: Evaluation,
    ) -> Result<(), Failure> {
        let (step, value) = (i64::try_from(done)?, self.value(evaluation));
        trial.report(step, value)?;
        events.reports(trial.number(), step, value);
        Ok(())
    }

    /// Value of a trial. That of a run that diverged is the worst possible.
    fn value(&self, evaluation: Evaluation) -> f64 {
        match self.direction {
            Direction::Maximize => evaluation.accuracy.unwrap_or(0.0),
            Direction::Minimize if evaluation.loss.is_nan() => f64::INFINITY,
            Direction::Minimize => evaluation.loss,
        }
    }

    fn note(&self, trial: &ActiveTrial<'_>, run: &Run, scores: &Scores) -> Result<(), Failure> {
        let accuracy = |evaluation: Evaluation| evaluation.accuracy.map_or(Json::Null, number_json);
        let notes = [
            ("train_loss", number_json(scores.train.loss)),
            ("validation_loss", number_json(scores.validation.loss)),
            ("validation_accuracy", accuracy(scores.validation)),
            ("test_loss", number_json(scores.test.loss)),
            ("test_accuracy", accuracy(scores.test)),
            ("lr_last", number_json(run.optimizer.lr())),
            ("weight_decay_last", number_json(run.optimizer.weight_decay())),
            ("n_parameters", run.n_parameters().into()),
        ];
        Ok(notes.into_iter().try_for_each(|(name, note)| trial.set_user_attr(name, note))?)
    }
}
