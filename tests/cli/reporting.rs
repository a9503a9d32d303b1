//! `qgd report`: what is on the page is what the files say, and nothing in them becomes a part of the page itself.

use crate::sandbox::Sandbox;
use qgd::Pretrained;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn decision(step: u64, loss: Option<f64>, action: Option<&str>, reason: &str) -> Value {
    let action = action.map(|lr| json!({ "lr": lr, "weight_decay": "accept" }));
    json!({
        "step": step, "loss": loss, "lr": 0.01 * (step + 1) as f64, "weight_decay": 0.0, "action": action,
        "reason": reason, "features": [0.5, -1.0], "q_values": [0.0, 1.0, 2.0],
    })
}

/// A trace of a few decisions, one of them the guard's.
fn trace() -> String {
    let lines = [
        decision(0, Some(2.5), Some("grow"), "policy"),
        decision(1, None, None, "non-finite"),
        decision(2, Some(2.25), Some("halve"), "loss-exploded"),
        decision(40, Some(0.5), Some("accept"), "no-evidence"),
    ];
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// What `qgd evaluate --json` would write of a problem.
fn evaluation(name: &str) -> Value {
    let starts = |losses: [Option<f64>; 2]| {
        let start = |(lr, loss): (f64, Option<f64>)| json!({ "lr": lr, "train_loss": loss.unwrap_or(1e3), "cells": [{ "train_loss": loss, "test_loss": 1.0 }] });
        [0.001, 1.0].into_iter().zip(losses).map(start).collect::<Vec<_>>()
    };
    let runs = json!({
        "task": "digits", "optimizer": "adam", "conditioning": "none", "horizon": 1, "steps": 400, "exposures": 17.8,
        "regime": "between", "first_loss": 2.3, "seeds": [0],
        "methods": [{ "name": name, "starts": starts([Some(0.1), Some(0.2)]) }, { "name": "cosine", "starts": starts([Some(0.3), None]) }],
    });
    let against = json!({ "name": "cosine", "best": 0.3, "best_start": 0.001, "median": 500.0, "ratio": 0.5, "untuned_ratio": 0.1, "old_ratio": 0.5, "p_value": null, "outcome": "tie" });
    let verdict = json!({ "best": 0.1, "median": 0.15, "worst": 0.2, "worst_ratio": 1.3, "tuned_ratio": 0.5, "rivals_ratio": 0.5, "best_rival": "cosine", "rivals": [against] });
    json!({
        "version": "0.1.0", "controller": { "name": name, "recipe_hash": "abc", "meta_training_seed": 7, "file_hash": null },
        "suite": "small", "quick": true, "device": "cpu", "accuracy_deficit": null, "log_test_loss_ratio": null,
        "problems": [{ "runs": runs, "verdict": verdict, "seconds": { "own": 1.0, "cosine": 1.0 } }],
    })
}

/// A study of this name with complete and failed trials, and intermediate values.
fn study(sandbox: &Sandbox, name: &str, choice: &str) {
    let space = format!(
        "[params.x]\ntype = 'float'\nlow = 0.5\nhigh = 4.0\n[params.kind]\ntype = 'categorical'\nchoices = ['plain', {}]\n",
        json!(choice)
    );
    sandbox.write("space.toml", space);
    sandbox.write(
        "objective.sh",
        "test $((QGD_TRIAL % 4)) = 3 && exit 3\n\
         for step in 1 2 3; do printf '{\"step\": %d, \"value\": %s}\\n' $step $QGD_PARAM_X; done\n\
         printf '{\"value\": %s}\\n' $QGD_PARAM_X\n",
    );
    let options = ["--study", name, "--trials", "9", "--logs", "logs", "--", "sh", "objective.sh"];
    let output = sandbox.qgd(&[&["tune", "space.toml"][..], &options].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
}

#[test]
fn runs_are_laid_over_each_other_and_everything_else_stands_in_the_order_given() {
    let sandbox = Sandbox::new();
    sandbox.write("low.jsonl", trace());
    sandbox.write("high.jsonl", trace());
    sandbox.write("e.json", evaluation("mine").to_string());
    study(&sandbox, "space", "other");
    let page = sandbox.reported(&["e.json", "low.jsonl", "hu-lr", "high.jsonl", "space"]);
    let kinds: Vec<&str> = page["sections"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["evaluation", "runs", "controller", "study"]);
    let runs = &page["sections"][1];
    assert_eq!([&runs["runs"][0]["name"], &runs["runs"][1]["name"]], ["low", "high"]);
    let run = &runs["runs"][0];
    // Step, loss, learning rate, weight decay, both moves, reason.
    assert_eq!(run["rows"][0], json!([0, 2.5, 0.01, 0.0, 2, 1, 0]));
    let [skipped, halved] = [&run["rows"][1], &run["rows"][2]];
    assert!(skipped[1].is_null() && skipped[4].is_null() && halved[4] == 0, "{run}");
    let reason = |row: &Value| runs["reasons"][row[6].as_u64().unwrap() as usize].clone();
    assert_eq!((reason(skipped)["name"].as_str(), reason(halved)["guard"].as_bool()), (Some("non-finite"), Some(true)));
    assert_eq!(run["reasons"], json!({ "policy": 1, "non-finite": 1, "loss-exploded": 1, "no-evidence": 1 }));
    let output = sandbox.qgd(&["report", "low.jsonl", "high.jsonl", "hu-lr", "space", "e.json"]);
    assert!(
        output.stdout.starts_with("report.html: 2 runs, 1 study, 1 controller, 1 evaluation; "),
        "{}",
        output.stdout
    );
}

#[test]
fn a_study_is_on_the_page_as_the_other_commands_show_it() {
    let sandbox = Sandbox::new();
    study(&sandbox, "first", "other");
    let page = sandbox.reported(&["first"]);
    let found = &page["sections"][0];
    let trials = crate::studies::trials(&sandbox, "first", "sqlite:///qgd.db");
    assert_eq!(found["n_trials"], trials.len());
    for (drawn, trial) in found["trials"].as_array().unwrap().iter().zip(&trials) {
        assert_eq!([&drawn["number"], &drawn["values"]], [&trial["trial"], &trial["values"]]);
        assert_eq!(drawn["state"] == "failed", drawn["reason"].is_string());
    }
    assert_eq!(found["counts"]["failed"], trials.iter().filter(|trial| trial["state"] == "FAIL").count());
    let best: Value = serde_json::from_str(&sandbox.qgd(&["study", "best", "first", "--json"]).stdout).unwrap();
    let records = found["records"][0].as_array().unwrap();
    assert_eq!([&found["best"][0], &records.last().unwrap()[0]], [&best["trial"], &best["trial"]]);
    assert!(records.windows(2).all(|pair| pair[0][1].as_f64() > pair[1][1].as_f64()), "{records:?}");
    let shares: Value = serde_json::from_str(&sandbox.qgd(&["study", "importance", "first", "--json"]).stdout).unwrap();
    for (drawn, share) in found["importance"][0].as_array().unwrap().iter().zip(shares.as_array().unwrap()) {
        assert_eq!([&drawn[0], &drawn[1]], [&share["param"], &share["importance"]]);
    }
    let places: Vec<&str> = found["params"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(places, ["kind", "x"]);
    assert_eq!(found["params"][0]["choices"], json!(["plain", "other"]));
    assert_eq!(found["trials"][0]["params"][1], trials[0]["params"]["x"]);
    assert_eq!(found["trials"][0]["curve"].as_array().unwrap().len(), 3);
    // The same by the database, which is found by looking into the file.
    std::fs::rename(sandbox.path("qgd.db"), sandbox.path("studies")).unwrap();
    assert_eq!(&sandbox.reported(&["studies"])["sections"][0], found);
    assert_eq!(&sandbox.reported(&["sqlite:///studies"])["sections"][0], found);
    assert_eq!(&sandbox.reported(&["first", "--storage", "sqlite:///studies"])["sections"][0], found);
}

#[test]
fn a_controller_comes_with_its_card_its_networks_and_what_they_answer() {
    let sandbox = Sandbox::new();
    sandbox.write("mine", Pretrained::shipped_bytes("hu-lambda").unwrap());
    // One for line searches has no portrait.
    for (given, name, n_rows) in [("lr", "lr", 9), ("mine", "hu-lambda", 0)] {
        let exported = sandbox.qgd(&["export", name, "--format", "json", "-o", "-"]).stdout;
        let pretrained = Pretrained::shipped(name).unwrap();
        let page = sandbox.reported(&[given]);
        let found = &page["sections"][0];
        assert_eq!(found["exported"], serde_json::from_str::<Value>(&exported).unwrap());
        let neutral: Vec<f32> = serde_json::from_value(found["neutral"].clone()).unwrap();
        let inside = |(value, range): (&f32, &[f32; 2])| (range[0]..=range[1]).contains(value);
        assert!(neutral.iter().zip(pretrained.ranges()).all(inside), "{neutral:?}");
        assert_eq!(neutral.iter().any(|value| *value != 0.0), n_rows > 0);
        let q_values: Vec<f32> = serde_json::from_value(found["q_values"].clone()).unwrap();
        assert_eq!(q_values, pretrained.q_values(&neutral).unwrap());
        assert_eq!(found["portrait"]["rows"].as_array().unwrap().len(), n_rows);
    }
}

#[test]
fn an_evaluation_is_on_the_page_with_what_diverged() {
    let sandbox = Sandbox::new();
    sandbox.write("e.json", evaluation("mine").to_string());
    let page = sandbox.reported(&["e.json"]);
    let problem = &page["sections"][0]["problems"][0];
    assert_eq!(problem["verdict"]["rivals"][0]["outcome"], "tie");
    let methods = &problem["runs"]["methods"];
    assert!(methods[1]["starts"][1]["cells"][0]["train_loss"].is_null(), "{methods}");
    assert_eq!(methods[0]["starts"][1]["cells"][0]["train_loss"], 0.2);
    let tints = page["sections"][0]["tints"].as_object().unwrap();
    assert_eq!(tints.keys().collect::<Vec<_>>(), ["cosine", "mine"]);
}

#[test]
fn a_long_run_makes_a_small_page_and_loses_no_spike() {
    let sandbox = Sandbox::new();
    let (n, spike) = (200_000, 123_457);
    let line = |step: u64| {
        let loss = if step == spike { 1e6 } else { 1.0 + (step % 97) as f64 / 97.0 };
        format!(
            "{}\n",
            decision(step, Some(loss), Some(if step.is_multiple_of(3) { "halve" } else { "grow" }), "policy")
        )
    };
    sandbox.write("long.jsonl", (0..n).map(line).collect::<String>());
    let run = sandbox.reported(&["long.jsonl"])["sections"][0]["runs"][0].clone();
    let bytes = sandbox.read("page.html").len();
    assert!(bytes < 500_000, "{bytes}");
    let rows = run["rows"].as_array().unwrap();
    assert!(rows.iter().any(|row| row[0] == spike && row[1] == 1e6), "the spike is lost");
    assert_eq!([&rows[0][0], &rows[rows.len() - 1][0]], [&json!(0), &json!(n - 1)]);
    assert_eq!(run["n_decisions"], n);
    // The strip still counts every action.
    let strip = run["strip"].as_array().unwrap();
    let count = |place: usize| strip.iter().map(|stretch| stretch[2][place].as_u64().unwrap()).sum::<u64>();
    assert_eq!([count(0), count(1), count(2)], [n.div_ceil(3), 0, n - n.div_ceil(3)]);
}

#[test]
fn nothing_that_a_file_says_becomes_part_of_the_page() {
    let sandbox = Sandbox::new();
    let hostile = "</script><script>document.title='hacked'</script><img src=x onerror=alert(1)>\"'&<!--\u{202e}";
    study(&sandbox, hostile, hostile);
    let file = "a\"><b>'&.jsonl";
    sandbox.write(file, trace());
    sandbox.write("e.json", evaluation(hostile).to_string());
    let page = sandbox.reported(&[file, "e.json", hostile]);
    assert_eq!(page["sections"][0]["runs"][0]["name"], "a\"><b>'&");
    assert_eq!(page["sections"][1]["controller"]["name"], hostile);
    assert_eq!([&page["sections"][2]["name"], &page["sections"][2]["params"][0]["choices"][1]], [hostile, hostile]);
    let html = sandbox.read("page.html");
    // Both scripts of the page, and no other tag than its own.
    assert_eq!((html.matches("<script").count(), html.matches("</script").count()), (2, 2));
    let tags: BTreeSet<&str> = html
        .split_once("<script>")
        .unwrap()
        .0
        .split('<')
        .skip(1)
        .map(|rest| rest.split(['>', ' ', '\n']).next().unwrap())
        .collect();
    let own =
        ["!doctype", "/a", "/body", "/footer", "/head", "/header", "/main", "/noscript", "/script", "/style", "/title"];
    let own = own.iter().chain(&[
        "a", "body", "footer", "head", "header", "html", "main", "meta", "noscript", "script", "style", "title",
    ]);
    let odd: Vec<&&str> = tags.iter().filter(|tag| !own.clone().any(|known| known == *tag)).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn the_same_files_make_the_same_page() {
    let sandbox = Sandbox::new();
    sandbox.write("t.jsonl", trace());
    sandbox.reported(&["t.jsonl", "hu-lambda"]);
    let first = sandbox.read("page.html");
    sandbox.write("page.html", "what was there before");
    sandbox.reported(&["t.jsonl", "hu-lambda"]);
    assert!(sandbox.read("page.html") == first);
}

#[test]
fn what_cannot_be_shown_is_refused_by_name_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    sandbox.write("t.jsonl", trace());
    sandbox.write("text.txt", "step loss\n1 0.5\n");
    sandbox.write("result.json", "{\"lr_first\": 1,\n\"lr_last\": 2}");
    sandbox.write("empty.jsonl", "");
    sandbox.write("bad.jsonl", trace() + "{\"step\": 41, \"lr\": true}\n");
    sandbox.write("twice.jsonl", trace() + &trace());
    sandbox.write("broken.qgd", &Pretrained::shipped_bytes("lr").unwrap()[..100]);
    sandbox.write("old.json", "{\"controller\": {\"name\": \"lr\"}, \"suite\": 3, \"problems\": []}");
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    let allowed = ["a trace of decisions (qgd train --trace)", "qgd evaluate --json", "a study"];
    let with = |first: &[&'static str]| [first, &allowed[..]].concat();
    sandbox.refuses(&["report"], &["RUN|STUDY|FILE"]);
    sandbox.refuses(&["report", "text.txt"], &with(&["text.txt begins with `step loss"]));
    sandbox.refuses(&["report", "result.json"], &with(&["result.json holds JSON with lr_first, lr_last"]));
    sandbox.refuses(&["report", "t.jsonl", "empty.jsonl"], &["empty.jsonl is empty"]);
    sandbox.refuses(&["report", "bad.jsonl"], &["bad.jsonl, line 5, is no decision", "boolean"]);
    sandbox.refuses(
        &["report", "twice.jsonl"],
        &["twice.jsonl, line 5, is of step 0, after one of step 40", "its own file"],
    );
    sandbox.refuses(&["report", "broken.qgd"], &["broken.qgd is not usable", "truncated"]);
    sandbox
        .refuses(&["report", "old.json"], &["old.json is no result of qgd evaluate that this version reads", "string"]);
    sandbox.refuses(
        &["report", "missing.jsonl"],
        &["no file and no controller missing.jsonl", "there are no studies in qgd.db"],
    );
    sandbox.refuses(&["report", "folder"], &["no file and no controller folder"]);
    sandbox.refuses(&["report", "mysql://host/studies"], &["`mysql://host/studies`", "sqlite:///FILE"]);
    sandbox.refuses(&["report", "t.jsonl", "-o", "no/such.html"], &["--output no/such.html", "folder"]);
    sandbox.refuses(&["report", "t.jsonl", "-o", "t.jsonl"], &["--output t.jsonl would overwrite the input t.jsonl"]);
    study(&sandbox, "space", "other");
    sandbox.refuses(&["report", "spaec"], &["no study spaec", "did you mean `space`", "sqlite:///qgd.db: space"]);
    sandbox
        .refuses(&["report", "space", "-o", "qgd.db"], &["--output qgd.db would overwrite the database of --storage"]);
}
