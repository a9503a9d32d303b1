//! `qgd train`: trains the net of a task file.

mod checkpoint;
mod events;
mod outcome;
mod trace;
mod view;

use super::decider::Decider;
use super::ending;
use super::failure::Failure;
use super::outputs::{Files, Results};
use super::progress::Progress;
use super::run::Run;
use super::setting::{self, Machine, Overrides};
use super::tensorboard;
use anyhow::anyhow;
use checkpoint::{Checkpoints, Identity};
use events::RunEvents;
use outcome::Outcome;
use qgd::data::{Dataset, Fitted};
use qgd::report::number;
use qgd::schedule::Schedule;
use qgd::task::{MAX_STEPS, TaskSpec};
use qgd::{Action, Move};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use trace::TraceFile;
use view::RunView;

const EXAMPLES: &str = "Examples:
  A learning rate that is far too low, and the controller that notices:
    qgd train demo --lr 1e-5 --controller lr
  The same with what one would use otherwise:
    qgd train demo --lr 1e-5 --schedule cosine
  A run that may be killed at any time and goes on where it was; run the same line again:
    qgd train digits --controller lr --resume runs/digits --trace digits.jsonl --json digits.json
  Curves of several runs, laid over each other by `tensorboard --logdir events`:
    qgd train digits --lr 1e-5 --controller lr --tensorboard events
    qgd train digits --lr 1e-5 --schedule cosine --tensorboard events";

/// Train the net of a task file
///
/// Without --controller and --schedule the learning rate stays what it is. The result is printed; --json writes all of
/// it.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct TrainArgs {
    /// The task: a file (`qgd help task`), or one that comes with qgd, by name (`qgd list tasks`)
    task: PathBuf,
    /// What moves the learning rate: `none`, a pretrained controller by name, or a file; lr+online: it goes on learning
    #[arg(long, value_name = "NAME|FILE")]
    controller: Option<String>,
    /// A schedule instead of a controller
    #[arg(long, value_name = "NAME", value_parser = setting::schedule())]
    schedule: Option<Schedule>,
    /// The learning rate to start from, instead of the task file's
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    lr: Option<f64>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    machine: Machine,
    /// Threads of libtorch. Small nets are fastest on one; the last bits of a result depend on it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::builder::RangedU64ValueParser::<u16>::new().range(1..=1024), help_heading = "Machine")]
    threads: u16,
    /// Seed of everything random: split, initial weights, batches, dropout
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Write the result as JSON
    #[arg(long, value_name = "OUT", help_heading = "Output")]
    json: Option<PathBuf>,
    /// Write the trained net, for `qgd predict` and for whatever reads safetensors
    #[arg(long, value_name = "NET.safetensors", help_heading = "Output")]
    save: Option<PathBuf>,
    /// Write every decision as a line of JSON: step, loss, learning rate, action, reason, features, Q-values. Into a
    /// pipe it streams; where its reader goes away, the run goes on without it
    #[arg(long, value_name = "OUT.jsonl", help_heading = "Output")]
    trace: Option<PathBuf>,
    /// Write event files for TensorBoard into a folder of its own below this one: of every decision the loss, learning
    /// rate, weight decay, action, Q-values, features and what the guard found; the losses at the end
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    tensorboard: Option<PathBuf>,
    /// Show the run in the whole terminal: curves of the loss and of what is controlled, and the last decisions with their
    /// reasons. q stops as Ctrl-C does. Without a terminal there is the plain bar
    #[arg(long, help_heading = "Output")]
    watch: bool,
    /// Keep a checkpoint in this folder, and go on from it if there is one. One process at a time
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    resume: Option<PathBuf>,
    /// Steps between two checkpoints
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=MAX_STEPS), help_heading = "Output")]
    checkpoint_every: u64,
}

/// The number of steps that a checkpoint holds, while nobody writes another one.
fn locked(n_kept: &Mutex<u64>) -> MutexGuard<'_, u64> {
    n_kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TrainArgs {
    /// Runs the command. Everything that can be wrong with the input is found before anything is written.
    pub fn run(&self) -> Result<(), Failure> {
        let task = self.overrides.load(&self.task, self.lr)?;
        let decider = self.decider()?;
        self.check_files(&task)?;
        let device = self.machine.device()?;
        tch::set_num_threads(self.threads.into());
        let n_kept = Mutex::new(0);
        let mut results = Results::default();
        let work = || {
            let data = self.machine.dataset(&task, self.seed)?;
            let mut run = Run::new(&task, &data, &decider, self.seed, device)?;
            let checkpoints = self.resume.as_deref().map(|dir| self.checkpoints(dir, &task, &decider)).transpose()?;
            let outcome = self.train(&task, &data, &decider, &mut run, (checkpoints, &n_kept), &mut results)?;
            Ok::<_, Failure>((outcome, run, data))
        };
        let kept = || {
            let n_kept = locked(&n_kept);
            let words = self.kept_in_words(*n_kept, task.train.steps);
            // What is said stays true: no checkpoint is written any more.
            std::mem::forget(n_kept);
            words
        };
        let (outcome, run, data) = ending::by_signal(kept, work)??;
        let net = || Ok(qgd::nets::to_bytes(&run.vs, &task, &Fitted::of(&data))?);
        results.write(self.save.as_deref(), net);
        results.write(self.json.as_deref(), || outcome.to_json());
        results.tell(outcome)
    }

    /// What an interrupted run leaves, and how to go on.
    fn kept_in_words(&self, n_kept: u64, n_steps: u64) -> String {
        match (&self.resume, n_kept) {
            (None, _) => "nothing is kept; with --resume DIR a run keeps checkpoints and goes on from them".to_owned(),
            (Some(dir), 0) => format!(
                "no checkpoint was written to {} yet (--checkpoint-every {}); the same line begins anew",
                dir.display(),
                self.checkpoint_every
            ),
            (Some(dir), _) => {
                format!("{} has {n_kept} of {n_steps} steps; the same line goes on from there", dir.display())
            }
        }
    }

    fn check_files(&self, task: &TaskSpec) -> Result<(), Failure> {
        let mut files = Files::default();
        files.reads_task(task, self.machine.data_dir.as_deref())?;
        self.controller.iter().for_each(|given| files.reads_controller(given));
        files.writes_folder("--resume", self.resume.as_deref(), &checkpoint::FILE_NAMES)?;
        files.writes("--save", self.save.as_deref())?;
        files.writes("--json", self.json.as_deref())?;
        files.writes("--trace", self.trace.as_deref())?;
        tensorboard::check(&mut files, self.tensorboard.as_deref())
    }

    fn checkpoints(&self, dir: &Path, task: &TaskSpec, decider: &Decider) -> Result<Checkpoints, Failure> {
        let data = self.machine.fingerprint(task)?;
        let identity = Identity::new(task, data, decider, self.seed, &self.machine.device, self.threads);
        Checkpoints::open(dir, identity)
    }

    fn decider(&self) -> Result<Decider, Failure> {
        match (self.controller.as_deref(), self.schedule) {
            (None | Some("none"), Some(schedule)) => Ok(Decider::Schedule(schedule)),
            (Some(controller), Some(schedule)) => Err(Failure::BadInput(anyhow!(
                "--controller {controller} and --schedule {schedule} both move the learning rate; choose one"
            ))),
            (controller, None) => Decider::controller(controller.unwrap_or("none")),
        }
    }

    fn train(
        &self,
        task: &TaskSpec,
        data: &Dataset,
        decider: &Decider,
        run: &mut Run,
        (mut checkpoints, n_kept): (Option<Checkpoints>, &Mutex<u64>),
        results: &mut Results,
    ) -> Result<Outcome, Failure> {
        let at_start = run.fingerprint()?;
        let start = match &mut checkpoints {
            Some(checkpoints) => checkpoints.restore(run, task.train.steps)?,
            None => checkpoint::Progress::default(),
        };
        *locked(n_kept) = start.steps;
        let trace = self.trace.as_deref().map(|path| TraceFile::open(path, start.steps, start.trace)).transpose()?;
        if let Some(trace) = &trace {
            run.optimizer.on_decision(trace.callback());
        }
        let events = self.events(task, decider, start.steps)?;
        if let Some(events) = &events {
            run.optimizer.on_decision(events.callback());
        }
        let started = Instant::now();
        let wall_s = || start.wall_s + started.elapsed().as_secs_f64();
        let (finds_at, mut lr_found) = (decider.finds_at(task.train.steps), start.lr_found);
        let view = self.view(task, decider, start.steps, trace.as_ref());
        let progress = match &view {
            Some(view) => {
                run.optimizer.on_decision(view.callback());
                Progress::in_view()
            }
            None => Progress::new("steps", task.train.steps, 16),
        };
        let mut saved = Ok(());
        for done in start.steps + 1..=task.train.steps {
            let loss = run.step()?;
            if finds_at == Some(done) {
                lr_found = Some(run.optimizer.lr());
            }
            if let Some((events, loss)) = events.as_ref().zip(run.take_told_validation()) {
                events.validation(done - 1, loss);
            }
            if progress.wants(done) {
                let loss = loss.f_double_value(&[])?;
                view.iter().for_each(|view| view.step(done, loss));
                progress.show(done, || status(run, loss));
            }
            if let Some(checkpoints) =
                checkpoints.as_mut().filter(|_| done.is_multiple_of(self.checkpoint_every) || done == task.train.steps)
            {
                // A run without a trace keeps the one that it had before.
                let trace = trace.as_ref().map_or(start.trace, |trace| trace.sync(done));
                let now = checkpoint::Progress { steps: done, wall_s: wall_s(), trace, lr_found };
                let mut kept = locked(n_kept);
                let before = std::mem::replace(&mut saved, checkpoints.save(run, now));
                if saved.is_ok() {
                    *kept = done;
                }
                drop(kept);
                if let (Ok(()), Err(failure)) = (before, &saved) {
                    note!("{failure}; the run goes on, and tries again at its next checkpoint");
                }
            }
        }
        progress.finish();
        saved.unwrap_or_else(|failure| results.failed(failure));
        if let Some(failure) = trace.as_ref().and_then(TraceFile::failure) {
            results.failed(failure);
        }
        run.optimizer.finish()?;
        let is_as_at_start = run.fingerprint()? == at_start;
        let end = checkpoint::Progress { wall_s: wall_s(), lr_found, ..start };
        let outcome = Outcome::of(task, decider, self, run, data, end, is_as_at_start)?;
        if let Some(events) = events {
            events.end(task.train.steps, &outcome);
            events.failure().into_iter().for_each(|failure| results.failed(failure));
        }
        Ok(outcome)
    }

    /// The view, if one is asked for, and nothing else is written on the terminal meanwhile.
    fn view(&self, task: &TaskSpec, decider: &Decider, steps: u64, trace: Option<&TraceFile>) -> Option<RunView> {
        let is_wanted = self.watch && !trace.is_some_and(TraceFile::is_on_terminal);
        is_wanted.then(|| RunView::open(task, decider, self.seed, steps)).flatten()
    }

    fn events(&self, task: &TaskSpec, decider: &Decider, steps: u64) -> Result<Option<RunEvents>, Failure> {
        let Some(dir) = &self.tensorboard else { return Ok(None) };
        Ok(Some(RunEvents::begin(dir, (task, decider, self.seed), self.resume.as_deref(), steps)?))
    }
}

/// Message of the progress bar: loss, learning rate, weight decay and the last action.
fn status(run: &Run, loss: f64) -> String {
    let optimizer = &run.optimizer;
    let action = optimizer.last_decision().and_then(|decision| decision.action).map_or("", action_name);
    let (lr, weight_decay) = (number(optimizer.lr()), number(optimizer.weight_decay()));
    format!("loss {:<8}  lr {lr:<8}  λ {weight_decay:<6}  {action:<6}", number(loss))
}

fn action_name(action: Action) -> &'static str {
    let moved = if action.lr == Move::Accept { action.weight_decay } else { action.lr };
    match moved {
        Move::Halve => "halve",
        Move::Accept => "accept",
        Move::Grow => "×1.25",
    }
}
