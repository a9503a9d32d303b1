//! What reaching a loss costs on full batches: `cargo bench --bench line_search [-- CONTROLLER.qgd ...]`.
//!
//! `lr-line-search` (and every controller file that is named) beside gradient descent, backtracking and L-BFGS, on quadratics, softmax
//! regression and a net on the handwritten digits, none of which meta-training sees. Every method starts with the same step, 1e-4 to 10, from
//! the same point. A target is f* + r (f(x1) - f*), f* the lowest value that L-BFGS finds with 4,000 evaluations.
//!
//! Counted is what had been asked for when a value at or below the target was first seen. A controller and L-BFGS ask for value and gradient at
//! every trial, backtracking for the gradient only where it has accepted. Medians over starts and seeds; a run that never got there counts as ∞.

mod rivals;

use qgd::data::{Inputs, Targets};
use qgd::driver::{LineSearch, minimize};
use qgd::meta::{InnerActivation, NetProblem, Problem, Target};
use qgd::report::{Align, Table};
use qgd::rng::stream;
use qgd::{Controller, DriverConfig};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rivals::{Cost, Objective, Rival};
use std::error::Error;
use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const STARTS: [f64; 6] = [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0];
const SEEDS: u64 = 5;
const BUDGET: u64 = 1000;
/// r: how much of the gap to f* is left.
const GAPS: [f64; 2] = [1e-2, 1e-3];
const N_FIND: u64 = 4000;

/// What one run needed for every target.
type Reached = Vec<Option<Cost>>;

fn main() -> Result<()> {
    let controllers = controllers()?;
    println!(
        "evaluations to leave a share r of the gap, medians over {} starts and {SEEDS} seeds, budget {BUDGET}",
        STARTS.len()
    );
    type Draw = fn(u64) -> Result<(Problem, Vec<f32>)>;
    let tasks: [(&str, Draw); 4] = [
        ("quadratic, condition 100", |seed| quadratic(100.0, seed)),
        ("quadratic, condition 10000", |seed| quadratic(1e4, seed)),
        ("softmax regression, noisy", softmax),
        ("digits, 64-32-10 tanh", digits),
    ];
    let mut table = Table::new(&[
        ("task", Align::Left),
        ("method", Align::Left),
        ("r = 1e-2: gradients", Align::Right),
        ("values", Align::Right),
        ("reached", Align::Right),
        ("r = 1e-3: gradients", Align::Right),
        ("values", Align::Right),
        ("reached", Align::Right),
    ]);
    for (name, draw) in tasks {
        eprintln!("{name} ...");
        for (method, runs) in on(draw, &controllers)? {
            let mut cells = vec![name.to_owned(), method];
            for gap in 0..GAPS.len() {
                let counts =
                    |count: fn(Cost) -> u64| median(runs.iter().map(|run| run[gap].map_or(u64::MAX, count)).collect());
                let share = runs.iter().filter(|run| run[gap].is_some()).count() as f64 / runs.len() as f64;
                cells.extend([counts(|c| c.gradients), counts(|c| c.values), format!("{:.0} %", 100.0 * share)]);
            }
            table.row(cells);
        }
    }
    print!("{table}");
    Ok(())
}

/// The shipped one, and those that were named. (Flags are cargo's.)
fn controllers() -> Result<Vec<(String, Controller)>> {
    let mut found = vec![("lr-line-search".to_owned(), Controller::pretrained("lr-line-search")?)];
    for file in std::env::args().skip(1).filter(|argument| !argument.starts_with('-')) {
        found.push((file.clone(), Controller::load(Path::new(&file))?));
    }
    Ok(found)
}

/// Every method from every start on every seed.
fn on(
    draw: fn(u64) -> Result<(Problem, Vec<f32>)>,
    controllers: &[(String, Controller)],
) -> Result<Vec<(String, Vec<Reached>)>> {
    let mut found: Vec<(String, Vec<Reached>)> = controllers
        .iter()
        .map(|(name, _)| name.clone())
        .chain(Rival::ALL.map(|rival| rival.name().to_owned()))
        .map(|name| (name, Vec::new()))
        .collect();
    for seed in 0..SEEDS {
        let (mut problem, x1) = draw(seed)?;
        let mut room = vec![0.0; x1.len()];
        let mut f = |x: &[f32], grad: Option<&mut [f32]>| f64::from(problem.full_batch(x, grad.unwrap_or(&mut room)));
        let mut search = Objective::new(&mut f, Vec::new(), N_FIND);
        Rival::Lbfgs.minimize(&mut search, x1.clone(), 0.1);
        let lowest = search.lowest;
        let first = f(&x1, None);
        let targets: Vec<f64> = GAPS.iter().map(|gap| lowest + gap * (first - lowest)).collect();
        for start in STARTS {
            for (i, (_, controller)) in controllers.iter().enumerate() {
                let mut objective = Objective::new(&mut f, targets.clone(), BUDGET);
                controlled(&mut objective, controller.clone(), &x1, start)?;
                found[i].1.push(objective.reached);
            }
            for (i, rival) in Rival::ALL.into_iter().enumerate() {
                let mut objective = Objective::new(&mut f, targets.clone(), BUDGET);
                rival.minimize(&mut objective, x1.clone(), start);
                found[controllers.len() + i].1.push(objective.reached);
            }
        }
    }
    Ok(found)
}

/// A controller's line search. What is left of the budget when it is over gets no answer.
fn controlled(objective: &mut Objective, mut controller: Controller, x1: &[f32], start: f64) -> Result<()> {
    let config = controller.recipe().line_search.ok_or("this controller is none for line searches")?;
    let bounds = DriverConfig { guard: None, ..controller.driver_config(None) };
    let search = LineSearch::new(start, 0.0, config, bounds)?;
    let f = |x: &[f32], grad: &mut [f32]| if objective.is_over() { f64::NAN } else { objective.both(x, grad) };
    minimize(f, x1, &mut controller, search, BUDGET as usize)?;
    Ok(())
}

/// `½ Σ h x²` in 100 dimensions, h log-uniform from 1/κ to 1.
fn quadratic(condition: f64, seed: u64) -> Result<(Problem, Vec<f32>)> {
    let mut rng = stream(seed, "line-search bench quadratic");
    let curvature = (0..100).map(|i| condition.powf(-f64::from(i) / 99.0) as f32).collect();
    let x1 = (0..100).map(|_| normal(&mut rng)).collect();
    Ok((Problem::Quadratic { curvature, noise: 0.0 }, x1))
}

/// 500 examples of 20 correlated inputs in 4 classes; a fifth of the labels are random, so that the minimum is not at infinity.
fn softmax(seed: u64) -> Result<(Problem, Vec<f32>)> {
    let mut rng = stream(seed, "line-search bench softmax");
    let (n, n_in, n_classes) = (500, 20, 4);
    let teacher: Vec<f32> = (0..n_in * n_classes).map(|_| normal(&mut rng)).collect();
    let (mut inputs, mut classes) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let common = normal(&mut rng);
        let row: Vec<f32> = (0..n_in).map(|j| (common + normal(&mut rng)) / (1.0 + j as f32).sqrt()).collect();
        let score = |c: usize| row.iter().zip(&teacher[c * n_in..]).map(|(x, w)| x * w).sum::<f32>();
        let best = (0..n_classes).max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap_or(0);
        let class = if rng.random_bool(0.2) { rng.random_range(0..n_classes) } else { best };
        inputs.extend(row);
        classes.push(class as u16);
    }
    let net = NetProblem::new(&[n_in, n_classes], InnerActivation::Tanh, inputs, Target::Classes(classes), n)?;
    let x1 = net.init(1.0, &mut rng);
    Ok((Problem::Net(Box::new(net)), x1))
}

/// The training split of `examples/tasks/digits.toml`.
fn digits(seed: u64) -> Result<(Problem, Vec<f32>)> {
    let task = qgd::task::TaskSpec::load("examples/tasks/digits.toml".as_ref())?;
    let data = qgd::data::load(&task.data, task.directory(), None, seed)?;
    let n = data.train.len();
    let (Inputs::Float { values, shape }, Targets::Classes { ids, .. }) = (data.train.inputs, data.train.targets)
    else {
        return Err("digits are a table with classes".into());
    };
    let classes = ids.into_iter().map(u16::try_from).collect::<std::result::Result<Vec<_>, _>>()?;
    let sizes = [shape.iter().product(), 32, data.n_outputs];
    let net = NetProblem::new(&sizes, InnerActivation::Tanh, values, Target::Classes(classes), n)?;
    let x1 = net.init(1.0, &mut stream(seed, "line-search bench digits"));
    Ok((Problem::Net(Box::new(net)), x1))
}

/// A draw from N(0, 1), by Box and Muller 1958.
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    ((-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
}

/// The middle of the sorted counts, the higher one of two.
fn median(mut counts: Vec<u64>) -> String {
    counts.sort_unstable();
    match counts[counts.len() / 2] {
        u64::MAX => "∞".to_owned(),
        count => count.to_string(),
    }
}
