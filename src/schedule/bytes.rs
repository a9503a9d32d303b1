//! The memory of a schedule as bytes: a tag that names the schedule, then 64-bit words, little-endian. Exact for every float, NaN too.

use crate::policy::PolicyStateError;
use crate::rng::fnv1a;

pub(super) fn pack(name: &str, words: &[u64]) -> Vec<u8> {
    std::iter::once(fnv1a(name.as_bytes())).chain(words.iter().copied()).flat_map(u64::to_le_bytes).collect()
}

pub(super) fn unpack(name: &str, bytes: &[u8]) -> Result<Vec<u64>, PolicyStateError> {
    let refused = PolicyStateError { found_bytes: bytes.len() };
    let (words, rest) = bytes.as_chunks::<8>();
    match words.split_first() {
        Some((tag, words)) if rest.is_empty() && u64::from_le_bytes(*tag) == fnv1a(name.as_bytes()) => {
            Ok(words.iter().copied().map(u64::from_le_bytes).collect())
        }
        _ => Err(refused),
    }
}
