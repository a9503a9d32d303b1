//! Whatever the pages of the book name is there: commands and options are held against the help of the program, paths
//! against the repository, names of Rust against its source, keys of recipes against their help.

use crate::first_steps::blocks;
use crate::sandbox::{Sandbox, shipped};
use qgd::controller::FeatureSet;
use qgd::meta::TrainingRecipe;
use qgd::task::SuiteSpec;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;

/// Options of cargo that pages name.
const OPTIONS_OF_CARGO: [&str; 1] = ["--features"];

/// Paths of the pages, below the root of the repository.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "python/README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(shipped(&folder)).unwrap() {
            let path = format!("{folder}/{}", entry.unwrap().file_name().into_string().unwrap());
            if Path::new(&shipped(&path)).is_dir() {
                folders.push(path);
            } else if path.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    assert!(pages.len() > 18, "{pages:?}");
    pages
}

/// What stands between backquotes in the text of a page, with its blocks of code left out.
fn spans(page: &str) -> Vec<String> {
    let text = fs::read_to_string(shipped(page)).unwrap();
    let prose: String = text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n");
    let spans = prose.split('`').skip(1).step_by(2);
    spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Every span of every page, with its page.
fn all_spans() -> Vec<(String, String)> {
    pages().iter().flat_map(|page| spans(page).into_iter().map(|span| (page.clone(), span))).collect()
}

/// Every command line of a page that calls `qgd`: in blocks for a shell, in what a terminal showed, and in its text.
fn commands(page: &str) -> Vec<String> {
    let shell = blocks(page, "sh").concat();
    let shown = blocks(page, "text").concat();
    let lines = shell.lines().map(|line| line.rsplit("| ").next().unwrap().replace("cargo run -- ", "qgd "));
    let lines = lines.chain(shown.lines().filter_map(|line| line.strip_prefix("$ ").map(str::to_owned)));
    let lines = lines.map(|line| line.split("  #").next().unwrap().trim().to_owned());
    lines.chain(spans(page)).filter(|line| line.starts_with("qgd ")).collect()
}

/// The help of the program, each text asked for once by all tests together.
struct Help {
    sandbox: Sandbox,
}

/// What arguments printed; none where they were refused.
static KNOWN: Mutex<BTreeMap<Vec<String>, Option<String>>> = Mutex::new(BTreeMap::new());

impl Help {
    fn new() -> Self {
        Self { sandbox: Sandbox::new() }
    }

    /// What these arguments print; none where they are refused.
    fn of(&self, args: &[&str]) -> Option<String> {
        let key: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let ask = || Some(self.sandbox.qgd(args)).filter(|output| output.code == 0).map(|output| output.stdout);
        KNOWN.lock().unwrap().entry(key).or_insert_with(ask).clone()
    }

    /// Names of the commands.
    fn commands(&self) -> Vec<String> {
        let all = self.of(&["--help"]).unwrap();
        let list = all.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap().to_owned();
        let named = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        named.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    }

    /// What is wrong with a command line; none where its command and its options exist.
    fn fault(&self, line: &str) -> Option<String> {
        let own = line.split(" -- ").next().unwrap();
        let words: Vec<&str> = own.split_whitespace().skip(1).collect();
        if words[0] == "help" {
            let topic = words.get(1)?;
            return self.of(&["help", topic]).is_none().then(|| format!("no help on {topic}"));
        }
        // Two commands have commands of their own.
        let most = if ["study", "reproduce"].contains(&words[0]) { 2 } else { 1 };
        let commands: Vec<&str> = words.iter().take(most).copied().take_while(|word| !word.starts_with('-')).collect();
        let Some(help) = self.of(&[&commands[..], &["--help"]].concat()) else {
            return Some(format!("no command {}", commands.join(" ")));
        };
        let options = words.iter().filter(|word| word.starts_with('-')).map(|word| word.split('=').next().unwrap());
        options.into_iter().find(|option| !names(&help, option)).map(|option| format!("no option {option}"))
    }
}

/// Whether a text has this word, as it stands.
fn names(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c)).any(|found| found == word)
}

#[test]
fn every_command_and_option_of_a_command_line_exists() {
    let help = Help::new();
    let (mut n_lines, mut faults) = (0, vec![]);
    for page in pages() {
        for line in commands(&page) {
            n_lines += 1;
            faults.extend(help.fault(&line).map(|fault| format!("{page}: `{line}`: {fault}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(n_lines > 80, "only {n_lines} command lines were found");
    for wrong in ["qgd tarin digits", "qgd train digits --stops 3", "qgd study besst space", "qgd help tusk"] {
        assert!(help.fault(wrong).is_some(), "{wrong} was let through");
    }
}

#[test]
fn every_option_that_a_text_names_alone_exists() {
    let help = Help::new();
    let commands = help.commands();
    let helps: Vec<String> = commands.iter().filter_map(|command| help.of(&[command, "--help"])).collect();
    assert!(helps.len() > 12, "{commands:?}");
    assert!(helps.iter().all(|help| help.contains("Usage: qgd")), "{helps:?}");
    let of_commands =
        [["study", "delete"], ["reproduce", "hu"]].map(|own| help.of(&[own[0], own[1], "--help"]).unwrap());
    let helps = helps.concat() + &of_commands.concat();
    for (page, span) in all_spans().iter().filter(|(_, span)| span.starts_with("--")) {
        for option in span.split_whitespace().filter(|word| word.starts_with("--")) {
            let exists = names(&helps, option) || OPTIONS_OF_CARGO.contains(&option);
            assert!(exists, "{page} names `{option}`, which no command has");
        }
    }
}

#[test]
fn every_file_and_folder_that_a_text_names_exists() {
    let roots = ["src/", "docs/", "examples/", "controllers/", "tests/", "benches/", "pretrained/", "python/", ".ci/"];
    let mut n_paths = 0;
    for (page, span) in all_spans() {
        let path = span.split([' ', ':']).next().unwrap();
        // NAME stands for any name.
        if !roots.iter().any(|root| path.starts_with(root)) || path.contains("NAME") || path.contains('*') {
            continue;
        }
        n_paths += 1;
        assert!(Path::new(&shipped(path)).exists(), "{page} names {path}, which does not exist");
    }
    assert!(n_paths > 60, "only {n_paths} paths were found");
}

#[test]
fn every_bench_example_and_target_of_make_that_a_text_names_exists() {
    let makefile = fs::read_to_string(shipped("Makefile")).unwrap();
    let exists = |path: String| Path::new(&shipped(&path)).exists();
    for (page, span) in all_spans() {
        let words: Vec<&str> = span.split(' ').collect();
        if words.len() == 2 && words[0] == "make" {
            assert!(makefile.contains(&format!("\n{}:", words[1])), "{page}: there is no `{span}`");
        }
        for pair in words.windows(2).filter(|_| words[0] == "cargo") {
            match pair {
                ["--bench", name] => {
                    let found = exists(format!("benches/{name}.rs")) || exists(format!("benches/{name}"));
                    assert!(found, "{page}: {span}");
                }
                ["--example", name] => assert!(exists(format!("examples/{name}.rs")), "{page}: {span}"),
                _ => {}
            }
        }
    }
}

/// The source of the crate, as one text.
fn source() -> String {
    let (mut folders, mut source) = (vec![shipped("src")], String::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.to_str().unwrap().to_owned());
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                source += &fs::read_to_string(path).unwrap();
            }
        }
    }
    source
}

#[test]
fn every_name_of_rust_that_a_text_has_is_defined() {
    let source = source();
    let definitions = ["fn ", "struct ", "enum ", "trait ", "mod ", "const ", "type ", "pub "];
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let is_defined = |name: &str| {
        definitions.iter().any(|definition| {
            let needle = format!("{definition}{name}");
            source.match_indices(&needle).any(|(at, _)| ends(&source[at + needle.len()..]))
        })
    };
    let mut n_names = 0;
    for (page, span) in all_spans().iter().filter(|(_, span)| span.contains("::")) {
        let path = span.split('(').next().unwrap();
        for name in path.split("::").filter(|name| *name != "qgd") {
            n_names += 1;
            assert!(is_defined(name), "{page} names `{path}`, and there is no {name}");
        }
    }
    assert!(n_names > 40, "only {n_names} names were found");
    assert!(!is_defined("with_total_stops"));
}

#[test]
fn every_key_of_a_recipe_that_a_text_names_exists() {
    let help = Help::new().of(&["help", "recipe"]).unwrap();
    for (page, span) in all_spans() {
        let key = span.split(" = ").next().unwrap().trim_matches(['[', ']']);
        if key.starts_with("training.") && !key.contains(' ') {
            let found = key.split('.').all(|part| names(&help, part));
            assert!(found, "{page} names {key}, which `qgd help recipe` does not know");
        }
    }
}

#[test]
fn every_block_names_its_language_and_every_page_with_rust_is_compiled() {
    let lib = fs::read_to_string(shipped("src/lib.rs")).unwrap();
    for page in pages() {
        let text = fs::read_to_string(shipped(&page)).unwrap();
        let fences: Vec<&str> = text.lines().filter(|line| line.starts_with("```")).collect();
        assert!(fences.len().is_multiple_of(2), "{page}: a block has no end");
        assert!(fences.iter().step_by(2).all(|fence| fence.len() > 3), "{page}: a block names no language");
        let is_compiled = lib.contains(&format!("include_str!(\"../{page}\")"));
        assert!(is_compiled || blocks(&page, "rust").is_empty(), "{page} has Rust that nobody compiles");
    }
}

#[test]
fn the_page_on_decisions_names_every_feature_and_no_other() {
    let spans: BTreeSet<String> = spans("docs/how-it-decides.md").into_iter().collect();
    for name in FeatureSet::Scalefree.names() {
        assert!(spans.contains(*name), "{name}");
    }
    let n = FeatureSet::Scalefree.names().len();
    let text = fs::read_to_string(shipped("docs/how-it-decides.md")).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(&format!("these it makes {n} features")), "it does not say that there are {n}");
}

#[test]
fn the_recipe_of_the_page_on_meta_training_is_one() {
    let recipe = &blocks("docs/meta-training.md", "toml")[0];
    TrainingRecipe::parse(recipe, "docs/meta-training.md").unwrap();
}

#[test]
fn the_files_of_the_page_on_formats_are_read_and_have_the_keys_that_it_names() {
    let page = "docs/file-formats.md";
    let sandbox = Sandbox::new();
    let rows: String = (0..60).map(|i| format!("{},{i},{}\n", i % 7, if i % 7 < 3 { "low" } else { "high" })).collect();
    sandbox.write("DATA.csv", format!("size,weight,kind\n{rows}"));
    let files = blocks(page, "toml");
    sandbox.write("DATA.toml", &files[0]);
    sandbox.write("suite.toml", &files[1]);
    SuiteSpec::load(&sandbox.path("suite.toml")).unwrap();
    let trained = sandbox.qgd(&["train", "DATA.toml", "--controller", "lr", "--steps", "3", "--trace", "t.jsonl"]);
    assert_eq!(trained.code, 0, "{}", trained.stderr);

    sandbox.write("space.toml", &blocks("docs/TUNING.md", "toml")[0]);
    let tuned = sandbox.qgd(&["tune", "space.toml", "--trials", "1", "--", "echo", "{{\"value\": {lr}}}"]);
    assert_eq!(tuned.code, 0, "{}", tuned.stderr);
    let exported = sandbox.qgd(&["study", "export", "space"]).stdout;

    let keys = |line: &str| -> Vec<String> {
        serde_json::from_str::<BTreeMap<String, Value>>(line).unwrap().into_keys().collect()
    };
    let shown = blocks(page, "json");
    for (real, shown) in [(sandbox.read("t.jsonl"), &shown[0]), (exported, &shown[1])] {
        assert_eq!(keys(real.lines().next().unwrap()), keys(shown));
    }
}
