//! `/api/v1/explain/{namespace}/{kind}/{name}`: why a gang does not start, node by node, and what would change that.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use muster_placement::View;
use muster_placement::explain::{self, Change, Condition, Explanation, Holder, Obstacle};
use muster_placement::ids::NodeName;
use serde::Serialize;

use super::fault::Fault;
use super::gangs::{Reason, find};
use super::map::HolderRow;
use super::tally::phase_of;
use crate::engine::Handle;

#[derive(Serialize)]
struct Answer<'v> {
    namespace: &'v str,
    kind: &'v str,
    name: &'v str,
    phase: &'static str,
    /// Why it does not start; null if it does.
    reason: Option<Reason>,
    /// The member that a place is sought for; null while the gang has no pod.
    member: Option<Member<'v>>,
    /// Single changes after which there is room for it, each checked by the planner.
    changes: Vec<ChangeRow>,
    /// Nodes left after each condition, in order.
    funnel: Vec<Step>,
    /// Nodes that cannot take the member, by name.
    obstacles: Vec<NodeObstacle>,
}

#[derive(Serialize)]
struct Member<'v> {
    name: &'v str,
    gpus: u64,
    cpu_milli: u64,
    memory_bytes: u64,
}

#[derive(Serialize)]
struct ChangeRow {
    label: &'static str,
    sentence: String,
}

impl From<Change> for ChangeRow {
    fn from(change: Change) -> ChangeRow {
        ChangeRow { label: change.label(), sentence: change.sentence() }
    }
}

#[derive(Serialize)]
struct Step {
    condition: &'static str,
    nodes: u64,
}

#[derive(Serialize)]
struct NodeObstacle {
    node: String,
    label: &'static str,
    sentence: String,
    /// The condition of the funnel that is not met.
    condition: &'static str,
    /// Who has GPUs there.
    holders: Vec<Held>,
}

#[derive(Serialize)]
struct Held {
    #[serde(flatten)]
    holder: HolderRow,
    gpus: u64,
}

/// Answers `/api/v1/explain/{namespace}/{kind}/{name}`.
pub(super) async fn explain(
    State(engine): State<Handle>,
    Path((namespace, kind, name)): Path<(String, String, String)>,
) -> Result<Response, Fault> {
    let view = engine.view();
    let gang = find(&view, &namespace, &kind, &name)?;
    let explanation = explain::explain(&view, gang);
    let member = explanation.as_ref().map(|found| Member {
        name: found.member.name.as_str(),
        gpus: found.member.request.gpus,
        cpu_milli: found.member.request.cpu_milli,
        memory_bytes: found.member.request.memory,
    });
    Ok(Json(Answer {
        namespace: gang.id.namespace.as_str(),
        kind: gang.id.kind.as_str(),
        name: gang.id.name.as_str(),
        phase: phase_of(gang),
        reason: Reason::of(gang),
        member,
        changes: explain::changes(&view, gang).into_iter().map(ChangeRow::from).collect(),
        funnel: explanation.as_ref().map(funnel).unwrap_or_default(),
        obstacles: explanation.as_ref().map(|found| obstacles(&view, found)).unwrap_or_default(),
    })
    .into_response())
}

fn funnel(explanation: &Explanation) -> Vec<Step> {
    let step = |(condition, nodes): &(Condition, u64)| Step { condition: condition.label(), nodes: *nodes };
    explanation.funnel.iter().map(step).collect()
}

fn obstacles(view: &View, explanation: &Explanation) -> Vec<NodeObstacle> {
    let holders = explain::holders(view);
    let held = |(holder, gpus): (&Holder, &u64)| Held { holder: HolderRow::from(holder), gpus: *gpus };
    let row = |(node, obstacle): &(NodeName, Obstacle)| NodeObstacle {
        node: node.as_str().to_owned(),
        label: obstacle.label(),
        sentence: obstacle.sentence(),
        condition: obstacle.condition().label(),
        holders: holders.get(node).into_iter().flatten().map(held).collect(),
    };
    explanation.obstacles.iter().map(row).collect()
}
