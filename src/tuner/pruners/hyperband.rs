//! Successive halving with several first rungs at once, in brackets: bracket s begins at r·eta^s, and each bracket gets
//! so large a share of the trials that all make about the same number of steps. It helps where early values say little.
//!
//! Source: Li et al. 2018, Hyperband, JMLR 18(185), on asynchronous successive halving (arXiv 1810.05934). As in Optuna
//! a trial falls into a bracket by a hash of the names of study and trial, so the same trial falls into the same
//! bracket in both.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `min_resource` | 1 | step of the first rung, r | 1 to 2147483647 |
//! | `max_resource` | see below | number of steps of a whole trial, R in the paper | `min_resource` to 2147483647 |
//! | `reduction_factor` | 3 | eta in the paper | 2 to 1000 |
//!
//! The default of `max_resource` is one more than the last step of the first complete trial; nothing is stopped before
//! there is one.

use super::asha::{Asha, MAX_FACTOR};
use super::{Judging, MOST, Pruner, Spec, SpecError, Verdict};
use crate::tuner::trial::{Trial, TrialState};

pub(super) fn build(spec: &mut Spec) -> Result<Box<dyn Pruner>, SpecError> {
    let min_resource = spec.whole("min_resource", 1, 1..=MOST as u32)?;
    let allowed = format!("a whole number from min_resource = {min_resource} to {MOST}");
    // 0 stands for "not given".
    let max_resource = spec.option("max_resource", 0, &allowed, |n: &u32| (min_resource..=MOST as u32).contains(n))?;
    let reduction_factor = spec.whole("reduction_factor", 3, 2..=MAX_FACTOR)?;
    Ok(Box::new(Hyperband { min_resource, max_resource, reduction_factor }))
}

struct Hyperband {
    min_resource: u32,
    max_resource: u32,
    reduction_factor: u32,
}

impl Hyperband {
    /// R in the paper.
    fn max_resource(&self, trials: &[&Trial]) -> Option<u32> {
        if self.max_resource > 0 {
            return Some(self.max_resource);
        }
        let mut complete = trials.iter().filter(|trial| trial.state == TrialState::Complete);
        let (last, _) = complete.find_map(|trial| trial.last_report())?;
        Some(u32::try_from(last.saturating_add(1)).unwrap_or(u32::MAX).max(self.min_resource))
    }

    /// Share of the trials of each bracket.
    fn shares(&self, max_resource: u32) -> Vec<u64> {
        let (eta, ratio) = (u64::from(self.reduction_factor), u64::from(max_resource / self.min_resource));
        // s_max, in whole numbers: a logarithm may just miss one.
        let s_max = (1..).take_while(|&s| eta.checked_pow(s).is_some_and(|power| power <= ratio)).count() as u64;
        (0..=s_max).rev().map(|s| ((s_max + 1) * eta.pow(s as u32)).div_ceil(s + 1)).collect()
    }
}

/// The bracket of a trial.
fn bracket(study: &str, number: usize, shares: &[u64]) -> usize {
    let hash = u64::from(crc32fast::hash(format!("{study}_{number}").as_bytes()));
    let mut place = hash % shares.iter().sum::<u64>();
    for (bracket, &share) in shares.iter().enumerate() {
        if place < share {
            return bracket;
        }
        place -= share;
    }
    0
}

impl Pruner for Hyperband {
    fn judge(&self, judging: &Judging<'_>) -> Verdict {
        let Some(max_resource) = self.max_resource(judging.trials) else { return false.into() };
        let shares = self.shares(max_resource);
        let own = bracket(judging.study, judging.trial.number, &shares);
        let is_beside = |trial: &&&Trial| bracket(judging.study, trial.number, &shares) == own;
        let trials: Vec<&Trial> = judging.trials.iter().filter(is_beside).copied().collect();
        let asha = Asha {
            min_resource: self.min_resource,
            reduction_factor: self.reduction_factor,
            min_early_stopping_rate: own as u32,
            bootstrap_count: 0,
        };
        asha.judge(&Judging { trials: &trials, ..*judging })
    }
}
