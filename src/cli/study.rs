//! `qgd study`, which shows studies of this program and of Optuna, and teaches a sampler on them.

mod teach;

use super::failure::Failure;
use super::outputs::{self, Files};
use super::storage;
use super::trials::{number_json, params, print_table, values, with_notes};
use anyhow::anyhow;
use clap::{Args, Subcommand};
use qgd::report::{Align, Table, number};
use qgd::tuner::storage::{Seen, Storage, StorageError, StudyRecord};
use qgd::tuner::{Counts, StudyConfig, Trial, best_trials, importance};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Look at studies: list, show, best, importance, export, delete; teach a sampler on them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  qgd study best space --json")]
pub struct StudyArgs {
    #[command(subcommand)]
    command: Command,
    /// Where the studies are kept: sqlite:///FILE or postgresql://USER@HOST/DATABASE
    #[arg(long, default_value = storage::DEFAULT, global = true)]
    storage: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All studies
    List,
    /// All trials of a study
    Show { study: String },
    /// The best trial of a study; with several objectives, the trials that no other beats in all of them
    Best {
        study: String,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// How much each parameter matters: PED-ANOVA, shares that add up to 1
    Importance {
        study: String,
        /// Which objective, counted from 0.
        #[arg(long, value_name = "N", default_value_t = 0)]
        objective: usize,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// All that is known of the trials of a study: one JSON object a line
    Export {
        study: String,
        /// Write a file instead of stdout.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Teach the sampler deep-q on studies of one space on several data sets, for --sampler deep-q:FILE on others
    Teach(teach::TeachArgs),
    /// Remove a study with all its trials
    Delete {
        study: String,
        /// Remove it also while workers are at it; they end when they notice.
        #[arg(long)]
        force: bool,
    },
}

impl StudyArgs {
    pub fn run(&self) -> Result<(), Failure> {
        let mut files = Files::default();
        storage::files(&self.storage).iter().for_each(|file| files.reads("the database of --storage", file));
        match &self.command {
            Command::Export { output, .. } => files.writes("--output", output.as_deref())?,
            Command::Teach(args) => files.writes("--output", Some(&args.output))?,
            _ => {}
        }
        if let Command::Delete { study, force } = &self.command {
            return delete(&*storage::open_existing(&self.storage)?, study, *force);
        }
        let storage = storage::look(&self.storage)?;
        match &self.command {
            // Done already: it is no reading command.
            Command::Delete { .. } => Ok(()),
            Command::List => list(&*storage),
            Command::Show { study } => show(&*storage, study),
            Command::Best { study, json } => best(&*storage, study, *json),
            Command::Importance { study, objective, json } => shares(&*storage, study, *objective, *json),
            Command::Export { study, output } => export(&storage, study, output.as_ref()),
            Command::Teach(args) => args.run(&storage),
        }
    }
}

fn delete(storage: &dyn Storage, name: &str, force: bool) -> Result<(), Failure> {
    match storage.delete(&record(storage, name)?, force) {
        Err(error @ StorageError::Busy { .. }) => Err(Failure::bad_input(error)),
        Err(error) => Err(Failure::of_tuner(error.into())),
        Ok(()) => {
            say!("deleted {name}");
            Ok(())
        }
    }
}

fn record(storage: &dyn Storage, name: &str) -> Result<StudyRecord, Failure> {
    if let Some(record) = storage.study(name)? {
        return Ok(record);
    }
    let names: Vec<String> = storage.studies()?.into_iter().map(|study| study.name).collect();
    let known = if names.is_empty() { "none".into() } else { names.join(", ") };
    Err(Failure::BadInput(anyhow!("there is no study {name}; there are: {known}")))
}

fn find(storage: &dyn Storage, name: &str) -> Result<(StudyRecord, Vec<Trial>), Failure> {
    let record = record(storage, name)?;
    let trials = storage.trials(&record, &Seen::default())?;
    Ok((record, trials))
}

fn list(storage: &dyn Storage) -> Result<(), Failure> {
    let columns = ["complete", "pruned", "failed", "running", "waiting", "best"].map(|name| (name, Align::Right));
    let mut table = Table::new(&[&[("study", Align::Left)][..], &columns].concat());
    for study in storage.studies()? {
        let trials = match storage.trials(&study, &Seen::default()) {
            Ok(trials) => trials,
            // One odd study does not hide the others.
            Err(error @ (StorageError::Damaged { .. } | StorageError::NoStudy { .. })) => {
                note!("study {} is left out: {error}", study.name);
                table.row([study.name].into_iter().chain(vec!["?".to_owned(); columns.len()]));
                continue;
            }
            Err(error) => return Err(Failure::of_tuner(error.into())),
        };
        let StudyRecord { name, directions, .. } = study;
        let Counts { waiting, running, complete, pruned, failed } = Counts::of(&trials);
        let counts = [complete, pruned, failed, running, waiting].map(|n| n.to_string());
        let best = match (directions.len(), best_trials(&trials, &directions).first()) {
            (1, Some(trial)) => number(trial.values[0]),
            _ => "-".into(),
        };
        table.row([name].into_iter().chain(counts).chain([best]));
    }
    say!("{table}");
    Ok(())
}

fn show(storage: &dyn Storage, name: &str) -> Result<(), Failure> {
    let (record, trials) = find(storage, name)?;
    let directions: Vec<Json> = record.directions.iter().map(|direction| json!(direction)).collect();
    let directions = directions.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", ");
    say!("{}: {directions}, {} trials", record.name, trials.len());
    if let Ok(Some(c)) = StudyConfig::stored(storage, name) {
        let screen = c.screen.map_or(String::new(), |screen| format!(", screen {screen}"));
        say!("sampler {}, pruner {}, lag {}{screen}, seed {}", c.sampler, c.pruner, c.lag, c.seed);
    }
    let columns =
        [("trial", Align::Right), ("state", Align::Left), ("value", Align::Right), ("parameters", Align::Left)];
    let mut table = Table::new(&columns);
    for trial in &trials {
        let state = format!("{:?}", trial.state).to_lowercase();
        table.row([trial.number.to_string(), state, values(&trial.values), params(trial)]);
    }
    say!("\n{table}");
    Ok(())
}

fn best(storage: &dyn Storage, name: &str, as_json: bool) -> Result<(), Failure> {
    let (record, trials) = find(storage, name)?;
    let best = best_trials(&trials, &record.directions);
    if best.is_empty() {
        return Err(Failure::Failed(anyhow!("{name} has no complete trial yet that keeps its constraints")));
    }
    if as_json {
        let found: Vec<Json> = best.iter().map(|trial| with_notes(trial)).collect();
        let found = if record.directions.len() == 1 { found[0].clone() } else { json!(found) };
        say!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        print_table(&best, &record.directions);
    }
    Ok(())
}

fn shares(storage: &dyn Storage, name: &str, objective: usize, as_json: bool) -> Result<(), Failure> {
    let (record, trials) = find(storage, name)?;
    let n = record.directions.len();
    let direction = record.directions.get(objective).copied();
    let direction = direction.ok_or_else(|| {
        Failure::BadInput(anyhow!("`--objective` is {objective}, but must be below {n}, the number of objectives"))
    })?;
    let shares = importance(&trials, objective, direction);
    if shares.is_empty() {
        return Err(Failure::Failed(anyhow!("{name} has no complete trial yet")));
    }
    if as_json {
        let all: Vec<Json> = shares.iter().map(|(name, share)| json!({ "param": name, "importance": share })).collect();
        say!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    let mut table = Table::new(&[("parameter", Align::Left), ("importance", Align::Right)]);
    shares.iter().for_each(|(name, share)| table.row([name.clone(), format!("{share:.3}")]));
    say!("{table}");
    Ok(())
}

fn export(storage: &Arc<dyn Storage>, name: &str, output: Option<&PathBuf>) -> Result<(), Failure> {
    let (_, trials) = find(&**storage, name)?;
    let line = |trial: &Trial| {
        let mut json = with_notes(trial);
        json["state"] = json!(trial.state);
        let steps = trial.intermediate.iter().map(|(step, value)| json!([step, number_json(*value)]));
        json["intermediate"] = steps.collect();
        json["system_attrs"] = json!(trial.system_attrs);
        json["started"] = json!(trial.started);
        json["completed"] = json!(trial.completed);
        json.to_string()
    };
    let lines = trials.iter().map(line).collect::<Vec<_>>().join("\n");
    match output {
        None => say!("{lines}"),
        Some(path) => outputs::write(path, (lines + "\n").as_bytes())?,
    }
    Ok(())
}
