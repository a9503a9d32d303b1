//! One training run: the same loop for `train`, `compare`, `demo` and the trials of `tune --task`, with any controller
//! or schedule.

use super::decider::Decider;
use super::failure::Failure;
use anyhow::anyhow;
use qgd::data::{Batches, Dataset, Split};
use qgd::nets::{self, Evaluation, Mode, Net, NetError, TensorSplit};
use qgd::rng;
use qgd::task::{OptimizerKind, TaskSpec, TrainSpec};
use qgd::torch::{Algorithm, OptimConfig, Optimizer, QController, TorchError};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor, nn};

/// A net in training.
pub struct Run {
    /// Parameters and buffers of the net.
    pub vs: nn::VarStore,
    /// Optimizer and controller.
    pub optimizer: QController,
    /// Draws the examples of each step.
    pub batches: Batches,
    /// Random numbers of the dropout masks.
    pub dropout: ChaCha8Rng,
    net: Net,
    train: TensorSplit,
    /// Validation examples whose loss the controller is told, where it is told one.
    watched: Option<TensorSplit>,
    /// The loss that it was told last, until somebody takes it.
    told: Option<f64>,
}

/// Largest number of validation examples whose loss a controller is told.
const N_WATCHED: i64 = 512;

/// Losses and accuracies of a net. Losses are means over whole splits, without penalties. A split without examples has
/// a loss of NaN, and no accuracy.
#[derive(Debug, Clone, Copy)]
pub struct Scores {
    pub train: Evaluation,
    pub validation: Evaluation,
    pub test: Evaluation,
}

impl Run {
    /// A net with its initial values. Everything random comes from `seed`.
    pub fn new(task: &TaskSpec, data: &Dataset, decider: &Decider, seed: u64, device: Device) -> Result<Self, Failure> {
        let batches = Batches::new(seed, data.train.len(), task.train.batch_size).map_err(Failure::bad_input)?;
        nets::check_memory(task, data).map_err(net_failure)?;
        let vs = nn::VarStore::new(device);
        let net = Net::build(&task.net, &vs.root(), data, &mut rng::stream(seed, "init")).map_err(net_failure)?;
        let optimizer = optimizer(task, &vs, decider, seed)?.with_steps_per_epoch(batches.steps_per_epoch());
        let optimizer = optimizer.map_err(torch_failure)?;
        let train = TensorSplit::new(&data.train, device).map_err(net_failure)?;
        let watched = watched(task, data, decider, device)?;
        Ok(Self { vs, optimizer, batches, dropout: rng::stream(seed, "dropout"), net, train, watched, told: None })
    }

    /// One optimizer step. Answers its loss, which is still on the device.
    ///
    /// A controller that looks at the validation loss is told that of the first 512 validation examples before each of
    /// its decisions.
    pub fn step(&mut self) -> Result<Tensor, Failure> {
        if let Some(split) = self.watched.as_ref().filter(|_| self.optimizer.is_due()) {
            let seen = self.optimizer.averaged(|| nets::evaluate(&self.net, split))??;
            self.optimizer.observe_validation(seen.loss);
            self.told = Some(seen.loss);
        }
        let indices = self.batches.draw();
        let (inputs, targets) = self.train.batch(indices.as_deref())?;
        let output = self.net.forward(&inputs, Mode::Train(&mut self.dropout))?;
        let loss = self.net.training_loss(self.train.kind, &output, &targets)?;
        self.optimizer.backward_step(&loss)?;
        Ok(loss)
    }

    /// The validation loss that the controller was told in the last step; None where it was told none.
    pub fn take_told_validation(&mut self) -> Option<f64> {
        self.told.take()
    }

    /// Loss and accuracy of the net on one split; of the average, with a schedule-free optimizer.
    pub fn score(&mut self, split: &TensorSplit) -> Result<Evaluation, Failure> {
        Ok(self.optimizer.averaged(|| nets::evaluate(&self.net, split))??)
    }

    /// Losses and accuracies of the net on all splits; of the average, with a schedule-free optimizer.
    pub fn evaluate(&mut self, data: &Dataset) -> Result<Scores, Failure> {
        let (net, device) = (&self.net, self.vs.device());
        let score = |split: &Split| match split.is_empty() {
            true => Ok(Evaluation { loss: f64::NAN, accuracy: None }),
            false => nets::evaluate(net, &TensorSplit::new(split, device)?),
        };
        let scores = || -> Result<Scores, NetError> {
            let train = nets::evaluate(net, &self.train)?;
            Ok(Scores { train, validation: score(&data.validation)?, test: score(&data.test)? })
        };
        Ok(self.optimizer.averaged(scores)??)
    }

    /// Hash of all trainable parameters.
    pub fn fingerprint(&self) -> Result<u64, Failure> {
        let mut bytes = Vec::new();
        for parameter in self.vs.trainable_variables() {
            let values = parameter.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?.f_view(-1i64)?;
            let values = Vec::<f32>::try_from(&values)?;
            // One number for each tensor, so that a large net is not held twice.
            let all: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
            bytes.extend(rng::fnv1a(&all).to_le_bytes());
        }
        Ok(rng::fnv1a(&bytes))
    }

    /// Number of trainable parameters.
    pub fn n_parameters(&self) -> usize {
        self.net.n_parameters()
    }
}

/// Validation examples for a controller that looks at their loss.
fn watched(task: &TaskSpec, data: &Dataset, decider: &Decider, device: Device) -> Result<Option<TensorSplit>, Failure> {
    if decider.moves_only_weight_decay() && task.train.weight_decay <= 0.0 {
        let name = decider.controller_name();
        return Err(Failure::BadInput(anyhow!(
            "`train.weight_decay` is 0, but must be positive: {name} multiplies the weight decay, and moves nothing else"
        )));
    }
    if !decider.watches_validation() {
        return Ok(None);
    }
    if data.validation.is_empty() {
        let name = decider.controller_name();
        return Err(Failure::BadInput(anyhow!(
            "`data.split` leaves no validation examples, but {name} looks at their loss"
        )));
    }
    let all = TensorSplit::new(&data.validation, device).map_err(net_failure)?;
    let first: Vec<i64> = (0..N_WATCHED.min(all.len() as i64)).collect();
    let (inputs, targets) = all.batch(Some(&first))?;
    Ok(Some(TensorSplit { inputs, targets, kind: all.kind }))
}

fn optimizer(task: &TaskSpec, vs: &nn::VarStore, decider: &Decider, seed: u64) -> Result<QController, Failure> {
    let train = &task.train;
    let algorithm = match train.optimizer {
        OptimizerKind::Sgd => Algorithm::SGD,
        OptimizerKind::Momentum => Algorithm::MOMENTUM,
        OptimizerKind::Adam => Algorithm::ADAM,
        OptimizerKind::AdamW => Algorithm::ADAMW,
        OptimizerKind::RmsProp => Algorithm::RMSPROP,
        OptimizerKind::Nesterov => Algorithm::NESTEROV,
        OptimizerKind::NAdam => Algorithm::NADAM,
        OptimizerKind::Lion => Algorithm::LION,
        OptimizerKind::Muon => Algorithm::MUON,
        OptimizerKind::ScheduleFreeSgd => Algorithm::SCHEDULE_FREE_SGD,
        OptimizerKind::ScheduleFreeAdamW => Algorithm::SCHEDULE_FREE_ADAMW,
    };
    let TrainSpec { weight_decay, conditioning, .. } = *train;
    let config = OptimConfig { weight_decay, conditioning, ..OptimConfig::new(algorithm, train.lr) };
    let pilot = decider.pilot(train.steps, seed)?;
    let optimizer = Optimizer::new(vs, config).map_err(torch_failure)?;
    QController::new(optimizer, pilot).map_err(torch_failure)
}

fn net_failure(error: NetError) -> Failure {
    if matches!(error, NetError::Torch(_)) { Failure::from(error) } else { Failure::bad_input(error) }
}

fn torch_failure(error: TorchError) -> Failure {
    let input = matches!(error, TorchError::Driver(_) | TorchError::OutOfRange { .. });
    if input { Failure::bad_input(error) } else { Failure::from(error) }
}
