//! Training runs by their traces, laid over each other.

use super::tint::Tint;
use crate::cli::failure::Failure;
use crate::cli::thinning::{extremes, short, spread, stretches};
use anyhow::{Context, anyhow};
use qgd::report::Color;
use qgd::words::plain;
use qgd::{Action, Move, Reason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

/// Largest number of decisions of a run that are drawn one by one.
const MAX_ROWS: usize = 4000;
/// Number of stretches of a longer run, of which the extremes are drawn.
const N_STRETCHES: usize = 1000;
/// Number of first decisions that are drawn in any case: where the rate is found.
const N_FIRST: usize = 256;
/// Largest number of decisions of the guard that are shown.
const MAX_EVENTS: usize = 1000;

/// All runs of a page.
#[derive(Debug, Default, Serialize)]
pub struct Runs {
    runs: Vec<Run>,
    reasons: Vec<Meaning>,
}

/// A reason of decisions.
#[derive(Debug, Serialize)]
struct Meaning {
    name: &'static str,
    about: &'static str,
    guard: bool,
}

/// One run.
#[derive(Debug, Serialize)]
struct Run {
    name: String,
    tint: Tint,
    n_decisions: usize,
    /// Number of decisions for each reason.
    reasons: BTreeMap<&'static str, usize>,
    /// Number of decisions of the guard that are left out.
    n_events_left_out: usize,
    /// Decisions that are drawn.
    rows: Vec<Row>,
    /// Where not all decisions are drawn: how many moves of each kind there are in each stretch.
    strip: Option<Vec<Stretch>>,
    /// Whether the last line is not whole, as that of a run that was killed or goes on.
    cut_off: bool,
}

/// Step, loss, learning rate, weight decay, the moves of both (their place in [`Move::ALL`]), and the reason (its place
/// in [`Reason::ALL`]).
type Row = (u64, Option<f64>, Option<f64>, Option<f64>, Option<u8>, Option<u8>, u8);

/// First and last step, then the moves of the learning rate, then those of the weight decay.
type Stretch = (u64, u64, [usize; 3], [usize; 3]);

/// The lines of a trace, the first of which was read to see what it is.
pub struct Lines {
    first: Vec<u8>,
    rest: Box<dyn BufRead>,
}

/// A line of a trace, as far as it is drawn.
#[derive(Debug, Deserialize)]
struct Decision {
    step: u64,
    loss: Option<f64>,
    lr: Option<f64>,
    weight_decay: Option<f64>,
    action: Option<Action>,
    reason: Reason,
}

impl Lines {
    pub fn new(first: Vec<u8>, rest: Box<dyn BufRead>) -> Self {
        Self { first, rest }
    }

    /// All decisions, and whether the last line is not whole. `given` names the file in messages.
    fn read(self, given: &str) -> Result<(Vec<Decision>, bool), Failure> {
        let given = plain(given);
        let mut lines = BufReader::new(std::io::Read::chain(self.first.as_slice(), self.rest));
        let (mut decisions, mut line): (Vec<Decision>, _) = (Vec::new(), Vec::new());
        for number in 1.. {
            line.clear();
            let context = || format!("cannot read {given}");
            if lines.read_until(b'\n', &mut line).with_context(context).map_err(Failure::BadInput)? == 0 {
                break;
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            let decision: Decision = match serde_json::from_slice(&line) {
                Ok(decision) => decision,
                Err(error) if error.is_eof() && !line.ends_with(b"\n") => return Ok((decisions, true)),
                Err(error) => {
                    // Every line is read by itself: the number that the error has is that of no line of the file.
                    let (said, column) = (error.to_string(), error.column());
                    let said = said.split(" at line ").next().unwrap_or_default();
                    return Err(Failure::BadInput(anyhow!(
                        "{given}, line {number}, is no decision of a trace: {said} (column {column})"
                    )));
                }
            };
            let (now, before) = (decision.step, decisions.last().map_or(0, |last| last.step));
            if now < before {
                return Err(Failure::BadInput(anyhow!(
                    "{given}, line {number}, is of step {now}, after one of step {before}: another run begins there; \
                     give each run its own file"
                )));
            }
            decisions.push(decision);
        }
        Ok((decisions, false))
    }
}

impl Runs {
    /// Reads a trace and lays it over the others.
    pub fn add(&mut self, given: &str, lines: Lines) -> Result<(), Failure> {
        let (decisions, cut_off) = lines.read(given)?;
        let name = self.name(given);
        let tint = Tint::of(Color::MANY[self.runs.len() % Color::MANY.len()]);
        self.reasons = Reason::ALL.map(Meaning::of).into();
        self.runs.push(Run::new(name, tint, &decisions, cut_off));
        Ok(())
    }

    /// Number of runs.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Names of the runs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.runs.iter().map(|run| run.name.as_str())
    }

    /// Name of a run: that of its file without its ending, or as it was given where another run has that name.
    fn name(&self, given: &str) -> String {
        let file = given.rsplit('/').next().unwrap_or(given);
        let stem = file.strip_suffix(".jsonl").filter(|stem| !stem.is_empty()).unwrap_or(file);
        let is_taken = |name: &str| self.names().any(|known| known == name);
        let taken = |n: usize| format!("{given} ({n})");
        [stem.to_owned(), given.to_owned()]
            .into_iter()
            .chain((2..).map(taken))
            .find(|name| !is_taken(name))
            .unwrap_or_default()
    }
}

impl Meaning {
    fn of(reason: Reason) -> Self {
        Self { name: reason.name(), about: reason.about(), guard: reason.is_of_guard() }
    }
}

impl Run {
    fn new(name: String, tint: Tint, decisions: &[Decision], cut_off: bool) -> Self {
        let n = decisions.len();
        let events: Vec<usize> = (0..n).filter(|&i| decisions[i].reason.is_of_guard()).collect();
        let shown = spread(events.len(), MAX_EVENTS);
        let kept = if n <= MAX_ROWS { (0..n).collect() } else { drawn(decisions, shown.iter().map(|&i| events[i])) };
        let mut reasons = BTreeMap::new();
        decisions.iter().for_each(|decision| *reasons.entry(decision.reason.name()).or_default() += 1);
        Self {
            name,
            tint,
            n_decisions: n,
            reasons,
            n_events_left_out: if n <= MAX_ROWS { 0 } else { events.len() - shown.len() },
            rows: kept.into_iter().map(|i| decisions[i].row()).collect(),
            strip: (n > MAX_ROWS).then(|| strip(decisions)),
            cut_off,
        }
    }
}

/// Indices of the decisions of a long run that are drawn: the first ones, the extremes of every stretch, and these
/// events.
fn drawn(decisions: &[Decision], events: impl Iterator<Item = usize>) -> Vec<usize> {
    let value = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let (loss, lr) = (|i: usize| value(decisions[i].loss), |i: usize| value(decisions[i].lr));
    let weight_decay = |i: usize| value(decisions[i].weight_decay);
    let mut kept = extremes(decisions.len(), N_STRETCHES, &[&loss, &lr, &weight_decay]);
    kept.extend(0..N_FIRST.min(decisions.len()));
    kept.extend(events);
    kept.sort_unstable();
    kept.dedup();
    kept
}

fn strip(decisions: &[Decision]) -> Vec<Stretch> {
    let count = |part: &[Decision], of: fn(Action) -> Move| {
        Move::ALL.map(|wanted| part.iter().filter(|d| d.action.map(of) == Some(wanted)).count())
    };
    let stretch = |rows: std::ops::Range<usize>| {
        let (part, last) = (&decisions[rows.clone()], &decisions[rows.end - 1]);
        (decisions[rows.start].step, last.step, count(part, |a| a.lr), count(part, |a| a.weight_decay))
    };
    stretches(decisions.len(), N_STRETCHES).map(stretch).collect()
}

impl Decision {
    fn row(&self) -> Row {
        let place = |one: Move| Move::ALL.iter().position(|known| *known == one).map(|place| place as u8);
        let reason = Reason::ALL.iter().position(|known| *known == self.reason).unwrap_or_default() as u8;
        let (lr, weight_decay) = (self.action.map(|action| action.lr), self.action.map(|action| action.weight_decay));
        (
            self.step,
            self.loss.map(short),
            self.lr.map(short),
            self.weight_decay.map(short),
            lr.and_then(place),
            weight_decay.and_then(place),
            reason,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(files: &[(&str, &str)]) -> Result<Runs, String> {
        let mut runs = Runs::default();
        for (name, text) in files {
            let lines = Lines::new(Vec::new(), Box::new(std::io::Cursor::new(text.as_bytes().to_vec())));
            runs.add(name, lines).map_err(|failure| failure.to_string())?;
        }
        Ok(runs)
    }

    fn line(step: u64, loss: &str, action: &str, reason: &str) -> String {
        let action = if action.is_empty() {
            "null".to_owned()
        } else {
            format!("{{\"lr\":\"{action}\",\"weight_decay\":\"accept\"}}")
        };
        format!(
            "{{\"step\":{step},\"loss\":{loss},\"lr\":0.1,\"weight_decay\":0.0,\"action\":{action},\"reason\":\"{reason}\"}}\n"
        )
    }

    #[test]
    fn a_line_that_is_half_there_is_left_out_and_any_other_fault_is_named() {
        let whole = line(0, "1.5", "halve", "policy");
        let cut = runs(&[("a.jsonl", &format!("{whole}{}", &whole[..30]))]).unwrap();
        assert_eq!((cut.runs[0].rows.len(), cut.runs[0].cut_off), (1, true));
        let said = runs(&[("a.jsonl", &format!("{whole}{}\n{whole}", &whole[..30]))]).unwrap_err();
        assert!(said.contains("a.jsonl, line 2, is no decision"), "{said}");
        let said = runs(&[("a.jsonl", &format!("{whole}{}", line(3, "1", "double", "policy")))]).unwrap_err();
        assert!(said.contains("line 2") && said.contains("double") && said.contains("grow"), "{said}");
        let said = runs(&[("a.jsonl", &[line(7, "1", "", "non-finite"), whole].concat())]).unwrap_err();
        assert!(said.contains("line 2, is of step 0, after one of step 7"), "{said}");
    }

    #[test]
    fn runs_of_one_name_are_told_apart() {
        let text = line(0, "1", "grow", "policy");
        let runs =
            runs(&[("a/t.jsonl", &text), ("b/t.jsonl", &text), ("b/t.jsonl", &text), (".jsonl", &text)]).unwrap();
        assert_eq!(runs.names().collect::<Vec<_>>(), ["t", "b/t.jsonl", "b/t.jsonl (2)", ".jsonl"]);
    }

    #[test]
    fn what_is_left_out_of_a_long_run_is_counted() {
        let reason = |step: u64| if step.is_multiple_of(7) { "loss-exploded" } else { "policy" };
        let text: String = (0..20_000).map(|step| line(step, "null", "halve", reason(step))).collect();
        let run = runs(&[("t.jsonl", &text)]).unwrap().runs.remove(0);
        assert_eq!((run.n_decisions, run.reasons["loss-exploded"], run.n_events_left_out), (20_000, 2858, 1858));
        assert!(run.rows.len() < 4000, "{}", run.rows.len());
        let strip = run.strip.unwrap();
        assert_eq!(strip.iter().map(|stretch| stretch.2[0]).sum::<usize>(), 20_000);
        assert_eq!((strip[0].0, strip[999].1, strip.len()), (0, 19_999, 1000));
        assert!(run.rows.iter().all(|row| row.1.is_none() && row.4 == Some(0)));
    }
}
