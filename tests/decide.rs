//! A decision allocates nothing, and every feature tells the network something.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use qgd::controller::{FeatureSet, Features};
use qgd::meta::{Task, TaskConfig, rollout};
use qgd::rng::stream;
use qgd::schedule::RandomActions;
use qgd::{Controller, Decision, Driver, LossWindow, Measured, Policy, Signals};

#[test]
fn a_decision_allocates_nothing() {
    let mut controller = Controller::pretrained("lr").unwrap();
    let signals = |step| Signals {
        step,
        window: LossWindow::of(&[2.0, 1.0]),
        measured: Measured::default(),
        lr: 0.1,
        lr_base: 0.1,
        ..Signals::default()
    };
    (0..20).for_each(|step| {
        controller.decide(&signals(step));
    });
    let info = allocation_counter::measure(|| {
        (20..120).for_each(|step| {
            std::hint::black_box(controller.decide(&signals(step)));
        });
    });
    assert_eq!(info.count_total, 0);
}

/// The random policy, watched by the features.
struct Watched {
    random: RandomActions,
    features: Features,
    last: Option<qgd::Action>,
    seen: Vec<Vec<f32>>,
}

impl Policy for Watched {
    fn decide(&mut self, signals: &Signals) -> Decision {
        let mut row = vec![0.0; FeatureSet::Scalefree.names().len()];
        self.features.update(signals, self.last, &mut row);
        self.seen.push(row);
        let decision = self.random.decide(signals);
        self.last = decision.action;
        decision
    }
}

#[test]
fn every_feature_varies_over_an_episode_of_the_random_policy() {
    // The published code had features that were constant: an alignment of a gradient with itself, a list never reset.
    let mut task =
        Task::draw(&TaskConfig { families: [0.0, 0.0, 1.0, 0.0], ..TaskConfig::default() }, &mut stream(3, "task"));
    task.weight_decay = 1e-3;
    task.horizon = 200;
    let watched = Watched {
        random: RandomActions::new(1),
        features: FeatureSet::Scalefree.tracker(qgd::Controls::Lr),
        last: None,
        seen: Vec::new(),
    };
    let config = qgd::DriverConfig { total_steps: Some(200), ..Default::default() };
    let mut driver = Driver::new(watched, 1e-2, 1e-3, config).unwrap();
    rollout(&mut task, &mut driver, false);
    let seen = driver.into_policy().seen;
    for (i, name) in FeatureSet::Scalefree.names().iter().enumerate() {
        let values: Vec<f32> = seen.iter().map(|row| row[i]).collect();
        let (low, high) = values.iter().fold((1f32, -1f32), |(l, h), &v| (l.min(v), h.max(v)));
        // The one optional signal: nobody reports a validation loss here.
        assert!(high > low || *name == "validation_gap", "{name} is always {low}");
    }
}
