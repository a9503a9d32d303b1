use super::*;
use crate::tuner::{Distribution, Outcome, Parameter, Space, Study, StudyConfig};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    pruner: String,
    direction: Direction,
    /// Of each trial: step, value (NaN as null), and what Optuna's pruner said.
    trials: Vec<Vec<(i64, Option<f64>, bool)>>,
}

fn study(pruner: &str, direction: Direction) -> Study {
    let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
    let (name, pruner, directions) = ("a study".into(), pruner.into(), vec![direction]);
    Study::in_memory(space, StudyConfig { name, pruner, directions, ..StudyConfig::default() }).unwrap()
}

#[test]
fn every_pruner_decides_as_optunas_does() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../tests/fixtures/pruners.json")).unwrap();
    assert_eq!(cases.len(), 20);
    for case in cases {
        let (study, mut n_pruned) = (study(&case.pruner, case.direction), 0);
        for (number, reports) in case.trials.iter().enumerate() {
            let trial = study.ask().unwrap();
            for &(step, value, prune) in reports {
                trial.report(step, value.unwrap_or(f64::NAN)).unwrap();
                let found = trial.should_prune().unwrap();
                assert_eq!(found, prune, "{} {:?}: trial {number}, step {step}", case.pruner, case.direction);
            }
            let is_pruned = reports.last().unwrap().2;
            n_pruned += usize::from(is_pruned);
            study.tell(number, if is_pruned { Outcome::pruned() } else { 0.5.into() }).unwrap();
        }
        assert!((1..40).contains(&n_pruned), "{} {:?} prunes {n_pruned} of 40", case.pruner, case.direction);
    }
}

#[test]
fn a_pruner_that_is_wrong_is_named_with_what_is_allowed() {
    let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
    let refused = |text: &str, directions: &[Direction], needle: &str| {
        let error = build(text, &Setting { space: &space, directions }).err().unwrap().to_string();
        assert!(error.contains(needle), "{error}");
    };
    let one = [Direction::Minimize];
    refused("medium", &one, "there are none, median, percentile");
    refused("median:percentile=3", &one, "no option `percentile`");
    refused("percentile:percentile=101", &one, "from 0 to 100");
    refused("asha:reduction_factor=1", &one, "from 2 to 1000");
    refused("hyperband:min_resource=4,max_resource=3", &one, "from min_resource = 4");
    refused("patience:patience=-1", &one, "a whole number");
    refused("median", &[Direction::Minimize; 2], "needs one objective; this study has 2 objectives");
}
