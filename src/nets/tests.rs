use super::*;
use crate::data::{InputPreparation, Split, TargetKind, Targets};
use crate::rng::stream;
use crate::task::{Activation, Head};
use rand::RngExt;
use std::collections::BTreeMap;
use tch::nn::VarStore;
use tch::{Device, Reduction};

fn spec(kind: NetKind, hidden: &[usize]) -> NetSpec {
    NetSpec { kind, hidden: hidden.to_vec(), activation: Activation::Relu, dropout: 0.0, l1: 0.0 }
}

fn mlp() -> NetSpec {
    spec(NetKind::Mlp, &[16])
}

fn cnn(batch_norm: bool) -> NetSpec {
    spec(NetKind::Cnn { channels: vec![4, 6], batch_norm }, &[8])
}

fn gru(head: Head) -> NetSpec {
    spec(NetKind::Gru { embedding: 4, head }, &[6])
}

fn lstm(head: Head) -> NetSpec {
    spec(NetKind::Lstm { embedding: 4, head }, &[6])
}

fn transformer(head: Head) -> NetSpec {
    spec(NetKind::Transformer { embedding: 8, layers: 2, heads: 2, head }, &[])
}

fn resnet() -> NetSpec {
    spec(NetKind::Resnet { channels: vec![4, 6], blocks: 2 }, &[])
}

fn dataset(inputs: Inputs, targets: Targets, n_outputs: usize) -> Dataset {
    let kind = if matches!(targets, Targets::Values { .. }) { TargetKind::Values } else { TargetKind::Classes };
    let train = Split { inputs, targets };
    let (validation, test, preparation) = (train.clone(), train.clone(), Default::default());
    Dataset { train, validation, test, n_outputs, n_tokens: 7, kind, class_weights: None, preparation }
}

/// `n` examples of random numbers with 3 classes.
fn numbers(shape: &[usize], n: usize) -> Dataset {
    let mut rng = stream(9, "test data");
    let values = (0..n * shape.iter().product::<usize>()).map(|_| rng.random::<f64>() as f32 - 0.5).collect();
    let ids = (0..n as i64).map(|example| example % 3).collect();
    dataset(Inputs::Float { shape: shape.to_vec(), values }, Targets::Classes { per_example: 1, ids }, 3)
}

/// `n` texts of 5 words out of 7, with a target at every position or one for each text.
fn texts(n: usize, head: Head) -> Dataset {
    let ids = (0..5 * n as i64).map(|place| place * place % 7).collect();
    let per_example = if head == Head::Each { 5 } else { 1 };
    let targets = (0..(n * per_example) as i64).map(|place| place % 3).collect();
    dataset(Inputs::Tokens { length: 5, ids }, Targets::Classes { per_example, ids: targets }, 3)
}

/// The same texts, with one target each, ending with 0 to 5 words of padding.
fn padded(n: usize) -> Dataset {
    let mut data = texts(n, Head::Mean);
    if let Inputs::Tokens { ids, .. } = &mut data.train.inputs {
        let is_padding = |place: usize| place % 5 >= place / 5 % 6;
        ids.iter_mut().enumerate().for_each(|(place, id)| *id = if is_padding(place) { 0 } else { *id % 6 + 1 });
    }
    data.preparation.inputs = InputPreparation::Words { words: Vec::new(), length: 5 };
    data
}

fn build(spec: &NetSpec, data: &Dataset) -> Result<(VarStore, Net), NetError> {
    let vs = VarStore::new(Device::Cpu);
    let net = Net::build(spec, &vs.root(), data, &mut stream(0, "init"))?;
    Ok((vs, net))
}

fn everything() -> Vec<(NetSpec, Dataset)> {
    vec![
        (mlp(), numbers(&[5], 8)),
        (mlp(), numbers(&[1, 4, 4], 8)),
        (cnn(false), numbers(&[1, 8, 8], 8)),
        (cnn(true), numbers(&[2, 9, 7], 8)),
        (gru(Head::Each), texts(8, Head::Each)),
        (gru(Head::Last), texts(8, Head::Last)),
        (lstm(Head::Each), texts(8, Head::Each)),
        (lstm(Head::Last), texts(8, Head::Last)),
        (gru(Head::Mean), texts(8, Head::Mean)),
        (transformer(Head::Each), texts(8, Head::Each)),
        (transformer(Head::Last), padded(8)),
        (transformer(Head::Mean), padded(8)),
        (resnet(), numbers(&[3, 8, 7], 8)),
    ]
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.reshape([-1])).unwrap()
}

fn refusal(spec: &NetSpec, data: &Dataset) -> NetError {
    build(spec, data).expect_err("refused")
}

#[test]
fn the_same_seed_gives_the_same_net() {
    for (spec, data) in everything() {
        let output = |seed| {
            let vs = VarStore::new(Device::Cpu);
            let net = Net::build(&spec, &vs.root(), &data, &mut stream(seed, "init")).unwrap();
            let split = TensorSplit::new(&data.train, Device::Cpu).unwrap();
            floats(&net.forward(&split.inputs, Mode::Eval).unwrap())
        };
        assert_eq!(output(1), output(1));
        assert_ne!(output(1), output(2));
    }
}

#[test]
fn every_net_gives_a_finite_loss_and_every_parameter_a_gradient() {
    for (spec, data) in everything() {
        let (vs, net) = build(&spec, &data).unwrap();
        let split = TensorSplit::new(&data.train, Device::Cpu).unwrap();
        let output = net.forward(&split.inputs, Mode::Train(&mut stream(0, "dropout"))).unwrap();
        let loss = net.training_loss(data.kind, &output, &split.targets).unwrap();
        loss.backward();
        assert!(loss.double_value(&[]).is_finite());
        for parameter in vs.trainable_variables() {
            // (Batch norm cancels the bias of its convolution: that gradient is zero, except for rounding.)
            let reached = parameter.dim() < 2 || parameter.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0;
            assert!(parameter.grad().defined() && reached, "{spec:?} {:?}", parameter.size());
        }
    }
}

/// All trainable variables as views of one buffer, as our optimizers have them.
fn flatten(vs: &VarStore) -> Tensor {
    let parameters = vs.trainable_variables();
    let flat = tch::no_grad(|| Tensor::cat(&parameters.iter().map(|p| p.reshape([-1])).collect::<Vec<_>>(), 0));
    let mut start = 0;
    for mut parameter in parameters {
        let n = parameter.numel() as i64;
        let view = flat.narrow(0, start, n).view(parameter.size().as_slice());
        parameter.set_data(&view);
        start += n;
    }
    flat
}

#[test]
fn a_net_follows_when_its_variables_become_views_of_one_buffer() {
    for (spec, data) in everything() {
        let (vs, net) = build(&spec, &data).unwrap();
        let split = TensorSplit::new(&data.train, Device::Cpu).unwrap();
        let output = |mode: Mode<'_>| net.forward(&split.inputs, mode).unwrap();
        let before = floats(&output(Mode::Eval));
        let mut flat = flatten(&vs);
        assert_eq!(floats(&output(Mode::Eval)), before);
        let mut dropout = stream(0, "dropout");
        let gradients = loss(data.kind, &output(Mode::Train(&mut dropout)), &split.targets).unwrap();
        gradients.backward();
        assert!(vs.trainable_variables().iter().all(|parameter| parameter.grad().defined()));
        // With every weight at zero the outputs are zero too.
        let _ = tch::no_grad(|| flat.zero_());
        assert!(floats(&output(Mode::Eval)).iter().all(|value| value.abs() < 1e-12), "{spec:?}");
    }
}

#[test]
fn dropout_drops_its_part_scales_the_rest_and_follows_its_stream() {
    let dropout = Dropout(0.25);
    let ones = Tensor::ones([200, 100], (Kind::Float, Device::Cpu));
    let mut rng = stream(4, "dropout");
    let first = floats(&dropout.apply(ones.shallow_clone(), &mut Mode::Train(&mut rng)).unwrap());
    let dropped = first.iter().filter(|value| value.abs() < 1e-9).count() as f64 / first.len() as f64;
    assert!((dropped - 0.25).abs() < 0.015, "{dropped}");
    assert!(first.iter().all(|value| value.abs() < 1e-9 || (value - 4.0 / 3.0).abs() < 1e-6));
    let saved = rng.clone();
    let next = |rng: &mut ChaCha8Rng| floats(&dropout.apply(ones.shallow_clone(), &mut Mode::Train(rng)).unwrap());
    let second = next(&mut rng);
    assert_ne!(first, second);
    assert_eq!(next(&mut saved.clone()), second);
    assert_eq!(floats(&dropout.apply(ones.shallow_clone(), &mut Mode::Eval).unwrap()), floats(&ones));
}

#[test]
fn dropout_acts_in_every_kind_of_net_while_training_and_only_then() {
    for (mut spec, data) in everything() {
        spec.dropout = 0.5;
        let (_vs, net) = build(&spec, &data).unwrap();
        let inputs = TensorSplit::new(&data.train, Device::Cpu).unwrap().inputs;
        let train = |seed| floats(&net.forward(&inputs, Mode::Train(&mut stream(seed, "dropout"))).unwrap());
        let eval = || floats(&net.forward(&inputs, Mode::Eval).unwrap());
        assert_ne!(train(1), train(2));
        assert_eq!(eval(), eval());
    }
}

#[test]
fn l1_adds_the_sum_of_the_absolute_weights_to_the_training_loss_only() {
    for (mut spec, data) in everything() {
        spec.l1 = 0.5;
        let (vs, net) = build(&spec, &data).unwrap();
        let split = TensorSplit::new(&data.train, Device::Cpu).unwrap();
        let output = net.forward(&split.inputs, Mode::Eval).unwrap();
        let plain = loss(data.kind, &output, &split.targets).unwrap().double_value(&[]);
        let with = net.training_loss(data.kind, &output, &split.targets).unwrap().double_value(&[]);
        let weights = vs.trainable_variables().into_iter().filter(|variable| variable.dim() >= 2);
        let sum: f64 = weights.map(|weight| weight.abs().sum(Kind::Double).double_value(&[])).sum();
        assert!(((with - plain) / (0.5 * sum) - 1.0).abs() < 1e-5, "{with} {plain} {sum}");
        assert!((evaluate(&net, &split).unwrap().loss - plain).abs() < 1e-5);
    }
}

#[test]
fn evaluation_in_chunks_is_the_mean_over_all_examples() {
    let data = numbers(&[5], 1300);
    let (_vs, net) = build(&mlp(), &data).unwrap();
    let split = TensorSplit::new(&data.train, Device::Cpu).unwrap();
    let output = net.forward(&split.inputs, Mode::Eval).unwrap();
    let whole = output.cross_entropy_loss(&split.targets, None::<&Tensor>, Reduction::Mean, -100, 0.0);
    let hits = output.argmax(-1, false).eq_tensor(&split.targets).to_kind(Kind::Double).mean(Kind::Double);
    let found = evaluate(&net, &split).unwrap();
    assert!((found.loss - whole.double_value(&[])).abs() < 1e-6);
    assert!((found.accuracy.unwrap() - hits.double_value(&[])).abs() < 1e-9);
}

#[test]
fn regression_has_a_squared_error_and_no_accuracy() {
    let inputs = Inputs::Float { shape: vec![1], values: vec![0.0, 0.0] };
    let data = dataset(inputs, Targets::Values { per_example: 1, values: vec![1.0, 3.0] }, 1);
    let (vs, net) = build(&spec(NetKind::Mlp, &[]), &data).unwrap();
    tch::no_grad(|| vs.trainable_variables().iter_mut().for_each(|variable| drop(variable.zero_())));
    let found = evaluate(&net, &TensorSplit::new(&data.train, Device::Cpu).unwrap()).unwrap();
    assert_eq!(found, Evaluation { loss: 5.0, accuracy: None });
}

#[test]
fn an_empty_split_has_no_loss() {
    let data = numbers(&[5], 0);
    let (_vs, net) = build(&mlp(), &data).unwrap();
    let split = TensorSplit::new(&data.train, Device::Cpu).unwrap();
    assert!(split.is_empty() && matches!(evaluate(&net, &split), Err(NetError::NoExamples)));
}

#[test]
fn running_moments_are_in_the_store_move_in_training_and_stay_in_evaluation() {
    let data = numbers(&[2, 8, 8], 8);
    let (vs, net) = build(&cnn(true), &data).unwrap();
    let (all, trainable) = (vs.variables(), vs.trainable_variables());
    assert_eq!((all.len() - trainable.len(), all["norm_0.running_mean"].requires_grad()), (4, false));
    let split = TensorSplit::new(&data.train, Device::Cpu).unwrap();
    let moments = || floats(&all["norm_0.running_mean"]);
    let start = moments();
    evaluate(&net, &split).unwrap();
    assert_eq!(moments(), start);
    let _ = net.forward(&split.inputs, Mode::Train(&mut stream(0, "dropout"))).unwrap();
    assert_ne!(moments(), start);
}

#[test]
fn each_batch_norm_of_a_resnet_has_running_moments_that_move_in_training_only() {
    let data = numbers(&[2, 8, 8], 8);
    let (vs, net) = build(&resnet(), &data).unwrap();
    let (all, split) = (vs.variables(), TensorSplit::new(&data.train, Device::Cpu).unwrap());
    let names: Vec<&String> = all.keys().filter(|name| name.contains("running")).collect();
    // One at the stem, two in each of four blocks, one in the shortcut: mean and variance.
    assert_eq!((names.len(), all.len() - vs.trainable_variables().len()), (20, 20));
    let moments = || names.iter().map(|name| floats(&all[*name])).collect::<Vec<_>>();
    let start = moments();
    evaluate(&net, &split).unwrap();
    assert_eq!(moments(), start);
    let _ = net.forward(&split.inputs, Mode::Train(&mut stream(0, "dropout"))).unwrap();
    assert!(moments().iter().zip(&start).all(|(moved, start)| moved != start));
    // That of the stem by its formula: 0.9 of what it was, 0.1 of the batch.
    let features = split.inputs.conv2d(&all["conv1.weight"], None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1);
    let expected = features.mean_dim(&[0i64, 2, 3][..], false, Kind::Float) * 0.1;
    assert!((expected - &all["bn1.running_mean"]).abs().max().double_value(&[]) < 1e-6);
}

/// Outputs for texts as they are, and with the words of another position on replaced: `[batch, length, n_outputs]` or
/// `[batch, n_outputs]`.
fn with_other_words(head: Head, data: &Dataset, from: i64) -> (Tensor, Tensor) {
    let (_vs, net) = build(&transformer(head), data).unwrap();
    let inputs = TensorSplit::new(&data.train, Device::Cpu).unwrap().inputs;
    let other = inputs.copy();
    let mut tail = other.narrow(1, from, 5 - from);
    let replaced = (&tail + 2).remainder(6) + 1;
    tail.copy_(&replaced);
    let output = |inputs: &Tensor| net.forward(inputs, Mode::Eval).unwrap();
    (output(&inputs), output(&other))
}

#[test]
fn a_later_token_changes_no_output_before_it_and_every_one_from_it_on() {
    let data = texts(8, Head::Each);
    for from in 1..5 {
        let (before, after) = with_other_words(Head::Each, &data, from);
        let changed = (before - after).abs().sum_dim_intlist(&[0i64, 2][..], false, Kind::Float);
        let changed = floats(&changed);
        assert!(changed[..from as usize].iter().all(|change| change.abs() < 1e-30), "{from}: {changed:?}");
        assert!(changed[from as usize..].iter().all(|change| *change > 1e-6), "{from}: {changed:?}");
    }
    // Where the mean is read, the first position sees the last one: another order of the same words is another text, and
    // the last word counts.
    let (before, after) = with_other_words(Head::Mean, &texts(8, Head::Mean), 4);
    assert!((before - after).abs().min().double_value(&[]) > 0.0);
}

#[test]
fn padding_changes_nothing_for_any_text_but_an_empty_one() {
    let data = padded(8);
    for head in [Head::Last, Head::Mean] {
        let (_vs, net) = build(&transformer(head), &data).unwrap();
        let inputs = TensorSplit::new(&data.train, Device::Cpu).unwrap().inputs;
        let outputs = net.forward(&inputs, Mode::Eval).unwrap();
        for text in 0..8 {
            // The text alone and cut behind its last word; without any word, one of padding.
            let n_words = (text % 6).max(1);
            let alone = inputs.narrow(0, text, 1).narrow(1, 0, n_words);
            let difference = net.forward(&alone, Mode::Eval).unwrap() - outputs.narrow(0, text, 1);
            assert!(difference.abs().max().double_value(&[]) < 1e-6, "{head:?}, {text}");
        }
        assert!(floats(&outputs).iter().all(|value| value.is_finite()));
    }
}

#[test]
fn the_data_say_whether_texts_are_padded() {
    assert_eq!((padded(2).padding(), texts(2, Head::Each).padding()), (Some(0), None));
}

#[test]
fn new_kinds_of_nets_learn_a_small_batch_by_heart() {
    use nn::OptimizerConfig;
    // Of operations as small as these, most of the time would be waiting for other threads.
    tch::set_num_threads(1);
    let of_transformers = [Head::Each, Head::Last, Head::Mean]
        .map(|head| (transformer(head), if head == Head::Each { texts(8, head) } else { padded(8) }));
    for (spec, mut data) in of_transformers.into_iter().chain([(resnet(), numbers(&[3, 8, 7], 8))]) {
        match (&data.train.inputs, &mut data.train.targets) {
            // What comes next must follow from what came before.
            (Inputs::Tokens { ids: words, .. }, Targets::Classes { per_example: 5, ids }) => {
                let sum = |place: usize| words[place / 5 * 5..=place].iter().sum::<i64>();
                (0..ids.len()).for_each(|place| ids[place] = sum(place) % 3);
            }
            // Of the padded texts the first and the seventh are both empty.
            (Inputs::Tokens { .. }, Targets::Classes { ids, .. }) => ids[6] = ids[0],
            _ => (),
        }
        let (vs, net) = build(&spec, &data).unwrap();
        let split = TensorSplit::new(&data.train, Device::Cpu).unwrap();
        let mut optimizer = nn::Adam::default().build(&vs, 1e-2).unwrap();
        let before = evaluate(&net, &split).unwrap().loss;
        for _ in 0..200 {
            let output = net.forward(&split.inputs, Mode::Train(&mut stream(0, "dropout"))).unwrap();
            optimizer.backward_step(&net.training_loss(data.kind, &output, &split.targets).unwrap());
        }
        let after = evaluate(&net, &split).unwrap();
        assert!(before > 0.5 && after.loss < 0.05 && after.accuracy > Some(0.99), "{spec:?}: {before} {after:?}");
    }
}

/// Names of the variables whose change conditioning turns.
fn turned(spec: &NetSpec, data: &Dataset) -> Vec<String> {
    use crate::torch::{Algorithm, Conditioning, OptimConfig, Optimizer, Orthogonal};
    let after_a_step = |conditioning| {
        let (vs, net) = build(spec, data).unwrap();
        let split = TensorSplit::new(&data.train, Device::Cpu).unwrap();
        let config = OptimConfig { conditioning, ..OptimConfig::new(Algorithm::ADAM, 0.1) };
        let mut optimizer = Optimizer::new(&vs, config).unwrap();
        let output = net.forward(&split.inputs, Mode::Train(&mut stream(0, "dropout"))).unwrap();
        optimizer.backward_step(&net.training_loss(data.kind, &output, &split.targets).unwrap()).unwrap();
        vs.variables().into_iter().map(|(name, tensor)| (name, floats(&tensor))).collect::<BTreeMap<_, _>>()
    };
    let plain = after_a_step(Conditioning::None);
    let orthogonal = Orthogonal { head: false, ..Orthogonal::default() };
    let other = after_a_step(Conditioning::Orthogonal(orthogonal));
    plain.into_iter().filter(|(name, values)| other[name] != *values).map(|(name, _)| name).collect()
}

#[test]
fn conditioning_turns_matrices_and_filters_and_leaves_embeddings_norms_biases_and_the_head() {
    let of_block = ["linear1.weight", "linear2.weight", "self_attn.in_proj_weight", "self_attn.out_proj.weight"];
    let expected: Vec<String> =
        (0..2).flat_map(|block| of_block.map(|name| format!("layers.{block}.{name}"))).collect();
    assert_eq!(turned(&transformer(Head::Each), &texts(8, Head::Each)), expected);
    let one = spec(NetKind::Resnet { channels: vec![4, 6], blocks: 1 }, &[]);
    let filters =
        ["conv1", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.conv2", "layer2.0.downsample.0"];
    assert_eq!(turned(&one, &numbers(&[3, 8, 7], 8)), filters.map(|name| format!("{name}.weight")));
}

#[test]
fn a_net_that_does_not_fit_its_data_is_refused() {
    let error = refusal(&mlp(), &texts(8, Head::Each)).to_string();
    assert!(error.contains("a mlp net reads columns or pictures") && error.contains("texts of length 5"), "{error}");
    assert!(matches!(refusal(&cnn(false), &numbers(&[5], 8)), NetError::Misfit { net: "cnn", .. }));
    assert!(matches!(refusal(&gru(Head::Each), &numbers(&[5], 8)), NetError::Misfit { net: "gru", .. }));
    assert!(matches!(refusal(&cnn(false), &numbers(&[1, 3, 8], 8)), NetError::TooSmall { height: 3, n_blocks: 2, .. }));
    assert!(matches!(refusal(&resnet(), &numbers(&[5], 8)), NetError::Misfit { net: "resnet", .. }));
    assert!(matches!(
        refusal(&transformer(Head::Each), &numbers(&[5], 8)),
        NetError::Misfit { net: "transformer", .. }
    ));
    let three = spec(NetKind::Resnet { channels: vec![2, 2, 2], blocks: 1 }, &[]);
    assert!(matches!(refusal(&three, &numbers(&[1, 3, 4], 8)), NetError::TooManyStages { height: 3, n_stages: 3, .. }));
    assert!(build(&three, &numbers(&[1, 5, 4], 8)).is_ok());
    for heads in [0, 3] {
        let odd = spec(NetKind::Transformer { embedding: 8, layers: 1, heads, head: Head::Mean }, &[]);
        assert!(matches!(refusal(&odd, &texts(8, Head::Mean)), NetError::Heads { embedding: 8, .. }));
    }
    for wrong in [gru(Head::Mean), transformer(Head::Mean), transformer(Head::Last)] {
        assert!(matches!(refusal(&wrong, &texts(8, Head::Each)), NetError::HeadMisfit { .. }));
    }
    let error = refusal(&lstm(Head::Each), &texts(8, Head::Last)).to_string();
    assert!(error.contains("\"each\" gives 5 outputs") && error.contains("1 targets"), "{error}");
    assert!(matches!(refusal(&lstm(Head::Last), &texts(8, Head::Each)), NetError::HeadMisfit { head: "last", .. }));
    let two = spec(NetKind::Gru { embedding: 4, head: Head::Last }, &[6, 6]);
    assert!(matches!(refusal(&two, &texts(8, Head::Last)), NetError::HiddenSizes { .. }));
}

#[test]
fn a_net_larger_than_memory_is_refused_before_it_is_allocated() {
    let huge = spec(NetKind::Mlp, &[65_536, 65_536, 65_536]);
    assert!(matches!(refusal(&huge, &numbers(&[5], 8)), NetError::TooManyParameters { .. }));
}

#[test]
fn wrong_inputs_and_indices_are_errors_not_panics() {
    let data = numbers(&[5], 8);
    let (_vs, net) = build(&mlp(), &data).unwrap();
    let split = TensorSplit::new(&data.train, Device::Cpu).unwrap();
    assert!(matches!(split.batch(Some(&[8])), Err(NetError::Torch(_))));
    let wide = Tensor::zeros([2, 6], (Kind::Float, Device::Cpu));
    assert!(matches!(net.forward(&wide, Mode::Eval), Err(NetError::Torch(_))));
    let scalar = Tensor::from(1.0f32);
    assert!(net.forward(&scalar, Mode::Eval).is_err() && loss(data.kind, &scalar, &split.targets).is_err());
}

#[test]
fn initial_values_are_pytorchs_closed_form() {
    let n = 40_000;
    let mut rng = stream(3, "init");
    let mut maker = Maker::new(Source::Drawn(&mut rng));
    let vs = VarStore::new(Device::Cpu);
    let bound = 0.1;
    let uniform = maker.parameter(&vs.root(), "u", &[n / 100, 100], init::Start::Uniform(100)).unwrap();
    assert!(uniform.abs().max().double_value(&[]) < bound);
    assert!((uniform.std(false).double_value(&[]) / (bound / 3f64.sqrt()) - 1.0).abs() < 0.02);
    assert!(uniform.mean(Kind::Float).double_value(&[]).abs() < 0.002);
    let normal = maker.parameter(&vs.root(), "n", &[n], init::Start::Normal(1.0)).unwrap();
    assert!((normal.std(false).double_value(&[]) - 1.0).abs() < 0.02);
    assert!(normal.mean(Kind::Float).double_value(&[]).abs() < 0.02);
    let fourth = normal.pow_tensor_scalar(4).mean(Kind::Float).double_value(&[]);
    assert!((fourth - 3.0).abs() < 0.2, "{fourth}");
}

#[test]
fn class_weights_count_in_training_and_not_in_what_is_shown() {
    let weights = [1.0, 4.0, 0.5];
    let mut data = numbers(&[5], 8);
    let (_vs, plain) = build(&mlp(), &data).unwrap();
    data.class_weights = Some(weights.map(|weight| weight as f32).to_vec());
    let (_vs, net) = build(&mlp(), &data).unwrap();
    let split = TensorSplit::new(&data.train, Device::Cpu).unwrap();
    let output = net.forward(&split.inputs, Mode::Eval).unwrap();
    let found = net.training_loss(TargetKind::Classes, &output, &split.targets).unwrap().double_value(&[]);
    let log_p = output.log_softmax(-1, Kind::Float);
    let terms = (0..8).map(|i| (weights[i % 3], weights[i % 3] * -log_p.double_value(&[i as i64, (i % 3) as i64])));
    let (total, sum) = terms.fold((0.0, 0.0), |(total, sum), (weight, term)| (total + weight, sum + term));
    assert!((found - sum / total).abs() < 1e-5, "{found} {}", sum / total);
    assert_eq!(evaluate(&net, &split).unwrap(), evaluate(&plain, &split).unwrap());
}

#[test]
fn a_few_steps_on_the_digits_teach_the_net() {
    use nn::OptimizerConfig;
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tasks/digits.toml");
    let task = crate::task::TaskSpec::load(&file).unwrap();
    let data = crate::data::load(&task.data, task.directory(), None, 0).unwrap();
    let (vs, net) = build(&task.net, &data).unwrap();
    let split = TensorSplit::new(&data.train, Device::Cpu).unwrap();
    let mut batches = crate::data::Batches::new(0, split.len(), task.train.batch_size).unwrap();
    let mut optimizer = nn::Adam::default().build(&vs, task.train.lr).unwrap();
    let (before, mut rng) = (evaluate(&net, &split).unwrap(), stream(0, "dropout"));
    for _ in 0..200 {
        let (inputs, targets) = split.batch(batches.draw().as_deref()).unwrap();
        let output = net.forward(&inputs, Mode::Train(&mut rng)).unwrap();
        optimizer.backward_step(&net.training_loss(data.kind, &output, &targets).unwrap());
    }
    let test = evaluate(&net, &TensorSplit::new(&data.test, Device::Cpu).unwrap()).unwrap();
    let after = evaluate(&net, &split).unwrap();
    assert!(before.loss > 2.0 && after.loss < 0.3, "{before:?} {after:?}");
    assert!(test.accuracy.unwrap() > 0.9, "{test:?}");
}
