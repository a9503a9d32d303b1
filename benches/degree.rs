//! What a controller of the degree of conditioning could gain at most, and what `lr` does with conditioning:
//!
//! ```text
//! cargo bench --no-default-features --features meta --bench degree            200 tasks of seed 0
//! cargo bench --no-default-features --features meta --bench degree -- 1 2     of other seeds
//! ```
//!
//! Validation tasks of controllers/lr-single.toml, each by the degrees 0, 1/2 and 1, with the learning rate tuned for
//! each of them over a third-of-a-decade grid (every third rate, then the neighbors of the best), falling linearly to
//! zero. Losses are compared as everywhere else, with 0.01 added to them.
//!
//! ```text
//! 1/2, 1       loss by this degree over that by degree 0
//! best         the degree whose losses are the lowest in geometric mean
//! oracle       for every task the degree that it ends lowest by, over the best single one
//! on others    the same degrees judged on other batches, with the best of the rate and its neighbors there: what of
//!              the oracle is no luck of one run
//! ```

use qgd::driver::DriverError;
use qgd::meta::{Engine, Family, Task, TrainingRecipe};
use qgd::rng::stream;
use qgd::schedule::{Constant, Schedule};
use qgd::statistics::{bootstrap_mean, counted_loss, log_loss, mean, median};
use qgd::{Controller, Driver, Policy};
use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const N_TASKS: usize = 200;
const DEGREES: [f64; 3] = [0.0, 0.5, 1.0];
/// Three in each of the optimizer's five decades.
const N_LRS: usize = 16;
const N_STARTS: usize = 5;

fn main() -> Result<()> {
    let named = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let mut seeds = named.map(|seed| seed.parse()).collect::<std::result::Result<Vec<u64>, _>>()?;
    if seeds.is_empty() {
        seeds.push(0);
    }
    for seed in seeds {
        let began = Instant::now();
        println!("seed {seed}");
        let tasks = tasks(seed)?;
        let [none, half, whole] = DEGREES.map(|degree| tune(&tasks, degree));
        let tuned = [none?, half?, whole?];
        oracle(&tasks, &tuned);
        for (degree, tuned) in [(0.0, &tuned[0]), (1.0, &tuned[2])] {
            shipped(&tasks, degree, tuned)?;
        }
        println!("  {:.0} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}

/// As a validation set of meta-training draws them.
fn tasks(seed: u64) -> Result<Vec<Task>> {
    let recipe = TrainingRecipe::load(Path::new("controllers/lr-single.toml"))?;
    let draw = |i| {
        let mut task = Task::draw(&recipe.training.tasks, &mut stream(seed, &format!("validation {i}")));
        task.known_budget = true;
        task
    };
    Ok((0..N_TASKS).map(draw).collect())
}

/// How one task is run.
struct Start<'a> {
    task: &'a Task,
    lr: f64,
    degree: f64,
    /// On other batches.
    again: bool,
}

/// Logarithms of what the runs end at.
fn log_losses<P: Policy>(
    starts: &[Start<'_>],
    driver: impl Fn(&Task) -> std::result::Result<Driver<P>, DriverError> + Sync,
) -> Result<Vec<f64>> {
    let begin = |k: usize| {
        let Start { task, lr, degree, again } = starts[k];
        let mut task = task.clone();
        (task.lr, task.degree, task.batch_seed) = (lr, degree, task.batch_seed ^ u64::from(again));
        let driver = driver(&task)?;
        Ok((task, driver))
    };
    let runs = Engine::from(1).rollouts(starts.len(), begin, false)?;
    Ok(runs.into_iter().map(|(_, run)| log_loss(counted_loss(run.final_loss()))).collect())
}

/// What one task ends at by one degree with the best learning rate, and on other batches with the best of this rate and
/// its neighbors: logarithms.
struct Tuned {
    loss: f64,
    again: f64,
}

fn tune(tasks: &[Task], degree: f64) -> Result<Vec<Tuned>> {
    let (began, mut n_steps) = (Instant::now(), 0);
    let mut found = vec![[f64::INFINITY; N_LRS]; tasks.len()];
    let mut try_out = |found: &mut Vec<[f64; N_LRS]>, which: &dyn Fn(&[f64; N_LRS]) -> Vec<usize>| -> Result<()> {
        let places: Vec<(usize, usize)> =
            (0..tasks.len()).flat_map(|i| which(&found[i]).into_iter().map(move |k| (i, k))).collect();
        let start =
            |&(i, k): &(usize, usize)| Start { task: &tasks[i], lr: rate(&tasks[i], k, N_LRS), degree, again: false };
        let losses = log_losses(&places.iter().map(start).collect::<Vec<_>>(), linear)?;
        places.iter().zip(losses).for_each(|(&(i, k), loss)| found[i][k] = loss);
        n_steps += places.iter().map(|&(i, _)| tasks[i].horizon).sum::<u64>();
        Ok(())
    };
    try_out(&mut found, &|_| (0..N_LRS).step_by(3).collect())?;
    try_out(&mut found, &|own| {
        let best = lowest(own);
        (best.saturating_sub(2)..N_LRS.min(best + 3)).filter(|&k| k != best).collect()
    })?;
    println!("  degree {degree}: {:.0} inner steps/s", n_steps as f64 / began.elapsed().as_secs_f64());
    let best: Vec<usize> = found.iter().map(|own| lowest(own)).collect();
    let rates = best.iter().map(|&k| k.saturating_sub(1)..N_LRS.min(k + 2)).collect::<Vec<_>>();
    let start = |(task, rates): (_, &Range<usize>)| {
        rates.clone().map(move |k| Start { task, lr: rate(task, k, N_LRS), degree, again: true })
    };
    let mut again = log_losses(&tasks.iter().zip(&rates).flat_map(start).collect::<Vec<_>>(), linear)?.into_iter();
    let again = rates.iter().map(|rates| again.by_ref().take(rates.len()).fold(f64::INFINITY, f64::min));
    let tuned = found.iter().zip(&best).zip(again);
    Ok(tuned.map(|((own, &k), again)| Tuned { loss: own[k], again }).collect())
}

/// Number `k` of `n` rates, log-even over the optimizer's five decades.
fn rate(task: &Task, k: usize, n: usize) -> f64 {
    let [low, high] = task.algorithm.start_range();
    low * (high / low).powf(k as f64 / (n - 1) as f64)
}

fn lowest(values: &[f64]) -> usize {
    (0..values.len()).min_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap_or(0)
}

/// Linearly to zero.
fn linear(task: &Task) -> std::result::Result<Driver<Constant>, DriverError> {
    let mut config = Schedule::Constant.driver_config(Some(task.horizon));
    config.pace.cooldown = 1.0;
    Driver::new(Constant, task.lr, task.weight_decay, config)
}

/// Tasks of a kind, by their place.
fn kinds(tasks: &[Task]) -> Vec<(String, Vec<usize>)> {
    let those = |is: &dyn Fn(&Task) -> bool| (0..tasks.len()).filter(|&i| is(&tasks[i])).collect::<Vec<_>>();
    let is_net = |task: &Task| task.family != Family::Quadratic;
    let mut kinds = vec![("all".to_owned(), those(&|_| true)), ("nets".to_owned(), those(&is_net))];
    for algorithm in qgd::meta::InnerAlgorithm::ALL {
        kinds.push((format!("nets, {}", algorithm.name()), those(&|task| is_net(task) && task.algorithm == algorithm)));
    }
    kinds
}

fn oracle(tasks: &[Task], tuned: &[Vec<Tuned>; 3]) {
    println!("  {:<14} {:>3}  {:>5} {:>5}  {:>4}  {:<26} on others", "", "n", "1/2", "1", "best", "oracle");
    for (kind, own) in kinds(tasks) {
        let of = |d: usize| mean(own.iter().map(|&i| tuned[d][i].loss));
        let best = lowest(&[0, 1, 2].map(of));
        let chosen = |i: usize| lowest(&[0, 1, 2].map(|d| tuned[d][i].loss));
        let gained: Vec<f64> = own.iter().map(|&i| tuned[chosen(i)][i].loss - tuned[best][i].loss).collect();
        let again: Vec<f64> = own.iter().map(|&i| tuned[chosen(i)][i].again - tuned[best][i].again).collect();
        let [half, whole] = [1, 2].map(|d| (of(d) - of(0)).exp());
        let (n, degree) = (own.len(), DEGREES[best]);
        println!(
            "  {kind:<14} {n:>3}  {half:>5.3} {whole:>5.3}  {degree:>4}  {:<26} {}",
            ratio(&gained),
            ratio(&again)
        );
    }
}

/// Geometric mean of ratios, with its 95 % interval.
fn ratio(logs: &[f64]) -> String {
    let interval = bootstrap_mean(logs, 0.95, 2000, &mut stream(0, "interval"));
    let [low, high] = interval.unwrap_or([f64::NAN; 2]).map(f64::exp);
    format!("{:.3} ({low:.3} to {high:.3})", mean(logs.iter().copied()).exp())
}

/// `lr` as it ships, from starts over five decades, over the tuned schedule with the same conditioning.
fn shipped(tasks: &[Task], degree: f64, tuned: &[Tuned]) -> Result<()> {
    let controller = Controller::pretrained("lr")?;
    let driver = |task: &Task| {
        let config = task.told(controller.driver_config(None));
        Driver::new(controller.clone(), task.lr, task.weight_decay, config)
    };
    let from = |task| (0..N_STARTS).map(move |k| Start { task, lr: rate(task, k, N_STARTS), degree, again: false });
    let losses = log_losses(&tasks.iter().flat_map(from).collect::<Vec<_>>(), driver)?;
    println!("  lr, degree {degree}, over the tuned schedule with the same: median start, worst start");
    for (kind, own) in kinds(tasks) {
        let over = |of: &dyn Fn(&[f64]) -> f64| {
            let logs = own.iter().map(|&i| of(&losses[i * N_STARTS..][..N_STARTS]) - tuned[i].loss);
            ratio(&logs.collect::<Vec<_>>())
        };
        let worst = |own: &[f64]| own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        println!("  {kind:<14} {:>3}  {:<26} {}", own.len(), over(&median), over(&worst));
    }
    Ok(())
}
