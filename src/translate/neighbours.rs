//! Required pod affinity and anti-affinity, and topology spread constraints → [`Neighbours`].
//!
//! A term that picks namespaces by their labels is left out and named: namespaces are not watched. So is a selector
//! that cannot be read.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PodAffinityTerm, PodSpec, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use muster_placement::affinity::{AffinityTerm, Namespaces, Neighbours, PodSelector};
use muster_placement::ids::Name;
use muster_placement::selector::{Labels, Operator, Requirement};
use muster_placement::spread::Spread;

/// Rules about other pods, and which of them are incomplete.
#[derive(Default)]
pub(super) struct Translated {
    pub(super) neighbours: Neighbours,
    /// A term of pod affinity or anti-affinity was left out.
    pub(super) affinity_incomplete: bool,
    /// A spread constraint was left out.
    pub(super) spread_incomplete: bool,
}

/// Reads the rules of a pod in `namespace` with these labels.
pub(super) fn neighbours(spec: &PodSpec, namespace: &str, labels: &Labels) -> Translated {
    let affinity = spec.affinity.as_ref();
    let near = affinity.and_then(|a| a.pod_affinity.as_ref());
    let near = near.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_deref());
    let apart = affinity.and_then(|a| a.pod_anti_affinity.as_ref());
    let apart = apart.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_deref());
    let (near, apart) = (near.unwrap_or_default(), apart.unwrap_or_default());
    let terms = |terms: &[PodAffinityTerm]| terms.iter().filter_map(|t| term(t, namespace)).collect();
    // Anything but the one value that is only a preference.
    let asked = spec.topology_spread_constraints.iter().flatten();
    let asked: Vec<_> = asked.filter(|c| c.when_unsatisfiable != "ScheduleAnyway").collect();
    let neighbours = Neighbours {
        near: terms(near),
        apart: terms(apart),
        spread: asked.iter().filter_map(|c| spread(c, labels)).collect(),
    };
    Translated {
        affinity_incomplete: neighbours.near.len() < near.len() || neighbours.apart.len() < apart.len(),
        spread_incomplete: neighbours.spread.len() < asked.len(),
        neighbours,
    }
}

fn term(term: &PodAffinityTerm, namespace: &str) -> Option<AffinityTerm> {
    let named: BTreeSet<Name> = term.namespaces.iter().flatten().map(|n| Name::from(n.as_str())).collect();
    let namespaces = match &term.namespace_selector {
        None if named.is_empty() => Namespaces::These([Name::from(namespace)].into()),
        None => Namespaces::These(named),
        Some(selector) if selects_all(selector) => Namespaces::All,
        Some(_) => return None,
    };
    let topology_key = Name::from(term.topology_key.as_str());
    Some(AffinityTerm { topology_key, pods: pods(term.label_selector.as_ref())?, namespaces })
}

fn selects_all(selector: &LabelSelector) -> bool {
    selector.match_labels.iter().flatten().next().is_none()
        && selector.match_expressions.iter().flatten().next().is_none()
}

fn spread(constraint: &TopologySpreadConstraint, labels: &Labels) -> Option<Spread> {
    if constraint.when_unsatisfiable != "DoNotSchedule" {
        return None;
    }
    let mut pods = pods(constraint.label_selector.as_ref())?;
    // The API server merges them in since 1.34; a requirement said twice is the same.
    for key in constraint.match_label_keys.iter().flatten() {
        if let Some((key, value)) = labels.get_key_value(key.as_str()) {
            pods.0.get_or_insert_default().push(equals(key.clone(), value.clone()));
        }
    }
    let at_least_one = |n: Option<i32>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(1).max(1);
    Some(Spread {
        topology_key: Name::from(constraint.topology_key.as_str()),
        pods,
        max_skew: at_least_one(Some(constraint.max_skew)),
        min_domains: at_least_one(constraint.min_domains),
        honour_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
        honour_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
    })
}

/// A selector; `None` if it cannot be read. One that is absent selects nothing.
fn pods(selector: Option<&LabelSelector>) -> Option<PodSelector> {
    let Some(selector) = selector else { return Some(PodSelector(None)) };
    let labels = selector.match_labels.iter().flatten();
    let labels = labels.map(|(key, value)| Some(equals(key.as_str().into(), value.as_str().into())));
    let expressions = selector.match_expressions.iter().flatten().map(requirement);
    Some(PodSelector(Some(labels.chain(expressions).collect::<Option<Vec<_>>>()?)))
}

fn equals(key: Name, value: Name) -> Requirement {
    Requirement { key, operator: Operator::In, values: vec![value] }
}

fn requirement(requirement: &LabelSelectorRequirement) -> Option<Requirement> {
    let operator = match requirement.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        _ => return None,
    };
    let values = requirement.values.iter().flatten().map(|v| Name::from(v.as_str())).collect();
    Some(Requirement { key: Name::from(requirement.key.as_str()), operator, values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn translated(mut spec: Value) -> Translated {
        spec["containers"] = json!([]);
        let labels = [("app", "a"), ("hash", "7")].map(|(k, v)| (Name::from(k), Name::from(v))).into();
        neighbours(&serde_json::from_value(spec).unwrap(), "here", &labels)
    }

    fn apart(term: &Value) -> Translated {
        let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [term] });
        translated(json!({ "affinity": { "podAntiAffinity": required } }))
    }

    #[test]
    fn terms() {
        let selector = json!({ "matchLabels": { "app": "a" },
            "matchExpressions": [{ "key": "tier", "operator": "NotIn", "values": ["x", "y"] }] });
        let t = apart(&json!({ "topologyKey": "zone", "labelSelector": selector }));
        assert!(!t.affinity_incomplete);
        let [term] = &t.neighbours.apart[..] else { panic!("one term") };
        assert_eq!(term.topology_key.as_str(), "zone");
        assert_eq!(term.namespaces, Namespaces::These([Name::from("here")].into()));
        let read: Vec<_> =
            term.pods.0.iter().flatten().map(|r| (r.key.as_str(), r.operator, r.values.len())).collect();
        assert_eq!(read, [("app", Operator::In, 1), ("tier", Operator::NotIn, 2)]);
    }

    #[test]
    fn namespaces() {
        let of = |more: Value| {
            let mut term = json!({ "topologyKey": "zone", "labelSelector": {} });
            term.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            apart(&term).neighbours.apart.first().map(|term| term.namespaces.clone())
        };
        let named = |names: &[&str]| Some(Namespaces::These(names.iter().map(|n| Name::from(*n)).collect()));
        assert_eq!(of(json!({})), named(&["here"]));
        assert_eq!(of(json!({ "namespaces": ["a", "b"] })), named(&["a", "b"]));
        assert_eq!(of(json!({ "namespaces": ["a"], "namespaceSelector": {} })), Some(Namespaces::All));
        assert_eq!(of(json!({ "namespaceSelector": { "matchLabels": { "team": "x" } } })), None);
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_named() {
        let term = |selector: Value| apart(&json!({ "topologyKey": "zone", "labelSelector": selector }));
        let like = term(json!({ "matchExpressions": [{ "key": "a", "operator": "Like" }] }));
        assert!(like.affinity_incomplete && like.neighbours.is_empty());
        let none = apart(&json!({ "topologyKey": "zone" }));
        assert!(!none.affinity_incomplete);
        assert_eq!(none.neighbours.apart[0].pods, PodSelector(None), "no selector selects nothing");
        assert_eq!(term(json!({})).neighbours.apart[0].pods, PodSelector(Some(vec![])), "an empty one all");
    }

    #[test]
    fn spreads() {
        let t = translated(json!({ "topologySpreadConstraints": [
            { "maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
              "labelSelector": { "matchLabels": { "app": "a" } }, "matchLabelKeys": ["hash", "absent"] },
            { "maxSkew": 1, "topologyKey": "host", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 3,
              "nodeAffinityPolicy": "Ignore", "nodeTaintsPolicy": "Honor" },
            { "maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway" },
            { "maxSkew": 1, "topologyKey": "row", "whenUnsatisfiable": "Sometimes" } ] }));
        assert!(t.spread_incomplete, "an unknown strictness is named");
        let [zone, host] = &t.neighbours.spread[..] else { panic!("two constraints") };
        let keys: Vec<_> = zone.pods.0.iter().flatten().map(|r| r.key.as_str()).collect();
        assert_eq!(keys, ["app", "hash"]);
        assert_eq!(
            (zone.max_skew, zone.min_domains, zone.honour_affinity, zone.honour_taints),
            (2, 1, true, false)
        );
        assert_eq!(
            (host.max_skew, host.min_domains, host.honour_affinity, host.honour_taints),
            (1, 3, false, true)
        );
        assert_eq!(host.pods, PodSelector(None));
    }
}
