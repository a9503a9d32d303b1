//! Tunes a closure: `cargo run --example tune_closure`.
//!
//! A small net could train here; a function with a narrow valley stands in for it. Four threads try the same 200 points as one would.

use qgd::tuner::{Distribution, Optimize, Outcome, Parameter, Space, Study, StudyConfig};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let space = Space::new([
        Parameter::new("lr", Distribution::log_float(1e-5, 1.0)),
        Parameter::new("optimizer", Distribution::categorical(["sgd", "adam"])),
        // Only SGD has momentum.
        Parameter::new("momentum", Distribution::float(0.0, 0.99)).when("optimizer", ["sgd"]),
    ])?;
    let config = StudyConfig { sampler: "qmc".into(), pruner: "median".into(), lag: 4, ..StudyConfig::default() };
    let study = Study::in_memory(space, config)?;
    let options = Optimize { n_trials: 200, n_jobs: 4, ..Optimize::default() };
    study.optimize(&options, |trial| {
        let lr = trial.float("lr")?;
        let (best_lr, momentum) = match trial.text("optimizer")? {
            "sgd" => (0.1, trial.float("momentum")?),
            _ => (1e-3, 0.5),
        };
        let bad = (lr / best_lr).log10().powi(2) + (momentum - 0.9).abs();
        for epoch in 1..=10 {
            let loss = bad + 1.0 / epoch as f64;
            trial.report(epoch, loss)?;
            if trial.should_prune()? {
                return Ok(Outcome::pruned());
            }
        }
        Ok(bad.into())
    })?;
    let best = study.best()?.ok_or("no trial was complete")?;
    println!("trial {} of {}: {:.4}", best.number, study.trials()?.len(), best.values[0]);
    for (name, value) in best.values_of_params() {
        println!("  {name} = {value}");
    }
    Ok(())
}
