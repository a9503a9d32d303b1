//! The clock of a study with several workers: not measured, but computed from the training steps of its trials.

/// Time at which the last trial ends, where a training step takes one unit of time and nothing else takes any. Trials
/// begin in order, each on the first worker that is free, and not before trial n - lag has ended, nor any before that.
pub fn makespan(steps: &[u64], workers: usize, lag: usize) -> u64 {
    let mut free = vec![0; workers.max(1)];
    // Of the first so many trials, the time when all have ended.
    let mut ended: Vec<u64> = vec![0];
    for (n, &steps) in steps.iter().enumerate() {
        let known = ended[(n + 1).saturating_sub(lag)];
        let Some(worker) = free.iter_mut().min() else { continue };
        *worker = known.max(*worker) + steps;
        ended.push(ended[n].max(*worker));
    }
    ended.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    /// The same, one unit of time after the other, by what the workers and the study know at that moment.
    fn by_ticks(steps: &[u64], workers: usize, lag: usize) -> u64 {
        let mut left: Vec<u64> = Vec::new();
        for now in 0.. {
            let running = |left: &[u64]| left.iter().filter(|&&left| left > 0).count();
            while left.len() < steps.len() && running(&left) < workers {
                let n = left.len();
                if (0..n).any(|i| i + lag <= n && left[i] > 0) {
                    break;
                }
                left.push(steps[n]);
            }
            if running(&left) == 0 {
                return now;
            }
            left.iter_mut().for_each(|left| *left = left.saturating_sub(1));
        }
        unreachable!("the loop has no end")
    }

    #[test]
    fn a_worker_waits_for_the_results_that_its_trial_uses() {
        assert_eq!(makespan(&[4, 1, 1, 1], 1, 1), 7);
        // Trial 2 uses trial 0.
        assert_eq!(makespan(&[4, 1, 1, 1], 2, 2), 5);
        assert_eq!(makespan(&[4, 1, 1, 1], 2, 4), 4, "no result is used");
        assert_eq!(makespan(&[4, 1, 1, 1], 4, 1), 7, "each trial uses all results");
        assert_eq!(makespan(&[], 4, 1), 0);
    }

    #[test]
    fn it_is_what_a_clock_that_ticks_shows() {
        let mut rng = qgd::rng::stream(0, "clock");
        for _ in 0..300 {
            let n = rng.random_range(0..12);
            let steps: Vec<u64> = (0..n).map(|_| rng.random_range(1..9)).collect();
            let (workers, lag) = (rng.random_range(1..6), rng.random_range(1..8));
            assert_eq!(makespan(&steps, workers, lag), by_ticks(&steps, workers, lag), "{steps:?} {workers} {lag}");
        }
    }
}
