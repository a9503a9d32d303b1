//! Which tasks a recipe draws: its table `[training.tasks]`.

use super::super::optimizer::InnerAlgorithm;
use super::super::tables::Tables;
use crate::limits::{OutOfRange, RATES, within};
use serde::{Deserialize, Serialize};

/// Configuration of the tasks that are drawn.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `horizon` | [200, 1600] | inner steps, log-uniform | 1 ≤ low ≤ high ≤ 10^9 |
/// | `known_budget` | 0.7 | share of tasks whose controller is told the horizon | [0, 1] |
/// | `separable` | 0.6 | share of classification tasks without label noise | [0, 1] |
/// | `label_noise` | [0.02, 0.4] | share of labels that are random in the others, log-uniform | 0 < low ≤ high ≤ 1 |
/// | `families` | [0.1, 0.1, 0.6, 0.2] | weights of quadratics, logistic regression, MLP classification, MLP regression; two more for convolutional and recurrent nets, which only [`Engine::Tch`](crate::meta::Engine) runs | 4 or 6, ≥ 0, not all 0 |
/// | `optimizers` | [0.25, 0.25, 0.4, 0.1] | weights of SGD, momentum, Adam, AdamW | ≥ 0, not all 0 |
/// | `start` | the optimizer's five decades | start of the learning rate, log-uniform | 1e-30 ≤ low ≤ high ≤ 1e30 |
/// | `start_decades` | 5 | number of decades in the middle of them to start in: fewer for a learning rate that was chosen with some care | (0, 5] |
/// | `layers` | [1, 2] | number of hidden layers of MLPs | 1 ≤ low ≤ high ≤ 8 |
/// | `widths` | [8, 64] | number of units of each, log-uniform | 1 ≤ low ≤ high ≤ 1024 |
/// | `batch_sizes` | [16, 32, 64, 64, 128] | examples of a mini-batch of MLPs and logistic regression: one of these, each as likely as the others | at least one, each in [1, 4096] |
/// | `clusters` | [1, 4] | number of clusters for each class, where classes are clusters: with many, a task is learned slowly though it has no noise | 1 ≤ low ≤ high ≤ 64 |
/// | `warped` | 0 | share of tasks some of whose input columns have heavy tails, are mostly zero, or are rounded, as in measured data | [0, 1] |
/// | `memorized` | 0 | share of nets' tasks with 64 to 1500 examples whose labels are 30 to 100 % random (values: noise of 0.5 to 3 deviations). Their training loss falls only as far as they are learned by heart, as on small measured data | [0, 1] |
/// | `conditioned` | 0 | share of nets' tasks whose optimizer's changes of weight matrices are orthogonalized; a plain SGD among them gets Muon's filter | [0, 1] |
/// | `measured` | 0 | share of the other nets' tasks that are cut of measured tables: random rows, columns and targets | [0, 1] |
/// | `tables` | [] | names of these tables: `NAME.csv` or `NAME.csv.gz`, numbers with a header, in `--data-dir` | at least one where `measured` is above 0 |
/// | `fresh` | 0 | share of the other nets' tasks with 20,000 to 80,000 examples, which are seen once or so, and 5 to 50 % random labels (values: noise of 0.1 to 1 deviations). Judged as those of `markov`, where the floor is known | [0, 1] |
/// | `markov` | 0 | share of classification tasks that predict the next symbol of a random Markov chain from the two or three before it. Their 30,000 to 120,000 examples are seen once or so, and their loss has a floor, the entropy of the chain: they are judged by how far they are above it | [0, 1] |
/// | `texts` | 0 | share of the MLPs' tasks of `markov` that read pieces of 8 to 16 symbols and say at every place which comes next: half of them with a GRU, half with a decoder of one block, 4 to 16 pieces at a time. Only [`Engine::Kernel`](crate::meta::Engine) runs them | [0, 1], 0 where `markov` is 0 |
/// | `known_epochs` | 0 | share of nets' tasks whose controller is told how many steps an epoch has | [0, 1] |
/// | `weight_decay` | off in 60 %, else [1e-6, 1e-2] | start of the weight decay, log-uniform | 1e-30 ≤ low ≤ high ≤ 1e30 |
/// | `examples` | none | number of training examples, log-uniform; 512 more are held out. With few, and labels from a random teacher, nets overfit. Without this key there are 256 to 12,000, and a quarter of them is held out where something asks for it | 16 ≤ low ≤ high ≤ 100,000 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the table has a row for each field")]
pub struct TaskConfig {
    pub horizon: [u64; 2],
    pub known_budget: f64,
    pub separable: f64,
    #[serde(skip_serializing_if = "is_default_noise")]
    pub label_noise: [f64; 2],
    pub families: Vec<f64>,
    pub optimizers: [f64; 4],
    #[serde(skip_serializing_if = "is_range::<1, 2>")]
    pub layers: [u64; 2],
    #[serde(skip_serializing_if = "is_range::<8, 64>")]
    pub widths: [u64; 2],
    #[serde(skip_serializing_if = "is_default_batch")]
    pub batch_sizes: Vec<usize>,
    #[serde(skip_serializing_if = "is_range::<1, 4>")]
    pub clusters: [u64; 2],
    #[serde(skip_serializing_if = "is_zero")]
    pub warped: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub memorized: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub conditioned: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub markov: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub texts: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub measured: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// What `tables` names, once it is read.
    #[serde(skip)]
    pub data: Tables,
    #[serde(skip_serializing_if = "is_zero")]
    pub fresh: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub known_epochs: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_decades: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub examples: Option<[u64; 2]>,
}

const DEFAULT_NOISE: [f64; 2] = [0.02, 0.4];

fn is_default_noise(noise: &[f64; 2]) -> bool {
    noise.map(f64::to_bits) == DEFAULT_NOISE.map(f64::to_bits)
}

const DEFAULT_BATCH: [usize; 5] = [16, 32, 64, 64, 128];

fn is_default_batch(sizes: &[usize]) -> bool {
    *sizes == DEFAULT_BATCH
}

fn is_range<const LOW: u64, const HIGH: u64>(range: &[u64; 2]) -> bool {
    *range == [LOW, HIGH]
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

impl TaskConfig {
    /// Lowest and highest start of the learning rate of this optimizer.
    pub fn start_range(&self, algorithm: InnerAlgorithm) -> [f64; 2] {
        let [low, high] = self.start.unwrap_or(algorithm.start_range());
        let Some(decades) = self.start_decades else { return [low, high] };
        let (middle, half) = ((low * high).sqrt(), 10f64.powf(0.5 * decades));
        [low.max(middle / half), high.min(middle * half)]
    }

    /// Lowest and highest start of a weight decay that a controller moves. Five decades, where the recipe does not say.
    pub fn weight_decay_range(&self) -> [f64; 2] {
        self.weight_decay.unwrap_or([1e-5, 1.0])
    }
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self {
            horizon: [200, 1600],
            known_budget: 0.7,
            separable: 0.6,
            label_noise: DEFAULT_NOISE,
            families: vec![0.1, 0.1, 0.6, 0.2],
            optimizers: [0.25, 0.25, 0.4, 0.1],
            layers: [1, 2],
            widths: [8, 64],
            batch_sizes: DEFAULT_BATCH.to_vec(),
            clusters: [1, 4],
            warped: 0.0,
            memorized: 0.0,
            conditioned: 0.0,
            markov: 0.0,
            texts: 0.0,
            measured: 0.0,
            tables: Vec::new(),
            data: Tables::default(),
            fresh: 0.0,
            known_epochs: 0.0,
            start: None,
            start_decades: None,
            weight_decay: None,
            examples: None,
        }
    }
}

impl TaskConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        const RANGE: &str = "[low, high] with 1e-30 <= low <= high <= 1e30, which single precision can hold";
        const LONGEST: u64 = 1_000_000_000;
        let share = |key, v: f64| within(key, v, (0.0..=1.0).contains(&v), "in [0, 1]");
        let weights = |w: &[f64]| w.iter().all(|&v| v >= 0.0 && v.is_finite()) && w.iter().sum::<f64>() > 0.0;
        let is_range = |[low, high]: [f64; 2]| 0.0 < low && low <= high && high.is_finite();
        let is_rates = |range: [f64; 2]| is_range(range) && range.iter().all(|rate| RATES.contains(rate));
        let up_to = |[low, high]: [u64; 2], most: u64| 1 <= low && low <= high && high <= most;
        let first = self.families.first().copied().unwrap_or(f64::NAN);
        let families = [4, 6].contains(&self.families.len()) && weights(&self.families);
        let (noise, decades) = (self.label_noise, self.start_decades.unwrap_or(5.0));
        let (start, decay) = (self.start.unwrap_or([1.0; 2]), self.weight_decay.unwrap_or([1.0; 2]));
        let [fewest, most] = self.examples.unwrap_or([16; 2]);
        let examples = 16 <= fewest && fewest <= most && most <= 100_000;
        let at = |range: [u64; 2]| range[0] as f64;
        let horizon = up_to(self.horizon, LONGEST);
        within("horizon", at(self.horizon), horizon, "[low, high] with 1 <= low <= high <= 1000000000")?;
        share("known_budget", self.known_budget)?;
        share("separable", self.separable)?;
        let noisy = is_range(noise) && noise[1] <= 1.0;
        within("label_noise", noise[0], noisy, "[low, high] with 0 < low <= high <= 1")?;
        within("families", first, families, "four or six weights >= 0, not all 0")?;
        within("layers", at(self.layers), up_to(self.layers, 8), "[low, high] with 1 <= low <= high <= 8")?;
        within("widths", at(self.widths), up_to(self.widths, 1024), "[low, high] with 1 <= low <= high <= 1024")?;
        let wrong_size = self.batch_sizes.iter().find(|size| !(1..=4096).contains(*size));
        let is_batch = wrong_size.is_none() && !self.batch_sizes.is_empty();
        within(
            "batch_sizes",
            wrong_size.map_or(0.0, |&size| size as f64),
            is_batch,
            "at least one size, each in [1, 4096]",
        )?;
        within("clusters", at(self.clusters), up_to(self.clusters, 64), "[low, high] with 1 <= low <= high <= 64")?;
        share("warped", self.warped)?;
        share("memorized", self.memorized)?;
        share("conditioned", self.conditioned)?;
        share("markov", self.markov)?;
        share("texts", self.texts)?;
        within("texts", self.texts, self.texts <= 0.0 || self.markov > 0.0, "0 where `markov` is 0")?;
        share("fresh", self.fresh)?;
        share("measured", self.measured)?;
        let is_named = (self.measured > 0.0) != self.tables.is_empty();
        within("measured", self.measured, is_named, "0 where `tables` names none, and above 0 where it names some")?;
        share("known_epochs", self.known_epochs)?;
        let wrong = |[low, high]: [f64; 2]| if RATES.contains(&low) { high } else { low };
        within("start", wrong(start), is_rates(start), RANGE)?;
        within("start_decades", decades, 0.0 < decades && decades <= 5.0, "in (0, 5]")?;
        within("weight_decay", wrong(decay), is_rates(decay), RANGE)?;
        within("examples", fewest as f64, examples, "[low, high] with 16 <= low <= high <= 100000")?;
        within("optimizers", self.optimizers[0], weights(&self.optimizers), "four weights >= 0, not all 0")
    }
}
