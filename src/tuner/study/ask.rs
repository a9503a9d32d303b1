//! Asking: which trial comes next, and with which parameters.

use super::history::History;
use super::turn::Attempt;
use super::{ActiveTrial, Inner, Study};
use crate::tuner::distribution::Value;
use crate::tuner::error::TunerError;
use crate::tuner::samplers::Ask;
use crate::tuner::space::Point;
use crate::tuner::storage::{Change, Draft, End};
use crate::tuner::trial::{Assigned, REASON, Trial, TrialKey, TrialState};
use rand::RngExt;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Where Optuna keeps the parameters that were fixed when a trial was enqueued.
const FIXED: &str = "fixed_params";

impl Study {
    /// The next trial. It does not wait: with a lag of q, q trials may run at a time.
    ///
    /// # Errors
    /// [`TunerError::Waits`] when it depends on a trial that is still running, [`TunerError::Silent`] when the worker of
    /// that trial does not answer, [`TunerError::Exhausted`] when the sampler has nothing left, or when the storage does
    /// not answer.
    pub fn ask(&self) -> Result<ActiveTrial<'_>, TunerError> {
        loop {
            match self.attempt(usize::MAX) {
                Ok(Attempt::Trial(trial)) => return Ok(trial),
                Ok(Attempt::Full) => {}
                Err(error) => return Err(self.true_reason(error)?),
            }
        }
    }

    /// Has a trial tried with these parameters, before the sampler is asked again. Active parameters that are missing
    /// are drawn.
    ///
    /// # Errors
    /// When a name or a value is not in the space, or the storage does not answer.
    pub fn enqueue(&self, fixed: &BTreeMap<String, Value>) -> Result<(), TunerError> {
        self.space.partial(fixed)?;
        let system_attrs = BTreeMap::from([(FIXED.to_owned(), json!(fixed))]);
        Ok(self.storage.enqueue(&self.record, &Draft { system_attrs, ..Draft::default() })?)
    }

    /// A waiting trial, or a new one.
    pub(super) fn attempt(&self, limit: usize) -> Result<Attempt<'_>, TunerError> {
        loop {
            let mut inner = self.inner();
            self.reap(&mut inner)?;
            if inner.is_crowded && inner.history.first_waiting().is_none() {
                match self.in_turn(&mut inner, limit)? {
                    Some(attempt) => return Ok(attempt),
                    None => continue,
                }
            }
            self.refresh(&mut inner.history)?;
            if let Some(number) = inner.history.first_waiting() {
                if inner.history.needs_proposal(number, &self.space) {
                    self.check_lag(&inner.history, number)?;
                }
                if let Some(key) = self.storage.claim(&self.record, limit, self.config.heartbeat_s)? {
                    if let Some(trial) = self.claimed(&mut inner, key)? {
                        return Ok(Attempt::Trial(trial));
                    }
                    continue;
                }
            }
            if inner.history.n_not_failed() >= limit {
                return Ok(Attempt::Full);
            }
            if let Some(trial) = self.begun(&mut inner, limit)? {
                return Ok(Attempt::Trial(trial));
            }
            // Somebody else was faster: look again.
            inner.is_crowded = true;
        }
    }

    /// Fails what has fallen silent, once a heartbeat, after our own trials have got theirs.
    fn reap(&self, inner: &mut Inner) -> Result<(), TunerError> {
        let interval = Duration::from_secs_f64(self.config.heartbeat_s);
        if self.storage.outlives_workers() && inner.reaped.is_none_or(|last| last.elapsed() >= interval) {
            if self.heart.is_ready_to_reap()? {
                self.storage.reap(&self.record, self.config.retries)?;
            }
            inner.reaped = Some(Instant::now());
        }
        Ok(())
    }

    /// Whether all trials have ended whose results trial `number` uses.
    pub(super) fn check_lag(&self, history: &History, number: usize) -> Result<(), TunerError> {
        let lag = self.config.lag;
        let boundary = (number + 1).saturating_sub(lag);
        let awaited = history.open.iter().copied().find(|&n| n < boundary && history.trials[n].is_awaited());
        awaited.map_or(Ok(()), |awaited| Err(TunerError::Waits { number, awaited, lag }))
    }

    pub(super) fn propose(&self, inner: &mut Inner, number: usize) -> Option<Point> {
        let boundary = (number + 1).saturating_sub(self.config.lag);
        let Inner { sampler, history, .. } = inner;
        let (settled, pending) = history.split(boundary, number, &self.space);
        let ask = Ask {
            seed: self.config.seed,
            number,
            space: &self.space,
            directions: &self.config.directions,
            settled,
            pending: &pending,
        };
        sampler.propose(&ask)
    }

    /// A new trial. None where somebody else was faster.
    fn begun(&self, inner: &mut Inner, limit: usize) -> Result<Option<ActiveTrial<'_>>, TunerError> {
        let number = inner.history.trials.len();
        let (proposal, draft) = self.drafted(inner, number)?;
        let Some(key) = self.storage.begin(&self.record, number, &draft, limit)? else { return Ok(None) };
        inner.history.put(Trial::begun(&key, draft));
        Ok(Some(self.active(key, &proposal)))
    }

    /// What to try in a trial that was waiting. None where it cannot be tried: then it has failed.
    fn claimed(&self, inner: &mut Inner, key: TrialKey) -> Result<Option<ActiveTrial<'_>>, TunerError> {
        let Some(trial) = self.claimed_trial(inner, &key)? else { return Ok(None) };
        let number = trial.number;
        if let Some(point) = trial.point(&self.space) {
            return Ok(Some(self.active(key, &point)));
        }
        let fixed = match self.fixed(&trial) {
            Ok(fixed) => fixed,
            Err(error) => {
                let system_attrs = BTreeMap::from([(REASON.to_owned(), json!(error.to_string()))]);
                self.storage.change(&self.record, &key, &Change::Finish { end: End::Failed, system_attrs })?;
                return Ok(None);
            }
        };
        let proposal = self.propose(inner, number).unwrap_or_default();
        let mut rng = crate::rng::stream(self.config.seed, &format!("tuner/enqueued/{number}"));
        let point = self.space.fill(|i, parameter| {
            let drawn = parameter.distribution.from_unit(rng.random());
            fixed[i].or(proposal.get(i).copied().flatten()).unwrap_or(drawn)
        });
        let params = Change::Params(self.assigned(&point));
        let is_ours = self.storage.change(&self.record, &key, &params)?;
        inner.history.apply(number, &params);
        Ok(is_ours.then(|| self.active(key, &point)))
    }

    /// A trial that was just claimed.
    fn claimed_trial(&self, inner: &mut Inner, key: &TrialKey) -> Result<Option<Trial>, TunerError> {
        if let Some(number) = inner.history.claim(key) {
            return Ok(inner.history.trials.get(number).cloned());
        }
        // It was enqueued at this very moment.
        self.refresh(&mut inner.history)?;
        Ok(inner.history.trials.get(key.number).filter(|trial| trial.id == key.id).cloned())
    }

    /// What was fixed when a trial was enqueued, here or by Optuna.
    fn fixed(&self, trial: &Trial) -> Result<Point, TunerError> {
        let mut fixed = trial.values_of_params();
        if let Some(Ok(noted)) = trial.system_attrs.get(FIXED).map(|json| serde_json::from_value(json.clone())) {
            let noted: BTreeMap<String, Value> = noted;
            fixed.extend(noted);
        }
        Ok(self.space.partial(&fixed)?)
    }

    pub(super) fn assigned(&self, point: &[Option<f64>]) -> BTreeMap<String, Assigned> {
        let active = self.space.parameters().iter().zip(point).filter_map(|(p, value)| Some((p, (*value)?)));
        active.map(|(p, inner)| (p.name.clone(), Assigned { distribution: p.distribution.clone(), inner })).collect()
    }

    pub(super) fn active(&self, key: TrialKey, point: &[Option<f64>]) -> ActiveTrial<'_> {
        self.heart.add(key.clone());
        ActiveTrial { study: self, key, params: self.space.values(point) }
    }
}

impl Trial {
    /// A trial as it is when it begins.
    pub(super) fn begun(key: &TrialKey, draft: Draft) -> Self {
        Self {
            id: key.id,
            number: key.number,
            state: TrialState::Running,
            params: draft.params,
            values: Vec::new(),
            intermediate: BTreeMap::new(),
            user_attrs: draft.user_attrs,
            system_attrs: draft.system_attrs,
            started: key.started.clone(),
            completed: None,
            is_watched: true,
        }
    }
}
