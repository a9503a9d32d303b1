//! Conditioning on plain memory: the changes of small weight matrices, orthogonalized as [`crate::polar`] says.
//!
//! The head is conditioned too, and all is as in `torch::Orthogonal`: the norm of a change is kept, a degree below 1
//! mixes the orthogonalized direction with the one that was proposed.

use crate::gemm::{Matrix, Panels};
use crate::polar::{STEPS, TINY, coefficients};
use crate::simd::vectorized;

/// A weight matrix, row-major, in the flat parameters of a net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WeightMatrix {
    /// Place of its first element.
    pub at: usize,
    /// Rows and columns, both at least 2: a lone row or column is as orthogonal as it can be.
    pub shape: [usize; 2],
}

impl WeightMatrix {
    /// Place after its last element.
    pub fn end(&self) -> usize {
        self.at + self.shape[0] * self.shape[1]
    }
}

/// Working memory of orthogonalizations.
#[derive(Debug, Default)]
pub(super) struct Orthogonalizer {
    /// X of the iteration, and the next one.
    x: Vec<f32>,
    next: Vec<f32>,
    /// `X Xᵀ` on the smaller side, and what it is multiplied by.
    gram: Vec<f32>,
    polynomial: Vec<f32>,
    panels: Panels,
}

impl Orthogonalizer {
    /// Turns a change in place, by this degree in (0, 1].
    pub fn condition(&mut self, change: &mut [f32], shape: [usize; 2], degree: f64) {
        let length = norm(change);
        let to_unit = (1.0 / length.max(TINY)) as f32;
        self.x.clear();
        self.x.extend(change.iter().map(|v| v * to_unit));
        for coefficients in coefficients(STEPS) {
            self.newton_schulz(shape, coefficients.map(|coefficient| coefficient as f32));
        }
        if degree < 1.0 {
            let turned = (degree / norm(&self.x).max(TINY)) as f32;
            let proposed = (1.0 - degree) as f32 * to_unit;
            self.x.iter_mut().zip(&*change).for_each(|(x, v)| *x = turned * *x + proposed * v);
        }
        let scale = (length / norm(&self.x).max(TINY)) as f32;
        change.iter_mut().zip(&self.x).for_each(|(v, x)| *v = scale * x);
    }

    /// `X <- (a I + b G + c G²) X` with G = X Xᵀ, or on columns with G = Xᵀ X from the right, whichever G is smaller.
    fn newton_schulz(&mut self, [n_rows, n_columns]: [usize; 2], [a, b, c]: [f32; 3]) {
        let Self { x, next, gram, polynomial, panels } = self;
        let (wide, n) = (n_rows <= n_columns, n_rows.min(n_columns));
        let own = Matrix::new(x, n_columns);
        gram.resize(n * n, 0.0);
        polynomial.resize(n * n, 0.0);
        next.resize(x.len(), 0.0);
        let (left, right, inner) =
            if wide { (own, own.transposed(), n_columns) } else { (own.transposed(), own, n_rows) };
        panels.pack(right, inner, n);
        panels.multiply(left, None, gram);
        panels.pack(Matrix::new(gram, n), n, n);
        panels.multiply(Matrix::new(gram, n), None, polynomial);
        vectorized(
            #[inline(always)]
            || polynomial.iter_mut().zip(&*gram).for_each(|(p, g)| *p = b * g + c * *p),
        );
        polynomial.iter_mut().step_by(n + 1).for_each(|p| *p += a);
        if wide {
            panels.pack(own, n, n_columns);
            panels.multiply(Matrix::new(polynomial, n), None, next);
        } else {
            panels.pack(Matrix::new(polynomial, n), n, n);
            panels.multiply(own, None, next);
        }
        std::mem::swap(x, next);
    }
}

/// Euclidean norm.
fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{standard_normal_f32, stream};
    use rand_chacha::ChaCha8Rng;

    /// `k` orthonormal vectors of length `n`, by Gram and Schmidt.
    fn orthonormal(n: usize, k: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut found: Vec<Vec<f64>> = Vec::new();
        while found.len() < k {
            let mut next: Vec<f64> = (0..n).map(|_| f64::from(standard_normal_f32(rng))).collect();
            // Twice is enough.
            for other in found.iter().chain(&found) {
                let share = dot(&next, other);
                next.iter_mut().zip(other).for_each(|(v, o)| *v -= share * o);
            }
            let length = dot(&next, &next).sqrt();
            found.push(next.into_iter().map(|v| v / length).collect());
        }
        found
    }

    /// The matrix with these singular values, and what its change is to become: the same singular vectors, with a
    /// mixture of its singular values and equal ones, as long as it was.
    fn with_singular_values(shape: [usize; 2], values: &[f64], degree: f64) -> [Vec<f64>; 2] {
        let mut rng = stream(5, "orthogonal");
        let [left, right] = shape.map(|n| orthonormal(n, values.len(), &mut rng));
        let length = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
        let equal = degree / (values.len() as f64).sqrt();
        let mixed: Vec<f64> = values.iter().map(|v| equal + (1.0 - degree) * v / length(values)).collect();
        let scale = length(values) / length(&mixed);
        let turned: Vec<f64> = mixed.iter().map(|v| v * scale).collect();
        [values, &turned].map(|values| {
            let element = |i: usize| {
                let (row, column) = (i / shape[1], i % shape[1]);
                values.iter().zip(left.iter().zip(&right)).map(|(v, (l, r))| v * l[row] * r[column]).sum()
            };
            (0..shape[0] * shape[1]).map(element).collect()
        })
    }

    fn distance(a: &[f32], b: &[f64]) -> f64 {
        let off = a.iter().zip(b).map(|(&a, b)| (f64::from(a) - b).powi(2)).sum::<f64>();
        (off / b.iter().map(|b| b * b).sum::<f64>()).sqrt()
    }

    #[test]
    fn a_change_becomes_what_its_singular_value_decomposition_says_and_keeps_its_norm() {
        let values = [3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.004];
        let mut orthogonalizer = Orthogonalizer::default();
        for shape in [[7, 7], [7, 19], [19, 7], [7, 33]] {
            for degree in [0.25, 0.5, 1.0] {
                let [change, expected] = with_singular_values(shape, &values, degree);
                for scale in [1.0, 1e-12, 1e12] {
                    let mut found: Vec<f32> = change.iter().map(|&v| (scale * v) as f32).collect();
                    orthogonalizer.condition(&mut found, shape, degree);
                    let expected: Vec<f64> = expected.iter().map(|v| scale * v).collect();
                    let off = distance(&found, &expected);
                    assert!(off < 0.13, "{shape:?}, degree {degree}, times {scale}: {off}");
                    let kept = norm(&found) / (scale * values.iter().map(|v| v * v).sum::<f64>().sqrt());
                    assert!((kept - 1.0).abs() < 1e-6, "{shape:?}, degree {degree}, times {scale}: {kept}");
                }
            }
        }
    }

    #[test]
    fn no_change_stays_none_and_what_is_not_finite_stays_that() {
        let mut orthogonalizer = Orthogonalizer::default();
        for degree in [0.5, 1.0] {
            let mut none = [0.0; 12];
            orthogonalizer.condition(&mut none, [3, 4], degree);
            assert!(none.iter().all(|v| v.to_bits() == 0), "{none:?}");
            let mut broken = [1.0; 12];
            broken[5] = f32::INFINITY;
            orthogonalizer.condition(&mut broken, [3, 4], degree);
            assert!(broken.iter().any(|v| !v.is_finite()), "{broken:?}");
        }
    }
}
