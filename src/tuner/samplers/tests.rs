//! What holds for every sampler in `NAMES`.

mod ends;

use super::*;
use crate::tuner::storage::Memory;
use crate::tuner::{ActiveTrial, Distribution, Optimize, Outcome, Parameter, Study, StudyConfig, TrialState};
use std::collections::BTreeMap;
use std::sync::Arc;

fn space() -> Space {
    Space::new([
        Parameter::new("lr", Distribution::log_float(1e-5, 1e-1)),
        Parameter::new("dropout", Distribution::stepped_float(0.0, 0.5, 0.25)),
        Parameter::new("layers", Distribution::int(1, 3)),
        Parameter::new("units", Distribution::stepped_int(16, 64, 16)).when("layers", [2, 3]),
        Parameter::new("shape", Distribution::categorical(["wide", "deep"])).when("units", [16, 32]),
    ])
    .unwrap()
}

/// Grid search needs to know how many values a float has.
fn with_options(name: &'static str) -> &'static str {
    if name == "grid" { "grid:n=20" } else { name }
}

/// A trial that came to these values.
pub(super) fn completed(number: usize, point: Point, values: Vec<f64>) -> Past {
    let (state, intermediate) = (TrialState::Complete, BTreeMap::new());
    Past { number, state, point, values, intermediate, constraints: vec![] }
}

/// The first `n` trials of a sampler that minimizes `cost`, one after the other.
pub(super) fn minimized(
    name: &str,
    space: &Space,
    n: usize,
    seed: u64,
    cost: impl Fn(&Point) -> Vec<f64>,
) -> Vec<Past> {
    let directions = vec![Direction::Minimize; cost(&space.fill(|_, p| p.distribution.from_unit(0.5))).len()];
    let mut sampler = build(name, &Setting { space, directions: &directions }).unwrap();
    let mut settled: Vec<Past> = Vec::new();
    for number in 0..n {
        let ask = Ask { seed, number, space, directions: &directions, settled: &settled, pending: &[] };
        let point = sampler.propose(&ask).unwrap();
        let values = cost(&point);
        settled.push(completed(number, point, values));
    }
    settled
}

/// A bowl in [0, 1]^d; every seventh trial fails, every fifth is pruned.
fn evaluate(space: &Space, number: usize, point: Point) -> Past {
    let units = space.parameters().iter().zip(&point).filter_map(|(p, v)| v.map(|v| p.distribution.to_unit(v)));
    let value = units.map(|unit| (unit - 0.3).powi(2)).sum::<f64>();
    let (state, values) = match number {
        n if n % 7 == 6 => (TrialState::Fail, vec![]),
        n if n % 5 == 4 => (TrialState::Pruned, vec![value]),
        _ => (TrialState::Complete, vec![value]),
    };
    let intermediate = BTreeMap::from([(1, 2.0 * value), (2, value)]);
    Past { number, state, point, values, intermediate, constraints: vec![] }
}

/// Proposes for 40 trials, where the results of the last `lag` - 1 are not known; each with `sampler`, or with one made
/// anew.
fn run(name: &str, space: &Space, lag: usize, anew: bool) -> Vec<Point> {
    let directions = [Direction::Minimize];
    let make = || build(name, &Setting { space, directions: &directions }).unwrap();
    let (mut sampler, mut all): (_, Vec<Past>) = (make(), vec![]);
    for number in 0..40 {
        let (settled, hidden) = all.split_at((number + 1usize).saturating_sub(lag));
        let hide = |past: &Past| Past {
            state: TrialState::Running,
            values: vec![],
            intermediate: BTreeMap::new(),
            ..past.clone()
        };
        let pending: Vec<Past> = hidden.iter().map(hide).collect();
        if anew {
            sampler = make();
        }
        let ask = Ask { seed: 3, number, space, directions: &directions, settled, pending: &pending };
        let Some(point) = sampler.propose(&ask) else { break };
        assert!(space.contains(&point), "{name} proposes {point:?}");
        all.push(evaluate(space, number, point));
    }
    all.into_iter().map(|past| past.point).collect()
}

#[test]
fn every_sampler_says_the_same_with_and_without_a_cache() {
    let numbers = Space::new(space().parameters()[..1].to_vec()).unwrap();
    for name in NAMES.map(with_options) {
        for (space, lag) in [(&numbers, 1), (&numbers, 4), (&space(), 3)] {
            assert_eq!(run(name, space, lag, false), run(name, space, lag, true), "{name} with lag {lag}");
        }
    }
}

#[test]
fn any_number_of_workers_and_any_interruption_leads_to_the_same_trials() {
    let objective = |trial: &ActiveTrial<'_>| -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>> {
        std::thread::sleep(std::time::Duration::from_micros(50 * (7 * trial.number() as u64 % 5)));
        let away = (trial.float("lr")?.log10() + 3.0).powi(2) + trial.float("layers")?;
        if trial.number() % 6 == 5 { Err("every sixth".into()) } else { Ok(away.into()) }
    };
    for name in NAMES.map(with_options) {
        let run = |n_jobs: usize, stops: &[usize]| {
            let storage = Arc::new(Memory::new());
            let mut trials = Vec::new();
            for &n_trials in stops {
                let config = StudyConfig { sampler: name.into(), lag: 3, ..StudyConfig::default() };
                let study = Study::create_or_open(storage.clone(), space(), config).unwrap();
                study.optimize(&Optimize { n_trials, n_jobs, ..Optimize::default() }, objective).unwrap();
                trials = study.trials().unwrap();
            }
            trials
        };
        let alone = run(1, &[26]);
        assert_eq!(run(3, &[26]), alone, "{name}, three workers");
        assert_eq!(run(1, &[7, 19, 26]), alone, "{name}, begun three times");
    }
}

#[test]
fn whatever_comes_out_no_sampler_gives_up() {
    let space = Space::new([
        Parameter::new("x", Distribution::float(0.0, 1.0)),
        Parameter::new("n", Distribution::int(1, 2)),
        Parameter::new("only", Distribution::categorical(["one"])),
        Parameter::new("y", Distribution::stepped_float(0.0, 1.0, 0.5)).when("n", [2]),
    ])
    .unwrap();
    let infinite = |number: usize| if number.is_multiple_of(2) { f64::INFINITY } else { f64::NEG_INFINITY };
    type Outcome<'a> = &'a dyn Fn(usize) -> Option<f64>;
    let outcomes: [(&str, Outcome); 5] = [
        ("all fail", &|_| None),
        ("all the same", &|_| Some(1.0)),
        ("all infinite", &|number| Some(infinite(number))),
        ("huge", &|number| Some(if number.is_multiple_of(3) { f64::MAX } else { f64::MIN })),
        ("one is finite", &|number| Some(if number == 4 { 0.5 } else { f64::INFINITY })),
    ];
    for name in NAMES.iter().filter(|name| **name != "grid") {
        for (what, outcome) in outcomes {
            let directions = [Direction::Maximize];
            let mut sampler = build(name, &Setting { space: &space, directions: &directions }).unwrap();
            let mut settled: Vec<Past> = Vec::new();
            for number in 0..30 {
                let ask =
                    Ask { seed: 5, number, space: &space, directions: &directions, settled: &settled, pending: &[] };
                let point = sampler.propose(&ask).unwrap();
                assert!(space.contains(&point), "{name}, {what}: {point:?}");
                // Every other trial was enqueued, always with the same parameters.
                let point = if number.is_multiple_of(2) { vec![Some(0.25), Some(1.0), Some(0.0), None] } else { point };
                let (state, values) = match outcome(number) {
                    Some(value) => (TrialState::Complete, vec![value]),
                    None => (TrialState::Fail, vec![]),
                };
                settled.push(Past { number, state, point, values, intermediate: BTreeMap::new(), constraints: vec![] });
            }
        }
    }
}

#[test]
fn a_sampler_may_be_asked_about_an_earlier_state_of_the_study() {
    let (space, directions) = (space(), [Direction::Minimize]);
    fn ask<'a>(number: usize, space: &'a Space, settled: &'a [Past]) -> Ask<'a> {
        Ask { seed: 2, number, space, directions: &[Direction::Minimize], settled, pending: &[] }
    }
    for name in NAMES.map(with_options) {
        let mut all: Vec<Past> = Vec::new();
        let mut sampler = build(name, &Setting { space: &space, directions: &directions }).unwrap();
        let mut first = Vec::new();
        for number in 0..40 {
            first.push(sampler.propose(&ask(number, &space, &all)).unwrap());
            all.push(evaluate(&space, number, first[number].clone()));
        }
        for number in [25, 12, 38] {
            assert_eq!(
                sampler.propose(&ask(number, &space, &all[..number])).unwrap(),
                first[number],
                "{name}, trial {number}"
            );
        }
    }
}

#[test]
fn former_names_mean_the_samplers_of_today() {
    let space = space();
    let points = |text: &str| {
        let trials = minimized(text, &space, 20, 6, |point| vec![point[0].unwrap()]);
        trials.into_iter().map(|past| past.point).collect::<Vec<_>>()
    };
    for (former, today) in FORMER_NAMES {
        assert!(NAMES.contains(&today) && !NAMES.contains(&former));
        let options = if today == "deep-q" { "candidates=30" } else { "n=5" };
        assert_eq!(points(&format!("{former}:{options}")), points(&format!("{today}:{options}")), "{former}");
        assert_eq!((current(former), current(&format!("{former}:a:b"))), (today.into(), format!("{today}:a:b")));
    }
    for name in NAMES {
        assert_eq!(current(name), name);
    }
    assert_eq!(current("hyperqq:n=5"), "hyperqq:n=5");
}

#[test]
fn an_unknown_sampler_or_option_is_named() {
    let (space, directions) = (space(), [Direction::Minimize]);
    let refused =
        |text: &str| build(text, &Setting { space: &space, directions: &directions }).err().unwrap().to_string();
    let unknown = refused("randum");
    assert!(unknown.contains("`randum` (did you mean `random`?); there are random"), "{unknown}");
    assert!(refused("random:n=3").contains("no option `n`"), "{}", refused("random:n=3"));
}

#[test]
fn random_points_are_even_on_the_scale_of_each_parameter() {
    let space = space();
    let ask = |number| Ask { seed: 1, number, space: &space, directions: &[], settled: &[], pending: &[] };
    let points: Vec<Point> = (0..4000).map(|number| ask(number).random_point("test")).collect();
    let share = |holds: &dyn Fn(&Point) -> bool| points.iter().filter(|p| holds(p)).count() as f64 / 4000.0;
    // Half of the decades lie below 1e-3; a third of the nets has one layer, and then no units.
    assert!((share(&|p| p[0].unwrap() < 1e-3) - 0.5).abs() < 0.03);
    assert!((share(&|p| p[3].is_none()) - 1.0 / 3.0).abs() < 0.03);
    assert!((share(&|p| p[4].is_some()) - 1.0 / 3.0).abs() < 0.03);
}
