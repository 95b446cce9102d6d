//! nodeSelector, node affinity and tolerations → [`Constraints`].
//!
//! What cannot be translated is left out only where that makes the pod harder to place or is a mere
//! preference; the caller learns that something is missing.

use k8s_openapi::api::core::v1::{
    NodeAffinity, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Toleration as ApiToleration,
};
use muster_placement::ids::Name;
use muster_placement::pod::Constraints;
use muster_placement::selector::{Operator, Requirement, Term};
use muster_placement::taint::Toleration;

use super::labels;
use super::node::effect;

/// Constraints, and which of them are incomplete.
pub(super) struct Translated {
    pub(super) constraints: Constraints,
    /// A required term could not be read and is taken to match nothing.
    pub(super) required_incomplete: bool,
    /// A toleration could not be read and is taken to tolerate nothing.
    pub(super) tolerations_incomplete: bool,
}

/// Reads the node constraints of a pod.
pub(super) fn constraints(spec: &PodSpec) -> Translated {
    let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    let (required, required_incomplete) = required(affinity);
    let asked = spec.tolerations.as_deref().unwrap_or_default();
    let tolerations: Vec<Toleration> = asked.iter().filter_map(toleration).collect();
    Translated {
        tolerations_incomplete: tolerations.len() < asked.len(),
        constraints: Constraints {
            node_selector: labels(spec.node_selector.as_ref()),
            required,
            preferred: preferred(affinity),
            tolerations,
        },
        required_incomplete,
    }
}

fn required(affinity: Option<&NodeAffinity>) -> (Option<Vec<Term>>, bool) {
    let selector = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let Some(selector) = selector else { return (None, false) };
    let terms: Vec<Option<Term>> = selector.node_selector_terms.iter().map(term).collect();
    let incomplete = terms.iter().any(Option::is_none);
    // An empty term matches nothing.
    (Some(terms.into_iter().map(Option::unwrap_or_default).collect()), incomplete)
}

fn preferred(affinity: Option<&NodeAffinity>) -> Vec<(u8, Term)> {
    let terms = affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let weighed = |weight: i32| u8::try_from(weight.clamp(1, 100)).unwrap_or(1);
    terms.into_iter().flatten().filter_map(|p| Some((weighed(p.weight), term(&p.preference)?))).collect()
}

/// A node selector term, if every requirement of it can be read.
pub(super) fn term(term: &NodeSelectorTerm) -> Option<Term> {
    let all = |rs: &Option<Vec<NodeSelectorRequirement>>| -> Option<Vec<Requirement>> {
        rs.iter().flatten().map(requirement).collect()
    };
    Some(Term { expressions: all(&term.match_expressions)?, fields: all(&term.match_fields)? })
}

fn requirement(requirement: &NodeSelectorRequirement) -> Option<Requirement> {
    let values = requirement.values.iter().flatten().map(|v| Name::from(v.as_str())).collect();
    let operator = match requirement.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::Gt,
        "Lt" => Operator::Lt,
        _ => return None,
    };
    Some(Requirement { key: Name::from(requirement.key.as_str()), operator, values })
}

fn toleration(toleration: &ApiToleration) -> Option<Toleration> {
    let said = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    let exists = match said(&toleration.operator).as_deref() {
        None | Some("Equal") => false,
        Some("Exists") => true,
        // `Gt` and `Lt` (KEP-5471) compare numbers; not modelled.
        Some(_) => return None,
    };
    let effect = match said(&toleration.effect) {
        None => None,
        Some(text) => Some(effect(&text)?),
    };
    Some(Toleration {
        key: said(&toleration.key).as_deref().map(Name::from),
        exists,
        value: Name::from(toleration.value.as_deref().unwrap_or_default()),
        effect,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_placement::taint::TaintEffect;
    use serde_json::{Value, json};

    fn translated(spec: Value) -> Translated {
        let mut spec = spec;
        spec["containers"] = json!([]);
        constraints(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn terms_and_fields() {
        let spec = json!({ "nodeSelector": { "disk": "ssd" }, "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                { "matchExpressions": [{ "key": "gpus", "operator": "Gt", "values": ["4"] }] },
                { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n1"] }] } ] },
            "preferredDuringSchedulingIgnoredDuringExecution": [
                { "weight": 30, "preference": { "matchExpressions": [{ "key": "a", "operator": "Exists" }] } },
                { "weight": 9, "preference": { "matchExpressions": [{ "key": "a", "operator": "Like" }] } } ] } } });
        let t = translated(spec);
        assert!(!t.required_incomplete && !t.tolerations_incomplete);
        assert_eq!(t.constraints.node_selector.len(), 1);
        let required = t.constraints.required.unwrap();
        assert_eq!(required[0].expressions[0].operator, Operator::Gt);
        assert_eq!(required[1].fields[0].values[0].as_str(), "n1");
        let weights: Vec<u8> = t.constraints.preferred.iter().map(|p| p.0).collect();
        assert_eq!(weights, [30], "a preference that cannot be read is no preference");
    }

    #[test]
    fn a_required_term_that_cannot_be_read_matches_nothing() {
        let t = translated(
            json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "a", "operator": "Like", "values": ["b"] }] }] } } } }),
        );
        assert!(t.required_incomplete);
        assert_eq!(t.constraints.required, Some(vec![Term::default()]));
    }

    #[test]
    fn tolerations() {
        let t = translated(json!({ "tolerations": [
            { "operator": "Exists" },
            { "key": "gpu", "value": "yes", "effect": "NoSchedule" },
            { "key": "gpu", "operator": "Gt", "value": "3" } ] }));
        assert!(t.tolerations_incomplete);
        let [all, gpu] = t.constraints.tolerations.as_slice() else { panic!("two can be read") };
        assert!(all.key.is_none() && all.exists && all.effect.is_none());
        assert!(!gpu.exists && gpu.value.as_str() == "yes" && gpu.effect == Some(TaintEffect::NoSchedule));
    }
}
