//! What the tuner says to a person: the true reason, in words of the user, on a terminal that obeys nobody else.

use crate::cluster::Cluster;
use crate::sandbox::{Output, Sandbox};
use crate::studies::{sandbox, trials};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

const STORAGE: &str = "sqlite:///qgd.db";

/// Asks `qgd ask-tell` line by line, and answers what it says to each.
fn ask_tell(sandbox: &Sandbox, flags: &[&str], lines: &[&str]) -> Vec<Value> {
    let mut command = sandbox.command(&[&["ask-tell", "--space", "space.toml"], flags].concat());
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn contains(text: &str, needles: &[&str]) {
    for needle in needles {
        assert!(text.contains(needle), "'{needle}' is not in {text}");
    }
}

#[test]
fn a_line_that_says_two_things_is_refused_by_ask_tell_and_fails_the_trial_of_a_program() {
    let sandbox = sandbox();
    let refused = [
        (r#"{"tell":{"trial":0,"value":1,"values":[2]}}"#, "`value` and `values` are both there"),
        (r#"{"tell":{"trial":0,"value":1,"value":2}}"#, "key \"value\" is there twice"),
        (r#"{"tell":{"trial":0,"trial":1,"value":2}}"#, "key \"trial\" is there twice"),
        (r#"{"tell":{"trial":0,"value":2},"tell":{"trial":0,"value":3}}"#, "key \"tell\" is there twice"),
        (r#"{"enqueue":{"params":{"x":1,"x":2}}}"#, "key \"x\" is there twice"),
        (r#"{"ask":3}"#, "`ask` is 3, but must be an object"),
        (r#"{"best":[]}"#, "`best` is []"),
        (r#"{"tell":[0,1]}"#, "`tell` is [0,1]"),
        (r#"{"tel":{"trial":0}}"#, "did you mean `tell`?"),
        (r#"{"tell":{"trail":0,"value":1}}"#, "did you mean `trial`?"),
    ];
    let lines = [r#"{"ask":{}}"#].into_iter().chain(refused.map(|(line, _)| line));
    let lines: Vec<&str> = lines.chain([r#"{"tell":{"trial":0,"value":2}}"#]).collect();
    let answers = ask_tell(&sandbox, &[], &lines);
    for ((line, needle), answer) in refused.iter().zip(&answers[1..]) {
        assert!(answer["error"].as_str().is_some_and(|error| error.contains(needle)), "{line}: {answer}");
    }
    assert_eq!(answers.last(), Some(&json!({ "ok": true })), "nothing was told before");
    for (line, why) in
        [(r#"{"value": 1, "values": [2]}"#, "both there"), (r#"{"value": 1, "value": 2}"#, "there twice")]
    {
        sandbox.write("line", line);
        let tune = ["tune", "space.toml", "--study", why, "--max-failures", "1", "--", "cat", "line"];
        let output = sandbox.qgd(&tune);
        assert_eq!(output.code, 1, "{}", output.stderr);
        contains(&output.stderr, &[why]);
    }
}

#[test]
fn the_first_failure_shows_the_last_words_of_the_program_and_is_not_repeated() {
    let sandbox = sandbox();
    let tune = |script: &str, flags: &[&str]| {
        sandbox.qgd(&[&["tune", "space.toml", "--trials", "3"], flags, &["--", "sh", "-c", script]].concat())
    };
    let script = "echo start >&2; echo Traceback >&2; echo \"ValueError: lr $QGD_PARAM_X\" >&2; \
                  printf '\\033[31mred\\033[0m\\n' >&2; exit 7";
    let output = tune(script, &[]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with("trial ")).count(), 2, "{}", output.stderr);
    contains(&output.stderr, &["trial 0 failed: exit code 7: ValueError: lr ", " / \\u001b[31mred", "000000.log"]);
    contains(lines[2], &["trial 1 failed, too"]);
    contains(lines.last().unwrap(), &["20 trials in a row", "exit code 7: ValueError", "000019.log"]);
    assert!(!output.stderr.contains('\x1b'));
    // Results are no last words, and another reason is said.
    let output =
        tune("echo '{{\"step\": 1, \"value\": 1}}'; exit $QGD_TRIAL", &["--study", "b", "--max-failures", "3"]);
    contains(
        &output.stderr,
        &["trial 0 failed: it printed no line", "trial 1 failed: exit code 1; see", "trial 2 failed"],
    );
    let output = tune("exit 3", &["--study", "c", "--max-failures", "1"]);
    contains(&output.stderr, &["a trial has failed, and one is enough"]);
}

#[test]
fn a_key_that_is_misspelt_is_named_and_not_the_one_that_is_missing() {
    let sandbox = Sandbox::new();
    let refuses = |space: &str, needles: &[&str]| {
        sandbox.write("space.toml", space);
        sandbox.refuses(&["tune", "space.toml", "--", "true"], needles);
    };
    let of = |keys: &str| format!("[params.x]\n{keys}\n");
    refuses(&of("type = 'float'\nlwo = 0\nhigh = 1"), &["`params.x.lwo` is not a key here (did you mean `low`?)"]);
    refuses(&of("typ = 'float'\nlow = 0\nhigh = 1"), &["`params.x.typ`", "did you mean `type`?"]);
    refuses(&of("type = 'categorical'\nchoice = ['a']"), &["`params.x.choice`", "did you mean `choices`?"]);
    refuses(&of("type = 'float'\nmin = 0\nmax = 1"), &["`params.x.max`", "known are type, low, high, log, step, when"]);
    refuses(&of("type = 'float'\nchoices = [1]"), &["`params.x.choices` is not a key here", "low, high"]);
    refuses("[param.x]\ntype = 'float'\nlow = 0\nhigh = 1\n", &["`param`", "did you mean `params`?"]);
    refuses(&of("type = 'float'\nlow = 0"), &["`params.x.high` is missing"]);
    let when = "[params.layers]\ntype = 'int'\nlow = 1\nhigh = 3\n".to_owned()
        + &of("type = 'int'\nlow = 0\nhigh = 1\nwhen = { layer = 2 }");
    refuses(&when, &["`params.x.when.layer`", "did you mean `layers`?"]);
    sandbox.write("space.toml", of("type = 'float'\nlow = 0\nhigh = 1"));
    let refuses =
        |flags: &[&str], needles: &[&str]| sandbox.refuses(&[&["tune", "space.toml"], flags].concat(), needles);
    refuses(&["--sampler", "tpee", "--", "true"], &["`tpee` (did you mean `tpe`?)"]);
    refuses(&["--pruner", "asha:min_resourse=2", "--", "true"], &["did you mean `min_resource`?"]);
    refuses(&["--", "echo", "{X}"], &["`X` (did you mean `x`?)"]);
}

#[test]
fn a_study_of_something_else_is_refused_in_the_words_of_its_files() {
    let sandbox = sandbox();
    let tune = ["tune", "space.toml", "--trials", "1", "--", "echo", "{{\"value\": 1}}"];
    assert_eq!(sandbox.qgd(&tune).code, 0);
    let space = sandbox.read("space.toml");
    let refuses = |from: &str, to: &str, needles: &[&str]| {
        assert!(space.contains(from));
        sandbox.write("space.toml", space.replace(from, to));
        let output = sandbox.qgd(&tune);
        assert_eq!(output.code, 2, "{}", output.stderr);
        contains(&output.stderr, needles);
        for name in ["Distribution", "attributes", "Some(", "{:?}"] {
            assert!(!output.stderr.contains(name), "{}", output.stderr);
        }
    };
    let stored = "made with params.layers = { type = \"int\", low = 1, high = 3 }";
    refuses("high = 3", "high = 4", &[stored, "not params.layers = { type = \"int\", low = 1, high = 4 }"]);
    refuses("log = true\n", "", &["low = 8, high = 64, log = true, when = { layers = [2,3] } }, not"]);
    refuses("[params.x]", "[params.y]", &["made with space = layers, units, x, not layers, units, y"]);
    refuses("[params.x]", "direction = 'maximize'\n[params.x]", &["directions = minimize, not maximize"]);
    sandbox.write("space.toml", &space);
    // As Optuna would have made it: no settings of ours.
    let sql = "DELETE FROM study_system_attributes WHERE key = 'qgd'";
    rusqlite::Connection::open(sandbox.path("qgd.db")).unwrap().execute_batch(sql).unwrap();
    refuses(
        "type = 'float'\nlow = -4.0\nhigh = 4.0",
        "type = 'int'\nlow = -4\nhigh = 4",
        &[
            "params.x = { type = \"float\", low = -4.0, high = 4.0 }, not params.x = { type = \"int\", low = -4, high = 4 }",
        ],
    );
}

#[test]
fn what_a_stranger_has_named_does_not_reach_the_terminal() {
    let sandbox = sandbox();
    let name = "evil\x1b[2J\u{9b}31m\nname";
    let tune = ["tune", "space.toml", "--study", name, "--trials", "1", "--", "echo", "{{\"value\": 1}}"];
    assert_eq!(sandbox.qgd(&tune).code, 0);
    let sql = "UPDATE trial_params SET param_name = 'x' || char(27) || 'c' WHERE param_name = 'x'; \
               UPDATE trial_params SET param_value = 0, distribution_json = '{\"name\": \"CategoricalDistribution\", \"attributes\": \
               {\"choices\": [\"\\u001b]0;a\", NaN]}}' WHERE param_name = 'layers'; \
               INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (1, 'note' || char(155), '1')";
    rusqlite::Connection::open(sandbox.path("qgd.db")).unwrap().execute_batch(sql).unwrap();
    let obeyed = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
    let looks: [&[&str]; 9] = [
        &["list"],
        &["list", "--json"],
        &["show", name],
        &["show", name, "--json"],
        &["best", name],
        &["best", name, "--json"],
        &["importance", name],
        &["export", name],
        &["show", "none\x1b[2J"],
    ];
    for look in looks {
        let Output { stdout, stderr, .. } = sandbox.qgd(&[&["study"], look].concat());
        assert!(!obeyed(&stdout) && !obeyed(&stderr), "{look:?}: {stdout:?} {stderr:?}");
        assert!(
            stdout.contains("\\u001b") || stderr.contains("\\u001b") || look[0] == "importance",
            "{look:?}: {stdout}"
        );
    }
    let shown: Value = serde_json::from_str(&sandbox.qgd(&["study", "show", name, "--json"]).stdout).unwrap();
    assert_eq!(shown["study"], json!(name));
    assert_eq!(trials(&sandbox, name, STORAGE)[0]["user_attrs"]["note\u{9b}"], 1);
}

#[test]
fn choices_and_values_that_are_no_numbers_are_shown_as_what_they_are() {
    let sandbox = sandbox();
    let tune = |study: &str, value: &str, n: &str| {
        let line = format!("{{{{\"value\": {value}}}}}");
        let output = sandbox.qgd(&["tune", "space.toml", "--study", study, "--trials", n, "--", "echo", &line]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        output
    };
    contains(&tune("infinite", "Infinity", "2").stderr, &["best inf"]);
    tune("one", "1", "1");
    let show = |study: &str| sandbox.qgd(&["study", "show", study]).stdout;
    contains(&show("one"), &["one: minimize, 1 trial\n"]);
    contains(&show("infinite"), &["infinite: minimize, 2 trials\n", " inf "]);
    let importance = sandbox.qgd(&["study", "importance", "infinite"]);
    assert_eq!(importance.code, 1);
    contains(&importance.stderr, &["2 complete trials, and no finite value of objective 0"]);
    let sql = "UPDATE trial_params SET param_value = 1, distribution_json = '{\"name\": \"CategoricalDistribution\", \"attributes\": \
               {\"choices\": [1, NaN]}}' WHERE param_name = 'x'";
    rusqlite::Connection::open(sandbox.path("qgd.db")).unwrap().execute_batch(sql).unwrap();
    contains(&show("one"), &["x=NaN"]);
    assert!(!(show("one") + &show("infinite") + &sandbox.qgd(&["study", "list"]).stdout).contains("diverged"));
    let list: Value = serde_json::from_str(&sandbox.qgd(&["study", "list", "--json"]).stdout).unwrap();
    let infinite = list.as_array().unwrap().iter().find(|study| study["study"] == "infinite").unwrap();
    assert_eq!((&infinite["complete"], &infinite["best"]["values"]), (&json!(2), &json!(["Infinity"])));
    let shown: Value = serde_json::from_str(&sandbox.qgd(&["study", "show", "one", "--json"]).stdout).unwrap();
    assert_eq!((&shown["settings"]["lag"], &shown["trials"][0]["state"]), (&json!(1), &json!("COMPLETE")));
    assert_eq!(shown["trials"][0], trials(&sandbox, "one", STORAGE)[0]);
}

#[test]
fn what_cannot_be_a_database_is_called_what_it_is() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    let output = sandbox.qgd(&["tune", "space.toml", "--trials", "1", "--", "echo", "{{\"value\": 1}}"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let refuses = |url: &str, needles: &[&str]| {
        sandbox.refuses(&["study", "list", "--storage", url], needles);
        sandbox.refuses(&["tune", "space.toml", "--storage", url, "--", "true"], needles);
    };
    refuses("sqlite:///qgd.db?mode=ro", &["`?mode=ro`", "no settings behind a question mark", "read-only"]);
    refuses("sqlite:///new.db?timeout=20", &["`?timeout=20`"]);
    refuses("sqlite:///file:qgd.db", &["`file:`", "sqlite:///FILE"]);
    refuses("sqlite:///:memory:", &["`:memory:`", "give memory:"]);
    refuses("sqlite:///folder", &["folder: it is a folder"]);
    refuses("sqlite:////dev/null", &["/dev/null: it is a device"]);
    sandbox.refuses(
        &["tune", "space.toml", "--storage", "sqlite:///no/a.db", "--", "true"],
        &["its folder does not exist"],
    );
}

#[test]
fn who_waits_for_a_worker_that_was_killed_is_told_so() {
    let clusters = [Some("sqlite:///qgd.db".to_owned()), Cluster::shared().map(Cluster::database)];
    let waiting = |url: String| {
        let sandbox = sandbox();
        let flags = ["tune", "space.toml", "--storage", &url, "--heartbeat", "15", "--trials", "1"];
        let sleep = [&flags[..], &["--", "sh", "-c", "touch begun; exec sleep 60"]].concat();
        let mut first = sandbox.command(&sleep).spawn().unwrap();
        while !sandbox.path("begun").exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        first.kill().unwrap();
        first.wait().unwrap();
        // One who asks is told it, too, from when a heartbeat is overdue: until then, that the study has a lag.
        let said = "trial 0 has to end first, and its worker has not answered for";
        std::thread::sleep(Duration::from_secs(17));
        loop {
            let asked = ask_tell(&sandbox, &["--storage", &url], &[r#"{"ask":{}}"#]);
            let error = asked[0]["error"].as_str().unwrap_or_default();
            if error.contains(said) {
                break;
            }
            assert!(error.contains("the lag of the study is 1"), "{url}: {asked:?}");
            std::thread::sleep(Duration::from_millis(300));
        }
        let output = sandbox.qgd(&[&flags[..], &["--", "echo", "{{\"value\": 1}}"]].concat());
        assert_eq!(output.code, 0, "{}", output.stderr);
        contains(&output.stderr, &[said, "after 30 s of silence the trial is given up"]);
        assert!(!output.stderr.contains("lag of study"), "{}", output.stderr);
    };
    let threads: Vec<_> = clusters.into_iter().flatten().map(|url| std::thread::spawn(move || waiting(url))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
