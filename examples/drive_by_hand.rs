//! A pretrained controller without torch: load it, drive it by hand, print what it does.
//!
//! The "net" is a valley with a curvature of 50 one way and 1 the other, the loss is noisy, and the start is a thousand times too low.
//!
//!     cargo run --example drive_by_hand --no-default-features

use qgd::{Controller, Driver, LossWindow, Measure, Verdict};
use rand::RngExt;

const CURVATURE: [f32; 2] = [50.0, 1.0];
const STEPS: u64 = 300;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let controller = Controller::pretrained("lr")?;
    println!("{}: {}", controller.recipe().name, controller.recipe().description);
    let config = controller.driver_config(Some(STEPS));
    let mut driver = Driver::new(controller, 1e-5, 0.0, config)?;

    let mut rng = qgd::rng::stream(0, "noise");
    let start = [1.0f32, -2.0];
    let (mut x, mut snapshot) = (start, start);
    let mut measure = Measure::default();
    let mut losses = Vec::new();

    while driver.step() < STEPS {
        let noise = rng.random_range(0.9..1.1);
        let grad = [0, 1].map(|i| noise * CURVATURE[i] * x[i]);
        losses.push([0, 1].iter().map(|&i| noise * 0.5 * CURVATURE[i] * x[i] * x[i]).sum::<f32>());

        if driver.is_due() {
            let window = LossWindow::of(&losses);
            losses.clear();
            let mut verdict = driver.check(&window, grad.iter().all(|g| g.is_finite()));
            if verdict == Verdict::Good {
                let measured = measure.measure(&x, &grad);
                verdict = driver.check_first_step(&window, &measured);
                if verdict == Verdict::Good {
                    snapshot = x;
                    let decision = driver.decide(&window, &measured);
                    if driver.step().is_power_of_two() {
                        let (step, lr) = (driver.step(), driver.lr());
                        println!("step {step:4}  loss {:9.2e}  lr {lr:8.2e}  {:?}", window.mean, decision.action);
                    }
                }
            }
            match verdict {
                Verdict::Good | Verdict::Hold => {}
                Verdict::RollBack { .. } => {
                    x = snapshot;
                    measure.rolled_back(&x);
                }
                Verdict::Restart => {
                    (x, snapshot) = (start, start);
                    measure = Measure::default();
                }
            }
            if verdict != Verdict::Good {
                driver.advance();
                continue;
            }
        }
        [0, 1].iter().for_each(|&i| x[i] -= driver.lr() as f32 * grad[i]);
        driver.advance();
    }
    println!("{:?}, {} rollbacks; x = {x:?}", driver.counts(), driver.rollbacks());
    Ok(())
}
