//! What kube-scheduler makes of scores: the highest wins, and among equals chance, or in the artefact the smallest
//! name after names were shuffled once.

use muster_placement::score::order::{self, Size, Worth};

use super::cluster::Node;
use super::policies::Published;
use super::replay::Policy;
use super::trace::{Pod, Trace};
use crate::dice::{Concern, Dice};

/// How kube-scheduler chooses among the highest scores.
#[derive(Clone, Debug)]
pub enum Ties {
    /// Any of them: upstream's `selectHost`.
    Random(Dice),
    /// The first in an order drawn once: the artefact's vendored kube-scheduler.
    Drawn(Vec<usize>),
}

impl Ties {
    /// Upstream's rule.
    pub fn random(seed: u64) -> Ties {
        Ties::Random(Dice::new(seed, Concern::Ties))
    }

    /// The artefact's rule.
    pub fn drawn(seed: u64, nodes: usize) -> Ties {
        let mut order: Vec<usize> = (0..nodes).collect();
        Dice::new(seed, Concern::Ties).shuffle(&mut order);
        Ties::Drawn(order)
    }

    fn choose<S: Copy + Ord>(&mut self, scores: &[Option<S>]) -> Option<usize> {
        let best = scores.iter().copied().flatten().max()?;
        let equal = scores.iter().enumerate().filter(|(_, score)| **score == Some(best)).map(|(at, _)| at);
        match self {
            Ties::Random(dice) => dice.pick(&equal.collect::<Vec<_>>()).copied(),
            Ties::Drawn(order) => equal.min_by_key(|at| order.get(*at).copied()),
        }
    }
}

/// A published policy under a kube-scheduler.
#[derive(Clone, Debug)]
pub struct Baseline<'t> {
    /// The trace.
    pub trace: &'t Trace,
    /// The policy.
    pub policy: Published,
    /// Its kube-scheduler.
    pub ties: Ties,
    /// For GPUs that are drawn.
    pub dice: Dice,
}

impl Policy for Baseline<'_> {
    type Score = i64;

    fn score(&self, _: usize, node: &Node, pod: &Pod) -> i64 {
        self.policy.score(self.trace, node, pod)
    }

    fn choose(&mut self, scores: &[Option<i64>]) -> Option<usize> {
        self.ties.choose(scores)
    }

    fn device(&mut self, _: usize, node: &Node, pod: &Pod) -> Option<usize> {
        self.policy.device(self.trace, node, pod, &mut self.dice)
    }
}

/// Our order, through integers from 0 to 10 and upstream's ties.
#[derive(Clone, Debug)]
pub struct Ours<'t> {
    /// The trace.
    pub trace: &'t Trace,
    /// kube-scheduler.
    pub ties: Ties,
}

impl Ours<'_> {
    fn best(&self, at: usize, node: &Node, pod: &Pod) -> Option<(Worth, Option<u32>)> {
        let size = self
            .trace
            .machines
            .get(at)
            .map_or(Size::default(), |machine| Size { gpus: machine.gpus, cpu_milli: machine.cpu_milli });
        order::best(&self.trace.workload, size, &node.shape, &pod.request)
    }
}

impl Policy for Ours<'_> {
    type Score = Option<Worth>;

    fn score(&self, at: usize, node: &Node, pod: &Pod) -> Option<Worth> {
        self.best(at, node, pod).map(|(worth, _)| worth)
    }

    fn choose(&mut self, worths: &[Option<Option<Worth>>]) -> Option<usize> {
        let worths: Vec<Option<Worth>> = worths.iter().map(|worth| worth.flatten()).collect();
        let scores = order::scores(&worths);
        let offered = worths.iter().zip(scores).map(|(worth, score)| worth.map(|_| score));
        self.ties.choose(&offered.collect::<Vec<_>>())
    }

    fn device(&mut self, at: usize, node: &Node, pod: &Pod) -> Option<usize> {
        let left = self.best(at, node, pod)?.1?;
        node.devices.iter().position(|other| *other == left)
    }
}
