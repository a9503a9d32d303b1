//! A plain text: the target at every character is the next one.
//!
//! The characters are numbered in their Unicode order, and the text is cut into pieces of `context` that do not
//! overlap.

use super::{DataError, Names, Raw, RawInputs, Targets, read};
use std::collections::BTreeSet;
use std::path::Path;

pub(super) fn load(path: &Path, context: usize) -> Result<Raw, DataError> {
    let text = read::text(path)?;
    let alphabet: Vec<char> = text.chars().collect::<BTreeSet<_>>().into_iter().collect();
    let numbers: Vec<i64> = text.chars().map(|c| alphabet.partition_point(|known| *known < c) as i64).collect();
    let n_examples = numbers.len().saturating_sub(1) / context;
    if n_examples == 0 {
        return Err(DataError::TooFew { path: path.into(), found: 0, needed: 1 });
    }
    let n = n_examples * context;
    let inputs = RawInputs::Tokens { length: context, ids: numbers[..n].to_vec() };
    let targets = Targets::Classes { per_example: context, ids: numbers[1..=n].to_vec() };
    Ok(Raw { inputs, targets, names: Names::default() })
}
