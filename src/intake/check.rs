//! What of a report is believed: report to inventory.
//!
//! A report can only subtract. Nothing here adds capacity: a node's free GPUs are at most what the kubelet
//! offers less what is claimed, whatever a report says, so that a false one cannot over-commit a node.

use muster_placement::ids::{GpuUuid, Name};
use muster_placement::inventory::{Gpu, Health, Inventory, Load, Seen, Wiring};
use muster_report::{DevicePlugin, Driver, DriverState, Report};

/// The inventory that a report describes: GPUs sorted by UUID, and the link matrix in that order.
pub(super) fn believed(report: Report) -> Inventory {
    let Report { gpus, link_gbps: rows, device_plugin, driver, .. } = report;
    let seen = device_plugin.map(|plugin| seen(&gpus, &rows, &plugin));
    let mut order: Vec<usize> = (0..gpus.len()).collect();
    order.sort_by(|a, b| gpus.get(*a).map(|g| &g.uuid).cmp(&gpus.get(*b).map(|g| &g.uuid)));
    let link = |a: usize, b: usize| rows.get(a).and_then(|row| row.get(b)).copied().unwrap_or(0);
    let link_gbps = if rows.is_empty() {
        Vec::new()
    } else {
        order.iter().flat_map(|a| order.iter().map(move |b| (*a, *b))).map(|(a, b)| link(a, b)).collect()
    };
    let mut gpus: Vec<Gpu> = gpus.into_iter().map(gpu).collect();
    gpus.sort_by(|a, b| a.uuid.cmp(&b.uuid));
    Inventory { gpus, link_gbps, seen, driver_fault: driver.as_ref().and_then(fault) }
}

/// The GPUs in the order of their PCI addresses, in which NVML and the device plugin count, so that all machines of a
/// kind look the same.
fn seen(gpus: &[muster_report::Gpu], link_gbps: &[Vec<u32>], plugin: &DevicePlugin) -> Seen {
    let mut slots: Vec<(&str, &str, usize)> =
        gpus.iter().enumerate().map(|(at, gpu)| (gpu.pci_address.as_str(), gpu.uuid.as_str(), at)).collect();
    slots.sort_unstable();
    let mut by_uuid: Vec<&str> = gpus.iter().map(|gpu| gpu.uuid.as_str()).collect();
    by_uuid.sort_unstable();
    let square = |rows: &[Vec<u32>]| {
        let cell = |a: usize, b: usize| rows.get(a).and_then(|row| row.get(b)).copied().unwrap_or(0);
        slots.iter().flat_map(|(.., a)| slots.iter().map(move |(.., b)| cell(*a, *b))).collect()
    };
    Seen {
        slots: slots.iter().filter_map(|(_, uuid, _)| by_uuid.binary_search(uuid).ok()).collect(),
        wiring: Wiring {
            points: square(&plugin.pair_points),
            gbps: square(link_gbps),
            numa: slots.iter().map(|(.., at)| plugin.numa_nodes.get(*at).copied().flatten()).collect(),
        },
    }
}

/// What is wrong with a driver that does not work.
fn fault(driver: &Driver) -> Option<Name> {
    let why = driver.why.as_deref().unwrap_or("the agent does not say why");
    match driver.state {
        DriverState::Loaded => None,
        DriverState::Absent => Some(Name::from(format!("absent: {why}").as_str())),
        DriverState::Unresponsive => Some(Name::from(format!("unresponsive: {why}").as_str())),
        DriverState::Other => Some(Name::from(why)),
    }
}

/// What is said of a GPU whose state of health is not known here.
const UNKNOWN_HEALTH: &str = "a state of health that this extender does not know; upgrade it";

fn gpu(said: muster_report::Gpu) -> Gpu {
    Gpu {
        uuid: GpuUuid::from(said.uuid.as_str()),
        model: Name::from(said.model.as_str()),
        memory_mib: said.memory_mib,
        numa: said.numa_node,
        health: match said.health {
            muster_report::Health::Healthy => Health::Healthy,
            muster_report::Health::Degraded { reason } => Health::Degraded(Name::from(reason.as_str())),
            // Nobody gets what may be sick.
            muster_report::Health::Other => Health::Unhealthy(Name::from(UNKNOWN_HEALTH)),
            muster_report::Health::Unhealthy { reason } => Health::Unhealthy(Name::from(reason.as_str())),
        },
        load: Load {
            utilisation_percent: said.utilisation_percent,
            memory_used_mib: said.memory_used_mib,
            temperature_c: said.temperature_c,
            power_mw: said.power_mw,
            ecc_corrected: said.ecc_corrected,
            ecc_uncorrected: said.ecc_uncorrected,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(uuid: &str) -> muster_report::Gpu {
        muster_report::Gpu {
            uuid: uuid.into(),
            model: "H100".into(),
            memory_mib: 81_559,
            pci_address: "0000:18:00.0".into(),
            numa_node: None,
            health: muster_report::Health::Healthy,
            utilisation_percent: 0,
            memory_used_mib: 0,
            temperature_c: 0,
            power_mw: 0,
            ecc_corrected: None,
            ecc_uncorrected: None,
        }
    }

    fn report(uuids: &[&str], link_gbps: Vec<Vec<u32>>) -> Report {
        let gpus = uuids.iter().map(|uuid| said(uuid)).collect();
        let (node, boot_id) = ("n".into(), "b".into());
        let version = muster_report::VERSION;
        Report {
            version,
            node,
            boot_id,
            epoch: 1,
            sequence: 1,
            gpus,
            link_gbps,
            device_plugin: None,
            driver: None,
        }
    }

    #[test]
    fn the_matrix_moves_with_the_gpus() {
        let rows = vec![vec![0, 12, 13], vec![21, 0, 23], vec![31, 32, 0]];
        let inventory = believed(report(&["GPU-c", "GPU-a", "GPU-b"], rows));
        let uuids: Vec<&str> = inventory.gpus.iter().map(|g| g.uuid.as_str()).collect();
        assert_eq!(uuids, ["GPU-a", "GPU-b", "GPU-c"]);
        assert_eq!(inventory.link_gbps, [0, 23, 21, 32, 0, 31, 12, 13, 0]);
    }

    #[test]
    fn slots_are_in_the_order_of_addresses_whatever_the_uuids() {
        let mut said =
            report(&["GPU-c", "GPU-a", "GPU-b"], vec![vec![0, 12, 13], vec![21, 0, 23], vec![31, 32, 0]]);
        for (gpu, address) in said.gpus.iter_mut().zip(["0000:9d:00.0", "0000:1b:00.0", "0000:c3:00.0"]) {
            gpu.pci_address = address.into();
        }
        said.device_plugin = Some(DevicePlugin {
            pair_points: vec![vec![0, 10, 20], vec![10, 0, 30], vec![20, 30, 0]],
            numa_nodes: vec![Some(1), None, Some(2)],
        });
        let wiring = Wiring {
            points: vec![0, 10, 30, 10, 0, 20, 30, 20, 0],
            gbps: vec![0, 21, 23, 12, 0, 13, 32, 31, 0],
            numa: vec![None, Some(1), Some(2)],
        };
        assert_eq!(believed(said).seen, Some(Seen { slots: vec![0, 2, 1], wiring }));
    }

    #[test]
    fn no_matrix_stays_none() {
        assert_eq!(believed(report(&["GPU-b", "GPU-a"], Vec::new())).link_gbps, Vec::<u32>::new());
        assert_eq!(believed(report(&[], Vec::new())), Inventory::default());
    }

    #[test]
    fn a_driver_that_does_not_work_is_named() {
        let said = |state, why: &str| {
            let driver = Some(Driver { state, why: Some(why.to_owned()), version: None });
            believed(Report { driver, ..report(&[], Vec::new()) }).driver_fault
        };
        assert_eq!(said(DriverState::Loaded, ""), None);
        let absent = said(DriverState::Absent, "no libnvidia-ml.so.1");
        assert_eq!(absent, Some(Name::from("absent: no libnvidia-ml.so.1")));
    }

    #[test]
    fn the_reason_of_a_sick_gpu_is_kept() {
        let mut sick = report(&["GPU-a"], Vec::new());
        sick.gpus[0].health = muster_report::Health::Unhealthy { reason: "XID 79".into() };
        assert_eq!(believed(sick).gpus[0].health, Health::Unhealthy(Name::from("XID 79")));
        let mut slow = report(&["GPU-a"], Vec::new());
        slow.gpus[0].health = muster_report::Health::Degraded { reason: "hot".into() };
        assert_eq!(believed(slow).gpus[0].health, Health::Degraded(Name::from("hot")));
        let mut newer = report(&["GPU-a"], Vec::new());
        newer.gpus[0].health = muster_report::Health::Other;
        assert!(!believed(newer).gpus[0].health.usable());
    }
}
