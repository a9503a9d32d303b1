//! Turns: which controller moves a `VarStore`.
//!
//! A rollback restores everything in the `VarStore`, so two controllers that step it in turns would each undo the steps
//! of the other, and measure them as their own. The second turn of one that was left for another is refused.

use super::TorchError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tch::nn::Variables;

/// The controllers that stepped last, one for each `VarStore` that has any.
static HOLDERS: Mutex<Vec<Holder>> = Mutex::new(Vec::new());

struct Holder {
    /// Address of the variables.
    store: usize,
    controller: u64,
}

/// Right of one controller to move a `VarStore`.
pub(super) struct Turn {
    /// Held, so that no other `VarStore` gets their address.
    variables: Arc<Mutex<Variables>>,
    controller: u64,
    had: bool,
}

impl Turn {
    pub fn new(variables: &Arc<Mutex<Variables>>) -> Self {
        static CONTROLLERS: AtomicU64 = AtomicU64::new(0);
        let controller = CONTROLLERS.fetch_add(1, Ordering::Relaxed);
        Self { variables: Arc::clone(variables), controller, had: false }
    }

    /// Takes the turn. Returns whether another controller has had it since, which is gone.
    ///
    /// # Errors
    /// When another one has it, and this one had it before.
    pub fn take(&mut self) -> Result<bool, TorchError> {
        let (store, controller) = (self.store(), self.controller);
        let mut holders = HOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
        let comes_back = match holders.iter_mut().find(|holder| holder.store == store) {
            Some(holder) if holder.controller == controller => return Ok(false),
            Some(_) if self.had => return Err(TorchError::SharedVarStore),
            Some(holder) => {
                holder.controller = controller;
                false
            }
            None => {
                holders.push(Holder { store, controller });
                self.had
            }
        };
        self.had = true;
        Ok(comes_back)
    }

    fn store(&self) -> usize {
        Arc::as_ptr(&self.variables) as usize
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut holders = HOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
        holders.retain(|holder| holder.controller != self.controller);
    }
}
