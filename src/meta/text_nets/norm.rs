//! Layer normalization (Ba et al. 2016, arXiv 1607.06450), forward and backward.
//!
//! ```text
//! u = (x - mean x) / sqrt(var x + 1e-5)          y = scale * u + shift            over each row; eps as in PyTorch
//! d_u = scale * d_y                              d_x = (d_u - mean d_u - u mean(d_u u)) / sqrt(var x + 1e-5)
//! ```

use crate::simd::vectorized;

const EPS: f32 = 1e-5;

/// A layer norm: its scale `[width]`, then its shift `[width]`, in the flat parameters of a net.
#[derive(Debug, Clone)]
pub(super) struct LayerNorm {
    at: usize,
    width: usize,
    /// u, `[n, width]`.
    unit: Vec<f32>,
    /// What each row was multiplied by, `[n]`.
    factors: Vec<f32>,
    y: Vec<f32>,
}

impl LayerNorm {
    /// A norm of rows of this width, whose parameters begin at `at`.
    pub fn new(at: usize, width: usize) -> Self {
        Self { at, width, unit: Vec::new(), factors: Vec::new(), y: Vec::new() }
    }

    /// Outputs of the last forward pass, `[n, width]`.
    pub fn outputs(&self) -> &[f32] {
        &self.y
    }

    /// Computes the outputs for the rows `x`, `[n, width]`.
    pub fn forward(&mut self, params: &[f32], x: &[f32]) -> &[f32] {
        let width = self.width;
        let (scale, shift) = params[self.at..self.at + 2 * width].split_at(width);
        self.unit.resize(x.len(), 0.0);
        self.y.resize(x.len(), 0.0);
        self.factors.resize(x.len() / width, 0.0);
        let rows = x.chunks_exact(width).zip(self.unit.chunks_exact_mut(width)).zip(self.y.chunks_exact_mut(width));
        vectorized(
            #[inline(always)]
            || {
                for (((x, unit), y), factor) in rows.zip(&mut self.factors) {
                    let mean = sum(x) / width as f32;
                    unit.iter_mut().zip(x).for_each(|(u, x)| *u = x - mean);
                    *factor = 1.0 / (dot(unit, unit) / width as f32 + EPS).sqrt();
                    for (((y, u), scale), shift) in y.iter_mut().zip(unit).zip(scale).zip(shift) {
                        *u *= *factor;
                        *y = *u * scale + shift;
                    }
                }
            },
        );
        &self.y
    }

    /// Adds the gradient of the inputs to `d_x`, `[n, width]`, and writes the one of the parameters to their places in
    /// `grad`. `d_y` is the gradient of the outputs, and is overwritten.
    pub fn backward(&self, params: &[f32], d_y: &mut [f32], d_x: &mut [f32], grad: &mut [f32]) {
        let width = self.width;
        let scale = &params[self.at..self.at + width];
        let (d_scale, d_shift) = grad[self.at..self.at + 2 * width].split_at_mut(width);
        d_scale.fill(0.0);
        d_shift.fill(0.0);
        let rows = d_y.chunks_exact_mut(width).zip(d_x.chunks_exact_mut(width)).zip(self.unit.chunks_exact(width));
        vectorized(
            #[inline(always)]
            || {
                for (((d_y, d_x), unit), factor) in rows.zip(&self.factors) {
                    for j in 0..width {
                        d_scale[j] += d_y[j] * unit[j];
                        d_shift[j] += d_y[j];
                        d_y[j] *= scale[j];
                    }
                    let (mean, along) = (sum(d_y) / width as f32, dot(d_y, unit) / width as f32);
                    for ((d_x, d_u), u) in d_x.iter_mut().zip(&*d_y).zip(unit) {
                        *d_x += factor * (d_u - mean - u * along);
                    }
                }
            },
        );
    }
}

/// Number of sums that are added up side by side, always the same ones.
const LANES: usize = 8;

#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for j in 0..LANES {
            sums[j] += chunk[j];
        }
    }
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for j in 0..LANES {
            sums[j] += a[j] * b[j];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}
