//! What a controller is measured against on a validation task: the same task with the values it moves tuned on a grid.

use super::{DIVERGED, N_STARTS, final_loss, log_spaced};
use crate::controller::Controls;
use crate::meta::config::TaskConfig;
use crate::meta::tasks::Task;
use crate::schedule::{Constant, Cosine, Schedule};
use crate::statistics::median;

/// Learning rates from which cosine is tuned: two a decade.
const N_LRS: usize = 11;
/// Weight decays in the grid: a little less than two a decade over five of them.
const N_WEIGHT_DECAYS: usize = 9;

/// Where a run starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Start {
    pub lr: f64,
    pub weight_decay: f64,
}

/// The controller's starts. Where it moves both values, all five of each occur, and a low one comes with high ones too.
pub(super) fn starts(controls: Controls, config: &TaskConfig, task: &Task) -> [Start; N_STARTS] {
    let nth = |[low, high]: [f64; 2], i: usize| log_spaced(low, high, N_STARTS).nth(i % N_STARTS).unwrap_or(low);
    let (lrs, decays) = (config.start_range(task.algorithm), config.weight_decay_range());
    std::array::from_fn(|i| match controls {
        Controls::Lr => Start { lr: nth(lrs, i), weight_decay: task.weight_decay },
        Controls::WeightDecay => Start { lr: task.lr, weight_decay: nth(decays, i) },
        Controls::Both => Start { lr: nth(lrs, i), weight_decay: nth(decays, 2 * i) },
    })
}

/// What the rival ends at: its best, and its median over the whole grid.
pub(super) fn tune(controls: Controls, config: &TaskConfig, task: &Task) -> (f64, f64) {
    // A schedule looks at no validation loss, so none needs to be worked out at its decisions.
    let task = &Task { reports_validation: false, ..task.clone() };
    let driver_config = Schedule::driver_config(Some(task.horizon));
    let cosine = |start: Start| final_loss(task, start, Cosine { total_steps: task.horizon }, driver_config.clone());
    let constant = |start: Start| final_loss(task, start, Constant, driver_config.clone());
    let [low, high] = task.algorithm.start_range();
    let lrs = log_spaced(low, high, N_LRS).map(|lr| Start { lr, weight_decay: task.weight_decay });
    let decays = |lr: f64| {
        let [low, high] = config.weight_decay_range();
        log_spaced(low, high, N_WEIGHT_DECAYS).map(move |weight_decay| Start { lr, weight_decay })
    };
    let finals: Vec<f64> = match controls {
        Controls::Lr => lrs.map(cosine).collect(),
        Controls::WeightDecay => decays(task.lr).map(constant).collect(),
        Controls::Both => {
            let mut tried: Vec<(f64, f64)> = lrs.map(|start| (cosine(start), start.lr)).collect();
            let best_lr = tried.iter().copied().min_by(|a, b| a.0.total_cmp(&b.0)).map_or(low, |(_, lr)| lr);
            tried.extend(decays(best_lr).map(|start| (cosine(start), start.lr)));
            tried.into_iter().map(|(loss, _)| loss).collect()
        }
    };
    (finals.iter().copied().fold(DIVERGED, f64::min), median(&finals))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{Driver, Recipe};
    use crate::meta::rollout::rollout;
    use crate::rng::stream;
    use std::path::Path;

    fn drawn(name: &str) -> (Recipe, Task) {
        let mut recipe = Recipe::load(Path::new(&format!("controllers/{name}.toml"))).unwrap();
        recipe.meta.tasks.horizon = [60, 60];
        let task = Task::draw(&recipe.meta.tasks, &mut stream(4, "task")).of_recipe(&recipe);
        (recipe, task)
    }

    #[test]
    fn the_rival_of_a_weight_decay_controller_is_the_best_of_nine_fixed_ones() {
        let (recipe, task) = drawn("weight-decay");
        let found = tune(recipe.controls, &recipe.meta.tasks, &task);
        let mut finals: Vec<f64> = (0..9)
            .map(|i| {
                let weight_decay = 1e-5 * 10f64.powf(5.0 * f64::from(i) / 8.0);
                let config = Schedule::driver_config(Some(task.horizon));
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
        let starts = starts(Controls::Both, &recipe.meta.tasks, &task);
        let mut decays: Vec<f64> = starts.iter().map(|start| start.weight_decay).collect();
        decays.sort_by(f64::total_cmp);
        assert!((decays[0] - 1e-5).abs() < 1e-9 && (decays[4] - 1.0).abs() < 1e-9);
        assert!(starts.windows(2).all(|two| two[0].lr < two[1].lr) && decays.windows(2).all(|two| two[0] < two[1]));
        let (best, middle) = tune(Controls::Both, &recipe.meta.tasks, &task);
        assert!(best.is_finite() && best < middle);
    }

    #[test]
    fn the_starts_of_a_weight_decay_controller_share_the_learning_rate_of_the_task() {
        let (recipe, task) = drawn("weight-decay");
        let starts = starts(recipe.controls, &recipe.meta.tasks, &task);
        assert!(starts.iter().all(|start| start.lr.to_bits() == task.lr.to_bits()));
        let [low, high] = recipe.meta.tasks.start_range(task.algorithm);
        assert!((high / low).log10() < 1.51 && (low..=high).contains(&task.lr));
    }
}
