//! Workers that are killed with -9: no trial is lost, none is run twice at a time.

use crate::cluster::Cluster;
use crate::sandbox::Sandbox;
use crate::studies::{sandbox, trials};
use rand::RngExt;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How much is to go wrong. QGD_FAULTS=full makes it a matter of minutes.
struct Plan {
    n_trials: usize,
    trial_s: f64,
    /// One of four workers is killed at the end of each.
    round: Duration,
    n_rounds: usize,
}

impl Plan {
    fn of_environment() -> Self {
        if std::env::var("QGD_FAULTS").is_ok_and(|faults| faults == "full") {
            Self { n_trials: 400, trial_s: 0.4, round: Duration::from_secs(1), n_rounds: 45 }
        } else {
            Self { n_trials: 40, trial_s: 0.1, round: Duration::from_millis(300), n_rounds: 6 }
        }
    }
}

#[test]
fn every_trial_ends_once_whoever_is_killed() {
    survives("sqlite:///qgd.db", &|_| {});
}

#[test]
fn every_trial_ends_once_whoever_is_killed_and_whenever_the_server_is_restarted() {
    let Some(cluster) = Cluster::start() else { return };
    let restart_after = [Plan::of_environment().n_rounds / 3, Plan::of_environment().n_rounds * 2 / 3];
    survives(&cluster.database(), &|round| {
        if let Some(i) = restart_after.iter().position(|after| *after == round) {
            cluster.restart(["fast", "immediate"][i]);
        }
    });
}

/// Kills a worker at the end of each round; the rest is for `also` to do.
fn survives(storage: &str, also: &dyn Fn(usize)) {
    let (sandbox, plan) = (sandbox(), Plan::of_environment());
    // Each run notes when it begins and when it ends, and that no other has the same parameters at the same time.
    let script = format!(
        "exec 9>at-$QGD_PARAM_X; flock -n 9 || echo twice $QGD_TRIAL >> runs; \
         echo begin $QGD_TRIAL >> runs; sleep {}; echo end $QGD_TRIAL >> runs; echo '{{{{\"value\": 1}}}}'",
        plan.trial_s
    );
    let n_trials = plan.n_trials.to_string();
    let flags = ["tune", "space.toml", "--storage", storage, "--trials", &n_trials, "--lag", "16", "--heartbeat", "1"];
    let tune = [&flags[..], &["--", "sh", "-c", &script]].concat();
    let start = || {
        let stderr = File::options().create(true).append(true).open(sandbox.path("stderr")).unwrap();
        sandbox.command(&tune).stdout(Stdio::null()).stderr(stderr).spawn().unwrap()
    };
    let began = Instant::now();
    let mut workers: Vec<Child> = (0..4).map(|_| start()).collect();
    let mut n_killed = 0;
    for round in 0..plan.n_rounds {
        std::thread::sleep(plan.round);
        let worker = &mut workers[rand::rng().random_range(0..4)];
        if worker.try_wait().unwrap().is_none() {
            worker.kill().unwrap();
            n_killed += 1;
        }
        worker.wait().unwrap();
        also(round);
        *worker = start();
    }
    assert!(workers.iter_mut().all(|worker| worker.wait().unwrap().success()), "{}", sandbox.read("stderr"));
    assert!(n_killed >= 2, "{n_killed} workers were killed: make it longer");
    let n_failed = every_trial_ended_once(&sandbox, storage, plan.n_trials);
    eprintln!(
        "{} trials, {n_killed} workers killed, {n_failed} trials failed and tried again, {:.0} s",
        plan.n_trials,
        began.elapsed().as_secs_f64()
    );
}

/// Answers how many trials failed.
fn every_trial_ended_once(sandbox: &Sandbox, storage: &str, n_complete: usize) -> usize {
    let trials = trials(sandbox, "space", storage);
    let n_in = |state: &str| trials.iter().filter(|trial| trial["state"] == state).count();
    assert_eq!((n_in("COMPLETE"), n_in("COMPLETE") + n_in("FAIL")), (n_complete, trials.len()));
    assert!(trials.iter().enumerate().all(|(i, trial)| trial["trial"] == i), "numbers are contiguous");
    let runs = sandbox.read("runs");
    assert!(!runs.contains("twice"), "the same parameters were run twice at a time");
    for trial in &trials {
        let count = |what: &str| runs.lines().filter(|line| *line == format!("{what} {}", trial["trial"])).count();
        assert!(count("begin") <= 1 && count("end") <= 1, "trial {} was run twice", trial["trial"]);
        assert!(trial["state"] == "FAIL" || count("end") == 1);
    }
    n_in("FAIL")
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_dies_with_its_worker() {
    let sandbox = sandbox();
    let script = "echo $$ > pid; exec sleep 60";
    let mut worker = sandbox.command(&["tune", "space.toml", "--", "sh", "-c", script]).spawn().unwrap();
    let begun = Instant::now();
    let patience = || assert!(begun.elapsed() < Duration::from_secs(30), "nothing has happened");
    let written = || std::fs::read_to_string(sandbox.path("pid")).ok().filter(|text| text.ends_with('\n'));
    let pid = loop {
        patience();
        if let Some(text) = written() {
            break text.trim().to_owned();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    worker.kill().unwrap();
    worker.wait().unwrap();
    // A process that is dead but not yet buried by init is dead.
    let lives = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while lives() {
        patience();
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_worker_that_was_stopped_for_a_while_keeps_its_trials() {
    let sandbox = sandbox();
    // Its programs end while it stands still. Then the first thread to wake up asks for the next trial, and would give
    // up whoever has been silent.
    let script = "echo x >> begun; sleep 1; echo '{{\"value\": 1}}'";
    let flags = ["--trials", "4", "--workers", "2", "--lag", "4", "--heartbeat", "0.5"];
    let worker = [&["tune", "space.toml"], &flags[..], &["--", "sh", "-c", script]].concat();
    let mut workers: Vec<Child> = (0..2).map(|_| sandbox.command(&worker).spawn().unwrap()).collect();
    let begun = || std::fs::read_to_string(sandbox.path("begun")).map_or(0, |text| text.lines().count());
    let start = Instant::now();
    while begun() < 4 {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing has happened");
        std::thread::sleep(Duration::from_millis(5));
    }
    let signal = |name: &str| {
        for worker in &workers {
            assert!(Command::new("kill").args([name, &worker.id().to_string()]).status().unwrap().success());
        }
    };
    signal("-STOP");
    std::thread::sleep(Duration::from_millis(2500));
    signal("-CONT");
    assert!(workers.iter_mut().all(|worker| worker.wait().unwrap().success()));
    let states: Vec<_> =
        trials(&sandbox, "space", "sqlite:///qgd.db").iter().map(|trial| trial["state"].clone()).collect();
    assert_eq!(states, ["COMPLETE"; 4]);
}

#[test]
fn a_study_at_which_a_worker_is_is_deleted_by_force_only_and_its_worker_ends() {
    let sandbox = sandbox();
    let script = "echo x > begun; sleep 2; echo '{{\"value\": 1}}'";
    let worker = sandbox.command(&["tune", "space.toml", "--trials", "3", "--", "sh", "-c", script]).spawn().unwrap();
    let start = Instant::now();
    while !sandbox.path("begun").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing has happened");
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = sandbox.qgd(&["study", "delete", "space"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("1 running trial of workers that are alive") && refused.stderr.contains("--force"));
    assert_eq!(sandbox.qgd(&["study", "delete", "space", "--force"]).code, 0);
    let output = worker.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the study space is gone"), "{said}");
    assert_eq!(sandbox.qgd(&["study", "list"]).stdout.lines().count(), 2, "a head and nothing below");
}
