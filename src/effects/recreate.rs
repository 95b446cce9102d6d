//! Deletes a pod that was narrowed to a node it cannot have, so that its controller makes a new one.
//!
//! Invariant: a pod that was bound meanwhile is not deleted. The pod is read first, and the deletion holds only
//! for the very version that was read.

use kube::api::{DeleteParams, Preconditions};
use muster_placement::pod::Pod;
use tracing::{debug, warn};

use super::Backoff;
use super::api_server::{ApiServer, Fault, Now};

/// Deletes the pod if it is still unbound; returns when it is gone, bound, or the API server will not have it.
pub(super) async fn recreate(api: &ApiServer, pod: &Pod) {
    let mut backoff = Backoff::new();
    loop {
        match delete_unbound(api, pod).await {
            Ok(()) | Err(Fault::Missing) => return,
            Err(Fault::Rejected(why)) => {
                warn!(namespace = %pod.namespace, pod = %pod.name, %why, "a pod cannot be made again");
                return;
            }
            Err(fault) => debug!(pod = %pod.name, %fault, "deleting a pod failed and is tried again"),
        }
        backoff.pause().await;
    }
}

async fn delete_unbound(api: &ApiServer, pod: &Pod) -> Result<(), Fault> {
    let Now::Unbound { version, terminating: false } = api.read(pod).await? else { return Ok(()) };
    let same = Preconditions { uid: Some(pod.uid.as_str().to_owned()), resource_version: Some(version) };
    // Nothing runs that could need a grace period.
    api.delete(pod, &DeleteParams::default().grace_period(0).preconditions(same)).await
}

#[cfg(test)]
mod tests {
    use super::super::fake_api::{Reply, now, pod, quick};
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn only_what_is_unbound() {
        let rows = [
            ("unbound", vec![now("a", "", false), Reply::json(200, json!({}))], 2),
            ("bound", vec![now("a", "n1", false)], 1),
            ("terminating", vec![now("a", "", true)], 1),
            ("another pod", vec![now("b", "", false)], 1),
            ("gone", vec![Reply::status(404, "no")], 1),
            (
                "bound between",
                vec![now("a", "", false), Reply::status(409, "version"), now("a", "n1", false)],
                3,
            ),
            ("may not", vec![now("a", "", false), Reply::status(403, "no")], 2),
            ("unreadable", vec![Reply::Hang, now("a", "n1", false)], 2),
        ];
        for (name, replies, calls) in rows {
            let (api, fake) = quick(replies);
            recreate(&api, &pod("a")).await;
            assert_eq!(fake.calls().len(), calls, "{name}");
        }
    }

    #[tokio::test]
    async fn the_deletion_holds_for_what_was_read() {
        let (api, fake) = quick(vec![now("a", "", false), Reply::json(200, json!({}))]);
        recreate(&api, &pod("a")).await;
        let body = fake.body(1);
        assert_eq!(body["preconditions"], json!({ "uid": "a", "resourceVersion": "42" }));
        assert_eq!(body["gracePeriodSeconds"], 0);
    }
}
