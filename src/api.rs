//! Read-only JSON under `/api/v1`: what Muster believes, from one View per request.
//!
//! Changes nothing. Field names are stable inside `v1`; fields may be added.

mod cluster;
pub(crate) mod fault;
mod gangs;
mod ledger;
mod nodes;
pub(crate) mod tally;

use axum::Router;
use axum::routing::get;

use crate::engine::Handle;

/// The routes under `/api/v1`.
pub fn router(engine: Handle) -> Router {
    let v1 = Router::new()
        .route("/cluster", get(cluster::cluster))
        .route("/nodes", get(nodes::nodes))
        .route("/nodes/{name}", get(nodes::node))
        .route("/gangs", get(gangs::gangs))
        .route("/gangs/{namespace}/{kind}/{name}", get(gangs::gang))
        .route("/ledger", get(ledger::ledger));
    Router::new().nest("/api/v1", v1).with_state(engine)
}
