//! The floor of an HTTP figure: an axum server that reads the whole body, looks at nothing and answers what it was
//! told to answer.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use tokio::net::TcpListener;

use super::floor::Floor;

/// What `--only` must say for [`serve`].
pub(super) const NAME: &str = "constant";
/// Sets the answer.
pub(super) const SET: &str = "/set";
/// Gives the answer.
pub(super) const ASK: &str = "/ask";

type Answer = Arc<Mutex<Bytes>>;

/// Starts it in a process of its own.
pub(super) fn start() -> Result<Floor> {
    Floor::start(NAME, &[])
}

/// Serves until killed; the first line of output is the port.
pub(super) async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let router = Router::new()
        .route(SET, post(set))
        .route(ASK, post(ask))
        // Where node agents look for an extender.
        .route("/v1/reports", post(ask))
        .layer(DefaultBodyLimit::max(64 << 20))
        .with_state(Answer::default());
    axum::serve(listener, router).await.context("serve the floor")
}

async fn set(State(answer): State<Answer>, body: Bytes) {
    *answer.lock().unwrap_or_else(PoisonError::into_inner) = body;
}

async fn ask(State(answer): State<Answer>, body: Bytes) -> impl IntoResponse {
    drop(body);
    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ([(CONTENT_TYPE, "application/json")], answer)
}
