//! Work spread over threads, with results in order.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Computes `f(0), ..., f(n - 1)` on `n_threads` threads. The results are in order.
pub(crate) fn parallel<T: Send>(n: usize, n_threads: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let work = || {
            let mut own = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= n {
                    return own;
                }
                own.push((i, f(i)));
            }
        };
        let threads: Vec<_> = (0..n_threads.clamp(1, n.max(1))).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    done.sort_by_key(|&(i, _)| i);
    done.into_iter().map(|(_, value)| value).collect()
}

/// Calls `f` on every item, on at most `n_threads` threads. A few items are not worth a thread.
#[cfg(feature = "torch")]
pub(crate) fn for_each<T: Send>(items: &mut [T], n_threads: usize, f: impl Fn(&mut T) + Sync) {
    const WORTH_A_THREAD: usize = 64;
    let n = items.len().div_ceil(n_threads.max(1)).max(WORTH_A_THREAD);
    if items.len() <= n {
        return items.iter_mut().for_each(f);
    }
    let f = &f;
    std::thread::scope(|scope| {
        items.chunks_mut(n).for_each(|part| drop(scope.spawn(move || part.iter_mut().for_each(f))));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order() {
        assert_eq!(parallel(100, 3, |i| i * i), (0..100).map(|i| i * i).collect::<Vec<_>>());
        assert!(parallel(0, 3, |i| i).is_empty());
    }
}
