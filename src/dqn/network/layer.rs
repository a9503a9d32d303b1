//! A linear layer.

use crate::artifact::exact;
use crate::gemm::{Matrix, Panels};
use crate::simd::vectorized;
use ndarray::{Array1, Array2};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// One linear layer: `y = x w + b`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Linear {
    /// `[n_in, n_out]`
    #[serde(with = "exact")]
    pub w: Array2<f32>,
    /// `[n_out]`
    #[serde(with = "exact")]
    pub b: Array1<f32>,
}

impl Linear {
    /// A layer with weights uniform in ±gain √(3 / n_in), whose variance is gain² / n_in, and no bias.
    pub fn new(n_in: usize, n_out: usize, gain: f32, rng: &mut ChaCha8Rng) -> Self {
        let bound = gain * (3.0 / n_in as f32).sqrt();
        Self {
            w: Array2::from_shape_simple_fn((n_in, n_out), || rng.random_range(-bound..bound)),
            b: Array1::zeros(n_out),
        }
    }

    /// A layer of the same shape, all zero.
    pub fn zeros_like(other: &Self) -> Self {
        Self { w: Array2::zeros(other.w.raw_dim()), b: Array1::zeros(other.b.raw_dim()) }
    }

    /// The weights, laid out for products with many rows.
    pub fn packed(&self) -> Panels {
        let mut panels = Panels::default();
        panels.pack(Matrix::new(contiguous_2d(&self.w), self.b.len()), self.w.nrows(), self.b.len());
        panels
    }

    /// The transpose of the weights, laid out in the same way.
    pub fn packed_transpose(&self) -> Panels {
        let mut panels = Panels::default();
        let transpose = Matrix::new(contiguous_2d(&self.w), self.b.len()).transposed();
        panels.pack(transpose, self.b.len(), self.w.nrows());
        panels
    }

    /// `y = x w + b` for one row, without an allocation.
    pub fn forward_row(&self, x: &[f32], y: &mut [f32]) {
        y.copy_from_slice(contiguous(&self.b));
        let weights = contiguous_2d(&self.w);
        vectorized(
            #[inline(always)]
            || {
                let mut done = 0;
                done += add_columns::<64>(weights, x, y, done);
                done += add_columns::<16>(weights, x, y, done);
                done += add_columns::<4>(weights, x, y, done);
                add_columns::<1>(weights, x, y, done);
            },
        );
    }
}

/// Adds `x w` to `y` from column `from` on, in blocks of `N` columns as long as a whole block is left. Returns the
/// number of columns done. The sums of a block stay in registers: this loop takes most of the time of a decision.
#[inline(always)]
fn add_columns<const N: usize>(weights: &[f32], x: &[f32], y: &mut [f32], from: usize) -> usize {
    let width = y.len();
    let (blocks, _) = y[from..].as_chunks_mut::<N>();
    for (k, block) in blocks.iter_mut().enumerate() {
        let mut sums = *block;
        for (row, &xi) in weights.chunks_exact(width).zip(x) {
            let (row, _) = row[from..].as_chunks::<N>();
            for j in 0..N {
                sums[j] += xi * row[k][j];
            }
        }
        *block = sums;
    }
    blocks.len() * N
}

/// The bias as a slice. Our arrays are built by `zeros` and `from_shape_fn`, which use the standard layout, so there
/// always is one.
pub(super) fn contiguous(a: &Array1<f32>) -> &[f32] {
    a.as_slice().unwrap_or(&[])
}

/// The weights as a slice, row by row.
pub(super) fn contiguous_2d(a: &Array2<f32>) -> &[f32] {
    a.as_slice().unwrap_or(&[])
}
