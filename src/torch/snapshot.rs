//! Snapshots: what a rollback restores, that is parameters, buffers (the running statistics of batch norm) and
//! optimizer moments.
//!
//! All of it is copied into tensors that are allocated once, on the device of the net.

use super::TorchError;
use super::flat::FlatParams;
use super::optim::{Average, Optimizer, SavedTensor};
use crate::artifact::exact;
use crate::limits::is_count;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Copy of everything that a step changes.
pub struct Snapshot {
    params: Tensor,
    buffers: Vec<Buffer>,
    moments: Vec<Tensor>,
    steps: Vec<u64>,
    average: Average,
}

struct Buffer {
    name: String,
    live: Tensor,
    saved: Tensor,
}

/// [`Snapshot`] for a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotState {
    params: SavedTensor,
    buffers: Vec<(String, SavedTensor)>,
    moments: Vec<SavedTensor>,
    steps: Vec<u64>,
    #[serde(with = "exact", default)]
    average: Average,
}

impl Snapshot {
    /// Copies everything as it is now. A wrapped tch optimizer does not show its moments; `optimizer` is none then.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn new(flat: &FlatParams, optimizer: Option<&Optimizer>) -> Result<Self, TorchError> {
        let _guard = tch::no_grad_guard();
        let buffer = |(name, live): (String, Tensor)| Ok(Buffer { name, saved: live.f_detach_copy()?, live });
        let (moments, steps, average) = optimizer.map(Optimizer::memory).unwrap_or_default();
        Ok(Self {
            params: flat.data().f_detach_copy()?,
            buffers: flat.buffers().into_iter().map(buffer).collect::<Result<_, TorchError>>()?,
            moments: moments.iter().map(Tensor::f_detach_copy).collect::<Result<_, _>>()?,
            steps: steps.to_vec(),
            average,
        })
    }

    /// Parameters in the snapshot, `[n_params]`.
    pub fn params(&self) -> &Tensor {
        &self.params
    }

    /// Copies everything again.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn take(&mut self, flat: &FlatParams, optimizer: Option<&Optimizer>) -> Result<(), TorchError> {
        self.take_params(flat)?;
        for buffer in &mut self.buffers {
            buffer.saved.f_copy_(&buffer.live)?;
        }
        let (moments, steps, average) = optimizer.map(Optimizer::memory).unwrap_or_default();
        for (saved, moment) in self.moments.iter_mut().zip(moments) {
            saved.f_copy_(moment)?;
        }
        self.steps.copy_from_slice(steps);
        self.average = average;
        Ok(())
    }

    /// Copies the parameters alone.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn take_params(&mut self, flat: &FlatParams) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        Ok(self.params.f_copy_(flat.data())?)
    }

    /// Puts parameters and buffers back.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn restore(&mut self, flat: &FlatParams) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        flat.data().shallow_clone().f_copy_(&self.params)?;
        for buffer in &mut self.buffers {
            buffer.live.f_copy_(&buffer.saved)?;
        }
        Ok(())
    }

    /// Puts those buffers back that are no longer finite: a forward pass over a broken batch has spoilt them.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn heal_buffers(&mut self) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        for buffer in self.buffers.iter_mut().filter(|buffer| buffer.live.is_floating_point()) {
            if buffer.live.f_isfinite()?.f_all()?.f_double_value(&[])? < 0.5 {
                buffer.live.f_copy_(&buffer.saved)?;
            }
        }
        Ok(())
    }

    /// Puts everything back.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn restore_with(&mut self, optimizer: &mut Optimizer) -> Result<(), TorchError> {
        self.restore(optimizer.flat())?;
        let _guard = tch::no_grad_guard();
        optimizer.restore_memory(&self.moments, &self.steps, self.average)
    }

    /// Copies the snapshot to the host, for a file.
    ///
    /// # Errors
    /// When libtorch cannot copy it to the host.
    pub fn state(&self) -> Result<SnapshotState, TorchError> {
        let buffers = self.buffers.iter().map(|buffer| Ok((buffer.name.clone(), SavedTensor::of(&buffer.saved)?)));
        Ok(SnapshotState {
            params: SavedTensor::of(&self.params)?,
            buffers: buffers.collect::<Result<_, TorchError>>()?,
            moments: self.moments.iter().map(SavedTensor::of).collect::<Result<_, _>>()?,
            steps: self.steps.clone(),
            average: self.average,
        })
    }

    /// Goes back to what [`Snapshot::state`] returned.
    ///
    /// # Errors
    /// When the state belongs to another net or optimizer.
    pub fn load_state(&mut self, state: &SnapshotState) -> Result<(), TorchError> {
        state.params.write_to(&mut self.params, "the shape of the parameters")?;
        let names = |names: Vec<&String>| format!("{names:?}");
        let found = names(state.buffers.iter().map(|buffer| &buffer.0).collect());
        let expected = names(self.buffers.iter().map(|buffer| &buffer.name).collect());
        if found != expected {
            return Err(TorchError::StateMismatch { what: "the list of buffers", found, expected });
        }
        for (buffer, (_, saved)) in self.buffers.iter_mut().zip(&state.buffers) {
            saved.write_to(&mut buffer.saved, "the shape of a buffer")?;
        }
        if (state.moments.len(), state.steps.len()) != (self.moments.len(), self.steps.len()) {
            return Err(TorchError::StateMismatch {
                what: "the number of moments and variables in the snapshot",
                found: format!("{} and {}", state.moments.len(), state.steps.len()),
                expected: format!("{} and {}", self.moments.len(), self.steps.len()),
            });
        }
        if let Some(steps) = state.steps.iter().find(|&&steps| !is_count(steps)) {
            return Err(TorchError::StateMismatch {
                what: "a step count",
                found: steps.to_string(),
                expected: "a number of steps that a run can have".to_owned(),
            });
        }
        if !state.average.is_sound() {
            return Err(TorchError::StateMismatch {
                what: "the average",
                found: format!("{:?}", state.average),
                expected: "numbers that a run can have left".to_owned(),
            });
        }
        self.average = state.average;
        for (moment, saved) in self.moments.iter_mut().zip(&state.moments) {
            saved.write_to(moment, "the shape of a moment")?;
        }
        self.steps.clone_from(&state.steps);
        Ok(())
    }
}
