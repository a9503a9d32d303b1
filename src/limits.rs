//! Values outside their range: one error for all configurations.

/// A value outside its range.
///
/// ```
/// use qgd::limits::{OutOfRange, within};
///
/// let error: OutOfRange = within("gamma", 1.5, false, "in [0, 1]").unwrap_err();
/// assert_eq!(error.under("agent").to_string(), "agent.gamma is 1.5, but must be in [0, 1]");
/// ```
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{key} is {value}, but must be {allowed}")]
pub struct OutOfRange {
    /// Path of the key, with dots between its parts.
    pub key: String,
    /// Value that was given.
    pub value: f64,
    /// Values that are possible, in words.
    pub allowed: &'static str,
}

impl OutOfRange {
    /// The same error with `table.` before the key.
    #[must_use]
    pub fn under(self, table: &str) -> Self {
        Self { key: format!("{table}.{}", self.key), ..self }
    }
}

/// Checks one value: an error that names `key`, `value` and what is `allowed`, unless it `fits`.
///
/// # Errors
/// When it does not fit.
pub fn within(key: &str, value: f64, fits: bool, allowed: &'static str) -> Result<(), OutOfRange> {
    if fits { Ok(()) } else { Err(OutOfRange { key: key.to_owned(), value, allowed }) }
}

/// Largest number of steps, decisions or batches that a saved state is believed to have counted: 2^53, as many as a `f64`
/// holds exactly.
const LARGEST_COUNT: u64 = 1 << 53;

/// Whether a run can have counted so far. Counters that are read from a file must, so that they can go on counting.
pub(crate) fn is_count(n: u64) -> bool {
    n <= LARGEST_COUNT
}
/// Learning rates, weight decays and penalties that are possible, other than 0: well inside of what single precision
/// holds, so that what an optimizer makes of them stays in it too. Chosen by us.
pub const RATES: std::ops::RangeInclusive<f64> = 1e-30..=1e30;

/// Whether `v` is positive and finite.
pub(crate) fn is_positive(v: f64) -> bool {
    v > 0.0 && v.is_finite()
}
