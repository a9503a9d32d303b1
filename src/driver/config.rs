//! What a driver is told: its configuration, and the policy that it runs.

use super::guard::GuardConfig;
use super::pace::{Bounds, Pace};
use crate::limits::{OutOfRange, is_positive, within};
use crate::policy::Policy;
use serde::{Deserialize, Serialize};

/// Configuration of a [`Driver`](super::Driver). The default leaves everything to the policy: a decision at every step, wide bounds,
/// no guard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriverConfig {
    /// Budget in inner steps, where it is known. At least 1.
    pub total_steps: Option<u64>,
    /// Number of inner steps in which every training example is seen once (examples over batch size), where it is known.
    /// Positive; a budget of less than one epoch has more than its own steps.
    pub steps_per_epoch: Option<f64>,
    /// Value below every loss, for losses that may be negative or that a constant is part of: it is subtracted from
    /// each before guard and policy see it, also from those of the validation. Finite, default 0.
    pub loss_floor: f64,
    /// Steps at which decisions are taken. Default: every one.
    pub pace: Pace,
    /// Bounds of the controlled values.
    pub bounds: Bounds,
    /// Rules that undo steps after explosions and NaN. Default none.
    pub guard: Option<GuardConfig>,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            total_steps: None,
            steps_per_epoch: None,
            loss_floor: 0.0,
            pace: Pace::every(1),
            bounds: Bounds::default(),
            guard: None,
        }
    }
}

impl DriverConfig {
    /// Checks every field, and the start values of a run.
    pub(crate) fn check(&self, lr: f64, weight_decay: f64) -> Result<(), OutOfRange> {
        within("lr", lr, is_positive(lr), "a positive number")?;
        let decays = weight_decay.is_finite() && weight_decay >= 0.0;
        within("weight_decay", weight_decay, decays, "zero or a positive number")?;
        within("total_steps", 0.0, self.total_steps != Some(0), "at least 1")?;
        let epoch = self.steps_per_epoch.unwrap_or(1.0);
        within("steps_per_epoch", epoch, is_positive(epoch), "a positive number")?;
        within("loss_floor", self.loss_floor, (self.loss_floor as f32).is_finite(), "finite in single precision")?;
        self.pace.check().map_err(|error| error.under("pace"))?;
        self.bounds.check().map_err(|error| error.under("bounds"))?;
        self.guard.as_ref().map_or(Ok(()), GuardConfig::check).map_err(|error| error.under("guard"))
    }
}

/// A policy, with the configuration of the driver that goes with it: what steers a run.
///
/// ```
/// use qgd::driver::{GuardConfig, Pilot};
/// use qgd::{Decision, DriverConfig, Policy, Signals};
///
/// struct Constant;
/// impl Policy for Constant {
///     fn decide(&mut self, _: &Signals) -> Decision {
///         Decision::scheduled(1.0)
///     }
/// }
/// let guarded = DriverConfig { guard: Some(GuardConfig::default()), ..DriverConfig::default() };
/// let pilot = Pilot::new(Constant).with_config(guarded);
/// assert!(pilot.config.guard.is_some());
/// ```
pub struct Pilot {
    /// Policy that decides.
    pub policy: Box<dyn Policy>,
    /// Budget, loss floor, pace, bounds, guard.
    pub config: DriverConfig,
}

impl Pilot {
    /// Makes a pilot of a policy and the default configuration: a decision at every step, wide bounds, no guard.
    pub fn new(policy: impl Policy + 'static) -> Self {
        Self { policy: Box::new(policy), config: DriverConfig::default() }
    }

    /// Replaces the configuration.
    pub fn with_config(self, config: DriverConfig) -> Self {
        Self { config, ..self }
    }
}

impl From<(Box<dyn Policy>, DriverConfig)> for Pilot {
    fn from((policy, config): (Box<dyn Policy>, DriverConfig)) -> Self {
        Self { policy, config }
    }
}
