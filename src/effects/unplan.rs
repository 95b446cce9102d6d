//! Takes the plan annotation off a pod whose plan is void.
//!
//! Nobody waits for the outcome: the annotation counts again only if Muster restarts before this is done, and
//! an incomplete plan is not taken up then.

use kube::api::Patch;
use muster_placement::pod::Pod;
use serde_json::{Value, json};
use tracing::{debug, warn};

use super::Backoff;
use super::api_server::{ApiServer, Fault};
use crate::annotation;

/// Removes the annotation; returns when it is gone, the pod is, or the API server will not have it.
pub(super) async fn unplan(api: &ApiServer, pod: &Pod) {
    let patch = Patch::Merge(body(pod));
    let mut backoff = Backoff::new();
    loop {
        match api.patch(pod, &patch).await {
            // A conflict is another pod of the same name: the patch states the UID and nothing else.
            Ok(()) | Err(Fault::Missing | Fault::Conflict(_)) => return,
            Err(Fault::Rejected(why)) => {
                warn!(namespace = %pod.namespace, pod = %pod.name, %why, "the plan annotation stays on a pod");
                return;
            }
            Err(fault) => debug!(pod = %pod.name, %fault, "removing a plan failed and is tried again"),
        }
        backoff.pause().await;
    }
}

fn body(pod: &Pod) -> Value {
    json!({ "metadata": { "uid": pod.uid.as_str(), "annotations": { annotation::PLAN: null } } })
}

#[cfg(test)]
mod tests {
    use super::super::fake_api::{Reply, pod, quick};
    use super::*;

    #[tokio::test]
    async fn until_it_is_done_or_pointless() {
        for (replies, calls) in [
            (vec![Reply::json(200, json!({}))], 1),
            (vec![Reply::status(404, "no")], 1),
            (vec![Reply::status(409, "UID")], 1),
            (vec![Reply::status(403, "no")], 1),
            (vec![Reply::status(500, "down"), Reply::Hang, Reply::json(200, json!({}))], 3),
        ] {
            let (api, fake) = quick(replies);
            unplan(&api, &pod("a")).await;
            assert_eq!(fake.calls().len(), calls);
        }
    }

    #[test]
    fn the_patch_names_the_pod() {
        assert_eq!(
            body(&pod("a")),
            json!({ "metadata": { "uid": "a", "annotations": { "muster.dev/plan": null } } })
        );
    }
}
