//! The tuner: studies, and samplers by themselves for the studies of others.

use crate::errors::{value_error, with_causes};
use pyo3::create_exception;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use qgd::tuner::{
    Ask, Direction, Distribution, Outcome, Parameter, Past, Setting, Space, SpaceFile, StudyConfig, TrialState,
    TunerError, Value, pruners, samplers, storage,
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

create_exception!(qgd, Exhausted, PyRuntimeError, "The sampler has nothing left to try.");
create_exception!(qgd, Waits, PyRuntimeError, "The next trial depends on one that is still running.");

fn tuner_error(error: TunerError) -> PyErr {
    match error {
        TunerError::Exhausted { .. } => Exhausted::new_err(with_causes(error)),
        // A worker that is silent is given up after a while, or heard of again.
        TunerError::Waits { .. } | TunerError::Silent { .. } => Waits::new_err(with_causes(error)),
        _ => value_error(error),
    }
}

/// Names of the samplers, each with a sentence.
#[pyfunction]
#[pyo3(name = "samplers")]
pub fn all_samplers() -> BTreeMap<&'static str, &'static str> {
    samplers::ALL.into()
}

/// Names of the pruners, each with a sentence.
#[pyfunction]
#[pyo3(name = "pruners")]
pub fn all_pruners() -> BTreeMap<&'static str, &'static str> {
    pruners::ALL.into()
}

/// A study: hands out trials and takes back what came of them.
#[pyclass(frozen, module = "qgd._core")]
pub struct Study {
    study: qgd::tuner::Study,
}

#[pymethods]
impl Study {
    /// `space` is the text of a space file, or its keys as JSON where `is_json`; `directions` holds "minimize" or
    /// "maximize" for each objective, those of the space where it is None.
    #[new]
    #[pyo3(signature = (space, *, is_json, name, storage, directions, sampler, pruner, seed, lag))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        space: &str,
        is_json: bool,
        name: String,
        storage: &str,
        directions: Option<Vec<String>>,
        sampler: String,
        pruner: String,
        seed: u64,
        lag: usize,
    ) -> PyResult<Self> {
        let SpaceFile { space, directions: of_space } = if is_json {
            let keys: toml::Table = serde_json::from_str(space).map_err(value_error)?;
            SpaceFile::parse(&keys.to_string())
        } else {
            SpaceFile::parse(space)
        }
        .map_err(value_error)?;
        let given = directions.map(|texts| texts.iter().map(|text| direction(text)).collect::<PyResult<Vec<_>>>());
        let directions = given.transpose()?.unwrap_or(of_space);
        let config = StudyConfig { name, directions, sampler, pruner, seed, lag, ..StudyConfig::default() };
        py.detach(|| {
            let storage = storage::open(storage).map_err(value_error)?;
            let study = qgd::tuner::Study::create_or_open(storage, space, config).map_err(tuner_error)?;
            Ok(Self { study })
        })
    }

    /// The study of that name, with the space and the settings that it was made with.
    #[staticmethod]
    fn open(py: Python<'_>, storage: &str, name: &str) -> PyResult<Self> {
        py.detach(|| {
            let storage = storage::open(storage).map_err(value_error)?;
            let study = qgd::tuner::Study::open(storage, name).map_err(tuner_error)?;
            Ok(Self { study })
        })
    }

    /// Number of trials that may run at the same time.
    #[getter]
    fn lag(&self) -> usize {
        self.study.config().lag
    }

    /// What has been noted about the study, as JSON.
    fn user_attrs(&self, py: Python<'_>) -> PyResult<String> {
        Ok(json!(py.detach(|| self.study.user_attrs()).map_err(tuner_error)?).to_string())
    }

    /// Notes something about the study: a value as JSON.
    fn set_user_attr(&self, py: Python<'_>, name: &str, value: &str) -> PyResult<()> {
        let value: Json = serde_json::from_str(value).map_err(value_error)?;
        py.detach(|| self.study.set_user_attr(name, value)).map_err(tuner_error)
    }

    /// Notes something about a running trial: a value as JSON.
    fn set_trial_attr(&self, py: Python<'_>, number: usize, name: &str, value: &str) -> PyResult<()> {
        let value: Json = serde_json::from_str(value).map_err(value_error)?;
        py.detach(|| self.study.set_trial_attr(number, name, value)).map_err(tuner_error)
    }

    /// Direction of each objective.
    #[getter]
    fn directions(&self) -> Vec<&'static str> {
        let name = |direction: &Direction| match direction {
            Direction::Minimize => "minimize",
            Direction::Maximize => "maximize",
        };
        self.study.config().directions.iter().map(name).collect()
    }

    /// The next trial: its number, and its parameters as JSON.
    fn ask(&self, py: Python<'_>) -> PyResult<(usize, String)> {
        py.detach(|| {
            let trial = self.study.ask().map_err(tuner_error)?;
            Ok((trial.number(), json!(trial.params()).to_string()))
        })
    }

    /// Takes what came of a trial: values and the state "complete", or the state "pruned" or "fail"; "waiting" where it is
    /// to be tried again.
    #[pyo3(signature = (number, values, state, constraints, reason))]
    fn tell(
        &self,
        py: Python<'_>,
        number: usize,
        values: Vec<f64>,
        state: &str,
        constraints: Vec<f64>,
        reason: &str,
    ) -> PyResult<()> {
        let outcome = match state {
            "complete" => Outcome::complete(values),
            "pruned" => Outcome::pruned(),
            "fail" => Outcome::failed(reason),
            "waiting" => Outcome::given_back(),
            _ => {
                let allowed = "'complete', 'pruned', 'fail', 'waiting'";
                return Err(value_error(format!("state is '{state}', but it is one of {allowed}")));
            }
        };
        py.detach(|| self.study.tell(number, outcome.with_constraints(constraints))).map_err(tuner_error)
    }

    /// Reports an intermediate value of a running trial.
    fn report(&self, py: Python<'_>, number: usize, step: i64, value: f64) -> PyResult<()> {
        py.detach(|| self.study.report(number, step, value)).map_err(tuner_error)
    }

    /// Whether a running trial should be stopped.
    fn should_prune(&self, py: Python<'_>, number: usize) -> PyResult<bool> {
        py.detach(|| self.study.should_prune(number)).map_err(tuner_error)
    }

    /// Has these parameters, an object of JSON, tried next.
    fn enqueue(&self, py: Python<'_>, params: &str) -> PyResult<()> {
        let params: BTreeMap<String, Value> = serde_json::from_str(params).map_err(value_error)?;
        py.detach(|| self.study.enqueue(&params)).map_err(tuner_error)
    }

    /// All trials, as JSON.
    fn trials(&self, py: Python<'_>) -> PyResult<String> {
        let trials = py.detach(|| self.study.trials()).map_err(tuner_error)?;
        Ok(Json::from_iter(trials.iter().map(described)).to_string())
    }

    /// One trial, as JSON.
    fn trial(&self, py: Python<'_>, number: usize) -> PyResult<String> {
        Ok(described(&py.detach(|| self.study.trial(number)).map_err(tuner_error)?).to_string())
    }

    /// The best trials, as JSON: one, or the Pareto front of several objectives.
    fn best_trials(&self, py: Python<'_>) -> PyResult<String> {
        let best = py.detach(|| match self.study.config().directions.len() {
            1 => self.study.best().map(|best| best.into_iter().collect()),
            _ => self.study.best_trials(),
        });
        Ok(Json::from_iter(best.map_err(tuner_error)?.iter().map(described)).to_string())
    }
}

fn described(trial: &qgd::tuner::Trial) -> Json {
    let numbers = |numbers: &[f64]| numbers.iter().map(|number| json!(Value::Float(*number))).collect::<Vec<_>>();
    let intermediate = trial.intermediate.iter();
    json!({
        "number": trial.number,
        "state": trial.state,
        "params": trial.values_of_params().into_iter().collect::<BTreeMap<_, _>>(),
        "values": numbers(&trial.values),
        "intermediate": intermediate.map(|(step, value)| json!([step, Value::Float(*value)])).collect::<Vec<_>>(),
        "constraints": numbers(&trial.constraints()),
        "reason": trial.reason(),
        "user_attrs": trial.user_attrs,
    })
}

fn direction(text: &str) -> PyResult<Direction> {
    match text {
        "minimize" => Ok(Direction::Minimize),
        "maximize" => Ok(Direction::Maximize),
        _ => Err(value_error(format!("a direction is '{text}', but it is 'minimize' or 'maximize'"))),
    }
}

/// A sampler by itself, for a study that others keep.
#[pyclass(frozen, module = "qgd._core")]
pub struct Sampler {
    space: Space,
    directions: Vec<Direction>,
    seed: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    sampler: Box<dyn qgd::tuner::Sampler>,
    settled: Vec<Past>,
}

/// A trial of others: its number, state, inner values in the order of the space, values, intermediate values and
/// constraints.
type Told = (usize, String, Vec<f64>, Vec<f64>, Vec<(i64, f64)>, Vec<f64>);

#[pymethods]
impl Sampler {
    /// `space` holds name and distribution (as Optuna writes it in JSON) of each parameter.
    #[new]
    fn new(spec: &str, space: Vec<(String, String)>, directions: Vec<String>, seed: u64) -> PyResult<Self> {
        let parameter = |(name, text): (String, String)| {
            let json: Json = serde_json::from_str(&text).map_err(value_error)?;
            let distribution = Distribution::from_json(&json)
                .ok_or_else(|| value_error(format!("the distribution of '{name}' cannot be used: {text}")))?;
            Ok(Parameter::new(name, distribution))
        };
        let parameters = space.into_iter().map(parameter).collect::<PyResult<Vec<_>>>()?;
        let space = Space::new(parameters).map_err(value_error)?;
        let directions = directions.iter().map(|text| direction(text)).collect::<PyResult<Vec<_>>>()?;
        let setting = Setting { space: &space, directions: &directions };
        let sampler = samplers::build(spec, &setting).map_err(value_error)?;
        let inner = Mutex::new(Inner { sampler, settled: Vec::new() });
        Ok(Self { space, directions, seed, inner })
    }

    /// Takes in trials that have ended. Each is told once, in any order.
    fn tell(&self, trials: Vec<Told>) -> PyResult<()> {
        let settled = trials.into_iter().map(past).collect::<PyResult<Vec<_>>>()?;
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).settled.extend(settled);
        Ok(())
    }

    /// Number of trials that were told.
    #[getter]
    fn n_told(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).settled.len()
    }

    /// Inner values of the parameters to try in trial `number`, while the trials `pending` are running; None where nothing
    /// is left.
    fn propose(&self, py: Python<'_>, number: usize, pending: Vec<Told>) -> PyResult<Option<Vec<f64>>> {
        let pending = pending.into_iter().map(past).collect::<PyResult<Vec<_>>>()?;
        Ok(py.detach(|| {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let Inner { sampler, settled } = &mut *inner;
            let ask = Ask {
                seed: self.seed,
                number,
                space: &self.space,
                directions: &self.directions,
                settled,
                pending: &pending,
            };
            sampler.propose(&ask).map(|point| point.iter().map(|inner| inner.unwrap_or(f64::NAN)).collect())
        }))
    }
}

fn past((number, state, point, values, intermediate, constraints): Told) -> PyResult<Past> {
    let state = match state.as_str() {
        "COMPLETE" => TrialState::Complete,
        "PRUNED" => TrialState::Pruned,
        "FAIL" => TrialState::Fail,
        "RUNNING" => TrialState::Running,
        _ => return Err(value_error(format!("'{state}' is no state of a trial"))),
    };
    let point = point.into_iter().map(Some).collect();
    Ok(Past { number, state, point, values, intermediate: intermediate.into_iter().collect(), constraints })
}
