//! Controllers and schedules by name, and what a pretrained file holds.

use crate::arguments::Floats;
use crate::errors::value_error;
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use qgd::controller::{OnlineConfig, Pretrained};
use qgd::driver::Pilot;
use qgd::schedule::Schedule;
use qgd::{Controller, Controls};
use std::sync::Arc;

/// Ending of a controller's name that means: it goes on learning in every run.
const ONLINE: &str = "+online";

/// Names of the controllers that come with qgd.
#[pyfunction]
pub fn controllers() -> Vec<&'static str> {
    Pretrained::NAMES.to_vec()
}

/// Recipe and card of a pretrained controller, as JSON.
#[pyfunction]
pub fn inspect(controller: &str) -> PyResult<String> {
    let pretrained = Pretrained::open(controller).map_err(value_error)?;
    Ok(serde_json::json!({ "recipe": pretrained.recipe(), "card": pretrained.card() }).to_string())
}

/// Q-values `[n, n_actions]` of a pretrained controller for rows of so many features, all in one array.
#[pyfunction]
pub fn q_values<'py>(
    py: Python<'py>,
    controller: &str,
    features: Floats<'py>,
    n_features: usize,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let pretrained = Pretrained::open(controller).map_err(value_error)?;
    let (features, n_actions) = (features.slice()?, pretrained.recipe().actions().len());
    let mut all = Vec::new();
    for row in features.chunks(n_features.max(1)) {
        all.extend(pretrained.q_values(row).map_err(value_error)?);
    }
    let n_rows = all.len() / n_actions;
    PyArray1::from_vec(py, all).reshape([n_rows, n_actions])
}

/// What steers a run, and what of it Python must know.
pub struct Named {
    pub pilot: Pilot,
    pub moves_lr: bool,
    pub moves_weight_decay: bool,
    pub watches_validation: bool,
}

/// The schedule of this name, else the controller or the file; a controller with `+online` at its end goes on learning.
pub fn named(name: &str, total_steps: Option<u64>, seed: u64) -> PyResult<Named> {
    if let Ok(schedule) = name.parse::<Schedule>() {
        let policy = schedule.policy(total_steps, seed).map_err(value_error)?;
        let pilot = Pilot { policy, config: schedule.driver_config(total_steps) };
        return Ok(Named { pilot, moves_lr: true, moves_weight_decay: false, watches_validation: false });
    }
    let file = name.strip_suffix(ONLINE).unwrap_or(name);
    if !Pretrained::NAMES.contains(&file) && !Pretrained::is_file(file) {
        let (controllers, schedules) = (Pretrained::NAMES.join(", "), Schedule::ALL.map(Schedule::name).join(", "));
        return Err(value_error(format!(
            "'{name}' is no controller ({controllers}), no schedule ({schedules}) and no file"
        )));
    }
    let mut controller = Controller::new(Arc::new(Pretrained::open(file).map_err(value_error)?));
    let (config, recipe) = (controller.driver_config(total_steps), controller.recipe());
    let (controls, watches_validation) = (recipe.controls, recipe.watches_validation());
    if file.len() < name.len() {
        controller = controller.online(OnlineConfig::default(), seed).map_err(value_error)?;
    }
    Ok(Named {
        pilot: Pilot::from(controller).with_config(config),
        moves_lr: controls != Controls::WeightDecay,
        moves_weight_decay: controls != Controls::Lr,
        watches_validation,
    })
}
