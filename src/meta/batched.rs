//! Many tasks at once on a device: the nets of a group take each step together, as slices of the same tensors.
//!
//! ```text
//! a step of the group
//!   draw a batch for each net   on the host, from the streams that the kernel uses
//!   losses [B], gradients       one forward and one backward pass (baddbmm and friends) for all B nets
//!   signals, evaluations        only for the nets whose driver is due, and then one copy to the host
//!   verdicts, decisions         on the host: one Driver for each net, as in the kernel and beside a user's net
//!   snapshot, roll back         copies of rows
//!   optimizer                   one pass over [B, n_params]; what differs between nets is a column
//! ```
//!
//! The gradient of the summed losses with respect to the parameters of one net is that of its own loss, so one autograd
//! pass gives every net its gradient.
//!
//! **Groups.** Nets run together if they differ only in widths: same family, depth and kind of target, all with
//! conditioning or all without. Widths, batches
//! and classes are padded with zeros. A padded weight starts at zero, and its inputs and units stay zero (relu 0 = tanh
//! 0 = 0); so its gradient is zero, and none of our optimizers moves it. Only logits and the weights of examples need a
//! mask. The nets of one kind are sorted by size and cut into parts, so that there is little padding. Groups run one
//! after the other, so that only one has its tensors on the device.
//!
//! **The host.** A decision of a policy costs microseconds on the host, and the decisions of one step are spread over
//! the threads. All that they need comes in one copy. A step that is not finite is left out by a flag on the device. Where
//! runs have guards, the host looks at that flag after every step, because a guard rolls such a step back at once, as in
//! the kernel; without guards the device runs ahead between decisions.
//!
//! **The same as the kernel**, to rounding: batches come from the same streams, signals from the same sums, and the
//! optimizers follow the same formulas. A test compares trajectories. Libtorch adds up in its own order, so the bytes
//! differ from the kernel's; on a CPU they are the same from run to run with the same number of threads.

mod conditioning;
mod group;
mod lockstep;
mod net;
mod padding;
mod rows;
mod run;
mod stack;
mod state;

use super::rollout::Run;
use super::tasks::Task;
use crate::driver::Driver;
use crate::policy::Policy;
use lockstep::Lockstep;
use tch::{Device, TchError};

/// Engine that runs groups of nets in tch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Batched {
    pub device: Device,
    /// Number of threads for the work of the host: batches and decisions.
    pub n_threads: usize,
}

impl Batched {
    /// Makes all runs at once, each as [`rollout`](super::rollout()) does. Results are in the order of `runs`.
    ///
    /// Not for tasks that see their full batch at every step, which are those of line searches.
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
