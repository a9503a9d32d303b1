//! Values that went far wrong, as those of trials that diverged: they say no more than that it was bad there, and must
//! not hide the differences among all others from whoever compares with an average or a variance.
//!
//! With `low` the best cost and `q` the first quartile, or the first cost after it that is above `low`:
//!
//! ```text
//! z  = (cost - q) / (q - low)
//! z' = z                                         for z <= 5
//!      min(5 + ln(1 + z - 5), 10)                else
//! ```
//!
//! So what is no outlier stays as it is, and so does the order, up to the limit of 10. The quartile holds as long as a
//! quarter of the trials went well. The constants were chosen by us.

const KNEE: f64 = 5.0;
const LIMIT: f64 = 10.0;

/// The costs with those that are far worse than the good ones brought near to the others. NaN and negative infinity
/// stay.
pub(super) fn tamed(costs: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = costs.iter().copied().filter(|cost| cost.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let low = sorted.first().copied().unwrap_or_default();
    let quartile =
        sorted.iter().copied().skip(sorted.len().saturating_sub(1) / 4).find(|&cost| cost > low).unwrap_or(low);
    let unit = quartile - low;
    if !(unit > 0.0 && unit.is_finite()) {
        return costs.to_vec();
    }
    let limit = quartile + LIMIT * unit;
    let tame = |&cost: &f64| {
        let z = (cost - quartile) / unit;
        if z > KNEE { (quartile + unit * (KNEE + (z - KNEE).ln_1p())).min(limit) } else { cost }
    };
    costs.iter().map(tame).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_outlier_stays_and_one_comes_near() {
        let plain: Vec<f64> = (0..40).map(|i| f64::from(i) * 0.1).collect();
        assert_eq!(tamed(&plain), plain);
        for big in [1e4, 1e300, f64::INFINITY] {
            // A quarter of the trials is enough to see what an outlier is.
            for n_big in [1, 30] {
                let with = [&plain[..10], &vec![big; n_big]].concat();
                let found = tamed(&with);
                assert_eq!(found[..10], plain[..10]);
                assert!(found[10..].iter().all(|cost| (0.9..12.0).contains(cost)), "{found:?}");
            }
        }
    }

    #[test]
    fn the_order_stays_and_so_do_costs_that_cannot_be_compared() {
        let costs = [0.0, 1.0, 7.0, 8.0, 20.0, 50.0, f64::NEG_INFINITY];
        let found = tamed(&costs);
        assert!(found[..6].windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
        assert!(found[5] < 12.0 && found[6] == f64::NEG_INFINITY);
        for same in [vec![], vec![3.0; 5], vec![f64::INFINITY; 3], vec![f64::MAX, f64::MIN], vec![3.0, f64::INFINITY]] {
            assert_eq!(tamed(&same), same);
        }
        // More than a quarter are the best: the next one is the measure.
        assert!(tamed(&[0.0, 0.0, 0.0, 1.0, 1e9])[4] < 12.0);
    }
}
