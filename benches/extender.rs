//! What the extender's verbs cost in process, from the bytes of the body to those of the reply: m1, m2, m3. The floors
//! are from the same run: a copy of the body, `serde_json` alone, a router that answers without looking. Nothing here
//! passes or fails.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a bench prints, and has no one to hand an error to"
)]

mod clusters;
mod figure;
mod measure;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use axum::response::Response;
use axum::routing::post;
use clusters::{Order, body, names, pods};
use figure::{Figure, Goal};
use futures::FutureExt as _;
use measure::{Cost, call, compare};
use muster::engine::Handle;
use muster::metrics::Metrics;
use muster::scheduler_api::{Verbs, encode_scores, router, take_names};
use muster_placement::View;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower::Service as _;

const NODES: [usize; 3] = [1_000, 5_000, 15_000];

fn main() {
    for nodes in NODES {
        let view = clusters::view(nodes);
        resolve(&view, nodes);
        filter(&view, nodes);
        prioritize(&view, nodes);
    }
}

/// m1: the text of the names to nodes.
fn resolve(view: &View, nodes: usize) {
    for (case, order, goal) in [
        ("resolve names, in order", Order::Sorted, Goal::TimesFloor(7.0)),
        ("resolve names, near order", Order::Near, Goal::TimesFloor(12.0)),
        ("resolve names, three zones in turn", Order::Zones, Goal::None),
        ("resolve names, shuffled", Order::Shuffled, Goal::None),
    ] {
        let text = json!(names(nodes, order)).to_string();
        let text = text.trim_matches(['[', ']']);
        let (mut copy, mut offered) = (vec![0_u8; text.len()], Vec::with_capacity(nodes));
        let [ours, floor] = compare([
            call(|| {
                offered.clear();
                take_names(text, view.finder(), &mut offered).unwrap();
            }),
            call(|| copy.copy_from_slice(text.as_bytes())),
        ]);
        let goal = if nodes == 5_000 { goal } else { Goal::None };
        print("m1", case, nodes, ours, ("memcpy", floor), goal);
    }
}

/// m2: filter, from body to reply.
fn filter(view: &View, nodes: usize) {
    let ours = verbs(view);
    for (kind, pod) in pods() {
        let body = Bytes::from(body(&pod, &names(nodes, Order::Near)));
        let reply = ask(&mut ours.clone(), "/v1/extender/filter", &body);
        let text = std::str::from_utf8(&reply).unwrap();
        let expected = match kind {
            "planned" => clusters::planned_node(view),
            "refused" => "WaitingForMembers".to_owned(),
            _ => clusters::node_name(0),
        };
        assert!(text.contains(&expected), "{kind}: {}", text.get(..300).unwrap_or(text));
        let mut constant = constant(reply);
        let (mut router, mut copy) = (ours.clone(), vec![0_u8; body.len()]);
        let [ours, constant, parse, memcpy] = compare([
            call(|| ask(&mut router, "/v1/extender/filter", &body)),
            call(|| ask(&mut constant, "/", &body)),
            call(|| serde_json::from_slice::<Args<'_>>(&body).unwrap().node_names.len()),
            call(|| copy.copy_from_slice(&body)),
        ]);
        let case = match kind {
            "planned" => "filter a planned member: one winner",
            "refused" => "filter a member that waits: refused",
            _ => "filter a single GPU pod: the best 32",
        };
        let goal = match (kind, nodes) {
            ("planned", 5_000) => Goal::AtMost(70.0),
            ("planned", 15_000) => Goal::AtMost(230.0),
            _ => Goal::None,
        };
        print("m2", case, nodes, ours, ("serde_json alone", parse), goal);
        if kind == "planned" {
            let goal = Goal::Faster(20.0);
            // Go 1.27, encoding/json as kube-scheduler 1.35 has it, on two cores of an EPYC; 2026-11-24.
            let go = [525.0, 1_893.0, 5_525.0];
            let go = NODES.iter().zip(go).find(|(n, _)| **n == nodes).map_or(f64::NAN, |(_, us)| us);
            if nodes != 1_000 {
                let go = Cost { us: go, ..Cost::default() };
                print("m2", "the same, beside a dated figure", nodes, ours, ("Go unmarshal alone", go), goal);
            }
            print("m2", "the same", nodes, ours, ("constant, same router", constant), Goal::None);
            print("m2", "the same", nodes, ours, ("memcpy of the body", memcpy), Goal::None);
        }
    }
}

/// m3: the reply of prioritize, and the whole call.
fn prioritize(view: &View, nodes: usize) {
    let text = json!(names(nodes, Order::Near)).to_string();
    let text = text.trim_matches(['[', ']']);
    let mut offered = Vec::new();
    take_names(text, view.finder(), &mut offered).unwrap();
    let pod = clusters::translated(pods()[2].1.clone());
    let scores = view.prioritize_offered(&pod, &offered);
    let hosts = || offered.iter().map(|node| node.name(&view.nodes)).zip(scores.iter().copied());
    let with_serde = || {
        let list: Vec<_> = hosts().map(|(host, score)| HostPriority { host, score }).collect();
        serde_json::to_vec(&list).unwrap()
    };
    assert_eq!(encode_scores(hosts(), text.len()).as_bytes(), with_serde());
    let [ours, floor] = compare([call(|| encode_scores(hosts(), text.len())), call(with_serde)]);
    let goal = if nodes == 5_000 { Goal::AtMost(40.0) } else { Goal::None };
    print("m3", "reply of prioritize", nodes, ours, ("serde_json", floor), goal);
    print("m3", "the same", nodes, ours, ("serde_json", floor), Goal::Faster(5.0));

    let body = Bytes::from(body(&pods()[2].1, &names(nodes, Order::Near)));
    let mut router = verbs(view);
    let [ours, floor] = compare([
        call(|| ask(&mut router, "/v1/extender/prioritize", &body)),
        call(|| (serde_json::from_slice::<Args<'_>>(&body).unwrap().node_names.len(), with_serde())),
    ]);
    print("m3", "prioritize, body to reply", nodes, ours, ("serde_json, both ways", floor), Goal::None);
}

fn print(id: &str, case: &str, n: usize, ours: Cost, floor: (&str, Cost), goal: Goal) {
    let beside = format!(
        "cpu {:.1}, {:.0} allocs, {:.1} KB, ±{:.0} %",
        ours.cpu_us,
        ours.allocations,
        ours.bytes / 1e3,
        (ours.spread_us.1 - ours.spread_us.0) / ours.us * 50.0
    );
    let floor = (floor.0, floor.1.us);
    println!("{}", Figure { id, case, n, ours: ours.us, unit: "us", beside, floor, goal });
}

#[derive(Deserialize)]
struct Args<'a> {
    #[serde(rename = "NodeNames", borrow)]
    node_names: Vec<&'a str>,
}

#[derive(Serialize)]
struct HostPriority<'a> {
    #[serde(rename = "Host")]
    host: &'a str,
    #[serde(rename = "Score")]
    score: u8,
}

fn verbs(view: &View) -> Router {
    let (handle, _) = Handle::fixed(view.clone());
    let translate = Arc::new(|pod: &_| clusters::translated(serde_json::to_value(pod).unwrap()));
    router(Verbs::new(handle, translate, Arc::new(Metrics::new().unwrap())))
}

/// Reads the body and answers always the same.
fn constant(reply: Bytes) -> Router {
    let answer = async move |body: Bytes| {
        drop(body);
        ([(header::CONTENT_TYPE, "application/json")], reply.clone())
    };
    let limit = axum::extract::DefaultBodyLimit::max(8 << 20);
    Router::new().route("/", post(answer)).layer(limit)
}

/// One call. Nothing in it waits, so that one poll is enough.
fn ask(router: &mut Router, path: &str, body: &Bytes) -> Bytes {
    let request = Request::post(path).body(Body::from(body.clone())).unwrap();
    let response: Response = router.call(request).now_or_never().unwrap().unwrap();
    assert_eq!(response.status(), 200);
    axum::body::to_bytes(response.into_body(), usize::MAX).now_or_never().unwrap().unwrap()
}
