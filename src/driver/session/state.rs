//! State of a session: everything that its run needs to go on bit-identically.

use super::kept::{Kept, name};
use super::{Session, SessionError, check_length, check_moments};
use crate::artifact::exact;
use crate::driver::DriverState;
use crate::policy::Measure;
use serde::{Deserialize, Serialize};

/// State of a session, with the parameters and moments of the run.
///
/// With serde it comes back to the bit from every format: in formats of text, such as JSON, it is one text of
/// hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionState(#[serde(with = "exact")] pub(super) Saved);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) driver: DriverState,
    pub(super) measure: Measure,
    pub(super) sizes: Vec<usize>,
    pub(super) now: Kept,
    pub(super) kept: Option<Kept>,
    pub(super) first: Option<Kept>,
    pub(super) untouched: Option<Kept>,
}

impl Session {
    /// State of the run after the last step: that of the session, and the parameters and moments as they are now.
    ///
    /// # Errors
    /// When they are not as many, or not as long, as at the first step.
    pub fn state(&self, params: &[f32], moments: &[&[f32]]) -> Result<SessionState, SessionError> {
        if let [n_params, rest @ ..] = self.sizes.as_slice() {
            check_length(name(0), *n_params, params.len())?;
            check_moments(rest, moments)?;
        }
        Ok(SessionState(Saved {
            driver: self.driver.state(),
            measure: self.measure.clone(),
            sizes: self.sizes.clone(),
            now: Kept::of(params, moments),
            kept: self.kept.clone(),
            first: self.first.clone(),
            untouched: self.untouched.clone(),
        }))
    }

    /// Goes back to a saved state, and writes its parameters and moments into `params` and `moments`. A session that was
    /// made by the same calls then goes on bit-identically.
    ///
    /// # Errors
    /// When the state is of another policy or guard, is damaged, or has slices of other lengths. Nothing has been
    /// changed then.
    pub fn load_state(
        &mut self,
        state: SessionState,
        params: &mut [f32],
        moments: &mut [&mut [f32]],
    ) -> Result<(), SessionError> {
        let SessionState(saved) = state;
        let sizes = saved.now.sizes();
        let [n_params, rest @ ..] = sizes.as_slice() else { return Err(SessionError::State) };
        check_length(name(0), *n_params, params.len())?;
        check_moments(rest, moments)?;
        if !saved.fits(&sizes, self.driver.is_guarded()) {
            return Err(SessionError::State);
        }
        self.driver.load_state(saved.driver)?;
        saved.now.restore(params, moments);
        (self.measure, self.sizes) = (saved.measure, saved.sizes);
        (self.kept, self.first, self.untouched) = (saved.kept, saved.first, saved.untouched);
        Ok(())
    }
}

impl Saved {
    /// Whether all parts belong to a run with slices of these sizes.
    fn fits(&self, sizes: &[usize], is_guarded: bool) -> bool {
        let began = !self.sizes.is_empty();
        let alike = |kept: &Option<Kept>| kept.as_ref().is_none_or(|kept| kept.sizes() == sizes);
        (!began || self.sizes == sizes)
            && [&self.kept, &self.first, &self.untouched].into_iter().all(alike)
            && self.measure.fits(sizes[0])
            && (self.kept.is_some() == (began && is_guarded))
            && [&self.kept, &self.first].into_iter().flatten().all(|kept| kept.not_finite().is_none())
    }
}
