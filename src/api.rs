//! Read-only JSON under `/api/v1`: what Muster believes, from one View per request.
//!
//! Changes nothing. Field names are stable inside `v1`; fields may be added.

mod cluster;
mod encoded;
pub(crate) mod etag;
mod explain;
pub(crate) mod fault;
mod gangs;
mod ledger;
mod map;
mod nodes;
mod picture;
mod prospects;
mod stream;
pub(crate) mod tally;

use axum::Router;
use axum::routing::get;

use self::picture::Pictures;
use self::stream::Streams;
use crate::engine::Handle;

/// The routes under `/api/v1`.
pub fn router(engine: Handle) -> Router {
    let pictures = Pictures::new(engine.clone());
    let live = Router::new()
        .route("/stream", get(stream::stream))
        .with_state(Streams::new(pictures.clone()))
        .route("/map", get(map::map))
        .route("/gangs", get(gangs::gangs))
        .with_state(pictures);
    let v1 = Router::new()
        .route("/cluster", get(cluster::cluster))
        .route("/nodes", get(nodes::nodes))
        .route("/nodes/{name}", get(nodes::node))
        .route("/gangs/{namespace}/{kind}/{name}", get(gangs::gang))
        .route("/explain/{namespace}/{kind}/{name}", get(explain::explain))
        .route("/ledger", get(ledger::ledger))
        .with_state(engine);
    Router::new().nest("/api/v1", live.merge(v1))
}
