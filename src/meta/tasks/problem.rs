//! What a task minimizes: the loss and its gradient, on a minibatch or on the fixed evaluation batch.

use crate::meta::architecture::Net;
use crate::meta::mlp::Target;
use crate::meta::orthogonal::WeightMatrix;
use crate::rng::standard_normal_f32;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// What a task minimizes.
#[derive(Debug, Clone)]
pub enum Problem {
    /// `½ mean over the batch of (x - ξ)ᵀ H (x - ξ)`, H diagonal.
    Quadratic {
        /// The diagonal of H.
        curvature: Vec<f32>,
        /// Standard deviation of the mean of ξ over a batch.
        noise: f32,
    },
    /// A net on data.
    Net(Box<NetProblem>),
}

/// A net, its data and working memory.
#[derive(Debug, Clone)]
pub struct NetProblem {
    pub(in crate::meta) net: Net,
    pub(in crate::meta) n_in: usize,
    pub(in crate::meta) inputs: Vec<f32>,
    pub(in crate::meta) target: Target,
    /// Number of examples that are trained on, the first ones: all of them, unless something asks for a validation.
    pub(in crate::meta) n_train: usize,
    /// Largest number of examples in the fixed evaluation batch, which are the first ones of those trained on.
    pub(in crate::meta) n_evaluation: usize,
    /// Number of examples, the last ones, that are held out once something asks for a validation.
    pub(super) n_held_out: usize,
    /// Loss that nothing can be below on the evaluation batch, where the source of the examples knows it; else 0.
    pub(in crate::meta) floor: f64,
    pub(in crate::meta) batch_size: usize,
    pub(super) batch: Vec<f32>,
    pub(super) rows: Vec<usize>,
}

/// [`NetProblem::n_evaluation`] of the tasks that are drawn.
pub(super) const N_EVALUATION: usize = 256;

impl Problem {
    /// Number of parameters.
    pub fn n_params(&self) -> usize {
        match self {
            Self::Quadratic { curvature, .. } => curvature.len(),
            Self::Net(p) => p.net.n_params(),
        }
    }

    /// Loss that nothing can be below on the evaluation batch, where the source of the examples knows it; else 0.
    #[cfg(feature = "torch")]
    pub(in crate::meta) fn floor(&self) -> f64 {
        self.net().map_or(0.0, |p| p.floor)
    }

    /// Weight matrices among the parameters.
    pub(in crate::meta) fn matrices(&self) -> Vec<WeightMatrix> {
        match self {
            Self::Quadratic { .. } => Vec::new(),
            Self::Net(p) => p.net.matrices(),
        }
    }

    /// The net with its data, if the problem has one.
    #[cfg(feature = "torch")]
    pub(in crate::meta) fn net(&self) -> Option<&NetProblem> {
        match self {
            Self::Quadratic { .. } => None,
            Self::Net(p) => Some(p),
        }
    }

    /// Loss and gradient on a minibatch drawn by `rng`.
    pub fn loss_and_grad(&mut self, x: &[f32], grad: &mut [f32], rng: &mut ChaCha8Rng) -> f32 {
        match self {
            Self::Quadratic { curvature, noise } => {
                let mut loss = 0.0;
                for ((g, &x), &h) in grad.iter_mut().zip(x).zip(&*curvature) {
                    let d = x - *noise * standard_normal_f32(rng);
                    *g = h * d;
                    loss += 0.5 * h * d * d;
                }
                loss
            }
            Self::Net(p) => {
                p.rows.clear();
                p.batch.clear();
                for _ in 0..p.batch_size {
                    let row = draw_row(p.n_train, rng);
                    p.rows.push(row);
                    p.batch.extend_from_slice(&p.inputs[row * p.n_in..(row + 1) * p.n_in]);
                }
                p.net.loss_and_grad(x, &p.batch, &p.target, &p.rows, grad)
            }
        }
    }

    /// Loss and gradient on the fixed evaluation batch: for line searches, which need the same objective at every
    /// candidate. A task that is minimized by a line search trains on this batch alone.
    pub fn full_batch(&mut self, x: &[f32], grad: &mut [f32]) -> f32 {
        match self {
            Self::Quadratic { curvature, .. } => {
                grad.iter_mut().zip(x).zip(&*curvature).for_each(|((g, &x), &h)| *g = h * x);
                self.evaluate(x) as f32
            }
            Self::Net(p) => {
                let n = p.n_train.min(p.n_evaluation);
                p.net.loss_and_grad(x, &p.inputs[..n * p.n_in], &p.target, &[], grad)
            }
        }
    }

    /// The loss on the fixed evaluation batch, less its floor.
    pub fn evaluate(&mut self, x: &[f32]) -> f64 {
        match self {
            Self::Quadratic { curvature, noise } => x
                .iter()
                .zip(&*curvature)
                .map(|(&x, &h)| 0.5 * f64::from(h) * (f64::from(x).powi(2) + f64::from(*noise).powi(2)))
                .sum(),
            Self::Net(p) => {
                let n = p.n_train.min(p.n_evaluation);
                above_floor(f64::from(p.net.loss(x, &p.inputs[..n * p.n_in], &p.target, &[])), p.floor)
            }
        }
    }
}

/// How far a loss on the evaluation batch is above its floor. The examples are a sample, so a net may come below it by chance:
/// not less than a thousandth of the floor counts.
pub(in crate::meta) fn above_floor(loss: f64, floor: f64) -> f64 {
    if floor > 0.0 && loss.is_finite() { f64::max(loss - floor, 1e-3 * floor) } else { loss }
}

impl NetProblem {
    /// Number of examples, with those held out.
    pub(in crate::meta) fn n_examples(&self) -> usize {
        self.inputs.len() / self.n_in
    }
}

/// Row of the next example of a minibatch.
pub(in crate::meta) fn draw_row(n_train: usize, rng: &mut ChaCha8Rng) -> usize {
    rng.random_range(0..n_train)
}

#[cfg(test)]
mod tests {
    use crate::meta::TaskConfig;
    use crate::meta::tasks::Task;
    use crate::meta::tasks::draw::quadratic;
    use crate::rng::stream;

    #[test]
    fn the_gradient_of_a_quadratic_is_that_of_its_loss() {
        let mut rng = stream(1, "quadratic");
        let (mut problem, x) = quadratic(&mut rng);
        let mut grad = vec![0.0; x.len()];
        problem.loss_and_grad(&x, &mut grad, &mut stream(2, "batch"));
        let mut at = |h: f32| {
            let mut moved = x.clone();
            moved[0] += h;
            f64::from(problem.loss_and_grad(&moved, &mut vec![0.0; x.len()], &mut stream(2, "batch")))
        };
        let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
        assert!((numeric - f64::from(grad[0])).abs() < 2e-2 * (1.0 + numeric.abs()), "{numeric} against {}", grad[0]);
    }

    #[test]
    fn the_full_batch_is_the_evaluation_batch_and_its_gradient_that_of_the_evaluation() {
        for (seed, families) in [(1, [1.0, 0.0, 0.0, 0.0]), (2, [0.0, 0.0, 1.0, 0.0]), (3, [0.0, 0.0, 0.0, 1.0])] {
            let config = TaskConfig { families: families.to_vec(), ..TaskConfig::default() };
            let mut task = Task::draw(&config, &mut stream(seed, "task"));
            task.full_batch = true;
            let (x, mut grad) = (task.start.clone(), vec![0.0; task.start.len()]);
            let loss = task.loss_and_grad(&x, &mut grad, &mut stream(0, "unused"));
            assert!((f64::from(loss) - task.problem.evaluate(&x)).abs() < 1e-6 * f64::from(loss.abs().max(1.0)));
            // Along the gradient the loss rises at the rate of its squared norm.
            let square: f64 = grad.iter().map(|&g| f64::from(g).powi(2)).sum();
            let step = 1e-3 / square.sqrt();
            let mut at = |sign: f64| {
                let moved: Vec<f32> =
                    x.iter().zip(&grad).map(|(&x, &g)| x + (sign * step * f64::from(g)) as f32).collect();
                task.problem.evaluate(&moved)
            };
            let slope = (at(1.0) - at(-1.0)) / (2.0 * step);
            assert!((slope - square).abs() < 0.05 * square + 1e-6, "{families:?}: {slope} against {square}");
        }
    }
}
