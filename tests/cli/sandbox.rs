//! A folder for one test, in which `qgd` is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A folder, empty at first, that is removed when the test is over.
pub struct Sandbox {
    folder: TempDir,
}

/// Result of a finished `qgd`.
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    #[cfg(feature = "torch")]
    pub fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// The figures of the page that `qgd report` makes of this.
    pub fn reported(&self, args: &[&str]) -> serde_json::Value {
        let output = self.qgd(&[&["report"], args, &["-o", "page.html"]].concat());
        assert_eq!(output.code, 0, "{}", output.stderr);
        assert!(output.stdout.starts_with("page.html: "), "{}", output.stdout);
        let page = self.read("page.html");
        let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
        serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
    }

    /// Every file and folder in the folder.
    pub fn listing(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("qgd"));
        command.args(args).current_dir(self.folder.path()).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A command that listens to signals even where these tests run in the background of a script, whose programs ignore
    /// SIGINT from the beginning.
    #[cfg(not(feature = "torch"))]
    pub fn listening(&self, args: &[&str]) -> Command {
        let qgd = self.command(args);
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP,INT,TERM").arg(qgd.get_program()).args(args).current_dir(self.folder.path());
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `qgd` to its end, and fails if it panicked.
    pub fn qgd(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
        Output { code: output.status.code().unwrap_or(-1), stdout, stderr }
    }

    /// Meta-trains a controller of the weight decay, for a moment only.
    #[cfg(feature = "torch")]
    pub fn weight_decay_controller(&self, name: &str) {
        self.write(
            "recipe.toml",
            "schema = 1\nname = 'w'\ndescription = 'test'\ncontrols = 'weight-decay'\nmoves = ['halve', 'accept', 'grow']\n\
             features = 'scalefree-validation'\n[pace]\nprobe_steps = 30\n[network]\nhidden = [4]\n\
             [training]\nrounds = 1\nepisodes_per_round = 4\nupdates_per_round = 1\nvalidation_tasks = 1\n\
             [training.reward]\nof = 'validation'\n[training.tasks]\nhorizon = [40, 40]\nexamples = [32, 64]\nweight_decay = [1e-4, 1.0]",
        );
        let output = self.qgd(&["meta-train", "recipe.toml", "-o", name]);
        assert_eq!(output.code, 0, "{}", output.stderr);
    }

    /// Runs a command that must be refused: exit code 2, nothing written, and a message of one line with all of
    /// `needles`.
    pub fn refuses(&self, args: &[&str], needles: &[&str]) {
        let before = self.listing();
        let output = self.qgd(args);
        assert_eq!(output.code, 2, "{args:?}: {}{}", output.stdout, output.stderr);
        for needle in needles {
            assert!(output.stderr.contains(needle), "{args:?} does not say '{needle}': {}", output.stderr);
        }
        assert_eq!(self.listing(), before, "{args:?} has written something");
        assert_eq!(output.stdout, "", "{args:?}");
    }
}

/// A path inside the crate.
pub fn shipped(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    path.to_str().unwrap().to_owned()
}

/// Folder of real data, from QGD_DATA. Where it is not set what needs it is skipped, unless QGD_REQUIRE names it.
#[cfg(feature = "torch")]
pub fn data_dir() -> Option<String> {
    let folder = std::env::var("QGD_DATA").ok().filter(|folder| Path::new(folder).is_dir());
    let required = std::env::var("QGD_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name == "data"));
    assert!(folder.is_some() || !required, "QGD_REQUIRE asks for the data, but QGD_DATA is no folder");
    folder
}

/// Fails unless every line fits a page of 100 columns.
#[cfg(feature = "torch")]
pub fn assert_page(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
}
