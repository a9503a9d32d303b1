//! The run of one net of a group, as far as it is the host's: its driver, its random stream, its losses.

use super::state::sums_of;
use crate::dqn::Judge;
use crate::driver::{Driver, Order};
use crate::meta::rollout::Run;
use crate::meta::tasks::{HeldOut, Task, above_floor, draw_row, normal};
use crate::policy::Measured;
use crate::policy::Policy;
use crate::rng::stream;
use rand_chacha::ChaCha8Rng;

/// The run of one net of a group.
pub(super) struct NetRun<P: Policy> {
    /// Place of the run among all that were asked for.
    index: usize,
    pub driver: Driver<P>,
    pub feed: Feed,
    rng: ChaCha8Rng,
    horizon: u64,
    n_params: usize,
    judge: Judge,
    /// Loss on the evaluation batch that nothing can be below.
    floor: f64,
    /// Losses that the driver has not been shown yet.
    pub losses: Vec<f32>,
    evaluations: Vec<f64>,
    /// Findings from the device for this step; `None` where nothing had to be found out.
    pub report: Option<Report>,
    /// Whether a decision has measured it since it began.
    pub is_measured: bool,
    /// Order of the driver for this step; `None` once the run is over.
    pub order: Option<Order>,
    /// Whether a decision was taken at this step.
    pub has_decided: bool,
}

/// What a net draws for one step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Feed {
    /// `n` normal numbers, scaled by `noise` and filled up with zeros to `width`.
    Noise { n: usize, noise: f32, width: usize },
    /// `batch_size` rows of the first `n_train` from `base` on, filled up to `width` with the first of them.
    Rows { n_train: usize, batch_size: usize, base: i64, width: usize },
}

/// What came from the device for one decision.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    pub sums: Vec<f64>,
    /// Whether loss and gradient are.
    pub is_finite: bool,
    /// On the evaluation batch.
    pub loss: Option<f64>,
    pub held_out: Option<HeldOut>,
    /// Whether the driver is told what the examples held out say.
    pub reports_validation: bool,
    /// Whether decisions are evaluated.
    pub evaluates_decisions: bool,
}

impl Feed {
    /// How many numbers a step takes.
    pub fn width(&self) -> usize {
        match *self {
            Self::Noise { width, .. } | Self::Rows { width, .. } => width,
        }
    }
}

impl<P: Policy> NetRun<P> {
    pub fn new(index: usize, task: &Task, driver: Driver<P>, feed: Feed) -> Self {
        Self {
            index,
            driver,
            feed,
            rng: stream(task.batch_seed, "batches"),
            horizon: task.horizon,
            n_params: task.problem.n_params(),
            judge: task.judge,
            floor: task.problem.floor(),
            losses: Vec::new(),
            evaluations: Vec::new(),
            report: None,
            is_measured: false,
            order: Some(Order::Skip),
            has_decided: false,
        }
    }

    /// Rows for as many steps as `out` has room for, drawn as the kernel draws them.
    pub fn draw_rows(&mut self, out: &mut [i64]) {
        let Feed::Rows { n_train, batch_size, base, width } = self.feed else { return };
        for step in out.chunks_exact_mut(width) {
            step[..batch_size].fill_with(|| base + draw_row(n_train, &mut self.rng) as i64);
            let first = step[0];
            step[batch_size..].fill(first);
        }
    }

    /// The ξ of quadratics, likewise.
    pub fn draw_noise(&mut self, out: &mut [f32]) {
        let Feed::Noise { n, noise, width } = self.feed else { return };
        for step in out.chunks_exact_mut(width) {
            step[..n].fill_with(|| noise * normal(&mut self.rng));
        }
    }

    /// Whether the coming losses are those after the last step.
    pub fn is_last(&self) -> bool {
        self.driver.steps() >= self.horizon
    }

    pub fn is_over(&self) -> bool {
        self.order.is_none()
    }

    /// Steps to go, and the look at the end.
    pub fn n_left(&self) -> u64 {
        (self.horizon + 1).saturating_sub(self.driver.steps())
    }

    /// Whether something must be found out before the coming step, whose loss and gradient are finite or not.
    pub fn is_due(&self, is_finite: bool) -> bool {
        !self.is_over() && (self.driver.is_due() || self.is_last() || (!is_finite && self.driver.is_guarded()))
    }

    /// What the kernel does at a step, as far as it is the host's.
    pub fn decide(&mut self) {
        if self.is_over() {
            return;
        }
        let Some(report) = self.report.take() else {
            (self.order, self.has_decided) = (Some(self.driver.step(&[], true, Measured::default)), false);
            return;
        };
        let measured = || Measured::from_sums(&sums_of(&report.sums), self.n_params, self.n_params);
        let losses = std::mem::take(&mut self.losses);
        let (decides, is_last) = (self.driver.is_due(), self.is_last());
        if let Some(found) = report.held_out.filter(|_| report.reports_validation && (decides || is_last)) {
            self.driver.observe_validation(found.loss);
        }
        self.order = if is_last {
            if report.evaluates_decisions {
                self.driver.finish(&losses, &measured());
            }
            None
        } else {
            Some(self.driver.step(&losses, report.is_finite, measured))
        };
        self.has_decided = decides && matches!(self.order, Some(Order::Apply { .. }));
        // A run that begins again is measured as if it were new.
        self.is_measured = self.has_decided || self.is_measured && self.order != Some(Order::Restart);
        if is_last || self.has_decided && report.evaluates_decisions {
            self.evaluations.push(self.evaluation(&report));
        }
    }

    /// What the task is judged by.
    fn evaluation(&self, report: &Report) -> f64 {
        match (report.held_out, report.loss) {
            (Some(held_out), _) if self.judge != Judge::Loss => held_out.judged_by(self.judge),
            (_, loss) => above_floor(loss.unwrap_or(f64::NAN), self.floor),
        }
    }

    /// Place, driver and run, once it is over.
    pub fn finish(self) -> (usize, Driver<P>, Run) {
        let inner_steps = self.driver.steps();
        (self.index, self.driver, Run { evaluations: self.evaluations, inner_steps })
    }
}
