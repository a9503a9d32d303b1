//! `scalefree-validation`: the features of [`ScaleFree`], then ten for a controller that moves the weight decay.
//!
//! The unit of the loss or of time does not change these either, and averages run over decisions.
//!
//! Names and formulas stand in the tables of [`ScaleFree::NAMES`] and [`Validated::OWN`], their symbols in those of
//! [`ScaleFree::SYMBOLS`] and [`Validated::SYMBOLS`]. Features that are made of the validation loss are 0 where none
//! was reported.

use super::scalefree::{Ema, ScaleFree, first, signed};
use super::{Evidence, scaled, softsign};
use crate::policy::{Action, Measured, Signals};
use serde::{Deserialize, Serialize};

/// Tracker of the `scalefree-validation` set: what it remembers of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validated {
    scalefree: ScaleFree,
    train: Ema,
    fast: Ema,
    slow: Ema,
    gap: Ema,
    moves: Ema,
    first: f64,
    lowest: f64,
    last: f64,
}

impl Default for Validated {
    fn default() -> Self {
        Self {
            scalefree: ScaleFree::default(),
            train: Ema::new(8.0),
            fast: Ema::new(2.0),
            slow: Ema::new(8.0),
            gap: Ema::new(8.0),
            moves: Ema::new(6.0),
            first: f64::NAN,
            lowest: f64::INFINITY,
            last: f64::NAN,
        }
    }
}

const N_SCALEFREE: usize = ScaleFree::NAMES.len();

/// What the features of one decision are made of, beyond those of [`ScaleFree`].
struct Seen<'a> {
    signals: &'a Signals,
    m: &'a Measured,
    /// τ
    steps: f64,
    moved: f64,
    moves: f64,
    v: f64,
    last: f64,
    fast: f64,
    slow: f64,
    lowest: f64,
    first: f64,
    gap: f64,
    usual_gap: f64,
}

impl Validated {
    symbols! {
        "λ_0", "weight decay that the run began with";
        "τ", "budget in steps; where it is unknown, the number of steps so far and one";
        "v", "validation loss as it was last reported, at least tiny; v_prev: v of the last decision; NaN counts as infinite, and \
            where none was reported each feature made of it is 0";
        "gap", "ln(v / EMA of L, half-life 8)";
    }

    features! { OWN, OWN_FORMULAS [10], own(s: &Seen<'_>);
        "decay_ratio", "log10(λ / λ_0) / 5", scaled((s.signals.weight_decay / s.signals.weight_decay_base).log10(), 5.0);
        "decay_force", "log10(λ x / g) / 4: gradient of the penalty over that of the loss",
            scaled((s.signals.weight_decay * s.m.param_norm / s.m.grad_norm).log10(), 4.0);
        "decay_rate", "log10(lr λ τ) / 4: 0 where the decay alone would shrink the parameters to 1/e",
            scaled((s.signals.lr * s.signals.weight_decay * s.steps).log10(), 4.0);
        "decay_move", "-1 halve, 0 accept, 1 grow, of the weight decay", s.moved as f32;
        "decay_moves_ema", "EMA of the above, half-life 6", scaled(s.moves, 1.0);
        "validation_change", "10 ln(v_prev / v), softsign", softsign(10.0 * (s.last / s.v).ln());
        "validation_trend", "5 ln(EMA v, half-life 8 / EMA v, half-life 2), softsign", softsign(5.0 * (s.slow / s.fast).ln());
        "validation_min", "3 ln(v / min v), softsign", softsign(3.0 * (s.v / s.lowest).ln());
        "validation_first", "ln(v / first v) / 3", scaled((s.v / s.first).ln(), 3.0);
        "gap_change", "3 (gap - its EMA, half-life 8), softsign", softsign(3.0 * (s.gap - s.usual_gap));
    }

    /// Names of all features, in order: those of [`ScaleFree::NAMES`], then those of [`Validated::OWN`].
    pub const NAMES: [&'static str; N_SCALEFREE + Self::OWN.len()] = joined(&ScaleFree::NAMES, &Self::OWN);

    /// Formulas of all features, in the order of [`Validated::NAMES`].
    pub const FORMULAS: [&'static str; Self::NAMES.len()] = joined(&ScaleFree::FORMULAS, &Self::OWN_FORMULAS);

    /// Whether a run can have left it so.
    pub(super) fn is_sound(&self) -> bool {
        let fresh = Self::default();
        let averages = [
            (self.train, fresh.train),
            (self.fast, fresh.fast),
            (self.slow, fresh.slow),
            (self.gap, fresh.gap),
            (self.moves, fresh.moves),
        ];
        averages.iter().all(|(own, fresh)| own.fits(fresh)) && self.scalefree.is_sound()
    }

    /// Evidence of the last update that the loss has been lower.
    pub(super) fn evidence(&self) -> Evidence {
        self.scalefree.evidence()
    }

    /// Takes in the signals of one decision and writes the features of [`Validated::NAMES`].
    pub fn update(&mut self, signals: &Signals, last_action: Option<Action>, out: &mut [f32]) {
        let (shared, own) = out.split_at_mut(N_SCALEFREE);
        self.scalefree.update(signals, last_action, shared);
        let tiny = self.scalefree.tiny();
        let loss = self.train.push(signals.window.mean.max(tiny));
        let moved = last_action.map_or(0.0, |action| signed(action.weight_decay));
        let v = signals.validation.map_or(f64::NAN, |v| if v.is_nan() { f64::INFINITY } else { v.max(tiny) });
        first(&mut self.first, v);
        self.lowest = self.lowest.min(v);
        let gap = (v / loss).ln();
        let seen = Seen {
            signals,
            m: &signals.measured,
            steps: signals.total_steps.unwrap_or(signals.step + 1) as f64,
            moved,
            moves: self.moves.push(moved),
            v,
            last: self.last,
            fast: self.fast.push(v),
            slow: self.slow.push(v),
            lowest: self.lowest,
            first: self.first,
            gap,
            usual_gap: self.gap.push(gap),
        };
        own.copy_from_slice(&Self::own(&seen));
        self.last = v;
    }
}

/// Both lists, one after the other. `N` is the sum of their lengths.
const fn joined<const N: usize>(before: &[&'static str], after: &[&'static str]) -> [&'static str; N] {
    let mut all = [""; N];
    let mut i = 0;
    while i < N {
        all[i] = if i < before.len() { before[i] } else { after[i - before.len()] };
        i += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{LossWindow, Move};
    use proptest::prelude::*;

    const N: usize = Validated::NAMES.len();

    fn signals(step: u64, loss: f64, validation: f64, decay: f64) -> Signals {
        let measured = Measured { grad_norm: 0.2, param_norm: 4.0, ..Measured::default() };
        let window = LossWindow { n: 1, mean: loss, std: 0.0, recent: loss };
        Signals {
            step,
            total_steps: Some(1000),
            steps_per_epoch: None,
            window,
            measured,
            lr: 0.1,
            lr_base: 0.1,
            lr_ceiling: None,
            weight_decay: decay,
            weight_decay_base: 1e-3,
            validation: Some(validation),
            below_floor: false,
        }
    }

    fn own(tracker: &mut Validated, signals: &Signals) -> Vec<f32> {
        let mut out = [f32::NAN; N];
        tracker.update(signals, Some(Action { lr: Move::Accept, weight_decay: Move::Grow }), &mut out);
        out[N_SCALEFREE..].to_vec()
    }

    #[test]
    fn each_feature_follows_its_formula() {
        let s = |x: f64| x / (1.0 + x.abs());
        let mut tracker = Validated::default();
        own(&mut tracker, &signals(0, 2.0, 2.0, 1e-3));
        let found = own(&mut tracker, &signals(1, 2.0, 1.0, 1e-2));
        let ema = |half_life: f64| 2.0 + (1.0 - 0.5f64.powf(1.0 / half_life)) * (1.0 - 2.0);
        let gap = 0.5f64.ln();
        let usual_gap = (1.0 - 0.5f64.powf(0.125)) * gap;
        let expected = [
            0.2,
            (1e-2 * 4.0 / 0.2f64).log10() / 4.0,
            0.0,
            1.0,
            1.0,
            s(10.0 * 2f64.ln()),
            s(5.0 * (ema(8.0) / ema(2.0)).ln()),
            0.0,
            gap / 3.0,
            s(3.0 * (gap - usual_gap)),
        ];
        assert!(found.iter().zip(&expected).all(|(&f, e)| (f64::from(f) - e).abs() < 1e-5), "{found:?} {expected:?}");
        let worse = own(&mut tracker, &signals(2, 2.0, 1.5, 1e-2));
        assert!((f64::from(worse[7]) - s(3.0 * 1.5f64.ln())).abs() < 1e-6);
    }

    #[test]
    fn the_first_features_are_those_of_scalefree() {
        let (mut all, mut some) = (Validated::default(), ScaleFree::default());
        let (mut a, mut b) = ([0.0; N], [0.0; N_SCALEFREE]);
        for step in 0..9 {
            let signals = signals(step, 2.0 / (1.0 + step as f64), 1.0, 1e-3);
            all.update(&signals, None, &mut a);
            some.update(&signals, None, &mut b);
            assert_eq!(a[..N_SCALEFREE].iter().map(|v| v.to_bits()).collect::<Vec<_>>(), b.map(f32::to_bits));
        }
        assert_eq!((Validated::NAMES[0], Validated::NAMES[N - 1]), ("rank", "gap_change"));
    }

    #[test]
    fn without_a_validation_loss_its_features_are_0() {
        let mut tracker = Validated::default();
        for step in 0..5 {
            let found = own(&mut tracker, &Signals { validation: None, ..signals(step, 1.0, 0.0, 1e-3) });
            assert!(found[5..].iter().all(|v| v.abs() < 1e-9), "{found:?}");
        }
    }

    proptest! {
        #[test]
        fn every_feature_is_defined_whatever_comes(values in prop::collection::vec(prop_oneof![
            Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(0.0), -1e30..1e30f64, -1.0..1.0f64], 7 * 6)) {
            let mut tracker = Validated::default();
            for (step, v) in values.chunks_exact(7).enumerate() {
                let measured = Measured { grad_norm: v[0], param_norm: v[1], ..Measured::default() };
                let window = LossWindow { n: 1, mean: v[2], std: 0.0, recent: v[2] };
                let signals = Signals { step: step as u64, total_steps: None, steps_per_epoch: None, window, measured, lr: v[3], lr_base: v[3],
                    weight_decay: v[4], lr_ceiling: None, weight_decay_base: v[5], validation: Some(v[6]), below_floor: false };
                let found = own(&mut tracker, &signals);
                prop_assert!(found.iter().all(|v| (-1.0..=1.0).contains(v)), "{found:?}");
            }
        }
    }
}
