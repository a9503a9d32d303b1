//! Conditioning of the nets of a group: the changes of all their weight matrices of one place, orthogonalized at once.
//!
//! Rows and columns of padding stay zero: they are singular values of 0. See [`crate::polar`], and
//! [`InnerOptimizer`](crate::meta::InnerOptimizer), whose steps these are.

use super::net::views;
use super::padding::n_numbers;
use super::rows::Rows;
use crate::meta::architecture::{Block, matrix_shape};
use crate::meta::optimizer::InnerAlgorithm;
use crate::meta::tasks::Task;
use crate::polar::{FILTER, STEPS, TINY, coefficients};
use crate::torch::optim::newton_schulz;
use tch::{Device, TchError, Tensor};

type Result<T> = std::result::Result<T, TchError>;

/// Conditioning of the nets of a group.
pub(super) struct Conditioning {
    /// As they are padded.
    blocks: Vec<Block>,
    /// How far the change of every block is turned, 0 for not at all; `[n_nets, n_blocks]`.
    degrees: Tensor,
    /// 1 where the gradient goes through Muon's filter, which is where plain gradient descent is turned, else 0;
    /// `[n_nets, n_params]`.
    filtered: Tensor,
}

impl Conditioning {
    /// That of these tasks, whose parameters are padded to `blocks`.
    pub fn new(tasks: &[Task], blocks: &[Block], device: Device) -> Result<Self> {
        let mut degrees = Vec::with_capacity(tasks.len() * blocks.len());
        let mut filtered = Vec::with_capacity(tasks.len() * n_numbers(blocks));
        for task in tasks {
            let own = task.problem.net().map(|p| p.net.blocks()).unwrap_or_default();
            for (&own, padded) in own.iter().zip(blocks) {
                let degree = if matrix_shape(own).is_some() { task.degree } else { 0.0 };
                let filters = degree > 0.0 && task.algorithm == InnerAlgorithm::Sgd;
                filtered.resize(filtered.len() + padded.iter().product::<usize>(), f32::from(filters));
                degrees.push(degree as f32);
            }
        }
        let matrix =
            |values: &[f32]| Tensor::f_from_slice(values)?.f_to_device(device)?.f_view([tasks.len() as i64, -1]);
        Ok(Self { blocks: blocks.to_vec(), degrees: matrix(&degrees)?, filtered: matrix(&filtered)? })
    }

    /// The factors on the first moment and on the gradient that is added to it: those of the algorithm, and where the
    /// gradient is filtered those of the filter.
    pub fn factors(&self, keeps: &Tensor, takes: &Tensor) -> Result<[Tensor; 2]> {
        let of = |factor: &Tensor, filter: f64| {
            let filter = self.filtered.f_mul_scalar(filter)?;
            factor.f_mul(&self.filtered.f_rsub_scalar(1.0)?)?.f_add(&filter)
        };
        Ok([of(keeps, FILTER)?, of(takes, 1.0 - FILTER)?])
    }

    /// The direction of a step: the first moment, in Nesterov's form where it is a filter's.
    pub fn direction(&self, first: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let nesterov = self.filtered.f_mul_scalar(1.0 - FILTER)?;
        first.f_addcmul(&grad.f_sub(first)?, &nesterov)
    }

    /// Turns the changes, `[n_nets, n_params]`, in place.
    pub fn condition(&self, changes: &Tensor) -> Result<()> {
        let degrees = self.degrees.f_unsqueeze(2)?.f_unsqueeze(3)?;
        for (l, (block, mut change)) in self.blocks.iter().zip(views(changes, &self.blocks)?).enumerate() {
            if matrix_shape(*block).is_some() {
                let degree = degrees.f_select(1, l as i64)?;
                let turned = turned(&change, &degree)?.f_where_self(&degree.f_gt(0.0)?, &change)?;
                change.f_copy_(&turned)?;
            }
        }
        Ok(())
    }

    /// Drops all nets but these.
    pub fn keep(&mut self, nets: &Rows) -> Result<()> {
        self.degrees = nets.take(&self.degrees)?;
        self.filtered = nets.take(&self.filtered)?;
        Ok(())
    }
}

/// The changes `[n_nets, n_rows, n_columns]` orthogonalized by these degrees `[n_nets, 1, 1]`, their norms kept.
fn turned(changes: &Tensor, degrees: &Tensor) -> Result<Tensor> {
    let norm = |of: &Tensor| of.f_norm_scalaropt_dim(2.0, [1, 2].as_slice(), true);
    let lengths = norm(changes)?;
    let unit = changes.f_div(&lengths.f_clamp_min(TINY)?)?;
    let size = changes.size();
    let x = if size[1] > size[2] {
        newton_schulz(&unit.f_transpose(1, 2)?, coefficients(STEPS))?.f_transpose(1, 2)?
    } else {
        newton_schulz(&unit, coefficients(STEPS))?
    };
    let direction = x.f_div(&norm(&x)?.f_clamp_min(TINY)?)?.f_mul(degrees)?;
    let direction = direction.f_addcmul(&unit, &degrees.f_rsub_scalar(1.0)?)?;
    direction.f_mul(&lengths.f_div(&norm(&direction)?.f_clamp_min(TINY)?)?)
}
