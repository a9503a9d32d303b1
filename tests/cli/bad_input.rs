//! Bad input to `qgd train`: exit code 2, a message that names what is wrong, nothing written.

use crate::sandbox::{Sandbox, shipped};

const TABLE: &str = "a,b,class\n1,2,x\n2,1,y\n3,4,x\n4,3,y\n5,6,x\n6,5,y\n7,8,x\n8,7,y\n9,10,x\n10,9,y\n";

fn csv_task(path: &str, target: &str) -> String {
    format!(
        "[data]\nformat = \"csv\"\npath = \"{path}\"\nheader = true\ntarget = {target}\nsplit = [0.6, 0.2, 0.2]\n\
         [net]\nkind = \"mlp\"\nhidden = [4]\n[train]\nbatch_size = 2\nsteps = 5\n"
    )
}

fn idx_task(images: &str, labels: &str) -> String {
    format!(
        "[data]\nformat = \"idx\"\npath = \".\"\nimages = \"{images}\"\nlabels = \"{labels}\"\nclasses = 2\n\
         [net]\nkind = \"mlp\"\nhidden = [4]\n[train]\nbatch_size = 2\nsteps = 5\n"
    )
}

/// An IDX file of bytes: magic, sizes (big-endian), content.
fn idx(sizes: &[u32], content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(content);
    bytes
}

/// Trains with every flag that makes it write something.
fn refuses(sandbox: &Sandbox, task: &str, flags: &[&str], needles: &[&str]) {
    let writing = ["--json", "out.json", "--trace", "out.jsonl", "--resume", "run", "--checkpoint-every", "1"];
    sandbox.refuses(&[&["train", task][..], &writing, flags].concat(), needles);
}

#[test]
fn the_table_of_these_tests_is_fine_as_long_as_nothing_is_wrong() {
    let sandbox = Sandbox::new();
    sandbox.write("table.csv", TABLE);
    sandbox.write("task.toml", csv_task("table.csv", "\"class\""));
    let output = sandbox.qgd(&["train", "task.toml"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
}

#[test]
fn a_missing_file_is_named() {
    let sandbox = Sandbox::new();
    refuses(&sandbox, "nothing.toml", &[], &["nothing.toml"]);
    sandbox.write("task.toml", csv_task("nowhere.csv", "0"));
    refuses(&sandbox, "task.toml", &[], &["nowhere.csv"]);
}

#[test]
fn a_wrong_column_is_named_and_so_are_those_there() {
    let sandbox = Sandbox::new();
    sandbox.write("table.csv", TABLE);
    sandbox.write("task.toml", csv_task("table.csv", "\"klass\""));
    refuses(&sandbox, "task.toml", &[], &["klass", "class"]);
    sandbox.write("task.toml", csv_task("table.csv", "7"));
    refuses(&sandbox, "task.toml", &[], &["7", "3"]);
}

#[test]
fn a_cell_that_is_no_number_is_named_with_its_line() {
    let sandbox = Sandbox::new();
    sandbox.write("table.csv", TABLE.replace("4,3,y", "4,three,y"));
    sandbox.write("task.toml", csv_task("table.csv", "\"class\""));
    refuses(&sandbox, "task.toml", &[], &["table.csv", "three", "5"]);
}

#[test]
fn idx_files_that_are_cut_or_hold_a_wrong_label_are_refused() {
    let sandbox = Sandbox::new();
    let n = 20;
    sandbox.write("images", idx(&[n, 2, 2], &vec![7; 4 * n as usize]));
    sandbox.write("cut", idx(&[n, 2, 2], &vec![7; 4 * n as usize - 3]));
    sandbox.write("labels", idx(&[n], &[0, 1].repeat(10)));
    sandbox.write("wrong", idx(&[n], &[0, 9].repeat(10)));
    sandbox.write("task.toml", idx_task("images", "labels"));
    assert_eq!(sandbox.qgd(&["train", "task.toml"]).code, 0);
    sandbox.write("task.toml", idx_task("cut", "labels"));
    refuses(&sandbox, "task.toml", &[], &["cut"]);
    sandbox.write("task.toml", idx_task("images", "wrong"));
    refuses(&sandbox, "task.toml", &[], &["9", "from 0 to 1"]);
}

#[test]
fn garbage_that_calls_itself_gzip_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("table.csv.gz", TABLE);
    sandbox.write("task.toml", csv_task("table.csv.gz", "\"class\""));
    refuses(&sandbox, "task.toml", &[], &["table.csv.gz"]);
}

#[test]
fn values_that_no_run_can_use_are_refused_with_what_is_allowed() {
    let (sandbox, digits) = (Sandbox::new(), shipped("examples/tasks/digits.toml"));
    refuses(&sandbox, &digits, &["--lr", "-0.1"], &["train.lr", "-0.1", "above 0"]);
    refuses(&sandbox, &digits, &["--lr", "nan"], &["train.lr", "NaN"]);
    refuses(&sandbox, &digits, &["--lr", "fast"], &["--lr", "fast"]);
    refuses(&sandbox, &digits, &["--weight-decay", "-1"], &["train.weight_decay", "-1"]);
    refuses(&sandbox, &digits, &["--steps", "0"], &["train.steps", "0"]);
    refuses(&sandbox, &digits, &["--batch-size", "5000"], &["5000", "1437"]);
    refuses(&sandbox, &digits, &["--optimizer", "adem"], &["adem", "adam"]);
    refuses(&sandbox, &digits, &["--schedule", "cosign"], &["cosign", "cosine"]);
    refuses(&sandbox, &digits, &["--controller", "lr", "--schedule", "cosine"], &["lr", "cosine", "choose one"]);
    refuses(&sandbox, &digits, &["--threads", "0"], &["--threads", "0"]);
}

#[test]
fn a_task_file_with_a_mistake_is_refused_with_the_key() {
    let sandbox = Sandbox::new();
    let good = csv_task("table.csv", "\"class\"");
    sandbox.write("table.csv", TABLE);
    sandbox.write("unknown.toml", good.replace("steps = 5", "steps = 5\nsetps = 6"));
    refuses(&sandbox, "unknown.toml", &[], &["unknown.toml", "setps"]);
    sandbox.write("negative.toml", good.replace("steps = 5", "steps = 5\nlr = -1.0"));
    refuses(&sandbox, "negative.toml", &[], &["negative.toml", "train.lr", "-1"]);
    sandbox.write("broken.toml", good.replace("[net]", "[net"));
    refuses(&sandbox, "broken.toml", &[], &["broken.toml"]);
}

#[test]
fn outputs_that_cannot_be_written_are_refused_before_the_work() {
    let (sandbox, digits) = (Sandbox::new(), shipped("examples/tasks/digits.toml"));
    sandbox.refuses(&["train", &digits, "--json", "no/such/folder.json"], &["--json", "no/such/folder.json"]);
    sandbox.refuses(&["train", &digits, "--trace", "."], &["--trace"]);
    sandbox.write("file", "");
    sandbox.refuses(&["train", &digits, "--resume", "file"], &["--resume", "file"]);
    sandbox.refuses(&["compare", &digits, "--chart", "no/such.svg"], &["--chart", "no/such.svg"]);
}

#[test]
fn a_checkpoint_of_another_run_or_a_damaged_one_is_refused() {
    let (sandbox, digits) = (Sandbox::new(), shipped("examples/tasks/digits.toml"));
    let train = ["train", &digits, "--steps", "4", "--resume", "run", "--trace", "trace.jsonl"];
    assert_eq!(sandbox.qgd(&train).code, 0);
    let with = |flags: &[&'static str]| [&train[..], flags].concat();
    sandbox.refuses(&with(&["--lr", "0.5"]), &["train.lr is 0.001", "0.5"]);
    sandbox.refuses(&with(&["--seed", "1"]), &["seed is 0", "1"]);
    sandbox.refuses(&with(&["--schedule", "greedy"]), &["schedule is constant", "greedy"]);
    sandbox.write("trace.jsonl", "");
    assert!(sandbox.path("run/checkpoint.qgd").exists());
    sandbox.write("run/checkpoint.qgd", "QGDF and then nothing");
    sandbox.refuses(&train, &["checkpoint.qgd"]);
}

#[test]
fn a_trace_shorter_than_its_checkpoint_says_is_refused() {
    let (sandbox, digits) = (Sandbox::new(), shipped("examples/tasks/digits.toml"));
    let train = ["train", &digits, "--steps", "4", "--schedule", "cosine", "--resume", "run", "--trace", "trace.jsonl"];
    assert_eq!(sandbox.qgd(&train).code, 0);
    sandbox.write("trace.jsonl", "{}\n");
    sandbox.refuses(&train, &["trace.jsonl", "3 bytes"]);
    assert_eq!(sandbox.read("trace.jsonl"), "{}\n");
}

#[test]
fn a_negative_number_is_a_wrong_value_of_its_flag() {
    let sandbox = Sandbox::new();
    for (command, flag) in
        [("train", "--steps"), ("train", "--batch-size"), ("compare", "--seeds"), ("compare", "--jobs")]
    {
        sandbox.refuses(&[command, "digits", flag, "-1"], &["invalid value '-1'", flag]);
    }
}
