//! Where studies are kept, for all commands that need one that is there.

use super::failure::Failure;
use qgd::tuner::storage::{self, Storage};
use std::sync::Arc;

/// URL of the studies of a user who names none.
pub const DEFAULT: &str = "sqlite:///qgd.db";

/// Opens a storage that must be there, to go on with its studies.
pub fn open_existing(url: &str) -> Result<Arc<dyn Storage>, Failure> {
    storage::open_existing(url).map_err(|error| Failure::of_tuner(error.into()))
}

/// Opens a storage that must be there, to look at it: nothing is written.
pub fn look(url: &str) -> Result<Arc<dyn Storage>, Failure> {
    storage::look(url).map_err(|error| Failure::of_tuner(error.into()))
}
