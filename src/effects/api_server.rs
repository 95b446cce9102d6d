//! One call to the API server: with a deadline, a limit on how many run at once, and a plain word for how it
//! failed.
//!
//! Bodies are small and answers are not decoded unless they are read: the client must not be what limits how
//! fast pods are released.

use std::time::Duration;

use axum::http;
use k8s_openapi::api::core::v1::Pod as ApiPod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{GetParams, ListParams, PatchParams, PostParams, Request};
use kube::core::Status;
use kube::{Client, Resource};
use muster_placement::ids::{Name, NodeName};
use muster_placement::pod::Pod;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Limits on calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long a call may take.
    pub(super) deadline: Duration,
    /// Calls at once. More than this only waits inside the API server.
    pub(super) at_once: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(5), at_once: 64 }
    }
}

/// The API server, as far as effects need it.
pub(super) struct ApiServer {
    client: Client,
    permits: Semaphore,
    deadline: Duration,
}

/// Why a call failed, by what it says about the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// 404.
    #[error("not found")]
    Missing,
    /// 409: a precondition did not hold, or the state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// 429 of an eviction: a PodDisruptionBudget forbids it now.
    #[error("{0}")]
    Budget(String),
    /// Another 4xx: the same call will fail again.
    #[error("{0}")]
    Rejected(String),
    /// 401, 429 or 5xx: answered, and worth another try.
    #[error("{0}")]
    Failed(String),
    /// No answer: nobody knows whether it was done, or still will be.
    #[error("{0}")]
    Silent(String),
}

/// A pod as it is now, as far as effects care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Now {
    /// Deleted, or another pod has its name.
    Gone,
    /// Waits for a node.
    Unbound {
        /// `metadata.resourceVersion`.
        version: String,
        /// Being deleted.
        terminating: bool,
    },
    /// Bound.
    Bound(NodeName),
}

#[derive(Deserialize)]
struct Read {
    metadata: ReadMeta,
    #[serde(default)]
    spec: ReadSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadMeta {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    resource_version: String,
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadSpec {
    #[serde(default)]
    node_name: String,
}

impl ApiServer {
    pub(super) fn new(client: Client, limits: Limits) -> Self {
        Self { client, permits: Semaphore::new(limits.at_once), deadline: limits.deadline }
    }

    /// Reads a pod, by quorum: no resource version is asked for.
    pub(super) async fn read(&self, pod: &Pod) -> Result<Now, Fault> {
        let request = pods(pod).get(pod.name.as_str(), &GetParams::default()).map_err(unsendable)?;
        let text = match self.send(request).await {
            Ok(text) => text,
            Err(Fault::Missing) => return Ok(Now::Gone),
            Err(fault) => return Err(fault),
        };
        let read: Read = serde_json::from_str(&text).map_err(|e| Fault::Failed(e.to_string()))?;
        Ok(if read.metadata.uid != pod.uid.as_str() {
            Now::Gone
        } else if read.spec.node_name.is_empty() {
            let terminating = read.metadata.deletion_timestamp.is_some();
            Now::Unbound { version: read.metadata.resource_version, terminating }
        } else {
            Now::Bound(NodeName::from(read.spec.node_name.as_str()))
        })
    }

    /// Patches a pod. Only metadata comes back: a whole pod would be encoded, sent and thrown away.
    pub(super) async fn patch<P: serde::Serialize + std::fmt::Debug>(
        &self,
        pod: &Pod,
        patch: &kube::api::Patch<P>,
    ) -> Result<(), Fault> {
        let params = PatchParams::default();
        let request = pods(pod).patch_metadata(pod.name.as_str(), &params, patch).map_err(unsendable)?;
        self.send(request).await.map(drop)
    }

    /// Posts a Binding.
    pub(super) async fn bind(&self, pod: &Pod, binding: &Value) -> Result<(), Fault> {
        let body = binding.to_string().into_bytes();
        let params = PostParams::default();
        let request =
            pods(pod).create_subresource("binding", pod.name.as_str(), &params, body).map_err(unsendable)?;
        self.send(request).await.map(drop)
    }

    /// Deletes a pod.
    pub(super) async fn delete(&self, pod: &Pod, params: &kube::api::DeleteParams) -> Result<(), Fault> {
        let request = pods(pod).delete(pod.name.as_str(), params).map_err(unsendable)?;
        self.send(request).await.map(drop)
    }

    /// Evicts a pod, or asks whether it could be.
    pub(super) async fn evict(&self, pod: &Pod, eviction: &Value) -> Result<(), Fault> {
        let body = eviction.to_string().into_bytes();
        let params = PostParams::default();
        // Not `Request::evict`: kube 5.0 writes `delete_options`, which the API server does not know.
        let request =
            pods(pod).create_subresource("eviction", pod.name.as_str(), &params, body).map_err(unsendable)?;
        self.send(request).await.map(drop)
    }

    /// The PodDisruptionBudgets of a namespace.
    pub(super) async fn budgets(&self, namespace: &Name) -> Result<Vec<PodDisruptionBudget>, Fault> {
        #[derive(Deserialize)]
        struct List {
            items: Vec<PodDisruptionBudget>,
        }
        let url = PodDisruptionBudget::url_path(&(), Some(namespace.as_str()));
        let request = Request::new(url).list(&ListParams::default()).map_err(unsendable)?;
        let text = self.send(request).await?;
        serde_json::from_str(&text).map(|list: List| list.items).map_err(|e| Fault::Failed(e.to_string()))
    }

    async fn send(&self, request: http::Request<Vec<u8>>) -> Result<String, Fault> {
        // The semaphore is never closed; without a permit the call would still be right.
        let _permit = self.permits.acquire().await;
        match timeout(self.deadline, self.client.request_text(request)).await {
            Ok(answer) => answer.map_err(fault),
            Err(_) => Err(Fault::Silent(format!("no answer within {:?}", self.deadline))),
        }
    }
}

fn pods(pod: &Pod) -> Request {
    Request::new(ApiPod::url_path(&(), Some(pod.namespace.as_str())))
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn unsendable(error: kube::core::request::Error) -> Fault {
    Fault::Rejected(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn fault(error: kube::Error) -> Fault {
    let kube::Error::Api(status) = &error else { return Fault::Silent(error.to_string()) };
    let text = status.message.clone();
    match status.code {
        404 => Fault::Missing,
        409 => Fault::Conflict(text),
        // 408: the server gave up waiting for the request.
        429 if by_budget(status) => Fault::Budget(text),
        401 | 408 | 429 => Fault::Failed(text),
        400..=499 => Fault::Rejected(text),
        _ => Fault::Failed(text),
    }
}

/// Whether a PodDisruptionBudget is the cause, and not too many requests.
fn by_budget(status: &Status) -> bool {
    status.details.iter().flat_map(|d| &d.causes).any(|cause| cause.reason == "DisruptionBudget")
}
