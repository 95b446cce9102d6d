//! `bind`: the commit. The reply waits until the engine knows the outcome; when kube-scheduler hangs up
//! before that, this handler is dropped, and with it the engine's parked ask, which withdraws the pod.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use muster_placement::Refusal;
use muster_placement::ids::{NodeName, PodUid};

use super::wire::{BindingArgs, BindingResult};
use super::{Verbs, absent};
use crate::api::fault::{Body, Fault, text};
use crate::metrics::Metrics;

/// Answers `bind`.
pub(super) async fn bind(State(verbs): State<Verbs>, body: Body) -> Result<Response, Fault> {
    let body = text("the bind request", &body)?;
    let args: BindingArgs<'_> =
        serde_json::from_str(body).map_err(|e| Fault::malformed("the bind request", &e))?;
    for (field, value) in [("PodUID", &args.pod_uid), ("Node", &args.node)] {
        if value.is_empty() {
            return Err(absent("bind", field));
        }
    }
    let pod = PodUid::from(&*args.pod_uid);
    let parked = Parked { metrics: &verbs.metrics, result: "withdrawn" };
    let outcome = verbs.engine.ask_bind(pod.clone(), NodeName::from(&*args.node)).await;
    parked.settle(outcome.as_ref().err());
    tracing::info!(
        namespace = &*args.pod_namespace,
        pod = &*args.pod_name,
        node = &*args.node,
        decision = outcome.as_ref().err().map_or("bound", Refusal::label),
        "bind"
    );
    let error = outcome.err().map_or_else(String::new, |refusal| {
        let view = verbs.engine.view();
        refusal.message(view.pods.get(&pod).and_then(|state| state.gang.as_ref()))
    });
    Ok(Json(BindingResult { error }).into_response())
}

/// Counts a bind request once, also when its handler is dropped before the outcome is known.
struct Parked<'a> {
    metrics: &'a Metrics,
    result: &'static str,
}

impl Parked<'_> {
    fn settle(mut self, refusal: Option<&Refusal>) {
        self.result = refusal.map_or("bound", Refusal::label);
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.metrics.bind_total.with_label_values(&[self.result]).inc();
    }
}
