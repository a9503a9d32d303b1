//! Ctrl-C, and what else asks a program to end: it says what is kept and how to go on, and leaves nothing else behind.

use crate::sandbox::Sandbox;
use std::process::Command;
use std::time::{Duration, Instant};

/// Starts a command, sends it a signal as soon as `file` has something in it, and answers its exit code and what it said.
/// SIGINT is no such signal: what a script starts in the background ignores it, and so do the tests there.
pub fn interrupted(sandbox: &Sandbox, args: &[&str], file: &str, signal: &str) -> (i32, String) {
    let mut child = sandbox.command(args).spawn().unwrap();
    let begun = Instant::now();
    while std::fs::metadata(sandbox.path(file)).map_or(true, |there| there.len() == 0) {
        assert!(
            child.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(120),
            "{args:?}: no {file}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

#[cfg(not(feature = "torch"))]
#[test]
fn a_meta_training_names_its_checkpoint_and_leaves_no_lock() {
    let sandbox = Sandbox::new();
    let args = ["meta-train", "lr-single", "-o", "out.qgd", "--threads", "2"];
    let (code, said) = interrupted(&sandbox, &args, "out.qgd.lock", "-TERM");
    assert!(code == 143 && said.contains("interrupted by SIGTERM: nothing is kept"), "{code}: {said}");
    assert!(sandbox.listing().is_empty(), "{:?}", sandbox.listing());
    sandbox.write("out.qgd.checkpoint", "of an earlier run");
    let (code, said) = interrupted(&sandbox, &args, "out.qgd.lock", "-TERM");
    assert!(code == 143 && said.contains("interrupted by SIGTERM: out.qgd.checkpoint is as it was"), "{code}: {said}");
    assert_eq!(sandbox.listing(), ["out.qgd.checkpoint"]);
}

#[cfg(feature = "torch")]
#[test]
fn a_training_names_the_step_that_is_kept_and_goes_on_from_there() {
    let sandbox = Sandbox::new();
    let train = ["train", "digits", "--schedule", "greedy", "--steps", "8000", "--checkpoint-every", "50"];
    let resumed = [&train[..], &["--resume", "run"]].concat();
    let (code, said) = interrupted(&sandbox, &resumed, "run/checkpoint.qgd", "-TERM");
    assert_eq!(code, 143, "{said}");
    let kept = said.split("run has ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    assert!(kept.is_some_and(|steps| steps > 0 && steps.is_multiple_of(50)), "{said}");
    assert!(said.contains(" of 8000 steps; the same line goes on"), "{said}");
    assert_eq!(std::fs::read_dir(sandbox.path("run")).unwrap().count(), 1, "the lock is removed");
    let output = sandbox.qgd(&resumed);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let going_on = format!("going on at step {} of 8000, from run/checkpoint.qgd", kept.unwrap());
    assert!(output.stderr.contains(&going_on), "{}", output.stderr);

    let alone = [&train[..], &["--trace", "t.jsonl"]].concat();
    let (code, said) = interrupted(&sandbox, &alone, "t.jsonl", "-TERM");
    assert!(code == 143 && said.contains("nothing is kept; with --resume DIR"), "{code}: {said}");
}

#[cfg(feature = "torch")]
#[test]
fn a_comparison_keeps_nothing_and_an_evaluation_every_run() {
    let sandbox = Sandbox::new();
    let evaluate = ["evaluate", "lr", "--quick", "--jobs", "1"];
    let (code, said) = interrupted(&sandbox, &evaluate, "runs/evaluate/cells.jsonl", "-TERM");
    assert_eq!(code, 143, "{said}");
    // Beside the runs stand the losses of nets before their training.
    let is_run = |line: &&str| !line.contains("\"method\":\"untrained\"");
    let runs = sandbox.read("runs/evaluate/cells.jsonl").lines().filter(is_run).count();
    let kept = |n| said.contains(&format!("{n} of 144 runs are in runs/evaluate/cells.jsonl; the same line goes on"));
    assert!(kept(runs) || kept(runs.saturating_sub(1)), "{runs} runs: {said}");

    // A name without a content: what is printed is what is waited for.
    let compare =
        "compare digits --steps 1000 --seeds 1 --starts 0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8 --methods constant,lr --jobs 1";
    let script = format!("exec \"$0\" {compare} 2>said");
    let mut command = Command::new("sh");
    let qgd = sandbox.command(&[]);
    command.args(["-c", &script]).arg(qgd.get_program()).current_dir(sandbox.path("."));
    let child = command.spawn().unwrap();
    let begun = Instant::now();
    while !sandbox.path("said").exists() || !sandbox.read("said").contains("/16 runs") {
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing is said");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let (code, said) = (child.wait_with_output().unwrap().status.code(), sandbox.read("said"));
    assert!(code == Some(143) && said.contains("nothing is kept of "), "{code:?}: {said}");
    assert!(said.contains(" of 16 runs: results are written in the end"), "{said}");
}
