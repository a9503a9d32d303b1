//! The hand-written backward pass of the Q-network, checked against libtorch's autograd.

#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::ArrayView2;
use qgd::dqn::QNetwork;
use qgd::rng::stream;
use rand::RngExt;
use tch::{Kind, Tensor};

const BATCH: usize = 16;
const SIZES: [usize; 4] = [27, 64, 64, 3];

/// Q-values `[batch, n_actions]` of a dueling network with these weights and biases.
fn forward(params: &[Tensor], x: &Tensor) -> Tensor {
    let mut y = x.shallow_clone();
    for (layer, pair) in params.chunks_exact(2).enumerate() {
        y = y.matmul(&pair[0]) + &pair[1];
        if layer + 2 < SIZES.len() {
            y = y.relu();
        }
    }
    let (value, advantages) = (y.narrow(1, 0, 1), y.narrow(1, 1, SIZES[3] as i64));
    value + &advantages - advantages.mean_dim(1, true, Kind::Float)
}

#[test]
fn values_and_gradients_are_those_of_autograd() {
    let mut rng = stream(11, "autograd");
    let network = QNetwork::new(SIZES[0], &SIZES[1..3], SIZES[3], true, &mut rng);
    let x: Vec<f32> = (0..BATCH * SIZES[0]).map(|_| rng.random_range(-1.0..1.0)).collect();
    let actions: Vec<usize> = (0..BATCH).map(|_| rng.random_range(0..SIZES[3])).collect();
    let targets: Vec<f32> = (0..BATCH).map(|_| rng.random_range(-1.0..1.0)).collect();

    let outputs = [SIZES[1], SIZES[2], 1 + SIZES[3]];
    let tensors: Vec<Tensor> = network
        .params()
        .iter()
        .enumerate()
        .map(|(i, p)| {
            let (n_in, n_out) = (SIZES[i / 2] as i64, outputs[i / 2] as i64);
            let t = Tensor::from_slice(p);
            let t = if i % 2 == 0 { t.view([n_in, n_out]) } else { t };
            t.set_requires_grad(true)
        })
        .collect();
    let input = Tensor::from_slice(&x).view([BATCH as i64, SIZES[0] as i64]);
    let q = forward(&tensors, &input);
    let index = Tensor::from_slice(&actions.iter().map(|&a| a as i64).collect::<Vec<_>>()).view([-1, 1]);
    let chosen = q.gather(1, &index, false).view([-1]);
    ((chosen - Tensor::from_slice(&targets)).square() * 0.5).sum(Kind::Float).backward();

    let features = ArrayView2::from_shape((BATCH, SIZES[0]), &x).unwrap();
    let q: Vec<f32> = q.view([-1]).try_into().unwrap();
    assert!(network.forward(features).iter().zip(&q).all(|(a, b)| (a - b).abs() < 1e-5));
    let gradient = network.gradient(features, &actions, |q, b| q - targets[b]);
    for (own, tensor) in gradient.params().into_iter().zip(&tensors) {
        let theirs: Vec<f32> = tensor.grad().contiguous().view([-1]).try_into().unwrap();
        assert_eq!(own.len(), theirs.len());
        assert!(own.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs())));
    }
}
