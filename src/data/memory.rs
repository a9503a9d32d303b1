//! How much memory a data set may take. Everything large is asked for here before it is allocated, so that a file that
//! is too large ends with a sentence, and not with the machine.

use super::DataError;
use std::path::{Path, PathBuf};

/// Limit where nobody says one and the machine does not say how much it has, in bytes. Chosen by us.
const STANDARD_BYTES: u64 = 8_000_000_000;

/// Memory that is taken for one data set, and its limit.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    allowed_bytes: u64,
    taken: u128,
}

impl Memory {
    /// No memory yet, for the data in `path`. Without a limit it is that of this machine.
    pub(super) fn new(path: &Path, max_memory_gb: Option<f64>) -> Self {
        Self { path: path.into(), allowed_bytes: allowed_bytes(max_memory_gb), taken: 0 }
    }

    /// Takes room for `n` items of `size` bytes each.
    pub(super) fn take(&mut self, n: usize, size: usize) -> Result<(), DataError> {
        self.taken = self.taken.saturating_add(n as u128 * size as u128);
        if self.taken > u128::from(self.allowed_bytes) { Err(self.too_large()) } else { Ok(()) }
    }

    /// Gives back what was taken for `n` items of `size` bytes each.
    pub(super) fn give_back(&mut self, n: usize, size: usize) {
        self.taken = self.taken.saturating_sub(n as u128 * size as u128);
    }

    /// Number of bytes that may still be taken.
    pub(super) fn left_bytes(&self) -> u64 {
        u64::try_from(u128::from(self.allowed_bytes).saturating_sub(self.taken)).unwrap_or(0)
    }

    /// An empty vector with room for `n` items.
    pub(super) fn vec<T>(&mut self, n: usize) -> Result<Vec<T>, DataError> {
        self.take(n, size_of::<T>())?;
        let mut items = Vec::new();
        match items.try_reserve_exact(n) {
            Ok(()) => Ok(items),
            Err(_) => Err(self.too_large()),
        }
    }

    /// The error that more memory is needed than is allowed, or than there is.
    pub(super) fn too_large(&self) -> DataError {
        let (path, allowed_bytes) = (self.path.clone(), self.allowed_bytes);
        let needed_bytes = self.taken.max(u128::from(allowed_bytes) + 1);
        DataError::TooLarge { path, needed_bytes, allowed_bytes }
    }
}

/// The limit that a task file gives in GB, or else half of this machine's memory.
pub(super) fn allowed_bytes(max_memory_gb: Option<f64>) -> u64 {
    match max_memory_gb {
        Some(gb) => (gb * 1e9) as u64,
        None => machine_bytes().map_or(STANDARD_BYTES, |bytes| bytes / 2),
    }
}

/// Memory of this machine, or of the container: Linux says it.
fn machine_bytes() -> Option<u64> {
    let text = |path| std::fs::read_to_string(path).ok();
    let kilobytes = |text: String| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?.trim();
        line.parse::<u64>().ok()?.checked_mul(1024)
    };
    let machine = text("/proc/meminfo").and_then(kilobytes);
    let container = text("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse::<u64>().ok());
    machine.into_iter().chain(container).min().filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_is_allowed_is_refused_before_it_is_allocated() {
        let mut memory = Memory::new(Path::new("t.csv"), Some(1e-3));
        assert!(memory.vec::<f32>(250_000).is_ok());
        assert_eq!(memory.left_bytes(), 0);
        memory.give_back(125_000, 4);
        assert_eq!(memory.left_bytes(), 500_000);
        let error = memory.vec::<f64>(usize::MAX).expect_err("more than there is").to_string();
        assert!(error.contains("t.csv") && error.contains("1.0 MB") && error.contains("max_memory_gb"), "{error}");
    }
}
