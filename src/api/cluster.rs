//! `/api/v1/cluster`: the whole at a glance.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use muster_placement::View;

use super::tally::{Fit, Gpus, PHASES, largest_fit, phase_of, waits};
use crate::engine::Handle;

/// The headline: the answer, and the data of an event of `/api/v1/stream`.
#[derive(Serialize)]
pub(super) struct Cluster {
    ready: bool,
    version: u64,
    /// The engine's clock: milliseconds since the program started.
    now_ms: u64,
    nodes: usize,
    nodes_reporting: usize,
    pods: usize,
    gpus: Gpus,
    /// Gangs by phase, those of which only the owner has been seen among them.
    gangs: BTreeMap<&'static str, u64>,
    /// Gangs with pods that have not been given a place.
    waiting_gangs: usize,
    /// How many members of each size fit now.
    largest_fit: Vec<Fit>,
}

impl Cluster {
    /// Counts a view.
    pub(super) fn of(view: &View) -> Cluster {
        let mut gangs: BTreeMap<&'static str, u64> = PHASES.into_iter().map(|phase| (phase, 0)).collect();
        for gang in view.gangs.values() {
            *gangs.entry(phase_of(gang)).or_default() += 1;
        }
        Cluster {
            ready: view.ready,
            version: view.version,
            now_ms: view.at.0,
            nodes: view.nodes.len(),
            nodes_reporting: view.nodes.iter().filter(|state| state.inventory.is_some()).count(),
            pods: view.pods.len(),
            gpus: Gpus::of(view),
            gangs,
            waiting_gangs: view.gangs.values().filter(|gang| waits(gang)).count(),
            largest_fit: largest_fit(view),
        }
    }
}

/// Answers `/api/v1/cluster`.
pub(super) async fn cluster(State(engine): State<Handle>) -> Response {
    Json(Cluster::of(&engine.view())).into_response()
}
