//! Values that went far wrong, as those of trials that diverged: they say no more than that it was bad there, and must
//! not hide the differences among all others from whoever compares with an average or a variance.
//!
//! With `low` the best cost, and `q` the first quartile of the first ten trials, or the next cost of theirs above `low`:
//!
//! ```text
//! z  = (cost - q) / (q - low)
//! z' = z                            for z <= 8
//!      min(8 + ln(1 + z - 8), 12)   else
//! ```
//!
//! So what is no outlier stays as it is, and so does the order, up to the limit of 12. The first trials lie anywhere in
//! the space, so their quartile says what is usual in it as long as a quarter of it is good; that of all trials would
//! shrink as they come near to the best, and then everything else would be an outlier (measured with `gp` on a bowl of
//! two parameters: the late trials were 8 times as far from the best). The constants were chosen by us: in a bowl of one
//! or more parameters hardly anything is above 8.

const FIRST: usize = 10;
const KNEE: f64 = 8.0;
const LIMIT: f64 = 12.0;

/// The costs, in the order of the trials, with those that are far worse than the good ones brought near to the others.
/// NaN and negative infinity stay.
pub(super) fn tamed(costs: &[f64]) -> Vec<f64> {
    let low = costs.iter().copied().filter(|cost| cost.is_finite()).fold(f64::INFINITY, f64::min);
    let first = &costs[..costs.len().min(FIRST)];
    let Some(quartile) = quartile_above(low, first).or_else(|| quartile_above(low, costs)) else {
        return costs.to_vec();
    };
    let (unit, limit) = (quartile - low, quartile + LIMIT * (quartile - low));
    if !limit.is_finite() {
        return costs.to_vec();
    }
    let tame = |&cost: &f64| {
        let z = (cost - quartile) / unit;
        if z > KNEE { (quartile + unit * (KNEE + (z - KNEE).ln_1p())).min(limit) } else { cost }
    };
    costs.iter().map(tame).collect()
}

/// The first quartile of the finite costs, or the next one above `low`.
fn quartile_above(low: f64, costs: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = costs.iter().copied().filter(|cost| cost.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.iter().copied().skip(sorted.len().saturating_sub(1) / 4).find(|&cost| cost > low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0, 0.1, ..., 3.9, mixed.
    fn plain() -> Vec<f64> {
        (0..40).map(|i| f64::from(17 * i % 40) * 0.1).collect()
    }

    #[test]
    fn what_is_no_outlier_stays_also_when_most_trials_come_near_to_the_best() {
        assert_eq!(tamed(&plain()), plain());
        let late = [plain(), (0..200).map(|i| f64::from(i) * 1e-9).collect()].concat();
        assert_eq!(tamed(&late), late);
    }

    #[test]
    fn outliers_come_near_even_where_most_are_outliers() {
        for big in [1e4, 1e300, f64::INFINITY] {
            for first_big in [1.6, 3.9] {
                let is_big = |cost: f64| cost > first_big - 0.05;
                let with: Vec<f64> = plain().iter().map(|&cost| if is_big(cost) { big } else { cost }).collect();
                for (cost, found) in plain().into_iter().zip(tamed(&with)) {
                    let fits = if is_big(cost) { (3.0..20.0).contains(&found) } else { (found - cost).abs() <= 0.0 };
                    assert!(fits, "{cost} became {found}, {big}");
                }
            }
        }
    }

    #[test]
    fn the_order_stays_and_so_do_costs_that_cannot_be_compared() {
        let costs = [0.0, 1.0, 7.0, 8.0, 20.0, 50.0, f64::NEG_INFINITY];
        let found = tamed(&costs);
        assert!(found[..6].windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
        assert!(found[5] < 13.5 && found[6] == f64::NEG_INFINITY);
        for same in [vec![], vec![3.0; 5], vec![f64::INFINITY; 3], vec![f64::MAX, f64::MIN], vec![3.0, f64::INFINITY]] {
            assert_eq!(tamed(&same), same);
        }
        // More than a quarter are the best: the next one is the measure.
        assert!(tamed(&[0.0, 0.0, 0.0, 1.0, 1e9])[4] < 13.5);
    }
}
