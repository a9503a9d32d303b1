//! What a trial costs in each storage, beside Optuna on the same machine: `cargo bench --bench storage`.
//!
//! A trial is an ask with 7 parameters and a tell with one value, the parameters drawn at random on both sides, so that
//! what is measured is the storage. Optuna is the one that `python3` imports; PostgreSQL is a server of its own, on
//! this machine, if it is installed. Both write to the same kind of place with the same settings.
//!
//! `cargo bench --bench storage -- growth` measures instead what a trial costs while a study in PostgreSQL grows to
//! 50,000 of them, with 64 workers that have a connection and a history each and an objective that costs nothing. It
//! prints a line at a time and ends after ten minutes at the latest. `growth 1000 8` makes 1,000 trials with 8 workers.

#[allow(dead_code, clippy::unwrap_used, reason = "shared with the tests")]
#[path = "../tests/cli/cluster.rs"]
mod cluster;

use qgd::tuner::{ActiveTrial, Distribution, Optimize, Parameter, Space, Study, StudyConfig, storage};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const N_TRIALS: usize = 200;

const PARAMETERS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// Prints the milliseconds of a trial; the URL is the only argument.
const OPTUNA: &str = "
import sys, time, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
url = None if sys.argv[1] == 'memory:' else sys.argv[1]
study = optuna.create_study(storage=url, sampler=optuna.samplers.RandomSampler(seed=0))
start = time.perf_counter()
for _ in range(200):
    trial = study.ask()
    value = sum(trial.suggest_float(name, 0.0, 1.0) for name in 'abcdefg')
    study.tell(trial, value)
print(1000 * (time.perf_counter() - start) / 200)
";

/// Number of workers of the growing study.
const N_WORKERS: usize = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().any(|argument| argument == "growth") {
        let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
        return growth(&numbers);
    }
    let folder = tempfile::tempdir()?;
    let file = |name: &str| format!("sqlite:///{}", folder.path().join(name).display());
    println!("milliseconds a trial (ask with {} parameters, tell), mean of {N_TRIALS}", PARAMETERS.len());
    compare("memory", "memory:", "memory:")?;
    compare("SQLite", &file("ours.db"), &file("theirs.db"))?;
    if let Some(cluster) = cluster::Cluster::start() {
        let theirs = cluster.database().replace("postgresql://", "postgresql+psycopg2://");
        compare("PostgreSQL", &cluster.database(), &theirs)?;
    }
    Ok(())
}

fn compare(name: &str, url: &str, theirs: &str) -> Result<(), Box<dyn std::error::Error>> {
    let ours = ours(url)?;
    match optuna(theirs) {
        Some(theirs) => println!("{name:<11} ours {ours:>8.4}   Optuna {theirs:>8.3}   ratio {:.0}", theirs / ours),
        None => println!("{name:<11} ours {ours:>8.4}   (python3 has no optuna to compare with)"),
    }
    Ok(())
}

/// Numbers of trials at which a line is printed.
const MARKS: [usize; 10] = [100, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 40_000, 50_000];

/// Number of trials of a mean.
const WINDOW: usize = 1_000;

/// Time after which no trial is begun.
const LIMIT: Duration = Duration::from_secs(570);

/// Prints the milliseconds of a trial while a study grows.
fn growth(numbers: &[usize]) -> Result<(), Box<dyn std::error::Error>> {
    let (n_trials, n_workers) =
        (numbers.first().copied().unwrap_or(50_000), numbers.get(1).copied().unwrap_or(N_WORKERS));
    let Some(cluster) = cluster::Cluster::start() else { return Ok(()) };
    let url = cluster.database();
    println!("{n_workers} workers on one machine, mean of the last {WINDOW} trials or of all; memory of all workers");
    println!("{:>7}  {:>12}  {:>9}  {:>6}", "trials", "ms a trial", "seconds", "MB");
    let done = Mutex::new(Vec::with_capacity(n_trials));
    let begin = Instant::now();
    let count = || {
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done.push(begin.elapsed().as_secs_f64());
        let n = done.len();
        if MARKS.contains(&n) || n == n_trials {
            let before = n.saturating_sub(WINDOW);
            let spent = done[n - 1] - if before > 0 { done[before - 1] } else { 0.0 };
            let each = 1000.0 * spent / (n - before) as f64;
            println!("{n:>7}  {each:>12.2}  {:>9.1}  {:>6}", done[n - 1], megabytes());
        }
    };
    let worker = || -> Result<(), String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let space = Space::new([Parameter::new("x", Distribution::float(0.0, 1.0))]).map_err(|error| said(&error))?;
        let config = StudyConfig { sampler: "random".into(), lag: n_workers, ..StudyConfig::default() };
        let storage = storage::open(&url).map_err(|error| said(&error))?;
        let study = Study::create_or_open(storage, space, config).map_err(|error| said(&error))?;
        let options = Optimize { n_trials, timeout: Some(LIMIT), ..Optimize::default() };
        let objective = |trial: &ActiveTrial<'_>| {
            count();
            Ok(trial.float("x")?.into())
        };
        study.optimize(&options, objective).map_err(|error| said(&error))
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..n_workers).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err("a worker broke".to_owned())))
    })?;
    Ok(())
}

/// Memory of this process; 0 where the system does not say.
fn megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    kilobytes.and_then(|number| number.parse::<u64>().ok()).unwrap_or_default() / 1024
}

fn ours(url: &str) -> Result<f64, Box<dyn std::error::Error>> {
    let space = Space::new(PARAMETERS.map(|name| Parameter::new(name, Distribution::float(0.0, 1.0))))?;
    let study = Study::create_or_open(storage::open(url)?, space, StudyConfig::default())?;
    let start = Instant::now();
    for _ in 0..N_TRIALS {
        let trial = study.ask()?;
        let value = PARAMETERS.iter().map(|name| trial.float(name)).sum::<Result<f64, _>>()?;
        study.tell(trial.number(), value)?;
    }
    Ok(1000.0 * start.elapsed().as_secs_f64() / N_TRIALS as f64)
}

fn optuna(url: &str) -> Option<f64> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python");
    let path = std::env::var("PYTHONPATH").map_or(folder.into(), |path| format!("{folder}:{path}"));
    let output = Command::new("python3").args(["-c", OPTUNA, url]).env("PYTHONPATH", path).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
