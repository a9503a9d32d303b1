//! What says which parameters to try next, one file a sampler.
//!
//! # Adding one
//! 1. Write `samplers/NAME.rs`. Its head cites the paper, gives the equation and every deviation; its options stand in a table
//!    *Name | Default | Purpose | Range*; its tests compare with a slow reference. It has one type that implements [`Sampler`], and
//!    `fn build(spec: &mut Spec, study: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError>`, which reads its options and refuses
//!    studies that it is not made for.
//! 2. Register it here: `mod NAME;`, its name in [`NAMES`], and one line in the `match` of [`build`]. It can be named on the command line from then on,
//!    and the tests below run on it: same answer with and without a cache, and every point inside the space.

mod bohb;
mod cmaes;
mod fronts;
mod gp;
mod grid;
pub mod hyperq;
mod learning;
mod mohamed;
mod nas;
mod nsga2;
mod qmc;
mod random;
mod tpe;
mod vashishtha;

use super::space::{Point, Space};
use super::spec::{Spec, SpecError};
use super::trial::{Direction, Past};
use crate::rng;
use rand_chacha::ChaCha8Rng;

/// The samplers that come with qgd.
pub const NAMES: [&str; 12] =
    ["random", "grid", "qmc", "tpe", "gp", "cmaes", "nsga2", "bohb", "vashishtha", "mohamed", "nas", "hyperq"];

/// Proposes parameters.
///
/// A sampler is **pure**: what it answers depends on [`Ask`] alone, and everything random on [`Ask::rng`]. That is what makes the
/// trials of a study the same for any number of workers, and a study continued on another machine the same as one that was never
/// interrupted: a sampler that learns builds its state from the history, whenever it has none. `&mut self` is for a cache only, so that
/// it need not begin anew each time: [`Ask::settled`] grows at its end and never changes before, so whoever has seen its first k trials
/// goes on with the k-th.
///
/// ```
/// use qgd::tuner::{Ask, Point, Sampler};
///
/// /// Goes on from the best trial: each parameter a tenth of its range up or down.
/// struct Walk;
/// impl Sampler for Walk {
///     fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
///         use rand::RngExt;
///         let cost = |value: f64| ask.directions[0].cost(value);
///         let complete = ask.settled.iter().filter(|past| past.is_feasible());
///         let best = complete.min_by(|a, b| cost(a.values[0]).total_cmp(&cost(b.values[0])));
///         let mut rng = ask.rng("walk");
///         Some(ask.space.fill(|i, parameter| {
///             let start = best.and_then(|best| best.point[i]).map_or(0.5, |value| parameter.distribution.to_unit(value));
///             parameter.distribution.from_unit(start + rng.random_range(-0.1..0.1))
///         }))
///     }
/// }
/// ```
pub trait Sampler: Send {
    /// A point of [`Ask::space`] (make it with [`Space::fill`]). None when there is nothing left to try: the study is over.
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point>;
}

/// All that a proposal may depend on.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Seed of the study.
    pub seed: u64,
    /// Number of the trial to propose for. Trials that were enqueued or tried again were not proposed by the sampler, so it may skip some.
    pub number: usize,
    /// What may be proposed.
    pub space: &'a Space,
    /// One an objective.
    pub directions: &'a [Direction],
    /// Finished trials (complete, pruned and failed) whose results may be used: those with numbers up to `number` - lag, by number. At
    /// the next call it begins with the same trials.
    pub settled: &'a [Past],
    /// The trials after them, by number: their parameters are known, their results are not ([`TrialState`](super::TrialState)
    /// `Running`), even if there are any. A constant liar makes them up.
    pub pending: &'a [Past],
}

impl Ask<'_> {
    /// The random numbers of this trial, one stream a `label`.
    pub fn rng(&self, label: &str) -> ChaCha8Rng {
        rng::stream(self.seed, &format!("tuner/{label}/{}", self.number))
    }

    /// The random numbers of the whole study, one stream a `label`.
    pub fn study_rng(&self, label: &str) -> ChaCha8Rng {
        rng::stream(self.seed, &format!("tuner/{label}"))
    }

    /// A point drawn at random, every active parameter evenly on its own scale: what samplers begin with.
    pub fn random_point(&self, label: &str) -> Point {
        self.space.random_point(&mut self.rng(label))
    }
}

/// What a sampler or pruner is made for.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// What is searched.
    pub space: &'a Space,
    /// One an objective.
    pub directions: &'a [Direction],
}

impl Setting<'_> {
    /// The direction of a study with one objective.
    ///
    /// # Errors
    /// When there are more, which `name` cannot do with.
    pub(super) fn one_objective(&self, name: &str) -> Result<Direction, SpecError> {
        match self.directions {
            &[direction] => Ok(direction),
            directions => Err(SpecError::Unsuitable {
                name: name.into(),
                needs: "one objective".into(),
                found: format!("{} objectives", directions.len()),
            }),
        }
    }
}

/// The sampler that `text` names, for instance `random`.
///
/// # Errors
/// When there is none of that name, an option is wrong, or it is not made for this study.
pub fn build(text: &str, setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    let mut spec = Spec::parse(text)?;
    let sampler = match spec.name.as_str() {
        "random" => random::build(&mut spec, setting)?,
        "grid" => grid::build(&mut spec, setting)?,
        "qmc" => qmc::build(&mut spec, setting)?,
        "tpe" => tpe::build(&mut spec, setting)?,
        "gp" => gp::build(&mut spec, setting)?,
        "cmaes" => cmaes::build(&mut spec, setting)?,
        "nsga2" => nsga2::build(&mut spec, setting)?,
        "bohb" => bohb::build(&mut spec, setting)?,
        "vashishtha" => vashishtha::build(&mut spec, setting)?,
        "mohamed" => mohamed::build(&mut spec, setting)?,
        "nas" => nas::build(&mut spec, setting)?,
        "hyperq" => hyperq::build(&mut spec, setting)?,
        _ => return Err(SpecError::UnknownName { what: "sampler", name: spec.name, known: NAMES.join(", ") }),
    };
    spec.finish()?;
    Ok(sampler)
}

#[cfg(test)]
mod tests;
