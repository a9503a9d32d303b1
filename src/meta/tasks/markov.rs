//! Examples of a random Markov chain: which symbol comes next, from those before it. The entropy of the chain is a floor
//! under the loss, and the examples are so many that few are seen twice, as in language modelling.
//!
//! ```text
//! p(k | c_1, c_2, ...)  ~  exp(-z ln(1 + k) + Σ_d s r^d a_d[c_d, k] + s r b[c_1, c_2, k])      a, b ~ N(0, 1)
//!     c_d   the symbol d places before        z   exponent of Zipf's law        s   how much is known        r   how far back
//! ```

use super::data::{Examples, N_FRESH_EVALUATION};
use crate::meta::mlp::Target;
use crate::rng::{log_uniform, pick, standard_normal_f32};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Number of examples, log-uniform.
const N_EXAMPLES: [f64; 2] = [30_000.0, 120_000.0];

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

/// Draws a chain and its examples: contexts as one-hot inputs, `[n, order * n_symbols]`, and the symbols that follow.
pub(super) fn examples(rng: &mut ChaCha8Rng) -> Examples {
    let chain = Chain::draw(rng);
    let n = log_uniform(N_EXAMPLES[0], N_EXAMPLES[1], rng) as usize;
    let n_in = chain.order * chain.n_symbols;
    // Ones, or inputs of deviation 1.
    let one = if rng.random_bool(0.5) { 1.0 } else { (chain.n_symbols as f32).sqrt() };
    let (mut inputs, mut classes) = (vec![0.0; n * n_in], Vec::with_capacity(n));
    let mut context = vec![0u16; chain.order];
    let mut logs = vec![0.0; chain.n_symbols];
    let mut floor = 0.0;
    for (i, row) in inputs.chunks_exact_mut(n_in).enumerate() {
        chain.log_probabilities(&context, &mut logs);
        for (places, &symbol) in row.chunks_exact_mut(chain.n_symbols).zip(&context) {
            places[usize::from(symbol)] = one;
        }
        let u = rng.random::<f64>();
        let next = pick(logs.iter().map(|&log| f64::from(log.exp())), u) as u16;
        if i < N_FRESH_EVALUATION {
            floor -= f64::from(logs[usize::from(next)]) / N_FRESH_EVALUATION as f64;
        }
        classes.push(next);
        context.rotate_right(1);
        context[0] = next;
    }
    let (target, n_out) = (Target::Classes(classes), chain.n_symbols);
    Examples { inputs, n_in, target, n_out, n_held_out: n / 4, n_evaluation: N_FRESH_EVALUATION, floor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::{Problem, Task, TaskConfig};
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
}
