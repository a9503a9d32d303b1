//! `qgd compare` and `qgd demo`.

use crate::sandbox::{Sandbox, assert_page, shipped};
use serde_json::Value;

fn digits() -> String {
    shipped("examples/tasks/digits.toml")
}

#[test]
fn a_comparison_is_a_table_a_json_file_and_a_picture() {
    let sandbox = Sandbox::new();
    let compare = ["compare", &digits(), "--steps", "60", "--starts", "1e-5,1e-2", "--methods", "constant,lr"];
    let output = sandbox.qgd(&[&compare[..], &["--seeds", "2", "--json", "c.json", "--chart", "c.svg"]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    for name in ["constant", "lr", "median", "worst"] {
        assert!(output.stdout.contains(name), "{}", output.stdout);
    }
    let json = sandbox.json("c.json");
    let losses = |method: usize| {
        let starts = json["methods"][method]["train_loss"].as_array().unwrap();
        starts.iter().map(|loss| loss.as_f64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((json["methods"][0]["name"].as_str(), losses(0).len()), (Some("constant"), 2));
    assert!(losses(0)[0] > losses(0)[1], "1e-5 is no learning rate: {:?}", losses(0));
    assert!(losses(1)[0] < losses(0)[0], "the controller should notice: {:?} against {:?}", losses(1), losses(0));
    // Train and test, and never a controller that could be taken for a learning rate.
    assert!(output.stdout.contains("test accuracy") && output.stdout.contains("qgd (lr)"), "{}", output.stdout);
    let picture = sandbox.read("c.svg");
    assert!(picture.starts_with("<svg") && picture.contains(">training loss<") && !picture.contains(">lr<"));
    // The legend has the order of the table, although the first line is drawn last.
    assert!(picture.find(">constant<") < picture.find(">qgd (lr)<"));
}

#[cfg(feature = "png")]
#[test]
fn a_chart_is_drawn_in_the_format_that_its_name_ends_with() {
    let sandbox = Sandbox::new();
    let compare = ["compare", &digits(), "--steps", "2", "--starts", "1e-2,0.1", "--methods", "lr", "--seeds", "1"];
    let drawn = |flag: &str, file: &str| {
        let output = sandbox.qgd(&[&compare[..], &[flag, file]].concat());
        assert_eq!(output.code, 0, "{}", output.stderr);
        let warns = ["usvg", "simplecss"].iter().any(|drawer| output.stderr.contains(drawer));
        assert!(!warns, "{}", output.stderr);
        std::fs::read(sandbox.path(file)).unwrap()
    };
    let picture = drawn("--chart", "c.png");
    assert!(picture.starts_with(b"\x89PNG"));
    // Both flags mean the same, and so do endings in capitals.
    assert_eq!(drawn("--svg", "c.PNG"), picture);
    assert!(drawn("--chart", "c.svg").starts_with(b"<svg"));
    for (command, file) in [("compare", "c.jpg"), ("demo", "c"), ("evaluate", "png")] {
        let args: &[&str] = if command == "demo" { &["demo"] } else { &[command, "missing"] };
        sandbox.refuses(&[args, &["--chart", file]].concat(), &["--chart", &format!("'{file}'"), ".svg or .png"]);
    }
}

#[test]
fn the_number_of_jobs_does_not_change_a_comparison() {
    let sandbox = Sandbox::new();
    let compare = |jobs: &str| {
        let args =
            ["compare", &digits(), "--steps", "30", "--starts", "1e-3,1", "--methods", "greedy,lr", "--seeds", "2"];
        let output = sandbox.qgd(&[&args[..], &["--jobs", jobs, "--json", "out.json"]].concat());
        assert_eq!(output.code, 0, "{}", output.stderr);
        (output.stdout, sandbox.read("out.json"))
    };
    assert_eq!(compare("1"), compare("3"));
}

#[test]
fn a_controller_that_goes_on_learning_decides_otherwise_and_the_same_every_time() {
    let sandbox = Sandbox::new();
    let compare = |out: &str| {
        let args =
            ["compare", &digits(), "--steps", "300", "--starts", "1e-4", "--methods", "lr,lr+online", "--seeds", "1"];
        let output = sandbox.qgd(&[&args[..], &["--json", out]].concat());
        assert_eq!(output.code, 0, "{}", output.stderr);
        let json = sandbox.json(out);
        [0, 1].map(|method| json["methods"][method]["train_loss"][0].as_f64().unwrap())
    };
    let [frozen, online] = compare("a.json");
    assert!(online.is_finite() && online.to_bits() != frozen.to_bits(), "{frozen}, {online}");
    assert_eq!(compare("b.json").map(f64::to_bits), [frozen, online].map(f64::to_bits));
    sandbox.refuses(&["compare", &digits(), "--methods", "lr-line-search+online"], &["lr-line-search"]);
}

#[test]
fn without_a_weight_decay_joint_is_lr_although_it_sees_the_validation_loss() {
    let sandbox = Sandbox::new();
    let compare = ["compare", &digits(), "--steps", "300", "--starts", "1e-5,1e-2,1", "--methods", "lr,joint"];
    let output = sandbox.qgd(&[&compare[..], &["--seeds", "1", "--json", "c.json"]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    let methods = &sandbox.json("c.json")["methods"];
    assert_eq!(methods[0]["train_loss"], methods[1]["train_loss"]);
}

#[test]
fn one_seed_of_a_comparison_is_the_run_that_train_makes() {
    let sandbox = Sandbox::new();
    sandbox.qgd(&[
        "compare",
        &digits(),
        "--steps",
        "40",
        "--starts",
        "0.01",
        "--methods",
        "lr",
        "--seeds",
        "1",
        "--json",
        "c",
    ]);
    sandbox.qgd(&["train", &digits(), "--steps", "40", "--lr", "0.01", "--controller", "lr", "--json", "t"]);
    assert_eq!(sandbox.json("c")["methods"][0]["train_loss_by_seed"][0][0], sandbox.json("t")["train_loss"]);
}

#[test]
fn bad_comparisons_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.refuses(&["compare", &digits(), "--methods", "constant,cosign", "--json", "o"], &["cosign"]);
    sandbox.refuses(&["compare", &digits(), "--starts", "0.1,-1", "--json", "o"], &["--starts: `train.lr` is -1"]);
    sandbox.refuses(&["compare", &digits(), "--batch-size", "9999", "--json", "o"], &["9999"]);
    sandbox.refuses(&["compare", "missing.toml"], &["missing.toml"]);
}

/// The cells of the row of a table that begins with `name`.
fn row<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name) && !line.contains(':'));
    let line = line.unwrap_or_else(|| panic!("no row of {name}: {text}"));
    line[name.len()..].split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn the_demo_shows_that_the_controller_finds_the_learning_rate() {
    let sandbox = Sandbox::new();
    let demo = ["demo", "--task", &shipped("examples/tasks/demo.toml")];
    sandbox.write("demo.svg", "<svg>a picture of my own</svg>");
    sandbox.refuses(&demo, &["demo.svg is there already", "--chart FILE"]);
    assert_eq!(sandbox.read("demo.svg"), "<svg>a picture of my own</svg>");
    sandbox.write("demo.svg", "<svg><title>A learning rate that finds its own way</title></svg>");
    let output = sandbox.qgd(&demo);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stderr.contains("demo.svg, will be replaced"), "{}", output.stderr);
    assert!(!output.stdout.contains('\x1b'), "no colors in a pipe");
    assert_page(&output.stdout);
    // lr found, lr at the end, train loss, test loss, test accuracy.
    let figure = |name: &str, column: usize| -> f64 {
        let cells = row(&output.stdout, name);
        cells[column].trim_end_matches(" %").parse().unwrap_or_else(|_| panic!("{name}: {cells:?}"))
    };
    let cosine = output.stdout.lines().find(|line| line.starts_with("tuned cosine")).unwrap();
    let cosine = cosine.split("  ").next().unwrap();
    for name in ["with qgd, from 1e-5", "with qgd, from 1 "] {
        assert!((1e-3..0.1).contains(&figure(name, 0)), "{}", output.stdout);
        assert!(figure(name, 1) < figure(name, 0), "it cools down: {}", output.stdout);
        assert!(figure(name, 3) < 1.1 * figure(cosine, 3), "{}", output.stdout);
        assert!(figure(name, 4) > figure(cosine, 4) - 1.5, "{}", output.stdout);
    }
    for name in ["alone, from 1e-5", "alone, from 1 "] {
        assert!(figure(name, 3) > 10.0 * figure(cosine, 3), "{}", output.stdout);
    }
    let picture = sandbox.read("demo.svg");
    assert!(picture.contains("with qgd, from 1e-5") && picture.contains("<polygon"), "five seeds make bands");
    sandbox.refuses(&["demo", "--task", "missing.toml"], &["missing.toml"]);
}

#[test]
fn tables_fit_a_page_whatever_the_methods_are_called() {
    let sandbox = Sandbox::new();
    let long = format!("{}.qgd", "a-controller-of-mine-".repeat(8));
    std::fs::copy(shipped("pretrained/lr.qgd"), sandbox.path(&long)).unwrap();
    let methods = format!("{long},constant");
    let compare =
        ["compare", &digits(), "--steps", "5", "--starts", "1e-5,1e30", "--seeds", "1", "--methods", &methods];
    let output = sandbox.qgd(&[&compare[..], &["--chart", "c.svg"]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_page(&output.stdout);
    assert!(output.stdout.contains("counts as a loss of 1000") && output.stdout.contains('…'), "{}", output.stdout);
    assert!(sandbox.read("c.svg").contains("a seed diverged"));
    for controller in ["lr", "joint", "hu-lambda", "weight-decay", "lr-line-search"] {
        assert_page(&sandbox.qgd(&["inspect", controller]).stdout);
    }
}

#[test]
fn weight_decays_are_compared_by_the_validation_error() {
    let sandbox = Sandbox::new();
    sandbox.weight_decay_controller("w.qgd");
    let compare = ["compare", &digits(), "--steps", "60", "--weight-decays", "1e-4,0.9", "--seeds", "2"];
    let output = sandbox.qgd(&[&compare[..], &["--methods", "w.qgd,constant", "--json", "c.json"]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stdout.contains("validation error after 60 steps over 2 starts, mean of 2 seeds"),
        "{}",
        output.stdout
    );
    let json = sandbox.json("c.json");
    assert_eq!((&json["swept"], json["starts"][1].as_f64()), (&Value::from("weight_decay"), Some(0.9)));
    let errors = |method: usize| {
        let errors = json["methods"][method]["validation_error"].as_array().unwrap();
        errors.iter().map(|error| error.as_f64().unwrap()).collect::<Vec<_>>()
    };
    assert!(errors(1)[0] < 0.5 && errors(1)[1] > errors(1)[0], "0.9 is too much: {:?}", errors(1));
    let by_seed = json["methods"][1]["validation_error_by_seed"][0].as_array().unwrap();
    let mean = by_seed.iter().map(|error| error.as_f64().unwrap()).sum::<f64>() / 2.0;
    assert!((mean - errors(1)[0]).abs() < 1e-12);
    // One run of it by itself: the same start, seed and batches.
    sandbox.qgd(&[
        "train",
        &digits(),
        "--steps",
        "60",
        "--weight-decay",
        "1e-4",
        "--controller",
        "w.qgd",
        "--json",
        "t",
    ]);
    let accuracy = sandbox.json("t")["validation_accuracy"].as_f64().unwrap();
    let alone = json["methods"][0]["validation_error_by_seed"][0][0].as_f64().unwrap();
    assert!((1.0 - accuracy - alone).abs() < 1e-12, "{accuracy} {alone}");
}

#[test]
fn bad_weight_decays_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.weight_decay_controller("w.qgd");
    let compare = |more: &[&str], needles: &[&str]| {
        sandbox.refuses(&[&["compare", &digits(), "--json", "o"], more].concat(), needles);
    };
    compare(&["--weight-decays", "1e-3", "--starts", "0.1"], &["--weight-decays", "--starts"]);
    compare(&["--weight-decays", "1e-3,-1"], &["train.weight_decay", "-1"]);
    compare(&["--weight-decays", "0", "--methods", "w.qgd"], &["train.weight_decay", "0", "w.qgd"]);
}
