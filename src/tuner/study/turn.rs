//! Turns: where many workers ask a storage for trials at the same time, they get them one after the other.
//!
//! A proposal depends on the parameters of all trials before it, so there is no making two at a time. A worker that goes
//! on by itself reads, proposes and begins its trial; where another one was faster the proposal is lost, and with n
//! workers that is the fate of nearly all of them. A worker that has lost one waits for its turn from then on: the
//! storage lets nobody else begin a trial between its reading and its begin.

use super::{ActiveTrial, Inner, Study};
use crate::tuner::error::TunerError;
use crate::tuner::storage::{Draft, Prepare};
use crate::tuner::trial::Trial;

/// How an attempt to get a trial went.
pub(super) enum Attempt<'s> {
    Trial(ActiveTrial<'s>),
    /// The study has as many trials as it should.
    Full,
}

impl Study {
    /// Waits for a turn, and uses it for the next trial. None where a trial waits to be claimed, or the study has changed:
    /// then it is to be looked at again.
    pub(super) fn in_turn(&self, inner: &mut Inner, limit: usize) -> Result<Option<Attempt<'_>>, TunerError> {
        let seen = inner.history.seen();
        let (mut is_full, mut stopped, mut begun) = (false, None, None);
        let mut prepare = |read: Vec<Trial>| {
            inner.history.update(read);
            is_full = inner.history.first_waiting().is_none() && inner.history.n_not_failed() >= limit;
            (stopped, begun) = (None, None);
            if is_full || inner.history.first_waiting().is_some() {
                return None;
            }
            let number = inner.history.trials.len();
            let (point, draft) = self.drafted(inner, number).map_err(|error| stopped = Some(error)).ok()?;
            begun = Some((point, draft.clone()));
            Some((number, draft))
        };
        let key = self.storage.begin_in_turn(&self.record, &seen, limit, &mut prepare as &mut Prepare<'_>)?;
        match (key, begun, stopped) {
            (Some(key), Some((point, draft)), _) => {
                inner.history.put(Trial::begun(&key, draft));
                Ok(Some(Attempt::Trial(self.active(key, &point))))
            }
            (_, _, Some(error)) => Err(error),
            _ if is_full => Ok(Some(Attempt::Full)),
            _ => Ok(None),
        }
    }

    /// The parameters of trial `number`, and the trial as it is to be begun.
    pub(super) fn drafted(&self, inner: &mut Inner, number: usize) -> Result<(Vec<Option<f64>>, Draft), TunerError> {
        self.check_lag(&inner.history, number)?;
        let proposal = self.propose(inner, number).ok_or(TunerError::Exhausted { n_trials: number })?;
        let heartbeat_s = Some(self.config.heartbeat_s);
        let draft = Draft { params: self.assigned(&proposal), heartbeat_s, ..Draft::default() };
        Ok((proposal, draft))
    }
}
