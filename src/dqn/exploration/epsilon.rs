//! Schedules of the exploration rate ε.

use crate::limits::{OutOfRange, is_positive, within};
use serde::{Deserialize, Serialize};

/// A schedule of the exploration rate ε.
///
/// ```text
/// constant      ε
/// linear        first + (last - first) min(t / over, 1)                        Hu, Zhang and Shi, section 4.2
/// exponential   last + (first - last) exp(-rate t)
/// sigmoid       last + (first - last) / (1 + exp(steepness (t - midpoint)))
/// dynamic       min + (max - min) exp(-k t),   k = k0 ± λ Var(Q(s, ·)) ≥ 0     Vashishtha 2025, section 3.3
/// ```
///
/// The unit of t is the owner's: training episodes in both papers, rounds in meta-training, trials in the tuner.
///
/// In a recipe: `epsilon.linear = { first = 1.0, last = 0.1, over = 50.0 }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EpsilonSchedule {
    /// The same at all times, in [0, 1].
    Constant(f64),
    /// A straight line, then constant.
    Linear {
        /// ε at t = 0, in [0, 1].
        first: f64,
        /// ε from t = `over` on, in [0, 1].
        last: f64,
        /// Duration of the fall, in (0, ∞).
        over: f64,
    },
    /// Exponential decay.
    Exponential {
        /// ε at t = 0, in [0, 1].
        first: f64,
        /// The limit, in [0, 1].
        last: f64,
        /// Decay per unit of t, in [0, ∞).
        rate: f64,
    },
    /// High for a while, then low.
    Sigmoid {
        /// The limit for small t, in [0, 1].
        first: f64,
        /// The limit for large t, in [0, 1].
        last: f64,
        /// Time at which ε is halfway, finite.
        midpoint: f64,
        /// Steepness of the fall at the midpoint, in (0, ∞).
        steepness: f64,
    },
    /// A decay rate that follows the spread of the Q-values.
    Dynamic(DynamicEpsilon),
}

impl Default for EpsilonSchedule {
    /// From 1 to 0.1 over the first 50 episodes, the setting of Hu, Zhang and Shi (section 4.2).
    fn default() -> Self {
        Self::Linear { first: 1.0, last: 0.1, over: 50.0 }
    }
}

/// Vashishtha's exploration rate, whose decay rate depends on the variance of the Q-values of the current state.
///
/// The paper contradicts itself twice, so both readings are there:
///
/// - *Sign.* The text says that a high variance makes ε fall more slowly (the agent "is still uncertain"); the printed
///   `k = k0 + λ Variance(Q(s, :))` makes it fall faster. The default follows the text: `k = k0 - λ Var`, held at 0 or
///   above, so that ε never rises over `max`.
/// - *Shape.* The text calls it "a sigmoid function", the formula is an exponential. The default follows the formula; the
///   sigmoid is `min + (max - min) 2 / (1 + exp(k t))`, which starts at `max` too and falls at half the rate at first.
///
/// `Var` is the population variance over the actions. Where it is not finite, k = k0.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `max`, `min` | 1, 0.01 | ε at t = 0, and its limit | 0 ≤ min ≤ max ≤ 1 |
/// | `rate` | 0.05 | k0, the base decay rate | [0, ∞) |
/// | `variance_scale` | 0.05 | λ, in units of the rate over those of the squared Q-values | [0, ∞) |
/// | `variance` | slows | the sign of λ: `slows` (the text) or `speeds` (the formula) | |
/// | `shape` | exponential | `exponential` (the formula) or `sigmoid` (the text) | |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the table has a row for each field")]
pub struct DynamicEpsilon {
    pub max: f64,
    pub min: f64,
    pub rate: f64,
    pub variance_scale: f64,
    pub variance: VarianceEffect,
    pub shape: DecayShape,
}

impl Default for DynamicEpsilon {
    fn default() -> Self {
        Self {
            max: 1.0,
            min: 0.01,
            rate: 0.05,
            variance_scale: 0.05,
            variance: VarianceEffect::Slows,
            shape: DecayShape::Exponential,
        }
    }
}

/// Effect of a high variance of the Q-values on the decay of ε.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VarianceEffect {
    /// Slower decay: the agent is still uncertain (the text of the paper).
    Slows,
    /// Faster decay (the printed formula).
    Speeds,
}

/// The curve along which a dynamic ε falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecayShape {
    /// exp(-k t), as printed.
    Exponential,
    /// 2 / (1 + exp(k t)), as the text calls it.
    Sigmoid,
}

impl DynamicEpsilon {
    /// k = k0 ± λ Var, at least 0.
    pub fn decay_rate(&self, q_values: &[f32]) -> f64 {
        let variance = variance(q_values);
        if !variance.is_finite() {
            return self.rate;
        }
        let change = self.variance_scale * variance;
        match self.variance {
            VarianceEffect::Slows => (self.rate - change).max(0.0),
            VarianceEffect::Speeds => self.rate + change,
        }
    }

    fn epsilon(&self, t: f64, q_values: &[f32]) -> f64 {
        let kt = self.decay_rate(q_values) * t;
        let share = match self.shape {
            DecayShape::Exponential => (-kt).exp(),
            DecayShape::Sigmoid => 2.0 / (1.0 + kt.exp()),
        };
        self.min + (self.max - self.min) * share
    }
}

impl EpsilonSchedule {
    /// The exploration rate at time `t ≥ 0` in a state with these Q-values, in [0, 1].
    ///
    /// ```
    /// use qgd::dqn::EpsilonSchedule;
    /// let schedule = EpsilonSchedule::Linear { first: 1.0, last: 0.1, over: 50.0 };
    /// assert!((schedule.epsilon(25.0, &[]) - 0.55).abs() < 1e-12);
    /// ```
    pub fn epsilon(&self, t: f64, q_values: &[f32]) -> f64 {
        let between = |first: f64, last: f64, share: f64| last + (first - last) * share;
        let epsilon = match *self {
            Self::Constant(epsilon) => epsilon,
            Self::Linear { first, last, over } => between(first, last, 1.0 - (t / over).min(1.0)),
            Self::Exponential { first, last, rate } => between(first, last, (-rate * t).exp()),
            Self::Sigmoid { first, last, midpoint, steepness } => {
                between(first, last, 1.0 / (1.0 + (steepness * (t - midpoint)).exp()))
            }
            Self::Dynamic(dynamic) => dynamic.epsilon(t, q_values),
        };
        epsilon.clamp(0.0, 1.0)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let share = |key, v: f64| within(key, v, (0.0..=1.0).contains(&v), "in [0, 1]");
        let at_least_0 = |key, v: f64| within(key, v, v >= 0.0 && v.is_finite(), "a finite number of at least 0");
        let above_0 = |key, v| within(key, v, is_positive(v), "a finite number above 0");
        match *self {
            Self::Constant(v) => share("constant", v),
            Self::Linear { first, last, over } => {
                share("linear.first", first)?;
                share("linear.last", last)?;
                above_0("linear.over", over)
            }
            Self::Exponential { first, last, rate } => {
                share("exponential.first", first)?;
                share("exponential.last", last)?;
                at_least_0("exponential.rate", rate)
            }
            Self::Sigmoid { first, last, midpoint, steepness } => {
                share("sigmoid.first", first)?;
                share("sigmoid.last", last)?;
                within("sigmoid.midpoint", midpoint, midpoint.is_finite(), "finite")?;
                above_0("sigmoid.steepness", steepness)
            }
            Self::Dynamic(d) => {
                share("dynamic.max", d.max)?;
                within("dynamic.min", d.min, 0.0 <= d.min && d.min <= d.max, "in [0, max]")?;
                at_least_0("dynamic.rate", d.rate)?;
                at_least_0("dynamic.variance_scale", d.variance_scale)
            }
        }
    }
}

/// Population variance over the actions.
fn variance(q_values: &[f32]) -> f64 {
    let n = q_values.len() as f64;
    let mean = q_values.iter().map(|&q| f64::from(q)).sum::<f64>() / n;
    q_values.iter().map(|&q| (f64::from(q) - mean).powi(2)).sum::<f64>() / n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} against {b}");
    }

    #[test]
    fn each_schedule_follows_its_formula() {
        let linear = EpsilonSchedule::Linear { first: 1.0, last: 0.1, over: 50.0 };
        close(linear.epsilon(0.0, &[]), 1.0);
        close(linear.epsilon(10.0, &[]), 0.82);
        close(linear.epsilon(50.0, &[]), 0.1);
        close(linear.epsilon(1e9, &[]), 0.1);
        let exponential = EpsilonSchedule::Exponential { first: 0.9, last: 0.1, rate: 0.5 };
        close(exponential.epsilon(0.0, &[]), 0.9);
        close(exponential.epsilon(3.0, &[]), 0.1 + 0.8 * (-1.5f64).exp());
        let sigmoid = EpsilonSchedule::Sigmoid { first: 1.0, last: 0.0, midpoint: 20.0, steepness: 0.3 };
        close(sigmoid.epsilon(20.0, &[]), 0.5);
        close(sigmoid.epsilon(10.0, &[]), 1.0 / (1.0 + (-3.0f64).exp()));
        close(sigmoid.epsilon(10.0, &[]) + sigmoid.epsilon(30.0, &[]), 1.0);
        assert!(sigmoid.epsilon(1e6, &[]) < 1e-12);
        close(EpsilonSchedule::Constant(0.2).epsilon(99.0, &[]), 0.2);
    }

    #[test]
    fn the_dynamic_rate_is_the_printed_formula_with_either_sign() {
        // Var([1, 2, 3]) = 2/3.
        let q = [1.0, 2.0, 3.0];
        let speeds = DynamicEpsilon { variance: VarianceEffect::Speeds, ..DynamicEpsilon::default() };
        close(speeds.decay_rate(&q), 0.05 + 0.05 * 2.0 / 3.0);
        close(DynamicEpsilon::default().decay_rate(&q), 0.05 - 0.05 * 2.0 / 3.0);
        let k = 0.05 + 0.05 * 2.0 / 3.0;
        close(EpsilonSchedule::Dynamic(speeds).epsilon(7.0, &q), 0.01 + 0.99 * (-k * 7.0f64).exp());
        let sigmoid = DynamicEpsilon { shape: DecayShape::Sigmoid, ..speeds };
        close(EpsilonSchedule::Dynamic(sigmoid).epsilon(7.0, &q), 0.01 + 0.99 * 2.0 / (1.0 + (k * 7.0f64).exp()));
        close(EpsilonSchedule::Dynamic(sigmoid).epsilon(0.0, &q), 1.0);
    }

    #[test]
    fn a_high_variance_slows_the_decay_in_the_text_and_speeds_it_in_the_formula() {
        let (sure, unsure) = ([0.1, 0.1, 0.1], [-0.5, 0.1, 0.8]);
        let text = EpsilonSchedule::Dynamic(DynamicEpsilon::default());
        let formula =
            EpsilonSchedule::Dynamic(DynamicEpsilon { variance: VarianceEffect::Speeds, ..DynamicEpsilon::default() });
        assert!(text.epsilon(10.0, &unsure) > text.epsilon(10.0, &sure));
        assert!(formula.epsilon(10.0, &unsure) < formula.epsilon(10.0, &sure));
        close(text.epsilon(10.0, &sure), formula.epsilon(10.0, &sure));
    }

    #[test]
    fn no_q_values_drive_epsilon_out_of_its_range() {
        let dynamic = EpsilonSchedule::Dynamic(DynamicEpsilon::default());
        // A variance large enough to turn the rate negative holds ε at its maximum.
        close(dynamic.epsilon(100.0, &[-1e3, 1e3]), 1.0);
        for q in [&[f32::NAN, 1.0][..], &[f32::INFINITY, 1.0], &[]] {
            close(dynamic.epsilon(10.0, q), 0.01 + 0.99 * (-0.5f64).exp());
        }
        let speeds = DynamicEpsilon { variance: VarianceEffect::Speeds, ..DynamicEpsilon::default() };
        close(EpsilonSchedule::Dynamic(speeds).epsilon(1e6, &[f32::MAX, f32::MIN]), 0.01);
    }

    #[test]
    fn every_edge_of_the_ranges_is_checked() {
        let dynamic = DynamicEpsilon::default();
        let bad = [
            (EpsilonSchedule::Constant(1.1), "constant"),
            (EpsilonSchedule::Constant(f64::NAN), "constant"),
            (EpsilonSchedule::Linear { first: -0.1, last: 0.0, over: 1.0 }, "linear.first"),
            (EpsilonSchedule::Linear { first: 1.0, last: 2.0, over: 1.0 }, "linear.last"),
            (EpsilonSchedule::Linear { first: 1.0, last: 0.0, over: 0.0 }, "linear.over"),
            (EpsilonSchedule::Exponential { first: 1.0, last: 0.0, rate: -1.0 }, "exponential.rate"),
            (
                EpsilonSchedule::Sigmoid { first: 1.0, last: 0.0, midpoint: f64::NAN, steepness: 1.0 },
                "sigmoid.midpoint",
            ),
            (EpsilonSchedule::Sigmoid { first: 1.0, last: 0.0, midpoint: 1.0, steepness: 0.0 }, "sigmoid.steepness"),
            (EpsilonSchedule::Dynamic(DynamicEpsilon { max: 1.5, ..dynamic }), "dynamic.max"),
            (EpsilonSchedule::Dynamic(DynamicEpsilon { min: 0.6, max: 0.5, ..dynamic }), "dynamic.min"),
            (EpsilonSchedule::Dynamic(DynamicEpsilon { rate: f64::INFINITY, ..dynamic }), "dynamic.rate"),
            (EpsilonSchedule::Dynamic(DynamicEpsilon { variance_scale: -0.1, ..dynamic }), "dynamic.variance_scale"),
        ];
        for (schedule, field) in bad {
            assert_eq!(schedule.check().unwrap_err().key, field, "{schedule:?}");
        }
        assert_eq!(EpsilonSchedule::default().check(), Ok(()));
        assert_eq!(EpsilonSchedule::Dynamic(dynamic).check(), Ok(()));
    }
}
