//! Programs as they are: what they get, what they may print, how they end, and that nothing of them is left when the
//! worker is gone, however it goes.

use crate::sandbox::Sandbox;
use crate::studies::trials;
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SPACE: &str = "[params.x]\ntype = 'float'\nlow = 0.0\nhigh = 1.0\n";

const CONDITIONAL: &str = "[params.layers]\ntype = 'int'\nlow = 1\nhigh = 3\n\
    [params.dropout]\ntype = 'float'\nlow = 0.0\nhigh = 0.5\nwhen = { layers = [2, 3] }\n";

fn sandbox(space: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("space.toml", space);
    sandbox
}

fn found(sandbox: &Sandbox) -> Vec<Value> {
    trials(sandbox, "space", "sqlite:///qgd.db")
}

fn states(sandbox: &Sandbox) -> Vec<String> {
    found(sandbox).iter().map(|trial| trial["state"].as_str().unwrap().to_owned()).collect()
}

/// The command of a study of `space.toml` that runs `script` in a shell.
fn shell<'a>(flags: &[&'a str], script: &'a str) -> Vec<&'a str> {
    [&["tune", "space.toml", "--sampler", "random"], flags, &["--", "sh", "-c", script]].concat()
}

/// Waits until `holds`, for half a minute at most.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "after half a minute {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Number of living processes with this command line, by `ps`.
fn alive(command: &str) -> usize {
    let output = Command::new("ps").args(["-eo", "stat=,args="]).output().unwrap();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_it = |line: &&str| {
        line.trim().split_once(' ').is_some_and(|(state, args)| !state.starts_with('Z') && args.trim() == command)
    };
    lines.lines().filter(is_it).count()
}

fn signal(process: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap().success());
}

#[test]
fn an_option_for_a_parameter_that_is_not_there_is_left_out() {
    let sandbox = sandbox(CONDITIONAL);
    let script = "echo \"$@\" >> said; echo '{{\"value\": 1}}'";
    let command = ["sh", "-c", script, "sh", "--layers", "{layers}", "--dropout", "{dropout}", "-d{dropout}", "end"];
    let output =
        sandbox.qgd(&[&["tune", "space.toml", "--sampler", "random", "--trials", "8", "--"], &command[..]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    let expected: Vec<String> = found(&sandbox)
        .iter()
        .map(|trial| match (&trial["params"]["layers"], &trial["params"]["dropout"]) {
            (layers, Value::Null) => format!("--layers {layers} end"),
            (layers, dropout) => format!("--layers {layers} --dropout {dropout} -d{dropout} end"),
        })
        .collect();
    assert_eq!(sandbox.read("said").lines().collect::<Vec<_>>(), expected);
    assert!(expected.iter().any(|line| !line.contains("dropout")) && expected.iter().any(|line| line.contains("-d0.")));
}

#[test]
fn what_cannot_be_left_out_is_said() {
    let sandbox = sandbox(CONDITIONAL);
    let script = "[ -n '{dropout}' ] || [ $QGD_PARAM_LAYERS = 1 ] && echo '{{\"value\": 1}}'; \
                  [ ${{QGD_PARAM_DROPOUT-none}} = none ] || [ $QGD_PARAM_DROPOUT = '{dropout}' ]";
    let output = sandbox.qgd(&shell(&["--trials", "6", "--max-failures", "1"], script));
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stderr.contains("stays empty in trials where dropout is not active"), "{}", output.stderr);
    sandbox.refuses(
        &["tune", "space.toml", "--study", "other", "--", "train-{dropout}"],
        &["train-{dropout}", "`dropout` is not active in every trial"],
    );
}

#[test]
fn nothing_of_an_outer_study_reaches_a_program_and_a_worker_has_a_number() {
    let sandbox = sandbox(SPACE);
    let script = "env | grep -E '^(QGD|PYTHONUN)' | sort | tr '\\n' ' ' >&2; sleep 0.3; echo '{{\"value\": 1}}'";
    let flags = ["--trials", "4", "--workers", "2"];
    let mut command = sandbox.command(&shell(&flags, script));
    command.env("QGD_PARAM_Y", "1").env("QGD_PARAMS", "{}").env("QGD_TRIAL", "77").env("QGD_WORKER", "9");
    command.env("QGD_OTHER", "1").env_remove("PYTHONUNBUFFERED");
    assert!(command.output().unwrap().status.success());
    let mut workers = Vec::new();
    for (i, trial) in found(&sandbox).iter().enumerate() {
        let (said, x) = (sandbox.read(&format!("space-logs/{i:06}.log")), &trial["params"]["x"]);
        let (before, after) = said.split_once(" QGD_WORKER=").unwrap();
        let expected = format!("PYTHONUNBUFFERED=1 QGD_PARAMS={{\"x\":{x}}} QGD_PARAM_X={x} QGD_TRIAL={i}");
        assert_eq!(before, expected);
        workers.push(after.split_once(' ').unwrap().0.to_owned());
    }
    workers.sort();
    assert_eq!(workers, ["0", "0", "1", "1"]);
    let mut command =
        sandbox.command(&shell(&["--trials", "5"], "echo $PYTHONUNBUFFERED. >&2; echo '{{\"value\": 1}}'"));
    assert!(command.env("PYTHONUNBUFFERED", "").output().unwrap().status.success());
    assert!(sandbox.read("space-logs/000004.log").starts_with(".\n"));
}

#[test]
fn a_program_that_ended_by_itself_with_a_value_is_complete_whatever_the_pruner_says() {
    let sandbox = sandbox(SPACE);
    let pruner = ["--trials", "3", "--max-failures", "1", "--pruner", "patience:patience=0"];
    let steps = "for s in 1 2 3; do echo \"{{\\\"step\\\": $s, \\\"value\\\": $s}}\"; done; ";
    let output = sandbox.qgd(&shell(&pruner, &format!("{steps} echo '{{{{\"value\": 7}}}}'")));
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(found(&sandbox).iter().all(|trial| trial["state"] == "COMPLETE" && trial["values"][0] == 7.0));
    assert_eq!(found(&sandbox)[0]["intermediate"].as_array().unwrap().len(), 3);
    // Without a value it was pruned, for all that anybody knows; with a failure it failed.
    let once = ["--max-failures", "1", "--pruner", "patience:patience=0", "--trials", "1"];
    let output = sandbox.qgd(&shell(&[&once[..], &["--study", "none"]].concat(), steps));
    assert_eq!((output.code, trials(&sandbox, "none", "sqlite:///qgd.db")[0]["state"].as_str()), (0, Some("PRUNED")));
    let output = sandbox.qgd(&shell(&[&once[..], &["--study", "bad"]].concat(), &format!("{steps} exit 3")));
    assert!(output.code == 1 && output.stderr.contains("exit code 3"), "{}", output.stderr);
}

#[test]
fn one_trial_with_a_wrong_number_of_values_fails_alone() {
    let sandbox = sandbox(SPACE);
    let script = "case $QGD_TRIAL in 1) echo '{{\"values\": []}}';; 3) echo '{{\"values\": [1, 2]}}';; \
                  *) echo '{{\"value\": 1}}';; esac";
    let output = sandbox.qgd(&shell(&["--trials", "4", "--workers", "2"], script));
    assert_eq!(output.code, 0, "{}", output.stderr);
    let states = states(&sandbox);
    assert_eq!((states[1].as_str(), states[3].as_str()), ("FAIL", "FAIL"));
    assert_eq!(states.iter().filter(|state| *state == "COMPLETE").count(), 4);
    for needle in ["trial 1 was told 0 values", "trial 3 was told 2 values"] {
        assert!(output.stderr.contains(needle), "{}", output.stderr);
    }
}

#[test]
fn much_output_and_a_slow_reader_of_the_log_lose_no_line() {
    let sandbox = sandbox(SPACE);
    // 30 MB, a line of 3 MB, and the last line without an end.
    let script = "yes '{{ no json, but a line to look at, and a long one }}' | head -c 30000000; \
                  head -c 3000000 /dev/zero | tr '\\0' '{{'; echo; printf '{{\"value\": 2}}'";
    let output = sandbox.qgd(&shell(&["--trials", "1", "--max-failures", "1"], script));
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(found(&sandbox)[0]["values"][0], 2.0);
    assert_eq!(std::fs::metadata(sandbox.path("space-logs/000000.log")).unwrap().len(), 30_000_000 + 3_000_001 + 12);
    // The log is a pipe that is read slowly: the value stands behind more than it holds.
    std::fs::create_dir(sandbox.path("slow-logs")).unwrap();
    let fifo = sandbox.path("slow-logs/000000.log");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let reads = format!("exec < {}; sleep 1.5; wc -c", fifo.display());
    let reader = Command::new("sh").args(["-c", &reads]).stdout(Stdio::piped()).spawn().unwrap();
    let script = "head -c 120000 /dev/zero | tr '\\0' '-'; echo; echo '{{\"value\": 3}}'";
    let flags = ["--study", "slow", "--trials", "1", "--max-failures", "1"];
    assert_eq!(sandbox.qgd(&shell(&flags, script)).code, 0);
    assert_eq!(trials(&sandbox, "slow", "sqlite:///qgd.db")[0]["values"][0], 3.0);
    assert_eq!(String::from_utf8_lossy(&reader.wait_with_output().unwrap().stdout).trim(), "120014");
}

#[test]
fn what_a_program_leaves_running_is_stopped_when_its_trial_is_over() {
    let sandbox = sandbox(SPACE);
    let script = "sleep 4711 & setsid sleep 4711 & (setsid sh -c 'trap \"\" TERM; sleep 4712 & wait' &); echo '{{\"value\": 1}}'";
    // Beside a program whose own child must stay.
    let mut beside = sandbox.command(&shell(
        &["--study", "beside", "--trials", "1"],
        "sleep 4713 & touch there; while [ ! -e over ]; do sleep 0.05; done; kill $! && echo '{{\"value\": 1}}'",
    ));
    let beside = beside.spawn().unwrap();
    eventually("the other program has not begun", || sandbox.path("there").exists());
    let output = sandbox.qgd(&shell(&["--trials", "2", "--workers", "2"], script));
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!((alive("sleep 4711"), alive("sleep 4712"), alive("sleep 4713")), (0, 0, 1));
    sandbox.write("over", "");
    assert!(beside.wait_with_output().unwrap().status.success());
}

#[test]
fn a_signal_stops_the_children_of_children_and_gives_the_trial_back() {
    for (name, code, nap) in [("-TERM", 143, "4721"), ("-INT", 130, "4722"), ("-HUP", 129, "4723")] {
        let sandbox = sandbox(SPACE);
        let script = format!(
            "[ $QGD_TRIAL = 1 ] && [ ! -e again ] || {{{{ echo '{{{{\"value\": 1}}}}'; exit; }}}}; \
             echo '{{{{\"step\": 1, \"value\": 5}}}}'; setsid sleep {nap} & (sleep {nap} &); touch there; sleep {nap}"
        );
        let worker = sandbox.listening(&shell(&["--trials", "3"], &script)).spawn().unwrap();
        eventually("the second trial has not begun", || sandbox.path("there").exists());
        let before = found(&sandbox);
        signal(&worker, name);
        let output = worker.wait_with_output().unwrap();
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!((output.status.code(), alive(&format!("sleep {nap}"))), (Some(code), 0), "{told}");
        assert!(said.contains("smallest value 1") && told.contains(&name[1..]), "{said}{told}");
        assert_eq!(states(&sandbox), ["COMPLETE", "WAITING"]);
        assert_eq!(found(&sandbox)[1]["intermediate"].as_array().map(Vec::len), Some(0));
        // The same line goes on with the same trial.
        sandbox.write("again", "");
        assert_eq!(sandbox.qgd(&shell(&["--trials", "3"], &script)).code, 0);
        assert_eq!(states(&sandbox), ["COMPLETE"; 3]);
        assert_eq!(found(&sandbox)[1]["params"], before[1]["params"]);
    }
}

#[test]
fn a_signal_that_reaches_the_programs_too_and_one_that_comes_twice() {
    let sandbox = sandbox(SPACE);
    // As batch systems do: the program gets the signal first.
    let script = "[ $QGD_TRIAL = 0 ] && echo '{{\"value\": 1}}' && exit; echo $$ > pid; exec sleep 4731";
    let worker = sandbox.listening(&shell(&["--trials", "9"], script)).spawn().unwrap();
    let written = || std::fs::read_to_string(sandbox.path("pid")).ok().filter(|text| text.ends_with('\n'));
    eventually("the program has not begun", || written().is_some());
    assert!(Command::new("kill").args(["-TERM", written().unwrap().trim()]).status().unwrap().success());
    signal(&worker, "-TERM");
    assert_eq!(worker.wait_with_output().unwrap().status.code(), Some(143));
    assert_eq!(states(&sandbox), ["COMPLETE", "WAITING"]);
    // A program that does not listen is killed when a second signal says that there is no time.
    std::fs::remove_file(sandbox.path("pid")).unwrap();
    let deaf = "trap '' TERM; echo $$ > pid; while :; do sleep 4732; done";
    let worker = sandbox.listening(&shell(&["--trials", "9", "--study", "deaf"], deaf)).spawn().unwrap();
    eventually("the deaf program has not begun", || written().is_some());
    signal(&worker, "-INT");
    std::thread::sleep(Duration::from_millis(300));
    signal(&worker, "-TERM");
    // The first one alone would wait for the program, and end with 130.
    assert_eq!(worker.wait_with_output().unwrap().status.code(), Some(143));
    eventually("the deaf program lives", || alive("sleep 4732") == 0);
}

#[test]
fn a_signal_that_was_ignored_from_the_beginning_stays_so() {
    let sandbox = sandbox(SPACE);
    let script = "touch there; while [ ! -e over ]; do sleep 0.05; done; echo '{{\"value\": 1}}'";
    let qgd = assert_cmd::cargo::cargo_bin!("qgd");
    let mut nohup = Command::new("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(qgd).args(shell(&["--trials", "1"], script));
    let worker = nohup.current_dir(sandbox.path(".")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the program has not begun", || sandbox.path("there").exists());
    signal(&worker, "-HUP");
    sandbox.write("over", "");
    let output = worker.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_left_of_a_worker_that_is_killed_nor_of_what_starts_its_programs() {
    let sandbox = sandbox(SPACE);
    let script = "setsid sh -c 'trap \"\" TERM; sleep 4741 & sleep 4741' & (sleep 4741 &); touch there-$QGD_TRIAL; \
                  [ $QGD_TRIAL = 1 ] && echo '{{\"value\": 1}}' || sleep 4741";
    let flags = ["--trials", "1", "--workers", "1", "--max-failures", "9", "--heartbeat", "60"];
    let mut worker = sandbox.command(&shell(&flags, script)).spawn().unwrap();
    eventually("the program has not begun", || sandbox.path("there-0").exists() && alive("sleep 4741") >= 4);
    worker.kill().unwrap();
    worker.wait().unwrap();
    eventually("something lives", || alive("sleep 4741") == 0);
    // The process between is killed: its trial fails, nothing is left, and the next trial begins.
    std::fs::remove_file(sandbox.path("qgd.db")).unwrap();
    std::fs::remove_file(sandbox.path("there-0")).unwrap();
    let worker = sandbox.command(&shell(&flags, script)).spawn().unwrap();
    eventually("the program has not begun again", || sandbox.path("there-0").exists() && alive("sleep 4741") >= 4);
    let children = Command::new("ps").args(["-o", "pid=", "--ppid", &worker.id().to_string()]).output().unwrap();
    let between = String::from_utf8(children.stdout).unwrap();
    assert!(Command::new("kill").args(["-9", between.trim()]).status().unwrap().success());
    let output = worker.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("the process that started it was killed"), "{told}");
    assert_eq!((states(&sandbox), alive("sleep 4741")), (vec!["FAIL".to_owned(), "COMPLETE".to_owned()], 0));
}

#[test]
fn an_absurd_number_of_workers_is_refused_with_the_limit() {
    let sandbox = sandbox(SPACE);
    for workers in ["0", "513", "100000", "18446744073709551615"] {
        sandbox.refuses(&shell(&["--workers", workers], "true"), &["--workers", workers, "at most 512"]);
    }
    // Many that fit: 100 programs at a time.
    let output = sandbox.qgd(&shell(&["--workers", "100", "--trials", "100"], "echo '{{\"value\": 1}}'"));
    assert_eq!((output.code, states(&sandbox).len()), (0, 100), "{}", output.stderr);
}

/// A trial costs the program and little else: not another start of ours, which loads libtorch.
#[cfg(target_os = "linux")]
#[test]
fn a_trial_takes_milliseconds_beside_its_program() {
    let sandbox = sandbox(SPACE);
    let cpu_s = |n: &str| {
        let script = "ulimit -c 0; \"$@\" >/dev/null 2>&1 && times | tail -n 1";
        let mut sh = Command::new("sh");
        sh.args(["-c", script, "sh"]).arg(assert_cmd::cargo::cargo_bin!("qgd"));
        sh.args([
            "tune",
            "space.toml",
            "--sampler",
            "random",
            "--study",
            n,
            "--trials",
            n,
            "--",
            "echo",
            "{{\"value\": 1}}",
        ]);
        let output = sh.current_dir(sandbox.path(".")).output().unwrap();
        let times = String::from_utf8(output.stdout).unwrap();
        let seconds = |time: &str| {
            let (minutes, seconds) = time.trim_end_matches('s').split_once('m').unwrap();
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
        };
        times.split_whitespace().map(seconds).sum::<f64>()
    };
    let per_trial_s = (cpu_s("41") - cpu_s("1")) / 40.0;
    eprintln!("{per_trial_s} s of CPU a trial");
    assert!(per_trial_s < 0.03, "{per_trial_s} s of CPU a trial");
}
