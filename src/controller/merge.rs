//! Merging: the networks of several pretrained controllers as one ensemble.
//!
//! Their Q-values add up, each for the values that it moves. So a joint action follows at once what one of them says of
//! the learning rate and another of the weight decay.

use super::pretrained::{Card, Parent, Pretrained, PretrainedError};
use super::recipe::Recipe;
use crate::dqn::QNetwork;
use crate::policy::{Action, Controls};

/// Error: controllers cannot be merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// There is nothing to merge.
    #[error("there is no controller to merge")]
    Nothing,
    /// They differ in what they see or do, and there is no recipe of the whole.
    #[error("{first} and {other} differ in {what}: give the recipe of the whole")]
    Differ {
        /// Name of the first.
        first: String,
        /// Name of one that differs from it.
        other: String,
        /// What they differ in.
        what: &'static str,
    },
    /// One searches along lines, and the whole does not, or the other way round.
    #[error("{name} {}", if *searches { "searches along lines, but the recipe of the whole does not" } else { "never searches along lines, but the recipe of the whole does" })]
    LineSearch {
        /// Name of the controller.
        name: String,
        /// Whether it searches along lines.
        searches: bool,
    },
    /// One sees a feature that the whole does not.
    #[error("{name} sees the feature {feature}, which is not in the recipe's set")]
    Feature {
        /// Name of the controller.
        name: String,
        /// Name of the feature.
        feature: &'static str,
    },
    /// One moves a value that the whole leaves alone.
    #[error("{name} moves {moves:?}, but the recipe of the whole moves {whole:?} alone")]
    Controls {
        /// Which one.
        name: String,
        /// What it moves.
        moves: Controls,
        /// What the whole moves.
        whole: Controls,
    },
    /// No part moves a value that the whole moves.
    #[error("the recipe moves {whole:?}, but no part moves the {value}")]
    Uncontrolled {
        /// What the whole moves.
        whole: Controls,
        /// The value that nobody moves.
        value: &'static str,
    },
    /// One lacks an action of the whole, or has one that the whole lacks.
    #[error("{name} knows {found} of the {expected} actions that the recipe makes of its moves")]
    Moves {
        /// Name of the controller.
        name: String,
        /// Number of actions that have a counterpart.
        found: usize,
        /// Number of actions of the whole.
        expected: usize,
    },
    /// The networks have another shape.
    #[error("{name} has hidden layers {found:?}, dueling {dueling}; the recipe has {expected:?}")]
    Shape {
        /// Name of the controller.
        name: String,
        /// Widths of its hidden layers.
        found: Vec<usize>,
        /// Whether its heads are dueling.
        dueling: bool,
        /// Widths in the recipe.
        expected: Vec<usize>,
    },
    /// The whole is no pretrained controller.
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
}

impl Pretrained {
    /// One controller with the networks of all `parts`, each with the name that its card is kept under: it is what `recipe` says, or, where there
    /// is none, what the first of them says under `name`.
    ///
    /// Features are matched by name, actions by what they move.
    ///
    /// # Errors
    /// When the parts do not fit the recipe, or differ and there is no recipe.
    pub fn merge(name: &str, recipe: Option<Recipe>, parts: &[(String, Self)]) -> Result<Self, MergeError> {
        let recipe = match recipe {
            Some(recipe) => recipe,
            None => Recipe { name: name.to_owned(), ..common_recipe(parts)? },
        };
        check_controls(&recipe, parts)?;
        let (mut networks, mut parents) = (Vec::new(), Vec::new());
        let mut ranges: Vec<Option<[f32; 2]>> = vec![None; recipe.features.names().len()];
        for (name, part) in parts {
            let features = places(&recipe, name, part)?;
            for (range, own) in ranges.iter_mut().zip(&features) {
                let own = own.map(|own| part.ranges()[own]);
                *range = match (*range, own) {
                    (Some(a), Some(b)) => Some([a[0].min(b[0]), a[1].max(b[1])]),
                    (known, own) => known.or(own),
                };
            }
            networks.extend(embedded(&recipe, name, part, &features)?);
            parents.push(Parent { name: name.clone(), card: part.card().clone() });
        }
        let sum = |of: fn(&Card) -> u64| parts.iter().map(|(_, part)| of(part.card())).sum();
        let card = Card {
            crate_version: env!("CARGO_PKG_VERSION").to_owned(),
            recipe_hash: recipe.hash(),
            seed: parts.first().ok_or(MergeError::Nothing)?.1.card().seed,
            inner_steps: sum(|card| card.inner_steps),
            episodes: sum(|card| card.episodes),
            updates: sum(|card| card.updates),
            evaluation: Vec::new(),
            parents,
        };
        // What no part looks at has weights of 0: any range will do.
        let ranges = ranges.into_iter().map(|range| range.unwrap_or([-1.0, 1.0])).collect();
        Ok(Self::new(recipe, networks, ranges, card)?)
    }
}

/// Every part moves values of the whole alone, and every value of the whole is moved by some part.
fn check_controls(recipe: &Recipe, parts: &[(String, Pretrained)]) -> Result<(), MergeError> {
    let whole = recipe.controls;
    let moves = |controls, value| controls == value || controls == Controls::Both;
    for (name, part) in parts {
        let own = part.recipe().controls;
        if !moves(whole, own) {
            return Err(MergeError::Controls { name: name.clone(), moves: own, whole });
        }
    }
    for (value, name) in [(Controls::Lr, "learning rate"), (Controls::WeightDecay, "weight decay")] {
        if moves(whole, value) && !parts.iter().any(|(_, part)| moves(part.recipe().controls, value)) {
            return Err(MergeError::Uncontrolled { whole, value: name });
        }
    }
    Ok(())
}

/// The recipe of the first part, where all of them see and do the same.
fn common_recipe(parts: &[(String, Pretrained)]) -> Result<Recipe, MergeError> {
    let (first_name, first) = parts.first().ok_or(MergeError::Nothing)?;
    let first = first.recipe();
    for (name, other) in parts.iter().map(|(name, part)| (name, part.recipe())) {
        let same = [
            ("what they move", first.controls == other.controls && first.moves == other.moves),
            ("what they see", first.features == other.features),
            ("what they ask for before halving", first.halve_evidence == other.halve_evidence),
            ("when they decide", first.pace == other.pace && first.line_search == other.line_search),
            ("what guards them", first.guard == other.guard && first.bounds == other.bounds),
        ];
        if let Some(&(what, _)) = same.iter().find(|(_, same)| !same) {
            return Err(MergeError::Differ { first: first_name.clone(), other: name.clone(), what });
        }
    }
    Ok(first.clone())
}

/// For each feature of the whole, its place among those of the part.
fn places(recipe: &Recipe, name: &str, part: &Pretrained) -> Result<Vec<Option<usize>>, MergeError> {
    let own = part.recipe();
    let (names, known) = (recipe.features.names(), own.features.names());
    if own.line_search.is_some() != recipe.line_search.is_some() {
        return Err(MergeError::LineSearch { name: name.to_owned(), searches: own.line_search.is_some() });
    }
    if let Some(&feature) = known.iter().find(|feature| !names.contains(feature)) {
        return Err(MergeError::Feature { name: name.to_owned(), feature });
    }
    // What was always 0 in a training has weights that mean nothing where it no longer is.
    let is_meant = own.watches_validation() || !recipe.watches_validation();
    let heeded = |name: &str| is_meant || name != "validation_gap";
    let place = |name: &&str| known.iter().position(|own| own == name && heeded(name));
    Ok(names.iter().map(place).collect())
}

fn embedded(
    recipe: &Recipe,
    name: &str,
    part: &Pretrained,
    features: &[Option<usize>],
) -> Result<Vec<QNetwork>, MergeError> {
    let own = part.recipe();
    let name = || name.to_owned();
    let (all, known) = (recipe.actions(), own.actions());
    let as_own = |action: &Action| known.iter().position(|&own_action| own_action == own.controls.part_of(*action));
    let actions: Vec<usize> = all.iter().filter_map(as_own).collect();
    if actions.len() != all.len() || known.len() != own.controls.actions(&recipe.moves).len() {
        return Err(MergeError::Moves { name: name(), found: actions.len(), expected: all.len() });
    }
    let (hidden, dueling) = (&own.network.hidden, own.network.dueling);
    if *hidden != recipe.network.hidden || dueling != recipe.network.dueling {
        let (found, expected) = (hidden.clone(), recipe.network.hidden.clone());
        return Err(MergeError::Shape { name: name(), found, dueling, expected });
    }
    Ok(part.networks().iter().map(|network| network.embedded(features, &actions)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqn::argmax;
    use crate::dqn::network::mean_q_values;
    use crate::rng::stream;
    use rand::RngExt;
    use std::path::Path;

    fn joint() -> Recipe {
        Recipe::load(Path::new("controllers/joint.toml")).unwrap()
    }

    fn parts(names: &[&str]) -> Vec<(String, Pretrained)> {
        names.iter().map(|&name| (name.to_owned(), Pretrained::open(name).unwrap())).collect()
    }

    #[test]
    fn together_they_do_what_each_would_do_alone() {
        let whole = Pretrained::merge("joint", Some(joint()), &parts(&["weight-decay", "lr"])).unwrap();
        let (names, all) = (whole.recipe().features.names(), whole.recipe().actions());
        let best = |networks: &[QNetwork], features: &[f32]| {
            let mut q_values = vec![0.0; networks[0].n_actions()];
            let mut row = q_values.clone();
            mean_q_values(networks.iter(), features, &mut networks[0].scratch(), &mut row, &mut q_values);
            argmax(q_values.iter().copied())
        };
        let mut rng = stream(1, "states");
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let features: Vec<f32> = names.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
            let alone = ["weight-decay", "lr"].map(|name| {
                let part = Pretrained::shipped(name).unwrap();
                let known = part.recipe().features.names();
                let seen = |own: &&str| match *own {
                    "validation_gap" if name == "lr" => 0.0,
                    own => features[names.iter().position(|&name| name == own).unwrap()],
                };
                let own: Vec<f32> = known.iter().map(seen).collect();
                part.recipe().actions()[best(part.networks(), &own)]
            });
            let action = all[best(whole.networks(), &features)];
            assert_eq!(action, Action { lr: alone[1].lr, weight_decay: alone[0].weight_decay });
            seen.insert((action.lr, action.weight_decay));
        }
        assert!(seen.len() >= 4, "the same answer always: {seen:?}");
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let message = |recipe: Option<Recipe>, names: &[&str]| {
            Pretrained::merge("whole", recipe, &parts(names)).unwrap_err().to_string()
        };
        assert!(message(Some(joint()), &["weight-decay", "lr", "hu-lr"]).contains("hu-lr searches along lines"));
        assert!(message(None, &["lr", "weight-decay"]).contains("lr and weight-decay differ in what they move"));
        assert!(message(None, &[]).contains("no controller to merge"));
        assert!(message(Some(joint()), &["lr", "lr"]).contains("no part moves the weight decay"));
        let decay = Pretrained::shipped("weight-decay").unwrap().recipe().clone();
        assert!(
            message(Some(decay), &["lr"]).contains("lr moves Lr, but the recipe of the whole moves WeightDecay alone")
        );
        let mut narrow = joint();
        narrow.network.hidden = vec![8];
        assert!(message(Some(narrow), &["lr", "weight-decay"]).contains("[64, 64]"));
        let mut two = joint();
        two.moves.pop();
        assert!(message(Some(two), &["lr", "weight-decay"]).contains("actions"));
        let mut scalefree = joint();
        scalefree.features = crate::controller::FeatureSet::Scalefree;
        assert!(message(Some(scalefree), &["weight-decay", "lr"]).contains("sees the feature decay_ratio"));
    }

    #[test]
    fn ranges_are_those_of_all_parts_and_the_card_keeps_theirs() {
        let parts = parts(&["pretrained/parts/lr-1.qgd", "pretrained/parts/lr-2.qgd"]);
        let whole = Pretrained::merge("whole", None, &parts).unwrap();
        let [a, b] = &parts[..] else { panic!("two parts") };
        for (range, (a, b)) in whole.ranges().iter().zip(a.1.ranges().iter().zip(b.1.ranges())) {
            let both = [a[0].min(b[0]), a[1].max(b[1])];
            assert_eq!(range.map(f32::to_bits), both.map(f32::to_bits));
        }
        assert_eq!((whole.recipe().name.as_str(), whole.card().parents.len()), ("whole", 2));
        assert_eq!(whole.card().parents[1].card, *b.1.card());
    }
}
