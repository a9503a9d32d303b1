//! Files of trained nets: a safetensors file, which Python and tch read, whose metadata say what the net is for.
//!
//! Tensors are the parameters and buffers of the net by the names of its variables. The metadata have one entry, `qgd`: a
//! JSON object with `checksum`, `format`, `version`, `task` (`name`, and `settings`: the keys of the task file with the text of
//! their values) and `fitted` ([`Fitted`]: names of columns and classes, means and deviations). The checksum is the FNV-1a hash
//! (64 bits, in hexadecimal digits) of all bytes of the file but these digits.

use super::saved::{SavedValues, header};
use super::{Net, NetError};
use crate::data::Fitted;
use crate::rng::Fnv1a;
use crate::task::{Settings, TaskSpec, first_difference};
use safetensors::tensor::{Dtype, View};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor, nn::VarStore};

/// The only key of the metadata: several would stand in another order in every file.
const KEY: &str = "qgd";
const FORMAT: u64 = 1;
/// Longest file that is read: that of the largest net, and its header.
const MAX_BYTES: u64 = (1 << 30) + (1 << 26);
/// Keys that say where the examples lay and which were used, not what they are.
const FREE: [&str; 6] = ["data.path", "data.limit", "data.split", "data.images", "data.labels", "data.files"];
/// What stands in a file before the digits of its checksum: the metadata begin with it.
const BEFORE_CHECKSUM: &[u8] = br#""qgd":"{\"checksum\":\""#;
/// Digits of a checksum that is not yet known.
const NO_CHECKSUM: &str = "0000000000000000";

/// What the metadata say.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    format: u64,
    version: String,
    task: SavedTask,
    fitted: Fitted,
}

/// The task that a net was trained on.
#[derive(Debug, Serialize, Deserialize)]
struct SavedTask {
    name: String,
    settings: Settings,
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
        let SavedTask { name, settings } = &self.about.task;
        let bound = |settings: &Settings| -> Settings {
            let is_bound = |key: &str| !key.starts_with("train.") && !FREE.contains(&key);
            settings.iter().filter(|(key, _)| is_bound(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        match first_difference(&bound(settings), &bound(&task.settings())) {
            None => Ok(()),
            Some((key, there, here)) => {
                let [key, there, here] = [key, there, here].map(str::to_owned);
                Err(NetFileError::OtherTask { path: self.path.clone(), task: name.clone(), key, there, here })
            }
        }
    }
}

/// The metadata, checked.
fn about(bytes: &[u8]) -> Result<About, String> {
    let header = header(bytes)?;
    let text = header.pointer(&format!("/__metadata__/{KEY}")).and_then(Value::as_str);
    let text = text.ok_or("its metadata have no entry `qgd`, so nothing says what the net is for")?;
    check_sum(bytes)?;
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

/// Whether the bytes are those that were written.
fn check_sum(bytes: &[u8]) -> Result<(), String> {
    let digits =
        place_of_checksum(bytes).ok_or("it has no checksum, so it may be damaged: train and save the net again")?;
    if bytes[digits.clone()] == *checksum(bytes, &digits).as_bytes() {
        Ok(())
    } else {
        Err("it is damaged, or was changed after it was written: its checksum is wrong".to_owned())
    }
}

/// Place of the digits of the checksum in the bytes of a file.
fn place_of_checksum(bytes: &[u8]) -> Option<Range<usize>> {
    let place = bytes.windows(BEFORE_CHECKSUM.len()).position(|found| found == BEFORE_CHECKSUM)?;
    let start = place + BEFORE_CHECKSUM.len();
    Some(start..start + NO_CHECKSUM.len()).filter(|digits| digits.end <= bytes.len())
}

/// The checksum of a file whose digits stand there.
fn checksum(bytes: &[u8], digits: &Range<usize>) -> String {
    let mut hash = Fnv1a::new();
    hash.add(&bytes[..digits.start]);
    hash.add(&bytes[digits.end..]);
    format!("{:016x}", hash.value())
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
        // The first of the keys, which are sorted.
        "checksum": NO_CHECKSUM,
        "format": FORMAT,
        "version": env!("CARGO_PKG_VERSION"),
        "task": SavedTask { name: task.name(), settings: task.settings() },
        "fitted": fitted,
    });
    // In any order: the file has its own, by name.
    let on_host = vs.variables().into_iter().map(|(name, tensor)| Ok((name, HostTensor::of(&tensor)?)));
    let tensors = on_host.collect::<Result<Vec<_>, NetError>>()?;
    let metadata = HashMap::from([(KEY.to_owned(), about.to_string())]);
    let failed = |what: String| NetError::Saved { name: KEY.to_owned(), what };
    let mut bytes = safetensors::serialize(tensors, &Some(metadata)).map_err(|error| failed(error.to_string()))?;
    let digits = place_of_checksum(&bytes).ok_or_else(|| failed("has no place for a checksum".to_owned()))?;
    let checksum = checksum(&bytes, &digits);
    bytes[digits].copy_from_slice(checksum.as_bytes());
    Ok(bytes)
}
