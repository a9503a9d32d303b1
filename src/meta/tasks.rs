//! The tasks of meta-training: small problems on random data, drawn anew for every episode.
//!
//! | Family | Problem | Varied |
//! |---|---|---|
//! | quadratic | `½ mean (x - ξ)ᵀ H (x - ξ)`, ξ drawn per step | size, condition number 1 to 1e4, scale, noise |
//! | logistic | softmax regression | inputs, classes, batch size, input spectrum and scale, separable or not |
//! | mlp | one or two hidden layers, classification | the same, widths, activation, gain of the initial weights |
//! | regression | the same with squared error | the same, noise |
//! | cnn | a small convolutional net on pictures | channels, classes, picture size, noise, separable or not |
//! | rnn | a small recurrent net on sequences | width, channels, classes, length, memory of the sequence, separable or not |
//!
//! The last two exist batched in tch alone ([`Engine`](super::Engine)); the kernel says NaN of them.
//!
//! Data come from random teacher networks or from clusters. None of it comes from a data set that controllers are evaluated on.

mod data;
mod given;
mod held_out;
mod shaped;

pub use given::ProblemError;
pub(super) use held_out::HeldOut;

use super::architecture::Net;
use super::mlp::{Activation, Mlp, Target};
use super::optimizer::Algorithm;
use super::recipe::TaskConfig;
use crate::dqn::Judge;
use data::{clusters, raw_inputs, rescale, teacher_classes, teacher_values, warp};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Noisy quadratics.
    Quadratic,
    /// Softmax regression.
    Logistic,
    /// Classification by a multi-layer perceptron.
    Mlp,
    /// Regression by a multi-layer perceptron.
    Regression,
    /// Classification of pictures by a convolutional net; not in the kernel.
    Cnn,
    /// Classification of sequences by a recurrent net; not in the kernel.
    Rnn,
}

impl Family {
    /// All of them, in the order of [`TaskConfig::families`].
    pub const ALL: [Self; 6] = [Self::Quadratic, Self::Logistic, Self::Mlp, Self::Regression, Self::Cnn, Self::Rnn];
    /// So many of them, the first ones, run in the kernel.
    pub const N_IN_KERNEL: usize = 4;

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quadratic => "quadratic",
            Self::Logistic => "logistic",
            Self::Mlp => "mlp",
            Self::Regression => "regression",
            Self::Cnn => "cnn",
            Self::Rnn => "rnn",
        }
    }
}

/// One inner training problem with its optimizer, start and horizon.
#[derive(Debug, Clone)]
pub struct Task {
    /// Which kind.
    pub family: Family,
    /// What is minimised.
    pub problem: Problem,
    /// By what.
    pub algorithm: Algorithm,
    /// The start of the learning rate.
    pub lr: f64,
    /// The weight decay.
    pub weight_decay: f64,
    /// Inner steps.
    pub horizon: u64,
    /// Whether the controller is told the horizon.
    pub known_budget: bool,
    /// The initial parameters.
    pub start: Vec<f32>,
    /// Seed of the minibatches.
    pub batch_seed: u64,
    /// Whether every step sees the whole evaluation batch instead of a minibatch. Never in a task just drawn.
    pub full_batch: bool,
    /// Whether the controller is told the validation loss at every decision. Never in a task just drawn.
    pub reports_validation: bool,
    pub(super) judge: Judge,
}

/// What is minimised.
#[derive(Debug, Clone)]
pub enum Problem {
    /// `½ mean over the batch of (x - ξ)ᵀ H (x - ξ)`, H diagonal.
    Quadratic {
        /// The diagonal of H.
        curvature: Vec<f32>,
        /// Standard deviation of the mean of ξ over a batch.
        noise: f32,
    },
    /// A net on data.
    Net(Box<NetProblem>),
}

/// A net, its data and working memory.
#[derive(Debug, Clone)]
pub struct NetProblem {
    pub(super) net: Net,
    pub(super) n_in: usize,
    pub(super) inputs: Vec<f32>,
    pub(super) target: Target,
    /// The first so many examples are trained on: all of them, until something asks for a validation.
    pub(super) n_train: usize,
    /// At most so many of those make the fixed evaluation batch.
    pub(super) n_evaluation: usize,
    /// How many of the last examples are held out then.
    n_held_out: usize,
    pub(super) batch_size: usize,
    batch: Vec<f32>,
    rows: Vec<usize>,
}

/// [`NetProblem::n_evaluation`] of the tasks that are drawn.
const N_EVALUATION: usize = 256;
/// Examples held out in tasks whose recipe says how many are trained on.
const N_HELD_OUT: usize = 512;

/// Examples, noise of values and noise of labels, each [low, high], of tasks that can only be memorized.
const MEMORIZED: [[f64; 2]; 3] = [[64.0, 1500.0], [0.5, 3.0], [0.3, 1.0]];

impl Problem {
    /// How many parameters.
    pub fn n_params(&self) -> usize {
        match self {
            Self::Quadratic { curvature, .. } => curvature.len(),
            Self::Net(p) => p.net.n_params(),
        }
    }

    /// The net on data, where it is one.
    #[cfg(feature = "torch")]
    pub(super) fn net(&self) -> Option<&NetProblem> {
        match self {
            Self::Quadratic { .. } => None,
            Self::Net(p) => Some(p),
        }
    }

    /// Loss and gradient on a minibatch drawn by `rng`.
    pub fn loss_and_grad(&mut self, x: &[f32], grad: &mut [f32], rng: &mut ChaCha8Rng) -> f32 {
        match self {
            Self::Quadratic { curvature, noise } => {
                let mut loss = 0.0;
                for ((g, &x), &h) in grad.iter_mut().zip(x).zip(&*curvature) {
                    let d = x - *noise * normal(rng);
                    *g = h * d;
                    loss += 0.5 * h * d * d;
                }
                loss
            }
            Self::Net(p) => {
                p.rows.clear();
                p.batch.clear();
                for _ in 0..p.batch_size {
                    let row = draw_row(p.n_train, rng);
                    p.rows.push(row);
                    p.batch.extend_from_slice(&p.inputs[row * p.n_in..(row + 1) * p.n_in]);
                }
                p.net.loss_and_grad(x, &p.batch, &p.target, &p.rows, grad)
            }
        }
    }

    /// Loss and gradient on the fixed evaluation batch: for line searches, which need the same objective at every candidate. That batch is
    /// all that such a task trains on.
    pub fn full_batch(&mut self, x: &[f32], grad: &mut [f32]) -> f32 {
        match self {
            Self::Quadratic { curvature, .. } => {
                grad.iter_mut().zip(x).zip(&*curvature).for_each(|((g, &x), &h)| *g = h * x);
                self.evaluate(x) as f32
            }
            Self::Net(p) => {
                let n = p.n_train.min(p.n_evaluation);
                p.net.loss_and_grad(x, &p.inputs[..n * p.n_in], &p.target, &[], grad)
            }
        }
    }

    /// The loss on the fixed evaluation batch.
    pub fn evaluate(&mut self, x: &[f32]) -> f64 {
        match self {
            Self::Quadratic { curvature, noise } => x
                .iter()
                .zip(&*curvature)
                .map(|(&x, &h)| 0.5 * f64::from(h) * (f64::from(x).powi(2) + f64::from(*noise).powi(2)))
                .sum(),
            Self::Net(p) => {
                let n = p.n_train.min(p.n_evaluation);
                f64::from(p.net.loss(x, &p.inputs[..n * p.n_in], &p.target, &[]))
            }
        }
    }
}

#[cfg(feature = "torch")]
impl NetProblem {
    /// Examples, those held out included.
    pub(super) fn n_examples(&self) -> usize {
        self.inputs.len() / self.n_in
    }
}

impl Task {
    /// The horizon, where the controller is told it.
    pub fn budget(&self) -> Option<u64> {
        self.known_budget.then_some(self.horizon)
    }

    /// Loss and gradient of one step: on a minibatch drawn by `rng`, or on the full batch.
    pub fn loss_and_grad(&mut self, x: &[f32], grad: &mut [f32], rng: &mut ChaCha8Rng) -> f32 {
        if self.full_batch { self.problem.full_batch(x, grad) } else { self.problem.loss_and_grad(x, grad, rng) }
    }

    /// Draws a task.
    pub fn draw(config: &TaskConfig, rng: &mut ChaCha8Rng) -> Self {
        let family = Family::ALL[weighted(&config.families, rng)];
        let algorithm = Algorithm::ALL[weighted(&config.optimizers, rng)];
        let (problem, start) = match family {
            Family::Quadratic => quadratic(rng),
            Family::Cnn => started(shaped::cnn(config, rng), rng),
            Family::Rnn => started(shaped::rnn(config, rng), rng),
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
            problem,
            algorithm,
            lr: log_uniform(low, high, rng),
            weight_decay,
            horizon: log_uniform(shortest as f64, longest as f64, rng).round() as u64,
            known_budget: rng.random_bool(config.known_budget),
            start,
            batch_seed: rng.random(),
            full_batch: false,
            reports_validation: false,
            judge: Judge::Loss,
        }
    }
}

fn quadratic(rng: &mut ChaCha8Rng) -> (Problem, Vec<f32>) {
    let n = log_uniform(8.0, 128.0, rng) as usize;
    let condition = log_uniform(1.0, 1e4, rng);
    // The loss starts at about 1 to 10 times `scale`; the largest curvature varies over two decades.
    let scale = log_uniform(0.1, 10.0, rng) as f32;
    let curvature: Vec<f32> =
        (0..n).map(|_| scale * (1.0 / log_uniform(1.0, condition.max(1.001), rng)) as f32).collect();
    let noise = if rng.random_bool(0.3) { 0.0 } else { log_uniform(1e-3, 0.5, rng) as f32 };
    let spread = (3.0 / n as f32).sqrt() * log_uniform(0.5, 5.0, rng) as f32;
    let start = (0..n).map(|_| spread * normal(rng)).collect();
    (Problem::Quadratic { curvature, noise }, start)
}

fn net_problem(family: Family, config: &TaskConfig, rng: &mut ChaCha8Rng) -> (Problem, Vec<f32>) {
    let memorized = config.memorized > 0.0 && rng.random_bool(config.memorized);
    // Otherwise from a few examples seen many times to so many that most are seen once.
    let [examples, value_noise, label_noise] =
        if memorized { MEMORIZED } else { [[256.0, 12_000.0], [0.03, 1.0], config.label_noise] };
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
    let separable = rng.random_bool(config.separable) && !memorized;
    let mut inputs = raw_inputs(n, n_in, rng);
    let (target, n_out) = if family == Family::Regression {
        teacher_values(&inputs, n_in, (!separable).then_some(value_noise), rng)
    } else {
        let n_classes = log_uniform(2.0, 27.0, rng) as usize;
        let noise = (!separable).then_some(label_noise);
        let classes = if rng.random_bool(0.5) {
            teacher_classes(&inputs, n_in, n_classes, noise, rng)
        } else {
            clusters(&mut inputs, n_in, n_classes, config.clusters, separable, rng)
        };
        (Target::Classes(classes), n_classes)
    };
    if config.warped > 0.0 && rng.random_bool(config.warped) {
        warp(&mut inputs, n_in, rng);
    }
    rescale(&mut inputs, n_in, rng);
    let ([fewest, most], [narrowest, widest]) = (config.layers, config.widths.map(|width| width as f64));
    let n_hidden = if family == Family::Logistic { 0 } else { rng.random_range(fewest..=most) };
    let mut sizes = vec![n_in];
    sizes.extend((0..n_hidden).map(|_| log_uniform(narrowest, widest, rng) as usize));
    sizes.push(n_out);
    let net = Mlp::new(sizes, if rng.random_bool(0.6) { Activation::Relu } else { Activation::Tanh });
    let net = Net::Mlp(net);
    let start = net.init(gain(rng), rng);
    let batch_size = [16, 32, 64, 64, 128][rng.random_range(0..5)];
    let (batch, rows) = (Vec::new(), Vec::new());
    let problem = NetProblem {
        net,
        n_in,
        inputs,
        target,
        n_train: n,
        n_evaluation: N_EVALUATION,
        n_held_out,
        batch_size,
        batch,
        rows,
    };
    (Problem::Net(Box::new(problem)), start)
}

/// With initial weights.
fn started(problem: NetProblem, rng: &mut ChaCha8Rng) -> (Problem, Vec<f32>) {
    let start = problem.net.init(gain(rng), rng);
    (Problem::Net(Box::new(problem)), start)
}

fn gain(rng: &mut ChaCha8Rng) -> f32 {
    if rng.random_bool(0.6) { 1.0 } else { log_uniform(0.3, 3.0, rng) as f32 }
}

fn arg_max(row: &[f32]) -> u16 {
    crate::dqn::argmax(row.iter().copied()) as u16
}

/// The row of an example of a minibatch.
pub(super) fn draw_row(n_train: usize, rng: &mut ChaCha8Rng) -> usize {
    rng.random_range(0..n_train)
}

/// A standard normal number (Box and Muller 1958).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f32, f32) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

pub(crate) fn log_uniform(low: f64, high: f64, rng: &mut ChaCha8Rng) -> f64 {
    (low.ln() + rng.random::<f64>() * (high.ln() - low.ln())).exp()
}

/// Index drawn in proportion to the weights.
fn weighted(weights: &[f64], rng: &mut ChaCha8Rng) -> usize {
    let mut at = rng.random::<f64>() * weights.iter().sum::<f64>();
    for (i, &w) in weights.iter().enumerate() {
        if at < w {
            return i;
        }
        at -= w;
    }
    weights.iter().rposition(|&w| w > 0.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn the_gradient_of_a_quadratic_is_that_of_its_loss() {
        let mut rng = stream(1, "quadratic");
        let (mut problem, x) = quadratic(&mut rng);
        let mut grad = vec![0.0; x.len()];
        problem.loss_and_grad(&x, &mut grad, &mut stream(2, "batch"));
        let mut at = |h: f32| {
            let mut moved = x.clone();
            moved[0] += h;
            f64::from(problem.loss_and_grad(&moved, &mut vec![0.0; x.len()], &mut stream(2, "batch")))
        };
        let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
        assert!((numeric - f64::from(grad[0])).abs() < 2e-2 * (1.0 + numeric.abs()), "{numeric} against {}", grad[0]);
    }

    #[test]
    fn the_full_batch_is_the_evaluation_batch_and_its_gradient_that_of_the_evaluation() {
        for (seed, families) in [(1, [1.0, 0.0, 0.0, 0.0]), (2, [0.0, 0.0, 1.0, 0.0]), (3, [0.0, 0.0, 0.0, 1.0])] {
            let config = TaskConfig { families: families.to_vec(), ..TaskConfig::default() };
            let mut task = Task::draw(&config, &mut stream(seed, "task"));
            task.full_batch = true;
            let (x, mut grad) = (task.start.clone(), vec![0.0; task.start.len()]);
            let loss = task.loss_and_grad(&x, &mut grad, &mut stream(0, "unused"));
            assert!((f64::from(loss) - task.problem.evaluate(&x)).abs() < 1e-6 * f64::from(loss.abs().max(1.0)));
            // Along the gradient the loss rises at the rate of its squared norm.
            let square: f64 = grad.iter().map(|&g| f64::from(g).powi(2)).sum();
            let step = 1e-3 / square.sqrt();
            let mut at = |sign: f64| {
                let moved: Vec<f32> =
                    x.iter().zip(&grad).map(|(&x, &g)| x + (sign * step * f64::from(g)) as f32).collect();
                task.problem.evaluate(&moved)
            };
            let slope = (at(1.0) - at(-1.0)) / (2.0 * step);
            assert!((slope - square).abs() < 0.05 * square + 1e-6, "{families:?}: {slope} against {square}");
        }
    }

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
}
