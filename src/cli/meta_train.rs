//! `qgd meta-train`: from a recipe to a pretrained controller.

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use qgd::Recipe;
use qgd::meta::{MetaTraining, RoundReport, Stage};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Train a controller from a recipe.
///
/// Draws thousands of small random training problems, lets a Q-network move their learning rates, and keeps the network that does best on
/// validation problems of its own. The output is written whenever there is a better network. A checkpoint is written after every round beside it
/// (FILE.checkpoint); a run that was killed goes on with --resume and ends in the same bytes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  qgd meta-train controllers/lr.toml -o my-lr.qgd --seed 1 --log my-lr.jsonl")]
pub struct MetaTrainArgs {
    /// The recipe, as controllers/lr.toml.
    recipe: PathBuf,
    /// Where the pretrained file goes.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Seed of tasks, initial network and exploration.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads for the rollouts. The result does not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Go on from FILE.checkpoint where it exists.
    #[arg(long)]
    resume: bool,
    /// Append one JSON line a round to this file.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &MetaTrainArgs) -> Result<()> {
    let recipe = Recipe::load(&args.recipe)?;
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let checkpoint = checkpoint_path(&args.output);
    let mut log = args.log.as_deref().map(open_log).transpose()?;
    note!("meta-training {} (recipe {}, seed {}, {threads} threads)", recipe.name, recipe.hash(), args.seed);
    let mut training = if args.resume && checkpoint.exists() {
        MetaTraining::resume(&checkpoint, recipe, args.seed, threads)?
    } else {
        MetaTraining::new(recipe, args.seed, threads)
    };
    let bar = progress_bar(training.n_rounds(), training.rounds_done());
    let start = Instant::now();
    let mut steps_before = None;
    while !training.is_finished() {
        let report = training.round()?;
        training.checkpoint(&checkpoint)?;
        if report.is_best {
            training.finish()?.save(&args.output)?;
        }
        let before = *steps_before.get_or_insert(report.inner_steps);
        show(&bar, &report, (report.inner_steps - before) as f64 / start.elapsed().as_secs_f64());
        if let Some(log) = &mut log {
            serde_json::to_writer(&*log, &report)?;
            writeln!(log)?;
        }
    }
    bar.finish_and_clear();
    training.finish()?.save(&args.output)?;
    std::fs::remove_file(&checkpoint).with_context(|| format!("cannot remove {}", checkpoint.display()))?;
    note!("wrote {}", args.output.display());
    Ok(())
}

fn checkpoint_path(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".checkpoint");
    name.into()
}

fn open_log(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("cannot write the log {}", path.display()))
}

fn progress_bar(rounds: u32, done: u32) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} round {pos}/{len}  ETA {eta}  {msg}");
    let bar = ProgressBar::new(rounds.into()).with_position(done.into());
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// The bar on a terminal; a line for every validation in any case.
fn show(bar: &ProgressBar, report: &RoundReport, rate: f64) {
    bar.set_position(report.round.into());
    let message = format!("{}  {rate:.0} steps/s", described(&report.stage));
    if let Some((score, tuned, worst)) = report.validation {
        let best = if report.is_best { " (best)" } else { "" };
        let line = format!(
            "round {:>4}  {message}  validation {score:+.3}: tuned ratio {tuned:.2}, worst {worst:.2}{best}",
            report.round,
        );
        if bar.is_hidden() { note!("{line}") } else { bar.println(line) }
    }
    bar.set_message(message);
}

fn described(stage: &Stage) -> String {
    match stage {
        Stage::Learning { mean_return, action_shares, q_loss, mean_abs_q } => {
            let shares: Vec<String> = action_shares.iter().map(|s| format!("{:.0}%", 100.0 * s)).collect();
            let shares = shares.join("/");
            format!("return {mean_return:+.2}  actions {shares}  loss {q_loss:.4}  |Q| {mean_abs_q:.2}")
        }
        Stage::Polishing { mean_difference } => format!("polishing: pairs differ by {mean_difference:.3}"),
    }
}
