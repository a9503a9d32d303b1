//! The same commands with PostgreSQL as with a file.

use crate::cluster::Cluster;
use crate::tuning::{sandbox, trials};
use std::io::Write;
use std::process::Stdio;

const OBJECTIVE: [&str; 4] = ["--", "sh", "-c", "echo \"{{\\\"value\\\": $QGD_PARAM_X}}\""];

#[test]
fn a_study_in_postgresql_is_tuned_helped_with_looked_at_and_deleted() {
    let Some(cluster) = Cluster::shared() else { return };
    let (sandbox, url) = (sandbox(), cluster.database());
    let tune = |flags: &[&str]| {
        let output = sandbox.qgd(&[&["tune", "space.toml", "--storage"], flags, &OBJECTIVE].concat());
        assert_eq!(output.code, 0, "{}", output.stderr);
    };
    tune(&[&url, "--trials", "8", "--lag", "3", "--workers", "3"]);
    tune(&["sqlite:///s.db", "--trials", "8", "--lag", "3"]);
    let comparable = |storage: &str| {
        let trials = trials(&sandbox, "space", storage);
        trials.iter().map(|t| (t["params"].clone(), t["values"].clone(), t["state"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(comparable(&url), comparable("sqlite:///s.db"));
    // As Optuna writes the same address.
    let theirs = url.replace("postgresql://", "postgresql+psycopg2://");
    let worker = sandbox
        .qgd(&[&["worker", "--study", "space", "--storage", &theirs, "--trials", "10"], &OBJECTIVE[..]].concat());
    assert_eq!((worker.code, comparable(&url).len()), (0, 10), "{}", worker.stderr);
    let on = |command: &[&str]| sandbox.qgd(&[&["study"], command, &["--storage", &url]].concat());
    assert!(on(&["list"]).stdout.contains("space") && on(&["show", "space"]).stdout.contains("10 trials"));
    assert!(on(&["best", "space", "--json"]).stdout.contains("\"params\""));
    assert_eq!(on(&["delete", "space"]).code, 0);
    assert_eq!(on(&["show", "space"]).code, 2);
}

#[test]
fn asking_and_telling_works_with_postgresql() {
    let Some(cluster) = Cluster::shared() else { return };
    let (sandbox, url) = (sandbox(), cluster.database());
    let run = |lines: &str| {
        let mut command = sandbox.command(&["ask-tell", "--space", "space.toml", "--storage", &url]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    assert!(run("{\"ask\":{}}\n{\"tell\":{\"trial\":0,\"values\":[2]}}").contains("{\"ok\":true}"));
    assert!(run("{\"best\":{}}").contains("\"values\":[2.0]"));
}

#[test]
fn a_server_that_cannot_be_used_is_bad_input_and_the_password_is_not_shown() {
    let Some(cluster) = Cluster::shared() else { return };
    let (sandbox, good) = (sandbox(), cluster.database());
    let refuses = |url: &str, needles: &[&str]| {
        let flags = ["tune", "space.toml", "--storage", url];
        sandbox.refuses(&[&flags[..], &OBJECTIVE].concat(), needles);
        sandbox.refuses(&["study", "list", "--storage", url], needles);
        let output = sandbox.qgd(&[&flags[..], &OBJECTIVE].concat());
        assert!(!output.stderr.contains("secret"), "{}", output.stderr);
    };
    refuses(&good.replace("secret", "secreT"), &["password authentication failed", "postgresql://qgd@127.0.0.1"]);
    refuses(&cluster.url("nowhere"), &["database \"nowhere\" does not exist"]);
    refuses("postgresql://qgd:secret@127.0.0.1:1/db", &["127.0.0.1:1/db", "Connection refused"]);
    refuses("postgresql://qgd:secret@127.0.0.1:x/db", &["postgresql://USER:PASSWORD@HOST:PORT/DATABASE"]);
    sandbox.refuses(&["study", "list", "--storage", &good], &["there are no studies in postgresql://qgd@127.0.0.1"]);
    // The password from the environment.
    let url = good.replacen(&good[good.find(":top").unwrap()..good.find('@').unwrap()], "", 1);
    let mut command =
        sandbox.command(&[&["tune", "space.toml", "--trials", "1", "--storage", &url], &OBJECTIVE[..]].concat());
    assert!(!url.contains("secret") && command.env("PGPASSWORD", "top@secret/1").status().unwrap().success());
}
