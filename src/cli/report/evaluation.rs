//! An evaluation, as `qgd evaluate --json` wrote it, and as far as the page shows it. A loss that is null has diverged.

use super::tint::Tint;
use crate::cli::failure::Failure;
use anyhow::anyhow;
use qgd::report::Color;
use qgd::words::plain;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// The results.
#[derive(Debug, Deserialize, Serialize)]
pub struct Evaluation {
    controller: About,
    suite: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    quick: bool,
    #[serde(default)]
    device: String,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    regimes: Vec<Group>,
    #[serde(default)]
    rivals: Vec<Record>,
    #[serde(default)]
    peers: Vec<Peer>,
    accuracy_deficit: Option<Pooled>,
    log_test_loss_ratio: Option<Pooled>,
    problems: Vec<Problem>,
    /// Colors of the methods.
    #[serde(skip_deserializing)]
    tints: BTreeMap<String, Tint>,
}

/// The controller under test.
#[derive(Debug, Deserialize, Serialize)]
struct About {
    name: String,
    recipe_hash: Option<String>,
    meta_training_seed: Option<u64>,
}

/// Geometric means over problems.
#[derive(Debug, Deserialize, Serialize)]
struct Group {
    name: String,
    n_problems: usize,
    tuned_ratio: Option<f64>,
    largest_tuned_ratio: Option<f64>,
    rivals_ratio: Option<f64>,
    worst_ratio: Option<f64>,
    largest_worst_ratio: Option<f64>,
    accuracy_deficit: Option<f64>,
    regression_loss_ratio: Option<f64>,
    test_loss_ratio: Option<f64>,
}

/// The controller against a rival, over all problems.
#[derive(Debug, Deserialize, Serialize)]
struct Record {
    name: String,
    n_problems: usize,
    ratio: Option<f64>,
    untuned_ratio: Option<f64>,
    wins: usize,
    ties: usize,
    losses: usize,
}

/// A result of another program.
#[derive(Debug, Deserialize, Serialize)]
struct Peer {
    task: String,
    steps: u64,
    optimizer: String,
    name: String,
    best: Option<f64>,
    best_start: Option<f64>,
    median: Option<f64>,
    ratio: Option<f64>,
    untuned_ratio: Option<f64>,
}

/// A mean over pairs of task and seed, with its interval.
#[derive(Debug, Deserialize, Serialize)]
struct Pooled {
    n_pairs: usize,
    mean: Option<f64>,
    interval: [Option<f64>; 2],
}

#[derive(Debug, Deserialize, Serialize)]
struct Problem {
    runs: Runs,
    verdict: Verdict,
}

#[derive(Debug, Deserialize, Serialize)]
struct Runs {
    task: String,
    optimizer: String,
    #[serde(default)]
    conditioning: Option<String>,
    steps: u64,
    exposures: Option<f64>,
    regime: Option<String>,
    seeds: Vec<u64>,
    methods: Vec<Method>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Method {
    name: String,
    starts: Vec<Start>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Start {
    lr: f64,
    train_loss: Option<f64>,
    cells: Vec<Cell>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Cell {
    train_loss: Option<f64>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Verdict {
    best: Option<f64>,
    median: Option<f64>,
    worst: Option<f64>,
    worst_ratio: Option<f64>,
    tuned_ratio: Option<f64>,
    rivals_ratio: Option<f64>,
    best_rival: String,
    rivals: Vec<Against>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Against {
    name: String,
    best: Option<f64>,
    best_start: Option<f64>,
    ratio: Option<f64>,
    outcome: String,
}

/// Reads the results that the file `given` holds.
pub fn of(given: &str, json: Json) -> Result<Evaluation, Failure> {
    let read = serde_json::from_value::<Evaluation>(json);
    let mut evaluation = read.map_err(|error| {
        Failure::BadInput(anyhow!("{} is no result of qgd evaluate that this version reads: {error}", plain(given)))
    })?;
    let methods = evaluation.problems.iter().flat_map(|problem| &problem.runs.methods);
    let names: BTreeSet<String> = methods.map(|method| method.name.clone()).collect();
    evaluation.tints = names.into_iter().map(|name| (name.clone(), Tint::of(Color::of_method(&name)))).collect();
    Ok(evaluation)
}

impl Evaluation {
    /// Name of the controller under test.
    pub fn name(&self) -> &str {
        &self.controller.name
    }
}
