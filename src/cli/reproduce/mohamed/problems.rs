//! The two data sets, and the paper's rows about them.

use crate::cli::failure::Failure;
use crate::cli::reproduce::lab::Lab;
use crate::cli::reproduce::small_net::SmallNet;

/// Letters that are used with `--quick`, of 20,000.
const QUICK_LETTERS: usize = 1000;

/// A row of the paper's Table 1 or 2: what was chosen, and the test loss.
pub struct Published {
    pub chosen: &'static str,
    pub test: f64,
}

/// A data set, and the paper's table about it.
pub struct Problem {
    pub title: &'static str,
    /// Combinations that the paper's baseline came to (section 4).
    pub n_baseline: usize,
    /// Rows of the paper's table: baseline, MLP policy, RNN policy.
    pub published: [Published; 3],
    pub net: SmallNet,
}

impl Problem {
    /// The residual sugar of red wines: section 3.1 and Table 1.
    pub fn wine(lab: &Lab) -> Result<Self, Failure> {
        // The learning rates of the table are missing in the text that we have.
        let row = |chosen, test| Published { chosen, test };
        Ok(Self {
            title: "Table 1: the residual sugar of red wines, mean squared error",
            n_baseline: 1610,
            published: [
                row("?, 0.0001, 128, 18", 0.5948),
                row("?, 0.0003, 16, 18", 0.4232),
                row("?, 0.0003, 128, 8", 0.3957),
            ],
            net: SmallNet::new(lab, "wine", "wine", None)?,
        })
    }

    /// Printed letters: section 3.1 and Table 2.
    pub fn letter(lab: &Lab) -> Result<Self, Failure> {
        let row = |chosen, test| Published { chosen, test };
        Ok(Self {
            title: "Table 2: printed letters, cross-entropy",
            n_baseline: 489,
            published: [
                row("0.01, 0.00001, 64, 20", 0.7674),
                row("0.003, 0.00001, 8, 20", 0.6678),
                row("0.001, 0.001, 8, 20", 0.7772),
            ],
            net: SmallNet::new(lab, "letter", "letter", lab.either(None, Some(QUICK_LETTERS)))?,
        })
    }
}
