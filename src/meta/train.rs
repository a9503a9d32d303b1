//! The loop of meta-training: round by round, with a checkpoint after each.

mod episodes;
mod report;
mod workload;

pub use report::{MetaTrainingError, RoundReport, Stage};
pub use workload::Workload;

use episodes::Lived;

use super::engine::Engine;
use super::hindsight::BestLevel;
use super::polish::{COMPONENTS, Polish, PolishConfig};
use super::recipe::TrainingRecipe;
use super::tasks::Task;
use super::validation::{self, OnNet, Score, ValidationSet};
use crate::artifact::{self, Kind};
use crate::controller::{Card, Pretrained, PretrainedError};
use crate::dqn::{Learner, QNetwork, Replay, UpdateReport};
use crate::limits::is_count;
use crate::policy::Action;
use crate::rng::stream;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Meta-training under way: [`MetaTraining::round`] until [`MetaTraining::is_finished`], then [`MetaTraining::finish`].
pub struct MetaTraining {
    recipe: TrainingRecipe,
    engine: Engine,
    validation: ValidationSet,
    /// Best levels of the tasks of the pool, where the agent learns in hindsight.
    pool: Vec<BestLevel>,
    state: State,
}

/// State that later rounds depend on. Random streams are derived from the seed and the round, so they are no part of
/// it.
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
    polish: Option<Polish>,
}

impl State {
    /// Whether a meta-training that began as `fresh` can have left it so.
    fn fits(&self, fresh: &Self) -> bool {
        let network = &fresh.average[0];
        let (n_features, n_actions) = (network.n_features(), network.n_actions());
        let alike = |networks: &[QNetwork]| !networks.is_empty() && networks.iter().all(|own| own.is_like(network));
        self.learner.fits(&fresh.learner, network)
            && alike(&self.average)
            && self.replay.fits(&fresh.replay, n_features, n_actions)
            && self.ranges.len() == fresh.ranges.len()
            && self.ranges.iter().all(|[low, high]| low <= high)
            && is_count(self.inner_steps)
            && is_count(self.episodes)
            && self.best.as_ref().is_none_or(|best| alike(&best.networks))
            && self.polish.as_ref().is_none_or(|polish| polish.fits(network))
    }
}

/// Best averaged networks so far.
#[derive(Clone, Serialize, Deserialize)]
struct Best {
    networks: Vec<QNetwork>,
    card: Card,
    mean_log_ratio: f64,
}

/// Size of Q-values, in best possible rewards, beyond which the agent has diverged.
const DIVERGED_REWARDS: f64 = 500.0;

/// Number of states from the replay memory whose principal components the polish looks at.
const POLISH_STATES: usize = 4096;

impl MetaTraining {
    /// Starts anew. A number of threads stands for the kernel on that many.
    ///
    /// # Errors
    /// When the engine cannot run the recipe's tasks, or the tables that it names are not read (see [`Tables`](super::Tables)).
    pub fn new(recipe: TrainingRecipe, seed: u64, engine: impl Into<Engine>) -> Result<Self, MetaTrainingError> {
        Self::new_telling(recipe, seed, engine, &|| ())
    }

    /// [`MetaTraining::new`], which calls `on_net` whenever one of the [`Workload::rival_nets`] begins that the rival is
    /// tuned with: with the kernel one after the other, with tch all of them before any is trained.
    ///
    /// # Errors
    /// As [`MetaTraining::new`].
    pub fn new_telling(
        recipe: TrainingRecipe,
        seed: u64,
        engine: impl Into<Engine>,
        on_net: &OnNet<'_>,
    ) -> Result<Self, MetaTrainingError> {
        let engine = engine.into();
        let tasks = &recipe.training.tasks;
        if tasks.measured > 0.0 && tasks.data.is_empty() {
            let (recipe, tables) = (recipe.controller.name.clone(), tasks.tables.join(", "));
            return Err(MetaTrainingError::NoTables { recipe, tables });
        }
        let validation = ValidationSet::draw_telling(&recipe, seed, engine, on_net)?;
        let pool = episodes::scored_pool(&recipe, seed, engine, on_net)?;
        let (n_features, n_actions) = (recipe.controller.features.names().len(), recipe.controller.actions().len());
        let (shape, training) = (&recipe.controller.network, &recipe.training);
        let mut rng = stream(seed, "q-network");
        let new_network = |_| QNetwork::new(n_features, &shape.hidden, n_actions, shape.dueling, &mut rng);
        let networks: Vec<QNetwork> = (0..training.agent.ensemble).map(new_network).collect();
        let state = State {
            recipe_hash: recipe.whole().hash(),
            seed,
            round: 0,
            average: networks.clone(),
            learner: Learner::new(networks, training.agent.clone()),
            replay: Replay::new(training.replay.clone()),
            ranges: vec![[0.0, 0.0]; n_features],
            inner_steps: 0,
            episodes: 0,
            best: None,
            polish: None,
        };
        Ok(Self { recipe, engine, validation, pool, state })
    }

    /// Goes on from a checkpoint of the same recipe and seed. It ends in the same bytes only with the same engine.
    ///
    /// # Errors
    /// When the checkpoint cannot be read or belongs to another recipe or seed, when no meta-training can have left it
    /// so, or the engine cannot run the recipe's tasks.
    pub fn resume(
        path: &Path,
        recipe: TrainingRecipe,
        seed: u64,
        engine: impl Into<Engine>,
    ) -> Result<Self, MetaTrainingError> {
        Self::resume_telling(path, recipe, seed, engine, &|| ())
    }

    /// [`MetaTraining::resume`], which calls `on_net` as [`MetaTraining::new_telling`] does: the rival is tuned again.
    ///
    /// # Errors
    /// As [`MetaTraining::resume`].
    pub fn resume_telling(
        path: &Path,
        recipe: TrainingRecipe,
        seed: u64,
        engine: impl Into<Engine>,
        on_net: &OnNet<'_>,
    ) -> Result<Self, MetaTrainingError> {
        let state: State = artifact::read(path, Kind::MetaTraining)?;
        let other = |what, found, expected| Err(MetaTrainingError::OtherRun { what, found, expected });
        let hash = recipe.whole().hash();
        if state.recipe_hash != hash {
            return other("recipe", state.recipe_hash, hash);
        }
        if state.seed != seed {
            return other("seed", state.seed.to_string(), seed.to_string());
        }
        let fresh = Self::new_telling(recipe, seed, engine, on_net)?;
        if !state.fits(&fresh.state) {
            return Err(MetaTrainingError::Damaged);
        }
        Ok(Self { state, ..fresh })
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
        self.state.round >= self.n_rounds()
    }

    /// Number of rounds in all: those of Q-learning, then those of the polish.
    pub fn n_rounds(&self) -> u32 {
        self.workload().n_rounds()
    }

    /// How much there is to do in all.
    pub fn workload(&self) -> Workload {
        Workload::of(&self.recipe)
    }

    /// Number of rounds that are done.
    pub fn rounds_done(&self) -> u32 {
        self.state.round
    }

    /// Does one round: rollouts and updates, or a step of the polish; now and then a validation.
    ///
    /// # Errors
    /// When the agent diverges, or the engine fails.
    pub fn round(&mut self) -> Result<RoundReport, MetaTrainingError> {
        let stage = match self.recipe.training.polish.clone() {
            Some(polish) if self.state.round >= self.recipe.training.rounds => self.polish(&polish)?,
            _ => self.learning_round()?,
        };
        let validates = self.workload().validates(self.state.round);
        self.state.round += 1;
        let (validation, is_best) = if validates { self.validate()? } else { (None, false) };
        Ok(RoundReport {
            round: self.state.round,
            rounds: self.n_rounds(),
            inner_steps: self.state.inner_steps,
            stage,
            validation: validation.map(|s| (s.mean_log_ratio, s.tuned_ratio, s.worst_ratio)),
            is_best,
        })
    }

    fn learning_round(&mut self) -> Result<Stage, MetaTrainingError> {
        let lived = if self.pool.is_empty() { self.rollouts()? } else { self.rollouts_of_pool()? };
        let (mean_return, action_shares) = self.remember(lived);
        let UpdateReport { loss: q_loss, mean_abs_q, .. } = self.learn()?;
        Ok(Stage::Learning { mean_return, action_shares, q_loss, mean_abs_q })
    }

    fn remember(&mut self, lived: Vec<Lived>) -> (f64, Vec<f64>) {
        let state = &mut self.state;
        let n_actions = state.average[0].n_actions();
        let (mut sum, mut n, mut counts) = (0.0, 0.0, vec![0.0; n_actions]);
        for Lived { episodes, earned, taken, inner_steps } in lived {
            state.inner_steps += inner_steps;
            state.episodes += 1;
            let Some(first) = episodes.first() else { continue };
            sum += earned;
            n += 1.0;
            taken.iter().for_each(|&a| counts[usize::from(a)] += 1.0);
            for row in first.observations.chunks_exact(state.ranges.len()) {
                for (range, &v) in state.ranges.iter_mut().zip(row) {
                    *range = [range[0].min(v), range[1].max(v)];
                }
            }
            episodes.into_iter().for_each(|episode| state.replay.push(episode));
        }
        let total: f64 = counts.iter().sum::<f64>().max(1.0);
        (sum / f64::max(n, 1.0), counts.into_iter().map(|c| c / total).collect())
    }

    fn learn(&mut self) -> Result<UpdateReport, MetaTrainingError> {
        let state = &mut self.state;
        let training = &self.recipe.training;
        let mut rng = stream(state.seed, &format!("round {} updates", state.round));
        let mut mean = UpdateReport::default();
        for _ in 0..training.updates_per_round {
            let progress = state.round as f32 / training.rounds as f32;
            let report = state.learner.update(&state.replay, progress, &mut rng)?;
            mean.loss += report.loss / training.updates_per_round as f32;
            mean.mean_abs_q += report.mean_abs_q / training.updates_per_round as f32;
        }
        if mean.mean_abs_q.is_nan() || f64::from(mean.mean_abs_q) > DIVERGED_REWARDS * training.reward.clip {
            return Err(MetaTrainingError::Diverged { round: state.round, mean_abs_q: mean.mean_abs_q });
        }
        // Early rounds weigh less, so that the average forgets the random start.
        let rate = training.average.max(1.0 / (1.0 + state.round as f32));
        for (average, network) in state.average.iter_mut().zip(state.learner.networks()) {
            average.move_towards(network, rate);
        }
        Ok(mean)
    }

    /// Does one round of the polish. The first one begins with the best networks so far, and with states from the
    /// replay memory.
    fn polish(&mut self, config: &PolishConfig) -> Result<Stage, MetaTrainingError> {
        let mut polish = match self.state.polish.take() {
            Some(polish) => polish,
            None => self.begin_polish()?,
        };
        let (recipe, seed, round) = (&self.recipe, self.state.seed, polish.round());
        let tasks: Vec<Task> = (0..config.episodes_per_round)
            .map(|i| {
                let mut rng = stream(seed, &format!("polish {round} task {i}"));
                Task::draw(&recipe.training.tasks, &mut rng).of_recipe(recipe)
            })
            .collect();
        let card = self.card();
        let mean_difference = polish.step(config, seed, |pairs| {
            let candidate = |networks| Ok(Arc::new(self.pretrained(networks, card.clone())?));
            let candidates: Vec<_> = pairs.into_iter().map(candidate).collect::<Result<_, MetaTrainingError>>()?;
            let runs: Vec<_> = candidates.iter().enumerate().map(|(k, candidate)| (&tasks[k / 2], candidate)).collect();
            Ok::<_, MetaTrainingError>(validation::log_losses(self.engine, &runs)?)
        })?;
        self.state.inner_steps += tasks.iter().map(|task| 2 * task.horizon).sum::<u64>();
        self.state.episodes += 2 * tasks.len() as u64;
        self.state.polish = Some(polish);
        Ok(Stage::Polishing { mean_difference })
    }

    fn begin_polish(&self) -> Result<Polish, MetaTrainingError> {
        let unfinished = MetaTrainingError::Unfinished { rounds: self.recipe.training.rounds };
        let networks = self.state.best.as_ref().ok_or(unfinished)?.networks.clone();
        let mut rng = stream(self.state.seed, "polish states");
        let batch = self.state.replay.sample(POLISH_STATES, 1, &mut rng);
        let states = ArrayView2::from_shape((batch.actions.len(), networks[0].n_features()), &batch.obs)?;
        let actions = self.recipe.controller.actions();
        let reference = actions.iter().position(|&action| action == Action::ACCEPT).unwrap_or(0);
        Ok(Polish::new(networks, reference, states, COMPONENTS))
    }

    fn validate(&mut self) -> Result<(Option<Score>, bool), MetaTrainingError> {
        let mut card = self.card();
        let networks = self.state.polish.as_ref().map_or_else(|| self.state.average.clone(), Polish::networks);
        let candidate = self.pretrained(networks.clone(), card.clone())?;
        let score = self.validation.score(&Arc::new(candidate), self.engine)?;
        let is_best = self.state.best.as_ref().is_none_or(|best| score.mean_log_ratio < best.mean_log_ratio);
        if is_best {
            card.evaluation = score.rows.clone();
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
            parents: Vec::new(),
        }
    }

    fn pretrained(&self, networks: Vec<QNetwork>, card: Card) -> Result<Pretrained, PretrainedError> {
        Pretrained::new(self.recipe.whole(), networks, self.state.ranges.clone(), card)
    }

    /// Best controller so far.
    ///
    /// # Errors
    /// When no validation has been done yet.
    pub fn finish(&self) -> Result<Pretrained, MetaTrainingError> {
        let best = self.state.best.as_ref();
        let best = best.ok_or(MetaTrainingError::Unfinished { rounds: self.recipe.training.rounds })?;
        Ok(self.pretrained(best.networks.clone(), best.card.clone())?)
    }
}
