//! Finished runs, one line of JSON each, written when a run ends. So a killed evaluation can go on, and the runs of
//! rivals serve every controller. A line with no steps tells the loss of a net before its training, and how many
//! examples there are.

use crate::cli::failure::Failure;
use crate::cli::lines::{self, Lines};
use crate::cli::run::Scores;
use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file in the folder of the cache.
pub const FILE_NAME: &str = "cells.jsonl";

/// Result of a run. A loss that is not finite is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub train_loss: Option<f64>,
    pub validation_loss: Option<f64>,
    pub test_loss: Option<f64>,
    /// `None` in regression.
    pub test_accuracy: Option<f64>,
    pub rollbacks: u64,
}

/// What is known of a net before its training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Untrained {
    /// Loss over the training split.
    pub loss: f64,
    /// Number of examples in the training split.
    pub n_examples: u64,
}

/// A line of the file. Key, score, seconds and number of examples are read; the rest is for people.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    pub key: String,
    pub task: String,
    pub optimizer: String,
    pub steps: u64,
    pub method: String,
    pub lr: f64,
    pub seed: u64,
    pub score: Score,
    pub wall_s: f64,
    /// Number of examples in the training split, in the line of an untrained net.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_examples: Option<u64>,
}

/// What is read of a line.
#[derive(Debug, Clone, Copy)]
struct Known {
    score: Score,
    wall_s: f64,
    n_examples: Option<u64>,
}

/// The file and its contents.
pub struct Cache {
    path: PathBuf,
    known: Mutex<BTreeMap<String, Known>>,
    /// The file to append to, once [`Cache::open`] was called.
    file: Mutex<Option<Lines>>,
    /// First error of a write. Later runs are known to this evaluation alone.
    failure: Mutex<Option<Failure>>,
    /// Number of lines that could not be read.
    pub n_damaged: usize,
}

impl Score {
    pub fn of(scores: &Scores, rollbacks: u64) -> Self {
        let finite = |loss: f64| Some(loss).filter(|loss| loss.is_finite());
        Self {
            train_loss: finite(scores.train.loss),
            validation_loss: finite(scores.validation.loss),
            test_loss: finite(scores.test.loss),
            test_accuracy: scores.test.accuracy,
            rollbacks,
        }
    }

    /// Training loss; NaN if the run diverged.
    pub fn train(&self) -> f64 {
        self.train_loss.unwrap_or(f64::NAN)
    }

    /// Test loss; NaN if the run diverged.
    pub fn test(&self) -> f64 {
        self.test_loss.unwrap_or(f64::NAN)
    }
}

impl Cache {
    /// Reads the file in `folder`, if there is one. Nothing is written.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        if folder.exists() && !folder.is_dir() {
            return Err(Failure::BadInput(anyhow!("--cache {} is not a folder", folder.display())));
        }
        let path = folder.join(FILE_NAME);
        let lines = lines::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let (mut known, mut n_damaged) = (BTreeMap::new(), 0);
        for (_, line) in lines {
            match serde_json::from_slice::<Entry>(&line) {
                Ok(entry) => _ = known.insert(entry.key.clone(), Known::of(&entry)),
                Err(_) => n_damaged += 1,
            }
        }
        Ok(Self { path, known: Mutex::new(known), file: Mutex::default(), failure: Mutex::default(), n_damaged })
    }

    /// Prepares [`Cache::put`]: creates folder and file if they are missing, and cuts off a last line that is
    /// incomplete after a kill.
    pub fn open(&self) -> Result<(), Failure> {
        let file = Lines::open(&self.path).with_context(|| format!("cannot write {}", self.path.display()))?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    pub fn get(&self, key: &str) -> Option<Score> {
        Some(self.known(key)?.score)
    }

    /// Seconds that a run took.
    pub fn seconds(&self, key: &str) -> Option<f64> {
        Some(self.known(key)?.wall_s)
    }

    /// A net before its training, by the key of its line.
    pub fn untrained(&self, key: &str) -> Option<Untrained> {
        let known = self.known(key)?;
        Some(Untrained { loss: known.score.train(), n_examples: known.n_examples? })
    }

    fn known(&self, key: &str) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    /// Appends a run, which is in the file when this returns. Where the file cannot be written, the evaluation goes on
    /// without it.
    pub fn put(&self, entry: Entry) -> Result<(), Failure> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = file.as_mut().map(|file| file.append(&entry)) {
            let failure = Failure::Failed(anyhow!("cannot write {}: {error}", self.path.display()));
            note!("{failure}; the evaluation goes on without it");
            (*file, *self.failure.lock().unwrap_or_else(PoisonError::into_inner)) = (None, Some(failure));
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.key.clone(), Known::of(&entry));
        Ok(())
    }

    /// Why not all runs are in the file, if they are not.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Known {
    fn of(entry: &Entry) -> Self {
        Self { score: entry.score, wall_s: entry.wall_s, n_examples: entry.n_examples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn entry(key: &str, loss: f64) -> Entry {
        let score = Score {
            train_loss: Some(loss).filter(|loss| loss.is_finite()),
            validation_loss: Some(0.1 + 0.2),
            test_loss: None,
            test_accuracy: Some(0.9),
            rollbacks: 3,
        };
        let (task, optimizer, method) = ("digits".to_owned(), "adam".to_owned(), "cosine".to_owned());
        let (steps, lr, wall_s, n_examples) = (400, 1e-5, 0.5, None);
        Entry { key: key.to_owned(), task, optimizer, steps, method, lr, seed: 1, score, wall_s, n_examples }
    }

    fn filled(folder: &Path, keys: &[&str]) -> Cache {
        let cache = Cache::read(folder).unwrap();
        cache.open().unwrap();
        keys.iter().for_each(|key| cache.put(entry(key, 1.0 / 3.0)).unwrap());
        cache
    }

    #[test]
    fn what_was_put_is_there_for_the_next_evaluation_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new/folder");
        let cache = filled(&folder, &["a"]);
        cache.put(entry("b", f64::NAN)).unwrap();
        let again = Cache::read(&folder).unwrap();
        assert_eq!(again.get("a"), Some(entry("a", 1.0 / 3.0).score));
        assert_eq!(again.get("a"), cache.get("a"));
        assert_eq!(again.get("b").unwrap().train_loss, None, "diverged");
        assert_eq!((again.get("c"), again.n_damaged), (None, 0));
    }

    #[test]
    fn a_run_is_no_untrained_net_and_lines_of_former_versions_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let cache = filled(folder.path(), &["a"]);
        cache.put(Entry { n_examples: Some(1437), ..entry("b", 2.3) }).unwrap();
        let line = fs::read_to_string(folder.path().join(FILE_NAME)).unwrap().lines().next().unwrap().to_owned();
        assert!(line.ends_with("\"wall_s\":0.5}"), "as it was before: {line}");
        for cache in [cache, Cache::read(folder.path()).unwrap()] {
            assert_eq!((cache.untrained("a"), cache.seconds("a")), (None, Some(0.5)));
            assert_eq!(cache.untrained("b"), Some(Untrained { loss: 2.3, n_examples: 1437 }));
        }
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_everything_before_it_kept() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), &["a", "b"]);
        let path = folder.path().join(FILE_NAME);
        let whole = fs::read(&path).unwrap();
        for torn in [whole.len() - 1, whole.len() - 40, whole.len() / 2 + 1] {
            fs::write(&path, &whole[..torn]).unwrap();
            let cache = Cache::read(folder.path()).unwrap();
            assert!(cache.get("a").is_some() && cache.get("b").is_none() && cache.n_damaged == 0);
            assert_eq!(fs::read(&path).unwrap().len(), torn, "reading changes nothing");
            cache.open().unwrap();
            cache.put(entry("b", 1.0 / 3.0)).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_line_that_is_no_run_is_counted_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), &["a"]);
        let path = folder.path().join(FILE_NAME);
        let damaged = [&fs::read(&path).unwrap()[..], b"{\"key\": 3}\nrubbish\n"].concat();
        fs::write(&path, damaged).unwrap();
        let cache = Cache::read(folder.path()).unwrap();
        assert!(cache.get("a").is_some() && cache.n_damaged == 2);
    }
}
