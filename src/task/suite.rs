//! Suite files: which tasks an evaluation runs, and how.

use super::section::{Section, count, list, text};
use super::{OptimizerKind, TaskError, read_text};
use crate::shipped::{self, Kind};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Largest number of seeds, and largest multiple of a horizon: far more than anybody waits for.
const MOST: usize = 1000;

/// Several tasks for one evaluation.
///
/// ```text
/// optimizers = ["sgd", "momentum", "adam"]    horizons = [1, 4]    seeds = 5    rivals = ["cosine", "constant"]
/// [[task]]  file, quick, and any of the keys above, for this task alone
/// ```
///
/// | Name | Default | Range |
/// |---|---|---|
/// | `optimizers` | sgd, momentum, adam | at least one |
/// | `horizons` | \[1\] | at least one, each 1 to 1000 |
/// | `seeds` | 5 | 1 to 1000 |
/// | `rivals` | cosine, one-cycle, step, plateau, greedy, constant | at least one |
/// | `task.file` | required | |
/// | `task.quick` | false | |
///
/// The fields of [`SuiteTask`] say what each of them is for.
///
/// ```
/// # fn main() -> Result<(), qgd::task::TaskError> {
/// let text = "seeds = 3\n[[task]]\nfile = \"digits.toml\"\n[[task]]\nfile = \"wine.toml\"\nseeds = 5\n";
/// let suite = qgd::task::SuiteSpec::parse(text, "suite.toml".as_ref())?;
/// assert_eq!((suite.tasks[0].seeds, suite.tasks[1].seeds), (3, 5));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteSpec {
    /// File that the suite was read from.
    pub file: PathBuf,
    /// Tasks, in the order in which they are run.
    pub tasks: Vec<SuiteTask>,
}

/// One task of a suite, with the values that it takes over from the suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteTask {
    /// Task file; relative to the suite file or to the data folder.
    pub file: PathBuf,
    /// Optimizers that train it, one after the other, whatever the task file says.
    pub optimizers: Vec<OptimizerKind>,
    /// Lengths of the training, as multiples of the steps in the task file.
    pub horizons: Vec<u64>,
    /// Number of seeds: they are 0, 1, and so on.
    pub seeds: u64,
    /// Rivals: schedules or pretrained controllers.
    pub rivals: Vec<String>,
    /// Whether `--quick` runs it.
    pub quick: bool,
}

impl SuiteSpec {
    /// Reads and checks a suite file, or a suite that comes with qgd, by its name. It does not read the task files.
    ///
    /// # Errors
    /// When there is no such file and no such name, or the file cannot be read, is not TOML, or has a key or value that is
    /// not allowed.
    pub fn load(name_or_file: &Path) -> Result<Self, TaskError> {
        let file = shipped::find(Kind::Suite, name_or_file)?;
        Self::parse(&read_text(&file)?, &file)
    }

    /// Reads and checks the text of a suite file. `file` is named in errors.
    ///
    /// # Errors
    /// When the text is not TOML, or has a key or value that is not allowed.
    pub fn parse(text: &str, file: &Path) -> Result<Self, TaskError> {
        let table: Table =
            toml::from_str(text).map_err(|source| TaskError::Syntax { file: file.into(), source: Box::new(source) })?;
        let mut keys = Section::new(file, "", table);
        let defaults = SuiteTask {
            file: PathBuf::new(),
            optimizers: vec![OptimizerKind::Sgd, OptimizerKind::Momentum, OptimizerKind::Adam],
            horizons: vec![1],
            seeds: 5,
            rivals: ["cosine", "one-cycle", "step", "plateau", "greedy", "constant"].map(str::to_owned).to_vec(),
            quick: false,
        };
        let defaults = shared_keys(&mut keys, &defaults)?;
        let tables = keys.required("task", "one table [[task]] for each task", |value| list(value, table_of))?;
        if tables.is_empty() {
            return Err(keys.missing("task", "one table [[task]] for each task"));
        }
        keys.finish()?;
        let task = |(i, table)| task(Section::new(file, format!("task[{i}]"), table), &defaults);
        let tasks = tables.into_iter().enumerate().map(task).collect::<Result<_, _>>()?;
        Ok(Self { file: file.into(), tasks })
    }
}

fn table_of(value: &Value) -> Option<Table> {
    value.as_table().cloned()
}

fn task(mut keys: Section<'_>, defaults: &SuiteTask) -> Result<SuiteTask, TaskError> {
    let file = PathBuf::from(keys.required("file", "a task file", text)?);
    let quick = keys.optional("quick", "true or false", Value::as_bool)?.unwrap_or(false);
    let task = SuiteTask { file, quick, ..shared_keys(&mut keys, defaults)? };
    keys.finish()?;
    Ok(task)
}

/// Reads the keys that a suite may have for all its tasks, and a task for itself.
fn shared_keys(keys: &mut Section<'_>, defaults: &SuiteTask) -> Result<SuiteTask, TaskError> {
    let names = OptimizerKind::NAMES.map(|(name, _)| format!("\"{name}\"")).join(", ");
    let optimizers = keys.optional("optimizers", &format!("a list of {names}"), |value| {
        some(list(value, |item| item.as_str()?.parse::<OptimizerKind>().ok())?)
    })?;
    let multiple = |value: &Value| count(value).filter(|n| (1..=MOST).contains(n)).map(|n| n as u64);
    let upto = format!("from 1 to {MOST}");
    let horizons =
        keys.optional("horizons", &format!("a list of whole numbers {upto}"), |value| some(list(value, multiple)?))?;
    let seeds = keys.optional("seeds", &format!("a whole number {upto}"), multiple)?;
    let rivals = keys.optional("rivals", "a list of schedules and controllers", |value| some(list(value, text)?))?;
    Ok(SuiteTask {
        file: defaults.file.clone(),
        optimizers: optimizers.unwrap_or_else(|| defaults.optimizers.clone()),
        horizons: horizons.unwrap_or_else(|| defaults.horizons.clone()),
        seeds: seeds.unwrap_or(defaults.seeds),
        rivals: rivals.unwrap_or_else(|| defaults.rivals.clone()),
        quick: defaults.quick,
    })
}

/// The list, unless it is empty.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskSpec;

    fn parse(text: &str) -> Result<SuiteSpec, TaskError> {
        SuiteSpec::parse(text, Path::new("folder/suite.toml"))
    }

    #[test]
    fn a_task_takes_over_what_it_does_not_say() {
        let suite = parse(
            "optimizers = [\"adam\"]\nseeds = 2\n[[task]]\nfile = \"a.toml\"\n\
             [[task]]\nfile = \"b.toml\"\nhorizons = [1, 4]\nseeds = 3\nrivals = [\"cosine\"]\nquick = true\n",
        )
        .unwrap();
        let [a, b] = &suite.tasks[..] else { panic!("two tasks: {suite:?}") };
        assert_eq!(
            (&a.optimizers[..], &a.horizons[..], a.seeds, a.quick),
            (&[OptimizerKind::Adam][..], &[1][..], 2, false)
        );
        assert_eq!(
            (&b.optimizers[..], &b.horizons[..], b.seeds, b.quick),
            (&[OptimizerKind::Adam][..], &[1, 4][..], 3, true)
        );
        assert!(a.rivals.len() == 6 && b.rivals == ["cosine"]);
    }

    #[test]
    fn every_mistake_is_refused_with_its_key_path() {
        let task = "[[task]]\nfile = \"a.toml\"\n";
        let cases = [
            (String::new(), "`task` is missing"),
            ("task = []\n".to_owned(), "`task` is missing"),
            ("task = 3\n".to_owned(), "`task` is 3"),
            (format!("sedes = 3\n{task}"), "unknown key `sedes`"),
            (format!("{task}horizon = [1]\n"), "unknown key `task[0].horizon`"),
            (format!("{task}[[task]]\nseeds = 2\n"), "`task[1].file` is missing"),
            (format!("seeds = 0\n{task}"), "`seeds` is 0"),
            (format!("{task}seeds = 1001\n"), "`task[0].seeds` is 1001"),
            (format!("{task}seeds = \"many\"\n"), "`task[0].seeds`"),
            (format!("horizons = []\n{task}"), "`horizons` is []"),
            (format!("{task}horizons = [0]\n"), "`task[0].horizons` is [0]"),
            (format!("{task}horizons = [1.5]\n"), "`task[0].horizons`"),
            (format!("optimizers = [\"lamb\"]\n{task}"), "`optimizers`"),
            (format!("optimizers = []\n{task}"), "`optimizers` is []"),
            (format!("{task}rivals = []\n"), "`task[0].rivals`"),
            (format!("{task}quick = 1\n"), "`task[0].quick`"),
        ];
        for (text, says) in cases {
            let error = parse(&text).expect_err(&text).to_string();
            assert!(error.contains(says) && error.contains("folder/suite.toml"), "{text}: {error}");
        }
        assert!(matches!(parse("[[task"), Err(TaskError::Syntax { .. })));
        assert!(matches!(SuiteSpec::load(Path::new("nowhere.toml")), Err(TaskError::NoSuchFile(_))));
    }

    #[test]
    fn every_shipped_suite_names_tasks_that_are_there() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tasks");
        let names = |file: &str| -> Vec<String> {
            let suite = SuiteSpec::load(&folder.join(file)).unwrap_or_else(|error| panic!("{error}"));
            let load =
                |task: &SuiteTask| TaskSpec::load(&folder.join(&task.file)).unwrap_or_else(|error| panic!("{error}"));
            suite.tasks.iter().map(|task| load(task).name()).collect()
        };
        let mut in_suite = names("suite.toml");
        // Those that run longer with fewer rivals stand there twice.
        in_suite.dedup();
        let seen_often = ["letter", "digits", "wine", "mnist-cnn", "cifar-cnn"];
        let seen_seldom = ["chars-gru", "chars-transformer", "imdb-gru", "imdb-transformer", "cifar-resnet"];
        assert_eq!(in_suite, [seen_often, seen_seldom].concat());
        assert_eq!(names("long.toml"), ["letter", "chars-gru"]);
    }
}
