//! Pruners stop trials early that promise no good result; one file for each. They decide as Optuna's pruners of the
//! same name do.
//!
//! # Adding one
//! Write `pruners/NAME.rs` with a type that implements `Pruner` and `fn build(spec: &mut Spec) -> Result<Box<dyn
//! Pruner>, SpecError>`; its head gives the rule in two sentences and the paper, its options a table. Register it here:
//! `mod NAME;`, its name and a sentence in [`ALL`], and one line in the `match` of `build`.

mod asha;
mod hyperband;
mod median;
mod patience;
mod percentile;

use super::direction::Direction;
use super::samplers::Setting;
use super::spec::{Spec, SpecError, first_of_each};
use super::trial::Trial;
use std::collections::BTreeMap;

/// The pruners that come with qgd, each with a sentence.
pub const ALL: [(&str, &str); 6] = [
    ("none", "Every trial runs to its end. The default."),
    ("median", "Stops a trial whose best value is worse than the median of the others at the same step."),
    ("percentile", "The same with another percentile than 50."),
    ("asha", "Asynchronous successive halving: the best of each rung go on."),
    ("hyperband", "Successive halving with several first rungs at once, for early values that say little."),
    ("patience", "Stops a trial that has not become better for a number of reports."),
];

/// Names of the pruners that come with qgd.
pub const NAMES: [&str; ALL.len()] = first_of_each(ALL);

/// Says whether a trial should stop.
///
/// What it answers depends on [`Judging`] alone.
pub(super) trait Pruner: Send + Sync {
    /// Judges a trial that has just reported a value.
    fn judge(&self, judging: &Judging<'_>) -> Verdict;
}

/// All that a verdict may depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judging<'a> {
    /// Name of the study.
    pub study: &'a str,
    /// Direction of its only objective.
    pub direction: Direction,
    /// The trial that may be stopped. It has at least one intermediate value.
    pub trial: &'a Trial,
    /// All trials of the study, by number, this one among them.
    pub trials: &'a [&'a Trial],
}

impl Judging<'_> {
    /// The intermediate values of a trial, by step, turned so that smaller is better.
    fn costs(&self, trial: &Trial) -> Vec<(i64, f64)> {
        trial.intermediate.iter().map(|(&step, &value)| (step, self.direction.cost(value))).collect()
    }
}

/// Answer of a pruner.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Verdict {
    /// Whether the trial should stop now.
    pub prune: bool,
    /// Numbers to be noted among the system attributes of this trial, for the next time a trial is judged.
    pub notes: BTreeMap<String, f64>,
}

impl From<bool> for Verdict {
    fn from(prune: bool) -> Self {
        Self { prune, notes: BTreeMap::new() }
    }
}

/// The pruner that `text` names, for instance `median:n_startup_trials=10`.
///
/// # Errors
/// When there is none of that name, an option is wrong, or the study has several objectives.
pub(super) fn build(text: &str, setting: &Setting<'_>) -> Result<Box<dyn Pruner>, SpecError> {
    let mut spec = Spec::parse(text)?;
    let pruner: Box<dyn Pruner> = match spec.name.as_str() {
        "none" => Box::new(Never),
        "median" => median::build(&mut spec)?,
        "percentile" => percentile::build(&mut spec)?,
        "asha" => asha::build(&mut spec)?,
        "hyperband" => hyperband::build(&mut spec)?,
        "patience" => patience::build(&mut spec)?,
        _ => return Err(SpecError::UnknownName { what: "pruner", name: spec.name, known: NAMES.join(", ") }),
    };
    if spec.name != "none" {
        setting.one_objective(&spec.name)?;
    }
    spec.finish()?;
    Ok(pruner)
}

/// Largest step, and largest number of trials, that an option may name: databases hold no larger ones.
const MOST: i32 = i32::MAX;

struct Never;

impl Pruner for Never {
    fn judge(&self, _judging: &Judging<'_>) -> Verdict {
        false.into()
    }
}

#[cfg(test)]
mod tests;
