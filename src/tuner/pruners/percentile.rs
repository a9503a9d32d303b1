//! Stops a trial whose best intermediate value is worse than a percentile of the values that complete trials reported
//! at the same step.
//!
//! Source: Golovin et al. 2017, Google Vizier, 10.1145/3097983.3098043 (the median stopping rule, with another
//! percentile). NaN: a trial that has reported nothing else is stopped; among those compared with, NaN is left out.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `percentile` | 25 | percentile that a trial must reach to go on: 25 keeps the best quarter | 0 to 100 |
//! | `n_startup_trials` | 5 | number of complete trials before which nothing is stopped | 0 to 2147483647 |
//! | `n_warmup_steps` | 0 | step before which nothing is stopped | 0 to 2147483647 |
//! | `interval_steps` | 1 | number of steps from one check to the next | 1 to 2147483647 |
//! | `n_min_trials` | 1 | number of trials that must have reported at the step | 1 to 2147483647 |

use super::{Judging, MOST, Pruner, Spec, SpecError, Verdict};
use crate::tuner::trial::TrialState;

pub(super) fn build(spec: &mut Spec) -> Result<Box<dyn Pruner>, SpecError> {
    let percentile = spec.option("percentile", 25.0, "from 0 to 100", |p: &f64| (0.0..=100.0).contains(p))?;
    Ok(Box::new(Percentile::read(spec, percentile)?))
}

/// Its options.
pub(super) struct Percentile {
    percentile: f64,
    n_startup_trials: usize,
    n_warmup_steps: i64,
    interval_steps: i64,
    n_min_trials: usize,
}

impl Percentile {
    /// Reads all options but the percentile.
    pub(super) fn read(spec: &mut Spec, percentile: f64) -> Result<Self, SpecError> {
        Ok(Self {
            percentile,
            n_startup_trials: spec.whole("n_startup_trials", 5, 0..=MOST as usize)?,
            n_warmup_steps: spec.whole("n_warmup_steps", 0, 0..=i64::from(MOST))?,
            interval_steps: spec.whole("interval_steps", 1, 1..=i64::from(MOST))?,
            n_min_trials: spec.whole("n_min_trials", 1, 1..=MOST as usize)?,
        })
    }

    /// Whether `step` is the first one reported since the last check was due.
    fn is_due(&self, step: i64, costs: &[(i64, f64)]) -> bool {
        let due = (step - self.n_warmup_steps) / self.interval_steps * self.interval_steps + self.n_warmup_steps;
        step >= self.n_warmup_steps && costs.iter().all(|&(other, _)| other == step || other < due)
    }
}

impl Pruner for Percentile {
    fn judge(&self, judging: &Judging<'_>) -> Verdict {
        let complete: Vec<_> = judging.trials.iter().filter(|trial| trial.state == TrialState::Complete).collect();
        let costs = judging.costs(judging.trial);
        let Some(&(step, _)) = costs.last() else { return false.into() };
        if complete.is_empty() || complete.len() < self.n_startup_trials || !self.is_due(step, &costs) {
            return false.into();
        }
        let best = costs.iter().map(|cost| cost.1).fold(f64::NAN, f64::min);
        if best.is_nan() {
            return true.into();
        }
        let at_step = complete.iter().filter_map(|trial| trial.intermediate.get(&step));
        let others: Vec<f64> = at_step.map(|&value| judging.direction.cost(value)).collect();
        if others.len() < self.n_min_trials {
            return false.into();
        }
        // Nothing to compare with is NaN, and nothing is above that.
        (best > percentile(others, self.percentile)).into()
    }
}

/// The percentile by straight lines between neighbors, as NumPy's default has it; NaN of nothing. NaN among the values
/// is left out.
fn percentile(mut values: Vec<f64>, percent: f64) -> f64 {
    values.retain(|value| !value.is_nan());
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let place = percent / 100.0 * last as f64;
    let (below, part) = (values[place as usize], place.fract());
    let above = values[(place as usize + 1).min(last)];
    // Infinite neighbors, too, must not make NaN.
    if part > 0.0 && above > below { below + part * (above - below) } else { below }
}
