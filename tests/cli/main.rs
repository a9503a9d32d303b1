//! What the command line promises: exit codes, messages that name what is wrong, nothing written on bad input, results
//! that programs can read, and runs that go on after a kill.

#![allow(clippy::unwrap_used, reason = "a test that finds nothing where it looks has failed")]

mod sandbox;
mod studies;

mod bad_controllers;
mod events;
mod interrupted;
mod listing;
mod meta_training;
mod tensorboard;
mod watching;

// What trains.
#[cfg(feature = "torch")]
mod bad_input;
#[cfg(feature = "torch")]
mod book;
#[cfg(feature = "torch")]
mod comparing;
#[cfg(feature = "torch")]
mod conditioning;
#[cfg(feature = "torch")]
mod evaluating;
#[cfg(feature = "torch")]
mod first_steps;
#[cfg(feature = "torch")]
mod init;
#[cfg(feature = "torch")]
mod killed;
#[cfg(feature = "torch")]
mod numbers;
#[cfg(feature = "torch")]
mod outputs;
#[cfg(feature = "torch")]
mod predicting;
#[cfg(feature = "torch")]
mod published;
#[cfg(feature = "torch")]
mod reproducing;
#[cfg(feature = "torch")]
mod resuming;
#[cfg(feature = "torch")]
mod tables;
#[cfg(feature = "torch")]
mod terminals;
#[cfg(feature = "torch")]
mod training;
#[cfg(feature = "torch")]
mod tuning_nets;

// What has nothing to do with libtorch, and is tested without it: to load libtorch takes half a second of every start.
#[cfg(not(feature = "torch"))]
mod cluster;
#[cfg(not(feature = "torch"))]
mod exporting;
#[cfg(not(feature = "torch"))]
mod machines;
#[cfg(not(feature = "torch"))]
mod merging;
#[cfg(not(feature = "torch"))]
mod optuna;
#[cfg(not(feature = "torch"))]
mod programs;
#[cfg(not(feature = "torch"))]
mod reporting;
#[cfg(not(feature = "torch"))]
mod tuner_bad_input;
#[cfg(not(feature = "torch"))]
mod tuner_faults;
#[cfg(not(feature = "torch"))]
mod tuner_limits;
#[cfg(not(feature = "torch"))]
mod tuner_messages;
#[cfg(not(feature = "torch"))]
mod tuner_postgres;
#[cfg(not(feature = "torch"))]
mod tuner_values;
#[cfg(not(feature = "torch"))]
mod tuning;

use sandbox::Sandbox;

#[cfg(not(feature = "torch"))]
#[test]
fn help_teaches_and_is_no_error() {
    let sandbox = Sandbox::new();
    for command in [
        &["--help"][..],
        &["inspect", "--help"],
        &["export", "--help"],
        &["report", "--help"],
        &["merge", "--help"],
        &["meta-train", "--help"],
        &["train", "--help"],
        &["predict", "--help"],
        &["evaluate", "--help"],
        &["tune", "--help"],
        &["worker", "--help"],
        &["study", "--help"],
        &["ask-tell", "--help"],
    ] {
        let output = sandbox.qgd(command);
        assert_eq!(output.code, 0, "{command:?}: {}", output.stderr);
        assert!(output.stdout.contains("Usage: qgd"), "{}", output.stdout);
    }
    assert!(sandbox.qgd(&["train", "--help"]).stdout.len() > 100);
}

#[test]
fn a_command_that_does_not_exist_is_bad_usage() {
    let sandbox = Sandbox::new();
    let output = sandbox.qgd(&["tarin"]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("tarin") && output.stderr.contains("train"), "{}", output.stderr);
}

#[cfg(not(feature = "torch"))]
#[test]
fn without_libtorch_training_says_how_to_get_it() {
    let output = Sandbox::new().qgd(&["train", "task.toml", "--lr", "0.1"]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("make libtorch"), "{}", output.stderr);
}
