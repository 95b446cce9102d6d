//! `/api/v1/cluster`: the whole at a glance.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::tally::{Gpus, PHASES, phase_of};
use crate::engine::Handle;

#[derive(Serialize)]
struct Cluster {
    ready: bool,
    version: u64,
    nodes: usize,
    nodes_reporting: usize,
    pods: usize,
    gpus: Gpus,
    gangs: BTreeMap<&'static str, u64>,
}

/// Answers `/api/v1/cluster`.
pub(super) async fn cluster(State(engine): State<Handle>) -> Response {
    let view = engine.view();
    let mut gangs: BTreeMap<&'static str, u64> = PHASES.into_iter().map(|phase| (phase, 0)).collect();
    for gang in view.gangs.values() {
        *gangs.entry(phase_of(gang)).or_default() += 1;
    }
    let reporting = view.nodes.iter().filter(|state| state.inventory.is_some());
    Json(Cluster {
        ready: view.ready,
        version: view.version,
        nodes: view.nodes.len(),
        nodes_reporting: reporting.count(),
        pods: view.pods.len(),
        gpus: Gpus::of(&view),
        gangs,
    })
    .into_response()
}
