//! One run: pods arrive one by one, each is tried once, none leaves.
//!
//! Scores are kept for each class of pods and taken again only of nodes that changed, so a run costs what changes.

use std::collections::BTreeMap;

use super::arrivals::arrivals;
use super::cluster::{Cluster, Node};
use super::trace::{Pod, Trace};

/// A way to choose a node.
pub trait Policy {
    /// What nodes are compared by.
    type Score: Copy;
    /// Score of a node that takes the pod.
    fn score(&self, at: usize, node: &Node, pod: &Pod) -> Self::Score;
    /// The node of these scores; nodes without one do not take the pod.
    fn choose(&mut self, scores: &[Option<Self::Score>]) -> Option<usize>;
    /// The GPU of that node that a share goes to.
    fn device(&mut self, at: usize, node: &Node, pod: &Pod) -> Option<usize>;
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Allocated GPUs in percent of all, by demand arrived in whole percent: the mean over all arrivals that round
    /// to it.
    pub allocated: Vec<(f64, f64)>,
    /// `F` in percent of all GPUs at the end.
    pub fragmented_pct: f64,
    /// Pods that asked for eight GPUs and got none, in percent of those that came.
    pub failed_pct_8gpu: f64,
    /// The node of each pod, in order of arrival.
    pub places: Vec<Option<usize>>,
}

impl Outcome {
    /// Allocated GPUs in percent when so much demand has arrived.
    pub fn allocated_at(&self, demand_pct: u32) -> f64 {
        let found = self.allocated.iter().find(|(at, _)| (at - f64::from(demand_pct)).abs() < 0.5);
        found.map_or(f64::NAN, |(_, allocated)| *allocated)
    }
}

/// Scores of one class of pods.
struct Board<S> {
    scores: Vec<Option<S>>,
    /// How much of the log of changes they know.
    known: usize,
}

/// Runs the first so many arrivals of a seed, or all of them.
pub fn replay<P: Policy>(trace: &Trace, seed: u64, policy: &mut P, most: usize) -> Outcome {
    let mut cluster = Cluster::new(trace);
    let mut boards: BTreeMap<Pod, Board<P::Score>> = BTreeMap::new();
    let mut changed: Vec<usize> = Vec::new();
    let mut curve = Curve::new(trace.capacity_milli());
    let (mut places, mut eights) = (Vec::new(), [0u64; 2]);
    for pod in arrivals(trace, seed).iter().take(most) {
        let score = |at: usize, node: &Node| node.takes(pod).then(|| policy.score(at, node, pod));
        let board = boards.entry(*pod).or_insert_with(|| Board {
            scores: cluster.nodes.iter().enumerate().map(|(at, node)| score(at, node)).collect(),
            known: changed.len(),
        });
        for at in &changed[board.known..] {
            board.scores[*at] = score(*at, &cluster.nodes[*at]);
        }
        board.known = changed.len();
        let place = policy.choose(&board.scores);
        if let Some(at) = place {
            let device = if pod.request.shares() { policy.device(at, &cluster.nodes[at], pod) } else { None };
            cluster.place(at, pod, device);
            changed.push(at);
        }
        if pod.request.gpus == 8 {
            eights[usize::from(place.is_some())] += 1;
        }
        places.push(place);
        curve.arrived(pod, cluster.used_milli);
    }
    Outcome {
        allocated: curve.points(),
        fragmented_pct: percent(cluster.fragmented(), trace.capacity_milli() * 1_000_000),
        failed_pct_8gpu: percent(eights[0], eights[0] + eights[1]),
        places,
    }
}

/// Allocation by demand.
struct Curve {
    capacity: u64,
    asked: u64,
    /// Sum of what was allocated, and arrivals, by demand in percent.
    sums: BTreeMap<u64, (u64, u64)>,
}

impl Curve {
    fn new(capacity: u64) -> Curve {
        Curve { capacity, asked: 0, sums: BTreeMap::new() }
    }

    fn arrived(&mut self, pod: &Pod, used: u64) {
        self.asked += pod.request.gpu_milli();
        let demand = (self.asked * 100 + self.capacity / 2) / self.capacity;
        let (sum, count) = self.sums.entry(demand).or_default();
        *sum += used;
        *count += 1;
    }

    #[expect(clippy::cast_precision_loss, reason = "percent")]
    fn points(&self) -> Vec<(f64, f64)> {
        let point =
            |(at, (sum, count)): (&u64, &(u64, u64))| (*at as f64, percent(*sum, self.capacity * count));
        self.sums.iter().map(point).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "percent")]
fn percent(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 * 100.0 / of as f64 }
}
