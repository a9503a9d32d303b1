//! A cooldown on demand: a run that learns late how many steps it has left.

use crate::limits::{OutOfRange, is_count, within};
use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Smallest factor that a cooldown begins at: one after the other without end must not come to 0. Chosen by us.
const LEAST: f64 = 1e-30;

/// A fall of the learning rate in a straight line, from the factor that was in force when it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Cooldown {
    /// Step that begins it, still with the whole factor.
    pub(super) begin: u64,
    pub(super) n_steps: u64,
    /// Factor in force before: another cooldown may have been under way.
    pub(super) factor: f64,
}

impl Cooldown {
    /// Cooldown over the `n_steps` steps from `begin` on.
    pub(super) fn new(begin: u64, n_steps: u64, factor: f64) -> Result<Self, OutOfRange> {
        let has_steps = n_steps > 0 && begin.checked_add(n_steps).is_some_and(is_count);
        within("n_steps", n_steps as f64, has_steps, "at least 1, and a number of steps that a run can have")?;
        Ok(Self { begin, n_steps, factor: factor.max(LEAST) })
    }

    /// Budget that it makes known.
    pub(super) fn total_steps(&self) -> u64 {
        self.begin + self.n_steps
    }

    /// Factor of the learning rate at `step`, as [`Pace::base_factor`](super::Pace::base_factor) has it: the k-th of
    /// the n steps (k from 0) has `1 - k / n` of the factor before, and a run that goes on keeps that of the last one.
    pub(super) fn factor_at(&self, step: u64) -> f64 {
        let left = self.total_steps().saturating_sub(step).max(1) as f64;
        self.factor * (left / self.n_steps as f64)
    }

    /// Checks that a run at `step` can have it.
    fn check(&self, step: u64) -> Result<(), OutOfRange> {
        within("begin", self.begin as f64, self.begin <= step, "a step that was taken")?;
        within("factor", self.factor, (LEAST..=1.0).contains(&self.factor), "in [1e-30, 1]")?;
        Self::new(self.begin, self.n_steps, self.factor).map(|_| ())
    }
}

/// Learning rate that the policy has made, and the cooldown on demand underneath.
///
/// Saved without a cooldown it is one number, as before there were any; with one the number is negative, and the
/// cooldown follows. So states that were saved before are read, and a run that never asks for one saves the same bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    pub(super) lr: f64,
    pub(super) cooldown: Option<Cooldown>,
}

impl Rate {
    /// Checks the cooldown of a run at `step`.
    pub(super) fn check(&self, step: u64) -> Result<(), OutOfRange> {
        self.cooldown.map_or(Ok(()), |cooldown| cooldown.check(step)).map_err(|error| error.under("cooldown"))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_tuple(1 + usize::from(self.cooldown.is_some()))?;
        parts.serialize_element(&if self.cooldown.is_some() { -self.lr } else { self.lr })?;
        if let Some(cooldown) = &self.cooldown {
            parts.serialize_element(cooldown)?;
        }
        parts.end()
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Rate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a learning rate, and the cooldown of one that is written with a minus")
            }

            /// A format that names its types, before there were cooldowns.
            fn visit_f64<E: Error>(self, lr: f64) -> Result<Rate, E> {
                Ok(Rate { lr, cooldown: None })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Rate, A::Error> {
                let missing = |n| A::Error::invalid_length(n, &self);
                let lr: f64 = parts.next_element()?.ok_or_else(|| missing(0))?;
                if lr.is_sign_positive() {
                    return Ok(Rate { lr, cooldown: None });
                }
                let cooldown = parts.next_element()?.ok_or_else(|| missing(1))?;
                Ok(Rate { lr: -lr, cooldown: Some(cooldown) })
            }
        }
        deserializer.deserialize_tuple(2, Parts)
    }
}
