//! Recipes: what a controller is. They are `controllers/NAME.toml` in the repository and TOML text inside a pretrained
//! file.
//!
//! How a controller is meta-trained stands in the same file, in its table `[training]`. A program that only uses
//! controllers carries that table along and never reads it: see `meta::TrainingRecipe`.

mod legacy;

use super::features::FeatureSet;
use crate::driver::{Bounds, DriverConfig, GuardConfig, LineSearchConfig, Pace};
use crate::limits::{OutOfRange, within};
use crate::policy::{Action, Controls, Move};
use crate::rng::fnv1a;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Recipe: everything about a controller but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Version of the grammar: [`Recipe::SCHEMA`].
    pub schema: u32,
    /// Name of the controller and of its pretrained file.
    pub name: String,
    /// Description: one sentence, for people.
    pub description: String,
    /// Values that it moves.
    pub controls: Controls,
    /// Moves that it chooses among.
    pub moves: Vec<Move>,
    /// Features that it sees.
    pub features: FeatureSet,
    /// Number of standard errors by which the average loss must be above its lowest before *halve* is taken while
    /// probing: the loss must really have been lower. It is not asked for while successive steps agree, because under
    /// momentum the loss answers late. In [0, 100], default none: *halve* needs no evidence. Needs a `scalefree` set. A
    /// controller that learns online may always halve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halve_evidence: Option<f32>,
    /// Pace: when it decides, and what a move counts.
    #[serde(default)]
    pub pace: Pace,
    /// Bounds of the controlled values.
    #[serde(default)]
    pub bounds: Bounds,
    /// Guard: when a step is undone.
    #[serde(default)]
    pub guard: GuardConfig,
    /// Line search. Where this table is present, the controller searches along lines, as published, instead of
    /// scheduling: with the full batch and plain gradient descent, under a [`LineSearch`](crate::driver::LineSearch)
    /// instead of a [`Driver`](crate::Driver). `pace` and `guard` are not used then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_search: Option<LineSearchConfig>,
    /// Shape of the Q-network.
    #[serde(default)]
    pub network: NetworkConfig,
    /// Table on how it is meta-trained, as it was read.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub training: toml::Table,
}

/// Shape of the Q-network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// Widths of the hidden layers. Default two of 64; at most 4 of at most 1024.
    pub hidden: Vec<usize>,
    /// Whether the value and the advantages have heads of their own. Default true.
    pub dueling: bool,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { hidden: vec![64, 64], dueling: true }
    }
}

/// Error: a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("cannot read the recipe {path}")]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not TOML, or has an unknown key or a value of the wrong type. The message names line and key.
    #[error("the recipe {origin} is not valid: {source}")]
    Toml {
        /// Path of the file, or "of the pretrained file".
        origin: String,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
    /// A value is outside its range.
    #[error("the recipe {origin}: {error}")]
    OutOfRange {
        /// Path of the file, or "of the pretrained file".
        origin: String,
        /// Key, value, and what was allowed.
        error: OutOfRange,
    },
    /// Keys of version 0.1 and of today in one recipe.
    #[error(
        "the recipe {origin} has {old}, as version 0.1 wrote it, beside {new}, as it is written today: write all of it as today"
    )]
    Mixed {
        /// File or "of the pretrained file".
        origin: String,
        /// Key of version 0.1.
        old: &'static str,
        /// Key of today.
        new: &'static str,
    },
    /// One key in two spellings or places.
    #[error("the recipe {origin} says {key} twice")]
    Twice {
        /// File or "of the pretrained file".
        origin: String,
        /// Which key.
        key: String,
    },
    /// A recipe of version 0.1 whose networks are those of other controllers.
    #[error(
        "the recipe {origin} has network.from, which is no key any more: take it out, and put the parts together by \
         qgd merge {parts} --recipe {origin} -o FILE"
    )]
    Parts {
        /// File or "of the pretrained file".
        origin: String,
        /// What the key names.
        parts: String,
    },
    /// A key that was taken out of the grammar stands at a value that it can no longer have.
    #[error("the recipe {origin}: {key} is {found}, but is no key any more; it is {always} for all controllers")]
    Retired {
        /// Path of the file, or "of the pretrained file".
        origin: String,
        /// Path of the key.
        key: String,
        /// Value that was found.
        found: String,
        /// Value that now holds for all controllers.
        always: String,
    },
}

impl Recipe {
    /// Version of the grammar that is read and written here.
    pub const SCHEMA: u32 = 1;

    /// Reads and checks a recipe file.
    ///
    /// # Errors
    /// When the file cannot be read, has an unknown key, or holds a value outside its range.
    pub fn load(path: &Path) -> Result<Self, RecipeError> {
        let text = crate::text::read(path).map_err(|source| RecipeError::Io { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses and checks a recipe; `origin` is named in errors. A recipe without `schema` may have the keys of version
    /// 0.1, which are read with a warning.
    ///
    /// # Errors
    /// As [`Recipe::load`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, RecipeError> {
        let toml = |source| RecipeError::Toml { origin: origin.to_owned(), source: Box::new(source) };
        let table: toml::Table = toml::from_str(text).map_err(toml)?;
        let refused = |error| RecipeError::OutOfRange { origin: origin.to_owned(), error };
        if let Some(schema) = table.get("schema").and_then(toml::Value::as_integer) {
            // Before anything else: what a newer version added would only look like a mistake.
            let known = schema == i64::from(Self::SCHEMA);
            within("schema", schema as f64, known, "1 (a newer version of qgd wrote it?)").map_err(refused)?;
        }
        let recipe: Self = if table.contains_key("schema") {
            // From the text, so that an error knows its line.
            toml::from_str(text).map_err(toml)?
        } else {
            legacy::modernized(table, origin)?.try_into().map_err(toml)?
        };
        recipe.check().map_err(refused)?;
        Ok(recipe)
    }

    /// Canonical text: a pretrained file carries it, and [`Recipe::hash`] is made of it.
    pub fn to_toml(&self) -> String {
        // Every field is a number, string, array or table, which TOML can always hold.
        toml::to_string(self).unwrap_or_default()
    }

    /// Hash of 16 hexadecimal digits that changes when anything in the recipe does (FNV-1a of the canonical text).
    pub fn hash(&self) -> String {
        format!("{:016x}", fnv1a(self.to_toml().as_bytes()))
    }

    /// Actions that it chooses among, in the order of the Q-network's outputs.
    pub fn actions(&self) -> Vec<Action> {
        self.controls.actions(&self.moves)
    }

    /// Configuration of a [`Driver`](crate::Driver) with its pace, bounds and guard.
    pub fn driver_config(&self, total_steps: Option<u64>) -> DriverConfig {
        let (pace, bounds, guard) = (self.pace, self.bounds, Some(self.guard.clone()));
        DriverConfig { total_steps, pace, bounds, guard, ..DriverConfig::default() }
    }

    /// Whether its controller wants to be told the validation loss, once before each decision: whether it moves the
    /// weight decay, and not by line search. (In a line search the validation loss may make the reward, but is not
    /// seen.)
    pub fn watches_validation(&self) -> bool {
        self.controls != Controls::Lr && self.line_search.is_none()
    }

    fn check(&self) -> Result<(), OutOfRange> {
        let different = (1..self.moves.len()).all(|i| !self.moves[..i].contains(&self.moves[i]));
        let (widths, evidence) = (&self.network.hidden, f64::from(self.halve_evidence.unwrap_or(0.0)));
        let widest = widths.iter().max().copied().unwrap_or(0);
        let narrow = widths.len() <= 4 && widths.iter().all(|w| (1..=1024).contains(w));
        let knows_loss_rise = self.line_search.is_none() && self.features != FeatureSet::Hansen6;
        let many = !self.moves.is_empty() && different;
        within("moves", self.moves.len() as f64, many, "one to three different moves")?;
        within("network.hidden", widest as f64, narrow, "at most 4 layers of 1 to 1024")?;
        within("halve_evidence", evidence, (0.0..=100.0).contains(&evidence), "in [0, 100]")?;
        let asks = self.halve_evidence.is_none() || knows_loss_rise;
        within("halve_evidence", evidence, asks, "left out but in schedules with a scalefree set")?;
        self.pace.check().map_err(|error| error.under("pace"))?;
        self.bounds.check().map_err(|error| error.under("bounds"))?;
        self.guard.check().map_err(|error| error.under("guard"))?;
        self.line_search.map_or(Ok(()), |config| config.check()).map_err(|error| error.under("line_search"))
    }
}

#[cfg(test)]
mod tests;
