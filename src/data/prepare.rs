//! Shuffle, limit, split, standardize.

use super::batches::below;
use super::fitted::apply;
use super::{DataError, DataSpec, Dataset, Format, Inputs, Preparation, Raw, RawInputs, Scale, Split, Targets};
use crate::rng;
use std::path::Path;

/// Added to every deviation, so that a constant column is not divided by zero.
const DEVIATION_FLOOR: f64 = 1e-8;

pub(super) fn dataset(raw: Raw, spec: &DataSpec, path: &Path, seed: u64) -> Result<Dataset, DataError> {
    let n_examples = raw.len();
    if n_examples == 0 {
        return Err(DataError::TooFew { path: path.into(), found: 0, needed: 1 });
    }
    let n_outputs = n_outputs(&raw.targets, spec, path, n_examples)?;
    let n_tokens = match &raw.inputs {
        RawInputs::Tokens { ids, .. } => ids.iter().max().map_or(0, |largest| *largest as usize + 1),
        _ => 0,
    };
    let order = shuffled(n_examples, spec.limit, seed);
    let (train_end, validation_end) = ends(order.len(), &spec.split)?;
    let mut splits = [&order[..train_end], &order[train_end..validation_end], &order[validation_end..]]
        .map(|chosen| Split { inputs: raw.inputs.gather(chosen), targets: gather_targets(&raw.targets, chosen) });
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    if spec.standardize {
        (inputs, targets) = (standardize_inputs(&mut splits), standardize_targets(&mut splits));
    }
    let [train, validation, test] = splits;
    let preparation = Preparation { names: raw.names, inputs, targets };
    Ok(Dataset { train, validation, test, n_outputs, n_tokens, kind: spec.kind, preparation })
}

impl Raw {
    fn len(&self) -> usize {
        match &self.targets {
            Targets::Classes { per_example, ids } => ids.len() / per_example,
            Targets::Values { per_example, values } => values.len() / per_example,
        }
    }
}

fn n_outputs(targets: &Targets, spec: &DataSpec, path: &Path, n_examples: usize) -> Result<usize, DataError> {
    let (ids, per_example) = match targets {
        Targets::Values { per_example, .. } => return Ok(*per_example),
        Targets::Classes { per_example, ids } => (ids, *per_example),
    };
    let declared = spec.classes.or(matches!(spec.format, Format::Cifar { .. }).then_some(10));
    // If the number of classes is not declared, a label above the number of examples cannot be a class. (Characters
    // come from the text itself, so they are always allowed.)
    let allowed = declared.unwrap_or(if per_example == 1 { n_examples.max(2) } else { usize::MAX });
    let max = i64::try_from(allowed).unwrap_or(i64::MAX) - 1;
    if let Some(place) = ids.iter().position(|label| *label > max) {
        let example = place / per_example;
        return Err(DataError::LabelOutOfRange { path: path.into(), example, label: ids[place], max });
    }
    Ok(spec.classes.unwrap_or_else(|| ids.iter().max().map_or(1, |largest| *largest as usize + 1)))
}

/// The first `limit` examples in random order (Fisher and Yates).
fn shuffled(n_examples: usize, limit: Option<usize>, seed: u64) -> Vec<usize> {
    let mut rng = rng::stream(seed, "split");
    let mut order: Vec<usize> = (0..n_examples).collect();
    let n_kept = limit.unwrap_or(n_examples).min(n_examples);
    for place in 0..n_kept {
        order.swap(place, place + below(&mut rng, n_examples - place));
    }
    order.truncate(n_kept);
    order
}

/// Number of examples before the end of the training split, and before that of the validation split.
fn ends(examples: usize, split: &[f64; 3]) -> Result<(usize, usize), DataError> {
    let [train, validation, test] = *split;
    let train_end = (train * examples as f64) as usize;
    let validation_end = (((train + validation) * examples as f64) as usize).clamp(train_end, examples);
    // If the test part is 0, the examples that rounding leaves over belong to the validation split.
    let validation_end = if test > 0.0 { validation_end } else { examples };
    let sizes = [train_end, validation_end - train_end, examples - validation_end];
    for ((split, fraction), size) in
        [("train", train), ("validation", validation), ("test", test)].into_iter().zip(sizes)
    {
        if size == 0 && fraction > 0.0 {
            return Err(DataError::EmptySplit { split, fraction, examples });
        }
    }
    Ok((train_end, validation_end))
}

impl RawInputs {
    fn gather(&self, chosen: &[usize]) -> Inputs {
        match self {
            Self::Float { shape, values } => {
                Inputs::Float { shape: shape.clone(), values: rows(values, shape.iter().product(), chosen).collect() }
            }
            Self::Bytes { shape, values } => {
                let bytes = rows(values, shape.iter().product(), chosen);
                Inputs::Float { shape: shape.clone(), values: bytes.map(|byte| f32::from(byte) / 255.0).collect() }
            }
            Self::Tokens { length, ids } => {
                Inputs::Tokens { length: *length, ids: rows(ids, *length, chosen).collect() }
            }
        }
    }
}

fn gather_targets(targets: &Targets, chosen: &[usize]) -> Targets {
    match targets {
        Targets::Classes { per_example, ids } => {
            Targets::Classes { per_example: *per_example, ids: rows(ids, *per_example, chosen).collect() }
        }
        Targets::Values { per_example, values } => {
            Targets::Values { per_example: *per_example, values: rows(values, *per_example, chosen).collect() }
        }
    }
}

/// The chosen rows of a row-major table, one after the other.
fn rows<T: Copy>(table: &[T], width: usize, chosen: &[usize]) -> impl Iterator<Item = T> {
    chosen.iter().flat_map(move |row| table[row * width..(row + 1) * width].iter().copied())
}

/// Gives every column of a table, or every channel of pictures, mean 0 and deviation 1 over the training split.
fn standardize_inputs(splits: &mut [Split; 3]) -> Vec<Scale> {
    let Inputs::Float { shape, values } = &splits[0].inputs else { return Vec::new() };
    let n_groups = shape.first().copied().unwrap_or(1).max(1);
    let run = shape.iter().skip(1).product::<usize>().max(1);
    let moments = moments(values, n_groups, run);
    for split in splits {
        if let Inputs::Float { values, .. } = &mut split.inputs {
            apply(values, &moments, run);
        }
    }
    moments
}

fn standardize_targets(splits: &mut [Split; 3]) -> Vec<Scale> {
    let Targets::Values { per_example, values } = &splits[0].targets else { return Vec::new() };
    let moments = moments(values, *per_example, 1);
    for split in splits {
        if let Targets::Values { values, .. } = &mut split.targets {
            apply(values, &moments, 1);
        }
    }
    moments
}

/// Mean and deviation (divided by n) of each group. The groups take turns in `values`, with `run` values each time.
fn moments(values: &[f32], n_groups: usize, run: usize) -> Vec<Scale> {
    let n = (values.len() / n_groups).max(1) as f64;
    let group = |k: usize| values.chunks_exact(run).skip(k).step_by(n_groups).flatten().map(|value| f64::from(*value));
    (0..n_groups)
        .map(|k| {
            let mean = group(k).sum::<f64>() / n;
            let variance = group(k).map(|value| (value - mean).powi(2)).sum::<f64>() / n;
            Scale { mean, deviation: variance.sqrt() + DEVIATION_FLOOR }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_per_channel() {
        // Two pictures of two channels of two pixels.
        let mut values = [1.0, 3.0, 10.0, 10.0, 5.0, 7.0, 10.0, 10.0];
        let found = moments(&values, 2, 2);
        assert!((found[0].mean - 4.0).abs() < 1e-12 && (found[0].deviation - 5f64.sqrt()).abs() < 1e-7, "{found:?}");
        apply(&mut values, &found, 2);
        assert!((f64::from(values[0]) + 3.0 / 5f64.sqrt()).abs() < 1e-6);
        assert_eq!(values[2].to_bits(), 0f32.to_bits());
    }

    #[test]
    fn the_shuffle_is_a_permutation_and_depends_on_the_seed() {
        let mut order = shuffled(100, None, 1);
        assert_ne!(order, shuffled(100, None, 2));
        assert_eq!(shuffled(100, Some(7), 1), order[..7]);
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_split_without_examples_is_an_error_only_where_some_were_asked_for() {
        assert!(matches!(
            ends(5, &[0.8, 0.1, 0.1]),
            Err(DataError::EmptySplit { split: "validation", examples: 5, .. })
        ));
        assert!(matches!(ends(5, &[0.8, 0.0, 0.2]), Ok((4, 4))));
        assert!(matches!(ends(7, &[0.5, 0.5, 0.0]), Ok((3, 7))));
        assert!(matches!(ends(20000, &[0.8, 0.1, 0.1]), Ok((16000, 18000))));
    }
}
