//! Our studies in Optuna's hands, and its in ours. Skipped where Python has no `optuna`, its dashboard, plotly and
//! psycopg2, unless QGD_REQUIRE names it.

use crate::cluster::Cluster;
use crate::sandbox::{Sandbox, shipped};
use crate::studies::trials;
use serde_json::{Value, json};
use std::process::Command;

const SPACE: &str = "[params.lr]\ntype = 'float'\nlow = 1e-5\nhigh = 1e-1\nlog = true\n\
    [params.layers]\ntype = 'int'\nlow = 1\nhigh = 3\n\
    [params.units]\ntype = 'int'\nlow = 8\nhigh = 64\nstep = 8\nwhen = { layers = [2, 3] }\n";

/// Two intermediate values, one of them infinite, and a result.
const OBJECTIVE: [&str; 4] = [
    "--",
    "sh",
    "-c",
    "echo '{{\"step\": 1, \"value\": Infinity}}'; echo '{{\"step\": 2, \"value\": 0.5}}'; echo \"{{\\\"value\\\": $QGD_PARAM_LR}}\"",
];

/// A sandbox with a space, and the URL of a storage: a file, and a database on the server. None of them where there is
/// no Optuna.
fn with_optuna() -> Vec<(Sandbox, String)> {
    let needed = "import optuna, optuna_dashboard, plotly, psycopg2";
    let found = Command::new("python3").args(["-c", needed]).output().is_ok_and(|output| output.status.success());
    let required = std::env::var("QGD_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name == "optuna"));
    assert!(found || !required, "QGD_REQUIRE asks for optuna, but python3 cannot: {needed}");
    if !found {
        eprintln!("skipped: python3 cannot: {needed}");
        return Vec::new();
    }
    let urls = std::iter::once("sqlite:///s.db".to_owned()).chain(Cluster::shared().map(Cluster::database));
    let sandbox = || {
        let sandbox = Sandbox::new();
        sandbox.write("space.toml", SPACE);
        sandbox
    };
    urls.map(|url| (sandbox(), url)).collect()
}

/// What `fixtures/optuna_interop.py` answers.
fn optuna(sandbox: &Sandbox, what: &str, url: &str) -> Value {
    let script = shipped("tests/fixtures/optuna_interop.py");
    let url = url.replace("postgresql://", "postgresql+psycopg2://");
    let mut python = Command::new("python3");
    let output = python.args([&script, what, &url]).current_dir(sandbox.path(".")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn tune(sandbox: &Sandbox, url: &str, n_trials: &str) {
    let flags = ["tune", "space.toml", "--storage", url, "--trials", n_trials];
    let output = sandbox.qgd(&[&flags[..], &OBJECTIVE].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
}

#[test]
fn optuna_reads_draws_serves_and_continues_our_study_and_we_go_on_with_it() {
    for (sandbox, url) in with_optuna() {
        tune(&sandbox, &url, "9");
        let ours = trials(&sandbox, "space", &url);
        let best = sandbox.qgd(&["study", "best", "space", "--json", "--storage", &url]);
        let best: Value = serde_json::from_str(&best.stdout).unwrap();
        let theirs = optuna(&sandbox, "read", &url);
        assert_eq!(theirs["best"], best["trial"]);
        let read = |t: &Value| json!([t["trial"], t["state"], t["params"], t["values"], { "1": "inf", "2": 0.5 }]);
        assert_eq!(theirs["trials"], ours.iter().map(read).collect::<Value>());
        let pictures = theirs["pictures"].as_object().unwrap();
        assert!(pictures.len() == 9 && pictures.values().all(|length| length.as_u64() > Some(1000)), "{pictures:?}");
        let listed: Value = (0..9).map(|number| json!([number, "Complete"])).collect();
        assert_eq!(theirs["dashboard"], json!({ "name": "space", "trials": listed }));
        assert_eq!(theirs["after"], 21);
        agrees_on_importance(&sandbox, &url, &theirs["importances"]);
        tune(&sandbox, &url, "24");
        let states = trials(&sandbox, "space", &url);
        assert_eq!(states.len(), 24);
        assert!(states.iter().enumerate().all(|(i, trial)| trial["trial"] == i && trial["state"] == "COMPLETE"));
    }
}

fn agrees_on_importance(sandbox: &Sandbox, url: &str, theirs: &Value) {
    let ours = sandbox.qgd(&["study", "importance", "space", "--json", "--storage", url]);
    let ours: Vec<Value> = serde_json::from_str(&ours.stdout).unwrap();
    let (mut sum, theirs) = (0.0, theirs.as_object().unwrap());
    assert_eq!((ours.len(), theirs.len()), (3, 3), "{theirs:?}");
    for share in &ours {
        let (ours, theirs) =
            (share["importance"].as_f64().unwrap(), theirs[share["param"].as_str().unwrap()].as_f64().unwrap());
        assert!((ours - theirs).abs() < 1e-6, "{share}: Optuna says {theirs}");
        sum += ours;
    }
    assert!((sum - 1.0).abs() < 1e-9);
}

#[test]
fn we_read_and_continue_a_study_of_optunas() {
    for (sandbox, url) in with_optuna() {
        let made = optuna(&sandbox, "make", &url);
        assert_eq!(made["trials"], 9);
        tune(&sandbox, &url, "12");
        let trials = trials(&sandbox, "space", &url);
        assert_eq!(trials.iter().filter(|trial| trial["state"] == "COMPLETE").count(), 12);
        let enqueued = &trials[8]["params"];
        assert_eq!(
            (enqueued["lr"].as_f64(), enqueued["layers"].as_i64(), enqueued["units"].is_i64()),
            (Some(0.02), Some(3), true)
        );
    }
}

/// What a script of Python says, where there is Optuna; each line of it is JSON.
fn python(sandbox: &Sandbox, script: &str) -> Vec<Value> {
    let head = "import json, optuna, warnings; warnings.simplefilter('ignore'); optuna.logging.set_verbosity(40); url = 'sqlite:///s.db'\n";
    let mut python = Command::new("python3");
    let output = python.args(["-c", &(head.to_owned() + script)]).current_dir(sandbox.path(".")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn our_constraints_are_optunas_also_where_they_are_infinite() {
    let Some((sandbox, _)) = with_optuna().into_iter().next() else { return };
    let lines = ["[Infinity]", "[-Infinity, -1]", "[NaN]", "[0.5]"];
    lines.iter().enumerate().for_each(|(i, c)| {
        sandbox.write(&format!("line-{i}"), format!("{{\"value\": {i}, \"constraints\": {c}}}"));
    });
    let flags = ["tune", "space.toml", "--storage", "sqlite:///s.db", "--trials", "3", "--sampler", "random"];
    let output = sandbox.qgd(&[&flags[..], &["--", "sh", "-c", "cat line-$QGD_TRIAL"]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    let script = "
study = optuna.load_study(study_name='space', storage=url)
print(json.dumps([[str(c) for c in t.constraints.values()] for t in study.trials]))
print(json.dumps([study.best_trial.number, [t.state.name for t in study.trials]]))
def objective(trial):
    trial.suggest_float('lr', 1e-5, 1e-1, log=True)
    trial.suggest_int('layers', 1, 1)
    return 9.0
for sampler in [optuna.samplers.TPESampler, optuna.samplers.NSGAIISampler]:
    study.sampler = sampler(constraints_func=lambda trial: [float('inf')])
    study.optimize(objective, n_trials=6)
print(len(study.trials))";
    let said = python(&sandbox, script);
    assert_eq!(said[0], json!([["inf"], ["-inf", "-1.0"], [], ["0.5"]]));
    assert_eq!(said[1], json!([1, ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]]));
    assert_eq!(said[2], 16);
    // And theirs are ours.
    let best = sandbox.qgd(&["study", "best", "space", "--json", "--storage", "sqlite:///s.db"]);
    assert_eq!(serde_json::from_str::<Value>(&best.stdout).unwrap()["trial"], 1);
}

#[test]
fn choices_that_only_optuna_has_are_shown_and_continued_or_refused_by_name() {
    let Some((sandbox, _)) = with_optuna().into_iter().next() else { return };
    let script = "
for name, choices in [('lists', [[1, 2], [3, 4], 'x']), ('nothing', [None, 1]), ('odd', [float('nan'), 1])]:
    study = optuna.create_study(study_name=name, storage=url)
    study.optimize(lambda t: float(t.suggest_categorical('shape', choices) == choices[0]), n_trials=4)";
    python(&sandbox, script);
    let storage = ["--storage", "sqlite:///s.db"];
    for look in [&["list"][..], &["show", "lists"], &["show", "nothing"], &["show", "odd"], &["importance", "lists"]] {
        let output = sandbox.qgd(&[&["study"], look, &storage].concat());
        assert_eq!(output.code, 0, "{look:?}: {}", output.stderr);
    }
    sandbox.write("space.toml", "[params.shape]\ntype = 'categorical'\nchoices = [[1, 2], [3, 4], 'x']\n");
    let tune = |study: &'static str| {
        let flags = ["tune", "space.toml", "--trials", "9", "--study", study];
        sandbox.qgd(&[&flags[..], &storage, &["--", "sh", "-c", "echo '{{\"value\": 1}}' # {shape}"]].concat())
    };
    let output = tune("lists");
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(trials(&sandbox, "lists", "sqlite:///s.db").iter().any(|trial| trial["params"]["shape"] == json!([1, 2])));
    for (study, choice) in [("nothing", "null"), ("odd", "1")] {
        let refused = tune(study);
        assert!(
            refused.code == 2 && refused.stderr.contains("shape") && refused.stderr.contains(choice),
            "{}",
            refused.stderr
        );
    }
    let more = "
study = optuna.load_study(study_name='lists', storage=url)
study.optimize(lambda t: float(t.suggest_categorical('shape', [[1, 2], [3, 4], 'x']) == 'x'), n_trials=12)
print(len(study.trials))";
    assert_eq!(python(&sandbox, more), [21]);
}

#[test]
fn every_step_that_we_propose_is_inside_the_range_as_optuna_reads_it() {
    let Some((sandbox, _)) = with_optuna().into_iter().next() else { return };
    let ranges = [(0.0, 0.35, 0.1), (-0.7, 0.7, 0.1), (0.05, 0.31, 0.025), (0.1, 0.9, 0.2), (0.0, 3.0, 0.7)];
    let table = |(i, (low, high, step)): (usize, (f64, f64, f64))| {
        format!("[params.p{i}]\ntype = 'float'\nlow = {low:?}\nhigh = {high:?}\nstep = {step:?}\n")
    };
    sandbox.write("space.toml", ranges.into_iter().enumerate().map(table).collect::<String>());
    let flags = ["tune", "space.toml", "--storage", "sqlite:///s.db", "--trials", "80", "--sampler", "random"];
    assert_eq!(sandbox.qgd(&[&flags[..], &["--", "echo", "{{\"value\": 1}}"]].concat()).code, 0);
    let script = "
trials = optuna.load_study(study_name='space', storage=url).trials
high = {name: d.high for name, d in trials[0].distributions.items()}
print(sum(t.params[name] > high[name] for t in trials for name in high))
print(sum(any(t.params[name] == high[name] for t in trials) for name in high))";
    assert_eq!(python(&sandbox, script), [0, 5]);
}
