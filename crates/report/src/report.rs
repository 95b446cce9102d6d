//! The report and its JSON form. Field names are the wire; units come last in them.

use serde::{Deserialize, Serialize};

/// The version that this build speaks.
pub const VERSION: u32 = 1;

/// Everything that an agent knows of its node's GPUs at one moment. Always complete, never a difference, so
/// that any report may be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the wire; [`VERSION`].
    pub version: u32,
    /// `metadata.name` of the Node object.
    pub node: String,
    /// `/proc/sys/kernel/random/boot_id`: another one means that the machine was started again.
    pub boot_id: String,
    /// Rises within one boot each time the driver is initialised again, an agent's start included. The
    /// milliseconds since boot at which that happened will do.
    pub epoch: u64,
    /// Rises by at least one with every report of an epoch.
    pub sequence: u64,
    /// GPUs in any order.
    pub gpus: Vec<Gpu>,
    /// Bandwidth from GPU to GPU in Gb/s, one row per GPU in the order of `gpus`; no rows if it is unknown.
    #[serde(default)]
    pub link_gbps: Vec<Vec<u32>>,
    /// What the node's device plugin sees; absent from agents that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_plugin: Option<DevicePlugin>,
    /// The driver that all of this comes from; absent from agents that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
}

/// The GPUs as NVIDIA's device plugin, which decides between them, sees them. All in the order of `gpus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePlugin {
    /// Points of each pair as go-gpuallocator gives them, one row per GPU: 10 to 60 for the PCIe level (system, node,
    /// host bridge, several switches, one switch, one board) and 100 for each NVLink that ends at the other GPU.
    /// Links to an `NVSwitch` count nothing; 0 with a GPU that does not answer.
    pub pair_points: Vec<Vec<u32>>,
    /// NUMA node that the plugin tells the kubelet: what sysfs says, null where that says none.
    pub numa_nodes: Vec<Option<u8>>,
}

/// The driver of a node, as its agent finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// Whether it answers.
    pub state: DriverState,
    /// What is wrong and what to do; absent if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Its version, such as `570.86.15`; absent if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Whether a driver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriverState {
    /// It does.
    Loaded,
    /// There is none, or none that can be used.
    Absent,
    /// A call has been under way for longer than calls take.
    Unresponsive,
    /// A state that this build does not know: an agent may be newer than the extender.
    #[serde(other)]
    Other,
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// NVML UUID, `GPU-…`.
    pub uuid: String,
    /// Product name, such as `NVIDIA H100 80GB HBM3`.
    pub model: String,
    /// Total memory in MiB.
    pub memory_mib: u64,
    /// PCI bus address, such as `0000:18:00.0`.
    pub pci_address: String,
    /// NUMA node; absent where the machine does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numa_node: Option<u8>,
    /// Whether new pods may get it.
    pub health: Health,
    /// Share of time in which a kernel ran, 0 to 100.
    pub utilisation_percent: u8,
    /// Memory in use in MiB.
    pub memory_used_mib: u64,
    /// Core temperature in degrees Celsius.
    pub temperature_c: u16,
    /// Power in milliwatts.
    pub power_mw: u32,
    /// Corrected memory errors since the driver was loaded; absent where the GPU does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecc_corrected: Option<u64>,
    /// Uncorrected memory errors since the driver was loaded; absent where the GPU does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecc_uncorrected: Option<u64>,
}

/// Health of a GPU as the agent judges it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    /// Nothing known against it.
    Healthy,
    /// Must not be given to new pods.
    Unhealthy {
        /// Why, for people: `XID 79: GPU has fallen off the bus`.
        reason: String,
    },
    /// Works, but not at its best; new pods may get it where no better one will do.
    Degraded {
        /// Why, for people: `clocks are held back by heat`.
        reason: String,
    },
    /// A state that this build does not know: an agent may be newer than the extender.
    #[serde(other)]
    Other,
}

/// The bytes of a report.
///
/// # Errors
/// None that a report can cause; `serde_json` does not say so in its type.
pub fn encode(report: &Report) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(report)
}
