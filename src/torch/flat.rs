//! Flat parameters: all trainable variables of a `VarStore` as views of one buffer.
//!
//! One buffer means that an optimizer step, a snapshot and a measurement are a handful of operations, however many
//! layers the net has. The variables stay what they were: `set_data` only moves their numbers, so the net, the
//! `VarStore` and a wrapped tch optimizer notice nothing. `VarStore::set_device` and a change of kind give the
//! variables storage of their own again; [`FlatParams::refresh`] notices that.

use super::TorchError;
use crate::simd::all_finite;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tch::nn::{VarStore, Variables};
use tch::{COptimizer, Device, Kind, Tensor};

/// Trainable variables of one `VarStore`, aliased to one buffer.
pub struct FlatParams {
    variables: Arc<Mutex<Variables>>,
    params: Vec<Param>,
    data: Tensor,
    // The only way in tch to make gradients undefined again, as PyTorch's zero_grad does.
    zeroing: COptimizer,
}

/// One variable, and its place in the buffer.
struct Param {
    tensor: Tensor,
    group: usize,
    range: Range<i64>,
    address: usize,
}

/// Gradients of one step, in the order of the buffer.
pub struct Gradient {
    /// Gradient of all parameters, `[n_params]`; zero where a parameter has none.
    pub flat: Tensor,
    /// Whether it has a gradient, for every variable.
    pub present: Vec<bool>,
}

/// Finding of [`FlatParams::refresh`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// All variables are where they were.
    Unchanged,
    /// The variables went to another device or kind, or got storage of their own.
    Moved,
    /// The `VarStore` has new variables; they stand behind the old ones.
    Grown,
}

impl FlatParams {
    /// Moves the trainable variables of `vs` into one buffer, in the order of their creation.
    ///
    /// # Errors
    /// When there are none, or when they differ in kind or device.
    pub fn new(vs: &VarStore) -> Result<Self, TorchError> {
        let mut flat = Self {
            variables: vs.variables_.clone(),
            params: Vec::new(),
            data: Tensor::new(),
            zeroing: COptimizer::sgd(0.0, 0.0, 0.0, 0.0, false)?,
        };
        flat.add_new_variables()?;
        flat.alias()?;
        Ok(flat)
    }

    /// The buffer, `[n_params]`.
    pub fn data(&self) -> &Tensor {
        &self.data
    }

    /// Variables of the `VarStore`, which tell it from others.
    pub(crate) fn store(&self) -> &Arc<Mutex<Variables>> {
        &self.variables
    }

    /// Number of groups.
    pub(crate) fn n_groups(&self) -> usize {
        1 + self.params.iter().map(|param| param.group).max().unwrap_or(0)
    }

    /// Number of times that the variables were written to, other than through the buffer.
    pub(crate) fn version(&self) -> Result<i64, TorchError> {
        self.params.iter().try_fold(0, |sum: i64, param| Ok(sum.wrapping_add(param.tensor.f_internal_version()?)))
    }

    /// A number whose gradient is the gradients of now, so that they can be made again after they were zeroed; none
    /// where there are none.
    pub(crate) fn carried_gradients(&self) -> Result<Option<Tensor>, TorchError> {
        tch::with_grad(|| {
            let mut carried: Option<Tensor> = None;
            for param in &self.params {
                let grad = param.tensor.f_grad()?;
                if !grad.defined() {
                    continue;
                }
                let part = param.tensor.f_mul(&grad.f_detach_copy()?)?.f_sum(param.tensor.f_kind()?)?;
                carried = Some(carried.map_or(Ok(part.shallow_clone()), |sum| sum.f_add(&part))?);
            }
            Ok(carried)
        })
    }

    /// Length of the buffer.
    pub fn len(&self) -> usize {
        self.params.last().map_or(0, |param| param.range.end as usize)
    }

    /// Number of variables.
    pub fn n_variables(&self) -> usize {
        self.params.len()
    }

    /// Parameter group of variable `index`.
    pub(crate) fn group(&self, index: usize) -> usize {
        self.params[index].group
    }

    /// Place of variable `index` in the buffer.
    pub(crate) fn range(&self, index: usize) -> Range<i64> {
        self.params[index].range.clone()
    }

    /// Shapes of the variables.
    pub(crate) fn shapes(&self) -> Vec<Vec<i64>> {
        self.params.iter().map(|param| param.tensor.size()).collect()
    }

    /// Paths of the variables, with dots; empty for one that its `VarStore` does not name.
    pub(crate) fn names(&self) -> Vec<String> {
        let variables = self.variables.lock().unwrap_or_else(PoisonError::into_inner);
        let known: HashMap<usize, &String> =
            variables.named_variables.iter().map(|(name, tensor)| (address(tensor), name)).collect();
        let name = |param: &Param| known.get(&address(&param.tensor)).map_or_else(String::new, |name| (*name).clone());
        self.params.iter().map(name).collect()
    }

    /// Variables that are no parameters (the running statistics of batch norm, ...), by name.
    pub fn buffers(&self) -> Vec<(String, Tensor)> {
        let variables = self.variables.lock().unwrap_or_else(PoisonError::into_inner);
        let trainable: Vec<usize> = variables.trainable_variables.iter().map(|var| address(&var.tensor)).collect();
        let mut buffers: Vec<_> = variables
            .named_variables
            .iter()
            .filter(|(_, tensor)| !trainable.contains(&address(tensor)))
            .map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
            .collect();
        buffers.sort_by(|a, b| a.0.cmp(&b.0));
        buffers
    }

    /// Takes in new variables, and makes variables that were given other storage views of the buffer again.
    ///
    /// # Errors
    /// When the variables now differ in kind or device.
    pub fn refresh(&mut self) -> Result<Refreshed, TorchError> {
        if self.add_new_variables()? {
            self.alias()?;
            return Ok(Refreshed::Grown);
        }
        if self.params.iter().all(|param| address(&param.tensor) == param.address) {
            return Ok(Refreshed::Unchanged);
        }
        self.alias()?;
        Ok(Refreshed::Moved)
    }

    /// Gathers the gradients of the last backward pass.
    ///
    /// # Errors
    /// When libtorch cannot join them (a sparse gradient).
    pub fn gradient(&self) -> Result<Gradient, TorchError> {
        let _guard = tch::no_grad_guard();
        let mut present = Vec::with_capacity(self.params.len());
        let mut parts = Vec::with_capacity(self.params.len());
        for param in &self.params {
            let grad = param.tensor.f_grad()?;
            present.push(grad.defined());
            parts.push(if grad.defined() { grad } else { param.tensor.f_zeros_like()? });
        }
        let flat = Tensor::f_flatten_dense_tensors(&parts)?;
        // A single tensor comes back as itself, and nobody may write into the gradient that the caller sees.
        let flat = if parts.len() == 1 { flat.f_detach_copy()? } else { flat };
        Ok(Gradient { flat, present })
    }

    /// Gradients of the variables that have one, as tch keeps them.
    pub(crate) fn gradients(&self) -> Result<Vec<Tensor>, TorchError> {
        let mut grads = Vec::with_capacity(self.params.len());
        for param in &self.params {
            let grad = param.tensor.f_grad()?;
            if grad.defined() {
                grads.push(grad);
            }
        }
        Ok(grads)
    }

    /// Whether all gradients are finite, for variables on a CPU. It is the quickest way without joining them.
    pub(crate) fn gradients_are_finite(&self, host: &mut Vec<f32>) -> Result<bool, TorchError> {
        for grad in self.gradients()? {
            // For a small one, a look at all numbers takes less time than a call of libtorch.
            let is_finite = if grad.numel() <= 1 << 15 && grad.f_kind()? == Kind::Float {
                to_host(&[&grad], host)?;
                all_finite(host)
            } else {
                grad.f_sum(Kind::Float)?.f_double_value(&[])?.is_finite()
            };
            if !is_finite {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes every gradient undefined, as PyTorch does.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn zero_grad(&self) -> Result<(), TorchError> {
        Ok(self.zeroing.zero_grad()?)
    }

    fn add_new_variables(&mut self) -> Result<bool, TorchError> {
        let variables = self.variables.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.params.len();
        let mut end = self.len() as i64;
        for var in variables.trainable_variables.iter().skip(known) {
            let start = end;
            end += var.tensor.numel() as i64;
            self.zeroing.add_parameters(&var.tensor, 0)?;
            self.params.push(Param {
                tensor: var.tensor.shallow_clone(),
                group: var.group,
                range: start..end,
                address: 0,
            });
        }
        Ok(self.params.len() > known)
    }

    /// Copies the variables into a new buffer and makes them views of it.
    fn alias(&mut self) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        self.check_kinds()?;
        let parts: Vec<Tensor> = self.params.iter().map(|param| param.tensor.shallow_clone()).collect();
        let data = Tensor::f_flatten_dense_tensors(&parts)?;
        self.data = if parts.len() == 1 { data.f_detach_copy()? } else { data.f_detach()? };
        for param in &mut self.params {
            let length = param.range.end - param.range.start;
            let view = self.data.f_narrow(0, param.range.start, length)?.f_view(param.tensor.size().as_slice())?;
            param.tensor.f_set_data(&view)?;
            param.address = address(&param.tensor);
        }
        Ok(())
    }

    fn check_kinds(&self) -> Result<(), TorchError> {
        let first = &self.params.first().ok_or(TorchError::NoParameters)?.tensor;
        let (expected, expected_device) = (first.f_kind()?, first.device());
        for (index, param) in self.params.iter().enumerate() {
            let (found, found_device) = (param.tensor.f_kind()?, param.tensor.device());
            if found != expected || found_device != expected_device || !param.tensor.is_floating_point() {
                return Err(TorchError::MixedKinds { index, found, found_device, expected, expected_device });
            }
        }
        Ok(())
    }
}

/// Copies numbers and vectors of f32 to the host, one behind the other; from a GPU all at once, so that it is waited
/// for only once.
pub(crate) fn to_host(parts: &[&Tensor], host: &mut Vec<f32>) -> Result<(), TorchError> {
    let total = parts.iter().map(|part| part.numel()).sum();
    host.resize(total, 0.0);
    if parts.iter().any(|part| part.device() != Device::Cpu) {
        let flat: Vec<Tensor> = parts.iter().map(|part| part.f_reshape([-1])).collect::<Result<_, _>>()?;
        return Ok(Tensor::f_cat(&flat, 0)?.f_copy_data(host, total)?);
    }
    let mut rest = host.as_mut_slice();
    for part in parts {
        let (here, behind) = rest.split_at_mut(part.numel());
        part.f_copy_data(here, here.len())?;
        rest = behind;
    }
    Ok(())
}

/// Address of the first element, which identifies the storage of a variable: two tensors with numbers never share it by
/// chance.
fn address(tensor: &Tensor) -> usize {
    tensor.data_ptr() as usize
}
