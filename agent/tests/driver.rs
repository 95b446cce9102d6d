//! Drivers that are absent, wrong, incomplete or late, and scenarios with mistakes: a clear word, no end of the
//! agent, and recovery.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test")]
#[allow(dead_code, unreachable_pub, reason = "shared by tests, each of which uses a part")]
#[allow(clippy::disallowed_methods, reason = "waits for real processes, in real time")]
mod support;

use muster_report::{DriverState, Report};
use support::{ACCEPTED, Extender, Node, library_without, sick};

const IDLE: &str = "profile: l40s\nnode: n\n";

fn driver(report: &Report) -> (DriverState, String) {
    let driver = report.driver.clone().unwrap();
    (driver.state, driver.why.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_driver_reports_no_gpus_and_gets_them_when_it_comes() {
    let node = Node::playing("profile: l40s\nnode: n\ndriver: {state: absent}\n");
    let extender = Extender::start(ACCEPTED).await;
    let mut agent = node.start(&extender.url, &[]);
    let none = extender.next(&agent, "a report", |_| true).await;
    assert_eq!((none.gpus.len(), driver(&none).0), (0, DriverState::Absent));
    assert!(driver(&none).1.contains("finds no kernel driver; the PCI bus has no NVIDIA GPU"), "{none:?}");
    agent.measured(r#"muster_agent_driver{state="absent"} 1"#).await;
    node.play(IDLE);
    let there = extender.next(&agent, "GPUs", |r| r.gpus.len() == 4).await;
    assert_eq!((driver(&there).0, there.epoch > none.epoch), (DriverState::Loaded, true));
    agent.measured(r#"muster_agent_driver{state="loaded"} 1"#).await;
    // It is unloaded under the agent: the GPUs stay, and nobody gets them.
    node.play("profile: l40s\nnode: n\ndriver: {state: absent}\n");
    let gone = extender.next(&agent, "the loss", |r| driver(r).0 == DriverState::Absent).await;
    assert_eq!(sick(&gone).len(), 4);
    node.play(IDLE);
    extender.next(&agent, "recovery", |r| r.gpus.len() == 4 && sick(r).is_empty()).await;
    assert!(agent.is_running());
    assert_eq!(agent.log().matches("no driver:").count(), 2, "each state is logged once\n{}", agent.log());
}

#[test]
fn a_gpu_on_the_bus_without_a_driver_is_named() {
    let node = Node::playing("profile: l40s\nnode: n\ndriver: {state: absent}\n");
    let device = node.folder().join("sys/bus/pci/devices/0000:3d:00.0");
    std::fs::create_dir_all(&device).unwrap();
    std::fs::write(device.join("vendor"), "0x10de\n").unwrap();
    std::fs::write(device.join("class"), "0x030200\n").unwrap();
    let (_, why) = driver(&node.once(&[]));
    assert!(why.contains("NVIDIA GPUs (1): install the driver"), "{why}");
}

#[test]
fn a_library_that_is_not_nvml_is_named() {
    let node = Node::playing(IDLE);
    let text = node.folder().join("text");
    std::fs::write(&text, "not a library").unwrap();
    let table = [
        (
            "libc.so.6",
            "is not NVML: it has no nvmlInit_v2; give the driver's libnvidia-ml.so.1 to --nvml-library",
        ),
        ("/nowhere/libnvidia-ml.so.1", "cannot load /nowhere/libnvidia-ml.so.1"),
        (text.to_str().unwrap(), "file too short"),
    ];
    for (library, expected) in table {
        let report = node.once(&["--nvml-library", library]);
        let (state, why) = driver(&report);
        assert_eq!((state, report.gpus.len()), (DriverState::Absent, 0), "{library}");
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn an_old_library_is_used_as_far_as_it_goes() {
    let node = Node::playing("profile: l40s\nnode: n\ngpus: {0: {memory_used_mib: 1000}}\n");
    // The first version of the call counts what the driver keeps for itself, 450 MiB of each, as used.
    let table = [
        ("nvmlDeviceGetMemoryInfo_v2", 2800),
        ("nvmlDeviceGetNvLinkState", 1000),
        ("nvmlEventSetCreate", 1000),
    ];
    for (symbol, used) in table {
        let library = library_without(symbol, node.folder());
        let report = node.once(&["--nvml-library", library.to_str().unwrap()]);
        assert_eq!((report.gpus.len(), sick(&report)), (4, vec![]), "without {symbol}");
        assert_eq!(report.gpus.iter().map(|gpu| gpu.memory_used_mib).sum::<u64>(), used, "without {symbol}");
        assert!(report.gpus.iter().all(|gpu| gpu.memory_mib == 46_068), "without {symbol}");
    }
    let library = library_without("nvmlDeviceGetUUID", node.folder());
    let (state, why) = driver(&node.once(&["--nvml-library", library.to_str().unwrap()]));
    assert_eq!(state, DriverState::Absent);
    assert!(why.contains("has no nvmlDeviceGetUUID; the driver is too old or broken"), "{why}");
}

#[test]
fn a_function_that_the_kernel_driver_lacks_costs_its_reading_only() {
    let node =
        Node::playing("profile: l40s\nnode: n\nmissing: [nvmlDeviceGetPowerUsage, nvmlDeviceGetName]\n");
    let report = node.once(&[]);
    assert!(
        report.gpus.iter().all(|gpu| gpu.power_mw == 0 && gpu.model.is_empty() && gpu.temperature_c == 29)
    );
    assert_eq!(sick(&report), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_stops_answering_is_reported_while_it_hangs() {
    let (node, extender) = (Node::playing(IDLE), Extender::start(ACCEPTED).await);
    let mut agent = node.start(&extender.url, &["--driver-timeout", "300ms"]);
    extender.next(&agent, "a first report", |r| r.gpus.len() == 4 && sick(r).is_empty()).await;
    node.play("profile: l40s\nnode: n\ndriver: {call_delay_ms: 600000}\n");
    let hangs = extender.next(&agent, "the hang", |r| driver(r).0 == DriverState::Unresponsive).await;
    assert_eq!(sick(&hangs).len(), 4);
    assert!(driver(&hangs).1.contains("has not returned for over 300ms"), "{hangs:?}");
    agent.measured(r#"muster_agent_driver{state="unresponsive"} 1"#).await;
    // Reports go on, one after the other.
    extender.next(&agent, "later reports", |r| r.sequence > hangs.sequence + 5).await;
    node.play(IDLE);
    let back =
        extender.next(&agent, "recovery", |r| driver(r).0 == DriverState::Loaded && sick(r).is_empty()).await;
    assert_eq!(back.gpus.len(), 4);
    assert_eq!(agent.log().matches("driver unresponsive:").count(), 1, "{}", agent.log());
    node.play("profile: l40s\nnode: n\ndriver: {call_delay_ms: 600000}\n");
    extender.next(&agent, "the hang", |r| driver(r).0 == DriverState::Unresponsive).await;
    assert!(agent.terminate().success(), "a hanging driver does not keep SIGTERM from ending the agent");
}

#[test]
fn one_report_of_a_driver_that_hangs_says_so() {
    let node = Node::playing("profile: l40s\nnode: n\ndriver: {init_delay_ms: 600000}\n");
    let (state, why) = driver(&node.once(&["--driver-timeout", "100ms"]));
    assert_eq!(state, DriverState::Unresponsive, "{why}");
    let late = Node::playing(include_str!("../fake-nvml/scenarios/late-l40s.yaml"));
    let report = late.once(&[]);
    assert_eq!((driver(&report).0, report.gpus.len()), (DriverState::Loaded, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_scenario_is_named_and_the_last_good_one_stays() {
    let (node, extender) = (Node::playing(IDLE), Extender::start(ACCEPTED).await);
    let agent = node.start(&extender.url, &[]);
    extender.next(&agent, "a first report", |r| r.gpus.len() == 4).await;
    let mistakes = [
        ("profile: l40s\nnode: n\ngpus: {0: {utilisation: 3}}\n", "utilisation"),
        ("profile: l40s\nnode: n\ngpus: {4: {}}\n", "there is no GPU 4; the profile has 0 to 3"),
        (
            "profile: l40s\nnode: n\ngpus: {0: {utilisation_percent: 101}}\n",
            "gpus.0.utilisation_percent: 101 is more than 100",
        ),
        (
            "profile: l41s\nnode: n\n",
            "there is no \"l41s\"; there are dgx-1v, dgx-a100, dgx-h100, a100-bridged, l40s, l40s-8",
        ),
        ("profile: [", "malformed"),
    ];
    for (text, expected) in mistakes {
        node.play(text);
        let log = agent.logged(expected).await;
        assert!(log.contains("the last good scenario stays in force"), "{log}");
        let report = extender.next(&agent, "a report", |_| true).await;
        assert_eq!((report.gpus.len(), sick(&report)), (4, vec![]));
    }
    node.play("profile: l40s\nnode: n\ngpus: {0: {utilisation_percent: 7}}\n");
    extender.next(&agent, "the mended one", |r| r.gpus.iter().any(|gpu| gpu.utilisation_percent == 7)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_that_never_was_good_fails_the_initialisation_until_it_is() {
    let (node, extender) = (Node::playing("profile: l40s\n"), Extender::start(ACCEPTED).await);
    let agent = node.start(&extender.url, &[]);
    let none = extender.next(&agent, "a report", |_| true).await;
    assert!(driver(&none).1.contains("nvmlInit failed"), "{none:?}");
    agent.logged("initialisation fails until it is mended").await;
    node.play(IDLE);
    extender.next(&agent, "GPUs", |r| r.gpus.len() == 4).await;
}
