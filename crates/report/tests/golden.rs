//! The bytes of version 1 are fixed: agents of one release talk to extenders of another.

use muster_report::{Answer, Gpu, Health, Report, VERSION, decode, encode};

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
    };
    let lost = Gpu {
        pci_address: "0000:2a:00.0".into(),
        numa_node: None,
        health: Health::Unhealthy { reason: "XID 79: GPU has fallen off the bus".into() },
        utilisation_percent: 0,
        memory_used_mib: 0,
        temperature_c: 0,
        power_mw: 0,
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
    }
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
