//! IDX, the format of MNIST (LeCun, Cortes and Burges).
//!
//! ```text
//! 0 0 type n_dims | n_dims sizes, 4 bytes each, big-endian | the values, row-major; type 8 = unsigned byte
//! ```

use super::{DataError, Names, Raw, RawInputs, Targets, read};
use std::path::Path;

const UNSIGNED_BYTE: u8 = 8;

pub(super) fn load(images: &Path, labels: &Path) -> Result<Raw, DataError> {
    let (shape, values) = pictures(images)?;
    let ([n_labels], ids) = file::<1>(labels)?;
    let n_images = values.len() / shape.iter().product::<usize>().max(1);
    if n_images != n_labels {
        return Err(DataError::CountMismatch { path: labels.into(), images: n_images, labels: n_labels });
    }
    Ok(Raw {
        inputs: RawInputs::Bytes { shape, values },
        targets: Targets::Classes { per_example: 1, ids: ids.into_iter().map(i64::from).collect() },
        names: Names::default(),
    })
}

/// Shape of the pictures of a file, and their values.
pub(super) fn pictures(images: &Path) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let ([_, height, width], values) = file::<3>(images)?;
    Ok((vec![1, height, width], values))
}

/// Sizes and values of a file with `N` dimensions.
fn file<const N: usize>(path: &Path) -> Result<([usize; N], Vec<u8>), DataError> {
    let header_bytes = 4 + 4 * N;
    let header = read::at_most(path, header_bytes as u64 - 1)?;
    let magic = [0, 0, UNSIGNED_BYTE, N as u8];
    if !header.starts_with(&magic) {
        let found = header.into_iter().take(4).collect();
        return Err(DataError::NotIdx { path: path.into(), found, expected: N as u8 });
    }
    let sizes = sizes::<N>(&header[4..]);
    // The header may claim any size up to 2^96, which a u128 can hold; memory is only taken for the bytes that the file
    // has.
    let expected = header_bytes as u128 + sizes.iter().map(|size| *size as u128).product::<u128>();
    let mut found = read::bytes(path)?;
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
