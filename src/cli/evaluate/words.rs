//! Differences in words: better or worse, never a sign.

use super::groups::Pooled;

/// A signed deficit in words: `0.31 better`, `0.08 worse`.
pub fn in_words(deficit: f64, show: impl Fn(f64) -> String) -> String {
    let size = show(deficit.abs());
    if size == show(0.0) {
        return "the same".to_owned();
    }
    format!("{size} {}", if deficit > 0.0 { "worse" } else { "better" })
}

/// A mean deficit with its interval in words, without the signs: what `show` makes of a size stands before `better` or
/// `worse`.
pub fn pooled_in_words(pooled: &Pooled, show: impl Fn(f64) -> String, level: f64) -> String {
    let Pooled { n_pairs, mean, interval: [low, high] } = *pooled;
    let [mean, low, high] = [mean, low, high].map(|deficit| in_words(deficit, &show));
    format!("{mean} ({:.0} %: from {low} to {high}; bootstrap over {n_pairs} pairs of task and seed)", 100.0 * level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deficit_is_better_worse_or_the_same() {
        let points = |deficit: f64| in_words(deficit, |points| format!("{points:.2}"));
        assert_eq!([0.08, -0.31, 0.001, -0.001].map(points), ["0.08 worse", "0.31 better", "the same", "the same"]);
    }

    #[test]
    fn an_interval_has_no_signs() {
        let pooled = Pooled { n_pairs: 21, mean: 0.08, interval: [-0.31, 0.49] };
        let words = pooled_in_words(&pooled, |points| format!("{points:.2} points"), 0.95);
        assert_eq!(
            words,
            "0.08 points worse (95 %: from 0.31 points better to 0.49 points worse; bootstrap over 21 pairs of task and seed)"
        );
    }
}
