//! Finished runs, one line of JSON each, written as they end: a killed evaluation goes on, and a rival's runs serve every controller.

use crate::cli::failure::Failure;
use crate::cli::grid::Finished;
use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const FILE_NAME: &str = "cells.jsonl";

/// What came out of a run. A loss that is not finite is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub train_loss: Option<f64>,
    pub validation_loss: Option<f64>,
    pub test_loss: Option<f64>,
    /// None in regression.
    pub test_accuracy: Option<f64>,
    pub rollbacks: u64,
}

/// A line of the file. Only the key is ever looked up; the rest is for people.
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
}

/// The file and what is in it.
pub struct Cache {
    path: PathBuf,
    known: Mutex<BTreeMap<String, Score>>,
    /// Where lines go, once [`Cache::open`] was called.
    file: Mutex<Option<File>>,
    /// Lines that could not be read.
    pub n_damaged: usize,
}

impl Score {
    pub fn of(finished: &Finished) -> Self {
        let finite = |loss: f64| Some(loss).filter(|loss| loss.is_finite());
        let scores = finished.scores;
        Self {
            train_loss: finite(scores.train.loss),
            validation_loss: finite(scores.validation.loss),
            test_loss: finite(scores.test.loss),
            test_accuracy: scores.test.accuracy,
            rollbacks: finished.rollbacks,
        }
    }

    /// The training loss; NaN where it diverged.
    pub fn train(&self) -> f64 {
        self.train_loss.unwrap_or(f64::NAN)
    }

    /// The test loss; NaN where it diverged.
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
        let bytes = if path.exists() { fs::read(&path) } else { Ok(Vec::new()) };
        let bytes = bytes.with_context(|| format!("cannot read {}", path.display()))?;
        let whole = &bytes[..whole_lines(&bytes)];
        let lines = whole.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let (mut known, mut n_damaged) = (BTreeMap::new(), 0);
        for line in lines {
            match serde_json::from_slice::<Entry>(line) {
                Ok(entry) => _ = known.insert(entry.key, entry.score),
                Err(_) => n_damaged += 1,
            }
        }
        Ok(Self { path, known: Mutex::new(known), file: Mutex::default(), n_damaged })
    }

    /// Makes ready for [`Cache::put`]: creates what is missing, and cuts off a last line that a kill has torn.
    pub fn open(&self) -> Result<(), Failure> {
        let context = || format!("cannot write {}", self.path.display());
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).with_context(context)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&self.path).with_context(context)?;
        let bytes = fs::read(&self.path).with_context(context)?;
        if whole_lines(&bytes) < bytes.len() {
            file.set_len(whole_lines(&bytes) as u64).with_context(context)?;
        }
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    pub fn get(&self, key: &str) -> Option<Score> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    /// Appends a run; it is in the file when this returns.
    pub fn put(&self, entry: Entry) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = file.as_mut().with_context(|| format!("{} is not open", self.path.display()))?;
        // One write, so that lines of two evaluations side by side do not mix.
        file.write_all(&line).with_context(|| format!("cannot write {}", self.path.display()))?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.key, entry.score);
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The length of `bytes` up to their last line end.
fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1)
}
