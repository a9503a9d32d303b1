//! What a study cannot be made of, and where it cannot be kept: the error names it, the exit code is right, and nothing
//! is lost.

use crate::sandbox::{Output, Sandbox};
use crate::studies::{sandbox, trials};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

const OBJECTIVE: [&str; 4] = ["--", "sh", "-c", "echo \"{{\\\"value\\\": $QGD_PARAM_X}}\""];

#[test]
fn a_space_that_is_wrong_is_refused_and_the_key_is_named() {
    let sandbox = Sandbox::new();
    let refuses = |space: &str, needles: &[&str]| {
        sandbox.write("space.toml", space);
        sandbox.refuses(&[&["tune", "space.toml"], &OBJECTIVE[..]].concat(), &[&["space.toml"], needles].concat());
        sandbox.refuses(&["ask-tell", "--space", "space.toml"], needles);
    };
    let x = "[params.x]\ntype = 'float'\n";
    refuses("[params.x", &["TOML", "line 1"]);
    refuses("", &["`params` is missing"]);
    refuses(&format!("{x}low = 0\nhigh = 1\n{x}low = 0\nhigh = 1"), &["duplicate"]);
    refuses(&format!("{x}low = 2\nhigh = 1"), &["`params.x.high` is 1", "above low = 2"]);
    refuses(&format!("{x}low = 1\nhigh = 1"), &["`params.x.high` is 1"]);
    refuses(&format!("{x}low = 0\nhigh = 1\nlog = true"), &["`params.x.low` is 0", "above 0"]);
    refuses(&format!("{x}low = nan\nhigh = 1"), &["`params.x.low` is NaN"]);
    refuses(&format!("{x}low = 0\nhigh = 1\nwhen = {{ y = 1 }}"), &["`params.x.when.y`"]);
    refuses(&format!("direction = 'down'\n{x}low = 0\nhigh = 1"), &["`direction`", "\"minimize\""]);
}

#[test]
fn tables_of_another_version_are_left_alone() {
    let sandbox = sandbox();
    let tune = [&["tune", "space.toml", "--trials", "3"], &OBJECTIVE[..]].concat();
    assert_eq!(sandbox.qgd(&tune).code, 0);
    let execute = |sql: &str| {
        rusqlite::Connection::open(sandbox.path("qgd.db")).unwrap().execute_batch(sql).unwrap();
    };
    execute("UPDATE alembic_version SET version_num = 'v9.9.9.z'");
    sandbox.refuses(&tune, &["qgd.db", "v9.9.9.z", "v3.2.0.a"]);
    sandbox.refuses(&["study", "list"], &["v9.9.9.z"]);
    execute("UPDATE alembic_version SET version_num = 'v3.2.0.a'");
    assert_eq!(trials(&sandbox, "space", "sqlite:///qgd.db").len(), 3);
}

#[test]
fn a_file_that_is_read_only_is_looked_at_and_not_tuned() {
    let sandbox = sandbox();
    let tune = |n_trials: &'static str| [&["tune", "space.toml", "--trials", n_trials], &OBJECTIVE[..]].concat();
    assert_eq!(sandbox.qgd(&tune("3")).code, 0);
    let protect = |mode: u32| {
        std::fs::set_permissions(sandbox.path("qgd.db"), PermissionsExt::from_mode(mode)).unwrap();
    };
    protect(0o444);
    let output = run(unprivileged(&sandbox, &tune("6")));
    assert_eq!(output.code, 2, "{}", output.stderr);
    assert!(output.stderr.contains("qgd.db") && output.stderr.contains("read-only"), "{}", output.stderr);
    assert_eq!(run(unprivileged(&sandbox, &["study", "best", "space"])).code, 0);
    protect(0o644);
    assert_eq!(sandbox.qgd(&tune("6")).code, 0);
    assert_eq!(trials(&sandbox, "space", "sqlite:///qgd.db").len(), 6);
}

#[test]
fn a_full_disk_ends_the_program_and_loses_nothing() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("disk")).unwrap();
    let disk = Disk::small(&sandbox);
    let storage = "sqlite:///disk/s.db";
    let flags = ["tune", "space.toml", "--storage", storage, "--trials", "200", "--heartbeat", "0.2"];
    let tune =
        [&flags[..], &["--", "sh", "-c", "echo \"$QGD_TRIAL $QGD_PARAM_X\" >> told; echo '{{\"value\": 1}}'"]].concat();
    let output = run(disk.command(&sandbox, &tune));
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains("disk/s.db failed"), "{}", output.stderr);
    disk.enlarge();
    let before = trials(&sandbox, "space", storage);
    let done: Vec<_> = before.iter().filter(|trial| trial["state"] == "COMPLETE").collect();
    assert!(!done.is_empty() && done.len() < 200, "{}", done.len());
    // All but the last were told, and those that were told are there.
    let told = sandbox.read("told").lines().count();
    assert!(told - done.len() <= 1, "{told} trials were run, {} are there", done.len());
    let tune = sandbox
        .qgd(&[&flags[..5], &["60", "--heartbeat", "0.2", "--", "sh", "-c", "echo '{{\"value\": 1}}'"]].concat());
    assert_eq!(tune.code, 0, "{}", tune.stderr);
    let after = trials(&sandbox, "space", storage);
    assert!(after.iter().enumerate().all(|(i, trial)| trial["trial"] == i && trial["state"] != "RUNNING"));
    assert!(done.iter().all(|trial| after.contains(trial)), "what was there is there unchanged");
}

/// A place without much room: a file system of its own where that may be made, else a limit on the size of files.
struct Disk {
    mounted: Option<std::path::PathBuf>,
}

impl Disk {
    fn small(sandbox: &Sandbox) -> Self {
        let folder = sandbox.path("disk");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&folder).output();
        let is_there = mount.is_ok_and(|output| output.status.success());
        Self { mounted: is_there.then_some(folder) }
    }

    fn command(&self, sandbox: &Sandbox, args: &[&str]) -> Command {
        if self.mounted.is_some() {
            return sandbox.command(args);
        }
        // Without the signal a write that is too long is an error like any other.
        let script = "trap '' XFSZ; ulimit -f 2048; exec \"$@\"";
        wrapped(sandbox, &["sh", "-c", script, "sh"], args)
    }

    fn enlarge(&self) {
        let Some(folder) = &self.mounted else { return };
        assert!(Command::new("mount").args(["-o", "remount,size=16m"]).arg(folder).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(folder) = &self.mounted {
            Command::new("umount").arg(folder).status().unwrap();
        }
    }
}

pub fn run(mut command: Command) -> Output {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// `qgd` as one who may not write what is read-only: root may, unless that is taken away.
pub fn unprivileged(sandbox: &Sandbox, args: &[&str]) -> Command {
    if std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        return wrapped(sandbox, &["setpriv", "--bounding-set", "-dac_override", "--"], args);
    }
    sandbox.command(args)
}

/// `qgd` started by another program.
fn wrapped(sandbox: &Sandbox, by: &[&str], args: &[&str]) -> Command {
    let mut command = Command::new(by[0]);
    command.args(&by[1..]).arg(sandbox.command(&[]).get_program()).args(args).current_dir(sandbox.path("."));
    command
}
