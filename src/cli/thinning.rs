//! Fewer rows, and fewer digits, that look the same: a chart is some thousand points wide, however long a run is.

use std::collections::BTreeSet;
use std::ops::Range;

/// The rows 0 to `n` in so many stretches of about equal length, or each row by itself where there are no more.
pub fn stretches(n: usize, n_stretches: usize) -> impl Iterator<Item = Range<usize>> {
    let n_stretches = n_stretches.min(n);
    (0..n_stretches).map(move |i| i * n / n_stretches..(i + 1) * n / n_stretches)
}

/// Indices, in order, of the rows of each stretch that its picture needs: the first and the last, and those with the
/// lowest and the highest value of each measure. Values that are not finite are no extremes.
pub fn extremes(n: usize, n_stretches: usize, measures: &[&dyn Fn(usize) -> f64]) -> Vec<usize> {
    let mut kept = BTreeSet::new();
    for stretch in stretches(n, n_stretches) {
        kept.extend([stretch.start, stretch.end - 1]);
        for measure in measures {
            let finite = || stretch.clone().filter(|&i| measure(i).is_finite());
            kept.extend(finite().min_by(|&a, &b| measure(a).total_cmp(&measure(b))));
            kept.extend(finite().max_by(|&a, &b| measure(a).total_cmp(&measure(b))));
        }
    }
    kept.into_iter().collect()
}

/// So many of the indices 0 to `n`, evenly spread, the first and the last among them; all where there are no more.
pub fn spread(n: usize, n_wanted: usize) -> Vec<usize> {
    if n <= n_wanted {
        return (0..n).collect();
    }
    let last = n_wanted.saturating_sub(1).max(1);
    (0..n_wanted).map(|i| i * (n - 1) / last).collect()
}

/// The number with six digits.
pub fn short(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_kept() {
        let bits = |values: [f64; 4]| values.map(f64::to_bits);
        assert_eq!(
            bits([1.0, 0.123_456_78, 3e-12, 123_456_789.0].map(short)),
            bits([1.0, 0.123_457, 3e-12, 123_457_000.0])
        );
        assert!(short(f64::NAN).is_nan() && short(f64::INFINITY).is_infinite());
    }

    #[test]
    fn extremes_of_a_long_row_are_kept_whatever_is_left_out() {
        let noisy = |i: usize| ((i * 7919) % 1009) as f64;
        let spikes = |i: usize| match i {
            12_345 => 1e9,
            77_777 => -1e9,
            50_000 => f64::NAN,
            _ => noisy(i),
        };
        let kept = extremes(100_000, 100, &[&spikes]);
        assert!(kept.len() <= 400, "{}", kept.len());
        assert!(kept.is_sorted() && kept.contains(&12_345) && kept.contains(&77_777));
        assert_eq!((kept.first(), kept.last()), (Some(&0), Some(&99_999)));
        // Slow reference: the band of each stretch is that of all its rows.
        for stretch in stretches(100_000, 100) {
            let band = |rows: &mut dyn Iterator<Item = usize>| {
                let rows = rows.map(spikes).filter(|value| value.is_finite());
                rows.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)])
            };
            let drawn = band(&mut kept.iter().copied().filter(|i| stretch.contains(i)));
            assert_eq!(drawn.map(f64::to_bits), band(&mut stretch.clone()).map(f64::to_bits));
        }
    }

    #[test]
    fn stretches_cover_every_row_once() {
        for (n, n_stretches) in [(0, 5), (3, 5), (5, 5), (17, 5), (1000, 7)] {
            let rows: Vec<usize> = stretches(n, n_stretches).flatten().collect();
            assert_eq!(rows, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_spread_has_both_ends_and_no_index_twice() {
        assert_eq!(spread(3, 5), [0, 1, 2]);
        assert_eq!(spread(101, 3), [0, 50, 100]);
        let many = spread(1000, 999);
        assert!(many.windows(2).all(|pair| pair[0] < pair[1]) && many.len() == 999);
        assert_eq!((spread(10, 1), spread(0, 4)), (vec![0], vec![]));
    }
}
