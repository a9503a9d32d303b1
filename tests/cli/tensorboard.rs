//! `--tensorboard`: event files say what traces, logs, studies and results say, value by value.

use crate::events::{Events, number};
use crate::sandbox::Sandbox;
use crate::studies;
use serde_json::{Value, json};

/// A value as an event file keeps it.
fn single(value: &Value) -> f32 {
    number(value) as f32
}

fn lines(sandbox: &Sandbox, name: &str) -> Vec<Value> {
    sandbox.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs `qgd`, which must succeed.
fn run(sandbox: &Sandbox, args: &[&str]) {
    let output = sandbox.qgd(args);
    assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
}

/// Asserts that two curves are the same to the bit, NaN included.
fn same(found: &[(i64, f32)], expected: &[(i64, f32)], what: &str) {
    let bits = |points: &[(i64, f32)]| points.iter().map(|(step, v)| (*step, v.to_bits())).collect::<Vec<_>>();
    assert!(bits(found) == bits(expected), "{what}: {found:?} is not {expected:?}");
}

/// A recipe of a moment, with a polish.
fn recipe(sandbox: &Sandbox) {
    sandbox.write(
        "recipe.toml",
        "schema = 1\nname = 'r'\ndescription = 'test'\ncontrols = 'lr'\nmoves = ['halve', 'accept', 'grow']\n\
         features = 'scalefree'\n[pace]\nprobe_steps = 16\n[network]\nhidden = [4]\n\
         [training]\nrounds = 4\nvalidate_every = 2\nepisodes_per_round = 6\nupdates_per_round = 1\nvalidation_tasks = 1\n\
         [training.polish]\nrounds = 2\nepisodes_per_round = 2\n[training.tasks]\nhorizon = [30, 40]",
    );
}

#[test]
fn a_meta_training_says_what_its_log_says() {
    let sandbox = Sandbox::new();
    recipe(&sandbox);
    run(
        &sandbox,
        &["meta-train", "recipe.toml", "-o", "my.qgd", "--log", "log", "--tensorboard", "tb", "--threads", "1"],
    );
    let (events, log) = (Events::read(&sandbox, "tb"), lines(&sandbox, "log"));
    assert_eq!((events.runs(), log.len()), (vec!["my"], 6));
    let expect = |tag: &str, value: &dyn Fn(&Value) -> Option<Value>| {
        let point = |line: &Value| Some((line["round"].as_i64().unwrap(), single(&value(line)?)));
        let expected: Vec<_> = log.iter().filter_map(point).collect();
        assert!(!expected.is_empty(), "{tag}");
        same(&events.scalars("my", tag), &expected, tag);
    };
    let of_key = |key: &'static str| move |line: &Value| line.get(key).cloned();
    for (tag, key) in [
        ("inner_steps", "inner_steps"),
        ("return", "mean_return"),
        ("q/loss", "q_loss"),
        ("q/mean_abs", "mean_abs_q"),
        ("polish/mean_difference", "mean_difference"),
    ] {
        expect(tag, &of_key(key));
    }
    for (i, name) in ["halve", "accept", "grow"].into_iter().enumerate() {
        expect(&format!("actions/{name}"), &|line| line.get("action_shares").map(|shares| shares[i].clone()));
    }
    for (i, name) in ["score", "tuned_ratio", "worst_ratio"].into_iter().enumerate() {
        expect(&format!("validation/{name}"), &|line| line["validation"].get(i).cloned());
    }
    assert_eq!(events.tags("my").len(), 5 + 3 + 3);
    let session = events.session("my");
    assert_eq!((&session["status"], &session["params"]["recipe"]), (&json!(1), &json!("r")));
}

#[test]
fn a_study_says_what_its_export_says() {
    let sandbox = studies::sandbox();
    // A third fails, two report what is worth stopping, the others have four steps and a result.
    let script = "case $QGD_TRIAL in *[258]) echo so be it; exit 3;; esac
        case $QGD_TRIAL in 9|13) echo '{{\"step\": 1, \"value\": 1e9}}'; sleep 60;; esac
        for i in 1 2 3 4; do echo \"{{\\\"step\\\": $i, \\\"value\\\": $QGD_PARAM_X$i}}\"; done
        echo \"{{\\\"value\\\": $QGD_PARAM_X}}\"";
    let tune = |trials: &str, workers: &str| {
        let flags = ["tune", "space.toml", "--pruner", "median", "--tensorboard", "tb", "--lag", "3"];
        run(&sandbox, &[&flags[..], &["--trials", trials, "--workers", workers, "--", "sh", "-c", script]].concat());
    };
    tune("7", "1");
    tune("14", "3");
    let (events, trials) = (Events::read(&sandbox, "tb"), studies::trials(&sandbox, "space", "sqlite:///qgd.db"));
    let n_in = |state: &str| trials.iter().filter(|trial| trial["state"] == state).count();
    assert_eq!(n_in("PRUNED") + n_in("COMPLETE"), 14);
    assert!(n_in("PRUNED") >= 2 && n_in("COMPLETE") >= 6 && n_in("FAIL") >= 4, "{trials:?}");
    assert_eq!(events.runs().len(), trials.len() + 1);
    for trial in &trials {
        let run = format!("space/trial-{:06}", trial["trial"].as_u64().unwrap());
        let reports = trial["intermediate"].as_array().unwrap().iter();
        let reports: Vec<_> = reports.map(|pair| (pair[0].as_i64().unwrap(), single(&pair[1]))).collect();
        same(&events.scalars(&run, "intermediate"), &reports, &run);
        let (state, last) = (trial["state"].as_str().unwrap(), reports.last().map_or(0, |(step, _)| *step));
        let values: Vec<_> = trial["values"].as_array().unwrap().iter().map(|value| (last, single(value))).collect();
        same(&events.scalars(&run, "value"), if state == "COMPLETE" { &values } else { &[] }, &run);
        let said = events.texts(&run, "state");
        match state {
            "COMPLETE" => assert!(said.is_empty(), "{said:?}"),
            "PRUNED" => assert_eq!(said, [(last, "pruned".to_owned())]),
            _ => assert!(said[0].1.starts_with("failed: exit code 3: so be it; see "), "{said:?}"),
        }
        let session = events.session(&run);
        let params: serde_json::Map<String, Value> = trial["params"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), json!(number(value))))
            .collect();
        assert_eq!((&session["params"], &session["name"]), (&json!(params), &json!(&run[6..])));
        assert_eq!(session["status"], if state == "FAIL" { 2 } else { 1 });
    }
    let complete: Vec<&Value> = trials.iter().filter(|trial| trial["state"] == "COMPLETE").collect();
    let value = |trial: &&Value| (trial["trial"].as_i64().unwrap(), single(&trial["values"][0]));
    let values: Vec<(i64, f32)> = complete.iter().map(value).collect();
    same(&events.scalars("space", "value"), &values, "values of the study");
    let mut least = f32::INFINITY;
    let best: Vec<(i64, f32)> = values
        .iter()
        .map(|&(number, value)| {
            least = least.min(value);
            (number, least)
        })
        .collect();
    same(&events.scalars("space", "best"), &best, "the best so far");
}

#[test]
fn several_objectives_have_a_curve_each_and_words_are_words() {
    let sandbox = Sandbox::new();
    let space = "directions = ['minimize', 'maximize']\n[params.x]\ntype = 'float'\nlow = 0.0\nhigh = 1.0\n\
                 [params.kind]\ntype = 'categorical'\nchoices = ['a', true, 3]\n";
    sandbox.write("space.toml", space);
    let objective = "echo '{{\"values\": [1.5, Infinity]}}'";
    run(&sandbox, &["tune", "space.toml", "--trials", "9", "--tensorboard", "tb/deep", "--", "sh", "-c", objective]);
    let events = Events::read(&sandbox, "tb/deep");
    let points = |value: f32| (0..9).map(|number| (number, value)).collect::<Vec<_>>();
    same(&events.scalars("space", "value/0"), &points(1.5), "first objective");
    same(&events.scalars("space", "value/1"), &points(f32::INFINITY), "second objective");
    assert_eq!(events.tags("space"), ["value/0", "value/1"]);
    for trial in studies::trials(&sandbox, "space", "sqlite:///qgd.db") {
        let run = format!("space/trial-{:06}", trial["trial"].as_u64().unwrap());
        let (found, kind) = (&events.session(&run)["params"]["kind"], &trial["params"]["kind"]);
        assert!(found == kind || found.as_f64() == kind.as_f64(), "{found} is not {kind}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_before_the_work() {
    let sandbox = studies::sandbox();
    recipe(&sandbox);
    sandbox.write("file", "");
    let meta_train = &["meta-train", "recipe.toml", "-o", "my.qgd"][..];
    let tune = &["tune", "space.toml"][..];
    #[cfg(feature = "torch")]
    let others = {
        let task = crate::sandbox::shipped("examples/tasks/digits.toml");
        sandbox.write("suite.toml", format!("rivals = [\"cosine\"]\n[[task]]\nfile = \"{task}\"\n"));
        [&["train", "demo"][..], &["evaluate", "lr", "--suite", "suite.toml"][..]]
    };
    #[cfg(not(feature = "torch"))]
    let others: [&[&str]; 0] = [];
    for command in [meta_train, tune].into_iter().chain(others) {
        let program: &[&str] = if command == tune { &["--", "true"] } else { &[] };
        let refuses = |dir: &str, needles: &[&str]| {
            sandbox.refuses(&[command, &["--tensorboard", dir], program].concat(), needles);
        };
        refuses("file", &["--tensorboard file is not a folder"]);
        refuses("file/tb", &["cannot make --tensorboard file/tb: file is not a folder"]);
        refuses("/proc/tb", &["--tensorboard"]);
    }
}

#[cfg(feature = "torch")]
mod of_nets {
    use super::*;
    use crate::killed::start_and_kill;
    use crate::sandbox::shipped;

    fn digits() -> String {
        shipped("examples/tasks/digits.toml")
    }

    /// Direction of a move in a trace.
    fn direction(action: &Value) -> f32 {
        match action.as_str().unwrap() {
            "halve" => -1.0,
            "accept" => 0.0,
            "grow" => 1.0,
            other => panic!("{other}"),
        }
    }

    const OF_THE_GUARD: [&str; 5] =
        ["non-finite", "loss-exploded", "loss-drifted", "got-nowhere", "first-step-too-far"];

    /// Asserts that the only run below a folder says what a trace says, of a controller with these features and actions.
    fn says_what_the_trace_says(events: &Events, run: &str, trace: &[Value], features: &[&str], actions: &[&str]) {
        let expect = |tag: &str, value: &dyn Fn(&Value) -> Option<f32>| {
            let points: Vec<_> =
                trace.iter().filter_map(|line| Some((line["step"].as_i64().unwrap(), value(line)?))).collect();
            same(&events.scalars(run, tag), &points, tag);
        };
        for key in ["loss", "lr", "weight_decay"] {
            expect(key, &|line| Some(single(&line[key])));
        }
        for key in ["lr", "weight_decay"] {
            expect(&format!("action/{key}"), &|line| line["action"].get(key).map(direction));
        }
        for (i, name) in features.iter().enumerate() {
            expect(&format!("features/{name}"), &|line| line["features"].get(i).map(single));
        }
        for (i, name) in actions.iter().enumerate() {
            expect(&format!("q/{name}"), &|line| line["q_values"].get(i).map(single));
        }
        for name in OF_THE_GUARD {
            expect(&format!("guard/{name}"), &|line| (line["reason"] == name).then_some(1.0));
        }
        let of_guard = trace.iter().filter(|line| OF_THE_GUARD.contains(&line["reason"].as_str().unwrap()));
        let of_guard: Vec<_> = of_guard.map(|line| line["step"].as_i64().unwrap()).collect();
        let texts = events.texts(run, "guard");
        assert!(texts.iter().all(|(step, text)| text.starts_with(&format!("step {step}: "))), "{texts:?}");
        assert_eq!(texts.into_iter().map(|(step, _)| step).collect::<Vec<_>>(), of_guard);
    }

    #[test]
    fn a_training_says_what_its_trace_and_its_result_say() {
        let sandbox = Sandbox::new();
        let digits = digits();
        let train = ["train", &digits, "--steps", "150", "--optimizer", "momentum", "--tensorboard", "tb"];
        let files = ["--trace", "t.jsonl", "--json", "out.json"];
        let with = |more: &[&str]| {
            run(&sandbox, &[&train[..], &files, more].concat());
            (lines(&sandbox, "t.jsonl"), sandbox.json("out.json"))
        };
        let lr = qgd::Pretrained::shipped("lr").unwrap();
        let features = lr.recipe().features.names();
        let (guarded, result) = with(&["--controller", "lr", "--lr", "300", "--seed", "3"]);
        let (schedule, _) = with(&["--schedule", "cosine", "--lr", "1e-3"]);
        let (joint, _) = with(&["--controller", "joint", "--weight-decay", "1e-4"]);
        let events = Events::read(&sandbox, "tb");
        let name = |by: &str, lr: &str, seed: u64| format!("digits-{by}-from-{lr}-seed-{seed}");
        let guarded_run = name("lr", "300", 3);
        assert!(guarded.iter().any(|line| OF_THE_GUARD.contains(&line["reason"].as_str().unwrap())));
        says_what_the_trace_says(&events, &guarded_run, &guarded, features, &["halve", "accept", "grow"]);
        says_what_the_trace_says(&events, &name("cosine", "0.001", 0), &schedule, &[], &[]);
        let joint_run = events.runs().into_iter().find(|run| run.starts_with("digits-joint-")).unwrap();
        let moves = ["halve", "accept", "grow"];
        let pairs = moves.iter().flat_map(|a| moves.iter().map(move |b| format!("lr-{a}-weight-decay-{b}")));
        let pairs: Vec<String> = pairs.collect();
        let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
        let joint_features = qgd::Pretrained::shipped("joint").unwrap().recipe().features.names();
        says_what_the_trace_says(&events, joint_run, &joint, joint_features, &pairs);
        for key in ["train_loss", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy"] {
            same(&events.scalars(&guarded_run, &format!("final/{key}")), &[(150, single(&result[key]))], key);
        }
        let session = events.session(&guarded_run);
        assert_eq!((&session["status"], &session["name"]), (&json!(1), &json!(guarded_run)));
        let params = &session["params"];
        assert_eq!((&params["lr"], &params["seed"], &params["controller"]), (&json!(300.0), &json!(3.0), &json!("lr")));
        assert_eq!((&params["task"], &params["optimizer"]), (&json!("digits"), &json!("momentum")));
    }

    #[test]
    fn the_validation_loss_that_a_controller_is_told_is_shown() {
        let sandbox = Sandbox::new();
        sandbox.weight_decay_controller("w.qgd");
        // At this rate no parameter changes, so that every loss is the one at the end.
        let flags = ["--steps", "40", "--lr", "1e-30", "--weight-decay", "1e-3", "--controller", "w.qgd"];
        let files = ["--trace", "t.jsonl", "--json", "out.json", "--tensorboard", "tb"];
        run(&sandbox, &[&["train", &digits()], &flags[..], &files].concat());
        let events = Events::read(&sandbox, "tb");
        let told = events.scalars("digits-w.qgd-from-1e-30-seed-0", "validation_loss");
        let end = single(&sandbox.json("out.json")["validation_loss"]);
        assert!(told.iter().all(|(_, loss)| (loss / end - 1.0).abs() < 1e-5), "{told:?} is not {end}");
        let steps: Vec<i64> = lines(&sandbox, "t.jsonl").iter().map(|line| line["step"].as_i64().unwrap()).collect();
        assert_eq!(told.into_iter().map(|(step, _)| step).collect::<Vec<_>>(), steps);
    }

    #[test]
    fn a_killed_run_can_be_read_and_goes_on_as_if_nothing_had_happened() {
        let (sandbox, digits) = (Sandbox::new(), digits());
        let args = |dir: &'static str| {
            let run =
                ["train", &digits, "--controller", "lr", "--lr", "1", "--steps", "4000", "--checkpoint-every", "50"];
            [&run[..], &["--resume", "kept", "--tensorboard", dir]].concat()
        };
        let (name, begun) = ("digits-lr-from-1-seed-0-kept", "loss");
        start_and_kill(&sandbox, &args("killed"), "kept/checkpoint.qgd", 2);
        let first = Events::read(&sandbox, "killed").scalars(name, begun);
        assert!(first.len() > 60, "{first:?}");
        start_and_kill(&sandbox, &args("killed"), "kept/checkpoint.qgd", 2);
        run(&sandbox, &args("killed"));
        std::fs::remove_dir_all(sandbox.path("kept")).unwrap();
        run(&sandbox, &args("whole"));
        let [killed, whole] = ["killed", "whole"].map(|dir| Events::read(&sandbox, dir));
        assert_eq!(std::fs::read_dir(sandbox.path("killed").join(name)).unwrap().count(), 3, "files");
        assert_eq!((killed.runs(), killed.tags(name)), (vec![name], whole.tags(name)));
        for tag in whole.tags(name) {
            same(&killed.scalars(name, tag), &whole.scalars(name, tag), tag);
        }
        assert_eq!(killed.texts(name, "guard"), whole.texts(name, "guard"));
    }

    #[test]
    fn a_run_of_its_own_has_a_folder_of_its_own() {
        let (sandbox, digits) = (Sandbox::new(), digits());
        for _ in 0..2 {
            run(&sandbox, &["train", &digits, "--steps", "3", "--lr", "0.01", "--tensorboard", "tb"]);
        }
        let name = "digits-constant-from-0.01-seed-0";
        assert_eq!(Events::read(&sandbox, "tb").runs(), [name, &format!("{name}-2")]);
    }

    #[test]
    fn a_trial_that_trains_a_net_reports_what_its_study_has() {
        let sandbox = Sandbox::new();
        sandbox.write("s.toml", "[params.lr]\ntype = 'float'\nlow = 1e-4\nhigh = 1e-2\nlog = true\n");
        let flags = ["--task", "digits", "--trials", "2", "--tensorboard", "tb"];
        run(&sandbox, &[&["tune", "s.toml"], &flags[..]].concat());
        let events = Events::read(&sandbox, "tb");
        for trial in studies::trials(&sandbox, "s", "sqlite:///qgd.db") {
            let run = format!("s/trial-{:06}", trial["trial"].as_u64().unwrap());
            let reports = trial["intermediate"].as_array().unwrap().iter();
            let reports: Vec<_> = reports.map(|pair| (pair[0].as_i64().unwrap(), single(&pair[1]))).collect();
            assert_eq!(reports.len(), 10);
            same(&events.scalars(&run, "intermediate"), &reports, &run);
            same(&events.scalars(&run, "value"), &[(400, single(&trial["values"][0]))], &run);
        }
    }

    #[test]
    fn an_evaluation_says_what_its_result_says() {
        let sandbox = Sandbox::new();
        let data = shipped("examples/data/digits.csv.gz");
        let task = std::fs::read_to_string(digits()).unwrap();
        sandbox.write("tiny.toml", task.replace("../data/digits.csv.gz", &data).replace("steps = 400", "steps = 20"));
        let suite =
            "optimizers = [\"adam\"]\nseeds = 2\nrivals = [\"cosine\", \"constant\"]\n[[task]]\nfile = \"tiny.toml\"\n";
        sandbox.write("suite.toml", suite);
        let evaluate = ["evaluate", "lr", "--suite", "suite.toml", "--json", "e.json", "--tensorboard", "tb"];
        run(&sandbox, &[&evaluate[..], &["--markdown", "e.md"]].concat());
        // The same line again finds all runs in its cache, and says the same again.
        run(&sandbox, &evaluate);
        let (events, result) = (Events::read(&sandbox, "tb"), sandbox.json("e.json"));
        assert_eq!(events.runs(), ["constant", "cosine", "lr"].map(|name| format!("lr-on-suite/{name}")));
        let problem = &result["problems"][0];
        for method in problem["runs"]["methods"].as_array().unwrap() {
            let run = format!("lr-on-suite/{}", method["name"].as_str().unwrap());
            let mut starts: Vec<[f64; 2]> = method["starts"].as_array().unwrap().iter().map(start).collect();
            starts.sort_by(|a, b| a[0].total_cmp(&b[0]));
            for (i, what) in ["start_lr", "final_loss"].into_iter().enumerate() {
                let points: Vec<_> = (0..).zip(&starts).map(|(place, start)| (place, start[i] as f32)).collect();
                same(&events.scalars(&run, &format!("{what}/tiny-adam-20")), &points, &run);
            }
        }
        let verdict = &problem["verdict"];
        let expect = |run: &str, what: &str, value: &Value| {
            let found = events.scalars(&format!("lr-on-suite/{run}"), &format!("{what}/tiny-adam-20"));
            same(&found, &[(0, single(value))], what);
        };
        for what in ["tuned_ratio", "rivals_ratio", "worst_ratio"] {
            expect("lr", what, &verdict[what]);
        }
        for rival in verdict["rivals"].as_array().unwrap() {
            for what in ["ratio", "untuned_ratio"] {
                expect(rival["name"].as_str().unwrap(), what, &rival[what]);
            }
        }
        assert_eq!(events.texts("lr-on-suite/lr", "report"), [(0, sandbox.read("e.md"))]);
    }

    fn start(start: &Value) -> [f64; 2] {
        [number(&start["lr"]), number(&start["train_loss"])]
    }
}
