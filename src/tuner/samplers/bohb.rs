//! BOHB: trials are proposed by a TPE that uses the largest budget with enough trials; Hyperband stops the others.
//!
//! Source: Falkner et al. 2018, arXiv 1807.01774, Algorithm 2. Use it with `--pruner hyperband`. A budget is a step at
//! which trials report; the final value of a complete trial belongs to the largest budget of all.
//!
//! ```text
//! model:     the trials with a value at budget b, the largest b with at least d + 3 of them
//! random:    every trial with probability `random`, and all until there is such a budget
//! ```
//!
//! The densities are those of `tpe`, with its options; the paper has one bandwidth for all kernels, the normal
//! reference rule.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `random` | 0.333 | share of random trials, ρ in the paper | 0 to 1 |
//! | `gamma`, `max_good`, `n_candidates`, `multivariate` | as `tpe` | see there | see there |

use super::tpe::{Config, Engine};
use super::{Ask, Sampler, Setting, Spec, SpecError};
use crate::tuner::space::Point;
use crate::tuner::trial::{Past, TrialState};
use rand::RngExt;

pub(super) fn build(spec: &mut Spec, setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    setting.one_objective("bohb")?;
    let random = spec.option("random", 1.0 / 3.0, "from 0 to 1", |p| (0.0..=1.0).contains(p))?;
    Ok(Box::new(Bohb { random, engine: Engine::new(Config::read(spec, setting)?, setting) }))
}

struct Bohb {
    random: f64,
    engine: Engine,
}

impl Sampler for Bohb {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        self.engine.read(ask);
        let order = at_largest_budget(ask);
        if order.is_empty() || ask.rng("bohb").random::<f64>() < self.random {
            return Some(ask.random_point("bohb/random"));
        }
        Some(self.engine.propose(ask, &order))
    }
}

/// Indices of the settled trials with a value at the largest budget that has enough of them, the best first; none where
/// no budget has enough.
fn at_largest_budget(ask: &Ask<'_>) -> Vec<u32> {
    let n_needed = ask.space.len() + 3;
    let whole = |past: &Past| (past.state == TrialState::Complete).then(|| past.values.first().copied()).flatten();
    let ranked = |value: &dyn Fn(&Past) -> Option<f64>| -> Vec<u32> {
        let is_sound = |past: &Past| past.state != TrialState::Fail && past.constraints.iter().all(|c| *c <= 0.0);
        let cost = |(row, past): (usize, &Past)| {
            let value = value(past).filter(|value| is_sound(past) && !value.is_nan())?;
            Some((ask.directions[0].cost(value), row as u32))
        };
        let mut known: Vec<(f64, u32)> = ask.settled.iter().enumerate().filter_map(cost).collect();
        known.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        known.into_iter().map(|(_, row)| row).collect()
    };
    let complete = ranked(&whole);
    if complete.len() >= n_needed {
        return complete;
    }
    let mut steps: Vec<i64> = ask.settled.iter().flat_map(|past| past.intermediate.keys().copied()).collect();
    steps.sort_unstable_by(|a, b| b.cmp(a));
    steps.dedup();
    let at = |step: i64| ranked(&move |past: &Past| past.intermediate.get(&step).copied());
    steps.into_iter().map(at).find(|order| order.len() >= n_needed).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::{Direction, Distribution, Optimize, Outcome, Parameter, Space, Study, StudyConfig};
    use std::collections::BTreeMap;

    #[test]
    fn it_looks_at_the_largest_step_about_which_enough_is_known() {
        let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
        let trial = |number: usize, reports: &[(i64, f64)]| Past {
            number,
            state: TrialState::Pruned,
            point: vec![Some(0.5)],
            values: vec![],
            intermediate: reports.iter().copied().collect::<BTreeMap<_, _>>(),
            constraints: vec![],
        };
        let order = |settled: &[Past]| {
            at_largest_budget(&Ask {
                seed: 1,
                number: 9,
                space: &space,
                directions: &[Direction::Minimize],
                settled,
                pending: &[],
            })
        };
        let mut all = vec![
            trial(0, &[(1, 0.4), (3, 0.1)]),
            trial(1, &[(1, 0.1), (3, 0.4)]),
            trial(2, &[(1, 0.2), (3, f64::NAN)]),
            trial(3, &[(1, 0.3), (3, 0.2)]),
        ];
        assert!(order(&all[..3]).is_empty());
        assert_eq!(order(&all), [1, 2, 3, 0], "three values at step 3 are too few");
        all.push(trial(4, &[(1, 0.9), (3, 0.3)]));
        assert_eq!(order(&all), [0, 3, 4, 1]);
        // Complete ones have the last word.
        (0..4).for_each(|i| {
            all[i].state = TrialState::Complete;
            all[i].values = vec![i as f64]
        });
        assert_eq!(order(&all), [0, 1, 2, 3]);
    }

    #[test]
    fn with_hyperband_it_comes_further_than_random_search_with_as_many_steps() {
        let best = |sampler: &str, pruner: &str, n_steps: i64, seed| {
            let space =
                Space::new(["x", "y", "z"].map(|name| Parameter::new(name, Distribution::float(0.0, 1.0)))).unwrap();
            let config = StudyConfig { sampler: sampler.into(), pruner: pruner.into(), seed, ..StudyConfig::default() };
            let study = Study::in_memory(space, config).unwrap();
            let left = std::sync::atomic::AtomicI64::new(n_steps);
            let objective = |trial: &crate::tuner::ActiveTrial<'_>| {
                let mut away = 0.0;
                for name in ["x", "y", "z"] {
                    away += (trial.float(name)? - 0.3).powi(2);
                }
                // The loss falls towards its end, and says more about it the longer it runs.
                let mut value = 0.0;
                for step in 1..=9 {
                    value = away + 0.3 / step as f64;
                    trial.report(step, value)?;
                    if left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) <= 1 {
                        trial_over(&study);
                        return Ok(Outcome::pruned());
                    }
                    if trial.should_prune()? {
                        return Ok(Outcome::pruned());
                    }
                }
                Ok(value.into())
            };
            study.optimize(&Optimize { n_trials: 1000, ..Optimize::default() }, objective).unwrap();
            study.best().unwrap().unwrap().values[0]
        };
        fn trial_over(study: &Study) {
            study.stop();
        }
        let wins =
            (0..5).filter(|&seed| best("bohb", "hyperband", 400, seed) < best("random", "none", 400, seed)).count();
        assert!(wins >= 4, "better {wins} times of 5");
    }
}
