//! `qgd compare`: controllers and schedules on one task, from the same learning rates or weight decays, with the same
//! seeds and batches.

use super::arguments;
use super::chart_file::ChartFile;
use super::decider::{Decider, shown};
use super::failure::Failure;
use super::grid::{Cell, Finished, Grid, drawn, mean_loss};
use super::outputs::{Files, Results};
use super::setting::{self, Machine, Overrides, in_words};
use anyhow::anyhow;
use qgd::report::{Align, Axis, Chart, Color, Line, PAGE_WIDTH, Table, number, svg};
use qgd::statistics::{DIVERGED_LOSS, mean, median};
use qgd::task::TaskSpec;
use qgd::words::counted;
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  The digits that ship with qgd, from learning rates over five decades:
    qgd compare digits
  More seeds, a controller of your own, and a picture:
    qgd compare digits --methods my.qgd,lr,cosine --seeds 5 --chart digits.png
  Where nets overfit: a controller of the weight decay against fixed ones:
    qgd compare mnist-1000 --methods my-decay.qgd,constant --weight-decays 1e-4,1e-3,1e-2,0.1";

/// Train the net of a task file with several controllers and schedules, from several learning rates or weight decays
///
/// Every method sees the same split, initial weights and batches. Printed are the training losses after the last step
/// (mean over the training split, geometric mean over seeds): from the best start, the median over the starts, and from
/// the worst; then the test accuracy (the loss, in regression) from the same best start, and its median. With --weight-decays it is the validation error (the loss, in regression), mean over seeds. A controller
/// that moves the weight decay is told the loss of the first 512 validation examples at each of its decisions.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// The task: a file (`qgd help task`), or one that comes with qgd, by name (`qgd list tasks`)
    task: PathBuf,
    /// Controllers (pretrained, or files; lr+online: one that goes on learning in every run) and schedules
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
    /// Weight decays to start from instead, all at the task's learning rate
    #[arg(long, value_name = "WDS", value_delimiter = ',', allow_negative_numbers = true, conflicts_with = "starts")]
    weight_decays: Option<Vec<f64>>,
    /// Number of seeds
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    machine: Machine,
    /// Runs at the same time, each on one thread [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<u16>::new().range(1..=1024), help_heading = "Machine")]
    jobs: Option<u16>,
    /// Write all results as JSON
    #[arg(long, value_name = "OUT", help_heading = "Output")]
    json: Option<PathBuf>,
    /// Draw the final loss over the start, as SVG or PNG: the ending decides
    #[arg(long, visible_alias = "svg", value_name = "OUT.svg|OUT.png", value_parser = ChartFile::parser(), help_heading = "Output")]
    chart: Option<ChartFile>,
}

/// Contents of the JSON file.
#[derive(Serialize)]
struct Comparison {
    task: String,
    version: &'static str,
    optimizer: &'static str,
    /// What became of the changes of weight matrices.
    conditioning: String,
    steps: u64,
    seeds: Vec<u64>,
    swept: Swept,
    starts: Vec<f64>,
    methods: Vec<Method>,
}

/// Value in which the runs of a method differ; it decides what they are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Swept {
    /// The learning rate at the start: runs are judged by the training loss.
    Lr,
    /// The weight decay: runs are judged by the validation error.
    WeightDecay,
}

/// One method. All lists go along the starts.
#[derive(Serialize)]
struct Method {
    name: String,
    /// Geometric mean over the seeds.
    train_loss: Vec<f64>,
    /// One list `[seed]` for each start; null for a run that diverged.
    train_loss_by_seed: Vec<Vec<f64>>,
    /// Mean over the seeds.
    validation_loss: Vec<f64>,
    /// Mean over the seeds; null in regression.
    validation_error: Vec<Option<f64>>,
    /// One list `[seed]` for each start.
    validation_error_by_seed: Vec<Vec<Option<f64>>>,
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
        let (swept, starts) = match &self.weight_decays {
            Some(weight_decays) => (Swept::WeightDecay, weight_decays),
            None => (Swept::Lr, &self.starts),
        };
        if deciders.is_empty() || starts.is_empty() {
            return Err(Failure::BadInput(anyhow!("--methods and the starts need at least one value each")));
        }
        for &start in starts {
            let mut started = task.clone();
            (started.train.lr, started.train.weight_decay) = swept.values(&task, start);
            setting::check(&started, &[("train.lr", "--starts"), ("train.weight_decay", "--weight-decays")])?;
        }
        self.check_files(&task)?;
        let seeds: Vec<u64> = (0..self.seeds).map(|i| self.seed.wrapping_add(i)).collect();
        let n_jobs = arguments::jobs(self.jobs).min(deciders.len() * starts.len() * seeds.len());
        let grid = Grid::new(&task, &self.machine, &seeds, n_jobs, 0)?;
        if swept == Swept::WeightDecay && !grid.has_validation() {
            return Err(Failure::BadInput(anyhow!(
                "`data.split` leaves no validation examples to compare weight decays by"
            )));
        }
        let cells: Vec<Cell<'_>> = deciders
            .iter()
            .flat_map(|decider| starts.iter().map(move |&start| (decider, start)))
            .flat_map(|(decider, start)| {
                let (lr, weight_decay) = swept.values(&task, start);
                seeds.iter().map(move |&seed| Cell { decider, lr, weight_decay, seed })
            })
            .collect();
        grid.check(&cells)?;
        let results = grid.run(&cells, n_jobs)?;
        let by_method = results.chunks(starts.len() * seeds.len()).zip(&deciders);
        let methods = by_method.map(|(runs, decider)| Method::of(decider.name(), runs, seeds.len())).collect();
        let version = env!("CARGO_PKG_VERSION");
        let comparison = Comparison {
            task: task.name(),
            version,
            optimizer: task.train.optimizer.name(),
            conditioning: task.train.conditioning.to_string(),
            steps: task.train.steps,
            seeds,
            swept,
            starts: starts.clone(),
            methods,
        };
        let mut results = Results::default();
        results.write(self.json.as_deref(), || Ok(serde_json::to_vec_pretty(&comparison)?));
        if let Some(file) = &self.chart {
            results.write(Some(file.path()), || file.contents(comparison.picture()));
        }
        results.tell(comparison.table().trim_end())
    }

    fn check_files(&self, task: &TaskSpec) -> Result<(), Failure> {
        let mut files = Files::default();
        files.reads_task(task, self.machine.data_dir.as_deref())?;
        self.methods.iter().for_each(|given| files.reads_controller(given));
        files.writes("--json", self.json.as_deref())?;
        files.writes("--chart", self.chart.as_ref().map(ChartFile::path))
    }
}

impl Swept {
    /// Learning rate and weight decay of a run from `start`.
    fn values(self, task: &TaskSpec, start: f64) -> (f64, f64) {
        match self {
            Self::Lr => (start, task.train.weight_decay),
            Self::WeightDecay => (task.train.lr, start),
        }
    }

    /// The numbers that `method` is judged by, one for each start: lower is better.
    fn figures(self, method: &Method) -> Vec<f64> {
        let errors: Option<Vec<f64>> = method.validation_error.iter().copied().collect();
        match self {
            Self::Lr => method.train_loss.clone(),
            Self::WeightDecay => errors.unwrap_or_else(|| method.validation_loss.clone()),
        }
    }

    /// The same for one start: a number for each seed.
    fn figures_by_seed(self, method: &Method, start: usize) -> Vec<f64> {
        let errors: Option<Vec<f64>> = method.validation_error_by_seed[start].iter().copied().collect();
        match self {
            Self::Lr => method.train_loss_by_seed[start].iter().copied().map(drawn).collect(),
            Self::WeightDecay => errors.unwrap_or_else(|| vec![method.validation_loss[start]]),
        }
    }

    /// Names of the figures, of their mean over the seeds, and of the value that is swept.
    fn words(self, is_regression: bool) -> [&'static str; 3] {
        match self {
            Self::Lr => ["training loss", "geometric mean", "learning rate at the start"],
            Self::WeightDecay if is_regression => ["validation loss", "mean", "weight decay at the start"],
            Self::WeightDecay => ["validation error", "mean", "weight decay at the start"],
        }
    }
}

impl Comparison {
    fn is_regression(&self) -> bool {
        self.methods.iter().any(|method| method.test_accuracy.contains(&None))
    }

    fn words(&self) -> [&'static str; 3] {
        self.swept.words(self.is_regression())
    }

    fn table(&self) -> String {
        use Align::{Left, Right};
        let (seeds, n_starts) = (counted(self.seeds.len(), "seed"), self.starts.len());
        let [what, mean, _] = self.words();
        let test = if self.is_regression() { "test loss" } else { "test accuracy" };
        let mut table = Table::new(&[
            ("method", Left),
            ("best start", Right),
            (what, Right),
            ("median", Right),
            ("worst", Right),
            (test, Right),
            ("median", Right),
        ])
        .with_max_width(PAGE_WIDTH);
        for method in &self.methods {
            let figures = self.swept.figures(method);
            let best = (0..n_starts).min_by(|&a, &b| figures[a].total_cmp(&figures[b])).unwrap_or(0);
            let [test_best, test_median] = method.test_in_words(best);
            table.row([
                shown(&method.name),
                number(self.starts[best]),
                number(figures[best]),
                number(median(&figures)),
                number(figures.iter().copied().fold(0.0, f64::max)),
                test_best,
                test_median,
            ]);
        }
        let mut text = format!(
            "{}: {what} after {} steps over {n_starts} starts, {mean} of {seeds};\n\
             {what} and {test} from the best start, and the median over the starts\n\n{table}",
            self.task, self.steps
        );
        if self.conditioning != "none" {
            text += &format!("Conditioning of all methods: {}.\n", self.conditioning);
        }
        if self.methods.iter().any(|method| method.diverged()) {
            text +=
                &format!("A run that diverged, or ended above that, counts as a loss of {}.\n", number(DIVERGED_LOSS));
        }
        text
    }

    fn picture(&self) -> String {
        let line = |method: &Method| {
            let figures = self.swept.figures(method);
            let places = self.starts.iter().zip(figures).enumerate();
            let places = places.map(|(i, (&start, figure))| (start, figure, self.swept.figures_by_seed(method, i)));
            Line::over_seeds(&shown(&method.name), Color::of_method(&method.name), places).marked()
        };
        let lines = self.methods.iter().map(line).collect();
        let [what, mean, along] = self.words();
        let chart = Chart { title: String::new(), x: Axis::log(along), y: Axis::log(what), lines };
        let with = in_words(&self.conditioning);
        let seeds = counted(self.seeds.len(), "seed");
        let about = format!("{what} after {} steps{with}, {mean} of {seeds}", self.steps);
        svg(&self.task, &about, &[chart])
    }
}

impl Method {
    /// Test accuracy, or test loss in regression: from this start, and the median over the starts.
    fn test_in_words(&self, start: usize) -> [String; 2] {
        let accuracies: Option<Vec<f64>> = self.test_accuracy.iter().copied().collect();
        match accuracies {
            Some(all) => [all[start], median(&all)].map(|accuracy| format!("{:.1} %", 100.0 * accuracy)),
            None => [self.test_loss[start], median(&self.test_loss)].map(number),
        }
    }

    fn diverged(&self) -> bool {
        self.train_loss_by_seed.iter().flatten().any(|&loss| drawn(loss).is_infinite())
    }

    /// The method of this name with its `runs`, which go along the starts, and for each start along the seeds.
    fn of(name: &str, runs: &[Finished], n_seeds: usize) -> Self {
        let by_start = || runs.chunks(n_seeds);
        let train = |run: &Finished| run.scores.train.loss;
        let validation_error = |run: &Finished| run.scores.validation.accuracy.map(|accuracy| 1.0 - accuracy);
        let mean_of_each = |runs: &[Finished], value: fn(&Finished) -> Option<f64>| {
            runs.iter().map(value).collect::<Option<Vec<f64>>>().map(mean)
        };
        Self {
            name: name.to_owned(),
            train_loss: by_start().map(|runs| mean_loss(runs.iter().map(train))).collect(),
            train_loss_by_seed: by_start().map(|runs| runs.iter().map(train).collect()).collect(),
            validation_loss: by_start().map(|runs| mean(runs.iter().map(|run| run.scores.validation.loss))).collect(),
            validation_error: by_start().map(|runs| mean_of_each(runs, validation_error)).collect(),
            validation_error_by_seed: by_start().map(|runs| runs.iter().map(validation_error).collect()).collect(),
            test_loss: by_start().map(|runs| mean(runs.iter().map(|run| run.scores.test.loss))).collect(),
            test_accuracy: by_start().map(|runs| mean_of_each(runs, |run| run.scores.test.accuracy)).collect(),
            rollbacks: by_start().map(|runs| runs.iter().map(|run| run.rollbacks).sum()).collect(),
        }
    }
}
