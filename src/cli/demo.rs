//! `qgd demo`, for newcomers: one net on real digits, from two hopeless learning rates, alone and wrapped.

use super::console::is_colored;
use super::decider::Decider;
use super::failure::Failure;
use super::grid::{Cell, Finished, Grid, mean_loss};
use super::outputs::{Files, Results};
use super::setting::{self, Machine};
use anyhow::anyhow;
use qgd::report::{Align, Axis, Chart, Color, Line, Table, number, plot, svg};
use qgd::schedule::Schedule;
use qgd::statistics::mean;
use qgd::task::TaskSpec;
use std::io;
use std::path::PathBuf;

/// Learning rates far too low and far too high for Adam, for which 1e-3 to 1e-2 are good here.
const HOPELESS: [f64; 2] = [1e-5, 1.0];
/// Learning rates that the reference is tuned over, by the loss on the validation split: the training loss of digits
/// prefers ever larger rates.
const TUNING: [f64; 6] = [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1];
const SEEDS: u64 = 5;
/// Decay of the exponential moving average of batch losses in the picture: single ones are too noisy to show anything.
const SMOOTHING: f64 = 0.9;

/// Train one net on real digits from two hopeless learning rates: alone, and wrapped
///
/// Compared with a cosine schedule whose learning rate was tuned. Everything ends in a table and a picture.
#[derive(clap::Args)]
pub struct DemoArgs {
    /// Another task than the digits
    #[arg(long, value_name = "TASK.toml", default_value = "examples/tasks/digits.toml")]
    task: PathBuf,
    /// The controller to show
    #[arg(long, value_name = "NAME|FILE", default_value = "lr")]
    controller: String,
    /// Where the picture goes
    #[arg(long, value_name = "OUT.svg", default_value = "demo.svg")]
    svg: PathBuf,
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
    dashed: bool,
    lr: f64,
    runs: &'a [Finished],
}

impl DemoArgs {
    pub fn run(&self) -> Result<(), Failure> {
        if !self.task.exists() {
            let task = self.task.display();
            return Err(Failure::BadInput(anyhow!(
                "there is no {task}; run the demo where qgd was cloned, or name a --task"
            )));
        }
        let task = TaskSpec::load(&self.task).map_err(Failure::bad_input)?;
        let [alone, wrapped] = [Decider::Schedule(Schedule::Constant), Decider::controller(&self.controller)?];
        let cosine = Decider::Schedule(Schedule::Cosine);
        let mut files = Files::default();
        files.reads_task(&task, self.machine.data_dir.as_deref())?;
        files.reads_controller(&self.controller);
        files.writes("--svg", Some(&self.svg))?;
        let grid = Grid::new(&task, &self.machine, 0..SEEDS)?;
        let weight_decay = task.train.weight_decay;
        let of = |decider, lrs: &[f64]| -> Vec<Cell<'_>> {
            lrs.iter().flat_map(|&lr| (0..SEEDS).map(move |seed| Cell { decider, lr, weight_decay, seed })).collect()
        };
        let cells = [of(&alone, &HOPELESS), of(&wrapped, &HOPELESS), of(&cosine, &TUNING)].concat();
        grid.check(&cells)?;
        note!("{}", self.introduction(&task));
        let results = grid.run(&cells, setting::jobs(self.jobs))?;
        let rows = rows(&results);
        self.show(&task, &rows)
    }

    fn introduction(&self, task: &TaskSpec) -> String {
        let train = &task.train;
        let [low, high] = HOPELESS.map(number);
        format!(
            "One net, the task '{}', {} steps of {}, {SEEDS} seeds. The learning rate starts at {low} or at {high}: both hopeless.\n\
             Alone it stays there. With qgd a small pretrained Q-network moves it. The reference is a cosine schedule,\n\
             its learning rate tuned over {} values on the validation split.\n",
            task.name(),
            train.steps,
            train.optimizer.name(),
            TUNING.len(),
        )
    }

    fn show(&self, task: &TaskSpec, rows: &[Row<'_>]) -> Result<(), Failure> {
        let colored = is_colored(&io::stdout());
        let charts = [losses(rows), lrs(rows)];
        let about =
            format!("task '{}', {} steps of {}, seed 0", task.name(), task.train.steps, task.train.optimizer.name());
        let picture = svg("A learning rate that finds its own way", &about, &charts);
        let mut results = Results::default();
        results.write(Some(&self.svg), || Ok(picture.into()));
        say!("{}", plot(&charts[0], 72, 18, colored));
        let colors = std::iter::once(None).chain(rows.iter().map(|row| Some(row.color)));
        for (line, color) in table(rows).lines().iter().zip(colors) {
            say!("{}", color.map_or(line.clone(), |color| color.paint(line, colored)));
        }
        say!("\nLosses are geometric means over {SEEDS} seeds, over the whole split, after the last step.");
        say!("The picture, with the learning rates beside the losses: {}", self.svg.display());
        results.tell(
            "Next: the three lines for your own program are in README.md; `qgd compare --help` tries it on your own data.",
        )
    }
}

/// Rows in the order in which they are drawn and listed. Of the runs that tune the reference, only those from the best
/// start are shown.
fn rows(results: &[Finished]) -> Vec<Row<'_>> {
    let by_start: Vec<&[Finished]> = results.chunks(SEEDS as usize).collect();
    let (shown, tuning) = by_start.split_at(2 * HOPELESS.len());
    let score = |runs: &[Finished]| mean_loss(runs.iter().map(|run| run.scores.validation.loss));
    let tuned = tuning.iter().zip(TUNING).min_by(|a, b| score(a.0).total_cmp(&score(b.0)));
    let row = |name: &str, color, i: usize| {
        let lr = HOPELESS[i % HOPELESS.len()];
        Row {
            name: format!("{name}, from {}", number(lr)),
            color,
            dashed: i.is_multiple_of(HOPELESS.len()),
            lr,
            runs: shown[i],
        }
    };
    let mut rows: Vec<Row<'_>> = tuned
        .map(|(runs, lr)| Row { name: "tuned cosine".to_owned(), color: Color::GRAY, dashed: false, lr, runs })
        .into_iter()
        .collect();
    rows.extend([row("alone", Color::LIGHT_RED, 0), row("alone", Color::RED, 1)]);
    rows.extend([row("with qgd", Color::LIGHT_BLUE, 2), row("with qgd", Color::BLUE, 3)]);
    rows
}

fn table(rows: &[Row<'_>]) -> Table {
    use Align::{Left, Right};
    let mut table =
        Table::new(&[("", Left), ("lr", Right), ("train loss", Right), ("test loss", Right), ("test accuracy", Right)]);
    for row in rows {
        let scores = || row.runs.iter().map(|run| run.scores);
        let accuracies: Option<Vec<f64>> = scores().map(|scores| scores.test.accuracy).collect();
        table.row([
            row.name.clone(),
            row.lrs_in_words(),
            number(mean_loss(scores().map(|scores| scores.train.loss))),
            number(mean_loss(scores().map(|scores| scores.test.loss))),
            accuracies.map_or("-".to_owned(), |all| format!("{:.1} %", 100.0 * mean(all))),
        ]);
    }
    table
}

impl Row<'_> {
    fn lrs_in_words(&self) -> String {
        let last = self.runs.first().and_then(|run| run.lrs.last()).copied().unwrap_or(self.lr);
        if last.to_bits() == self.lr.to_bits() {
            number(self.lr)
        } else {
            format!("{} → {}", number(self.lr), number(last))
        }
    }

    fn line(&self, values: impl Fn(&Finished) -> Vec<f64>) -> Line {
        let points = self.runs.first().map(values).unwrap_or_default();
        let points = points.into_iter().zip(1u32..).map(|(value, step)| (f64::from(step), value)).collect();
        let line = Line::new(&self.name, self.color, points);
        if self.dashed { line.dashed() } else { line }
    }
}

fn steps(rows: &[Row<'_>]) -> Axis {
    let last = rows.iter().flat_map(|row| row.runs).map(|run| run.losses.len()).max().unwrap_or(0);
    Axis::linear("step").with_bounds([0.0, last as f64])
}

fn losses(rows: &[Row<'_>]) -> Chart {
    let lines = rows.iter().map(|row| row.line(|run| smoothed(&run.losses))).collect();
    Chart { title: "training loss, smoothed".into(), x: steps(rows), y: Axis::log("training loss, smoothed"), lines }
}

fn lrs(rows: &[Row<'_>]) -> Chart {
    let lines = rows.iter().map(|row| row.line(|run| run.lrs.clone())).collect();
    let y = Axis::log("learning rate").with_bounds([1e-5, 1.0]);
    Chart { title: "learning rate".into(), x: steps(rows), y, lines }
}

fn smoothed(losses: &[f64]) -> Vec<f64> {
    let mut average = None;
    let ema = |loss: &f64| *average.insert(average.map_or(*loss, |ema| SMOOTHING * ema + (1.0 - SMOOTHING) * loss));
    losses.iter().map(ema).collect()
}
