//! The files of a command: outputs are checked before the work, and in the end what could not be written takes nothing
//! else along.

use super::failure::Failure;
use anyhow::{Context, anyhow};
use qgd::artifact::{self, Place};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Age at which a temporary file is taken for that of a killed process: writing one takes seconds.
const STALE: Duration = Duration::from_secs(3600);

/// What a command reads and writes. Inputs are named first, then outputs.
#[derive(Debug, Default)]
pub struct Files {
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    /// `the task`, or `--json`.
    name: String,
    path: PathBuf,
    identity: Identity,
    is_output: bool,
}

/// What makes two names the same file.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    /// Device and inode.
    There(u64, u64),
    /// The path of what is not there yet, without links in it.
    Missing(PathBuf),
    /// A terminal, `/dev/null`: any number of outputs may go there.
    Device,
}

impl Files {
    /// Notes a file that the command reads.
    pub fn reads(&mut self, name: &str, path: &Path) {
        if let Ok(identity) = Identity::of(path) {
            self.note(name, path, identity, false);
        }
    }

    /// Notes a pretrained controller, if it is a file.
    pub fn reads_controller(&mut self, given: &str) {
        let file = given.strip_suffix("+online").unwrap_or(given);
        if qgd::Pretrained::is_file(file) {
            self.reads("the controller", Path::new(file));
        }
    }

    /// Notes the files of the data of a task.
    #[cfg(feature = "torch")]
    pub fn reads_task(&mut self, task: &qgd::task::TaskSpec, data_dir: Option<&Path>) -> Result<(), Failure> {
        self.reads("the task", &task.file);
        let data = qgd::data::files(&task.data, task.directory(), data_dir).map_err(Failure::bad_input)?;
        data.iter().for_each(|file| self.reads("the data", file));
        Ok(())
    }

    /// Refuses an output that could not be written in the end, or that is another file of this command. Removes what
    /// killed processes left beside it.
    pub fn writes(&mut self, flag: &str, path: Option<&Path>) -> Result<(), Failure> {
        let Some(path) = path else { return Ok(()) };
        let cannot = |what: &str| Err(Failure::BadInput(anyhow!("cannot write {flag} {}: {what}", path.display())));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if path.is_dir() || !folder.is_dir() {
            return cannot(if path.is_dir() { "that is a folder" } else { "its folder does not exist" });
        }
        artifact::check_writable(path).with_context(|| flag.to_owned()).map_err(Failure::BadInput)?;
        self.add(flag, path)?;
        artifact::sweep(path, STALE);
        Ok(())
    }

    /// The same for a folder, which may be made, and for the files of these names in it.
    pub fn writes_folder(&mut self, flag: &str, folder: Option<&Path>, names: &[&str]) -> Result<(), Failure> {
        let Some(folder) = folder else { return Ok(()) };
        if folder.exists() && !folder.is_dir() {
            return Err(Failure::BadInput(anyhow!("{flag} {} is not a folder", folder.display())));
        }
        let there = folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("."));
        if !there.is_dir() {
            let (folder, there) = (folder.display(), there.display());
            return Err(Failure::BadInput(anyhow!("cannot make {flag} {folder}: {there} is not a folder")));
        }
        let some_file = there.join(names.first().filter(|_| folder.exists()).unwrap_or(&"checkpoint"));
        let cannot = || format!("cannot write into {flag} {}", folder.display());
        artifact::check_writable(&some_file).with_context(cannot).map_err(Failure::BadInput)?;
        self.add(flag, folder)?;
        names.iter().try_for_each(|name| self.add(flag, &folder.join(name)))
    }

    fn add(&mut self, flag: &str, path: &Path) -> Result<(), Failure> {
        let context = || format!("cannot write {flag} {}", path.display());
        let identity = Identity::of(path).with_context(context).map_err(Failure::BadInput)?;
        let same = self.known.iter().find(|known| identity != Identity::Device && known.identity == identity);
        if let Some(Known { name, path: other, is_output, .. }) = same {
            let (path, other) = (path.display(), other.display());
            return Err(Failure::BadInput(if *is_output {
                anyhow!("{name} {other} and {flag} {path} are the same file; give each its own")
            } else {
                anyhow!("{flag} {path} would overwrite {name} {other}; give another file")
            }));
        }
        self.note(flag, path, identity, true);
        Ok(())
    }

    fn note(&mut self, name: &str, path: &Path, identity: Identity, is_output: bool) {
        self.known.push(Known { name: name.to_owned(), path: path.to_owned(), identity, is_output });
    }
}

impl Identity {
    fn of(path: &Path) -> std::io::Result<Self> {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        match fs::metadata(path) {
            Ok(there) if there.file_type().is_char_device() => Ok(Self::Device),
            Ok(there) => Ok(Self::There(there.dev(), there.ino())),
            Err(_) => match Place::of(path)? {
                Place::File(file) => without_links(&file).map(Self::Missing),
                _ => Ok(Self::Device),
            },
        }
    }
}

/// The path with its part that is there freed of links and dots.
fn without_links(path: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().find_map(|part| Some((fs::canonicalize(part).ok()?, path.strip_prefix(part).ok()?)));
    Ok(there.map_or_else(|| path.clone(), |(there, rest)| there.join(rest)))
}

/// Writes a file under a temporary name first, so that it is there as a whole or not at all.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let context = || format!("cannot write {}", path.display());
    artifact::write_bytes(path, bytes).with_context(context).map_err(Failure::Failed)
}

/// Results on their way to files. One that cannot be written takes neither the others along nor what is printed.
#[cfg(feature = "torch")]
#[derive(Debug, Default)]
pub struct Results {
    failure: Option<Failure>,
}

#[cfg(feature = "torch")]
impl Results {
    /// Notes that something was not written.
    pub fn failed(&mut self, failure: Failure) {
        if let Some(earlier) = self.failure.replace(failure) {
            note!("{earlier}");
        }
    }

    /// Writes a file, if one is wanted.
    pub fn write(&mut self, path: Option<&Path>, bytes: impl FnOnce() -> Result<Vec<u8>, Failure>) {
        let Some(path) = path else { return };
        if let Err(failure) = bytes().and_then(|bytes| write(path, &bytes)) {
            self.failed(failure);
        }
    }

    /// Prints the result, and answers what was not written.
    pub fn tell(self, result: impl std::fmt::Display) -> Result<(), Failure> {
        let Some(failure) = self.failure else {
            say!("{result}");
            return Ok(());
        };
        // Whether stdout can be written or not, the command has failed.
        let _ = super::console::try_stdout(format_args!("{result}"));
        Err(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_file_are_known_as_such_whether_it_is_there_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("data.csv"), "1").unwrap();
        fs::hard_link(at("data.csv"), at("hard")).unwrap();
        std::os::unix::fs::symlink("data.csv", at("soft")).unwrap();
        std::os::unix::fs::symlink("../new", at("sub/dangling")).unwrap();
        std::os::unix::fs::symlink("sub", at("folder")).unwrap();
        let clash = |input: &str, outputs: &[&str]| {
            let mut files = Files::default();
            files.reads("the data", &at(input));
            outputs.iter().find_map(|output| files.writes("--json", Some(&at(output))).err()).map(|it| it.to_string())
        };
        for output in ["data.csv", "./data.csv", "sub/../data.csv", "hard", "soft", "folder/../data.csv"] {
            let said = clash("data.csv", &[output]).unwrap_or_else(|| panic!("{output}"));
            assert!(said.contains("would overwrite the data"), "{said}");
        }
        for pair in [["new", "sub/../new"], ["new", "sub/dangling"], ["sub/new", "folder/new"]] {
            let said = clash("data.csv", &pair).unwrap_or_else(|| panic!("{pair:?}"));
            assert!(said.contains("are the same file"), "{said}");
        }
        assert_eq!(clash("data.csv", &["new", "sub/new", "folder/newer"]), None);
        let mut files = Files::default();
        for _ in 0..2 {
            files.writes("--json", Some(Path::new("/dev/null"))).unwrap();
        }
        assert!(!at("new").exists(), "a check writes nothing");
    }
}
