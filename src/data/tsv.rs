//! Labeled texts, one on a line: `label <tab> ... <tab> text`.
//!
//! Number 0 is padding, 1 an unknown word; then come the most frequent words of the file, and of equally frequent ones
//! the one that comes first.

use super::memory::Memory;
use super::words::{plain, words};
use super::{DataError, InputPreparation, Raw, RawInputs, RawTargets, read};
use std::collections::HashMap;
use std::path::Path;

pub(super) const PADDING: u32 = 0;
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
    // A word that stands only behind the cut of its texts has no place in the embedding.
    let n_used = ids.iter().max().map_or(0, |largest| (*largest as usize + 1).saturating_sub(N_SPECIAL));
    let words = known.iter().take(n_used).map(|word| (*word).to_owned()).collect();
    let preparation = InputPreparation::Words { words, length };
    memory.give_back(2 * text.len(), 1);
    let inputs = RawInputs::Words { length, ids, preparation };
    Ok(Raw { inputs, targets: RawTargets::Classes { ids: labels, names: None } })
}

/// Texts that the net has not seen.
pub(super) struct Texts {
    /// Word numbers, `[n_texts, length]`.
    pub(super) ids: Vec<i64>,
    /// Number of the line of each text, from 1.
    pub(super) places: Vec<u64>,
    /// Labels, where the first line has one.
    pub(super) labels: Option<Vec<u32>>,
}

/// The texts of a file, by the words of the training data.
pub(super) fn read_rows(path: &Path, words: &[String], length: usize, memory: &mut Memory) -> Result<Texts, DataError> {
    let text = read::text(path, memory)?;
    let known: Vec<&str> = words.iter().map(String::as_str).collect();
    let numbers = numbers_of(&known);
    let lines = || (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty());
    let is_labeled = lines().next().is_some_and(|(_, line)| line.contains('\t'));
    let n = lines().count();
    if n == 0 {
        return Err(DataError::NoRows { path: path.into(), header: false });
    }
    let (mut ids, mut places) = (memory.vec(n.saturating_mul(length))?, memory.vec(n)?);
    let mut labels = memory.vec(if is_labeled { n } else { 0 })?;
    for (place, line) in lines() {
        let text = if is_labeled {
            let (label, text) = cells(path, place, line)?;
            labels.push(label);
            text
        } else if line.contains('\t') {
            let found = line.matches('\t').count() + 1;
            return Err(DataError::ColumnCount { path: path.into(), line: place, found, expected: 1 });
        } else {
            line
        };
        ids.extend(encode(&plain(text), &numbers, length).map(i64::from));
        places.push(place);
    }
    Ok(Texts { ids, places, labels: is_labeled.then_some(labels) })
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
