//! A controller for line searches, from its recipe to a net of tch.

#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use qgd::Controller;
use qgd::meta::{MetaTraining, TrainingRecipe};
use qgd::torch::{Algorithm, OptimConfig, Optimizer, QController, QLineSearch};
use std::path::Path;
use std::sync::Arc;
use tch::{Device, Kind, Tensor, nn::VarStore};

/// The published recipe, meta-trained for two rounds.
fn controller() -> Controller {
    let mut recipe = TrainingRecipe::load(Path::new("controllers/hu-lr.toml")).unwrap();
    (recipe.training.rounds, recipe.training.updates_per_round, recipe.training.validation_tasks) = (2, 2, 1);
    let mut training = MetaTraining::new(recipe, 1, 1).unwrap();
    while !training.is_finished() {
        training.round().unwrap();
    }
    Controller::new(Arc::new(training.finish().unwrap()))
}

fn net() -> (VarStore, Tensor, Optimizer) {
    let vs = VarStore::new(Device::Cpu);
    let x = vs.root().f_ones("x", &[4]).unwrap();
    let sgd = Optimizer::new(&vs, OptimConfig::new(Algorithm::SGD, 1.0)).unwrap();
    (vs, x, sgd)
}

#[test]
fn it_drives_a_line_search_and_nothing_else() {
    let controller = controller();
    let config = controller.recipe().line_search.unwrap();
    let (_vs, _, sgd) = net();
    let refused = QController::new(sgd, controller.clone()).err().unwrap().to_string();
    assert!(refused.contains("QLineSearch"), "{refused}");

    let (_vs, x, sgd) = net();
    let mut search = QLineSearch::new(sgd, controller, config).unwrap();
    for _ in 0..40 {
        let loss = (&x * Tensor::from_slice(&[0.1f32, 0.3, 1.0, 1.5])).square().sum(Kind::Float);
        search.backward_step(&loss).unwrap();
    }
    // The first M - 1 steps are a warm-up; from then on it decides.
    let counts = search.search().counts();
    assert_eq!(counts.halve + counts.accept, 40 - 9);
    assert_eq!(counts.grow, 0);
}
