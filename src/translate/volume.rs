//! Claims, volumes, storage classes and CSI limits → what decides where a pod that mounts a claim may run.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PodSpec};
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use muster_placement::ids::Name;
use muster_placement::pvc::PvcName;
use muster_placement::selector::{Operator, Requirement, Term};

use super::constraints::term;

/// A claim as it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) phase: Phase,
    pub(crate) volume: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) single_pod: bool,
}

/// `status.phase` of a claim; one that is being deleted counts as lost, as it does for kube-scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    Bound,
    Lost,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    /// Node affinity and zone labels; `None` if it can be used from everywhere.
    pub(crate) reach: Option<Vec<Term>>,
    /// CSI driver.
    pub(crate) driver: Option<String>,
    class: Option<String>,
    available: bool,
}

impl Made {
    /// Whether it waits for a claim of this class.
    pub(crate) fn free_of(&self, class: &str) -> bool {
        self.available && self.class.as_deref() == Some(class)
    }
}

/// A storage class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    /// `WaitForFirstConsumer`.
    pub(crate) waits: bool,
    /// Whether volumes are made on demand.
    pub(crate) provisions: bool,
    /// `allowedTopologies`.
    pub(crate) allowed: Option<Vec<Term>>,
}

/// The claims that a pod mounts, those of its ephemeral volumes included (`POD-VOLUME`), sorted.
pub(super) fn pvcs(namespace: &str, pod: &str, spec: &PodSpec) -> Vec<PvcName> {
    let named = |name: &str| PvcName { namespace: Name::from(namespace), name: Name::from(name) };
    let mut all: Vec<PvcName> = Vec::new();
    for volume in spec.volumes.iter().flatten() {
        all.extend(volume.persistent_volume_claim.as_ref().map(|claim| named(&claim.claim_name)));
        all.extend(volume.ephemeral.as_ref().map(|_| named(&format!("{pod}-{}", volume.name))));
    }
    all.sort();
    all.dedup();
    all
}

/// Reads a claim.
pub(crate) fn claimed(pvc: &PersistentVolumeClaim) -> Claimed {
    let spec = pvc.spec.as_ref();
    let said = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let phase = match pvc.status.as_ref().and_then(|status| status.phase.as_deref()) {
        _ if pvc.metadata.deletion_timestamp.is_some() => Phase::Lost,
        Some("Bound") => Phase::Bound,
        Some("Lost") => Phase::Lost,
        _ => Phase::Pending,
    };
    let modes = spec.and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    Claimed {
        phase,
        volume: said(spec.and_then(|spec| spec.volume_name.as_ref())),
        class: said(spec.and_then(|spec| spec.storage_class_name.as_ref())),
        single_pod: modes.iter().any(|mode| mode == "ReadWriteOncePod"),
    }
}

/// Reads a volume.
pub(crate) fn made(pv: &PersistentVolume) -> Made {
    let spec = pv.spec.as_ref();
    let required = spec.and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
    // A term that cannot be read matches nothing.
    let terms = required.map(|required| {
        required.node_selector_terms.iter().map(|t| term(t).unwrap_or_default()).collect::<Vec<Term>>()
    });
    Made {
        reach: within(terms, zones(pv)),
        driver: spec.and_then(|spec| Some(spec.csi.as_ref()?.driver.clone())),
        class: spec.and_then(|spec| spec.storage_class_name.clone()),
        available: pv.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Available"),
    }
}

/// Every term with further requirements; a term of its own if there is none.
fn within(terms: Option<Vec<Term>>, further: Vec<Requirement>) -> Option<Vec<Term>> {
    if further.is_empty() {
        return terms;
    }
    let Some(terms) = terms else { return Some(vec![Term { expressions: further, fields: Vec::new() }]) };
    let narrowed = terms.into_iter().map(|mut term| {
        if !term.expressions.is_empty() || !term.fields.is_empty() {
            term.expressions.extend(further.iter().cloned());
        }
        term
    });
    Some(narrowed.collect())
}

/// Zone and region labels of a volume, which its node must share (kube-scheduler's `VolumeZone`): sets joined by `__`.
fn zones(pv: &PersistentVolume) -> Vec<Requirement> {
    let keys = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];
    let labels = pv.metadata.labels.as_ref();
    let of = |key: &str| Some((Name::from(key), labels?.get(key)?.split("__").map(Name::from).collect()));
    let found = keys.into_iter().filter_map(of);
    found.map(|(key, values)| Requirement { key, operator: Operator::In, values }).collect()
}

/// Reads a storage class.
pub(crate) fn class(class: &StorageClass) -> Class {
    let allowed = class.allowed_topologies.as_ref().filter(|terms| !terms.is_empty()).map(|terms| {
        let read = |term: &k8s_openapi::api::core::v1::TopologySelectorTerm| Term {
            expressions: (term.match_label_expressions.iter().flatten())
                .map(|one| Requirement {
                    key: Name::from(one.key.as_str()),
                    operator: Operator::In,
                    values: one.values.iter().map(|value| Name::from(value.as_str())).collect(),
                })
                .collect(),
            fields: Vec::new(),
        };
        terms.iter().map(read).collect()
    });
    Class {
        waits: class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"),
        provisions: class.provisioner != "kubernetes.io/no-provisioner",
        allowed,
    }
}

/// The drivers of which a node can attach only so many volumes.
pub(crate) fn limited_drivers(node: &CSINode) -> BTreeSet<String> {
    let drivers = node.spec.drivers.iter();
    let limited = drivers.filter(|driver| driver.allocatable.as_ref().is_some_and(|a| a.count.is_some()));
    limited.map(|driver| driver.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn zone_labels_and_affinity_both_hold() {
        let affinity = json!({ "required": { "nodeSelectorTerms": [
            { "matchExpressions": [{ "key": "disk", "operator": "Exists" }] }, {}] } });
        let pv = |affinity: serde_json::Value| -> PersistentVolume {
            serde_json::from_value(json!({
                "metadata": { "name": "pv", "labels": { "topology.kubernetes.io/zone": "a__b" } },
                "spec": { "nodeAffinity": affinity } }))
            .unwrap()
        };
        let both = made(&pv(affinity)).reach.unwrap();
        assert_eq!(both[0].expressions.len(), 2);
        assert_eq!(both[1], Term::default(), "an empty term matches nothing and stays so");
        let alone = made(&pv(json!(null))).reach.unwrap();
        assert_eq!(alone[0].expressions[0].values.len(), 2);
    }

    #[test]
    fn a_pod_mounts_claims_and_ephemeral_ones() {
        let spec: PodSpec = serde_json::from_value(json!({ "containers": [], "volumes": [
            { "name": "scratch", "ephemeral": {} },
            { "name": "d", "persistentVolumeClaim": { "claimName": "data" } },
            { "name": "again", "persistentVolumeClaim": { "claimName": "data" } },
            { "name": "code", "configMap": { "name": "code" } }] }))
        .unwrap();
        let names: Vec<String> = pvcs("ns", "pod-0", &spec).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["ns/data", "ns/pod-0-scratch"]);
    }
}
