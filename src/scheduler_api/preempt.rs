//! `preempt`: on which candidate nodes evicting kube-scheduler's victims would help.
//!
//! Muster never adds a victim. It strikes out nodes that it refuses for another reason than room, and
//! nodes without a victim: kube-scheduler up to 1.37 takes one as an error of the whole reply, and from 1.38
//! on they are nodes that only Muster refuses, where evicting nobody changes nothing.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use muster_placement::{FilterAnswer, Refusal};

use super::wire::{MetaPod, MetaVictims, PreemptionArgs, PreemptionResult};
use super::{Verbs, absent};
use crate::api::fault::{Body, Fault, text};

/// Answers `preempt`.
pub(super) async fn preempt(State(verbs): State<Verbs>, body: Body) -> Result<Response, Fault> {
    let body = text("the preempt request", &body)?;
    let args: PreemptionArgs<'_> =
        serde_json::from_str(body).map_err(|e| Fault::malformed("the preempt request", &e))?;
    let head = args.pod.as_ref().ok_or_else(|| absent("preempt", "Pod"))?;
    let view = verbs.engine.view();
    let pod = verbs.pod(&view, head, body)?;
    let candidates = candidates(&args);
    let names: Vec<&str> = candidates.keys().copied().collect();
    let agreed = agreed(view.filter(&pod, &names), names.len());
    let kept = candidates
        .into_iter()
        .zip(agreed)
        .filter(|((_, victims), agreed)| *agreed && !victims.pods.is_empty());
    let meta_victims = kept.map(|(candidate, _)| candidate).collect();
    Ok(Json(PreemptionResult { meta_victims }).into_response())
}

/// The candidate nodes and their victims, in whichever of the two forms they were sent.
fn candidates<'a>(args: &'a PreemptionArgs<'_>) -> BTreeMap<&'a str, MetaVictims<'a>> {
    let by_uid = args.meta_victims.iter().flatten().map(|(node, victims)| {
        let victims = victims.as_ref();
        let pods = victims.and_then(|v| v.pods.as_ref()).into_iter().flatten();
        let pods = pods.cloned().collect();
        (&**node, MetaVictims { pods, pdb_violations: victims.map_or(0, |v| v.pdb_violations) })
    });
    let in_full = args.victims.iter().flatten().map(|(node, victims)| {
        let victims = victims.as_ref();
        let pods = victims.and_then(|v| v.pods.as_ref()).into_iter().flatten();
        let pods = pods.map(|pod| MetaPod { uid: pod.metadata.uid.clone() }).collect();
        (&**node, MetaVictims { pods, pdb_violations: victims.map_or(0, |v| v.pdb_violations) })
    });
    in_full.chain(by_uid).collect()
}

/// Whether evictions could make each of the nodes fit.
fn agreed(answer: FilterAnswer, offered: usize) -> Vec<bool> {
    match answer {
        FilterAnswer::All => vec![true; offered],
        FilterAnswer::These(these) => (0..offered).map(|at| these.contains(&at)).collect(),
        FilterAnswer::Each(verdicts) => {
            verdicts.iter().map(|v| matches!(v, Ok(()) | Err(Refusal::Insufficient { .. }))).collect()
        }
        FilterAnswer::None(..) => vec![false; offered],
    }
}
