//! Reads studies and trials from the tables.

use super::{Cell, Connection, Done, HEARTBEAT, MARK};
use crate::tuner::direction::Direction;
use crate::tuner::distribution::Distribution;
use crate::tuner::python_json;
use crate::tuner::storage::{Seen, Silence, StorageError, StudyRecord, TrialKey};
use crate::tuner::trial::{Assigned, Trial, TrialState};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Seconds of silence after which the worker of a trial is not counted on any more, where it has not noted how often it
/// sends heartbeats: five times the interval that Optuna's users mostly choose.
const PATIENCE_S: f64 = 300.0;

/// Cells of a row, which are taken one after the other.
pub(super) struct Row<'a> {
    place: String,
    cells: std::vec::IntoIter<Cell>,
    what: std::slice::Iter<'a, &'static str>,
}

impl Row<'_> {
    fn damaged(&self, what: &'static str, value: impl std::fmt::Display) -> StorageError {
        StorageError::Damaged { place: self.place.clone(), what, value: value.to_string() }
    }

    fn next(&mut self) -> (&'static str, Cell) {
        (self.what.next().copied().unwrap_or("a column"), self.cells.next().unwrap_or(Cell::Null))
    }

    pub fn int(&mut self) -> Done<i64> {
        match self.next() {
            (_, Cell::Int(whole)) => Ok(whole),
            (what, other) => Err(self.damaged(what, other)),
        }
    }

    pub fn text(&mut self) -> Done<String> {
        match self.next() {
            (_, Cell::Text(text)) => Ok(text),
            (what, other) => Err(self.damaged(what, other)),
        }
    }

    pub fn optional_text(&mut self) -> Option<String> {
        match self.next().1 {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Id, number and time of the begin of a trial.
    pub fn key(&mut self) -> Done<TrialKey> {
        let (id, number) = (self.int()?, self.int()?);
        let number = usize::try_from(number).map_err(|_| self.damaged("trials.number", number))?;
        Ok(TrialKey { id, number, started: self.optional_text() })
    }

    fn float(&mut self) -> Done<f64> {
        match self.next() {
            (_, Cell::Real(number)) => Ok(number),
            (_, Cell::Int(whole)) => Ok(whole as f64),
            (what, other) => Err(self.damaged(what, other)),
        }
    }

    /// A number, whose type is in the next column.
    fn typed_float(&mut self) -> Done<f64> {
        let number = self.next();
        match (self.text()?.as_str(), number) {
            ("INF_POS", _) => Ok(f64::INFINITY),
            ("INF_NEG", _) => Ok(f64::NEG_INFINITY),
            ("NAN", _) => Ok(f64::NAN),
            ("FINITE", (_, Cell::Real(number))) => Ok(number),
            ("FINITE", (_, Cell::Int(whole))) => Ok(whole as f64),
            (kind, (what, cell)) => Err(self.damaged(what, format!("{cell}, and of the kind {kind}"))),
        }
    }

    /// JSON as Python writes it. What is none is kept as a string.
    fn json(&mut self) -> Done<Json> {
        let text = self.text()?;
        Ok(python_json::read(&text).unwrap_or(Json::String(text)))
    }

    fn state(&mut self) -> Done<TrialState> {
        let text = self.text()?;
        serde_json::from_value(Json::String(text.clone())).map_err(|_| self.damaged("trials.state", text))
    }
}

/// The rows of a SELECT, each with the names of its columns for messages.
pub(super) fn rows<'a>(
    connection: &mut dyn Connection,
    sql: &str,
    cells: &[Cell],
    what: &'a [&'static str],
) -> Done<Vec<Row<'a>>> {
    let place = connection.place().to_owned();
    let found = connection.query(sql, cells)?;
    Ok(found.into_iter().map(|row| Row { place: place.clone(), cells: row.into_iter(), what: what.iter() }).collect())
}

pub(super) fn studies(connection: &mut dyn Connection) -> Done<Vec<StudyRecord>> {
    let mut studies = BTreeMap::new();
    let columns = ["studies.study_id", "studies.study_name"];
    for mut row in rows(connection, "SELECT study_id, study_name FROM studies", &[], &columns)? {
        let (id, name) = (row.int()?, row.text()?);
        let (user_attrs, system_attrs) = (BTreeMap::new(), BTreeMap::new());
        studies.insert(id, StudyRecord { id, name, mark: None, directions: Vec::new(), user_attrs, system_attrs });
    }
    let sql = "SELECT study_id, CAST(direction AS VARCHAR) FROM study_directions ORDER BY study_id, objective";
    let columns = ["study_directions.study_id", "study_directions.direction"];
    for mut row in rows(connection, sql, &[], &columns)? {
        let (id, text) = (row.int()?, row.text()?);
        let Some(study) = studies.get_mut(&id) else { continue };
        match text.as_str() {
            // Optuna takes one that was never set as minimize, too.
            "MINIMIZE" | "NOT_SET" => study.directions.push(Direction::Minimize),
            "MAXIMIZE" => study.directions.push(Direction::Maximize),
            // One odd study does not hide the others.
            _ => tracing::warn!("study {}: {}", study.name, row.damaged("study_directions.direction", text)),
        }
    }
    for (table, is_user) in [("study_user_attributes", true), ("study_system_attributes", false)] {
        let sql = format!("SELECT study_id, key, value_json FROM {table}");
        for mut row in rows(connection, &sql, &[], &["study_id", "key", "value_json"])? {
            let (id, key, value) = (row.int()?, row.text()?, row.json()?);
            let Some(study) = studies.get_mut(&id) else { continue };
            if key == MARK && !is_user {
                study.mark = value.as_str().map(str::to_owned);
                continue;
            }
            let attrs = if is_user { &mut study.user_attrs } else { &mut study.system_attrs };
            attrs.insert(key, value);
        }
    }
    Ok(studies.into_values().collect())
}

/// Refuses a study that is gone, also where there is another one of its id or its name. `lock` is the end of a SELECT
/// whose rows are about to be changed, or empty.
pub(super) fn check(connection: &mut dyn Connection, study: &StudyRecord, lock: &str) -> Done<()> {
    let mut sql = "SELECT study_id FROM studies WHERE study_id = $1 AND study_name = $2".to_owned();
    let mut cells = vec![study.id.into(), study.name.as_str().into()];
    if let Some(mark) = &study.mark {
        sql += &format!(
            " AND EXISTS (SELECT 1 FROM study_system_attributes WHERE study_system_attributes.study_id = studies.study_id \
             AND key = '{MARK}' AND value_json = $3)"
        );
        cells.push(Json::from(mark.as_str()).to_string().as_str().into());
    }
    match connection.query(&(sql + lock), &cells)?.is_empty() {
        true => Err(StorageError::NoStudy { name: study.name.clone() }),
        false => Ok(()),
    }
}

/// Largest number of trials that are read by their ids.
const MAX_NAMED: usize = 500;

/// The trials that are new to `seen`, and those that it names as unfinished.
pub(super) fn trials(connection: &mut dyn Connection, study: &StudyRecord, seen: &Seen) -> Done<Vec<Trial>> {
    check(connection, study, "")?;
    let study = study.id;
    let mut wanted = format!("trials.study_id = $1 AND (trials.trial_id > {}", seen.up_to);
    if !seen.unfinished.is_empty() {
        let ids: Vec<String> = seen.unfinished.iter().map(i64::to_string).collect();
        wanted += &format!(" OR trials.trial_id IN ({})", ids.join(", "));
    }
    let mut trials = heads(connection, study, &(wanted.clone() + ")"))?;
    if trials.is_empty() {
        return Ok(Vec::new());
    }
    // A few are named, without a join: a database that has no statistics of its tables yet would read them from the
    // beginning to the end.
    let named: Vec<String> = trials.keys().take(MAX_NAMED + 1).map(i64::to_string).collect();
    let is_few = named.len() <= MAX_NAMED;
    let cells = if is_few { Vec::new() } else { vec![study.into()] };
    let from = |table: &str, columns: &str| match is_few {
        true => format!(
            "SELECT trials.trial_id, {columns} FROM {table} AS trials WHERE trials.trial_id IN ({})",
            named.join(", ")
        ),
        false => format!(
            "SELECT trials.trial_id, {columns} FROM {table} JOIN trials ON trials.trial_id = {table}.trial_id WHERE {wanted})"
        ),
    };
    params(connection, &cells, &mut trials, &from("trial_params", "param_name, param_value, distribution_json"))?;
    let objectives = "value, CAST(value_type AS VARCHAR)";
    let sql = from("trial_values", objectives) + " ORDER BY trials.trial_id, objective";
    for mut row in rows(connection, &sql, &cells, &["trial_id", "trial_values.value", "value_type"])? {
        let (id, value) = (row.int()?, row.typed_float()?);
        trials.entry(id).and_modify(|trial| trial.values.push(value));
    }
    let sql = from("trial_intermediate_values", "step, intermediate_value, CAST(intermediate_value_type AS VARCHAR)");
    for mut row in rows(connection, &sql, &cells, &["trial_id", "step", "intermediate_value", "type"])? {
        let (id, step, value) = (row.int()?, row.int()?, row.typed_float()?);
        trials.entry(id).and_modify(|trial| _ = trial.intermediate.insert(step, value));
    }
    for (table, is_user) in [("trial_user_attributes", true), ("trial_system_attributes", false)] {
        let sql = from(table, "key, value_json");
        for mut row in rows(connection, &sql, &cells, &["trial_id", "key", "value_json"])? {
            let (id, key, value) = (row.int()?, row.text()?, row.json()?);
            let Some(trial) = trials.get_mut(&id).filter(|_| is_user || !key.starts_with(HEARTBEAT)) else { continue };
            let attrs = if is_user { &mut trial.user_attrs } else { &mut trial.system_attrs };
            attrs.insert(key, value);
        }
    }
    let mut trials: Vec<Trial> = trials.into_values().collect();
    trials.sort_by_key(|trial| trial.number);
    Ok(trials)
}

fn heads(connection: &mut dyn Connection, study: i64, wanted: &str) -> Done<BTreeMap<i64, Trial>> {
    let sql = format!(
        "SELECT trials.trial_id, number, CAST(state AS VARCHAR), CAST(datetime_start AS VARCHAR), \
         CAST(datetime_complete AS VARCHAR), ({}) FROM trials WHERE {wanted}",
        watched(connection)
    );
    let columns = ["trials.trial_id", "trials.number", "trials.state", "start", "complete", "heartbeats"];
    let mut trials = BTreeMap::new();
    for mut row in rows(connection, &sql, &[study.into()], &columns)? {
        let (id, number, state) = (row.int()?, row.int()?, row.state()?);
        let number = usize::try_from(number).map_err(|_| row.damaged("trials.number", number))?;
        let (started, completed) = (row.optional_text(), row.optional_text());
        let is_watched = row.int()? > 0;
        let trial = Trial {
            id,
            number,
            state,
            params: BTreeMap::new(),
            values: Vec::new(),
            intermediate: BTreeMap::new(),
            user_attrs: BTreeMap::new(),
            system_attrs: BTreeMap::new(),
            started,
            completed,
            is_watched,
        };
        trials.insert(id, trial);
    }
    Ok(trials)
}

/// Condition that the row `note` of the attributes says how often the worker of a trial sends heartbeats.
fn is_noted() -> String {
    format!("note.trial_id = trials.trial_id AND note.key = '{HEARTBEAT}:' || CAST(trials.number AS VARCHAR)")
}

/// SELECT of 1 where somebody will end a trial of the table `trials`: its worker sends heartbeats. One of Optuna's that
/// has been silent for long does not any more; those of ours are failed then.
fn watched(connection: &mut dyn Connection) -> String {
    format!(
        "SELECT COUNT(*) FROM trial_heartbeats WHERE trial_heartbeats.trial_id = trials.trial_id AND ({} <= {PATIENCE_S:?} \
         OR EXISTS (SELECT 1 FROM trial_system_attributes AS note WHERE {}))",
        connection.dialect().silent_s,
        is_noted()
    )
}

/// Number of trials of a study in each state, by its name, and of those in it that nobody will end.
pub(super) fn counts(connection: &mut dyn Connection, study: i64) -> Done<BTreeMap<String, [usize; 2]>> {
    let sql = format!(
        "SELECT CAST(state AS VARCHAR), COUNT(*), SUM(CASE WHEN state = 'RUNNING' AND ({}) = 0 THEN 1 ELSE 0 END) \
         FROM trials WHERE study_id = $1 GROUP BY state",
        watched(connection)
    );
    let found = rows(connection, &sql, &[study.into()], &["trials.state", "count", "count"])?;
    found.into_iter().map(|mut row| Ok((row.text()?, [row.int()? as usize, row.int()? as usize]))).collect()
}

fn params(connection: &mut dyn Connection, cells: &[Cell], trials: &mut BTreeMap<i64, Trial>, sql: &str) -> Done<()> {
    let columns = ["trial_id", "trial_params.param_name", "trial_params.param_value", "trial_params.distribution_json"];
    // Nearly all trials have the same few distributions: each text is parsed once.
    let mut known: BTreeMap<String, Distribution> = BTreeMap::new();
    for mut row in rows(connection, sql, cells, &columns)? {
        let (id, name, inner, text) = (row.int()?, row.text()?, row.float()?, row.text()?);
        if !known.contains_key(&text) {
            let json = python_json::read_marked(&text).unwrap_or(Json::Null);
            let damaged = || row.damaged("trial_params.distribution_json", &text);
            known.insert(text.clone(), Distribution::from_json(&json).ok_or_else(damaged)?);
        }
        let assigned = Assigned { distribution: known[&text].clone(), inner };
        trials.entry(id).and_modify(|trial| _ = trial.params.insert(name, assigned));
    }
    Ok(())
}

/// The last value that a trial has reported.
pub(super) fn last_report(connection: &mut dyn Connection, trial: i64) -> Done<Option<f64>> {
    let sql = "SELECT intermediate_value, CAST(intermediate_value_type AS VARCHAR) FROM trial_intermediate_values \
               WHERE trial_id = $1 ORDER BY step DESC LIMIT 1";
    let found = rows(connection, sql, &[trial.into()], &["intermediate_value", "intermediate_value_type"])?;
    found.into_iter().next().map(|mut row| row.typed_float()).transpose()
}

/// How long the worker of a running trial of ours has been silent.
pub(super) fn silence(connection: &mut dyn Connection, study: i64, number: usize) -> Done<Option<Silence>> {
    let sql = format!(
        "SELECT CAST({} AS FLOAT), {} FROM trials \
         JOIN trial_heartbeats ON trial_heartbeats.trial_id = trials.trial_id \
         JOIN trial_system_attributes AS note ON {} WHERE study_id = $1 AND number = $2 AND state = 'RUNNING'",
        connection.dialect().silent_s,
        noted_interval(),
        is_noted()
    );
    let found = rows(connection, &sql, &[study.into(), (number as i64).into()], &["heartbeat", "note.value_json"])?;
    let silence = |mut row: Row<'_>| Ok(Silence { silent_s: row.float()?, heartbeat_s: row.float()? });
    found.into_iter().next().map(silence).transpose()
}

/// Seconds between the heartbeats of a worker, from the row `note`.
fn noted_interval() -> String {
    // A database may look at this before it has left out all other attributes, which are no numbers.
    format!("(CASE WHEN note.key LIKE '{HEARTBEAT}:%' THEN CAST(note.value_json AS FLOAT) END)")
}

/// The running trials of our workers whose time of silence is `comparison` (`>` or `<=`) twice the interval that stands
/// with them.
fn by_silence(connection: &mut dyn Connection, study: i64, comparison: &str, lock: &str) -> Done<Vec<TrialKey>> {
    let sql = format!(
        "SELECT trials.trial_id, number, CAST(datetime_start AS VARCHAR) FROM trials \
         JOIN trial_heartbeats ON trial_heartbeats.trial_id = trials.trial_id \
         JOIN trial_system_attributes AS note ON {} \
         WHERE study_id = $1 AND state = 'RUNNING' AND {} {comparison} 2.0 * {} ORDER BY number{lock}",
        is_noted(),
        connection.dialect().silent_s,
        noted_interval()
    );
    let found = rows(connection, &sql, &[study.into()], &["trials.trial_id", "trials.number", "start"])?;
    found.into_iter().map(|mut row| row.key()).collect()
}

/// The running trials whose worker has been silent for longer than twice the interval of its heartbeats. `lock` is the
/// end of a SELECT whose rows are about to be changed, or empty.
pub(super) fn stale(connection: &mut dyn Connection, study: &StudyRecord, lock: &str) -> Done<Vec<TrialKey>> {
    by_silence(connection, study.id, ">", lock)
}

/// Number of running trials whose worker is alive.
pub(super) fn n_alive(connection: &mut dyn Connection, study: i64) -> Done<usize> {
    let of_optuna = format!(
        "SELECT COUNT(*) FROM trials JOIN trial_heartbeats ON trial_heartbeats.trial_id = trials.trial_id \
         WHERE study_id = $1 AND state = 'RUNNING' AND {} <= {PATIENCE_S:?} AND NOT EXISTS \
         (SELECT 1 FROM trial_system_attributes AS note WHERE {})",
        connection.dialect().silent_s,
        is_noted()
    );
    let found = rows(connection, &of_optuna, &[study.into()], &["count"])?;
    let of_optuna = found.into_iter().next().map_or(Ok(0), |mut row| row.int())?;
    Ok(by_silence(connection, study, "<=", "")?.len() + of_optuna as usize)
}

/// Condition that the row of `trials` is a running trial of this key; its cells follow that of the study, `$1`.
pub(super) fn is_it(trial: &TrialKey, study: i64) -> (String, Vec<Cell>) {
    let mut cells = vec![study.into(), trial.id.into(), (trial.number as i64).into()];
    let started = match &trial.started {
        Some(started) => {
            cells.push(started.as_str().into());
            "CAST(datetime_start AS VARCHAR) = $4"
        }
        None => "datetime_start IS NULL",
    };
    (format!("study_id = $1 AND trial_id = $2 AND number = $3 AND {started} AND state = 'RUNNING'"), cells)
}
