//! Writes studies and trials into the tables. Each public function is the work of one transaction.

use super::read::{self, rows};
use super::{Cell, Connection, Done, HEARTBEAT, MARK};
use crate::tuner::direction::Direction;
use crate::tuner::python_json;
use crate::tuner::storage::{Change, Draft, End, RUNG, Seen, StorageError, StudyRecord, TrialKey, pruned_values};
use crate::tuner::trial::{Assigned, CONSTRAINTS, REASON};
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
    let Some(study) = first_int(connection, sql, &[name.into()])? else { return mark(connection, name) };
    for (objective, direction) in directions.iter().enumerate() {
        let direction = match direction {
            Direction::Minimize => "MINIMIZE",
            Direction::Maximize => "MAXIMIZE",
        };
        let sql =
            format!("INSERT INTO study_directions (direction, study_id, objective) VALUES ('{direction}', $1, $2)");
        connection.query(&sql, &[study.into(), (objective as i64).into()])?;
    }
    attributes(connection, "study_system_attributes", "study_id", study, notes)?;
    mark(connection, name)
}

/// Gives the study of this name a mark, unless it has one.
fn mark(connection: &mut dyn Connection, name: &str) -> Done<()> {
    let sql = format!(
        "INSERT INTO study_system_attributes (study_id, key, value_json) SELECT study_id, '{MARK}', '\"' || {} || '\"' \
         FROM studies WHERE study_name = $1 ON CONFLICT (study_id, key) DO NOTHING",
        connection.dialect().unique
    );
    connection.query(&sql, &[name.into()]).map(|_| ())
}

pub(super) fn note(connection: &mut dyn Connection, study: &StudyRecord, notes: &BTreeMap<String, Json>) -> Done<()> {
    check(connection, study)?;
    attributes(connection, "study_system_attributes", "study_id", study.id, notes)
}

pub(super) fn note_user(
    connection: &mut dyn Connection,
    study: &StudyRecord,
    notes: &BTreeMap<String, Json>,
) -> Done<()> {
    check(connection, study)?;
    attributes(connection, "study_user_attributes", "study_id", study.id, notes)
}

/// Refuses a study that is gone, and keeps others from adding trials to it before the transaction ends.
pub(super) fn check(connection: &mut dyn Connection, study: &StudyRecord) -> Done<()> {
    let lock = connection.dialect().for_update;
    read::check(connection, study, lock)
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
        // Optuna calculates with these, so they are written as its own.
        let numbers = (key == CONSTRAINTS).then(|| python_json::list_of_numbers(value)).flatten();
        let text = numbers.unwrap_or_else(|| value.to_string());
        connection.query(&sql, &[id.into(), key.as_str().into(), text.as_str().into()]).map(|_| ())
    })
}

/// Tables whose rows belong to a trial.
const OF_TRIALS: [&str; 6] = [
    "trial_heartbeats",
    "trial_intermediate_values",
    "trial_values",
    "trial_params",
    "trial_user_attributes",
    "trial_system_attributes",
];

pub(super) fn delete(connection: &mut dyn Connection, study: &StudyRecord, force: bool) -> Done<()> {
    check(connection, study)?;
    let n_running = if force { 0 } else { read::n_alive(connection, study.id)? };
    if n_running > 0 {
        return Err(StorageError::Busy { name: study.name.clone(), n_running });
    }
    let study = study.id;
    for table in OF_TRIALS {
        let sql = format!("DELETE FROM {table} WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id = $1)");
        connection.query(&sql, &[study.into()])?;
    }
    for table in ["trials", "study_user_attributes", "study_system_attributes", "study_directions", "studies"] {
        connection.query(&format!("DELETE FROM {table} WHERE study_id = $1"), &[study.into()])?;
    }
    Ok(())
}

/// Number of trials of a study in whatever state. Nobody else adds or claims one before the transaction ends.
fn n_trials(connection: &mut dyn Connection, study: &StudyRecord) -> Done<usize> {
    check(connection, study)?;
    // By the number of the newest: to count them takes the longer the more there are.
    let sql = "SELECT number FROM trials WHERE study_id = $1 ORDER BY trial_id DESC LIMIT 1";
    let newest = first_int(connection, sql, &[study.id.into()])?;
    Ok(newest.and_then(|number| usize::try_from(number).ok()).map_or(0, |number| number.saturating_add(1)))
}

/// Whether at least `limit` of the `n_trials` trials of a study are in one of these states, those left out that nobody
/// will end.
fn is_full(
    connection: &mut dyn Connection,
    study: &StudyRecord,
    n_trials: usize,
    limit: usize,
    states: &[&str],
) -> Done<bool> {
    if n_trials < limit {
        return Ok(false);
    }
    let counts = read::counts(connection, study.id)?;
    let of_state = |state: &&str| counts.get(*state).map(|[n, n_lost]| n.saturating_sub(*n_lost));
    Ok(states.iter().filter_map(of_state).sum::<usize>() >= limit)
}

pub(super) fn begin(
    connection: &mut dyn Connection,
    study: &StudyRecord,
    number: usize,
    draft: &Draft,
    limit: usize,
) -> Done<Option<TrialKey>> {
    let n_trials = n_trials(connection, study)?;
    if n_trials != number || is_full(connection, study, n_trials, limit, &["COMPLETE", "PRUNED", "RUNNING", "WAITING"])?
    {
        return Ok(None);
    }
    let now = connection.dialect().now;
    let trial = insert(connection, study.id, number, draft, "RUNNING", now)?;
    first_beat(connection, &trial, draft.heartbeat_s)?;
    Ok(Some(trial))
}

pub(super) fn enqueue(connection: &mut dyn Connection, study: &StudyRecord, draft: &Draft) -> Done<()> {
    let number = n_trials(connection, study)?;
    insert(connection, study.id, number, draft, "WAITING", "NULL").map(|_| ())
}

fn insert(
    connection: &mut dyn Connection,
    study: i64,
    number: usize,
    draft: &Draft,
    state: &str,
    started: &str,
) -> Done<TrialKey> {
    let sql = format!(
        "INSERT INTO trials (number, study_id, state, datetime_start) VALUES ($1, $2, '{state}', {started}) \
         RETURNING trial_id, number, CAST(datetime_start AS VARCHAR)"
    );
    let made = first_key(connection, &sql, &[(number as i64).into(), study.into()])?;
    let trial = made.unwrap_or(TrialKey { id: 0, number, started: None });
    params(connection, trial.id, &draft.params)?;
    attributes(connection, "trial_user_attributes", "trial_id", trial.id, &draft.user_attrs)?;
    attributes(connection, "trial_system_attributes", "trial_id", trial.id, &draft.system_attrs)?;
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

pub(super) fn claim(
    connection: &mut dyn Connection,
    study: &StudyRecord,
    limit: usize,
    heartbeat_s: f64,
) -> Done<Option<TrialKey>> {
    let n_trials = n_trials(connection, study)?;
    if is_full(connection, study, n_trials, limit, &["COMPLETE", "PRUNED", "RUNNING"])? {
        return Ok(None);
    }
    let sql = format!(
        "UPDATE trials SET state = 'RUNNING', datetime_start = {} WHERE state = 'WAITING' AND trial_id = \
         (SELECT trial_id FROM trials WHERE study_id = $1 AND state = 'WAITING' ORDER BY number LIMIT 1) \
         RETURNING trial_id, number, CAST(datetime_start AS VARCHAR)",
        connection.dialect().now
    );
    let Some(trial) = first_key(connection, &sql, &[study.id.into()])? else { return Ok(None) };
    first_beat(connection, &trial, Some(heartbeat_s))?;
    Ok(Some(trial))
}

/// Begins the heartbeats of a trial, and notes how often they come.
fn first_beat(connection: &mut dyn Connection, trial: &TrialKey, heartbeat_s: Option<f64>) -> Done<()> {
    let TrialKey { id: trial, number, .. } = *trial;
    let note = heartbeat_s.map(|seconds| (format!("{HEARTBEAT}:{number}"), json!(seconds)));
    attributes(connection, "trial_system_attributes", "trial_id", trial, &note.into_iter().collect())?;
    let sql = format!(
        "INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES ($1, {}) \
         ON CONFLICT (trial_id) DO UPDATE SET heartbeat = excluded.heartbeat",
        connection.dialect().heartbeat
    );
    connection.query(&sql, &[trial.into()]).map(|_| ())
}

/// Notes that workers are alive. Answers which of these trials are not theirs any more.
pub(super) fn beat(connection: &mut dyn Connection, study: &StudyRecord, trials: &[TrialKey]) -> Done<Vec<TrialKey>> {
    let now = connection.dialect().heartbeat;
    let mut lost = Vec::new();
    for trial in trials {
        let (is_it, cells) = read::is_it(trial, study.id);
        let sql = format!(
            "UPDATE trial_heartbeats SET heartbeat = {now} WHERE trial_id = (SELECT trial_id FROM trials WHERE {is_it}) RETURNING trial_id"
        );
        if connection.query(&sql, &cells)?.is_empty() {
            lost.push(trial.clone());
        }
    }
    Ok(lost)
}

pub(super) fn change(
    connection: &mut dyn Connection,
    study: &StudyRecord,
    trial: &TrialKey,
    change: &Change,
) -> Done<bool> {
    let (is_it, cells) = read::is_it(trial, study.id);
    let sql = format!("SELECT trial_id FROM trials WHERE {is_it}{}", connection.dialect().for_update);
    if connection.query(&sql, &cells)?.is_empty() {
        return Ok(false);
    }
    let trial = trial.id;
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
    let notes = format!("(key LIKE '{RUNG}%' OR key LIKE '{HEARTBEAT}:%')");
    connection
        .query(&format!("DELETE FROM trial_system_attributes WHERE trial_id = $1 AND {notes}"), &[trial.into()])?;
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
pub(super) fn reap(connection: &mut dyn Connection, study: &StudyRecord, retries: usize) -> Done<Vec<usize>> {
    let mut n_trials = n_trials(connection, study)?;
    // The worker may tell its result or beat at this very moment. With the lock, who comes second sees what the first
    // has done.
    let lock = connection.dialect().for_update;
    let stale = read::stale(connection, study, lock)?;
    let mut numbers = Vec::new();
    for TrialKey { id, number, .. } in stale {
        let only = Seen { up_to: i64::MAX, unfinished: vec![id] };
        let Some(trial) = read::trials(connection, study, &only)?.pop() else { continue };
        let silent = BTreeMap::from([(REASON.to_owned(), json!("its worker fell silent"))]);
        attributes(connection, "trial_system_attributes", "trial_id", id, &silent)?;
        finish(connection, id, &End::Failed)?;
        numbers.push(trial.number);
        let mut system_attrs = trial.system_attrs;
        let mut history = system_attrs.get(HISTORY).and_then(Json::as_array).cloned().unwrap_or_default();
        history.push(json!(number));
        if history.len() <= retries {
            system_attrs.entry(FAILED.into()).or_insert(json!(number));
            system_attrs.insert(HISTORY.into(), Json::Array(history));
            // The rungs that the failed trial has reached are its own.
            system_attrs.retain(|key, _| !key.starts_with(RUNG));
            let draft = Draft { system_attrs, ..Draft::default() };
            let retry = insert(connection, study.id, n_trials, &draft, "WAITING", "NULL")?;
            copy(connection, id, retry.id, "trial_params", "param_name, param_value, distribution_json")?;
            copy(connection, id, retry.id, "trial_user_attributes", "key, value_json")?;
            n_trials += 1;
        }
    }
    Ok(numbers)
}

/// Copies rows of one trial for another one as they are: they may hold what only Optuna understands.
fn copy(connection: &mut dyn Connection, from: i64, to: i64, table: &str, columns: &str) -> Done<()> {
    let sql =
        format!("INSERT INTO {table} (trial_id, {columns}) SELECT $1, {columns} FROM {table} WHERE trial_id = $2");
    connection.query(&sql, &[to.into(), from.into()]).map(|_| ())
}

fn first_key(connection: &mut dyn Connection, sql: &str, cells: &[Cell]) -> Done<Option<TrialKey>> {
    let what = ["trials.trial_id", "trials.number", "trials.datetime_start"];
    rows(connection, sql, cells, &what)?.into_iter().next().map(|mut row| row.key()).transpose()
}

fn first_int(connection: &mut dyn Connection, sql: &str, cells: &[Cell]) -> Done<Option<i64>> {
    rows(connection, sql, cells, &["an id"])?.into_iter().next().map(|mut row| row.int()).transpose()
}
