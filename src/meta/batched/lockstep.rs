//! One group from its first step to its last.

use super::Batched;
use super::conditioning::Conditioning;
use super::group::{Group, Kind};
use super::rows::Rows;
use super::run::{Feed, NetRun, Report};
use super::stack::Stack;
use super::state::{N_SUMS, Pending, Rates, State};
use crate::dqn::Judge;
use crate::driver::{Driver, Order};
use crate::meta::rollout::Run;
use crate::meta::tasks::{HeldOut, Task};
use crate::parallel;
use crate::policy::Policy;
use tch::{Kind as Number, TchError, Tensor};

type Result<T> = std::result::Result<T, TchError>;

/// A group under way.
pub(super) struct Lockstep<P: Policy> {
    engine: Batched,
    kind: Kind,
    evaluates_decisions: bool,
    runs: Vec<NetRun<P>>,
    stack: Stack,
    state: State,
    batches: Batches,
    /// Losses `[n_nets]` that the host has not seen yet, a tensor a step.
    losses: Vec<Tensor>,
    done: Vec<(usize, Driver<P>, Run)>,
}

/// What was drawn for some steps ahead.
struct Batches {
    /// `[n_nets, n_steps, width]`
    drawn: Tensor,
    n_steps: i64,
    /// How many of them are used.
    at: i64,
}

/// Steps drawn ahead at most, and numbers drawn at once: some ten megabytes, so that drawing and copying are worth the call.
const STEPS_AHEAD: u64 = 64;
const DRAWN_AT_ONCE: usize = 1 << 21;

impl<P: Policy> Lockstep<P> {
    pub fn new(group: Group<P>, engine: Batched, evaluates_decisions: bool) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let kind = group.kind;
        let (runs, tasks): (Vec<_>, Vec<Task>) =
            group.members.into_iter().map(|(index, task, driver)| ((index, driver), task)).unzip();
        let (stack, start, feeds) = Stack::new(kind, &tasks, engine.device)?;
        let algorithms: Vec<_> = tasks.iter().map(|task| task.algorithm).collect();
        let conditioning = kind.is_conditioned.then(|| Conditioning::new(&tasks, stack.blocks(), engine.device));
        let runs = runs.into_iter().zip(&tasks).zip(feeds);
        let runs = runs.map(|(((index, driver), task), feed)| NetRun::new(index, task, driver, feed)).collect();
        let drawn = Tensor::f_zeros([0], (Number::Float, engine.device))?;
        Ok(Self {
            engine,
            kind,
            evaluates_decisions,
            runs,
            stack,
            state: State::new(start, &algorithms, conditioning.transpose()?)?,
            batches: Batches { drawn, n_steps: 0, at: 0 },
            losses: Vec::new(),
            done: Vec::new(),
        })
    }

    /// Steps until every run is over.
    pub fn run(mut self) -> Result<Vec<(usize, Driver<P>, Run)>> {
        while !self.runs.is_empty() {
            self.step()?;
            self.part_with_the_done()?;
        }
        Ok(self.done)
    }

    fn step(&mut self) -> Result<()> {
        let batch = self.next_batch()?;
        let (losses, grad) = self.stack.losses_and_grads(self.state.x(), &batch)?;
        let _guard = tch::no_grad_guard();
        let finite = grad.f_isfinite()?.f_all_dim(1, true)?.f_logical_and(&losses.f_isfinite()?.f_unsqueeze(1)?)?;
        self.losses.push(losses);
        let is_finite = self.are_finite(&finite)?;
        let due: Vec<usize> = (0..self.runs.len()).filter(|&i| self.runs[i].is_due(is_finite[i])).collect();
        if due.is_empty() {
            self.runs.iter_mut().for_each(NetRun::decide);
        } else {
            self.decide(&due, &grad, &finite)?;
        }
        self.state.step(&grad, &finite, &self.rates()?)
    }

    /// Which nets have a finite loss and gradient at this step, on the host. Only guards ask.
    fn are_finite(&self, finite: &Tensor) -> Result<Vec<bool>> {
        if self.runs.iter().any(|run| run.driver.is_guarded()) {
            return Vec::try_from(finite.f_reshape([-1])?.f_to_device(tch::Device::Cpu)?);
        }
        Ok(vec![true; self.runs.len()])
    }

    /// The batch of the coming step, `[n_nets, width]`.
    fn next_batch(&mut self) -> Result<Tensor> {
        if self.batches.at == self.batches.n_steps {
            let feed = self.runs[0].feed;
            let width = feed.width();
            let longest = self.runs.iter().map(NetRun::n_left).max().unwrap_or(1);
            let n_steps = longest.min(STEPS_AHEAD).min((DRAWN_AT_ONCE / (width * self.runs.len())) as u64).max(1);
            let shape = [self.runs.len() as i64, n_steps as i64, width as i64];
            let drawn = match feed {
                Feed::Noise { .. } => self.draw(shape, NetRun::draw_noise)?,
                Feed::Rows { .. } => self.draw(shape, NetRun::draw_rows)?,
            };
            self.batches = Batches { drawn, n_steps: shape[1], at: 0 };
        }
        self.batches.at += 1;
        self.batches.drawn.f_select(1, self.batches.at - 1)
    }

    fn draw<T: tch::kind::Element + Copy + Default + Send>(
        &mut self,
        shape: [i64; 3],
        draw: fn(&mut NetRun<P>, &mut [T]),
    ) -> Result<Tensor> {
        let each = (shape[1] * shape[2]) as usize;
        let mut drawn = vec![T::default(); self.runs.len() * each];
        let mut work: Vec<_> = self.runs.iter_mut().zip(drawn.chunks_exact_mut(each)).collect();
        parallel::for_each(&mut work, self.engine.n_threads, |(run, out)| draw(run, out));
        Tensor::f_from_slice(&drawn)?.f_to_device(self.engine.device)?.f_view(shape)
    }

    /// Signals and evaluations of the nets that are due, in one copy to the host; then orders and decisions there, and their snapshots here.
    fn decide(&mut self, due: &[usize], grad: &Tensor, finite: &Tensor) -> Result<()> {
        let nets = self.rows(due)?;
        let fresh: Vec<f32> = due.iter().map(|&i| f32::from(!self.runs[i].is_measured)).collect();
        let fresh = Tensor::f_from_slice(&fresh)?.f_to_device(self.engine.device)?.f_view([-1, 1])?;
        let pending = self.state.measure(&nets, grad, &fresh)?;
        let is_judged = |&i: &usize| self.evaluates_decisions || self.runs[i].is_last();
        let judged: Vec<usize> = due.iter().copied().filter(is_judged).collect();
        let validated = match (self.stack.validates(), self.kind.reports_validation) {
            (false, _) => Vec::new(),
            (true, true) => due.to_vec(),
            (true, false) => judged.clone(),
        };
        let evaluated = if self.stack.validates() && self.kind.judge != Judge::Loss { Vec::new() } else { judged };
        let mut parts = vec![pending.sums.f_reshape([-1])?, nets.take(finite)?.f_reshape([-1])?];
        if !validated.is_empty() {
            let rows = self.rows(&validated)?;
            parts.extend(self.stack.validate(&rows.take(self.state.x())?, &rows)?);
        }
        if !evaluated.is_empty() {
            let rows = self.rows(&evaluated)?;
            parts.push(self.stack.evaluate(&rows.take(self.state.x())?, &rows)?.f_select(1, 0)?);
        }
        parts.push(Tensor::f_stack(&std::mem::take(&mut self.losses), 0)?);
        self.read(&parts, due, &validated, &evaluated)?;
        parallel::for_each(&mut self.runs, self.engine.n_threads, NetRun::decide);
        self.act(due, &pending)
    }

    /// The one copy: what was measured goes to the runs.
    fn read(&mut self, parts: &[Tensor], due: &[usize], validated: &[usize], evaluated: &[usize]) -> Result<()> {
        let flat = |part: &Tensor| part.f_to_kind(Number::Double)?.f_reshape([-1]);
        let parts: Vec<Tensor> = parts.iter().map(flat).collect::<Result<_>>()?;
        let all = Tensor::f_cat(&parts, 0)?;
        let mut host = vec![0.0; all.numel()];
        all.f_to_device(tch::Device::Cpu)?.f_copy_data(&mut host, all.numel())?;
        let (sums, rest) = host.split_at(N_SUMS * due.len());
        let (finite, rest) = rest.split_at(due.len());
        let (held_out, rest) = rest.split_at(2 * validated.len());
        let (losses, windows) = rest.split_at(evaluated.len());
        for ((&i, sums), &finite) in due.iter().zip(sums.chunks_exact(N_SUMS)).zip(finite) {
            self.runs[i].report = Some(Report {
                sums: sums.to_vec(),
                is_finite: finite > 0.0,
                reports_validation: self.kind.reports_validation,
                evaluates_decisions: self.evaluates_decisions,
                ..Report::default()
            });
        }
        for (&i, found) in validated.iter().zip(held_out.chunks_exact(2)) {
            let found = Some(HeldOut::new(found[0], found[1]));
            self.runs[i].report.iter_mut().for_each(|report| report.held_out = found);
        }
        for (&i, &loss) in evaluated.iter().zip(losses) {
            self.runs[i].report.iter_mut().for_each(|report| report.loss = Some(loss));
        }
        for step in windows.chunks_exact(self.runs.len()) {
            self.runs.iter_mut().zip(step).for_each(|(run, &loss)| run.losses.push(loss as f32));
        }
        Ok(())
    }

    /// Snapshots and rollbacks, as the orders say.
    fn act(&mut self, due: &[usize], pending: &Pending) -> Result<()> {
        let of = |is: &dyn Fn(&NetRun<P>) -> bool| {
            (0..due.len()).filter(|&k| is(&self.runs[due[k]])).collect::<Vec<usize>>()
        };
        let nets_at = |places: &[usize]| self.rows(&places.iter().map(|&k| due[k]).collect::<Vec<_>>());
        let good = of(&|run| run.has_decided);
        let [back, again] = [Order::RollBack, Order::Restart].map(|order| of(&|run| run.order == Some(order)));
        let [good_nets, back, again] = [
            (!good.is_empty()).then(|| nets_at(&good)).transpose()?,
            (!back.is_empty()).then(|| nets_at(&back)).transpose()?,
            (!again.is_empty()).then(|| nets_at(&again)).transpose()?,
        ];
        if let Some(nets) = good_nets {
            let measured = Rows::of(&good, due.len(), self.engine.device)?;
            self.state.remember(&nets, &measured, pending)?;
        }
        if let Some(nets) = again {
            self.state.restart(&nets)?;
            self.state.roll_back(&nets)?;
        }
        back.map_or(Ok(()), |nets| self.state.roll_back(&nets))
    }

    fn rows(&self, places: &[usize]) -> Result<Rows> {
        Rows::of(places, self.runs.len(), self.engine.device)
    }

    /// What every driver says of the coming step, in one copy to the device.
    fn rates(&self) -> Result<Rates> {
        let runs = self.runs.iter();
        let rates = runs.map(|run| match run.order {
            Some(Order::Apply { lr, weight_decay, .. }) => [lr, weight_decay, 1.0],
            _ => [0.0; 3],
        });
        let rates: Vec<[f64; 3]> = rates.collect();
        let all: Vec<f64> = (0..3).flat_map(|k| rates.iter().map(move |rate| rate[k])).collect();
        let all = Tensor::f_from_slice(&all)?.f_to_device(self.engine.device)?.f_view([3, -1, 1])?;
        let [lr, weight_decay, applies] = [all.f_select(0, 0)?, all.f_select(0, 1)?, all.f_select(0, 2)?];
        Ok(Rates { lr, weight_decay, applies })
    }

    /// Runs that are over leave, once they are an eighth of all: each time copies the others.
    fn part_with_the_done(&mut self) -> Result<()> {
        let n = self.runs.len();
        let going: Vec<usize> = (0..n).filter(|&i| !self.runs[i].is_over()).collect();
        if 8 * (n - going.len()) < n {
            return Ok(());
        }
        if !going.is_empty() {
            let nets = self.rows(&going)?;
            self.state.keep(&nets)?;
            self.stack.keep(&nets)?;
            self.batches.drawn = nets.take(&self.batches.drawn)?;
            self.losses = self.losses.iter().map(|losses| nets.take(losses)).collect::<Result<_>>()?;
        }
        let (over, going) = std::mem::take(&mut self.runs).into_iter().partition(NetRun::is_over);
        self.runs = going;
        self.done.extend::<Vec<_>>(Vec::into_iter(over).map(NetRun::finish).collect());
        Ok(())
    }
}
