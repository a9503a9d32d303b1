//! The state of CMA-ES and its update, with the symbols of Hansen 2016 (arXiv 1604.00772).
//!
//! ```text
//! x_i = m + σ y_i,  y_i ~ N(0, C)                                  i = 1 ... λ, the best first after sorting
//! m  ← m + σ <y>_w                                                 <y>_w = Σ_{i≤μ} w_i y_i
//! p_σ ← (1 - c_σ) p_σ + √(c_σ (2 - c_σ) μ_eff) C^(-1/2) <y>_w      σ ← σ exp(c_σ / d_σ (‖p_σ‖ / E‖N(0, I)‖ - 1))
//! p_c ← (1 - c_c) p_c + h_σ √(c_c (2 - c_c) μ_eff) <y>_w
//! C  ← (1 + c_1 δ(h_σ) - c_1 - c_μ Σ w_j) C + c_1 p_c p_cᵀ + c_μ Σ_{i≤λ} w°_i y_i y_iᵀ
//! ```

use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// λ = 4 + floor(3 ln d), (48).
pub(super) fn usual_population(d: usize) -> usize {
    4 + (3.0 * (d.max(1) as f64).ln()) as usize
}

pub(super) struct Evolution {
    mean: Vec<f64>,
    sigma: f64,
    covariance: DMatrix<f64>,
    /// Eigenvectors and square roots of the eigenvalues of C.
    axes: DMatrix<f64>,
    lengths: DVector<f64>,
    path_sigma: DVector<f64>,
    path_c: DVector<f64>,
    n_generations: i32,
    rates: Rates,
    /// Best cost of the last generations.
    bests: Vec<f64>,
    is_flat: bool,
    is_broken: bool,
}

/// Weights and learning rates, Table 1.
pub(super) struct Rates {
    pub weights: Vec<f64>,
    pub mu: usize,
    pub mu_eff: f64,
    pub c_sigma: f64,
    pub d_sigma: f64,
    pub c_c: f64,
    pub c_1: f64,
    pub c_mu: f64,
}

impl Rates {
    pub fn new(d: usize, population: usize) -> Self {
        let (n, mu) = (d as f64, population / 2);
        let raw: Vec<f64> =
            (1..=population).map(|i| ((population as f64 + 1.0) / 2.0).ln() - (i as f64).ln()).collect();
        let effective = |part: &[f64]| part.iter().sum::<f64>().powi(2) / part.iter().map(|w| w * w).sum::<f64>();
        let (mu_eff, mu_eff_negative) = (effective(&raw[..mu]), effective(&raw[mu..]));
        let c_1 = 2.0 / ((n + 1.3).powi(2) + mu_eff);
        let c_mu = (2.0 * (0.25 + mu_eff + 1.0 / mu_eff - 2.0) / ((n + 2.0).powi(2) + mu_eff)).min(1.0 - c_1);
        let c_sigma = (mu_eff + 2.0) / (n + mu_eff + 5.0);
        let limits = [1.0 + c_1 / c_mu, 1.0 + 2.0 * mu_eff_negative / (mu_eff + 2.0), (1.0 - c_1 - c_mu) / (n * c_mu)];
        let positive: f64 = raw.iter().filter(|w| **w > 0.0).sum();
        let negative: f64 = raw.iter().filter(|w| **w < 0.0).map(|w| -w).sum();
        let limit = limits.into_iter().fold(f64::INFINITY, f64::min);
        let scaled = |w: &f64| if *w >= 0.0 { w / positive } else { limit * w / negative };
        Self {
            weights: raw.iter().map(scaled).collect(),
            mu,
            mu_eff,
            c_sigma,
            d_sigma: 1.0 + 2.0 * (((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma,
            c_c: (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n),
            c_1,
            c_mu,
        }
    }
}

impl Evolution {
    pub fn new(mean: Vec<f64>, sigma: f64, population: usize) -> Self {
        let d = mean.len();
        Self {
            mean,
            sigma,
            covariance: DMatrix::identity(d, d),
            axes: DMatrix::identity(d, d),
            lengths: DVector::from_element(d, 1.0),
            path_sigma: DVector::zeros(d),
            path_c: DVector::zeros(d),
            n_generations: 0,
            rates: Rates::new(d, population),
            bests: Vec::new(),
            is_flat: false,
            is_broken: false,
        }
    }

    pub fn population(&self) -> usize {
        self.rates.weights.len()
    }

    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The point that a draw `z` of N(0, I) stands for.
    pub fn at(&self, z: &[f64]) -> Vec<f64> {
        let y = &self.axes * self.lengths.component_mul(&DVector::from_row_slice(z));
        self.mean.iter().zip(&y).map(|(m, y)| m + self.sigma * y).collect()
    }

    /// Standard deviation of each coordinate.
    pub fn deviations(&self) -> Vec<f64> {
        self.covariance.diagonal().iter().map(|c| self.sigma * c.max(0.0).sqrt()).collect()
    }

    /// Updates the state with a generation, the best first, and its smallest and largest cost.
    pub fn update(&mut self, sorted: &[Vec<f64>], (best, worst): (f64, f64)) {
        let (d, Rates { weights, mu, mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu }) = (self.mean.len(), &self.rates);
        let n = d as f64;
        let y: Vec<DVector<f64>> = sorted
            .iter()
            .map(|x| DVector::from_iterator(d, x.iter().zip(&self.mean).map(|(x, m)| (x - m) / self.sigma)))
            .collect();
        let whiten = |y: &DVector<f64>| &self.axes * (self.axes.transpose() * y).component_div(&self.lengths);
        let moved = y.iter().zip(weights).take(*mu).fold(DVector::zeros(d), |sum, (y, w)| sum + y * *w);
        self.mean.iter_mut().zip(&moved).for_each(|(m, y)| *m += self.sigma * y);

        self.path_sigma =
            &self.path_sigma * (1.0 - c_sigma) + whiten(&moved) * (c_sigma * (2.0 - c_sigma) * mu_eff).sqrt();
        let expected = n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n));
        self.n_generations += 1;
        let settled = (1.0 - (1.0 - c_sigma).powi(2 * self.n_generations)).sqrt();
        let h = if self.path_sigma.norm() / settled < (1.4 + 2.0 / (n + 1.0)) * expected { 1.0 } else { 0.0 };
        self.path_c = &self.path_c * (1.0 - c_c) + &moved * (h * (c_c * (2.0 - c_c) * mu_eff).sqrt());

        let total: f64 = weights.iter().sum();
        let kept = 1.0 + c_1 * (1.0 - h) * c_c * (2.0 - c_c) - c_1 - c_mu * total;
        let mut covariance = &self.covariance * kept + &self.path_c * self.path_c.transpose() * *c_1;
        for (y, weight) in y.iter().zip(weights) {
            // A step that is much too long must not make C indefinite, (46).
            let weight = if *weight >= 0.0 { *weight } else { weight * n / (whiten(y).norm_squared() + 1e-300) };
            covariance += y * y.transpose() * (c_mu * weight);
        }
        self.sigma *= (c_sigma / d_sigma * (self.path_sigma.norm() / expected - 1.0)).clamp(-1.0, 1.0).exp();
        self.adopt(covariance);
        self.bests.push(best);
        self.is_flat = worst <= best;
    }

    fn adopt(&mut self, covariance: DMatrix<f64>) {
        let even = (&covariance + covariance.transpose()) * 0.5;
        let is_finite = |values: &DMatrix<f64>| values.iter().all(|v| v.is_finite());
        // On NaN an eigenvalue iteration would not end.
        let eigen = if is_finite(&even) { SymmetricEigen::try_new(even.clone(), f64::EPSILON, 10_000) } else { None };
        match eigen {
            Some(eigen)
                if eigen.eigenvalues.iter().all(|v| *v > 1e-300) && self.sigma.is_finite() && self.sigma > 1e-300 =>
            {
                self.lengths = eigen.eigenvalues.map(f64::sqrt);
                self.axes = eigen.eigenvectors;
                self.covariance = even;
            }
            _ => self.is_broken = true,
        }
    }

    /// Whether the covariance cannot be used any more.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether the search has converged: all deviations below 1e-9 of the range, a condition number above 1e14, or
    /// costs that have stayed the same for 10 + 30 d / λ generations (Auger and Hansen 2005, section 2).
    pub fn has_come_to_rest(&self) -> bool {
        let (longest, shortest) = (self.lengths.max(), self.lengths.min());
        let n_kept = 10 + 30 * self.mean.len() / self.population();
        let last = &self.bests[self.bests.len().saturating_sub(n_kept)..];
        let width =
            last.iter().copied().fold(f64::NEG_INFINITY, f64::max) - last.iter().copied().fold(f64::INFINITY, f64::min);
        let is_still = last.len() == n_kept && self.is_flat && (width <= 1e-12 || width.is_nan());
        self.sigma * longest < 1e-9 || longest > 1e7 * shortest || is_still
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{standard_normal, stream};

    type Matrix = Vec<Vec<f64>>;

    fn product(a: &Matrix, b: &Matrix) -> Matrix {
        let cell = |i: usize, j: usize| (0..b.len()).map(|k| a[i][k] * b[k][j]).sum();
        (0..a.len()).map(|i| (0..b[0].len()).map(|j| cell(i, j)).collect()).collect()
    }

    fn times(a: &Matrix, v: &[f64]) -> Vec<f64> {
        a.iter().map(|row| row.iter().zip(v).map(|(a, v)| a * v).sum()).collect()
    }

    /// C^(-1/2) by the coupled iteration of Denman and Beavers 1976, written for the inverse: Z ← ½ (3 I - Z Y) Z.
    fn inverse_root(c: &Matrix) -> Matrix {
        let d = c.len();
        let size: f64 = (0..d).map(|i| c[i][i]).sum();
        let scaled =
            |m: &Matrix, by: f64| -> Matrix { m.iter().map(|row| row.iter().map(|v| v * by).collect()).collect() };
        let unit =
            |v: f64| -> Matrix { (0..d).map(|i| (0..d).map(|j| if i == j { v } else { 0.0 }).collect()).collect() };
        let (mut y, mut z) = (scaled(c, 1.0 / size), unit(1.0));
        for _ in 0..60 {
            let zy = product(&z, &y);
            let t: Matrix = (0..d).map(|i| (0..d).map(|j| 0.5 * (unit(3.0)[i][j] - zy[i][j])).collect()).collect();
            (y, z) = (product(&y, &t), product(&t, &z));
        }
        scaled(&z, 1.0 / size.sqrt())
    }

    /// The update as in Figure 6, with loops and the constants of Table 1 written out for d = 3, λ = 7.
    struct Transcription {
        m: Vec<f64>,
        sigma: f64,
        c: Matrix,
        ps: Vec<f64>,
        pc: Vec<f64>,
        g: i32,
    }

    #[allow(clippy::needless_range_loop, reason = "with indices, as in the paper")]
    impl Transcription {
        fn update(&mut self, x: &[Vec<f64>]) {
            let raw: Vec<f64> = (1..=7).map(|i| 4f64.ln() - f64::from(i).ln()).collect();
            let square = |v: &[f64]| v.iter().map(|w| w * w).sum::<f64>();
            let mueff = raw[..3].iter().sum::<f64>().powi(2) / square(&raw[..3]);
            let mueff_minus = raw[3..].iter().sum::<f64>().powi(2) / square(&raw[3..]);
            let cs = (mueff + 2.0) / (3.0 + mueff + 5.0);
            let ds = 1.0 + 2.0 * f64::max(0.0, ((mueff - 1.0) / 4.0).sqrt() - 1.0) + cs;
            let cc = (4.0 + mueff / 3.0) / (7.0 + 2.0 * mueff / 3.0);
            let c1 = 2.0 / (4.3f64.powi(2) + mueff);
            let cmu = f64::min(1.0 - c1, 2.0 * (0.25 + mueff + 1.0 / mueff - 2.0) / (25.0 + mueff));
            let limit = f64::min(
                f64::min(1.0 + c1 / cmu, 1.0 + 2.0 * mueff_minus / (mueff + 2.0)),
                (1.0 - c1 - cmu) / (3.0 * cmu),
            );
            let (plus, minus) = (raw[..3].iter().sum::<f64>(), -raw[3..].iter().sum::<f64>());
            let w: Vec<f64> = raw.iter().map(|w| if *w >= 0.0 { w / plus } else { limit * w / minus }).collect();
            let chi = 3f64.sqrt() * (1.0 - 1.0 / 12.0 + 1.0 / 189.0);
            let y: Matrix =
                x.iter().map(|x| x.iter().zip(&self.m).map(|(x, m)| (x - m) / self.sigma).collect()).collect();
            let yw: Vec<f64> = (0..3).map(|j| (0..3).map(|i| w[i] * y[i][j]).sum()).collect();
            let root = inverse_root(&self.c);
            let white = times(&root, &yw);
            for j in 0..3 {
                self.m[j] += self.sigma * yw[j];
                self.ps[j] = (1.0 - cs) * self.ps[j] + (cs * (2.0 - cs) * mueff).sqrt() * white[j];
            }
            self.g += 1;
            let length = square(&self.ps).sqrt();
            let hs = length / (1.0 - (1.0 - cs).powi(2 * self.g)).sqrt() < (1.4 + 2.0 / 4.0) * chi;
            for j in 0..3 {
                self.pc[j] = (1.0 - cc) * self.pc[j] + if hs { (cc * (2.0 - cc) * mueff).sqrt() * yw[j] } else { 0.0 };
            }
            let delta = if hs { 0.0 } else { cc * (2.0 - cc) };
            let mut c: Matrix = vec![vec![0.0; 3]; 3];
            for (j, row) in c.iter_mut().enumerate() {
                for (k, cell) in row.iter_mut().enumerate() {
                    *cell = (1.0 + c1 * delta - c1 - cmu * w.iter().sum::<f64>()) * self.c[j][k]
                        + c1 * self.pc[j] * self.pc[k];
                    for i in 0..7 {
                        let shrunk = if w[i] >= 0.0 { w[i] } else { w[i] * 3.0 / square(&times(&root, &y[i])) };
                        *cell += cmu * shrunk * y[i][j] * y[i][k];
                    }
                }
            }
            self.c = c;
            self.sigma *= (cs / ds * (length / chi - 1.0)).exp();
        }
    }

    #[test]
    fn the_update_is_that_of_the_tutorial() {
        let mut fast = Evolution::new(vec![0.5; 3], 0.3, usual_population(3));
        assert_eq!(fast.population(), 7);
        let identity = (0..3).map(|i| (0..3).map(|j| if i == j { 1.0 } else { 0.0 }).collect()).collect();
        let mut slow =
            Transcription { m: vec![0.5; 3], sigma: 0.3, c: identity, ps: vec![0.0; 3], pc: vec![0.0; 3], g: 0 };
        let mut rng = stream(4, "test");
        for generation in 0..40 {
            let cost = |x: &[f64]| (x[0] - 0.1).powi(2) + 50.0 * (x[1] + x[2]).powi(2);
            let mut points: Vec<Vec<f64>> =
                (0..7).map(|_| fast.at(&[(); 3].map(|()| standard_normal(&mut rng)))).collect();
            points.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
            fast.update(&points, (cost(&points[0]), cost(&points[6])));
            slow.update(&points);
            let is_near = |a: f64, b: f64| (a - b).abs() < 1e-7 * (1e-3 + b.abs());
            assert!(is_near(fast.sigma, slow.sigma), "generation {generation}: {} {}", fast.sigma, slow.sigma);
            assert!(fast.mean.iter().zip(&slow.m).all(|(a, b)| is_near(*a, *b)), "generation {generation}");
            let cells = (0..9).map(|i| (fast.covariance[(i / 3, i % 3)], slow.c[i / 3][i % 3]));
            assert!(cells.into_iter().all(|(a, b)| is_near(a, b)), "generation {generation}");
        }
    }

    #[test]
    fn points_that_all_coincide_break_nothing() {
        let mut evolution = Evolution::new(vec![0.5; 2], 0.2, 6);
        for _ in 0..400 {
            evolution.update(&vec![vec![0.5; 2]; 6], (1.0, 1.0));
            if evolution.is_broken() || evolution.has_come_to_rest() {
                return;
            }
        }
        panic!("it goes on for ever");
    }
}
