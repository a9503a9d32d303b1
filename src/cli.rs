//! The command line: one file a subcommand.

pub mod inspect;
pub mod meta_train;

use clap::{Parser, Subcommand};

/// Training that tunes itself.
#[derive(Debug, Parser)]
#[command(name = "qgd", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(inspect::InspectArgs),
    MetaTrain(meta_train::MetaTrainArgs),
}

impl Cli {
    /// Runs the subcommand.
    pub fn run(&self) -> anyhow::Result<()> {
        match &self.command {
            Command::Inspect(args) => inspect::run(args),
            Command::MetaTrain(args) => meta_train::run(args),
        }
    }
}

/// A shipped controller by name, or a pretrained file by path.
///
/// # Errors
/// When it is neither.
pub fn open_controller(name_or_file: &str) -> Result<qgd::Controller, qgd::controller::PretrainedError> {
    let is_file = std::path::Path::new(name_or_file).exists() || name_or_file.contains(['/', '.']);
    if is_file { qgd::Controller::load(name_or_file) } else { qgd::Controller::pretrained(name_or_file) }
}
