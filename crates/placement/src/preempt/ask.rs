//! kube-scheduler's own preemption, as far as Muster has a say: on which candidate nodes the victims that it chose
//! would help, and which of them must not go because a gang would be torn.
//!
//! Members of gangs get no node: their preemption is Muster's, and whole gangs make room for whole gangs.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::ids::PodUid;
use crate::pod::{Membership, Pod};
use crate::pool::{Strength, rule_for};
use crate::view::View;

/// A node, and the pods that kube-scheduler would evict there.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// The node.
    pub node: &'a str,
    /// UIDs of the victims.
    pub victims: BTreeSet<PodUid>,
}

/// For each candidate, whether the pod would fit there once its victims had gone, and no gang would be torn.
pub fn helped(view: &View, pod: &Pod, candidates: &[Candidate<'_>]) -> Vec<bool> {
    let in_gang = view.pods.get(&pod.uid).is_some_and(|state| state.gang.is_some());
    let ours = in_gang || pod.membership != Membership::Single || !view.ready;
    candidates.iter().map(|c| !ours && whole(view, c) && fits(view, pod, c)).collect()
}

/// Whether each gang that loses a member loses all that it has bound.
fn whole(view: &View, candidate: &Candidate<'_>) -> bool {
    let gangs = candidate.victims.iter().filter_map(|uid| view.pods.get(uid)).filter_map(|s| s.gang.as_ref());
    let members = gangs.filter_map(|id| view.gangs.get(id)).flat_map(|gang| &gang.members);
    let stays = |uid: &&PodUid| {
        !candidate.victims.contains(*uid)
            && view.claims.contains_key(*uid)
            && view.pods.get(*uid).is_some_and(|s| s.pod.alive() && !s.pod.terminating)
    };
    !members.into_iter().any(|uid| stays(&uid))
}

fn fits(view: &View, pod: &Pod, candidate: &Candidate<'_>) -> bool {
    let Some(state) = view.node(candidate.node) else { return false };
    let rule = rule_for(&view.settings.rules, pod).filter(|rule| rule.strength == Strength::Required);
    if rule.is_some_and(|rule| !state.purposes.contains(&rule.purpose)) {
        return false;
    }
    let claims = candidate.victims.iter().filter_map(|uid| view.claims.get(uid)).map(AsRef::as_ref);
    state.without(claims, state.promised).room_for(pod).is_ok()
}
