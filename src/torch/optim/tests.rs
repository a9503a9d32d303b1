use super::*;
use crate::rng;
use rand::Rng;
use tch::nn::OptimizerConfig;
use tch::{Device, nn};

/// A small net with fixed weights, and data for it.
struct Case {
    vs: VarStore,
    weights: Vec<Tensor>,
    x: Tensor,
    y: Tensor,
}

fn uniform(rng: &mut impl Rng, shape: &[i64]) -> Tensor {
    let n: i64 = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|_| (rng.next_u32() as f32 / u32::MAX as f32) * 2.0 - 1.0).collect();
    Tensor::from_slice(&values).view(shape)
}

/// With `split` the second layer is a group of its own.
fn case(split: bool) -> Case {
    let mut rng = rng::stream(3, "optimizer test");
    let vs = VarStore::new(Device::Cpu);
    let root = vs.root();
    let second = root.set_group(usize::from(split));
    let mut weights = vec![];
    for (path, name, shape) in
        [(&root, "w1", vec![7, 5]), (&root, "b1", vec![7]), (&second, "w2", vec![3, 7]), (&second, "b2", vec![3])]
    {
        let mut w = path.zeros(name, &shape);
        tch::no_grad(|| w.copy_(&uniform(&mut rng, &shape)));
        weights.push(w);
    }
    Case { vs, weights, x: uniform(&mut rng, &[16, 5]), y: uniform(&mut rng, &[16, 3]) }
}

impl Case {
    fn loss(&self) -> Tensor {
        let hidden = self.x.linear(&self.weights[0], Some(&self.weights[1])).tanh();
        (hidden.linear(&self.weights[2], Some(&self.weights[3])) - &self.y).square().mean(Kind::Float)
    }

    /// A loss whose gradient does not depend on the weights, so that steps of any size can be compared.
    fn slope(&self) -> Tensor {
        let mut rng = rng::stream(4, "slope");
        let terms = self.weights.iter().map(|w| (w * uniform(&mut rng, &w.size())).sum(Kind::Float));
        terms.reduce(|a, b| a + b).unwrap()
    }

    fn flat(&self) -> Vec<f32> {
        self.weights.iter().flat_map(|w| Vec::<f32>::try_from(w.flatten(0, -1)).unwrap()).collect()
    }
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let sq = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>();
    let difference = sq(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    (difference / sq(&mut b.iter().map(|&b| f64::from(b)))).sqrt()
}

fn optimizer(case: &Case, algorithm: Algorithm, lr: f64, weight_decay: f64) -> Optimizer {
    Optimizer::new(&case.vs, OptimConfig { weight_decay, ..OptimConfig::new(algorithm, lr) }).unwrap()
}

fn same_as_tch(algorithm: Algorithm, tch: impl OptimizerConfig, lr: f64, weight_decay: f64) {
    let (ours, theirs) = (case(false), case(false));
    let mut our_optimizer = optimizer(&ours, algorithm, lr, weight_decay);
    let mut their_optimizer = tch.build(&theirs.vs, lr).unwrap();
    their_optimizer.set_weight_decay(weight_decay);
    let loss = if lr < 1.0 { Case::loss } else { Case::slope };
    for step in 0..60 {
        if step == 30 {
            our_optimizer.set_lr(lr / 3.0).unwrap();
            their_optimizer.set_lr(lr / 3.0);
        }
        our_optimizer.backward_step(&loss(&ours)).unwrap();
        their_optimizer.backward_step(&loss(&theirs));
        let off = distance(&ours.flat(), &theirs.flat());
        assert!(off < 1e-6, "{} with lr {lr}, step {step}: {off}", algorithm.name());
    }
}

#[test]
fn every_algorithm_takes_the_steps_of_tch() {
    for weight_decay in [0.0, 0.1] {
        same_as_tch(Algorithm::SGD, nn::Sgd::default(), 0.1, weight_decay);
        same_as_tch(Algorithm::MOMENTUM, nn::sgd(0.9, 0.0, 0.0, false), 0.05, weight_decay);
        let nesterov = Algorithm::Sgd { momentum: 0.9, nesterov: true };
        same_as_tch(nesterov, nn::sgd(0.9, 0.0, 0.0, true), 0.05, weight_decay);
        for lr in [1e-5, 1e-2, 50.0] {
            // A step size far above 1 takes the other way through the denominator. Weight decay would make such steps
            // oscillate.
            same_as_tch(Algorithm::ADAM, nn::Adam::default(), lr, if lr < 1.0 { weight_decay } else { 0.0 });
            same_as_tch(Algorithm::ADAMW, nn::AdamW::default(), lr, weight_decay / 100.0);
        }
        same_as_tch(Algorithm::RMSPROP, nn::RmsProp::default(), 1e-2, weight_decay);
        let heavy = Algorithm::RmsProp { alpha: 0.99, eps: 1e-8, momentum: 0.5 };
        same_as_tch(heavy, nn::RmsProp { momentum: 0.5, ..Default::default() }, 1e-3, weight_decay);
    }
}

#[test]
fn groups_keep_their_ratios_as_with_tch() {
    let (ours, theirs) = (case(true), case(true));
    let groups = vec![GroupConfig::default(), GroupConfig { lr_ratio: 0.1, weight_decay_ratio: 2.0 }];
    let config = OptimConfig { groups, weight_decay: 0.01, ..OptimConfig::new(Algorithm::ADAM, 1e-2) };
    let mut our_optimizer = Optimizer::new(&ours.vs, config).unwrap();
    let mut their_optimizer = nn::Adam::default().build(&theirs.vs, 1e-2).unwrap();
    their_optimizer.set_weight_decay_group(0, 0.01);
    their_optimizer.set_weight_decay_group(1, 0.02);
    for lr in [1e-2, 1e-2, 3e-3, 2e-2] {
        our_optimizer.set_lr(lr).unwrap();
        their_optimizer.set_lr_group(0, lr);
        their_optimizer.set_lr_group(1, lr * 0.1);
        our_optimizer.backward_step(&ours.loss()).unwrap();
        their_optimizer.backward_step(&theirs.loss());
        assert!(distance(&ours.flat(), &theirs.flat()) < 1e-6);
    }
}

#[test]
fn a_parameter_without_gradient_stays_and_its_moments_too() {
    for algorithm in [Algorithm::MOMENTUM, Algorithm::ADAM, Algorithm::RMSPROP] {
        let (ours, theirs) = (case(false), case(false));
        let mut our_optimizer = optimizer(&ours, algorithm, 1e-2, 0.1);
        let mut their_optimizer: nn::Optimizer = match algorithm {
            Algorithm::Sgd { .. } => nn::sgd(0.9, 0.0, 0.1, false).build(&theirs.vs, 1e-2).unwrap(),
            Algorithm::Adam { .. } => nn::adam(0.9, 0.999, 0.1).build(&theirs.vs, 1e-2).unwrap(),
            _ => nn::RmsProp { wd: 0.1, ..Default::default() }.build(&theirs.vs, 1e-2).unwrap(),
        };
        for step in 0..12 {
            // Every third step the first layer alone has a gradient.
            let loss = |case: &Case| match step % 3 {
                0 => (case.weights[0].square().sum(Kind::Float) + case.weights[1].square().sum(Kind::Float)) * 0.1,
                _ => case.loss(),
            };
            let still = Vec::<f32>::try_from(ours.weights[2].flatten(0, -1)).unwrap();
            our_optimizer.backward_step(&loss(&ours)).unwrap();
            their_optimizer.backward_step(&loss(&theirs));
            let now = Vec::<f32>::try_from(ours.weights[2].flatten(0, -1)).unwrap();
            assert_eq!(still == now, step % 3 == 0);
            let off = distance(&ours.flat(), &theirs.flat());
            assert!(off < 1e-6, "{} step {step}: {off}", algorithm.name());
        }
    }
}

#[test]
fn a_saved_state_goes_on_to_the_bit() {
    for algorithm in [Algorithm::MOMENTUM, Algorithm::ADAM, Algorithm::ADAMW, Algorithm::RMSPROP] {
        let first = case(false);
        let mut optimizer = optimizer(&first, algorithm, 1e-2, 0.1);
        for _ in 0..5 {
            optimizer.backward_step(&first.loss()).unwrap();
        }
        let saved = serde_json::to_string(&optimizer.state().unwrap()).unwrap();
        let second = case(false);
        let mut vs = second.vs;
        vs.copy(&first.vs).unwrap();
        let second = Case { vs, ..second };
        let mut resumed = self::optimizer(&second, algorithm, 1.0, 0.0);
        resumed.load_state(&serde_json::from_str(&saved).unwrap()).unwrap();
        for _ in 0..5 {
            optimizer.backward_step(&first.loss()).unwrap();
            resumed.backward_step(&second.loss()).unwrap();
            assert_eq!(first.flat(), second.flat());
        }
    }
}

#[test]
fn a_state_of_another_optimizer_or_net_is_refused() {
    let net = case(false);
    let adam = optimizer(&net, Algorithm::ADAM, 1e-2, 0.0).state().unwrap();
    let mut momentum = optimizer(&net, Algorithm::MOMENTUM, 1e-2, 0.0);
    assert!(matches!(momentum.load_state(&adam), Err(TorchError::StateMismatch { what: "the algorithm", .. })));
    let other = VarStore::new(Device::Cpu);
    let _w = other.root().zeros("w", &[4]);
    let mut small = Optimizer::new(&other, OptimConfig::new(Algorithm::ADAM, 1e-2)).unwrap();
    assert!(matches!(small.load_state(&adam), Err(TorchError::StateMismatch { .. })));
}

#[test]
fn a_masked_step_moves_no_parameter() {
    let broken = Tensor::from(false);
    for algorithm in [Algorithm::SGD, Algorithm::MOMENTUM, Algorithm::ADAM, Algorithm::ADAMW, Algorithm::RMSPROP] {
        for lr in [1e-2, 100.0] {
            let net = case(false);
            let mut optimizer = optimizer(&net, algorithm, lr, 0.1);
            optimizer.backward_step(&net.loss()).unwrap();
            let before = net.flat();
            optimizer.zero_grad().unwrap();
            (net.loss() * f64::NAN).backward();
            let gradient = optimizer.flat().gradient().unwrap();
            optimizer.apply(&gradient, Some(&broken)).unwrap();
            assert_eq!(before, net.flat(), "{}", algorithm.name());
            optimizer.backward_step(&net.loss()).unwrap();
            assert!(net.flat().iter().all(|v| v.is_finite()) && before != net.flat());
        }
    }
}

#[test]
fn a_kind_changed_behind_its_back_is_followed() {
    let (mut moved, plain) = (case(false), case(false));
    let mut ours = optimizer(&moved, Algorithm::ADAM, 1e-2, 0.0);
    let mut theirs = optimizer(&plain, Algorithm::ADAM, 1e-2, 0.0);
    for step in 0..6 {
        if step == 3 {
            moved.vs.double();
            moved.x = moved.x.to_kind(Kind::Double);
            moved.y = moved.y.to_kind(Kind::Double);
        }
        let loss = if step < 3 {
            moved.loss()
        } else {
            let hidden = moved.x.linear(&moved.weights[0], Some(&moved.weights[1])).tanh();
            (hidden.linear(&moved.weights[2], Some(&moved.weights[3])) - &moved.y).square().mean(Kind::Double)
        };
        ours.backward_step(&loss).unwrap();
        theirs.backward_step(&plain.loss()).unwrap();
    }
    assert_eq!(moved.weights[0].kind(), Kind::Double);
    let flat: Vec<f32> = moved
        .weights
        .iter()
        .flat_map(|w| Vec::<f32>::try_from(w.to_kind(Kind::Float).flatten(0, -1)).unwrap())
        .collect();
    assert!(distance(&flat, &plain.flat()) < 1e-5);
}

#[test]
fn a_variable_made_later_is_trained_too() {
    let net = case(false);
    let mut optimizer = optimizer(&net, Algorithm::ADAM, 1e-2, 0.0);
    optimizer.backward_step(&net.loss()).unwrap();
    let late = net.vs.root().ones("late", &[2]);
    optimizer.backward_step(&(net.loss() + late.square().sum(Kind::Float))).unwrap();
    let value = late.double_value(&[0]);
    assert!((value - 0.99).abs() < 1e-6, "the first Adam step is one learning rate long: {value}");
}

#[test]
fn settings_outside_their_range_are_refused() {
    let net = case(false);
    let bad = [
        OptimConfig::new(Algorithm::Sgd { momentum: 1.0, nesterov: false }, 0.1),
        OptimConfig::new(Algorithm::Sgd { momentum: 0.0, nesterov: true }, 0.1),
        OptimConfig::new(Algorithm::Adam { beta1: -0.1, beta2: 0.9, eps: 1e-8 }, 0.1),
        OptimConfig::new(Algorithm::AdamW { beta1: 0.9, beta2: 1.0, eps: 1e-8 }, 0.1),
        OptimConfig::new(Algorithm::RmsProp { alpha: 0.9, eps: 0.0, momentum: 0.0 }, 0.1),
        OptimConfig::new(Algorithm::SGD, -1.0),
        OptimConfig::new(Algorithm::SGD, f64::NAN),
        OptimConfig { weight_decay: -1.0, ..OptimConfig::new(Algorithm::SGD, 0.1) },
    ];
    for config in bad {
        assert!(matches!(Optimizer::new(&net.vs, config), Err(TorchError::OutOfRange { .. })));
    }
    let mut adam = optimizer(&net, Algorithm::ADAM, 0.1, 0.0);
    assert!(matches!(adam.set_momentum(0.5), Err(TorchError::NoSuchSetting { .. })));
    assert!(matches!(
        Optimizer::new(&VarStore::new(Device::Cpu), OptimConfig::new(Algorithm::SGD, 0.1)),
        Err(TorchError::NoParameters)
    ));
}
