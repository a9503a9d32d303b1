//! `qgd evaluate`.

use crate::sandbox::{Output, Sandbox, assert_page, shipped};
use serde_json::Value;
use std::time::{Duration, Instant};

/// A suite: digits, 20 steps of Adam, two rivals and two seeds.
fn small() -> Sandbox {
    let sandbox = Sandbox::new();
    let data = shipped("examples/data/digits.csv.gz");
    let task = std::fs::read_to_string(shipped("examples/tasks/digits.toml")).unwrap();
    let task = task.replace("../data/digits.csv.gz", &data).replace("steps = 400", "steps = 20");
    sandbox.write("tiny.toml", task);
    sandbox.write("suite.toml", suite(""));
    sandbox
}

fn suite(more: &str) -> String {
    format!(
        "optimizers = [\"adam\"]\nseeds = 2\nrivals = [\"cosine\", \"constant\"]\n[[task]]\nfile = \"tiny.toml\"\n{more}"
    )
}

fn evaluate(sandbox: &Sandbox, controller: &str, flags: &[&str]) -> Output {
    let output = sandbox.qgd(&[&["evaluate", controller, "--suite", "suite.toml"], flags].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    output
}

/// What is printed, without the seconds at its end: they are another time's.
fn without_seconds(output: &Output) -> String {
    let (before, seconds) = output.stdout.split_once("Seconds of a run").unwrap();
    assert!(seconds.contains("tiny"), "{seconds}");
    before.to_owned()
}

/// The JSON file, without the seconds of its problems.
fn json_without_seconds(sandbox: &Sandbox) -> Value {
    let mut json = sandbox.json("e.json");
    for problem in json["problems"].as_array_mut().unwrap() {
        let seconds = problem.as_object_mut().unwrap().remove("seconds").unwrap();
        assert!(seconds["own"].as_f64().unwrap() > 0.0, "{seconds}");
    }
    json
}

fn floats(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn an_evaluation_is_tables_json_markdown_and_a_picture() {
    let sandbox = small();
    let output = evaluate(&sandbox, "lr", &["--json", "e.json", "--markdown", "e.md", "--chart", "e.svg"]);
    for says in ["rivals that are tuned", "best-tuned cosine", "worst over median", "constant", "adam, own horizon"] {
        assert!(output.stdout.contains(says), "{says}: {}", output.stdout);
    }
    for says in ["paired t-test", "wins", "verdict", "Test accuracy", "worse"] {
        assert!(output.stdout.contains(says), "{says}: {}", output.stdout);
    }
    assert_page(&output.stdout);
    let json = sandbox.json("e.json");
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json["controller"]["name"], "lr");
    assert!(json["controller"]["recipe_hash"].is_string() && json["controller"]["file_hash"].is_string());
    assert!(json["accuracy_deficit"]["interval"].is_array() && json["log_test_loss_ratio"].is_null());
    let problem = &json["problems"][0];
    let (runs, verdict) = (&problem["runs"], &problem["verdict"]);
    let page = sandbox.reported(&["e.json"]);
    let drawn = &page["sections"][0];
    assert_eq!(
        [&drawn["groups"][0]["tuned_ratio"], &drawn["problems"][0]["verdict"]["median"]],
        [&json["groups"][0]["tuned_ratio"], &verdict["median"]]
    );
    assert_eq!(
        (&runs["task"], &runs["steps"], &runs["seeds"]),
        (&"tiny".into(), &20.into(), &serde_json::json!([0, 1]))
    );
    let n_starts = |method: usize| runs["methods"][method]["starts"].as_array().unwrap().len();
    assert_eq!([n_starts(0), n_starts(1), n_starts(2)], [6, 10, 10], "the controller is not tuned");
    let loss = |method: usize| -> Vec<f64> {
        let starts = runs["methods"][method]["starts"].as_array().unwrap();
        starts.iter().map(|start| start["train_loss"].as_f64().unwrap()).collect()
    };
    // The ratios follow from the runs in the same file.
    let mut own = loss(0);
    own.sort_by(f64::total_cmp);
    let (median, best_cosine) = ((own[2] + own[3]) / 2.0, loss(1).into_iter().fold(f64::INFINITY, f64::min));
    let (first, near) =
        (runs["first_loss"].as_f64().unwrap(), |value: &Value, x: f64| (value.as_f64().unwrap() - x).abs() < 1e-9);
    assert!((first - 10f64.ln()).abs() < 0.5, "ten classes, all alike to an untrained net: {first}");
    let floor = 0.01 * first;
    assert!(near(&verdict["tuned_ratio"], (median + floor) / (best_cosine + floor)), "{verdict}");
    assert!(near(&verdict["worst_ratio"], (own[5] + floor) / (median + floor)));
    assert!(near(&verdict["old"]["tuned_ratio"], (median + 0.01) / (best_cosine + 0.01)), "{verdict}");
    for of in ["loss", "accuracy"] {
        assert_eq!(
            [&verdict["test"][of]["own"], &verdict["test"][of]["cosine"]].map(|seeds| floats(seeds).len()),
            [2, 2]
        );
    }
    // 20 batches of 64 out of 1438.
    assert!((runs["exposures"].as_f64().unwrap() - 20.0 * 64.0 / 1438.0).abs() < 1e-2, "{}", runs["exposures"]);
    assert_eq!(runs["regime"], "seen once or twice");
    assert_eq!(json["regimes"][0]["name"], "seen once or twice, adam");
    assert!(near(&json["regimes"][0]["tuned_ratio"], verdict["tuned_ratio"].as_f64().unwrap()));
    for says in ["times seen", "seen once or twice, adam", "untrained loss", "old", "Seconds of a run"] {
        assert!(output.stdout.contains(says), "{says}: {}", output.stdout);
    }
    let markdown = sandbox.read("e.md");
    assert!(markdown.starts_with("| task | steps |"), "{markdown}");
    let (problems, regimes) = markdown.split_once("\n\n").unwrap();
    assert!(problems.lines().count() == 3 && problems.contains("| old over cosine |"), "{problems}");
    assert!(regimes.lines().count() == 4 && regimes.starts_with("| kind, optimizer |"), "{regimes}");
    let picture = sandbox.read("e.svg");
    assert!(picture.starts_with("<svg") && picture.contains("tiny, 20 steps of adam"));
    assert!(picture.find(">qgd (lr)<") < picture.find(">cosine<"), "the legend has the order of the table");
    assert_eq!(picture.matches("<polygon").count(), 3, "a band over the seeds for each method");
}

#[test]
fn a_quick_look_says_what_it_is_and_names_no_winner() {
    let sandbox = small();
    sandbox.write("suite.toml", suite("quick = true\n"));
    let output = evaluate(&sandbox, "lr", &["--quick", "--markdown", "e.md"]);
    for says in ["quick look", "2 seeds", "one start a decade", "not refined"] {
        assert!(output.stdout.contains(says), "{says}: {}", output.stdout);
    }
    for unsaid in ["tuned", "verdict", "  wins", "  ties", "  losses", "t-test"] {
        assert!(!output.stdout.contains(unsaid), "{unsaid}: {}", output.stdout);
    }
    assert_page(&output.stdout);
    assert!(!sandbox.read("e.md").contains("against cosine"));
}

#[test]
fn accuracies_and_losses_stand_in_columns_of_their_own() {
    let sandbox = small();
    let regression = sandbox.read("tiny.toml").replace("classification", "regression");
    sandbox.write("numbers.toml", regression);
    sandbox.write("suite.toml", suite("[[task]]\nfile = \"numbers.toml\"\n"));
    let output = evaluate(&sandbox, "lr", &["--seeds", "1", "--rivals", "cosine", "--markdown", "e.md"]);
    let (accuracies, losses) = output.stdout.split_once("Test loss at").unwrap();
    let (_, accuracies) = accuracies.split_once("Test accuracy at").unwrap();
    assert!(accuracies.contains("tiny") && !accuracies.contains("numbers"), "{accuracies}");
    let (losses, _) = losses.split_once("How often").unwrap();
    assert!(losses.contains("numbers") && losses.contains("tiny") && !losses.contains(" points"), "{losses}");
    assert!(sandbox.read("e.md").contains("| test accuracy | cosine's | test loss | cosine's |"));
    assert_page(&output.stdout);
}

#[test]
fn one_cell_of_an_evaluation_is_the_run_that_train_makes() {
    let sandbox = small();
    evaluate(&sandbox, "lr", &["--json", "e.json"]);
    sandbox.qgd(&["train", "tiny.toml", "--lr", "0.1", "--controller", "lr", "--seed", "1", "--json", "t.json"]);
    let cell = &sandbox.json("e.json")["problems"][0]["runs"]["methods"][0]["starts"][4]["cells"][1];
    let train = sandbox.json("t.json");
    for field in ["train_loss", "validation_loss", "test_loss", "test_accuracy", "rollbacks"] {
        assert_eq!(cell[field], train[field], "{field}");
    }
}

#[test]
fn a_second_evaluation_runs_nothing_and_a_torn_one_only_what_is_missing() {
    let sandbox = small();
    let flags = ["--json", "e.json", "--cache", "cache", "--jobs", "2"];
    let first = evaluate(&sandbox, "lr", &flags);
    assert!(first.stderr.contains("0 of 52 runs are in cache/cells.jsonl: 52 to run"), "{}", first.stderr);
    let (json, cells) = (sandbox.read("e.json"), sandbox.read("cache/cells.jsonl"));
    assert_eq!(cells.lines().count(), 54, "52 runs, and the untrained net of both seeds");
    let second = evaluate(&sandbox, "lr", &flags);
    assert!(second.stderr.contains("all 52 runs") && second.stderr.contains("0 to run"), "{}", second.stderr);
    assert_eq!((&second.stdout, &sandbox.read("e.json")), (&first.stdout, &json));
    // What a kill leaves: some lines, and half of one.
    let kept: usize = cells.lines().take(32).map(|line| line.len() + 1).sum();
    sandbox.write("cache/cells.jsonl", &cells[..kept + 25]);
    let resumed = evaluate(&sandbox, "lr", &flags);
    assert!(resumed.stderr.contains("30 of 52 runs") && resumed.stderr.contains("22 to run"), "{}", resumed.stderr);
    let json: Value = serde_json::from_str(&json).unwrap();
    let strip = |mut json: Value| {
        json["problems"][0].as_object_mut().unwrap().remove("seconds");
        json
    };
    assert_eq!((without_seconds(&resumed), json_without_seconds(&sandbox)), (without_seconds(&first), strip(json)));
    assert_eq!(sandbox.read("cache/cells.jsonl").lines().count(), 54);
}

#[test]
fn a_cache_of_a_former_version_is_read_and_its_untrained_nets_are_added() {
    let sandbox = small();
    let flags = ["--json", "e.json", "--cache", "cache"];
    let first = evaluate(&sandbox, "lr", &flags);
    let (json, cells) = (sandbox.read("e.json"), sandbox.read("cache/cells.jsonl"));
    let old: Vec<&str> = cells.lines().filter(|line| !line.contains("untrained")).collect();
    assert_eq!(old.len(), 52);
    sandbox.write("cache/cells.jsonl", old.join("\n") + "\n");
    let again = evaluate(&sandbox, "lr", &flags);
    assert!(again.stderr.contains("all 52 runs") && again.stderr.contains("0 to run"), "{}", again.stderr);
    assert_eq!((&again.stdout, &sandbox.read("e.json")), (&first.stdout, &json));
    assert_eq!(sandbox.read("cache/cells.jsonl").lines().count(), 54);
}

#[test]
fn a_killed_evaluation_goes_on_where_it_was() {
    let sandbox = small();
    let flags = |cache: &'static str| ["--cache", cache, "--json", "e.json", "--jobs", "1", "--seeds", "1"];
    evaluate(&sandbox, "lr", &flags("whole"));
    let whole = json_without_seconds(&sandbox);
    std::fs::remove_file(sandbox.path("e.json")).unwrap();
    let args = [&["evaluate", "lr", "--suite", "suite.toml"], &flags("killed")[..]].concat();
    let mut child = sandbox.command(&args).spawn().unwrap();
    let n_lines = || {
        let bytes = std::fs::read(sandbox.path("killed/cells.jsonl")).unwrap_or_default();
        bytes.iter().filter(|&&byte| byte == b'\n').count()
    };
    let start = Instant::now();
    while n_lines() < 3 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success() && !sandbox.path("e.json").exists(), "it was over before it was killed");
    let resumed = evaluate(&sandbox, "lr", &flags("killed"));
    let says = &resumed.stderr;
    assert!(says.contains(" of 26 runs are") && !says.starts_with("0 of"), "{says}");
    assert_eq!((json_without_seconds(&sandbox), n_lines()), (whole, 27));
}

#[test]
fn rivals_are_run_once_for_every_controller() {
    let sandbox = small();
    let runs = |controller: &str, flags: &[&str]| evaluate(&sandbox, controller, flags).stderr;
    assert!(runs("lr", &[]).contains("52 to run"));
    assert!(runs("greedy", &[]).contains("40 of 52 runs are in runs/evaluate/cells.jsonl: 12 to run"));
    // The same file under another name is the same controller.
    let copy = sandbox.path("copy.qgd");
    std::fs::copy(shipped("pretrained/lr.qgd"), copy).unwrap();
    assert!(runs("copy.qgd", &[]).contains("0 to run"));
    // As a rival it is tuned: four more starts.
    assert!(runs("copy.qgd", &["--rivals", "cosine,lr"]).contains("8 to run"));
    sandbox.write("suite.toml", suite("horizons = [2]\n"));
    assert!(runs("lr", &[]).contains("52 to run"));
    sandbox.write("suite.toml", suite("quick = true\n"));
    assert!(runs("lr", &["--quick", "--rivals", "cosine", "--seeds", "3"]).contains("12 to run"));
}

#[test]
fn the_number_of_jobs_does_not_change_an_evaluation() {
    let sandbox = small();
    let run = |jobs: &str| {
        let output = evaluate(&sandbox, "lr", &["--jobs", jobs, "--cache", jobs, "--json", "e.json", "--seeds", "1"]);
        (without_seconds(&output), json_without_seconds(&sandbox))
    };
    assert_eq!(run("1"), run("3"));
}

#[test]
fn results_of_other_programs_stand_beside_ours() {
    let sandbox = small();
    let peers = |task: &str, more: &str| {
        format!(
            "{{\"task\": \"some/{task}.toml\", \"seeds\": 3, {more} \"rivals\": {{
               \"schedulefree\": {{\"starts\": [1e-3, 1e-2, 1e-1], \"train_loss\": [0.5, 0.2, 0.9], \"test_loss\": [1, 2, NaN]}},
               \"muon\": {{\"starts\": [0.02], \"train_loss\": [0.3], \"test_accuracy\": [NaN]}},
               \"sgd-cosine\": {{\"starts\": [1.0], \"train_loss\": [0.1]}}}}}}"
        )
    };
    sandbox.write("peers.json", peers("tiny", ""));
    sandbox.write("long.json", peers("tiny", "\"steps\": 8000,"));
    let output = evaluate(&sandbox, "lr", &["--merge", "peers.json", "long.json", "--json", "e.json", "--seeds", "1"]);
    assert!(output.stdout.contains("schedulefree") && !output.stdout.contains("sgd-cosine"), "{}", output.stdout);
    assert_page(&output.stdout);
    let json = sandbox.json("e.json");
    let (rows, own) = (json["peers"].as_array().unwrap(), json["problems"][0]["verdict"]["median"].as_f64().unwrap());
    let names: Vec<&Value> = rows.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["muon", "schedulefree"]);
    let floor = 0.01 * json["problems"][0]["runs"]["first_loss"].as_f64().unwrap();
    let near = |key: &str, x: f64| assert!((rows[1][key].as_f64().unwrap() - x).abs() < 1e-9, "{key}: {}", rows[1]);
    near("best_start", 0.01);
    near("ratio", (own + floor) / (0.2 + floor));
    near("untuned_ratio", (own + floor) / (0.5 + floor));
    near("old_ratio", (own + 0.01) / 0.21);
    near("test_loss", 2.0);
    assert!(rows[0]["test_accuracy"].is_null() && rows[1]["test_accuracy"].is_null());
    let (record, ratio) = (&json["peer_records"][1], rows[1]["ratio"].as_f64().unwrap());
    assert_eq!((&record["n_tasks"], &record["regime"]), (&1.into(), &"seen once or twice".into()));
    assert!((record["ratio"].as_f64().unwrap() / ratio - 1.0).abs() < 1e-12, "the geometric mean of one");
    let refuses = |needles: &[&str]| {
        sandbox.refuses(&["evaluate", "lr", "--suite", "suite.toml", "--merge", "peers.json"], needles);
    };
    sandbox.write("peers.json", peers("other", ""));
    refuses(&["peers.json", "other", "tiny"]);
    sandbox.write("peers.json", peers("tiny", "").replace("[0.5, 0.2, 0.9]", "[0.5]"));
    refuses(&["peers.json", "rivals.schedulefree", "3", "1"]);
    sandbox.write("peers.json", "{\"task\": 3");
    refuses(&["--merge", "peers.json"]);
}

#[test]
fn bad_evaluations_are_refused() {
    let sandbox = small();
    let refuses = |flags: &[&str], needles: &[&str]| {
        sandbox.refuses(&[&["evaluate", "lr", "--suite", "suite.toml"], flags].concat(), needles);
    };
    refuses(&["--rivals", "cosine,cosign"], &["cosign"]);
    refuses(&["--seeds", "0"], &["--seeds", "0"]);
    refuses(&["--quick"], &["suite.toml", "quick = true"]);
    refuses(&["--cache", "tiny.toml"], &["--cache", "tiny.toml"]);
    refuses(&["--json", "no/such.json"], &["--json", "no/such.json"]);
    refuses(&["--markdown", "no/such.md"], &["--markdown", "no/such.md"]);
    refuses(&["--merge", "missing.json"], &["--merge", "missing.json"]);
    sandbox.refuses(&["evaluate", "no-such-controller", "--suite", "suite.toml"], &["no-such-controller"]);
    sandbox.refuses(&["evaluate", "lr", "--suite", "missing.toml"], &["missing.toml"]);
    for (more, needles) in [
        ("sedes = 3\n", ["suite.toml", "`task[0].sedes`"]),
        ("seeds = 0\n", ["`task[0].seeds`", "0"]),
        ("rivals = [\"cosign\"]\n", ["cosign", "lr"]),
        ("[[task]]\nfile = \"nowhere.toml\"\n", ["nowhere.toml", "no task"]),
    ] {
        sandbox.write("suite.toml", suite(more));
        refuses(&[], &needles);
    }
    sandbox.write("suite.toml", suite(""));
    sandbox.write("tiny.toml", sandbox.read("tiny.toml").replace("digits.csv.gz", "nowhere.csv.gz"));
    refuses(&[], &["nowhere.csv.gz"]);
}
