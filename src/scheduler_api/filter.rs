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
use muster_placement::{FilterAnswer, Refusal};

use super::wire::{Args, FilterResult};
use super::{Verbs, absent};
use crate::api::fault::{Body, Fault, text};

/// The scheduler keeps no cache of nodes on our behalf, so full nodes mean that it was set up otherwise.
const NOT_CACHE_CAPABLE: &str = "muster: set nodeCacheCapable: true for this extender in the \
    KubeSchedulerConfiguration: Muster watches nodes itself and takes their names only";

/// Answers `filter`.
pub(super) async fn filter(State(verbs): State<Verbs>, body: Body) -> Result<Response, Fault> {
    let _timer = verbs.metrics.filter_seconds.start_timer();
    let body = text("the filter request", &body)?;
    let args: Args<'_> =
        serde_json::from_str(body).map_err(|e| Fault::malformed("the filter request", &e))?;
    if args.nodes.is_some() && args.node_names.is_none() {
        return Ok(Json(FilterResult { error: NOT_CACHE_CAPABLE, ..FilterResult::default() }).into_response());
    }
    let head = args.pod.as_ref().ok_or_else(|| absent("filter", "Pod"))?;
    let view = verbs.engine.view();
    let offered = args.names();
    let pod = verbs.pod(&view, head, body)?;
    let answer = view.filter(&pod, &offered);
    tracing::debug!(
        namespace = &*head.metadata.namespace,
        pod = &*head.metadata.name,
        offered = offered.len(),
        decision = decision(&answer),
        "filter"
    );
    Ok(respond(answer, offered, body))
}

fn respond(answer: FilterAnswer, offered: Vec<&str>, body: &str) -> Response {
    match answer {
        FilterAnswer::All => all(offered, body),
        FilterAnswer::These(positions) => {
            // Nodes without an entry count as unresolvable too (kube-scheduler 1.31), and cost no bytes.
            let node_names = positions.into_iter().filter_map(|at| offered.get(at).copied()).collect();
            Json(FilterResult { node_names, ..FilterResult::default() }).into_response()
        }
        FilterAnswer::Each(verdicts) => each(&offered, &verdicts),
        FilterAnswer::None(refusal, gang) => none(&offered, &refusal, gang.as_ref()),
    }
}

/// The commonest answer and, with thousands of names, the longest: the names go back as they came, which
/// saves writing each of them (60 of about 220 microseconds at 5,000 names).
fn all(offered: Vec<&str>, body: &str) -> Response {
    let Some(names) = verbatim(&offered, body) else {
        return Json(FilterResult { node_names: offered, ..FilterResult::default() }).into_response();
    };
    let reply = [r#"{"NodeNames":["#, names, r#"],"FailedAndUnresolvableNodes":{},"Error":""}"#].concat();
    ([(header::CONTENT_TYPE, "application/json")], reply).into_response()
}

/// The part of the body from the first name's quote to the last one's, if both were borrowed from it.
fn verbatim<'b>(offered: &[&str], body: &'b str) -> Option<&'b str> {
    let at = |name: &str| name.as_ptr().addr().checked_sub(body.as_ptr().addr());
    let (first, last) = (offered.first()?, offered.last()?);
    let (start, end) = (at(first)?.checked_sub(1)?, at(last)?.checked_add(last.len())?.checked_add(1)?);
    body.get(start..end).filter(|part| part.starts_with('"') && part.ends_with('"'))
}

fn each(offered: &[&str], verdicts: &[Result<(), Refusal>]) -> Response {
    // A message has nothing in it but its label, so that there are few of them for thousands of nodes.
    let refusals = verdicts.iter().filter_map(|v| v.as_ref().err());
    let mut messages = BTreeMap::new();
    for refusal in refusals {
        messages.entry(refusal.label()).or_insert_with(|| refusal.message(None));
    }
    let mut result = FilterResult::default();
    for (name, verdict) in offered.iter().zip(verdicts) {
        match verdict {
            Ok(()) => result.node_names.push(name),
            Err(refusal) => {
                result.refused.push((name, messages.get(refusal.label()).map_or("", String::as_str)));
            }
        }
    }
    Json(result).into_response()
}

fn none(offered: &[&str], refusal: &Refusal, gang: Option<&GangId>) -> Response {
    let message = refusal.message(gang);
    if *refusal == Refusal::NotReady {
        // An error, so that the pod waits for a time and not for an event, and no autoscaler hears of it.
        return Json(FilterResult { error: &message, ..FilterResult::default() }).into_response();
    }
    // One entry speaks for all: a node without one counts as unresolvable too (kube-scheduler 1.31, and patch
    // releases since 1.28), and the same words for each of thousands of nodes would be half a megabyte.
    let refused = offered.first().map(|name| (*name, message.as_str())).into_iter().collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Names decoded from a body, and the part of the body that holds them.
    fn check(body: &str, expected: Option<&str>) {
        let args: Args<'_> = serde_json::from_str(body).unwrap();
        assert_eq!(verbatim(&args.names(), body), expected, "{body}");
    }

    #[test]
    fn names_go_back_as_they_came() {
        check(r#"{"NodeNames":["a"]}"#, Some(r#""a""#));
        check(r#"{"NodeNames":[ "a" ,"b\u002d","c" ]}"#, Some(r#""a" ,"b\u002d","c""#));
        check(r#"{"NodeNames":["","c"],"Pod":{}}"#, Some(r#""","c""#));
    }

    #[test]
    fn what_is_not_in_the_body_is_written_anew() {
        check(r#"{"NodeNames":[]}"#, None);
        check(r#"{"NodeNames":["\u0061"]}"#, None);
        check(r#"{"NodeNames":["\u0061","b"]}"#, None);
        check(r#"{"NodeNames":["a","\u0062"]}"#, None);
    }
}
