//! Heartbeats: a thread that notes in the storage, at intervals, that this process is alive.

use crate::tuner::storage::Storage;
use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread that sends heartbeats for the trials that are running here. It ends when it is dropped.
pub struct Heart {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    trials: BTreeSet<i64>,
    is_over: bool,
}

impl Heart {
    pub fn start(storage: Arc<dyn Storage>, interval: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread =
            std::thread::Builder::new().name("heart".into()).spawn(move || of_thread.beat(&*storage, interval));
        let thread = thread.inspect_err(|error| tracing::error!("no heartbeats: {error}")).ok();
        Self { shared, thread }
    }

    pub fn add(&self, trial: i64) {
        self.shared.lock().trials.insert(trial);
    }

    pub fn remove(&self, trial: i64) {
        self.shared.lock().trials.remove(&trial);
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self, storage: &dyn Storage, interval: Duration) {
        let mut state = self.lock();
        loop {
            let waited = self.ended.wait_timeout_while(state, interval, |state| !state.is_over);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.is_over {
                return;
            }
            let trials: Vec<i64> = state.trials.iter().copied().collect();
            drop(state);
            if !trials.is_empty() {
                // The next one may succeed. If none does, the trial is failed, and its worker is told so when it tells
                // its result.
                storage.beat(&trials).unwrap_or_else(|error| tracing::warn!("a heartbeat failed: {error}"));
            }
            state = self.lock();
        }
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
