//! Meta-training: resumable byte for byte, its features informative, and the controller that ships worth shipping.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use qgd::controller::ScaleFree;
use qgd::dqn::{InverseDistance, Judge, RewardConfig};
use qgd::driver::{LineSearch, minimize};
use qgd::meta::{HindsightConfig, MetaTraining, PolishConfig, RoundReport, Stage, TrainingRecipe, ValidationSet};
use qgd::{Controller, Controls, Pretrained};
use std::path::Path;
use std::sync::Arc;

/// The shipped recipe, made tiny.
fn tiny() -> TrainingRecipe {
    tiny_of("lr")
}

fn tiny_of(name: &str) -> TrainingRecipe {
    let mut recipe = TrainingRecipe::load(Path::new(&format!("controllers/{name}.toml"))).unwrap();
    recipe.training.rounds = 4;
    recipe.training.episodes_per_round = 6;
    recipe.training.updates_per_round = 3;
    recipe.training.validate_every = 2;
    recipe.training.validation_tasks = 2;
    recipe.training.tasks.horizon = [40, 90];
    recipe.training.agent.batch_size = 32;
    recipe.controller.network.hidden = vec![8];
    recipe.training.polish = Some(PolishConfig { rounds: 2, episodes_per_round: 3, ..PolishConfig::default() });
    recipe
}

/// The same, shorter: for recipes whose nets are judged by many examples that are held out, or that search lines.
fn tinier_of(name: &str) -> TrainingRecipe {
    let mut recipe = tiny_of(name);
    recipe.training.rounds = 2;
    recipe.training.polish.iter_mut().for_each(|polish| polish.rounds = 1);
    recipe
}

/// Mean return and action shares of a round of Q-learning.
fn learned(report: &RoundReport) -> (f64, &[f64]) {
    match &report.stage {
        Stage::Learning { mean_return, action_shares, .. } => (*mean_return, action_shares),
        stage @ Stage::Polishing { .. } => panic!("{stage:?}"),
    }
}

fn finish(mut training: MetaTraining, to: &Path) -> Vec<u8> {
    while !training.is_finished() {
        training.round().unwrap();
    }
    training.finish().unwrap().save(to).unwrap();
    std::fs::read(to).unwrap()
}

#[test]
fn a_run_that_was_cut_and_resumed_ends_in_the_same_bytes_with_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let (output, checkpoint) = (folder.path().join("a.qgd"), folder.path().join("checkpoint"));
    let whole = finish(MetaTraining::new(tiny(), 5, 1).unwrap(), &output);
    for cut_after in 1..6 {
        let mut training = MetaTraining::new(tiny(), 5, 2).unwrap();
        for _ in 0..cut_after {
            training.round().unwrap();
        }
        training.checkpoint(&checkpoint).unwrap();
        drop(training);
        let resumed = MetaTraining::resume(&checkpoint, tiny(), 5, 2).unwrap();
        assert_eq!(resumed.rounds_done(), cut_after);
        assert_eq!(finish(resumed, &output), whole, "cut after {cut_after} rounds");
    }
    assert_ne!(finish(MetaTraining::new(tiny(), 6, 2).unwrap(), &output), whole, "another seed, other bytes");
}

#[test]
fn line_searches_are_meta_trained_and_resumed_like_schedules() {
    let folder = tempfile::tempdir().unwrap();
    let (output, checkpoint) = (folder.path().join("a.qgd"), folder.path().join("checkpoint"));
    for name in ["lr-line-search", "hu-lr", "hu-lambda"] {
        let whole = finish(MetaTraining::new(tinier_of(name), 5, 1).unwrap(), &output);
        let mut training = MetaTraining::new(tinier_of(name), 5, 2).unwrap();
        let report = training.round().unwrap();
        let (mean_return, shares) = learned(&report);
        assert!(report.inner_steps >= 6 * 40 && mean_return != 0.0, "{name}");
        assert!(shares.iter().all(|&share| share > 0.0), "{name}: {shares:?}");
        training.checkpoint(&checkpoint).unwrap();
        let resumed = MetaTraining::resume(&checkpoint, tinier_of(name), 5, 2).unwrap();
        assert_eq!(finish(resumed, &output), whole, "{name}");
        let trained = Pretrained::load(&output).unwrap();
        assert!(trained.recipe().line_search.is_some() && trained.card().updates >= 6);
        assert!(trained.card().evaluation.iter().all(|row| row.tuned_ratio.is_finite()), "{name}");
    }
}

#[test]
fn controllers_of_the_weight_decay_are_meta_trained_and_resumed_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (output, checkpoint) = (folder.path().join("a.qgd"), folder.path().join("checkpoint"));
    for name in ["weight-decay", "joint"] {
        let whole = finish(MetaTraining::new(tinier_of(name), 5, 1).unwrap(), &output);
        let mut training = MetaTraining::new(tinier_of(name), 5, 2).unwrap();
        let report = training.round().unwrap();
        // A tiny round tries few of the rare pairs of nine.
        let (_, shares) = learned(&report);
        let n_tried = shares.iter().filter(|&&share| share > 0.0).count();
        assert!(n_tried > shares.len() / 2, "{name}: {shares:?}");
        training.checkpoint(&checkpoint).unwrap();
        let resumed = MetaTraining::resume(&checkpoint, tinier_of(name), 5, 2).unwrap();
        assert_eq!(finish(resumed, &output), whole, "{name}");
        let trained = Pretrained::load(&output).unwrap();
        assert!(trained.card().evaluation.iter().all(|row| row.tuned_ratio.is_finite()), "{name}");
        // The features about the validation were alive.
        assert!(
            trained.ranges()[ScaleFree::NAMES.len()..].iter().all(|[low, high]| high > low),
            "{name}: {:?}",
            trained.ranges()
        );
    }
}

#[test]
fn a_weight_decay_controller_is_paid_by_the_validation_error_as_the_paper_has_it() {
    let mut recipe = tiny_of("lr");
    recipe.controller.controls = Controls::WeightDecay;
    recipe.training.rounds = 2;
    recipe.training.reward = RewardConfig {
        delta: 0.1,
        clip: 12.0,
        of: Judge::ValidationError,
        inverse_distance: Some(InverseDistance::default()),
    };
    let recipe = TrainingRecipe::parse(&recipe.whole().to_toml(), "test").unwrap();
    let mut training = MetaTraining::new(recipe, 5, 2).unwrap();
    let report = training.round().unwrap();
    // Every reward is positive; an error of at most 1 earns at least c1 a decision, and there are forty or more in an episode.
    assert!(learned(&report).0 > 20.0, "{}", learned(&report).0);
    training.round().unwrap();
    assert!(training.finish().unwrap().card().evaluation.iter().all(|row| row.tuned_ratio.is_finite()));
}

#[test]
fn a_checkpoint_of_another_recipe_or_seed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    MetaTraining::new(tiny(), 5, 1).unwrap().checkpoint(&checkpoint).unwrap();
    let error = |recipe, seed| MetaTraining::resume(&checkpoint, recipe, seed, 1).err().unwrap().to_string();
    assert!(error(tiny(), 6).contains("seed 5, not 6"));
    let mut other = tiny();
    other.training.agent.n_step += 1;
    assert!(error(other, 5).contains("recipe"));
}

#[test]
fn learning_in_hindsight_is_resumed_to_the_byte_and_comes_nearer_to_the_best_level() {
    let mut recipe = tiny_of("lr");
    recipe.training.hindsight = Some(HindsightConfig { tasks: 4, ..HindsightConfig::default() });
    recipe.training.polish = None;
    let folder = tempfile::tempdir().unwrap();
    let (output, checkpoint) = (folder.path().join("a.qgd"), folder.path().join("checkpoint"));
    let whole = finish(MetaTraining::new(recipe.clone(), 3, 1).unwrap(), &output);
    let mut training = MetaTraining::new(recipe.clone(), 3, 2).unwrap();
    training.round().unwrap();
    training.checkpoint(&checkpoint).unwrap();
    assert!(finish(MetaTraining::resume(&checkpoint, recipe.clone(), 3, 2).unwrap(), &output) == whole);

    recipe.training.rounds = 40;
    recipe.training.episodes_per_round = 24;
    recipe.training.updates_per_round = 24;
    recipe.training.validate_every = 100;
    recipe.training.tasks.families = vec![1.0, 0.0, 0.0, 0.0];
    recipe.training.agent.lr = 3e-3;
    let mut training = MetaTraining::new(recipe, 3, 2).unwrap();
    let mut earned = Vec::new();
    while !training.is_finished() {
        earned.push(learned(&training.round().unwrap()).0);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (first, last) = (mean(&earned[..5]), mean(&earned[35..]));
    assert!(first < 0.0 && last < 0.0 && last > 0.8 * first, "the values of the moves: {first:.2}, then {last:.2}");
}

#[test]
fn tables_that_nobody_has_read_are_asked_for_by_name() {
    let mut recipe = tiny();
    (recipe.training.tasks.measured, recipe.training.tasks.tables) = (0.5, vec!["abalone".into(), "yeast".into()]);
    let error = MetaTraining::new(recipe, 1, 1).err().unwrap().to_string();
    assert!(error.contains("abalone, yeast") && error.contains("training.tasks.data"), "{error}");
}

#[test]
fn every_recipe_loads_and_every_pretrained_file_matches_its_card() {
    for entry in std::fs::read_dir("controllers").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            TrainingRecipe::load(&path).unwrap();
        }
    }
    for entry in std::fs::read_dir("pretrained").unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(Pretrained::NAMES.contains(&name), "{} does not ship inside the crate", path.display());
    }
    for name in Pretrained::NAMES {
        let shipped = Pretrained::shipped(name).unwrap();
        assert_eq!(&shipped.recipe().name, name);
        assert_eq!(shipped.card().recipe_hash, shipped.recipe().hash());
        let recipe = TrainingRecipe::load(Path::new(&format!("controllers/{name}.toml"))).unwrap();
        assert_eq!(
            recipe.whole().hash(),
            shipped.card().recipe_hash,
            "controllers/{name}.toml is not what {name} was trained by"
        );
        assert!(!shipped.card().evaluation.is_empty());
    }
    let recipe = TrainingRecipe::load(Path::new("controllers/lr-part.toml")).unwrap();
    for part in ["lr-1", "lr-2"] {
        let part = Pretrained::load(Path::new(&format!("pretrained/parts/{part}.qgd"))).unwrap();
        assert_eq!(
            part.card().recipe_hash,
            recipe.whole().hash(),
            "controllers/lr-part.toml is not what it was trained by"
        );
    }
}

#[test]
fn lr_and_joint_are_what_merging_their_parts_makes() {
    for (name, parts) in
        [("lr", ["pretrained/parts/lr-1.qgd", "pretrained/parts/lr-2.qgd"]), ("joint", ["weight-decay", "lr"])]
    {
        let shipped = Pretrained::shipped(name).unwrap();
        let recipe = TrainingRecipe::load(Path::new(&format!("controllers/{name}.toml"))).unwrap();
        let stem = |part: &str| Path::new(part).file_stem().unwrap().to_str().unwrap().to_owned();
        let parts = parts.map(|part| (stem(part), Pretrained::open(part).unwrap()));
        let merged = Pretrained::merge(name, Some(recipe.whole()), &parts).unwrap();
        assert_eq!(shipped.networks(), merged.networks(), "{name}");
        assert_eq!(shipped.recipe(), merged.recipe(), "{name}");
        assert_eq!(shipped.card().parents, merged.card().parents, "{name}");
    }
}

#[test]
fn the_shipped_controller_loses_no_start_on_tasks_it_has_never_seen() {
    let shipped = Arc::new(Pretrained::shipped("lr").unwrap());
    let mut recipe = TrainingRecipe::of(shipped.recipe()).unwrap();
    recipe.training.validation_tasks = 10;
    recipe.training.tasks.horizon = [300, 600];
    // Seeds that neither its training nor its own validation used.
    for seed in [1001, 1002] {
        let set = ValidationSet::draw(&recipe, seed, 2).unwrap();
        let score = set.score(&shipped, 2).unwrap();
        let cosine: f64 =
            score.rows.iter().map(|r| f64::from(r.n_tasks) * r.rival_median_ratio.ln()).sum::<f64>() / 10.0;
        assert!(
            score.tuned_ratio < 2.0,
            "seed {seed}: median start {:.2} times the best-tuned cosine",
            score.tuned_ratio
        );
        assert!(
            score.worst_ratio < cosine.exp(),
            "seed {seed}: its worst start {:.2}, cosine's median {:.2}",
            score.worst_ratio,
            cosine.exp()
        );
    }
}

#[test]
fn the_shipped_line_search_descends_a_valley_from_any_start() {
    // ½ Σ h x² in 30 dimensions, h from 1 down to 1/100: no step above 2 can be kept.
    let h = |i: usize| 100f64.powf(-(i as f64) / 29.0);
    let f = |x: &[f32], grad: &mut [f32]| {
        (0..30).for_each(|i| grad[i] = (h(i) * f64::from(x[i])) as f32);
        (0..30).map(|i| 0.5 * h(i) * f64::from(x[i]).powi(2)).sum::<f64>()
    };
    for start in [1e-3, 0.1, 1.0, 10.0] {
        let mut controller = Controller::pretrained("lr-line-search").unwrap();
        let (config, bounds) = (controller.recipe().line_search.unwrap(), controller.driver_config(None));
        let search = LineSearch::new(start, 0.0, config, bounds).unwrap();
        let losses = minimize(f, &[1.0; 30], &mut controller, search, 300).unwrap().losses;
        let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(lowest < 0.01 * losses[0], "from {start}: {lowest} of {}", losses[0]);
    }
}
