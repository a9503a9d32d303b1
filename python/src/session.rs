//! A controlled run on numpy arrays, one call at every step.

use crate::arguments::{Floats, FloatsMut, Seed};
use crate::controllers::named;
use crate::driver::{n_steps, steps_left};
use crate::errors::{runtime_error, value_error};
use pyo3::prelude::*;
use qgd::artifact;
use qgd::driver::SessionState;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A controlled run whose parameters are one array of numpy: flat, contiguous, of float32.
///
/// `controller`: a name out of `controllers()`, the path of a pretrained file, or the name of a schedule. `lr`: where the
/// search starts. `total_steps`: number of steps of the run, where it is known; in its second half the learning rate
/// falls to zero. `steps_per_epoch`: number of steps in which every example is seen once, where it is known. `loss_floor`: a number below all losses, where they are no distance from 0.
///
/// `params`, `grad` and the moments of your optimizer go into each `step`, the same arrays every time: a step that wrecks
/// them is undone in place.
#[pyclass(frozen, module = "qgd")]
pub struct Session {
    inner: Mutex<qgd::driver::Session>,
}

impl Session {
    fn inner(&self) -> MutexGuard<'_, qgd::driver::Session> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Session {
    #[new]
    #[pyo3(signature = (controller = "lr", lr = 1e-3, *, weight_decay = 0.0, total_steps = None, steps_per_epoch = None,
                        loss_floor = 0.0, seed = Seed(0)),
           text_signature = "(controller='lr', lr=0.001, *, weight_decay=0.0, total_steps=None, steps_per_epoch=None, \
                             loss_floor=0.0, seed=0)")]
    fn new(
        controller: &str,
        lr: f64,
        weight_decay: f64,
        total_steps: Option<i64>,
        steps_per_epoch: Option<f64>,
        loss_floor: f64,
        seed: Seed,
    ) -> PyResult<Self> {
        let total_steps = total_steps.map(n_steps).transpose()?;
        let session = qgd::driver::Session::new(named(controller, total_steps, seed.0)?.pilot, lr);
        let session = session.and_then(|session| session.with_loss_floor(loss_floor)?.with_weight_decay(weight_decay));
        let session = session.and_then(|session| match steps_per_epoch {
            Some(steps) => session.with_steps_per_epoch(steps),
            None => Ok(session),
        });
        Ok(Self { inner: Mutex::new(session.map_err(value_error)?) })
    }

    /// One inner step. Returns the learning rate and the weight decay where the caller now applies its optimizer's step,
    /// None where the step is left out: `params` and `moments` then are as they were, or were put back.
    #[pyo3(signature = (loss, params, grad, *moments))]
    fn step(
        &self,
        loss: f32,
        mut params: FloatsMut<'_>,
        grad: Floats<'_>,
        mut moments: Vec<FloatsMut<'_>>,
    ) -> PyResult<Option<(f64, f64)>> {
        let mut slices = moments.iter_mut().map(|array| array.slice()).collect::<Result<Vec<_>, _>>()?;
        let rates = self.inner().step_with(loss, params.slice()?, grad.slice()?, &mut slices);
        Ok(rates.map_err(runtime_error)?.map(|rates| (rates.lr, rates.weight_decay)))
    }

    /// Takes note that the caller has put other parameters in: no rollback leads back behind them.
    fn replaced(&self) {
        self.inner().replaced();
    }

    /// Says that the run has `n_steps` steps left: over them the learning rate falls to zero.
    fn cool_down(&self, n_steps: i64) -> PyResult<()> {
        self.inner().cool_down(steps_left(n_steps)?).map_err(value_error)
    }

    /// Takes note of the newest validation loss or error, for the policy.
    fn observe_validation(&self, error: f64) {
        self.inner().observe_validation(error);
    }

    /// State of the run after the last step, with the parameters and moments, as bytes.
    #[pyo3(signature = (params, *moments))]
    fn state(&self, params: Floats<'_>, moments: Vec<Floats<'_>>) -> PyResult<Vec<u8>> {
        let slices = moments.iter().map(|array| array.slice()).collect::<Result<Vec<_>, _>>()?;
        let state = self.inner().state(params.slice()?, &slices).map_err(value_error)?;
        Ok(artifact::to_bytes(&state))
    }

    /// Goes back to a saved state, and writes its parameters and moments into the arrays.
    #[pyo3(signature = (state, params, *moments))]
    fn load_state(&self, state: &[u8], mut params: FloatsMut<'_>, mut moments: Vec<FloatsMut<'_>>) -> PyResult<()> {
        let state: SessionState = artifact::from_bytes(state).map_err(value_error)?;
        let mut slices = moments.iter_mut().map(|array| array.slice()).collect::<Result<Vec<_>, _>>()?;
        self.inner().load_state(state, params.slice()?, &mut slices).map_err(value_error)
    }

    #[getter]
    fn lr(&self) -> f64 {
        self.inner().lr()
    }

    #[getter]
    fn weight_decay(&self) -> f64 {
        self.inner().weight_decay()
    }

    #[getter]
    fn steps(&self) -> u64 {
        self.inner().steps()
    }

    #[getter]
    fn rollbacks(&self) -> u64 {
        self.inner().rollbacks()
    }
}
