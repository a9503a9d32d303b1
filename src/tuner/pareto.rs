//! The best trials, with one objective or several.

use super::direction::Direction;
use super::trial::{Trial, TrialState};

/// The feasible complete trial with the best first value; the first of several.
pub(super) fn best<'t>(trials: &'t [Trial], directions: &[Direction]) -> Option<&'t Trial> {
    let direction = directions.first().copied().unwrap_or(Direction::Minimize);
    let cost = |trial: &Trial| trial.values.first().map_or(f64::INFINITY, |&value| direction.cost(value));
    candidates(trials, directions.len()).min_by(|a, b| cost(a).total_cmp(&cost(b)))
}

/// The best of the trials that are complete and feasible: with one objective the best one, the first of several that
/// are equal; with several objectives those that no other dominates, which is the Pareto front, by number.
pub fn best_trials<'t>(trials: &'t [Trial], directions: &[Direction]) -> Vec<&'t Trial> {
    if directions.len() == 1 { best(trials, directions).into_iter().collect() } else { front(trials, directions) }
}

fn front<'t>(trials: &'t [Trial], directions: &[Direction]) -> Vec<&'t Trial> {
    let all: Vec<&Trial> = candidates(trials, directions.len()).collect();
    let is_beaten = |trial: &Trial| all.iter().any(|other| dominates(&other.values, &trial.values, directions));
    all.iter().copied().filter(|trial| !is_beaten(trial)).collect()
}

fn candidates(trials: &[Trial], n_objectives: usize) -> impl Iterator<Item = &Trial> {
    let is_complete = move |t: &&Trial| t.state == TrialState::Complete && t.values.len() == n_objectives;
    trials.iter().filter(is_complete).filter(|trial| trial.is_feasible())
}

/// Whether `a` is nowhere worse than `b`, and somewhere better (Pareto dominance).
pub fn dominates(a: &[f64], b: &[f64], directions: &[Direction]) -> bool {
    let mut better = false;
    for ((a, b), direction) in a.iter().zip(b).zip(directions) {
        let (a, b) = (direction.cost(*a), direction.cost(*b));
        if a > b {
            return false;
        }
        better |= a < b;
    }
    better
}

/// Volume that `points` dominate, up to a `reference` that is worse than every point that counts: a measure of a whole
/// front (Zitzler and Thiele 1998, 10.1007/BFb0056872). Points that are not better than the reference in every
/// objective add nothing.
///
/// It is computed in slices along the last objective (While et al. 2006, 10.1109/TEVC.2005.851275): exactly, and
/// quickly for up to four objectives.
///
/// ```
/// use qgd::tuner::{Direction, hypervolume};
/// let both = [Direction::Minimize, Direction::Minimize];
/// assert_eq!(hypervolume(&[vec![1.0, 2.0], vec![2.0, 1.0]], &[3.0, 3.0], &both), 3.0);
/// ```
pub fn hypervolume(points: &[Vec<f64>], reference: &[f64], directions: &[Direction]) -> f64 {
    let costs = |values: &[f64]| values.iter().zip(directions).map(|(v, d)| d.cost(*v)).collect::<Vec<f64>>();
    let reference = costs(reference);
    let beats = |point: &Vec<f64>| point.iter().zip(&reference).all(|(cost, worst)| cost < worst);
    let points: Vec<Vec<f64>> = points.iter().map(|point| costs(point)).filter(beats).collect();
    volume(&points.iter().map(Vec::as_slice).collect::<Vec<_>>(), &reference)
}

fn volume(points: &[&[f64]], reference: &[f64]) -> f64 {
    let Some((worst, others)) = reference.split_last() else { return 0.0 };
    if others.is_empty() {
        return points.iter().map(|point| worst - point[0]).fold(0.0, f64::max);
    }
    let last = others.len();
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a[last].total_cmp(&b[last]));
    let ends = sorted.iter().skip(1).map(|point| point[last]).chain([*worst]);
    let slices = ends.zip(&sorted).enumerate().map(|(i, (end, point))| (end - point[last], &sorted[..=i]));
    slices.filter(|(depth, _)| *depth > 0.0).map(|(depth, of)| depth * volume(of, others)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;
    use rand::RngExt;

    #[test]
    fn the_hypervolume_is_the_share_of_random_points_that_are_dominated() {
        let directions = [Direction::Minimize, Direction::Maximize, Direction::Minimize];
        let mut rng = stream(5, "test");
        let mut point = || [0.0; 3].map(|_: f64| rng.random::<f64>()).to_vec();
        let front: Vec<Vec<f64>> = (0..8).map(|_| point()).collect();
        let n = 100_000;
        let hits = (0..n).map(|_| point()).filter(|p| front.iter().any(|f| dominates(f, p, &directions))).count();
        let found = hypervolume(&front, &[1.0, 0.0, 1.0], &directions);
        assert!((found - hits as f64 / f64::from(n)).abs() < 0.01, "{found}, counted {hits} of {n}");
    }

    #[test]
    fn points_beyond_the_reference_add_nothing() {
        let both = [Direction::Minimize; 2];
        assert!(hypervolume(&[vec![4.0, 0.0]], &[3.0, 3.0], &both).abs() < 1e-12);
        assert!(hypervolume(&[], &[3.0, 3.0], &both).abs() < 1e-12);
        assert!(dominates(&[1.0, 1.0], &[1.0, 2.0], &both) && !dominates(&[1.0, 1.0], &[1.0, 1.0], &both));
    }
}
