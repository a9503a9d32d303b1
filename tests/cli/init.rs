//! `qgd init`: from a table to a task file that trains.

use crate::sandbox::{Output, Sandbox};

/// Rows of a table: two numbers, and what they make.
fn rows(n: u32, row: impl Fn(u32) -> String) -> String {
    (0..n).map(|i| row(i) + "\n").collect()
}

fn init(sandbox: &Sandbox, args: &[&str]) -> Output {
    let output = sandbox.qgd(&[&["init"], args].concat());
    assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
    output
}

fn trains(sandbox: &Sandbox, task: &str) {
    let output = sandbox.qgd(&["train", task, "--steps", "5", "--controller", "lr"]);
    assert_eq!(output.code, 0, "{}\n{}", sandbox.read(task), output.stderr);
}

#[test]
fn a_table_with_a_header_and_classes_trains_at_once() {
    let sandbox = Sandbox::new();
    let class = |i: u32| if i.is_multiple_of(3) { "setosa" } else { "virginica" };
    sandbox.write(
        "iris.csv",
        format!("length,width,species\n{}", rows(60, |i| format!("{},{}.5,{}", i % 7, i % 5, class(i)))),
    );
    let said = init(&sandbox, &["iris.csv"]).stdout;
    for says in [
        "60 rows of 3 columns",
        "`,` between cells",
        "the first line names the columns",
        "`species`, 2 classes: setosa, virginica; the last column, --target names another",
        "2: `length`, `width`",
        "qgd train iris.toml",
    ] {
        assert!(said.contains(says), "{says}: {said}");
    }
    let task = sandbox.read("iris.toml");
    assert!(task.contains("target = \"species\"") && task.contains("kind = \"classification\""), "{task}");
    trains(&sandbox, "iris.toml");
}

#[test]
fn nothing_is_replaced_unless_forced() {
    let sandbox = Sandbox::new();
    sandbox.write("t.csv", rows(30, |i| format!("{i},{}", i % 2)));
    sandbox.write("t.toml", "mine");
    sandbox.refuses(&["init", "t.csv"], &["t.toml is there already", "--force", "-o"]);
    assert_eq!(sandbox.read("t.toml"), "mine");
    init(&sandbox, &["t.csv", "--force"]);
    trains(&sandbox, "t.toml");
}

#[test]
fn delimiters_headers_and_kinds_are_found() {
    let sandbox = Sandbox::new();
    for (name, text, holds) in [
        (
            "semicolon.csv",
            format!("a;b\n{}", rows(40, |i| format!("{i};{}.25", 3 * i))),
            &["delimiter = \";\"", "header = true", "regression"][..],
        ),
        (
            "tab.tsv",
            rows(40, |i| format!("{i}.5\t{}", i % 2)),
            &["delimiter = \"\\t\"", "target = 1", "classification"],
        ),
        ("spaces.txt", rows(40, |i| format!("  {i}   {} ", i * i)), &["delimiter = \" \"", "target = 1", "regression"]),
        ("years.csv", rows(40, |i| format!("{},{}", 1980 + i, 7 * i % 4)), &["target = 1", "classification"]),
    ] {
        sandbox.write(name, text);
        init(&sandbox, &[name, "-o", "t.toml", "--force"]);
        let task = sandbox.read("t.toml");
        for says in holds {
            assert!(task.contains(says), "{name} {says}: {task}");
        }
        trains(&sandbox, "t.toml");
    }
}

#[test]
fn what_the_user_says_wins() {
    let sandbox = Sandbox::new();
    sandbox.write("t.csv", format!("a,b,c\n{}", rows(40, |i| format!("{},{},{}", i % 4, i, i % 2))));
    init(&sandbox, &["t.csv", "--target", "a", "--kind", "regression"]);
    let task = sandbox.read("t.toml");
    assert!(task.contains("target = \"a\"") && task.contains("regression"), "{task}");
    trains(&sandbox, "t.toml");
    init(&sandbox, &["t.csv", "--target", "-2", "--force"]);
    assert!(sandbox.read("t.toml").contains("target = \"b\""));
    sandbox.refuses(&["init", "t.csv", "--force", "--target", "d"], &["--target d", "3 columns", "a, b, c"]);
    sandbox.refuses(&["init", "t.csv", "--force", "--target", "3"], &["--target 3", "0 to 2"]);
    sandbox.refuses(&["init", "t.csv", "--force", "--delimiter", "::"], &["::", "one ASCII character"]);
    sandbox.refuses(&["init", "t.csv", "--force", "--delimiter", ";"], &["t.csv", "line 1", "only one column", "';'"]);
    sandbox.refuses(&["init", "t.csv", "--force", "--header", "--no-header"], &["--no-header"]);
}

#[test]
fn a_table_in_another_folder_is_found_from_the_task_file() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("in/put")).unwrap();
    std::fs::create_dir(sandbox.path("tasks")).unwrap();
    sandbox.write("in/put/t.csv", rows(40, |i| format!("{i},{}", i % 2)));
    for task in ["t.toml", "in/put/beside.toml", "tasks/t.toml"] {
        init(&sandbox, &["in/put/t.csv", "-o", task]);
        trains(&sandbox, task);
    }
}

#[test]
fn what_could_not_train_is_refused_before_a_file_is_written() {
    let sandbox = Sandbox::new();
    sandbox.refuses(&["init", "nothing.csv"], &["nothing.csv"]);
    for (text, needles) in [
        (String::new(), &["t.csv is empty"][..]),
        (
            rows(40, |i| format!("{i},{}", if i == 6 { String::new() } else { (i % 2).to_string() })),
            &["column 1", "line 7"],
        ),
        (rows(40, |i| format!("{i},1")), &["column 1", "same in every row"]),
        (rows(4, |i| format!("{i},{}", i % 2)), &["4 rows are too few", "5"]),
        (rows(40, |i| format!("1,{}", i % 2)), &["no column", "input"]),
        (format!("1,2\n{}", rows(40, |i| format!("{i},{i},{i}"))), &["t.csv, line 2", "3 columns"]),
    ] {
        sandbox.write("t.csv", text);
        sandbox.refuses(&["init", "t.csv"], needles);
    }
    sandbox.write("t.csv", rows(40, |i| format!("{i},{}", ["x", "y"][i as usize % 2])));
    sandbox.refuses(&["init", "t.csv", "--kind", "regression"], &["--kind regression", "column 1", "`x`"]);
    sandbox.refuses(&["init", "t.csv", "-o", "nowhere/t.toml"], &["nowhere/t.toml"]);
}

#[test]
fn columns_that_are_left_out_are_so_for_their_true_reason() {
    let sandbox = Sandbox::new();
    let row = |i: u32| {
        let inf = if i == 7 { "inf".to_owned() } else { i.to_string() };
        format!(
            "2024-01-{:02},\"{},{:03}\",{}%,{inf},90071992547409{:02},{i},{}",
            i % 28 + 1,
            i + 1,
            i,
            i,
            10 + i,
            i % 2
        )
    };
    sandbox.write("t.csv", format!("day,price,share,limit,code,x,y\n{}", rows(40, row)));
    let said = init(&sandbox, &["t.csv"]).stdout;
    for says in [
        "`day`: it holds dates or times",
        "`price`: it holds numbers with marks between their thousands",
        "`share`: it holds numbers with percent signs",
        "`limit`: it holds numbers that are infinite",
        "numbers    2: `code`, `x`",
    ] {
        assert!(said.contains(says), "{says}: {said}");
    }
    trains(&sandbox, "t.toml");
    sandbox.refuses(&["init", "t.csv", "--force", "--target", "day"], &["target `day`", "dates"]);
    sandbox.refuses(&["init", "t.csv", "--force", "--target", "share"], &["target `share`, as in `0%`", "percent"]);
    sandbox.write("t.csv", rows(40, |i| format!("9007199254740{:03},{i},{}", 993 + 2 * i, i % 2)));
    assert!(init(&sandbox, &["t.csv", "--force"]).stdout.contains("more digits than a number keeps, as ids have"));
}

#[test]
fn targets_that_no_net_can_learn_are_refused_or_told() {
    let sandbox = Sandbox::new();
    for (text, needles) in [
        (
            format!("x,name\n{}", rows(40, |i| format!("{i},n{i}"))),
            &["target `name`", "a class of its own in every row"][..],
        ),
        (format!("x,id\n{}", rows(40, |i| format!("{},{i}", i % 7))), &["target `id` only counts the rows"]),
        (rows(40, |i| format!("{i},{}", ["1", "1.0", "2"][i as usize % 3])), &["`1` and `1.0`", "write them alike"]),
        (
            format!("a,b,a\n{}", rows(40, |i| format!("{i},{i},{}", i % 2))),
            &["line 1: two columns are called `a` (1 and 3)"],
        ),
        ("a,b,c\n".to_owned(), &["no rows below its header"]),
        ("a\n1\n2\n".to_owned(), &["line 1: there is only one column"]),
    ] {
        sandbox.write("t.csv", text);
        sandbox.refuses(&["init", "t.csv"], needles);
    }
    sandbox.write("t.csv", rows(40, |i| format!("{i},{}", if i == 3 { "rare" } else { ["a", "b"][i as usize % 2] })));
    let said = init(&sandbox, &["t.csv"]).stdout;
    assert!(said.contains("careful    classes with a single row") && said.contains(": rare\n"), "{said}");
}

#[test]
fn odd_names_and_the_note_of_excel_make_a_task_that_trains() {
    let sandbox = Sandbox::new();
    let table = format!("sep=;\nx;y\n{}", rows(40, |i| format!("{i};{}", i % 2)));
    for name in ["two\nlines.csv", "it's \"one\" \\ #.csv"] {
        sandbox.write(name, &table);
        let said = init(&sandbox, &[name, "-o", "t.toml", "--force"]).stdout;
        assert!(said.contains("40 rows of 2 columns, `;` between cells"), "{said}");
        trains(&sandbox, "t.toml");
    }
    let said = init(&sandbox, &["it's \"one\" \\ #.csv"]).stdout;
    assert!(said.contains(r#"qgd train 'it'\''s "one" \ #.toml' "#), "{said}");
}

#[test]
fn a_table_of_words_without_a_header_says_so() {
    let sandbox = Sandbox::new();
    let row = |i: u32| format!("{},{}", ["red", "blue", "green"][i as usize % 3], ["yes", "no"][i as usize % 2]);
    sandbox.write("t.csv", rows(40, row));
    init(&sandbox, &["t.csv"]);
    assert!(sandbox.read("t.toml").contains("header = false"));
    trains(&sandbox, "t.toml");
}

#[test]
fn a_table_in_the_place_of_a_task_is_told_how_to_become_one() {
    let sandbox = Sandbox::new();
    sandbox.write("semi.csv", "a;b\n1;2\n");
    sandbox.write("old table.xls", b"PK\x03\x04");
    sandbox.write("wrong.toml", "a;b\n");
    for command in [&["train"][..], &["compare"], &["demo", "--task"], &["predict", "--net", "n", "--input", "i"]] {
        sandbox.refuses(&[command, &["semi.csv"]].concat(), &["semi.csv is no task file", "`qgd init semi.csv`"]);
    }
    sandbox.refuses(&["train", "old table.xls"], &["`qgd init 'old table.xls'`"]);
    let output = sandbox.qgd(&["train", "wrong.toml"]);
    assert!(output.code == 2 && !output.stderr.contains("qgd init"), "{}", output.stderr);
}
