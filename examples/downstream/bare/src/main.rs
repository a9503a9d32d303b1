//! Gradient descent on plain slices, from a learning rate that is ten thousand times too low.

use qgd::Controller;
use qgd::driver::Session;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut session = Session::new(Controller::pretrained("lr")?, 1e-6)?.with_total_steps(300)?;
    let mut x = vec![1.0f32, -2.0];
    for _ in 0..300 {
        let grad = [50.0 * x[0], x[1]];
        let loss = 0.5 * (grad[0] * x[0] + grad[1] * x[1]);
        if let Some(rates) = session.step(loss, &mut x, &grad)? {
            x.iter_mut().zip(grad).for_each(|(x, g)| *x -= rates.lr as f32 * g);
        }
    }
    println!("x = {x:?} after {} steps, {:?}", session.steps(), session.counts());
    if x.iter().any(|x| x.abs() > 0.1) {
        return Err("the controller did not find the way down".into());
    }
    Ok(())
}
