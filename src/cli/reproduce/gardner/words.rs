//! The words of the paper, and whether the figures bear them out.

use super::problem::Size;
use super::results::{FEW, MOST_WORKERS, PRUNED, Results, percent, times};
use super::{Finished, RANDOM, TECHNIQUES, Way};
use crate::cli::reproduce::small_net::SmallNet;
use qgd::statistics::{mean, median};

/// Table 1 of the paper: technique, pros, cons, applicability.
pub const PAPER: [[&str; 4]; 5] = [
    ["Grid Search", "Exhaustive, deterministic", "Computationally expensive", "Small search space"],
    ["Random Search", "Broad exploration, parallelizable", "May miss optimal configurations", "High-dimensional space"],
    [
        "Bayesian Optimization",
        "Efficient, focuses on promising areas",
        "Requires surrogate model",
        "Large search space",
    ],
    [
        "Neural Architecture Search (NAS)",
        "Automates architecture design",
        "Computationally expensive, complex",
        "Deep learning tasks",
    ],
    ["Meta-Learning", "Reuses learned knowledge", "Hard to transfer across tasks", "Few-shot learning"],
];

/// Loss, through that without, up to which a saving is called free of cost. Chosen here.
const FREE: f64 = 1.05;

/// What the paper says, and what was measured.
pub fn verdicts(results: &Results) -> Vec<String> {
    let n = results.n_trials;
    let few = FEW.min(n);
    let [small, wide] = Size::ALL;
    let of = |sampler: &str| TECHNIQUES.iter().position(|it| it.sampler == sampler).unwrap_or(RANDOM);
    let better = |size: Size, technique: usize, n: usize| {
        let share = results.wins(size, technique, n);
        let name = TECHNIQUES[technique].name;
        let figure = format!(
            "{name} is better than random search in {} of the studies after {n} trials in the {} space",
            percent(share),
            size.name()
        );
        (figure, share)
    };
    let mut points = Vec::new();
    let mut say = |row: usize, words: &str, (figure, holds): (String, bool)| {
        let verdict = if holds { "as the paper says" } else { "**against the paper's words**" };
        points.push(format!("{}, *{words}*: {figure}: {verdict}.", PAPER[row][0]));
    };
    let (grid, nas, taught) = (of(super::GRID), of("nas"), of(super::TAUGHT));
    let (figure, share) = better(small, grid, n);
    say(0, "small search space", (figure, share >= 0.5));
    let (figure, share) = better(wide, grid, n);
    say(0, "inefficient and impractical in high-dimensional spaces", (figure, share <= 0.5));
    let missed =
        mean(Size::ALL.into_iter().flat_map(|size| missed(results, size)).map(|missed| f64::from(u8::from(missed))));
    let figure = format!("another technique found a better net in {} of the studies", percent(missed));
    say(1, "may miss optimal configurations", (figure, missed > 0.5));
    let rivals = (0..TECHNIQUES.len()).filter(|&it| it != RANDOM && results.wins(wide, it, n) > 0.5).count();
    let figure =
        format!("{rivals} of the {} others are better in most studies in the wide space", TECHNIQUES.len() - 1);
    say(1, "high-dimensional space", (figure, 2 * rivals < TECHNIQUES.len() - 1));
    let times_sooner = |technique| median(&results.figures(&Size::ALL, technique, MOST_WORKERS, Finished::speed_up));
    let random = times_sooner(RANDOM);
    say(1, "parallelizable", (format!("{} times sooner with 4 workers", times(random)), random >= 3.0));
    for technique in ["gp", "tpe"].map(of) {
        let (figure, share) = better(small, technique, n);
        say(2, "efficient, focuses on promising areas", (figure, share > 0.5));
        let (figure, share) = better(wide, technique, n);
        say(2, "large search space", (figure, share > 0.5));
        let (own, price) =
            (times_sooner(technique), median(&results.through_alone(&Size::ALL, technique, MOST_WORKERS)));
        let name = TECHNIQUES[technique].name;
        let figure = format!(
            "{name} ends {} times sooner with 4 workers, random search {}; its loss is {} of that without",
            times(own),
            times(random),
            times(price)
        );
        say(
            2,
            "the iterative nature ... limits the degree of parallelization",
            (figure, own < 0.9 * random || price > FREE),
        );
    }
    let (figure, share) = better(wide, nas, n);
    say(3, "automates architecture design", (figure, share > 0.5));
    let [trials, random_trials] = [nas, RANDOM].map(|technique| results.until_random(wide, technique)[0]);
    let [own, randoms] = [trials, random_trials].map(|trials| results.trials_in_words(trials));
    let figure = format!("in the wide space it needs {own} trials for what random search has found by trial {randoms}");
    say(3, "computationally expensive", (figure, trials > random_trials));
    for size in Size::ALL {
        let (figure, share) = better(size, taught, few);
        say(4, "reuses learned knowledge; few-shot", (figure, share > 0.5));
    }
    let worse: Vec<String> = Size::ALL.into_iter().flat_map(|size| lost(results, size, taught)).collect();
    let figure = match &worse[..] {
        [] => "the taught agent ends no worse than random search on any data set".to_owned(),
        _ => format!("the taught agent ends worse than random search on {}", worse.join(", ")),
    };
    say(4, "hard to transfer across tasks", (figure, !worse.is_empty()));
    let (saved, price) =
        (results.saved(&Size::ALL, RANDOM, PRUNED), median(&results.through_alone(&Size::ALL, RANDOM, PRUNED)));
    let figure =
        format!("`median` saves {} of the steps, and the loss is {} of that without", percent(saved), times(price));
    say(1, "early stopping ... can help ... make the search more efficient", (figure, saved > 0.0 && price <= FREE));
    points
}

/// Whether another technique is better than random search at the end: for each data set and seed.
fn missed(results: &Results, size: Size) -> Vec<bool> {
    let others = (0..TECHNIQUES.len()).filter(|&technique| technique != RANDOM);
    let all: Vec<Vec<f64>> = others.map(|it| results.through_random(size, it, results.n_trials)).collect();
    let n = all.iter().map(Vec::len).min().unwrap_or(0);
    (0..n).map(|i| all.iter().any(|ratios| ratios[i] < 1.0)).collect()
}

/// Data sets on which a technique ends worse than random search, by the median over the seeds.
fn lost(results: &Results, size: Size, technique: usize) -> Vec<String> {
    let studies: Vec<&Finished> = results.of(size, technique, Way::Alone).collect();
    let ratios = results.through_random(size, technique, results.n_trials);
    let on = |problem: usize| {
        let own = studies.iter().zip(&ratios).filter(|(study, _)| study.problem == problem);
        median(&own.map(|(_, ratio)| *ratio).collect::<Vec<_>>())
    };
    let is_lost = |(problem, net): (usize, &SmallNet)| {
        let ratio = on(problem);
        (ratio > 1.0).then(|| format!("{} ({} space, loss {} times random's)", net.name, size.name(), times(ratio)))
    };
    results.nets.iter().enumerate().filter_map(is_lost).collect()
}
