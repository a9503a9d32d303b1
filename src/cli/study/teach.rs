//! `qgd study teach`, which makes a file for `--sampler deep-q:FILE` from finished studies.

use crate::cli::failure::Failure;
use crate::cli::progress::Progress;
use anyhow::{Context, anyhow};
use clap::Args;
use qgd::tuner::StudyConfig;
use qgd::tuner::samplers::deep_q::{Lesson, TeachConfig, teach};
use qgd::tuner::storage::Storage;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  qgd study teach digits iris --data digits=1257,64,10 --data iris=105,4,3 -o taught.qgd\n  \
                        qgd tune space.toml --sampler deep-q:taught.qgd,examples=455,inputs=30,classes=2 -- ..."
)]
pub struct TeachArgs {
    /// Studies of the same parameters; each needs more finished trials than --trials says.
    #[arg(required = true)]
    studies: Vec<String>,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Numbers of training examples, inputs and classes of the data of a study (0 classes: regression). May be
    /// repeated.
    #[arg(long, value_name = "STUDY=EXAMPLES,INPUTS,CLASSES", value_parser = data)]
    data: Vec<(String, [u64; 3])>,
    /// Number of short studies that the agent makes on the results of these.
    #[arg(long, default_value_t = 600)]
    episodes: usize,
    /// Number of trials of such a study.
    #[arg(long, default_value_t = 20)]
    trials: usize,
    /// Have an LSTM read the trials, as in Hyp-RL.
    #[arg(long)]
    lstm: bool,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// `STUDY=EXAMPLES,INPUTS,CLASSES`
fn data(text: &str) -> Result<(String, [u64; 3]), String> {
    let wrong = || format!("`{text}` must be STUDY=EXAMPLES,INPUTS,CLASSES with whole numbers");
    let (name, numbers) = text.rsplit_once('=').ok_or_else(wrong)?;
    let numbers: Vec<u64> = numbers.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
    Ok((name.into(), numbers.try_into().map_err(|_| wrong())?))
}

impl TeachArgs {
    pub fn run(&self, storage: &Arc<dyn Storage>) -> Result<(), Failure> {
        if let Some((name, _)) = self.data.iter().find(|(name, _)| !self.studies.contains(name)) {
            return Err(Failure::BadInput(anyhow!("--data names {name}, which is none of the studies")));
        }
        let is_twin = |i: usize| self.studies[..i].contains(&self.studies[i]);
        if let Some(i) = (0..self.studies.len()).find(|&i| is_twin(i)) {
            return Err(Failure::BadInput(anyhow!("the study {} is named twice: name each once", self.studies[i])));
        }
        let is_twin = |i: usize| self.data[..i].iter().any(|(name, _)| *name == self.data[i].0);
        if let Some(i) = (0..self.data.len()).find(|&i| is_twin(i)) {
            return Err(Failure::BadInput(anyhow!("--data names {} twice: give one of the two", self.data[i].0)));
        }
        let settings = |name: &String| StudyConfig::stored_with_space(&**storage, name).map_err(Failure::of_tuner);
        let studies = self.studies.iter().map(settings).collect::<Result<Vec<_>, _>>()?;
        let space = &studies[0].0;
        let lesson = |config: &StudyConfig| {
            let data = self.data.iter().find(|(name, _)| *name == config.name).map(|(_, data)| *data);
            let trials = super::find(&**storage, &config.name)?.1;
            Ok(Lesson::of_trials(config.name.clone(), &trials, config.directions[0], space, data))
        };
        let lessons = studies.iter().map(|(_, config)| lesson(config)).collect::<Result<Vec<_>, Failure>>()?;
        let Self { episodes, trials, seed, .. } = *self;
        let config = TeachConfig { episodes, trials, seed, is_recurrent: self.lstm, ..TeachConfig::default() };
        let progress = Progress::new("studies", episodes as u64, 1);
        let taught = teach(space, &lessons, &config, |n_done, reward| {
            if progress.wants(n_done as u64) {
                progress.show(n_done as u64, || format!("mean reward {reward:.3}"));
            }
        });
        progress.finish();
        let taught = taught.map_err(Failure::bad_input)?;
        let written = taught.save(&self.output);
        written.with_context(|| format!("--output {}", self.output.display()))?;
        say!("{}: deep-q, taught on {} (seed {})", self.output.display(), taught.lessons.join(", "), taught.seed);
        say!("try it: qgd tune SPACE.toml --sampler deep-q:{} -- ...", self.output.display());
        Ok(())
    }
}
