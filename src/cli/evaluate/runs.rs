//! Finished runs, sorted by problem, method, start and seed.

use super::cache::{Cache, Score, Untrained};
use super::plan::{Cell, N_STARTS, Plan, Problem};
use super::regime::{Regime, exposures};
use crate::cli::failure::Failure;
use crate::cli::grid::mean_loss;
use anyhow::Context;
use qgd::statistics::median;
use serde::Serialize;

/// All runs of one problem.
#[derive(Debug, Serialize)]
pub struct ProblemRuns {
    pub task: String,
    pub optimizer: &'static str,
    /// What became of the changes of weight matrices.
    pub conditioning: String,
    /// Multiple of the task's own steps.
    pub horizon: u64,
    pub steps: u64,
    /// How often each example of the training split is seen.
    pub exposures: f64,
    pub regime: Regime,
    /// Training loss of the net before its training, geometric mean over the seeds.
    pub first_loss: f64,
    pub seeds: Vec<u64>,
    /// Methods, the controller under test first.
    pub methods: Vec<MethodRuns>,
}

/// All runs of one method.
#[derive(Debug, Serialize)]
pub struct MethodRuns {
    pub name: String,
    /// Starts that all methods share, then those beside the best one.
    pub starts: Vec<Start>,
    /// Seconds of each run. They are another time's, so they stand apart from the runs in the JSON file.
    #[serde(skip)]
    pub seconds: Vec<f64>,
}

/// All runs from one start.
#[derive(Debug, Serialize)]
pub struct Start {
    pub lr: f64,
    /// Geometric mean over the seeds.
    pub train_loss: f64,
    /// Scores along the seeds.
    pub cells: Vec<Score>,
}

/// Collects the runs of a plan.
pub fn gather(plan: &Plan, cache: &Cache) -> Result<Vec<ProblemRuns>, Failure> {
    plan.problems.iter().enumerate().map(|(i, problem)| gather_problem(plan, cache, i, problem)).collect()
}

fn gather_problem(plan: &Plan, cache: &Cache, place: usize, problem: &Problem) -> Result<ProblemRuns, Failure> {
    let task = plan.task(problem);
    let known = |cell: &Cell| cache.get(&plan.key(cell));
    let refined = plan.to_refine();
    let method = |&method: &usize| -> Result<MethodRuns, Failure> {
        let mut cells = plan.from(place, method, &super::plan::starts(problem.optimizer));
        if refined.contains(&(place, method)) {
            cells.extend(plan.refined(place, method, known).unwrap_or_default());
        }
        let starts = cells.chunks(task.n_seeds as usize).map(|cells| Start::of(cells, known)).collect::<Option<_>>();
        let name = plan.methods[method].name().to_owned();
        let starts = starts.with_context(|| format!("a run of {name} on {} is missing", task.spec.name()))?;
        Ok(MethodRuns {
            name,
            starts,
            seconds: cells.iter().filter_map(|cell| cache.seconds(&plan.key(cell))).collect(),
        })
    };
    let untrained = |seed| cache.untrained(&plan.untrained_key(problem.task, seed));
    let untrained: Option<Vec<Untrained>> = (0..task.n_seeds).map(untrained).collect();
    let untrained = untrained.with_context(|| format!("the untrained net of {} is missing", task.spec.name()))?;
    let n_examples = untrained.iter().map(|net| net.n_examples).min().unwrap_or(1);
    let exposures = exposures(problem.steps, task.spec.train.batch_size, n_examples);
    Ok(ProblemRuns {
        task: task.spec.name(),
        optimizer: problem.optimizer.name(),
        conditioning: task.spec.train.conditioning.to_string(),
        horizon: problem.horizon,
        steps: problem.steps,
        exposures,
        regime: Regime::of(exposures),
        first_loss: mean_loss(untrained.iter().map(|net| net.loss)),
        seeds: (0..task.n_seeds).collect(),
        methods: problem.methods.iter().map(method).collect::<Result<_, _>>()?,
    })
}

impl Start {
    fn of(cells: &[Cell], known: impl Fn(&Cell) -> Option<Score>) -> Option<Self> {
        let scores: Vec<Score> = cells.iter().map(known).collect::<Option<_>>()?;
        Some(Self { lr: cells.first()?.lr, train_loss: mean_loss(scores.iter().map(Score::train)), cells: scores })
    }
}

impl MethodRuns {
    /// Starts that all methods share: median and worst loss are over these.
    pub fn shared(&self) -> &[Start] {
        &self.starts[..N_STARTS.min(self.starts.len())]
    }

    /// The best of all starts.
    pub fn best(&self) -> &Start {
        let best = self.starts.iter().min_by(|a, b| a.train_loss.total_cmp(&b.train_loss));
        best.unwrap_or(&self.starts[0])
    }

    pub fn median_loss(&self) -> f64 {
        median(&self.shared().iter().map(|start| start.train_loss).collect::<Vec<_>>())
    }

    /// Median over the runs.
    pub fn median_seconds(&self) -> f64 {
        median(&self.seconds)
    }

    pub fn worst_loss(&self) -> f64 {
        self.shared().iter().map(|start| start.train_loss).fold(0.0, f64::max)
    }

    /// The shared starts in the middle: one, or two if their number is even. Their mean is the median.
    pub fn middle(&self) -> Vec<&Start> {
        let mut sorted: Vec<&Start> = self.shared().iter().collect();
        sorted.sort_by(|a, b| a.train_loss.total_cmp(&b.train_loss));
        let n = sorted.len();
        sorted[(n - 1) / 2..=n / 2].to_vec()
    }
}
