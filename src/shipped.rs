//! Files of the repository that are part of the program: tasks, suites, spaces, recipes and the digits. So a task, a suite or a recipe may
//! be named (`digits`, `lr-single`) wherever its file may be, also where there is no checkout.
//!
//! A shipped file has a path like any other, under the folder [`ROOT`], which is in no file system. [`find`] turns what a user
//! wrote into a path, [`text`] and [`bytes`] read it.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Folder of all shipped files. Below it they have the paths that they have in the repository.
pub const ROOT: &str = "qgd:";

/// A kind of file that may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Task files.
    Task,
    /// Suite files.
    Suite,
    /// Space files.
    Space,
    /// Recipes.
    Recipe,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Task, Self::Suite, Self::Space, Self::Recipe];

    fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Suite => "suite",
            Self::Space => "space",
            Self::Recipe => "recipe",
        }
    }
}

/// A shipped file that may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// Kind of the file.
    pub kind: Kind,
    /// Name that stands for it on the command line.
    pub name: &'static str,
    /// Path in the repository.
    pub path: &'static str,
    /// Contents.
    pub text: &'static str,
}

impl Shipped {
    /// A sentence on what it is: the description of a recipe, the first comment of any other file.
    pub fn about(&self) -> String {
        let described = |text: &str| Some(text.parse::<toml::Table>().ok()?.get("description")?.as_str()?.to_owned());
        let comment = || self.text.lines().next().and_then(|line| line.strip_prefix("# ")).map(str::to_owned);
        if self.kind == Kind::Recipe { described(self.text) } else { comment() }.unwrap_or_default()
    }

    /// Path under [`ROOT`].
    pub fn virtual_path(&self) -> PathBuf {
        Path::new(ROOT).join(self.path)
    }
}

macro_rules! shipped {
    ($($kind:ident $name:literal $path:literal)*) => {
        &[$(Shipped { kind: Kind::$kind, name: $name, path: $path, text: include_str!(concat!("../", $path)) }),*]
    };
}

/// Every file that may be named.
pub const FILES: &[Shipped] = shipped! {
    Task "demo" "examples/tasks/demo.toml"
    Task "digits" "examples/tasks/digits.toml"
    Task "letter" "examples/tasks/letter.toml"
    Task "wine" "examples/tasks/wine.toml"
    Task "mnist-cnn" "examples/tasks/mnist-cnn.toml"
    Task "mnist-1000" "examples/tasks/mnist-1000.toml"
    Task "cifar-cnn" "examples/tasks/cifar-cnn.toml"
    Task "cifar-1000" "examples/tasks/cifar-1000.toml"
    Task "chars-gru" "examples/tasks/chars-gru.toml"
    Task "imdb-lstm" "examples/tasks/imdb-lstm.toml"
    Task "chars-transformer" "examples/tasks/chars-transformer.toml"
    Task "imdb-transformer" "examples/tasks/imdb-transformer.toml"
    Task "imdb-gru" "examples/tasks/imdb-gru.toml"
    Task "cifar-resnet" "examples/tasks/cifar-resnet.toml"
    Task "cancer" "examples/development/cancer.toml"
    Task "cancer-smoothness" "examples/development/cancer-smoothness.toml"
    Task "cancer-texture" "examples/development/cancer-texture.toml"
    Task "diabetes" "examples/development/diabetes.toml"
    Task "diabetes-sixths" "examples/development/diabetes-sixths.toml"
    Task "wine-alcohol" "examples/development/wine-alcohol.toml"
    Task "wine-eighths" "examples/development/wine-eighths.toml"
    Task "iris-petal" "examples/development/iris-petal.toml"
    Task "adult" "examples/development/adult.toml"
    Task "adult-4000" "examples/development/adult-4000.toml"
    Task "waveform" "examples/development/waveform.toml"
    Task "waveform-3000" "examples/development/waveform-3000.toml"
    Task "friedman" "examples/development/friedman.toml"
    Task "friedman-2000" "examples/development/friedman-2000.toml"
    Task "source-gru" "examples/development/source-gru.toml"
    Task "grammar-lstm" "examples/development/grammar-lstm.toml"
    Task "strokes-cnn" "examples/development/strokes-cnn.toml"
    Task "strokes-more-cnn" "examples/development/strokes-more-cnn.toml"
    Task "strokes-resnet" "examples/development/strokes-resnet.toml"
    Task "source-transformer" "examples/development/source-transformer.toml"
    Task "grammar-transformer" "examples/development/grammar-transformer.toml"
    Task "grammar-small" "examples/development/grammar-small.toml"
    Suite "suite" "examples/tasks/suite.toml"
    Suite "long" "examples/tasks/long.toml"
    Suite "development" "examples/development/suite.toml"
    Space "net" "examples/tune/net.toml"
    Space "space" "examples/tune/space.toml"
    Recipe "lr" "controllers/lr.toml"
    Recipe "lr-part" "controllers/lr-part.toml"
    Recipe "lr-single" "controllers/lr-single.toml"
    Recipe "lr-line-search" "controllers/lr-line-search.toml"
    Recipe "weight-decay" "controllers/weight-decay.toml"
    Recipe "joint" "controllers/joint.toml"
    Recipe "hu-lr" "controllers/hu-lr.toml"
    Recipe "hu-lambda" "controllers/hu-lambda.toml"
};

/// Data that ship, and the program that makes those of the development set: path in the repository, and contents.
#[cfg(feature = "torch")]
const DATA: [(&str, &[u8]); 2] = [
    ("examples/data/digits.csv.gz", include_bytes!("../examples/data/digits.csv.gz")),
    ("examples/development/make.py", include_bytes!("../examples/development/make.py")),
];
#[cfg(not(feature = "torch"))]
const DATA: [(&str, &[u8]); 0] = [];

/// Error: there is no such file, and nothing of that name ships.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {} {}: neither a file nor one of those that come with qgd, which are {}", .kind.word(), .given.display(), names(*.kind).join(", "))]
pub struct NoSuchFile {
    /// Kind of the file.
    pub kind: Kind,
    /// What was asked for.
    pub given: PathBuf,
}

/// Names of the shipped files of a kind.
pub fn names(kind: Kind) -> Vec<&'static str> {
    FILES.iter().filter(|file| file.kind == kind).map(|file| file.name).collect()
}

/// The path of what a user named: that of a file, or else that of the shipped file with this name or this path in the repository.
///
/// ```
/// use qgd::shipped::{Kind, find, text};
///
/// let path = find(Kind::Recipe, "lr-single".as_ref())?;
/// assert!(text(&path)?.contains("schema = 1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When it is neither. The message lists the names.
pub fn find(kind: Kind, given: &Path) -> Result<PathBuf, NoSuchFile> {
    // A folder is no such file: one named `digits` must not hide the task.
    if (given.exists() && !given.is_dir()) || bytes(given).is_some() {
        return Ok(given.to_owned());
    }
    let same =
        |file: &&Shipped| file.kind == kind && [file.name, file.path].iter().any(|known| Path::new(known) == given);
    let found = FILES.iter().find(same).map(Shipped::virtual_path);
    found.ok_or_else(|| NoSuchFile { kind, given: given.to_owned() })
}

/// Contents of a shipped file; `None` for every path that is not below [`ROOT`].
pub fn bytes(path: &Path) -> Option<&'static [u8]> {
    let path = in_repository(path)?;
    let texts = FILES.iter().map(|file| (file.path, file.text.as_bytes()));
    texts.chain(DATA).find(|(known, _)| *known == path).map(|(_, bytes)| bytes)
}

/// Text of a file, shipped or not.
///
/// # Errors
/// When it cannot be read.
pub fn text(path: &Path) -> io::Result<String> {
    match bytes(path) {
        Some(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        None => crate::text::read(path),
    }
}

/// Path in the repository of a path below [`ROOT`], `..` taken out.
fn in_repository(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.strip_prefix(ROOT).ok()?.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::ParentDir => _ = parts.pop()?,
            _ => {}
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_task_suite_and_recipe_of_the_repository_is_there_with_a_sentence() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut on_disk = BTreeSet::new();
        for folder in ["examples/tasks", "examples/development", "examples/tune", "controllers"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if name.ends_with(".toml") {
                    on_disk.insert(format!("{folder}/{name}"));
                }
            }
        }
        let shipped: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
        assert_eq!(on_disk, shipped);
        for file in FILES {
            let about = file.about();
            assert!(about.len() > 20 && about.len() < 160, "{}: {about:?}", file.path);
        }
        for kind in Kind::ALL {
            let names = names(kind);
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{kind:?}: one name twice");
        }
    }

    #[test]
    fn a_file_wins_over_a_name_and_a_name_must_be_exact() {
        let find = |given: &str| find(Kind::Task, Path::new(given));
        assert_eq!(find("digits").unwrap(), Path::new("qgd:/examples/tasks/digits.toml"));
        // Tests run in the repository, so this one is a file.
        assert_eq!(find("examples/tasks/digits.toml").unwrap(), Path::new("examples/tasks/digits.toml"));
        for wrong in ["digits.toml", "./digits", "Digits", "folder/digits", "suite", "lr-single", ""] {
            let error = find(wrong).unwrap_err().to_string();
            assert!(error.contains("no task") && error.contains("demo, digits, letter, wine"), "{wrong}: {error}");
        }
    }

    #[test]
    fn paths_below_the_root_are_walked_as_in_a_file_system() {
        assert!(bytes(Path::new("qgd:/examples/tasks/../development/cancer.toml")).is_some());
        for nowhere in ["qgd:/../../examples/tasks/digits.toml", "qgd:/examples", "examples/tasks/digits.toml", "qgd:"]
        {
            assert_eq!(bytes(Path::new(nowhere)), None, "{nowhere}");
        }
    }

    #[cfg(feature = "torch")]
    #[test]
    fn the_digits_are_read_from_the_program() {
        let task = crate::task::TaskSpec::load(Path::new("digits")).unwrap();
        assert_eq!(task.name(), "digits");
        let data = crate::data::load(&task.data, task.directory(), None, 0).unwrap();
        assert_eq!((data.train.len(), data.n_outputs), (1437, 10));
        let on_disk = crate::task::TaskSpec::load(Path::new("examples/tasks/digits.toml")).unwrap();
        let of = |task: &crate::task::TaskSpec| crate::data::fingerprint(&task.data, task.directory(), None).unwrap();
        assert_eq!(of(&task), of(&on_disk));
    }
}
