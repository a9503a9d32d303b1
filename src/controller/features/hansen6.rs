//! `hansen6`: the six features of Hu, Zhang and Shi, section 3.2, which go back to Hansen 2016, arXiv 1602.04062.
//!
//! The paper maps them to [-1, 1] and does not say how. Its code used the extremes of each batch, so the network acted
//! on other numbers than it learned from. Here one rule, fixed for the run, serves acting and learning:
//!
//! Formulas stand in the table of [`Hansen6::NAMES`], their symbols in that of [`Hansen6::SYMBOLS`]. At the first step
//! all are 0 but the rank, which is 1.
//!
//! What was not measured is 0, what is infinite is ±1.

use super::{Lowest, scaled, softsign};
use crate::limits::{is_count, is_positive};
use crate::policy::{Action, Controls, Signals};
use serde::{Deserialize, Serialize};

/// Tracker of the `hansen6` set: what it remembers of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hansen6 {
    controls: Controls,
    /// F in rising order; places that are not taken yet hold infinity.
    lowest: Lowest,
    /// The last objectives, the newest at `n_seen % MEMORY`.
    recent: [f64; Self::MEMORY],
    n_seen: u64,
    first_objective: f64,
    first_dot: f64,
}

impl Hansen6 {
    /// M: length of both lists.
    pub const MEMORY: usize = Lowest::MEMORY;

    symbols! {
        "M", "10, the length of all lists; the paper names no number";
        "s(x)", "x / (1 + abs(x))";
        "L(v, v0)", "s(ln(v / v0)), for positive quantities; where v is not above 0, -1";
        "D(v, v0)", "s(v / abs(v0)), for signed ones";
        "c, c0", "the controlled value (learning rate or weight decay) and its start value";
        "f_t", "the loss at x_t; where the weight decay λ (PyTorch's) is controlled, plus (λ/2) ‖x_t‖²: the paper's g; NaN counts \
            as infinite";
        "p", "⟨d(x̄), ∇f(x_t)⟩: the direction d(x̄) = -(∇f(x̄) + λ x̄) from the base x̄ of the search, times the gradient";
        "f0, p0", "the first positive finite f and the first finite p of the run that is not 0";
        "F", "the M lowest f of this run before t";
        "d_t, d_{t-1}", "-∇f at x_t, and at the x before it; the mean runs over all parameters";
    }

    features! { NAMES, FORMULAS [6], values(s: &Seen);
        "value", "L(c, c0)", s.value;
        "objective", "L(f_t, f0)", log_ratio(s.objective, s.first_objective);
        "objective_max", "L(max of the last M objectives, f_t included; f0)", log_ratio(s.highest, s.first_objective);
        "descent_dot", "D(p, p0)", softsign(s.dot / s.first_dot);
        "rank", "1 if f_t ≤ min F, 0 if f_t ≤ max F, else -1 (equation 4)", s.rank;
        "alignment", "mean of sign(d_t · d_{t-1}), d = -∇f (equation 6)", scaled(s.alignment, 1.0);
    }

    /// Makes a tracker at the start of a run. Where both values are controlled, it shows the learning rate.
    pub fn new(controls: Controls) -> Self {
        Self {
            controls,
            lowest: Lowest::default(),
            recent: [f64::NEG_INFINITY; Self::MEMORY],
            n_seen: 0,
            first_objective: f64::NAN,
            first_dot: f64::NAN,
        }
    }

    /// Forgets the run: its lists and start values.
    pub fn reset(&mut self) {
        *self = Self::new(self.controls);
    }

    /// Takes in the signals of one decision and writes the features, in the order of [`Hansen6::NAMES`]. Allocates
    /// nothing.
    pub fn update(&mut self, signals: &Signals, _last_action: Option<Action>, out: &mut [f32]) {
        let objective = self.objective(signals);
        let dot = -signals.measured.grad_dot;
        if self.first_objective.is_nan() && objective > 0.0 && objective.is_finite() {
            self.first_objective = objective;
        }
        if self.first_dot.is_nan() && dot != 0.0 && dot.is_finite() {
            self.first_dot = dot.abs();
        }
        self.n_seen += 1;
        self.recent[(self.n_seen % Self::MEMORY as u64) as usize] = objective;
        let highest = self.recent.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let value = match self.controls {
            Controls::WeightDecay => log_ratio(signals.weight_decay, signals.weight_decay_base),
            Controls::Lr | Controls::Both => log_ratio(signals.lr, signals.lr_base),
        };
        out.copy_from_slice(&Self::values(&Seen {
            value,
            objective,
            highest,
            dot,
            rank: self.lowest.rank(objective),
            alignment: signals.measured.grad_alignment,
            first_objective: self.first_objective,
            first_dot: self.first_dot,
        }));
    }

    /// Whether a run that began as `fresh` can have left it so.
    pub(super) fn fits(&self, fresh: &Self) -> bool {
        let none_or_positive = |v: f64| v.is_nan() || is_positive(v);
        self.controls == fresh.controls
            && self.lowest.is_sound()
            && !self.recent.iter().any(|v| v.is_nan())
            && is_count(self.n_seen)
            && none_or_positive(self.first_objective)
            && none_or_positive(self.first_dot)
    }

    fn objective(&self, signals: &Signals) -> f64 {
        let norm = signals.measured.param_norm;
        let penalized = self.controls == Controls::WeightDecay && norm.is_finite();
        let penalty = if penalized { 0.5 * signals.weight_decay * norm * norm } else { 0.0 };
        let objective = signals.window.mean + penalty;
        if objective.is_nan() { f64::INFINITY } else { objective }
    }
}

/// What the features of one decision are made of.
struct Seen {
    value: f32,
    objective: f64,
    highest: f64,
    dot: f64,
    rank: f32,
    alignment: f64,
    first_objective: f64,
    first_dot: f64,
}

/// L(v, v0) in the head of the module.
fn log_ratio(v: f64, v0: f64) -> f32 {
    if v <= 0.0 && v0 > 0.0 { -1.0 } else { softsign((v / v0).ln()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{DriverConfig, LineSearch, LineSearchConfig, minimize};
    use crate::policy::{Decision, LossWindow, Measured, Move, Policy, Reason};
    use crate::rng::stream;
    use proptest::prelude::*;
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;

    fn signals(loss: f64, grad_dot: f64, lr: f64) -> Signals {
        let measured = Measured { grad_dot, grad_alignment: 0.25, param_norm: 3.0, ..Measured::default() };
        let window = LossWindow { n: 1, mean: loss, std: 0.0, recent: loss };
        Signals { window, measured, lr, lr_base: 0.1, weight_decay: 0.2, weight_decay_base: 0.1, ..Signals::default() }
    }

    fn features(tracker: &mut Hansen6, signals: &Signals) -> [f32; 6] {
        let mut out = [f32::NAN; 6];
        tracker.update(signals, None, &mut out);
        out
    }

    #[track_caller]
    fn close(found: [f32; 6], expected: [f64; 6]) {
        assert!(found.iter().zip(&expected).all(|(&f, e)| (f64::from(f) - e).abs() < 1e-6), "{found:?} {expected:?}");
    }

    #[test]
    fn each_feature_follows_its_formula() {
        let s = |x: f64| x / (1.0 + x.abs());
        let mut tracker = Hansen6::new(Controls::Lr);
        close(features(&mut tracker, &signals(2.0, f64::NAN, 0.1)), [0.0, 0.0, 0.0, 0.0, 1.0, 0.25]);
        let next = features(&mut tracker, &signals(0.5, 4.0, 0.05));
        close(next, [s(0.5f64.ln()), s(0.25f64.ln()), 0.0, -0.5, 1.0, 0.25]);
        let next = features(&mut tracker, &signals(1.0, -12.0, 0.2));
        close(next, [s(2f64.ln()), s(0.5f64.ln()), 0.0, 0.75, 0.0, 0.25]);
    }

    #[test]
    fn for_the_weight_decay_the_objective_has_the_penalty() {
        let s = |x: f64| x / (1.0 + x.abs());
        let mut tracker = Hansen6::new(Controls::WeightDecay);
        // f = 1.1 + 0.2 · 9 / 2 = 2.
        features(&mut tracker, &signals(1.1, 1.0, 0.1));
        let next = features(&mut tracker, &signals(0.1, 1.0, 0.1));
        close(next, [s(2f64.ln()), s(0.5f64.ln()), 0.0, -0.5, 1.0, 0.25]);
    }

    #[test]
    fn the_maximum_forgets_after_m_steps_and_the_rank_remembers_the_m_lowest() {
        let mut tracker = Hansen6::new(Controls::Lr);
        let mut seen = vec![];
        let mut rng = stream(2, "hansen6");
        for t in 0..60 {
            let loss: f64 = if t == 0 { 100.0 } else { 1.0 + rng.random::<f64>() };
            let found = features(&mut tracker, &signals(loss, 1.0, 0.1));
            let mut lowest = seen.clone();
            lowest.sort_by(f64::total_cmp);
            lowest.truncate(Hansen6::MEMORY);
            let rank = match (lowest.first(), lowest.last()) {
                (Some(&min), _) if loss <= min => 1.0,
                (_, Some(&max)) if loss <= max => 0.0,
                (None, _) => 1.0,
                _ => -1.0,
            };
            seen.push(loss);
            let highest = seen.iter().rev().take(Hansen6::MEMORY).copied().fold(0.0, f64::max);
            assert!((found[4] - rank).abs() < 1e-6, "rank at {t}");
            assert!((found[2] - log_ratio(highest, 100.0)).abs() < 1e-6, "maximum at {t}");
        }
    }

    #[test]
    fn a_new_run_starts_with_empty_lists() {
        // The published code kept the list of the lowest values from one run to the next.
        let mut tracker = Hansen6::new(Controls::Lr);
        for loss in [0.1, 0.2, 0.3] {
            features(&mut tracker, &signals(loss, 1.0, 0.1));
        }
        tracker.reset();
        let first = features(&mut tracker, &signals(50.0, 7.0, 0.1));
        let fresh = features(&mut Hansen6::new(Controls::Lr), &signals(50.0, 7.0, 0.1));
        assert_eq!(first.map(f32::to_bits), fresh.map(f32::to_bits));
        assert!(first[4] > 0.5 && first[1].abs() < 1e-6);
    }

    #[test]
    fn a_lost_loss_is_the_worst_of_all() {
        let mut tracker = Hansen6::new(Controls::Lr);
        features(&mut tracker, &signals(2.0, 1.0, 0.1));
        for lost in [f64::NAN, f64::INFINITY] {
            let found = features(&mut tracker, &signals(lost, f64::NAN, 0.1));
            close(found, [0.0, 1.0, 1.0, 0.0, -1.0, 0.25]);
        }
        let after = features(&mut tracker, &signals(1.9, 1.0, 0.1));
        assert!(after[4] > 0.5 && after[1] < 0.0, "it does not join the lists of the lowest: {after:?}");
    }

    /// Keeps every feature row while it acts at random.
    struct Random(Hansen6, ChaCha8Rng, Vec<[f32; 6]>, Controls);
    impl Policy for Random {
        fn decide(&mut self, signals: &Signals) -> Decision {
            self.2.push(features(&mut self.0, signals));
            let actions = self.3.actions(&Move::ALL);
            Decision::of(actions[self.1.random_range(0..actions.len())], Reason::Exploration)
        }
    }

    #[test]
    fn every_feature_varies_over_an_episode_of_the_random_policy() {
        // In the published code the alignment compared a gradient with itself, so that it was always 1.
        let valley = |x: &[f32], grad: &mut [f32]| {
            let curvature = [1.0f32, 4.0, 0.3];
            (0..3).for_each(|i| grad[i] = curvature[i] * (x[i] - 1.0));
            0.1 + x.iter().zip(grad.iter()).map(|(x, g)| 0.5 * f64::from((x - 1.0) * g)).sum::<f64>()
        };
        for controls in [Controls::Lr, Controls::WeightDecay] {
            let config = LineSearchConfig::default();
            let search = LineSearch::new(0.35, 0.05, config, DriverConfig::default()).unwrap();
            let mut policy = Random(Hansen6::new(controls), stream(6, "random policy"), vec![], controls);
            minimize(valley, &[4.0, -2.0, 3.0], &mut policy, search, 100).unwrap();
            let rows = &policy.2;
            for (i, name) in Hansen6::NAMES.iter().enumerate() {
                let mean = rows.iter().map(|row| f64::from(row[i])).sum::<f64>() / rows.len() as f64;
                let variance =
                    rows.iter().map(|row| (f64::from(row[i]) - mean).powi(2)).sum::<f64>() / rows.len() as f64;
                assert!(variance > 1e-4, "{name} hardly varies ({variance:.2e}) for {controls:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_feature_is_defined_whatever_comes(values in prop::collection::vec(prop_oneof![
            Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(0.0), Just(-0.0), Just(f64::MIN_POSITIVE),
            any::<f64>(), -1.0..1.0f64], 7 * 25), decay in any::<bool>()) {
            let mut tracker = Hansen6::new(if decay { Controls::WeightDecay } else { Controls::Lr });
            for v in values.chunks_exact(7) {
                let measured = Measured { grad_dot: v[0], grad_alignment: v[1], param_norm: v[2], ..Measured::default() };
                let window = LossWindow { n: 1, mean: v[3], std: 0.0, recent: v[3] };
                let signals = Signals { window, measured, lr: v[4], lr_base: v[5], weight_decay: v[6], weight_decay_base: v[5],
                    ..Signals::default() };
                let saved = crate::artifact::to_bytes(&tracker);
                let mut again: Hansen6 = crate::artifact::from_bytes(&saved).unwrap();
                let found = features(&mut tracker, &signals);
                prop_assert!(found.iter().all(|v| (-1.0..=1.0).contains(v)), "{found:?}");
                prop_assert_eq!(found.map(f32::to_bits), features(&mut again, &signals).map(f32::to_bits));
            }
        }
    }
}
