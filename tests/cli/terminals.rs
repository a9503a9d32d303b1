//! What is printed on a terminal: colors and progress bars where they are wanted, plain text elsewhere.

use crate::sandbox::{Sandbox, shipped};
use std::process::Command;

/// Runs the rest of its arguments on a terminal of their own.
const TERMINAL: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

/// The same, but what it runs is interrupted (Ctrl-C) as soon as its bar shows ten steps.
const INTERRUPTED: &str = "
import os, pty, signal, sys
pid, terminal = pty.fork()
if pid == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
said, sent = b'', False
while True:
    try:
        more = os.read(terminal, 65536)
    except OSError:
        break
    if not more:
        break
    said += more
    if not sent and said.count(b'steps') > 3:
        sent = os.write(terminal, bytes([3])) > 0
os.write(1, said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))";

#[test]
fn ctrl_c_on_a_terminal_clears_the_bar_before_it_says_what_is_kept() {
    let sandbox = Sandbox::new();
    let args = ["train", "digits", "--controller", "lr", "--steps", "1000000"];
    let qgd = sandbox.command(&args);
    let mut command = Command::new("python3");
    command.args(["-c", INTERRUPTED]).arg(qgd.get_program()).args(args).current_dir(sandbox.path("."));
    let output = command.env("TERM", "xterm-256color").stdin(std::process::Stdio::null()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130), "{printed:?}{}", String::from_utf8_lossy(&output.stderr));
    let end = &printed[printed.rfind('━').unwrap()..];
    let (bar, said) = end.split_once("interrupted by SIGINT: nothing is kept").unwrap();
    assert!(bar.contains("\x1b[2K") && !said.contains("steps  "), "{end:?}");
}

/// Everything that a command prints on a terminal.
fn on_a_terminal(args: &[&str], environment: &[(&str, &str)]) -> String {
    let sandbox = Sandbox::new();
    let qgd = sandbox.command(args);
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL]).arg(qgd.get_program()).args(args).current_dir(sandbox.path("."));
    command.env_remove("RUST_LOG").env_remove("NO_COLOR").env("TERM", "xterm-256color");
    let output = command.envs(environment.iter().copied()).stdin(std::process::Stdio::null()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

/// Whether a text changes colors: an escape sequence that ends with `m` and is no reset.
fn is_colored(text: &str) -> bool {
    text.split("\x1b[").skip(1).any(|rest| {
        let sequence: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == ';').collect();
        rest[sequence.len()..].starts_with('m') && !["", "0"].contains(&sequence.as_str())
    })
}

#[test]
fn a_terminal_gets_colors_and_bars_unless_it_or_its_user_does_not_want_them() {
    let task = shipped("examples/tasks/digits.toml");
    let train = ["train", &task, "--steps", "30", "--controller", "lr"];
    let lively = on_a_terminal(&train, &[]);
    assert!(is_colored(&lively) && lively.contains("30/30"), "{lively:?}");
    let log = ("RUST_LOG", "qgd=debug");
    assert!(is_colored(&on_a_terminal(&[&train[..], &["--threads", "1"]].concat(), &[log])));
    let gray = on_a_terminal(&train, &[("NO_COLOR", "1"), log]);
    assert!(!is_colored(&gray) && gray.contains("30/30"), "{gray:?}");
    let dumb = on_a_terminal(&train, &[("TERM", "dumb"), log]);
    assert!(!dumb.contains('\x1b') && dumb.contains("30/30 steps") && dumb.contains("test accuracy"), "{dumb:?}");
}

#[test]
fn the_demo_and_the_help_keep_to_it_too() {
    let sandbox = Sandbox::new();
    let task = std::fs::read_to_string(shipped("examples/tasks/demo.toml")).unwrap();
    let task = task.replace("../data/digits.csv.gz", &shipped("examples/data/digits.csv.gz"));
    sandbox.write("short.toml", task.replace("steps = 400", "steps = 20"));
    let short = sandbox.path("short.toml");
    let demo = ["demo", "--task", short.to_str().unwrap()];
    assert!(is_colored(&on_a_terminal(&demo, &[])));
    let gray = on_a_terminal(&demo, &[("NO_COLOR", "1")]);
    assert!(!is_colored(&gray) && gray.contains("━━ with qgd"), "{gray:?}");
    for environment in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        for elsewhere in [("CI", ""), ("CI", "true")] {
            let help = on_a_terminal(&["--help"], &[environment, elsewhere]);
            assert!(!is_colored(&help) && help.contains("Usage"), "{help:?}");
        }
    }
}
