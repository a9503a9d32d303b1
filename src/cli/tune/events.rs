//! What is told of a study while it runs. The view of `--watch` shows it; `--tensorboard` writes the value of every trial
//! and the best so far, and of each trial that runs here, in a folder of its own, its parameters, its intermediate values and
//! how it ended.

use super::view::StudyView;
use crate::cli::failure::Failure;
use crate::cli::tensorboard::{self, EventFile, Hparam, Status, Summary, folder_name, step_of};
use qgd::tuner::{ActiveTrial, Direction, Study, Trial, TrialState, Value};
use qgd::words::plain;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where the events of a study go.
pub struct StudyEvents {
    /// Event files, where they are asked for.
    files: Option<Files>,
    /// A view, where one is asked for and there is a terminal.
    view: Option<StudyView>,
}

struct Files {
    folder: PathBuf,
    /// Files of the trials that are running here, by number.
    running: Mutex<BTreeMap<usize, Arc<EventFile>>>,
    curve: Mutex<Curve>,
    /// Why the first file that is not whole is not.
    failure: Mutex<Option<anyhow::Error>>,
}

/// The curve of the values, in the order of the trials. A trial that ends before an earlier one waits for it: TensorBoard
/// takes a step backwards for a run that was begun anew.
struct Curve {
    file: EventFile,
    directions: Vec<Direction>,
    /// Number of the trial whose point comes next, and of the last one that is known to have ended.
    next: usize,
    last: usize,
    best: Option<f64>,
}

impl StudyEvents {
    /// Begins the file of a study below `dir`.
    pub fn begin(dir: Option<&Path>, study: &Study) -> Result<Self, Failure> {
        Ok(Self { files: dir.map(|dir| Files::begin(dir, study)).transpose()?, view: None })
    }

    /// The same with a view, if there is one.
    pub fn shown_in(self, view: Option<StudyView>) -> Self {
        Self { view, ..self }
    }

    /// Whether a view shows them.
    pub fn has_view(&self) -> bool {
        self.view.is_some()
    }

    /// A trial begins here, perhaps for the second time.
    pub fn begins(&self, trial: &ActiveTrial<'_>) {
        self.view.iter().for_each(|view| view.begins(trial));
        let Some(files) = &self.files else { return };
        let name = format!("trial-{:06}", trial.number());
        let params = trial.params().iter().map(|(name, value)| (name.as_str(), hparam(value)));
        match EventFile::begin(&files.folder.join(&name), 0) {
            Ok(file) => {
                file.write(0, &Summary::new().session_begins(&name, params));
                locked(&files.running).insert(trial.number(), Arc::new(file));
            }
            Err(error) => {
                note!("{error:#}; the trial runs without them");
                files.failed(error);
            }
        }
    }

    /// A trial that runs here has reported an intermediate value.
    pub fn reports(&self, number: usize, step: i64, value: f64) {
        self.view.iter().for_each(|view| view.reports(number, step, value));
        let Some(files) = &self.files else { return };
        let file = locked(&files.running).get(&number).cloned();
        if let Some(file) = file {
            file.write(step, &Summary::new().scalar("intermediate", value));
        }
    }

    /// A trial has ended here, or was given back.
    pub fn ends(&self, study: &Study, trial: &Trial) {
        self.view.iter().for_each(|view| view.ends(study, trial));
        let Some(files) = &self.files else { return };
        if trial.state.is_finished() {
            locked(&files.curve).catch_up(study, trial);
        }
        let Some(file) = locked(&files.running).remove(&trial.number) else { return };
        if trial.state.is_finished() {
            file.write(trial.last_report().map_or(0, |(step, _)| step), &end_of(trial));
        }
        file.failure().into_iter().for_each(|error| files.failed(error));
    }

    /// Writes what is missing of the curve of these trials. Fails where not all events are in their files.
    pub fn finish(&self, trials: &[Trial]) -> Result<(), Failure> {
        let Some(files) = &self.files else { return Ok(()) };
        let mut curve = locked(&files.curve);
        // Nobody ends those here that are still running elsewhere.
        let late = curve.next;
        trials.iter().filter(|trial| trial.number >= late).for_each(|trial| curve.add(trial));
        curve.file.failure().into_iter().for_each(|error| files.failed(error));
        locked(&files.failure).take().map_or(Ok(()), |error| Err(Failure::Failed(error)))
    }
}

impl Files {
    /// Begins the file of a study, with the trials that it has already.
    fn begin(dir: &Path, study: &Study) -> Result<Self, Failure> {
        let folder = dir.join(folder_name(&study.config().name));
        let file = EventFile::begin(&folder, 0)?;
        let directions = study.config().directions.clone();
        let before = study.trials().map_err(Failure::of_tuner)?;
        let last = before.iter().rposition(|trial| trial.state.is_finished()).unwrap_or(0);
        let mut curve = Curve { file, directions, next: 0, last, best: None };
        before.iter().take_while(|trial| trial.state.is_finished()).for_each(|trial| curve.add(trial));
        tensorboard::tell(dir, &folder);
        let (running, failure) = Default::default();
        Ok(Self { folder, running, curve: Mutex::new(curve), failure })
    }

    fn failed(&self, error: anyhow::Error) {
        locked(&self.failure).get_or_insert(error);
    }
}

impl Curve {
    /// Adds the points up to the last trial that has ended, `ended` or one before, as far as none between them is missing.
    fn catch_up(&mut self, study: &Study, ended: &Trial) {
        self.last = self.last.max(ended.number);
        while self.next <= self.last {
            let trial = if self.next == ended.number { Ok(ended.clone()) } else { study.trial(self.next) };
            match trial {
                Ok(trial) if trial.state.is_finished() => self.add(&trial),
                _ => break,
            }
        }
    }

    fn add(&mut self, trial: &Trial) {
        self.next = trial.number + 1;
        if trial.state != TrialState::Complete {
            return;
        }
        let mut summary = with_values(Summary::new(), trial);
        if let ([direction], [value]) = (&self.directions[..], &trial.values[..]) {
            let is_better = self.best.is_none_or(|best| direction.cost(*value) < direction.cost(best));
            if is_better && trial.is_feasible() && !value.is_nan() {
                self.best = Some(*value);
            }
            summary = self.best.into_iter().fold(summary, |summary, best| summary.scalar("best", best));
        }
        self.file.write(step_of(trial.number as u64), &summary);
    }
}

/// What is said of a trial at its end.
fn end_of(trial: &Trial) -> Summary {
    let (status, summary) = match trial.state {
        TrialState::Complete => (Status::Success, with_values(Summary::new(), trial)),
        TrialState::Fail => {
            (Status::Failure, Summary::new().text("state", &format!("failed: {}", plain(&trial.reason()))))
        }
        other => (Status::Success, Summary::new().text("state", &other.to_string())),
    };
    summary.session_ends(status)
}

/// Adds the values of a trial: `value`, or `value/0` and so on where there are several objectives.
fn with_values(summary: Summary, trial: &Trial) -> Summary {
    if let [value] = trial.values[..] {
        return summary.scalar("value", value);
    }
    let add = |summary: Summary, (i, value): (usize, &f64)| summary.scalar(&format!("value/{i}"), *value);
    trial.values.iter().enumerate().fold(summary, add)
}

fn hparam(value: &Value) -> Hparam {
    match value {
        Value::Bool(is) => Hparam::Bool(*is),
        Value::Int(whole) => Hparam::Number(*whole as f64),
        Value::Float(number) => Hparam::Number(*number),
        other => Hparam::Text(other.to_string()),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
