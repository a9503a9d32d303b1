//! The controller: a small learned policy that reads training signals and moves the learning rate and the weight decay.

mod actions;
pub mod artifact;
mod driver;
mod guard;
mod signals;
mod trace;

pub use actions::{Action, Controls, Move};
pub use driver::{DecisionCallback, DecisionCounts, Driver, DriverConfig, DriverError, DriverState};
pub use guard::{Guard, GuardConfig, Verdict};
pub use signals::{LossWindow, Measure, Measured, Signals, Sums};
pub use trace::TraceRecord;
