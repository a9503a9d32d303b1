//! A plain text: the target at every character is the next one.
//!
//! The characters are numbered in their Unicode order, and the text is cut into pieces of `context` that do not
//! overlap.

use super::memory::Memory;
use super::{DataError, InputPreparation, Raw, RawInputs, RawTargets, read};
use std::collections::BTreeSet;
use std::path::Path;

pub(super) fn load(path: &Path, context: usize, memory: &mut Memory) -> Result<Raw, DataError> {
    let text = read::text(path, memory)?;
    let alphabet: Vec<char> = text.chars().collect::<BTreeSet<_>>().into_iter().collect();
    let mut numbers = memory.vec(text.chars().count())?;
    numbers.extend(text.chars().map(|c| alphabet.partition_point(|known| *known < c) as u32));
    memory.give_back(text.len(), 1);
    if numbers.len() <= context {
        return Err(DataError::TooFew { path: path.into(), found: 0, needed: 1 });
    }
    let names = alphabet.iter().map(char::to_string).collect();
    let preparation = InputPreparation::Characters { alphabet, context };
    Ok(Raw { inputs: RawInputs::Characters { context, numbers, preparation }, targets: RawTargets::Next { names } })
}
