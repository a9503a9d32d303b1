//! `--resume` and `--trace` in company: locks, data that changed, traces that were left out, pipes.

use crate::killed::start_and_kill;
use crate::sandbox::{Sandbox, shipped};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

fn digits() -> String {
    shipped("examples/tasks/digits.toml")
}

/// A running `qgd` that is killed at the end of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a run that takes long, and waits until `file` is there.
fn start(sandbox: &Sandbox, args: &[&str], file: &str) -> Running {
    let mut command = sandbox.command(args);
    let running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let begun = Instant::now();
    while fs::metadata(sandbox.path(file)).map_or(true, |there| there.len() == 0) {
        assert!(begun.elapsed() < Duration::from_secs(120), "no {file} after two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
    running
}

#[test]
fn a_folder_in_use_is_refused_with_the_process_and_free_after_kill_9() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    let args = |steps| ["train", &digits, "--steps", steps, "--checkpoint-every", "50", "--resume", "run"];
    let long = args("10000000");
    let mut first = start(&sandbox, &long, "run/checkpoint.qgd");
    let who = format!("--resume run is in use by process {} on ", first.0.id());
    sandbox.refuses(&long, &[&who]);
    sandbox.refuses(&args("3"), &[&who]);
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    assert!(sandbox.path("run/lock").exists(), "what kill -9 leaves");
    sandbox.refuses(&args("3"), &["belongs to another run", "there train.steps is 10000000, here it is 3;"]);
    let other = ["train", &digits, "--steps", "3", "--resume", "other"];
    assert_eq!(sandbox.qgd(&other).code, 0);
    assert_eq!(fs::read_dir(sandbox.path("other")).unwrap().count(), 1, "the lock is removed in the end");
}

#[test]
fn a_trace_in_use_is_refused_and_stays_as_it_is() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    let train = ["train", &digits, "--controller", "lr", "--steps", "10000000", "--trace", "t.jsonl"];
    let first = start(&sandbox, &train, "t.jsonl");
    let output = sandbox.qgd(&["train", &digits, "--steps", "2", "--trace", "t.jsonl"]);
    assert_eq!(output.code, 2);
    let who =
        if cfg!(target_os = "linux") { format!("process {}", first.0.id()) } else { "another process".to_owned() };
    assert!(output.stderr.contains(&format!("the trace t.jsonl is in use by {who}")), "{}", output.stderr);
    assert!(fs::metadata(sandbox.path("t.jsonl")).unwrap().len() > 0, "the first one's trace was cut off");
}

#[test]
fn two_meta_trainings_do_not_write_one_output() {
    let sandbox = Sandbox::new();
    let recipe = shipped("controllers/lr-single.toml");
    let args = ["meta-train", &recipe, "-o", "out.qgd", "--threads", "1"];
    let first = start(&sandbox, &args, "out.qgd.lock");
    sandbox.refuses(&args, &[&format!("--output out.qgd is in use by process {} on ", first.0.id())]);
}

#[test]
fn data_that_changed_are_other_data() {
    let sandbox = Sandbox::new();
    let rows = |labels: [&str; 2]| (0..40).map(|i| format!("{i},{}\n", labels[i % 2])).collect::<String>();
    sandbox.write("table.csv", rows(["a", "b"]));
    sandbox.write(
        "task.toml",
        "[data]\nformat = \"csv\"\npath = \"table.csv\"\ntarget = 1\n[net]\nkind = \"mlp\"\n[train]\nbatch_size = 4\nsteps = 20\n",
    );
    let train = ["train", "task.toml", "--resume", "run"];
    assert_eq!(sandbox.qgd(&train).code, 0);
    sandbox.write("table.csv", rows(["b", "a"]));
    sandbox.refuses(&train, &["run/checkpoint.qgd belongs to another run", "content of the data"]);
    // Bytes decide, not times: the file that is as it was goes on.
    sandbox.write("table.csv", rows(["a", "b"]));
    assert_eq!(sandbox.qgd(&train).code, 0);
}

/// The steps of the decisions in a trace.
fn steps(trace: &str) -> Vec<u64> {
    let step = |line: &str| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap();
    trace.lines().map(step).collect()
}

#[test]
fn a_trace_left_out_once_keeps_what_it_had_and_says_what_is_missing() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    let train =
        ["train", &digits, "--schedule", "greedy", "--steps", "8000", "--checkpoint-every", "50", "--resume", "run"];
    let traced = [&train[..], &["--trace", "t.jsonl"]].concat();
    start_and_kill(&sandbox, &traced, "run/checkpoint.qgd", 2);
    let first = sandbox.read("t.jsonl");
    start_and_kill(&sandbox, &train, "run/checkpoint.qgd", 2);
    assert_eq!(sandbox.read("t.jsonl"), first);
    let output = sandbox.qgd(&traced);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stderr.contains("the trace t.jsonl has no decisions of the steps "), "{}", output.stderr);
    let (all, before) = (steps(&sandbox.read("t.jsonl")), steps(&first));
    assert!(all.is_sorted_by(|a, b| a < b) && all.len() > 50 && all[..50] == before[..50], "{all:?}");
    assert!(all.windows(2).any(|pair| pair[1] > pair[0] + 49), "nothing is missing: the second run had no steps");
    assert_eq!(all.last(), Some(&7999));
}

#[test]
fn a_trace_of_another_run_is_not_cut_and_gone_on_with() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    let train = |steps, flags: &[&'static str]| {
        let args = ["train", &digits, "--schedule", "greedy", "--steps", steps];
        [&args[..], flags].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |args: Vec<String>| sandbox.qgd(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(run(train("4", &["--resume", "run", "--trace", "t"])).code, 0);
    assert_eq!(run(train("4", &["--resume", "bare"])).code, 0);
    assert_eq!(run(train("9", &["--seed", "7", "--trace", "other"])).code, 0);
    let other = sandbox.read("other");
    for (folder, needle) in
        [("run", "does not begin with what this run has written"), ("bare", "none of them are of this run")]
    {
        let args = ["train", &digits, "--schedule", "greedy", "--steps", "4", "--resume", folder, "--trace", "other"];
        sandbox.refuses(&args, &["the trace other", needle]);
        assert_eq!(sandbox.read("other"), other);
    }
}

#[test]
fn a_trace_into_a_pipe_streams_and_a_reader_that_goes_away_stops_nothing() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    assert!(std::process::Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap().success());
    let args = ["train", &digits, "--controller", "lr", "--steps", "3000", "--trace", "pipe", "--json", "o"];
    let mut child = Running(sandbox.command(&args).spawn().unwrap());
    let mut reader = BufReader::new(fs::File::open(sandbox.path("pipe")).unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(child.0.try_wait().unwrap().is_none() && !sandbox.path("o").exists(), "it waited until the end");
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["step"], 0);
    drop(reader);
    let stderr = std::io::read_to_string(child.0.stderr.take().unwrap()).unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(0), "{stderr}");
    assert_eq!(stderr.matches("cannot write the trace pipe").count(), 1, "{stderr}");
    assert!(stderr.contains("the run goes on without it"), "{stderr}");
    assert_eq!(sandbox.json("o")["steps"], 3000);
}

#[test]
fn a_checkpoint_whose_batches_are_of_other_data_is_refused() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    let train = ["train", &digits, "--steps", "20", "--checkpoint-every", "7", "--resume", "run"];
    assert_eq!(sandbox.qgd(&train).code, 0);
    let whole = fs::read(sandbox.path("run/checkpoint.qgd")).unwrap();
    // 1437 examples in batches of 64.
    let numbers = [1437u64.to_le_bytes(), 64u64.to_le_bytes()].concat();
    let places: Vec<usize> = (20..whole.len() - 16).filter(|&at| whole[at..at + 16] == numbers).collect();
    assert_eq!(places.len(), 1);
    for (offset, odd) in [(0, 99_999u64), (0, 0), (8, 1 << 40), (8, 0)] {
        let mut bytes = whole.clone();
        bytes[places[0] + offset..][..8].copy_from_slice(&odd.to_le_bytes());
        let checksum = crc32fast::hash(&[&bytes[..16], &bytes[20..]].concat());
        bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
        fs::write(sandbox.path("run/checkpoint.qgd"), bytes).unwrap();
        sandbox.refuses(&train, &["run/checkpoint.qgd does not fit this run", "its batches"]);
    }
    fs::write(sandbox.path("run/checkpoint.qgd"), whole).unwrap();
    let output = sandbox.qgd(&train);
    assert!(output.code == 0 && output.stderr.contains("going on at step 20 of 20"), "{}", output.stderr);
}
