//! Causal self-attention with several heads (Vaswani et al. 2017, arXiv 1706.03762), forward and backward.
//!
//! ```text
//! S = Q K' / sqrt(width / heads)      P = softmax(S) over the places up to the own one      y = P V      in each head
//! d_V = P' d_y      d_P = d_y V'      d_S = P (d_P - Σ P d_P) / sqrt(width / heads)      d_Q = d_S K      d_K = d_S' Q
//! ```
//!
//! Rows lie place by place, `[length, n, ...]` for n texts: the rows of one text are n apart.

use crate::gemm::{Matrix, Panels};
use crate::meta::exp::exp_in_place;
use crate::simd::vectorized;

/// Sizes of the attention, and its working memory.
#[derive(Debug, Clone)]
pub(super) struct Attention {
    length: usize,
    width: usize,
    n_heads: usize,
    /// P, `[n, heads, length, length]`.
    shares: Vec<f32>,
    /// y, the heads side by side, `[length, n, width]`.
    y: Vec<f32>,
    /// d_P and then d_S of one head, `[length, length]`.
    d_scores: Vec<f32>,
    /// A product of one head, `[length, width / heads]`.
    product: Vec<f32>,
    panels: Panels,
}

/// One head of one of `n` texts.
#[derive(Clone, Copy)]
struct HeadOf {
    text: usize,
    n: usize,
    /// Number of the first column of the head.
    column: usize,
}

impl HeadOf {
    /// The columns of this head, `[length, width / heads]`, of all rows of this width, from column `first` on.
    fn of<'a>(&self, rows: &'a [f32], width: usize, first: usize) -> Matrix<'a> {
        Matrix::new(&rows[self.text * width + first + self.column..], self.n * width)
    }

    /// Copies `values`, `[length, columns]`, there.
    fn put(&self, values: &[f32], columns: usize, rows: &mut [f32], width: usize, first: usize) {
        let rows = rows[self.text * width..].chunks_mut(self.n * width);
        for (row, values) in rows.zip(values.chunks_exact(columns)) {
            row[first + self.column..][..columns].copy_from_slice(values);
        }
    }
}

impl Attention {
    /// Attention between so many places. The heads share `width`.
    pub fn new(length: usize, width: usize, n_heads: usize) -> Self {
        let [shares, y, d_scores, product] = [const { Vec::new() }; 4];
        Self { length, width, n_heads, shares, y, d_scores, product, panels: Panels::default() }
    }

    /// Outputs of the last forward pass, `[length, n, width]`.
    pub fn outputs(&self) -> &[f32] {
        &self.y
    }

    /// Number of texts, and every head of them with the place of its P.
    fn heads(&self, n_rows: usize) -> (usize, impl Iterator<Item = (HeadOf, usize)> + use<>) {
        let (n, n_heads, square) = (n_rows / self.length, self.n_heads, self.length * self.length);
        let columns = self.width / n_heads;
        let head = move |i| (HeadOf { text: i / n_heads, n, column: i % n_heads * columns }, i * square);
        (n, (0..n * n_heads).map(head))
    }

    /// Computes the outputs for Q, K and V, side by side in `qkv`, `[length, n, 3 width]`.
    pub fn forward(&mut self, qkv: &[f32]) {
        let (length, width, columns) = (self.length, self.width, self.width / self.n_heads);
        let (n, heads) = self.heads(qkv.len() / (3 * width));
        self.shares.resize(n * self.n_heads * length * length, 0.0);
        self.y.resize(qkv.len() / 3, 0.0);
        self.product.resize(length * columns, 0.0);
        for (head, at) in heads {
            let [queries, keys] = [0, width].map(|first| head.of(qkv, 3 * width, first));
            self.panels.pack(keys.transposed(), columns, length);
            self.panels.multiply(queries, None, &mut self.shares[at..][..length * length]);
        }
        softmax_of_past(&mut self.shares, length, (columns as f32).sqrt().recip());
        for (head, at) in self.heads(n * length).1 {
            self.panels.pack(head.of(qkv, 3 * width, 2 * width), length, columns);
            self.panels.multiply(Matrix::new(&self.shares[at..], length), None, &mut self.product);
            head.put(&self.product, columns, &mut self.y, width, 0);
        }
    }

    /// Gradient of Q, K and V, side by side in `d_qkv`, from the one of the outputs, `[length, n, width]`.
    pub fn backward(&mut self, qkv: &[f32], d_y: &[f32], d_qkv: &mut Vec<f32>) {
        let (length, width, columns) = (self.length, self.width, self.width / self.n_heads);
        let scale = (columns as f32).sqrt().recip();
        let (_, heads) = self.heads(d_y.len() / width);
        self.d_scores.resize(length * length, 0.0);
        d_qkv.resize(qkv.len(), 0.0);
        let Self { shares, d_scores, product, panels, .. } = self;
        for (head, at) in heads {
            let [queries, keys, values] = [0, 1, 2].map(|part| head.of(qkv, 3 * width, part * width));
            let (shares, d_y) = (&shares[at..][..length * length], head.of(d_y, width, 0));
            panels.pack(values.transposed(), columns, length);
            panels.multiply(d_y, None, d_scores);
            softmax_backward(shares, d_scores, length, scale);
            let d_scores = Matrix::new(d_scores, length);
            let products =
                [(d_scores, keys), (d_scores.transposed(), queries), (Matrix::new(shares, length).transposed(), d_y)];
            for (part, (left, right)) in products.into_iter().enumerate() {
                panels.pack(right, length, columns);
                panels.multiply(left, None, product);
                head.put(product, columns, d_qkv, 3 * width, part * width);
            }
        }
    }
}

/// Softmax of `scale` times each row of the matrices, `[length, length]`, over the places up to its own; 0 at those
/// behind.
fn softmax_of_past(scores: &mut [f32], length: usize, scale: f32) {
    for (i, row) in scores.chunks_exact_mut(length).enumerate() {
        let (past, future) = row.split_at_mut(i % length + 1);
        let max = past.iter().fold(f32::NEG_INFINITY, |m, &v| m.max(v));
        past.iter_mut().for_each(|v| *v = scale * (*v - max));
        future.fill(f32::NEG_INFINITY);
    }
    exp_in_place(scores);
    vectorized(
        #[inline(always)]
        || {
            for row in scores.chunks_exact_mut(length) {
                let sum = row.iter().sum::<f32>();
                row.iter_mut().for_each(|v| *v *= 1.0 / sum);
            }
        },
    );
}

/// Turns `d`, the gradient of the shares of one matrix, into the one of its scores.
fn softmax_backward(shares: &[f32], d: &mut [f32], length: usize, scale: f32) {
    vectorized(
        #[inline(always)]
        || {
            for (d, shares) in d.chunks_exact_mut(length).zip(shares.chunks_exact(length)) {
                let mean: f32 = d.iter().zip(shares).map(|(d, share)| d * share).sum();
                d.iter_mut().zip(shares).for_each(|(d, share)| *d = scale * share * (*d - mean));
            }
        },
    );
}
