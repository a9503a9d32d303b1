//! All samplers on the tables: figures and a picture.

use crate::Result;
use crate::run::Problem;
use crate::table::Losses;
use qgd::report::{Align, Axis, Chart, Color, Line, Table, number, svg};
use qgd::statistics::{mean, median};
use qgd::tuner::samplers;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Trials of a study, but for those of `reinforce`: 300 batches of 16, as in the paper.
const N_TRIALS: usize = 200;
const N_REINFORCE: usize = 4800;
/// Whose mean must be far better than random: the last ten batches.
const N_LAST: usize = 160;
/// Where the incumbents are looked at.
const LOOKS: [usize; 5] = [10, 20, 50, 100, 200];

/// A sampler in the comparison.
struct Entry {
    name: String,
    text: String,
    n_trials: usize,
}

/// The studies of one sampler, one a seed.
struct Studies {
    name: String,
    studies: Vec<Vec<Losses>>,
    /// Wall time of one proposal, look-up included.
    per_trial_us: f64,
}

impl Studies {
    /// Validation and test loss of the incumbents after `n` trials, one a seed. The incumbent is the best by
    /// validation.
    fn incumbents(&self, n: usize) -> Vec<Losses> {
        let best = |study: &Vec<Losses>| {
            let seen = study.iter().take(n);
            seen.copied().min_by(|a, b| a.validation.total_cmp(&b.validation))
        };
        self.studies.iter().filter_map(best).collect()
    }

    fn validation(&self, n: usize) -> Vec<f64> {
        self.incumbents(n).iter().map(|losses| losses.validation).collect()
    }

    /// Mean validation loss of the last proposals, one a seed.
    fn last(&self) -> Vec<f64> {
        let last = |study: &Vec<Losses>| {
            mean(study[study.len().saturating_sub(N_LAST)..].iter().map(|losses| losses.validation))
        };
        self.studies.iter().map(last).collect()
    }
}

pub fn compare(
    problems: &[Problem],
    texts: &[String],
    taught: &Path,
    n_seeds: u64,
    n_threads: usize,
    folder: &Path,
) -> Result<()> {
    let mut charts = Vec::new();
    for problem in problems {
        let entries = entries(problem, texts, taught);
        let mut all = Vec::new();
        for entry in &entries {
            eprintln!("{}: {} ...", problem.set.name(), entry.name);
            all.push(run(problem, entry, n_seeds, n_threads)?);
        }
        print(problem, &all, n_seeds);
        charts.push(chart(problem, &all));
    }
    let heading = "Tuning one hidden layer: best validation loss so far";
    let below = format!("medians of {n_seeds} seeds; every combination was trained once, so a trial is a look-up");
    let picture = folder.join("samplers.svg");
    qgd::artifact::write_bytes(&picture, svg(heading, &below, &charts).as_bytes())?;
    println!("{}", picture.display());
    Ok(())
}

fn entries(problem: &Problem, texts: &[String], taught: &Path) -> Vec<Entry> {
    let entry = |name: &str, text: &str| {
        let n_trials = if text.starts_with("reinforce") { N_REINFORCE } else { N_TRIALS };
        Entry { name: name.into(), text: text.into(), n_trials }
    };
    let [examples, inputs, classes] = problem.facts;
    let transferred = format!("deep-q:{},examples={examples},inputs={inputs},classes={classes}", taught.display());
    if !texts.is_empty() {
        return texts.iter().map(|text| entry(text, &text.replace("TAUGHT", &transferred))).collect();
    }
    let mut entries: Vec<Entry> = ["random", "grid", "tpe", "gp", "q-learning"]
        .into_iter()
        .filter(|name| samplers::NAMES.contains(name))
        .map(|name| entry(name, name))
        .collect();
    entries.push(entry("reinforce, mlp", "reinforce"));
    entries.push(entry("reinforce, rnn", "reinforce:policy=rnn"));
    entries.push(entry("reinforce, mlp, baseline", "reinforce:baseline=mean"));
    entries.push(entry("reinforce, rnn, baseline", "reinforce:policy=rnn,baseline=mean"));
    entries.push(entry("nas", "nas"));
    entries.push(entry("deep-q, fresh", "deep-q"));
    entries.push(entry("deep-q, transferred", &transferred));
    entries
}

fn run(problem: &Problem, entry: &Entry, n_seeds: u64, n_threads: usize) -> Result<Studies> {
    let (next, start) = (AtomicUsize::new(0), Instant::now());
    let work = || {
        let mut own = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed) as u64;
            if seed >= n_seeds {
                return Ok(own);
            }
            let study = problem.study(&entry.text, seed, entry.n_trials).map_err(|error| error.to_string())?;
            own.push((seed, study));
        }
    };
    let done: std::result::Result<Vec<_>, String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a thread has died".into()))).collect()
    });
    let mut studies: Vec<(u64, Vec<Losses>)> = done?.into_iter().flatten().collect();
    studies.sort_by_key(|study| study.0);
    let n: usize = studies.iter().map(|study| study.1.len()).sum();
    let per_trial_us = start.elapsed().as_secs_f64() * 1e6 * n_threads.max(1) as f64 / n.max(1) as f64;
    Ok(Studies { name: entry.name.clone(), studies: studies.into_iter().map(|study| study.1).collect(), per_trial_us })
}

fn print(problem: &Problem, all: &[Studies], n_seeds: u64) {
    let [lowest, average] = problem.lowest_and_mean();
    println!(
        "\n{}: {n_seeds} seeds; the table's lowest validation loss is {lowest:.4}, its mean {average:.4}",
        problem.set.name()
    );
    let mut columns = vec![("sampler".to_owned(), Align::Left)];
    columns.extend(LOOKS.map(|n| (format!("at {n}"), Align::Right)));
    columns.extend([20, 200].map(|n| (format!("test at {n}"), Align::Right)));
    let tail = ["at the end", "last 160 proposals", "A12 random at 200", "A12 tpe at 20", "us/trial"];
    columns.extend(tail.map(|name| (name.to_owned(), Align::Right)));
    let columns: Vec<(&str, Align)> = columns.iter().map(|(name, align)| (name.as_str(), *align)).collect();
    let mut table = Table::new(&columns);
    let named = |name: &str| all.iter().find(|studies| studies.name == name);
    for studies in all {
        let mut row = vec![studies.name.clone()];
        row.extend(LOOKS.map(|n| format!("{:.4}", median(&studies.validation(n)))));
        let test = |n: usize| studies.incumbents(n).iter().map(|losses| losses.test).collect::<Vec<_>>();
        row.extend([20, 200].map(|n| format!("{:.4}", median(&test(n)))));
        row.push(format!("{:.4}", median(&studies.validation(usize::MAX))));
        row.push(format!("{:.4}", median(&studies.last())));
        let against = |name: &str, n: usize| {
            named(name)
                .map_or(String::new(), |other| format!("{:.2}", a12(&studies.validation(n), &other.validation(n))))
        };
        row.extend([against("random", 200), against("tpe", 20), number(studies.per_trial_us.round())]);
        table.row(row);
    }
    println!(
        "median over seeds of the best validation loss; its test loss; A12: how often it beats the other, ties half\n{table}"
    );
}

/// Of all pairs the share in which `own` is lower, ties counted half (Vargha and Delaney 2000).
fn a12(own: &[f64], other: &[f64]) -> f64 {
    let win = |a: f64, b: f64| if a < b { 1.0 } else { 0.5 * f64::from(u8::from(a <= b)) };
    mean(own.iter().flat_map(|&a| other.iter().map(move |&b| win(a, b))))
}

fn chart(problem: &Problem, all: &[Studies]) -> Chart {
    let line = |(i, studies): (usize, &Studies)| {
        let points = (1..=N_TRIALS).map(|n| (n as f64, median(&studies.validation(n)))).collect();
        Line::new(&studies.name, Color::MANY[i % Color::MANY.len()], points)
    };
    let lines = all.iter().enumerate().map(line).collect();
    Chart { title: problem.set.name().into(), x: Axis::log("trials"), y: Axis::log("validation loss"), lines }
}
