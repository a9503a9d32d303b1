//! Values that nobody can compare, studies that only Optuna makes, and looking, which changes nothing.

use crate::sandbox::{Output, Sandbox};
use crate::studies::{sandbox, trials};
use crate::tuner_bad_input::{run, unprivileged};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

const STORAGE: &str = "sqlite:///qgd.db";

/// Runs trials whose program prints these lines, one a trial, and answers state and constraints of each.
fn told(lines: &[&str]) -> (Sandbox, Output, Vec<(Value, Value)>) {
    let sandbox = sandbox();
    lines.iter().enumerate().for_each(|(i, line)| sandbox.write(&format!("line-{i}"), line));
    let n_trials = lines.len().to_string();
    let flags = ["tune", "space.toml", "--sampler", "random", "--max-failures", &n_trials, "--trials", &n_trials];
    let script = format!("cat line-$QGD_TRIAL 2>/dev/null || echo '{{{{\"value\": {}}}}}'", lines.len());
    let output = sandbox.qgd(&[&flags[..], &["--", "sh", "-c", &script]].concat());
    let of = |trial: &Value| (trial["state"].clone(), trial["system_attrs"]["constraints"].clone());
    let all = trials(&sandbox, "space", STORAGE)[..lines.len()].iter().map(of).collect();
    (sandbox, output, all)
}

#[test]
fn constraints_that_are_no_numbers_fail_their_trial_and_the_reason_is_said() {
    let (_, output, found) = told(&[
        r#"{"value": 1, "constraints": [-1, 0]}"#,
        r#"{"value": 0, "constraints": [NaN]}"#,
        r#"{"value": 0, "constraints": 5}"#,
        r#"{"value": 0, "constraints": -5}"#,
        r#"{"value": 0, "constraints": [null]}"#,
        r#"{"value": 0, "constraints": null}"#,
        r#"{"value": 0, "constraints": ["small"]}"#,
        r#"{"value": 0, "constraints": {"c": -1}}"#,
        r#"{"value": 0, "constraints": [Infinity]}"#,
        r#"{"value": 2, "constraints": ["-Infinity"]}"#,
        r#"{"values": []}"#,
        r#"{"values": [1, 2]}"#,
        r#"{"value": NaN}"#,
        r#"{"value": "nan"}"#,
        r#"{"value": -Infinity, "constraints": [1]}"#,
    ]);
    let states: Vec<&str> = found.iter().map(|(state, _)| state.as_str().unwrap()).collect();
    let (ok, no) = ("COMPLETE", "FAIL");
    assert_eq!(states, [ok, no, no, no, no, no, no, no, ok, ok, no, no, no, no, ok]);
    assert_eq!([8, 9].map(|i: usize| found[i].1.clone()), [json!(["Infinity"]), json!(["-Infinity"])]);
    let reasons =
        ["a constraint is NaN", "`constraints` is 5", "`constraints[0]` is null", "told 0 values", "told 2 values"];
    for reason in reasons.iter().chain(&["the objective is NaN", "{\"c\":-1}, but must be a list of numbers"]) {
        assert!(output.stderr.contains(reason), "'{reason}' is not in {}", output.stderr);
    }
    assert_eq!(output.code, 0, "{}", output.stderr);
    // Neither an infinite constraint nor one above 0 is kept, however good the value.
    assert!(output.stdout.contains("smallest value 1 in trial 0"), "{}", output.stdout);
}

#[test]
fn ask_tell_takes_the_same_values_as_a_program_may_print() {
    let sandbox = sandbox();
    let lines = [
        r#"{"ask": {}}"#,
        r#"{"tell": {"trial": 0, "values": [1], "constraints": 5}}"#,
        r#"{"tell": {"trial": 0, "values": [1], "constraints": [null]}}"#,
        r#"{"report": {"trial": 0, "step": 3000000000, "value": 1}}"#,
        r#"{"report": {"trial": 0, "step": 1, "value": NaN}}"#,
        r#"{"tell": {"trial": 0, "values": [NaN]}}"#,
        r#"{"ask": {}}"#,
        r#"{"tell": {"trial": 1, "values": [3], "constraints": [-Infinity]}}"#,
        r#"{"ask": {}}"#,
        r#"{"tell": {"trial": 2, "value": "-Infinity", "constraints": [NaN]}}"#,
        r#"{"best": {}}"#,
        r#"{"ask": {}}"#,
        r#"{"tell": {"trial": 3, "values": [0], "constraint": [1]}}"#,
        r#"{"tell": {"trial": 3, "values": [0], "state": "fail"}}"#,
        r#"{"tell": {"trial": 3, "state": "fail"}}"#,
    ];
    let mut command = sandbox.command(&["ask-tell", "--space", "space.toml", "--storage", STORAGE]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let answers: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let error = |i: usize| answers[i]["error"].as_str().unwrap_or_default().to_owned();
    assert!(error(1).contains("`constraints` is 5") && error(2).contains("`constraints[0]` is null"), "{answers:?}");
    assert!(error(3).contains("`step` is 3000000000") && error(3).contains("to 2147483647"), "{answers:?}");
    assert_eq!(answers[4], json!({ "prune": false }));
    assert_eq!(answers[10]["best"]["trial"], 1, "{answers:?}");
    assert!(error(12).contains("has no `constraint`") && error(13).contains("only a complete trial has values"));
    assert_eq!(answers[14], json!({ "ok": true }));
    let states: Vec<Value> = trials(&sandbox, "space", STORAGE).iter().map(|trial| trial["state"].clone()).collect();
    assert_eq!(states, ["FAIL", "COMPLETE", "FAIL", "FAIL"]);
}

/// Changes the database as another program would.
fn execute(sandbox: &Sandbox, sql: &str) {
    rusqlite::Connection::open(sandbox.path("qgd.db")).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn one_odd_study_does_not_hide_the_others() {
    let sandbox = sandbox();
    let tune = |study: &str| {
        let output =
            sandbox.qgd(&["tune", "space.toml", "--study", study, "--trials", "2", "--", "echo", "{{\"value\": 1}}"]);
        assert_eq!(output.code, 0, "{}", output.stderr);
    };
    ["odd", "good"].into_iter().for_each(tune);
    let odd = "trial_id IN (SELECT trial_id FROM trials JOIN studies USING (study_id) WHERE study_name = 'odd')";
    let distribution = r#"{"name": "DirichletDistribution", "attributes": {}}"#;
    for change in [
        format!("UPDATE trial_params SET distribution_json = '{distribution}' WHERE {odd}"),
        format!("UPDATE trials SET state = 'PONDERING' WHERE {odd}"),
        "UPDATE study_directions SET direction = 'SIDEWAYS' WHERE study_id = 1".to_owned(),
    ] {
        execute(&sandbox, &change);
        let list = sandbox.qgd(&["study", "list"]);
        assert_eq!(list.code, 0, "{}", list.stderr);
        assert!(list.stdout.contains("good") && list.stdout.contains("odd"), "{}", list.stdout);
        assert!(list.stderr.contains("odd") && list.stderr.contains("is damaged"), "{}", list.stderr);
        assert_eq!(sandbox.qgd(&["study", "show", "good"]).code, 0);
        assert_eq!(sandbox.qgd(&["study", "show", "odd"]).code, 1);
        tune("good");
    }
}

#[test]
fn what_optuna_may_have_noted_is_shown_as_it_is() {
    let sandbox = sandbox();
    let flags = ["tune", "space.toml", "--sampler", "random", "--trials", "4"];
    assert_eq!(sandbox.qgd(&[&flags[..], &["--", "echo", "{{\"value\": 1}}"]].concat()).code, 0);
    // Constraints of four kinds: only the first keeps its trial.
    execute(
        &sandbox,
        "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES \
         (1, 'constraints', '[-Infinity]'), (2, 'constraints', '[-1, NaN]'), (3, 'constraints', '-3'), (4, 'constraints:c', '\"-1\"'); \
         INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (1, 'loss', '{\"end\": NaN, \"text\": \"NaN\"}')",
    );
    execute(&sandbox, "UPDATE trial_values SET value = -1 WHERE trial_id > 1");
    let best = sandbox.qgd(&["study", "best", "space", "--json"]);
    let best: Value = serde_json::from_str(&best.stdout).unwrap();
    assert_eq!((&best["trial"], &best["user_attrs"]["loss"]), (&json!(0), &json!({ "end": "NaN", "text": "NaN" })));
}

#[test]
fn looking_at_a_file_changes_no_byte_of_it_and_leaves_nothing_beside_it() {
    let sandbox = sandbox();
    let tune = |trials: &'static str| {
        let output = sandbox.qgd(&["tune", "space.toml", "--trials", trials, "--", "echo", "{{\"value\": 1}}"]);
        assert_eq!(output.code, 0, "{}", output.stderr);
    };
    tune("3");
    let looks = |expected: i32| {
        let (before, listing) = (std::fs::read(sandbox.path("qgd.db")).unwrap(), sandbox.listing());
        for look in
            [&["list"][..], &["show", "space"], &["best", "space"], &["importance", "space"], &["export", "space"]]
        {
            let output = sandbox.qgd(&[&["study"], look].concat());
            assert_eq!(output.code, expected, "{look:?}: {}", output.stderr);
        }
        assert!(std::fs::read(sandbox.path("qgd.db")).unwrap() == before, "the file has changed");
        assert_eq!(sandbox.listing(), listing);
    };
    looks(0);
    // As Optuna leaves it.
    execute(&sandbox, "PRAGMA journal_mode = DELETE");
    looks(0);
    std::fs::remove_file(sandbox.path("qgd.db")).unwrap();
    execute(&sandbox, "CREATE TABLE mine (a)");
    looks(2);
    let refused = sandbox.qgd(&["tune", "space.toml", "--", "true"]);
    assert!(refused.code == 2 && refused.stderr.contains("`mine`"), "{}", refused.stderr);
    looks(2);
    for content in ["", "this is no database at all, whatever its name says"] {
        sandbox.write("qgd.db", content);
        looks(2);
    }
}

#[test]
fn a_folder_in_which_nothing_can_be_written_is_looked_into_while_others_work_and_after() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("d")).unwrap();
    sandbox.write("space.toml", "[params.x]\ntype = 'float'\nlow = 0.0\nhigh = 1.0\n");
    let storage = "sqlite:///d/s.db";
    let tune = ["tune", "space.toml", "--storage", storage, "--trials", "3", "--", "echo", "{{\"value\": 1}}"];
    assert_eq!(sandbox.qgd(&tune).code, 0);
    let look = || {
        let folder = sandbox.path("d");
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o555)).unwrap();
        let output = run(unprivileged(&sandbox, &["study", "export", "space", "--storage", storage]));
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(output.code, 0, "{}", output.stderr);
        output.stdout.lines().count()
    };
    assert_eq!(look(), 3, "all is in the file");
    let file = sandbox.path("d/s.db");
    let writer = rusqlite::Connection::open(&file).unwrap();
    let row = "INSERT INTO trials (number, study_id, state) VALUES (3, 1, 'WAITING')";
    writer.execute_batch(row).unwrap();
    assert_eq!(look(), 4, "a part is in the log of one who is at work");
    // What remains where a machine broke, or where only two of the three files were copied.
    let remains = ["s.db", "s.db-wal"].map(|name| (name, std::fs::read(sandbox.path("d").join(name)).unwrap()));
    drop(writer);
    for name in ["s.db", "s.db-wal", "s.db-shm"] {
        let _ = std::fs::remove_file(sandbox.path("d").join(name));
    }
    remains.iter().for_each(|(name, bytes)| std::fs::write(sandbox.path("d").join(name), bytes).unwrap());
    assert!(!remains[1].1.is_empty());
    assert_eq!(look(), 4, "a part is in a log that nobody has open");
    let now = std::fs::read_dir(sandbox.path("d")).unwrap().count();
    assert_eq!(now, 2, "and it is still as it was");
}

#[test]
fn what_cannot_be_kept_is_refused_when_the_study_is_made() {
    let sandbox = Sandbox::new();
    let refuses = |space: &str, needles: &[&str]| {
        sandbox.write("space.toml", space);
        sandbox.refuses(&["tune", "space.toml", "--", "true"], needles);
    };
    let many =
        |n: usize| (0..n).map(|i| format!("[params.p{i}]\ntype = 'int'\nlow = 0\nhigh = 1\n")).collect::<String>();
    refuses(&many(10_001), &["`params` is 10001 tables", "at most 10000"]);
    let pair = |a: &str, b: &str| {
        format!("[params.{a}]\ntype = 'int'\nlow = 0\nhigh = 1\n[params.{b}]\ntype = 'int'\nlow = 0\nhigh = 1\n")
    };
    refuses(&pair("learning-rate", "learning_rate"), &["`params.learning-rate`", "QGD_PARAM_LEARNING_RATE", "rename"]);
    refuses(&pair("lr", "LR"), &["QGD_PARAM_LR"]);
    let low = "[params.n]\ntype = 'int'\nlow = -9223372036854775808\nhigh = 5\nlog = true\n";
    refuses(low, &["`params.n.low` is -9223372036854775808", "9007199254740992"]);
    let wide = "[params.n]\ntype = 'float'\nlow = -1.7e308\nhigh = 1.7e308\n";
    refuses(wide, &["`params.n.high`", "finite"]);
    sandbox.write("space.toml", many(10_000));
    let tune = [
        "tune",
        "space.toml",
        "--sampler",
        "random",
        "--trials",
        "1",
        "--logs",
        "logs",
        "--",
        "echo",
        "{{\"value\": 1}}",
    ];
    let output = sandbox.qgd(&tune);
    // Linux takes no longer environment than a quarter of the stack: the trial fails, the database does not.
    assert!(output.code == 0 || output.stderr.contains("too long"), "{}", output.stderr);
}

#[test]
fn a_step_that_no_database_holds_fails_its_trial_alone() {
    let (_, output, found) =
        told(&[r#"{"step": 2147483648, "value": 1}"#, "{\"step\": 2147483647, \"value\": 1}\n{\"value\": 1}"]);
    assert_eq!([&found[0].0, &found[1].0], ["FAIL", "COMPLETE"], "{}", output.stderr);
    assert!(output.stderr.contains("`step` is 2147483648"), "{}", output.stderr);
}

#[test]
fn a_grid_says_when_it_is_exhausted_and_a_step_ends_at_the_end() {
    let sandbox = Sandbox::new();
    sandbox.write("space.toml", "[params.x]\ntype = 'float'\nlow = 0.0\nhigh = 0.3\nstep = 0.1\n");
    let output =
        sandbox.qgd(&["tune", "space.toml", "--sampler", "grid", "--trials", "7", "--", "echo", "{{\"value\": 1}}"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stderr.contains("nothing left to try after 4 trials"), "{}", output.stderr);
    let found = trials(&sandbox, "space", STORAGE);
    let last = found.iter().map(|trial| trial["params"]["x"].as_f64().unwrap()).fold(0.0, f64::max);
    assert_eq!((found.len(), last.to_string()), (4, "0.3".to_owned()));
}

#[test]
fn workers_that_the_lag_leaves_idle_are_told() {
    let sandbox = sandbox();
    let tune = |workers: &'static str, trials: &'static str| {
        sandbox.qgd(&["tune", "space.toml", "--workers", workers, "--trials", trials, "--", "echo", "{{\"value\": 1}}"])
    };
    assert!(!tune("1", "2").stderr.contains("--lag"));
    let said = tune("3", "4").stderr;
    assert!(said.contains("the lag of study space is 1") && said.contains("--lag"), "{said}");
}
