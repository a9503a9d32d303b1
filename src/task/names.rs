//! Words of task files, and what each of them stands for.

use super::{Activation, Head};
use crate::data::{Missing, TargetKind};

pub(super) const KINDS: [(&str, TargetKind); 2] =
    [("classification", TargetKind::Classes), ("regression", TargetKind::Values)];
pub(super) const MISSING: [(&str, Missing); 3] =
    [("refuse", Missing::Refuse), ("mean", Missing::Mean), ("indicator", Missing::Indicator)];
pub(super) const ACTIVATIONS: [(&str, Activation); 4] = [
    ("relu", Activation::Relu),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
    ("gelu", Activation::Gelu),
];
pub(super) const HEADS: [(&str, Head); 3] = [("each", Head::Each), ("last", Head::Last), ("mean", Head::Mean)];

/// The word for a value.
pub(super) fn name_of<T: Copy + PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}
