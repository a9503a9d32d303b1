//! Tabular Q-learning with an exploration rate that follows the spread of the Q-values.
//!
//! Source: Vashishtha 2025, Adaptive hyperparameter optimization for deep learning models using reinforcement learning
//! with dynamic exploration-exploitation balancing. Earlier versions named this sampler `vashishtha`; the name is still
//! accepted.
//!
//! ```text
//! Q(s, a) ← Q(s, a) + α [R(s, a) + γ max over a' of Q(s', a') - Q(s, a)]                                  section 3.2
//! ε = ε_min + (ε_max - ε_min) exp(-k t),   k = k0 ± λ Var(Q(s, ·)),   t the number of episodes            section 3.3
//! ```
//!
//! An episode is a trial: the agent picks the value of one parameter after the other, so that the next state follows
//! from state and action, as the paper requires. The paper leaves some points open, which are filled in here:
//!
//! - *State.* `state=paper` follows its text: all values picked so far, and of the trial before this one the accuracy
//!   (in tenths) and the epoch that it reached (its logarithm to base 2; 0 where it reported none). Then nearly every
//!   trial has a state of its own, so the default is `state=chain`: which parameter is next and the last `memory`
//!   values picked, as in Baker et al. 2017 (arXiv 1611.02167).
//! - *Reward.* The paper's is the accuracy. An objective here may be anything, so it is -ln(1 - u + 1/(n+1)) / ln(n+1),
//!   u the share of the n trials so far that are worse: in [0, 1] as an accuracy is, 1 for the best and 0 for the worst
//!   or one that failed. It is spread evenly over the picks of an episode (Zhong et al. 2018, arXiv 1708.05552): with a
//!   reward at the end alone, the first picks would learn last.
//! - *ε.* The text wants a high variance to slow its decay, the formula speeds it up; the text says sigmoid, the
//!   formula is an exponential: see [`DynamicEpsilon`]. Defaults: the text's sign, the formula's shape.
//! - *α* is 1/n at the n-th visit of a state and action as long as that is larger: Q is a mean at first, then an
//!   average that forgets.
//! - A configuration that was tried is not proposed again while others come up within 64 draws, each of which explores
//!   more: an objective that gives the same value twice teaches nothing.
//!
//! Since ranks change with every result, Q is learned anew from the whole history for each proposal, episode by
//! episode, each from its last pick to its first.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `n` | 10 | number of values of a parameter that has more, evenly on its scale | 2 to 1000 |
//! | `alpha` | 0.1 | α | (0, 1] |
//! | `gamma` | 0.95 | γ | [0, 1] |
//! | `state` | chain | `chain` or `paper` | |
//! | `memory` | 1 | number of values picked before that are part of a state of the chain | 0 to 100 |
//! | `initial` | 0.5 | Q of a new state, as a share of the largest reward that is still possible | [0, 1] |
//! | `max`, `min` | 1, 0.01 | ε_max, ε_min | 0 ≤ min ≤ max ≤ 1 |
//! | `rate` | 0.03 | k0, a trial | [0, ∞) |
//! | `scale` | 0.3 | λ | [0, ∞) |
//! | `variance` | slows | effect of a high variance on the decay: `slows` (text), `speeds` (formula) | |
//! | `shape` | exponential | `exponential` (formula), `sigmoid` (text) | |

use super::learning::{Levels, costs, rewards};
use super::{Ask, Sampler, Setting, Spec, SpecError};
use crate::dqn::{DecayShape, DynamicEpsilon, EpsilonSchedule, VarianceEffect};
use crate::statistics::mean;
use crate::tuner::direction::Direction;
use crate::tuner::space::{Point, Space};
use crate::tuner::trial::Past;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn build(spec: &mut Spec, setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    Ok(Box::new(agent(spec, setting)?))
}

/// The exploration rate ε of each trial of a study: what it was when the trial was proposed, mean over the parameters.
///
/// `text` is the sampler with its options; the trials are in order, and each was proposed after the one before it had ended.
/// Where a proposal had been tried before, the sampler drew again and explored more than this.
///
/// ```
/// use qgd::tuner::samplers::q_learning::exploration;
/// use qgd::tuner::{Direction, Distribution, Parameter, Past, Setting, Space, TrialState};
/// let space = Space::new([Parameter::new("x", Distribution::int(0, 4))])?;
/// let setting = Setting { space: &space, directions: &[Direction::Minimize] };
/// let trial = |number| {
///     let (intermediate, constraints) = Default::default();
///     Past { number, state: TrialState::Complete, point: vec![Some(0.0)], values: vec![1.0], intermediate, constraints }
/// };
/// // λ = 0: the values have no say, and the rate falls from 1 with k0.
/// let rates = exploration("q-learning:rate=0.1,scale=0,min=0", &setting, &[0, 1].map(trial))?;
/// assert_eq!(rates, [1.0, (-0.1f64).exp()]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When `text` is another sampler, an option is wrong, or the sampler is not made for this study.
pub fn exploration(text: &str, setting: &Setting<'_>, trials: &[Past]) -> Result<Vec<f64>, SpecError> {
    let mut spec = Spec::parse(&super::current(text))?;
    if spec.name != "q-learning" {
        let known = "q-learning".to_owned();
        return Err(SpecError::UnknownName { what: "sampler with such a rate", name: spec.name, known });
    }
    let agent = agent(&mut spec, setting)?;
    spec.finish()?;
    Ok((0..trials.len()).map(|n| agent.explored(setting.space, &trials[..n], &trials[n])).collect())
}

fn agent(spec: &mut Spec, setting: &Setting<'_>) -> Result<QLearning, SpecError> {
    let share = |v: &f64| (0.0..=1.0).contains(v);
    let at_least_0 = |v: &f64| *v >= 0.0 && v.is_finite();
    let n = spec.option("n", 10, "from 2 to 1000", |n| (2..=1000).contains(n))?;
    let max = spec.option("max", 1.0, "in [0, 1]", share)?;
    let variance = match spec.option("variance", "slows".to_owned(), "slows or speeds", one_of(&["slows", "speeds"]))? {
        text if text == "speeds" => VarianceEffect::Speeds,
        _ => VarianceEffect::Slows,
    };
    let shapes = ["exponential", "sigmoid"];
    let shape = match spec.option("shape", shapes[0].to_owned(), "exponential or sigmoid", one_of(&shapes))? {
        text if text == "sigmoid" => DecayShape::Sigmoid,
        _ => DecayShape::Exponential,
    };
    let epsilon = DynamicEpsilon {
        max,
        min: spec.option("min", max.min(0.01), "from 0 to max", |v| 0.0 <= *v && *v <= max)?,
        rate: spec.option("rate", 0.03, "a finite number of at least 0", at_least_0)?,
        variance_scale: spec.option("scale", 0.3, "a finite number of at least 0", at_least_0)?,
        variance,
        shape,
    };
    let states = ["chain", "paper"];
    let is_paper = spec.option("state", states[0].to_owned(), "chain or paper", one_of(&states))? == "paper";
    let memory = spec.option("memory", 1, "from 0 to 100", |n| *n <= 100)?;
    Ok(QLearning {
        alpha: spec.option("alpha", 0.1, "in (0, 1]", |v| *v > 0.0 && *v <= 1.0)?,
        gamma: spec.option("gamma", 0.95, "in [0, 1]", share)?,
        initial: spec.option("initial", 0.5, "in [0, 1]", share)?,
        memory: if is_paper { usize::MAX } else { memory },
        sees_last_trial: is_paper,
        epsilon: EpsilonSchedule::Dynamic(epsilon),
        direction: setting.one_objective("q-learning")?,
        levels: Levels::new(setting.space, n),
    })
}

fn one_of<'a>(words: &'a [&'a str]) -> impl Fn(&String) -> bool + 'a {
    |text| words.contains(&text.as_str())
}

/// Label of the random numbers. It is the former name of the sampler: with another label every study would try other
/// trials.
const STREAM: &str = "vashishtha";

/// Most draws for a configuration that was not tried; the last of them explore always.
const MAX_DRAWS: usize = 64;

struct QLearning {
    alpha: f64,
    gamma: f64,
    initial: f64,
    memory: usize,
    sees_last_trial: bool,
    epsilon: EpsilonSchedule,
    direction: Direction,
    levels: Levels,
}

/// State of the agent: which parameter is next, the result of the trial before (reward in tenths, and log2 of its last
/// step), and the last values picked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    parameter: usize,
    last_trial: (u8, u8),
    picked: Vec<usize>,
}

/// Q and the number of visits, for every value of the parameter that is next.
type Row = Vec<(f64, u32)>;

/// One pick of an episode.
struct Pick {
    state: State,
    choice: usize,
    /// Share of the episode before it.
    begun: f64,
}

#[derive(Default)]
struct Table(BTreeMap<State, Row>);

impl QLearning {
    /// The table after all these trials.
    fn learned(&self, space: &Space, settled: &[Past]) -> Table {
        let rewards = rewards(&costs(settled, self.direction));
        let mut table = Table::default();
        for (j, (past, reward)) in settled.iter().zip(&rewards).enumerate() {
            let last_trial = self.last_trial(&settled[..j], &rewards[..j]);
            let picks = self.picks(&self.levels.of(space, &past.point), last_trial);
            self.learn(&mut table, &picks, *reward);
        }
        table
    }

    /// One episode, from its last pick to its first.
    fn learn(&self, table: &mut Table, picks: &[Pick], reward: f64) {
        let paid = reward / picks.len().max(1) as f64;
        let mut next_best = 0.0;
        for pick in picks.iter().rev() {
            let row = self.row(table, &pick.state, pick.begun);
            let (q, n_visits) = &mut row[pick.choice];
            *n_visits += 1;
            let alpha = self.alpha.max(1.0 / f64::from(*n_visits));
            *q += alpha * (paid + self.gamma * next_best - *q);
            next_best = row.iter().map(|(q, _)| *q).fold(f64::NEG_INFINITY, f64::max);
        }
    }

    /// The Q-values of a state, which may be new to the table.
    fn row<'t>(&self, table: &'t mut Table, state: &State, begun: f64) -> &'t mut Row {
        let unknown = self.initial * (1.0 - begun);
        let n = self.levels.counts()[state.parameter];
        table.0.entry(state.clone()).or_insert_with(|| vec![(unknown, 0); n])
    }

    /// The picks that make a configuration.
    fn picks(&self, choices: &[Option<usize>], last_trial: (u8, u8)) -> Vec<Pick> {
        let active: Vec<(usize, usize)> =
            choices.iter().enumerate().filter_map(|(i, choice)| choice.map(|choice| (i, choice))).collect();
        let n = active.len().max(1) as f64;
        let pick = |(at, &(parameter, choice)): (usize, &(usize, usize))| {
            let before: Vec<usize> = active[..at].iter().map(|pair| pair.1).collect();
            Pick { state: self.state(parameter, last_trial, &before), choice, begun: at as f64 / n }
        };
        active.iter().enumerate().map(pick).collect()
    }

    fn state(&self, parameter: usize, last_trial: (u8, u8), before: &[usize]) -> State {
        let picked = before[before.len().saturating_sub(self.memory)..].to_vec();
        State { parameter, last_trial, picked }
    }

    /// Result of the last of these trials.
    fn last_trial(&self, settled: &[Past], rewards: &[f64]) -> (u8, u8) {
        let (true, Some(past), Some(reward)) = (self.sees_last_trial, settled.last(), rewards.last()) else {
            return (0, 0);
        };
        let epoch = past.intermediate.last_key_value().map_or(0, |(&step, _)| step.max(0) as u64);
        ((10.0 * reward) as u8, (epoch + 1).ilog2() as u8)
    }

    /// ε of the trial of this number, in the state that has these Q-values.
    fn rate(&self, number: usize, row: &Row) -> f64 {
        let q_values: Vec<f32> = row.iter().map(|(q, _)| *q as f32).collect();
        self.epsilon.epsilon(number as f64, &q_values)
    }

    /// ε with which the parameters of this trial were picked, mean over them.
    fn explored(&self, space: &Space, settled: &[Past], trial: &Past) -> f64 {
        let mut table = self.learned(space, settled);
        let last = self.last_trial(settled, &rewards(&costs(settled, self.direction)));
        let picks = self.picks(&self.levels.of(space, &trial.point), last);
        mean(picks.iter().map(|pick| self.rate(trial.number, self.row(&mut table, &pick.state, pick.begun))))
    }

    /// A configuration, picked ε-greedily; with `least` ε is at least that.
    fn episode(&self, ask: &Ask<'_>, table: &mut Table, last: (u8, u8), least: f64, rng: &mut ChaCha8Rng) -> Point {
        let (mut point, mut before, n) = (Point::new(), Vec::new(), ask.space.len() as f64);
        for i in 0..ask.space.len() {
            if !ask.space.is_active(i, &point) {
                point.push(None);
                continue;
            }
            let row = self.row(table, &self.state(i, last, &before), before.len() as f64 / n);
            let epsilon = self.rate(ask.number, row).max(least);
            let choice = if rng.random::<f64>() < epsilon { rng.random_range(0..row.len()) } else { best(row, rng) };
            before.push(choice);
            point.push(Some(self.levels.value(i, choice)));
        }
        ask.space.fill(|i, _| point[i].unwrap_or_default())
    }
}

/// One of the choices of the highest Q, at random.
fn best(row: &Row, rng: &mut ChaCha8Rng) -> usize {
    let highest = row.iter().map(|(q, _)| *q).fold(f64::NEG_INFINITY, f64::max);
    let equals: Vec<usize> = (0..row.len()).filter(|&i| row[i].0 >= highest).collect();
    equals[rng.random_range(0..equals.len())]
}

impl Sampler for QLearning {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        let mut table = self.learned(ask.space, ask.settled);
        let last = self.last_trial(ask.settled, &rewards(&costs(ask.settled, self.direction)));
        let key = |past: &Past| self.levels.of(ask.space, &past.point);
        let tried: BTreeSet<Vec<Option<usize>>> = ask.settled.iter().chain(ask.pending).map(key).collect();
        let mut rng = ask.rng(STREAM);
        let mut point = Point::new();
        for draw in 0..MAX_DRAWS {
            let least = (2.0 * draw as f64 / MAX_DRAWS as f64).min(1.0);
            point = self.episode(ask, &mut table, last, least, &mut rng);
            if !tried.contains(&self.levels.of(ask.space, &point)) {
                break;
            }
        }
        Some(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::{Distribution, Parameter, TrialState};

    fn space() -> Space {
        Space::new([
            Parameter::new("a", Distribution::int(0, 1)),
            Parameter::new("b", Distribution::int(0, 2)).when("a", [1]),
        ])
        .unwrap()
    }

    fn past(number: usize, point: &[Option<f64>], value: f64) -> Past {
        let intermediate = BTreeMap::from([(7, value)]);
        let state = TrialState::Complete;
        Past { number, state, point: point.to_vec(), values: vec![value], intermediate, constraints: vec![] }
    }

    fn agent(alpha: f64, is_paper: bool) -> QLearning {
        QLearning {
            alpha,
            gamma: 0.5,
            initial: 0.25,
            memory: if is_paper { usize::MAX } else { 1 },
            sees_last_trial: is_paper,
            epsilon: EpsilonSchedule::Constant(0.0),
            direction: Direction::Minimize,
            levels: Levels::new(&space(), 10),
        }
    }

    #[track_caller]
    fn close(row: &Row, expected: &[f64]) {
        assert!(row.iter().zip(expected).all(|((q, _), e)| (q - e).abs() < 1e-12), "{row:?} {expected:?}");
    }

    #[test]
    fn q_values_are_those_worked_out_by_hand() {
        // Of three trials the best earns 1, the worst 0, the middle one -ln(1/2 + 1/4) / ln 4.
        let middle = 0.75f64.ln() / 0.25f64.ln();
        let trials = [
            past(0, &[Some(1.0), Some(2.0)], 1.0),
            past(1, &[Some(0.0), None], 9.0),
            past(2, &[Some(1.0), Some(2.0)], 4.0),
        ];
        let table = agent(0.8, false).learned(&space(), &trials);
        let row =
            |parameter, picked: &[usize]| &table.0[&State { parameter, last_trial: (0, 0), picked: picked.to_vec() }];
        // Second pick, half of the way gone, so 0.125 where unknown. Trial 0: α = 1, target 1/2. Trial 2: α = 0.8.
        let b = 0.5 + 0.8 * (middle / 2.0 - 0.5);
        close(row(1, &[1]), &[0.125, 0.125, b]);
        // First pick. Trial 0: 1/2 + 0.5 · 0.5. Trial 1 ends there: target 0. Trial 2: its half and 0.5 max Q, after b
        // was updated.
        let first = 0.75 + 0.8 * (middle / 2.0 + 0.5 * b - 0.75);
        close(row(0, &[]), &[0.0, first]);
        assert_eq!(table.0.len(), 2);
    }

    #[test]
    fn the_rate_follows_the_variance_of_the_values_in_the_states_that_were_visited() {
        let trials = [past(0, &[Some(1.0), Some(2.0)], 1.0), past(1, &[Some(1.0), Some(2.0)], 9.0)];
        let setting = Setting { space: &space(), directions: &[Direction::Minimize] };
        let rates = |options: &str| {
            exploration(&format!("q-learning:rate=0.5,min=0,gamma=0.5,initial=0.25,{options}"), &setting, &trials)
                .unwrap()
        };
        // A single trial earns nothing. Second pick: its Q falls from 1/8 to 0, and the others stay. First pick: it falls
        // from 1/4 to 1/2 · 1/8.
        let (first, second) = ((3.0f64 / 32.0).powi(2), (2.0 / 24f64.powi(2) + 1.0 / 12f64.powi(2)) / 3.0);
        let by_hand = |sign: f64| mean([first, second].map(|variance: f64| (-(0.5 + sign * 20.0 * variance)).exp()));
        for (options, sign) in [("scale=20", -1.0), ("scale=20,variance=speeds", 1.0), ("scale=0", 0.0)] {
            let (expected, rates) = (by_hand(sign), rates(options));
            assert!(
                (rates[0] - 1.0).abs() < 1e-12 && (rates[1] - expected).abs() < 1e-6,
                "{options}: {rates:?} {expected}"
            );
        }
        assert!(exploration("random", &setting, &trials).unwrap_err().to_string().contains("`random`"));
    }

    #[test]
    fn the_state_of_the_paper_knows_accuracy_and_epoch_of_the_trial_before() {
        let trials = [past(0, &[Some(1.0), Some(2.0)], 1.0), past(1, &[Some(0.0), None], 9.0)];
        let table = agent(0.1, true).learned(&space(), &trials);
        let states: Vec<_> = table.0.keys().map(|s| (s.parameter, s.last_trial, s.picked.clone())).collect();
        // Trial 0 was the better one: tenths 10; its last step was 7, of which 8 is the next power of two.
        assert_eq!(states, [(0, (0, 0), vec![]), (0, (10, 3), vec![]), (1, (0, 0), vec![1])]);
    }

    #[test]
    fn the_best_arm_of_a_bandit_is_found_and_then_all_others_are_tried() {
        let space = Space::new(["x", "y"].map(|name| Parameter::new(name, Distribution::int(0, 4)))).unwrap();
        for text in ["q-learning:rate=0.2", "q-learning:rate=0.2,state=paper,variance=speeds,shape=sigmoid"] {
            let directions = [Direction::Maximize];
            let mut sampler = super::super::build(text, &Setting { space: &space, directions: &directions }).unwrap();
            let mut all: Vec<Past> = Vec::new();
            for number in 0..25 {
                let ask = Ask { seed: 4, number, space: &space, directions: &directions, settled: &all, pending: &[] };
                let point = sampler.propose(&ask).unwrap();
                let value = -(point[0].unwrap() - 3.0).abs() - (point[1].unwrap() - 1.0).abs();
                all.push(past(number, &point, value));
            }
            let seen: BTreeSet<String> = all.iter().map(|past| format!("{:?}", past.point)).collect();
            assert!(seen.len() >= 24, "{text}: {}", seen.len());
        }
    }

    #[test]
    fn options_out_of_range_are_named() {
        let space = space();
        let refused = |text: &str, directions: &[Direction]| {
            super::super::build(text, &Setting { space: &space, directions }).err().unwrap().to_string()
        };
        let one = [Direction::Minimize];
        for (text, key) in [
            ("q-learning:n=1", "n"),
            ("q-learning:alpha=0", "alpha"),
            ("q-learning:min=0.5,max=0.4", "min"),
            ("q-learning:variance=up", "variance"),
            ("q-learning:state=x", "state"),
        ] {
            assert!(refused(text, &one).contains(&format!("`{key}` of `q-learning`")), "{}", refused(text, &one));
        }
        assert!(refused("q-learning", &[Direction::Minimize; 2]).contains("one objective"));
    }
}
