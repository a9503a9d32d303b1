use super::*;
use crate::policy::{LossWindow, Measured};

/// Wants to halve always, but for what the recipe asks of it.
fn pessimist(evidence: &str) -> Controller {
    let text = format!(
        "schema = 1\nname = 'test'\ndescription = 'test'\ncontrols = 'lr'\nmoves = ['halve', 'accept', 'grow']\n\
         features = 'scalefree'\n{evidence}\n[pace]\nprobe_steps = 30"
    );
    let recipe = Recipe::parse(&text, "test").unwrap();
    let n_features = recipe.features.names().len();
    let mut network = QNetwork::new(n_features, &[4], 3, false, &mut crate::rng::stream(0, "test")).zeros_like();
    network.params_mut()[3].copy_from_slice(&[2.0, 1.0, 0.0]);
    let ranges = vec![[-1.0, 1.0]; n_features];
    Controller::new(Arc::new(Pretrained::new(recipe, vec![network], ranges, Card::default()).unwrap()))
}

/// Number of halvings at these losses, one a step; where it does not halve, it says why.
fn halvings(mut controller: Controller, losses: impl Iterator<Item = f32>, update_cosine: f64) -> usize {
    let seen = (0..).zip(losses).map(|(step, loss)| Signals {
        step,
        window: LossWindow::of(&[loss]),
        measured: Measured { update_cosine, ..Measured::default() },
        lr: 0.1,
        lr_base: 0.1,
        ..Signals::default()
    });
    let halves = |signals| {
        let decision = controller.decide(&signals);
        assert_eq!(decision.lr_factor < 1.0, decision.reason == Reason::Policy, "{decision:?}");
        decision.lr_factor < 1.0
    };
    seen.map(halves).filter(|&halved| halved).count()
}

#[test]
fn with_evidence_asked_for_it_halves_only_where_the_loss_has_been_lower() {
    let noisy =
        |trend: f32| (0..30u8).map(move |step| 2.0 + trend * f32::from(step) + if step % 2 == 0 { 0.03 } else { 0.0 });
    let patient = || pessimist("halve_evidence = 0.5");
    assert_eq!(halvings(pessimist(""), noisy(-0.05), 0.0), 30);
    assert_eq!(halvings(patient(), noisy(-0.05), 0.0), 0, "the loss falls");
    assert!(halvings(patient(), noisy(0.05), 0.0) > 20, "the loss rises");
    assert!(halvings(patient(), noisy(-0.05), 0.9) > 20, "successive steps agree");
    assert_eq!(halvings(patient(), noisy(-0.05).chain(noisy(-0.05)), 0.0), 30, "after probing");
}

#[test]
fn a_row_of_features_has_the_q_values_that_a_decision_rests_on() {
    let mut controller = Controller::pretrained("lr").unwrap();
    controller.decide(&Signals { window: LossWindow::of(&[1.0]), lr: 0.1, lr_base: 0.1, ..Signals::default() });
    let seen = controller.explain().unwrap();
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let pretrained = Pretrained::shipped("lr").unwrap();
    assert_eq!(bits(&pretrained.q_values(seen.features).unwrap()), bits(seen.q_values));
    let far: Vec<f32> = pretrained.ranges().iter().map(|range| range[1] + 1.0).collect();
    let highest: Vec<f32> = pretrained.ranges().iter().map(|range| range[1]).collect();
    assert_eq!(bits(&pretrained.q_values(&far).unwrap()), bits(&pretrained.q_values(&highest).unwrap()));
    let refused = pretrained.q_values(&seen.features[1..]);
    assert!(matches!(refused, Err(PretrainedError::Width { found: 38, expected: 39, .. })), "{refused:?}");
}
