//! What runs the inner loops: the plain-Rust kernel, or many nets at once in tch.

#[cfg(feature = "torch")]
use super::batched::Batched;
use super::recipe::TrainingRecipe;
use super::rollout::{Run, rollout};
use super::tasks::{Family, Task};
use crate::driver::{Driver, DriverError};
use crate::parallel::parallel;
use crate::policy::Policy;

/// What runs the inner loops of a meta-training and of its validation.
///
/// | Engine | Where | For |
/// |---|---|---|
/// | [`Engine::Kernel`] | plain Rust, one net on each thread, its state in cache | a CPU |
/// | `Engine::Tch` (with feature `torch`) | all nets of a kind at once, in batched products | a GPU, with thousands of episodes a round |
///
/// Both draw the same tasks and the same batches, but add up floats in different orders. So the trajectories of a task
/// agree to rounding (unless training amplifies it), and the bytes of the results differ. With each of them, the same
/// seed gives the same bytes on a CPU (for tch: with the same number of threads).
///
/// ```
/// use qgd::meta::Engine;
/// assert_eq!(Engine::from(2), Engine::Kernel { n_threads: 2 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Engine {
    /// The plain-Rust kernel.
    Kernel {
        /// Number of threads.
        n_threads: usize,
    },
    /// Batches of nets in tch.
    #[cfg(feature = "torch")]
    Tch {
        /// Device that holds the nets.
        device: tch::Device,
        /// Number of threads for the work of the host: data, batches, decisions.
        n_threads: usize,
    },
}

/// Error: an engine cannot run what it was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// libtorch refused an operation.
    #[cfg(feature = "torch")]
    #[error("libtorch: {0}")]
    Tch(#[from] tch::TchError),
    /// A driver refuses the start of a task.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A recipe with a line search, which only the kernel can run.
    #[error(
        "the recipe '{recipe}' has a [line_search], which only the kernel runs: leave out --engine tch and --device cuda"
    )]
    LineSearch {
        /// Name of the recipe.
        recipe: String,
    },
    /// A recipe with nets for texts, which only the kernel can compute.
    #[error(
        "the recipe '{recipe}' has texts = {share} in training.tasks, whose nets only the kernel computes: leave out --engine tch and --device cuda"
    )]
    Texts {
        /// Name of the recipe.
        recipe: String,
        /// Share of the tasks of Markov chains whose texts are read by such a net.
        share: f64,
    },
    /// A recipe with a family of tasks that only tch can compute.
    #[error(
        "the recipe '{recipe}' has tasks of family {family} (weight {weight} in training.tasks.families), which the kernel cannot compute: use --engine tch"
    )]
    Family {
        /// Name of the recipe.
        recipe: String,
        /// Name of the family.
        family: &'static str,
        /// Weight of the family in the recipe.
        weight: f64,
    },
}

impl From<usize> for Engine {
    /// The kernel on this number of threads.
    fn from(n_threads: usize) -> Self {
        Self::Kernel { n_threads }
    }
}

impl Engine {
    /// Number of threads of the host.
    pub fn n_threads(&self) -> usize {
        match *self {
            Self::Kernel { n_threads } => n_threads,
            #[cfg(feature = "torch")]
            Self::Tch { n_threads, .. } => n_threads,
        }
    }

    /// Checks that the engine can run what this recipe asks for.
    ///
    /// # Errors
    /// When it cannot: line searches and nets for texts run only in the kernel, convolutional and recurrent nets for
    /// sequences of numbers only in tch.
    pub fn check(&self, recipe: &TrainingRecipe) -> Result<(), EngineError> {
        let is_kernel = matches!(self, Self::Kernel { .. });
        let name = || recipe.controller.name.clone();
        if recipe.controller.line_search.is_some() && !is_kernel {
            return Err(EngineError::LineSearch { recipe: name() });
        }
        let share = recipe.training.tasks.texts;
        if share > 0.0 && !is_kernel {
            return Err(EngineError::Texts { recipe: name(), share });
        }
        let weights = Family::ALL.iter().zip(&recipe.training.tasks.families).skip(Family::N_IN_KERNEL);
        match weights.filter(|_| is_kernel).find(|&(_, &weight)| weight > 0.0) {
            None => Ok(()),
            Some((family, &weight)) => Err(EngineError::Family { recipe: name(), family: family.name(), weight }),
        }
    }

    /// Makes `n` runs, each as [`rollout`] does, of the task and the driver that `start` returns for it. Returns
    /// drivers and runs, in order.
    ///
    /// # Errors
    /// When libtorch refuses an operation (for example when a GPU has too little memory for the nets), or `start`
    /// fails.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nets_for_texts_run_in_the_kernel_alone() {
        let text = "schema = 1\nname = 'read'\ndescription = 'test'\ncontrols = 'lr'\n\
            moves = ['halve', 'accept', 'grow']\nfeatures = 'scalefree'\n\
            [training.tasks]\nmarkov = 0.2\ntexts = 0.5\n";
        let recipe = TrainingRecipe::parse(text, "test").unwrap();
        assert!(Engine::from(1).check(&recipe).is_ok());
        #[cfg(feature = "torch")]
        {
            let error = Engine::Tch { device: tch::Device::Cpu, n_threads: 1 }.check(&recipe).unwrap_err().to_string();
            assert!(error.contains("'read'") && error.contains("texts = 0.5"), "{error}");
        }
    }
}
