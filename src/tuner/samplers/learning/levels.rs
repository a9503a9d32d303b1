//! Levels: each parameter as a short list of values, from which an agent with discrete actions chooses.

use crate::tuner::distribution::Distribution;
use crate::tuner::space::{Parameter, Point, Space};

/// The values of every parameter of a space that an agent may choose, in ascending order.
#[derive(Debug, Clone)]
pub struct Levels {
    values: Vec<Vec<f64>>,
}

impl Levels {
    /// All values of a parameter that has at most `n`, and all choices. Of others `n` values, evenly on the scale of
    /// the parameter and with both bounds, together with those on which other parameters depend.
    pub fn new(space: &Space, n: usize) -> Self {
        let mut values: Vec<Vec<f64>> = space.parameters().iter().map(|p| spread(&p.distribution, n)).collect();
        for condition in space.parameters().iter().flat_map(|p| &p.when) {
            let Some(parent) = space.position(&condition.parent) else { continue };
            let distribution = &space.parameters()[parent].distribution;
            values[parent].extend(condition.values.iter().filter_map(|value| distribution.inner(value)));
        }
        for list in &mut values {
            list.sort_by(f64::total_cmp);
            list.dedup_by(|a, b| (*a - *b).abs() <= 0.0);
        }
        Self { values }
    }

    /// Number of values of each parameter.
    pub fn counts(&self) -> Vec<usize> {
        self.values.iter().map(Vec::len).collect()
    }

    /// The value of parameter `i` with this index; the last one where the index is too large.
    pub fn value(&self, i: usize, index: usize) -> f64 {
        let values = &self.values[i];
        values[index.min(values.len() - 1)]
    }

    /// Indices of the values of a point: for each parameter that of the nearest one on its scale, None where it is not
    /// active.
    pub fn of(&self, space: &Space, point: &[Option<f64>]) -> Vec<Option<usize>> {
        let nearest = |i: usize, parameter: &Parameter, value: f64| {
            let unit = parameter.distribution.to_unit(value);
            let distance = |&other: &f64| (parameter.distribution.to_unit(other) - unit).abs();
            let all = self.values[i].iter().enumerate();
            all.min_by(|a, b| distance(a.1).total_cmp(&distance(b.1))).map_or(0, |(index, _)| index)
        };
        let with_values = space.parameters().iter().zip(point).enumerate();
        with_values.map(|(i, (parameter, value))| value.map(|value| nearest(i, parameter, value))).collect()
    }

    /// The point with the indices that `choose` answers; it is asked in order for the active parameters.
    pub fn point(&self, space: &Space, mut choose: impl FnMut(usize) -> usize) -> Point {
        space.fill(|i, _| self.value(i, choose(i)))
    }
}

fn spread(distribution: &Distribution, n: usize) -> Vec<f64> {
    match (distribution, distribution.n_values()) {
        (Distribution::Categorical { choices }, _) => (0..choices.len() as u64).map(|i| distribution.nth(i)).collect(),
        (_, Some(all)) if all <= n as u64 => (0..all).map(|i| distribution.nth(i)).collect(),
        _ => (0..n).map(|i| distribution.from_unit(i as f64 / (n - 1).max(1) as f64)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_both_ends_the_scale_and_what_others_wait_for() {
        let space = Space::new([
            Parameter::new("lr", Distribution::log_float(1e-4, 1.0)),
            Parameter::new("layers", Distribution::int(1, 1000)),
            Parameter::new("units", Distribution::stepped_int(16, 48, 16)).when("layers", [37]),
            Parameter::new("one", Distribution::categorical(["only"])),
        ])
        .unwrap();
        let levels = Levels::new(&space, 5);
        assert_eq!(levels.counts(), [5, 6, 3, 1]);
        assert!((0..5).all(|i| (levels.value(0, i) / 10f64.powi(i as i32 - 4) - 1.0).abs() < 1e-9));
        let point = levels.point(&space, |i| if i == 1 { 1 } else { 9 });
        assert_eq!(point, [Some(1.0), Some(37.0), Some(48.0), Some(0.0)]);
        assert_eq!(levels.of(&space, &point), [Some(4), Some(1), Some(2), Some(0)]);
        // Between two values the nearer one counts, on the scale of the parameter.
        let between = [Some(2e-4), Some(1.0), None, Some(0.0)];
        assert_eq!(levels.of(&space, &between), [Some(0), Some(0), None, Some(0)]);
    }
}
