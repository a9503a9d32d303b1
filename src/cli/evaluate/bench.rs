//! Makes the runs that the cache does not have yet.

use super::cache::{Cache, Entry, Score};
use super::plan::{Cell, Plan, Task};
use crate::cli::decider::Decider;
use crate::cli::ending;
use crate::cli::failure::Failure;
use crate::cli::grid::{self, Grid};
use crate::cli::pool::side_by_side;
use crate::cli::progress::Progress;
use crate::cli::setting::Machine;
use qgd::report::{duration, number};
use qgd::schedule::Schedule;
use qgd::torch::Conditioning;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Number of steps by which the pace of a task is measured before the work begins.
const PACE_STEPS: u32 = 5;

/// Everything that is needed for the missing runs.
pub struct Bench<'a> {
    plan: &'a Plan,
    cache: &'a Cache,
    /// Grids by task, for tasks with missing runs.
    grids: BTreeMap<usize, Grid>,
    /// Seconds that a step takes, by task.
    pace_s: BTreeMap<usize, f64>,
    tally: Mutex<Tally>,
    started: Instant,
    progress: Progress,
}

/// Progress of the work.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    n_done: u64,
    /// Expected work done and in all, in seconds on one thread.
    done_s: f64,
    all_s: f64,
}

/// The missing runs, before the work has begun.
struct Missing {
    coarse: Vec<Cell>,
    /// Runs beside a best start that is known.
    refined: Vec<Cell>,
    /// Numbers of runs beside a best start that is not known yet, each with its problem.
    unknown: Vec<(usize, u64)>,
    n_cells: u64,
    /// Tasks and seeds whose untrained net is not known.
    untrained: Vec<(usize, u64)>,
}

/// Makes the missing runs.
pub fn fill(plan: &Plan, cache: &Cache, machine: &Machine, n_jobs: usize) -> Result<(), Failure> {
    let missing = Missing::of(plan, cache);
    let (n_cells, n_runs, place) = (missing.n_cells, missing.n_runs(), cache.path().display());
    if n_runs == 0 {
        note!("all {n_cells} runs are in {place}: 0 to run");
    }
    if n_runs == 0 && missing.untrained.is_empty() {
        return Ok(());
    }
    let kept = || {
        let n_kept = n_cells - Missing::of(plan, cache).n_runs();
        format!("{n_kept} of {n_cells} runs are in {place}; the same line goes on with the others")
    };
    let work = || {
        let bench = Bench::new(plan, cache, machine, n_jobs, &missing)?;
        if n_runs > 0 {
            let time = duration(bench.all_s() / n_jobs as f64);
            note!("{} of {n_cells} runs are in {place}: {n_runs} to run, about {time}", n_cells - n_runs);
        }
        cache.open()?;
        side_by_side(missing.untrained.len(), n_jobs, |i| bench.look_at_untrained(missing.untrained[i]))?;
        let coarse = bench.run(missing.coarse.clone(), n_jobs);
        // Now every best start is known.
        let all = coarse.and_then(|()| bench.run(Missing::of(plan, cache).refined, n_jobs));
        bench.progress.finish();
        all
    };
    ending::by_signal(kept, work)?
}

impl Missing {
    fn of(plan: &Plan, cache: &Cache) -> Self {
        let known = |cell: &Cell| cache.get(&plan.key(cell));
        let mut coarse = plan.coarse();
        let mut n_cells = coarse.len() as u64;
        coarse.retain(|cell| known(cell).is_none());
        let (mut refined, mut unknown) = (Vec::new(), Vec::new());
        for (problem, method) in plan.to_refine() {
            n_cells += plan.n_beside(problem);
            match plan.refined(problem, method, known) {
                Some(cells) => refined.extend(cells.into_iter().filter(|cell| known(cell).is_none())),
                None => unknown.push((problem, plan.n_beside(problem))),
            }
        }
        let mut keys = BTreeSet::new();
        let mut untrained = plan.untrained();
        untrained.retain(|&(task, seed)| {
            let key = plan.untrained_key(task, seed);
            cache.untrained(&key).is_none() && keys.insert(key)
        });
        Self { coarse, refined, unknown, n_cells, untrained }
    }

    fn n_runs(&self) -> u64 {
        (self.coarse.len() + self.refined.len()) as u64 + self.unknown.iter().map(|(_, n)| n).sum::<u64>()
    }

    /// Every problem with missing runs, with their number. A problem may occur more than once.
    fn by_problem(&self) -> Vec<(usize, u64)> {
        let known = self.coarse.iter().chain(&self.refined).map(|cell| (cell.problem, 1));
        known.chain(self.unknown.iter().copied()).collect()
    }
}

impl<'a> Bench<'a> {
    /// Reads the data and starts every method once, so that bad input is found before hours of work.
    fn new(
        plan: &'a Plan,
        cache: &'a Cache,
        machine: &Machine,
        n_jobs: usize,
        missing: &Missing,
    ) -> Result<Self, Failure> {
        let mut bench = Self {
            plan,
            cache,
            grids: BTreeMap::new(),
            pace_s: BTreeMap::new(),
            tally: Mutex::default(),
            started: Instant::now(),
            progress: Progress::without_eta("runs", missing.n_runs()),
        };
        tch::set_num_threads(1);
        let to_run: BTreeSet<usize> =
            missing.by_problem().iter().map(|&(problem, _)| plan.problems[problem].task).collect();
        let to_read = missing.untrained.iter().map(|&(task, _)| task).chain(to_run.iter().copied());
        for task in to_read.collect::<BTreeSet<_>>() {
            let beside_bytes = bench.grids.values().map(Grid::bytes).sum();
            let Task { spec, n_seeds, .. } = &plan.tasks[task];
            let seeds: Vec<u64> = (0..*n_seeds).collect();
            let grid = Grid::new(spec, machine, &seeds, n_jobs, beside_bytes)?;
            bench.grids.insert(task, grid);
            if to_run.contains(&task) {
                let pace_s = bench.try_out(task)?;
                bench.pace_s.insert(task, pace_s);
            }
        }
        let all_s = missing.by_problem().iter().map(|&(problem, n)| n as f64 * bench.expected_s(problem)).sum();
        bench.tally = Mutex::new(Tally { all_s, ..Tally::default() });
        bench.started = Instant::now();
        Ok(bench)
    }

    /// Starts every method of a task once. Returns the seconds that a step takes.
    fn try_out(&self, task: usize) -> Result<f64, Failure> {
        let mut pace_s = f64::INFINITY;
        let problems = self.plan.coarse().into_iter().filter(|cell| self.plan.problems[cell.problem].task == task);
        let mut tried = Vec::new();
        for cell in problems {
            let what = (self.plan.problems[cell.problem].optimizer, cell.method);
            if tried.contains(&what) {
                continue;
            }
            tried.push(what);
            let (grid, run) = (self.grid(&cell), self.on_grid(&cell));
            let (mut run, _) = grid.start(&run)?;
            let started = Instant::now();
            for _ in 0..PACE_STEPS {
                run.step()?.f_double_value(&[])?;
            }
            pace_s = pace_s.min(started.elapsed().as_secs_f64() / f64::from(PACE_STEPS));
        }
        Ok(pace_s)
    }

    /// Evaluates the net of a task and a seed before its training, the same for all methods and optimizers.
    fn look_at_untrained(&self, (task, seed): (usize, u64)) -> Result<(), Failure> {
        let (started, spec) = (Instant::now(), &self.plan.tasks[task].spec);
        let optimizer = self.plan.problems.iter().find(|problem| problem.task == task).map(|problem| problem.optimizer);
        let grid = self.grids[&task].trained_by(optimizer.unwrap_or(spec.train.optimizer), Conditioning::None, 1);
        let (decider, lr, weight_decay) =
            (Decider::Schedule(Schedule::Constant), spec.train.lr, spec.train.weight_decay);
        let (mut run, data) = grid.start(&grid::Cell { decider: &decider, lr, weight_decay, seed })?;
        self.cache.put(Entry {
            key: self.plan.untrained_key(task, seed),
            task: spec.name(),
            optimizer: "none".to_owned(),
            steps: 0,
            method: "untrained".to_owned(),
            lr: 0.0,
            seed,
            score: Score::of(&run.evaluate(data)?, 0),
            wall_s: started.elapsed().as_secs_f64(),
            n_examples: Some(data.train.len() as u64),
        })
    }

    fn grid(&self, cell: &Cell) -> Grid {
        let problem = &self.plan.problems[cell.problem];
        self.grids[&problem.task].trained_by(problem.optimizer, self.plan.conditioning(cell), problem.steps)
    }

    fn on_grid(&self, cell: &Cell) -> grid::Cell<'a> {
        let task = self.plan.problems[cell.problem].task;
        let weight_decay = self.plan.tasks[task].spec.train.weight_decay;
        grid::Cell { decider: &self.plan.methods[cell.method].decider, lr: cell.lr, weight_decay, seed: cell.seed }
    }

    fn expected_s(&self, problem: usize) -> f64 {
        let problem = &self.plan.problems[problem];
        self.pace_s.get(&problem.task).copied().unwrap_or(0.0) * problem.steps as f64
    }

    fn all_s(&self) -> f64 {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).all_s
    }

    /// Runs cells, the quick ones first, so that their problems are complete early.
    fn run(&self, mut cells: Vec<Cell>, n_jobs: usize) -> Result<(), Failure> {
        cells.sort_by(|a, b| self.expected_s(a.problem).total_cmp(&self.expected_s(b.problem)));
        side_by_side(cells.len(), n_jobs, |i| self.run_one(&cells[i]))?;
        Ok(())
    }

    fn run_one(&self, cell: &Cell) -> Result<(), Failure> {
        let (plan, started) = (self.plan, Instant::now());
        let problem = &plan.problems[cell.problem];
        let finished = self.grid(cell).train(&self.on_grid(cell))?;
        let score = Score::of(&finished.scores, finished.rollbacks);
        self.cache.put(Entry {
            key: plan.key(cell),
            task: plan.task(problem).spec.name(),
            optimizer: problem.optimizer.name().to_owned(),
            steps: problem.steps,
            method: plan.methods[cell.method].name().to_owned(),
            lr: cell.lr,
            seed: cell.seed,
            score,
            wall_s: started.elapsed().as_secs_f64(),
            n_examples: None,
        })?;
        self.count(cell, &score);
        Ok(())
    }

    fn count(&self, cell: &Cell, score: &Score) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.n_done += 1;
        tally.done_s += self.expected_s(cell.problem);
        if self.progress.wants(tally.n_done) {
            let left = self.started.elapsed().as_secs_f64() * (tally.all_s / tally.done_s - 1.0).max(0.0);
            let problem = &self.plan.problems[cell.problem];
            self.progress.show(tally.n_done, || {
                format!(
                    "{} {} {}, {} from lr {}: loss {}, about {} left",
                    self.plan.task(problem).spec.name(),
                    problem.steps,
                    problem.optimizer.name(),
                    self.plan.methods[cell.method].name(),
                    number(cell.lr),
                    number(score.train()),
                    duration(left)
                )
            });
        }
    }
}
