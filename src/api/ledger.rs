//! `/api/v1/ledger`: every claim, sorted by pod UID. Has nothing in it that depends on when it was read, so
//! that two ledgers can be compared byte by byte, as before and after a restart.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use muster_placement::ids::GpuUuid;
use muster_placement::ledger::ClaimKind;
use serde::Serialize;

use crate::engine::Handle;

#[derive(Serialize)]
struct Ledger<'v> {
    claims: Vec<ClaimRow<'v>>,
}

#[derive(Serialize)]
struct ClaimRow<'v> {
    pod_uid: &'v str,
    namespace: Option<&'v str>,
    name: Option<&'v str>,
    node: &'v str,
    gpus: u64,
    /// GPUs assumed; fewer than `gpus` where they are not known.
    gpu_uuids: Vec<&'v str>,
    kind: &'static str,
}

/// Answers `/api/v1/ledger`.
pub(super) async fn ledger(State(engine): State<Handle>) -> Response {
    let view = engine.view();
    let claims = view.claims.iter().map(|(uid, claim)| {
        let pod = view.pods.get(uid).map(|state| &state.pod);
        ClaimRow {
            pod_uid: uid.as_str(),
            namespace: pod.map(|p| p.namespace.as_str()),
            name: pod.map(|p| p.name.as_str()),
            node: claim.node.as_str(),
            gpus: claim.amount.gpus,
            gpu_uuids: claim.gpus.iter().map(GpuUuid::as_str).collect(),
            kind: match claim.kind {
                ClaimKind::Hold => "hold",
                ClaimKind::Grant => "grant",
            },
        }
    });
    Json(Ledger { claims: claims.collect() }).into_response()
}
