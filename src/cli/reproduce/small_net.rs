//! A net with one hidden layer, four of whose hyperparameters are chosen from lists of ten values each: what Mohamed and
//! others tune (sections 3.1, 3.2 and 3.4 of their paper), and a problem that tuners can be compared on.

use super::lab::{Lab, Splits};
use super::studies::{Params, Told};
use crate::cli::failure::Failure;
use crate::cli::run::Run;
use qgd::data::{Inputs, TargetKind};
use qgd::task::{Activation, NetKind, NetSpec, OptimizerKind, TaskSpec, TrainSpec};
use qgd::torch::Conditioning;
use qgd::tuner::{Distribution, Parameter, Space, Value};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The lists of section 3.2, in ascending order. A parameter is a place in its list.
const RATES: [f64; 10] = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1];
const BATCH_SIZES: [usize; 10] = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
const HIDDEN: [usize; 10] = [2, 4, 6, 8, 10, 12, 14, 16, 18, 20];
const NAMES: [&str; 4] = ["lr", "weight_decay", "batch_size", "hidden"];
/// Section 3.1.
const SPLIT: [f64; 3] = [0.7, 0.1, 0.2];
/// Section 3.4.
pub const EPOCHS: usize = 15;

/// A data set, split by each of the seeds, for nets with one hidden layer.
pub struct SmallNet {
    pub name: &'static str,
    /// Number of examples that are used, where that is not all of them.
    pub limit: Option<usize>,
    task: TaskSpec,
    pub data: Splits,
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
        let data = lab.splits(&task)?;
        Ok(Self { name, limit, task, data, fingerprint })
    }

    /// Numbers of training examples, of inputs, and of classes (0: regression).
    pub fn facts(&self) -> [u64; 3] {
        let Some(data) = self.data.first() else { return [0; 3] };
        let n_in = match &data.train.inputs {
            Inputs::Float { shape, .. } => shape.iter().product(),
            Inputs::Tokens { length, .. } => *length,
        };
        let n_classes = if data.kind == TargetKind::Classes { data.n_outputs } else { 0 };
        [data.train.len(), n_in, n_classes].map(|n| n as u64)
    }

    /// Trains the net of a trial, unless that was done before.
    pub fn losses(&self, lab: &Lab, seed: u64, params: &Params) -> Result<Losses, Failure> {
        lab.unit(&self.key(seed, &in_words(params)), || self.trained(lab, seed, places(params)))
    }

    /// Key of the unit that trains a net with these settings.
    pub fn key(&self, seed: u64, settings: &str) -> String {
        let limit = self.limit.map_or(String::new(), |limit| format!(" limit {limit}"));
        format!("{} {:016x}{limit} seed {seed}: {settings}", self.name, self.fingerprint)
    }

    fn trained(
        &self,
        lab: &Lab,
        seed: u64,
        [lr, weight_decay, batch_size, hidden]: [usize; 4],
    ) -> Result<Losses, Failure> {
        let net = NetSpec { hidden: vec![HIDDEN[hidden]], ..self.task.net.clone() };
        let train = TrainSpec {
            optimizer: OptimizerKind::Adam,
            conditioning: Conditioning::None,
            lr: RATES[lr],
            weight_decay: RATES[weight_decay],
            batch_size: BATCH_SIZES[batch_size],
            steps: 1,
        };
        self.train(lab, seed, net, train, |_| Ok(()))
    }

    /// Trains a net for 15 epochs, whatever number of steps `train` names. The seed splits the data, and makes the initial
    /// weights and the batches. `after_epoch` sees the net after each epoch.
    pub fn train(
        &self,
        lab: &Lab,
        seed: u64,
        net: NetSpec,
        mut train: TrainSpec,
        mut after_epoch: impl FnMut(&mut Run) -> Result<(), Failure>,
    ) -> Result<Losses, Failure> {
        let data = self.data.of(seed)?;
        let (n, epoch) = (data.train.len(), self.steps_of_an_epoch(seed, train.batch_size)?);
        // A batch that holds all examples is the whole split.
        train.batch_size = if train.batch_size >= n { 0 } else { train.batch_size };
        train.steps = EPOCHS as u64 * epoch;
        let task = TaskSpec { net, train, ..self.task.clone() };
        let after_step = |run: &mut Run, step: u64| if step.is_multiple_of(epoch) { after_epoch(run) } else { Ok(()) };
        let scores = lab.trained(&task, data, seed, after_step)?.evaluate(data)?;
        let finite = |loss: f64| Some(loss).filter(|loss| loss.is_finite());
        Ok(Losses { validation: finite(scores.validation.loss), test: finite(scores.test.loss) })
    }

    /// Number of steps in which a net sees as many examples as there are.
    pub fn steps_of_an_epoch(&self, seed: u64, batch_size: usize) -> Result<u64, Failure> {
        Ok(self.data.of(seed)?.train.len().div_ceil(batch_size) as u64)
    }

    /// What is read of the data, in words.
    pub fn size_in_words(&self) -> String {
        format!("{} examples of {}", self.data.sizes().iter().sum::<usize>(), self.name)
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
