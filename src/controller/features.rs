//! Features: the signals mapped to [-1, 1]. They are all that a Q-network sees, in acting and in learning.
//!
//! A recipe names its feature set, and a pretrained file the features one by one (docs/DESIGN.md, *Why do features lie
//! in [-1, 1], and why by name?*).

/// The one table of a feature set: name, formula, and value of every feature. Names, documentation and values come from it.
macro_rules! features {
    ($names:ident, $formulas:ident [$n:literal], $values:ident($seen:ident: $Seen:ty); $($name:literal, $formula:literal, $value:expr;)*) => {
        /// Names of the features, in order.
        ///
        /// | Feature | Formula before it is cut to [-1, 1] |
        /// |---|---|
        $(#[doc = concat!("| ", $name, " | ", $formula, " |")])*
        pub const $names: [&'static str; $n] = [$($name),*];

        /// Formulas of the features, in the same order, before they are cut to [-1, 1].
        pub const $formulas: [&'static str; $n] = [$($formula),*];

        /// The features of this table, each in [-1, 1].
        fn $values($seen: $Seen) -> [f32; $n] {
            [$($value),*]
        }
    };
}

/// What the symbols in the formulas of a feature set mean.
macro_rules! symbols {
    ($($symbol:literal, $meaning:literal;)*) => {
        /// Symbols of the formulas.
        ///
        /// | Symbol | Meaning |
        /// |---|---|
        $(#[doc = concat!("| ", $symbol, " | ", $meaning, " |")])*
        pub const SYMBOLS: &'static [(&'static str, &'static str)] = &[$(($symbol, $meaning)),*];
    };
}

mod hansen6;
mod scalefree;
mod validated;

pub use hansen6::Hansen6;
pub use scalefree::ScaleFree;
pub(super) use scalefree::loss_rise;
pub use validated::Validated;

use crate::artifact::exact;
use crate::policy::{Action, Controls, Signals};
use serde::{Deserialize, Serialize};

/// Feature set with its memory of the run so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Features {
    /// Features that do not depend on the unit of the loss.
    ScaleFree(#[serde(with = "exact")] Box<ScaleFree>),
    /// The six features of Hu, Zhang and Shi.
    Hansen6(#[serde(with = "exact")] Box<Hansen6>),
    /// The features of [`ScaleFree`], and ten more about weight decay and validation.
    Validated(#[serde(with = "exact")] Box<Validated>),
}

/// Name of a feature set, as a recipe gives it.
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
    /// Makes a tracker at the start of a run, for a controller of these values.
    pub fn tracker(self, controls: Controls) -> Features {
        match self {
            Self::Scalefree => Features::ScaleFree(Box::default()),
            Self::ScalefreeValidation => Features::Validated(Box::default()),
            Self::Hansen6 => Features::Hansen6(Box::new(Hansen6::new(controls))),
        }
    }

    /// Names of the features, in order.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Scalefree => &ScaleFree::NAMES,
            Self::Hansen6 => &Hansen6::NAMES,
            Self::ScalefreeValidation => &Validated::NAMES,
        }
    }

    /// Formula of every feature, in the order of the names, before it is cut to [-1, 1].
    pub fn formulas(self) -> &'static [&'static str] {
        match self {
            Self::Scalefree => &ScaleFree::FORMULAS,
            Self::Hansen6 => &Hansen6::FORMULAS,
            Self::ScalefreeValidation => &Validated::FORMULAS,
        }
    }

    /// Symbols of the formulas, each with what it means.
    pub fn symbols(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Self::Scalefree => ScaleFree::SYMBOLS.to_vec(),
            Self::Hansen6 => Hansen6::SYMBOLS.to_vec(),
            Self::ScalefreeValidation => [ScaleFree::SYMBOLS, Validated::SYMBOLS].concat(),
        }
    }

    /// Names of the features that files of format 1, which name none, were made with.
    pub(super) fn names_of_format_1(self) -> impl Iterator<Item = &'static str> {
        // The newer ones of `scalefree`, which begins the other sets too, came with format 2.
        let newer = ScaleFree::N_OF_FORMAT_1..ScaleFree::NAMES.len();
        let has_newer = self != Self::Hansen6;
        let names = self.names().iter().enumerate();
        names.filter(move |(at, _)| !(has_newer && newer.contains(at))).map(|(_, &name)| name)
    }
}

/// F of equation 4 of Hu, Zhang and Shi: the lowest finite values so far, in rising order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Lowest(Vec<f64>);

impl Lowest {
    /// M, the length of the list. The paper names no number; chosen by us.
    const MEMORY: usize = 10;

    /// Rank by equation 4: 1 where `f` is no higher than the lowest, 0 where it is no higher than the highest of the list,
    /// else -1. A value that is not finite has rank -1; any other joins the list.
    fn rank(&mut self, f: f64) -> f32 {
        if !f.is_finite() {
            return -1.0;
        }
        let at = self.0.partition_point(|&low| low < f);
        let rank = match (at, self.0.len()) {
            (0, _) => 1.0,
            (at, n) if at < n => 0.0,
            _ => -1.0,
        };
        // Room for one more than the list keeps, once: a decision allocates nothing.
        self.0.reserve_exact((Self::MEMORY + 1).saturating_sub(self.0.len()));
        self.0.insert(at, f);
        self.0.truncate(Self::MEMORY);
        rank
    }

    /// Whether a run can have left it so.
    fn is_sound(&self) -> bool {
        self.0.len() <= Self::MEMORY && self.0.iter().all(|v| v.is_finite()) && self.0.is_sorted()
    }
}

/// Evidence that the loss has really been lower, as numbers that nothing has squashed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Evidence {
    /// Rise of the average loss above its lowest, in standard errors.
    pub loss_rise: f64,
    /// Average cosine of successive steps.
    pub update_cosine: f64,
}

impl Features {
    /// Evidence of the last update that the loss has been lower; none where the set does not know it.
    pub(super) fn evidence(&self) -> Option<Evidence> {
        match self {
            Self::ScaleFree(features) => Some(features.evidence()),
            Self::Validated(features) => Some(features.evidence()),
            Self::Hansen6(_) => None,
        }
    }

    /// Whether a run that began as `fresh` can have left it so. A state that is read from a file must fit.
    pub(super) fn fits(&self, fresh: &Self) -> bool {
        match (self, fresh) {
            (Self::ScaleFree(features), Self::ScaleFree(_)) => features.is_sound(),
            (Self::Validated(features), Self::Validated(_)) => features.is_sound(),
            (Self::Hansen6(features), Self::Hansen6(fresh)) => features.fits(fresh),
            _ => false,
        }
    }

    /// Takes in the signals of one decision and writes the features into `out`, each in [-1, 1] and never NaN.
    ///
    /// `last_action` is the action of the decision before this one.
    pub fn update(&mut self, signals: &Signals, last_action: Option<Action>, out: &mut [f32]) {
        match self {
            Self::ScaleFree(features) => features.update(signals, last_action, out),
            Self::Validated(features) => features.update(signals, last_action, out),
            Self::Hansen6(features) => features.update(signals, last_action, out),
        }
    }
}

/// Value of `v / range`, cut to [-1, 1]; 0 where `v` is not a number.
fn scaled(v: f64, range: f64) -> f32 {
    if v.is_nan() { 0.0 } else { (v / range).clamp(-1.0, 1.0) as f32 }
}

/// Value of `v / (1 + |v|)`: it maps all numbers into [-1, 1] and is nearly linear around 0; 0 where `v` is not a
/// number.
fn softsign(v: f64) -> f32 {
    if v.is_nan() {
        0.0
    } else if v.is_infinite() {
        v.signum() as f32
    } else {
        (v / (1.0 + v.abs())) as f32
    }
}
