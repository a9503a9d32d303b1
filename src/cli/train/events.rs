//! What `--tensorboard` shows of a training run: every decision, the validation losses that a controller was told, and
//! the losses at the end.

use super::outcome::Outcome;
use crate::cli::decider::Decider;
use crate::cli::failure::Failure;
use crate::cli::tensorboard::{self, EventFile, Hparam, Status, Summary, action_name, folder_name, step_of};
use anyhow::Result;
use qgd::driver::{DecisionCallback, TraceRecord};
use qgd::report::number;
use qgd::task::TaskSpec;
use qgd::{Action, Move};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The event file of a run.
pub struct RunEvents {
    file: Arc<EventFile>,
    decider: Decider,
}

impl RunEvents {
    /// Begins an event file below `dir` for a run that has done `steps` steps. A run that keeps checkpoints in a folder
    /// goes on in the folder of events that it had before.
    pub fn begin(
        dir: &Path,
        (task, decider, seed): (&TaskSpec, &Decider, u64),
        resume: Option<&Path>,
        steps: u64,
    ) -> Result<Self> {
        let name = name(task, decider, seed);
        let folder = folder(dir, &name, resume)?;
        let file = EventFile::begin(&folder, step_of(steps))?;
        tensorboard::tell(dir, &folder);
        file.write(
            step_of(steps),
            &Summary::new().session_begins(&tensorboard::session(&folder), params(task, decider, seed)),
        );
        Ok(Self { file: Arc::new(file), decider: decider.clone() })
    }

    /// A callback that writes every decision.
    pub fn callback(&self) -> DecisionCallback {
        let (file, names) = (Arc::clone(&self.file), Names::of(&self.decider));
        Box::new(move |record| file.write(step_of(record.step), &names.summary(record)))
    }

    /// Writes the validation loss that the controller was told before the step of this number.
    pub fn validation(&self, step: u64, loss: f64) {
        self.file.write(step_of(step), &Summary::new().scalar("validation_loss", loss));
    }

    /// Writes the losses after the last step.
    pub fn end(&self, steps: u64, outcome: &Outcome) {
        let summary = Summary::new().session_ends(Status::Success);
        let scores = outcome.scores();
        let with = |summary: Summary, (name, score)| summary.scalar(&format!("final/{name}"), score);
        self.file.write(step_of(steps), &scores.into_iter().fold(summary, with));
    }

    /// Why not all events are in the file, if they are not.
    pub fn failure(&self) -> Option<Failure> {
        self.file.failure().map(Failure::Failed)
    }
}

/// The name of a run says what one compares: task, what moves the rates, start and seed.
fn name(task: &TaskSpec, decider: &Decider, seed: u64) -> String {
    let by = decider.name().rsplit('/').next().unwrap_or_default();
    folder_name(&format!("{}-{by}-from-{}-seed-{seed}", task.name(), number(task.train.lr)))
}

/// The folder of the run: with checkpoints always the same, without them a new one.
fn folder(dir: &Path, name: &str, resume: Option<&Path>) -> Result<PathBuf> {
    match resume.map(|kept| kept.file_name().unwrap_or_default().to_string_lossy()) {
        Some(kept) => Ok(dir.join(folder_name(&format!("{name}-{kept}")))),
        None => tensorboard::new_folder(dir, name),
    }
}

/// What the tab HPARAMS compares runs by.
fn params(task: &TaskSpec, decider: &Decider, seed: u64) -> [(&'static str, Hparam); 9] {
    let train = &task.train;
    [
        ("task", task.name().as_str().into()),
        ("controller", decider.name().into()),
        ("optimizer", train.optimizer.name().into()),
        ("conditioning", train.conditioning.to_string().as_str().into()),
        ("lr", train.lr.into()),
        ("weight_decay", train.weight_decay.into()),
        ("batch_size", (train.batch_size as f64).into()),
        ("steps", (train.steps as f64).into()),
        ("seed", (seed as f64).into()),
    ]
}

/// Tags of the curves that a decision adds to.
struct Names {
    features: Vec<String>,
    q_values: Vec<String>,
}

impl Names {
    fn of(decider: &Decider) -> Self {
        let Decider::Controller(_, controller, _) = decider else {
            return Self { features: Vec::new(), q_values: Vec::new() };
        };
        let recipe = controller.recipe();
        let feature = |name: &&str| format!("features/{name}");
        let q_value = |&action: &Action| format!("q/{}", action_name(recipe.controls, action));
        Self {
            features: recipe.features.names().iter().map(feature).collect(),
            q_values: recipe.actions().iter().map(q_value).collect(),
        }
    }

    fn summary(&self, record: &TraceRecord<'_>) -> Summary {
        let mut summary = Summary::new()
            .scalar("loss", record.loss)
            .scalar("lr", record.lr)
            .scalar("weight_decay", record.weight_decay);
        if let Some(Action { lr, weight_decay }) = record.action {
            summary = summary.scalar("action/lr", direction(lr)).scalar("action/weight_decay", direction(weight_decay));
        }
        let rows = [(&self.features, record.features), (&self.q_values, record.q_values)];
        for (tag, &value) in rows.iter().flat_map(|(tags, values)| tags.iter().zip(*values)) {
            summary = summary.scalar(tag, value.into());
        }
        if !record.reason.is_of_guard() {
            return summary;
        }
        let (name, words) = (record.reason.name(), record.reason.about());
        let text = format!("step {}: {words} (loss {})", record.step, number(record.loss));
        summary.scalar(&format!("guard/{name}"), 1.0).text("guard", &text)
    }
}

/// Down, as it is, or up.
fn direction(one: Move) -> f64 {
    match one {
        Move::Halve => -1.0,
        Move::Accept => 0.0,
        Move::Grow => 1.0,
    }
}
