//! The range of every value of a task, whether it came from a file or from a flag.

use super::{NetKind, NetSpec, OptimizerKind, TrainSpec, ValueError};
use crate::data::{ClassWeights, Column, DataSpec, Format, TableSpec, TargetKind};
use crate::limits::RATES;
use crate::torch::Conditioning;

/// Largest number of steps of a training: more than anybody waits for.
pub const MAX_STEPS: u64 = 1_000_000_000_000;
/// Largest size of one layer.
const MAX_UNITS: usize = 65_536;
/// Largest number of layers, far beyond those of nets that train.
const MAX_LAYERS: usize = 1000;
/// Largest number of classes: as large as a vocabulary may be.
const MAX_CLASSES: usize = 10_000_000;

fn within(holds: bool, key: &str, value: impl ToString, allowed: impl ToString) -> Result<(), ValueError> {
    if holds { Ok(()) } else { Err(ValueError::new(key, value, allowed)) }
}

impl DataSpec {
    pub(super) fn check(&self) -> Result<(), ValueError> {
        within(!self.path.as_os_str().is_empty(), "data.path", "\"\"", "the name of a file or folder")?;
        let sum: f64 = self.split.iter().sum();
        let fractions = self.split.iter().all(|part| (0.0..=1.0).contains(part));
        let split = fractions && (sum - 1.0).abs() < 1e-6 && self.split[0] > 0.0;
        within(
            split,
            "data.split",
            format!("{:?}", self.split),
            "three parts in [0, 1] with sum 1, the first above 0",
        )?;
        within(self.limit != Some(0), "data.limit", 0, "at least 1")?;
        if let Some(classes) = self.classes {
            within((1..=MAX_CLASSES).contains(&classes), "data.classes", classes, "from 1 to 10000000")?;
        }
        if let Some(gb) = self.max_memory_gb {
            within((1e-6..=1e6).contains(&gb), "data.max_memory_gb", gb, "from 0.000001 to 1000000")?;
        }
        let regression = self.kind == Some(TargetKind::Values);
        within(
            self.class_weights.is_none() || !regression,
            "data.class_weights",
            "given",
            "left out where `kind = \"regression\"`: there are no classes",
        )?;
        if let Some(ClassWeights::Named(weights)) = &self.class_weights {
            for (class, weight) in weights {
                within(
                    (1e-6..=1e6).contains(weight),
                    &format!("data.class_weights.{class}"),
                    weight,
                    "from 1e-6 to 1e6",
                )?;
            }
        }
        let table = matches!(self.format, Format::Csv(_));
        within(table || !regression, "data.kind", "\"regression\"", "\"classification\" for any format but csv")?;
        self.format.check()
    }
}

impl Format {
    pub(super) fn check(&self) -> Result<(), ValueError> {
        match self {
            Self::Csv(table) => table.check(),
            Self::Idx { .. } => Ok(()),
            Self::Cifar { files } => {
                within(!files.is_empty(), "data.files", "[]", "at least one file name")?;
                let twin = (1..files.len()).find(|&i| files[..i].contains(&files[i]));
                twin.map_or(Ok(()), |i| within(false, "data.files", &files[i], "each file once"))
            }
            Self::Tsv { vocabulary, length } => {
                within((3..=10_000_000).contains(vocabulary), "data.vocabulary", vocabulary, "from 3 to 10000000")?;
                within((1..=100_000).contains(length), "data.length", length, "from 1 to 100000")
            }
            Self::Chars { context } => {
                within((1..=100_000).contains(context), "data.context", context, "from 1 to 100000")
            }
        }
    }
}

impl TableSpec {
    fn check(&self) -> Result<(), ValueError> {
        let delimiter = self.delimiter;
        let plain = delimiter.is_ascii() && !matches!(delimiter, '"' | '\n' | '\r' | '\0');
        within(plain, "data.delimiter", format!("{delimiter:?}"), "one ASCII character, no quote and no line end")?;
        within(
            self.decimal != delimiter,
            "data.decimal",
            format!("{:?}", self.decimal.to_string()),
            "another character than `data.delimiter`; say how the cells are separated, as `delimiter = \";\"`",
        )?;
        let lists = [("data.ignore", Some(&self.ignore)), ("data.categorical", Some(&self.categorical))];
        let lists = [("data.features", self.features.as_ref())].into_iter().chain(lists);
        let columns = lists.flat_map(|(key, list)| list.into_iter().flatten().map(move |column| (key, column)));
        for (key, column) in std::iter::once(("data.target", &self.target)).chain(columns) {
            if let Column::Name(name) = column {
                within(self.header, key, format!("\"{name}\""), "a column number where header = false")?;
            }
        }
        Ok(())
    }
}

impl NetSpec {
    pub(super) fn check(&self) -> Result<(), ValueError> {
        sizes("net.hidden", &self.hidden)?;
        within((0.0..1.0).contains(&self.dropout), "net.dropout", self.dropout, "in [0, 1)")?;
        within(is_zero_or_rate(self.l1), "net.l1", show(self.l1), ZERO_OR_RATE)?;
        match &self.kind {
            NetKind::Mlp => Ok(()),
            NetKind::Cnn { channels, .. } => {
                within(!channels.is_empty(), "net.channels", "[]", "at least one number of channels")?;
                sizes("net.channels", channels)
            }
            NetKind::Gru { embedding, .. } | NetKind::Lstm { embedding, .. } => {
                sizes("net.embedding", &[*embedding])?;
                let one = self.hidden.len() == 1;
                within(one, "net.hidden", format!("{:?}", self.hidden), "one size in brackets for a recurrent net")
            }
            NetKind::Transformer { embedding, layers, heads, .. } => {
                sizes("net.embedding", &[*embedding])?;
                layers_or_blocks("net.layers", *layers)?;
                let divides = embedding.checked_rem(*heads) == Some(0);
                within(divides, "net.heads", heads, format!("a divisor of net.embedding, which is {embedding}"))
            }
            NetKind::Resnet { channels, blocks } => {
                within(!channels.is_empty(), "net.channels", "[]", "at least one number of channels")?;
                sizes("net.channels", channels)?;
                layers_or_blocks("net.blocks", *blocks)
            }
        }
    }
}

fn layers_or_blocks(key: &str, n: usize) -> Result<(), ValueError> {
    within((1..=MAX_LAYERS).contains(&n), key, n, format!("from 1 to {MAX_LAYERS}"))
}

fn sizes(key: &str, sizes: &[usize]) -> Result<(), ValueError> {
    let n = sizes.len();
    within(n <= MAX_LAYERS, key, format!("a list of {n} sizes"), format!("a list of at most {MAX_LAYERS} sizes"))?;
    let wrong = sizes.iter().find(|size| !(1..=MAX_UNITS).contains(*size));
    wrong.map_or(Ok(()), |size| Err(ValueError::new(key, size, format!("sizes from 1 to {MAX_UNITS}"))))
}

impl TrainSpec {
    pub(super) fn check(&self) -> Result<(), ValueError> {
        let reason = match self.optimizer {
            OptimizerKind::Muon => ", which orthogonalizes by itself",
            OptimizerKind::ScheduleFreeSgd | OptimizerKind::ScheduleFreeAdamW => ", which has no conditioning",
            _ => "",
        };
        within(
            reason.is_empty() || self.conditioning == Conditioning::None,
            "train.conditioning",
            format!("\"{}\"", self.conditioning),
            format!("\"none\" with the optimizer {}{reason}", self.optimizer.name()),
        )?;
        within(RATES.contains(&self.lr), "train.lr", show(self.lr), RATE)?;
        within(is_zero_or_rate(self.weight_decay), "train.weight_decay", show(self.weight_decay), ZERO_OR_RATE)?;
        within((1..=MAX_STEPS).contains(&self.steps), "train.steps", self.steps, format!("from 1 to {MAX_STEPS}"))
    }
}

const RATE: &str = "above 0, and from 1e-30 to 1e30, which single precision can hold";
const ZERO_OR_RATE: &str = "at least 0: 0, or from 1e-30 to 1e30, which single precision can hold";

fn is_zero_or_rate(value: f64) -> bool {
    value == 0.0 || RATES.contains(&value)
}

/// The number with an exponent where it is far from 1.
fn show(value: f64) -> String {
    format!("{value:?}")
}
