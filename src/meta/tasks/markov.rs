//! Examples of a random Markov chain: which symbol comes next, from those before it. The entropy of the chain is a floor
//! under the loss, and the examples are so many that few are seen twice, as in language modelling.
//!
//! ```text
//! p(k | c_1, c_2, ...)  ~  exp(-z ln(1 + k) + Σ_d s r^d a_d[c_d, k] + s r b[c_1, c_2, k])      a, b ~ N(0, 1)
//!     c_d   the symbol d places before        z   exponent of Zipf's law        s   how much is known        r   how far back
//! ```

use super::data::{Examples, N_FRESH_EVALUATION};
use super::problem::NetProblem;
use crate::meta::architecture::Net;
use crate::meta::mlp::Target;
use crate::meta::text_nets::{Reader, TextNet};
use crate::rng::{log_uniform, pick, standard_normal_f32};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Number of examples, log-uniform.
const N_EXAMPLES: [f64; 2] = [30_000.0, 120_000.0];

/// Number of symbols of a text that is cut into pieces, log-uniform.
const N_SYMBOLS_OF_TEXT: [f64; 2] = [60_000.0, 400_000.0];
/// Number of its pieces in the evaluation batch: of so many symbols as that of the other tasks has examples, or more.
const N_PIECES_EVALUATED: usize = 64;
/// Batch sizes for GRUs and for decoders, and the largest number of symbols in a batch: a step takes about a tenth of a
/// millisecond then.
const GRU_BATCHES: (&[usize], usize) = (&[4, 8, 16], 144);
const DECODER_BATCHES: (&[usize], usize) = (&[4, 8], 96);
/// Number of its pieces that are held out once something asks for a validation.
const N_PIECES_HELD_OUT: usize = 256;

/// A chain over `n_symbols` symbols that looks `order` places back.
struct Chain {
    n_symbols: usize,
    order: usize,
    /// Logits without a context.
    base: Vec<f32>,
    /// Logits of each symbol at each place before, `[order, n_symbols, n_symbols]`.
    single: Vec<f32>,
    /// Logits of each pair of the last two symbols, `[n_symbols, n_symbols, n_symbols]`.
    pairs: Vec<f32>,
}

impl Chain {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let n_symbols = log_uniform(3.0, 28.0, rng) as usize;
        let order = rng.random_range(2..=3usize);
        let zipf = rng.random_range(0.3..1.3f32);
        let strength = log_uniform(0.5, 3.0, rng) as f32;
        let memory = rng.random_range(0.4..1.0f32);
        let base = (0..n_symbols).map(|k| -zipf * (1.0 + k as f32).ln()).collect();
        let mut normal =
            |n: usize, scale: f32| -> Vec<f32> { (0..n).map(|_| scale * standard_normal_f32(rng)).collect() };
        let square = n_symbols * n_symbols;
        let single = (1..=order).flat_map(|d| normal(square, strength * memory.powi(d as i32))).collect();
        let pairs = normal(square * n_symbols, strength * memory);
        Self { n_symbols, order, base, single, pairs }
    }

    /// Logarithms of the probabilities of what follows `context`, the last symbol first.
    fn log_probabilities(&self, context: &[u16], out: &mut [f32]) {
        let n = self.n_symbols;
        out.copy_from_slice(&self.base);
        let mut add = |row: &[f32]| out.iter_mut().zip(row).for_each(|(z, v)| *z += v);
        for (d, &symbol) in context.iter().enumerate() {
            add(&self.single[(d * n + usize::from(symbol)) * n..][..n]);
        }
        add(&self.pairs[(usize::from(context[0]) * n + usize::from(context[1])) * n..][..n]);
        let largest = out.iter().fold(f32::NEG_INFINITY, |m, &z| m.max(z));
        let total: f32 = out.iter().map(|z| (z - largest).exp()).sum();
        out.iter_mut().for_each(|z| *z -= largest + total.ln());
    }
}

/// What a chain says, symbol by symbol.
struct Text<'a> {
    chain: &'a Chain,
    /// The symbols before, the last one first. Before the first one all are 0.
    context: Vec<u16>,
    logs: Vec<f32>,
}

impl<'a> Text<'a> {
    fn new(chain: &'a Chain) -> Self {
        Self { chain, context: vec![0; chain.order], logs: vec![0.0; chain.n_symbols] }
    }

    /// The next symbol, and the logarithm of its probability.
    fn next(&mut self, rng: &mut ChaCha8Rng) -> (u16, f64) {
        self.chain.log_probabilities(&self.context, &mut self.logs);
        let u = rng.random::<f64>();
        let next = pick(self.logs.iter().map(|&log| f64::from(log.exp())), u);
        self.context.rotate_right(1);
        self.context[0] = next as u16;
        (next as u16, f64::from(self.logs[next]))
    }
}

/// Draws a chain and its examples: contexts as one-hot inputs, `[n, order * n_symbols]`, and the symbols that follow.
pub(super) fn examples(rng: &mut ChaCha8Rng) -> Examples {
    let chain = Chain::draw(rng);
    let n = log_uniform(N_EXAMPLES[0], N_EXAMPLES[1], rng) as usize;
    let n_in = chain.order * chain.n_symbols;
    // Ones, or inputs of deviation 1.
    let one = if rng.random_bool(0.5) { 1.0 } else { (chain.n_symbols as f32).sqrt() };
    let (mut inputs, mut classes) = (vec![0.0; n * n_in], Vec::with_capacity(n));
    let mut text = Text::new(&chain);
    let mut floor = 0.0;
    for (i, row) in inputs.chunks_exact_mut(n_in).enumerate() {
        for (places, &symbol) in row.chunks_exact_mut(chain.n_symbols).zip(&text.context) {
            places[usize::from(symbol)] = one;
        }
        let (next, log) = text.next(rng);
        if i < N_FRESH_EVALUATION {
            floor -= log / N_FRESH_EVALUATION as f64;
        }
        classes.push(next);
    }
    let (target, n_out) = (Target::Classes(classes), chain.n_symbols);
    Examples { inputs, n_in, target, n_out, n_held_out: n / 4, n_evaluation: N_FRESH_EVALUATION, floor }
}

/// Draws a chain, a text of it that is cut into pieces, `[n, length]`, and a net that reads them. The target of each symbol
/// is the one behind it. At the first places of a piece the net sees less than the chain looks back, so it does not come
/// quite as low as the floor.
pub(super) fn read_in_pieces(rng: &mut ChaCha8Rng) -> NetProblem {
    let chain = Chain::draw(rng);
    let is_gru = rng.random_bool(0.5);
    let (sizes, most) = if is_gru { GRU_BATCHES } else { DECODER_BATCHES };
    let batch_size = sizes[rng.random_range(0..sizes.len())];
    let length = rng.random_range(8..=(most / batch_size).min(16));
    let n = log_uniform(N_SYMBOLS_OF_TEXT[0], N_SYMBOLS_OF_TEXT[1], rng) as usize / length;
    let reader = if is_gru {
        Reader::Gru { embedding: rng.random_range(8..=16), width: rng.random_range(8..=24) }
    } else {
        let (width, inner) = [(16, 32), (16, 64), (24, 48)][rng.random_range(0..3)];
        Reader::Decoder { width, heads: rng.random_range(1..=2), inner }
    };
    let n_evaluated = N_PIECES_EVALUATED * length;
    let mut text = Text::new(&chain);
    let (mut inputs, mut classes) = (Vec::with_capacity(n * length), Vec::with_capacity(n * length));
    let (mut last, _) = text.next(rng);
    let mut floor = 0.0;
    for i in 0..n * length {
        let (next, log) = text.next(rng);
        floor -= if i < n_evaluated { log / n_evaluated as f64 } else { 0.0 };
        inputs.push(f32::from(last));
        classes.push(next);
        last = next;
    }
    NetProblem {
        net: Net::Text(Box::new(TextNet::new(chain.n_symbols, length, reader))),
        n_in: length,
        inputs,
        target: Target::Classes(classes),
        n_train: n,
        n_evaluation: N_PIECES_EVALUATED,
        n_held_out: N_PIECES_HELD_OUT,
        floor,
        batch_size,
        batch: Vec::new(),
        rows: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqn::Judge;
    use crate::meta::{Family, InnerAlgorithm, InnerOptimizer, Problem, Task, TaskConfig};
    use crate::rng::stream;

    #[test]
    fn the_next_symbols_have_the_probabilities_of_the_chain_and_the_floor_is_its_entropy() {
        for seed in 0..4 {
            let chain = Chain::draw(&mut stream(seed, "markov"));
            let drawn = examples(&mut stream(seed, "markov"));
            let n_symbols = chain.n_symbols;
            assert_eq!((drawn.n_in, drawn.n_out), (chain.order * n_symbols, n_symbols));
            let Target::Classes(classes) = &drawn.target else { panic!("no classes") };
            let (mut context, mut logs) = (vec![0; chain.order], vec![0.0; n_symbols]);
            // How often each symbol was expected, and how often it came.
            let (mut expected, mut found) = (vec![0.0; n_symbols], vec![0.0; n_symbols]);
            let mut entropy = 0.0;
            for (row, &class) in drawn.inputs.chunks_exact(drawn.n_in).zip(classes) {
                for (places, symbol) in row.chunks_exact(n_symbols).zip(&mut context) {
                    *symbol = places.iter().position(|&v| v > 0.0).unwrap() as u16;
                }
                chain.log_probabilities(&context, &mut logs);
                let p: Vec<f64> = logs.iter().map(|&log| f64::from(log).exp()).collect();
                assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-5);
                entropy -= p.iter().map(|p| p * p.ln()).sum::<f64>() / classes.len() as f64;
                expected.iter_mut().zip(&p).for_each(|(e, p)| *e += p);
                found[usize::from(class)] += 1.0;
            }
            for (e, f) in expected.iter().zip(&found) {
                assert!((e - f).abs() < 5.0 * f64::sqrt(e + 1.0), "seed {seed}: {f} of {e} expected");
            }
            // The floor is a mean over 512 examples.
            assert!((drawn.floor - entropy).abs() < 0.15, "seed {seed}: floor {}, entropy {entropy}", drawn.floor);
        }
    }

    #[test]
    fn a_task_of_a_chain_is_judged_by_how_far_it_is_above_the_floor() {
        let families = vec![0.0, 0.0, 1.0, 0.0];
        let config = TaskConfig { markov: 1.0, known_epochs: 1.0, families, ..TaskConfig::default() };
        let mut task = Task::draw(&config, &mut stream(3, "task"));
        let Problem::Net(net) = task.problem.clone() else { panic!("no net") };
        assert!(net.floor > 0.0 && net.n_train >= 30_000);
        assert_eq!(task.steps_per_epoch, Some(net.n_train as f64 / net.batch_size as f64));
        let (x, mut grad) = (task.start.clone(), vec![0.0; task.start.len()]);
        let loss = f64::from(task.problem.full_batch(&x, &mut grad));
        assert!((task.evaluate(&x) - (loss - net.floor)).abs() < 1e-6);
        assert!(task.evaluate(&x) > 0.0);
    }

    #[test]
    fn without_texts_tasks_of_chains_are_drawn_as_before_there_were_any() {
        // The seed of the batches is drawn last: it is the same where all draws before it are.
        let config = TaskConfig { markov: 1.0, families: vec![0.0, 0.0, 1.0, 0.0], ..TaskConfig::default() };
        let seeds = [0, 1, 2].map(|seed| Task::draw(&config, &mut stream(seed, "task")).batch_seed);
        assert_eq!(seeds, [16_024_530_622_362_962_970, 16_489_046_703_412_405_366, 11_149_779_880_308_510_225]);
    }

    fn text_task(seed: u64) -> Task {
        let families = vec![0.0, 0.0, 1.0, 0.0];
        let config = TaskConfig { markov: 1.0, texts: 1.0, known_epochs: 1.0, families, ..TaskConfig::default() };
        Task::draw(&config, &mut stream(seed, "task"))
    }

    fn net_of(task: &mut Task) -> &mut NetProblem {
        match &mut task.problem {
            Problem::Net(net) => net,
            Problem::Quadratic { .. } => panic!("no net"),
        }
    }

    #[test]
    fn a_text_is_cut_into_pieces_that_follow_each_other_and_each_target_is_the_next_symbol() {
        for seed in 0..4 {
            let mut task = text_task(seed);
            let steps_per_epoch = task.steps_per_epoch;
            let p = net_of(&mut task);
            let Target::Classes(classes) = &p.target else { panic!("no classes") };
            assert_eq!((p.inputs.len(), classes.len()), (p.n_train * p.n_in, p.n_train * p.net.n_places()));
            assert!((8..=16).contains(&p.n_in) && (60_000 - 16..=400_000).contains(&classes.len()));
            assert!(
                p.inputs[1..].iter().zip(classes).all(|(&input, &class)| input.to_bits() == f32::from(class).to_bits())
            );
            assert_eq!(steps_per_epoch, Some(p.n_train as f64 / p.batch_size as f64));
        }
    }

    #[test]
    fn a_task_of_a_text_is_judged_by_how_far_it_is_above_the_floor_and_validated_at_every_place() {
        for seed in 0..4 {
            let mut task = text_task(seed);
            let (x, floor) = (task.start.clone(), net_of(&mut task).floor);
            assert!(floor > 0.0);
            let loss = f64::from(task.problem.full_batch(&x, &mut vec![0.0; x.len()]));
            assert!((task.evaluate(&x) - (loss - floor)).abs() < 1e-6 && loss > floor, "seed {seed}");

            let mut task = task.validated(Judge::ValidationLoss, true);
            let (found, reported) = (task.evaluate(&x), task.reported_validation(&x));
            let p = net_of(&mut task);
            assert_eq!(p.n_train + N_PIECES_HELD_OUT, p.n_examples());
            let rows: Vec<usize> = (p.n_train..p.n_examples()).collect();
            let expected = f64::from(p.net.loss(&x, &p.inputs[p.n_train * p.n_in..], &p.target, &rows));
            assert!((found - expected).abs() < 1e-5 * expected, "seed {seed}: {found} {expected}");
            let error = reported.map(|held_out| held_out.error);
            assert!(error.is_some_and(|error| 0.0 < error && error < 1.0), "{error:?}");
        }
    }

    #[test]
    fn adam_comes_close_to_the_floor_of_most_texts_in_some_hundred_steps() {
        let mut n_learned = 0;
        for seed in 0..8 {
            let mut task = text_task(seed);
            let (mut x, mut rng) = (task.start.clone(), stream(seed, "batches"));
            let (mut grad, mut optimizer) = (vec![0.0; x.len()], InnerOptimizer::new(InnerAlgorithm::Adam, x.len()));
            let before = task.evaluate(&x);
            for _ in 0..600 {
                task.loss_and_grad(&x, &mut grad, &mut rng);
                optimizer.step(&mut x, &mut grad, 1e-2, 0.0);
            }
            let after = task.evaluate(&x);
            assert!(after < before, "seed {seed}: {before}, {after}");
            n_learned += usize::from(after < 0.5 * before);
        }
        assert!(n_learned >= 5, "{n_learned} of 8");
    }

    #[test]
    fn a_share_of_the_tasks_of_chains_are_texts_for_both_nets_and_without_it_none_is() {
        let drawn = |texts, seed| {
            let families = vec![0.0, 0.2, 0.6, 0.2];
            let config = TaskConfig { markov: 1.0, texts, families, ..TaskConfig::default() };
            let mut task = Task::draw(&config, &mut stream(seed, "share"));
            let family = task.family;
            (family, net_of(&mut task).net.n_places(), format!("{:?}", net_of(&mut task).net))
        };
        let mut kinds = [0; 3];
        for seed in 0..24 {
            assert_eq!(drawn(0.0, seed).1, 1);
            let (family, n_places, net) = drawn(0.6, seed);
            assert!(n_places == 1 || family == Family::Mlp);
            kinds[if n_places == 1 { 0 } else { 1 + usize::from(net.contains("Decoder")) }] += 1;
        }
        assert!(kinds.iter().all(|&n| n > 1), "{kinds:?} MLPs, GRUs and decoders");
    }
}
