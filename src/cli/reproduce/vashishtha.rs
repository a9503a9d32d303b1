//! Vashishtha 2025, *Adaptive Hyperparameter Optimization for Deep Learning Models using Reinforcement Learning with Dynamic
//! Exploration-Exploitation Balancing*: the experiment of its sections 3.4 to 3.6, on MNIST, CIFAR-10 and IMDB.

mod problems;
mod report;

use super::document::Document;
use super::lab::{Counter, Lab};
use super::studies::{Plan, Tried, study};
use crate::cli::failure::Failure;
use crate::cli::pool::side_by_side;
use problems::{Problem, Scores};
use qgd::tuner::samplers::q_learning::exploration;
use qgd::tuner::{Direction, Past, Setting, TrialState};

/// Trials of a study; the paper names no number.
const TRIALS: usize = 100;
/// k0 times the number of trials: without the variance ε would end a twentieth of the way above its minimum.
const DECAY: f64 = 3.0;
/// λ over k0; the paper names neither. Chosen by us: with ten, the default of the sampler, both readings have nearly the same
/// ε, since Q-values in a study vary by about 0.04.
const VARIANCE: f64 = 100.0;

/// A way to tune.
struct Method {
    name: &'static str,
    sampler: &'static str,
    /// For Q-learning: λ over k0.
    scale: Option<f64>,
}

const fn method(name: &'static str, sampler: &'static str, scale: Option<f64>) -> Method {
    Method { name, sampler, scale }
}

/// Those of section 3.6, its own in both readings of k, and two more.
const METHODS: [Method; 7] = [
    method("grid search", "grid", None),
    method("random search", "random", None),
    method("Bayesian optimization", "gp", None),
    method("Q-learning: k by the text", "q-learning:variance=slows", Some(VARIANCE)),
    method("Q-learning: k by the formula", "q-learning:variance=speeds", Some(VARIANCE)),
    method("Q-learning: k constant", "q-learning:variance=slows", Some(0.0)),
    method("Q-learning: k by the text, state of section 3.1", "q-learning:state=paper,variance=slows", Some(VARIANCE)),
];
const RANDOM: usize = 1;
/// The two readings, and a k that does not follow the variance.
const READINGS: [usize; 3] = [3, 4, 5];

impl Method {
    /// The sampler as `qgd tune` takes it.
    fn sampler(&self, n_trials: usize) -> String {
        let rate = DECAY / n_trials as f64;
        let decay = self.scale.map(|scale| format!(",rate={rate},scale={}", scale * rate));
        format!("{}{}", self.sampler, decay.unwrap_or_default())
    }
}

/// The trials of one method on one problem with one seed.
struct Finished {
    problem: usize,
    method: usize,
    seed: u64,
    trials: Vec<Tried<Scores>>,
    /// ε of each trial; of Q-learning alone.
    epsilons: Vec<f64>,
}

pub fn reproduce(lab: &Lab) -> Result<Document, Failure> {
    let problems = [Problem::mnist(lab)?, Problem::cifar(lab)?, Problem::imdb(lab)?];
    let n_trials = lab.scaled(TRIALS, 20, 2);
    // Methods that begin with the same nets are not side by side, or both would train them.
    let jobs: Vec<(usize, usize, u64)> = (0..METHODS.len())
        .flat_map(|method| (0..problems.len()).map(move |problem| (method, problem)))
        .flat_map(|(method, problem)| lab.seeds().into_iter().map(move |seed| (method, problem, seed)))
        .collect();
    let counter = lab.counter("trials", jobs.len() * n_trials);
    let run = |i: usize| {
        let (method, problem, seed) = jobs[i];
        let (trials, epsilons) = one_study(lab, &problems[problem], &METHODS[method], seed, n_trials, &counter)?;
        Ok(Finished { problem, method, seed, trials, epsilons })
    };
    let finished = side_by_side(jobs.len(), lab.jobs(), run)?;
    drop(counter);
    Ok(report::document(lab, &problems, n_trials, &finished))
}

fn one_study(
    lab: &Lab,
    problem: &Problem,
    method: &Method,
    seed: u64,
    n_trials: usize,
    counter: &Counter,
) -> Result<(Vec<Tried<Scores>>, Vec<f64>), Failure> {
    let (space, sampler) = (problem.space()?, method.sampler(n_trials));
    let trials = study(&Plan::new(&space, &sampler, seed, n_trials), |params| {
        let scores = problem.scores(lab, seed, params)?;
        counter.done(|| format!("{}, {}, seed {seed}", problem.name, method.name));
        Ok(scores)
    })?;
    if method.scale.is_none() {
        return Ok((trials, Vec::new()));
    }
    let past = |(number, trial): (usize, &Tried<Scores>)| Past {
        number,
        state: TrialState::Complete,
        point: problem.point(&trial.params),
        values: vec![trial.outcome.error()],
        intermediate: Default::default(),
        constraints: Vec::new(),
    };
    let history: Vec<Past> = trials.iter().enumerate().map(past).collect();
    let setting = Setting { space: &space, directions: &[Direction::Minimize] };
    let epsilons = exploration(&sampler, &setting, &history).map_err(Failure::bad_input)?;
    Ok((trials, epsilons))
}
