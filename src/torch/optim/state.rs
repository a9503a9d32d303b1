//! Optimizer state that can be written to a file, exact to the bit.

use super::{Algorithm, Average, Conditioning, OptimConfig, Optimizer, TorchError};
use crate::artifact::exact;
use crate::limits::is_count;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Everything in an [`Optimizer`] that later steps depend on, except the parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptimState {
    /// Update rule.
    #[serde(with = "exact")]
    pub algorithm: Algorithm,
    /// What becomes of the changes of weight matrices.
    #[serde(with = "exact", default)]
    pub conditioning: Conditioning,
    /// Learning rate.
    #[serde(with = "exact")]
    pub lr: f64,
    /// Weight decay.
    #[serde(with = "exact")]
    pub weight_decay: f64,
    /// Weights of a schedule-free average.
    #[serde(with = "exact", default)]
    average: Average,
    /// Number of steps taken with each variable.
    pub steps: Vec<u64>,
    /// Moments of the update rule, `[n_params]` each.
    pub moments: Vec<SavedTensor>,
}

impl Optimizer {
    /// The state now. It does not hold the parameters: they belong to the `VarStore` and are saved with it.
    ///
    /// # Errors
    /// When libtorch cannot copy it to the host.
    pub fn state(&self) -> Result<OptimState, TorchError> {
        Ok(OptimState {
            algorithm: self.config.algorithm,
            conditioning: self.config.conditioning,
            lr: self.config.lr,
            weight_decay: self.config.weight_decay,
            average: self.average,
            steps: self.steps.clone(),
            moments: self.moments.iter().map(SavedTensor::of).collect::<Result<_, _>>()?,
        })
    }

    /// Restores a saved state: the next step is the one that would have followed it.
    ///
    /// # Errors
    /// When the state belongs to another algorithm, another conditioning or another net. Then nothing is changed.
    pub fn load_state(&mut self, state: &OptimState) -> Result<(), TorchError> {
        let mismatch = |what, found: String, expected: String| Err(TorchError::StateMismatch { what, found, expected });
        let (found, expected) = (state.algorithm, self.config.algorithm);
        if std::mem::discriminant(&found) != std::mem::discriminant(&expected)
            || found.n_moments() != expected.n_moments()
        {
            return mismatch("the algorithm", found.name().to_owned(), expected.name().to_owned());
        }
        let (found, expected) = (state.conditioning, self.config.conditioning);
        if found != expected {
            return mismatch("the conditioning", found.to_string(), expected.to_string());
        }
        if state.steps.len() != self.steps.len() {
            return mismatch("the number of variables", state.steps.len().to_string(), self.steps.len().to_string());
        }
        if state.moments.len() != self.moments.len() {
            return mismatch("the number of moments", state.moments.len().to_string(), self.moments.len().to_string());
        }
        if let Some(steps) = state.steps.iter().find(|&&steps| !is_count(steps)) {
            return mismatch("a step count", steps.to_string(), "a number of steps that a run can have".to_owned());
        }
        if !state.average.is_sound() {
            return mismatch(
                "the average",
                format!("{:?}", state.average),
                "numbers that a run can have left".to_owned(),
            );
        }
        let config = OptimConfig {
            algorithm: state.algorithm,
            lr: state.lr,
            weight_decay: state.weight_decay,
            ..self.config.clone()
        };
        config.check()?;
        let loaded =
            state.moments.iter().zip(&self.moments).map(|(saved, here)| saved.like(here, "the shape of a moment"));
        let loaded: Vec<Tensor> = loaded.collect::<Result<_, _>>()?;
        self.config = config;
        self.moments = loaded;
        self.average = state.average;
        self.steps = state.steps.clone();
        self.plan = super::Plan::default();
        self.set_rates(state.lr, state.weight_decay)
    }
}

/// The values of a tensor, exact to the bit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTensor {
    kind: String,
    shape: Vec<i64>,
    bytes: Vec<u8>,
}

impl SavedTensor {
    /// Copies a tensor to the host.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn of(tensor: &Tensor) -> Result<Self, TorchError> {
        let _guard = tch::no_grad_guard();
        let host = tensor.f_to_device(tch::Device::Cpu)?.f_contiguous()?;
        let kind = host.f_kind()?;
        let mut bytes = vec![0; host.numel() * kind.elt_size_in_bytes()];
        host.f_copy_data_u8(&mut bytes, host.numel())?;
        Ok(Self { kind: format!("{kind:?}"), shape: host.size(), bytes })
    }

    /// The tensor again, on the device of `like`.
    ///
    /// # Errors
    /// When shape or kind differ from those of `like`. The error then says that `what` differs.
    pub fn like(&self, like: &Tensor, what: &'static str) -> Result<Tensor, TorchError> {
        let kind = like.f_kind()?;
        let expected = format!("{kind:?} {:?}", like.size());
        let found = format!("{} {:?}", self.kind, self.shape);
        if found != expected || self.bytes.len() != like.numel() * kind.elt_size_in_bytes() {
            return Err(TorchError::StateMismatch { what, found, expected });
        }
        Ok(Tensor::f_from_data_size(&self.bytes, &self.shape, kind)?.f_to_device(like.device())?)
    }

    /// Writes the saved values into a tensor of the same shape and kind.
    ///
    /// # Errors
    /// When shape or kind differ. The error then says that `what` differs.
    pub fn write_to(&self, target: &mut Tensor, what: &'static str) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        Ok(target.f_copy_(&self.like(target, what)?)?)
    }
}
