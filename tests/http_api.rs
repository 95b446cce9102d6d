//! Limits, status codes and faults of every HTTP surface.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod served;

use std::sync::Arc;
use std::time::Duration;

use muster::clock::{Beat, Clock};
use muster::engine::{Engine, Parts};
use muster::metrics::Metrics;
use muster_placement::inventory::{Gpu, Health, Inventory, Load, Seen, Wiring};
use muster_placement::{Effect, Event, Outcome, View};
use serde_json::{Value, json};
use served::{Served, bound, fixed, gpus, node, pod, serve, synced};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const MIB: usize = 1024 * 1024;

fn two_nodes() -> View {
    synced([node("gpu-0000"), node("gpu-0001"), bound("old", "gpu-0001")]).view()
}

fn report(node: &str, epoch: u64, sequence: u64) -> Value {
    let mut report: Value =
        serde_json::from_str(include_str!("../crates/report/tests/report.v1.json")).unwrap();
    report["node"] = json!(node);
    report["epoch"] = json!(epoch);
    report["sequence"] = json!(sequence);
    report
}

async fn send(served: &Served, report: &Value) -> (u16, Value) {
    served.ask("/v1/reports", report.to_string()).await
}

#[tokio::test]
async fn malformed_extender_json_is_400_with_what_and_where() {
    let (served, _told) = fixed(two_nodes()).await;
    for verb in ["filter", "prioritize", "preempt", "bind"] {
        let path = format!("/v1/extender/{verb}");
        let (status, fault) = served.ask(&path, "{\"Pod\":\n  oops").await;
        assert_eq!(status, 400, "{verb}");
        assert_eq!((&fault["line"], &fault["column"]), (&json!(2), &json!(3)), "{fault}");
        assert!(
            fault["error"].as_str().unwrap().starts_with(&format!("the {verb} request is malformed")),
            "{fault}"
        );
        for body in ["", "null", "[]", "7", "{}", "{\"Pod\":7}", "{\"Pod\":{\"metadata\":{\"uid\":[]}}}"] {
            let (status, fault) = served.ask(&path, body).await;
            assert_eq!(status, 400, "{verb} {body:?}: {fault}");
            assert!(!fault["next"].as_str().unwrap().is_empty());
        }
        let (status, fault) = served.ask(&path, b"{\"Pod\":\"\xff\"}".to_vec()).await;
        assert_eq!(status, 400, "{fault}");
    }
}

#[tokio::test]
async fn a_pod_that_cannot_be_read_is_400_only_if_the_watch_does_not_know_it() {
    let (served, _told) = fixed(two_nodes()).await;
    let body = |uid: &str| json!({"Pod": {"metadata": {"uid": uid}, "spec": {"containers": 7}}, "NodeNames": ["gpu-0000"]});
    let (status, fault) = served.ask("/v1/extender/filter", body("new").to_string()).await;
    assert_eq!(status, 400);
    assert!(fault["error"].as_str().unwrap().starts_with("Pod is malformed"), "{fault}");
    let (status, _) = served.ask("/v1/extender/filter", body("old").to_string()).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn deep_nesting_does_not_end_the_process() {
    let (served, _told) = fixed(two_nodes()).await;
    let deep = format!("{{\"Pod\":{}", "[".repeat(MIB));
    assert_eq!(served.ask("/v1/extender/filter", deep).await.0, 400);
    assert_eq!(served.get("/livez").await.status(), 200);
}

#[tokio::test]
async fn bodies_above_their_cap_are_413() {
    let (served, _told) = fixed(two_nodes()).await;
    for (path, cap) in [
        ("/v1/extender/filter", 8 * MIB),
        ("/v1/extender/prioritize", 8 * MIB),
        ("/v1/extender/preempt", 8 * MIB),
        ("/v1/extender/bind", 64 * 1024),
        ("/v1/reports", 256 * 1024),
    ] {
        let (status, fault) = served.ask(path, vec![b' '; cap + 2]).await;
        assert_eq!(status, 413, "{path}: {fault}");
        assert!(fault["error"].is_string() && fault["next"].is_string(), "{fault}");
        let (status, _) = served.ask(path, vec![b' '; cap]).await;
        assert_eq!(status, 400, "{path}");
    }
    let (status, fault) = served.ask("/v1/reports", vec![b' '; 256 * 1024 + 1]).await;
    assert_eq!(status, 413, "{fault}");
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let (served, _told) = fixed(two_nodes()).await;
    assert_eq!(served.get("/v1/extender/filter").await.status(), 405);
    assert_eq!(served.post("/v1/extender/frobnicate", "{}").await.status(), 404);
    assert_eq!(served.post("/api/v1/nodes", "{}").await.status(), 405);
}

#[tokio::test]
async fn a_bind_without_uid_or_node_is_400() {
    let (served, _told) = fixed(two_nodes()).await;
    let (status, fault) = served.ask("/v1/extender/bind", r#"{"PodName":"a","Node":"gpu-0000"}"#).await;
    assert_eq!((status, fault["error"].as_str().unwrap()), (400, "the bind request has no PodUID"));
    let (status, fault) = served.ask("/v1/extender/bind", r#"{"PodUID":"a","Node":""}"#).await;
    assert_eq!((status, fault["error"].as_str().unwrap()), (400, "the bind request has no Node"));
}

/// A running engine, told of two nodes and one single pod `u-1`, and what it wants done.
async fn engine(
    tasks: &mut JoinSet<()>,
) -> (Served, muster::engine::Handle, mpsc::UnboundedReceiver<Effect>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let (effects, wanted) = mpsc::unbounded_channel();
    let (clock, beat) = (Arc::new(Clock::start()), Arc::new(Beat::default()));
    let violations = metrics.audit_violations.clone();
    let (engine, handle) = Engine::new(Parts { effects, clock, beat, violations });
    tasks.spawn(async move { engine.run(CancellationToken::new()).await.unwrap() });
    let metadata = json!({"uid": "u-1", "namespace": "default", "name": "p"});
    let single =
        pod(json!({"metadata": metadata, "spec": {"containers": [gpus(1)]}, "status": {"phase": "Pending"}}));
    for event in [node("gpu-0000"), node("gpu-0001"), single, Event::Synced] {
        handle.tell(event).await.unwrap();
    }
    (serve(handle.clone(), metrics).await, handle, wanted)
}

#[tokio::test]
async fn bind_is_answered_when_the_outcome_is_known() {
    let mut tasks = JoinSet::new();
    let (served, handle, mut wanted) = engine(&mut tasks).await;
    let outcome = async {
        loop {
            if let Effect::Bind { pod, stamp } = wanted.recv().await.unwrap() {
                let done = Event::BindOutcome(pod.uid.clone(), stamp.node.clone(), Outcome::Done);
                return handle.tell(done).await.unwrap();
            }
        }
    };
    let (_, reply) = served.ask("/v1/extender/bind", r#"{"PodUID":"u-1","Node":"nowhere"}"#).await;
    assert_eq!(reply, json!({"Error": "muster: NodeUnknown"}));
    let asked = served.ask("/v1/extender/bind", r#"{"PodUID":"u-1","Node":"gpu-0000"}"#);
    let ((status, reply), ()) = tokio::join!(asked, outcome);
    assert_eq!((status, reply), (200, json!({"Error": ""})));
    let metrics = served.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("muster_bind_total{result=\"bound\"} 1"), "{metrics}");
    assert!(metrics.contains("muster_bind_total{result=\"NodeUnknown\"} 1"), "{metrics}");
}

/// kube-scheduler's time-out closes the connection; the pod must then not be bound behind its back.
#[tokio::test]
async fn a_bind_is_withdrawn_when_the_caller_hangs_up() {
    let (served, mut told) = fixed(two_nodes()).await;
    let asked = served.post("/v1/extender/bind", r#"{"PodUID":"u-1","Node":"gpu-0000"}"#);
    tokio::select! {
        event = told.recv() => assert!(matches!(event, Some(Event::BindAsked { .. }))),
        _ = asked => panic!("nobody answers here"),
    }
    let withdrawn = served.metrics.bind_total.with_label_values(&["withdrawn"]);
    let counted = async {
        while withdrawn.get() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), counted).await.unwrap();
}

#[tokio::test]
async fn a_good_report_is_told_and_answered() {
    let (served, mut told) = fixed(two_nodes()).await;
    let (status, answer) = send(&served, &report("gpu-0000", 1, 1)).await;
    assert_eq!((status, answer), (200, json!({"interval_ms": 5000, "resync": false})));
    let Some(Event::Reported(node, inventory)) = told.recv().await else { panic!("no event") };
    assert_eq!((node.as_str(), inventory.gpus.len()), ("gpu-0000", 2));
    assert_eq!(inventory.link(0, 1), 3600);
}

#[tokio::test]
async fn reports_that_are_no_reports_are_refused() {
    let (served, mut told) = fixed(two_nodes()).await;
    let (status, fault) = served.ask("/v1/reports", "{\"version\":1,\n \"node\": }").await;
    assert_eq!((status, &fault["line"], &fault["column"]), (400, &json!(2), &json!(10)), "{fault}");
    let (status, fault) = served.ask("/v1/reports", r#"{"version":2}"#).await;
    assert_eq!(status, 422);
    assert!(fault["error"].as_str().unwrap().contains("upgrade the extender"), "{fault}");
    let mut wrong = report("gpu-0000", 1, 1);
    wrong["link_gbps"] = json!([[0]]);
    assert_eq!(send(&served, &wrong).await.0, 422);
    let (status, fault) = send(&served, &report("gpu-9999", 1, 1)).await;
    assert_eq!(status, 404);
    assert!(fault["error"].as_str().unwrap().contains("no node gpu-9999"), "{fault}");
    assert!(told.try_recv().is_err(), "a refused report was told to the engine");
}

#[tokio::test]
async fn reports_of_a_node_must_rise() {
    let (served, mut told) = fixed(two_nodes()).await;
    assert_eq!(send(&served, &report("gpu-0000", 2, 5)).await.0, 200);
    for (epoch, sequence) in [(2, 5), (2, 4), (1, 9)] {
        let (status, fault) = send(&served, &report("gpu-0000", epoch, sequence)).await;
        assert_eq!(status, 409, "{fault}");
        assert!(fault["next"].as_str().unwrap().contains("raises its epoch"), "{fault}");
    }
    assert_eq!(send(&served, &report("gpu-0001", 1, 1)).await.0, 200, "nodes have their own order");
    assert_eq!(send(&served, &report("gpu-0000", 3, 0)).await.0, 200);
    let mut rebooted = report("gpu-0000", 0, 0);
    rebooted["boot_id"] = json!("another");
    assert_eq!(send(&served, &rebooted).await.0, 200);
    assert_eq!(send(&served, &report("gpu-0000", 9, 9)).await.0, 409, "the boot before is over");
    assert_eq!(std::iter::from_fn(|| told.try_recv().ok()).count(), 4);
    let metrics = served.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("muster_reports_total{result=\"accepted\"} 4"), "{metrics}");
    assert!(metrics.contains("muster_reports_total{result=\"stale\"} 4"), "{metrics}");
}

#[tokio::test]
async fn before_the_nodes_are_read_a_report_is_to_be_sent_again() {
    let (served, _told) = fixed(View::default()).await;
    assert_eq!(send(&served, &report("gpu-0000", 1, 1)).await.0, 503);
}

#[tokio::test]
async fn ready_means_that_the_cluster_was_read() {
    let (served, _told) = fixed(View::default()).await;
    let reply = served.get("/readyz").await;
    assert_eq!(reply.status(), 503);
    assert_eq!(reply.text().await.unwrap(), "the cluster has not been read yet\n");
    let (served, _told) = fixed(two_nodes()).await;
    assert_eq!(served.get("/readyz").await.status(), 200);
}

#[tokio::test]
async fn metrics_come_from_the_view() {
    let (served, _told) = fixed(two_nodes()).await;
    let reply = served.get("/metrics").await;
    assert!(reply.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = reply.text().await.unwrap();
    for line in [
        "muster_gpus{state=\"capacity\"} 16",
        "muster_gpus{state=\"free\"} 8",
        "muster_gpus{state=\"claimed\"} 8",
        "muster_gpus{state=\"unhealthy\"} 0",
        "muster_gangs{phase=\"waiting\"} 0",
        "muster_ready 1",
        "muster_audit_violations 0",
        "muster_filter_seconds_count 0",
        concat!("muster_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn the_api_says_what_the_view_says() {
    let gang = |uid: &str, name: &str| {
        let labels = json!({"muster.dev/gang-name": "crew", "muster.dev/gang-size": "3"});
        let metadata = json!({"uid": uid, "namespace": "ml", "name": name, "labels": labels});
        pod(json!({"metadata": metadata, "spec": {"containers": [gpus(1)]}, "status": {"phase": "Pending"}}))
    };
    let events =
        [node("gpu-0000"), node("gpu-0001"), bound("old", "gpu-0001"), gang("g-1", "a"), gang("g-2", "b")];
    let (served, _told) = fixed(synced(events).view()).await;

    let (_, cluster) = served.json("/api/v1/cluster").await;
    assert_eq!(cluster["gpus"], json!({"capacity": 16, "free": 8, "claimed": 8, "unhealthy": 0}));
    assert_eq!(cluster["gangs"]["gathering"], 1);
    let (_, nodes) = served.json("/api/v1/nodes").await;
    assert_eq!(nodes[1]["claimed"]["gpus"], 8);
    let (_, one) = served.json("/api/v1/nodes/gpu-0001").await;
    assert_eq!((&one["name"], &one["gpus"]), (&json!("gpu-0001"), &json!([])));
    assert_eq!(served.json("/api/v1/nodes/nowhere").await.0, 404);

    let (_, gangs) = served.json("/api/v1/gangs").await;
    let path = format!("/api/v1/gangs/ml/{}/crew", gangs[0]["kind"].as_str().unwrap());
    let (_, gang) = served.json(&path).await;
    assert_eq!(
        (&gang["phase"], &gang["reason"]["label"]),
        (&json!("gathering"), &json!("WaitingForMembers")),
        "{gang}"
    );
    assert_eq!((&gang["have"], &gang["need"]), (&json!(2), &json!(3)), "{gang}");
    let members: Vec<_> = gang["members"].as_array().unwrap().iter().map(|m| &m["state"]).collect();
    assert_eq!(members, [&json!("waiting"), &json!("waiting")]);
    assert_eq!(served.json("/api/v1/gangs/ml/TFJob/crew").await.0, 404);

    let (_, ledger) = served.json("/api/v1/ledger").await;
    let claim = json!({
        "pod_uid": "old", "namespace": "default", "name": "pod-old", "node": "gpu-0001", "gpus": 8, "gpu_uuids": [],
        "kind": "grant",
    });
    assert_eq!(ledger, json!({"claims": [claim]}));
}

/// Eight GPUs behind switches, and 16 whose kubelet wants one NUMA node.
#[tokio::test]
async fn a_node_says_what_its_device_plugin_may_hand_out() {
    let mut cluster =
        synced([node("gpu-0000"), node("gpu-0001"), labelled("gpu-0002", "single-numa-node", 16)]);
    for (name, gpus) in [("gpu-0000", 8), ("gpu-0002", 16)] {
        cluster.apply(Event::Reported(name.into(), switched(gpus)), muster_placement::time::Time(1));
    }
    let (served, _told) = fixed(cluster.view()).await;
    let ask = async |name: &str| served.json(&format!("/api/v1/nodes/{name}")).await.1["prospects"].clone();

    assert_eq!(ask("gpu-0001").await, Value::Null, "no agent, no oracle");
    let eight = ask("gpu-0000").await;
    assert_eq!((&eight["topology_manager_policy"], &eight["free_gpus"]), (&json!("none"), &json!(8)));
    assert_eq!(eight["note"], Value::Null);
    let sets: Vec<_> =
        eight["requests"].as_array().unwrap().iter().map(|r| r["sets"].as_u64().unwrap()).collect();
    assert_eq!(sets, [8, 4, 2, 1], "as of the golden vectors");
    let pair = json!({"gpus": 2, "sets": 4, "rejected": false, "worst_gbps": 3600, "best_gbps": 3600, "worst_quality_milli": 1000});
    assert_eq!(eight["requests"][1], pair);

    let sixteen = ask("gpu-0002").await;
    assert!(sixteen["note"].as_str().unwrap().contains("36 s"), "{sixteen}");
    assert_eq!(sixteen["requests"][3]["rejected"], false, "eight are on one NUMA node");
}

fn labelled(name: &str, policy: &str, gpus: u64) -> Event {
    let node = json!({
        "metadata": {"name": name, "labels": {"muster.dev/topology-manager-policy": policy}},
        "status": {"allocatable": {"nvidia.com/gpu": gpus.to_string(), "cpu": "64", "memory": "512Gi", "pods": "110"}},
    });
    Event::NodeSeen(Box::new(muster::translate::node(&serde_json::from_value(node).unwrap())))
}

/// GPUs behind switches, in pairs and halves on PCIe.
fn switched(gpus: usize) -> Inventory {
    let gpu = |slot| Gpu {
        uuid: format!("GPU-{slot:02}").as_str().into(),
        model: "H100".into(),
        memory_mib: 81_920,
        numa: None,
        health: Health::Healthy,
        load: Load::default(),
    };
    let points = |a: usize, b: usize| match (a == b, a / 2 == b / 2, a / (gpus / 2) == b / (gpus / 2)) {
        (true, ..) => 0,
        (_, true, _) => 40,
        (_, _, true) => 20,
        _ => 10,
    };
    let square =
        |of: &dyn Fn(usize, usize) -> u32| (0..gpus * gpus).map(|i| of(i / gpus, i % gpus)).collect();
    let numa = (0..gpus).map(|slot| Some(u8::from(slot >= gpus / 2))).collect();
    let wiring =
        Wiring { points: square(&points), gbps: square(&|a, b| if a == b { 0 } else { 3_600 }), numa };
    let seen = Some(Seen { slots: (0..gpus).collect(), wiring });
    Inventory { gpus: (0..gpus).map(gpu).collect(), seen, ..Inventory::default() }
}
