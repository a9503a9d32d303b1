//! `qgd data`: where the data of the tasks are published, whether they are here, and how to get them.

use super::failure::Failure;
use super::outputs;
use super::setting::DATA_FOLDER;
use anyhow::{Context, anyhow};
use flate2::read::MultiGzDecoder;
use qgd::data::published::{self, PUBLISHED, Published, PublishedFile};
use qgd::report::{Align, Table};
use qgd::shipped::{self, Kind, ROOT};
use qgd::task::TaskSpec;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const EXAMPLES: &str = "Examples:
  What there is, and what is here:
    qgd data
  Where the letters are published, and the commands that fetch them:
    qgd data letter
  Fetch them (with curl, over the network), then train on them:
    qgd data letter --fetch && qgd train letter --controller lr
  Compare all files that are here with their checksums:
    qgd data --check";

/// Say where the data of the tasks are published, fetch them, or check them
///
/// The digits are part of qgd. All other data belong to their publishers and are fetched from there.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DataArgs {
    /// Data sets, or tasks that read them [default: all]
    #[arg(value_name = "NAME|TASK")]
    names: Vec<String>,
    /// Folder of the data files
    #[arg(long, value_name = "DIR", default_value = DATA_FOLDER)]
    data_dir: PathBuf,
    /// Fetch what is missing, with curl
    #[arg(long)]
    fetch: bool,
    /// Compare the files with their checksums; exit code 1 where one is missing or differs
    #[arg(long)]
    check: bool,
}

/// How a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Missing,
    Right,
    Differs,
}

impl DataArgs {
    pub fn run(&self) -> Result<(), Failure> {
        let data_sets = self.data_sets()?;
        if self.fetch {
            data_sets.iter().try_for_each(|data_set| self.fetch(data_set))?;
        }
        if self.check || self.fetch {
            return self.check(&data_sets);
        }
        if self.names.is_empty() {
            say!("{}", self.table(&data_sets));
            say!(
                "The digits are part of qgd. `qgd data NAME` says where the others are published, `--fetch` fetches them."
            );
        }
        for data_set in data_sets.iter().filter(|_| !self.names.is_empty()) {
            say!("{}", self.in_words(data_set));
        }
        Ok(())
    }

    /// The data sets that were named, or all.
    fn data_sets(&self) -> Result<Vec<&'static Published>, Failure> {
        if self.names.is_empty() {
            return Ok(PUBLISHED.iter().collect());
        }
        let mut found: Vec<&'static Published> = Vec::new();
        for name in &self.names {
            let data_set = self.data_set(name)?;
            found.extend(data_set.filter(|data_set| !found.contains(data_set)));
        }
        Ok(found)
    }

    /// The data set of this name, or that of the task; `None` for a task whose data are here already.
    fn data_set(&self, name: &str) -> Result<Option<&'static Published>, Failure> {
        if let Some(data_set) = PUBLISHED.iter().find(|data_set| data_set.name == name) {
            return Ok(Some(data_set));
        }
        let known = || PUBLISHED.map(|data_set| data_set.name).join(", ");
        let task = TaskSpec::load(Path::new(name))
            .with_context(|| format!("{name} is none of the data sets {}, and no task", known()))
            .map_err(Failure::BadInput)?;
        let files = published::files(&task.data);
        let is_here = |file: &PathBuf| {
            let place = task.directory().join(file);
            shipped::bytes(&place).is_some() || place.exists()
        };
        if files.iter().all(is_here) {
            note!("{name} has its data beside the task: there is nothing to fetch");
            return Ok(None);
        }
        let data_set = files.iter().find_map(|file| published::of_path(file));
        let unknown =
            || anyhow!("where {} is published is not known here; there are {}", task.data.path.display(), known());
        data_set.map(Some).ok_or_else(|| Failure::BadInput(unknown()))
    }

    fn table(&self, data_sets: &[&Published]) -> Table {
        let mut table = Table::new(&[
            ("data set", Align::Left),
            ("bytes", Align::Right),
            (&format!("in {}", self.data_dir.display()), Align::Left),
            ("tasks that read it", Align::Left),
        ]);
        for data_set in data_sets {
            let here = |file: &&PublishedFile| self.data_dir.join(file.path).exists();
            let n_here = data_set.files.iter().filter(here).count();
            let n_bytes: u64 = data_set.files.iter().map(|file| file.n_bytes).sum();
            let state = match n_here {
                0 => "missing".to_owned(),
                n if n == data_set.files.len() => "there".to_owned(),
                n => format!("{n} of {} files", data_set.files.len()),
            };
            table.row([data_set.name.to_owned(), n_bytes.to_string(), state, tasks_of(data_set).join(", ")]);
        }
        table
    }

    fn in_words(&self, data_set: &Published) -> String {
        let Published { name, about, license, page, commands, script, files } = data_set;
        let mut text = format!("{name}: {about}\n  license    {license}\n  published  {page}\n");
        text += &format!("  tasks      {}\n", tasks_of(data_set).join(", "));
        for PublishedFile { path, n_bytes, sha256 } in *files {
            let place = self.data_dir.join(path);
            let state = if place.exists() { "there" } else { "missing" };
            let unpacked = if path.ends_with(".gz") { ", unpacked" } else { "" };
            text += &format!("  file       {} ({state})\n", place.display());
            text += &format!("             {n_bytes} bytes{unpacked}, SHA-256 {sha256}\n");
        }
        text += &format!("  by hand, in the folder {}:\n", self.data_dir.display());
        if let Some(script) = script {
            text += &format!("    (with {script} of the repository beside them; --fetch puts it there)\n");
        }
        commands.iter().for_each(|command| text += &format!("    {command}\n"));
        text
    }

    /// Fetches a data set, unless all its files are here.
    fn fetch(&self, data_set: &Published) -> Result<(), Failure> {
        let missing = |file: &&PublishedFile| !self.data_dir.join(file.path).exists();
        let missing: Vec<&PublishedFile> = data_set.files.iter().filter(missing).collect();
        if missing.is_empty() {
            note!("{}: all files are there", data_set.name);
            return Ok(());
        }
        if !has_curl() {
            let by_hand = self.in_words(data_set);
            return Err(Failure::Failed(anyhow!("there is no `curl` here to fetch {} with\n{by_hand}", data_set.name)));
        }
        let folder = &self.data_dir;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        if let Some(script) = data_set.script {
            put_beside(script, folder)?;
        }
        note!("{}: fetching from {} into {}", data_set.name, data_set.page, folder.display());
        let fetched = data_set.commands.iter().try_for_each(|command| self.command(command));
        // Half a file, or a page that says that there is none, must not be taken for the data.
        for file in missing.iter().filter(|file| self.state(file) == State::Differs) {
            let place = folder.join(file.path);
            std::fs::remove_file(&place).with_context(|| format!("cannot remove {}", place.display()))?;
            note!("{}: what came is not what was published, and is removed", place.display());
        }
        fetched.with_context(|| {
            let Published { name, page, .. } = data_set;
            format!("{name} could not be fetched: is there a network? It is published at {page}; `qgd data {name}` shows the commands")
        })?;
        Ok(())
    }

    fn command(&self, command: &str) -> anyhow::Result<()> {
        note!("  {command}");
        let ended = Command::new("sh").args(["-c", command]).current_dir(&self.data_dir).stdin(Stdio::null()).status();
        let ended = ended.with_context(|| format!("cannot run `{command}`"))?;
        if ended.success() { Ok(()) } else { Err(anyhow!("`{command}` ended with {ended}")) }
    }

    fn check(&self, data_sets: &[&Published]) -> Result<(), Failure> {
        let mut n_wrong = 0;
        for file in data_sets.iter().flat_map(|data_set| data_set.files) {
            let state = self.state(file);
            n_wrong += usize::from(state != State::Right);
            let word = match state {
                State::Missing => "missing",
                State::Right => "right",
                State::Differs => "DIFFERS",
            };
            say!("{word:<8} {}", self.data_dir.join(file.path).display());
        }
        let wrong = || anyhow!("{n_wrong} files are missing or differ from what was published");
        if n_wrong == 0 { Ok(()) } else { Err(Failure::Failed(wrong())) }
    }

    fn state(&self, file: &PublishedFile) -> State {
        let path = self.data_dir.join(file.path);
        if !path.exists() {
            return State::Missing;
        }
        // A file that cannot be read is not the one that was published.
        let right = sha256(&path).is_ok_and(|found| found == file.sha256);
        if right { State::Right } else { State::Differs }
    }
}

/// Names of the shipped tasks that read a data set.
fn tasks_of(data_set: &Published) -> Vec<&'static str> {
    let tasks = shipped::FILES.iter().filter(|file| file.kind == Kind::Task);
    let reads = |path: &Path| {
        let spec = TaskSpec::load(path).ok();
        let files = spec.map(|spec| published::files(&spec.data)).unwrap_or_default();
        files.iter().any(|file| published::of_path(file).is_some_and(|found| found.name == data_set.name))
    };
    tasks.filter(|task| reads(&task.virtual_path())).map(|task| task.name).collect()
}

fn has_curl() -> bool {
    let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet(Command::new("curl").arg("--version")).is_ok_and(|ended| ended.success())
}

/// Writes a shipped file into a folder.
fn put_beside(script: &str, folder: &Path) -> Result<(), Failure> {
    let bytes = shipped::bytes(&Path::new(ROOT).join(script)).unwrap_or_default();
    let name = Path::new(script).file_name().unwrap_or_default();
    outputs::write(&folder.join(name), bytes)
}

/// SHA-256 of the bytes of a file, decompressed if its name ends in `.gz`, in hexadecimal digits.
fn sha256(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let mut bytes: Box<dyn Read> = if path.extension().is_some_and(|ending| ending == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let (mut hash, mut part) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match bytes.read(&mut part)? {
            0 => break,
            n => hash.update(&part[..n]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_unpacked_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let [plain, packed] = ["abc.txt", "abc.txt.gz"].map(|name| folder.path().join(name));
        std::fs::write(&plain, "abc").unwrap();
        let mut gzip = flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
        io::Write::write_all(&mut gzip, b"abc").unwrap();
        gzip.finish().unwrap();
        // FIPS 180-2, appendix B.1.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!([sha256(&plain).unwrap(), sha256(&packed).unwrap()], [known, known]);
    }
}
