//! Deep Q-learning over configurations: a network values any configuration, given the trials so far and facts about the
//! data; what it has learned on some data sets it can use on others.
//!
//! Sources: HyperQ-Opt (arXiv 2412.17765), which asks for continuous spaces and other policies than ε-greedy, and what
//! it rests on: Jomaa, Grabocka and Schmidt-Thieme 2019, Hyp-RL, arXiv 1906.11527. Earlier versions named this sampler
//! `hyperq`; the name is still accepted.
//!
//! ```text
//! state    the trials so far with how good they were, how many they are, and of the data: examples, inputs, classes
//! action   a configuration;  Q(s, a) = network(features(s, a)), so any of them can be valued, not only those of a grid
//! reward   -ln(1 - u + 1/(n+1)) / ln(n+1), u the share of the n trials that it beats: 1 for the best
//! ```
//!
//! **Infinite spaces.** The argmax over a of Q(s, a) is searched for as in QT-Opt (Kalashnikov et al. 2018, arXiv
//! 1806.10293): `candidates` are drawn, a fifth of them near the best trials; then three times others are drawn around
//! the best one, each time nearer. Configurations that were tried already are left out.
//!
//! **State.** With `net=mlp` (default) the inputs are, for each candidate, how good the trials in its neighborhood
//! were, how many there were, and how far it is from the best trial; `net=lstm` is that of Hyp-RL: an LSTM reads the
//! last 40 trials.
//!
//! **Transfer.** `deep-q:FILE` starts from a file that [`teach`] made on other data sets; it must know the same
//! parameters. It then does not explore, but goes on learning: without that (`updates=0`) it does well on some data
//! sets and badly on others. Every worker needs the same file.
//!
//! Deviations from Hyp-RL: configurations are never tried twice, where Hyp-RL ends an episode at the first repetition;
//! rewards are ranks, where Hyp-RL's are accuracies; there is a target network that follows by Polyak averaging.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `FILE` | none | a taught agent | |
//! | `net` | mlp (FILE: its own) | `mlp` or `lstm` | |
//! | `width` | 32 (FILE: its own) | number of units of a hidden layer | 1 to 1024 |
//! | `explore` | epsilon | `epsilon`, `softmax`, `ucb` or `thompson` | |
//! | `epsilon` | 1 (FILE: 0) | probability of a random trial at the start | [0, 1] |
//! | `least` | 0.05 (FILE: 0) | probability of a random trial after `over` trials | [0, 1] |
//! | `over` | 40 | number of trials in which it falls | (0, ∞) |
//! | `temperature` | 0.02 | temperature of softmax, in units of the reward | (0, ∞) |
//! | `bonus` | 0.1 | bonus of UCB, in units of the reward | [0, ∞) |
//! | `std` | 0.2 | standard deviation of Thompson, in units of the reward | (0, ∞) |
//! | `candidates` | 300 | number of configurations that are valued for a trial | 2 to 100000 |
//! | `updates` | 8 | number of updates after each trial | 0 to 10000 |
//! | `batch` | 16 | number of transitions of an update | 1 to 10000 |
//! | `gamma` | 0 (FILE: its own) | discount | [0, 1) |
//! | `lr` | 3e-3 | learning rate of Adam | (0, 1] |
//! | `examples`, `inputs`, `classes` | not known | numbers of these in the training data; 0 classes are a regression | |

mod agent;
mod explore;
mod file;
mod teach;
mod view;

pub use file::Taught;
pub use teach::{Lesson, TeachConfig, TeachError, teach};

use super::learning::{costs, rewards};
use super::{Ask, Sampler, Setting, Spec, SpecError};
use crate::dqn::EpsilonSchedule;
use crate::rng::standard_normal;
use crate::tuner::direction::Direction;
use crate::tuner::distribution::Distribution;
use crate::tuner::space::{Parameter, Point};
use crate::tuner::trial::Past;
use agent::{Agent, NetConfig, Transition};
use explore::Explore;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::path::Path;
use view::{Codec, Facts, Outcome, Seen, State};

/// Label of the random numbers. It is the former name of the sampler: with another label every study would try other
/// trials.
const STREAM: &str = "hyperq";

pub(super) fn build(spec: &mut Spec, setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    let positive = |v: &f64| *v > 0.0 && v.is_finite();
    let file = spec.plain();
    let is_taught = file.is_some();
    let lr = spec.option("lr", 3e-3, "in (0, 1]", |v| *v > 0.0 && *v <= 1.0)?;
    let start = match file {
        Some(path) => taught(spec, setting, &path, lr)?,
        None => untaught(spec, setting, lr)?,
    };
    let [first, last] = if is_taught { [0.0, 0.0] } else { [1.0, 0.05] };
    let share = |v: &f64| (0.0..=1.0).contains(v);
    let epsilon = Explore::Epsilon(EpsilonSchedule::Linear {
        first: spec.option("epsilon", first, "in [0, 1]", share)?,
        last: spec.option("least", last, "in [0, 1]", share)?,
        over: spec.option("over", 40.0, "a finite number above 0", positive)?,
    });
    let softmax =
        Explore::Softmax { temperature: spec.option("temperature", 0.02, "a finite number above 0", positive)? };
    let bonus = spec.option("bonus", 0.1, "a finite number of at least 0", |v: &f64| *v >= 0.0 && v.is_finite())?;
    let thompson = Explore::Thompson { std: spec.option("std", 0.2, "a finite number above 0", positive)? };
    let policies =
        [("epsilon", epsilon), ("softmax", softmax), ("ucb", Explore::Ucb { bonus }), ("thompson", thompson)];
    let is_known = |name: &String| policies.iter().any(|policy| policy.0 == name.as_str());
    let policy = spec.option("explore", "epsilon".to_owned(), "epsilon, softmax, ucb or thompson", is_known)?;
    let explore = policies.into_iter().find(|known| known.0 == policy).map_or(epsilon, |known| known.1);
    let facts = known_facts(spec)?;
    let n_candidates = spec.option("candidates", 300, "from 2 to 100000", |n| (2..=100_000).contains(n))?;
    let updates = spec.option("updates", 8, "from 0 to 10000", |n| *n <= 10_000)?;
    let batch = spec.option("batch", 16, "from 1 to 10000", |n| (1..=10_000).contains(n))?;
    let direction = setting.one_objective("deep-q")?;
    Ok(Box::new(DeepQ { start, explore, facts, n_candidates, updates, batch, direction, learned: None }))
}

/// Agent that learning starts from.
enum Start {
    /// A new one.
    Untaught { net: NetConfig, codec: Codec, lr: f64, gamma: f64 },
    /// One from a file.
    Taught { agent: Box<Agent>, codec: Codec },
}

fn untaught(spec: &mut Spec, setting: &Setting<'_>, lr: f64) -> Result<Start, SpecError> {
    let is_net = |name: &String| ["mlp", "lstm"].contains(&name.as_str());
    let is_recurrent = spec.option("net", "mlp".to_owned(), "mlp or lstm", is_net)? == "lstm";
    let width = spec.option("width", 32, "from 1 to 1024", |n| (1..=1024).contains(n))?;
    let gamma = spec.option("gamma", 0.0, "in [0, 1)", |v| (0.0..1.0).contains(v))?;
    let codec = Codec::of(setting.space);
    Ok(Start::Untaught { net: NetConfig { n_codes: codec.n_codes(), width, is_recurrent }, codec, lr, gamma })
}

fn taught(spec: &Spec, setting: &Setting<'_>, path: &str, lr: f64) -> Result<Start, SpecError> {
    let wrong = |allowed: String| spec.wrong("FILE", path, allowed);
    let taught = Taught::load(Path::new(path)).map_err(|error| {
        let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        wrong(format!("a file of a taught agent ({reason})"))
    })?;
    let names = setting.space.names();
    let other = || wrong(format!("of an agent that knows the parameters {names}; this one knows {}", taught.names()));
    let (agent, codec) = taught.agent(setting.space, lr).ok_or_else(other)?;
    Ok(Start::Taught { agent: Box::new(agent), codec })
}

fn known_facts(spec: &mut Spec) -> Result<Facts, SpecError> {
    let mut number = |key| -> Result<Option<u64>, SpecError> {
        let text = spec.option(key, String::new(), "a whole number", |text: &String| text.parse::<u64>().is_ok())?;
        Ok(text.parse().ok())
    };
    let known = [number("examples")?, number("inputs")?, number("classes")?];
    Ok(match known {
        [None, None, None] => [0.0; 5],
        [examples, inputs, classes] => {
            view::facts(examples.unwrap_or(1000), inputs.unwrap_or(10), classes.unwrap_or(0))
        }
    })
}

struct DeepQ {
    start: Start,
    explore: Explore,
    facts: Facts,
    n_candidates: usize,
    updates: usize,
    batch: usize,
    direction: Direction,
    learned: Option<Learned>,
}

/// Agent after the first `n_seen` settled trials.
struct Learned {
    agent: Agent,
    n_seen: usize,
}

/// Number of candidates of the next state that a target looks at.
const N_NEXT: usize = 8;
/// Distance at which neighbors of a good trial are drawn, as a share of the range; and of the best candidate, round by
/// round.
const NEAR: f64 = 0.15;
const ROUNDS: [f64; 3] = [0.15, 0.08, 0.04];
/// Number of draws of a round.
const N_REFINED: usize = 24;

impl DeepQ {
    fn codec(&self) -> &Codec {
        match &self.start {
            Start::Untaught { codec, .. } | Start::Taught { codec, .. } => codec,
        }
    }

    fn first_agent(&self, ask: &Ask<'_>) -> Agent {
        match &self.start {
            Start::Untaught { net, lr, gamma, .. } => {
                Agent::new(*net, *lr, *gamma, &mut ask.study_rng(&format!("{STREAM}/init")))
            }
            Start::Taught { agent, .. } => (**agent).clone(),
        }
    }

    fn seen(&self, past: &Past, cost: Option<f64>) -> Seen {
        let code = self.codec().encode(&past.point);
        Seen { code, outcome: cost.map_or(Outcome::Failed, Outcome::Cost) }
    }

    /// Agent that has learned from all settled trials, one after the other.
    fn learned(&mut self, ask: &Ask<'_>, seen: &[Seen], costs: &[Option<f64>]) -> Learned {
        let known = self.learned.take().filter(|learned| learned.n_seen <= costs.len());
        let mut learned = known.unwrap_or_else(|| Learned { agent: self.first_agent(ask), n_seen: 0 });
        while learned.n_seen < costs.len() {
            learned.n_seen += 1;
            if self.updates > 0 {
                self.learn(&mut learned.agent, ask, &seen[..learned.n_seen], &costs[..learned.n_seen]);
            }
        }
        learned
    }

    /// Makes the updates that follow the last of these trials.
    fn learn(&self, agent: &mut Agent, ask: &Ask<'_>, seen: &[Seen], costs: &[Option<f64>]) {
        let mut rng = ask.study_rng(&format!("{STREAM}/learn/{}", seen.len()));
        let rewards = rewards(costs);
        for _ in 0..self.updates {
            let mut transition = || {
                let t = rng.random_range(0..seen.len());
                let next = agent.looks_ahead().then(|| {
                    let codes = (0..N_NEXT).map(|_| self.codec().encode(&ask.space.random_point(&mut rng))).collect();
                    (State::new(self.facts, &seen[..=t]), codes)
                });
                let state = State::new(self.facts, &seen[..t]);
                Transition { state, action: seen[t].code.clone(), reward: rewards[t], next }
            };
            let batch: Vec<Transition<'_>> = (0..self.batch).map(|_| transition()).collect();
            agent.learn(&batch);
        }
    }

    /// The best of many candidates, refined.
    fn best(
        &self,
        ask: &Ask<'_>,
        agent: &Agent,
        state: &State<'_>,
        good: &[&Point],
        tried: &BTreeSet<Vec<u64>>,
        rng: &mut ChaCha8Rng,
    ) -> Option<Point> {
        let n_near = if good.is_empty() { 0 } else { self.n_candidates / 5 };
        let mut candidates: Vec<Point> = (n_near..self.n_candidates).map(|_| ask.space.random_point(rng)).collect();
        candidates.extend((0..n_near).map(|i| neighbor(ask, good[i % good.len()], NEAR, rng)));
        let (mut point, mut score) = self.chosen(ask, agent, state, candidates, tried, rng)?;
        for size in ROUNDS.iter().filter(|_| self.explore.is_greedy()) {
            let near = (0..N_REFINED).map(|_| neighbor(ask, &point, *size, rng)).collect();
            if let Some((better, higher)) = self.chosen(ask, agent, state, near, tried, rng)
                && higher > score
            {
                (point, score) = (better, higher);
            }
        }
        Some(point)
    }

    /// The candidate that the policy chooses, with its score. None where all were tried already.
    fn chosen(
        &self,
        ask: &Ask<'_>,
        agent: &Agent,
        state: &State<'_>,
        mut candidates: Vec<Point>,
        tried: &BTreeSet<Vec<u64>>,
        rng: &mut ChaCha8Rng,
    ) -> Option<(Point, f64)> {
        candidates.retain(|point| !tried.contains(&key(point)));
        let codes: Vec<Vec<f64>> = candidates.iter().map(|point| self.codec().encode(point)).collect();
        let values = agent.values(state, &codes);
        let n = ask.settled.len() + ask.pending.len();
        let score = |(q, code): (f64, &Vec<f64>)| self.explore.score(q, state, n, code, rng);
        let scores: Vec<f64> = values.into_iter().zip(&codes).map(score).collect();
        let chosen = self.explore.choose(&scores, rng);
        let score = scores.get(chosen).copied()?;
        Some((candidates.swap_remove(chosen), score))
    }
}

/// A point as numbers that have an order.
fn key(point: &[Option<f64>]) -> Vec<u64> {
    point.iter().map(|value| value.map_or(u64::MAX, f64::to_bits)).collect()
}

/// A point in which about half of the parameters are moved by `size` of their range, or to another choice.
fn neighbor(ask: &Ask<'_>, point: &Point, size: f64, rng: &mut ChaCha8Rng) -> Point {
    let mut moved = |i: usize, parameter: &Parameter| {
        let distribution = &parameter.distribution;
        let (Some(value), random) = (point[i], rng.random()) else { return distribution.from_unit(rng.random()) };
        if rng.random_bool(0.5) {
            return value;
        }
        match distribution {
            Distribution::Categorical { .. } => distribution.from_unit(random),
            _ => distribution.from_unit(distribution.to_unit(value) + size * standard_normal(rng)),
        }
    };
    ask.space.fill(|i, parameter| moved(i, parameter))
}

impl Sampler for DeepQ {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        let costs = costs(ask.settled, self.direction);
        let mut seen: Vec<Seen> = ask.settled.iter().zip(&costs).map(|(past, cost)| self.seen(past, *cost)).collect();
        let learned = self.learned(ask, &seen, &costs);
        let mut rng = ask.rng(STREAM);
        let pending = ask.pending.iter().map(|past| self.codec().encode(&past.point));
        seen.extend(pending.map(|code| Seen { code, outcome: Outcome::Unknown }));
        let tried: BTreeSet<Vec<u64>> = ask.settled.iter().chain(ask.pending).map(|past| key(&past.point)).collect();
        let mut by_cost: Vec<usize> = (0..costs.len()).filter(|&i| costs[i].is_some()).collect();
        by_cost.sort_by(|&a, &b| costs[a].unwrap_or(f64::MAX).total_cmp(&costs[b].unwrap_or(f64::MAX)));
        let good: Vec<&Point> = by_cost.iter().take(3).map(|&i| &ask.settled[i].point).collect();
        let best = if self.explore.is_random(ask.number, &mut rng) {
            None
        } else {
            self.best(ask, &learned.agent, &State::new(self.facts, &seen), &good, &tried, &mut rng)
        };
        self.learned = Some(learned);
        best.or_else(|| {
            let draws: Vec<Point> = (0..32).map(|_| ask.space.random_point(&mut rng)).collect();
            let new = draws.iter().position(|point| !tried.contains(&key(point))).unwrap_or(0);
            draws.into_iter().nth(new)
        })
    }
}

#[cfg(test)]
mod tests;
