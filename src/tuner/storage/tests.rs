//! What holds for every storage.

use super::*;
use crate::tuner::Distribution;
use crate::tuner::{ActiveTrial, Counts, Optimize, Outcome, Parameter, Space, Study, StudyConfig, TunerError};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

#[cfg(feature = "postgres")]
#[allow(dead_code, reason = "shared with the tests of the command line")]
#[path = "../../../tests/cli/cluster.rs"]
mod cluster;

/// Every storage, with an empty place of its own.
fn each(test: impl Fn(&str, Arc<dyn Storage>)) {
    test("memory", Arc::new(Memory::new()));
    databases(|url| test(url, open(url).unwrap()));
}

/// Every database, by the URL of an empty place.
fn databases(test: impl Fn(&str)) {
    if cfg!(feature = "sqlite") {
        let folder = tempfile::tempdir().unwrap();
        test(&format!("sqlite:///{}", folder.path().join("s.db").display()));
    }
    #[cfg(feature = "postgres")]
    if let Some(cluster) = cluster::Cluster::shared() {
        test(&cluster.database());
    }
}

fn draft() -> Draft {
    let lr = Assigned { distribution: Distribution::log_float(1e-5, 0.1), inner: 0.1 + 0.2 - 0.25 };
    let act = Assigned { distribution: Distribution::categorical(["relu", "tanh"]), inner: 1.0 };
    Draft {
        params: BTreeMap::from([("lr".into(), lr), ("act".into(), act)]),
        user_attrs: BTreeMap::from([("who".into(), json!({"a": [1, null]}))]),
        system_attrs: BTreeMap::from([("note".into(), json!("\u{1f980} it's"))]),
        heartbeat_s: None,
    }
}

fn new_study(storage: &dyn Storage) -> StudyRecord {
    let directions = [Direction::Minimize, Direction::Maximize];
    storage.create("first", &directions, &BTreeMap::from([("qgd".into(), json!(1))])).unwrap();
    storage.study("first").unwrap().unwrap()
}

fn finish(values: Vec<f64>) -> Change {
    Change::Finish { end: End::Complete(values), system_attrs: BTreeMap::new() }
}

#[test]
fn what_is_written_is_read_back() {
    each(|name, storage| {
        let study = new_study(&*storage);
        storage.create("first", &[Direction::Minimize], &BTreeMap::new()).unwrap();
        storage.note(&study, &BTreeMap::from([("more".into(), json!([2]))])).unwrap();
        for value in [1, 2] {
            storage.note_user(&study, &BTreeMap::from([("more".into(), json!(value))])).unwrap();
        }
        let record = storage.study("first").unwrap().unwrap();
        assert_eq!(record.user_attrs, BTreeMap::from([("more".into(), json!(2))]), "{name}");
        assert_eq!(record.directions, [Direction::Minimize, Direction::Maximize], "{name}");
        assert_eq!(record.system_attrs, BTreeMap::from([("more".into(), json!([2])), ("qgd".into(), json!(1))]));
        let id = storage.begin(&study, 0, &draft(), 9).unwrap().unwrap();
        for (step, value) in [(3, 0.5), (1, f64::NAN), (2, f64::NEG_INFINITY), (3, 0.25)] {
            assert!(storage.change(&study, &id, &Change::Report { step, value }).unwrap());
        }
        assert!(storage.change(&study, &id, &Change::UserAttrs(BTreeMap::from([("who".into(), json!(2))]))).unwrap());
        assert!(storage.change(&study, &id, &finish(vec![f64::INFINITY, -1.5])).unwrap());
        assert!(!storage.change(&study, &id, &finish(vec![0.0, 0.0])).unwrap(), "a second tell is refused");
        let nothing = TrialKey { id: id.id + 7, ..id };
        assert!(!storage.change(&study, &nothing, &finish(vec![0.0, 0.0])).unwrap(), "and so is one of nothing");
        let trials = storage.trials(&study, &Seen::default()).unwrap();
        assert_eq!(trials.len(), 1);
        let trial = &trials[0];
        assert_eq!((trial.number, trial.state, &trial.values), (0, TrialState::Complete, &vec![f64::INFINITY, -1.5]));
        assert_eq!((&trial.params, &trial.system_attrs), (&draft().params, &draft().system_attrs));
        assert_eq!(trial.user_attrs["who"], json!(2));
        assert!(trial.intermediate[&1].is_nan() && trial.intermediate[&2] == f64::NEG_INFINITY);
        assert!((trial.intermediate[&3] - 0.25).abs() < 1e-12 && trial.intermediate.len() == 3);
        storage.delete(&study, false).unwrap();
        assert!(storage.studies().unwrap().is_empty());
    });
}

#[test]
fn a_reader_is_told_what_is_new_and_what_was_not_finished() {
    each(|name, storage| {
        let study = new_study(&*storage);
        let ids: Vec<TrialKey> = (0..3).map(|n| storage.begin(&study, n, &draft(), 9).unwrap().unwrap()).collect();
        storage.change(&study, &ids[0], &finish(vec![1.0, 1.0])).unwrap();
        let seen = Seen { up_to: ids[1].id, unfinished: vec![ids[1].id] };
        let numbers: Vec<usize> = storage.trials(&study, &seen).unwrap().iter().map(|trial| trial.number).collect();
        assert_eq!(numbers, [1, 2], "{name}");
    });
}

#[test]
fn what_is_given_back_waits_as_if_nobody_had_begun_it() {
    each(|name, storage| {
        let study = new_study(&*storage);
        let begun = storage.begin(&study, 0, &draft(), 9).unwrap().unwrap();
        let change = |key: &TrialKey, change: &Change| storage.change(&study, key, change).unwrap();
        change(&begun, &Change::Report { step: 1, value: 0.5 });
        change(&begun, &Change::SystemAttrs(BTreeMap::from([("completed_rung_0".into(), json!(0.5))])));
        let back = Change::Finish { end: End::GivenBack, system_attrs: BTreeMap::new() };
        assert!(change(&begun, &back) && !change(&begun, &back), "{name}");
        let trial = storage.trials(&study, &Seen::default()).unwrap().remove(0);
        assert_eq!((trial.state, trial.intermediate.len(), trial.started), (TrialState::Waiting, 0, None), "{name}");
        assert_eq!((&trial.params, &trial.system_attrs), (&draft().params, &draft().system_attrs));
        let claimed = storage.claim(&study, 9, 60.0).unwrap().unwrap();
        assert_eq!((claimed.id, claimed.number), (begun.id, 0), "{name}");
        assert!(change(&claimed, &finish(vec![1.0, 2.0])), "{name}");
    });
}

#[test]
fn a_number_is_given_once_and_the_limit_holds() {
    each(|name, storage| {
        let study = new_study(&*storage);
        assert!(storage.begin(&study, 1, &draft(), 9).unwrap().is_none(), "{name}: there is no trial 0 yet");
        let first = storage.begin(&study, 0, &draft(), 9).unwrap().unwrap();
        assert!(storage.begin(&study, 0, &draft(), 9).unwrap().is_none());
        assert!(storage.begin(&study, 1, &draft(), 1).unwrap().is_none(), "the limit counts running trials");
        let failed = Change::Finish { end: End::Failed, system_attrs: BTreeMap::new() };
        storage.change(&study, &first, &failed).unwrap();
        assert!(storage.begin(&study, 1, &draft(), 1).unwrap().is_some(), "and no failed ones");
        storage.enqueue(&study, &draft()).unwrap();
        assert!(
            storage.claim(&study, 1, 10.0).unwrap().is_none()
                && storage.begin(&study, 3, &draft(), 2).unwrap().is_none()
        );
        assert!(storage.claim(&study, 2, 10.0).unwrap().is_some());
        assert!(storage.begin(&StudyRecord { id: 99, ..study }, 0, &draft(), 9).is_err());
    });
}

#[test]
fn the_value_of_a_pruned_trial_is_its_last_report_unless_that_is_nan() {
    each(|name, storage| {
        let study = new_study(&*storage);
        let reports = [&[(2, 0.5), (1, 9.0)][..], &[(1, 1.0), (7, f64::NEG_INFINITY)], &[(1, 1.0), (2, f64::NAN)], &[]];
        for (number, reports) in reports.into_iter().enumerate() {
            let id = storage.begin(&study, number, &draft(), 9).unwrap().unwrap();
            for &(step, value) in reports {
                assert!(storage.change(&study, &id, &Change::Report { step, value }).unwrap());
            }
            assert!(
                storage
                    .change(&study, &id, &Change::Finish { end: End::Pruned, system_attrs: BTreeMap::new() })
                    .unwrap()
            );
        }
        let trials = storage.trials(&study, &Seen::default()).unwrap();
        assert!(trials.iter().all(|trial| trial.state == TrialState::Pruned), "{name}");
        let values: Vec<&[f64]> = trials.iter().map(|trial| &trial.values[..]).collect();
        assert_eq!(values, [&[0.5][..], &[f64::NEG_INFINITY], &[], &[]], "{name}");
    });
}

#[test]
fn those_who_come_first_at_the_same_time_make_the_tables_once() {
    databases(|url| {
        std::thread::scope(|scope| (0..8).for_each(|_| _ = scope.spawn(|| _ = new_study(&*open(url).unwrap()))));
        assert_eq!(open(url).unwrap().studies().unwrap().len(), 1, "{url}");
    });
}

#[test]
fn a_waiting_trial_is_claimed_by_one_worker_only() {
    each(|name, storage| {
        let study = new_study(&*storage);
        (0..40).for_each(|_| storage.enqueue(&study, &draft()).unwrap());
        let claimed: Vec<Vec<TrialKey>> = std::thread::scope(|scope| {
            let work = || std::iter::from_fn(|| storage.claim(&study, usize::MAX, 10.0).unwrap()).collect();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let all: Vec<i64> = claimed.concat().iter().map(|key| key.id).collect();
        assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (40, 40), "{name}");
    });
}

#[test]
fn a_silent_worker_loses_its_trial_which_is_tried_again_so_many_times() {
    databases(|url| loses_its_trial(&*open(url).unwrap()));
}

fn loses_its_trial(storage: &dyn Storage) {
    let study = new_study(storage);
    let retries = 2;
    storage.begin(&study, 0, &Draft { heartbeat_s: Some(0.15), ..draft() }, 9).unwrap().unwrap();
    for number in 0..3 {
        assert!(storage.reap(&study, retries).unwrap().is_empty(), "a fresh trial is not stale");
        std::thread::sleep(Duration::from_millis(350));
        assert_eq!(storage.reap(&study, retries).unwrap(), [number]);
        assert_eq!(storage.claim(&study, 9, 0.15).unwrap().is_some(), number < 2, "two retries");
    }
    let trials = storage.trials(&study, &Seen::default()).unwrap();
    assert!(trials.iter().all(|trial| trial.state == TrialState::Fail && trial.params == draft().params));
    assert_eq!(trials[2].system_attrs["failed_trial"], json!(0));
    assert_eq!(trials[2].system_attrs["retry_history"], json!([0, 1]));
    assert!(!storage.change(&study, &trials[0].key(), &finish(vec![0.0, 0.0])).unwrap(), "a late tell is refused");
}

#[test]
fn a_worker_that_lives_keeps_its_trial() {
    databases(keeps_its_trial);
}

fn keeps_its_trial(url: &str) {
    let space = || Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
    let config = || StudyConfig { heartbeat_s: 0.1, lag: 2, ..StudyConfig::default() };
    let (slow, quick) = [(); 2].map(|()| Study::create_or_open(open(url).unwrap(), space(), config()).unwrap()).into();
    let trial = slow.ask().unwrap();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(quick.ask().unwrap().number(), 1);
    slow.tell(trial.number(), 1.0).unwrap();
    assert!(matches!(slow.tell(0, 1.0), Err(TunerError::NotRunning { number: 0, state: TrialState::Complete })));
}

#[test]
fn the_same_trials_on_every_storage_for_any_number_of_workers() {
    let run = |url: &str, n_jobs: usize| {
        let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
        let study = Study::create_or_open(open(url).unwrap(), space, StudyConfig { lag: 3, ..StudyConfig::default() });
        let study = study.unwrap();
        study
            .optimize(&Optimize { n_trials: 12, n_jobs, ..Optimize::default() }, |t| Ok(t.float("x")?.into()))
            .unwrap();
        study.trials().unwrap().into_iter().map(|t| (t.number, t.params, t.values)).collect::<Vec<_>>()
    };
    let expected = run("memory:", 1);
    assert_eq!(run("memory:", 3), expected);
    databases(|url| {
        assert_eq!(run(url, 3), expected, "{url}");
        assert_eq!(run(url, 3), expected, "a finished study is not continued");
    });
}

#[test]
fn what_a_study_knows_of_its_own_trials_is_what_the_storage_holds() {
    let check = |study: &Study, trial: &Trial| {
        let trials = study.trials().unwrap();
        let read = Trial { completed: None, ..trials[trial.number].clone() };
        // As texts, in which NaN is NaN.
        assert_eq!(format!("{trial:?}"), format!("{read:?}"));
        assert_eq!(study.counts(), Counts::of(&trials));
    };
    each(|_, storage| {
        let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).unwrap();
        let study = Study::create_or_open(storage, space, StudyConfig::default()).unwrap();
        study.enqueue(&BTreeMap::from([("x".to_owned(), 0.5.into())])).unwrap();
        let objective = |trial: &ActiveTrial<'_>| {
            trial.set_user_attr("note", json!([trial.number(), null]))?;
            [0.1 + 0.2, f64::NAN, f64::INFINITY]
                .iter()
                .enumerate()
                .try_for_each(|(i, v)| trial.report(i as i64, *v))?;
            Ok(match trial.number() % 5 {
                0 => Outcome::complete(vec![trial.float("x")?]).with_constraints(vec![-0.5, f64::INFINITY]),
                1 => Outcome::complete(vec![f64::NEG_INFINITY]),
                2 => Outcome::complete(vec![f64::NAN]),
                3 => Outcome::pruned(),
                _ => return Err("it broke".into()),
            })
        };
        study.optimize(&Optimize { n_trials: 6, on_trial: &check, ..Optimize::default() }, objective).unwrap();
    });
}

#[cfg(feature = "sqlite")]
#[test]
fn what_is_no_storage_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:///{}", folder.path().join(name).display());
    let refused = |url: &str, needles: &[&str]| {
        let error = open(url).err().unwrap().to_string();
        assert!(needles.iter().all(|needle| error.contains(needle)), "{error}");
    };
    refused("mysql://host/db", &["`mysql://host/db`", "sqlite:///FILE"]);
    refused("sqlite:///", &["sqlite:///FILE"]);
    refused(&url("no/such/folder.db"), &["no/such/folder.db"]);
    std::fs::write(folder.path().join("text.db"), "this is no database at all".repeat(100)).unwrap();
    refused(&url("text.db"), &["text.db", "not a database"]);
    let change = |name: &str, sql: &str| {
        open(&url(name)).unwrap();
        rusqlite::Connection::open(folder.path().join(name)).unwrap().execute_batch(sql).unwrap();
    };
    change("old.db", "UPDATE alembic_version SET version_num = 'v3.0.0.d'");
    refused(&url("old.db"), &["v3.0.0.d", "v3.2.0.a"]);
    change("new.db", "UPDATE version_info SET schema_version = 13");
    refused(&url("new.db"), &["13", "12"]);
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_that_cannot_be_used_is_named_and_its_password_is_not() {
    let Some(cluster) = cluster::Cluster::shared() else { return };
    let refused = |url: &str, needles: &[&str]| {
        let error = format!("{:#?} {}", open(url).err().unwrap(), open(url).err().unwrap());
        assert!(needles.iter().all(|needle| error.contains(needle)), "{error}");
        assert!(!error.contains("secret") && !error.contains("top"), "{error}");
    };
    let good = cluster.database();
    refused(&good.replace("secret", "other"), &["password authentication failed", "postgresql://qgd@127.0.0.1"]);
    refused(&cluster.url("nowhere"), &["\"nowhere\" does not exist"]);
    refused("postgresql://qgd:topsecret@127.0.0.1:1/db", &["127.0.0.1:1/db", "refused"]);
    refused("postgresql://qgd:topsecret@no.such.host.invalid/db", &["no.such.host.invalid"]);
    refused("postgresql://qgd:top?secret@127.0.0.1/db", &["postgresql://qgd@127.0.0.1/db"]);
    refused("postgresql://qgd:topsecret@127.0.0.1:port/db", &["postgresql://qgd@127.0.0.1:port/db", "%XX"]);
    refused("postgresql://127.0.0.1/db?user=qgd&password=topsecret&x=1", &["postgresql://127.0.0.1/db"]);
    refused("mysql://qgd:topsecret@127.0.0.1/db", &["mysql://qgd@127.0.0.1/db"]);
    assert!(matches!(open_existing(&good), Err(StorageError::Empty { .. })), "one that is only looked at is not made");
    open(&good).unwrap();
    assert!(open_existing(&good).is_ok());
    cluster.execute(good.rsplit('/').next().unwrap(), "UPDATE alembic_version SET version_num = 'v3.0.0.d'");
    refused(&good, &["v3.0.0.d", "v3.2.0.a"]);
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_that_is_restarted_is_waited_for_and_nothing_is_done_twice() {
    let Some(cluster) = cluster::Cluster::start() else { return };
    let storage = open(&cluster.database()).unwrap();
    let study = new_study(&*storage);
    let id = storage.begin(&study, 0, &draft(), 9).unwrap().unwrap();
    for mode in ["fast", "immediate"] {
        cluster.restart(mode);
        storage.enqueue(&study, &draft()).unwrap();
    }
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            let mut n = 3;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                storage.enqueue(&study, &draft()).unwrap();
                n += 1;
            }
            n
        });
        ["immediate", "fast", "immediate"].iter().for_each(|mode| cluster.restart(mode));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let expected = busy.join().unwrap();
        let trials = storage.trials(&study, &Seen::default()).unwrap();
        assert_eq!(trials.len(), expected);
        assert!(trials.iter().enumerate().all(|(i, trial)| trial.number == i));
    });
    assert!(storage.reap(&study, 1).unwrap().is_empty());
    assert!(storage.change(&study, &id, &finish(vec![0.0, 0.0])).unwrap());
}
