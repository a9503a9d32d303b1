//! NSGA-II: parents are the best of all trials so far; each new trial mixes two of them and changes the result a
//! little.
//!
//! Source: Deb et al. 2002, 10.1109/4235.996017: fronts, crowding distance and tournaments; simulated binary crossover
//! of Deb and Agrawal 1995 and polynomial mutation of Deb and Goyal 1996, both with the distribution indices below, on
//! coordinates in [0, 1]. Trials that break constraints come after all others, ordered by how much they break them (Deb
//! 2000, 10.1016/S0045-7825(99)00389-8).
//!
//! Deviation: there are no generations. The parents of each trial are the best `population` of all trials that have
//! ended, so that any number of workers is busy at any time (steady state, which Durillo et al. 2009,
//! 10.1007/978-3-642-01020-0_18, find as good or better). A parameter that is not active in the other parent is not
//! mixed; one that becomes active anew is drawn. Choices come from either parent. Pruned and failed trials are no
//! parents.
//!
//! | Name | Default | Purpose | Range |
//! |---|---|---|---|
//! | `population` | 50 | number of parents, and of points of a Sobol sequence at the start | 2 to 10000 |
//! | `crossover` | 0.9 | probability that two parents are mixed | 0 to 1 |
//! | `mutation` | 1 / number of active parameters | probability that a parameter is changed | 0 to 1 |
//! | `spread` | 15 | distribution index: the larger, the closer are children to their parents | 0 to 1000 |

use super::{Ask, Sampler, Setting, Spec, SpecError, fronts, qmc};
use crate::tuner::distribution::Distribution;
use crate::tuner::space::{Parameter, Point};
use crate::tuner::trial::{Past, TrialState};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

pub(super) fn build(spec: &mut Spec, _setting: &Setting<'_>) -> Result<Box<dyn Sampler>, SpecError> {
    let share = |p: &f64| (0.0..=1.0).contains(p);
    // -1 stands for "not given".
    let mutation = spec.option("mutation", -1.0, "from 0 to 1", share)?;
    Ok(Box::new(Nsga2 {
        population: spec.option("population", 50, "from 2 to 10000", |n| (2..=10_000).contains(n))?,
        crossover: spec.option("crossover", 0.9, "from 0 to 1", share)?,
        mutation: (mutation >= 0.0).then_some(mutation),
        spread: spec.option("spread", 15.0, "from 0 to 1000", |n| (0.0..=1000.0).contains(n))?,
    }))
}

struct Nsga2 {
    population: usize,
    crossover: f64,
    mutation: Option<f64>,
    spread: f64,
}

impl Sampler for Nsga2 {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        let parents = self.parents(ask);
        if parents.len() < 2 || ask.number < self.population {
            return Some(qmc::startup_point(ask, "nsga2"));
        }
        let mut rng = ask.rng("nsga2");
        let (one, other) = (tournament(&parents, &mut rng), tournament(&parents, &mut rng));
        let is_mixed = rng.random::<f64>() < self.crossover;
        let child = ask.space.fill(|i, parameter| match (one.point[i], other.point[i]) {
            (Some(a), Some(b)) if is_mixed => mixed(parameter, a, b, self.spread, &mut rng),
            (Some(a), _) | (None, Some(a)) => a,
            (None, None) => parameter.distribution.from_unit(rng.random()),
        });
        Some(self.mutated(ask, &child, &mut rng))
    }
}

impl Nsga2 {
    /// The best trials, best first.
    fn parents<'a>(&self, ask: &Ask<'a>) -> Vec<&'a Past> {
        let is_complete =
            |past: &&Past| past.state == TrialState::Complete && past.values.len() == ask.directions.len();
        let (sound, mut broken): (Vec<&Past>, Vec<&Past>) =
            ask.settled.iter().filter(is_complete).partition(|past| past.is_feasible());
        let cost = |past: &&Past| past.values.iter().zip(ask.directions).map(|(v, d)| d.cost(*v)).collect();
        let costs: Vec<Vec<f64>> = sound.iter().map(cost).collect();
        let violation = |past: &Past| {
            past.constraints.iter().map(|c| if c.is_nan() { f64::INFINITY } else { c.max(0.0) }).sum::<f64>()
        };
        broken.sort_by(|a, b| violation(a).total_cmp(&violation(b)));
        let ranked = if ask.directions.len() == 1 { by_cost(&costs) } else { fronts::best_first(&costs) };
        ranked.into_iter().map(|i| sound[i]).chain(broken).take(self.population).collect()
    }

    fn mutated(&self, ask: &Ask<'_>, child: &Point, rng: &mut ChaCha8Rng) -> Point {
        let n_active = child.iter().flatten().count();
        let chance = self.mutation.unwrap_or(1.0 / n_active.max(1) as f64);
        ask.space.fill(|i, parameter| {
            let is_changed = rng.random::<f64>() < chance;
            match (child[i], &parameter.distribution) {
                (Some(value), _) if !is_changed => value,
                (Some(value), Distribution::Float { .. } | Distribution::Int { .. }) => {
                    let unit = parameter.distribution.to_unit(value) + polynomial(self.spread, rng);
                    parameter.distribution.from_unit(unit)
                }
                _ => parameter.distribution.from_unit(rng.random()),
            }
        })
    }
}

fn by_cost(costs: &[Vec<f64>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|&a, &b| costs[a][0].total_cmp(&costs[b][0]));
    order
}

/// The better of two trials that are drawn: the first of them, since they are in order.
fn tournament<'a>(parents: &[&'a Past], rng: &mut ChaCha8Rng) -> &'a Past {
    parents[rng.random_range(0..parents.len()).min(rng.random_range(0..parents.len()))]
}

/// One of the two children of `a` and `b`, as far from its parent as a child of a bit string tends to be.
fn mixed(parameter: &Parameter, a: f64, b: f64, spread: f64, rng: &mut ChaCha8Rng) -> f64 {
    let distribution = &parameter.distribution;
    let is_first = rng.random::<bool>();
    if matches!(distribution, Distribution::Categorical { .. }) {
        return if is_first { a } else { b };
    }
    let (a, b) = (distribution.to_unit(a), distribution.to_unit(b));
    let u: f64 = rng.random();
    let beta =
        if u <= 0.5 { (2.0 * u).powf(1.0 / (spread + 1.0)) } else { (0.5 / (1.0 - u)).powf(1.0 / (spread + 1.0)) };
    let beta = if is_first { beta } else { -beta };
    distribution.from_unit(0.5 * ((1.0 + beta) * a + (1.0 - beta) * b))
}

/// A step between -1 and 1, most often small.
fn polynomial(spread: f64, rng: &mut ChaCha8Rng) -> f64 {
    let u: f64 = rng.random();
    if u < 0.5 {
        (2.0 * u).powf(1.0 / (spread + 1.0)) - 1.0
    } else {
        1.0 - (2.0 * (1.0 - u)).powf(1.0 / (spread + 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;
    use crate::tuner::samplers::tests::minimized;
    use crate::tuner::{Direction, Space, hypervolume};

    fn run(name: &str, seed: u64, n: usize, cost: impl Fn(&[f64]) -> Vec<f64>) -> Vec<Vec<f64>> {
        let space =
            Space::new(["a", "b", "c", "d"].map(|name| Parameter::new(name, Distribution::float(0.0, 1.0)))).unwrap();
        let x = |point: &Point| point.iter().flatten().copied().collect::<Vec<f64>>();
        minimized(name, &space, n, seed, |point| cost(&x(point))).into_iter().map(|past| past.values).collect()
    }

    #[test]
    fn its_front_covers_more_than_that_of_random_search() {
        // ZDT1 of Zitzler, Deb and Thiele 2000: the front is at b = c = d = 0.
        let zdt1 = |x: &[f64]| {
            let g = 1.0 + 3.0 * (x[1] + x[2] + x[3]);
            vec![x[0], g * (1.0 - (x[0] / g).sqrt())]
        };
        for seed in 0..5 {
            let covered = |name: &str| hypervolume(&run(name, seed, 300, zdt1), &[1.0, 4.0], &[Direction::Minimize; 2]);
            let (ours, random) = (covered("nsga2:population=20"), covered("random"));
            assert!(
                ours > 3.3 && ours > random + 0.1,
                "seed {seed}: {ours}, random search {random}; the front has 3.67"
            );
        }
    }

    #[test]
    fn with_one_objective_it_is_better_than_random_search() {
        let bowl = |x: &[f64]| vec![x.iter().map(|x| (x - 0.3).powi(2)).sum::<f64>()];
        for seed in 0..5 {
            let best = |name: &str| run(name, seed, 300, bowl).iter().map(|v| v[0]).fold(1e9, f64::min);
            assert!(best("nsga2:population=20") < 0.5 * best("random"), "seed {seed}");
        }
    }

    #[test]
    fn children_keep_the_middle_of_their_parents_and_spread_as_the_index_says() {
        let parameter = Parameter::new("x", Distribution::float(0.0, 1.0));
        let mut rng = stream(1, "test");
        let draws: Vec<f64> = (0..20_000).map(|_| mixed(&parameter, 0.45, 0.55, 15.0, &mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        assert!((mean - 0.5).abs() < 1e-3, "{mean}");
        // Half of them lie between the parents: beta at most 1.
        let between = draws.iter().filter(|x| (0.45..=0.55).contains(*x)).count() as f64 / 20_000.0;
        assert!((between - 0.5).abs() < 0.02, "{between}");
        // |step| < s with probability 1 - (1 - s)^16.
        let steps: Vec<f64> = (0..20_000).map(|_| polynomial(15.0, &mut rng)).collect();
        let short = steps.iter().filter(|s| s.abs() < 0.05).count() as f64 / 20_000.0;
        assert!((short - (1.0 - 0.95f64.powi(16))).abs() < 0.02, "{short}");
    }
}
