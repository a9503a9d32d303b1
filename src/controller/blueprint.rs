//! Blueprint of a controller: all that decides but the numbers in its networks, as plain data and in words. With it
//! and with them a controller can be built again in another language.

use super::AGREE;
use super::features::loss_rise;
use super::pretrained::{Card, Pretrained};
use super::recipe::Recipe;
use super::sight::{FAR, FAR_SHARE};
use crate::driver::{Bounds, GuardConfig, LineSearchConfig, Pace};
use crate::policy::{Action, Controls, Decision, Move, Reason};
use serde::Serialize;

/// Everything about a pretrained controller but the numbers in its networks. [`Pretrained::blueprint`] makes it;
/// `qgd export` writes it beside the networks.
///
/// ```
/// use qgd::Pretrained;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let blueprint = Pretrained::shipped("lr")?.blueprint();
/// assert_eq!(blueprint.features[0].name, "rank");
/// assert_eq!(blueprint.actions[0].lr_factor, 0.5);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Blueprint {
    /// Name of the controller.
    pub name: String,
    /// What it is, in a sentence.
    pub description: String,
    /// Values that it moves.
    pub controls: Controls,
    /// How it decides, step by step, in words.
    pub decides: Vec<&'static str>,
    /// Features, in the order of the networks' inputs.
    pub features: Vec<Feature>,
    /// Symbols of the formulas.
    pub symbols: Vec<Symbol>,
    /// Actions, in the order of the networks' outputs.
    pub actions: Vec<Choice>,
    /// When it does not act.
    pub out_of_range: FarFeatures,
    /// When it may not halve; none where it always may.
    pub halve_evidence: Option<HalveEvidence>,
    /// When it decides, and what a move counts; none for line searches.
    pub pace: Option<Pace>,
    /// Bounds of the controlled values; they are widened to hold the value that the run begins with.
    pub bounds: Bounds,
    /// Rules that undo steps; none for line searches.
    pub guard: Option<GuardConfig>,
    /// The line search that it was made for; none where it schedules.
    pub line_search: Option<LineSearchConfig>,
    /// Where it comes from, and how it does.
    pub card: Card,
}

/// What a network sees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// Formula, before it is cut to [-1, 1].
    pub formula: &'static str,
    /// Lowest value that meta-training saw: what is below becomes this.
    pub low: f32,
    /// Highest value that meta-training saw: what is above becomes this.
    pub high: f32,
}

/// Symbol of the formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Symbol {
    /// One symbol, or several.
    pub symbol: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// What a controller can do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Choice {
    /// Move of the learning rate.
    pub lr: Move,
    /// Move of the weight decay.
    pub weight_decay: Move,
    /// Factor of the learning rate.
    pub lr_factor: f64,
    /// Factor of the weight decay.
    pub weight_decay_factor: f64,
}

/// When a controller does not act: more than `share` of the features are further than `distance` outside of their
/// range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FarFeatures {
    /// Distance beyond `low` or `high`.
    pub distance: f32,
    /// Share of all features.
    pub share: f32,
}

/// When a controller may not halve the learning rate: in the first steps, as long as the features `loss_rise` and
/// `update_cosine_ema` (before they are confined) are both below these values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HalveEvidence {
    /// Number of first steps.
    pub steps: u64,
    /// Value that `loss_rise` must reach: the loss has really been lower.
    pub loss_rise: f32,
    /// Value that `update_cosine_ema` must reach otherwise: successive steps agree.
    pub update_cosine_ema: f32,
}

impl Pretrained {
    /// Everything but the numbers in its networks.
    pub fn blueprint(&self) -> Blueprint {
        let recipe = self.recipe();
        let names = recipe.features.names().iter().zip(recipe.features.formulas()).zip(self.ranges());
        let symbols = recipe.features.symbols().into_iter();
        let schedules = recipe.line_search.is_none();
        Blueprint {
            name: recipe.name.clone(),
            description: recipe.description.clone(),
            controls: recipe.controls,
            decides: decides(recipe),
            features: names.map(|((name, formula), &[low, high])| Feature { name, formula, low, high }).collect(),
            symbols: symbols.map(|(symbol, meaning)| Symbol { symbol, meaning }).collect(),
            actions: recipe.actions().into_iter().map(|action| Choice::of(recipe, action)).collect(),
            out_of_range: FarFeatures { distance: FAR, share: FAR_SHARE },
            halve_evidence: HalveEvidence::of(recipe),
            pace: schedules.then_some(recipe.pace),
            bounds: recipe.bounds,
            guard: schedules.then(|| recipe.guard.clone()),
            line_search: recipe.line_search,
            card: self.card().clone(),
        }
    }
}

impl Choice {
    fn of(recipe: &Recipe, action: Action) -> Self {
        let Decision { lr_factor, weight_decay_factor, .. } = match recipe.line_search {
            None => recipe.pace.decision(action, Reason::Policy),
            Some(_) => Decision::of(action, Reason::Policy),
        };
        Self { lr: action.lr, weight_decay: action.weight_decay, lr_factor, weight_decay_factor }
    }
}

impl HalveEvidence {
    fn of(recipe: &Recipe) -> Option<Self> {
        let needed = recipe.halve_evidence?;
        Some(Self {
            steps: recipe.pace.probe_steps,
            loss_rise: loss_rise(needed.into()),
            update_cosine_ema: AGREE as f32,
        })
    }
}

const FEATURES: &str = "Every feature is its formula (what follows a colon explains it). Where it says softsign, v becomes \
    v / (1 + abs(v)), and infinity becomes 1; what is no number becomes 0; then it is cut to [-1, 1].";
const FAR_OUT: &str = "Where more than the share out_of_range.share of the features is further than out_of_range.distance \
    outside of its [low, high], nothing is done: the action whose factors are 1 (reason: out-of-range).";
const BELOW_FLOOR: &str =
    "Nor is anything done from the first loss on that is below 0, or below the floor that was named.";
const NETWORKS: &str = "Every feature is confined to its [low, high]. A hidden layer turns its input x into \
    max(0, weight x + bias), the last one into weight x + bias. With dueling heads its first output is the value of the state, \
    the others are advantages, and a Q-value is value + advantage - mean of the advantages; without, its outputs are the \
    Q-values.";
const BEST: &str =
    "The Q-values of all networks are averaged. The action of the highest is taken; of equal ones, the first.";
const EVIDENCE: &str = "At steps below halve_evidence.steps, where the features loss_rise and update_cosine_ema (as they were \
    before they were confined) are both below the values in halve_evidence, and the best action halves the learning rate, the \
    best of those that do not is taken (reason: no-evidence).";
const PACE: &str = "Learning rate and weight decay are multiplied by the factors of the action and cut to their bounds. A \
    decision at step t is followed by the next one after 1 step where t < pace.probe_steps, else after pace.fixed steps, or, \
    where that is null, after the whole part of t (2^(1 / pace.per_doubling) - 1) steps, at least 1. Where the budget of T steps \
    is known, the learning rate is multiplied by min(1, (T - t) / (pace.cooldown T)) at every step, underneath.";
const GUARD: &str = "Before each decision the guard looks at the losses and may undo steps. Its settings are guard; its rules are \
    those of qgd::driver::GuardConfig, and no decisions of the networks. After a step was undone, and after a run was begun \
    again, each of the next 8 steps is a decision.";
const LINE_SEARCH: &str = "At steps t with t + 1 < line_search.memory nothing is decided: x becomes x - lr (gradient + weight \
    decay x). After that a decision is taken at every candidate x_t. Where it changes nothing the candidate is accepted: the base \
    of the search becomes x_t and, with line_search.reset_on_accept, the controlled values become those of the start. Otherwise \
    they are multiplied by the factors of the action and cut to their bounds. A candidate whose loss or gradient is not finite is \
    never accepted: the controlled values are halved. The next candidate is base - lr (gradient at the base + weight decay base).";

/// How it decides, in words.
fn decides(recipe: &Recipe) -> Vec<&'static str> {
    let schedules = recipe.line_search.is_none();
    let steps = [
        (FEATURES, true),
        (FAR_OUT, true),
        (BELOW_FLOOR, schedules),
        (NETWORKS, true),
        (BEST, true),
        (EVIDENCE, recipe.halve_evidence.is_some()),
        (PACE, schedules),
        (GUARD, schedules),
        (LINE_SEARCH, !schedules),
    ];
    steps.into_iter().filter(|(_, holds)| *holds).map(|(step, _)| step).collect()
}
