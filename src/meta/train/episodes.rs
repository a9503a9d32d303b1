//! The runs of one round of learning, and what the agent remembers of them.

use super::{MetaTraining, MetaTrainingError};
use crate::controller::Controller;
use crate::dqn::{Episode, Explorer};
use crate::driver::{Driver, DriverConfig, LineSearch, TraceRecord};
use crate::meta::engine::{Engine, EngineError};
use crate::meta::hindsight::{BestLevel, N_LEVELS};
use crate::meta::line_search::line_search_rollout;
use crate::meta::recipe::TrainingRecipe;
use crate::meta::rollout::Run;
use crate::meta::tasks::Task;
use crate::meta::validation::{OnNet, Start, grid, log_spaced};
use crate::parallel::parallel;
use crate::policy::Action;
use crate::rng::{log_uniform, stream};
use crate::schedule::Constant;
use crate::statistics::log_loss;
use rand::RngExt;
use std::sync::{Arc, Mutex, PoisonError};

/// What is remembered of one run.
pub(super) struct Lived {
    /// What the agent learns from; none where nothing was decided.
    pub episodes: Vec<Episode>,
    /// Sum of the rewards, or of the values of the moves.
    pub earned: f64,
    /// The actions, by number.
    pub taken: Vec<u8>,
    pub inner_steps: u64,
}

/// Number of tasks of the pool that are trained at a time: their examples must fit into memory.
const TASKS_AT_A_TIME: usize = 32;

/// Features, and the level before the move, of the decisions of one run; and the moves.
#[derive(Default)]
struct Diary {
    observations: Vec<f32>,
    levels: Vec<f64>,
    taken: Vec<Action>,
}

/// Scores the pool of tasks that the agent learns from in hindsight; it is empty where it learns from returns. Calls
/// `on_net` whenever a net begins.
pub(super) fn scored_pool(
    recipe: &TrainingRecipe,
    seed: u64,
    engine: Engine,
    on_net: &OnNet<'_>,
) -> Result<Vec<BestLevel>, EngineError> {
    let Some(hindsight) = &recipe.training.hindsight else { return Ok(Vec::new()) };
    let n_tasks = hindsight.tasks as usize;
    let range = |task: &Task| recipe.training.tasks.start_range(task.algorithm);
    let levels = |_, task: &Task| {
        let [low, high] = range(task);
        log_spaced(low, high, N_LEVELS).map(|lr| Start { lr, weight_decay: task.weight_decay }).collect()
    };
    let held = |task: &Task| {
        on_net();
        // A guard would bring a rate down that is too high, and the level would not be the rate.
        (Constant, DriverConfig { guard: None, ..task.told(recipe.controller.driver_config(None)) })
    };
    let mut pool = Vec::with_capacity(n_tasks);
    for from in (0..n_tasks).step_by(TASKS_AT_A_TIME) {
        let n = TASKS_AT_A_TIME.min(n_tasks - from);
        let draw = |i| Task { known_budget: true, ..of_pool(recipe, seed, from + i) };
        let tasks = parallel(n, engine.n_threads(), draw);
        let losses = grid(engine, &tasks, levels, held)?;
        let logs = losses.into_iter().map(|own| own.into_iter().map(log_loss).collect::<Vec<_>>());
        let best =
            |(task, logs): (&Task, Vec<f64>)| BestLevel::of(range(task), &logs, hindsight.quantile(task.exposures()));
        pool.extend(tasks.iter().zip(logs).map(best));
    }
    Ok(pool)
}

fn of_pool(recipe: &TrainingRecipe, seed: u64, i: usize) -> Task {
    Task::draw(&recipe.training.tasks, &mut stream(seed, &format!("pool {i}"))).of_recipe(recipe)
}

impl MetaTraining {
    /// The agent as it is, as a controller, and what lets it explore.
    fn agent(&self, recipe: &TrainingRecipe) -> Result<(Controller, Explorer), MetaTrainingError> {
        Ok((recipe.with_networks(self.state.learner.networks().cloned().collect()), recipe.explorer()?))
    }

    /// Rollouts on new tasks, for learning from returns.
    pub(super) fn rollouts(&self) -> Result<Vec<Lived>, MetaTrainingError> {
        let (recipe, training, state) = (&self.recipe.rehearsed(), &self.recipe.training, &self.state);
        let (agent, explorer) = self.agent(recipe)?;
        let n = training.episodes_per_round as usize;
        let start = |i: usize| {
            let mut rng = stream(state.seed, &format!("round {} episode {i}", state.round));
            let task = Task::draw(&training.tasks, &mut rng).of_recipe(recipe);
            let explorer = explorer.clone().in_parallel(i, n);
            (task, agent.clone().exploring(explorer, f64::from(state.round), rng))
        };
        let lived = |actor: Controller, run: &Run, known_budget| {
            let episode = actor.into_episode(&run.evaluations, &training.reward, &training.agent, known_budget);
            Lived {
                earned: episode.as_ref().map_or(0.0, Episode::undiscounted_return),
                taken: episode.as_ref().map_or(Vec::new(), |episode| episode.actions.clone()),
                episodes: episode.into_iter().collect(),
                inner_steps: run.inner_steps,
            }
        };
        if let Some(config) = recipe.controller.line_search {
            let search = |i| {
                let (mut task, mut actor) = start(i);
                let driver_config = task.told(recipe.controller.driver_config(None));
                let search = LineSearch::new(task.lr, task.weight_decay, config, driver_config)?;
                let run = line_search_rollout(&mut task, search, &mut actor, true)?;
                Ok(lived(actor, &run, task.known_budget))
            };
            return parallel(n, self.engine.n_threads(), search).into_iter().collect();
        }
        let drive = |i| {
            let (task, actor) = start(i);
            let config = task.told(recipe.controller.driver_config(None));
            let driver = Driver::new(actor, task.lr, task.weight_decay, config)?;
            Ok((task, driver))
        };
        let runs = self.engine.rollouts(n, drive, true)?;
        let lived = runs.into_iter().map(|(driver, run)| {
            let known_budget = driver.total_steps().is_some();
            lived(driver.into_policy(), &run, known_budget)
        });
        Ok(lived.collect())
    }

    /// Rollouts on tasks of the pool, with starts and batches of their own, for learning in hindsight.
    pub(super) fn rollouts_of_pool(&self) -> Result<Vec<Lived>, MetaTrainingError> {
        let (recipe, training, state) = (&self.recipe.rehearsed(), &self.recipe.training, &self.state);
        let (agent, explorer) = self.agent(recipe)?;
        let n = training.episodes_per_round as usize;
        let pick = |i: usize| {
            let mut rng = stream(state.seed, &format!("round {} episode {i}", state.round));
            (rng.random_range(0..self.pool.len()), rng)
        };
        let diaries: Vec<Arc<Mutex<Diary>>> = (0..n).map(|_| Arc::default()).collect();
        let drive = |i: usize| {
            let (picked, mut rng) = pick(i);
            let mut task = of_pool(recipe, state.seed, picked);
            let [low, high] = training.tasks.start_range(task.algorithm);
            task.lr = log_uniform(low, high, &mut rng);
            task.batch_seed = rng.random();
            task.known_budget = rng.random_bool(training.tasks.known_budget);
            let actor = agent.clone().exploring(explorer.clone().in_parallel(i, n), f64::from(state.round), rng);
            let config = task.told(recipe.controller.driver_config(None));
            let (pace, total_steps) = (config.pace, config.total_steps);
            let mut driver = Driver::new(actor, task.lr, task.weight_decay, config)?;
            let diary = diaries[i].clone();
            driver.on_decision(Box::new(move |record: &TraceRecord<'_>| {
                // The guard sees no features.
                let Some(action) = record.action.filter(|_| !record.features.is_empty()) else { return };
                let after = record.lr / pace.base_factor(record.step, total_steps);
                let mut diary = diary.lock().unwrap_or_else(PoisonError::into_inner);
                diary.observations.extend_from_slice(record.features);
                diary.levels.push(after / action.lr.factor());
                diary.taken.push(action);
            }));
            Ok((task, driver))
        };
        let runs = self.engine.rollouts(n, drive, false)?;
        let actions = recipe.controller.actions();
        let lived = runs.iter().zip(&diaries).enumerate().map(|(i, ((_, run), diary))| {
            let diary = std::mem::take(&mut *diary.lock().unwrap_or_else(PoisonError::into_inner));
            diary.valued(&self.pool[pick(i).0], &actions, run.inner_steps)
        });
        Ok(lived.collect())
    }
}

impl Diary {
    /// An episode for each action, as if it had been taken everywhere, with its value as the reward. The discount is 0,
    /// so that the Q-values become the rewards.
    fn valued(self, best: &BestLevel, actions: &[Action], inner_steps: u64) -> Lived {
        let number = |action: &Action| actions.iter().position(|own| own == action).unwrap_or(0) as u8;
        let taken: Vec<u8> = self.taken.iter().map(number).collect();
        let n = taken.len();
        let value = |level: f64, action: &Action| best.value(level * action.lr.factor());
        let earned = self.levels.iter().zip(&self.taken).map(|(&level, action)| f64::from(value(level, action))).sum();
        let n_features = self.observations.len() / n.max(1);
        // The state after the last action is not looked at.
        let mut observations = self.observations;
        observations.extend_from_within(observations.len() - n_features..);
        let episode = |(k, action): (usize, &Action)| Episode {
            n_features,
            observations: observations.clone(),
            actions: vec![k as u8; n],
            rewards: self.levels.iter().map(|&level| value(level, action)).collect(),
            discount: 0.0,
            terminated: true,
        };
        let episodes = if n == 0 { Vec::new() } else { actions.iter().enumerate().map(episode).collect() };
        Lived { episodes, earned, taken, inner_steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Move;

    #[test]
    fn every_move_is_valued_at_every_state_by_where_it_leaves_the_level() {
        let best = BestLevel::of([1e-2, 1.0], &[1.0, 0.0, 1.0], 0.5);
        let actions = Move::ALL.map(|lr| Action { lr, ..Action::ACCEPT });
        let levels = vec![0.1, 0.2, 0.08];
        let taken = vec![actions[1], actions[0], actions[2]];
        let diary = Diary { observations: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], levels: levels.clone(), taken };
        let lived = diary.valued(&best, &actions, 7);
        assert_eq!((lived.taken, lived.inner_steps, lived.episodes.len()), (vec![1, 0, 2], 7, 3));
        // All three moves were the best ones.
        assert!(lived.earned.abs() < 1e-6, "{}", lived.earned);
        for (k, episode) in lived.episodes.iter().enumerate() {
            assert_eq!((episode.n_features, episode.observation(2)), (2, &[5.0, 6.0][..]));
            for (t, level) in levels.iter().enumerate() {
                let far = (level * actions[k].lr.factor() / 0.1f64).ln().abs();
                let expected = -0.5 * (far + far.min(1.0));
                assert!((f64::from(episode.rewards[t]) - expected).abs() < 1e-6);
                assert_eq!(episode.actions[t], k as u8);
            }
        }
        assert!(Diary::default().valued(&best, &actions, 1).episodes.is_empty());
    }
}
