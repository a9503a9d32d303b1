//! Importance of each parameter, by the trials of a study.
//!
//! PED-ANOVA (Watanabe, Bansal, Hutter 2023, arXiv 2304.10255): a parameter matters more the more its values in good
//! trials differ in their distribution from those in all trials. With `p` the density in all trials and `q` that in the
//! best tenth, both on a grid of at most 50 cells:
//!
//! ```text
//! D = sum over cells of p (q / p - 1)^2
//! ```
//!
//! the Pearson divergence. The densities are sums of one Gaussian a cell, weighted by the trials in it, with Scott's
//! bandwidth and one wide Gaussian as prior; choices are counted. Where a parameter has several ranges, or is active in
//! some trials only, each such regime `i` counts with `alpha_i^2 / beta_i`, where `alpha_i` and `beta_i` are its parts
//! of the good and of all trials (conditional PED-ANOVA, arXiv 2601.20800, theorem 4.2). The result is each parameter's
//! part of the sum. Cells, bandwidth and prior are those of Optuna's `PedAnovaImportanceEvaluator`, so both give the
//! same numbers. Other than there, a study with several objectives is looked at one objective at a time.

use super::direction::Direction;
use super::distribution::Distribution;
use super::space::Space;
use super::trial::{Past, Trial, TrialState};
use std::collections::BTreeSet;

/// Share of the trials that count as good.
const GOOD: f64 = 0.1;

/// Number of complete trials below which an [importance](importance()) is a guess: the best tenth is fewer than five.
pub const FEW_TRIALS: usize = 50;

/// Largest number of cells of a grid.
const MAX_CELLS: usize = 50;

/// Number of trials that a regime must have to count.
const MIN_TRIALS: usize = 2;

/// Smallest deviation: nine tenths of such a Gaussian lie in one cell.
const MIN_SIGMA: f64 = 0.5 / 1.64;

/// Names and shares of all parameters of the complete trials with finite values, the largest share first. Shares are
/// not negative and their sum is 1; they are equal where the trials show no difference. A parameter that can have only
/// one value has the share 0 always, so where all are such parameters, all shares are 0. `objective` is the index of
/// the value, and `direction` its direction.
///
/// ```
/// use qgd::tuner::{Direction, Distribution, Parameter, Space, Study, StudyConfig, importance};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let space = Space::new(["x", "y"].map(|name| Parameter::new(name, Distribution::float(-1.0, 1.0))))?;
/// let study = Study::in_memory(space, StudyConfig::default())?;
/// for _ in 0..100 {
///     let trial = study.ask()?;
///     study.tell(trial.number(), trial.float("x")?.abs() + 0.01 * trial.float("y")?)?;
/// }
/// let shares = importance(&study.trials()?, 0, Direction::Minimize);
/// assert!(shares[0].0 == "x" && shares[0].1 > 0.8);
/// # Ok(()) }
/// ```
pub fn importance(trials: &[Trial], objective: usize, direction: Direction) -> Vec<(String, f64)> {
    let value = |trial: &Trial| trial.values.get(objective).copied().filter(|value| value.is_finite());
    let complete = trials.iter().filter(|trial| trial.state == TrialState::Complete);
    let (costs, seen): (Vec<f64>, Vec<&Trial>) =
        complete.filter_map(|t| value(t).map(|value| (direction.cost(value), t))).unzip();
    let names: BTreeSet<&String> = seen.iter().flat_map(|trial| trial.params.keys()).collect();
    let names: Vec<&String> = names.into_iter().collect();
    let of = |trial: usize, parameter: usize| {
        seen[trial].params.get(names[parameter]).map(|assigned| (&assigned.distribution, assigned.inner))
    };
    ranked(&costs, names.len(), of).into_iter().map(|(i, share)| (names[i].clone(), share)).collect()
}

/// The same for trials as samplers see them; parameters by their place in `space`.
pub(super) fn of_past(trials: &[&Past], space: &Space, direction: Direction) -> Vec<(usize, f64)> {
    let value = |past: &Past| past.values.first().copied().filter(|value| value.is_finite());
    let complete = trials.iter().filter(|past| past.state == TrialState::Complete);
    let (costs, seen): (Vec<f64>, Vec<&Past>) =
        complete.filter_map(|&past| value(past).map(|value| (direction.cost(value), past))).unzip();
    let distribution = |i: usize| &space.parameters()[i].distribution;
    ranked(&costs, space.len(), |trial, i| seen[trial].point[i].map(|inner| (distribution(i), inner)))
}

/// Index and share of each parameter, the largest first. `of(trial, parameter)` is the distribution and the value of a
/// parameter in a trial.
fn ranked<'a>(
    costs: &[f64],
    n_parameters: usize,
    of: impl Fn(usize, usize) -> Option<(&'a Distribution, f64)>,
) -> Vec<(usize, f64)> {
    let good = good_ones(costs);
    let column = |parameter: usize| (0..costs.len()).map(|trial| of(trial, parameter)).collect::<Vec<_>>();
    let divergences: Vec<f64> = (0..n_parameters).map(|parameter| divergence(&column(parameter), &good)).collect();
    let is_single = |i: usize| (0..costs.len()).all(|trial| of(trial, i).is_none_or(|(d, _)| d.is_single()));
    let is_single: Vec<bool> = (0..n_parameters).map(is_single).collect();
    let n_others = is_single.iter().filter(|is_single| !**is_single).count();
    let sum = divergences.iter().sum::<f64>();
    let share = |i: usize| match is_single[i] {
        true => 0.0,
        false if sum > 0.0 => divergences[i] / sum,
        false => 1.0 / n_others as f64,
    };
    let mut shares: Vec<(usize, f64)> = (0..n_parameters).map(|i| (i, share(i))).collect();
    // Stable: equal shares stay in order.
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

/// Whether each trial is among the best tenth, or as good as the last of these.
fn good_ones(costs: &[f64]) -> Vec<bool> {
    let mut sorted = costs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cutoff = ((GOOD * costs.len() as f64).ceil() as usize).checked_sub(1).map_or(f64::NEG_INFINITY, |i| sorted[i]);
    costs.iter().map(|cost| *cost <= cutoff).collect()
}

/// A range that a parameter has had, its values in all trials, and in good ones.
type Regime<'a> = (&'a Distribution, Vec<f64>, Vec<f64>);

/// The divergence of a parameter, over all its regimes. None of `column` where it was not active.
fn divergence(column: &[Option<(&Distribution, f64)>], good: &[bool]) -> f64 {
    let mut regimes: Vec<Regime<'_>> = Vec::new();
    for (found, is_good) in column.iter().zip(good) {
        let Some((distribution, inner)) = *found else { continue };
        let i = regimes.iter().position(|regime| regime.0 == distribution).unwrap_or_else(|| {
            regimes.push((distribution, Vec::new(), Vec::new()));
            regimes.len() - 1
        });
        regimes[i].1.push(inner);
        regimes[i].2.extend(is_good.then_some(inner));
    }
    let (n_all, n_good) = (good.len() as f64, good.iter().filter(|is_good| **is_good).count() as f64);
    let counts = |(distribution, all, best): &&Regime<'_>| {
        all.len() >= MIN_TRIALS && !best.is_empty() && !distribution.is_single() && n_cells(distribution) > 1
    };
    let weighted = |(distribution, all, best): &Regime<'_>| {
        let (alpha, beta) = (best.len() as f64 / n_good, all.len() as f64 / n_all);
        let (p, q) = (density(distribution, all), density(distribution, best));
        alpha * alpha / beta * p.iter().zip(&q).map(|(p, q)| p * (q / p - 1.0).powi(2)).sum::<f64>()
    };
    regimes.iter().filter(counts).map(weighted).sum()
}

/// Number of cells of the grid on which a parameter is looked at.
fn n_cells(distribution: &Distribution) -> usize {
    match distribution {
        Distribution::Categorical { choices } => choices.len(),
        Distribution::Int { low, high, log: true, .. } => {
            MAX_CELLS.min(((low.abs_diff(*high) as f64 + 1.0).log2().ceil() as usize).saturating_add(1))
        }
        _ => distribution.n_values().map_or(MAX_CELLS, |n| MAX_CELLS.min(usize::try_from(n).unwrap_or(MAX_CELLS))),
    }
}

/// The density of `values`, cell by cell; never 0.
fn density(distribution: &Distribution, values: &[f64]) -> Vec<f64> {
    let n = n_cells(distribution);
    let mut counts = vec![0.0; n];
    values.iter().for_each(|&value| counts[cell(distribution, n, value)] += 1.0);
    let seen: Vec<(f64, f64)> =
        counts.iter().enumerate().filter(|(_, n)| **n > 0.0).map(|(i, &n)| (i as f64, n)).collect();
    let density = match distribution {
        Distribution::Categorical { .. } => of_choices(n, &seen),
        _ => of_numbers(n, &seen),
    };
    density.into_iter().map(|p| p + 1e-12).collect()
}

/// The cell of a value. One in the middle between two cells belongs to the lower.
fn cell(distribution: &Distribution, n_cells: usize, value: f64) -> usize {
    let place = |low: f64, high: f64| ((value - low) / ((high - low) / (n_cells - 1) as f64) - 0.5).ceil();
    let place = match distribution {
        Distribution::Float { low, high, log: false, .. } => place(*low, *high),
        Distribution::Int { low, high, log: false, .. } => place(*low as f64, *high as f64),
        Distribution::Float { low, high, .. } => log_place(value, *low, *high, n_cells),
        Distribution::Int { low, high, .. } => log_place(value, *low as f64, *high as f64, n_cells),
        Distribution::Categorical { .. } => value,
    };
    (place.max(0.0) as usize).min(n_cells - 1)
}

fn log_place(value: f64, low: f64, high: f64, n_cells: usize) -> f64 {
    ((value.ln() - low.ln()) / ((high.ln() - low.ln()) / (n_cells - 1) as f64) - 0.5).ceil()
}

/// One kernel for each choice that was seen, and a flat one.
fn of_choices(n: usize, seen: &[(f64, f64)]) -> Vec<f64> {
    let total = 1.0 + seen.iter().map(|(_, weight)| weight).sum::<f64>();
    let flat = 1.0 / (seen.len() + 1) as f64;
    // Each kernel has the weight `flat` on every choice, and 1 more on its own.
    let kernel =
        |weight: f64, is_own: bool| weight / total * (flat + f64::from(u8::from(is_own))) / (n as f64 * flat + 1.0);
    let of = |choice: usize| {
        let own = |at: f64| at as usize == choice;
        1.0 / n as f64 / total + seen.iter().map(|&(at, weight)| kernel(weight, own(at))).sum::<f64>()
    };
    (0..n).map(of).collect()
}

/// One Gaussian for each cell that was seen, and a wide one, each cut off at the ends of the grid.
fn of_numbers(n: usize, seen: &[(f64, f64)]) -> Vec<f64> {
    let sigma = bandwidth(seen);
    let mut density = vec![0.0; n];
    let (high, total) = ((n - 1) as f64, 1.0 + seen.iter().map(|(_, weight)| weight).sum::<f64>());
    let mut add = |mu: f64, sigma: f64, weight: f64| {
        let whole = mass(-0.5 - mu, high + 0.5 - mu, sigma);
        for (i, p) in density.iter_mut().enumerate() {
            *p += weight / total * mass(i as f64 - 0.5 - mu, i as f64 + 0.5 - mu, sigma) / whole;
        }
    };
    seen.iter().for_each(|&(at, weight)| add(at, sigma, weight));
    add(high / 2.0, high + 1.0, 1.0);
    density
}

/// Scott's rule (Scott 1992, Multivariate Density Estimation), with the smaller of deviation and quartile distance.
fn bandwidth(seen: &[(f64, f64)]) -> f64 {
    let n = seen.iter().map(|(_, weight)| weight).sum::<f64>();
    let mean = seen.iter().map(|(at, weight)| at * weight).sum::<f64>() / n;
    let squares = seen.iter().map(|(at, weight)| (at - mean).powi(2) * weight).sum::<f64>();
    let deviation = (squares / (n - 1.0).max(1.0)).sqrt();
    let below = |bound: &dyn Fn(f64) -> bool| {
        let sums = seen.iter().scan(0.0, |sum, (_, weight)| {
            *sum += weight;
            Some(*sum)
        });
        seen[sums.take_while(|&sum| bound(sum)).count().min(seen.len() - 1)].0
    };
    let (first, third) = ((n / 4.0).floor(), (n * 3.0 / 4.0).floor());
    let distance = below(&|sum| sum <= third) - below(&|sum| sum < first);
    (1.059 * deviation.min(distance / 1.34) * n.powf(-0.2)).max(MIN_SIGMA)
}

/// The part of a Gaussian around 0 that lies between `from` and `to`.
fn mass(from: f64, to: f64, sigma: f64) -> f64 {
    let scale = std::f64::consts::FRAC_1_SQRT_2 / sigma;
    // On the side where nothing cancels.
    if from > 0.0 {
        0.5 * (libm::erfc(from * scale) - libm::erfc(to * scale))
    } else if to < 0.0 {
        0.5 * (libm::erfc(-to * scale) - libm::erfc(-from * scale))
    } else {
        0.5 * (libm::erf(to * scale) - libm::erf(from * scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;
    use crate::tuner::{Outcome, Parameter, Space, Study, StudyConfig};
    use rand::RngExt;

    #[test]
    fn the_divergence_of_two_choices_is_that_of_the_formula() {
        // Ten trials with choice 0 seven times; the only good one has choice 1.
        let choices = Distribution::categorical(["a", "b"]);
        let all: Vec<f64> = [vec![0.0; 7], vec![1.0; 3]].concat();
        // By hand: kernels (4/3, 1/3) / (5/3) with weight 7/11 and (1/3, 4/3) / (5/3) with 3/11, and a flat one with
        // 1/11.
        let p = density(&choices, &all);
        let expected = 7.0 / 11.0 * 0.8 + 3.0 / 11.0 * 0.2 + 0.5 / 11.0;
        assert!((p[0] - expected).abs() < 1e-9 && (p[0] + p[1] - 1.0).abs() < 1e-9, "{p:?}");
        let q = density(&choices, &[1.0]);
        assert!((q[1] - (0.5 * 0.75 + 0.25)).abs() < 1e-9, "{q:?}");
    }

    #[test]
    fn densities_add_up_to_one_whatever_is_seen() {
        let mut rng = rng::stream(1, "test");
        for distribution in [
            Distribution::float(-3.0, 5.0),
            Distribution::log_float(1e-5, 1e-1),
            Distribution::stepped_float(0.0, 1.0, 0.25),
            Distribution::int(-2, 9),
            Distribution::log_int(1, 300),
            Distribution::categorical(["a", "b", "c"]),
        ] {
            for n in [1, 2, 17] {
                let values: Vec<f64> = (0..n).map(|_| distribution.from_unit(rng.random())).collect();
                let density = density(&distribution, &values);
                assert!((density.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{distribution:?} {density:?}");
            }
        }
    }

    #[test]
    fn a_parameter_with_one_value_has_no_share_whatever_the_trials_show() {
        let single = [
            Distribution::float(1.0, 1.0),
            Distribution::log_float(2.0, 2.0),
            Distribution::stepped_float(0.0, 0.4, 1.0),
            Distribution::log_int(3, 3),
            Distribution::categorical(["only"]),
        ];
        let x = Distribution::float(0.0, 1.0);
        for same in [false, true] {
            let costs: Vec<f64> = (0..40).map(|i| if same { 1.0 } else { f64::from(i) }).collect();
            let of = |trial: usize, parameter: usize| match parameter {
                0 => Some((&x, trial as f64 / 40.0)),
                _ => Some((&single[parameter - 1], single[parameter - 1].nth(0))),
            };
            let shares = ranked(&costs, 1 + single.len(), of);
            assert_eq!((shares[0].0, shares[0].1.to_string()), (0, "1".to_owned()));
            assert!(shares[1..].iter().all(|share| share.1 <= 0.0), "{shares:?}");
        }
    }

    #[test]
    fn the_widest_ranges_that_optuna_makes_have_a_share_and_no_panic() {
        let wide = [
            Distribution::int(i64::MIN, i64::MAX),
            Distribution::log_int(1, i64::MAX),
            Distribution::float(f64::MIN, f64::MAX),
            Distribution::log_float(5e-324, f64::MAX),
        ];
        let costs: Vec<f64> = (0..40).map(f64::from).collect();
        let of = |trial: usize, i: usize| Some((&wide[i], wide[i].from_unit(trial as f64 / 40.0)));
        let shares = ranked(&costs, wide.len(), of);
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(&share.1)), "{shares:?}");
    }

    #[test]
    fn what_does_nothing_has_no_share_and_a_direction_turns_nothing_round() {
        let space = Space::new([
            Parameter::new("much", Distribution::float(0.0, 1.0)),
            Parameter::new("little", Distribution::float(0.0, 1.0)),
            Parameter::new("nothing", Distribution::categorical(["a", "b", "c"])),
        ]);
        let config = StudyConfig { sampler: "random".into(), ..StudyConfig::default() };
        let study = Study::in_memory(space.unwrap(), config).unwrap();
        for n in 0..300 {
            let trial = study.ask().unwrap();
            let value = 3.0 * trial.float("much").unwrap() + trial.float("little").unwrap();
            study.tell(n, if n % 50 == 7 { Outcome::failed("test") } else { value.into() }).unwrap();
        }
        let trials = study.trials().unwrap();
        let shares = importance(&trials, 0, Direction::Minimize);
        assert_eq!(shares.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["much", "little", "nothing"]);
        assert!(shares[0].1 > 0.6 && shares[2].1 < 0.1, "{shares:?}");
        assert!((shares.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(importance(&trials, 0, Direction::Maximize)[0].0, "much");
        let of_one = importance(&trials[..1], 0, Direction::Minimize);
        assert!((of_one.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(importance(&[], 0, Direction::Minimize).is_empty());
    }
}
