//! safetensors: each layer as `networks.I.layers.J.weight` `[n_out, n_in]` and `.bias` `[n_out]`; `low` and `high`
//! `[n_features]`, the ranges that features are confined to; all else as JSON in the entry `qgd` of the metadata.

use super::{About, KEY, Layer, layer_name, layers};
use qgd::Pretrained;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;

/// A tensor with its name and shape.
struct Named {
    name: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// The file.
pub fn bytes(pretrained: &Pretrained) -> anyhow::Result<Vec<u8>> {
    let tensors = tensors(pretrained);
    let views = tensors
        .iter()
        .map(|Named { name, shape, bytes }| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let metadata = HashMap::from([(KEY.to_owned(), About::metadata(pretrained)?)]);
    Ok(safetensors::serialize(views, &Some(metadata))?)
}

fn tensors(pretrained: &Pretrained) -> Vec<Named> {
    let mut tensors = Vec::new();
    for (i, network) in pretrained.networks().iter().enumerate() {
        for (j, Layer { n_in, n_out, weight, bias }) in layers(network).into_iter().enumerate() {
            let name = layer_name(i, j);
            tensors.push(named(format!("{name}.weight"), vec![n_out, n_in], &weight));
            tensors.push(named(format!("{name}.bias"), vec![n_out], &bias));
        }
    }
    let [low, high] = [0, 1].map(|end| pretrained.ranges().iter().map(|range| range[end]).collect::<Vec<_>>());
    tensors.push(named("low".to_owned(), vec![low.len()], &low));
    tensors.push(named("high".to_owned(), vec![high.len()], &high));
    tensors
}

fn named(name: String, shape: Vec<usize>, values: &[f32]) -> Named {
    Named { name, shape, bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect() }
}
