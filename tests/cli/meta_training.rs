//! `qgd meta-train` with both engines.

use crate::sandbox::Sandbox;
#[cfg(feature = "torch")]
use crate::sandbox::shipped;
#[cfg(not(feature = "torch"))]
use std::io::Write;

/// A recipe with this number of rounds, each of which takes a moment.
fn recipe(sandbox: &Sandbox, rounds: u32) {
    sandbox.write(
        "recipe.toml",
        format!(
            "schema = 1\nname = 'r'\ndescription = 'test'\ncontrols = 'lr'\nmoves = ['halve', 'accept', 'grow']\n\
             features = 'scalefree'\n[pace]\nprobe_steps = 16\n[network]\nhidden = [4]\n\
             [training]\nrounds = {rounds}\nepisodes_per_round = 6\nupdates_per_round = 1\nvalidation_tasks = 1\n\
             [training.tasks]\nhorizon = [30, 40]"
        ),
    );
}

#[test]
fn an_engine_that_cannot_do_it_is_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    recipe(&sandbox, 1);
    let refuses = |more: &[&str], needles: &[&str]| {
        sandbox.refuses(&[&["meta-train", "recipe.toml", "-o", "out.qgd"], more].concat(), needles);
    };
    refuses(&["--device", "gpu"], &["gpu", "cpu, cuda or cuda:N"]);
    refuses(&["--engine", "kernel", "--device", "cuda"], &["--engine kernel", "CPU alone"]);
    refuses(&["--engine", "jax"], &["jax", "kernel"]);
    #[cfg(not(feature = "torch"))]
    refuses(&["--engine", "tch"], &["--engine tch", "without libtorch"]);
    #[cfg(not(feature = "torch"))]
    refuses(&["--device", "cuda"], &["--device cuda", "without libtorch"]);
    let families = "families = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]";
    let own = std::fs::read_to_string(sandbox.path("recipe.toml")).unwrap();
    sandbox.write("shaped.toml", format!("{own}\n{families}"));
    sandbox
        .refuses(&["meta-train", "shaped.toml", "-o", "out.qgd"], &["cnn", "training.tasks.families", "--engine tch"]);
    sandbox.write("five.toml", format!("{own}\nfamilies = [1.0, 1.0, 1.0, 1.0, 1.0]"));
    sandbox.refuses(&["meta-train", "five.toml", "-o", "out.qgd"], &["training.tasks.families", "four or six"]);
    // Version 0.1 made ensembles by a key; nothing is trained from nothing in its place.
    let parts = own.replace("schema = 1\n", "").replace("hidden = [4]", "hidden = [4]\nfrom = ['lr', 'hu-lr']");
    sandbox.write("from.toml", parts);
    sandbox.refuses(
        &["meta-train", "from.toml", "-o", "out.qgd"],
        &["network.from", "qgd merge 'lr' 'hu-lr' --recipe from.toml"],
    );
    #[cfg(feature = "torch")]
    {
        if !tch::Cuda::is_available() {
            refuses(&["--device", "cuda"], &["--device cuda"]);
        }
        let search = shipped("controllers/hu-lr.toml");
        let args = ["meta-train", &search, "-o", "out.qgd", "--engine", "tch"];
        sandbox.refuses(&args, &["hu-lr", "line_search", "--engine tch"]);
    }
}

#[cfg(not(feature = "torch"))]
#[test]
fn what_it_will_take_is_said_before_and_what_is_left_from_the_first_round_on() {
    let sandbox = Sandbox::new();
    recipe(&sandbox, 3);
    let output = sandbox.qgd(&["meta-train", "recipe.toml", "-o", "out.qgd"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    // The rival from 11 starts, 3 rounds of 6 nets, one validation from 5 starts.
    let before = "3 rounds with 6 nets each; 1 × 5 nets for validation: 34 nets";
    let says = [
        before,
        "tuned with 11 nets ...",
        "4/11 nets  before the first round, about ",
        "11/11 nets  before the first round",
        "round 1 of 3 has begun ...",
        "round    1/3  about ",
        " s left",
        "round    3/3",
    ];
    let mut rest = &output.stderr[..];
    for words in says {
        let Some(place) = rest.find(words) else { panic!("no '{words}' in its place: {}", output.stderr) };
        rest = &rest[place..];
    }
}

#[cfg(feature = "torch")]
#[test]
fn batched_in_tch_a_killed_meta_training_goes_on_to_the_same_bytes_and_the_log_names_the_engine() {
    let sandbox = Sandbox::new();
    recipe(&sandbox, 5);
    let own = sandbox.read("recipe.toml");
    sandbox.write("recipe.toml", format!("{own}\nfamilies = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]"));
    let train = ["meta-train", "recipe.toml", "--engine", "tch", "--threads", "1", "--resume"];
    let whole = [&train[..], &["-o", "whole.qgd", "--log", "whole.jsonl"]].concat();
    let output = sandbox.qgd(&whole);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stderr.contains("tch on cpu"), "{}", output.stderr);
    let log = sandbox.read("whole.jsonl");
    assert_eq!(log.lines().count(), 5);
    assert!(log.lines().all(|line| line.contains("\"engine\":\"tch on cpu\"") && line.contains("\"round\":")), "{log}");

    let killed = [&train[..], &["-o", "killed.qgd"]].concat();
    crate::killed::start_and_kill(&sandbox, &killed, "killed.qgd.checkpoint", 1);
    assert!(sandbox.path("killed.qgd.checkpoint").exists());
    let output = sandbox.qgd(&killed);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let bytes = |name| std::fs::read(sandbox.path(name)).unwrap();
    assert!(bytes("killed.qgd") == bytes("whole.qgd"), "other bytes");
    assert_eq!(sandbox.qgd(&["inspect", "killed.qgd"]).code, 0);
}

#[cfg(not(feature = "torch"))]
#[test]
fn a_recipe_in_the_grammar_of_version_0_1_is_read_with_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "old.toml",
        "name = 'old'\ndescription = 'test'\ncontrols = 'lr'\nmoves = ['halve', 'accept', 'grow']\nfeatures = 'scalefree'\n\
         [decisions]\nprobe-steps = 16\n[network]\nhidden = [4]\n[meta]\nrounds = 1\nepisodes-per-round = 6\n\
         updates-per-round = 1\nvalidation-tasks = 1\n[meta.tasks]\nhorizon = [30, 40]",
    );
    let output = sandbox.qgd(&["meta-train", "old.toml", "-o", "out.qgd"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stderr.contains("old.toml is written in the grammar of version 0.1"), "{}", output.stderr);
    let said = sandbox.qgd(&["inspect", "out.qgd"]).stdout;
    assert!(said.contains("at each of the first 16 steps"), "{said}");
}

#[cfg(not(feature = "torch"))]
#[test]
fn no_output_is_an_input_or_another_output() {
    let sandbox = Sandbox::new();
    recipe(&sandbox, 1);
    let text = sandbox.read("recipe.toml");
    let refuses = |more: &[&str], needle: &str| {
        sandbox.refuses(&[&["meta-train", "recipe.toml"], more].concat(), &[needle]);
        assert_eq!(sandbox.read("recipe.toml"), text);
    };
    refuses(&["-o", "./recipe.toml"], "would overwrite the recipe");
    refuses(&["-o", "out.qgd", "--log", "recipe.toml"], "--log recipe.toml would overwrite the recipe");
    refuses(&["-o", "out.qgd", "--log", "out.qgd"], "are the same file");
    refuses(&["-o", "out.qgd", "--log", "./out.qgd.checkpoint"], "are the same file");
    refuses(&["-o", "no/such/out.qgd"], "no/such/out.qgd");
}

#[cfg(not(feature = "torch"))]
#[test]
fn a_name_as_long_as_the_file_system_allows_is_written() {
    let (sandbox, long) = (Sandbox::new(), "x".repeat(255));
    recipe(&sandbox, 1);
    let output = sandbox.qgd(&["meta-train", "recipe.toml", "-o", &long]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(sandbox.listing(), ["recipe.toml", &long]);
}

#[cfg(not(feature = "torch"))]
#[test]
fn tasks_are_cut_of_the_tables_that_a_recipe_names_and_a_table_that_is_none_is_refused() {
    let sandbox = Sandbox::new();
    recipe(&sandbox, 1);
    let plain = std::fs::read_to_string(sandbox.path("recipe.toml")).unwrap();
    let tasks = "families = [0.0, 0.3, 0.4, 0.3]\nmeasured = 1.0\ntables = ['waves', 'steps']";
    sandbox.write("tables.toml", format!("{plain}\n{tasks}"));
    let train = |more: &[&'static str]| [&["meta-train", "tables.toml", "-o", "out.qgd"], more].concat();
    sandbox.refuses(&train(&[]), &["waves, steps", "--data-dir"]);
    let with = train(&["--data-dir", "tables"]);
    std::fs::create_dir(sandbox.path("tables")).unwrap();
    sandbox.refuses(&with, &["waves.csv", "waves.csv.gz"]);
    let rows: String = (0..100).map(|i| format!("{},{},{}\n", i % 7, (f64::from(i)).sin(), i / 50)).collect();
    sandbox.write("tables/waves.csv", format!("a,b,class\n{rows}"));
    sandbox.write("tables/steps.csv", "a,b\n1,2\n1,red\n");
    sandbox.refuses(&with, &["steps, line 3", "\"red\""]);
    sandbox.write("tables/steps.csv", "a,b\n1,2\n");
    sandbox.refuses(&with, &["steps has 1 rows", "64 rows"]);
    sandbox.write("tables/steps.csv.gz", "no gzip");
    std::fs::remove_file(sandbox.path("tables/steps.csv")).unwrap();
    sandbox.refuses(&with, &["steps.csv.gz"]);
    assert!(!sandbox.path("out.qgd").exists());

    let member = |text: &str| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    sandbox.write("tables/steps.csv.gz", member(&format!("a,b,class\n{rows}")));
    let made = |args: &[&str]| {
        assert_eq!(sandbox.qgd(args).code, 0);
        std::fs::read(sandbox.path("out.qgd")).unwrap()
    };
    let of_tables = made(&with);
    assert!(of_tables == made(&with), "the same tables and seed, other bytes");
    sandbox.write("tables/steps.csv.gz", [member("a,b,class\n"), member(&rows)].concat());
    assert!(of_tables == made(&with), "a file of two members is read to its end");
    let other: String = (0..100).map(|i| format!("{},{},{}\n", i % 5, (f64::from(i)).cos(), i % 2)).collect();
    sandbox.write("tables/waves.csv", format!("a,b,class\n{other}"));
    assert!(of_tables != made(&with), "the tables make no difference");
}
