//! Finished units of an experiment, one line of JSON each, written when a unit ends.

use crate::cli::failure::Failure;
use crate::cli::lines::{self, Lines};
use crate::cli::lock;
use anyhow::{Context, anyhow};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Units by key, and the file to which new ones are added.
pub struct Kept {
    path: PathBuf,
    known: Mutex<BTreeMap<String, Json>>,
    /// Opened with the first new unit, so that a run that is refused has written nothing.
    file: Mutex<Option<Lines>>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    value: Json,
}

impl Kept {
    /// Reads the file, if there is one. A last line that a killed run left incomplete is ignored.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let lines = lines::read(path).with_context(|| format!("cannot read {}", path.display()));
        let mut known = BTreeMap::new();
        for (number, line) in lines.map_err(Failure::BadInput)? {
            let Line { key, value } = serde_json::from_slice(&line).map_err(|error| {
                let name = path.display();
                Failure::BadInput(anyhow!("line {number} of {name} is no finished unit ({error}): remove that line"))
            })?;
            known.insert(key, value);
        }
        Ok(Self { path: path.to_owned(), known: Mutex::new(known), file: Mutex::default() })
    }

    /// The unit of this key: as it is kept, or else what `work` makes of it, which is kept from then on.
    pub fn unit<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Some(known) = locked(&self.known).get(key) {
            let unreadable = |error| Failure::BadInput(anyhow!("{}: unit {key}: {error}", self.path.display()));
            return T::deserialize(known).map_err(unreadable);
        }
        let unit = work()?;
        let value = serde_json::to_value(&unit)?;
        self.append(&Line { key: key.to_owned(), value: value.clone() })?;
        locked(&self.known).insert(key.to_owned(), value);
        Ok(unit)
    }

    /// Number of units.
    pub fn len(&self) -> usize {
        locked(&self.known).len()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&self, line: &Line) -> Result<(), Failure> {
        let mut file = locked(&self.file);
        let context = || format!("cannot write {}", self.path.display());
        if file.is_none() {
            let lines = Lines::open(&self.path).with_context(context)?;
            // Two at a time would do all the work twice.
            lock::hold_file(lines.file(), &self.path.display().to_string())?;
            *file = Some(lines);
        }
        if let Some(file) = file.as_mut() {
            file.append(line).with_context(context)?;
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn never() -> Result<f64, Failure> {
        panic!("it is kept")
    }

    #[test]
    fn a_unit_is_done_once_and_read_back_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/units.jsonl");
        let kept = Kept::read(&path).unwrap();
        assert!(!path.exists(), "reading writes nothing");
        assert_eq!(kept.unit("a", || Ok(0.1f64 + 0.2)).unwrap().to_bits(), (0.1f64 + 0.2).to_bits());
        for kept in [kept, Kept::read(&path).unwrap()] {
            assert_eq!(kept.unit("a", never).unwrap().to_bits(), (0.1f64 + 0.2).to_bits());
            assert_eq!(kept.len(), 1);
        }
    }

    #[test]
    fn one_process_at_a_time_adds_units() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("units.jsonl");
        let (first, second) = (Kept::read(&path).unwrap(), Kept::read(&path).unwrap());
        first.unit("a", || Ok(1.0)).unwrap();
        let refused = second.unit("b", || Ok(2.0)).unwrap_err();
        assert!(matches!(refused, Failure::BadInput(_)), "{refused}");
        assert!(refused.to_string().contains("units.jsonl is in use by process"), "{refused}");
        drop(first);
        second.unit("b", || Ok(2.0)).unwrap();
        assert_eq!(Kept::read(&path).unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_file_is_not_read_to_its_end_which_it_may_not_have() {
        let refused = Kept::read(Path::new("/dev/zero")).err().unwrap().to_string();
        assert!(refused.contains("/dev/zero") && refused.contains("no regular file"), "{refused}");
    }

    #[test]
    fn a_torn_last_line_is_done_again_and_the_file_is_as_if_nothing_had_happened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("units.jsonl");
        let fill = || {
            let kept = Kept::read(&path).unwrap();
            ["a", "b"].iter().for_each(|key| _ = kept.unit(key, || Ok(1.0 / 3.0)).unwrap());
        };
        fill();
        let whole = fs::read(&path).unwrap();
        for torn in [whole.len() - 1, whole.len() / 2 + 3] {
            fs::write(&path, &whole[..torn]).unwrap();
            fill();
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_line_that_is_no_unit_is_refused_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("units.jsonl");
        fs::write(&path, "{\"key\":\"a\",\"value\":1.0}\nrubbish\n").unwrap();
        let said = Kept::read(&path).err().unwrap().to_string();
        assert!(said.contains("line 2 of ") && said.contains("remove that line"), "{said}");
    }

    #[test]
    fn a_unit_that_fails_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::read(&folder.path().join("units.jsonl")).unwrap();
        let failed = kept.unit("a", || Err::<f64, _>(Failure::Failed(anyhow!("broken"))));
        assert!(failed.unwrap_err().to_string().contains("broken"));
        assert_eq!(kept.len(), 0);
    }
}
