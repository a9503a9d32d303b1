use super::*;
use crate::tuner::Space;
use crate::tuner::samplers::tests::minimized;

fn space() -> Space {
    Space::new([
        Parameter::new("x", Distribution::float(0.0, 1.0)),
        Parameter::new("y", Distribution::int(0, 20)),
        Parameter::new("kind", Distribution::categorical(["a", "b"])),
    ])
    .unwrap()
}

/// Lowest at (0.7, 4, b).
fn cost(point: &Point) -> f64 {
    let [x, y, kind] = [0, 1, 2].map(|i: usize| point[i].unwrap());
    (x - 0.7).powi(2) + (y / 20.0 - 0.2).powi(2) + 0.3 * (1.0 - kind)
}

/// Costs of a study of so many trials.
fn study(text: &str, space: &Space, seed: u64, n: usize) -> Vec<f64> {
    minimized(text, space, n, seed, |point| vec![cost(point)]).iter().map(|past| past.values[0]).collect()
}

fn mean(costs: &[f64]) -> f64 {
    costs.iter().sum::<f64>() / costs.len() as f64
}

#[test]
fn every_policy_and_net_comes_to_propose_what_is_good() {
    let space = space();
    let random = mean(&study("random", &space, 1, 100));
    for options in [
        "over=20",
        "explore=ucb",
        "explore=thompson,std=0.1",
        "explore=softmax",
        "net=lstm,over=20",
        "gamma=0.5,over=20",
    ] {
        let costs = study(&format!("deep-q:{options},width=16"), &space, 1, 50);
        let late = mean(&costs[35..]);
        assert!(late < 0.5 * random, "{options}: {late} {random}");
    }
}

fn lessons(space: &Space) -> Vec<Lesson> {
    // The same valley, of other heights and with the x of the best a little elsewhere.
    let mut rng = crate::rng::stream(5, "lessons");
    let mut lesson = |i: usize| {
        let mut result = || {
            let point = space.random_point(&mut rng);
            let mut moved = point.clone();
            moved[0] = moved[0].map(|x| x + 0.05 * (i as f64 - 1.0));
            let cost = 10f64.powi(i as i32) * cost(&moved);
            (point, (cost < 0.9 * 10f64.powi(i as i32)).then_some(cost))
        };
        let results = (0..120).map(|_| result()).collect();
        Lesson { name: format!("lesson {i}"), data: Some([100, 4, 0]), results }
    };
    (0..3).map(&mut lesson).collect()
}

#[test]
fn what_was_taught_is_used_from_the_first_trial_on_and_survives_the_file() {
    let space = space();
    let folder = tempfile::tempdir().unwrap();
    for is_recurrent in [false, true] {
        let config = TeachConfig { episodes: 60, trials: 8, is_recurrent, width: 16, ..TeachConfig::default() };
        let mut n_done = 0;
        let taught = teach(&space, &lessons(&space), &config, |n, _| n_done = n).unwrap();
        assert_eq!(n_done, 60);
        let path = folder.path().join("taught.qgd");
        taught.save(&path).unwrap();
        assert_eq!(Taught::load(&path).unwrap(), taught);
        let text = format!("deep-q:{},examples=200,inputs=5,classes=0", path.display());
        let (first, random) = (study(&text, &space, 1, 10), study("random", &space, 1, 100));
        assert!(mean(&first) < 0.4 * mean(&random), "{is_recurrent}: {} {}", mean(&first), mean(&random));
        // Bounds may differ, parameters may not.
        let directions = [Direction::Minimize];
        let mut parameters = space.parameters().to_vec();
        parameters[1].distribution = Distribution::int(2, 9);
        let narrower = Space::new(parameters.clone()).unwrap();
        assert!(super::super::build(&text, &Setting { space: &narrower, directions: &directions }).is_ok());
        parameters[1].name = "z".into();
        let other = Space::new(parameters).unwrap();
        let refused = super::super::build(&text, &Setting { space: &other, directions: &directions }).err().unwrap();
        let message = refused.to_string();
        assert!(message.contains("x, z, kind") && message.contains("x, y, kind"), "{message}");
    }
}

#[test]
fn a_file_that_is_missing_or_damaged_is_named() {
    let (space, folder) = (space(), tempfile::tempdir().unwrap());
    let refused = |path: &Path| {
        let text = format!("deep-q:{}", path.display());
        let setting = Setting { space: &space, directions: &[Direction::Minimize] };
        super::super::build(&text, &setting).err().unwrap().to_string()
    };
    let path = folder.path().join("no.qgd");
    assert!(refused(&path).contains("no.qgd"), "{}", refused(&path));
    let taught = teach(&space, &lessons(&space), &TeachConfig { episodes: 1, ..TeachConfig::default() }, |_, _| {});
    taught.unwrap().save(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(refused(&path).contains("checksum"), "{}", refused(&path));
}

#[test]
fn lessons_that_teach_nothing_are_refused() {
    let space = space();
    let refused =
        |lessons: &[Lesson], config: &TeachConfig| teach(&space, lessons, config, |_, _| {}).unwrap_err().to_string();
    let config = TeachConfig::default();
    assert!(refused(&[], &config).contains("no lesson"));
    let mut one = lessons(&space).remove(0);
    one.results[7].0[1] = None;
    assert!(refused(&[one.clone()], &config).contains("result 7 of the lesson `lesson 0`"));
    one.results.truncate(5);
    assert!(refused(&[one], &config).contains("has 5 results, but at least 21"));
    assert!(refused(&lessons(&space), &TeachConfig { gamma: 1.0, ..config }).contains("`gamma` is 1"));
}

#[test]
fn a_study_is_a_lesson() {
    use crate::tuner::{Outcome as Told, Study, StudyConfig};
    let study = Study::in_memory(space(), StudyConfig { directions: vec![Direction::Maximize], ..Default::default() });
    let study = study.unwrap();
    for n in 0..4 {
        study.ask().unwrap();
        match n {
            0 => study.tell(n, 2.5).unwrap(),
            1 => study.tell(n, Told::failed("it broke")).unwrap(),
            2 => {
                study.report(n, 1, 0.5).unwrap();
                study.tell(n, Told::pruned()).unwrap();
            }
            // Still running.
            _ => {}
        }
    }
    let trials = study.trials().unwrap();
    let lesson = Lesson::of_trials("lesson".to_owned(), &trials, Direction::Maximize, study.space(), None);
    let costs: Vec<_> = lesson.results.iter().map(|result| result.1).collect();
    assert_eq!(costs, [Some(-2.5), None, Some(-0.5)]);
    assert!(lesson.results.iter().all(|(point, _)| study.space().contains(point)));
}
