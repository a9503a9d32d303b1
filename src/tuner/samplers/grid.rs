//! Grid search: every combination of values once, in an order that the seed shuffles. When all have been tried, the
//! study is over.
//!
//! Combinations that were tried already are left out, also those of enqueued and failed trials.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `n` | none: such a float is refused | number of values, with both bounds, of a float without a step | 2 to 1000000 |

use super::{Ask, Sampler, Setting, Spec, SpecError};
use crate::tuner::distribution::Distribution;
use crate::tuner::space::{Point, Space};
use crate::tuner::trial::Past;
use rand::RngExt;
use std::collections::BTreeSet;

/// Largest number of combinations, all of which are kept in memory.
const MAX_POINTS: usize = 1_000_000;

pub(super) fn build(spec: &mut Spec, setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    let n = spec.option("n", 0, "from 2 to 1000000", |n: &u64| (2..=1_000_000).contains(n))?;
    let unsuitable =
        |needs: &str, found: String| SpecError::Unsuitable { name: "grid".into(), needs: needs.into(), found };
    let endless = setting.space.parameters().iter().find(|p| n == 0 && p.distribution.n_values().is_none());
    if let Some(parameter) = endless {
        let found = format!("the float `{}` without one", parameter.name);
        return Err(unsuitable("a step for every float, or grid:n=NUMBER", found));
    }
    let mut points = vec![Point::new()];
    for i in 0..setting.space.len() {
        points = extended(&points, i, setting.space, n);
        if points.len() > MAX_POINTS {
            return Err(unsuitable(
                "at most 1000000 combinations",
                format!("more: {} of its first {} parameters", points.len(), i + 1),
            ));
        }
    }
    Ok(Box::new(Grid { points, is_shuffled: false, tried: BTreeSet::new(), n_seen: 0 }))
}

/// All points, each with every value of parameter `i` added.
fn extended(points: &[Point], i: usize, space: &Space, n: u64) -> Vec<Point> {
    let values = values(&space.parameters()[i].distribution, n);
    let children = |point: &Point| -> Vec<Point> {
        let with = |value| point.iter().copied().chain([value]).collect();
        if space.is_active(i, point) {
            values.iter().map(|&value| with(Some(value))).collect()
        } else {
            vec![with(None)]
        }
    };
    // One more than there may be is enough to know.
    points.iter().flat_map(children).take(MAX_POINTS + 1).collect()
}

fn values(distribution: &Distribution, n: u64) -> Vec<f64> {
    match distribution.n_values() {
        Some(n) => (0..n.min(MAX_POINTS as u64 + 1)).map(|i| distribution.nth(i)).collect(),
        None => (0..n).map(|i| distribution.from_unit(i as f64 / (n - 1) as f64)).collect(),
    }
}

struct Grid {
    points: Vec<Point>,
    is_shuffled: bool,
    /// Points of the first `n_seen` settled trials.
    tried: BTreeSet<Vec<u64>>,
    n_seen: usize,
}

/// A point as numbers that have an order.
fn key(point: &[Option<f64>]) -> Vec<u64> {
    point.iter().map(|value| value.map_or(u64::MAX, f64::to_bits)).collect()
}

impl Sampler for Grid {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        if !self.is_shuffled {
            // Fisher and Yates 1938, from the end.
            let mut rng = ask.study_rng("grid");
            (1..self.points.len()).rev().for_each(|i| self.points.swap(i, rng.random_range(0..=i)));
            self.is_shuffled = true;
        }
        if ask.settled.len() < self.n_seen {
            // An enqueued trial may look at an earlier state of the study.
            (self.n_seen, self.tried) = (0, BTreeSet::new());
        }
        self.tried.extend(ask.settled[self.n_seen..].iter().map(|past| key(&past.point)));
        self.n_seen = ask.settled.len();
        let pending: BTreeSet<Vec<u64>> = ask.pending.iter().map(|past: &Past| key(&past.point)).collect();
        let is_new = |point: &&Point| !self.tried.contains(&key(point)) && !pending.contains(&key(point));
        self.points.iter().find(is_new).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuner::{Direction, Parameter, Study, StudyConfig, TunerError};

    fn space() -> Space {
        Space::new([
            Parameter::new("layers", Distribution::int(1, 3)),
            Parameter::new("units", Distribution::categorical([8, 16])).when("layers", [2, 3]),
            Parameter::new("drop", Distribution::float(0.0, 1.0)).when("units", [16]),
        ])
        .unwrap()
    }

    #[test]
    fn every_combination_is_tried_once_and_then_the_study_is_over() {
        let run = |seed| {
            let config = StudyConfig { sampler: "grid:n=3".into(), seed, ..StudyConfig::default() };
            let study = Study::in_memory(space(), config).unwrap();
            let mut found = Vec::new();
            loop {
                match study.ask() {
                    Ok(trial) => found.push(format!("{:?}", trial.params())),
                    Err(TunerError::Exhausted { n_trials }) => break assert_eq!(n_trials, found.len()),
                    Err(error) => panic!("{error}"),
                }
                study.tell(found.len() - 1, 0.5).unwrap();
            }
            found
        };
        // One layer; 8 units of two or three; 16 of two or three with three drops each.
        let (first, second) = (run(1), run(2));
        assert_eq!((first.len(), first.iter().collect::<BTreeSet<_>>().len()), (9, 9));
        assert_ne!(first, second);
        assert_eq!(first.iter().collect::<BTreeSet<_>>(), second.iter().collect::<BTreeSet<_>>());
    }

    #[test]
    fn a_space_without_end_is_refused() {
        let refused = |text: &str, space: &Space| {
            let setting = Setting { space, directions: &[Direction::Minimize] };
            super::super::build(text, &setting).err().unwrap().to_string()
        };
        assert!(refused("grid", &space()).contains("`drop`"), "{}", refused("grid", &space()));
        assert!(refused("grid:n=1", &space()).contains("from 2 to"));
        let large = Space::new(["a", "b"].map(|name| Parameter::new(name, Distribution::int(0, 99_999)))).unwrap();
        assert!(refused("grid", &large).contains("at most 1000000"));
    }
}
