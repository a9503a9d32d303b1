//! Values of a trained net, as the bytes of a safetensors file.

use super::NetError;
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::Value;

/// Tensors of a trained net by their names, in the bytes of a safetensors file.
#[derive(Debug)]
pub struct SavedValues<'a>(SafeTensors<'a>);

impl<'a> SavedValues<'a> {
    /// Looks into the bytes of a file.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub fn of_bytes(bytes: &'a [u8]) -> Result<Self, String> {
        header(bytes)?;
        SafeTensors::deserialize(bytes).map(Self).map_err(|error| format!("its tensors are damaged ({error})"))
    }

    /// Values of one tensor, which must have this shape.
    pub(super) fn of(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, NetError> {
        let wrong = |what: String| NetError::Saved { name: name.to_owned(), what };
        let view = self.0.tensor(name).map_err(|_| wrong("is missing from the file".to_owned()))?;
        if view.dtype() != Dtype::F32 {
            return Err(wrong(format!("has type {:?}, but must have F32", view.dtype())));
        }
        if view.shape() != shape {
            return Err(wrong(format!("has shape {:?}, but the net needs {shape:?}", view.shape())));
        }
        let (numbers, _) = view.data().as_chunks::<4>();
        let values: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(wrong(format!("holds {value}: the training of this net diverged"))),
            None => Ok(values),
        }
    }

    /// The first tensor that is none of `names`.
    pub(super) fn other_than(&self, names: &[String]) -> Option<String> {
        let mut others: Vec<&String> = self.0.names().into_iter().filter(|name| !names.contains(name)).collect();
        others.sort();
        others.first().map(ToString::to_string)
    }
}

/// The header of a file: a JSON object with a name, type, shape and place for each tensor, and `__metadata__`.
///
/// # Errors
/// Says what is wrong: it is no such file, or a tensor would lie beyond its end (the parser would overflow there).
pub(super) fn header(bytes: &[u8]) -> Result<Value, String> {
    let no_file = || "this is no safetensors file".to_owned();
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(no_file)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| no_file())?;
    let header: Value = serde_json::from_slice(rest.get(..length).ok_or_else(no_file)?).map_err(|_| no_file())?;
    let available = rest.len() - length;
    for (name, tensor) in header.as_object().ok_or_else(no_file)?.iter().filter(|(name, _)| *name != "__metadata__") {
        let end = tensor.pointer("/data_offsets/1").and_then(Value::as_u64);
        if end.is_none_or(|end| end > available as u64) {
            return Err(format!("tensor `{name}` is cut off: the file is truncated or damaged"));
        }
    }
    Ok(header)
}
