//! `qgd export`: what is written is enough to decide as the controller does, and nothing else is ever overwritten.

use crate::sandbox::{Sandbox, shipped};
use qgd::controller::Features;
use qgd::driver::{Pilot, Session, TraceRecord};
use qgd::policy::{Action, Measured};
use qgd::rng::stream;
use qgd::{Controller, Decision, LossWindow, Policy, Pretrained, Signals};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::process::Command;
use std::sync::{Arc, Mutex};

/// Number of decisions that a controller in another language must repeat.
const DECISIONS: usize = 200;

/// A controller that writes down what it decides, with its features as they are before they are confined.
struct Recorded {
    controller: Controller,
    tracker: Features,
    last_action: Option<Action>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Recorded {
    fn new(pretrained: &Arc<Pretrained>, lines: &Arc<Mutex<Vec<String>>>) -> Self {
        let controller = Controller::new(pretrained.clone());
        let tracker = controller.recipe().features.tracker(controller.recipe().controls);
        Self { controller, tracker, last_action: None, lines: lines.clone() }
    }
}

impl Policy for Recorded {
    fn decide(&mut self, signals: &Signals) -> Decision {
        let mut features = vec![0.0; self.controller.recipe().features.names().len()];
        self.tracker.update(signals, self.last_action, &mut features);
        let decision = self.controller.decide(signals);
        self.last_action = decision.action;
        let record = TraceRecord {
            step: signals.step,
            loss: signals.window.mean,
            lr: signals.lr,
            weight_decay: signals.weight_decay,
            action: decision.action,
            reason: decision.reason,
            features: &features,
            q_values: self.controller.explain().unwrap().q_values,
        };
        let mut line = Vec::new();
        record.write_json_line(&mut line).unwrap();
        self.lines.lock().unwrap().push(String::from_utf8(line).unwrap());
        decision
    }
}

/// Decisions in runs of gradient descent in a noisy valley, from rates far too low up to far too high.
fn in_runs(pretrained: &Arc<Pretrained>) -> Vec<String> {
    let lines = Arc::default();
    for (run, lr) in [1e-6, 1e-2, 0.3, 30.0].into_iter().enumerate() {
        let mut rng = stream(run as u64, "valley");
        let config = pretrained.recipe().driver_config(Some(300));
        let pilot = Pilot::new(Recorded::new(pretrained, &lines)).with_config(config);
        let mut session = Session::new(pilot, lr).unwrap();
        let mut x = vec![1.0f32; 8];
        for _ in 0..300 {
            let noise = rng.random_range(-0.2f32..0.2);
            let grad: Vec<f32> = x.iter().zip(1..).map(|(x, steep)| steep as f32 * (x - noise)).collect();
            let loss = 0.5 * x.iter().zip(&grad).map(|(x, g)| (x - noise) * g).sum::<f32>();
            if let Some(rates) = session.step(loss, &mut x, &grad).unwrap() {
                x.iter_mut().zip(&grad).for_each(|(x, g)| *x -= rates.lr as f32 * g);
            }
        }
    }
    Arc::into_inner(lines).unwrap().into_inner().unwrap()
}

/// Decisions at signals that are drawn at random, wilder from one run of ten to the next.
fn at_random(pretrained: &Arc<Pretrained>) -> Vec<String> {
    let lines = Arc::default();
    let mut rng = stream(0, "signals");
    for run in 0..DECISIONS / 10 {
        let mut policy = Recorded::new(pretrained, &lines);
        // In the first steps of a line search nothing is decided.
        for step in 40..50 {
            policy.decide(&signals(step, 0.1 * run as f64, &mut rng));
        }
    }
    Arc::into_inner(lines).unwrap().into_inner().unwrap()
}

/// Positive signals spread over so many powers of ten; cosines are anything.
fn signals(step: u64, decades: f64, rng: &mut ChaCha8Rng) -> Signals {
    let mut positive = |usual: f64| usual * 10f64.powf(decades * rng.random_range(-2.0..2.0));
    let (loss, lr, weight_decay) = (positive(1.0), positive(0.01), positive(1e-3));
    let measured = Measured {
        grad_norm: positive(1.0),
        update_norm: positive(0.01),
        param_norm: positive(3.0),
        distance: positive(0.1),
        grad_dot: positive(0.5),
        ..Measured::default()
    };
    let (validation, lr_ceiling) = (Some(positive(1.0)), Some(positive(0.1)));
    let [alignment, descent_cosine, grad_alignment, update_cosine] = [(); 4].map(|()| rng.random_range(-1.0..1.0));
    let measured = Measured { alignment, descent_cosine, grad_alignment, update_cosine, grad_snr: 0.6, ..measured };
    let window = LossWindow { n: 1, mean: loss, std: 0.0, recent: loss };
    let (lr_base, weight_decay_base, total_steps) = (0.01, 1e-3, Some(100));
    let steps_per_epoch = Some(20.0);
    Signals {
        step,
        total_steps,
        steps_per_epoch,
        window,
        measured,
        lr,
        lr_base,
        lr_ceiling,
        weight_decay,
        weight_decay_base,
        validation,
        below_floor: false,
    }
}

fn exported(sandbox: &Sandbox, controller: &str) -> Value {
    let output = sandbox.qgd(&["export", controller, "--format", "json", "-o", "-"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    serde_json::from_str(&output.stdout).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Q-values by the file alone.
fn q_values(file: &Value, features: &[f32]) -> Vec<f64> {
    let ends = file["features"].as_array().unwrap().iter();
    let confined = ends
        .zip(features)
        .map(|(about, &v)| f64::from(v).clamp(about["low"].as_f64().unwrap(), about["high"].as_f64().unwrap()));
    let confined: Vec<f64> = confined.collect();
    let networks = file["networks"].as_array().unwrap();
    let mut mean = vec![0.0; file["actions"].as_array().unwrap().len()];
    for network in networks {
        let (mut x, layers) = (confined.clone(), network["layers"].as_array().unwrap());
        for (i, layer) in layers.iter().enumerate() {
            let rows = layer["weight"].as_array().unwrap().iter().zip(numbers(&layer["bias"]));
            let out = rows.map(|(row, bias)| bias + numbers(row).iter().zip(&x).map(|(w, x)| w * x).sum::<f64>());
            x = out.map(|v| if i + 1 < layers.len() { v.max(0.0) } else { v }).collect();
        }
        if network["dueling"] == true {
            let average = x[1..].iter().sum::<f64>() / (x.len() - 1) as f64;
            x = x[1..].iter().map(|advantage| x[0] + advantage - average).collect();
        }
        mean.iter_mut().zip(&x).for_each(|(mean, q)| *mean += q / networks.len() as f64);
    }
    mean
}

#[test]
fn the_json_alone_gives_the_q_values_of_every_shipped_controller() {
    let (sandbox, mut rng) = (Sandbox::new(), stream(1, "features"));
    for name in Pretrained::NAMES {
        let (file, pretrained) = (exported(&sandbox, name), Pretrained::shipped(name).unwrap());
        let recipe = pretrained.recipe();
        let names: Vec<&str> =
            file["features"].as_array().unwrap().iter().map(|feature| feature["name"].as_str().unwrap()).collect();
        assert_eq!(names, recipe.features.names());
        assert_eq!(file["networks"].as_array().unwrap().len(), pretrained.networks().len());
        assert_eq!(file["card"]["recipe_hash"], pretrained.card().recipe_hash);
        for _ in 0..20 {
            let row: Vec<f32> = names.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
            let (own, theirs) = (pretrained.q_values(&row).unwrap(), q_values(&file, &row));
            // Those of hu-lr go up to 300, of which single precision has seven digits.
            let close = |a: f64, b: f64| (a - b).abs() < 1e-6 * b.abs().max(1.0);
            let all = own.iter().zip(&theirs).all(|(&a, &b)| close(a.into(), b));
            assert!(own.len() == theirs.len() && all, "{name}: {own:?} {theirs:?}");
        }
    }
    assert!(sandbox.listing().is_empty(), "stdout is no file");
}

#[test]
fn the_json_says_all_that_decides_beside_the_networks() {
    let sandbox = Sandbox::new();
    let lr = exported(&sandbox, "lr");
    assert_eq!([&lr["format"], &lr["name"], &lr["controls"]], ["qgd-controller", "lr", "lr"]);
    let factors: Vec<&Value> = lr["actions"].as_array().unwrap().iter().map(|action| &action["lr_factor"]).collect();
    assert_eq!(factors, [0.5, 1.0, 1.25]);
    assert_eq!(lr["pace"]["per_doubling"], 4);
    assert_eq!(lr["guard"]["drift"], 1.3);
    assert_eq!(lr["bounds"]["lr"][1], 100.0);
    // 0.5 standard errors, over 3, squashed.
    let threshold = lr["halve_evidence"]["loss_rise"].as_f64().unwrap();
    assert!((threshold - (0.5 / 3.0) / (1.0 + 0.5 / 3.0)).abs() < 1e-7 && lr["halve_evidence"]["steps"] == 64);
    let joint = exported(&sandbox, "joint");
    assert_eq!(joint["actions"].as_array().unwrap().len(), 9);
    assert_eq!([&joint["actions"][0]["lr_factor"], &joint["actions"][0]["weight_decay_factor"]], [0.5, 0.125]);
    let hu = exported(&sandbox, "hu-lambda");
    assert!(hu["guard"].is_null() && hu["pace"].is_null() && hu["halve_evidence"].is_null());
    assert_eq!(hu["line_search"]["memory"], 10);
    for file in [lr, joint, hu] {
        let said = file["decides"].as_array().unwrap();
        assert!(said.len() >= 5 && said.iter().all(|sentence| sentence.as_str().unwrap().ends_with('.')), "{said:?}");
        for feature in file["features"].as_array().unwrap() {
            assert!(!feature["formula"].as_str().unwrap().is_empty());
        }
        assert!(file["symbols"].as_array().unwrap().iter().any(|it| it["symbol"].as_str().unwrap().contains('L')));
    }
}

/// Whether there is a Node that runs the example. If not, says so, or fails where `QGD_REQUIRE` names it.
fn has_node() -> bool {
    let found = Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success());
    let required = std::env::var("QGD_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name == "node"));
    assert!(found || !required, "QGD_REQUIRE asks for node, but it cannot be started");
    if !found {
        eprintln!("skipped: there is no node");
    }
    found
}

/// What the controller in JavaScript says of these decisions, and whether all are as it would have decided.
fn in_javascript(sandbox: &Sandbox, lines: &[String]) -> (String, bool) {
    sandbox.write("decisions.jsonl", lines.concat());
    let script = shipped("examples/other-languages/controller.mjs");
    let mut node = Command::new("node");
    node.args([&script, "file.json", "decisions.jsonl"]).current_dir(sandbox.path("."));
    let output = node.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (String::from_utf8(output.stdout).unwrap(), output.status.success())
}

/// The file in JavaScript's hands decides as it was recorded.
fn agrees(sandbox: &Sandbox, recorded: &[String]) {
    let (said, fine) = in_javascript(sandbox, recorded);
    assert!(fine && said.starts_with(&format!("{0} of {0} decisions", recorded.len())), "{said}");
    // Of up to 300, in single precision.
    let apart: f64 = said.trim().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(apart < 1e-4, "{said}");
}

/// Number of decisions that were taken for this reason.
fn count(recorded: &[String], reason: &str) -> usize {
    recorded.iter().filter(|line| line.contains(&format!("\"reason\":\"{reason}\""))).count()
}

#[test]
fn a_controller_in_javascript_repeats_200_recorded_decisions_of_every_shipped_one() {
    if !has_node() {
        return;
    }
    let sandbox = Sandbox::new();
    for name in Pretrained::NAMES {
        let output = sandbox.qgd(&["export", name, "-o", "file.json"]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        let recorded = at_random(&Arc::new(Pretrained::shipped(name).unwrap()));
        assert_eq!(recorded.len(), DECISIONS);
        agrees(&sandbox, &recorded);
    }
}

#[test]
fn a_controller_in_javascript_repeats_the_decisions_of_runs_and_finds_those_that_are_none_of_its_own() {
    if !has_node() {
        return;
    }
    let (sandbox, lr) = (Sandbox::new(), Arc::new(Pretrained::shipped("lr").unwrap()));
    assert_eq!(sandbox.qgd(&["export", "lr", "-o", "file.json"]).code, 0);
    let recorded = in_runs(&lr);
    assert!(recorded.len() >= DECISIONS, "{}", recorded.len());
    agrees(&sandbox, &recorded);
    let withheld = recorded.iter().find(|line| line.contains("no-evidence")).unwrap();
    assert!(count(&recorded, "no-evidence") >= 5 && count(&recorded, "policy") >= 100);
    let later = withheld.replacen("\"step\":", "\"step\":1000", 1);
    let (said, fine) = in_javascript(&sandbox, &[&recorded[..], &[later]].concat());
    assert!(!fine && said.contains(": halve accept policy; the trace has"), "{said}");
}

#[test]
fn a_controller_in_javascript_does_not_act_where_features_are_out_of_range() {
    if !has_node() {
        return;
    }
    let (sandbox, lr) = (Sandbox::new(), Pretrained::shipped("lr").unwrap());
    let narrow = lr.ranges().iter().map(|range| range.map(|end| 0.3 * end)).collect();
    let (recipe, networks, card) = (lr.recipe().clone(), lr.networks().to_vec(), lr.card().clone());
    let narrow = Pretrained::new(recipe, networks, narrow, card).unwrap();
    narrow.save(&sandbox.path("narrow.qgd")).unwrap();
    assert_eq!(sandbox.qgd(&["export", "narrow.qgd", "-o", "file.json"]).code, 0);
    let recorded = at_random(&Arc::new(narrow));
    agrees(&sandbox, &recorded);
    let n_far = count(&recorded, "out-of-range");
    assert!((20..DECISIONS - 20).contains(&n_far), "{n_far}");
}

#[test]
fn a_file_goes_beside_the_controller_under_its_name() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("mine")).unwrap();
    sandbox.write("mine/own.v2.qgd", Pretrained::shipped_bytes("lr").unwrap());
    let output = sandbox.qgd(&["export", "mine/own.v2.qgd", "--format", "onnx"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "mine/own.v2.onnx: 4 networks, 39 features, 3 actions\n"));
    for format in ["json", "safetensors", "onnx"] {
        assert_eq!(sandbox.qgd(&["export", "hu-lr", "--format", format]).code, 0);
    }
    assert_eq!(sandbox.listing(), ["hu-lr.json", "hu-lr.onnx", "hu-lr.safetensors", "mine"]);
    // What was there is replaced, by the same bytes.
    for file in ["hu-lr.json", "hu-lr.onnx", "hu-lr.safetensors"] {
        let first = std::fs::read(sandbox.path(file)).unwrap();
        sandbox.write(file, "old");
        assert_eq!(sandbox.qgd(&["export", "hu-lr", "-o", file]).code, 0);
        assert!(std::fs::read(sandbox.path(file)).unwrap() == first, "{file}");
    }
}

#[test]
fn what_cannot_be_exported_is_refused_and_nothing_written() {
    let sandbox = Sandbox::new();
    sandbox.refuses(&["export", "lr"], &["--format"]);
    sandbox.refuses(&["export", "lr", "--format", "onx"], &["onx", "safetensors, json, onnx"]);
    sandbox.refuses(&["export", "lr", "-o", "lr.bin"], &["lr.bin", "--format safetensors, json or onnx"]);
    sandbox.refuses(&["export", "lr", "--format", "json", "-o", "lr.onnx"], &["json", "lr.onnx", "which says onnx"]);
    sandbox.refuses(&["export", "lr", "--format", "onnx", "-o", "-"], &["--output -", "json", "onnx"]);
    sandbox.refuses(&["export", "lrr", "--format", "json"], &["\"lrr\"", "lr-line-search"]);
    sandbox.refuses(&["export", "missing.qgd", "--format", "json"], &["missing.qgd"]);
    sandbox.refuses(&["export", "lr", "-o", "no/such/folder.json"], &["--output no/such/folder.json", "folder"]);
    sandbox.write("text.qgd", "no controller");
    sandbox.refuses(&["export", "text.qgd", "--format", "json"], &["text.qgd", "not a qgd file"]);
    sandbox.write("own.json", Pretrained::shipped_bytes("lr").unwrap());
    sandbox
        .refuses(&["export", "own.json", "--format", "json"], &["--output own.json", "would overwrite the controller"]);
}
