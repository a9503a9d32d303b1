//! The leash: a process between a worker and its programs. A worker has one of them (its own program again, by a
//! hidden command), however many trials it runs. It starts the programs, and all that they start has it as its last
//! ancestor, on Linux also what left its group or lost its parent. So nothing goes on when a trial is over, and nothing
//! when the worker is gone, be it by `kill -9`.

mod keeper;
mod kin;
mod order;

pub use keeper::MARK;
pub use order::Order;

use crate::cli::failure::Failure;
use anyhow::Context;
use clap::Args;
use keeper::Keeper;
use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Name of the hidden subcommand.
pub const NAME: &str = "on-leash";

/// No arguments: orders come through stdin, which is a socket.
#[derive(Debug, Args)]
pub struct LeashArgs {}

impl LeashArgs {
    /// Returns when the worker is gone.
    pub fn run(&self) -> Result<(), Failure> {
        // Who asks the worker to end sends the same signal to its whole group, or to all processes of a batch job: this
        // one ends when the worker has ended its programs. A handler, unlike an ignored signal, is not inherited.
        for signal in crate::cli::interrupt::SIGNALS {
            signal_hook::flag::register(signal, std::sync::Arc::default())?;
        }
        become_the_parent_of_orphans()?;
        let orders = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Keeper::new(orders)?.run()?)
    }
}

/// Makes this process the parent of all below it whose own parent ends.
#[cfg(target_os = "linux")]
fn become_the_parent_of_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

#[cfg(not(target_os = "linux"))]
fn become_the_parent_of_orphans() -> io::Result<()> {
    Ok(())
}

/// The process that starts programs, as the worker sees it.
pub struct Leash {
    held: Mutex<Held>,
}

struct Held {
    process: Child,
    orders: UnixStream,
    /// Number of processes that were there before it.
    generation: usize,
}

impl Leash {
    pub fn start() -> anyhow::Result<Self> {
        // Should the process between be killed, its programs become children of this one.
        become_the_parent_of_orphans()?;
        Ok(Self { held: Mutex::new(Held::start(0)?) })
    }

    /// Starts a program, whose stderr is `log`.
    pub fn run(&self, order: &Order, log: &File) -> anyhow::Result<Started> {
        let (stdout, far_stdout) = io::pipe()?;
        let (control, far_control) = UnixStream::pair()?;
        let files = [far_stdout.as_fd(), log.as_fd(), far_control.as_fd()];
        let mut held = self.held();
        if order::send(&held.orders, order, files).is_err() {
            held.replace()?;
            order::send(&held.orders, order, files).context("the process that starts programs does not answer")?;
        }
        Ok(Started { stdout, control, generation: held.generation })
    }

    /// Ends what is left of programs that were lost, and sees to it that others can be started.
    pub fn replace(&self, generation: usize) {
        let mut held = self.held();
        // Another trial may have done it already.
        if held.generation == generation {
            held.replace().unwrap_or_else(|error| tracing::warn!("{error:#}"));
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn start(generation: usize) -> anyhow::Result<Self> {
        let (orders, theirs) = UnixStream::pair()?;
        // On Linux the very file that runs, even if another has replaced it meanwhile.
        let program = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? };
        let mut command = Command::new(program);
        // Under a name of its own, and in a group of its own: who ends all workers by name, or by group, leaves the
        // one that cleans up behind them.
        command.arg0("leash").arg(NAME).process_group(0);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
        let process = command.spawn().context("cannot start the process that starts programs")?;
        Ok(Self { process, orders, generation })
    }

    fn replace(&mut self) -> anyhow::Result<()> {
        // Its sockets are closed a moment before it is dead.
        let _ = self.process.kill();
        let _ = self.process.wait();
        kin::end_all(|| {});
        *self = Self::start(self.generation + 1)?;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It ends when it hears that nobody orders any more, and everything below it with it.
        let _ = self.orders.shutdown(std::net::Shutdown::Both);
        let _ = self.process.wait();
    }
}

/// A program that was ordered.
pub struct Started {
    pub stdout: PipeReader,
    pub control: UnixStream,
    /// Which process has started it.
    pub generation: usize,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    Code(i32),
    Signal(i32),
    /// It never began.
    NotBegun(String),
    /// Nobody knows: the process that started it is gone.
    Lost,
}

/// Asks a program to end, and what it started with it. What does not end in time is killed.
pub fn ask_to_end(mut control: &UnixStream) {
    // Where nobody hears it the program is over already.
    let _ = control.write_all(b"e");
}

/// Waits until a program has ended, and tells so; returns when nothing is left of it.
pub fn watch(control: UnixStream, has_ended: impl FnOnce(Ending)) {
    let mut control = BufReader::new(control);
    let mut said = String::new();
    let _ = control.read_line(&mut said);
    let number = |prefix: &str| said.trim().strip_prefix(prefix)?.parse().ok();
    has_ended(match (number("code "), number("signal "), said.trim()) {
        (Some(code), _, _) => Ending::Code(code),
        (_, Some(signal), _) => Ending::Signal(signal),
        (_, _, "") => Ending::Lost,
        (_, _, other) => Ending::NotBegun(other.into()),
    });
    let _ = control.read_line(&mut said);
}
