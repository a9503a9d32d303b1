//! Studies in memory, which are gone when the program ends.

use super::{Change, Draft, Reaping, Seen, Storage, StorageError, StudyRecord};
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
    /// Study and number of each trial; the trial with id 1 comes first.
    places: Vec<(i64, usize)>,
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
    fn study(&mut self, id: i64) -> Result<&mut (StudyRecord, Vec<Trial>), StorageError> {
        self.studies.iter_mut().find(|study| study.0.id == id).ok_or(StorageError::NoStudy { id })
    }

    fn add(&mut self, study: i64, draft: &Draft, state: TrialState) -> Result<i64, StorageError> {
        let id = self.places.len() as i64 + 1;
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
        self.places.push((study, number));
        Ok(id)
    }

    fn trial(&mut self, id: i64) -> Option<&mut Trial> {
        let &(study, number) = self.places.get(usize::try_from(id - 1).ok()?)?;
        self.study(study).ok()?.1.get_mut(number)
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
        let record = StudyRecord { id, name, directions, user_attrs: BTreeMap::new(), system_attrs: notes.clone() };
        shelf.studies.push((record, Vec::new()));
        Ok(())
    }

    fn note(&self, study: i64, notes: &BTreeMap<String, Json>) -> Result<(), StorageError> {
        self.shelf().study(study)?.0.system_attrs.extend(notes.clone());
        Ok(())
    }

    fn delete(&self, study: i64) -> Result<(), StorageError> {
        self.shelf().studies.retain(|found| found.0.id != study);
        Ok(())
    }

    fn trials(&self, study: i64, seen: &Seen) -> Result<Vec<Trial>, StorageError> {
        let mut shelf = self.shelf();
        let trials = &shelf.study(study)?.1;
        // Ids grow with numbers.
        let new = trials.partition_point(|trial| trial.id <= seen.up_to);
        let changed = trials[..new].iter().filter(|trial| seen.unfinished.contains(&trial.id));
        Ok(changed.chain(&trials[new..]).cloned().collect())
    }

    fn begin(&self, study: i64, number: usize, draft: &Draft, limit: usize) -> Result<Option<i64>, StorageError> {
        let mut shelf = self.shelf();
        let trials = &shelf.study(study)?.1;
        let not_failed = trials.len() - count(trials, &[TrialState::Fail]);
        if trials.len() != number || not_failed >= limit {
            return Ok(None);
        }
        shelf.add(study, draft, TrialState::Running).map(Some)
    }

    fn enqueue(&self, study: i64, draft: &Draft) -> Result<(), StorageError> {
        self.shelf().add(study, draft, TrialState::Waiting).map(|_| ())
    }

    fn claim(&self, study: i64, limit: usize) -> Result<Option<i64>, StorageError> {
        let mut shelf = self.shelf();
        let trials = &mut shelf.study(study)?.1;
        if count(trials, &[TrialState::Complete, TrialState::Pruned, TrialState::Running]) >= limit {
            return Ok(None);
        }
        let waiting = trials.iter_mut().find(|trial| trial.state == TrialState::Waiting);
        Ok(waiting.map(|trial| {
            trial.state = TrialState::Running;
            trial.id
        }))
    }

    fn change(&self, trial: i64, change: &Change) -> Result<bool, StorageError> {
        let mut shelf = self.shelf();
        let Some(trial) = shelf.trial(trial).filter(|trial| trial.state == TrialState::Running) else {
            return Ok(false);
        };
        change.apply(trial);
        Ok(true)
    }

    fn outlives_workers(&self) -> bool {
        false
    }

    fn beat(&self, _trials: &[i64]) -> Result<(), StorageError> {
        Ok(())
    }

    fn reap(&self, _study: i64, _reaping: Reaping) -> Result<Vec<usize>, StorageError> {
        Ok(Vec::new())
    }
}
