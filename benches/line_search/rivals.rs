//! The classical ways to choose a step on a full batch, as the rivals of `lr-line-search`. All count what they ask for.
//!
//! ```text
//! constant      x ← x - α ∇f(x)
//! Armijo        α first 2 × the last one taken, then halved until f(x - α ∇f) ≤ f(x) - c α ||∇f||²                      (Armijo 1966)
//! nonmonotone   the same with max(f of the last 10 iterates) in place of f(x)                          (Grippo, Lampariello, Lucidi 1986),
//!               and α first sᵀs / sᵀy with s, y the last differences of x and ∇f              (Barzilai, Borwein 1988; Raydan 1997):
//!               with doubling instead, steps that the rule lets pass grow until nothing converges
//! L-BFGS        d from the last 10 pairs (s, y), α by bisection for the weak Wolfe conditions   (Liu, Nocedal 1989; Lewis, Overton 2013)
//! ```
//!
//! Every one starts with the α it is given. c = 1e-4, for the curvature 0.9 (Nocedal and Wright 2006, chapter 3).

use std::collections::VecDeque;

/// Sufficient decrease: c of Armijo's condition, c1 of Wolfe's.
pub const DECREASE: f64 = 1e-4;
/// Curvature: c2 of Wolfe's conditions.
pub const CURVATURE: f64 = 0.9;
/// Iterates that the nonmonotone rule looks back on; pairs of L-BFGS.
pub const MEMORY: usize = 10;
/// Halvings or bisections before a search gives up and takes what it has.
const MAX_TRIALS: usize = 60;

/// What has been asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Values of f.
    pub values: u64,
    /// Gradients.
    pub gradients: u64,
}

/// The loss at a point, and its gradient where there is room for it.
pub type Function<'a> = dyn FnMut(&[f32], Option<&mut [f32]>) -> f64 + 'a;

/// A function that counts, until its last target is reached or its budget is spent.
pub struct Objective<'a> {
    f: &'a mut Function<'a>,
    targets: Vec<f64>,
    budget: u64,
    cost: Cost,
    /// What had been asked for when each target was reached.
    pub reached: Vec<Option<Cost>>,
    /// The lowest value seen.
    pub lowest: f64,
}

impl<'a> Objective<'a> {
    /// `f(x, grad)` gives f(x) and, where asked, writes its gradient. `budget` bounds values and gradients, each.
    pub fn new(f: &'a mut Function<'a>, targets: Vec<f64>, budget: u64) -> Self {
        let reached = vec![None; targets.len()];
        Self { f, targets, budget, cost: Cost::default(), reached, lowest: f64::INFINITY }
    }

    /// Whether nothing more is to be asked.
    pub fn is_over(&self) -> bool {
        let reached = !self.reached.is_empty() && self.reached.iter().all(Option::is_some);
        reached || self.cost.values.max(self.cost.gradients) >= self.budget
    }

    /// f(x).
    pub fn value(&mut self, x: &[f32]) -> f64 {
        let value = (self.f)(x, None);
        self.cost.values += 1;
        self.note(value)
    }

    /// The gradient where f is already known.
    pub fn gradient(&mut self, x: &[f32], grad: &mut [f32]) {
        (self.f)(x, Some(grad));
        self.cost.gradients += 1;
    }

    /// Both.
    pub fn both(&mut self, x: &[f32], grad: &mut [f32]) -> f64 {
        let value = (self.f)(x, Some(grad));
        self.cost.values += 1;
        self.cost.gradients += 1;
        self.note(value)
    }

    fn note(&mut self, value: f64) -> f64 {
        self.lowest = self.lowest.min(value);
        for (target, reached) in self.targets.iter().zip(&mut self.reached) {
            if value <= *target && reached.is_none() {
                *reached = Some(self.cost);
            }
        }
        value
    }
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    /// Gradient descent with the α it started with.
    Constant,
    /// Backtracking.
    Armijo,
    /// Backtracking from the step of Barzilai and Borwein, against the highest of the last values.
    Nonmonotone,
    /// Limited-memory quasi-Newton.
    Lbfgs,
}

impl Rival {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Constant, Self::Armijo, Self::Nonmonotone, Self::Lbfgs];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Armijo => "Armijo",
            Self::Nonmonotone => "nonmonotone",
            Self::Lbfgs => "L-BFGS",
        }
    }

    /// Minimizes from `x` until the objective is over; gives the last iterate.
    pub fn minimize(self, objective: &mut Objective, x: Vec<f32>, alpha: f64) -> Vec<f32> {
        match self {
            Self::Constant => constant(objective, x, alpha),
            Self::Armijo => backtracking(objective, x, alpha, false),
            Self::Nonmonotone => backtracking(objective, x, alpha, true),
            Self::Lbfgs => lbfgs(objective, x, alpha),
        }
    }
}

fn constant(objective: &mut Objective, mut x: Vec<f32>, alpha: f64) -> Vec<f32> {
    let mut grad = vec![0.0; x.len()];
    while !objective.is_over() {
        if !objective.both(&x, &mut grad).is_finite() {
            break;
        }
        x = moved(&x, &grad, -alpha);
    }
    x
}

fn backtracking(objective: &mut Objective, mut x: Vec<f32>, alpha: f64, nonmonotone: bool) -> Vec<f32> {
    let memory = if nonmonotone { MEMORY } else { 1 };
    let (mut grad, mut first) = (vec![0.0; x.len()], alpha);
    let mut last = VecDeque::from([objective.both(&x, &mut grad)]);
    while !objective.is_over() {
        let (square, reference) = (dot(&grad, &grad), last.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        let mut alpha = first;
        let mut candidate = moved(&x, &grad, -alpha);
        let mut value = objective.value(&candidate);
        // A value that is not a number is not below anything. At the smallest steps rounding hides the decrease.
        let is_enough = |value: f64, alpha: f64| value <= reference - DECREASE * alpha * square;
        let mut n_trials = 1;
        while !is_enough(value, alpha) && n_trials < MAX_TRIALS {
            if objective.is_over() {
                return x;
            }
            alpha *= 0.5;
            candidate = moved(&x, &grad, -alpha);
            value = objective.value(&candidate);
            n_trials += 1;
        }
        let mut new_grad = vec![0.0; x.len()];
        objective.gradient(&candidate, &mut new_grad);
        first = if nonmonotone { barzilai_borwein(&x, &candidate, &grad, &new_grad) } else { 2.0 * alpha };
        (x, grad) = (candidate, new_grad);
        last.push_back(value);
        if last.len() > memory {
            last.pop_front();
        }
    }
    x
}

/// sᵀs / sᵀy within [1e-10, 1e10]; the upper bound where the curvature is not positive (Raydan 1997).
fn barzilai_borwein(x: &[f32], next: &[f32], grad: &[f32], next_grad: &[f32]) -> f64 {
    let (s, y) = (difference(next, x), difference(next_grad, grad));
    let curvature = dot(&s, &y);
    if curvature > 0.0 { (dot(&s, &s) / curvature).clamp(1e-10, 1e10) } else { 1e10 }
}

fn lbfgs(objective: &mut Objective, mut x: Vec<f32>, alpha: f64) -> Vec<f32> {
    let mut grad = vec![0.0; x.len()];
    let mut value = objective.both(&x, &mut grad);
    let mut pairs: VecDeque<[Vec<f32>; 2]> = VecDeque::new();
    while !objective.is_over() {
        let mut direction = descent(&grad, &pairs);
        if dot(&direction, &grad) >= 0.0 {
            // Rounding has spoiled the pairs.
            pairs.clear();
            direction = descent(&grad, &pairs);
        }
        let first = if pairs.is_empty() { alpha } else { 1.0 };
        let found = weak_wolfe(objective, &x, value, &grad, &direction, first);
        let [s, y] = [difference(&found.x, &x), difference(&found.grad, &grad)];
        if dot(&s, &y) > 1e-10 * dot(&y, &y) {
            pairs.push_back([s, y]);
            if pairs.len() > MEMORY {
                pairs.pop_front();
            }
        }
        (x, value, grad) = (found.x, found.value, found.grad);
    }
    x
}

/// -H ∇f by the two loops of Nocedal 1980.
fn descent(grad: &[f32], pairs: &VecDeque<[Vec<f32>; 2]>) -> Vec<f32> {
    let mut q: Vec<f32> = grad.iter().map(|g| -g).collect();
    let mut weights = Vec::new();
    for [s, y] in pairs.iter().rev() {
        let weight = dot(s, &q) / dot(s, y);
        q = moved(&q, y, -weight);
        weights.push(weight);
    }
    if let Some([s, y]) = pairs.back() {
        let scale = (dot(s, y) / dot(y, y)) as f32;
        q.iter_mut().for_each(|v| *v *= scale);
    }
    for ([s, y], weight) in pairs.iter().zip(weights.into_iter().rev()) {
        q = moved(&q, s, weight - dot(y, &q) / dot(s, y));
    }
    q
}

/// Where a line search ended.
pub struct Found {
    /// The point,
    pub x: Vec<f32>,
    /// its value,
    pub value: f64,
    /// its gradient,
    pub grad: Vec<f32>,
    /// and the step that led there.
    pub alpha: f64,
}

/// A step along `direction` with sufficient decrease and enough curvature: bracketed by doubling, then bisected (Lewis and Overton 2013).
pub fn weak_wolfe(
    objective: &mut Objective,
    x: &[f32],
    value: f64,
    grad: &[f32],
    direction: &[f32],
    first: f64,
) -> Found {
    let slope = dot(direction, grad);
    let (mut low, mut high, mut alpha) = (0.0, f64::INFINITY, first);
    let mut trial = Found { x: x.to_vec(), value, grad: grad.to_vec(), alpha: 0.0 };
    let mut best = Found { x: x.to_vec(), value, grad: grad.to_vec(), alpha: 0.0 };
    for _ in 0..MAX_TRIALS {
        trial.x = moved(x, direction, alpha);
        trial.value = objective.both(&trial.x, &mut trial.grad);
        trial.alpha = alpha;
        let enough = trial.value <= value + DECREASE * alpha * slope;
        if enough && dot(direction, &trial.grad) >= CURVATURE * slope {
            return trial;
        }
        if enough {
            low = alpha;
            best = Found { x: trial.x.clone(), grad: trial.grad.clone(), ..trial };
        } else {
            high = alpha;
        }
        if objective.is_over() {
            break;
        }
        alpha = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * low };
    }
    best
}

/// x + α d
fn moved(x: &[f32], direction: &[f32], alpha: f64) -> Vec<f32> {
    x.iter().zip(direction).map(|(&x, &d)| (f64::from(x) + alpha * f64::from(d)) as f32).collect()
}

fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
