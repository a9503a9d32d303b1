//! Every decision written down: step, features, Q-values, action, learning rate, weight decay, reason.

use crate::policy::{Action, Reason};
use serde::Serialize;
#[cfg(feature = "json")]
use std::io::{self, Write};

/// One line of a trace.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TraceRecord<'a> {
    /// Inner steps applied before this decision.
    pub step: u64,
    /// Mean loss of the decision window (null where it is not finite).
    pub loss: f64,
    /// The learning rate that holds from here on.
    pub lr: f64,
    /// The weight decay that holds from here on.
    pub weight_decay: f64,
    /// What was done, where it was one of the controller's actions.
    pub action: Option<Action>,
    /// Who decided, and why.
    pub reason: Reason,
    /// What the Q-network saw; empty for schedules and for the guard.
    pub features: &'a [f32],
    /// What it answered, one number an action.
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
