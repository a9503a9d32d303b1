//! Settings of a study, and how they are noted in its storage for those who continue it.

use super::Study;
use crate::tuner::direction::Direction;
use crate::tuner::distribution::{Distribution, Value};
use crate::tuner::error::TunerError;
use crate::tuner::pruners::{self, Pruner};
use crate::tuner::samplers::{self, Sampler, Setting};
use crate::tuner::screening::{Screen, Screened};
use crate::tuner::space::{Condition, Parameter, Space};
use crate::tuner::storage::{Storage, StudyRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name of the study attribute that holds the settings.
const SETTINGS: &str = "qgd";

/// Largest lag, and largest number of retries: more than all machines of a study run at a time.
const MOST: usize = 1_000_000;

/// Settings of a study. All but the last two stay the same for the whole study.
///
/// | Name | Default | Purpose | Range |
/// |---|---|---|---|
/// | `name` | `"study"` | name in the storage | 1 to 512 characters |
/// | `directions` | minimize | direction of each objective | at least one |
/// | `sampler` | `"tpe"` | proposes trials; see [`samplers`](crate::tuner::samplers) | a name, with options |
/// | `pruner` | `"none"` | stops trials early; see [`pruners`](crate::tuner::pruners) | a name, with options |
/// | `seed` | 0 | seed of everything random | below 2^63 |
/// | `lag` | 1 | number of trials that may run at the same time; see [`Study`](super::Study) | 1 to 1000000 |
/// | `screen` | none | whether parameters that do not matter are frozen, and when; see [`Screen`] | one objective |
/// | `heartbeat_s` | 10.0 | seconds between heartbeats; a worker silent for twice as long is dead | 0.01 to 86400 |
/// | `retries` | 3 | number of times that the trial of a dead worker is tried again | 0 to 1000000 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyConfig {
    /// Name in the storage.
    pub name: String,
    /// Direction of each objective.
    pub directions: Vec<Direction>,
    /// Sampler, which proposes trials.
    pub sampler: String,
    /// Pruner, which stops trials early.
    pub pruner: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Number of trials that may run at the same time.
    pub lag: usize,
    /// Whether parameters that do not matter are frozen, and when.
    #[serde(default)]
    pub screen: Option<Screen>,
    /// Seconds between heartbeats of a worker.
    pub heartbeat_s: f64,
    /// Number of times that the trial of a dead worker is tried again.
    pub retries: usize,
}

impl Default for StudyConfig {
    fn default() -> Self {
        Self {
            name: "study".into(),
            directions: vec![Direction::Minimize],
            sampler: "tpe".into(),
            pruner: "none".into(),
            seed: 0,
            lag: 1,
            screen: None,
            heartbeat_s: 10.0,
            retries: 3,
        }
    }
}

impl StudyConfig {
    /// Checks every value, and makes the sampler and the pruner for `space`. Nothing is written.
    ///
    /// # Errors
    /// When a value is out of its range, or names a sampler or pruner that is not there or not made for this.
    pub fn check(&self, space: &Space) -> Result<CheckedStudy, TunerError> {
        self.check_ranges()?;
        let config = Self { sampler: samplers::current(&self.sampler), ..self.clone() };
        let setting = Setting { space, directions: &config.directions };
        let mut sampler = samplers::build(&config.sampler, &setting)?;
        let pruner = pruners::build(&config.pruner, &setting)?;
        if let Some(screen) = config.screen {
            sampler = Box::new(Screened::new(screen, &config.sampler, sampler));
        }
        Ok(CheckedStudy { space: space.clone(), config, sampler, pruner })
    }

    fn check_ranges(&self) -> Result<(), TunerError> {
        let need = |holds: bool, key, value: String, allowed: &str| {
            if holds { Ok(()) } else { Err(TunerError::OutOfRange { key, value, allowed: allowed.into() }) }
        };
        need(
            (1..=512).contains(&self.name.chars().count()),
            "name",
            format!("{:?}", self.name),
            "1 to 512 characters",
        )?;
        need(!self.directions.is_empty(), "directions", "[]".into(), "at least one of \"minimize\", \"maximize\"")?;
        // Other languages read the notes with signed numbers.
        need(i64::try_from(self.seed).is_ok(), "seed", self.seed.to_string(), "below 2^63")?;
        need((1..=MOST).contains(&self.lag), "lag", self.lag.to_string(), "at least 1 and at most 1000000")?;
        need(self.retries <= MOST, "retries", self.retries.to_string(), "at most 1000000")?;
        let screen = self.screen.map_or("none".into(), |screen| screen.to_string());
        let in_range = self.screen.is_none_or(Screen::is_in_range);
        need(in_range, "screen", screen.clone(), Screen::ALLOWED)?;
        let one = self.directions.len() == 1 || self.screen.is_none();
        need(one, "screen", screen, "absent where there are several objectives")?;
        need(
            (0.01..=86400.0).contains(&self.heartbeat_s),
            "heartbeat",
            self.heartbeat_s.to_string(),
            "from 0.01 to 86400 seconds",
        )
    }

    /// The settings that a study was made with. None where there is no such study, or it was not made by qgd.
    ///
    /// # Errors
    /// When they cannot be read, or the storage does not answer.
    pub fn stored(storage: &dyn Storage, name: &str) -> Result<Option<Self>, TunerError> {
        let Some(record) = storage.study(name)? else { return Ok(None) };
        Ok(read(&record)?.map(|(_, config)| config))
    }

    /// The space and the settings that a study was made with. Nothing is written.
    ///
    /// # Errors
    /// As [`Study::open`](super::Study::open).
    pub fn stored_with_space(storage: &dyn Storage, name: &str) -> Result<(Space, Self), TunerError> {
        read(&record(storage, name)?)?.ok_or_else(|| TunerError::NoSettings { name: name.into() })
    }

    /// Notes of a study that is made with these settings.
    fn notes(&self, space: &Space) -> BTreeMap<String, Json> {
        let parameters: Vec<Json> = space.parameters().iter().map(parameter_json).collect();
        let settings = json!({ "version": env!("CARGO_PKG_VERSION"), "space": parameters, "settings": self });
        BTreeMap::from([(SETTINGS.to_owned(), settings)])
    }

    /// Whether a study that was made with `stored_space` and `stored` can be continued with these settings.
    fn check_continues(&self, space: &Space, stored_space: &Space, stored: &Self) -> Result<(), TunerError> {
        let other = |key, stored: String, given: String| TunerError::OtherStudy {
            study: self.name.clone(),
            key,
            stored,
            given,
        };
        let differs = space.parameters().iter().zip(stored_space.parameters()).find(|(given, stored)| given != stored);
        if stored_space.names() != space.names() {
            return Err(other("space", stored_space.names(), space.names()));
        }
        if let Some((given, stored)) = differs {
            return Err(TunerError::OtherParameter {
                study: self.name.clone(),
                stored: stored.to_string(),
                given: given.to_string(),
            });
        }
        self.check_directions(&stored.directions)?;
        let text = |screen: Option<Screen>| screen.map_or("none".into(), |screen| screen.to_string());
        let pairs = [
            ("sampler", &stored.sampler, &self.sampler),
            ("pruner", &stored.pruner, &self.pruner),
            ("seed", &stored.seed.to_string(), &self.seed.to_string()),
            ("lag", &stored.lag.to_string(), &self.lag.to_string()),
            ("screen", &text(stored.screen), &text(self.screen)),
        ];
        let differs = pairs.into_iter().find(|(_, stored, given)| stored != given);
        differs.map_or(Ok(()), |(key, stored, given)| Err(other(key, stored.clone(), given.clone())))
    }

    fn check_directions(&self, stored: &[Direction]) -> Result<(), TunerError> {
        if stored == self.directions {
            return Ok(());
        }
        let text = |directions: &[Direction]| directions.iter().map(|d| d.name()).collect::<Vec<_>>().join(", ");
        let (study, stored, given) = (self.name.clone(), text(stored), text(&self.directions));
        Err(TunerError::OtherStudy { study, key: "directions", stored, given })
    }
}

/// A study that can be made or continued: its settings are in range, and its sampler and pruner are made. See
/// [`StudyConfig::check`].
pub struct CheckedStudy {
    pub(super) space: Space,
    pub(super) config: StudyConfig,
    pub(super) sampler: Box<dyn Sampler>,
    pub(super) pruner: Box<dyn Pruner>,
}

impl CheckedStudy {
    /// Settings of the study.
    pub fn config(&self) -> &StudyConfig {
        &self.config
    }

    /// The study of that name in `storage`, continued where there is one.
    ///
    /// # Errors
    /// When the study is there with another space or other settings, or the storage does not answer.
    pub fn create_or_open(self, storage: Arc<dyn Storage>) -> Result<Study, TunerError> {
        let Self { space, config, .. } = &self;
        let notes = config.notes(space);
        storage.create(&config.name, &config.directions, &notes)?;
        let record = record(&*storage, &config.name)?;
        let stored = read(&record)?;
        match &stored {
            Some((stored_space, stored)) => config.check_continues(space, stored_space, stored)?,
            None => config.check_directions(&record.directions)?,
        }
        let study = Study::begin(self, storage.clone(), record.clone())?;
        // A study of Optuna's gets our settings when it is known that its trials fit them.
        if stored.is_none() {
            storage.note(&record, &notes)?;
        }
        Ok(study)
    }
}

/// The study of that name.
pub(super) fn record(storage: &dyn Storage, name: &str) -> Result<StudyRecord, TunerError> {
    if let Some(record) = storage.study(name)? {
        return Ok(record);
    }
    let names: Vec<String> = storage.studies()?.into_iter().map(|study| study.name).collect();
    let known = if names.is_empty() { "none".into() } else { names.join(", ") };
    Err(TunerError::NoStudy { name: name.into(), known })
}

/// The space and the settings that a study was made with. None where it was not made by qgd.
pub(super) fn read(record: &StudyRecord) -> Result<Option<(Space, StudyConfig)>, TunerError> {
    let Some(noted) = record.system_attrs.get(SETTINGS) else { return Ok(None) };
    let damaged = |message: String| TunerError::DamagedSettings { name: record.name.clone(), message };
    let parameters = noted["space"].as_array().into_iter().flatten();
    let parameters =
        parameters.map(|json| read_parameter(json).ok_or_else(|| damaged(format!("{json} is no parameter"))));
    let space = Space::new(parameters.collect::<Result<Vec<_>, _>>()?).map_err(|error| damaged(error.to_string()))?;
    let config: StudyConfig =
        serde_json::from_value(noted["settings"].clone()).map_err(|error| damaged(error.to_string()))?;
    let sampler = samplers::current(&config.sampler);
    Ok(Some((space, StudyConfig { name: record.name.clone(), sampler, ..config })))
}

fn parameter_json(parameter: &Parameter) -> Json {
    let when: Vec<Json> = parameter.when.iter().map(|c| json!([c.parent, c.values])).collect();
    json!({ "name": parameter.name, "distribution": parameter.distribution.to_json(), "when": when })
}

fn read_parameter(json: &Json) -> Option<Parameter> {
    let condition = |json: &Json| {
        let (parent, values): (String, Vec<Value>) = serde_json::from_value(json.clone()).ok()?;
        Some(Condition { parent, values })
    };
    Some(Parameter {
        name: json["name"].as_str()?.to_owned(),
        distribution: Distribution::from_json(&json["distribution"])?,
        when: json["when"].as_array()?.iter().map(condition).collect::<Option<_>>()?,
    })
}
