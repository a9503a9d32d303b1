//! Linear layers of the nets of the kernel: products forward and backward, in buffers that the net keeps.

use crate::gemm::{Matrix, Panels};
use crate::simd::add_rows;

/// A linear layer: the weights `[n_in, n_out]` row-major, then the biases `[n_out]`, in the flat parameters of a net.
#[derive(Debug, Clone, Copy)]
pub(super) struct Linear {
    /// Place of the first weight.
    pub at: usize,
    pub n_in: usize,
    pub n_out: usize,
}

impl Linear {
    /// Place after the last bias.
    pub fn end(&self) -> usize {
        self.at + (self.n_in + 1) * self.n_out
    }

    /// The biases, `[n_out]`.
    pub fn biases<'a>(&self, params: &'a [f32]) -> &'a [f32] {
        &params[self.end() - self.n_out..self.end()]
    }

    /// Lays the weights out, for products of inputs with them.
    pub fn pack(&self, params: &[f32], panels: &mut Panels) {
        panels.pack(Matrix::new(&params[self.at..], self.n_out), self.n_in, self.n_out);
    }

    /// Lays the transposed weights out, for products of gradients with them.
    pub fn pack_transposed(&self, params: &[f32], panels: &mut Panels) {
        panels.pack(Matrix::new(&params[self.at..], self.n_out).transposed(), self.n_out, self.n_in);
    }

    /// Outputs `y`, `[n, n_out]`, for the inputs `x`, `[n, n_in]`.
    pub fn forward(&self, params: &[f32], x: &[f32], panels: &mut Panels, y: &mut Vec<f32>) {
        y.resize(x.len() / self.n_in * self.n_out, 0.0);
        self.pack(params, panels);
        panels.multiply(Matrix::new(x, self.n_in), Some(self.biases(params)), y);
    }

    /// Writes the gradient of weights and biases to their places in `grad`; `d_y`, `[n, n_out]`, is the one of the
    /// outputs.
    pub fn backward(&self, x: &[f32], d_y: &[f32], panels: &mut Panels, grad: &mut [f32]) {
        let (d_weights, d_biases) = grad[self.at..self.end()].split_at_mut(self.n_in * self.n_out);
        panels.pack(Matrix::new(d_y, self.n_out), d_y.len() / self.n_out, self.n_out);
        panels.multiply(Matrix::new(x, self.n_in).transposed(), None, d_weights);
        d_biases.fill(0.0);
        add_rows(d_y, d_biases);
    }

    /// Gradient of the inputs, `[n, n_in]`.
    pub fn d_inputs(&self, params: &[f32], d_y: &[f32], panels: &mut Panels, d_x: &mut Vec<f32>) {
        d_x.resize(d_y.len() / self.n_out * self.n_in, 0.0);
        self.pack_transposed(params, panels);
        panels.multiply(Matrix::new(d_y, self.n_out), None, d_x);
    }
}

/// The gradient of a loss by differences of 0.01 on both sides, in double precision: what tests compare with.
#[cfg(test)]
pub(super) fn numeric_gradient(params: &[f32], mut loss: impl FnMut(&[f32]) -> f32) -> Vec<f64> {
    let mut moved = params.to_vec();
    let mut slope = |i: usize| {
        let [above, below] = [1e-2, -1e-2].map(|h| {
            moved[i] = params[i] + h;
            f64::from(loss(&moved))
        });
        moved[i] = params[i];
        (above - below) / 2e-2
    };
    (0..params.len()).map(&mut slope).collect()
}
