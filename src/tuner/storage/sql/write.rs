//! Writes studies and trials into the tables. Each public function is the work of one transaction.

use super::read::{self, rows};
use super::{Cell, Connection, Done};
use crate::tuner::direction::Direction;
use crate::tuner::storage::{Change, Draft, End, RUNG, Reaping, Seen, StorageError, pruned_values};
use crate::tuner::trial::{Assigned, REASON};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Names of the attributes in which Optuna notes the first trial of a chain of retries, and the whole chain.
const FAILED: &str = "failed_trial";
const HISTORY: &str = "retry_history";

pub(super) fn create(
    connection: &mut dyn Connection,
    name: &str,
    directions: &[Direction],
    notes: &BTreeMap<String, Json>,
) -> Done<()> {
    // Of several that make it at the same time, one does; for the others it is there.
    let sql = "INSERT INTO studies (study_name) VALUES ($1) ON CONFLICT (study_name) DO NOTHING RETURNING study_id";
    let Some(study) = first_int(connection, sql, &[name.into()])? else { return Ok(()) };
    for (objective, direction) in directions.iter().enumerate() {
        let direction = match direction {
            Direction::Minimize => "MINIMIZE",
            Direction::Maximize => "MAXIMIZE",
        };
        let sql =
            format!("INSERT INTO study_directions (direction, study_id, objective) VALUES ('{direction}', $1, $2)");
        connection.query(&sql, &[study.into(), (objective as i64).into()])?;
    }
    attributes(connection, "study_system_attributes", "study_id", study, notes)
}

pub(super) fn attributes(
    connection: &mut dyn Connection,
    table: &str,
    owner: &str,
    id: i64,
    notes: &BTreeMap<String, Json>,
) -> Done<()> {
    let sql = format!(
        "INSERT INTO {table} ({owner}, key, value_json) VALUES ($1, $2, $3) \
         ON CONFLICT ({owner}, key) DO UPDATE SET value_json = excluded.value_json"
    );
    notes.iter().try_for_each(|(key, value)| {
        connection.query(&sql, &[id.into(), key.as_str().into(), value.to_string().as_str().into()]).map(|_| ())
    })
}

pub(super) fn delete(connection: &mut dyn Connection, study: i64) -> Done<()> {
    let of_trials = [
        "trial_heartbeats",
        "trial_intermediate_values",
        "trial_values",
        "trial_params",
        "trial_user_attributes",
        "trial_system_attributes",
    ];
    for table in of_trials {
        let sql = format!("DELETE FROM {table} WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id = $1)");
        connection.query(&sql, &[study.into()])?;
    }
    for table in ["trials", "study_user_attributes", "study_system_attributes", "study_directions", "studies"] {
        connection.query(&format!("DELETE FROM {table} WHERE study_id = $1"), &[study.into()])?;
    }
    Ok(())
}

/// Number of trials of a study in each state. Nobody else adds or claims one before the transaction ends.
fn counts(connection: &mut dyn Connection, study: i64) -> Done<BTreeMap<String, usize>> {
    let sql = format!("SELECT study_id FROM studies WHERE study_id = $1{}", connection.dialect().for_update);
    if connection.query(&sql, &[study.into()])?.is_empty() {
        return Err(StorageError::NoStudy { id: study });
    }
    let sql = "SELECT CAST(state AS VARCHAR), COUNT(*) FROM trials WHERE study_id = $1 GROUP BY state";
    let found = rows(connection, sql, &[study.into()], &["trials.state", "count"])?;
    found.into_iter().map(|mut row| Ok((row.text()?, row.int()? as usize))).collect()
}

fn sum(counts: &BTreeMap<String, usize>, states: &[&str]) -> usize {
    states.iter().filter_map(|state| counts.get(*state)).sum()
}

pub(super) fn begin(
    connection: &mut dyn Connection,
    study: i64,
    number: usize,
    draft: &Draft,
    limit: usize,
) -> Done<Option<i64>> {
    let counts = counts(connection, study)?;
    let not_failed = sum(&counts, &["COMPLETE", "PRUNED", "RUNNING", "WAITING"]);
    if not_failed + sum(&counts, &["FAIL"]) != number || not_failed >= limit {
        return Ok(None);
    }
    let now = connection.dialect().now;
    let trial = insert(connection, study, number, draft, "RUNNING", now)?;
    beat(connection, trial)?;
    Ok(Some(trial))
}

pub(super) fn enqueue(connection: &mut dyn Connection, study: i64, draft: &Draft) -> Done<()> {
    let number = counts(connection, study)?.values().sum();
    insert(connection, study, number, draft, "WAITING", "NULL").map(|_| ())
}

fn insert(
    connection: &mut dyn Connection,
    study: i64,
    number: usize,
    draft: &Draft,
    state: &str,
    started: &str,
) -> Done<i64> {
    let sql = format!(
        "INSERT INTO trials (number, study_id, state, datetime_start) VALUES ($1, $2, '{state}', {started}) RETURNING trial_id"
    );
    let trial = first_int(connection, &sql, &[(number as i64).into(), study.into()])?.unwrap_or_default();
    params(connection, trial, &draft.params)?;
    attributes(connection, "trial_user_attributes", "trial_id", trial, &draft.user_attrs)?;
    attributes(connection, "trial_system_attributes", "trial_id", trial, &draft.system_attrs)?;
    Ok(trial)
}

fn params(connection: &mut dyn Connection, trial: i64, params: &BTreeMap<String, Assigned>) -> Done<()> {
    if params.is_empty() {
        return Ok(());
    }
    // All in one statement, since a server may be far away.
    let row = |i: usize| format!("($1, ${}, ${}, ${})", 3 * i + 2, 3 * i + 3, 3 * i + 4);
    let rows = (0..params.len()).map(row).collect::<Vec<_>>().join(", ");
    let sql = format!("INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES {rows}");
    let mut cells = vec![trial.into()];
    for (name, assigned) in params {
        let text = assigned.distribution.to_json().to_string();
        cells.extend([name.as_str().into(), Cell::Real(assigned.inner), text.as_str().into()]);
    }
    connection.query(&sql, &cells).map(|_| ())
}

pub(super) fn claim(connection: &mut dyn Connection, study: i64, limit: usize) -> Done<Option<i64>> {
    let counts = counts(connection, study)?;
    if sum(&counts, &["COMPLETE", "PRUNED", "RUNNING"]) >= limit {
        return Ok(None);
    }
    let sql = format!(
        "UPDATE trials SET state = 'RUNNING', datetime_start = {} WHERE state = 'WAITING' AND trial_id = \
         (SELECT trial_id FROM trials WHERE study_id = $1 AND state = 'WAITING' ORDER BY number LIMIT 1) RETURNING trial_id",
        connection.dialect().now
    );
    let claimed = first_int(connection, &sql, &[study.into()])?;
    claimed.map(|trial| beat(connection, trial).map(|()| trial)).transpose()
}

pub(super) fn beat(connection: &mut dyn Connection, trial: i64) -> Done<()> {
    let sql = format!(
        "INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES ($1, {}) \
         ON CONFLICT (trial_id) DO UPDATE SET heartbeat = excluded.heartbeat",
        connection.dialect().heartbeat
    );
    connection.query(&sql, &[trial.into()]).map(|_| ())
}

pub(super) fn change(connection: &mut dyn Connection, trial: i64, change: &Change) -> Done<bool> {
    let sql = format!(
        "SELECT trial_id FROM trials WHERE trial_id = $1 AND state = 'RUNNING'{}",
        connection.dialect().for_update
    );
    if connection.query(&sql, &[trial.into()])?.is_empty() {
        return Ok(false);
    }
    match change {
        Change::Params(assigned) => params(connection, trial, assigned)?,
        Change::Report { step, value } => {
            let (value, kind) = encoded(*value);
            let sql = format!(
                "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) \
                 VALUES ($1, $2, $3, '{kind}') ON CONFLICT (trial_id, step) DO UPDATE SET \
                 intermediate_value = excluded.intermediate_value, intermediate_value_type = excluded.intermediate_value_type"
            );
            connection.query(&sql, &[trial.into(), (*step).into(), value])?;
        }
        Change::UserAttrs(notes) => attributes(connection, "trial_user_attributes", "trial_id", trial, notes)?,
        Change::SystemAttrs(notes) => attributes(connection, "trial_system_attributes", "trial_id", trial, notes)?,
        Change::Finish { end, system_attrs } => {
            // The state comes last: who sees it sees all the rest.
            attributes(connection, "trial_system_attributes", "trial_id", trial, system_attrs)?;
            finish(connection, trial, end)?;
        }
    }
    Ok(true)
}

fn finish(connection: &mut dyn Connection, trial: i64, end: &End) -> Done<()> {
    let (state, values) = match end {
        End::Complete(values) => ("COMPLETE", values.clone()),
        End::Pruned => ("PRUNED", pruned_values(read::last_report(connection, trial)?)),
        End::Failed => ("FAIL", Vec::new()),
        End::GivenBack => return give_back(connection, trial),
    };
    for (objective, value) in values.into_iter().enumerate() {
        let (value, kind) = encoded(value);
        let sql =
            format!("INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES ($1, $2, $3, '{kind}')");
        connection.query(&sql, &[trial.into(), (objective as i64).into(), value])?;
    }
    let now = connection.dialect().now;
    let sql = format!("UPDATE trials SET state = '{state}', datetime_complete = {now} WHERE trial_id = $1");
    connection.query(&sql, &[trial.into()]).map(|_| ())
}

/// Lets a trial wait again, as if nobody had begun it.
fn give_back(connection: &mut dyn Connection, trial: i64) -> Done<()> {
    for table in ["trial_intermediate_values", "trial_heartbeats"] {
        connection.query(&format!("DELETE FROM {table} WHERE trial_id = $1"), &[trial.into()])?;
    }
    let sql = format!("DELETE FROM trial_system_attributes WHERE trial_id = $1 AND key LIKE '{RUNG}%'");
    connection.query(&sql, &[trial.into()])?;
    let sql = "UPDATE trials SET state = 'WAITING', datetime_start = NULL WHERE trial_id = $1";
    connection.query(sql, &[trial.into()]).map(|_| ())
}

fn encoded(value: f64) -> (Cell, &'static str) {
    match value {
        _ if value.is_nan() => (Cell::Null, "NAN"),
        f64::INFINITY => (Cell::Null, "INF_POS"),
        f64::NEG_INFINITY => (Cell::Null, "INF_NEG"),
        _ => (Cell::Real(value), "FINITE"),
    }
}

/// Fails trials whose worker has fallen silent, and adds their retries as Optuna's own retry callback does.
pub(super) fn reap(connection: &mut dyn Connection, study: i64, reaping: Reaping) -> Done<Vec<usize>> {
    let mut n_trials: usize = counts(connection, study)?.values().sum();
    // The worker may tell its result or beat at this very moment. With the lock, who comes second sees what the first
    // has done.
    let lock = connection.dialect().for_update;
    let stale = read::stale(connection, study, reaping.grace, lock)?;
    let mut numbers = Vec::new();
    for (id, number) in stale {
        let only = Seen { up_to: i64::MAX, unfinished: vec![id] };
        let Some(trial) = read::trials(connection, study, &only)?.pop() else { continue };
        let silent = BTreeMap::from([(REASON.to_owned(), json!("its worker fell silent"))]);
        attributes(connection, "trial_system_attributes", "trial_id", id, &silent)?;
        finish(connection, id, &End::Failed)?;
        numbers.push(trial.number);
        let mut system_attrs = trial.system_attrs;
        let mut history = system_attrs.get(HISTORY).and_then(Json::as_array).cloned().unwrap_or_default();
        history.push(json!(number));
        if history.len() <= reaping.retries {
            system_attrs.entry(FAILED.into()).or_insert(json!(number));
            system_attrs.insert(HISTORY.into(), Json::Array(history));
            // The rungs that the failed trial has reached are its own.
            system_attrs.retain(|key, _| !key.starts_with("completed_rung_"));
            let draft = Draft { params: trial.params, user_attrs: trial.user_attrs, system_attrs };
            insert(connection, study, n_trials, &draft, "WAITING", "NULL")?;
            n_trials += 1;
        }
    }
    Ok(numbers)
}

fn first_int(connection: &mut dyn Connection, sql: &str, cells: &[Cell]) -> Done<Option<i64>> {
    rows(connection, sql, cells, &["an id"])?.into_iter().next().map(|mut row| row.int()).transpose()
}
