//! What is tuned: a net on a data set, by a few keys of its task file or by many, as `qgd tune --task` tunes them.

use crate::cli::failure::Failure;
use crate::cli::keys::Keys;
use crate::cli::reproduce::lab::Lab;
use crate::cli::reproduce::small_net::{EPOCHS, SmallNet};
use crate::cli::reproduce::studies::{Params, Told};
use qgd::nets::TensorSplit;
use qgd::tuner::{Distribution, Parameter, Space, Value};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How many parameters are searched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    Small,
    Wide,
}

/// Hidden layers, and units of each, where no parameter says otherwise.
const STANDARD: [(&str, i64); 2] = [("layers", 1), ("units", 12)];

fn units(name: &str) -> Parameter {
    Parameter::new(name, Distribution::int(2, 20))
}

fn choice(name: &str, choices: &[&str]) -> Parameter {
    Parameter::new(name, Distribution::categorical(choices.iter().copied()))
}

impl Size {
    pub const ALL: [Self; 2] = [Self::Small, Self::Wide];

    pub fn name(self) -> &'static str {
        if self == Self::Small { "small" } else { "wide" }
    }

    /// Keys of a task file, the most important first. The small space has those that Mohamed and others tune.
    fn parameters(self) -> Vec<Parameter> {
        let mut parameters = vec![
            Parameter::new("lr", Distribution::log_float(1e-5, 0.3)),
            Parameter::new("weight_decay", Distribution::log_float(1e-5, 0.3)),
            Parameter::new("batch_size", Distribution::log_int(16, 512)),
        ];
        if self == Self::Small {
            parameters.push(units("units"));
            return parameters;
        }
        parameters.extend([
            Parameter::new("layers", Distribution::int(1, 3)),
            units("units_1"),
            units("units_2").when("layers", [2, 3]),
            units("units_3").when("layers", [3]),
            choice("activation", &["relu", "tanh", "sigmoid", "gelu"]),
            Parameter::new("dropout", Distribution::float(0.0, 0.5)),
            Parameter::new("l1", Distribution::log_float(1e-7, 1e-2)),
            choice("optimizer", &["adam", "adamw", "nadam", "rmsprop", "sgd", "momentum", "nesterov", "lion"]),
            choice("conditioning", &["none", "orthogonal"]),
        ]);
        parameters
    }

    pub fn space(self) -> Result<Space, Failure> {
        Space::new(self.parameters()).map_err(Failure::bad_input)
    }

    /// The finest grid of at most `n` points: again and again the parameter with the fewest values, the most important of
    /// several, gets one more, as long as `n` points pay for it. Values lie in the middle of equal parts of the range. What
    /// has one value alone is left out, and stays as it is.
    pub fn grid(self, n: usize) -> Result<Space, Failure> {
        let parameters = self.parameters();
        let most = |i: usize| parameters[i].distribution.n_values().unwrap_or(u64::MAX);
        let mut counts = vec![1; parameters.len()];
        loop {
            let points: u64 = counts.iter().product();
            let may_grow = |&i: &usize| counts[i] < most(i) && points / counts[i] * (counts[i] + 1) <= n as u64;
            let Some(next) = (0..counts.len()).filter(may_grow).min_by_key(|&i| counts[i]) else { break };
            counts[next] += 1;
        }
        let with_values = |(parameter, n): (Parameter, u64)| {
            let middle = |i: u64| parameter.distribution.from_unit((i as f64 + 0.5) / n as f64);
            let choices: Vec<Value> = (0..n).map(|i| parameter.distribution.value(middle(i))).collect();
            Parameter::new(parameter.name, Distribution::Categorical { choices })
        };
        let several = parameters.into_iter().zip(counts).filter(|(_, n)| *n > 1);
        Space::new(several.map(with_values)).map_err(Failure::bad_input)
    }
}

/// A net on a data set.
pub struct Problem {
    pub net: SmallNet,
    keys: Keys,
}

/// How a net went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Validation loss after each epoch; None where it is not finite.
    by_epoch: Vec<Option<f64>>,
    pub test: Option<f64>,
    steps_of_an_epoch: u64,
}

fn or_infinite(loss: Option<f64>) -> f64 {
    loss.unwrap_or(f64::INFINITY)
}

impl Course {
    /// Training steps, to the end or to the end of this epoch.
    pub fn steps(&self, last: Option<usize>) -> u64 {
        self.steps_of_an_epoch * last.unwrap_or(EPOCHS) as u64
    }
}

impl Told for Course {
    fn told(&self) -> f64 {
        or_infinite(self.by_epoch.last().copied().flatten())
    }

    /// What is seen after each epoch but the last.
    fn reports(&self) -> Vec<f64> {
        self.by_epoch[..self.by_epoch.len().saturating_sub(1)].iter().copied().map(or_infinite).collect()
    }
}

impl Problem {
    /// The data and the net of a task that ships with qgd.
    pub fn new(lab: &Lab, name: &'static str, limit: Option<usize>) -> Result<Self, Failure> {
        Ok(Self { net: SmallNet::new(lab, name, name, limit)?, keys: Keys::read(Path::new(name))? })
    }

    /// Trains the net of a trial, unless that was done before.
    pub fn course(&self, lab: &Lab, seed: u64, params: &Params) -> Result<Course, Failure> {
        let mut all: Params = STANDARD.map(|(name, value)| (name.to_owned(), Value::Int(value))).into();
        all.extend(params.clone());
        let words: Vec<String> = all.iter().map(|(name, value)| format!("{name} {value}")).collect();
        lab.unit(&self.net.key(seed, &words.join(", ")), || self.trained(lab, seed, &all))
    }

    fn trained(&self, lab: &Lab, seed: u64, params: &Params) -> Result<Course, Failure> {
        let task = self.keys.task(params).map_err(Failure::BadInput)?;
        let steps_of_an_epoch = self.net.steps_of_an_epoch(seed, task.train.batch_size)?;
        let validation = TensorSplit::new(&self.net.data.of(seed)?.validation, lab.device)?;
        let mut by_epoch = Vec::with_capacity(EPOCHS);
        let losses = self.net.train(lab, seed, task.net, task.train, |run| {
            by_epoch.push(Some(run.score(&validation)?.loss).filter(|loss| loss.is_finite()));
            Ok(())
        })?;
        Ok(Course { by_epoch, test: losses.test, steps_of_an_epoch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_has_as_many_points_as_the_trials_pay_for() {
        let sides = |size: Size, n| {
            let space = size.grid(n).unwrap();
            space.parameters().iter().map(|p| p.distribution.n_values().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(sides(Size::Small, 24), [3, 2, 2, 2]);
        assert_eq!(sides(Size::Small, 100), [3, 3, 3, 3]);
        assert_eq!(sides(Size::Wide, 100), [3, 2, 2, 2, 2, 2]);
        assert_eq!(sides(Size::Small, 3), [3]);
    }

    #[test]
    fn values_of_a_grid_lie_in_the_middle_of_equal_parts() {
        let Distribution::Categorical { choices } = &Size::Small.grid(24).unwrap().parameters()[3].distribution.clone()
        else {
            panic!("no choices")
        };
        // Of 2 to 20, which are 19 values, the fifth and the fifteenth.
        assert_eq!(choices, &[Value::Int(6), Value::Int(16)]);
    }

    #[test]
    fn every_parameter_is_a_key_of_every_task() {
        for size in Size::ALL {
            let keys = ["wine", "letter", "digits"].map(|name| Keys::read(Path::new(name)).unwrap());
            assert!(keys.iter().all(|keys| keys.check(&size.space().unwrap()).is_ok()));
        }
        assert_eq!(Size::ALL.map(|size| size.space().unwrap().len()), [4, 12]);
    }
}
