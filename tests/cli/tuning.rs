//! `qgd tune`, `worker`, `study` and `ask-tell`: the studies that a user gets.

use crate::sandbox::{Output, Sandbox};
use crate::studies::{SPACE, sandbox, trials};
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// An objective that is better the larger x is.
const OBJECTIVE: [&str; 4] = ["--", "sh", "-c", "echo \"{{\\\"value\\\": $QGD_PARAM_X}}\""];

fn tune(sandbox: &Sandbox, flags: &[&str], command: &[&str]) -> Output {
    sandbox.qgd(&[&["tune", "space.toml"], flags, command].concat())
}

fn default_trials(sandbox: &Sandbox) -> Vec<Value> {
    trials(sandbox, "space", "sqlite:///qgd.db")
}

#[test]
fn the_same_line_again_continues_the_study_to_as_many_trials() {
    let sandbox = sandbox();
    for (flags, expected) in [(["--trials", "6"], 6), (["--trials", "6"], 6), (["--trials", "9"], 9)] {
        let output = tune(&sandbox, &flags, &OBJECTIVE);
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert!(output.stdout.contains("smallest value") && output.stderr.contains("seed 0"), "{}", output.stdout);
        assert_eq!(default_trials(&sandbox).len(), expected);
    }
    let least = default_trials(&sandbox).iter().map(|t| t["values"][0].as_f64().unwrap()).fold(f64::INFINITY, f64::min);
    let best: Value = serde_json::from_str(&sandbox.qgd(&["study", "best", "space", "--json"]).stdout).unwrap();
    assert_eq!((best["values"][0].as_f64(), best["params"]["x"].as_f64()), (Some(least), Some(least)));
}

#[test]
fn as_many_workers_as_the_lag_try_the_same_as_one() {
    let sandbox = sandbox();
    let run = |storage: &str, workers: &str| {
        let flags = ["--trials", "8", "--lag", "3", "--seed", "5", "--storage", storage, "--workers", workers];
        assert_eq!(tune(&sandbox, &flags, &OBJECTIVE).code, 0);
        trials(&sandbox, "space", storage)
            .iter()
            .map(|t| (t["params"].clone(), t["values"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(run("sqlite:///one.db", "1"), run("sqlite:///three.db", "3"));
}

#[test]
fn parameters_come_as_arguments_and_in_the_environment_and_the_log_is_kept() {
    let sandbox = sandbox();
    let script = "echo \"$0 $1 $2 $QGD_PARAM_X $QGD_TRIAL $QGD_PARAMS\" >&2; echo '{{\"value\": 1}}'";
    let output = tune(&sandbox, &["--trials", "4"], &["--", "sh", "-c", script, "{x}", "{layers}", "u{units}"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    for trial in default_trials(&sandbox) {
        let (params, number) = (&trial["params"], trial["trial"].as_u64().unwrap());
        // An argument whose parameter is not active is left out.
        let units = params.get("units").map(|units| format!("u{units}")).unwrap_or_default();
        let expected =
            format!("{0} {1} {units} {0} {number} {params}\n{{\"value\": 1}}\n", params["x"], params["layers"]);
        assert_eq!(sandbox.read(&format!("space-logs/{number:06}.log")), expected);
        assert_eq!(params["layers"] == 1, units.is_empty());
    }
}

#[test]
fn a_pruned_program_is_asked_to_stop() {
    let sandbox = sandbox();
    let script = "trap 'echo asked >&2; exit 0' TERM; for s in 1 2 3; do echo \"{{\\\"step\\\": $s, \\\"value\\\": $s}}\"; done; \
                  sleep 30 & wait";
    let start = Instant::now();
    let output = tune(&sandbox, &["--trials", "2", "--pruner", "patience:patience=0"], &["--", "sh", "-c", script]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(start.elapsed() < Duration::from_secs(20));
    let trials = default_trials(&sandbox);
    assert_eq!(trials.iter().filter(|trial| trial["state"] == "PRUNED").count(), 2);
    let last = trials[0]["intermediate"].as_array().unwrap().last().unwrap();
    assert_eq!(trials[0]["values"][0], last[1]);
    assert!(sandbox.read("space-logs/000000.log").contains("asked"));
}

#[test]
fn a_program_that_breaks_or_says_nothing_fails_its_trials_with_the_reason() {
    let sandbox = sandbox();
    let fails = |script: &str, flags: &[&str], needle: &str| {
        let output =
            tune(&sandbox, &[&["--max-failures", "2", "--trials", "3"], flags].concat(), &["--", "sh", "-c", script]);
        assert_eq!(output.code, 1, "{}", output.stderr);
        for needle in [needle, "2 trials in a row", "space-logs/00000"] {
            assert!(output.stderr.contains(needle), "'{needle}' is not in {}", output.stderr);
        }
    };
    fails("exit 3", &[], "exit code 3");
    fails("kill -9 $$", &[], "killed by signal 9");
    fails("true", &[], "printed no line like {\"value\": 0.5}");
    fails("echo loss 0.3; echo '{{\"loss\": 3}}'", &[], "printed no line like");
    fails("exec sleep 20", &["--timeout", "0.2"], "did not end within 0.2 s");
    assert!(default_trials(&sandbox).iter().all(|trial| trial["state"] == "FAIL"));
    let output = tune(&sandbox, &["--max-failures", "1"], &["--", "sh", "-c", "echo '{{\"value\": NaN}}'"]);
    assert!(output.code == 1 && output.stderr.contains("NaN"), "{}", output.stderr);
    let output = tune(&sandbox, &["--trials", "1"], &["--", "sh", "-c", "echo '{{\"value\": Infinity}}'"]);
    assert_eq!((output.code, default_trials(&sandbox).last().unwrap()["values"][0].as_str()), (0, Some("Infinity")));
}

#[test]
fn bad_input_is_refused_and_nothing_is_written() {
    let sandbox = sandbox();
    let refuses = |flags: &[&str], command: &[&str], needles: &[&str]| {
        sandbox.refuses(&[&["tune", "space.toml"], flags, command].concat(), needles);
    };
    refuses(&["--sampler", "tpx"], &OBJECTIVE, &["`tpx`", "random"]);
    refuses(&["--sampler", "grid"], &OBJECTIVE, &["`grid`", "`x`"]);
    refuses(&["--pruner", "asha:eta=3"], &OBJECTIVE, &["no option `eta`", "reduction_factor"]);
    refuses(&["--lag", "0"], &OBJECTIVE, &["`lag`", "at least 1"]);
    refuses(&["--workers", "0"], &OBJECTIVE, &["--workers", "at least 1"]);
    refuses(&["--heartbeat", "0"], &OBJECTIVE, &["`heartbeat`", "0.01"]);
    refuses(&["--timeout", "-1"], &OBJECTIVE, &["--timeout"]);
    refuses(&["--storage", "mysql://x"], &OBJECTIVE, &["mysql://x", "sqlite:///FILE"]);
    refuses(&["--storage", "sqlite:///no/folder.db"], &OBJECTIVE, &["no/folder.db"]);
    refuses(&[], &["--", "no-such-program"], &["no-such-program"]);
    refuses(&[], &["--", "echo", "{y}"], &["`y`", "layers, units, x"]);
    refuses(&[], &[], &["COMMAND"]);
    sandbox.write("twice.toml", SPACE.to_owned() + SPACE);
    sandbox.write("empty.toml", SPACE.replace("low = -4.0", "low = 4.0"));
    sandbox.write("text.db", "no database ".repeat(100));
    let with = |space: &'static str| [&["tune", space][..], &OBJECTIVE].concat();
    sandbox.refuses(&with("twice.toml"), &["twice.toml", "duplicate"]);
    sandbox.refuses(&with("empty.toml"), &["`params.x.high`", "above low = 4"]);
    sandbox.refuses(&with("none.toml"), &["none.toml"]);
    refuses(&["--storage", "sqlite:///text.db"], &OBJECTIVE, &["text.db", "not a database"]);
    sandbox.refuses(&["study", "list"], &["qgd.db"]);
    sandbox.refuses(&["worker", "--study", "space", "--", "true"], &["qgd.db"]);
}

#[test]
fn a_study_is_not_mixed_with_another() {
    let sandbox = sandbox();
    assert_eq!(tune(&sandbox, &["--trials", "1", "--seed", "3"], &OBJECTIVE).code, 0);
    let refuses = |flags: &[&str], needles: &[&str]| {
        sandbox.refuses(&[&["tune", "space.toml"], flags, &OBJECTIVE].concat(), needles);
    };
    refuses(&["--seed", "4"], &["seed = 3, not 4"]);
    refuses(&["--sampler", "qmc"], &["sampler = tpe, not qmc"]);
    sandbox.write("space.toml", SPACE.replace("high = 3", "high = 4"));
    refuses(&[], &["space", "layers"]);
    sandbox.refuses(&["study", "best", "other"], &["other", "there are: space"]);
}

#[test]
fn a_sampler_may_be_named_as_in_earlier_versions() {
    let sandbox = sandbox();
    for (study, former, today) in
        [("a", "vashishtha", "q-learning"), ("b", "mohamed:batch=2", "reinforce:batch=2"), ("c", "hyperq", "deep-q")]
    {
        for (sampler, n_trials) in [(former, "2"), (today, "3"), (former, "4")] {
            let flags = ["--study", study, "--sampler", sampler, "--trials", n_trials];
            let output = tune(&sandbox, &flags, &OBJECTIVE);
            assert!(output.code == 0 && output.stderr.contains(&format!("sampler {today},")), "{}", output.stderr);
        }
        // As an earlier version has noted it.
        let sql = format!(
            "UPDATE study_system_attributes SET value_json = replace(value_json, '\"{today}\"', '\"{former}\"')"
        );
        rusqlite::Connection::open(sandbox.path("qgd.db")).unwrap().execute_batch(&sql).unwrap();
        for (flags, n_trials) in [(&["--sampler", today][..], "5"), (&[], "6")] {
            let output = tune(&sandbox, &[&["--study", study, "--trials", n_trials], flags].concat(), &OBJECTIVE);
            assert_eq!(output.code, 0, "{}", output.stderr);
        }
        let worker = [&["worker", "--study", study, "--trials", "7"], &OBJECTIVE[..]].concat();
        assert_eq!(sandbox.qgd(&worker).code, 0);
        assert_eq!(trials(&sandbox, study, "sqlite:///qgd.db").len(), 7);
    }
}

#[test]
fn studies_are_listed_shown_exported_and_deleted() {
    let sandbox = sandbox();
    for study in ["a", "b"] {
        assert_eq!(tune(&sandbox, &["--trials", "2", "--study", study], &OBJECTIVE).code, 0);
    }
    let worker = sandbox.qgd(&[&["worker", "--study", "a", "--trials", "3"], &OBJECTIVE[..]].concat());
    assert_eq!(worker.code, 0, "{}", worker.stderr);
    let list = sandbox.qgd(&["study", "list"]).stdout;
    assert_eq!(list.lines().count() - 1, 3, "{list}");
    assert!(sandbox.qgd(&["study", "show", "a"]).stdout.contains("minimize, 3 trials"));
    assert_eq!(sandbox.qgd(&["study", "export", "a", "-o", "a.jsonl"]).code, 0);
    assert_eq!(sandbox.read("a.jsonl").lines().count(), 3);
    assert_eq!(sandbox.qgd(&["study", "delete", "a"]).code, 0);
    assert_eq!(sandbox.qgd(&["study", "show", "a"]).code, 2);
    assert_eq!(trials(&sandbox, "b", "sqlite:///qgd.db").len(), 2);
}

#[test]
fn a_program_in_any_language_asks_and_tells() {
    let sandbox = sandbox();
    let mut command = sandbox.command(&["ask-tell", "--space", "space.toml", "--seed", "7"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let lines = [
        r#"{"best":{}}"#,
        r#"{"ask":{}}"#,
        r#"{"report":{"trial":0,"step":3,"value":0.9}}"#,
        "nonsense",
        r#"{"ask":{}}"#,
        r#"{"tell":{"trial":0,"values":[1.5]}}"#,
        r#"{"tell":{"trial":0,"values":[1.5]}}"#,
        r#"{"enqueue":{"params":{"x":0.25,"layers":1}}}"#,
        r#"{"ask":{}}"#,
        r#"{"tell":{"trial":1,"state":"fail"}}"#,
        r#"{"tell":{"trial":9,"values":[1]}}"#,
        r#"{"best":{}}"#,
    ];
    child.stdin.take().unwrap().write_all(lines.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((output.status.code(), answers.len()), (Some(0), lines.len()), "{text}");
    let error =
        |i: usize, needle: &str| assert!(answers[i]["error"].as_str().unwrap().contains(needle), "{}", answers[i]);
    assert!(answers[0]["best"].is_null());
    assert!(answers[1]["trial"] == 0 && answers[1]["params"]["x"].is_f64(), "{}", answers[1]);
    assert_eq!(answers[2], serde_json::json!({ "prune": false }));
    error(3, "no JSON");
    error(4, "lag");
    assert_eq!(answers[5], serde_json::json!({ "ok": true }));
    error(6, "not running");
    assert_eq!(answers[8], serde_json::json!({ "trial": 1, "params": { "x": 0.25, "layers": 1 } }));
    error(10, "no trial 9");
    assert_eq!(answers[11]["best"]["trial"], 0);
}

#[test]
fn a_sampler_taught_on_studies_tunes_another_one() {
    let sandbox = sandbox();
    for study in ["first", "second"] {
        let flags = ["--trials", "12", "--study", study, "--seed", "3"];
        assert_eq!(tune(&sandbox, &flags, &OBJECTIVE).code, 0);
    }
    let teach = |flags: &[&str]| {
        let all = [&["study", "teach", "first", "second", "--episodes", "20", "-o", "taught.qgd"], flags].concat();
        sandbox.qgd(&all)
    };
    let output = teach(&[]);
    assert!(output.code == 2 && output.stderr.contains("has 12 results, but at least 21"), "{}", output.stderr);
    let output = teach(&["--data", "third=1,2,3"]);
    assert!(output.code == 2 && output.stderr.contains("third"), "{}", output.stderr);
    let output = teach(&["--trials", "5", "--data", "first=100,4,0"]);
    assert!(output.code == 0 && output.stdout.contains("taught on first, second"), "{}", output.stderr);
    let sampler = "deep-q:taught.qgd,examples=200,inputs=4,classes=0";
    let output = tune(&sandbox, &["--trials", "3", "--study", "third", "--sampler", sampler], &OBJECTIVE);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let output = tune(&sandbox, &["--trials", "3", "--study", "fourth", "--sampler", "deep-q:no.qgd"], &OBJECTIVE);
    assert!(output.code == 2 && output.stderr.contains("no.qgd"), "{}", output.stderr);
}
