//! A sampler of your own: `cargo run --example custom_sampler`.
//!
//! It goes on from the best trial so far, in steps that shrink with the number of trials, and is compared with random search.

use qgd::tuner::{Ask, Distribution, Optimize, Parameter, Point, Sampler, Space, Study, StudyConfig};
use rand::RngExt;
use std::error::Error;

/// A random walk downhill. What it proposes depends on the `Ask` alone, so any number of workers walks the same way.
struct Walk;

impl Sampler for Walk {
    fn propose(&mut self, ask: &Ask<'_>) -> Option<Point> {
        let cost = |value: f64| ask.directions[0].cost(value);
        let complete = ask.settled.iter().filter(|past| past.is_feasible());
        let best = complete.min_by(|a, b| cost(a.values[0]).total_cmp(&cost(b.values[0])));
        let (mut rng, step) = (ask.rng("walk"), 1.0 / (1.0 + 0.1 * ask.number as f64));
        Some(ask.space.fill(|i, parameter| {
            let start = best.and_then(|best| best.point[i]).map_or(0.5, |value| parameter.distribution.to_unit(value));
            parameter.distribution.from_unit(start + step * rng.random_range(-0.5..0.5))
        }))
    }
}

fn best_of(study: &Study) -> Result<f64, Box<dyn Error>> {
    study.optimize(&Optimize { n_trials: 150, ..Optimize::default() }, |trial| {
        let (x, y) = (trial.float("x")?, trial.float("y")?);
        Ok(((x - 0.7).powi(2) + (y + 0.3).powi(2)).into()) // a bowl
    })?;
    Ok(study.best()?.ok_or("no trial was complete")?.values[0])
}

fn main() -> Result<(), Box<dyn Error>> {
    let space = || Space::new(["x", "y"].map(|name| Parameter::new(name, Distribution::float(-2.0, 2.0))));
    let random = Study::in_memory(space()?, StudyConfig { sampler: "random".into(), ..StudyConfig::default() })?;
    let walk = Study::in_memory(space()?, StudyConfig::default())?.with_sampler(Box::new(Walk));
    println!("random search {:.6}", best_of(&random)?);
    println!("a walk        {:.6}", best_of(&walk)?);
    Ok(())
}
