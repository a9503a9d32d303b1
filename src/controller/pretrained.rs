//! Pretrained files: the networks, the recipe they were trained by, the feature ranges they saw, and their card.

use super::artifact::{self, ArtifactError, Kind};
use super::recipe::{Recipe, RecipeError};
use crate::dqn::QNetwork;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The files that ship inside the crate.
const SHIPPED: [(&str, &[u8]); 6] = [
    ("lr", include_bytes!("../../pretrained/lr.qgd")),
    ("lr-line-search", include_bytes!("../../pretrained/lr-line-search.qgd")),
    ("weight-decay", include_bytes!("../../pretrained/weight-decay.qgd")),
    ("joint", include_bytes!("../../pretrained/joint.qgd")),
    ("hu-lr", include_bytes!("../../pretrained/hu-lr.qgd")),
    ("hu-lambda", include_bytes!("../../pretrained/hu-lambda.qgd")),
];

/// What a pretrained file says of itself. Wall time is not part of it: the same seed gives the same bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Card {
    /// Version of the crate that trained it.
    pub crate_version: String,
    /// [`Recipe::hash`] of the recipe.
    pub recipe_hash: String,
    /// Seed of the meta-training.
    pub seed: u64,
    /// Optimizer steps of target nets.
    pub inner_steps: u64,
    /// Target nets trained.
    pub episodes: u64,
    /// Updates of the Q-network.
    pub updates: u64,
    /// How it did on validation tasks that meta-training never drew.
    pub evaluation: Vec<EvaluationRow>,
}

/// One family of validation tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRow {
    /// The family and the optimizer.
    pub family: String,
    /// How many tasks.
    pub n_tasks: u32,
    /// Geometric mean over the tasks of (median over starts with the controller + 1e-2) / (tuned rival + 1e-2). The rival is cosine from its best
    /// learning rate; for controllers of the weight decay, the best fixed one ([`ValidationSet::draw`](crate::meta::ValidationSet::draw)).
    pub tuned_ratio: f64,
    /// The same with the worst start in place of the median.
    pub worst_ratio: f64,
    /// What the rival itself gets over its grid: its median / its best.
    pub rival_median_ratio: f64,
}

/// A pretrained controller, as it is in its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Pretrained {
    recipe: Recipe,
    networks: Vec<QNetwork>,
    ranges: Vec<[f32; 2]>,
    card: Card,
}

/// The payload of the file. The recipe is TOML text, so that a new field with a default does not break old files.
#[derive(Serialize, Deserialize)]
struct Payload {
    recipe: String,
    networks: Vec<QNetwork>,
    ranges: Vec<[f32; 2]>,
    card: Card,
}

/// A pretrained controller cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainedError {
    /// No such name, and no such file.
    #[error("there is no pretrained controller named {name:?}; there are: {}", Pretrained::NAMES.join(", "))]
    UnknownName {
        /// What was asked for.
        name: String,
    },
    /// The file is missing, damaged or of another format version.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The recipe inside is not valid.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The parts do not belong together.
    #[error("the pretrained file{} holds {what}: {found} (expected {expected})", origin.as_ref().map_or(String::new(), |p| format!(" {}", p.display())))]
    Inconsistent {
        /// The file, where there is one.
        origin: Option<PathBuf>,
        /// What is wrong.
        what: &'static str,
        /// The number found.
        found: usize,
        /// The number that would fit.
        expected: usize,
    },
}

impl Pretrained {
    /// The names of the controllers that ship inside the crate.
    pub const NAMES: [&'static str; SHIPPED.len()] = {
        let [a, b, c, d, e, f] = SHIPPED;
        [a.0, b.0, c.0, d.0, e.0, f.0]
    };

    /// The widest ensemble that is read.
    const MAX_NETWORKS: usize = 16;

    /// Puts the parts together.
    ///
    /// # Errors
    /// When the networks do not fit the recipe, or hold a number that is not finite.
    pub fn new(
        recipe: Recipe,
        networks: Vec<QNetwork>,
        ranges: Vec<[f32; 2]>,
        card: Card,
    ) -> Result<Self, PretrainedError> {
        let n_features = recipe.features.names().len();
        let n_actions = recipe.controls.actions(&recipe.moves).len();
        let unsound = networks.iter().filter(|n| !n.is_sound()).count();
        let fits = |n: &&QNetwork| n.is_sound() && n.n_features() == n_features && n.n_actions() == n_actions;
        let bad_ranges = ranges.iter().filter(|r| !(-1.0 <= r[0] && r[0] <= r[1] && r[1] <= 1.0)).count();
        let (shape, same_shape) = (networks.first().map(QNetwork::shape), |n: &&QNetwork| {
            Some(n.shape()) == networks.first().map(QNetwork::shape)
        });
        let checks = [
            ("no network", usize::from(shape.is_none()), 0),
            ("too many networks", networks.len().saturating_sub(Self::MAX_NETWORKS), 0),
            ("networks with non-finite weights or broken shapes", unsound, 0),
            ("networks that fit its feature set and its actions", networks.iter().filter(fits).count(), networks.len()),
            ("networks of one shape", networks.iter().filter(same_shape).count(), networks.len()),
            ("feature ranges", ranges.len(), n_features),
            ("feature ranges outside [-1, 1]", bad_ranges, 0),
        ];
        if let Some(&(what, found, expected)) = checks.iter().find(|(_, found, expected)| found != expected) {
            return Err(PretrainedError::Inconsistent { origin: None, what, found, expected });
        }
        Ok(Self { recipe, networks, ranges, card })
    }

    /// One of [`Pretrained::NAMES`].
    ///
    /// # Errors
    /// When there is no controller of this name.
    pub fn shipped(name: &str) -> Result<Self, PretrainedError> {
        Self::decode(Self::shipped_bytes(name)?)
    }

    /// The file of one of [`Pretrained::NAMES`], as it is.
    ///
    /// # Errors
    /// When there is no controller of this name.
    pub fn shipped_bytes(name: &str) -> Result<&'static [u8], PretrainedError> {
        let found = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        found.map(|(_, bytes)| *bytes).ok_or_else(|| PretrainedError::UnknownName { name: name.to_owned() })
    }

    /// A shipped one by name, or a pretrained file by path (see [`Pretrained::is_file`]).
    ///
    /// # Errors
    /// When it is neither, or the file cannot be used.
    pub fn open(name_or_file: &str) -> Result<Self, PretrainedError> {
        if Self::is_file(name_or_file) { Self::load(Path::new(name_or_file)) } else { Self::shipped(name_or_file) }
    }

    /// Whether this is taken for a file and not for a name: there is one, or it has a slash or a dot.
    pub fn is_file(name_or_file: &str) -> bool {
        Path::new(name_or_file).exists() || name_or_file.contains(['/', '.'])
    }

    /// Reads a pretrained file.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or was written by another format version.
    pub fn load(path: &Path) -> Result<Self, PretrainedError> {
        let payload: Payload = artifact::read(path, Kind::Controller)?;
        Self::from_payload(payload).map_err(|error| match error {
            PretrainedError::Inconsistent { what, found, expected, .. } => {
                PretrainedError::Inconsistent { origin: Some(path.to_owned()), what, found, expected }
            }
            other => other,
        })
    }

    /// Reads a pretrained file that is already in memory.
    ///
    /// # Errors
    /// As [`Pretrained::load`].
    pub fn decode(bytes: &[u8]) -> Result<Self, PretrainedError> {
        Self::from_payload(artifact::decode(Kind::Controller, bytes)?)
    }

    /// Writes a pretrained file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), PretrainedError> {
        let payload = Payload {
            recipe: self.recipe.to_toml(),
            networks: self.networks.clone(),
            ranges: self.ranges.clone(),
            card: self.card.clone(),
        };
        Ok(artifact::write(path, Kind::Controller, &payload)?)
    }

    fn from_payload(payload: Payload) -> Result<Self, PretrainedError> {
        let recipe = Recipe::parse(&payload.recipe, "of the pretrained file")?;
        Self::new(recipe, payload.networks, payload.ranges, payload.card)
    }

    /// The recipe it was trained by.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The Q-networks, at least one, all of one shape; their Q-values are averaged.
    pub fn networks(&self) -> &[QNetwork] {
        &self.networks
    }

    /// The range of every feature in meta-training.
    pub fn ranges(&self) -> &[[f32; 2]] {
        &self.ranges
    }

    /// Its card.
    pub fn card(&self) -> &Card {
        &self.card
    }
}
