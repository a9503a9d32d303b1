//! Loss of a batch; loss and accuracy over a whole split.

use super::{Mode, Net, NetError, TensorSplit};
use crate::data::TargetKind;
use tch::{Kind, Reduction, Tensor};

/// Number of examples computed at a time, as in the PyTorch reference.
const CHUNK: i64 = 512;

/// How good a net is on a split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Mean loss per example, without penalties.
    pub loss: f64,
    /// Share of the targets whose class has the largest output; `None` in regression.
    pub accuracy: Option<f64>,
}

/// Mean loss of a batch, as a tensor without dimensions.
///
/// ```text
/// classes   cross entropy, output [.., n_classes] and target [..], over all positions
/// values    mean squared error, output and target [batch, columns]
/// ```
///
/// # Errors
/// When output and target do not fit together.
pub fn loss(kind: TargetKind, output: &Tensor, target: &Tensor) -> Result<Tensor, NetError> {
    weighted_loss(kind, output, target, None)
}

/// The same with a weight for each class.
pub(super) fn weighted_loss(
    kind: TargetKind,
    output: &Tensor,
    target: &Tensor,
    class_weights: Option<&Tensor>,
) -> Result<Tensor, NetError> {
    Ok(match kind {
        TargetKind::Classes => {
            let n_classes = output.size().last().copied().unwrap_or(0);
            let output = output.f_reshape([-1, n_classes])?;
            output.f_cross_entropy_loss(&target.f_reshape([-1])?, class_weights, Reduction::Mean, -100, 0.0)?
        }
        TargetKind::Values => output.f_mse_loss(target, Reduction::Mean)?,
    })
}

/// Outputs of a net for inputs of any number, without dropout, 512 at a time: `[n, ..]`.
///
/// # Errors
/// When there is no example, or the inputs do not fit the net.
pub fn outputs(net: &Net, inputs: &Tensor) -> Result<Tensor, NetError> {
    if inputs.size().first().is_none_or(|n| *n == 0) {
        return Err(NetError::NoExamples);
    }
    tch::no_grad(|| {
        let chunks = inputs.f_split(CHUNK, 0)?;
        let outputs = chunks.iter().map(|chunk| net.forward(chunk, Mode::Eval)).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::f_cat(&outputs, 0)?)
    })
}

/// Loss and accuracy over all examples, without dropout, 512 at a time.
///
/// # Errors
/// When there is no example, or the split does not fit the net.
pub fn evaluate(net: &Net, split: &TensorSplit) -> Result<Evaluation, NetError> {
    if split.is_empty() {
        return Err(NetError::NoExamples);
    }
    tch::no_grad(|| {
        let (mut loss_sum, mut hits) = (0.0, 0);
        for (inputs, targets) in split.inputs.f_split(CHUNK, 0)?.iter().zip(split.targets.f_split(CHUNK, 0)?) {
            let output = net.forward(inputs, Mode::Eval)?;
            let n = inputs.size().first().copied().unwrap_or(0) as f64;
            loss_sum += loss(split.kind, &output, &targets)?.f_double_value(&[])? * n;
            if split.kind == TargetKind::Classes {
                let right = output.f_argmax(-1, false)?.f_eq_tensor(&targets)?;
                hits += right.f_sum(Kind::Int64)?.f_int64_value(&[])?;
            }
        }
        let accuracy = (split.kind == TargetKind::Classes).then(|| hits as f64 / split.targets.numel() as f64);
        Ok(Evaluation { loss: loss_sum / split.len() as f64, accuracy })
    })
}
