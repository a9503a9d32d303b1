//! The replay memory: it keeps whole episodes and draws transitions from them.
//!
//! n_step returns are summed when a transition is drawn, so a stored episode serves any n.

use crate::artifact::exact;
use crate::limits::{OutOfRange, within};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Rule for what the memory keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ReplayConfig {
    /// The newest transitions.
    Uniform {
        /// Number of transitions, at least 1. Whole episodes are dropped, so a few less may be held. The newest episode
        /// is always held, even if it is longer.
        capacity: usize,
    },
    /// The newest episodes and the best ones by return, as Hu, Zhang and Shi describe (section 4.1) but did not build.
    /// An episode may be both; its transitions are then drawn twice as often.
    RecentAndBest {
        /// Number of newest episodes (A of the paper), at least 1.
        recent: usize,
        /// Number of best episodes (B of the paper).
        best: usize,
    },
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self::Uniform { capacity: 400_000 }
    }
}

impl ReplayConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let (key, value) = match *self {
            Self::Uniform { capacity } => ("uniform.capacity", capacity),
            Self::RecentAndBest { recent, .. } => ("recent_and_best.recent", recent),
        };
        within(key, value as f64, value >= 1, "at least 1")
    }
}

/// One episode, or a piece of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// Width of an observation.
    pub n_features: usize,
    /// `[len + 1, n_features]`: the observation before every action, and the one after the last.
    #[serde(with = "exact")]
    pub observations: Vec<f32>,
    /// The action taken at each observation but the last.
    pub actions: Vec<u8>,
    /// Reward of each action.
    #[serde(with = "exact")]
    pub rewards: Vec<f32>,
    /// γ, the discount per decision.
    #[serde(with = "exact")]
    pub discount: f32,
    /// Whether the episode *ended*, so that nothing follows. A truncated one goes on unseen, so its last state is
    /// bootstrapped.
    pub terminated: bool,
}

impl Episode {
    /// Number of transitions.
    pub fn len(&self) -> usize {
        self.actions.len()
    }

    /// Whether there is no transition.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Sum of the rewards.
    pub fn undiscounted_return(&self) -> f64 {
        self.rewards.iter().map(|&r| f64::from(r)).sum()
    }

    /// The observation at time `t` in `0..=len`.
    pub fn observation(&self, t: usize) -> &[f32] {
        &self.observations[t * self.n_features..(t + 1) * self.n_features]
    }

    /// `(return over n steps, discount of the bootstrap, time of the bootstrap)` from time `t`. The discount is 0 where
    /// the episode terminates within the n steps.
    fn n_step(&self, t: usize, n: usize) -> (f32, f32, usize) {
        let end = t.saturating_add(n).min(self.len());
        let (sum, discount) = self.rewards[t..end]
            .iter()
            .fold((0.0, 1.0), |(sum, discount), &r| (sum + discount * r, discount * self.discount));
        let terminal = end == self.len() && self.terminated;
        (sum, if terminal { 0.0 } else { discount }, end)
    }
}

/// A minibatch of n_step transitions, row by row.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// `[batch, n_features]`
    pub obs: Vec<f32>,
    /// `[batch]`
    pub actions: Vec<usize>,
    /// Sum of the n discounted rewards, `[batch]`
    pub returns: Vec<f32>,
    /// γ^n, or 0 where nothing follows, `[batch]`
    pub discounts: Vec<f32>,
    /// `[batch, n_features]`
    pub next_obs: Vec<f32>,
}

/// The replay memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    config: ReplayConfig,
    recent: VecDeque<Episode>,
    best: Vec<Episode>,
    n_recent: usize,
}

impl Replay {
    /// An empty memory.
    pub fn new(config: ReplayConfig) -> Self {
        Self { config, recent: VecDeque::new(), best: Vec::new(), n_recent: 0 }
    }

    /// Number of transitions that can be drawn from.
    pub fn len(&self) -> usize {
        self.n_recent + self.best.iter().map(Episode::len).sum::<usize>()
    }

    /// Whether nothing can be drawn.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Remembers an episode, and drops the oldest ones and the worst of the best ones as the rule says. Empty episodes
    /// are ignored.
    pub fn push(&mut self, episode: Episode) {
        if episode.is_empty() {
            return;
        }
        if let ReplayConfig::RecentAndBest { best, .. } = self.config {
            let at = self.best.partition_point(|e| e.undiscounted_return() >= episode.undiscounted_return());
            if at < best {
                self.best.insert(at, episode.clone());
                self.best.truncate(best);
            }
        }
        self.n_recent += episode.len();
        self.recent.push_back(episode);
        while self.recent.len() > 1 && self.is_over_full() {
            self.n_recent -= self.recent.pop_front().map_or(0, |e| e.len());
        }
    }

    /// Adds a transition to the newest episode, which is still going on. If that has `longest` transitions already, or
    /// another discount, a new piece begins, so that an episode without an end can be dropped piece by piece. Pieces
    /// are *truncated*: something always follows.
    ///
    /// Only for [`ReplayConfig::Uniform`]: a growing episode has no final return to be ranked by.
    pub(crate) fn append(
        &mut self,
        longest: usize,
        discount: f32,
        obs: &[f32],
        action: u8,
        reward: f32,
        next_obs: &[f32],
    ) {
        match self.recent.back_mut() {
            Some(newest) if newest.len() < longest && newest.discount.to_bits() == discount.to_bits() => {
                newest.observations.extend_from_slice(next_obs);
                newest.actions.push(action);
                newest.rewards.push(reward);
                self.n_recent += 1;
            }
            _ => self.push(Episode {
                n_features: obs.len(),
                observations: [obs, next_obs].concat(),
                actions: vec![action],
                rewards: vec![reward],
                discount,
                terminated: false,
            }),
        }
        while self.recent.len() > 1 && self.is_over_full() {
            self.n_recent -= self.recent.pop_front().map_or(0, |e| e.len());
        }
    }

    /// Whether a memory with the settings of `own`, of episodes of these widths, can have been left so. A state that is
    /// read from a file must fit.
    pub(crate) fn fits(&self, own: &Self, n_features: usize, n_actions: usize) -> bool {
        let fits = |e: &Episode| {
            !e.is_empty()
                && e.n_features == n_features
                && e.rewards.len() == e.len()
                && e.observations.len() == (e.len() + 1) * n_features
                && e.actions.iter().all(|&a| usize::from(a) < n_actions)
                && e.rewards.iter().chain(&e.observations).all(|v| v.is_finite())
                && (0.0..=1.0).contains(&e.discount)
        };
        self.config == own.config
            && self.episodes().all(fits)
            && self.n_recent == self.recent.iter().map(Episode::len).sum::<usize>()
    }

    fn is_over_full(&self) -> bool {
        match self.config {
            ReplayConfig::Uniform { capacity } => self.n_recent > capacity,
            ReplayConfig::RecentAndBest { recent, .. } => self.recent.len() > recent,
        }
    }

    /// Draws `batch_size` n_step transitions uniformly, with replacement. An empty memory gives an empty batch.
    pub fn sample(&self, batch_size: usize, n_step: usize, rng: &mut ChaCha8Rng) -> Batch {
        let ends: Vec<usize> = self
            .episodes()
            .scan(0, |end, e| {
                *end += e.len();
                Some(*end)
            })
            .collect();
        let episodes: Vec<&Episode> = self.episodes().collect();
        let Some(&total) = ends.last() else { return Batch::default() };
        let n_values = batch_size * episodes[0].n_features;
        let mut batch = Batch {
            obs: Vec::with_capacity(n_values),
            actions: Vec::with_capacity(batch_size),
            returns: Vec::with_capacity(batch_size),
            discounts: Vec::with_capacity(batch_size),
            next_obs: Vec::with_capacity(n_values),
        };
        for _ in 0..batch_size {
            let at = rng.random_range(0..total);
            let e = ends.partition_point(|&end| end <= at);
            let episode = episodes[e];
            let t = at + episode.len() - ends[e];
            let (sum, discount, next) = episode.n_step(t, n_step);
            batch.obs.extend_from_slice(episode.observation(t));
            batch.actions.push(usize::from(episode.actions[t]));
            batch.returns.push(sum);
            batch.discounts.push(discount);
            batch.next_obs.extend_from_slice(episode.observation(next));
        }
        batch
    }

    /// All stored episodes: recent ones oldest first, then the best, best first.
    fn episodes(&self) -> impl Iterator<Item = &Episode> {
        self.recent.iter().chain(&self.best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    /// An episode whose observation at time t is `[first + t]`.
    fn episode(first: f32, rewards: &[f32], terminated: bool) -> Episode {
        Episode {
            n_features: 1,
            observations: (0..=rewards.len()).map(|t| first + t as f32).collect(),
            actions: vec![0; rewards.len()],
            rewards: rewards.to_vec(),
            discount: 0.5,
            terminated,
        }
    }

    #[test]
    fn a_truncated_episode_still_bootstraps_and_a_terminated_one_does_not() {
        let rewards = [1.0, 2.0, 4.0];
        assert_eq!(episode(0.0, &rewards, true).n_step(1, 5), (2.0 + 0.5 * 4.0, 0.0, 3));
        assert_eq!(episode(0.0, &rewards, false).n_step(1, 5), (4.0, 0.25, 3));
        assert_eq!(episode(0.0, &rewards, true).n_step(0, 2), (2.0, 0.25, 2));
    }

    #[test]
    fn uniform_memory_never_exceeds_its_capacity_and_drops_the_oldest() {
        let mut replay = Replay::new(ReplayConfig::Uniform { capacity: 10 });
        for first in 0..20 {
            replay.push(episode(100.0 * first as f32, &[0.0; 3], true));
            assert!(replay.len() <= 10);
        }
        let batch = replay.sample(500, 1, &mut stream(0, "replay"));
        assert!(batch.obs.iter().all(|&o| o >= 1700.0));
    }

    #[test]
    fn an_episode_that_goes_on_is_stored_in_pieces_of_which_the_oldest_are_dropped() {
        let mut replay = Replay::new(ReplayConfig::Uniform { capacity: 10 });
        for t in 0..23u8 {
            let at = f32::from(t);
            replay.append(4, 0.5, &[at], t % 3, 10.0 * at, &[at + 1.0]);
            assert!(replay.len() <= 10 && replay.fits(&replay, 1, 3));
        }
        assert_eq!((replay.len(), replay.recent.len()), (7, 2), "16 to 19, and 20 to 22");
        let newest = &replay.recent[1];
        assert_eq!(newest.observations, [20.0, 21.0, 22.0, 23.0]);
        assert_eq!(newest.n_step(1, 5), (210.0 + 0.5 * 220.0, 0.25, 3), "bootstrapped where it was cut");
        replay.append(4, 0.9, &[0.0], 0, 0.0, &[0.0]);
        assert_eq!(replay.recent[2].len(), 1, "another discount, another piece");
        assert!(!replay.fits(&replay, 2, 3) && !replay.fits(&replay, 1, 2));
        assert!(!replay.fits(&Replay::new(ReplayConfig::default()), 1, 3), "another rule");
    }

    #[test]
    fn the_best_episodes_stay_however_old_they_are() {
        let mut replay = Replay::new(ReplayConfig::RecentAndBest { recent: 2, best: 1 });
        replay.push(episode(1000.0, &[9.0], true));
        for first in 0..10 {
            replay.push(episode(first as f32, &[1.0], true));
        }
        let batch = replay.sample(300, 1, &mut stream(0, "replay"));
        let best = batch.obs.iter().filter(|&&o| o >= 1000.0).count();
        assert!(60 < best && best < 140, "one of three transitions, drawn {best} of 300 times");
        assert_eq!(replay.len(), 3);
    }

    #[test]
    fn every_transition_is_drawn_about_equally_often() {
        let mut replay = Replay::new(ReplayConfig::default());
        replay.push(episode(0.0, &[0.0; 3], true));
        replay.push(episode(10.0, &[0.0; 7], true));
        let batch = replay.sample(10_000, 1, &mut stream(1, "replay"));
        for start in [0.0, 1.0, 2.0, 10.0, 16.0] {
            let n = batch.obs.iter().filter(|&&o| (o - start).abs() < 0.5).count();
            assert!((900..1100).contains(&n), "{start}: {n}");
        }
    }
}
