//! Mohamed, Elmustafa, Elrashid, Rufai and Elhag, *Hyperparameters Optimization with Deep Reinforcement Learning*: the
//! experiment of its sections 3.1 to 3.4, on wine and letters, and its Tables 1 and 2.

mod problems;
mod report;

use super::document::Document;
use super::lab::{Counter, Lab};
use super::small_net::{Losses, space};
use super::studies::{Plan, Tried, study};
use crate::cli::failure::Failure;
use crate::cli::pool::side_by_side;
use problems::Problem;

/// Trajectories of an iteration of the policies (section 3.4).
const BATCH: usize = 16;

/// A row of the paper's tables, and what we add to them.
struct Method {
    name: &'static str,
    sampler: &'static str,
    /// Whether its trials come in iterations of [`BATCH`].
    is_policy: bool,
    /// Whether the paper has it.
    is_published: bool,
}

const fn method(name: &'static str, sampler: &'static str, is_policy: bool, is_published: bool) -> Method {
    Method { name, sampler, is_policy, is_published }
}

/// The rows, those of the paper first.
const METHODS: [Method; 5] = [
    method("baseline: random search", "random", false, true),
    method("MLP policy", "reinforce", true, true),
    method("RNN policy", "reinforce:policy=rnn", true, true),
    method("RNN policy, its Adam at 0.01", "reinforce:policy=rnn,lr=0.01", true, false),
    method("TPE", "tpe", false, false),
];

/// The trials of one method with one seed, in order.
struct Finished {
    seed: u64,
    trials: Vec<Tried<Losses>>,
}

/// All studies of one problem: `[method][seed]`.
struct Studies {
    problem: Problem,
    by_method: Vec<Vec<Finished>>,
}

pub fn reproduce(lab: &Lab) -> Result<Document, Failure> {
    let problems = [Problem::wine(lab)?, Problem::letter(lab)?];
    let jobs: Vec<(usize, usize, u64)> = (0..problems.len())
        .flat_map(|problem| lab.seeds().into_iter().map(move |seed| (problem, seed)))
        .flat_map(|(problem, seed)| (0..METHODS.len()).map(move |method| (problem, method, seed)))
        .collect();
    let total = jobs.iter().map(|&(problem, method, _)| n_trials(lab, &problems[problem], method)).sum();
    let counter = lab.counter("trials", total);
    let run = |i: usize| {
        let (problem, method, seed) = jobs[i];
        one_study(lab, &problems[problem], method, seed, &counter)
    };
    let mut finished = side_by_side(jobs.len(), lab.jobs(), run)?.into_iter();
    drop(counter);
    let mut studies: Vec<Studies> = problems.into_iter().map(Studies::new).collect();
    for &(problem, method, _) in &jobs {
        studies[problem].by_method[method].extend(finished.next());
    }
    Ok(report::document(lab, &studies))
}

fn one_study(lab: &Lab, problem: &Problem, method: usize, seed: u64, counter: &Counter) -> Result<Finished, Failure> {
    let (space, sampler) = (space()?, METHODS[method].sampler);
    let plan = Plan::new(&space, sampler, seed, n_trials(lab, problem, method));
    let trials = study(&plan, |params| {
        let losses = problem.net.losses(lab, seed, params)?;
        counter.done(|| format!("{}, {}, seed {seed}", problem.net.name, METHODS[method].name));
        Ok(losses)
    })?;
    Ok(Finished { seed, trials })
}

/// Number of trials of a method: 300 iterations for a policy (section 3.4), for the baseline as many as the paper's
/// search came to (section 4), and 200 for TPE.
fn n_trials(lab: &Lab, problem: &Problem, method: usize) -> usize {
    match METHODS[method] {
        Method { is_policy: true, .. } => BATCH * n_iterations(lab),
        Method { is_published: true, .. } => lab.scaled(problem.n_baseline, problem.n_baseline / 20, 2),
        _ => lab.scaled(200, 10, 2),
    }
}

fn n_iterations(lab: &Lab) -> usize {
    lab.scaled(300, 15, 2)
}

impl Studies {
    fn new(problem: Problem) -> Self {
        Self { problem, by_method: METHODS.iter().map(|_| Vec::new()).collect() }
    }
}
