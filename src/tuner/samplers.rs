//! Samplers propose the parameters to try next; one file for each.
//!
//! # Adding one
//! 1. Write `samplers/NAME.rs`. Its head doc cites the paper and gives the equation and every deviation; its options
//!    stand in a table *Name | Default | Purpose | Range*; its tests compare with a slow reference. It has one type
//!    that implements [`Sampler`], and `fn build(spec: &mut Spec, study: &Setting<'_>) -> Result<Box<dyn Sampler>,
//!    SpecError>`, which reads its options and refuses studies that it is not made for.
//! 2. Register it here: `mod NAME;`, its name and a sentence in [`ALL`], and one line in the `match` of [`build`]. From then on it
//!    can be named on the command line, and the tests below run on it: same answer with and without a cache, and every
//!    point inside the space.

mod bohb;
mod cmaes;
pub mod deep_q;
mod fronts;
mod gp;
mod grid;
mod learning;
mod nas;
mod nsga2;
mod outliers;
pub mod q_learning;
mod qmc;
mod random;
mod reinforce;
mod tpe;

use super::direction::Direction;
use super::space::{Point, Space};
use super::spec::{Spec, SpecError, first_of_each};
use super::trial::Past;
use crate::rng;
use crate::words::counted;
use rand_chacha::ChaCha8Rng;

/// The samplers that come with qgd, each with a sentence.
pub const ALL: [(&str, &str); 12] = [
    ("random", "Random search: evenly in the whole space."),
    ("grid", "Grid search: every combination once, in random order."),
    ("qmc", "Quasi-random search: a scrambled Sobol sequence, with smaller gaps than random points have."),
    ("tpe", "Tree-structured Parzen estimators: densities of the good trials and of the others. The default."),
    ("gp", "Bayesian optimization with a Gaussian process, for few and costly trials."),
    ("cmaes", "CMA-ES, an evolution strategy, for many trials and numbers only."),
    ("nsga2", "NSGA-II, a genetic algorithm, for several objectives."),
    ("bohb", "TPE on the largest budget that has enough trials, for the pruner hyperband."),
    ("q-learning", "Tabular Q-learning, its exploration by the spread of the values (Vashishtha 2025)."),
    ("reinforce", "The policy gradient over the values of each parameter (Mohamed et al.)."),
    ("nas", "Neural architecture search: a recurrent net chooses value by value."),
    ("deep-q", "Deep Q-learning over configurations; what it learned on some data it can use on others."),
];

/// Names of the samplers that come with qgd.
pub const NAMES: [&str; ALL.len()] = first_of_each(ALL);

/// Names that samplers had in earlier versions, each with the name of today. They are accepted wherever a sampler is
/// named.
const FORMER_NAMES: [(&str, &str); 3] = [("vashishtha", "q-learning"), ("mohamed", "reinforce"), ("hyperq", "deep-q")];

/// Proposes parameters.
///
/// A sampler is **pure**: what it answers depends on [`Ask`] alone, and everything random on [`Ask::rng`]. That is what
/// makes the trials of a study the same for any number of workers, and a study continued on another machine the same as
/// one that was never interrupted: a sampler that learns builds its state from the history whenever it has none. `&mut
/// self` is for a cache only, so that it does not begin anew each time: [`Ask::settled`] grows at its end and its
/// earlier part never changes, so a sampler that has seen k trials goes on with the next.
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
///             let value = best.and_then(|best| best.point[i]);
///             let start = value.map_or(0.5, |value| parameter.distribution.to_unit(value));
///             parameter.distribution.from_unit(start + rng.random_range(-0.1..0.1))
///         }))
///     }
/// }
/// ```
pub trait Sampler: Send {
    /// A point of [`Ask::space`] (make it with [`Space::fill`]). None when nothing is left to try: then the study is
    /// over.
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point>;
}

/// Everything that a proposal may depend on.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Seed of the study.
    pub seed: u64,
    /// Number of the trial to propose for. Numbers of trials that were enqueued or tried again are left out.
    pub number: usize,
    /// Space of the study.
    pub space: &'a Space,
    /// Direction of each objective.
    pub directions: &'a [Direction],
    /// Finished trials (complete, pruned and failed) whose results may be used, by number: those up to `number` - lag.
    /// At the next call it begins with the same trials.
    pub settled: &'a [Past],
    /// The trials after them, by number: their parameters may be used, their results are left out even where there are
    /// any, and their state is [`Running`](super::TrialState::Running).
    pub pending: &'a [Past],
}

impl Ask<'_> {
    /// Random numbers of this trial, one stream for each `label`.
    pub fn rng(&self, label: &str) -> ChaCha8Rng {
        rng::stream(self.seed, &format!("tuner/{label}/{}", self.number))
    }

    /// Random numbers of the whole study, one stream for each `label`.
    pub fn study_rng(&self, label: &str) -> ChaCha8Rng {
        rng::stream(self.seed, &format!("tuner/{label}"))
    }

    /// A random point: every active parameter is drawn evenly on its own scale.
    pub fn random_point(&self, label: &str) -> Point {
        self.space.random_point(&mut self.rng(label))
    }
}

/// Study that a sampler or a pruner is made for.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// Space of the study.
    pub space: &'a Space,
    /// Direction of each objective.
    pub directions: &'a [Direction],
}

impl Setting<'_> {
    /// The direction of a study with one objective.
    ///
    /// # Errors
    /// When there are several, which the sampler or pruner `name` is not made for.
    pub(super) fn one_objective(&self, name: &str) -> Result<Direction, SpecError> {
        match self.directions {
            &[direction] => Ok(direction),
            directions => Err(SpecError::Unsuitable {
                name: name.into(),
                needs: "one objective".into(),
                found: counted(directions.len(), "objective"),
            }),
        }
    }
}

/// `text`, which names a sampler, with the name of today.
pub(super) fn current(text: &str) -> String {
    let (name, options) = text.split_at(text.find(':').unwrap_or(text.len()));
    let found = FORMER_NAMES.iter().find(|(former, _)| *former == name);
    found.map_or_else(|| text.to_owned(), |(_, current)| format!("{current}{options}"))
}

/// The sampler that `text` names, for instance `random`.
///
/// # Errors
/// When there is none of that name, an option is wrong, or it is not made for this study.
pub fn build(text: &str, setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    let mut spec = Spec::parse(&current(text))?;
    let sampler = match spec.name.as_str() {
        "random" => random::build(&mut spec, setting)?,
        "grid" => grid::build(&mut spec, setting)?,
        "qmc" => qmc::build(&mut spec, setting)?,
        "tpe" => tpe::build(&mut spec, setting)?,
        "gp" => gp::build(&mut spec, setting)?,
        "cmaes" => cmaes::build(&mut spec, setting)?,
        "nsga2" => nsga2::build(&mut spec, setting)?,
        "bohb" => bohb::build(&mut spec, setting)?,
        "q-learning" => q_learning::build(&mut spec, setting)?,
        "reinforce" => reinforce::build(&mut spec, setting)?,
        "nas" => nas::build(&mut spec, setting)?,
        "deep-q" => deep_q::build(&mut spec, setting)?,
        _ => return Err(SpecError::UnknownName { what: "sampler", name: spec.name, known: NAMES.join(", ") }),
    };
    spec.finish()?;
    Ok(sampler)
}

#[cfg(test)]
mod tests;
