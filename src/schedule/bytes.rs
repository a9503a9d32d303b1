//! The memory of a schedule as bytes: a hash of its name, then 64-bit numbers, little-endian. Exact for every float,
//! NaN too.

use crate::policy::PolicyStateError;
use crate::rng::fnv1a;

pub(super) fn pack(name: &str, numbers: &[u64]) -> Vec<u8> {
    std::iter::once(fnv1a(name.as_bytes())).chain(numbers.iter().copied()).flat_map(u64::to_le_bytes).collect()
}

pub(super) fn unpack(name: &str, bytes: &[u8]) -> Result<Vec<u64>, PolicyStateError> {
    let refused = PolicyStateError { found_bytes: bytes.len() };
    let (eights, rest) = bytes.as_chunks::<8>();
    match eights.split_first() {
        Some((tag, numbers)) if rest.is_empty() && u64::from_le_bytes(*tag) == fnv1a(name.as_bytes()) => {
            Ok(numbers.iter().copied().map(u64::from_le_bytes).collect())
        }
        _ => Err(refused),
    }
}
