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
mod online;
mod pretrained;
mod recipe;
mod signals;
mod trace;

pub use actions::{Action, Controls, Move};
pub use driver::{DecisionCallback, DecisionCounts, Driver, DriverConfig, DriverError, DriverState, Pilot};
pub use features::{FeatureSet, Features, Hansen6, ScaleFree, Validated};
pub use guard::{Guard, GuardConfig, Verdict};
pub use line_search::{Direction, LineSearch, LineSearchConfig, LineSearchError, LineSearchStep, Minimized, minimize};
pub use online::{OnlineConfig, OnlineError};
pub use pretrained::{Card, EvaluationRow, Pretrained, PretrainedError};
pub use recipe::{Bounds, DecisionConfig, NetworkConfig, Recipe, RecipeError};
pub use signals::{LossWindow, Measure, Measured, Signals, Sums};
pub use trace::TraceRecord;

use crate::dqn::network::mean_q_values;
use crate::dqn::{Choice, QNetwork, Scratch, argmax};
use crate::policy::{Decision, Explanation, Policy, PolicyStateError, Reason};
use online::Online;
use serde::{Deserialize, Serialize};
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
    evidence: Option<Evidence>,
    mode: Mode,
}

/// What *halve* needs while probing (`halve-evidence` of [`DecisionConfig`]).
#[derive(Debug, Clone, Copy)]
struct Evidence {
    /// Where these features stand.
    loss_rise: usize,
    update_cosine: usize,
    /// The first must reach this.
    least: f32,
}

impl Evidence {
    /// From this on successive steps agree, as under momentum.
    const AGREE: f32 = 0.5;

    /// None where the recipe asks for none.
    fn of(recipe: &Recipe) -> Option<Self> {
        let place = |name| recipe.features.names().iter().position(|&known| known == name);
        let least = ScaleFree::significance(recipe.decisions.halve_evidence?.into());
        Some(Self { loss_rise: place("loss_rise")?, update_cosine: place("update_cosine_ema")?, least })
    }

    fn is_missing(self, seen: &[f32]) -> bool {
        seen[self.loss_rise] < self.least && seen[self.update_cosine] < Self::AGREE
    }
}

/// Whether a controller learns, and whose networks it asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Mode {
    /// The pretrained ones, greedily.
    Frozen,
    /// What an online run made of them, greedily.
    Learned(Vec<QNetwork>),
    /// It learns.
    Online(Box<Online>),
}

impl Mode {
    /// Whether what was read can replace a controller's mode whose pretrained networks are like `network`.
    fn fits(&self, network: &QNetwork) -> bool {
        match self {
            Self::Frozen => true,
            Self::Learned(networks) => {
                let alike = |own: &QNetwork| own.is_sound() && own.shape() == network.shape();
                !networks.is_empty() && networks.iter().all(alike)
            }
            Self::Online(online) => online.fits(network),
        }
    }
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
            evidence: Evidence::of(recipe),
            actions,
            mode: Mode::Frozen,
            pretrained,
        }
    }

    /// Goes on learning in the user's run (see [`OnlineConfig`]), from the networks it has now. All that it draws comes from `seed`.
    ///
    /// ```
    /// use qgd::Controller;
    /// use qgd::controller::OnlineConfig;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let controller = Controller::pretrained("lr")?.online(OnlineConfig::default(), 7)?;
    /// assert!(controller.is_learning());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When a setting is outside its range, or the controller is one for line searches.
    pub fn online(self, config: OnlineConfig, seed: u64) -> Result<Self, OnlineError> {
        let online = match &self.mode {
            Mode::Frozen => Online::new(self.recipe(), self.pretrained.networks(), config, seed),
            Mode::Learned(networks) => Online::new(self.recipe(), networks, config, seed),
            Mode::Online(online) => {
                Online::new(self.recipe(), &online.networks().cloned().collect::<Vec<_>>(), config, seed)
            }
        }?;
        Ok(Self { mode: Mode::Online(Box::new(online)), ..self })
    }

    /// Whether it learns: from [`Controller::online`] until [`Policy::freeze`].
    pub fn is_learning(&self) -> bool {
        matches!(self.mode, Mode::Online(_))
    }

    /// How many updates its networks had in this run. 0 where it does not learn.
    pub fn n_updates(&self) -> u64 {
        if let Mode::Online(online) = &self.mode { online.n_updates() } else { 0 }
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

impl Controller {
    /// The Q-values of what it sees, by the networks of its mode.
    fn value(&mut self) {
        let (seen, scratch) = (&self.seen, &mut self.scratch);
        let (row, q_values) = (&mut self.q_row, &mut self.q_values);
        match &self.mode {
            Mode::Frozen => mean_q_values(self.pretrained.networks().iter(), seen, scratch, row, q_values),
            Mode::Learned(networks) => mean_q_values(networks.iter(), seen, scratch, row, q_values),
            Mode::Online(online) => mean_q_values(online.networks(), seen, scratch, row, q_values),
        }
    }

    /// Learns from what came of the last decision, where it learns at all.
    fn learn(&mut self, signals: &Signals) {
        let Mode::Online(online) = &mut self.mode else { return };
        online.observe(self.pretrained.recipe(), &self.seen, signals.window.mean, signals.total_steps.is_some());
        if !online.networks().all(QNetwork::is_sound) {
            tracing::warn!(
                step = signals.step,
                "online learning diverged; the controller goes on as it was pretrained"
            );
            self.mode = Mode::Frozen;
        }
    }

    fn refuse_to_act(&mut self, signals: &Signals) -> (Action, Reason) {
        if self.n_out_of_range == 0 {
            tracing::warn!(
                step = signals.step,
                "the signals are far outside what this controller was trained on; it will not act on them"
            );
        }
        self.n_out_of_range += 1;
        if let Mode::Online(online) = &mut self.mode {
            online.cut();
        }
        (Action::ACCEPT, Reason::OutOfRange)
    }

    fn act(&mut self, signals: &Signals) -> (Action, Reason) {
        match &mut self.mode {
            Mode::Online(online) => {
                let choice = online.act(&self.seen, &self.q_values, signals.window.mean, &self.actions);
                (self.actions[choice.action], choice.into())
            }
            Mode::Frozen | Mode::Learned(_) => self.best(signals.step),
        }
    }

    /// The action of the highest Q-value; where that would halve without the evidence it needs, of the others.
    fn best(&self, step: u64) -> (Action, Reason) {
        let halves = |action: &Action| action.lr == Move::Halve;
        let best = self.actions[argmax(self.q_values.iter().copied())];
        let probing = step < self.recipe().decisions.probe_steps;
        if !(probing && halves(&best) && self.evidence.is_some_and(|evidence| evidence.is_missing(&self.seen))) {
            return (best, Reason::Policy);
        }
        let others = self.actions.iter().zip(&self.q_values).filter(|(action, _)| !halves(action));
        let best = others.reduce(|best, next| if next.1 > best.1 { next } else { best });
        (best.map_or(Action::ACCEPT, |(&action, _)| action), Reason::NoEvidence)
    }
}

impl From<Choice> for Reason {
    fn from(choice: Choice) -> Self {
        if choice.explored { Self::Exploration } else { Self::Policy }
    }
}

impl Policy for Controller {
    fn decide(&mut self, signals: &Signals) -> Decision {
        self.features.update(signals, self.last_action, &mut self.seen);
        if self.recipe().line_search.is_some_and(|config| config.is_warm_up(signals.step)) {
            return Decision::of(Action::ACCEPT, Reason::Policy);
        }
        let out_of_range = self.confine();
        self.learn(signals);
        self.value();
        let (action, reason) = if out_of_range { self.refuse_to_act(signals) } else { self.act(signals) };
        self.last_action = Some(action);
        self.recipe().decisions.decision(action, reason)
    }

    fn interval(&self, step: u64) -> u64 {
        self.recipe().decisions.interval(step)
    }

    fn line_search(&self) -> Option<LineSearchConfig> {
        self.recipe().line_search
    }

    fn explain(&self) -> Option<Explanation<'_>> {
        Some(Explanation { features: &self.seen, q_values: &self.q_values })
    }

    fn freeze(&mut self) {
        if let Mode::Online(online) = &self.mode {
            self.mode = Mode::Learned(online.networks().cloned().collect());
        }
    }

    fn save(&self) -> Vec<u8> {
        artifact::to_bytes(&(&self.features, self.last_action, self.n_out_of_range, &self.mode))
    }

    fn load(&mut self, state: &[u8]) -> Result<(), PolicyStateError> {
        let refused = || PolicyStateError { found_bytes: state.len() };
        let saved: (Features, Option<Action>, u64, Mode) = artifact::from_bytes(state).map_err(|_| refused())?;
        let (features, last_action, n_out_of_range, mode) = saved;
        let same_features = std::mem::discriminant(&features) == std::mem::discriminant(&self.features);
        if !same_features || !mode.fits(&self.pretrained.networks()[0]) {
            return Err(refused());
        }
        (self.features, self.last_action) = (features, last_action);
        (self.n_out_of_range, self.mode) = (n_out_of_range, mode);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wants to halve always, but for what the recipe asks of it.
    fn pessimist(decisions: &str) -> Controller {
        let text = format!(
            "name = 'test'\ndescription = 'test'\ncontrols = 'lr'\nmoves = ['halve', 'accept', 'grow']\n\
             features = 'scalefree'\n[decisions]\nprobe-steps = 30\n{decisions}"
        );
        let recipe = Recipe::parse(&text, "test").unwrap();
        let n_features = recipe.features.names().len();
        let mut network = QNetwork::new(n_features, &[4], 3, false, &mut crate::rng::stream(0, "test")).zeros_like();
        network.params_mut()[3].copy_from_slice(&[2.0, 1.0, 0.0]);
        let ranges = vec![[-1.0, 1.0]; n_features];
        Controller::new(Arc::new(Pretrained::new(recipe, vec![network], ranges, Card::default()).unwrap()))
    }

    /// How often it halves at these losses, one a step; where it does not, it says why.
    fn halvings(mut controller: Controller, losses: impl Iterator<Item = f32>, update_cosine: f64) -> usize {
        let seen = (0..).zip(losses).map(|(step, loss)| Signals {
            step,
            window: LossWindow::of(&[loss]),
            measured: Measured { update_cosine, ..Measured::default() },
            lr: 0.1,
            lr_base: 0.1,
            ..Signals::default()
        });
        let halves = |signals| {
            let decision = controller.decide(&signals);
            assert_eq!(decision.lr_factor < 1.0, decision.reason == Reason::Policy, "{decision:?}");
            decision.lr_factor < 1.0
        };
        seen.map(halves).filter(|&halved| halved).count()
    }

    #[test]
    fn with_evidence_asked_for_it_halves_only_where_the_loss_has_been_lower() {
        let noisy = |trend: f32| {
            (0..30u8).map(move |step| 2.0 + trend * f32::from(step) + if step % 2 == 0 { 0.03 } else { 0.0 })
        };
        let patient = || pessimist("halve-evidence = 0.5");
        assert_eq!(halvings(pessimist(""), noisy(-0.05), 0.0), 30);
        assert_eq!(halvings(patient(), noisy(-0.05), 0.0), 0, "the loss falls");
        assert!(halvings(patient(), noisy(0.05), 0.0) > 20, "the loss rises");
        assert!(halvings(patient(), noisy(-0.05), 0.9) > 20, "successive steps agree");
        assert_eq!(halvings(patient(), noisy(-0.05).chain(noisy(-0.05)), 0.0), 30, "after probing");
    }
}
