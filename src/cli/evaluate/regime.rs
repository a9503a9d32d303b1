//! How often a training sees each example.
//!
//! ```text
//! exposures = steps * batch / n,  n the number of examples in the training split
//! ```
//!
//! A batch size of 0 stands for the whole split. In a text by character an example is one of the pieces of `context`
//! characters that it is cut into; they do not overlap, so the exposures are characters drawn over characters in the
//! split.

use serde::Serialize;
use std::fmt;

/// Kind of a problem, by how often each example is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Regime {
    /// More than 20 times.
    #[serde(rename = "learned by heart")]
    LearnedByHeart,
    /// More than twice, and 20 times at most.
    #[serde(rename = "between")]
    Between,
    /// Twice at most.
    #[serde(rename = "seen once or twice")]
    SeenOnceOrTwice,
}

impl Regime {
    pub const ALL: [Self; 3] = [Self::LearnedByHeart, Self::Between, Self::SeenOnceOrTwice];

    pub fn of(exposures: f64) -> Self {
        if exposures > 20.0 {
            Self::LearnedByHeart
        } else if exposures > 2.0 {
            Self::Between
        } else {
            Self::SeenOnceOrTwice
        }
    }
}

impl fmt::Display for Regime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LearnedByHeart => "learned by heart",
            Self::Between => "between",
            Self::SeenOnceOrTwice => "seen once or twice",
        })
    }
}

/// How often each of `n_examples` is seen, in the mean.
pub fn exposures(steps: u64, batch_size: usize, n_examples: u64) -> f64 {
    if batch_size == 0 { steps as f64 } else { steps as f64 * batch_size as f64 / n_examples as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_belong_to_the_lower_kind() {
        let found = [0.1, 2.0, 2.01, 20.0, 20.01, 1e6].map(Regime::of);
        use Regime::{Between, LearnedByHeart, SeenOnceOrTwice};
        assert_eq!(found, [SeenOnceOrTwice, SeenOnceOrTwice, Between, Between, LearnedByHeart, LearnedByHeart]);
    }

    #[test]
    fn exposures_by_hand() {
        // digits: 400 batches of 64 out of 1437. A whole split is seen once in each step.
        assert!((exposures(400, 64, 1437) - 17.8149).abs() < 1e-4);
        assert!((exposures(400, 0, 1437) - 400.0).abs() < 1e-12);
    }

    #[test]
    fn a_name_is_the_same_in_tables_and_in_json() {
        for regime in Regime::ALL {
            assert_eq!(serde_json::to_value(regime).unwrap(), regime.to_string());
        }
    }
}
