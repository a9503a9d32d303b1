use super::*;

struct Always(f64);
impl Policy for Always {
    fn decide(&mut self, _: &Signals) -> Decision {
        Decision::scheduled(self.0)
    }
}

fn driver(factor: f64, interval: u64, guard: Option<GuardConfig>) -> Driver<Always> {
    let bounds = Bounds { lr: [1e-3, 1.0], ..Bounds::default() };
    let config = DriverConfig { guard, bounds, pace: Pace::every(interval), ..DriverConfig::default() };
    Driver::new(Always(factor), 0.1, 0.0, config).unwrap()
}

fn step(driver: &mut Driver<Always>, loss: f32) -> Order {
    driver.step(&[loss], true, Measured::default)
}

fn rate(order: Order) -> f64 {
    if let Order::Apply { lr, .. } = order { lr } else { panic!("{order:?}") }
}

#[test]
fn decisions_come_at_the_interval_the_pace_names() {
    let mut driver = driver(0.5, 3, None);
    let lrs: Vec<f64> = (0..8).map(|_| rate(step(&mut driver, 1.0))).collect();
    assert_eq!(lrs, [0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125, 0.0125]);
}

#[test]
fn nothing_is_measured_where_no_decision_rests_on_it() {
    let mut driver = driver(1.0, 3, Some(GuardConfig::default()));
    let mut n_measured = 0;
    for i in 0..9 {
        let loss = if i == 3 { f32::NAN } else { 1.0 };
        let _ = driver.step(&[loss], true, || {
            n_measured += 1;
            Measured::default()
        });
    }
    // At steps 0, 4 and 7: step 3 was left out, and nothing was undone.
    assert_eq!(n_measured, 3);
}

#[test]
fn the_learning_rate_stays_within_its_bounds() {
    let (mut up, mut down) = (driver(2.0, 1, None), driver(0.5, 1, None));
    for _ in 0..20 {
        let _ = (step(&mut up, 1.0), step(&mut down, 1.0));
    }
    assert_eq!((up.lr(), down.lr()), (1.0, 1e-3));
}

#[test]
fn a_rollback_halves_and_then_decides_at_every_step_for_a_while() {
    let mut driver = driver(1.0, 100, Some(GuardConfig::default()));
    assert_eq!(step(&mut driver, 1.0), Order::Apply { lr: 0.1, weight_decay: 0.0, keep: true });
    assert_eq!([step(&mut driver, f32::NAN), step(&mut driver, f32::NAN)], [Order::Skip, Order::RollBack]);
    assert_eq!((driver.lr(), driver.rollbacks(), driver.broken_batches()), (0.05, 1, 0));
    for _ in 0..RECOVERY_STEPS {
        assert!(driver.is_due());
        let _ = step(&mut driver, 1.0);
    }
    assert_eq!(step(&mut driver, 1.0), Order::Apply { lr: 0.05, weight_decay: 0.0, keep: true });
    assert!(!driver.is_due());
}

#[test]
fn a_broken_gradient_between_two_decisions_is_left_out_and_rolled_back_like_a_broken_loss() {
    for (losses, grad_is_finite) in
        [(&[f32::NAN][..], true), (&[1.0, f32::INFINITY], true), (&[1.0], false), (&[], false)]
    {
        let mut guarded = driver(1.0, 100, Some(GuardConfig::default()));
        let _ = (step(&mut guarded, 1.0), step(&mut guarded, 1.0));
        let orders = [(); 2].map(|()| guarded.step(losses, grad_is_finite, Measured::default));
        assert_eq!(orders, [Order::Skip, Order::RollBack], "{losses:?}");
        assert_eq!(guarded.last_decision().unwrap().reason, Reason::NonFinite);
        let mut bare = driver(1.0, 100, None);
        let _ = (step(&mut bare, 1.0), step(&mut bare, 1.0));
        assert!(matches!(bare.step(losses, grad_is_finite, Measured::default), Order::Apply { .. }), "{losses:?}");
    }
}

#[test]
fn a_suspected_loss_is_looked_at_again_and_then_undone() {
    let mut driver = driver(1.0, 1, Some(GuardConfig::default()));
    let _ = (step(&mut driver, 1.0), step(&mut driver, 1.0));
    assert_eq!([step(&mut driver, 9.0), step(&mut driver, 9.0)], [Order::Skip, Order::RollBack]);
    assert_eq!(driver.rollbacks(), 1);
}

/// One example in 1,024 has a loss of NaN: one batch of 64 in sixteen.
#[test]
fn a_broken_batch_is_left_out_and_counted_and_neither_rate_nor_pace_nor_window_change() {
    struct Shown(Vec<(u64, u32, f64)>);
    impl Policy for Shown {
        fn decide(&mut self, signals: &Signals) -> Decision {
            self.0.push((signals.step, signals.window.n, signals.window.mean));
            Decision::scheduled(1.0)
        }
    }
    for at_a_decision in [false, true] {
        let config =
            DriverConfig { guard: Some(GuardConfig::default()), pace: Pace::every(10), ..DriverConfig::default() };
        let mut driver = Driver::new(Shown(Vec::new()), 0.1, 0.0, config).unwrap();
        let trace = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let kept = trace.clone();
        driver.on_decision(Box::new(move |record| {
            if record.reason == Reason::NonFinite {
                kept.lock().unwrap().push((record.step, record.action));
            }
        }));
        let broken = if at_a_decision { 10 } else { 14 };
        let orders: Vec<Order> = (0..32)
            .map(|i| driver.step(&[if i == broken { f32::NAN } else { 2.0 }], true, Measured::default))
            .collect();
        let left_out: Vec<usize> = (0..32).filter(|&i| orders[i] == Order::Skip).collect();
        assert_eq!((left_out, driver.rollbacks(), driver.broken_batches()), (vec![broken], 0, 1));
        assert_eq!(driver.lr().to_bits(), 0.1f64.to_bits());
        assert_eq!(*trace.lock().unwrap(), [(broken as u64, None)]);
        let expected =
            if at_a_decision { [(0, 1), (11, 10), (21, 10), (31, 10)] } else { [(0, 1), (10, 10), (20, 9), (30, 10)] };
        let shown = driver.into_policy().0;
        assert_eq!(shown.iter().map(|&(step, n, _)| (step, n)).collect::<Vec<_>>(), expected);
        assert!(shown.iter().all(|&(_, _, mean)| (mean - 2.0).abs() < 1e-12));
    }
}

#[test]
fn a_host_that_tells_its_losses_at_the_next_decision_has_left_broken_batches_out_by_itself() {
    let run = |windows: &[&[f32]]| {
        let mut driver = driver(1.0, 4, Some(GuardConfig::default()));
        let mut orders = Vec::new();
        for window in windows {
            assert!(driver.is_due());
            orders.push(driver.step(window, true, Measured::default));
            while !driver.is_due() {
                assert!(matches!(driver.step(&[], true, Measured::default), Order::Apply { keep: false, .. }));
            }
        }
        (orders.last().copied().unwrap(), driver.lr(), driver.broken_batches())
    };
    let keep = Order::Apply { lr: 0.1, weight_decay: 0.0, keep: true };
    assert_eq!(run(&[&[2.0], &[2.0, f32::NAN, f32::NAN, 2.0]]), (keep, 0.1, 2));
    assert_eq!(run(&[&[2.0], &[2.0, 2.0, f32::NAN, 2.0], &[2.0; 4]]), (keep, 0.1, 1));
    assert_eq!(run(&[&[2.0], &[2.0, 2.0, 2.0, f32::NAN]]), (Order::Skip, 0.1, 0));
    assert_eq!(run(&[&[2.0], &[2.0, 2.0, 2.0, f32::NAN], &[f32::NAN]]), (Order::RollBack, 0.05, 0));
    assert_eq!(run(&[&[2.0], &[2.0, 2.0, f32::NAN, f32::NAN]]), (Order::RollBack, 0.05, 0), "looked at twice");
}

/// Numbers near the largest, and then none: the second look is no better, whichever way it is bad.
#[test]
fn a_run_that_diverges_is_undone_whether_its_second_look_is_finite_or_not() {
    for second in [f32::NAN, f32::INFINITY, 1e30] {
        let mut driver = driver(1.0, 100, Some(GuardConfig::default()));
        let _ = (step(&mut driver, 1.0), step(&mut driver, 1.0));
        assert_eq!([step(&mut driver, f32::NAN), step(&mut driver, second)], [Order::Skip, Order::RollBack]);
        assert_eq!((driver.lr(), driver.broken_batches(), driver.is_due()), (0.05, 0, true));
    }
}

#[test]
fn a_loss_below_the_floor_is_shown_to_the_policy_and_then_only_what_is_not_finite_is_undone() {
    struct Told(Vec<bool>);
    impl Policy for Told {
        fn decide(&mut self, signals: &Signals) -> Decision {
            self.0.push(signals.below_floor);
            Decision::scheduled(1.0)
        }
    }
    let run = |loss_floor: f64| {
        let config = DriverConfig { guard: Some(GuardConfig::default()), loss_floor, ..DriverConfig::default() };
        let mut driver = Driver::new(Told(Vec::new()), 0.1, 0.0, config).unwrap();
        for loss in [0.5, 0.2, -0.3, 4.0, -7.0, 50.0] {
            let _ = driver.step(&[loss], true, Measured::default);
        }
        (driver.rollbacks(), driver.into_policy().0)
    };
    assert_eq!(run(0.0), (0, vec![false, false, true, true, true, true]));
    assert_eq!(run(-10.0).1[..4], [false; 4]);
}

#[test]
fn a_run_that_begins_anew_is_decided_at_once_and_its_guard_knows_nothing_of_before() {
    let mut driver = driver(1.0, 100, Some(GuardConfig::default()));
    let _ = (step(&mut driver, 1.0), step(&mut driver, 1.0));
    driver.forget_first();
    driver.begin_here();
    assert!(driver.is_due() && driver.may_restart());
    assert_eq!(step(&mut driver, 50.0), Order::Apply { lr: 0.1, weight_decay: 0.0, keep: true }, "no explosion");
    assert_eq!((driver.steps(), driver.is_due()), (3, false));
}

#[test]
fn no_factor_of_a_policy_makes_a_rate_that_is_no_number() {
    for factor in [f64::NAN, -3338.0, f64::INFINITY, f64::NEG_INFINITY, 1e308] {
        let mut driver = driver(factor, 1, None);
        for _ in 0..5 {
            let lr = rate(step(&mut driver, 1.0));
            assert!((1e-3..=1.0).contains(&lr), "{factor}: {lr}");
        }
    }
}

fn confined() -> DriverConfig {
    let guard = GuardConfig { restart: 0.0, first_update: Some(0.1), ..GuardConfig::default() };
    DriverConfig { guard: Some(guard), ..DriverConfig::default() }
}

fn at(distance: f64) -> impl Fn() -> Measured {
    move || Measured { param_norm: 2.0, distance, ..Measured::default() }
}

#[test]
fn a_first_step_that_goes_too_far_is_undone_once_and_scaled_to_what_is_allowed() {
    let first_step = |distance| {
        let mut driver = Driver::new(Always(1.0), 0.4, 0.0, confined()).unwrap();
        assert!(matches!(driver.step(&[1.0], true, at(0.0)), Order::Apply { keep: true, .. }));
        assert!(driver.may_restart());
        (driver.step(&[1.0], true, at(distance)), driver)
    };
    let (order, mut driver) = first_step(4.0);
    assert_eq!((order, driver.last_decision().unwrap().reason), (Order::Restart, Reason::FirstStepTooFar));
    assert!((driver.lr() - 0.4 / 20.0).abs() < 1e-12 && !driver.may_restart() && driver.is_due());
    let again = driver.step(&[1.0], true, at(4.0));
    assert!(matches!(again, Order::Apply { .. }), "only the first step is looked at: {again:?}");
    assert!(matches!(first_step(0.1).0, Order::Apply { .. }));
}

/// A net that moved to another device: the state before the first step is gone, and a rate must not be cut for a
/// restart that cannot be.
#[test]
fn a_host_that_lost_its_first_state_is_not_told_to_go_back_to_it() {
    let mut driver = Driver::new(Always(1.0), 0.4, 0.0, confined()).unwrap();
    let _ = driver.step(&[1.0], true, at(0.0));
    driver.forget_first();
    assert!(!driver.may_restart());
    assert_eq!(rate(driver.step(&[1.0], true, at(4.0))).to_bits(), 0.4f64.to_bits());

    let dead = DriverConfig { guard: Some(GuardConfig::default()), ..DriverConfig::default() };
    let orders = |forgets: bool| {
        let mut driver = Driver::new(Always(1.0), 0.4, 0.0, dead.clone()).unwrap();
        let orders: Vec<Order> = (0..40)
            .map(|i| {
                if i == 10 && forgets {
                    driver.forget_first();
                }
                driver.step(&[3.0], true, at(4.0))
            })
            .collect();
        (orders.contains(&Order::Restart), driver.lr())
    };
    assert_eq!(orders(false), (true, 0.4 * 0.25 * 0.25));
    assert_eq!(orders(true), (false, 0.4));
}

#[test]
fn a_floor_under_the_losses_is_shown_to_guard_and_policy_alike() {
    struct Shown(Vec<f64>);
    impl Policy for Shown {
        fn decide(&mut self, signals: &Signals) -> Decision {
            self.0.push(signals.window.mean);
            Decision::scheduled(1.0)
        }
    }
    let run = |floor: f32| {
        let guard = Some(GuardConfig::default());
        let config = DriverConfig { loss_floor: floor.into(), guard, ..DriverConfig::default() };
        let mut driver = Driver::new(Shown(Vec::new()), 0.1, 0.0, config).unwrap();
        let losses = [4.0, 2.0, 9.0, 9.0, 1.0].map(|loss| loss + floor);
        let orders = losses.map(|loss| driver.step(&[loss], true, Measured::default));
        (orders, driver.into_policy().0)
    };
    assert_eq!(run(-8.0), run(0.0));
    assert_eq!(run(0.0).1, [4.0, 2.0, 1.0]);
}

#[test]
fn a_cooldown_ends_a_known_budget_at_zero_and_leaves_an_unknown_one_alone() {
    let pace = Pace { cooldown: 0.25, ..Pace::every(4) };
    let lrs = |total_steps| {
        let config = DriverConfig { pace, total_steps, ..DriverConfig::default() };
        let mut driver = Driver::new(Always(2.0), 0.1, 0.0, config).unwrap();
        (0..9).map(|_| rate(step(&mut driver, 1.0))).collect::<Vec<f64>>()
    };
    assert_eq!(lrs(Some(8)), [0.2, 0.2, 0.2, 0.2, 0.4, 0.4, 0.4, 0.2, 0.4]);
    assert_eq!(lrs(None)[..8], [0.2, 0.2, 0.2, 0.2, 0.4, 0.4, 0.4, 0.4]);
}

/// Rates of a driver of `n` steps that is told at each of these steps how many are left.
fn cooled(mut driver: Driver<Always>, n: u64, calls: &[(u64, u64)]) -> Vec<f64> {
    let rates = (0..n).map(|at| {
        for (_, left) in calls.iter().filter(|(step, _)| *step == at) {
            driver.cool_down(*left).unwrap();
        }
        rate(step(&mut driver, 1.0))
    });
    rates.collect()
}

fn planned(cooldown: f64, total_steps: Option<u64>) -> Driver<Always> {
    let config = DriverConfig { pace: Pace { cooldown, ..Pace::every(5) }, total_steps, ..DriverConfig::default() };
    Driver::new(Always(1.25), 0.1, 0.0, config).unwrap()
}

#[test]
fn a_cooldown_on_demand_falls_linearly_to_zero_from_any_step_and_stays_there() {
    let free = cooled(planned(0.0, None), 40, &[]);
    for (begin, n) in [(0, 1), (0, 25), (3, 7), (5, 5), (17, 20), (39, 1)] {
        for (at, lr) in cooled(planned(0.0, None), 40, &[(begin, n)]).into_iter().enumerate() {
            let k = (at as u64).saturating_sub(begin).min(n - 1);
            let expected = free[at] * (1.0 - k as f64 / n as f64);
            assert!((lr / expected - 1.0).abs() < 1e-12 && lr > 0.0, "{n} from {begin}: {lr} at {at}, not {expected}");
        }
    }
}

#[test]
fn a_cooldown_on_demand_is_that_of_a_budget_known_beforehand() {
    let known = cooled(planned(0.5, Some(40)), 50, &[]);
    assert_eq!(cooled(planned(0.0, None), 50, &[(20, 20)]), known);
    for at in 20..40 {
        let again = cooled(planned(0.5, Some(40)), 50, &[(at, 40 - at)]);
        assert!(again.iter().zip(&known).all(|(a, b)| (a / b - 1.0).abs() < 1e-12), "asked for at {at}");
    }
}

#[test]
fn a_cooldown_on_demand_begins_at_the_factor_in_force_and_the_last_one_counts() {
    for total_steps in [None, Some(30)] {
        let before = cooled(planned(0.5, total_steps), 40, &[]);
        for at in 0..35 {
            let once = cooled(planned(0.5, total_steps), 40, &[(at, 12)]);
            assert_eq!(once[at as usize].to_bits(), before[at as usize].to_bits(), "at {at} of {total_steps:?}");
            let twice = cooled(planned(0.5, total_steps), 40, &[(at, 12), (at + 4, 3)]);
            let (second, free) = (at as usize + 4, cooled(planned(0.0, None), 40, &[]));
            for k in 0..40 - second {
                let factor = once[second] / free[second] * (1.0 - k.min(2) as f64 / 3.0);
                assert!((twice[second + k] / (free[second + k] * factor) - 1.0).abs() < 1e-12, "{at}, {k} steps later");
            }
        }
    }
}

#[test]
fn a_policy_hears_of_the_steps_that_are_left() {
    struct Told(Vec<Option<u64>>);
    impl Policy for Told {
        fn decide(&mut self, signals: &Signals) -> Decision {
            self.0.push(signals.total_steps);
            Decision::scheduled(1.0)
        }
    }
    for total_steps in [None, Some(100)] {
        let config = DriverConfig { total_steps, ..DriverConfig::default() };
        let mut driver = Driver::new(Told(Vec::new()), 0.1, 0.0, config).unwrap();
        for at in 0..6 {
            if at == 2 || at == 4 {
                driver.cool_down(10 - at).unwrap();
                driver.cool_down(10).unwrap();
            }
            let _ = driver.step(&[1.0], true, Measured::default);
        }
        assert_eq!(driver.total_steps(), Some(14));
        assert_eq!(driver.into_policy().0, [total_steps, total_steps, Some(12), Some(12), Some(14), Some(14)]);
    }
}

#[test]
fn one_cooldown_after_the_other_never_comes_to_zero() {
    let mut driver = driver(1.0, 1, None);
    for _ in 0..200 {
        driver.cool_down(100).unwrap();
        (0..100).for_each(|_| assert!(rate(step(&mut driver, 1.0)) > 0.0));
    }
    let saved = driver.state();
    driver.load_state(saved).unwrap();
}

#[test]
fn a_cooldown_over_no_steps_is_refused_and_changes_nothing() {
    let mut driver = driver(1.0, 1, None);
    let before = driver.state();
    for n_steps in [0, u64::MAX] {
        let error = driver.cool_down(n_steps).unwrap_err().to_string();
        assert!(error.starts_with("n_steps is") && error.contains("at least 1"), "{error}");
    }
    assert_eq!(driver.state(), before);
}

#[test]
fn a_saved_driver_goes_on_with_its_cooldown() {
    let new = || driver(1.1, 4, Some(GuardConfig::default()));
    let calls = [(6, 30), (20, 9)];
    let all = cooled(new(), 40, &calls);
    for cut in 0..40 {
        let (mut first, mut second) = (new(), new());
        for at in 0..cut {
            calls.iter().filter(|call| call.0 == at).for_each(|call| first.cool_down(call.1).unwrap());
            let _ = step(&mut first, 1.0);
        }
        second.load_state(crate::artifact::from_bytes(&crate::artifact::to_bytes(&first.state())).unwrap()).unwrap();
        assert_eq!(second.state(), first.state());
        for at in cut..40 {
            calls.iter().filter(|call| call.0 == at).for_each(|call| second.cool_down(call.1).unwrap());
            assert_eq!(rate(step(&mut second, 1.0)).to_bits(), all[at as usize].to_bits(), "cut after {cut} steps");
        }
    }
}

#[test]
fn start_values_and_settings_that_no_run_can_use_are_refused_by_name() {
    let refused = |lr, weight_decay, config| {
        Driver::new(Always(1.0), lr, weight_decay, config).err().expect("refused").to_string()
    };
    for (lr, weight_decay) in [(-1.0, 0.0), (0.0, 0.0), (f64::NAN, 0.0), (0.1, -1.0)] {
        refused(lr, weight_decay, DriverConfig::default());
    }
    let bounds = Bounds { lr: [1.0, 0.1], ..Bounds::default() };
    let bad = [
        (DriverConfig { bounds, ..DriverConfig::default() }, "bounds.lr is 1"),
        (
            DriverConfig { pace: Pace { cooldown: f64::NAN, ..Pace::default() }, ..DriverConfig::default() },
            "pace.cooldown is NaN",
        ),
        (DriverConfig { total_steps: Some(0), ..DriverConfig::default() }, "total_steps is 0"),
        (DriverConfig { loss_floor: f64::INFINITY, ..DriverConfig::default() }, "loss_floor is inf"),
    ];
    for (config, message) in bad {
        let error = refused(0.1, 0.0, config);
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn a_new_base_keeps_what_the_policy_made_of_the_old_one() {
    let mut driver = driver(0.5, 1, None);
    let _ = step(&mut driver, 1.0);
    driver.set_lr(0.2).unwrap();
    assert!((driver.lr() - 0.1).abs() < 1e-12);
}

#[test]
fn a_saved_driver_goes_on_with_the_losses_of_its_window() {
    let new = || driver(0.5, 3, Some(GuardConfig { drift: Some(1.3), ..GuardConfig::default() }));
    let mut whole = new();
    let losses: Vec<f32> = (0..40).map(|i| 1.0 + 0.02 * i as f32).collect();
    let all: Vec<Order> = losses.iter().map(|&loss| step(&mut whole, loss)).collect();
    for cut in 0..40 {
        let (mut first, mut second) = (new(), new());
        losses[..cut].iter().for_each(|&loss| assert_ne!(step(&mut first, loss), Order::Restart));
        let file = crate::artifact::to_bytes(&first.state());
        second.load_state(crate::artifact::from_bytes(&file).unwrap()).unwrap();
        let rest: Vec<Order> = losses[cut..].iter().map(|&loss| step(&mut second, loss)).collect();
        assert_eq!(rest, all[cut..], "cut after {cut} steps");
    }
}

/// State of a driver (and its measurement) of the schedule "constant" from 0.125 after three steps, as the version
/// before cooldowns on demand saved it.
const BEFORE: &str = "\
    000000000000c03f000000000000c03f000000000000c03f0000000000000000000000000000000003000000000000006400\
    000000000000000000000000000002000000000000000000403f0000003f000000000000000001000000000000f03f000000\
    0000000008400000000000000240000000000000fd3f00000000000000000000000000000000000000000000000000000001\
    0000000000000000000000000000000000000000000000000000000000000000000000000000000002000000000000000000\
    803f0000803f02000000000000000000803f0000803f0200000000000000000000000000000002000000000000000000803f\
    0000803f02000000000000000000803f0000803f";

#[test]
fn a_state_from_before_there_were_cooldowns_on_demand_is_read_and_written_as_it_was() {
    type Saved = (DriverState, crate::policy::Measure);
    let before: Vec<u8> =
        (0..BEFORE.len()).step_by(2).map(|i| u8::from_str_radix(&BEFORE[i..i + 2], 16).unwrap()).collect();
    let saved: Saved = crate::artifact::from_bytes(&before).unwrap();
    assert_eq!(crate::artifact::to_bytes(&saved), before);
    let mut driver = driver(1.0, 100, None);
    driver.load_state(saved.0).unwrap();
    assert_eq!((driver.lr(), driver.steps(), driver.total_steps()), (0.125, 3, None));
}

#[test]
fn a_state_of_other_rules_or_with_impossible_values_is_refused_and_changes_nothing() {
    let (mut guarded, mut bare) = (driver(0.5, 1, Some(GuardConfig::default())), driver(0.5, 1, None));
    let _ = (step(&mut guarded, 1.0), step(&mut bare, 1.0));
    let before = guarded.state();
    let message = guarded.load_state(bare.state()).unwrap_err().to_string();
    assert!(message.contains("without a guard"), "{message}");
    assert!(bare.load_state(before.clone()).unwrap_err().to_string().contains("with a guard"));
    let other = GuardConfig { explosion: 3.0, ..GuardConfig::default() };
    assert!(matches!(guarded.load_state(driver(0.5, 1, Some(other)).state()), Err(DriverError::GuardConfig)));
    let state = || before.0.clone();
    let cools = |begin, n_steps, factor| {
        let cooldown = Some(cooldown::Cooldown { begin, n_steps, factor });
        State { rate: cooldown::Rate { lr: 0.1, cooldown }, ..state() }
    };
    let broken = [
        (State { rate: cooldown::Rate { lr: -0.1, cooldown: None }, ..state() }, "lr is -0.1"),
        (State { lr_first: f64::INFINITY, ..state() }, "lr_first is inf"),
        (State { lr_base: f64::NAN, ..state() }, "lr is NaN"),
        (cools(0, 5, 1.5), "cooldown.factor is 1.5"),
        (cools(0, 5, f64::NAN), "cooldown.factor is NaN"),
        (cools(0, 5, 0.0), "cooldown.factor is 0"),
        (cools(0, 0, 0.5), "cooldown.n_steps is 0"),
        (cools(3, 5, 0.5), "cooldown.begin is 3"),
        (State { step: u64::MAX, ..state() }, "step is"),
        (State { next_decision: 1 << 60, ..state() }, "next_decision is"),
        (State { recover_until: u64::MAX, ..state() }, "recover_until is"),
        (State { rollbacks: u64::MAX, ..state() }, "rollbacks is"),
        (State { policy: vec![1], ..state() }, "1 bytes"),
    ];
    for (state, message) in broken {
        let error = guarded.load_state(DriverState(state)).unwrap_err().to_string();
        assert!(error.contains(message), "{message}: {error}");
    }
    assert_eq!(guarded.state(), before);
}
