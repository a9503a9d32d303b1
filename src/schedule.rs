//! The rivals: what people use today instead of a learned controller, each a [`Policy`], so that all run in the same
//! training loop.
//!
//! ```text
//! constant      lr_t = lr
//! step          lr_t = lr * 0.1^floor(t / S),  S a third of the budget                      (PyTorch's StepLR)
//! cosine        lr_t = lr * (1 + cos(pi t / T)) / 2                                         (CosineAnnealingLR)
//! warmup-cosine up to lr in W = 5 % of T, then along a cosine to zero          (LinearLR, then CosineAnnealingLR)
//! linear        lr_t = lr * (1 - t / T)                                                     (LinearLR)
//! wsd           up to lr in W steps, level, linear to zero over the last 20 %  (LinearLR, ConstantLR, LinearLR)
//! one-cycle     up from lr/25 to lr in 30 % of T, down to lr/250000, both along a cosine    (OneCycleLR)
//! plateau       lr / 10 when the smoothed loss has not fallen for 20 steps                  (ReduceLROnPlateau)
//! greedy        lr / 0.95 while the smoothed loss falls, lr * 0.95 while it does not        (GreedyLR)
//! always-accept the controller's actions, but never anything but *accept*
//! random        the controller's actions at random, without drift
//! ```
//!
//! `t` counts inner steps from 0, `T` is the budget. Every learning rate equals PyTorch's at every step (tested against
//! fixtures). A PyTorch scheduler acts *after* a step on what it saw there; ours acts at the next decision. OneCycleLR
//! also cycles the momentum of SGD; ours does not, because a policy moves only learning rate and weight decay.

mod adaptive;
mod budgeted;
mod bytes;
mod chance;

pub use adaptive::{Greedy, Plateau};
pub use budgeted::{Constant, Cosine, Linear, OneCycle, Step, WarmupCosine, WarmupStableDecay};
pub use chance::{AlwaysAccept, RandomActions};

use crate::driver::{Bounds, DriverConfig, Pace};
use crate::limits::is_positive;
use crate::policy::Policy;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A rival, by name.
///
/// ```
/// use qgd::schedule::Schedule;
/// use qgd::{Driver, Measured};
///
/// let cosine: Schedule = "cosine".parse()?;
/// let mut driver = Driver::new(cosine.policy(Some(100), 0)?, 0.1, 0.0, cosine.driver_config(Some(100)))?;
/// for _ in 0..=50 {
///     let _ = driver.step(&[1.0], true, Measured::default);
/// }
/// assert!((driver.lr() - 0.05).abs() < 1e-12, "half-way down after half the budget");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// See [`Constant`].
    Constant,
    /// See [`Step`].
    Step,
    /// See [`Cosine`].
    Cosine,
    /// See [`WarmupCosine`].
    WarmupCosine,
    /// See [`Linear`].
    Linear,
    /// See [`WarmupStableDecay`].
    Wsd,
    /// See [`OneCycle`].
    OneCycle,
    /// See [`Plateau`].
    Plateau,
    /// See [`Greedy`].
    Greedy,
    /// See [`AlwaysAccept`].
    AlwaysAccept,
    /// See [`RandomActions`].
    Random,
}

/// Error: there is no such schedule, or it cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// No schedule has this name.
    #[error("unknown schedule '{name}'; there are {}", names())]
    Unknown {
        /// Name that was given.
        name: String,
    },
    /// The schedule spreads over the budget, which is unknown or 0.
    #[error("schedule '{schedule}' needs to know the number of steps, at least 1")]
    NeedsTotalSteps {
        /// Name of the schedule.
        schedule: Schedule,
    },
}

impl Schedule {
    /// All schedules.
    pub const ALL: [Self; 11] = [
        Self::Constant,
        Self::Step,
        Self::Cosine,
        Self::WarmupCosine,
        Self::Linear,
        Self::Wsd,
        Self::OneCycle,
        Self::Plateau,
        Self::Greedy,
        Self::AlwaysAccept,
        Self::Random,
    ];

    /// Name of the schedule on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Step => "step",
            Self::Cosine => "cosine",
            Self::WarmupCosine => "warmup-cosine",
            Self::Linear => "linear",
            Self::Wsd => "wsd",
            Self::OneCycle => "one-cycle",
            Self::Plateau => "plateau",
            Self::Greedy => "greedy",
            Self::AlwaysAccept => "always-accept",
            Self::Random => "random",
        }
    }

    /// A sentence on what it does, for lists.
    pub fn about(self) -> &'static str {
        match self {
            Self::Constant => "The learning rate stays what it is.",
            Self::Step => "A tenth of the rate after each third of the steps (PyTorch's StepLR).",
            Self::Cosine => "Down to zero along a cosine (CosineAnnealingLR).",
            Self::WarmupCosine => "Up in 5 % of the steps, then down to zero along a cosine.",
            Self::Linear => "Down to zero along a line (LinearLR).",
            Self::Wsd => "Up in 5 % of the steps, level, and along a line to zero in the last 20 %.",
            Self::OneCycle => "Up from a 25th of the rate in 30 % of the steps, then down to almost zero (OneCycleLR).",
            Self::Plateau => "A tenth when the smoothed loss has not fallen for 20 steps (ReduceLROnPlateau).",
            Self::Greedy => "Up by 1/0.95 while the smoothed loss falls, down by 0.95 while it does not (GreedyLR).",
            Self::AlwaysAccept => "The guard and the pace of a controller without its moves: for comparisons.",
            Self::Random => "The moves of a controller at random, without drift: for comparisons.",
        }
    }

    /// The policy, with the constants that PyTorch (or the paper) has as defaults. Only [`Schedule::Random`] uses
    /// `seed`.
    ///
    /// # Errors
    /// When the schedule needs a budget and `total_steps` is unknown or 0.
    pub fn policy(self, total_steps: Option<u64>, seed: u64) -> Result<Box<dyn Policy>, ScheduleError> {
        let budget = || total_steps.filter(|&steps| steps > 0).ok_or(ScheduleError::NeedsTotalSteps { schedule: self });
        Ok(match self {
            Self::Constant => Box::new(Constant),
            Self::Step => Box::new(Step { every_steps: budget()?.div_ceil(3), gamma: 0.1 }),
            Self::Cosine => Box::new(Cosine { total_steps: budget()? }),
            Self::WarmupCosine => Box::new(WarmupCosine { total_steps: budget()? }),
            Self::Linear => Box::new(Linear { total_steps: budget()? }),
            Self::Wsd => Box::new(WarmupStableDecay { total_steps: budget()? }),
            Self::OneCycle => Box::new(OneCycle { total_steps: budget()? }),
            Self::Plateau => Box::new(Plateau::default()),
            Self::Greedy => Box::new(Greedy::default()),
            Self::AlwaysAccept => Box::new(AlwaysAccept),
            Self::Random => Box::new(RandomActions::new(seed)),
        })
    }

    /// How a driver runs it: no guard, and no bounds that the schedule could run into. It decides at every step, but for the constant one, which
    /// has nothing to decide, and the random one, which decides as seldom as a learned controller by default.
    pub fn driver_config(self, total_steps: Option<u64>) -> DriverConfig {
        let unbounded = [f64::MIN_POSITIVE, f64::MAX];
        let pace = Pace::every(match self {
            Self::Constant => 100,
            Self::Random => 20,
            _ => 1,
        });
        let bounds = Bounds { lr: unbounded, weight_decay: unbounded };
        DriverConfig { total_steps, pace, bounds, ..DriverConfig::default() }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(name: &str) -> Result<Self, ScheduleError> {
        let found = Self::ALL.into_iter().find(|schedule| schedule.name() == name);
        found.ok_or_else(|| ScheduleError::Unknown { name: name.to_owned() })
    }
}

fn names() -> String {
    Schedule::ALL.map(Schedule::name).join(", ")
}

/// Factor that takes the learning rate from `lr` to `target`, positive and finite. A rate that has reached zero stays
/// there.
fn factor_to(target: f64, lr: f64) -> f64 {
    if lr > 0.0 { (target / lr).clamp(f64::MIN_POSITIVE, f64::MAX) } else { 1.0 }
}

/// Whether `lr` is a rate that a schedule has chosen for the next step, or NaN, for none yet.
fn is_next_rate(lr: f64) -> bool {
    lr.is_nan() || is_positive(lr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Driver;
    use crate::policy::Measured;
    use std::collections::BTreeMap;

    /// What `tests/fixtures/schedules.py` writes: learning rates of PyTorch's schedulers over the same losses.
    #[derive(Deserialize)]
    struct Fixture {
        total_steps: u64,
        losses: BTreeMap<String, Vec<Option<f32>>>,
        runs: Vec<Run>,
    }

    #[derive(Deserialize)]
    struct Run {
        schedule: Schedule,
        lr: f64,
        losses: String,
        lrs: Vec<f64>,
    }

    fn fixture() -> Fixture {
        serde_json::from_str(include_str!("../tests/fixtures/schedules.json")).unwrap()
    }

    fn driver(schedule: Schedule, lr: f64, total_steps: u64) -> Driver {
        let policy = schedule.policy(Some(total_steps), 7).unwrap();
        Driver::new(policy, lr, 1e-3, schedule.driver_config(Some(total_steps))).unwrap()
    }

    fn step(driver: &mut Driver, loss: f32) -> f64 {
        let _ = driver.step(&[loss], true, Measured::default);
        driver.lr()
    }

    #[test]
    fn every_learning_rate_equals_pytorchs() {
        let fixture = fixture();
        for run in &fixture.runs {
            let mut driver = driver(run.schedule, run.lr, fixture.total_steps);
            let losses = &fixture.losses[&run.losses];
            assert_eq!(losses.len(), run.lrs.len());
            for (t, (loss, &expected)) in losses.iter().zip(&run.lrs).enumerate() {
                let lr = step(&mut driver, loss.unwrap_or(f32::NAN));
                let error = (lr / expected - 1.0).abs();
                assert!(error < 1e-10, "{} on {}, step {t}: {lr} but PyTorch {expected}", run.schedule, run.losses);
            }
        }
    }

    #[test]
    fn the_fixture_moves_the_adaptive_rates_both_ways() {
        let moves = |schedule, up: bool| {
            let runs = fixture().runs;
            let mut lrs = runs.iter().filter(|run| run.schedule == schedule).flat_map(|run| run.lrs.windows(2));
            lrs.any(|pair| if up { pair[0] < pair[1] } else { pair[0] > pair[1] })
        };
        assert!(moves(Schedule::Greedy, true) && moves(Schedule::Greedy, false) && moves(Schedule::Plateau, false));
    }

    #[test]
    fn every_schedule_resumes_where_it_stopped() {
        let losses = &fixture().losses["noisy"];
        for schedule in Schedule::ALL {
            for stop in [0, 1, 37, 90] {
                let mut whole = driver(schedule, 0.1, 120);
                losses[..stop].iter().for_each(|loss| _ = step(&mut whole, loss.unwrap_or(f32::NAN)));
                let mut resumed = driver(schedule, 0.1, 120);
                resumed.load_state(whole.state()).unwrap();
                for loss in &losses[stop..] {
                    let loss = loss.unwrap_or(f32::NAN);
                    assert_eq!(step(&mut whole, loss).to_bits(), step(&mut resumed, loss).to_bits(), "{schedule}");
                }
            }
        }
    }

    #[test]
    fn a_state_of_another_schedule_is_refused() {
        let saved = Schedule::Greedy.policy(None, 0).unwrap().save();
        for other in [Schedule::Constant, Schedule::Plateau, Schedule::Random] {
            assert!(other.policy(None, 0).unwrap().load(&saved).is_err(), "{other}");
        }
        let mut greedy = Schedule::Greedy.policy(None, 0).unwrap();
        assert!(greedy.load(&saved[..saved.len() - 1]).is_err());
        assert!(greedy.load(&saved[..16]).is_err());
    }

    #[test]
    fn names_are_read_back_and_a_wrong_one_is_named() {
        for schedule in Schedule::ALL {
            assert_eq!(schedule.name().parse(), Ok(schedule));
            assert_eq!(serde_json::to_value(schedule).unwrap(), schedule.name());
        }
        let message = "cosign".parse::<Schedule>().unwrap_err().to_string();
        assert!(message.contains("cosign") && message.contains("one-cycle"), "{message}");
    }

    #[test]
    fn a_schedule_that_spreads_over_the_budget_needs_one() {
        let by_budget = [Schedule::WarmupCosine, Schedule::Linear, Schedule::Wsd];
        for schedule in [Schedule::Step, Schedule::Cosine, Schedule::OneCycle].into_iter().chain(by_budget) {
            for steps in [None, Some(0)] {
                assert_eq!(schedule.policy(steps, 0).err(), Some(ScheduleError::NeedsTotalSteps { schedule }));
            }
        }
    }
}
