//! What one decision costs: `cargo bench --bench decide`.
//!
//! The bound is the arithmetic of the network alone, timed beside it in the same run.

use qgd::dqn::QNetwork;
use qgd::statistics::median;
use qgd::{Controller, LossWindow, Measured, Policy, Signals};
use std::hint::black_box;
use std::time::Instant;

const DECISIONS: u64 = 20_000;
const REPEATS: usize = 31;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut controller = Controller::pretrained("lr")?;
    let (n_features, hidden) = (controller.recipe().features.names().len(), controller.recipe().network.hidden.clone());
    let network = QNetwork::new(18, &[64, 64], 3, true, &mut qgd::rng::stream(0, "bench"));
    let (mut scratch, mut q_values) = (network.scratch(), [0.0; 3]);
    let features = [0.3; 18];

    let mut whole = Vec::new();
    let mut bound = Vec::new();
    for _ in 0..REPEATS {
        whole.push(microseconds(|step| {
            black_box(controller.decide(black_box(&signals(step))));
        }));
        bound.push(microseconds(|_| {
            network.forward_row(black_box(&features), &mut scratch, &mut q_values);
            black_box(&q_values);
        }));
    }
    let (whole, bound) = (median(&whole), median(&bound));
    println!("decide(): signals to action, {n_features} features, layers {hidden:?}:   {whole:.2} us  (target 2 us)");
    println!("network alone, 18 features, layers [64, 64] (about 6,000 multiply-adds):  {bound:.2} us");
    println!("ratio {:.2}", whole / bound);
    Ok(())
}

fn signals(step: u64) -> Signals {
    let loss = 2.0 / (1.0 + 0.01 * step as f64);
    let measured = Measured {
        alignment: 0.4,
        descent_cosine: 0.1,
        grad_alignment: 0.2,
        grad_dot: 0.3,
        grad_norm: 1.0,
        grad_snr: 0.5,
        update_norm: 1e-3,
        param_norm: 5.0,
        update_cosine: 0.2,
        distance: 0.1,
    };
    let window = LossWindow { n: 20, mean: loss, std: 0.1 * loss, recent: loss };
    Signals { step, total_steps: Some(DECISIONS), window, measured, lr: 1e-3, lr_base: 1e-3, ..Signals::default() }
}

fn microseconds(mut once: impl FnMut(u64)) -> f64 {
    let start = Instant::now();
    (0..DECISIONS).for_each(&mut once);
    1e6 * start.elapsed().as_secs_f64() / DECISIONS as f64
}
