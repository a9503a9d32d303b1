//! Moves and actions of a controller: *halve*, *accept*, *×1.25* (Hu, Zhang and Shi, section 3.3).

use serde::{Deserialize, Serialize};

/// One move of one controlled value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Move {
    /// Times ½.
    Halve,
    /// Unchanged.
    Accept,
    /// Times 1¼.
    Grow,
}

impl Move {
    /// All moves, in the order of the Q-network's outputs.
    pub const ALL: [Self; 3] = [Self::Halve, Self::Accept, Self::Grow];

    /// Factor of the value.
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

    /// Odds of the move in a random choice: 0.12 : 0.50 : 0.38. Were all three as likely, the logarithm of the value
    /// would change by -0.157 on average, and random moves alone would drive a learning rate to zero; with these odds
    /// it changes by +0.002. (With only ½ and 1 there is no choice without a drift; then it is 0.12 : 0.50.)
    fn drift_free_odds(self) -> f64 {
        match self {
            Self::Halve => 0.12,
            Self::Accept => 0.50,
            Self::Grow => 0.38,
        }
    }
}

/// The moves of both controlled values, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Action {
    /// Move of the learning rate.
    pub lr: Move,
    /// Move of the weight decay.
    pub weight_decay: Move,
}

impl Action {
    /// Action that changes nothing.
    pub const ACCEPT: Self = Self { lr: Move::Accept, weight_decay: Move::Accept };
    /// Action of the guard: half the learning rate.
    pub const HALVE_LR: Self = Self { lr: Move::Halve, weight_decay: Move::Accept };

    /// Move that names the action in counts: that of the learning rate, or, where the rate stays, of the weight decay.
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
    /// Joint actions for these moves, in the order of the Q-network's outputs: `moves` for one value,
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

    /// Odds, up to a common factor, of each joint action in the order of [`Controls::actions`], with which random
    /// actions do not let the values drift: those of both moves, multiplied. For
    /// [`Explorer::new`](crate::dqn::Explorer::new).
    ///
    /// ```
    /// # use qgd::{Controls, Move};
    /// let odds = Controls::Lr.drift_free_odds(&Move::ALL);
    /// let drift: f64 = Move::ALL.iter().zip(&odds).map(|(one, odds)| odds * one.factor().ln()).sum();
    /// assert!(drift.abs() < 0.002);
    /// ```
    pub fn drift_free_odds(self, moves: &[Move]) -> Vec<f64> {
        let odds = |action: Action| action.lr.drift_free_odds() * action.weight_decay.drift_free_odds();
        self.actions(moves).into_iter().map(odds).collect()
    }

    /// Part of an action that is left where only these values move.
    pub(crate) fn part_of(self, action: Action) -> Action {
        match self {
            Self::Lr => Action { weight_decay: Move::Accept, ..action },
            Self::WeightDecay => Action { lr: Move::Accept, ..action },
            Self::Both => action,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean change of ln(lr) and of ln(λ) for one random action.
    fn drift(controls: Controls, odds: &[f64]) -> [f64; 2] {
        let actions = controls.actions(&Move::ALL);
        let total: f64 = odds.iter().sum();
        let mean = |of: fn(&Action) -> Move| {
            actions.iter().zip(odds).map(|(action, odds)| odds / total * of(action).factor().ln()).sum()
        };
        [mean(|action| action.lr), mean(|action| action.weight_decay)]
    }

    #[test]
    fn uniform_exploration_drives_the_learning_rate_to_zero_and_ours_leaves_it() {
        let [uniform, _] = drift(Controls::Lr, &[1.0; 3]);
        assert!((uniform + 0.157).abs() < 5e-4, "the claim in the design: {uniform}");
        for controls in [Controls::Lr, Controls::WeightDecay, Controls::Both] {
            let [lr, weight_decay] = drift(controls, &controls.drift_free_odds(&Move::ALL));
            assert!(lr.abs() < 0.002 && weight_decay.abs() < 0.002, "{lr} {weight_decay}");
        }
    }
}
