//! Updates of the Q-network a second, beside the same update in tch: `cargo bench --bench learner`.
//!
//! One network, batches of 1024 from one replay memory, Double DQN, Huber loss, clipping, Adam, Polyak average; one core. In tch: autograd
//! and `nn::Adam`. Both sample their batches from the memory, and take turns; after the first updates their weights must agree.

use qgd::dqn::{AgentConfig, Episode, Learner, QNetwork, Replay, ReplayConfig};
use qgd::rng::stream;
use qgd::statistics::median;
use rand::RngExt;
use std::time::Instant;

const N_FEATURES: usize = 27;
const N_ACTIONS: usize = 3;
const TURNS: usize = 9;
const UPDATES: usize = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let replay = replay();
    let config = AgentConfig { ensemble: 1, ..AgentConfig::default() };
    println!(
        "updates/s, batch {}, {N_FEATURES} features, {N_ACTIONS} actions, one core, medians of {TURNS}",
        config.batch_size
    );
    for width in [64, 128] {
        let network = QNetwork::new(N_FEATURES, &[width, width], N_ACTIONS, true, &mut stream(0, "bench network"));
        let mut ours = Learner::new(vec![network.clone()], config.clone());
        #[cfg(feature = "torch")]
        let mut theirs = in_torch::Learner::new(&network, &config)?;
        let mut own_rates: Vec<f64> = Vec::new();
        #[cfg_attr(not(feature = "torch"), allow(unused_mut, reason = "nothing to compare with"))]
        let mut their_rates: Vec<f64> = Vec::new();
        for turn in 0..TURNS {
            let mut rng = stream(turn as u64, "bench updates");
            own_rates.push(rate(|| ours.update(&replay, 0.0, &mut rng).map(|_| ()).map_err(Into::into))?);
            #[cfg(feature = "torch")]
            {
                let mut rng = stream(turn as u64, "bench updates");
                their_rates.push(rate(|| theirs.update(&replay, &mut rng))?);
                if turn == 0 {
                    let off = theirs.distance(&ours)?;
                    println!("    after {UPDATES} updates the weights differ by {off:.1e} at most");
                }
            }
        }
        let own = median(&own_rates);
        println!("layers [{width}, {width}]: ours {own:.0}");
        if !their_rates.is_empty() {
            let theirs = median(&their_rates);
            println!("layers [{width}, {width}]: tch  {theirs:.0}; ours {:.2} times as fast", own / theirs);
        }
    }
    if cfg!(not(feature = "torch")) {
        println!("(built without the feature torch: nothing to compare with)");
    }
    Ok(())
}

/// Episodes of random numbers, as many transitions as meta-training holds.
fn replay() -> Replay {
    let mut rng = stream(0, "bench replay");
    let mut replay = Replay::new(ReplayConfig::default());
    for _ in 0..4000 {
        let n = 100;
        replay.push(Episode {
            n_features: N_FEATURES,
            observations: (0..(n + 1) * N_FEATURES).map(|_| rng.random_range(-1.0..1.0)).collect(),
            actions: (0..n).map(|_| rng.random_range(0..N_ACTIONS as u8)).collect(),
            rewards: (0..n).map(|_| rng.random_range(-0.5..0.5)).collect(),
            discount: 1.0,
            terminated: true,
        });
    }
    replay
}

fn rate(mut update: impl FnMut() -> Result<(), Box<dyn std::error::Error>>) -> Result<f64, Box<dyn std::error::Error>> {
    let start = Instant::now();
    for _ in 0..UPDATES {
        update()?;
    }
    Ok(UPDATES as f64 / start.elapsed().as_secs_f64())
}

/// The same update by libtorch.
#[cfg(feature = "torch")]
mod in_torch {
    use qgd::dqn::{AgentConfig, QNetwork, Replay};
    use rand_chacha::ChaCha8Rng;
    use tch::nn::{Adam, Optimizer, OptimizerConfig, VarStore};
    use tch::{Device, Kind, Reduction, Tensor, no_grad};

    type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

    pub struct Learner {
        config: AgentConfig,
        n_features: i64,
        n_actions: i64,
        params: Vec<Tensor>,
        target: Vec<Tensor>,
        optimizer: Optimizer,
    }

    impl Learner {
        pub fn new(network: &QNetwork, config: &AgentConfig) -> Result<Self> {
            tch::set_num_threads(1);
            let shape: Vec<i64> = network.shape().iter().map(|&n| n as i64).collect();
            let tensor = |(i, values): (usize, &&[f32])| {
                let flat = Tensor::from_slice(values);
                if i.is_multiple_of(2) { flat.view([shape[i / 2], -1]) } else { flat }
            };
            let target: Vec<Tensor> = network.params().iter().enumerate().map(tensor).collect();
            let vs = VarStore::new(Device::Cpu);
            let variable = |(i, p): (usize, &Tensor)| vs.root().var_copy(&format!("p{i}"), p);
            let params = target.iter().enumerate().map(variable).collect();
            let optimizer = Adam::default().build(&vs, f64::from(config.lr))?;
            let (n_features, n_actions) = (shape[0], shape[shape.len() - 1]);
            Ok(Self { config: config.clone(), n_features, n_actions, params, target, optimizer })
        }

        pub fn update(&mut self, replay: &Replay, rng: &mut ChaCha8Rng) -> Result<()> {
            let batch = replay.sample(self.config.batch_size, self.config.n_step, rng);
            let rows = |values: &[f32]| Tensor::from_slice(values).view([-1, self.n_features]);
            let (obs, next_obs) = (rows(&batch.obs), rows(&batch.next_obs));
            let actions: Vec<i64> = batch.actions.iter().map(|&a| a as i64).collect();
            let actions = Tensor::from_slice(&actions).view([-1, 1]);
            let targets = no_grad(|| {
                let preferred = self.q_values(&self.params, &next_obs).argmax(1, true);
                let next = self.q_values(&self.target, &next_obs).gather(1, &preferred, false).view([-1]);
                Tensor::from_slice(&batch.returns) + Tensor::from_slice(&batch.discounts) * next
            });
            let chosen = self.q_values(&self.params, &obs).gather(1, &actions, false).view([-1]);
            let loss = chosen.huber_loss(&targets, Reduction::Mean, 1.0);
            self.optimizer.backward_step_clip_norm(&loss, 10.0);
            no_grad(|| {
                for (target, p) in self.target.iter_mut().zip(&self.params) {
                    let _ = target.lerp_(p, f64::from(self.config.tau));
                }
            });
            Ok(())
        }

        fn q_values(&self, params: &[Tensor], x: &Tensor) -> Tensor {
            let mut y = x.shallow_clone();
            for (layer, pair) in params.chunks_exact(2).enumerate() {
                y = pair[1].addmm(&y, &pair[0]);
                if 2 * layer + 2 < params.len() {
                    y = y.relu();
                }
            }
            let advantages = y.narrow(1, 1, self.n_actions);
            y.narrow(1, 0, 1) + &advantages - advantages.mean_dim(1, true, Kind::Float)
        }

        /// The largest difference between a weight here and there.
        pub fn distance(&self, ours: &qgd::dqn::Learner) -> Result<f32> {
            let mut largest = 0f32;
            for network in ours.networks() {
                for (own, tensor) in network.params().into_iter().zip(&self.params) {
                    let theirs: Vec<f32> = tensor.detach().contiguous().view([-1]).try_into()?;
                    largest = own.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(largest, f32::max);
                }
            }
            Ok(largest)
        }
    }
}
