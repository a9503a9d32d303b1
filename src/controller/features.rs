//! Features: the signals mapped to [-1, 1], which is all the Q-network ever sees, in acting and in learning.
//!
//! A recipe names its feature set; the set travels inside the pretrained file.

mod hansen6;
mod scalefree;
mod validated;

pub use hansen6::Hansen6;
pub use scalefree::ScaleFree;
pub use validated::Validated;

use crate::policy::{Action, Controls, Signals};
use serde::{Deserialize, Serialize};

/// A feature set with its memory of the run so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Features {
    /// Nothing in it depends on the unit of the loss.
    ScaleFree(Box<ScaleFree>),
    /// The six features of the paper.
    Hansen6(Box<Hansen6>),
    /// Those of [`ScaleFree`], and more about weight decay and validation.
    Validated(Box<Validated>),
}

/// The name of a feature set, as a recipe gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureSet {
    /// See [`ScaleFree`].
    Scalefree,
    /// See [`Hansen6`].
    Hansen6,
    /// See [`Validated`].
    ScalefreeValidation,
}

impl FeatureSet {
    /// A tracker at the start of a run, for a controller of these values.
    pub fn tracker(self, controls: Controls) -> Features {
        match self {
            Self::Scalefree => Features::ScaleFree(Box::default()),
            Self::ScalefreeValidation => Features::Validated(Box::default()),
            Self::Hansen6 => Features::Hansen6(Box::new(Hansen6::new(controls))),
        }
    }

    /// The names of the features, in order.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Scalefree => &ScaleFree::NAMES,
            Self::Hansen6 => &Hansen6::NAMES,
            Self::ScalefreeValidation => &Validated::NAMES,
        }
    }
}

/// Whether the loss has really been lower, as numbers that nothing has squashed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Evidence {
    /// By how many of its standard errors the average loss is above its lowest.
    pub loss_rise: f64,
    /// Average cosine of successive steps.
    pub update_cosine: f64,
}

impl Features {
    /// What shows that the loss has been lower, at the last update; where the set knows it.
    pub(super) fn evidence(&self) -> Option<Evidence> {
        match self {
            Self::ScaleFree(features) => Some(features.evidence()),
            Self::Validated(features) => Some(features.evidence()),
            Self::Hansen6(_) => None,
        }
    }

    /// Takes in one decision window and writes the features into `out`, each in [-1, 1] and never NaN.
    ///
    /// `last_action` is what was done at the decision before this one.
    pub fn update(&mut self, signals: &Signals, last_action: Option<Action>, out: &mut [f32]) {
        match self {
            Self::ScaleFree(features) => features.update(signals, last_action, out),
            Self::Validated(features) => features.update(signals, last_action, out),
            Self::Hansen6(features) => features.update(signals, last_action, out),
        }
    }
}

/// `v / range`, cut to [-1, 1]; 0 where `v` is not a number.
fn scaled(v: f64, range: f64) -> f32 {
    if v.is_nan() { 0.0 } else { (v / range).clamp(-1.0, 1.0) as f32 }
}

/// `v / (1 + |v|)`: all of the real line into (-1, 1), nearly linear around 0; 0 where `v` is not a number.
fn softsign(v: f64) -> f32 {
    if v.is_nan() {
        0.0
    } else if v.is_infinite() {
        v.signum() as f32
    } else {
        (v / (1.0 + v.abs())) as f32
    }
}
