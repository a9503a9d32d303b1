//! Numbers for the tuner that are too large, too small or no numbers: refused with what is allowed, in a short message.

use crate::sandbox::Sandbox;
use crate::studies::sandbox;

fn refuses(sandbox: &Sandbox, flags: &[&str], needles: &[&str]) {
    sandbox.refuses(&[&["tune", "space.toml"], flags, &["--", "true"]].concat(), needles);
}

#[test]
fn every_option_of_a_pruner_has_an_upper_limit_that_is_said() {
    let sandbox = sandbox();
    let most = u64::MAX.to_string();
    let steps = "2147483647";
    for (pruner, options, limit) in [
        ("median", &["n_startup_trials", "n_warmup_steps", "interval_steps", "n_min_trials"][..], steps),
        ("percentile", &["n_startup_trials", "n_warmup_steps", "interval_steps", "n_min_trials"], steps),
        ("asha", &["min_resource", "bootstrap_count"], steps),
        ("asha", &["reduction_factor"], "from 2 to 1000"),
        ("hyperband", &["min_resource", "max_resource"], steps),
        ("hyperband", &["reduction_factor"], "from 2 to 1000"),
        ("patience", &["patience"], steps),
    ] {
        for option in options {
            for value in [&most, "2147483648", "-1"] {
                refuses(&sandbox, &["--pruner", &format!("{pruner}:{option}={value}")], &[option, value, limit]);
            }
        }
    }
    refuses(&sandbox, &["--pruner", "patience:min_delta=inf"], &["`min_delta` of `patience` is inf", "finite"]);
}

#[test]
fn counts_of_studies_have_an_upper_limit_that_is_said() {
    let sandbox = sandbox();
    let most = u64::MAX.to_string();
    refuses(&sandbox, &["--lag", &most], &["`lag` is 18446744073709551615", "at most 1000000"]);
    refuses(&sandbox, &["--retries", &most], &["`retries`", "at most 1000000"]);
    refuses(&sandbox, &["--trials", &most], &["`--trials`", "at most 2147483647"]);
    refuses(&sandbox, &["--max-failures", &most], &["`--max-failures`", "at most 2147483647"]);
    refuses(&sandbox, &["--screen", &format!("{most}:3")], &["--screen", "10 to 1000000 trials"]);
    refuses(&sandbox, &["--screen", "50:10001"], &["--screen", "1 to 10000 parameters"]);
    for study in ["a", "b"] {
        let tune = ["tune", "space.toml", "--study", study, "--trials", "4", "--", "echo", "{{\"value\": 1}}"];
        assert_eq!(sandbox.qgd(&tune).code, 0);
    }
    let teach = |flags: &[&str], needles: &[&str]| {
        sandbox.refuses(&[&["study", "teach", "a", "b", "-o", "taught.qgd"], flags].concat(), needles);
    };
    teach(&["--episodes", &most, "--trials", "2"], &["`episodes` is 18446744073709551615", "from 1 to 1000000"]);
    teach(&["--episodes", "0", "--trials", "2"], &["`episodes` is 0", "from 1 to 1000000"]);
    teach(&["--trials", "1"], &["`trials` is 1", "from 2 to 10000"]);
    teach(&["--data", "a=1,2,3", "--data", "a=4,5,6"], &["--data names a twice"]);
    teach(&["a"], &["study a is named twice"]);
}

#[test]
fn a_negative_number_is_a_wrong_value_of_its_flag_in_every_command() {
    let sandbox = sandbox();
    let whole = "must be a whole number, 0 or above";
    for flag in ["--trials", "--workers", "--max-failures", "--seed", "--lag", "--retries"] {
        refuses(&sandbox, &[flag, "-1"], &["'-1'", flag, whole]);
        refuses(&sandbox, &[flag, "1.5"], &["'1.5'", flag, whole]);
        let output = sandbox.qgd(&["tune", "space.toml", flag, "-1", "--", "true"]);
        assert!(!output.stderr.contains("'-- -1'") && !output.stderr.contains("digit"), "{}", output.stderr);
    }
    refuses(&sandbox, &["--heartbeat", "-1"], &["`heartbeat` is -1", "from 0.01"]);
    refuses(&sandbox, &["--timeout", "-1e3"], &["--timeout", "-1000", "above 0"]);
    refuses(&sandbox, &["--timeout", "soon"], &["'soon'", "--timeout", "must be a number"]);
    sandbox.refuses(&["study", "importance", "a", "--objective", "-1"], &["'-1'", "--objective", whole]);
    sandbox.refuses(&["study", "teach", "a", "-o", "o", "--episodes", "-1"], &["'-1'", "--episodes", whole]);
    sandbox.refuses(&["meta-train", "r.toml", "-o", "o", "--seed", "-1"], &["'-1'", "--seed"]);
}

#[test]
fn a_number_of_hundreds_of_digits_is_not_repeated_in_full() {
    let sandbox = sandbox();
    let long = "7".repeat(300);
    let short = |flags: &[&str], needles: &[&str]| {
        let args = [&["tune", "space.toml"], flags, &["--", "true"]].concat();
        sandbox.refuses(&args, needles);
        let said = sandbox.qgd(&args).stderr;
        assert!(said.len() < 500 && !said.contains(&long), "{said}");
    };
    let cut = "77777777777777777777... (300 digits)";
    short(&["--trials", &long], &[cut, "must be a smaller whole number"]);
    short(&["--trials", &format!("-{long}")], &[cut, "0 or above"]);
    short(&["--timeout", &long], &["--timeout", "at most 1e9", "digits)"]);
    short(&["--pruner", &format!("median:interval_steps={long}")], &[cut, "interval_steps"]);
    short(&["--sampler", &format!("tpe:n_candidates={long}")], &[cut]);
    short(&["--screen", &format!("{long}:3")], &[cut]);
    short(&["--study", &"n".repeat(5000)], &["`name`", "1 to 512 characters"]);
    let space = sandbox.read("space.toml");
    for (low, needle) in [("1e300", "`params.x.low` is 1e300"), ("9e-300", "`params.x.low` is 9e-300")] {
        sandbox.write("space.toml", space.replace("low = -4.0\nhigh = 4.0", &format!("low = {low}\nhigh = {low}")));
        short(&[], &[&needle.replace("low", "high"), &format!("above low = {low}")]);
    }
    sandbox.write("space.toml", space.replace("low = -4.0", &format!("low = {long}")));
    short(&[], &["space.toml"]);
    sandbox.write("space.toml", space.replace("type = 'float'", &format!("type = '{}'", "long ".repeat(10_000))));
    let said = sandbox.qgd(&["tune", "space.toml", "--", "true"]).stderr;
    assert!(said.len() < 5000 && said.contains("`params.x.type`"), "{}", said.len());
}
