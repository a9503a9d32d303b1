//! Studies of an experiment: a sampler proposes, units answer.

use crate::cli::failure::Failure;
use qgd::statistics::mean;
use qgd::tuner::{Direction, Outcome, Space, Study, StudyConfig, TunerError, Value};
use std::collections::BTreeMap;

/// Parameters of a trial.
pub type Params = BTreeMap<String, Value>;

/// A study.
pub struct Plan<'a> {
    pub space: &'a Space,
    /// Sampler, as `qgd tune --sampler` takes it.
    pub sampler: &'a str,
    /// Pruner, as `qgd tune --pruner` takes it.
    pub pruner: &'a str,
    pub seed: u64,
    pub n_trials: usize,
    /// Trial n is proposed by the results up to trial n - lag.
    pub lag: usize,
}

impl<'a> Plan<'a> {
    /// A study that prunes nothing, and proposes each trial by all results before it.
    pub fn new(space: &'a Space, sampler: &'a str, seed: u64, n_trials: usize) -> Self {
        Self { space, sampler, pruner: "none", seed, n_trials, lag: 1 }
    }
}

/// What trials are told, the smaller the better, beside what is known of them.
pub trait Told {
    /// The loss that the sampler is told; infinite where a net diverged.
    fn told(&self) -> f64;

    /// Losses on the way, by which a pruner may stop the trial.
    fn reports(&self) -> Vec<f64> {
        Vec::new()
    }
}

/// A trial that is over.
pub struct Tried<T> {
    pub params: Params,
    /// What it came to. Of a trial that was stopped, what it would have come to.
    pub outcome: T,
    /// Number of the report after which the pruner stopped it; None where it ran to its end.
    pub stopped: Option<usize>,
}

/// Runs a study, one trial after the other. It is over early where the sampler has nothing left to try.
pub fn study<T: Told>(plan: &Plan<'_>, unit: impl Fn(&Params) -> Result<T, Failure>) -> Result<Vec<Tried<T>>, Failure> {
    let config = StudyConfig {
        sampler: plan.sampler.to_owned(),
        pruner: plan.pruner.to_owned(),
        seed: plan.seed,
        lag: plan.lag,
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
        let stopped = stopped(&study, trial.number(), &outcome.reports()).map_err(Failure::of_tuner)?;
        let result = if stopped.is_some() { Outcome::pruned() } else { outcome.told().into() };
        study.tell(trial.number(), result).map_err(Failure::of_tuner)?;
        tried.push(Tried { params: trial.params().clone(), outcome, stopped });
    }
    Ok(tried)
}

/// Number of the report, from 1, after which the pruner stops a trial.
fn stopped(study: &Study, trial: usize, reports: &[f64]) -> Result<Option<usize>, TunerError> {
    for (number, &loss) in (1..).zip(reports) {
        study.report(trial, number, loss)?;
        if study.should_prune(trial)? {
            return Ok(usize::try_from(number).ok());
        }
    }
    Ok(None)
}

/// The best of those of these trials that ran to their end; the first of equals.
pub fn best<'t, T: Told + 't>(trials: impl IntoIterator<Item = &'t Tried<T>>) -> Option<&'t Tried<T>> {
    let whole = trials.into_iter().filter(|trial| trial.stopped.is_none());
    whole.min_by(|a, b| a.outcome.told().total_cmp(&b.outcome.told()))
}

/// What a comparison counts: 1 where the first loss is the lower one, 0.5 where they are the same.
pub fn win(own: f64, rival: f64) -> f64 {
    if own < rival { 1.0 } else { 0.5 * f64::from(u8::from(own <= rival)) }
}

/// Of all pairs of a study of one method and a study of its rival, the share in which the first has the lower loss, ties
/// counted half (Vargha and Delaney 2000).
pub fn wins(own: &[f64], rival: &[f64]) -> f64 {
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
            let plan = Plan::new(&space, sampler, 0, n_trials);
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
        let plan = Plan::new(&space, "random", 0, 3);
        let failed = study(&plan, |_| Err::<f64, _>(Failure::Failed(anyhow::anyhow!("broken"))));
        assert!(failed.err().unwrap().to_string().contains("broken"));
    }

    /// A loss, after others on the way.
    struct Falling(Vec<f64>);

    impl Told for Falling {
        fn told(&self) -> f64 {
            self.0[self.0.len() - 1]
        }

        fn reports(&self) -> Vec<f64> {
            self.0[..self.0.len() - 1].to_vec()
        }
    }

    #[test]
    fn a_trial_that_a_pruner_stops_is_not_the_best_however_it_would_have_ended() {
        let space = Space::new([Parameter::new("x", Distribution::int(1, 3))]).unwrap();
        // The third trial begins badly, and would have ended best.
        let ends = |x: i64| Falling(if x == 3 { vec![9.0, 9.0, 0.0] } else { vec![2.0, 2.0, x as f64] });
        let plan = Plan { pruner: "median:n_startup_trials=1", ..Plan::new(&space, "grid", 0, 3) };
        let run = |pruner| {
            let unit = |params: &Params| Ok(ends(params["x"].to_string().parse().unwrap()));
            study(&Plan { pruner, ..plan }, unit).unwrap()
        };
        let (whole, pruned) = (run("none"), run(plan.pruner));
        assert!(whole.iter().all(|trial| trial.stopped.is_none()));
        assert_eq!(best(&whole).map(|trial| trial.params["x"].to_string()).as_deref(), Some("3"));
        let first_is_3 = whole[0].params["x"] == Value::Int(3);
        assert!(!first_is_3, "what is first is never stopped: choose another seed");
        let stopped: Vec<_> = pruned.iter().map(|trial| (trial.params["x"].to_string(), trial.stopped)).collect();
        assert!(stopped.contains(&("3".into(), Some(1))), "{stopped:?}");
        assert_eq!(best(&pruned).map(|trial| trial.params["x"].to_string()).as_deref(), Some("1"));
    }

    #[test]
    fn with_a_lag_as_long_as_the_study_nothing_is_learned() {
        let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
        let run = |lag, sign: f64| {
            let plan = Plan { lag, ..Plan::new(&space, "tpe", 0, 20) };
            let unit = |params: &Params| Ok(sign * params["x"].to_string().parse::<f64>().unwrap());
            study(&plan, unit).unwrap().iter().map(|trial| trial.params["x"].to_string()).collect::<Vec<_>>()
        };
        assert_eq!(run(20, 1.0), run(20, -1.0));
        assert_ne!(run(1, 1.0), run(1, -1.0));
    }
}
