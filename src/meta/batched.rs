//! Many tasks at once on a device: the nets of a group step together, as slices of the same tensors.
//!
//! ```text
//! a step of the group:   draw a batch a net        on the host, from the streams that the kernel uses
//!                        losses [B], gradients     one forward and one backward pass (baddbmm and friends) for all B nets
//!                        signals, evaluations      only for the nets whose driver is due, and then one copy to the host
//!                        verdicts, decisions       on the host: a Driver a net, as in the kernel and as beside a user's net
//!                        snapshot, roll back       copies of rows
//!                        optimizer                 one pass over [B, n_params]; what differs from net to net is a column
//! ```
//!
//! The gradient of the summed losses by the parameters of one net is that of its own loss, so one autograd pass gives every net its own.
//!
//! **Groups.** Nets run together where only widths differ: same family, depth and kind of target. Widths, batches and classes are filled up
//! with zeros. A weight that starts at zero beside inputs and units that stay zero (relu 0 = tanh 0 = 0) has the gradient zero, and none of our
//! optimizers moves it; so nothing need be masked but logits and the weights of examples. Within such a kind the nets are
//! sorted by size and cut into parts, so that little is filled up. Groups run one after the other: each has its own horizon, and only one
//! has its tensors on the device.
//!
//! **The host.** A decision of a policy costs microseconds there, and all decisions of a step are spread over the threads. What they need comes in
//! one copy, and between decisions the device runs ahead: a step at which no driver is due waits for nothing. A step that is not finite is
//! left out by a flag on the device.
//!
//! **The same as the kernel**, to rounding: batches come from the same stream, sums of signals from the same products, and the optimizers follow the
//! same formulas. A test compares trajectories. Libtorch adds up in its own order, so the bytes differ from the kernel's; on a CPU they are the
//! same from run to run with the same number of threads.

mod group;
mod lockstep;
mod net;
mod padding;
mod seat;
mod stack;
mod state;

use super::rollout::Run;
use super::tasks::Task;
use crate::driver::Driver;
use crate::policy::Policy;
use lockstep::Lockstep;
use tch::{Device, TchError};

/// Where and how groups run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Batched {
    pub device: Device,
    /// For what the host does: batches and decisions.
    pub n_threads: usize,
}

impl Batched {
    /// What [`rollout`](super::rollout()) does, for all runs at once. Results are in the order of `runs`.
    ///
    /// Tasks that see their full batch at every step are not for it: they are those of line searches.
    pub fn rollouts<P: Policy>(
        &self,
        runs: Vec<(Task, Driver<P>)>,
        evaluate_decisions: bool,
    ) -> Result<Vec<(Driver<P>, Run)>, TchError> {
        let mut done = Vec::with_capacity(runs.len());
        let members = runs.into_iter().enumerate().map(|(index, (task, driver))| (index, task, driver));
        for group in group::groups(members.collect(), group::smallest_part(self.device)) {
            done.extend(Lockstep::new(group, *self, evaluate_decisions)?.run()?);
        }
        done.sort_by_key(|(index, ..)| *index);
        Ok(done.into_iter().map(|(_, driver, run)| (driver, run)).collect())
    }
}

#[cfg(test)]
mod tests;
