//! How often a study reads its storage.

use super::{fixed, space};
use crate::tuner::storage::{Change, Draft, Memory, Seen, Storage, StorageError, StudyRecord, TrialKey};
use crate::tuner::{Direction, Optimize, Outcome, Study, StudyConfig, Trial};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A storage in memory that counts how often it is read.
#[derive(Default)]
struct Counting {
    memory: Memory,
    n_reads: AtomicUsize,
}

impl Counting {
    /// Number of reads while `work` is done.
    fn during(&self, work: impl FnOnce()) -> usize {
        let before = self.n_reads.load(Ordering::Relaxed);
        work();
        self.n_reads.load(Ordering::Relaxed) - before
    }
}

type Done<T> = Result<T, StorageError>;

impl Storage for Counting {
    fn studies(&self) -> Done<Vec<StudyRecord>> {
        self.n_reads.fetch_add(1, Ordering::Relaxed);
        self.memory.studies()
    }

    fn trials(&self, study: &StudyRecord, seen: &Seen) -> Done<Vec<Trial>> {
        self.n_reads.fetch_add(1, Ordering::Relaxed);
        self.memory.trials(study, seen)
    }

    fn create(&self, name: &str, directions: &[Direction], notes: &BTreeMap<String, Json>) -> Done<()> {
        self.memory.create(name, directions, notes)
    }

    fn note(&self, study: &StudyRecord, notes: &BTreeMap<String, Json>) -> Done<()> {
        self.memory.note(study, notes)
    }

    fn note_user(&self, study: &StudyRecord, notes: &BTreeMap<String, Json>) -> Done<()> {
        self.memory.note_user(study, notes)
    }

    fn delete(&self, study: &StudyRecord, force: bool) -> Done<()> {
        self.memory.delete(study, force)
    }

    fn begin(&self, study: &StudyRecord, number: usize, draft: &Draft, limit: usize) -> Done<Option<TrialKey>> {
        self.memory.begin(study, number, draft, limit)
    }

    fn enqueue(&self, study: &StudyRecord, draft: &Draft) -> Done<()> {
        self.memory.enqueue(study, draft)
    }

    fn claim(&self, study: &StudyRecord, limit: usize, heartbeat_s: f64) -> Done<Option<TrialKey>> {
        self.memory.claim(study, limit, heartbeat_s)
    }

    fn change(&self, study: &StudyRecord, trial: &TrialKey, change: &Change) -> Done<bool> {
        self.memory.change(study, trial, change)
    }

    fn outlives_workers(&self) -> bool {
        self.memory.outlives_workers()
    }

    fn beat(&self, study: &StudyRecord, trials: &[TrialKey]) -> Done<Vec<TrialKey>> {
        self.memory.beat(study, trials)
    }

    fn reap(&self, study: &StudyRecord, retries: usize) -> Done<Vec<usize>> {
        self.memory.reap(study, retries)
    }
}

fn study() -> (Arc<Counting>, Study) {
    let storage = Arc::new(Counting::default());
    let study = Study::create_or_open(storage.clone(), space(), StudyConfig::default()).unwrap();
    (storage, study)
}

#[test]
fn between_a_tell_and_the_next_ask_the_storage_is_read_once() {
    let (storage, study) = study();
    let mut trial = study.ask().unwrap();
    for outcome in [Outcome::complete(vec![0.5]), Outcome::failed("it broke"), Outcome::pruned()] {
        let n_reads = storage.during(|| {
            trial.report(1, 0.25).unwrap();
            trial.set_user_attr("note", 1).unwrap();
            study.tell(trial.number(), outcome.clone()).unwrap();
            assert_eq!(study.counts().running, 0);
            assert_eq!(study.best_known(), Some((0, 0.5)));
            trial = study.ask().unwrap();
        });
        assert_eq!(n_reads, 1, "{outcome:?}");
    }
}

#[test]
fn an_enqueued_trial_is_claimed_with_one_read() {
    let (storage, study) = study();
    study.enqueue(&fixed(&[("x", 1.5.into())])).unwrap();
    assert_eq!(storage.during(|| _ = study.ask().unwrap()), 1);
}

#[test]
fn a_whole_study_reads_once_for_each_trial_and_once_at_its_end() {
    let (storage, study) = study();
    let on_trial = |study: &Study, trial: &Trial| assert_eq!(study.counts().done(), trial.number + 1);
    let options = Optimize { n_trials: 10, on_trial: &on_trial, ..Optimize::default() };
    let n_reads = storage.during(|| study.optimize(&options, |trial| Ok(trial.float("x")?.into())).unwrap());
    assert_eq!(n_reads, 11);
}
