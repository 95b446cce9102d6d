//! `prioritize`: advice among the nodes that filter left. kube-scheduler drops errors of this verb in
//! silence, so everything that can be answered is.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::wire::{Args, HostPriority};
use super::{Verbs, absent};
use crate::api::fault::{Body, Fault, text};

/// Answers `prioritize`.
pub(super) async fn prioritize(State(verbs): State<Verbs>, body: Body) -> Result<Response, Fault> {
    let body = text("the prioritize request", &body)?;
    let args: Args<'_> =
        serde_json::from_str(body).map_err(|e| Fault::malformed("the prioritize request", &e))?;
    let head = args.pod.as_ref().ok_or_else(|| absent("prioritize", "Pod"))?;
    let view = verbs.engine.view();
    let offered = args.names();
    let pod = verbs.pod(&view, head, body)?;
    let scores = view.prioritize(&pod, &offered);
    let scored = offered.iter().zip(scores);
    let reply: Vec<HostPriority<'_>> = scored.map(|(host, score)| HostPriority { host, score }).collect();
    Ok(Json(reply).into_response())
}
