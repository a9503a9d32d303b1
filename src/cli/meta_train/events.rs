//! What `--tensorboard` shows of a meta-training: every round, and the validations.

use crate::cli::tensorboard::{self, EventFile, Hparam, Status, Summary, action_name, folder_name};
use anyhow::Result;
use qgd::meta::{RoundReport, Stage, TrainingRecipe};
use std::path::{Path, PathBuf};

/// What is said of a meta-training when its rounds begin.
pub struct About {
    folder: PathBuf,
    /// Tags of the shares of the actions, in the order of the Q-network's outputs.
    shares: Vec<String>,
    params: [(&'static str, Hparam); 4],
}

impl About {
    /// The meta-training of `output`, whose folder is below `dir` and is told here.
    pub fn new(dir: &Path, output: &Path, recipe: &TrainingRecipe, seed: u64, engine: &str) -> Self {
        let folder = dir.join(folder_name(&output.file_stem().unwrap_or_default().to_string_lossy()));
        tensorboard::tell(dir, &folder);
        let controller = &recipe.controller;
        let tag = |&action: &_| format!("actions/{}", action_name(controller.controls, action));
        let params = [
            ("recipe", controller.name.as_str().into()),
            ("recipe_hash", recipe.whole().hash().as_str().into()),
            ("seed", (seed as f64).into()),
            ("engine", engine.into()),
        ];
        Self { folder, shares: controller.actions().iter().map(tag).collect(), params }
    }

    /// Begins an event file, when so many rounds are done. A meta-training that replaces the output replaces the curves
    /// too.
    pub fn begin(self, rounds_done: u32) -> Result<RoundEvents> {
        let next = i64::from(rounds_done) + 1;
        let file = EventFile::begin(&self.folder, next)?;
        file.write(next, &Summary::new().session_begins(&tensorboard::session(&self.folder), self.params));
        Ok(RoundEvents { file, shares: self.shares })
    }
}

/// The event file of a meta-training.
pub struct RoundEvents {
    file: EventFile,
    shares: Vec<String>,
}

impl RoundEvents {
    /// Writes what a round did.
    pub fn round(&self, report: &RoundReport) {
        let mut summary = Summary::new().scalar("inner_steps", report.inner_steps as f64);
        summary = match &report.stage {
            Stage::Learning { mean_return, action_shares, q_loss, mean_abs_q } => {
                let summary = summary
                    .scalar("return", *mean_return)
                    .scalar("q/loss", f64::from(*q_loss))
                    .scalar("q/mean_abs", f64::from(*mean_abs_q));
                let shares = self.shares.iter().zip(action_shares);
                shares.fold(summary, |summary, (tag, share)| summary.scalar(tag, *share))
            }
            Stage::Polishing { mean_difference } => summary.scalar("polish/mean_difference", *mean_difference),
        };
        if let Some((score, tuned, worst)) = report.validation {
            let summary_of = [("score", score), ("tuned_ratio", tuned), ("worst_ratio", worst)];
            for (name, value) in summary_of {
                summary = summary.scalar(&format!("validation/{name}"), value);
            }
        }
        self.file.write(report.round.into(), &summary);
    }

    /// Says that the last round is done. Fails where not all events are in the file.
    pub fn end(&self, rounds: u32) -> Result<()> {
        self.file.write(rounds.into(), &Summary::new().session_ends(Status::Success));
        self.file.failure().map_or(Ok(()), Err)
    }
}
