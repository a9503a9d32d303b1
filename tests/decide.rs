//! A decision allocates nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use qgd::{Controller, LossWindow, Measured, Policy, Signals};

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
