//! A net that was trained, kept, and asked about new rows.

use crate::sandbox::{Output, Sandbox, shipped};
use std::process::Command;

/// A table whose class is told by the sign of its first column, and a task for it.
fn signs(sandbox: &Sandbox, header: bool) {
    let names = if header { "size,weight,kind\n" } else { "" };
    let row = |i: i32| format!("{},{},\"{}\"\n", i % 7 - 3, i, if i % 7 < 3 { "low, down" } else { "high" });
    sandbox.write("signs.csv", names.to_owned() + &(0..140).map(row).collect::<String>());
    let target = if header { "'kind'" } else { "-1" };
    sandbox.write(
        "signs.toml",
        format!(
            "[data]\nformat = 'csv'\npath = 'signs.csv'\nheader = {header}\ntarget = {target}\n\
             [net]\nkind = 'mlp'\nhidden = [8]\n[train]\nlr = 1e-2\nsteps = 300\n"
        ),
    );
    trains(sandbox, "signs.toml");
}

fn trains(sandbox: &Sandbox, task: &str) {
    let output = sandbox.qgd(&["train", task, "--controller", "lr", "--save", "net.safetensors"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
}

fn predicts(sandbox: &Sandbox, task: &str, more: &[&str]) -> Output {
    let output = sandbox.qgd(&[&["predict", task, "--net", "net.safetensors", "--input", "rows.csv"], more].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    output
}

fn refuses(sandbox: &Sandbox, task: &str, needles: &[&str]) {
    sandbox.refuses(&["predict", task, "--net", "net.safetensors", "--input", "rows.csv"], needles);
}

#[test]
fn classes_come_back_by_their_names_with_the_target_beside_them_or_without() {
    let sandbox = Sandbox::new();
    signs(&sandbox, false);
    sandbox.write("rows.csv", "-3,20\n3,20\n");
    let output = predicts(&sandbox, "signs.toml", &[]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("prediction\n\"low, down\"\nhigh\n", ""));
    sandbox.write("rows.csv", "-3,20,high\n3,20,high\n");
    let output = predicts(&sandbox, "signs.toml", &["--probabilities"]);
    let mut lines = output.stdout.lines();
    assert_eq!(lines.next(), Some("prediction,p(high),\"p(low, down)\""));
    let shares: Vec<f64> = lines.next().unwrap().rsplit(',').take(2).map(|share| share.parse().unwrap()).collect();
    assert!((shares[0] + shares[1] - 1.0).abs() < 1e-5 && shares[0] > 0.8, "{shares:?}");
    assert!(output.stderr.contains("accuracy 50.0 % over the 2 rows"), "{}", output.stderr);
    let silent = predicts(&sandbox, "signs.toml", &["--json", "out.json", "--probabilities"]);
    assert_eq!(silent.stdout, "");
    let json = sandbox.json("out.json");
    assert_eq!(json["predictions"], serde_json::json!(["low, down", "high"]));
    assert_eq!(json["classes"], serde_json::json!(["high", "low, down"]));
    assert_eq!((json["n_rows"].as_u64(), json["accuracy"].as_f64()), (Some(2), Some(0.5)));
    assert_eq!(json["probabilities"][0].as_array().unwrap().len(), 2);
}

#[test]
fn with_a_header_columns_are_found_by_their_names() {
    let sandbox = Sandbox::new();
    signs(&sandbox, true);
    sandbox.write("rows.csv", "weight,size\n20,-3\n20,3\n");
    assert_eq!(predicts(&sandbox, "signs.toml", &[]).stdout, "prediction\n\"low, down\"\nhigh\n");
    sandbox.write("rows.csv", "kind,weight,size\nhigh,20,3\n");
    assert!(predicts(&sandbox, "signs.toml", &[]).stderr.contains("accuracy 100.0 %"));
    sandbox.write("rows.csv", "weight,size,kind\n20,3,\n");
    assert_eq!(predicts(&sandbox, "signs.toml", &[]).stderr, "", "an empty target column holds no targets");
    for (rows, needle) in [
        ("size,kind\n3,high\n", "no column `weight`; there are size, kind"),
        ("size,weight,size\n3,4,5\n", "line 1: two columns are called `size`"),
    ] {
        sandbox.write("rows.csv", rows);
        refuses(&sandbox, "signs.toml", &["rows.csv", needle]);
    }
    sandbox.write("rows.csv", "size,weight\n1,2\n3\n");
    refuses(&sandbox, "signs.toml", &["rows.csv, line 3: 1 columns, but the table has 2"]);
}

#[test]
fn rows_that_the_net_does_not_know_are_refused_with_their_line() {
    let sandbox = Sandbox::new();
    signs(&sandbox, false);
    for (rows, needles) in [
        ("1\n", &["rows.csv", "rows of 1 columns", "trained on rows of 3 columns (2 without the target)"][..]),
        ("1,2,high,4\n", &["rows.csv", "rows of 4 columns"]),
        ("1,2\n1,2,high\n", &["rows.csv, line 2: 3 columns, but the table has 2"]),
        ("1,2,high\n1,2,middle\n", &["rows.csv, line 2: class `middle`", "the net knows"]),
        ("1,2,high\n1,2,\n", &["rows.csv, line 2, column 3: an empty cell is no value", "other rows have a target"]),
        ("1,2\n1,x\n", &["rows.csv, line 2, column 2: `x`"]),
        ("1,nan\n", &["rows.csv, line 1, column 2"]),
        ("", &["rows.csv"]),
    ] {
        sandbox.write("rows.csv", rows);
        refuses(&sandbox, "signs.toml", needles);
    }
    sandbox.refuses(&["predict", "signs.toml", "--net", "net.safetensors", "--input", "none.csv"], &["none.csv"]);
}

#[test]
fn regression_answers_in_the_units_of_the_table() {
    let sandbox = Sandbox::new();
    sandbox.write("line.csv", (0..100).map(|i| format!("{i},{}\n", 5000 + 30 * i)).collect::<String>());
    sandbox.write(
        "line.toml",
        "[data]\nformat = 'csv'\npath = 'line.csv'\ntarget = 1\nkind = 'regression'\n\
         [net]\nkind = 'mlp'\n[train]\nlr = 0.1\nbatch_size = 0\nsteps = 300\n",
    );
    trains(&sandbox, "line.toml");
    sandbox.write("rows.csv", "10\n50\n");
    let output = predicts(&sandbox, "line.toml", &[]);
    let found: Vec<f64> = output.stdout.lines().skip(1).map(|line| line.parse().unwrap()).collect();
    assert!((found[0] - 5300.0).abs() < 5.0 && (found[1] - 6500.0).abs() < 5.0, "{found:?}");
    sandbox.write("rows.csv", "10,5301\n");
    assert!(predicts(&sandbox, "line.toml", &[]).stderr.starts_with("root mean squared error "));
    let probabilities = ["predict", "line.toml", "--net", "net.safetensors", "--input", "rows.csv", "--probabilities"];
    sandbox.refuses(&probabilities, &["--probabilities", "regression"]);
    sandbox.write("rows.csv", "1e38\n");
    assert_eq!(predicts(&sandbox, "line.toml", &[]).stdout.lines().count(), 2, "far away, but a number");
}

#[test]
fn predictions_are_those_that_the_training_was_judged_by() {
    let sandbox = Sandbox::new();
    let digits = shipped("examples/tasks/digits.toml");
    let train = ["train", &digits, "--save", "net.safetensors", "--json", "train.json", "--steps", "200"];
    assert_eq!(sandbox.qgd(&train).code, 0);
    let rows = shipped("examples/data/digits.csv.gz");
    let predict = ["predict", &digits, "--net", "net.safetensors", "--input", &rows, "--json", "all.json"];
    assert_eq!(sandbox.qgd(&predict).code, 0);
    let accuracy = sandbox.json("all.json")["accuracy"].as_f64().unwrap();
    let json = sandbox.json("train.json");
    let test = json["test_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.9 && (accuracy - test).abs() < 0.1, "{accuracy} over all rows, {test} over the test split");
    let before = std::fs::read(sandbox.path("net.safetensors")).unwrap();
    assert_eq!(sandbox.qgd(&train).code, 0);
    assert_eq!(before, std::fs::read(sandbox.path("net.safetensors")).unwrap(), "the same seed gives the same bytes");
}

#[test]
fn texts_are_asked_about_too() {
    let sandbox = Sandbox::new();
    let line = |i: i32| format!("{}\t{} it was\n", i % 2, if i % 2 == 1 { "good" } else { "bad" });
    sandbox.write("texts.tsv", (0..40).map(line).collect::<String>());
    for net in [
        "kind = 'gru'\nhidden = [4]\nhead = 'last'",
        "kind = 'gru'\nhidden = [4]\nhead = 'mean'",
        "kind = 'transformer'\nembedding = 8\nheads = 2\nhead = 'last'",
        "kind = 'transformer'\nembedding = 8\nheads = 2\nhead = 'mean'\ndropout = 0.1",
    ] {
        let data = "[data]\nformat = 'tsv'\npath = 'texts.tsv'\nlength = 4\nsplit = [0.6, 0.2, 0.2]";
        let task = format!("{data}\n[net]\n{net}\n[train]\nbatch_size = 4\nlr = 1e-2\nsteps = 200\n");
        sandbox.write("texts.toml", task);
        trains(&sandbox, "texts.toml");
        let bytes = || std::fs::read(sandbox.path("net.safetensors")).unwrap();
        let first = bytes();
        trains(&sandbox, "texts.toml");
        assert_eq!(first, bytes(), "{net}: the same seed gives the same bytes");
        // The third text has no word at all.
        sandbox.write("rows.csv", "good it was\nbad unheard was\n...\n");
        let said = predicts(&sandbox, "texts.toml", &[]).stdout;
        assert!(said.starts_with("prediction\n1\n0\n") && said.lines().count() == 4, "{net}: {said}");
        sandbox.write("rows.csv", "1\tgood it was\n7\tbad\n");
        refuses(&sandbox, "texts.toml", &["rows.csv, line 2: class `7`"]);
    }
}

#[test]
fn a_net_of_another_task_is_refused_by_name() {
    let sandbox = Sandbox::new();
    signs(&sandbox, false);
    sandbox.write("rows.csv", "1,2\n");
    let task = sandbox.read("signs.toml");
    sandbox.write("wide.toml", task.replace("[8]", "[9]"));
    refuses(&sandbox, "wide.toml", &["net.safetensors", "\"signs\"", "net.hidden is [8], here it is [9]"]);
    sandbox.write("scaled.toml", task.replace("header", "standardize = false\nheader"));
    refuses(&sandbox, "scaled.toml", &["data.standardize is true, here it is false"]);
    // Keys and words of the task file, and not those of our types.
    for (from, to, needle) in [
        ("target = -1", "target = 0", "data.target is -1, here it is 0"),
        ("target = -1", "target = -1\ndelimiter = ';'", "data.delimiter is \",\", here it is \";\""),
        (
            "target = -1",
            "target = -1\nclass_weights = 'balanced'",
            "data.class_weights is left out, here it is \"balanced\"",
        ),
        ("[8]", "[8]\nactivation = 'tanh'", "net.activation is \"relu\", here it is \"tanh\""),
        (
            "target = -1",
            "target = -1\nkind = 'regression'",
            "data.kind is \"classification\", here it is \"regression\"",
        ),
    ] {
        sandbox.write("other.toml", task.replace(from, to));
        refuses(&sandbox, "other.toml", &[needle]);
    }
    let texts =
        "[data]\nformat = 'tsv'\npath = 't'\n[net]\nkind = 'gru'\nhidden = [8]\nhead = 'last'\n[train]\nsteps = 1\n";
    sandbox.write("texts.toml", texts);
    refuses(&sandbox, "texts.toml", &["data.format is \"csv\", here it is \"tsv\""]);
    // What changes nothing may be said or left out.
    sandbox.write("said.toml", task.replace("target", "kind = 'classification'\ntarget"));
    predicts(&sandbox, "said.toml", &[]);
    sandbox.write("moved.toml", task.replace("signs.csv", "elsewhere.csv").replace("lr = 1e-2", "lr = 1"));
    assert_eq!(
        predicts(&sandbox, "moved.toml", &[]).stdout.lines().count(),
        2,
        "the rows of the training are not needed"
    );
}

#[test]
fn a_file_that_is_no_net_is_refused() {
    let sandbox = Sandbox::new();
    signs(&sandbox, false);
    sandbox.write("rows.csv", "1,2\n");
    let whole = std::fs::read(sandbox.path("net.safetensors")).unwrap();
    let text = |from: &str, to: &str| {
        let place = whole.windows(from.len()).position(|bytes| bytes == from.as_bytes()).unwrap();
        [&whole[..place], to.as_bytes(), &whole[place + from.len()..]].concat()
    };
    let header = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    // What a program would have to write on purpose: the checksum is right.
    for (bytes, needle) in [
        (Vec::new(), "no safetensors file"),
        (b"{\"not\": \"a net\"}".to_vec(), "no safetensors file"),
        (whole[..whole.len() - 4].to_vec(), "truncated or damaged"),
        ([&whole[..], &[0]].concat(), "a net that `qgd train --save` wrote is needed"),
        (header("{}"), "no entry `qgd`"),
        (
            header(
                "{\"a\":{\"dtype\":\"U8\",\"shape\":[18446744073709551615],\"data_offsets\":[0,18446744073709551615]}}",
            ),
            "damaged",
        ),
        (text("\\\"format\\\":1", "\\\"format\\\":2"), "its format is 2"),
        (text("head.weight", "head.weighs"), "tensor `head.weight` is missing"),
        (text("head.bias", "tail.bias"), "tensor `head.bias` is missing"),
        (text("\"shape\":[8,2]", "\"shape\":[2,8]"), "tensor `hidden_0.weight` has shape [2, 8]"),
        (text("\\\"deviation\\\":", "\\\"deviation\\\"-"), "its metadata are damaged"),
        (text("\\\"n_outputs\\\":2", "\\\"n_outputs\\\":0"), "impossible"),
    ] {
        sandbox.write("net.safetensors", sealed(bytes));
        refuses(&sandbox, "signs.toml", &["net.safetensors", needle]);
    }
    let mut broken = whole;
    let end = broken.len();
    broken[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    sandbox.write("net.safetensors", sealed(broken));
    refuses(&sandbox, "signs.toml", &["holds NaN: the training of this net diverged"]);
}

/// Place of the first digit of the checksum.
fn checksum_of(bytes: &[u8]) -> Option<usize> {
    let before = br#"{\"checksum\":\""#;
    bytes.windows(before.len()).position(|found| found == before).map(|place| place + before.len())
}

/// The same file with the right checksum: the hash of all bytes but its digits.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(place) = checksum_of(&bytes) {
        let hash = qgd::rng::fnv1a(&[&bytes[..place], &bytes[place + 16..]].concat());
        bytes[place..place + 16].copy_from_slice(format!("{hash:016x}").as_bytes());
    }
    bytes
}

#[test]
fn a_bit_that_has_changed_anywhere_in_a_file_is_noticed() {
    let sandbox = Sandbox::new();
    signs(&sandbox, false);
    sandbox.write("rows.csv", "1,2\n");
    let whole = std::fs::read(sandbox.path("net.safetensors")).unwrap();
    let of = |text: &str| whole.windows(text.len()).position(|bytes| bytes == text.as_bytes()).unwrap();
    let (first, last) = (8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize, whole.len() - 1);
    // The first and the last weight, a mean, the name of a class, the version, the checksum itself.
    let places = [first, (first + last) / 2, last, of("\"mean\\\":") + 9, of("low, down"), of("version") + 12];
    for place in places.into_iter().chain(checksum_of(&whole)) {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        sandbox.write("net.safetensors", damaged);
        refuses(&sandbox, "signs.toml", &["net.safetensors", "it is damaged"]);
    }
    let text = String::from_utf8_lossy(&whole[8..first]).replacen("checksum", "chequesum", 1).into_bytes();
    let without = [&(text.len() as u64).to_le_bytes(), &text[..], &whole[first..]].concat();
    sandbox.write("net.safetensors", without);
    refuses(&sandbox, "signs.toml", &["net.safetensors", "no checksum", "save the net again"]);
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_training() {
    let digits = shipped("examples/tasks/digits.toml");
    Sandbox::new().refuses(&["train", &digits, "--save", "no/net.safetensors"], &["--save", "no/net.safetensors"]);
}

#[test]
fn python_and_tch_read_the_net() {
    let sandbox = Sandbox::new();
    signs(&sandbox, false);
    let tensors = tch::Tensor::read_safetensors(sandbox.path("net.safetensors")).unwrap();
    let mut shapes: Vec<(String, Vec<i64>)> =
        tensors.iter().map(|(name, tensor)| (name.clone(), tensor.size())).collect();
    shapes.sort();
    let expected: [(&str, &[i64]); 4] =
        [("head.bias", &[2]), ("head.weight", &[2, 8]), ("hidden_0.bias", &[8]), ("hidden_0.weight", &[8, 2])];
    assert_eq!(shapes, expected.map(|(name, shape)| (name.to_owned(), shape.to_vec())));
    if !has_safetensors() {
        return;
    }
    // The net computed by hand, from nothing but the file.
    sandbox.write(
        "forward.py",
        "import json, numpy as np\n\
         from safetensors import safe_open\n\
         f = safe_open('net.safetensors', 'np')\n\
         w = {k: f.get_tensor(k) for k in f.keys()}\n\
         fitted = json.loads(f.metadata()['qgd'])['fitted']\n\
         x = np.array([[-3., 20.], [3., 20.]])\n\
         columns = fitted['preparation']['inputs']['Columns']['columns']\n\
         scales = [column['code']['Number']['scale'] for column in columns]\n\
         x = (x - [s['mean'] for s in scales]) / [s['deviation'] for s in scales]\n\
         h = np.maximum(x @ w['hidden_0.weight'].T + w['hidden_0.bias'], 0)\n\
         y = h @ w['head.weight'].T + w['head.bias']\n\
         print([fitted['preparation']['targets']['Classes'][i] for i in y.argmax(1)])\n",
    );
    let output = Command::new("python3").arg("forward.py").current_dir(sandbox.path("")).output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(said, "['low, down', 'high']\n", "{wrong}");
}

/// Whether Python reads safetensors here. If not, says so, or fails where `QGD_REQUIRE` names it.
fn has_safetensors() -> bool {
    let import = Command::new("python3").args(["-c", "import safetensors, numpy"]).output();
    if import.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let required = std::env::var("QGD_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name == "safetensors"));
    assert!(!required, "QGD_REQUIRE asks for safetensors, but python3 cannot import it");
    eprintln!("skipped: python3 cannot import safetensors and numpy");
    false
}

#[test]
fn errors_of_large_values_are_those_of_the_values_as_they_stand_in_the_file() {
    let sandbox = Sandbox::new();
    let rows: String = (0..60).map(|i| format!("{i},{}\n", 1_700_000_000 + i)).collect();
    sandbox.write("line.csv", format!("x,y\n{rows}"));
    sandbox.write(
        "line.toml",
        "[data]\nformat = 'csv'\npath = 'line.csv'\nheader = true\ntarget = 'y'\nkind = 'regression'\n\
         [net]\nkind = 'mlp'\n[train]\nlr = 0.1\nbatch_size = 0\nsteps = 300\n",
    );
    trains(&sandbox, "line.toml");
    sandbox.write("rows.csv", format!("x,y\n{rows}"));
    let said = predicts(&sandbox, "line.toml", &[]).stderr;
    let error: f64 = said.split_whitespace().nth(4).unwrap().parse().unwrap();
    assert!(error < 1.0, "{said}");
}

#[test]
fn a_column_without_a_name_is_found_by_having_none() {
    let sandbox = Sandbox::new();
    let row = |i: i32| format!("{i},{},{}\n", i % 9, if i % 9 > 4 { "high" } else { "low" });
    sandbox.write("signs.csv", format!(",x,c\n{}", (0..60).map(row).collect::<String>()));
    sandbox.write(
        "signs.toml",
        "[data]\nformat = 'csv'\npath = 'signs.csv'\nheader = true\ntarget = 'c'\n\
         [net]\nkind = 'mlp'\n[train]\nsteps = 20\nbatch_size = 8\n",
    );
    trains(&sandbox, "signs.toml");
    sandbox.write("rows.csv", "x,\n3,1\n");
    assert_eq!(predicts(&sandbox, "signs.toml", &[]).stdout.lines().count(), 2);
    sandbox.write("rows.csv", "x,foo\n3,1\n");
    refuses(&sandbox, "signs.toml", &["rows.csv", "no column ``"]);
}
