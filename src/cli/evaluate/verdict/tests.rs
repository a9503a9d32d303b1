use super::*;
use crate::cli::evaluate::cache::Score;

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
    MethodRuns { name: name.to_owned(), starts: losses.iter().enumerate().map(start).collect() }
}

fn problem(methods: Vec<MethodRuns>) -> ProblemRuns {
    let seeds = (0..methods[0].starts[0].cells.len() as u64).collect();
    let conditioning = "none".to_owned();
    ProblemRuns { task: "letter".to_owned(), optimizer: "adam", conditioning, horizon: 1, steps: 800, seeds, methods }
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
    assert!(test.is_accuracy && close(test.own[0], 0.85) && close(test.own[2], 0.87) && close(test.cosine[1], 0.9));
    let pooled = pooled_deficit(&runs, &verdicts, true).unwrap();
    assert!(pooled.n_pairs == 3 && close(pooled.mean, 4.0), "{pooled:?}");
    let [low, high] = pooled.interval;
    assert!((3.0 - 1e-9..=4.0).contains(&low) && (4.0..=5.0 + 1e-9).contains(&high), "{pooled:?}");
    assert!(pooled_deficit(&runs, &verdicts, false).is_none());
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
    let accuracy = pooled_deficit(&all, &verdicts, true).unwrap();
    assert!(accuracy.n_pairs == 3 && accuracy.mean.abs() < 1e-9, "{accuracy:?}");
    let loss = pooled_deficit(&all, &verdicts, false).unwrap();
    assert!(loss.n_pairs == 3 && close(loss.mean.exp(), 1.2), "{loss:?}");
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
