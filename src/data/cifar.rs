//! The binary version of CIFAR-10 (Krizhevsky 2009): records of one label byte and 3 × 32 × 32 bytes, channel by
//! channel.

use super::memory::Memory;
use super::{DataError, Raw, RawInputs, RawTargets, read};
use std::path::Path;

/// Channels, height and width of a picture.
pub(super) const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;
const RECORD: usize = 1 + PIXELS;

pub(super) fn load(folder: &Path, files: &[String], memory: &mut Memory) -> Result<Raw, DataError> {
    let (mut values, mut ids) = (Vec::new(), Vec::new());
    for file in files {
        read_file(&folder.join(file), &mut values, &mut ids, memory)?;
    }
    let inputs = RawInputs::Pictures { shape: SHAPE.to_vec(), values };
    Ok(Raw { inputs, targets: RawTargets::Classes { ids, names: None } })
}

/// Bytes of the pictures of one file, and their labels.
pub(super) fn pictures(path: &Path, memory: &mut Memory) -> Result<(Vec<u8>, Vec<u32>), DataError> {
    let (mut values, mut ids) = (Vec::new(), Vec::new());
    read_file(path, &mut values, &mut ids, memory)?;
    Ok((values, ids))
}

fn read_file(path: &Path, values: &mut Vec<u8>, ids: &mut Vec<u32>, memory: &mut Memory) -> Result<(), DataError> {
    let bytes = read::bytes(path, memory)?;
    if bytes.is_empty() || bytes.len() % RECORD != 0 {
        return Err(DataError::NotCifar { path: path.into(), found: bytes.len(), record: RECORD });
    }
    memory.take(bytes.len(), 1)?;
    values.try_reserve(bytes.len()).map_err(|_| memory.too_large())?;
    for record in bytes.chunks_exact(RECORD) {
        ids.push(u32::from(record[0]));
        values.extend_from_slice(&record[1..]);
    }
    memory.give_back(bytes.len(), 1);
    Ok(())
}
