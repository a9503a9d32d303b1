//! Arguments of Python: float32 arrays of numpy, and seeds. What cannot be taken is described; PyO3 names the argument.

use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1, PyReadwriteArray1};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// Array to read, `[n]` of float32, contiguous.
pub struct Floats<'py>(PyReadonlyArray1<'py, f32>);

impl Floats<'_> {
    /// Its numbers.
    pub fn slice(&self) -> PyResult<&[f32]> {
        Ok(self.0.as_slice()?)
    }
}

impl<'py> FromPyObject<'_, 'py> for Floats<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let array = object.cast::<PyArray1<f32>>().map_err(|_| refused(&object))?;
        let array = array.try_readonly().map_err(|_| in_use())?;
        if array.as_slice().is_err() {
            return Err(refused(&object));
        }
        Ok(Self(array))
    }
}

/// Array to write into, `[n]` of float32, contiguous.
pub struct FloatsMut<'py>(PyReadwriteArray1<'py, f32>);

impl FloatsMut<'_> {
    /// Its numbers.
    pub fn slice(&mut self) -> PyResult<&mut [f32]> {
        Ok(self.0.as_slice_mut()?)
    }
}

impl<'py> FromPyObject<'_, 'py> for FloatsMut<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let array = object.cast::<PyArray1<f32>>().map_err(|_| refused(&object))?;
        let mut array = array.try_readwrite().map_err(|_| in_use())?;
        if array.as_slice_mut().is_err() {
            return Err(refused(&object));
        }
        Ok(Self(array))
    }
}

/// Seed of everything that is random.
pub struct Seed(pub u64);

impl FromPyObject<'_, '_> for Seed {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let refused =
            |_| PyTypeError::new_err(format!("it is {}, but must be a whole number from 0 to 2^64 - 1", *object));
        object.extract::<u64>().map(Self).map_err(refused)
    }
}

fn refused(object: &Bound<'_, PyAny>) -> PyErr {
    let found = match (object.getattr("dtype"), object.getattr("shape")) {
        (Ok(dtype), Ok(shape)) => format!("an array of {dtype} and shape {shape}"),
        _ => object.get_type().name().map_or("of another type".to_owned(), |name| format!("a {name}")),
    };
    PyTypeError::new_err(format!(
        "it is {found}, but must be a contiguous float32 array of one dimension: \
         numpy.ascontiguousarray(x, dtype=numpy.float32).ravel(), for instance"
    ))
}

fn in_use() -> PyErr {
    PyTypeError::new_err("the array is read-only, or it was given twice: each argument is an array of its own")
}
