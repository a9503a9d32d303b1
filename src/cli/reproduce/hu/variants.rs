//! The settings of the paper, and one cure after the other.

use super::EPISODES;
use crate::cli::failure::Failure;
use qgd::dqn::{EpsilonGreedy, EpsilonSchedule, Exploration, RewardConfig};
use qgd::meta::{TrainingConfig, TrainingRecipe};
use std::path::Path;

/// What the agent moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controlled {
    /// The learning rate α: Algorithms 1 and 3.
    Lr,
    /// The penalty λ: Algorithms 2 and 4.
    Lambda,
}

impl Controlled {
    pub const ALL: [Self; 2] = [Self::Lr, Self::Lambda];
}

/// A row of the table: which settings are the paper's.
pub struct Variant {
    pub name: &'static str,
    pub controls: Controlled,
    /// Adam at 0.05, as in section 4.2, and not at 0.0005.
    fast: bool,
    /// Targets by the network that learns, and not by one that follows it slowly.
    chases_itself: bool,
    /// The reward of equation 7 or 8, and not the fall of the logarithm.
    inverse_distance: bool,
    /// ε at first, at last, and the episodes over which it falls, of [`EPISODES`].
    epsilon: [f64; 3],
}

const PUBLISHED: Variant = Variant {
    name: "as published",
    controls: Controlled::Lr,
    fast: true,
    chases_itself: true,
    inverse_distance: true,
    epsilon: [1.0, 0.1, 50.0],
};
/// As published, for λ (section 4.5).
const LAMBDA: Variant = Variant { name: "λ: as published", controls: Controlled::Lambda, ..PUBLISHED };

/// All rows; each cure has those above it too. There is one of each, so that they are told apart by their places.
pub static VARIANTS: [Variant; 8] = [
    PUBLISHED,
    Variant { name: "the same, ε 0.01 (Figure 2)", epsilon: [0.01, 0.01, 1.0], ..PUBLISHED },
    Variant { name: "the same, ε 0.2 to 0.05 in 10 episodes (Figure 6)", epsilon: [0.2, 0.05, 10.0], ..PUBLISHED },
    Variant { name: "as published + Adam at 0.0005", fast: false, ..PUBLISHED },
    Variant { name: "+ a target network", fast: false, chases_itself: false, ..PUBLISHED },
    Variant {
        name: "+ reward by the fall of ln f",
        fast: false,
        chases_itself: false,
        inverse_distance: false,
        ..PUBLISHED
    },
    LAMBDA,
    Variant { name: "λ: with all cures", fast: false, chases_itself: false, inverse_distance: false, ..LAMBDA },
];

impl Variant {
    /// The recipe that ships for the paper's controller, with the settings of this row.
    pub fn recipe(&self, n_episodes: usize) -> Result<TrainingRecipe, Failure> {
        let name = if self.controls == Controlled::Lr { "hu-lr" } else { "hu-lambda" };
        let mut recipe = TrainingRecipe::load(Path::new(name)).map_err(Failure::bad_input)?;
        self.change(&mut recipe.training, n_episodes);
        Ok(recipe)
    }

    fn change(&self, training: &mut TrainingConfig, n_episodes: usize) {
        let agent = &mut training.agent;
        let lr = if self.fast { 0.05 } else { 5e-4 };
        (agent.lr, agent.lr_final) = (lr, lr);
        agent.tau = if self.chases_itself { 1.0 } else { 0.005 };
        if !self.inverse_distance {
            training.reward = RewardConfig { of: training.reward.of, ..RewardConfig::default() };
        }
        // A shorter training explores for the same share of it.
        let [first, last, over] = self.epsilon;
        let over = over * n_episodes as f64 / EPISODES as f64;
        if let Exploration::EpsilonGreedy(greedy) = training.exploration {
            let epsilon = EpsilonSchedule::Linear { first, last, over };
            training.exploration = Exploration::EpsilonGreedy(EpsilonGreedy { epsilon, ..greedy });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qgd::dqn::ActionPrior;

    #[test]
    fn the_first_row_has_the_settings_of_section_4_2() {
        let recipe = PUBLISHED.recipe(EPISODES).unwrap();
        let training = &recipe.training;
        assert!((training.agent.lr - 0.05).abs() < 1e-9 && (training.agent.tau - 1.0).abs() < 1e-9);
        assert_eq!((training.agent.batch_size, training.agent.n_step, training.agent.ensemble), (64, 1, 1));
        assert!(training.reward.inverse_distance.is_some());
        let Exploration::EpsilonGreedy(greedy) = training.exploration else { panic!("{:?}", training.exploration) };
        assert_eq!(greedy.epsilon, EpsilonSchedule::Linear { first: 1.0, last: 0.1, over: 50.0 });
        assert_eq!(greedy.prior, ActionPrior::Uniform);
        assert_eq!(recipe.controller.network.hidden, [32, 16]);
    }

    #[test]
    fn every_row_is_another_recipe_and_each_cure_takes_one_thing_back() {
        let hashes: std::collections::BTreeSet<String> =
            VARIANTS.iter().map(|variant| variant.recipe(20).unwrap().whole().hash()).collect();
        assert_eq!(hashes.len(), VARIANTS.len());
        let faults = |it: &Variant| [it.fast, it.chases_itself, it.inverse_distance].iter().filter(|&&is| is).count();
        assert_eq!(VARIANTS.each_ref().map(faults), [3, 3, 3, 2, 1, 0, 3, 0]);
    }
}
