//! The Gaussian process: covariance, evidence and posterior.
//!
//! ```text
//! k(x, x') = s (1 + √5 r + 5/3 r²) exp(-√5 r),   r² = Σ_j w_j d_j²          Matérn 5/2, a weight w_j = 1/ℓ_j² a coordinate
//! d_j = x_j - x'_j for numbers, 1[x_j ≠ x'_j] for choices                      (one coordinate of all choices at distance 1)
//! K = k(X, X) + v I,  α = K⁻¹ y,   μ(x) = k(x, X) α,   σ²(x) = s - k(x, X) K⁻¹ k(X, x)
//! log p(y) = -½ yᵀα - ½ log|K| - n/2 log 2π,   ∂/∂θ = ½ tr((α αᵀ - K⁻¹) ∂K/∂θ)
//! ```
//!
//! Source: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, (2.25), (2.26), (5.9) and (4.17).

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// log w_j of every coordinate, then log s, then log v.
pub(super) type Theta = Vec<f64>;

/// Kind of a coordinate: a number, or a choice, of which only equality counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Choice,
}

fn square(kind: Kind, a: f64, b: f64) -> f64 {
    match kind {
        Kind::Number => (a - b) * (a - b),
        Kind::Choice => f64::from(u8::from((a - b).abs() > 0.5)),
    }
}

/// Points and values that a process is fitted to.
pub(super) struct Data {
    pub kinds: Vec<Kind>,
    /// One row a point.
    pub x: Vec<Vec<f64>>,
    pub y: DVector<f64>,
}

/// A process given its hyperparameters and data.
pub(super) struct Model<'d> {
    data: &'d Data,
    weights: Vec<f64>,
    scale: f64,
    noise: f64,
    cholesky: Cholesky<f64, Dyn>,
    alpha: DVector<f64>,
}

/// k / s and its derivative by r², over s, at a squared distance.
fn matern(r2: f64) -> (f64, f64) {
    let r = (5.0 * r2).sqrt();
    let decay = (-r).exp();
    ((1.0 + r + r * r / 3.0) * decay, -(5.0 / 6.0) * (1.0 + r) * decay)
}

impl<'d> Model<'d> {
    /// None where the covariance is singular with any noise.
    pub fn new(data: &'d Data, theta: &[f64]) -> Option<Self> {
        let d = data.kinds.len();
        let weights: Vec<f64> = theta[..d].iter().map(|t| t.exp()).collect();
        let (scale, noise) = (theta[d].exp(), theta[d + 1].exp());
        let n = data.x.len();
        let mut covariance = DMatrix::zeros(n, n);
        for a in 0..n {
            for b in 0..=a {
                let k = scale * matern(distance(&data.kinds, &weights, &data.x[a], &data.x[b])).0;
                covariance[(a, b)] = k;
                covariance[(b, a)] = k;
            }
        }
        // With points that coincide the factor exists only with some noise; more is tried where that was not enough.
        let factor = |jitter: f64| {
            let mut noisy = covariance.clone();
            (0..n).for_each(|i| noisy[(i, i)] += noise + jitter * scale);
            noisy.cholesky()
        };
        let cholesky = [0.0, 1e-8, 1e-6, 1e-4, 1e-2].into_iter().find_map(factor)?;
        let alpha = cholesky.solve(&data.y);
        Some(Self { data, weights, scale, noise, cholesky, alpha })
    }

    /// log p(y) and its gradient by θ.
    pub fn evidence(&self) -> (f64, Theta) {
        let (n, d) = (self.data.x.len(), self.weights.len());
        let half_log_det: f64 = self.cholesky.l_dirty().diagonal().iter().map(|l| l.ln()).sum();
        let value = -0.5 * self.data.y.dot(&self.alpha) - half_log_det - 0.5 * n as f64 * std::f64::consts::TAU.ln();
        let inverse = self.cholesky.inverse();
        let mut gradient = vec![0.0; d + 2];
        for a in 0..n {
            let m = self.alpha[a] * self.alpha[a] - inverse[(a, a)];
            gradient[d] += 0.5 * m * self.scale;
            gradient[d + 1] += 0.5 * m * self.noise;
            for b in 0..a {
                // Both halves of the matrix at once.
                let m = self.alpha[a] * self.alpha[b] - inverse[(a, b)];
                let (k, slope) = matern(distance(&self.data.kinds, &self.weights, &self.data.x[a], &self.data.x[b]));
                gradient[d] += m * self.scale * k;
                let common = m * self.scale * slope;
                let pairs = self.data.x[a].iter().zip(&self.data.x[b]).zip(&self.data.kinds);
                for ((gradient, w), ((x, y), kind)) in gradient.iter_mut().zip(&self.weights).zip(pairs) {
                    *gradient += common * w * square(*kind, *x, *y);
                }
            }
        }
        (value, gradient)
    }

    /// Mean and variance of the noiseless value at a point.
    pub fn predict(&self, x: &[f64]) -> (f64, f64) {
        let k = self.covariances(x);
        let solved = self.solve_lower(k.clone());
        (k.dot(&self.alpha), (self.scale - solved.dot(&solved)).max(1e-12 * self.scale))
    }

    /// The same with both gradients by x; choices have none.
    pub fn predict_with_gradient(&self, x: &[f64]) -> (f64, f64, Vec<f64>, Vec<f64>) {
        let k = self.covariances(x);
        let v = self.cholesky.solve(&k);
        let variance = (self.scale - k.dot(&v)).max(1e-12 * self.scale);
        let mut by_mean = vec![0.0; x.len()];
        let mut by_variance = vec![0.0; x.len()];
        for (i, other) in self.data.x.iter().enumerate() {
            let slope = self.scale * matern(distance(&self.data.kinds, &self.weights, x, other)).1;
            let pairs = x.iter().zip(other).zip(&self.weights).zip(&self.data.kinds);
            for (j, (((x, other), weight), kind)) in pairs.enumerate() {
                if *kind == Kind::Number {
                    let change = slope * weight * 2.0 * (x - other);
                    by_mean[j] += change * self.alpha[i];
                    by_variance[j] -= 2.0 * change * v[i];
                }
            }
        }
        (k.dot(&self.alpha), variance, by_mean, by_variance)
    }

    fn covariances(&self, x: &[f64]) -> DVector<f64> {
        let k = |other: &Vec<f64>| self.scale * matern(distance(&self.data.kinds, &self.weights, x, other)).0;
        DVector::from_iterator(self.data.x.len(), self.data.x.iter().map(k))
    }

    /// L⁻¹ b.
    fn solve_lower(&self, mut b: DVector<f64>) -> DVector<f64> {
        self.cholesky.l_dirty().solve_lower_triangular_mut(&mut b);
        b
    }
}

fn distance(kinds: &[Kind], weights: &[f64], a: &[f64], b: &[f64]) -> f64 {
    kinds.iter().zip(weights).zip(a.iter().zip(b)).map(|((kind, w), (a, b))| w * square(*kind, *a, *b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;
    use rand::RngExt;

    fn data() -> Data {
        let mut rng = stream(3, "test");
        let x: Vec<Vec<f64>> =
            (0..12).map(|_| vec![rng.random(), rng.random(), f64::from(rng.random_range(0..3_u8))]).collect();
        let y = x.iter().map(|x| (3.0 * x[0]).sin() + x[1] * x[1] - 0.3 * x[2]);
        let y = DVector::from_iterator(12, y);
        Data { kinds: vec![Kind::Number, Kind::Number, Kind::Choice], x, y }
    }

    const THETA: [f64; 5] = [0.7, -0.3, 0.2, 0.4, -4.0];

    /// The textbook formula, with an explicit inverse.
    #[test]
    fn the_posterior_is_that_of_the_formula() {
        let data = data();
        let model = Model::new(&data, &THETA).unwrap();
        let k = |a: &[f64], b: &[f64]| {
            let apart = f64::from(u8::from((a[2] - b[2]).abs() > 0.5));
            let r2 =
                0.7f64.exp() * (a[0] - b[0]).powi(2) + (-0.3f64).exp() * (a[1] - b[1]).powi(2) + 0.2f64.exp() * apart;
            let r = r2.sqrt();
            0.4f64.exp() * (1.0 + 5f64.sqrt() * r + 5.0 / 3.0 * r2) * (-(5f64.sqrt()) * r).exp()
        };
        let noise = |a: usize, b: usize| if a == b { (-4.0f64).exp() } else { 0.0 };
        let covariance = DMatrix::from_fn(12, 12, |a, b| k(&data.x[a], &data.x[b]) + noise(a, b));
        let inverse = covariance.clone().try_inverse().unwrap();
        for x in [vec![0.3, 0.9, 1.0], vec![0.0, 0.5, 2.0], data.x[4].clone()] {
            let row = DVector::from_iterator(12, data.x.iter().map(|other| k(&x, other)));
            let mean = (row.transpose() * &inverse * &data.y)[0];
            let variance = k(&x, &x) - (row.transpose() * &inverse * &row)[0];
            let (found_mean, found_variance) = model.predict(&x);
            assert!((found_mean - mean).abs() < 1e-9 && (found_variance - variance).abs() < 1e-9);
        }
        let log_p = -0.5 * (data.y.transpose() * &inverse * &data.y)[0]
            - 0.5 * covariance.determinant().ln()
            - 6.0 * std::f64::consts::TAU.ln();
        assert!((model.evidence().0 - log_p).abs() < 1e-9);
    }

    #[test]
    fn the_gradient_of_the_evidence_is_its_slope() {
        let data = data();
        let gradient = Model::new(&data, &THETA).unwrap().evidence().1;
        for (i, found) in gradient.iter().enumerate() {
            let at = |step: f64| {
                let mut theta = THETA;
                theta[i] += step;
                Model::new(&data, &theta).unwrap().evidence().0
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((found - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{i}: {found} {slope}");
        }
    }

    #[test]
    fn the_gradients_of_mean_and_variance_are_their_slopes() {
        let data = data();
        let model = Model::new(&data, &THETA).unwrap();
        let x = [0.4, 0.2, 1.0];
        let (mean, variance, by_mean, by_variance) = model.predict_with_gradient(&x);
        assert!((mean - model.predict(&x).0).abs() < 1e-10 && (variance - model.predict(&x).1).abs() < 1e-10);
        for i in 0..2 {
            let at = |step: f64| {
                let mut x = x;
                x[i] += step;
                model.predict(&x)
            };
            let (up, down) = (at(1e-5), at(-1e-5));
            assert!((by_mean[i] - (up.0 - down.0) / 2e-5).abs() < 1e-6);
            assert!((by_variance[i] - (up.1 - down.1) / 2e-5).abs() < 1e-6);
        }
    }

    #[test]
    fn points_that_coincide_do_no_harm() {
        let x = vec![vec![0.5, 0.5]; 30];
        let y = DVector::from_fn(30, |i, _| i as f64);
        let data = Data { kinds: vec![Kind::Number; 2], x, y };
        let model = Model::new(&data, &[0.0, 0.0, 0.0, -60.0]).unwrap();
        assert!(model.predict(&[0.5, 0.5]).0.is_finite());
    }
}
