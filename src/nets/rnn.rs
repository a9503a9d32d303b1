//! Embedding, one GRU (Cho et al. 2014) or LSTM (Hochreiter and Schmidhuber 1997) layer, and a linear head.
//!
//! The weights are laid out as PyTorch's: the rows of the gates reset, update, new (GRU) or input, forget, cell, output
//! (LSTM), in this order.

use super::init::{Maker, Start};
use super::layers::{Dropout, Linear};
use super::reader::Reader;
use super::{Mode, NetError};
use crate::data::Dataset;
use crate::task::{Head, NetSpec};
use tch::{Tensor, nn};

/// Kind of recurrent layer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell {
    Gru,
    Lstm,
}

#[derive(Debug)]
pub(super) struct Rnn {
    cell: Cell,
    embedding: Tensor,
    /// weight_ih, weight_hh, bias_ih, bias_hh.
    weights: [Tensor; 4],
    n_hidden: usize,
    at: Head,
    reader: Reader,
    head: Linear,
}

impl Rnn {
    pub(super) fn build(
        maker: &mut Maker<'_>,
        path: &nn::Path,
        cell: Cell,
        (n_embedding, at): (usize, Head),
        spec: &NetSpec,
        dataset: &Dataset,
    ) -> Result<Self, NetError> {
        let &[n_hidden] = spec.hidden.as_slice() else {
            return Err(NetError::HiddenSizes { found: spec.hidden.clone() });
        };
        let reader = Reader::new(at, dataset)?;
        let shape = [reader.n_tokens(dataset), n_embedding];
        let embedding = maker.parameter(&path.sub("embedding"), "weight", &shape, Start::Normal(1.0))?;
        let recurrent = path.sub("recurrent");
        let rows = n_hidden * if matches!(cell, Cell::Gru) { 3 } else { 4 };
        let mut make = |name, shape: &[usize]| maker.parameter(&recurrent, name, shape, Start::Uniform(n_hidden));
        let weights = [
            make("weight_ih_l0", &[rows, n_embedding])?,
            make("weight_hh_l0", &[rows, n_hidden])?,
            make("bias_ih_l0", &[rows])?,
            make("bias_hh_l0", &[rows])?,
        ];
        let head = Linear::build(maker, &path.sub("head"), n_hidden, dataset.n_outputs)?;
        Ok(Self { cell, embedding, weights, n_hidden, at, reader, head })
    }

    pub(super) fn forward(&self, x: &Tensor, dropout: &Dropout, mode: &mut Mode<'_>) -> Result<Tensor, NetError> {
        let embedded = Tensor::f_embedding(&self.embedding, x, -1, false, false)?;
        let states = self.states(&embedded, mode.is_train())?;
        // The end is behind the padding, which the net has read as well.
        let read = if self.at == Head::Last { states.f_select(1, -1)? } else { self.reader.read(states, x)? };
        self.head.forward(&dropout.apply(read, mode)?)
    }

    /// Hidden state at every position, `[batch, length, n_hidden]`.
    fn states(&self, x: &Tensor, train: bool) -> Result<Tensor, NetError> {
        let batch = x.size().first().copied().unwrap_or(0);
        let zeros = Tensor::f_zeros([1, batch, self.n_hidden as i64], (x.kind(), x.device()))?;
        Ok(match self.cell {
            Cell::Gru => x.f_gru(&zeros, &self.weights, true, 1, 0.0, train, false, true)?.0,
            Cell::Lstm => {
                let start = [&zeros, &zeros];
                let weights = self.weights.each_ref();
                x.f_lstm(&start, &weights, true, 1, 0.0, train, false, true)?.0
            }
        })
    }
}
