//! From TOML to [`TaskSpec`]: types, defaults, unknown keys. Ranges are checked afterwards, in one place.

use super::names::{ACTIVATIONS, HEADS, KINDS, MISSING};
use super::section::{Section, count, float, list, text};
use super::{Activation, Head, NetKind, NetSpec, OptimizerKind, TaskError, TaskSpec, TrainSpec};
use crate::data::{ClassWeights, Column, DataSpec, Format, TableSpec};
use crate::torch::Conditioning;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const COUNT: &str = "a whole number, not negative";
const NUMBER: &str = "a number";
const TRUTH: &str = "true or false";
const NAME: &str = "a file name";
const COLUMNS: &str = "a list of column names or numbers";
const WEIGHTS: &str = "\"balanced\" or a table with a number for each class, as { a = 1, b = 5.5 }";

pub(super) fn task(text: &str, file: &Path) -> Result<TaskSpec, TaskError> {
    let mut tables: Table =
        toml::from_str(text).map_err(|source| TaskError::Syntax { file: file.into(), source: Box::new(source) })?;
    let data = data(section(&mut tables, file, "data")?)?;
    let net = net(section(&mut tables, file, "net")?)?;
    let train = train(section(&mut tables, file, "train")?)?;
    match tables.keys().next() {
        Some(key) => {
            Err(TaskError::UnknownKey { file: file.into(), key: key.clone(), allowed: "data, net, train".to_owned() })
        }
        None => Ok(TaskSpec { file: file.into(), data, net, train }),
    }
}

fn section<'a>(tables: &mut Table, file: &'a Path, name: &'static str) -> Result<Section<'a>, TaskError> {
    match tables.remove(name) {
        Some(Value::Table(table)) => Ok(Section::new(file, name, table)),
        _ => {
            Err(TaskError::MissingKey { file: file.into(), key: name.to_owned(), allowed: format!("a table [{name}]") })
        }
    }
}

fn data(mut keys: Section<'_>) -> Result<DataSpec, TaskError> {
    let format = format(&mut keys)?;
    let parts = "three numbers: train, validation, test";
    let spec = DataSpec {
        path: PathBuf::from(keys.required("path", "a file or folder", text)?),
        kind: keys.choice("kind", &KINDS)?,
        standardize: keys.optional("standardize", TRUTH, Value::as_bool)?.unwrap_or(true),
        limit: keys.optional("limit", COUNT, count)?,
        split: keys.optional("split", parts, |value| list(value, float)?.try_into().ok())?.unwrap_or([0.8, 0.1, 0.1]),
        classes: keys.optional("classes", COUNT, count)?,
        class_weights: keys.optional("class_weights", WEIGHTS, class_weights)?,
        max_memory_gb: keys.optional("max_memory_gb", NUMBER, float)?,
        format,
    };
    keys.finish()?;
    Ok(spec)
}

fn format(keys: &mut Section<'_>) -> Result<Format, TaskError> {
    let formats = "one of \"csv\", \"idx\", \"cifar\", \"tsv\", \"chars\"";
    let format = keys.required("format", formats, |value| Some(value.clone()))?;
    Ok(match format.as_str() {
        Some("csv") => Format::Csv(table(keys)?),
        Some("idx") => {
            Format::Idx { images: keys.required("images", NAME, text)?, labels: keys.required("labels", NAME, text)? }
        }
        Some("cifar") => {
            Format::Cifar { files: keys.required("files", "a list of file names", |value| list(value, text))? }
        }
        Some("tsv") => Format::Tsv {
            vocabulary: keys.optional("vocabulary", COUNT, count)?.unwrap_or(10_000),
            length: keys.optional("length", COUNT, count)?.unwrap_or(200),
        },
        Some("chars") => Format::Chars { context: keys.required("context", COUNT, count)? },
        _ => return Err(keys.wrong("format", &format, formats)),
    })
}

fn table(keys: &mut Section<'_>) -> Result<TableSpec, TaskError> {
    let standard = TableSpec::default();
    let header = keys.optional("header", TRUTH, Value::as_bool)?;
    Ok(TableSpec {
        delimiter: keys.optional("delimiter", "one character", character)?.unwrap_or(standard.delimiter),
        header: header.unwrap_or(standard.header),
        says_header: header.is_some(),
        decimal: keys.choice("decimal", &[(".", '.'), (",", ',')])?.unwrap_or(standard.decimal),
        target: keys.required("target", "a column name or number", column)?,
        features: keys.optional("features", COLUMNS, columns)?,
        ignore: keys.optional("ignore", COLUMNS, columns)?.unwrap_or_default(),
        categorical: keys.optional("categorical", COLUMNS, columns)?.unwrap_or_default(),
        missing: keys.choice("missing", &MISSING)?.unwrap_or(standard.missing),
    })
}

fn class_weights(value: &Value) -> Option<ClassWeights> {
    if value.as_str() == Some("balanced") {
        return Some(ClassWeights::Balanced);
    }
    let weight = |(name, weight): (&String, &Value)| Some((name.clone(), float(weight)?));
    value.as_table()?.iter().map(weight).collect::<Option<_>>().map(ClassWeights::Named)
}

fn columns(value: &Value) -> Option<Vec<Column>> {
    list(value, column)
}

fn character(value: &Value) -> Option<char> {
    let mut characters = value.as_str()?.chars();
    characters.next().filter(|_| characters.next().is_none())
}

fn column(value: &Value) -> Option<Column> {
    value.as_integer().map(Column::Index).or_else(|| text(value).map(Column::Name))
}

fn net(mut keys: Section<'_>) -> Result<NetSpec, TaskError> {
    let kind = net_kind(&mut keys)?;
    let activation = if kind.has_activation() { keys.choice("activation", &ACTIVATIONS)? } else { None };
    let sizes = |value: &Value| list(value, count);
    let hidden = if kind.has_hidden() { keys.optional("hidden", "a list of sizes", sizes)? } else { None };
    let spec = NetSpec {
        kind,
        hidden: hidden.unwrap_or_default(),
        activation: activation.unwrap_or(Activation::Relu),
        dropout: keys.optional("dropout", NUMBER, float)?.unwrap_or(0.0),
        l1: keys.optional("l1", NUMBER, float)?.unwrap_or(0.0),
    };
    keys.finish()?;
    Ok(spec)
}

fn net_kind(keys: &mut Section<'_>) -> Result<NetKind, TaskError> {
    let kinds = "one of \"mlp\", \"cnn\", \"gru\", \"lstm\", \"transformer\", \"resnet\"";
    let kind = keys.required("kind", kinds, |value| Some(value.clone()))?;
    Ok(match kind.as_str() {
        Some("mlp") => NetKind::Mlp,
        Some("cnn") => NetKind::Cnn {
            channels: channels(keys)?,
            batch_norm: keys.optional("batch_norm", TRUTH, Value::as_bool)?.unwrap_or(false),
        },
        Some("gru") => NetKind::Gru { embedding: embedding(keys)?, head: head(keys)? },
        Some("lstm") => NetKind::Lstm { embedding: embedding(keys)?, head: head(keys)? },
        Some("transformer") => NetKind::Transformer {
            embedding: embedding(keys)?,
            layers: keys.optional("layers", COUNT, count)?.unwrap_or(2),
            heads: keys.optional("heads", COUNT, count)?.unwrap_or(4),
            head: head(keys)?,
        },
        Some("resnet") => {
            NetKind::Resnet { channels: channels(keys)?, blocks: keys.optional("blocks", COUNT, count)?.unwrap_or(2) }
        }
        _ => return Err(keys.wrong("kind", &kind, kinds)),
    })
}

fn channels(keys: &mut Section<'_>) -> Result<Vec<usize>, TaskError> {
    keys.required("channels", "a list of sizes", |value| list(value, count))
}

fn embedding(keys: &mut Section<'_>) -> Result<usize, TaskError> {
    Ok(keys.optional("embedding", COUNT, count)?.unwrap_or(32))
}

fn head(keys: &mut Section<'_>) -> Result<Head, TaskError> {
    Ok(keys.choice("head", &HEADS)?.unwrap_or(Head::Each))
}

fn train(mut keys: Section<'_>) -> Result<TrainSpec, TaskError> {
    let steps = keys.required("steps", COUNT, count)?;
    let spec = TrainSpec {
        optimizer: keys.choice("optimizer", &OptimizerKind::NAMES)?.unwrap_or(OptimizerKind::Adam),
        conditioning: keys.optional("conditioning", Conditioning::ALLOWED, conditioning)?.unwrap_or_default(),
        lr: keys.optional("lr", NUMBER, float)?.unwrap_or(1e-3),
        weight_decay: keys.optional("weight_decay", NUMBER, float)?.unwrap_or(0.0),
        batch_size: keys.optional("batch_size", COUNT, count)?.unwrap_or(64),
        steps: steps as u64,
    };
    keys.finish()?;
    Ok(spec)
}

fn conditioning(value: &Value) -> Option<Conditioning> {
    value.as_str()?.parse().ok()
}
