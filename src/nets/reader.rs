//! Which positions of a text are words, and at which of them the head of a net reads.

use super::NetError;
use crate::data::{Dataset, Inputs, Targets};
use crate::task::Head;
use tch::Tensor;

/// Where the head of a net over texts reads.
#[derive(Debug)]
pub(super) struct Reader {
    at: Head,
    /// Number of the words that only fill up a text, at its end.
    padding: Option<i64>,
}

impl Reader {
    /// # Errors
    /// When a text has more or fewer targets than the head gives outputs.
    pub(super) fn new(at: Head, dataset: &Dataset) -> Result<Self, NetError> {
        check_head(at, dataset)?;
        Ok(Self { at, padding: dataset.padding() })
    }

    /// Number of words and characters that a net for this data has an embedding for.
    pub(super) fn n_tokens(&self, dataset: &Dataset) -> usize {
        // With a target at every position inputs and outputs have the same alphabet.
        if self.at == Head::Each { dataset.n_tokens.max(dataset.n_outputs) } else { dataset.n_tokens }
    }

    /// Which positions of `x` `[batch, length]` are words; `None` where all are. A text without any word is one word of
    /// padding, so that there is something to read.
    pub(super) fn words(&self, x: &Tensor) -> Result<Option<Tensor>, NetError> {
        let Some(padding) = self.padding else { return Ok(None) };
        let is_word = x.f_ne(padding)?;
        _ = is_word.f_narrow(1, 0, 1)?.f_fill_(1)?;
        Ok(Some(is_word))
    }

    /// The states `[batch, length, n]` that the head reads for the texts `x`: all, or `[batch, n]`. The last one is that
    /// of the last word.
    pub(super) fn read(&self, states: Tensor, x: &Tensor) -> Result<Tensor, NetError> {
        match self.at {
            Head::Each => Ok(states),
            Head::Last => last(&states, self.words(x)?),
            Head::Mean => mean(&states, self.words(x)?),
        }
    }
}

fn last(states: &Tensor, words: Option<Tensor>) -> Result<Tensor, NetError> {
    let Some(words) = words else { return Ok(states.f_select(1, -1)?) };
    let (batch, _, n) = states.size3()?;
    let place = words.f_sum_dim_intlist(&[1i64][..], true, tch::Kind::Int64)?.f_sub_scalar(1)?;
    Ok(states.f_gather(1, &place.f_unsqueeze(-1)?.f_expand([batch, 1, n], false)?, false)?.f_squeeze_dim(1)?)
}

fn mean(states: &Tensor, words: Option<Tensor>) -> Result<Tensor, NetError> {
    let Some(words) = words else { return Ok(states.f_mean_dim(&[1i64][..], false, states.kind())?) };
    let weights = words.f_to_kind(states.kind())?.f_unsqueeze(-1)?;
    let sum = |x: &Tensor| x.f_sum_dim_intlist(&[1i64][..], false, states.kind());
    Ok(sum(&states.f_mul(&weights)?)?.f_div(&sum(&weights)?)?)
}

fn check_head(at: Head, dataset: &Dataset) -> Result<(), NetError> {
    let Inputs::Tokens { length, .. } = dataset.train.inputs else { return Ok(()) };
    let (Targets::Classes { per_example: targets, .. } | Targets::Values { per_example: targets, .. }) =
        dataset.train.targets;
    let outputs = if at == Head::Each { length } else { 1 };
    if outputs == targets { Ok(()) } else { Err(NetError::HeadMisfit { head: at.name(), outputs, targets }) }
}
