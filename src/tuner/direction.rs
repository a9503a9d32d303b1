//! Which way an objective is to go.

use serde::{Deserialize, Serialize};

/// Direction in which an objective is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Small values are good.
    Minimize,
    /// Large values are good.
    Maximize,
}

impl Direction {
    /// Its word in a space file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimize => "minimize",
            Self::Maximize => "maximize",
        }
    }

    /// The value as a cost: with the sign turned where large values are good.
    pub fn cost(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}
