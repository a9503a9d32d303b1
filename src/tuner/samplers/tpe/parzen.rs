//! A density over points: a mixture of one kernel for each trial and a wide one, the prior.
//!
//! ```text
//! p(x) = Σ_k w_k Π_j f_kj(x_j)        over the parameters j that are active in x
//! numbers:  f_kj = N(x_j; μ_kj, σ_kj) cut off at 0 and 1; where there are only steps, the same at the steps, scaled to a total of 1
//! choices:  f_kj = (1[x_j = c_kj] + s) / (1 + n s),  s = 1 / number of kernels;  the prior has 1/n
//! ```
//!
//! A kernel is flat in an active parameter that its trial does not have: 1 for numbers, 1/n for choices. So a point is
//! compared with the trials of all branches.

use super::exp::LogSum;
use super::table::{Axis, Table, stretch};
use crate::rng::standard_normal;
use crate::simd::vectorized;
use crate::tuner::distribution::Distribution;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// Standard deviation of the prior, whose middle is 0.5.
const PRIOR_SIGMA: f64 = 1.0;

/// The kernels in one parameter.
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
        /// Density of the own choice, of each other one, and the logarithm of their ratio.
        own: f64,
        other: f64,
        gain: f64,
    },
}

/// A mixture; the last kernel is the prior.
pub(super) struct Parzen {
    axes: Vec<Kernels>,
    weights: Vec<f64>,
    /// Cumulative weights, for drawing.
    cumulated: Vec<f64>,
}

/// A candidate: its coordinates, NaN where a parameter is not active.
pub(super) type Coordinates = Vec<f64>;

impl Parzen {
    /// A kernel for each of these rows of `table` with its weight, and the prior with weight 1. Points have the
    /// coordinates `columns`.
    pub fn new(table: &mut Table, rows: &[(u32, f64)], columns: &[usize]) -> Self {
        let total = rows.iter().map(|(_, weight)| weight).sum::<f64>() + 1.0;
        let weights: Vec<f64> = rows.iter().map(|(_, weight)| weight / total).chain([1.0 / total]).collect();
        let mut sum = 0.0;
        let add = |weight| {
            sum += weight;
            sum
        };
        let cumulated = weights.iter().map(add).collect();
        let axes = columns.iter().map(|&j| kernels(table, j, rows)).collect();
        Self { axes, weights, cumulated }
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
                // At least a third of all draws lie inside.
                let draws = (0..64).map(|_| mu[k] + standard_normal(rng) / inverse[k]);
                let mut inside = draws.filter(|x| (0.0..=1.0).contains(x));
                inside.next().unwrap_or(mu[k])
            }
            Kernels::Choices { chosen, n, own, other, .. } => {
                let is_own = rng.random::<f64>() < own - other;
                if is_own && !chosen[k].is_nan() { chosen[k] } else { rng.random_range(0..*n) as f64 }
            }
        }
    }

    /// The logarithm of the density at every point.
    pub fn log_densities(&self, points: &[Coordinates]) -> Vec<f64> {
        let mut heights: Vec<(Vec<bool>, Vec<f64>)> = Vec::new();
        let mut of_point = Vec::with_capacity(points.len());
        for point in points {
            let active: Vec<bool> = point.iter().map(|x| !x.is_nan()).collect();
            of_point.push(heights.iter().position(|(other, _)| *other == active).unwrap_or_else(|| {
                heights.push((active.clone(), self.log_heights(&active)));
                heights.len() - 1
            }));
        }
        let heights: Vec<&[f64]> = of_point.into_iter().map(|i| &heights[i].1[..]).collect();
        vectorized(
            #[inline(always)]
            || self.log_sums(points, &heights),
        )
    }

    /// ln(w_k Π_j f_kj) over the active parameters, each where kernel k is highest; at another choice than its own for
    /// choices.
    fn log_heights(&self, active: &[bool]) -> Vec<f64> {
        let mut products = self.weights.clone();
        let mut logs = vec![0.0; products.len()];
        for (i, (kernels, _)) in self.axes.iter().zip(active).filter(|(_, active)| **active).enumerate() {
            match kernels {
                Kernels::Numbers { height, .. } => products.iter_mut().zip(height).for_each(|(p, height)| *p *= height),
                Kernels::Choices { chosen, n, other, .. } => {
                    let of = |chosen: &f64| if chosen.is_nan() { 1.0 / *n as f64 } else { *other };
                    products.iter_mut().zip(chosen).for_each(|(product, chosen)| *product *= of(chosen));
                }
            }
            // A logarithm costs much more than a product. Factors lie far within 1e-12 to 1e12.
            if i % 16 == 15 {
                settle(&mut logs, &mut products);
            }
        }
        settle(&mut logs, &mut products);
        logs
    }

    /// For every point ln Σ_k exp(`heights`_k - loss by the distance from kernel k), in blocks of kernels that stay in
    /// the cache.
    #[inline(always)]
    fn log_sums(&self, points: &[Coordinates], heights: &[&[f64]]) -> Vec<f64> {
        let n_kernels = self.weights.len();
        let mut sums = vec![LogSum::EMPTY; points.len()];
        for begin in (0..n_kernels).step_by(BLOCK) {
            let block = begin..(begin + BLOCK).min(n_kernels);
            let mut logs = [0.0; BLOCK];
            let logs = &mut logs[..block.len()];
            for ((point, heights), sum) in points.iter().zip(heights).zip(&mut sums) {
                logs.copy_from_slice(&heights[block.clone()]);
                for (kernels, &x) in self.axes.iter().zip(point).filter(|(_, x)| !x.is_nan()) {
                    kernels.subtract_distances(x, block.clone(), logs);
                }
                sum.add(logs);
            }
        }
        sums.into_iter().map(LogSum::ln).collect()
    }
}

impl Kernels {
    #[inline(always)]
    fn subtract_distances(&self, x: f64, block: Range<usize>, logs: &mut [f64]) {
        match self {
            Self::Numbers { mu, inverse, .. } => {
                for ((log, mu), inverse) in logs.iter_mut().zip(&mu[block.clone()]).zip(&inverse[block]) {
                    let z = (x - mu) * inverse;
                    *log -= 0.5 * z * z;
                }
            }
            Self::Choices { chosen, gain, .. } => {
                for (log, chosen) in logs.iter_mut().zip(&chosen[block]) {
                    *log += if (*chosen - x).abs() <= 0.0 { *gain } else { 0.0 };
                }
            }
        }
    }
}

/// Number of kernels in a block.
const BLOCK: usize = 128;

fn settle(logs: &mut [f64], products: &mut [f64]) {
    for (log, product) in logs.iter_mut().zip(products) {
        *log += product.ln();
        *product = 1.0;
    }
}

fn kernels(table: &mut Table, j: usize, rows: &[(u32, f64)]) -> Kernels {
    match &table.axes[j] {
        Axis::Choices(n) => choices(&table.columns[j], *n, rows),
        Axis::Line(_) | Axis::Steps(_) => numbers(table, j, rows),
    }
}

fn choices(column: &[f64], n: usize, rows: &[(u32, f64)]) -> Kernels {
    let chosen = rows.iter().map(|&(row, _)| column[row as usize]).chain([f64::NAN]).collect();
    let smooth = 1.0 / (rows.len() + 1) as f64;
    let total = 1.0 + n as f64 * smooth;
    Kernels::Choices { chosen, n, own: (1.0 + smooth) / total, other: smooth / total, gain: (1.0 / smooth).ln_1p() }
}

fn numbers(table: &mut Table, j: usize, rows: &[(u32, f64)]) -> Kernels {
    let n_kernels = rows.len() + 1;
    let (mut mu, mut inverse, mut height) = (vec![0.0; n_kernels], vec![0.0; n_kernels], vec![1.0; n_kernels]);
    let mut kernel_of = vec![u32::MAX; table.len()];
    rows.iter().enumerate().for_each(|(k, &(row, _))| kernel_of[row as usize] = k as u32);
    let (axis, column, peaks) = (&table.axes[j], &table.columns[j], &mut table.peaks[j]);
    let own: Vec<u32> = table.sorted[j].iter().copied().filter(|&row| kernel_of[row as usize] != u32::MAX).collect();
    let at = |i: usize| column[own[i] as usize];
    // In order of size, so that equal ones follow each other.
    let mut last = (f64::NAN, f64::NAN, f64::NAN);
    let narrowest = 1.0 / (1.0 + n_kernels as f64).min(100.0);
    for (i, &row) in own.iter().enumerate() {
        let (x, is_alone) = (at(i), own.len() == 1);
        // To the farther of both neighbors. An end of the range counts only where there is no neighbor at all.
        let left = if i > 0 {
            x - at(i - 1)
        } else if is_alone {
            x
        } else {
            0.0
        };
        let right = if i + 1 < own.len() {
            at(i + 1) - x
        } else if is_alone {
            1.0 - x
        } else {
            0.0
        };
        let sigma = left.max(right).clamp(narrowest, 1.0);
        let (k, row) = (kernel_of[row as usize] as usize, row as usize);
        if (peaks[row].0 - sigma).abs() > 0.0 || peaks[row].0.is_nan() {
            let is_last = (last.0, last.1) == (x, sigma);
            peaks[row] = (sigma, if is_last { last.2 } else { peak(axis, x, table.widths[j][row], sigma) });
        }
        last = (x, sigma, peaks[row].1);
        (mu[k], inverse[k], height[k]) = (x, 1.0 / sigma, last.2);
    }
    let width = axis.width(axis.settled(0.5));
    let prior = n_kernels - 1;
    (mu[prior], inverse[prior], height[prior]) = (0.5, 1.0 / PRIOR_SIGMA, peak(axis, 0.5, width, PRIOR_SIGMA));
    Kernels::Numbers { mu, inverse, height }
}

/// Density of a kernel in its middle, which lies in a part of [0, 1] of this width.
fn peak(axis: &Axis, x: f64, width: f64, sigma: f64) -> f64 {
    if let Axis::Steps(distribution) = axis
        && width > sigma
    {
        return 1.0 / total_over_steps(distribution, x, sigma);
    }
    // What lies beyond 7 σ is too small to count.
    let erf = |z: f64| if z > 7.0 { 1.0 } else { libm::erf(z * std::f64::consts::FRAC_1_SQRT_2) };
    let half = (std::f64::consts::PI / 2.0).sqrt();
    1.0 / (sigma * half * (erf(x / sigma) + erf((1.0 - x) / sigma)))
}

/// Σ over all steps v of (length of its part of [0, 1]) exp(-½ ((v - x) / σ)²).
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
