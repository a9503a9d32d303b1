//! Nets that read pieces of text and say at every place which symbol comes next: a recurrent one and one with
//! attention, for the kernel.
//!
//! ```text
//! x = E[symbol]            h = body(x)            output = W h + b            at each of `length` places
//! body: a GRU (src/nets/rnn.rs is the one of users), or a decoder of one block (src/nets/transformer.rs)
//! ```
//!
//! Inputs are the symbols as numbers, `[n, length]`; targets are classes, `[n, length]`. Inside, rows lie place by
//! place, `[length, n, ...]`, so that what happens at one place lies together.

mod attention;
mod decoder;
mod gelu;
mod gru;
mod norm;
#[cfg(test)]
mod tests;

use super::layers::Linear;
use super::mlp::{Target, cross_entropy};
use crate::gemm::Panels;
use crate::rng::standard_normal_f32;
use decoder::Decoder;
use gru::Gru;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// What reads the embedded symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// A GRU of `width` units over embeddings of `embedding` numbers.
    Gru { embedding: usize, width: usize },
    /// A block of a transformer: `heads` share `width`, and its feed-forward part has `inner` units.
    Decoder { width: usize, heads: usize, inner: usize },
}

/// A net for texts, and its working memory.
#[derive(Debug, Clone)]
pub(super) struct TextNet {
    n_symbols: usize,
    length: usize,
    layout: Layout,
    /// Number of columns of E, which stands first among the parameters.
    n_embedding: usize,
    body: Body,
    head: Linear,
    /// x, `[length, n, n_embedding]`, and its gradient.
    embedded: Vec<f32>,
    d_embedded: Vec<f32>,
    /// Gradient of h.
    d_states: Vec<f32>,
    /// Outputs, `[length, n, n_symbols]`, which become the gradient of the loss.
    logits: Vec<f32>,
    /// Outputs text by text, `[n, length, n_symbols]`.
    outputs: Vec<f32>,
    panels: Panels,
}

#[derive(Debug, Clone)]
enum Body {
    Gru(Box<Gru>),
    Decoder(Box<Decoder>),
}

impl TextNet {
    /// A net for pieces of `length` symbols.
    pub fn new(n_symbols: usize, length: usize, reader: Reader) -> Self {
        let mut layout = Layout::default();
        let (n_embedding, width, body, head_start) = match reader {
            Reader::Gru { embedding, width } => {
                layout.embedding(n_symbols, embedding, 1.0);
                let gru = Gru::new(length, embedding, width, &mut layout);
                (embedding, width, Body::Gru(Box::new(gru)), [Start::Uniform { n_inputs: width }; 2])
            }
            Reader::Decoder { width, heads, inner } => {
                layout.embedding(n_symbols, width, decoder::DEVIATION);
                let decoder = Decoder::new(length, width, heads, inner, &mut layout);
                let start = [Start::Normal { deviation: decoder::DEVIATION }, Start::Constant(0.0)];
                (width, width, Body::Decoder(Box::new(decoder)), start)
            }
        };
        let head = layout.linear(width, n_symbols, head_start);
        let [embedded, d_embedded, d_states, logits, outputs] = [const { Vec::new() }; 5];
        let panels = Panels::default();
        Self {
            n_symbols,
            length,
            layout,
            n_embedding,
            body,
            head,
            embedded,
            d_embedded,
            d_states,
            logits,
            outputs,
            panels,
        }
    }

    /// Number of symbols of a piece, each of which has a target.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Number of outputs at each place.
    #[cfg(feature = "torch")]
    pub fn n_symbols(&self) -> usize {
        self.n_symbols
    }

    /// Number of parameters.
    pub fn n_params(&self) -> usize {
        self.layout.n_params
    }

    /// Shapes of its parameters, in their order.
    pub fn blocks(&self) -> impl Iterator<Item = [usize; 3]> + '_ {
        self.layout.parts.iter().map(|part| [1, part.shape[0], part.shape[1]])
    }

    /// Whether this block is an embedding, of symbols or of places.
    pub fn is_embedding(&self, block: usize) -> bool {
        matches!(self.layout.parts[block].start, Start::Embedding { .. })
    }

    /// Initial weights as those of our nets for users; `gain` is a factor on all but embeddings and norms.
    pub fn init(&self, gain: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let mut params = Vec::with_capacity(self.n_params());
        for part in &self.layout.parts {
            params.extend((0..part.shape[0] * part.shape[1]).map(|_| part.start.draw(gain, rng)));
        }
        params
    }

    /// Outputs `[n, length, n_symbols]` for the symbols `[n, length]`.
    pub fn forward(&mut self, params: &[f32], symbols: &[f32]) -> &[f32] {
        self.compute(params, symbols);
        let n = symbols.len() / self.length;
        self.outputs.resize(self.logits.len(), 0.0);
        for (i, row) in self.logits.chunks_exact(self.n_symbols).enumerate() {
            let (place, text) = (i / n, i % n);
            self.outputs[(text * self.length + place) * self.n_symbols..][..self.n_symbols].copy_from_slice(row);
        }
        &self.outputs
    }

    /// Mean loss over all places of the pieces `rows` of `target`, or of all in order if `rows` is empty.
    pub fn loss(&mut self, params: &[f32], symbols: &[f32], target: &Target, rows: &[usize]) -> f32 {
        self.compute(params, symbols);
        // These nets have no other targets.
        let Target::Classes(classes) = target else { return f32::NAN };
        let n = symbols.len() / self.length;
        let scale = 1.0 / symbols.len() as f32;
        let class = |i: usize| {
            let (place, text) = (i / n, i % n);
            usize::from(classes[rows.get(text).copied().unwrap_or(text) * self.length + place])
        };
        cross_entropy(&mut self.logits, self.n_symbols, class, scale) * scale
    }

    /// Mean loss; its gradient with respect to the parameters goes into `grad`.
    pub fn loss_and_grad(
        &mut self,
        params: &[f32],
        symbols: &[f32],
        target: &Target,
        rows: &[usize],
        grad: &mut [f32],
    ) -> f32 {
        let loss = self.loss(params, symbols, target, rows);
        let Self { body, head, embedded, d_embedded, d_states, logits, panels, .. } = self;
        head.backward(body.outputs(), logits, panels, grad);
        head.d_inputs(params, logits, panels, d_states);
        match body {
            Body::Gru(gru) => gru.backward(params, embedded, d_states, grad, d_embedded),
            Body::Decoder(decoder) => decoder.backward(params, d_states, grad, d_embedded),
        }
        let (n, n_embedding) = (symbols.len() / self.length, self.n_embedding);
        let d_table = &mut grad[..self.n_symbols * n_embedding];
        d_table.fill(0.0);
        for (i, d_row) in self.d_embedded.chunks_exact(n_embedding).enumerate() {
            let symbol = symbols[i % n * self.length + i / n] as usize;
            d_table[symbol * n_embedding..][..n_embedding].iter_mut().zip(d_row).for_each(|(d, v)| *d += v);
        }
        loss
    }

    /// Computes the logits.
    fn compute(&mut self, params: &[f32], symbols: &[f32]) {
        let (n, n_embedding) = (symbols.len() / self.length, self.n_embedding);
        self.embedded.clear();
        for i in 0..symbols.len() {
            let symbol = symbols[i % n * self.length + i / n] as usize;
            self.embedded.extend_from_slice(&params[symbol * n_embedding..][..n_embedding]);
        }
        match &mut self.body {
            Body::Gru(gru) => gru.forward(params, &self.embedded),
            Body::Decoder(decoder) => decoder.forward(params, &self.embedded),
        }
        self.head.forward(params, self.body.outputs(), &mut self.panels, &mut self.logits);
    }
}

impl Body {
    /// h of the last forward pass, `[length, n, width]`.
    fn outputs(&self) -> &[f32] {
        match self {
            Self::Gru(gru) => gru.outputs(),
            Self::Decoder(decoder) => decoder.outputs(),
        }
    }
}

/// The parameters of a net, one behind the other.
#[derive(Debug, Clone, Default)]
struct Layout {
    parts: Vec<Part>,
    n_params: usize,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    shape: [usize; 2],
    start: Start,
}

/// How the parameters of a part start.
#[derive(Debug, Clone, Copy)]
enum Start {
    /// N(0, deviation²), whatever the gain.
    Embedding { deviation: f32 },
    /// N(0, deviation²), times the gain.
    Normal { deviation: f32 },
    /// U(±1/√n_inputs), times the gain.
    Uniform { n_inputs: usize },
    /// This value.
    Constant(f32),
}

impl Layout {
    /// Adds a part, and says where it begins.
    fn add(&mut self, shape: [usize; 2], start: Start) -> usize {
        let at = self.n_params;
        self.n_params += shape[0] * shape[1];
        self.parts.push(Part { shape, start });
        at
    }

    fn embedding(&mut self, n_rows: usize, width: usize, deviation: f32) -> usize {
        self.add([n_rows, width], Start::Embedding { deviation })
    }

    /// A linear layer with these starts of its weights and of its biases.
    fn linear(&mut self, n_in: usize, n_out: usize, [weights, biases]: [Start; 2]) -> Linear {
        let at = self.add([n_in, n_out], weights);
        self.add([1, n_out], biases);
        Linear { at, n_in, n_out }
    }

    /// A layer norm, which starts as the identity.
    fn norm(&mut self, width: usize) -> usize {
        let at = self.add([1, width], Start::Constant(1.0));
        self.add([1, width], Start::Constant(0.0));
        at
    }
}

impl Start {
    fn draw(self, gain: f32, rng: &mut ChaCha8Rng) -> f32 {
        match self {
            Self::Embedding { deviation } => deviation * standard_normal_f32(rng),
            Self::Normal { deviation } => gain * deviation * standard_normal_f32(rng),
            Self::Uniform { n_inputs } => {
                let bound = gain / (n_inputs as f32).sqrt();
                rng.random_range(-bound..bound)
            }
            Self::Constant(value) => value,
        }
    }
}
