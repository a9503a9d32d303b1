//! The command line: a file for each subcommand, named like it (`worker` is in `tune`, the hidden `on-leash` in
//! `tune/leash`), and the files that subcommands share. The only module that prints, and the only one that uses
//! `anyhow`.
//!
//! Exit codes: 0 fine, 1 failed, 2 bad usage or bad input (then nothing has been written), 128 + n ended by signal n.

#[macro_use]
mod console;
mod arguments;
mod ask_tell;
mod ending;
mod exit;
mod export;
mod failure;
mod help;
mod inspect;
mod interrupt;
mod list;
mod lock;
mod merge;
mod meta_train;
mod outputs;
mod progress;
mod report;
mod screen;
mod storage;
mod study;
mod tensorboard;
mod thinning;
mod trials;
mod tune;

#[cfg(feature = "torch")]
mod chart_file;
#[cfg(feature = "torch")]
mod compare;
#[cfg(feature = "torch")]
mod data;
#[cfg(feature = "torch")]
mod decider;
#[cfg(feature = "torch")]
mod demo;
#[cfg(feature = "torch")]
mod evaluate;
#[cfg(feature = "torch")]
mod grid;
#[cfg(feature = "torch")]
mod init;
#[cfg(feature = "torch")]
mod keys;
#[cfg(feature = "torch")]
mod lines;
#[cfg(feature = "torch")]
mod pool;
#[cfg(feature = "torch")]
mod predict;
#[cfg(feature = "torch")]
mod reproduce;
#[cfg(feature = "torch")]
mod run;
#[cfg(feature = "torch")]
mod setting;
#[cfg(feature = "torch")]
mod train;
#[cfg(not(feature = "torch"))]
mod without_torch;

use clap::{Parser, Subcommand};
use failure::Failure;
use qgd::words::plain;
use std::io;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Training that tunes itself: a small deep Q-network moves the learning rate while your net trains.
#[derive(Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Keys of the files: qgd help task, qgd help suite, qgd help space, qgd help recipe.\nSet RUST_LOG=qgd=debug to see every decision on stderr.\nExit codes: 0 fine, 1 failed, 2 bad usage or bad input, 130 ended by Ctrl-C."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train one net on real digits from two hopeless learning rates: alone, and wrapped
    #[cfg(feature = "torch")]
    Demo(demo::DemoArgs),
    /// Train the net of a task file
    #[cfg(feature = "torch")]
    Train(train::TrainArgs),
    /// Ask a trained net about new rows
    #[cfg(feature = "torch")]
    Predict(predict::PredictArgs),
    /// Train the net of a task file with several controllers and schedules, from several learning rates
    #[cfg(feature = "torch")]
    Compare(compare::CompareArgs),
    /// Run a controller and its rivals over a suite of tasks, and say who ends where
    #[cfg(feature = "torch")]
    Evaluate(evaluate::EvaluateArgs),
    #[cfg(feature = "torch")]
    Reproduce(reproduce::ReproduceArgs),
    /// Write a task file for a table
    #[cfg(feature = "torch")]
    Init(init::InitArgs),
    /// Say where the data of the tasks are published, fetch them, or check them
    #[cfg(feature = "torch")]
    Data(data::DataArgs),
    List(list::ListArgs),
    Inspect(inspect::InspectArgs),
    Export(export::ExportArgs),
    Report(report::ReportArgs),
    Merge(merge::MergeArgs),
    MetaTrain(meta_train::MetaTrainArgs),
    Tune(tune::TuneArgs),
    Worker(tune::WorkerArgs),
    Study(study::StudyArgs),
    AskTell(ask_tell::AskTellArgs),
    /// What starts the programs of a worker
    #[command(name = tune::leash::NAME, hide = true)]
    OnLeash(tune::leash::LeashArgs),
    /// Not in this program: it was built without libtorch
    #[cfg(not(feature = "torch"))]
    #[command(
        alias = "demo",
        alias = "compare",
        alias = "evaluate",
        alias = "init",
        alias = "data",
        alias = "predict",
        alias = "reproduce"
    )]
    Train(without_torch::WithoutTorch),
}

impl Command {
    fn run(&self) -> Result<(), Failure> {
        match self {
            #[cfg(feature = "torch")]
            Self::Demo(args) => args.run(),
            #[cfg(feature = "torch")]
            Self::Train(args) => args.run(),
            #[cfg(feature = "torch")]
            Self::Predict(args) => args.run(),
            #[cfg(feature = "torch")]
            Self::Compare(args) => args.run(),
            #[cfg(feature = "torch")]
            Self::Evaluate(args) => args.run(),
            #[cfg(feature = "torch")]
            Self::Reproduce(args) => args.run(),
            #[cfg(feature = "torch")]
            Self::Init(args) => args.run(),
            #[cfg(feature = "torch")]
            Self::Data(args) => args.run(),
            Self::List(args) => args.run(),
            Self::Inspect(args) => inspect::run(args).map_err(Failure::of),
            Self::Export(args) => args.run(),
            Self::Report(args) => args.run(),
            Self::Merge(args) => args.run(),
            Self::MetaTrain(args) => meta_train::run(args),
            Self::Tune(args) => args.run(),
            Self::Worker(args) => args.run(),
            Self::Study(args) => args.run(),
            Self::AskTell(args) => args.run(),
            Self::OnLeash(args) => args.run(),
            #[cfg(not(feature = "torch"))]
            Self::Train(args) => args.run(),
        }
    }
}

/// Writes what the library has to say to stderr: what RUST_LOG asks for (`qgd=debug`), or else these targets.
fn tell_events_to_stderr(unless_asked: &str) {
    let asked = std::env::var("RUST_LOG").unwrap_or_default();
    let asked = if asked.is_empty() { unless_asked } else { &asked };
    let (targets, error) = match asked.parse::<Targets>() {
        Ok(targets) => (targets, None),
        Err(error) => (Targets::new().with_default(LevelFilter::WARN), Some(error)),
    };
    let stderr = tracing_subscriber::fmt()
        .with_writer(|| console::Stderr)
        .with_ansi(console::is_colored(&io::stderr()))
        .with_max_level(LevelFilter::TRACE)
        .finish();
    stderr.with(targets).init();
    if let Some(error) = error {
        let asked = plain(asked);
        tracing::warn!(
            "RUST_LOG is `{asked}`, which stands for nothing ({error}); it takes levels (warn) and targets (qgd=debug)"
        );
    }
}

/// Parses the arguments of the program, does what they say, and ends with a code that says how that went.
pub fn main() -> ! {
    exit::now(run())
}

/// The exit code.
fn run() -> u8 {
    if let Some(topic) = help::asked_for(std::env::args_os().skip(1)) {
        say!("{}", topic.in_words().trim_end());
        return 0;
    }
    let cli: Cli = arguments::parsed();
    // The random tasks of a meta-training, and of what measures its outcome, are nobody's net: what a user would be
    // warned of belongs to some of them.
    let quiet = if matches!(cli.command, Command::MetaTrain(_) | Command::Merge(_)) {
        "warn,qgd::driver=error"
    } else {
        "warn"
    };
    tell_events_to_stderr(quiet);
    match cli.command.run() {
        Ok(()) => 0,
        Err(failure) => {
            note!("{failure}");
            failure.exit_code()
        }
    }
}

/// Opens a shipped controller by name, or a pretrained file by path.
///
/// # Errors
/// When it is neither.
pub fn open_controller(name_or_file: &str) -> Result<qgd::Controller, qgd::controller::PretrainedError> {
    let pretrained = qgd::controller::Pretrained::open(name_or_file)?;
    Ok(qgd::Controller::new(std::sync::Arc::new(pretrained)))
}
