//! The way of a batch through a network, and back.

use super::QNetwork;
use super::layer::Linear;
use crate::gemm::{Matrix, Panels};
use crate::simd::{add_rows, relu, relu_backward};
use ndarray::{Array2, CowArray, Ix2};

/// Number of rows that pass through the layers together. For a layer of 64 units they are 16 KiB, so that a few layers
/// fit the first caches.
pub(super) const CHUNK: usize = 64;

/// Chunks of rows on their way through a network, and back.
pub(super) struct Pass<'a> {
    network: &'a QNetwork,
    weights: Vec<Panels>,
    /// Output of every layer `[n, n_out]`; for the hidden ones, after the ReLU.
    pub outputs: Vec<Vec<f32>>,
    /// Gradient with respect to the output of the current layer, before the ReLU.
    pub d_out: Vec<f32>,
    d_in: Vec<f32>,
    d_weights: Vec<f32>,
    panels: Panels,
}

impl<'a> Pass<'a> {
    pub fn new(network: &'a QNetwork) -> Self {
        Self {
            network,
            weights: network.layers().map(Linear::packed).collect(),
            outputs: vec![Vec::new(); network.hidden.len() + 1],
            d_out: Vec::new(),
            d_in: Vec::new(),
            d_weights: Vec::new(),
            panels: Panels::default(),
        }
    }

    /// The outputs of the head for a chunk `[n, n_features]`.
    pub fn forward(&mut self, features: &[f32]) -> &[f32] {
        let (n, last) = (features.len() / self.network.n_features(), self.network.hidden.len());
        for (l, layer) in self.network.layers().enumerate() {
            let (before, after) = self.outputs.split_at_mut(l);
            let x: &[f32] = before.last().map_or(features, Vec::as_slice);
            let y = &mut after[0];
            y.resize(n * layer.b.len(), 0.0);
            self.weights[l].multiply(Matrix::new(x, layer.w.nrows()), layer.b.as_slice(), y);
            if l < last {
                relu(y);
            }
        }
        &self.outputs[last]
    }

    /// Adds the share of the chunk that went forward last to the gradient. `d_out` must hold the gradient with respect
    /// to the outputs of the head. `turned` are the transposed weights of all layers but the first.
    pub fn backward(&mut self, features: &[f32], turned: &[Panels], gradient: &mut QNetwork) {
        let n = features.len() / self.network.n_features();
        for l in (0..self.outputs.len()).rev() {
            let sums = gradient.hidden.get_mut(l).unwrap_or(&mut gradient.head);
            let (n_in, n_out) = sums.w.dim();
            let x: &[f32] = if l == 0 { features } else { &self.outputs[l - 1] };
            self.d_weights.resize(n_in * n_out, 0.0);
            self.panels.pack(Matrix::new(&self.d_out, n_out), n, n_out);
            self.panels.multiply(Matrix::new(x, n_in).transposed(), None, &mut self.d_weights);
            add_rows(&self.d_weights, sums.w.as_slice_mut().unwrap_or(&mut []));
            add_rows(&self.d_out, sums.b.as_slice_mut().unwrap_or(&mut []));
            if l > 0 {
                self.d_in.resize(n * n_in, 0.0);
                turned[l - 1].multiply(Matrix::new(&self.d_out, n_out), None, &mut self.d_in);
                relu_backward(x, &mut self.d_in);
                std::mem::swap(&mut self.d_out, &mut self.d_in);
            }
        }
    }
}

/// Chunks of rows of a matrix in standard layout.
pub(super) fn chunks<'a>(features: &'a CowArray<f32, Ix2>) -> impl Iterator<Item = &'a [f32]> {
    features.as_slice().unwrap_or(&[]).chunks(CHUNK * features.ncols().max(1))
}

/// Matrix of these rows.
pub(super) fn matrix(rows: Vec<f32>, n_columns: usize) -> Array2<f32> {
    Array2::from_shape_vec((rows.len() / n_columns, n_columns), rows).unwrap_or_default()
}
