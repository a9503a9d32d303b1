//! A density over points: a mixture of one kernel a trial and a wide one, the prior.
//!
//! ```text
//! p(x) = Σ_k w_k Π_j f_kj(x_j)        over the parameters j that are active in x
//! numbers:  f_kj = N(x_j; μ_kj, σ_kj) cut off at 0 and 1; where there are only steps, the same at the steps, scaled to a total of 1
//! choices:  f_kj = (1[x_j = c_kj] + s) / (1 + n s),  s = 1 / number of kernels;  the prior has 1/n
//! ```
//!
//! A kernel whose trial does not have an active parameter is flat there: 1 for numbers, 1/n for choices. So a point is compared with all
//! trials, whatever branch they are in.

use super::exp::sum_of_exp;
use super::table::{Axis, Table};
use crate::meta::simd::vectorized;
use crate::rng::standard_normal;
use crate::tuner::distribution::Distribution;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Standard deviation of the prior, whose middle is 0.5.
const PRIOR_SIGMA: f64 = 1.0;

/// Kernels of one parameter.
enum Kernels {
    Numbers {
        mu: Vec<f64>,
        /// 1/σ; 0 where it is flat.
        inverse: Vec<f64>,
        /// f_kj at μ_kj.
        height: Vec<f64>,
    },
    Choices {
        /// NaN where the trial has none.
        chosen: Vec<f64>,
        n: usize,
        /// Density of the own choice, and of each other one.
        own: f64,
        other: f64,
    },
}

/// A mixture; the last kernel is the prior.
pub(super) struct Parzen {
    axes: Vec<Kernels>,
    log_weights: Vec<f64>,
    /// Weights added up, for drawing.
    cumulated: Vec<f64>,
}

/// A trial to be: coordinates, NaN where a parameter is not active.
pub(super) type Coordinates = Vec<f64>;

impl Parzen {
    /// A kernel for each of these rows of `table` with its weight, and the prior with weight 1. Points have the coordinates `columns`.
    pub fn new(table: &Table, rows: &[(u32, f64)], columns: &[usize]) -> Self {
        let total = rows.iter().map(|(_, weight)| weight).sum::<f64>() + 1.0;
        let weights = || rows.iter().map(|(_, weight)| *weight).chain([1.0]).map(|weight| weight / total);
        let mut sum = 0.0;
        let add = |weight| {
            sum += weight;
            sum
        };
        let cumulated = weights().map(add).collect();
        let axes = columns.iter().map(|&j| kernels(table, j, rows)).collect();
        Self { axes, log_weights: weights().map(f64::ln).collect(), cumulated }
    }

    /// One kernel, by weight.
    pub fn draw_kernel(&self, rng: &mut ChaCha8Rng) -> usize {
        let u: f64 = rng.random();
        self.cumulated.partition_point(|&sum| sum <= u).min(self.cumulated.len() - 1)
    }

    /// A coordinate drawn from kernel `k`.
    pub fn draw(&self, axis: usize, k: usize, rng: &mut ChaCha8Rng) -> f64 {
        match &self.axes[axis] {
            Kernels::Numbers { mu, inverse, .. } => {
                if inverse[k] <= 0.0 {
                    return rng.random();
                }
                // At least a third of all draws lies inside.
                let draws = (0..64).map(|_| mu[k] + standard_normal(rng) / inverse[k]);
                let mut inside = draws.filter(|x| (0.0..=1.0).contains(x));
                inside.next().unwrap_or(mu[k])
            }
            Kernels::Choices { chosen, n, own, other } => {
                let is_own = rng.random::<f64>() < own - other;
                if is_own && !chosen[k].is_nan() { chosen[k] } else { rng.random_range(0..*n) as f64 }
            }
        }
    }

    /// The logarithm of the density at every point.
    pub fn log_densities(&self, points: &[Coordinates]) -> Vec<f64> {
        let mut scales: Vec<(Vec<bool>, Vec<f64>)> = Vec::new();
        let mut logs = vec![0.0; self.log_weights.len()];
        let density = |point: &Coordinates| {
            let active: Vec<bool> = point.iter().map(|x| !x.is_nan()).collect();
            let known = scales.iter().position(|(other, _)| *other == active);
            let known = known.unwrap_or_else(|| {
                let scale = self.log_heights(&active);
                scales.push((active, scale));
                scales.len() - 1
            });
            logs.copy_from_slice(&scales[known].1);
            self.add_distances(point, &mut logs);
            let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            largest + sum_of_exp(&logs, largest).ln()
        };
        points.iter().map(density).collect()
    }

    /// ln(w_k Π_j f_kj(μ_kj)) over the active numbers.
    fn log_heights(&self, active: &[bool]) -> Vec<f64> {
        let mut logs = self.log_weights.clone();
        let mut products = vec![1.0; logs.len()];
        let heights = self.axes.iter().zip(active).filter_map(|(kernels, is_active)| match kernels {
            Kernels::Numbers { height, .. } if *is_active => Some(height),
            _ => None,
        });
        let mut settle = |products: &mut Vec<f64>| {
            logs.iter_mut().zip(&mut *products).for_each(|(log, product)| *log += product.ln());
            products.fill(1.0);
        };
        for (i, height) in heights.enumerate() {
            products.iter_mut().zip(height).for_each(|(product, height)| *product *= height);
            // A logarithm costs much more than a product; heights lie far within 1e-9 to 1e9.
            if i % 16 == 15 {
                settle(&mut products);
            }
        }
        settle(&mut products);
        logs
    }

    fn add_distances(&self, point: &[f64], logs: &mut [f64]) {
        for (kernels, &x) in self.axes.iter().zip(point).filter(|(_, x)| !x.is_nan()) {
            match kernels {
                Kernels::Numbers { mu, inverse, .. } => vectorized(
                    #[inline(always)]
                    || {
                        for ((log, mu), inverse) in logs.iter_mut().zip(mu).zip(inverse) {
                            let z = (x - mu) * inverse;
                            *log -= 0.5 * z * z;
                        }
                    },
                ),
                Kernels::Choices { chosen, n, own, other } => {
                    let (own, other, flat) = (own.ln(), other.ln(), -(*n as f64).ln());
                    for (log, chosen) in logs.iter_mut().zip(chosen) {
                        let is_own = (chosen - x).abs() <= 0.0;
                        *log += if chosen.is_nan() {
                            flat
                        } else if is_own {
                            own
                        } else {
                            other
                        };
                    }
                }
            }
        }
    }
}

fn kernels(table: &Table, j: usize, rows: &[(u32, f64)]) -> Kernels {
    match &table.axes[j] {
        Axis::Choices(n) => choices(&table.columns[j], *n, rows),
        Axis::Line(_) | Axis::Steps(_) => numbers(table, j, rows),
    }
}

fn choices(column: &[f64], n: usize, rows: &[(u32, f64)]) -> Kernels {
    let chosen = rows.iter().map(|&(row, _)| column[row as usize]).chain([f64::NAN]).collect();
    let smooth = 1.0 / (rows.len() + 1) as f64;
    let total = 1.0 + n as f64 * smooth;
    Kernels::Choices { chosen, n, own: (1.0 + smooth) / total, other: smooth / total }
}

fn numbers(table: &Table, j: usize, rows: &[(u32, f64)]) -> Kernels {
    let (column, n_kernels) = (&table.columns[j], rows.len() + 1);
    let (mut mu, mut inverse, mut height) = (vec![0.0; n_kernels], vec![0.0; n_kernels], vec![1.0; n_kernels]);
    let mut set = |k: usize, x: f64, sigma: f64| {
        mu[k] = x;
        inverse[k] = 1.0 / sigma;
        height[k] = peak(&table.axes[j], x, sigma);
    };
    let mut kernel_of = vec![u32::MAX; table.len()];
    rows.iter().enumerate().for_each(|(k, &(row, _))| kernel_of[row as usize] = k as u32);
    let own = table.sorted[j].iter().map(|&row| (kernel_of[row as usize], column[row as usize]));
    let own: Vec<(u32, f64)> = own.filter(|(k, _)| *k != u32::MAX).collect();
    let narrowest = 1.0 / (1.0 + n_kernels as f64).min(100.0);
    for (i, &(k, x)) in own.iter().enumerate() {
        // To the farther of both neighbours. An end of the range counts only where there is no neighbour at all.
        let is_alone = own.len() == 1;
        let left = if i > 0 {
            x - own[i - 1].1
        } else if is_alone {
            x
        } else {
            0.0
        };
        let right = if i + 1 < own.len() {
            own[i + 1].1 - x
        } else if is_alone {
            1.0 - x
        } else {
            0.0
        };
        set(k as usize, x, left.max(right).clamp(narrowest, 1.0));
    }
    set(n_kernels - 1, 0.5, PRIOR_SIGMA);
    Kernels::Numbers { mu, inverse, height }
}

/// The density of a kernel in its middle.
fn peak(axis: &Axis, x: f64, sigma: f64) -> f64 {
    if let Axis::Steps(distribution) = axis {
        let inner = distribution.from_unit(x);
        let (low, high) = stretch(distribution, distribution.index(inner));
        if high - low > sigma {
            return 1.0 / total_over_steps(distribution, x, sigma);
        }
    }
    // Beyond 7 σ nothing is missing.
    let side = |distance: f64| {
        if distance > 7.0 * sigma { 1.0 } else { libm::erf(distance / sigma * std::f64::consts::FRAC_1_SQRT_2) }
    };
    let total = sigma * (std::f64::consts::PI / 2.0).sqrt() * (side(x) + side(1.0 - x));
    1.0 / total
}

/// Σ over all steps v of (length of its stretch) exp(-½ ((v - x) / σ)²).
fn total_over_steps(distribution: &Distribution, x: f64, sigma: f64) -> f64 {
    let n = distribution.n_values().unwrap_or(1);
    let middle = distribution.index(distribution.from_unit(x));
    let term = |index: u64| {
        let (low, high) = stretch(distribution, index);
        let z = (distribution.to_unit(distribution.nth(index)) - x) / sigma;
        (high - low) * (-0.5 * z * z).exp()
    };
    let falls = |term: &f64| *term > 1e-12;
    let up: f64 = (middle + 1..n).map(term).take_while(falls).sum();
    let down: f64 = (0..middle).rev().map(term).take_while(falls).sum();
    term(middle) + up + down
}

/// Both ends of the part of [0, 1] that stands for the value with this number.
fn stretch(distribution: &Distribution, index: u64) -> (f64, f64) {
    let n = distribution.n_values().unwrap_or(1) as f64;
    match distribution {
        Distribution::Int { low, high, log: true, .. } => {
            let (first, last) = ((*low as f64 - 0.5).ln(), (*high as f64 + 0.5).ln());
            let edge = |value: f64| (value.ln() - first) / (last - first);
            let value = distribution.nth(index);
            (edge(value - 0.5), edge(value + 0.5))
        }
        _ => (index as f64 / n, (index as f64 + 1.0) / n),
    }
}
