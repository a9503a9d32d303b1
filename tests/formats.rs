//! Files that earlier versions of the crate wrote.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use qgd::{Pretrained, Recipe};
use std::path::Path;

/// `hu-lr` and `joint` as version 0.1 shipped them, in format version 1. Since then the networks of `joint` that move the
/// learning rate were trained anew; its first two are those of `weight-decay`.
#[test]
fn a_pretrained_file_of_format_1_is_the_controller_that_ships_today() {
    for (name, n_networks) in [("hu-lr", 1), ("joint", 2)] {
        let old = Pretrained::load(Path::new(&format!("tests/fixtures/{name}-format-1.qgd"))).unwrap();
        let now = Pretrained::shipped(name).unwrap();
        assert_eq!(old.networks()[..n_networks], now.networks()[..n_networks], "{name}");
        let without_training = |recipe: &Recipe| Recipe { training: toml::Table::new(), ..recipe.clone() };
        assert_eq!(without_training(old.recipe()), without_training(now.recipe()), "{name}");
        assert_eq!(old.card().seed, now.card().seed, "{name}");
        if name == "hu-lr" {
            assert_eq!((old.networks(), old.ranges()), (now.networks(), now.ranges()));
            assert_eq!(old.card().inner_steps, now.card().inner_steps);
        }
        let names = |controller: &Pretrained| -> Vec<String> {
            controller.card().parents.iter().map(|parent| parent.name.clone()).collect()
        };
        assert_eq!(names(&old), names(&now), "{name}");
        // Written again it is of the format of today, and the same.
        assert_eq!(Pretrained::decode(&old.encode().unwrap()).unwrap(), old, "{name}");
    }
}

#[test]
fn a_file_of_another_set_of_features_is_refused_by_name() {
    let bytes = Pretrained::shipped("hu-lr").unwrap().encode().unwrap();
    let text = b"descent_dot";
    // A file whose fourth feature has another name of the same length, with its checksum mended.
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
    let mut bytes = bytes;
    bytes[at..at + text.len()].copy_from_slice(b"descent_dit");
    let checksum = crc32fast::hash(&[&bytes[..16], &bytes[20..]].concat());
    bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
    let message = Pretrained::decode(&bytes).unwrap_err().to_string();
    assert!(
        message.contains("looks at the feature \"descent_dit\"") && message.contains(", descent_dot,"),
        "{message}"
    );
}

#[test]
fn a_file_of_a_newer_format_is_refused_with_both_versions() {
    let mut bytes = Pretrained::shipped_bytes("hu-lr").unwrap().to_vec();
    bytes[4] = 3;
    let message = Pretrained::decode(&bytes).unwrap_err().to_string();
    assert!(message.contains("format version 3") && message.contains("2 is needed"), "{message}");
}
