//! The training of the Q-network: Algorithm 3 (α) and Algorithm 4 (λ).
//!
//! A unit is one episode: what was seen, done and earned in it. The network is learned anew from the episodes whenever
//! the training goes on, which takes no time beside the training of an objective net.

use super::net::{Objective, Start};
use crate::cli::failure::Failure;
use crate::cli::reproduce::lab::Lab;
use qgd::controller::Controller;
use qgd::dqn::{Episode, Learner, QNetwork, Replay};
use qgd::meta::TrainingRecipe;
use qgd::rng::stream;
use qgd::{Decision, Policy, Signals};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

/// A training that is over.
pub struct Learned {
    /// Mean loss of the Q-network over the updates after each episode.
    pub losses: Vec<f64>,
    /// Mean size of the Q-values of the updates after each episode.
    pub sizes: Vec<f64>,
    /// Networks after each quarter of the training.
    pub quarters: Vec<Vec<QNetwork>>,
}

/// What is kept of an episode; None where nothing was decided.
#[derive(Serialize, Deserialize)]
struct Lived {
    episode: Option<Episode>,
}

/// A controller that can be had back after its run.
struct Shared(Arc<Mutex<Controller>>);

impl Policy for Shared {
    fn decide(&mut self, signals: &Signals) -> Decision {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).decide(signals)
    }

    fn searches_lines(&self) -> bool {
        true
    }
}

/// Trains the Q-network of a recipe on an objective; `on_episode` hears of every episode.
pub fn learn(
    lab: &Lab,
    recipe: &TrainingRecipe,
    objective: &Objective,
    seed: u64,
    n_episodes: usize,
    on_episode: impl Fn(usize),
) -> Result<Learned, Failure> {
    let (training, n_features) = (&recipe.training, recipe.controller.features.names().len());
    let (hidden, n_actions) = (&recipe.controller.network.hidden, recipe.controller.actions().len());
    let network = |i: usize| {
        let mut rng = stream(seed, &format!("network {i}"));
        QNetwork::new(n_features, hidden, n_actions, recipe.controller.network.dueling, &mut rng)
    };
    let mut learner = Learner::new((0..training.agent.ensemble).map(network).collect(), training.agent.clone());
    let mut replay = Replay::new(training.replay.clone());
    let mut learned = Learned { losses: Vec::new(), sizes: Vec::new(), quarters: Vec::new() };
    for e in 0..n_episodes {
        let key = format!("{} {} seed {seed}: episode {e} of {n_episodes}", objective.key(), recipe.whole().hash());
        let lived = lab.unit(&key, || live(lab, recipe, objective, &learner, seed, e))?;
        lived.episode.into_iter().for_each(|episode| replay.push(episode));
        let mut rng = stream(seed, &format!("updates {e}"));
        let (mut loss, mut size) = (0.0, 0.0);
        for _ in 0..training.updates_per_round {
            let report = learner.update(&replay, e as f32 / n_episodes as f32, &mut rng)?;
            loss += f64::from(report.loss) / f64::from(training.updates_per_round);
            size += f64::from(report.mean_abs_q) / f64::from(training.updates_per_round);
        }
        learned.losses.push(loss);
        learned.sizes.push(size);
        if (1..=4).any(|quarter| e + 1 == (quarter * n_episodes).div_ceil(4)) {
            learned.quarters.push(learner.networks().cloned().collect());
        }
        on_episode(e + 1);
    }
    Ok(learned)
}

/// One episode with exploration.
fn live(
    lab: &Lab,
    recipe: &TrainingRecipe,
    objective: &Objective,
    learner: &Learner,
    seed: u64,
    e: usize,
) -> Result<Lived, Failure> {
    let training = &recipe.training;
    let actor = recipe.with_networks(learner.networks().cloned().collect());
    let bounds = actor.driver_config(None);
    let explorer = recipe.explorer().map_err(Failure::bad_input)?;
    let actor = Arc::new(Mutex::new(actor.exploring(explorer, e as f64, stream(seed, &format!("exploration {e}")))));
    let start = Start {
        config: recipe.controller.line_search.unwrap_or_default(),
        bounds,
        judge: training.reward.of,
        init: &format!("init {e}"),
        net: 0,
        seed,
        // T steps: the last one asks about the state after the last action.
        n_steps: super::STEPS,
    };
    let run = objective.search(lab, Shared(actor.clone()), &start)?;
    let actor = Arc::into_inner(actor).map(|actor| actor.into_inner().unwrap_or_else(PoisonError::into_inner));
    let episode = actor.and_then(|actor| actor.into_episode(&run.judged, &training.reward, &training.agent, false));
    Ok(Lived { episode })
}
