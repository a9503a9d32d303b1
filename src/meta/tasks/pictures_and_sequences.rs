//! Pictures and sequences, with the convolutional and recurrent nets that are trained on them. Only tch can compute
//! these nets.

use super::data::{arg_max, flip_labels, standardize, teacher_outputs};
use super::problem::{N_EVALUATION, NetProblem};
use crate::meta::architecture::{BatchedNet, Net};
use crate::meta::mlp::{InnerActivation, Target};
use crate::meta::recipe::TaskConfig;
use crate::rng::{log_uniform, standard_normal_f32};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Pixels along one side of a picture. Two values only, so that many nets run together.
const SIDES: [usize; 2] = [6, 8];
/// Places of a sequence, two values for the same reason.
const LENGTHS: [usize; 2] = [6, 12];

/// A convolutional net on noisy pictures. Each picture shows the smooth random pattern of its class, moved by up to one
/// pixel in every direction.
pub(super) fn cnn(config: &TaskConfig, rng: &mut ChaCha8Rng) -> NetProblem {
    let (n, noise) = examples(config, rng);
    let side = SIDES[rng.random_range(0..SIDES.len())];
    let n_classes = log_uniform(2.0, 11.0, rng) as usize;
    let spread = if noise.is_some() { log_uniform(0.5, 2.0, rng) } else { log_uniform(0.1, 0.7, rng) } as f32;
    let patterns: Vec<Vec<f32>> = (0..n_classes).map(|_| pattern(side + 2, rng)).collect();
    let mut classes: Vec<u16> = (0..n).map(|_| rng.random_range(0..n_classes) as u16).collect();
    let mut inputs = Vec::with_capacity(n * side * side);
    for &class in &classes {
        let (right, down) = (rng.random_range(0..3), rng.random_range(0..3));
        for pixel in 0..side * side {
            let (y, x) = (pixel / side + down, pixel % side + right);
            inputs.push(patterns[usize::from(class)][y * (side + 2) + x] + spread * standard_normal_f32(rng));
        }
    }
    standardize(&mut inputs, 1);
    flip_labels(&mut classes, n_classes, noise, 0, rng);
    let channels = [log_uniform(4.0, 13.0, rng) as usize, log_uniform(4.0, 17.0, rng) as usize];
    let activation = if rng.random_bool(0.7) { InnerActivation::Relu } else { InnerActivation::Tanh };
    problem(BatchedNet::cnn(side, channels, n_classes, activation), side * side, inputs, classes, rng)
}

/// A recurrent net on sequences that drift. Their classes come from a random teacher network that sees the whole
/// sequence.
pub(super) fn rnn(config: &TaskConfig, rng: &mut ChaCha8Rng) -> NetProblem {
    let (n, noise) = examples(config, rng);
    let length = LENGTHS[rng.random_range(0..LENGTHS.len())];
    let (n_channels, n_classes) = (rng.random_range(1..=4), log_uniform(2.0, 9.0, rng) as usize);
    let memory = rng.random_range(0.0..0.95f32);
    let fresh = (1.0 - memory * memory).sqrt();
    let mut inputs = Vec::with_capacity(n * length * n_channels);
    for _ in 0..n {
        let mut now: Vec<f32> = (0..n_channels).map(|_| standard_normal_f32(rng)).collect();
        for _ in 0..length {
            inputs.extend_from_slice(&now);
            now.iter_mut().for_each(|v| *v = memory * *v + fresh * standard_normal_f32(rng));
        }
    }
    let n_in = length * n_channels;
    let outputs = teacher_outputs(&inputs, n_in, n_classes, rng);
    let mut classes: Vec<u16> = outputs.chunks_exact(n_classes).map(arg_max).collect();
    flip_labels(&mut classes, n_classes, noise, 0, rng);
    let width = log_uniform(8.0, 33.0, rng) as usize;
    problem(BatchedNet::rnn(length, n_channels, width, n_classes), n_in, inputs, classes, rng)
}

/// Number of examples, and the label noise if there is any.
fn examples(config: &TaskConfig, rng: &mut ChaCha8Rng) -> (usize, Option<[f64; 2]>) {
    let [fewest, most] = config.examples.unwrap_or([256, 4000]);
    let n = log_uniform(fewest as f64, most as f64, rng).round() as usize;
    (n, (!rng.random_bool(config.separable)).then_some(config.label_noise))
}

/// A random pattern `[side, side]`: the sum of three waves of low frequency.
fn pattern(side: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut waves = [[0.0f32; 4]; 3];
    for [height, right, down, phase] in &mut waves {
        (*height, *right, *down) = (standard_normal_f32(rng), rng.random_range(-1.2..1.2), rng.random_range(-1.2..1.2));
        *phase = rng.random_range(0.0..std::f32::consts::TAU);
    }
    let value = |pixel: usize| {
        let (y, x) = ((pixel / side) as f32, (pixel % side) as f32);
        waves.iter().map(|[height, right, down, phase]| height * (right * x + down * y + phase).sin()).sum()
    };
    (0..side * side).map(value).collect()
}

fn problem(net: BatchedNet, n_in: usize, inputs: Vec<f32>, classes: Vec<u16>, rng: &mut ChaCha8Rng) -> NetProblem {
    let n = classes.len();
    NetProblem {
        net: Net::Batched(net),
        n_in,
        inputs,
        target: Target::Classes(classes),
        n_train: n,
        n_evaluation: N_EVALUATION,
        n_held_out: n / 4,
        floor: 0.0,
        batch_size: [16, 32, 64][rng.random_range(0..3)],
        batch: Vec::new(),
        rows: Vec::new(),
    }
}
