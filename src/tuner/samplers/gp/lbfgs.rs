//! Smooth minimization inside a box: L-BFGS with projection.
//!
//! Two-loop recursion of Nocedal 1980 (10.1090/S0025-5718-1980-0572855-7) over the coordinates that are free: one at a
//! bound whose descent direction points outside is held for this step (Bertsekas 1982, 10.1137/0320018). The step is
//! halved until the value falls enough (Armijo).

/// Number of pairs of a step and a change of the gradient that are kept.
const MEMORY: usize = 8;

/// The point with the smallest value that was found in at most `n_steps` steps from `start`, and that value.
///
/// `f` answers the value and the gradient at a point. `bounds` has one pair for each coordinate.
pub(super) fn minimize(
    start: &[f64],
    bounds: &[(f64, f64)],
    n_steps: usize,
    mut f: impl FnMut(&[f64]) -> (f64, Vec<f64>),
) -> (Vec<f64>, f64) {
    let project =
        |x: Vec<f64>| -> Vec<f64> { x.iter().zip(bounds).map(|(x, (low, high))| x.clamp(*low, *high)).collect() };
    let mut x = project(start.to_vec());
    let (mut value, mut gradient) = f(&x);
    let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for _ in 0..n_steps {
        let held: Vec<bool> = (0..x.len())
            .map(|i| (x[i] <= bounds[i].0 && gradient[i] > 0.0) || (x[i] >= bounds[i].1 && gradient[i] < 0.0))
            .collect();
        let free: Vec<f64> = gradient.iter().zip(&held).map(|(g, held)| if *held { 0.0 } else { *g }).collect();
        let steepness = dot(&free, &free).sqrt();
        if !value.is_finite() || steepness < 1e-9 || steepness.is_nan() {
            break;
        }
        let mut direction = newton_like(&free, &held, &pairs);
        if dot(&direction, &free) >= 0.0 {
            pairs.clear();
            direction = free.iter().map(|g| -g).collect();
        }
        // At the first step the scale is not known: it goes at most a tenth.
        let mut length = if pairs.is_empty() { (0.1 / steepness).min(1.0) } else { 1.0 };
        let mut found = None;
        for _ in 0..20 {
            let next = project(x.iter().zip(&direction).map(|(x, d)| x + length * d).collect());
            let moved: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
            let (next_value, next_gradient) = f(&next);
            if next_value <= value + 1e-4 * dot(&free, &moved) && next_value.is_finite() {
                found = Some((next, moved, next_value, next_gradient));
                break;
            }
            length *= 0.5;
        }
        let Some((next, moved, next_value, next_gradient)) = found else { break };
        let change: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let (fell, steps) = (value - next_value, dot(&moved, &moved).sqrt());
        if dot(&moved, &change) > 1e-12 * steps * dot(&change, &change).sqrt() {
            pairs.push((moved, change));
            pairs.drain(..pairs.len().saturating_sub(MEMORY));
        }
        (x, value, gradient) = (next, next_value, next_gradient);
        if fell <= 1e-9 * (1.0 + value.abs()) || steps < 1e-9 {
            break;
        }
    }
    (x, value)
}

/// -H g, where H approximates the inverse of the Hessian over the coordinates that are not held.
fn newton_like(gradient: &[f64], held: &[bool], pairs: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let masked = |v: &[f64]| -> Vec<f64> { v.iter().zip(held).map(|(v, held)| if *held { 0.0 } else { *v }).collect() };
    let pairs: Vec<(Vec<f64>, Vec<f64>)> = pairs.iter().map(|(s, y)| (masked(s), masked(y))).collect();
    let pairs: Vec<&(Vec<f64>, Vec<f64>)> = pairs.iter().filter(|(s, y)| dot(s, y) > 1e-300).collect();
    let mut q = gradient.to_vec();
    let mut alphas = Vec::new();
    for (s, y) in pairs.iter().rev() {
        let alpha = dot(s, &q) / dot(s, y);
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((s, y)) = pairs.last() {
        let scale = dot(s, y) / dot(y, y);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y), alpha) in pairs.iter().zip(alphas.iter().rev()) {
        let beta = dot(y, &q) / dot(s, y);
        q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    q.iter().map(|q| -q).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rosenbrock(x: &[f64]) -> (f64, Vec<f64>) {
        let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
        (a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
    }

    #[test]
    fn it_follows_a_bent_valley_to_its_end() {
        let (x, value) = minimize(&[-1.2, 1.0], &[(-5.0, 5.0); 2], 200, rosenbrock);
        assert!(value < 1e-10 && (x[0] - 1.0).abs() < 1e-4, "{x:?}: {value}");
    }

    #[test]
    fn it_stops_at_a_bound() {
        // On the edge x = 0.5 the lowest point is y = 0.25.
        let (x, _) = minimize(&[-1.2, 1.0], &[(-5.0, 0.5), (-5.0, 5.0)], 200, rosenbrock);
        assert!((x[0] - 0.5).abs() < 1e-9 && (x[1] - 0.25).abs() < 1e-5, "{x:?}");
    }

    #[test]
    fn what_is_no_number_ends_it() {
        let (x, _) = minimize(&[0.5], &[(0.0, 1.0)], 50, |_| (f64::NAN, vec![f64::NAN]));
        assert!((x[0] - 0.5).abs() <= 0.0);
    }
}
