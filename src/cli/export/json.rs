//! JSON: the blueprint, then the networks, a line for each row of a matrix. Single-precision numbers have as many
//! digits as it takes to read them back.

use super::{About, Layer, layers};
use qgd::Pretrained;
use qgd::dqn::QNetwork;
use serde_json::{Result, to_string, to_string_pretty};

/// The text, without a line break at its end.
pub fn text(pretrained: &Pretrained) -> Result<String> {
    let about = to_string_pretty(&About::of(pretrained))?;
    let about = about.strip_suffix("\n}").unwrap_or(&about);
    let networks = pretrained.networks().iter().map(network).collect::<Result<Vec<_>>>()?.join(",\n");
    Ok(format!("{about},\n  \"networks\": [\n{networks}\n  ]\n}}"))
}

fn network(network: &QNetwork) -> Result<String> {
    let (dueling, shape) = (network.is_dueling(), to_string(&network.shape())?);
    let layers = layers(network).iter().map(layer).collect::<Result<Vec<_>>>()?.join(",\n");
    Ok(format!(
        "    {{\n      \"dueling\": {dueling},\n      \"shape\": {shape},\n      \"layers\": [\n{layers}\n      ]\n    }}"
    ))
}

fn layer(layer: &Layer) -> Result<String> {
    let rows = layer.weight.chunks(layer.n_in).map(to_string).collect::<Result<Vec<_>>>()?.join(",\n");
    let bias = to_string(&layer.bias)?;
    Ok(format!("        {{\n          \"weight\": [\n{rows}\n          ],\n          \"bias\": {bias}\n        }}"))
}
