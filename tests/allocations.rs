//! What a filter call allocates does not grow with the nodes that are offered, beyond the list of them. A ratio of
//! counts, which no busy machine can move.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../benches/clusters/mod.rs"]
mod clusters;
#[path = "../benches/measure/mod.rs"]
mod measure;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use clusters::{Order, body, names, pods};
use futures::FutureExt as _;
use measure::allocated;
use muster::engine::Handle;
use muster::metrics::Metrics;
use muster::scheduler_api::{Verbs, router};
use muster_placement::View;
use tower::Service as _;

fn verbs(view: View) -> Router {
    let (handle, _) = Handle::fixed(view);
    let translate = Arc::new(|pod: &_| clusters::translated(serde_json::to_value(pod).unwrap()));
    router(Verbs::new(handle, translate, Arc::new(Metrics::new().unwrap())))
}

/// Allocations of one call and their bytes.
fn cost(router: &mut Router, body: &Bytes) -> (usize, usize) {
    let request = Request::post("/v1/extender/filter").body(Body::from(body.clone())).unwrap();
    let before = allocated();
    let response = router.call(request).now_or_never().unwrap().unwrap();
    let after = allocated();
    assert_eq!(response.status(), 200);
    (after.0 - before.0, after.1 - before.1)
}

#[test]
fn filter_allocates_as_often_for_a_thousand_nodes_as_for_ten() {
    for (kind, pod) in pods() {
        let [few, many] = [10, 1_000].map(|nodes| {
            let mut router = verbs(clusters::view(nodes));
            let body = Bytes::from(body(&pod, &names(nodes, Order::Near)));
            cost(&mut router, &body);
            cost(&mut router, &body)
        });
        // A single pod of ten nodes is given all, of a thousand a list of the best: a few more, but no more with more.
        let more = if kind == "single" { 8 } else { 0 };
        assert!(many.0 <= few.0 + more, "{kind}: {} allocations, {} with ten nodes", many.0, few.0);
        // 16 bytes for each node offered, and 100 for one that may be on the list.
        let grown = if kind == "single" { 116 } else { 16 };
        assert!(many.1 <= few.1 + 1_000 * grown + 4_096, "{kind}: {} bytes, {} with ten", many.1, few.1);
    }
}
