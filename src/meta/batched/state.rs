//! Everything in a group that changes from step to step: parameters, moments, snapshots, and the memory of the signals.

use super::conditioning::Conditioning;
use super::rows::Rows;
use crate::meta::optimizer::{InnerAlgorithm, InnerOptimizer};
use crate::policy::{Measure, Sums};
use tch::{Device, Kind, TchError, Tensor};

type Result<T> = std::result::Result<T, TchError>;

/// What an optimizer step changes.
struct Moving {
    /// Parameters, `[n_nets, n_params]`.
    x: Tensor,
    /// Momentum, or Adam's first moment, `[n_nets, n_params]`.
    first: Tensor,
    /// Adam's second moment, `[n_nets, n_params]`.
    second: Tensor,
    /// Number of steps applied, `[n_nets, 1]`, doubles.
    t: Tensor,
}

impl Moving {
    fn new(x: &Tensor) -> Result<Self> {
        let t = Tensor::f_zeros([x.size()[0], 1], (Kind::Double, x.device()))?;
        Ok(Self { x: x.f_detach_copy()?, first: x.f_zeros_like()?, second: x.f_zeros_like()?, t })
    }

    fn tensors(&mut self) -> [&mut Tensor; 4] {
        [&mut self.x, &mut self.first, &mut self.second, &mut self.t]
    }

    /// Overwrites the rows of some nets.
    fn put(&mut self, nets: &Rows, from: [Tensor; 4]) -> Result<()> {
        self.tensors().into_iter().zip(from).try_for_each(|(to, from)| nets.put(to, &from))
    }

    fn take(&self, nets: &Rows) -> Result<[Tensor; 4]> {
        Ok([nets.take(&self.x)?, nets.take(&self.first)?, nets.take(&self.second)?, nets.take(&self.t)?])
    }
}

/// The nets of a group between two steps. All tensors are `[n_nets, n_params]`, padded with zeros that stay zeros.
pub(super) struct State {
    now: Moving,
    /// The last verified state. Its `x` is also the place of the last measurement, because both are taken at good
    /// decisions.
    good: Moving,
    start: Tensor,
    update: Tensor,
    grad: Tensor,
    grad_ema: Tensor,
    rules: Rules,
    conditioning: Option<Conditioning>,
}

/// The optimizers of the nets, in columns `[n_nets, 1]`.
struct Rules {
    is_adam: Tensor,
    /// Factor on the first moment, and factor on the gradient that is added to it; `[n_nets, n_params]` with
    /// conditioning.
    keeps: Tensor,
    takes: Tensor,
    /// Whether the weight decay is decoupled from the gradient.
    is_decoupled: Tensor,
}

/// Signals of some nets, measured but not remembered yet.
pub(super) struct Pending {
    /// Fields of [`Sums`], in the order of [`sums_of`]; `[n, N_SUMS]`, doubles.
    pub sums: Tensor,
    /// `[n, n_params]`
    update: Tensor,
    grad: Tensor,
    grad_ema: Tensor,
}

/// Number of sums that the signals of one net are made of.
pub(super) const N_SUMS: usize = 11;

/// The sums in one row of [`Pending::sums`].
pub(super) fn sums_of(row: &[f64]) -> Sums {
    let at = |i: usize| row.get(i).copied().unwrap_or(f64::NAN);
    Sums {
        update_sign: at(0),
        update_grad: at(1),
        grad_sign: at(2),
        grad_prev: at(3),
        grad_sq: at(4),
        grad_ema_sq: at(5),
        update_sq: at(6),
        param_sq: at(7),
        update_prev: at(8),
        update_prev_sq: at(9),
        distance_sq: at(10),
    }
}

/// What the host says about the coming step of every net, `[n_nets, 1]` each, doubles.
pub(super) struct Rates {
    pub lr: Tensor,
    pub weight_decay: Tensor,
    /// 1 if the step is applied, else 0.
    pub applies: Tensor,
}

impl State {
    /// The nets at their `start` `[n_nets, n_params]`, before any step.
    pub fn new(start: Tensor, algorithms: &[InnerAlgorithm], conditioning: Option<Conditioning>) -> Result<Self> {
        let mut rules = Rules::new(algorithms, start.device())?;
        if let Some(conditioning) = &conditioning {
            [rules.keeps, rules.takes] = conditioning.factors(&rules.keeps, &rules.takes)?;
        }
        Ok(Self {
            now: Moving::new(&start)?,
            good: Moving::new(&start)?,
            update: start.f_zeros_like()?,
            grad: start.f_zeros_like()?,
            grad_ema: start.f_zeros_like()?,
            rules,
            conditioning,
            start,
        })
    }

    /// The parameters.
    pub fn x(&self) -> &Tensor {
        &self.now.x
    }

    /// Signals of some nets, as [`Measure::measure`] finds them. `fresh`, `[n, 1]`, is 1 for nets that are measured for
    /// the first time, else 0.
    pub fn measure(&self, nets: &Rows, grad: &Tensor, fresh: &Tensor) -> Result<Pending> {
        let [x, before, start] = [nets.take(self.x())?, nets.take(&self.good.x)?, nets.take(&self.start)?];
        let [grad, last_grad, last_update] = [nets.take(grad)?, nets.take(&self.grad)?, nets.take(&self.update)?];
        let weight = fresh.f_mul_scalar(f64::from(Measure::GRAD_EMA_DECAY))?;
        let weight = weight.f_add_scalar(f64::from(1.0 - Measure::GRAD_EMA_DECAY))?;
        let grad_ema = nets.take(&self.grad_ema)?.f_lerp_tensor(&grad, &weight)?;
        let (update, way) = (x.f_sub(&before)?, x.f_sub(&start)?);
        let sum = |product: &Tensor| product.f_sum_dim_intlist(1, false, Kind::Double);
        let dot = |a: &Tensor, b: &Tensor| sum(&a.f_mul(b)?);
        let (update_turn, grad_turn) = (update.f_mul(&last_update)?, grad.f_mul(&last_grad)?);
        let sums = [
            sum(&update_turn.f_sign()?)?,
            dot(&update, &grad)?,
            sum(&grad_turn.f_sign()?)?,
            sum(&grad_turn)?,
            dot(&grad, &grad)?,
            dot(&grad_ema, &grad_ema)?,
            dot(&update, &update)?,
            dot(&x, &x)?,
            sum(&update_turn)?,
            dot(&last_update, &last_update)?,
            dot(&way, &way)?,
        ];
        Ok(Pending { sums: Tensor::f_stack(&sums, 1)?, update, grad, grad_ema })
    }

    /// Notes that these nets are verified: takes a snapshot of them, and starts their next window here. `measured` are
    /// their places among the nets of `pending`.
    pub fn remember(&mut self, nets: &Rows, measured: &Rows, pending: &Pending) -> Result<()> {
        self.good.put(nets, self.now.take(nets)?)?;
        nets.put(&mut self.update, &measured.take(&pending.update)?)?;
        nets.put(&mut self.grad, &measured.take(&pending.grad)?)?;
        nets.put(&mut self.grad_ema, &measured.take(&pending.grad_ema)?)
    }

    /// Lets these nets begin again: their verified state is their start, and nothing has been measured yet.
    pub fn restart(&mut self, nets: &Rows) -> Result<()> {
        let nothing = nets.take(&self.update)?.f_zeros_like()?;
        nets.put(&mut self.update, &nothing)?;
        nets.put(&mut self.grad, &nothing)?;
        self.good.put(nets, Moving::new(&nets.take(&self.start)?)?.take(&Rows::All)?)
    }

    /// Takes these nets back to their verified state.
    pub fn roll_back(&mut self, nets: &Rows) -> Result<()> {
        self.now.put(nets, self.good.take(nets)?)
    }

    /// Takes one optimizer step, as [`InnerOptimizer::step`] does, with the nets whose loss and gradient are `finite`,
    /// `[n_nets, 1]`, and whose step is to be applied.
    pub fn step(&mut self, grad: &Tensor, finite: &Tensor, rates: &Rates) -> Result<()> {
        let applies = rates.applies.f_gt(0.0)?.f_logical_and(finite)?;
        let double = |value: f32| f64::from(value);
        let single = |column: Tensor| column.f_to_kind(Kind::Float);
        let rules = &self.rules;
        let Moving { x, first, second, t } = &mut self.now;
        let _ = t.f_add_(&applies.f_to_kind(Kind::Double)?)?;
        // A net that stands still has the gradient 0, keeps its moments and moves by 0.
        let off = |column: &Tensor, value: f64| column.f_where_scalarother(&applies, value);
        let mut grad = grad.f_where_scalarother(&applies, 0.0)?;
        let (lr, decay) = (single(off(&rates.lr, 0.0)?)?, single(off(&rates.weight_decay, 0.0)?)?);
        let beside = lr.f_mul(&decay)?.f_mul(&rules.is_decoupled)?;
        let within = decay.f_mul(&rules.is_decoupled.f_rsub_scalar(1.0)?)?;
        grad = grad.f_addcmul(x, &within)?;
        let _ = x.f_sub_(&x.f_mul(&beside)?)?;

        let _ = first.f_mul_(&off(&rules.keeps, 1.0)?)?.f_addcmul_(&grad, &rules.takes)?;
        let beta2 = double(InnerOptimizer::BETA2);
        let left = single(off(&rates.lr.f_full_like(beta2)?, 1.0)?)?;
        let _ = second.f_mul_(&left)?.f_addcmul_(&grad, &grad.f_mul_scalar(double(1.0 - InnerOptimizer::BETA2))?)?;

        let correction = |beta: f64| t.f_mul_scalar(beta.ln())?.f_exp()?.f_rsub_scalar(1.0);
        let is_adam = rules.is_adam.f_logical_and(&applies)?;
        let correction1 = correction(double(InnerOptimizer::BETA1))?.f_where_scalarother(&is_adam, 1.0)?;
        let correction2 = correction(beta2)?.f_sqrt()?.f_where_scalarother(&is_adam, 1.0)?;
        let size = single(off(&rates.lr, 0.0)?.f_div(&correction1)?)?;
        let root = second.f_sqrt()?.f_div(&single(correction2)?)?.f_add_scalar(double(InnerOptimizer::EPS))?;
        let root = root.f_where_scalarother(&rules.is_adam, 1.0)?;
        let Some(conditioning) = &self.conditioning else {
            let _ = x.f_sub_(&first.f_mul(&size)?.f_div(&root)?)?;
            return Ok(());
        };
        let change = conditioning.direction(first, &grad)?.f_mul(&size)?.f_div(&root)?;
        conditioning.condition(&change)?;
        let _ = x.f_sub_(&change)?;
        Ok(())
    }

    /// Drops all nets but these.
    pub fn keep(&mut self, nets: &Rows) -> Result<()> {
        let own = [&mut self.start, &mut self.update, &mut self.grad, &mut self.grad_ema];
        let all = self.now.tensors().into_iter().chain(self.good.tensors()).chain(own).chain(self.rules.tensors());
        for tensor in all {
            *tensor = nets.take(tensor)?;
        }
        self.conditioning.as_mut().map_or(Ok(()), |conditioning| conditioning.keep(nets))
    }
}

impl Rules {
    fn new(algorithms: &[InnerAlgorithm], device: Device) -> Result<Self> {
        let column = |of: &dyn Fn(InnerAlgorithm) -> f32| {
            let values: Vec<f32> = algorithms.iter().map(|&algorithm| of(algorithm)).collect();
            Tensor::f_from_slice(&values)?.f_to_device(device)?.f_view([-1, 1])
        };
        let is_adam = |algorithm| matches!(algorithm, InnerAlgorithm::Adam | InnerAlgorithm::AdamW);
        Ok(Self {
            is_adam: column(&|algorithm| f32::from(is_adam(algorithm)))?.f_gt(0.0)?,
            keeps: column(&|algorithm| match algorithm {
                InnerAlgorithm::Sgd => 0.0,
                InnerAlgorithm::Momentum => InnerOptimizer::MOMENTUM,
                InnerAlgorithm::Adam | InnerAlgorithm::AdamW => InnerOptimizer::BETA1,
            })?,
            takes: column(&|algorithm| if is_adam(algorithm) { 1.0 - InnerOptimizer::BETA1 } else { 1.0 })?,
            is_decoupled: column(&|algorithm| f32::from(algorithm == InnerAlgorithm::AdamW))?,
        })
    }

    fn tensors(&mut self) -> [&mut Tensor; 4] {
        [&mut self.is_adam, &mut self.keeps, &mut self.takes, &mut self.is_decoupled]
    }
}
