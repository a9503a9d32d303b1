//! The process that starts the programs of a worker, and stays as the parent of all that they start: it takes orders
//! from the worker, tells how programs end, and kills everything when the worker is gone.

use super::kin::{self, Kin};
use super::order::{self, Files, Order};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, wait};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take to end after SIGTERM, before SIGKILL.
const FAREWELL: Duration = Duration::from_secs(5);

/// Interval at which programs that are to end are looked at.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// Name of the variable whose value no two programs share that run beside each other.
pub const MARK: &str = "QGD_WORKER";

/// Starts programs and watches over them.
pub struct Keeper {
    orders: UnixStream,
    /// Gets a byte when a child has died.
    deaths: UnixStream,
    programs: Vec<Program>,
    /// Whether this process has no children at all.
    is_childless: bool,
}

/// A program, or what it left over.
struct Program {
    leader: Pid,
    mark: Vec<u8>,
    control: UnixStream,
    is_running: bool,
    /// When it was to end.
    asked: Option<Instant>,
    /// Whether it was told so.
    is_told: bool,
    /// Whether the worker speaks of it no more.
    is_disowned: bool,
}

impl Keeper {
    pub fn new(orders: UnixStream) -> io::Result<Self> {
        let (deaths, bell) = UnixStream::pair()?;
        deaths.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, bell)?;
        Ok(Self { orders, deaths, programs: Vec::new(), is_childless: true })
    }

    /// Returns when the worker is gone, and with it all that its programs started.
    pub fn run(mut self) -> io::Result<()> {
        let served = self.serve();
        let running = self.programs.iter().filter(|program| program.is_running);
        running.for_each(|program| kin::signal_group(program.leader, Signal::KILL));
        kin::end_all(|| self.bury());
        served
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            let (has_orders, spoken) = self.wait()?;
            self.bury();
            spoken.into_iter().for_each(|i| self.programs[i].hear());
            self.end_what_was_asked();
            if has_orders {
                match order::receive(&self.orders) {
                    Ok(Some((order, files))) => self.start(&order, files),
                    // The worker is gone, perhaps in the middle of an order.
                    Ok(None) | Err(_) => return Ok(()),
                }
            }
        }
    }

    /// Waits until something happens. Answers whether an order has come, and which programs are spoken of.
    fn wait(&mut self) -> io::Result<(bool, Vec<usize>)> {
        let is_ending = self.programs.iter().any(|program| program.asked.is_some());
        let heard: Vec<usize> = (0..self.programs.len()).filter(|&i| !self.programs[i].is_disowned).collect();
        let controls = heard.iter().map(|&i| &self.programs[i].control);
        let sockets = [&self.orders, &self.deaths].into_iter().chain(controls);
        let mut events: Vec<PollFd<'_>> = sockets.map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        match poll(&mut events, is_ending.then_some(&GLANCE)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let happened: Vec<bool> = events.iter().map(|event| !event.revents().is_empty()).collect();
        // Only that bytes have come matters.
        while (&self.deaths).read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
        let spoken = heard.into_iter().zip(&happened[2..]).filter(|(_, happened)| **happened).map(|(i, _)| i);
        Ok((happened[0], spoken.collect()))
    }

    /// Takes note of children that have died.
    fn bury(&mut self) {
        self.is_childless = loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let program = self.programs.iter_mut().find(|p| p.is_running && p.leader == pid);
                    program.into_iter().for_each(|program| program.has_ended(status));
                }
                Ok(None) => break false,
                Err(Errno::INTR) => {}
                Err(_) => break true,
            }
        };
    }

    fn start(&mut self, order: &Order, files: Files) {
        let mut command = Command::new(order.arguments.first().map_or("", String::as_str));
        command.args(order.arguments.iter().skip(1));
        // What an outer study told this process is not meant for its programs.
        let inherited = std::env::vars_os().map(|(name, _)| name);
        inherited.filter(|name| name.as_encoded_bytes().starts_with(b"QGD_")).for_each(|name| {
            command.env_remove(name);
        });
        if std::env::var_os("PYTHONUNBUFFERED").is_none() {
            command.env("PYTHONUNBUFFERED", "1");
        }
        command.envs(&order.environment).stdin(Stdio::null()).stdout(files.stdout).stderr(files.stderr);
        // A group of its own, so that what it starts can be stopped together with it.
        let started = command.process_group(0).spawn();
        let mark = format!("{MARK}={}", order.environment.get(MARK).map_or("", String::as_str)).into_bytes();
        match started {
            Ok(child) => self.programs.push(Program {
                leader: Pid::from_child(&child),
                mark,
                control: files.control,
                is_running: true,
                asked: None,
                is_told: false,
                is_disowned: false,
            }),
            Err(error) => say(&files.control, &format!("cannot start the program: {error}")),
        }
    }

    /// Ends programs that are to end, with all that they started, and forgets those of which nothing is left.
    fn end_what_was_asked(&mut self) {
        if self.programs.iter().all(|program| program.asked.is_none()) {
            return;
        }
        let kin = if self.is_childless { Kin::none() } else { Kin::now() };
        let running: Vec<i32> = self.programs.iter().filter(|p| p.is_running).map(Program::id).collect();
        self.programs.retain_mut(|program| program.asked.is_none_or(|asked| program.ends(asked, &kin, &running)));
    }
}

impl Program {
    fn id(&self) -> i32 {
        self.leader.as_raw_nonzero().get()
    }

    fn has_ended(&mut self, status: WaitStatus) {
        self.is_running = false;
        let ending = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!("code {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        };
        say(&self.control, &ending);
    }

    /// Reads what the worker says of this program, which can only be that it is to end.
    fn hear(&mut self) {
        let now = Instant::now();
        self.is_disowned = !self.control.read(&mut [0]).is_ok_and(|n| n > 0);
        if self.is_disowned {
            // Nobody waits for it any more: no time for farewells.
            self.asked = Some(now.checked_sub(FAREWELL).unwrap_or(now));
        }
        self.asked.get_or_insert(now);
    }

    /// Asks it to end, or kills it when its time is over. Answers whether something is left of it.
    fn ends(&mut self, asked: Instant, kin: &Kin, running: &[i32]) -> bool {
        let left = kin.of(self.leader, &self.mark, running);
        if left.is_empty() && !self.is_running {
            return false;
        }
        if asked.elapsed() >= FAREWELL {
            self.signal(kin, &left, Signal::KILL);
        } else if !self.is_told {
            self.signal(kin, &left, Signal::TERM);
            self.is_told = true;
        }
        // What cannot be killed, because it belongs to another user, is not waited for.
        asked.elapsed() < 2 * FAREWELL
    }

    /// Sends a signal once to each process.
    fn signal(&self, kin: &Kin, left: &[i32], signal: Signal) {
        // The number of a group is given to no other only as long as the program or one of its group is there.
        if self.is_running {
            kin::signal_group(self.leader, signal);
        }
        let is_signalled = |&&id: &&i32| self.is_running && kin.is_in_group(id, self.leader);
        left.iter().filter(|id| !is_signalled(id)).for_each(|&id| kin::signal(id, signal));
    }
}

/// Tells the worker something about a program. One that is gone needs no answer.
fn say(mut control: &UnixStream, what: &str) {
    let _ = control.write_all(format!("{what}\n").as_bytes());
}
