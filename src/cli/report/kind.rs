//! What an argument is, found by looking into it.

use super::runs::Lines;
use crate::cli::failure::Failure;
use anyhow::{Context, anyhow};
use qgd::Pretrained;
use qgd::artifact::MAGIC;
use qgd::words::{meant, plain};
use serde_json::Value as Json;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// What can be shown, for messages.
const ALLOWED: &str = "a trace of decisions (qgd train --trace), a result of qgd evaluate --json, a controller (file or \
                       name), a study (its name), or a database of studies (file or URL)";
/// The first bytes of every database of SQLite.
const SQLITE: &[u8] = b"SQLite format 3\0";
/// Longest first line that is read to see what a file is.
const MAX_FIRST_LINE: u64 = 1 << 20;
/// Longest file that is read as one value of JSON.
const MAX_JSON: u64 = 1 << 30;

/// What an argument is.
pub enum Kind {
    /// A trace, from its first line on.
    Trace(Lines),
    /// A pretrained file, or the name of one that ships.
    Controller,
    /// What an evaluation wrote.
    Evaluation(Json),
    /// The name of a study.
    Study,
    /// The URL of a storage.
    Storage(String),
}

impl Kind {
    /// What is given is a URL, a file, the name of a controller that ships, or that of a study, in this order.
    pub fn of(given: &str) -> Result<Self, Failure> {
        let path = Path::new(given);
        if given.contains("://") {
            return Ok(Self::Storage(given.to_owned()));
        }
        if path.exists() && !path.is_dir() {
            return Self::of_file(given, path);
        }
        let is_shipped = Pretrained::NAMES.contains(&given);
        Ok(if is_shipped { Self::Controller } else { Self::Study })
    }

    fn of_file(given: &str, path: &Path) -> Result<Self, Failure> {
        let context = || format!("cannot read {}", plain(given));
        let file = File::open(path).with_context(context).map_err(Failure::BadInput)?;
        let mut file = BufReader::new(file);
        let beginning = file.fill_buf().with_context(context).map_err(Failure::BadInput)?;
        if beginning.starts_with(&MAGIC) {
            return Ok(Self::Controller);
        }
        if beginning.starts_with(SQLITE) {
            return Ok(Self::Storage(format!("sqlite:///{given}")));
        }
        let mut first = Vec::new();
        (&mut file)
            .take(MAX_FIRST_LINE)
            .read_until(b'\n', &mut first)
            .with_context(context)
            .map_err(Failure::BadInput)?;
        let is_decision = |json: &Json| json.get("step").is_some() && json.get("reason").is_some();
        if serde_json::from_slice(&first).is_ok_and(|json| is_decision(&json)) {
            return Ok(Self::Trace(Lines::new(first, Box::new(file))));
        }
        file.take(MAX_JSON).read_to_end(&mut first).with_context(context).map_err(Failure::BadInput)?;
        Self::of_json(given, &first)
    }

    fn of_json(given: &str, bytes: &[u8]) -> Result<Self, Failure> {
        let given = plain(given);
        if bytes.trim_ascii().is_empty() {
            return Err(Failure::BadInput(anyhow!("{given} is empty: it has no decision yet, and is nothing else")));
        }
        let parsed = serde_json::from_slice::<Json>(bytes);
        if parsed.as_ref().is_err_and(serde_json::Error::is_eof) && bytes.starts_with(b"{\"step\":") {
            return Err(Failure::BadInput(anyhow!("{given} has no whole decision yet: its first line goes on")));
        }
        let Ok(json) = parsed else {
            let beginning: String = String::from_utf8_lossy(bytes.trim_ascii()).chars().take(40).collect();
            let beginning = plain(&beginning);
            return Err(Failure::BadInput(anyhow!("{given} begins with `{beginning}`, but must be {ALLOWED}")));
        };
        if json.get("problems").is_some() && json.get("controller").is_some() {
            return Ok(Self::Evaluation(json));
        }
        let keys: Vec<&str> = json.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).take(6).collect();
        let found = if keys.is_empty() { "JSON".to_owned() } else { format!("JSON with {}", keys.join(", ")) };
        let found = plain(&found);
        Err(Failure::BadInput(anyhow!("{given} holds {found}, but must be {ALLOWED}")))
    }
}

/// The failure for a name that is neither a file nor a controller nor one of the studies of this storage.
pub fn unknown(given: &str, storage: &str, studies: &[String]) -> Failure {
    let meant = meant(given, studies.iter().map(String::as_str).chain(Pretrained::NAMES));
    let there = if studies.is_empty() { "none".to_owned() } else { studies.join(", ") };
    // The password of a URL is nobody's business.
    let place = storage.rsplit('@').next().unwrap_or(storage);
    Failure::BadInput(anyhow!(
        "there is no file, no controller and no study {}{}{meant}; studies of {}: {}; controllers: {}",
        plain(given),
        folder(given),
        plain(place),
        plain(&there),
        Pretrained::NAMES.join(", "),
    ))
}

/// What to add about a name that is that of a folder.
fn folder(given: &str) -> &'static str {
    if Path::new(given).is_dir() { " (that is a folder)" } else { "" }
}

/// The failure for a name that is neither a file nor a controller, where no study can be looked for.
pub fn no_study(given: &str, failure: Failure) -> Failure {
    let said = format!(
        "there is no file and no controller {}{} (controllers: {}), and no study of this name can be looked for",
        plain(given),
        folder(given),
        Pretrained::NAMES.join(", "),
    );
    match failure {
        Failure::BadInput(error) => Failure::BadInput(error.context(said)),
        Failure::Failed(error) => Failure::Failed(error.context(said)),
        interrupted => interrupted,
    }
}
