//! `prioritize`: advice among the nodes that filter left. kube-scheduler drops errors of this verb in
//! silence, so everything that can be answered is.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use muster_placement::View;

use super::request::Request;
use super::wire::HostPriority;
use super::{Verbs, absent};
use crate::api::fault::{Body, Fault, text};

/// Bytes of one element of the reply beside its name.
const ELEMENT: usize = r#"{"Host":"","Score":10},"#.len();

/// Answers `prioritize`.
pub(super) async fn prioritize(State(verbs): State<Verbs>, body: Body) -> Result<Response, Fault> {
    let body = text("the prioritize request", &body)?;
    let view = verbs.engine.view();
    let mut space = None;
    let request =
        Request::read(body, &view, &mut space).map_err(|e| Fault::malformed("the prioritize request", &e))?;
    let head = request.pod.as_ref().ok_or_else(|| absent("prioritize", "Pod"))?;
    let pod = verbs.pod(&view, head, body)?;
    let scores = view.prioritize_offered(&pod, &request.offered);
    Ok(respond(&request, &scores, &view))
}

fn respond(request: &Request<'_>, scores: &[u8], view: &View) -> Response {
    let hosts = request.offered.iter().map(|node| node.name(&view.nodes)).zip(scores.iter().copied());
    let Some(names) = request.names else {
        let reply: Vec<_> = hosts.map(|(host, score)| HostPriority { host, score }).collect();
        return Json(reply).into_response();
    };
    let reply = encode_scores(hosts, names.len());
    ([(header::CONTENT_TYPE, "application/json")], reply).into_response()
}

/// The JSON of a list of `HostPriority` whose hosts need no escape: they are copied, which with thousands of them is
/// several times as fast as looking at every byte. `names` is about how many bytes they have together.
pub fn encode_scores<'a>(hosts: impl ExactSizeIterator<Item = (&'a str, u8)>, names: usize) -> String {
    let mut reply = String::with_capacity(names + hosts.len() * ELEMENT + 2);
    for (host, score) in hosts {
        reply.push_str(if reply.is_empty() { r#"[{"Host":""# } else { r#",{"Host":""# });
        reply.push_str(host);
        reply.push_str(r#"","Score":"#);
        if score >= 10 {
            reply.push(char::from(b'0' + score / 10 % 10));
        }
        reply.push(char::from(b'0' + score % 10));
        reply.push('}');
    }
    reply.push_str(if reply.is_empty() { "[]" } else { "]" });
    reply
}
