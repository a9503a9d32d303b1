//! Asynchronous successive halving: at steps r, r·eta, r·eta^2, ... (the rungs) a trial goes on only if its value is
//! among the best 1/eta of all that came to that rung so far. No trial waits for another.
//!
//! Source: Li et al. 2020, A system for massively parallel hyperparameter tuning (arXiv 1810.05934). As in Optuna a
//! stopped trial does not come back, and the first eta - 1 trials of a rung go on only if they are the best so far; the
//! value of each rung is noted with the trial under Optuna's names.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `min_resource` | 1 | step of the first rung, r in the paper | 1 to 2147483647 |
//! | `reduction_factor` | 4 | eta in the paper | 2 to 1000 |
//! | `min_early_stopping_rate` | 0 | number of rungs that are left out, s in the paper | 0 to 60 |
//! | `bootstrap_count` | 0 | number of trials that are stopped at each rung before any goes on | 0 to 2147483647 |

use super::{Judging, MOST, Pruner, Spec, SpecError, Verdict};
use crate::tuner::direction::Direction;
use crate::tuner::trial::Trial;
use std::collections::BTreeMap;

pub(super) fn build(spec: &mut Spec) -> Result<Box<dyn Pruner>, SpecError> {
    Ok(Box::new(Asha {
        min_resource: spec.whole("min_resource", 1, 1..=MOST as u32)?,
        reduction_factor: spec.whole("reduction_factor", 4, 2..=MAX_FACTOR)?,
        min_early_stopping_rate: spec.whole("min_early_stopping_rate", 0, 0..=60)?,
        bootstrap_count: spec.whole("bootstrap_count", 0, 0..=MOST as usize)?,
    }))
}

/// Largest factor from one rung to the next. One trial in a thousand goes on there, and usual are 2 to 5.
pub(super) const MAX_FACTOR: u32 = 1000;

/// Its options.
#[derive(Clone, Copy)]
pub(super) struct Asha {
    pub min_resource: u32,
    pub reduction_factor: u32,
    pub min_early_stopping_rate: u32,
    pub bootstrap_count: usize,
}

fn rung_key(rung: u32) -> String {
    format!("completed_rung_{rung}")
}

/// The value of a trial when it came to a rung.
fn rung_value(trial: &Trial, rung: u32) -> Option<f64> {
    trial.system_attrs.get(&rung_key(rung))?.as_f64()
}

impl Asha {
    /// The step of a rung; a float, so that a rung far beyond all steps is no overflow.
    fn step_of(&self, rung: u32) -> f64 {
        let exponent = f64::from(self.min_early_stopping_rate) + f64::from(rung);
        f64::from(self.min_resource) * f64::from(self.reduction_factor).powf(exponent)
    }

    /// Whether `value` is among the best of those that `came` to its rung, itself among them.
    fn goes_on(&self, value: f64, mut came: Vec<f64>, direction: Direction) -> bool {
        came.sort_by(|a, b| direction.cost(*a).total_cmp(&direction.cost(*b)));
        let last_to_go = (came.len() / self.reduction_factor as usize).max(1) - 1;
        direction.cost(value) <= direction.cost(came[last_to_go])
    }
}

impl Pruner for Asha {
    fn judge(&self, judging: &Judging<'_>) -> Verdict {
        let Some((step, value)) = judging.trial.last_report() else { return false.into() };
        let mut notes = BTreeMap::new();
        let first = (0..).find(|&rung| rung_value(judging.trial, rung).is_none()).unwrap_or(0);
        for rung in first.. {
            if (step as f64) < self.step_of(rung) {
                break;
            }
            if value.is_nan() {
                return Verdict { prune: true, notes };
            }
            notes.insert(rung_key(rung), value);
            let others = judging.trials.iter().filter(|trial| trial.number != judging.trial.number);
            let came: Vec<f64> = others.filter_map(|trial| rung_value(trial, rung)).chain([value]).collect();
            if came.len() <= self.bootstrap_count || !self.goes_on(value, came, judging.direction) {
                return Verdict { prune: true, notes };
            }
        }
        Verdict { prune: false, notes }
    }
}
