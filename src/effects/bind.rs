//! The Binding of a pod to its node, with the grant in the same write.
//!
//! The API server's answer counts only if it is 201: every 409 has one reason (already bound, gated,
//! terminating, another UID), and after silence or a 5xx the write may have happened. Then the pod itself is
//! read. Unbound is certain only after an answer: while a call may still be under way nothing is reported.

use muster_placement::Outcome;
use muster_placement::ids::Name;
use muster_placement::pod::{Pod, Stamp};
use serde_json::{Value, json};
use tracing::{debug, warn};

use super::Backoff;
use super::api_server::{ApiServer, Fault, Now};
use crate::annotation;

/// Answered failures after which a pod that is found unbound stays so.
const TRIES: u32 = 5;

/// Binds a pod; returns when the outcome is certain.
pub(super) async fn bind(api: &ApiServer, pod: &Pod, stamp: &Stamp) -> Outcome {
    let binding = body(pod, stamp);
    let mut backoff = Backoff::new();
    let mut answered = 0;
    loop {
        let Err(fault) = api.bind(pod, &binding).await else { return Outcome::Done };
        debug!(pod = %pod.name, node = %stamp.node, %fault, "a Binding failed; the pod is read back");
        answered += u32::from(!matches!(fault, Fault::Silent(_)));
        match read_back(api, pod).await {
            Now::Gone | Now::Unbound { terminating: true, .. } => return Outcome::Gone,
            Now::Bound(node) if node == stamp.node => return Outcome::Done,
            Now::Bound(node) => return refused(pod, &format!("the pod is bound to {node}")),
            Now::Unbound { .. } => match fault {
                Fault::Rejected(why) => return refused(pod, &why),
                Fault::Silent(_) => {}
                other if answered >= TRIES => return refused(pod, &other.to_string()),
                _ => {}
            },
        }
        backoff.pause().await;
    }
}

async fn read_back(api: &ApiServer, pod: &Pod) -> Now {
    let mut backoff = Backoff::new();
    loop {
        match api.read(pod).await {
            Ok(now) => return now,
            Err(fault) => debug!(pod = %pod.name, %fault, "a pod cannot be read back yet"),
        }
        backoff.pause().await;
    }
}

fn refused(pod: &Pod, why: &str) -> Outcome {
    warn!(namespace = %pod.namespace, pod = %pod.name, why, "a pod could not be bound");
    Outcome::Refused(Name::from(why))
}

fn body(pod: &Pod, stamp: &Stamp) -> Value {
    let grant = annotation::encode(stamp, pod.request.gpus);
    json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {
            "namespace": pod.namespace.as_str(),
            "name": pod.name.as_str(),
            "uid": pod.uid.as_str(),
            "annotations": { annotation::GRANT: grant },
        },
        "target": { "apiVersion": "v1", "kind": "Node", "name": stamp.node.as_str() },
    })
}

#[cfg(test)]
mod tests {
    use super::super::fake_api::{Reply, now, pod, quick, stamp};
    use super::*;

    const POST: &str = "POST /api/v1/namespaces/ns/pods/a/binding";
    const GET: &str = "GET /api/v1/namespaces/ns/pods/a";

    #[test]
    fn the_grant_is_in_the_binding() {
        let value = body(&pod("a"), &stamp());
        assert_eq!(value["metadata"]["uid"], "a");
        let grant = r#"{"plan":7,"node":"n1","gpus":["GPU-x"],"count":1}"#;
        assert_eq!(value["metadata"]["annotations"]["muster.dev/grant"], grant);
        assert_eq!(value["target"]["name"], "n1");
    }

    #[tokio::test]
    async fn each_answer() {
        let created = || Reply::json(201, json!({}));
        let conflict = || Reply::status(409, "conflict");
        let unbound = || now("a", "", false);
        let refused = |why: &str| Outcome::Refused(Name::from(why));
        let rows = [
            ("201", vec![created()], Outcome::Done, vec![POST]),
            ("409, bound here", vec![conflict(), now("a", "n1", false)], Outcome::Done, vec![POST, GET]),
            (
                "409, bound elsewhere",
                vec![conflict(), now("a", "n2", false)],
                refused("the pod is bound to n2"),
                vec![POST, GET],
            ),
            ("409, another UID", vec![conflict(), now("b", "", false)], Outcome::Gone, vec![POST, GET]),
            ("409, terminating", vec![conflict(), now("a", "", true)], Outcome::Gone, vec![POST, GET]),
            (
                "bound here and terminating",
                vec![conflict(), now("a", "n1", true)],
                Outcome::Done,
                vec![POST, GET],
            ),
            ("404", vec![Reply::status(404, "no"), Reply::status(404, "no")], Outcome::Gone, vec![POST, GET]),
            (
                "silence, found bound",
                vec![Reply::Hang, now("a", "n1", false)],
                Outcome::Done,
                vec![POST, GET],
            ),
            (
                "500, unbound, then done",
                vec![Reply::status(500, "etcd"), unbound(), created()],
                Outcome::Done,
                vec![POST, GET, POST],
            ),
            ("403", vec![Reply::status(403, "may not"), unbound()], refused("may not"), vec![POST, GET]),
            (
                "nothing is said while the pod cannot be read",
                vec![Reply::Hang, Reply::status(503, "down"), Reply::Hang, now("a", "n1", false)],
                Outcome::Done,
                vec![POST, GET, GET, GET],
            ),
        ];
        for (name, replies, outcome, calls) in rows {
            let (api, fake) = quick(replies);
            assert_eq!(bind(&api, &pod("a"), &stamp()).await, outcome, "{name}");
            assert_eq!(fake.calls(), calls, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_gated_pod_is_refused_in_the_end() {
        let replies = (0..TRIES).flat_map(|_| [Reply::status(409, "has gates"), now("a", "", false)]);
        let (api, fake) = quick(replies.collect());
        assert_eq!(bind(&api, &pod("a"), &stamp()).await, Outcome::Refused(Name::from("has gates")));
        assert_eq!(fake.calls().len(), 2 * TRIES as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_never_a_no() {
        let silences = (0..3 * TRIES).flat_map(|_| [Reply::Hang, now("a", "", false)]);
        let (api, _) = quick(silences.chain([Reply::json(201, json!({}))]).collect());
        assert_eq!(bind(&api, &pod("a"), &stamp()).await, Outcome::Done);
    }
}
