//! The outer loop of meta-training, round by round, with a checkpoint after each.

use super::engine::{Engine, EngineError};
use super::line_search::line_search_rollout;
use super::rollout::Actor;
use super::tasks::Task;
use super::validation::{Score, ValidationSet};
use crate::controller::artifact::{self, ArtifactError, Kind};
use crate::controller::{Card, Driver, LineSearch, LineSearchError, Pretrained, PretrainedError, Recipe};
use crate::dqn::{Episode, ExplorationError, Explorer, Learner, QNetwork, Replay, UpdateReport};
use crate::parallel::parallel;
use crate::rng::stream;
use ndarray::ShapeError;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// A meta-training under way. [`MetaTraining::round`] until [`MetaTraining::is_finished`], then [`MetaTraining::finish`].
pub struct MetaTraining {
    recipe: Recipe,
    engine: Engine,
    validation: ValidationSet,
    state: State,
}

/// All that later rounds depend on. Random streams are derived from the seed and the round, so they need no state.
#[derive(Clone, Serialize, Deserialize)]
struct State {
    recipe_hash: String,
    seed: u64,
    round: u32,
    learner: Learner,
    average: Vec<QNetwork>,
    replay: Replay,
    ranges: Vec<[f32; 2]>,
    inner_steps: u64,
    episodes: u64,
    best: Option<Best>,
}

/// The best averaged networks so far.
#[derive(Clone, Serialize, Deserialize)]
struct Best {
    networks: Vec<QNetwork>,
    card: Card,
    mean_log_ratio: f64,
}

/// What one round did, for progress bars and logs.
#[derive(Debug, Clone, Serialize)]
pub struct RoundReport {
    /// Rounds finished.
    pub round: u32,
    /// Of so many.
    pub rounds: u32,
    /// Inner steps so far.
    pub inner_steps: u64,
    /// Mean return of the round's episodes, exploration included: nats of loss gained a run.
    pub mean_return: f64,
    /// Shares of the actions, in the order of the Q-network's outputs.
    pub action_shares: Vec<f64>,
    /// Mean loss of the updates.
    pub q_loss: f32,
    /// Mean |Q|; growing without bound means that the agent diverges.
    pub mean_abs_q: f32,
    /// The validation of this round, where there was one: (mean log ratio, tuned ratio, worst ratio).
    pub validation: Option<(f64, f64, f64)>,
    /// Whether it was the best so far.
    pub is_best: bool,
}

/// Meta-training cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetaTrainingError {
    /// The checkpoint cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The checkpoint was made by another recipe or seed.
    #[error("the checkpoint was made with {what} {found}, not {expected}; remove it or use another output")]
    OtherRun {
        /// Recipe or seed.
        what: &'static str,
        /// What the checkpoint says.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// The network and the memory do not fit each other.
    #[error("the replay memory does not fit the network")]
    Shape(#[from] ShapeError),
    /// The engine cannot run the tasks.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A task has a start that no line search takes.
    #[error(transparent)]
    LineSearch(#[from] LineSearchError),
    /// The exploration cannot be used.
    #[error(transparent)]
    Exploration(#[from] ExplorationError),
    /// The agent's values grow without bound.
    #[error("the agent diverged in round {round}: mean |Q| is {mean_abs_q}; lower agent.lr or raise agent.n-step")]
    Diverged {
        /// In which round.
        round: u32,
        /// How large the values are.
        mean_abs_q: f32,
    },
    /// The result does not make a pretrained file.
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
    /// Asked for the result before any round.
    #[error("nothing is trained yet: round 0 of {rounds}")]
    Unfinished {
        /// How many rounds the recipe asks for.
        rounds: u32,
    },
}

/// Values beyond those of so many best possible rewards mean divergence.
const DIVERGED_REWARDS: f64 = 500.0;

impl MetaTraining {
    /// Starts anew. A number of threads stands for the kernel on so many.
    ///
    /// # Errors
    /// When the engine cannot run the recipe's tasks.
    pub fn new(recipe: Recipe, seed: u64, engine: impl Into<Engine>) -> Result<Self, MetaTrainingError> {
        let engine = engine.into();
        let validation = ValidationSet::draw(&recipe, seed, engine)?;
        let n_features = recipe.features.names().len();
        let n_actions = recipe.controls.actions(&recipe.moves).len();
        let shape = &recipe.network;
        let mut rng = stream(seed, "q-network");
        let new_network = |_| QNetwork::new(n_features, &shape.hidden, n_actions, shape.dueling, &mut rng);
        let networks: Vec<QNetwork> = (0..recipe.agent.ensemble).map(new_network).collect();
        let state = State {
            recipe_hash: recipe.hash(),
            seed,
            round: 0,
            average: networks.clone(),
            learner: Learner::new(networks, recipe.agent.clone()),
            replay: Replay::new(recipe.replay.clone()),
            ranges: vec![[0.0, 0.0]; n_features],
            inner_steps: 0,
            episodes: 0,
            best: None,
        };
        Ok(Self { recipe, engine, validation, state })
    }

    /// Goes on from a checkpoint of the same recipe and seed. Only with the same engine it ends in the same bytes.
    ///
    /// # Errors
    /// When the checkpoint cannot be read or belongs to another recipe or seed, or the engine cannot run the recipe's tasks.
    pub fn resume(
        path: &Path,
        recipe: Recipe,
        seed: u64,
        engine: impl Into<Engine>,
    ) -> Result<Self, MetaTrainingError> {
        let engine = engine.into();
        let state: State = artifact::read(path, Kind::MetaTraining)?;
        let other = |what, found, expected| Err(MetaTrainingError::OtherRun { what, found, expected });
        if state.recipe_hash != recipe.hash() {
            return other("recipe", state.recipe_hash, recipe.hash());
        }
        if state.seed != seed {
            return other("seed", state.seed.to_string(), seed.to_string());
        }
        let validation = ValidationSet::draw(&recipe, seed, engine)?;
        Ok(Self { recipe, engine, validation, state })
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn checkpoint(&self, path: &Path) -> Result<(), MetaTrainingError> {
        Ok(artifact::write(path, Kind::MetaTraining, &self.state)?)
    }

    /// Whether all rounds are done.
    pub fn is_finished(&self) -> bool {
        self.state.round >= self.recipe.meta.rounds
    }

    /// Rounds done.
    pub fn rounds_done(&self) -> u32 {
        self.state.round
    }

    /// One round: rollouts, updates, now and then a validation.
    ///
    /// # Errors
    /// When the agent diverges.
    pub fn round(&mut self) -> Result<RoundReport, MetaTrainingError> {
        let episodes = self.rollouts()?;
        let (mean_return, action_shares) = self.remember(episodes);
        let learned = self.learn()?;
        self.state.round += 1;
        let meta = &self.recipe.meta;
        let validate = self.state.round.is_multiple_of(meta.validate_every) || self.is_finished();
        let (validation, is_best) = if validate { self.validate()? } else { (None, false) };
        Ok(RoundReport {
            round: self.state.round,
            rounds: self.recipe.meta.rounds,
            inner_steps: self.state.inner_steps,
            mean_return,
            action_shares,
            q_loss: learned.loss,
            mean_abs_q: learned.mean_abs_q,
            validation: validation.map(|s| (s.mean_log_ratio, s.tuned_ratio, s.worst_ratio)),
            is_best,
        })
    }

    fn rollouts(&self) -> Result<Vec<(Option<Episode>, u64)>, MetaTrainingError> {
        let (recipe, meta, state) = (&self.recipe.rehearsed(), &self.recipe.meta, &self.state);
        let networks = Arc::new(state.learner.networks().cloned().collect::<Vec<_>>());
        let n = meta.episodes_per_round as usize;
        let explorer = Explorer::for_actions(recipe.exploration, &recipe.controls.actions(&recipe.moves))?;
        let start = |i: usize| {
            let mut rng = stream(state.seed, &format!("round {} episode {i}", state.round));
            let task = Task::draw(&meta.tasks, &mut rng).of_recipe(recipe);
            let explorer = explorer.clone().in_parallel(i, n);
            (task, Actor::new(recipe, networks.clone(), explorer, f64::from(state.round), rng))
        };
        if let Some(config) = recipe.line_search {
            let search = |i| {
                let (mut task, mut actor) = start(i);
                let driver_config = recipe.driver_config(task.known_budget.then_some(task.horizon));
                let search = LineSearch::new(task.lr, task.weight_decay, config, driver_config)?;
                let run = line_search_rollout(&mut task, search, &mut actor, true)?;
                let episode = actor.into_episode(&run, &meta.reward, &recipe.agent, task.known_budget);
                Ok((episode, run.inner_steps))
            };
            return parallel(n, self.engine.n_threads(), search).into_iter().collect();
        }
        let drive = |i| {
            let (task, actor) = start(i);
            let config = recipe.driver_config(task.known_budget.then_some(task.horizon));
            let driver = Driver::new(actor, task.lr, task.weight_decay, config)?;
            Ok((task, driver))
        };
        let lived = self.engine.rollouts(n, drive, true)?;
        let episodes = lived.into_iter().map(|(driver, run)| {
            let known_budget = driver.total_steps().is_some();
            let episode = driver.into_policy().into_episode(&run, &meta.reward, &recipe.agent, known_budget);
            (episode, run.inner_steps)
        });
        Ok(episodes.collect())
    }

    fn remember(&mut self, episodes: Vec<(Option<Episode>, u64)>) -> (f64, Vec<f64>) {
        let state = &mut self.state;
        let n_actions = state.average[0].n_actions();
        let (mut sum, mut n, mut counts) = (0.0, 0.0, vec![0.0; n_actions]);
        for (episode, inner_steps) in episodes {
            state.inner_steps += inner_steps;
            state.episodes += 1;
            let Some(episode) = episode else { continue };
            sum += episode.undiscounted_return();
            n += 1.0;
            episode.actions.iter().for_each(|&a| counts[usize::from(a)] += 1.0);
            for row in episode.observations.chunks_exact(state.ranges.len()) {
                for (range, &v) in state.ranges.iter_mut().zip(row) {
                    *range = [range[0].min(v), range[1].max(v)];
                }
            }
            state.replay.push(episode);
        }
        let total: f64 = counts.iter().sum::<f64>().max(1.0);
        (sum / f64::max(n, 1.0), counts.into_iter().map(|c| c / total).collect())
    }

    fn learn(&mut self) -> Result<UpdateReport, MetaTrainingError> {
        let state = &mut self.state;
        let meta = &self.recipe.meta;
        let mut rng = stream(state.seed, &format!("round {} updates", state.round));
        let mut mean = UpdateReport::default();
        for _ in 0..meta.updates_per_round {
            let progress = state.round as f32 / meta.rounds as f32;
            let report = state.learner.update(&state.replay, progress, &mut rng)?;
            mean.loss += report.loss / meta.updates_per_round as f32;
            mean.mean_abs_q += report.mean_abs_q / meta.updates_per_round as f32;
        }
        if mean.mean_abs_q.is_nan() || f64::from(mean.mean_abs_q) > DIVERGED_REWARDS * meta.reward.clip {
            return Err(MetaTrainingError::Diverged { round: state.round, mean_abs_q: mean.mean_abs_q });
        }
        // Early rounds weigh less, so that the average forgets the random start.
        let rate = meta.average.max(1.0 / (1.0 + state.round as f32));
        for (average, network) in state.average.iter_mut().zip(state.learner.networks()) {
            average.move_towards(network, rate);
        }
        Ok(mean)
    }

    fn validate(&mut self) -> Result<(Option<Score>, bool), MetaTrainingError> {
        let mut card = self.card();
        let candidate = self.pretrained(self.state.average.clone(), card.clone())?;
        let score = self.validation.score(&Arc::new(candidate), self.engine)?;
        let is_best = self.state.best.as_ref().is_none_or(|best| score.mean_log_ratio < best.mean_log_ratio);
        if is_best {
            card.evaluation = score.rows.clone();
            let networks = self.state.average.clone();
            self.state.best = Some(Best { networks, card, mean_log_ratio: score.mean_log_ratio });
        }
        Ok((Some(score), is_best))
    }

    fn card(&self) -> Card {
        Card {
            crate_version: env!("CARGO_PKG_VERSION").to_owned(),
            recipe_hash: self.state.recipe_hash.clone(),
            seed: self.state.seed,
            inner_steps: self.state.inner_steps,
            episodes: self.state.episodes,
            updates: self.state.learner.n_updates(),
            evaluation: Vec::new(),
        }
    }

    fn pretrained(&self, networks: Vec<QNetwork>, card: Card) -> Result<Pretrained, PretrainedError> {
        Pretrained::new(self.recipe.clone(), networks, self.state.ranges.clone(), card)
    }

    /// The best controller so far.
    ///
    /// # Errors
    /// When no validation has been done yet.
    pub fn finish(&self) -> Result<Pretrained, MetaTrainingError> {
        let best = self.state.best.as_ref();
        let best = best.ok_or(MetaTrainingError::Unfinished { rounds: self.recipe.meta.rounds })?;
        Ok(self.pretrained(best.networks.clone(), best.card.clone())?)
    }
}
