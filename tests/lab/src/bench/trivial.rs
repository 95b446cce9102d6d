//! The peer of the ungated way: an extender that decides nothing. Every node will do, all are equal, and a bind is
//! posted as asked. What it costs is what an extender costs; it knows no gangs.

use std::borrow::Cow;
use std::path::Path;

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::floor::Floor;
use crate::identity;

/// What `--only` must say for [`serve`].
pub(super) const NAME: &str = "trivial";
/// Where it finds the kubeconfig that it binds with.
const KUBECONFIG: &str = "KUBECONFIG";

/// Starts it in a process of its own.
pub(super) fn start(kubeconfig: &Path) -> Result<Floor> {
    Floor::start(NAME, &[(KUBECONFIG, kubeconfig.as_os_str())])
}

/// Serves until killed; the first line of output is the port.
pub(super) async fn serve() -> Result<()> {
    let kubeconfig = std::env::var_os(KUBECONFIG).context("no KUBECONFIG")?;
    let client = identity::client(Path::new(&kubeconfig)).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let router = Router::new()
        .route("/v1/extender/filter", post(filter))
        .route("/v1/extender/prioritize", post(prioritize))
        .route("/v1/extender/bind", post(bind))
        .layer(DefaultBodyLimit::max(64 << 20))
        .with_state(client);
    axum::serve(listener, router).await.context("serve the peer")
}

#[derive(Deserialize)]
struct Args<'a> {
    #[serde(rename = "NodeNames", borrow)]
    node_names: Vec<Cow<'a, str>>,
}

async fn filter(body: Bytes) -> Response {
    let Ok(args) = serde_json::from_slice::<Args<'_>>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let reply = json!({"NodeNames": args.node_names, "FailedAndUnresolvableNodes": {}, "Error": ""});
    ([(CONTENT_TYPE, "application/json")], reply.to_string()).into_response()
}

async fn prioritize(body: Bytes) -> Response {
    let Ok(args) = serde_json::from_slice::<Args<'_>>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let scores: Vec<Value> = args.node_names.iter().map(|name| json!({"Host": name, "Score": 0})).collect();
    Json(scores).into_response()
}

async fn bind(State(client): State<Client>, Json(args): Json<Value>) -> Response {
    let word = |name: &str| args[name].as_str().unwrap_or_default().to_owned();
    let (namespace, pod) = (word("PodNamespace"), word("PodName"));
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": pod, "namespace": namespace, "uid": word("PodUID")},
        "target": {"apiVersion": "v1", "kind": "Node", "name": word("Node")},
    });
    let request = axum::http::Request::post(format!("/api/v1/namespaces/{namespace}/pods/{pod}/binding"))
        .header(CONTENT_TYPE, "application/json")
        .body(binding.to_string().into_bytes());
    let error = match request {
        Ok(request) => client.request::<Value>(request).await.err().map(|e| e.to_string()),
        Err(error) => Some(error.to_string()),
    };
    Json(json!({"Error": error.unwrap_or_default()})).into_response()
}
