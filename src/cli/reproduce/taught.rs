//! Agents that have tuned on other data sets before: the sampler `deep-q` with a file.

use super::lab::Lab;
use super::small_net::SmallNet;
use super::studies::{Told, Tried};
use crate::cli::failure::Failure;
use anyhow::Context;
use qgd::tuner::Space;
use qgd::tuner::samplers::deep_q::{Lesson, TeachConfig, teach};
use std::path::Path;

/// Random trials on each data set that an agent is taught with, and as many with `--quick`.
pub const LESSONS: usize = 300;
pub const QUICK_LESSONS: usize = 40;
/// Short studies that an agent makes while it is taught.
pub const EPISODES: usize = 1500;
/// What is added to the seed of random trials for lessons, so that they are those of no study.
pub const SEED: u64 = 1_000_000;
/// Trials of each of the short studies: [`TeachConfig`]'s own number, or as many as a small lesson has room for.
const TRIALS_OF_AN_EPISODE: usize = 20;

/// Trials on a data set, for others to learn from.
pub fn lesson<T: Told>(net: &SmallNet, space: &Space, trials: &[Tried<T>]) -> Result<Lesson, Failure> {
    let cost = |trial: &Tried<T>| Some(trial.outcome.told()).filter(|loss| loss.is_finite());
    let result = |trial: &Tried<T>| Ok((space.partial(&trial.params).map_err(Failure::bad_input)?, cost(trial)));
    let results = trials.iter().map(result).collect::<Result<_, Failure>>()?;
    Ok(Lesson { name: net.name.to_owned(), data: Some(net.facts()), results })
}

/// Teaches an agent on all lessons but `left_out`, and writes its file.
pub fn teach_without(
    lab: &Lab,
    space: &Space,
    lessons: &[Lesson],
    left_out: usize,
    file: &Path,
) -> Result<(), Failure> {
    let others: Vec<Lesson> =
        lessons.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, lesson)| lesson.clone()).collect();
    let room = others.iter().map(|lesson| lesson.results.len().saturating_sub(1)).min().unwrap_or(2);
    let config = TeachConfig {
        episodes: lab.scaled(EPISODES, 200, 10),
        trials: TRIALS_OF_AN_EPISODE.min(room),
        ..TeachConfig::default()
    };
    let agent = teach(space, &others, &config, |_, _| {}).map_err(Failure::bad_input)?;
    Ok(agent.save(file).with_context(|| format!("cannot write {}", file.display()))?)
}

/// The sampler as `qgd tune` takes it. The agent is told what it tunes.
pub fn sampler(net: &SmallNet, agent: &Path) -> String {
    let [examples, inputs, classes] = net.facts();
    format!("deep-q:{},examples={examples},inputs={inputs},classes={classes}", agent.display())
}
