//! Training recipes: how a controller is meta-trained. A [`Recipe`] with its table `[training]` read.

use super::check_rounds;
use super::hindsight::HindsightConfig;
use super::optimizer::InnerAlgorithm;
use super::polish::PolishConfig;
use super::tables::Tables;
use crate::controller::{Controller, Pretrained, Recipe, RecipeError};
use crate::dqn::{
    ActionPrior, AgentConfig, EpsilonGreedy, EpsilonSchedule, Exploration, ExplorationError, Explorer, QNetwork,
    ReplayConfig, RewardConfig,
};
use crate::driver::{GuardConfig, Pace};
use crate::limits::{OutOfRange, RATES, within};
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

/// Configuration of the tasks that are drawn.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `horizon` | [200, 1600] | inner steps, log-uniform | 1 ≤ low ≤ high ≤ 10^9 |
/// | `known_budget` | 0.7 | share of tasks whose controller is told the horizon | [0, 1] |
/// | `separable` | 0.6 | share of classification tasks without label noise | [0, 1] |
/// | `label_noise` | [0.02, 0.4] | share of labels that are random in the others, log-uniform | 0 < low ≤ high ≤ 1 |
/// | `families` | [0.1, 0.1, 0.6, 0.2] | weights of quadratics, logistic regression, MLP classification, MLP regression; two more for convolutional and recurrent nets, which only [`Engine::Tch`](super::Engine) runs | 4 or 6, ≥ 0, not all 0 |
/// | `optimizers` | [0.25, 0.25, 0.4, 0.1] | weights of SGD, momentum, Adam, AdamW | ≥ 0, not all 0 |
/// | `start` | the optimizer's five decades | start of the learning rate, log-uniform | 1e-30 ≤ low ≤ high ≤ 1e30 |
/// | `start_decades` | 5 | number of decades in the middle of them to start in: fewer for a learning rate that was chosen with some care | (0, 5] |
/// | `layers` | [1, 2] | number of hidden layers of MLPs | 1 ≤ low ≤ high ≤ 8 |
/// | `widths` | [8, 64] | number of units of each, log-uniform | 1 ≤ low ≤ high ≤ 1024 |
/// | `clusters` | [1, 4] | number of clusters for each class, where classes are clusters: with many, a task is learned slowly though it has no noise | 1 ≤ low ≤ high ≤ 64 |
/// | `warped` | 0 | share of tasks some of whose input columns have heavy tails, are mostly zero, or are rounded, as in measured data | [0, 1] |
/// | `memorized` | 0 | share of nets' tasks with 64 to 1500 examples whose labels are 30 to 100 % random (values: noise of 0.5 to 3 deviations). Their training loss falls only as far as they are learned by heart, as on small measured data | [0, 1] |
/// | `conditioned` | 0 | share of nets' tasks whose optimizer's changes of weight matrices are orthogonalized; a plain SGD among them gets Muon's filter | [0, 1] |
/// | `measured` | 0 | share of the other nets' tasks that are cut of measured tables: random rows, columns and targets | [0, 1] |
/// | `tables` | [] | names of these tables: `NAME.csv` or `NAME.csv.gz`, numbers with a header, in `--data-dir` | at least one where `measured` is above 0 |
/// | `fresh` | 0 | share of the other nets' tasks with 20,000 to 80,000 examples, which are seen once or so, and 5 to 50 % random labels (values: noise of 0.1 to 1 deviations). Judged as those of `markov`, where the floor is known | [0, 1] |
/// | `markov` | 0 | share of classification tasks that predict the next symbol of a random Markov chain from the two or three before it. Their 30,000 to 120,000 examples are seen once or so, and their loss has a floor, the entropy of the chain: they are judged by how far they are above it | [0, 1] |
/// | `known_epochs` | 0 | share of nets' tasks whose controller is told how many steps an epoch has | [0, 1] |
/// | `weight_decay` | off in 60 %, else [1e-6, 1e-2] | start of the weight decay, log-uniform | 1e-30 ≤ low ≤ high ≤ 1e30 |
/// | `examples` | none | number of training examples, log-uniform; 512 more are held out. With few, and labels from a random teacher, nets overfit. Without this key there are 256 to 12,000, and a quarter of them is held out where something asks for it | 16 ≤ low ≤ high ≤ 100,000 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the table has a row for each field")]
pub struct TaskConfig {
    pub horizon: [u64; 2],
    pub known_budget: f64,
    pub separable: f64,
    #[serde(skip_serializing_if = "is_default_noise")]
    pub label_noise: [f64; 2],
    pub families: Vec<f64>,
    pub optimizers: [f64; 4],
    #[serde(skip_serializing_if = "is_range::<1, 2>")]
    pub layers: [u64; 2],
    #[serde(skip_serializing_if = "is_range::<8, 64>")]
    pub widths: [u64; 2],
    #[serde(skip_serializing_if = "is_range::<1, 4>")]
    pub clusters: [u64; 2],
    #[serde(skip_serializing_if = "is_zero")]
    pub warped: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub memorized: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub conditioned: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub markov: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub measured: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// What `tables` names, once it is read.
    #[serde(skip)]
    pub data: Tables,
    #[serde(skip_serializing_if = "is_zero")]
    pub fresh: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub known_epochs: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_decades: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub examples: Option<[u64; 2]>,
}

const DEFAULT_NOISE: [f64; 2] = [0.02, 0.4];

fn is_default_noise(noise: &[f64; 2]) -> bool {
    noise.map(f64::to_bits) == DEFAULT_NOISE.map(f64::to_bits)
}

fn is_range<const LOW: u64, const HIGH: u64>(range: &[u64; 2]) -> bool {
    *range == [LOW, HIGH]
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

impl TaskConfig {
    /// Lowest and highest start of the learning rate of this optimizer.
    pub fn start_range(&self, algorithm: InnerAlgorithm) -> [f64; 2] {
        let [low, high] = self.start.unwrap_or(algorithm.start_range());
        let Some(decades) = self.start_decades else { return [low, high] };
        let (middle, half) = ((low * high).sqrt(), 10f64.powf(0.5 * decades));
        [low.max(middle / half), high.min(middle * half)]
    }

    /// Lowest and highest start of a weight decay that a controller moves. Five decades, where the recipe does not say.
    pub fn weight_decay_range(&self) -> [f64; 2] {
        self.weight_decay.unwrap_or([1e-5, 1.0])
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

impl Default for TaskConfig {
    fn default() -> Self {
        Self {
            horizon: [200, 1600],
            known_budget: 0.7,
            separable: 0.6,
            label_noise: DEFAULT_NOISE,
            families: vec![0.1, 0.1, 0.6, 0.2],
            optimizers: [0.25, 0.25, 0.4, 0.1],
            layers: [1, 2],
            widths: [8, 64],
            clusters: [1, 4],
            warped: 0.0,
            memorized: 0.0,
            conditioned: 0.0,
            markov: 0.0,
            measured: 0.0,
            tables: Vec::new(),
            data: Tables::default(),
            fresh: 0.0,
            known_epochs: 0.0,
            start: None,
            start_decades: None,
            weight_decay: None,
            examples: None,
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

impl TaskConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        const RANGE: &str = "[low, high] with 1e-30 <= low <= high <= 1e30, which single precision can hold";
        const LONGEST: u64 = 1_000_000_000;
        let share = |key, v: f64| within(key, v, (0.0..=1.0).contains(&v), "in [0, 1]");
        let weights = |w: &[f64]| w.iter().all(|&v| v >= 0.0 && v.is_finite()) && w.iter().sum::<f64>() > 0.0;
        let is_range = |[low, high]: [f64; 2]| 0.0 < low && low <= high && high.is_finite();
        let is_rates = |range: [f64; 2]| is_range(range) && range.iter().all(|rate| RATES.contains(rate));
        let up_to = |[low, high]: [u64; 2], most: u64| 1 <= low && low <= high && high <= most;
        let first = self.families.first().copied().unwrap_or(f64::NAN);
        let families = [4, 6].contains(&self.families.len()) && weights(&self.families);
        let (noise, decades) = (self.label_noise, self.start_decades.unwrap_or(5.0));
        let (start, decay) = (self.start.unwrap_or([1.0; 2]), self.weight_decay.unwrap_or([1.0; 2]));
        let [fewest, most] = self.examples.unwrap_or([16; 2]);
        let examples = 16 <= fewest && fewest <= most && most <= 100_000;
        let at = |range: [u64; 2]| range[0] as f64;
        let horizon = up_to(self.horizon, LONGEST);
        within("horizon", at(self.horizon), horizon, "[low, high] with 1 <= low <= high <= 1000000000")?;
        share("known_budget", self.known_budget)?;
        share("separable", self.separable)?;
        let noisy = is_range(noise) && noise[1] <= 1.0;
        within("label_noise", noise[0], noisy, "[low, high] with 0 < low <= high <= 1")?;
        within("families", first, families, "four or six weights >= 0, not all 0")?;
        within("layers", at(self.layers), up_to(self.layers, 8), "[low, high] with 1 <= low <= high <= 8")?;
        within("widths", at(self.widths), up_to(self.widths, 1024), "[low, high] with 1 <= low <= high <= 1024")?;
        within("clusters", at(self.clusters), up_to(self.clusters, 64), "[low, high] with 1 <= low <= high <= 64")?;
        share("warped", self.warped)?;
        share("memorized", self.memorized)?;
        share("conditioned", self.conditioned)?;
        share("markov", self.markov)?;
        share("fresh", self.fresh)?;
        share("measured", self.measured)?;
        let is_named = (self.measured > 0.0) != self.tables.is_empty();
        within("measured", self.measured, is_named, "0 where `tables` names none, and above 0 where it names some")?;
        share("known_epochs", self.known_epochs)?;
        let wrong = |[low, high]: [f64; 2]| if RATES.contains(&low) { high } else { low };
        within("start", wrong(start), is_rates(start), RANGE)?;
        within("start_decades", decades, 0.0 < decades && decades <= 5.0, "in (0, 5]")?;
        within("weight_decay", wrong(decay), is_rates(decay), RANGE)?;
        within("examples", fewest as f64, examples, "[low, high] with 16 <= low <= high <= 100000")?;
        within("optimizers", self.optimizers[0], weights(&self.optimizers), "four weights >= 0, not all 0")
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
            "clusters",
            "warped",
            "memorized",
            "conditioned",
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
            ("[training.tasks]\nclusters = [1, 65]", "training.tasks.clusters"),
            ("[training.tasks]\nwarped = 1.1", "training.tasks.warped"),
            ("[training.tasks]\nmemorized = -0.1", "training.tasks.memorized"),
            ("[training.tasks]\nconditioned = 1.5", "training.tasks.conditioned is 1.5"),
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
