//! Which of several points are better, with many objectives: fronts, one behind the other, and how lonely a point is in its own.
//!
//! Source: Deb et al. 2002, NSGA-II, 10.1109/4235.996017, sections III.A and III.B. Costs are rows, smaller is better.

/// The front of each point, 0 for those that no other dominates; the others as if the fronts before were not there.
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

/// Nowhere worse, somewhere better.
pub(super) fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// The crowding distance of each of `members` of one front: how far its neighbours are apart, over all objectives; infinite at the ends.
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

/// All points, best first: by front, then the lonely ones before the others, then as they came.
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
    fn crowding_by_hand() {
        let costs = [vec![0.0, 4.0], vec![1.0, 2.0], vec![2.0, 1.0], vec![4.0, 0.0]];
        let found = crowding(&costs, &[0, 1, 2, 3]);
        assert!(found[0].is_infinite() && found[3].is_infinite());
        // Neighbours of the second are 2 of 4 apart in the first objective, 3 of 4 in the second.
        assert!((found[1] - 1.25).abs() < 1e-12 && (found[2] - 1.25).abs() < 1e-12);
        assert_eq!(best_first(&costs)[..2], [0, 3]);
        assert!(best_first(&[]).is_empty());
    }
}
