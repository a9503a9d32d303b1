//! Measurements of a host's net at a decision: directions and norms, from the parameters and the gradient.

use super::signals::Measured;
use crate::artifact::exact;
use crate::rng;
use crate::simd::vectorized;
use rand::seq::index;
use serde::{Deserialize, Serialize};

/// Sums over the sampled coordinates, in the order in which a device hands them over.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sums {
    /// Σ sign(dx · dx_prev)
    pub update_sign: f64,
    /// Σ dx · g
    pub update_grad: f64,
    /// Σ sign(g · g_prev)
    pub grad_sign: f64,
    /// Σ g · g_prev
    pub grad_prev: f64,
    /// Σ g²
    pub grad_sq: f64,
    /// Σ (EMA g)²
    pub grad_ema_sq: f64,
    /// Σ dx²
    pub update_sq: f64,
    /// Σ x²
    pub param_sq: f64,
    /// Σ dx · dx_prev
    pub update_prev: f64,
    /// Σ dx_prev²
    pub update_prev_sq: f64,
    /// Σ (x - x_0)²
    pub distance_sq: f64,
}

/// The sums in the order of their fields, for a host that adds them up.
impl From<Sums> for [f64; 11] {
    fn from(sums: Sums) -> Self {
        let Sums { update_sign, update_grad, grad_sign, grad_prev, grad_sq, grad_ema_sq, .. } = sums;
        let Sums { update_sq, param_sq, update_prev, update_prev_sq, distance_sq, .. } = sums;
        [
            update_sign,
            update_grad,
            grad_sign,
            grad_prev,
            grad_sq,
            grad_ema_sq,
            update_sq,
            param_sq,
            update_prev,
            update_prev_sq,
            distance_sq,
        ]
    }
}

impl From<[f64; 11]> for Sums {
    fn from(sums: [f64; 11]) -> Self {
        let [update_sign, update_grad, grad_sign, grad_prev, grad_sq, grad_ema_sq, rest @ ..] = sums;
        let [update_sq, param_sq, update_prev, update_prev_sq, distance_sq] = rest;
        Self {
            update_sign,
            update_grad,
            grad_sign,
            grad_prev,
            grad_sq,
            grad_ema_sq,
            update_sq,
            param_sq,
            update_prev,
            update_prev_sq,
            distance_sq,
        }
    }
}

impl Measured {
    /// Turns sums over `n_sampled` of `n_params` coordinates into signals.
    ///
    /// `n_params == 0` means that nothing was measured. The cosine of a vector of length 0 is NaN.
    pub fn from_sums(sums: &Sums, n_sampled: usize, n_params: usize) -> Self {
        let n = n_sampled as f64;
        let scale = n_params as f64 / n;
        let norm = |sq: f64| (sq * scale).sqrt();
        Self {
            alignment: if sums.update_sq > 0.0 { sums.update_sign / n } else { f64::NAN },
            descent_cosine: -sums.update_grad / (sums.update_sq * sums.grad_sq).sqrt(),
            grad_alignment: sums.grad_sign / n,
            grad_dot: sums.grad_prev * scale,
            grad_norm: norm(sums.grad_sq),
            grad_snr: (sums.grad_ema_sq / sums.grad_sq).sqrt(),
            update_norm: norm(sums.update_sq),
            param_norm: norm(sums.param_sq),
            update_cosine: sums.update_prev / (sums.update_sq * sums.update_prev_sq).sqrt(),
            distance: norm(sums.distance_sq),
        }
    }
}

/// Measures at every decision, and remembers on the host what the next measurement needs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measure {
    #[serde(with = "exact")]
    x_first: Vec<f32>,
    #[serde(with = "exact")]
    x_prev: Vec<f32>,
    #[serde(with = "exact")]
    update_prev: Vec<f32>,
    #[serde(with = "exact")]
    grad_prev: Vec<f32>,
    #[serde(with = "exact")]
    grad_ema: Vec<f32>,
}

impl Measure {
    /// Decay of the gradient's exponential moving average, per decision: a memory of about four decisions. Chosen by
    /// us.
    pub const GRAD_EMA_DECAY: f32 = 0.75;

    /// Largest number of coordinates that a host measures. The standard error of the alignment is then
    /// `1/sqrt(65536)`, 0.4 %.
    pub const MAX_SAMPLED: usize = 65_536;

    /// The coordinates of `n_params` that a host measures at every decision, `[MAX_SAMPLED]`, ascending, drawn from the
    /// stream "sample" of `seed`. None where there are no more than [`Measure::MAX_SAMPLED`]: then all are measured.
    pub fn sample(n_params: usize, seed: u64) -> Option<Vec<i64>> {
        if n_params <= Self::MAX_SAMPLED {
            return None;
        }
        let drawn = index::sample(&mut rng::stream(seed, "sample"), n_params, Self::MAX_SAMPLED);
        let mut places: Vec<i64> = drawn.into_iter().map(|i| i as i64).collect();
        places.sort_unstable();
        Some(places)
    }

    /// Measures at the parameters `x` with the gradient `grad` (same length, all coordinates), and remembers both.
    pub fn measure(&mut self, x: &[f32], grad: &[f32]) -> Measured {
        self.measure_sample(x, grad, x.len())
    }

    /// [`Measure::measure`] for a sample: `x` and `grad` hold the same few of `n_params` coordinates at every decision.
    pub fn measure_sample(&mut self, x: &[f32], grad: &[f32], n_params: usize) -> Measured {
        Measured::from_sums(&self.sums(x, grad), x.len(), n_params)
    }

    /// Sums of a measurement that remembers, as [`Measure::measure_sample`] does. A host whose parameters are spread over
    /// several processes adds those of all parts and has [`Measured::from_sums`] turn them into signals.
    pub fn sums(&mut self, x: &[f32], grad: &[f32]) -> Sums {
        let first = self.x_prev.is_empty();
        if first {
            self.x_first = x.to_vec();
            self.x_prev = x.to_vec();
            self.update_prev = vec![0.0; x.len()];
            self.grad_prev = vec![0.0; x.len()];
            self.grad_ema = grad.to_vec();
        }
        let Self { x_first, x_prev, update_prev, grad_prev, grad_ema } = self;
        vectorized(
            #[inline(always)]
            || {
                for ((previous, &x), (ema, &g)) in x_prev.iter_mut().zip(x).zip(grad_ema.iter_mut().zip(grad)) {
                    *previous = x - *previous;
                    *ema = Self::GRAD_EMA_DECAY * *ema + (1.0 - Self::GRAD_EMA_DECAY) * g;
                }
            },
        );
        // The former parameters are overwritten with the way from there to `x`.
        let update = x_prev;
        let sums = Sums {
            update_sign: signs(update, update_prev),
            update_grad: dot(update, grad),
            grad_sign: signs(grad, grad_prev),
            grad_prev: dot(grad, grad_prev),
            grad_sq: dot(grad, grad),
            grad_ema_sq: dot(grad_ema, grad_ema),
            update_sq: dot(update, update),
            param_sq: dot(x, x),
            update_prev: dot(update, update_prev),
            update_prev_sq: dot(update_prev, update_prev),
            distance_sq: distance_sq(x, x_first),
        };
        std::mem::swap(update, update_prev);
        self.x_prev.copy_from_slice(x);
        self.grad_prev.copy_from_slice(grad);
        sums
    }

    /// Whether it can go on with `n` coordinates: it has measured nothing yet, or that number of them.
    pub fn fits(&self, n: usize) -> bool {
        let Self { x_first, x_prev, update_prev, grad_prev, grad_ema } = self;
        let lengths = [x_first, x_prev, update_prev, grad_prev, grad_ema].map(Vec::len);
        lengths == [0; 5] || lengths == [n; 5]
    }

    /// Takes note of a rollback to `x`: the way back is no step, so the next displacement starts there.
    pub fn rolled_back(&mut self, x: &[f32]) {
        if !self.x_prev.is_empty() {
            self.x_prev.copy_from_slice(x);
        }
    }
}

/// Σ a · b
fn dot(a: &[f32], b: &[f32]) -> f64 {
    sum(
        a,
        b,
        #[inline(always)]
        |a, b| a * b,
    )
}

/// Σ sign(a · b), with 0 for 0.
fn signs(a: &[f32], b: &[f32]) -> f64 {
    sum(
        a,
        b,
        #[inline(always)]
        |a, b| {
            let product = a * b;
            let (positive, negative) = (product > 0.0, product < 0.0);
            (if positive { 1.0 } else { 0.0 }) - (if negative { 1.0 } else { 0.0 })
        },
    )
}

/// Σ (a - b)²
fn distance_sq(a: &[f32], b: &[f32]) -> f64 {
    sum(
        a,
        b,
        #[inline(always)]
        |a, b| (a - b) * (a - b),
    )
}

/// Sum of a term over two slices of the same length, as sixteen sums side by side, which the processor adds at once.
#[inline(always)]
fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f64 {
    const SIDE_BY_SIDE: usize = 16;
    vectorized(
        #[inline(always)]
        || {
            // Declared in here: sums that the closure borrowed would be written to memory at every step, which takes
            // four times as long.
            let mut sums = [0.0; SIDE_BY_SIDE];
            let (a, a_rest) = a.as_chunks::<SIDE_BY_SIDE>();
            let (b, b_rest) = b.as_chunks::<SIDE_BY_SIDE>();
            for (a, b) in a.iter().zip(b) {
                for i in 0..SIDE_BY_SIDE {
                    sums[i] += f64::from(term(a[i], b[i]));
                }
            }
            for ((sum, &a), &b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
                *sum += f64::from(term(a, b));
            }
            sums.iter().sum()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_window_has_no_displacement_and_says_so_with_nan() {
        let m = Measure::default().measure(&[1.0, 2.0], &[0.5, 0.5]);
        assert!(m.alignment.is_nan() && m.descent_cosine.is_nan());
        assert!((m.param_norm - 5f64.sqrt()).abs() < 1e-12);
        assert!((m.grad_snr - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_step_down_the_gradient_of_a_bowl_is_aligned_until_it_overshoots() {
        // f = x²/2, gradient x. A short step keeps cos(dx, -g) = 1, one over the minimum gives -1.
        let run = |lr: f32| {
            let mut measure = Measure::default();
            let mut x = [1.0f32, -3.0];
            let mut last = Measured::default();
            for _ in 0..3 {
                last = measure.measure(&x, &x.clone());
                x = x.map(|v| v - lr * v);
            }
            last
        };
        assert!((run(0.1).descent_cosine - 1.0).abs() < 1e-6 && (run(0.1).alignment - 1.0).abs() < 1e-12);
        assert!((run(1.5).descent_cosine + 1.0).abs() < 1e-6 && (run(1.5).alignment + 1.0).abs() < 1e-12);
        assert!((run(0.1).update_cosine - 1.0).abs() < 1e-6 && (run(1.5).update_cosine + 1.0).abs() < 1e-6);
        // After two steps x is (1 - lr)² x_0.
        assert!((run(0.1).distance - 0.19 * 10f64.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn alignment_compares_two_different_gradients() {
        // The published code compared a gradient with itself, which is 1 always.
        let mut measure = Measure::default();
        measure.measure(&[0.0; 2], &[1.0, 1.0]);
        assert!((measure.measure(&[0.0; 2], &[1.0, -1.0]).grad_alignment).abs() < 1e-12);
        assert!((measure.measure(&[0.0; 2], &[-1.0, 1.0]).grad_alignment + 1.0).abs() < 1e-12);
    }

    #[test]
    fn every_sum_is_that_of_a_loop_over_the_coordinates_whatever_their_number() {
        use crate::rng::stream;
        use rand::RngExt;
        for n in [1, 15, 16, 17, 100] {
            let mut rng = stream(n as u64, "measure");
            // Some numbers are zero, whose sign is 0.
            let mut draw = || -> Vec<f32> { (0..n).map(|_| f32::from(rng.random_range(-3i8..4))).collect() };
            let [x0, x1, x2, g0, g1, g2] = [(); 6].map(|()| draw());
            let mut measure = Measure::default();
            measure.measure(&x0, &g0);
            measure.measure(&x1, &g1);
            let found = measure.measure(&x2, &g2);
            let total = |term: &dyn Fn(usize) -> f32| (0..n).map(|i| f64::from(term(i))).sum::<f64>();
            let sign = |v: f32| {
                if v > 0.0 {
                    1.0
                } else if v < 0.0 {
                    -1.0
                } else {
                    0.0
                }
            };
            let (step, before) = (|i: usize| x2[i] - x1[i], |i: usize| x1[i] - x0[i]);
            let ema = |i: usize| 0.75 * (0.75 * g0[i] + 0.25 * g1[i]) + 0.25 * g2[i];
            let sums = Sums {
                update_sign: total(&|i| sign(step(i) * before(i))),
                update_grad: total(&|i| step(i) * g2[i]),
                grad_sign: total(&|i| sign(g2[i] * g1[i])),
                grad_prev: total(&|i| g2[i] * g1[i]),
                grad_sq: total(&|i| g2[i] * g2[i]),
                grad_ema_sq: total(&|i| ema(i) * ema(i)),
                update_sq: total(&|i| step(i) * step(i)),
                param_sq: total(&|i| x2[i] * x2[i]),
                update_prev: total(&|i| step(i) * before(i)),
                update_prev_sq: total(&|i| before(i) * before(i)),
                distance_sq: total(&|i| (x2[i] - x0[i]).powi(2)),
            };
            // All of them are whole numbers or nearly so: no order of adding rounds.
            let expected = Measured::from_sums(&sums, n, n);
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{n} coordinates");
        }
    }
}
