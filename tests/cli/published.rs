//! `qgd data`: where data are published, whether they are here and right, and what happens when they cannot be fetched.

use crate::sandbox::{Output, Sandbox, data_dir};
use std::os::unix::fs::PermissionsExt;

/// Runs with a `curl` of our own, or with none, in place of the network.
fn with_curl(sandbox: &Sandbox, curl: Option<&str>, args: &[&str]) -> Output {
    let bin = sandbox.path("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for tool in ["sh", "mkdir", "tar", "gzip", "head"] {
        let found = ["/bin", "/usr/bin"]
            .map(|folder| std::path::Path::new(folder).join(tool))
            .into_iter()
            .find(|path| path.exists());
        let _ = std::os::unix::fs::symlink(found.unwrap(), bin.join(tool));
    }
    if let Some(script) = curl {
        std::fs::write(bin.join("curl"), format!("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n{script}\n")).unwrap();
        std::fs::set_permissions(bin.join("curl"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = sandbox.command(args).env("PATH", &bin).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn every_data_set_is_listed_with_its_place_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    let all = sandbox.qgd(&["data"]);
    assert_eq!(all.code, 0, "{}", all.stderr);
    for name in ["letter", "wine", "mnist-cnn", "cifar-1000", "chars-gru", "imdb-lstm", "source-gru", "missing"] {
        assert!(all.stdout.contains(name), "{name}: {}", all.stdout);
    }
    let letter = sandbox.qgd(&["data", "letter", "--data-dir", "here"]).stdout;
    for says in [
        "CC BY 4.0",
        "https://archive.ics.uci.edu/dataset/59",
        "here/letter_recognition/letter-recognition.data (missing)",
        "2b89f3602cf768d3c8355267d2f13f2417809e101fc2b5ceee10db19a60de6e2",
        "curl -fL -o letter_recognition/letter-recognition.data https://",
    ] {
        assert!(letter.contains(says), "{says}: {letter}");
    }
    assert!(sandbox.qgd(&["data", "mnist-1000"]).stdout.starts_with("mnist: "));
    let digits = sandbox.qgd(&["data", "digits"]);
    assert!(digits.code == 0 && digits.stderr.contains("nothing to fetch"), "{}", digits.stderr);
    assert!(sandbox.listing().is_empty());
    sandbox.refuses(&["data", "lettr"], &["lettr", "letter, wine, mnist", "no task lettr"]);
    sandbox.write("own.toml", "[data]\nformat='csv'\npath='own.csv'\ntarget=0\n[net]\nkind='mlp'\n[train]\nsteps=1\n");
    sandbox.refuses(&["data", "own.toml"], &["own.csv", "not known here"]);
}

#[test]
fn a_missing_file_is_answered_with_the_same_sentence_everywhere() {
    let sandbox = Sandbox::new();
    for args in [
        &["train", "letter"][..],
        &["compare", "letter"],
        &["demo", "--task", "letter"],
        &["evaluate", "lr"],
        &["tune", "net", "--task", "letter"],
    ] {
        sandbox.refuses(
            args,
            &["data/letter_recognition/letter-recognition.data", "`qgd data letter` says where it is published"],
        );
    }
}

#[test]
fn check_tells_right_files_from_missing_and_wrong_ones() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("data/wine_quality_red")).unwrap();
    sandbox.write("data/wine_quality_red/winequality-red.csv", "not the wines");
    let output = sandbox.qgd(&["data", "wine", "letter", "--check"]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stdout.contains("DIFFERS  data/wine_quality_red/winequality-red.csv"), "{}", output.stdout);
    assert!(output.stdout.contains("missing  data/letter_recognition/letter-recognition.data"), "{}", output.stdout);
    assert!(output.stderr.contains("2 files"), "{}", output.stderr);

    let Some(folder) = data_dir() else { return };
    let names = ["letter", "wine", "mnist", "cifar", "shakespeare"];
    let output = sandbox.qgd(&[&["data", "--check", "--data-dir", &folder], &names[..]].concat());
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert_eq!(output.stdout.matches("right").count(), 6, "{}", output.stdout);
}

#[test]
fn without_a_curl_the_commands_are_printed() {
    let sandbox = Sandbox::new();
    let output = with_curl(&sandbox, None, &["data", "wine", "--fetch"]);
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("no `curl`") && output.stderr.contains("winequality-red.csv https://"),
        "{}",
        output.stderr
    );
    assert_eq!(sandbox.listing(), ["bin"]);
}

#[test]
fn without_a_network_it_says_so_and_leaves_no_half_file() {
    let sandbox = Sandbox::new();
    for name in ["wine", "cifar"] {
        let output = with_curl(
            &sandbox,
            Some("echo 'curl: (6) Could not resolve host' >&2; exit 6"),
            &["data", name, "--fetch"],
        );
        assert_eq!(output.code, 1, "{}", output.stderr);
        assert!(output.stderr.contains("Could not resolve host"), "{}", output.stderr);
        assert!(!sandbox.path("data/cifar10_lossless_5k/cifar-10-batches-bin/data_batch_1.bin.gz").exists());
    }
    let output = with_curl(&sandbox, Some("exit 6"), &["data", "wine", "--fetch"]);
    assert!(output.stderr.contains("is there a network?") && output.stderr.contains("uci.edu"), "{}", output.stderr);
    // A page in place of the file, with the exit code of success.
    let page = "while [ \"$1\" != -o ]; do shift; done; echo '<html>moved</html>' >\"$2\"";
    let output = with_curl(&sandbox, Some(page), &["data", "wine", "--fetch"]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains("not what was published"), "{}", output.stderr);
    assert!(!sandbox.path("data/wine_quality_red/winequality-red.csv").exists());
}

#[test]
fn what_was_fetched_is_where_training_looks_for_it() {
    let sandbox = Sandbox::new();
    let Some(folder) = data_dir() else { return };
    let copy = format!("while [ \"$1\" != -o ]; do shift; done; /bin/cp {folder}/\"$2\" \"$2\"");
    let output = with_curl(&sandbox, Some(&copy), &["data", "wine", "--fetch"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stdout.contains("right    data/wine_quality_red/winequality-red.csv"), "{}", output.stdout);
    let output = sandbox.qgd(&["train", "wine", "--steps", "5"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
}
