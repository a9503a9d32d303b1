//! Labeled texts, one on a line: `label <tab> ... <tab> text`.
//!
//! The text is taken in lower case, and a word is a run of the characters `[a-z']`. Number 0 is padding, 1 an unknown
//! word; then come the most frequent words of the file, and of equally frequent ones the one that comes first.

use super::{DataError, Names, Raw, RawInputs, Targets, read};
use std::collections::HashMap;
use std::path::Path;

const PADDING: i64 = 0;
const UNKNOWN: i64 = 1;
/// Number of these two.
pub(super) const N_SPECIAL: usize = 2;
/// Largest label. Chosen by us: a larger one is a sign of the wrong column.
const MAX_LABEL: i64 = 9_999;

pub(super) fn load(path: &Path, vocabulary: usize, length: usize) -> Result<Raw, DataError> {
    let text = read::text(path)?;
    let mut labels = Vec::new();
    let mut texts = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty()) {
        let (label, text) = cells(path, number, line)?;
        labels.push(label);
        texts.push(text.to_lowercase());
    }
    let words = vocabulary_of(&texts, vocabulary - N_SPECIAL);
    let numbers = numbers(&words);
    let ids = texts.iter().flat_map(|text| encode(text, &numbers, length)).collect();
    let targets = Targets::Classes { per_example: 1, ids: labels };
    let names = Names { words, ..Names::default() };
    Ok(Raw { inputs: RawInputs::Tokens { length, ids }, targets, names })
}

/// Label and text of a line.
pub(super) fn cells<'a>(path: &Path, line: u64, row: &'a str) -> Result<(i64, &'a str), DataError> {
    let (label, _) = row.split_once('\t').unwrap_or((row, ""));
    let (_, text) = row.rsplit_once('\t').ok_or_else(|| DataError::ColumnCount {
        path: path.into(),
        line,
        found: 1,
        expected: 2,
    })?;
    let number = label.trim().parse().ok().filter(|label| (0..=MAX_LABEL).contains(label));
    let wrong = || DataError::NotALabel { path: path.into(), line, label: label.to_owned(), max: MAX_LABEL };
    Ok((number.ok_or_else(wrong)?, text))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_lowercase() && c != '\'').filter(|word| !word.is_empty())
}

/// The words that have a number, in the order of their numbers.
fn vocabulary_of(texts: &[String], size: usize) -> Vec<String> {
    let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
    for (place, word) in texts.iter().flat_map(|text| words(text)).enumerate() {
        counts.entry(word).or_insert((0, place)).0 += 1;
    }
    let mut ranked: Vec<_> = counts.into_iter().collect();
    ranked.sort_unstable_by_key(|(_, (count, first))| (std::cmp::Reverse(*count), *first));
    ranked.into_iter().take(size).map(|(word, _)| word.to_owned()).collect()
}

/// Number of each word.
pub(super) fn numbers(words: &[String]) -> HashMap<&str, i64> {
    words.iter().map(String::as_str).zip(N_SPECIAL as i64..).collect()
}

/// Numbers of the words of a text in lower case, cut or padded to `length`.
pub(super) fn encode(text: &str, numbers: &HashMap<&str, i64>, length: usize) -> impl Iterator<Item = i64> {
    words(text).map(|word| numbers.get(word).copied().unwrap_or(UNKNOWN)).chain(std::iter::repeat(PADDING)).take(length)
}
