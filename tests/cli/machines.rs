//! A study on many machines, by the engines in `examples/cluster`. What needs Python packages (ray, kubernetes_validate)
//! is skipped where they are missing, unless QGD_REQUIRE names `ray`.

use crate::sandbox::{Sandbox, shipped};
use crate::studies::trials;
use serde_json::Value;
use std::process::{Command, Output};

fn has_python(needed: &str) -> bool {
    let found = Command::new("python3").args(["-c", needed]).output().is_ok_and(|output| output.status.success());
    let required = std::env::var("QGD_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name == "ray"));
    assert!(found || !required, "QGD_REQUIRE asks for ray, but python3 cannot: {needed}");
    if !found {
        eprintln!("skipped: python3 cannot: {needed}");
    }
    found
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[cfg(target_os = "linux")]
#[test]
fn a_node_of_a_ray_cluster_is_killed_and_no_trial_is_lost() {
    if !has_python("import ray, ray.cluster_utils") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("space.toml", "[params.x]\ntype = 'float'\nlow = 0.0\nhigh = 1.0\n");
    let script = "touch begun; sleep 0.5; echo \"{{\\\"value\\\": $QGD_PARAM_X}}\"";
    let program = ["--", "sh", "-c", script];
    let storage = format!("sqlite:///{}", sandbox.path("qgd.db").display());
    let make = ["tune", "space.toml", "--storage", &storage, "--lag", "8", "--heartbeat", "1", "--trials", "0"];
    let output = sandbox.qgd(&[&make[..], &program].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    let mut python = Command::new("python3");
    python.args([shipped("tests/fixtures/ray_cluster.py"), shipped("examples/cluster/on_ray.py")]);
    python.arg(sandbox.path("begun")).arg(assert_cmd::cargo::cargo_bin!("qgd"));
    let logs = sandbox.path("logs");
    python.args(["worker", "--storage", &storage, "--study", "space", "--trials", "40", "--logs"]).arg(logs);
    python.args(program).current_dir(sandbox.path("."));
    python.env("RAY_USAGE_STATS_ENABLED", "0").env("RAY_DEDUP_LOGS", "0");
    let output = python.output().unwrap();
    let last = String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned();
    let answer: Value = serde_json::from_str(&last).unwrap_or_else(|_| panic!("{}", said(&output)));
    assert!(answer["code"] == 0 && answer["killed"].as_u64() >= Some(3), "{}", said(&output));
    assert!(answer["said"].as_str().unwrap().contains("4 of 4 workers ended well"), "{answer}");
    let trials = trials(&sandbox, "space", "sqlite:///qgd.db");
    let n_in = |state: &str| trials.iter().filter(|trial| trial["state"] == state).count();
    assert_eq!((n_in("COMPLETE"), n_in("COMPLETE") + n_in("FAIL")), (40, trials.len()));
    // What ran on that node has failed, and was tried again with the same parameters.
    assert!(n_in("FAIL") >= 1, "nothing ran on the node that was killed");
    for failed in trials.iter().filter(|trial| trial["state"] == "FAIL") {
        let again = trials.iter().filter(|trial| trial["params"] == failed["params"] && trial["state"] == "COMPLETE");
        assert_eq!(again.count(), 1, "{failed}");
    }
}

#[test]
fn the_kubernetes_job_is_one() {
    if !has_python("import kubernetes_validate, yaml") {
        return;
    }
    let mut python = Command::new("python3");
    python.args([shipped("tests/fixtures/kubernetes_schema.py"), shipped("examples/cluster/kubernetes.yaml")]);
    let output = python.output().unwrap();
    assert!(output.status.success() && said(&output).starts_with("Job "), "{}", said(&output));
}

/// Options of `sbatch` that a batch file for workers may have, from its manual.
const SBATCH: &str = "account array begin chdir comment constraint cpus-per-gpu cpus-per-task dependency error exclude \
    exclusive export gpus gpus-per-node gpus-per-task gres hold job-name licenses mail-type mail-user mem mem-per-cpu \
    mem-per-gpu no-requeue nodelist nodes ntasks ntasks-per-node open-mode output partition priority qos requeue \
    reservation signal time time-min";

#[test]
fn the_slurm_batch_file_is_a_script_with_options_that_sbatch_has() {
    let file = shipped("examples/cluster/slurm.sbatch");
    assert!(Command::new("bash").args(["-n", &file]).status().unwrap().success());
    let text = std::fs::read_to_string(&file).unwrap();
    let options: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#SBATCH ")).collect();
    assert!(options.len() >= 5 && text.starts_with("#!/bin/bash\n"));
    for option in options {
        let name = option.strip_prefix("--").and_then(|option| option.split('=').next()).unwrap();
        assert!(SBATCH.split_whitespace().any(|known| known == name), "{option}");
    }
    // Slurm stops to read options at the first line that is neither empty nor a comment.
    let first_command = text.lines().position(|line| !line.is_empty() && !line.starts_with('#')).unwrap();
    assert!(text.lines().skip(first_command).all(|line| !line.starts_with("#SBATCH")));
    // What the file runs, with a `qgd` that shows what it gets, and without the URL.
    let sandbox = Sandbox::new();
    sandbox.write("qgd", "#!/bin/sh\necho \"$@\"\n");
    Command::new("chmod").args(["+x"]).arg(sandbox.path("qgd")).status().unwrap();
    let mut bash = Command::new("bash");
    bash.arg(&file).env("PATH", format!("{}:/usr/bin:/bin", sandbox.path(".").display()));
    let output = bash.env("STORE", "postgresql://u@h/d").output().unwrap();
    assert_eq!(
        said(&output),
        "worker --storage postgresql://u@h/d --study space --trials 500 -- python train.py --lr {lr}\n"
    );
    let output = bash.env_remove("STORE").output().unwrap();
    assert!(!output.status.success() && said(&output).contains("sbatch --export"), "{}", said(&output));
}
