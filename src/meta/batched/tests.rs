//! The same tasks in the kernel and batched, side by side: the kernel is the oracle.

use super::*;
use crate::Controller;
use crate::controller::{DriverConfig, Recipe, TraceRecord};
use crate::dqn::{Exploration, Explorer, QNetwork};
use crate::meta::config::{Judge, TaskConfig};
use crate::meta::optimizer::Algorithm;
use crate::meta::rollout::{Actor, rollout};
use crate::meta::tasks::Family;
use crate::policy::Reason;
use crate::rng::stream;
use std::sync::{Arc, Mutex};

/// Every loss, learning rate and decision of a run.
type Trace = Vec<(u64, f64, f64, Reason)>;

fn traced<P: Policy>(mut driver: Driver<P>) -> (Driver<P>, Arc<Mutex<Trace>>) {
    let seen = Arc::new(Mutex::new(Trace::new()));
    let log = seen.clone();
    driver.on_decision(Box::new(move |record: &TraceRecord<'_>| {
        log.lock().unwrap().push((record.step, record.loss, record.lr, record.reason));
    }));
    (driver, seen)
}

/// Within 1e-4, of losses below 1e-2 (where a task counts as solved) within 1e-6.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-4 * a.abs().max(b.abs()).max(1e-2) || !a.is_finite() && !b.is_finite()
}

/// Runs the tasks both ways. All that can be seen of them agrees; returns how often each kind of decision was met.
fn agree<P: Policy>(tasks: &[Task], driver: impl Fn(usize, &Task) -> Driver<P>, evaluate: bool) -> Trace {
    let (batched, seen): (Vec<_>, Vec<_>) = tasks
        .iter()
        .enumerate()
        .map(|(i, task)| {
            let (driver, seen) = traced(driver(i, task));
            ((task.clone(), driver), seen)
        })
        .unzip();
    let engine = Batched { device: Device::Cpu, n_threads: 2 };
    let found = engine.rollouts(batched, evaluate).unwrap();
    let mut all = Trace::new();
    for (i, ((own, run), seen)) in found.into_iter().zip(seen).enumerate() {
        let (mut expected, expected_trace) = traced(driver(i, &tasks[i]));
        let expected_run = rollout(&mut tasks[i].clone(), &mut expected, evaluate);
        let (seen, expected_trace) = (seen.lock().unwrap().clone(), expected_trace.lock().unwrap().clone());
        let name = format!("run {i}, {} {}", tasks[i].family.name(), tasks[i].algorithm.name());
        for (a, b) in seen.iter().zip(&expected_trace) {
            let same = a.0 == b.0 && a.3 == b.3 && close(a.1, b.1) && close(a.2, b.2);
            assert!(same, "{name}: step {} {a:?}, the kernel has {b:?}", a.0);
        }
        assert_eq!(seen.len(), expected_trace.len(), "{name}");
        assert_eq!((own.counts(), own.rollbacks()), (expected.counts(), expected.rollbacks()), "{name}");
        assert_eq!(run.inner_steps, expected_run.inner_steps);
        assert_eq!(run.evaluations.len(), expected_run.evaluations.len(), "{name}");
        for (k, (&a, &b)) in run.evaluations.iter().zip(&expected_run.evaluations).enumerate() {
            assert!(close(a, b), "{name}: evaluation {k} of {} is {a}, in the kernel {b}", run.evaluations.len());
        }
        all.extend(seen);
    }
    all
}

/// Four tasks of every family and optimizer, of widths of their own.
fn tasks(horizon: [u64; 2], change: impl Fn(&mut TaskConfig)) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (f, family) in Family::ALL.into_iter().enumerate() {
        for algorithm in Algorithm::ALL {
            let mut config = TaskConfig { horizon, ..TaskConfig::default() };
            config.families = Family::ALL.map(|other| f64::from(u8::from(other == family)));
            config.optimizers = Algorithm::ALL.map(|other| f64::from(u8::from(other == algorithm)));
            change(&mut config);
            let mut rng = stream(f as u64, algorithm.name());
            tasks.extend((0..4).map(|_| Task::draw(&config, &mut rng)));
        }
    }
    tasks
}

fn recipe(name: &str) -> Recipe {
    Recipe::load(format!("controllers/{name}.toml").as_ref()).unwrap()
}

fn actor(recipe: &Recipe, i: usize) -> Actor {
    let (n, actions) = (recipe.features.names().len(), recipe.controls.actions(&recipe.moves));
    let network = QNetwork::new(n, &[8], actions.len(), true, &mut stream(1, "network"));
    let explorer = Explorer::for_actions(Exploration::default(), &actions).unwrap().in_parallel(i, 16);
    Actor::new(recipe, Arc::new(vec![network]), explorer, 200.0, stream(i as u64, "actor"))
}

/// Starts in the middle of the range, and a bound not far above: where a step blows up rounding, trajectories part whatever computes them.
#[test]
fn every_family_with_every_optimizer_follows_the_trajectory_of_the_kernel_under_an_exploring_agent() {
    let recipe = recipe("lr");
    let tasks = tasks([30, 60], |config| config.start_decades = Some(1.0));
    let driver = |i: usize, task: &Task| {
        let config = recipe.driver_config(task.known_budget.then_some(task.horizon));
        let config = DriverConfig { lr_bounds: [1e-8, 0.3], ..config };
        Driver::new(actor(&recipe, i), task.lr, task.weight_decay, config).unwrap()
    };
    let trace = agree(&tasks, driver, true);
    assert!(trace.len() > 30 * tasks.len());
    for reason in [Reason::Policy, Reason::Exploration] {
        assert!(trace.iter().any(|record| record.3 == reason), "no decision was {reason:?}");
    }
}

#[test]
fn what_the_guard_undoes_is_undone_alike() {
    let recipe = recipe("lr");
    let mut tasks = tasks([17, 18], |config| config.known_budget = 0.5);
    tasks.retain(|task| !matches!((task.family, task.algorithm), (Family::Mlp | Family::Regression, Algorithm::Sgd)));
    // Every fourth so high that the first step overflows.
    let factor = |i: usize| if i.is_multiple_of(4) { 1e25 } else { 30.0 };
    tasks.iter_mut().enumerate().for_each(|(i, task)| task.lr = factor(i) * task.algorithm.start_range()[1]);
    let trace = |first_update| {
        let driver = |i: usize, task: &Task| {
            let config = recipe.driver_config(task.known_budget.then_some(task.horizon));
            let config = DriverConfig { first_update, ..config };
            Driver::new(actor(&recipe, i), task.lr, task.weight_decay, config).unwrap()
        };
        agree(&tasks, driver, true)
    };
    let (free, confined) = (trace(None), trace(Some(0.03)));
    let saw =
        |trace: &Trace, reason| assert!(trace.iter().any(|record| record.3 == reason), "no decision was {reason:?}");
    [Reason::NonFinite, Reason::LossExploded, Reason::GotNowhere].into_iter().for_each(|reason| saw(&free, reason));
    saw(&confined, Reason::FirstStepTooFar);
}

#[test]
fn controllers_of_the_weight_decay_are_told_the_same_of_the_examples_held_out() {
    for judge in [Judge::ValidationLoss, Judge::ValidationError, Judge::Validation] {
        let mut recipe = recipe("joint");
        recipe.meta.reward.of = judge;
        let tasks = tasks([20, 30], |config| {
            (config.examples, config.start_decades) = (Some([64, 128]), Some(1.0));
            (config.families[0], config.weight_decay) = (0.0, Some([1e-3, 0.1]));
        });
        let tasks: Vec<Task> = tasks.into_iter().map(|task| task.of_recipe(&recipe)).collect();
        let driver = |i: usize, task: &Task| {
            Driver::new(actor(&recipe, i), task.lr, task.weight_decay, recipe.driver_config(Some(task.horizon)))
        };
        agree(&tasks, |i, task| driver(i, task).unwrap(), true);
    }
}

#[test]
fn a_pretrained_controller_without_evaluations_does_the_same() {
    let mut tasks = tasks([30, 100], |config| config.start_decades = Some(2.0));
    tasks.retain(|task| task.family != Family::Regression);
    let driver = |_: usize, task: &Task| {
        let controller = Controller::pretrained("lr").unwrap();
        let config = controller.driver_config(Some(task.horizon));
        Driver::new(controller, task.lr, task.weight_decay, config).unwrap()
    };
    let trace = agree(&tasks, driver, false);
    assert!(trace.iter().any(|record| record.3 == Reason::Policy));
}
