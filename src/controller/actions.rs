//! *Halve / accept / ×1.25*: what a controller can do (Hu, Zhang and Shi, section 3.3).

use serde::{Deserialize, Serialize};

/// One move of one controlled value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Move {
    /// Times ½.
    Halve,
    /// Leave it.
    Accept,
    /// Times 1¼.
    Grow,
}

impl Move {
    /// All moves, in the order of the Q-network's outputs.
    pub const ALL: [Self; 3] = [Self::Halve, Self::Accept, Self::Grow];

    /// What the value is multiplied by.
    ///
    /// ```
    /// # use qgd::Move;
    /// assert_eq!(Move::ALL.map(Move::factor), [0.5, 1.0, 1.25]);
    /// ```
    pub fn factor(self) -> f64 {
        match self {
            Self::Halve => 0.5,
            Self::Accept => 1.0,
            Self::Grow => 1.25,
        }
    }
}

/// The moves of both controlled values, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Action {
    /// What happens to the learning rate.
    pub lr: Move,
    /// What happens to the weight decay.
    pub weight_decay: Move,
}

impl Action {
    /// Changes nothing.
    pub const ACCEPT: Self = Self { lr: Move::Accept, weight_decay: Move::Accept };
    /// What the guard does: half the learning rate.
    pub const HALVE_LR: Self = Self { lr: Move::Halve, weight_decay: Move::Accept };

    /// The one move that names the action in counts: the learning rate's, or where that stays the weight decay's.
    pub fn main_move(self) -> Move {
        if self.lr == Move::Accept { self.weight_decay } else { self.lr }
    }
}

/// Which values a controller moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Controls {
    /// The learning rate.
    Lr,
    /// The weight decay λ.
    WeightDecay,
    /// Both at once.
    Both,
}

impl Controls {
    /// The joint actions for these moves, in the order of the Q-network's outputs: `moves` for one value,
    /// `moves × moves` (learning rate outermost) for both.
    ///
    /// ```
    /// # use qgd::{Controls, Move};
    /// assert_eq!(Controls::Lr.actions(&Move::ALL).len(), 3);
    /// assert_eq!(Controls::Both.actions(&Move::ALL).len(), 9);
    /// ```
    pub fn actions(self, moves: &[Move]) -> Vec<Action> {
        let accept = [Move::Accept];
        let (lr, weight_decay) = match self {
            Self::Lr => (moves, &accept[..]),
            Self::WeightDecay => (&accept[..], moves),
            Self::Both => (moves, moves),
        };
        lr.iter().flat_map(|&lr| weight_decay.iter().map(move |&weight_decay| Action { lr, weight_decay })).collect()
    }

    /// What is left of an action where only these values move.
    pub(crate) fn part_of(self, action: Action) -> Action {
        match self {
            Self::Lr => Action { weight_decay: Move::Accept, ..action },
            Self::WeightDecay => Action { lr: Move::Accept, ..action },
            Self::Both => action,
        }
    }
}
