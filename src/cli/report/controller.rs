//! A controller: its card, how it was measured, what it does on a few tasks, and its networks, which the page asks for
//! what they would do.

use crate::cli::export;
use crate::cli::failure::Failure;
use crate::cli::inspect::measured_by;
use qgd::meta::{Portrait, TrainingRecipe};
use qgd::{Controller as Policy, Pretrained};
use serde::Serialize;
use serde_json::Value as Json;
use std::sync::Arc;

/// What the page knows of a controller.
#[derive(Debug, Serialize)]
pub struct Controller {
    given: String,
    /// What validation tasks are judged by, and who the rival is.
    judged: &'static str,
    rival: &'static str,
    portrait: Portrait,
    /// Where the map is cut: a value for each feature.
    neutral: Vec<f32>,
    /// Q-values there, by which the page checks its own arithmetic.
    q_values: Vec<f32>,
    /// As `qgd export --format json` writes it.
    exported: Json,
}

/// Reads a pretrained file, or one that ships.
pub fn of(given: &str) -> Result<Controller, Failure> {
    let pretrained = Pretrained::open(given).map_err(Failure::bad_input)?;
    let exported = serde_json::from_str(&export::json::text(&pretrained)?)?;
    let training = TrainingRecipe::of(pretrained.recipe()).map_err(Failure::bad_input)?;
    let (judged, rival) = measured_by(&training);
    let pretrained = Arc::new(pretrained);
    let portrait = Portrait::of(&Policy::new(pretrained.clone())).map_err(Failure::bad_input)?;
    let neutral = neutral(&pretrained, &portrait);
    let q_values = pretrained.q_values(&neutral).map_err(Failure::bad_input)?;
    Ok(Controller { given: given.to_owned(), judged, rival, portrait, neutral, q_values, exported })
}

/// The medians of the portrait, or 0 where there is none; inside of the range that meta-training saw.
fn neutral(pretrained: &Pretrained, portrait: &Portrait) -> Vec<f32> {
    let median = |i: usize| portrait.medians.get(i).map_or(0.0, |&median| median as f32);
    pretrained.ranges().iter().enumerate().map(|(i, &[low, high])| median(i).clamp(low, high)).collect()
}

impl Controller {
    /// Name of the controller.
    pub fn name(&self) -> &str {
        self.exported["name"].as_str().unwrap_or(&self.given)
    }
}
