//! Quasi-random search: the points of a scrambled Sobol sequence, which leave smaller gaps than random ones.
//!
//! Source: Sobol 1967, 10.1016/0041-5553(67)90144-9, scrambled as Owen 1997 (10.1214/aos/1031594731) by the hash of
//! Burley 2020 (JCGT 9(4)). The sequence comes from the crate `sobol_burley`. Trial n has point n mod 2^16, and is
//! scrambled anew every 2^16 trials; each parameter has its own dimension, active or not. Coordinates are 32-bit
//! floats, with steps of about 1 in 16 million. No options; at most 256 parameters.

use super::{Ask, Sampler, Setting, Spec, SpecError};
use crate::tuner::space::Point;
use rand::RngExt;

const MAX_DIMENSIONS: usize = 256;

/// Length of the crate's sequence.
const PERIOD: usize = 1 << 16;

pub(super) fn build(_spec: &mut Spec, setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    if setting.space.len() > MAX_DIMENSIONS {
        let found = format!("{}", setting.space.len());
        return Err(SpecError::Unsuitable { name: "qmc".into(), needs: "at most 256 parameters".into(), found });
    }
    Ok(Box::new(Sobol))
}

struct Sobol;

impl Sampler for Sobol {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        Some(point(ask, "qmc"))
    }
}

fn point(ask: &Ask<'_>, label: &str) -> Point {
    let scramble: u32 = ask.study_rng(&format!("{label}/{}", ask.number / PERIOD)).random();
    let place = |i: usize| sobol_burley::sample((ask.number % PERIOD) as u32, i as u32, scramble);
    ask.space.fill(|i, parameter| parameter.distribution.from_unit(f64::from(place(i))))
}

/// A point for the start of samplers that learn: of the sequence, or a random one where there are too many parameters.
pub(super) fn startup_point(ask: &Ask<'_>, label: &str) -> Point {
    if ask.space.len() > MAX_DIMENSIONS { ask.random_point(label) } else { point(ask, &format!("{label}/startup")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::{Distribution, Parameter, Space};
    use std::collections::BTreeSet;

    /// What makes it a net in base 2: of the first 2^k points each elementary box of area 2^-k holds one.
    #[test]
    fn every_box_of_equal_area_holds_one_point() {
        let space = Space::new(["x", "y"].map(|name| Parameter::new(name, Distribution::float(0.0, 1.0)))).unwrap();
        for seed in 0..5 {
            let ask = |number| Ask { seed, number, space: &space, directions: &[], settled: &[], pending: &[] };
            let points: Vec<Point> = (0..64).map(|number| Sobol.propose(&ask(number)).unwrap()).collect();
            for bits in 0..=6 {
                let cell = |p: &Point| {
                    [bits, 6 - bits].map(|b| 2f64.powi(b)).iter().zip(p).map(|(n, v)| (n * v.unwrap()) as u32).collect()
                };
                assert_eq!(
                    points.iter().map(cell).collect::<BTreeSet<Vec<u32>>>().len(),
                    64,
                    "seed {seed}, 2^{bits} columns"
                );
            }
        }
    }
}
