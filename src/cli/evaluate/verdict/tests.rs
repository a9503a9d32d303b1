use super::*;
use crate::cli::evaluate::groups::{accuracy_deficit, groups, log_test_loss_ratio, records, regimes};
use crate::cli::evaluate::regime::Regime;
use crate::cli::evaluate::runs::Start;
use qgd::statistics::geometric_mean;

/// A run with this training loss, and a test accuracy or a test loss.
fn score(train_loss: f64, test: f64, is_accuracy: bool) -> Score {
    Score {
        train_loss: Some(train_loss).filter(|loss| loss.is_finite()),
        validation_loss: None,
        test_loss: Some(test),
        test_accuracy: is_accuracy.then_some(test),
        rollbacks: 0,
    }
}

/// A method by the losses of its starts, with the same factors for the seeds at every start.
fn method(
    name: &str,
    losses: &[f64],
    seeds: &[f64],
    test: impl Fn(usize, usize) -> f64,
    is_accuracy: bool,
) -> MethodRuns {
    let start = |(i, &loss): (usize, &f64)| {
        let cell = |(seed, factor): (usize, &f64)| score(loss * factor, test(i, seed), is_accuracy);
        let cells: Vec<Score> = seeds.iter().enumerate().map(cell).collect();
        Start { lr: 10f64.powi(i as i32 - 5), train_loss: geometric_mean(cells.iter().map(Score::train)), cells }
    };
    let starts = losses.iter().enumerate().map(start).collect();
    MethodRuns { name: name.to_owned(), starts, seconds: vec![1.0] }
}

fn problem(methods: Vec<MethodRuns>) -> ProblemRuns {
    let seeds = (0..methods[0].starts[0].cells.len() as u64).collect();
    let conditioning = "none".to_owned();
    ProblemRuns {
        task: "letter".to_owned(),
        optimizer: "adam",
        conditioning,
        horizon: 1,
        steps: 800,
        exposures: 3.2,
        regime: Regime::Between,
        // A floor of 0.01.
        first_loss: 1.0,
        seeds,
        methods,
    }
}

/// Factors with product 1, so that geometric means stay what they are.
const SEEDS: [f64; 3] = [0.5, 1.0, 2.0];

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-9
}

#[test]
fn ratios_by_hand() {
    let own = method("lr", &[0.09, 0.19, 0.11, 0.13, 0.29, 0.08], &SEEDS, |_, _| 0.9, true);
    // The last four are beside the best: they count for its best, not for its median.
    let cosine = method("cosine", &[2.0, 1.0, 0.2, 0.1, 0.4, 3.0, 0.05, 0.09, 0.2, 0.3], &SEEDS, |_, _| 0.9, true);
    let greedy = method("greedy", &[2.0, 1.0, 0.03, 0.1, 0.4, 3.0], &SEEDS, |_, _| 0.9, true);
    let verdict = Verdict::of(&problem(vec![own, cosine, greedy])).unwrap();
    assert!(close(verdict.best, 0.08) && close(verdict.median, 0.12) && close(verdict.worst, 0.29));
    assert!(close(verdict.tuned_ratio.unwrap(), 0.13 / 0.06), "{verdict:?}");
    assert!(close(verdict.worst_ratio, 0.30 / 0.13));
    assert_eq!(verdict.best_rival, "greedy");
    assert!(close(verdict.rivals_ratio, 0.13 / 0.04));
    let cosine = verdict.against_cosine().unwrap();
    assert!(close(cosine.median, 0.7) && close(cosine.untuned_ratio, 0.13 / 0.71) && close(cosine.best_start, 10.0));
}

#[test]
fn the_floor_is_a_share_of_the_untrained_loss_and_the_former_one_is_not() {
    let runs = |scale: f64| {
        let losses = [0.09, 0.19, 0.11, 0.13, 0.29, 0.08].map(|loss| scale * loss);
        let cosine = method("cosine", &[0.05 * scale; 6], &SEEDS, |_, _| 0.9, true);
        let own = method("lr", &losses, &SEEDS, |_, _| 0.9, true);
        ProblemRuns { first_loss: scale, ..problem(vec![own, cosine]) }
    };
    // Whatever the unit of the loss.
    for scale in [1.0, 100.0, 1e-3] {
        let verdict = Verdict::of(&runs(scale)).unwrap();
        assert!(close(verdict.tuned_ratio.unwrap(), 0.13 / 0.06) && close(verdict.worst_ratio, 0.30 / 0.13));
        let against = verdict.against_cosine().unwrap();
        assert!(close(against.ratio, 0.13 / 0.06) && close(against.untuned_ratio, 0.13 / 0.06));
        let old = (0.12 * scale + 0.01) / (0.05 * scale + 0.01);
        assert!(close(verdict.old.tuned_ratio.unwrap(), old) && close(against.old_ratio, old));
        assert!(close(verdict.old.worst_ratio, (0.29 * scale + 0.01) / (0.12 * scale + 0.01)));
    }
}

#[test]
fn without_cosine_there_is_no_tuned_ratio() {
    let own = method("lr", &[0.1; 6], &SEEDS, |_, _| 0.9, true);
    let verdict = Verdict::of(&problem(vec![own, method("greedy", &[0.2; 6], &SEEDS, |_, _| 0.9, true)])).unwrap();
    assert!(verdict.tuned_ratio.is_none() && verdict.test.is_none());
    assert!(Verdict::of(&problem(vec![method("lr", &[0.1; 6], &SEEDS, |_, _| 0.9, true)])).is_none());
}

#[test]
fn a_run_that_diverged_counts_as_the_worst_loss() {
    let own = method("lr", &[0.1, 0.1, 0.1, 0.1, 0.1, f64::NAN], &[1.0], |_, _| 0.9, true);
    let diverged = Start { train_loss: 1e3, ..own.starts.into_iter().last().unwrap() };
    assert!(diverged.cells[0].train().is_nan());
    let mut own = method("lr", &[0.1; 5], &[1.0], |_, _| 0.9, true);
    own.starts.push(diverged);
    let cosine = method("cosine", &[0.1; 6], &[1.0], |_, _| 0.9, true);
    assert!(close(Verdict::of(&problem(vec![own, cosine])).unwrap().worst, 1e3));
}

#[test]
fn a_difference_in_every_seed_is_a_win_or_a_loss_and_noise_is_a_tie() {
    let outcome = |factors: [f64; 3]| {
        let own = method("lr", &[0.1; 6], &factors, |_, _| 0.9, true);
        let cosine = method("cosine", &[0.1; 6], &SEEDS, |_, _| 0.9, true);
        let verdict = Verdict::of(&problem(vec![own, cosine])).unwrap();
        let cosine = verdict.against_cosine().unwrap();
        (cosine.outcome, cosine.p_value.unwrap())
    };
    assert_eq!(outcome([0.3, 0.61, 1.2]).0, Outcome::Win);
    assert_eq!(outcome([0.8, 1.6, 3.3]).0, Outcome::Loss);
    assert_eq!(outcome([0.3, 1.6, 1.9]).0, Outcome::Tie);
    assert_eq!(outcome(SEEDS), (Outcome::Tie, 1.0));
    // ln((0.03, 0.061, 0.12) + 0.01) - ln((0.05, 0.1, 0.2) + 0.01): mean -0.44263, deviation 0.03320, t = 23.1, two
    // degrees of freedom.
    let p = outcome([0.3, 0.61, 1.2]).1;
    let d = [(0.04f64 / 0.06).ln(), (0.071f64 / 0.11).ln(), (0.13f64 / 0.21).ln()];
    let t = paired_t_test(&d).unwrap().t.abs();
    assert!(close(p, 1.0 - t / (2.0 + t * t).sqrt()), "{p}");
}

#[test]
fn one_seed_decides_nothing() {
    let own = method("lr", &[0.01; 6], &[1.0], |_, _| 0.9, true);
    let verdict = Verdict::of(&problem(vec![own, method("cosine", &[1.0; 6], &[1.0], |_, _| 0.9, true)])).unwrap();
    assert_eq!((verdict.rivals[0].outcome, verdict.rivals[0].p_value), (Outcome::Tie, None));
}

#[test]
fn accuracy_is_compared_at_the_middle_starts_with_cosine_at_its_best() {
    // By loss the middle starts are the second and the third.
    let own = method(
        "lr",
        &[0.9, 0.3, 0.4, 0.8, 0.1, 0.2],
        &SEEDS,
        |i, seed| [0.1, 0.8, 0.9, 0.2, 0.3, 0.4][i] + 0.01 * seed as f64,
        true,
    );
    let cosine = method("cosine", &[0.9, 0.1, 0.9, 0.9, 0.9, 0.9], &SEEDS, |i, _| if i == 1 { 0.9 } else { 0.0 }, true);
    let runs = [problem(vec![own, cosine])];
    let verdicts = [Verdict::of(&runs[0]).unwrap()];
    let test = verdicts[0].test.as_ref().unwrap();
    let accuracy = test.accuracy.as_ref().unwrap();
    assert!(close(accuracy.own[0], 0.85) && close(accuracy.own[2], 0.87) && close(accuracy.cosine[1], 0.9));
    let pooled = accuracy_deficit(&runs, &verdicts).unwrap();
    assert!(pooled.n_pairs == 3 && close(pooled.mean, 4.0), "{pooled:?}");
    let [low, high] = pooled.interval;
    assert!((3.0 - 1e-9..=4.0).contains(&low) && (4.0..=5.0 + 1e-9).contains(&high), "{pooled:?}");
    assert!(log_test_loss_ratio(&runs, &verdicts).is_none(), "no regression");
}

#[test]
fn pairs_of_task_and_seed_are_pooled_over_optimizers_and_regression_apart() {
    let runs = |optimizer, accuracy: f64| {
        let own = method("lr", &[0.1; 6], &SEEDS, |_, _| accuracy, true);
        ProblemRuns { optimizer, ..problem(vec![own, method("cosine", &[0.1; 6], &SEEDS, |_, _| 0.9, true)]) }
    };
    let own = method("lr", &[0.1; 6], &SEEDS, |_, _| 0.6, false);
    let wine = problem(vec![own, method("cosine", &[0.1; 6], &SEEDS, |_, _| 0.5, false)]);
    let wine = ProblemRuns { task: "wine".to_owned(), ..wine };
    let all = [runs("sgd", 0.88), runs("adam", 0.92), wine];
    let verdicts: Vec<Verdict> = all.iter().map(|runs| Verdict::of(runs).unwrap()).collect();
    let accuracy = accuracy_deficit(&all, &verdicts).unwrap();
    assert!(accuracy.n_pairs == 3 && accuracy.mean.abs() < 1e-9, "{accuracy:?}");
    let loss = log_test_loss_ratio(&all, &verdicts).unwrap();
    assert!(loss.n_pairs == 3 && close(loss.mean.exp(), 1.2), "{loss:?}");
    // The test loss of all three in one mean: 0.88 / 0.9, 0.92 / 0.9, 0.6 / 0.5.
    let groups = groups(&all, &verdicts);
    let of_all = groups.last().unwrap();
    let expected = (0.88f64 / 0.9 * 0.92 / 0.9 * 1.2).cbrt();
    assert!(close(of_all.test_loss_ratio.unwrap(), expected) && close(of_all.regression_loss_ratio.unwrap(), 1.2));
    assert!(close(groups[0].accuracy_deficit.unwrap(), 2.0), "{groups:?}");
}

#[test]
fn regimes_are_means_over_the_problems_that_are_seen_so_often() {
    let runs = |optimizer, regime, loss: f64, accuracy: f64| {
        let own = method("lr", &[loss; 6], &SEEDS, |_, _| accuracy, true);
        let cosine = method("cosine", &[0.09; 6], &SEEDS, |_, _| 0.9, true);
        ProblemRuns { optimizer, regime, ..problem(vec![own, cosine]) }
    };
    // Ratios 0.5, 2 and 4; points of accuracy 1, -2 and 3.
    let all = [
        runs("sgd", Regime::SeenOnceOrTwice, 0.04, 0.89),
        runs("adam", Regime::LearnedByHeart, 0.19, 0.92),
        runs("adam", Regime::SeenOnceOrTwice, 0.39, 0.87),
    ];
    let verdicts: Vec<Verdict> = all.iter().map(|runs| Verdict::of(runs).unwrap()).collect();
    let found: Vec<(String, usize, f64, f64)> = regimes(&all, &verdicts)
        .into_iter()
        .map(|group| {
            let rounded = |value: Option<f64>| (100.0 * value.unwrap()).round() / 100.0;
            (group.name, group.n_problems, rounded(group.tuned_ratio), rounded(group.accuracy_deficit))
        })
        .collect();
    let expected = [
        ("learned by heart, adam", 1, 2.0, -2.0),
        ("learned by heart, all", 1, 2.0, -2.0),
        ("seen once or twice, sgd", 1, 0.5, 1.0),
        ("seen once or twice, adam", 1, 4.0, 3.0),
        ("seen once or twice, all", 2, 1.41, 2.0),
    ];
    assert_eq!(found, expected.map(|(name, n, ratio, points)| (name.to_owned(), n, ratio, points)));
}

#[test]
fn without_test_examples_there_is_no_test_loss() {
    let mut own = method("lr", &[0.1; 6], &SEEDS, |_, _| 0.5, false);
    let mut cosine = method("cosine", &[0.1; 6], &SEEDS, |_, _| 0.5, false);
    let cells = [&mut own, &mut cosine].into_iter().flat_map(|of| &mut of.starts).flat_map(|start| &mut start.cells);
    cells.for_each(|cell| cell.test_loss = None);
    let runs = [problem(vec![own, cosine])];
    let verdicts = [Verdict::of(&runs[0]).unwrap()];
    assert!(verdicts[0].test.as_ref().unwrap().loss.is_none());
    assert!(log_test_loss_ratio(&runs, &verdicts).is_none() && groups(&runs, &verdicts)[0].test_loss_ratio.is_none());
}

#[test]
fn groups_are_geometric_means_over_their_problems() {
    let runs = |optimizer, horizon, loss: f64| {
        let own = method("lr", &[loss; 6], &SEEDS, |_, _| 0.9, true);
        let cosine = method("cosine", &[0.09; 6], &SEEDS, |_, _| 0.9, true);
        ProblemRuns { optimizer, horizon, ..problem(vec![own, cosine]) }
    };
    // Ratios 0.5, 2 and 4.
    let all = [runs("sgd", 1, 0.04), runs("adam", 1, 0.19), runs("adam", 4, 0.39)];
    let verdicts: Vec<Verdict> = all.iter().map(|runs| Verdict::of(runs).unwrap()).collect();
    let found: Vec<(String, usize, f64)> = groups(&all, &verdicts)
        .into_iter()
        .map(|group| (group.name, group.n_problems, (100.0 * group.tuned_ratio.unwrap()).round() / 100.0))
        .collect();
    let expected = [
        ("sgd, own horizon", 1, 0.5),
        ("adam, own horizon", 1, 2.0),
        ("all, own horizon", 2, 1.0),
        ("adam, 4× horizon", 1, 4.0),
        ("all, 4× horizon", 1, 4.0),
        ("sgd, all horizons", 1, 0.5),
        ("adam, all horizons", 2, 2.83),
        ("all, all horizons", 3, 1.59),
    ];
    assert_eq!(found, expected.map(|(name, n, ratio)| (name.to_owned(), n, ratio)));
    let records = records(&["cosine".to_owned()], &verdicts);
    assert_eq!((records[0].n_problems, records[0].wins, records[0].ties, records[0].losses), (3, 1, 0, 2));
    assert!(close(records[0].ratio, 4f64.powf(1.0 / 3.0)));
}
