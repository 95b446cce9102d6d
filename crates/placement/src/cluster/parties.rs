//! Who is there and could leave: gangs and single pods of lower priority, and pods that are leaving anyway.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::Cluster;
use crate::gang::Gang;
use crate::ids::{GangId, NodeName, PodUid};
use crate::pod::Membership;
use crate::pod_state::PodState;
use crate::preempt::victims::Victim;
use crate::queue::Turn;
use crate::time::Time;

/// Pods of these come back on the same node at once: evicting one frees nothing.
const TIED_TO_NODES: [&str; 2] = ["DaemonSet", "Node"];

impl Cluster {
    /// Pods that are being deleted, as far as they can be expected to go.
    pub(super) fn leaving(&self, now: Time) -> BTreeSet<PodUid> {
        let patience = self.settings.preemption.patience;
        let on_time = |s: &&Arc<PodState>| {
            let since = s.leaving_since.filter(|_| s.pod.node.is_some() && s.pod.alive());
            since.is_some_and(|since| now < since.after(s.pod.tenure.grace).after(patience))
        };
        self.pods.values().filter(on_time).map(|s| s.pod.uid.clone()).collect()
    }

    /// Everybody whom a gang may send away: bound, of lower priority, not promised to somebody else already, and not
    /// found protected a while ago.
    pub(super) fn victims_below(&self, turn: &Turn) -> Vec<Victim> {
        let bound = |s: &&Arc<PodState>| s.pod.node.is_some() && s.pod.alive() && !s.pod.terminating;
        let mut parties: BTreeMap<(Option<&GangId>, Option<&PodUid>), Vec<&PodState>> = BTreeMap::new();
        for state in self.pods.values().filter(bound) {
            let alone = state.gang.is_none().then_some(&state.pod.uid);
            parties.entry((state.gang.as_ref(), alone)).or_default().push(state);
        }
        let mut victims = Vec::new();
        for (number, ((gang, _), pods)) in parties.into_iter().enumerate() {
            let gang = gang.and_then(|id| self.gangs.get(id)).map(Arc::as_ref);
            if self.may_go(gang, &pods, turn.priority.0) {
                victims.extend(parts(number, gang, pods));
            }
        }
        victims
    }

    fn may_go(&self, gang: Option<&Gang>, pods: &[&PodState], below: i32) -> bool {
        let known = &self.preemptions;
        // What is being bound cannot be evicted, and soon it can.
        let settled = gang.is_none_or(|g| g.plan().is_none());
        settled
            && pods.iter().all(|s| {
                s.pod.priority < below
                    && !s.binding
                    && !known.is_victim(&s.pod.uid)
                    && !known.spared.contains_key(&s.pod.uid)
                    && !TIED_TO_NODES.contains(&s.pod.kind.as_str())
            })
    }
}

/// A gang's members that it can do without, one by one, and the rest of it.
fn parts(number: usize, gang: Option<&Gang>, mut pods: Vec<&PodState>) -> Vec<Victim> {
    let min = gang
        .and_then(|g| g.spec.as_ref())
        .map_or(usize::MAX, |s| usize::try_from(s.min).unwrap_or(usize::MAX));
    let surplus = pods.len().saturating_sub(min);
    if surplus == 0 {
        return [part(number, 0, false, &pods)].to_vec();
    }
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for state in &pods {
        let size = sizes.entry(place(state).0).or_default();
        *size = size.saturating_add(1);
    }
    // The last of the most numerous role: chiefs and launchers are few, and rank 0 leads.
    pods.sort_by_cached_key(|s| {
        let (role, index) = place(s);
        (Reverse(sizes.get(role).copied()), Reverse((index, s.pod.created)), s.pod.uid.clone())
    });
    let (extra, core) = pods.split_at(surplus);
    let mut parts: Vec<Victim> =
        extra.iter().enumerate().map(|(turn, s)| part(number, turn, false, &[s])).collect();
    parts.push(part(number, surplus, true, core));
    parts
}

fn place(state: &PodState) -> (&str, u32) {
    match &state.pod.membership {
        Membership::Member(m) => (m.role.as_str(), m.index),
        Membership::Single | Membership::Unknown(_) => ("", 0),
    }
}

fn part(gang: usize, turn: usize, core: bool, states: &[&PodState]) -> Victim {
    let at = |s: &&PodState| Some((s.pod.uid.clone(), s.pod.node.clone()?));
    let pods: BTreeMap<PodUid, NodeName> = states.iter().filter_map(at).collect();
    Victim {
        lent: false,
        priority: states.iter().map(|s| s.pod.priority).max().unwrap_or(i32::MAX),
        created: states.iter().map(|s| s.pod.created).min().unwrap_or_default(),
        gpu_pods: states.iter().filter(|s| s.pod.wants_gpus()).count() as u64,
        pods,
        gang,
        turn,
        core,
    }
}
