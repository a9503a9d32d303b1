//! The loop between a host and a policy. The host is Python: `qgd.torch.QController`, or a loop of the user's own.

use crate::arguments::{Floats, Seed};
use crate::controllers::{Named, named};
use crate::errors::{runtime_error, value_error};
use numpy::PyArray1;
use pyo3::prelude::*;
use qgd::driver::{Bounds, DriverState};
use qgd::policy::{Measure, Measured, Sums};
use qgd::{DriverConfig, artifact};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Order to the host: what it does at a step.
#[pyclass(frozen, get_all, module = "qgd")]
#[derive(Clone, Copy)]
pub struct Order {
    /// "apply", "skip", "roll_back" or "restart".
    kind: &'static str,
    /// Learning rate of this step where it is applied, else the one from here on.
    lr: f64,
    /// Weight decay of this step where it is applied, else the one from here on.
    weight_decay: f64,
    /// Whether the state before this step is the one that "roll_back" goes back to from here on.
    keep: bool,
}

#[pymethods]
impl Order {
    fn __repr__(&self) -> String {
        let Self { kind, lr, weight_decay, keep } = self;
        let keep = if *keep { "True" } else { "False" };
        format!("Order(kind='{kind}', lr={lr:?}, weight_decay={weight_decay:?}, keep={keep})")
    }
}

/// A driver of a controller or a schedule, for hosts that keep and restore their own state. Arguments as for `Session`;
/// `lr_bounds` and `weight_decay_bounds` are (low, high), and are widened to hold the value that the run starts from.
///
/// `step` answers with an `Order`, which the host follows by its `kind`. "apply": it takes its optimizer's step with
/// `lr` and `weight_decay`; where `keep` is set it copies its state before that. "skip": it changes nothing. "roll_back":
/// it restores that copy and calls `rolled_back`. "restart": it restores the state of the start and calls
/// `reset_measure`.
#[pyclass(frozen, module = "qgd")]
pub struct Driver {
    inner: Mutex<Inner>,
    #[pyo3(get)]
    moves_lr: bool,
    #[pyo3(get)]
    moves_weight_decay: bool,
    #[pyo3(get)]
    watches_validation: bool,
}

struct Inner {
    driver: qgd::Driver,
    measure: Measure,
    /// What [`Driver::sums`] has measured, for the next step.
    candidate: Option<Measure>,
    records: Arc<Mutex<Vec<String>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pymethods]
impl Driver {
    #[new]
    #[pyo3(signature = (controller = "lr", lr = 1e-3, *, weight_decay = 0.0, total_steps = None, steps_per_epoch = None,
                        loss_floor = 0.0, lr_bounds = None, weight_decay_bounds = None, seed = Seed(0)),
           text_signature = "(controller='lr', lr=0.001, *, weight_decay=0.0, total_steps=None, steps_per_epoch=None, \
                             loss_floor=0.0, lr_bounds=None, weight_decay_bounds=None, seed=0)")]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        controller: &str,
        lr: f64,
        weight_decay: f64,
        total_steps: Option<i64>,
        steps_per_epoch: Option<f64>,
        loss_floor: f64,
        lr_bounds: Option<[f64; 2]>,
        weight_decay_bounds: Option<[f64; 2]>,
        seed: Seed,
    ) -> PyResult<Self> {
        let total_steps = total_steps.map(n_steps).transpose()?;
        let Named { pilot, moves_lr, moves_weight_decay, watches_validation } = named(controller, total_steps, seed.0)?;
        let own = pilot.config.bounds;
        let bounds =
            Bounds { lr: lr_bounds.unwrap_or(own.lr), weight_decay: weight_decay_bounds.unwrap_or(own.weight_decay) };
        let config = DriverConfig { steps_per_epoch, loss_floor, bounds, ..pilot.config };
        let mut driver = qgd::Driver::new(pilot.policy, lr, weight_decay, config).map_err(value_error)?;
        let records = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&records);
        driver.on_decision(Box::new(move |record| {
            let mut line = Vec::new();
            if record.write_json_line(&mut line).is_ok() {
                locked(&log).push(String::from_utf8_lossy(&line).into_owned());
            }
        }));
        let inner = Mutex::new(Inner { driver, measure: Measure::default(), candidate: None, records });
        Ok(Self { inner, moves_lr, moves_weight_decay, watches_validation })
    }

    /// One inner step: the host tells what it saw at its parameters, and does what the answer says.
    ///
    /// Where a decision is due, the host shows a sample of its parameters and of the gradient (the same coordinates at
    /// every decision, of `n_params`), or the sums that it has made of what `sums` returned.
    #[pyo3(signature = (losses, grad_is_finite = true, *, params = None, grad = None, n_params = None, sums = None,
                        n_sampled = None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn step(
        &self,
        losses: Vec<f32>,
        grad_is_finite: bool,
        params: Option<Floats<'_>>,
        grad: Option<Floats<'_>>,
        n_params: Option<usize>,
        sums: Option<[f64; 11]>,
        n_sampled: Option<usize>,
    ) -> PyResult<Order> {
        let mut inner = locked(&self.inner);
        let Inner { driver, measure, candidate, .. } = &mut *inner;
        let order = match (&params, &grad, sums) {
            (Some(params), Some(grad), None) => {
                let (params, grad) = (params.slice()?, grad.slice()?);
                check_sample(measure, params, grad)?;
                let n_params = n_params.unwrap_or(params.len());
                if n_params < params.len() {
                    let n_sampled = params.len();
                    return Err(value_error(format!(
                        "n_params is {n_params}, but `params` alone has {n_sampled} values"
                    )));
                }
                driver.step(&losses, grad_is_finite, || measure.measure_sample(params, grad, n_params))
            }
            (None, None, Some(sums)) => {
                let (Some(next), Some(n_params), Some(n_sampled)) = (candidate.take(), n_params, n_sampled) else {
                    return Err(value_error(
                        "sums are those of the last call of `sums`, and come with `n_params` and `n_sampled`",
                    ));
                };
                driver.step(&losses, grad_is_finite, || {
                    *measure = next;
                    Measured::from_sums(&Sums::from(sums), n_sampled, n_params)
                })
            }
            (None, None, None) if !driver.is_due() => driver.step(&losses, grad_is_finite, Measured::default),
            (None, None, None) => {
                return Err(value_error(
                    "a decision is due at this step (`is_due`): show it a sample of the parameters and of the gradient, \
                     as `params` and `grad`, float32 arrays of the same coordinates at every decision",
                ));
            }
            _ => return Err(value_error("give `params` and `grad`, or `sums`, or none of them")),
        };
        Ok(order_of(driver, order))
    }

    /// Measures a part of the parameters whose other parts lie in other processes: the sums over its sample, which are
    /// added up over the parts and handed to `step`.
    fn sums(&self, params: Floats<'_>, grad: Floats<'_>) -> PyResult<[f64; 11]> {
        let mut inner = locked(&self.inner);
        let (params, grad) = (params.slice()?, grad.slice()?);
        check_sample(&inner.measure, params, grad)?;
        let mut candidate = inner.measure.clone();
        let sums = candidate.sums(params, grad);
        inner.candidate = Some(candidate);
        Ok(sums.into())
    }

    /// Takes note that the host has gone back to these sampled parameters.
    fn rolled_back(&self, params: Floats<'_>) -> PyResult<()> {
        let mut inner = locked(&self.inner);
        let params = params.slice()?;
        check_sample(&inner.measure, params, params)?;
        inner.measure.rolled_back(params);
        Ok(())
    }

    /// Measures from here on as if the run were new: after "restart", or where the parameters are others.
    fn reset_measure(&self) {
        locked(&self.inner).measure = Measure::default();
    }

    /// Takes note that the host begins anew from the parameters that it has now.
    fn begin_here(&self) {
        let mut inner = locked(&self.inner);
        inner.driver.begin_here();
        inner.measure = Measure::default();
    }

    /// Takes note that the host can no longer go back to the state that was kept first.
    fn forget_first(&self) {
        locked(&self.inner).driver.forget_first();
    }

    /// Sets a new base learning rate; the ratio of the present rate to it stays.
    fn set_lr(&self, lr: f64) -> PyResult<()> {
        locked(&self.inner).driver.set_lr(lr).map_err(value_error)
    }

    /// Sets the weight decay, also as the one that the run started with.
    fn set_weight_decay(&self, weight_decay: f64) -> PyResult<()> {
        locked(&self.inner).driver.set_weight_decay(weight_decay).map_err(value_error)
    }

    /// Says that the run has `n_steps` steps left: over them the learning rate falls to zero.
    fn cool_down(&self, n_steps: i64) -> PyResult<()> {
        locked(&self.inner).driver.cool_down(steps_left(n_steps)?).map_err(value_error)
    }

    /// Takes note of the newest validation loss or error, for the policy.
    fn observe_validation(&self, error: f64) {
        locked(&self.inner).driver.observe_validation(error);
    }

    /// Stops the policy from learning and exploring.
    fn freeze(&self) {
        locked(&self.inner).driver.freeze();
    }

    /// Records of the decisions since the last call, each as JSON.
    fn take_records(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&locked(&self.inner).records))
    }

    /// Everything that later steps depend on, as bytes.
    fn state(&self) -> Vec<u8> {
        let inner = locked(&self.inner);
        artifact::to_bytes(&(inner.driver.state(), &inner.measure))
    }

    /// Goes back to a saved state.
    fn load_state(&self, state: &[u8]) -> PyResult<()> {
        let (state, measure): (DriverState, Measure) = artifact::from_bytes(state).map_err(value_error)?;
        let mut inner = locked(&self.inner);
        inner.driver.load_state(state).map_err(value_error)?;
        (inner.measure, inner.candidate) = (measure, None);
        Ok(())
    }

    /// Whether the measurements so far, if any, are of this number of coordinates.
    fn measures(&self, n_sampled: usize) -> bool {
        locked(&self.inner).measure.fits(n_sampled)
    }

    #[getter]
    fn is_due(&self) -> bool {
        locked(&self.inner).driver.is_due()
    }

    #[getter]
    fn is_guarded(&self) -> bool {
        locked(&self.inner).driver.is_guarded()
    }

    #[getter]
    fn may_restart(&self) -> bool {
        locked(&self.inner).driver.may_restart()
    }

    #[getter]
    fn lr(&self) -> f64 {
        locked(&self.inner).driver.lr()
    }

    #[getter]
    fn weight_decay(&self) -> f64 {
        locked(&self.inner).driver.weight_decay()
    }

    #[getter]
    fn steps(&self) -> u64 {
        locked(&self.inner).driver.steps()
    }

    #[getter]
    fn total_steps(&self) -> Option<u64> {
        locked(&self.inner).driver.total_steps()
    }

    /// Number of times that each action was taken, as (halve, accept, grow).
    #[getter]
    fn counts(&self) -> (u64, u64, u64) {
        let counts = locked(&self.inner).driver.counts();
        (counts.halve, counts.accept, counts.grow)
    }

    #[getter]
    fn rollbacks(&self) -> u64 {
        locked(&self.inner).driver.rollbacks()
    }

    #[getter]
    fn broken_batches(&self) -> u64 {
        locked(&self.inner).driver.broken_batches()
    }
}

fn order_of(driver: &qgd::Driver, order: qgd::Order) -> Order {
    let other = |kind| Order { kind, lr: driver.lr(), weight_decay: driver.weight_decay(), keep: false };
    match order {
        qgd::Order::Apply { lr, weight_decay, keep } => Order { kind: "apply", lr, weight_decay, keep },
        qgd::Order::Skip => other("skip"),
        qgd::Order::RollBack => other("roll_back"),
        qgd::Order::Restart => other("restart"),
    }
}

fn check_sample(measure: &Measure, params: &[f32], grad: &[f32]) -> PyResult<()> {
    if params.is_empty() {
        return Err(value_error("there are no parameters: `params` is empty"));
    }
    if params.len() != grad.len() {
        let (n_params, n_grad) = (params.len(), grad.len());
        return Err(value_error(format!("`params` has {n_params} values, but `grad` has {n_grad}")));
    }
    if measure.fits(params.len()) {
        return Ok(());
    }
    Err(runtime_error(format!(
        "`params` has {} values, but another number at the last decision: show the same coordinates at every decision \
         (for a net that has changed, call `begin_here` first)",
        params.len()
    )))
}

/// A number of steps that Python gave.
pub fn n_steps(steps: i64) -> PyResult<u64> {
    u64::try_from(steps).ok().filter(|&steps| steps > 0).ok_or_else(|| {
        value_error(format!(
            "total_steps is {steps}, but a run has at least 1 step (None where the number is not known)"
        ))
    })
}

/// A number of steps that are left, as Python gave it.
pub fn steps_left(steps: i64) -> PyResult<u64> {
    u64::try_from(steps).map_err(|_| value_error(format!("n_steps is {steps}, but must be at least 1")))
}

/// Indices, ascending, of the coordinates that are measured of `n_params`; None where all are.
#[pyfunction]
pub fn sample(py: Python<'_>, n_params: usize, seed: u64) -> Option<Bound<'_, PyArray1<i64>>> {
    Measure::sample(n_params, seed).map(|places| PyArray1::from_vec(py, places))
}
