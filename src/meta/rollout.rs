//! Rollouts: a task is trained from start to horizon under a [`Driver`], exactly as a user's net would be.

use super::tasks::{HeldOut, Task};
use crate::driver::{Driver, Order};
use crate::policy::{Measure, Policy};
use crate::rng::stream;
use crate::simd::all_finite;

/// Result of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Figures that the task is judged by (the loss on its evaluation batch): one at every decision, then one after the
    /// last step.
    pub evaluations: Vec<f64>,
    /// Number of inner steps, those that were skipped or undone included.
    pub inner_steps: u64,
}

impl Run {
    /// Figure after the last step.
    pub fn final_loss(&self) -> f64 {
        self.evaluations.last().copied().unwrap_or(f64::NAN)
    }
}

/// Trains the task under the driver. With `evaluate_decisions` the task is judged at every decision too. Where it
/// reports its validation loss, the driver is told that before every decision, as by a user's `observe_validation`.
pub fn rollout<P: Policy>(task: &mut Task, driver: &mut Driver<P>, evaluate_decisions: bool) -> Run {
    let mut rng = stream(task.batch_seed, "batches");
    let (mut x, mut grad) = (task.start.clone(), vec![0.0; task.problem.n_params()]);
    let mut optimizer = task.optimizer();
    let mut kept = (x.clone(), optimizer.clone());
    let mut measure = Measure::default();
    let mut evaluations = Vec::new();
    while driver.steps() < task.horizon {
        let loss = task.loss_and_grad(&x, &mut grad, &mut rng);
        let is_finite = loss.is_finite() && all_finite(&grad);
        let decides = driver.is_due();
        let reported = if decides { report_validation(task, driver, &x) } else { None };
        match driver.step(&[loss], is_finite, || measure.measure(&x, &grad)) {
            Order::Apply { lr, weight_decay, keep } => {
                if keep {
                    kept.0.copy_from_slice(&x);
                    kept.1.clone_from(&optimizer);
                }
                if decides && evaluate_decisions {
                    evaluations.push(task.evaluate_after(reported, &x));
                }
                // Only without a guard a step that is not finite comes here.
                if is_finite {
                    optimizer.step(&mut x, &mut grad, lr, weight_decay);
                }
            }
            Order::Skip => {}
            Order::RollBack => {
                x.copy_from_slice(&kept.0);
                optimizer.clone_from(&kept.1);
                measure.rolled_back(&x);
            }
            Order::Restart => {
                kept = (task.start.clone(), task.optimizer());
                x.copy_from_slice(&kept.0);
                optimizer.clone_from(&kept.1);
                measure = Measure::default();
            }
        }
    }
    if evaluate_decisions {
        let loss = task.loss_and_grad(&x, &mut grad, &mut rng);
        report_validation(task, driver, &x);
        driver.finish(&[loss], &measure.measure(&x, &grad));
    }
    evaluations.push(task.evaluate(&x));
    Run { evaluations, inner_steps: driver.steps() }
}

fn report_validation<P: Policy>(task: &mut Task, driver: &mut Driver<P>, x: &[f32]) -> Option<HeldOut> {
    let found = task.reported_validation(x);
    if let Some(found) = found {
        driver.observe_validation(found.loss);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::FeatureSet;
    use crate::dqn::{AgentConfig, EpsilonGreedy, EpsilonSchedule, Exploration, QNetwork, RewardConfig};
    use crate::driver::{DriverConfig, GuardConfig, Pace, TraceRecord};
    use crate::meta::recipe::TrainingRecipe;
    use crate::policy::{Action, Decision, Move, Reason, Signals};
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    fn recipe(name: &str) -> TrainingRecipe {
        let mut recipe = TrainingRecipe::load(Path::new(&format!("controllers/{name}.toml"))).unwrap();
        recipe.training.tasks.horizon = [300, 300];
        recipe
    }

    fn task(recipe: &TrainingRecipe, seed: u64) -> Task {
        Task::draw(&recipe.training.tasks, &mut stream(seed, "task")).of_recipe(recipe)
    }

    /// Always the same move of the weight decay.
    struct Always(Move);
    impl Policy for Always {
        fn decide(&mut self, _: &Signals) -> Decision {
            Decision::of(Action { lr: Move::Accept, weight_decay: self.0 }, Reason::Policy)
        }
    }

    #[test]
    fn the_weight_decay_changes_what_a_run_ends_at_and_what_it_earns() {
        let recipe = recipe("weight-decay");
        let config = DriverConfig { pace: Pace::every(20), ..DriverConfig::default() };
        for seed in 0..4 {
            let run = |moved| {
                let mut task = task(&recipe, seed);
                let mut driver = Driver::new(Always(moved), task.lr, 0.01, config.clone()).unwrap();
                rollout(&mut task, &mut driver, true)
            };
            let [up, down] = [Move::Grow, Move::Halve].map(run);
            assert_eq!(up.evaluations.len(), down.evaluations.len());
            assert!((up.evaluations[0] - down.evaluations[0]).abs() < 1e-12, "nothing has moved yet");
            assert!((up.final_loss() - down.final_loss()).abs() > 1e-3, "seed {seed}");
            let earned = |run: &Run| {
                let pairs = run.evaluations.windows(2);
                pairs.map(|f| f64::from(recipe.training.reward.reward(false, f[0], f[1]))).sum::<f64>()
            };
            assert_eq!(earned(&up) > earned(&down), up.final_loss() < down.final_loss());
        }
    }

    #[test]
    fn what_a_controller_is_told_of_the_validation_varies_over_an_episode_of_the_random_policy() {
        for name in ["weight-decay", "joint"] {
            let recipe = recipe(name);
            let n_scalefree = FeatureSet::Scalefree.names().len();
            let (names, actions) = (FeatureSet::ScalefreeValidation.names(), recipe.controller.actions());
            let network = QNetwork::new(names.len(), &[8], actions.len(), true, &mut stream(1, "network"));
            let epsilon = EpsilonSchedule::Constant(1.0);
            let mut recipe = recipe;
            recipe.training.exploration =
                Exploration::EpsilonGreedy(EpsilonGreedy { epsilon, ..EpsilonGreedy::default() });
            let mut task = task(&recipe, 2);
            let explorer = recipe.explorer().unwrap();
            let actor = recipe.with_networks(vec![network]).exploring(explorer, 0.0, stream(3, "actor"));
            let config = recipe.controller.driver_config(Some(300));
            let [low, high] = task.algorithm.start_range();
            let mut driver = Driver::new(actor, (low * high).sqrt(), 0.01, config).unwrap();
            let run = rollout(&mut task, &mut driver, true);
            let (reward, agent) = (RewardConfig::default(), AgentConfig::default());
            let episode = driver.into_policy().into_episode(&run.evaluations, &reward, &agent, true).unwrap();
            let seen = episode.observations;
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

    /// As in a user's run: what is not finite between two decisions is not left until the next one.
    #[test]
    fn a_step_that_is_not_finite_is_rolled_back_at_once_also_between_two_decisions() {
        let recipe = recipe("weight-decay");
        let config =
            DriverConfig { pace: Pace::every(50), guard: Some(GuardConfig::default()), ..DriverConfig::default() };
        let mut n_seen = 0;
        for seed in 0..12 {
            let mut task = task(&recipe, seed);
            let mut driver = Driver::new(Always(Move::Accept), 1e30, 0.0, config.clone()).unwrap();
            let steps = Arc::new(Mutex::new(Vec::new()));
            let log = steps.clone();
            driver.on_decision(Box::new(move |record: &TraceRecord<'_>| {
                if record.reason == Reason::NonFinite {
                    log.lock().unwrap().push(record.step);
                }
            }));
            rollout(&mut task, &mut driver, false);
            n_seen += steps.lock().unwrap().iter().filter(|&step| step % 50 != 0).count();
        }
        assert!(n_seen > 0, "no step between two decisions was lost; raise the rate");
    }

    #[test]
    fn a_degree_of_0_is_no_conditioning_to_the_bit_and_conditioned_runs_end_elsewhere() {
        let plain = recipe("lr");
        let mut conditioned = plain.clone();
        conditioned.training.tasks.conditioned = 1.0;
        let finals = |recipe: &TrainingRecipe, seed, change: &dyn Fn(&mut Task)| {
            let mut task = task(recipe, seed);
            change(&mut task);
            let config = DriverConfig { guard: Some(GuardConfig::default()), ..DriverConfig::default() };
            let mut driver = Driver::new(Always(Move::Accept), 1e-2, 0.01, config).unwrap();
            rollout(&mut task, &mut driver, true).evaluations
        };
        let mut n_elsewhere = 0;
        for seed in 0..8 {
            let none = finals(&plain, seed, &|_| ());
            assert_eq!(finals(&conditioned, seed, &|task| task.degree = 0.0), none, "seed {seed}");
            n_elsewhere += usize::from(finals(&conditioned, seed, &|_| ()) != none);
        }
        assert!(n_elsewhere >= 5, "{n_elsewhere} of 8");
    }
}
