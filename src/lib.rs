//! qgd (Q-gradient descent): training that tunes itself.

pub mod controller;
#[cfg(feature = "torch")]
pub mod data;
pub mod dqn;
#[cfg(feature = "torch")]
pub mod nets;
pub mod policy;
pub mod report;
pub mod rng;
pub mod schedule;
#[cfg(feature = "torch")]
pub mod task;
#[cfg(feature = "torch")]
pub mod torch;

pub use controller::{Action, Controls, Driver, DriverConfig, LossWindow, Measure, Measured, Move, Signals, Verdict};
pub use policy::{Decision, Policy, Reason};
