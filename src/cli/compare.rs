//! `qgd compare`: controllers and schedules on one task, from the same starts, with the same seeds and batches.

use super::decider::Decider;
use super::failure::Failure;
use super::grid::{Cell, Finished, Grid, mean_loss};
use super::setting::{self, Machine, Overrides};
use anyhow::anyhow;
use qgd::report::{Align, Axis, Chart, Color, Line, Table, number, svg};
use qgd::statistics::{mean, median};
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  The digits that ship with qgd, from learning rates over five decades:
    qgd compare examples/tasks/digits.toml
  More seeds, a controller of your own, and a picture:
    qgd compare examples/tasks/digits.toml --methods my.qgd,lr,cosine --seeds 5 --svg digits.svg";

/// Train the net of a task file with several controllers and schedules, from several learning rates
///
/// Every method sees the same split, initial weights and batches. Printed are the training losses after the last step (mean over the
/// training split, geometric mean over seeds): from the best start, the median over the starts, and from the worst.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// The task: data, net and training (see examples/tasks)
    task: PathBuf,
    /// Controllers (pretrained, or files) and schedules
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "lr,constant,cosine,plateau,greedy")]
    methods: Vec<String>,
    /// Learning rates to start from
    #[arg(
        long,
        value_name = "LRS",
        value_delimiter = ',',
        default_value = "1e-5,1e-4,1e-3,1e-2,0.1,1",
        allow_negative_numbers = true
    )]
    starts: Vec<f64>,
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    machine: Machine,
    /// Runs at the same time, each on one thread [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Machine")]
    jobs: Option<u16>,
    /// Write all results as JSON
    #[arg(long, value_name = "OUT", help_heading = "Output")]
    json: Option<PathBuf>,
    /// Draw the final loss over the start
    #[arg(long, value_name = "OUT.svg", help_heading = "Output")]
    svg: Option<PathBuf>,
}

/// What the JSON file holds.
#[derive(Serialize)]
struct Comparison {
    task: String,
    version: &'static str,
    steps: u64,
    seeds: Vec<u64>,
    starts: Vec<f64>,
    methods: Vec<Method>,
}

/// One method; all lists but the seeds' go along the starts.
#[derive(Serialize)]
struct Method {
    name: String,
    /// Geometric mean over the seeds.
    train_loss: Vec<f64>,
    /// Each `[seed]`; null where a run diverged.
    train_loss_by_seed: Vec<Vec<f64>>,
    /// Mean over the seeds.
    test_loss: Vec<f64>,
    /// Mean over the seeds; null in regression.
    test_accuracy: Vec<Option<f64>>,
    rollbacks: Vec<u64>,
}

impl CompareArgs {
    pub fn run(&self) -> Result<(), Failure> {
        let task = self.overrides.load(&self.task, None)?;
        let deciders = self.methods.iter().map(|name| Decider::named(name)).collect::<Result<Vec<_>, _>>()?;
        if deciders.is_empty() || self.starts.is_empty() {
            return Err(Failure::BadInput(anyhow!("--methods and --starts need at least one value each")));
        }
        setting::check_output("--json", self.json.as_deref())?;
        setting::check_output("--svg", self.svg.as_deref())?;
        let seeds: Vec<u64> = (0..self.seeds).map(|i| self.seed.wrapping_add(i)).collect();
        let grid = Grid::new(&task, &self.machine, seeds.iter().copied())?;
        let cells: Vec<Cell<'_>> = deciders
            .iter()
            .flat_map(|decider| self.starts.iter().map(move |&lr| (decider, lr)))
            .flat_map(|(decider, lr)| seeds.iter().map(move |&seed| Cell { decider, lr, seed }))
            .collect();
        grid.check(&cells)?;
        let results = grid.run(&cells, super::setting::jobs(self.jobs))?;
        let by_method = results.chunks(self.starts.len() * seeds.len()).zip(&deciders);
        let methods = by_method.map(|(runs, decider)| Method::of(decider.name(), runs, seeds.len())).collect();
        let version = env!("CARGO_PKG_VERSION");
        let comparison = Comparison {
            task: task.name(),
            version,
            steps: task.train.steps,
            seeds,
            starts: self.starts.clone(),
            methods,
        };
        self.write(&comparison)?;
        say!("{}", comparison.table().trim_end());
        Ok(())
    }

    fn write(&self, comparison: &Comparison) -> Result<(), Failure> {
        if let Some(path) = &self.json {
            setting::write_file(path, &serde_json::to_vec_pretty(comparison)?)?;
        }
        match &self.svg {
            Some(path) => setting::write_file(path, comparison.picture().as_bytes()),
            None => Ok(()),
        }
    }
}

impl Comparison {
    fn table(&self) -> String {
        use Align::{Left, Right};
        let (n_seeds, n_starts) = (self.seeds.len(), self.starts.len());
        let mut table = Table::new(&[
            ("method", Left),
            ("best start", Right),
            ("best", Right),
            ("median", Right),
            ("worst", Right),
            ("test acc. best", Right),
            ("median", Right),
        ]);
        let percent =
            |accuracy: Option<f64>| accuracy.map_or("-".to_owned(), |accuracy| format!("{:.1} %", 100.0 * accuracy));
        for method in &self.methods {
            let losses = &method.train_loss;
            let best = (0..n_starts).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap_or(0);
            let accuracies: Vec<f64> = method.test_accuracy.iter().copied().flatten().collect();
            table.row([
                method.name.clone(),
                number(self.starts[best]),
                number(losses[best]),
                number(median(losses)),
                number(losses.iter().copied().fold(0.0, f64::max)),
                percent(method.test_accuracy[best]),
                percent((!accuracies.is_empty()).then(|| median(&accuracies))),
            ]);
        }
        format!(
            "{}: training loss after {} steps over {n_starts} starts, geometric mean of {n_seeds} seeds\n\n{table}",
            self.task, self.steps
        )
    }

    fn picture(&self) -> String {
        let line = |(i, method): (usize, &Method)| {
            let points = self.starts.iter().copied().zip(method.train_loss.iter().copied()).collect();
            Line::new(&method.name, Color::MANY[i % Color::MANY.len()], points).marked()
        };
        let mut lines: Vec<Line> = self.methods.iter().enumerate().map(line).collect();
        // The first method is what the picture is about, so it is drawn last, on top.
        lines.reverse();
        let chart =
            Chart { title: String::new(), x: Axis::log("learning rate at the start"), y: Axis::log("loss"), lines };
        let about = format!("training loss after {} steps, geometric mean of {} seeds", self.steps, self.seeds.len());
        svg(&self.task, &about, &[chart])
    }
}

impl Method {
    /// `runs` go along the starts, and for each along the seeds.
    fn of(name: &str, runs: &[Finished], n_seeds: usize) -> Self {
        let by_start = || runs.chunks(n_seeds);
        let train = |run: &Finished| run.scores.train.loss;
        let accuracy = |runs: &[Finished]| {
            let accuracies: Option<Vec<f64>> = runs.iter().map(|run| run.scores.test.accuracy).collect();
            accuracies.map(mean)
        };
        Self {
            name: name.to_owned(),
            train_loss: by_start().map(|runs| mean_loss(runs.iter().map(train))).collect(),
            train_loss_by_seed: by_start().map(|runs| runs.iter().map(train).collect()).collect(),
            test_loss: by_start().map(|runs| mean(runs.iter().map(|run| run.scores.test.loss))).collect(),
            test_accuracy: by_start().map(accuracy).collect(),
            rollbacks: by_start().map(|runs| runs.iter().map(|run| run.rollbacks).sum()).collect(),
        }
    }
}
