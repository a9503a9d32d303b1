//! `qgd tune`, which tunes any program, and `qgd worker`, which runs trials of a study that is there.

mod child;
#[cfg(feature = "torch")]
mod in_process;
pub mod leash;
pub mod output;
mod template;

use super::failure::Failure;
use super::progress::Progress;
use anyhow::{Context, anyhow};
use child::Runner;
use clap::Args;
#[cfg(feature = "torch")]
use in_process::TaskObjective;
use qgd::report::number;
use qgd::tuner::storage;
use qgd::tuner::{
    ActiveTrial, Direction, Optimize, Outcome, Screen, Space, SpaceFile, Study, StudyConfig, Trial, TrialState,
};
use std::path::{Path, PathBuf};
use std::time::Duration;
use template::Template;

/// Settings of a study, for all commands that make one. A setting that is not given is that of the stored study, or the
/// default.
#[derive(Debug, Clone, Args)]
pub struct StudyArgs {
    /// Sampler, which proposes the parameters to try next; options behind a colon (tpe:gamma=0.1,n_candidates=50).
    /// [default: tpe]
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
    /// workers.
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
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
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
    /// Number of trials that run at the same time here.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Seconds after which a trial is stopped and counts as failed.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<f64>,
    /// Number of failed trials in a row after which to give up.
    #[arg(long, value_name = "N", default_value_t = 20)]
    max_failures: usize,
    /// Folder for the output of every trial. [default: STUDY-logs]
    #[arg(long)]
    logs: Option<PathBuf>,
    /// The program and its arguments. {name} stands for a parameter, {{ and }} for braces.
    #[cfg_attr(feature = "torch", arg(last = true, required_unless_present = "task", value_name = "COMMAND"))]
    #[cfg_attr(not(feature = "torch"), arg(last = true, required = true, value_name = "COMMAND"))]
    command: Vec<String>,
    #[cfg(feature = "torch")]
    #[command(flatten)]
    task: in_process::TaskArgs,
}

const EXAMPLES: &str = "Examples:
  Any program:
    qgd tune space.toml --trials 200 --workers 4 -- python train.py --lr {lr} --layers {layers}
  The net of a task file, with a controller in each trial:
    qgd tune examples/tune/net.toml --task examples/tasks/digits.toml --controller lr --trials 30 --pruner median

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
///
/// With --task (it needs libtorch) a trial trains the net of a task file, while --controller moves the learning rate or
/// the weight decay. Parameters are named as the keys that they replace: optimizer, lr, weight_decay, batch_size,
/// steps; activation, dropout, l1, batch_norm, embedding; layers and units for `hidden` (units_2 for the second layer
/// alone), blocks and filters for `channels`. The result is the validation loss, or the validation accuracy where the
/// space says maximize; it is reported ten times in a run. All trials have the same split, batches and seed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TuneArgs {
    /// Space that is searched: a TOML file with a table [params.NAME] for each parameter.
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
    after_help = "Examples:\n  qgd worker --storage postgresql://me@db.example.org/tuning --study space -- python train.py --lr {lr}\n  qgd worker --study net --task examples/tasks/digits.toml --controller lr"
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
        self.work.run(&study, objective)
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

/// Reads a space file.
pub fn read_space(path: &Path) -> Result<SpaceFile, Failure> {
    let named = || format!("cannot read the space {}", path.display());
    let text = std::fs::read_to_string(path).with_context(named).map_err(Failure::BadInput)?;
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
        need((1..=1024).contains(&self.workers), "--workers", self.workers.to_string(), "at least 1 and at most 1024")?;
        need(self.max_failures >= 1, "--max-failures", self.max_failures.to_string(), "at least 1")?;
        let timeout = self.timeout.unwrap_or(1.0);
        need(timeout > 0.0 && timeout <= 1e9, "--timeout", timeout.to_string(), "above 0 and at most 1e9 seconds")
    }

    fn objective(&self, space: &Space, directions: &[Direction]) -> Result<Objective, Failure> {
        #[cfg(feature = "torch")]
        if let Some(file) = &self.task.task {
            return TaskObjective::new(&self.task, file, space, directions).map(|task| Objective::Task(Box::new(task)));
        }
        #[cfg(not(feature = "torch"))]
        let _ = directions;
        Template::parse(&self.command, space).map(Objective::Command)
    }

    fn run(&self, study: &Study, objective: Objective) -> Result<(), Failure> {
        match objective {
            Objective::Command(template) => {
                let runner = self.runner(study, template)?;
                self.optimize(study, |trial| runner.run(trial))
            }
            #[cfg(feature = "torch")]
            Objective::Task(objective) => {
                let objective = objective.of_study(study, self.timeout())?;
                self.optimize(study, |trial| objective.run(trial))
            }
        }
    }

    fn runner(&self, study: &Study, template: Template) -> Result<Runner, Failure> {
        let config = study.config();
        // A study may have a name that a folder cannot have.
        let folder = || PathBuf::from(format!("{}-logs", config.name.replace(['/', '\0'], "_")));
        let logs = self.logs.clone().unwrap_or_else(folder);
        child::make_folder(&logs)?;
        Ok(Runner { template, timeout: self.timeout(), logs, prunes: config.directions.len() == 1 })
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_secs_f64)
    }

    fn optimize(
        &self,
        study: &Study,
        objective: impl Fn(&ActiveTrial<'_>) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>> + Sync,
    ) -> Result<(), Failure> {
        let config = study.config();
        let progress = Progress::new("trials", self.trials as u64, 1);
        note!(
            "study {}: sampler {}, pruner {}, lag {}, seed {}",
            config.name,
            config.sampler,
            config.pruner,
            config.lag,
            config.seed
        );
        let on_trial = |study: &Study, trial: &Trial| show(&progress, study, trial);
        let options = Optimize {
            n_trials: self.trials,
            n_jobs: self.workers,
            max_failures: self.max_failures,
            timeout: None,
            on_trial: &on_trial,
        };
        let done = study.optimize(&options, objective);
        progress.finish();
        done.map_err(Failure::of_tuner)?;
        super::trials::print_best(study.config(), &study.trials().map_err(Failure::of_tuner)?);
        Ok(())
    }
}

/// Shows how many trials are done, and the best so far.
fn show(progress: &Progress, study: &Study, trial: &Trial) {
    if trial.state == TrialState::Fail {
        note!("trial {} failed: {}", trial.number, trial.reason());
        return;
    }
    let done = study.counts().done() as u64;
    if progress.wants(done) {
        progress.show(done, || match study.best_known() {
            Some((trial, value)) => format!("best {} (trial {trial})", number(value)),
            None => "none complete yet".into(),
        });
    }
}
