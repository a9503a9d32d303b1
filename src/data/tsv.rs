//! Labeled texts, one on a line: `label <tab> ... <tab> text`.
//!
//! Number 0 is padding, 1 an unknown word; then come the most frequent words of the file, and of equally frequent ones
//! the one that comes first.

use super::memory::Memory;
use super::words::{plain, words};
use super::{DataError, InputPreparation, Inputs, Raw, RawInputs, RawTargets, read};
use std::collections::HashMap;
use std::path::Path;

const PADDING: u32 = 0;
const UNKNOWN: u32 = 1;
/// Number of these two.
const N_SPECIAL: usize = 2;
/// Largest label. Chosen by us: a larger one is a sign of the wrong column.
const MAX_LABEL: u32 = 9_999;

pub(super) fn load(path: &Path, vocabulary: usize, length: usize, memory: &mut Memory) -> Result<Raw, DataError> {
    let text = read::text(path, memory)?;
    // The texts in lower case are a copy.
    memory.take(text.len(), 1)?;
    let (mut labels, mut texts) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty()) {
        let (label, text) = cells(path, number, line)?;
        memory.take(1, size_of::<u32>() + size_of::<String>())?;
        labels.push(label);
        texts.push(plain(text));
    }
    if texts.is_empty() {
        return Err(DataError::NoRows { path: path.into(), header: false });
    }
    let known = vocabulary_of(&texts, vocabulary - N_SPECIAL, memory)?;
    if known.is_empty() {
        return Err(DataError::NoWords { path: path.into() });
    }
    let numbers = numbers_of(&known);
    let mut ids = memory.vec(texts.len().saturating_mul(length))?;
    for text in &texts {
        ids.extend(encode(text, &numbers, length));
    }
    let preparation = InputPreparation::Words { words: known.iter().map(|word| (*word).to_owned()).collect(), length };
    memory.give_back(2 * text.len(), 1);
    let inputs = RawInputs::Words { length, ids, preparation };
    Ok(Raw { inputs, targets: RawTargets::Classes { ids: labels, names: None } })
}

/// The texts of a file, by the words of the training data. A line may have a label or not.
pub(super) fn read_inputs(
    path: &Path,
    words: &[String],
    length: usize,
    memory: &mut Memory,
) -> Result<Inputs, DataError> {
    let text = read::text(path, memory)?;
    let known: Vec<&str> = words.iter().map(String::as_str).collect();
    let numbers = numbers_of(&known);
    let lines = || text.lines().filter(|line| !line.is_empty());
    let mut ids = memory.vec(lines().count().saturating_mul(length))?;
    for line in lines() {
        let text = line.rsplit_once('\t').map_or(line, |(_, text)| text);
        ids.extend(encode(&plain(text), &numbers, length).map(i64::from));
    }
    if ids.is_empty() {
        return Err(DataError::NoRows { path: path.into(), header: false });
    }
    Ok(Inputs::Tokens { length, ids })
}

fn cells<'a>(path: &Path, line: u64, row: &'a str) -> Result<(u32, &'a str), DataError> {
    let (label, _) = row.split_once('\t').unwrap_or((row, ""));
    let (_, text) = row.rsplit_once('\t').ok_or_else(|| DataError::ColumnCount {
        path: path.into(),
        line,
        found: 1,
        expected: 2,
    })?;
    let number = label.trim().parse().ok().filter(|label| *label <= MAX_LABEL);
    let wrong = || DataError::NotALabel { path: path.into(), line, label: label.to_owned(), max: i64::from(MAX_LABEL) };
    Ok((number.ok_or_else(wrong)?, text))
}

/// The most frequent words, at most `size`.
fn vocabulary_of<'a>(texts: &'a [String], size: usize, memory: &mut Memory) -> Result<Vec<&'a str>, DataError> {
    let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
    for (place, word) in texts.iter().flat_map(|text| words(text)).enumerate() {
        counts.entry(word).or_insert((0, place)).0 += 1;
    }
    memory.take(counts.len(), 2 * size_of::<(&str, (usize, usize))>())?;
    let mut ranked: Vec<_> = counts.into_iter().collect();
    ranked.sort_unstable_by_key(|(_, (count, first))| (std::cmp::Reverse(*count), *first));
    Ok(ranked.into_iter().take(size).map(|(word, _)| word).collect())
}

fn numbers_of<'a>(words: &[&'a str]) -> HashMap<&'a str, u32> {
    words.iter().copied().zip(N_SPECIAL as u32..).collect()
}

fn encode(text: &str, numbers: &HashMap<&str, u32>, length: usize) -> impl Iterator<Item = u32> {
    words(text).map(|word| numbers.get(word).copied().unwrap_or(UNKNOWN)).chain(std::iter::repeat(PADDING)).take(length)
}
