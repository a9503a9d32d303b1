//! Rewards of trials.

use crate::tuner::direction::Direction;
use crate::tuner::samplers::outliers::tamed;
use crate::tuner::trial::Past;
use std::str::FromStr;

/// How a cost becomes a reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reward {
    /// Minus the cost; costs far worse than the good ones are brought nearer, so that one trial that diverged is not all
    /// that counts. A trial that failed gets the reward of the worst one so far, 0 where none has a value.
    Value,
    /// The share of the trials so far that cost more: in [0, 1] for any unit of the objective. A trial that failed gets
    /// 0.
    Rank,
}

impl FromStr for Reward {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "value" => Ok(Self::Value),
            "rank" => Ok(Self::Rank),
            _ => Err(()),
        }
    }
}

impl Reward {
    /// Names that a user may give.
    pub const ALLOWED: &str = "value or rank";

    /// Rewards of trials with these costs.
    pub fn of(self, costs: &[Option<f64>]) -> Vec<f64> {
        if self == Self::Rank {
            return ranks(costs);
        }
        let finite = |cost: &Option<f64>| cost.filter(|cost| cost.is_finite());
        let known = tamed(&costs.iter().filter_map(finite).collect::<Vec<_>>());
        let worst = known.iter().copied().max_by(f64::total_cmp).unwrap_or(0.0);
        let mut known = known.into_iter();
        costs.iter().map(|cost| -finite(cost).and_then(|_| known.next()).unwrap_or(worst)).collect()
    }
}

/// Cost of each trial, less is better. None where it failed or broke a constraint. The cost of a pruned one is the last
/// value it reported.
pub fn costs(trials: &[Past], direction: Direction) -> Vec<Option<f64>> {
    let cost = |past: &Past| {
        let is_allowed = past.constraints.iter().all(|&constraint| constraint <= 0.0);
        past.values.first().filter(|_| is_allowed).map(|&value| direction.cost(value)).filter(|cost| !cost.is_nan())
    };
    trials.iter().map(cost).collect()
}

/// For each trial the share of the others that cost more, those of equal cost counted half; 0 for one without a cost, ½
/// for a single one.
pub fn ranks(costs: &[Option<f64>]) -> Vec<f64> {
    let mut sorted: Vec<f64> = costs.iter().map(|cost| cost.unwrap_or(f64::INFINITY)).collect();
    sorted.sort_by(f64::total_cmp);
    let n_others = costs.len().saturating_sub(1) as f64;
    let rank = |cost: &Option<f64>| {
        let Some(cost) = *cost else { return 0.0 };
        if n_others < 1.0 {
            return 0.5;
        }
        let n_better = sorted.partition_point(|&other| other < cost);
        let n_worse = sorted.len() - sorted.partition_point(|&other| other <= cost);
        let n_equal = sorted.len() - n_better - n_worse - 1;
        (n_worse as f64 + 0.5 * n_equal as f64) / n_others
    };
    costs.iter().map(rank).collect()
}

/// Reward of each trial by its rank u among all n, in [0, 1]:
///
/// ```text
/// -ln(1 - u + 1/(n+1)) / ln(n+1)
/// ```
///
/// so 1 for the best and little for one in the middle: differences among the best count most, for any unit of the
/// objective.
pub fn rewards(costs: &[Option<f64>]) -> Vec<f64> {
    let n = costs.len() as f64 + 1.0;
    ranks(costs).into_iter().map(|rank| -(1.0 - rank + 1.0 / n).min(1.0).ln() / n.ln()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::TrialState;
    use std::collections::BTreeMap;

    #[test]
    fn a_rank_is_the_share_of_worse_trials_and_failures_have_none() {
        let costs = [Some(3.0), None, Some(1.0), Some(3.0), Some(f64::INFINITY)];
        // 1 beats all four; each 3 beats a failure and an infinity and ties once; an infinity is as bad as a failure
        // but has a value.
        assert_eq!(ranks(&costs), [2.5 / 4.0, 0.0, 1.0, 2.5 / 4.0, 0.5 / 4.0]);
        assert_eq!((ranks(&[Some(7.0)]), ranks(&[])), (vec![0.5], vec![]));
    }

    #[test]
    fn the_best_earns_1_the_worst_0_and_the_middle_little() {
        let earned = rewards(&[Some(1.0), Some(2.0), Some(3.0), Some(4.0), None]);
        // u = 1, 3/4, 1/2, 1/4, 0 and n + 1 = 6, so -ln(1 - u + 1/6) / ln 6.
        let exact = [1.0, 0.75, 0.5, 0.25, 0.0].map(|u: f64| -(1.0 - u + 1.0 / 6.0).min(1.0).ln() / 6f64.ln());
        assert!(earned.iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-12), "{earned:?}");
        // A single one beats nobody: -ln(1 - 1/2 + 1/2).
        assert!(rewards(&[Some(1.0)])[0].abs() < 1e-12 && rewards(&[]).is_empty());
    }

    #[test]
    fn a_value_is_negated_and_what_has_none_counts_as_the_worst() {
        let costs = [Some(3.0), None, Some(-1.0), Some(f64::INFINITY)];
        assert_eq!(Reward::Value.of(&costs), [-3.0, -3.0, 1.0, -3.0]);
        assert_eq!(Reward::Value.of(&[None]), [0.0]);
    }

    #[test]
    fn a_trial_that_breaks_a_constraint_has_no_cost() {
        let past = |values: &[f64], constraints: &[f64]| Past {
            number: 0,
            state: TrialState::Complete,
            point: vec![],
            values: values.to_vec(),
            intermediate: BTreeMap::new(),
            constraints: constraints.to_vec(),
        };
        let trials = [past(&[2.0], &[0.0]), past(&[2.0], &[0.1]), past(&[], &[])];
        assert_eq!(super::costs(&trials, Direction::Maximize), [Some(-2.0), None, None]);
    }
}
