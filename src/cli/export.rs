//! `qgd export`: a pretrained controller for other programs and languages. Every format has the networks and the
//! blueprint of the controller: what it sees, does and obeys.

pub mod json;
mod onnx;
mod tensors;

use super::failure::Failure;
use super::outputs::{self, Files};
use anyhow::anyhow;
use clap::{Args, ValueEnum};
use qgd::Pretrained;
use qgd::controller::Blueprint;
use qgd::dqn::QNetwork;
use qgd::words::counted;
use serde::Serialize;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Write a pretrained controller for other programs and languages: its networks, and all else that decides.
///
/// Beside the networks every file has names, formulas and ranges of the features, the actions, the pace, the settings
/// of the guard, the card, and in words how it decides: as JSON under the key qgd in the metadata of safetensors and
/// ONNX. Layers are networks.0.layers.0.weight, [outputs, inputs] as in PyTorch, and .bias.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  qgd export lr --format json              # lr.json: enough to write the controller in another language
  qgd export my-lr.qgd --format onnx       # my-lr.onnx: from rows of features to rows of Q-values
  qgd export joint -o joint.safetensors    # the ending says the format
  qgd export lr -o - | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"decides\"])'

A controller in 60 lines of JavaScript that reads the JSON: examples/other-languages.")]
pub struct ExportArgs {
    /// A pretrained file, or the name of a controller that ships with qgd.
    controller: String,
    /// What is written. [default: what the ending of --output says]
    #[arg(long, value_enum, required_unless_present = "output")]
    format: Option<Format>,
    /// Where it goes; - is stdout, for JSON alone. [default: the name of the controller with the ending of the format]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What a controller is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tensors for Python, PyTorch, JAX, candle, ...
    Safetensors,
    /// All of it as text: enough to write the controller in another language
    Json,
    /// A graph from features to Q-values, for ONNX Runtime and others
    Onnx,
}

impl ExportArgs {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let format = self.format()?;
        let file = self.file(format)?;
        let mut files = Files::default();
        files.reads_controller(&self.controller);
        files.writes("--output", file.as_deref())?;
        let pretrained = Pretrained::open(&self.controller).map_err(Failure::bad_input)?;
        let Some(file) = file else {
            say!("{}", json::text(&pretrained)?);
            return Ok(());
        };
        outputs::write(&file, &format.bytes(&pretrained)?)?;
        let (n_features, n_actions) = (pretrained.ranges().len(), pretrained.recipe().actions().len());
        let networks = counted(pretrained.networks().len(), "network");
        say!("{}: {networks}, {n_features} features, {n_actions} actions", file.display());
        Ok(())
    }

    fn format(&self) -> Result<Format, Failure> {
        let file = self.output.as_deref().unwrap_or(Path::new(""));
        let ending = if self.is_stdout() { Some("json") } else { file.extension().and_then(OsStr::to_str) };
        let said = Format::value_variants().iter().copied().find(|format| Some(format.ending()) == ending);
        if let (Some(format), Some(said), false) = (self.format, said, self.is_stdout() || self.format == said) {
            let (file, format, said) = (file.display(), format.ending(), said.ending());
            return Err(Failure::BadInput(anyhow!(
                "--format {format} and the ending of --output {file}, which says {said}: leave one out, or let both say the same"
            )));
        }
        self.format.or(said).ok_or_else(|| {
            let file = file.display();
            let help = "add --format safetensors, json or onnx";
            Failure::BadInput(anyhow!("the ending of --output {file} says no format: {help}"))
        })
    }

    /// The file that is written; none for stdout.
    fn file(&self, format: Format) -> Result<Option<PathBuf>, Failure> {
        match &self.output {
            Some(_) if self.is_stdout() && format != Format::Json => {
                let ending = format.ending();
                Err(Failure::BadInput(anyhow!(
                    "--output - is for --format json alone: {ending} is no text, name a file"
                )))
            }
            Some(_) if self.is_stdout() => Ok(None),
            Some(file) => Ok(Some(file.clone())),
            None if Pretrained::is_file(&self.controller) => {
                Ok(Some(Path::new(&self.controller).with_extension(format.ending())))
            }
            None => Ok(Some(PathBuf::from(format!("{}.{}", self.controller, format.ending())))),
        }
    }

    fn is_stdout(&self) -> bool {
        self.output.as_deref() == Some(Path::new("-"))
    }
}

impl Format {
    /// Its name, and the ending of its files.
    fn ending(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Json => "json",
            Self::Onnx => "onnx",
        }
    }

    fn bytes(self, pretrained: &Pretrained) -> Result<Vec<u8>, Failure> {
        Ok(match self {
            Self::Safetensors => tensors::bytes(pretrained)?,
            Self::Json => (json::text(pretrained)? + "\n").into_bytes(),
            Self::Onnx => onnx::bytes(pretrained)?,
        })
    }
}

/// What every format says beside the numbers of the networks.
#[derive(Serialize)]
struct About {
    format: &'static str,
    format_version: u32,
    made_by: &'static str,
    #[serde(flatten)]
    blueprint: Blueprint,
}

impl About {
    fn of(pretrained: &Pretrained) -> Self {
        let made_by = concat!("qgd ", env!("CARGO_PKG_VERSION"));
        Self { format: "qgd-controller", format_version: 1, made_by, blueprint: pretrained.blueprint() }
    }

    /// As JSON, for the metadata of a format that has the numbers elsewhere. Several keys of metadata would stand in
    /// another order in every safetensors file, so it is one.
    fn metadata(pretrained: &Pretrained) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct WithShapes {
            #[serde(flatten)]
            about: About,
            networks: Vec<Shape>,
        }
        let networks = pretrained.networks().iter().map(Shape::of).collect();
        serde_json::to_string(&WithShapes { about: Self::of(pretrained), networks })
    }
}

/// The key of [`About::metadata`].
const KEY: &str = "qgd";

/// Shape of a network.
#[derive(Serialize)]
struct Shape {
    dueling: bool,
    /// Number of features, of the units of each hidden layer, of actions.
    shape: Vec<usize>,
}

impl Shape {
    fn of(network: &QNetwork) -> Self {
        Self { dueling: network.is_dueling(), shape: network.shape() }
    }
}

/// A layer of a network.
struct Layer {
    n_in: usize,
    n_out: usize,
    /// `[n_out, n_in]`, row by row.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Layers of a network, the one nearest to the features first. With dueling heads, the last one has the value before
/// the advantages.
fn layers(network: &QNetwork) -> Vec<Layer> {
    let mut widths = network.shape();
    if let Some(last) = widths.last_mut() {
        *last += usize::from(network.is_dueling());
    }
    let params = network.params();
    let layer = |(params, widths): (&[&[f32]], &[usize])| {
        let ((weight, bias), (n_in, n_out)) = ((params[0], params[1]), (widths[0], widths[1]));
        let row = |unit: usize| weight.iter().skip(unit).step_by(n_out).copied();
        Layer { n_in, n_out, weight: (0..n_out).flat_map(row).collect(), bias: bias.to_vec() }
    };
    params.chunks_exact(2).zip(widths.windows(2)).map(layer).collect()
}

/// Name of a layer, of which the names of its tensors are made.
fn layer_name(network: usize, layer: usize) -> String {
    format!("networks.{network}.layers.{layer}")
}
