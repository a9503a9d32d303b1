//! `qgd tune --task`: trials that train the net of a task file in this process.

use crate::sandbox::{Output, Sandbox, shipped};
use crate::studies::trials;
use serde_json::Value;

const SPACE: &str = "[params.layers]\ntype = 'int'\nlow = 1\nhigh = 2\n\
    [params.units]\ntype = 'int'\nlow = 8\nhigh = 32\nlog = true\n\
    [params.units_2]\ntype = 'int'\nlow = 5\nhigh = 7\nwhen = { layers = [2] }\n\
    [params.optimizer]\ntype = 'categorical'\nchoices = ['sgd', 'adam']\n\
    [params.batch_size]\ntype = 'categorical'\nchoices = [16, 32]\n\
    [params.lr]\ntype = 'float'\nlow = 1e-4\nhigh = 1e-2\nlog = true\n";

/// A task of a moment and a space for it.
fn sandbox(space: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("space.toml", space);
    let task = sandbox.path("digits.toml");
    std::fs::copy(shipped("examples/tasks/digits.toml"), &task).unwrap();
    sandbox.write("digits.toml", sandbox.read("digits.toml").replace("steps = 400", "steps = 60"));
    sandbox
}

fn with_task<'a>(command: &[&'a str], data: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [command, &["--task", "digits.toml", "--data-dir", data], more].concat()
}

fn tune(sandbox: &Sandbox, more: &[&str]) -> Output {
    let output = sandbox.qgd(&with_task(&["tune", "space.toml"], &shipped("examples/data"), more));
    assert_eq!(output.code, 0, "{}", output.stderr);
    output
}

/// All that a trial is, without ids and times.
fn comparable(trials: &[Value]) -> Vec<[Value; 4]> {
    trials.iter().map(|t| ["params", "values", "intermediate", "user_attrs"].map(|key| t[key].clone())).collect()
}

#[test]
fn the_tuner_picks_the_net_and_the_controller_moves_the_rate() {
    let sandbox = sandbox(SPACE);
    let output = tune(&sandbox, &["--controller", "lr", "--trials", "6"]);
    assert!(output.stderr.contains("seed 0") && output.stdout.contains("(test_accuracy 0."), "{}", output.stdout);
    for trial in trials(&sandbox, "space", "sqlite:///qgd.db") {
        let (params, notes) = (&trial["params"], &trial["user_attrs"]);
        let hidden = [params["units"].as_u64(), params.get("units_2").and_then(Value::as_u64)];
        let sizes: Vec<u64> = [Some(64)].into_iter().chain(hidden).flatten().chain([10]).collect();
        assert_eq!(sizes.len() as u64, params["layers"].as_u64().unwrap() + 2);
        let n_parameters: u64 = sizes.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
        assert_eq!(notes["n_parameters"], n_parameters);
        assert!(notes["lr_last"] != params["lr"] && notes["test_accuracy"].is_number(), "{notes}");
        let reports = trial["intermediate"].as_array().unwrap();
        assert_eq!((reports.len(), &reports[9][0]), (10, &Value::from(60)));
        assert!(reports[9][1] == trial["values"][0] && notes["validation_loss"] == trial["values"][0], "{trial}");
    }
    let best: Value = serde_json::from_str(&sandbox.qgd(&["study", "best", "space", "--json"]).stdout).unwrap();
    assert!(best["params"]["batch_size"].is_u64() && best["user_attrs"]["test_loss"].is_f64(), "{best}");
}

#[test]
fn the_depth_of_a_transformer_and_of_a_resnet_is_a_key_of_its_own() {
    let sandbox = Sandbox::new();
    let train = "[train]\nbatch_size = 4\nsteps = 2\n";
    sandbox.write("text.txt", "to be or not to be, that is the question. ".repeat(10));
    sandbox.write(
        "text.toml",
        format!("[data]\nformat = 'chars'\npath = 'text.txt'\ncontext = 6\n[net]\nkind = 'transformer'\nembedding = 8\n{train}"),
    );
    let picture = |label: u8| [vec![label], (0..3072).map(|place| (place % 251) as u8).collect()].concat();
    sandbox.write("pictures.bin", (0..40).map(|i| i % 10).flat_map(picture).collect::<Vec<u8>>());
    sandbox.write(
        "pictures.toml",
        format!("[data]\nformat = 'cifar'\npath = '.'\nfiles = ['pictures.bin']\n[net]\nkind = 'resnet'\nchannels = [2, 3]\n{train}"),
    );
    let whole =
        |name: &str, low: u32, high: u32| format!("[params.{name}]\ntype = 'int'\nlow = {low}\nhigh = {high}\n");
    let spaces = [
        ("text", whole("layers", 1, 3) + "[params.heads]\ntype = 'categorical'\nchoices = [1, 8]\n"),
        ("pictures", whole("blocks", 1, 2) + &whole("filters_2", 4, 6)),
    ];
    for (task, space) in spaces {
        sandbox.write("space.toml", &space);
        let file = format!("{task}.toml");
        let output = sandbox.qgd(&["tune", "space.toml", "--task", &file, "--study", task, "--trials", "4"]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        for trial in trials(&sandbox, task, "sqlite:///qgd.db") {
            let of = |name: &str| trial["params"][name].as_u64().unwrap();
            let n_parameters = trial["user_attrs"]["n_parameters"].as_u64().unwrap();
            let expected = if task == "text" {
                // 12 width^2 + 13 width in a block; 15 characters and 6 positions, the norm, the head.
                of("layers") * (12 * 64 + 13 * 8) + (15 + 6) * 8 + 16 + 9 * 15
            } else {
                let (n, norm) = (of("filters_2"), 2);
                let stage = |n: u64, inputs: u64| 9 * n * (inputs + n) + 2 * norm * n;
                let first = 9 * 3 * 2 + norm * 2 + of("blocks") * stage(2, 2);
                first + stage(n, 2) + (2 + norm) * n + (of("blocks") - 1) * stage(n, n) + (n + 1) * 10
            };
            assert_eq!(n_parameters, expected, "{trial}");
        }
    }
    sandbox.write("space.toml", whole("units", 2, 3));
    sandbox.refuses(&["tune", "space.toml", "--task", "text.toml"], &["`params.units`", "net.hidden"]);
}

#[test]
fn a_trial_is_the_run_that_train_makes_of_the_same_values() {
    let sandbox = sandbox(SPACE);
    tune(&sandbox, &["--controller", "lr", "--trials", "1", "--seed", "3"]);
    let trial = &trials(&sandbox, "space", "sqlite:///qgd.db")[0];
    let params = &trial["params"];
    let units = [params["units"].as_u64(), params.get("units_2").and_then(Value::as_u64)];
    let hidden: Vec<u64> = units.into_iter().flatten().collect();
    sandbox.write("digits.toml", sandbox.read("digits.toml").replace("[64]", &format!("{hidden:?}")));
    let [lr, batch_size] = ["lr", "batch_size"].map(|name| params[name].to_string());
    let flags = ["--lr", &lr, "--batch-size", &batch_size, "--optimizer", params["optimizer"].as_str().unwrap()];
    let data = shipped("examples/data");
    let more = ["--data-dir", &data, "--controller", "lr", "--seed", "3", "--json", "run.json"];
    let output = sandbox.qgd(&[&["train", "digits.toml"], &flags[..], &more].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    let run = sandbox.json("run.json");
    assert_eq!(run["validation_loss"], trial["values"][0]);
    for name in ["train_loss", "test_loss", "lr_last"] {
        assert_eq!(run[name], trial["user_attrs"][name], "{name}");
    }
}

#[test]
fn workers_here_and_elsewhere_and_a_second_start_do_what_one_worker_does_at_once() {
    let sandbox = sandbox(SPACE);
    let flags = |storage: &'static str| ["--controller", "lr", "--lag", "2", "--storage", storage];
    tune(&sandbox, &[&flags("sqlite:///one.db")[..], &["--trials", "6"]].concat());
    tune(&sandbox, &[&flags("sqlite:///two.db")[..], &["--trials", "3", "--workers", "2"]].concat());
    let data = shipped("examples/data");
    let join = |more: &[&str]| {
        let worker = ["worker", "--study", "space", "--storage", "sqlite:///two.db", "--trials", "6"];
        sandbox.qgd(&[&with_task(&worker, &data, &[])[..], more].concat())
    };
    let output = join(&["--controller", "lr", "--workers", "2"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let [one, two] = ["sqlite:///one.db", "sqlite:///two.db"].map(|storage| trials(&sandbox, "space", storage));
    assert_eq!((comparable(&one), one.len()), (comparable(&two), 6));
    // Another controller, or another task, would be another objective.
    let output = join(&[]);
    assert!(output.code == 2 && output.stderr.contains("controller lr"), "{}", output.stderr);
    sandbox.write("digits.toml", sandbox.read("digits.toml").replace("steps = 60", "steps = 61"));
    let output = join(&["--controller", "lr"]);
    assert!(output.code == 2 && output.stderr.contains("objective = task digits"), "{}", output.stderr);
}

#[test]
fn a_net_that_comes_to_nothing_is_pruned_or_infinitely_bad_and_one_that_takes_too_long_has_failed() {
    let diverging =
        SPACE.replace("1e-4", "1e-7").replace("high = 1e-2", "high = 1e30").replace("'sgd', 'adam'", "'sgd'");
    let sandbox = sandbox(&diverging);
    tune(&sandbox, &["--trials", "8", "--pruner", "median:n_startup_trials=1"]);
    let found = trials(&sandbox, "space", "sqlite:///qgd.db");
    assert!(found.iter().any(|trial| trial["state"] == "PRUNED"), "{found:?}");
    assert!(found.iter().all(|trial| trial["state"] != "FAIL"), "{found:?}");
    tune(&sandbox, &["--trials", "8", "--study", "whole"]);
    let whole = trials(&sandbox, "whole", "sqlite:///qgd.db");
    assert!(whole.iter().any(|trial| trial["values"][0] == "Infinity"), "{whole:?}");
    let more = ["--study", "late", "--timeout", "1e-9", "--max-failures", "1"];
    let output = sandbox.qgd(&with_task(&["tune", "space.toml"], &shipped("examples/data"), &more));
    assert!(output.code == 1 && output.stderr.contains("did not end within"), "{}", output.stderr);
}

#[test]
fn what_is_no_part_of_a_task_is_refused_before_anything_is_written() {
    let data = shipped("examples/data");
    let refuses = |space: &str, more: &[&str], needles: &[&str]| {
        sandbox(space).refuses(&with_task(&["tune", "space.toml"], &data, more), needles);
    };
    refuses(&SPACE.replace("params.units]", "params.unit]"), &[], &["`params.unit`", "units_1, units_2", "batch_size"]);
    refuses(&SPACE.replace("units_2", "units_02"), &[], &["`params.units_02`"]);
    refuses(&SPACE.replace("'sgd'", "'sdg'"), &[], &["`params.optimizer`", "sdg", "momentum"]);
    refuses(&SPACE.replace("'adam'", "3"), &[], &["`params.optimizer`", "train.optimizer"]);
    refuses(&SPACE.replace("[16, 32]", "[16, 'many']"), &[], &["`params.batch_size`", "many", "whole number"]);
    let negative = SPACE.replace("low = 1e-4", "low = -1.0").replace("1e-2\nlog = true", "1e-2");
    refuses(&negative, &[], &["`params.lr`", "train.lr", "above 0"]);
    refuses(&SPACE.replace("low = 5", "low = 0"), &[], &["`params.units_2`", "net.hidden", "sizes from 1"]);
    refuses(&SPACE.replace("low = 1\n", "low = -1\n"), &[], &["`params.layers`", "`layers` is -1", "0 to 1000"]);
    refuses(&SPACE.replace("params.lr", "params.embedding"), &[], &["`params.embedding`", "net.embedding"]);
    refuses(&format!("directions = ['minimize', 'maximize']\n{SPACE}"), &[], &["one objective", "2"]);
    refuses(SPACE, &["--controller", "no-such"], &["no-such"]);
    refuses(SPACE, &["--sampler", "tpx"], &["tpx"]);
    refuses(SPACE, &["--", "true"], &["--task"]);
    refuses(SPACE, &["--logs", "logs"], &["--logs"]);
    let sandbox = sandbox(SPACE);
    sandbox.refuses(&["tune", "space.toml", "--task", "none.toml"], &["none.toml"]);
    sandbox.refuses(&["tune", "space.toml", "--task", "digits.toml"], &["digits.csv.gz"]);
    sandbox.refuses(&["tune", "space.toml", "--controller", "lr", "--", "true"], &["--controller", "COMMAND"]);
    sandbox.write("digits.toml", sandbox.read("digits.toml").replace("[0.8, 0.1, 0.1]", "[0.9, 0.0, 0.1]"));
    sandbox.refuses(&with_task(&["tune", "space.toml"], &data, &[]), &["`data.split`", "validation"]);
}
