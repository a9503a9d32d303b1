//! `--watch`: a view in the whole terminal, which comes back as it was whichever way the program ends.

use crate::sandbox::Sandbox;
#[cfg(not(feature = "torch"))]
use crate::studies::{sandbox, trials};
use std::process::{Command, Stdio};

/// Runs `sys.argv[4:]` on a terminal of 100 × 30, and does `sys.argv[1]` (keys, or the name of a signal) as soon as
/// `sys.argv[2]` is on it. `sys.argv[3]` names streams that are no terminal. Says first how it ended and whether the
/// terminal is as it was, then all that was printed on it.
const WATCHED: &str = "
import fcntl, os, signal, struct, subprocess, sys, termios
does, needle, piped = sys.argv[1], sys.argv[2].encode(), sys.argv[3]
master, slave = os.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 30, 100, 0, 0))
before = termios.tcgetattr(slave)
stream = lambda name: subprocess.DEVNULL if name in piped else slave
listens = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
child = subprocess.Popen(sys.argv[4:], stdin=slave, stdout=stream('stdout'), stderr=stream('stderr'),
                         start_new_session=True, preexec_fn=listens)
os.set_blocking(master, False)
said, done = b'', not does
while True:
    ended = child.poll() is not None
    try:
        said += os.read(master, 65536)
        continue
    except BlockingIOError:
        if ended:
            break
    if not done and needle in said:
        done = True
        child.send_signal(getattr(signal, does)) if does.startswith('SIG') else os.write(master, does.encode())
    try:
        child.wait(0.005)
    except subprocess.TimeoutExpired:
        pass
print(child.returncode, termios.tcgetattr(slave) == before, flush=True)
os.write(1, said)";

#[cfg(not(feature = "torch"))]
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l\x1b[?25h";

/// Runs `qgd`, does something when `needle` is on the terminal, and answers the exit code and what was printed.
fn watched(sandbox: &Sandbox, args: &[&str], (does, needle): (&str, &str), piped: &str, term: &str) -> (i32, String) {
    let mut command = Command::new("python3");
    command.args(["-c", WATCHED, does, needle, piped]).arg(sandbox.command(&[]).get_program()).args(args);
    command.current_dir(sandbox.path(".")).env_remove("RUST_LOG").env_remove("NO_COLOR").env("TERM", term);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (ended, printed) = said.split_once('\n').unwrap();
    let (code, is_as_before) = ended.split_once(' ').unwrap();
    assert_eq!(is_as_before, "True", "the settings of the terminal: {printed:?}");
    assert!(!printed.contains("panicked"), "{printed:?}");
    (code.parse().unwrap(), printed.replace("\r\n", "\n"))
}

const NOTHING: (&str, &str) = ("", "");

#[cfg(not(feature = "torch"))]
#[test]
fn the_view_of_a_study_leaves_the_terminal_with_the_summary_of_a_run_without_it() {
    let tune = |name: &'static str, script: &'static str| {
        ["tune", "space.toml", "--study", name, "--trials", "4", "--watch", "--", "sh", "-c", script]
    };
    let script = "echo \"{{\\\"step\\\": 1, \\\"value\\\": 9}}\"; echo \"{{\\\"value\\\": $QGD_PARAM_X}}\"";
    let sandbox = sandbox();
    let plain = sandbox.qgd(&tune("plain", script));
    assert!(plain.code == 0 && plain.stdout.contains("smallest value"), "{}{}", plain.stdout, plain.stderr);
    let (code, printed) = watched(&sandbox, &tune("seen\u{9b}2J", script), NOTHING, "", "xterm-256color");
    assert_eq!(code, 0, "{printed:?}");
    let (before, view) = printed.split_once(ENTER).unwrap();
    let (view, after) = view.split_once(LEAVE).unwrap();
    assert!(before.ends_with("sampler tpe, pruner none, lag 1, seed 0\n"), "{before:?}");
    // Both streams are on the terminal.
    let kept = "the study is kept: `qgd report seen\\u009b2J` draws it, `qgd study --help` has more\n";
    assert_eq!(after, plain.stdout + kept, "{view:?}");
    // Of words side by side the spaces are not drawn.
    assert!(["q stops", "complete", "\\u009b2J"].iter().all(|word| view.contains(word)), "{view:?}");
    assert!(!printed.contains('\u{9b}'), "{printed:?}");
    // A failed trial is told when the view has closed.
    let args =
        [&tune("broken", "exit 7")[..6], &["--watch", "--max-failures", "1", "--", "sh", "-c", "exit 7"]].concat();
    let (code, printed) = watched(&sandbox, &args, NOTHING, "", "xterm-256color");
    let after = printed.split_once(LEAVE).unwrap().1;
    assert!(code == 1 && after.contains("trial 0 failed: exit code 7"), "{after:?}");
}

#[cfg(not(feature = "torch"))]
#[test]
fn q_ctrl_c_and_signals_stop_a_watched_study_and_give_its_trial_back() {
    let sandbox = sandbox();
    for (does, code, name) in [("q", 130, "SIGINT"), ("\x03", 130, "SIGINT"), ("SIGTERM", 143, "SIGTERM")] {
        let args = ["tune", "space.toml", "--study", name, "--watch", "--", "sh", "-c", "exec sleep 100"];
        let (ended, printed) = watched(&sandbox, &args, (does, "running"), "", "xterm-256color");
        let after = printed.split_once(LEAVE).map(|(_, after)| after).unwrap_or_else(|| panic!("{printed:?}"));
        assert_eq!(ended, code, "{after:?}");
        for said in ["trial 0 was interrupted", "no trial is complete", &format!("interrupted by {name}: ")] {
            assert!(after.contains(said), "{after:?}");
        }
        assert_eq!(trials(&sandbox, name, "sqlite:///qgd.db")[0]["state"], "WAITING");
    }
}

#[cfg(not(feature = "torch"))]
#[test]
fn without_a_terminal_there_is_the_plain_bar() {
    let sandbox = sandbox();
    let tune = |study, watch: &'static [&str]| {
        [&["tune", "space.toml", "--trials", "3", "--study", study], watch, &["--", "echo", "{{\"value\": 1}}"]]
            .concat()
    };
    let [seen, plain] = [&["--watch"][..], &[]].map(|watch| {
        sandbox.qgd(&["study", "delete", "a"]);
        sandbox.qgd(&tune("a", watch))
    });
    assert_eq!((seen.code, seen.stdout, seen.stderr), (plain.code, plain.stdout, plain.stderr));
    let (code, dumb) = watched(&sandbox, &tune("b", &["--watch"]), NOTHING, "", "dumb");
    assert!(code == 0 && !dumb.contains('\x1b') && dumb.contains("3/3 trials"), "{dumb:?}");
    for piped in ["stdout", "stderr"] {
        let (code, printed) = watched(&sandbox, &tune(piped, &["--watch"]), NOTHING, piped, "xterm");
        assert!(code == 0 && !printed.contains("\x1b[?1049"), "{printed:?}");
    }
}

#[cfg(feature = "torch")]
#[test]
fn the_view_of_a_training_leaves_the_terminal_with_the_summary_of_a_run_without_it() {
    let sandbox = Sandbox::new();
    let train = ["train", "digits", "--controller", "lr", "--steps", "600", "--watch"];
    let summary = |printed: &str| printed.split("  took").next().unwrap().to_owned();
    let plain = sandbox.qgd(&train);
    assert_eq!(plain.code, 0, "{}", plain.stderr);
    let (code, printed) = watched(&sandbox, &train, NOTHING, "", "xterm-256color");
    let (view, after) = printed.split_once(LEAVE).unwrap();
    assert_eq!((code, summary(after)), (0, summary(&plain.stdout)));
    assert!(view.contains("window") && view.contains("networks"), "{view:?}");
    // Ctrl-C says what is kept, on the terminal as it was.
    let train = ["train", "digits", "--steps", "1000000", "--watch", "--json", "out.json", "--trace", "t.jsonl"];
    let (code, printed) = watched(&sandbox, &train, ("\x03", "q stops"), "", "xterm-256color");
    let after = printed.split_once(LEAVE).unwrap().1;
    assert!(code == 130 && after.starts_with("interrupted by SIGINT: nothing is kept"), "{after:?}");
}
