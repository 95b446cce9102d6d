//! Muster's whole HTTP surface on a free port, in this process, over a cluster made of Kubernetes objects.

#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses a part of this; a test may fail")]

use std::net::SocketAddr;
use std::sync::Arc;

use muster::admin::Admin;
use muster::engine::Handle;
use muster::metrics::Metrics;
use muster::recognise::Owners;
use muster::translate::{self, SchedulerNames};
use muster_placement::time::Time;
use muster_placement::{Cluster, Effect, Event, View};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The router while it is served, and what it needs to be asked.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    client: Client,
    /// Ends the server when dropped.
    _server: JoinSet<()>,
}

/// Serves a view that never changes. What the router tells the engine comes out of the receiver.
pub(crate) async fn fixed(view: View) -> (Served, mpsc::Receiver<Event>) {
    let (handle, told) = Handle::fixed(view);
    let metrics = Arc::new(Metrics::new().unwrap());
    (serve(handle, metrics).await, told)
}

/// Serves what an engine says.
pub(crate) async fn serve(engine: Handle, metrics: Arc<Metrics>) -> Served {
    metrics.observe(engine.clone()).unwrap();
    let probes =
        Admin { engine, metrics: metrics.clone(), alive: Arc::new(|| true), waits: Arc::new(Vec::new) };
    let router = muster::serve::router(Arc::new(translated), probes);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Served { address, metrics, client: Client::new(), _server: server }
}

impl Served {
    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(format!("http://{}{path}", self.address)).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.client.post(format!("http://{}{path}", self.address)).body(body);
        request.header("content-type", "application/json").send().await.unwrap()
    }

    /// Status and JSON of a GET.
    pub(crate) async fn json(&self, path: &str) -> (u16, Value) {
        read(self.get(path).await).await
    }

    /// Status and JSON of a POST.
    pub(crate) async fn ask(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        read(self.post(path, body).await).await
    }
}

async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A cluster that has been read: the events, then `Synced`.
pub(crate) fn synced(events: impl IntoIterator<Item = Event>) -> Cluster {
    let mut cluster = Cluster::default();
    for event in events.into_iter().chain([Event::Synced]) {
        let _: Vec<Effect> = cluster.apply(event, Time(0));
    }
    cluster
}

/// A node with 8 GPUs and room for everything else.
pub(crate) fn node(name: &str) -> Event {
    let amounts = json!({"nvidia.com/gpu": "8", "cpu": "64", "memory": "512Gi", "ephemeral-storage": "1Ti", "pods": "110"});
    let node = json!({"metadata": {"name": name}, "status": {"allocatable": amounts}});
    Event::NodeSeen(Box::new(translate::node(&serde_json::from_value(node).unwrap())))
}

/// A running pod with 8 GPUs.
pub(crate) fn bound(uid: &str, node: &str) -> Event {
    pod(json!({
        "metadata": {"uid": uid, "namespace": "default", "name": format!("pod-{uid}")},
        "spec": {"nodeName": node, "containers": [gpus(8)]},
        "status": {"phase": "Running"},
    }))
}

/// A container that asks for GPUs.
pub(crate) fn gpus(count: u64) -> Value {
    json!({"name": "c", "resources": {"limits": {"nvidia.com/gpu": count.to_string()}, "requests": {"nvidia.com/gpu": count.to_string()}}})
}

/// A pod as the watch would bring it.
pub(crate) fn pod(pod: Value) -> Event {
    Event::PodSeen(Box::new(translated(&serde_json::from_value(pod).unwrap())))
}

fn translated(pod: &k8s_openapi::api::core::v1::Pod) -> muster_placement::pod::Pod {
    translate::pod(pod, &Owners::default(), &SchedulerNames::from_iter(["default-scheduler", "muster"]))
}
