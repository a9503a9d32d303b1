//! `qgd reproduce`: the experiment of a source paper, run again, and the paper's table beside ours.
//!
//! An experiment is made of units, each with a key that names all that it depends on: a net that is trained, an episode.
//! Finished units are kept, so that a killed run goes on, and a unit that two parts of an experiment share is done once.
//! Everything else (what a sampler proposes, means, tables, figures) is computed anew from the units, so that a run that
//! was killed writes the report that it would have written anyway.

mod cifar;
mod document;
mod gardner;
mod hu;
mod hyperq;
mod kept;
mod lab;
mod mohamed;
mod small_net;
mod studies;
mod taught;
mod vashishtha;

use super::ending;
use super::failure::Failure;
use super::outputs::{Files, Results};
use super::setting::Machine;
use document::Document;
use lab::Lab;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  A look at it in a minute, with the data sets below ./data (`qgd data wine letter --fetch`):
    qgd reproduce mohamed --quick
  The whole experiment. It may be killed at any time; the same line goes on:
    qgd reproduce mohamed --out papers";

/// Rerun the experiment of a source paper, and lay its table beside ours
///
/// Writes PAPER.md, its figures, PAPER.json with every number and seed, and PAPER.jsonl, in which finished nets are kept:
/// the same line again goes on where it was.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ReproduceArgs {
    #[command(subcommand)]
    paper: Paper,
}

#[derive(clap::Subcommand)]
enum Paper {
    /// Gardner, Chen and Walker: the techniques of its Table 1 with measured columns: quality, cost, workers, early stopping
    Gardner(Flags),
    /// Hu, Zhang and Shi: a deep Q-network moves the learning rate of gradient descent on CIFAR-10
    Hu(Flags),
    /// HyperQ-Opt: its three next checks: Q-learning against other tuners, ways to explore, transfer between data sets
    Hyperq(Flags),
    /// Mohamed and others: policy gradients choose the hyperparameters of a small net, on wine and letters
    Mohamed(Flags),
    /// Vashishtha: a table of Q-values chooses the hyperparameters of nets on MNIST, CIFAR-10 and IMDB
    Vashishtha(Flags),
}

/// Flags of every paper.
#[derive(clap::Args)]
pub struct Flags {
    /// A look at it in a minute or two: fewer seeds, a part of the work and of the data. The report says how much
    #[arg(long)]
    quick: bool,
    /// Multiple of the iterations, episodes or trials: of those of the paper, or of those of --quick. Below 1 `hu` has fewer pictures too
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = multiple, allow_negative_numbers = true)]
    scale: f64,
    /// Number of seeds [default: 3, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
    /// Folder of the report, its figures, and what is kept of an unfinished run
    #[arg(long, value_name = "DIR", default_value = "reproduced", help_heading = "Output")]
    out: PathBuf,
    /// Write every figure as PNG too, beside its SVG
    #[cfg(feature = "png")]
    #[arg(long, help_heading = "Output")]
    png: bool,
    #[command(flatten)]
    machine: Machine,
    /// Nets in training at the same time, each on one thread [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<u16>::new().range(1..=1024), help_heading = "Machine")]
    jobs: Option<u16>,
}

fn multiple(text: &str) -> Result<f64, String> {
    let multiple = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if 0.0 < multiple && multiple <= 100.0 {
        Ok(multiple)
    } else {
        Err(format!("{text} is not above 0 and at most 100"))
    }
}

impl ReproduceArgs {
    pub fn run(&self) -> Result<(), Failure> {
        match &self.paper {
            Paper::Gardner(flags) => flags.run("gardner", gardner::reproduce),
            Paper::Hu(flags) => flags.run("hu", hu::reproduce),
            Paper::Hyperq(flags) => flags.run("hyperq", hyperq::reproduce),
            Paper::Mohamed(flags) => flags.run("mohamed", mohamed::reproduce),
            Paper::Vashishtha(flags) => flags.run("vashishtha", vashishtha::reproduce),
        }
    }
}

impl Flags {
    fn run(&self, paper: &'static str, reproduce: fn(&Lab) -> Result<Document, Failure>) -> Result<(), Failure> {
        let lab = Lab::new(paper, self)?;
        let names = [lab.file("md"), lab.file("json"), lab.file("jsonl")];
        let mut files = Files::default();
        files.writes_folder("--out", Some(&self.out), &names.each_ref().map(String::as_str))?;
        let (kept, folder) = (lab.file("jsonl"), self.out.display());
        note!("{paper}: what is finished is kept in {folder}/{kept}; the same line goes on there after a kill");
        let document = ending::by_signal(|| lab.kept_in_words(), || reproduce(&lab))??;
        let mut results = Results::default();
        document.write(&self.out, &mut results);
        #[cfg(feature = "png")]
        if self.png {
            document.write_png(&self.out, &mut results);
        }
        results.tell(document.text().trim_end())
    }
}
