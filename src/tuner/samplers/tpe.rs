//! Tree-structured Parzen estimators: one density l of the good trials and one g of all others; of a few points drawn
//! from l, the one with the largest l / g is tried, which has the largest expected improvement.
//!
//! Source: Bergstra et al. 2011, Algorithms for hyper-parameter optimization, NIPS 24, section 4; the multivariate form
//! is that of Falkner et al. 2018 (arXiv 1807.01774); the parts are discussed by Watanabe 2023 (arXiv 2304.11127).
//! Kernels, bandwidths and the weights of g are Optuna's: see `parzen`. Differences to Optuna, chosen by us on all
//! functions of `benches/samplers` together:
//!
//! ```text
//! good:      the best ceil(gamma n), at most max_good; gamma = 0.2 (Optuna: 0.1, at most 25)
//! weights:   in l, ln(n_good + 1) - ln(rank), scaled to a mean of 1, as CMA-ES weighs its parents (Optuna: equal)
//! start:     points of a Sobol sequence (Optuna: random ones)
//! branches:  one density for all branches of a conditional space (Optuna: one for each): a kernel is flat where its
//!            trial had no value
//! ```
//!
//! Trials that still run count as bad, so that others do not try the same. Pruned trials come after complete ones,
//! ordered by the step that they reached; those that break constraints after these, ordered by how much they break
//! them; failed ones do not count. With several objectives, trials are put in order by their front and, within it, by
//! crowding distance (Deb et al. 2002), or where there are three or four objectives by what they add to the hypervolume
//! (Ozaki et al. 2020, 10.1145/3377930.3389817).
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `multivariate` | true; false with several objectives | whether there is one density for all parameters | true, false |
//! | `n_startup_trials` | 10 | number of trials that must have ended before the densities are used | 1 to 100000 |
//! | `n_candidates` | 24 | number of points drawn from l | 1 to 100000 |
//! | `gamma` | 0.2 | share of the trials that are good | above 0, below 1 |
//! | `max_good` | 25 | largest number of trials that are good | 1 to 100000 |

mod exp;
mod order;
mod parzen;
mod table;

use super::{Ask, Sampler, Setting, Spec, SpecError, qmc};
use crate::tuner::space::Point;
use order::Order;
use parzen::{Coordinates, Parzen};
use rand_chacha::ChaCha8Rng;
use table::Table;

pub(super) fn build(spec: &mut Spec, setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    let n_startup_trials = spec.option("n_startup_trials", 10, "from 1 to 100000", |n| (1..=100_000).contains(n))?;
    let engine = Engine::new(Config::read(spec, setting)?, setting);
    Ok(Box::new(Tpe { n_startup_trials, engine, order: Order::default() }))
}

/// Options of the table above.
#[derive(Debug, Clone)]
pub(super) struct Config {
    multivariate: bool,
    n_candidates: usize,
    gamma: f64,
    max_good: usize,
}

impl Config {
    pub fn read(spec: &mut Spec, setting: &Setting<'_>) -> Result<Self, SpecError> {
        let count = |n: &usize| (1..=100_000).contains(n);
        let allowed = "from 1 to 100000";
        Ok(Self {
            multivariate: spec.option("multivariate", setting.directions.len() == 1, "true or false", |_| true)?,
            n_candidates: spec.option("n_candidates", 24, allowed, count)?,
            gamma: spec.option("gamma", 0.2, "above 0 and below 1", |gamma: &f64| *gamma > 0.0 && *gamma < 1.0)?,
            max_good: spec.option("max_good", 25, allowed, count)?,
        })
    }
}

struct Tpe {
    n_startup_trials: usize,
    engine: Engine,
    order: Order,
}

impl Sampler for Tpe {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        self.engine.read(ask);
        self.order.read(ask);
        let best_first = self.order.best_first(ask, |n| self.engine.n_good(n));
        if best_first.len() < self.n_startup_trials {
            return Some(qmc::startup_point(ask, "tpe"));
        }
        Some(self.engine.propose(ask, &best_first))
    }
}

/// Makes a proposal from trials in order.
pub(super) struct Engine {
    config: Config,
    /// Coordinates of the settled trials, one row for each.
    table: Table,
}

impl Engine {
    pub fn new(config: Config, setting: &Setting<'_>) -> Self {
        Self { config, table: Table::new(setting.space) }
    }

    /// Adds the trials that have been settled since the last call.
    pub fn read(&mut self, ask: &Ask<'_>) {
        self.table.truncate(ask.settled.len());
        let known = self.table.len();
        ask.settled[known..].iter().for_each(|past| self.table.push(&past.point));
    }

    /// Number of good trials among `n`.
    pub fn n_good(&self, n: usize) -> usize {
        ((self.config.gamma * n as f64).ceil() as usize).clamp(1, self.config.max_good)
    }

    /// A point, given the indices of settled trials, at least one, the best first.
    pub fn propose(&mut self, ask: &Ask<'_>, best_first: &[u32]) -> Point {
        let n = best_first.len();
        let (good, bad) = best_first.split_at(self.n_good(n).min(n));
        // Older trials weigh less: rows are in the order of time.
        let mut is_bad = vec![false; self.table.len()];
        bad.iter().for_each(|&row| is_bad[row as usize] = true);
        let mut bad: Vec<u32> = (0..self.table.len() as u32).filter(|&row| is_bad[row as usize]).collect();
        for past in ask.pending {
            bad.push(self.table.len() as u32);
            self.table.push(&past.point);
        }
        let good: Vec<(u32, f64)> = good.iter().copied().zip(weights_by_rank(good.len())).collect();
        let bad: Vec<(u32, f64)> = bad.iter().copied().zip(weights_by_age(bad.len())).collect();
        let mut rng = ask.rng("tpe");
        let point = if self.config.multivariate {
            self.jointly(ask, &good, &bad, &mut rng)
        } else {
            self.one_by_one(ask, &good, &bad, &mut rng)
        };
        self.table.truncate(ask.settled.len());
        point
    }

    fn jointly(&mut self, ask: &Ask<'_>, good: &[(u32, f64)], bad: &[(u32, f64)], rng: &mut ChaCha8Rng) -> Point {
        let all: Vec<usize> = (0..ask.space.len()).collect();
        let (l, g) = (Parzen::new(&mut self.table, good, &all), Parzen::new(&mut self.table, bad, &all));
        let axes = &self.table.axes;
        let draw = |_| {
            let k = l.draw_kernel(rng);
            ask.space.fill(|i, _| axes[i].inner(l.draw(i, k, rng)))
        };
        let points: Vec<Point> = (0..self.config.n_candidates).map(draw).collect();
        let coordinates: Vec<Coordinates> = points.iter().map(|point| self.table.coordinates(point)).collect();
        let best = best_of(&l, &g, &coordinates);
        points.into_iter().nth(best).unwrap_or_default()
    }

    fn one_by_one(&mut self, ask: &Ask<'_>, good: &[(u32, f64)], bad: &[(u32, f64)], rng: &mut ChaCha8Rng) -> Point {
        ask.space.fill(|i, _| {
            let mut of = |rows: &[(u32, f64)]| {
                let has_it = |(row, _): &&(u32, f64)| !self.table.columns[i][*row as usize].is_nan();
                let rows: Vec<(u32, f64)> = rows.iter().filter(has_it).copied().collect();
                Parzen::new(&mut self.table, &rows, &[i])
            };
            let (l, g) = (of(good), of(bad));
            let axis = &self.table.axes[i];
            let draw = |_| {
                let k = l.draw_kernel(rng);
                vec![axis.settled(l.draw(0, k, rng))]
            };
            let candidates: Vec<Coordinates> = (0..self.config.n_candidates).map(draw).collect();
            axis.inner(candidates[best_of(&l, &g, &candidates)][0])
        })
    }
}

/// The candidate with the largest l / g; the first of several.
fn best_of(l: &Parzen, g: &Parzen, candidates: &[Coordinates]) -> usize {
    let (l, g) = (l.log_densities(candidates), g.log_densities(candidates));
    let ratio = |i: usize| l[i] - g[i];
    (1..candidates.len()).fold(0, |best, i| if ratio(i) > ratio(best) { i } else { best })
}

/// Weights of the good trials, as CMA-ES weighs its parents (Hansen 2016, arXiv 1604.00772, (49)), with a mean of 1.
fn weights_by_rank(n: usize) -> Vec<f64> {
    let raw: Vec<f64> = (1..=n).map(|rank| (n as f64 + 1.0).ln() - (rank as f64).ln()).collect();
    let mean = raw.iter().sum::<f64>() / n as f64;
    raw.iter().map(|weight| weight / mean).collect()
}

/// Weights of the other trials: 1 for the last 25, for those before them rising from 1/n to 1. It is the linear
/// forgetting of Bergstra et al. 2013, Making a science of model search.
fn weights_by_age(n: usize) -> Vec<f64> {
    let (n_old, least) = (n.saturating_sub(25), 1.0 / n as f64);
    let part = |i: usize| i as f64 / (n_old - 1).max(1) as f64;
    (0..n).map(|i| if i >= n_old { 1.0 } else { least + (1.0 - least) * part(i) }).collect()
}

#[cfg(test)]
mod tests;
