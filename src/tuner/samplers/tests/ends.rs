//! Spaces at the ends of what numbers can be: whatever a sampler proposes is in the space, and the study takes it.

use super::*;
use crate::rng::stream;
use crate::tuner::SpaceError;
use rand::RngExt;
use std::time::Instant;

/// Numbers at which something ends, and ordinary ones.
const NUMBERS: [f64; 22] = [
    0.0,
    5e-324,
    1e-310,
    f64::MIN_POSITIVE,
    1e-300,
    1e-16,
    1e-8,
    0.1,
    0.3,
    1.0,
    1.000_000_000_000_000_2,
    3.0,
    10.0,
    64.0,
    1e6,
    4_294_967_296.0,
    9_007_199_254_740_992.0,
    1e16,
    1e100,
    1e300,
    8.9e307,
    f64::MAX,
];

/// Parts of a range that are tried as its step.
const PARTS: [f64; 12] = [1.0, 0.999_999, 0.5, 1.0 / 3.0, 0.3, 0.1, 0.070_001, 1e-3, 1e-6, 1e-9, 1e-14, 3e-16];

const WHOLE: [i64; 12] = [0, 1, 2, 3, 7, 10, 64, 1000, 1 << 31, (1 << 53) - 1, 1 << 53, i64::MAX];

fn pick<T: Copy>(all: &[T], rng: &mut ChaCha8Rng) -> T {
    all[rng.random_range(0..all.len())]
}

fn number(rng: &mut ChaCha8Rng) -> f64 {
    let size = pick(&NUMBERS, rng) * if rng.random() { 1.0 } else { rng.random::<f64>() };
    if rng.random() { size } else { -size }
}

fn whole(rng: &mut ChaCha8Rng) -> i64 {
    let size = pick(&WHOLE, rng).saturating_add(rng.random_range(-2..3));
    if rng.random() { size } else { -size }
}

fn distribution(rng: &mut ChaCha8Rng) -> Distribution {
    let ends = [number(rng), number(rng)];
    let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
    let near = low + low.abs() * f64::EPSILON * f64::from(rng.random_range(1..9u8));
    let high = if rng.random_range(0..8) == 0 { near } else { high };
    let wholes = [whole(rng), whole(rng)];
    let (first, last) = (wholes[0].min(wholes[1]), wholes[0].max(wholes[1]));
    match rng.random_range(0..7) {
        0 => Distribution::float(low, high),
        1 => Distribution::log_float(low.abs().min(high.abs()), low.abs().max(high.abs())),
        2 | 3 => Distribution::stepped_float(low, high, (high - low) * pick(&PARTS, rng)),
        4 => Distribution::int(first, last),
        5 => Distribution::log_int(
            first.saturating_abs().min(last.saturating_abs()),
            first.saturating_abs().max(last.saturating_abs()),
        ),
        _ => {
            let part = pick(&PARTS, rng);
            Distribution::stepped_int(first, last, ((last as f64 - first as f64) * part) as i64)
        }
    }
}

/// A space of one to four parameters, some of which depend on a choice. Those that are refused are drawn again, and
/// their refusals counted.
fn drawn(rng: &mut ChaCha8Rng, n_refused: &mut usize) -> Space {
    loop {
        let mut parameters = vec![];
        for i in 0..rng.random_range(1..4) {
            let parameter = Parameter::new(format!("p{i}"), distribution(rng));
            parameters.push(if rng.random_range(0..4) == 0 { parameter.when("kind", ["b", "c"]) } else { parameter });
        }
        let n_choices = rng.random_range(1..4usize);
        if n_choices >= 3 || parameters.iter().any(|parameter| !parameter.when.is_empty()) {
            parameters.push(Parameter::new("kind", Distribution::categorical(["a", "b", "c"])));
        }
        match Space::new(parameters) {
            Ok(space) => return space,
            Err(SpaceError::OutOfRange { .. }) => *n_refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
}

/// Any outcome that a study may hold.
fn outcome(number: usize, point: Point, n_objectives: usize, rng: &mut ChaCha8Rng) -> Past {
    let values = [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 1e4, 0.0, -0.0, 5e-324];
    let value = |rng: &mut ChaCha8Rng| if rng.random_range(0..3) == 0 { pick(&values, rng) } else { rng.random() };
    let mut past = completed(number, point, (0..n_objectives).map(|_| value(rng)).collect());
    if rng.random_range(0..6) == 0 {
        (past.state, past.values) = (TrialState::Fail, vec![]);
    } else if rng.random_range(0..6) == 0 {
        past.constraints = vec![value(rng)];
    }
    past
}

/// Has the sampler propose for `n_trials` trials in each of `n_spaces` spaces.
fn stays_inside(name: &str, n_spaces: usize, n_trials: usize) {
    let (begun, directions) = (Instant::now(), [Direction::Minimize]);
    let (mut n_refused, mut n_done, mut rng) = (0, 0, stream(7, &format!("ends/{name}")));
    while n_done < n_spaces {
        let space = drawn(&mut rng, &mut n_refused);
        if name.starts_with("grid") && n_points(&space) > 3000 {
            continue;
        }
        // CMA-ES refuses spaces of choices alone, say.
        let Ok(mut sampler) = build(name, &Setting { space: &space, directions: &directions }) else {
            n_refused += 1;
            assert!(n_refused < 60 * n_spaces, "{name} refuses nearly everything");
            continue;
        };
        n_done += 1;
        let mut settled: Vec<Past> = Vec::new();
        for number in 0..n_trials {
            let ask = Ask {
                seed: n_done as u64,
                number,
                space: &space,
                directions: &directions,
                settled: &settled,
                pending: &[],
            };
            let Some(point) = sampler.propose(&ask) else { break };
            takes(name, &space, &point);
            settled.push(outcome(number, point, 1, &mut rng));
        }
    }
    eprintln!("{name}: {n_done} spaces, {n_trials} trials each, {:.1} s", begun.elapsed().as_secs_f64());
}

/// Number of points of a grid with three values of each float without a step.
fn n_points(space: &Space) -> u64 {
    let n_values = |parameter: &Parameter| parameter.distribution.n_values().unwrap_or(3);
    space.parameters().iter().map(n_values).fold(1, u64::saturating_mul)
}

/// What a study does with a proposal: it shows it to the user, who may enqueue it again, and a storage keeps it.
fn takes(name: &str, space: &Space, point: &Point) {
    assert!(space.contains(point), "{name} proposes {point:?} in {space:?}");
    assert_eq!(space.partial(&space.values(point)).as_ref(), Ok(point), "{name} in {space:?}");
    for (parameter, value) in space.parameters().iter().zip(point) {
        let Some(value) = *value else { continue };
        let read = Distribution::from_json(&parameter.distribution.to_json()).unwrap();
        assert!(read == parameter.distribution && read.contains(value), "{value} of {read:?}");
        let (low, high) = match read {
            Distribution::Float { low, high, .. } => (low, high),
            Distribution::Int { low, high, .. } => (low as f64, high as f64),
            Distribution::Categorical { choices } => (0.0, choices.len() as f64 - 1.0),
        };
        assert!((low..=high).contains(&value), "Optuna would refuse {value} of {low}..{high}");
    }
}

#[test]
fn every_sampler_stays_inside_the_oddest_spaces() {
    for (name, n_spaces, n_trials) in [
        ("random", 4300, 3),
        ("qmc", 4300, 3),
        ("grid:n=3", 60, 40),
        ("tpe:n_startup_trials=3", 500, 10),
        ("tpe:n_startup_trials=3,multivariate=true", 300, 10),
        ("cmaes", 300, 20),
        ("nsga2:population=4", 500, 14),
        ("bohb", 200, 14),
        ("gp:n_startup_trials=3", 25, 9),
        ("q-learning", 60, 8),
        ("reinforce:batch=3", 60, 8),
        ("nas:batch=3", 40, 8),
        ("deep-q", 15, 8),
    ] {
        stays_inside(name, n_spaces, n_trials);
    }
}

#[test]
fn with_two_objectives_they_stay_inside_too() {
    let (directions, mut rng, mut n_refused) = ([Direction::Minimize, Direction::Maximize], stream(8, "ends"), 0);
    for (name, n_spaces) in [("nsga2:population=4", 200), ("tpe:n_startup_trials=3", 200), ("gp:n_startup_trials=3", 8)]
    {
        for seed in 0..n_spaces {
            let space = drawn(&mut rng, &mut n_refused);
            let mut sampler = build(name, &Setting { space: &space, directions: &directions }).unwrap();
            let mut settled: Vec<Past> = Vec::new();
            for number in 0..10 {
                let ask = Ask { seed, number, space: &space, directions: &directions, settled: &settled, pending: &[] };
                let point = sampler.propose(&ask).unwrap();
                takes(name, &space, &point);
                settled.push(outcome(number, point, 2, &mut rng));
            }
        }
    }
}

#[test]
fn a_range_that_numbers_cannot_count_is_refused_with_the_reason() {
    let refused = |distribution: Distribution, needle: &str| {
        let error = Space::new([Parameter::new("x", distribution)]).unwrap_err().to_string();
        assert!(error.contains(needle), "{error}");
    };
    refused(Distribution::float(f64::MIN, f64::MAX), "high - low is a finite number");
    refused(Distribution::stepped_float(f64::MIN, f64::MAX, 1e300), "high - low is a finite number");
    refused(Distribution::stepped_float(0.0, 1.0, 1e-16), "`params.x.step`");
    refused(Distribution::stepped_float(1e16, 1e16 + 8.0, 1.0), "at least");
    refused(Distribution::stepped_float(0.0, 1.0, 1.5), "at most high - low = 1");
    for low in [i64::MIN, i64::MIN + 1, -(1 << 53) - 1] {
        refused(Distribution::log_int(low, 5), "`params.x.low`");
        refused(Distribution::int(low, 5), "`params.x.low`");
    }
    refused(Distribution::int(0, i64::MAX), "`params.x.high`");
    refused(Distribution::stepped_int(0, 5, i64::MIN), "`params.x.step`");
    assert!(Space::new([Parameter::new("x", Distribution::float(0.0, f64::MAX))]).is_ok());
}
