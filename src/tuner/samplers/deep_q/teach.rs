//! Teaching: an agent tunes the same space many times on other data sets, whose results are known. It learns which
//! configurations tend to be good on which data, and in which order to try them.
//!
//! An episode is a short study of one lesson, in which every trial is looked up. The reward of a trial is
//!
//! ```text
//! r = -ln(1 - u + 1/(n+1)) / ln(n+1)        u the share of the n results of the lesson that it beats
//! ```
//!
//! so 1 for the best, ln 2 / ln(n+1) for one in the middle: differences among the best count most, for any unit. In
//! half of the episodes the agent is not told the facts about the data, so that it can do without them.

use super::STREAM;
use super::agent::{Agent, NetConfig, Transition};
use super::file::Taught;
use super::view::{Codec, Facts, Outcome, Seen, State, facts};
use crate::rng;
use crate::tuner::direction::Direction;
use crate::tuner::samplers::learning::{costs, rewards};
use crate::tuner::space::{Point, Space};
use crate::tuner::trial::{Past, Trial};
use crate::words::counted;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Results on one data set: configurations and their costs.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// Name, for the card of the file.
    pub name: String,
    /// Numbers of training examples, inputs and classes of the data (0 classes: regression). None where they are not
    /// known.
    pub data: Option<[u64; 3]>,
    /// Points of the space with their costs (less is better), None where a trial failed.
    pub results: Vec<(Point, Option<f64>)>,
}

impl Lesson {
    /// The finished trials of the study `name` with the costs of its first objective, which is to go in this direction, as
    /// points of `space`. Trials that are no points of it are left out.
    pub fn of_trials(
        name: String,
        trials: &[Trial],
        direction: Direction,
        space: &Space,
        data: Option<[u64; 3]>,
    ) -> Self {
        let finished = trials.iter().filter(|trial| trial.state.is_finished());
        let trials: Vec<Past> = finished.filter_map(|trial| Past::settled(trial, space)).collect();
        let costs = costs(&trials, direction);
        let results = trials.into_iter().map(|past| past.point).zip(costs).collect();
        Self { name, data, results }
    }
}

/// Settings of teaching.
#[derive(Debug, Clone, PartialEq)]
pub struct TeachConfig {
    /// Seed of everything random. Default 0.
    pub seed: u64,
    /// Number of short studies that the agent makes, 1 to 1,000,000. Default 600.
    pub episodes: usize,
    /// Number of trials of such a study, 2 to 10,000. Default 20.
    pub trials: usize,
    /// Number of updates of the network after each trial, 0 to 10,000. Default 1.
    pub updates: usize,
    /// Number of transitions of an update, 1 to 10,000. Default 16.
    pub batch: usize,
    /// Number of configurations that it may choose from at each trial, 2 to 100,000. Default 64.
    pub candidates: usize,
    /// Number of units of a hidden layer, 1 to 1024. Default 32.
    pub width: usize,
    /// Whether an LSTM reads the trials, as in Hyp-RL; otherwise neighborhoods are summed up. Default false.
    pub is_recurrent: bool,
    /// Discount in [0, 1). Default 0.3.
    pub gamma: f64,
    /// Learning rate of Adam in (0, 1]. Default 1e-3.
    pub lr: f64,
}

impl Default for TeachConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            episodes: 600,
            trials: 20,
            updates: 1,
            batch: 16,
            candidates: 64,
            width: 32,
            is_recurrent: false,
            gamma: 0.3,
            lr: 1e-3,
        }
    }
}

/// Why an agent cannot be taught.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TeachError {
    /// There is no lesson.
    #[error("there is no lesson, but at least 1 is needed")]
    NoLessons,
    /// A lesson has too few results.
    #[error("the lesson `{name}` has {}, but at least {needed} are needed: one more than trials a study", counted(*found, "result"))]
    TooFew {
        /// Name of the lesson.
        name: String,
        /// Number of its results.
        found: usize,
        /// Number of results that are needed.
        needed: usize,
    },
    /// A result is no point of the space.
    #[error("result {number} of the lesson `{name}` is no point of the space")]
    OtherSpace {
        /// Name of the lesson.
        name: String,
        /// Index of the result.
        number: usize,
    },
    /// A setting is out of its range.
    #[error("`{key}` is {value}, but must be {allowed}")]
    OutOfRange {
        /// Name of the setting.
        key: &'static str,
        /// Value of the setting.
        value: String,
        /// Values that are allowed.
        allowed: &'static str,
    },
}

impl TeachConfig {
    fn check(&self) -> Result<(), TeachError> {
        let checks = [
            ("episodes", self.episodes.to_string(), (1..=1_000_000).contains(&self.episodes), "from 1 to 1000000"),
            ("trials", self.trials.to_string(), (2..=10_000).contains(&self.trials), "from 2 to 10000"),
            ("updates", self.updates.to_string(), self.updates <= 10_000, "at most 10000"),
            ("batch", self.batch.to_string(), (1..=10_000).contains(&self.batch), "from 1 to 10000"),
            ("candidates", self.candidates.to_string(), (2..=100_000).contains(&self.candidates), "from 2 to 100000"),
            ("width", self.width.to_string(), (1..=1024).contains(&self.width), "from 1 to 1024"),
            ("gamma", self.gamma.to_string(), (0.0..1.0).contains(&self.gamma), "in [0, 1)"),
            ("lr", self.lr.to_string(), self.lr > 0.0 && self.lr <= 1.0, "in (0, 1]"),
        ];
        let wrong = checks.into_iter().find(|check| !check.2);
        wrong.map_or(Ok(()), |(key, value, _, allowed)| Err(TeachError::OutOfRange { key, value, allowed }))
    }
}

/// A lesson as the agent sees it.
struct Prepared {
    facts: Facts,
    trials: Vec<Seen>,
    rewards: Vec<f64>,
}

/// A short study on a lesson: the results that it has looked up.
struct Episode {
    lesson: usize,
    facts: Facts,
    taken: Vec<usize>,
    trials: Vec<Seen>,
}

/// Number of candidates of the next state that a target looks at.
const N_NEXT: usize = 16;

/// Teaches an agent. `progress` is called after each episode with the number of episodes done and the mean reward of
/// the last one.
///
/// # Errors
/// When there is no lesson, a lesson has too few results or some of another space, or a setting is out of its range.
pub fn teach(
    space: &Space,
    lessons: &[Lesson],
    config: &TeachConfig,
    mut progress: impl FnMut(usize, f64),
) -> Result<Taught, TeachError> {
    config.check()?;
    let codec = Codec::of(space);
    let prepared =
        lessons.iter().map(|lesson| prepare(lesson, space, &codec, config)).collect::<Result<Vec<_>, _>>()?;
    if prepared.is_empty() {
        return Err(TeachError::NoLessons);
    }
    let mut rng = rng::stream(config.seed, &format!("{STREAM}/teach"));
    let net = NetConfig { n_codes: codec.n_codes(), width: config.width, is_recurrent: config.is_recurrent };
    let mut agent = Agent::new(net, config.lr, config.gamma, &mut rng);
    let mut episodes: Vec<Episode> = Vec::new();
    for number in 0..config.episodes {
        let lesson = rng.random_range(0..prepared.len());
        let known = if rng.random_bool(0.5) { prepared[lesson].facts } else { [0.0; 5] };
        episodes.push(Episode { lesson, facts: known, taken: Vec::new(), trials: Vec::new() });
        // It falls from always to seldom over the first half.
        let epsilon = (1.0 - 2.0 * number as f64 / config.episodes as f64).max(0.1);
        for _ in 0..config.trials {
            step(&agent, &mut episodes[number], &prepared, epsilon, config, &mut rng);
            for _ in 0..config.updates {
                let batch = (0..config.batch).map(|_| draw(&episodes, &prepared, config, &mut rng));
                let batch: Vec<Transition<'_>> = batch.collect();
                agent.learn(&batch);
            }
        }
        let Episode { lesson, taken, .. } = &episodes[number];
        let sum: f64 = taken.iter().map(|&row| prepared[*lesson].rewards[row]).sum();
        progress(number + 1, sum / config.trials as f64);
    }
    let names = lessons.iter().map(|lesson| lesson.name.clone()).collect();
    Ok(Taught::new(config.seed, names, space, &agent, config.gamma))
}

fn prepare(lesson: &Lesson, space: &Space, codec: &Codec, config: &TeachConfig) -> Result<Prepared, TeachError> {
    let (name, found, needed) = (lesson.name.clone(), lesson.results.len(), config.trials + 1);
    if found < needed {
        return Err(TeachError::TooFew { name, found, needed });
    }
    if let Some(number) = lesson.results.iter().position(|(point, _)| !space.contains(point)) {
        return Err(TeachError::OtherSpace { name, number });
    }
    let costs: Vec<Option<f64>> = lesson.results.iter().map(|(_, cost)| cost.filter(|cost| !cost.is_nan())).collect();
    let seen = |((point, _), cost): (&(Point, Option<f64>), &Option<f64>)| Seen {
        code: codec.encode(point),
        outcome: cost.map_or(Outcome::Failed, Outcome::Cost),
    };
    let trials = lesson.results.iter().zip(&costs).map(seen).collect();
    let facts = lesson.data.map_or([0.0; 5], |[examples, inputs, classes]| facts(examples, inputs, classes));
    Ok(Prepared { facts, trials, rewards: rewards(&costs) })
}

/// The next trial of an episode.
fn step(
    agent: &Agent,
    episode: &mut Episode,
    lessons: &[Prepared],
    epsilon: f64,
    config: &TeachConfig,
    rng: &mut ChaCha8Rng,
) {
    let lesson = &lessons[episode.lesson];
    let rows = untaken(lesson, &episode.taken, config.candidates, rng);
    let chosen = if rng.random::<f64>() < epsilon {
        0
    } else {
        let codes: Vec<Vec<f64>> = rows.iter().map(|&row| lesson.trials[row].code.clone()).collect();
        let q = agent.values(&State::new(episode.facts, &episode.trials), &codes);
        (0..q.len()).max_by(|&a, &b| q[a].total_cmp(&q[b])).unwrap_or(0)
    };
    let Some(&row) = rows.get(chosen) else { return };
    episode.taken.push(row);
    episode.trials.push(lesson.trials[row].clone());
}

/// At most `n` rows that were not taken yet, in random order.
fn untaken(lesson: &Prepared, taken: &[usize], n: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..n).map(|_| rng.random_range(0..lesson.trials.len())).collect();
    rows.retain(|row| !taken.contains(row));
    if rows.is_empty() {
        rows.extend((0..lesson.trials.len()).find(|row| !taken.contains(row)));
    }
    rows
}

/// A random transition of the episodes so far.
fn draw<'t>(
    episodes: &'t [Episode],
    lessons: &[Prepared],
    config: &TeachConfig,
    rng: &mut ChaCha8Rng,
) -> Transition<'t> {
    let episode = &episodes[rng.random_range(0..episodes.len())];
    let lesson = &lessons[episode.lesson];
    let t = rng.random_range(0..episode.taken.len());
    let row = episode.taken[t];
    // The agent knows the number of trials, so the last one ends the episode.
    let next = (t + 1 < config.trials && t + 1 < episode.trials.len()).then(|| {
        let rows = untaken(lesson, &episode.taken[..=t], N_NEXT, rng);
        let codes = rows.into_iter().map(|row| lesson.trials[row].code.clone()).collect();
        (State::new(episode.facts, &episode.trials[..=t]), codes)
    });
    Transition {
        state: State::new(episode.facts, &episode.trials[..t]),
        action: lesson.trials[row].code.clone(),
        reward: lesson.rewards[row],
        next,
    }
}
