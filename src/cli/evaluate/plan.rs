//! What an evaluation runs: every problem of the suite, with every method, from every start, with every seed.

use super::YARDSTICK;
use super::cache::Score;
use crate::cli::decider::{Decider, UNCONDITIONED};
use crate::cli::failure::Failure;
use crate::cli::grid::mean_loss;
use crate::cli::setting::{self, Machine};
use anyhow::anyhow;
use qgd::data::{self, DataError, DataSpec};
use qgd::rng::fnv1a;
use qgd::shipped::{self, Kind};
use qgd::task::{OptimizerKind, SuiteSpec, SuiteTask, TaskSpec, TrainSpec};
use qgd::torch::Conditioning;
use std::path::{Path, PathBuf};

/// Part of the keys of schedules in the cache. Raise it when a schedule would end elsewhere than before.
const VERSION_OF_SCHEDULES: u32 = 1;
/// Part of the keys of controllers in the cache. Raise it when the same pretrained file would end elsewhere than
/// before.
const VERSION_OF_CONTROLLERS: u32 = 1;

/// Number of starts for each optimizer, one in each decade.
pub const N_STARTS: usize = 6;
/// Further starts of rivals, in decades from their best start: together with the shared starts, three in each decade
/// around it.
const BESIDE_THE_BEST: [f64; 4] = [-2.0 / 3.0, -1.0 / 3.0, 1.0 / 3.0, 2.0 / 3.0];
/// Rivals of `--quick`.
const QUICK_RIVALS: [&str; 3] = ["cosine", "greedy", "constant"];
/// Number of seeds of `--quick`.
const QUICK_SEEDS: u64 = 2;

/// The whole evaluation. It does not depend on how, when and how often it is run.
pub struct Plan {
    /// The controller under test first, then every rival of any task.
    pub methods: Vec<Method>,
    pub tasks: Vec<Task>,
    pub problems: Vec<Problem>,
    /// Whether rivals also start beside their best start.
    refine: bool,
    device: String,
}

/// A controller or a schedule.
pub struct Method {
    pub decider: Decider,
    /// Whether it goes without the conditioning of its tasks.
    is_plain: bool,
    name: String,
}

impl Method {
    fn new(decider: Decider, is_plain: bool) -> Self {
        let name = format!("{}{}", decider.name(), if is_plain { UNCONDITIONED } else { "" });
        Self { decider, is_plain, name }
    }

    /// Name in tables and files.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A task of the suite.
pub struct Task {
    pub spec: TaskSpec,
    pub n_seeds: u64,
    /// Data, net and everything else in the task that determines a run, for the keys of the cache.
    identity: String,
}

/// One task with one optimizer and one number of steps.
pub struct Problem {
    /// Place of the task in [`Plan::tasks`].
    pub task: usize,
    pub optimizer: OptimizerKind,
    /// Multiple of the task's own steps.
    pub horizon: u64,
    pub steps: u64,
    /// Places of the methods in [`Plan::methods`]; the first is 0, the controller under test.
    pub methods: Vec<usize>,
}

/// One run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Place of the problem in [`Plan::problems`].
    pub problem: usize,
    /// Place of the method in [`Plan::methods`].
    pub method: usize,
    pub lr: f64,
    pub seed: u64,
}

/// The flags that change a plan.
pub struct Wishes<'a> {
    pub suite: &'a Path,
    pub rivals: &'a [String],
    pub seeds: Option<u64>,
    pub quick: bool,
    /// Instead of that of the tasks.
    pub conditioning: Option<Conditioning>,
}

impl Plan {
    /// Reads the suite and its tasks.
    pub fn new(controller: Decider, wishes: &Wishes<'_>, machine: &Machine) -> Result<Self, Failure> {
        let suite = SuiteSpec::load(wishes.suite).map_err(Failure::bad_input)?;
        let mut plan = Self {
            methods: vec![Method::new(controller, false)],
            tasks: Vec::new(),
            problems: Vec::new(),
            refine: !wishes.quick,
            device: machine.device.clone(),
        };
        for task in &suite.tasks {
            let Some(task) = wishes.apply(task) else { continue };
            match plan.add(&task, &suite.file, wishes.conditioning, machine) {
                Err(Failure::BadInput(error)) if wishes.quick && is_missing_data(&error) => {
                    note!("{} is left out: {error}", task.file.display());
                }
                added => added?,
            }
        }
        if plan.tasks.is_empty() && suite.tasks.iter().any(|task| task.quick) {
            return Err(Failure::BadInput(anyhow!("--quick: no task is left")));
        }
        if plan.tasks.is_empty() {
            let suite = wishes.suite.display();
            return Err(Failure::BadInput(anyhow!("--quick: no task in {suite} says `quick = true`")));
        }
        Ok(plan)
    }

    fn add(
        &mut self,
        task: &SuiteTask,
        suite: &Path,
        conditioning: Option<Conditioning>,
        machine: &Machine,
    ) -> Result<(), Failure> {
        let file = locate(&task.file, suite, machine.data_dir.as_deref());
        let mut spec = TaskSpec::load(&file).map_err(Failure::bad_input)?;
        spec.train.conditioning = conditioning.unwrap_or(spec.train.conditioning);
        let given: &[_] = if conditioning.is_some() { &[("train.conditioning", "--conditioning")] } else { &[] };
        for &optimizer in &task.optimizers {
            let train = TrainSpec { optimizer, ..spec.train.clone() };
            setting::check(&TaskSpec { train, ..spec.clone() }, given)?;
        }
        let identity = identity(&spec, machine)?;
        let mut methods = vec![0];
        for name in &task.rivals {
            let method = self.method(name, false)?;
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        // What conditioning is worth is seen beside the best that the optimizer does without it.
        if spec.train.conditioning != Conditioning::None && task.rivals.iter().any(|name| name == YARDSTICK) {
            methods.push(self.method(YARDSTICK, true)?);
        }
        let place = self.tasks.len();
        for &horizon in &task.horizons {
            for &optimizer in &task.optimizers {
                let steps = spec.train.steps.saturating_mul(horizon);
                self.problems.push(Problem { task: place, optimizer, horizon, steps, methods: methods.clone() });
            }
        }
        self.tasks.push(Task { spec, n_seeds: task.seeds, identity });
        Ok(())
    }

    /// Place of a rival among the methods; a new one is added at the end.
    fn method(&mut self, name: &str, is_plain: bool) -> Result<usize, Failure> {
        let known = |method: &Method| method.decider.name() == name && method.is_plain == is_plain;
        if let Some(place) = self.methods.iter().skip(1).position(known) {
            return Ok(place + 1);
        }
        self.methods.push(Method::new(Decider::named(name)?, is_plain));
        Ok(self.methods.len() - 1)
    }

    pub fn task(&self, problem: &Problem) -> &Task {
        &self.tasks[problem.task]
    }

    /// Conditioning of a run.
    pub fn conditioning(&self, cell: &Cell) -> Conditioning {
        if self.methods[cell.method].is_plain {
            return Conditioning::None;
        }
        self.task(&self.problems[cell.problem]).spec.train.conditioning
    }

    /// Key of a run in the cache: a hash of everything that determines its result.
    pub fn key(&self, cell: &Cell) -> String {
        let problem = &self.problems[cell.problem];
        let method = match &self.methods[cell.method].decider {
            Decider::Schedule(schedule) => format!("schedule {schedule}, {VERSION_OF_SCHEDULES}"),
            Decider::Controller(_, _, hash) => format!("controller {hash:016x}, {VERSION_OF_CONTROLLERS}"),
        };
        let all = format!(
            "{} | {} | {} steps | {method} | lr {:?} | seed {} | {}",
            self.task(problem).identity,
            problem.optimizer.name(),
            problem.steps,
            cell.lr,
            cell.seed,
            self.device
        );
        let all = match self.conditioning(cell) {
            Conditioning::None => all,
            conditioning => format!("{all} | {conditioning}"),
        };
        format!("{:016x}", fnv1a(all.as_bytes()))
    }

    /// Key of a net before its training in the cache: a hash of everything that determines its loss.
    pub fn untrained_key(&self, task: usize, seed: u64) -> String {
        let all = format!("{} | untrained | seed {seed} | {}", self.tasks[task].identity, self.device);
        format!("{:016x}", fnv1a(all.as_bytes()))
    }

    /// Every task with every seed: a net before its training.
    pub fn untrained(&self) -> Vec<(usize, u64)> {
        let seeds = |(task, of): (usize, &Task)| (0..of.n_seeds).map(move |seed| (task, seed));
        self.tasks.iter().enumerate().flat_map(seeds).collect()
    }

    /// The runs from the starts that all methods share.
    pub fn coarse(&self) -> Vec<Cell> {
        let of = |(i, problem): (usize, &Problem)| {
            let starts = starts(problem.optimizer);
            problem.methods.iter().flat_map(|&method| self.from(i, method, &starts)).collect::<Vec<_>>()
        };
        self.problems.iter().enumerate().flat_map(of).collect()
    }

    /// All pairs of problem and method that also start beside the best start.
    pub fn to_refine(&self) -> Vec<(usize, usize)> {
        if !self.refine {
            return Vec::new();
        }
        let rivals = |(i, problem): (usize, &Problem)| problem.methods[1..].iter().map(|&m| (i, m)).collect::<Vec<_>>();
        self.problems.iter().enumerate().flat_map(rivals).collect()
    }

    /// The runs beside the best start of a rival; `None` as long as a run from the shared starts is missing.
    pub fn refined(&self, problem: usize, method: usize, known: impl Fn(&Cell) -> Option<Score>) -> Option<Vec<Cell>> {
        let loss = |lr: f64| -> Option<f64> {
            let scores: Option<Vec<Score>> = self.from(problem, method, &[lr]).iter().map(&known).collect();
            Some(mean_loss(scores?.iter().map(|score| score.train())))
        };
        let starts = starts(self.problems[problem].optimizer);
        let losses = starts.iter().map(|&lr| Some((lr, loss(lr)?))).collect::<Option<Vec<_>>>()?;
        let best = losses.into_iter().min_by(|a, b| a.1.total_cmp(&b.1))?.0;
        Some(self.from(problem, method, &beside(best)))
    }

    /// The runs of one method from some starts, with every seed.
    pub fn from(&self, problem: usize, method: usize, lrs: &[f64]) -> Vec<Cell> {
        let n_seeds = self.task(&self.problems[problem]).n_seeds;
        let with_seeds = |&lr: &f64| (0..n_seeds).map(move |seed| Cell { problem, method, lr, seed });
        lrs.iter().flat_map(with_seeds).collect()
    }

    /// Number of runs that one rival has beside its best start.
    pub fn n_beside(&self, problem: usize) -> u64 {
        BESIDE_THE_BEST.len() as u64 * self.task(&self.problems[problem]).n_seeds
    }
}

impl Wishes<'_> {
    /// The task as the flags want it; `None` if they leave it out.
    fn apply(&self, task: &SuiteTask) -> Option<SuiteTask> {
        let mut task = task.clone();
        if self.quick {
            if !task.quick {
                return None;
            }
            task.horizons = vec![1];
            task.seeds = QUICK_SEEDS;
            task.rivals = QUICK_RIVALS.map(str::to_owned).to_vec();
        }
        task.seeds = self.seeds.unwrap_or(task.seeds);
        if !self.rivals.is_empty() {
            task.rivals = self.rivals.to_vec();
        }
        Some(task)
    }
}

/// Starts, one in each decade: the range in which one looks for the best learning rate of this optimizer, and further
/// on both sides.
pub fn starts(optimizer: OptimizerKind) -> [f64; N_STARTS] {
    match optimizer {
        OptimizerKind::Sgd | OptimizerKind::Momentum | OptimizerKind::Nesterov | OptimizerKind::ScheduleFreeSgd => {
            [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0]
        }
        OptimizerKind::Adam
        | OptimizerKind::AdamW
        | OptimizerKind::RmsProp
        | OptimizerKind::NAdam
        | OptimizerKind::Lion
        | OptimizerKind::Muon
        | OptimizerKind::ScheduleFreeAdamW => [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0],
    }
}

/// Starts beside `best`, rounded to six digits so that they are the same on every machine.
fn beside(best: f64) -> [f64; BESIDE_THE_BEST.len()] {
    BESIDE_THE_BEST.map(|decades| {
        let exact = best * 10f64.powf(decades);
        format!("{exact:.5e}").parse().unwrap_or(exact)
    })
}

/// Place of a task file: in the folder of the suite file, or in the data folder, or else a task that comes with qgd.
fn locate(file: &Path, suite: &Path, data_dir: Option<&Path>) -> PathBuf {
    let beside = suite.parent().unwrap_or(Path::new("")).join(file);
    if beside.exists() {
        return beside;
    }
    let elsewhere = data_dir.map(|folder| folder.join(file)).filter(|place| place.exists());
    let named = || shipped::find(Kind::Task, file).ok().filter(|place| shipped::bytes(place).is_some());
    elsewhere.or_else(named).unwrap_or(beside)
}

/// Whether a task cannot be run because its data are not here.
fn is_missing_data(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(DataError::NotFound { .. }))
}

/// Everything in a task that determines a run, except optimizer, conditioning, steps and start.
fn identity(spec: &TaskSpec, machine: &Machine) -> Result<String, Failure> {
    let fingerprint = data::fingerprint(&spec.data, spec.directory(), machine.data_dir.as_deref());
    let fingerprint = fingerprint.map_err(Failure::bad_input)?;
    // The data are known by their fingerprint, wherever the files lie.
    let data = DataSpec { path: PathBuf::new(), ..spec.data.clone() };
    let whole = (&data, &spec.net, spec.train.weight_decay, spec.train.batch_size);
    Ok(format!("{} | data {fingerprint:016x}", serde_json::to_string(&whole)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/tasks/digits.toml");

    /// A plan for digits, and what the flags and the suite say.
    fn plan(controller: Decider, task: &str, quick: bool) -> Plan {
        let folder = tempfile::tempdir().unwrap();
        let suite = folder.path().join("suite.toml");
        std::fs::write(&suite, format!("[[task]]\nfile = \"{DIGITS}\"\n{task}")).unwrap();
        let wishes = Wishes { suite: &suite, rivals: &[], seeds: None, quick, conditioning: None };
        let machine = Machine { device: "cpu".to_owned(), data_dir: None };
        Plan::new(controller, &wishes, &machine).unwrap()
    }

    fn lr() -> Decider {
        Decider::controller("lr").unwrap()
    }

    /// The same controller with other bytes in its file.
    fn changed() -> Decider {
        match lr() {
            Decider::Controller(name, controller, hash) => Decider::Controller(name, controller, hash ^ 1),
            schedule => schedule,
        }
    }

    fn keys(plan: &Plan) -> BTreeSet<String> {
        plan.coarse().iter().map(|cell| plan.key(cell)).collect()
    }

    fn score(train_loss: f64) -> Score {
        Score {
            train_loss: Some(train_loss),
            validation_loss: None,
            test_loss: None,
            test_accuracy: None,
            rollbacks: 0,
        }
    }

    #[test]
    fn every_run_has_a_key_of_its_own() {
        let plan = plan(lr(), "seeds = 3\nhorizons = [1, 4]\nrivals = [\"cosine\", \"greedy\"]\n", false);
        // 3 optimizers, 2 horizons, 3 methods, 6 starts, 3 seeds.
        assert_eq!((plan.coarse().len(), keys(&plan).len()), (324, 324));
        let untrained: BTreeSet<_> =
            plan.untrained().iter().map(|&(task, seed)| plan.untrained_key(task, seed)).collect();
        assert!(untrained.len() == 3 && untrained.is_disjoint(&keys(&plan)));
    }

    #[test]
    fn a_changed_controller_shares_the_runs_of_its_rivals_alone() {
        let task = "optimizers = [\"adam\"]\nseeds = 2\nrivals = [\"cosine\", \"greedy\"]\n";
        let [before, after] = [lr(), changed()].map(|controller| keys(&plan(controller, task, false)));
        assert_eq!(before.intersection(&after).count(), 2 * N_STARTS * 2);
        assert_eq!(before.difference(&after).count(), N_STARTS * 2);
    }

    #[test]
    fn more_seeds_keep_the_runs_of_the_first_ones() {
        let keys = |seeds: &str| keys(&plan(lr(), &format!("rivals = [\"cosine\"]\nseeds = {seeds}\n"), false));
        assert!(keys("2").is_subset(&keys("3")));
        assert_eq!(keys("3").difference(&keys("2")).count(), 3 * 2 * N_STARTS);
    }

    #[test]
    fn a_rival_starts_beside_its_best_start_once_that_is_known() {
        let plan = plan(lr(), "optimizers = [\"adam\"]\nseeds = 2\nrivals = [\"cosine\"]\n", false);
        assert_eq!(plan.to_refine(), [(0, 1)]);
        // In the geometric mean of two seeds 0.1 (0.2) beats 0.01 (0.3), in the mean it would not.
        let known = |cell: &Cell| {
            let losses = if cell.lr > 0.05 && cell.lr < 0.5 { [0.01, 4.0] } else { [0.3, 0.3] };
            Some(score(losses[cell.seed as usize]))
        };
        let cells = plan.refined(0, 1, known).unwrap();
        let lrs: Vec<f64> = cells.iter().step_by(2).map(|cell| cell.lr).collect();
        let expected = [0.0215443, 0.0464159, 0.215443, 0.464159];
        assert!(lrs.iter().zip(expected).all(|(lr, expected)| (lr - expected).abs() < 1e-9), "{lrs:?}");
        assert_eq!(cells.len() as u64, plan.n_beside(0));
        let torn = |cell: &Cell| known(cell).filter(|_| cell.lr < 0.5 || cell.seed == 0);
        assert_eq!(plan.refined(0, 1, torn), None);
    }

    #[test]
    fn outside_the_checkout_the_shipped_suite_runs_with_the_data_that_are_there() {
        let machine = Machine { device: "cpu".to_owned(), data_dir: Some("nowhere".into()) };
        let wishes =
            |suite| Wishes { suite: Path::new(suite), rivals: &[], seeds: None, quick: true, conditioning: None };
        let quick = Plan::new(lr(), &wishes("suite"), &machine).unwrap();
        assert_eq!(quick.tasks.iter().map(|task| task.spec.name()).collect::<Vec<_>>(), ["digits"]);
        assert_eq!(quick.coarse().len(), 3 * 4 * N_STARTS * 2);
        let whole = Plan::new(lr(), &Wishes { quick: false, ..wishes("suite") }, &machine);
        let error = whole.map(drop).unwrap_err().to_string();
        assert!(error.contains("`qgd data letter` says where it is published"), "{error}");
    }

    #[test]
    fn a_suite_of_the_users_own_may_name_tasks_that_come_with_qgd() {
        let folder = tempfile::tempdir().unwrap();
        let suite = folder.path().join("own.toml");
        std::fs::write(&suite, "[[task]]\nfile = \"digits\"\n").unwrap();
        let machine = Machine { device: "cpu".to_owned(), data_dir: None };
        let wishes = Wishes { suite: &suite, rivals: &[], seeds: None, quick: false, conditioning: None };
        assert_eq!(Plan::new(lr(), &wishes, &machine).unwrap().tasks[0].spec.name(), "digits");
    }

    #[test]
    fn quick_is_small() {
        let plan = plan(lr(), "quick = true\nhorizons = [1, 4]\nseeds = 5\n", true);
        let names: Vec<&str> = plan.methods.iter().map(Method::name).collect();
        assert_eq!(names, ["lr", "cosine", "greedy", "constant"]);
        assert_eq!(plan.coarse().len(), 3 * 4 * N_STARTS * 2);
        assert!(plan.to_refine().is_empty());
    }
}
