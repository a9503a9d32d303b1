//! Training recipes: how a controller is meta-trained. A [`Recipe`] with its table `[training]` read.

mod task_config;

pub use task_config::TaskConfig;

use super::check_rounds;
use super::hindsight::HindsightConfig;
use super::polish::PolishConfig;
use crate::controller::{Controller, Pretrained, Recipe, RecipeError};
use crate::dqn::{
    ActionPrior, AgentConfig, EpsilonGreedy, EpsilonSchedule, Exploration, ExplorationError, Explorer, QNetwork,
    ReplayConfig, RewardConfig,
};
use crate::driver::{GuardConfig, Pace};
use crate::limits::{OutOfRange, within};
use crate::policy::Controls;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Training recipe: what a controller is, and how it is meta-trained.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingRecipe {
    /// Recipe of the controller: what it is. Its own table `training` is empty: it stands in the other field.
    pub controller: Recipe,
    /// How it is meta-trained.
    pub training: TrainingConfig,
}

impl TrainingRecipe {
    /// Reads and checks a recipe file, or a recipe that comes with qgd, by its name.
    ///
    /// # Errors
    /// When the file cannot be read, has an unknown key, or holds a value outside its range.
    pub fn load(name_or_file: &Path) -> Result<Self, RecipeError> {
        Self::read(Recipe::load(name_or_file)?, &name_or_file.display().to_string())
    }

    /// Parses and checks a recipe; `origin` is named in errors.
    ///
    /// # Errors
    /// As [`TrainingRecipe::load`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, RecipeError> {
        Self::read(Recipe::parse(text, origin)?, origin)
    }

    /// Reads the table `training` of a recipe.
    ///
    /// # Errors
    /// When the table has an unknown key or holds a value outside its range.
    pub fn of(recipe: &Recipe) -> Result<Self, RecipeError> {
        Self::read(recipe.clone(), &format!("of the controller {}", recipe.name))
    }

    fn read(mut controller: Recipe, origin: &str) -> Result<Self, RecipeError> {
        let table = std::mem::take(&mut controller.training);
        let toml = |source| RecipeError::Toml { origin: origin.to_owned(), source: Box::new(source) };
        let recipe = Self { controller, training: table.try_into().map_err(toml)? };
        recipe.check().map_err(|error| RecipeError::OutOfRange { origin: origin.to_owned(), error })?;
        Ok(recipe)
    }

    /// Makes a controller of this recipe at the start of a run, with networks whose training is under way: it takes
    /// features of any size.
    pub fn with_networks(&self, networks: Vec<QNetwork>) -> Controller {
        Controller::new(Arc::new(Pretrained::in_training(self.whole(), networks)))
    }

    /// Makes an explorer as this recipe says.
    ///
    /// # Errors
    /// When the exploration cannot be used.
    pub fn explorer(&self) -> Result<Explorer, ExplorationError> {
        let odds = self.controller.controls.drift_free_odds(&self.controller.moves);
        Explorer::new(self.training.exploration, &odds)
    }

    /// Recipe as a pretrained file carries it, with its table `training`.
    pub fn whole(&self) -> Recipe {
        // Every field is a number, string, array or table, which TOML can always hold.
        let training = toml::Table::try_from(&self.training).unwrap_or_default();
        Recipe { training, ..self.controller.clone() }
    }

    /// Recipe that the rollouts of meta-training follow: this one with the overrides of its [`Rehearsal`].
    #[must_use]
    pub fn rehearsed(&self) -> Self {
        let mut recipe = self.clone();
        let Rehearsal { pace, guard } = std::mem::take(&mut recipe.training.rehearsal);
        recipe.controller.pace = pace.unwrap_or(recipe.controller.pace);
        recipe.controller.guard = guard.unwrap_or(recipe.controller.guard);
        recipe
    }

    fn check(&self) -> Result<(), OutOfRange> {
        self.training.check().map_err(|error| error.under("training"))?;
        let (hindsight, controller) = (&self.training.hindsight, &self.controller);
        let knows_best = controller.controls == Controls::Lr && controller.line_search.is_none();
        let n_tasks = hindsight.as_ref().map_or(0, |hindsight| hindsight.tasks);
        let why = "left out: hindsight knows the best level of a learning rate alone, and of no line search";
        within("training.hindsight.tasks", n_tasks.into(), hindsight.is_none() || knows_best, why)?;
        let Some(config) = self.controller.line_search else { return Ok(()) };
        let tasks = &self.training.tasks;
        let with_memory = tasks.optimizers[1..].iter().copied().find(|&weight| weight > 0.0);
        let plain = "[1, 0, 0, 0]: a line search is plain gradient descent";
        within("training.tasks.optimizers", with_memory.unwrap_or(0.0), with_memory.is_none(), plain)?;
        let as_it_is = "0: a line search takes the gradient as it is";
        within("training.tasks.conditioned", tasks.conditioned, tasks.conditioned == 0.0, as_it_is)?;
        let longest_memory = tasks.horizon[0] > config.memory.into();
        within("training.tasks.horizon", tasks.horizon[0] as f64, longest_memory, "longer than line_search.memory")
    }
}

/// Configuration of meta-training: the table `[training]` of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Number of rounds of rollouts and updates. In [1, 1,000,000], default 300.
    pub rounds: u32,
    /// Number of tasks trained in a round. In [1, 1,000,000], default 128.
    pub episodes_per_round: u32,
    /// Number of updates of the Q-network in a round. In [0, ∞), default 64.
    pub updates_per_round: u32,
    /// Number of rounds between two validations. In [1, ∞), default 10.
    pub validate_every: u32,
    /// Number of tasks of the validation set, each run from five starts. In [1, 10,000], default 48.
    pub validation_tasks: u32,
    /// Rate, per round, at which the averaged networks follow those that learn. The averaged ones are validated and
    /// kept. In (0, 1], default 0.02.
    pub average: f32,
    /// Configuration of the learning.
    pub agent: AgentConfig,
    /// Exploration. Default: ε-greedy without drift; a random action lasts for 4 decisions on average, and ε goes from
    /// 0.4 to 0.4^4.3 = 0.02 across the episodes of a round.
    pub exploration: Exploration,
    /// Memory of the agent.
    pub replay: ReplayConfig,
    /// Overrides while the controller is meta-trained: where it is driven otherwise than in use.
    #[serde(skip_serializing_if = "Rehearsal::is_none")]
    pub rehearsal: Rehearsal,
    /// Learning in hindsight instead of from returns; not without this table. See [`HindsightConfig`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hindsight: Option<HindsightConfig>,
    /// Polish after the rounds of Q-learning; none without this table. See [`PolishConfig`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polish: Option<PolishConfig>,
    /// Reward of a decision.
    pub reward: RewardConfig,
    /// Tasks that are drawn.
    pub tasks: TaskConfig,
}

/// Overrides of pace and guard while a controller learns. The polish goes by those of use.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rehearsal {
    /// Pace: more decisions teach more. Default: that of use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
    /// Guard: nobody learns from a step that is undone. Default: that of use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardConfig>,
}

impl Rehearsal {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            rounds: 300,
            episodes_per_round: 128,
            updates_per_round: 64,
            validate_every: 10,
            validation_tasks: 48,
            average: 0.02,
            agent: AgentConfig::default(),
            exploration: Exploration::EpsilonGreedy(EpsilonGreedy {
                epsilon: EpsilonSchedule::Constant(0.4),
                sticky_decisions: 4.0,
                prior: ActionPrior::DriftFree,
                spread: 3.3,
            }),
            replay: ReplayConfig::default(),
            rehearsal: Rehearsal::default(),
            hindsight: None,
            polish: None,
            reward: RewardConfig::default(),
            tasks: TaskConfig::default(),
        }
    }
}

impl TrainingConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        check_rounds(self.rounds, self.episodes_per_round)?;
        within("validate_every", self.validate_every.into(), self.validate_every >= 1, "at least 1")?;
        within(
            "validation_tasks",
            self.validation_tasks.into(),
            (1..=10_000).contains(&self.validation_tasks),
            "in [1, 10000]",
        )?;
        within("average", self.average.into(), self.average > 0.0 && self.average <= 1.0, "in (0, 1]")?;
        self.agent.check().map_err(|error| error.under("agent"))?;
        self.exploration.check().map_err(|error| error.under("exploration"))?;
        self.replay.check().map_err(|error| error.under("replay"))?;
        let Rehearsal { pace, guard } = &self.rehearsal;
        pace.map_or(Ok(()), |pace| pace.check()).map_err(|error| error.under("rehearsal.pace"))?;
        guard.as_ref().map_or(Ok(()), GuardConfig::check).map_err(|error| error.under("rehearsal.guard"))?;
        self.hindsight.as_ref().map_or(Ok(()), HindsightConfig::check).map_err(|error| error.under("hindsight"))?;
        self.polish.as_ref().map_or(Ok(()), PolishConfig::check).map_err(|error| error.under("polish"))?;
        self.reward.check().map_err(|error| error.under("reward"))?;
        self.tasks.check().map_err(|error| error.under("tasks"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = "schema = 1\nname = 'lr'\ndescription = 'test'\ncontrols = 'lr'\n\
        moves = ['halve', 'accept', 'grow']\nfeatures = 'scalefree'\n";

    #[test]
    fn a_recipe_without_a_training_has_the_defaults_and_goes_through_text_unchanged() {
        let recipe = TrainingRecipe::parse(SMALLEST, "test").unwrap();
        assert_eq!(recipe.training, TrainingConfig::default());
        assert_eq!(TrainingRecipe::parse(&recipe.whole().to_toml(), "test").unwrap(), recipe);
        assert_eq!(TrainingRecipe::of(&recipe.whole()).unwrap(), recipe);
    }

    #[test]
    fn what_a_training_does_not_use_is_not_in_its_text_so_that_its_hash_stays() {
        let text = TrainingRecipe::parse(SMALLEST, "test").unwrap().whole().to_toml();
        let unused = [
            "rehearsal",
            "hindsight",
            "inverse_distance",
            "\nstart",
            "layers",
            "widths",
            "batch_sizes",
            "clusters",
            "warped",
            "memorized",
            "conditioned",
            "texts",
            "measured",
            "tables",
            "examples",
        ];
        assert!(unused.iter().all(|key| !text.contains(key)), "{text}");
    }

    #[test]
    fn a_rehearsal_overrides_pace_and_guard_and_nothing_else() {
        let text = format!("{SMALLEST}[training.rehearsal]\npace.per_doubling = 9\nguard.explosion = 3.0");
        let recipe = TrainingRecipe::parse(&text, "test").unwrap();
        let rehearsed = recipe.rehearsed();
        assert_eq!((rehearsed.controller.pace.per_doubling, rehearsed.controller.guard.explosion), (9, 3.0));
        assert_eq!(recipe.controller.pace, Pace::default());
    }

    #[test]
    fn a_value_outside_its_range_is_refused_with_key_value_and_range() {
        for (text, key) in [
            ("[training.agent]\ngamma = 1.5", "training.agent.gamma"),
            (
                "[training.exploration.epsilon_greedy]\nsticky_decisions = 0.5",
                "training.exploration.epsilon_greedy.sticky_decisions",
            ),
            ("[training.rehearsal.guard]\ndrift = 1.0", "training.rehearsal.guard.drift"),
            ("[training.rehearsal.pace]\nper_doubling = 1001", "training.rehearsal.pace.per_doubling"),
            ("[training.tasks]\nwidths = [64, 8]", "training.tasks.widths"),
            ("[training.tasks]\nlayers = [0, 2]", "training.tasks.layers"),
            ("[training.tasks]\nbatch_sizes = []", "training.tasks.batch_sizes"),
            ("[training.tasks]\nbatch_sizes = [16, 4097]", "training.tasks.batch_sizes"),
            ("[training.tasks]\nclusters = [1, 65]", "training.tasks.clusters"),
            ("[training.tasks]\nwarped = 1.1", "training.tasks.warped"),
            ("[training.tasks]\nmemorized = -0.1", "training.tasks.memorized"),
            ("[training.tasks]\nconditioned = 1.5", "training.tasks.conditioned is 1.5"),
            ("[training.tasks]\nmarkov = 0.3\ntexts = 1.5", "training.tasks.texts is 1.5"),
            ("[training.tasks]\ntexts = 0.3", "training.tasks.texts is 0.3"),
            ("[training.tasks]\nmeasured = 0.3", "training.tasks.measured is 0.3"),
            ("[training.tasks]\ntables = ['t']", "training.tasks.measured is 0"),
            ("[training.tasks]\nweight_decay = [0.0, 1.0]", "training.tasks.weight_decay"),
            ("[training.tasks]\nstart_decades = 6.0", "training.tasks.start_decades"),
            ("[training.tasks]\nexamples = [4, 8]", "training.tasks.examples"),
            ("[training.tasks]\nstart = [0.0, 1.0]", "training.tasks.start"),
            ("[training.tasks]\nstart = [1e-3, 1e39]", "training.tasks.start is 1000"),
            ("[training.tasks]\nweight_decay = [1e-50, 1.0]", "training.tasks.weight_decay"),
            ("[training.tasks]\nhorizon = [1, 9223372036854775807]", "training.tasks.horizon"),
            ("[training.replay.uniform]\ncapacity = 0", "training.replay.uniform.capacity"),
            ("[training.reward.inverse_distance]\nc1 = 0.0", "training.reward.inverse_distance.c1"),
            ("[training.hindsight]\ntasks = 0", "training.hindsight.tasks is 0"),
            ("[training.hindsight]\nquantile = 1.0", "training.hindsight.quantile is 1"),
            ("[training.hindsight]\nquantile_once = 0.0", "training.hindsight.quantile_once is 0"),
            (
                "[line_search]\n[training.hindsight]\n[training.tasks]\noptimizers = [1.0, 0.0, 0.0, 0.0]",
                "training.hindsight.tasks is 600",
            ),
            ("[line_search]", "training.tasks.optimizers"),
            (
                "[line_search]\n[training.tasks]\noptimizers = [1.0, 0.0, 0.0, 0.0]\nconditioned = 0.3",
                "training.tasks.conditioned is 0.3",
            ),
            (
                "[line_search]\n[training.tasks]\noptimizers = [1.0, 0.0, 0.0, 0.0]\nhorizon = [10, 20]",
                "training.tasks.horizon",
            ),
        ] {
            let error = TrainingRecipe::parse(&format!("{SMALLEST}\n{text}"), "test").unwrap_err().to_string();
            assert!(error.contains(key) && error.contains("must be"), "{error}");
        }
        let error = TrainingRecipe::parse(&format!("{SMALLEST}[training]\nround = 1"), "test").unwrap_err().to_string();
        assert!(error.contains("round"), "{error}");
    }
}
