//! The command lines of the first steps and of `docs/TUNING.md`, as they stand there, in a folder without a checkout.

use crate::interrupted::interrupted;
use crate::sandbox::{Sandbox, shipped};

/// The blocks of a document in this language, one after the other.
pub fn blocks(document: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(shipped(document)).unwrap();
    let begin = format!("```{language}\n");
    text.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The lines that begin with `qgd`, without their comments.
fn lines(document: &str) -> Vec<String> {
    let all = blocks(document, "sh").concat();
    let lines = all.lines().filter(|line| line.starts_with("qgd "));
    lines.map(|line| line.split("  #").next().unwrap().trim().to_owned()).collect()
}

/// What is added to a line so that it takes a moment, and what is written where.
fn shortened(line: &str) -> String {
    let more = match line.split(' ').nth(1).unwrap() {
        "train" => " --steps 20",
        "compare" => " --steps 5 --seeds 1 --starts 1e-3,0.1",
        _ => "",
    };
    line.replace("--trials 200", "--trials 2").replace("python ", "python3 ") + more
}

#[test]
fn every_line_of_the_first_steps_works_where_there_is_no_checkout() {
    let sandbox = Sandbox::new();
    let table: String =
        (0..60).map(|i| format!("{},{},{}\n", i % 7, i, if i % 7 < 3 { "low" } else { "high" })).collect();
    sandbox.write("DATA.csv", format!("size,weight,kind\n{table}"));
    sandbox.write("NEW.csv", "size,weight\n1,20\n6,21\n");
    sandbox.write("space.toml", "[params.lr]\ntype = \"float\"\nlow = 1e-5\nhigh = 0.1\nlog = true\n");
    sandbox.write("train.py", "import sys\nprint('{\"value\": %s}' % sys.argv[2])\n");
    std::fs::create_dir(sandbox.path("DIR")).unwrap();
    let lines = lines("docs/first-steps-program.md");
    assert!(lines.len() > 12, "{lines:?}");
    for line in lines {
        let short = shortened(&line);
        let args: Vec<&str> = short.split(' ').skip(1).collect();
        // What takes minutes or hours is begun.
        let begun = match args[0] {
            "evaluate" => Some("runs/evaluate/cells.jsonl"),
            "meta-train" => Some("my-lr.qgd.lock"),
            _ => None,
        };
        if let Some(file) = begun {
            let (code, said) = interrupted(&sandbox, &args, file, "-TERM");
            assert_eq!(code, 143, "{line}: {said}");
            continue;
        }
        let output = sandbox.qgd(&args);
        assert_eq!(output.code, 0, "{line}: {}", output.stderr);
        assert!(!output.stdout.is_empty(), "{line} prints nothing");
    }
    for written in ["DATA.toml", "NET.safetensors", "runs", "qgd.db"] {
        assert!(sandbox.path(written).exists(), "no {written}");
    }
}

#[test]
fn the_first_line_of_the_tuning_page_works_with_the_space_beside_it() {
    let sandbox = Sandbox::new();
    sandbox.write("space.toml", &blocks("docs/TUNING.md", "toml")[0]);
    sandbox.write("train.py", "print('{\"value\": 1}')\n");
    let line = &lines("docs/TUNING.md")[0];
    let short = shortened(line);
    let output = sandbox.qgd(&short.split(' ').skip(1).collect::<Vec<_>>());
    assert_eq!(output.code, 0, "{line}: {}", output.stderr);
}
