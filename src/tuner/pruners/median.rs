//! Stops a trial whose best intermediate value is worse than the median of what complete trials reported at the same
//! step.
//!
//! Source: Golovin et al. 2017, Google Vizier, 10.1145/3097983.3098043. It is [`percentile`](super::percentile) with 50
//! percent, and has its other options.

use super::percentile::Percentile;
use super::{Pruner, Spec, SpecError};

pub(super) fn build(spec: &mut Spec) -> Result<Box<dyn Pruner>, SpecError> {
    Ok(Box::new(Percentile::read(spec, 50.0)?))
}
