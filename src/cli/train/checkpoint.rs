//! Checkpoints: a run that was killed goes on from its last one as if nothing had happened.

use super::trace::Written;
use crate::cli::decider::Decider;
use crate::cli::failure::Failure;
use crate::cli::lock::Lock;
use crate::cli::run::Run;
use anyhow::{Context, anyhow};
use qgd::artifact::{self, Kind};
use qgd::data::Batches;
use qgd::task::{Settings, TaskSpec, first_difference};
use qgd::torch::QControllerState;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The files in the folder of a run: its checkpoint, and a lock while it is running.
pub const FILE_NAMES: [&str; 2] = ["checkpoint.qgd", "lock"];

/// Everything that determines a run, as names and values: a checkpoint of another run is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity(Settings);

impl Identity {
    /// `data` is the fingerprint of the data.
    pub fn new(task: &TaskSpec, data: u64, decider: &Decider, seed: u64, device: &str, threads: u16) -> Self {
        // The path of the task file is left out, because the file may be moved.
        let mut values = task.settings();
        let setting = [
            ("content of the data", format!("{data:016x}")),
            ("controller", decider.controller_name().to_owned()),
            ("controller file", decider.fingerprint()),
            ("schedule", decider.schedule().map_or("none", |schedule| schedule.name()).to_owned()),
            ("seed", seed.to_string()),
            ("device", device.to_owned()),
            ("threads", threads.to_string()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        values.extend(setting.map(|(name, value)| (name.to_owned(), value)));
        Self(values)
    }
}

/// Progress of a run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    pub steps: u64,
    pub wall_s: f64,
    /// The trace up to here; that of an earlier part of the run where this part has none.
    pub trace: Written,
    /// Learning rate when the cooldown began, once it has.
    pub lr_found: Option<f64>,
}

impl Progress {
    /// Whether a run of so many steps can have left it.
    fn is_of_a_run(&self, n_steps: u64) -> bool {
        (1..=n_steps).contains(&self.steps)
            && self.trace.n_steps() <= self.steps
            && self.wall_s.is_finite()
            && self.wall_s >= 0.0
            && self.lr_found.is_none_or(|lr| lr.is_finite() && lr > 0.0)
    }
}

/// Contents of the file.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    identity: Identity,
    progress: Progress,
    /// State of net, optimizer and controller.
    state: QControllerState,
    batches: Batches,
    dropout: ChaCha8Rng,
}

/// The folder in which a run keeps its checkpoint.
pub struct Checkpoints {
    path: PathBuf,
    identity: Identity,
    found: Option<Checkpoint>,
    _lock: Lock,
}

impl Checkpoints {
    /// Locks `dir`, which is made where it is missing. Reads the checkpoint in it, if there is one, and checks that it
    /// belongs to this run. Removes what killed processes left beside it.
    pub fn open(dir: &Path, identity: Identity) -> Result<Self, Failure> {
        let [path, lock] = FILE_NAMES.map(|name| dir.join(name));
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let lock = Lock::hold(&lock, &format!("--resume {}", dir.display()))?;
        artifact::sweep(&path, Duration::ZERO);
        if !path.exists() {
            return Ok(Self { path, identity, found: None, _lock: lock });
        }
        let found: Checkpoint = artifact::read(&path, Kind::Checkpoint).map_err(Failure::bad_input)?;
        if let Some((name, there, here)) = first_difference(&found.identity.0, &identity.0) {
            return Err(Failure::BadInput(anyhow!(
                "{} belongs to another run: there {name} is {there}, here it is {here}; give the same task and flags, or another --resume folder",
                path.display()
            )));
        }
        Ok(Self { path, identity, found: Some(found), _lock: lock })
    }

    /// Restores `run`, which has so many steps in all, as the checkpoint has it, and says where it goes on.
    pub fn restore(&mut self, run: &mut Run, n_steps: u64) -> Result<Progress, Failure> {
        let Some(found) = self.found.take() else { return Ok(Progress::default()) };
        let context = || format!("{} does not fit this run", self.path.display());
        let steps = found.progress.steps;
        if !found.progress.is_of_a_run(n_steps) || !found.batches.fits(&run.batches) {
            let damaged = anyhow!("its progress or its batches are none that such a run can have left");
            return Err(Failure::BadInput(damaged.context(context())));
        }
        run.optimizer.load_state(found.state).with_context(context).map_err(Failure::BadInput)?;
        if run.optimizer.steps() != steps {
            let other = anyhow!("it says {steps} steps, but its state has {}", run.optimizer.steps());
            return Err(Failure::BadInput(other.context(context())));
        }
        (run.batches, run.dropout) = (found.batches, found.dropout);
        note!("going on at step {steps} of {n_steps}, from {}", self.path.display());
        Ok(found.progress)
    }

    /// Replaces the checkpoint by the state of `run` now.
    pub fn save(&self, run: &mut Run, progress: Progress) -> Result<(), Failure> {
        let checkpoint = Checkpoint {
            identity: self.identity.clone(),
            progress,
            state: run.optimizer.state()?,
            batches: run.batches.clone(),
            dropout: run.dropout.clone(),
        };
        artifact::write(&self.path, Kind::Checkpoint, &checkpoint)?;
        Ok(())
    }
}
