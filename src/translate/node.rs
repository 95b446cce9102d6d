//! `core/v1` Node → [`Node`].

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node as ApiNode, Taint as ApiTaint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use muster_placement::ids::{Name, NodeName};
use muster_placement::node::Node;
use muster_placement::resources::{GPU_RESOURCE, Resources};
use muster_placement::taint::{Taint, TaintEffect};

use super::labels;
use super::quantity::{CAP, milli, whole};

/// Translates a node. Resources that it does not state, or not readably, are zero.
pub fn node(node: &ApiNode) -> Node {
    let spec = node.spec.as_ref();
    let allocatable = node.status.as_ref().and_then(|s| s.allocatable.as_ref());
    Node {
        name: NodeName::from(node.metadata.name.as_deref().unwrap_or_default()),
        labels: labels(node.metadata.labels.as_ref()),
        taints: spec.and_then(|s| s.taints.as_ref()).into_iter().flatten().map(taint).collect(),
        cordoned: spec.and_then(|s| s.unschedulable).unwrap_or(false),
        allocatable: allocatable.map(offered).unwrap_or_default(),
        extended: allocatable.map(extended).unwrap_or_default(),
    }
}

/// One below the cap, so that a pod whose request is unreadable and therefore the cap fits on no node.
fn offered(amounts: &BTreeMap<String, Quantity>) -> Resources {
    let limit = |n: Option<u64>| n.unwrap_or(0).min(CAP - 1);
    let count = |name: &str| limit(amounts.get(name).and_then(whole));
    Resources {
        gpus: count(GPU_RESOURCE),
        cpu_milli: limit(amounts.get("cpu").and_then(milli)),
        memory: count("memory"),
        ephemeral: count("ephemeral-storage"),
        pods: count("pods"),
    }
}

/// Extended resources and huge pages. Below the cap, as above.
fn extended(amounts: &BTreeMap<String, Quantity>) -> BTreeMap<Name, u64> {
    let amount = |(name, quantity): (&String, &Quantity)| {
        is_extended(name).then(|| (Name::from(name.as_str()), whole(quantity).unwrap_or(0).min(CAP - 1)))
    };
    amounts.iter().filter_map(amount).collect()
}

/// Whether it is counted by its name only: `DOMAIN/NAME`, or huge pages of a size.
pub(super) fn is_extended(name: &str) -> bool {
    name != GPU_RESOURCE && (name.contains('/') || name.starts_with("hugepages-"))
}

fn taint(taint: &ApiTaint) -> Taint {
    Taint {
        key: Name::from(taint.key.as_str()),
        value: Name::from(taint.value.as_deref().unwrap_or_default()),
        // An effect from the future keeps pods away until we know it.
        effect: effect(&taint.effect).unwrap_or(TaintEffect::NoSchedule),
    }
}

/// The effect of a taint or toleration.
pub(super) fn effect(text: &str) -> Option<TaintEffect> {
    Some(match text {
        "NoSchedule" => TaintEffect::NoSchedule,
        "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
        "NoExecute" => TaintEffect::NoExecute,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn translated(value: Value) -> Node {
        node(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_gpu_node() {
        let node = translated(json!({
            "metadata": { "name": "gpu-1", "labels": { "zone": "a" } },
            "spec": { "unschedulable": true, "taints": [
                { "key": "gpu", "value": "yes", "effect": "NoSchedule" },
                { "key": "future", "effect": "NoScheduleOnTuesdays" } ] },
            "status": { "allocatable": {
                "cpu": "63500m", "memory": "512Gi", "ephemeral-storage": "1Ti", "pods": "110",
                "nvidia.com/gpu": "8", "hugepages-2Mi": "0" } },
        }));
        assert_eq!(node.name.as_str(), "gpu-1");
        assert_eq!(node.labels[&Name::from("zone")].as_str(), "a");
        assert!(node.cordoned);
        let effects: Vec<_> =
            node.taints.iter().map(|t| (t.key.as_str(), t.value.as_str(), t.effect)).collect();
        assert_eq!(
            effects,
            [("gpu", "yes", TaintEffect::NoSchedule), ("future", "", TaintEffect::NoSchedule)]
        );
        assert_eq!(
            node.allocatable,
            Resources { gpus: 8, cpu_milli: 63_500, memory: 512 << 30, ephemeral: 1 << 40, pods: 110 }
        );
    }

    #[test]
    fn a_node_that_says_nothing_or_nonsense_offers_nothing() {
        assert_eq!(translated(json!({ "metadata": { "name": "n" } })).allocatable, Resources::default());
        let nonsense =
            json!({ "metadata": {}, "status": { "allocatable": { "nvidia.com/gpu": "lots", "cpu": "-1" } } });
        assert_eq!(translated(nonsense).allocatable, Resources::default());
    }

    #[test]
    fn no_node_is_large_enough_for_an_unreadable_request() {
        let huge = json!({ "metadata": {}, "status": { "allocatable": { "nvidia.com/gpu": "9E" } } });
        assert!(translated(huge).allocatable.gpus < CAP);
    }
}
