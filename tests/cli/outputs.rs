//! What becomes of outputs: nothing that is an input is overwritten, links and devices stay, and a result is printed even
//! where its file cannot be written.

use crate::sandbox::{Sandbox, shipped};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

fn digits() -> String {
    shipped("examples/tasks/digits.toml")
}

/// A table and its task, as `table.csv` and `task.toml`.
fn small_task(sandbox: &Sandbox) {
    let rows: String = (0..20).map(|i| format!("{i},{},{}\n", i * 7 % 5, ["a", "b"][i % 2])).collect();
    sandbox.write("table.csv", rows);
    sandbox.write(
        "task.toml",
        "[data]\nformat = \"csv\"\npath = \"table.csv\"\ntarget = -1\nsplit = [0.6, 0.2, 0.2]\n\
         [net]\nkind = \"mlp\"\nhidden = [4]\n[train]\nbatch_size = 4\nsteps = 20\n",
    );
}

/// Refuses the command and leaves `file` as it is.
fn spares(sandbox: &Sandbox, file: &str, args: &[&str], needles: &[&str]) {
    let before = fs::read(sandbox.path(file)).unwrap();
    sandbox.refuses(args, needles);
    assert_eq!(fs::read(sandbox.path(file)).unwrap(), before, "{args:?} has changed {file}");
}

#[test]
fn links_are_followed_and_the_mode_is_kept() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("elsewhere")).unwrap();
    sandbox.write("elsewhere/real", "old");
    fs::set_permissions(sandbox.path("elsewhere/real"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("elsewhere/real", sandbox.path("one")).unwrap();
    symlink("one", sandbox.path("two")).unwrap();
    symlink("elsewhere/new", sandbox.path("dangling")).unwrap();
    for link in ["two", "dangling"] {
        let output = sandbox.qgd(&["train", &digits(), "--steps", "2", "--json", link]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert!(fs::symlink_metadata(sandbox.path(link)).unwrap().is_symlink());
        assert_eq!(sandbox.json(link)["steps"], 2);
    }
    assert_eq!(fs::metadata(sandbox.path("elsewhere/real")).unwrap().mode() & 0o777, 0o640);
    assert_eq!(sandbox.json("elsewhere/new")["steps"], 2);
    assert_eq!(fs::read_dir(sandbox.path("elsewhere")).unwrap().count(), 2, "a temporary file is left");
    symlink("circle", sandbox.path("circle")).unwrap();
    sandbox.refuses(&["train", &digits(), "--steps", "2", "--json", "circle"], &["--json", "circle"]);
}

#[test]
fn a_name_as_long_as_the_file_system_allows_is_written_and_a_longer_one_refused() {
    let (sandbox, long, longer) = (Sandbox::new(), "x".repeat(255), "x".repeat(256));
    let output = sandbox.qgd(&["train", &digits(), "--steps", "2", "--json", &long]);
    assert_eq!((output.code, sandbox.listing()), (0, vec![long.clone()]), "{}", output.stderr);
    sandbox.refuses(&["train", &digits(), "--steps", "2", "--json", &longer], &["--json", "too long"]);
    let merged = sandbox.qgd(&["merge", "lr", "lr", "-o", &long]);
    assert_eq!(merged.code, 0, "{}", merged.stderr);
}

#[test]
fn the_result_is_printed_even_if_its_file_cannot_be_written() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    let train = ["train", &digits, "--steps", "2"];
    let compare = ["compare", &digits, "--steps", "2", "--seeds", "1", "--starts", "0.01", "--methods", "constant"];
    for (command, result) in [(&train[..], "test loss"), (&compare[..], "constant")] {
        let output = sandbox.qgd(&[command, &["--json", "/dev/full"]].concat());
        assert_eq!(output.code, 1, "{}", output.stderr);
        assert!(output.stdout.contains(result), "{}", output.stdout);
        assert!(output.stderr.contains("error: cannot write /dev/full: No space left"), "{}", output.stderr);
    }
    // The other files of the command are written nevertheless.
    let output = sandbox.qgd(&[&compare[..], &["--json", "/dev/full", "--chart", "out.svg"]].concat());
    assert!(output.code == 1 && sandbox.read("out.svg").starts_with("<svg"), "{}", output.stderr);
    assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
    sandbox
        .refuses(&["train", &digits, "--steps", "2", "--json", "/proc/no-file-of-ours"], &["--json", "/proc/no-file"]);
}

#[test]
fn a_disk_that_is_full_in_the_middle_costs_checkpoint_and_trace_but_not_the_run() {
    let sandbox = Sandbox::new();
    let qgd = sandbox.command(&[]).get_program().to_str().unwrap().to_owned();
    // Files of two kilobytes at most; the signal for it ignored, as the program would see a full disk.
    let script = format!(
        "trap '' XFSZ; ulimit -f 2; exec {qgd} train {} --steps 60 --controller lr --resume run --checkpoint-every 5 --trace t",
        digits()
    );
    let output =
        std::process::Command::new("bash").args(["-c", &script]).current_dir(sandbox.path(".")).output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stdout.contains("test loss"), "{stdout}{stderr}");
    assert!(
        stderr.contains("cannot write the trace t: File too large") && stderr.contains("goes on without it"),
        "{stderr}"
    );
    assert!(stderr.matches("tries again at its next checkpoint").count() == 1, "{stderr}");
    assert!(sandbox.read("t").lines().all(|line| line.ends_with('}')), "part of a line is left");
}

#[test]
fn devices_and_pipes_are_written_into_and_stay() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    assert!(std::process::Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap().success());
    let pipe = sandbox.path("pipe");
    let reader = std::thread::spawn(move || fs::read_to_string(pipe).unwrap());
    let output = sandbox.qgd(&["train", &digits, "--steps", "2", "--json", "pipe"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(reader.join().unwrap().contains("\"steps\": 2"));
    assert!(fs::metadata(sandbox.path("pipe")).unwrap().file_type().is_fifo());
    let output = sandbox.qgd(&["train", &digits, "--steps", "2", "--json", "/dev/null", "--trace", "/dev/null"]);
    assert_eq!(output.code, 0, "any number of outputs may go to /dev/null: {}", output.stderr);
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let output = sandbox.qgd(&["train", &digits, "--steps", "2", "--json", "/dev/stdout"]);
    let (json, words) = output.stdout.split_once("}\n").unwrap();
    assert!(json.starts_with("{\n") && words.starts_with("digits: "), "{}", output.stdout);
    assert_eq!(sandbox.listing(), ["pipe"]);
}

#[test]
fn stdout_that_is_a_file_is_appended_to_and_not_replaced() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    let file = fs::File::create(sandbox.path("out")).unwrap();
    let mut command = sandbox.command(&["train", &digits, "--steps", "2", "--json", "/dev/stdout"]);
    assert!(command.stdout(file).spawn().unwrap().wait().unwrap().success());
    let text = sandbox.read("out");
    assert!(text.starts_with("{\n") && text.contains("}\ndigits: "), "{text}");
}

#[test]
fn no_output_of_train_and_compare_is_an_input_or_another_output() {
    let sandbox = Sandbox::new();
    small_task(&sandbox);
    symlink("table.csv", sandbox.path("link")).unwrap();
    fs::hard_link(sandbox.path("table.csv"), sandbox.path("hard")).unwrap();
    fs::copy(shipped("pretrained/lr.qgd"), sandbox.path("my.qgd")).unwrap();
    for flag in ["--json", "--trace", "--resume"] {
        let needle = if flag == "--resume" { "not a folder" } else { "would overwrite the data" };
        for name in ["table.csv", "./table.csv", "link", "hard"] {
            spares(&sandbox, "table.csv", &["train", "task.toml", flag, name], &[flag, needle]);
        }
    }
    spares(&sandbox, "task.toml", &["train", "task.toml", "--json", "./task.toml"], &["would overwrite the task"]);
    let train = ["train", "task.toml", "--controller", "my.qgd", "--trace", "my.qgd"];
    spares(&sandbox, "my.qgd", &train, &["--trace my.qgd would overwrite the controller"]);
    sandbox
        .refuses(&["train", "task.toml", "--json", "o", "--trace", "./o"], &["--json o and --trace ./o are the same"]);
    sandbox.refuses(&["train", "task.toml", "--json", "o", "--resume", "o"], &["--resume o and --json o are the same"]);
    assert_eq!(sandbox.qgd(&["train", "task.toml", "--steps", "2", "--resume", "run"]).code, 0);
    for name in ["run/checkpoint.qgd", "run/../run/checkpoint.qgd"] {
        let train = ["train", "task.toml", "--steps", "2", "--resume", "run", "--json", name];
        spares(&sandbox, "run/checkpoint.qgd", &train, &["--resume", "same file"]);
    }
    let compare = ["compare", "task.toml", "--methods", "my.qgd+online,constant"];
    let also = |flags: &[&'static str]| [&compare[..], flags].concat();
    spares(&sandbox, "table.csv", &also(&["--json", "link"]), &["would overwrite the data"]);
    symlink("my.qgd", sandbox.path("my.svg")).unwrap();
    spares(&sandbox, "my.qgd", &also(&["--chart", "my.svg"]), &["would overwrite the controller"]);
    sandbox.refuses(&also(&["--chart", "o.svg", "--json", "o.svg"]), &["same file"]);
    symlink("table.csv", sandbox.path("table.svg")).unwrap();
    let demo = ["demo", "--task", "task.toml", "--chart", "table.svg"];
    spares(&sandbox, "table.csv", &demo, &["would overwrite the data"]);
}

#[test]
fn no_output_of_evaluate_is_an_input_or_another_output() {
    let sandbox = Sandbox::new();
    small_task(&sandbox);
    sandbox.write("suite.toml", "seeds = 1\n[[task]]\nfile = \"task.toml\"\nquick = true\n");
    symlink("task.toml", sandbox.path("task.svg")).unwrap();
    let evaluate = ["evaluate", "constant", "--suite", "suite.toml", "--quick"];
    for (flag, name, needle) in [
        ("--json", "suite.toml", "would overwrite the suite"),
        ("--chart", "task.svg", "would overwrite the task"),
        ("--markdown", "table.csv", "would overwrite the data"),
        ("--cache", "table.csv", "not a folder"),
    ] {
        spares(&sandbox, name, &[&evaluate[..], &[flag, name]].concat(), &[flag, needle]);
    }
    fs::create_dir(sandbox.path("cache")).unwrap();
    sandbox.write("cache/cells.jsonl", "");
    let cached = [&evaluate[..], &["--cache", "cache", "--json", "cache/cells.jsonl"]].concat();
    spares(&sandbox, "cache/cells.jsonl", &cached, &["same file"]);
}

#[test]
fn a_temporary_file_that_a_killed_process_left_is_swept() {
    let (sandbox, digits) = (Sandbox::new(), digits());
    fs::create_dir(sandbox.path("run")).unwrap();
    let hours = |n: u64| std::time::SystemTime::now() - std::time::Duration::from_secs(3600 * n);
    for (name, age) in [("run/.checkpoint.qgd.7-1.tmp", 0), (".out.json.7-1.tmp", 2), (".out.json.8-1.tmp", 0)] {
        let file = fs::File::create(sandbox.path(name)).unwrap();
        file.set_modified(hours(age)).unwrap();
    }
    sandbox.write(".out.json.my-own.tmp", "");
    fs::File::open(sandbox.path(".out.json.my-own.tmp")).unwrap().set_modified(hours(2)).unwrap();
    let output = sandbox.qgd(&["train", &digits, "--steps", "2", "--resume", "run", "--json", "out.json"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    // The young one may be of a process that is writing now, and the last is none of ours.
    assert_eq!(sandbox.listing(), [".out.json.8-1.tmp", ".out.json.my-own.tmp", "out.json", "run"]);
    let left: Vec<_> = fs::read_dir(sandbox.path("run")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["checkpoint.qgd"]);
}

#[test]
fn no_output_of_study_is_the_database() {
    let sandbox = Sandbox::new();
    for name in ["s.db", "s.db-wal"] {
        sandbox.write(name, "studies");
    }
    symlink("s.db", sandbox.path("link")).unwrap();
    for output in ["s.db", "./s.db", "link"] {
        let study = ["study", "--storage", "sqlite:///s.db"];
        for command in [&["export", "a", "-o", output][..], &["teach", "a", "-o", output]] {
            let needle = "would overwrite the database of --storage";
            spares(&sandbox, "s.db", &[&study[..], command].concat(), &["--output", needle]);
        }
    }
    let export = ["study", "--storage", "sqlite:///s.db", "export", "a", "-o", "s.db-wal"];
    spares(&sandbox, "s.db-wal", &export, &["would overwrite the database"]);
}
