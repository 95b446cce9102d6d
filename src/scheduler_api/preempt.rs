//! `preempt`: on which candidate nodes evicting kube-scheduler's victims would help, and tear no gang.
//!
//! Muster never adds a victim. What it strikes out is said in `muster_placement::preempt`; nodes without a victim are
//! struck out here: kube-scheduler up to 1.37 takes one as an error of the whole reply, and from 1.38 on they are nodes
//! that only Muster refuses, where evicting nobody changes nothing.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use muster_placement::ids::PodUid;
use muster_placement::preempt::{Candidate, helped};

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
    let asked: Vec<Candidate<'_>> = candidates
        .iter()
        .map(|(node, victims)| Candidate {
            node,
            victims: victims.pods.iter().map(|pod| PodUid::from(&*pod.uid)).collect(),
        })
        .collect();
    let helped = helped(&view, &pod, &asked);
    let kept = candidates
        .into_iter()
        .zip(helped)
        .filter(|((_, victims), helped)| *helped && !victims.pods.is_empty());
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
