//! One trial as a child process: started, listened to, stopped.

use super::output::{self, Said};
use super::template::Template;
use anyhow::{Context, anyhow};
use qgd::tuner::{ActiveTrial, Outcome};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long a child may take to end itself after SIGTERM, before SIGKILL.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long to go on listening when a child has ended: a process that it started may still hold its stdout.
const ECHO: Duration = Duration::from_millis(500);

/// Interval at which a child that prints nothing is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// Runs trials.
pub struct Runner {
    pub template: Template,
    /// Time after which a trial is stopped and counts as failed.
    pub timeout: Option<Duration>,
    /// Folder for the log of each trial.
    pub logs: PathBuf,
    /// Whether the study can prune.
    pub prunes: bool,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl Runner {
    /// Runs the command with the parameters of a trial to its end.
    pub fn run(&self, trial: &ActiveTrial<'_>) -> Result<Outcome, Error> {
        let log = self.log_of(trial.number());
        let file = File::options().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("cannot write the log {}", log.display()))?;
        let mut child = Running::start(&self.template.fill(trial), trial, file)?;
        let heard = self.listen(&mut child, trial);
        match heard {
            Ok(Heard::End(status, result)) => Ok(judged(status, result).unwrap_or_else(|reason| {
                let log = log.display();
                Outcome::failed(format!("{reason}; see {log}"))
            })),
            Ok(Heard::Pruned) => child.stop().map(|()| Outcome::pruned()),
            Ok(Heard::TooLong(limit)) => {
                child.stop()?;
                Ok(Outcome::failed(format!("it did not end within {} s; see {}", limit.as_secs_f64(), log.display())))
            }
            Err(error) => {
                child.stop()?;
                Err(error)
            }
        }
    }

    fn log_of(&self, number: usize) -> PathBuf {
        self.logs.join(format!("{number:06}.log"))
    }

    fn listen(&self, child: &mut Running, trial: &ActiveTrial<'_>) -> Result<Heard, Error> {
        let (start, mut result, mut ended) = (Instant::now(), None, None::<(ExitStatus, Instant)>);
        loop {
            match child.lines.recv_timeout(GLANCE) {
                Ok(line) => match output::read(&line) {
                    Some(Said::Step(step, value)) => {
                        trial.report(step, value)?;
                        if self.prunes && trial.should_prune()? {
                            return Ok(Heard::Pruned);
                        }
                    }
                    Some(Said::Result(outcome)) => result = Some(outcome),
                    None => {}
                },
                Err(RecvTimeoutError::Disconnected) if ended.is_some() => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(1)),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if ended.is_none() {
                ended = child.process.try_wait()?.map(|status| (status, Instant::now()));
            }
            if let Some((status, since)) = ended
                && (child.has_said_all() || since.elapsed() > ECHO)
            {
                let rest = child.lines.try_iter().filter_map(|line| output::read(&line)).collect::<Vec<_>>();
                for said in rest {
                    match said {
                        Said::Step(step, value) => trial.report(step, value)?,
                        Said::Result(outcome) => result = Some(outcome),
                    }
                }
                return Ok(Heard::End(status, result));
            }
            if let Some(limit) = self.timeout.filter(|limit| ended.is_none() && start.elapsed() >= *limit) {
                return Ok(Heard::TooLong(limit));
            }
        }
    }
}

/// How listening to a child ended.
enum Heard {
    /// It ended by itself.
    End(ExitStatus, Option<Outcome>),
    /// The pruner stops it.
    Pruned,
    /// Its time is over.
    TooLong(Duration),
}

fn judged(status: ExitStatus, result: Option<Outcome>) -> Result<Outcome, String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => result.ok_or_else(|| "it printed no line like {\"value\": 0.5}".to_owned()),
        (Some(code), _) => Err(format!("exit code {code}")),
        (None, signal) => Err(format!("killed by signal {}", signal.unwrap_or_default())),
    }
}

/// A child process, and the lines that it prints.
struct Running {
    process: Child,
    lines: Receiver<String>,
    reader: std::thread::JoinHandle<()>,
}

impl Running {
    fn start(arguments: &[String], trial: &ActiveTrial<'_>, log: File) -> Result<Self, Error> {
        let mut command = leashed(arguments)?;
        command.env("QGD_TRIAL", trial.number().to_string());
        command.env("QGD_PARAMS", serde_json::to_string(trial.params())?);
        for (name, value) in trial.params() {
            let name: String =
                name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
            command.env(format!("QGD_PARAM_{name}"), value.to_string());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.try_clone()?);
        // A group of its own, so that the processes that it starts can be stopped together with it.
        let mut process = command.process_group(0).spawn().context("cannot start the command")?;
        let stdout = process.stdout.take().ok_or_else(|| anyhow!("the command has no stdout"))?;
        let (sender, lines) = mpsc::channel();
        let reader = std::thread::spawn(move || copy(stdout, log, |line| sender.send(line).is_ok()));
        Ok(Self { process, lines, reader })
    }

    /// Whether stdout is closed, and all its lines are in the queue.
    fn has_said_all(&self) -> bool {
        self.reader.is_finished()
    }

    /// Asks the child to end, and kills it where it does not.
    fn stop(&mut self) -> Result<(), Error> {
        let group = Pid::from_child(&self.process);
        // An error means that the group is gone already.
        let _ = kill_process_group(group, Signal::TERM);
        let start = Instant::now();
        while self.process.try_wait()?.is_none() {
            if start.elapsed() > FAREWELL {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = kill_process_group(group, Signal::KILL);
        self.process.wait()?;
        Ok(())
    }
}

/// Copies lines into the log, and hands them on as long as somebody receives them.
fn copy(stdout: impl Read, mut log: File, mut hand_on: impl FnMut(String) -> bool) {
    let (mut stdout, mut line, mut is_wanted) = (BufReader::new(stdout), Vec::new(), true);
    while stdout.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        // A log on a full disk must not stop the trial.
        let _ = log.write_all(&line);
        is_wanted = is_wanted && hand_on(String::from_utf8_lossy(&line).into_owned());
        line.clear();
    }
}

/// The command, which is killed when this process dies.
fn leashed(arguments: &[String]) -> Result<Command, Error> {
    if cfg!(target_os = "linux") {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([super::leash::NAME, &std::process::id().to_string(), "--"]).args(arguments);
        return Ok(command);
    }
    let (program, arguments) = arguments.split_first().ok_or_else(|| anyhow!("there is no command"))?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// Makes the folder for logs.
pub fn make_folder(logs: &PathBuf) -> anyhow::Result<()> {
    fs::create_dir_all(logs).with_context(|| format!("cannot make the folder for logs {}", logs.display()))
}
