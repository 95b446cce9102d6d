//! What is free while pods arrive, GPU by GPU.

use muster_placement::score::fragmentation::{Shape, WHOLE};

use super::trace::{Models, Pod, Trace, admitted};

/// A node with what is left of it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Free CPU in thousandths of a core.
    pub cpu_milli: u64,
    /// Free memory in MiB.
    pub memory_mib: u64,
    /// Thousandths left of each GPU.
    pub devices: Vec<u32>,
    /// How many pods of each kind are here: [`kind`].
    pub kinds: [u32; KINDS],
    /// The same, as fragmentation sees it.
    pub shape: Shape,
    model: Models,
}

/// Kinds of pods that ask for GPUs.
const KINDS: usize = 10;

/// What a pod wants of GPUs, as the artefact tags it: nothing, a share (0), or one to nine whole ones.
pub fn kind(pod: &Pod) -> Option<usize> {
    match pod.request.gpus {
        0 => None,
        1 if pod.request.shares() => Some(0),
        gpus => Some((gpus as usize).min(KINDS - 1)),
    }
}

impl Node {
    /// Thousandths of GPUs that are free.
    pub fn gpu_milli(&self) -> u64 {
        self.devices.iter().map(|left| u64::from(*left)).sum()
    }

    /// Whether the pod may and can go here.
    pub fn takes(&self, pod: &Pod) -> bool {
        pod.memory_mib <= self.memory_mib
            && (pod.request.gpus == 0 || admitted(pod.models, self.model))
            && self.shape.fits(&pod.request)
    }

    /// GPUs by position that have enough left for a share.
    pub fn sharable(&self, milli: u32) -> impl Iterator<Item = (usize, u32)> {
        self.devices.iter().copied().enumerate().filter(move |(_, left)| *left >= milli)
    }

    /// The tightest GPU for a share; of equals the first.
    pub fn tightest(&self, milli: u32) -> Option<usize> {
        self.sharable(milli).min_by_key(|(at, left)| (*left, *at)).map(|(at, _)| at)
    }
}

/// All nodes.
#[derive(Clone, Debug)]
pub struct Cluster<'t> {
    /// The trace.
    pub trace: &'t Trace,
    /// Nodes, in the order of the trace.
    pub nodes: Vec<Node>,
    /// Thousandths of GPUs in use.
    pub used_milli: u64,
}

impl<'t> Cluster<'t> {
    /// An empty cluster.
    pub fn new(trace: &'t Trace) -> Cluster<'t> {
        let nodes = trace.machines.iter().map(|machine| {
            let devices = vec![WHOLE; machine.gpus as usize];
            Node {
                cpu_milli: machine.cpu_milli,
                memory_mib: machine.memory_mib,
                shape: trace.shape(machine.model, &devices, machine.cpu_milli),
                devices,
                kinds: [0; KINDS],
                model: machine.model,
            }
        });
        Cluster { trace, nodes: nodes.collect(), used_milli: 0 }
    }

    /// Puts a pod on a node; a share goes to this GPU, whole ones are the first unused ones.
    pub fn place(&mut self, at: usize, pod: &Pod, device: Option<usize>) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        node.cpu_milli -= pod.request.cpu_milli;
        node.memory_mib -= pod.memory_mib;
        if let Some(kind) = kind(pod) {
            node.kinds[kind] += 1;
        }
        if pod.request.shares() {
            if let Some(left) = device.and_then(|device| node.devices.get_mut(device)) {
                *left -= pod.request.milli;
            }
        } else {
            let unused = node.devices.iter_mut().filter(|left| **left == WHOLE);
            unused.take(pod.request.gpus as usize).for_each(|left| *left = 0);
        }
        node.shape = self.trace.shape(node.model, &node.devices, node.cpu_milli);
        self.used_milli += pod.request.gpu_milli();
    }

    /// `F` of all nodes in 10⁻⁹ GPU.
    pub fn fragmented(&self) -> u64 {
        self.nodes.iter().map(|node| self.trace.workload.fragmented(&node.shape)).sum()
    }
}
