//! `qgd demo`, for newcomers: one net on real digits, from two hopeless learning rates, alone and wrapped.

use super::arguments;
use super::chart_file::ChartFile;
use super::console::is_colored;
use super::decider::Decider;
use super::failure::Failure;
use super::grid::{Cell, Finished, Grid, mean_loss};
use super::outputs::{Files, Results};
use super::setting::{self, Machine};
use anyhow::{Context, anyhow};
use qgd::report::{Align, Axis, Chart, Color, Line, PAGE_WIDTH, Table, number, plot, svg};
use qgd::schedule::Schedule;
use qgd::statistics::{geometric_mean, mean};
use qgd::task::TaskSpec;
use std::io;
use std::path::{Path, PathBuf};

/// Learning rates far too low and far too high for Adam, for which 1e-3 to 1e-2 are good here.
const HOPELESS: [f64; 2] = [1e-5, 1.0];
/// Learning rates that the reference is tuned over, by the loss on the validation split, as one would.
const TUNING: [f64; 6] = [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1];
/// Where the picture goes if nobody says where.
const PICTURE: &str = "demo.svg";
/// Title of the picture.
const TITLE: &str = "A learning rate that finds its own way";
const SEEDS: u64 = 5;
/// Decay of the exponential moving average of batch losses in the picture: single ones are too noisy to show anything.
const SMOOTHING: f64 = 0.9;

/// Train one net on real digits from two hopeless learning rates: alone, and wrapped
///
/// Compared with a cosine schedule whose learning rate was tuned. Everything ends in a table and a picture. The learning
/// rate that was found is the one when the cooldown began: from there on it falls to zero by plan.
#[derive(clap::Args)]
pub struct DemoArgs {
    /// Another task than the digits: a file, or one that comes with qgd, by name
    #[arg(long, value_name = "TASK", default_value = "demo")]
    task: PathBuf,
    /// The controller to show
    #[arg(long, value_name = "NAME|FILE", default_value = "lr")]
    controller: String,
    /// Where the picture goes, as SVG or PNG: the ending decides [default: demo.svg, which replaces that of an earlier demo
    /// alone]
    #[arg(long, visible_alias = "svg", value_name = "OUT.svg|OUT.png", value_parser = ChartFile::parser())]
    chart: Option<ChartFile>,
    #[command(flatten)]
    machine: Machine,
    /// Runs at the same time, each on one thread [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<u16>::new().range(1..=1024), help_heading = "Machine")]
    jobs: Option<u16>,
}

/// One row of the table and one line of the picture: the runs of all seeds from one start.
struct Row<'a> {
    name: String,
    color: Color,
    runs: &'a [Finished],
    /// Number of the step at which the learning rate has been found.
    finds_at: Option<u64>,
}

impl DemoArgs {
    pub fn run(&self) -> Result<(), Failure> {
        let task = setting::task(&self.task)?;
        let [alone, wrapped] = [Decider::Schedule(Schedule::Constant), Decider::controller(&self.controller)?];
        let cosine = Decider::Schedule(Schedule::Cosine);
        let mut files = Files::default();
        files.reads_task(&task, self.machine.data_dir.as_deref())?;
        files.reads_controller(&self.controller);
        files.writes("--chart", Some(self.chart()))?;
        self.check_default()?;
        let n_jobs = arguments::jobs(self.jobs);
        let grid = Grid::new(&task, &self.machine, &(0..SEEDS).collect::<Vec<_>>(), n_jobs, 0)?;
        if !grid.has_validation() {
            return Err(Failure::BadInput(anyhow!("`data.split` leaves no validation examples to tune by")));
        }
        let weight_decay = task.train.weight_decay;
        let of = |decider, lrs: &[f64]| -> Vec<Cell<'_>> {
            lrs.iter().flat_map(|&lr| (0..SEEDS).map(move |seed| Cell { decider, lr, weight_decay, seed })).collect()
        };
        let cells = [of(&alone, &HOPELESS), of(&wrapped, &HOPELESS), of(&cosine, &TUNING)].concat();
        grid.check(&cells)?;
        note!("{}", self.introduction(&task));
        let results = grid.run(&cells, n_jobs)?;
        let rows = rows(&results, &wrapped, task.train.steps);
        self.show(&task, &rows)
    }

    /// Where the picture goes.
    fn chart(&self) -> &Path {
        self.chart.as_ref().map_or(Path::new(PICTURE), ChartFile::path)
    }

    /// Refuses to replace a file that nobody has named, unless an earlier demo has drawn it.
    fn check_default(&self) -> Result<(), Failure> {
        if self.chart.is_some() || !Path::new(PICTURE).exists() {
            return Ok(());
        }
        let there = std::fs::read(PICTURE).with_context(|| format!("cannot read {PICTURE}"))?;
        if !String::from_utf8_lossy(&there).contains(TITLE) {
            return Err(Failure::BadInput(anyhow!(
                "{PICTURE} is there already, and no picture of `qgd demo`; --chart FILE draws into another file, or into this one"
            )));
        }
        note!("The picture of an earlier demo, {PICTURE}, will be replaced.");
        Ok(())
    }

    fn introduction(&self, task: &TaskSpec) -> String {
        let train = &task.train;
        let [low, high] = HOPELESS.map(number);
        format!(
            "One net, the task '{}', {} steps of {}, {SEEDS} seeds. The learning rate starts at {low} or at {high}:\n\
             both hopeless. Alone it stays there. With qgd a small pretrained Q-network moves it. The reference is a\n\
             cosine schedule, its learning rate tuned over {} values on the validation split.\n",
            task.name(),
            train.steps,
            train.optimizer.name(),
            TUNING.len(),
        )
    }

    fn show(&self, task: &TaskSpec, rows: &[Row<'_>]) -> Result<(), Failure> {
        let colored = is_colored(&io::stdout());
        let charts = [losses(rows), lrs(rows)];
        let train = &task.train;
        let about = format!(
            "task '{}', {} steps of {}, geometric mean of {SEEDS} seeds",
            task.name(),
            train.steps,
            train.optimizer.name()
        );
        let picture = svg(TITLE, &about, &charts);
        let mut results = Results::default();
        results.write(Some(self.chart()), || match &self.chart {
            Some(file) => file.contents(picture),
            None => Ok(picture.into()),
        });
        say!("{}", plot(&charts[0], 72, 18, colored));
        let colors = std::iter::once(None).chain(rows.iter().map(|row| Some(row.color)));
        for (line, color) in table(rows).lines().iter().zip(colors) {
            say!("{}", color.map_or(line.clone(), |color| color.paint(line, colored)));
        }
        results.tell(self.notes())
    }

    fn notes(&self) -> String {
        format!(
            "\nLosses are over the whole split after the last step; they and the learning rates (lr) are geometric\n\
             means over {SEEDS} seeds. lr found: where it was when the cooldown began, which takes it to zero by plan.\n\
             Tuned cosine: the best of {} starts on the validation split.\n\
             The picture, with the learning rates beside the losses: {}\n\
             Next: `qgd init TABLE.csv` for a table of yours; README.md has three lines for your own program.",
            TUNING.len(),
            self.chart().display()
        )
    }
}

/// Rows in the order in which they are listed. Of the runs that tune the reference, only those from the best start are
/// shown.
fn rows<'a>(results: &'a [Finished], wrapped: &Decider, steps: u64) -> Vec<Row<'a>> {
    let by_start: Vec<&[Finished]> = results.chunks(SEEDS as usize).collect();
    let (shown, tuning) = by_start.split_at(2 * HOPELESS.len());
    let (alone, with_qgd) = shown.split_at(HOPELESS.len());
    let score = |runs: &[Finished]| mean_loss(runs.iter().map(|run| run.scores.validation.loss));
    let tuned = tuning.iter().zip(TUNING).min_by(|a, b| score(a.0).total_cmp(&score(b.0)));
    let pair = |name: &str, color: Color, all: &[&'a [Finished]], finds_at| {
        let lines = [(0, color.lighter()), (1, color)];
        lines.map(|(i, color)| Row {
            name: format!("{name}, from {}", number(HOPELESS[i])),
            color,
            runs: all[i],
            finds_at,
        })
    };
    let [blue, gray, red] = [wrapped.name(), "cosine", "constant"].map(Color::of_method);
    let mut rows = Vec::from(pair("with qgd", blue, with_qgd, wrapped.finds_at(steps)));
    rows.extend(tuned.map(|(runs, lr)| {
        let name = format!("tuned cosine, from {}", number(lr));
        Row { name, color: gray, runs, finds_at: None }
    }));
    rows.extend(pair("alone", red, alone, None));
    rows
}

fn table(rows: &[Row<'_>]) -> Table {
    use Align::{Left, Right};
    let columns = [
        ("", Left),
        ("lr found", Right),
        ("at the end", Right),
        ("train loss", Right),
        ("test loss", Right),
        ("test accuracy", Right),
    ];
    let mut table = Table::new(&columns).with_max_width(PAGE_WIDTH);
    for row in rows {
        let scores = || row.runs.iter().map(|run| run.scores);
        let accuracies: Option<Vec<f64>> = scores().map(|scores| scores.test.accuracy).collect();
        table.row([
            row.name.clone(),
            row.finds_at.map_or("-".to_owned(), |step| number(row.lr_after(step as usize))),
            number(row.lr_after(usize::MAX)),
            number(mean_loss(scores().map(|scores| scores.train.loss))),
            number(mean_loss(scores().map(|scores| scores.test.loss))),
            accuracies.map_or("-".to_owned(), |all| format!("{:.1} %", 100.0 * mean(all))),
        ]);
    }
    table
}

impl Row<'_> {
    /// Learning rate at this step, counted from 1, or at the last one.
    fn lr_after(&self, step: usize) -> f64 {
        geometric_mean(
            self.runs.iter().filter_map(|run| run.lrs.get(step.min(run.lrs.len()).saturating_sub(1))).copied(),
        )
    }

    /// The line of these values, which go along the steps.
    fn line(&self, values: impl Fn(&Finished) -> Vec<f64>) -> Line {
        let by_seed: Vec<Vec<f64>> = self.runs.iter().map(values).collect();
        let n_steps = by_seed.iter().map(Vec::len).min().unwrap_or(0);
        let places = (0..n_steps).map(|i| {
            let seeds: Vec<f64> = by_seed.iter().map(|values| values[i]).collect();
            ((i + 1) as f64, geometric_mean(seeds.iter().copied()), seeds)
        });
        Line::over_seeds(&self.name, self.color, places)
    }
}

fn steps(rows: &[Row<'_>]) -> Axis {
    let last = rows.iter().flat_map(|row| row.runs).map(|run| run.losses.len()).max().unwrap_or(0);
    Axis::linear("step").with_bounds([0.0, last as f64])
}

fn losses(rows: &[Row<'_>]) -> Chart {
    let lines = rows.iter().map(|row| row.line(|run| smoothed(&run.losses))).collect();
    Chart { title: "Training loss, smoothed".into(), x: steps(rows), y: Axis::log("training loss"), lines }
}

fn lrs(rows: &[Row<'_>]) -> Chart {
    let lines = rows.iter().map(|row| row.line(|run| run.lrs.clone())).collect();
    let y = Axis::log("learning rate").with_bounds([1e-5, 1.0]);
    Chart { title: "Learning rate".into(), x: steps(rows), y, lines }
}

fn smoothed(losses: &[f64]) -> Vec<f64> {
    let mut average = None;
    let ema = |loss: &f64| *average.insert(average.map_or(*loss, |ema| SMOOTHING * ema + (1.0 - SMOOTHING) * loss));
    losses.iter().map(ema).collect()
}
