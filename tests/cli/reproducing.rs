//! `qgd reproduce`: reports that are the same after a kill, and input that is refused before anything is written.

use crate::sandbox::{Sandbox, data_dir};
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

/// The smallest run of a paper: two iterations or episodes.
fn smallest<'a>(paper: &'a str, data: &'a str, out: &'a str) -> Vec<&'a str> {
    vec!["reproduce", paper, "--quick", "--scale", "0.01", "--seeds", "1", "--data-dir", data, "--out", out]
}

/// The files of a report, sorted by name: all but the units, which stand in the order in which they ended, agents, and copies
/// of figures.
fn report(sandbox: &Sandbox, out: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(sandbox.path(out)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_text = |name: &String| ![".jsonl", ".qgd", ".png"].iter().any(|end| name.ends_with(end));
    let mut names: Vec<String> = names.filter(is_text).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), sandbox.read(&format!("{out}/{name}")))).collect()
}

/// Kills the command (SIGKILL) once so many units are kept.
fn kill_after(sandbox: &Sandbox, args: &[&str], units: &str, n_units: usize) {
    let mut child = sandbox.command(args).spawn().unwrap();
    let n_kept = || std::fs::read_to_string(sandbox.path(units)).unwrap_or_default().lines().count();
    let start = Instant::now();
    while n_kept() < n_units && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(300), "{} units after five minutes", n_kept());
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "the run was over before it could be killed");
}

/// The data in a folder of the sandbox, but of the film reviews every eighth alone: to count the words of all takes longer than
/// the nets.
fn few_reviews(sandbox: &Sandbox, data: &str) -> &'static str {
    std::fs::create_dir_all(sandbox.path("data/imdb")).unwrap();
    let of_imdb = Path::new(data).join("imdb/train.tsv.gz");
    let packed = BufReader::new(MultiGzDecoder::new(File::open(of_imdb).unwrap()));
    let file = File::create(sandbox.path("data/imdb/train.tsv.gz")).unwrap();
    let mut few = GzEncoder::new(file, Compression::fast());
    packed.lines().step_by(8).for_each(|line| writeln!(few, "{}", line.unwrap()).unwrap());
    few.finish().unwrap();
    for entry in std::fs::read_dir(data).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "imdb" {
            symlink(entry.path(), sandbox.path("data").join(entry.file_name())).unwrap();
        }
    }
    "data"
}

/// Runs a paper once without interruption, on one thread, and once killed twice, on two. Answers the report.
fn killed_or_not_the_report_is_the_same(paper: &str, n_units: usize) -> Option<String> {
    let Some(data) = data_dir() else {
        eprintln!("skipped: QGD_DATA names no folder with data");
        return None;
    };
    let sandbox = Sandbox::new();
    let data = if paper == "vashishtha" { few_reviews(&sandbox, &data) } else { &data };
    let whole = [smallest(paper, data, "whole"), vec!["--jobs", "1"]].concat();
    let output = sandbox.qgd(&whole);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let killed = [smallest(paper, data, "killed"), vec!["--jobs", "2"]].concat();
    let units = format!("killed/{paper}.jsonl");
    for n_units in [n_units, 2 * n_units] {
        kill_after(&sandbox, &killed, &units, n_units);
        assert!(!sandbox.path(&format!("killed/{paper}.md")).exists(), "a report of an unfinished run");
    }
    let n_kept = sandbox.read(&units).lines().count();
    let again = sandbox.qgd(&[killed, vec!["--png"]].concat());
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(sandbox.read(&units).lines().count() > n_kept, "nothing was left to do");
    assert!(report(&sandbox, "whole") == report(&sandbox, "killed"), "the reports differ");
    assert_eq!(again.stdout, output.stdout);
    let figures = report(&sandbox, "killed").into_iter().filter(|(name, _)| name.ends_with(".svg"));
    for (name, _) in figures {
        let picture = std::fs::read(sandbox.path("killed").join(&name).with_extension("png")).unwrap();
        assert!(picture.starts_with(b"\x89PNG"), "{name}");
    }
    assert_eq!(sandbox.read(&format!("whole/{paper}.md")).trim_end(), output.stdout.trim_end());
    Some(output.stdout)
}

#[test]
fn mohamed_reports_its_tables_beside_the_papers() {
    let Some(report) = killed_or_not_the_report_is_the_same("mohamed", 20) else { return };
    for number in ["0.5948", "0.4232", "0.3957", "0.7674", "0.6678", "0.7772"] {
        assert!(report.contains(number), "{number}: {report}");
    }
    assert!(report.contains("**Scaled down:** 2 iterations of 300"), "{report}");
}

#[test]
fn hu_reports_every_cure_and_says_what_the_paper_had() {
    let Some(report) = killed_or_not_the_report_is_the_same("hu", 4) else { return };
    for words in ["as published", "ε 0.01", "+ a target network", "λ: with all cures", "about 40", "about 30"] {
        assert!(report.contains(words), "{words}: {report}");
    }
    assert!(report.contains("**Scaled down:** 2 episodes of 200"), "{report}");
}

#[test]
fn hyperq_reports_its_three_checks() {
    let Some(report) = killed_or_not_the_report_is_the_same("hyperq", 10) else { return };
    for words in ["1. Q-learning against", "2. Ways to explore", "3. Transfer", "taught on the other data sets"] {
        assert!(report.contains(words), "{words}: {report}");
    }
    assert!(report.contains("**Scaled down**: 3 trials a study (whole: 100)"), "{report}");
}

#[test]
fn vashishtha_reports_both_readings_and_says_that_the_papers_tables_are_empty() {
    let Some(report) = killed_or_not_the_report_is_the_same("vashishtha", 5) else { return };
    for number in ["99.45", "98.90", "88.72", "87.55"] {
        assert!(report.contains(number), "{number}: {report}");
    }
    for words in
        ["Tables 1 and 2 are empty", "k by the text", "k by the formula", "no JPEG", "of the published archive"]
    {
        assert!(report.contains(words), "{words}: {report}");
    }
    assert!(report.contains("**Scaled down**: 2 trials a study (whole: 100)"), "{report}");
}

#[test]
fn gardner_reports_every_technique_with_figures_beside_the_papers_words() {
    let Some(report) = killed_or_not_the_report_is_the_same("gardner", 20) else { return };
    for words in
        ["Exhaustive, deterministic", "Hard to transfer across tasks", "NAS", "Early stopping", "speed-up, 4 workers"]
    {
        assert!(report.contains(words), "{words}: {report}");
    }
    assert!(report.contains("**Scaled down**: 2 trials a study (whole: 100)"), "{report}");
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let sandbox = Sandbox::new();
    sandbox.refuses(&["reproduce"], &["mohamed", "hu"]);
    sandbox.refuses(&["reproduce", "hansen"], &["hansen"]);
    for scale in ["0", "101", "-1", "NaN", "half"] {
        sandbox.refuses(&["reproduce", "mohamed", "--scale", scale], &["--scale", scale]);
    }
    sandbox.refuses(&["reproduce", "mohamed", "--seeds", "0"], &["--seeds", "1..=1000"]);
    for (paper, data) in
        [("mohamed", "wine"), ("hu", "cifar"), ("hyperq", "wine"), ("vashishtha", "mnist"), ("gardner", "wine")]
    {
        sandbox.refuses(&["reproduce", paper, "--quick"], &["no file", data, "qgd data"]);
    }
    sandbox.write("file", "");
    sandbox.refuses(&["reproduce", "mohamed", "--out", "file"], &["--out", "file", "not a folder"]);
}

#[test]
fn units_that_cannot_be_read_are_named_and_left_alone() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("reproduced")).unwrap();
    sandbox.write("reproduced/mohamed.jsonl", "rubbish\n");
    sandbox.refuses(&["reproduce", "mohamed"], &["line 1 of reproduced/mohamed.jsonl", "remove that line"]);
    assert_eq!(sandbox.read("reproduced/mohamed.jsonl"), "rubbish\n");
}
