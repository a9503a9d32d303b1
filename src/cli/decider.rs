//! What moves the learning rate or the weight decay: nothing, a schedule, or a learned controller.

use super::failure::Failure;
use super::open_controller;
use anyhow::Context;
use qgd::controller::{OnlineConfig, Pretrained};
use qgd::driver::Pilot;
use qgd::rng::fnv1a;
use qgd::schedule::Schedule;
use qgd::{Controller, Controls};

/// Ending of a controller's name that means: it goes on learning in every run.
const ONLINE: &str = "+online";

/// What moves the learning rate or the weight decay.
#[derive(Debug, Clone)]
pub enum Decider {
    /// A schedule; [`Schedule::Constant`] if nothing is moved.
    Schedule(Schedule),
    /// A learned controller: the name that the user gave, the controller, and a hash of its file.
    Controller(String, Box<Controller>, u64),
}

impl Decider {
    /// The decider for `none`, for the name of a pretrained controller, or for a file. With `+online` at its end, the
    /// controller goes on learning in every run.
    pub fn controller(name: &str) -> Result<Self, Failure> {
        if name == "none" {
            return Ok(Self::Schedule(Schedule::Constant));
        }
        let file = name.strip_suffix(ONLINE).unwrap_or(name);
        let controller = open_controller(file).map_err(Failure::bad_input)?;
        let mut hash = file_hash(file)?;
        if file.len() < name.len() {
            controller.clone().online(OnlineConfig::default(), 0).map_err(Failure::bad_input)?;
            // So that no run of it is taken for a run of the same controller without learning.
            hash ^= fnv1a(ONLINE.as_bytes());
        }
        Ok(Self::Controller(name.to_owned(), Box::new(controller), hash))
    }

    /// The schedule of this name, or else the controller.
    pub fn named(name: &str) -> Result<Self, Failure> {
        name.parse().map(Self::Schedule).or_else(|_| Self::controller(name))
    }

    /// Name of the controller, `none` for a schedule.
    pub fn controller_name(&self) -> &str {
        match self {
            Self::Schedule(_) => "none",
            Self::Controller(name, ..) => name,
        }
    }

    /// The schedule, if the decider is one.
    pub fn schedule(&self) -> Option<Schedule> {
        match self {
            Self::Schedule(schedule) => Some(*schedule),
            Self::Controller(..) => None,
        }
    }

    /// Name for tables.
    pub fn name(&self) -> &str {
        match self {
            Self::Schedule(schedule) => schedule.name(),
            Self::Controller(name, ..) => name,
        }
    }

    /// Whether it must be told the validation loss at its decisions.
    pub fn watches_validation(&self) -> bool {
        matches!(self, Self::Controller(_, controller, _) if controller.recipe().watches_validation())
    }

    /// Whether it moves only the weight decay.
    pub fn moves_only_weight_decay(&self) -> bool {
        matches!(self, Self::Controller(_, controller, _) if controller.recipe().controls == Controls::WeightDecay)
    }

    /// Description that tells this controller from another of the same name.
    pub fn fingerprint(&self) -> String {
        match self {
            Self::Schedule(_) => String::new(),
            Self::Controller(_, controller, hash) => {
                let card = controller.card();
                format!(
                    "recipe {}, seed {}, {} inner steps, file {hash:016x}",
                    card.recipe_hash, card.seed, card.inner_steps
                )
            }
        }
    }

    /// The policy for one run, with the configuration of its driver.
    pub fn pilot(&self, total_steps: u64, seed: u64) -> Result<Pilot, Failure> {
        match self {
            Self::Schedule(schedule) => {
                let policy = schedule.policy(Some(total_steps), seed).map_err(Failure::bad_input)?;
                Ok(Pilot { policy, config: schedule.driver_config(Some(total_steps)) })
            }
            Self::Controller(name, controller, _) => {
                let config = controller.driver_config(Some(total_steps));
                let mut controller = (**controller).clone();
                if name.ends_with(ONLINE) {
                    controller = controller.online(OnlineConfig::default(), seed).map_err(Failure::bad_input)?;
                }
                Ok(Pilot::from(controller).with_config(config))
            }
        }
    }
}

/// Hash of the bytes of a pretrained controller.
fn file_hash(name: &str) -> Result<u64, Failure> {
    if Pretrained::is_file(name) {
        let bytes = std::fs::read(name).with_context(|| format!("cannot read {name}"));
        return bytes.map(|bytes| fnv1a(&bytes)).map_err(Failure::BadInput);
    }
    Pretrained::shipped_bytes(name).map(fnv1a).map_err(Failure::bad_input)
}
