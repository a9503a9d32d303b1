//! What moves the learning rate or the weight decay: nothing, a schedule, or a learned controller.

use super::failure::Failure;
use super::open_controller;
use anyhow::{Context, anyhow};
use qgd::controller::{OnlineConfig, Pretrained};
use qgd::driver::Pilot;
use qgd::report::number;
use qgd::rng::fnv1a;
use qgd::schedule::Schedule;
use qgd::{Controller, Controls};

/// Ending of a controller's name that means: it goes on learning in every run.
const ONLINE: &str = "+online";

/// Ending of the name of a method that goes without the conditioning of the others.
pub const UNCONDITIONED: &str = ", unconditioned";

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
        if controller.recipe().line_search.is_some() {
            return Err(Failure::BadInput(anyhow!(
                "the controller {name} searches along lines: it tries one full batch again and again by plain gradient descent, \
                 which the tasks of qgd do not; it runs in Rust alone, by torch::QLineSearch. Those that move a task's rates are {}",
                of_tasks()
            )));
        }
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
        if let Ok(schedule) = name.parse() {
            return Ok(Self::Schedule(schedule));
        }
        let file = name.strip_suffix(ONLINE).unwrap_or(name);
        if name != "none" && !Pretrained::NAMES.contains(&file) && !Pretrained::is_file(file) {
            let (schedules, controllers) = (Schedule::ALL.map(Schedule::name).join(", "), of_tasks());
            return Err(Failure::BadInput(anyhow!(
                "`{name}` is no schedule ({schedules}), no controller ({controllers}) and no file"
            )));
        }
        Self::controller(name)
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

    /// Name as the user gave it, and as it stands in JSON.
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

    /// Number of the step after which the cooldown begins: the learning rate at that step is what was found. `None`
    /// where nothing is searched for, or nothing cools down.
    pub fn finds_at(&self, total_steps: u64) -> Option<u64> {
        let Self::Controller(_, controller, _) = self else { return None };
        let moves_lr = controller.recipe().controls != Controls::WeightDecay;
        let cooldown = controller.driver_config(Some(total_steps)).pace.cooldown;
        let before = ((1.0 - cooldown) * total_steps as f64).round() as u64;
        Some(before).filter(|&step| moves_lr && 0 < step && step < total_steps)
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

/// The shipped controllers that can train a task: those that do not search along lines.
fn of_tasks() -> String {
    let can = |name: &&str| Pretrained::shipped(name).is_ok_and(|shipped| shipped.recipe().line_search.is_none());
    Pretrained::NAMES.into_iter().filter(can).collect::<Vec<_>>().join(", ")
}

/// Name of a method for tables and charts: of a schedule as it is, of a controller `qgd (NAME)` without its folder, for
/// `lr` alone could be taken for a learning rate.
pub fn shown(name: &str) -> String {
    if name.strip_suffix(UNCONDITIONED).unwrap_or(name).parse::<Schedule>().is_ok() {
        return name.to_owned();
    }
    let file = name.rsplit('/').next().filter(|file| !file.is_empty());
    format!("qgd ({})", file.unwrap_or(name))
}

/// Learning rates of a run for people: where it began, what was found, and where it ended.
pub fn rates_in_words(first: f64, found: Option<f64>, last: f64) -> String {
    let [first_shown, last_shown] = [first, last].map(number);
    match found {
        Some(found) => format!("{first_shown}, found {}, cooled to {last_shown}", number(found)),
        None if first_shown == last_shown => first_shown,
        None => format!("{first_shown} → {last_shown}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_stands_where_the_cooldown_begins() {
        let at = |name: &str| Decider::named(name).unwrap().finds_at(400);
        assert_eq!(["lr", "joint", "weight-decay", "cosine"].map(at), [Some(200), Some(200), None, None]);
        assert_eq!(Decider::named("lr").unwrap().finds_at(1), None, "there is no step before the last");
    }

    #[test]
    fn no_method_is_shown_as_lr() {
        let names = ["lr", "lr+online", "runs/1/my.qgd", "cosine"].map(shown);
        assert_eq!(names, ["qgd (lr)", "qgd (lr+online)", "qgd (my.qgd)", "cosine"]);
    }

    #[test]
    fn rates_say_what_was_found() {
        assert_eq!(rates_in_words(1e-5, Some(0.0385), 0.000241), "1e-5, found 0.0385, cooled to 0.000241");
        assert_eq!([rates_in_words(0.01, None, 1e-7), rates_in_words(0.01, None, 0.01)], ["0.01 → 1e-7", "0.01"]);
    }
}
