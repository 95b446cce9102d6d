//! Machines: what is in a node, and the truth about its GPUs, which Muster only ever hears of.
//!
//! Link bandwidths are those that NVIDIA states for each product, per direction pair as NVML's link states add
//! up: NVLink 2 is 25 GB/s a link and direction, NVLink 3 and 4 the same with more links (12 and 18).

use std::collections::BTreeMap;

use muster_placement::ids::{GpuUuid, Name, NodeName, PodUid};
use muster_placement::inventory::{Gpu, Health, Inventory, Load};
use muster_placement::node::Node;
use muster_placement::resources::Resources;
use muster_placement::taint::{Taint, TaintEffect};

/// One mebibyte in bytes.
const MIB: u64 = 1 << 20;
/// A PCIe 4 x16 slot in Gb/s, which GPUs without NVLink have between them.
const PCIE_GBPS: u32 = 256;

/// A kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// 8 H100 behind NVSwitch.
    Hgx8xH100,
    /// 8 A100 behind NVSwitch.
    Hgx8xA100,
    /// 8 V100 in a hybrid cube mesh: every GPU has four neighbours, two of them over two links.
    Dgx1V,
    /// 4 L40S without NVLink.
    Pcie4xL40S,
    /// No GPU.
    CpuOnly,
}

impl Kind {
    /// Kinds that there are.
    pub(crate) const COUNT: usize = 5;

    /// NVLinks from one of its GPUs that end at the other; those of NVSwitch end at a switch.
    pub(crate) fn direct_links(self, a: usize, b: usize) -> u32 {
        if self == Kind::Dgx1V { cube_mesh_links(a, b) } else { 0 }
    }

    pub(crate) fn gpus(self) -> usize {
        match self {
            Kind::Hgx8xH100 | Kind::Hgx8xA100 | Kind::Dgx1V => 8,
            Kind::Pcie4xL40S => 4,
            Kind::CpuOnly => 0,
        }
    }

    /// Product name and memory in MiB, as NVML says them.
    fn product(self) -> (&'static str, u64) {
        match self {
            Kind::Hgx8xH100 => ("NVIDIA H100 80GB HBM3", 81_559),
            Kind::Hgx8xA100 => ("NVIDIA A100-SXM4-80GB", 81_920),
            Kind::Dgx1V => ("Tesla V100-SXM2-32GB", 32_768),
            Kind::Pcie4xL40S => ("NVIDIA L40S", 46_068),
            Kind::CpuOnly => ("", 0),
        }
    }

    /// `nvidia.com/gpu.product` as GPU feature discovery writes it.
    pub(crate) fn product_label(self) -> Option<Name> {
        let (model, _) = self.product();
        (self.gpus() > 0).then(|| Name::from(model.replace(' ', "-").as_str()))
    }

    /// Memory of one of its GPUs in MiB.
    pub(crate) fn product_memory_mib(self) -> u64 {
        self.product().1
    }

    /// Cores and memory in GiB.
    fn host(self) -> (u64, u64) {
        match self {
            Kind::Hgx8xH100 => (192, 2_048),
            Kind::Hgx8xA100 => (128, 1_024),
            Kind::Dgx1V => (80, 512),
            Kind::Pcie4xL40S => (64, 512),
            Kind::CpuOnly => (64, 256),
        }
    }

    /// Bandwidth between two of its GPUs in Gb/s.
    fn link(self, a: usize, b: usize) -> u32 {
        if a == b {
            return 0;
        }
        match self {
            Kind::Hgx8xH100 => 18 * 200,
            Kind::Hgx8xA100 => 12 * 200,
            Kind::Dgx1V => match cube_mesh_links(a, b) {
                0 => PCIE_GBPS / 2, // PCIe 3
                links => links * 200,
            },
            Kind::Pcie4xL40S => PCIE_GBPS,
            Kind::CpuOnly => 0,
        }
    }
}

/// NVLinks between two GPUs of a DGX-1V (NVIDIA's white paper WP-08437, figure of the hybrid cube mesh; the same
/// as `nvidia-smi topo -m` prints there).
fn cube_mesh_links(a: usize, b: usize) -> u32 {
    const TWO: [(usize, usize); 8] = [(0, 3), (0, 4), (1, 2), (1, 5), (2, 3), (4, 7), (5, 6), (6, 7)];
    const ONE: [(usize, usize); 8] = [(0, 1), (0, 2), (1, 3), (2, 6), (3, 7), (4, 5), (4, 6), (5, 7)];
    let pair = (a.min(b), a.max(b));
    if TWO.contains(&pair) { 2 } else { u32::from(ONE.contains(&pair)) }
}

/// A GPU as it really is.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) uuid: GpuUuid,
    /// Why it does not work.
    pub(crate) broken: Option<&'static str>,
    /// It is lost, and no XID said so.
    pub(crate) vanished: bool,
    /// The device plugin knows that it does not work.
    pub(crate) marked: bool,
    /// The pod that has it.
    pub(crate) pod: Option<PodUid>,
    pub(crate) load: Load,
}

impl Device {
    /// After a reboot nobody has it, and the plugin has forgotten what it knew.
    pub(crate) fn start_anew(&mut self) {
        self.pod = None;
        self.marked = false;
    }
}

/// A machine and what goes on in it.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) node: Node,
    pub(crate) kind: Kind,
    pub(crate) devices: Vec<Device>,
    /// There is a Node object for it.
    pub(crate) present: bool,
    /// The device plugin does not run.
    pub(crate) plugin_down: bool,
    /// The agent does not run.
    pub(crate) agent_gone: bool,
    /// How often the machine was started.
    pub(crate) boot: u64,
    /// Number of the agent's last report of this boot.
    pub(crate) sequence: u64,
}

impl Machine {
    pub(crate) fn new(name: &str, kind: Kind) -> Machine {
        let device = |at: usize| Device {
            uuid: uuid(name, at),
            broken: None,
            vanished: false,
            marked: false,
            pod: None,
            load: Load { temperature_c: 31, power_mw: 60_000, ..Load::default() },
        };
        Machine {
            node: node(name, kind),
            kind,
            devices: (0..kind.gpus()).map(device).collect(),
            present: true,
            plugin_down: false,
            agent_gone: false,
            boot: 0,
            sequence: 0,
        }
    }

    /// What the node agent would report.
    pub(crate) fn inventory(&self) -> Inventory {
        let (model, memory_mib) = self.kind.product();
        let half = self.devices.len() / 2;
        let mut order: Vec<usize> = (0..self.devices.len()).collect();
        order.sort_by(|a, b| self.devices[*a].uuid.cmp(&self.devices[*b].uuid));
        let gpu = |at: &usize| {
            let device = &self.devices[*at];
            let reason = device.broken.map(|why| Health::Unhealthy(Name::from(why)));
            Gpu {
                uuid: device.uuid.clone(),
                model: Name::from(model),
                memory_mib,
                numa: Some(u8::from(*at >= half)),
                health: reason.unwrap_or(Health::Healthy),
                load: device.load,
            }
        };
        let row = |a: &usize| order.iter().map(|b| self.kind.link(*a, *b)).collect::<Vec<_>>();
        Inventory {
            gpus: order.iter().map(gpu).collect(),
            link_gbps: order.iter().flat_map(row).collect(),
            seen: None,
            driver_fault: None,
        }
    }
}

/// Stable, and of the form that NVML gives.
fn uuid(node: &str, at: usize) -> GpuUuid {
    // FNV-1a: a name for each GPU, not a secret.
    let hash = node.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let (high, low) = (hash >> 32, hash & 0xffff_ffff);
    GpuUuid::from(format!("GPU-{high:08x}-{:04x}-4000-8000-{low:08x}{at:04x}", low >> 16).as_str())
}

fn node(name: &str, kind: Kind) -> Node {
    let (cores, gib) = kind.host();
    let mut labels = BTreeMap::from([(Name::from("kubernetes.io/hostname"), Name::from(name))]);
    let mut taints = Vec::new();
    if let Some(product) = kind.product_label() {
        labels.insert(Name::from("nvidia.com/gpu.product"), product);
        taints.push(Taint {
            key: Name::from("nvidia.com/gpu"),
            value: Name::from("present"),
            effect: TaintEffect::NoSchedule,
        });
    }
    Node {
        name: NodeName::from(name),
        labels,
        taints,
        cordoned: false,
        extended: BTreeMap::new(),
        allocatable: Resources {
            gpus: kind.gpus() as u64,
            cpu_milli: cores * 1_000 - 500,
            memory: (gib * 1_024 - 4_096) * MIB,
            ephemeral: 800 * 1_024 * MIB,
            pods: 110,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_v100_of_a_cube_mesh_has_six_links() {
        for a in 0..8 {
            assert_eq!((0..8).map(|b| cube_mesh_links(a, b)).sum::<u32>(), 6, "GPU {a}");
        }
    }

    #[test]
    fn an_inventory_is_sorted_and_its_matrix_symmetric() {
        for kind in [Kind::Hgx8xH100, Kind::Hgx8xA100, Kind::Dgx1V, Kind::Pcie4xL40S, Kind::CpuOnly] {
            let inventory = Machine::new("a", kind).inventory();
            assert!(inventory.gpus.is_sorted_by(|a, b| a.uuid < b.uuid));
            let n = inventory.gpus.len();
            assert_eq!(inventory.link_gbps.len(), n * n);
            for a in 0..n {
                for b in 0..n {
                    assert_eq!(inventory.link(a, b), inventory.link(b, a));
                    assert_eq!(inventory.link(a, b) == 0, a == b, "{kind:?} {a} {b}");
                }
            }
        }
    }

    #[test]
    fn uuids_differ_between_nodes() {
        assert_ne!(uuid("a", 0), uuid("b", 0));
        assert_eq!(uuid("a", 0).as_str().len(), "GPU-00000000-0000-0000-0000-000000000000".len());
    }
}
