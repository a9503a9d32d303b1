//! A transformer over texts: embeddings of tokens and of their positions, pre-norm blocks, and a linear head.
//!
//! ```text
//! x = dropout(E[token] + P[position])
//! x = x + dropout(W_o attention(layer_norm(x)))             for each block
//! x = x + dropout(W_2 gelu(W_1 layer_norm(x)))              W_1 [4 width, width]
//! output = W_h read(layer_norm(x))
//!
//! attention: softmax(Q K' / sqrt(width / heads)) V in each head, side by side; Q, K, V are linear in its input
//! ```
//!
//! *Who sees whom?* Where the head reads at each position or at the last word, a position sees itself and those before it:
//! the causal attention of GPT (Radford et al. 2019), whose outputs must not know what follows. Where it reads the mean,
//! every position sees all words, as in BERT (Devlin et al. 2019). Padding is never seen by a word, and never read: it
//! stands behind the words, where causal attention does not look, and is masked where every position sees all.
//!
//! *Initial values* are those of GPT-2 for all matrices, because PyTorch's N(0, 1) of embeddings drowns what the blocks add:
//! N(0, 0.02²), and biases 0; the two matrices of a block that add to x have their deviation divided by sqrt(2 layers).
//!
//! *Names* are those of `nn.TransformerEncoder` with `norm_first`, whose parameters these are: `layers.0.self_attn`, `linear1`,
//! `linear2`, `norm1`, `norm2`, and `norm` for the last norm.
//!
//! Attention is `scaled_dot_product_attention`: on a CPU the same bytes every time, equal to the formula within rounding, and
//! 1.1 (length 32) to 2.4 (length 200) times as fast as the formula written out.

use super::init::{Maker, Start};
use super::layers::{Dropout, Linear};
use super::norm::LayerNorm;
use super::reader::Reader;
use super::{Mode, NetError};
use crate::data::Dataset;
use crate::task::Head;
use tch::{Tensor, nn};

/// Deviation of initial weights: GPT-2's.
const DEVIATION: f64 = 0.02;
const ZERO: Start = Start::Constant(0.0);

/// Sizes of a transformer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) width: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    /// Number of positions.
    pub(super) length: usize,
}

#[derive(Debug)]
pub(super) struct Transformer {
    tokens: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    is_causal: bool,
    reader: Reader,
    head: Linear,
}

impl Transformer {
    pub(super) fn build(
        maker: &mut Maker<'_>,
        path: &nn::Path,
        sizes: Sizes,
        at: Head,
        dataset: &Dataset,
    ) -> Result<Self, NetError> {
        let Sizes { width, layers, heads, length } = sizes;
        if width.checked_rem(heads) != Some(0) {
            return Err(NetError::Heads { embedding: width, heads });
        }
        let reader = Reader::new(at, dataset)?;
        let start = Start::Normal(DEVIATION);
        let shape = [reader.n_tokens(dataset), width];
        let tokens = maker.parameter(&path.sub("embedding"), "weight", &shape, start)?;
        let positions = maker.parameter(&path.sub("position_embedding"), "weight", &[length, width], start)?;
        let block = |number| Block::build(maker, &path.sub("layers").sub(number), sizes);
        let blocks = (0..layers).map(block).collect::<Result<_, _>>()?;
        let norm = LayerNorm::build(maker, &path.sub("norm"), width)?;
        let head = Linear::started(maker, &path.sub("head"), [dataset.n_outputs, width], [start, ZERO])?;
        Ok(Self { tokens, positions, blocks, norm, is_causal: at != Head::Mean, reader, head })
    }

    pub(super) fn forward(&self, tokens: &Tensor, dropout: &Dropout, mode: &mut Mode<'_>) -> Result<Tensor, NetError> {
        let (_, length) = tokens.size2()?;
        let embedded = Tensor::f_embedding(&self.tokens, tokens, -1, false, false)?;
        let mut x = dropout.apply(embedded.f_add(&self.positions.f_narrow(0, 0, length)?)?, mode)?;
        // Of causal attention the mask is known; of the other, who is seen by all: [batch, heads, from, to].
        let words = if self.is_causal { None } else { self.reader.words(tokens)? };
        let seen = words.map(|words| words.f_unsqueeze(1)?.f_unsqueeze(1)).transpose()?;
        for block in &self.blocks {
            x = block.forward(x, seen.as_ref(), self.is_causal, dropout, mode)?;
        }
        self.head.forward(&self.reader.read(self.norm.forward(&x)?, tokens)?)
    }
}

/// Attention and mlp, each of which adds to its input.
#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    linear1: Linear,
    linear2: Linear,
}

impl Block {
    fn build(maker: &mut Maker<'_>, path: &nn::Path, sizes: Sizes) -> Result<Self, NetError> {
        let (width, inner) = (sizes.width, sizes.width.saturating_mul(4));
        let norm1 = LayerNorm::build(maker, &path.sub("norm1"), width)?;
        let attention = Attention::build(maker, &path.sub("self_attn"), sizes)?;
        let norm2 = LayerNorm::build(maker, &path.sub("norm2"), width)?;
        let first = [Start::Normal(DEVIATION), ZERO];
        let linear1 = Linear::started(maker, &path.sub("linear1"), [inner, width], first)?;
        let linear2 = Linear::started(maker, &path.sub("linear2"), [width, inner], [adds(sizes), ZERO])?;
        Ok(Self { norm1, attention, norm2, linear1, linear2 })
    }

    fn forward(
        &self,
        x: Tensor,
        seen: Option<&Tensor>,
        is_causal: bool,
        dropout: &Dropout,
        mode: &mut Mode<'_>,
    ) -> Result<Tensor, NetError> {
        let attended = self.attention.forward(&self.norm1.forward(&x)?, seen, is_causal)?;
        let x = x.f_add(&dropout.apply(attended, mode)?)?;
        let hidden = self.linear1.forward(&self.norm2.forward(&x)?)?.f_gelu("none")?;
        Ok(x.f_add(&dropout.apply(self.linear2.forward(&hidden)?, mode)?)?)
    }
}

/// Start of a matrix whose outputs are added to x: there are two in each block.
fn adds(sizes: Sizes) -> Start {
    Start::Normal(DEVIATION / (2.0 * sizes.layers as f64).sqrt())
}

/// Self-attention with several heads (Vaswani et al. 2017).
#[derive(Debug)]
struct Attention {
    /// Queries, keys and values of all heads: `[3 width, width]` and `[3 width]`.
    in_weight: Tensor,
    in_bias: Tensor,
    out: Linear,
    heads: i64,
}

impl Attention {
    fn build(maker: &mut Maker<'_>, path: &nn::Path, sizes: Sizes) -> Result<Self, NetError> {
        let (width, rows) = (sizes.width, sizes.width.saturating_mul(3));
        Ok(Self {
            in_weight: maker.parameter(path, "in_proj_weight", &[rows, width], Start::Normal(DEVIATION))?,
            in_bias: maker.parameter(path, "in_proj_bias", &[rows], ZERO)?,
            out: Linear::started(maker, &path.sub("out_proj"), [width, width], [adds(sizes), ZERO])?,
            heads: sizes.heads as i64,
        })
    }

    fn forward(&self, x: &Tensor, seen: Option<&Tensor>, is_causal: bool) -> Result<Tensor, NetError> {
        let (batch, length, width) = x.size3()?;
        let all = x.f_linear(&self.in_weight, Some(&self.in_bias))?;
        let all = all.f_view([batch, length, 3, self.heads, width / self.heads])?;
        let part = |number| all.f_select(2, number)?.f_transpose(1, 2);
        let [queries, keys, values] = [part(0)?, part(1)?, part(2)?];
        let attended =
            Tensor::f_scaled_dot_product_attention(&queries, &keys, &values, seen, 0.0, is_causal, None, false)?;
        self.out.forward(&attended.f_transpose(1, 2)?.f_reshape([batch, length, width])?)
    }
}
