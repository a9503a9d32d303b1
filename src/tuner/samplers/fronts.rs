//! Order of points with several objectives: by fronts, one behind the other, and by the distance to the neighbors in
//! the same front.
//!
//! Source: Deb et al. 2002, NSGA-II, 10.1109/4235.996017, sections III.A and III.B. Costs are rows, smaller is better.

use crate::tuner::direction::Direction;
use crate::tuner::pareto::hypervolume;

/// Front of each point: 0 for those that no other dominates, then 1 for those that only points of front 0 dominate, and
/// so on.
pub(super) fn fronts(costs: &[Vec<f64>]) -> Vec<usize> {
    let n = costs.len();
    let mut n_better = vec![0usize; n];
    let beaten_by = |a: &Vec<f64>| (0..n).filter(|&b| dominates(a, &costs[b])).collect();
    let beaten: Vec<Vec<usize>> = costs.iter().map(beaten_by).collect();
    beaten.iter().flatten().for_each(|&b| n_better[b] += 1);
    let mut front_of = vec![0; n];
    let mut front: Vec<usize> = (0..n).filter(|&i| n_better[i] == 0).collect();
    for number in 0.. {
        let mut next = Vec::new();
        for &i in &front {
            front_of[i] = number;
            for &other in &beaten[i] {
                n_better[other] -= 1;
                if n_better[other] == 0 {
                    next.push(other);
                }
            }
        }
        if next.is_empty() {
            break;
        }
        front = next;
    }
    front_of
}

/// Whether `a` is nowhere worse than `b`, and somewhere better.
pub(super) fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// Crowding distance of each of `members` of one front: the distance between its two neighbors, summed over the
/// objectives; infinite at the ends.
pub(super) fn crowding(costs: &[Vec<f64>], members: &[usize]) -> Vec<f64> {
    let mut distance = vec![0.0; members.len()];
    let n_objectives = members.first().map_or(0, |&i| costs[i].len());
    let column = |objective: usize| members.iter().map(|&i| costs[i][objective]).collect::<Vec<f64>>();
    for values in (0..n_objectives).map(column) {
        let mut sorted: Vec<usize> = (0..members.len()).collect();
        let at = |i: usize| values[i];
        sorted.sort_by(|&a, &b| at(a).total_cmp(&at(b)));
        let (first, last) = (sorted[0], sorted[sorted.len() - 1]);
        let width = at(last) - at(first);
        distance[first] = f64::INFINITY;
        distance[last] = f64::INFINITY;
        if width > 0.0 && width.is_finite() {
            for three in sorted.windows(3) {
                distance[three[1]] += (at(three[2]) - at(three[0])) / width;
            }
        }
    }
    distance
}

/// Indices of all points, the best first: by front, then by crowding distance, then by index.
pub(super) fn best_first(costs: &[Vec<f64>]) -> Vec<usize> {
    let front_of = fronts(costs);
    let mut lonely = vec![0.0; costs.len()];
    for front in 0..=front_of.iter().copied().max().unwrap_or(0) {
        let members: Vec<usize> = (0..costs.len()).filter(|&i| front_of[i] == front).collect();
        crowding(costs, &members).into_iter().zip(&members).for_each(|(distance, &i)| lonely[i] = distance);
    }
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|&a, &b| front_of[a].cmp(&front_of[b]).then(lonely[b].total_cmp(&lonely[a])));
    order
}

/// Indices of all points, the best first: by front, and within it, for the first `n`, next always the point that adds
/// most to the volume that those before it in its front dominate; the others by index.
///
/// Choosing one after the other is never far from the best choice (Guerreiro et al. 2016, 10.1162/EVCO_a_00159). A
/// point adds less the more others are chosen, so the volume of most points is computed only once (Minoux 1978,
/// 10.1007/BFb0006528).
pub(super) fn by_volume(costs: &[Vec<f64>], n: usize) -> Vec<usize> {
    let front_of = fronts(costs);
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by_key(|&i| front_of[i]);
    let mut begin = 0;
    for front in order.clone().chunk_by(|&a, &b| front_of[a] == front_of[b]) {
        let first = spread(&scaled(costs, front), n.saturating_sub(begin));
        let others = (0..front.len()).filter(|i| !first.contains(i));
        let sorted: Vec<usize> = first.iter().copied().chain(others).map(|i| front[i]).collect();
        order[begin..begin + front.len()].copy_from_slice(&sorted);
        begin += front.len();
    }
    order
}

/// Up to `n` of these points, with coordinates between 0 and 1, that together dominate a large volume.
fn spread(points: &[Vec<f64>], n: usize) -> Vec<usize> {
    let n_objectives = points.first().map_or(0, Vec::len);
    // Chosen by us, as Optuna's: so the worst point of a front still adds something.
    let (reference, directions) = (vec![1.1; n_objectives], vec![Direction::Minimize; n_objectives]);
    let (mut chosen, mut volume): (Vec<usize>, f64) = (Vec::new(), 0.0);
    // Upper bound of the volume that each adds, and the number of points that were chosen when it was found.
    let mut gains = vec![(f64::INFINITY, 0); points.len()];
    while chosen.len() < n.min(points.len()) {
        let left = (0..points.len()).filter(|i| !chosen.contains(i));
        let Some(best) = left.reduce(|a, b| if gains[b].0 > gains[a].0 { b } else { a }) else { break };
        if gains[best].0.is_finite() && gains[best].1 == chosen.len() {
            (volume, chosen) = (volume + gains[best].0, [chosen, vec![best]].concat());
            continue;
        }
        let with: Vec<Vec<f64>> = chosen.iter().chain([&best]).map(|&i| points[i].clone()).collect();
        gains[best] = (hypervolume(&with, &reference, &directions) - volume, chosen.len());
    }
    chosen
}

/// Costs of one front, scaled to [0, 1] so that all objectives count alike; infinite ones become 0 or 1.
fn scaled(costs: &[Vec<f64>], front: &[usize]) -> Vec<Vec<f64>> {
    let mut points: Vec<Vec<f64>> = front.iter().map(|&i| costs[i].clone()).collect();
    for objective in 0..points.first().map_or(0, Vec::len) {
        let finite = || points.iter().map(|point| point[objective]).filter(|cost| cost.is_finite());
        let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let width = if high > low { high - low } else { 1.0 };
        points.iter_mut().for_each(|point| point[objective] = ((point[objective] - low) / width).clamp(0.0, 1.0));
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;
    use rand::RngExt;

    #[test]
    fn fronts_are_those_that_are_left_when_all_before_are_taken_away() {
        let mut rng = stream(2, "test");
        for n_objectives in [1, 2, 4] {
            // Whole numbers, so that some are equal.
            let mut point = || (0..n_objectives).map(|_| f64::from(rng.random_range(0..9_u8))).collect::<Vec<f64>>();
            let costs: Vec<Vec<f64>> = (0..60).map(|_| point()).collect();
            let found = fronts(&costs);
            let mut left: Vec<usize> = (0..60).collect();
            for front in 0.. {
                let is_best = |&i: &usize| !left.iter().any(|&other| dominates(&costs[other], &costs[i]));
                let best: Vec<usize> = left.iter().copied().filter(is_best).collect();
                assert!(best.iter().all(|&i| found[i] == front), "{n_objectives} objectives, front {front}");
                left.retain(|i| !best.contains(i));
                if left.is_empty() {
                    break;
                }
            }
        }
    }

    #[test]
    fn what_stands_first_in_a_front_dominates_nearly_as_much_as_the_best_choice() {
        let mut rng = stream(5, "test");
        for n_objectives in [2, 3] {
            // A front: points on a sphere around where all costs are 1.
            let mut point = || {
                let away: Vec<f64> = (0..n_objectives).map(|_| rng.random::<f64>() + 1e-3).collect();
                let length = away.iter().map(|v| v * v).sum::<f64>().sqrt();
                away.iter().map(|v| 1.0 - v / length).collect::<Vec<f64>>()
            };
            let costs: Vec<Vec<f64>> = (0..12).map(|_| point()).collect();
            assert!(fronts(&costs).iter().all(|&front| front == 0));
            let points = scaled(&costs, &(0..12).collect::<Vec<_>>());
            let volume = |chosen: &[usize]| {
                let chosen: Vec<Vec<f64>> = chosen.iter().map(|&i| points[i].clone()).collect();
                hypervolume(&chosen, &vec![1.1; n_objectives], &vec![Direction::Minimize; n_objectives])
            };
            let order = by_volume(&costs, 4);
            let all_fours = (0..1_u32 << 12).filter(|set| set.count_ones() == 4);
            let best = all_fours.map(|set| volume(&(0..12).filter(|i| set >> i & 1 == 1).collect::<Vec<_>>()));
            let best = best.fold(0.0, f64::max);
            assert!(volume(&order[..4]) > 0.95 * best, "{n_objectives}: {} of {best}", volume(&order[..4]));
            // Each of them is the one that adds most, looked for among all.
            for k in 0..4 {
                let with = |i: &usize| volume(&[&order[..k], &[*i]].concat());
                assert!(order[k..].iter().all(|i| with(i) <= with(&order[k]) + 1e-12));
            }
        }
        // Fronts come one after the other, whatever is infinite.
        let costs = [vec![3.0, 3.0], vec![1.0, 2.0], vec![2.0, 1.0], vec![f64::INFINITY, 0.5], vec![4.0, 4.0]];
        let order = by_volume(&costs, 5);
        assert_eq!((&order[3..], by_volume(&[], 3).len()), (&[0, 4][..], 0));
    }

    #[test]
    fn crowding_by_hand() {
        let costs = [vec![0.0, 4.0], vec![1.0, 2.0], vec![2.0, 1.0], vec![4.0, 0.0]];
        let found = crowding(&costs, &[0, 1, 2, 3]);
        assert!(found[0].is_infinite() && found[3].is_infinite());
        // Neighbors of the second are 2 of 4 apart in the first objective, 3 of 4 in the second.
        assert!((found[1] - 1.25).abs() < 1e-12 && (found[2] - 1.25).abs() < 1e-12);
        assert_eq!(best_first(&costs)[..2], [0, 3]);
        assert!(best_first(&[]).is_empty());
    }
}
