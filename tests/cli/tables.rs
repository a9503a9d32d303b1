//! Tables and files as people have them: read as they are meant, or refused with what to say.

use crate::sandbox::{Sandbox, shipped};
use std::fmt::Write;

/// A task for `table.csv` with more keys in `[data]`.
fn task(data: &str, hidden: &str) -> String {
    format!(
        "[data]\nformat = \"csv\"\npath = \"table.csv\"\ntarget = -1\nsplit = [0.6, 0.2, 0.2]\n{data}\n\
         [net]\nkind = \"mlp\"\nhidden = {hidden}\n[train]\nbatch_size = 8\nsteps = 5\n"
    )
}

/// Rows of a number and a class.
fn rows(n: usize) -> String {
    (0..n).map(|row| format!("{row},{}\n", if row % 2 == 0 { "even" } else { "odd" })).collect()
}

fn with_table(table: impl AsRef<[u8]>, data: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("table.csv", table);
    sandbox.write("task.toml", task(data, "[4]"));
    sandbox
}

fn trains(sandbox: &Sandbox, flags: &[&str]) -> serde_json::Value {
    let output = sandbox.qgd(&[&["train", "task.toml", "--json", "out.json"], flags].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    sandbox.json("out.json")
}

#[test]
fn a_split_without_examples_has_a_loss_of_null() {
    let sandbox = with_table(rows(20), "");
    let with_split = |split: &str| task("", "[4]").replace("[0.6, 0.2, 0.2]", split);
    for (split, validation, test) in
        [("[0.8, 0.0, 0.2]", true, false), ("[0.8, 0.2, 0.0]", false, true), ("[1, 0, 0]", true, true)]
    {
        sandbox.write("task.toml", with_split(split));
        let found = trains(&sandbox, &[]);
        for (name, is_null) in [("validation", validation), ("test", test)] {
            let keys = [format!("{name}_loss"), format!("{name}_accuracy")];
            assert!(keys.iter().all(|key| found[key].is_null() == is_null), "{split}: {found}");
        }
        assert_eq!(found["diverged"], false);
    }
    sandbox.write("task.toml", with_split("[0.8, 0.0, 0.2]"));
    let output = sandbox.qgd(&["train", "task.toml"]);
    assert!(output.stdout.contains("validation loss  none"), "{}", output.stdout);
    let compare = ["compare", "task.toml", "--methods", "constant", "--seeds", "1"];
    let output = sandbox.qgd(&[&compare[..], &["--starts", "0.1", "--json", "all.json"]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(sandbox.json("all.json")["methods"][0]["validation_loss"][0].is_null());
    // What needs validation examples says so.
    sandbox.refuses(&[&compare[..], &["--weight-decays", "0.1"]].concat(), &["no validation examples"]);
    sandbox.refuses(&["demo", "--task", "task.toml", "--svg", "new.svg"], &["no validation examples"]);
}

#[test]
fn a_table_with_names_gaps_and_decimal_commas_is_learned() {
    let sandbox = Sandbox::new();
    let mut table = "id;farbe;größe;preis;ziel\n".to_owned();
    for row in 0..200 {
        let color = ["rot", "grün", "blau"][row % 3];
        let size = if row % 7 == 0 { "NA".to_owned() } else { format!("{},{}", row % 10, row % 4) };
        let class = if color == "rot" { "ja" } else { "nein" };
        writeln!(table, "{};{color};{size};1{row},5;{class}", 1_700_000_000 + row).unwrap();
    }
    sandbox.write("table.csv", table);
    let keys = "delimiter = \";\"\nheader = true\ndecimal = \",\"\ncategorical = [\"farbe\"]\nmissing = \"indicator\"\n\
                ignore = [\"id\"]\nclass_weights = \"balanced\"";
    sandbox.write("task.toml", task(keys, "[16]").replace("-1", "\"ziel\""));
    let found = trains(&sandbox, &["--steps", "400", "--lr", "0.02"]);
    assert!(found["test_accuracy"].as_f64().unwrap() > 0.95, "{found}");
    // Three colors, a size and whether it is there, a price: six inputs, 16 hidden units, two classes.
    assert_eq!(found["n_parameters"], 6 * 16 + 16 + 16 * 2 + 2);
}

#[test]
fn a_name_that_the_training_split_lacks_is_told() {
    let rows: String = (0..40).map(|row| format!("n{row},{}\n", row % 2)).collect();
    let sandbox = with_table(rows, "categorical = [0]");
    let output = sandbox.qgd(&["train", "task.toml"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stderr.contains("column `0` has names") && output.stderr.contains("and 8 more"),
        "{}",
        output.stderr
    );
}

#[test]
fn every_file_that_people_write_may_begin_with_a_byte_order_mark() {
    let sandbox = with_table(rows(20), "");
    let marked = |text: &str| [b"\xef\xbb\xbf", text.replace('\n', "\r\n").as_bytes()].concat();
    let utf16 = |text: &str| -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    };
    let plain = trains(&sandbox, &[]);
    let space = "[params.x]\ntype = \"float\"\nlow = 0.0\nhigh = 1.0\n";
    let suite = format!("[[task]]\nfile = '{}'\n", shipped("examples/tasks/digits.toml"));
    let recipe = shipped("controllers/lr.toml");
    let known = qgd::Recipe::load(recipe.as_ref()).unwrap();
    for written in [&marked as &dyn Fn(&str) -> Vec<u8>, &utf16] {
        sandbox.write("table.csv", written(&rows(20)));
        sandbox.write("task.toml", written(&task("", "[4]")));
        assert_eq!(trains(&sandbox, &[])["train_loss"], plain["train_loss"]);
        sandbox.write("space.toml", written(space));
        let output = sandbox.qgd(&["ask-tell", "--space", "space.toml"]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        sandbox.write("suite.toml", written(&suite));
        assert_eq!(qgd::task::SuiteSpec::load(&sandbox.path("suite.toml")).unwrap().tasks.len(), 1);
        sandbox.write("recipe.toml", written(&std::fs::read_to_string(&recipe).unwrap()));
        assert_eq!(qgd::Recipe::load(&sandbox.path("recipe.toml")).unwrap().hash(), known.hash());
    }
    for name in ["task.toml", "space.toml", "recipe.toml"] {
        sandbox.write(name, b"PK\x03\x04 zipped");
    }
    sandbox.refuses(&["train", "task.toml"], &["task.toml", "zip archive"]);
    sandbox.refuses(&["ask-tell", "--space", "space.toml"], &["space.toml", "zip archive"]);
    sandbox.refuses(&["meta-train", "recipe.toml", "-o", "new.qgd"], &["recipe.toml", "zip archive"]);
}

#[test]
fn tables_that_cannot_be_meant_are_refused_with_the_line_and_what_to_say() {
    let cases: [(&str, &str, &[&str]); 8] = [
        ("1,a\n2,b\n3,\n", "", &["table.csv, line 3", "needs its target"]),
        ("1;a\n2;b\n", "", &["table.csv, line 1", "delimiter = ';'"]),
        ("1,1.37\n2,2.74\n", "", &["kind = \"regression\""]),
        ("1,a\n2,a\n", "", &["one class"]),
        ("x,x\n1,a\n2,b\n", "header = true", &["two columns are called `x`"]),
        ("1,a\n\"2,b\n", "", &["line 2", "never closed"]),
        ("", "", &["table.csv is empty"]),
        ("1,a\n2,b\n", "ignore = [1]", &["`target` and in `ignore`"]),
    ];
    for (table, keys, says) in cases {
        with_table(table, keys).refuses(&["train", "task.toml", "--json", "out.json"], says);
    }
}

#[test]
fn what_may_be_meant_is_told_with_its_line() {
    let told = |table: &str, keys: &str, says: &[&str]| {
        let output = with_table(table, keys).qgd(&["train", "task.toml"]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert!(says.iter().all(|says| output.stderr.contains(says)), "{says:?}: {}", output.stderr);
    };
    let rows = |row: &dyn Fn(u32) -> String| -> String { (0..20).map(|i| format!("{},{}\n", row(i), i % 2)).collect() };
    let ids = rows(&|i| format!("90071992547409{}", 921 + i));
    told(&ids, "", &["line 1, column 1: `90071992547409921`", "ignore = [0]", "categorical = [0]"]);
    told(&format!("id,y\n{ids}"), "header = true", &["line 2, column 1", "ignore = [\"id\"]"]);
    let codes = rows(&|i| ["7", "07", "8"][i as usize % 3].to_owned());
    told(&codes, "categorical = [0]", &["column 1: `7` (line 1) and `07` (line 2) are one number"]);
    let years = format!("2019,class\n{}", rows(&|i| i.to_string()));
    told(&years, "", &["line 1: no other row has the class `class`", "header = true"]);
    let names: String = (0..20).map(|i| format!("{i},n{i}\n")).collect();
    told(&names, "", &["every row has a class of its own"]);
}

#[test]
fn a_flag_that_is_wrong_is_named_itself() {
    let sandbox = with_table(rows(20), "");
    for (flag, value) in [("--lr", "-1"), ("--weight-decay", "-2"), ("--steps", "0")] {
        let output = sandbox.qgd(&["train", "task.toml", flag, value]);
        let said =
            output.stderr.starts_with(&format!("error: {flag}: `train.")) && !output.stderr.contains("task.toml");
        assert!(output.code == 2 && said && output.stderr.contains("but must be"), "{}", output.stderr);
    }
    // What the file itself says is its own fault.
    sandbox.write("task.toml", task("", "[4]") + "lr = -1\n");
    sandbox.refuses(&["train", "task.toml"], &["task.toml: `train.lr` is -1"]);
    sandbox.refuses(&["train", "task.toml", "--steps", "3"], &["task.toml: `train.lr` is -1"]);
}

#[test]
fn no_task_asks_for_more_memory_than_there_is() {
    let sandbox = with_table(rows(2000), "max_memory_gb = 0.05");
    let train = ["train", "task.toml"];
    assert_eq!(sandbox.qgd(&train).code, 0);
    // Absurd sizes, each allowed alone: 1200 examples of 65,536 units; padding; parameters.
    sandbox.write("task.toml", task("max_memory_gb = 0.05", "[65536]"));
    sandbox.refuses(&["train", "task.toml", "--batch-size", "0"], &["1200 examples", "50.0 MB", "max_memory_gb"]);
    sandbox.write("task.toml", task("max_memory_gb = 1000", "[65536, 65536]"));
    sandbox.refuses(&train, &["parameters"]);
    let texts: String = (0..2000).map(|row| format!("{}\tword\n", row % 2)).collect();
    sandbox.write("table.csv", texts);
    let text = "[data]\nformat = \"tsv\"\npath = \"table.csv\"\nlength = 100000\nvocabulary = 10000000\nmax_memory_gb = 1\n\
                [net]\nkind = \"gru\"\nhidden = [4]\nhead = \"last\"\n[train]\nsteps = 1\n";
    sandbox.write("task.toml", text);
    sandbox.refuses(&train, &["table.csv", "1.0 GB", "max_memory_gb"]);
    sandbox.write("task.toml", text.replace("length = 100000", "length = 1000"));
    sandbox.refuses(&["train", "task.toml", "--batch-size", "0"], &["1600 examples", "GB"]);
    sandbox.write("task.toml", task("max_memory_gb = 0", "[4]"));
    sandbox.refuses(&train, &["data.max_memory_gb", "0.000001"]);
}
