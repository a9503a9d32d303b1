//! A table: what comes out of every combination.

use crate::Result;
use crate::data::{DataSet, Part, Split};
use indicatif::{ProgressBar, ProgressStyle};
use qgd::meta::{InnerActivation, InnerAlgorithm, InnerOptimizer, NetProblem, Problem};
use qgd::rng::stream;
use rand::RngExt;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

/// A combination: the places of learning rate, weight decay, batch size and hidden size in their lists.
pub type Cell = [usize; 4];

/// Names of the four, in this order.
pub const PARAMETERS: [&str; 4] = ["lr", "weight_decay", "batch_size", "hidden"];

/// Rates of the paper, in ascending order: both for lr and for weight decay.
const RATES: [f64; 10] = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1];
const EPOCHS: usize = 15;
/// Combinations of a data set that is learned from, but for those that are whole.
const N_OTHER: usize = 600;

/// Validation and test loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Losses {
    pub validation: f64,
    pub test: f64,
}

/// The combinations a table is to have.
pub fn cells(set: &DataSet) -> Vec<Cell> {
    match set {
        set if set.is_whole() => (0..10_000).map(whole).collect(),
        // Every second one of all but the learning rates.
        DataSet::Letter => (0..1250).map(|i| [i / 125, 2 * (i / 25 % 5), 2 * (i / 5 % 5), 1 + 2 * (i % 5)]).collect(),
        other => {
            let mut rng = stream(0, &format!("samplers table/cells/{}", other.name()));
            let mut all: Vec<Cell> = (0..10_000).map(whole).collect();
            (0..N_OTHER).for_each(|i| all.swap(i, rng.random_range(i..10_000)));
            all.truncate(N_OTHER);
            all
        }
    }
}

fn whole(i: usize) -> Cell {
    [i / 1000, i / 100 % 10, i / 10 % 10, i % 10]
}

/// What a file holds. A line that was cut off is left out.
pub fn read(path: &Path) -> BTreeMap<Cell, Losses> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let row = |line: &str| {
        let mut words = line.split('\t');
        let mut index = || words.next()?.parse().ok();
        let cell = [index()?, index()?, index()?, index()?];
        let mut loss = || words.next()?.parse().ok();
        let losses = Losses { validation: loss()?, test: loss()? };
        (words.next() == Some("end")).then_some((cell, losses))
    };
    text.lines().filter_map(row).collect()
}

/// Trains what a file lacks, and adds it.
pub fn complete(set: &DataSet, cells: &[Cell], folder: &Path, path: &Path, n_threads: usize) -> Result<()> {
    let known = read(path);
    let missing: Vec<Cell> = cells.iter().copied().filter(|cell| !known.contains_key(cell)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let split = set.load(folder)?;
    let bar = ProgressBar::new(cells.len() as u64)
        .with_style(ProgressStyle::with_template("{msg:14} {bar:32.cyan/238} {pos:>6}/{len} nets  {eta:.dim}")?);
    bar.set_message(set.name());
    bar.set_position(known.len() as u64);
    let file = Mutex::new(OpenOptions::new().create(true).append(true).open(path)?);
    // A line that was cut off must not run into the next one.
    writeln!(lock(&file))?;
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || -> std::result::Result<(), String> {
        while let Some(&cell) = missing.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let Losses { validation, test } = train(&split, cell).map_err(|error| error.to_string())?;
            let [a, b, c, d] = cell;
            let row = format!("{a}\t{b}\t{c}\t{d}\t{validation:e}\t{test:e}\tend\n");
            lock(&file).write_all(row.as_bytes()).map_err(|error| error.to_string())?;
            bar.inc(1);
        }
        Ok(())
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a thread has died".into()))).collect()
    });
    bar.finish();
    eprintln!("{}: {} nets of {}", path.display(), missing.len(), set.name());
    results.into_iter().collect::<std::result::Result<(), String>>().map_err(Into::into)
}

fn lock(file: &Mutex<File>) -> std::sync::MutexGuard<'_, File> {
    file.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Trains one net. Its initial weights and batches depend on the combination alone.
fn train(split: &Split, cell: Cell) -> Result<Losses> {
    let [lr, weight_decay, batch, hidden] = cell;
    let sizes = [split.n_in, 2 * (hidden + 1), split.n_classes.max(1)];
    let [train, validation, test] = &split.parts;
    let batch_size = (8usize << batch).min(train.n);
    let problem = |part: &Part| {
        NetProblem::new(&sizes, InnerActivation::Relu, part.inputs.clone(), part.target.clone(), batch_size)
    };
    let net = problem(train)?;
    let mut rng = stream(0, &format!("samplers table/net/{cell:?}"));
    let mut x = net.init(1.0, &mut rng);
    let mut training = Problem::Net(Box::new(net));
    let (mut adam, mut grad) = (InnerOptimizer::new(InnerAlgorithm::Adam, x.len()), vec![0.0; x.len()]);
    for _ in 0..EPOCHS * train.n.div_ceil(batch_size) {
        training.loss_and_grad(&x, &mut grad, &mut rng);
        adam.step(&mut x, &mut grad, RATES[lr], RATES[weight_decay]);
    }
    let loss = |part: &Part| -> Result<f64> { Ok(Problem::Net(Box::new(problem(part)?)).evaluate(&x)) };
    Ok(Losses { validation: loss(validation)?, test: loss(test)? })
}
