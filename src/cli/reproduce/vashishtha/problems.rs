//! The data and nets of section 3.4, and the space of section 3.5.

use crate::cli::failure::Failure;
use crate::cli::keys::Keys;
use crate::cli::reproduce::cifar::Archive;
use crate::cli::reproduce::lab::{Lab, Splits};
use crate::cli::reproduce::studies::{Params, Told};
use qgd::data::{DataSpec, Dataset, Format, Inputs, Split};
use qgd::nets::TensorSplit;
use qgd::rng::fnv1a;
use qgd::task::{NetKind, NetSpec, TaskSpec};
use qgd::tuner::{Distribution, Parameter, Point, Space, Value};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;

/// Epochs of a net; the paper names no number.
const EPOCHS: usize = 10;
/// Epochs with `--quick`.
const QUICK_EPOCHS: usize = 1;
/// Shares of training, validation and test with `--quick`.
const QUICK_SPLIT: [f64; 3] = [0.5, 0.25, 0.25];
/// Words of a review that are read with `--quick`, and words that are known.
const QUICK_WORDS: [usize; 2] = [32, 1000];

/// A data set, the net that is tuned on it, and what is chosen.
pub struct Problem {
    pub name: &'static str,
    /// What the data are, and what the net is.
    pub about: String,
    pub lists: Vec<List>,
    pub epochs: usize,
    /// The paper's validation accuracies in percent, by the place of the method.
    pub published: &'static [(usize, f64)],
    keys: Keys,
    spec: DataSpec,
    data: Splits,
    /// Tells the content of its files from any other.
    fingerprint: u64,
}

/// A hyperparameter: a key of a task, and its values in ascending order. A parameter of the space is a place in the list.
pub struct List {
    pub key: &'static str,
    pub values: Vec<Value>,
    /// Whether the values have no order.
    is_categorical: bool,
}

/// What a net came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Share of the validation examples that the net has right; None where it diverged.
    pub validation: Option<f64>,
    pub test: Option<f64>,
    /// Time of the training, for whoever reads the finished units. It differs from run to run, so that no report has it.
    pub seconds: f64,
}

impl Scores {
    /// Share of the validation examples that the net has wrong; infinite where it diverged.
    pub fn error(&self) -> f64 {
        self.validation.map_or(f64::INFINITY, |accuracy| 1.0 - accuracy)
    }
}

impl Told for Scores {
    fn told(&self) -> f64 {
        self.error()
    }
}

fn list<V: Into<Value>>(key: &'static str, values: impl IntoIterator<Item = V>) -> List {
    List { key, values: values.into_iter().map(Into::into).collect(), is_categorical: false }
}

/// What both kinds of nets have in common (section 3.5). The paper has no ranges.
fn common() -> [List; 6] {
    [
        list("lr", [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1]),
        list("batch_size", [16, 32, 64, 128]),
        list("l1", [0.0, 1e-5, 1e-4, 1e-3]),
        list("weight_decay", [0.0, 1e-5, 1e-4, 1e-3, 1e-2]),
        list("dropout", [0.0, 0.1, 0.2, 0.3, 0.5]),
        List { is_categorical: true, ..list("optimizer", ["sgd", "momentum", "adam"]) },
    ]
}

/// Layers and units of a convolutional net.
fn convolutional(is_quick: bool) -> Vec<List> {
    let filters = if is_quick { [2, 4, 8, 16] } else { [16, 32, 64, 128] };
    [list("blocks", [1, 2, 3]), list("filters", filters)].into_iter().chain(common()).collect()
}

/// Sizes of the layers of a recurrent net, which has one recurrent layer.
fn recurrent(is_quick: bool) -> Vec<List> {
    let sizes = if is_quick { [8, 16, 32, 64] } else { [16, 32, 64, 128] };
    [list("embedding", sizes), list("units", sizes)].into_iter().chain(common()).collect()
}

impl Problem {
    pub fn mnist(lab: &Lab) -> Result<Self, Failure> {
        let published = &[(0, 98.90), (3, 99.45)];
        Self::new(lab, ("MNIST", "mnist-cnn"), convolutional(lab.quick()), published, |task| {
            task.data.limit = lab.either(None, Some(2000));
            "handwritten digits".to_owned()
        })
    }

    pub fn cifar(lab: &Lab) -> Result<Self, Failure> {
        let published = &[(2, 87.55), (3, 88.72)];
        let archive = Archive::find(lab);
        Self::new(lab, ("CIFAR-10", "cifar-cnn"), convolutional(lab.quick()), published, |task| {
            task.data.limit = lab.either(None, Some(2000));
            archive.into_iter().for_each(|archive| archive.replace(task));
            Archive::in_words(archive).to_owned()
        })
    }

    pub fn imdb(lab: &Lab) -> Result<Self, Failure> {
        Self::new(lab, ("IMDB", "imdb-gru"), recurrent(lab.quick()), &[], |task| {
            let mut about = "film reviews, good or bad".to_owned();
            if let Format::Tsv { length, vocabulary } = &mut task.data.format {
                [*length, *vocabulary] = lab.either([*length, *vocabulary], QUICK_WORDS);
                about += &format!(", of each the first {length} words, {vocabulary} words known");
            }
            task.data.limit = lab.either(None, Some(2000));
            about
        })
    }

    fn new(
        lab: &Lab,
        (name, task): (&'static str, &str),
        lists: Vec<List>,
        published: &'static [(usize, f64)],
        change: impl FnOnce(&mut TaskSpec) -> String,
    ) -> Result<Self, Failure> {
        let keys = Keys::read(Path::new(task))?;
        let mut task = keys.task(&Params::new()).map_err(Failure::BadInput)?;
        task.data.split = lab.either(task.data.split, QUICK_SPLIT);
        let about = change(&mut task);
        let fingerprint = lab.machine().fingerprint(&task)?;
        let data = lab.splits(&task)?;
        let epochs = lab.either(EPOCHS, QUICK_EPOCHS);
        Ok(Self { name, about, lists, epochs, published, keys, spec: task.data, data, fingerprint })
    }

    pub fn space(&self) -> Result<Space, Failure> {
        let parameter = |list: &List| {
            let last = list.values.len() as i64 - 1;
            let places =
                if list.is_categorical { Distribution::categorical(0..=last) } else { Distribution::int(0, last) };
            Parameter::new(list.key, places)
        };
        Space::new(self.lists.iter().map(parameter)).map_err(Failure::bad_input)
    }

    /// The place of a trial in the space.
    pub fn point(&self, params: &Params) -> Point {
        self.places(params).map(|place| Some(place as f64)).collect()
    }

    fn places<'a>(&'a self, params: &'a Params) -> impl Iterator<Item = usize> + 'a {
        self.lists.iter().map(|list| match params.get(list.key) {
            Some(Value::Int(place)) => usize::try_from(*place).unwrap_or(0).min(list.values.len() - 1),
            _ => 0,
        })
    }

    /// The values that a trial stands for, by key.
    fn values(&self, params: &Params) -> Params {
        let value = |(list, place): (&List, usize)| (list.key.to_owned(), list.values[place].clone());
        self.lists.iter().zip(self.places(params)).map(value).collect()
    }

    /// The same in words.
    pub fn in_words(&self, params: &Params) -> String {
        let values: Vec<String> = self.values(params).iter().map(|(key, value)| format!("{key} {value}")).collect();
        values.join(", ")
    }

    fn task(&self, params: &Params, data: &Dataset) -> Result<TaskSpec, Failure> {
        let mut task = self.keys.task(&self.values(params)).map_err(Failure::BadInput)?;
        task.data = self.spec.clone();
        task.train.steps = (self.epochs * data.train.len().div_ceil(task.train.batch_size)) as u64;
        Ok(task)
    }

    /// Trains the net of a trial, unless that was done before. The seed splits the data, and makes the initial weights
    /// and the batches.
    pub fn scores(&self, lab: &Lab, seed: u64, params: &Params) -> Result<Scores, Failure> {
        let data = self.data.of(seed)?;
        let task = self.task(params, data)?;
        let settings = fnv1a(format!("{:?}", task.settings()).as_bytes());
        let (name, fingerprint, words) = (self.name, self.fingerprint, self.in_words(params));
        let key = format!("{name} {fingerprint:016x} task {settings:016x} seed {seed}: {words}");
        lab.unit(&key, || {
            let start = Instant::now();
            let mut run = lab.trained(&task, data, seed, |_, _| Ok(()))?;
            let mut accuracy = |split: &Split| -> Result<Option<f64>, Failure> {
                let score = run.score(&TensorSplit::new(split, lab.device)?)?;
                Ok(score.accuracy.filter(|_| score.loss.is_finite()))
            };
            let (validation, test) = (accuracy(&data.validation)?, accuracy(&data.test)?);
            Ok(Scores { validation, test, seconds: start.elapsed().as_secs_f64() })
        })
    }

    /// Work of the training of a trial: multiplications of the weights forwards, in billions. Backwards it is twice as
    /// many again.
    pub fn work(&self, params: &Params) -> f64 {
        let work = |data: &Dataset| {
            let task = self.task(params, data).ok()?;
            let n_examples = task.train.steps as f64 * task.train.batch_size as f64;
            Some(1e-9 * n_examples * multiplications(&task.net, &data.train.inputs, data.n_outputs) as f64)
        };
        self.data.first().and_then(work).unwrap_or(f64::NAN)
    }

    /// Numbers of examples to train on, to validate and to test.
    pub fn sizes(&self) -> [usize; 3] {
        self.data.sizes()
    }
}

/// Multiplications of weights for one example, forwards.
fn multiplications(net: &NetSpec, inputs: &Inputs, n_outputs: usize) -> usize {
    let dense = |n_in: usize| {
        let sizes: Vec<usize> = [n_in].into_iter().chain(net.hidden.iter().copied()).chain([n_outputs]).collect();
        sizes.windows(2).map(|pair| pair[0] * pair[1]).sum::<usize>()
    };
    match (&net.kind, inputs) {
        (NetKind::Cnn { channels, .. }, Inputs::Float { shape, .. }) => {
            let &[mut n_channels, mut height, mut width] = &shape[..] else { return 0 };
            let mut total = 0;
            for filters in channels {
                total += 9 * n_channels * filters * height * width;
                (n_channels, height, width) = (*filters, height / 2, width / 2);
            }
            total + dense(n_channels * height * width)
        }
        (NetKind::Gru { embedding, .. }, Inputs::Tokens { length, .. }) => {
            let units: usize = net.hidden.iter().sum();
            length * 3 * units * (embedding + units) + units * n_outputs
        }
        // No problem of the paper has another net.
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_space_is_one_that_its_task_can_have() {
        let tasks =
            [("mnist-cnn", convolutional as fn(bool) -> _), ("cifar-cnn", convolutional), ("imdb-gru", recurrent)];
        for (task, lists) in tasks {
            for lists in [true, false].map(lists) {
                let choices = |list: &List| Parameter::new(list.key, Distribution::categorical(list.values.clone()));
                let space = Space::new(lists.iter().map(choices)).unwrap();
                assert!(Keys::read(Path::new(task)).unwrap().check(&space).is_ok(), "{task}");
                assert_eq!(lists.len(), 8);
            }
        }
    }

    #[test]
    fn work_is_counted_by_the_weights_and_how_often_each_is_used() {
        let net = |task: &str| TaskSpec::load(Path::new(task)).unwrap().net;
        let picture = Inputs::Float { shape: vec![1, 28, 28], values: Vec::new() };
        // Two blocks of 8 and 16 filters, of which each pixel of 28×28 and 14×14 sees all; then 16·7·7 to 64 to 10.
        let of_cnn = 9 * 8 * 28 * 28 + 9 * 8 * 16 * 14 * 14 + 784 * 64 + 64 * 10;
        assert_eq!(multiplications(&net("mnist-cnn"), &picture, 10), of_cnn);
        // At each of five words three gates of 32 units, which see 32 numbers of the word and 32 of the state.
        let text = Inputs::Tokens { length: 5, ids: Vec::new() };
        assert_eq!(multiplications(&net("imdb-gru"), &text, 2), 5 * 3 * 32 * 64 + 64);
    }
}
