//! `qgd report`: runs, studies, controllers and evaluations as one page that a browser shows without a network.

mod controller;
mod evaluation;
mod kind;
mod page;
mod runs;
mod study;
mod tint;

use super::failure::Failure;
use super::outputs::{self, Files};
use super::storage;
use clap::Args;
use kind::Kind;
use page::{Page, Section};
use runs::Runs;
use std::path::{Path, PathBuf};

/// Draw training runs, studies, controllers and evaluations: one page for a browser, which needs no network.
///
/// What an argument is is found by looking into it; several make one page, in this order. Traces are laid over each
/// other. The page can be sent to others, printed, and read by keyboard and screen reader: behind each chart is its
/// table.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  Three runs laid over each other (qgd train digits --lr 1e-5 --controller lr --trace low.jsonl):
    qgd report low.jsonl high.jsonl cosine.jsonl -o runs.html
  A study by name, or all studies of a database:
    qgd report space -o study.html
    qgd report sqlite:///qgd.db -o studies.html
  What a controller is and does, one that ships or one of yours, and an evaluation of it:
    qgd report lr -o lr.html
    qgd evaluate my.qgd --quick --json my.json
    qgd report my.qgd my.json -o my.html")]
pub struct ReportArgs {
    /// What is shown: traces (`qgd train --trace`, or decisions that Python wrote down), studies by name, databases of
    /// studies (files or URLs), controllers (files or names), results of `qgd evaluate --json`
    #[arg(required = true, value_name = "RUN|STUDY|FILE")]
    given: Vec<String>,
    /// The page that is written; one that is there is replaced
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
    /// Where studies are kept that are given by name: sqlite:///FILE or postgresql://USER@HOST/DATABASE
    #[arg(long, default_value = storage::DEFAULT)]
    storage: String,
}

impl ReportArgs {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let mut files = Files::default();
        for given in &self.given {
            // What is not there is the name of something.
            Some(Path::new(given)).filter(|file| file.exists()).iter().for_each(|file| files.reads("the input", file));
            storage::files(given).iter().for_each(|file| files.reads("the input", file));
        }
        storage::files(&self.storage).iter().for_each(|file| files.reads("the database of --storage", file));
        files.writes("--output", Some(&self.output))?;
        let page = self.page()?;
        let text = page.html()?;
        outputs::write(&self.output, text.as_bytes())?;
        let n_kilobytes = text.len().div_ceil(1000);
        say!("{}: {}; {n_kilobytes} kB", self.output.display(), page.contents());
        Ok(())
    }

    fn page(&self) -> Result<Page, Failure> {
        let mut sections = Vec::new();
        let mut runs: Option<(usize, Runs)> = None;
        for given in &self.given {
            match Kind::of(given)? {
                Kind::Trace(lines) => {
                    let (_, runs) = runs.get_or_insert_with(|| (sections.len(), Runs::default()));
                    runs.add(given, lines)?;
                }
                Kind::Controller => sections.push(Section::Controller(controller::of(given)?)),
                Kind::Evaluation(json) => sections.push(Section::Evaluation(evaluation::of(given, json)?)),
                Kind::Study => sections.push(Section::Study(study::named(given, &self.storage)?)),
                Kind::Storage(url) => sections.extend(study::all(&url)?.into_iter().map(Section::Study)),
            }
        }
        if let Some((place, runs)) = runs {
            sections.insert(place, Section::Runs(runs));
        }
        Ok(Page::new(sections))
    }
}
