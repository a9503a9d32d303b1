//! Tuning of what is fixed before training: architecture, batch size, optimizer, start values.
//!
//! A [`Space`] says what is searched. A [`Study`] hands out trials ([`Study::ask`]) and takes back what came of them ([`Study::tell`]), or runs
//! the whole loop ([`Study::optimize`]). What to try next is for a [`Sampler`] to say, what to stop early for a pruner ([`pruners`]). Words and
//! meanings are those of Optuna (Akiba et al. 2019, 10.1145/3292500.3330701), and so is the format of its databases.

mod direction;
mod distribution;
mod error;
mod importance;
mod pareto;
pub mod pruners;
mod python_json;
pub mod samplers;
mod screening;
mod space;
mod spec;
pub mod storage;
mod study;
mod trial;

pub use direction::Direction;
pub use distribution::{Distribution, Value};
pub use error::TunerError;
pub use importance::{FEW_TRIALS, importance};
pub use pareto::{best_trials, dominates, hypervolume};
pub use python_json::{LineError, read_line};
pub use samplers::{Ask, Sampler, Setting};
pub use screening::{Screen, ScreenError};
pub use space::{Condition, Parameter, Point, Space, SpaceError, SpaceFile};
pub use spec::{Spec, SpecError};
pub use study::{ActiveTrial, CheckedStudy, Optimize, Outcome, OutcomeError, Study, StudyConfig};
pub use trial::{Assigned, Counts, Past, Trial, TrialKey, TrialState};
