//! A model of kube-scheduler with Muster as extender: one pod at a time, the in-tree filters, a sample of the
//! nodes, the extender, scores, a **random** choice among equals, an assumed pod, and a bind that waits beside
//! the next cycles.
//!
//! Numbers are upstream's: sample size from `numFeasibleNodesToFind`, back-off 1 s doubling to 10 s, pods without
//! a node tried again after 5 minutes at the latest. Preemption is off, as in our scheduler configuration.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use muster_placement::FilterAnswer;
use muster_placement::ids::{AskId, Epoch, Name, NodeName, PodUid};
use muster_placement::node::Node;
use muster_placement::pod::{Gate, Pod, PodPhase};
use muster_placement::resources::Resources;
use muster_placement::selector::has_labels;
use muster_placement::taint::untolerated;
use muster_placement::time::{Span, Time};
use muster_placement::{MARK, Refusal};

use super::controllers::gang_of;
use super::{Happening, Muster, World};
use crate::dice::Dice;

const BACKOFF_FIRST: u64 = 1_000;
const BACKOFF_LONGEST: u64 = 10_000;
/// `podMaxInUnschedulablePodsDuration`.
const UNSCHEDULABLE_LONGEST: Span = Span(300_000);
/// `httpTimeout` of the extender entry that binds, in deploy/scheduler-config.yaml.
const BIND_PATIENCE: Span = Span(30_000);
/// Weight of the extender entry that scores there, times the 10 that its range is stretched by.
const EXTENDER_WEIGHT: u64 = 15 * 10;

/// What of a pod, when it changes, may make it schedulable.
type Seen = (Gate, Option<Epoch>);

/// The scheduler's own state. Bound pods are those of the API server; assumed ones are its own.
#[derive(Debug)]
pub(crate) struct KubeScheduler {
    ties: Dice,
    /// Highest priority first, then the longest in the queue.
    active: BTreeSet<(Reverse<i32>, Time, PodUid)>,
    /// Pods that failed, and when their back-off is over.
    failed: BTreeMap<PodUid, Failed>,
    seen: BTreeMap<PodUid, Seen>,
    /// Pods bound or assumed, with what they take there.
    charged: BTreeMap<PodUid, (NodeName, Resources)>,
    used: BTreeMap<NodeName, Resources>,
    asks: BTreeMap<AskId, PodUid>,
    next_ask: u64,
    /// Where the search for feasible nodes goes on.
    start: usize,
    cycling: bool,
}

#[derive(Debug)]
struct Failed {
    attempts: u32,
    /// When its back-off is over.
    backoff: Time,
    /// When it is tried again without an event: after its back-off, or after its longest stay among the
    /// unschedulable.
    wakes: Time,
}

impl KubeScheduler {
    pub(crate) fn new(ties: Dice) -> KubeScheduler {
        KubeScheduler {
            ties,
            active: BTreeSet::new(),
            failed: BTreeMap::new(),
            seen: BTreeMap::new(),
            charged: BTreeMap::new(),
            used: BTreeMap::new(),
            asks: BTreeMap::new(),
            next_ask: 0,
            start: 0,
            cycling: false,
        }
    }

    fn charge(&mut self, pod: &Pod, node: &NodeName) {
        self.discharge(&pod.uid);
        self.charged.insert(pod.uid.clone(), (node.clone(), pod.request));
        let used = self.used.entry(node.clone()).or_default();
        *used = used.plus(pod.request);
    }

    fn discharge(&mut self, uid: &PodUid) -> bool {
        let Some((node, request)) = self.charged.remove(uid) else { return false };
        if let Some(used) = self.used.get_mut(&node) {
            *used = used.minus(request);
        }
        true
    }

    fn forget(&mut self, uid: &PodUid) {
        self.active.retain(|(.., pod)| pod != uid);
        self.failed.remove(uid);
        self.seen.remove(uid);
    }

    /// The in-tree filters that our pods meet: fit, taints, cordon, node selector, node affinity.
    fn admits(&self, node: &Node, pod: &Pod) -> bool {
        let c = &pod.constraints;
        let free = node.allocatable.minus(self.used.get(&node.name).copied().unwrap_or_default());
        let required = c.required.as_ref();
        pod.request.short_of(&free).is_none()
            && !node.cordoned
            && untolerated(&node.taints, &c.tolerations).is_none()
            && has_labels(&c.node_selector, &node.labels)
            && required.is_none_or(|terms| terms.iter().any(|t| t.admits(&node.name, &node.labels)))
    }

    /// What the default plugins say of a node that our pods meet: `LeastAllocated` and `BalancedAllocation` over CPU
    /// and memory, 0 to 100 each.
    fn in_tree_score(&self, node: &Node, pod: &Pod) -> u64 {
        let used = self.used.get(&node.name).copied().unwrap_or_default().plus(pod.request);
        let share = |used: u64, all: u64| used.min(all).saturating_mul(100).checked_div(all).unwrap_or(100);
        let cpu = share(used.cpu_milli, node.allocatable.cpu_milli);
        let memory = share(used.memory, node.allocatable.memory);
        let least = 100 - u64::midpoint(cpu, memory);
        // The standard deviation of two shares is half of their distance.
        let balanced = 100 - cpu.abs_diff(memory) / 2;
        least + balanced
    }
}

/// `numFeasibleNodesToFind` with `percentageOfNodesToScore: 0`, the default.
fn sample_size(nodes: usize) -> usize {
    if nodes < 100 {
        return nodes;
    }
    let percent = 50_usize.saturating_sub(nodes / 125).max(5);
    (nodes * percent / 100).max(100)
}

impl World {
    /// A change of a pod has come through kube-scheduler's own watch.
    pub(crate) fn scheduler_sees(&mut self, uid: &PodUid) {
        let Some(pod) = self.pods.get(uid).cloned() else {
            self.scheduler.forget(uid);
            if self.scheduler.discharge(uid) {
                self.wake_all();
            }
            return;
        };
        if !pod.alive() {
            self.scheduler.forget(uid);
            if self.scheduler.discharge(uid) {
                self.wake_all();
            }
        } else if let Some(node) = &pod.node {
            self.scheduler.forget(uid);
            self.scheduler.charge(&pod, node);
            if let Some(gang) = gang_of(&pod) {
                self.look_whether_whole(&gang);
            }
        } else if pod.gate == Gate::Open {
            let seen = (pod.gate, pod.stamp.as_ref().map(|stamp| stamp.epoch));
            let changed = self.scheduler.seen.insert(uid.clone(), seen) != Some(seen);
            // Its own words in the status do not wake a pod.
            if changed && !self.scheduler.charged.contains_key(uid) {
                self.requeue(&pod);
            }
        }
    }

    /// Into the active queue, or there when its back-off is over.
    fn requeue(&mut self, pod: &Pod) {
        if let Some(failed) = self.scheduler.failed.get_mut(&pod.uid) {
            failed.wakes = failed.backoff;
            if failed.backoff > self.now {
                self.agenda.add(failed.backoff, Happening::Wake(pod.uid.clone()));
                return;
            }
        }
        self.scheduler.active.insert((Reverse(pod.priority), self.now, pod.uid.clone()));
        self.next_cycle();
    }

    fn next_cycle(&mut self) {
        if !self.scheduler.cycling && !self.scheduler.active.is_empty() {
            self.scheduler.cycling = true;
            let span = self.network.span(2, 6);
            self.after(span, Happening::Cycle);
        }
    }

    /// The end of a back-off, or of the longest stay among the unschedulable.
    pub(crate) fn wake(&mut self, uid: &PodUid) {
        let waits = self.pods.get(uid).filter(|pod| pod.node.is_none() && pod.gate == Gate::Open).cloned();
        let Some(pod) = waits.filter(|_| !self.scheduler.charged.contains_key(uid)) else { return };
        let queued = self.scheduler.active.iter().any(|(.., other)| other == uid);
        if !queued && self.scheduler.failed.get(uid).is_some_and(|failed| failed.wakes <= self.now) {
            self.scheduler.active.insert((Reverse(pod.priority), self.now, uid.clone()));
            self.next_cycle();
        }
    }

    /// Something happened that may make any pod schedulable: room, or a node that changed.
    pub(crate) fn wake_all(&mut self) {
        let waiting: Vec<PodUid> = self
            .scheduler
            .failed
            .iter()
            .filter(|(_, failed)| failed.wakes > failed.backoff)
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in waiting {
            if let Some(pod) = self.pods.get(&uid).cloned() {
                self.requeue(&pod);
            }
        }
    }

    /// One scheduling cycle.
    pub(crate) fn cycle(&mut self, muster: &mut dyn Muster) {
        self.scheduler.cycling = false;
        let Some((.., uid)) = self.scheduler.active.pop_first() else { return };
        let waits = |pod: &&Pod| pod.node.is_none() && pod.phase == PodPhase::Pending && !pod.terminating;
        if let Some(pod) = self.pods.get(&uid).filter(waits).cloned() {
            match self.choose(&pod, muster) {
                Ok(node) => self.assume(&pod, node, muster),
                Err(verdict) => self.fail(&pod, Some(verdict)),
            }
        }
        self.next_cycle();
    }

    /// The node for a pod, or the words of its condition.
    fn choose(&mut self, pod: &Pod, muster: &mut dyn Muster) -> Result<NodeName, String> {
        let here = self.machines.values().filter(|machine| machine.present);
        let all: Vec<&Node> = here.map(|machine| &machine.node).collect();
        let wanted = sample_size(all.len());
        let mut feasible = Vec::new();
        let mut looked = 0;
        for node in all.iter().cycle().skip(self.scheduler.start).take(all.len()) {
            looked += 1;
            if self.scheduler.admits(node, pod) {
                feasible.push(*node);
            }
            if feasible.len() >= wanted {
                break;
            }
        }
        let start = (self.scheduler.start + looked) % all.len().max(1);
        if feasible.is_empty() {
            return Err(format!("0/{} nodes are available", all.len()));
        }
        let view = muster.view();
        let names: Vec<&str> = feasible.iter().map(|node| node.name.as_str()).collect();
        self.tally.filtered += 1;
        let passed: Vec<usize> = match view.filter(pod, &names) {
            FilterAnswer::All => (0..names.len()).collect(),
            FilterAnswer::These(positions) => positions,
            FilterAnswer::Each(verdicts) => {
                (0..names.len()).filter(|at| matches!(verdicts.get(*at), Some(Ok(())))).collect()
            }
            FilterAnswer::None(refusal, gang) => return Err(refusal.message(gang.as_ref())),
        };
        if passed.is_empty() {
            return Err(format!("{MARK}no node has room"));
        }
        let left: Vec<&str> = passed.iter().filter_map(|at| names.get(*at).copied()).collect();
        let scores = view.prioritize(pod, &left);
        let total = |(at, score): (&usize, &u8)| {
            let own = feasible.get(*at).map_or(0, |node| self.scheduler.in_tree_score(node, pod));
            (own + u64::from(*score) * EXTENDER_WEIGHT, *at)
        };
        let totals: Vec<(u64, usize)> = passed.iter().zip(&scores).map(total).collect();
        let best = totals.iter().map(|(score, _)| *score).max();
        let equals: Vec<usize> =
            totals.iter().filter(|(score, _)| Some(*score) == best).map(|(_, at)| *at).collect();
        let chosen =
            self.scheduler.ties.pick(&equals).and_then(|at| feasible.get(*at)).map(|node| node.name.clone());
        self.scheduler.start = start;
        chosen.ok_or_else(|| "no node was chosen".to_owned())
    }

    fn assume(&mut self, pod: &Pod, node: NodeName, muster: &mut dyn Muster) {
        self.scheduler.charge(pod, &node);
        self.scheduler.next_ask += 1;
        let ask = AskId(self.scheduler.next_ask);
        self.scheduler.asks.insert(ask, pod.uid.clone());
        self.after(BIND_PATIENCE, Happening::Impatience(ask));
        muster.ask_bind(ask, pod.uid.clone(), node);
    }

    /// A bind was answered.
    pub(crate) fn bind_answered(&mut self, ask: AskId, answer: &Result<(), Refusal>) {
        let Some(uid) = self.scheduler.asks.remove(&ask) else { return };
        match answer {
            Ok(()) => drop(self.scheduler.failed.remove(&uid)),
            Err(_) => self.bind_failed(&uid),
        }
    }

    fn bind_failed(&mut self, uid: &PodUid) {
        self.tally.binds_refused += 1;
        // A pod that was bound after all stays charged: its own watch will say so.
        let Some(pod) = self.pods.get(uid).filter(|pod| pod.node.is_none()).cloned() else { return };
        self.scheduler.discharge(uid);
        self.fail(&pod, None);
        self.wake_all();
    }

    /// kube-scheduler hangs up.
    pub(crate) fn lose_patience(&mut self, ask: AskId, muster: &mut dyn Muster) {
        let Some(uid) = self.scheduler.asks.remove(&ask) else { return };
        muster.hang_up(ask);
        self.bind_failed(&uid);
    }

    /// kube-scheduler is killed and starts again from what the API server has.
    pub(crate) fn restart_scheduler(&mut self, muster: &mut dyn Muster) {
        self.disturbed = self.now;
        for ask in std::mem::take(&mut self.scheduler.asks).into_keys() {
            muster.hang_up(ask);
        }
        let next_ask = self.scheduler.next_ask;
        let cycling = self.scheduler.cycling;
        self.scheduler =
            KubeScheduler { next_ask, cycling, ..KubeScheduler::new(self.scheduler.ties.clone()) };
        let all: Vec<PodUid> = self.pods.keys().cloned().collect();
        for uid in all {
            self.scheduler_sees(&uid);
        }
    }

    /// The process at the other end of every request died.
    pub(crate) fn scheduler_lost_muster(&mut self) {
        let asked: Vec<PodUid> = std::mem::take(&mut self.scheduler.asks).into_values().collect();
        for uid in asked {
            self.bind_failed(&uid);
        }
    }

    /// A pod failed: into back-off (an error) or among the unschedulable (a verdict, which its status says).
    fn fail(&mut self, pod: &Pod, verdict: Option<String>) {
        let attempts = self.scheduler.failed.get(&pod.uid).map_or(0, |failed| failed.attempts) + 1;
        let backoff = BACKOFF_FIRST.checked_shl(attempts - 1).unwrap_or(BACKOFF_LONGEST).min(BACKOFF_LONGEST);
        let backoff = self.now.after(Span(backoff));
        let wakes = if verdict.is_some() { self.now.after(UNSCHEDULABLE_LONGEST) } else { backoff };
        self.scheduler.failed.insert(pod.uid.clone(), Failed { attempts, backoff, wakes });
        self.agenda.add(wakes, Happening::Wake(pod.uid.clone()));
        let words = verdict.map(|words| Name::from(words.as_str()));
        if let Some(words) = words.filter(|words| pod.verdict.as_ref() != Some(words)) {
            self.put(Pod { verdict: Some(words), ..pod.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_upstreams() {
        // The comments of `numFeasibleNodesToFind`: at least 100, 10 % of 5,000, never under 5 %.
        assert_eq!([1, 99, 100, 1_000, 5_000, 10_000].map(sample_size), [1, 99, 100, 420, 500, 500]);
    }
}
