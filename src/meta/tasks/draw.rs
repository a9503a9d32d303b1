//! How a task is drawn: which problem, which optimizer, from where, for how long.

use super::data::{
    Examples, N_FRESH_EVALUATION, clusters, raw_inputs, rescale, standardize, teacher_classes, teacher_values, warp,
};
use super::markov;
use super::pictures_and_sequences;
use super::problem::{N_EVALUATION, NetProblem, Problem};
use super::{Family, Task};
use crate::dqn::Judge;
use crate::meta::architecture::Net;
use crate::meta::mlp::{InnerActivation, Mlp, Target};
use crate::meta::optimizer::InnerAlgorithm;
use crate::meta::recipe::TaskConfig;
use crate::rng::{log_uniform, standard_normal_f32, weighted};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Number of examples held out in tasks whose recipe says how many are trained on.
const N_HELD_OUT: usize = 512;

/// Number of examples, noise of values and noise of labels, each [low, high], of tasks that can only be memorized.
const MEMORIZED: [[f64; 2]; 3] = [[64.0, 1500.0], [0.5, 3.0], [0.3, 1.0]];
/// The same of tasks whose examples are seen once or so.
const FRESH: [[f64; 2]; 3] = [[20_000.0, 80_000.0], [0.1, 1.0], [0.05, 0.5]];

impl Task {
    /// Draws a task.
    pub fn draw(config: &TaskConfig, rng: &mut ChaCha8Rng) -> Self {
        let family = Family::ALL[weighted(&config.families, rng)];
        let algorithm = InnerAlgorithm::ALL[weighted(&config.optimizers, rng)];
        let (problem, start) = match family {
            Family::Quadratic => quadratic(rng),
            Family::Cnn => started(pictures_and_sequences::cnn(config, rng), rng),
            Family::Rnn => started(pictures_and_sequences::rnn(config, rng), rng),
            _ => net_problem(family, config, rng),
        };
        let [low, high] = config.start_range(algorithm);
        let [shortest, longest] = config.horizon;
        let weight_decay = match config.weight_decay {
            Some([low, high]) => log_uniform(low, high, rng),
            None if rng.random_bool(0.6) => 0.0,
            None => log_uniform(1e-6, 1e-2, rng),
        };
        Self {
            family,
            algorithm,
            lr: log_uniform(low, high, rng),
            weight_decay,
            horizon: log_uniform(shortest as f64, longest as f64, rng).round() as u64,
            known_budget: rng.random_bool(config.known_budget),
            start,
            batch_seed: rng.random(),
            // Drawn last: in all else a task is the same with conditioning and without, and told of epochs or not.
            degree: degree(family, config, rng),
            steps_per_epoch: steps_per_epoch(&problem, config, rng),
            problem,
            full_batch: false,
            reports_validation: false,
            judge: Judge::Loss,
        }
    }
}

/// Degree of conditioning. Quadratics have no weight matrices.
fn degree(family: Family, config: &TaskConfig, rng: &mut ChaCha8Rng) -> f64 {
    let is_conditioned = family != Family::Quadratic && config.conditioned > 0.0 && rng.random_bool(config.conditioned);
    if is_conditioned { 1.0 } else { 0.0 }
}

/// Steps in which every example is seen once, if the controller is told. Quadratics have no examples.
fn steps_per_epoch(problem: &Problem, config: &TaskConfig, rng: &mut ChaCha8Rng) -> Option<f64> {
    let is_known = config.known_epochs > 0.0 && rng.random_bool(config.known_epochs);
    match problem {
        Problem::Net(p) if is_known => Some(p.n_train as f64 / p.batch_size as f64),
        _ => None,
    }
}

pub(super) fn quadratic(rng: &mut ChaCha8Rng) -> (Problem, Vec<f32>) {
    let n = log_uniform(8.0, 128.0, rng) as usize;
    let condition = log_uniform(1.0, 1e4, rng);
    // The loss starts at about 1 to 10 times `scale`; the largest curvature varies over two decades.
    let scale = log_uniform(0.1, 10.0, rng) as f32;
    let curvature: Vec<f32> =
        (0..n).map(|_| scale * (1.0 / log_uniform(1.0, condition.max(1.001), rng)) as f32).collect();
    let noise = if rng.random_bool(0.3) { 0.0 } else { log_uniform(1e-3, 0.5, rng) as f32 };
    let spread = (3.0 / n as f32).sqrt() * log_uniform(0.5, 5.0, rng) as f32;
    let start = (0..n).map(|_| spread * standard_normal_f32(rng)).collect();
    (Problem::Quadratic { curvature, noise }, start)
}

fn net_problem(family: Family, config: &TaskConfig, rng: &mut ChaCha8Rng) -> (Problem, Vec<f32>) {
    let is_markov = config.markov > 0.0 && family != Family::Regression && rng.random_bool(config.markov);
    if is_markov && family == Family::Mlp && config.texts > 0.0 && rng.random_bool(config.texts) {
        return started(markov::read_in_pieces(rng), rng);
    }
    let drawn = if is_markov {
        markov::examples(rng)
    } else {
        measured(family, config, rng).unwrap_or_else(|| examples(family, config, rng))
    };
    let Examples { inputs, n_in, target, n_out, n_held_out, n_evaluation, floor } = drawn;
    let ([fewest, most], [narrowest, widest]) = (config.layers, config.widths.map(|width| width as f64));
    let n_hidden = if family == Family::Logistic { 0 } else { rng.random_range(fewest..=most) };
    let mut sizes = vec![n_in];
    sizes.extend((0..n_hidden).map(|_| log_uniform(narrowest, widest, rng) as usize));
    sizes.push(n_out);
    let activation = if rng.random_bool(0.6) { InnerActivation::Relu } else { InnerActivation::Tanh };
    let net = Net::Mlp(Mlp::new(sizes, activation));
    let start = net.init(gain(rng), rng);
    let problem = NetProblem {
        net,
        n_in,
        n_train: inputs.len() / n_in,
        inputs,
        target,
        n_evaluation,
        n_held_out,
        floor,
        batch_size: config.batch_sizes[rng.random_range(0..config.batch_sizes.len())],
        batch: Vec::new(),
        rows: Vec::new(),
    };
    (Problem::Net(Box::new(problem)), start)
}

fn examples(family: Family, config: &TaskConfig, rng: &mut ChaCha8Rng) -> Examples {
    let kind = Kind::draw(config, rng);
    // Other tasks have from a few examples, each seen many times, up to 12,000, most of them seen once.
    let [examples, value_noise, label_noise] = match kind {
        Kind::Memorized => MEMORIZED,
        Kind::Fresh => FRESH,
        Kind::Plain => [[256.0, 12_000.0], [0.03, 1.0], config.label_noise],
    };
    let (n, n_held_out) = match config.examples {
        Some([fewest, most]) => {
            let n_train = log_uniform(fewest as f64, most as f64, rng).round() as usize;
            (n_train + N_HELD_OUT, N_HELD_OUT)
        }
        None => {
            let n = log_uniform(examples[0], examples[1], rng) as usize;
            (n, n / 4)
        }
    };
    let n_in = log_uniform(4.0, 48.0, rng) as usize;
    let separable = rng.random_bool(config.separable) && kind == Kind::Plain;
    let n_evaluation = if kind == Kind::Fresh { N_FRESH_EVALUATION } else { N_EVALUATION };
    let mut inputs = raw_inputs(n, n_in, rng);
    let (target, n_out, floor) = if family == Family::Regression {
        let noise = (!separable).then_some(value_noise);
        let (target, floor) = teacher_values(&inputs, n_in, noise, n_evaluation, rng);
        (target, 1, floor)
    } else {
        let n_classes = log_uniform(2.0, 27.0, rng) as usize;
        let noise = (!separable).then_some(label_noise);
        let (classes, floor) = if rng.random_bool(0.5) {
            teacher_classes(&inputs, n_in, n_classes, noise, n_evaluation, rng)
        } else {
            (clusters(&mut inputs, n_in, n_classes, config.clusters, separable, rng), 0.0)
        };
        (Target::Classes(classes), n_classes, floor)
    };
    if config.warped > 0.0 && rng.random_bool(config.warped) {
        warp(&mut inputs, n_in, rng);
    }
    rescale(&mut inputs, n_in, rng);
    // Where examples come again, a net may learn their noise by heart and come below it.
    let floor = if kind == Kind::Fresh { floor } else { 0.0 };
    Examples { inputs, n_in, target, n_out, n_held_out, n_evaluation, floor }
}

/// Examples cut of a measured table; `None` where the task is another one.
fn measured(family: Family, config: &TaskConfig, rng: &mut ChaCha8Rng) -> Option<Examples> {
    let is_measured = config.measured > 0.0 && rng.random_bool(config.measured);
    let mut cut = is_measured.then(|| config.data.cut(rng)).flatten()?;
    let (target, n_out) = if family == Family::Regression {
        let mut values = std::mem::take(&mut cut.targets);
        standardize(&mut values, 1);
        (Target::Values(values), 1)
    } else {
        let (classes, n_classes) = cut.classes(rng);
        (Target::Classes(classes), n_classes)
    };
    let (mut inputs, n_in) = (cut.inputs, cut.n_in);
    standardize(&mut inputs, n_in);
    rescale(&mut inputs, n_in, rng);
    let n_held_out = inputs.len() / n_in / 4;
    Some(Examples { inputs, n_in, target, n_out, n_held_out, n_evaluation: N_EVALUATION, floor: 0.0 })
}

/// What is special about the examples of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Few, and with labels that can only be learned by heart.
    Memorized,
    /// So many that most are seen once, and noisy.
    Fresh,
}

impl Kind {
    fn draw(config: &TaskConfig, rng: &mut ChaCha8Rng) -> Self {
        let mut is_drawn = |share: f64| share > 0.0 && rng.random_bool(share);
        match (is_drawn(config.memorized), is_drawn(config.fresh)) {
            (true, _) => Self::Memorized,
            (_, true) => Self::Fresh,
            _ => Self::Plain,
        }
    }
}

/// The problem with its initial weights.
fn started(problem: NetProblem, rng: &mut ChaCha8Rng) -> (Problem, Vec<f32>) {
    let start = problem.net.init(gain(rng), rng);
    (Problem::Net(Box::new(problem)), start)
}

/// Factor on the initial weights.
fn gain(rng: &mut ChaCha8Rng) -> f32 {
    if rng.random_bool(0.6) { 1.0 } else { log_uniform(0.3, 3.0, rng) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn a_memorized_task_has_few_examples() {
        let nets = |memorized, seed| {
            let config = TaskConfig { families: vec![0.0, 0.0, 0.5, 0.5], memorized, ..TaskConfig::default() };
            let task = Task::draw(&config, &mut stream(seed, "memorized"));
            let Problem::Net(net) = task.problem else { panic!("{:?} is no net", task.family) };
            net
        };
        let [fewest, most] = MEMORIZED[0].map(|n| n as usize);
        assert!((0..30).all(|seed| (fewest..=most).contains(&nets(1.0, seed).n_train)));
        assert!((0..30).any(|seed| nets(0.0, seed).n_train > most), "nor has any other task more");
    }

    #[test]
    fn the_same_seed_draws_the_same_task_and_every_draw_is_usable() {
        let config = TaskConfig::default();
        for seed in 0..40 {
            let draw = || Task::draw(&config, &mut stream(seed, "task"));
            let (mut a, b) = (draw(), draw());
            assert_eq!((&a.start, a.horizon, a.lr.to_bits()), (&b.start, b.horizon, b.lr.to_bits()));
            assert_eq!(a.problem.n_params(), a.start.len());
            let loss = a.problem.evaluate(&a.start);
            assert!(loss.is_finite() && loss > 0.0, "{:?}: {loss}", a.family);
        }
    }

    #[test]
    fn a_share_of_the_nets_is_conditioned_and_in_all_else_the_tasks_stay_as_they_are() {
        let drawn = |conditioned, seed| {
            let config = TaskConfig { conditioned, families: vec![0.3, 0.2, 0.3, 0.2], ..TaskConfig::default() };
            Task::draw(&config, &mut stream(seed, "conditioned"))
        };
        let mut n_turned = 0;
        for seed in 0..60 {
            let [none, third, all] = [0.0, 1.0 / 3.0, 1.0].map(|share| drawn(share, seed));
            let is_net = none.family != Family::Quadratic;
            let expected = [0.0, f64::from(u8::from(is_net))];
            assert_eq!([none.degree, all.degree].map(f64::to_bits), expected.map(f64::to_bits), "{:?}", none.family);
            n_turned += usize::from(third.degree > 0.0);
            for other in [third, all] {
                let of = |task: &Task| Task { degree: 0.0, ..task.clone() };
                assert_eq!(format!("{:?}", of(&other)), format!("{:?}", of(&none)));
            }
        }
        assert!((6..25).contains(&n_turned), "{n_turned} of some 42 nets");
    }
}
