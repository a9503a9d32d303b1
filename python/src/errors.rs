//! Errors of the core as exceptions of Python.

use pyo3::PyErr;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use std::error::Error;
use std::fmt::Display;

/// A value that cannot be taken.
pub fn value_error(error: impl Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// A call at the wrong time.
pub fn runtime_error(error: impl Display) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// A file that cannot be taken, with all causes: the first says which file, the last says why.
pub fn file_error(error: impl Error) -> PyErr {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    PyValueError::new_err(causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}")))
}
