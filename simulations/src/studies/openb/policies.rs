//! The published policies, each after its plugin in the artefact (`pkg/simulator/plugin`): scores are its integers, and
//! a plain kube-scheduler takes the highest.

use muster_placement::score::fragmentation::{Shape, WHOLE};

use super::cluster::{Node, kind};
use super::trace::{Pod, Trace};
use crate::dice::Dice;

/// A published policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Any node, any GPU.
    Random,
    /// GPUs in use before unused ones, used nodes before empty ones.
    Packing,
    /// Least left of CPU and GPUs together.
    BestFit,
    /// Least product of what is free and what is asked (Tetris, SIGCOMM 2014, turned round).
    DotProduct,
    /// Nodes with pods of the same kind first (Gandiva, OSDI 2018).
    Clustering,
    /// Least growth of fragmentation.
    Fgd,
}

/// Highest score of a plugin (`MaxNodeScore`).
const MAX: i64 = 100;

/// The largest node of the artefact: CPU in thousandths, GPUs in thousandths (`MaxSpecCpu`, `MaxSpecGpu`).
const LARGEST: (f64, f64) = (128_000.0, 8_000.0);

impl Published {
    /// Score of a node that takes the pod.
    pub fn score(self, trace: &Trace, node: &Node, pod: &Pod) -> i64 {
        match self {
            Published::Random => 0,
            Published::Packing => packing(node, pod),
            Published::BestFit => best_fit(node, pod),
            Published::DotProduct => dot_product(node, pod),
            Published::Clustering => clustering(node, pod),
            Published::Fgd => fgd(trace, node, pod).0,
        }
    }

    /// The GPU that a share goes to.
    pub fn device(self, trace: &Trace, node: &Node, pod: &Pod, dice: &mut Dice) -> Option<usize> {
        match self {
            Published::Random => {
                dice.pick(&node.sharable(pod.request.milli).collect::<Vec<_>>()).map(|(at, _)| *at)
            }
            Published::Fgd => fgd(trace, node, pod).1,
            Published::Packing | Published::BestFit | Published::DotProduct | Published::Clustering => {
                node.tightest(pod.request.milli)
            }
        }
    }
}

/// `gpu_packing_score.go`.
fn packing(node: &Node, pod: &Pod) -> i64 {
    let request = &pod.request;
    if request.gpus == 0 {
        return 0;
    }
    let unused = i64::from(node.shape.whole);
    if node.devices.iter().all(|left| *left == WHOLE) {
        return (MAX / 3 - unused).max(unused);
    }
    let mut lefts = node.devices.clone();
    lefts.sort_unstable();
    let taken = || lefts.iter().filter(|left| **left >= request.milli).take(request.gpus as usize);
    let opened = taken().filter(|left| **left == WHOLE).count();
    if opened > 0 {
        return (MAX / 2 - i64::try_from(opened).unwrap_or(MAX)).max(MAX / 3);
    }
    let left: i64 = taken().map(|left| i64::from(*left) * 100 / i64::from(WHOLE)).sum();
    (MAX - left / 10).max(MAX / 2)
}

#[expect(clippy::cast_precision_loss, reason = "thousandths of cores and GPUs")]
fn vectors(node: &Node, pod: &Pod) -> [(f64, f64); 2] {
    [
        (node.cpu_milli as f64 / LARGEST.0, pod.request.cpu_milli as f64 / LARGEST.0),
        (node.gpu_milli() as f64 / LARGEST.1, pod.request.gpu_milli() as f64 / LARGEST.1),
    ]
}

/// `int64(float64(MaxNodeScore) * score)`.
#[expect(clippy::cast_possible_truncation, reason = "as the artefact does")]
fn scaled(score: f64) -> i64 {
    (100.0 * score) as i64
}

/// `best_fit_score.go`; its normalisation keeps the order.
fn best_fit(node: &Node, pod: &Pod) -> i64 {
    scaled(1.0 - vectors(node, pod).iter().map(|(free, asked)| (free - asked) * 0.5).sum::<f64>())
}

/// `dot_product_score.go` with dimensions merged and normalised by the largest node, as its experiments set it.
fn dot_product(node: &Node, pod: &Pod) -> i64 {
    scaled(1.0 - vectors(node, pod).iter().map(|(free, asked)| free * asked).sum::<f64>() / 2.0)
}

/// `gpu_clustering_score.go`.
fn clustering(node: &Node, pod: &Pod) -> i64 {
    let Some(kind) = kind(pod) else { return 0 };
    let kinds = node.kinds.iter().filter(|count| **count > 0).count();
    let step = match (node.kinds[kind] > 0, kinds) {
        (true, 1) => 3,
        (true, _) => 2,
        (false, 0) => 1,
        (false, _) => 0,
    };
    let free = i64::try_from(node.gpu_milli()).unwrap_or(i64::MAX);
    MAX / 4 * (8_000 - free) / 8_000 + MAX * step / 4
}

/// `fgd_score.go`: score and the GPU of a share, the first of the best.
fn fgd(trace: &Trace, node: &Node, pod: &Pod) -> (i64, Option<usize>) {
    let request = &pod.request;
    let score = |after: &Shape| sigmoid(trace.workload.gradient(&node.shape, after));
    if !request.shares() {
        return (score(&node.shape.after(request, None)), None);
    }
    let scores =
        node.sharable(request.milli).map(|(at, left)| (score(&node.shape.after(request, Some(left))), at));
    let best = scores.reduce(|best, other| if other.0 > best.0 { other } else { best });
    best.map_or((0, None), |(score, at)| (score, Some(at)))
}

/// `trunc(100 · sigmoid(ΔF))` of a gradient in 10⁻⁹ GPU.
#[expect(clippy::cast_precision_loss, reason = "a node has far fewer than 2⁵³ of 10⁻⁹ GPU")]
fn sigmoid(gradient: i64) -> i64 {
    scaled(1.0 / (1.0 + (-(gradient as f64) / 1e9).exp()))
}
