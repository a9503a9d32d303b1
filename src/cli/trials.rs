//! Trials as a user sees them: as text, in tables, and as JSON.

use qgd::report::{Align, Table, number};
use qgd::tuner::{Direction, StudyConfig, Trial, Value, best_trials};
use qgd::words::{plain, visible};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// A number that is the value of a trial or of a parameter, for a person.
pub fn value(value: f64) -> String {
    // `number` calls what is not finite diverged: here it may be a value like any other.
    if value.is_finite() { number(value) } else { value.to_string() }
}

/// The values of a trial, for a person.
pub fn values(values: &[f64]) -> String {
    values.iter().copied().map(value).collect::<Vec<_>>().join(" ")
}

/// The parameters of a trial, for a person.
pub fn params(params: &BTreeMap<String, Value>) -> String {
    let text = |given: &Value| match given {
        Value::Float(float) => value(*float),
        other => other.to_string(),
    };
    params.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(" ")
}

/// Prints a table. Names and words in it may come from anywhere.
pub fn print_rows(columns: &[(&str, Align)], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new(columns);
    let cell = |cell: String| plain(&cell).into_owned();
    rows.into_iter().for_each(|row| table.row(row.into_iter().map(cell)));
    say!("{table}");
}

/// Prints JSON, indented. Unlike that of a line, it may go to a terminal.
pub fn print_json(json: &Json) {
    say!("{}", visible(&format!("{json:#}")));
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
        let line = |text: String| say!("  {}", plain(&text));
        trial.values_of_params().iter().for_each(|(name, value)| line(format!("{name} = {value}")));
        trial.user_attrs.iter().for_each(|(name, note)| line(format!("({name} {note})")));
        return;
    }
    let row = |trial: &&Trial| vec![trial.number.to_string(), values(&trial.values), params(&trial.values_of_params())];
    let columns = [("trial", Align::Right), ("values", Align::Left), ("parameters", Align::Left)];
    print_rows(&columns, best.iter().map(row));
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

/// All that is known of a trial, as JSON.
pub fn whole_json(trial: &Trial) -> Json {
    let mut json = with_notes(trial);
    json["state"] = json!(trial.state);
    let steps = trial.intermediate.iter().map(|(step, value)| json!([step, number_json(*value)]));
    json["intermediate"] = steps.collect();
    json["system_attrs"] = json!(trial.system_attrs);
    json["started"] = json!(trial.started);
    json["completed"] = json!(trial.completed);
    json
}
