use super::*;
use crate::tuner::{Distribution, Optimize, Study, StudyConfig, Trial};
use std::collections::BTreeMap;

/// `a` matters most, then `b`; `layers` matters a little, and `units` only with two layers.
fn space() -> Space {
    let float = |name: &str| Parameter::new(name, Distribution::float(0.0, 1.0));
    let layers = Parameter::new("layers", Distribution::int(1, 2));
    let units = Parameter::new("units", Distribution::int(1, 9)).when("layers", [2]);
    Space::new([float("a"), float("b"), float("c"), layers, units]).unwrap()
}

fn run(lag: usize, n_jobs: usize, screen: Option<&str>, n_trials: usize) -> Vec<Trial> {
    let screen = screen.map(|text| text.parse().unwrap());
    let config = StudyConfig { lag, screen, seed: 4, ..StudyConfig::default() };
    let study = Study::in_memory(space(), config).unwrap();
    let objective = |trial: &crate::tuner::ActiveTrial<'_>| {
        let layers = trial.int("layers")? as f64;
        Ok((10.0 * trial.float("a")? + 3.0 * trial.float("b")? + 0.1 * layers + 1e-3 * trial.float("c")?).into())
    };
    study.optimize(&Optimize { n_trials, n_jobs, ..Optimize::default() }, objective).unwrap();
    study.trials().unwrap()
}

fn inner(trial: &Trial) -> BTreeMap<&str, f64> {
    trial.params.iter().map(|(name, assigned)| (name.as_str(), assigned.inner)).collect()
}

#[test]
fn after_so_many_trials_the_rest_stays_as_in_the_best() {
    let (lag, after) = (3, 60);
    let trials = run(lag, 1, Some("60:2"), 90);
    let best = trials[..after].iter().min_by(|a, b| a.values[0].total_cmp(&b.values[0])).unwrap();
    let frozen = |trial: &Trial| ["c", "layers"].iter().all(|name| inner(trial).get(name) == inner(best).get(name));
    let units = |trial: &Trial| inner(trial).get("units") == inner(best).get("units");
    // The first trial that may know the result of trial 59.
    let first = after + lag - 1;
    assert!(trials[first..].iter().all(|trial| frozen(trial) && units(trial)));
    assert!(trials[..first].iter().filter(|trial| frozen(trial)).count() <= 2);
    let distinct = |name: &str| {
        let bits: std::collections::BTreeSet<u64> = trials[first..].iter().map(|t| inner(t)[name].to_bits()).collect();
        bits.len()
    };
    assert_eq!((distinct("a"), distinct("b")), (90 - first, 90 - first), "these are searched still");
    assert_eq!(trials[..after], run(lag, 1, None, after)[..], "until then nothing is different");
}

#[test]
fn screening_tries_the_same_for_any_number_of_workers() {
    let params = |n_jobs| run(3, n_jobs, Some("20:1"), 40).iter().map(|t| t.params.clone()).collect::<Vec<_>>();
    assert_eq!(params(1), params(3));
}

#[test]
fn what_hangs_on_a_frozen_parameter_follows_it() {
    let at = |name: &str, value: f64| {
        let mut frozen: Point = vec![None; 5];
        frozen[space().position(name).unwrap()] = Some(value);
        reduced(&space(), &frozen).unwrap()
    };
    let (one_layer, places) = at("layers", 1.0);
    assert_eq!((one_layer.names().as_str(), places), ("a, b, c", vec![0, 1, 2]));
    let (two_layers, places) = at("layers", 2.0);
    assert_eq!((two_layers.names().as_str(), places), ("a, b, c, units", vec![0, 1, 2, 4]));
    assert!(!two_layers.is_conditional());
    assert!(at("units", 3.0).0.names() == "a, b, c, layers" && at("a", 0.5).0.is_conditional());
}

#[test]
fn a_text_that_means_nothing_is_refused() {
    assert_eq!("50:3".parse(), Ok(Screen { after: 50, keep: 3 }));
    assert_eq!(Screen { after: 50, keep: 3 }.to_string(), "50:3");
    for wrong in ["", "50", "5:3", "50:0", "a:b", "50:3:1"] {
        assert!(wrong.parse::<Screen>().unwrap_err().to_string().contains("50:3"), "{wrong}");
    }
}
