//! The controller: a small learned policy that reads training signals and moves the learning rate and the weight decay.
//!
//! ```text
//! training loop --losses, gradient--> Measure --Signals--> Features --[-1, 1]--> QNetwork --argmax--> Action --> Driver --> lr, λ
//!                                                  Guard: explosion or NaN -> roll back, halve
//! ```
//!
//! Nothing here knows a framework; the module `torch` is the adapter for `tch`.

mod actions;
pub mod artifact;
mod driver;
mod features;
mod guard;
pub mod line_search;
mod pretrained;
mod recipe;
mod signals;
mod trace;

pub use actions::{Action, Controls, Move};
pub use driver::{DecisionCallback, DecisionCounts, Driver, DriverConfig, DriverError, DriverState, Pilot};
pub use features::{FeatureSet, Features, Hansen6, ScaleFree};
pub use guard::{Guard, GuardConfig, Verdict};
pub use line_search::{Direction, LineSearch, LineSearchConfig, LineSearchError, LineSearchStep, Minimized, minimize};
pub use pretrained::{Card, EvaluationRow, Pretrained, PretrainedError};
pub use recipe::{Bounds, DecisionConfig, NetworkConfig, Recipe, RecipeError};
pub use signals::{LossWindow, Measure, Measured, Signals, Sums};
pub use trace::TraceRecord;

use crate::dqn::Scratch;
use crate::dqn::network::{argmax, mean_q_values};
use crate::policy::{Decision, Explanation, Policy, PolicyStateError, Reason};
use std::path::Path;
use std::sync::Arc;

/// A pretrained network at work: reads [`Signals`], answers with the action of the highest Q-value.
///
/// ```
/// use qgd::{Controller, Driver, LossWindow, Measured};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let controller = Controller::pretrained("lr")?;
/// let config = controller.driver_config(Some(1000));
/// let mut driver = Driver::new(controller, 0.1, 0.0, config)?;
/// let decision = driver.decide(&LossWindow::of(&[2.3]), &Measured::default());
/// println!("{:?}: the learning rate is now {}", decision.action, driver.lr());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Controller {
    pretrained: Arc<Pretrained>,
    actions: Vec<Action>,
    features: Features,
    last_action: Option<Action>,
    n_out_of_range: u64,
    seen: Vec<f32>,
    q_values: Vec<f32>,
    q_row: Vec<f32>,
    scratch: Scratch,
}

/// A feature this far outside what meta-training saw counts as far outside.
const FAR: f32 = 0.5;
/// When more than this share of the features is far outside, the controller does not act.
const FAR_SHARE: f32 = 0.25;

impl Controller {
    /// A controller that ships inside this crate. [`Pretrained::NAMES`] lists them.
    ///
    /// # Errors
    /// When no controller has this name.
    pub fn pretrained(name: &str) -> Result<Self, PretrainedError> {
        Ok(Self::new(Arc::new(Pretrained::shipped(name)?)))
    }

    /// A controller from a pretrained file.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or was written by another format version.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PretrainedError> {
        Ok(Self::new(Arc::new(Pretrained::load(path.as_ref())?)))
    }

    /// A controller at the start of a run.
    pub fn new(pretrained: Arc<Pretrained>) -> Self {
        let recipe = pretrained.recipe();
        let actions = recipe.controls.actions(&recipe.moves);
        Self {
            features: recipe.features.tracker(recipe.controls),
            last_action: None,
            n_out_of_range: 0,
            seen: vec![0.0; recipe.features.names().len()],
            q_values: vec![0.0; actions.len()],
            q_row: vec![0.0; actions.len()],
            scratch: pretrained.networks()[0].scratch(),
            actions,
            pretrained,
        }
    }

    /// Its recipe.
    pub fn recipe(&self) -> &Recipe {
        self.pretrained.recipe()
    }

    /// Where it comes from.
    pub fn card(&self) -> &Card {
        self.pretrained.card()
    }

    /// The guard and the bounds its recipe names, for a [`Driver`]. `total_steps` is the budget, where it is known.
    pub fn driver_config(&self, total_steps: Option<u64>) -> DriverConfig {
        self.recipe().driver_config(total_steps)
    }

    /// At how many decisions the features lay far outside what meta-training saw, so that it did not act.
    pub fn n_out_of_range(&self) -> u64 {
        self.n_out_of_range
    }

    /// Cuts every feature to the range that meta-training saw; whether too many were far outside it.
    fn confine(&mut self) -> bool {
        let ranges = self.pretrained.ranges();
        let mut n_far = 0.0;
        for (v, &[low, high]) in self.seen.iter_mut().zip(ranges) {
            let confined = v.clamp(low, high);
            n_far += f32::from(u8::from((*v - confined).abs() > FAR));
            *v = confined;
        }
        n_far > FAR_SHARE * ranges.len() as f32
    }
}

impl From<Controller> for Pilot {
    /// Under the guard and the bounds of the controller's own recipe; the budget is unknown.
    fn from(controller: Controller) -> Self {
        let config = controller.driver_config(None);
        Self::new(controller).with_config(config)
    }
}

impl Policy for Controller {
    fn decide(&mut self, signals: &Signals) -> Decision {
        self.features.update(signals, self.last_action, &mut self.seen);
        let out_of_range = self.confine();
        let networks = self.pretrained.networks();
        mean_q_values(networks, &self.seen, &mut self.scratch, &mut self.q_row, &mut self.q_values);
        let (action, reason) = if out_of_range {
            if self.n_out_of_range == 0 {
                tracing::warn!(
                    step = signals.step,
                    "the signals are far outside what this controller was trained on; it will not act on them"
                );
            }
            self.n_out_of_range += 1;
            (Action::ACCEPT, Reason::OutOfRange)
        } else {
            (self.actions[argmax(self.q_values.as_slice().into())], Reason::Policy)
        };
        self.last_action = Some(action);
        Decision::of(action, reason)
    }

    fn interval(&self, step: u64) -> u64 {
        self.recipe().decisions.interval(step)
    }

    fn explain(&self) -> Option<Explanation<'_>> {
        Some(Explanation { features: &self.seen, q_values: &self.q_values })
    }

    fn save(&self) -> Vec<u8> {
        artifact::to_bytes(&(&self.features, self.last_action, self.n_out_of_range))
    }

    fn load(&mut self, state: &[u8]) -> Result<(), PolicyStateError> {
        let refused = PolicyStateError { found_bytes: state.len() };
        (self.features, self.last_action, self.n_out_of_range) = artifact::from_bytes(state).map_err(|_| refused)?;
        Ok(())
    }
}
