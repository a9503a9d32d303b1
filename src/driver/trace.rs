//! Trace: every decision written down, with step, features, Q-values, action, learning rate, weight decay and reason.

use crate::policy::{Action, Reason};
use serde::Serialize;
#[cfg(feature = "json")]
use std::io::{self, Write};

/// Record of one decision: a line of a trace.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TraceRecord<'a> {
    /// Number of inner steps before this decision, those that were skipped or undone included.
    pub step: u64,
    /// Mean of the losses since the last decision (null in JSON where it is not finite).
    pub loss: f64,
    /// Learning rate from here on.
    pub lr: f64,
    /// Weight decay from here on.
    pub weight_decay: f64,
    /// Action that was taken; none for a schedule and for a second look at a loss. A restart stands here as *accept*.
    pub action: Option<Action>,
    /// Reason: who decided, and why.
    pub reason: Reason,
    /// Features that the Q-network saw; empty for schedules and for the guard.
    pub features: &'a [f32],
    /// Q-values that it answered with, one for each action; empty for schedules and for the guard.
    pub q_values: &'a [f32],
}

#[cfg(feature = "json")]
impl TraceRecord<'_> {
    /// Writes the record as one JSON line. Non-finite numbers become null.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write_json_line(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.write_all(b"\n")
    }
}
