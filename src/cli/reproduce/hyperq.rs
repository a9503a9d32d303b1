//! *HyperQ-Opt: Q-learning for Hyperparameter Optimization* (arXiv 2412.17765): the three checks that it leaves to others.
//!
//! 1. Q-learning against Bayesian optimization and random search on identical problems.
//! 2. ε-greedy against softmax, upper confidence bounds and Thompson sampling.
//! 3. Transfer: an agent that was taught on other data sets against one that begins anew on the target.

mod report;

use super::document::Document;
use super::lab::{Counter, Lab};
use super::small_net::{Losses, SmallNet, space};
use super::studies::{Plan, Tried, study};
use super::taught::{self, LESSONS, QUICK_LESSONS};
use crate::cli::failure::Failure;
use crate::cli::pool::side_by_side;
use qgd::tuner::samplers::deep_q::Lesson;
use std::path::{Path, PathBuf};

/// Trials of a study.
const TRIALS: usize = 100;
/// Examples that are used of each data set with `--quick`.
const QUICK_EXAMPLES: usize = 500;

/// A way to tune.
struct Method {
    name: &'static str,
    sampler: &'static str,
    /// The check that it belongs to, from 1.
    check: usize,
}

const fn method(check: usize, name: &'static str, sampler: &'static str) -> Method {
    Method { name, sampler, check }
}

/// Stands for the agent that was taught on the other data sets.
const TAUGHT: &str = "TAUGHT";

const METHODS: [Method; 9] = [
    method(1, "random search", "random"),
    method(1, "Bayesian optimization: Gaussian process", "gp"),
    method(1, "Bayesian optimization: TPE", "tpe"),
    method(1, "Q-learning: table", "q-learning"),
    method(1, "Q-learning: network, ε-greedy", "deep-q"),
    method(2, "softmax", "deep-q:explore=softmax"),
    method(2, "upper confidence bound", "deep-q:explore=ucb"),
    method(2, "Thompson sampling", "deep-q:explore=thompson"),
    method(3, "taught on the other data sets", TAUGHT),
];
/// The agent that the methods of checks 2 and 3 are compared with: it begins anew, and is ε-greedy.
const FRESH: usize = 4;

/// The trials of one method on one data set with one seed.
struct Finished {
    problem: usize,
    method: usize,
    seed: u64,
    trials: Vec<Tried<Losses>>,
}

pub fn reproduce(lab: &Lab) -> Result<Document, Failure> {
    let limit = lab.either(None, Some(QUICK_EXAMPLES));
    let sets = [("wine", "wine"), ("letter", "letter"), ("digits", "digits"), ("mnist", "mnist-cnn")];
    let nets = sets.map(|(name, task)| SmallNet::new(lab, name, task, limit.or(large(name))));
    let nets: Vec<SmallNet> = nets.into_iter().collect::<Result<_, _>>()?;
    let [n_trials, n_lessons] = [lab.scaled(TRIALS, 25, 3), lab.scaled(LESSONS, QUICK_LESSONS, 4)];
    let seeds = lab.seeds();
    let studies = nets.len() * seeds.len() * METHODS.len();
    let counter = lab.counter("trials", studies * n_trials + nets.len() * n_lessons);
    let lessons = side_by_side(nets.len(), lab.jobs(), |i| lesson(lab, &nets[i], n_lessons, &counter))?;
    let agents = side_by_side(nets.len(), lab.jobs(), |i| taught(lab, &nets, &lessons, i))?;
    let jobs: Vec<(usize, usize, u64)> = (0..nets.len())
        .flat_map(|problem| (0..METHODS.len()).map(move |method| (problem, method)))
        .flat_map(|(problem, method)| seeds.iter().map(move |&seed| (problem, method, seed)))
        .collect();
    let run = |i: usize| {
        let (problem, method, seed) = jobs[i];
        let sampler = sampler(&nets[problem], METHODS[method].sampler, &agents[problem]);
        let trials = trials(lab, &nets[problem], &sampler, (seed, seed), n_trials, &counter)?;
        Ok(Finished { problem, method, seed, trials })
    };
    let finished = side_by_side(jobs.len(), lab.jobs(), run)?;
    drop(counter);
    Ok(report::document(lab, &nets, [n_trials, n_lessons], &finished))
}

/// Examples of a data set whose nets take long: more of them would not change who tunes better.
fn large(name: &str) -> Option<usize> {
    (name == "mnist").then_some(5000)
}

/// Random trials on a data set, for others to learn from. Their seed is that of no study.
fn lesson(lab: &Lab, net: &SmallNet, n: usize, counter: &Counter) -> Result<Lesson, Failure> {
    let first = lab.seeds().first().copied().unwrap_or(0);
    let trials = trials(lab, net, "random", (first, first + taught::SEED), n, counter)?;
    taught::lesson(net, &space()?, &trials)
}

/// Teaches an agent on all data sets but `left_out`, and answers its file.
fn taught(lab: &Lab, nets: &[SmallNet], lessons: &[Lesson], left_out: usize) -> Result<PathBuf, Failure> {
    let file = lab.out().join(format!("hyperq-without-{}.qgd", nets[left_out].name));
    taught::teach_without(lab, &space()?, lessons, left_out, &file)?;
    Ok(file)
}

/// The sampler as `qgd tune` takes it.
fn sampler(net: &SmallNet, sampler: &str, agent: &Path) -> String {
    if sampler == TAUGHT { taught::sampler(net, agent) } else { sampler.to_owned() }
}

/// A study; `seeds` are that of the net, and that of the sampler.
fn trials(
    lab: &Lab,
    net: &SmallNet,
    sampler: &str,
    seeds: (u64, u64),
    n_trials: usize,
    counter: &Counter,
) -> Result<Vec<Tried<Losses>>, Failure> {
    let space = space()?;
    study(&Plan::new(&space, sampler, seeds.1, n_trials), |params| {
        let losses = net.losses(lab, seeds.0, params)?;
        counter.done(|| format!("{}, {}", net.name, sampler.split([':', ',']).next().unwrap_or(sampler)));
        Ok(losses)
    })
}
