//! The learned policy: what to do? It reads training signals and moves the learning rate and the weight decay.
//!
//! ```text
//! Signals -- Sight:   features -> confine -> Q-networks --> Q-values -- Chooser --> Action
//!                     [-1, 1]     to the ranges of meta-training
//! Chooser:   Greedy   the action of the highest Q-value; while probing, *halve* needs evidence
//!            Explore  now and then another one, written down (meta-training)
//!            Learn    now and then another one, and learns from what comes of it (online)
//! ```
//!
//! Nothing here knows a framework, or how a controller is meta-trained.

mod blueprint;
mod explore;
mod features;
mod merge;
mod online;
mod pretrained;
mod recipe;
mod sight;
#[cfg(test)]
mod tests;

pub use blueprint::{Blueprint, Choice, FarFeatures, Feature, HalveEvidence, Symbol};
pub use features::{FeatureSet, Features, Hansen6, ScaleFree, Validated};
pub use merge::MergeError;
pub use online::{OnlineConfig, OnlineError};
pub use pretrained::{Card, EvaluationRow, Parent, Pretrained, PretrainedError};
pub use recipe::{NetworkConfig, Recipe, RecipeError};

use crate::artifact;
use crate::dqn::{AgentConfig, Episode, Explorer, QNetwork, RewardConfig, argmax};
use crate::driver::{DriverConfig, Pilot};
use crate::limits::is_count;
use crate::policy::{Action, Decision, Explanation, Move, Policy, PolicyStateError, Reason, Signals};
use explore::Explore;
use online::Online;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sight::Sight;
use std::path::Path;
use std::sync::Arc;

/// Pretrained controller at work: reads [`Signals`], answers with the action of the highest Q-value.
///
/// ```
/// use qgd::Controller;
/// use qgd::driver::Session;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut session = Session::new(Controller::pretrained("lr")?, 1e-6)?.with_total_steps(200)?;
/// let mut x = vec![3.0f32; 10];
/// for _ in 0..200 {
///     let (loss, grad) = (0.5 * x.iter().map(|x| x * x).sum::<f32>(), x.clone());
///     if let Some(rates) = session.step(loss, &mut x, &grad)? {
///         x.iter_mut().zip(&grad).for_each(|(x, g)| *x -= rates.lr as f32 * g);
///     }
/// }
/// println!("{x:?} at {}, after {:?}", session.lr(), session.counts());
/// assert!(x.iter().all(|x| x.abs() < 0.1));
/// # Ok(()) }
/// ```
///
/// A controller alone only says what to do. Whether the net is well, when to ask, how far to go and what to go back to
/// is for what runs it: a [`Session`](crate::driver::Session) on plain slices, a [`Driver`](crate::Driver) in a host of
/// your own, `torch::QController` for tch.
#[derive(Debug, Clone)]
pub struct Controller {
    pretrained: Arc<Pretrained>,
    /// Networks that online learning has made of the pretrained ones, once it was frozen.
    learned: Option<Vec<QNetwork>>,
    sight: Sight,
    chooser: Chooser,
    actions: Vec<Action>,
    last_action: Option<Action>,
}

/// Rule by which an action is chosen from the Q-values.
#[derive(Debug, Clone)]
enum Chooser {
    /// The action of the highest Q-value.
    Greedy,
    /// Now and then another action; what was seen and done is written down.
    Explore(Box<Explore>),
    /// Now and then another action; the networks learn from what comes of it.
    Learn(Box<Online>),
}

/// Chooser and networks in a saved state.
#[derive(Serialize, Deserialize)]
enum Saved {
    Frozen,
    Learned(Vec<QNetwork>),
    Online(Box<Online>),
}

impl Saved {
    /// Whether a controller with this chooser, whose pretrained networks have the shape of `network`, can go on with
    /// it.
    fn fits(&self, chooser: &Chooser, network: &QNetwork) -> bool {
        match self {
            Self::Frozen => true,
            Self::Learned(networks) => !networks.is_empty() && networks.iter().all(|own| own.is_like(network)),
            Self::Online(online) => matches!(chooser, Chooser::Learn(own) if online.fits(own, network)),
        }
    }
}

/// Average cosine of successive steps from which on they agree, as under momentum. The loss then answers late, so it is
/// no evidence.
const AGREE: f64 = 0.5;

impl Controller {
    /// Makes one of the controllers that ship inside this crate. [`Pretrained::NAMES`] lists them.
    ///
    /// # Errors
    /// When no controller has this name.
    pub fn pretrained(name: &str) -> Result<Self, PretrainedError> {
        Ok(Self::new(Arc::new(Pretrained::shipped(name)?)))
    }

    /// Makes a controller from a pretrained file.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or was written by a newer format version.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PretrainedError> {
        Ok(Self::new(Arc::new(Pretrained::load(path.as_ref())?)))
    }

    /// Makes a controller at the start of a run.
    pub fn new(pretrained: Arc<Pretrained>) -> Self {
        let actions = pretrained.recipe().actions();
        let sight = Sight::new(pretrained.recipe(), pretrained.networks(), actions.len());
        Self { pretrained, learned: None, sight, chooser: Chooser::Greedy, actions, last_action: None }
    }

    /// Makes it learn in the user's run (see [`OnlineConfig`]), from the networks it has now. All that it draws comes
    /// from `seed`.
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
        let online = Online::new(self.recipe(), self.networks(), config, seed)?;
        Ok(Self { chooser: Chooser::Learn(Box::new(online)), ..self })
    }

    /// Makes it explore as `explorer` says and write down what it saw and did, for meta-training. `time` is that of the
    /// exploration's schedule.
    #[must_use]
    pub fn exploring(self, explorer: Explorer, time: f64, rng: ChaCha8Rng) -> Self {
        Self { chooser: Chooser::Explore(Box::new(Explore::new(explorer, time, rng))), ..self }
    }

    /// Episode that an exploring controller lived through. `evaluations` are those of its run, one at each of its
    /// decisions and one at the end. `None` where nothing was decided, or it did not explore.
    ///
    /// With a known budget the last state is terminal; with an unknown one the run was only cut off there.
    pub fn into_episode(
        self,
        evaluations: &[f64],
        reward: &RewardConfig,
        agent: &AgentConfig,
        known_budget: bool,
    ) -> Option<Episode> {
        let Chooser::Explore(explore) = self.chooser else { return None };
        explore.into_episode(&self.actions, evaluations, reward, agent, known_budget)
    }

    /// Whether it learns, as it does from [`Controller::online`] until [`Policy::freeze`].
    pub fn is_learning(&self) -> bool {
        matches!(self.chooser, Chooser::Learn(_))
    }

    /// Number of updates that its networks had in this run; 0 where it does not learn.
    pub fn n_updates(&self) -> u64 {
        if let Chooser::Learn(online) = &self.chooser { online.n_updates() } else { 0 }
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        self.pretrained.recipe()
    }

    /// The card: where it comes from.
    pub fn card(&self) -> &Card {
        self.pretrained.card()
    }

    /// Configuration of a [`Driver`](crate::Driver) with the pace, the guard and the bounds of its recipe.
    /// `total_steps` is the budget, where it is known.
    pub fn driver_config(&self, total_steps: Option<u64>) -> DriverConfig {
        self.recipe().driver_config(total_steps)
    }

    /// Number of decisions at which it did not act, because the features lay far outside what meta-training saw, or the
    /// losses are no distances from their floor.
    pub fn n_out_of_range(&self) -> u64 {
        self.sight.n_out_of_range
    }

    /// Networks that it asks now.
    fn networks(&self) -> Vec<QNetwork> {
        match (&self.chooser, &self.learned) {
            (Chooser::Learn(online), _) => online.networks().cloned().collect(),
            (_, Some(learned)) => learned.clone(),
            (_, None) => self.pretrained.networks().to_vec(),
        }
    }
}

impl From<Controller> for Pilot {
    /// Drives by the controller's own recipe; the budget is unknown.
    fn from(controller: Controller) -> Self {
        let config = controller.driver_config(None);
        Self::new(controller).with_config(config)
    }
}

impl Controller {
    /// Learns from what came of the last decision, where it learns.
    fn learn(&mut self, signals: &Signals) {
        let Chooser::Learn(online) = &mut self.chooser else { return };
        online.observe(self.sight.seen(), signals.window.mean, signals.total_steps.is_some());
        if !online.networks().all(QNetwork::is_sound) {
            tracing::warn!(
                step = signals.step,
                "online learning diverged; the controller goes on as it was pretrained"
            );
            (self.chooser, self.learned) = (Chooser::Greedy, None);
        }
    }

    fn refuse_to_act(&mut self, signals: &Signals) -> (Action, Reason) {
        // The driver has said it where losses are no distances.
        if self.sight.n_out_of_range == 1 && !signals.below_floor {
            tracing::warn!(
                step = signals.step,
                "the signals are far outside what this controller was trained on; it will not act on them"
            );
        }
        if let Chooser::Learn(online) = &mut self.chooser {
            online.cut();
        }
        (Action::ACCEPT, Reason::OutOfRange)
    }

    fn choose(&mut self, signals: &Signals) -> (Action, Reason) {
        let (seen, q_values) = (self.sight.seen(), self.sight.q_values());
        let choice = match &mut self.chooser {
            Chooser::Greedy => return self.best(signals.step),
            Chooser::Explore(explore) => explore.act(seen, q_values),
            Chooser::Learn(online) => online.act(seen, q_values, signals.window.mean, &self.actions),
        };
        let reason = if choice.explored { Reason::Exploration } else { Reason::Policy };
        (self.actions[choice.action], reason)
    }

    /// The best action by the Q-values; where that would halve without the evidence it needs, the best of the others.
    fn best(&self, step: u64) -> (Action, Reason) {
        let q_values = self.sight.q_values();
        let halves = |action: &Action| action.lr == Move::Halve;
        let best = self.actions[argmax(q_values.iter().copied())];
        let probing = step < self.recipe().pace.probe_steps;
        if !(probing && halves(&best) && self.lacks_evidence()) {
            return (best, Reason::Policy);
        }
        let others = self.actions.iter().zip(q_values).filter(|(action, _)| !halves(action));
        let best = others.reduce(|best, next| if next.1 > best.1 { next } else { best });
        (best.map_or(Action::ACCEPT, |(&action, _)| action), Reason::NoEvidence)
    }

    /// Whether the recipe asks for evidence before *halve* and there is none: the loss has not really been lower, and
    /// successive steps do not agree.
    fn lacks_evidence(&self) -> bool {
        let Some((needed, found)) = self.recipe().halve_evidence.zip(self.sight.evidence()) else { return false };
        let rise = if found.loss_rise.is_nan() { 0.0 } else { found.loss_rise };
        let agrees = found.update_cosine >= AGREE;
        rise < needed.into() && !agrees
    }
}

impl Policy for Controller {
    fn decide(&mut self, signals: &Signals) -> Decision {
        self.sight.see(signals, self.last_action);
        if self.recipe().line_search.is_some_and(|config| config.is_warm_up(signals.step)) {
            return Decision::of(Action::ACCEPT, Reason::Policy);
        }
        let out_of_range = self.sight.confine(self.pretrained.ranges(), signals.below_floor && !self.searches_lines());
        self.learn(signals);
        match (&self.chooser, &self.learned) {
            (Chooser::Learn(online), _) => self.sight.value(online.networks()),
            (_, Some(learned)) => self.sight.value(learned.iter()),
            (_, None) => self.sight.value(self.pretrained.networks().iter()),
        }
        let (action, reason) = if out_of_range { self.refuse_to_act(signals) } else { self.choose(signals) };
        self.last_action = Some(action);
        self.recipe().pace.decision(action, reason)
    }

    fn searches_lines(&self) -> bool {
        self.recipe().line_search.is_some()
    }

    fn explain(&self) -> Option<Explanation<'_>> {
        Some(Explanation { features: self.sight.seen(), q_values: self.sight.q_values() })
    }

    fn freeze(&mut self) {
        if self.is_learning() {
            self.learned = Some(self.networks());
        }
        self.chooser = Chooser::Greedy;
    }

    fn save(&self) -> Vec<u8> {
        let chooser = match (&self.chooser, &self.learned) {
            (Chooser::Learn(online), _) => Saved::Online(online.clone()),
            (_, Some(learned)) => Saved::Learned(learned.clone()),
            (_, None) => Saved::Frozen,
        };
        artifact::to_bytes(&(&self.sight.features, self.last_action, self.sight.n_out_of_range, chooser))
    }

    fn load(&mut self, state: &[u8]) -> Result<(), PolicyStateError> {
        let refused = || PolicyStateError { found_bytes: state.len() };
        let saved: (Features, Option<Action>, u64, Saved) = artifact::from_bytes(state).map_err(|_| refused())?;
        let (features, last_action, n_out_of_range, saved) = saved;
        let fresh = self.recipe().features.tracker(self.recipe().controls);
        let fits = features.fits(&fresh) && is_count(n_out_of_range);
        if !fits || !saved.fits(&self.chooser, &self.pretrained.networks()[0]) {
            return Err(refused());
        }
        (self.sight.features, self.sight.n_out_of_range, self.last_action) = (features, n_out_of_range, last_action);
        (self.chooser, self.learned) = match saved {
            Saved::Frozen => (Chooser::Greedy, None),
            Saved::Learned(networks) => (Chooser::Greedy, Some(networks)),
            Saved::Online(online) => (Chooser::Learn(online), None),
        };
        Ok(())
    }
}
