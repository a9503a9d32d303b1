//! A net with one hidden layer, four of whose hyperparameters are chosen from lists of ten values each: what Mohamed and
//! others tune (sections 3.1, 3.2 and 3.4 of their paper), and a problem that tuners can be compared on.

use super::lab::Lab;
use super::studies::{Params, Told};
use crate::cli::failure::Failure;
use anyhow::Context;
use qgd::data::{Dataset, Inputs, TargetKind};
use qgd::task::{Activation, NetKind, OptimizerKind, TaskSpec, TrainSpec};
use qgd::torch::Conditioning;
use qgd::tuner::{Distribution, Parameter, Point, Space, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The lists of section 3.2, in ascending order. A parameter is a place in its list.
const RATES: [f64; 10] = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1];
const BATCH_SIZES: [usize; 10] = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
const HIDDEN: [usize; 10] = [2, 4, 6, 8, 10, 12, 14, 16, 18, 20];
const NAMES: [&str; 4] = ["lr", "weight_decay", "batch_size", "hidden"];
/// Section 3.1.
const SPLIT: [f64; 3] = [0.7, 0.1, 0.2];
/// Section 3.4.
const EPOCHS: usize = 15;

/// A data set, split by each of the seeds, for nets with one hidden layer.
pub struct SmallNet {
    pub name: &'static str,
    /// Number of examples that are used, where that is not all of them.
    pub limit: Option<usize>,
    task: TaskSpec,
    data: BTreeMap<u64, Dataset>,
    /// Tells the content of its files from any other.
    fingerprint: u64,
}

/// What a net came to; None where it diverged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    pub validation: Option<f64>,
    pub test: Option<f64>,
}

impl Told for Losses {
    fn told(&self) -> f64 {
        self.validation.unwrap_or(f64::INFINITY)
    }
}

impl Losses {
    /// Test loss; infinite where the net diverged.
    pub fn test(&self) -> f64 {
        self.test.unwrap_or(f64::INFINITY)
    }
}

/// Section 3.2: four lists of ten values.
pub fn space() -> Result<Space, Failure> {
    Space::new(NAMES.map(|name| Parameter::new(name, Distribution::int(0, 9)))).map_err(Failure::bad_input)
}

/// The values that a trial stands for: learning rate, weight decay, batch size, hidden units.
pub fn in_words(params: &Params) -> String {
    let [lr, weight_decay, batch_size, hidden] = places(params);
    format!("{}, {}, {}, {}", RATES[lr], RATES[weight_decay], BATCH_SIZES[batch_size], HIDDEN[hidden])
}

/// The place of a trial in the space.
pub fn point(params: &Params) -> Point {
    places(params).map(|place| Some(place as f64)).to_vec()
}

fn places(params: &Params) -> [usize; 4] {
    NAMES.map(|name| match params.get(name) {
        Some(Value::Int(place)) => usize::try_from(*place).unwrap_or(0).min(9),
        _ => 0,
    })
}

impl SmallNet {
    /// The data of a task that ships with qgd, named so.
    pub fn new(lab: &Lab, name: &'static str, task: &str, limit: Option<usize>) -> Result<Self, Failure> {
        let mut task = TaskSpec::load(Path::new(task)).map_err(Failure::bad_input)?;
        (task.data.split, task.data.limit) = (SPLIT, limit);
        (task.net.kind, task.net.activation) = (NetKind::Mlp, Activation::Relu);
        let fingerprint = lab.machine().fingerprint(&task)?;
        let load = |seed| Ok((seed, lab.machine().dataset(&task, seed)?));
        let data = lab.seeds().into_iter().map(load).collect::<Result<_, Failure>>()?;
        Ok(Self { name, limit, task, data, fingerprint })
    }

    /// Numbers of training examples, of inputs, and of classes (0: regression).
    pub fn facts(&self) -> [u64; 3] {
        let Some(data) = self.data.values().next() else { return [0; 3] };
        let n_in = match &data.train.inputs {
            Inputs::Float { shape, .. } => shape.iter().product(),
            Inputs::Tokens { length, .. } => *length,
        };
        let n_classes = if data.kind == TargetKind::Classes { data.n_outputs } else { 0 };
        [data.train.len(), n_in, n_classes].map(|n| n as u64)
    }

    /// Trains the net of a trial, unless that was done before. The seed splits the data, and makes the initial weights
    /// and the batches.
    pub fn losses(&self, lab: &Lab, seed: u64, params: &Params) -> Result<Losses, Failure> {
        let limit = self.limit.map_or(String::new(), |limit| format!(" limit {limit}"));
        let key = format!("{} {:016x}{limit} seed {seed}: {}", self.name, self.fingerprint, in_words(params));
        lab.unit(&key, || self.trained(lab, seed, places(params)))
    }

    fn trained(
        &self,
        lab: &Lab,
        seed: u64,
        [lr, weight_decay, batch_size, hidden]: [usize; 4],
    ) -> Result<Losses, Failure> {
        let data = self.data.get(&seed).with_context(|| format!("no data for seed {seed}"))?;
        let (n, batch_size) = (data.train.len(), BATCH_SIZES[batch_size]);
        let mut task = self.task.clone();
        task.net.hidden = vec![HIDDEN[hidden]];
        task.train = TrainSpec {
            optimizer: OptimizerKind::Adam,
            conditioning: Conditioning::None,
            lr: RATES[lr],
            weight_decay: RATES[weight_decay],
            // A batch that holds all examples is the whole split.
            batch_size: if batch_size >= n { 0 } else { batch_size },
            steps: (EPOCHS * n.div_ceil(batch_size)) as u64,
        };
        let scores = lab.trained(&task, data, seed)?.evaluate(data)?;
        let finite = |loss: f64| Some(loss).filter(|loss| loss.is_finite());
        Ok(Losses { validation: finite(scores.validation.loss), test: finite(scores.test.loss) })
    }

    /// What is read of the data, in words.
    pub fn size_in_words(&self) -> String {
        let n = self.data.values().map(|data| data.train.len() + data.validation.len() + data.test.len()).max();
        format!("{} examples of {}", n.unwrap_or(0), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_is_that_of_the_paper() {
        assert_eq!(
            space().unwrap().parameters().iter().map(|p| p.distribution.n_values()).collect::<Vec<_>>(),
            [Some(10); 4]
        );
        assert!([&RATES[..]].iter().all(|list| list.windows(2).all(|pair| pair[0] < pair[1])));
        let params = |place| NAMES.map(|name| (name.to_owned(), Value::Int(place))).into();
        assert_eq!(in_words(&params(0)), "0.00001, 0.00001, 8, 2");
        assert_eq!(in_words(&params(9)), "0.3, 0.3, 4096, 20");
    }
}
