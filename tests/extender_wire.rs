//! kube-scheduler's real bytes in, and replies out that it accepts, for every version we have bytes of.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod served;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use muster_placement::View;
use serde::Deserialize;
use serde_json::{Value, json};
use served::{Served, bound, fixed, gpus, node, pod, synced};

const VERSIONS: [&str; 4] = ["1.34.4", "1.35.4", "1.36.3", "1.37.2"];

/// `ExtenderFilterResult` as Go has it, and nothing besides.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct FilterResult {
    #[serde(default)]
    nodes: Option<Value>,
    node_names: Option<Vec<String>>,
    #[serde(default)]
    failed_nodes: Option<BTreeMap<String, String>>,
    #[serde(default)]
    failed_and_unresolvable_nodes: Option<BTreeMap<String, String>>,
    error: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct HostPriority {
    host: String,
    score: i64,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct BindingResult {
    error: String,
}

fn bytes(version: &str, file: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire").join(version).join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn names(request: &[u8]) -> Vec<String> {
    let request: Value = serde_json::from_slice(request).unwrap();
    serde_json::from_value(request["NodeNames"].clone()).unwrap()
}

/// Twelve nodes with 8 free GPUs each, as in the fixtures.
fn twelve() -> View {
    synced((0..12).map(|i| node(&format!("gpu-{i:04}")))).view()
}

async fn filter(served: &Served, body: impl Into<reqwest::Body>) -> FilterResult {
    let response = served.post("/v1/extender/filter", body).await;
    assert_eq!(response.status(), 200);
    assert!(response.content_length().is_some(), "a reply without Content-Length is chunked");
    assert!(!response.headers().contains_key("transfer-encoding"));
    let result: FilterResult = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert!(result.nodes.is_none() && result.failed_nodes.is_none());
    result
}

fn request(pod: &Value, node_names: &Value) -> String {
    json!({"Pod": pod, "Nodes": null, "NodeNames": node_names}).to_string()
}

fn gpu_pod(count: u64) -> Value {
    json!({"metadata": {"uid": "u-1", "namespace": "default", "name": "p"}, "spec": {"containers": [gpus(count)]}})
}

#[tokio::test]
async fn filter_takes_the_real_bytes_and_echoes_every_node() {
    let (served, _told) = fixed(twelve()).await;
    let claim = ("1.35.4", "filter.resource-claim.request.json");
    for (version, file) in VERSIONS.map(|v| (v, "filter.request.json")).into_iter().chain([claim]) {
        let body = bytes(version, file);
        let offered = names(&body);
        let result = filter(&served, body).await;
        assert_eq!(result.node_names, Some(offered), "{version} {file}");
        assert_eq!(result.error, "");
        assert_eq!(result.failed_and_unresolvable_nodes.unwrap_or_default(), BTreeMap::new());
    }
}

#[tokio::test]
async fn our_reply_says_what_the_accepted_one_said() {
    let (served, _told) = fixed(twelve()).await;
    for version in VERSIONS {
        let accepted: FilterResult = serde_json::from_slice(&bytes(version, "filter.response.json")).unwrap();
        let ours = filter(&served, bytes(version, "filter.request.json")).await;
        assert_eq!((ours.node_names, ours.error), (accepted.node_names, accepted.error));
    }
}

#[tokio::test]
async fn full_and_unknown_nodes_are_unresolvable_with_a_constant_reason() {
    let events = (0..3).map(|i| node(&format!("gpu-{i:04}"))).chain([bound("old", "gpu-0001")]);
    let (served, _told) = fixed(synced(events).view()).await;
    let body = request(&gpu_pod(2), &json!(["gpu-0000", "gpu-0001", "nowhere", "gpu-0002"]));
    let result = filter(&served, body.clone()).await;
    assert_eq!(result.node_names.unwrap(), ["gpu-0000", "gpu-0002"]);
    let refused = result.failed_and_unresolvable_nodes.unwrap();
    assert_eq!(refused["gpu-0001"], "muster: InsufficientGpus");
    assert_eq!(refused["nowhere"], "muster: NodeUnknown");
    assert_eq!(refused.len(), 2);
    let again = filter(&served, body).await;
    assert_eq!(again.failed_and_unresolvable_nodes.unwrap(), refused);
}

#[tokio::test]
async fn null_lists_missing_keys_one_node_and_no_node_are_answered() {
    let (served, _told) = fixed(twelve()).await;
    let pod = gpu_pod(1);
    assert_eq!(filter(&served, request(&pod, &json!(null))).await.node_names, Some(vec![]));
    assert_eq!(filter(&served, request(&pod, &json!([]))).await.node_names, Some(vec![]));
    assert_eq!(filter(&served, json!({"Pod": pod}).to_string()).await.node_names, Some(vec![]));
    assert_eq!(filter(&served, request(&pod, &json!(["gpu-0007"]))).await.node_names.unwrap(), ["gpu-0007"]);
    // A name with an escape is a name like any other, and comes back as it is meant.
    let escaped = request(&pod, &json!(["gpu-0007"])).replace("gpu-0007", "gpu\\u002d0007");
    assert_eq!(filter(&served, escaped).await.node_names.unwrap(), ["gpu-0007"]);
}

#[tokio::test]
async fn a_gang_that_waits_is_refused_everywhere_with_its_name_said_once() {
    let labels = json!({"muster.dev/gang-name": "crew", "muster.dev/gang-size": "2"});
    let mut pod = gpu_pod(1);
    pod["metadata"]["labels"] = labels;
    let (served, _told) = fixed(twelve()).await;
    let result = filter(&served, request(&pod, &json!(["gpu-0000", "gpu-0001"]))).await;
    assert_eq!(result.node_names, Some(vec![]));
    let refused = result.failed_and_unresolvable_nodes.unwrap();
    let [(node, message)] = &refused.into_iter().collect::<Vec<_>>()[..] else { panic!("one entry") };
    assert_eq!(node, "gpu-0000");
    assert!(message.starts_with("muster: WaitingForMembers ("), "{message}");
    assert!(message.contains("default/crew"), "{message}");
}

#[tokio::test]
async fn before_the_cluster_is_read_filter_is_an_error() {
    let (served, _told) = fixed(View::default()).await;
    let result = filter(&served, bytes("1.37.2", "filter.request.json")).await;
    assert_eq!(result.error, "muster: NotReady");
    assert_eq!(result.node_names, Some(vec![]));
}

#[tokio::test]
async fn full_nodes_are_an_error_that_names_the_setting() {
    let (served, _told) = fixed(twelve()).await;
    let body = json!({"Pod": gpu_pod(1), "Nodes": {"items": [{"metadata": {"name": "gpu-0000"}}]}, "NodeNames": null});
    let result = filter(&served, body.to_string()).await;
    assert!(result.error.contains("nodeCacheCapable: true"), "{}", result.error);
}

#[tokio::test]
async fn lower_case_keys_are_not_the_protocol() {
    let (served, _told) = fixed(twelve()).await;
    let body = request(&gpu_pod(1), &json!(["gpu-0000"])).replace("\"Pod\"", "\"pod\"");
    let (status, fault) = served.ask("/v1/extender/filter", body).await;
    assert_eq!(status, 400);
    assert!(fault["error"].as_str().unwrap().contains("has no Pod"), "{fault}");
}

#[tokio::test]
async fn prioritize_scores_every_node_with_one_best() {
    let (served, _told) = fixed(twelve()).await;
    for version in VERSIONS {
        let body = bytes(version, "prioritize.request.json");
        let offered = names(&body);
        let reply = served.post("/v1/extender/prioritize", body).await;
        assert_eq!(reply.status(), 200);
        let scores: Vec<HostPriority> = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
        assert_eq!(scores.iter().map(|s| s.host.clone()).collect::<Vec<_>>(), offered);
        assert!(scores.iter().all(|s| (0..=10).contains(&s.score)));
        assert_eq!(scores.iter().filter(|s| s.score == 10).count(), 1, "{scores:?}");
    }
    let (_, none) = served.ask("/v1/extender/prioritize", request(&gpu_pod(1), &json!(null))).await;
    assert_eq!(none, json!([]));
}

#[tokio::test]
async fn bind_hands_on_the_real_bytes() {
    for version in VERSIONS {
        let (served, mut told) = fixed(twelve()).await;
        let asked = served.post("/v1/extender/bind", bytes(version, "bind.request.json"));
        let event = tokio::select! {
            event = told.recv() => event.unwrap(),
            _ = asked => panic!("answered before the outcome was known"),
        };
        let muster_placement::Event::BindAsked { pod, node, .. } = event else { panic!("{event:?}") };
        let body: Value = serde_json::from_slice(&bytes(version, "bind.request.json")).unwrap();
        assert_eq!(
            (pod.as_str(), node.as_str()),
            (body["PodUID"].as_str().unwrap(), body["Node"].as_str().unwrap())
        );
    }
    let accepted: BindingResult = serde_json::from_slice(&bytes("1.37.2", "bind.response.json")).unwrap();
    assert_eq!(accepted, BindingResult { error: String::new() });
}

/// The nodes of the preempt fixtures, full of the fixtures' victims.
fn full(request: &Value) -> View {
    let victims = request["NodeNameToMetaVictims"].as_object().unwrap();
    let nodes = victims.keys().map(|name| node(name));
    let pods = victims.iter().map(|(name, v)| bound(v["Pods"][0]["UID"].as_str().unwrap(), name));
    synced(nodes.chain(pods)).view()
}

#[tokio::test]
async fn preempt_agrees_with_victims_that_make_room() {
    for version in VERSIONS {
        let body = bytes(version, "preempt.request.json");
        let (served, _told) = fixed(full(&serde_json::from_slice(&body).unwrap())).await;
        let reply = served.post("/v1/extender/preempt", body).await;
        let accepted = String::from_utf8(bytes(version, "preempt.response.json")).unwrap();
        assert_eq!(reply.text().await.unwrap(), accepted.trim_end(), "{version}");
    }
}

#[tokio::test]
async fn preempt_takes_full_pods_too_and_strikes_out_empty_victims() {
    let mut body: Value = serde_json::from_slice(&bytes("1.37.2", "preempt.request.json")).unwrap();
    let (served, _told) = fixed(full(&body)).await;
    let uid = body["NodeNameToMetaVictims"]["gpu-0000"]["Pods"][0]["UID"].clone();
    let victim =
        json!({"metadata": {"uid": uid, "namespace": "default", "name": "v"}, "spec": {"containers": []}});
    body["NodeNameToMetaVictims"] = json!(null);
    body["NodeNameToVictims"] = json!({
        "gpu-0000": {"Pods": [victim], "NumPDBViolations": 3},
        "gpu-0001": {"Pods": [], "NumPDBViolations": 0},
        "gpu-0002": {"Pods": null, "NumPDBViolations": 0},
        "nowhere": {"Pods": [victim], "NumPDBViolations": 0},
    });
    let (status, reply) = served.ask("/v1/extender/preempt", body.to_string()).await;
    assert_eq!(status, 200);
    let agreed = json!({"gpu-0000": {"Pods": [{"UID": uid}], "NumPDBViolations": 3}});
    assert_eq!(reply, json!({"NodeNameToMetaVictims": agreed}));
    body["NodeNameToVictims"] = json!(null);
    let (_, reply) = served.ask("/v1/extender/preempt", body.to_string()).await;
    assert_eq!(reply, json!({"NodeNameToMetaVictims": {}}));
}

/// Victims that are half a gang, and pods of a gang that ask: nothing is agreed to.
#[tokio::test]
async fn preempt_tears_no_gang_and_is_not_for_gangs() {
    let labels = json!({"muster.dev/gang-name": "train", "muster.dev/gang-size": "2"});
    let member = |uid: &str, node: &str| {
        pod(json!({
            "metadata": {"uid": uid, "namespace": "default", "name": uid, "labels": labels},
            "spec": {"nodeName": node, "containers": [gpus(4)]},
            "status": {"phase": "Running"},
        }))
    };
    let events = [node("n-0"), node("n-1"), member("m-0", "n-0"), member("m-1", "n-1"), bound("v", "n-1")];
    let (served, _told) = fixed(synced(events).view()).await;
    let ask = |labels: &Value| {
        let meta = json!({"uid": "asks", "namespace": "default", "name": "asks", "labels": labels});
        json!({
            "Pod": {"metadata": meta, "spec": {"containers": [gpus(4)]}},
            "NodeNameToMetaVictims": {
                "n-0": {"Pods": [{"UID": "m-0"}], "NumPDBViolations": 0},
                "n-1": {"Pods": [{"UID": "v"}], "NumPDBViolations": 0},
            },
        })
    };
    let (_, reply) = served.ask("/v1/extender/preempt", ask(&json!({})).to_string()).await;
    let agreed = json!({"n-1": {"Pods": [{"UID": "v"}], "NumPDBViolations": 0}});
    assert_eq!(reply, json!({"NodeNameToMetaVictims": agreed}));
    let (_, reply) = served.ask("/v1/extender/preempt", ask(&labels).to_string()).await;
    assert_eq!(reply, json!({"NodeNameToMetaVictims": {}}));
}
