//! Q-gradient descent as published (Hu, Zhang and Shi, Algorithms 1 and 2), on the parameters of a `tch` net.
//!
//! ```text
//! x_{t+1} = x̄ - α (∇f(x̄) + 2 λ x̄)    halve, grow: retry from x̄, its buffers too   accept: x̄ ← x_t
//! ```
//!
//! The state machine is [`driver::LineSearch`](crate::driver::LineSearch), which says what the paper leaves open; x̄
//! and ∇f(x̄) are kept here. The loss must be that of the same batch at every step: the whole training set, or one
//! batch held for the search.

use super::TorchError;
use super::flat::to_host;
use super::measure::{Measure, MeasureState};
use super::optim::{Algorithm, Conditioning, GroupConfig, Optimizer, SavedTensor};
use super::snapshot::{Snapshot, SnapshotState};
use super::turn::Turn;
use crate::driver::{DecisionCallback, LineSearch, LineSearchConfig, LineSearchStep, Pilot, TraceRecord};
use crate::policy::Measured;
use crate::policy::Policy;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Line search on a net.
///
/// ```
/// use qgd::driver::{LineSearchConfig, Pilot};
/// use qgd::torch::{Algorithm, OptimConfig, Optimizer, QLineSearch};
/// use qgd::{Action, Decision, Policy, Reason, Signals};
/// use tch::{Device, Kind, nn};
///
/// struct AlwaysAccept;
/// impl Policy for AlwaysAccept {
///     fn decide(&mut self, _: &Signals) -> Decision {
///         Decision::of(Action::ACCEPT, Reason::Schedule)
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let vs = nn::VarStore::new(Device::Cpu);
/// let x = vs.root().f_ones("x", &[2])?;
/// let sgd = Optimizer::new(&vs, OptimConfig::new(Algorithm::SGD, 0.25))?;
/// let mut search = QLineSearch::new(sgd, Pilot::new(AlwaysAccept), LineSearchConfig::default())?;
/// search.backward_step(&x.f_square()?.f_sum(Kind::Float)?)?;
/// assert_eq!(x.f_double_value(&[0])?, 0.5);
/// # Ok(())
/// # }
/// ```
pub struct QLineSearch {
    optimizer: Optimizer,
    policy: Box<dyn Policy>,
    search: LineSearch,
    /// x̄, with the buffers of the net there.
    base: Snapshot,
    /// ∇f(x̄), `[n_params]`.
    base_grad: Tensor,
    measure: Measure,
    /// Numbers that were copied to the host last; kept for its memory.
    host: Vec<f32>,
    callbacks: Vec<DecisionCallback>,
    turn: Turn,
}

/// State of a [`QLineSearch`] between two steps, the net included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QLineSearchState {
    search: LineSearch,
    policy: Vec<u8>,
    now: SnapshotState,
    base: SnapshotState,
    base_grad: SavedTensor,
    measure: MeasureState,
}

impl QLineSearch {
    /// Makes a search from the parameters of `optimizer`, with its learning rate as α_c and half its weight decay as
    /// λ_c.
    ///
    /// Of the pilot's configuration, pace and guard are not used: a line search never accepts what is not finite.
    ///
    /// # Errors
    /// When the optimizer is anything but plain gradient descent in one group, or a start value is outside its range.
    pub fn new(optimizer: Optimizer, pilot: impl Into<Pilot>, config: LineSearchConfig) -> Result<Self, TorchError> {
        if !matches!(optimizer.algorithm(), Algorithm::Sgd { momentum, .. } if momentum == 0.0) {
            return Err(TorchError::NotPlainDescent { found: optimizer.algorithm().name() });
        }
        if optimizer.conditioning() != Conditioning::None {
            return Err(TorchError::NotPlainDescent { found: "an optimizer with conditioning" });
        }
        if optimizer.groups().iter().any(|group| *group != GroupConfig::default()) {
            return Err(TorchError::NotPlainDescent { found: "an optimizer with rates of their own for some groups" });
        }
        let Pilot { policy, config: bounds } = pilot.into();
        let search = LineSearch::new(optimizer.lr(), optimizer.weight_decay(), config, bounds)?;
        let base = Snapshot::new(optimizer.flat(), None)?;
        let base_grad = optimizer.flat().data().f_zeros_like()?;
        let (measure, host, callbacks) = (Measure::new(0), Vec::new(), Vec::new());
        let turn = Turn::new(optimizer.flat().store());
        Ok(Self { optimizer, policy, search, base, base_grad, measure, host, callbacks, turn })
    }

    /// Takes one step: looks at the candidate through the loss measured there, decides, and moves the net to the next
    /// candidate.
    ///
    /// After T - 1 steps the parameters are x_T, the result of T steps.
    ///
    /// # Errors
    /// When `loss` is not a single number, the policy names no action, or libtorch fails.
    pub fn backward_step(&mut self, loss: &Tensor) -> Result<LineSearchStep, TorchError> {
        if loss.numel() != 1 {
            return Err(TorchError::LossShape { shape: loss.size() });
        }
        self.turn.take()?;
        self.optimizer.zero_grad()?;
        loss.f_backward()?;
        let _guard = tch::no_grad_guard();
        let grad = self.optimizer.flat().gradient()?.flat;
        let loss = loss.f_reshape([])?.f_double_value(&[])?;
        let grad_is_finite = grad.f_sum(Kind::Double)?.f_double_value(&[])?.is_finite();
        let measured = self.measure(&grad, grad_is_finite)?;
        let step = self.search.next_step(self.policy.as_mut(), loss, &measured, grad_is_finite)?;
        if let Some(record) = self.search.record(&step, loss, self.policy.as_ref()) {
            tracing::debug!(step = record.step, loss, lr = record.lr, reason = ?record.reason, "decision");
            self.callbacks.iter_mut().for_each(|callback| callback(&record));
        }
        self.apply(&step, &grad)?;
        Ok(step)
    }

    /// State machine of the search, with its values and counts.
    pub fn search(&self) -> &LineSearch {
        &self.search
    }

    /// Calls `callback` with every decision.
    pub fn on_decision(&mut self, callback: impl FnMut(&TraceRecord<'_>) + Send + 'static) {
        self.callbacks.push(Box::new(callback));
    }

    /// State after the last step, with the parameters and buffers of the net.
    ///
    /// # Errors
    /// When libtorch cannot copy it to the host.
    pub fn state(&self) -> Result<QLineSearchState, TorchError> {
        Ok(QLineSearchState {
            search: self.search.clone(),
            policy: self.policy.save(),
            now: Snapshot::new(self.optimizer.flat(), None)?.state()?,
            base: self.base.state()?,
            base_grad: SavedTensor::of(&self.base_grad)?,
            measure: self.measure.state(),
        })
    }

    /// Goes back to a saved state: the next step is, to the bit, the one that would have followed it.
    ///
    /// # Errors
    /// When the state belongs to another net or policy. After that the run is in no defined state.
    pub fn load_state(&mut self, state: QLineSearchState) -> Result<(), TorchError> {
        let mut now = Snapshot::new(self.optimizer.flat(), None)?;
        now.load_state(&state.now)?;
        self.base.load_state(&state.base)?;
        state.base_grad.write_to(&mut self.base_grad, "the shape of the gradient")?;
        state.search.check_like(&self.search)?;
        self.measure.load_state(&state.measure, self.optimizer.flat().data())?;
        self.policy.load(&state.policy).map_err(crate::driver::DriverError::from)?;
        self.search = state.search;
        now.restore(self.optimizer.flat())
    }

    fn measure(&mut self, grad: &Tensor, grad_is_finite: bool) -> Result<Measured, TorchError> {
        // A gradient that is not finite would stay in the averages for ever.
        let mut measured = Measured::default();
        if grad_is_finite {
            let (x, grad) = (self.measure.sampled(self.optimizer.flat().data())?, self.measure.sampled(grad)?);
            to_host(&[&x, &grad], &mut self.host)?;
            measured = self.measure.measure(&self.host);
        }
        measured.grad_dot = f64::NAN;
        if self.search.step() > 0 {
            let penalty = self.base.params().f_mul_scalar(self.search.direction_weight_decay())?;
            measured.grad_dot = self.base_grad.f_add(&penalty)?.f_dot(grad)?.f_double_value(&[])?;
        }
        Ok(measured)
    }

    fn apply(&mut self, step: &LineSearchStep, grad: &Tensor) -> Result<(), TorchError> {
        if step.rebase {
            self.base.take(self.optimizer.flat(), None)?;
            self.base_grad.f_copy_(grad)?;
        } else {
            self.base.restore(self.optimizer.flat())?;
        }
        let mut x = self.optimizer.flat().data().shallow_clone();
        let direction = x.f_mul_scalar(step.weight_decay)?.f_add(&self.base_grad)?;
        let _ = x.f_sub_(&direction.f_mul_scalar(step.lr)?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{SearchDirection, minimize};
    use crate::policy::{Controls, Move};
    use crate::policy::{Decision, Reason};
    use crate::torch::OptimConfig;
    use crate::{Action, DriverConfig, Signals};
    use std::sync::{Arc, Mutex};
    use tch::Device;
    use tch::nn::{self, VarStore};

    /// Goes through all nine actions again and again, and notes what it saw.
    #[derive(Default)]
    struct RoundRobin {
        next: usize,
        seen: Arc<Mutex<Vec<Signals>>>,
    }

    impl Policy for RoundRobin {
        fn decide(&mut self, signals: &Signals) -> Decision {
            let actions = Controls::Both.actions(&Move::ALL);
            self.seen.lock().unwrap().push(*signals);
            self.next += 1;
            Decision::of(actions[self.next * 5 % actions.len()], Reason::Policy)
        }

        fn save(&self) -> Vec<u8> {
            vec![self.next as u8]
        }

        fn load(&mut self, state: &[u8]) -> Result<(), crate::policy::PolicyStateError> {
            self.next = usize::from(state[0]);
            Ok(())
        }
    }

    const START: [f32; 3] = [1.0, -2.0, 0.5];
    const CURVATURE: [f32; 3] = [3.0, 0.5, 8.0];

    fn valley() -> (VarStore, Tensor) {
        let vs = VarStore::new(Device::Cpu);
        let mut x = vs.root().zeros("x", &[3]);
        tch::no_grad(|| x.copy_(&Tensor::from_slice(&START)));
        (vs, x)
    }

    fn loss(x: &Tensor) -> Tensor {
        (x.square() * Tensor::from_slice(&CURVATURE)).sum(Kind::Float) * 0.5
    }

    fn sgd(vs: &VarStore) -> Optimizer {
        Optimizer::new(vs, OptimConfig { weight_decay: 0.02, ..OptimConfig::new(Algorithm::SGD, 0.2) }).unwrap()
    }

    fn config(direction: SearchDirection) -> LineSearchConfig {
        LineSearchConfig { memory: 3, direction, ..LineSearchConfig::default() }
    }

    #[test]
    fn it_goes_the_way_of_the_reference() {
        for direction in [SearchDirection::Current, SearchDirection::Literal] {
            let mut policy = RoundRobin::default();
            let search = LineSearch::new(0.2, 0.02, config(direction), DriverConfig::default()).unwrap();
            let f = |x: &[f32], grad: &mut [f32]| {
                (0..3).for_each(|i| grad[i] = CURVATURE[i] * x[i]);
                (0..3).map(|i| 0.5 * f64::from(grad[i] * x[i])).sum()
            };
            let expected = minimize(f, &START, &mut policy, search, 40).unwrap();

            let (vs, x) = valley();
            let ours = RoundRobin::default();
            let seen = ours.seen.clone();
            let mut run = QLineSearch::new(sgd(&vs), Pilot::new(ours), config(direction)).unwrap();
            for t in 0..39 {
                let now = loss(&x);
                assert!((now.double_value(&[]) - expected.losses[t]).abs() <= 1e-5 * expected.losses[t], "step {t}");
                run.backward_step(&now).unwrap();
            }
            assert_eq!(run.search(), &expected.search);
            let off =
                Vec::<f32>::try_from(&x).unwrap().iter().zip(&expected.x).map(|(a, b)| (a - b).abs()).sum::<f32>();
            assert!(off < 1e-5, "{off}");
            let (here, there) = (seen.lock().unwrap(), policy.seen.lock().unwrap());
            for (a, b) in here.iter().zip(&*there).skip(1) {
                let (a, b) = (a.measured, b.measured);
                assert!((a.grad_dot - b.grad_dot).abs() <= 1e-4 * b.grad_dot.abs().max(1e-3), "{a:?} {b:?}");
                assert!((a.grad_alignment - b.grad_alignment).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn optimizers_with_a_memory_are_refused_with_the_reason() {
        let (vs, _x) = valley();
        for algorithm in [Algorithm::MOMENTUM, Algorithm::ADAM, Algorithm::RMSPROP] {
            let optimizer = Optimizer::new(&vs, OptimConfig::new(algorithm, 0.1)).unwrap();
            let error = QLineSearch::new(optimizer, Pilot::new(RoundRobin::default()), LineSearchConfig::default());
            let message = error.err().unwrap().to_string();
            assert!(message.contains(algorithm.name()) && message.contains("plain gradient descent"), "{message}");
        }
        let conditioning = "orthogonal".parse().unwrap();
        let turned = OptimConfig { conditioning, ..OptimConfig::new(Algorithm::SGD, 0.1) };
        let turned = Optimizer::new(&vs, turned).unwrap();
        let refused = QLineSearch::new(turned, Pilot::new(RoundRobin::default()), LineSearchConfig::default());
        assert!(refused.err().unwrap().to_string().contains("an optimizer with conditioning"));
        let groups = vec![GroupConfig { lr_ratio: 0.5, ..GroupConfig::default() }];
        let grouped = Optimizer::new(&vs, OptimConfig { groups, ..OptimConfig::new(Algorithm::SGD, 0.1) }).unwrap();
        let refused = QLineSearch::new(grouped, Pilot::new(RoundRobin::default()), LineSearchConfig::default());
        assert!(matches!(refused, Err(TorchError::NotPlainDescent { .. })));
    }

    #[test]
    fn a_broken_loss_is_never_accepted() {
        struct Accept;
        impl Policy for Accept {
            fn decide(&mut self, _: &Signals) -> Decision {
                Decision::of(Action::ACCEPT, Reason::Policy)
            }
        }
        let (vs, x) = valley();
        let mut run = QLineSearch::new(sgd(&vs), Pilot::new(Accept), LineSearchConfig::default()).unwrap();
        for t in 0..30 {
            let factor = if t % 7 == 3 { f64::NAN } else { 1.0 };
            let step = run.backward_step(&(loss(&x) * factor)).unwrap();
            assert_eq!(step.rebase, factor.is_finite());
        }
        assert!(loss(&x).double_value(&[]) < 0.05);
    }

    #[test]
    fn a_retry_puts_the_buffers_back_too() {
        struct Halve;
        impl Policy for Halve {
            fn decide(&mut self, _: &Signals) -> Decision {
                Decision::of(Action::HALVE_LR, Reason::Policy)
            }
        }
        let (vs, x) = valley();
        let mut norm = nn::batch_norm1d(vs.root() / "norm", 3, Default::default());
        let optimizer = sgd(&vs);
        let once = LineSearchConfig { memory: 1, ..LineSearchConfig::default() };
        let mut run = QLineSearch::new(optimizer, Pilot::new(Halve), once).unwrap();
        run.backward_step(&loss(&x)).unwrap();
        let before = norm.running_mean.copy();
        let _ = tch::no_grad(|| norm.running_mean.fill_(7.0));
        run.backward_step(&loss(&x)).unwrap();
        assert_eq!(norm.running_mean, before);
    }

    #[test]
    fn a_saved_search_goes_on_to_the_bit() {
        let start = || {
            let (vs, x) = valley();
            let run = QLineSearch::new(sgd(&vs), Pilot::new(RoundRobin::default()), config(SearchDirection::Current))
                .unwrap();
            (vs, x, run)
        };
        let (_first, x, mut run) = start();
        for _ in 0..8 {
            run.backward_step(&loss(&x)).unwrap();
        }
        let saved = serde_json::to_string(&run.state().unwrap()).unwrap();
        let (_second, y, mut resumed) = start();
        resumed.load_state(serde_json::from_str(&saved).unwrap()).unwrap();
        for _ in 0..12 {
            run.backward_step(&loss(&x)).unwrap();
            resumed.backward_step(&loss(&y)).unwrap();
            assert_eq!(x, y);
        }
        assert_eq!(run.state().unwrap(), resumed.state().unwrap());
    }
}
