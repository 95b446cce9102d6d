//! Evictions for one preemption, all or none, through the Eviction API (policy/v1).
//!
//! Three steps, and nobody is harmed before the third: the PodDisruptionBudgets must allow as many disruptions as there
//! are victims (`budgets`), a dry run of every eviction must pass (that is where everything else that the API server
//! asks has its say), then all are evicted. An eviction names the pod's UID and can be repeated: a pod that is being
//! deleted can be evicted again, so after silence the call is simply made again and its answer counts.
//!
//! A budget that shrinks between the second step and the third can stop a gang's eviction half way: then it is insisted
//! on for a while, and what stays is reported.

use std::sync::Arc;

use futures::future::join_all;
use muster_placement::ids::{Name, PodUid};
use muster_placement::pod::Pod;
use muster_placement::preempt::Eviction;
use serde_json::{Value, json};
use tracing::{debug, warn};

use super::api_server::{ApiServer, Fault};
use super::{Backoff, budgets};

/// Failures after which nobody is evicted: until then nobody was, so an answer is not worth waiting for.
pub(super) const DRY_TRIES: u32 = 5;
/// Answered failures in earnest after which a pod stays: about 40 seconds.
const TRIES: u32 = 14;

/// Evicts all victims or none; returns when the outcome is certain.
pub(super) async fn evict(api: &ApiServer, victims: &[Arc<Pod>]) -> Eviction {
    let within = budgets::allow(api, victims).await;
    if let Err((stay, why)) = within {
        debug!(why, "budgets do not allow evictions");
        return Eviction::Refused { stay, why: Name::from(why.as_str()) };
    }
    let dry = all(api, victims, true).await;
    if matches!(dry, Eviction::Refused { .. }) {
        return dry;
    }
    all(api, victims, false).await
}

/// Evicts all of them side by side; the API server's client limits how many at once.
async fn all(api: &ApiServer, victims: &[Arc<Pod>], dry: bool) -> Eviction {
    let answers = join_all(victims.iter().map(|pod| one(api, pod, dry))).await;
    let refused: Vec<(PodUid, String)> =
        victims.iter().zip(answers).filter_map(|(pod, why)| Some((pod.uid.clone(), why?))).collect();
    let Some((_, why)) = refused.first().cloned() else { return Eviction::Done };
    if !dry {
        warn!(why, stay = refused.len(), of = victims.len(), "evictions that a dry run allowed were refused");
    }
    Eviction::Refused {
        stay: refused.into_iter().map(|(uid, _)| uid).collect(),
        why: Name::from(why.as_str()),
    }
}

/// Evicts one pod, or asks whether it could be; why not, if so.
async fn one(api: &ApiServer, pod: &Pod, dry: bool) -> Option<String> {
    let body = body(pod, dry);
    let tries = if dry { DRY_TRIES } else { TRIES };
    let mut backoff = Backoff::new();
    let mut answered = 0;
    loop {
        let fault = match api.evict(pod, &body).await {
            // A conflict is another pod of the same name: the UID is the only precondition.
            Ok(()) | Err(Fault::Missing | Fault::Conflict(_)) => return None,
            Err(Fault::Rejected(why)) => return Some(why),
            // In earnest a budget may allow more in a moment; in a dry run its no is an answer.
            Err(Fault::Budget(why)) if dry => return Some(why),
            Err(fault) => fault,
        };
        debug!(pod = %pod.name, %fault, dry, "an eviction failed and is tried again");
        answered += u32::from(dry || !matches!(fault, Fault::Silent(_)));
        if answered >= tries {
            return Some(fault.to_string());
        }
        backoff.pause().await;
    }
}

fn body(pod: &Pod, dry: bool) -> Value {
    let mut options = json!({ "preconditions": { "uid": pod.uid.as_str() } });
    if dry {
        options["dryRun"] = json!(["All"]);
    }
    json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "name": pod.name.as_str(), "namespace": pod.namespace.as_str() },
        "deleteOptions": options,
    })
}

#[cfg(test)]
mod tests {
    use super::super::fake_api::{Reply, pod, quick};
    use super::*;

    const BUDGETS: &str = "GET /apis/policy/v1/namespaces/ns/poddisruptionbudgets";
    const EVICT: &str = "POST /api/v1/namespaces/ns/pods/a/eviction";

    fn no_budgets() -> Reply {
        Reply::json(200, json!({ "items": [] }))
    }

    fn done() -> Reply {
        Reply::json(201, json!({}))
    }

    fn budget() -> Reply {
        let text = "Cannot evict pod as it would violate the pod's disruption budget.";
        let details = json!({ "causes": [{ "reason": "DisruptionBudget", "message": "needs 2" }] });
        Reply::json(
            429,
            json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": text,
                "reason": "TooManyRequests", "details": details, "code": 429 }),
        )
    }

    async fn outcome(replies: Vec<Reply>) -> (Eviction, Vec<String>) {
        let (api, fake) = quick(replies);
        let outcome = evict(&api, &[Arc::new(pod("a"))]).await;
        (outcome, fake.calls())
    }

    #[tokio::test]
    async fn first_a_dry_run_of_that_very_pod() {
        let (api, fake) = quick(vec![no_budgets(), done(), done()]);
        assert_eq!(evict(&api, &[Arc::new(pod("a"))]).await, Eviction::Done);
        assert_eq!(fake.calls(), [BUDGETS, EVICT, EVICT]);
        assert_eq!(
            fake.body(1)["deleteOptions"],
            json!({ "preconditions": { "uid": "a" }, "dryRun": ["All"] })
        );
        assert_eq!(fake.body(2)["deleteOptions"], json!({ "preconditions": { "uid": "a" } }));
    }

    #[tokio::test]
    async fn a_budget_says_no_and_nobody_is_evicted() {
        let (outcome, calls) = outcome(vec![no_budgets(), budget()]).await;
        let Eviction::Refused { stay, why } = outcome else { panic!("{outcome:?}") };
        assert_eq!(stay, [PodUid::from("a")]);
        assert!(why.as_str().contains("disruption budget"));
        assert_eq!(calls, [BUDGETS, EVICT]);
    }

    #[tokio::test]
    async fn what_is_gone_is_done() {
        let gone = || Reply::status(404, "no");
        assert_eq!(outcome(vec![no_budgets(), gone(), gone()]).await.0, Eviction::Done);
        let other = || Reply::status(409, "UID");
        assert_eq!(outcome(vec![no_budgets(), done(), other()]).await.0, Eviction::Done);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_no_answer_and_is_asked_again() {
        let replies = vec![no_budgets(), done(), Reply::Hang, Reply::status(500, "down"), done()];
        let (outcome, calls) = outcome(replies).await;
        assert_eq!((outcome, calls.len()), (Eviction::Done, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_that_shrinks_in_between_is_insisted_on() {
        let (first, _) = outcome(vec![no_budgets(), done(), budget(), budget(), done()]).await;
        assert_eq!(first, Eviction::Done);
        let mut replies = vec![no_budgets(), done()];
        replies.extend((0..TRIES).map(|_| budget()));
        let (last, calls) = outcome(replies).await;
        assert!(matches!(last, Eviction::Refused { .. }));
        assert_eq!(calls.len(), 2 + TRIES as usize);
    }

    #[tokio::test]
    async fn what_may_not_be_is_not_asked_twice() {
        let (outcome, calls) = outcome(vec![no_budgets(), Reply::status(403, "may not")]).await;
        assert!(matches!(outcome, Eviction::Refused { .. }));
        assert_eq!(calls.len(), 2);
    }
}
