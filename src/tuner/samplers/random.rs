//! Random search: every active parameter is drawn evenly on its own scale. Results play no part.
//!
//! Source: Bergstra and Bengio 2012, Random search for hyper-parameter optimization, JMLR 13. No options.

use super::{Ask, Sampler, Setting, Spec, SpecError};
use crate::tuner::space::Point;

pub(super) fn build(_spec: &mut Spec, _setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    Ok(Box::new(Random))
}

struct Random;

impl Sampler for Random {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        Some(ask.random_point("random"))
    }
}
