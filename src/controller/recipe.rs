//! Recipes: what a controller sees, does, and how it is meta-trained. `controllers/NAME.toml` in the repository, TOML text inside a pretrained file.

use super::actions::{Action, Controls, Move};
use super::driver::DriverConfig;
use super::features::FeatureSet;
use super::guard::GuardConfig;
use super::line_search::LineSearchConfig;
use crate::dqn::{ActionPrior, AgentConfig, EpsilonGreedy, EpsilonSchedule, Exploration, ReplayConfig};
use crate::meta::MetaConfig;
use crate::policy::{Decision, Reason};
use crate::rng::fnv1a;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything about a controller but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// The controller's name, and that of its pretrained file.
    pub name: String,
    /// One sentence for the card.
    pub description: String,
    /// Which value it moves.
    pub controls: Controls,
    /// The moves it chooses among.
    pub moves: Vec<Move>,
    /// What it sees.
    pub features: FeatureSet,
    /// When it decides.
    #[serde(default)]
    pub decisions: DecisionConfig,
    /// When it decides while it is meta-trained, where that is otherwise than in use: more decisions teach more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<DecisionConfig>,
    /// When a step is undone while it is meta-trained, where that is otherwise than in use: what a guard undoes, nobody learns from. The polish
    /// has the guard of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal_guard: Option<GuardConfig>,
    /// Where the controlled values may go.
    #[serde(default)]
    pub bounds: Bounds,
    /// When a step is undone.
    #[serde(default)]
    pub guard: GuardConfig,
    /// Where it is present, the controller searches along lines, as published, instead of scheduling: with the full batch and plain
    /// gradient descent, under a [`LineSearch`](super::LineSearch) instead of a [`Driver`](super::Driver). `decisions` and `guard` are
    /// not used then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_search: Option<LineSearchConfig>,
    /// The Q-network.
    #[serde(default)]
    pub network: NetworkConfig,
    /// How the agent learns.
    #[serde(default)]
    pub agent: AgentConfig,
    /// How the agent explores in meta-training. Default: ε-greedy, drift-free, held for 4 decisions on average, from 0.4 to
    /// 0.4^4.3 = 0.02 across the episodes of a round.
    #[serde(default = "exploration")]
    pub exploration: Exploration,
    /// What the agent remembers.
    #[serde(default)]
    pub replay: ReplayConfig,
    /// What it is meta-trained on.
    #[serde(default)]
    pub meta: MetaConfig,
}

fn exploration() -> Exploration {
    Exploration::EpsilonGreedy(EpsilonGreedy {
        epsilon: EpsilonSchedule::Constant(0.4),
        sticky_decisions: 4.0,
        prior: ActionPrior::DriftFree,
        spread: 3.3,
    })
}

/// When decisions are taken (DESIGN §4.1): at every step while probing, then at fixed or at growing intervals.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `probe-steps` | 64 | decide at each of the first steps: ×1.25 needs 41 moves for four decades | [0, ∞) |
/// | `per-doubling` | 8 | then so many decisions per doubling of the step count | [1, 1000] |
/// | `fixed` | none | or every so many steps, instead of `per-doubling` | [1, ∞) |
/// | `cooldown` | 0 | share of a known budget over whose end the learning rate falls linearly to 0, underneath the decisions | [0, 1] |
/// | `first-update` | none | where the first step goes further than this share of the norm of the parameters, it is undone and the learning rate scaled down to it | (0, ∞) |
/// | `halve-evidence` | none | while probing, *halve* is taken only where the loss has really been lower: its average is by so many standard errors above its lowest. Not while successive steps agree, because under momentum the loss answers late. Needs a `scalefree` set; a controller that learns online may always halve | [0, 100] |
/// | `weight-decay-power` | 1 | a move of the weight decay counts so often (3: ⅛ and 1.95): it acts slowly, so small moves are lost in noise. Not in line searches | [1, 8] |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DecisionConfig {
    /// See the table.
    pub probe_steps: u64,
    /// See the table.
    pub per_doubling: u32,
    /// See the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed: Option<u64>,
    /// See the table.
    #[serde(skip_serializing_if = "is_zero")]
    pub cooldown: f64,
    /// See the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halve_evidence: Option<f32>,
    /// See the table.
    #[serde(skip_serializing_if = "is_one")]
    pub weight_decay_power: u32,
    /// See the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_update: Option<f64>,
}

fn is_zero(v: &f64) -> bool {
    *v == 0.0
}

fn is_one(power: &u32) -> bool {
    *power == 1
}

impl Default for DecisionConfig {
    fn default() -> Self {
        Self {
            probe_steps: 64,
            per_doubling: 8,
            fixed: None,
            cooldown: 0.0,
            halve_evidence: None,
            weight_decay_power: 1,
            first_update: None,
        }
    }
}

impl DecisionConfig {
    /// The first field outside its range, as (name, value, what was allowed).
    fn invalid_field(&self) -> Option<(&'static str, f64, &'static str)> {
        let (per_doubling, power) = (self.per_doubling, self.weight_decay_power);
        let first = self.first_update.unwrap_or(1.0);
        let evidence = self.halve_evidence.unwrap_or(0.0);
        let checks = [
            ("first-update", first, 0.0 < first && first.is_finite(), "positive"),
            ("per-doubling", f64::from(per_doubling), (1..=1000).contains(&per_doubling), "in [1, 1000]"),
            ("fixed", 0.0, self.fixed != Some(0), "at least 1"),
            ("cooldown", self.cooldown, (0.0..=1.0).contains(&self.cooldown), "in [0, 1]"),
            ("halve-evidence", f64::from(evidence), (0.0..=100.0).contains(&evidence), "in [0, 100]"),
            ("weight-decay-power", f64::from(power), (1..=8).contains(&power), "in [1, 8]"),
        ];
        checks.into_iter().find(|check| !check.2).map(|(name, value, _, allowed)| (name, value, allowed))
    }

    /// Steps to the next decision, for one taken at `step`.
    ///
    /// ```
    /// # use qgd::controller::DecisionConfig;
    /// let decisions = DecisionConfig::default();
    /// assert_eq!((decisions.interval(10), decisions.interval(100), decisions.interval(10_000)), (1, 9, 905));
    /// ```
    pub fn interval(&self, step: u64) -> u64 {
        if step < self.probe_steps {
            return 1;
        }
        let growth = 2f64.powf(1.0 / f64::from(self.per_doubling.max(1))) - 1.0;
        self.fixed.unwrap_or((step as f64 * growth) as u64).max(1)
    }

    /// The decision that `action` stands for in a schedule.
    ///
    /// ```
    /// # use qgd::controller::DecisionConfig;
    /// # use qgd::{Action, Move, Reason};
    /// let decisions = DecisionConfig { weight_decay_power: 3, ..DecisionConfig::default() };
    /// let decision = decisions.decision(Action { lr: Move::Halve, weight_decay: Move::Halve }, Reason::Policy);
    /// assert_eq!((decision.lr_factor, decision.weight_decay_factor), (0.5, 0.125));
    /// ```
    pub fn decision(&self, action: Action, reason: Reason) -> Decision {
        let decision = Decision::of(action, reason);
        let weight_decay_factor = decision.weight_decay_factor.powi(self.weight_decay_power as i32);
        Decision { weight_decay_factor, ..decision }
    }
}

/// Bounds of the controlled values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bounds {
    /// Of the learning rate. Default [1e-8, 100].
    pub lr: [f64; 2],
    /// Of the weight decay. Default [1e-8, 10].
    pub weight_decay: [f64; 2],
}

impl Default for Bounds {
    fn default() -> Self {
        let DriverConfig { lr_bounds: lr, weight_decay_bounds: weight_decay, .. } = DriverConfig::default();
        Self { lr, weight_decay }
    }
}

/// The shape of the Q-network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NetworkConfig {
    /// Widths of the hidden layers. Default two of 64; at most 4 of at most 1024.
    pub hidden: Vec<usize>,
    /// Separate heads for the value and the advantages. Default true.
    pub dueling: bool,
    /// Pretrained controllers, by name or file, whose networks make the ensemble instead of new ones. Their Q-values add up, each for the values
    /// that it moves: what one says of the learning rate and another of the weight decay is followed by both at once. All need the hidden
    /// layers above, and features that are among the recipe's. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { hidden: vec![64, 64], dueling: true, from: Vec::new() }
    }
}

/// A recipe that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("cannot read the recipe {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type; the message has line and key.
    #[error("the recipe {origin} is not valid: {source}")]
    Toml {
        /// File or "of the pretrained file".
        origin: String,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A value outside its range.
    #[error("the recipe {origin}: {key} is {value}, but must be {allowed}")]
    OutOfRange {
        /// File or "of the pretrained file".
        origin: String,
        /// Key path.
        key: String,
        /// What was given.
        value: f64,
        /// What is possible.
        allowed: &'static str,
    },
}

impl Recipe {
    /// Reads and checks a recipe file.
    ///
    /// # Errors
    /// When the file cannot be read, has an unknown key, or holds a value outside its range.
    pub fn load(path: &Path) -> Result<Self, RecipeError> {
        let text = std::fs::read_to_string(path).map_err(|source| RecipeError::Io { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses and checks a recipe; `origin` is named in errors.
    ///
    /// # Errors
    /// As [`Recipe::load`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, RecipeError> {
        let recipe: Self = toml::from_str(text)
            .map_err(|source| RecipeError::Toml { origin: origin.to_owned(), source: Box::new(source) })?;
        recipe.check(origin)?;
        Ok(recipe)
    }

    /// The canonical text: what a pretrained file carries and what [`Recipe::hash`] is taken of.
    pub fn to_toml(&self) -> String {
        // Every field is a number, string, array or table, which TOML can always hold.
        toml::to_string(self).unwrap_or_default()
    }

    /// 16 hexadecimal digits that change when anything in the recipe does (FNV-1a of the canonical text).
    pub fn hash(&self) -> String {
        format!("{:016x}", fnv1a(self.to_toml().as_bytes()))
    }

    /// The recipe that rollouts of meta-training follow: with [`Recipe::rehearsal`] and [`Recipe::rehearsal_guard`].
    pub fn rehearsed(&self) -> Self {
        let mut recipe = self.clone();
        recipe.decisions = recipe.rehearsal.take().unwrap_or(recipe.decisions);
        recipe.guard = recipe.rehearsal_guard.take().unwrap_or(recipe.guard);
        recipe
    }

    /// The part that a [`Driver`](super::Driver) needs.
    pub fn driver_config(&self, total_steps: Option<u64>) -> DriverConfig {
        DriverConfig {
            lr_bounds: self.bounds.lr,
            weight_decay_bounds: self.bounds.weight_decay,
            total_steps,
            cooldown: self.decisions.cooldown,
            first_update: self.decisions.first_update,
            guard: Some(self.guard.clone()),
        }
    }

    /// Whether its controller is to be told the validation loss, once a decision is enough: whether it moves the weight decay, in a schedule.
    /// (In a line search the validation pays for it, but is not seen.)
    pub fn watches_validation(&self) -> bool {
        self.controls != Controls::Lr && self.line_search.is_none()
    }

    fn knows_loss_rise(&self) -> bool {
        self.line_search.is_none() && self.features.names().contains(&"loss_rise")
    }

    fn check(&self, origin: &str) -> Result<(), RecipeError> {
        let refuse = |table: &str, key: &str, value: f64, allowed| {
            let key = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            Err(RecipeError::OutOfRange { origin: origin.to_owned(), key, value, allowed })
        };
        let tables = [
            ("guard", self.guard.invalid_field()),
            ("rehearsal-guard", self.rehearsal_guard.as_ref().and_then(GuardConfig::invalid_field)),
            ("agent", self.agent.invalid_field()),
            ("replay", self.replay.invalid_field()),
            ("meta", self.meta.invalid_field()),
            ("line-search", self.line_search.and_then(|config| config.invalid_field())),
        ];
        for (table, invalid) in tables {
            if let Some((key, value, allowed)) = invalid {
                return refuse(table, key, value, allowed);
            }
        }
        if let Some((key, value, allowed)) = self.exploration.invalid_field() {
            return refuse("exploration", &key, value, allowed);
        }
        for (key, [low, high]) in [("lr", self.bounds.lr), ("weight-decay", self.bounds.weight_decay)] {
            if !(0.0 < low && low <= high && high.is_finite()) {
                return refuse("bounds", key, low, "[low, high] with 0 < low <= high");
            }
        }
        if self.moves.is_empty() || (1..self.moves.len()).any(|i| self.moves[..i].contains(&self.moves[i])) {
            return refuse("", "moves", self.moves.len() as f64, "one to three different moves");
        }
        let widths = &self.network.hidden;
        if widths.len() > 4 || widths.iter().any(|&w| !(1..=1024).contains(&w)) {
            let widest = widths.iter().max().copied().unwrap_or(0);
            return refuse("network", "hidden", widest as f64, "at most 4 layers of 1 to 1024");
        }
        for (table, decisions) in [("decisions", Some(self.decisions)), ("rehearsal", self.rehearsal)] {
            if let Some((key, value, allowed)) = decisions.and_then(|decisions| decisions.invalid_field()) {
                return refuse(table, key, value, allowed);
            }
        }
        if let (Some(evidence), false) = (self.decisions.halve_evidence, self.knows_loss_rise()) {
            return refuse(
                "decisions",
                "halve-evidence",
                evidence.into(),
                "left out but in schedules with a scalefree set",
            );
        }
        let tasks = &self.meta.tasks;
        if let Some(config) = self.line_search {
            if let Some(&weight) = tasks.optimizers[1..].iter().find(|&&weight| weight > 0.0) {
                return refuse(
                    "meta",
                    "tasks.optimizers",
                    weight,
                    "[1, 0, 0, 0]: a line search is plain gradient descent",
                );
            }
            if tasks.horizon[0] <= u64::from(config.memory) {
                return refuse("meta", "tasks.horizon", tasks.horizon[0] as f64, "longer than line-search.memory");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = r#"
        name = "lr"
        description = "test"
        controls = "lr"
        moves = ["halve", "accept", "grow"]
        features = "scalefree"
    "#;

    #[test]
    fn the_smallest_recipe_uses_the_defaults_and_its_text_reads_back_the_same() {
        let recipe = Recipe::parse(SMALLEST, "test").unwrap();
        assert_eq!(recipe.decisions, DecisionConfig::default());
        assert_eq!(Recipe::parse(&recipe.to_toml(), "test").unwrap(), recipe);
    }

    #[test]
    fn evidence_for_halving_is_a_number_that_the_features_can_give() {
        let parsed = |features: &str, evidence: &str| {
            let text = SMALLEST.replace("scalefree", features);
            Recipe::parse(&format!("{text}[decisions]\nhalve-evidence = {evidence}"), "test")
        };
        assert_eq!(parsed("scalefree", "0.5").unwrap().decisions.halve_evidence, Some(0.5));
        for (features, evidence) in [("scalefree", "-1"), ("scalefree", "nan"), ("hansen6", "0.5")] {
            let message = parsed(features, evidence).unwrap_err().to_string();
            assert!(message.contains("decisions.halve-evidence"), "{message}");
        }
    }

    #[test]
    fn what_a_recipe_does_not_use_is_not_in_its_text_so_that_its_hash_stays() {
        let text = Recipe::parse(SMALLEST, "test").unwrap().to_toml();
        assert!(
            [
                "line-search",
                "rehearsal",
                "rehearsal-guard",
                "inverse-distance",
                "\nstart",
                "cooldown",
                "layers",
                "widths",
                "clusters",
                "warped",
                "memorized",
                "evidence",
                "from"
            ]
            .iter()
            .all(|key| !text.contains(key)),
            "{text}"
        );
        assert!(!text.contains("weight-decay-power") && !text.contains("examples"), "{text}");
    }

    #[test]
    fn an_unknown_key_is_refused_and_named() {
        let error = Recipe::parse(&format!("{SMALLEST}\nlearning_rate = 1"), "test").unwrap_err().to_string();
        assert!(error.contains("learning_rate"), "{error}");
    }

    #[test]
    fn a_value_outside_its_range_is_refused_with_key_value_and_range() {
        for (text, key) in [
            ("[agent]\ngamma = 1.5", "agent.gamma"),
            ("[exploration.epsilon-greedy]\nsticky-decisions = 0.5", "exploration.epsilon-greedy.sticky-decisions"),
            ("[guard]\nexplosion = 0.5", "guard.explosion"),
            ("[rehearsal-guard]\ndrift = 1.0", "rehearsal-guard.drift"),
            ("[meta.tasks]\nwidths = [64, 8]", "meta.tasks.widths"),
            ("[meta.tasks]\nlayers = [0, 2]", "meta.tasks.layers"),
            ("[meta.tasks]\nclusters = [1, 65]", "meta.tasks.clusters"),
            ("[meta.tasks]\nwarped = 1.1", "meta.tasks.warped"),
            ("[meta.tasks]\nmemorized = -0.1", "meta.tasks.memorized"),
            ("[bounds]\nlr = [1.0, 0.1]", "bounds.lr"),
            ("[network]\nhidden = [4096]", "network.hidden"),
            ("[decisions]\nper-doubling = 0", "decisions.per-doubling"),
            ("[decisions]\nfixed = 0", "decisions.fixed"),
            ("[rehearsal]\nper-doubling = 1001", "rehearsal.per-doubling"),
            ("[decisions]\ncooldown = 1.5", "decisions.cooldown"),
            ("[decisions]\nweight-decay-power = 9", "decisions.weight-decay-power"),
            ("[meta.tasks]\nweight-decay = [0.0, 1.0]", "meta.tasks.weight-decay"),
            ("[meta.tasks]\nstart-decades = 6.0", "meta.tasks.start-decades"),
            ("[meta.tasks]\nexamples = [4, 8]", "meta.tasks.examples"),
            ("[replay.uniform]\ncapacity = 0", "replay.capacity"),
            ("[line-search]\nmemory = 0", "line-search.memory"),
            ("[line-search]", "meta.tasks.optimizers"),
            (
                "[line-search]\n[meta.tasks]\noptimizers = [1.0, 0.0, 0.0, 0.0]\nhorizon = [10, 20]",
                "meta.tasks.horizon",
            ),
            ("[meta.tasks]\nstart = [0.0, 1.0]", "meta.tasks.start"),
            ("[meta.reward.inverse-distance]\nc1 = 0.0", "meta.reward.inverse-distance.c1"),
        ] {
            let error = Recipe::parse(&format!("{SMALLEST}\n{text}"), "test").unwrap_err().to_string();
            assert!(error.contains(key) && error.contains("must be"), "{error}");
        }
    }

    #[test]
    fn the_hash_changes_with_any_field() {
        let recipe = Recipe::parse(SMALLEST, "test").unwrap();
        let mut other = recipe.clone();
        other.agent.n_step += 1;
        assert_ne!(recipe.hash(), other.hash());
    }
}
