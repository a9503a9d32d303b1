//! What a data set was prepared with. It goes into the file of a trained net, and turns new rows into inputs of that net
//! and its outputs back into classes by name and values in the units of the table.

use super::{Dataset, Inputs, Split, TargetKind, Targets, prepare};
use serde::{Deserialize, Serialize};

/// What the preparation of a data set found in it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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
    /// Names in the files.
    pub names: Names,
    /// Scale of each column of a table or each channel of pictures; none where nothing was standardized.
    pub inputs: Vec<Scale>,
    /// Scale of each target column; none where nothing was standardized, or the targets are classes.
    pub targets: Vec<Scale>,
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
    /// Name of a class: its text in the table, or its number.
    pub fn class(&self, number: usize) -> String {
        self.names.classes.get(number).cloned().unwrap_or_else(|| number.to_string())
    }

    /// Number of the class that is called so.
    pub fn class_number(&self, name: &str) -> Option<usize> {
        (0..self.n_outputs).find(|number| self.class(*number) == name)
    }

    /// Output of the net in the units of the table.
    pub fn in_units(&self, output: f64, column: usize) -> f64 {
        self.targets.get(column).map_or(output, |scale| scale.undo(output))
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
            fitted: self.clone(),
        }
    }

    /// Standardizes inputs as those of the training were.
    pub(super) fn standardize(&self, values: &mut [f32]) {
        if !self.inputs.is_empty() {
            let run = self.shape.iter().skip(1).product::<usize>().max(1);
            prepare::apply(values, &self.inputs, run);
        }
    }

    /// Whether all of it can be: sizes that fit together, and numbers that are finite.
    pub fn is_sound(&self) -> bool {
        let size = self.shape.iter().try_fold(1, |product: usize, n| product.checked_mul(*n)).unwrap_or(0);
        let groups = |scales: &[Scale], n: usize| scales.is_empty() || scales.len() == n;
        let columns = &self.names.columns;
        size > 0
            && self.n_outputs > 0
            && self.targets_per_example > 0
            && groups(&self.inputs, self.shape[0])
            && groups(&self.targets, self.n_outputs)
            && self.inputs.iter().chain(&self.targets).all(|scale| scale.is_sound())
            && self.names.classes.len() <= self.n_outputs
            && (columns.is_empty() || columns.len() == self.shape[0] + 1 && self.names.target < columns.len())
    }
}
