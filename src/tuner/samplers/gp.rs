//! Bayesian optimization with a Gaussian process: the next point is the one with the largest expected improvement,
//! given all trials.
//!
//! ```text
//! process:       Matérn 5/2, one length a parameter, on costs with mean 0 and variance 1    see `model`
//! parameters:    the most probable ones, by L-BFGS from two starts                        see `fit`
//! acquisition:   log EI = log E max(best - f(x), 0), or UCB: -μ(x) + β σ(x)       see `expected` and `search`
//! ```
//!
//! Sources: Jones et al. 1998, 10.1023/A:1008306431147 (EI); Srinivas et al. 2010, arXiv 0912.3995 (UCB); Snoek et al.
//! 2012, arXiv 1206.2944; Ament et al. 2023, arXiv 2310.20708 (the logarithm).
//!
//! Numbers lie in [0, 1] on their own scale; two choices are at distance 1; a parameter that is not active lies in the
//! middle. Trials that still run count as complete, with the mean of the process as their value (Ginsbourger et al.
//! 2010, kriging believer). Of the others only complete ones count. Costs that are far worse than the good ones are
//! brought nearer (see `outliers`), so that one trial that diverged does not hide the rest. Those that break
//! constraints count as worse than all others, by how much they break them. With several objectives each trial uses
//! another weighted maximum of them (Knowles 2006, ParEGO, 10.1109/TEVC.2005.851274).
//!
//! The parameters of the process are fitted anew each time the number of trials has grown by a sixteenth. The cost of
//! that grows with the cube of the number of trials, so of more than `max_points` trials the process sees the better
//! ones and the newest.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `n_startup_trials` | 10 | number of complete trials before the process is used | 2 to 100000 |
//! | `acquisition` | ei | function that is maximized | ei, ucb |
//! | `beta` | 2.0 | weight of the uncertainty in ucb | 0 to 100 |
//! | `max_points` | 300 | largest number of trials that the process sees | 10 to 2000 |

mod expected;
mod fit;
mod lbfgs;
mod model;
mod search;
mod standard;

use super::outliers::tamed;
use super::{Ask, Sampler, Setting, Spec, SpecError, qmc};
use crate::tuner::distribution::Distribution;
use crate::tuner::space::{Point, Space};
use crate::tuner::trial::{Past, TrialState};
use model::{Data, Kind, Model, Theta};
use nalgebra::DVector;
use rand::RngExt;
use search::Acquisition;

pub(super) fn build(spec: &mut Spec, _setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    let n_startup_trials = spec.option("n_startup_trials", 10, "from 2 to 100000", |n| (2..=100_000).contains(n))?;
    let name = spec.option("acquisition", String::from("ei"), "ei or ucb", |name| name == "ei" || name == "ucb")?;
    let beta = spec.option("beta", 2.0, "from 0 to 100", |beta| (0.0..=100.0).contains(beta))?;
    let max_points = spec.option("max_points", 300, "from 10 to 2000", |n| (10..=2000).contains(n))?;
    let acquisition = if name == "ei" { Acquisition::Ei } else { Acquisition::Ucb { beta } };
    Ok(Box::new(Gp { n_startup_trials, acquisition, max_points, fitted: None }))
}

struct Gp {
    n_startup_trials: usize,
    acquisition: Acquisition,
    max_points: usize,
    /// Parameters of the process, fitted to this number of trials.
    fitted: Option<(usize, Theta)>,
}

impl Sampler for Gp {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        let is_complete =
            |past: &&Past| past.state == TrialState::Complete && past.values.len() == ask.directions.len();
        let complete: Vec<&Past> = ask.settled.iter().filter(is_complete).collect();
        if complete.len() < self.n_startup_trials {
            return Some(qmc::startup_point(ask, "gp"));
        }
        Some(self.proposal(ask, &complete).unwrap_or_else(|| ask.random_point("gp")))
    }
}

impl Gp {
    /// A proposal; None where no process can be fitted.
    fn proposal(&mut self, ask: &Ask<'_>, complete: &[&Past]) -> Option<Point> {
        let theta = self.theta(ask, complete);
        let mut data = self.data(ask, complete);
        let model = Model::new(&data, &theta)?;
        let pending: Vec<Vec<f64>> = ask.pending.iter().map(|past| encoded(ask.space, &past.point)).collect();
        let believed: Vec<f64> = pending.iter().map(|x| model.predict(x).0).collect();
        if !pending.is_empty() {
            let y = data.y.iter().copied().chain(believed).collect::<Vec<f64>>();
            data.x.extend(pending);
            data.y = DVector::from_vec(y);
        }
        let model = Model::new(&data, &theta)?;
        Some(search::best_point(ask, &model, &data, self.acquisition))
    }

    /// Parameters of the process, fitted at the last of the numbers of trials at which that is done.
    fn theta(&mut self, ask: &Ask<'_>, complete: &[&Past]) -> Theta {
        let n = complete.len();
        let step = (n / 16).max(1);
        // With several objectives each trial has other costs.
        let n = if ask.directions.len() == 1 { n / step * step } else { n };
        match &self.fitted {
            Some((known, theta)) if *known == n && ask.directions.len() == 1 => theta.clone(),
            _ => {
                let theta = fit::most_probable(&self.data(ask, &complete[..n]));
                self.fitted = Some((n, theta.clone()));
                theta
            }
        }
    }

    fn data(&self, ask: &Ask<'_>, complete: &[&Past]) -> Data {
        let costs = costs(ask, complete);
        let kept = chosen(&costs, self.max_points);
        let y = standard::standardized(&kept.iter().map(|&i| costs[i]).collect::<Vec<_>>());
        let kind = |distribution: &Distribution| match distribution {
            Distribution::Categorical { .. } => Kind::Choice,
            _ => Kind::Number,
        };
        Data {
            kinds: ask.space.parameters().iter().map(|p| kind(&p.distribution)).collect(),
            x: kept.iter().map(|&i| encoded(ask.space, &complete[i].point)).collect(),
            y: DVector::from_vec(y),
        }
    }
}

/// Trials that the process sees, in the order of time: half of `max` are the best ones, the rest the newest of the
/// others.
fn chosen(costs: &[f64], max: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..costs.len()).collect();
    if all.len() > max {
        all.sort_by(|&a, &b| costs[a].total_cmp(&costs[b]).then(a.cmp(&b)));
        let mut rest = all.split_off(max / 2);
        rest.sort_unstable_by(|a, b| b.cmp(a));
        all.extend(&rest[..max - max / 2]);
        all.sort_unstable();
    }
    all
}

/// Coordinates of a point: places of numbers in [0, 1], indices of choices, -1 for a choice that is not active.
fn encoded(space: &Space, point: &[Option<f64>]) -> Vec<f64> {
    let coordinate = |distribution: &Distribution, value: Option<f64>| match distribution {
        Distribution::Categorical { .. } => value.unwrap_or(-1.0),
        _ => value.map_or(0.5, |value| distribution.to_unit(value)),
    };
    space.parameters().iter().zip(point).map(|(p, value)| coordinate(&p.distribution, *value)).collect()
}

/// Cost of each trial, outliers brought near to the others.
fn costs(ask: &Ask<'_>, complete: &[&Past]) -> Vec<f64> {
    let cost = |past: &&Past, m: usize| ask.directions[m].cost(past.values[m]);
    let plain: Vec<f64> = if ask.directions.len() == 1 {
        tamed(&complete.iter().map(|past| cost(past, 0)).collect::<Vec<_>>())
    } else {
        let columns: Vec<Vec<f64>> =
            (0..ask.directions.len()).map(|m| complete.iter().map(|past| cost(past, m)).collect()).collect();
        weighted_maximum(ask, &columns)
    };
    penalized(plain, complete)
}

/// max_m w_m c_m + 0.05 Σ_m w_m c_m, with costs between 0 and 1 and weights drawn anew for each trial.
fn weighted_maximum(ask: &Ask<'_>, columns: &[Vec<f64>]) -> Vec<f64> {
    let mut rng = ask.rng("gp/weights");
    let raw: Vec<f64> = columns.iter().map(|_| -(1.0 - rng.random::<f64>()).ln()).collect();
    let total: f64 = raw.iter().sum();
    let scaled = |column: &[f64]| -> Vec<f64> {
        let finite = || column.iter().copied().filter(|cost| cost.is_finite());
        let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let width = if high > low && (high - low).is_finite() { high - low } else { 1.0 };
        column
            .iter()
            .map(|cost| ((cost.clamp(low.min(high), high.max(low)) - low.min(high)) / width).clamp(0.0, 1.0))
            .collect()
    };
    let columns: Vec<Vec<f64>> = columns.iter().map(|column| scaled(&tamed(column))).collect();
    let parts = |i: usize| columns.iter().zip(&raw).map(move |(column, weight)| weight / total * column[i]);
    (0..columns[0].len()).map(|i| parts(i).fold(0.0, f64::max) + 0.05 * parts(i).sum::<f64>()).collect()
}

/// Costs of trials that break constraints: above all others by up to the width of those, in the order of how much they
/// do.
fn penalized(mut costs: Vec<f64>, complete: &[&Past]) -> Vec<f64> {
    let violation = |past: &&Past| {
        past.constraints.iter().map(|c| if c.is_nan() { f64::MAX } else { c.clamp(0.0, f64::MAX) }).fold(0.0, f64::max)
    };
    let violations: Vec<f64> = complete.iter().map(violation).collect();
    let largest = violations.iter().copied().fold(0.0, f64::max);
    if largest <= 0.0 {
        return costs;
    }
    let feasible =
        || costs.iter().zip(&violations).filter(|(cost, by)| **by <= 0.0 && cost.is_finite()).map(|(cost, _)| *cost);
    let (low, high) = (feasible().fold(f64::INFINITY, f64::min), feasible().fold(f64::NEG_INFINITY, f64::max));
    let (high, width) = if high > low {
        (high, high - low)
    } else if high.is_finite() {
        (high, 1.0)
    } else {
        (0.0, 1.0)
    };
    for (cost, by) in costs.iter_mut().zip(&violations).filter(|(_, by)| **by > 0.0) {
        *cost = high + width * by / largest;
    }
    costs
}

#[cfg(test)]
mod tests;
