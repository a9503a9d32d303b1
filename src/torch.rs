//! The controller beside a `tch` training loop. With [`nets`](crate::nets) and the batched tasks of [`meta`](crate::meta), the only place that names `tch`.
//!
//! - [`QController`] wraps tch's own `nn::Optimizer`, or drives one of ours.
//! - [`QLineSearch`] is the line search of the paper, for full batches.
//! - [`optim`] has our own SGD, Adam, AdamW, RMSprop, NAdam, Lion, Muon and Schedule-Free: their state can be saved, a bad
//!   step taken back, and the changes of weight matrices orthogonalized.
//!
//! Inside, `flat` keeps all trainable parameters of a `VarStore` in one buffer, on which everything works; `measure` and `snapshot` are what a
//! decision measures and what a rollback restores, on the device of the net.

mod flat;
mod line_search;
mod measure;
pub mod optim;
mod qcontroller;
mod snapshot;
mod turn;

pub use line_search::{QLineSearch, QLineSearchState};
pub use optim::{Algorithm, Conditioning, GroupConfig, NoConditioning, OptimConfig, OptimState, Optimizer, Orthogonal};
pub use qcontroller::{QController, QControllerState};

use crate::driver::{DriverError, LineSearchError};
use tch::{Device, Kind, TchError};

/// Something went wrong between the controller and libtorch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorchError {
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Tch(#[from] TchError),
    /// A start value or a configuration that no run can use.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The line search cannot start or go on.
    #[error(transparent)]
    LineSearch(#[from] LineSearchError),
    /// A line search with an optimizer that remembers earlier steps.
    #[error(
        "a line search needs plain gradient descent, because it retries from the same base with another step size; {found} cannot"
    )]
    NotPlainDescent {
        /// What was given.
        found: &'static str,
    },
    /// A field of an optimizer's configuration is outside its range.
    #[error("{name} is {value}, but must be {allowed}")]
    OutOfRange {
        /// Which field.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What is possible.
        allowed: &'static str,
    },
    /// There is nothing to train.
    #[error("the VarStore has no trainable variable; build the net before its optimizer")]
    NoParameters,
    /// The flat buffer needs one kind of floating numbers on one device.
    #[error(
        "trainable variable {index} is {found:?} on {found_device:?}, but the first one is {expected:?} on {expected_device:?}; all must be alike, and floating"
    )]
    MixedKinds {
        /// Which variable, in the order of creation.
        index: usize,
        /// Its kind.
        found: Kind,
        /// Its device.
        found_device: Device,
        /// The kind of the first variable.
        expected: Kind,
        /// The device of the first variable.
        expected_device: Device,
    },
    /// Two controllers step one `VarStore` in turns.
    #[error(
        "another controller has stepped this VarStore since: each would undo the steps of the other, because a rollback \
         restores the whole VarStore; give each controller a VarStore of its own, or drop the other one first"
    )]
    SharedVarStore,
    /// `step()` was called, but nothing says how good the parameters are.
    #[error("no loss was seen since the last step: call observe(&loss) before step(), or use backward_step(&loss)")]
    NoLoss,
    /// A loss must be one number.
    #[error("the loss has shape {shape:?}, but must be a single number")]
    LossShape {
        /// Its shape.
        shape: Vec<i64>,
    },
    /// The saved state belongs to another net or another optimizer.
    #[error("the saved state does not fit: {what} is {found}, but {expected} is expected here")]
    StateMismatch {
        /// What differs.
        what: &'static str,
        /// What the state holds.
        found: String,
        /// What this run has.
        expected: String,
    },
    /// Every parameter group needs its learning rate.
    #[error("{given} group learning rates were given, but the VarStore has {groups} parameter groups")]
    GroupLrs {
        /// How many were given.
        given: usize,
        /// How many there are.
        groups: usize,
    },
    /// tch's optimizer panicked; it unwraps every error of libtorch.
    #[error("the wrapped tch optimizer failed in {call}(): {message}")]
    WrappedOptimizer {
        /// The method that panicked.
        call: &'static str,
        /// What it said.
        message: String,
    },
    /// The optimizer cannot do what was asked of it.
    #[error("{optimizer} has no {setting}")]
    NoSuchSetting {
        /// Which optimizer.
        optimizer: &'static str,
        /// What it lacks.
        setting: &'static str,
    },
}
