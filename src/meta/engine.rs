//! What runs the inner loops: the plain-Rust kernel, or many nets at once in tch.

#[cfg(feature = "torch")]
use super::batched::Batched;
use super::recipe::TrainingRecipe;
use super::rollout::{Run, rollout};
use super::tasks::{Family, Task};
use crate::driver::{Driver, DriverError};
use crate::parallel::parallel;
use crate::policy::Policy;

/// What runs the inner loops of a meta-training, its validation included.
///
/// | Engine | Where | For |
/// |---|---|---|
/// | [`Engine::Kernel`] | plain Rust, one net a thread, its state in cache | a CPU |
/// | [`Engine::Tch`] | all nets of a kind at once, as batched matrix products | a GPU, with thousands of episodes a round |
///
/// Both draw the same tasks and the same batches. Floats are added up in another order, so the trajectories of a task agree to rounding, as long
/// as they do not blow it up, and the bytes of the results differ. With either, the same seed gives the same bytes on a CPU (for tch: with the
/// same number of threads).
///
/// ```
/// use qgd::meta::Engine;
/// assert_eq!(Engine::from(2), Engine::Kernel { n_threads: 2 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Engine {
    /// The kernel.
    Kernel {
        /// On so many threads.
        n_threads: usize,
    },
    /// Batched in tch.
    #[cfg(feature = "torch")]
    Tch {
        /// Where the nets are.
        device: tch::Device,
        /// For what the host does: data, batches, decisions.
        n_threads: usize,
    },
}

/// An engine cannot run this.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// libtorch refused an operation.
    #[cfg(feature = "torch")]
    #[error("libtorch: {0}")]
    Tch(#[from] tch::TchError),
    /// A task has a start that no driver takes.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// Line searches are for the kernel.
    #[error(
        "the recipe '{recipe}' has a [line_search], which only the kernel runs: leave out --engine tch and --device cuda"
    )]
    LineSearch {
        /// Its name.
        recipe: String,
    },
    /// A family is for tch.
    #[error(
        "the recipe '{recipe}' has tasks of family {family} (weight {weight} in training.tasks.families), which the kernel cannot compute: use --engine tch"
    )]
    Family {
        /// Its name.
        recipe: String,
        /// Which family.
        family: &'static str,
        /// Its share.
        weight: f64,
    },
}

impl From<usize> for Engine {
    /// The kernel on so many threads.
    fn from(n_threads: usize) -> Self {
        Self::Kernel { n_threads }
    }
}

impl Engine {
    /// Threads of the host.
    pub fn n_threads(&self) -> usize {
        match *self {
            Self::Kernel { n_threads } => n_threads,
            #[cfg(feature = "torch")]
            Self::Tch { n_threads, .. } => n_threads,
        }
    }

    /// Whether it can run what this recipe asks for.
    ///
    /// # Errors
    /// When it cannot: line searches run in the kernel alone, convolutional and recurrent nets in tch.
    pub fn check(&self, recipe: &TrainingRecipe) -> Result<(), EngineError> {
        let is_kernel = matches!(self, Self::Kernel { .. });
        let name = || recipe.controller.name.clone();
        if recipe.controller.line_search.is_some() && !is_kernel {
            return Err(EngineError::LineSearch { recipe: name() });
        }
        let weights = Family::ALL.iter().zip(&recipe.training.tasks.families).skip(Family::N_IN_KERNEL);
        match weights.filter(|_| is_kernel).find(|&(_, &weight)| weight > 0.0) {
            None => Ok(()),
            Some((family, &weight)) => Err(EngineError::Family { recipe: name(), family: family.name(), weight }),
        }
    }

    /// `n` runs as [`rollout`] makes one, each of a task and a driver that `start` sets up; the drivers and what became of the runs, in order.
    ///
    /// # Errors
    /// When libtorch refuses an operation (a GPU without memory for so many nets, for one), or `start` fails.
    pub fn rollouts<P: Policy>(
        &self,
        n: usize,
        start: impl Fn(usize) -> Result<(Task, Driver<P>), DriverError> + Sync,
        evaluate_decisions: bool,
    ) -> Result<Vec<(Driver<P>, Run)>, EngineError> {
        match *self {
            Self::Kernel { n_threads } => {
                let run = |i| {
                    let (mut task, mut driver) = start(i)?;
                    let run = rollout(&mut task, &mut driver, evaluate_decisions);
                    Ok((driver, run))
                };
                parallel(n, n_threads, run).into_iter().collect()
            }
            #[cfg(feature = "torch")]
            Self::Tch { device, n_threads } => {
                let runs: Result<Vec<_>, DriverError> = parallel(n, n_threads, start).into_iter().collect();
                Ok(Batched { device, n_threads }.rollouts(runs?, evaluate_decisions)?)
            }
        }
    }
}
