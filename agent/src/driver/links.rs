//! What is between two GPUs: bandwidth in Gb/s, each direction, and the points that the device plugin gives.
//!
//! NVLink: the number of active links times the nominal rate of one, by compute capability as NCCL tells
//! generations apart: 160 Gb/s on Pascal, 200 on Volta, Ampere and Hopper, 112 on Ampere's and Ada's workstation
//! bridges, 400 from Blackwell on. Links to a peer GPU count for that pair; links to an `NVSwitch` count for every
//! pair of GPUs behind it, as the smaller number of the two.
//!
//! PCIe, where there is no `NVLink`: 6 Gb/s for each lane of the third generation and twice that for each later
//! one, which is what NCCL reckons with (12, 24, 48 GB/s for 16 lanes), and less the further apart: 5/6 through a
//! host bridge (NCCL's cost of peer traffic through a processor), 2/3 between host bridges, and between sockets a
//! half but at most 80 Gb/s (NCCL's figure for a Skylake link). Measured PCIe figures vary with ACS, IOMMU and the
//! socket link, so only the order of these numbers means something.
//!
//! Points as in NVIDIA/go-gpuallocator v0.6.0 (`calculateGPUPairScore`), which decides which GPUs a pod gets: 10 to 60
//! for the common ancestor on PCIe, and 100 for each NVLink that ends at the other GPU. It does not see through an
//! `NVSwitch`.

use std::collections::{BTreeMap, BTreeSet};

use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::TopologyLevel;
use nvml_wrapper::error::NvmlError;

use super::identity::pci_address;
use super::raw::{RemoteKind, remote_kind};
use super::{Blame, Driver, blame};
use crate::node::Links;

/// More links than any GPU has; the header's constant is behind the hardware.
const LINKS_MAX: u32 = 64;
/// Most that is credited between sockets.
const SOCKET_GBPS: u32 = 80;

/// Where an active link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Remote {
    /// To a GPU, by PCI address.
    Gpu(String),
    /// To an `NVSwitch`.
    Switch,
}

/// How one GPU is wired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wiring {
    pci_address: String,
    link_gbps: u32,
    pcie_gbps: u32,
    active: Vec<Remote>,
}

type Ancestors = BTreeMap<(usize, usize), TopologyLevel>;

/// Reads how the GPUs of a driver are linked. A GPU that is lost has no links.
///
/// # Errors
/// An error that is about the driver as a whole.
pub(crate) fn read(driver: &Driver) -> Result<Links, NvmlError> {
    let addresses: BTreeSet<&str> = driver.gpus.iter().map(|(_, gpu)| gpu.pci_address.as_str()).collect();
    let mut wirings = Vec::new();
    let mut devices = Vec::new();
    for (index, identity) in &driver.gpus {
        let device = driver.nvml.device_by_index(*index);
        let wiring =
            device.as_ref().ok().map(|device| wiring(device, &addresses)).transpose()?.unwrap_or_default();
        wirings.push(Wiring { pci_address: identity.pci_address.clone(), ..wiring });
        devices.push(device.ok());
    }
    let ancestors = ancestors(&devices);
    let (gbps, points) = (matrix(&wirings, &ancestors, between), matrix(&wirings, &ancestors, points));
    Ok(Links { uuids: driver.gpus.iter().map(|(_, identity)| identity.uuid.clone()).collect(), gbps, points })
}

fn ancestors(devices: &[Option<Device<'_>>]) -> Ancestors {
    let mut found = Ancestors::new();
    for (a, one) in devices.iter().enumerate() {
        for (b, other) in devices.iter().enumerate().skip(a + 1) {
            let (Some(one), Some(other)) = (one, other) else { continue };
            if let Ok(level) = one.nvml().topology_common_ancestor(one, other) {
                found.insert((a, b), level);
            }
        }
    }
    found
}

fn wiring(device: &Device<'_>, addresses: &BTreeSet<&str>) -> Result<Wiring, NvmlError> {
    let mut active = Vec::new();
    for link in 0..LINKS_MAX {
        match device.link_wrapper_for(link).is_active() {
            Ok(true) => active.extend(remote(device, link, addresses)),
            Ok(false) => {}
            Err(error) if blame(&error) == Blame::Driver => return Err(error),
            // No such link, or no links at all.
            Err(_) => break,
        }
    }
    let capability = device.cuda_compute_capability().map_or((0, 0), |c| (c.major, c.minor));
    let lanes = device.max_pcie_link_width().unwrap_or(0);
    let generation = device.max_pcie_link_gen().unwrap_or(0);
    let (link_gbps, pcie_gbps) = (link_gbps(capability), pcie_gbps(generation, lanes));
    Ok(Wiring { pci_address: String::new(), link_gbps, pcie_gbps, active })
}

/// Where an active link leads; nowhere if to a processor. Some drivers do not say the kind of the other end, and in a
/// virtual machine the switch is often invisible: then an address that is a GPU's tells, and NCCL's rule is that a
/// link which is up and leads to nothing known leads to an `NVSwitch`.
fn remote(device: &Device<'_>, link: u32, addresses: &BTreeSet<&str>) -> Option<Remote> {
    let kind = remote_kind(device, link).unwrap_or(RemoteKind::Unknown);
    let peer = || device.link_wrapper_for(link).remote_pci_info().ok().map(|pci| pci_address(&pci.bus_id));
    match kind {
        RemoteKind::Switch => Some(Remote::Switch),
        RemoteKind::Processor => None,
        RemoteKind::Gpu | RemoteKind::Unknown => {
            let gpu = peer().filter(|address| addresses.contains(address.as_str()));
            Some(gpu.map_or(Remote::Switch, Remote::Gpu))
        }
    }
}

fn link_gbps((major, minor): (i32, i32)) -> u32 {
    match (major, minor) {
        (..=5, _) => 0,
        (6, _) => 160,
        (8, 6 | 9) => 112,
        (7..=9, _) => 200,
        (10.., _) => 400,
    }
}

fn pcie_gbps(generation: u32, lanes: u32) -> u32 {
    let doublings = generation.saturating_sub(3).min(8);
    let of_a_lane = if generation < 3 { 3 } else { 6 << doublings };
    lanes.saturating_mul(of_a_lane)
}

fn matrix(
    gpus: &[Wiring],
    ancestors: &Ancestors,
    between: fn(&Wiring, &Wiring, Option<&TopologyLevel>) -> u32,
) -> Vec<Vec<u32>> {
    let cell = |a: usize, b: usize| match (gpus.get(a), gpus.get(b)) {
        (Some(one), Some(other)) if a != b => between(one, other, ancestors.get(&(a.min(b), a.max(b)))),
        _ => 0,
    };
    (0..gpus.len()).map(|a| (0..gpus.len()).map(|b| cell(a, b)).collect()).collect()
}

fn between(one: &Wiring, other: &Wiring, ancestor: Option<&TopologyLevel>) -> u32 {
    let links = direct(one, other).min(direct(other, one)).saturating_add(switched(one).min(switched(other)));
    if links > 0 {
        return links.saturating_mul(one.link_gbps.min(other.link_gbps));
    }
    let slower = one.pcie_gbps.min(other.pcie_gbps);
    match ancestor {
        Some(TopologyLevel::Internal | TopologyLevel::Single | TopologyLevel::Multiple) => slower,
        Some(TopologyLevel::HostBridge) => slower / 6 * 5,
        Some(TopologyLevel::Node) => slower / 3 * 2,
        Some(TopologyLevel::System) => (slower / 2).min(SOCKET_GBPS),
        None => 0,
    }
}

/// The device plugin's points; none if it is not known where the two meet.
fn points(one: &Wiring, other: &Wiring, ancestor: Option<&TopologyLevel>) -> u32 {
    let level = match ancestor {
        Some(TopologyLevel::Internal) => 60,
        Some(TopologyLevel::Single) => 50,
        Some(TopologyLevel::Multiple) => 40,
        Some(TopologyLevel::HostBridge) => 30,
        Some(TopologyLevel::Node) => 20,
        Some(TopologyLevel::System) => 10,
        None => return 0,
    };
    direct(one, other).min(direct(other, one)).saturating_mul(100).saturating_add(level)
}

/// Links from one GPU straight to another.
fn direct(from: &Wiring, to: &Wiring) -> u32 {
    let is_it = |remote: &&Remote| matches!(remote, Remote::Gpu(address) if *address == to.pci_address);
    count(from.active.iter().filter(is_it).count())
}

fn switched(gpu: &Wiring) -> u32 {
    count(gpu.active.iter().filter(|remote| **remote == Remote::Switch).count())
}

fn count(links: usize) -> u32 {
    u32::try_from(links).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(address: &str, active: Vec<Remote>) -> Wiring {
        Wiring { pci_address: address.to_owned(), link_gbps: 200, pcie_gbps: pcie_gbps(4, 16), active }
    }

    fn to(address: &str) -> Remote {
        Remote::Gpu(address.to_owned())
    }

    #[test]
    fn direct_links_count_for_their_pair_and_the_rest_is_pcie() {
        let gpus = [
            gpu("a", vec![to("b"), to("b"), to("c")]),
            gpu("b", vec![to("a"), to("a")]),
            gpu("c", vec![to("a")]),
        ];
        let far = Ancestors::from([((1, 2), TopologyLevel::System)]);
        assert_eq!(matrix(&gpus, &far, between), [[0, 400, 200], [400, 0, 80], [200, 80, 0]]);
    }

    #[test]
    fn a_link_that_only_one_side_sees_is_none() {
        let gpus = [gpu("a", vec![to("b")]), gpu("b", vec![])];
        assert_eq!(matrix(&gpus, &Ancestors::new(), between), [[0, 0], [0, 0]]);
    }

    #[test]
    fn behind_a_switch_the_smaller_number_counts() {
        let behind = |links| gpu("x", vec![Remote::Switch; links]);
        assert_eq!(
            matrix(&[behind(12), behind(12), behind(9)], &Ancestors::new(), between),
            [[0, 2400, 1800], [2400, 0, 1800], [1800, 1800, 0]]
        );
    }

    #[test]
    fn the_further_apart_the_slower() {
        let levels = [
            TopologyLevel::Single,
            TopologyLevel::Multiple,
            TopologyLevel::HostBridge,
            TopologyLevel::Node,
            TopologyLevel::System,
        ];
        let pair = [gpu("a", vec![]), gpu("b", vec![])];
        let gbps: Vec<u32> = levels
            .into_iter()
            .map(|l| matrix(&pair, &Ancestors::from([((0, 1), l)]), between)[0][1])
            .collect();
        assert_eq!(gbps, [192, 192, 160, 128, 80]);
    }

    #[test]
    fn the_plugin_counts_direct_links_and_does_not_see_through_a_switch() {
        let far = |a, b| Ancestors::from([((a, b), TopologyLevel::System)]);
        let direct = [gpu("a", vec![to("b"), to("b")]), gpu("b", vec![to("a"), to("a")])];
        assert_eq!(matrix(&direct, &far(0, 1), points)[0][1], 210);
        let switched = [gpu("a", vec![Remote::Switch; 12]), gpu("b", vec![Remote::Switch; 12])];
        assert_eq!(matrix(&switched, &far(0, 1), points)[0][1], 10);
        assert_eq!(matrix(&direct, &Ancestors::new(), points)[0][1], 0, "nothing is known of a lost GPU");
    }

    #[test]
    fn rates_by_generation() {
        assert_eq!(
            [(5, 2), (6, 0), (7, 0), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)].map(link_gbps),
            [0, 160, 200, 200, 112, 112, 200, 400, 400]
        );
        assert_eq!([(3, 16), (4, 16), (5, 16), (4, 8)].map(|(g, l)| pcie_gbps(g, l)), [96, 192, 384, 96]);
    }
}
