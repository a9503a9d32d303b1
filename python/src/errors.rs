//! Errors of the core as exceptions of Python.

use pyo3::PyErr;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use std::error::Error;
use std::iter::successors;

/// A value that cannot be taken.
pub fn value_error(error: impl Into<Box<dyn Error + Send + Sync>>) -> PyErr {
    PyValueError::new_err(with_causes(error))
}

/// A call at the wrong time.
pub fn runtime_error(error: impl Into<Box<dyn Error + Send + Sync>>) -> PyErr {
    PyRuntimeError::new_err(with_causes(error))
}

/// Text of an error, and those of its causes.
pub fn with_causes(error: impl Into<Box<dyn Error + Send + Sync>>) -> String {
    let error = error.into();
    let causes = successors(Some(&*error as &dyn Error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
