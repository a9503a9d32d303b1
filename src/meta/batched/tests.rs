//! The same tasks in the kernel and batched, side by side: the kernel is the oracle.

use super::*;
use crate::Controller;
use crate::dqn::{Exploration, Explorer, Judge, QNetwork};
use crate::driver::{Bounds, DriverConfig, GuardConfig, TraceRecord};
use crate::meta::optimizer::InnerAlgorithm;
use crate::meta::recipe::{TaskConfig, TrainingRecipe};
use crate::meta::rollout::rollout;
use crate::meta::tasks::Family;
use crate::policy::Reason;
use crate::rng::stream;
use std::sync::{Arc, Mutex};
use tch::Tensor;

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

/// On the CPU, and on a GPU where there is one. Tests run side by side, so libtorch has one thread in each.
fn engines() -> Vec<Batched> {
    tch::set_num_threads(1);
    let gpu = tch::Cuda::is_available().then_some(Device::Cuda(0));
    [Device::Cpu].into_iter().chain(gpu).map(|device| Batched { device, n_threads: 2 }).collect()
}

/// Whether two values are within 1e-4 of each other; values below 1e-2 (where a task counts as solved) within 1e-6.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-4 * a.abs().max(b.abs()).max(1e-2) || !a.is_finite() && !b.is_finite()
}

/// Whether two decisions are the same, taken at close losses and learning rates.
fn alike(a: &(u64, f64, f64, Reason), b: &(u64, f64, f64, Reason)) -> bool {
    a.0 == b.0 && a.3 == b.3 && close(a.1, b.1) && close(a.2, b.2)
}

/// Whether the kernel itself follows the same trajectory after a change of the last bits of the start, by about what
/// rounding adds up to over some steps. If it does not, no engine can be expected to.
fn is_stable<P: Policy>(task: &Task, driver: impl Fn(&Task) -> Driver<P>) -> bool {
    let trace = |mut task: Task| {
        let (mut driver, seen) = traced(driver(&task));
        rollout(&mut task, &mut driver, false);
        seen.lock().unwrap().clone()
    };
    let mut nudged = task.clone();
    let signs = [1.0, -1.0, -1.0].into_iter().cycle();
    nudged.start.iter_mut().zip(signs).for_each(|(x, sign)| *x *= 1.0 + sign * 4.0 * f32::EPSILON);
    trace(task.clone()).iter().zip(&trace(nudged)).all(|(a, b)| alike(a, b))
}

/// Runs the tasks with both engines and compares all that can be seen of them. Returns the decisions that were met.
fn agree<P: Policy>(tasks: &[Task], driver: impl Fn(usize, &Task) -> Driver<P>, evaluate: bool) -> Trace {
    engines().into_iter().flat_map(|engine| agree_on(engine, tasks, &driver, evaluate)).collect()
}

fn agree_on<P: Policy>(
    engine: Batched,
    tasks: &[Task],
    driver: impl Fn(usize, &Task) -> Driver<P>,
    evaluate: bool,
) -> Trace {
    let (batched, seen): (Vec<_>, Vec<_>) = tasks
        .iter()
        .enumerate()
        .map(|(i, task)| {
            let (driver, seen) = traced(driver(i, task));
            ((task.clone(), driver), seen)
        })
        .unzip();
    let found = engine.rollouts(batched, evaluate).unwrap();
    let mut all = Trace::new();
    for (i, ((own, run), seen)) in found.into_iter().zip(seen).enumerate() {
        let (mut expected, expected_trace) = traced(driver(i, &tasks[i]));
        let expected_run = rollout(&mut tasks[i].clone(), &mut expected, evaluate);
        let (seen, expected_trace) = (seen.lock().unwrap().clone(), expected_trace.lock().unwrap().clone());
        let (device, family) = (engine.device, tasks[i].family.name());
        let name = format!("{device:?}, run {i}, {family} {}", tasks[i].algorithm.name());
        for (a, b) in seen.iter().zip(&expected_trace) {
            assert!(alike(a, b), "{name}: step {} {a:?}, the kernel has {b:?}", a.0);
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

/// Four tasks of every family and optimizer, with different widths.
fn tasks(horizon: [u64; 2], change: impl Fn(&mut TaskConfig)) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (f, &family) in Family::ALL[..Family::N_IN_KERNEL].iter().enumerate() {
        for algorithm in InnerAlgorithm::ALL {
            let mut config = TaskConfig { horizon, ..TaskConfig::default() };
            config.families = Family::ALL.map(|other| f64::from(u8::from(other == family))).to_vec();
            config.optimizers = InnerAlgorithm::ALL.map(|other| f64::from(u8::from(other == algorithm)));
            change(&mut config);
            let mut rng = stream(f as u64, algorithm.name());
            tasks.extend((0..4).map(|_| Task::draw(&config, &mut rng)));
        }
    }
    tasks
}

fn recipe(name: &str) -> TrainingRecipe {
    TrainingRecipe::load(format!("controllers/{name}.toml").as_ref()).unwrap()
}

fn actor(recipe: &TrainingRecipe, i: usize) -> Controller {
    let (n, n_actions) = (recipe.controller.features.names().len(), recipe.controller.actions().len());
    let network = QNetwork::new(n, &[8], n_actions, true, &mut stream(1, "network"));
    let odds = recipe.controller.controls.drift_free_odds(&recipe.controller.moves);
    let explorer = Explorer::new(Exploration::default(), &odds).unwrap().in_parallel(i, 16);
    recipe.with_networks(vec![network]).exploring(explorer, 200.0, stream(i as u64, "actor"))
}

/// Starts in the middle of the range, and a bound not far above: after a step that amplifies rounding, trajectories
/// part whichever engine computes them.
#[test]
fn every_family_with_every_optimizer_follows_the_trajectory_of_the_kernel_under_an_exploring_agent() {
    let recipe = recipe("lr");
    let tasks = tasks([30, 60], |config| config.start_decades = Some(1.0));
    let driver = |i: usize, task: &Task| {
        let config = task.told(recipe.controller.driver_config(None));
        let config = DriverConfig { bounds: Bounds { lr: [1e-8, 0.3], ..config.bounds }, ..config };
        Driver::new(actor(&recipe, i), task.lr, task.weight_decay, config).unwrap()
    };
    let trace = agree(&tasks, driver, true);
    assert!(trace.len() > 30 * tasks.len());
    for reason in [Reason::Policy, Reason::Exploration] {
        assert!(trace.iter().any(|record| record.3 == reason), "no decision was {reason:?}");
    }
}

/// Singular values that are rounding, as nets have them whose units or examples are few, are scaled up by a thousand at
/// every step. So the runs are short.
#[test]
fn conditioned_nets_with_every_optimizer_follow_the_trajectory_of_the_kernel() {
    let recipe = recipe("lr");
    let mut tasks = tasks([12, 24], |config| (config.start_decades, config.conditioned) = (Some(1.0), 1.0));
    // Degrees may differ within a group; nets without conditioning are a group of their own.
    tasks.iter_mut().step_by(3).for_each(|task| task.degree *= 0.5);
    tasks.iter_mut().step_by(5).for_each(|task| task.degree = 0.0);
    let driver = |i: usize, task: &Task| {
        let config = task.told(recipe.controller.driver_config(None));
        let config = DriverConfig { bounds: Bounds { lr: [1e-8, 0.1], ..config.bounds }, ..config };
        Driver::new(actor(&recipe, i), task.lr, task.weight_decay, config).unwrap()
    };
    assert!(agree(&tasks, driver, true).len() > 10 * tasks.len());
}

#[test]
fn what_the_guard_undoes_is_undone_alike() {
    let recipe = recipe("lr");
    let mut tasks = tasks([17, 18], |config| config.known_budget = 0.5);
    tasks.retain(|task| {
        !matches!((task.family, task.algorithm), (Family::Mlp | Family::Regression, InnerAlgorithm::Sgd))
    });
    // Not every start is suitable: Adam's first step divides by the size of the gradient, which is mere rounding where
    // it is nearly 0.
    tasks.iter_mut().for_each(|task| task.lr = 20.0 * task.algorithm.start_range()[1]);
    // So far that the square of a parameter is too large for a float.
    let bowls = tasks.iter_mut().filter(|task| task.family == Family::Quadratic);
    bowls.step_by(2).for_each(|task| task.lr = 1e35);
    let trace = |first_update| {
        let driver = |i: usize, task: &Task| {
            let config = task.told(recipe.controller.driver_config(None));
            let guard = config.guard.clone().map(|guard| GuardConfig { first_update, ..guard });
            let config = DriverConfig { guard, ..config };
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
        recipe.training.reward.of = judge;
        let tasks = tasks([20, 30], |config| {
            (config.examples, config.start_decades) = (Some([64, 128]), Some(1.0));
            (config.families[0], config.weight_decay) = (0.0, Some([1e-3, 0.1]));
        });
        let tasks: Vec<Task> = tasks.into_iter().map(|task| task.of_recipe(&recipe)).collect();
        let driver = |i: usize, task: &Task| {
            Driver::new(
                actor(&recipe, i),
                task.lr,
                task.weight_decay,
                recipe.controller.driver_config(Some(task.horizon)),
            )
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
    let n = tasks.len();
    tasks.retain(|task| is_stable(task, |task| driver(0, task)));
    assert!(tasks.len() + 2 >= n, "{} of {n} are stable", tasks.len());
    let trace = agree(&tasks, driver, false);
    assert!(trace.iter().any(|record| record.3 == Reason::Policy));
}

/// Tasks of one family, all by the same optimizer.
fn of_family(family: Family, algorithm: InnerAlgorithm, n: usize) -> Vec<Task> {
    let share = |chosen: bool| f64::from(u8::from(chosen));
    let config = TaskConfig {
        horizon: [20, 40],
        families: Family::ALL.map(|other| share(other == family)).to_vec(),
        optimizers: InnerAlgorithm::ALL.map(|other| share(other == algorithm)),
        separable: 1.0,
        ..TaskConfig::default()
    };
    let mut rng = stream(7, family.name());
    (0..n).map(|_| Task::draw(&config, &mut rng)).collect()
}

fn constant(engine: Batched, tasks: &[Task], lr: f64) -> Vec<Run> {
    let run = |task: &Task| {
        let driver = Driver::new(crate::schedule::Constant, lr, task.weight_decay, Default::default()).unwrap();
        (task.clone(), driver)
    };
    let done = engine.rollouts(tasks.iter().map(run).collect(), true).unwrap();
    done.into_iter().map(|(_, run)| run).collect()
}

#[test]
fn a_net_does_the_same_alone_and_filled_up_to_wider_ones() {
    let of = [(Family::Cnn, InnerAlgorithm::Adam), (Family::Rnn, InnerAlgorithm::Momentum)];
    let everywhere = engines().into_iter().flat_map(|engine| of.map(|(family, algorithm)| (engine, family, algorithm)));
    for (engine, family, algorithm) in everywhere {
        let plain = of_family(family, algorithm, 8);
        let conditioned: Vec<Task> = plain.iter().map(|task| Task { degree: 1.0, ..task.clone() }).collect();
        let [without, with] = [plain, conditioned].map(|tasks| {
            let together = constant(engine, &tasks, 1e-3);
            for (task, together) in tasks.iter().zip(&together) {
                let alone = constant(engine, std::slice::from_ref(task), 1e-3).remove(0);
                assert_eq!(alone.inner_steps, task.horizon);
                assert_eq!(alone.evaluations.len(), together.evaluations.len());
                let mut both = alone.evaluations.iter().zip(&together.evaluations);
                assert!(both.all(|(&a, &b)| a.is_finite() && close(a, b)), "{alone:?} {together:?}");
            }
            together
        });
        let turned = without.iter().zip(&with).filter(|(a, b)| !close(a.final_loss(), b.final_loss())).count();
        assert!(turned >= 6, "{family:?}: {turned} of 8 end elsewhere with conditioning");
    }
}

#[test]
fn convolutional_and_recurrent_nets_learn_what_can_be_told_apart() {
    let of = [Family::Cnn, Family::Rnn];
    for (engine, family) in engines().into_iter().flat_map(|engine| of.map(|family| (engine, family))) {
        let mut tasks = of_family(family, InnerAlgorithm::Adam, 6);
        tasks.iter_mut().for_each(|task| (task.horizon, task.weight_decay) = (60, 0.0));
        let gained = constant(engine, &tasks, 1e-2).into_iter().map(|run| run.final_loss() / run.evaluations[0]);
        let gained: Vec<f64> = gained.collect();
        let mean = gained.iter().map(|ratio| ratio.ln()).sum::<f64>() / 6.0;
        assert!(mean.exp() < 0.8, "{family:?}: {gained:?}");
    }
}

/// The parameters of the first net of a task, block by block, and some of its inputs.
fn parts(task: &Task) -> (&crate::meta::tasks::NetProblem, Vec<Tensor>, Tensor) {
    let p = task.problem.net().unwrap();
    let start = Tensor::from_slice(&task.start).view([1, -1]);
    let inputs = Tensor::from_slice(&p.inputs[..5 * p.n_in]).view([1, 5, -1]);
    (p, net::views(&start, &p.net.blocks()).unwrap(), inputs)
}

fn outputs(p: &crate::meta::tasks::NetProblem, layers: &[Tensor], inputs: &Tensor) -> Tensor {
    let architecture = p.net.architecture();
    let geometry = net::Geometry::new(architecture, Device::Cpu).unwrap();
    let activations = net::Activations::new(&[p.net.activation()], Device::Cpu).unwrap();
    net::forward(architecture, &geometry, &activations, layers, inputs).unwrap().view([5, -1])
}

#[test]
fn gathered_patches_make_the_convolutions_of_libtorch() {
    for task in of_family(Family::Cnn, InnerAlgorithm::Adam, 4) {
        let (p, layers, inputs) = parts(&task);
        let blocks = p.net.blocks();
        let kernel = |l: usize| {
            let [n_places, n_in, n_out] = blocks[l].map(|n| n as i64);
            layers[l].view([n_places, n_in, n_out]).permute([2, 1, 0]).reshape([n_out, n_in, 3, 3])
        };
        let act =
            |z: Tensor| if p.net.activation() == crate::meta::InnerActivation::Tanh { z.tanh() } else { z.relu() };
        let side = (p.n_in as f64).sqrt() as i64;
        let convolve =
            |x: &Tensor, l: usize, stride: i64| x.conv2d(&kernel(l), Some(layers[l + 1].view(-1)), stride, 0, 1, 1);
        let first = act(convolve(&inputs.view([5, 1, side, side]), 0, 1));
        let top = act(convolve(&first, 2, 2)).permute([0, 2, 3, 1]).reshape([5, -1]);
        let expected = top.matmul(&layers[4].squeeze_dim(0)) + layers[5].view([1, -1]);
        let off = (expected - outputs(p, &layers, &inputs)).abs().max().double_value(&[]);
        assert!(off < 1e-5, "{off}");
    }
}

#[test]
fn a_recurrent_net_walks_its_sequence_as_by_hand() {
    for task in of_family(Family::Rnn, InnerAlgorithm::Adam, 4) {
        let (p, layers, inputs) = parts(&task);
        let found = outputs(p, &layers, &inputs);
        let at = |l: usize, i: usize, j: usize| layers[l].double_value(&[0, i as i64, j as i64]);
        let [n_places, n_channels] = p.net.input_shape(p.n_in);
        let (width, n_out) = (p.net.blocks()[1][1], p.net.n_out());
        for example in 0..5 {
            let mut state = vec![0.0; width];
            for place in 0..n_places {
                let x = |c: usize| f64::from(p.inputs[example * p.n_in + place * n_channels + c]);
                let z = |j: usize| {
                    let driven = (0..n_channels).map(|c| x(c) * at(0, c, j)).sum::<f64>();
                    driven + (0..width).map(|i| state[i] * at(1, i, j)).sum::<f64>() + at(2, 0, j)
                };
                state = (0..width).map(|j| z(j).tanh()).collect();
            }
            for k in 0..n_out {
                let expected = (0..width).map(|i| state[i] * at(3, i, k)).sum::<f64>() + at(4, 0, k);
                assert!((expected - found.double_value(&[example as i64, k as i64])).abs() < 1e-5);
            }
        }
    }
}
