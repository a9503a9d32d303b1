#[cfg(feature = "sqlite")]
mod gone;
mod reads;

use super::*;
use crate::tuner::distribution::Value;
use crate::tuner::samplers::Ask;
use crate::tuner::space::Point;
use crate::tuner::trial::{REASON, TrialState};
use crate::tuner::{Direction, Distribution, Parameter};
use rand::RngExt;
use std::sync::atomic::{AtomicUsize, Ordering};

fn space() -> Space {
    Space::new([
        Parameter::new("x", Distribution::float(-5.0, 5.0)),
        Parameter::new("kind", Distribution::categorical(["a", "b"])),
        Parameter::new("y", Distribution::int(0, 9)).when("kind", ["b"]),
    ])
    .unwrap()
}

fn fixed(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// Its answer depends on everything that it is shown.
struct Nosy;
impl Sampler for Nosy {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        let text = format!("{:?} {:?}", ask.settled, ask.pending);
        let seen = crate::rng::fnv1a(text.as_bytes()) as f64 / u64::MAX as f64;
        let mut rng = ask.rng("nosy");
        Some(ask.space.fill(|_, p| p.distribution.from_unit((seen + rng.random::<f64>()) % 1.0)))
    }
}

/// Fails now and then, and takes longer for some values than for others.
fn objective(trial: &ActiveTrial<'_>) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>> {
    let x = trial.float("x")?;
    std::thread::sleep(Duration::from_micros((x.abs() * 900.0) as u64));
    if trial.number() % 6 == 5 { Err("every sixth".into()) } else { Ok((x * x).into()) }
}

#[test]
fn a_study_of_lag_four_tries_the_same_for_one_to_four_workers() {
    let run = |n_jobs| {
        let study = Study::in_memory(space(), StudyConfig { lag: 4, ..StudyConfig::default() }).unwrap();
        let study = study.with_sampler(Box::new(Nosy));
        study.optimize(&Optimize { n_trials: 40, n_jobs, ..Optimize::default() }, objective).unwrap();
        study.trials().unwrap()
    };
    let alone = run(1);
    assert_eq!(alone.iter().filter(|trial| trial.state == TrialState::Complete).count(), 40);
    assert!(alone.len() > 40, "some have failed");
    for n_jobs in 2..=4 {
        assert_eq!(run(n_jobs), alone, "{n_jobs} workers");
    }
}

#[test]
fn a_trial_of_lag_q_depends_on_no_later_result() {
    // Trial 5 of lag 3 may see the results of 0, 1 and 2: whatever comes of 3 and 4 changes nothing.
    let ask_sixth = |changed: usize| {
        let study = Study::in_memory(space(), StudyConfig { lag: 3, ..StudyConfig::default() }).unwrap();
        let study = study.with_sampler(Box::new(Nosy));
        for number in 0..5 {
            assert_eq!(study.ask().unwrap().number(), number);
            study.tell(number, if number == changed { 7.0 } else { number as f64 }).unwrap();
        }
        study.ask().unwrap().params
    };
    let unchanged = ask_sixth(99);
    assert_eq!([ask_sixth(3), ask_sixth(4)], [unchanged.clone(), unchanged.clone()]);
    assert_ne!(ask_sixth(2), unchanged);
}

#[test]
fn no_more_trials_run_than_the_lag_says() {
    let study = Study::in_memory(space(), StudyConfig { lag: 2, ..StudyConfig::default() }).unwrap();
    study.ask().unwrap();
    study.ask().unwrap();
    let error = study.ask().unwrap_err();
    assert!(matches!(error, TunerError::Waits { number: 2, awaited: 0, lag: 2 }), "{error}");
    study.tell(0, 1.0).unwrap();
    assert_eq!(study.ask().unwrap().number(), 2);
}

#[test]
fn what_is_told_is_checked() {
    let study = Study::in_memory(space(), StudyConfig::default()).unwrap();
    let error = |result: Result<(), TunerError>| result.unwrap_err().to_string();
    assert!(error(study.tell(0, 1.0)).contains("no trial 0"));
    study.ask().unwrap();
    assert!(error(study.tell(0, vec![1.0, 2.0])).contains("2 values, but the study has 1"));
    study.tell(0, f64::INFINITY).unwrap();
    assert!(error(study.tell(0, 1.0)).contains("not running any more (it is complete)"));
    assert!(error(study.report(0, 1, 1.0)).contains("not running"));
    study.ask().unwrap();
    study.tell(1, f64::NAN).unwrap();
    let trials = study.trials().unwrap();
    assert_eq!((trials[0].state, &trials[0].values), (TrialState::Complete, &vec![f64::INFINITY]));
    assert_eq!((trials[1].state, trials[1].values.len()), (TrialState::Fail, 0));
    assert_eq!(trials[1].system_attrs[REASON], "the objective is NaN");
}

#[test]
fn a_pruned_trial_keeps_its_last_report_that_is_a_number() {
    let study = Study::in_memory(space(), StudyConfig::default()).unwrap();
    for (reports, expected) in [(&[3.0, 2.0][..], vec![2.0]), (&[1.0, f64::NAN], vec![]), (&[], vec![])] {
        let trial = study.ask().unwrap();
        reports.iter().enumerate().for_each(|(step, value)| trial.report(step as i64, *value).unwrap());
        assert!(!trial.should_prune().unwrap());
        study.tell(trial.number(), Outcome::pruned()).unwrap();
        assert_eq!(study.trials().unwrap().last().unwrap().values, expected);
    }
}

#[test]
fn what_is_enqueued_comes_first_and_the_rest_of_it_is_drawn() {
    let study = Study::in_memory(space(), StudyConfig { lag: 9, ..StudyConfig::default() }).unwrap();
    study.enqueue(&fixed(&[("x", 1.5.into()), ("kind", "a".into())])).unwrap();
    study.enqueue(&fixed(&[("y", 4.into()), ("kind", "b".into())])).unwrap();
    assert!(study.enqueue(&fixed(&[("x", 9.0.into())])).unwrap_err().to_string().contains("from -5.0 to 5.0"));
    let [first, second, third] = [(); 3].map(|()| study.ask().unwrap().params);
    assert_eq!(first, fixed(&[("x", 1.5.into()), ("kind", "a".into())]));
    assert_eq!((&second["y"], &second["kind"]), (&4.into(), &"b".into()));
    assert!(second.contains_key("x") && third.contains_key("x"));
    assert_eq!(study.trials().unwrap()[1].values_of_params(), second);
}

#[test]
fn the_best_is_feasible_and_several_objectives_have_a_front() {
    let directions = vec![Direction::Minimize, Direction::Maximize];
    let study = Study::in_memory(space(), StudyConfig { directions, lag: 9, ..StudyConfig::default() }).unwrap();
    let told = [([1.0, 1.0], 0.0), ([2.0, 3.0], -1.0), ([3.0, 2.0], 0.0), ([0.0, 9.0], 0.5), ([0.5, 0.5], 0.0)];
    for (values, constraint) in told {
        let number = study.ask().unwrap().number();
        study.tell(number, Outcome::complete(values.to_vec()).with_constraints(vec![-3.0, constraint])).unwrap();
    }
    let front: Vec<usize> = study.best_trials().unwrap().iter().map(|trial| trial.number).collect();
    assert_eq!(front, [0, 1, 4]);
    assert_eq!(study.best().unwrap().unwrap().number, 4);
    assert!(study.should_prune(0).unwrap_err().to_string().contains("2 objectives"));
}

#[test]
fn callbacks_see_every_trial_and_can_stop_the_study() {
    let study = Study::in_memory(space(), StudyConfig::default()).unwrap();
    let seen = AtomicUsize::new(0);
    let on_trial = |study: &Study, trial: &Trial| {
        assert_eq!(trial.state, TrialState::Complete);
        if seen.fetch_add(1, Ordering::Relaxed) == 6 {
            study.stop();
        }
    };
    study
        .optimize(&Optimize { on_trial: &on_trial, ..Optimize::default() }, |trial| Ok(trial.float("x")?.into()))
        .unwrap();
    assert_eq!((seen.load(Ordering::Relaxed), study.trials().unwrap().len()), (7, 7));
}

#[test]
fn a_study_is_continued_with_its_own_settings_only() {
    let storage = Arc::new(Memory::new());
    let config = StudyConfig { seed: 4, lag: 2, ..StudyConfig::default() };
    Study::create_or_open(storage.clone(), space(), config.clone()).unwrap();
    let open = |space, config| Study::create_or_open(storage.clone(), space, config);
    let refused = |space, config| open(space, config).unwrap_err().to_string();
    assert!(open(space(), config.clone()).is_ok());
    let other = Space::new(space().parameters()[..1].to_vec()).unwrap();
    assert!(refused(other, config.clone()).contains("made with space = x, kind, y, not x"));
    assert!(refused(space(), StudyConfig { seed: 5, ..config.clone() }).contains("seed = 4, not 5"));
    let directions = vec![Direction::Maximize];
    assert!(refused(space(), StudyConfig { directions, ..config.clone() }).contains("maximize"));
    let study = Study::open(storage.clone(), "study").unwrap();
    assert_eq!((study.space(), study.config()), (&space(), &config));
    assert!(Study::open(storage.clone(), "stduy").unwrap_err().to_string().contains("there are: study"));
}

#[test]
fn a_study_that_was_made_with_a_former_name_is_read_and_continued() {
    for (former, today) in
        [("vashishtha", "q-learning"), ("mohamed:batch=4", "reinforce:batch=4"), ("hyperq", "deep-q")]
    {
        // As an earlier version has noted it.
        let storage = Arc::new(Memory::new());
        let config = |sampler: &str| StudyConfig { sampler: sampler.into(), ..StudyConfig::default() };
        Study::create_or_open(storage.clone(), space(), config(today)).unwrap();
        let record = storage.study("study").unwrap().unwrap();
        let mut notes = record.system_attrs.clone();
        assert_eq!(notes["qgd"]["settings"]["sampler"], today);
        notes.get_mut("qgd").unwrap()["settings"]["sampler"] = former.into();
        storage.note(&record, &notes).unwrap();
        let stored = StudyConfig::stored(&*storage, "study").unwrap().unwrap();
        assert_eq!(stored.sampler, today);
        let study = Study::open(storage.clone(), "study").unwrap();
        assert_eq!(study.config().sampler, today);
        for name in [former, today] {
            study.ask().unwrap();
            study.tell(study.counts().done(), 0.5).unwrap();
            assert!(Study::create_or_open(storage.clone(), space(), config(name)).is_ok(), "{name}");
        }
        assert!(Study::create_or_open(storage.clone(), space(), config("random")).is_err());
    }
}

#[test]
fn settings_in_a_file_may_have_a_former_name() {
    let config: StudyConfig = toml::from_str(
        "name = 'study'\ndirections = ['minimize']\nsampler = 'hyperq:candidates=9'\npruner = 'none'\nseed = 0\nlag = 1\n\
         heartbeat_s = 10.0\nretries = 3",
    )
    .unwrap();
    assert_eq!(config.check(&space()).unwrap().config().sampler, "deep-q:candidates=9");
}

#[test]
fn an_objective_that_always_fails_does_not_go_on_for_ever() {
    let study = Study::in_memory(space(), StudyConfig::default()).unwrap();
    let error = study.optimize(&Optimize::default(), |_| Err("no luck".into())).unwrap_err().to_string();
    assert!(error.contains("20 trials in a row") && error.contains("no luck"), "{error}");
    assert_eq!(study.trials().unwrap().len(), 20);
}

/// An interruption changes nothing: the same trials come, with the same numbers.
#[test]
fn a_trial_that_is_given_back_is_tried_again_and_one_with_a_wrong_number_of_values_fails_alone() {
    let run = |interrupt: bool| {
        let study = Study::in_memory(space(), StudyConfig { sampler: "tpe".into(), ..StudyConfig::default() }).unwrap();
        let (n_begun, options) = (AtomicUsize::new(0), Optimize { n_trials: 15, ..Optimize::default() });
        study
            .optimize(&options, |trial| {
                let n_begun = n_begun.fetch_add(1, Ordering::Relaxed);
                trial.report(1, 9.0)?;
                Ok(if interrupt && n_begun % 4 == 3 { Outcome::given_back() } else { trial.float("x")?.into() })
            })
            .unwrap();
        study.trials().unwrap()
    };
    let [plain, interrupted] = [false, true].map(run);
    assert_eq!(plain, interrupted);
    let study = Study::in_memory(space(), StudyConfig::default()).unwrap();
    let values = |number: usize| vec![1.0; if number == 2 { 3 } else { 1 }];
    let objective = |trial: &ActiveTrial<'_>| Ok(values(trial.number()).into());
    study.optimize(&Optimize { n_trials: 5, ..Optimize::default() }, objective).unwrap();
    let trials = study.trials().unwrap();
    assert_eq!((trials.len(), trials[2].state), (6, TrialState::Fail));
    assert_eq!(trials[2].system_attrs[REASON], "trial 2 was told 3 values, but the study has 1 objective");
}
