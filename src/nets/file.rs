//! Files of trained nets: a safetensors file, which Python and tch read, whose metadata say what the net is for.
//!
//! Tensors are the parameters and buffers of the net by the names of its variables. The metadata have one entry, `qgd`: a
//! JSON object with `format`, `version`, `task` (name, `data`, `net` and `train`, as in the task file) and `fitted`
//! ([`Fitted`]: names of columns and classes, means and deviations).

use super::saved::{SavedValues, header};
use super::{Net, NetError};
use crate::data::Fitted;
use crate::task::TaskSpec;
use safetensors::tensor::{Dtype, View};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor, nn::VarStore};

/// The only key of the metadata: several would stand in another order in every file.
const KEY: &str = "qgd";
const FORMAT: u64 = 1;
/// Longest file that is read: that of the largest net, and its header.
const MAX_BYTES: u64 = (1 << 30) + (1 << 26);
/// Keys of `data` that say where the examples lay and which were used, not what they are.
const FREE: [&str; 6] = ["data.path", "data.limit", "data.split", ".images", ".labels", ".files"];

/// What the metadata say.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    format: u64,
    version: String,
    task: Value,
    fitted: Fitted,
}

/// A file with a trained net that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetFileError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Name of the file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is longer than that of any net.
    #[error("{} has more than {allowed_bytes} bytes", path.display())]
    TooLarge {
        /// Name of the file.
        path: PathBuf,
        /// Largest number of bytes that is read.
        allowed_bytes: u64,
    },
    /// The bytes are not those of a net that we saved.
    #[error("{}: {what}; a net that `qgd train --save` wrote is needed", path.display())]
    NotANet {
        /// Name of the file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Another task than the one that the net was trained on.
    #[error(
        "{} was trained on another task (\"{task}\"): there {key} is {there}, here it is {here}; name the task that it was trained on",
        path.display()
    )]
    OtherTask {
        /// Name of the file.
        path: PathBuf,
        /// Name of the task that the net was trained on.
        task: String,
        /// Section and key of the first difference.
        key: String,
        /// Value in the file.
        there: String,
        /// Value in the task.
        here: String,
    },
    /// The tensors are not those of the net.
    #[error("{}", path.display())]
    Tensors {
        /// Name of the file.
        path: PathBuf,
        /// What is wrong.
        source: NetError,
    },
}

/// A file with a trained net, read and checked as far as possible without a task.
#[derive(Debug)]
pub struct NetFile {
    path: PathBuf,
    bytes: Vec<u8>,
    about: About,
}

impl NetFile {
    /// Reads a file that `qgd train --save` wrote.
    ///
    /// # Errors
    /// When it cannot be read, or is anything else.
    pub fn read(path: &Path) -> Result<Self, NetFileError> {
        let in_read = |source| NetFileError::Read { path: path.into(), source };
        let mut bytes = Vec::new();
        File::open(path).map_err(in_read)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(in_read)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(NetFileError::TooLarge { path: path.into(), allowed_bytes: MAX_BYTES });
        }
        let about = about(&bytes).map_err(|what| NetFileError::NotANet { path: path.into(), what })?;
        Ok(Self { path: path.into(), bytes, about })
    }

    /// What the data that it was trained on were prepared with.
    pub fn fitted(&self) -> &Fitted {
        &self.about.fitted
    }

    /// Builds the net for the task that it was trained on.
    ///
    /// # Errors
    /// When it was trained on another task or is another net, or the tensors are not those of this net.
    pub fn net(&self, task: &TaskSpec, device: Device) -> Result<(VarStore, Net), NetFileError> {
        self.check(task)?;
        let not_a_net = |what| NetFileError::NotANet { path: self.path.clone(), what };
        let in_tensors = |source| NetFileError::Tensors { path: self.path.clone(), source };
        let saved = SavedValues::of_bytes(&self.bytes).map_err(not_a_net)?;
        let vs = VarStore::new(device);
        let dataset = self.about.fitted.without_examples();
        let net = Net::restore(&task.net, &vs.root(), &dataset, &saved).map_err(in_tensors)?;
        let names: Vec<String> = vs.variables().into_keys().collect();
        match saved.other_than(&names) {
            Some(name) => Err(in_tensors(NetError::Saved { name, what: "is none of this net".to_owned() })),
            None => Ok((vs, net)),
        }
    }

    fn check(&self, task: &TaskSpec) -> Result<(), NetFileError> {
        let (there, here) = (&self.about.task, sections(task));
        for section in ["net", "data"] {
            if let Some((key, there, here)) = difference(section, &there[section], &here[section]) {
                let name = there_name(&self.about.task);
                return Err(NetFileError::OtherTask { path: self.path.clone(), task: name, key, there, here });
            }
        }
        Ok(())
    }
}

fn there_name(task: &Value) -> String {
    task["name"].as_str().unwrap_or_default().to_owned()
}

/// The metadata, checked.
fn about(bytes: &[u8]) -> Result<About, String> {
    let header = header(bytes)?;
    let text = header.pointer(&format!("/__metadata__/{KEY}")).and_then(Value::as_str);
    let text = text.ok_or("its metadata have no entry `qgd`, so nothing says what the net is for")?;
    let about: Value = serde_json::from_str(text).map_err(|error| format!("its metadata are damaged ({error})"))?;
    if about["format"] != json!(FORMAT) {
        return Err(format!("its format is {}, and this version reads {FORMAT}", about["format"]));
    }
    let about: About = serde_json::from_value(about).map_err(|error| format!("its metadata are damaged ({error})"))?;
    if about.fitted.is_sound() {
        Ok(about)
    } else {
        Err("the sizes or scales in its metadata are impossible".to_owned())
    }
}

/// The sections of a task. They are plain values, so none is ever missing.
fn sections(task: &TaskSpec) -> Value {
    json!({ "name": task.name(), "data": task.data, "net": task.net, "train": task.train })
}

/// The first key whose values differ, with both.
fn difference(path: &str, there: &Value, here: &Value) -> Option<(String, String, String)> {
    if there == here || FREE.iter().any(|free| path.ends_with(free)) {
        return None;
    }
    let (Some(there_keys), Some(here_keys)) = (there.as_object(), here.as_object()) else {
        return Some((path.to_owned(), there.to_string(), here.to_string()));
    };
    let mut keys: Vec<&String> = there_keys.keys().chain(here_keys.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter().find_map(|key| difference(&format!("{path}.{key}"), &there[key], &here[key]))
}

/// A tensor on the host.
struct HostTensor {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl HostTensor {
    fn of(tensor: &Tensor) -> Result<Self, NetError> {
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
        let mut values = vec![0.0f32; tensor.numel()];
        tensor.f_copy_data(&mut values, tensor.numel())?;
        let shape = tensor.size().into_iter().map(|size| size as usize).collect();
        Ok(Self { shape, bytes: values.into_iter().flat_map(f32::to_le_bytes).collect() })
    }
}

impl View for HostTensor {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The file of a trained net: the variables of `vs`, and what the net is for. The same net gives the same bytes.
///
/// # Errors
/// When libtorch cannot copy a variable to the host.
pub fn to_bytes(vs: &VarStore, task: &TaskSpec, fitted: &Fitted) -> Result<Vec<u8>, NetError> {
    let about = json!({
        "format": FORMAT,
        "version": env!("CARGO_PKG_VERSION"),
        "task": sections(task),
        "fitted": fitted,
    });
    // In any order: the file has its own, by name.
    let on_host = vs.variables().into_iter().map(|(name, tensor)| Ok((name, HostTensor::of(&tensor)?)));
    let tensors = on_host.collect::<Result<Vec<_>, NetError>>()?;
    let metadata = HashMap::from([(KEY.to_owned(), about.to_string())]);
    let failed =
        |error: safetensors::SafeTensorError| NetError::Saved { name: KEY.to_owned(), what: error.to_string() };
    safetensors::serialize(tensors, &Some(metadata)).map_err(failed)
}
