use super::*;
use crate::rng::{standard_normal, stream};

fn check(guard: &mut Guard, loss: f32) -> Verdict {
    if loss.is_finite() { guard.check(&LossWindow::of(&[loss]), 0, false) } else { guard.check_broken() }
}

const HOLD: Verdict = Verdict::Hold { reason: Reason::LossExploded };
const SECOND_LOOK: Verdict = Verdict::Hold { reason: Reason::NonFinite };
const BROKEN: Verdict = Verdict::RollBack { reason: Reason::NonFinite, halve: true };

#[test]
fn an_explosion_is_blamed_on_the_step_and_a_nan_too() {
    let mut guard = Guard::new(GuardConfig::default());
    assert_eq!(check(&mut guard, 2.0), Verdict::Good);
    assert_eq!(check(&mut guard, 9.0), HOLD);
    assert_eq!(check(&mut guard, 9.0), Verdict::RollBack { reason: Reason::LossExploded, halve: true });
    assert_eq!(check(&mut guard, 2.0), Verdict::Good);
    assert_eq!([check(&mut guard, f32::NAN), check(&mut guard, f32::NAN)], [SECOND_LOOK, BROKEN]);
    assert_eq!(guard.broken_batches(), 0);
}

#[test]
fn a_batch_that_is_broken_where_the_next_one_is_not_is_counted_and_nothing_is_undone() {
    let mut guard = Guard::new(GuardConfig::default());
    check(&mut guard, 2.0);
    for n in 1..5 {
        assert_eq!([check(&mut guard, f32::NAN), check(&mut guard, 2.0)], [SECOND_LOOK, Verdict::Good]);
        assert_eq!(guard.broken_batches(), n);
    }
    assert_eq!(check(&mut guard, 5.0), HOLD, "an infinite loss does not teach how high losses can be");
    assert_eq!(check(&mut guard, 2.0), Verdict::Good);
    // What explodes at the second look was no fault of the batch; nor the other way round.
    assert_eq!(
        [check(&mut guard, f32::INFINITY), check(&mut guard, 90.0)],
        [SECOND_LOOK, Verdict::RollBack { reason: Reason::LossExploded, halve: true }]
    );
    assert_eq!(check(&mut guard, 2.0), Verdict::Good);
    assert_eq!([check(&mut guard, 90.0), check(&mut guard, f32::NAN)], [HOLD, BROKEN]);
    assert_eq!(guard.broken_batches(), 4);
}

#[test]
fn a_nan_at_restored_parameters_does_not_halve_for_ever() {
    let mut guard = Guard::new(GuardConfig::default());
    check(&mut guard, 2.0);
    assert_eq!([check(&mut guard, f32::NAN), check(&mut guard, f32::NAN)], [SECOND_LOOK, BROKEN]);
    for _ in 0..9 {
        assert_eq!(check(&mut guard, f32::NAN), SECOND_LOOK);
    }
    assert_eq!(guard.broken_batches(), 9, "the parameters are good: they were restored");
    let mut first = Guard::new(GuardConfig::default());
    assert_eq!([check(&mut first, f32::NAN), check(&mut first, f32::NAN)], [SECOND_LOOK; 2], "no step was taken yet");
    assert_eq!(first.broken_batches(), 2);
}

/// Where one batch in sixteen is broken, two in a row come once in 256.
#[test]
fn a_run_that_has_met_broken_batches_blames_the_step_only_after_four_in_a_row() {
    let mut guard = Guard::new(GuardConfig::default());
    let nan = f32::NAN;
    let _ = [2.0, nan, 2.0].map(|loss| check(&mut guard, loss));
    let verdicts = [nan, nan, nan, 2.0, nan, nan, 2.0].map(|loss| check(&mut guard, loss));
    assert!(!verdicts.contains(&BROKEN));
    assert_eq!(guard.broken_batches(), 6);
    assert_eq!([nan; 4].map(|loss| check(&mut guard, loss)), [SECOND_LOOK, SECOND_LOOK, SECOND_LOOK, BROKEN]);
    assert_eq!(guard.broken_batches(), 6);
}

/// A host that looks only at decisions has left such steps out by itself.
#[test]
fn steps_that_were_left_out_and_told_late_are_judged_by_what_came_after_them() {
    let told = |steps: &[bool]| {
        let mut guard = Guard::new(GuardConfig::default());
        check(&mut guard, 2.0);
        steps.iter().for_each(|&is_finite| guard.told(is_finite));
        guard
    };
    let mut sound = told(&[true, false, false, true, true]);
    assert_eq!((check(&mut sound, 2.0), sound.broken_batches()), (Verdict::Good, 2));
    let mut last = told(&[true, false]);
    assert_eq!((check(&mut last, 2.0), last.broken_batches()), (Verdict::Good, 1));
    let mut wrecked = told(&[true, false]);
    assert_eq!((check(&mut wrecked, f32::NAN), wrecked.broken_batches()), (BROKEN, 0));
}

#[test]
fn of_losses_that_were_below_their_floor_only_what_is_not_finite_is_bad() {
    let config = GuardConfig { drift: Some(1.1), ..GuardConfig::default() };
    let mut guard = Guard::new(config);
    guard.losses_are_below_floor();
    for (step, loss) in [-0.1, -5.0, 3.0, 1e6, -1e6, 0.0, 50.0, 1.0].into_iter().cycle().take(200).enumerate() {
        guard.measured(&Measured { param_norm: 1.0, distance: 1.0, ..Measured::default() });
        let verdict = guard.check(&LossWindow::of(&[loss]), step as u64, true);
        assert_eq!(verdict, Verdict::Good, "step {step}");
    }
    assert_eq!([check(&mut guard, f32::NAN), check(&mut guard, f32::NAN)], [SECOND_LOOK, BROKEN]);
}

#[test]
fn a_run_from_zero_is_not_given_up_because_every_step_goes_far() {
    let given_up = |start: f64| {
        let mut guard = Guard::new(GuardConfig::default());
        (0..200).any(|step| {
            let distance = 0.01 * step as f64;
            let verdict = guard.check(&LossWindow::of(&[1.0]), step, true);
            let param_norm = if start > 0.0 { start } else { distance };
            guard.measured(&Measured { param_norm, distance, ..Measured::default() });
            verdict != Verdict::Good
        })
    };
    assert!(!given_up(0.0), "a rate that is too low looks like a dead net");
    assert!(given_up(0.1));
}

#[test]
fn a_first_step_from_zero_has_nothing_to_be_compared_with_and_one_after_a_broken_batch_has() {
    let config = GuardConfig { first_update: Some(0.1), restart: 0.0, ..GuardConfig::default() };
    let at = |param_norm, distance| Measured { param_norm, distance, ..Measured::default() };
    let mut zero = Guard::new(config.clone());
    assert_eq!(zero.check_first_step(&at(0.0, 0.0), true), Verdict::Good);
    assert_eq!(zero.check_first_step(&at(5.0, 5.0), true), Verdict::Good);
    assert!(!zero.may_restart());
    // The first decision may come late.
    let mut late = Guard::new(config);
    assert_eq!(check(&mut late, f32::NAN), SECOND_LOOK);
    assert_eq!(late.check_first_step(&at(2.0, 0.0), true), Verdict::Good);
    let restart = Verdict::Restart { reason: Reason::FirstStepTooFar, lr_factor: 0.05 };
    assert_eq!(late.check_first_step(&at(4.0, 4.0), true), restart);
}

#[test]
fn a_high_loss_at_verified_parameters_raises_the_peak() {
    let mut guard = Guard::new(GuardConfig::default());
    check(&mut guard, 1.0);
    assert_eq!(check(&mut guard, 50.0), HOLD);
    assert_ne!(check(&mut guard, 50.0), Verdict::Good);
    assert_eq!(check(&mut guard, 50.0), Verdict::Good, "the restored parameters are not at fault");
    assert_eq!(check(&mut guard, 60.0), Verdict::Good);
}

#[test]
fn the_noise_of_a_nearly_solved_task_is_no_explosion() {
    let mut guard = Guard::new(GuardConfig::default());
    check(&mut guard, 3.0);
    for _ in 0..100 {
        assert_eq!(check(&mut guard, 1e-3), Verdict::Good);
    }
    assert_eq!(check(&mut guard, 0.5), Verdict::Good);
    assert_ne!(check(&mut guard, 2.0), Verdict::Good);
}

#[test]
fn one_batch_with_an_outlier_costs_one_step_and_no_halving() {
    let mut guard = Guard::new(GuardConfig::default());
    check(&mut guard, 1.0);
    assert_eq!(check(&mut guard, 30.0), HOLD);
    for _ in 0..5 {
        assert_eq!(check(&mut guard, 1.0), Verdict::Good);
        assert_eq!(check(&mut guard, 30.0), Verdict::Good);
    }
}

#[test]
fn a_saturated_net_whose_next_batch_costs_nothing_is_not_acquitted() {
    for (huge, next, is_wreck) in [(3.0e17, 0.0, true), (3.0e17, 0.02, false), (40.0, 0.0, false)] {
        let mut guard = after(&[0.7, 0.3, 0.02, 0.02]);
        assert_eq!(check(&mut guard, huge), Verdict::Hold { reason: Reason::LossExploded });
        let verdict = check(&mut guard, next);
        let rolled_back = verdict == Verdict::RollBack { reason: Reason::LossExploded, halve: true };
        assert_eq!(rolled_back, is_wreck, "{huge} and then {next}: {verdict:?}");
    }
}

#[test]
fn a_false_alarm_teaches_how_high_losses_can_be() {
    let mut guard = Guard::new(GuardConfig::default());
    check(&mut guard, 1.0);
    assert_eq!(
        [check(&mut guard, 3.0), check(&mut guard, 1.0), check(&mut guard, 3.0)],
        [HOLD, Verdict::Good, Verdict::Good]
    );
}

/// Whether the rule of the dead start would have the run begin again.
fn gives_up(guard: &mut Guard, step: u64, went_far: bool) -> bool {
    let distance = f64::from(u8::from(went_far));
    guard.measured(&Measured { param_norm: 1.0, distance, ..Measured::default() });
    guard.dead_start.check(step, guard.first.unwrap(), guard.config.restart, guard.drift.noise())
}

fn after(losses: &[f32]) -> Guard {
    let mut guard = Guard::new(GuardConfig::default());
    losses.iter().for_each(|&loss| assert_eq!(check(&mut guard, loss), Verdict::Good));
    guard
}

#[test]
fn a_run_that_went_far_and_got_nowhere_is_given_up_at_the_steps_for_that() {
    let dead = [3.0; 16];
    assert!(gives_up(&mut after(&dead), 16, true));
    assert!(!gives_up(&mut after(&dead), 15, true) && !gives_up(&mut after(&dead), 16, false));
    assert!(!gives_up(&mut after(&[3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]), 16, true), "it has learned something");
    let never = GuardConfig { restart: 0.0, ..GuardConfig::default() };
    assert!(!gives_up(&mut Guard { config: never, ..after(&dead) }, 16, true));
}

#[test]
fn where_no_decision_falls_on_such_a_step_the_next_one_counts_and_only_that() {
    let mut guard = after(&[3.0; 64]);
    assert!(!gives_up(&mut guard, 110, false) && gives_up(&mut guard, 140, true));
    assert!(!gives_up(&mut guard, 160, true) && !gives_up(&mut guard, 250, true), "before 256 it is not asked again");
    assert!(!gives_up(&mut after(&[3.0; 64]), 3000, false));
}

#[test]
fn a_loss_as_high_as_the_first_one_by_chance_is_not_given_up() {
    let noisy: Vec<f32> = (0..64).map(|i| if i % 4 == 3 { 2.9 } else { 1.5 }).collect();
    let guard = after(&noisy);
    assert!(guard.dead_start != DeadStart::default());
    assert!(!gives_up(&mut guard.clone(), 64, true));
}

#[test]
fn a_loss_above_that_of_the_untrained_net_is_an_explosion_until_training_shows_such_noise() {
    let mut guard = Guard::new(GuardConfig::default());
    check(&mut guard, 3.0);
    assert_eq!(check(&mut guard, 7.0), HOLD);
    assert_eq!(check(&mut guard, 7.0), Verdict::RollBack { reason: Reason::LossExploded, halve: true });
    assert_eq!(check(&mut guard, 7.0), Verdict::Good, "a batch of heavy tails at the parameters of the start");
    assert_eq!(check(&mut guard, 7.0), Verdict::Good);
}

#[test]
fn a_loss_that_rises_for_long_is_noticed_and_then_judged_anew() {
    let config = GuardConfig { drift: Some(1.5), ..GuardConfig::default() };
    let (mut guard, mut free) = (Guard::new(config), Guard::new(GuardConfig::default()));
    let rising = (0..40).map(|i| 1.0 + 0.05 * i as f32);
    let verdicts: Vec<Verdict> =
        rising.clone().map(|loss| guard.check(&LossWindow::of(&[loss; 8]), 0, false)).collect();
    let drifted = Verdict::RollBack { reason: Reason::LossDrifted, halve: true };
    assert_eq!(verdicts.iter().position(|&verdict| verdict == drifted), Some(11), "a loss of 1.55, late by an average");
    assert!(verdicts.iter().filter(|&&verdict| verdict == drifted).count() <= 2, "{verdicts:?}");
    assert!(rising.clone().all(|loss| free.check(&LossWindow::of(&[loss; 8]), 0, false) == Verdict::Good));
    let noise = (0..400).map(|i| if i % 10 == 0 { 3.0 } else { 1.0 });
    let mut guard = Guard::new(GuardConfig { drift: Some(1.5), ..GuardConfig::default() });
    assert!(
        noise.map(|loss| check(&mut guard, loss)).all(|verdict| verdict != drifted),
        "one bad batch in ten is noise"
    );
}

#[test]
fn heavy_tails_about_a_constant_level_are_no_drift_but_a_rise_of_that_level_is() {
    let mut rng = stream(1, "losses");
    let mut draw = |level: f64| (level * (0.4 * standard_normal(&mut rng)).exp()) as f32;
    let mut guard = Guard::new(GuardConfig { drift: Some(1.3), explosion: 50.0, ..GuardConfig::default() });
    let mut alarms = |level: f64, n: usize| {
        let windows = (0..n).map(|_| LossWindow::of(&[(); 4].map(|()| draw(level))));
        windows.filter(|window| guard.check(window, 0, false) != Verdict::Good).count()
    };
    assert!(alarms(1.0, 2000) <= 2, "8000 losses");
    assert!((1..=3).contains(&alarms(3.0, 50)));
}

#[test]
fn every_edge_of_the_table_is_checked() {
    let bad = [
        GuardConfig { explosion: 1.0, ..Default::default() },
        GuardConfig { restart: 1.1, ..Default::default() },
        GuardConfig { drift: Some(1.0), ..Default::default() },
        GuardConfig { first_update: Some(0.0), ..Default::default() },
    ];
    assert!(bad.iter().all(|config| config.check().is_err()));
    assert!(GuardConfig::default().check().is_ok());
}
