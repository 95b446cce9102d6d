//! Bad reports: each is refused with what, where and what next. And every good one survives the way there
//! and back.

#![allow(clippy::unwrap_used, reason = "a test")]

use muster_report::{
    BYTES_MAX, DecodeError, DevicePlugin, Driver, DriverState, GPUS_MAX, Gpu, Health, Report, TEXT_MAX,
    VERSION, decode, encode,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn good() -> Value {
    serde_json::from_str(include_str!("report.v1.json")).unwrap()
}

/// Refuses the golden report after `spoil` and returns the sentence.
fn refused(spoil: impl FnOnce(&mut Value)) -> (DecodeError, String) {
    let mut report = good();
    spoil(&mut report);
    let error = decode(report.to_string().as_bytes()).unwrap_err();
    let sentence = error.to_string();
    (error, sentence)
}

#[test]
fn malformed_json_is_located() {
    let error = decode(b"{\"version\":1,\n \"node\": }").unwrap_err();
    assert!(matches!(error, DecodeError::Malformed(_)));
    assert!(error.to_string().contains("line 2 column 10"), "{error}");
    for body in [&b""[..], b"null", b"[]", b"\xff\xfe", b"{\"version\":\"1\"}"] {
        assert!(matches!(decode(body).unwrap_err(), DecodeError::Malformed(_)), "{body:?}");
    }
}

#[test]
fn missing_and_mistyped_fields_are_named() {
    let (_, sentence) = refused(|r| drop(r.as_object_mut().unwrap().remove("boot_id")));
    assert!(sentence.contains("missing field `boot_id`"), "{sentence}");
    let (error, _) = refused(|r| r["gpus"][0]["memory_mib"] = json!(-1));
    assert!(matches!(error, DecodeError::Malformed(_)));
    let (_, sentence) = refused(|r| r["gpus"][1]["health"] = json!({"state": "degraded"}));
    assert!(sentence.contains("missing field `reason`"), "{sentence}");
}

#[test]
fn a_future_version_is_told_from_a_malformed_one() {
    let error = decode(br#"{"version":2,"anything":["else"]}"#).unwrap_err();
    assert!(matches!(error, DecodeError::UnknownVersion { found: 2 }));
    assert!(error.to_string().contains("upgrade the extender"), "{error}");
    assert!(matches!(decode(br#"{"version":0}"#).unwrap_err(), DecodeError::UnknownVersion { found: 0 }));
}

#[test]
fn a_wrong_matrix_is_refused() {
    let (error, sentence) = refused(|r| r["link_gbps"] = json!([[0, 1]]));
    assert!(matches!(error, DecodeError::MatrixSize { gpus: 2, .. }));
    assert!(sentence.contains("1 rows for 2 GPUs"), "{sentence}");
    let (_, sentence) = refused(|r| r["link_gbps"] = json!([[0, 1], [1]]));
    assert!(sentence.contains("1 numbers in row 1"), "{sentence}");
    let (_, sentence) = refused(|r| r["device_plugin"]["pair_points"] = json!([[0, 1]]));
    assert!(sentence.contains("device_plugin.pair_points: 1 rows for 2 GPUs"), "{sentence}");
    let (_, sentence) = refused(|r| r["device_plugin"]["numa_nodes"] = json!([0]));
    assert!(sentence.contains("device_plugin.numa_nodes: 1 NUMA nodes"), "{sentence}");
    let mut unknown = good();
    unknown["link_gbps"] = json!([]);
    assert!(decode(unknown.to_string().as_bytes()).is_ok());
}

#[test]
fn a_gpu_twice_or_too_many_are_refused() {
    let (error, _) = refused(|r| r["gpus"][1]["uuid"] = r["gpus"][0]["uuid"].clone());
    assert!(matches!(error, DecodeError::DuplicateGpu { uuid } if uuid.ends_with("001")));
    let (error, _) = refused(|r| {
        let gpu = r["gpus"][0].clone();
        let many = (0..=GPUS_MAX).map(|i| {
            let mut gpu = gpu.clone();
            gpu["uuid"] = json!(format!("GPU-{i}"));
            gpu
        });
        r["gpus"] = many.collect();
        r["link_gbps"] = json!([]);
    });
    assert!(matches!(error, DecodeError::TooManyGpus { found: 65 }));
}

#[test]
fn over_long_and_empty_texts_are_refused() {
    let long = json!("x".repeat(TEXT_MAX + 1));
    let (_, sentence) = refused(|r| r["gpus"][1]["health"]["reason"] = long.clone());
    assert!(sentence.starts_with("gpus[1].health.reason: 257 bytes"), "{sentence}");
    let (error, _) = refused(|r| r["node"] = long);
    assert!(matches!(error, DecodeError::TextTooLong { bytes: 257, .. }));
    let (error, _) = refused(|r| r["gpus"][0]["uuid"] = json!(""));
    assert!(matches!(error, DecodeError::TextEmpty { field } if field == "gpus[0].uuid"));
    let (_, sentence) = refused(|r| r["gpus"][0]["utilisation_percent"] = json!(101));
    assert!(sentence.contains("101 %"), "{sentence}");
    assert!(matches!(decode(&vec![b' '; BYTES_MAX + 1]).unwrap_err(), DecodeError::TooLarge { .. }));
}

#[test]
fn unknown_fields_are_tolerated() {
    let mut newer = good();
    newer["fabric"] = json!({"clique": 3});
    newer["gpus"][0]["mig"] = json!(true);
    newer["gpus"][0]["health"]["since_ms"] = json!(5);
    newer["gpus"][1]["health"] = json!({"state": "retired", "since_ms": 5});
    let old: Report = decode(newer.to_string().as_bytes()).unwrap();
    let mut expected = decode(good().to_string().as_bytes()).unwrap();
    expected.gpus[1].health = Health::Other;
    assert_eq!(old, expected);
}

prop_compose! {
    fn any_gpu()(
        model in ".{0,40}", pci_address in "[0-9a-f:.]{0,16}", memory_mib in any::<u64>(), numa_node in any::<Option<u8>>(),
        reason in proptest::option::of(".{0,40}"), utilisation_percent in 0u8..=100, memory_used_mib in any::<u64>(),
        temperature_c in any::<u16>(), power_mw in any::<u32>(), ecc_corrected in any::<Option<u64>>(),
    ) -> Gpu {
        let health = reason.map_or(Health::Healthy, |reason| Health::Unhealthy { reason });
        Gpu {
            uuid: String::new(), model, memory_mib, pci_address, numa_node, health, utilisation_percent,
            memory_used_mib, temperature_c, power_mw, ecc_corrected, ecc_uncorrected: ecc_corrected,
        }
    }
}

prop_compose! {
    fn any_report()(gpus in proptest::collection::vec(any_gpu(), 0..9), known in any::<bool>())(
        link_gbps in proptest::collection::vec(
            proptest::collection::vec(any::<u32>(), gpus.len()), if known { gpus.len() } else { 0 }),
        gpus in Just(gpus), node in ".{1,60}", boot_id in ".{1,60}", epoch in any::<u64>(), sequence in any::<u64>(),
        why in proptest::option::of(".{0,40}"),
    ) -> Report {
        let named = |(at, gpu): (usize, Gpu)| Gpu { uuid: format!("GPU-{at}"), ..gpu };
        let gpus = gpus.into_iter().enumerate().map(named).collect();
        let device_plugin = (!link_gbps.is_empty()).then(|| DevicePlugin {
            pair_points: link_gbps.clone(), numa_nodes: link_gbps.iter().map(|row| u8::try_from(row[0]).ok()).collect(),
        });
        let driver = Some(Driver { state: DriverState::Absent, version: why.clone(), why });
        Report { version: VERSION, node, boot_id, epoch, sequence, gpus, link_gbps, device_plugin, driver }
    }
}

proptest! {
    #[test]
    fn a_report_survives_the_way_there_and_back(report in any_report()) {
        prop_assert_eq!(decode(&encode(&report).unwrap()).unwrap(), report);
    }

    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&body);
    }
}
