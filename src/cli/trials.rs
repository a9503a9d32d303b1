//! Trials as a user sees them: as text, in tables, and as JSON.

use qgd::report::{Align, Table, number};
use qgd::tuner::{Direction, StudyConfig, Trial, Value, best_trials};
use serde_json::{Value as Json, json};

/// The values of a trial, for a person.
pub fn values(values: &[f64]) -> String {
    // `number` calls what is infinite diverged: here it may be a value like any other.
    let text = |value: &f64| if value.is_finite() { number(*value) } else { value.to_string() };
    values.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// The parameters of a trial, for a person.
pub fn params(trial: &Trial) -> String {
    let text = |value: &Value| match value {
        Value::Float(float) => number(*float),
        other => other.to_string(),
    };
    trial.values_of_params().iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(" ")
}

/// The best trial of a study, or its front, for a person.
pub fn print_best(config: &StudyConfig, trials: &[Trial]) {
    let best = best_trials(trials, &config.directions);
    if best.is_empty() {
        say!("no trial is complete and keeps its constraints");
    } else {
        print_table(&best, &config.directions);
    }
}

/// The best trial with all that is known of it; with several objectives a table of the front.
pub fn print_table(best: &[&Trial], directions: &[Direction]) {
    if let ([direction], Some(trial)) = (directions, best.first()) {
        let which = if *direction == Direction::Minimize { "smallest" } else { "largest" };
        say!("{which} value {} in trial {}", values(&trial.values), trial.number);
        trial.values_of_params().iter().for_each(|(name, value)| say!("  {name} = {value}"));
        trial.user_attrs.iter().for_each(|(name, note)| say!("  ({name} {note})"));
        return;
    }
    let mut table = Table::new(&[("trial", Align::Right), ("values", Align::Left), ("parameters", Align::Left)]);
    best.iter().for_each(|trial| table.row([trial.number.to_string(), values(&trial.values), params(trial)]));
    say!("{table}");
}

/// A number as JSON; a word where JSON has no such number.
pub fn number_json(value: f64) -> Json {
    match value {
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        _ if value.is_nan() => json!("NaN"),
        _ => json!(value),
    }
}

/// Number, values and parameters of a trial as JSON.
pub fn short_json(trial: &Trial) -> Json {
    let values: Vec<Json> = trial.values.iter().map(|&value| number_json(value)).collect();
    json!({ "trial": trial.number, "values": values, "params": trial.values_of_params() })
}

/// The same with what the objective noted about the trial.
pub fn with_notes(trial: &Trial) -> Json {
    let mut json = short_json(trial);
    json["user_attrs"] = json!(trial.user_attrs);
    json
}
