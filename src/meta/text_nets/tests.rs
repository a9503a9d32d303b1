use super::*;
use crate::meta::architecture::Net;
use crate::meta::layers::numeric_gradient;
use crate::meta::{InnerAlgorithm, InnerOptimizer};
use crate::rng::stream;
use serde::Deserialize;

/// What PyTorch answers: see `tests/fixtures/text_nets.py`.
#[derive(Deserialize)]
struct Case {
    n_symbols: usize,
    length: usize,
    embedding: Option<usize>,
    width: usize,
    heads: Option<usize>,
    inner: Option<usize>,
    inputs: Vec<f32>,
    targets: Vec<u16>,
    params: Vec<f32>,
    outputs: Vec<f32>,
    loss: f32,
    grad: Vec<f32>,
}

#[derive(Deserialize)]
struct Fixtures {
    gru: Case,
    decoder: Case,
}

const GRU: Reader = Reader::Gru { embedding: 5, width: 7 };
const DECODER: Reader = Reader::Decoder { width: 8, heads: 2, inner: 12 };

/// Random pieces, with targets at every place.
fn pieces(n: usize, length: usize, n_symbols: u16, rng: &mut ChaCha8Rng) -> (Vec<f32>, Target) {
    let mut draw = || -> Vec<u16> { (0..n * length).map(|_| rng.random_range(0..n_symbols)).collect() };
    let (symbols, targets) = (draw(), draw());
    (symbols.into_iter().map(f32::from).collect(), Target::Classes(targets))
}

#[test]
fn outputs_loss_and_gradient_are_those_of_pytorch() {
    let fixtures: Fixtures = serde_json::from_str(include_str!("../../../tests/fixtures/text_nets.json")).unwrap();
    for case in [fixtures.gru, fixtures.decoder] {
        let width = case.width;
        let reader = match case {
            Case { embedding: Some(embedding), .. } => Reader::Gru { embedding, width },
            Case { heads: Some(heads), inner: Some(inner), .. } => Reader::Decoder { width, heads, inner },
            _ => panic!("neither a GRU nor a decoder"),
        };
        let mut net = TextNet::new(case.n_symbols, case.length, reader);
        assert_eq!(net.n_params(), case.params.len());
        let near = |found: &[f32], expected: &[f32], what: &str| {
            assert_eq!(found.len(), expected.len());
            for (i, (a, b)) in found.iter().zip(expected).enumerate() {
                assert!((a - b).abs() < 2e-6 * (1.0 + b.abs()), "{reader:?}, {what} {i}: {a}, PyTorch {b}");
            }
        };
        near(net.forward(&case.params, &case.inputs), &case.outputs, "output");
        let mut grad = vec![f32::NAN; case.params.len()];
        let targets = Target::Classes(case.targets);
        let loss = net.loss_and_grad(&case.params, &case.inputs, &targets, &[], &mut grad);
        near(&[loss], &[case.loss], "loss");
        near(&grad, &case.grad, "gradient");
    }
}

#[test]
fn the_gradient_agrees_with_finite_differences_on_chosen_rows_and_after_a_larger_batch() {
    for reader in [GRU, DECODER] {
        let mut rng = stream(3, "text net");
        let mut net = TextNet::new(6, 5, reader);
        let params: Vec<f32> = net.init(1.0, &mut rng).iter().map(|p| p + rng.random_range(-0.3..0.3)).collect();
        let (all, target) = pieces(9, 5, 6, &mut rng);
        let mut grad = vec![f32::NAN; params.len()];
        net.loss_and_grad(&params, &all, &target, &[], &mut grad);
        let rows = [4, 0, 8];
        let inputs: Vec<f32> = rows.iter().flat_map(|row| &all[5 * row..5 * row + 5]).copied().collect();
        net.loss_and_grad(&params, &inputs, &target, &rows, &mut grad);
        let largest = grad.iter().fold(0.0, |m: f32, g| m.max(g.abs()));
        let numeric = numeric_gradient(&params, |moved| net.loss(moved, &inputs, &target, &rows));
        for (i, (numeric, grad)) in numeric.into_iter().zip(grad).enumerate() {
            let error = (numeric - f64::from(grad)).abs();
            assert!(error < 1e-3 * f64::from(1.0 + largest), "{reader:?} {i}: {numeric} against {grad}");
        }
    }
}

#[test]
fn no_place_knows_what_follows() {
    for reader in [GRU, DECODER] {
        let mut rng = stream(4, "text net");
        let mut net = TextNet::new(6, 5, reader);
        let params = net.init(3.0, &mut rng);
        let before = net.forward(&params, &[0.0, 1.0, 2.0, 3.0, 4.0]).to_vec();
        let after = net.forward(&params, &[0.0, 1.0, 2.0, 5.0, 4.0]).to_vec();
        let same: Vec<bool> = before.chunks(6).zip(after.chunks(6)).map(|(a, b)| a == b).collect();
        assert_eq!(same, [true, true, true, false, false], "{reader:?}");
    }
}

#[test]
fn norms_start_as_the_identity_and_the_gain_is_on_matrices_alone() {
    let start = |reader, gain| TextNet::new(6, 5, reader).init(gain, &mut stream(5, "text net"));
    for reader in [GRU, DECODER] {
        let net = TextNet::new(6, 5, reader);
        let (plain, tripled) = (start(reader, 1.0), start(reader, 3.0));
        let mut at = 0;
        for (number, shape) in net.blocks().enumerate() {
            let factor = match net.layout.parts[number].start {
                Start::Embedding { .. } | Start::Constant(_) => 1.0,
                Start::Normal { .. } | Start::Uniform { .. } => 3.0,
            };
            let end = at + shape.iter().product::<usize>();
            let own = plain[at..end].iter().zip(&tripled[at..end]);
            assert!(own.into_iter().all(|(a, b)| (factor * a - b).abs() <= 1e-5 * b.abs()), "{reader:?} {number}");
            at = end;
        }
        assert_eq!((at, plain.len()), (net.n_params(), net.n_params()));
    }
}

#[test]
fn adam_learns_which_symbol_follows_from_the_last_two() {
    for reader in [Reader::Gru { embedding: 8, width: 16 }, Reader::Decoder { width: 16, heads: 2, inner: 32 }] {
        let mut rng = stream(6, "text net");
        let (n, length) = (200, 8);
        // The next symbol is the sum of the last two, modulo 4.
        let mut text = vec![1u16, 2];
        while text.len() < n * (length + 1) {
            let chance = u16::from(rng.random_bool(0.2));
            text.push((text[text.len() - 1] + text[text.len() - 2] + chance) % 4);
        }
        let cut = |from: usize| text[from..].chunks(length + 1).filter(|piece| piece.len() > length).take(n - 1);
        let symbols: Vec<f32> = cut(0).flat_map(|piece| &piece[..length]).map(|&symbol| f32::from(symbol)).collect();
        let target = Target::Classes(cut(0).flat_map(|piece| &piece[1..]).copied().collect());
        let mut net = TextNet::new(4, length, reader);
        let mut x = net.init(1.0, &mut rng);
        let (mut grad, mut optimizer) = (vec![0.0; x.len()], InnerOptimizer::new(InnerAlgorithm::Adam, x.len()));
        let first = net.loss(&x, &symbols, &target, &[]);
        for _ in 0..300 {
            net.loss_and_grad(&x, &symbols, &target, &[], &mut grad);
            optimizer.step(&mut x, &mut grad, 1e-2, 0.0);
        }
        let last = net.loss(&x, &symbols, &target, &[]);
        // The first place of eight knows one symbol only: ln 4; elsewhere there is 0.5 of chance.
        let expected = (4f32.ln() + 7.0 * 0.5) / 8.0;
        assert!(first > 1.3 && last < expected + 0.1, "{reader:?}: {first}, {last}, {expected} expected");
    }
}

#[test]
fn embeddings_and_norms_are_no_weight_matrices() {
    let shapes = |reader| {
        let matrices = Net::Text(Box::new(TextNet::new(6, 5, reader))).matrices();
        matrices.into_iter().map(|matrix| matrix.shape).collect::<Vec<_>>()
    };
    assert_eq!(shapes(GRU), [[5, 21], [7, 21], [7, 6]]);
    assert_eq!(shapes(DECODER), [[8, 24], [8, 8], [8, 12], [12, 8], [8, 6]]);
}
