//! What pods of common sizes would get on a node, part of `/api/v1/nodes/{name}`: nobody can choose devices, so this is
//! how many sets the node's device plugin may hand out, and how good the worst and the best of them are.

use muster_placement::devices::{Devices, Prospect};
use muster_placement::oracle::kubelet::{Policy, Rejected};
use serde::Serialize;

/// Sizes that are told, in GPUs.
const SIZES: [u64; 4] = [1, 2, 4, 8];

/// From so many GPUs on the plugin's own search takes long. Measured with 16 free GPUs, device plugin v0.18.0: 1.4 s
/// for 2 of them, 36 s for 3, 4.6 s for 4.
const SLOW_GPUS: usize = 16;
const SLOW: &str = "The device plugin itself may need up to 36 s here to choose among 16 free GPUs, and the kubelet waits for it.";

/// What the device plugin of a node may hand out.
#[derive(Serialize)]
pub(super) struct Prospects {
    /// `topologyManagerPolicy` of the kubelet, as the node's label says.
    topology_manager_policy: &'static str,
    /// GPUs that are healthy and assumed to be with nobody.
    free_gpus: usize,
    requests: Vec<Request>,
    /// What else to know; null if nothing.
    note: Option<&'static str>,
}

/// A pod of a size, all GPUs in one container.
#[derive(Serialize)]
struct Request {
    gpus: u64,
    /// How many sets are possible; 0 if there are too few GPUs, or the kubelet would reject the pod.
    sets: u32,
    /// Whether the kubelet would reject the pod (`TopologyAffinityError`).
    rejected: bool,
    /// Bandwidth of the slowest hop of the best ring in Gb/s; null for a single GPU, or if it is unknown.
    worst_gbps: Option<u32>,
    best_gbps: Option<u32>,
    /// Worst set's bandwidth as a share of the best set of that size on the idle node, in thousandths.
    worst_quality_milli: Option<u32>,
}

impl Prospects {
    pub(super) fn of(devices: &Devices) -> Prospects {
        let free_gpus = devices.free.len();
        Prospects {
            topology_manager_policy: policy(devices.kubelet.policy),
            free_gpus,
            requests: SIZES.into_iter().map(|gpus| request(gpus, devices.outlook.of(gpus))).collect(),
            note: (free_gpus >= SLOW_GPUS).then_some(SLOW),
        }
    }
}

fn request(gpus: u64, prospect: Option<&Result<Prospect, Rejected>>) -> Request {
    let known = prospect.and_then(|prospect| prospect.as_ref().ok());
    let gbps = |of: fn(&Prospect) -> u32| known.map(of).filter(|gbps| *gbps > 0);
    Request {
        gpus,
        sets: known.map_or(0, |prospect| prospect.sets),
        rejected: prospect.is_some_and(Result::is_err),
        worst_gbps: gbps(|prospect| prospect.worst_gbps),
        best_gbps: gbps(|prospect| prospect.best_gbps),
        worst_quality_milli: known.map(Prospect::worst_quality),
    }
}

fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::Indifferent => "none",
        Policy::BestEffort => "best-effort",
        Policy::Restricted => "restricted",
        Policy::SingleNumaNode => "single-numa-node",
    }
}
