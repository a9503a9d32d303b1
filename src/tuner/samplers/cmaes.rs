//! CMA-ES: points are drawn from a normal distribution, whose mean, size and shape follow the better half of each
//! generation.
//!
//! Source: Hansen 2016, The CMA evolution strategy: a tutorial (arXiv 1604.00772), Figure 6 and Table 1; restarts with
//! twice the points of Auger and Hansen 2005 (IPOP-CMA-ES, 10.1109/CEC.2005.1554902). The arithmetic stands in
//! `evolution`.
//!
//! Each number is a coordinate in [0, 1] on its own scale, whether it is active or not; a draw outside is drawn again,
//! up to 100 times. Choices are drawn at random, since an order that they do not have would mislead. For a parameter
//! with steps, the deviation of a draw is at least a quarter of a step, so that the search does not stop between two
//! values (the margin of Hamano et al. 2022, arXiv 2205.13482, has the same purpose).
//!
//! A generation is the next λ complete trials by number, also those that were enqueued: the state is a function of the
//! history alone. With a lag of q, the first q - 1 trials of a generation are drawn from the distribution before.
//! Trials that break constraints come last in their generation.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `sigma` | 0.2 | first standard deviation, as a share of the range | 0.001 to 1 |
//! | `population` | 4 + 3 ln d | number of trials in a generation, λ in the paper | 4 to 10000 |
//! | `restarts` | true | whether it begins anew, with twice the population, when it has converged | true, false |

mod evolution;

use super::{Ask, Sampler, Setting, Spec, SpecError};
use crate::rng::standard_normal;
use crate::tuner::distribution::Distribution;
use crate::tuner::space::{Point, Space};
use crate::tuner::trial::{Past, TrialState};
use evolution::Evolution;
use rand::RngExt;

/// Largest number of times that a draw outside [0, 1] is drawn again.
const N_DRAWS: usize = 100;

pub(super) fn build(spec: &mut Spec, setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    setting.one_objective("cmaes")?;
    let sigma = spec.option("sigma", 0.2, "from 0.001 to 1", |sigma| (0.001..=1.0).contains(sigma))?;
    // 0 stands for "not given".
    let population = spec.option("population", 0, "from 4 to 10000", |n| (4..=10_000).contains(n))?;
    let restarts = spec.option("restarts", true, "true or false", |_| true)?;
    let numbers: Vec<usize> = (0..setting.space.len()).filter(|&i| is_number(setting.space, i)).collect();
    let population = if population > 0 { population } else { evolution::usual_population(numbers.len()) };
    Ok(Box::new(CmaEs { sigma, population, restarts, numbers, state: None }))
}

fn is_number(space: &Space, i: usize) -> bool {
    !matches!(space.parameters()[i].distribution, Distribution::Categorical { .. })
}

struct CmaEs {
    sigma: f64,
    population: usize,
    restarts: bool,
    /// Indices of the parameters that are coordinates.
    numbers: Vec<usize>,
    state: Option<State>,
}

/// State after the settled trials so far.
struct State {
    evolution: Evolution,
    n_restarts: usize,
    /// Number of settled trials that have been looked at.
    n_seen: usize,
    /// Complete trials of a generation that is not complete yet.
    waiting: Vec<(Vec<f64>, (bool, f64))>,
}

impl Sampler for CmaEs {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        if self.numbers.is_empty() {
            return Some(ask.random_point("cmaes"));
        }
        let state = match self.state.take() {
            Some(state) if state.n_seen <= ask.settled.len() => state,
            _ => self.fresh(ask),
        };
        let state = self.read(state, ask);
        let point = self.draw(&state.evolution, ask);
        self.state = Some(state);
        Some(point)
    }
}

impl CmaEs {
    fn fresh(&self, ask: &Ask<'_>) -> State {
        let evolution = self.begin(ask, 0);
        State { evolution, n_restarts: 0, n_seen: 0, waiting: Vec::new() }
    }

    /// The first one begins in the middle, those after it anywhere.
    fn begin(&self, ask: &Ask<'_>, n_restarts: usize) -> Evolution {
        let mut rng = ask.study_rng(&format!("cmaes/restart/{n_restarts}"));
        let middle = self.numbers.iter().map(|_| if n_restarts == 0 { 0.5 } else { rng.random() }).collect();
        let population = self.population.saturating_mul(1 << n_restarts.min(16)).min(10_000);
        Evolution::new(middle, self.sigma, population)
    }

    fn read(&self, mut state: State, ask: &Ask<'_>) -> State {
        for past in &ask.settled[state.n_seen..] {
            state.n_seen += 1;
            let (TrialState::Complete, Some(&value)) = (past.state, past.values.first()) else { continue };
            let x = self.coordinates(ask.space, past, &state.evolution);
            let is_broken = past.constraints.iter().any(|c| *c > 0.0 || c.is_nan());
            state.waiting.push((x, (is_broken, ask.directions[0].cost(value))));
            if state.waiting.len() == state.evolution.population() {
                state.waiting.sort_by(|(_, a), (_, b)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
                let sorted: Vec<Vec<f64>> = state.waiting.iter().map(|(x, _)| x.clone()).collect();
                let costs = (state.waiting[0].1.1, state.waiting[state.waiting.len() - 1].1.1);
                state.evolution.update(&sorted, costs);
                state.waiting.clear();
                if state.evolution.is_broken() || (self.restarts && state.evolution.has_come_to_rest()) {
                    state.n_restarts += 1;
                    state.evolution = self.begin(ask, state.n_restarts);
                }
            }
        }
        state
    }

    /// The coordinates of a trial; the mean for a parameter that is not active, so that it moves nothing.
    fn coordinates(&self, space: &Space, past: &Past, evolution: &Evolution) -> Vec<f64> {
        let one = |(k, &i): (usize, &usize)| {
            past.point[i].map_or(evolution.mean()[k], |v| space.parameters()[i].distribution.to_unit(v))
        };
        self.numbers.iter().enumerate().map(one).collect()
    }

    fn draw(&self, evolution: &Evolution, ask: &Ask<'_>) -> Point {
        let mut rng = ask.rng("cmaes");
        let is_inside = |x: &Vec<f64>| x.iter().all(|x| (0.0..=1.0).contains(x));
        let mut x = Vec::new();
        for _ in 0..N_DRAWS {
            let z: Vec<f64> = self.numbers.iter().map(|_| standard_normal(&mut rng)).collect();
            x = evolution.at(&z);
            if is_inside(&x) {
                break;
            }
        }
        let deviations = evolution.deviations();
        let widths = self
            .numbers
            .iter()
            .map(|&i| ask.space.parameters()[i].distribution.n_values().map_or(0.0, |n| 1.0 / n as f64));
        for ((x, deviation), width) in x.iter_mut().zip(&deviations).zip(widths) {
            let missing = (0.25 * width).powi(2) - deviation * deviation;
            *x += standard_normal(&mut rng) * missing.max(0.0).sqrt();
        }
        let mut x = x.into_iter();
        // Inactive coordinates are drawn too, so each parameter takes its own.
        let units: Vec<f64> = (0..ask.space.len())
            .map(|i| if is_number(ask.space, i) { x.next().unwrap_or(0.5) } else { rng.random() })
            .collect();
        ask.space.fill(|i, parameter| parameter.distribution.from_unit(units[i]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::Parameter;
    use crate::tuner::samplers::tests::minimized;

    fn run(space: &Space, name: &str, n: usize, seed: u64, cost: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        let units = |point: &Point| -> Vec<f64> {
            space.parameters().iter().zip(point).map(|(p, v)| p.distribution.to_unit(v.unwrap())).collect()
        };
        let trials = minimized(name, space, n, seed, |point| vec![cost(&units(point))]);
        trials.iter().map(|past| past.values[0]).collect()
    }

    fn best(values: &[f64]) -> f64 {
        values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn it_runs_down_a_turned_narrow_valley() {
        let space =
            Space::new(["a", "b", "c"].map(|name| Parameter::new(name, Distribution::float(-2.0, 2.0)))).unwrap();
        let valley =
            |x: &[f64]| 1e3 * (x[0] + x[1] - 1.1f64).powi(2) + (x[0] - x[1] - 0.2).powi(2) + (x[2] - 0.8).powi(2);
        for seed in 0..4 {
            let (ours, random) =
                (best(&run(&space, "cmaes", 400, seed, valley)), best(&run(&space, "random", 400, seed, valley)));
            assert!(ours < 1e-6 && ours < 1e-3 * random, "seed {seed}: {ours}, random search {random}");
        }
    }

    #[test]
    fn whole_numbers_are_found_exactly() {
        let space = Space::new([
            Parameter::new("n", Distribution::int(0, 40)),
            Parameter::new("x", Distribution::float(0.0, 1.0)),
            Parameter::new("kind", Distribution::categorical(["a", "b"])),
        ])
        .unwrap();
        let target = Distribution::int(0, 40).to_unit(31.0);
        let cost = |x: &[f64]| (x[0] - target).abs() + (x[1] - 0.3).powi(2) + if x[2] < 0.5 { 0.0 } else { 0.01 };
        for seed in 0..4 {
            let found = best(&run(&space, "cmaes", 250, seed, cost));
            assert!(found < 1e-4, "seed {seed}: {found}");
        }
    }

    #[test]
    fn where_it_has_come_to_rest_it_begins_anew() {
        let space = Space::new([
            Parameter::new("x", Distribution::float(0.0, 1.0)),
            Parameter::new("y", Distribution::float(0.0, 1.0)),
        ])
        .unwrap();
        let bowl = |x: &[f64]| (x[0] - 0.4).powi(2) + (x[1] - 0.7).powi(2);
        let spread = |name: &str| {
            let values = run(&space, name, 1500, 1, bowl);
            values[1000..].iter().copied().fold(0.0, f64::max)
        };
        assert!(spread("cmaes") > 0.01 && spread("cmaes:restarts=false") < 1e-6);
    }
}
