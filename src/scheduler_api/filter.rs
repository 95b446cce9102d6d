//! `filter`: which of the offered nodes a pod may use.
//!
//! A refused node goes into `FailedAndUnresolvableNodes` with a message that is constant per state: one that
//! changed would wake its own pod again and again (kube-scheduler 1.32 and later).

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use muster_placement::ids::GangId;
use muster_placement::{FilterAnswer, Refusal, View};

use super::request::Request;
use super::wire::FilterResult;
use super::{Verbs, absent};
use crate::api::fault::{Body, Fault, text};

/// The scheduler keeps no cache of nodes on our behalf, so full nodes mean that it was set up otherwise.
const NOT_CACHE_CAPABLE: &str = "muster: set nodeCacheCapable: true for this extender in the \
    KubeSchedulerConfiguration: Muster watches nodes itself and takes their names only";

/// Answers `filter`.
pub(super) async fn filter(State(verbs): State<Verbs>, body: Body) -> Result<Response, Fault> {
    let _timer = verbs.metrics.filter_seconds.start_timer();
    let body = text("the filter request", &body)?;
    let view = verbs.engine.view();
    let mut space = None;
    let request =
        Request::read(body, &view, &mut space).map_err(|e| Fault::malformed("the filter request", &e))?;
    if request.in_full {
        return Ok(Json(FilterResult { error: NOT_CACHE_CAPABLE, ..FilterResult::default() }).into_response());
    }
    let head = request.pod.as_ref().ok_or_else(|| absent("filter", "Pod"))?;
    let pod = verbs.pod(&view, head, body)?;
    let answer = view.filter_offered(&pod, &request.offered);
    tracing::debug!(
        namespace = &*head.metadata.namespace,
        pod = &*head.metadata.name,
        offered = request.offered.len(),
        decision = decision(&answer),
        "filter"
    );
    Ok(respond(answer, &request, &view))
}

fn respond(answer: FilterAnswer, request: &Request<'_>, view: &View) -> Response {
    match answer {
        FilterAnswer::All => all(request, view),
        FilterAnswer::These(positions) => {
            // Nodes without an entry count as unresolvable too (kube-scheduler 1.31), and cost no bytes.
            let nodes = positions.into_iter().filter_map(|at| request.offered.get(at));
            let node_names = nodes.map(|node| node.name(&view.nodes)).collect();
            Json(FilterResult { node_names, ..FilterResult::default() }).into_response()
        }
        FilterAnswer::Each(verdicts) => each(request, view, &verdicts),
        FilterAnswer::None(refusal, gang) => none(request, view, &refusal, gang.as_ref()),
    }
}

/// With thousands of names the longest answer: they go back as they came, which saves writing each of them.
fn all(request: &Request<'_>, view: &View) -> Response {
    let Some(names) = request.names else {
        let node_names = request.offered.iter().map(|node| node.name(&view.nodes)).collect();
        return Json(FilterResult { node_names, ..FilterResult::default() }).into_response();
    };
    let reply = [r#"{"NodeNames":["#, names, r#"],"FailedAndUnresolvableNodes":{},"Error":""}"#].concat();
    ([(header::CONTENT_TYPE, "application/json")], reply).into_response()
}

fn each(request: &Request<'_>, view: &View, verdicts: &[Result<(), Refusal>]) -> Response {
    // A message has nothing in it but its label, so that there are few of them for thousands of nodes.
    let refusals = verdicts.iter().filter_map(|v| v.as_ref().err());
    let mut messages = BTreeMap::new();
    for refusal in refusals {
        messages.entry(refusal.label()).or_insert_with(|| refusal.message(None));
    }
    let mut result = FilterResult::default();
    for (node, verdict) in request.offered.iter().zip(verdicts) {
        let name = node.name(&view.nodes);
        match verdict {
            Ok(()) => result.node_names.push(name),
            Err(refusal) => {
                result.refused.push((name, messages.get(refusal.label()).map_or("", String::as_str)));
            }
        }
    }
    Json(result).into_response()
}

fn none(request: &Request<'_>, view: &View, refusal: &Refusal, gang: Option<&GangId>) -> Response {
    let message = refusal.message(gang);
    if *refusal == Refusal::NotReady {
        // An error, so that the pod waits for a time and not for an event, and no autoscaler hears of it.
        return Json(FilterResult { error: &message, ..FilterResult::default() }).into_response();
    }
    // One entry speaks for all: a node without one counts as unresolvable too (kube-scheduler 1.31, and patch
    // releases since 1.28), and the same words for each of thousands of nodes would be half a megabyte.
    let first = request.offered.first().map(|node| (node.name(&view.nodes), message.as_str()));
    let refused = first.into_iter().collect();
    Json(FilterResult { refused, ..FilterResult::default() }).into_response()
}

fn decision(answer: &FilterAnswer) -> &'static str {
    match answer {
        FilterAnswer::All => "all",
        FilterAnswer::These(_) => "the best",
        FilterAnswer::Each(_) => "some",
        FilterAnswer::None(refusal, _) => refusal.label(),
    }
}
