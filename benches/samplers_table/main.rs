//! The samplers on a real problem that is tabulated as a whole: `cargo bench --bench samplers_table [-- STEP ... [--threads N] [--seeds N]]`.
//!
//! The problem is that of Mohamed et al.: one hidden layer, Adam, 15 epochs, split 0.7 / 0.1 / 0.2; 10 learning rates, 10 weight decays, 10 batch
//! sizes and 10 hidden sizes. Every combination is trained once, and what came out is kept in a table, so that a trial is a look-up.
//!
//! | Step | What |
//! |---|---|
//! | `tables` | trains what the tables lack, and writes it to `target/samplers_table/NAME.tsv` row by row; killed, it goes on where it was |
//! | `learn` | meta-trains `hyperq` on the tables of the other data sets, and writes `target/samplers_table/hyperq.qgd` |
//! | `compare` | runs the samplers on wine and letter, prints the figures, and writes `target/samplers_table/samplers.svg` |
//!
//! Without a step it does all three. Data come from `QGD_DATA` or `../shared/data`; without them it says so and does nothing.
//! `letter` is a sub-grid: 10 learning rates, 5 of each of the others. The data sets that `hyperq` learns from are tabulated at random
//! combinations; neither wine nor letter is among them.

mod data;
mod table;

use data::DataSet;
use std::error::Error;
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Where tables, the file and the picture are kept.
const FOLDER: &str = "target/samplers_table";

struct Options {
    steps: Vec<String>,
    n_threads: usize,
}

fn main() -> Result<()> {
    let Some(folder) = data_folder() else {
        eprintln!("skipped: no data at ../shared/data (set QGD_DATA)");
        return Ok(());
    };
    let options = options()?;
    std::fs::create_dir_all(FOLDER)?;
    let wants = |step: &str| options.steps.is_empty() || options.steps.iter().any(|name| name == step);
    if wants("tables") {
        tables(&folder, &options)?;
    }
    Ok(())
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
    let mut options = Options { steps: Vec::new(), n_threads: 1 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            // What cargo adds.
            "--bench" => {}
            "--threads" => options.n_threads = words.next().ok_or("--threads needs a number")?.parse()?,
            "tables" | "learn" | "compare" => options.steps.push(word),
            _ => return Err(format!("`{word}` is no step; there are tables, learn and compare").into()),
        }
    }
    Ok(options)
}
