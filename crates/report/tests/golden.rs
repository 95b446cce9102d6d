//! The bytes of version 1 are fixed: agents of one release talk to extenders of another.

use muster_report::{
    Answer, DevicePlugin, Driver, DriverState, Gpu, Health, Report, VERSION, decode, encode,
};

const REPORT: &str = include_str!("report.v1.json");
const ANSWER: &str = include_str!("answer.v1.json");

fn report() -> Report {
    let gpu = |last: &str| Gpu {
        uuid: format!("GPU-8a1f5b7e-0000-4c1d-9d2f-00000000000{last}"),
        model: "NVIDIA H100 80GB HBM3".into(),
        memory_mib: 81_559,
        pci_address: "0000:18:00.0".into(),
        numa_node: Some(0),
        health: Health::Healthy,
        utilisation_percent: 97,
        memory_used_mib: 70_112,
        temperature_c: 61,
        power_mw: 643_210,
        ecc_corrected: Some(3),
        ecc_uncorrected: Some(0),
    };
    let lost = Gpu {
        pci_address: "0000:2a:00.0".into(),
        numa_node: None,
        health: Health::Unhealthy { reason: "XID 79: GPU has fallen off the bus".into() },
        utilisation_percent: 0,
        memory_used_mib: 0,
        temperature_c: 0,
        power_mw: 0,
        ecc_corrected: None,
        ecc_uncorrected: None,
        ..gpu("2")
    };
    Report {
        version: VERSION,
        node: "gpu-0003".into(),
        boot_id: "5cb6bd0c-1ff8-4ab5-a06b-b1a3ec4a4d0f".into(),
        epoch: 41_250,
        sequence: 17,
        gpus: vec![gpu("1"), lost],
        link_gbps: vec![vec![0, 3600], vec![3600, 0]],
        device_plugin: Some(DevicePlugin {
            pair_points: vec![vec![0, 20], vec![20, 0]],
            numa_nodes: vec![Some(0), None],
        }),
        driver: Some(Driver { state: DriverState::Loaded, why: None, version: Some("570.86.15".into()) }),
    }
}

/// What agents sent before fields were added is still a report.
#[test]
fn a_report_without_the_added_fields_is_read() {
    let mut old: serde_json::Value = serde_json::from_str(REPORT).unwrap();
    old.as_object_mut().unwrap().remove("driver");
    old.as_object_mut().unwrap().remove("device_plugin");
    for gpu in old["gpus"].as_array_mut().unwrap() {
        let gpu = gpu.as_object_mut().unwrap();
        gpu.remove("ecc_corrected");
        gpu.remove("ecc_uncorrected");
    }
    let read = decode(old.to_string().as_bytes()).unwrap();
    assert_eq!((read.driver, read.device_plugin, read.gpus[0].ecc_corrected), (None, None, None));
}

#[test]
fn a_later_state_of_the_driver_is_no_fault() {
    let mut later: serde_json::Value = serde_json::from_str(REPORT).unwrap();
    later["driver"]["state"] = "paused".into();
    let read = decode(later.to_string().as_bytes()).unwrap();
    assert_eq!(read.driver.unwrap().state, DriverState::Other);
}

#[test]
fn the_committed_bytes_decode_to_the_report() {
    assert_eq!(decode(REPORT.as_bytes()).unwrap(), report());
}

#[test]
fn the_report_encodes_to_the_committed_bytes() {
    // The file is spread over lines for people; the wire is the same without white space.
    let pretty = serde_json::to_string_pretty(&report()).unwrap();
    assert_eq!(pretty, REPORT.trim_end());
    let compact: serde_json::Value = serde_json::from_slice(&encode(&report()).unwrap()).unwrap();
    assert_eq!(compact, serde_json::from_str::<serde_json::Value>(REPORT).unwrap());
}

#[test]
fn the_answer_is_fixed_both_ways() {
    let answer = Answer { interval_ms: 5000, resync: false };
    assert_eq!(answer.encode().unwrap(), ANSWER.trim_end().as_bytes());
    assert_eq!(Answer::decode(ANSWER.as_bytes()).unwrap(), answer);
    assert_eq!(Answer::decode(br#"{"interval_ms":5000,"later":1}"#).unwrap(), answer);
}
