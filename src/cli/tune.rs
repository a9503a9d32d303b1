//! `qgd tune`, which tunes any program, and `qgd worker`, which runs trials of a study that is there.

mod child;
mod events;
mod failures;
#[cfg(feature = "torch")]
mod in_process;
pub mod leash;
mod lines;
pub mod output;
mod template;
mod view;

use super::failure::Failure;
use super::interrupt;
use super::outputs::Files;
use super::progress::Progress;
use super::tensorboard;
use anyhow::{Context, anyhow};
use child::{Numbers, Runner};
use clap::Args;
use events::StudyEvents;
use failures::Failures;
#[cfg(feature = "torch")]
use in_process::TaskObjective;
use leash::Leash;
use qgd::shipped::{self, Kind};
use qgd::tuner::storage;
use qgd::tuner::{
    ActiveTrial, Direction, Optimize, Outcome, Screen, Space, SpaceFile, Study, StudyConfig, Trial, TrialState,
};
use std::path::{Path, PathBuf};
use std::time::Duration;
use template::Template;
use view::StudyView;

/// Settings of a study, for all commands that make one. A setting that is not given is that of the stored study, or the
/// default.
#[derive(Debug, Clone, Args)]
pub struct StudyArgs {
    /// Sampler, which proposes the parameters to try next: tpe, gp, cmaes, nsga2, bohb, random, grid, qmc, q-learning,
    /// reinforce, nas, deep-q; options behind a colon (tpe:gamma=0.1,n_candidates=50). [default: tpe]
    ///
    /// tpe: densities of good and bad trials (multivariate, n_startup_trials, n_candidates, gamma, max_good).
    /// gp: a Gaussian process, for few and costly trials (acquisition=ei or ucb, beta, n_startup_trials, max_points).
    /// cmaes: an evolution strategy, for many trials and numbers only (sigma, population, restarts).
    /// nsga2: a genetic algorithm, for several objectives (population, crossover, mutation, spread).
    /// bohb: tpe for `--pruner hyperband` (random, and the options of tpe). grid: every combination (n).
    /// random and qmc: evenly in the whole space. q-learning, reinforce, nas and deep-q: reinforcement learning.
    #[arg(long)]
    sampler: Option<String>,
    /// Pruner, which stops bad trials early: none, median, percentile, asha, hyperband, patience; options behind a
    /// colon. [default: none]
    #[arg(long)]
    pruner: Option<String>,
    /// Seed of everything random. [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Number of trials that may run at the same time; trial n uses the results up to trial n - lag, for any number of
    /// workers. At most 1000000. [default: that of --workers]
    #[arg(long)]
    lag: Option<usize>,
    /// After TRIALS trials only PARAMETERS parameters, those that matter most, are searched; the others stay as in the
    /// best trial.
    #[arg(long, value_name = "TRIALS:PARAMETERS")]
    screen: Option<Screen>,
    /// Name of the study. [default: name of the space file]
    #[arg(long)]
    study: Option<String>,
    /// Seconds between heartbeats of a worker; after twice that time without one its trials are tried again. [default:
    /// 10]
    #[arg(long, value_name = "SECONDS")]
    heartbeat: Option<f64>,
    /// Number of times that the trial of a worker that died is tried again. [default: 3]
    #[arg(long)]
    retries: Option<usize>,
}

/// Number of trials, and how they are run.
#[derive(Debug, Args)]
struct WorkArgs {
    /// Number of complete and pruned trials that the study is to have, with those that it has already.
    #[arg(long, default_value_t = 100)]
    trials: usize,
    /// Number of trials that run at the same time here, at most 512.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Seconds after which a trial is stopped and counts as failed.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
    /// Number of failed trials in a row after which to give up.
    #[arg(long, value_name = "N", default_value_t = 20)]
    max_failures: usize,
    /// Folder for the output of every trial. [default: STUDY-logs]
    #[arg(long)]
    logs: Option<PathBuf>,
    /// Write event files for TensorBoard into a folder below this one, named as the study: the value of every trial, and in
    /// a folder for each trial that runs here its parameters (tab HPARAMS), its intermediate values and its end
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    /// Show the study in the whole terminal while it runs: the values of the trials with the best so far, what is running,
    /// and how the last trials ended. q stops as Ctrl-C does. Without a terminal there is the plain bar
    #[arg(long)]
    watch: bool,
    /// The program and its arguments. {name} stands for a parameter, {{ and }} for braces. An argument whose parameter is
    /// not active in a trial is left out, with the option before it.
    #[cfg_attr(feature = "torch", arg(last = true, required_unless_present = "task", value_name = "COMMAND"))]
    #[cfg_attr(not(feature = "torch"), arg(last = true, required = true, value_name = "COMMAND"))]
    command: Vec<String>,
    #[cfg(feature = "torch")]
    #[command(flatten)]
    task: in_process::TaskArgs,
}

/// Largest number of trials that one process runs at the same time: each takes a few files and threads. More processes
/// can share the study.
const MAX_WORKERS: usize = 512;

/// Largest number of trials of a study: databases hold no larger numbers of trials.
const MAX_TRIALS: usize = i32::MAX as usize;

const EXAMPLES: &str = "Examples:
  Any program:
    qgd tune space.toml --trials 200 --workers 4 -- python train.py --lr {lr} --layers {layers}
  The net of a task file, with a controller in each trial:
    qgd tune net --task digits --controller lr --trials 30 --pruner median
  Curves and the parameters of all trials in `tensorboard --logdir events`:
    qgd tune space.toml --tensorboard events -- python train.py --lr {lr}
  One trial on each of four GPUs:
    qgd tune space.toml --workers 4 -- sh -c 'CUDA_VISIBLE_DEVICES=$QGD_WORKER exec python train.py --lr {lr}'

The same line again continues the study, or helps others who run it; see `qgd study --help` for what came out.";

/// Objective: what a trial runs.
enum Objective {
    Command(Template),
    #[cfg(feature = "torch")]
    Task(Box<TaskObjective>),
}

/// Find good parameters of any program.
///
/// The program is run once a trial. {name} in its arguments stands for a parameter; parameters are in the environment
/// as QGD_PARAM_NAME too, and all of them as JSON in QGD_PARAMS. It prints its result as a line {"value": 0.5} or
/// {"values": [0.5, 2]}; the last one counts. Lines {"step": 3, "value": 0.7} before that let a pruner stop it early.
/// QGD_TRIAL is the number of the trial, QGD_WORKER that of the worker, from 0: no two trials that run here at the same
/// time have the same. No other variable QGD_* reaches the program, and PYTHONUNBUFFERED is 1 unless it is set.
///
/// What a program leaves running is stopped when its trial is over. Ctrl-C, SIGTERM and SIGHUP stop the programs with
/// all that they started, give their trials back to be tried again, and print the best so far; a second one does not
/// wait for programs that take their time.
///
/// With --task (it needs libtorch) a trial trains the net of a task file, while --controller moves the learning rate or
/// the weight decay. Parameters are named as the keys that they replace: optimizer, lr, weight_decay, batch_size,
/// steps; activation, dropout, l1, batch_norm, embedding, heads; layers and units for `hidden` (units_2 for the second
/// layer alone), blocks and filters for `channels`; `layers` of a transformer and `blocks` of a resnet are keys
/// themselves. The result is the validation loss, or the validation accuracy where the space says maximize; it is
/// reported ten times in a run. All trials have the same split, batches and seed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TuneArgs {
    /// Space that is searched: a TOML file with a table [params.NAME] for each parameter (`qgd help space`).
    space: PathBuf,
    /// Where the study is kept: sqlite:///FILE, postgresql://USER@HOST/DATABASE (its password in PGPASSWORD) or memory:
    #[arg(long, default_value = super::storage::DEFAULT)]
    storage: String,
    #[command(flatten)]
    study: StudyArgs,
    #[command(flatten)]
    work: WorkArgs,
}

/// Run trials of a study that `qgd tune` has made, here or on another machine.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  qgd worker --storage postgresql://me@db.example.org/tuning --study space -- python train.py --lr {lr}\n  qgd worker --study net --task digits --controller lr"
)]
pub struct WorkerArgs {
    /// Where the study is kept: sqlite:///FILE or postgresql://USER@HOST/DATABASE (its password in PGPASSWORD)
    #[arg(long, default_value = super::storage::DEFAULT)]
    storage: String,
    /// Name of the study.
    #[arg(long)]
    study: String,
    #[command(flatten)]
    work: WorkArgs,
}

impl TuneArgs {
    pub fn run(&self) -> Result<(), Failure> {
        let file = read_space(&self.space)?;
        self.work.check()?;
        let objective = self.work.objective(&file.space, &file.directions)?;
        let study = self.study.open(&self.space, file, &self.storage, self.work.workers)?;
        self.work.run(&study, objective).map(|()| super::storage::say_what_shows(&study.config().name, &self.storage))
    }
}

impl WorkerArgs {
    pub fn run(&self) -> Result<(), Failure> {
        self.work.check()?;
        let study =
            Study::open(super::storage::open_existing(&self.storage)?, &self.study).map_err(Failure::of_tuner)?;
        let objective = self.work.objective(study.space(), &study.config().directions)?;
        self.work.run(&study, objective)
    }
}

/// Reads a space file, or a space that comes with qgd, by its name.
pub fn read_space(path: &Path) -> Result<SpaceFile, Failure> {
    let named = || format!("cannot read the space {}", path.display());
    let path = shipped::find(Kind::Space, path).map_err(Failure::bad_input)?;
    let text = shipped::text(&path).with_context(named).map_err(Failure::BadInput)?;
    SpaceFile::parse(&text).with_context(|| path.display().to_string()).map_err(Failure::BadInput)
}

impl StudyArgs {
    /// The study, made or continued. Nothing is written where a setting is wrong. A new one has a lag of `workers`
    /// unless a lag is given.
    pub fn open(&self, path: &Path, file: SpaceFile, url: &str, workers: usize) -> Result<Study, Failure> {
        let SpaceFile { space, directions } = file;
        let stem = || path.file_stem().map_or("study".into(), |stem| stem.to_string_lossy().into_owned());
        let name = self.study.clone().unwrap_or_else(stem);
        let standard = StudyConfig { name, directions, lag: workers.max(1), ..StudyConfig::default() };
        let fresh = self.applied(&standard);
        let checked = fresh.check(&space).map_err(Failure::of_tuner)?;
        let storage = storage::open(url).map_err(|error| Failure::of_tuner(error.into()))?;
        let stored = StudyConfig::stored(&*storage, &fresh.name).map_err(Failure::of_tuner)?;
        let config = stored.map(|stored| self.applied(&StudyConfig { directions: standard.directions, ..stored }));
        // The sampler of settings that are checked already is not made a second time.
        let checked = match config.filter(|config| config != checked.config()) {
            Some(config) => config.check(&space).map_err(Failure::of_tuner)?,
            None => checked,
        };
        checked.create_or_open(storage).map_err(Failure::of_tuner)
    }

    fn applied(&self, to: &StudyConfig) -> StudyConfig {
        StudyConfig {
            name: to.name.clone(),
            directions: to.directions.clone(),
            sampler: self.sampler.clone().unwrap_or_else(|| to.sampler.clone()),
            pruner: self.pruner.clone().unwrap_or_else(|| to.pruner.clone()),
            seed: self.seed.unwrap_or(to.seed),
            lag: self.lag.unwrap_or(to.lag),
            screen: self.screen.or(to.screen),
            heartbeat_s: self.heartbeat.unwrap_or(to.heartbeat_s),
            retries: self.retries.unwrap_or(to.retries),
        }
    }
}

impl WorkArgs {
    fn check(&self) -> Result<(), Failure> {
        let need = |holds: bool, flag: &str, found: String, allowed: &str| {
            if holds { Ok(()) } else { Err(Failure::BadInput(anyhow!("`{flag}` is {found}, but must be {allowed}"))) }
        };
        let fits = (1..=MAX_WORKERS).contains(&self.workers);
        let allowed = format!("at least 1 and at most {MAX_WORKERS}; several processes can share a study");
        need(fits, "--workers", self.workers.to_string(), &allowed)?;
        need(self.trials <= MAX_TRIALS, "--trials", self.trials.to_string(), &format!("at most {MAX_TRIALS}"))?;
        let (found, allowed) = (self.max_failures.to_string(), format!("at least 1 and at most {MAX_TRIALS}"));
        need((1..=MAX_TRIALS).contains(&self.max_failures), "--max-failures", found, &allowed)?;
        let timeout = self.timeout.unwrap_or(1.0);
        need(timeout > 0.0 && timeout <= 1e9, "--timeout", timeout.to_string(), "above 0 and at most 1e9 seconds")?;
        tensorboard::check(&mut Files::default(), self.tensorboard.as_deref())
    }

    fn objective(&self, space: &Space, directions: &[Direction]) -> Result<Objective, Failure> {
        #[cfg(feature = "torch")]
        if let Some(file) = &self.task.task {
            return TaskObjective::new(&self.task, file, space, directions).map(|task| Objective::Task(Box::new(task)));
        }
        #[cfg(not(feature = "torch"))]
        let _ = directions;
        let template = Template::parse(&self.command, space)?;
        template.surprises(space).iter().for_each(|surprise| note!("note: {surprise}"));
        Ok(Objective::Command(template))
    }

    fn run(&self, study: &Study, objective: Objective) -> Result<(), Failure> {
        let events = StudyEvents::begin(self.tensorboard.as_deref(), study)?;
        let config = study.config();
        let say = || {
            note!(
                "study {}: sampler {}, pruner {}, lag {}, seed {}",
                config.name,
                config.sampler,
                config.pruner,
                config.lag,
                config.seed
            );
            events.shown_in(self.watch.then(|| StudyView::open(study, self.trials)).flatten())
        };
        match objective {
            Objective::Command(template) => {
                let runner = self.runner(study, template)?;
                self.optimize(study, say(), |trial, events| runner.run(trial, events))
            }
            #[cfg(feature = "torch")]
            Objective::Task(objective) => {
                let objective = objective.of_study(study, self.timeout())?;
                self.optimize(study, say(), |trial, events| objective.run(trial, events))
            }
        }
    }

    fn runner(&self, study: &Study, template: Template) -> Result<Runner, Failure> {
        let config = study.config();
        // A study may have a name that a folder cannot have.
        let folder = || PathBuf::from(format!("{}-logs", config.name.replace(['/', '\0'], "_")));
        let logs = self.logs.clone().unwrap_or_else(folder);
        child::make_folder(&logs)?;
        let (leash, prunes) = (Leash::start()?, config.directions.len() == 1);
        allow_more_files();
        Ok(Runner { template, timeout: self.timeout(), logs, prunes, leash, numbers: Numbers::default() })
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_secs_f64)
    }

    fn optimize(
        &self,
        study: &Study,
        events: StudyEvents,
        objective: impl Fn(&ActiveTrial<'_>, &StudyEvents) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>>
        + Sync,
    ) -> Result<(), Failure> {
        let config = study.config();
        let progress =
            if events.has_view() { Progress::in_view() } else { Progress::new("trials", self.trials as u64, 1) };
        let failures = Failures::default();
        let on_trial = |study: &Study, trial: &Trial| {
            events.ends(study, trial);
            show(&progress, &failures, study, trial);
        };
        let options = Optimize {
            n_trials: self.trials,
            n_jobs: self.workers,
            max_failures: self.max_failures,
            timeout: None,
            on_trial: &on_trial,
        };
        let uninterrupted = |trial: &ActiveTrial<'_>| {
            if interrupt::signal().is_none() {
                events.begins(trial);
                return objective(trial, &events);
            }
            // The signal came before the study began.
            study.stop();
            Ok(Outcome::given_back())
        };
        let done = interrupt::watching(|| study.stop(), || study.optimize(&options, uninterrupted))?;
        progress.finish();
        let best = done.and_then(|()| study.trials());
        let written = events.finish(best.as_deref().unwrap_or_default());
        if let Some(signal) = interrupt::signal() {
            match best {
                Ok(_) if rustix::io::write(std::io::stdout(), b"").is_err() => {} // the terminal was hung up
                Ok(trials) => super::trials::print_best(config, &trials),
                Err(error) => note!("error: {error}"),
            }
            return Err(Failure::Interrupted(signal));
        }
        super::trials::print_best(config, &best.map_err(Failure::of_tuner)?);
        written
    }
}

/// Raises the number of files that this process may have open to what the system allows. Programs, which are started by
/// another process, keep the former limit.
fn allow_more_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, a trial that cannot open its files says so.
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}

/// Shows how many trials are done, and the best so far.
fn show(progress: &Progress, failures: &Failures, study: &Study, trial: &Trial) {
    match trial.state {
        TrialState::Fail => failures.show(trial),
        TrialState::Waiting => note!("trial {} was interrupted and waits to be tried again", trial.number),
        _ => {
            failures.end();
            show_done(progress, study);
        }
    }
}

fn show_done(progress: &Progress, study: &Study) {
    let done = study.counts().done() as u64;
    if progress.wants(done) {
        progress.show(done, || match study.best_known() {
            Some((trial, value)) => format!("best {} (trial {trial})", super::trials::value(value)),
            None => "none complete yet".into(),
        });
    }
}
