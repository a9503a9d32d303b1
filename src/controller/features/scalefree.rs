//! `scalefree`: 39 features that stay the same when the loss, the parameters or the time are measured in another unit.
//!
//! All averages run over *decisions*, not steps, with half-lives in decisions. Decisions come at every step while
//! probing and after that at a fixed number per doubling of the step count, so a feature means the same in a run of 400
//! steps and in one of 40,000.
//!
//! Names and formulas stand in the table of [`ScaleFree::NAMES`], their symbols in that of [`ScaleFree::SYMBOLS`].

use super::{Evidence, Lowest, scaled, softsign};
use crate::policy::{Action, Measured, Move, Signals};
use serde::{Deserialize, Serialize};

/// Smallest loss that logarithms see: below it a task is solved.
const TINY: f64 = 1e-12;
/// First loss below which the unit of the loss is small, so that the smallest loss is taken as a share of the first.
const SMALL: f64 = 1e-6;

/// Smallest loss that logarithms see in a run whose first loss is `first`.
pub(super) fn tiny(first: f64) -> f64 {
    // A first loss of 0 is remembered as the smallest, and shows no unit.
    if TINY < first && first < SMALL || 0.0 < first && first < TINY { TINY * first } else { TINY }
}

/// Exponential moving average over decisions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Ema {
    rate: f64,
    value: f64,
}

impl Ema {
    /// Makes an average with this half-life, in decisions.
    pub(super) fn new(half_life: f64) -> Self {
        Self { rate: 1.0 - 0.5f64.powf(1.0 / half_life), value: f64::NAN }
    }

    /// Whether a run that began as `fresh` can have left it so.
    pub(super) fn fits(&self, fresh: &Self) -> bool {
        self.rate.to_bits() == fresh.rate.to_bits() && !self.value.is_infinite()
    }

    /// Takes in a value, unless it is not finite, and returns the average.
    pub(super) fn push(&mut self, v: f64) -> f64 {
        if v.is_finite() {
            self.value = if self.value.is_nan() { v } else { self.value + self.rate * (v - self.value) };
        }
        self.value
    }
}

/// Exponential moving average of noisy values, and its own variance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Noisy {
    ema: Ema,
    /// Variance of the average.
    variance: f64,
}

impl Noisy {
    fn new(half_life: f64) -> Self {
        Self { ema: Ema::new(half_life), variance: f64::NAN }
    }

    fn fits(&self, fresh: &Self) -> bool {
        self.ema.fits(&fresh.ema) && (self.variance.is_nan() || self.variance >= 0.0)
    }

    /// Takes in a value and the variance of its noise, which is NaN where it is not known; returns the average.
    fn push(&mut self, v: f64, variance: f64) -> f64 {
        let (kept, rate) = (1.0 - self.ema.rate, self.ema.rate);
        if v.is_finite() && variance.is_finite() {
            let before = if self.variance.is_nan() { variance } else { self.variance };
            self.variance = kept * kept * before + rate * rate * variance;
        }
        self.ema.push(v)
    }
}

/// Tracker of the `scalefree` set: what it remembers of a run. A new run needs a new one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScaleFree {
    fast: Noisy,
    slow: Noisy,
    run: Noisy,
    spread: Ema,
    alignment: Ema,
    update_cosine: Ema,
    descent: Ema,
    improvement: Ema,
    grad_fast: Ema,
    grad_slow: Ema,
    moves: Ema,
    highest_lr: f64,
    travelled: f64,
    lowest: Lowest,
    fast_min: f64,
    fast_min_variance: f64,
    first_loss: f64,
    first_grad: f64,
    first_params: f64,
    last_grad: f64,
    last_window: f64,
    last_n: f64,
    /// Rise of the average loss above its lowest, in standard errors.
    loss_rise: f64,
}

/// What the features of one decision are made of. Numbers that are also in [`ScaleFree`] are those after the update.
struct Seen<'a> {
    signals: &'a Signals,
    m: &'a Measured,
    n: f64,
    t: f64,
    loss: f64,
    rank: f32,
    fast: f64,
    slow: f64,
    run: f64,
    improvement: f64,
    last_move: f64,
    fast_min: f64,
    spread: f64,
    /// This and the next two are in standard errors.
    rise: f64,
    trend: f64,
    long_trend: f64,
    decay: f64,
    travelled: f64,
    highest_lr: f64,
    first_loss: f64,
    first_grad: f64,
    first_params: f64,
    last_grad: f64,
    last_window: f64,
    alignment: f64,
    update_cosine: f64,
    descent: f64,
    improvement_ema: f64,
    grad_fast: f64,
    grad_slow: f64,
    moves: f64,
}

impl Default for ScaleFree {
    fn default() -> Self {
        Self {
            fast: Noisy::new(2.0),
            slow: Noisy::new(8.0),
            run: Noisy::new(32.0),
            spread: Ema::new(8.0),
            alignment: Ema::new(4.0),
            update_cosine: Ema::new(4.0),
            descent: Ema::new(4.0),
            improvement: Ema::new(4.0),
            grad_fast: Ema::new(2.0),
            grad_slow: Ema::new(12.0),
            moves: Ema::new(6.0),
            highest_lr: 0.0,
            travelled: 0.0,
            lowest: Lowest::default(),
            fast_min: f64::INFINITY,
            fast_min_variance: f64::NAN,
            first_loss: f64::NAN,
            first_grad: f64::NAN,
            first_params: f64::NAN,
            last_grad: f64::NAN,
            last_window: f64::NAN,
            last_n: f64::NAN,
            loss_rise: f64::NAN,
        }
    }
}

impl ScaleFree {
    /// Smallest loss that logarithms see in this run.
    pub(super) fn tiny(&self) -> f64 {
        tiny(self.first_loss)
    }

    /// Whether a run can have left it so.
    pub(super) fn is_sound(&self) -> bool {
        let fresh = Self::default();
        let averages = [
            (self.spread, fresh.spread),
            (self.alignment, fresh.alignment),
            (self.update_cosine, fresh.update_cosine),
            (self.descent, fresh.descent),
            (self.improvement, fresh.improvement),
            (self.grad_fast, fresh.grad_fast),
            (self.grad_slow, fresh.grad_slow),
            (self.moves, fresh.moves),
        ];
        let noisy = [(self.fast, fresh.fast), (self.slow, fresh.slow), (self.run, fresh.run)];
        averages.iter().all(|(own, fresh)| own.fits(fresh))
            && noisy.iter().all(|(own, fresh)| own.fits(fresh))
            && self.lowest.is_sound()
            && self.travelled >= 0.0
            && self.highest_lr >= 0.0
    }

    /// Evidence of the last update that the loss has been lower.
    pub(super) fn evidence(&self) -> Evidence {
        Evidence { loss_rise: self.loss_rise, update_cosine: self.update_cosine.value }
    }

    /// Number of features, the first ones, in files of format 1.
    pub(in crate::controller) const N_OF_FORMAT_1: usize = 35;

    symbols! {
        "t, T", "number of inner steps so far, those that were skipped or undone included; the budget in steps";
        "E", "number of steps of an epoch";
        "L", "mean of the losses since the last decision, at least tiny; L_prev: L of the last decision";
        "n", "number of the losses since the last decision; n_prev: n of the last decision";
        "tiny", "1e-12; where the first L is below 1e-6 and neither 0 nor 1e-12, 1e-12 times the first L";
        "first", "the first finite value of the run";
        "EMA", "average over decisions: a + r (v - a) with r = 1 - 2^(-1 / half-life); it begins as the first finite value, and \
            later ones that are not finite are left out; half-life 4 where none is named";
        "fast, slow, run", "EMAs of L, half-lives 2, 8 and 32; min of fast: the lowest fast so far, this decision included";
        "g, x, dx", "the gradient at this decision, the parameters, and their displacement since the last decision; in formulas \
            of norms g and x stand for ‖g‖ and ‖x‖, and u for ‖dx‖; dx_prev, g_prev: those of the last decision; x_0: the \
            parameters at the start";
        "s", "variance of a single loss: EMA, half-life 8, of the variance of the losses since the last decision; where n = 1, of \
            (L_prev - L)² / 2; in improvement, s before this decision is taken in";
        "standard error", "of a difference: square root of the sum of both variances, plus tiny; the variance of an EMA of L \
            begins as s / n and becomes (1 - r)² variance + r² s / n; that of min of fast is the one that fast had then, or, \
            where none was known then, the first that is known";
        "‖EMA g‖", "norm of the average of the gradient that becomes 3/4 of itself and 1/4 of g at every decision, and begins as g";
        "lr, lr_0", "learning rate of this step before this decision, with what the cooldown makes of it; the one that the run \
            began with (where the guard shortened its first step, the one after that)";
        "λ", "weight decay before this decision, as in PyTorch: λ x is added to the gradient";
    }

    features! { NAMES, FORMULAS [39], values(s: &Seen<'_>);
        "rank", "1 if L ≤ min F, 0 if L ≤ max F, else -1; F = the 10 lowest L so far (Hu et al., eq. 4)", s.rank;
        "alignment", "mean sign(dx · dx_prev) (Hu et al., eq. 6, on updates)", scaled(s.m.alignment, 1.0);
        "alignment_ema", "EMA of the above", scaled(s.alignment, 1.0);
        "update_cosine_ema", "EMA of cos(dx, dx_prev)", scaled(s.update_cosine, 1.0);
        "travel", "ln(‖x - x_0‖ / √(Σ u² over all windows)) / 3: 0 for a random walk, above it for a straight way (Ivgi et al. \
            2023, arXiv 2302.12022)", scaled((s.m.distance / s.travelled.sqrt()).ln(), 3.0);
        "descent_cosine", "cos(dx, -g) (Baydin et al. 2018, arXiv 1703.04782)", scaled(s.m.descent_cosine, 1.0);
        "descent_cosine_ema", "EMA of the above", scaled(s.descent, 1.0);
        "grad_cosine", "cos(g, g of the last decision)", scaled(s.m.grad_dot / (s.m.grad_norm * s.last_grad), 1.0);
        "grad_snr", "2 ‖EMA g‖ / ‖g‖ - 1", scaled(2.0 * s.m.grad_snr - 1.0, 1.0);
        "lr_ratio", "log10(lr / lr_0) / 5", scaled((s.signals.lr / s.signals.lr_base).log10(), 5.0);
        "below_highest", "log10(highest lr so far / lr) / 3", scaled((s.highest_lr / s.signals.lr).log10(), 3.0);
        "below_ceiling", "log10(lr at which the guard last undid a step / lr) / 2; 1 where it never did",
            s.signals.lr_ceiling.map_or(1.0, |ceiling| scaled((ceiling / s.signals.lr).log10(), 2.0));
        "relative_update", "(log10(u / (n x)) + 3.5) / 3.5",
            scaled((s.m.update_norm / (s.n * s.m.param_norm)).log10() + 3.5, 3.5);
        "predicted_descent", "(log10(u g / (n L)) + 1.5) / 2.5: by how much of the loss a step along -g would lower it (Polyak 1987)",
            scaled((s.m.update_norm * s.m.grad_norm / (s.n * s.loss)).log10() + 1.5, 2.5);
        "loss_change", "ln(L_prev / L), softsign", softsign((s.last_window / s.loss).ln());
        "loss_fast_slow", "2 ln(slow / fast), softsign", softsign(2.0 * (s.slow / s.fast).ln());
        "loss_slow_run", "2 ln(run / slow), softsign", softsign(2.0 * (s.run / s.slow).ln());
        "loss_fast_min", "ln(fast / min of fast), softsign", softsign((s.fast / s.fast_min).ln());
        "loss_first", "ln(fast / first L) / 7", scaled((s.fast / s.first_loss).ln(), 7.0);
        "loss_noise", "(log10(√s / fast) + 1) / 2", scaled((s.spread.sqrt() / s.fast).log10() + 1.0, 2.0);
        "improvement", "(L_prev - L) / √(s / n_prev + s / n) / 3, softsign: is the change more than noise?", s.improvement as f32;
        "improvement_ema", "EMA of the above", scaled(s.improvement_ema, 1.0);
        "grad_trend", "2 ln(EMA g, half-life 2 / EMA g, half-life 12), softsign", softsign(2.0 * (s.grad_fast / s.grad_slow).ln());
        "grad_first", "ln(g / first g) / 7", scaled((s.m.grad_norm / s.first_grad).ln(), 7.0);
        "param_growth", "ln(x / first x), softsign", softsign((s.m.param_norm / s.first_params).ln());
        "last_action", "-1 halve, 0 accept, 1 grow, of the learning rate", s.last_move as f32;
        "moves_ema", "EMA of the above, half-life 6", scaled(s.moves, 1.0);
        "decay_share", "2 λx² / (λx² + L) - 1", scaled(2.0 * s.decay / (s.decay + s.loss) - 1.0, 1.0);
        "validation_gap", "ln(validation / slow), softsign; 0 where there is no validation loss",
            s.signals.validation.map_or(0.0, |v| softsign((v / s.slow).ln()));
        "budget", "2 t / T - 1; 0 where T is unknown",
            s.signals.total_steps.map_or(0.0, |total| scaled(2.0 * s.t / total as f64 - 1.0, 1.0));
        "doublings_left", "1 - log2(T / t) / 5; -1 where T is unknown",
            s.signals.total_steps.map_or(-1.0, |total| scaled(1.0 - (total as f64 / s.t).log2() / 5.0, 1.0));
        "time", "log2(t + 1) / 8 - 1", scaled((s.t + 1.0).log2() / 8.0 - 1.0, 1.0);
        "loss_rise", "(fast - min of fast) / its standard error / 3, softsign: has the loss really been lower?", loss_rise(s.rise);
        "loss_trend", "(slow - fast) / its standard error / 3, softsign: does the loss really fall?", softsign(s.trend / 3.0);
        "loss_long_trend", "(run - slow) / its standard error / 3, softsign", softsign(s.long_trend / 3.0);
        "epochs_known", "1 where it is known how many steps E an epoch has, else 0",
            if s.signals.steps_per_epoch.is_some() { 1.0 } else { 0.0 };
        "epochs", "log2(t / E) / 8: how often each example has been seen; 0 where E is unknown",
            s.signals.steps_per_epoch.map_or(0.0, |epoch| scaled((s.t.max(1.0) / epoch).log2(), 8.0));
        "epochs_at_end", "log2(T / E) / 8: how often it will have been seen; 0 where T or E is unknown",
            s.signals.steps_per_epoch.zip(s.signals.total_steps).map_or(0.0, |(epoch, total)| scaled((total as f64 / epoch).log2(), 8.0));
        "oscillation", "-5/2 EMA(cos(dx, -g)) u (EMA g, half-life 2) / fast, softsign: in a valley that is crossed to and fro, \
            twice what a cooldown would take off the loss", softsign(-2.5 * s.descent * s.m.update_norm * s.grad_fast / s.fast);
    }

    /// Takes in the signals of one decision and writes the features of [`ScaleFree::NAMES`].
    ///
    /// The standard errors of averages follow from s and the weights of the averages.
    pub fn update(&mut self, signals: &Signals, last_action: Option<Action>, out: &mut [f32]) {
        let seen = self.see(signals, last_action);
        out.copy_from_slice(&Self::values(&seen));
        (self.last_grad, self.last_window, self.last_n) = (signals.measured.grad_norm, seen.loss, seen.n);
    }

    /// Updates what is remembered, and gathers what the features are made of.
    fn see<'a>(&mut self, signals: &'a Signals, last_action: Option<Action>) -> Seen<'a> {
        let (window, m) = (&signals.window, &signals.measured);
        let tiny = tiny(if self.first_loss.is_nan() { window.mean } else { self.first_loss });
        let loss = window.mean.max(tiny);
        let n = f64::from(window.n);
        let rank = self.lowest.rank(loss);
        let change = self.last_window - loss;
        let standard_error = (self.spread.value * (1.0 / n + 1.0 / self.last_n)).sqrt();
        let improvement = f64::from(softsign(change / (standard_error + tiny) / 3.0));
        // Taken in only now: a change is judged by the spread before it.
        self.spread.push(if window.n > 1 { window.std * window.std } else { 0.5 * change * change });
        let variance = self.spread.value / n;
        let [fast, slow, run] =
            [&mut self.fast, &mut self.slow, &mut self.run].map(|average| average.push(loss, variance));
        if fast < self.fast_min {
            (self.fast_min, self.fast_min_variance) = (fast, self.fast.variance);
        } else if self.fast_min_variance.is_nan() {
            // The error of the first average was not known when it became the lowest.
            self.fast_min_variance = self.fast.variance;
        }
        let in_standard_errors = |difference: f64, variance: f64| difference / (variance.sqrt() + tiny);
        self.loss_rise = in_standard_errors(fast - self.fast_min, self.fast.variance + self.fast_min_variance);
        first(&mut self.first_loss, loss);
        first(&mut self.first_grad, m.grad_norm);
        first(&mut self.first_params, m.param_norm);
        if m.update_norm.is_finite() {
            self.travelled += m.update_norm * m.update_norm;
        }
        let last_move = last_action.map_or(0.0, |action| signed(action.lr));
        self.highest_lr = self.highest_lr.max(signals.lr);
        Seen {
            signals,
            m,
            n,
            t: signals.step as f64,
            loss,
            rank,
            fast,
            slow,
            run,
            improvement,
            last_move,
            fast_min: self.fast_min,
            spread: self.spread.value,
            rise: self.loss_rise,
            trend: in_standard_errors(slow - fast, self.slow.variance + self.fast.variance),
            long_trend: in_standard_errors(run - slow, self.run.variance + self.slow.variance),
            decay: signals.weight_decay * m.param_norm * m.param_norm,
            travelled: self.travelled,
            highest_lr: self.highest_lr,
            first_loss: self.first_loss,
            first_grad: self.first_grad,
            first_params: self.first_params,
            last_grad: self.last_grad,
            last_window: self.last_window,
            alignment: self.alignment.push(m.alignment),
            update_cosine: self.update_cosine.push(m.update_cosine),
            descent: self.descent.push(m.descent_cosine),
            improvement_ema: self.improvement.push(improvement),
            grad_fast: self.grad_fast.push(m.grad_norm),
            grad_slow: self.grad_slow.push(m.grad_norm),
            moves: self.moves.push(last_move),
        }
    }
}

/// The feature of a rise of the average loss above its lowest, in standard errors.
pub(in crate::controller) fn loss_rise(rise: f64) -> f32 {
    softsign(rise / 3.0)
}

/// Remembers the first finite value in `slot`.
pub(super) fn first(slot: &mut f64, v: f64) {
    if slot.is_nan() && v.is_finite() {
        *slot = v;
    }
}

/// Move as a number: -1 down, 0 stay, 1 up.
pub(super) fn signed(direction: Move) -> f64 {
    match direction {
        Move::Halve => -1.0,
        Move::Accept => 0.0,
        Move::Grow => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::LossWindow;
    use proptest::prelude::*;

    const N: usize = ScaleFree::NAMES.len();

    fn signals(step: u64, loss: f64, unit: f64) -> Signals {
        let measured = Measured {
            alignment: 0.3,
            descent_cosine: 0.2,
            grad_alignment: 0.1,
            grad_dot: 0.5 * unit * unit,
            grad_norm: unit * (1.0 + 0.1 * (step as f64).sin()),
            grad_snr: 0.6,
            update_norm: 0.01,
            param_norm: 3.0,
            update_cosine: 0.2,
            distance: 0.05,
        };
        let window = LossWindow { n: 1, mean: loss * unit, std: 0.0, recent: loss * unit };
        Signals { step, total_steps: Some(100), window, measured, lr: 0.1, lr_base: 0.2, ..Signals::default() }
    }

    /// What an update writes into the features of these names.
    fn updated<const K: usize>(f: &mut ScaleFree, signals: &Signals, names: [&str; K]) -> [f32; K] {
        let mut x = [0.0; N];
        f.update(signals, None, &mut x);
        names.map(|name| x[ScaleFree::NAMES.iter().position(|&n| n == name).unwrap()])
    }

    #[test]
    fn the_unit_of_the_loss_does_not_matter() {
        for unit in [1000.0, 1e-7, 1e-12, 1e-15, 1e-30] {
            let (mut a, mut b) = (ScaleFree::default(), ScaleFree::default());
            let (mut x, mut y) = ([0.0; N], [0.0; N]);
            for step in 0..40 {
                let loss = 2.0 / (1.0 + step as f64) + 0.1 * (step as f64).cos().abs();
                a.update(&signals(step, loss, 1.0), Some(Action::ACCEPT), &mut x);
                b.update(&signals(step, loss, unit), Some(Action::ACCEPT), &mut y);
                assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 1e-5), "{unit}: {x:?}\n{y:?}");
            }
        }
    }

    #[test]
    fn a_loss_that_is_zero_from_the_start_shows_no_unit_and_a_solved_task_is_solved() {
        assert!([0.0, TINY, f64::NAN, 1.0, SMALL].map(tiny).iter().all(|t| t.to_bits() == TINY.to_bits()));
        let (mut f, mut x) = (ScaleFree::default(), [0.0; N]);
        let at = ScaleFree::NAMES.iter().position(|&name| name == "loss_first").unwrap();
        for step in 0..5 {
            f.update(&signals(step, 0.0, 1.0), None, &mut x);
            assert!(x[at].abs() < 1e-9, "nothing has fallen: {}", x[at]);
        }
    }

    #[test]
    fn rank_follows_equation_4_and_starts_anew_with_a_new_run() {
        let mut f = ScaleFree::default();
        assert_eq!([5.0, 4.0, 4.5, 9.0, 4.0].map(|l| f.lowest.rank(l) as i32), [1, 1, 0, -1, 1]);
        assert_eq!(ScaleFree::default().lowest.rank(100.0) as i32, 1);
    }

    #[test]
    fn a_significant_improvement_is_told_from_noise() {
        let mut f = ScaleFree::default();
        let mut x = [0.0; N];
        for step in 0..30 {
            f.update(&signals(step, 1.0 + 0.1 * (step % 2) as f64, 1.0), None, &mut x);
        }
        let at = ScaleFree::NAMES.iter().position(|&name| name == "improvement").unwrap();
        let noise = x[at].abs();
        f.update(&signals(30, 0.2, 1.0), None, &mut x);
        assert!(x[at] > 0.6 && noise < 0.4, "{} against {noise}", x[at]);
    }

    #[test]
    fn a_loss_that_creeps_up_is_told_from_noise_of_the_same_size() {
        let mut rng = crate::rng::stream(5, "losses");
        let mut rise = |creep: f64| {
            let (mut f, mut x) = (ScaleFree::default(), [0.0; N]);
            for step in 0..60u32 {
                let losses: Vec<f32> = (0..32)
                    .map(|_| (1.0 + creep * f64::from(step) + 0.2 * crate::rng::standard_normal(&mut rng)) as f32)
                    .collect();
                f.update(&Signals { window: LossWindow::of(&losses), ..signals(step.into(), 1.0, 1.0) }, None, &mut x);
            }
            ["loss_rise", "loss_trend"].map(|name| x[ScaleFree::NAMES.iter().position(|&n| n == name).unwrap()])
        };
        let ([noise, level], [up, rising], [_, falling]) = (rise(0.0), rise(0.01), rise(-0.01));
        assert!(noise < 0.7 && up > 0.85, "{noise}, {up}");
        assert!(level.abs() < 0.4 && rising < -0.4 && falling > 0.4, "{level}, {rising}, {falling}");
    }

    #[test]
    fn it_remembers_the_highest_learning_rate_and_the_one_that_was_undone() {
        let mut f = ScaleFree::default();
        let mut seen = |step, lr, lr_ceiling| {
            let now = Signals { lr, lr_ceiling, ..signals(step, 1.0, 1.0) };
            updated(&mut f, &now, ["below_highest", "below_ceiling"])
        };
        for (step, lr) in [(0, 0.1), (1, 1.0)] {
            assert_eq!(seen(step, lr, None).map(f32::to_bits), [0f32, 1.0].map(f32::to_bits));
        }
        let [highest, ceiling] = seen(2, 0.1, Some(1.0));
        assert!((highest - 1.0 / 3.0).abs() < 1e-6 && (ceiling - 0.5).abs() < 1e-6, "{highest}, {ceiling}");
    }

    #[test]
    fn it_knows_how_often_each_example_has_been_seen_where_it_is_told() {
        let mut f = ScaleFree::default();
        let mut seen = |step, steps_per_epoch, total_steps| {
            let now = Signals { steps_per_epoch, total_steps, ..signals(step, 1.0, 1.0) };
            updated(&mut f, &now, ["epochs_known", "epochs", "epochs_at_end"]).map(f32::to_bits)
        };
        // A sixteenth of an epoch, and four in the end; then one example a step, of a full batch.
        assert_eq!(seen(8, Some(128.0), Some(512)), [1.0, -0.5, 0.25].map(f32::to_bits));
        assert_eq!(seen(16, Some(1.0), None), [1.0, 0.5, 0.0].map(f32::to_bits));
        assert_eq!(seen(16, None, Some(512)), [0.0; 3].map(f32::to_bits));
    }

    proptest! {
        #[test]
        fn every_feature_is_defined_whatever_comes(values in prop::collection::vec(prop_oneof![
            Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(0.0), -1e30..1e30f64, -1.0..1.0f64], 42)) {
            let mut f = ScaleFree::default();
            let mut x = [f32::NAN; N];
            for (step, v) in values.chunks_exact(14).enumerate() {
                let measured = Measured { alignment: v[0], descent_cosine: v[1], grad_alignment: v[2], grad_dot: v[3],
                    grad_norm: v[4], grad_snr: v[5], update_norm: v[6], param_norm: v[7], update_cosine: v[12], distance: v[13] };
                let window = LossWindow { n: step as u32, mean: v[8], std: v[9], recent: v[8] };
                let signals = Signals { step: step as u64, total_steps: None, steps_per_epoch: Some(v[13]), window, measured, lr: v[10], lr_base: v[11],
                    lr_ceiling: Some(v[12]), weight_decay: v[10], weight_decay_base: v[11], validation: Some(v[9]), below_floor: false };
                f.update(&signals, None, &mut x);
                prop_assert!(x.iter().all(|v| (-1.0..=1.0).contains(v)), "{x:?}");
            }
        }
    }
}
