//! `qgd list`, `qgd help TOPIC`, and names in place of files, in a folder where there is no checkout.

use crate::sandbox::Sandbox;

/// Names in one of the lists.
#[cfg(not(feature = "torch"))]
fn names(sandbox: &Sandbox, what: &str) -> Vec<String> {
    let output = sandbox.qgd(&["list", what, "--json"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let lists: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let list = lists[what].as_array().unwrap();
    for named in list {
        assert!(named["about"].as_str().unwrap().len() > 20, "{named}");
    }
    list.iter().map(|named| named["name"].as_str().unwrap().to_owned()).collect()
}

#[cfg(not(feature = "torch"))]
#[test]
fn everything_that_has_a_name_is_listed_with_a_sentence() {
    let sandbox = Sandbox::new();
    let all = sandbox.qgd(&["list"]);
    assert_eq!(all.code, 0, "{}", all.stderr);
    for (what, some) in [
        ("controllers", &["lr", "weight-decay", "joint"][..]),
        ("schedules", &["cosine", "one-cycle", "constant"]),
        ("optimizers", &["sgd", "adam", "lion", "muon"]),
        ("tasks", &["digits", "wine", "letter", "cancer"]),
        ("suites", &["suite", "long", "development"]),
        ("samplers", &["tpe", "gp", "deep-q"]),
        ("pruners", &["none", "asha"]),
        ("spaces", &["net"]),
        ("recipes", &["lr-single", "joint"]),
    ] {
        let names = names(&sandbox, what);
        for name in some {
            assert!(names.iter().any(|found| found == name), "{what}: {names:?}");
        }
        for name in names {
            assert!(all.stdout.contains(&format!("  {name} ")), "{what} {name}: {}", all.stdout);
        }
    }
    sandbox.refuses(&["list", "losses"], &["losses", "controllers"]);
    assert!(sandbox.listing().is_empty());
}

#[cfg(not(feature = "torch"))]
#[test]
fn a_log_filter_that_says_nothing_is_named_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let list = |filter: &str| {
        let output = sandbox.command(&["list", "pruners"]).env("RUST_LOG", filter).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (listed, told) = list("qgd=loud");
    assert!(told.contains("RUST_LOG is `qgd=loud`") && told.contains("qgd=debug"), "{told}");
    for sound in ["", "debug", "qgd=debug,warn"] {
        assert_eq!(list(sound), (listed.clone(), String::new()), "{sound}");
    }
}

#[test]
fn every_controller_says_where_it_can_be_used_and_the_others_are_refused_in_words_of_the_command_line() {
    let sandbox = Sandbox::new();
    let lists: serde_json::Value =
        serde_json::from_str(&sandbox.qgd(&["list", "controllers", "--json"]).stdout).unwrap();
    for controller in lists["controllers"].as_array().unwrap() {
        let (name, about) = (controller["name"].as_str().unwrap(), controller["about"].as_str().unwrap());
        let is_for_train = !about.contains("Not for `qgd train`");
        assert_eq!(is_for_train, ["lr", "weight-decay", "joint"].contains(&name), "{name}: {about}");
        #[cfg(feature = "torch")]
        for args in [
            &["train", "demo", "--steps", "2", "--weight-decay", "0.1", "--controller", name][..],
            &[
                "compare",
                "digits",
                "--steps",
                "2",
                "--starts",
                "0.01",
                "--seeds",
                "1",
                "--weight-decay",
                "0.1",
                "--methods",
                name,
            ],
            &["demo", "--controller", name],
            &["evaluate", name, "--quick"],
            &["tune", "net", "--task", "digits", "--trials", "0", "--controller", name],
        ] {
            if !is_for_train {
                sandbox.refuses(args, &[name, "searches along lines", "are lr, weight-decay, joint"]);
            } else if ["train", "compare"].contains(&args[0]) {
                let output = sandbox.qgd(args);
                assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
            }
        }
    }
}

#[cfg(not(feature = "torch"))]
#[test]
fn the_help_of_the_tuner_names_every_sampler_and_pruner() {
    let sandbox = Sandbox::new();
    for help in ["--help", "-h"] {
        let said = sandbox.qgd(&["tune", help]).stdout;
        for name in [names(&sandbox, "samplers"), names(&sandbox, "pruners")].concat() {
            assert!(said.contains(&name), "tune {help} does not name {name}: {said}");
        }
    }
}

#[cfg(not(feature = "torch"))]
#[test]
fn help_explains_files_beside_commands() {
    let sandbox = Sandbox::new();
    for (topic, keys) in [
        ("task", &["[data]", "delimiter = one character   (csv)", "[net]", "[train]", "weight_decay"][..]),
        ("suite", &["horizons", "[[task]]"]),
        ("space", &["[params.NAME]", "choices", "directions"]),
        ("recipe", &["[training.agent]", "halve_evidence", "per_doubling", "default 8"]),
    ] {
        let output = sandbox.qgd(&["help", topic]);
        assert_eq!(output.code, 0, "{}", output.stderr);
        for key in keys {
            assert!(output.stdout.contains(key), "help {topic} does not say {key}: {}", output.stdout);
        }
        assert!(sandbox.qgd(&["--help"]).stdout.contains(&format!("qgd help {topic}")));
    }
    for command in [&["list"][..], &["tune"], &["study", "best"]] {
        let by_help = sandbox.qgd(&[&["help"], command].concat());
        assert_eq!(by_help.stdout, sandbox.qgd(&[command, &["--help"]].concat()).stdout);
        assert_eq!(by_help.code, 0);
    }
    sandbox.refuses(&["help", "tsk"], &["tsk"]);
}

#[cfg(not(feature = "torch"))]
#[test]
fn a_recipe_is_found_by_its_name_and_a_wrong_name_lists_those_there_are() {
    let sandbox = Sandbox::new();
    sandbox.refuses(&["meta-train", "lr-sngle", "-o", "out.qgd"], &["no recipe lr-sngle", "lr-single", "weight-decay"]);
    // The path in the repository stands for the same, so that lines of the documentation work anywhere.
    for recipe in ["joint", "controllers/joint.toml"] {
        let output = sandbox.qgd(&["merge", "weight-decay", "lr", "--recipe", recipe, "-o", "joint.qgd"]);
        assert_eq!(output.code, 0, "{}", output.stderr);
    }
    sandbox.refuses(&["tune", "nte", "--", "true"], &["no space nte", "net, space"]);
}

#[cfg(feature = "torch")]
#[test]
fn a_task_is_found_by_its_name_by_every_command_that_trains() {
    let sandbox = Sandbox::new();
    let runs = |args: &[&str]| {
        let output = sandbox.qgd(args);
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
        output.stdout
    };
    runs(&["train", "digits", "--steps", "5"]);
    runs(&["train", "examples/tasks/digits.toml", "--steps", "5"]);
    let said =
        runs(&["compare", "digits", "--steps", "3", "--methods", "lr,constant", "--starts", "1e-3", "--seeds", "1"]);
    assert!(said.starts_with("digits: "), "{said}");
    runs(&["tune", "net", "--task", "digits", "--trials", "1", "--storage", "memory:"]);
    for command in [&["train"][..], &["compare"], &["demo", "--task"], &["tune", "net", "--task"]] {
        sandbox.refuses(&[command, &["digit"]].concat(), &["no task digit", "digits, letter, wine"]);
        // A name with an ending is a file of one's own, and never taken for a task of ours.
        sandbox.refuses(&[command, &["digits.toml"]].concat(), &["no task digits.toml"]);
    }
    sandbox.refuses(&["evaluate", "lr", "--suite", "sweet"], &["no suite sweet", "suite, long, development"]);
}

#[cfg(feature = "torch")]
#[test]
fn a_file_of_the_same_name_wins_and_a_folder_does_not() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("digits")).unwrap();
    assert_eq!(sandbox.qgd(&["train", "digits", "--steps", "2"]).code, 0);
    sandbox.write("wine", "[data]\nformat = 'csv'\n");
    sandbox.refuses(&["train", "wine"], &["wine: `data.target` is missing"]);
}
