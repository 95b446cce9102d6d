//! `/metrics`, `/livez` and `/readyz`. A port that is in use stops neither reports nor the agent: it is tried again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::metrics::{self, Metrics};
use crate::reporter::Latest;

/// First and longest pause before a port is tried again.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) latest: Latest,
    pub(crate) metrics: Arc<Metrics>,
}

impl Door {
    /// Serves until `stop`.
    pub(crate) async fn run(self, address: SocketAddr, stop: CancellationToken) {
        let Some(listener) = bind(address, &stop).await else { return };
        info!(%address, "serving /metrics");
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .with_state(self);
        if let Err(fault) = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
        {
            error!("/metrics is no longer served: {fault}; reports go on");
        }
    }
}

/// The listener, once the port is free; `None` if told to stop before.
async fn bind(address: SocketAddr, stop: &CancellationToken) -> Option<TcpListener> {
    let mut pause = crate::pause::Pause::new(crate::pause::random(), PAUSE_FIRST, PAUSE_MAX);
    let mut is_told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Some(listener),
            Err(fault) if !is_told => {
                is_told = true;
                error!(
                    "cannot listen on {address}: {fault}; choose another --listen. Reports go on, and the port is tried again"
                );
            }
            Err(_) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(pause.after_failure()) => {}
        }
    }
}

async fn metrics(State(door): State<Door>) -> Response {
    let nameless = door.latest.node.borrow().nameless;
    match door.metrics.render(&door.latest.report(0), nameless) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(fault) => (StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()).into_response(),
    }
}

/// Ready once it is known whether there is a driver. Whether the extender listens is not this pod's readiness.
async fn ready(State(door): State<Door>) -> Response {
    if !door.latest.node.borrow().is_known {
        return (StatusCode::SERVICE_UNAVAILABLE, "the driver has not answered yet\n").into_response();
    }
    "ok\n".into_response()
}
