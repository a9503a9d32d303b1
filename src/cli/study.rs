//! `qgd study`, which shows studies of this program and of Optuna, and teaches a sampler on them.

mod teach;

use super::failure::Failure;
use super::outputs::{self, Files};
use super::storage;
use super::trials::{params, print_json, print_rows, print_table, short_json, value, values, whole_json, with_notes};
use anyhow::anyhow;
use clap::{Args, Subcommand};
use qgd::report::Align;
use qgd::tuner::storage::{Seen, Storage, StorageError, StudyRecord};
use qgd::tuner::{Counts, FEW_TRIALS, StudyConfig, Trial, TrialState, best_trials, importance};
use qgd::words::{counted, meant, plain, visible};
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
    List {
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// All trials of a study
    Show {
        study: String,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
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
            Command::List { json } => list(&*storage, *json),
            Command::Show { study, json } => show(&*storage, study, *json),
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
            say!("deleted {}", plain(name));
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
    let meant = meant(name, names.iter().map(String::as_str));
    Err(Failure::BadInput(anyhow!("there is no study {name}{meant}; there are: {known}")))
}

fn find(storage: &dyn Storage, name: &str) -> Result<(StudyRecord, Vec<Trial>), Failure> {
    let record = record(storage, name)?;
    let trials = storage.trials(&record, &Seen::default())?;
    Ok((record, trials))
}

fn list(storage: &dyn Storage, as_json: bool) -> Result<(), Failure> {
    let (mut rows, mut list) = (Vec::new(), Vec::new());
    for study in storage.studies()? {
        let trials = match storage.trials(&study, &Seen::default()) {
            Ok(trials) => trials,
            // One odd study does not hide the others.
            Err(error @ (StorageError::Damaged { .. } | StorageError::NoStudy { .. })) => {
                note!("study {} is left out: {error}", plain(&study.name));
                list.push(json!({ "study": study.name, "error": error.to_string() }));
                rows.push([study.name].into_iter().chain(vec!["?".to_owned(); 6]).collect());
                continue;
            }
            Err(error) => return Err(Failure::of_tuner(error.into())),
        };
        let StudyRecord { name, directions, .. } = study;
        let Counts { waiting, running, complete, pruned, failed } = Counts::of(&trials);
        let best = best_trials(&trials, &directions);
        let best = best.first().filter(|_| directions.len() == 1);
        list.push(json!({
            "study": name, "directions": directions, "complete": complete, "pruned": pruned, "failed": failed,
            "running": running, "waiting": waiting, "best": best.map(|trial| short_json(trial)),
        }));
        let counts = [complete, pruned, failed, running, waiting].map(|n| n.to_string());
        let best = best.map_or("-".into(), |trial| value(trial.values[0]));
        rows.push([name].into_iter().chain(counts).chain([best]).collect());
    }
    if as_json {
        print_json(&json!(list));
        return Ok(());
    }
    let columns = ["complete", "pruned", "failed", "running", "waiting", "best"].map(|name| (name, Align::Right));
    print_rows(&[&[("study", Align::Left)][..], &columns].concat(), rows);
    Ok(())
}

fn show(storage: &dyn Storage, name: &str, as_json: bool) -> Result<(), Failure> {
    let (record, trials) = find(storage, name)?;
    let settings = StudyConfig::stored(storage, name).ok().flatten();
    if as_json {
        let trials: Vec<Json> = trials.iter().map(whole_json).collect();
        print_json(&json!({
            "study": record.name, "directions": record.directions, "settings": settings,
            "user_attrs": record.user_attrs, "trials": trials,
        }));
        return Ok(());
    }
    let directions = record.directions.iter().map(|direction| direction.name()).collect::<Vec<_>>().join(", ");
    say!("{}: {directions}, {}", plain(&record.name), counted(trials.len(), "trial"));
    if let Some(c) = settings {
        let screen = c.screen.map_or(String::new(), |screen| format!(", screen {screen}"));
        let settings = format!("sampler {}, pruner {}, lag {}{screen}, seed {}", c.sampler, c.pruner, c.lag, c.seed);
        say!("{}", plain(&settings));
    }
    say!("");
    let columns =
        [("trial", Align::Right), ("state", Align::Left), ("value", Align::Right), ("parameters", Align::Left)];
    let row =
        |t: &Trial| vec![t.number.to_string(), t.state.to_string(), values(&t.values), params(&t.values_of_params())];
    print_rows(&columns, trials.iter().map(row));
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
        print_json(&found);
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
        return Err(Failure::Failed(anyhow!("{}", no_shares(name, &trials, objective))));
    }
    if as_json {
        print_json(&shares.iter().map(|(name, share)| json!({ "param": name, "importance": share })).collect());
        return Ok(());
    }
    let n = trials.iter().filter(|trial| trial.state == TrialState::Complete).count();
    if n < FEW_TRIALS {
        let trials = counted(n, "complete trial");
        note!("from {trials} that is a guess: below {FEW_TRIALS} the best tenth, which is looked at, is a handful");
    }
    let columns = [("parameter", Align::Left), ("importance", Align::Right)];
    print_rows(&columns, shares.iter().map(|(name, share)| vec![name.clone(), format!("{share:.3}")]));
    Ok(())
}

/// Why nothing is known of what matters.
fn no_shares(name: &str, trials: &[Trial], objective: usize) -> String {
    let complete: Vec<&Trial> = trials.iter().filter(|trial| trial.state == TrialState::Complete).collect();
    let n = counted(complete.len(), "complete trial");
    if complete.is_empty() {
        return format!("{name} has no complete trial yet");
    }
    let is_finite = |trial: &&&Trial| trial.values.get(objective).is_some_and(|value| value.is_finite());
    match complete.iter().find(is_finite) {
        None => format!("{name} has {n}, and no finite value of objective {objective} to compare them by"),
        Some(_) => format!("{name} has {n}, and none of them has a parameter"),
    }
}

fn export(storage: &Arc<dyn Storage>, name: &str, output: Option<&PathBuf>) -> Result<(), Failure> {
    let (_, trials) = find(&**storage, name)?;
    let lines = trials.iter().map(|trial| whole_json(trial).to_string()).collect::<Vec<_>>().join("\n");
    match output {
        None => say!("{}", visible(&lines)),
        Some(path) => outputs::write(path, (lines + "\n").as_bytes())?,
    }
    Ok(())
}
