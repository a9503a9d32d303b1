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

/// Loss, through another one, up to which it is called no worse. Chosen here.
pub const FREE: f64 = 1.05;

/// What a figure says about words of the paper.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    Borne,
    Contradicted,
    /// It leans to one side, and may do so by chance.
    Open {
        leans_with: bool,
    },
}

impl Verdict {
    /// Of a figure that chance has no part in.
    fn of(holds: bool) -> Self {
        if holds { Self::Borne } else { Self::Contradicted }
    }

    /// Of the share of `n` studies that bear the words out.
    fn of_share(share: f64, n: usize) -> Self {
        if is_chance(share, n) { Self::Open { leans_with: share > 0.5 } } else { Self::of(share > 0.5) }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Borne => "as the paper says",
            Self::Contradicted => "**against the paper's words**",
            Self::Open { leans_with: true } => "open, leans to the paper's words",
            Self::Open { leans_with: false } => "open, does not lean to the paper's words",
        }
    }
}

/// Whether so uneven a share of `n` studies comes by chance in more than one of twenty cases: the sign test, both sides.
fn is_chance(share: f64, n: usize) -> bool {
    // A share is a rounded number of halves.
    let least = (share.max(1.0 - share) * n as f64 + 1e-9).floor() as usize;
    // Binomial coefficients, each from the one before.
    let mut ways = 1.0;
    let mut tail = 0.0;
    for k in 0..=n {
        if k >= least {
            tail += ways;
        }
        ways *= (n - k) as f64 / (k + 1) as f64;
    }
    2.0 * tail / 2f64.powi(i32::try_from(n).unwrap_or(i32::MAX)) > 0.05
}

/// What the paper says, and what was measured.
pub fn verdicts(results: &Results) -> Vec<String> {
    let n = results.n_trials;
    let few = FEW.min(n);
    let [small, wide] = Size::ALL;
    let of = |sampler: &str| TECHNIQUES.iter().position(|it| it.sampler == sampler).unwrap_or(RANDOM);
    let n_studies = results.of(small, RANDOM, Way::Alone).count();
    let figure_of = |size: Size, technique: usize, n: usize| {
        let (name, share) = (TECHNIQUES[technique].name, percent(results.wins(size, technique, n)));
        format!(
            "{name} is better than random search in {share} of the studies after {n} trials in the {} space",
            size.name()
        )
    };
    let better = |size: Size, technique: usize, n: usize| {
        (figure_of(size, technique, n), Verdict::of_share(results.wins(size, technique, n), n_studies))
    };
    let worse = |size: Size, technique: usize, n: usize| {
        (figure_of(size, technique, n), Verdict::of_share(1.0 - results.wins(size, technique, n), n_studies))
    };
    let mut points = Vec::new();
    let mut say = |row: usize, words: &str, (figure, verdict): (String, Verdict)| {
        points.push(format!("{}, *{words}*: {figure}: {}.", PAPER[row][0], verdict.in_words()));
    };
    let (grid, nas, taught) = (of(super::GRID), of("nas"), of(super::TAUGHT));
    say(0, "small search space", better(small, grid, n));
    say(0, "inefficient and impractical in high-dimensional spaces", worse(wide, grid, n));
    let missed: Vec<bool> = Size::ALL.into_iter().flat_map(|size| missed(results, size)).collect();
    let share = mean(missed.iter().map(|&missed| f64::from(u8::from(missed))));
    let figure = format!("another technique found a better net in {} of the studies", percent(share));
    say(1, "may miss optimal configurations", (figure, Verdict::of_share(share, missed.len())));
    let others = || (0..TECHNIQUES.len()).filter(|&technique| technique != RANDOM).map(|it| results.wins(wide, it, n));
    let decided = |is_above: bool| others().filter(|&it| !is_chance(it, n_studies) && (it > 0.5) == is_above).count();
    let [above, below] = [true, false].map(decided);
    let figure =
        format!("of the {} others {above} are surely better in the wide space, {below} surely worse", others().count());
    let verdict = if above == below { Verdict::Open { leans_with: false } } else { Verdict::of(below > above) };
    say(1, "high-dimensional space", (figure, verdict));
    let times_sooner = |technique| median(&results.figures(&Size::ALL, technique, MOST_WORKERS, Finished::speed_up));
    let random = times_sooner(RANDOM);
    say(1, "parallelizable", (format!("{} times sooner with 4 workers", times(random)), Verdict::of(random >= 3.0)));
    for technique in ["gp", "tpe"].map(of) {
        say(2, "efficient, focuses on promising areas", better(small, technique, n));
        say(2, "large search space", better(wide, technique, n));
        let (own, price) =
            (times_sooner(technique), median(&results.through_alone(&Size::ALL, technique, MOST_WORKERS)));
        let name = TECHNIQUES[technique].name;
        let figure = format!(
            "{name} ends {} times sooner with 4 workers, random search {}; its loss is {} of that without",
            times(own),
            times(random),
            times(price)
        );
        let verdict = Verdict::of(own < 0.9 * random || price > FREE);
        say(2, "the iterative nature ... limits the degree of parallelization", (figure, verdict));
    }
    say(3, "automates architecture design", better(wide, nas, n));
    let [own, randoms] = [nas, RANDOM].map(|it| results.trials_in_words(results.until_random(wide, it)[0]));
    let (_, verdict) = worse(wide, nas, n);
    let figure = format!("in the wide space it needs {own} trials for what random search has found by trial {randoms}");
    say(3, "computationally expensive", (figure, verdict));
    for size in Size::ALL {
        say(4, "reuses learned knowledge; few-shot", better(size, taught, few));
    }
    let share = 1.0 - mean(Size::ALL.map(|size| results.wins(size, taught, n)));
    let lost: Vec<String> = Size::ALL.into_iter().flat_map(|size| lost(results, size, taught)).collect();
    let where_lost = if lost.is_empty() { String::new() } else { format!(", above all on {}", lost.join(", ")) };
    let figure =
        format!("the taught agent ends worse than random search in {} of the studies{where_lost}", percent(share));
    say(4, "hard to transfer across tasks", (figure, Verdict::of_share(share, 2 * n_studies)));
    let (saved, price) =
        (results.saved(&Size::ALL, RANDOM, PRUNED), median(&results.through_alone(&Size::ALL, RANDOM, PRUNED)));
    let figure =
        format!("`median` saves {} of the steps, and the loss is {} of that without", percent(saved), times(price));
    let verdict = Verdict::of(saved > 0.0 && price <= FREE);
    say(1, "early stopping ... can help ... make the search more efficient", (figure, verdict));
    points
}

/// Whether another technique is better than random search at the end: for each data set and seed.
fn missed(results: &Results, size: Size) -> Vec<bool> {
    let others = (0..TECHNIQUES.len()).filter(|&technique| technique != RANDOM);
    let all: Vec<Vec<f64>> = others.map(|it| results.through_random(size, it, results.n_trials)).collect();
    let n = all.iter().map(Vec::len).min().unwrap_or(0);
    (0..n).map(|i| all.iter().any(|ratios| ratios[i] < 1.0)).collect()
}

/// Data sets on which a technique ends clearly worse than random search, by the median over the seeds.
fn lost(results: &Results, size: Size, technique: usize) -> Vec<String> {
    let studies: Vec<&Finished> = results.of(size, technique, Way::Alone).collect();
    let ratios = results.through_random(size, technique, results.n_trials);
    let on = |problem: usize| {
        let own = studies.iter().zip(&ratios).filter(|(study, _)| study.problem == problem);
        median(&own.map(|(_, ratio)| *ratio).collect::<Vec<_>>())
    };
    let is_lost = |(problem, net): (usize, &SmallNet)| {
        let ratio = on(problem);
        (ratio > FREE).then(|| format!("{} ({} space, loss {} times random's)", net.name, size.name(), times(ratio)))
    };
    results.nets.iter().enumerate().filter_map(is_lost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_rarely_chance_is_a_verdict() {
        // By tables of the sign test: 6 of 6 (0.031) and 8 of 9 (0.039), but not 5 of 5 (0.063), 5 of 6 or 7 of 9.
        let is =
            [(6, 6), (0, 6), (8, 9), (5, 5), (5, 6), (7, 9), (3, 6)].map(|(k, n)| is_chance(k as f64 / n as f64, n));
        assert_eq!(is, [false, false, false, true, true, true, true]);
        assert_eq!(Verdict::of_share(0.0, 6), Verdict::Contradicted);
        assert_eq!(Verdict::of_share(0.5, 6), Verdict::Open { leans_with: false });
    }
}
