//! qgd (Q-gradient descent): training that tunes itself.

pub mod controller;
#[cfg(feature = "torch")]
pub mod data;
pub mod dqn;
pub mod meta;
#[cfg(feature = "torch")]
pub mod nets;
mod parallel;
pub mod policy;
pub mod report;
pub mod rng;
pub mod schedule;
#[cfg(feature = "torch")]
pub mod task;
#[cfg(feature = "torch")]
pub mod torch;

pub use controller::{
    Action, Controller, Controls, Driver, DriverConfig, LossWindow, Measure, Measured, Move, Pretrained, Recipe,
    Signals, Verdict,
};
pub use policy::{Decision, Policy, Reason};
