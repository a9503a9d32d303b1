//! `qgd evaluate`: a controller beside every rival, over the same tasks, starts, seeds and batches, in one run.

mod bench;
mod cache;
mod events;
mod groups;
mod peers;
mod plan;
mod regime;
mod report;
mod runs;
mod tables;
mod verdict;
mod words;

use super::arguments;
use super::chart_file::ChartFile;
use super::decider::Decider;
use super::failure::Failure;
use super::outputs::{Files, Results};
use super::setting::Machine;
use super::tensorboard;
use anyhow::anyhow;
use cache::Cache;
use peers::Peers;
use plan::{Plan, Wishes};
use qgd::torch::Conditioning;
use report::{About, DEFINITIONS, ProblemReport, Report};
use std::path::PathBuf;
use verdict::Verdict;

/// Rival that ratios compare with.
const YARDSTICK: &str = "cosine";

const EXAMPLES: &str = "Examples:
  The shipped controller on three small tasks, in a few minutes (`qgd data letter wine --fetch` gets the data of two of them):
    qgd evaluate lr --quick
  The table behind a claim; run the same line again after a kill, and it goes on:
    qgd evaluate my.qgd --data-dir DIR --json my.json --markdown my.md --chart my.svg
  The same in `tensorboard --logdir events`:
    qgd evaluate my.qgd --data-dir DIR --tensorboard events
  Long runs, and results of rivals in PyTorch beside ours:
    qgd evaluate my.qgd --suite long --data-dir DIR
    qgd evaluate my.qgd --data-dir DIR --merge letter.json wine.json";

/// Run a controller and its rivals over a suite of tasks, and say who ends where
///
/// Every method starts from the same six learning rates, one a decade, with the same splits, initial weights and
/// batches. Rivals then start three times a decade around their best start, so that best-tuned means it; the controller
/// does not. Means stand by how often the training sees each example: more than 20 times, between, twice at most. Every
/// run is kept as it ends: what was killed goes on, and the runs of rivals serve every controller.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct EvaluateArgs {
    /// The controller: a pretrained one by name, or a file
    #[arg(value_name = "NAME|FILE")]
    controller: String,
    /// Tasks, optimizers, horizons, seeds and rivals: a file (`qgd help suite`), or a suite that comes with qgd, by name
    #[arg(long, value_name = "SUITE", default_value = "suite")]
    suite: PathBuf,
    /// Schedules and controllers to compare with, instead of those in the suite
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    rivals: Vec<String>,
    /// What becomes of the changes of weight matrices, for the controller and its rivals alike, instead of what the tasks
    /// say: `none`, or `orthogonal`, or orthogonal:degree=0.5 (`qgd help task`). Cosine then stands there twice, also
    /// without it
    #[arg(long, value_name = "HOW")]
    conditioning: Option<Conditioning>,
    /// Number of seeds, instead of what the suite says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
    /// A quick look: the small tasks of the suite at their own horizon, 2 seeds, rivals cosine, greedy and constant
    /// tried at one start a decade and not refined. Too little to say who wins
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    machine: Machine,
    /// Runs at the same time, each on one thread [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<u16>::new().range(1..=1024), help_heading = "Machine")]
    jobs: Option<u16>,
    /// Where finished runs are kept
    #[arg(long, value_name = "DIR", default_value = "runs/evaluate", help_heading = "Output")]
    cache: PathBuf,
    /// Show results of other programs beside ours: JSON with `task` and `rivals`
    #[arg(long, value_name = "PEERS.json", num_args = 1.., help_heading = "Output")]
    merge: Vec<PathBuf>,
    /// Write everything as JSON
    #[arg(long, value_name = "OUT", help_heading = "Output")]
    json: Option<PathBuf>,
    /// Write the problems and the means by regime as Markdown
    #[arg(long, value_name = "OUT.md", help_heading = "Output")]
    markdown: Option<PathBuf>,
    /// Write event files for TensorBoard, when all runs are done: a folder for each method below this one, with its final
    /// loss over the starts on each problem, and the ratios
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    tensorboard: Option<PathBuf>,
    /// Draw the final loss over the start, as SVG or PNG: the ending decides
    #[arg(long, visible_alias = "svg", value_name = "OUT.svg|OUT.png", value_parser = ChartFile::parser(), help_heading = "Output")]
    chart: Option<ChartFile>,
}

impl EvaluateArgs {
    pub fn run(&self) -> Result<(), Failure> {
        let wishes = Wishes {
            suite: &self.suite,
            rivals: &self.rivals,
            seeds: self.seeds,
            quick: self.quick,
            conditioning: self.conditioning,
        };
        let plan = Plan::new(Decider::named(&self.controller)?, &wishes, &self.machine)?;
        self.check_files(&plan)?;
        let peers = self.merge.iter().map(|file| Peers::load(file, &plan)).collect::<Result<Vec<_>, _>>()?;
        let cache = Cache::read(&self.cache)?;
        if cache.n_damaged > 0 {
            note!("{}: {} lines that cannot be read are ignored", cache.path().display(), cache.n_damaged);
        }
        bench::fill(&plan, &cache, &self.machine, arguments::jobs(self.jobs))?;
        let report = self.report(&plan, &cache, &peers)?;
        let mut results = Results::default();
        cache.failure().into_iter().for_each(|failure| results.failed(failure));
        results.write(self.json.as_deref(), || Ok(serde_json::to_vec_pretty(&report)?));
        results.write(self.markdown.as_deref(), || Ok(report.markdown().into()));
        if let Some(file) = &self.chart {
            results.write(Some(file.path()), || file.contents(report.picture()));
        }
        if let Some(Err(error)) = self.tensorboard.as_deref().map(|dir| events::write(dir, &report)) {
            results.failed(Failure::Failed(error));
        }
        results.tell(report.in_words().trim_end())
    }

    fn check_files(&self, plan: &Plan) -> Result<(), Failure> {
        let mut files = Files::default();
        files.reads("the suite", &self.suite);
        plan.methods.iter().for_each(|method| files.reads_controller(method.decider.name()));
        self.merge.iter().for_each(|file| files.reads("the results to --merge", file));
        for task in &plan.tasks {
            files.reads_task(&task.spec, self.machine.data_dir.as_deref())?;
        }
        files.writes_folder("--cache", Some(&self.cache), &[cache::FILE_NAME])?;
        files.writes("--json", self.json.as_deref())?;
        files.writes("--markdown", self.markdown.as_deref())?;
        files.writes("--chart", self.chart.as_ref().map(ChartFile::path))?;
        tensorboard::check(&mut files, self.tensorboard.as_deref())
    }

    fn report(&self, plan: &Plan, cache: &Cache, peers: &[Peers]) -> Result<Report, Failure> {
        let runs = runs::gather(plan, cache)?;
        let verdicts: Option<Vec<Verdict>> = runs.iter().map(Verdict::of).collect();
        let verdicts = verdicts.ok_or_else(|| anyhow!("a problem without rivals"))?;
        let rivals: Vec<String> = plan.methods[1..].iter().map(|method| method.name().to_owned()).collect();
        let peers: Vec<_> = peers.iter().flat_map(|peers| peers.rows(&runs, &verdicts)).collect();
        Ok(Report {
            version: env!("CARGO_PKG_VERSION"),
            controller: about(&plan.methods[0].decider),
            suite: self.suite.file_stem().map_or("suite".to_owned(), |stem| stem.to_string_lossy().into_owned()),
            quick: self.quick,
            device: self.machine.device.clone(),
            definitions: DEFINITIONS,
            groups: groups::groups(&runs, &verdicts),
            regimes: groups::regimes(&runs, &verdicts),
            rivals: groups::records(&rivals, &verdicts),
            accuracy_deficit: groups::accuracy_deficit(&runs, &verdicts),
            log_test_loss_ratio: groups::log_test_loss_ratio(&runs, &verdicts),
            peer_records: peers::records(&peers),
            peers,
            problems: runs.into_iter().zip(verdicts).map(|(runs, verdict)| ProblemReport::new(runs, verdict)).collect(),
        })
    }
}

fn about(method: &Decider) -> About {
    match method {
        Decider::Schedule(schedule) => {
            About { name: schedule.to_string(), recipe_hash: None, meta_training_seed: None, file_hash: None }
        }
        Decider::Controller(name, controller, hash) => About {
            name: name.clone(),
            recipe_hash: Some(controller.card().recipe_hash.clone()),
            meta_training_seed: Some(controller.card().seed),
            file_hash: Some(format!("{hash:016x}")),
        },
    }
}
