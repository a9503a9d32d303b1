//! What moves the learning rate: nothing, a schedule, or a learned controller.

use super::failure::Failure;
use super::open_controller;
use qgd::Controller;
use qgd::controller::Pilot;
use qgd::schedule::Schedule;

/// What moves the learning rate.
#[derive(Debug, Clone)]
pub enum Decider {
    /// A fixed rule; [`Schedule::Constant`] for nothing at all.
    Schedule(Schedule),
    /// A learned policy, and what the user called it.
    Controller(String, Box<Controller>),
}

impl Decider {
    /// `none`, a pretrained controller, or a file.
    pub fn controller(name: &str) -> Result<Self, Failure> {
        if name == "none" {
            return Ok(Self::Schedule(Schedule::Constant));
        }
        let controller = open_controller(name).map_err(Failure::bad_input)?;
        Ok(Self::Controller(name.to_owned(), Box::new(controller)))
    }

    /// A schedule of this name, or else a controller.
    pub fn named(name: &str) -> Result<Self, Failure> {
        name.parse().map(Self::Schedule).or_else(|_| Self::controller(name))
    }

    /// The name of the controller, `none` for a schedule.
    pub fn controller_name(&self) -> &str {
        match self {
            Self::Schedule(_) => "none",
            Self::Controller(name, _) => name,
        }
    }

    /// The schedule, if it is one.
    pub fn schedule(&self) -> Option<Schedule> {
        match self {
            Self::Schedule(schedule) => Some(*schedule),
            Self::Controller(..) => None,
        }
    }

    /// A name for tables.
    pub fn name(&self) -> &str {
        match self {
            Self::Schedule(schedule) => schedule.name(),
            Self::Controller(name, _) => name,
        }
    }

    /// What tells this controller from another of the same name.
    pub fn fingerprint(&self) -> String {
        match self {
            Self::Schedule(_) => String::new(),
            Self::Controller(_, controller) => {
                let card = controller.card();
                format!("recipe {}, seed {}, {} inner steps", card.recipe_hash, card.seed, card.inner_steps)
            }
        }
    }

    /// The policy for one run, and how it is run.
    pub fn pilot(&self, total_steps: u64, seed: u64) -> Result<Pilot, Failure> {
        match self {
            Self::Schedule(schedule) => {
                let policy = schedule.policy(Some(total_steps), seed).map_err(Failure::bad_input)?;
                Ok(Pilot { policy, config: Schedule::driver_config(Some(total_steps)) })
            }
            Self::Controller(_, controller) => {
                let config = controller.driver_config(Some(total_steps));
                Ok(Pilot::from((**controller).clone()).with_config(config))
            }
        }
    }
}
