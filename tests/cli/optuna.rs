//! Our studies in Optuna's hands, and its in ours. Skipped where Python has no `optuna`, its dashboard, plotly and
//! psycopg2, unless QGD_REQUIRE names it.

use crate::cluster::Cluster;
use crate::sandbox::{Sandbox, shipped};
use crate::tuning::trials;
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
