//! What holds for any bytes: no panic, and what is accepted can be used. One function for each kind of input; the fuzzer
//! and the tests call the same ones.

mod cli;

use qgd::artifact::{self, Kind};
use qgd::controller::OnlineConfig;
use qgd::data;
use qgd::driver::{DriverState, GuardConfig};
use qgd::schedule::Schedule;
use qgd::task::TaskSpec;
use qgd::tuner::{Distribution, Parameter, Space, SpaceFile, Study, StudyConfig, storage};
use qgd::{Controller, Driver, DriverConfig, LossWindow, Measured, Order, Policy, Pretrained, Recipe, Signals};
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// A file of one kind around a payload, so that mutations are not stopped by the checksum.
fn framed(kind: Kind, version: u16, payload: &[u8]) -> Vec<u8> {
    let mut header = artifact::MAGIC.to_vec();
    header.extend(version.to_le_bytes());
    header.extend((kind as u16).to_le_bytes());
    header.extend((payload.len() as u64).to_le_bytes());
    let mut sum = crc32fast::Hasher::new();
    sum.update(&header);
    sum.update(payload);
    header.extend(sum.finalize().to_le_bytes());
    header.extend(payload);
    header
}

/// Signals of a run: a first look, a usual one, a wild one, and one where nothing could be measured.
fn looks() -> [Signals; 4] {
    let look = |loss: f32, lr, measured| Signals {
        step: 7,
        total_steps: Some(100),
        window: LossWindow::of(&[loss]),
        lr,
        lr_base: 0.1,
        measured,
        ..Signals::default()
    };
    let nothing = Measured { grad_norm: f64::NAN, param_norm: f64::NAN, ..Measured::default() };
    [
        Signals { lr: 0.1, lr_base: 0.1, ..Signals::default() },
        look(0.5, 0.1, Measured::default()),
        look(3e38, 1e-30, Measured { grad_norm: 1e300, param_norm: 1e-300, ..Measured::default() }),
        look(f32::NAN, 1e30, nothing),
    ]
}

/// A policy answers with factors that can be used, whatever it is shown.
fn decides(policy: &mut dyn Policy) {
    for signals in looks() {
        let decision = policy.decide(&signals);
        for factor in [decision.lr_factor, decision.weight_decay_factor] {
            assert!(factor.is_finite() && factor > 0.0 || factor == 0.0, "factor {factor}");
        }
    }
}

/// A pretrained file: the first byte chooses between the bytes as they are and a frame of either version around them.
pub fn pretrained(bytes: &[u8]) {
    let Some((how, payload)) = bytes.split_first() else { return };
    let file = match how % 3 {
        0 => payload.to_vec(),
        version => framed(Kind::Controller, version.into(), payload),
    };
    if let Ok(found) = Pretrained::decode(&file) {
        let again = found.encode().and_then(|bytes| Pretrained::decode(&bytes));
        assert!(again.is_ok(), "what was read cannot be written: {again:?}");
        decides(&mut Controller::new(Arc::new(found)));
    }
}

/// Policies with a state, by number.
fn policy(number: u8) -> Option<Box<dyn Policy>> {
    let number = usize::from(number);
    if let Some(schedule) = Schedule::ALL.get(number) {
        return schedule.policy(Some(100), 0).ok();
    }
    let name = Pretrained::NAMES.get((number - Schedule::ALL.len()) / 2)?;
    let controller = Controller::pretrained(name).ok()?;
    match number % 2 {
        0 => Some(Box::new(controller)),
        _ => Some(Box::new(controller.online(OnlineConfig::default(), 0).ok()?)),
    }
}

/// Number of policies that [`state`] and its seeds know.
pub fn n_policies() -> u8 {
    (Schedule::ALL.len() + 2 * Pretrained::NAMES.len()) as u8
}

/// A saved state of the policy that the first byte names, and after `0xff` of a driver.
pub fn state(bytes: &[u8]) {
    let Some((number, saved)) = bytes.split_first() else { return };
    if *number == u8::MAX {
        return driver_state(saved);
    }
    let Some(mut policy) = policy(number % n_policies()) else { return };
    if policy.load(saved).is_ok() {
        decides(&mut *policy);
    }
}

fn driver() -> Driver {
    static LR: LazyLock<Arc<Pretrained>> = LazyLock::new(|| Arc::new(Pretrained::shipped("lr").expect("it ships")));
    let controller = Controller::new(LR.clone());
    let config = DriverConfig { guard: Some(GuardConfig::default()), ..controller.driver_config(Some(100)) };
    Driver::new(Box::new(controller) as Box<dyn Policy>, 0.1, 0.0, config).expect("these values are allowed")
}

fn driver_state(saved: &[u8]) {
    let Ok(state) = artifact::from_bytes::<DriverState>(saved) else { return };
    let mut driver = driver();
    if driver.load_state(state).is_err() {
        return;
    }
    for loss in [1.0, 0.9, f32::NAN, 1e30, 0.8, 0.7] {
        if let Order::Apply { lr, weight_decay, .. } = driver.step(&[loss], true, Measured::default) {
            assert!(lr.is_finite() && lr > 0.0 || lr == 0.0, "learning rate {lr}");
            assert!(weight_decay.is_finite() && weight_decay >= 0.0, "weight decay {weight_decay}");
        }
    }
}

/// Bytes of each kind of saved state, to begin with.
pub fn states() -> Vec<Vec<u8>> {
    let saved = |number| {
        let mut policy = policy(number)?;
        for signals in looks() {
            policy.decide(&signals);
        }
        Some([&[number][..], &policy.save()].concat())
    };
    let mut driver = driver();
    for loss in [1.0, 0.9, 1.1] {
        let _ = driver.step(&[loss], true, Measured::default);
    }
    let driver = [&[u8::MAX][..], &artifact::to_bytes(&driver.state())].concat();
    (0..n_policies()).filter_map(saved).chain([driver]).collect()
}

/// A recipe of a controller and of its meta-training.
pub fn recipe(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(recipe) = Recipe::parse(text, "recipe.toml") {
        let again = Recipe::parse(&recipe.to_toml(), "again.toml");
        assert_eq!(again.map(|again| again.hash()).ok(), Some(recipe.hash()), "what was read cannot be written");
    }
    let _ = qgd::meta::TrainingRecipe::parse(text, "recipe.toml");
}

/// A task file.
pub fn task(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = TaskSpec::parse(text, Path::new("task.toml"));
}

/// A space, and proposals of two samplers in it.
pub fn space(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(file) = SpaceFile::parse(text) else { return };
    if file.space.len() > 64 {
        return;
    }
    let config = StudyConfig { directions: file.directions, sampler: "random".into(), ..StudyConfig::default() };
    let Ok(storage) = storage::open("memory:") else { return };
    let Ok(study) = Study::create_or_open(storage, file.space, config) else { return };
    for _ in 0..2 {
        let Ok(trial) = study.ask() else { return };
        let (number, params) = (trial.number(), trial.params().clone());
        let partial = study.space().partial(&params);
        assert!(partial.is_ok_and(|point| study.space().contains(&point)), "{params:?} lies outside of its space");
        let _ = study.tell(number, 1.0);
    }
}

/// A data file: the first byte chooses format and compression, the second the options.
pub fn table(bytes: &[u8]) {
    let [format, options, content @ ..] = bytes else { return };
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder can be made")
    });
    let folder = FOLDER.path();
    let gz = if format & 8 == 0 { "" } else { ".gz" };
    let file = format!("file{gz}");
    let flag = |bit: u8| options >> bit & 1 == 1;
    let delimiter = if flag(0) { " " } else { "," };
    let text = match format % 5 {
        0 => format!(
            "format = \"csv\"\npath = \"{file}\"\ntarget = -1\ndelimiter = \"{delimiter}\"\nheader = {}\nkind = \"{}\"",
            flag(1),
            if flag(2) { "regression" } else { "classification" },
        ),
        1 => format!("format = \"tsv\"\npath = \"{file}\"\nlength = 8\nvocabulary = 100"),
        2 => format!("format = \"chars\"\npath = \"{file}\"\ncontext = 4"),
        3 => format!("format = \"cifar\"\npath = \".\"\nfiles = [\"{file}\"]"),
        _ => format!("format = \"idx\"\npath = \".\"\nimages = \"{file}\"\nlabels = \"labels\""),
    };
    let (own, labels) = content.split_at(if format % 5 == 4 { content.len() * 3 / 4 } else { content.len() });
    let written = std::fs::write(folder.join(&file), own).and_then(|()| std::fs::write(folder.join("labels"), labels));
    written.expect("files can be written");
    let net = if matches!(format % 5, 1 | 2) { "kind = \"gru\"\nhidden = [4]" } else { "kind = \"mlp\"\nhidden = [4]" };
    let task = format!("[data]\n{text}\n[net]\n{net}\n[train]\nbatch_size = 4\nsteps = 2\n");
    let Ok(task) = TaskSpec::parse(&task, &folder.join("task.toml")) else { return };
    if let Ok(data) = data::load(&task.data, folder, None, 0) {
        for split in [&data.train, &data.validation, &data.test] {
            if let data::Inputs::Float { values, .. } = &split.inputs {
                assert!(values.iter().all(|value| value.is_finite()), "a value is not finite");
            }
        }
        assert!(!data.train.is_empty(), "there is nothing to train on");
    }
}

/// A line that a program prints.
pub fn output(bytes: &[u8]) {
    let _ = cli::tune::output::read(&String::from_utf8_lossy(bytes));
}

/// A command with places for parameters, one argument a line.
pub fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    static SPACE: LazyLock<Space> = LazyLock::new(|| {
        let float = |name| Parameter::new(name, Distribution::float(0.0, 1.0));
        Space::new([float("lr"), float("dropout")]).expect("this is a space")
    });
    let command: Vec<String> = text.lines().map(str::to_owned).collect();
    let _ = cli::tune::template::Template::parse(&command, &SPACE);
}

/// Lines for `qgd ask-tell`. Every answer is an object, and the study goes on whatever was asked.
pub fn ask_tell(bytes: &[u8]) {
    static SPACE: LazyLock<Space> = LazyLock::new(|| {
        let x = Parameter::new("x", Distribution::float(0.0, 1.0));
        let layers = Parameter::new("layers", Distribution::int(1, 3));
        Space::new([x, layers]).expect("this is a space")
    });
    let config = StudyConfig { sampler: "random".into(), lag: 8, ..StudyConfig::default() };
    let study = Study::in_memory(SPACE.clone(), config).expect("this is a study");
    for line in String::from_utf8_lossy(bytes).lines().take(16) {
        if let Some(answer) = cli::ask_tell::protocol::answer(&study, line) {
            assert!(answer.is_object(), "{answer}");
        }
    }
    assert!(study.trials().is_ok());
}
