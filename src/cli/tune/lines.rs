//! What a program prints: copied into its log, while lines that mean something are picked out. It takes a bounded
//! amount of memory, whatever is printed.

use super::output::{self, Said};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{PipeReader, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Length of the longest line that is looked at, in bytes. Longer ones are copied only.
const LONGEST: usize = 1 << 20;

/// Number of bytes that are read at a time.
const CHUNK: usize = 1 << 16;

/// Interval at which a silent program is looked at.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Copies until nobody can print any more, or `is_over` and all is read. Hands on what lines say.
pub fn copy(mut stdout: PipeReader, mut log: impl Write, is_over: &AtomicBool, hand_on: impl FnMut(Said)) {
    let (mut chunk, mut lines) = (vec![0; CHUNK], Lines::new(hand_on));
    loop {
        // Before the look at the pipe: what was printed before the end is there then.
        let ends = is_over.load(Ordering::Acquire);
        let is_silent = {
            let mut events = [PollFd::new(&stdout, PollFlags::IN)];
            matches!(poll(&mut events, Some(&GLANCE)), Ok(0) | Err(Errno::INTR))
        };
        if is_silent {
            if ends {
                break;
            }
            continue;
        }
        let Ok(n) = stdout.read(&mut chunk) else { break };
        if n == 0 {
            break;
        }
        // A log on a full disk must not stop the trial.
        let _ = log.write_all(&chunk[..n]);
        lines.add(&chunk[..n]);
    }
    lines.end();
}

/// Lines, put together from pieces.
struct Lines<F> {
    line: Vec<u8>,
    is_too_long: bool,
    hand_on: F,
}

impl<F: FnMut(Said)> Lines<F> {
    fn new(hand_on: F) -> Self {
        Self { line: Vec::new(), is_too_long: false, hand_on }
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.grow(&bytes[..end]);
            self.end();
            bytes = &bytes[end + 1..];
        }
        self.grow(bytes);
    }

    fn grow(&mut self, bytes: &[u8]) {
        self.is_too_long |= self.line.len() + bytes.len() > LONGEST;
        if !self.is_too_long {
            self.line.extend_from_slice(bytes);
        }
    }

    fn end(&mut self) {
        if !std::mem::take(&mut self.is_too_long) && self.line.contains(&b'{') {
            let text = String::from_utf8_lossy(&self.line);
            // A bar of progress on the same line goes back to its beginning.
            let shown = text.trim_end().rsplit('\r').next().unwrap_or_default();
            output::read(shown).into_iter().for_each(&mut self.hand_on);
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[&[u8]]) -> Vec<Said> {
        let mut found = Vec::new();
        let mut lines = Lines::new(|said| found.push(said));
        pieces.iter().for_each(|piece| lines.add(piece));
        lines.end();
        found
    }

    #[test]
    fn lines_are_read_however_they_come() {
        let step = |step| Said::Step(step, 0.5);
        assert_eq!(
            said(&[b"{\"step\": 1,", b" \"value\": 0.5}", b"\n{\"st", b"ep\": 2, \"value\": 0.5}"]),
            [step(1), step(2)]
        );
        assert_eq!(said(&[b"\r 99%\r100%\r{\"step\": 1, \"value\": 0.5}\r\n"]), [step(1)]);
        assert_eq!(said(&[b"\xff\xfe {\n", b"no\n\n", b"{\"step\": 3, \"value\": 0.5}\n"]), [step(3)]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_the_longest() {
        let mut lines = Lines::new(|_| ());
        for _ in 0..100 {
            lines.add(&[b'{'; CHUNK]);
        }
        assert!(lines.line.capacity() <= 2 * LONGEST);
        let long = [b"{\"step\": 1, \"value\": 0.5}".as_slice(), &vec![b' '; LONGEST]].concat();
        assert_eq!(said(&[&long, b"\n{\"step\": 2, \"value\": 0.5}\n"]), [Said::Step(2, 0.5)]);
    }

    #[test]
    fn a_pipe_that_somebody_holds_open_is_read_to_its_end_when_all_is_over() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"{\"value\": 0.5}").unwrap();
        let (mut log, mut found) = (Vec::new(), Vec::new());
        copy(reader, &mut log, &AtomicBool::new(true), |said| found.push(said));
        assert_eq!((log.as_slice(), found.len()), (b"{\"value\": 0.5}".as_slice(), 1));
    }
}
