//! What a data set was prepared with. It goes into the file of a trained net, and turns new rows into inputs of that net
//! and its outputs back into classes by name and values in the units of the table.

use super::{Dataset, Inputs, Split, TargetKind, Targets};
use serde::{Deserialize, Serialize};

/// Largest number of values of one example, and of word numbers: no net that reads more could be built.
const MAX_SIZE: usize = 1 << 28;

/// How the examples of a file became inputs and targets.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Preparation {
    /// Names in the files.
    pub names: Names,
    /// Scale of each column of a table or each channel of pictures; none where nothing was standardized.
    pub inputs: Vec<Scale>,
    /// Scale of each target column; none where nothing was standardized, or the targets are classes.
    pub targets: Vec<Scale>,
}

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

/// Names that stand in the files of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Names {
    /// Columns of a table by the header, the target among them; empty where there is no header.
    pub columns: Vec<String>,
    /// Place of the target among the columns of a table.
    pub target: usize,
    /// Classes of a table, by their numbers.
    pub classes: Vec<String>,
    /// Words by their numbers, without those for padding and for unknown words.
    pub words: Vec<String>,
}

/// Mean and deviation that values were standardized with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Mean over the training split.
    pub mean: f64,
    /// What the distance from the mean was divided by.
    pub deviation: f64,
}

impl Scale {
    /// The value in the units of the table.
    pub fn undo(self, value: f64) -> f64 {
        value * self.deviation + self.mean
    }

    fn is_sound(self) -> bool {
        self.mean.is_finite() && self.deviation.is_finite() && self.deviation > 0.0
    }
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
        self.preparation.names.classes.get(number).cloned().unwrap_or_else(|| number.to_string())
    }

    /// Number of the class that is called so.
    pub fn class_number(&self, name: &str) -> Option<usize> {
        let named = self.preparation.names.classes.iter().position(|class| class == name);
        named.or_else(|| name.parse().ok().filter(|number| self.class(*number) == name && *number < self.n_outputs))
    }

    /// Output of the net in the units of the table.
    pub fn in_units(&self, output: f64, column: usize) -> f64 {
        self.preparation.targets.get(column).map_or(output, |scale| scale.undo(output))
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
        let split = Split { inputs, targets };
        Dataset {
            validation: split.clone(),
            test: split.clone(),
            train: split,
            n_outputs: self.n_outputs,
            n_tokens: self.n_tokens,
            kind: self.kind,
            preparation: self.preparation.clone(),
        }
    }

    /// Standardizes inputs as those of the training were.
    pub(super) fn standardize(&self, values: &mut [f32]) {
        if !self.preparation.inputs.is_empty() {
            let run = self.shape.iter().skip(1).product::<usize>().max(1);
            apply(values, &self.preparation.inputs, run);
        }
    }

    /// Whether all of it can be: sizes that fit together, and numbers that are finite.
    pub fn is_sound(&self) -> bool {
        let size = self.shape.iter().try_fold(1, |product: usize, n| product.checked_mul(*n)).unwrap_or(0);
        let groups = |scales: &[Scale], n: usize| scales.is_empty() || scales.len() == n;
        let columns = &self.preparation.names.columns;
        (1..=MAX_SIZE).contains(&size)
            && (self.n_tokens == 0 || self.shape.len() == 1 && self.n_tokens <= MAX_SIZE)
            && self.n_outputs > 0
            && self.targets_per_example > 0
            && groups(&self.preparation.inputs, self.shape[0])
            && groups(&self.preparation.targets, self.n_outputs)
            && self.preparation.inputs.iter().chain(&self.preparation.targets).all(|scale| scale.is_sound())
            && self.preparation.names.classes.len() <= self.n_outputs
            && (columns.is_empty()
                || columns.len() == self.shape[0] + 1 && self.preparation.names.target < columns.len())
    }
}

/// Standardizes groups of values that take turns, with `run` values each time.
pub(super) fn apply(values: &mut [f32], scales: &[Scale], run: usize) {
    for (part, Scale { mean, deviation }) in values.chunks_exact_mut(run).zip(scales.iter().cycle()) {
        part.iter_mut().for_each(|value| *value = ((f64::from(*value) - mean) / deviation) as f32);
    }
}
