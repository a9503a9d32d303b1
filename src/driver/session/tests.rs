use super::*;
use crate::controller::Controller;
use crate::driver::{DriverConfig, GuardConfig};
use crate::policy::Signals;

struct Constant;
impl Policy for Constant {
    fn decide(&mut self, _: &Signals) -> Decision {
        Decision::scheduled(1.0)
    }
}

fn guarded() -> Session {
    let config = DriverConfig { guard: Some(GuardConfig::default()), ..DriverConfig::default() };
    Session::new(Pilot::new(Constant).with_config(config), 0.1).unwrap()
}

fn learned(lr: f64) -> Session {
    Session::new(Controller::pretrained("lr").unwrap(), lr).unwrap().with_total_steps(300).unwrap()
}

/// Gradient descent with momentum in a valley, `n` steps from where it is.
fn descend(session: &mut Session, x: &mut [f32; 2], velocity: &mut [f32; 2], n: usize) {
    for _ in 0..n {
        let grad = [50.0 * x[0], x[1]];
        let loss = 0.5 * (grad[0] * x[0] + grad[1] * x[1]);
        if let Some(rates) = session.step_with(loss, x, &grad, &mut [velocity]).unwrap() {
            *velocity = [0, 1].map(|i| 0.5 * velocity[i] + grad[i]);
            *x = [0, 1].map(|i| x[i] - rates.lr as f32 * velocity[i]);
        }
    }
}

#[test]
fn from_starts_six_decades_apart_it_ends_low_and_finite() {
    for lr in [1e-5, 1e-3, 0.1, 10.0] {
        let (mut session, mut x, mut velocity) = (learned(lr), [1.0, -2.0], [0.0; 2]);
        descend(&mut session, &mut x, &mut velocity, 300);
        let loss = 25.0 * x[0] * x[0] + 0.5 * x[1] * x[1];
        assert!(loss < 1.0, "from {lr}: {loss} at {}", session.lr());
    }
}

#[test]
fn it_does_what_a_host_of_the_driver_does_by_hand() {
    let (mut session, mut x, mut velocity) = (learned(30.0), [1.0, -2.0], [0.0; 2]);
    descend(&mut session, &mut x, &mut velocity, 300);
    let controller = Controller::pretrained("lr").unwrap();
    let config = controller.driver_config(Some(300));
    let mut driver = Driver::new(controller, 30.0, 0.0, config).unwrap();
    let start = ([1.0f32, -2.0], [0.0f32; 2]);
    let (mut state, mut kept, mut measure) = (start, start, Measure::default());
    for _ in 0..300 {
        let (x, velocity) = &mut state;
        let grad = [50.0 * x[0], x[1]];
        let loss = 0.5 * (grad[0] * x[0] + grad[1] * x[1]);
        match driver.step(&[loss], grad.iter().all(|g| g.is_finite()), || measure.measure(x, &grad)) {
            Order::Apply { lr, keep, .. } => {
                kept = if keep { (*x, *velocity) } else { kept };
                *velocity = [0, 1].map(|i| 0.5 * velocity[i] + grad[i]);
                *x = [0, 1].map(|i| x[i] - lr as f32 * velocity[i]);
            }
            Order::Skip => {}
            Order::RollBack => (state, _) = (kept, measure.rolled_back(&kept.0)),
            Order::Restart => (state, kept, measure) = (start, start, Measure::default()),
        }
    }
    assert!(session.rollbacks() > 0);
    assert_eq!((x, velocity, session.lr()), (state.0, state.1, driver.lr()));
    assert_eq!((session.counts(), session.rollbacks()), (driver.counts(), driver.rollbacks()));
}

#[test]
fn a_run_goes_on_from_its_state_to_the_bit_also_through_json() {
    let (mut session, mut x, mut velocity) = (learned(3.0), [1.0, -2.0], [0.0; 2]);
    descend(&mut session, &mut x, &mut velocity, 77);
    let text = serde_json::to_string(&session.state(&x, &[&velocity]).unwrap()).unwrap();
    descend(&mut session, &mut x, &mut velocity, 200);
    let (mut again, mut y, mut speed) = (learned(3.0), [0.0; 2], [9.0; 2]);
    again.load_state(serde_json::from_str(&text).unwrap(), &mut y, &mut [&mut speed]).unwrap();
    descend(&mut again, &mut y, &mut speed, 200);
    assert_eq!((x, velocity, session.lr()), (y, speed, again.lr()));
    assert_eq!(session.state(&x, &[&velocity]).unwrap(), again.state(&y, &[&speed]).unwrap());
}

#[test]
fn a_state_that_does_not_fit_is_refused_and_changes_nothing() {
    let (mut session, mut x, mut velocity) = (learned(3.0), [1.0, -2.0], [0.0; 2]);
    descend(&mut session, &mut x, &mut velocity, 10);
    let (before, state) = (session.state(&x, &[&velocity]).unwrap(), session.state(&x, &[&velocity]).unwrap());
    let mut load = |state: &SessionState, x: &mut [f32], moments: &mut [&mut [f32]]| {
        session.load_state(state.clone(), x, moments).unwrap_err().to_string()
    };
    assert!(load(&state, &mut [0.0; 3], &mut [&mut velocity]).contains("3 values, but 2"));
    assert!(load(&state, &mut [0.0; 2], &mut []).contains("0 slices of moments were given, but 1"));
    let damaged = |change: fn(&mut state::Saved)| {
        let mut state = state.clone();
        change(&mut state.0);
        state
    };
    for broken in [
        damaged(|saved| saved.kept = None),
        damaged(|saved| saved.kept = Some(Kept::of::<&[f32]>(&[1.0], &[]))),
        damaged(|saved| saved.kept = Some(Kept::of::<&[f32]>(&[1.0, f32::NAN], &[&[0.0; 2]]))),
        damaged(|saved| saved.sizes = vec![2, 3]),
        damaged(|saved| {
            saved.measure = Measure::default();
            saved.measure.measure(&[1.0; 4], &[1.0; 4]);
        }),
    ] {
        let said = load(&broken, &mut [0.0; 2], &mut [&mut [0.0; 2]]);
        assert!(said.contains("damaged"), "{said}");
    }
    assert_eq!(session.state(&x, &[&velocity]).unwrap(), before);
    let mut other = guarded();
    assert!(matches!(other.load_state(state, &mut x, &mut [&mut velocity]), Err(SessionError::Driver(_))));
}

#[test]
fn slices_of_other_lengths_are_refused() {
    let mut session = guarded();
    let said = |result: Result<_, SessionError>| result.unwrap_err().to_string();
    assert!(said(session.step(1.0, &mut [], &[])).contains("no parameters"));
    assert!(said(session.step(1.0, &mut [1.0; 3], &[1.0; 2])).contains("the gradient has 2 values, but 3"));
    assert!(said(session.step(1.0, &mut [1.0, f32::NAN], &[1.0; 2])).contains("[1] is NaN before the first step"));
    assert_eq!(session.steps(), 0);
    session.step_with(1.0, &mut [1.0; 2], &[1.0; 2], &mut [&mut [0.0; 2]]).unwrap();
    assert!(said(session.step(1.0, &mut [1.0; 2], &[1.0; 2])).contains("0 slices of moments were given, but 1"));
    let wider = session.step_with(1.0, &mut [1.0; 2], &[1.0; 2], &mut [&mut [0.0; 3]]);
    assert!(said(wider).contains("slice 0 of the moments has 3 values, but 2"));
    session.replaced();
    assert!(session.step(1.0, &mut [1.0; 5], &[1.0; 5]).unwrap().is_some());
}

#[test]
fn a_step_that_was_to_be_left_out_must_not_be_applied() {
    let (mut session, mut x) = (guarded(), [1.0f32]);
    for loss in [1.0, 0.9] {
        assert!(session.step(loss, &mut x, &[1.0]).unwrap().is_some());
        x[0] -= 0.1;
    }
    for _ in 0..2 {
        assert_eq!(session.step(f32::NAN, &mut x, &[1.0]).unwrap(), None);
    }
    assert!((x[0] - 0.9).abs() < 1e-6, "put back to where the last good loss was measured: {x:?}");
    let restored = x;
    x[0] = f32::NAN;
    let refused = session.step(f32::NAN, &mut x, &[1.0]).unwrap_err();
    assert!(refused.to_string().contains("only where `step` has answered with rates"), "{refused}");
    assert_eq!(session.steps(), 4, "a refused step is none");
    x = restored;
    session.step(0.9, &mut x, &[1.0]).unwrap();
    // The same for the moments: averages of a gradient that is not finite must not come in.
    let (mut session, mut x, mut m) = (guarded(), [1.0f32], [0.0f32]);
    session.step_with(1.0, &mut x, &[1.0], &mut [&mut m]).unwrap();
    assert_eq!(session.step_with(1.0, &mut x, &[f32::NAN], &mut [&mut m]).unwrap(), None);
    m[0] = f32::NAN;
    let refused = session.step_with(1.0, &mut x, &[1.0], &mut [&mut m]).unwrap_err();
    assert!(refused.to_string().starts_with("slice 0 of the moments changed"), "{refused}");
}

#[test]
fn values_put_in_on_purpose_are_where_the_run_goes_on() {
    let (mut session, mut x) = (guarded(), [1.0f32]);
    session.step(1.0, &mut x, &[1.0]).unwrap();
    assert_eq!(session.step(f32::NAN, &mut x, &[1.0]).unwrap(), None);
    x[0] = 7.0;
    session.replaced();
    assert!(session.step(0.5, &mut x, &[1.0]).unwrap().is_some());
    x[0] = f32::NAN;
    for _ in 0..4 {
        assert_eq!(session.step(f32::NAN, &mut x, &[1.0]).unwrap(), None);
    }
    assert!((x[0] - 7.0).abs() < 1e-6, "no rollback leads back behind the loaded value");
}
