use super::*;
use crate::controller::{Card, Controller, Pretrained, Recipe};
use crate::driver::{Driver, DriverConfig, GuardConfig, Order, TraceRecord};
use crate::policy::{LossWindow, Measured, Signals};
use crate::policy::{Policy, Reason};
use std::sync::{Arc, Mutex};

const RECIPE: &str = "
schema = 1
name = 'test'
description = 'test'
controls = 'lr'
moves = ['halve', 'accept', 'grow']
features = 'scalefree'
[pace]
probe_steps = 0
fixed = 1
[training.agent]
n_step = 1
gamma_unknown = 0.5
tau = 0.05
ensemble = 2
";

fn controller(seed: u64) -> Controller {
    let recipe = Recipe::parse(RECIPE, "test").unwrap();
    let n = recipe.features.names().len();
    let mut rng = stream(seed, "q-network");
    let networks = (0..2).map(|_| QNetwork::new(n, &[16], 3, true, &mut rng)).collect();
    let card = Card { recipe_hash: recipe.hash(), ..Card::default() };
    Controller::new(Arc::new(Pretrained::new(recipe, networks, vec![[-1.0, 1.0]; n], card).unwrap()))
}

fn keen() -> OnlineConfig {
    OnlineConfig { epsilon: 0.3, lr: 2e-3, batch_size: 32, learning_starts: 32, ..OnlineConfig::default() }
}

/// A run in which the loss answers to the action alone: growing halves it, halving doubles it; the state never tells.
struct Bandit {
    controller: Controller,
    loss: f64,
    step: u64,
}

impl Bandit {
    fn new(controller: Controller) -> Self {
        Self { controller, loss: 1.0, step: 0 }
    }

    fn signals(&self) -> Signals {
        Signals {
            step: self.step,
            window: LossWindow::of(&[self.loss as f32]),
            measured: Measured::default(),
            lr: 0.1,
            lr_base: 0.1,
            ..Signals::default()
        }
    }

    fn decide(&mut self) -> (crate::Decision, Vec<u32>) {
        let decision = self.controller.decide(&self.signals());
        self.loss = match decision.lr_factor {
            f if f > 1.0 => self.loss * 0.5,
            f if f < 1.0 => self.loss * 2.0,
            _ => self.loss,
        };
        // Far enough from zero and from infinity that every reward is the same whenever it is earned.
        if !(1.0..1e6).contains(&self.loss) {
            self.loss = 1e3;
            if let super::super::Chooser::Learn(online) = &mut self.controller.chooser {
                online.cut();
            }
        }
        self.step += 1;
        let bits = self.controller.explain().unwrap().q_values.iter().map(|q| q.to_bits()).collect();
        (decision, bits)
    }

    /// Q(grow) - Q(halve) as it sees things now.
    fn preference(&mut self) -> f32 {
        let q = self.controller.explain().unwrap().q_values;
        q[2] - q[0]
    }
}

#[test]
fn it_learns_in_the_run_which_action_pays() {
    for seed in 0..5 {
        let mut run = Bandit::new(controller(seed).online(keen(), seed).unwrap());
        run.decide();
        let before = run.preference();
        for _ in 0..800 {
            run.decide();
        }
        let after = run.preference();
        assert!(after > before + 0.3 && after > 0.5, "seed {seed}: {before} to {after}");
        // Frozen, it does what it learned, and goes on doing so.
        run.controller.freeze();
        let n_grow = (0..20).filter(|_| run.decide().0.lr_factor > 1.0).count();
        assert_eq!(n_grow, 20, "seed {seed}");
    }
}

#[test]
fn a_frozen_controller_decides_as_one_that_never_learned() {
    let (mut plain, mut frozen) = (Bandit::new(controller(1)), controller(1).online(keen(), 5).unwrap());
    frozen.freeze();
    assert!(!frozen.is_learning() && frozen.n_updates() == 0);
    let mut frozen = Bandit::new(frozen);
    for _ in 0..200 {
        assert_eq!(plain.decide(), frozen.decide());
    }
    // Before anything is stored, what it thinks is what it was pretrained to think.
    let mut online = Bandit::new(controller(1).online(OnlineConfig { epsilon: 0.0, ..keen() }, 5).unwrap());
    let mut plain = Bandit::new(controller(1));
    for _ in 0..32 {
        assert_eq!(plain.decide(), online.decide());
    }
}

#[test]
fn a_resumed_run_goes_on_bit_identically() {
    for cut_after in [0, 1, 20, 90, 150] {
        let new = || Bandit::new(controller(2).online(keen(), 9).unwrap());
        let mut whole = new();
        for _ in 0..cut_after {
            whole.decide();
        }
        let saved = whole.controller.save();
        let mut resumed = Bandit { loss: whole.loss, step: whole.step, ..new() };
        resumed.controller.load(&saved).unwrap();
        assert_eq!(resumed.controller.save(), saved);
        for t in 0..100 {
            assert_eq!(whole.decide(), resumed.decide(), "cut after {cut_after}, {t} decisions later");
        }
        assert_eq!(whole.controller.save(), resumed.controller.save());
        assert_eq!(whole.controller.n_updates() > 0, cut_after + 100 > 32);
    }
    // What was learned survives being frozen and saved too, also in a controller that was never online.
    let mut learned = Bandit::new(controller(2).online(keen(), 9).unwrap());
    (0..100).for_each(|_| drop(learned.decide()));
    learned.controller.freeze();
    let mut resumed = Bandit { controller: controller(2), ..learned };
    let mut learned = Bandit { controller: resumed.controller.clone(), ..resumed };
    resumed.controller.load(&learned.controller.save()).unwrap();
    assert_eq!((learned.decide(), learned.decide()), (resumed.decide(), resumed.decide()));
}

#[test]
fn another_seed_explores_otherwise() {
    let actions = |seed| {
        let mut run = Bandit::new(controller(2).online(keen(), seed).unwrap());
        (0..60).map(|_| run.decide().0.lr_factor.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(actions(1), actions(1));
    assert_ne!(actions(1), actions(2));
}

#[test]
fn what_the_guard_does_is_never_learned_as_an_action_of_the_agent() {
    let log: Arc<Mutex<Vec<(Reason, usize)>>> = Arc::default();
    let controller = controller(3).online(OnlineConfig { learning_starts: 10_000, ..keen() }, 1).unwrap();
    let config = DriverConfig { guard: Some(GuardConfig::default()), ..DriverConfig::default() };
    let mut driver = Driver::new(controller, 0.1, 0.0, config).unwrap();
    let sink = log.clone();
    let moves = [0.5, 1.0, 1.25];
    driver.on_decision(Box::new(move |record: &TraceRecord<'_>| {
        // A second look at a high loss is no action at all.
        let Some(action) = record.action.map(|a| a.lr.factor()) else { return };
        let index = moves.iter().position(|m| (m - action).abs() < 1e-9).unwrap();
        sink.lock().unwrap().push((record.reason, index));
    }));
    let mut n_stopped = 0;
    for t in 0..120u32 {
        // Two steps of seven go wrong: a NaN twice, or twice a loss a thousand times as high.
        let lost = if (t / 7) % 2 == 0 { f32::NAN } else { 1000.0 };
        let loss = if t % 7 < 5 { 1.0 } else { lost };
        let order = driver.step(&[loss], true, Measured::default);
        n_stopped += u64::from(!matches!(order, Order::Apply { .. }));
    }
    assert!(n_stopped > 30 && driver.rollbacks() > 15 && driver.rollbacks() < n_stopped, "some were looked at twice");
    let own: Vec<usize> = log
        .lock()
        .unwrap()
        .iter()
        .filter(|(r, _)| matches!(r, Reason::Policy | Reason::Exploration))
        .map(|r| r.1)
        .collect();
    let controller = driver.into_policy();
    let super::super::Chooser::Learn(online) = &controller.chooser else { panic!("it is learning") };
    // The last decision is still open; the newest transition is the one before it.
    assert_eq!(online.replay.len(), own.len() - 1);
    let mut replay = online.replay.clone();
    let mut stored = Vec::new();
    let batch = replay.sample(20_000, 1, &mut stream(0, "all"));
    (0..3).for_each(|a| stored.push(batch.actions.iter().filter(|&&b| b == a).count() as f64 / 20_000.0));
    for (a, share) in stored.iter().enumerate() {
        let taken = own[..own.len() - 1].iter().filter(|&&b| b == a).count() as f64 / (own.len() - 1) as f64;
        assert!((share - taken).abs() < 0.02, "action {a}: {share} of the memory, {taken} of its decisions");
    }
    // The guard put the loss back to 1 before the next decision, so no reward knows of the wreck.
    assert!(batch.returns.iter().all(|r| r.abs() < 1e-6));
    replay.append(0, 0.5, &[0.0], 0, 0.0, &[0.0]);
    assert!(!replay.fits(&replay, batch.obs.len() / 20_000, 3));
}

#[test]
fn a_decision_it_did_not_take_is_not_learned_from() {
    let mut online =
        Online::new(controller(4).recipe(), controller(4).pretrained.networks().to_vec(), keen(), 0).unwrap();
    let n = controller(4).recipe().features.names().len();
    let (obs, q) = (vec![0.1; n], [0.0; 3]);
    let actions = controller(4).actions;
    online.observe(&obs, 1.0, false);
    assert!(online.replay.is_empty(), "nothing came before the first decision");
    online.act(&obs, &q, 1.0, &actions);
    online.observe(&obs, 0.5, false);
    online.cut();
    online.observe(&obs, 9.0, false);
    assert_eq!(online.replay.len(), 1);
    online.act(&obs, &q, 4.0, &actions);
    online.observe(&obs, 2.0, false);
    let rewards = online.replay.sample(100, 5, &mut stream(0, "r")).returns;
    let expected = |from: f64, to: f64| ((from + 3e-3) / (to + 3e-3)).ln();
    for reward in rewards {
        // Five steps ahead, and yet one reward: the two transitions do not follow each other.
        let near = |v: f64| (f64::from(reward) - v).abs() < 1e-5;
        assert!(near(expected(1.0, 0.5)) || near(expected(4.0, 2.0)), "{reward}");
    }
}

#[test]
fn a_state_of_another_controller_is_refused_and_changes_nothing() {
    let mut own = controller(5).online(keen(), 1).unwrap();
    let before = own.save();
    let other = Recipe::parse(&RECIPE.replace("scalefree", "hansen6"), "test").unwrap();
    let networks = vec![QNetwork::new(6, &[16], 3, true, &mut stream(0, "n"))];
    let pretrained = Pretrained::new(other, networks, vec![[-1.0, 1.0]; 6], own.card().clone()).unwrap();
    let foreign = Controller::new(Arc::new(pretrained));
    assert!(own.load(&foreign.save()).is_err(), "other features");
    assert!(own.load(&foreign.online(keen(), 1).unwrap().save()).is_err());
    assert!(own.load(&before[..before.len() - 1]).is_err());
    assert_eq!(own.save(), before);
}

#[test]
fn a_driver_freezes_the_policy_in_its_box() {
    let controller = controller(7).online(OnlineConfig { epsilon: 1.0, ..keen() }, 1).unwrap();
    let policy: Box<dyn Policy> = Box::new(controller);
    let mut driver = Driver::new(policy, 0.1, 0.0, DriverConfig::default()).unwrap();
    let mut decide = |freeze: bool| {
        if freeze {
            driver.freeze();
        }
        let _ = driver.step(&[1.0], true, Measured::default);
        driver.last_decision().unwrap().reason
    };
    assert!((0..20).all(|_| decide(false) == Reason::Exploration));
    assert!((0..20).all(|_| decide(true) == Reason::Policy));
}

#[test]
fn an_agent_that_diverges_goes_on_as_it_was_pretrained() {
    let mut run = Bandit::new(controller(8).online(OnlineConfig { lr: 1e38, ..keen() }, 1).unwrap());
    (0..60).for_each(|_| drop(run.decide()));
    assert!(!run.controller.is_learning());
    let mut plain = Bandit { controller: controller(8), ..run };
    let mut run = Bandit { controller: run.controller, ..plain };
    plain.controller.load(&run.controller.save()).unwrap();
    (0..20).for_each(|_| assert_eq!(plain.decide(), run.decide()));
}

#[test]
fn every_edge_of_the_table_is_checked() {
    let bad = [
        OnlineConfig { epsilon: 1.1, ..Default::default() },
        OnlineConfig { epsilon: f64::NAN, ..Default::default() },
        OnlineConfig { sticky_decisions: 0.5, ..Default::default() },
        OnlineConfig { lr: 0.0, ..Default::default() },
        OnlineConfig { updates_per_decision: 1001, ..Default::default() },
        OnlineConfig { batch_size: 0, ..Default::default() },
        OnlineConfig { learning_starts: 0, ..Default::default() },
        OnlineConfig { capacity: 0, ..Default::default() },
    ];
    for config in bad {
        let error = controller(6).online(config, 0).err().unwrap().to_string();
        assert!(error.contains("must be"), "{error}");
    }
    assert!(controller(6).online(OnlineConfig::default(), 0).is_ok());
}
