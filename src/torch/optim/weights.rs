//! Weight matrices among the variables of a net.

use super::conditioning::Orthogonal;
use super::config::GroupConfig;
use super::orthogonal::condition;
use super::{FlatParams, TorchError};
use tch::Tensor;

/// Orthogonalizes what a step of any optimizer has changed in these matrices, found by [`matrices`]. `before` are the
/// parameters before that step, `[n_params]`.
pub(crate) fn condition_changes(
    flat: &FlatParams,
    matrices: &[Option<[i64; 2]>],
    before: &Tensor,
    how: &Orthogonal,
) -> Result<(), TorchError> {
    for (index, shape) in matrices.iter().enumerate() {
        let Some(shape) = *shape else { continue };
        let range = flat.range(index);
        let part = |of: &Tensor| of.f_narrow(0, range.start, range.end - range.start);
        let (mut param, before) = (part(flat.data())?, part(before)?);
        let mut change = param.f_sub(&before)?;
        condition(&mut change, shape, how)?;
        param.f_copy_(&change.f_add_(&before)?)?;
    }
    Ok(())
}

/// Rows and columns of every variable whose change is orthogonalized; none for the others.
pub(crate) fn matrices(flat: &FlatParams, groups: &[GroupConfig], with_head: bool) -> Vec<Option<[i64; 2]>> {
    let (shapes, names) = (flat.shapes(), flat.names());
    let weight = |(shape, name): (&Vec<i64>, &String)| match shape[..] {
        [rows, _, ..] if !name.to_lowercase().contains("embed") => Some([rows, shape[1..].iter().product()]),
        _ => None,
    };
    let mut weights: Vec<Option<[i64; 2]>> = shapes.iter().zip(&names).map(weight).collect();
    if !with_head && let Some(head) = weights.iter().rposition(Option::is_some) {
        weights[head] = None;
    }
    let is_conditioned = |index| groups.get(flat.group(index)).is_none_or(|group| group.is_conditioned);
    for (index, weight) in weights.iter_mut().enumerate() {
        // One row or column is as orthogonal as it can be.
        *weight = weight.filter(|&[rows, columns]| rows.min(columns) > 1 && is_conditioned(index));
    }
    weights
}
