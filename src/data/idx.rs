//! IDX, the format of MNIST (LeCun, Cortes and Burges).
//!
//! ```text
//! 0 0 type n_dims | n_dims sizes, 4 bytes each, big-endian | the values, row-major; type 8 = unsigned byte
//! ```

use super::memory::Memory;
use super::{DataError, Raw, RawInputs, RawTargets, read};
use std::path::Path;

const UNSIGNED_BYTE: u8 = 8;

pub(super) fn load(images: &Path, labels: &Path, memory: &mut Memory) -> Result<Raw, DataError> {
    let ([n_images, height, width], values) = file::<3>(images, memory)?;
    let ([n_labels], ids) = file::<1>(labels, memory)?;
    if n_images != n_labels {
        return Err(DataError::CountMismatch { path: labels.into(), images: n_images, labels: n_labels });
    }
    if values.is_empty() {
        return Err(DataError::Empty { path: images.into() });
    }
    Ok(Raw {
        inputs: RawInputs::Pictures { shape: vec![1, height, width], values },
        targets: RawTargets::Classes { ids: ids.into_iter().map(u32::from).collect(), names: None },
    })
}

/// Shape and bytes of the pictures of one file.
pub(super) fn pictures(path: &Path, memory: &mut Memory) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let ([_, height, width], values) = file::<3>(path, memory)?;
    Ok((vec![1, height, width], values))
}

/// Sizes and values of a file with `N` dimensions.
fn file<const N: usize>(path: &Path, memory: &mut Memory) -> Result<([usize; N], Vec<u8>), DataError> {
    let header_bytes = 4 + 4 * N;
    let mut found = read::bytes(path, memory)?;
    let magic = [0, 0, UNSIGNED_BYTE, N as u8];
    if !found.starts_with(&magic) {
        found.truncate(4);
        return Err(DataError::NotIdx { path: path.into(), found, expected: N as u8 });
    }
    let sizes = sizes::<N>(&found[4..found.len().min(header_bytes)]);
    // The header may claim any size up to 2^96, which a u128 can hold; memory is only taken for the bytes that the file
    // has.
    let expected = header_bytes as u128 + sizes.iter().map(|size| *size as u128).product::<u128>();
    if found.len() < header_bytes || found.len() as u128 != expected {
        return Err(DataError::WrongLength { path: path.into(), expected, found: found.len() as u64 });
    }
    found.drain(..header_bytes);
    Ok((sizes, found))
}

/// The sizes in the header. If it is cut short the missing ones are 0, and the check of the length fails afterwards.
fn sizes<const N: usize>(bytes: &[u8]) -> [usize; N] {
    let mut sizes = [0; N];
    for (size, word) in sizes.iter_mut().zip(bytes.chunks_exact(4)) {
        *size = word.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
    }
    sizes
}
