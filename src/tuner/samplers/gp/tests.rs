use super::*;
use crate::tuner::samplers::tests::{completed, minimized};
use crate::tuner::{Direction, Parameter};

fn best(name: &str, space: &Space, n: usize, seed: u64, cost: impl Fn(&Point) -> f64) -> f64 {
    let trials = minimized(name, space, n, seed, |point| vec![cost(point)]);
    trials.iter().map(|past| past.values[0]).fold(f64::INFINITY, f64::min)
}

#[test]
fn it_comes_much_closer_to_the_bottom_of_a_bowl_than_random_search() {
    let space = Space::new([
        Parameter::new("x", Distribution::float(-1.0, 3.0)),
        Parameter::new("rate", Distribution::log_float(1e-5, 1.0)),
        Parameter::new("layers", Distribution::int(1, 5)),
        Parameter::new("kind", Distribution::categorical(["a", "b", "c"])),
        Parameter::new("drop", Distribution::float(0.0, 0.5)).when("kind", ["b"]),
    ])
    .unwrap();
    let cost = |point: &Point| {
        let x = encoded(&space, point);
        (x[0] - 0.3).powi(2)
            + (x[1] - 0.8).powi(2)
            + (x[2] - 0.5).powi(2)
            + if x[3] > 0.5 && x[3] < 1.5 { (x[4] - 0.1).powi(2) } else { 0.1 }
    };
    for name in ["gp", "gp:acquisition=ucb"] {
        for seed in 0..3 {
            let (ours, random) = (best(name, &space, 40, seed, cost), best("random", &space, 40, seed, cost));
            assert!(ours < 0.1 * random, "{name}, seed {seed}: {ours}, random search {random}");
        }
    }
}

#[test]
fn trials_that_break_constraints_are_worse_than_all_others() {
    let plain = |value: f64, by: f64| Past { constraints: vec![by], ..completed(0, vec![], vec![value]) };
    let all = [plain(1.0, 0.0), plain(-9.0, 0.5), plain(3.0, -1.0), plain(-9.0, 1.0), plain(0.0, f64::NAN)];
    let found = penalized(all.iter().map(|past| past.values[0]).collect(), &all.iter().collect::<Vec<_>>());
    assert!(found[0] < found[2] && found[2] <= found[1] && found[1] <= found[3] && found[3] < found[4], "{found:?}");
}

#[test]
fn the_process_sees_the_better_half_and_the_newest() {
    let costs: Vec<f64> = (0..20).map(f64::from).collect();
    assert_eq!(chosen(&costs, 8), [0, 1, 2, 3, 16, 17, 18, 19]);
    assert_eq!(chosen(&costs, 30).len(), 20);
}

#[test]
fn with_two_objectives_every_trial_weighs_them_anew() {
    let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
    let both = [Direction::Minimize, Direction::Maximize];
    let all: Vec<Past> = (0..11).map(|i| completed(i, vec![Some(0.1 * i as f64)], vec![i as f64, i as f64])).collect();
    let mut places = Vec::new();
    for number in 11..23 {
        let ask = Ask { seed: 1, number, space: &space, directions: &both, settled: &all, pending: &[] };
        let costs = costs(&ask, &all.iter().collect::<Vec<_>>());
        places.push((0..11).min_by(|&a, &b| costs[a].total_cmp(&costs[b])).unwrap());
    }
    assert!(places.iter().max() > Some(&6) && places.iter().min() < Some(&4), "{places:?}");
}

#[test]
fn one_value_that_diverged_does_not_blind_it() {
    let space = Space::new(["x", "y"].map(|name| Parameter::new(name, Distribution::float(0.0, 1.0)))).unwrap();
    let bowl = |point: &Point| point.iter().flatten().map(|x| (x - 0.3).powi(2)).sum::<f64>();
    // The mean of the last trials shows whether it has learned where it is good.
    let late = |big: f64| {
        let number = std::cell::Cell::new(0);
        let cost = |point: &Point| {
            number.set(number.get() + 1);
            // The first call is none of a trial.
            vec![if number.get() == 6 { big } else { bowl(point) }]
        };
        let trials = minimized("gp", &space, 40, 1, cost);
        trials[25..].iter().map(|past| bowl(&past.point)).sum::<f64>() / 15.0
    };
    let (without, with) = (late(1.0), late(1e4));
    // A random point has 0.25 in the mean.
    assert!(without < 0.05 && with < 0.05, "{without} without, {with} with one of 1e4");
}
