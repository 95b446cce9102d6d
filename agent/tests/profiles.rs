//! `--once` on every machine that the fake NVML plays: the whole report, in a form for people.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test")]
#[allow(dead_code, unreachable_pub, reason = "shared by tests, each of which uses a part")]
#[allow(clippy::disallowed_methods, reason = "waits for real processes, in real time")]
mod support;

use std::fmt::Write as _;
use std::path::Path;

use muster_report::Report;
use support::{Node, by_bus, sick};

/// Lines for people: GPUs in the order of the bus, then the matrix in that order.
fn normalised(report: &Report) -> String {
    let gpus = by_bus(report);
    let at = |uuid: &str| report.gpus.iter().position(|gpu| gpu.uuid == uuid).unwrap();
    let mut text = format!("driver {}\n", serde_json::to_string(&report.driver).unwrap());
    for gpu in &gpus {
        let _ = writeln!(text, "{}", serde_json::to_string(gpu).unwrap());
    }
    for one in &gpus {
        let row = gpus.iter().map(|other| format!("{:>5}", report.link_gbps[at(&one.uuid)][at(&other.uuid)]));
        let _ = writeln!(text, "{}", row.collect::<String>());
    }
    text
}

/// `UPDATE_GOLDEN=1 cargo test -p muster-agent` writes the files anew.
fn is_golden(profile: &str) {
    let node = Node::playing(&format!("profile: {profile}\nnode: golden\n"));
    let text = normalised(&node.once(&[]));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{profile}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&file).unwrap(), "{}", file.display());
}

#[test]
fn a_hybrid_cube_mesh() {
    is_golden("dgx-1v");
}

#[test]
fn eight_a100_behind_switches() {
    is_golden("dgx-a100");
}

#[test]
fn eight_h100_behind_switches() {
    is_golden("dgx-h100");
}

#[test]
fn four_l40s_on_pcie() {
    is_golden("l40s");
}

/// The agent's points are those that the device plugin's own code computed on the same machines.
#[test]
fn points_are_the_device_plugins() {
    let golden = [
        ("dgx-1v", include_str!("../../crates/placement/tests/gpuallocator/dgx1v.txt")),
        ("dgx-a100", include_str!("../../crates/placement/tests/gpuallocator/a100-nvswitch.txt")),
        ("a100-bridged", include_str!("../../crates/placement/tests/gpuallocator/pcie-bridged.txt")),
        ("l40s-8", include_str!("../../crates/placement/tests/gpuallocator/l40s.txt")),
    ];
    for (profile, vectors) in golden {
        let report = Node::playing(&format!("profile: {profile}\nnode: n\n")).once(&[]);
        let points = &report.device_plugin.as_ref().unwrap().pair_points;
        let at =
            |gpu: &muster_report::Gpu| report.gpus.iter().position(|other| other.uuid == gpu.uuid).unwrap();
        let order: Vec<usize> = by_bus(&report).into_iter().map(at).collect();
        let row = |a: &usize| order.iter().map(|b| points[*a][*b].to_string()).collect::<Vec<_>>().join(" ");
        let rows: Vec<String> = order.iter().map(row).collect();
        assert_eq!(rows, vectors.lines().take(8).collect::<Vec<_>>(), "{profile}");
    }
}

#[test]
fn what_it_does_now_is_in_the_report() {
    let node = Node::playing(include_str!("../fake-nvml/scenarios/busy-dgx-a100.yaml"));
    let report = node.once(&[]);
    let first = by_bus(&report)[0];
    let readings = (first.utilisation_percent, first.memory_used_mib, first.temperature_c, first.power_mw);
    assert_eq!(readings, (97, 70_112, 61, 371_000));
    assert_eq!((by_bus(&report)[1].ecc_corrected, sick(&report)), (Some(12), vec![]));
}

#[test]
fn a_link_that_is_down_makes_its_pair_slower() {
    let slower = |down: &str| {
        let node =
            Node::playing(&format!("profile: dgx-a100\nnode: n\ngpus: {{5: {{links_down: [{down}]}}}}\n"));
        let report = node.once(&[]);
        let own = report.gpus.iter().position(|gpu| gpu.pci_address == "0000:90:00.0").unwrap();
        let mut rates: Vec<u32> = report.link_gbps.concat();
        rates.retain(|rate| *rate > 0);
        (report.link_gbps[own].iter().copied().max().unwrap(), rates.into_iter().max().unwrap())
    };
    assert_eq!(slower(""), (2400, 2400));
    assert_eq!(slower("0, 7"), (2000, 2400));
}

/// Old drivers do not say what is at the other end of a link, and virtual machines not even where that is.
#[test]
fn links_whose_other_end_is_not_told_are_still_counted() {
    let rates = |profile: &str, missing: &str| {
        let node = Node::playing(&format!("profile: {profile}\nnode: n\nmissing: [{missing}]\n"));
        node.once(&[]).link_gbps
    };
    let kind = "nvmlDeviceGetNvLinkRemoteDeviceType";
    let address = "nvmlDeviceGetNvLinkRemotePciInfo_v2";
    assert_eq!(rates("dgx-1v", kind), rates("dgx-1v", ""));
    assert_eq!(rates("dgx-a100", &format!("{kind}, {address}")), rates("dgx-a100", ""));
    let nothing = rates("dgx-1v", "nvmlDeviceGetNvLinkState").concat();
    assert_eq!(nothing.into_iter().max(), Some(96), "only PCIe is left");
}

#[test]
fn sysfs_says_the_numa_node_before_the_driver_does() {
    let node = Node::playing("profile: l40s\nnode: n\n");
    let device = node.folder().join("sys/bus/pci/devices/0000:3d:00.0");
    std::fs::create_dir_all(&device).unwrap();
    std::fs::write(device.join("numa_node"), "6\n").unwrap();
    let report = node.once(&[]);
    assert_eq!(by_bus(&report)[0].numa_node, Some(6));
    // The plugin asks nobody but sysfs, and this one has a single file.
    let told = |report: &Report| report.device_plugin.clone().unwrap().numa_nodes.into_iter().flatten().max();
    assert_eq!(told(&report), Some(6));
    // What a virtual machine may say.
    std::fs::write(device.join("numa_node"), "-1\n").unwrap();
    let report = node.once(&[]);
    assert_eq!((by_bus(&report)[0].numa_node, told(&report)), (Some(0), None));
}
