//! Studies in memory, which are gone when the program ends.

use super::{Change, Draft, Seen, Storage, StorageError, StudyRecord, TrialKey};
use crate::tuner::direction::Direction;
use crate::tuner::trial::{Trial, TrialState};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Studies in memory.
#[derive(Debug, Default)]
pub struct Memory {
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    studies: Vec<(StudyRecord, Vec<Trial>)>,
    /// Number of trials that there ever were: ids are given once.
    n_trials: i64,
    next_study: i64,
}

impl Memory {
    /// A storage without studies.
    pub fn new() -> Self {
        Self::default()
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // A poisoned lock is no danger: nothing below can panic halfway through a change.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn study(&mut self, study: &StudyRecord) -> Result<&mut (StudyRecord, Vec<Trial>), StorageError> {
        let found = self.studies.iter_mut().find(|found| found.0.id == study.id);
        found.ok_or_else(|| StorageError::NoStudy { name: study.name.clone() })
    }

    fn add(&mut self, study: &StudyRecord, draft: &Draft, state: TrialState) -> Result<TrialKey, StorageError> {
        let id = self.n_trials + 1;
        let trials = &mut self.study(study)?.1;
        let number = trials.len();
        trials.push(Trial {
            id,
            number,
            state,
            params: draft.params.clone(),
            values: Vec::new(),
            intermediate: BTreeMap::new(),
            user_attrs: draft.user_attrs.clone(),
            system_attrs: draft.system_attrs.clone(),
            started: None,
            completed: None,
            is_watched: true,
        });
        self.n_trials += 1;
        Ok(TrialKey { id, number, started: None })
    }
}

fn count(trials: &[Trial], states: &[TrialState]) -> usize {
    trials.iter().filter(|trial| states.contains(&trial.state)).count()
}

impl Storage for Memory {
    fn studies(&self) -> Result<Vec<StudyRecord>, StorageError> {
        Ok(self.shelf().studies.iter().map(|study| study.0.clone()).collect())
    }

    fn create(&self, name: &str, directions: &[Direction], notes: &BTreeMap<String, Json>) -> Result<(), StorageError> {
        let mut shelf = self.shelf();
        if shelf.studies.iter().any(|study| study.0.name == name) {
            return Ok(());
        }
        shelf.next_study += 1;
        let (id, name, directions) = (shelf.next_study, name.to_owned(), directions.to_vec());
        let (user_attrs, system_attrs) = (BTreeMap::new(), notes.clone());
        // Ids are given once, so there is no need of a mark.
        let record = StudyRecord { id, name, mark: None, directions, user_attrs, system_attrs };
        shelf.studies.push((record, Vec::new()));
        Ok(())
    }

    fn note(&self, study: &StudyRecord, notes: &BTreeMap<String, Json>) -> Result<(), StorageError> {
        self.shelf().study(study)?.0.system_attrs.extend(notes.clone());
        Ok(())
    }

    fn note_user(&self, study: &StudyRecord, notes: &BTreeMap<String, Json>) -> Result<(), StorageError> {
        self.shelf().study(study)?.0.user_attrs.extend(notes.clone());
        Ok(())
    }

    fn delete(&self, study: &StudyRecord, _force: bool) -> Result<(), StorageError> {
        let mut shelf = self.shelf();
        shelf.study(study)?;
        shelf.studies.retain(|found| found.0.id != study.id);
        Ok(())
    }

    fn trials(&self, study: &StudyRecord, seen: &Seen) -> Result<Vec<Trial>, StorageError> {
        let mut shelf = self.shelf();
        let trials = &shelf.study(study)?.1;
        // Ids grow with numbers.
        let new = trials.partition_point(|trial| trial.id <= seen.up_to);
        let changed = trials[..new].iter().filter(|trial| seen.unfinished.contains(&trial.id));
        Ok(changed.chain(&trials[new..]).cloned().collect())
    }

    fn begin(
        &self,
        study: &StudyRecord,
        number: usize,
        draft: &Draft,
        limit: usize,
    ) -> Result<Option<TrialKey>, StorageError> {
        let mut shelf = self.shelf();
        let trials = &shelf.study(study)?.1;
        let not_failed = trials.len() - count(trials, &[TrialState::Fail]);
        if trials.len() != number || not_failed >= limit {
            return Ok(None);
        }
        shelf.add(study, draft, TrialState::Running).map(Some)
    }

    fn enqueue(&self, study: &StudyRecord, draft: &Draft) -> Result<(), StorageError> {
        self.shelf().add(study, draft, TrialState::Waiting).map(|_| ())
    }

    fn claim(&self, study: &StudyRecord, limit: usize, _heartbeat_s: f64) -> Result<Option<TrialKey>, StorageError> {
        let mut shelf = self.shelf();
        let trials = &mut shelf.study(study)?.1;
        if count(trials, &[TrialState::Complete, TrialState::Pruned, TrialState::Running]) >= limit {
            return Ok(None);
        }
        let waiting = trials.iter_mut().find(|trial| trial.state == TrialState::Waiting);
        Ok(waiting.map(|trial| {
            trial.state = TrialState::Running;
            trial.key()
        }))
    }

    fn change(&self, study: &StudyRecord, trial: &TrialKey, change: &Change) -> Result<bool, StorageError> {
        let mut shelf = self.shelf();
        let trials = shelf.study(study).ok().map(|study| &mut study.1);
        let found = trials.and_then(|trials| trials.get_mut(trial.number));
        let Some(found) = found.filter(|found| found.id == trial.id && found.state == TrialState::Running) else {
            return Ok(false);
        };
        change.apply(found);
        Ok(true)
    }

    fn outlives_workers(&self) -> bool {
        false
    }

    fn beat(&self, _study: &StudyRecord, _trials: &[TrialKey]) -> Result<Vec<TrialKey>, StorageError> {
        Ok(Vec::new())
    }

    fn reap(&self, _study: &StudyRecord, _retries: usize) -> Result<Vec<usize>, StorageError> {
        Ok(Vec::new())
    }
}
