//! What the kubelet and Prometheus ask: `/livez`, `/readyz`, `/metrics`.
//!
//! Alive means that the event loop turns; ready means that the cluster has been read and the ledger rebuilt.
//! A process that waits for the API server is alive and not ready: starting it again would not help.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::api::fault::Fault;
use crate::engine::Handle;
use crate::metrics::{CONTENT_TYPE, Metrics};

/// Says whether the event loop turns.
pub type Alive = Arc<dyn Fn() -> bool + Send + Sync>;
/// Says what must still happen before requests can be answered, a sentence each; empty when nothing must.
pub type Waits = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// What the probes look at.
#[derive(Clone)]
pub struct Admin {
    /// State of the cluster.
    pub engine: Handle,
    /// Metric families.
    pub metrics: Arc<Metrics>,
    /// The event loop.
    pub alive: Alive,
    /// Start-up and shutdown.
    pub waits: Waits,
}

/// The routes at the root.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn livez(State(admin): State<Admin>) -> Response {
    if (admin.alive)() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "the event loop does not turn\n").into_response()
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let mut reasons = (admin.waits)();
    if !admin.engine.view().ready {
        reasons.insert(0, "the cluster has not been read yet".into());
    }
    if reasons.is_empty() {
        return "ok\n".into_response();
    }
    let text: String = reasons.iter().flat_map(|reason| [reason, "\n"]).collect();
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Result<Response, Fault> {
    let text = admin.metrics.render().map_err(|source| {
        let error = format!("the metrics cannot be written: {source}");
        Fault::new(StatusCode::INTERNAL_SERVER_ERROR, error, "Report this: it is a bug.")
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
