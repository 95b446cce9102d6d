//! `/api/v1/gangs` and `/api/v1/gangs/{namespace}/{kind}/{name}`: gangs, how far they have come, and why
//! they do not start.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use muster_placement::View;
use muster_placement::gang::Gang;
use muster_placement::ids::{GpuUuid, NodeName, PodUid};
use muster_placement::pod::{Gate, Membership, PodPhase, SizeHint};
use muster_placement::pod_state::PodState;
use serde::Serialize;

use super::encoded::Encoded;
use super::fault::Fault;
use super::picture::Pictures;
use super::tally::phase_of;
use crate::engine::Handle;

/// A gang in the list.
#[derive(Serialize)]
struct GangRow<'v> {
    namespace: &'v str,
    kind: &'v str,
    name: &'v str,
    phase: &'static str,
    /// Why it does not start; null if it does.
    reason: Option<Reason>,
    /// Members that exist, or have ended well.
    have: usize,
    /// Members needed to start; null while neither the owner nor a pod has said.
    need: Option<u32>,
    /// All members; null while it is not known.
    size: Option<u32>,
    /// When its first member was seen here, on the clock of `now_ms` in `/api/v1/cluster`.
    since_ms: u64,
    members: Vec<MemberRow<'v>>,
}

/// Why a gang does not start.
#[derive(Serialize)]
pub(super) struct Reason {
    label: &'static str,
    sentence: String,
}

impl Reason {
    pub(super) fn of(gang: &Gang) -> Option<Reason> {
        gang.refusal.as_ref().map(|r| Reason { label: r.label(), sentence: r.sentence() })
    }
}

/// A gang by itself.
#[derive(Serialize)]
struct GangDetail<'v> {
    #[serde(flatten)]
    row: GangRow<'v>,
    /// Number of the plan, if one is released.
    epoch: Option<u64>,
    /// It had its place and could not be bound, so often, and goes behind others until then.
    setback: Option<SetbackRow>,
    /// Nodes that others must not occupy for longer than until `latest_ms`, if this gang has waited long enough.
    reservation: Option<ReservationRow<'v>>,
    /// Nodes where pods leave to make room for it.
    promised_nodes: Vec<&'v str>,
    /// Nodes that are left out for this gang for a while.
    excluded_nodes: Vec<&'v str>,
}

#[derive(Serialize)]
struct SetbackRow {
    count: u8,
    until_ms: u64,
}

#[derive(Serialize)]
struct ReservationRow<'v> {
    nodes: Vec<&'v str>,
    /// When the kubelets will have ended what is in the way, at the latest; null if something there has no deadline.
    latest_ms: Option<u64>,
}

#[derive(Serialize)]
struct MemberRow<'v> {
    uid: &'v str,
    name: &'v str,
    role: &'v str,
    state: &'static str,
    /// Where it is, or is planned to be.
    node: Option<&'v str>,
    gpus: u64,
    /// The GPUs that it is assumed to have.
    gpu_uuids: Vec<&'v str>,
}

/// Answers `/api/v1/gangs`.
pub(super) async fn gangs(State(pictures): State<Pictures>, request: HeaderMap) -> Result<Response, Fault> {
    pictures.newest().gangs().answer(&request)
}

/// Encodes the gangs of a view.
pub(super) fn encode(view: &View) -> Encoded {
    let rows: Vec<GangRow<'_>> = view.gangs.values().map(|gang| row(view, gang)).collect();
    Encoded::of(&rows)
}

/// Answers `/api/v1/gangs/{namespace}/{kind}/{name}`.
pub(super) async fn gang(
    State(engine): State<Handle>,
    Path((namespace, kind, name)): Path<(String, String, String)>,
) -> Result<Response, Fault> {
    let view = engine.view();
    let gang = find(&view, &namespace, &kind, &name)?;
    let promised = view.promises.iter().filter(|promise| promise.gang == gang.id);
    Ok(Json(GangDetail {
        row: row(&view, gang),
        epoch: gang.plan().map(|plan| plan.epoch.0),
        setback: gang.setback.map(|s| SetbackRow { count: s.count, until_ms: s.until.0 }),
        reservation: view.reservation.as_deref().filter(|r| r.gang == gang.id).map(|r| ReservationRow {
            nodes: r.nodes.iter().map(NodeName::as_str).collect(),
            latest_ms: r.latest.map(|latest| latest.0),
        }),
        promised_nodes: promised.flat_map(|p| p.room.keys()).map(NodeName::as_str).collect(),
        excluded_nodes: gang.excluded.keys().map(NodeName::as_str).collect(),
    })
    .into_response())
}

/// The gang of a name. Where the owner was deleted and made again, the incarnation seen last.
pub(super) fn find<'v>(view: &'v View, namespace: &str, kind: &str, name: &str) -> Result<&'v Gang, Fault> {
    let same = view.gangs.values().filter(|gang| {
        let id = &gang.id;
        id.namespace.as_str() == namespace && id.kind.as_str() == kind && id.name.as_str() == name
    });
    let newest = same.max_by_key(|gang| (gang.since, &gang.id));
    newest.map(|gang| &**gang).ok_or_else(|| {
        let what = format!("there is no gang {kind} {namespace}/{name} with a pod");
        Fault::missing(what, "See /api/v1/gangs for those there are; the kind is case-sensitive.")
    })
}

fn members<'v>(view: &'v View, gang: &'v Gang) -> impl Iterator<Item = (&'v PodUid, &'v PodState)> {
    gang.members.iter().filter_map(|uid| view.pods.get(uid).map(|state| (uid, &**state)))
}

fn row<'v>(view: &'v View, gang: &'v Gang) -> GangRow<'v> {
    let counts = |state: &PodState| state.pod.phase != PodPhase::Failed;
    GangRow {
        namespace: gang.id.namespace.as_str(),
        kind: gang.id.kind.as_str(),
        name: gang.id.name.as_str(),
        phase: phase_of(gang),
        reason: Reason::of(gang),
        have: members(view, gang).filter(|(_, state)| counts(state)).count(),
        need: gang.spec.as_ref().map(|spec| spec.min).or_else(|| declared(view, gang)),
        size: match &gang.spec {
            Some(spec) => spec.size.as_ref().ok().copied(),
            None => declared(view, gang),
        },
        since_ms: gang.since.0,
        members: members(view, gang).map(|(uid, state)| member(view, uid, state)).collect(),
    }
}

/// The size that the pods themselves state; counts where no owner does.
fn declared(view: &View, gang: &Gang) -> Option<u32> {
    let stated = members(view, gang).filter_map(|(_, state)| match &state.pod.membership {
        Membership::Member(member) => match member.size {
            SizeHint::Declared(size) | SizeHint::Environment(size) => Some(size),
            SizeHint::Unsaid => None,
        },
        Membership::Single | Membership::Unknown(_) => None,
    });
    stated.max()
}

fn member<'v>(view: &'v View, uid: &'v PodUid, state: &'v PodState) -> MemberRow<'v> {
    let pod = &state.pod;
    let planned = state.stamp.as_ref().map(|stamp| &stamp.node);
    let uuids = view.claims.get(uid).into_iter().flat_map(|claim| &claim.gpus);
    MemberRow {
        uid: uid.as_str(),
        name: pod.name.as_str(),
        role: match &pod.membership {
            Membership::Member(member) => member.role.as_str(),
            Membership::Single | Membership::Unknown(_) => "",
        },
        state: standing(state),
        node: pod.node.as_ref().or(planned).map(NodeName::as_str),
        gpus: pod.request.gpus,
        gpu_uuids: uuids.map(GpuUuid::as_str).collect(),
    }
}

/// One word for how far a member has come.
fn standing(state: &PodState) -> &'static str {
    match (state.pod.phase, state.pod.node.is_some()) {
        (PodPhase::Succeeded, _) => "succeeded",
        (PodPhase::Failed, _) => "failed",
        _ if state.pod.terminating => "terminating",
        (PodPhase::Running, _) => "running",
        (PodPhase::Pending, true) => "bound",
        (PodPhase::Pending, false) if state.binding => "binding",
        (PodPhase::Pending, false) if state.stamp.is_some() => "planned",
        (PodPhase::Pending, false) if state.pod.gate == Gate::Foreign => "gated",
        (PodPhase::Pending, false) => "waiting",
    }
}
