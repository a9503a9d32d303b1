//! `qgd merge`.

use crate::sandbox::{Sandbox, shipped};

#[test]
fn two_trainings_make_one_controller_that_names_its_parts() {
    let sandbox = Sandbox::new();
    let parts = ["lr-1", "lr-2"].map(|part| shipped(&format!("pretrained/parts/{part}.qgd")));
    let output = sandbox.qgd(&["merge", &parts[0], &parts[1], "-o", "both.qgd"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stdout.contains("4 networks of 2 controllers"), "{}", output.stdout);
    let said = sandbox.qgd(&["inspect", "both.qgd"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    for needle in ["both: ", "lr-1 and lr-2", "not measured on validation tasks"] {
        assert!(said.stdout.contains(needle), "{needle}: {}", said.stdout);
    }
}

#[test]
fn a_controller_of_the_rate_and_one_of_the_weight_decay_need_the_recipe_of_the_whole() {
    let sandbox = Sandbox::new();
    let merge = ["merge", "weight-decay", "lr", "-o", "joint.qgd"];
    sandbox.refuses(&merge, &["weight-decay and lr differ in what they move", "recipe of the whole"]);
    let recipe = shipped("controllers/joint.toml");
    let output = sandbox.qgd(&[&merge[..], &["--recipe", &recipe]].concat());
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(sandbox.qgd(&["inspect", "joint.qgd"]).stdout.contains("weight-decay and lr"));
}

#[test]
fn a_whole_that_is_measured_has_its_results_on_its_card() {
    let sandbox = Sandbox::new();
    let recipe = std::fs::read_to_string(shipped("controllers/lr.toml")).unwrap();
    let few = recipe.replace("validation_tasks = 96", "validation_tasks = 2").replace("[300, 2000]", "[50, 60]");
    sandbox.write("few.toml", few);
    let parts = ["lr-1", "lr-2"].map(|part| shipped(&format!("pretrained/parts/{part}.qgd")));
    let merge = ["merge", &parts[0], &parts[1], "--recipe", "few.toml", "--measure", "-o", "both.qgd"];
    let made = || {
        let output = sandbox.qgd(&merge);
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert!(output.stderr.contains("2 validation tasks"), "{}", output.stderr);
        std::fs::read(sandbox.path("both.qgd")).unwrap()
    };
    assert!(made() == made(), "the same parts, other bytes");
    assert!(sandbox.qgd(&["inspect", "both.qgd"]).stdout.contains("On validation tasks"));
}

#[test]
fn what_cannot_be_merged_is_refused_and_nothing_written() {
    let sandbox = Sandbox::new();
    sandbox.refuses(&["merge", "lr", "-o", "out.qgd"], &["2"]);
    sandbox.refuses(&["merge", "lr", "nobody", "-o", "out.qgd"], &["nobody", "lr-line-search"]);
    sandbox.refuses(&["merge", "lr", "hu-lr", "-o", "out.qgd"], &["lr and hu-lr differ in what they move"]);
    sandbox.refuses(&["merge", "lr", "lr", "--recipe", "missing.toml", "-o", "out.qgd"], &["missing.toml"]);
    let recipe = shipped("controllers/joint.toml");
    let whole = |parts: &[&str], recipe: &str, needle: &str| {
        let args = [&["merge"], parts, &["--recipe", recipe, "-o", "out.qgd"]].concat();
        sandbox.refuses(&args, &[needle]);
    };
    whole(&["weight-decay", "lr", "hu-lr"], &recipe, "hu-lr searches along lines");
    whole(&["lr", "lr"], &recipe, "no part moves the weight decay");
    let bad = std::fs::read_to_string(&recipe).unwrap().replace("[300, 2000]", "[0, 1]");
    sandbox.write("bad.toml", bad);
    whole(&["weight-decay", "lr"], "bad.toml", "training.tasks.horizon is 0");
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    sandbox.refuses(&["merge", "lr", "lr", "-o", "folder"], &["folder"]);
}

#[test]
fn the_output_is_none_of_the_inputs() {
    let sandbox = Sandbox::new();
    let part = std::fs::read(shipped("pretrained/parts/lr-1.qgd")).unwrap();
    sandbox.write("part.qgd", &part);
    sandbox.write("recipe.toml", std::fs::read(shipped("controllers/joint.toml")).unwrap());
    std::os::unix::fs::symlink("part.qgd", sandbox.path("link.qgd")).unwrap();
    for output in ["part.qgd", "./part.qgd", "link.qgd"] {
        sandbox.refuses(
            &["merge", "part.qgd", "lr", "-o", output],
            &["--output", output, "would overwrite the controller"],
        );
    }
    let merge = ["merge", "weight-decay", "lr", "--recipe", "recipe.toml", "-o", "recipe.toml"];
    sandbox.refuses(&merge, &["would overwrite the recipe"]);
    assert!(std::fs::read(sandbox.path("part.qgd")).unwrap() == part);
    sandbox.refuses(&["merge", "lr", "lr", "-o", "no/such/folder.qgd"], &["--output no/such/folder.qgd", "folder"]);
}
