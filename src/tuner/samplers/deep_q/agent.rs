//! The Q-network, and how it learns from transitions.
//!
//! ```text
//! Q(s, a) = MLP(features(s, a))                       or, recurrent,  MLP([LSTM(trials of s); features(s, a)])
//! y = r + γ max over a' of Q'(s', a')                 a' among the candidates of the next state, Q' the target network
//! loss = mean Huber(Q(s, a) - y), Adam;               θ' ← θ' + τ (θ - θ') after every update
//! ```

use super::super::learning::{Adam, Layout, Linear, Map, Tape, Var};
use super::view::State;
use rand_chacha::ChaCha8Rng;

/// Size and kind of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NetConfig {
    /// Length of an encoded configuration.
    pub n_codes: usize,
    /// Number of units of each of the two hidden layers.
    pub width: usize,
    /// Whether an LSTM of that width reads the trials.
    pub is_recurrent: bool,
}

/// A Q-network without its weights.
#[derive(Debug, Clone)]
struct Shape {
    config: NetConfig,
    cell: Option<Linear>,
    layers: [Linear; 3],
    n_params: usize,
}

impl Shape {
    fn new(config: NetConfig) -> Self {
        let NetConfig { n_codes, width, is_recurrent } = config;
        let mut layout = Layout::default();
        let cell = is_recurrent.then(|| layout.linear(State::n_sequence(n_codes) + width, 4 * width));
        let n_in = State::n_features(n_codes, is_recurrent) + if is_recurrent { width } else { 0 };
        let layers = [layout.linear(n_in, width), layout.linear(width, width), layout.linear(width, 1)];
        Self { config, cell, layers, n_params: layout.n_params }
    }

    /// Output of the LSTM after the trials; None without an LSTM.
    fn summary(&self, tape: &mut Tape<'_>, state: &State<'_>) -> Option<Var> {
        let cell = self.cell?;
        let zeros = tape.input(&vec![0.0; self.config.width]);
        let mut memory = (zeros, zeros);
        for row in state.sequence() {
            let x = tape.input(&row);
            memory = tape.lstm(cell, x, memory);
        }
        Some(memory.0)
    }

    fn value(&self, tape: &mut Tape<'_>, summary: Option<Var>, state: &State<'_>, code: &[f64]) -> Var {
        let mut x = tape.input(&state.features(code, self.config.is_recurrent));
        if let Some(summary) = summary {
            x = tape.join(summary, x);
        }
        for layer in &self.layers[..2] {
            x = tape.linear(*layer, x);
            x = tape.map(Map::Relu, x);
        }
        tape.linear(self.layers[2], x)
    }

    /// Q of every action in one state.
    fn values(&self, params: &[f64], state: &State<'_>, codes: &[Vec<f64>]) -> Vec<f64> {
        let mut tape = Tape::new(params);
        let summary = self.summary(&mut tape, state);
        let mark = tape.mark();
        let mut one = |code: &Vec<f64>| {
            let value = self.value(&mut tape, summary, state, code);
            let q = tape.value(value)[0];
            tape.rewind(mark);
            q
        };
        codes.iter().map(&mut one).collect()
    }
}

/// Transition: a state, an action, its reward, and what follows.
pub struct Transition<'t> {
    pub state: State<'t>,
    pub action: Vec<f64>,
    pub reward: f64,
    /// The next state and actions that are possible there; None where the episode is over.
    pub next: Option<(State<'t>, Vec<Vec<f64>>)>,
}

/// A Q-network that learns.
#[derive(Debug, Clone)]
pub struct Agent {
    shape: Shape,
    params: Vec<f64>,
    target: Vec<f64>,
    adam: Adam,
    gamma: f64,
}

/// Share of the network that the target network takes over after an update, τ.
const TARGET_RATE: f64 = 0.02;
/// Error above which the loss is linear.
const HUBER: f64 = 1.0;

impl Agent {
    /// A new one with random weights.
    pub fn new(config: NetConfig, lr: f64, gamma: f64, rng: &mut ChaCha8Rng) -> Self {
        let shape = Shape::new(config);
        let mut params = vec![0.0; shape.n_params];
        shape.cell.iter().chain(&shape.layers).for_each(|layer| layer.init(None, &mut params, rng));
        let adam = Adam::new(lr, params.len());
        Self { shape, target: params.clone(), params, adam, gamma }
    }

    /// One with these weights; None where their number is wrong, or one is not finite.
    pub fn with_params(config: NetConfig, params: Vec<f64>, lr: f64, gamma: f64) -> Option<Self> {
        let shape = Shape::new(config);
        let fits = params.len() == shape.n_params && params.iter().all(|p| p.is_finite());
        let adam = Adam::new(lr, params.len());
        fits.then(|| Self { shape, target: params.clone(), params, adam, gamma })
    }

    pub fn config(&self) -> NetConfig {
        self.shape.config
    }

    /// Whether the next state of a transition counts.
    pub fn looks_ahead(&self) -> bool {
        self.gamma > 0.0
    }

    pub fn params(&self) -> &[f64] {
        &self.params
    }

    /// Q of every action in one state.
    pub fn values(&self, state: &State<'_>, codes: &[Vec<f64>]) -> Vec<f64> {
        self.shape.values(&self.params, state, codes)
    }

    /// One update with a batch.
    pub fn learn(&mut self, batch: &[Transition<'_>]) {
        let mut grad = vec![0.0; self.params.len()];
        for transition in batch {
            let goal = self.td_target(transition);
            let mut tape = Tape::new(&self.params);
            let summary = self.shape.summary(&mut tape, &transition.state);
            let q = self.shape.value(&mut tape, summary, &transition.state, &transition.action);
            let slope = (tape.value(q)[0] - goal).clamp(-HUBER, HUBER) / batch.len() as f64;
            tape.backward(&[(q, vec![slope])], &mut grad);
        }
        self.adam.step(&mut self.params, &grad);
        self.target.iter_mut().zip(&self.params).for_each(|(t, p)| *t += TARGET_RATE * (p - *t));
    }

    /// Target y of a transition.
    fn td_target(&self, transition: &Transition<'_>) -> f64 {
        let best = transition.next.as_ref().and_then(|(state, codes)| {
            self.shape.values(&self.target, state, codes).into_iter().max_by(f64::total_cmp)
        });
        transition.reward + self.gamma * best.unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::{Outcome, Seen};
    use super::*;
    use crate::rng::stream;

    fn agent(is_recurrent: bool) -> Agent {
        let config = NetConfig { n_codes: 1, width: 8, is_recurrent };
        Agent::new(config, 1e-2, 0.5, &mut stream(1, "agent"))
    }

    #[test]
    fn a_target_is_the_reward_and_the_discounted_best_of_the_target_network() {
        let trials = [Seen { code: vec![0.5], outcome: Outcome::Cost(1.0) }];
        for is_recurrent in [false, true] {
            let agent = agent(is_recurrent);
            let next = || State::new([0.0; 5], &trials);
            let codes = vec![vec![-1.0], vec![0.1], vec![0.9]];
            let best = agent.values(&next(), &codes).into_iter().fold(f64::NEG_INFINITY, f64::max);
            let start = State::new([0.0; 5], &[]);
            let mut transition =
                Transition { state: start, action: vec![0.5], reward: 0.25, next: Some((next(), codes)) };
            assert!((agent.td_target(&transition) - (0.25 + 0.5 * best)).abs() < 1e-12);
            transition.next = None;
            assert!((agent.td_target(&transition) - 0.25).abs() < 1e-12);
        }
    }

    #[test]
    fn it_learns_the_values_of_a_chain_of_two_states() {
        // The first action decides: +1 leads to a state where everything pays 1, -1 to one where nothing does; itself
        // it pays nothing.
        let after = |code: f64| [Seen { code: vec![code], outcome: Outcome::Cost(0.0) }];
        let (good, bad) = (after(1.0), after(-1.0));
        for is_recurrent in [false, true] {
            let mut agent = agent(is_recurrent);
            let facts = [0.0; 5];
            let codes = || vec![vec![-1.0], vec![1.0]];
            let mut batch = Vec::new();
            for (trials, code, pays) in [(&good, 1.0, 1.0), (&bad, -1.0, 0.0)] {
                let next = Some((State::new(facts, trials), codes()));
                batch.push(Transition { state: State::new(facts, &[]), action: vec![code], reward: 0.0, next });
                for action in codes() {
                    batch.push(Transition { state: State::new(facts, trials), action, reward: pays, next: None });
                }
            }
            (0..1500).for_each(|_| agent.learn(&batch));
            let q = agent.values(&State::new(facts, &[]), &codes());
            assert!(q[0].abs() < 0.05 && (q[1] - 0.5).abs() < 0.05, "{is_recurrent}: {q:?}");
        }
    }
}
