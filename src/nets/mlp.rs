//! Linear layers with an activation between them; also the last part of a cnn.

use super::init::Maker;
use super::layers::{Dropout, Linear};
use super::{Mode, NetError};
use crate::task::Activation;
use tch::{Tensor, nn};

#[derive(Debug)]
pub(super) struct Mlp {
    hidden: Vec<Linear>,
    head: Linear,
    activation: Activation,
}

impl Mlp {
    pub(super) fn build(
        maker: &mut Maker<'_>,
        path: &nn::Path,
        n_inputs: usize,
        sizes: &[usize],
        activation: Activation,
        n_outputs: usize,
    ) -> Result<Self, NetError> {
        let mut hidden = Vec::with_capacity(sizes.len());
        let mut n = n_inputs;
        for (number, size) in sizes.iter().enumerate() {
            hidden.push(Linear::build(maker, &path.sub(format!("hidden_{number}")), n, *size)?);
            n = *size;
        }
        let head = Linear::build(maker, &path.sub("head"), n, n_outputs)?;
        Ok(Self { hidden, head, activation })
    }

    /// Outputs for `x`. If `x` is `learned`, it comes from earlier layers, and dropout applies to it too.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        dropout: &Dropout,
        mode: &mut Mode<'_>,
        learned: bool,
    ) -> Result<Tensor, NetError> {
        let mut x = x.shallow_clone();
        if learned {
            x = dropout.apply(x, mode)?;
        }
        for layer in &self.hidden {
            x = dropout.apply(self.activation.apply(&layer.forward(&x)?)?, mode)?;
        }
        self.head.forward(&x)
    }
}
