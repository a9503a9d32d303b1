//! Gardner, Chen and Walker, *Automated Hyperparameter Optimization Using Reinforcement Learning for Scalable Deep
//! Learning Models*: a survey whose Table 1 has words alone. Here its techniques get measured columns: quality at equal
//! budget in a small and in a wide space, cost, speed-up with workers, and what early stopping does.

mod clock;
mod problem;
mod report;
mod results;
mod words;

use super::document::Document;
use super::lab::{Counter, Lab};
use super::small_net::SmallNet;
use super::studies::{Plan, Tried, study};
use super::taught::{self, LESSONS, QUICK_LESSONS};
use crate::cli::failure::Failure;
use crate::cli::pool::side_by_side;
use problem::{Course, Problem, Size};
use qgd::tuner::samplers::deep_q::Lesson;
use results::Results;
use std::path::PathBuf;

/// Trials of a study, and as many with `--quick`, which are the points of grids of 3·2·2·2.
const TRIALS: usize = 100;
const QUICK_TRIALS: usize = 24;
/// Examples that are used of each data set with `--quick`.
const QUICK_EXAMPLES: usize = 400;

/// A technique of the paper's Table 1, as qgd has it.
struct Technique {
    name: &'static str,
    sampler: &'static str,
    /// Row of the paper's table.
    row: usize,
    /// Whether a proposal depends on results, so that workers must wait for them.
    uses_results: bool,
}

const fn technique(row: usize, name: &'static str, sampler: &'static str, uses_results: bool) -> Technique {
    Technique { name, sampler, row, uses_results }
}

/// Stands for the agent that was taught on the other data sets.
const TAUGHT: &str = "TAUGHT";
/// Stands for the grid that the number of trials pays for.
const GRID: &str = "grid";

const TECHNIQUES: [Technique; 6] = [
    technique(0, "grid search", GRID, false),
    technique(1, "random search", "random", false),
    technique(2, "Bayesian: Gaussian process", "gp", true),
    technique(2, "Bayesian: TPE", "tpe", true),
    technique(3, "NAS", "nas", true),
    technique(4, "meta-learning: deep-q, taught", TAUGHT, true),
];
/// The technique that all are compared with.
const RANDOM: usize = 1;

/// Pruners of the comparison. Every technique goes with the first one, random search with all.
const PRUNERS: [&str; 3] = ["median", "asha", "hyperband"];
/// Numbers of workers beside one.
const WORKERS: [usize; 2] = [2, 4];

/// How a study is made.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// One trial after the other.
    Alone,
    /// With so many trials at a time.
    Workers(usize),
    /// One after the other, with this one of [`PRUNERS`].
    Pruned(usize),
}

impl Way {
    /// The ways of a technique: those that cost new nets last.
    fn all(technique: usize) -> Vec<Self> {
        let pruners = if technique == RANDOM { PRUNERS.len() } else { 1 };
        let workers = WORKERS.into_iter().map(Self::Workers);
        std::iter::once(Self::Alone).chain(workers).chain((0..pruners).map(Self::Pruned)).collect()
    }
}

/// A study, and its trials.
struct Finished {
    size: Size,
    /// Number of the data set.
    problem: usize,
    technique: usize,
    way: Way,
    seed: u64,
    trials: Vec<Tried<Course>>,
}

/// What an agent of one space and one data set has learned from.
struct Taught {
    agent: PathBuf,
    /// Training steps of the random trials on the other data sets.
    steps: u64,
}

pub fn reproduce(lab: &Lab) -> Result<Document, Failure> {
    let limit = lab.either(None, Some(QUICK_EXAMPLES));
    let problems = ["wine", "letter", "digits"].map(|name| Problem::new(lab, name, limit));
    let problems: Vec<Problem> = problems.into_iter().collect::<Result<_, _>>()?;
    let [n_trials, n_lessons] = [lab.scaled(TRIALS, QUICK_TRIALS, 2), lab.scaled(LESSONS, QUICK_LESSONS, 3)];
    let mut jobs: Vec<(Size, usize, usize, Way, u64)> = Vec::new();
    for (technique, size) in (0..TECHNIQUES.len()).flat_map(|technique| Size::ALL.map(|size| (technique, size))) {
        for (problem, seed) in (0..problems.len()).flat_map(|p| lab.seeds().into_iter().map(move |seed| (p, seed))) {
            jobs.extend(Way::all(technique).into_iter().map(|way| (size, problem, technique, way, seed)));
        }
    }
    let n_lessons_in_all = Size::ALL.len() * problems.len() * n_lessons;
    let counter = lab.counter("trials", jobs.len() * n_trials + n_lessons_in_all);
    let mut agents = Vec::new();
    for size in Size::ALL {
        agents.push(taught(lab, size, &problems, n_lessons, &counter)?);
    }
    let run = |i: usize| {
        let (size, problem, technique, way, seed) = jobs[i];
        let agent = &agents[size as usize][problem].agent;
        let sampler = match TECHNIQUES[technique].sampler {
            TAUGHT => taught::sampler(&problems[problem].net, agent),
            sampler => sampler.to_owned(),
        };
        let space = if sampler == GRID { size.grid(n_trials)? } else { size.space()? };
        let plan = planned(&Plan::new(&space, &sampler, seed, n_trials), technique, way);
        let trials = trials(lab, &problems[problem], &plan, seed, &counter)?;
        Ok(Finished { size, problem, technique, way, seed, trials })
    };
    let studies = side_by_side(jobs.len(), lab.jobs(), run)?;
    drop(counter);
    let nets = problems.into_iter().map(|problem| problem.net).collect();
    Ok(report::document(lab, &Results { nets, n_trials, n_lessons, agents, studies }))
}

/// The plan of a study that is made in this way.
fn planned<'a>(plan: &Plan<'a>, technique: usize, way: Way) -> Plan<'a> {
    let pruner = if let Way::Pruned(pruner) = way { PRUNERS[pruner] } else { plan.pruner };
    Plan { pruner, lag: lag(technique, way, plan.n_trials), ..*plan }
}

/// Number of trials at a time. Where no proposal depends on a result, no worker need wait for one.
fn lag(technique: usize, way: Way, n_trials: usize) -> usize {
    match way {
        Way::Workers(workers) if TECHNIQUES[technique].uses_results => workers,
        Way::Workers(_) => n_trials,
        Way::Alone | Way::Pruned(_) => 1,
    }
}

fn trials(
    lab: &Lab,
    problem: &Problem,
    plan: &Plan<'_>,
    seed: u64,
    counter: &Counter,
) -> Result<Vec<Tried<Course>>, Failure> {
    study(plan, |params| {
        let course = problem.course(lab, seed, params)?;
        counter.done(|| format!("{}, {}", problem.net.name, plan.sampler.split([':', ',']).next().unwrap_or_default()));
        Ok(course)
    })
}

/// An agent for each data set, which has learned on the others.
fn taught(
    lab: &Lab,
    size: Size,
    problems: &[Problem],
    n_lessons: usize,
    counter: &Counter,
) -> Result<Vec<Taught>, Failure> {
    let (space, first) = (size.space()?, lab.seeds().first().copied().unwrap_or(0));
    let lesson = |i: usize| -> Result<(Lesson, u64), Failure> {
        let plan = Plan::new(&space, "random", first + taught::SEED, n_lessons);
        let trials = trials(lab, &problems[i], &plan, first, counter)?;
        let steps = trials.iter().map(|trial| trial.outcome.steps(None)).sum();
        Ok((taught::lesson(&problems[i].net, &space, &trials)?, steps))
    };
    let (lessons, steps): (Vec<Lesson>, Vec<u64>) =
        side_by_side(problems.len(), lab.jobs(), lesson)?.into_iter().unzip();
    side_by_side(problems.len(), lab.jobs(), |i| {
        let agent = lab.out().join(agent_file(size, &problems[i].net));
        taught::teach_without(lab, &space, &lessons, i, &agent)?;
        Ok(Taught { agent, steps: steps.iter().sum::<u64>() - steps[i] })
    })
}

fn agent_file(size: Size, net: &SmallNet) -> String {
    format!("gardner-{}-without-{}.qgd", size.name(), net.name)
}
