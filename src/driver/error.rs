//! What a driver refuses.

use crate::limits::OutOfRange;
use crate::policy::PolicyStateError;

/// Error: a driver was asked for something impossible.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// A start value or a field of the configuration is outside its range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// The policy was made for a line search.
    #[error(
        "this policy was trained for a line search, which retries every step on the same batch: run it with driver::LineSearch \
         (for tch: torch::QLineSearch) instead of a Driver or QController"
    )]
    LineSearch,
    /// A saved state of a driver with other rules.
    #[error("the saved state was made {saved} a guard, and this driver was made otherwise")]
    Guard {
        /// `with` or `without`.
        saved: &'static str,
    },
    /// A saved state of a driver whose guard had other settings.
    #[error("the saved state was made under a guard with other settings than this driver's")]
    GuardConfig,
    /// A saved state that no run can have left.
    #[error("the saved state is damaged: it holds numbers that no run can have left there")]
    Damaged,
    /// The saved state of the policy does not fit.
    #[error(transparent)]
    PolicyState(#[from] PolicyStateError),
}
