//! What the Python package takes from Rust: decisions, guard, pace, files and the tuner. Everything that touches a tensor is Python.

mod arguments;
mod controllers;
mod driver;
mod errors;
mod session;
mod tuner;

use pyo3::prelude::*;
use qgd::policy::Measure;

/// The core of the package `qgd`. Its names are those of `qgd` itself.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Where another logger is set already, that one stays.
    let _ = pyo3_log::try_init();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("MAX_SAMPLED", Measure::MAX_SAMPLED)?;
    module.add_class::<driver::Driver>()?;
    module.add_class::<driver::Order>()?;
    module.add_class::<session::Session>()?;
    module.add_class::<tuner::Study>()?;
    module.add_class::<tuner::Sampler>()?;
    module.add("Exhausted", module.py().get_type::<tuner::Exhausted>())?;
    module.add("Waits", module.py().get_type::<tuner::Waits>())?;
    module.add_function(wrap_pyfunction!(tuner::all_samplers, module)?)?;
    module.add_function(wrap_pyfunction!(tuner::all_pruners, module)?)?;
    module.add_function(wrap_pyfunction!(controllers::controllers, module)?)?;
    module.add_function(wrap_pyfunction!(controllers::inspect, module)?)?;
    module.add_function(wrap_pyfunction!(controllers::q_values, module)?)?;
    module.add_function(wrap_pyfunction!(driver::sample, module)?)
}
