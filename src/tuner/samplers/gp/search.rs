//! Search for the point with the largest acquisition: many points are looked at, and the best of them are improved.
//!
//! Candidates are points of the whole space and points near the best trials. The best few are improved in turns: L-BFGS
//! moves the continuous parameters, then each other parameter tries its values (all of them, or where there are many
//! the neighboring ones).

use super::encoded;
use super::expected::log_h;
use super::lbfgs::minimize;
use super::model::{Data, Model};
use crate::rng::standard_normal;
use crate::tuner::distribution::Distribution;
use crate::tuner::samplers::Ask;
use crate::tuner::space::{Parameter, Point, Space};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Number of candidates in the whole space, and near the best trials.
const N_ANYWHERE: usize = 384;
const N_NEAR: usize = 128;
/// Number of best trials near which candidates are drawn.
const N_BEST: usize = 4;
/// Number of candidates that are improved.
const N_IMPROVED: usize = 4;
const N_ROUNDS: usize = 2;
const N_STEPS: usize = 30;
/// Number of values up to which all values of a parameter are tried.
const FEW_VALUES: u64 = 12;

/// Function that is maximized.
#[derive(Debug, Clone, Copy)]
pub(super) enum Acquisition {
    /// The logarithm of the expected improvement.
    Ei,
    /// -μ + β σ.
    Ucb { beta: f64 },
}

struct Search<'a> {
    space: &'a Space,
    model: &'a Model<'a>,
    acquisition: Acquisition,
    /// The smallest cost so far.
    best: f64,
}

/// The point with the largest acquisition that was found.
pub(super) fn best_point(ask: &Ask<'_>, model: &Model<'_>, data: &Data, acquisition: Acquisition) -> Point {
    let mut rng = ask.rng("gp");
    let best = data.y.iter().copied().fold(f64::INFINITY, f64::min);
    let search = Search { space: ask.space, model, acquisition, best };
    let mut candidates: Vec<(f64, Point)> = Vec::new();
    let mut add = |point: Point| candidates.push((search.value(&encoded(ask.space, &point)), point));
    for _ in 0..N_ANYWHERE {
        add(ask.space.random_point(&mut rng));
    }
    let mut order: Vec<usize> = (0..data.x.len()).collect();
    order.sort_by(|&a, &b| data.y[a].total_cmp(&data.y[b]));
    order.truncate(N_BEST);
    for i in 0..N_NEAR {
        let around = &data.x[order[i % order.len()]];
        add(near(ask.space, around, 10f64.powf(-0.5 - 2.5 * rng.random::<f64>()), &mut rng));
    }
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
    candidates.truncate(N_IMPROVED);
    let improved = candidates.into_iter().map(|(_, point)| search.improved(point));
    improved.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, point)| point).unwrap_or_default()
}

/// A point near the given coordinates: numbers move by normal steps of size `sigma`, some choices are drawn anew.
fn near(space: &Space, around: &[f64], sigma: f64, rng: &mut ChaCha8Rng) -> Point {
    space.fill(|i, parameter| {
        let is_new = rng.random::<f64>() < 0.1;
        match &parameter.distribution {
            Distribution::Categorical { .. } if !is_new && around[i] >= 0.0 => around[i],
            Distribution::Categorical { .. } => parameter.distribution.from_unit(rng.random()),
            distribution => distribution.from_unit(around[i] + sigma * standard_normal(rng)),
        }
    })
}

impl Search<'_> {
    fn value(&self, x: &[f64]) -> f64 {
        let (mean, variance) = self.model.predict(x);
        let deviation = variance.sqrt();
        match self.acquisition {
            Acquisition::Ei => log_h((self.best - mean) / deviation).0 + deviation.ln(),
            Acquisition::Ucb { beta } => beta * deviation - mean,
        }
    }

    /// The acquisition and its gradient.
    fn slope(&self, x: &[f64]) -> (f64, Vec<f64>) {
        let (mean, variance, by_mean, by_variance) = self.model.predict_with_gradient(x);
        let deviation = variance.sqrt();
        let by_deviation = |i: usize| 0.5 * by_variance[i] / deviation;
        match self.acquisition {
            Acquisition::Ei => {
                let z = (self.best - mean) / deviation;
                let (log, by_z) = log_h(z);
                let gradient =
                    |i: usize| by_z * (-by_mean[i] - z * by_deviation(i)) / deviation + by_deviation(i) / deviation;
                (log + deviation.ln(), (0..x.len()).map(gradient).collect())
            }
            Acquisition::Ucb { beta } => {
                (beta * deviation - mean, (0..x.len()).map(|i| beta * by_deviation(i) - by_mean[i]).collect())
            }
        }
    }

    fn improved(&self, mut point: Point) -> (f64, Point) {
        let mut value = self.value(&encoded(self.space, &point));
        for _ in 0..N_ROUNDS {
            let before = value;
            (value, point) = self.moved(value, point);
            (value, point) = self.exchanged(value, point);
            if value <= before {
                break;
            }
        }
        (value, point)
    }

    /// Moves the continuous active parameters uphill.
    fn moved(&self, value: f64, point: Point) -> (f64, Point) {
        let is_free =
            |(i, p): (usize, &Parameter)| (p.distribution.n_values().is_none() && point[i].is_some()).then_some(i);
        let free: Vec<usize> = self.space.parameters().iter().enumerate().filter_map(is_free).collect();
        if free.is_empty() {
            return (value, point);
        }
        let start = encoded(self.space, &point);
        let whole = |part: &[f64]| {
            let mut x = start.clone();
            free.iter().zip(part).for_each(|(&i, v)| x[i] = *v);
            x
        };
        let part: Vec<f64> = free.iter().map(|&i| start[i]).collect();
        let (found, _) = minimize(&part, &vec![(0.0, 1.0); free.len()], N_STEPS, |part| {
            let (value, gradient) = self.slope(&whole(part));
            (-value, free.iter().map(|&i| -gradient[i]).collect())
        });
        let mut next = point.clone();
        free.iter()
            .zip(&found)
            .for_each(|(&i, unit)| next[i] = Some(self.space.parameters()[i].distribution.from_unit(*unit)));
        self.better_of(value, point, next)
    }

    /// Tries the values of each parameter with finitely many. Parameters that become active by that start in the middle
    /// of their range.
    fn exchanged(&self, mut value: f64, mut point: Point) -> (f64, Point) {
        for (i, parameter) in self.space.parameters().iter().enumerate() {
            let (Some(n), Some(now)) = (parameter.distribution.n_values(), point[i]) else { continue };
            let now = parameter.distribution.index(now);
            let is_choice = matches!(parameter.distribution, Distribution::Categorical { .. });
            let others: Vec<u64> = if n <= FEW_VALUES || is_choice {
                (0..n).collect()
            } else {
                [1, 2, 5, n / 20, n / 5]
                    .iter()
                    .flat_map(|&by| [now.saturating_sub(by), (now + by).min(n - 1)])
                    .collect()
            };
            for index in others.into_iter().filter(|&index| index != now) {
                let other = parameter.distribution.nth(index);
                let start = point.clone();
                let next = self.space.fill(|j, p| {
                    if j == i { other } else { start[j].unwrap_or_else(|| p.distribution.from_unit(0.5)) }
                });
                (value, point) = self.better_of(value, point, next);
            }
        }
        (value, point)
    }

    fn better_of(&self, value: f64, point: Point, next: Point) -> (f64, Point) {
        let next_value = self.value(&encoded(self.space, &next));
        if next_value > value { (next_value, next) } else { (value, point) }
    }
}
