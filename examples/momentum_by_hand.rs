//! Momentum on plain arrays, from a start that is far too high: all that a step changes is kept and restored together.
//! The "net" is a linear model; its four weights are sought from batches of 16 noisy examples.
//!
//!     cargo run --example momentum_by_hand --no-default-features

use qgd::{Controller, Driver, Measure, Order, Reason};
use rand::{Rng, RngExt};

const BATCH: u16 = 16;
const STEPS: u64 = 400;
const MOMENTUM: f32 = 0.9;
const SOUGHT: [f32; 4] = [3.0, -2.0, 0.5, 1.0];

/// All that a step changes. Without the velocity in it, a run would go on from a rollback at the speed of the wreck.
#[derive(Clone, Copy)]
struct State {
    x: [f32; 4],
    velocity: [f32; 4],
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let controller = Controller::pretrained("lr")?;
    let config = controller.driver_config(Some(STEPS));
    let mut driver = Driver::new(controller, 30.0, 0.0, config)?;
    driver.on_decision(Box::new(|d| {
        if d.step.is_power_of_two() || !matches!(d.reason, Reason::Policy | Reason::NoEvidence) {
            println!("step {:4}  loss {:9.2e}  lr {:8.2e}  {:?}", d.step, d.loss, d.lr, d.reason);
        }
    }));
    let mut rng = qgd::rng::stream(0, "examples");
    let start = State { x: [1.0; 4], velocity: [0.0; 4] };
    let (mut state, mut kept, mut measure) = (start, start, Measure::default());
    for _ in 0..STEPS {
        let (loss, grad) = loss_and_grad(&state.x, &mut rng);
        match driver.step(&[loss], grad.iter().all(|g| g.is_finite()), || measure.measure(&state.x, &grad)) {
            Order::Apply { lr, keep, .. } => {
                kept = if keep { state } else { kept };
                state.velocity = [0, 1, 2, 3].map(|i| MOMENTUM * state.velocity[i] + grad[i]);
                state.x = [0, 1, 2, 3].map(|i| state.x[i] - lr as f32 * state.velocity[i]);
            }
            Order::Skip => {}
            Order::RollBack => (state, _) = (kept, measure.rolled_back(&kept.x)),
            Order::Restart => (state, kept, measure) = (start, start, Measure::default()),
        }
    }
    println!("{:?}, {} rollbacks; x = {:.2?}, sought {SOUGHT:?}", driver.counts(), driver.rollbacks(), state.x);
    Ok(())
}

/// Mean of half the squared errors of a batch, and its gradient.
fn loss_and_grad(x: &[f32; 4], rng: &mut impl Rng) -> (f32, [f32; 4]) {
    let (mut loss, mut grad) = (0.0, [0.0; 4]);
    for _ in 0..BATCH {
        let input = [1.0, 0.3, 1.0, 2.0].map(|scale: f32| scale * rng.random_range(-1.0f32..1.0));
        let error = (0..4).map(|i| (x[i] - SOUGHT[i]) * input[i]).sum::<f32>() + rng.random_range(-0.1f32..0.1);
        loss += 0.5 * error * error / f32::from(BATCH);
        grad = [0, 1, 2, 3].map(|i| grad[i] + error * input[i] / f32::from(BATCH));
    }
    (loss, grad)
}
