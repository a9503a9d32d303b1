//! Measurement of a net: directions and norms, for the signals of a decision.
//!
//! At most [`policy::Measure::MAX_SAMPLED`] coordinates of the parameters and the gradient are copied to the host, always the
//! same ones. [`policy::Measure`] does the rest, as in a rollout of meta-training.

use super::TorchError;
use crate::policy::{self, Measured};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Measures at every decision, and remembers what the next measurement needs.
pub struct Measure {
    seed: u64,
    n_params: usize,
    /// Indices of the measured coordinates, `[n_sampled]`, ascending; none where all are measured.
    sample: Option<Tensor>,
    memory: policy::Measure,
}

/// Memory of a [`Measure`], for a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasureState {
    seed: u64,
    memory: policy::Measure,
}

impl Measure {
    /// Makes a measure that draws its sample from the stream "sample" of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, n_params: 0, sample: None, memory: policy::Measure::default() }
    }

    /// Measured coordinates of a flat vector `[n_params]`: `[n_sampled]` of f32, on its device.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn sampled(&mut self, flat: &Tensor) -> Result<Tensor, TorchError> {
        let _guard = tch::no_grad_guard();
        self.draw_sample(flat)?;
        let sampled = match &self.sample {
            Some(sample) => flat.f_index_select(0, sample)?,
            None => flat.shallow_clone(),
        };
        Ok(if sampled.f_kind()? == Kind::Float { sampled } else { sampled.f_to_kind(Kind::Float)? })
    }

    /// Measures, and remembers for the next decision. `host` holds the [`Measure::sampled`] parameters and, behind
    /// them, the same coordinates of the gradient.
    pub fn measure(&mut self, host: &[f32]) -> Measured {
        let (x, grad) = host.split_at(host.len() / 2);
        self.memory.measure_sample(x, grad, self.n_params)
    }

    /// Takes note of a rollback to the flat parameters `x`: the way back is no step, so the next displacement starts
    /// there.
    ///
    /// # Errors
    /// When libtorch cannot copy them to the host.
    pub fn rolled_back(&mut self, x: &Tensor) -> Result<(), TorchError> {
        let sampled = self.sampled(x)?;
        let mut host = vec![0.0; sampled.numel()];
        sampled.f_copy_data(&mut host, sampled.numel())?;
        self.memory.rolled_back(&host);
        Ok(())
    }

    /// Forgets everything but the seed: the net has other parameters now.
    pub fn reset(&mut self) {
        *self = Self::new(self.seed);
    }

    /// Memory, for a file.
    pub fn state(&self) -> MeasureState {
        MeasureState { seed: self.seed, memory: self.memory.clone() }
    }

    /// Goes back to what [`Measure::state`] returned, for the flat parameters `x`.
    ///
    /// # Errors
    /// When the state belongs to a net of another size.
    pub fn load_state(&mut self, state: &MeasureState, x: &Tensor) -> Result<(), TorchError> {
        *self = Self::new(state.seed);
        let n_sampled = self.sampled(x)?.numel();
        if !state.memory.fits(n_sampled) {
            let found = "that of another net".to_owned();
            return Err(TorchError::StateMismatch {
                what: "the measurement",
                found,
                expected: format!("one of {n_sampled} coordinates"),
            });
        }
        self.memory = state.memory.clone();
        Ok(())
    }

    fn draw_sample(&mut self, flat: &Tensor) -> Result<(), TorchError> {
        if self.n_params == flat.numel() {
            return Ok(());
        }
        self.n_params = flat.numel();
        if let Some(places) = policy::Measure::sample(self.n_params, self.seed) {
            self.sample = Some(Tensor::f_from_slice(&places)?.f_to_device(flat.device())?);
        }
        Ok(())
    }
}
