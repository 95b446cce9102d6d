//! The dashboard's own paths: the page, its stream, its map and the explanations.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod served;

use std::sync::Arc;
use std::time::Duration;

use muster::clock::{Beat, Clock};
use muster::engine::{Engine, Parts};
use muster::metrics::Metrics;
use muster_placement::Event;
use reqwest::Response;
use reqwest::header::{ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};
use served::{Served, bound, fixed, gpus, node, pod, serve, synced};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

fn waiting(uid: &str, name: &str, each: u64) -> Event {
    let labels = json!({"muster.dev/gang-name": "crew", "muster.dev/gang-size": "2"});
    let metadata = json!({"uid": uid, "namespace": "ml", "name": name, "labels": labels});
    pod(json!({"metadata": metadata, "spec": {"containers": [gpus(each)]}, "status": {"phase": "Pending"}}))
}

async fn two_nodes() -> Served {
    let events = [
        node("gpu-0000"),
        node("gpu-0001"),
        bound("old", "gpu-0001"),
        waiting("g-1", "a", 8),
        waiting("g-2", "b", 8),
    ];
    fixed(synced(events).view()).await.0
}

#[tokio::test]
async fn the_map_has_a_column_entry_per_node_and_gpu() {
    let served = two_nodes().await;
    let (_, map) = served.json("/api/v1/map").await;
    assert_eq!(map["nodes"]["name"], json!(["gpu-0000", "gpu-0001"]));
    assert_eq!(map["nodes"]["gpus"], json!([8, 8]));
    assert_eq!(map["nodes"]["flags"], json!([2, 2]), "no agent reports");
    assert_eq!(map["gpus"]["state"], "ffffffffgggggggg");
    assert_eq!(map["holders"], json!([{"namespace": "default", "kind": "Pod", "name": "pod-old"}]));
    assert_eq!(map["gpus"]["holder"][7], -1);
    assert_eq!(map["gpus"]["holder"][8], 0);
    assert_eq!(map["gpus"]["utilisation"][0], -1);
}

#[tokio::test]
async fn an_unchanged_map_is_304() {
    let served = two_nodes().await;
    let tag = served.get("/api/v1/map").await.headers()[ETAG].clone();
    let url = format!("http://{}/api/v1/map", served.address);
    let client = reqwest::Client::new();
    let again = client.get(&url).header(IF_NONE_MATCH, tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    assert!(again.bytes().await.unwrap().is_empty());
    let other = client.get(&url).header(IF_NONE_MATCH, "\"other\"").send().await.unwrap();
    assert_eq!(other.status(), 200);
}

#[tokio::test]
async fn the_headline_says_what_fits_and_who_waits() {
    let served = two_nodes().await;
    let (_, cluster) = served.json("/api/v1/cluster").await;
    assert_eq!(cluster["waiting_gangs"], 1);
    let fits: Vec<&Value> =
        cluster["largest_fit"].as_array().unwrap().iter().map(|fit| &fit["members"]).collect();
    assert_eq!(fits, [8, 4, 2, 1]);
    let (_, gangs) = served.json("/api/v1/gangs").await;
    let names: Vec<&Value> = gangs[0]["members"].as_array().unwrap().iter().map(|m| &m["name"]).collect();
    assert_eq!(names, ["a", "b"], "{gangs}");
}

#[tokio::test]
async fn an_explanation_counts_nodes_and_names_who_is_in_the_way() {
    let served = two_nodes().await;
    let (_, gangs) = served.json("/api/v1/gangs").await;
    let path = format!("/api/v1/explain/ml/{}/crew", gangs[0]["kind"].as_str().unwrap());
    let (status, answer) = served.json(&path).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["reason"]["label"], "InsufficientGpus");
    let funnel: Vec<&Value> =
        answer["funnel"].as_array().unwrap().iter().map(|step| &step["nodes"]).collect();
    assert_eq!(funnel, [2, 2, 2, 2, 1]);
    let obstacle = &answer["obstacles"][0];
    assert_eq!((&obstacle["node"], &obstacle["label"]), (&json!("gpu-0001"), &json!("InsufficientGpus")));
    let holder = json!({"namespace": "default", "kind": "Pod", "name": "pod-old", "gpus": 8});
    assert_eq!(obstacle["holders"], json!([holder]));
    let ends =
        json!({"label": "Ends", "sentence": "It has room when Pod default/pod-old ends, which has 8 GPUs."});
    assert!(answer["changes"].as_array().unwrap().contains(&ends), "{answer}");
    assert_eq!(served.json("/api/v1/explain/ml/TFJob/crew").await.0, 404);
}

#[tokio::test]
async fn the_page_allows_nothing_from_elsewhere() {
    let served = two_nodes().await;
    let page = served.get("/").await;
    assert_eq!(page.status(), 200);
    let headers = page.headers().clone();
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    let text = page.text().await.unwrap();
    // Built or not, the page is Muster's and points to nothing absolute.
    assert!(text.contains("<title>Muster"), "{text}");
    assert!(!text.contains("\"/") && !text.contains("http"), "{text}");
    for path in ["/assets/none.js", "/assets/../index.html", "/assets/%2e%2e/%2e%2e/package.json"] {
        assert_eq!(served.get(path).await.status(), 404, "{path}");
    }
}

/// The next event of a stream, as text.
async fn next(stream: &mut Response) -> Option<String> {
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        text += std::str::from_utf8(&stream.chunk().await.unwrap()?).unwrap();
    }
    Some(text)
}

#[tokio::test]
async fn the_stream_tells_of_changes_only_and_ends_with_the_engine() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let (effects, _effects_out) = mpsc::unbounded_channel();
    let violations = metrics.audit_violations.clone();
    let (clock, beat) = (Arc::new(Clock::start()), Arc::new(Beat::default()));
    let (engine, handle) = Engine::new(Parts { effects, clock, beat, violations });
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(engine.run(stop.clone()));
    let served = serve(handle.clone(), metrics).await;
    let mut stream = served.get("/api/v1/stream").await;
    let first = next(&mut stream).await.unwrap();
    assert!(first.contains("event: cluster") && first.contains("\"ready\":false"), "{first}");
    // The clock ticks four times a second, which is nothing new.
    let silent = tokio::time::timeout(Duration::from_millis(1_500), next(&mut stream)).await;
    assert!(silent.is_err(), "{silent:?}");
    handle.tell(node("gpu-0000")).await.unwrap();
    let second = next(&mut stream).await.unwrap();
    assert!(second.contains("\"nodes\":1") && second.contains("id: "), "{second}");
    stop.cancel();
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test]
async fn there_are_not_more_streams_than_places() {
    // Streams end when nobody receives what the engine is told.
    let (served, _told) = fixed(synced([node("gpu-0000")]).view()).await;
    let mut open = Vec::new();
    for _ in 0..64 {
        let stream = served.get("/api/v1/stream").await;
        assert_eq!(stream.status(), 200);
        open.push(stream);
    }
    let (status, fault) = served.json("/api/v1/stream").await;
    assert_eq!(status, 503);
    assert!(fault["error"].as_str().unwrap().contains("64") && fault["next"].is_string(), "{fault}");
    drop(open.pop());
    // The server sees the connection end when it does.
    for _ in 0..200 {
        if served.get("/api/v1/stream").await.status() == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a place that was given back is not free");
}
