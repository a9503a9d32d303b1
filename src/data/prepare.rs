//! Shuffle, limit, split, standardize.

use super::batches::below;
use super::memory::Memory;
use super::preparation::{self, ColumnPreparation, InputPreparation, Preparation, Scale, TargetPreparation};
use super::table::{Cells, Numbers, Table};
use super::{
    ClassWeights, ClassesProblem, DataError, DataSpec, Dataset, Format, Inputs, Raw, RawInputs, RawTargets, Split,
    TableSpec, TargetKind, Targets,
};
use crate::rng;
use std::path::Path;

pub(super) fn dataset(
    raw: Raw,
    spec: &DataSpec,
    path: &Path,
    memory: &mut Memory,
    seed: u64,
) -> Result<Dataset, DataError> {
    let n_examples = raw.len();
    if n_examples == 0 {
        return Err(DataError::TooFew { path: path.into(), found: 0, needed: 1 });
    }
    let n_outputs = n_outputs(&raw, spec, path, n_examples)?;
    let n_tokens = raw.inputs.n_tokens();
    let order = shuffled(n_examples, spec.limit, seed);
    check_two_classes(&raw, &order, path)?;
    let (train_end, validation_end) = ends(order.len(), &spec.split)?;
    let parts = [&order[..train_end], &order[train_end..validation_end], &order[validation_end..]];
    let (inputs, prepared) = raw.inputs.prepare(&parts, spec, path, memory)?;
    let (targets, meaning) = raw.prepare_targets(&parts, spec, n_outputs, memory)?;
    let class_weights = match (&targets[0], &meaning) {
        (Targets::Classes { ids, .. }, TargetPreparation::Classes(names)) => {
            weights(spec.class_weights.as_ref(), ids, (names, n_outputs), path)?
        }
        _ => None,
    };
    let kind = spec.kind.unwrap_or(TargetKind::Classes);
    let preparation = Preparation { inputs: prepared, targets: meaning };
    let mut splits = inputs.into_iter().zip(targets).map(|(inputs, targets)| Split { inputs, targets });
    let mut next = || splits.next().ok_or(DataError::TooFew { path: path.into(), found: 0, needed: 1 });
    let (train, validation, test) = (next()?, next()?, next()?);
    Ok(Dataset { train, validation, test, n_outputs, n_tokens, kind, class_weights, preparation })
}

impl Raw {
    fn len(&self) -> usize {
        match (&self.targets, &self.inputs) {
            (RawTargets::Classes { ids, .. }, _) => ids.len(),
            (RawTargets::Values(numbers), _) => numbers.len(),
            (RawTargets::Next { .. }, RawInputs::Characters { context, numbers, .. }) => {
                numbers.len().saturating_sub(1) / context
            }
            (RawTargets::Next { .. }, _) => 0,
        }
    }

    /// The targets of each part, and what they mean.
    fn prepare_targets(
        self,
        parts: &[&[usize]; 3],
        spec: &DataSpec,
        n_outputs: usize,
        memory: &mut Memory,
    ) -> Result<([Targets; 3], TargetPreparation), DataError> {
        Ok(match (self.targets, self.inputs) {
            (RawTargets::Classes { ids, names }, _) => {
                let gather = |part: &[usize], memory: &mut Memory| {
                    let mut chosen = memory.vec(part.len())?;
                    chosen.extend(part.iter().map(|example| i64::from(ids[*example])));
                    Ok(Targets::Classes { per_example: 1, ids: chosen })
                };
                let names = names.unwrap_or_else(|| (0..n_outputs).map(|class| class.to_string()).collect());
                (of_each(parts, memory, gather)?, TargetPreparation::Classes(names))
            }
            (RawTargets::Next { names }, RawInputs::Characters { context, numbers, .. }) => {
                let gather = |part: &[usize], memory: &mut Memory| {
                    let ids = windows(&numbers[1..], context, part, memory)?;
                    Ok(Targets::Classes { per_example: context, ids })
                };
                (of_each(parts, memory, gather)?, TargetPreparation::Classes(names))
            }
            (RawTargets::Next { names }, _) => {
                let none = || Targets::Classes { per_example: 1, ids: Vec::new() };
                ([none(), none(), none()], TargetPreparation::Classes(names))
            }
            (RawTargets::Values(numbers), _) => {
                let train = parts[0].iter().map(|example| numbers.get(*example));
                let scale = if spec.standardize { Scale::of(train) } else { Scale::NONE };
                let gather = |part: &[usize], memory: &mut Memory| {
                    let mut values = memory.vec(part.len())?;
                    values.extend(part.iter().map(|example| scale.apply(numbers.get(*example))));
                    Ok(Targets::Values { per_example: 1, values })
                };
                (of_each(parts, memory, gather)?, TargetPreparation::Values(scale))
            }
        })
    }
}

fn of_each<T>(
    parts: &[&[usize]; 3],
    memory: &mut Memory,
    gather: impl Fn(&[usize], &mut Memory) -> Result<T, DataError>,
) -> Result<[T; 3], DataError> {
    Ok([gather(parts[0], memory)?, gather(parts[1], memory)?, gather(parts[2], memory)?])
}

impl RawInputs {
    fn n_tokens(&self) -> usize {
        let largest = match self {
            Self::Words { ids, .. } => ids.iter().max(),
            Self::Characters { context, numbers, .. } => {
                numbers[..numbers.len().saturating_sub(1) / context * context].iter().max()
            }
            _ => None,
        };
        largest.map_or(0, |largest| *largest as usize + 1)
    }

    /// The inputs of each part, and how they were made.
    fn prepare(
        &self,
        parts: &[&[usize]; 3],
        spec: &DataSpec,
        path: &Path,
        memory: &mut Memory,
    ) -> Result<([Inputs; 3], InputPreparation), DataError> {
        match (self, &spec.format) {
            (Self::Table { table, target, target_name }, Format::Csv(format)) => {
                let (inputs, columns) = prepare_table(table, parts, (spec.standardize, format), path, memory)?;
                let (n_columns, target, target_name) = (table.n_columns, *target, target_name.clone());
                Ok((inputs, InputPreparation::Columns { n_columns, target, target_name, columns }))
            }
            (Self::Pictures { shape, values }, _) => prepare_pictures(shape, values, parts, spec.standardize, memory),
            (Self::Characters { context, numbers, preparation }, _) => {
                let gather = |part: &[usize], memory: &mut Memory| {
                    Ok(Inputs::Tokens { length: *context, ids: windows(numbers, *context, part, memory)? })
                };
                Ok((of_each(parts, memory, gather)?, preparation.clone()))
            }
            (Self::Words { length, ids, preparation }, _) => {
                let gather = |part: &[usize], memory: &mut Memory| {
                    Ok(Inputs::Tokens { length: *length, ids: windows(ids, *length, part, memory)? })
                };
                Ok((of_each(parts, memory, gather)?, preparation.clone()))
            }
            (Self::Table { .. }, _) => Err(DataError::TooFew { path: path.into(), found: 0, needed: 1 }),
        }
    }
}

fn prepare_table(
    table: &Table,
    parts: &[&[usize]; 3],
    (standardize, format): (bool, &TableSpec),
    path: &Path,
    memory: &mut Memory,
) -> Result<([Inputs; 3], Vec<ColumnPreparation>), DataError> {
    let fit = |input| ColumnPreparation::fit(path, input, parts[0], (standardize, format.missing));
    let columns = table.inputs.iter().map(fit).collect::<Result<Vec<_>, _>>()?;
    preparation::warn_of_new_names(path, &columns, table, &[parts[1], parts[2]].concat());
    let inputs = of_each(parts, memory, |part, memory| preparation::apply(&columns, table, part, memory))?;
    Ok((inputs, columns))
}

fn prepare_pictures(
    shape: &[usize],
    bytes: &[u8],
    parts: &[&[usize]; 3],
    standardize: bool,
    memory: &mut Memory,
) -> Result<([Inputs; 3], InputPreparation), DataError> {
    let width: usize = shape.iter().product();
    let gather = |part: &[usize], memory: &mut Memory| {
        let mut values: Vec<f32> = memory.vec(part.len().saturating_mul(width))?;
        for picture in part {
            let bytes = &bytes[picture * width..(picture + 1) * width];
            values.extend(bytes.iter().map(|byte| f32::from(*byte) / 255.0));
        }
        Ok(values)
    };
    let mut values = of_each(parts, memory, gather)?;
    let (n_channels, run) = (shape[0], shape[1..].iter().product());
    let channels = match standardize {
        true => preparation::scales_of(&values[0], n_channels, run),
        false => vec![Scale::NONE; n_channels],
    };
    values.iter_mut().for_each(|values| preparation::scale_groups(values, &channels, run));
    let inputs = values.map(|values| Inputs::Float { shape: shape.to_vec(), values });
    Ok((inputs, InputPreparation::Pictures { shape: shape.to_vec(), channels }))
}

/// The chosen pieces of `length` numbers each, one after the other.
fn windows(numbers: &[u32], length: usize, chosen: &[usize], memory: &mut Memory) -> Result<Vec<i64>, DataError> {
    let mut ids = memory.vec(chosen.len().saturating_mul(length))?;
    for piece in chosen {
        ids.extend(numbers[piece * length..(piece + 1) * length].iter().map(|number| i64::from(*number)));
    }
    Ok(ids)
}

fn n_outputs(raw: &Raw, spec: &DataSpec, path: &Path, n_examples: usize) -> Result<usize, DataError> {
    let ids = match (&raw.targets, &raw.inputs) {
        (RawTargets::Values(_), _) => return Ok(1),
        (RawTargets::Classes { ids, .. }, _) => &ids[..],
        (RawTargets::Next { .. }, RawInputs::Characters { context, numbers, .. }) => &numbers[1..=n_examples * context],
        (RawTargets::Next { .. }, _) => &[],
    };
    let per_example = ids.len() / n_examples;
    let declared = spec.classes.or(matches!(spec.format, Format::Cifar { .. }).then_some(10));
    // If the number of classes is not declared, a label above the number of examples cannot be a class. (Characters
    // come from the text itself, so they are always allowed.)
    let is_label = matches!(raw.targets, RawTargets::Classes { .. });
    let allowed = declared.unwrap_or(if is_label { n_examples.max(2) } else { usize::MAX });
    let max = i64::try_from(allowed).unwrap_or(i64::MAX) - 1;
    if let Some(place) = ids.iter().position(|label| i64::from(*label) > max) {
        let (example, label) = (place / per_example.max(1), i64::from(ids[place]));
        return Err(DataError::LabelOutOfRange { path: path.into(), example, label, max });
    }
    Ok(spec.classes.unwrap_or_else(|| ids.iter().max().map_or(1, |largest| *largest as usize + 1)))
}

/// Refuses examples that are all of one class: there is nothing to learn.
fn check_two_classes(raw: &Raw, order: &[usize], path: &Path) -> Result<(), DataError> {
    let (class, examples) = match (&raw.targets, &raw.inputs) {
        (RawTargets::Classes { ids, names }, _) => {
            let Some(first) = order.first().map(|example| ids[*example]) else { return Ok(()) };
            if order.iter().any(|example| ids[*example] != first) {
                return Ok(());
            }
            let name = names.as_ref().and_then(|names| names.get(first as usize).cloned());
            (name.unwrap_or_else(|| first.to_string()), order.len())
        }
        (RawTargets::Next { names }, RawInputs::Characters { numbers, .. }) if names.len() == 1 => {
            (names[0].clone(), numbers.len())
        }
        _ => return Ok(()),
    };
    Err(DataError::Classes { path: path.into(), what: ClassesProblem::OneClass { examples, class } })
}

/// The weight of each class.
fn weights(
    wanted: Option<&ClassWeights>,
    train: &[i64],
    (names, n_outputs): (&[String], usize),
    path: &Path,
) -> Result<Option<Vec<f32>>, DataError> {
    Ok(match wanted {
        None => None,
        Some(ClassWeights::Balanced) => {
            let mut counts = vec![0_usize; n_outputs];
            train.iter().for_each(|class| counts[*class as usize] += 1);
            let n_classes = counts.iter().filter(|count| **count > 0).count();
            let weight = |count: &usize| train.len() as f64 / (n_classes * (*count).max(1)) as f64;
            Some(counts.iter().map(|count| weight(count) as f32).collect())
        }
        Some(ClassWeights::Named(named)) => {
            let wrong = |what| DataError::Classes { path: path.into(), what };
            if let Some(class) = named.keys().find(|class| !names.contains(class)) {
                return Err(wrong(ClassesProblem::NoClass { class: class.clone(), allowed: names.join(", ") }));
            }
            if let Some(class) = names.iter().find(|class| !named.contains_key(*class)) {
                return Err(wrong(ClassesProblem::NoWeight { class: class.clone(), classes: names.join(", ") }));
            }
            // `data.classes` may ask for more outputs than there are labels: what has no example needs no weight.
            let weight = |class: usize| names.get(class).and_then(|name| named.get(name)).copied().unwrap_or(1.0);
            Some((0..n_outputs).map(|class| weight(class) as f32).collect())
        }
    })
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

impl RawTargets {
    /// The targets of a table.
    pub(super) fn of_table(cells: Cells) -> Self {
        match cells {
            Cells::Numbers(numbers) => Self::Values(numbers),
            Cells::Names(labels) => {
                let (ranks, names) = labels.sorted();
                let ids = labels.codes.iter().map(|code| ranks[*code as usize]).collect();
                Self::Classes { ids, names: Some(names) }
            }
        }
    }
}

impl Numbers {
    fn len(&self) -> usize {
        match self {
            Self::Single(numbers) => numbers.len(),
            Self::Double(numbers) => numbers.len(),
        }
    }
}
