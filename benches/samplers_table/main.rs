//! The samplers on a real problem that is tabulated as a whole: `cargo bench --bench samplers_table -- STEP ...
//! [--threads N] [--seeds N]`.
//!
//! The problem is that of Mohamed et al.: one hidden layer, Adam, 15 epochs, split 0.7 / 0.1 / 0.2; 10 learning rates,
//! 10 weight decays, 10 batch sizes and 10 hidden sizes. Every combination is trained once, and what came out is kept
//! in a table, so that a trial is a look-up.
//!
//! | Step | What |
//! |---|---|
//! | `tables` | trains the missing rows of `target/samplers_table/NAME.tsv`; killed, it goes on where it was |
//! | `learn` | teaches `deep-q` on the tables of the other data sets: `target/samplers_table/deep-q.qgd` |
//! | `compare` | runs the samplers on wine and letter; prints figures, draws `target/samplers_table/samplers.svg` |
//! | `all` | the three, one after the other: some minutes |
//!
//! Without a step it does nothing. `--on NAME` compares on another data set that is tabulated whole, `--without NAME`
//! leaves one out of what `deep-q` learns from, and `--sampler TEXT` compares these samplers instead. Data come from
//! `QGD_DATA` or `../shared/data`; without them it says so and does nothing. `letter` is a sub-grid: 10 learning rates,
//! 5 of each of the others. The data sets that `deep-q` learns from are tabulated at random combinations; neither wine
//! nor letter is among them.

mod compare;
mod data;
mod run;
mod table;

use data::DataSet;
use indicatif::{ProgressBar, ProgressStyle};
use qgd::tuner::samplers::deep_q::{Lesson, TeachConfig, teach};
use run::Problem;
use std::error::Error;
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Where tables, the file and the picture are kept.
const FOLDER: &str = "target/samplers_table";

struct Options {
    steps: Vec<String>,
    n_threads: usize,
    n_seeds: u64,
    on: Vec<DataSet>,
    without: Vec<DataSet>,
    samplers: Vec<String>,
    teach: TeachConfig,
}

fn main() -> Result<()> {
    let options = options()?;
    if options.steps.is_empty() {
        eprintln!("nothing to do; steps are tables, learn, compare and all");
        return Ok(());
    }
    let Some(folder) = data_folder() else {
        eprintln!("skipped: no data at ../shared/data (set QGD_DATA)");
        return Ok(());
    };
    std::fs::create_dir_all(FOLDER)?;
    let wants = |step: &str| options.steps.iter().any(|name| name == step || name == "all");
    if wants("tables") {
        tables(&folder, &options)?;
    }
    if wants("learn") {
        learn(&folder, &options)?;
    }
    if wants("compare") {
        let problem = |set: &DataSet| Problem::load(*set, &folder, &table_file(set.name()));
        let problems = options.on.iter().map(problem).collect::<Result<Vec<_>>>()?;
        compare::compare(
            &problems,
            &options.samplers,
            &taught_file(),
            options.n_seeds,
            options.n_threads,
            Path::new(FOLDER),
        )?;
    }
    Ok(())
}

/// Teaches `deep-q` on everything but what it is compared on.
fn learn(folder: &Path, options: &Options) -> Result<()> {
    let lesson = |set: DataSet| -> Result<Lesson> {
        let problem = Problem::load(set, folder, &table_file(set.name()))?;
        Ok(Lesson { name: set.name().into(), data: Some(problem.facts), results: problem.results() })
    };
    let sets = DataSet::all().into_iter().filter(|set| set.is_other() && !options.without.contains(set));
    let lessons = sets.map(lesson).collect::<Result<Vec<_>>>()?;
    let bar = ProgressBar::new(options.teach.episodes as u64);
    bar.set_style(ProgressStyle::with_template(
        "deep-q         {bar:32.cyan/238} {pos:>6}/{len} studies  {msg}  {eta:.dim}",
    )?);
    let mut average = 0.0;
    let taught = teach(&run::space(false)?, &lessons, &options.teach, |n_done, reward| {
        average += (reward - average) * 0.02f64.max(1.0 / n_done as f64);
        bar.set_position(n_done as u64);
        bar.set_message(format!("mean reward {average:.3}"));
    })?;
    bar.finish();
    taught.save(&taught_file())?;
    println!(
        "{}: taught on {}, mean reward {average:.3} at the end",
        taught_file().display(),
        taught.lessons.join(", ")
    );
    Ok(())
}

fn taught_file() -> PathBuf {
    Path::new(FOLDER).join("deep-q.qgd")
}

fn tables(folder: &Path, options: &Options) -> Result<()> {
    for set in DataSet::all() {
        let cells = table::cells(&set);
        table::complete(&set, &cells, folder, &table_file(set.name()), options.n_threads)?;
    }
    Ok(())
}

fn table_file(name: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{name}.tsv"))
}

fn data_folder() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("QGD_DATA").map_or_else(default, PathBuf::from);
    folder.is_dir().then_some(folder)
}

fn options() -> Result<Options> {
    let mut options = Options {
        steps: Vec::new(),
        n_threads: 1,
        n_seeds: 20,
        on: Vec::new(),
        without: Vec::new(),
        samplers: Vec::new(),
        teach: TeachConfig { episodes: 1500, ..TeachConfig::default() },
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            // What cargo adds.
            "--bench" => {}
            "--threads" => options.n_threads = value()?.parse()?,
            "--seeds" => options.n_seeds = value()?.parse()?,
            "--on" => options.on.push(data_set(&value()?)?),
            "--without" => options.without.push(data_set(&value()?)?),
            "--sampler" => options.samplers.push(value()?),
            "--episodes" => options.teach.episodes = value()?.parse()?,
            "--gamma" => options.teach.gamma = value()?.parse()?,
            "--trials" => options.teach.trials = value()?.parse()?,
            "--lr" => options.teach.lr = value()?.parse()?,
            "--teach-seed" => options.teach.seed = value()?.parse()?,
            "--width" => options.teach.width = value()?.parse()?,
            "--lstm" => options.teach.is_recurrent = true,
            "tables" | "learn" | "compare" | "all" => options.steps.push(word),
            _ => return Err(format!("`{word}` is no step; there are tables, learn, compare and all").into()),
        }
    }
    if options.on.is_empty() {
        options.on = vec![DataSet::Wine, DataSet::Letter];
    }
    Ok(options)
}

fn data_set(name: &str) -> Result<DataSet> {
    Ok(DataSet::all().into_iter().find(|set| set.name() == name).ok_or_else(|| format!("no data set `{name}`"))?)
}
