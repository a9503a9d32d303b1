//! Adam on plain vectors, without torch, from a start that is far too high. In the middle the run is saved as JSON and
//! goes on from there in a session of its own, as after a restart of the program: both halves together are, to the bit,
//! the run that was never interrupted.
//!
//!     cargo run --example adam_by_hand --no-default-features

use qgd::driver::{Rates, Session, SessionState};
use qgd::{Controller, rng};
use rand::{Rng, RngExt};
use std::error::Error;

const STEPS: u64 = 400;
const BATCH: u16 = 16;
const SOUGHT: [f32; 4] = [3.0, -2.0, 0.5, 1.0];
const BETAS: [f32; 2] = [0.9, 0.999];
const EPS: f32 = 1e-8;

/// Parameters of a linear model, and all that a step of Adam changes besides: it goes back together with them.
struct Model {
    x: Vec<f32>,
    m: Vec<f32>,
    v: Vec<f32>,
    /// Powers of the two betas, by which the averages are corrected: in place of a counter of steps.
    powers: [f32; 2],
}

impl Model {
    fn new() -> Self {
        Self { x: vec![1.0; 4], m: vec![0.0; 4], v: vec![0.0; 4], powers: [1.0; 2] }
    }

    fn adam(&mut self, grad: &[f32], rates: Rates) {
        let [first, second] = BETAS;
        self.powers = [self.powers[0] * first, self.powers[1] * second];
        for (i, g) in grad.iter().enumerate() {
            let g = g + rates.weight_decay as f32 * self.x[i];
            self.m[i] = first * self.m[i] + (1.0 - first) * g;
            self.v[i] = second * self.v[i] + (1.0 - second) * g * g;
            let (m, v) = (self.m[i] / (1.0 - self.powers[0]), self.v[i] / (1.0 - self.powers[1]));
            self.x[i] -= rates.lr as f32 * m / (v.sqrt() + EPS);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut session, mut model) = (session()?, Model::new());
    train(&mut session, &mut model, 0..STEPS)?;
    println!("{:?}, {} rollbacks; x = {:.2?}, sought {SOUGHT:?}", session.counts(), session.rollbacks(), model.x);

    let (mut first, mut half) = (self::session()?, Model::new());
    train(&mut first, &mut half, 0..STEPS / 2)?;
    let saved = serde_json::to_string(&first.state(&half.x, &[&half.m, &half.v, &half.powers])?)?;
    let (mut second, mut rest) = (self::session()?, Model::new());
    let state: SessionState = serde_json::from_str(&saved)?;
    second.load_state(state, &mut rest.x, &mut [&mut rest.m, &mut rest.v, &mut rest.powers])?;
    train(&mut second, &mut rest, STEPS / 2..STEPS)?;
    println!("saved after {} steps ({} bytes) and restored: x = {:.2?}", STEPS / 2, saved.len(), rest.x);
    assert_eq!((model.x, session.lr()), (rest.x, second.lr()), "the same to the bit");
    Ok(())
}

/// A session as it is made at the start of every run, a restored one too.
fn session() -> Result<Session, Box<dyn Error>> {
    Ok(Session::new(Controller::pretrained("lr")?, 30.0)?.with_total_steps(STEPS)?)
}

fn train(session: &mut Session, model: &mut Model, steps: std::ops::Range<u64>) -> Result<(), Box<dyn Error>> {
    for step in steps {
        let (loss, grad) = loss_and_grad(&model.x, &mut rng::stream(step, "examples"));
        let mut moments = [&mut model.m[..], &mut model.v[..], &mut model.powers[..]];
        if let Some(rates) = session.step_with(loss, &mut model.x, &grad, &mut moments)? {
            model.adam(&grad, rates);
        }
    }
    Ok(())
}

/// Mean of half the squared errors of a batch, and its gradient.
fn loss_and_grad(x: &[f32], rng: &mut impl Rng) -> (f32, Vec<f32>) {
    let (mut loss, mut grad) = (0.0, vec![0.0; 4]);
    for _ in 0..BATCH {
        let input = [1.0, 0.3, 1.0, 2.0].map(|scale: f32| scale * rng.random_range(-1.0f32..1.0));
        let error = (0..4).map(|i| (x[i] - SOUGHT[i]) * input[i]).sum::<f32>() + rng.random_range(-0.1f32..0.1);
        loss += 0.5 * error * error / f32::from(BATCH);
        grad.iter_mut().zip(input).for_each(|(grad, input)| *grad += error * input / f32::from(BATCH));
    }
    (loss, grad)
}
