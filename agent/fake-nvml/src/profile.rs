//! The machines that can be played, as data: `profiles/*.yaml`.

use serde::Deserialize;

/// A machine with equal GPUs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Product name.
    pub model: String,
    /// Total memory of a GPU in MiB.
    pub memory_mib: u64,
    /// CUDA compute capability, major and minor.
    pub compute_capability: [i32; 2],
    /// `nvmlDeviceArchitecture_t`.
    pub architecture: u32,
    /// Number of GPUs.
    pub gpus: u32,
    /// PCI bus number of each GPU.
    pub pci_buses: Vec<u32>,
    /// Device and vendor as NVML packs them.
    pub pci_device_id: u32,
    /// NUMA node of each GPU.
    pub numa_nodes: Vec<u32>,
    /// How the GPUs reach each other over PCIe.
    pub pcie: Pcie,
    /// NVLinks; none on machines without.
    pub nvlink: Option<NvLink>,
    /// Readings of a GPU that does nothing.
    pub idle: Idle,
    /// Power limit of a GPU in milliwatts.
    pub power_limit_mw: u32,
}

/// The PCIe tree, as far as clients ask: GPUs 2k and 2k + 1 share the most, those of one half less, all others
/// meet between the sockets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pcie {
    /// PCIe generation.
    pub generation: u32,
    /// Lanes.
    pub width: u32,
    /// Common ancestor of GPUs 2k and 2k + 1.
    pub pair: Ancestor,
    /// Common ancestor of GPUs of one half of the indices.
    pub half: Ancestor,
}

/// Common ancestor of two GPUs: `nvmlGpuTopologyLevel_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ancestor {
    /// One PCIe switch.
    Single = 10,
    /// Several switches, no host bridge.
    Multiple = 20,
    /// One host bridge.
    HostBridge = 30,
    /// One NUMA node.
    Node = 40,
    /// Different NUMA nodes.
    System = 50,
}

/// The NVLinks of a machine. Exactly one of `mesh` and `switch` says where they lead.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NvLink {
    /// Generation.
    pub version: u32,
    /// Direct links.
    #[serde(default)]
    pub mesh: Vec<Bond>,
    /// Links from each GPU to an `NVSwitch`.
    #[serde(default)]
    pub switch: u32,
}

/// Links between two GPUs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bond {
    /// The two GPUs.
    pub ends: [u32; 2],
    /// How many.
    pub links: u32,
}

/// Readings of a GPU that does nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idle {
    /// Temperature in degrees Celsius.
    pub temperature_c: u32,
    /// Power in milliwatts.
    pub power_mw: u32,
}

/// What is at the other end of an NVLink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// A GPU, by index.
    Gpu(u32),
    /// An NVSwitch, by number.
    Switch(u32),
}

/// GPUs of one `NVSwitch` machine see this many switches in turn; only the count of links matters to clients.
const SWITCHES: u32 = 6;

impl Profile {
    /// Names of the built-in machines.
    pub const NAMES: [&'static str; 6] = ["dgx-1v", "dgx-a100", "dgx-h100", "a100-bridged", "l40s", "l40s-8"];

    /// A built-in machine.
    pub fn named(name: &str) -> Option<Profile> {
        let text = match name {
            "a100-bridged" => include_str!("../profiles/a100-bridged.yaml"),
            "dgx-1v" => include_str!("../profiles/dgx-1v.yaml"),
            "dgx-a100" => include_str!("../profiles/dgx-a100.yaml"),
            "dgx-h100" => include_str!("../profiles/dgx-h100.yaml"),
            "l40s" => include_str!("../profiles/l40s.yaml"),
            "l40s-8" => include_str!("../profiles/l40s-8.yaml"),
            _ => return None,
        };
        serde_saphyr::from_str(text).ok()
    }

    /// Where each link of a GPU leads, by number of the link.
    pub fn links(&self, gpu: u32) -> Vec<Remote> {
        let Some(nvlink) = &self.nvlink else { return Vec::new() };
        let mut links: Vec<Remote> = (0..nvlink.switch).map(|link| Remote::Switch(link % SWITCHES)).collect();
        for Bond { ends: [a, b], links: count } in &nvlink.mesh {
            let other = if *a == gpu { *b } else { *a };
            if *a == gpu || *b == gpu {
                links.extend((0..*count).map(|_| Remote::Gpu(other)));
            }
        }
        links
    }

    /// The lowest common PCIe ancestor of two different GPUs.
    pub fn ancestor(&self, a: u32, b: u32) -> Ancestor {
        let half = (self.gpus / 2).max(1);
        if a / 2 == b / 2 {
            self.pcie.pair
        } else if a / half == b / half {
            self.pcie.half
        } else {
            Ancestor::System
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_read_and_whole() {
        for name in Profile::NAMES {
            let profile = Profile::named(name).unwrap_or_else(|| panic!("{name}"));
            let gpus = usize::try_from(profile.gpus).unwrap();
            assert_eq!(profile.pci_buses.len(), gpus, "{name}");
            assert_eq!(profile.numa_nodes.len(), gpus, "{name}");
            if let Some(nvlink) = &profile.nvlink {
                assert!(nvlink.mesh.is_empty() != (nvlink.switch == 0), "{name}: mesh or switch");
            }
        }
    }

    /// An asymmetric link list makes NVIDIA's device plugin panic.
    #[test]
    fn the_cube_mesh_is_symmetric_and_uses_all_six_links() {
        let profile = Profile::named("dgx-1v").unwrap();
        let count = |a: u32, b: u32| profile.links(a).iter().filter(|r| **r == Remote::Gpu(b)).count();
        for a in 0..8 {
            assert_eq!(profile.links(a).len(), 6, "GPU {a}");
            assert!((0..8).all(|b| count(a, b) == count(b, a)), "GPU {a}");
        }
        assert_eq!((count(0, 3), count(0, 1), count(0, 7)), (2, 1, 0));
    }
}
