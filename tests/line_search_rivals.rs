//! The rivals that the bench `line_search` compares with do what their papers say.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "the names are for the bench's table")]
#[path = "../benches/line_search/rivals.rs"]
mod rivals;

use rivals::{Cost, Objective, Rival, weak_wolfe};

/// `½ Σ h x²`, h from 1 down to `1 / condition`; remembers the points whose gradient was asked for.
fn quadratic(condition: f64, asked: &mut Vec<Vec<f32>>) -> impl FnMut(&[f32], Option<&mut [f32]>) -> f64 {
    move |x, grad| {
        let h = |i: usize| condition.powf(-(i as f64) / (x.len() - 1) as f64);
        if let Some(grad) = grad {
            (0..x.len()).for_each(|i| grad[i] = (h(i) * f64::from(x[i])) as f32);
            asked.push(x.to_vec());
        }
        (0..x.len()).map(|i| 0.5 * h(i) * f64::from(x[i]).powi(2)).sum()
    }
}

fn value(condition: f64, x: &[f32]) -> f64 {
    quadratic(condition, &mut Vec::new())(x, None)
}

#[test]
fn every_rival_reaches_the_minimum_of_a_quadratic_from_any_start_that_it_can_take() {
    for rival in Rival::ALL {
        let starts: &[f64] = if rival == Rival::Constant { &[0.5] } else { &[1e-4, 1e-2, 1.0, 100.0] };
        for &start in starts {
            let mut asked = Vec::new();
            let mut f = quadratic(20.0, &mut asked);
            let mut objective = Objective::new(&mut f, vec![1e-6], 2000);
            rival.minimize(&mut objective, vec![1.0; 8], start);
            let cost = objective.reached[0].unwrap_or_else(|| panic!("{rival:?} from {start}: {}", objective.lowest));
            assert!(cost.gradients <= cost.values && cost.gradients < 400, "{rival:?} from {start}: {cost:?}");
        }
    }
}

#[test]
fn l_bfgs_needs_a_hundredth_of_what_gradient_descent_needs_on_a_narrow_valley() {
    let needs = |rival: Rival, budget| {
        let mut asked = Vec::new();
        let mut f = quadratic(1e4, &mut asked);
        let mut objective = Objective::new(&mut f, vec![1e-6], budget);
        rival.minimize(&mut objective, vec![1.0; 10], 1.0);
        objective.reached[0].map(|cost| cost.gradients)
    };
    // ½ h (1 - h)^2t of the smallest h = 1e-4 falls from 5e-5 to 1e-6 within t = ln(50) / 2h, about 19,500 steps.
    assert!(needs(Rival::Lbfgs, 2000).unwrap() < 150);
    assert_eq!(needs(Rival::Constant, 15_000), None);
}

#[test]
fn constant_steps_follow_the_closed_form() {
    let mut asked = Vec::new();
    let mut f = quadratic(1.0, &mut asked);
    let mut objective = Objective::new(&mut f, Vec::new(), 5);
    let x = Rival::Constant.minimize(&mut objective, vec![1.0; 2], 0.25);
    assert!((f64::from(x[0]) - 0.75f64.powi(5)).abs() < 1e-6, "x shrinks by 1 - α h a step");
}

#[test]
fn backtracking_accepts_sufficient_decrease_only_and_the_nonmonotone_one_looks_back_ten_values() {
    for (rival, memory) in [(Rival::Armijo, 1), (Rival::Nonmonotone, 10)] {
        let mut iterates = Vec::new();
        let mut f = quadratic(100.0, &mut iterates);
        let mut objective = Objective::new(&mut f, Vec::new(), 120);
        rival.minimize(&mut objective, vec![1.0; 6], 64.0);
        drop(f);
        let values: Vec<f64> = iterates.iter().map(|x| value(100.0, x)).collect();
        let mut n_rises = 0;
        for (k, pair) in iterates.windows(2).enumerate() {
            // The step was -α ∇f: α from the two iterates, ∇f from the first.
            let mut grad = vec![0.0; 6];
            quadratic(100.0, &mut Vec::new())(&pair[0], Some(&mut grad));
            let moved: f64 = pair[0].iter().zip(&pair[1]).zip(&grad).map(|((a, b), g)| f64::from((a - b) * g)).sum();
            let highest = values[(k + 1).saturating_sub(memory)..=k].iter().copied().fold(0.0, f64::max);
            assert!(values[k + 1] <= highest - 1e-4 * moved + 1e-6 * highest, "{rival:?} at {k}");
            n_rises += usize::from(values[k + 1] > values[k] * (1.0 + 1e-6));
        }
        assert_eq!(n_rises > 0, rival == Rival::Nonmonotone, "{rival:?} rose {n_rises} times");
    }
}

#[test]
fn a_step_of_weak_wolfe_decreases_enough_and_flattens_the_slope() {
    for first in [1e-5, 0.3, 50.0] {
        let mut asked = Vec::new();
        let mut f = quadratic(30.0, &mut asked);
        let x = [1.0f32, -2.0, 3.0];
        let mut grad = vec![0.0; 3];
        let before = f(&x, Some(&mut grad));
        let direction: Vec<f32> = grad.iter().map(|g| -g).collect();
        let mut objective = Objective::new(&mut f, Vec::new(), 1000);
        let found = weak_wolfe(&mut objective, &x, before, &grad, &direction, first);
        let slope = |g: &[f32]| g.iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum::<f64>();
        assert!(found.alpha > 0.0 && found.value <= before + rivals::DECREASE * found.alpha * slope(&grad));
        assert!(slope(&found.grad) >= rivals::CURVATURE * slope(&grad));
    }
}

#[test]
fn an_objective_notes_what_each_target_cost_and_ends_with_its_budget() {
    let mut f = |x: &[f32], _: Option<&mut [f32]>| f64::from(x[0]);
    let mut objective = Objective::new(&mut f, vec![2.0, 1.0], 4);
    objective.value(&[3.0]);
    objective.both(&[2.0], &mut [0.0]);
    assert_eq!(objective.reached, [Some(Cost { values: 2, gradients: 1 }), None]);
    assert!(!objective.is_over());
    objective.value(&[1.5]);
    objective.value(&[1.5]);
    assert!(objective.is_over() && objective.reached[1].is_none());
    assert!((objective.lowest - 1.5).abs() < 1e-12);
}
