//! Pretrained files: networks, the recipe that they were trained by, the ranges of the features that they saw, and a
//! card.

use super::recipe::{Recipe, RecipeError};
use crate::artifact::{self, ArtifactError, Kind};
use crate::dqn::QNetwork;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Files that ship inside the crate.
const SHIPPED: [(&str, &[u8]); 6] = [
    ("lr", include_bytes!("../../pretrained/lr.qgd")),
    ("lr-line-search", include_bytes!("../../pretrained/lr-line-search.qgd")),
    ("weight-decay", include_bytes!("../../pretrained/weight-decay.qgd")),
    ("joint", include_bytes!("../../pretrained/joint.qgd")),
    ("hu-lr", include_bytes!("../../pretrained/hu-lr.qgd")),
    ("hu-lambda", include_bytes!("../../pretrained/hu-lambda.qgd")),
];

/// Card of a pretrained file: where it comes from and how it does. Wall time is not part of it: the same seed gives the
/// same bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Card {
    /// Version of the crate that made it.
    pub crate_version: String,
    /// [`Recipe::hash`] of the recipe.
    pub recipe_hash: String,
    /// Seed of the meta-training.
    pub seed: u64,
    /// Number of inner steps of all target nets.
    pub inner_steps: u64,
    /// Number of target nets that were trained.
    pub episodes: u64,
    /// Number of updates of the Q-networks.
    pub updates: u64,
    /// Results on validation tasks that meta-training never drew.
    pub evaluation: Vec<EvaluationRow>,
    /// Controllers whose networks make the ensemble, where it was merged.
    pub parents: Vec<Parent>,
}

/// Controller whose networks are part of another one's ensemble.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Parent {
    /// Name of the controller.
    pub name: String,
    /// Card of the controller; empty where the ensemble was made by version 0.1, which kept the names alone.
    pub card: Card,
}

/// Results on one family of validation tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRow {
    /// Family and optimizer.
    pub family: String,
    /// Number of tasks.
    pub n_tasks: u32,
    /// Geometric mean over the tasks of (median over starts with the controller + 1e-2) / (tuned rival + 1e-2). The
    /// rival is cosine from its best learning rate; for controllers of the weight decay, the best fixed one
    /// (`meta::ValidationSet::draw`).
    pub tuned_ratio: f64,
    /// Geometric mean as above, with the worst start in place of the median.
    pub worst_ratio: f64,
    /// Geometric mean of the rival's median over its grid / its best.
    pub rival_median_ratio: f64,
}

/// Pretrained controller, as it is in its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Pretrained {
    recipe: Recipe,
    networks: Vec<QNetwork>,
    ranges: Vec<[f32; 2]>,
    card: Card,
}

/// Payload of the file. The recipe is TOML text, so that a new field with a default does not break old files. The
/// features are named, so that no network is shown others than it was trained with.
#[derive(Serialize, Deserialize)]
struct Payload {
    recipe: String,
    features: Vec<String>,
    networks: Vec<QNetwork>,
    ranges: Vec<[f32; 2]>,
    card: Card,
}

/// Payload of format version 1.
#[derive(Deserialize)]
struct PayloadV1 {
    recipe: String,
    networks: Vec<QNetwork>,
    ranges: Vec<[f32; 2]>,
    card: CardV1,
}

#[derive(Deserialize)]
struct CardV1 {
    crate_version: String,
    _recipe_hash: String,
    seed: u64,
    inner_steps: u64,
    episodes: u64,
    updates: u64,
    evaluation: Vec<EvaluationRow>,
}

impl PayloadV1 {
    /// The controller, in the words of today.
    fn modernized(self) -> Result<Pretrained, PretrainedError> {
        let (recipe, parents) = without_parts(&self.recipe);
        let recipe = Recipe::parse(&recipe, ORIGIN)?;
        let CardV1 { crate_version, seed, inner_steps, episodes, updates, evaluation, .. } = self.card;
        let recipe_hash = recipe.hash();
        let card = Card { crate_version, recipe_hash, seed, inner_steps, episodes, updates, evaluation, parents };
        let names: Vec<String> = recipe.features.names_of_format_1().map(str::to_owned).collect();
        let (networks, ranges) = by_name(&recipe, &names, self.networks, self.ranges)?;
        Pretrained::new(recipe, networks, ranges, card)
    }
}

/// Text of a recipe of version 0.1 without keys that say nothing of its use: those of a training that are gone, and
/// `network.from`, whose names are the parents.
fn without_parts(recipe: &str) -> (String, Vec<Parent>) {
    let Ok(mut table) = toml::from_str::<toml::Table>(recipe) else { return (recipe.to_owned(), Vec::new()) };
    let gone = [
        (&["agent"][..], "huber"),
        (&["agent"], "max-grad-norm"),
        (&["agent"], "double"),
        (&["meta", "polish"], "components"),
    ];
    for (path, key) in gone {
        remove(&mut table, path, key);
    }
    let from = remove(&mut table, &["network"], "from");
    let stem = |file: &str| Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let names = from.as_ref().and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_str);
    let parents = names.map(|name| Parent { name: stem(name).unwrap_or(name.to_owned()), card: Card::default() });
    let parents = parents.collect();
    (toml::to_string(&table).unwrap_or_default(), parents)
}

/// Takes a key out of the table at `path`, where both are there.
fn remove(table: &mut toml::Table, path: &[&str], key: &str) -> Option<toml::Value> {
    match path {
        [] => table.remove(key),
        [first, rest @ ..] => remove(table.get_mut(*first)?.as_table_mut()?, rest, key),
    }
}

/// Origin of a recipe inside a file, for errors.
const ORIGIN: &str = "of the pretrained file";

/// Error: there is no such pretrained controller, or its file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainedError {
    /// There is no such name, and no such file.
    #[error("there is no pretrained controller named {name:?}; there are: {}", Pretrained::NAMES.join(", "))]
    UnknownName {
        /// Name that was asked for.
        name: String,
    },
    /// The file is missing, damaged or of another format version.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The recipe inside is not valid.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The file names a feature that this version does not compute.
    #[error(
        "the pretrained controller {name:?} looks at the feature {found:?}, which this version of qgd does not compute (known: {known})"
    )]
    Feature {
        /// Name of the controller.
        name: String,
        /// Name of the feature.
        found: String,
        /// Names of those that are known.
        known: String,
    },
    /// A row of features of another length than the networks read.
    #[error("the pretrained controller {name:?} looks at {expected} features, but was shown {found}")]
    Width {
        /// Name of the controller.
        name: String,
        /// Number of features that were given.
        found: usize,
        /// Number of features that it looks at.
        expected: usize,
    },
    /// The parts do not belong together.
    #[error("the pretrained file{} holds {what}: {found} (expected {expected})", origin.as_ref().map_or(String::new(), |p| format!(" {}", p.display())))]
    Inconsistent {
        /// Path of the file, where there is one.
        origin: Option<PathBuf>,
        /// What is wrong.
        what: &'static str,
        /// Number that was found.
        found: usize,
        /// Number that would fit.
        expected: usize,
    },
}

impl Pretrained {
    /// Names of the controllers that ship inside the crate.
    pub const NAMES: [&'static str; SHIPPED.len()] = {
        let [a, b, c, d, e, f] = SHIPPED;
        [a.0, b.0, c.0, d.0, e.0, f.0]
    };

    /// Largest number of networks that is read.
    const MAX_NETWORKS: usize = 16;

    /// Makes a pretrained controller of its parts.
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

    /// Reads one of [`Pretrained::NAMES`].
    ///
    /// # Errors
    /// When there is no controller of this name.
    pub fn shipped(name: &str) -> Result<Self, PretrainedError> {
        Self::decode(Self::shipped_bytes(name)?)
    }

    /// Bytes of the file of one of [`Pretrained::NAMES`].
    ///
    /// # Errors
    /// When there is no controller of this name.
    pub fn shipped_bytes(name: &str) -> Result<&'static [u8], PretrainedError> {
        let found = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        found.map(|(_, bytes)| *bytes).ok_or_else(|| PretrainedError::UnknownName { name: name.to_owned() })
    }

    /// Reads a shipped controller by name, or a pretrained file by path (see [`Pretrained::is_file`]).
    ///
    /// # Errors
    /// When it is neither, or the file cannot be used.
    pub fn open(name_or_file: &str) -> Result<Self, PretrainedError> {
        if Self::is_file(name_or_file) { Self::load(Path::new(name_or_file)) } else { Self::shipped(name_or_file) }
    }

    /// Whether this is taken for a file and not for a name: there is such a file, or it has a slash or a dot.
    pub fn is_file(name_or_file: &str) -> bool {
        Path::new(name_or_file).exists() || name_or_file.contains(['/', '.'])
    }

    /// The same without a look at whether the parts fit: for the networks of a training under way, which see features of any size.
    #[cfg(feature = "meta")]
    pub(crate) fn in_training(recipe: Recipe, networks: Vec<QNetwork>) -> Self {
        let ranges = vec![[-1.0, 1.0]; recipe.features.names().len()];
        Self { recipe, networks, ranges, card: Card::default() }
    }

    /// Reads a pretrained file, of format version 2 or 1.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or was written by a newer format version.
    pub fn load(path: &Path) -> Result<Self, PretrainedError> {
        let in_file = |error| ArtifactError::InFile { path: path.to_owned(), error: Box::new(error) };
        let bytes = artifact::read_bytes(path, Kind::Controller)?;
        Self::decode(&bytes).map_err(|error| match error {
            PretrainedError::Artifact(error) => in_file(error).into(),
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
        if artifact::version(Kind::Controller, bytes)? == 1 {
            let payload: PayloadV1 = artifact::decode_version(Kind::Controller, 1, bytes)?;
            return payload.modernized();
        }
        let Payload { recipe, features, networks, ranges, card } = artifact::decode(Kind::Controller, bytes)?;
        let recipe = Recipe::parse(&recipe, ORIGIN)?;
        let (networks, ranges) = by_name(&recipe, &features, networks, ranges)?;
        Self::new(recipe, networks, ranges, card)
    }

    /// Bytes of its file.
    ///
    /// # Errors
    /// When they are more than a file may have.
    pub fn encode(&self) -> Result<Vec<u8>, PretrainedError> {
        let payload = Payload {
            recipe: self.recipe.to_toml(),
            features: self.recipe.features.names().iter().map(|&name| name.to_owned()).collect(),
            networks: self.networks.clone(),
            ranges: self.ranges.clone(),
            card: self.card.clone(),
        };
        Ok(artifact::encode(Kind::Controller, &payload)?)
    }

    /// Writes a pretrained file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), PretrainedError> {
        Ok(artifact::write_bytes(path, &self.encode()?)?)
    }

    /// Recipe that it was trained by.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Q-networks: at least one, all of one shape. Their Q-values are averaged.
    pub fn networks(&self) -> &[QNetwork] {
        &self.networks
    }

    /// Range of every feature in meta-training.
    pub fn ranges(&self) -> &[[f32; 2]] {
        &self.ranges
    }

    /// The card.
    pub fn card(&self) -> &Card {
        &self.card
    }
}

/// Networks and ranges for the features that this version computes, from those for the features that a file names: each looks
/// at what it was trained with, and at nothing that was added since.
fn by_name(
    recipe: &Recipe,
    found: &[String],
    networks: Vec<QNetwork>,
    ranges: Vec<[f32; 2]>,
) -> Result<(Vec<QNetwork>, Vec<[f32; 2]>), PretrainedError> {
    let names = recipe.features.names();
    if let Some(unknown) = found.iter().find(|found| !names.contains(&found.as_str())) {
        return Err(PretrainedError::Feature {
            name: recipe.name.clone(),
            found: unknown.clone(),
            known: names.join(", "),
        });
    }
    let places: Vec<Option<usize>> = names.iter().map(|name| found.iter().position(|found| found == name)).collect();
    let n_named = places.iter().flatten().count();
    let odd = networks.iter().find(|network| !network.is_sound() || network.n_features() != found.len());
    let checks = [
        ("names of features, some of them twice", found.len(), n_named),
        ("features of a network", odd.map_or(found.len(), QNetwork::n_features), found.len()),
        ("feature ranges", ranges.len(), found.len()),
    ];
    if let Some(&(what, found, expected)) = checks.iter().find(|(_, found, expected)| found != expected) {
        return Err(PretrainedError::Inconsistent { origin: None, what, found, expected });
    }
    if places.iter().copied().eq((0..found.len()).map(Some)) || odd.is_some() {
        return Ok((networks, ranges));
    }
    let actions: Vec<usize> = (0..recipe.actions().len()).collect();
    if networks.iter().any(|network| network.n_actions() != actions.len()) {
        return Ok((networks, ranges));
    }
    let networks = networks.iter().map(|network| network.embedded(&places, &actions)).collect();
    // What no network looks at may have any value.
    let ranges = places.iter().map(|place| place.map_or([-1.0, 1.0], |place| ranges[place])).collect();
    Ok((networks, ranges))
}
