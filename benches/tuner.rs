//! What an ask costs: `cargo bench --bench tuner [--no-default-features]`.
//!
//! Seven parameters (three floats, two of them on a logarithmic scale, two whole numbers, a stepped one, a choice)
//! after 100 and 1,000 trials: the sampler alone, and a whole ask of a study in memory. Beside it in the same run,
//! where Python has it, Optuna's TPE on a study in memory. Medians.

use qgd::statistics::median;
use qgd::tuner::{
    Ask, Direction, Distribution, Outcome, Parameter, Past, Setting, Space, Study, StudyConfig, TrialState, samplers,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

const SIZES: [usize; 2] = [100, 1000];
const REPEATS: usize = 31;

fn main() -> Result<(), Box<dyn Error>> {
    let optuna = optunas();
    println!("milliseconds an ask, 7 parameters    after {} trials   after {} trials", SIZES[0], SIZES[1]);
    let mut tpe = [0.0; 2];
    for name in ["random", "qmc", "tpe", "tpe:multivariate=false", "bohb", "nsga2", "cmaes", "gp"] {
        // A Gaussian process has its cost in cubes of trials: it is asked less often.
        let repeats = if name == "gp" { 5 } else { REPEATS };
        let mut found = [0.0; 2];
        for (found, n) in found.iter_mut().zip(SIZES) {
            *found = alone(name, n, repeats)?;
        }
        println!("{name:36} {:16.4} {:16.4}", found[0], found[1]);
        tpe = if name == "tpe" { found } else { tpe };
    }
    println!("{:36} {:16.4} {:16.4}", "tpe, ask and tell of a study", whole("tpe", SIZES[0])?, whole("tpe", SIZES[1])?);
    match optuna {
        Some(theirs) => {
            println!("{:36} {:16.4} {:16.4}", "Optuna's TPE, ask and tell", theirs[0], theirs[1]);
            println!(
                "{:36} {:16.0} {:16.0}",
                "ratio of Optuna's to our sampler",
                theirs[0] / tpe[0],
                theirs[1] / tpe[1]
            );
        }
        None => println!("Optuna's TPE: `python3` (or $PYTHON) has no module `optuna`, left out"),
    }
    println!("targets for tpe: 0.1 and 0.3");
    Ok(())
}

fn space() -> Result<Space, Box<dyn Error>> {
    Ok(Space::new([
        Parameter::new("lr", Distribution::log_float(1e-5, 1e-1)),
        Parameter::new("weight_decay", Distribution::log_float(1e-6, 1e-2)),
        Parameter::new("dropout", Distribution::float(0.0, 0.5)),
        Parameter::new("layers", Distribution::int(1, 8)),
        Parameter::new("units", Distribution::log_int(8, 1024)),
        Parameter::new("momentum", Distribution::stepped_float(0.0, 0.95, 0.05)),
        Parameter::new("optimizer", Distribution::categorical(["sgd", "adam", "adamw"])),
    ])?)
}

fn cost(space: &Space, point: &[Option<f64>]) -> f64 {
    let units = space.parameters().iter().zip(point).map(|(p, v)| v.map_or(0.0, |v| p.distribution.to_unit(v) - 0.3));
    units.map(|unit| unit * unit).sum()
}

/// The sampler alone, after `n` trials that it has proposed: the next ones are asked for and told, and each ask is
/// timed.
fn alone(name: &str, n: usize, repeats: usize) -> Result<f64, Box<dyn Error>> {
    let (space, directions) = (space()?, [Direction::Minimize]);
    let mut sampler = samplers::build(name, &Setting { space: &space, directions: &directions })?;
    let mut first = samplers::build(
        if name == "gp" { "random" } else { name },
        &Setting { space: &space, directions: &directions },
    )?;
    let (mut settled, mut times): (Vec<Past>, Vec<f64>) = (Vec::new(), Vec::new());
    for number in 0..n + repeats + 1 {
        let ask = Ask { seed: 1, number, space: &space, directions: &directions, settled: &settled, pending: &[] };
        let start = Instant::now();
        let point =
            if number < n { first.propose(&ask) } else { black_box(sampler.propose(&ask)) }.ok_or("nothing left")?;
        // The first one reads the whole history.
        if number > n {
            times.push(1e3 * start.elapsed().as_secs_f64());
        }
        let values = vec![cost(&space, &point)];
        let (state, intermediate) = (TrialState::Complete, BTreeMap::new());
        settled.push(Past { number, state, point, values, intermediate, constraints: vec![] });
    }
    Ok(median(&times))
}

/// Ask and tell of a study in memory.
fn whole(sampler: &str, n: usize) -> Result<f64, Box<dyn Error>> {
    let study = Study::in_memory(space()?, StudyConfig { sampler: sampler.into(), ..StudyConfig::default() })?;
    let mut times = Vec::new();
    for number in 0..n + REPEATS {
        let start = Instant::now();
        let trial = study.ask()?;
        let value = trial.float("dropout")? + trial.float("momentum")?;
        study.tell(trial.number(), Outcome::from(value))?;
        if number >= n {
            times.push(1e3 * start.elapsed().as_secs_f64());
        }
    }
    Ok(median(&times))
}

const OPTUNA: &str = "
import statistics, time, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
def ask(study):
    t = study.ask()
    x = [t.suggest_float('lr', 1e-5, 1e-1, log=True), t.suggest_float('weight_decay', 1e-6, 1e-2, log=True), t.suggest_float('dropout', 0, 0.5)]
    n = [t.suggest_int('layers', 1, 8), t.suggest_int('units', 8, 1024, log=True)]
    m = t.suggest_float('momentum', 0, 0.95, step=0.05)
    t.suggest_categorical('optimizer', ['sgd', 'adam', 'adamw'])
    study.tell(t, x[2] + m)
study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1))
for n in (100, 1000):
    while len(study.get_trials(deepcopy=False)) < n:
        ask(study)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        ask(study)
        times.append(1e3 * (time.perf_counter() - start))
    print(statistics.median(times))
";

fn optunas() -> Option<[f64; 2]> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(python).args(["-c", OPTUNA]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.lines().filter_map(|line| line.trim().parse().ok());
    Some([numbers.next()?, numbers.next()?])
}
