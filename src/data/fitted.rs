//! What a trained net must know of the data that it was trained on. It goes into the file of the net.

use super::{
    Code, ColumnPreparation, Dataset, InputPreparation, Inputs, Preparation, Scale, Split, TargetKind,
    TargetPreparation, Targets,
};
use serde::{Deserialize, Serialize};

/// Largest number of values of one example, and of word numbers: no net that reads more could be built.
const MAX_SIZE: usize = 1 << 28;

/// All that a trained net must know of the data that it was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// Shape of one example: `[columns]`, `[channels, height, width]`, or `[length]` of texts.
    pub shape: Vec<usize>,
    /// Kind of the targets.
    pub kind: TargetKind,
    /// Number of targets of an example.
    pub targets_per_example: usize,
    /// Number of outputs of the net.
    pub n_outputs: usize,
    /// Number of word or character numbers of texts; 0 for other data.
    pub n_tokens: usize,
    /// How rows become inputs, and what the outputs mean.
    pub preparation: Preparation,
}

impl Fitted {
    /// What is to be kept of a data set.
    pub fn of(data: &Dataset) -> Self {
        let shape = match &data.train.inputs {
            Inputs::Float { shape, .. } => shape.clone(),
            Inputs::Tokens { length, .. } => vec![*length],
        };
        let (Targets::Classes { per_example, .. } | Targets::Values { per_example, .. }) = &data.train.targets;
        Self {
            shape,
            kind: data.kind,
            targets_per_example: *per_example,
            n_outputs: data.n_outputs,
            n_tokens: data.n_tokens,
            preparation: data.preparation.clone(),
        }
    }

    /// Name of a class: its text in the table, or its number.
    pub fn class(&self, number: usize) -> String {
        let name = match &self.preparation.targets {
            TargetPreparation::Classes(names) => names.get(number).cloned(),
            TargetPreparation::Values(_) => None,
        };
        name.unwrap_or_else(|| number.to_string())
    }

    /// Output of the net in the units of the table.
    pub fn in_units(&self, output: f32) -> f64 {
        match self.preparation.targets {
            TargetPreparation::Values(scale) => scale.undo(output),
            TargetPreparation::Classes(_) => output.into(),
        }
    }

    /// A data set of this kind without examples, for a net to be built for.
    pub fn without_examples(&self) -> Dataset {
        let length = self.shape.first().copied().unwrap_or_default();
        let inputs = match self.n_tokens {
            0 => Inputs::Float { shape: self.shape.clone(), values: Vec::new() },
            _ => Inputs::Tokens { length, ids: Vec::new() },
        };
        let per_example = self.targets_per_example;
        let targets = match self.kind {
            TargetKind::Classes => Targets::Classes { per_example, ids: Vec::new() },
            TargetKind::Values => Targets::Values { per_example, values: Vec::new() },
        };
        let train = Split { inputs, targets };
        let (validation, test, preparation) = (train.clone(), train.clone(), self.preparation.clone());
        let Self { n_outputs, n_tokens, kind, .. } = *self;
        Dataset { train, validation, test, n_outputs, n_tokens, kind, class_weights: None, preparation }
    }

    /// Whether all of it can be: sizes that fit together, and numbers that are finite.
    pub fn is_sound(&self) -> bool {
        let size = self.shape.iter().try_fold(1, |product: usize, n| product.checked_mul(*n)).unwrap_or(0);
        (1..=MAX_SIZE).contains(&size)
            && self.n_tokens <= MAX_SIZE
            && self.n_outputs > 0
            && self.targets_per_example > 0
            && self.inputs_are_sound()
            && match &self.preparation.targets {
                TargetPreparation::Classes(names) => names.len() <= self.n_outputs,
                TargetPreparation::Values(scale) => scale.is_sound(),
            }
    }

    fn inputs_are_sound(&self) -> bool {
        match &self.preparation.inputs {
            InputPreparation::Columns { n_columns, target, columns, .. } => {
                let width = columns.iter().try_fold(0usize, |sum, column| sum.checked_add(column.width()));
                let fits = |column: &ColumnPreparation| {
                    column.place < *n_columns && column.place != *target && column.code.is_sound()
                };
                self.n_tokens == 0 && width == Some(self.shape[0]) && self.shape.len() == 1 && columns.iter().all(fits)
            }
            InputPreparation::Pictures { shape, channels } => {
                let scales = channels.is_empty() || channels.len() == self.shape[0];
                self.n_tokens == 0 && *shape == self.shape && scales && channels.iter().all(|scale| scale.is_sound())
            }
            InputPreparation::Words { length, .. } => self.n_tokens > 0 && self.shape == [*length],
            InputPreparation::Characters { context, .. } => self.n_tokens > 0 && self.shape == [*context],
        }
    }
}

impl Scale {
    fn is_sound(self) -> bool {
        self.mean.is_finite() && self.deviation.is_finite() && self.deviation > 0.0
    }
}

impl Code {
    fn is_sound(&self) -> bool {
        match self {
            Self::Number { scale, fill, .. } => scale.is_sound() && fill.is_finite(),
            Self::Name { names, fill, .. } => {
                names.len() == fill.len() && names.is_sorted() && fill.iter().all(|share| share.is_finite())
            }
        }
    }
}
