use super::*;
use crate::policy::Move;
use crate::rng::stream;
use rand::RngExt;

/// Says what it was told to say, then accepts.
struct Script(Vec<Action>, usize);
impl Script {
    fn of(actions: &[Action]) -> Self {
        Self(actions.to_vec(), 0)
    }
}
impl Policy for Script {
    fn decide(&mut self, _: &Signals) -> Decision {
        let action = self.0.get(self.1).copied().unwrap_or(Action::ACCEPT);
        self.1 += 1;
        Decision::of(action, Reason::Policy)
    }
}

const GROW_LR: Action = Action { lr: Move::Grow, weight_decay: Move::Accept };
const HALVE_DECAY: Action = Action { lr: Move::Accept, weight_decay: Move::Halve };
const GROW_DECAY: Action = Action { lr: Move::Accept, weight_decay: Move::Grow };

/// Not quadratic, not separable: f = Σ (i + 1) x_i² / 2 + cos(x_0 x_1) + x_1⁴ / 4.
fn valley(x: &[f32], grad: &mut [f32]) -> f64 {
    let mut f = 0.0;
    for (i, (&x, g)) in x.iter().zip(grad.iter_mut()).enumerate() {
        *g = (i + 1) as f32 * x;
        f += 0.5 * f64::from(*g * x);
    }
    let sine = (x[0] * x[1]).sin();
    grad[0] -= sine * x[1];
    grad[1] -= sine * x[0] - x[1].powi(3);
    f + f64::from((x[0] * x[1]).cos()) + 0.25 * f64::from(x[1]).powi(4)
}

const X1: [f32; 3] = [1.3, -0.7, 0.4];

fn gradient(x: &[f32]) -> Vec<f32> {
    let mut grad = vec![0.0; x.len()];
    valley(x, &mut grad);
    grad
}

fn search(lr: f64, weight_decay: f64, config: LineSearchConfig) -> LineSearch {
    LineSearch::new(lr, weight_decay, config, DriverConfig::default()).unwrap()
}

/// Every iterate x_1 to x_T; the policy is asked at the warm-up steps too, so a script has an entry for each step.
fn iterates(script: &[Action], search: LineSearch, n_steps: usize) -> Vec<Vec<f32>> {
    let mut visited = Vec::new();
    let visit = |x: &[f32], grad: &mut [f32]| {
        visited.push(x.to_vec());
        valley(x, grad)
    };
    let found = minimize(visit, &X1, &mut Script::of(script), search, n_steps).unwrap();
    assert_eq!(Some(&found.x), visited.last(), "the result is x_T");
    visited
}

fn axpy(x: &[f32], alpha: f64, d: &[f32]) -> Vec<f32> {
    x.iter().zip(d).map(|(x, d)| x + alpha as f32 * d).collect()
}

/// -∇g_λ(x) = -(∇f(x) + 2 λ x)
fn descent(x: &[f32], lambda: f64) -> Vec<f32> {
    x.iter().zip(gradient(x)).map(|(x, g)| -(g + (2.0 * lambda) as f32 * x)).collect()
}

/// Algorithm 1, with the warm-up of Algorithm 3, line by line.
fn algorithm_1(script: &[Action], alpha_c: f64, m: usize, n_steps: usize) -> Vec<Vec<f32>> {
    let mut x = vec![X1.to_vec()];
    for t in 1..m.min(n_steps) {
        x.push(axpy(&x[t - 1], alpha_c, &descent(&x[t - 1], 0.0)));
    }
    let mut x_bar = x.last().unwrap().clone();
    let (mut d, mut alpha) = (descent(&x_bar, 0.0), alpha_c);
    for t in m..n_steps {
        match script[t - 1].lr {
            Move::Halve => alpha *= 0.5,
            Move::Grow => alpha *= 1.25,
            Move::Accept => {
                x_bar = x[t - 1].clone();
                d = descent(&x_bar, 0.0);
                alpha = alpha_c;
            }
        }
        x.push(axpy(&x_bar, alpha, &d));
    }
    x
}

/// Algorithm 2, with the warm-up of Algorithm 4, line by line; `moving` is our default reading of the direction.
fn algorithm_2(
    script: &[Action],
    (alpha, lambda_c): (f64, f64),
    m: usize,
    n_steps: usize,
    moving: bool,
) -> Vec<Vec<f32>> {
    let mut x = vec![X1.to_vec()];
    for t in 1..m.min(n_steps) {
        x.push(axpy(&x[t - 1], alpha, &descent(&x[t - 1], lambda_c)));
    }
    let mut x_bar = x.last().unwrap().clone();
    let (mut d, mut lambda) = (descent(&x_bar, lambda_c), lambda_c);
    for t in m..n_steps {
        match script[t - 1].weight_decay {
            Move::Halve => lambda *= 0.5,
            Move::Grow => lambda *= 1.25,
            Move::Accept => {
                x_bar = x[t - 1].clone();
                d = descent(&x_bar, lambda);
                lambda = lambda_c;
            }
        }
        if moving {
            d = descent(&x_bar, lambda);
        }
        x.push(axpy(&x_bar, alpha, &d));
    }
    x
}

fn random_script(choices: [Action; 3], seed: u64, n: usize) -> Vec<Action> {
    let mut rng = stream(seed, "script");
    (0..n).map(|_| choices[rng.random_range(0..3)]).collect()
}

#[test]
fn always_accepting_is_plain_gradient_descent() {
    for (memory, weight_decay) in [(1, 0.0), (5, 0.0), (5, 0.02)] {
        for reset_on_accept in [true, false] {
            let config = LineSearchConfig { memory, reset_on_accept, ..LineSearchConfig::default() };
            let mut x = X1.to_vec();
            for visited in iterates(&[], search(0.1, weight_decay, config), 40) {
                assert_eq!(visited, x);
                x = axpy(&x, 0.1, &descent(&x, 0.5 * weight_decay));
            }
        }
    }
}

#[test]
fn every_iterate_is_that_of_algorithm_1() {
    for seed in 0..20 {
        for memory in [1, 4] {
            let script = random_script([Action::HALVE_LR, Action::ACCEPT, GROW_LR], seed, 60);
            let config = LineSearchConfig { memory, ..LineSearchConfig::default() };
            let found = iterates(&script, search(0.15, 0.0, config), 60);
            assert_eq!(found, algorithm_1(&script, 0.15, memory as usize, 60), "seed {seed}, M = {memory}");
        }
    }
}

#[test]
fn every_iterate_is_that_of_algorithm_2_in_either_reading() {
    for seed in 0..20 {
        for (memory, direction) in [
            (1, SearchDirection::Literal),
            (4, SearchDirection::Literal),
            (1, SearchDirection::Current),
            (4, SearchDirection::Current),
        ] {
            let script = random_script([HALVE_DECAY, Action::ACCEPT, GROW_DECAY], seed, 60);
            let config = LineSearchConfig { memory, direction, ..LineSearchConfig::default() };
            // PyTorch's weight decay is 2 λ.
            let found = iterates(&script, search(0.1, 2.0 * 0.05, config), 60);
            let expected =
                algorithm_2(&script, (0.1, 0.05), memory as usize, 60, direction == SearchDirection::Current);
            assert_eq!(found, expected, "seed {seed}, M = {memory}, {direction:?}");
        }
    }
}

#[test]
fn halving_retries_from_the_base_with_half_the_step() {
    let config = LineSearchConfig { memory: 1, ..LineSearchConfig::default() };
    let x = iterates(&[Action::HALVE_LR; 4], search(0.4, 0.0, config), 4);
    let d = descent(&X1, 0.0);
    assert_eq!(x[1..], [axpy(&X1, 0.2, &d), axpy(&X1, 0.1, &d), axpy(&X1, 0.05, &d)]);
}

#[test]
fn accepting_resets_the_step_size_unless_told_to_keep_it() {
    for (reset_on_accept, expected) in [(true, 0.4), (false, 0.1)] {
        let config = LineSearchConfig { memory: 1, reset_on_accept, ..LineSearchConfig::default() };
        let mut search = search(0.4, 0.0, config);
        for action in [Action::HALVE_LR, Action::HALVE_LR, Action::ACCEPT] {
            search.advance(Decision::of(action, Reason::Policy), true).unwrap();
        }
        assert!((search.lr() - expected).abs() < 1e-12);
        assert_eq!(search.counts(), DecisionCounts { halve: 2, accept: 1, grow: 0 });
    }
}

#[test]
fn moving_the_weight_decay_moves_the_parameters() {
    // In the published code λ never entered the gradient.
    let config = LineSearchConfig { memory: 2, ..LineSearchConfig::default() };
    let after = |action| iterates(&[Action::ACCEPT, action], search(0.1, 0.2, config), 3).pop().unwrap();
    let (halved, accepted, grown) = (after(HALVE_DECAY), after(Action::ACCEPT), after(GROW_DECAY));
    for i in 0..X1.len() {
        assert!(halved[i].abs() > accepted[i].abs() && accepted[i].abs() > grown[i].abs(), "{i}");
    }
}

#[test]
fn read_literally_halving_and_growing_the_weight_decay_leave_the_candidate_where_it_was() {
    let config = LineSearchConfig { memory: 1, direction: SearchDirection::Literal, ..LineSearchConfig::default() };
    let x = iterates(&[HALVE_DECAY, GROW_DECAY, HALVE_DECAY, GROW_DECAY], search(0.1, 0.2, config), 5);
    assert!(x[1] != x[0] && x[2..].iter().all(|later| *later == x[1]), "{x:?}");
}

#[test]
fn a_candidate_that_is_not_finite_is_never_accepted() {
    // -2 ln x, whose loss or gradient is lost from 3 on: a step of 16 from ½ lands there.
    let f = |lost_gradient: bool| {
        move |x: &[f32], grad: &mut [f32]| {
            let lost = x[0] >= 3.0;
            grad[0] = if lost && lost_gradient { f32::INFINITY } else { -2.0 / x[0] };
            if lost && !lost_gradient { f64::NAN } else { -2.0 * f64::from(x[0]).ln() }
        }
    };
    for (memory, lost_gradient) in [(1, true), (1, false), (6, true), (6, false)] {
        let config = LineSearchConfig { memory, ..LineSearchConfig::default() };
        let (start, mut policy) = (search(4.0, 0.0, config), Script::of(&[]));
        let found = minimize(f(lost_gradient), &[0.5], &mut policy, start.clone(), 5).unwrap();
        // From ½ with α = 4, 2, 1, ½: 16½, 8½, 4½, 2½. The first three are lost.
        assert_eq!((found.x, found.search.counts().halve), (vec![2.5], 3));
        let found = minimize(f(lost_gradient), &[0.5], &mut policy, start, 6).unwrap();
        assert!((found.x[0] - 5.7).abs() < 1e-6, "2½ is accepted, and α is 4 again: {:?}", found.x);
    }
}

#[test]
fn a_schedule_is_refused_but_not_during_the_warm_up() {
    let config = LineSearchConfig { memory: 3, ..LineSearchConfig::default() };
    let mut search = search(0.1, 0.0, config);
    let scheduled = Decision::scheduled(0.9);
    for _ in 0..2 {
        assert!(search.is_warming_up());
        assert_eq!(search.advance(scheduled, true).unwrap().decision, None);
    }
    assert!(!search.is_warming_up());
    assert_eq!(search.advance(scheduled, true), Err(LineSearchError::NoAction { step: 2 }));
}

#[test]
fn the_policy_sees_the_slope_along_the_direction_from_the_base() {
    struct Look(Vec<f64>);
    impl Policy for Look {
        fn decide(&mut self, signals: &Signals) -> Decision {
            self.0.push(signals.measured.grad_dot);
            let action = if self.0.len() == 2 { Action::HALVE_LR } else { Action::ACCEPT };
            Decision::of(action, Reason::Policy)
        }
    }
    // f = x²/2 from 1 with α = ½, M = 1: x = 1, ½ (halved: retry from 1 with ¼), ¾.
    let mut look = Look(Vec::new());
    let bowl = |x: &[f32], grad: &mut [f32]| {
        grad.copy_from_slice(x);
        0.5 * f64::from(x[0] * x[0])
    };
    let config = LineSearchConfig { memory: 1, ..LineSearchConfig::default() };
    minimize(bowl, &[1.0], &mut look, search(0.5, 0.0, config), 4).unwrap();
    assert!(look.0[0].is_nan() && look.0[1..] == [0.5, 0.75], "{:?}", look.0);
}

#[test]
fn a_saved_search_goes_on_identically_and_its_trace_names_the_values_from_here_on() {
    let script = random_script([Action::HALVE_LR, Action::ACCEPT, GROW_DECAY], 4, 30);
    let mut search = search(0.3, 0.01, LineSearchConfig { memory: 3, reset_on_accept: false, ..Default::default() });
    for (i, &action) in script.iter().enumerate() {
        let saved = crate::artifact::to_bytes(&search);
        let mut again: LineSearch = crate::artifact::from_bytes(&saved).unwrap();
        let decided = Decision::of(action, Reason::Policy);
        let step = search.advance(decided, true).unwrap();
        assert_eq!(again.advance(decided, true).unwrap(), step);
        assert_eq!(again, search);
        let policy = Script::of(&[]);
        let record = search.record(&step, 2.0, &policy);
        assert_eq!(record.map(|r| (r.step, r.lr)), (i >= 2).then(|| (i as u64, search.lr())));
    }
}

#[test]
fn impossible_settings_are_refused_by_name() {
    let new = |lr, weight_decay, memory| {
        let config = LineSearchConfig { memory, ..LineSearchConfig::default() };
        LineSearch::new(lr, weight_decay, config, DriverConfig::default()).map(|_| ())
    };
    assert!(matches!(new(0.1, 0.0, 0), Err(LineSearchError::OutOfRange(OutOfRange { key, .. })) if key == "memory"));
    assert!(matches!(new(0.1, 0.0, 33), Err(LineSearchError::OutOfRange(OutOfRange { key, .. })) if key == "memory"));
    assert!(new(0.1, 0.0, 32).is_ok() && new(0.1, 0.0, 1).is_ok());
    assert!(matches!(new(-0.1, 0.0, 1), Err(LineSearchError::OutOfRange(_))));
    assert!(matches!(new(0.1, f64::NAN, 1), Err(LineSearchError::OutOfRange(_))));
    assert!(toml::from_str::<LineSearchConfig>("reset_on_accept = false\ndirection = 'literal'").is_ok());
    assert!(toml::from_str::<LineSearchConfig>("reset-on-accept = false").is_err());
}
