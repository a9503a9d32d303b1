//! What a line of `qgd ask-tell` asks for, and its answer.

use crate::cli::failure;
use crate::cli::trials::short_json;
use anyhow::{Context, Result, anyhow};
use qgd::tuner::{Outcome, Study, Value, read_line};
use qgd::words::meant;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// The answer to a line; None for a blank one.
pub fn answer(study: &Study, line: &str) -> Option<Json> {
    // Some shells begin what they pipe with a byte order mark.
    let line = line.trim_start_matches('\u{feff}');
    let served = || served(study, line).unwrap_or_else(|error| json!({ "error": failure::in_words(&error) }));
    (!line.trim().is_empty()).then(served)
}

fn served(study: &Study, line: &str) -> Result<Json> {
    let json = read_line(line)?;
    let verbs = "one of \"ask\", \"report\", \"tell\", \"enqueue\", \"best\"";
    let object = json.as_object().filter(|object| object.len() == 1);
    let (verb, about) =
        object.and_then(|object| object.iter().next()).ok_or_else(|| anyhow!("give an object with {verbs}"))?;
    let only = |known: &[&str]| only(verb, about, known);
    match verb.as_str() {
        "ask" => {
            only(&[])?;
            let trial = study.ask()?;
            Ok(json!({ "trial": trial.number(), "params": trial.params() }))
        }
        "report" => {
            only(&["trial", "step", "value"])?;
            let trial = trial_of(about)?;
            let step = about["step"].as_i64().ok_or_else(|| anyhow!("`report.step` must be a whole number"))?;
            let value = Outcome::number(&about["value"]).ok_or_else(|| anyhow!("`report.value` must be a number"))?;
            study.report(trial, step, value)?;
            let prune = study.config().directions.len() == 1 && study.should_prune(trial)?;
            Ok(json!({ "prune": prune }))
        }
        "tell" => {
            only(&["trial", "value", "values", "constraints", "state"])?;
            study.tell(trial_of(about)?, outcome(about)?)?;
            Ok(json!({ "ok": true }))
        }
        "enqueue" => {
            only(&["params"])?;
            let fixed: BTreeMap<String, Value> =
                serde_json::from_value(about["params"].clone()).context("`enqueue.params`")?;
            study.enqueue(&fixed)?;
            Ok(json!({ "ok": true }))
        }
        "best" => {
            only(&[])?;
            Ok(match study.config().directions.len() {
                1 => json!({ "best": study.best()?.as_ref().map(short_json) }),
                _ => json!({ "best": study.best_trials()?.iter().map(short_json).collect::<Vec<_>>() }),
            })
        }
        other => {
            let meant = meant(other, ["ask", "report", "tell", "enqueue", "best"]);
            Err(anyhow!("`{other}` is nothing that can be asked for{meant}; give {verbs}"))
        }
    }
}

/// Refuses keys that are not known, and what is no object: what they say would be lost.
fn only(verb: &str, about: &Json, known: &[&str]) -> Result<()> {
    let Some(object) = about.as_object() else {
        return Err(anyhow!("`{verb}` is {about}, but must be an object, as {{\"{verb}\":{{}}}}"));
    };
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) if known.is_empty() => Err(anyhow!("`{verb}` has no `{key}`; it may have nothing")),
        Some(key) => {
            let meant = meant(key, known.iter().copied());
            Err(anyhow!("`{verb}` has no `{key}`{meant}; it may have {}", known.join(", ")))
        }
        None => Ok(()),
    }
}

fn trial_of(about: &Json) -> Result<usize> {
    let number = about["trial"].as_u64().and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| anyhow!("`trial` must be the number of a trial"))
}

fn outcome(about: &Json) -> Result<Outcome> {
    match about.get("state").map(|state| state.as_str().unwrap_or_default()) {
        Some(state @ ("fail" | "pruned")) if about.get("values").or(about.get("value")).is_some() => {
            Err(anyhow!("`tell` has values and `state` {state:?}: only a complete trial has values"))
        }
        Some("fail") => Ok(Outcome::failed("the program said so")),
        Some("pruned") => Ok(Outcome::pruned()),
        None | Some("complete") => Outcome::read(about)
            .context("`tell`")?
            .ok_or_else(|| anyhow!("`tell` must have \"values\": [NUMBERS], or \"state\": \"fail\" or \"pruned\"")),
        Some(other) => Err(anyhow!("`tell.state` is {other:?}, but must be \"complete\", \"pruned\" or \"fail\"")),
    }
}
