use super::*;
use crate::driver::{GuardConfig, Pace};
use crate::policy::Signals;
use crate::policy::{Policy, Reason};
use crate::torch::{Algorithm, Conditioning, OptimConfig, Orthogonal};
use crate::{DriverConfig, rng};
use rand::Rng;
use std::sync::{Arc, Mutex};
use tch::nn::{ModuleT, OptimizerConfig};
use tch::{Device, Kind};

/// Multiplies the learning rate by the first number, at every step whose number the second one divides.
struct Every(f64, u64);
impl Policy for Every {
    fn decide(&mut self, _: &Signals) -> Decision {
        Decision::scheduled(self.0)
    }
}
impl Paced for Every {
    fn n_steps(&self) -> u64 {
        self.1
    }
}

/// Remembers what it was shown.
struct Spy(Arc<Mutex<Vec<Signals>>>, u64);
impl Policy for Spy {
    fn decide(&mut self, signals: &Signals) -> Decision {
        self.0.lock().unwrap().push(*signals);
        Decision::scheduled(0.9)
    }
}
impl Paced for Spy {
    fn n_steps(&self) -> u64 {
        self.1
    }
}

/// Policy with a fixed number of steps between two decisions.
trait Paced: Policy {
    fn n_steps(&self) -> u64;
}

fn paced(policy: impl Paced + 'static) -> Pilot {
    let config = DriverConfig { pace: Pace::every(policy.n_steps()), ..DriverConfig::default() };
    Pilot::new(policy).with_config(config)
}

fn guarded(policy: impl Paced + 'static) -> Pilot {
    let pilot = paced(policy);
    let config = DriverConfig { guard: Some(GuardConfig::default()), ..pilot.config.clone() };
    pilot.with_config(config)
}

/// A net with batch norm, and 64 examples of a rule it can learn.
struct Task {
    vs: VarStore,
    layers: nn::SequentialT,
    x: Tensor,
    y: Tensor,
}

fn task() -> Task {
    let mut rng = rng::stream(5, "controller test");
    let mut uniform = |shape: &[i64]| {
        let n: i64 = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|_| (rng.next_u32() as f32 / u32::MAX as f32) * 2.0 - 1.0).collect();
        Tensor::from_slice(&values).view(shape)
    };
    let vs = VarStore::new(Device::Cpu);
    let root = vs.root();
    let layers = nn::seq_t()
        .add(nn::linear(&root / "a", 4, 8, Default::default()))
        .add(nn::batch_norm1d(
            &root / "norm",
            8,
            nn::BatchNormConfig { ws_init: nn::Init::Const(1.0), ..Default::default() },
        ))
        .add_fn(Tensor::tanh)
        .add(nn::linear(&root / "b", 8, 1, Default::default()));
    let mut weights: Vec<_> = vs.variables().into_iter().filter(|(name, _)| !name.contains("norm")).collect();
    weights.sort_by(|a, b| a.0.cmp(&b.0));
    for (_, mut weight) in weights {
        tch::no_grad(|| weight.copy_(&uniform(&weight.size())));
    }
    let x = uniform(&[64, 4]);
    let y = (&x * &x).sum_dim_intlist(1i64, true, Kind::Float);
    Task { vs, layers, x, y }
}

impl Task {
    fn loss(&self) -> Tensor {
        (self.layers.forward_t(&self.x, true) - &self.y).square().mean(Kind::Float)
    }

    fn final_loss(&self) -> f64 {
        self.loss().double_value(&[])
    }

    fn numbers(&self) -> Vec<f32> {
        let mut variables: Vec<_> = self.vs.variables().into_iter().collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        variables.iter().flat_map(|(_, v)| Vec::<f32>::try_from(v.flatten(0, -1)).unwrap()).collect()
    }

    /// The numbers without the buffers, which the forward pass of a bad batch moves, too.
    fn weights(&self) -> Vec<f32> {
        let flat = self.vs.trainable_variables().into_iter().map(|weight| weight.detach().flatten(0, -1));
        Vec::<f32>::try_from(Tensor::cat(&flat.collect::<Vec<_>>(), 0)).unwrap()
    }

    fn is_finite(&self) -> bool {
        self.numbers().iter().all(|v| v.is_finite())
    }

    fn ours(&self, algorithm: Algorithm, lr: f64, pilot: Pilot) -> QController {
        self.conditioned(algorithm, Conditioning::None, lr, pilot)
    }

    fn conditioned(&self, algorithm: Algorithm, conditioning: Conditioning, lr: f64, pilot: Pilot) -> QController {
        let config = OptimConfig { conditioning, ..OptimConfig::new(algorithm, lr) };
        let optimizer = Optimizer::new(&self.vs, config).unwrap();
        QController::new(optimizer, pilot).unwrap()
    }

    fn wrapped(&self, lr: f64, pilot: Pilot) -> QController {
        QController::wrap(nn::Adam::default().build(&self.vs, lr).unwrap(), &self.vs, lr, pilot).unwrap()
    }
}

/// One controller of each kind on a task of its own.
fn both(lr: f64, pilot: impl Fn() -> Pilot) -> Vec<(Task, QController)> {
    let ours = |algorithm| {
        let task = task();
        let controller = task.ours(algorithm, lr, pilot());
        (task, controller)
    };
    // As on a GPU: a bad step is masked there, and reported at the next decision.
    let mut masked = ours(Algorithm::ADAM);
    masked.1.looks_first = false;
    let wrapped = task();
    let controller = wrapped.wrapped(lr, pilot());
    vec![ours(Algorithm::MOMENTUM), ours(Algorithm::ADAM), masked, (wrapped, controller)]
}

#[test]
fn without_a_guard_and_with_factor_one_it_is_the_bare_optimizer() {
    let (plain, controlled, tchs) = (task(), task(), task());
    let mut bare = Optimizer::new(&plain.vs, OptimConfig::new(Algorithm::ADAM, 1e-2)).unwrap();
    let mut opt = controlled.ours(Algorithm::ADAM, 1e-2, paced(Every(1.0, 3)));
    let mut wrapped = tchs.wrapped(1e-2, guarded(Every(1.0, 3)));
    let mut tch_plain = task();
    let mut tch_bare = nn::Adam::default().build(&tch_plain.vs, 1e-2).unwrap();
    for _ in 0..20 {
        bare.backward_step(&plain.loss()).unwrap();
        opt.backward_step(&controlled.loss()).unwrap();
        wrapped.backward_step(&tchs.loss()).unwrap();
        tch_bare.backward_step(&tch_plain.loss());
    }
    assert_eq!(plain.numbers(), controlled.numbers());
    assert_eq!(tch_plain.numbers(), tchs.numbers());
    tch_plain.vs.freeze();
}

#[test]
fn what_tchs_optimizer_changes_is_orthogonalized_as_what_ours_does() {
    for how in ["orthogonal", "orthogonal:degree=0.5,every=3,head=false"] {
        let how: Conditioning = how.parse().unwrap();
        let (ours, tchs, bare) = (task(), task(), task());
        let pilot = || paced(Every(0.9, 3));
        // Not Adam: it makes a step of the learning rate of what rounding leaves of the gradient of a bias before a norm.
        let momentum = |vs: &VarStore| nn::sgd(0.9, 0.0, 0.0, false).build(vs, 1e-2).unwrap();
        let wrapped = |task: &Task| QController::wrap(momentum(&task.vs), &task.vs, 1e-2, pilot()).unwrap();
        let mut expected = ours.conditioned(Algorithm::MOMENTUM, how, 1e-2, pilot());
        let mut found = wrapped(&tchs).with_conditioning(how).unwrap();
        let mut unconditioned = wrapped(&bare);
        for _ in 0..20 {
            expected.backward_step(&ours.loss()).unwrap();
            found.backward_step(&tchs.loss()).unwrap();
            unconditioned.backward_step(&bare.loss()).unwrap();
        }
        let gap =
            |task: &Task| tchs.numbers().iter().zip(task.numbers()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(gap(&ours) < 1e-4, "{how}: {}", gap(&ours));
        assert!(gap(&bare) > 1e-2, "{how}: {}", gap(&bare));
        // A state belongs to one conditioning.
        let error = unconditioned.load_state(found.state().unwrap()).unwrap_err().to_string();
        assert!(error.contains("conditioning") && error.contains(&how.to_string()), "{error}");
    }
}

#[test]
fn conditioning_belongs_to_the_settings_of_our_own_optimizers() {
    let orthogonal = Conditioning::Orthogonal(Orthogonal::default());
    let error = task().ours(Algorithm::ADAM, 1e-2, paced(Every(1.0, 3))).with_conditioning(orthogonal).err().unwrap();
    assert!(error.to_string().contains("OptimConfig"), "{error}");
    let beyond = Conditioning::Orthogonal(Orthogonal { degree: 1.5, ..Orthogonal::default() });
    let error = task().wrapped(1e-2, paced(Every(1.0, 3))).with_conditioning(beyond).err().unwrap();
    assert!(error.to_string().contains("1.5"), "{error}");
}

#[test]
fn a_cooldown_sets_the_learning_rate_of_every_step_also_between_decisions() {
    let (plain, controlled) = (task(), task());
    let mut bare = Optimizer::new(&plain.vs, OptimConfig::new(Algorithm::ADAM, 1e-2)).unwrap();
    let config = DriverConfig {
        pace: Pace { cooldown: 1.0, ..Pace::every(7) },
        total_steps: Some(20),
        ..DriverConfig::default()
    };
    let mut opt = controlled.ours(Algorithm::ADAM, 1e-2, paced(Every(1.0, 7)).with_config(config));
    for step in 0..20 {
        bare.set_lr(1e-2 * f64::from(20 - step) / 20.0).unwrap();
        bare.backward_step(&plain.loss()).unwrap();
        opt.backward_step(&controlled.loss()).unwrap();
    }
    assert_eq!(plain.numbers(), controlled.numbers());
}

#[test]
fn a_guard_that_has_nothing_to_do_changes_no_step() {
    for looks_first in [true, false] {
        let (plain, watched) = (task(), task());
        let mut bare = plain.ours(Algorithm::ADAM, 1e-2, paced(Every(0.99, 4)));
        let mut opt = watched.ours(Algorithm::ADAM, 1e-2, guarded(Every(0.99, 4)));
        opt.looks_first = looks_first;
        for _ in 0..30 {
            bare.backward_step(&plain.loss()).unwrap();
            opt.backward_step(&watched.loss()).unwrap();
        }
        assert_eq!((plain.numbers(), opt.rollbacks()), (watched.numbers(), 0));
    }
}

#[test]
fn a_broken_loss_at_any_step_is_left_out_and_training_ends_finite_at_the_same_rate() {
    for interval in [1, 5] {
        for broken_step in [0, 1, 2, 7, 10, 13] {
            for (task, mut opt) in both(1e-2, || guarded(Every(1.0, interval))) {
                let start = task.final_loss();
                for step in 0..30 {
                    let loss = if step == broken_step { task.loss() * f64::NAN } else { task.loss() };
                    opt.backward_step(&loss).unwrap();
                }
                assert_eq!((opt.rollbacks(), opt.lr(), opt.broken_batches()), (0, 1e-2, 1), "step {broken_step}");
                assert!(task.is_finite(), "step {broken_step}, interval {interval}");
                assert!(task.final_loss() < start, "step {broken_step}, interval {interval}: {}", task.final_loss());
            }
        }
    }
}

#[test]
fn a_broken_gradient_is_never_applied_and_rolled_back_where_the_next_one_is_broken_too() {
    for broken_step in [0, 1, 7, 11] {
        for (task, mut opt) in both(1e-2, || guarded(Every(1.0, 5))) {
            for step in 0..30 {
                let loss = task.loss();
                opt.zero_grad().unwrap();
                loss.backward();
                if step == broken_step || (20..24).contains(&step) {
                    let _ = task.vs.trainable_variables()[2].grad().fill_(f64::INFINITY);
                }
                opt.observe(&loss).unwrap();
                opt.step().unwrap();
                assert!(task.is_finite(), "step {step}");
            }
            assert_eq!((opt.rollbacks(), opt.broken_batches(), opt.lr()), (1, 1, 5e-3));
            let decision = opt.last_decision().unwrap();
            assert_eq!(decision.reason, Reason::Schedule);
        }
    }
}

#[test]
fn between_decisions_a_wrapped_optimizer_is_shown_no_bad_gradient_of_any_size_or_kind() {
    for (n, kind) in [(3, Kind::Float), (40_000, Kind::Float), (3, Kind::Double)] {
        let vs = VarStore::new(Device::Cpu);
        let root = vs.root();
        let ones = |name| root.f_var_copy(name, &Tensor::ones([n], (kind, Device::Cpu))).unwrap();
        let (w, _unused) = (ones("w"), ones("unused"));
        let sgd = nn::sgd(0.0, 0.0, 0.0, false).build(&vs, 0.1).unwrap();
        let mut opt = QController::wrap(sgd, &vs, 0.1, guarded(Every(1.0, 100))).unwrap();
        for step in 0..6 {
            let loss = w.square().sum(kind);
            opt.observe(&loss).unwrap();
            opt.zero_grad().unwrap();
            loss.backward();
            if step == 3 {
                let _ = w.grad().narrow(0, n - 1, 1).fill_(f64::NAN);
            }
            opt.step().unwrap();
        }
        // The step is left out, and nothing else happens.
        assert_eq!((opt.broken_batches(), opt.rollbacks(), opt.lr()), (1, 0, 0.1), "{n} of {kind:?}");
        let expected = 0.8f64.powi(5);
        assert!((w.double_value(&[n - 1]) - expected).abs() < 1e-6, "{n} of {kind:?}: {w:?}");
    }
}

#[test]
fn a_start_that_wrecks_the_net_in_one_step_ends_finite_and_learns() {
    for (task, mut opt) in both(1e4, || guarded(Every(1.0, 1))) {
        let start = task.final_loss();
        for _ in 0..150 {
            opt.backward_step(&task.loss()).unwrap();
        }
        assert!(task.is_finite() && opt.rollbacks() > 0);
        assert!(opt.lr() < 1e3, "the guard halves: {}", opt.lr());
        assert!(task.final_loss() < 4.0 * start, "{} after {start}", task.final_loss());
    }
}

#[test]
fn a_run_that_went_far_and_got_nowhere_begins_again_also_after_a_resume() {
    for resumed_at in [None, Some(9)] {
        for (task, mut opt) in both(0.3, || guarded(Every(1.0, 1))) {
            let mut start = Vec::new();
            for step in 0..16 {
                if resumed_at == Some(step) {
                    let state = opt.state().unwrap();
                    opt.first = None;
                    opt.load_state(state).unwrap();
                }
                opt.zero_grad().unwrap();
                task.loss().backward();
                if step == 0 {
                    start = task.numbers();
                }
                // As from a net whose units have died.
                opt.observe(&Tensor::from(1.0f32)).unwrap();
                opt.step().unwrap();
            }
            let before = task.numbers();
            opt.backward_step(&Tensor::from(1.0f32).set_requires_grad(true)).unwrap();
            assert_ne!(before, start);
            assert_eq!((task.numbers(), opt.rollbacks()), (start, 1));
            assert_eq!(opt.last_decision().unwrap().reason, Reason::GotNowhere);
            assert!((opt.lr() - 0.075).abs() < 1e-12, "a quarter of the rate that led there");
        }
    }
}

/// The same run, but its net gets another variable on the way: what it began from is gone then.
#[test]
fn after_a_new_variable_a_run_that_got_nowhere_is_not_sent_back_to_a_state_that_is_gone() {
    for (task, mut opt) in both(0.3, || guarded(Every(1.0, 1))) {
        for step in 0..20 {
            if step == 5 {
                let _ = task.vs.root().ones("more", &[1]);
            }
            opt.zero_grad().unwrap();
            task.loss().backward();
            opt.observe(&Tensor::from(1.0f32)).unwrap();
            opt.step().unwrap();
        }
        assert_eq!((opt.rollbacks(), opt.lr()), (0, 0.3));
    }
}

/// What a run begins from is known before its first good step, and wherever its net is then.
#[test]
fn a_run_whose_first_batch_is_broken_or_whose_net_moves_before_it_can_still_begin_again() {
    for broken in [true, false] {
        for (task, mut opt) in both(0.3, || guarded(Every(1.0, 1))) {
            if !broken {
                let _ = task.vs.root().ones("more", &[1]);
            }
            let mut start = task.numbers();
            for step in 0..17 {
                opt.zero_grad().unwrap();
                task.loss().backward();
                if step == i32::from(broken) {
                    // The first good step. The statistics of batch norm have seen its batch.
                    start = task.numbers();
                }
                let loss = if step == 0 && broken { f32::NAN } else { 1.0 };
                opt.observe(&Tensor::from(loss)).unwrap();
                opt.step().unwrap();
            }
            assert_eq!((task.numbers(), opt.last_decision().unwrap().reason), (start, Reason::GotNowhere), "{broken}");
        }
    }
}

#[test]
fn a_first_step_that_goes_too_far_is_undone_and_the_rate_scaled_to_what_is_allowed() {
    let pilot = || {
        let guard = GuardConfig { first_update: Some(1e-3), ..GuardConfig::default() };
        let config = DriverConfig { guard: Some(guard), ..DriverConfig::default() };
        paced(Every(1.0, 1)).with_config(config)
    };
    for (task, mut opt) in both(0.3, pilot) {
        let params = || {
            let all = task.vs.trainable_variables();
            Tensor::cat(&all.iter().map(|v| v.detach().flatten(0, -1)).collect::<Vec<_>>(), 0).copy()
        };
        let start = params();
        let share = |now: &Tensor| (now - &start).norm().double_value(&[]) / start.norm().double_value(&[]);
        opt.backward_step(&task.loss()).unwrap();
        assert!(share(&params()) > 1e-3);
        opt.backward_step(&task.loss()).unwrap();
        assert_eq!((share(&params()), opt.rollbacks()), (0.0, 1));
        assert_eq!(opt.last_decision().unwrap().reason, Reason::FirstStepTooFar);
        opt.backward_step(&task.loss()).unwrap();
        let moved = share(&params());
        assert!(opt.lr() < 0.1 && (0.5e-3..2e-3).contains(&moved), "{moved} of the norm at lr {}", opt.lr());
    }
}

#[test]
fn the_buffers_of_batch_norm_are_rolled_back_too() {
    for (task, mut opt) in both(1e-2, || guarded(Every(1.0, 1))) {
        for _ in 0..3 {
            opt.backward_step(&task.loss()).unwrap();
        }
        // This forward pass moves the running statistics, and is then verified.
        let loss = task.loss();
        let verified = task.vs.variables()["norm.running_mean"].copy();
        opt.backward_step(&loss).unwrap();
        let poisoned = (task.layers.forward_t(&(&task.x * f64::NAN), true) - &task.y).square().mean(Kind::Float);
        assert!(task.vs.variables()["norm.running_mean"].double_value(&[0]).is_nan());
        opt.backward_step(&poisoned).unwrap();
        assert_eq!(task.vs.variables()["norm.running_mean"], verified);
        opt.backward_step(&task.loss()).unwrap();
        assert_eq!((opt.rollbacks(), opt.broken_batches()), (0, 1));
        assert!(task.is_finite());
    }
}

#[test]
fn a_rollback_restores_the_optimizer_with_the_parameters() {
    let orthogonal = Conditioning::Orthogonal(Orthogonal::default());
    for (algorithm, conditioning) in [
        (Algorithm::ADAM, Conditioning::None),
        (Algorithm::ADAM, orthogonal),
        (Algorithm::SGD, orthogonal),
        (Algorithm::NADAM, Conditioning::None),
        (Algorithm::LION, Conditioning::None),
        (Algorithm::MUON, Conditioning::None),
        (Algorithm::SCHEDULE_FREE_SGD, Conditioning::None),
        (Algorithm::SCHEDULE_FREE_ADAMW, Conditioning::None),
    ] {
        let broken = task();
        let mut opt = broken.conditioned(algorithm, conditioning, 1e-2, guarded(Every(1.0, 1)));
        for _ in 0..5 {
            opt.backward_step(&broken.loss()).unwrap();
        }
        // Verified are the parameters before the last step; from there the run goes on with half the learning rate.
        let verified = opt.snapshot.state().unwrap();
        let broken_loss = || broken.loss() * f64::NAN;
        opt.backward_step(&broken_loss()).unwrap();
        assert_ne!(Snapshot::new(opt.target.params(), opt.target.ours()).unwrap().state().unwrap(), verified);
        opt.backward_step(&broken_loss()).unwrap();
        let now = Snapshot::new(opt.target.params(), opt.target.ours()).unwrap().state().unwrap();
        assert_eq!(now, verified, "{algorithm:?}, {conditioning}");
        assert!((opt.lr() - 5e-3).abs() < 1e-12);
    }
}

#[test]
fn a_saved_run_goes_on_to_the_bit() {
    let half = Conditioning::Orthogonal(Orthogonal { degree: 0.5, every: 2, ..Orthogonal::default() });
    let cases = [
        (1, 9, Algorithm::ADAM, Conditioning::None),
        (4, 9, Algorithm::ADAM, half),
        (4, 8, Algorithm::SCHEDULE_FREE_ADAMW, Conditioning::None),
        (4, 0, Algorithm::SGD, half),
    ];
    for (interval, saved_after, algorithm, conditioning) in cases {
        let whole = task();
        let pilot = || guarded(Every(0.97, interval));
        let mut opt = whole.conditioned(algorithm, conditioning, 1e-2, pilot());
        for _ in 0..saved_after {
            opt.backward_step(&whole.loss()).unwrap();
        }
        let saved = serde_json::to_string(&opt.state().unwrap()).unwrap();
        let second = task();
        let mut resumed = second.conditioned(algorithm, conditioning, 1.0, pilot());
        resumed.load_state(serde_json::from_str(&saved).unwrap()).unwrap();
        for step in 0..12 {
            let factor = if step == 3 || step == 6 || step == 7 { f64::NAN } else { 1.0 };
            opt.backward_step(&(whole.loss() * factor)).unwrap();
            resumed.backward_step(&(second.loss() * factor)).unwrap();
            assert_eq!(whole.numbers(), second.numbers(), "step {step}");
        }
        assert_eq!((opt.lr(), opt.rollbacks()), (resumed.lr(), resumed.rollbacks()));
        assert_eq!(opt.state().unwrap(), resumed.state().unwrap());
    }
}

#[test]
fn a_finished_average_is_where_a_run_goes_on_and_loaded_weights_are_their_own_average() {
    let task = task();
    let mut opt = task.ours(Algorithm::SCHEDULE_FREE_SGD, 0.1, guarded(Every(1.0, 1)));
    for _ in 0..12 {
        opt.backward_step(&task.loss()).unwrap();
    }
    let weights = || task.weights();
    let in_training = weights();
    let average = opt.averaged(weights).unwrap();
    assert!(weights() == in_training && average != in_training);
    opt.finish().unwrap();
    assert_eq!(weights(), average);
    // A bad batch now is undone to what was finished, and to nothing before it.
    opt.backward_step(&(task.loss() * f64::NAN)).unwrap();
    opt.backward_step(&(task.loss() * f64::NAN)).unwrap();
    assert!(weights() == average && !opt.is_told);
    for mut weight in task.vs.trainable_variables() {
        let _ = tch::no_grad(|| weight.fill_(0.25));
    }
    opt.weights_loaded().unwrap();
    assert!(opt.averaged(weights).unwrap().iter().all(|value| value.to_bits() == 0.25f32.to_bits()));
}

#[test]
fn a_running_average_is_rolled_back_and_resumed_with_the_rest() {
    let averaging = |task: &Task, pilot| {
        let optimizer = Optimizer::new(&task.vs, OptimConfig::new(Algorithm::ADAM, 1e-2)).unwrap();
        QController::new(optimizer.with_average(0.3).unwrap(), pilot).unwrap()
    };
    let (whole, second) = (task(), task());
    let mut opt = averaging(&whole, guarded(Every(0.97, 1)));
    let mut kept = Vec::new();
    for _ in 0..20 {
        kept = opt.averaged(|| whole.weights()).unwrap();
        opt.backward_step(&whole.loss()).unwrap();
    }
    assert_ne!(kept, opt.averaged(|| whole.weights()).unwrap());
    let healthy = opt.state().unwrap();
    for _ in 0..2 {
        opt.backward_step(&(whole.loss() * f64::NAN)).unwrap();
    }
    // Back to before the last step, which nothing has verified.
    assert_eq!(opt.rollbacks(), 1);
    assert_eq!(opt.averaged(|| whole.weights()).unwrap(), kept);

    let saved = serde_json::to_string(&healthy).unwrap();
    for (net, run) in [(&whole, &mut opt), (&second, &mut averaging(&second, guarded(Every(0.97, 1))))] {
        run.load_state(serde_json::from_str(&saved).unwrap()).unwrap();
        (0..12).for_each(|_| run.backward_step(&net.loss()).unwrap());
        run.finish().unwrap();
    }
    assert_eq!(whole.numbers(), second.numbers());
    let mut without = task().ours(Algorithm::ADAM, 1e-2, guarded(Every(0.97, 1)));
    assert!(without.load_state(healthy).is_err());
}

#[test]
fn a_state_of_another_run_is_refused() {
    let first = task();
    let saved = first.ours(Algorithm::ADAM, 1e-2, guarded(Every(1.0, 1))).state().unwrap();
    let mut other = first.ours(Algorithm::MOMENTUM, 1e-2, guarded(Every(1.0, 1)));
    assert!(matches!(other.load_state(saved.clone()), Err(TorchError::StateMismatch { what: "the optimizer", .. })));
    let orthogonal = Conditioning::Orthogonal(Orthogonal::default());
    let mut other = first.conditioned(Algorithm::ADAM, orthogonal, 1e-2, guarded(Every(1.0, 1)));
    assert!(matches!(other.load_state(saved.clone()), Err(TorchError::StateMismatch { what: "the conditioning", .. })));
    let vs = VarStore::new(Device::Cpu);
    let _w = vs.root().zeros("w", &[3]);
    let small = Optimizer::new(&vs, OptimConfig::new(Algorithm::ADAM, 1e-2)).unwrap();
    let mut small = QController::new(small, guarded(Every(1.0, 1))).unwrap();
    assert!(matches!(small.load_state(saved), Err(TorchError::StateMismatch { .. })));
}

#[test]
fn group_ratios_are_kept() {
    let vs = VarStore::new(Device::Cpu);
    let a = vs.root().ones("a", &[1]);
    let b = vs.root().set_group(1).ones("b", &[1]);
    let run = |mut opt: QController| {
        tch::no_grad(|| {
            let (mut a, mut b) = (a.shallow_clone(), b.shallow_clone());
            let _ = (a.fill_(1.0), b.fill_(1.0));
        });
        opt.backward_step(&(&a + &b).sum(Kind::Float)).unwrap();
        // One decision: 0.1 * 0.5, and a tenth of it for group 1.
        assert!((a.double_value(&[0]) - 0.95).abs() < 1e-6 && (b.double_value(&[0]) - 0.995).abs() < 1e-6);
    };
    let ours = Optimizer::new(&vs, OptimConfig::new(Algorithm::SGD, 0.1)).unwrap();
    let ours = QController::new(ours, paced(Every(0.5, 1))).unwrap();
    run(ours.with_group_lrs(&[0.1, 0.01]).unwrap());
    let tchs = || {
        let sgd = nn::Sgd::default().build(&vs, 0.1).unwrap();
        QController::wrap(sgd, &vs, 0.1, paced(Every(0.5, 1))).unwrap()
    };
    run(tchs().with_group_lrs(&[0.1, 0.01]).unwrap());
    assert!(matches!(tchs().with_group_lrs(&[0.1]), Err(TorchError::GroupLrs { given: 1, groups: 2 })));
    assert!(matches!(tchs().with_group_lrs(&[0.1, -1.0]), Err(TorchError::OutOfRange { .. })));
}

/// A group that a net gets later must not keep the rate that its optimizer was built with.
#[test]
fn a_group_that_is_added_later_has_the_controlled_rate_and_its_first_gradient() {
    for grouped in [true, false] {
        for is_ours in [true, false] {
            let vs = VarStore::new(Device::Cpu);
            let a = vs.root().ones("a", &[1]);
            let mut opt = if is_ours {
                let sgd = Optimizer::new(&vs, OptimConfig::new(Algorithm::SGD, 1e-6)).unwrap();
                QController::new(sgd, paced(Every(1.0, 100))).unwrap()
            } else {
                let sgd = nn::Sgd::default().build(&vs, 1e-6).unwrap();
                QController::wrap(sgd, &vs, 1e-6, paced(Every(1.0, 100))).unwrap().with_weight_decay(0.5).unwrap()
            };
            if grouped {
                opt = opt.with_group_lrs(&[2e-6]).unwrap();
            }
            opt.set_lr(3e-2).unwrap();
            opt.backward_step(&a.sum(Kind::Float)).unwrap();
            let b = vs.root().set_group(2).ones("b", &[1]);
            let (a0, b0) = (a.double_value(&[0]), b.double_value(&[0]));
            // The gradient is there before the controller looks at the VarStore again.
            opt.zero_grad().unwrap();
            let c = vs.root().set_group(3).ones("c", &[1]);
            let loss = (&a + &b + &c).sum(Kind::Float);
            loss.backward();
            opt.observe(&loss).unwrap();
            opt.step().unwrap();
            let decay = if is_ours { 0.0 } else { 0.5 };
            let ratio = if grouped { 2.0 } else { 1.0 };
            let moved = [a0 - a.double_value(&[0]), b0 - b.double_value(&[0]), 1.0 - c.double_value(&[0])];
            let expected = [ratio * (1.0 + decay * a0), 1.0 + decay, 1.0 + decay].map(|share| 3e-2 * share);
            let close = moved.iter().zip(expected).all(|(moved, expected)| (moved - expected).abs() < 1e-6);
            assert!(close, "grouped {grouped}, ours {is_ours}: {moved:?}, expected {expected:?}");
        }
    }
}

#[test]
fn two_controllers_in_turns_on_one_net_are_refused_and_one_after_the_other_is_not() {
    let task = task();
    let new = || task.ours(Algorithm::SGD, 1e-2, guarded(Every(1.0, 1)));
    let (mut first, mut second) = (new(), new());
    first.backward_step(&task.loss()).unwrap();
    second.backward_step(&task.loss()).unwrap();
    let before = task.numbers();
    assert!(matches!(first.backward_step(&task.loss()), Err(TorchError::SharedVarStore)));
    assert_eq!(task.numbers().len(), before.len());
    second.backward_step(&task.loss()).unwrap();
    drop(second);
    // What the other one left is where the first goes on from, also after a rollback.
    let left = task.vs.variables()["b.weight"].copy();
    let broken = || task.loss() * f64::NAN;
    first.backward_step(&broken()).unwrap();
    first.backward_step(&broken()).unwrap();
    assert_eq!(task.vs.variables()["b.weight"], left);
    let other = self::task();
    let mut elsewhere = other.ours(Algorithm::SGD, 1e-2, guarded(Every(1.0, 1)));
    for _ in 0..3 {
        elsewhere.backward_step(&other.loss()).unwrap();
        first.backward_step(&task.loss()).unwrap();
    }
}

#[test]
fn weights_that_are_loaded_later_survive_a_restart_and_a_rollback() {
    for restarts in [true, false] {
        for (task, mut opt) in both(0.3, || guarded(Every(1.0, 1))) {
            let mut loaded = Vec::new();
            let step = |opt: &mut QController, loss: f32| {
                opt.zero_grad().unwrap();
                task.loss().backward();
                opt.observe(&Tensor::from(loss)).unwrap();
                opt.step().unwrap();
            };
            for i in 0..40 {
                if i == 10 {
                    for mut weight in task.vs.trainable_variables() {
                        let _ = tch::no_grad(|| weight.fill_(0.25));
                    }
                    opt.weights_loaded().unwrap();
                    loaded = task.numbers();
                }
                step(&mut opt, if !restarts && (i == 10 || i == 11) { f32::NAN } else { 1.0 });
                if i == 9 {
                    assert_eq!(opt.rollbacks(), 0);
                }
                if restarts && opt.rollbacks() > 0 || !restarts && i == 11 {
                    break;
                }
            }
            let weights = |numbers: &[f32]| numbers.iter().filter(|&&v| v.to_bits() == 0.25f32.to_bits()).count();
            assert_eq!(weights(&task.numbers()), weights(&loaded), "restarts: {restarts}");
            assert_eq!(opt.rollbacks(), u64::from(restarts));
        }
    }
}

#[test]
fn a_change_by_other_hands_is_noticed_and_the_steps_of_its_own_are_not() {
    for (task, mut opt) in both(1e-2, || guarded(Every(1.0, 3))) {
        for _ in 0..8 {
            opt.backward_step(&task.loss()).unwrap();
        }
        opt.backward_step(&(task.loss() * f64::NAN)).unwrap();
        opt.backward_step(&(task.loss() * f64::NAN)).unwrap();
        opt.backward_step(&task.loss()).unwrap();
        assert!(!opt.is_told, "its own steps and rollbacks");
        let _ = tch::no_grad(|| task.vs.trainable_variables()[0].fill_(0.5));
        opt.backward_step(&task.loss()).unwrap();
        assert!(opt.is_told);
    }
}

#[test]
fn a_step_needs_a_loss() {
    for (task, mut opt) in both(1e-2, || guarded(Every(1.0, 1))) {
        opt.zero_grad().unwrap();
        task.loss().backward();
        assert!(matches!(opt.step(), Err(TorchError::NoLoss)));
        opt.observe(&task.loss()).unwrap();
        opt.step().unwrap();
        assert!(matches!(opt.step(), Err(TorchError::NoLoss)));
        assert!(matches!(
            opt.observe(&Tensor::zeros([2], (Kind::Float, Device::Cpu))),
            Err(TorchError::LossShape { .. })
        ));
    }
}

#[test]
fn a_skipped_step_does_not_tick_and_its_loss_does_not_count() {
    for (task, mut opt) in both(1e-2, || guarded(Every(0.5, 1))) {
        opt.backward_step(&task.loss()).unwrap();
        opt.observe(&(task.loss() * f64::INFINITY)).unwrap();
        opt.skip_step();
        assert_eq!((opt.steps(), opt.lr()), (1, 5e-3));
        opt.backward_step(&task.loss()).unwrap();
        assert_eq!((opt.steps(), opt.lr(), opt.rollbacks()), (2, 2.5e-3, 0));
    }
}

#[test]
fn the_policy_sees_the_window_and_the_same_measurement_as_a_rollout() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let task = task();
    let mut opt = task.ours(Algorithm::SGD, 0.05, paced(Spy(seen.clone(), 3))).with_total_steps(9).unwrap();
    let mut plain = crate::policy::Measure::default();
    let (mut losses, mut expected) = (Vec::new(), Vec::new());
    for step in 0..9 {
        let loss = task.loss();
        losses.push(loss.double_value(&[]) as f32);
        opt.zero_grad().unwrap();
        loss.backward();
        if step % 3 == 0 {
            let x = Vec::<f32>::try_from(opt.target.params().data()).unwrap();
            let grad = Vec::<f32>::try_from(&opt.target.params().gradient().unwrap().flat).unwrap();
            expected.push((plain.measure(&x, &grad), crate::LossWindow::of(&std::mem::take(&mut losses))));
        }
        opt.observe(&loss).unwrap();
        opt.step().unwrap();
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    for (signals, (measured, window)) in seen.iter().zip(&expected) {
        assert_eq!((signals.window, signals.total_steps), (*window, Some(9)));
        // Some are NaN in the first window, which equals nothing.
        assert_eq!(format!("{:?}", signals.measured), format!("{measured:?}"));
    }
}

#[test]
fn clipping_is_what_tch_does() {
    type Step = fn(&mut QController, &Tensor) -> Result<(), TorchError>;
    type TchStep = fn(&mut nn::Optimizer, &Tensor);
    let cases: [(Step, TchStep); 2] = [
        (|opt, loss| opt.backward_step_clip(loss, 0.01), |opt, loss| opt.backward_step_clip(loss, 0.01)),
        (|opt, loss| opt.backward_step_clip_norm(loss, 0.1), |opt, loss| opt.backward_step_clip_norm(loss, 0.1)),
    ];
    for (ours, theirs) in cases {
        let (plain, own, tchs) = (task(), task(), task());
        let sgd = || nn::sgd(0.9, 0.0, 0.0, false);
        let mut bare = sgd().build(&plain.vs, 0.05).unwrap();
        let mut opt = own.ours(Algorithm::MOMENTUM, 0.05, guarded(Every(1.0, 2)));
        let tch_sgd = sgd().build(&tchs.vs, 0.05).unwrap();
        let mut wrapped = QController::wrap(tch_sgd, &tchs.vs, 0.05, guarded(Every(1.0, 2))).unwrap();
        for _ in 0..10 {
            theirs(&mut bare, &plain.loss());
            ours(&mut opt, &own.loss()).unwrap();
            ours(&mut wrapped, &tchs.loss()).unwrap();
        }
        for other in [&own, &tchs] {
            let off = plain.numbers().iter().zip(other.numbers()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-6, "{off}");
        }
    }
}

#[test]
fn weight_decay_that_a_policy_moves_moves_the_parameters() {
    struct Grow;
    impl Policy for Grow {
        fn decide(&mut self, _: &Signals) -> Decision {
            Decision { weight_decay_factor: 2.0, ..Decision::scheduled(1.0) }
        }
    }
    for with_decay in [false, true] {
        let start = if with_decay { 0.1 } else { 0.0 };
        let (plain, own, tchs) = (task(), task(), task());
        let optimizer =
            Optimizer::new(&own.vs, OptimConfig { weight_decay: start, ..OptimConfig::new(Algorithm::SGD, 0.1) });
        let mut ours = QController::new(optimizer.unwrap(), Pilot::new(Grow)).unwrap();
        let sgd = nn::Sgd::default().build(&tchs.vs, 0.1).unwrap();
        let wrapped = QController::wrap(sgd, &tchs.vs, 0.1, Pilot::new(Grow)).unwrap();
        let mut wrapped = wrapped.with_weight_decay(start).unwrap();
        let mut bare = plain.ours(Algorithm::SGD, 0.1, paced(Every(1.0, 1)));
        for _ in 0..3 {
            ours.backward_step(&own.loss()).unwrap();
            wrapped.backward_step(&tchs.loss()).unwrap();
            bare.backward_step(&plain.loss()).unwrap();
        }
        assert_eq!(own.numbers() != plain.numbers(), with_decay);
        assert!((ours.weight_decay() - 8.0 * start).abs() < 1e-12);
        let off = own.numbers().iter().zip(tchs.numbers()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-6);
    }
}

#[test]
fn every_decision_is_told() {
    let (task, log) = (task(), Arc::new(Mutex::new(Vec::new())));
    let mut opt = task.ours(Algorithm::ADAM, 1e-2, guarded(Every(0.5, 2)));
    let shared = log.clone();
    opt.on_decision(move |record| shared.lock().unwrap().push((record.step, record.lr, record.reason)));
    for _ in 0..4 {
        opt.backward_step(&task.loss()).unwrap();
    }
    assert_eq!(*log.lock().unwrap(), [(0, 5e-3, Reason::Schedule), (2, 2.5e-3, Reason::Schedule)]);
}

#[test]
fn values_no_run_can_use_are_refused() {
    let task = task();
    let optimizer = || Optimizer::new(&task.vs, OptimConfig::new(Algorithm::SGD, 0.0)).unwrap();
    assert!(matches!(QController::new(optimizer(), paced(Every(1.0, 1))), Err(TorchError::Driver(_))));
    let opt = || task.ours(Algorithm::SGD, 0.1, paced(Every(1.0, 1)));
    assert!(opt().with_total_steps(0).is_err());
    assert!(opt().with_bounds([1.0, 0.1], [1e-8, 1.0]).is_err());
    assert!(opt().with_weight_decay(-1.0).is_err());
    assert!(opt().set_lr(f64::NAN).is_err());
    assert!(opt().set_momentum(0.5).is_err(), "plain SGD has none");
}

#[test]
fn a_net_larger_than_the_sample_is_measured_on_it() {
    let vs = VarStore::new(Device::Cpu);
    let n = 2 * crate::policy::Measure::MAX_SAMPLED as i64;
    let w = vs.root().ones("w", &[n]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sgd = Optimizer::new(&vs, OptimConfig::new(Algorithm::SGD, 0.1)).unwrap();
    let mut opt = QController::new(sgd, paced(Spy(seen.clone(), 1))).unwrap();
    for _ in 0..3 {
        opt.backward_step(&w.square().sum(Kind::Float)).unwrap();
    }
    let last = seen.lock().unwrap()[2].measured;
    assert!((last.alignment - 1.0).abs() < 1e-9 && (last.descent_cosine - 1.0).abs() < 1e-4);
    let norm = w.norm().double_value(&[]);
    assert!(last.param_norm > norm && last.param_norm < 2.0 * norm);
}
