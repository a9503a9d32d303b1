use super::parzen::Parzen;
use super::*;
use crate::rng::stream;
use crate::tuner::samplers::tests::{completed, minimized};
use crate::tuner::{Direction, Distribution, Parameter, Past, Space, TrialState, dominates, hypervolume};
use rand::RngExt;
use std::collections::BTreeMap;

fn space() -> Space {
    Space::new([
        Parameter::new("x", Distribution::float(-1.0, 3.0)),
        Parameter::new("rate", Distribution::log_float(1e-5, 1.0)),
        Parameter::new("layers", Distribution::int(1, 3)),
        Parameter::new("units", Distribution::log_int(1, 300)).when("layers", [2, 3]),
        Parameter::new("drop", Distribution::stepped_float(0.0, 0.5, 0.05)),
        Parameter::new("kind", Distribution::categorical(["a", "b", "c"])),
        Parameter::new("power", Distribution::float(0.0, 1.0)).when("kind", ["a"]),
    ])
    .unwrap()
}

/// The edges on [0, 1] of what becomes `x`, by bisection.
fn edges(distribution: &Distribution, x: f64) -> (f64, f64) {
    let value = distribution.from_unit(x);
    let edge = |mut out: f64| {
        let mut inside = x;
        for _ in 0..60 {
            let middle = 0.5 * (inside + out);
            let is_same = (distribution.from_unit(middle) - value).abs() <= 0.0;
            if is_same { inside = middle } else { out = middle }
        }
        inside
    };
    (edge(0.0), edge(1.0))
}

/// The integral over [0, 1] by Simpson's rule.
fn simpson(f: impl Fn(f64) -> f64) -> f64 {
    let weight = |i: u32| if i == 0 || i == 4000 { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
    (0..=4000).map(|i| weight(i) * f(f64::from(i) / 4000.0)).sum::<f64>() / 12_000.0
}

/// One kernel's density of x, with sums and integrals done the long way.
fn slow_kernel(distribution: &Distribution, mu: f64, sigma: f64, x: f64) -> f64 {
    let bell = |x: f64| (-0.5 * ((x - mu) / sigma).powi(2)).exp();
    let n = distribution.n_values().unwrap_or(0);
    let (low, high) = if n > 0 { edges(distribution, mu) } else { (0.0, 0.0) };
    let total = if high - low > sigma {
        let places = (0..n).map(|i| distribution.to_unit(distribution.nth(i)));
        let length = |x: f64| {
            let (low, high) = edges(distribution, x);
            high - low
        };
        places.map(|place| length(place) * bell(place)).sum::<f64>()
    } else {
        simpson(bell)
    };
    bell(x) / total
}

/// The whole mixture, kernel by kernel.
fn slow_density(space: &Space, table: &Table, rows: &[(u32, f64)], point: &Coordinates) -> f64 {
    let total: f64 = rows.iter().map(|(_, weight)| weight).sum::<f64>() + 1.0;
    let n_kernels = rows.len() as f64 + 1.0;
    let one = |row: Option<u32>| -> f64 {
        let factor = |j: usize| -> f64 {
            let (x, distribution) = (point[j], &space.parameters()[j].distribution);
            let own = row.map(|row| table.columns[j][row as usize]);
            let smooth = 1.0 / n_kernels;
            match (distribution, own) {
                _ if x.is_nan() => 1.0,
                (Distribution::Categorical { choices }, None) => 1.0 / choices.len() as f64,
                (Distribution::Categorical { choices }, Some(own)) if own.is_nan() => 1.0 / choices.len() as f64,
                (Distribution::Categorical { choices }, Some(own)) => {
                    let hit = if (own - x).abs() < 0.5 { 1.0 } else { 0.0 };
                    (hit + smooth) / (1.0 + choices.len() as f64 * smooth)
                }
                (_, None) => slow_kernel(distribution, 0.5, 1.0, x),
                (_, Some(own)) if own.is_nan() => 1.0,
                (_, Some(own)) => slow_kernel(distribution, own, slow_sigma(table, rows, j, own, row), x),
            }
        };
        (0..space.len()).map(factor).product()
    };
    let kernels = rows.iter().map(|&(row, weight)| weight * one(Some(row)));
    (kernels.sum::<f64>() + one(None)) / total
}

/// The distance to the farther neighbor; points that coincide stand in the order of time.
fn slow_sigma(table: &Table, rows: &[(u32, f64)], j: usize, own: f64, row: Option<u32>) -> f64 {
    let mut places: Vec<(f64, u32)> = rows.iter().map(|&(row, _)| (table.columns[j][row as usize], row)).collect();
    places.retain(|(x, _)| !x.is_nan());
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let i = places.iter().position(|(_, other)| Some(*other) == row).unwrap();
    let gap = |a: usize, b: usize| places[b].0 - places[a].0;
    let sigma = match (i, places.len()) {
        (_, 1) => own.max(1.0 - own),
        (0, _) => gap(0, 1),
        (i, n) if i + 1 == n => gap(i - 1, i),
        _ => gap(i - 1, i).max(gap(i, i + 1)),
    };
    sigma.clamp(1.0 / (rows.len() as f64 + 2.0).min(100.0), 1.0)
}

#[test]
fn densities_are_those_of_the_exact_sum() {
    let space = space();
    for (n, seed) in [(0, 1), (1, 2), (7, 3), (60, 4)] {
        let mut rng = stream(seed, "test");
        let mut table = Table::new(&space);
        let mut draw = || space.random_point(&mut rng);
        (0..n).for_each(|_| table.push(&draw()));
        // Some are left out, and one is there twice.
        let rows: Vec<(u32, f64)> =
            (0..n as u32).filter(|row| row % 3 != 2).map(|row| (row, 0.5 + f64::from(row))).collect();
        let all: Vec<usize> = (0..space.len()).collect();
        let parzen = Parzen::new(&mut table, &rows, &all);
        let points: Vec<Coordinates> = (0..6).map(|_| table.coordinates(&draw())).collect();
        for (point, found) in points.iter().zip(parzen.log_densities(&points)) {
            let exact = slow_density(&space, &table, &rows, point);
            assert!((found.exp() - exact).abs() <= 1e-6 * exact, "{n} kernels, {point:?}: {} not {exact}", found.exp());
        }
    }
}

#[test]
fn many_trials_in_a_few_places_keep_the_density_exact() {
    let space = Space::new(["x", "y"].map(|name| Parameter::new(name, Distribution::float(0.0, 1.0)))).unwrap();
    let (mut table, mut rng) = (Table::new(&space), stream(9, "test"));
    for i in 0..900 {
        let near = 0.5 + 0.01 * rng.random::<f64>();
        table.push(&if i % 2 == 0 {
            vec![Some(near), Some(0.25)]
        } else {
            vec![Some(rng.random()), Some(rng.random())]
        });
    }
    let rows: Vec<(u32, f64)> = (0..900).map(|row| (row, 1.0)).collect();
    let parzen = Parzen::new(&mut table, &rows, &[0, 1]);
    for point in [vec![0.503, 0.25], vec![0.9, 0.1], vec![0.0, 1.0]] {
        let (found, exact) =
            (parzen.log_densities(std::slice::from_ref(&point))[0].exp(), slow_density(&space, &table, &rows, &point));
        assert!((found - exact).abs() <= 1e-6 * exact, "{point:?}: {found} not {exact}");
    }
}

#[test]
fn candidates_are_drawn_from_their_density() {
    let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
    let mut table = Table::new(&space);
    [0.02, 0.6, 0.7].iter().for_each(|&x| table.push(&[Some(x)]));
    let parzen = Parzen::new(&mut table, &[(0, 2.0), (1, 1.0), (2, 1.0)], &[0]);
    let mut rng = stream(1, "test");
    let draws: Vec<f64> = (0..40_000)
        .map(|_| {
            let k = parzen.draw_kernel(&mut rng);
            parzen.draw(0, k, &mut rng)
        })
        .collect();
    for cell in 0..10 {
        let (low, n) = (f64::from(cell) / 10.0, 100);
        let points: Vec<Coordinates> = (0..n).map(|i| vec![low + (f64::from(i) + 0.5) / 1000.0]).collect();
        let expected = parzen.log_densities(&points).iter().map(|log| log.exp() / 1000.0).sum::<f64>();
        let found = draws.iter().filter(|x| (low..low + 0.1).contains(*x)).count() as f64 / 40_000.0;
        assert!((found - expected).abs() < 0.01, "cell {cell}: {found} of the draws, {expected} of the density");
    }
}

#[test]
fn it_finds_a_bowl_better_than_random_search() {
    let space = space();
    let cost = |point: &Point| {
        let away = space.parameters().iter().zip(point).filter_map(|(p, v)| v.map(|v| p.distribution.to_unit(v) - 0.3));
        vec![away.map(|d| d * d).sum::<f64>()]
    };
    let best = |name: &str, seed| {
        minimized(name, &space, 60, seed, cost).iter().map(|past| past.values[0]).fold(1e9, f64::min)
    };
    for name in ["tpe", "tpe:multivariate=false"] {
        let wins = (0..8).filter(|&seed| best(name, seed) < best("random", seed)).count();
        assert!(wins >= 7, "{name} is better {wins} times of 8");
    }
}

#[test]
fn with_two_objectives_its_front_covers_more_than_that_of_random_search() {
    let space = Space::new(["a", "b", "c"].map(|name| Parameter::new(name, Distribution::float(0.0, 1.0)))).unwrap();
    let cost = |point: &Point| {
        let [a, b, c] = [0, 1, 2].map(|i| point[i].unwrap());
        let away = (b - 0.7).powi(2) + (c - 0.2).powi(2);
        vec![a * a + away, (a - 1.0).powi(2) + away]
    };
    let covered = |name: &str, seed| {
        let values: Vec<Vec<f64>> =
            minimized(name, &space, 60, seed, cost).into_iter().map(|past| past.values).collect();
        let both = [Direction::Minimize; 2];
        assert!(values.iter().any(|a| !values.iter().any(|b| dominates(b, a, &both))));
        hypervolume(&values, &[2.0, 2.0], &both)
    };
    let wins = (0..6).filter(|&seed| covered("tpe", seed) > covered("random", seed)).count();
    assert!(wins >= 5, "better {wins} times of 6");
}

#[test]
fn trials_stand_in_the_order_complete_pruned_infeasible() {
    let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
    let plain = |number, value| completed(number, vec![Some(0.5)], vec![value]);
    let pruned = |number, step, value: f64| Past {
        state: TrialState::Pruned,
        intermediate: BTreeMap::from([(step, value)]),
        ..plain(number, value)
    };
    let broken = |number, by| Past { constraints: vec![-1.0, by], ..plain(number, 9.0) };
    let settled = [
        broken(0, 2.0),
        pruned(1, 3, 9.0),
        plain(2, 1.0),
        Past { state: TrialState::Fail, values: vec![], ..plain(3, 0.0) },
        pruned(4, 5, f64::NAN),
        broken(5, 0.5),
        plain(6, f64::INFINITY),
        plain(7, 4.0),
        pruned(8, 5, 7.0),
    ];
    let ask =
        |settled| Ask { seed: 1, number: 9, space: &space, directions: &[Direction::Maximize], settled, pending: &[] };
    let mut order = Order::default();
    order.read(&ask(&settled[..4]));
    order.read(&ask(&settled));
    assert_eq!(order.best_first(&ask(&settled), |n| n), [6, 7, 2, 8, 4, 1, 5, 0]);
    // An enqueued trial may look at an earlier state of the study.
    order.read(&ask(&settled[..3]));
    assert_eq!(order.best_first(&ask(&settled[..3]), |n| n), [2, 1, 0]);
}

#[test]
fn nobody_goes_where_others_are_at_work() {
    let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
    let settled: Vec<Past> = (0..30)
        .map(|i| completed(i, vec![Some(f64::from(i as u32) / 29.0)], vec![(i as f64 / 29.0 - 0.5).powi(2)]))
        .collect();
    let mut pending = Vec::new();
    let mut sampler =
        crate::tuner::samplers::build("tpe", &Setting { space: &space, directions: &[Direction::Minimize] }).unwrap();
    for number in 30..42 {
        let ask = Ask {
            seed: 1,
            number,
            space: &space,
            directions: &[Direction::Minimize],
            settled: &settled,
            pending: &pending,
        };
        let point = sampler.propose(&ask).unwrap();
        pending.push(Past { state: TrialState::Running, values: vec![], ..completed(number, point, vec![]) });
    }
    let mut places: Vec<f64> = pending.iter().map(|past| past.point[0].unwrap()).collect();
    places.sort_by(f64::total_cmp);
    assert!(places[11] - places[0] > 0.1, "twelve at a time, all at {places:?}");
}
