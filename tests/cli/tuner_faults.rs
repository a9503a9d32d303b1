//! Workers that are killed with -9: no trial is lost, none is run twice at a time.

use crate::tuning::{sandbox, trials};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

#[test]
fn every_trial_ends_once_whoever_is_killed() {
    let sandbox = sandbox();
    // Each run notes when it begins and when it ends.
    let script = "echo begin $QGD_TRIAL >> runs; sleep 0.1; echo end $QGD_TRIAL >> runs; echo '{{\"value\": 1}}'";
    let tune = ["tune", "space.toml", "--trials", "40", "--lag", "4", "--heartbeat", "0.5", "--", "sh", "-c", script];
    let start = || sandbox.command(&tune).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut workers: Vec<Child> = (0..4).map(|_| start()).collect();
    let mut n_killed = 0;
    for round in 0..8 {
        std::thread::sleep(Duration::from_millis(300));
        let worker = &mut workers[round * 3 % 4];
        if worker.try_wait().unwrap().is_none() {
            worker.kill().unwrap();
            n_killed += 1;
        }
        worker.wait().unwrap();
        *worker = start();
    }
    assert!(workers.iter_mut().all(|worker| worker.wait().unwrap().success()));
    assert!(n_killed >= 2, "{n_killed} workers were killed: make it longer");
    let trials = trials(&sandbox, "space", "sqlite:///qgd.db");
    let n_in = |state: &str| trials.iter().filter(|trial| trial["state"] == state).count();
    assert_eq!((n_in("COMPLETE"), n_in("COMPLETE") + n_in("FAIL")), (40, trials.len()));
    assert!(trials.iter().enumerate().all(|(i, trial)| trial["trial"] == i), "numbers are contiguous");
    let runs = sandbox.read("runs");
    for trial in &trials {
        let count = |what: &str| runs.lines().filter(|line| *line == format!("{what} {}", trial["trial"])).count();
        assert!(count("begin") <= 1 && count("end") <= 1, "trial {} was run twice", trial["trial"]);
        assert!(trial["state"] == "FAIL" || count("end") == 1);
    }
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
