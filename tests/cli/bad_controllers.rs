//! Pretrained files that are damaged or hostile, and recipes with mistakes.

use crate::sandbox::{Sandbox, shipped};
use std::fs;

fn pretrained() -> Vec<u8> {
    fs::read(shipped("pretrained/lr.qgd")).unwrap()
}

/// Pretrained files that must be refused: name, bytes, part of the message.
fn damaged() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let whole = pretrained();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let mut other_version = whole.clone();
    other_version[4] = 99;
    vec![
        ("corrupted.qgd", flipped, "checksum"),
        ("truncated.qgd", whole[..whole.len() - 100].to_vec(), "truncated"),
        ("header-only.qgd", whole[..10].to_vec(), "truncated"),
        ("empty.qgd", Vec::new(), "not a qgd file"),
        ("text.qgd", b"[net]\nkind = \"mlp\"\n".to_vec(), "not a qgd file"),
        ("newer.qgd", other_version, "version 99"),
        ("hostile.qgd", hostile(), "payload"),
    ]
}

/// A frame with the right checksum around lengths that no memory could hold.
fn hostile() -> Vec<u8> {
    let payload = [0xff; 64];
    let mut frame = pretrained()[..8].to_vec();
    frame.extend((payload.len() as u64).to_le_bytes());
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&frame);
    checksum.update(&payload);
    frame.extend(checksum.finalize().to_le_bytes());
    frame.extend(payload);
    frame
}

#[cfg(not(feature = "torch"))]
#[test]
fn every_kind_of_damage_is_named_by_inspect() {
    let sandbox = Sandbox::new();
    for (name, bytes, says) in damaged() {
        sandbox.write(name, bytes);
        sandbox.refuses(&["inspect", name], &[says]);
    }
    sandbox.refuses(&["inspect", "missing.qgd"], &["missing.qgd"]);
    sandbox.refuses(&["inspect", "no-such-controller"], &["no-such-controller", "lr"]);
}

#[cfg(feature = "torch")]
#[test]
fn no_training_starts_with_a_damaged_controller() {
    let (sandbox, digits) = (Sandbox::new(), shipped("examples/tasks/digits.toml"));
    for (name, bytes, says) in damaged() {
        sandbox.write(name, bytes);
        sandbox.refuses(&["train", &digits, "--controller", name, "--json", "out.json", "--resume", "run"], &[says]);
    }
    sandbox.refuses(&["train", &digits, "--controller", "lrr", "--trace", "out.jsonl"], &["\"lrr\"", "lr"]);
}

#[cfg(not(feature = "torch"))]
#[test]
fn the_shipped_controller_is_fine() {
    let output = Sandbox::new().qgd(&["inspect", "lr"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    for said in ["lr: ", "lower by 0.5 standard errors", "lr-1 and lr-2"] {
        assert!(output.stdout.contains(said), "{said}: {}", output.stdout);
    }
}

#[cfg(not(feature = "torch"))]
#[test]
fn a_recipe_with_a_mistake_is_refused_by_name() {
    let sandbox = Sandbox::new();
    let recipe = fs::read_to_string(shipped("controllers/lr.toml")).unwrap();
    sandbox.write("typo.toml", format!("colour = 1\n{recipe}"));
    sandbox.refuses(&["meta-train", "typo.toml", "-o", "out.qgd"], &["typo.toml", "colour"]);
    sandbox.write("broken.toml", "name = ");
    sandbox.refuses(&["meta-train", "broken.toml", "-o", "out.qgd"], &["broken.toml"]);
    sandbox.refuses(&["meta-train", "missing.toml", "-o", "out.qgd"], &["missing.toml"]);
}
