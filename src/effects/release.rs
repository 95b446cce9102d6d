//! One patch that lets a pod go: the plan annotation is set, our gate goes, and the pod is narrowed to its node.
//!
//! Strategic merge, since only there a gate can be removed by name while a foreign one stays. `narrow` is legal
//! only while the pod is gated, and only as an addition: each existing required term gets the node's name,
//! and the number and order of terms stay. Preferences and pod affinity are not touched. The patch can be
//! repeated: a second time it changes nothing.

use kube::api::Patch;
use muster_placement::Outcome;
use muster_placement::ids::{Name, NodeName};
use muster_placement::pod::{Constraints, Gate, Pod, Stamp};
use muster_placement::selector::{NAME_FIELD, Operator, Requirement, Term};
use serde_json::{Value, json};
use tracing::{debug, warn};

use super::Backoff;
use super::api_server::{ApiServer, Fault, Now};
use crate::{annotation, translate};

/// Releases a pod; returns when the outcome is certain.
pub(super) async fn release(api: &ApiServer, pod: &Pod, stamp: &Stamp, narrow: bool) -> Outcome {
    let patch = Patch::Strategic(body(pod, stamp, narrow));
    let mut backoff = Backoff::new();
    loop {
        match api.patch(pod, &patch).await {
            Ok(()) => return Outcome::Done,
            Err(Fault::Missing) => return Outcome::Gone,
            Err(fault @ (Fault::Conflict(_) | Fault::Rejected(_))) => {
                if let Some(outcome) = after(api, pod, stamp, &fault).await {
                    return outcome;
                }
            }
            Err(fault) => debug!(pod = %pod.name, %fault, "a release failed and is tried again"),
        }
        backoff.pause().await;
    }
}

/// What a refused patch means, by what the pod is now; `None` if that does not say.
async fn after(api: &ApiServer, pod: &Pod, stamp: &Stamp, fault: &Fault) -> Option<Outcome> {
    match (api.read(pod).await.ok()?, fault) {
        (Now::Gone, _) => Some(Outcome::Gone),
        (Now::Bound(node), _) if node == stamp.node => Some(Outcome::Done),
        (_, Fault::Rejected(why)) => {
            warn!(namespace = %pod.namespace, pod = %pod.name, %why, "the API server refuses to release a pod");
            Some(Outcome::Refused(Name::from(why.as_str())))
        }
        // The pod has its UID, so the conflict was another write at the same time.
        _ => None,
    }
}

fn body(pod: &Pod, stamp: &Stamp, narrow: bool) -> Value {
    let plan = annotation::encode(stamp, pod.request.gpus);
    let mut body =
        json!({ "metadata": { "uid": pod.uid.as_str(), "annotations": { annotation::PLAN: plan } } });
    if pod.gate == Gate::Open {
        return body;
    }
    body["spec"] = json!({ "schedulingGates": [{ "$patch": "delete", "name": translate::GATE }] });
    if narrow {
        let required = json!({ "nodeSelectorTerms": terms(&pod.constraints, &stamp.node) });
        body["spec"]["affinity"] =
            json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } });
    }
    body
}

/// Every term of the pod with the node's name added; a term of its own if it has none.
fn terms(constraints: &Constraints, node: &NodeName) -> Vec<Value> {
    let name = Requirement {
        key: Name::from(NAME_FIELD),
        operator: Operator::In,
        values: vec![Name::from(node.as_str())],
    };
    let alone = [Term { expressions: Vec::new(), fields: vec![name.clone()] }];
    let Some(existing) = &constraints.required else { return alone.iter().map(encode).collect() };
    let narrowed = existing.iter().cloned().map(|mut term| {
        // An empty term matches nothing and must stay so.
        let empty = term.expressions.is_empty() && term.fields.is_empty();
        if !empty && !term.fields.contains(&name) {
            term.fields.push(name.clone());
        }
        encode(&term)
    });
    narrowed.collect()
}

fn encode(term: &Term) -> Value {
    let mut value = json!({});
    for (key, requirements) in [("matchExpressions", &term.expressions), ("matchFields", &term.fields)] {
        if !requirements.is_empty() {
            value[key] = requirements.iter().map(requirement).collect();
        }
    }
    value
}

fn requirement(requirement: &Requirement) -> Value {
    let operator = match requirement.operator {
        Operator::In => "In",
        Operator::NotIn => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
        Operator::Gt => "Gt",
        Operator::Lt => "Lt",
    };
    let mut value = json!({ "key": requirement.key.as_str(), "operator": operator });
    if !requirement.values.is_empty() {
        value["values"] = requirement.values.iter().map(Name::as_str).collect();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::super::fake_api::{Reply, now, pod, quick, stamp};
    use super::*;

    const PATCH: &str = "PATCH /api/v1/namespaces/ns/pods/a";
    const GET: &str = "GET /api/v1/namespaces/ns/pods/a";
    const PLAN: &str = r#"{"plan":7,"node":"n1","gpus":["GPU-x"],"count":1}"#;

    #[test]
    fn a_gated_pod_is_narrowed() {
        let value = body(&pod("a"), &stamp(), true);
        let name = json!({ "key": "metadata.name", "operator": "In", "values": ["n1"] });
        assert_eq!(
            value,
            json!({
                "metadata": { "uid": "a", "annotations": { "muster.dev/plan": PLAN } },
                "spec": {
                    "schedulingGates": [{ "$patch": "delete", "name": "muster.dev/gang" }],
                    "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{ "matchFields": [name] }] } } } }
            })
        );
    }

    #[test]
    fn an_open_pod_gets_the_annotation_only() {
        let pod = Pod { gate: Gate::Open, ..pod("a") };
        let expected = json!({ "metadata": { "uid": "a", "annotations": { "muster.dev/plan": PLAN } } });
        assert_eq!(body(&pod, &stamp(), true), expected);
    }

    #[test]
    fn not_narrowed_means_no_word_of_affinity() {
        assert!(body(&pod("a"), &stamp(), false)["spec"].get("affinity").is_none());
    }

    #[test]
    fn every_existing_term_keeps_its_place_and_gets_the_name() {
        let requirement = |key: &str, operator, values: &[&str]| Requirement {
            key: Name::from(key),
            operator,
            values: values.iter().map(|v| Name::from(*v)).collect(),
        };
        let expressions =
            vec![requirement("zone", Operator::In, &["b", "a"]), requirement("ssd", Operator::Exists, &[])];
        let fields = vec![requirement(NAME_FIELD, Operator::NotIn, &["n9"])];
        let required = vec![
            Term { expressions, fields: Vec::new() },
            Term::default(),
            Term { expressions: Vec::new(), fields },
        ];
        let constraints = Constraints { required: Some(required), ..Constraints::default() };
        let name = json!({ "key": "metadata.name", "operator": "In", "values": ["n1"] });
        assert_eq!(
            Value::from(terms(&constraints, &NodeName::from("n1"))),
            json!([
                { "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["b", "a"] },
                                       { "key": "ssd", "operator": "Exists" }], "matchFields": [name] },
                {},
                { "matchFields": [{ "key": "metadata.name", "operator": "NotIn", "values": ["n9"] }, name] },
            ])
        );
    }

    #[tokio::test]
    async fn each_answer() {
        let refused = || Outcome::Refused(Name::from("no"));
        let unbound = || now("a", "", false);
        let rows = [
            ("done", vec![Reply::json(200, json!({}))], Outcome::Done, vec![PATCH]),
            ("404", vec![Reply::status(404, "no")], Outcome::Gone, vec![PATCH]),
            (
                "another UID",
                vec![Reply::status(409, "UID"), now("b", "", false)],
                Outcome::Gone,
                vec![PATCH, GET],
            ),
            (
                "a write at the same time",
                vec![Reply::status(409, "again"), unbound(), Reply::json(200, json!({}))],
                Outcome::Done,
                vec![PATCH, GET, PATCH],
            ),
            ("422", vec![Reply::status(422, "no"), unbound()], refused(), vec![PATCH, GET]),
            ("403", vec![Reply::status(403, "no"), unbound()], refused(), vec![PATCH, GET]),
            (
                "422, bound here",
                vec![Reply::status(422, "no"), now("a", "n1", false)],
                Outcome::Done,
                vec![PATCH, GET],
            ),
            (
                "422, bound elsewhere",
                vec![Reply::status(422, "no"), now("a", "n2", false)],
                refused(),
                vec![PATCH, GET],
            ),
            (
                "422, unreadable, then certain",
                vec![
                    Reply::status(422, "no"),
                    Reply::status(500, "down"),
                    Reply::status(422, "no"),
                    unbound(),
                ],
                refused(),
                vec![PATCH, GET, PATCH, GET],
            ),
            (
                "the API server is down for a while",
                vec![Reply::status(500, "down"), Reply::Hang, Reply::json(200, json!({}))],
                Outcome::Done,
                vec![PATCH; 3],
            ),
        ];
        for (name, replies, outcome, calls) in rows {
            let (api, fake) = quick(replies);
            assert_eq!(release(&api, &pod("a"), &stamp(), true).await, outcome, "{name}");
            assert_eq!(fake.calls(), calls, "{name}");
        }
    }
}
