//! Trials and studies that are not what a worker has begun any more: nothing of its results gets into others.

use super::space;
use crate::tuner::storage::{Storage, StorageError, open};
use crate::tuner::{Counts, Direction, Optimize, Study, StudyConfig, TrialState, TunerError};
use std::sync::Arc;
use std::time::Duration;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn storage(&self) -> Arc<dyn Storage> {
        open(&format!("sqlite:///{}", self.folder.path().join("studies.db").display())).unwrap()
    }

    fn study(&self, lag: usize) -> Study {
        Study::create_or_open(self.storage(), space(), StudyConfig { lag, heartbeat_s: 0.05, ..StudyConfig::default() })
            .unwrap()
    }

    fn delete(&self) {
        let storage = self.storage();
        storage.delete(&storage.study("study").unwrap().unwrap(), true).unwrap();
    }
}

fn is_gone(error: &TunerError) -> bool {
    matches!(error, TunerError::Storage(StorageError::NoStudy { .. }))
}

#[test]
fn nothing_gets_into_a_study_that_came_after_a_deleted_one() {
    for is_made_again in [false, true] {
        let place = Place::new();
        let old = place.study(3);
        let trial = old.ask().unwrap();
        place.delete();
        let new = place.study(3);
        // The database has given the same ids again.
        let its_trial = is_made_again.then(|| new.ask().unwrap().number());
        let point = super::fixed(&[("x", 1.5.into())]);
        let errors = [
            old.tell(0, 1.0).unwrap_err(),
            old.report(0, 1, 1.0).unwrap_err(),
            trial.set_user_attr("note", 1).unwrap_err(),
            trial.should_prune().unwrap_err(),
            old.ask().unwrap_err(),
            old.enqueue(&point).unwrap_err(),
            old.bind_objective("another").unwrap_err(),
            old.trials().unwrap_err(),
            old.best().unwrap_err(),
        ];
        assert!(errors.iter().all(is_gone), "{errors:?}");
        let text = errors[0].to_string();
        assert!(text.contains("the study study is gone"), "{text}");
        let trials = new.trials().unwrap();
        assert_eq!(trials.len(), usize::from(is_made_again));
        assert!(trials.iter().all(|trial| trial.user_attrs.is_empty() && trial.intermediate.is_empty()));
        if let Some(number) = its_trial {
            new.tell(number, 2.0).unwrap();
            assert_eq!(new.trials().unwrap()[0].values, [2.0]);
        }
    }
}

#[test]
fn a_heartbeat_notices_that_a_study_is_gone_and_keeps_no_other_alive() {
    let place = Place::new();
    let old = place.study(3);
    let trial = old.ask().unwrap();
    assert!(!trial.is_lost());
    place.delete();
    let new = place.study(3);
    let other = new.ask().unwrap();
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(10));
        if trial.is_lost() {
            break;
        }
    }
    assert!(trial.is_lost() && !other.is_lost());
}

#[test]
fn whoever_waits_for_a_study_that_is_gone_ends_with_the_reason() {
    let place = Place::new();
    let (busy, waits) = (place.study(1), place.study(1));
    busy.ask().unwrap();
    let error = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| waits.optimize(&Optimize::default(), |_| Ok(1.0.into())).unwrap_err());
        std::thread::sleep(Duration::from_millis(100));
        assert!(!waiting.is_finished(), "it waits, since the lag is 1");
        place.delete();
        waiting.join().unwrap()
    });
    assert!(is_gone(&error), "{error}");
}

#[test]
fn a_trial_that_was_given_up_and_begun_again_takes_no_news_from_the_first() {
    let place = Place::new();
    let (first, second) = (place.study(3), place.study(3));
    let trial = first.ask().unwrap();
    let file = place.folder.path().join("studies.db");
    rusqlite::Connection::open(file).unwrap().execute_batch("UPDATE trials SET state = 'WAITING'").unwrap();
    assert_eq!(second.ask().unwrap().number(), 0);
    for error in [trial.report(1, 1.0).unwrap_err(), first.tell(0, 1.0).unwrap_err()] {
        assert!(matches!(error, TunerError::NotOurs { number: 0 }), "{error}");
    }
    second.tell(0, 2.0).unwrap();
    assert_eq!(second.trials().unwrap()[0].values, [2.0]);
}

#[test]
fn a_trial_that_another_process_began_can_be_told_by_its_number() {
    let place = Place::new();
    place.study(1).ask().unwrap();
    let other = place.study(1);
    other.report(0, 1, 0.5).unwrap();
    other.tell(0, 1.0).unwrap();
    assert_eq!(other.trials().unwrap()[0].state, TrialState::Complete);
}

#[test]
fn a_study_with_living_workers_is_not_deleted_unless_forced() {
    let place = Place::new();
    let (storage, study) = (place.storage(), place.study(1));
    study.ask().unwrap();
    let record = storage.study("study").unwrap().unwrap();
    let error = storage.delete(&record, false).unwrap_err();
    assert!(matches!(error, StorageError::Busy { n_running: 1, .. }), "{error}");
    drop(study);
    // Its worker is silent for more than twice the time between heartbeats: it is dead.
    std::thread::sleep(Duration::from_millis(150));
    storage.delete(&record, false).unwrap();
    assert!(storage.studies().unwrap().is_empty());
    assert!(matches!(storage.delete(&record, true), Err(StorageError::NoStudy { .. })));
}

#[test]
fn a_file_that_was_removed_or_replaced_takes_no_results() {
    for is_replaced in [false, true] {
        let place = Place::new();
        let study = place.study(1);
        study.ask().unwrap();
        for ending in ["", "-wal", "-shm"] {
            std::fs::remove_file(place.folder.path().join(format!("studies.db{ending}"))).unwrap();
        }
        if is_replaced {
            place.study(1);
        }
        let error = study.tell(0, 1.0).unwrap_err().to_string();
        assert!(error.contains("studies.db was removed or replaced"), "{error}");
    }
}

/// Trials that nobody will end: those of Optuna's workers that send no heartbeats, or none any more.
#[test]
fn what_nobody_will_end_is_neither_counted_nor_waited_for() {
    let place = Place::new();
    let study = place.study(1);
    let file = place.folder.path().join("studies.db");
    let zombies = "INSERT INTO trials (number, study_id, state, datetime_start) VALUES (0, 1, 'RUNNING', '2026-01-01 00:00:00.000000'), \
         (1, 1, 'RUNNING', '2026-01-01 00:00:00.000000'); \
         INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES (2, '2026-01-01 00:10:00.000000')";
    rusqlite::Connection::open(file).unwrap().execute_batch(zombies).unwrap();
    study.optimize(&Optimize { n_trials: 4, ..Optimize::default() }, |trial| Ok(trial.float("x")?.into())).unwrap();
    let counts = Counts::of(&study.trials().unwrap());
    assert_eq!((counts.complete, counts.running, counts.failed), (4, 2, 0), "Optuna's are Optuna's to fail");
}

#[test]
fn workers_with_other_intervals_do_not_give_up_each_others_trials() {
    let place = Place::new();
    let with = |heartbeat_s| {
        let config =
            StudyConfig { heartbeat_s, lag: 9, directions: vec![Direction::Minimize], ..StudyConfig::default() };
        Study::create_or_open(place.storage(), space(), config).unwrap()
    };
    let (slow, quick) = (with(60.0), with(0.02));
    slow.ask().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(quick.ask().unwrap().number(), 1);
    slow.tell(0, 1.0).unwrap();
}
