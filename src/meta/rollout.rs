//! One episode: a task trained from start to horizon under a [`Driver`], exactly as a user's net would be.

use super::config::RewardConfig;
use super::optimizer::InnerOptimizer;
use super::tasks::{HeldOut, Task};
use crate::controller::{
    Action, DecisionConfig, Driver, Features, LineSearchConfig, LossWindow, Measure, Measured, Recipe, Signals, Verdict,
};
use crate::dqn::{AgentConfig, Episode, Explorer, QNetwork, Scratch, network::mean_q_values};
use crate::policy::{Decision, Policy, Reason};
use crate::rng::stream;
use crate::simd::all_finite;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// What a finished run looks like from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What the task is judged by (the loss on its evaluation batch) at every decision, then after the last step.
    pub evaluations: Vec<f64>,
    /// Inner steps taken, the rolled-back ones included.
    pub inner_steps: u64,
}

impl Run {
    /// The loss after the last step.
    pub fn final_loss(&self) -> f64 {
        self.evaluations.last().copied().unwrap_or(f64::NAN)
    }
}

/// Trains the task under the driver. With `evaluate_decisions` the evaluation loss is taken at every decision too. Where the task reports its
/// validation loss, the driver is told it at every decision, as by a user's `observe_validation`.
pub fn rollout<P: Policy>(task: &mut Task, driver: &mut Driver<P>, evaluate_decisions: bool) -> Run {
    let mut rng = stream(task.batch_seed, "batches");
    let n = task.problem.n_params();
    let mut x = task.start.clone();
    let mut grad = vec![0.0; n];
    let mut optimizer = InnerOptimizer::new(task.algorithm, n);
    let mut snapshot: Option<(Vec<f32>, InnerOptimizer)> = None;
    let mut measure = Measure::default();
    let mut losses: Vec<f32> = Vec::new();
    let mut evaluations = Vec::new();
    while driver.step() < task.horizon {
        let loss = task.loss_and_grad(&x, &mut grad, &mut rng);
        losses.push(loss);
        let finite = loss.is_finite() && all_finite(&grad);
        if driver.is_due() {
            let window = LossWindow::of(&losses);
            losses.clear();
            let mut verdict = driver.check(&window, finite);
            let mut measured = Measured::default();
            if verdict == Verdict::Good {
                measured = measure.measure(&x, &grad);
                verdict = driver.check_first_step(&window, &measured);
            }
            if verdict == Verdict::Restart {
                snapshot = Some((task.start.clone(), InnerOptimizer::new(task.algorithm, n)));
            }
            if let (Verdict::RollBack { .. } | Verdict::Restart, Some((good_x, good_optimizer))) = (verdict, &snapshot)
            {
                x.copy_from_slice(good_x);
                optimizer.clone_from(good_optimizer);
                if verdict == Verdict::Restart {
                    measure = Measure::default();
                } else {
                    measure.rolled_back(&x);
                }
            }
            if verdict != Verdict::Good {
                driver.advance();
                continue;
            }
            match &mut snapshot {
                Some((good_x, good_optimizer)) => {
                    good_x.copy_from_slice(&x);
                    good_optimizer.clone_from(&optimizer);
                }
                None => snapshot = Some((x.clone(), optimizer.clone())),
            }
            let reported = report_validation(task, driver, &x);
            if evaluate_decisions {
                evaluations.push(task.evaluate_after(reported, &x));
            }
            driver.decide(&window, &measured);
        }
        if finite {
            optimizer.step(&mut x, &mut grad, driver.lr(), driver.weight_decay());
        }
        driver.advance();
    }
    if evaluate_decisions {
        // What a truncated episode bootstraps from.
        losses.push(task.loss_and_grad(&x, &mut grad, &mut rng));
        report_validation(task, driver, &x);
        driver.decide(&LossWindow::of(&losses), &measure.measure(&x, &grad));
    }
    evaluations.push(task.evaluate(&x));
    Run { evaluations, inner_steps: driver.step() }
}

fn report_validation<P: Policy>(task: &mut Task, driver: &mut Driver<P>, x: &[f32]) -> Option<HeldOut> {
    let found = task.reported_validation(x);
    if let Some(found) = found {
        driver.observe_validation(found.loss);
    }
    found
}

/// A Q-network that explores, and writes down what it saw and did.
#[derive(Debug)]
pub struct Actor {
    networks: Arc<Vec<QNetwork>>,
    scratch: Scratch,
    features: Features,
    actions: Vec<Action>,
    decisions: DecisionConfig,
    line_search: Option<LineSearchConfig>,
    explorer: Explorer,
    time: f64,
    rng: ChaCha8Rng,
    q_values: Vec<f32>,
    q_row: Vec<f32>,
    observations: Vec<f32>,
    taken: Vec<u8>,
}

impl Actor {
    /// An actor at the start of an episode; `time` is that of the exploration's schedule.
    pub fn new(recipe: &Recipe, networks: Arc<Vec<QNetwork>>, explorer: Explorer, time: f64, rng: ChaCha8Rng) -> Self {
        let actions = recipe.controls.actions(&recipe.moves);
        Self {
            scratch: networks[0].scratch(),
            features: recipe.features.tracker(recipe.controls),
            decisions: recipe.decisions,
            line_search: recipe.line_search,
            explorer,
            time,
            rng,
            q_values: vec![0.0; actions.len()],
            q_row: vec![0.0; actions.len()],
            observations: Vec::new(),
            taken: Vec::new(),
            actions,
            networks,
        }
    }

    /// The episode that it lived through; `run` must be its own, evaluated at decisions. `None` where nothing was decided.
    ///
    /// With a known budget the last state is terminal; with an unknown one the run was only cut off there.
    pub fn into_episode(
        self,
        run: &Run,
        reward: &RewardConfig,
        agent: &AgentConfig,
        known_budget: bool,
    ) -> Option<Episode> {
        let n_features = self.networks[0].n_features();
        let n = run.evaluations.len().checked_sub(1)?;
        if n == 0 || self.taken.len() != n + 1 {
            return None;
        }
        let accepted = self.taken.iter().map(|&a| self.actions[usize::from(a)] == Action::ACCEPT);
        let rewards = run.evaluations.windows(2).zip(accepted).map(|(f, accepted)| reward.reward(accepted, f[0], f[1]));
        Some(Episode {
            n_features,
            observations: self.observations,
            actions: self.taken[..n].to_vec(),
            rewards: rewards.collect(),
            discount: if known_budget { agent.gamma } else { agent.gamma_unknown },
            terminated: known_budget,
        })
    }
}

impl Policy for Actor {
    fn decide(&mut self, signals: &Signals) -> Decision {
        let (n, at) = (self.networks[0].n_features(), self.observations.len());
        let last = self.taken.last().map(|&a| self.actions[usize::from(a)]);
        self.observations.resize(at + n, 0.0);
        self.features.update(signals, last, &mut self.observations[at..]);
        if self.line_search.is_some_and(|config| config.is_warm_up(signals.step)) {
            self.observations.truncate(at);
            return Decision::of(Action::ACCEPT, Reason::Policy);
        }
        let (networks, obs) = (self.networks.iter(), &self.observations[at..]);
        mean_q_values(networks, obs, &mut self.scratch, &mut self.q_row, &mut self.q_values);
        let choice = self.explorer.act(&self.q_values, self.time, &mut self.rng);
        self.taken.push(choice.action as u8);
        self.decisions.decision(self.actions[choice.action], choice.into())
    }

    fn interval(&self, step: u64) -> u64 {
        self.decisions.interval(step)
    }

    fn line_search(&self) -> Option<LineSearchConfig> {
        self.line_search
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{DriverConfig, FeatureSet, Move};
    use crate::dqn::{EpsilonGreedy, EpsilonSchedule, Exploration};
    use std::path::Path;

    fn recipe(name: &str) -> Recipe {
        let mut recipe = Recipe::load(Path::new(&format!("controllers/{name}.toml"))).unwrap();
        recipe.meta.tasks.horizon = [300, 300];
        recipe
    }

    fn task(recipe: &Recipe, seed: u64) -> Task {
        Task::draw(&recipe.meta.tasks, &mut stream(seed, "task")).of_recipe(recipe)
    }

    /// Always the same move of the weight decay, at every 20th step.
    struct Always(Move);
    impl Policy for Always {
        fn decide(&mut self, _: &Signals) -> Decision {
            Decision::of(Action { lr: Move::Accept, weight_decay: self.0 }, Reason::Policy)
        }
        fn interval(&self, _: u64) -> u64 {
            20
        }
    }

    #[test]
    fn the_weight_decay_changes_what_a_run_ends_at_and_what_it_earns() {
        let recipe = recipe("weight-decay");
        for seed in 0..4 {
            let run = |moved| {
                let mut task = task(&recipe, seed);
                let mut driver = Driver::new(Always(moved), task.lr, 0.01, DriverConfig::default()).unwrap();
                rollout(&mut task, &mut driver, true)
            };
            let [up, down] = [Move::Grow, Move::Halve].map(run);
            assert_eq!(up.evaluations.len(), down.evaluations.len());
            assert!((up.evaluations[0] - down.evaluations[0]).abs() < 1e-12, "nothing has moved yet");
            assert!((up.final_loss() - down.final_loss()).abs() > 1e-3, "seed {seed}");
            let earned = |run: &Run| {
                let pairs = run.evaluations.windows(2);
                pairs.map(|f| f64::from(recipe.meta.reward.reward(false, f[0], f[1]))).sum::<f64>()
            };
            assert_eq!(earned(&up) > earned(&down), up.final_loss() < down.final_loss());
        }
    }

    #[test]
    fn what_a_controller_is_told_of_the_validation_varies_over_an_episode_of_the_random_policy() {
        for name in ["weight-decay", "joint"] {
            let recipe = recipe(name);
            let n_scalefree = FeatureSet::Scalefree.names().len();
            let (names, actions) = (FeatureSet::ScalefreeValidation.names(), recipe.controls.actions(&recipe.moves));
            let network = QNetwork::new(names.len(), &[8], actions.len(), true, &mut stream(1, "network"));
            let epsilon = EpsilonSchedule::Constant(1.0);
            let random = Exploration::EpsilonGreedy(EpsilonGreedy { epsilon, ..EpsilonGreedy::default() });
            let mut task = task(&recipe, 2);
            let explorer = Explorer::new(random, &recipe.controls.drift_free_odds(&recipe.moves)).unwrap();
            let actor = Actor::new(&recipe, Arc::new(vec![network]), explorer, 0.0, stream(3, "actor"));
            let [low, high] = task.algorithm.start_range();
            let mut driver = Driver::new(actor, (low * high).sqrt(), 0.01, recipe.driver_config(Some(300))).unwrap();
            rollout(&mut task, &mut driver, true);
            let seen = driver.into_policy().observations;
            for feature in ["validation_gap", "decay_share"].iter().chain(&names[n_scalefree..]) {
                let column = names.iter().position(|name| name == feature).unwrap();
                let values: Vec<f64> = seen.chunks_exact(names.len()).map(|row| f64::from(row[column])).collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
                assert!(variance > 1e-5, "{name}: {feature} hardly varies ({variance:.1e})");
            }
        }
    }

    #[test]
    fn a_controller_of_the_learning_rate_is_told_no_validation_loss() {
        let recipe = recipe("lr");
        let task = &mut task(&recipe, 2);
        let x = task.start.clone();
        assert!(!task.reports_validation && task.reported_validation(&x).is_none());
    }
}
