//! How much a meta-training has to do, before it has begun.

use crate::meta::hindsight::N_LEVELS;
use crate::meta::recipe::TrainingRecipe;
use crate::meta::validation;

/// Nets that a meta-training trains, and the inner steps that they are expected to take.
///
/// ```
/// use qgd::meta::{TrainingRecipe, Workload};
///
/// let workload = Workload::of(&TrainingRecipe::load("lr-single".as_ref())?);
/// assert_eq!((workload.learning_rounds, workload.polish_rounds), (100, 100));
/// assert_eq!((workload.nets_of_round(0), workload.nets_of_round(100)), (128, 2 * 96));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workload {
    /// Number of rounds of Q-learning.
    pub learning_rounds: u32,
    /// Number of rounds of the polish after them.
    pub polish_rounds: u32,
    /// Number of nets that the rival is tuned with, before the first round.
    pub rival_nets: u64,
    /// Number of nets that the pool of [`HindsightConfig`](crate::meta::HindsightConfig) is scored with, after them.
    pub pool_nets: u64,
    /// Number of nets of one validation.
    pub validation_nets: u64,
    learning_nets: u64,
    polish_nets: u64,
    validate_every: u32,
    /// Mean number of inner steps of a net: the mean of a log-uniform distribution.
    mean_horizon: f64,
}

impl Workload {
    /// The workload of a recipe.
    pub fn of(recipe: &TrainingRecipe) -> Self {
        let training = &recipe.training;
        let polish = training.polish.as_ref();
        let [low, high] = training.tasks.horizon.map(|steps| steps as f64);
        let tasks = u64::from(training.validation_tasks);
        Self {
            learning_rounds: training.rounds,
            polish_rounds: polish.map_or(0, |polish| polish.rounds),
            pool_nets: training.hindsight.as_ref().map_or(0, |pool| u64::from(pool.tasks) * N_LEVELS as u64),
            rival_nets: tasks * validation::n_rivals(recipe.controller.controls) as u64,
            validation_nets: tasks * validation::N_STARTS as u64,
            learning_nets: training.episodes_per_round.into(),
            polish_nets: polish.map_or(0, |polish| 2 * u64::from(polish.episodes_per_round)),
            validate_every: training.validate_every,
            mean_horizon: if low < high { (high - low) / (high / low).ln() } else { low },
        }
    }

    /// Number of nets before the first round: those of the rival and of the pool.
    pub fn nets_beforehand(&self) -> u64 {
        self.rival_nets + self.pool_nets
    }

    /// Number of rounds in all: those of Q-learning, then those of the polish.
    pub fn n_rounds(&self) -> u32 {
        self.learning_rounds.saturating_add(self.polish_rounds)
    }

    /// Whether there is a validation at the end of a round, counted from 0: now and then, and where a stage ends, because the
    /// polish starts from the best networks.
    pub fn validates(&self, round: u32) -> bool {
        let done = round.saturating_add(1);
        done.is_multiple_of(self.validate_every.max(1)) || done == self.learning_rounds || done >= self.n_rounds()
    }

    /// Number of nets that a round trains, counted from 0, without its validation.
    pub fn nets_of_round(&self, round: u32) -> u64 {
        if round < self.learning_rounds { self.learning_nets } else { self.polish_nets }
    }

    /// Expected number of inner steps of a round, counted from 0, with its validation, where there is one.
    pub fn steps_of_round(&self, round: u32) -> f64 {
        let validation = if self.validates(round) { self.validation_nets } else { 0 };
        (self.nets_of_round(round) + validation) as f64 * self.mean_horizon
    }

    /// Number of nets in all: those of the rival, the pool, the rounds and the validations.
    pub fn n_nets(&self) -> u64 {
        let validations = (0..self.n_rounds()).filter(|&round| self.validates(round)).count() as u64;
        let rounds =
            u64::from(self.learning_rounds) * self.learning_nets + u64::from(self.polish_rounds) * self.polish_nets;
        self.nets_beforehand() + rounds + validations * self.validation_nets
    }

    /// Expected number of inner steps in all.
    pub fn n_steps(&self) -> f64 {
        self.n_nets() as f64 * self.mean_horizon
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::MetaTraining;
    use std::sync::atomic::{AtomicU64, Ordering};

    const RECIPE: &str = "schema = 1\nname = 'r'\ndescription = 'r'\ncontrols = 'lr'\nmoves = ['halve', 'accept', 'grow']\n\
        features = 'scalefree'\n[pace]\nprobe_steps = 8\n[network]\nhidden = [4]\n\
        [training]\nrounds = 3\nepisodes_per_round = 5\nupdates_per_round = 1\nvalidation_tasks = 2\nvalidate_every = 2\n\
        [training.polish]\nrounds = 2\nepisodes_per_round = 3\n[training.tasks]\nhorizon = [30, 30]\n";

    #[test]
    fn what_is_expected_is_what_is_done() {
        let recipe = TrainingRecipe::parse(RECIPE, "test").unwrap();
        let workload = Workload::of(&recipe);
        let begun = AtomicU64::new(0);
        let on_net = || _ = begun.fetch_add(1, Ordering::Relaxed);
        let mut training = MetaTraining::new_telling(recipe, 1, 1, &on_net).unwrap();
        assert_eq!(begun.into_inner(), workload.nets_beforehand());
        let (mut steps, mut validations) = (0.0, Vec::new());
        for round in 0..workload.n_rounds() {
            let report = training.round().unwrap();
            steps += workload.nets_of_round(round) as f64 * 30.0;
            assert!(
                (report.inner_steps as f64 - steps).abs() < 0.5,
                "round {round}: {} and {steps}",
                report.inner_steps
            );
            assert_eq!(report.validation.is_some(), workload.validates(round), "round {round}");
            validations.extend(report.validation.map(|_| round));
        }
        assert!(training.is_finished());
        assert_eq!(validations, [1, 2, 3, 4]);
        // The rival from 11 rates, four validations from 5 starts, 3 rounds of 5 nets, 2 of 3 pairs.
        assert_eq!(workload.n_nets(), 2 * 11 + 4 * 2 * 5 + 3 * 5 + 2 * 2 * 3);
        assert!((workload.steps_of_round(1) - 30.0 * 15.0).abs() < 1e-9);
    }

    #[test]
    fn the_mean_horizon_is_that_of_a_log_uniform_draw() {
        let text = RECIPE.replace("[30, 30]", "[100, 1000]");
        let workload = Workload::of(&TrainingRecipe::parse(&text, "test").unwrap());
        assert!((workload.mean_horizon - 390.87).abs() < 0.01, "{}", workload.mean_horizon);
    }
}
