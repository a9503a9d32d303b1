//! Directions and norms, measured where the parameters live.
//!
//! The same sums as [`controller::Measure`], on a fixed random sample of at most
//! [`Measure::MAX_SAMPLED`] coordinates. Nothing is copied to the host here: the caller does that once a decision, together with the losses.

use super::TorchError;
use super::optim::SavedTensor;
use crate::controller::{self, Measured, Sums};
use crate::rng;
use rand::seq::index;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Keeps what one decision must remember for the next one, on the device of the net.
pub struct Measure {
    seed: u64,
    n_params: usize,
    /// `[n_sampled]`, ascending; none where all coordinates are measured.
    sample: Option<Tensor>,
    memory: Option<Memory>,
}

/// All `[n_sampled]`.
struct Memory {
    first: Tensor,
    x: Tensor,
    update: Tensor,
    update_sign: Tensor,
    grad: Tensor,
    grad_sign: Tensor,
    grad_ema: Tensor,
}

impl Memory {
    fn tensors(&self) -> [&Tensor; 7] {
        [&self.first, &self.x, &self.update, &self.update_sign, &self.grad, &self.grad_sign, &self.grad_ema]
    }
}

/// A measurement that is not remembered yet.
pub struct Pending {
    /// The fields of [`Sums`], in their order: single numbers on the device.
    pub sums: Vec<Tensor>,
    memory: Memory,
}

/// What a [`Measure`] remembers, for a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasureState {
    seed: u64,
    memory: Option<Vec<SavedTensor>>,
}

impl Measure {
    /// How many coordinates are measured at most. The standard error of the alignment is then `1/sqrt(65536)`, 0.4 %.
    pub const MAX_SAMPLED: usize = 65_536;

    /// A measure that draws its sample from the stream "sample" of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, n_params: 0, sample: None, memory: None }
    }

    /// Measures at the flat parameters `x` with their gradient. Call [`Measure::remember`] where the measurement counts.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn measure(&mut self, x: &Tensor, grad: &Tensor) -> Result<Pending, TorchError> {
        let _guard = tch::no_grad_guard();
        self.draw_sample(x)?;
        let (x, grad) = (self.sampled(x)?, self.sampled(grad)?);
        let grad_sign = grad.f_sign()?;
        let (update, way, grad_ema) = match &self.memory {
            None => (x.f_zeros_like()?, x.f_zeros_like()?, grad.shallow_clone()),
            Some(last) => {
                let fresh = f64::from(1.0 - controller::Measure::GRAD_EMA_DECAY);
                (x.f_sub(&last.x)?, x.f_sub(&last.first)?, last.grad_ema.f_lerp(&grad, fresh)?)
            }
        };
        let update_sign = update.f_sign()?;
        let zero = Tensor::f_zeros([], (Kind::Float, x.device()))?;
        let with_last = |now: &Tensor, last: Option<&Tensor>| match last {
            None => Ok(zero.shallow_clone()),
            Some(last) => now.f_dot(last),
        };
        let last = self.memory.as_ref();
        let sums = vec![
            with_last(&update_sign, last.map(|last| &last.update_sign))?,
            update.f_dot(&grad)?,
            with_last(&grad_sign, last.map(|last| &last.grad_sign))?,
            with_last(&grad, last.map(|last| &last.grad))?,
            grad.f_dot(&grad)?,
            grad_ema.f_dot(&grad_ema)?,
            update.f_dot(&update)?,
            x.f_dot(&x)?,
            with_last(&update, last.map(|last| &last.update))?,
            last.map_or(Ok(zero.shallow_clone()), |last| last.update.f_dot(&last.update))?,
            way.f_dot(&way)?,
        ];
        let first = last.map_or_else(|| x.f_detach_copy(), |last| Ok(last.first.shallow_clone()))?;
        Ok(Pending { sums, memory: Memory { first, x, update, update_sign, grad, grad_sign, grad_ema } })
    }

    /// The next window starts at this measurement.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn remember(&mut self, pending: Pending) -> Result<(), TorchError> {
        let mut memory = pending.memory;
        // Where all coordinates are measured, x is the parameters themselves, which are about to move.
        match self.memory.take() {
            Some(mut last) => {
                last.x.f_copy_(&memory.x)?;
                memory.x = last.x;
            }
            None => memory.x = memory.x.f_detach_copy()?,
        }
        self.memory = Some(memory);
        Ok(())
    }

    /// Makes signals of the sums, once they are on the host.
    pub fn signals(&self, sums: &[f32]) -> Measured {
        let sum = |i: usize| sums.get(i).map_or(f64::NAN, |&sum| f64::from(sum));
        let sums = Sums {
            update_sign: sum(0),
            update_grad: sum(1),
            grad_sign: sum(2),
            grad_prev: sum(3),
            grad_sq: sum(4),
            grad_ema_sq: sum(5),
            update_sq: sum(6),
            param_sq: sum(7),
            update_prev: sum(8),
            update_prev_sq: sum(9),
            distance_sq: sum(10),
        };
        Measured::from_sums(&sums, self.n_params.min(Self::MAX_SAMPLED), self.n_params)
    }

    /// After a rollback: the way from here to there was not a step, so the next window starts at `x`.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn rolled_back(&mut self, x: &Tensor) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        let x = self.sampled(x)?;
        if let Some(memory) = &mut self.memory {
            memory.x.f_copy_(&x)?;
        }
        Ok(())
    }

    /// Forgets everything but the seed: the net has other parameters now.
    pub fn reset(&mut self) {
        *self = Self::new(self.seed);
    }

    /// What is remembered.
    ///
    /// # Errors
    /// When libtorch cannot copy it to the host.
    pub fn state(&self) -> Result<MeasureState, TorchError> {
        let save = |m: &Memory| m.tensors().into_iter().map(SavedTensor::of).collect();
        Ok(MeasureState { seed: self.seed, memory: self.memory.as_ref().map(save).transpose()? })
    }

    /// The opposite of [`Measure::state`], for the flat parameters `x`.
    ///
    /// # Errors
    /// When the state belongs to a net of another size.
    pub fn load_state(&mut self, state: &MeasureState, x: &Tensor) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        *self = Self::new(state.seed);
        self.draw_sample(x)?;
        let Some(saved) = &state.memory else { return Ok(()) };
        let like = self.sampled(x)?;
        let loaded = saved.iter().map(|saved| saved.like(&like, "the shape of a measurement"));
        let loaded: Vec<Tensor> = loaded.collect::<Result<_, _>>()?;
        let found = loaded.len();
        let [first, x, update, update_sign, grad, grad_sign, grad_ema] =
            loaded.try_into().map_err(|_| TorchError::StateMismatch {
                what: "the number of measurements",
                found: found.to_string(),
                expected: "7".to_owned(),
            })?;
        self.memory = Some(Memory { first, x, update, update_sign, grad, grad_sign, grad_ema });
        Ok(())
    }

    fn draw_sample(&mut self, x: &Tensor) -> Result<(), TorchError> {
        if self.n_params == x.numel() {
            return Ok(());
        }
        self.n_params = x.numel();
        if self.n_params > Self::MAX_SAMPLED {
            let mut rng = rng::stream(self.seed, "sample");
            let mut drawn: Vec<i64> =
                index::sample(&mut rng, self.n_params, Self::MAX_SAMPLED).into_iter().map(|i| i as i64).collect();
            drawn.sort_unstable();
            self.sample = Some(Tensor::f_from_slice(&drawn)?.f_to_device(x.device())?);
        }
        Ok(())
    }

    fn sampled(&self, flat: &Tensor) -> Result<Tensor, TorchError> {
        let sampled = match &self.sample {
            Some(sample) => flat.f_index_select(0, sample)?,
            None => flat.shallow_clone(),
        };
        Ok(if sampled.f_kind()? == Kind::Float { sampled } else { sampled.f_to_kind(Kind::Float)? })
    }
}
