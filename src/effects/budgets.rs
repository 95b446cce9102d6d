//! Whether PodDisruptionBudgets allow several evictions together.
//!
//! A dry run of each is not enough: each passes by itself where one disruption is allowed, and of a gang of two the
//! second would then be refused after the first has gone. So budgets are read, and each must allow as many disruptions
//! as it protects running victims. This asks more than the API server does (it lets pods go that are not ready), never
//! less: the API server is asked afterwards anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use kube::core::{Selector, SelectorExt as _};
use muster_placement::ids::{Name, PodUid};
use muster_placement::pod::{Pod, PodPhase};
use tracing::debug;

use super::Backoff;
use super::api_server::{ApiServer, Fault};
use super::evict::DRY_TRIES;

/// Whether all victims may go together.
///
/// # Errors
/// Those that a budget protects, and its words.
pub(super) async fn allow(api: &ApiServer, victims: &[Arc<Pod>]) -> Result<(), (Vec<PodUid>, String)> {
    let namespaces: BTreeSet<&Name> = victims.iter().map(|pod| &pod.namespace).collect();
    for namespace in namespaces {
        let here: Vec<&Pod> = victims.iter().map(Arc::as_ref).filter(|p| p.namespace == *namespace).collect();
        let all = || here.iter().map(|pod| pod.uid.clone()).collect();
        for budget in read(api, namespace).await.map_err(|why| (all(), why))? {
            let protected: Vec<&&Pod> = here.iter().filter(|pod| protects(&budget, pod)).collect();
            let allowed = budget.status.as_ref().and_then(|s| s.disruptions_allowed).map_or(0, i64::from);
            let needed = i64::try_from(protected.len()).unwrap_or(i64::MAX);
            if needed > allowed.max(0) {
                let name = budget.name_any();
                let why = format!(
                    "the PodDisruptionBudget {namespace}/{name} allows {allowed} disruptions, {needed} are needed."
                );
                return Err((protected.iter().map(|pod| pod.uid.clone()).collect(), why));
            }
        }
    }
    Ok(())
}

/// The budgets of a namespace; the API server's words if they may not be read.
async fn read(api: &ApiServer, namespace: &Name) -> Result<Vec<PodDisruptionBudget>, String> {
    let mut backoff = Backoff::new();
    let mut tries = 1;
    loop {
        match api.budgets(namespace).await {
            Ok(budgets) => return Ok(budgets),
            Err(Fault::Rejected(why)) => return Err(why),
            Err(fault) if tries >= DRY_TRIES => return Err(fault.to_string()),
            Err(fault) => debug!(%namespace, %fault, "PodDisruptionBudgets cannot be read yet"),
        }
        tries += 1;
        backoff.pause().await;
    }
}

/// Whether a budget counts the pod. A selector that is absent selects nobody; one that cannot be read, everybody.
fn protects(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let Some(selector) = budget.spec.as_ref().and_then(|spec| spec.selector.clone()) else { return false };
    let labels: BTreeMap<String, String> =
        pod.labels.iter().map(|(k, v)| (k.as_str().to_owned(), v.as_str().to_owned())).collect();
    let selects = Selector::try_from(selector).map_or(true, |selector| selector.matches(&labels));
    selects && pod.phase == PodPhase::Running
}

#[cfg(test)]
mod tests {
    use super::super::fake_api::{Reply, pod, quick};
    use super::*;
    use serde_json::{Value, json};

    fn running(uid: &str, app: &str) -> Arc<Pod> {
        let labels = [(Name::from("app"), Name::from(app))].into();
        Arc::new(Pod { labels, phase: PodPhase::Running, ..pod(uid) })
    }

    fn budget(name: &str, selector: &Value, allowed: i32) -> Value {
        json!({ "metadata": { "name": name }, "spec": { "selector": selector },
            "status": { "disruptionsAllowed": allowed, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0 } })
    }

    async fn stay(budgets: Vec<Value>) -> Vec<String> {
        let (api, _) = quick(vec![Reply::json(200, json!({ "items": budgets }))]);
        let victims = [running("a", "x"), running("b", "x"), running("c", "y"), Arc::new(pod("pending"))];
        match allow(&api, &victims).await {
            Ok(()) => Vec::new(),
            Err((stay, why)) => {
                assert!(why.contains("ns/"), "{why}");
                stay.iter().map(|uid| uid.as_str().to_owned()).collect()
            }
        }
    }

    #[tokio::test]
    async fn as_many_as_there_are_victims() {
        let x = json!({ "matchLabels": { "app": "x" } });
        assert_eq!(stay(vec![budget("two", &x, 2)]).await, Vec::<String>::new());
        assert_eq!(stay(vec![budget("one", &x, 1)]).await, ["a", "b"]);
        assert_eq!(stay(vec![budget("all", &json!({}), 2)]).await, ["a", "b", "c"]);
        assert_eq!(stay(vec![budget("none", &Value::Null, 0)]).await, Vec::<String>::new());
        let other = json!({ "matchExpressions": [{ "key": "app", "operator": "NotIn", "values": ["x"] }] });
        assert_eq!(stay(vec![budget("free", &x, 5), budget("other", &other, 0)]).await, ["c"]);
    }

    #[tokio::test]
    async fn budgets_that_may_not_be_read_protect_everybody() {
        let (api, _) = quick(vec![Reply::status(403, "may not")]);
        let refused = allow(&api, &[running("a", "x")]).await.unwrap_err();
        assert_eq!(refused, (vec![PodUid::from("a")], "may not".to_owned()));
    }
}
