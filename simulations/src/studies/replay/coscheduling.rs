//! The coscheduling plugin of kubernetes-sigs/scheduler-plugins beside kube-scheduler.
//!
//! As its code has it: gangs in order of age, pod by pod; a pod that has a node waits at `Permit` for the rest. If a
//! pod fits nowhere, `PostFilter` takes all of its gang back, unless at most a tenth of the gang is missing: those
//! keep what they have until `permitWaitingTimeSeconds` (60 by default) are over, and try again after kube-scheduler's
//! longest back-off (10 s). kube-scheduler's share is [`Fill`].

use std::collections::BTreeMap;

use muster_placement::time::{Span, Time};

use super::{Fill, Floor, Hold, Policy};
use crate::dice::{Concern, Dice};

const PERMIT_WAIT: Span = Span(60_000);
const BACK_OFF: Span = Span(10_000);

/// Coscheduling.
pub(crate) struct Coscheduling {
    fill: Fill,
    ties: Dice,
    /// Gangs of which most members wait at `Permit`, and until when.
    permits: BTreeMap<usize, Time>,
    /// Gangs whose time was up, and when they try again.
    back_off: BTreeMap<usize, Time>,
}

impl Coscheduling {
    pub(crate) fn new(fill: Fill, seed: u64) -> Coscheduling {
        let ties = Dice::new(seed, Concern::Ties);
        Coscheduling { fill, ties, permits: BTreeMap::new(), back_off: BTreeMap::new() }
    }

    fn try_gang(&mut self, floor: &mut Floor, job: usize) {
        let (each, pods) = (floor.work(job).each, floor.work(job).pods);
        for pod in 0..pods {
            if floor.lot(job).places[pod].is_some() {
                continue;
            }
            let Some(node) = self.fill.node(floor, each, &mut self.ties) else { break };
            floor.take(job, pod, node, Hold::Reserved);
        }
        let missing = pods - floor.lot(job).taken;
        if missing == 0 {
            self.permits.remove(&job);
        } else if missing * 10 > pods {
            self.take_back(floor, job);
        } else if floor.lot(job).taken > 0 {
            self.permits.entry(job).or_insert(floor.now.after(PERMIT_WAIT));
        }
    }

    fn take_back(&mut self, floor: &mut Floor, job: usize) {
        self.permits.remove(&job);
        for pod in 0..floor.work(job).pods {
            floor.give_back(job, pod);
        }
    }

    fn try_all(&mut self, floor: &mut Floor) {
        let waiting: Vec<usize> = floor.waiting().iter().copied().collect();
        for job in waiting {
            if !self.back_off.contains_key(&job) {
                self.try_gang(floor, job);
            }
        }
    }
}

impl Policy for Coscheduling {
    fn submitted(&mut self, floor: &mut Floor, job: usize) {
        self.try_gang(floor, job);
    }

    fn pod_ended(&mut self, floor: &mut Floor, _job: usize, _pod: usize) {
        self.try_all(floor);
    }

    fn next(&self) -> Option<Time> {
        self.permits.values().chain(self.back_off.values()).min().copied()
    }

    fn woken(&mut self, floor: &mut Floor) {
        let now = floor.now;
        let late: Vec<usize> =
            self.permits.iter().filter(|(_, at)| **at <= now).map(|(job, _)| *job).collect();
        for job in late {
            self.take_back(floor, job);
            self.back_off.insert(job, now.after(BACK_OFF));
        }
        self.back_off.retain(|_, at| *at > now);
        self.try_all(floor);
    }

    fn whole_gangs(&self) -> bool {
        false
    }
}
