//! The hidden command with which a worker starts a program: it asks the kernel to be killed when the worker dies, and
//! becomes that program.

use crate::cli::failure::Failure;
use anyhow::anyhow;
use clap::Args;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Name of the hidden subcommand.
pub const NAME: &str = "on-leash";

#[derive(Debug, Args)]
pub struct LeashArgs {
    /// Process id of the worker.
    worker: u32,
    /// Program and arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

impl LeashArgs {
    /// Returns only where something is wrong.
    pub fn run(&self) -> Result<(), Failure> {
        hold(self.worker)?;
        let (program, arguments) = self.command.split_first().ok_or_else(|| anyhow!("there is no command"))?;
        let error = Command::new(program).args(arguments).exec();
        Err(Failure::Failed(anyhow!("cannot run {program}: {error}")))
    }
}

#[cfg(target_os = "linux")]
fn hold(worker: u32) -> Result<(), Failure> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The worker may have died before the kernel was asked.
    let lives = getppid().is_some_and(|parent| parent.as_raw_nonzero().get().unsigned_abs() == worker);
    if lives { Ok(()) } else { Err(Failure::Failed(anyhow!("the worker {worker} is gone"))) }
}

#[cfg(not(target_os = "linux"))]
fn hold(_worker: u32) -> Result<(), Failure> {
    Ok(())
}
