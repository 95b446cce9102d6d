//! `/api/v1/nodes` and `/api/v1/nodes/{name}`: nodes, their free capacity, their GPUs and who has them.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use muster_placement::View;
use muster_placement::ids::Name;
use muster_placement::inventory::{Gpu, Health, Inventory};
use muster_placement::node_state::NodeState;
use muster_placement::resources::Resources;
use serde::Serialize;

use super::fault::Fault;
use super::prospects::Prospects;
use crate::engine::Handle;

/// A node in the list.
#[derive(Serialize)]
struct NodeRow<'v> {
    name: &'v str,
    cordoned: bool,
    /// Whether an agent reports its GPUs.
    reporting: bool,
    /// What is wrong with the node's driver; null if nothing is, or no agent says.
    driver_fault: Option<&'v str>,
    purposes: Vec<&'v str>,
    allocatable: Amounts,
    claimed: Amounts,
    held: Amounts,
    free: Amounts,
    unhealthy_gpus: usize,
}

/// A node by itself.
#[derive(Serialize)]
struct NodeDetail<'v> {
    #[serde(flatten)]
    row: NodeRow<'v>,
    gpus: Vec<GpuRow<'v>>,
    /// Bandwidth from GPU to GPU in Gb/s, in the order of `gpus`; no rows if it is unknown.
    link_gbps: Vec<&'v [u32]>,
    /// What its device plugin may hand out of what is free; null if that is not known.
    prospects: Option<Prospects>,
}

#[derive(Serialize)]
struct GpuRow<'v> {
    uuid: &'v str,
    model: &'v str,
    memory_mib: u64,
    numa_node: Option<u8>,
    /// Why new pods may not get it; null if they may.
    unhealthy: Option<&'v str>,
    /// Why it works, but not at its best.
    degraded: Option<&'v str>,
    /// The pod that is assumed to have it.
    pod: Option<PodName<'v>>,
    utilisation_percent: u8,
    memory_used_mib: u64,
    temperature_c: u16,
    power_mw: u32,
    ecc_corrected: Option<u64>,
    ecc_uncorrected: Option<u64>,
}

#[derive(Serialize)]
struct PodName<'v> {
    uid: &'v str,
    namespace: Option<&'v str>,
    name: Option<&'v str>,
}

#[derive(Serialize)]
struct Amounts {
    gpus: u64,
    cpu_milli: u64,
    memory_bytes: u64,
    ephemeral_bytes: u64,
    pods: u64,
}

impl From<Resources> for Amounts {
    fn from(r: Resources) -> Amounts {
        let Resources { gpus, cpu_milli, memory, ephemeral, pods } = r;
        Amounts { gpus, cpu_milli, memory_bytes: memory, ephemeral_bytes: ephemeral, pods }
    }
}

/// Answers `/api/v1/nodes`.
pub(super) async fn nodes(State(engine): State<Handle>) -> Response {
    let view = engine.view();
    let rows: Vec<NodeRow<'_>> = view.nodes.iter().map(|state| row(state)).collect();
    Json(rows).into_response()
}

/// Answers `/api/v1/nodes/{name}`.
pub(super) async fn node(State(engine): State<Handle>, Path(name): Path<String>) -> Result<Response, Fault> {
    let view = engine.view();
    let Some(state) = view.node(&name) else {
        return Err(Fault::missing(
            format!("there is no node {name}"),
            "See /api/v1/nodes for those there are.",
        ));
    };
    let inventory = state.inventory.as_deref();
    let gpus = inventory.iter().flat_map(|i| &i.gpus).map(|gpu| gpu_row(&view, state, gpu)).collect();
    let link_gbps = inventory.map(matrix_rows).unwrap_or_default();
    let prospects = state.devices.as_ref().map(Prospects::of);
    Ok(Json(NodeDetail { row: row(state), gpus, link_gbps, prospects }).into_response())
}

fn row(state: &NodeState) -> NodeRow<'_> {
    let gpus = state.inventory.iter().flat_map(|i| &i.gpus);
    NodeRow {
        name: state.node.name.as_str(),
        cordoned: state.node.cordoned,
        reporting: state.inventory.is_some(),
        driver_fault: state.inventory.as_ref().and_then(|i| i.driver_fault.as_ref()).map(Name::as_str),
        purposes: state.purposes.iter().map(Name::as_str).collect(),
        allocatable: state.node.allocatable.into(),
        claimed: state.account.claimed.into(),
        held: state.account.held.into(),
        free: state.free.into(),
        unhealthy_gpus: gpus.filter(|gpu| !gpu.health.usable()).count(),
    }
}

fn gpu_row<'v>(view: &'v View, state: &'v NodeState, gpu: &'v Gpu) -> GpuRow<'v> {
    let pod = state.account.gpus.get(&gpu.uuid).map(|uid| {
        let pod = view.pods.get(uid).map(|state| &state.pod);
        PodName {
            uid: uid.as_str(),
            namespace: pod.map(|p| p.namespace.as_str()),
            name: pod.map(|p| p.name.as_str()),
        }
    });
    GpuRow {
        uuid: gpu.uuid.as_str(),
        model: gpu.model.as_str(),
        memory_mib: gpu.memory_mib,
        numa_node: gpu.numa,
        unhealthy: match &gpu.health {
            Health::Healthy | Health::Degraded(_) => None,
            Health::Unhealthy(reason) => Some(reason.as_str()),
        },
        degraded: match &gpu.health {
            Health::Healthy | Health::Unhealthy(_) => None,
            Health::Degraded(reason) => Some(reason.as_str()),
        },
        pod,
        utilisation_percent: gpu.load.utilisation_percent,
        memory_used_mib: gpu.load.memory_used_mib,
        temperature_c: gpu.load.temperature_c,
        power_mw: gpu.load.power_mw,
        ecc_corrected: gpu.load.ecc_corrected,
        ecc_uncorrected: gpu.load.ecc_uncorrected,
    }
}

fn matrix_rows(inventory: &Inventory) -> Vec<&[u32]> {
    // A matrix without GPUs has no rows, and a row of width 0 cannot be cut.
    inventory.link_gbps.chunks(inventory.gpus.len().max(1)).collect()
}
