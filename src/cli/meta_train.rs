//! `qgd meta-train`: from a recipe to a pretrained controller.

mod events;
mod outlook;
mod tables;

use super::arguments;
use super::ending;
use super::failure::Failure;
use super::lock::Lock;
use super::outputs::Files;
use super::tensorboard;
use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use events::About;
use outlook::Tuning;
use qgd::meta::{Engine, MetaTraining, RoundReport, TrainingRecipe, Workload};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Train a controller from a recipe.
///
/// Draws thousands of small random training problems, lets a Q-network move their learning rates, and keeps the network
/// that does best on validation problems of its own. The output is written whenever there is a better network. A
/// checkpoint is written after every round beside it (FILE.checkpoint); a run that was killed goes on with --resume and
/// ends in the same bytes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  qgd meta-train lr-single -o my-lr.qgd --seed 1 --log my-lr.jsonl
  qgd meta-train lr-single -o my-lr.qgd --tensorboard tb    # then: tensorboard --logdir tb
  qgd meta-train big-rounds.toml -o my-lr.qgd --device cuda    # a GPU wants thousands of episodes_per_round")]
pub struct MetaTrainArgs {
    /// The recipe: a file (`qgd help recipe`), or one that comes with qgd, by name (`qgd list recipes`).
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// Where the pretrained file goes.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Seed of tasks, initial network and exploration.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads for the rollouts. The result of the kernel does not depend on it.
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<u16>::new().range(1..=1024))]
    threads: Option<u16>,
    /// Folder of the tables that the recipe names, each as NAME.csv or NAME.csv.gz
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Go on from FILE.checkpoint if it exists.
    #[arg(long)]
    resume: bool,
    /// Append one JSON line for each round to this file.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Write event files for TensorBoard into a folder below this one, named as the output: of every round the return, the
    /// loss and size of Q, the shares of the actions; the validations.
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    /// What the nets of the tasks are trained on: cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu", value_name = "DEVICE", value_parser = device)]
    device: Place,
    /// What trains them. [default: kernel on cpu, tch on cuda]
    ///
    /// Both draw the same tasks and batches, but round differently: go on with the engine that a run was begun with.
    #[arg(long, value_name = "ENGINE")]
    engine: Option<EngineName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EngineName {
    /// Plain Rust, one net on each thread: the fastest on a CPU
    Kernel,
    /// Many nets at once in tch: for a GPU
    Tch,
}

/// Device on which nets are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Cpu,
    Cuda(usize),
}

fn device(name: &str) -> Result<Place, String> {
    let index = match name {
        "cpu" => return Ok(Place::Cpu),
        "cuda" => Some(0),
        _ => name.strip_prefix("cuda:").and_then(|index| index.parse().ok()),
    };
    index.map(Place::Cuda).ok_or_else(|| "must be cpu, cuda or cuda:N".to_owned())
}

impl MetaTrainArgs {
    /// The engine, and its name in the log.
    fn engine(&self) -> Result<(Engine, String), Failure> {
        let bad = |reason: &str| Err(Failure::BadInput(anyhow!("{reason}")));
        let n_threads = arguments::jobs(self.threads);
        let on_cpu = self.device == Place::Cpu;
        match self.engine.unwrap_or(if on_cpu { EngineName::Kernel } else { EngineName::Tch }) {
            EngineName::Kernel if on_cpu => Ok((n_threads.into(), "kernel".to_owned())),
            EngineName::Kernel => {
                bad("--engine kernel runs on the CPU alone: leave out --device cuda, or use --engine tch")
            }
            EngineName::Tch => tch_engine(self.device, n_threads),
        }
    }
}

#[cfg(feature = "torch")]
fn tch_engine(place: Place, n_threads: usize) -> Result<(Engine, String), Failure> {
    let (device, name) = match place {
        Place::Cpu => (tch::Device::Cpu, "tch on cpu".to_owned()),
        Place::Cuda(index) => (super::setting::cuda(index)?, format!("tch on cuda:{index}")),
    };
    tch::set_num_threads(i32::try_from(n_threads).unwrap_or(i32::MAX));
    Ok((Engine::Tch { device, n_threads }, name))
}

#[cfg(not(feature = "torch"))]
fn tch_engine(_: Place, _: usize) -> Result<(Engine, String), Failure> {
    Err(Failure::BadInput(anyhow!(
        "--engine tch and --device cuda: this qgd was built without libtorch; build it with the default features"
    )))
}

/// Line of the log for one round.
#[derive(Serialize)]
struct LogLine<'a> {
    engine: &'a str,
    #[serde(flatten)]
    report: &'a RoundReport,
}

/// Runs the command.
pub fn run(args: &MetaTrainArgs) -> Result<(), Failure> {
    let (engine, name) = args.engine()?;
    let mut recipe = TrainingRecipe::load(&args.recipe).map_err(Failure::bad_input)?;
    let tasks = &mut recipe.training.tasks;
    tasks.data = tables::read(&tasks.tables, args.data_dir.as_deref())?;
    engine.check(&recipe).map_err(|error| Failure::of(error.into()))?;
    let [checkpoint, lock] = ["checkpoint", "lock"].map(|what| beside(&args.output, what));
    let mut files = Files::default();
    files.reads("the recipe", &args.recipe);
    files.writes("--output", Some(&args.output))?;
    files.writes("--output (its checkpoint)", Some(&checkpoint))?;
    files.writes("--log", args.log.as_deref())?;
    tensorboard::check(&mut files, args.tensorboard.as_deref())?;
    let (n_kept, n_rounds) = (AtomicU32::new(0), Workload::of(&recipe).n_rounds());
    let kept = || in_words(&checkpoint, n_kept.load(Ordering::Relaxed), n_rounds);
    let work = || {
        let _lock = Lock::hold(&lock, &format!("--output {}", args.output.display()))?;
        train(args, recipe, engine, &name, &checkpoint, &n_kept).map_err(Failure::of)
    };
    ending::by_signal(kept, work)?
}

/// What an interrupted meta-training leaves, and how to go on.
fn in_words(checkpoint: &Path, n_kept: u32, n_rounds: u32) -> String {
    let name = checkpoint.display();
    match n_kept {
        0 if checkpoint.exists() => format!("{name} is as it was; the same line with --resume goes on from there"),
        0 => "nothing is kept, for no round was done; the same line begins anew".to_owned(),
        _ => format!("{name} has {n_kept} of {n_rounds} rounds; the same line with --resume goes on"),
    }
}

fn train(
    args: &MetaTrainArgs,
    recipe: TrainingRecipe,
    engine: Engine,
    engine_name: &str,
    checkpoint: &Path,
    n_kept: &AtomicU32,
) -> Result<()> {
    let mut log = args.log.as_deref().map(open_log).transpose()?;
    let (seed, threads) = (args.seed, engine.n_threads());
    let (name, hash) = (&recipe.controller.name, recipe.whole().hash());
    note!("meta-training {name} (recipe {hash}, seed {seed}, {engine_name}, {threads} threads)");
    let about = |dir: &PathBuf| About::new(dir, &args.output, &recipe, seed, engine_name);
    let about = args.tensorboard.as_ref().map(about);
    let tuning = Tuning::begin(Workload::of(&recipe));
    let on_net = || tuning.count();
    let mut training = if args.resume && checkpoint.exists() {
        MetaTraining::resume_telling(checkpoint, recipe, seed, engine, &on_net)?
    } else {
        MetaTraining::new_telling(recipe, seed, engine, &on_net)?
    };
    n_kept.store(training.rounds_done(), Ordering::Relaxed);
    let mut outlook = tuning.rounds_from(training.rounds_done());
    let events = about.map(|about| about.begin(training.rounds_done())).transpose()?;
    while !training.is_finished() {
        let report = training.round()?;
        // Before the checkpoint: a round that is done again voids what was said of it.
        if let Some(events) = &events {
            events.round(&report);
        }
        training.checkpoint(checkpoint)?;
        n_kept.store(training.rounds_done(), Ordering::Relaxed);
        if report.is_best {
            training.finish()?.save(&args.output)?;
        }
        outlook.show(&report);
        if let Some(file) = &mut log {
            let mut line = serde_json::to_vec(&LogLine { engine: engine_name, report: &report })?;
            line.push(b'\n');
            if let Err(error) = file.write_all(&line) {
                note!("cannot write the log: {error}; the training goes on without it");
                log = None;
            }
        }
    }
    outlook.finish();
    training.finish()?.save(&args.output)?;
    std::fs::remove_file(checkpoint).with_context(|| format!("cannot remove {}", checkpoint.display()))?;
    note!("wrote {}", args.output.display());
    events.map_or(Ok(()), |events| events.end(training.n_rounds()))
}

/// `FILE.checkpoint` or `FILE.lock`; a checksum stands for a name of FILE that leaves no room for more.
fn beside(output: &Path, what: &str) -> PathBuf {
    const ROOM: usize = 240;
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let short =
        if name.len() <= ROOM { name.into_owned() } else { format!("{:08x}", crc32fast::hash(name.as_bytes())) };
    output.with_file_name(format!("{short}.{what}"))
}

fn open_log(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("cannot write the log {}", path.display()))
}
