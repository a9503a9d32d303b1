//! A decoder of one block (Radford et al. 2019): our `transformer` of `src/nets` over texts of a fixed length, without
//! dropout.
//!
//! ```text
//! a = x + P[place]            b = a + W_o attention(norm(a))            c = b + W_2 gelu(W_1 norm(b))            y = norm(c)
//! ```
//!
//! Initial values are GPT-2's, as there: N(0, 0.02²) for all matrices, divided by √2 for the two that add to x, biases
//! 0. Rows lie place by place, `[length, n, ...]` for n texts.

use super::attention::Attention;
use super::gelu::gelu;
use super::norm::LayerNorm;
use super::{Layout, Start};
use crate::gemm::Panels;
use crate::meta::layers::Linear;
use crate::simd::add_rows;
use std::f32::consts::FRAC_1_SQRT_2;

/// Deviation of initial weights: GPT-2's.
pub(super) const DEVIATION: f32 = 0.02;

/// A block with the embedding of places before it and a norm behind it, and its working memory.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    length: usize,
    width: usize,
    /// Place of P, `[length, width]`, among the parameters.
    places: usize,
    norms: [LayerNorm; 3],
    attention: Attention,
    /// To Q, K and V, W_o, W_1 and W_2.
    qkv: Linear,
    out: Linear,
    first: Linear,
    second: Linear,
    /// Outputs of `qkv` and of `first` (behind the activation, whose slopes stand beside), `[length, n, ...]`.
    attended: Vec<f32>,
    hidden: Vec<f32>,
    slopes: Vec<f32>,
    /// a, then b, then c; backward their gradients.
    x: Vec<f32>,
    /// What is added to x, or a gradient.
    added: Vec<f32>,
    d_wide: Vec<f32>,
    panels: Panels,
}

impl Decoder {
    /// A decoder whose feed-forward part has `inner` units.
    pub fn new(length: usize, width: usize, n_heads: usize, inner: usize, layout: &mut Layout) -> Self {
        let start = |deviation| [Start::Normal { deviation }, Start::Constant(0.0)];
        let (plain, adding) = (start(DEVIATION), start(DEVIATION * FRAC_1_SQRT_2));
        let places = layout.embedding(length, width, DEVIATION);
        let first_norm = layout.norm(width);
        let (qkv, out) = (layout.linear(width, 3 * width, plain), layout.linear(width, width, adding));
        let second_norm = layout.norm(width);
        let (first, second) = (layout.linear(width, inner, plain), layout.linear(inner, width, adding));
        let norms = [first_norm, second_norm, layout.norm(width)].map(|at| LayerNorm::new(at, width));
        let [attended, hidden, slopes, x, added, d_wide] = [const { Vec::new() }; 6];
        let attention = Attention::new(length, width, n_heads);
        let panels = Panels::default();
        Self {
            length,
            width,
            places,
            norms,
            attention,
            qkv,
            out,
            first,
            second,
            attended,
            hidden,
            slopes,
            x,
            added,
            d_wide,
            panels,
        }
    }

    /// Outputs of the last forward pass, y, `[length, n, width]`.
    pub fn outputs(&self) -> &[f32] {
        self.norms[2].outputs()
    }

    /// Computes the outputs for the embedded symbols, `[length, n, width]`.
    pub fn forward(&mut self, params: &[f32], embedded: &[f32]) {
        let Self { norms: [norm1, norm2, norm3], x, added, panels, attended, hidden, slopes, .. } = self;
        x.clear();
        x.extend_from_slice(embedded);
        let places = params[self.places..].chunks_exact(self.width);
        for (rows, place) in x.chunks_exact_mut(embedded.len() / self.length).zip(places) {
            rows.chunks_exact_mut(self.width).for_each(|row| add(place, row));
        }
        self.qkv.forward(params, norm1.forward(params, x), panels, attended);
        self.attention.forward(attended);
        self.out.forward(params, self.attention.outputs(), panels, added);
        add(added, x);
        self.first.forward(params, norm2.forward(params, x), panels, hidden);
        slopes.resize(hidden.len(), 0.0);
        gelu(hidden, slopes);
        self.second.forward(params, hidden, panels, added);
        add(added, x);
        norm3.forward(params, x);
    }

    /// Gradient of the embedded symbols, `d_x`, and of the parameters, at their places in `grad`, from the one of the
    /// outputs, `[length, n, width]`, which is overwritten.
    pub fn backward(&mut self, params: &[f32], d_y: &mut [f32], grad: &mut [f32], d_x: &mut Vec<f32>) {
        let Self { norms: [norm1, norm2, norm3], added, d_wide, panels, .. } = self;
        d_x.clear();
        d_x.resize(d_y.len(), 0.0);
        norm3.backward(params, d_y, d_x, grad);

        self.second.backward(&self.hidden, d_x, panels, grad);
        self.second.d_inputs(params, d_x, panels, d_wide);
        d_wide.iter_mut().zip(&self.slopes).for_each(|(d, slope)| *d *= slope);
        self.first.backward(norm2.outputs(), d_wide, panels, grad);
        self.first.d_inputs(params, d_wide, panels, added);
        norm2.backward(params, added, d_x, grad);

        self.out.backward(self.attention.outputs(), d_x, panels, grad);
        self.out.d_inputs(params, d_x, panels, added);
        self.attention.backward(&self.attended, added, d_wide);
        self.qkv.backward(norm1.outputs(), d_wide, panels, grad);
        self.qkv.d_inputs(params, d_wide, panels, added);
        norm1.backward(params, added, d_x, grad);

        let d_places = grad[self.places..].chunks_exact_mut(self.width);
        for (rows, d_place) in d_x.chunks_exact(d_y.len() / self.length).zip(d_places) {
            d_place.fill(0.0);
            add_rows(rows, d_place);
        }
    }
}

/// Adds `values` to `to`.
fn add(values: &[f32], to: &mut [f32]) {
    to.iter_mut().zip(values).for_each(|(to, v)| *to += v);
}
