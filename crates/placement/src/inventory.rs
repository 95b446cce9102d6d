//! GPUs of a node as we believe them to be, from the node agent's last accepted report.
//!
//! Only ever subtracts from what the kubelet offers: a GPU that is reported here but not allocatable gives
//! no capacity, and a GPU that is allocatable but reported sick gives none either.

use alloc::vec::Vec;

use crate::ids::{GpuUuid, Name};

/// The GPUs of one node and how they are linked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// GPUs, sorted by UUID, without duplicates.
    pub gpus: Vec<Gpu>,
    /// Bandwidth between two GPUs in Gb/s, row by row, `gpus.len()` squared; empty if unknown.
    pub link_gbps: Vec<u32>,
    /// What the node's device plugin and kubelet see; `None` if the agent does not say.
    pub seen: Option<Seen>,
    /// What is wrong with the driver, in the agent's words; `None` if nothing is, or nothing is said.
    pub driver_fault: Option<Name>,
}

/// The GPUs as the stock device plugin counts them and the kubelet knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Position in `gpus` of each GPU in the order of PCI addresses: its slot.
    pub slots: Vec<usize>,
    /// What is between the slots.
    pub wiring: Wiring,
}

/// How the GPUs of a machine are wired, slot by slot: the same for all machines of a kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wiring {
    /// Points of two slots as go-gpuallocator gives them, row by row: 10 to 60 for the PCIe level, 100 for each NVLink
    /// that ends at the other GPU; 0 if unknown.
    pub points: Vec<u32>,
    /// Bandwidth between two slots in Gb/s, row by row.
    pub gbps: Vec<u32>,
    /// NUMA node of each slot as the plugin tells it to the kubelet, if it does.
    pub numa: Vec<Option<u8>>,
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// NVML UUID.
    pub uuid: GpuUuid,
    /// Product name, such as `NVIDIA H100 80GB HBM3`.
    pub model: Name,
    /// Total memory in MiB.
    pub memory_mib: u64,
    /// NUMA node, if the machine says.
    pub numa: Option<u8>,
    /// Whether new pods may get it.
    pub health: Health,
    /// What it does now.
    pub load: Load,
}

/// Momentary readings of a GPU. Never a reason to refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Share of time in which a kernel ran, in percent.
    pub utilisation_percent: u8,
    /// Memory in use in MiB.
    pub memory_used_mib: u64,
    /// Core temperature in degrees Celsius.
    pub temperature_c: u16,
    /// Power in milliwatts.
    pub power_mw: u32,
    /// Corrected memory errors since the driver was loaded, if it counts them.
    pub ecc_corrected: Option<u64>,
    /// Uncorrected ones.
    pub ecc_uncorrected: Option<u64>,
}

/// Health of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing known against it.
    Healthy,
    /// It works, but not at its best (throttled, a link down, a narrow PCIe slot), with the agent's reason. It counts
    /// as capacity; where others will do they are preferred.
    Degraded(Name),
    /// Must not be given to new pods, with the agent's reason.
    Unhealthy(Name),
}

impl Health {
    /// Whether new pods may get the GPU.
    pub fn usable(&self) -> bool {
        match self {
            Health::Healthy | Health::Degraded(_) => true,
            Health::Unhealthy(_) => false,
        }
    }
}

impl Inventory {
    /// Position of a GPU in `gpus`.
    pub fn index_of(&self, uuid: &GpuUuid) -> Option<usize> {
        self.gpus.binary_search_by(|g| g.uuid.cmp(uuid)).ok()
    }

    /// Bandwidth between two GPUs in Gb/s; 0 if unknown.
    pub fn link(&self, a: usize, b: usize) -> u32 {
        self.link_gbps.get(a.saturating_mul(self.gpus.len()).saturating_add(b)).copied().unwrap_or(0)
    }
}
