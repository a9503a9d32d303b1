//! The command line: one file a subcommand.

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
    MetaTrain(meta_train::MetaTrainArgs),
}

impl Cli {
    /// Runs the subcommand.
    pub fn run(&self) -> anyhow::Result<()> {
        match &self.command {
            Command::MetaTrain(args) => meta_train::run(args),
        }
    }
}
