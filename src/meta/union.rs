//! Controllers put together: the networks of several pretrained ones as one ensemble, for a recipe that sees and moves what all of them do.
//!
//! ```text
//! Q(s, a) = mean over all networks of Q_own(s_own, a_own)      s_own, a_own: the features it knows, and what a does to the values it moves
//! ```
//!
//! Every part of the sum speaks of its own values alone, so the best joint action is what each controller would do by itself.

use crate::controller::{Action, Pretrained, PretrainedError, Recipe};
use crate::dqn::QNetwork;

/// Controllers that cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnionError {
    /// One of them cannot be had.
    #[error("network.from: {name}")]
    Pretrained {
        /// Which one.
        name: String,
        /// Why.
        source: Box<PretrainedError>,
    },
    /// It sees something that the recipe does not.
    #[error("network.from: {name} sees the feature {feature}, which is not in the recipe's set")]
    Feature {
        /// Which controller.
        name: String,
        /// What it sees.
        feature: &'static str,
    },
    /// It has moves that the recipe lacks, or lacks some.
    #[error("network.from: {name} knows {found} of the {expected} moves that the recipe makes of its values")]
    Moves {
        /// Which controller.
        name: String,
        /// So many actions have a counterpart.
        found: usize,
        /// Of so many.
        expected: usize,
    },
    /// Its networks have another shape.
    #[error("network.from: {name} has hidden layers {found:?}, dueling {dueling}; the recipe has {expected:?}")]
    Shape {
        /// Which controller.
        name: String,
        /// Its layers.
        found: Vec<usize>,
        /// Whether its heads are dueling.
        dueling: bool,
        /// Those of the recipe.
        expected: Vec<usize>,
    },
}

/// The networks of the controllers that `network.from` names, for the features and actions of the recipe.
///
/// # Errors
/// When one of them cannot be had, or does not fit the recipe.
pub(super) fn networks(recipe: &Recipe) -> Result<Vec<QNetwork>, UnionError> {
    let mut networks = Vec::new();
    for name in &recipe.network.from {
        let part = Pretrained::open(name)
            .map_err(|source| UnionError::Pretrained { name: name.clone(), source: Box::new(source) })?;
        networks.extend(embedded(recipe, name, &part)?);
    }
    Ok(networks)
}

fn embedded(recipe: &Recipe, name: &str, part: &Pretrained) -> Result<Vec<QNetwork>, UnionError> {
    let own = part.recipe();
    let (names, known) = (recipe.features.names(), own.features.names());
    if let Some(&feature) = known.iter().find(|feature| !names.contains(feature)) {
        return Err(UnionError::Feature { name: name.to_owned(), feature });
    }
    // What was always 0 in a training has weights that mean nothing.
    let heeded = |name: &str| own.watches_validation() || name != "validation_gap";
    let place = |name: &&str| known.iter().position(|own| own == name && heeded(name));
    let features: Vec<Option<usize>> = names.iter().map(place).collect();
    let (all, known) = (recipe.controls.actions(&recipe.moves), own.controls.actions(&own.moves));
    let as_own = |action: &Action| known.iter().position(|&own_action| own_action == own.controls.part_of(*action));
    let actions: Vec<usize> = all.iter().filter_map(as_own).collect();
    if actions.len() != all.len() || known.len() != own.controls.actions(&recipe.moves).len() {
        return Err(UnionError::Moves { name: name.to_owned(), found: actions.len(), expected: all.len() });
    }
    let (hidden, dueling) = (&own.network.hidden, own.network.dueling);
    if *hidden != recipe.network.hidden || dueling != recipe.network.dueling {
        let (name, found, expected) = (name.to_owned(), hidden.clone(), recipe.network.hidden.clone());
        return Err(UnionError::Shape { name, found, dueling, expected });
    }
    Ok(part.networks().iter().map(|network| network.embedded(&features, &actions)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqn::{argmax, network::mean_q_values};
    use crate::rng::stream;
    use rand::RngExt;
    use std::path::Path;

    fn joint(from: &[&str]) -> Recipe {
        let mut recipe = Recipe::load(Path::new("controllers/joint.toml")).unwrap();
        recipe.network.from = from.iter().map(|&name| name.to_owned()).collect();
        recipe
    }

    #[test]
    fn together_they_do_what_each_would_do_alone() {
        let recipe = joint(&["weight-decay", "lr"]);
        let ensemble = networks(&recipe).unwrap();
        let (names, all) = (recipe.features.names(), recipe.controls.actions(&recipe.moves));
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
                part.recipe().controls.actions(&part.recipe().moves)[best(part.networks(), &own)]
            });
            let action = all[best(&ensemble, &features)];
            assert_eq!(action, Action { lr: alone[1].lr, weight_decay: alone[0].weight_decay });
            seen.insert((action.lr, action.weight_decay));
        }
        assert!(seen.len() >= 4, "the same answer always: {seen:?}");
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let message = |recipe: &Recipe| networks(recipe).unwrap_err().to_string();
        assert!(message(&joint(&["nobody"])).contains("nobody"));
        assert!(message(&joint(&["hu-lr"])).contains("hu-lr sees the feature"));
        let mut narrow = joint(&["lr"]);
        narrow.network.hidden = vec![8];
        assert!(message(&narrow).contains("[64, 64]"));
        let mut two = joint(&["lr"]);
        two.moves.pop();
        assert!(message(&two).contains("moves"));
    }
}
