//! `qgd ask-tell`: a study for programs in any language, over stdin and stdout, a line of JSON each.

use super::failure::Failure;
use super::trials::short_json;
use super::tune::{StudyArgs, read_space};
use anyhow::{Context, Result, anyhow};
use clap::Args;
use qgd::tuner::{Outcome, Study, Value, read_python_json};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::path::PathBuf;

/// Serve a study to a program in any language: lines of JSON on stdin, answers on stdout.
///
/// {"ask":{}} is answered {"trial":0,"params":{...}}. {"report":{"trial":0,"step":3,"value":0.9}} is answered
/// {"prune":false}. {"tell":{"trial":0,"values":[1.2]}} or {"tell":{"trial":0,"state":"fail"}} (or "pruned") is
/// answered {"ok":true}. {"enqueue":{"params":{...}}} has these parameters tried next. {"best":{}} answers the best
/// trial, or null; with several objectives the front. A line that cannot be served is answered {"error":"..."}, and the
/// next one is read.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  echo '{\"ask\":{}}' | qgd ask-tell --space space.toml")]
pub struct AskTellArgs {
    /// Space that is searched: a TOML file.
    #[arg(long)]
    space: PathBuf,
    /// Where the study is kept: sqlite:///FILE, postgresql://USER@HOST/DATABASE (its password in PGPASSWORD) or memory:
    #[arg(long, default_value = "memory:")]
    storage: String,
    #[command(flatten)]
    study: StudyArgs,
}

impl AskTellArgs {
    pub fn run(&self) -> Result<(), Failure> {
        let study = self.study.open(&self.space, read_space(&self.space)?, &self.storage, 1)?;
        for line in io::stdin().lock().split(b'\n') {
            let line = line.context("cannot read stdin")?;
            let line = String::from_utf8_lossy(&line);
            // Some shells begin what they pipe with a byte order mark.
            let line = line.trim_start_matches('\u{feff}');
            if !line.trim().is_empty() {
                let answer = served(&study, line).unwrap_or_else(|error| json!({ "error": format!("{error:#}") }));
                say!("{answer}");
            }
        }
        Ok(())
    }
}

fn served(study: &Study, line: &str) -> Result<Json> {
    let json = match read_python_json(line) {
        Some(json) => json,
        None => serde_json::from_str(line).context("this is no JSON")?,
    };
    let verbs = "one of \"ask\", \"report\", \"tell\", \"enqueue\", \"best\"";
    let object = json.as_object().filter(|object| object.len() == 1);
    let (verb, about) =
        object.and_then(|object| object.iter().next()).ok_or_else(|| anyhow!("give an object with {verbs}"))?;
    match verb.as_str() {
        "ask" => {
            let trial = study.ask()?;
            Ok(json!({ "trial": trial.number(), "params": trial.params() }))
        }
        "report" => {
            let trial = trial_of(about)?;
            let step = about["step"].as_i64().ok_or_else(|| anyhow!("`report.step` must be a whole number"))?;
            let value = Outcome::number(&about["value"]).ok_or_else(|| anyhow!("`report.value` must be a number"))?;
            study.report(trial, step, value)?;
            let prune = study.config().directions.len() == 1 && study.should_prune(trial)?;
            Ok(json!({ "prune": prune }))
        }
        "tell" => {
            study.tell(trial_of(about)?, outcome(about)?)?;
            Ok(json!({ "ok": true }))
        }
        "enqueue" => {
            let fixed: BTreeMap<String, Value> =
                serde_json::from_value(about["params"].clone()).context("`enqueue.params`")?;
            study.enqueue(&fixed)?;
            Ok(json!({ "ok": true }))
        }
        "best" if study.config().directions.len() == 1 => Ok(json!({ "best": study.best()?.as_ref().map(short_json) })),
        "best" => Ok(json!({ "best": study.best_trials()?.iter().map(short_json).collect::<Vec<_>>() })),
        other => Err(anyhow!("`{other}` is nothing that can be asked for; give {verbs}")),
    }
}

fn trial_of(about: &Json) -> Result<usize> {
    let number = about["trial"].as_u64().and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| anyhow!("`trial` must be the number of a trial"))
}

fn outcome(about: &Json) -> Result<Outcome> {
    match about.get("state").map(|state| state.as_str().unwrap_or_default()) {
        Some("fail") => Ok(Outcome::failed("the program said so")),
        Some("pruned") => Ok(Outcome::pruned()),
        None | Some("complete") => Outcome::read(about)
            .context("`tell`")?
            .ok_or_else(|| anyhow!("`tell` must have \"values\": [NUMBERS], or \"state\": \"fail\" or \"pruned\"")),
        Some(other) => Err(anyhow!("`tell.state` is {other:?}, but must be \"complete\", \"pruned\" or \"fail\"")),
    }
}
