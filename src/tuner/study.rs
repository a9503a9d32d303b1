//! Studies, which hand out trials and take back their results.

mod active;
mod ask;
mod heart;
mod history;
mod optimize;
mod outcome;
mod settings;
mod tell;
mod turn;
mod wait;

pub use active::ActiveTrial;
pub use optimize::Optimize;
pub use outcome::{Outcome, OutcomeError};
pub use settings::{CheckedStudy, StudyConfig};

use super::error::TunerError;
use super::pruners::Pruner;
use super::samplers::Sampler;
use super::space::{Parameter, Space};
use super::storage::{Change, Memory, Storage, StudyRecord};
use super::trial::{Counts, Trial};
use heart::Heart;
use history::History;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Name of the study attribute that says what the trials evaluate.
const OBJECTIVE: &str = "qgd:objective";

/// Hands out trials and takes back their results. All methods take `&self`, so that threads share one study.
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
/// A study has a lag q. Trial n depends on nothing but the seed, its number n, the results of trials 0 ... n - q, and
/// the parameters (not the results) of those between: a worker that comes early waits. So up to q workers try the very
/// same trials as one, on any storage. With q = 1 each trial uses every result, and trials come one after the other.
/// Outside this promise are pruning by what other running trials report, timeouts, trials that were added while the
/// study ran, and those tried again after their worker died.
///
/// # What is read from the storage
///
/// [`Study::ask`] reads once what has changed since the reading before. [`Study::tell`] and [`Study::report`] only
/// write, as long as the trial is one of this `Study`; what they write is known here without being read again.
pub struct Study {
    pub(super) storage: Arc<dyn Storage>,
    record: StudyRecord,
    space: Space,
    config: StudyConfig,
    inner: Mutex<Inner>,
    /// Changes to trials that were made here and are not in the history yet.
    news: Mutex<Vec<(usize, Change)>>,
    pruner: Box<dyn Pruner>,
    /// The trials that run here.
    heart: Heart,
    stopped: AtomicBool,
}

impl std::fmt::Debug for Study {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Study").field("record", &self.record).field("config", &self.config).finish_non_exhaustive()
    }
}

/// The trials as far as they are known, and the sampler that proposes the next.
struct Inner {
    sampler: Box<dyn Sampler>,
    history: History,
    reaped: Option<Instant>,
    /// Whether another worker has begun a trial that was to be ours.
    is_crowded: bool,
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
    /// As [`Study::in_memory`]; and when the study is there with another space or other settings, or the storage does
    /// not answer.
    pub fn create_or_open(storage: Arc<dyn Storage>, space: Space, config: StudyConfig) -> Result<Self, TunerError> {
        config.check(&space)?.create_or_open(storage)
    }

    /// Continues a study with the space and the settings that it was made with.
    ///
    /// # Errors
    /// When there is none of that name, or it was not made by qgd, or the storage does not answer.
    pub fn open(storage: Arc<dyn Storage>, name: &str) -> Result<Self, TunerError> {
        let (space, config) = StudyConfig::stored_with_space(&*storage, name)?;
        Self::create_or_open(storage, space, config)
    }

    /// A study that is in its storage already.
    fn begin(checked: CheckedStudy, storage: Arc<dyn Storage>, record: StudyRecord) -> Result<Self, TunerError> {
        let CheckedStudy { space, config, sampler, pruner } = checked;
        let inner = Inner { sampler, history: History::default(), reaped: None, is_crowded: false };
        let interval = Duration::from_secs_f64(config.heartbeat_s);
        let heart = Heart::start(storage.clone(), record.clone(), interval);
        let study = Self {
            storage,
            heart,
            record,
            space,
            config,
            inner: Mutex::new(inner),
            news: Mutex::default(),
            pruner,
            stopped: AtomicBool::new(false),
        };
        study.check_trials()?;
        Ok(study)
    }

    /// The same study with a sampler of your own. It is not noted in the storage, so every worker must set it. It is
    /// asked from the first trial to the last: [`StudyConfig::screen`] is for named samplers.
    #[must_use]
    pub fn with_sampler(self, sampler: Box<dyn Sampler>) -> Self {
        self.inner().sampler = sampler;
        self
    }

    /// The space that is searched.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Settings of the study.
    pub fn config(&self) -> &StudyConfig {
        &self.config
    }

    /// Notes in the study which objective its trials evaluate, so that nobody continues it with another one.
    ///
    /// # Errors
    /// When another objective is noted there, or the storage does not answer.
    pub fn bind_objective(&self, objective: &str) -> Result<(), TunerError> {
        let Some(stored) = self.record.system_attrs.get(OBJECTIVE) else {
            let notes = BTreeMap::from([(OBJECTIVE.to_owned(), objective.into())]);
            return Ok(self.storage.note(&self.record, &notes)?);
        };
        if stored == objective {
            return Ok(());
        }
        let (study, stored) = (self.record.name.clone(), stored.as_str().unwrap_or_default().to_owned());
        Err(TunerError::OtherStudy { study, key: "objective", stored, given: objective.into() })
    }

    /// Notes something about the study, for those who look at it later; it replaces an older note of the same name.
    ///
    /// # Errors
    /// When the study is gone, or the storage does not answer.
    pub fn set_user_attr(&self, name: &str, value: impl Into<Json>) -> Result<(), TunerError> {
        let notes = BTreeMap::from([(name.to_owned(), value.into())]);
        Ok(self.storage.note_user(&self.record, &notes)?)
    }

    /// What has been noted about the study, as it is in the storage now; nothing where the study is gone.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub fn user_attrs(&self) -> Result<BTreeMap<String, Json>, TunerError> {
        let record = self.storage.study(&self.record.name)?.filter(|record| record.id == self.record.id);
        Ok(record.map(|record| record.user_attrs).unwrap_or_default())
    }

    /// All trials, by number.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub fn trials(&self) -> Result<Vec<Trial>, TunerError> {
        Ok(self.refreshed()?.history.trials.clone())
    }

    /// The complete and feasible trial with the best value of the first objective; the first of several. None where
    /// there is none.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub fn best(&self) -> Result<Option<Trial>, TunerError> {
        Ok(super::pareto::best(&self.refreshed()?.history.trials, &self.config.directions).cloned())
    }

    /// The complete and feasible trials that no other beats in every objective: the Pareto front, by number.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub fn best_trials(&self) -> Result<Vec<Trial>, TunerError> {
        let inner = self.refreshed()?;
        Ok(super::pareto::best_trials(&inner.history.trials, &self.config.directions).into_iter().cloned().collect())
    }

    /// Number of trials in each state, as far as it is known here. Nothing is read: what other processes did counts
    /// from the next [`Study::ask`] on.
    pub fn counts(&self) -> Counts {
        self.inner().history.counts
    }

    /// Number and first value of the best trial ([`Study::best`]), as far as it is known here. Nothing is read.
    pub fn best_known(&self) -> Option<(usize, f64)> {
        let inner = self.inner();
        let best = super::pareto::best(&inner.history.trials, &self.config.directions)?;
        Some((best.number, *best.values.first()?))
    }

    /// A trial as far as it is known here, if it is. Nothing is read.
    pub fn trial_known(&self, number: usize) -> Option<Trial> {
        self.inner().history.trials.get(number).cloned()
    }

    /// The trials as far as they are known here; nothing is read.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, change) in std::mem::take(&mut *self.news()) {
            inner.history.apply(number, &change);
        }
        inner
    }

    fn news(&self) -> MutexGuard<'_, Vec<(usize, Change)>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The trials as they are in the storage.
    fn refreshed(&self) -> Result<MutexGuard<'_, Inner>, TunerError> {
        let mut inner = self.inner();
        self.refresh(&mut inner.history)?;
        Ok(inner)
    }

    fn refresh(&self, history: &mut History) -> Result<(), TunerError> {
        let changed = self.storage.trials(&self.record, &history.seen())?;
        history.update(changed);
        Ok(())
    }

    /// Refuses a study whose trials do not fit the space: bounds may differ, kinds of parameters may not.
    fn check_trials(&self) -> Result<(), TunerError> {
        for trial in &self.refreshed()?.history.trials {
            for parameter in self.space.parameters() {
                let Some(found) = trial.params.get(&parameter.name) else { continue };
                if !found.distribution.agrees_with(&parameter.distribution) {
                    let stored = Parameter::new(&parameter.name, found.distribution.clone());
                    return Err(TunerError::OtherParameter {
                        study: self.record.name.clone(),
                        stored: stored.to_string(),
                        given: parameter.to_string(),
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
