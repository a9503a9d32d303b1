//! Saved states from hostile hands: mutated bytes are refused, or every decision after them is finite and positive.
//! None makes a policy allocate more than a small multiple of their number.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use qgd::artifact;
use qgd::controller::{FeatureSet, OnlineConfig};
use qgd::dqn::{AgentConfig, Episode, Exploration, Explorer, Learner, QNetwork, Replay, ReplayConfig};
use qgd::driver::{DriverState, GuardConfig, LineSearch, minimize};
use qgd::rng::stream;
use qgd::schedule::Schedule;
use qgd::{Controller, Controls, Driver, DriverConfig, LossWindow, Measure, Measured, Order, Policy, Signals};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Bytes that a state may allocate for each of its own, and beyond that: a list that claims to be long is given 1 MiB at
/// most before its elements are read, and lists lie up to four deep.
const PER_BYTE: u64 = 16;
const BESIDES: u64 = 4 << 20;

/// Numbers that a counter, a length or a float may be mutated to.
const ODD: [u64; 12] = [
    0,
    1,
    11,
    u64::MAX,
    1 << 63,
    1 << 40,
    (1 << 53) + 1,
    0x7ff0_0000_0000_0000, // infinity
    0xfff0_0000_0000_0000, // minus infinity
    0x7ff8_0000_0000_0000, // NaN
    0xc0aa_1400_0000_0000, // -3338
    0x7fef_ffff_ffff_ffff, // the largest
];

/// The bytes with one to three changes: a byte, a number of eight or four bytes, a cut, some bytes more, or a part of them
/// in another place.
fn mutated(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..4) {
        if bytes.is_empty() {
            bytes.push(7);
        }
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..10) {
            0..3 => bytes[at] ^= 1 << rng.random_range(0..8),
            3 => bytes[at] = rng.random_range(0..=255),
            4..7 => {
                let odd = ODD[rng.random_range(0..ODD.len())].to_le_bytes();
                // Most numbers of eight bytes lie at a multiple of eight, behind what is before them.
                let n = if rng.random() { 8 } else { 4 };
                let end = (at + n).min(bytes.len());
                bytes[at..end].copy_from_slice(&odd[8 - (end - at)..]);
            }
            7 => bytes.truncate(at),
            8 => bytes.extend((0..rng.random_range(1..40)).map(|_| rng.random_range(0..=255u8))),
            _ => {
                let part = bytes[at..bytes.len().min(at + 16)].to_vec();
                let to = rng.random_range(0..bytes.len());
                let end = (to + part.len()).min(bytes.len());
                bytes[to..end].copy_from_slice(&part[..end - to]);
            }
        }
    }
    bytes
}

/// What a run shows at a step, now and then something odd.
fn signals(step: u64, rng: &mut ChaCha8Rng) -> Signals {
    let loss = if step % 7 == 6 { f32::NAN } else { rng.random_range(0.0..4.0) };
    let measured = Measured {
        param_norm: 3.0,
        grad_norm: rng.random_range(0.0..2.0),
        update_norm: 0.01,
        distance: 0.5,
        ..Measured::default()
    };
    Signals {
        step: 100 + step,
        total_steps: Some(1000),
        window: LossWindow::of(&[loss, 1.0]),
        measured,
        lr: [1e-8, 0.1, 100.0, 1e-300][step as usize % 4],
        lr_base: 0.1,
        weight_decay: 1e-3,
        weight_decay_base: 1e-3,
        validation: Some(1.0),
        ..Signals::default()
    }
}

fn decide(policy: &mut dyn Policy, n: u64, rng: &mut ChaCha8Rng) {
    for step in 0..n {
        let decision = policy.decide(&signals(step, rng));
        let factors = [decision.lr_factor, decision.weight_decay_factor];
        assert!(factors.iter().all(|factor| *factor > 0.0 && factor.is_finite()), "{decision:?}");
    }
}

/// Mutates the state of a policy that took some decisions. Returns how many were accepted.
fn accepted(name: &str, new: &dyn Fn() -> Box<dyn Policy>, n_decisions: [u64; 2], n_cases: u32) -> u32 {
    let mut rng = stream(1, name);
    let mut policy = new();
    decide(policy.as_mut(), n_decisions[0], &mut rng);
    let saved = policy.save();
    new().load(&saved).unwrap();
    let mut n_accepted = 0;
    for case in 0..n_cases {
        let bytes = mutated(&saved, &mut rng);
        let mut policy = new();
        let mut result = Ok(());
        let info = allocation_counter::measure(|| result = policy.load(&bytes));
        let (allocated, n) = (info.bytes_max, bytes.len() as u64);
        assert!(allocated <= PER_BYTE * n + BESIDES, "{name}, case {case}: {n} bytes allocated {allocated}");
        if result.is_ok() {
            n_accepted += 1;
            decide(policy.as_mut(), n_decisions[1], &mut rng);
        }
    }
    n_accepted
}

#[test]
fn a_mutated_state_of_a_schedule_is_refused_or_decides_soundly() {
    for schedule in Schedule::ALL {
        let n = accepted(schedule.name(), &|| schedule.policy(Some(1000), 3).unwrap(), [60, 30], 4000);
        let remembers = matches!(schedule, Schedule::Plateau | Schedule::Greedy | Schedule::Random);
        // What remembers nothing is refused, unless a case has cut all of it off.
        assert_eq!(n > 400, remembers, "{schedule}: {n} accepted");
    }
}

#[test]
fn a_mutated_state_of_a_controller_is_refused_or_decides_soundly() {
    for name in ["lr", "weight-decay", "joint", "hu-lr", "hu-lambda", "lr-line-search"] {
        let n = accepted(name, &|| Box::new(Controller::pretrained(name).unwrap()), [60, 20], 1500);
        assert!(n > 100, "{name}: {n} accepted");
    }
}

#[test]
fn a_mutated_state_of_a_controller_that_learns_or_has_learned_is_refused_or_decides_soundly() {
    let config = OnlineConfig { learning_starts: 8, batch_size: 8, epsilon: 0.3, ..OnlineConfig::default() };
    let learning = || Controller::pretrained("lr").unwrap().online(config.clone(), 5).unwrap();
    let frozen = || {
        let mut controller = learning();
        controller.freeze();
        controller
    };
    accepted("online", &|| Box::new(learning()), [30, 3], 250);
    accepted("frozen", &|| Box::new(frozen()), [30, 20], 250);
    // The settings of the learning are those of the run, not of a file.
    let mut other = Controller::pretrained("lr").unwrap().online(OnlineConfig::default(), 5).unwrap();
    assert!(other.load(&learning().save()).is_err());
    assert!(Controller::pretrained("lr").unwrap().load(&learning().save()).is_err());
}

#[test]
fn the_states_of_plateau_and_greedy_that_were_once_accepted_are_refused() {
    for schedule in [Schedule::Plateau, Schedule::Greedy] {
        let mut policy = schedule.policy(None, 0).unwrap();
        decide(policy.as_mut(), 5, &mut stream(0, "signals"));
        let saved = policy.save();
        let before = saved.clone();
        // The rate of the next step is the last number of the head.
        for next in [-3338.0, f64::INFINITY, 0.0, -0.0] {
            let mut bytes = saved.clone();
            bytes[32..40].copy_from_slice(&f64::to_le_bytes(next));
            assert!(policy.load(&bytes).is_err(), "{schedule}: {next}");
        }
        assert_eq!(policy.save(), before, "it is as it was");
    }
}

fn guarded(total_steps: u64) -> DriverConfig {
    let guard = GuardConfig { drift: Some(1.5), first_update: Some(0.5), ..GuardConfig::default() };
    DriverConfig { guard: Some(guard), total_steps: Some(total_steps), ..DriverConfig::default() }
}

#[test]
fn a_mutated_state_of_a_driver_is_refused_or_orders_soundly() {
    let mut rng = stream(2, "driver");
    let new = |schedule: Schedule| {
        let policy: Box<dyn Policy> = if schedule == Schedule::AlwaysAccept {
            Box::new(Controller::pretrained("lr").unwrap())
        } else {
            schedule.policy(Some(200), 1).unwrap()
        };
        Driver::new(policy, 0.1, 1e-3, guarded(200)).unwrap()
    };
    let run = |driver: &mut Driver, n: u64, rng: &mut ChaCha8Rng| {
        for _ in 0..n {
            let loss = if rng.random_range(0..9) == 0 { f32::NAN } else { rng.random_range(0.0..3.0) };
            let measured = || Measured { param_norm: 2.0, distance: 0.3, ..Measured::default() };
            if let Order::Apply { lr, weight_decay, .. } = driver.step(&[loss], true, measured) {
                assert!(lr > 0.0 && lr.is_finite() && weight_decay >= 0.0 && weight_decay.is_finite());
            }
        }
    };
    for schedule in [Schedule::Plateau, Schedule::Greedy, Schedule::Cosine, Schedule::AlwaysAccept] {
        let mut driver = new(schedule);
        run(&mut driver, 80, &mut rng);
        if matches!(schedule, Schedule::Greedy | Schedule::AlwaysAccept) {
            driver.cool_down(50).unwrap();
        }
        let saved = artifact::to_bytes(&driver.state());
        let mut n_accepted = 0;
        for case in 0..2000 {
            let bytes = mutated(&saved, &mut rng);
            let mut driver = new(schedule);
            let mut state = None;
            let info = allocation_counter::measure(|| state = artifact::from_bytes::<DriverState>(&bytes).ok());
            let (allocated, n) = (info.bytes_max, bytes.len() as u64);
            assert!(allocated <= PER_BYTE * n + BESIDES, "{schedule}, case {case}: {n} bytes allocated {allocated}");
            let before = driver.state();
            match state.map(|state| driver.load_state(state)) {
                Some(Ok(())) => {
                    n_accepted += 1;
                    run(&mut driver, 60, &mut rng);
                }
                Some(Err(_)) => assert_eq!(driver.state(), before, "it is as it was"),
                None => {}
            }
        }
        assert!(n_accepted > 20, "{schedule}: {n_accepted} accepted");
    }
}

#[test]
fn a_mutated_line_search_is_refused_by_one_of_its_kind_or_steps_soundly() {
    let mut rng = stream(3, "search");
    let controller = || Controller::pretrained("hu-lr").unwrap();
    let config = controller().recipe().line_search.unwrap();
    let new = || LineSearch::new(0.5, 1e-3, config, DriverConfig::default()).unwrap();
    let bowl = |x: &[f32], grad: &mut [f32]| {
        grad.copy_from_slice(x);
        x.iter().map(|&x| 0.5 * f64::from(x * x)).sum()
    };
    let saved = artifact::to_bytes(&minimize(bowl, &[1.0, -2.0], &mut controller(), new(), 15).unwrap().search);
    let mut n_accepted = 0;
    for _ in 0..2000 {
        let Ok(search) = artifact::from_bytes::<LineSearch>(&mutated(&saved, &mut rng)) else { continue };
        if search.check_like(&new()).is_ok() {
            n_accepted += 1;
            let end = minimize(bowl, &[1.0, -2.0], &mut controller(), search, 15).unwrap();
            assert!(end.search.lr() > 0.0 && end.search.lr().is_finite() && end.search.weight_decay() >= 0.0);
        }
    }
    assert!(n_accepted > 20, "{n_accepted} accepted");
}

/// The state after a way through JSON, and that through the wire format of files: both are the state to the bit. JSON holds
/// whole numbers alone: others lose their last bits with some readers, and NaN with all of them.
fn there_and_back<T: Serialize + DeserializeOwned>(what: &str, state: &T) -> [T; 2] {
    fn has_fractions(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.is_f64(),
            Value::Array(all) => all.iter().any(has_fractions),
            Value::Object(all) => all.values().any(has_fractions),
            _ => false,
        }
    }
    let (text, bytes) = (serde_json::to_value(state).unwrap(), artifact::to_bytes(state));
    assert!(!has_fractions(&text), "{what}: {text}");
    let back = [serde_json::from_value(text).unwrap(), artifact::from_bytes(&bytes).unwrap()];
    assert!(back.iter().all(|back| artifact::to_bytes(back) == bytes), "{what} has changed");
    back
}

#[test]
fn what_a_run_remembers_is_the_same_bits_after_json_and_after_bytes() {
    let mut rng = stream(7, "memory");
    let mut measure = Measure::default();
    measure.measure(&[0.1, f32::NAN], &[f32::INFINITY, 0.3]);
    there_and_back("measure", &measure);
    let [low, high] = [0.1, 1.0 / 3.0];
    for set in [FeatureSet::Scalefree, FeatureSet::Hansen6, FeatureSet::ScalefreeValidation] {
        there_and_back("features", &set.tracker(Controls::Both));
    }
    let odd = Exploration::Softmax { temperature: low * 3.0 };
    there_and_back("explorer", &Explorer::new(odd, &[low, high, high]).unwrap());
    let network = QNetwork::new(2, &[3], 2, true, &mut rng);
    there_and_back("network", &network);
    there_and_back("learner", &Learner::new(vec![network], AgentConfig::default()));
    let mut replay = Replay::new(ReplayConfig::Uniform { capacity: 9 });
    replay.push(Episode {
        n_features: 1,
        observations: vec![f32::NAN, 0.1],
        actions: vec![1],
        rewards: vec![f32::NEG_INFINITY],
        discount: 0.9,
        terminated: false,
    });
    there_and_back("replay", &replay);
    let config = Controller::pretrained("hu-lr").unwrap().recipe().line_search.unwrap();
    let mut search = LineSearch::new(low * 3.0, high * 1e-3, config, guarded(200)).unwrap();
    let step = |search: &mut LineSearch, n: usize| {
        let mut policy = Controller::pretrained("hu-lr").unwrap();
        let measured = Measured::default();
        (0..n).for_each(|i| _ = search.next_step(&mut policy, high / (i + 1) as f64, &measured, true).unwrap());
        artifact::to_bytes(search)
    };
    step(&mut search, 14);
    let back = there_and_back("line search", &search);
    let expected = step(&mut search, 9);
    back.into_iter().for_each(|mut back| assert!(step(&mut back, 9) == expected));
}

/// The file with its payload mutated, and a header that says nothing of it.
#[cfg(feature = "meta")]
fn mutated_file(file: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let payload = mutated(&file[20..], rng);
    let mut header = file[..16].to_vec();
    header[8..].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    let checksum = crc32fast::hash(&[&header[..], &payload[..]].concat());
    [&header[..], &checksum.to_le_bytes()[..], &payload[..]].concat()
}

#[cfg(feature = "meta")]
#[test]
fn a_mutated_checkpoint_of_a_meta_training_is_refused_or_goes_on() {
    use qgd::meta::{MetaTraining, TrainingRecipe};
    let recipe = || {
        let mut recipe = TrainingRecipe::load(std::path::Path::new("controllers/lr.toml")).unwrap();
        let training = &mut recipe.training;
        (training.rounds, training.episodes_per_round, training.updates_per_round) = (4, 2, 2);
        (training.validation_tasks, training.tasks.horizon, training.agent.batch_size) = (1, [20, 30], 16);
        recipe.controller.network.hidden = vec![8];
        recipe
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let mut training = MetaTraining::new(recipe(), 5, 1).unwrap();
    training.round().unwrap();
    training.checkpoint(&path).unwrap();
    let (whole, mut rng, mut n_accepted) = (std::fs::read(&path).unwrap(), stream(6, "meta"), 0);
    for _ in 0..12 {
        std::fs::write(&path, mutated_file(&whole, &mut rng)).unwrap();
        if let Ok(mut training) = MetaTraining::resume(&path, recipe(), 5, 1) {
            n_accepted += 1;
            // Weights of any size are weights: the agent may diverge at once, which is said.
            assert!(training.round().map_or(true, |report| report.inner_steps > 0));
        }
    }
    assert!(n_accepted > 0, "{n_accepted} accepted");
}

#[cfg(feature = "torch")]
mod with_tch {
    use super::*;
    use qgd::data::Batches;
    use qgd::driver::Pilot;
    use qgd::torch::{Algorithm, OptimConfig, Optimizer, QController, QControllerState, QLineSearch, QLineSearchState};
    use tch::nn::{self, VarStore};
    use tch::{Device, Kind, Tensor};

    struct Net {
        vs: VarStore,
        x: Tensor,
        norm: nn::BatchNorm,
    }

    fn net() -> Net {
        let vs = VarStore::new(Device::Cpu);
        let x = vs.root().f_ones("x", &[4, 3]).unwrap();
        let norm = nn::batch_norm1d(vs.root() / "norm", 3, nn::BatchNormConfig::default());
        Net { vs, x, norm }
    }

    impl Net {
        fn loss(&self) -> Tensor {
            let shifted = &self.x + Tensor::from_slice(&[0.1f32, 0.2, 0.4]);
            let seen = nn::ModuleT::forward_t(&self.norm, &shifted, true);
            shifted.square().mean(Kind::Float) + seen.square().mean(Kind::Float) * 1e-3
        }
    }

    fn controller(net: &Net) -> QController {
        let optimizer = Optimizer::new(&net.vs, OptimConfig::new(Algorithm::ADAM, 1e-2)).unwrap();
        let pilot = Pilot::from(Controller::pretrained("lr").unwrap());
        QController::new(optimizer, pilot.with_config(guarded(200))).unwrap()
    }

    #[test]
    fn a_mutated_state_of_a_controlled_run_is_refused_or_steps_soundly() {
        tch::set_num_threads(1);
        let mut rng = stream(4, "run");
        let whole = net();
        let mut run = controller(&whole);
        (0..40).for_each(|_| run.backward_step(&whole.loss()).unwrap());
        let saved = artifact::to_bytes(&run.state().unwrap());
        let mut n_accepted = 0;
        for case in 0..300 {
            let bytes = mutated(&saved, &mut rng);
            let mut state = None;
            let info = allocation_counter::measure(|| state = artifact::from_bytes::<QControllerState>(&bytes).ok());
            let (allocated, n) = (info.bytes_max, bytes.len() as u64);
            assert!(allocated <= PER_BYTE * n + BESIDES, "case {case}: {n} bytes allocated {allocated}");
            let net = net();
            let mut run = controller(&net);
            if state.is_some_and(|state| run.load_state(state).is_ok()) {
                n_accepted += 1;
                for _ in 0..5 {
                    run.backward_step(&net.loss()).unwrap();
                    assert!(run.lr() > 0.0 && run.lr().is_finite(), "case {case}");
                }
            }
        }
        assert!(n_accepted > 10, "{n_accepted} accepted");
    }

    #[test]
    fn a_controlled_run_goes_on_to_the_bit_after_json_and_after_bytes() {
        tch::set_num_threads(1);
        let (whole, mut rng) = (net(), stream(8, "batches"));
        let mut run = controller(&whole);
        let mut batches = Batches::new(3, 40, 4).unwrap();
        let steps = |net: &Net, run: &mut QController, batches: &mut Batches| {
            for _ in 0..20 {
                let drawn: i64 = batches.draw().unwrap().iter().sum();
                let broken = if drawn % 7 == 0 { f64::NAN } else { drawn as f64 / 80.0 };
                run.backward_step(&(net.loss() * broken)).unwrap();
            }
            (artifact::to_bytes(&run.state().unwrap()), artifact::to_bytes(batches))
        };
        (0..rng.random_range(2..4)).for_each(|_| _ = steps(&whole, &mut run, &mut batches));
        run.cool_down(15).unwrap();
        let states = there_and_back("run", &run.state().unwrap());
        let rests = there_and_back("batches", &batches);
        let expected = steps(&whole, &mut run, &mut batches);
        for (state, mut batches) in states.into_iter().zip(rests) {
            let net = net();
            let mut run = controller(&net);
            run.load_state(state).unwrap();
            assert!(steps(&net, &mut run, &mut batches) == expected, "it has gone another way");
        }
        let optimizer = Optimizer::new(&whole.vs, OptimConfig::new(Algorithm::ADAM, 0.1 * 3.0)).unwrap();
        there_and_back("optimizer", &optimizer.state().unwrap());
    }

    #[test]
    fn a_line_search_on_a_net_goes_on_to_the_bit_after_json_and_after_bytes() {
        tch::set_num_threads(1);
        let new = |net: &Net| {
            let sgd = Optimizer::new(&net.vs, OptimConfig::new(Algorithm::SGD, 0.3)).unwrap();
            let controller = Controller::pretrained("hu-lr").unwrap();
            let config = controller.recipe().line_search.unwrap();
            QLineSearch::new(sgd, controller, config).unwrap()
        };
        let steps = |net: &Net, search: &mut QLineSearch| {
            (0..15).for_each(|_| _ = search.backward_step(&net.loss()).unwrap());
            artifact::to_bytes(&search.state().unwrap())
        };
        let whole = net();
        let mut search = new(&whole);
        steps(&whole, &mut search);
        let states = there_and_back("line search", &search.state().unwrap());
        let expected = steps(&whole, &mut search);
        for state in states {
            let net = net();
            let mut search = new(&net);
            search.load_state(state).unwrap();
            assert!(steps(&net, &mut search) == expected, "it has gone another way");
        }
    }

    #[test]
    fn a_mutated_state_of_a_line_search_is_refused_or_steps_soundly() {
        tch::set_num_threads(1);
        let mut rng = stream(5, "run");
        let new = |net: &Net| {
            let sgd = Optimizer::new(&net.vs, OptimConfig::new(Algorithm::SGD, 0.5)).unwrap();
            let controller = Controller::pretrained("hu-lr").unwrap();
            let config = controller.recipe().line_search.unwrap();
            QLineSearch::new(sgd, controller, config).unwrap()
        };
        let whole = net();
        let mut search = new(&whole);
        (0..15).for_each(|_| _ = search.backward_step(&whole.loss()).unwrap());
        let saved = artifact::to_bytes(&search.state().unwrap());
        let mut n_accepted = 0;
        for case in 0..300 {
            let Ok(state) = artifact::from_bytes::<QLineSearchState>(&mutated(&saved, &mut rng)) else { continue };
            let net = net();
            let mut search = new(&net);
            if search.load_state(state).is_ok() {
                n_accepted += 1;
                for _ in 0..3 {
                    let step = search.backward_step(&net.loss()).unwrap();
                    assert!(step.lr > 0.0 && step.lr.is_finite() && step.weight_decay >= 0.0, "case {case}");
                }
            }
        }
        assert!(n_accepted > 20, "{n_accepted} accepted");
    }
}
