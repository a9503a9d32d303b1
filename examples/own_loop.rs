//! A training loop of your own: gradients accumulated over two batches, `observe` before a bare `step`, a validation set, a saved run.
//!
//!     cargo run --example own_loop

use qgd::Controller;
use qgd::torch::{Algorithm, OptimConfig, Optimizer, QController};
use rand::{Rng, RngExt};
use std::error::Error;
use tch::nn::{self, Module};
use tch::{Device, Kind, Tensor};

const STEPS: u64 = 300;

fn main() -> Result<(), Box<dyn Error>> {
    tch::manual_seed(0);
    let vs = nn::VarStore::new(Device::Cpu);
    let root = vs.root();
    let net = nn::seq()
        .add(nn::linear(&root / "first", 8, 32, Default::default()))
        .add_fn(Tensor::tanh)
        .add(nn::linear(&root / "last", 32, 1, Default::default()));

    // Our own optimizer: its state can be saved, and a bad step is taken back whole.
    let optimizer = Optimizer::new(&vs, OptimConfig::new(Algorithm::MOMENTUM, 1e-5))?;
    let mut opt = QController::new(optimizer, Controller::pretrained("lr")?)?.with_total_steps(STEPS)?;
    opt.on_decision(|record| {
        if record.step % 64 == 0 {
            println!("step {:>3}: loss {:.4}, lr {:.1e}, {:?}", record.step, record.loss, record.lr, record.reason);
        }
    });

    let mut rng = qgd::rng::stream(0, "own loop");
    let validation = batch(&mut rng, 256)?;
    for step in 0..STEPS {
        opt.zero_grad()?;
        for _ in 0..2 {
            let loss = error(&net, &batch(&mut rng, 32)?)? / 2.0;
            loss.f_backward()?;
            opt.observe(&(loss.detach() * 2.0))?;
        }
        opt.step()?;
        if step % 50 == 49 {
            opt.observe_validation(error(&net, &validation)?.f_double_value(&[])?);
        }
    }
    println!(
        "validation loss {:.4} after a start at 1e-5, now {:.1e}",
        error(&net, &validation)?.f_double_value(&[])?,
        opt.lr()
    );

    // Everything a later process needs to go on, to the bit.
    let saved = serde_json::to_vec(&opt.state()?)?;
    opt.load_state(serde_json::from_slice(&saved)?)?;
    println!("the whole run in {} kB", saved.len() / 1000);
    Ok(())
}

fn error(net: &impl Module, (x, y): &(Tensor, Tensor)) -> Result<Tensor, tch::TchError> {
    (net.forward(x) - y).f_square()?.f_mean(Kind::Float)
}

/// `y = sin(sum of x)`, with a little noise.
fn batch(rng: &mut impl Rng, n: usize) -> Result<(Tensor, Tensor), tch::TchError> {
    let x: Vec<f32> = (0..8 * n).map(|_| rng.random_range(-1.0..1.0)).collect();
    let y: Vec<f32> = x.chunks(8).map(|row| row.iter().sum::<f32>().sin() + rng.random_range(-0.05..0.05)).collect();
    Ok((Tensor::f_from_slice(&x)?.f_view([-1, 8])?, Tensor::f_from_slice(&y)?.f_view([-1, 1])?))
}
