//! The latest state of the node, and the report made of it. Pure: no NVML, no clock.
//!
//! Invariant: a GPU that was ever seen stays until the agent ends. It is healthy again only when it answers again
//! after it was away: then it was reset, or the driver was, and what was held against it is over.

use std::collections::{BTreeMap, BTreeSet};

use muster_report::{DevicePlugin, Driver, DriverState, Gpu, Report, TEXT_MAX, VERSION};

use crate::health::{self, Presence, Signs};

/// What does not change while a driver is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uuid: String,
    pub(crate) model: String,
    pub(crate) memory_mib: u64,
    pub(crate) pci_address: String,
    pub(crate) numa_node: Option<u8>,
    /// The same as the device plugin reads it, which asks nobody but sysfs.
    pub(crate) plugin_numa_node: Option<u8>,
}

/// One GPU's momentary readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readings {
    pub(crate) utilisation_percent: u8,
    pub(crate) memory_used_mib: u64,
    pub(crate) temperature_c: u16,
    pub(crate) power_mw: u32,
    pub(crate) ecc_corrected: Option<u64>,
    pub(crate) ecc_uncorrected: Option<u64>,
}

/// What one sweep found: the GPUs that answered. All others did not.
pub(crate) type Sweep = BTreeMap<String, Readings>;

/// What is between the GPUs, row by row, in the order of `uuids`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) uuids: Vec<String>,
    /// Bandwidth in Gb/s.
    pub(crate) gbps: Vec<Vec<u32>>,
    /// Points as the device plugin gives them.
    pub(crate) points: Vec<Vec<u32>>,
}

/// The driver, as far as the sampler has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum DriverFound {
    /// It has not answered yet.
    #[default]
    Starting,
    /// It answers.
    Loaded { version: String },
    /// There is none that can be used.
    Absent { why: String },
}

/// The latest state of the node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    epoch: u64,
    driver: DriverFound,
    gpus: BTreeMap<String, Known>,
    links: Links,
    /// GPUs that NVML counts but that never said who they are: they were lost before the agent started.
    pub(crate) nameless: u32,
    /// Whether a first sweep has ended, or it is known that there is no driver.
    pub(crate) is_known: bool,
}

#[derive(Clone, Debug, Default)]
struct Known {
    identity: Identity,
    readings: Readings,
    signs: Signs,
}

/// What a report says beside the GPUs.
#[derive(Clone, Debug)]
pub(crate) struct Header<'a> {
    pub(crate) node: &'a str,
    pub(crate) boot_id: &'a str,
    pub(crate) sequence: u64,
    /// Set if the driver has not returned from a call for too long.
    pub(crate) stuck: Option<String>,
}

impl Node {
    /// The driver was initialised: a new epoch.
    pub(crate) fn opened(&mut self, since_boot_ms: u64, version: String, found: Vec<Identity>, count: u32) {
        self.raise_epoch(since_boot_ms);
        self.driver = DriverFound::Loaded { version };
        self.nameless = count.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        for identity in found {
            let known = self.gpus.entry(identity.uuid.clone()).or_default();
            known.identity = identity;
        }
    }

    /// Every report of a later epoch counts as later.
    pub(crate) fn raise_epoch(&mut self, since_boot_ms: u64) {
        self.epoch = since_boot_ms.max(self.epoch.saturating_add(1));
    }

    /// The links were read.
    pub(crate) fn linked(&mut self, links: Links) {
        self.links = links;
    }

    /// A sweep has ended.
    pub(crate) fn swept(&mut self, mut sweep: Sweep) {
        self.is_known = true;
        for (uuid, known) in &mut self.gpus {
            let Some(readings) = sweep.remove(uuid) else {
                known.signs.presence = Presence::Lost;
                known.readings = Readings::default();
                continue;
            };
            let was_away = known.signs.presence != Presence::Answers;
            known.signs = Signs {
                presence: Presence::Answers,
                fatal_xid: known.signs.fatal_xid.filter(|_| !was_away),
                ecc_uncorrected: readings.ecc_uncorrected,
            };
            known.readings = readings;
        }
    }

    /// The driver cannot be used, or no longer.
    pub(crate) fn driver_gone(&mut self, since_boot_ms: u64, why: String) {
        if self.epoch == 0 {
            self.raise_epoch(since_boot_ms);
        }
        self.driver = DriverFound::Absent { why };
        self.is_known = true;
        self.nameless = 0;
        for known in self.gpus.values_mut() {
            known.signs.presence = Presence::NoDriver;
            known.readings = Readings::default();
        }
    }

    /// A GPU raised an XID. Returns whether that takes it out.
    pub(crate) fn raised(&mut self, uuid: &str, xid: u64) -> bool {
        let is_fatal = health::fatal(xid).is_some();
        if is_fatal && let Some(known) = self.gpus.get_mut(uuid) {
            known.signs.fatal_xid.get_or_insert(xid);
        }
        is_fatal
    }

    /// The driver.
    pub(crate) fn driver(&self) -> &DriverFound {
        &self.driver
    }

    /// Whether some GPU does not answer although the driver does: initialising it again may bring it back.
    pub(crate) fn misses_gpus(&self) -> bool {
        self.nameless > 0 || self.gpus.values().any(|known| known.signs.presence == Presence::Lost)
    }

    /// UUIDs of the GPUs that are lost.
    pub(crate) fn lost(&self) -> BTreeSet<&str> {
        let lost = self.gpus.iter().filter(|(_, known)| known.signs.presence == Presence::Lost);
        lost.map(|(uuid, _)| uuid.as_str()).collect()
    }

    /// The report, GPUs sorted by UUID.
    pub(crate) fn report(&self, header: Header<'_>) -> Report {
        Report {
            version: VERSION,
            node: header.node.to_owned(),
            boot_id: header.boot_id.to_owned(),
            epoch: self.epoch,
            sequence: header.sequence,
            gpus: self.gpus.values().map(|known| gpu(known, header.stuck.is_some())).collect(),
            link_gbps: self.matrix(&self.links.gbps),
            device_plugin: self.device_plugin(),
            driver: Some(self.said(header.stuck)),
        }
    }

    fn said(&self, stuck: Option<String>) -> Driver {
        let (state, why, version) = match (&self.driver, stuck) {
            (DriverFound::Loaded { version }, None) => (DriverState::Loaded, None, Some(version.clone())),
            (DriverFound::Absent { why }, None) => (DriverState::Absent, Some(why.clone()), None),
            (DriverFound::Starting, None) => {
                (DriverState::Absent, Some("it has not answered yet".to_owned()), None)
            }
            (_, Some(why)) => (DriverState::Unresponsive, Some(why), None),
        };
        Driver { state, why: why.map(bounded), version: version.map(bounded) }
    }

    /// What the device plugin sees, once the links were read.
    fn device_plugin(&self) -> Option<DevicePlugin> {
        let numa_nodes = self.gpus.values().map(|known| known.identity.plugin_numa_node).collect();
        let pair_points = self.matrix(&self.links.points);
        (!self.links.uuids.is_empty()).then_some(DevicePlugin { pair_points, numa_nodes })
    }

    /// Rows in the order of the report; what is unknown is 0.
    fn matrix(&self, rows: &[Vec<u32>]) -> Vec<Vec<u32>> {
        let at = |uuid: &String| self.links.uuids.iter().position(|other| other == uuid);
        let order: Vec<Option<usize>> = self.gpus.keys().map(at).collect();
        let link = |a: Option<usize>, b: Option<usize>| -> Option<u32> { rows.get(a?)?.get(b?).copied() };
        order.iter().map(|a| order.iter().map(|b| link(*a, *b).unwrap_or(0)).collect()).collect()
    }
}

fn gpu(known: &Known, is_stuck: bool) -> Gpu {
    let Known { identity, readings, signs } = known;
    let presence = if is_stuck { Presence::DriverStuck } else { signs.presence };
    Gpu {
        uuid: identity.uuid.clone(),
        model: identity.model.clone(),
        memory_mib: identity.memory_mib,
        pci_address: identity.pci_address.clone(),
        numa_node: identity.numa_node,
        health: health::judge(&Signs { presence, ..*signs }),
        utilisation_percent: readings.utilisation_percent,
        memory_used_mib: readings.memory_used_mib,
        temperature_c: readings.temperature_c,
        power_mw: readings.power_mw,
        ecc_corrected: readings.ecc_corrected,
        ecc_uncorrected: readings.ecc_uncorrected,
    }
}

/// A text that the wire takes: an error of the loader can be longer.
fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_report::Health;

    const HEADER: Header<'static> = Header { node: "n", boot_id: "b", sequence: 1, stuck: None };

    fn opened(uuids: &[&str]) -> Node {
        let mut node = Node::default();
        open(&mut node, uuids);
        node
    }

    fn open(node: &mut Node, uuids: &[&str]) {
        let identity = |uuid: &&str| Identity { uuid: (*uuid).to_owned(), ..Identity::default() };
        node.opened(1_000, "570".into(), uuids.iter().map(identity).collect(), 2);
        answer(node, uuids);
    }

    fn answer(node: &mut Node, uuids: &[&str]) {
        node.swept(uuids.iter().map(|uuid| ((*uuid).to_owned(), Readings::default())).collect());
    }

    /// Which GPUs are healthy.
    fn healthy(node: &Node) -> Vec<String> {
        let gpus = node.report(HEADER).gpus.into_iter();
        gpus.filter(|gpu| gpu.health == Health::Healthy).map(|gpu| gpu.uuid).collect()
    }

    #[test]
    fn a_lost_gpu_stays_in_the_report_and_is_well_when_it_answers() {
        let mut node = opened(&["a", "b"]);
        assert!(node.raised("b", 79));
        answer(&mut node, &["a"]);
        assert_eq!((healthy(&node), node.report(HEADER).gpus.len()), (vec!["a".to_owned()], 2));
        assert!(node.misses_gpus());
        // The driver no longer counts it.
        open(&mut node, &["a"]);
        assert_eq!((healthy(&node), node.report(HEADER).gpus.len()), (vec!["a".to_owned()], 2));
        open(&mut node, &["a", "b"]);
        assert_eq!(healthy(&node), ["a", "b"]);
    }

    #[test]
    fn a_fatal_xid_outlasts_an_initialisation_for_another_gpu() {
        let mut node = opened(&["a", "b"]);
        assert!(node.raised("a", 48));
        assert!(!node.raised("b", 31));
        open(&mut node, &["a", "b"]);
        assert_eq!(healthy(&node), ["b"]);
        node.driver_gone(2_000, "reloaded".into());
        assert_eq!(healthy(&node), Vec::<String>::new());
        open(&mut node, &["a", "b"]);
        assert_eq!(healthy(&node), ["a", "b"]);
    }

    #[test]
    fn epochs_rise_even_if_time_does_not() {
        let mut node = opened(&["a"]);
        let first = node.report(HEADER).epoch;
        open(&mut node, &["a"]);
        assert!(node.report(HEADER).epoch > first);
    }

    #[test]
    fn a_stuck_driver_takes_all_out_and_nothing_is_forgotten() {
        let node = opened(&["a", "b"]);
        let report = node.report(Header { stuck: Some("12 s".repeat(200)), ..HEADER });
        assert!(report.gpus.iter().all(|gpu| gpu.health != Health::Healthy));
        let driver = report.driver.unwrap();
        assert_eq!(driver.state, DriverState::Unresponsive);
        assert_eq!(driver.why.unwrap().len(), TEXT_MAX);
        assert_eq!(healthy(&node), ["a", "b"]);
    }

    #[test]
    fn the_matrix_follows_the_order_of_the_report() {
        let mut node = opened(&["b", "a", "c"]);
        let uuids = vec!["b".to_owned(), "a".to_owned()];
        assert_eq!(node.report(HEADER).device_plugin, None);
        let rows = |there, back| vec![vec![0, there], vec![back, 0]];
        node.linked(Links { uuids, gbps: rows(7, 9), points: rows(10, 10) });
        let report = node.report(HEADER);
        assert_eq!(report.link_gbps, [[0, 9, 0], [7, 0, 0], [0, 0, 0]]);
        assert_eq!(report.device_plugin.unwrap().pair_points, [[0, 10, 0], [10, 0, 0], [0, 0, 0]]);
    }
}
