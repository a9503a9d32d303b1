//! Work on several threads at the same time, where libtorch uses one thread for each.

use super::failure::Failure;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;

/// Does `work(0), ..., work(n - 1)`, `n_jobs` at a time. The answers are in order. After a failure nothing new is
/// begun; of several failures the one with the smallest index is answered.
pub fn side_by_side<T: Send>(
    n: usize,
    n_jobs: usize,
    work: impl Fn(usize) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let answers: Mutex<BTreeMap<usize, Result<T, Failure>>> = Mutex::default();
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let thread = || {
        tch::set_num_threads(1);
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n || failed.load(Ordering::Relaxed) {
                break;
            }
            let answer = work(i);
            failed.fetch_or(answer.is_err(), Ordering::Relaxed);
            answers.lock().unwrap_or_else(PoisonError::into_inner).insert(i, answer);
        }
    };
    std::thread::scope(|scope| {
        // Fewer threads than were asked for do the work too.
        let begun = |_: &usize| Builder::new().spawn_scoped(scope, thread).is_ok();
        if (0..n_jobs.clamp(1, n.max(1))).take_while(begun).count() == 0 {
            thread();
        }
    });
    answers.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_order_whatever_the_number_of_jobs() {
        for n_jobs in [1, 3, 100] {
            assert_eq!(side_by_side(20, n_jobs, |i| Ok(i * i)).unwrap(), (0..20).map(|i| i * i).collect::<Vec<_>>());
        }
        assert!(side_by_side(0, 2, |_| Ok(())).unwrap().is_empty());
    }

    #[test]
    fn after_a_failure_nothing_new_is_begun() {
        let begun = AtomicUsize::new(0);
        let work = |i| {
            begun.fetch_add(1, Ordering::Relaxed);
            if i == 3 { Err(Failure::Failed(anyhow::anyhow!("number 3"))) } else { Ok(()) }
        };
        assert!(side_by_side(100, 1, work).unwrap_err().to_string().contains("number 3"));
        assert_eq!(begun.load(Ordering::Relaxed), 4);
    }
}
