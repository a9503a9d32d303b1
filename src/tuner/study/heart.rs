//! The trials that run here, and a thread that notes in the storage, at intervals, that their process is alive.

use crate::tuner::storage::{Storage, StorageError, StudyRecord, TrialKey};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// The trials that run here. In a storage that goes on when a worker dies, a thread sends heartbeats for them; it ends
/// when this is dropped.
pub struct Heart {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    storage: Arc<dyn Storage>,
    study: StudyRecord,
    interval: Duration,
    state: Mutex<State>,
    ended: Condvar,
}

struct State {
    /// Keys of the trials that were begun here, and whether they were lost since; by number.
    trials: BTreeMap<usize, (TrialKey, bool)>,
    /// The last moment at which the thread was seen to be awake.
    awake: Moment,
    /// The last moment at which it turned out that this process had been stopped, or that the clock had jumped.
    stopped: Option<Instant>,
    is_over: bool,
}

/// A moment by both clocks: one of them stands still while the machine sleeps, and the other one can be set.
#[derive(Clone, Copy)]
struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// The longest time since then that one of the clocks shows.
    fn elapsed(self) -> Duration {
        let wall = self.wall.elapsed().unwrap_or_else(|error| error.duration());
        self.steady.elapsed().max(wall)
    }
}

impl Heart {
    pub fn start(storage: Arc<dyn Storage>, study: StudyRecord, interval: Duration) -> Self {
        let state = State { trials: BTreeMap::new(), awake: Moment::now(), stopped: None, is_over: false };
        let beats = storage.outlives_workers();
        let shared = Arc::new(Shared { storage, study, interval, state: Mutex::new(state), ended: Condvar::new() });
        let of_thread = shared.clone();
        let start = || std::thread::Builder::new().name("heart".into()).spawn(move || of_thread.run());
        let thread = beats.then(start).transpose();
        let thread = thread.inspect_err(|error| tracing::error!("no heartbeats: {error}")).ok().flatten();
        Self { shared, thread }
    }

    pub fn add(&self, trial: TrialKey) {
        self.shared.lock().trials.insert(trial.number, (trial, false));
    }

    pub fn remove(&self, number: usize) {
        self.shared.lock().trials.remove(&number);
    }

    /// Notes that a trial is not one of ours any more. It is remembered, so that its news do not get into another one
    /// of its number.
    pub fn lose(&self, number: usize) {
        self.shared.lock().trials.entry(number).and_modify(|trial| trial.1 = true);
    }

    /// Key of a trial that was begun here.
    pub fn key(&self, number: usize) -> Option<TrialKey> {
        self.shared.lock().trials.get(&number).map(|(key, _)| key.clone())
    }

    /// Whether it has turned out that a trial is not one of ours any more.
    pub fn has_lost(&self, number: usize) -> bool {
        self.shared.lock().trials.get(&number).is_some_and(|(_, is_lost)| *is_lost)
    }

    /// Beats for the trials that run here, and says whether others may be given up. After a time in which this process
    /// was stopped, or the machine slept, or the clock jumped, others may have had no chance to beat either: they get
    /// the time of two intervals.
    pub fn is_ready_to_reap(&self) -> Result<bool, StorageError> {
        self.shared.look_at_clock();
        self.shared.beat()?;
        let stopped = self.shared.lock().stopped;
        Ok(stopped.is_none_or(|when| when.elapsed() > 2 * self.shared.interval))
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        loop {
            let waited = self.ended.wait_timeout_while(self.lock(), self.interval, |state| !state.is_over);
            let is_over = waited.unwrap_or_else(PoisonError::into_inner).0.is_over;
            if is_over {
                return;
            }
            self.look_at_clock();
            // The next one may succeed. If none does, the trial is failed, and its worker is told so when it tells its
            // result.
            self.beat().unwrap_or_else(|error| tracing::warn!("a heartbeat failed: {error}"));
            self.lock().awake = Moment::now();
        }
    }

    /// Notes whether the thread has slept for much longer than it wanted to.
    fn look_at_clock(&self) {
        let mut state = self.lock();
        if state.awake.elapsed() > 2 * self.interval {
            state.stopped = Some(Instant::now());
            state.awake = Moment::now();
        }
    }

    fn beat(&self) -> Result<(), StorageError> {
        let held = |(key, is_lost): &(TrialKey, bool)| (!is_lost).then(|| key.clone());
        let trials: Vec<TrialKey> = self.lock().trials.values().filter_map(held).collect();
        if trials.is_empty() {
            return Ok(());
        }
        let lost = self.storage.beat(&self.study, &trials)?;
        let mut state = self.lock();
        for key in lost {
            state.trials.entry(key.number).and_modify(|(known, is_lost)| *is_lost |= *known == key);
        }
        Ok(())
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.ended.notify_all();
        // A panic of the thread has been printed already.
        self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::Direction;
    use crate::tuner::storage::Memory;

    #[test]
    fn after_a_time_in_which_it_was_stopped_a_process_gives_the_others_time_to_beat() {
        let memory = Arc::new(Memory::new());
        memory.create("s", &[Direction::Minimize], &BTreeMap::new()).unwrap();
        let (study, interval) = (memory.study("s").unwrap().unwrap(), Duration::from_millis(50));
        let heart = Heart::start(memory, study, interval);
        assert!(heart.is_ready_to_reap().unwrap());
        let (hour, now) = (Duration::from_secs(3600), SystemTime::now());
        let slept = Moment { steady: Instant::now() - Duration::from_millis(400), wall: now };
        // The machine slept, the process was stopped, the clock was set back.
        for awake in [Moment { wall: now - hour, ..Moment::now() }, slept, Moment { wall: now + hour, ..Moment::now() }]
        {
            heart.shared.lock().awake = awake;
            assert!(!heart.is_ready_to_reap().unwrap());
            std::thread::sleep(2 * interval + Duration::from_millis(5));
            heart.shared.lock().awake = Moment::now();
            assert!(heart.is_ready_to_reap().unwrap());
        }
    }
}
