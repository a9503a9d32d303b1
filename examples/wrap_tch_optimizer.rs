//! Three lines turn a `tch` training loop into one that tunes itself: build the controller, wrap the optimizer, step through the wrapper.
//!
//! The net learns which of four quadrants a point lies in, up to noise. Its learning rate is a thousand times too high.
//!
//!     cargo run --example wrap_tch_optimizer

use qgd::Controller;
use qgd::torch::QController;
use rand::RngExt;
use std::error::Error;
use tch::nn::{self, Module, OptimizerConfig};
use tch::{Device, Tensor};

const STEPS: u64 = 400;
const BAD_LR: f64 = 1.0;

fn main() -> Result<(), Box<dyn Error>> {
    let (x, y) = quadrants(256)?;

    let (vs, net) = net();
    let mut alone = nn::Adam::default().build(&vs, BAD_LR)?;
    for _ in 0..STEPS {
        alone.backward_step(&net.forward(&x).cross_entropy_for_logits(&y));
    }
    println!("alone:   loss {:.3}", net.forward(&x).cross_entropy_for_logits(&y).double_value(&[]));

    let (vs, net) = self::net();
    let adam = nn::Adam::default().build(&vs, BAD_LR)?;
    let mut opt = QController::wrap(adam, &vs, BAD_LR, Controller::pretrained("lr")?)?.with_total_steps(STEPS)?;
    for step in 0..STEPS {
        let loss = net.forward(&x).cross_entropy_for_logits(&y);
        opt.backward_step(&loss)?;
        if step % 50 == 0 {
            println!("step {step:>3}: loss {:.3}, lr {:.1e}", loss.double_value(&[]), opt.lr());
        }
    }
    println!("wrapped: loss {:.3}", net.forward(&x).cross_entropy_for_logits(&y).double_value(&[]));
    println!("decisions {:?}, rollbacks {}", opt.counts(), opt.rollbacks());
    Ok(())
}

fn net() -> (nn::VarStore, nn::Sequential) {
    tch::manual_seed(0);
    let vs = nn::VarStore::new(Device::Cpu);
    let root = vs.root();
    let net = nn::seq()
        .add(nn::linear(&root / "first", 2, 32, Default::default()))
        .add_fn(Tensor::relu)
        .add(nn::linear(&root / "last", 32, 4, Default::default()));
    (vs, net)
}

/// Points in a square, and the quadrant each lies in; one in twenty is labeled wrongly.
fn quadrants(n: usize) -> Result<(Tensor, Tensor), Box<dyn Error>> {
    let mut rng = qgd::rng::stream(0, "quadrants");
    let (mut points, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let [a, b] = [rng.random_range(-1.0f32..1.0), rng.random_range(-1.0f32..1.0)];
        let quadrant = i64::from(a > 0.0) + 2 * i64::from(b > 0.0);
        points.extend([a, b]);
        labels.push(if rng.random_bool(0.05) { rng.random_range(0..4) } else { quadrant });
    }
    Ok((Tensor::f_from_slice(&points)?.f_view([n as i64, 2])?, Tensor::f_from_slice(&labels)?))
}
