//! Our nets and optimizers do what PyTorch's do: same weights, same batches, same 20 losses.
//!
//! `tests/fixtures/make_torch_fixtures.py` made the reference figures.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use qgd::data::{Dataset, InputPreparation, Inputs, Preparation, Split, TargetKind, Targets};
use qgd::nets::{Mode, Net, TensorSplit, evaluate};
use qgd::rng;
use qgd::task::{Head, NetKind, NetSpec, TaskSpec};
use qgd::torch::{Algorithm, OptimConfig, Optimizer};
use serde::Deserialize;
use std::collections::BTreeMap;
use tch::nn::{OptimizerConfig, VarStore};
use tch::{Device, Tensor, nn};

#[derive(Deserialize)]
struct Fixtures {
    parity: BTreeMap<String, Case>,
    initial: BTreeMap<String, InitialCase>,
}

/// One net, its data, and what PyTorch made of it.
#[derive(Deserialize)]
struct Case {
    net: String,
    shape: Vec<usize>,
    n_tokens: usize,
    n_outputs: usize,
    regression: bool,
    /// Whether the texts end with padding.
    padded: bool,
    inputs: Vec<f64>,
    targets: Vec<f64>,
    batches: Vec<Vec<i64>>,
    variables: BTreeMap<String, Vec<f32>>,
    output: Vec<f32>,
    /// Those of the loss over all examples, in training.
    gradients: BTreeMap<String, Vec<f32>>,
    runs: BTreeMap<String, Run>,
}

#[derive(Deserialize)]
struct Run {
    lr: f64,
    weight_decay: f64,
    losses: Vec<f64>,
    final_loss: f64,
    final_accuracy: Option<f64>,
}

/// One net and how PyTorch's variables start.
#[derive(Deserialize)]
struct InitialCase {
    net: String,
    shape: Vec<usize>,
    length: usize,
    n_tokens: usize,
    n_outputs: usize,
    variables: BTreeMap<String, About>,
}

#[derive(Deserialize)]
struct About {
    shape: Vec<i64>,
    min: f64,
    max: f64,
    std: f64,
}

fn fixtures() -> Fixtures {
    serde_json::from_str(include_str!("fixtures/torch.json")).unwrap()
}

fn net_spec(net: &str) -> NetSpec {
    let data_and_train = "[data]\nformat = \"chars\"\npath = \"x\"\ncontext = 1\n[train]\nsteps = 1\n";
    TaskSpec::parse(&format!("{net}\n{data_and_train}"), "fixture.toml".as_ref()).unwrap().net
}

/// How many targets one example has.
fn places(spec: &NetSpec, length: usize) -> usize {
    match spec.kind {
        NetKind::Gru { head: Head::Each, .. }
        | NetKind::Lstm { head: Head::Each, .. }
        | NetKind::Transformer { head: Head::Each, .. } => length,
        _ => 1,
    }
}

fn dataset(train: Split, n_outputs: usize, n_tokens: usize) -> Dataset {
    let kind = if matches!(train.targets, Targets::Values { .. }) { TargetKind::Values } else { TargetKind::Classes };
    let (validation, test, preparation) = (train.clone(), train.clone(), Default::default());
    Dataset { train, validation, test, n_outputs, n_tokens, kind, class_weights: None, preparation }
}

impl Case {
    fn dataset(&self) -> Dataset {
        let n = 32;
        let ids = |values: &[f64]| values.iter().map(|value| *value as i64).collect();
        let inputs = if self.shape.is_empty() {
            Inputs::Tokens { length: self.inputs.len() / n, ids: ids(&self.inputs) }
        } else {
            Inputs::Float { shape: self.shape.clone(), values: self.inputs.iter().map(|v| *v as f32).collect() }
        };
        let per_example = self.targets.len() / n;
        let targets = if self.regression {
            Targets::Values { per_example, values: self.targets.iter().map(|v| *v as f32).collect() }
        } else {
            Targets::Classes { per_example, ids: ids(&self.targets) }
        };
        let dataset = dataset(Split { inputs, targets }, self.n_outputs, self.n_tokens);
        let words = InputPreparation::Words { words: Vec::new(), length: self.inputs.len() / n };
        let preparation =
            if self.padded { Preparation { inputs: words, ..Default::default() } } else { Default::default() };
        Dataset { preparation, ..dataset }
    }

    /// The net with PyTorch's initial values.
    fn build(&self) -> (VarStore, Net, Dataset) {
        let (vs, dataset) = (VarStore::new(Device::Cpu), self.dataset());
        let net = Net::build(&net_spec(&self.net), &vs.root(), &dataset, &mut rng::stream(0, "init")).unwrap();
        let variables = vs.variables();
        assert_eq!(variables.len(), self.variables.len(), "{:?}", variables.keys());
        for (name, values) in &self.variables {
            let mut variable = variables[name].shallow_clone();
            let value = Tensor::from_slice(values).reshape(variable.size());
            tch::no_grad(|| variable.copy_(&value));
        }
        (vs, net, dataset)
    }
}

/// Takes one optimizer step for a loss; without a loss, ends the training.
type Step = Box<dyn FnMut(Option<&Tensor>)>;

/// None for what tch does not have.
fn tch_optimizer(vs: &VarStore, name: &str, run: &Run) -> Option<Step> {
    let wd = run.weight_decay;
    let sgd = |momentum| nn::Sgd { momentum, wd, ..Default::default() };
    let optimizer = match name {
        "sgd" => sgd(0.0).build(vs, run.lr),
        "momentum" => sgd(0.9).build(vs, run.lr),
        "nesterov" => nn::Sgd { nesterov: true, ..sgd(0.9) }.build(vs, run.lr),
        "adam" => nn::Adam { wd, ..Default::default() }.build(vs, run.lr),
        "adamw" => nn::AdamW { wd, ..Default::default() }.build(vs, run.lr),
        "rmsprop" => nn::RmsProp { wd, ..Default::default() }.build(vs, run.lr),
        "nadam" | "muon" | "muon_bfloat16" | "schedulefree_sgd" | "schedulefree_adamw" => return None,
        _ => panic!("{name}"),
    };
    let mut optimizer = optimizer.unwrap();
    Some(Box::new(move |loss| loss.map_or((), |loss| optimizer.backward_step(loss))))
}

fn our_optimizer(vs: &VarStore, name: &str, run: &Run) -> Option<Step> {
    let algorithm = match name {
        "sgd" => Algorithm::SGD,
        "momentum" => Algorithm::MOMENTUM,
        "nesterov" => Algorithm::NESTEROV,
        "adam" => Algorithm::ADAM,
        "adamw" => Algorithm::ADAMW,
        "rmsprop" => Algorithm::RMSPROP,
        "nadam" => Algorithm::NADAM,
        "muon" | "muon_bfloat16" => Algorithm::MUON,
        "schedulefree_sgd" => Algorithm::SCHEDULE_FREE_SGD,
        "schedulefree_adamw" => Algorithm::SCHEDULE_FREE_ADAMW,
        _ => panic!("{name}"),
    };
    let config = OptimConfig { weight_decay: run.weight_decay, ..OptimConfig::new(algorithm, run.lr) };
    let mut optimizer = Optimizer::new(vs, config).unwrap();
    Some(Box::new(move |loss| match loss {
        Some(loss) => optimizer.backward_step(loss).unwrap(),
        None => optimizer.finish().unwrap(),
    }))
}

/// Trains every case with every optimizer as PyTorch did, and compares.
fn losses_agree(optimizer: fn(&VarStore, &str, &Run) -> Option<Step>, expected_runs: usize) {
    let mut n_runs = 0;
    for (case_name, case) in &fixtures().parity {
        for (name, run) in &case.runs {
            let (vs, net, dataset) = case.build();
            let split = TensorSplit::new(&dataset.train, Device::Cpu).unwrap();
            let Some(mut step) = optimizer(&vs, name, run) else { continue };
            // Ours does not round to bfloat16, as PyTorch's Muon does.
            let within = if name == "muon_bfloat16" { 1e-3 } else { 1e-5 };
            for (number, (batch, expected)) in case.batches.iter().zip(&run.losses).enumerate() {
                let (inputs, targets) = split.batch(Some(batch)).unwrap();
                let output = net.forward(&inputs, Mode::Train(&mut rng::stream(0, "dropout"))).unwrap();
                let loss = net.training_loss(dataset.kind, &output, &targets).unwrap();
                let found = loss.double_value(&[]);
                let difference = (found - expected).abs() / expected.abs();
                assert!(difference < within, "{case_name}, {name}, step {number}: {found} is not {expected}");
                step(Some(&loss));
            }
            step(None);
            let found = evaluate(&net, &split).unwrap();
            // Adam-like steps blow up the rounding noise in the gradient of a bias that batch norm cancels,
            // and the running moments follow that bias: only the losses of training are determined there.
            if !case_name.starts_with("cnn")
                || matches!(name.as_str(), "sgd" | "momentum" | "nesterov" | "schedulefree_sgd")
            {
                let difference = (found.loss - run.final_loss).abs() / run.final_loss;
                assert!(difference < within, "{case_name}, {name}: {found:?} is not {}", run.final_loss);
                let accuracies = found.accuracy.zip(run.final_accuracy);
                assert!(accuracies.is_none_or(|(a, b)| (a - b).abs() < 1e-6), "{case_name}, {name}: {accuracies:?}");
                assert_eq!(found.accuracy.is_none(), case.regression);
            }
            n_runs += 1;
        }
    }
    assert_eq!(n_runs, expected_runs);
}

#[test]
fn outputs_are_those_of_pytorch() {
    for (name, case) in &fixtures().parity {
        let (_vs, net, dataset) = case.build();
        let split = TensorSplit::new(&dataset.train, Device::Cpu).unwrap();
        let output = net.forward(&split.inputs, Mode::Eval).unwrap();
        let expected = Tensor::from_slice(&case.output).reshape(output.size());
        let difference = (output - expected).abs().max().double_value(&[]);
        assert!(difference < 1e-5, "{name}: {difference}");
    }
}

#[test]
fn gradients_are_those_of_pytorch() {
    for (case_name, case) in &fixtures().parity {
        let (vs, net, dataset) = case.build();
        let split = TensorSplit::new(&dataset.train, Device::Cpu).unwrap();
        let output = net.forward(&split.inputs, Mode::Train(&mut rng::stream(0, "dropout"))).unwrap();
        net.training_loss(dataset.kind, &output, &split.targets).unwrap().backward();
        let variables = vs.variables();
        assert_eq!(case.gradients.len(), vs.trainable_variables().len(), "{case_name}");
        for (name, expected) in &case.gradients {
            let found = variables[name].grad();
            let expected = Tensor::from_slice(expected).reshape(found.size());
            let largest = expected.abs().max().double_value(&[]);
            let difference = (found - expected).abs().max().double_value(&[]);
            assert!(difference < 1e-7 + 1e-5 * largest, "{case_name}, {name}: {difference} of {largest}");
        }
    }
}

#[test]
fn with_the_optimizers_of_tch_the_losses_are_those_of_pytorch() {
    losses_agree(tch_optimizer, 29);
}

#[test]
fn with_our_optimizers_the_losses_are_those_of_pytorch() {
    losses_agree(our_optimizer, 39);
}

#[test]
fn variables_have_the_names_and_shapes_and_start_in_the_range_of_pytorch() {
    for (case_name, case) in &fixtures().initial {
        let spec = net_spec(&case.net);
        let n = places(&spec, case.length);
        let inputs = if case.shape.is_empty() {
            Inputs::Tokens { length: case.length, ids: vec![0; case.length] }
        } else {
            Inputs::Float { shape: case.shape.clone(), values: vec![0.0; case.shape.iter().product()] }
        };
        let train = Split { inputs, targets: Targets::Classes { per_example: n, ids: vec![0; n] } };
        let vs = VarStore::new(Device::Cpu);
        let dataset = dataset(train, case.n_outputs, case.n_tokens);
        let net = Net::build(&spec, &vs.root(), &dataset, &mut rng::stream(1, "init")).unwrap();
        let variables: BTreeMap<_, _> = vs.variables().into_iter().collect();
        assert_eq!(variables.keys().collect::<Vec<_>>(), case.variables.keys().collect::<Vec<_>>());
        for (name, about) in &case.variables {
            starts_alike(&format!("{case_name}, {name}"), &variables[name], about);
        }
        let trainable: usize = vs.trainable_variables().iter().map(Tensor::numel).sum();
        assert_eq!(net.n_parameters(), trainable);
    }
}

/// Same shape, same deviation within the error of the sample, and no value beyond what a uniform start allows.
fn starts_alike(name: &str, variable: &Tensor, expected: &About) {
    assert_eq!(variable.size(), expected.shape, "{name}");
    let n = variable.numel() as f64;
    let (min, max) = (variable.min().double_value(&[]), variable.max().double_value(&[]));
    let std = variable.std(false).double_value(&[]);
    if expected.min.to_bits() == expected.max.to_bits() {
        assert!((min - expected.min).abs() < 1e-9 && (max - expected.max).abs() < 1e-9, "{name}: {min} to {max}");
        return;
    }
    // Both are samples: two standard errors of 0.45 or 0.71 std / sqrt(n), five sigma.
    let tolerance = 5.0 * expected.std / n.sqrt();
    assert!((std - expected.std).abs() < tolerance, "{name}: std {std}, PyTorch {}", expected.std);
    // The largest of 500 and more uniform values is 1.7 deviations, that of normal ones beyond 2.5.
    let uniform = expected.max < 2.0 * expected.std;
    if !uniform && n >= 500.0 {
        assert!(max > 2.5 * std && -min > 2.5 * std, "{name}: {min} to {max} is not normal with a deviation of {std}");
    }
    if uniform && n >= 500.0 {
        // The extremes of n uniform values lie within 20 / n of the bounds, but for one case in e^10.
        let slack = 20.0 / n;
        let bound = expected.max.max(-expected.min);
        assert!(max < bound * (1.0 + slack) && -min < bound * (1.0 + slack), "{name}: {min} to {max}, bound {bound}");
        assert!(max > bound * (1.0 - slack) && -min > bound * (1.0 - slack), "{name}: {min} to {max}, bound {bound}");
    }
}
