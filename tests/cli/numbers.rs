//! Numbers that nothing can compute with: exit code 2 with the value and what is allowed, whichever door they come in by.

use crate::sandbox::{Sandbox, shipped};

fn digits() -> String {
    shipped("examples/tasks/digits.toml")
}

#[test]
fn rates_that_single_precision_cannot_hold_are_refused() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    for value in ["1e39", "1e-39"] {
        sandbox.refuses(&["train", &digits, "--lr", value], &["train.lr", value, "from 1e-30 to 1e30"]);
        sandbox.refuses(&["train", &digits, "--weight-decay", value], &["train.weight_decay", value, "1e30"]);
        sandbox.refuses(&["compare", &digits, "--starts", value], &["train.lr", value, "1e30"]);
        sandbox.refuses(&["compare", &digits, "--weight-decays", value], &["train.weight_decay", value, "1e30"]);
    }
    let rows: String = (0..20).map(|i| format!("{i},{}\n", ["a", "b"][i % 2])).collect();
    sandbox.write("table.csv", rows);
    for (net, train, key) in [("", "weight_decay = 1e39", "train.weight_decay"), ("l1 = 1e39", "", "net.l1")] {
        let data = "[data]\nformat = \"csv\"\npath = \"table.csv\"\ntarget = 1\nsplit = [0.6, 0.2, 0.2]\n";
        sandbox.write("task.toml", format!("{data}[net]\nkind = \"mlp\"\n{net}\n[train]\nsteps = 5\n{train}\n"));
        sandbox.refuses(&["train", "task.toml"], &["task.toml", key, "1e39", "1e30"]);
    }
}

#[test]
fn rates_at_the_ends_of_what_is_allowed_train_without_a_panic() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    let plain = [
        "sgd",
        "momentum",
        "adam",
        "adamw",
        "rmsprop",
        "nesterov",
        "nadam",
        "lion",
        "muon",
        "schedulefree-sgd",
        "schedulefree-adamw",
    ];
    let conditioned = ["sgd", "adam", "lion"].map(|optimizer| (optimizer, "orthogonal"));
    for (optimizer, conditioning) in plain.map(|optimizer| (optimizer, "none")).into_iter().chain(conditioned) {
        for (lr, mover) in [("1e30", ["--controller", "lr"]), ("1e-30", ["--schedule", "one-cycle"])] {
            let train = ["train", &digits, "--steps", "12", "--lr", lr, "--weight-decay", "1e30"];
            let by = ["--optimizer", optimizer, "--conditioning", conditioning];
            let output = sandbox.qgd(&[&train[..], &by, &mover].concat());
            assert_eq!(output.code, 0, "{optimizer} {conditioning} {lr}: {}", output.stderr);
        }
    }
}

#[test]
fn absurd_counts_are_refused_with_their_limits() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    let most = "18446744073709551615";
    sandbox.refuses(&["compare", &digits, "--seeds", most], &["--seeds", most, "1..=1000"]);
    sandbox.refuses(&["compare", &digits, "--jobs", most], &["--jobs", most, "1..=1024"]);
    sandbox.refuses(&["train", &digits, "--steps", most], &["train.steps", most, "1000000000000"]);
    sandbox.refuses(&["train", &digits, "--checkpoint-every", most], &["--checkpoint-every", most]);
    sandbox.refuses(&["train", &digits, "--batch-size", most], &[most, "1437"]);
    sandbox.refuses(&["train", &digits, "--threads", most], &["--threads", most, "1..=1024"]);
    sandbox.refuses(&["meta-train", "r.toml", "-o", "o", "--threads", most], &["--threads", most, "1..=1024"]);
    sandbox.write("space.toml", "[params.lr]\ntype = \"float\"\nlow = 0.1\nhigh = 1.0\n");
    let tune = ["tune", "space.toml", "--storage", "memory:", "--workers", most, "--", "true", "{lr}"];
    sandbox.refuses(&tune, &["--workers", most, "at most 512"]);
}

#[test]
fn spaces_of_keys_of_a_task_stay_inside_of_what_the_keys_allow() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    for (name, low, high) in [("lr", "1e-5", "1e39"), ("lr", "1e-40", "1.0"), ("weight_decay", "1e-5", "1e300")] {
        sandbox.write("space.toml", format!("[params.{name}]\ntype = \"float\"\nlow = {low}\nhigh = {high}\n"));
        let tune = ["tune", "space.toml", "--storage", "memory:", "--task", &digits];
        sandbox.refuses(&tune, &[&format!("params.{name}"), "1e30"]);
    }
    let whole = "[params.batch_size]\ntype = \"int\"\nlow = -9223372036854775808\nhigh = 5\nlog = true\n";
    sandbox.write("space.toml", whole);
    let tune = ["tune", "space.toml", "--storage", "memory:", "--task", &digits];
    sandbox.refuses(&tune, &["params.batch_size.low", "-9223372036854775808", "from -9007199254740992"]);
}
