//! A remembered state of a run on slices.

use serde::{Deserialize, Serialize};
use std::ops::Deref;

/// All that a step changes: the parameters, then each slice of moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept(Vec<Vec<f32>>);

impl Kept {
    pub(super) fn of<S: Deref<Target = [f32]>>(params: &[f32], moments: &[S]) -> Self {
        let moments = moments.iter().map(|slice| slice.to_vec());
        Self(std::iter::once(params.to_vec()).chain(moments).collect())
    }

    /// Writes the values back.
    pub(super) fn restore(&self, params: &mut [f32], moments: &mut [&mut [f32]]) {
        let slices = std::iter::once(params).chain(moments.iter_mut().map(|slice| &mut **slice));
        slices.zip(&self.0).for_each(|(slice, kept)| slice.copy_from_slice(kept));
    }

    /// The first value that is no finite number: its slice, its place and itself.
    pub(super) fn not_finite(&self) -> Option<(usize, usize, f32)> {
        let broken = |values: &[f32]| values.iter().position(|value| !value.is_finite());
        let mut slices = self.0.iter().enumerate();
        slices.find_map(|(slice, values)| broken(values).map(|index| (slice, index, values[index])))
    }

    pub(super) fn sizes(&self) -> Vec<usize> {
        self.0.iter().map(Vec::len).collect()
    }

    /// The first slice that differs by a bit.
    pub(super) fn difference(&self, other: &Self) -> Option<usize> {
        let differ = |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(a, b)| a.to_bits() != b.to_bits());
        self.0.iter().zip(&other.0).position(|(a, b)| differ(a, b))
    }
}

/// Name of a slice: 0 is that of the parameters.
pub(super) fn name(slice: usize) -> String {
    if slice == 0 { "the slice of parameters".to_owned() } else { format!("slice {} of the moments", slice - 1) }
}
