//! kube-scheduler alone: pod by pod, in order of age, on the node with most or least left, ties at random.
//!
//! Source: `NodeResourcesFit` of kube-scheduler 1.35 with `LeastAllocated` (its default) or `MostAllocated`; CPU and
//! memory are taken to be asked for in proportion to GPUs. Knows no gangs: a pod that has a place keeps it and waits
//! there for the others. Back-off and sampling are left out, in its favour.

use super::{Floor, Hold, Policy};
use crate::dice::{Concern, Dice};

/// Which node is scored best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// The one with most left.
    Least,
    /// The one with least left.
    Most,
}

impl Fill {
    /// A node for a pod of so many GPUs, and how many are free there: `by_free` counts the nodes by that.
    pub(crate) fn choose(
        self,
        free: &[u64],
        by_free: &[usize],
        each: u64,
        ties: &mut Dice,
    ) -> Option<(usize, usize)> {
        let from = usize::try_from(each).unwrap_or(usize::MAX);
        let mut fitting = by_free.iter().enumerate().skip(from).filter(|(_, nodes)| **nodes > 0);
        let (left, nodes) = match self {
            Fill::Least => fitting.next_back()?,
            Fill::Most => fitting.next()?,
        };
        let skip = usize::try_from(ties.below(*nodes as u64)).unwrap_or(0);
        let equal = |(_, free): &(usize, &u64)| usize::try_from(**free) == Ok(left);
        free.iter().enumerate().filter(equal).nth(skip).map(|(at, _)| (at, left))
    }

    /// A node for a pod of so many GPUs as the floor is now.
    pub(crate) fn node(self, floor: &Floor, each: u64, ties: &mut Dice) -> Option<usize> {
        self.choose(floor.free(), floor.by_free(), each, ties).map(|(at, _)| at)
    }
}

/// kube-scheduler without gangs.
pub(crate) struct KubeScheduler {
    fill: Fill,
    ties: Dice,
}

impl KubeScheduler {
    pub(crate) fn new(fill: Fill, seed: u64) -> KubeScheduler {
        KubeScheduler { fill, ties: Dice::new(seed, Concern::Ties) }
    }

    fn try_pods(&mut self, floor: &mut Floor, job: usize) {
        let each = floor.work(job).each;
        for pod in 0..floor.work(job).pods {
            if floor.lot(job).places[pod].is_some() {
                continue;
            }
            let Some(node) = self.fill.node(floor, each, &mut self.ties) else { return };
            floor.take(job, pod, node, Hold::Bound);
        }
    }
}

impl Policy for KubeScheduler {
    fn submitted(&mut self, floor: &mut Floor, job: usize) {
        self.try_pods(floor, job);
    }

    fn pod_ended(&mut self, floor: &mut Floor, _job: usize, _pod: usize) {
        let waiting: Vec<usize> = floor.waiting().iter().copied().collect();
        for job in waiting {
            self.try_pods(floor, job);
        }
    }

    fn whole_gangs(&self) -> bool {
        false
    }
}
