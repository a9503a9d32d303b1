//! A study: hands out trials, takes back what came of them.

mod active;
mod heart;
mod history;
mod optimize;
mod outcome;
mod settings;

pub use active::ActiveTrial;
pub use optimize::Optimize;
pub use outcome::Outcome;
pub use settings::StudyConfig;

use super::distribution::Value;
use super::error::TunerError;
use super::pruners::{self, Judging, Pruner};
use super::samplers::{self, Ask, Sampler, Setting};
use super::screening::Screened;
use super::space::{Point, Space};
use super::storage::{Change, Draft, Memory, Reaping, Storage, StudyRecord};
use super::trial::{Assigned, CONSTRAINTS, REASON, Trial, TrialState};
use heart::Heart;
use history::History;
use rand::RngExt;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where Optuna keeps the parameters that were fixed when a trial was enqueued.
const FIXED: &str = "fixed_params";

/// What the trials of a study evaluate, among its system attributes.
const OBJECTIVE: &str = "qgd:objective";

/// Hands out trials and takes back what came of them. All methods take `&self`: threads share one study.
///
/// ```
/// use qgd::tuner::{Distribution, Outcome, Parameter, Space, Study, StudyConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let space = Space::new([Parameter::new("x", Distribution::float(-10.0, 10.0))])?;
/// let study = Study::in_memory(space, StudyConfig::default())?;
/// for _ in 0..20 {
///     let trial = study.ask()?;
///     let x = trial.float("x")?;
///     study.tell(trial.number(), (x - 2.0).powi(2))?;
/// }
/// assert_eq!(study.trials()?.len(), 20);
/// assert!(study.best()?.is_some_and(|best| best.values[0] < 25.0));
/// # Ok(()) }
/// ```
///
/// # The same trials for any number of workers
///
/// A study has a lag q. Trial n depends on nothing but the seed, its number n, the results of trials 0 ... n - q, and the parameters (not
/// the results) of those between: a worker that comes early waits. So up to q workers try the very same trials as one, on any storage.
/// With q = 1 each trial uses every result, and trials come one after the other. Outside this promise are pruning by what other running
/// trials report, timeouts, trials that were added while the study ran, and those tried again after their worker died.
pub struct Study {
    pub(super) storage: Arc<dyn Storage>,
    record: StudyRecord,
    space: Space,
    config: StudyConfig,
    inner: Mutex<Inner>,
    pruner: Mutex<Box<dyn Pruner>>,
    /// Where workers may die without the storage dying with them.
    heart: Option<Heart>,
    stopped: AtomicBool,
}

impl std::fmt::Debug for Study {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Study").field("record", &self.record).field("config", &self.config).finish_non_exhaustive()
    }
}

/// What is known of the trials, and who proposes the next.
struct Inner {
    sampler: Box<dyn Sampler>,
    history: History,
    reaped: Option<Instant>,
}

/// How an attempt to get a trial went.
enum Attempt<'s> {
    Trial(ActiveTrial<'s>),
    /// The study has as many trials as it should.
    Full,
}

impl Study {
    /// A new study that is gone when the program ends.
    ///
    /// # Errors
    /// When a setting is out of its range, or names a sampler or pruner that is not there or not made for this.
    pub fn in_memory(space: Space, config: StudyConfig) -> Result<Self, TunerError> {
        Self::create_or_open(Arc::new(Memory::new()), space, config)
    }

    /// The study of that name in `storage`, continued where there is one.
    ///
    /// # Errors
    /// As [`Study::in_memory`]; and when the study is there with another space or other settings, or the storage does not answer.
    pub fn create_or_open(storage: Arc<dyn Storage>, space: Space, config: StudyConfig) -> Result<Self, TunerError> {
        config.check()?;
        let setting = Setting { space: &space, directions: &config.directions };
        let (mut sampler, pruner) =
            (samplers::build(&config.sampler, &setting)?, pruners::build(&config.pruner, &setting)?);
        if let Some(screen) = config.screen {
            sampler = Box::new(Screened::new(screen, &config.sampler, sampler));
        }
        let notes = config.notes(&space);
        storage.create(&config.name, &config.directions, &notes)?;
        let record = settings::record(&*storage, &config.name)?;
        match settings::read(&record)? {
            Some((stored_space, stored)) => config.must_continue(&space, &stored_space, &stored)?,
            None => {
                config.must_have_directions(&record.directions)?;
                storage.note(record.id, &notes)?;
            }
        }
        let inner = Inner { sampler, history: History::default(), reaped: None };
        let interval = Duration::from_secs_f64(config.heartbeat_s);
        let heart = storage.outlives_workers().then(|| Heart::start(storage.clone(), interval));
        let study = Self {
            storage,
            heart,
            record,
            space,
            config,
            inner: Mutex::new(inner),
            pruner: Mutex::new(pruner),
            stopped: AtomicBool::new(false),
        };
        study.must_agree_with_trials()?;
        Ok(study)
    }

    /// Continues a study with the space and the settings that it was made with.
    ///
    /// # Errors
    /// When there is none of that name, or it was not made by qgd, or the storage does not answer.
    pub fn open(storage: Arc<dyn Storage>, name: &str) -> Result<Self, TunerError> {
        let record = settings::record(&*storage, name)?;
        let (space, config) = settings::read(&record)?.ok_or_else(|| TunerError::NoSettings { name: name.into() })?;
        Self::create_or_open(storage, space, config)
    }

    /// The same study with a sampler of your own; the study notes no name for it, so every worker must bring it along. It is
    /// asked from the first trial to the last: [`StudyConfig::screen`] is for named samplers.
    #[must_use]
    pub fn with_sampler(self, sampler: Box<dyn Sampler>) -> Self {
        self.inner().sampler = sampler;
        self
    }

    /// The same study with a pruner of your own.
    #[must_use]
    pub fn with_pruner(self, pruner: Box<dyn Pruner>) -> Self {
        *self.pruner.lock().unwrap_or_else(PoisonError::into_inner) = pruner;
        self
    }

    /// What is searched.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Notes in the study what its trials evaluate, so that nobody continues it with something else.
    ///
    /// # Errors
    /// When something else is noted there, or the storage does not answer.
    pub fn must_try(&self, objective: &str) -> Result<(), TunerError> {
        let Some(stored) = self.record.system_attrs.get(OBJECTIVE) else {
            let notes = BTreeMap::from([(OBJECTIVE.to_owned(), objective.into())]);
            return Ok(self.storage.note(self.record.id, &notes)?);
        };
        if stored == objective {
            return Ok(());
        }
        let (study, stored) = (self.record.name.clone(), stored.as_str().unwrap_or_default().to_owned());
        Err(TunerError::OtherStudy { study, key: "objective", stored, given: objective.into() })
    }

    /// How the study was set up.
    pub fn config(&self) -> &StudyConfig {
        &self.config
    }

    /// The next trial. It does not wait: with a lag of q, q trials may run at a time.
    ///
    /// # Errors
    /// [`TunerError::Waits`] when it depends on a trial that is still running, [`TunerError::Exhausted`] when the sampler has nothing
    /// left, or when the storage does not answer.
    pub fn ask(&self) -> Result<ActiveTrial<'_>, TunerError> {
        loop {
            if let Attempt::Trial(trial) = self.attempt(usize::MAX)? {
                return Ok(trial);
            }
        }
    }

    /// Says how a trial went.
    ///
    /// # Errors
    /// When it is not running, when the number of values is not that of the objectives, or when the storage does not answer.
    pub fn tell(&self, number: usize, outcome: impl Into<Outcome>) -> Result<(), TunerError> {
        let outcome = self.checked(number, outcome.into())?;
        let trial = self.trial(number)?;
        let values = match outcome.state {
            TrialState::Pruned => trial.last_report().map(|report| report.1).filter(|value| !value.is_nan()),
            _ => None,
        };
        let values = values.map_or(outcome.values, |value| vec![value]);
        let mut system_attrs: BTreeMap<String, Json> = BTreeMap::new();
        if !outcome.constraints.is_empty() {
            system_attrs.insert(CONSTRAINTS.into(), json!(outcome.constraints));
        }
        system_attrs.extend(outcome.reason.map(|reason| (REASON.into(), reason.into())));
        self.change(trial.id, number, &Change::Finish { state: outcome.state, values, system_attrs })
    }

    fn checked(&self, number: usize, outcome: Outcome) -> Result<Outcome, TunerError> {
        let (found, expected) = (outcome.values.len(), self.config.directions.len());
        if outcome.state != TrialState::Complete {
            return Ok(outcome);
        }
        if found != expected {
            return Err(TunerError::WrongNumberOfValues { number, found, expected });
        }
        let is_nan = outcome.values.iter().any(|value| value.is_nan());
        Ok(if is_nan { Outcome::failed("the objective is NaN") } else { outcome })
    }

    /// An intermediate value of a running trial: what pruners look at. A second one of the same `step` replaces the first.
    ///
    /// # Errors
    /// When the trial is not running, or the storage does not answer.
    pub fn report(&self, number: usize, step: i64, value: f64) -> Result<(), TunerError> {
        self.change(self.id(number)?, number, &Change::Report { step, value })
    }

    /// Whether the pruner would stop a running trial after its last report.
    ///
    /// # Errors
    /// When the study has several objectives, the trial is not running, or the storage does not answer.
    pub fn should_prune(&self, number: usize) -> Result<bool, TunerError> {
        let &[direction] = &self.config.directions[..] else {
            return Err(TunerError::PruningManyObjectives { n_objectives: self.config.directions.len() });
        };
        let mut inner = self.inner();
        self.refresh(&mut inner.history)?;
        let all: Vec<&Trial> = inner.history.trials.iter().collect();
        let trial = *all.get(number).ok_or(TunerError::NoTrial { number, n_trials: all.len() })?;
        match trial.state {
            TrialState::Running if trial.intermediate.is_empty() => return Ok(false),
            TrialState::Running => {}
            state => return Err(TunerError::NotRunning { number, state }),
        }
        let judging = Judging { study: &self.record.name, direction, trial, trials: &all };
        let verdict = self.pruner.lock().unwrap_or_else(PoisonError::into_inner).judge(&judging);
        let id = trial.id;
        drop(inner);
        if !verdict.notes.is_empty() {
            let notes = verdict.notes.into_iter().map(|(name, number)| (name, json!(number))).collect();
            self.change(id, number, &Change::SystemAttrs(notes))?;
        }
        Ok(verdict.prune)
    }

    /// Has a trial tried with these parameters, before the sampler is asked again. Active parameters that are missing are drawn.
    ///
    /// # Errors
    /// When a name or a value is not in the space, or the storage does not answer.
    pub fn enqueue(&self, fixed: &BTreeMap<String, Value>) -> Result<(), TunerError> {
        self.space.partial(fixed)?;
        let system_attrs = BTreeMap::from([(FIXED.to_owned(), json!(fixed))]);
        Ok(self.storage.enqueue(self.record.id, &Draft { system_attrs, ..Draft::default() })?)
    }

    /// All trials, by number.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub fn trials(&self) -> Result<Vec<Trial>, TunerError> {
        let mut inner = self.inner();
        self.refresh(&mut inner.history)?;
        Ok(inner.history.trials.clone())
    }

    /// The complete and feasible trial with the best value of the first objective; the first of several. None where there is none.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub fn best(&self) -> Result<Option<Trial>, TunerError> {
        let mut inner = self.inner();
        self.refresh(&mut inner.history)?;
        Ok(super::pareto::best(&inner.history.trials, &self.config.directions).cloned())
    }

    /// The complete and feasible trials that no other beats in every objective: the Pareto front, by number.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub fn best_trials(&self) -> Result<Vec<Trial>, TunerError> {
        let mut inner = self.inner();
        self.refresh(&mut inner.history)?;
        Ok(super::pareto::best_trials(&inner.history.trials, &self.config.directions).into_iter().cloned().collect())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refresh(&self, history: &mut History) -> Result<(), TunerError> {
        let changed = self.storage.trials(self.record.id, &history.seen())?;
        history.update(changed);
        Ok(())
    }

    /// A trial as it is now.
    fn trial(&self, number: usize) -> Result<Trial, TunerError> {
        let mut inner = self.inner();
        self.refresh(&mut inner.history)?;
        let n_trials = inner.history.trials.len();
        inner.history.trials.get(number).cloned().ok_or(TunerError::NoTrial { number, n_trials })
    }

    fn id(&self, number: usize) -> Result<i64, TunerError> {
        let known = self.inner().history.trials.get(number).map(|trial| trial.id);
        known.map_or_else(|| self.trial(number).map(|trial| trial.id), Ok)
    }

    fn not_running(&self, number: usize) -> TunerError {
        match self.trial(number) {
            Ok(trial) => TunerError::NotRunning { number, state: trial.state },
            Err(error) => error,
        }
    }

    fn change(&self, id: i64, number: usize, change: &Change) -> Result<(), TunerError> {
        let changed = self.storage.change(id, change)?;
        if matches!(change, Change::Finish { .. }) || !changed {
            self.heart.iter().for_each(|heart| heart.remove(id));
        }
        if changed { Ok(()) } else { Err(self.not_running(number)) }
    }

    /// Trials that are there already must fit the space: not their bounds, but their kinds.
    fn must_agree_with_trials(&self) -> Result<(), TunerError> {
        for trial in self.trials()? {
            for parameter in self.space.parameters() {
                let Some(found) = trial.params.get(&parameter.name) else { continue };
                if !found.distribution.agrees_with(&parameter.distribution) {
                    return Err(TunerError::OtherStudy {
                        study: self.record.name.clone(),
                        key: "space",
                        stored: format!("`{}` = {}", parameter.name, found.distribution.to_json()),
                        given: parameter.distribution.to_json().to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    /// A waiting trial, or a new one.
    fn attempt(&self, limit: usize) -> Result<Attempt<'_>, TunerError> {
        loop {
            let mut inner = self.inner();
            self.reap(&mut inner)?;
            self.refresh(&mut inner.history)?;
            if let Some(number) = inner.history.first_waiting() {
                if inner.history.needs_proposal(number, &self.space) {
                    self.must_not_wait(&inner.history, number)?;
                }
                if let Some(id) = self.storage.claim(self.record.id, limit)? {
                    if let Some(trial) = self.claimed(&mut inner, id)? {
                        return Ok(Attempt::Trial(trial));
                    }
                    continue;
                }
            }
            let number = inner.history.trials.len();
            if inner.history.n_not_failed() >= limit {
                return Ok(Attempt::Full);
            }
            self.must_not_wait(&inner.history, number)?;
            let proposal = self.propose(&mut inner, number).ok_or(TunerError::Exhausted { n_trials: number })?;
            let draft = Draft { params: self.assigned(&proposal), ..Draft::default() };
            if let Some(id) = self.storage.begin(self.record.id, number, &draft, limit)? {
                return Ok(Attempt::Trial(self.active(id, number, &proposal)));
            }
            // Somebody else was faster: look again.
        }
    }

    /// Fails what has fallen silent, once a heartbeat.
    fn reap(&self, inner: &mut Inner) -> Result<(), TunerError> {
        let interval = Duration::from_secs_f64(self.config.heartbeat_s);
        if self.storage.outlives_workers() && inner.reaped.is_none_or(|last| last.elapsed() >= interval) {
            self.storage.reap(self.record.id, Reaping { grace: 2 * interval, retries: self.config.retries })?;
            inner.reaped = Some(Instant::now());
        }
        Ok(())
    }

    fn must_not_wait(&self, history: &History, number: usize) -> Result<(), TunerError> {
        let lag = self.config.lag;
        let boundary = (number + 1).saturating_sub(lag);
        let awaited = history.unfinished.iter().copied().find(|&n| n < boundary && history.trials[n].is_awaited());
        awaited.map_or(Ok(()), |awaited| Err(TunerError::Waits { number, awaited, lag }))
    }

    fn propose(&self, inner: &mut Inner, number: usize) -> Option<Point> {
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

    /// What to try in a trial that was waiting. None where it cannot be tried: then it has failed.
    fn claimed(&self, inner: &mut Inner, id: i64) -> Result<Option<ActiveTrial<'_>>, TunerError> {
        self.refresh(&mut inner.history)?;
        let Some(trial) = inner.history.trials.iter().find(|trial| trial.id == id).cloned() else { return Ok(None) };
        if let Some(point) = trial.point(&self.space) {
            return Ok(Some(self.active(id, trial.number, &point)));
        }
        let fixed = match self.fixed(&trial) {
            Ok(fixed) => fixed,
            Err(error) => {
                let system_attrs = BTreeMap::from([(REASON.to_owned(), json!(error.to_string()))]);
                let failed = Change::Finish { state: TrialState::Fail, values: Vec::new(), system_attrs };
                self.storage.change(id, &failed)?;
                return Ok(None);
            }
        };
        let proposal = self.propose(inner, trial.number).unwrap_or_default();
        let mut rng = crate::rng::stream(self.config.seed, &format!("tuner/enqueued/{}", trial.number));
        let point = self.space.fill(|i, parameter| {
            let drawn = parameter.distribution.from_unit(rng.random());
            fixed[i].or(proposal.get(i).copied().flatten()).unwrap_or(drawn)
        });
        let is_ours = self.storage.change(id, &Change::Params(self.assigned(&point)))?;
        Ok(is_ours.then(|| self.active(id, trial.number, &point)))
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

    fn assigned(&self, point: &[Option<f64>]) -> BTreeMap<String, Assigned> {
        let active = self.space.parameters().iter().zip(point).filter_map(|(p, value)| Some((p, (*value)?)));
        active.map(|(p, inner)| (p.name.clone(), Assigned { distribution: p.distribution.clone(), inner })).collect()
    }

    fn active(&self, id: i64, number: usize, point: &[Option<f64>]) -> ActiveTrial<'_> {
        self.heart.iter().for_each(|heart| heart.add(id));
        ActiveTrial { study: self, id, number, params: self.space.values(point) }
    }
}

#[cfg(test)]
mod tests;
