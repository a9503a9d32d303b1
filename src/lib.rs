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
//! | [`schedule`] | the rivals: constant, cosine, linear, wsd, one-cycle, plateau, greedy, ... | no |
//! | [`meta`] | meta-training and its tasks | only to run them batched, on a GPU |
//! | [`tuner`] | spaces, studies, samplers, pruners, and where studies are kept | no |
//! | [`artifact`], [`limits`], [`text`], [`shipped`] | the frame of our files; values outside their range; text that people wrote; tasks and recipes that are part of the program | no |
//! | [`rng`], [`statistics`], [`report`] | random streams; means, tests, intervals; tables and charts | no |
//! | [`torch`] | `QController`, our optimizers, measurement and snapshots on the device | yes |
//! | [`nets`], [`data`], [`task`] | target nets, loaders and task files for `qgd train` | yes |
//!
//! A program that embeds a pretrained controller needs none of the default features, and then compiles neither libtorch nor meta-training nor
//! the tuner: `qgd = { version = "0.1", default-features = false }`.
//!
//! # Libtorch
//!
//! The default features need libtorch 2.11. In a checkout `make libtorch` fetches it. Elsewhere: `pip install torch==2.11.0`, and build
//! with `LIBTORCH_USE_PYTORCH=1`, or name an unpacked libtorch with `LIBTORCH=FOLDER`. So `LIBTORCH_USE_PYTORCH=1 cargo install qgd`
//! installs all of the program. Where there is no libtorch, `cargo install qgd --no-default-features --features cli` installs all of
//! it that trains no net: `tune`, `worker`, `study`, `ask-tell`, `inspect`, `export`, `merge` and `meta-train`.
//!
//! A program that embeds the `torch` half finds libtorch where this crate was linked with it; the linker of the program must be told
//! so too, by a `build.rs` of one statement:
//!
//! ```no_run
//! if let Ok(argument) = std::env::var("DEP_QGD_LINK_ARG") {
//!     println!("cargo:rustc-link-arg={argument}");
//! }
//! ```
//!
//! Without it the program is built, and then does not start: `libtorch_cpu.so: cannot open shared object file`. A library between the
//! two passes it on by a `links` key and a `build.rs` of its own. `examples/downstream` has one program with libtorch and one without.
//!
//! Training loops without torch: [`driver::Session`] takes plain slices, one call at every step.
//!
// Links to what this build leaves out.
#![cfg_attr(not(feature = "torch"), doc = "[`torch`]: https://docs.rs/qgd/latest/qgd/torch/index.html")]
#![cfg_attr(
    not(feature = "torch"),
    doc = "[`torch::QController`]: https://docs.rs/qgd/latest/qgd/torch/struct.QController.html"
)]
#![cfg_attr(not(feature = "torch"), doc = "[`nets`]: https://docs.rs/qgd/latest/qgd/nets/index.html")]
#![cfg_attr(not(feature = "torch"), doc = "[`data`]: https://docs.rs/qgd/latest/qgd/data/index.html")]
#![cfg_attr(not(feature = "torch"), doc = "[`task`]: https://docs.rs/qgd/latest/qgd/task/index.html")]
#![cfg_attr(not(feature = "meta"), doc = "[`meta`]: https://docs.rs/qgd/latest/qgd/meta/index.html")]
#![cfg_attr(
    not(feature = "meta"),
    doc = "[`meta::MetaTraining`]: https://docs.rs/qgd/latest/qgd/meta/struct.MetaTraining.html"
)]
#![cfg_attr(
    not(feature = "meta"),
    doc = "[`meta::TrainingRecipe`]: https://docs.rs/qgd/latest/qgd/meta/struct.TrainingRecipe.html"
)]
#![cfg_attr(not(feature = "meta"), doc = "[`report`]: https://docs.rs/qgd/latest/qgd/report/index.html")]
#![cfg_attr(not(feature = "tuner"), doc = "[`tuner`]: https://docs.rs/qgd/latest/qgd/tuner/index.html")]
#![cfg_attr(not(feature = "tuner"), doc = "[`tuner::Study`]: https://docs.rs/qgd/latest/qgd/tuner/struct.Study.html")]

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
#[cfg(any(feature = "meta", feature = "torch"))]
mod polar;
pub mod policy;
#[cfg(feature = "meta")]
pub mod report;
pub mod rng;
pub mod schedule;
pub mod shipped;
mod simd;
pub mod statistics;
#[cfg(feature = "torch")]
pub mod task;
pub mod text;
#[cfg(feature = "torch")]
pub mod torch;
#[cfg(feature = "tuner")]
pub mod tuner;
pub mod words;

pub use controller::{Controller, Pretrained, Recipe};
pub use driver::{Driver, DriverConfig, Order};
pub use policy::{Action, Controls, Decision, LossWindow, Measure, Measured, Move, Policy, Reason, Signals};

/// The code in the README and in the book is compiled and run like any other example.
#[cfg(all(doctest, feature = "torch"))]
mod book {
    #[doc = include_str!("../README.md")]
    struct Readme;

    #[doc = include_str!("../docs/first-steps-rust.md")]
    struct FirstSteps;
}
