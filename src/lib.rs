//! qgd (Q-gradient descent): training that tunes itself.
//!
//! A small deep Q-network sits in the training loop of your `tch` net. Every few steps it reads a handful of signals and says *halve*,
//! *accept* or *×1.25*: that is the learning rate from there on. A start that is decades off is found early, and a step that wrecks the
//! net is undone.
//!
#![cfg_attr(feature = "torch", doc = "```")]
#![cfg_attr(not(feature = "torch"), doc = "```text")]
//! use qgd::{Controller, torch::QController};
//! use tch::{Device, Kind, Tensor, nn, nn::Module, nn::OptimizerConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vs = nn::VarStore::new(Device::Cpu);
//! let net = nn::linear(vs.root(), 1, 1, Default::default());
//! let x = Tensor::linspace(-1, 1, 64, (Kind::Float, Device::Cpu)).view([64, 1]);
//! let y = &x * 3.0 - 1.0;
//!
//! let adam = nn::Adam::default().build(&vs, 1e-6)?; // hopelessly low
//! let mut opt = QController::wrap(adam, &vs, 1e-6, Controller::pretrained("lr")?)?;
//! for _ in 0..300 {
//!     let loss = (net.forward(&x) - &y).square().mean(Kind::Float);
//!     opt.backward_step(&loss)?;
//! }
//! assert!(opt.lr() > 1e-4, "it has noticed: {}", opt.lr());
//! # Ok(()) }
//! ```
//!
//! # The three loops
//!
//! 1. **Your training loop.** [`torch::QController`] steps an optimizer and lets a [`Policy`] move its learning rate and weight decay.
//!    The loop between the two, [`Driver`], knows no framework.
//! 2. **Meta-training.** [`meta::MetaTraining`] draws thousands of small training problems and trains the agent in [`dqn`] on them: what
//!    goes in is a [`meta::TrainingRecipe`], what comes out is a [`Pretrained`] file.
//! 3. **Tuning** of what is fixed before training (architecture, batch size, optimizer). [`tuner::Study`] hands out trials and takes back
//!    what came of them; `qgd tune` does so for any program.
//!
//! # The map
//!
//! | module | what | needs libtorch |
//! |---|---|---|
//! | [`policy`] | [`Policy`]: reads [`Signals`], answers with a [`Decision`] | no |
//! | [`driver`] | [`Driver`]: the loop between a host and a policy; is the net well, when to decide, how far to go | no |
//! | [`controller`] | the learned policy: its features, its recipe and files | no |
//! | [`dqn`] | the agent: network, replay, exploration, learner | no |
//! | [`schedule`] | the rivals: constant, step, cosine, one-cycle, plateau, greedy, ... | no |
//! | [`meta`] | meta-training and its tasks | only to run them batched, on a GPU |
//! | [`tuner`] | spaces, studies, samplers, pruners, and where studies are kept | no |
//! | [`artifact`], [`limits`], [`text`] | the frame of our files; values outside their range; text that people wrote | no |
//! | [`rng`], [`statistics`], [`report`] | random streams; means, tests, intervals; tables and charts | no |
//! | [`torch`] | `QController`, our optimizers, measurement and snapshots on the device | yes |
//! | [`nets`], [`data`], [`task`] | target nets, loaders and task files for `qgd train` | yes |
//!
//! A program that embeds a pretrained controller needs none of the default features, and then compiles neither libtorch nor meta-training nor
//! the tuner: `qgd = { version = "0.1", default-features = false }`.

pub mod artifact;
pub mod controller;
#[cfg(feature = "torch")]
pub mod data;
pub mod dqn;
pub mod driver;
mod gemm;
pub mod limits;
#[cfg(feature = "meta")]
pub mod meta;
#[cfg(feature = "torch")]
pub mod nets;
mod parallel;
pub mod policy;
#[cfg(feature = "meta")]
pub mod report;
pub mod rng;
pub mod schedule;
mod simd;
pub mod statistics;
#[cfg(feature = "torch")]
pub mod task;
pub mod text;
#[cfg(feature = "torch")]
pub mod torch;
#[cfg(feature = "tuner")]
pub mod tuner;

pub use controller::{Controller, Pretrained, Recipe};
pub use driver::{Driver, DriverConfig, Order};
pub use policy::{Action, Controls, Decision, LossWindow, Measure, Measured, Move, Policy, Reason, Signals};

/// The code in the README is compiled and run like any other example.
#[cfg(all(doctest, feature = "torch"))]
#[doc = include_str!("../README.md")]
struct Readme;
