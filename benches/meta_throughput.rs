//! Inner steps a second of meta-training on all cores and on a GPU: `cargo bench --bench meta_throughput`, or only some parts of it:
//! `cargo bench --features cuda --bench meta_throughput -- e f`.
//!
//! ```text
//! (a) the kernel alone beside JAX (jit + vmap + scan), same workload, same cores       target: at least 1.5 times its rate
//! (b) the same nets with signals, guard, exploring Q-networks and evaluations           target: at least 70 % of the kernel's rate
//!     and then with the learner's updates
//! (c) the tasks of controllers/lr-single.toml, net for net, the same two comparisons
//! (d) whole rounds of B episodes of controllers/lr-single.toml: in the kernel, and batched in tch on the CPU
//! (e) on a GPU: B nets of JAX's script at once beside JAX there, and beside the kernel on the cores of its host
//! (f) on a GPU: whole rounds of B episodes of controllers/lr-single.toml, and in the kernel on the cores of its host
//! ```
//!
//! The workload is that of `meta_throughput_jax.py`: 256 nets 24-24-6 (tanh), each with 768 examples of its own, batches of 64 drawn with
//! replacement, Adam, 200 steps. Ours and JAX take turns, so that a busy machine slows both; every figure is a median.
//!
//! | Variable | Default | Purpose |
//! |---|---|---|
//! | `QGD_JAX_PYTHON` | `python3` | a Python that can import jax |
//! | `QGD_JAX_SCRIPT` | `../shared/peers/meta_throughput_jax.py` | the script that measures JAX |

use qgd::dqn::{Learner, Replay};
use qgd::meta::{
    Engine, InnerActivation, InnerAlgorithm, InnerOptimizer, MetaTraining, NetProblem, Problem, Target, Task,
    TrainingRecipe, rollout,
};
use qgd::rng::stream;
use qgd::schedule::Constant;
use qgd::statistics::median;
use qgd::{Driver, Pretrained};
use rand::RngExt;
use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const N_NETS: usize = 256;
const STEPS: u64 = 200;
/// The script's own figure is the median of so many.
const REPEATS: usize = 5;
const TURNS: usize = 3;

fn main() -> Result<()> {
    let chosen: BTreeSet<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let parts = ["a", "b", "c", "d", "e", "f"];
    if let Some(other) = chosen.iter().find(|part| !parts.contains(&part.as_str())) {
        return Err(format!("there is no part '{other}': name some of {}, or none for all", parts.join(", ")).into());
    }
    let wants = |part: &str| chosen.is_empty() || chosen.contains(part);
    let n_threads = std::thread::available_parallelism()?.get();
    let recipe = TrainingRecipe::load(Path::new("controllers/lr-single.toml"))?;
    let n = recipe.training.episodes_per_round as usize;
    if wants("a") {
        println!("{N_NETS} nets 24-24-6, batch 64, Adam, {STEPS} steps, {n_threads} threads");
        beside_jax(&workload(N_NETS, n_threads)?, n_threads)?;
    }
    if wants("b") {
        let [shortest, longest] = recipe.training.tasks.horizon.map(|steps| steps as f64);
        let mut own = workload(N_NETS, n_threads)?;
        own.truncate(n);
        for (i, task) in own.iter_mut().enumerate() {
            task.horizon = (shortest * (longest / shortest).powf(i as f64 / (n - 1) as f64)) as u64;
        }
        println!("\n(b) {n} of these nets, {shortest} to {longest} steps, a round of controllers/lr-single.toml");
        under_control(&recipe, &own, n_threads)?;
    }
    if wants("c") {
        let mut rng = stream(0, "bench tasks");
        let drawn: Vec<Task> = (0..n).map(|_| Task::draw(&recipe.training.tasks, &mut rng)).collect();
        println!("\n(c) {n} tasks as controllers/lr-single.toml draws them");
        under_control(&recipe, &drawn, n_threads)?;
        let rate = whole_rounds(recipe.clone(), recipe.training.episodes_per_round, n_threads.into())?;
        println!("    whole rounds, drawing the data included           {rate:>8.0}");
    }
    if wants("d") {
        beside_tch(&recipe, n_threads)?;
    }
    if !["e", "f"].into_iter().any(wants) {
        return Ok(());
    }
    let Some(engine) = gpu(n_threads) else {
        println!("\n(e), (f) no GPU here");
        return Ok(());
    };
    if wants("e") {
        nets_on_a_gpu(engine, n_threads)?;
    }
    if wants("f") {
        rounds_on_a_gpu(&recipe, engine, n_threads)?;
    }
    Ok(())
}

/// So many of the nets of the script. Task's other fields come from a draw that nothing else uses.
fn workload(n_nets: usize, n_threads: usize) -> Result<Vec<Task>> {
    let blank = Task::draw(&Default::default(), &mut stream(0, "bench nets"));
    on_all_cores(n_nets, n_threads, |i| {
        let mut rng = stream(i as u64, "bench nets");
        let inputs: Vec<f32> = (0..768 * 24).map(|_| normal(&mut rng)).collect();
        let classes = (0..768).map(|_| rng.random_range(0..6)).collect();
        let net = NetProblem::new(&[24, 24, 6], InnerActivation::Tanh, inputs, Target::Classes(classes), 64)?;
        let mut task = blank.clone();
        task.start = net.init(1.0, &mut rng);
        task.problem = Problem::Net(Box::new(net.with_evaluation_batch(256)));
        (task.algorithm, task.horizon, task.weight_decay) = (InnerAlgorithm::Adam, STEPS, 0.0);
        task.lr = 10f64.powf(-4.0 + 3.0 * i as f64 / (n_nets - 1) as f64);
        task.batch_seed = i as u64;
        Ok(task)
    })
}

/// Nearly normal: the sum of twelve uniform numbers, less its mean. What is measured does not depend on it.
fn normal(rng: &mut impl rand::Rng) -> f32 {
    (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0
}

fn beside_jax(tasks: &[Task], n_threads: usize) -> Result<()> {
    let jax = Jax::find();
    let [mut ours, mut theirs, mut ratios, mut busy_ours, mut busy_theirs] = [const { Vec::new() }; 5];
    let mut version = String::new();
    kernel(tasks, n_threads)?;
    for _ in 0..TURNS {
        let before = cpu_seconds();
        let own = median(&(0..REPEATS).map(|_| kernel(tasks, n_threads)).collect::<Result<Vec<f64>>>()?);
        let n_steps = (REPEATS * N_NETS) as f64 * STEPS as f64;
        busy_ours.extend(before.zip(cpu_seconds()).map(|(from, to)| n_steps / (to.own - from.own)));
        ours.push(own);
        if let Ok(jax) = &jax {
            let [short, long] = [STEPS, 4 * STEPS].map(|steps| jax.measure(N_NETS, steps, "cpu"));
            let (short, long) = (short?, long?);
            println!("    ours {own:>8.0}   {}", short.line);
            short.line.split(':').next().unwrap_or("jax").clone_into(&mut version);
            theirs.push(short.rate);
            ratios.push(own / short.rate);
            // The script warms up once. What importing and compiling cost is in both.
            let n_steps = ((REPEATS + 1) * N_NETS) as f64 * 3.0 * STEPS as f64;
            busy_theirs.extend(long.busy.zip(short.busy).map(|(long, short)| n_steps / (long - short)));
        }
    }
    println!("(a) the kernel alone: {:.0} inner steps/s", median(&ours));
    if let Err(reason) = jax {
        println!("    JAX not found: {reason}");
        return Ok(());
    }
    let ratio = median(&ratios);
    let verdict = if ratio >= 1.5 { "ok" } else { "MISSED" };
    println!("    {version}: {:.0} inner steps/s", median(&theirs));
    println!("    ratio {ratio:.2} (target 1.5: {verdict})");
    if !busy_ours.is_empty() && !busy_theirs.is_empty() {
        let (own, their) = (median(&busy_ours), median(&busy_theirs));
        println!("    a second of processor time: ours {own:.0}, JAX {their:.0} inner steps, ratio {:.2}", own / their);
    }
    Ok(())
}

/// Processor time so far.
struct CpuSeconds {
    own: f64,
    children: f64,
}

/// As Linux tells it, in hundredths of a second; `None` elsewhere. On a machine that does other work too, it says more than the clock.
fn cpu_seconds() -> Option<CpuSeconds> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may hold blanks. Fields 14 to 17 of proc(5) follow.
    let fields: Vec<f64> = stat.rsplit(')').next()?.split_whitespace().skip(11).take(4).flat_map(str::parse).collect();
    let [user, system, child_user, child_system] = fields.try_into().ok()?;
    Some(CpuSeconds { own: (user + system) / 100.0, children: (child_user + child_system) / 100.0 })
}

/// What the script said.
struct JaxRun {
    /// Inner steps a second.
    rate: f64,
    /// Its line.
    line: String,
    /// Processor time of all of it.
    busy: Option<f64>,
}

/// A Python with JAX, and the script.
struct Jax {
    python: String,
    script: String,
}

impl Jax {
    fn find() -> std::result::Result<Self, String> {
        let python = std::env::var("QGD_JAX_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script =
            std::env::var("QGD_JAX_SCRIPT").unwrap_or_else(|_| "../shared/peers/meta_throughput_jax.py".to_owned());
        let imports =
            Command::new(&python).args(["-c", "import jax, numpy"]).output().is_ok_and(|o| o.status.success());
        if !imports {
            return Err(format!(
                "{python} cannot import jax. `python3 -m venv jax && jax/bin/pip install 'jax[cpu]' numpy`, then \
                 QGD_JAX_PYTHON=jax/bin/python make bench"
            ));
        }
        if !Path::new(&script).exists() {
            return Err(format!("there is no {script}; QGD_JAX_SCRIPT names another place"));
        }
        Ok(Self { python, script })
    }

    /// Runs it with so many nets and steps on a platform of JAX's (`cpu`, `cuda`).
    fn measure(&self, n_nets: usize, steps: u64, platform: &str) -> Result<JaxRun> {
        let arguments = [&self.script, &n_nets.to_string(), &steps.to_string()];
        let before = cpu_seconds();
        // Or JAX takes most of a GPU's memory, whatever it needs.
        let settings = [("JAX_PLATFORMS", platform), ("XLA_PYTHON_CLIENT_PREALLOCATE", "false")];
        let output = Command::new(&self.python).args(arguments).envs(settings).output()?;
        let busy = before.zip(cpu_seconds()).map(|(from, to)| to.children - from.children);
        let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|&word| word == "inner").filter(|&at| at > 0);
        let rate = at.and_then(|at| words[at - 1].parse().ok());
        let errors = || format!("{}: {}", self.script, String::from_utf8_lossy(&output.stderr));
        Ok(JaxRun { rate: rate.ok_or_else(errors)?, line, busy })
    }
}

/// Inner steps a second of nothing but batches, gradients and optimizers.
fn kernel(tasks: &[Task], n_threads: usize) -> Result<f64> {
    let start = Instant::now();
    let steps = on_all_cores(tasks.len(), n_threads, |i| {
        let mut task = tasks[i].clone();
        let mut rng = stream(task.batch_seed, "batches");
        let (mut x, mut grad) = (task.start.clone(), vec![0.0; task.start.len()]);
        let mut optimizer = InnerOptimizer::new(task.algorithm, x.len());
        for _ in 0..task.horizon {
            task.loss_and_grad(&x, &mut grad, &mut rng);
            optimizer.step(&mut x, &mut grad, task.lr, task.weight_decay);
        }
        std::hint::black_box(&x);
        Ok(task.horizon)
    })?;
    Ok(steps.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64())
}

/// A round of meta-training on these tasks, in turns with the kernel alone.
fn under_control(recipe: &TrainingRecipe, tasks: &[Task], n_threads: usize) -> Result<()> {
    // As many networks as the recipe trains.
    let trained = Pretrained::load(Path::new("pretrained/parts/lr-2.qgd"))?;
    let agent = recipe.with_networks(trained.networks().to_vec());
    let mut learner = Learner::new(trained.networks().to_vec(), recipe.training.agent.clone());
    let mut replay = Replay::new(recipe.training.replay.clone());
    let explorer = recipe.explorer()?;
    let (mut bare, mut lived, mut learned) = (Vec::new(), Vec::new(), Vec::new());
    let busy = || cpu_seconds().map_or(f64::NAN, |seconds| seconds.own);
    let mut busy_shares: [Vec<f64>; 2] = Default::default();
    for turn in 0..TURNS {
        let before = busy();
        bare.push(kernel(tasks, n_threads)?);
        let (start, bare_done) = (Instant::now(), busy());
        let episodes = on_all_cores(tasks.len(), n_threads, |i| {
            let mut task = tasks[i].clone();
            let (explorer, rng) = (explorer.clone().in_parallel(i, tasks.len()), stream(i as u64, "bench actor"));
            let actor = agent.clone().exploring(explorer, 0.0, rng);
            let config = task.told(recipe.controller.driver_config(None));
            let mut driver = Driver::new(actor, task.lr, task.weight_decay, config)?;
            let run = rollout(&mut task, &mut driver, true);
            let (reward, agent) = (&recipe.training.reward, &recipe.training.agent);
            let episode = driver.into_policy().into_episode(&run.evaluations, reward, agent, task.known_budget);
            Ok((episode, run.inner_steps))
        })?;
        let steps = episodes.iter().map(|(_, steps)| steps).sum::<u64>() as f64;
        lived.push(steps / start.elapsed().as_secs_f64());
        busy_shares[0].push((bare_done - before) / (busy() - bare_done));
        episodes.into_iter().filter_map(|(episode, _)| episode).for_each(|episode| replay.push(episode));
        let mut rng = stream(turn as u64, "bench updates");
        for _ in 0..recipe.training.updates_per_round {
            learner.update(&replay, 0.5, &mut rng)?;
        }
        learned.push(steps / start.elapsed().as_secs_f64());
        busy_shares[1].push((bare_done - before) / (busy() - bare_done));
    }
    let share =
        |rates: &[f64]| 100.0 * median(&rates.iter().zip(&bare).map(|(rate, bare)| rate / bare).collect::<Vec<f64>>());
    let (with_signals, with_learner) = (share(&lived), share(&learned));
    println!("    the kernel alone                                  {:>8.0} inner steps/s", median(&bare));
    println!("    with signals, guard, networks, evaluations        {:>8.0}   {with_signals:.0} %", median(&lived));
    let verdict = if with_learner >= 70.0 { "ok" } else { "MISSED" };
    let updates = recipe.training.updates_per_round;
    println!(
        "    and with {updates} updates of {} x {}                   {:>8.0}   {with_learner:.0} % (target 70 %: {verdict})",
        recipe.training.agent.ensemble,
        recipe.training.agent.batch_size,
        median(&learned)
    );
    let [lived, learned] = busy_shares.map(|shares| 100.0 * median(&shares));
    println!("    a second of processor time: {lived:.0} % and {learned:.0} % of the kernel's steps");
    Ok(())
}

/// Inner steps a second of rounds of `n` episodes as `qgd meta-train` does them, drawing the data of every
/// task included.
fn whole_rounds(mut recipe: TrainingRecipe, n: u32, engine: Engine) -> Result<f64> {
    (recipe.training.validation_tasks, recipe.training.validate_every) = (1, u32::MAX);
    recipe.training.episodes_per_round = n;
    let mut training = MetaTraining::new(recipe, 0, engine)?;
    let first = training.round()?.inner_steps;
    let (start, mut last) = (Instant::now(), first);
    for _ in 0..TURNS {
        last = training.round()?.inner_steps;
    }
    Ok((last - first) as f64 / start.elapsed().as_secs_f64())
}

#[cfg(not(feature = "torch"))]
fn beside_tch(_: &TrainingRecipe, _: usize) -> Result<()> {
    println!("(d) built without libtorch: nothing is batched");
    Ok(())
}

#[cfg(feature = "torch")]
fn beside_tch(recipe: &TrainingRecipe, n_threads: usize) -> Result<()> {
    println!("\n(d) inner steps/s of rounds of B episodes of controllers/lr-single.toml, without updates");
    tch::set_num_threads(n_threads as i32);
    let mut recipe = recipe.clone();
    recipe.training.updates_per_round = 0;
    for n in [64, 256, 1024] {
        let kernel = whole_rounds(recipe.clone(), n, n_threads.into())?;
        let cpu = whole_rounds(recipe.clone(), n, Engine::Tch { device: tch::Device::Cpu, n_threads })?;
        println!("    B {n:>6}   kernel {kernel:>8.0}   tch on cpu {cpu:>8.0}   {:.2}", cpu / kernel);
    }
    Ok(())
}

/// What runs on the first GPU, where there is one.
#[cfg(feature = "torch")]
fn gpu(n_threads: usize) -> Option<Engine> {
    tch::Cuda::is_available().then_some(Engine::Tch { device: tch::Device::Cuda(0), n_threads })
}

#[cfg(not(feature = "torch"))]
fn gpu(_: usize) -> Option<Engine> {
    None
}

/// How many nets at once.
const ON_A_GPU: [usize; 4] = [1 << 10, 1 << 12, 1 << 14, 1 << 16];

fn rounds_on_a_gpu(recipe: &TrainingRecipe, engine: Engine, n_threads: usize) -> Result<()> {
    println!(
        "\n(f) inner steps/s of rounds of B episodes of controllers/lr-single.toml, without updates, batched on the GPU"
    );
    let mut recipe = recipe.clone();
    recipe.training.updates_per_round = 0;
    let own = whole_rounds(recipe.clone(), 1 << 10, n_threads.into())?;
    println!("    the kernel on {n_threads} threads of the host, B 1024: {own:.0}");
    for n in ON_A_GPU {
        let rate = whole_rounds(recipe.clone(), n as u32, engine)?;
        println!("    B {n:>6}   {rate:>9.0}   {:.1} times the host's cores", rate / own);
    }
    Ok(())
}

fn nets_on_a_gpu(engine: Engine, n_threads: usize) -> Result<()> {
    println!("\n(e) B nets 24-24-6, batch 64, Adam: inner steps/s at a constant learning rate, batched on the GPU");
    let jax = Jax::find();
    if let Err(reason) = &jax {
        println!("    JAX not found: {reason}");
    }
    let tasks = workload(ON_A_GPU[0], n_threads)?;
    let own = median(&(0..TURNS).map(|_| kernel(&tasks, n_threads)).collect::<Result<Vec<f64>>>()?);
    println!("    the kernel on {n_threads} threads of the host: {own:.0}");
    for n in ON_A_GPU {
        let tasks = workload(n, n_threads)?;
        batched(&tasks, STEPS / 4, &engine)?;
        // Copying the data to the GPU is in both.
        let (short, long) = (batched(&tasks, STEPS, &engine)?, batched(&tasks, 4 * STEPS, &engine)?);
        let rate = (n as u64 * 3 * STEPS) as f64 / (long - short);
        print!("    B {n:>6}   {rate:>9.0}   {:.1} times the host's cores", rate / own);
        match &jax {
            Ok(jax) => {
                let theirs = jax.measure(n, STEPS, "cuda")?;
                println!("   {:.2} times JAX   {}", rate / theirs.rate, theirs.line);
            }
            Err(_) => println!(),
        }
    }
    Ok(())
}

/// Seconds that so many steps of these nets take.
fn batched(tasks: &[Task], steps: u64, engine: &Engine) -> Result<f64> {
    let start = Instant::now();
    let runs = engine.rollouts(
        tasks.len(),
        |i| {
            let mut task = tasks[i].clone();
            task.horizon = steps;
            let driver = Driver::new(Constant, task.lr, task.weight_decay, Default::default())?;
            Ok((task, driver))
        },
        false,
    )?;
    std::hint::black_box(&runs);
    Ok(start.elapsed().as_secs_f64())
}

/// `f(0), ..., f(n - 1)` on so many threads, in order.
fn on_all_cores<T: Send>(n: usize, n_threads: usize, f: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, T)>> {
        let mut own = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n {
                return Ok(own);
            }
            own.push((i, f(i)?));
        }
    };
    let mut done = std::thread::scope(|scope| -> Result<Vec<(usize, T)>> {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok(all)
    })?;
    done.sort_by_key(|&(i, _)| i);
    Ok(done.into_iter().map(|(_, value)| value).collect())
}
