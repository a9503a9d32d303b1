//! The measured tables that a recipe names.

use crate::cli::failure::Failure;
use anyhow::{Context, Result, anyhow};
use qgd::meta::Tables;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The tables of these names.
pub(super) fn read(names: &[String], folder: Option<&Path>) -> Result<Tables, Failure> {
    if names.is_empty() {
        return Ok(Tables::default());
    }
    let Some(folder) = folder else {
        let names = names.join(", ");
        return Err(Failure::BadInput(anyhow!(
            "the recipe names tables ({names}): say in which folder they are, --data-dir DIR"
        )));
    };
    let texts = names.iter().map(|name| Ok((name.as_str(), text(&folder.join(format!("{name}.csv")))?)));
    let texts = texts.collect::<Result<Vec<_>, Failure>>()?;
    Tables::parse(texts.iter().map(|(name, text)| (*name, text.as_str()))).map_err(Failure::bad_input)
}

/// The text of a file, or of its compressed form beside it, all members of it.
fn text(path: &Path) -> Result<String, Failure> {
    let compressed = path.with_extension("csv.gz");
    let mut text = String::new();
    let read = match File::open(path) {
        Ok(mut file) => file.read_to_string(&mut text),
        Err(error) => match File::open(&compressed) {
            Ok(file) => flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text),
            Err(_) => Err(error),
        },
    };
    read.with_context(|| format!("cannot read {} nor {}", path.display(), compressed.display()))
        .map_err(Failure::BadInput)?;
    Ok(text)
}
