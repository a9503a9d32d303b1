//! `qgd merge`: several pretrained controllers as one.

use super::arguments;
use super::failure::Failure;
use super::outputs::Files;
use anyhow::anyhow;
use clap::Args;
use qgd::Pretrained;
use qgd::controller::Card;
use qgd::meta::{TrainingRecipe, ValidationSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Put the networks of several pretrained controllers together as one ensemble.
///
/// Their Q-values add up, each for the values that it moves. Controllers that see and do the same need no more; others need the recipe of the
/// whole (--recipe), whose features and moves must have room for theirs. The card of the whole keeps those of its parts.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  qgd merge one.qgd another.qgd -o both.qgd
  qgd merge weight-decay lr --recipe joint --measure -o joint.qgd")]
pub struct MergeArgs {
    /// Pretrained files, or names of controllers that ship with qgd. At least two.
    #[arg(required = true, num_args = 2..)]
    controllers: Vec<String>,
    /// Where the pretrained file goes.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// What the whole is to see and do. [default: what the first of them says]
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Measure the whole on the validation tasks of its recipe, for its card. Takes a minute or two.
    #[arg(long)]
    measure: bool,
}

impl MergeArgs {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let name = self
            .output
            .file_stem()
            .ok_or_else(|| Failure::BadInput(anyhow!("--output {} is no name of a file", self.output.display())))?;
        let mut files = Files::default();
        self.controllers.iter().for_each(|given| files.reads_controller(given));
        self.recipe.iter().for_each(|recipe| files.reads("the recipe", recipe));
        files.writes("--output", Some(&self.output))?;
        // With its training, so that a mistake there is not written into the file.
        let recipe = self.recipe.as_deref().map(TrainingRecipe::load).transpose().map_err(Failure::bad_input)?;
        let recipe = recipe.map(|recipe| recipe.whole());
        let open = |given: &String| {
            let stem = Path::new(given).file_stem().map_or(given.clone(), |stem| stem.to_string_lossy().into_owned());
            let name = if Pretrained::is_file(given) { stem } else { given.clone() };
            Pretrained::open(given).map(|part| (name, part)).map_err(Failure::bad_input)
        };
        let parts = self.controllers.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let mut whole = Pretrained::merge(&name.to_string_lossy(), recipe, &parts).map_err(Failure::bad_input)?;
        if self.measure {
            whole = measured(whole)?;
        }
        whole.save(&self.output).map_err(|error| Failure::of(error.into()))?;
        say!("{}: {} networks of {} controllers", self.output.display(), whole.networks().len(), parts.len());
        Ok(())
    }
}

/// The controller with its results on the validation tasks of its recipe, drawn by the seed of its first part.
fn measured(whole: Pretrained) -> Result<Pretrained, Failure> {
    let recipe = TrainingRecipe::of(whole.recipe()).map_err(Failure::bad_input)?;
    let n_threads = arguments::jobs(None);
    note!("measuring on {} validation tasks ...", recipe.training.validation_tasks);
    let tasks =
        ValidationSet::draw(&recipe, whole.card().seed, n_threads).map_err(|error| Failure::of(error.into()))?;
    let whole = Arc::new(whole);
    let score = tasks.score(&whole, n_threads).map_err(|error| Failure::of(error.into()))?;
    let card = Card { evaluation: score.rows, ..whole.card().clone() };
    let measured = Pretrained::new(whole.recipe().clone(), whole.networks().to_vec(), whole.ranges().to_vec(), card);
    measured.map_err(Failure::bad_input)
}
