//! What control costs in a real training loop: `cargo bench --bench overhead`.
//!
//! ```text
//! (a) tch's optimizer wrapped in a QController against bare      target: at most max(3 %, 20 us) a step
//! (b) our optimizer under control against without                target: the same
//! (c) our optimizer against tch's, both without control          target: ratio at most 1.0
//! ```
//!
//! All variants train the same net on the same batches, a few steps of one after a few of the other, so that a busy machine slows them
//! alike. A run starts at step 0, with its dense early decisions; for every piece of it the fastest of all repeats counts, because whatever
//! else the machine does can only add to it. What follows the backward pass is timed by itself too, because a few microseconds cannot be seen
//! beside a forward pass of milliseconds. One thread, synthetic data of the tasks' shapes.

use qgd::driver::{Pace, Pilot};
use qgd::torch::{Algorithm, OptimConfig, Optimizer, QController};
use qgd::{Controller, Decision, Policy, Signals};
use rand::RngExt;
use std::error::Error;
use std::time::Instant;
use tch::nn::{self, ModuleT, OptimizerConfig, VarStore};
use tch::{Device, Kind, Tensor};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Steps of one variant before the next one takes over.
const PIECE: usize = 5;
const BATCH: i64 = 64;
const N_BATCHES: usize = 16;

/// A net and its data.
struct Task {
    name: &'static str,
    steps: usize,
    repeats: usize,
    adam: bool,
    build: fn(&nn::Path) -> nn::SequentialT,
    batches: Vec<(Tensor, Tensor)>,
}

/// What trains a net.
enum Stepper {
    Tch(nn::Optimizer),
    Ours(Box<Optimizer>),
    Controlled(Box<QController>),
}

impl Stepper {
    /// Gives the microseconds spent after the backward pass.
    fn backward_step(&mut self, loss: &Tensor) -> Result<f64> {
        match self {
            Self::Tch(optimizer) => optimizer.zero_grad(),
            Self::Ours(optimizer) => optimizer.zero_grad()?,
            Self::Controlled(controller) => controller.zero_grad()?,
        }
        loss.f_backward()?;
        let start = Instant::now();
        match self {
            Self::Tch(optimizer) => optimizer.step(),
            Self::Ours(optimizer) => optimizer.step()?,
            Self::Controlled(controller) => {
                controller.observe(loss)?;
                controller.step()?;
            }
        }
        Ok(1e6 * start.elapsed().as_secs_f64())
    }
}

struct Variant {
    _vs: VarStore,
    net: nn::SequentialT,
    stepper: Stepper,
}

/// The controller, asked and measured for as usual, but not heeded: all variants then pass through the same weights. (What an operation
/// costs depends on the numbers: where control trained the convolutional net differently, its forward pass took 7 % longer.)
struct Unheeded {
    controller: Controller,
}

impl Policy for Unheeded {
    fn decide(&mut self, signals: &Signals) -> Decision {
        let decision = self.controller.decide(signals);
        Decision { lr_factor: 1.0, weight_decay_factor: 1.0, ..decision }
    }
}

fn pilot(every_step: bool) -> Result<Pilot> {
    let controller = Controller::pretrained("lr")?;
    let mut config = controller.driver_config(None);
    if every_step {
        config.pace = Pace::every(1);
    }
    Ok(Pilot::new(Unheeded { controller }).with_config(config))
}

const NAMES: [&str; 6] = [
    "tch bare",
    "tch wrapped",
    "tch wrapped, interval 1",
    "ours bare",
    "ours controlled",
    "ours controlled, interval 1",
];

fn main() -> Result<()> {
    tch::set_num_threads(1);
    let tasks = [
        Task {
            name: "letter MLP 16-128-128-26, Adam",
            steps: 800,
            repeats: 41,
            adam: true,
            build: mlp,
            batches: batches(&[16], 26)?,
        },
        Task {
            name: "CNN 3x32x32, channels 16 and 32, batch norm, momentum",
            steps: 300,
            repeats: 7,
            adam: false,
            build: cnn,
            batches: batches(&[3, 32, 32], 10)?,
        },
    ];
    // `cargo bench --bench overhead -- CNN` measures that one alone.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    tasks.iter().filter(|task| task.name.contains(&wanted)).try_for_each(report)
}

fn report(task: &Task) -> Result<()> {
    let pieces = measure(task)?;
    println!("\n{}: {} steps, batch {BATCH}, fastest of {} runs", task.name, task.steps, task.repeats);
    let (whole, alone) = (pieces.a_step(0, 0), pieces.a_step(0, 1));
    let steady = pieces.a_step(task.steps / PIECE / 2, 1);
    println!("  {:<28} {:>10} {:>14} {:>18}", "us a step", "all of it", "after backward", "second half alone");
    for (i, name) in NAMES.iter().enumerate() {
        println!("  {name:<28} {:>10.1} {:>14.1} {:>18.1}", whole[i], alone[i], steady[i]);
    }
    let compare = |label: &str, i: usize, base: usize, has_target: bool| {
        let target = (0.03 * whole[base]).max(20.0);
        let percent = |extra: f64| 100.0 * extra / whole[base];
        let (extra, extra_alone) = (whole[i] - whole[base], alone[i] - alone[base]);
        let verdict = match (has_target, extra <= target) {
            (false, _) => String::new(),
            (true, true) => format!(" (target {target:.0} us: ok)"),
            (true, false) => format!(" (target {target:.0} us: MISSED)"),
        };
        println!(
            "  {label}: {extra:+.1} us, {:+.1} %{verdict}; after backward {extra_alone:+.1} us, {:+.2} %",
            percent(extra),
            percent(extra_alone)
        );
    };
    compare("(a) wrapped against bare, default interval", 1, 0, true);
    compare("    the same at interval 1                ", 2, 0, false);
    compare("(b) ours with against without control     ", 4, 3, true);
    compare("    the same at interval 1                ", 5, 3, false);
    let ratio = whole[3] / whole[0];
    let verdict = if ratio <= 1.0 { "ok" } else { "MISSED" };
    println!(
        "  (c) ours against tch's, bare: ratio {ratio:.3} (target 1.0: {verdict}); after backward {:.3}",
        alone[3] / alone[0]
    );
    Ok(())
}

/// Microseconds, all in all and after the backward pass, indexed by variant, piece, repeat.
struct Pieces(Vec<Vec<Vec<[f64; 2]>>>);

impl Pieces {
    /// Microseconds a step of every variant, from piece `first` on; `part` is 0 for all of it, 1 for what follows the backward pass.
    fn a_step(&self, first: usize, part: usize) -> Vec<f64> {
        let fastest = |repeats: &Vec<[f64; 2]>| repeats.iter().map(|times| times[part]).fold(f64::INFINITY, f64::min);
        let mean = |pieces: &[Vec<[f64; 2]>]| pieces.iter().map(fastest).sum::<f64>() / (pieces.len() * PIECE) as f64;
        self.0.iter().map(|pieces| mean(&pieces[first..])).collect()
    }
}

fn measure(task: &Task) -> Result<Pieces> {
    let n_pieces = task.steps / PIECE;
    let mut pieces = vec![vec![Vec::new(); n_pieces]; NAMES.len()];
    for _ in 0..task.repeats {
        let mut variants = (0..NAMES.len()).map(|i| variant(task, i)).collect::<Result<Vec<_>>>()?;
        for piece in 0..n_pieces {
            for (variant, times) in variants.iter_mut().zip(&mut pieces) {
                let start = Instant::now();
                let mut in_steps = 0.0;
                for step in 0..PIECE {
                    let (x, y) = &task.batches[(piece * PIECE + step) % N_BATCHES];
                    let loss = variant.net.forward_t(x, true).cross_entropy_for_logits(y);
                    in_steps += variant.stepper.backward_step(&loss)?;
                }
                times[piece].push([1e6 * start.elapsed().as_secs_f64(), in_steps]);
            }
        }
    }
    Ok(Pieces(pieces))
}

fn variant(task: &Task, index: usize) -> Result<Variant> {
    let vs = VarStore::new(Device::Cpu);
    let net = (task.build)(&vs.root());
    let mut rng = qgd::rng::stream(1, "overhead weights");
    for mut weight in vs.trainable_variables() {
        let fan_in = (weight.numel() as i64 / weight.size()[0]).max(1) as f32;
        let bound = fan_in.sqrt().recip();
        if weight.dim() > 1 {
            let values: Vec<f32> = (0..weight.numel()).map(|_| rng.random_range(-bound..bound)).collect();
            tch::no_grad(|| weight.f_copy_(&Tensor::f_from_slice(&values)?.f_view(weight.size().as_slice())?))?;
        }
    }
    let (algorithm, lr) = if task.adam { (Algorithm::ADAM, 1e-3) } else { (Algorithm::MOMENTUM, 1e-2) };
    let tch = |vs: &VarStore| {
        if task.adam { nn::Adam::default().build(vs, lr) } else { nn::sgd(0.9, 0.0, 0.0, false).build(vs, lr) }
    };
    let ours = |vs: &VarStore| Optimizer::new(vs, OptimConfig::new(algorithm, lr));
    let stepper = match index {
        0 => Stepper::Tch(tch(&vs)?),
        1 => Stepper::Controlled(Box::new(QController::wrap(tch(&vs)?, &vs, lr, pilot(false)?)?)),
        2 => Stepper::Controlled(Box::new(QController::wrap(tch(&vs)?, &vs, lr, pilot(true)?)?)),
        3 => Stepper::Ours(Box::new(ours(&vs)?)),
        4 => Stepper::Controlled(Box::new(QController::new(ours(&vs)?, pilot(false)?)?)),
        _ => Stepper::Controlled(Box::new(QController::new(ours(&vs)?, pilot(true)?)?)),
    };
    Ok(Variant { _vs: vs, net, stepper })
}

fn mlp(path: &nn::Path) -> nn::SequentialT {
    nn::seq_t()
        .add(nn::linear(path / "0", 16, 128, Default::default()))
        .add_fn(Tensor::relu)
        .add(nn::linear(path / "1", 128, 128, Default::default()))
        .add_fn(Tensor::relu)
        .add(nn::linear(path / "2", 128, 26, Default::default()))
}

fn cnn(path: &nn::Path) -> nn::SequentialT {
    let padded = nn::ConvConfig { padding: 1, ..Default::default() };
    let norm = nn::BatchNormConfig { ws_init: nn::Init::Const(1.0), ..Default::default() };
    nn::seq_t()
        .add(nn::conv2d(path / "0", 3, 16, 3, padded))
        .add(nn::batch_norm2d(path / "1", 16, norm))
        .add_fn(|x| x.relu().max_pool2d_default(2))
        .add(nn::conv2d(path / "2", 16, 32, 3, padded))
        .add(nn::batch_norm2d(path / "3", 32, norm))
        .add_fn(|x| x.relu().max_pool2d_default(2).flat_view())
        .add(nn::linear(path / "4", 32 * 8 * 8, 10, Default::default()))
}

/// Inputs in [-1, 1] and random classes.
fn batches(shape: &[i64], n_classes: i64) -> Result<Vec<(Tensor, Tensor)>> {
    let mut rng = qgd::rng::stream(0, "overhead data");
    let size = [&[BATCH], shape].concat();
    let n_values: i64 = size.iter().product();
    (0..N_BATCHES)
        .map(|_| {
            let values: Vec<f32> = (0..n_values).map(|_| rng.random_range(-1.0..1.0)).collect();
            let classes: Vec<i64> = (0..BATCH).map(|_| rng.random_range(0..n_classes)).collect();
            let x = Tensor::f_from_slice(&values)?.f_view(size.as_slice())?;
            Ok((x, Tensor::f_from_slice(&classes)?.f_to_kind(Kind::Int64)?))
        })
        .collect()
}
