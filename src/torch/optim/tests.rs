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

const ALL: [Algorithm; 11] = [
    Algorithm::SGD,
    Algorithm::MOMENTUM,
    Algorithm::NESTEROV,
    Algorithm::ADAM,
    Algorithm::ADAMW,
    Algorithm::RMSPROP,
    Algorithm::NADAM,
    Algorithm::LION,
    Algorithm::MUON,
    Algorithm::SCHEDULE_FREE_SGD,
    Algorithm::SCHEDULE_FREE_ADAMW,
];

/// Those that can have conditioning.
const CONDITIONED: [Algorithm; 8] = {
    let [all @ .., _muon, _sgd, _adamw] = ALL;
    all
};

fn conditioned(case: &Case, algorithm: Algorithm, conditioning: Conditioning) -> Optimizer {
    let config = OptimConfig { weight_decay: 0.1, conditioning, ..OptimConfig::new(algorithm, 1e-2) };
    Optimizer::new(&case.vs, config).unwrap()
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
    let groups =
        vec![GroupConfig::default(), GroupConfig { lr_ratio: 0.1, weight_decay_ratio: 2.0, is_conditioned: true }];
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
    let half = Conditioning::Orthogonal(Orthogonal { degree: 0.5, every: 3, ..Orthogonal::default() });
    let plain = ALL.map(|algorithm| (algorithm, Conditioning::None));
    let conditioned = CONDITIONED.map(|algorithm| (algorithm, half));
    for (algorithm, conditioning) in plain.into_iter().chain(conditioned) {
        let first = case(false);
        let mut optimizer = self::conditioned(&first, algorithm, conditioning);
        for _ in 0..5 {
            optimizer.backward_step(&first.loss()).unwrap();
        }
        let saved = serde_json::to_string(&optimizer.state().unwrap()).unwrap();
        let second = case(false);
        let mut vs = second.vs;
        vs.copy(&first.vs).unwrap();
        let second = Case { vs, ..second };
        let mut resumed = self::conditioned(&second, algorithm, conditioning);
        resumed.set_rates(1.0, 0.0).unwrap();
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
    let mut conditioned = conditioned(&net, Algorithm::ADAM, Conditioning::Orthogonal(Orthogonal::default()));
    assert!(matches!(conditioned.load_state(&adam), Err(TorchError::StateMismatch { what: "the conditioning", .. })));
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
    let usual = Conditioning::Orthogonal(Orthogonal::default());
    let conditioned = CONDITIONED.map(|algorithm| (algorithm, usual));
    for (algorithm, conditioning) in ALL.map(|algorithm| (algorithm, Conditioning::None)).into_iter().chain(conditioned)
    {
        for lr in [1e-2, 100.0] {
            let net = case(false);
            let mut optimizer = self::conditioned(&net, algorithm, conditioning);
            optimizer.set_lr(lr).unwrap();
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
    a_kind_is_followed(Conditioning::None, 1e-5);
    // Rounding in small singular values is scaled up.
    a_kind_is_followed(Conditioning::Orthogonal(Orthogonal::default()), 1e-4);
}

fn a_kind_is_followed(conditioning: Conditioning, within: f64) {
    let (mut moved, plain) = (case(false), case(false));
    let mut ours = conditioned(&moved, Algorithm::ADAM, conditioning);
    let mut theirs = conditioned(&plain, Algorithm::ADAM, conditioning);
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
    let off = distance(&flat, &plain.flat());
    assert!(off < within, "{conditioning}: {off}");
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
    let with = |orthogonal| OptimConfig {
        conditioning: Conditioning::Orthogonal(orthogonal),
        ..OptimConfig::new(Algorithm::ADAM, 0.1)
    };
    let bad = [
        OptimConfig::new(Algorithm::Sgd { momentum: 1.0, nesterov: false }, 0.1),
        OptimConfig::new(Algorithm::Sgd { momentum: 0.0, nesterov: true }, 0.1),
        OptimConfig::new(Algorithm::Adam { beta1: -0.1, beta2: 0.9, eps: 1e-8 }, 0.1),
        OptimConfig::new(Algorithm::AdamW { beta1: 0.9, beta2: 1.0, eps: 1e-8 }, 0.1),
        OptimConfig::new(Algorithm::RmsProp { alpha: 0.9, eps: 0.0, momentum: 0.0 }, 0.1),
        OptimConfig::new(Algorithm::SGD, -1.0),
        OptimConfig::new(Algorithm::SGD, f64::NAN),
        OptimConfig::new(Algorithm::NAdam { beta1: 0.9, beta2: 0.9, eps: 1e-8, momentum_decay: -1.0 }, 0.1),
        OptimConfig::new(Algorithm::Lion { beta1: 0.9, beta2: 1.0 }, 0.1),
        OptimConfig::new(Algorithm::Muon { momentum: 1.0, nesterov: true, beta1: 0.9, beta2: 0.9, eps: 1e-8 }, 0.1),
        OptimConfig::new(Algorithm::ScheduleFreeSgd { momentum: 0.0 }, 0.1),
        OptimConfig::new(Algorithm::ScheduleFreeAdamW { beta1: 0.0, beta2: 0.9, eps: 1e-8 }, 0.1),
        with(Orthogonal { degree: 1.5, ..Orthogonal::default() }),
        with(Orthogonal { degree: f64::NAN, ..Orthogonal::default() }),
        with(Orthogonal { steps: 0, ..Orthogonal::default() }),
        with(Orthogonal { every: 0, ..Orthogonal::default() }),
        OptimConfig { weight_decay: -1.0, ..OptimConfig::new(Algorithm::SGD, 0.1) },
    ];
    for config in bad {
        assert!(matches!(Optimizer::new(&net.vs, config), Err(TorchError::OutOfRange { .. })));
    }
    let twice = OptimConfig { algorithm: Algorithm::MUON, ..with(Orthogonal::default()) };
    let refused = Optimizer::new(&net.vs, twice).err().unwrap().to_string();
    assert!(refused.contains("Muon") && refused.contains("orthogonalizes by itself"), "{refused}");
    let mut adam = optimizer(&net, Algorithm::ADAM, 0.1, 0.0);
    assert!(matches!(adam.set_momentum(0.5), Err(TorchError::NoSuchSetting { .. })));
    assert!(matches!(
        Optimizer::new(&VarStore::new(Device::Cpu), OptimConfig::new(Algorithm::SGD, 0.1)),
        Err(TorchError::NoParameters)
    ));
}

fn copy(from: &Case, to: &mut Case) {
    to.vs.copy(&from.vs).unwrap();
}

/// What an SVD makes of a change.
fn by_svd(change: &Tensor, degree: f64) -> Tensor {
    let matrix = change.flatten(1, -1);
    let (u, _, v) = matrix.svd(true, true);
    let (o, unit) = (u.mm(&v.tr()), &matrix / matrix.norm());
    let direction = &o / o.norm() * degree + unit * (1.0 - degree);
    (&direction / direction.norm() * matrix.norm()).view_as(change)
}

/// Variables as double-precision copies.
fn values(case: &Case) -> Vec<Tensor> {
    case.weights.iter().map(|w| w.detach().to_kind(Kind::Double)).collect()
}

#[test]
fn changes_of_matrices_are_those_of_an_svd_and_all_else_is_left_to_the_algorithm() {
    for (degree, steps, within) in [(1.0, 5, 0.13), (0.5, 5, 0.13), (1.0, 8, 2e-3), (0.5, 8, 2e-3)] {
        let how = Orthogonal { degree, steps, ..Orthogonal::default() };
        for algorithm in CONDITIONED {
            let (ours, mut base) = (case(false), case(false));
            let mut our_optimizer = conditioned(&ours, algorithm, Conditioning::Orthogonal(how));
            // Plain gradient descent gets the filter here that the conditioning puts before it.
            let filters = algorithm == Algorithm::SGD;
            let mut base_optimizer = conditioned(&base, algorithm, Conditioning::None);
            let mut means = values(&base).iter().map(Tensor::zeros_like).collect::<Vec<_>>();
            let mut n_compared = 0;
            for step in 0..6 {
                // The algorithm proposes from the same parameters, with the same gradient and its own moments.
                copy(&ours, &mut base);
                let before = values(&ours);
                our_optimizer.backward_step(&ours.loss()).unwrap();
                base_optimizer.backward_step(&base.loss()).unwrap();
                let decay =
                    if matches!(algorithm, Algorithm::AdamW { .. } | Algorithm::Lion { .. }) { 1e-3 } else { 0.0 };
                let (ours_now, base_now) = (values(&ours), values(&base));
                for index in 0..4 {
                    if ours.weights[index].dim() < 2 {
                        assert_eq!(ours.weights[index], base.weights[index], "{algorithm:?}, step {step}");
                        continue;
                    }
                    let decayed = &before[index] * (1.0 - decay);
                    let mut proposal = &base_now[index] - &decayed;
                    if filters {
                        let gradient = &proposal / -1e-2;
                        means[index] = means[index].lerp(&gradient, 0.05);
                        proposal = gradient.lerp(&means[index], 0.95) * -1e-2;
                    }
                    let change = &ours_now[index] - decayed;
                    // Of signs alone, as Adam's first change and all of Lion's are, two rows may be the same: then no
                    // direction is the right one.
                    let smallest = proposal.svd(true, true).1.min() / proposal.norm();
                    if smallest.double_value(&[]) > 1e-3 {
                        let expected = by_svd(&proposal, degree);
                        let off = ((&change - &expected).norm() / expected.norm()).double_value(&[]);
                        assert!(off < within, "{algorithm:?}, {how:?}, step {step}: {off}");
                        n_compared += 1;
                    }
                    let kept = (change.norm() / proposal.norm()).double_value(&[]);
                    assert!((kept - 1.0).abs() < 1e-3, "{algorithm:?}, step {step}: {kept}");
                }
            }
            assert!(n_compared >= 6, "{algorithm:?}: {n_compared} of 12");
        }
    }
}

#[test]
fn a_degree_of_0_is_no_conditioning_to_the_bit() {
    let none = Conditioning::Orthogonal(Orthogonal { degree: 0.0, ..Orthogonal::default() });
    for algorithm in CONDITIONED {
        let (ours, plain) = (case(false), case(false));
        let mut our_optimizer = conditioned(&ours, algorithm, none);
        let mut plain_optimizer = conditioned(&plain, algorithm, Conditioning::None);
        for _ in 0..10 {
            our_optimizer.backward_step(&ours.loss()).unwrap();
            plain_optimizer.backward_step(&plain.loss()).unwrap();
            assert_eq!(ours.flat(), plain.flat(), "{algorithm:?}");
        }
        assert_eq!(our_optimizer.state().unwrap().moments, plain_optimizer.state().unwrap().moments);
    }
}

#[test]
fn between_two_orthogonalizations_the_changes_are_those_of_the_algorithm() {
    let seldom = Conditioning::Orthogonal(Orthogonal { every: 3, ..Orthogonal::default() });
    let (ours, mut base) = (case(false), case(false));
    let mut our_optimizer = conditioned(&ours, Algorithm::ADAM, seldom);
    let mut base_optimizer = conditioned(&base, Algorithm::ADAM, Conditioning::None);
    for step in 0..9 {
        copy(&ours, &mut base);
        our_optimizer.backward_step(&ours.loss()).unwrap();
        base_optimizer.backward_step(&base.loss()).unwrap();
        let off = distance(&ours.flat(), &base.flat());
        assert_eq!(off > 1e-4, step % 3 == 0, "step {step}: {off}");
    }
}

/// Variables of the shapes that a net may have, with a gradient that is the same at every step.
fn variables(names_and_shapes: &[(&str, &[i64])]) -> (VarStore, Vec<Tensor>, Tensor) {
    let vs = VarStore::new(Device::Cpu);
    let mut rng = rng::stream(7, "variables");
    let mut weights = vec![];
    let mut loss = Tensor::from(0.0f32);
    for (name, shape) in names_and_shapes {
        let weight = name
            .split('.')
            .rev()
            .skip(1)
            .fold(vs.root(), |path, part| path / part)
            .zeros(name.rsplit('.').next().unwrap(), shape);
        loss += (&weight * uniform(&mut rng, shape)).sum(Kind::Float);
        weights.push(weight);
    }
    (vs, weights, loss)
}

#[test]
fn a_convolution_is_turned_as_out_by_rest() {
    let step = |shape: &[i64]| {
        let (vs, weights, loss) = variables(&[("conv.weight", shape)]);
        let conditioning = Conditioning::Orthogonal(Orthogonal::default());
        let config = OptimConfig { conditioning, ..OptimConfig::new(Algorithm::MOMENTUM, 0.1) };
        Optimizer::new(&vs, config).unwrap().backward_step(&loss).unwrap();
        Vec::<f32>::try_from(weights[0].flatten(0, -1)).unwrap()
    };
    let convolution = step(&[4, 3, 2, 2]);
    assert_eq!(convolution, step(&[4, 12]));
    // Orthonormal rows, as long as each other.
    let rows = Tensor::from_slice(&convolution).view([4, 12]);
    let gram = rows.mm(&rows.tr()) / rows.square().sum(Kind::Float) * 4.0;
    let off = (gram - Tensor::eye(4, (Kind::Float, Device::Cpu))).abs().max().double_value(&[]);
    assert!(off < 0.25, "{off}");
}

#[test]
fn embeddings_vectors_lone_rows_other_groups_and_at_wish_the_head_are_left_to_the_algorithm() {
    let shapes: [(&str, &[i64]); 5] = [
        ("embedding.weight", &[6, 4]),
        ("recurrent.weight", &[4, 4]),
        ("recurrent.bias", &[4]),
        ("attention.query", &[1, 4]),
        ("head.weight", &[3, 4]),
    ];
    let turned = |algorithm: Algorithm, conditioning: Conditioning, groups: Vec<GroupConfig>| -> Vec<bool> {
        let (vs, weights, loss) = variables(&shapes);
        let (base_vs, base, base_loss) = variables(&shapes);
        let config = OptimConfig { conditioning, groups, ..OptimConfig::new(algorithm, 0.1) };
        Optimizer::new(&vs, config).unwrap().backward_step(&loss).unwrap();
        let base_algorithm = if algorithm == Algorithm::MUON { Algorithm::ADAMW } else { algorithm };
        Optimizer::new(&base_vs, OptimConfig::new(base_algorithm, 0.1)).unwrap().backward_step(&base_loss).unwrap();
        weights.iter().zip(&base).map(|(a, b)| a != b).collect()
    };
    let orthogonal = |head| Conditioning::Orthogonal(Orthogonal { head, ..Orthogonal::default() });
    let all = || vec![];
    for algorithm in CONDITIONED {
        assert_eq!(turned(algorithm, orthogonal(true), all()), [false, true, false, false, true], "{algorithm:?}");
        assert_eq!(turned(algorithm, orthogonal(false), all()), [false, true, false, false, false], "{algorithm:?}");
    }
    assert_eq!(turned(Algorithm::MUON, Conditioning::None, all()), [false, true, false, false, false]);
    let spared = vec![GroupConfig { is_conditioned: false, ..GroupConfig::default() }];
    assert_eq!(turned(Algorithm::ADAM, orthogonal(true), spared), [false; 5]);
}

#[test]
fn lion_takes_the_steps_of_its_paper() {
    let net = case(false);
    let (lr, decay, [beta1, beta2]) = (1e-2, 0.1, [0.9, 0.99]);
    let mut optimizer = optimizer(&net, Algorithm::LION, lr, decay);
    let mut expected = values(&net);
    let mut means: Vec<Tensor> = expected.iter().map(Tensor::zeros_like).collect();
    for step in 0..40 {
        optimizer.backward_step(&net.loss()).unwrap();
        for ((x, mean), weight) in expected.iter_mut().zip(&mut means).zip(&net.weights) {
            let gradient = weight.grad().to_kind(Kind::Double);
            let update = (&*mean * beta1 + &gradient * (1.0 - beta1)).sign();
            *x = &*x - (update + &*x * decay) * lr;
            *mean = &*mean * beta2 + gradient * (1.0 - beta2);
            let off = (&*x - weight.detach()).abs().max().double_value(&[]);
            assert!(off < 1e-6, "step {step}: {off}");
        }
    }
}

/// Schedule-Free as its package has it, in double precision.
#[derive(Default)]
struct ScheduleFree {
    /// y, z, v of each variable.
    state: Vec<[Tensor; 3]>,
    largest_lr: f64,
    sum: f64,
    t: i32,
}

impl ScheduleFree {
    const DECAY: f64 = 0.1;

    fn step(&mut self, gradients: &[Tensor], lr: f64, is_adamw: bool) {
        self.t += 1;
        self.largest_lr = self.largest_lr.max(lr);
        self.sum += self.largest_lr.powi(2);
        let share = self.largest_lr.powi(2) / self.sum;
        for ([y, z, v], gradient) in self.state.iter_mut().zip(gradients) {
            let mut direction = gradient.copy();
            if is_adamw {
                *v = &*v * 0.999 + gradient.square() * 0.001;
                direction /= (&*v / (1.0 - 0.999f64.powi(self.t))).sqrt() + 1e-8;
            }
            direction += &*y * Self::DECAY;
            *y = y.lerp(z, share) + &direction * (lr * (0.9 * (1.0 - share) - 1.0));
            *z = &*z - direction * lr;
        }
    }

    fn average(&self) -> Vec<Tensor> {
        self.state.iter().map(|[y, z, _]| y.lerp(z, 1.0 - 1.0 / 0.9)).collect()
    }
}

#[test]
fn schedule_free_takes_the_steps_of_its_package_also_when_the_rate_moves() {
    for algorithm in [Algorithm::SCHEDULE_FREE_SGD, Algorithm::SCHEDULE_FREE_ADAMW] {
        let net = case(false);
        let mut optimizer = optimizer(&net, algorithm, 0.1, ScheduleFree::DECAY);
        let state = values(&net).into_iter().map(|w| [w.copy(), w.copy(), w.zeros_like()]).collect();
        let mut expected = ScheduleFree { state, ..ScheduleFree::default() };
        let off = |ours: Vec<Tensor>, theirs: Vec<Tensor>| {
            let off = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs().max().double_value(&[]));
            off.fold(0.0, f64::max)
        };
        for (step, lr) in [1e-3, 1e-2, 0.1, 0.05, 0.02, 0.0, 0.04].into_iter().cycle().take(28).enumerate() {
            optimizer.set_lr(lr).unwrap();
            optimizer.backward_step(&net.loss()).unwrap();
            let gradients: Vec<Tensor> = net.weights.iter().map(|w| w.grad().to_kind(Kind::Double)).collect();
            expected.step(&gradients, lr, algorithm == Algorithm::SCHEDULE_FREE_ADAMW);
            let in_training = expected.state.iter().map(|state| state[0].copy()).collect();
            assert!(off(values(&net), in_training) < 2e-5, "{algorithm:?}, step {step}");
            let average = optimizer.averaged(|| values(&net).iter().map(Tensor::copy).collect()).unwrap();
            assert!(off(average, expected.average()) < 2e-5, "{algorithm:?}, step {step}");
        }
        optimizer.finish().unwrap();
        assert!(off(values(&net), expected.average()) < 2e-5, "{algorithm:?}");
    }
}

#[test]
fn the_average_is_in_the_net_only_while_somebody_looks_and_at_the_end() {
    let net = case(false);
    let mut optimizer = optimizer(&net, Algorithm::SCHEDULE_FREE_ADAMW, 0.1, 0.0);
    assert_eq!(optimizer.averaged(|| net.flat()).unwrap(), net.flat(), "before the first step");
    for _ in 0..5 {
        optimizer.backward_step(&net.loss()).unwrap();
    }
    let before = net.flat();
    let average = optimizer.averaged(|| net.flat()).unwrap();
    assert!(average != before && net.flat() == before);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        optimizer.averaged(|| panic!("{}", net.flat().len()))
    }));
    assert!(panicked.is_err() && net.flat() == before);
    for _ in 0..2 {
        optimizer.finish().unwrap();
        assert_eq!(net.flat(), average);
        assert_eq!(optimizer.averaged(|| net.flat()).unwrap(), average);
    }
    // Further steps begin another average here.
    let loss = net.loss().double_value(&[]);
    for _ in 0..20 {
        optimizer.backward_step(&net.loss()).unwrap();
    }
    assert!(optimizer.averaged(|| net.loss().double_value(&[])).unwrap() < loss);
    let plain = case(false);
    let mut adam = self::optimizer(&plain, Algorithm::ADAM, 0.1, 0.0);
    adam.backward_step(&plain.loss()).unwrap();
    let before = plain.flat();
    assert_eq!(adam.averaged(|| plain.flat()).unwrap(), before);
    adam.finish().unwrap();
    assert_eq!(plain.flat(), before);
}

/// The running average by its definition, in double precision.
fn slow_average(all: &[Vec<f32>], share: f64) -> Vec<f64> {
    let mut mean = vec![0.0; all[0].len()];
    for (t, weights) in (1..).zip(all) {
        let newest = 1.0 / f64::max(1.0, share * f64::from(t));
        mean.iter_mut().zip(weights).for_each(|(mean, w)| *mean += newest * (f64::from(*w) - *mean));
    }
    mean
}

#[test]
fn a_running_average_is_what_its_definition_says_and_moves_no_step() {
    for (algorithm, share) in
        [(Algorithm::ADAM, 0.1), (Algorithm::SGD, 0.05), (Algorithm::MUON, 0.3), (Algorithm::LION, 1.0)]
    {
        let (net, plain) = (case(true), case(true));
        let mut averaging = optimizer(&net, algorithm, 0.05, 1e-3).with_average(share).unwrap();
        let mut bare = optimizer(&plain, algorithm, 0.05, 1e-3);
        let before = net.flat();
        assert_eq!(averaging.averaged(|| net.flat()).unwrap(), before, "before the first step");
        let mut all = Vec::new();
        for step in 0..60 {
            averaging.backward_step(&net.loss()).unwrap();
            bare.backward_step(&plain.loss()).unwrap();
            assert_eq!(net.flat(), plain.flat(), "{algorithm:?}, step {step}");
            all.push(net.flat());
            let shown = averaging.averaged(|| net.flat()).unwrap();
            let expected = slow_average(&all, share);
            let off = shown.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            assert!(off < 1e-6, "{algorithm:?}, step {step}: {off}");
            assert_eq!(net.flat(), plain.flat());
        }
        let shown = averaging.averaged(|| net.flat()).unwrap();
        averaging.finish().unwrap();
        assert!(net.flat() == shown && shown != plain.flat());
        // Another average begins here.
        averaging.backward_step(&net.loss()).unwrap();
        assert_eq!(averaging.averaged(|| net.flat()).unwrap(), net.flat());
    }
}

#[test]
fn a_running_average_is_saved_with_the_optimizer_and_not_loaded_into_one_without() {
    let mut whole = case(false);
    let mut first = optimizer(&whole, Algorithm::ADAM, 0.05, 0.0).with_average(0.2).unwrap();
    (0..15).for_each(|_| first.backward_step(&whole.loss()).unwrap());
    let saved = first.state().unwrap();
    let mut other = case(false);
    copy(&whole, &mut other);
    let mut second = optimizer(&other, Algorithm::ADAM, 0.05, 0.0).with_average(0.2).unwrap();
    second.load_state(&saved).unwrap();
    for (net, optimizer) in [(&mut whole, &mut first), (&mut other, &mut second)] {
        (0..10).for_each(|_| optimizer.backward_step(&net.loss()).unwrap());
    }
    assert_eq!(first.averaged(|| whole.flat()).unwrap(), second.averaged(|| other.flat()).unwrap());
    let refused = optimizer(&other, Algorithm::ADAM, 0.05, 0.0).load_state(&saved).unwrap_err().to_string();
    assert!(refused.contains("number of moments"), "{refused}");
}

#[test]
fn a_variable_made_later_is_averaged_from_where_it_is() {
    let net = case(false);
    let mut averaging = optimizer(&net, Algorithm::SGD, 0.05, 0.0).with_average(0.1).unwrap();
    (0..30).for_each(|_| averaging.backward_step(&net.loss()).unwrap());
    let later = net.vs.root().ones("later", &[2]);
    let loss = || net.loss() + (&later * 0.0).sum(Kind::Float);
    averaging.backward_step(&loss()).unwrap();
    assert_eq!(averaging.averaged(|| Vec::<f32>::try_from(&later.detach()).unwrap()).unwrap(), [1.0, 1.0]);
}

#[test]
fn a_running_average_that_cannot_be_is_refused() {
    let net = case(false);
    for share in [0.0, -0.1, 1.01, f64::NAN] {
        let refused = optimizer(&net, Algorithm::ADAM, 0.1, 0.0).with_average(share).err().unwrap().to_string();
        assert!(refused.starts_with(&format!("share is {share}")), "{refused}");
    }
    let refused = optimizer(&net, Algorithm::SCHEDULE_FREE_SGD, 0.1, 0.0).with_average(0.1).err().unwrap().to_string();
    assert!(refused.contains("one of its own"), "{refused}");
}
