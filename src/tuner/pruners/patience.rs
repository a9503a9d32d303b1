//! Stops a trial that has not become better for `patience` reports: the best of the last `patience` + 1 reports is
//! worse than the best before them by more than `min_delta`.
//!
//! It is early stopping as every framework has it (Prechelt 1998, 10.1007/3-540-49430-8_3); Optuna's `PatientPruner`
//! without another pruner inside. NaN is left out; where nothing else was reported on one side, the trial goes on.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `patience` | 10 | number of reports without progress after which the trial still goes on | 0 to 2147483647 |
//! | `min_delta` | 0 | difference below which a trial does not count as worse | a finite number of at least 0 |

use super::{Judging, MOST, Pruner, Spec, SpecError, Verdict};

pub(super) fn build(spec: &mut Spec) -> Result<Box<dyn Pruner>, SpecError> {
    Ok(Box::new(Patience {
        patience: spec.whole("patience", 10, 0..=MOST as usize)?,
        min_delta: spec
            .option("min_delta", 0.0, "a finite number of at least 0", |d: &f64| *d >= 0.0 && d.is_finite())?,
    }))
}

struct Patience {
    patience: usize,
    min_delta: f64,
}

impl Pruner for Patience {
    fn judge(&self, judging: &Judging<'_>) -> Verdict {
        let costs = judging.costs(judging.trial);
        if costs.len() <= self.patience + 1 {
            return false.into();
        }
        let (before, after) = costs.split_at(costs.len() - self.patience - 1);
        let best = |costs: &[(i64, f64)]| costs.iter().map(|cost| cost.1).fold(f64::NAN, f64::min);
        (best(before) + self.min_delta < best(after)).into()
    }
}
