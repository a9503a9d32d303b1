//! Golden traces: what each shipped controller decided on three fixed problems when `tests/fixtures/golden_trace.txt` was written.
//!
//! - a rollout of meta-training, in plain Rust;
//! - a `tch` net under one of our optimizers, with one broken loss between two decisions;
//! - the same under a wrapped optimizer of tch.
//!
//! Each is run from several starts, and the first 200 decisions are compared. Controllers for line searches take part with the searches that
//! they can do: in plain Rust, and on a `tch` net.
//!
//! **Tolerance.** Step, reason and action must be the same; learning rate and weight decay to 1e-6, losses to 1e-3, relatively. Another processor
//! adds in another order, and a tie between two Q-values may then fall the other way: where the two best Q-values of the golden decision are
//! within 1e-3 of each other, a run may go its own way from there, after at least 20 decisions that agree.
//!
//! `QGD_BLESS=1 cargo test --test golden_trace` writes the file anew. On one machine nothing but a named fault may change it, not even in its
//! last digit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use qgd::driver::LineSearch;
use qgd::driver::TraceRecord;
use qgd::meta::{InnerAlgorithm, Task, TaskConfig, TrainingRecipe, line_search_rollout, rollout};
use qgd::rng::stream;
use qgd::{Controller, Controls, Decision, Driver, Move, Policy, Pretrained, Recipe, Signals};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

const FIXTURE: &str = "tests/fixtures/golden_trace.txt";
const LONGEST: usize = 200;
const FEWEST_THAT_AGREE: usize = 20;
const TIE: f64 = 1e-3;
const STARTS: [f64; 3] = [1e-5, 1e-2, 3.0];

/// One decision, as a line of the file.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    step: u64,
    reason: String,
    action: String,
    lr: f64,
    weight_decay: f64,
    loss: f64,
    /// By how much the best Q-value is above the next.
    gap: f64,
}

impl Line {
    fn of(record: &TraceRecord<'_>) -> Self {
        Self {
            step: record.step,
            reason: format!("{:?}", record.reason),
            action: record.action.map_or("none".to_owned(), |a| letters([a.lr, a.weight_decay])),
            lr: record.lr,
            weight_decay: record.weight_decay,
            loss: record.loss,
            gap: gap(record.q_values),
        }
    }

    fn parse(line: &str) -> Self {
        let [step, reason, action, lr, weight_decay, loss, gap] =
            line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let number = |text: &str| text.parse().unwrap();
        Self {
            step: step.parse().unwrap(),
            reason: reason.to_owned(),
            action: action.to_owned(),
            lr: number(lr),
            weight_decay: number(weight_decay),
            loss: number(loss),
            gap: number(gap),
        }
    }

    fn write(&self, out: &mut String) {
        let Self { step, reason, action, lr, weight_decay, loss, gap } = self;
        writeln!(out, "{step} {reason} {action} {lr:e} {weight_decay:e} {loss:e} {gap:.2e}").unwrap();
    }

    fn agrees_with(&self, golden: &Self) -> bool {
        let close = |a: f64, b: f64, tolerance: f64| {
            a.to_bits() == b.to_bits()
                || (a.is_nan() && b.is_nan())
                || (a - b).abs() <= tolerance * a.abs().max(b.abs())
        };
        self.step == golden.step
            && self.reason == golden.reason
            && self.action == golden.action
            && close(self.lr, golden.lr, 1e-6)
            && close(self.weight_decay, golden.weight_decay, 1e-6)
            && close(self.loss, golden.loss, 1e-3)
    }
}

fn letters(moves: [Move; 2]) -> String {
    moves.map(|m| ["h", "a", "g"][m as usize]).concat()
}

fn gap(q_values: &[f32]) -> f64 {
    let mut sorted = q_values.to_vec();
    sorted.sort_by(f32::total_cmp);
    if let [.., next, best] = sorted[..] { f64::from(best - next) } else { 0.0 }
}

type Lines = Arc<Mutex<Vec<Line>>>;

/// Keeps what a policy for line searches was shown and answered.
struct Recorded(Controller, Lines);
impl Policy for Recorded {
    fn decide(&mut self, signals: &Signals) -> Decision {
        let decision = self.0.decide(signals);
        let line = TraceRecord {
            step: signals.step,
            loss: signals.window.mean,
            lr: signals.lr,
            weight_decay: signals.weight_decay,
            action: decision.action,
            reason: decision.reason,
            features: &[],
            q_values: self.0.explain().unwrap().q_values,
        };
        self.1.lock().unwrap().push(Line::of(&line));
        decision
    }
}

fn task(families: [f64; 4], algorithm: InnerAlgorithm, seed: u64) -> Task {
    let config = TaskConfig { families: families.to_vec(), horizon: [400, 400], ..TaskConfig::default() };
    let mut task = Task::draw(&config, &mut stream(seed, "golden"));
    task.algorithm = algorithm;
    task.known_budget = true;
    task
}

/// Start values of the controlled value, whichever it is.
fn starts(recipe: &Recipe) -> impl Iterator<Item = (f64, f64)> + use<> {
    let (controls, lr) = (recipe.controls, if recipe.line_search.is_some() { 1.0 } else { 3e-3 });
    STARTS.into_iter().map(move |start| match controls {
        Controls::Lr => (start, 0.0),
        Controls::WeightDecay => (lr, start),
        Controls::Both => (start, 1e-3),
    })
}

/// By rollouts of meta-training.
fn in_rollouts(name: &str) -> Vec<Line> {
    let lines = Lines::default();
    let controller = Controller::pretrained(name).unwrap();
    for (i, (lr, weight_decay)) in starts(controller.recipe()).enumerate() {
        let recipe = controller.recipe();
        let training = TrainingRecipe::of(recipe).unwrap();
        if let Some(config) = recipe.line_search {
            let mut task = task([0.3, 0.2, 0.3, 0.2], InnerAlgorithm::Sgd, i as u64).of_recipe(&training);
            (task.full_batch, task.horizon) = (true, 80);
            let search = LineSearch::new(lr, weight_decay, config, recipe.driver_config(None)).unwrap();
            let mut policy = Recorded(controller.clone(), lines.clone());
            line_search_rollout(&mut task, search, &mut policy, false).unwrap();
        } else {
            let algorithm = [InnerAlgorithm::Adam, InnerAlgorithm::Momentum, InnerAlgorithm::Sgd][i];
            let mut task = task([0.0, 0.0, 0.6, 0.4], algorithm, i as u64).of_recipe(&training);
            let config = controller.driver_config(task.budget());
            let mut driver = Driver::new(controller.clone(), lr, weight_decay, config).unwrap();
            let kept = lines.clone();
            driver.on_decision(Box::new(move |record| kept.lock().unwrap().push(Line::of(record))));
            rollout(&mut task, &mut driver, false);
        }
    }
    take(&lines)
}

fn take(lines: &Lines) -> Vec<Line> {
    let mut lines = std::mem::take(&mut *lines.lock().unwrap());
    lines.truncate(LONGEST);
    lines
}

#[cfg(feature = "torch")]
mod with_tch {
    use super::*;
    use qgd::torch::{self, OptimConfig, Optimizer, QController, QLineSearch};
    use rand::RngExt;
    use tch::nn::{self, OptimizerConfig, VarStore};
    use tch::{Device, Kind, Tensor};

    const STEPS: u64 = 400;
    /// Where a loss is broken.
    const BROKEN: u64 = 150;

    /// A net of two layers, and examples that it can nearly learn.
    struct Net {
        vs: VarStore,
        layers: [Tensor; 4],
        inputs: Tensor,
        labels: Tensor,
    }

    impl Net {
        fn new(seed: u64) -> Self {
            let mut rng = stream(seed, "golden net");
            let mut draw =
                |n: usize, scale: f32| -> Vec<f32> { (0..n).map(|_| scale * rng.random_range(-1.0f32..1.0)).collect() };
            let inputs = draw(96 * 6, 1.5);
            let teacher = draw(6, 1.0);
            let labels: Vec<i64> = inputs
                .chunks_exact(6)
                .enumerate()
                .map(|(i, row)| {
                    let v: f32 = row.iter().zip(&teacher).map(|(x, t)| x * t).sum();
                    if i % 12 == 5 { 2 } else { i64::from(v > 0.4) + i64::from(v < -0.4) * 2 }
                })
                .collect();
            let vs = VarStore::new(Device::Cpu);
            let layers =
                [("w1", vec![6, 24], 0.5), ("b1", vec![24], 0.1), ("w2", vec![24, 3], 0.3), ("b2", vec![3], 0.1)].map(
                    |(name, shape, scale)| {
                        let n = shape.iter().product::<i64>() as usize;
                        vs.root().f_var_copy(name, &Tensor::from_slice(&draw(n, scale)).view(&shape[..])).unwrap()
                    },
                );
            let (inputs, labels) = (Tensor::from_slice(&inputs).view([96, 6]), Tensor::from_slice(&labels));
            Self { vs, layers, inputs, labels }
        }

        /// On the batch of this step; on all examples where there is none.
        fn loss(&self, step: Option<u64>) -> Tensor {
            let (at, n) = step.map_or((0, 96), |step| ((step % 6 * 16) as i64, 16));
            let [w1, b1, w2, b2] = &self.layers;
            let hidden = (self.inputs.narrow(0, at, n).matmul(w1) + b1).tanh();
            (hidden.matmul(w2) + b2).cross_entropy_for_logits(&self.labels.narrow(0, at, n))
        }
    }

    pub fn in_tch(name: &str, wrapped: bool) -> Vec<Line> {
        tch::set_num_threads(1);
        let lines = Lines::default();
        let controller = Controller::pretrained(name).unwrap();
        for (i, (lr, weight_decay)) in starts(controller.recipe()).enumerate() {
            let net = Net::new(i as u64);
            let kept = lines.clone();
            let keep = move |record: &TraceRecord<'_>| kept.lock().unwrap().push(Line::of(record));
            let ours = |algorithm| {
                Optimizer::new(&net.vs, OptimConfig { weight_decay, ..OptimConfig::new(algorithm, lr) }).unwrap()
            };
            if let Some(config) = controller.recipe().line_search {
                let mut search = QLineSearch::new(ours(torch::Algorithm::SGD), controller.clone(), config).unwrap();
                search.on_decision(keep);
                for _ in 0..80 {
                    search.backward_step(&net.loss(None)).unwrap();
                }
                continue;
            }
            let opt = if wrapped {
                let adam = nn::Adam { wd: weight_decay, ..nn::Adam::default() }.build(&net.vs, lr).unwrap();
                let opt = QController::wrap(adam, &net.vs, lr, controller.clone()).unwrap();
                opt.with_weight_decay(weight_decay).unwrap()
            } else {
                let algorithm = [torch::Algorithm::ADAM, torch::Algorithm::MOMENTUM, torch::Algorithm::SGD][i];
                QController::new(ours(algorithm), controller.clone()).unwrap()
            };
            let mut opt = opt.with_total_steps(STEPS).unwrap();
            opt.on_decision(keep);
            for step in 0..STEPS {
                if opt.is_due() && controller.recipe().watches_validation() {
                    opt.observe_validation(tch::no_grad(|| net.loss(Some(5)).double_value(&[])));
                }
                let loss = net.loss(Some(step % 5));
                opt.backward_step(&if step == BROKEN { loss * f64::NAN } else { loss }).unwrap();
            }
            let end = tch::no_grad(|| net.loss(None).to_kind(Kind::Double).double_value(&[]));
            assert!(end.is_finite(), "{name} from {lr}: {end}");
        }
        take(&lines)
    }
}

fn traces() -> BTreeMap<String, Vec<Line>> {
    let mut traces = BTreeMap::new();
    for name in Pretrained::NAMES {
        traces.insert(format!("{name} rollout"), in_rollouts(name));
        #[cfg(feature = "torch")]
        traces.insert(format!("{name} tch"), with_tch::in_tch(name, false));
        #[cfg(feature = "torch")]
        if Controller::pretrained(name).unwrap().recipe().line_search.is_none() {
            traces.insert(format!("{name} tch-wrapped"), with_tch::in_tch(name, true));
        }
    }
    traces
}

fn parse(text: &str) -> BTreeMap<String, Vec<Line>> {
    let sections = text.split("# ").filter(|section| !section.is_empty());
    let section = |text: &str| {
        let (name, lines) = text.split_once('\n').unwrap();
        (name.to_owned(), lines.lines().map(Line::parse).collect())
    };
    sections.map(section).collect()
}

#[test]
fn every_shipped_controller_decides_as_it_always_did() {
    let found = traces();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE);
    // Written only with all problems.
    if cfg!(feature = "torch") && std::env::var_os("QGD_BLESS").is_some() {
        let mut text = String::new();
        for (name, lines) in &found {
            writeln!(text, "# {name}").unwrap();
            lines.iter().for_each(|line| line.write(&mut text));
        }
        return std::fs::write(file, text).unwrap();
    }
    let golden = parse(&std::fs::read_to_string(file).unwrap());
    for (name, lines) in &found {
        let golden = &golden[name];
        let differs = lines.iter().zip(golden).position(|(line, golden)| !line.agrees_with(golden));
        let Some(at) = differs else {
            assert_eq!(lines.len(), golden.len(), "{name}");
            continue;
        };
        let is_tie = at >= FEWEST_THAT_AGREE && golden[at].gap < TIE;
        assert!(is_tie, "{name}, decision {at}:\n{:?}\nwas\n{:?}", lines[at], golden[at]);
    }
    if cfg!(feature = "torch") {
        assert_eq!(golden.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    }
}

#[test]
fn the_golden_traces_show_every_controller_at_work() {
    let golden = parse(include_str!("fixtures/golden_trace.txt"));
    for name in Pretrained::NAMES {
        let actions: std::collections::BTreeSet<_> =
            golden[&format!("{name} rollout")].iter().map(|line| &line.action).collect();
        assert!(actions.len() >= 2, "{name}: {actions:?}");
    }
    let reasons: std::collections::BTreeSet<&str> =
        golden.values().flatten().map(|line| line.reason.as_str()).collect();
    for reason in ["Policy", "NoEvidence", "NonFinite", "FirstStepTooFar", "LossExploded"] {
        assert!(reasons.contains(reason), "no {reason} among {reasons:?}");
    }
}
