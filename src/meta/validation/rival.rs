//! The rival of a controller on a validation task: the same task, with the values that the controller moves tuned on a
//! grid.

use super::{N_STARTS, OnNet, final_losses, log_spaced};
use crate::driver::DriverConfig;
use crate::meta::engine::{Engine, EngineError};
use crate::meta::recipe::TaskConfig;
use crate::meta::tasks::Task;
use crate::policy::Controls;
use crate::policy::Policy;
use crate::schedule::{Constant, Cosine, Schedule};
use crate::statistics::{DIVERGED_LOSS, median};

/// Number of learning rates that cosine is tuned over: two in each decade.
const N_LRS: usize = 11;
/// Number of weight decays in the grid: a little less than two in each of five decades.
const N_WEIGHT_DECAYS: usize = 9;

/// Where a run starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::meta) struct Start {
    pub lr: f64,
    pub weight_decay: f64,
}

/// The controller's starts. If it moves both values, all five of each occur, and low learning rates meet high weight
/// decays too.
pub(super) fn starts(controls: Controls, config: &TaskConfig, task: &Task) -> [Start; N_STARTS] {
    let nth = |[low, high]: [f64; 2], i: usize| log_spaced(low, high, N_STARTS).nth(i % N_STARTS).unwrap_or(low);
    let (lrs, decays) = (config.start_range(task.algorithm), config.weight_decay_range());
    std::array::from_fn(|i| match controls {
        Controls::Lr => Start { lr: nth(lrs, i), weight_decay: task.weight_decay },
        Controls::WeightDecay => Start { lr: task.lr, weight_decay: nth(decays, i) },
        Controls::Both => Start { lr: nth(lrs, i), weight_decay: nth(decays, 2 * i) },
    })
}

/// Number of nets that the rival of a controller of these values is tuned with on each task.
pub(in crate::meta) fn n_rivals(controls: Controls) -> usize {
    match controls {
        Controls::Lr => N_LRS,
        Controls::WeightDecay => N_WEIGHT_DECAYS,
        Controls::Both => N_LRS + N_WEIGHT_DECAYS,
    }
}

/// Losses that the rival ends at on every task: its best, and its median over the whole grid. Calls `on_net` whenever one
/// of its nets begins.
pub(super) fn tune(
    engine: Engine,
    controls: Controls,
    config: &TaskConfig,
    tasks: &[Task],
    on_net: &OnNet<'_>,
) -> Result<Vec<(f64, f64)>, EngineError> {
    // A schedule does not look at a validation loss, so none needs to be computed at its decisions.
    let tasks: Vec<Task> = tasks.iter().map(|task| Task { reports_validation: false, ..task.clone() }).collect();
    let cosine = |task: &Task| {
        on_net();
        (Cosine { total_steps: task.horizon }, Schedule::Cosine.driver_config(Some(task.horizon)))
    };
    let constant = |task: &Task| {
        on_net();
        (Constant, Schedule::Constant.driver_config(Some(task.horizon)))
    };
    let lrs = |task: &Task| {
        let [low, high] = task.algorithm.start_range();
        let start = |lr| Start { lr, weight_decay: task.weight_decay };
        log_spaced(low, high, N_LRS).map(start).collect::<Vec<_>>()
    };
    let decays = |lr: f64| {
        let [low, high] = config.weight_decay_range();
        log_spaced(low, high, N_WEIGHT_DECAYS).map(|weight_decay| Start { lr, weight_decay }).collect::<Vec<_>>()
    };
    let finals = match controls {
        Controls::Lr => grid(engine, &tasks, |_, task| lrs(task), cosine)?,
        Controls::WeightDecay => grid(engine, &tasks, |_, task| decays(task.lr), constant)?,
        Controls::Both => {
            let mut tried = grid(engine, &tasks, |_, task| lrs(task), cosine)?;
            let best_lr = |i: usize, task: &Task| {
                let of_lr = lrs(task).into_iter().zip(&tried[i]).min_by(|a, b| a.1.total_cmp(b.1));
                of_lr.map_or(task.lr, |(start, _)| start.lr)
            };
            let more = grid(engine, &tasks, |i, task| decays(best_lr(i, task)), cosine)?;
            tried.iter_mut().zip(more).for_each(|(tried, more)| tried.extend(more));
            tried
        }
    };
    Ok(finals.iter().map(|own| (own.iter().copied().fold(DIVERGED_LOSS, f64::min), median(own))).collect())
}

/// Losses that every task ends at, one for each of its starts.
pub(in crate::meta) fn grid<P: Policy>(
    engine: Engine,
    tasks: &[Task],
    starts: impl Fn(usize, &Task) -> Vec<Start>,
    schedule: impl Fn(&Task) -> (P, DriverConfig) + Sync,
) -> Result<Vec<Vec<f64>>, EngineError> {
    let starts: Vec<Vec<Start>> = tasks.iter().enumerate().map(|(i, task)| starts(i, task)).collect();
    let runs: Vec<(&Task, Start)> =
        tasks.iter().zip(&starts).flat_map(|(task, starts)| starts.iter().map(move |&start| (task, start))).collect();
    let mut finals = final_losses(engine, &runs, |k| schedule(runs[k].0))?.into_iter();
    Ok(starts.iter().map(|starts| finals.by_ref().take(starts.len()).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Driver;
    use crate::meta::recipe::TrainingRecipe;
    use crate::meta::rollout::rollout;
    use crate::rng::stream;
    use std::path::Path;

    fn drawn(name: &str) -> (TrainingRecipe, Task) {
        let mut recipe = TrainingRecipe::load(Path::new(&format!("controllers/{name}.toml"))).unwrap();
        recipe.training.tasks.horizon = [60, 60];
        let task = Task::draw(&recipe.training.tasks, &mut stream(4, "task")).of_recipe(&recipe);
        (recipe, task)
    }

    #[test]
    fn the_rival_of_a_weight_decay_controller_is_the_best_of_nine_fixed_ones() {
        let (recipe, task) = drawn("weight-decay");
        let found =
            tune(2.into(), recipe.controller.controls, &recipe.training.tasks, std::slice::from_ref(&task), &|| ())
                .unwrap()[0];
        let [low, high] = recipe.training.tasks.weight_decay_range();
        let mut finals: Vec<f64> = (0..9)
            .map(|i| {
                let weight_decay = low * (high / low).powf(f64::from(i) / 8.0);
                let config = Schedule::Constant.driver_config(Some(task.horizon));
                let mut driver = Driver::new(Constant, task.lr, weight_decay, config).unwrap();
                rollout(&mut task.clone(), &mut driver, false).final_loss()
            })
            .collect();
        finals.sort_by(f64::total_cmp);
        assert!((found.0 - finals[0]).abs() < 1e-9 && (found.1 - finals[4]).abs() < 1e-9, "{found:?} {finals:?}");
        assert!(finals[0] < finals[8], "a grid over which nothing changes tunes nothing");
    }

    #[test]
    fn a_joint_controller_starts_from_every_learning_rate_and_every_weight_decay() {
        let (recipe, task) = drawn("joint");
        let starts = starts(Controls::Both, &recipe.training.tasks, &task);
        let mut decays: Vec<f64> = starts.iter().map(|start| start.weight_decay).collect();
        decays.sort_by(f64::total_cmp);
        assert!((decays[0] - 1e-5).abs() < 1e-9 && (decays[4] - 1.0).abs() < 1e-9);
        assert!(starts.windows(2).all(|two| two[0].lr < two[1].lr) && decays.windows(2).all(|two| two[0] < two[1]));
        let (best, middle) = tune(2.into(), Controls::Both, &recipe.training.tasks, &[task], &|| ()).unwrap()[0];
        assert!(best.is_finite() && best < middle);
    }

    #[test]
    fn the_starts_of_a_weight_decay_controller_share_the_learning_rate_of_the_task() {
        let (recipe, task) = drawn("weight-decay");
        let starts = starts(recipe.controller.controls, &recipe.training.tasks, &task);
        assert!(starts.iter().all(|start| start.lr.to_bits() == task.lr.to_bits()));
        let [low, high] = recipe.training.tasks.start_range(task.algorithm);
        assert!((high / low).log10() < 1.51 && (low..=high).contains(&task.lr));
    }
}
