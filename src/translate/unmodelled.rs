//! Names the rules of a pod that kube-scheduler checks and placement does not.
//!
//! A pod with any of them is planned like others but not narrowed to one node. Rules that are modelled, but of which
//! some part cannot be read, are named where they are read.

use k8s_openapi::api::core::v1::{PodSpec, Volume};

use super::node::is_extended;

/// The rules, by name.
pub(super) fn unmodelled(spec: &PodSpec) -> Vec<&'static str> {
    let rules = [
        ("volumes", spec.volumes.iter().flatten().any(binds_to_nodes)),
        ("resource claims", spec.resource_claims.as_ref().is_some_and(|c| !c.is_empty())),
        ("pod-level resources", asks_as_a_whole(spec)),
        ("scheduling group", spec.scheduling_group.is_some()),
    ];
    rules.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

/// Volumes without a claim that can exclude nodes: by where they are, by how many a node can attach, or by who uses
/// them. Claims are modelled.
fn binds_to_nodes(volume: &Volume) -> bool {
    volume.csi.is_some()
        || volume.gce_persistent_disk.is_some()
        || volume.aws_elastic_block_store.is_some()
        || volume.azure_disk.is_some()
        || volume.cinder.is_some()
        || volume.iscsi.is_some()
        || volume.rbd.is_some()
}

/// Extended resources of the pod as a whole; only those of its containers are counted.
fn asks_as_a_whole(spec: &PodSpec) -> bool {
    let whole = spec.resources.iter().flat_map(|r| [r.requests.as_ref(), r.limits.as_ref()]);
    whole.flatten().flat_map(|amounts| amounts.keys()).any(|name| is_extended(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn each_rule_is_named() {
        let container = |c: Value| json!({ "containers": [c] });
        let volume = |v: Value| json!({ "volumes": [v] });
        let rows: Vec<(Value, &[&str])> = vec![
            (json!({}), &[]),
            (container(json!({ "name": "c", "ports": [{ "containerPort": 80 }] })), &[]),
            (container(json!({ "name": "c", "ports": [{ "containerPort": 80, "hostPort": 80 }] })), &[]),
            (volume(json!({ "name": "v", "persistentVolumeClaim": { "claimName": "x" } })), &[]),
            (volume(json!({ "name": "v", "csi": { "driver": "d" } })), &["volumes"]),
            (volume(json!({ "name": "v", "configMap": { "name": "x" } })), &[]),
            (json!({ "resourceClaims": [{ "name": "gpu" }] }), &["resource claims"]),
            (container(json!({ "name": "c", "resources": { "limits": { "nvidia.com/gpu": "1" } } })), &[]),
            (container(json!({ "name": "c", "resources": { "limits": { "rdma/hca": "1" } } })), &[]),
            (json!({ "resources": { "limits": { "hugepages-2Mi": "4Mi" } } }), &["pod-level resources"]),
            (json!({ "schedulingGroup": { "podGroupName": "g" } }), &["scheduling group"]),
        ];
        for (mut spec, expected) in rows {
            if spec.get("containers").is_none() {
                spec["containers"] = json!([]);
            }
            assert_eq!(unmodelled(&serde_json::from_value(spec.clone()).unwrap()), expected, "{spec}");
        }
    }
}
