//! kube-scheduler's extender protocol, version 1: filter, prioritize, bind, preempt.
//!
//! Filter, prioritize and preempt are look-ups in one [`View`] and write nothing, so they may be called any
//! number of times. Bind asks the engine and is answered when the outcome is known. A scheduling "no" is
//! status 200 with a reason; only a request that is not the protocol gets another status, which
//! kube-scheduler counts as an error of ours.

mod bind;
mod filter;
mod preempt;
mod prioritize;
mod request;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::post;
use k8s_openapi::api::core::v1::Pod as KubePod;
use muster_placement::View;
use muster_placement::pod::Pod;

use crate::api::fault::Fault;
use crate::engine::Handle;
use crate::metrics::Metrics;
use wire::PodHead;

pub use prioritize::encode_scores;
pub use request::take_names;

/// Turns a pod as kube-scheduler sends it into one that placement understands.
pub type Translate = Arc<dyn Fn(&KubePod) -> Pod + Send + Sync>;

/// Largest body that names nodes: 5,000 names of 253 bytes and a pod of the largest size etcd takes.
const NODES_BODY_MAX: usize = 8 * 1024 * 1024;
/// Largest bind request; a real one has about 150 bytes.
const BIND_BODY_MAX: usize = 64 * 1024;

/// What the verbs need to answer.
#[derive(Clone)]
pub struct Verbs {
    engine: Handle,
    translate: Translate,
    metrics: Arc<Metrics>,
}

impl Verbs {
    /// Verbs that answer from the engine. `translate` is used for pods that the watch has not brought yet.
    pub fn new(engine: Handle, translate: Translate, metrics: Arc<Metrics>) -> Verbs {
        Verbs { engine, translate, metrics }
    }

    /// The pod that a request speaks of. What the watch knows of it is newer than what kube-scheduler knew,
    /// and is translated already; so the pod in the body is read in full only if the watch does not know it.
    fn pod(&self, view: &View, head: &PodHead<'_>, body: &str) -> Result<Arc<Pod>, Fault> {
        if let Some(state) = view.pods.get(&*head.metadata.uid) {
            return Ok(state.pod.clone());
        }
        let full = wire::full_pod(body).map_err(|e| Fault::malformed("Pod", &e))?;
        Ok(Arc::new((self.translate)(&full)))
    }
}

/// The routes under `/v1/extender`.
pub fn router(verbs: Verbs) -> Router {
    let lookups = Router::new()
        .route("/filter", post(filter::filter))
        .route("/prioritize", post(prioritize::prioritize))
        .route("/preempt", post(preempt::preempt))
        .layer(DefaultBodyLimit::max(NODES_BODY_MAX));
    let commit = Router::new().route("/bind", post(bind::bind)).layer(DefaultBodyLimit::max(BIND_BODY_MAX));
    Router::new().nest("/v1/extender", lookups.merge(commit)).with_state(verbs)
}

/// A field without which the request means nothing.
fn absent(verb: &str, field: &str) -> Fault {
    let error = format!("the {verb} request has no {field}");
    Fault::new(StatusCode::BAD_REQUEST, error, "Send what kube-scheduler's extender protocol v1 sends.")
}
