//! The objective nets: full and large batches of CIFAR-10, minimized by plain or by Q-gradient descent.

use super::STEPS;
use super::variants::Controlled;
use crate::cli::failure::Failure;
use crate::cli::reproduce::cifar::Archive;
use crate::cli::reproduce::lab::{Lab, Splits};
use qgd::controller::Controller;
use qgd::data::Batches;
use qgd::dqn::Judge;
use qgd::driver::{DriverConfig, LineSearchConfig, Pilot};
use qgd::nets::{Mode, Net, TensorSplit, evaluate};
use qgd::rng::stream;
use qgd::task::TaskSpec;
use qgd::torch::{Algorithm, OptimConfig, Optimizer, QLineSearch};
use qgd::{Action, Decision, Policy, Reason, Signals};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tch::nn::VarStore;

/// α_1 of section 4.2.
const ALPHA: f64 = 1.0;
/// λ_c, as PyTorch counts it (2 λ); the paper names no number.
const WEIGHT_DECAY: f64 = 0.01;
/// The objective nets of the learning rate.
const NETS: [NetOf; 3] = [
    // The one that the agent is trained on.
    NetOf { hidden: &[100], full: true },
    // The deeper one of section 4.2.
    NetOf { hidden: &[100, 50], full: true },
    NetOf { hidden: &[100], full: false },
];

/// An objective net, and what a step sees.
struct NetOf {
    hidden: &'static [usize],
    /// Whether it is all training pictures, and not a large batch that is drawn anew for every step.
    full: bool,
}

/// Pictures and nets.
pub struct Objective {
    pub controls: Controlled,
    /// Which pictures these are, in words.
    pub pictures: &'static str,
    task: TaskSpec,
    data: Splits,
    /// What tells the data from any other.
    key: String,
}

/// One run of gradient descent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Searched {
    /// Loss of the batch at every candidate; None where it is not finite.
    pub losses: Vec<Option<f64>>,
    /// Value that is moved, α or the weight decay, of the step to the next candidate.
    pub moved: Vec<f64>,
    /// Figure that the agent is judged by, at every candidate that it was asked about.
    pub judged: Vec<f64>,
    pub train_loss: Option<f64>,
    pub test_loss: Option<f64>,
    pub test_accuracy: f64,
}

/// Where a search begins, and for how long it goes on.
pub struct Start<'a> {
    pub config: LineSearchConfig,
    pub bounds: DriverConfig,
    pub judge: Judge,
    /// Label of the random numbers that make the initial weights.
    pub init: &'a str,
    pub net: usize,
    pub seed: u64,
    pub n_steps: usize,
}

/// Accepts every candidate: plain gradient descent.
struct Accept;

impl Policy for Accept {
    fn decide(&mut self, _: &Signals) -> Decision {
        Decision::of(Action::ACCEPT, Reason::Schedule)
    }
}

/// Size of a large batch: a tenth of the pictures, 32 at least.
fn large_batch(n: usize) -> usize {
    n.div_ceil(10).max(32).min(n)
}

/// Number of pictures: fewer where the work is scaled down.
fn pictures(lab: &Lab, full: usize, quick: usize) -> usize {
    lab.scaled(full, quick, 32).min(lab.either(full, quick))
}

impl Objective {
    /// The nets of the learning rate: as many pictures as there are.
    pub fn of_lr(lab: &Lab) -> Result<Self, Failure> {
        let archive = Archive::find(lab);
        let split = if archive.is_some() { [5.0 / 6.0, 0.0, 1.0 / 6.0] } else { [0.75, 0.0, 0.25] };
        let few = (Some(pictures(lab, 256, 256)), [0.25, 0.0, 0.75]);
        Self::new(lab, Controlled::Lr, lab.either((None, split), few), archive)
    }

    /// The nets of λ: 1,000 training pictures (section 4.5), and as many to validate on.
    pub fn of_lambda(lab: &Lab) -> Result<Self, Failure> {
        let of = (Some(pictures(lab, 4000, 256)), [0.25, 0.25, 0.5]);
        Self::new(lab, Controlled::Lambda, of, None)
    }

    fn new(
        lab: &Lab,
        controls: Controlled,
        (limit, split): (Option<usize>, [f64; 3]),
        archive: Option<Archive>,
    ) -> Result<Self, Failure> {
        let mut task = TaskSpec::load(Path::new("cifar-cnn")).map_err(Failure::bad_input)?;
        let text = "[data]\nformat = 'cifar'\npath = 'x'\nfiles = ['x']\nkind = 'classification'\nstandardize = false\n\
                    [net]\nkind = 'mlp'\nhidden = [100]\nactivation = 'sigmoid'\n\
                    [train]\noptimizer = 'sgd'\nlr = 1.0\nbatch_size = 0\nsteps = 100";
        let own = TaskSpec::parse(text, &task.file).map_err(Failure::bad_input)?;
        (task.net, task.train) = (own.net, own.train);
        (task.data.standardize, task.data.limit, task.data.split) = (false, limit, split);
        archive.into_iter().for_each(|archive| archive.replace(&mut task));
        let key = format!("{:016x} {limit:?} {split:?}", lab.machine().fingerprint(&task)?);
        let data = lab.splits(&task)?;
        Ok(Self { controls, pictures: Archive::in_words(archive), task, data, key })
    }

    /// Number of objective nets that the greedy policy is tried on.
    pub fn n_nets(&self) -> usize {
        if self.controls == Controlled::Lr { NETS.len() } else { 1 }
    }

    /// Sizes of each net of the learning rate and of its batches, in words.
    pub fn nets_in_words(&self) -> [String; NETS.len()] {
        let large = large_batch(self.sizes()[0]);
        NETS.map(|net| {
            let hidden: Vec<String> = net.hidden.iter().map(usize::to_string).collect();
            let batch = if net.full { String::new() } else { format!(", batches of {large}") };
            format!("3072×{}×10{batch}", hidden.join("×"))
        })
    }

    /// Sizes of the splits: training, validation, test.
    pub fn sizes(&self) -> [usize; 3] {
        self.data.sizes()
    }

    /// What tells runs on this objective from others.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Plain gradient descent on each of the nets.
    pub fn plain(&self, lab: &Lab, seed: u64) -> Result<Vec<Searched>, Failure> {
        let run = |net| {
            let start = Start { net, seed, ..self.greedy_start(LineSearchConfig::default(), DriverConfig::default()) };
            let key = format!("{} net {net} seed {seed}: plain {:?}", self.key, self.controls);
            lab.unit(&key, || self.search(lab, Accept, &start))
        };
        (0..self.n_nets()).map(run).collect()
    }

    /// Q-gradient descent by a policy that does not explore (Algorithms 1 and 2).
    pub fn greedy(
        &self,
        lab: &Lab,
        name: &str,
        policy: Controller,
        net: usize,
        seed: u64,
    ) -> Result<Searched, Failure> {
        let config = policy.recipe().line_search.unwrap_or_default();
        let start = Start { net, seed, ..self.greedy_start(config, policy.driver_config(None)) };
        let key = format!("{} net {net} seed {seed}: greedy {name}", self.key);
        lab.unit(&key, || self.search(lab, policy, &start))
    }

    fn greedy_start(&self, config: LineSearchConfig, bounds: DriverConfig) -> Start<'static> {
        // The result of T steps is x_T, which T - 1 steps lead to.
        Start { config, bounds, judge: Judge::Loss, init: "init", net: 0, seed: 0, n_steps: STEPS - 1 }
    }

    /// One run. Everything random in it are the initial weights, and the batches where they are not full.
    pub fn search(&self, lab: &Lab, policy: impl Policy + 'static, start: &Start<'_>) -> Result<Searched, Failure> {
        let data = self.data.of(start.seed)?;
        let mut spec = self.task.net.clone();
        let of = &NETS[start.net];
        spec.hidden = of.hidden.to_vec();
        let vs = VarStore::new(lab.device);
        let net = Net::build(&spec, &vs.root(), data, &mut stream(start.seed, start.init))?;
        let weight_decay = if self.controls == Controlled::Lambda { WEIGHT_DECAY } else { 0.0 };
        let descent = OptimConfig { weight_decay, ..OptimConfig::new(Algorithm::SGD, ALPHA) };
        let pilot = Pilot::new(policy).with_config(start.bounds.clone());
        let mut search = QLineSearch::new(Optimizer::new(&vs, descent)?, pilot, start.config)?;
        let train = TensorSplit::new(&data.train, lab.device)?;
        let held_out =
            (start.judge != Judge::Loss).then(|| TensorSplit::new(&data.validation, lab.device)).transpose()?;
        let n = data.train.len();
        let mut batches = Batches::new(start.seed, n, if of.full { 0 } else { large_batch(n) })?;
        let (mut losses, mut moved, mut judged) = (Vec::new(), Vec::new(), Vec::new());
        let mut unused = stream(start.seed, "dropout");
        for _ in 0..start.n_steps {
            let (inputs, targets) = train.batch(batches.draw().as_deref())?;
            let output = net.forward(&inputs, Mode::Train(&mut unused))?;
            let loss = net.training_loss(train.kind, &output, &targets)?;
            let value = loss.f_double_value(&[])?;
            let figure = match &held_out {
                Some(split) => 1.0 - evaluate(&net, split)?.accuracy.unwrap_or(0.0),
                None => value,
            };
            let step = search.backward_step(&loss)?;
            losses.push(Some(value).filter(|loss| loss.is_finite()));
            moved.push(if self.controls == Controlled::Lr { step.lr } else { step.weight_decay });
            if step.decision.is_some_and(|decision| decision.reason != Reason::NonFinite) {
                judged.push(figure);
            }
        }
        let (train, test) = (evaluate(&net, &train)?, evaluate(&net, &TensorSplit::new(&data.test, lab.device)?)?);
        let finite = |loss: f64| Some(loss).filter(|loss| loss.is_finite());
        Ok(Searched {
            losses,
            moved,
            judged,
            train_loss: finite(train.loss),
            test_loss: finite(test.loss),
            test_accuracy: test.accuracy.unwrap_or(0.0),
        })
    }
}
