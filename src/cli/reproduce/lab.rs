//! What an experiment works with: its flags, its finished units, its progress bar.

use super::Flags;
use super::kept::Kept;
use crate::cli::arguments;
use crate::cli::decider::Decider;
use crate::cli::failure::Failure;
use crate::cli::progress::Progress;
use crate::cli::run::Run;
use crate::cli::setting::Machine;
use anyhow::Context;
use qgd::data::Dataset;
use qgd::schedule::Schedule;
use qgd::task::TaskSpec;
use qgd::words::counted;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use tch::Device;

/// What an experiment works with.
pub struct Lab<'a> {
    paper: &'static str,
    flags: &'a Flags,
    pub device: Device,
    kept: Kept,
}

/// Data, as each of the seeds splits them.
pub struct Splits(BTreeMap<u64, Dataset>);

/// Number of units that are done.
pub struct Counter {
    progress: Progress,
    done: AtomicU64,
}

impl<'a> Lab<'a> {
    pub fn new(paper: &'static str, flags: &'a Flags) -> Result<Self, Failure> {
        let kept = Kept::read(&flags.out.join(format!("{paper}.jsonl")))?;
        Ok(Self { paper, flags, device: flags.machine.device()?, kept })
    }

    /// Name of a file of the report.
    pub fn file(&self, ending: &str) -> String {
        format!("{}.{ending}", self.paper)
    }

    pub fn paper(&self) -> &'static str {
        self.paper
    }

    /// Folder of the report.
    pub fn out(&self) -> &Path {
        &self.flags.out
    }

    pub fn machine(&self) -> &Machine {
        &self.flags.machine
    }

    pub fn quick(&self) -> bool {
        self.flags.quick
    }

    /// `full`, or `quick` with `--quick`.
    pub fn either<T>(&self, full: T, quick: T) -> T {
        if self.flags.quick { quick } else { full }
    }

    /// Number of pieces of work: the multiple of `full`, or with `--quick` of `quick`, that `--scale` names. Never below
    /// `least`.
    pub fn scaled(&self, full: usize, quick: usize, least: usize) -> usize {
        ((self.either(full, quick) as f64 * self.flags.scale).round() as usize).max(least)
    }

    /// Seeds of the experiment.
    pub fn seeds(&self) -> Vec<u64> {
        (0..self.flags.seeds.unwrap_or(self.either(3, 1))).collect()
    }

    /// Number of nets in training at the same time.
    pub fn jobs(&self) -> usize {
        arguments::jobs(self.flags.jobs)
    }

    /// The flags on which the report depends, as they were given.
    pub fn command(&self) -> String {
        let Flags { quick, scale, seeds, machine, .. } = self.flags;
        let mut words = format!("qgd reproduce {}", self.paper);
        words += if *quick { " --quick" } else { "" };
        words += &seeds.map_or(String::new(), |seeds| format!(" --seeds {seeds}"));
        words += &if scale.to_bits() != 1f64.to_bits() { format!(" --scale {scale}") } else { String::new() };
        words + &if machine.device == "cpu" { String::new() } else { format!(" --device {}", machine.device) }
    }

    /// The unit of this key, which names all that it depends on: as it is kept, or else what `work` makes of it.
    pub fn unit<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // Another version may train otherwise.
        self.kept.unit(&format!("{} {} {key}", self.paper, env!("CARGO_PKG_VERSION")), work)
    }

    /// The data of a task, as each of the seeds splits them.
    pub fn splits(&self, task: &TaskSpec) -> Result<Splits, Failure> {
        let load = |seed| Ok((seed, self.machine().dataset(task, seed)?));
        self.seeds().into_iter().map(load).collect::<Result<_, Failure>>().map(Splits)
    }

    /// Trains the net of a task to its end, at a constant rate. The seed makes the initial weights and the batches.
    /// `after_step` sees the net after each step, whose number it gets.
    pub fn trained(
        &self,
        task: &TaskSpec,
        data: &Dataset,
        seed: u64,
        mut after_step: impl FnMut(&mut Run, u64) -> Result<(), Failure>,
    ) -> Result<Run, Failure> {
        task.check().map_err(Failure::bad_input)?;
        let mut run = Run::new(task, data, &Decider::Schedule(Schedule::Constant), seed, self.device)?;
        for step in 1..=task.train.steps {
            _ = run.step()?;
            after_step(&mut run, step)?;
        }
        Ok(run)
    }

    /// Begins to count units, `total` at most.
    pub fn counter(&self, unit: &'static str, total: usize) -> Counter {
        Counter { progress: Progress::new(unit, total as u64, 1), done: AtomicU64::new(0) }
    }

    /// What an interrupted experiment leaves, and how to go on.
    pub fn kept_in_words(&self) -> String {
        let (kept, path) = (counted(self.kept.len(), "finished unit"), self.kept.path().display());
        match self.kept.len() {
            0 => "nothing was finished yet; the same line begins anew".to_owned(),
            _ => format!("{path} has {kept}; the same line goes on from there"),
        }
    }
}

impl Splits {
    /// The data as this seed splits them.
    pub fn of(&self, seed: u64) -> Result<&Dataset, Failure> {
        Ok(self.0.get(&seed).with_context(|| format!("no data for seed {seed}"))?)
    }

    /// The data as the first seed splits them: sizes and kinds are those of all.
    pub fn first(&self) -> Option<&Dataset> {
        self.0.values().next()
    }

    /// Numbers of examples to train, to validate and to test by.
    pub fn sizes(&self) -> [usize; 3] {
        self.first().map_or([0; 3], |data| [data.train.len(), data.validation.len(), data.test.len()])
    }
}

impl Counter {
    /// Counts one more unit.
    pub fn done(&self, message: impl FnOnce() -> String) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.progress.wants(done) {
            self.progress.show(done, message);
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.progress.finish();
    }
}
