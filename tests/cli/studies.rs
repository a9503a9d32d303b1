//! Studies of tests: a space, and what is kept of their trials.

use crate::sandbox::Sandbox;
use serde_json::Value;

pub const SPACE: &str = "[params.x]\ntype = 'float'\nlow = -4.0\nhigh = 4.0\n\
    [params.layers]\ntype = 'int'\nlow = 1\nhigh = 3\n\
    [params.units]\ntype = 'int'\nlow = 8\nhigh = 64\nlog = true\nwhen = { layers = [2, 3] }\n";

/// A folder with a space, `space.toml`.
pub fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("space.toml", SPACE);
    sandbox
}

/// All trials of a study, as `export` has them.
pub fn trials(sandbox: &Sandbox, study: &str, storage: &str) -> Vec<Value> {
    let output = sandbox.qgd(&["study", "export", study, "--storage", storage]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    output.stdout.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}
