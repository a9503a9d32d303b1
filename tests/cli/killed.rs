//! `kill -9` during `qgd train`, then the same command again: the result is as if nothing had happened.

use crate::sandbox::{Sandbox, shipped};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Pictures in CIFAR's format, for a net with buffers (batch norm) and random masks (dropout).
fn picture_task(sandbox: &Sandbox) {
    let mut word = 1u32;
    let record = |label: u8| {
        let pixels = (0..3072).map(|_| {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (word >> 24) as u8
        });
        std::iter::once(label).chain(pixels).collect::<Vec<u8>>()
    };
    sandbox.write("pictures.bin", (0..40).map(|i| i % 10).flat_map(record).collect::<Vec<u8>>());
    sandbox.write(
        "pictures.toml",
        "[data]\nformat = \"cifar\"\npath = \".\"\nfiles = [\"pictures.bin\"]\n\
         [net]\nkind = \"cnn\"\nchannels = [4]\nbatch_norm = true\nhidden = [8]\ndropout = 0.2\n\
         [train]\noptimizer = \"momentum\"\nlr = 3.0\nbatch_size = 8\nsteps = 400\n",
    );
}

/// Starts the command and kills it (SIGKILL) once its checkpoint has been replaced `n_checkpoints` times.
pub fn start_and_kill(sandbox: &Sandbox, args: &[&str], checkpoint: &str, n_checkpoints: usize) {
    let mut child = sandbox.command(args).spawn().unwrap();
    let modified = || std::fs::metadata(sandbox.path(checkpoint)).and_then(|metadata| metadata.modified()).ok();
    let (mut seen, mut last, start) = (0, modified(), Instant::now());
    while seen < n_checkpoints && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(120), "no checkpoint after two minutes");
        let now = modified();
        seen += usize::from(now != last);
        last = now;
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "the run was over before it could be killed: make it longer");
}

/// Runs once without interruption and once killed twice, and compares everything that is left behind.
fn a_killed_run_equals_an_uninterrupted_one(sandbox: &Sandbox, train: &[&str]) {
    let args = |name: &'static str| {
        let files = match name {
            "whole" => ["--resume", "whole", "--trace", "whole.jsonl", "--json", "whole.json"],
            _ => ["--resume", "killed", "--trace", "killed.jsonl", "--json", "killed.json"],
        };
        [train, &files].concat()
    };
    let output = sandbox.qgd(&args("whole"));
    assert_eq!(output.code, 0, "{}", output.stderr);
    for n_checkpoints in [1, 2] {
        start_and_kill(sandbox, &args("killed"), "killed/checkpoint.qgd", n_checkpoints);
        assert!(!sandbox.path("killed.json").exists());
        let (partial, whole) = (sandbox.read("killed.jsonl").len(), sandbox.read("whole.jsonl").len());
        assert!(partial < whole, "{partial} of {whole} bytes: the run was not interrupted");
    }
    let output = sandbox.qgd(&args("killed"));
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(sandbox.read("killed.jsonl") == sandbox.read("whole.jsonl"), "the traces differ");
    let [whole, killed] = ["whole.json", "killed.json"].map(|name| without_wall_time(sandbox, name));
    assert_eq!(whole, killed);
}

fn without_wall_time(sandbox: &Sandbox, name: &str) -> Value {
    let mut json = sandbox.json(name);
    assert!(json.as_object_mut().unwrap().remove("wall_s").is_some_and(|wall_s| wall_s.as_f64().unwrap() > 0.0));
    json
}

#[test]
fn with_a_controller_and_adam() {
    let (sandbox, digits) = (Sandbox::new(), shipped("examples/tasks/digits.toml"));
    let train = ["train", &digits, "--controller", "lr", "--lr", "1", "--steps", "3000", "--checkpoint-every", "25"];
    a_killed_run_equals_an_uninterrupted_one(&sandbox, &train);
}

#[test]
fn with_conditioning_and_its_filter() {
    let (sandbox, digits) = (Sandbox::new(), shipped("examples/tasks/digits.toml"));
    let train = ["train", &digits, "--controller", "lr", "--steps", "1500", "--checkpoint-every", "25"];
    let turned = ["--optimizer", "sgd", "--conditioning", "orthogonal:degree=0.5,every=2"];
    a_killed_run_equals_an_uninterrupted_one(&sandbox, &[&train[..], &turned].concat());
}

#[test]
fn with_rollbacks_momentum_batch_norm_and_dropout() {
    let sandbox = Sandbox::new();
    picture_task(&sandbox);
    let train = ["train", "pictures.toml", "--controller", "lr", "--checkpoint-every", "10"];
    a_killed_run_equals_an_uninterrupted_one(&sandbox, &train);
    assert!(sandbox.json("whole.json")["rollbacks"].as_u64().unwrap() > 0, "nothing was rolled back: raise the lr");
}

#[test]
fn with_a_schedule_that_remembers_losses() {
    let (sandbox, digits) = (Sandbox::new(), shipped("examples/tasks/digits.toml"));
    let train = ["train", &digits, "--schedule", "greedy", "--steps", "3000", "--checkpoint-every", "25"];
    a_killed_run_equals_an_uninterrupted_one(&sandbox, &train);
}

#[test]
fn a_finished_run_that_is_started_again_says_the_same_again() {
    let (sandbox, digits) = (Sandbox::new(), shipped("examples/tasks/digits.toml"));
    let train = ["train", &digits, "--steps", "30", "--resume", "run", "--trace", "t.jsonl", "--json", "out.json"];
    assert_eq!(sandbox.qgd(&train).code, 0);
    let (trace, json) = (sandbox.read("t.jsonl"), without_wall_time(&sandbox, "out.json"));
    assert_eq!(sandbox.qgd(&train).code, 0);
    assert_eq!((sandbox.read("t.jsonl"), without_wall_time(&sandbox, "out.json")), (trace, json));
}
