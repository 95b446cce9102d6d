//! An API server that answers from a script, inside the process, for the tests of effects.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use kube::Client;
use muster_placement::affinity::Neighbours;
use muster_placement::extras::Extras;
use muster_placement::ids::{Epoch, GpuUuid, Name, NodeName, PodUid};
use muster_placement::level::Topology;
use muster_placement::pod::{Constraints, Gate, Membership, Pod, PodPhase, Scheduler, Stamp};
use muster_placement::resources::Resources;
use muster_placement::time::CreatedAt;
use serde_json::{Value, json};

use super::api_server::{ApiServer, Limits};

/// One answer.
pub(super) enum Reply {
    Json(u16, Value),
    /// No answer at all.
    Hang,
}

impl Reply {
    pub(super) fn json(code: u16, body: Value) -> Self {
        Reply::Json(code, body)
    }

    /// A failure, as the API server puts it.
    pub(super) fn status(code: u16, message: &str) -> Self {
        Reply::Json(
            code,
            json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "", "code": code }),
        )
    }
}

/// What the pod is when it is read.
pub(super) fn now(uid: &str, node: &str, terminating: bool) -> Reply {
    let deleted = terminating.then_some("2026-11-24T12:00:00Z");
    let meta = json!({ "uid": uid, "name": "a", "resourceVersion": "42", "deletionTimestamp": deleted });
    Reply::Json(200, json!({ "metadata": meta, "spec": { "nodeName": node, "containers": [] } }))
}

/// The answers left and the calls made.
pub(super) struct FakeApi {
    replies: Mutex<VecDeque<Reply>>,
    calls: Mutex<Vec<(String, Value)>>,
}

impl FakeApi {
    /// Method and path of each call.
    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|c| c.0.clone()).collect()
    }

    /// Body of a call.
    pub(super) fn body(&self, call: usize) -> Value {
        self.calls.lock().unwrap()[call].1.clone()
    }
}

/// A client of an API server that gives these answers.
pub(super) fn script(replies: Vec<Reply>) -> (Client, Arc<FakeApi>) {
    let fake = Arc::new(FakeApi { replies: Mutex::new(replies.into()), calls: Mutex::default() });
    let router = axum::Router::new().fallback(answer).with_state(fake.clone());
    (Client::new(router, "default"), fake)
}

/// The same, for calls that are given up after 20 ms.
pub(super) fn quick(replies: Vec<Reply>) -> (ApiServer, Arc<FakeApi>) {
    let (client, fake) = script(replies);
    (ApiServer::new(client, Limits { deadline: Duration::from_millis(20), at_once: 2 }), fake)
}

async fn answer(State(fake): State<Arc<FakeApi>>, request: Request) -> Result<Response, Infallible> {
    let call = format!("{} {}", request.method(), request.uri().path());
    let body = to_bytes(request.into_body(), usize::MAX).await.unwrap();
    fake.calls.lock().unwrap().push((call.clone(), serde_json::from_slice(&body).unwrap_or_default()));
    let reply = fake.replies.lock().unwrap().pop_front();
    match reply {
        Some(Reply::Json(code, body)) => {
            let mut response = Response::new(Body::from(body.to_string()));
            *response.status_mut() = StatusCode::from_u16(code).unwrap();
            Ok(response)
        }
        Some(Reply::Hang) => std::future::pending().await,
        None => panic!("no answer is left for {call}"),
    }
}

/// A gated pod of one GPU; its name is its UID.
pub(super) fn pod(uid: &str) -> Pod {
    Pod {
        uid: PodUid::from(uid),
        namespace: Name::from("ns"),
        name: Name::from(uid),
        labels: std::collections::BTreeMap::new(),
        created: CreatedAt(0),
        priority: 0,
        kind: Name::from("Pod"),
        controlled: true,
        tenure: muster_placement::tenure::Tenure::default(),
        request: Resources { gpus: 1, pods: 1, ..Resources::default() },
        constraints: Constraints::default(),
        extras: Extras::default(),
        split_gpus: false,
        neighbours: Neighbours::default(),
        gpu_models: Vec::new(),
        pvcs: Vec::new(),
        topology: Topology::default(),
        unmodelled: Vec::new(),
        scheduler: Scheduler::Ours,
        gate: Gate::Ours,
        membership: Membership::Single,
        node: None,
        phase: PodPhase::Pending,
        terminating: false,
        stamp: None,
        verdict: None,
    }
}

/// Plan 7: node `n1`, one GPU.
pub(super) fn stamp() -> Stamp {
    Stamp { epoch: Epoch(7), node: NodeName::from("n1"), gpus: vec![GpuUuid::from("GPU-x")] }
}
