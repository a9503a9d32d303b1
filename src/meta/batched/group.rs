//! Which nets run together.

use crate::dqn::Judge;
use crate::driver::Driver;
use crate::meta::architecture::Architecture;
use crate::meta::mlp::Target;
use crate::meta::tasks::{Problem, Task};
use crate::policy::Policy;
use std::collections::BTreeMap;
use tch::Device;

/// What all nets of a group have in common. Anything else is padded, or stands in a column with one value for each net.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub net: NetKind,
    pub judge: Judge,
    /// Whether changes of weight matrices are orthogonalized, which the other nets are spared.
    pub is_conditioned: bool,
    pub reports_validation: bool,
}

/// Kind of problem that is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NetKind {
    Quadratic,
    Net { architecture: Architecture, classifies: bool },
}

/// A run: its place among all runs, its task, and its driver.
pub(super) type Member<P> = (usize, Task, Driver<P>);

/// Tasks that run together.
pub(super) struct Group<P: Policy> {
    pub kind: Kind,
    pub members: Vec<Member<P>>,
}

/// Smallest number of nets in a part that a kind is cut into.
///
/// A pass over a group costs the same number of kernel launches however few nets it has: about a hundred of some 5 µs
/// each on a GPU. The arithmetic of a few thousand small nets takes as long. On a CPU a call costs about as much as the
/// arithmetic of some tens of nets.
pub(super) fn smallest_part(device: Device) -> usize {
    if device.is_cuda() { 4096 } else { 64 }
}

impl Kind {
    fn of(task: &Task) -> Self {
        let net = match &task.problem {
            Problem::Quadratic { .. } => NetKind::Quadratic,
            Problem::Net(p) => {
                NetKind::Net { architecture: p.net.architecture(), classifies: matches!(p.target, Target::Classes(_)) }
            }
        };
        let is_conditioned = task.degree > 0.0 && net != NetKind::Quadratic;
        Self { net, judge: task.judge, is_conditioned, reports_validation: task.reports_validation }
    }
}

/// Sorts runs into kinds, each kind by size, and cuts each kind into as many even parts of at least `smallest` runs as
/// possible.
pub(super) fn groups<P: Policy>(members: Vec<Member<P>>, smallest: usize) -> Vec<Group<P>> {
    let mut kinds: BTreeMap<Kind, Vec<Member<P>>> = BTreeMap::new();
    for member in members {
        kinds.entry(Kind::of(&member.1)).or_default().push(member);
    }
    let mut groups = Vec::new();
    for (kind, mut rest) in kinds {
        rest.sort_by_key(|(_, task, _)| task.problem.n_params());
        let n_parts = (rest.len() / smallest).max(1);
        for left in (1..=n_parts).rev() {
            let tail = rest.split_off(rest.len().div_ceil(left));
            groups.push(Group { kind, members: std::mem::replace(&mut rest, tail) });
        }
    }
    groups
}
