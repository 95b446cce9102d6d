//! Pods and owners for the tests of the recognisers.

use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use muster_placement::pod::Membership;
use serde_json::{Value, json};

use super::Recognition;

/// A pod as a real operator made it: a file of `tests/fixtures/pods`.
pub(super) fn pod(file: &str) -> Pod {
    let path = format!("{}/tests/fixtures/pods/{file}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A pod in namespace `default` with these labels.
pub(super) fn labelled(labels: &[(&str, &str)]) -> Pod {
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect::<serde_json::Map<_, _>>();
    serde_json::from_value(json!({ "metadata": { "namespace": "default", "name": "p", "labels": labels } }))
        .unwrap()
}

/// An owner in namespace `default` with this `spec`.
pub(super) fn owner(name: &str, spec: &Value) -> DynamicObject {
    let meta = json!({ "namespace": "default", "name": name, "uid": "u1" });
    serde_json::from_value(json!({ "metadata": meta, "spec": spec })).unwrap()
}

/// One line of what was recognised.
pub(super) fn summary(recognition: &Recognition) -> String {
    match &recognition.membership {
        Membership::Member(m) => format!("{} {} {} {:?}", m.gang, m.role, m.index, m.size),
        other => format!("{}: {other:?}", recognition.kind),
    }
}
