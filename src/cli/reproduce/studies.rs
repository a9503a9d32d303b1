//! Studies of an experiment: a sampler proposes, units answer.

use crate::cli::failure::Failure;
use qgd::statistics::mean;
use qgd::tuner::{Direction, Space, Study, StudyConfig, TunerError, Value};
use std::collections::BTreeMap;

/// Parameters of a trial.
pub type Params = BTreeMap<String, Value>;

/// A study.
pub struct Plan<'a> {
    pub space: &'a Space,
    /// Sampler, as `qgd tune --sampler` takes it.
    pub sampler: &'a str,
    pub seed: u64,
    pub n_trials: usize,
}

/// What trials are told, the smaller the better, beside what is known of them.
pub trait Told {
    /// The loss that the sampler is told; infinite where a net diverged.
    fn told(&self) -> f64;
}

/// A finished trial.
pub struct Tried<T> {
    pub params: Params,
    pub outcome: T,
}

/// Runs a study, one trial after the other. It is over early where the sampler has nothing left to try.
pub fn study<T: Told>(plan: &Plan<'_>, unit: impl Fn(&Params) -> Result<T, Failure>) -> Result<Vec<Tried<T>>, Failure> {
    let config = StudyConfig {
        sampler: plan.sampler.to_owned(),
        seed: plan.seed,
        directions: vec![Direction::Minimize],
        ..StudyConfig::default()
    };
    let study = Study::in_memory(plan.space.clone(), config).map_err(Failure::of_tuner)?;
    let mut tried = Vec::with_capacity(plan.n_trials);
    while tried.len() < plan.n_trials {
        let trial = match study.ask() {
            Err(TunerError::Exhausted { .. }) => break,
            asked => asked.map_err(Failure::of_tuner)?,
        };
        let outcome = unit(trial.params())?;
        study.tell(trial.number(), outcome.told()).map_err(Failure::of_tuner)?;
        tried.push(Tried { params: trial.params().clone(), outcome });
    }
    Ok(tried)
}

/// The best of these trials; the first of equals.
pub fn best<'t, T: Told + 't>(trials: impl IntoIterator<Item = &'t Tried<T>>) -> Option<&'t Tried<T>> {
    trials.into_iter().min_by(|a, b| a.outcome.told().total_cmp(&b.outcome.told()))
}

/// Of all pairs of a study of one method and a study of its rival, the share in which the first has the lower loss, ties
/// counted half (Vargha and Delaney 2000).
pub fn wins(own: &[f64], rival: &[f64]) -> f64 {
    let win = |a: f64, b: f64| if a < b { 1.0 } else { 0.5 * f64::from(u8::from(a <= b)) };
    mean(own.iter().flat_map(|&a| rival.iter().map(move |&b| win(a, b))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use qgd::tuner::{Distribution, Parameter};

    impl Told for f64 {
        fn told(&self) -> f64 {
            *self
        }
    }

    #[test]
    fn a_study_ends_with_its_trials_or_with_the_space() {
        let space = Space::new([Parameter::new("x", Distribution::int(1, 5))]).unwrap();
        let n_tried = |sampler, n_trials| {
            let plan = Plan { space: &space, sampler, seed: 0, n_trials };
            let trials = study(&plan, |params| Ok(params["x"].to_string().parse::<f64>().unwrap())).unwrap();
            let found = best(&trials).map(|trial| trial.outcome);
            (trials.len(), found)
        };
        assert_eq!(n_tried("grid", 9), (5, Some(1.0)));
        assert_eq!(n_tried("grid", 5), (5, Some(1.0)));
        assert_eq!(n_tried("random", 9).0, 9);
        assert_eq!(n_tried("random", 0), (0, None));
    }

    #[test]
    fn a_tie_counts_half_and_a_diverged_study_never_wins() {
        let shares = [wins(&[1.0], &[2.0]), wins(&[2.0], &[1.0]), wins(&[1.0], &[1.0]), wins(&[f64::INFINITY], &[1.0])];
        assert_eq!(shares.map(|share| (2.0 * share) as u8), [2, 0, 1, 0]);
    }

    #[test]
    fn a_unit_that_fails_ends_the_study() {
        let space = Space::new([Parameter::new("x", Distribution::int(1, 5))]).unwrap();
        let plan = Plan { space: &space, sampler: "random", seed: 0, n_trials: 3 };
        let failed = study(&plan, |_| Err::<f64, _>(Failure::Failed(anyhow::anyhow!("broken"))));
        assert!(failed.err().unwrap().to_string().contains("broken"));
    }
}
