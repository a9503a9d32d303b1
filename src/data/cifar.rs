//! The binary version of CIFAR-10 (Krizhevsky 2009): records of one label byte and 3 × 32 × 32 bytes, channel by
//! channel.

use super::{DataError, Names, Raw, RawInputs, Targets, read};
use std::path::Path;

const PIXELS: usize = 3 * 32 * 32;
const RECORD: usize = 1 + PIXELS;

pub(super) fn load(folder: &Path, files: &[String]) -> Result<Raw, DataError> {
    let (mut values, mut ids) = (Vec::new(), Vec::new());
    for file in files {
        let (more_values, more_ids) = records(&folder.join(file))?;
        values.extend(more_values);
        ids.extend(more_ids);
    }
    let inputs = RawInputs::Bytes { shape: vec![3, 32, 32], values };
    Ok(Raw { inputs, targets: Targets::Classes { per_example: 1, ids }, names: Names::default() })
}

/// Pictures of a file, and their labels.
pub(super) fn records(path: &Path) -> Result<(Vec<u8>, Vec<i64>), DataError> {
    let bytes = read::bytes(path)?;
    if bytes.is_empty() || bytes.len() % RECORD != 0 {
        return Err(DataError::NotCifar { path: path.into(), found: bytes.len(), record: RECORD });
    }
    let (mut values, mut ids) = (Vec::with_capacity(bytes.len()), Vec::new());
    for record in bytes.chunks_exact(RECORD) {
        ids.push(i64::from(record[0]));
        values.extend_from_slice(&record[1..]);
    }
    Ok((values, ids))
}
