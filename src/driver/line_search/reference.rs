//! Line search on slices: the reference for every other use of [`LineSearch`].

use super::{LineSearch, LineSearchError};
use crate::policy::{Measure, Measured, Policy};

/// Result of [`minimize`].
#[derive(Debug, Clone, PartialEq)]
pub struct Minimized {
    /// x_T.
    pub x: Vec<f32>,
    /// f(x_1) to f(x_T).
    pub losses: Vec<f64>,
    /// Search at the end, with its counts.
    pub search: LineSearch,
}

/// Minimizes a function by `n_steps` steps of Q-gradient descent from `x1`: the reference for every other use of
/// [`LineSearch`].
///
/// `f_and_grad(x, grad)` returns f(x) and writes ∇f(x) into `grad`, without the penalty.
///
/// # Errors
/// When the policy names no action.
pub fn minimize(
    mut f_and_grad: impl FnMut(&[f32], &mut [f32]) -> f64,
    x1: &[f32],
    policy: &mut dyn Policy,
    mut search: LineSearch,
    n_steps: usize,
) -> Result<Minimized, LineSearchError> {
    let n = x1.len();
    let (mut x, mut grad) = (x1.to_vec(), vec![0.0; n]);
    let (mut base, mut base_grad) = (x1.to_vec(), vec![f32::NAN; n]);
    let (mut measure, mut losses) = (Measure::default(), Vec::with_capacity(n_steps));
    for t in 1..=n_steps {
        let loss = f_and_grad(&x, &mut grad);
        losses.push(loss);
        // x_{T+1} would never be looked at: x_T is the result.
        if t < n_steps {
            let w = search.direction_weight_decay();
            let grad_is_finite = grad.iter().all(|g| g.is_finite());
            // A gradient that is not finite would stay in the averages for ever.
            let measured = if grad_is_finite { measure.measure(&x, &grad) } else { Measured::default() };
            let measured = Measured { grad_dot: descent_dot(&base, &base_grad, w, &grad), ..measured };
            let step = search.next_step(policy, loss, &measured, grad_is_finite)?;
            step.apply(&mut x, &grad, &mut base, &mut base_grad);
        }
    }
    Ok(Minimized { x, losses, search })
}

/// -⟨d(x̄), ∇f(x_t)⟩ with d(x̄) = -(∇f(x̄) + w x̄).
fn descent_dot(base: &[f32], base_grad: &[f32], w: f64, grad: &[f32]) -> f64 {
    let terms = base.iter().zip(base_grad).zip(grad);
    terms.map(|((&b, &g), &now)| (f64::from(g) + w * f64::from(b)) * f64::from(now)).sum()
}
