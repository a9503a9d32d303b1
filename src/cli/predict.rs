//! `qgd predict`: asks a trained net about new rows.

use super::failure::Failure;
use super::outputs::{self, Files};
use super::setting;
use anyhow::anyhow;
use qgd::data::{Fitted, RowTargets, Rows, Split, TargetKind, Targets};
use qgd::nets::{self, NetFile, NetFileError, TensorSplit};
use qgd::task::TaskSpec;
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  Train and keep the net, then ask it about rows of the same kind:
    qgd train examples/tasks/digits.toml --controller lr --save digits.safetensors
    qgd predict examples/tasks/digits.toml --net digits.safetensors --input new.csv > predictions.csv
  How sure it is:
    qgd predict examples/tasks/digits.toml --net digits.safetensors --input new.csv --probabilities";

/// Ask a trained net about new rows
///
/// Prints a table with a line for each row: the class by its name, or the value in the units of the table that the net was
/// trained on. Rows may hold the target too; how well it was met is then said on stderr.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct PredictArgs {
    /// The task that the net was trained on
    task: PathBuf,
    /// The net: a file that `qgd train --save` wrote
    #[arg(long, value_name = "NET.safetensors")]
    net: PathBuf,
    /// The rows, in the format of the task's data, with the target or without (idx: a file of pictures)
    #[arg(long, value_name = "ROWS")]
    input: PathBuf,
    /// Print the probability of each class too
    #[arg(long)]
    probabilities: bool,
    /// Device that computes
    #[arg(long, default_value = "cpu", value_parser = ["cpu", "cuda"])]
    device: String,
    /// Write the predictions as JSON, instead of printing them
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
}

impl PredictArgs {
    /// Runs the command. Everything that can be wrong with the input is found before anything is written.
    pub fn run(&self) -> Result<(), Failure> {
        let task = setting::task(&self.task)?;
        let mut files = Files::default();
        files.reads("the task", &self.task);
        files.reads("the net", &self.net);
        files.reads("the rows", &self.input);
        files.writes("--json", self.json.as_deref())?;
        if self.probabilities && task.data.kind == Some(TargetKind::Values) {
            return Err(Failure::BadInput(anyhow!(
                "--probabilities is for classes, but `data.kind` is \"regression\""
            )));
        }
        let device = if self.device == "cuda" { setting::cuda(0)? } else { tch::Device::Cpu };
        tch::set_num_threads(1);
        let file = NetFile::read(&self.net).map_err(Failure::bad_input)?;
        let (_vs, net) = file.net(&task, device).map_err(file_failure)?;
        let rows = file.fitted().preparation.rows(&task.data, &self.input).map_err(Failure::bad_input)?;
        let predictions = self.predictions(&task, &net, file.fitted(), rows, device)?;
        if let Some(note) = predictions.note() {
            note!("{note}");
        }
        let Some(path) = &self.json else {
            say!("{}", predictions.to_csv());
            return Ok(());
        };
        let json = predictions.to_json()?;
        outputs::write(path, &json)
    }

    fn predictions(
        &self,
        task: &TaskSpec,
        net: &nets::Net,
        fitted: &Fitted,
        rows: Rows,
        device: tch::Device,
    ) -> Result<Predictions, Failure> {
        let Rows { inputs, targets, places } = rows;
        // Rows without targets get some, so that one type holds both.
        let blank = Targets::Classes { per_example: 1, ids: vec![0; places.len()] };
        let split = TensorSplit::new(&Split { inputs, targets: blank }, device)?;
        let output = nets::outputs(net, &split.inputs)?.f_to_device(tch::Device::Cpu)?;
        let outputs: Vec<f32> = Vec::try_from(&output.f_reshape([-1])?)?;
        let rows = outputs.chunks_exact(fitted.n_outputs);
        if let Some((place, _)) = places.iter().zip(rows.clone()).find(|(_, row)| !row.iter().all(|x| x.is_finite())) {
            return Err(Failure::BadInput(anyhow!(
                "{}, line {place}: the net's output for this row is not a finite number; are its values in the units of the table that the net was trained on?",
                self.input.display()
            )));
        }
        let values = match fitted.kind {
            TargetKind::Values => Answers::Values(rows.map(|row| fitted.in_units(row[0])).collect()),
            TargetKind::Classes => {
                let shares = || Ok::<_, Failure>(Vec::<Vec<f64>>::try_from(output.f_softmax(-1, tch::Kind::Double)?)?);
                let probabilities = self.probabilities.then(shares).transpose()?;
                Answers::Classes { numbers: rows.map(largest).collect(), probabilities }
            }
        };
        let classes = (0..fitted.n_outputs).map(|number| fitted.class(number)).collect();
        Ok(Predictions { task: task.name(), classes, answers: values, targets })
    }
}

/// A file that does not fit is bad input; what libtorch cannot do is a failure.
fn file_failure(error: NetFileError) -> Failure {
    let broke = matches!(&error, NetFileError::Tensors { source: nets::NetError::Torch(_), .. });
    if broke { Failure::from(error) } else { Failure::bad_input(error) }
}

fn largest(row: &[f32]) -> usize {
    (0..row.len()).reduce(|best, next| if row[next] > row[best] { next } else { best }).unwrap_or_default()
}

/// What the net answers, row by row.
enum Answers {
    Classes { numbers: Vec<usize>, probabilities: Option<Vec<Vec<f64>>> },
    Values(Vec<f64>),
}

struct Predictions {
    task: String,
    classes: Vec<String>,
    answers: Answers,
    targets: Option<RowTargets>,
}

/// The predictions as JSON. What does not belong to the kind of task is null.
#[derive(Serialize)]
struct Json<'a> {
    task: &'a str,
    version: &'static str,
    n_rows: usize,
    /// Names of the classes, in the order of the probabilities.
    classes: Option<&'a [String]>,
    predictions: Vec<serde_json::Value>,
    probabilities: Option<&'a Vec<Vec<f64>>>,
    /// Null where the rows hold no targets.
    accuracy: Option<f64>,
    root_mean_squared_error: Option<f64>,
}

impl Predictions {
    /// Share of the rows whose class was met, where the rows hold it.
    fn accuracy(&self) -> Option<f64> {
        let (Answers::Classes { numbers, .. }, Some(RowTargets::Classes(ids))) = (&self.answers, &self.targets) else {
            return None;
        };
        let hits = numbers.iter().zip(ids).filter(|(number, id)| **number as i64 == **id).count();
        Some(hits as f64 / ids.len() as f64)
    }

    /// Distance from the targets in the units of the table, where the rows hold them.
    fn root_mean_squared_error(&self) -> Option<f64> {
        let (Answers::Values(found), Some(RowTargets::Values(values))) = (&self.answers, &self.targets) else {
            return None;
        };
        let squares = found.iter().zip(values).map(|(found, target)| (found - target).powi(2));
        Some((squares.sum::<f64>() / values.len() as f64).sqrt())
    }

    fn note(&self) -> Option<String> {
        let accuracy = self.accuracy().map(|accuracy| format!("accuracy {:.1} %", 100.0 * accuracy));
        let error = || self.root_mean_squared_error().map(|error| format!("root mean squared error {error:.4}"));
        Some(format!("{} over the {} rows", accuracy.or_else(error)?, self.len()))
    }

    fn len(&self) -> usize {
        match &self.answers {
            Answers::Classes { numbers, .. } => numbers.len(),
            Answers::Values(values) => values.len(),
        }
    }

    fn to_json(&self) -> Result<Vec<u8>, Failure> {
        let (classes, predictions, probabilities) = match &self.answers {
            Answers::Values(values) => (None, values.iter().copied().map(serde_json::Value::from).collect(), None),
            Answers::Classes { numbers, probabilities } => {
                let names =
                    numbers.iter().map(|number| serde_json::Value::from(self.classes[*number].as_str())).collect();
                (Some(self.classes.as_slice()), names, probabilities.as_ref())
            }
        };
        let mut json = serde_json::to_vec_pretty(&Json {
            task: &self.task,
            version: env!("CARGO_PKG_VERSION"),
            n_rows: self.len(),
            classes,
            predictions,
            probabilities,
            accuracy: self.accuracy(),
            root_mean_squared_error: self.root_mean_squared_error(),
        })?;
        json.push(b'\n');
        Ok(json)
    }

    /// A header, then a line for each row, without the last line end.
    fn to_csv(&self) -> String {
        let mut lines = Vec::with_capacity(self.len() + 1);
        match &self.answers {
            Answers::Values(values) => {
                lines.push("prediction".to_owned());
                lines.extend(values.iter().map(ToString::to_string));
            }
            Answers::Classes { numbers, probabilities } => {
                let names = probabilities.iter().flat_map(|_| &self.classes).map(|name| quoted(&format!("p({name})")));
                lines.push(std::iter::once("prediction".to_owned()).chain(names).collect::<Vec<_>>().join(","));
                for (row, number) in numbers.iter().enumerate() {
                    let shares = probabilities.iter().flat_map(|all| &all[row]).map(|share| format!("{share:.6}"));
                    let cells = std::iter::once(quoted(&self.classes[*number])).chain(shares);
                    lines.push(cells.collect::<Vec<_>>().join(","));
                }
            }
        }
        lines.join("\n")
    }
}

/// A cell of a table, in quotes where it needs them.
fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_need_quotes_get_them() {
        assert_eq!(["a b", "a,b", "a\"b"].map(quoted), ["a b", "\"a,b\"", "\"a\"\"b\""]);
    }
}
