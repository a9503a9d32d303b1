//! A pretrained controller without torch: load it, drive it by hand, print what it does.
//!
//! The "net" is a valley with a curvature of 50 one way and 1 the other, the loss is noisy, and the start is a thousand times too low.
//!
//!     cargo run --example drive_by_hand --no-default-features

use qgd::Controller;
use qgd::driver::Session;
use rand::RngExt;

const CURVATURE: [f32; 2] = [50.0, 1.0];
const STEPS: u64 = 300;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let controller = Controller::pretrained("lr")?;
    println!("{}: {}", controller.recipe().name, controller.recipe().description);
    let mut session = Session::new(controller, 1e-5)?.with_total_steps(STEPS)?;
    session.on_decision(|decision| {
        if decision.step.is_power_of_two() {
            println!("step {:4}  loss {:9.2e}  lr {:8.2e}", decision.step, decision.loss, decision.lr);
        }
    });
    let mut rng = qgd::rng::stream(0, "noise");
    let mut x = [1.0f32, -2.0];
    for _ in 0..STEPS {
        let noise = rng.random_range(0.9..1.1);
        let grad = [0, 1].map(|i| noise * CURVATURE[i] * x[i]);
        let loss = 0.5 * (grad[0] * x[0] + grad[1] * x[1]);
        if let Some(rates) = session.step(loss, &mut x, &grad)? {
            x = [0, 1].map(|i| x[i] - rates.lr as f32 * grad[i]);
        }
    }
    println!("{:?}, {} rollbacks; x = {x:?}", session.counts(), session.rollbacks());
    Ok(())
}
