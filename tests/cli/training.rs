//! What a finished `qgd train` tells people and programs.

use crate::sandbox::{Sandbox, shipped};
use qgd::controller::ScaleFree;
use serde_json::Value;

fn digits() -> String {
    shipped("examples/tasks/digits.toml")
}

#[test]
fn json_holds_everything_that_was_promised() {
    let sandbox = Sandbox::new();
    let output =
        sandbox.qgd(&["train", &digits(), "--controller", "lr", "--lr", "1e-4", "--seed", "3", "--json", "out.json"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let json = sandbox.json("out.json");
    for field in ["train_loss", "validation_loss", "test_loss", "test_accuracy", "wall_s", "weight_decay_last"] {
        assert!(json[field].is_number(), "{field}: {json}");
    }
    assert_eq!(json["test_rmse"], Value::Null);
    assert_eq!(json["task"], "digits");
    assert_eq!(json["controller"], "lr");
    assert_eq!(json["seed"], 3);
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&json["steps"], &json["gradient_evaluations"]), (&Value::from(400), &Value::from(400)));
    assert_eq!(json["lr_first"], 1e-4);
    assert_eq!(json["diverged"], false);
    let decisions = &json["decisions"];
    let total = ["halve", "accept", "grow"].map(|name| decisions[name].as_u64().unwrap()).iter().sum::<u64>();
    assert!(total >= 64, "a decision at each of the first 64 steps: {decisions}");
    assert!(json["rollbacks"].is_u64());
    // From a start as low as this only a controller that works gets far.
    assert!(json["train_loss"].as_f64().unwrap() < 0.2, "{json}");
    assert!(decisions["grow"].as_u64() > decisions["halve"].as_u64(), "{json}");
    assert!(json["lr_last"].as_f64().unwrap() < 1e-3, "cooled down at the end of the budget: {json}");
}

#[test]
fn a_run_that_diverged_has_null_where_a_number_is_missing() {
    let sandbox = Sandbox::new();
    let output =
        sandbox.qgd(&["train", &digits(), "--optimizer", "sgd", "--lr", "1e30", "--steps", "20", "--json", "o"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stdout.contains("diverged"), "{}", output.stdout);
    let json = sandbox.json("o");
    assert_eq!((&json["train_loss"], &json["diverged"]), (&Value::Null, &Value::Bool(true)));
}

#[test]
fn in_regression_there_is_no_accuracy() {
    let sandbox = Sandbox::new();
    let rows: String = (0..40).map(|i| format!("{i},{}\n", 3 * i)).collect();
    sandbox.write("line.csv", rows);
    sandbox.write(
        "line.toml",
        "[data]\nformat = \"csv\"\npath = \"line.csv\"\ntarget = 1\nkind = \"regression\"\n\
         [net]\nkind = \"mlp\"\n[train]\nlr = 0.1\nbatch_size = 0\nsteps = 200\n",
    );
    let output = sandbox.qgd(&["train", "line.toml", "--json", "out.json"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let json = sandbox.json("out.json");
    assert_eq!(json["test_accuracy"], Value::Null);
    assert!(json["train_loss"].as_f64().unwrap() < 0.01, "{json}");
    // The targets are 0, 3, ..., 117; their deviation is about 35, whichever are in the training split.
    let unit = json["test_rmse"].as_f64().unwrap() / json["test_loss"].as_f64().unwrap().sqrt();
    assert!((30.0..40.0).contains(&unit), "{json}");
    assert!(
        output.stdout.contains("test RMSE") && output.stdout.contains("in units of the target"),
        "{}",
        output.stdout
    );
}

#[test]
fn in_a_pipe_progress_is_plain_lines_on_stderr() {
    let output = Sandbox::new().qgd(&["train", &digits(), "--steps", "50", "--controller", "lr"]);
    assert!(output.stderr.contains("50/50 steps  loss "), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 10, "{}", output.stderr);
    assert!(output.stderr.lines().all(|line| line.contains("lr ") && line.contains("λ ")), "{}", output.stderr);
    assert!(!format!("{}{}", output.stderr, output.stdout).contains('\x1b'));
    assert!(output.stdout.starts_with("digits: ") && output.stdout.contains("controller lr"), "{}", output.stdout);
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another_one() {
    let sandbox = Sandbox::new();
    let run = |name: &str, seed: &str| {
        let trace = format!("{name}.jsonl");
        let args =
            ["train", &digits(), "--steps", "80", "--controller", "lr", "--lr", "1", "--seed", seed, "--json", name];
        assert_eq!(sandbox.qgd(&[&args[..], &["--trace", &trace]].concat()).code, 0);
        let mut json = sandbox.json(name);
        json.as_object_mut().unwrap().remove("wall_s");
        (json, sandbox.read(&trace))
    };
    let first = run("a", "5");
    assert_eq!(first, run("b", "5"));
    assert_ne!(first.1, run("c", "6").1);
}

#[test]
fn the_trace_tells_every_decision_with_its_reason() {
    let sandbox = Sandbox::new();
    sandbox.qgd(&[
        "train",
        &digits(),
        "--steps",
        "70",
        "--controller",
        "lr",
        "--trace",
        "t.jsonl",
        "--json",
        "out.json",
    ]);
    let trace = sandbox.read("t.jsonl");
    let lines: Vec<Value> = trace.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let decisions = &sandbox.json("out.json")["decisions"];
    let total = ["halve", "accept", "grow"].map(|name| decisions[name].as_u64().unwrap()).iter().sum::<u64>();
    assert_eq!(lines.len() as u64, total);
    assert!(
        lines.iter().all(|line| line["lr"].is_number() && line["reason"].is_string() && line["action"].is_object())
    );
    assert!(
        lines[10]["features"].as_array().unwrap().len() > 4 && lines[10]["q_values"].as_array().unwrap().len() == 3
    );
    // After the last decision the learning rate goes on cooling down, to zero over the second half of the 70 steps.
    let factor = |step: u64| ((70 - step).max(1) as f64 / 35.0).min(1.0);
    let last = lines.last().unwrap();
    let expected = last["lr"].as_f64().unwrap() * factor(70) / factor(last["step"].as_u64().unwrap());
    let ended = sandbox.json("out.json")["lr_last"].as_f64().unwrap();
    assert!((ended / expected - 1.0).abs() < 1e-9, "{ended} against {expected}");
}

#[test]
fn flags_override_the_task_file() {
    let sandbox = Sandbox::new();
    let flags =
        ["--optimizer", "momentum", "--lr", "0.02", "--weight-decay", "1e-4", "--batch-size", "16", "--steps", "30"];
    let output =
        sandbox.qgd(&[&["train", &digits(), "--schedule", "cosine", "--json", "out.json"][..], &flags].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    let json = sandbox.json("out.json");
    assert_eq!(json["optimizer"], "momentum");
    assert_eq!((&json["lr_first"], &json["weight_decay_last"]), (&Value::from(0.02), &Value::from(1e-4)));
    assert_eq!((&json["batch_size"], &json["steps"]), (&Value::from(16), &Value::from(30)));
    assert_eq!((&json["schedule"], &json["controller"]), (&Value::from("cosine"), &Value::from("none")));
    assert!(json["lr_last"].as_f64().unwrap() < 1e-3, "the cosine is nearly down: {json}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let sandbox = Sandbox::new();
    let args = ["train", &digits(), "--steps", "200", "--json", "out.json"];
    let mut child = sandbox.command(&args).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(sandbox.json("out.json")["steps"], 200);
}

#[test]
fn a_controller_of_the_weight_decay_is_told_the_validation_loss() {
    let sandbox = Sandbox::new();
    sandbox.weight_decay_controller("w.qgd");
    let trace = |controller: &str| {
        let args = ["train", &digits(), "--steps", "80", "--weight-decay", "1e-3", "--controller", controller];
        let output = sandbox.qgd(&[&args[..], &["--trace", "t.jsonl", "--json", "o"]].concat());
        assert_eq!(output.code, 0, "{}", output.stderr);
        let trace = sandbox.read("t.jsonl");
        trace.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let gap = ScaleFree::NAMES.iter().position(|name| *name == "validation_gap").unwrap();
    let gaps = |lines: &[Value]| {
        lines.iter().filter_map(|line| line["features"].get(gap)?.as_f64()).filter(|gap| gap.abs() > 1e-6).count()
    };
    let lines = trace("w.qgd");
    assert!(gaps(&lines) * 2 > lines.len(), "{} of {}", gaps(&lines), lines.len());
    assert!(lines.iter().all(|line| line["lr"] == lines[0]["lr"]), "it moves the weight decay alone");
    assert_eq!(gaps(&trace("lr")), 0, "a controller of the learning rate is not trained for it");
}

#[test]
fn a_weight_decay_of_zero_or_no_validation_split_is_refused_where_a_controller_needs_them() {
    let sandbox = Sandbox::new();
    sandbox.weight_decay_controller("w.qgd");
    let refuses = |task: &str, decay: &str, needles: &[&str]| {
        sandbox.refuses(&["train", task, "--controller", "w.qgd", "--weight-decay", decay, "--json", "o"], needles);
    };
    refuses(&digits(), "0", &["train.weight_decay", "0", "w.qgd"]);
    let rows: String = (0..40).map(|i| format!("{i},{}\n", 3 * i)).collect();
    sandbox.write("line.csv", rows);
    let text = "[data]\nformat = \"csv\"\npath = \"line.csv\"\ntarget = 1\nkind = \"regression\"\nsplit = [0.8, 0.0, 0.2]\n\
                [net]\nkind = \"mlp\"\n[train]\nlr = 0.1\nsteps = 20\nbatch_size = 8\n";
    sandbox.write("line.toml", text);
    refuses("line.toml", "1e-3", &["data.split", "validation", "w.qgd"]);
}

#[test]
fn a_run_that_has_changed_nothing_says_so_and_why() {
    let sandbox = Sandbox::new();
    let run = |lr: &str, controller: &str| {
        let args = ["train", &digits(), "--lr", lr, "--controller", controller, "--steps", "12", "--json", "o"];
        let output = sandbox.qgd(&args);
        assert_eq!(output.code, 0, "{}", output.stderr);
        (output.stdout, sandbox.json("o")["is_as_at_start"] == true)
    };
    let (said, unchanged) = run("1e20", "lr");
    assert!(unchanged && said.contains("every step was undone") && said.contains("a lower --lr"), "{said}");
    let (said, unchanged) = run("1e-30", "none");
    assert!(unchanged && said.contains("no step was large enough") && said.contains("a higher --lr"), "{said}");
    let (said, unchanged) = run("1e-3", "lr");
    assert!(!unchanged && !said.contains("nothing learned"), "{said}");
}

/// What `qgd train` shows on a terminal, as `script` of util-linux plays one; none where there is no such program.
fn on_a_terminal(sandbox: &Sandbox, variables: &[(&str, &str)]) -> Option<String> {
    let train = sandbox.command(&["train", &digits(), "--steps", "300"]);
    let words: Vec<_> = std::iter::once(train.get_program()).chain(train.get_args()).collect();
    let line = words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ");
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(sandbox.path(".")).env_remove("RUST_LOG");
    script.env_remove("NO_COLOR").envs(variables.iter().copied());
    let output = script.stdin(std::process::Stdio::null()).output().ok()?;
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn no_color_and_a_dumb_terminal_are_honored() {
    let sandbox = Sandbox::new();
    let colored = |text: &str| text.contains("\x1b[36m") || text.contains("\x1b[38;5;") || text.contains("\x1b[2m");
    let Some(bar) = on_a_terminal(&sandbox, &[("TERM", "xterm-256color")]) else { return };
    assert!(colored(&bar) && bar.contains("/300"), "{bar:?}");
    let without = on_a_terminal(&sandbox, &[("TERM", "xterm-256color"), ("NO_COLOR", "1")]).unwrap();
    assert!(!colored(&without) && without.contains("/300 steps"), "{without:?}");
    let dumb = on_a_terminal(&sandbox, &[("TERM", "dumb")]).unwrap();
    assert!(!dumb.contains('\x1b') && dumb.contains("300/300 steps  loss"), "{dumb:?}");
}

#[test]
fn a_run_is_on_the_page_of_its_report_decision_by_decision() {
    let sandbox = Sandbox::new();
    let args = ["train", "demo", "--lr", "1", "--steps", "80", "--controller", "lr", "--trace", "t.jsonl"];
    assert_eq!(sandbox.qgd(&args).code, 0);
    let page = sandbox.reported(&["t.jsonl"]);
    let rows = page["sections"][0]["runs"][0]["rows"].as_array().unwrap();
    let trace = sandbox.read("t.jsonl");
    let lines: Vec<Value> = trace.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), lines.len());
    for (row, line) in rows.iter().zip(&lines) {
        assert_eq!(row[0], line["step"]);
        let (drawn, exact) = (row[2].as_f64().unwrap(), line["lr"].as_f64().unwrap());
        assert!((drawn / exact - 1.0).abs() < 1e-5, "{drawn} {exact}");
    }
}
