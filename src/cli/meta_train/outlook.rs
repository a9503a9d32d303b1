//! What a meta-training will take, said beforehand, and how far it is, said from the first seconds on.

use crate::cli::console::is_screen;
use crate::cli::progress::{self, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use qgd::meta::{RoundReport, Stage, Workload};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest silence between two rounds in a pipe.
const SILENCE: Duration = Duration::from_secs(30);

/// The bar on a terminal, or lines in a pipe, with an estimate of the time that is left.
pub struct Outlook {
    workload: Workload,
    bar: ProgressBar,
    pace: [Pace; 2],
    /// When the last round ended, or the first began.
    since: Instant,
    /// When the last line was printed; none yet.
    said: Option<Instant>,
}

/// How fast the rounds of one stage were.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    /// Expected inner steps of the rounds that were done.
    steps: f64,
    seconds: f64,
}

impl Outlook {
    /// Says that the rounds begin, of which `done` are done. The rival was tuned in so long.
    pub fn rounds_from(done: u32, workload: Workload, tuning: Duration) -> Self {
        let n_rounds = workload.n_rounds();
        let bar = if is_screen(&io::stderr()) { ProgressBar::new(n_rounds.into()) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:30} round {pos}/{len}  {elapsed}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let begun = format!("the rival is tuned, in {}; round {} of {n_rounds} has begun", duration(tuning), done + 1);
        if bar.is_hidden() {
            note!("{begun} ...")
        } else {
            bar.set_message(begun)
        }
        bar.set_position(done.into());
        bar.enable_steady_tick(Duration::from_millis(200));
        progress::shown(&bar);
        Self { workload, bar, pace: [Pace::default(); 2], since: Instant::now(), said: None }
    }

    /// Shows what the last round did: on a terminal in the bar; in a pipe the first round, every validation, and a line after each
    /// longer silence.
    pub fn show(&mut self, report: &RoundReport) {
        let now = Instant::now();
        let round = report.round.saturating_sub(1);
        let pace = &mut self.pace[usize::from(round >= self.workload.learning_rounds)];
        pace.steps += self.workload.steps_of_round(round);
        pace.seconds += (now - self.since).as_secs_f64();
        self.since = now;
        let left = left(&self.workload, &self.pace, report.round);
        let message = format!("{}  {}", left, described(&report.stage));
        self.bar.set_position(report.round.into());
        if let Some((score, tuned, worst)) = report.validation {
            let best = if report.is_best { " (best)" } else { "" };
            self.say(
                report.round,
                &format!("{message}  validation {score:+.3}: tuned ratio {tuned:.2}, worst {worst:.2}{best}"),
            );
        } else if self.bar.is_hidden() && self.said.is_none_or(|said| now - said > SILENCE) {
            self.say(report.round, &message);
        }
        self.bar.set_message(message);
    }

    fn say(&mut self, round: u32, message: &str) {
        let line = format!("round {round:>4}/{}  {message}", self.workload.n_rounds());
        if self.bar.is_hidden() {
            note!("{line}")
        } else {
            self.bar.println(line)
        }
        self.said = Some(Instant::now());
    }

    /// Removes the bar.
    pub fn finish(&self) {
        progress::clear();
    }
}

/// The tuning of the rival, before the first round.
pub struct Tuning {
    workload: Workload,
    progress: Progress,
    n_begun: AtomicU64,
    since: Instant,
}

impl Tuning {
    /// Says what there is to do in all, and that the rival is tuned first.
    pub fn begin(workload: Workload) -> Self {
        note!("{}", in_words(&workload));
        let pool = match workload.pool_nets {
            0 => String::new(),
            n => format!(", then the pool of hindsight is scored with {n}"),
        };
        note!("first the rival is tuned with {} nets{pool} ...", workload.rival_nets);
        let progress = Progress::new("nets", workload.nets_beforehand(), 1);
        Self { workload, progress, n_begun: AtomicU64::new(0), since: Instant::now() }
    }

    /// Counts a net that begins.
    pub fn count(&self) {
        let begun = self.n_begun.fetch_add(1, Ordering::Relaxed) + 1;
        if self.progress.wants(begun) {
            let nets = self.workload.nets_beforehand() as f64;
            let seconds = self.since.elapsed().as_secs_f64() * (nets / begun as f64 - 1.0);
            let left = duration(Duration::try_from_secs_f64(seconds).unwrap_or_default());
            self.progress.show(begun, || format!("before the first round, about {left} left for them"));
        }
    }

    /// Says that the rounds begin, of which `done` are done.
    pub fn rounds_from(self, done: u32) -> Outlook {
        self.progress.finish();
        Outlook::rounds_from(done, self.workload, self.since.elapsed())
    }
}

fn in_words(workload: &Workload) -> String {
    let Workload { learning_rounds, polish_rounds, validation_nets, .. } = *workload;
    let polish = match polish_rounds {
        0 => String::new(),
        n => format!(", then {n} rounds of polish with {} each", workload.nets_of_round(learning_rounds)),
    };
    let n_validations = (0..workload.n_rounds()).filter(|&round| workload.validates(round)).count();
    format!(
        "{learning_rounds} rounds with {} nets each{polish}; {n_validations} × {validation_nets} nets for validation: \
         {} nets and about {:.1} million inner steps in all. How long that takes is estimated from the first round on.",
        workload.nets_of_round(0),
        workload.n_nets(),
        workload.n_steps() / 1e6,
    )
}

/// Estimate of the time that is left after `done` rounds. A stage of which nothing was seen yet is taken to be as fast as the other.
fn left(workload: &Workload, pace: &[Pace; 2], done: u32) -> String {
    let all = Pace { steps: pace[0].steps + pace[1].steps, seconds: pace[0].seconds + pace[1].seconds };
    let seconds_per_step = |stage: usize| {
        let seen = if pace[stage].steps > 0.0 { pace[stage] } else { all };
        seen.seconds / seen.steps.max(1.0)
    };
    let of_round =
        |round: u32| workload.steps_of_round(round) * seconds_per_step(usize::from(round >= workload.learning_rounds));
    let seconds: f64 = (done..workload.n_rounds()).map(of_round).sum();
    format!("about {} left", duration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
}

/// A duration to two digits or so: `40 s`, `7 min`, `2 h 10 min`.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round();
    let minutes = (seconds / 60.0).round();
    match seconds {
        s if s < 90.0 => format!("{s} s"),
        _ if minutes < 90.0 => format!("{minutes} min"),
        _ => format!("{} h {} min", (minutes / 60.0).floor(), minutes % 60.0),
    }
}

fn described(stage: &Stage) -> String {
    match stage {
        Stage::Learning { mean_return, action_shares, q_loss, mean_abs_q } => {
            let shares: Vec<String> = action_shares.iter().map(|s| format!("{:.0}%", 100.0 * s)).collect();
            let shares = shares.join("/");
            format!("return {mean_return:+.2}  actions {shares}  loss {q_loss:.4}  |Q| {mean_abs_q:.2}")
        }
        Stage::Polishing { mean_difference } => format!("polishing: pairs differ by {mean_difference:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qgd::meta::TrainingRecipe;

    fn workload() -> Workload {
        Workload::of(&TrainingRecipe::load("lr-single".as_ref()).unwrap())
    }

    #[test]
    fn what_is_left_goes_by_the_pace_of_each_stage_and_by_the_other_one_until_it_is_seen() {
        let workload = workload();
        let steps = |rounds: std::ops::Range<u32>| rounds.map(|round| workload.steps_of_round(round)).sum::<f64>();
        let learning = Pace { steps: steps(0..10), seconds: steps(0..10) * 1e-3 };
        let expected = duration(Duration::from_secs_f64(steps(10..200) * 1e-3));
        assert_eq!(left(&workload, &[learning, Pace::default()], 10), format!("about {expected} left"));
        let polish = Pace { steps: steps(100..110), seconds: steps(100..110) * 1e-4 };
        let expected = duration(Duration::from_secs_f64(steps(110..200) * 1e-4));
        assert_eq!(left(&workload, &[learning, polish], 110), format!("about {expected} left"));
        assert_eq!(left(&workload, &[learning, polish], 200), "about 0 s left");
    }

    #[test]
    fn what_it_takes_is_said_in_numbers() {
        let says = in_words(&workload());
        let expected = "100 rounds with 128 nets each, then 100 rounds of polish with 192 each; 4 × 640 nets for validation: 35968 nets";
        assert!(says.starts_with(expected), "{says}");
    }

    #[test]
    fn durations_are_rounded_to_what_an_estimate_knows() {
        let of = |seconds: u64| duration(Duration::from_secs(seconds));
        assert_eq!([of(0), of(89), of(400), of(7800)], ["0 s", "89 s", "7 min", "2 h 10 min"]);
    }
}
