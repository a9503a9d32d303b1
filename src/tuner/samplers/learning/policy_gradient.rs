//! The policy gradient (REINFORCE; Williams 1992, 10.1007/BF00992696) over the trials of a study.
//!
//! ```text
//! θ ← θ + Adam( 1/N Σ over N trajectories Σ over t  ∇ ln π(a_t | s_t) (G_t - b) ),   G_t = Σ_k γ^k r_{t+k}
//! ```
//!
//! A trajectory is a number of trials (`horizon`), one after the other; its first state is drawn at random, each later
//! one is the action before. Trials that the policy did not propose (enqueued ones) count as if it had. With a lag, a
//! trial is proposed after one update for each whole batch whose results it may use, and an update uses the weights as
//! they are then, not those that proposed the trials.

use super::{Adam, Levels, Policy, PolicyKind, Reward, costs};
use crate::rng;
use crate::tuner::direction::Direction;
use crate::tuner::samplers::{Ask, Sampler};
use crate::tuner::space::Point;
use crate::tuner::trial::Past;
use rand::RngExt;
use std::str::FromStr;

/// Number that is subtracted from the returns, to reduce their variance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// Nothing.
    None,
    /// The mean return of the batch.
    Mean,
    /// The exponential average of the mean returns of the batches before.
    Average,
}

impl FromStr for Baseline {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "none" => Ok(Self::None),
            "mean" => Ok(Self::Mean),
            "average" => Ok(Self::Average),
            _ => Err(()),
        }
    }
}

/// Options of the policy gradient. The samplers that use it explain them to the user.
#[derive(Debug, Clone)]
pub struct PolicyGradientConfig {
    pub policy: PolicyKind,
    /// The first weights are drawn from U(±`bound`); None is PyTorch's default.
    pub bound: Option<f64>,
    /// Number of values of a parameter that has more.
    pub levels: usize,
    /// Number of trajectories of an update.
    pub batch: usize,
    /// Number of trials of a trajectory.
    pub horizon: usize,
    pub gamma: f64,
    pub lr: f64,
    pub reward: Reward,
    /// Power to which rewards are raised.
    pub power: i32,
    pub baseline: Baseline,
}

/// Share of the average baseline that each batch leaves. Chosen by us, since Zoph and Le do not give theirs.
const DECAY: f64 = 0.8;

/// A sampler with a policy that learns.
pub struct PolicyGradient {
    /// Label of the random numbers.
    stream: &'static str,
    config: PolicyGradientConfig,
    direction: Direction,
    levels: Levels,
    learned: Option<Learned>,
}

#[derive(Clone)]
struct Learned {
    policy: Policy,
    adam: Adam,
    n_batches: usize,
    average: Option<f64>,
}

impl PolicyGradient {
    pub fn new(stream: &'static str, config: PolicyGradientConfig, direction: Direction, levels: Levels) -> Self {
        Self { stream, config, direction, levels, learned: None }
    }

    fn untaught(&self, ask: &Ask<'_>) -> Learned {
        let PolicyGradientConfig { policy, bound, lr, .. } = self.config;
        let mut rng = ask.study_rng(&format!("{}/init", self.stream));
        let policy = Policy::new(policy, self.levels.counts(), bound, &mut rng);
        let adam = Adam::new(lr, policy.params.len());
        Learned { policy, adam, n_batches: 0, average: None }
    }

    /// The policy after every whole batch of settled trials.
    fn learned(&mut self, ask: &Ask<'_>) -> Learned {
        let per_batch = self.config.batch * self.config.horizon;
        let n_batches = ask.settled.len() / per_batch;
        let known = self.learned.take().filter(|learned| learned.n_batches <= n_batches);
        let mut learned = known.unwrap_or_else(|| self.untaught(ask));
        while learned.n_batches < n_batches {
            let end = (learned.n_batches + 1) * per_batch;
            self.update(&mut learned, ask, end - per_batch, end);
            learned.n_batches += 1;
        }
        learned
    }

    /// One update with the settled trials from `start` to `end`.
    fn update(&self, learned: &mut Learned, ask: &Ask<'_>, start: usize, end: usize) {
        let batch = &ask.settled[start..end];
        let mut rewards = self.config.reward.of(&costs(&ask.settled[..end], self.direction)).split_off(start);
        rewards.iter_mut().for_each(|reward| *reward = reward.powi(self.config.power));
        let returns = self.returns(batch, &rewards);
        let mean = returns.iter().sum::<f64>() / returns.len() as f64;
        let baseline = match self.config.baseline {
            Baseline::None => 0.0,
            Baseline::Mean => mean,
            Baseline::Average => learned.average.unwrap_or(mean),
        };
        learned.average = Some(learned.average.map_or(mean, |average| DECAY * average + (1.0 - DECAY) * mean));
        let mut grad = vec![0.0; learned.policy.params.len()];
        for (past, value) in batch.iter().zip(&returns) {
            // Adam goes downhill.
            let weight = -(value - baseline) / self.config.batch as f64;
            let (state, choices) = (self.state(ask, past.number), self.levels.of(ask.space, &past.point));
            learned.policy.add_gradient(&state, &choices, weight, &mut grad);
        }
        learned.adam.step(&mut learned.policy.params, &grad);
    }

    /// G of each trial of a batch: the discounted rewards of it and of those after it in its trajectory.
    fn returns(&self, batch: &[Past], rewards: &[f64]) -> Vec<f64> {
        let trajectory = |past: &Past| past.number / self.config.horizon;
        let later = |past: &Past| {
            let same = batch
                .iter()
                .zip(rewards)
                .filter(|(other, _)| trajectory(other) == trajectory(past) && other.number >= past.number);
            same.map(|(other, reward)| self.config.gamma.powi((other.number - past.number) as i32) * reward).sum()
        };
        batch.iter().map(later).collect()
    }

    /// The state from which trial `number` was, or is to be, proposed.
    fn state(&self, ask: &Ask<'_>, number: usize) -> Vec<Option<usize>> {
        let is_first = number.is_multiple_of(self.config.horizon);
        let mut known = ask.settled.iter().chain(ask.pending);
        let before = if is_first { None } else { known.find(|past| past.number + 1 == number) };
        let point = before.map_or_else(|| self.random_state(ask, number), |past| past.point.clone());
        self.levels.of(ask.space, &point)
    }

    fn random_state(&self, ask: &Ask<'_>, number: usize) -> Point {
        let mut rng = rng::stream(ask.seed, &format!("tuner/{}/state/{number}", self.stream));
        let counts = self.levels.counts();
        self.levels.point(ask.space, |i| rng.random_range(0..counts[i]))
    }
}

impl Sampler for PolicyGradient {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        let learned = self.learned(ask);
        let (state, mut rng) = (self.state(ask, ask.number), ask.rng(self.stream));
        let mut point = Point::with_capacity(ask.space.len());
        learned.policy.choose(&state, |i, probabilities| {
            let choice = ask.space.is_active(i, &point).then(|| rng::pick(probabilities.iter().copied(), rng.random()));
            point.push(choice.map(|choice| self.levels.value(i, choice)));
            choice
        });
        self.learned = Some(learned);
        Some(ask.space.fill(|i, _| point[i].unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::{Distribution, Parameter, Space, TrialState};
    use std::collections::BTreeMap;

    const CONFIG: PolicyGradientConfig = PolicyGradientConfig {
        policy: PolicyKind::Mlp,
        bound: None,
        levels: 4,
        batch: 2,
        horizon: 2,
        gamma: 0.5,
        lr: 0.01,
        reward: Reward::Value,
        power: 1,
        baseline: Baseline::None,
    };

    fn space() -> Space {
        Space::new(["x", "y"].map(|name| Parameter::new(name, Distribution::int(0, 3)))).unwrap()
    }

    fn past(number: usize, x: f64, value: f64) -> Past {
        let point = vec![Some(x), Some(3.0 - x)];
        let intermediate = BTreeMap::new();
        Past { number, state: TrialState::Complete, point, values: vec![value], intermediate, constraints: vec![] }
    }

    fn sampler(config: PolicyGradientConfig) -> PolicyGradient {
        PolicyGradient::new("test", config, Direction::Minimize, Levels::new(&space(), 4))
    }

    #[test]
    fn returns_are_discounted_within_a_trajectory_and_states_are_the_action_before() {
        let space = space();
        let trials: Vec<Past> = [(0, 1.0), (1, 2.0), (2, 0.0), (3, 3.0)].map(|(n, x)| past(n, x, n as f64)).into();
        let sampler = sampler(CONFIG);
        // Trials 0 and 1 are one trajectory, 2 and 3 the other.
        assert_eq!(sampler.returns(&trials, &[1.0, 2.0, 4.0, 8.0]), [2.0, 2.0, 8.0, 8.0]);
        let directions = [Direction::Minimize];
        let (settled, pending) = trials.split_at(2);
        let ask = Ask { seed: 1, number: 4, space: &space, directions: &directions, settled, pending };
        assert_eq!(sampler.state(&ask, 1), [Some(1), Some(2)]);
        assert_eq!(sampler.state(&ask, 3), [Some(0), Some(3)]);
        let starts: Vec<_> = (0..40).map(|n| sampler.state(&ask, 2 * n)[0]).collect();
        assert!((0..4).all(|x| starts.contains(&Some(x))));
    }

    #[test]
    fn one_update_is_the_mean_over_trajectories_of_the_score_times_what_is_above_the_baseline() {
        let space = space();
        let trials: Vec<Past> = [(0, 1.0, 5.0), (1, 2.0, 1.0)].map(|(n, x, value)| past(n, x, value)).into();
        let ask = Ask { seed: 1, number: 2, space: &space, directions: &[], settled: &trials, pending: &[] };
        for (baseline, advantages) in [(Baseline::None, [-5.0, -1.0]), (Baseline::Mean, [-2.0, 2.0])] {
            let mut sampler = sampler(PolicyGradientConfig { baseline, horizon: 1, ..CONFIG });
            let before = sampler.untaught(&ask);
            let mut grad = vec![0.0; before.policy.params.len()];
            for (past, advantage) in trials.iter().zip(advantages) {
                let choices = sampler.levels.of(&space, &past.point);
                before.policy.add_gradient(&sampler.state(&ask, past.number), &choices, advantage / 2.0, &mut grad);
            }
            // The first step of Adam goes by the learning rate in the direction of the sign.
            let after = sampler.learned(&ask);
            let moved = after.policy.params.iter().zip(&before.policy.params).zip(&grad);
            for ((after, before), g) in moved.filter(|(_, g)| g.abs() > 1e-4) {
                assert!((after - before - 0.01 * g.signum()).abs() < 1e-5, "{after} {before} {g}");
            }
        }
    }

    #[test]
    fn a_policy_comes_to_prefer_the_best_values() {
        let space = space();
        for policy in [PolicyKind::Mlp, PolicyKind::Rnn, PolicyKind::Lstm { width: 8 }] {
            let config = PolicyGradientConfig { policy, batch: 16, horizon: 1, baseline: Baseline::Mean, ..CONFIG };
            let (mut sampler, mut all) = (sampler(config), Vec::<Past>::new());
            for number in 0..640 {
                let ask = Ask { seed: 2, number, space: &space, directions: &[], settled: &all, pending: &[] };
                let point = sampler.propose(&ask).unwrap();
                let [x, y] = [point[0].unwrap(), point[1].unwrap()];
                // The best values differ: 3 and 1.
                all.push(Past { point, ..past(number, x, (x - 3.0).powi(2) + (y - 1.0).powi(2)) });
            }
            let mean = |part: &[Past]| part.iter().map(|past| past.values[0]).sum::<f64>() / part.len() as f64;
            // At random 3.5 + 1.5.
            let (first, last) = (mean(&all[..64]), mean(&all[576..]));
            assert!(first > 3.5 && last < 0.8, "{policy:?}: {first} {last}");
        }
    }
}
