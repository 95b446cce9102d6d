//! Levels of a cluster's topology (zone, block, rack, NVLink clique, …) and what a pod wishes of them.
//!
//! A level is a node label; nodes with one value of it, inside one domain of the next wider level, are a domain. The
//! host is the innermost level and always there. Which nodes form which domain is [`crate::fleet`]'s.

use alloc::vec::Vec;

use crate::ids::Name;

/// A level of the topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// What people call it.
    pub name: Name,
    /// The node label that names the domain.
    pub key: Name,
}

/// Name of the innermost level.
pub const HOST: &str = "host";
/// The label by which Kubernetes names hosts; another name for the innermost level.
pub const HOST_KEY: &str = "kubernetes.io/hostname";

/// Labels that clusters carry already, from the widest level to the narrowest: Kubernetes; topograph (tiers count
/// from the node outwards) and its older names; Google Cloud, AWS and the example of Kueue; the NVLink domain.
const WELL_KNOWN: [(&str, &str); 24] = [
    ("region", "topology.kubernetes.io/region"),
    ("zone", "topology.kubernetes.io/zone"),
    ("tier-4", "fabric.topograph.run/tier-4"),
    ("tier-3", "fabric.topograph.run/tier-3"),
    ("tier-2", "fabric.topograph.run/tier-2"),
    ("tier-1", "fabric.topograph.run/tier-1"),
    ("tier-0", "fabric.topograph.run/tier-0"),
    ("datacenter", "network.topology.nvidia.com/datacenter"),
    ("core", "network.topology.nvidia.com/core"),
    ("spine", "network.topology.nvidia.com/spine"),
    ("block", "network.topology.nvidia.com/block"),
    ("leaf", "network.topology.nvidia.com/leaf"),
    ("block", "cloud.google.com/gce-topology-block"),
    ("subblock", "cloud.google.com/gce-topology-subblock"),
    ("physical-host", "cloud.google.com/gce-topology-host"),
    ("layer-1", "topology.k8s.aws/network-node-layer-1"),
    ("layer-2", "topology.k8s.aws/network-node-layer-2"),
    ("layer-3", "topology.k8s.aws/network-node-layer-3"),
    ("block", "cloud.provider.com/topology-block"),
    ("rack", "cloud.provider.com/topology-rack"),
    ("accelerator", "network.topology.nvidia.com/accelerator"),
    ("accelerator", "accelerator.topograph.run/domain"),
    ("sub-accelerator", "accelerator.topograph.run/sub-domain"),
    ("clique", "nvidia.com/gpu.clique"),
];

/// The levels of a cluster for which none are configured. Those whose label no node carries are not there.
pub fn well_known() -> Vec<Level> {
    let level = |(name, key): &(&str, &str)| Level { name: Name::from(*name), key: Name::from(*key) };
    WELL_KNOWN.iter().map(level).collect()
}

/// How near to each other pods are to be. Levels are named by their name or their label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nearness {
    /// In one domain of this level, or not at all.
    pub required: Option<Name>,
    /// In one domain of this level if it has room, else of the next wider one, and so on.
    pub preferred: Option<Name>,
}

impl Nearness {
    /// Whether anything is wished.
    pub fn is_some(&self) -> bool {
        self.required.is_some() || self.preferred.is_some()
    }
}

/// What a pod wishes for its gang, and for those of its role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The whole gang.
    pub gang: Nearness,
    /// The members that have the pod's role.
    pub role: Nearness,
}

impl Level {
    /// Whether people mean this level by that word.
    pub fn is(&self, word: &Name) -> bool {
        self.name == *word || self.key == *word
    }
}

/// Whether the word means the innermost level.
pub fn is_host(word: &Name) -> bool {
    [HOST, HOST_KEY].contains(&word.as_str())
}
