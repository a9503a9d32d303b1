//! Flags that several commands share: overrides of a task file, and the machine on which the training runs.

use super::failure::Failure;
use anyhow::anyhow;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use qgd::data::{self, Dataset};
use qgd::schedule::Schedule;
use qgd::task::{OptimizerKind, TaskError, TaskSpec};
use qgd::torch::Conditioning;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tch::Device;

/// A flag whose values are known names; clap lists them and suggests the nearest one.
pub fn one_of<T: FromStr + Clone + Send + Sync + 'static>(
    names: impl IntoIterator<Item = &'static str>,
) -> impl TypedValueParser<Value = T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    PossibleValuesParser::new(names.into_iter().collect::<Vec<_>>()).try_map(|name| name.parse())
}

/// Parses a schedule by name.
pub fn schedule() -> impl TypedValueParser<Value = Schedule> {
    one_of(Schedule::ALL.map(Schedule::name))
}

/// Flags that override a task file.
#[derive(clap::Args)]
#[command(next_help_heading = "Instead of what the task file says")]
pub struct Overrides {
    /// The optimizer
    #[arg(long, value_name = "NAME", value_parser = one_of::<OptimizerKind>(OptimizerKind::NAMES.map(|(name, _)| name)))]
    optimizer: Option<OptimizerKind>,
    /// What becomes of the changes of weight matrices: `none`, or `orthogonal`, which turns them and keeps their norm;
    /// orthogonal:degree=0.5 by half (`qgd help task`)
    #[arg(long, value_name = "HOW")]
    conditioning: Option<Conditioning>,
    /// The weight decay, as PyTorch counts it
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    weight_decay: Option<f64>,
    /// Examples per step, drawn with replacement; 0 for the whole training split
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Optimizer steps
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
}

impl Overrides {
    /// Reads the task file and applies the flags. `lr` is a flag of its own, because not every command has one.
    pub fn load(&self, file: &Path, lr: Option<f64>) -> Result<TaskSpec, Failure> {
        let mut task = self::task(file)?;
        let train = &mut task.train;
        train.optimizer = self.optimizer.unwrap_or(train.optimizer);
        train.conditioning = self.conditioning.unwrap_or(train.conditioning);
        train.lr = lr.unwrap_or(train.lr);
        train.weight_decay = self.weight_decay.unwrap_or(train.weight_decay);
        train.batch_size = self.batch_size.unwrap_or(train.batch_size);
        train.steps = self.steps.unwrap_or(train.steps);
        let flags = [
            ("train.lr", "--lr", lr.is_some()),
            ("train.conditioning", "--conditioning", self.conditioning.is_some()),
            ("train.weight_decay", "--weight-decay", self.weight_decay.is_some()),
            ("train.steps", "--steps", self.steps.is_some()),
        ];
        let given = flags.into_iter().filter(|(.., is_given)| *is_given).map(|(key, flag, _)| (key, flag));
        check(&task, &given.collect::<Vec<_>>())?;
        Ok(task)
    }
}

/// A conditioning behind the name of an optimizer; nothing where there is none.
pub fn in_words(conditioning: &str) -> String {
    if conditioning == "none" { String::new() } else { format!(" with {conditioning}") }
}

/// Reads a task. Where it is no task file, says how one is made of a table.
pub fn task(file: &Path) -> Result<TaskSpec, Failure> {
    TaskSpec::load(file).map_err(|error| {
        let is_other = match &error {
            TaskError::Syntax { .. } => true,
            TaskError::Read { source, .. } => source.kind() == std::io::ErrorKind::InvalidData,
            _ => false,
        };
        if !is_other || file.extension().is_some_and(|ending| ending == "toml") {
            return Failure::bad_input(error);
        }
        let (name, quoted) = (file.display(), in_shell(file));
        let hint = format!("{name} is no task file; if it is a table, `qgd init {quoted}` writes a task file for it");
        Failure::BadInput(anyhow::Error::new(error).context(hint))
    })
}

/// A path as a shell takes it for one word.
pub fn in_shell(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "._-/+:@%".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Checks a task. A value that comes from a flag is the flag's fault: `flags` are keys with the flags that gave their values.
pub fn check(task: &TaskSpec, flags: &[(&str, &str)]) -> Result<(), Failure> {
    task.check().map_err(|error| {
        let flag = match &error {
            TaskError::OutOfRange { source, .. } => flags.iter().find(|(key, _)| source.key == *key).zip(Some(source)),
            _ => None,
        };
        match flag {
            Some(((_, flag), source)) => Failure::BadInput(anyhow!("{flag}: {source}")),
            None => Failure::bad_input(error),
        }
    })
}

/// Folder of the data files, below the working folder, where no flag names another.
pub const DATA_FOLDER: &str = "data";

/// Folder of the data, and device that computes.
#[derive(clap::Args)]
#[command(next_help_heading = "Machine")]
pub struct Machine {
    /// Device that computes
    #[arg(long, default_value = "cpu", value_parser = ["cpu", "cuda"])]
    pub device: String,
    /// Folder of the data files, if they are not beside the task file (see `qgd data`)
    #[arg(long, value_name = "DIR", default_value = DATA_FOLDER)]
    pub data_dir: Option<PathBuf>,
}

impl Machine {
    /// The device, if it is there.
    pub fn device(&self) -> Result<Device, Failure> {
        if self.device == "cuda" { cuda(0) } else { Ok(Device::Cpu) }
    }

    /// A number that tells the content of the data of a task from any other.
    pub fn fingerprint(&self, task: &TaskSpec) -> Result<u64, Failure> {
        data::fingerprint(&task.data, task.directory(), self.data_dir.as_deref()).map_err(Failure::bad_input)
    }

    /// Reads the data of a task; `seed` shuffles and splits them.
    pub fn dataset(&self, task: &TaskSpec, seed: u64) -> Result<Dataset, Failure> {
        data::load(&task.data, task.directory(), self.data_dir.as_deref(), seed).map_err(Failure::bad_input)
    }
}

/// The CUDA device of this number, if it is there.
pub fn cuda(index: usize) -> Result<Device, Failure> {
    let missing = |reason: &str| Err(Failure::BadInput(anyhow!("--device cuda: {reason}")));
    if !tch::Cuda::is_available() {
        return missing(if cfg!(feature = "cuda") {
            "libtorch finds no CUDA device"
        } else {
            "this qgd was built without feature `cuda` (and needs a CUDA libtorch in LIBTORCH)"
        });
    }
    let n = tch::Cuda::device_count();
    if i64::try_from(index).map_or(true, |index| index >= n) {
        return missing(&format!("there is no device {index}, the devices are 0 to {}", n - 1));
    }
    Ok(Device::Cuda(index))
}
